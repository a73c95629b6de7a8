"""What calls of the client show: spans of OpenTelemetry in an exporter in memory, and metrics for Prometheus."""

import asyncio
import subprocess
import sys

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from redis_quota import AsyncQuota, NoAccount, Quota, Unavailable
from redis_quota.metrics import ClientMetrics
from servers import ROOT

from .monitored import samples

KEPT = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider():
    """The program's provider is set once for a process."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(KEPT))
    trace.set_tracer_provider(made)


@pytest.fixture
def quota(running):
    running.client().flushall()
    quota = Quota(running.client())
    quota.set_plan("pro", "api", "LIMIT 10 day")
    quota.set_plan("pro", "tokens", "LIMIT 100 day")
    quota.open("acme", "pro")
    KEPT.clear()
    return quota


def spans():
    """Name and attributes of the spans that have ended, without `quota.`."""
    return [(span.name, {name.removeprefix("quota."): value for name, value in span.attributes.items()})
            for span in KEPT.get_finished_spans()]


def test_a_call_is_a_span_with_what_it_is_about_and_its_verdict(quota):
    assert quota.consume("acme", "api", 3, id="req-1", key=None)
    assert not quota.consume("acme", "api", 30)
    assert not quota.consume("acme", "api", 30)
    reset_ms = spans()[0][1]["reset_ms"]
    about = {"account": "acme", "resource": "api", "limit": 10, "remaining": 7, "rule": 0}
    assert spans()[0] == ("quota.consume", {**about, "amount": 3, "id": "req-1", "granted": 3, "wait_ms": 0,
                                            "reset_ms": reset_ms, "source": "server"})
    assert [(found["granted"], found["wait_ms"], found["source"]) for _, found in spans()[1:]] == [
        (0, -1, "server"), (0, -1, "cache")]
    made = KEPT.get_finished_spans()[0]
    assert (made.kind, made.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)


def test_several_resources_and_keys_are_lists(quota):
    quota.mconsume("acme", {"api": 1, "tokens": 20})
    quota.mallow({"a": "1 1m", "b": "1 1m"})
    (first, both), (second, rates) = spans()
    assert (first, both["resource"], both["amount"], both["granted"]) == (
        "quota.mconsume", ("api", "tokens"), (1, 20), (1, 20))
    assert (second, rates["key"], rates["source"]) == ("quota.mallow", ("a", "b"), ("server", "server"))


def test_digests_of_api_keys_are_not_shown(quota):
    digest = "ab" * 32
    quota.execute("QUOTA.APIKEY", "SET", "acme", digest, key="acme")
    KEPT.clear()
    assert quota.consume("acme", "api", key=digest)
    with quota.reserve("acme", "api", 1, ttl="1m", key=digest) as hold:
        hold.release()
    quota.verify("acme", digest)
    assert [name for name, _ in spans()] == ["quota.consume", "quota.reserve", "quota.reserve.release", "quota.verify"]
    assert digest not in str(spans())


def test_an_error_ends_the_span_as_one(quota):
    with pytest.raises(NoAccount):
        quota.consume("absent", "api")
    with pytest.raises(Unavailable):
        Quota(redis.Redis(port=1)).allow("user:1", "10 1s")
    with pytest.raises(TypeError):
        quota.consume()
    made = KEPT.get_finished_spans()
    assert [span.attributes["quota.error"] for span in made] == ["NOACCOUNT", "Unavailable"]
    assert {span.status.status_code for span in made} == {StatusCode.ERROR}
    assert made[0].events[0].name == "exception"


def test_what_is_held_and_async_calls_are_spans_too(quota, running):
    with quota.reserve("acme", "api", 4, ttl="1m") as hold:
        hold.commit(2)
    with quota.lease("acme", "api", chunk=2) as stock:
        stock.take()
    with quota.acquire("printer", 1, "1m"):
        pass
    assert [name for name, _ in spans()] == [
        "quota.reserve", "quota.reserve.commit", "quota.lease", "quota.lease.take", "quota.acquire"]
    found = dict(spans())
    assert (found["quota.reserve"]["granted"], found["quota.lease.take"]["source"]) == (4, "lease")
    assert (found["quota.reserve.commit"]["amount"], found["quota.acquire"]["key"]) == (2, "printer")

    async def work():
        async with redis.asyncio.Redis(port=running.port) as client:
            other = AsyncQuota(client)
            await asyncio.gather(*(other.consume("acme", "api") for _ in range(3)))
            async with other.reserve("acme", "api", 1, ttl="1m"):
                pass

    KEPT.clear()
    with trace.get_tracer("program").start_as_current_span("request") as request:
        asyncio.run(work())
    made = KEPT.get_finished_spans()
    assert [span.name for span in made] == ["quota.consume"] * 3 + ["quota.reserve", "request"]
    assert {span.parent.span_id for span in made[:-1]} == {request.get_span_context().span_id}


def test_metrics_count_by_source_and_outcome(running, quota):
    registry = CollectorRegistry()
    metrics = ClientMetrics(registry)
    one = Quota(running.client(), metrics=metrics)
    away = Quota(redis.Redis(port=1), on_error="open", metrics=metrics)
    assert one.consume("acme", "api", 3)
    assert not one.consume("acme", "api", 30)
    assert not one.consume("acme", "api", 30)
    one.mconsume("acme", {"api": 1, "tokens": 1})
    with pytest.raises(NoAccount):
        one.consume("absent", "api")
    assert away.consume("acme", "api", 2)
    found = samples(generate_latest(registry).decode())
    decisions = {(dict(labels)["source"], dict(labels)["outcome"]): count
                 for labels, count in found["quota_client_decisions_total"].items()}
    assert decisions == {("server", "admitted"): 3, ("server", "denied"): 1, ("cache", "denied"): 1,
                         ("open", "admitted"): 1}
    assert found["quota_client_errors_total"] == {(("code", "NOACCOUNT"),): 1}
    assert found["quota_client_seconds_count"] == {(("call", "consume"),): 5, (("call", "mconsume"),): 1}
    assert found["quota_client_queue"] == {(): 1}


def test_without_opentelemetry_there_are_no_spans():
    """A program that has neither package: nothing of them is imported."""
    text = ("import sys; sys.modules['opentelemetry'] = None; import redis, redis_quota\n"
            "quota = redis_quota.Quota(redis.Redis())\n"
            "print(quota._observers, 'prometheus_client' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT / "scripts/python", capture_output=True, text=True,
                          check=True)
    assert done.stdout == "[] False\n"
