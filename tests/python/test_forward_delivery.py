"""quotactl forward against a real receiver: what arrives, in which order, and what becomes of what does not."""

import json
import re
import threading

import pytest
import yaml
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from conftest import Quota
from redis_quota.forward.delivery import Delivery

from .calls import answered, quotactl, refused, started, url_of
from .forwarding import (
    QUICK,
    Forwarder,
    Receiver,
    first_attempts,
    hook,
    in_order_per_account,
    logged,
    wait_until,
)

LONG = "{refusals-every: 100ms, lease: 1s, retry: [0, 1h]}"


@pytest.fixture
def quota(running, monkeypatch):
    """No keys, no forwarder's state, no refusals; the clock follows the server's; the log of before is skipped."""
    monkeypatch.setenv("QUOTA_URL", url_of(running))
    quota = Quota(running.client())
    quota("FLUSHALL")
    quota("QUOTA.CLOCK RESUME")
    quota("QUOTA.VIOLATIONS RESET")
    quota("QUOTA.PLAN SET pro api LIMIT 10 day WARN 80%")
    quota.after = running.client(decode_responses=True, protocol=3).execute_command("QUOTA.EVENTS", "INFO")["last"]
    return quota


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def forwarded(running, tmp_path, quota):
    """Starts a forwarder whose sinks begin where the log is now."""
    running_now = []

    def start(sinks, general=QUICK, **words):
        sinks = re.sub(r"\}(?=\n|$)", ", start: now}", sinks)
        forwarder = Forwarder(tmp_path, url_of(running), sinks, general, **words)
        running_now.append(forwarder)
        names = yaml.safe_load(forwarder.config.read_text())["sinks"]
        client = running.client()
        for name in names:
            wait_until(lambda name=name: client.exists(f"quota:forward:{{{name}}}:position:0"), "no position")
        return forwarder
    yield start
    for forwarder in running_now:
        if forwarder.process.poll() is None:
            forwarder.stop()


def of_sink(quota, name="hook"):
    return {row["sink"]: row for row in answered("sinks", "list")}[name]


def open_and_use(quota, names, units=9):
    for name in names:
        quota(f"QUOTA.OPEN {name} pro")
    for name in names:
        quota(f"QUOTA.CONSUME {name} api {units}")


def test_events_arrive_signed_once_and_in_order(running, quota, receiver, forwarded):
    forwarded(hook(receiver))
    names = [f"a{number}" for number in range(30)]
    open_and_use(quota, names)
    expected = logged(running, after=quota.after)
    wait_until(lambda: len(receiver.got) >= len(expected), "events do not arrive")
    messages = receiver.messages()
    assert sorted(receiver.ids()) == sorted(expected)
    assert in_order_per_account(messages)
    warned = [message for message in messages if message["type"] == "quota.limit.warned"]
    assert {message["data"]["account"] for message in warned} == set(names)
    assert warned[0]["data"]["used"] == 9
    wait_until(lambda: of_sink(quota)["behind"] == 0, "the position does not move")
    assert of_sink(quota)["delivered"] == len(expected)


def test_only_the_types_that_a_sink_wants(running, quota, receiver, forwarded):
    forwarded(hook(receiver, "types: ['quota.limit.*', quota.account.suspended]"))
    open_and_use(quota, ["acme"])
    quota("QUOTA.SUSPEND acme")
    quota("QUOTA.RESUME acme")
    wait_until(lambda: len(receiver.got) >= 2, "events do not arrive")
    wait_until(lambda: of_sink(quota)["behind"] == 0, "the position does not move")
    assert [message["type"] for message in receiver.messages()] == ["quota.limit.warned", "quota.account.suspended"]


def test_what_fails_is_retried_then_a_dead_letter_and_can_be_replayed(running, quota, receiver, forwarded):
    receiver.answer = lambda got: 500 if got.json["data"].get("account") == "bad" else 204
    forwarded(hook(receiver))
    open_and_use(quota, ["bad", "good"])
    wait_until(lambda: of_sink(quota)["dead"] == 2, "no dead letters")
    letters = answered("sinks", "dead", "hook")
    assert sorted((letter["type"], letter["attempts"], letter["error"]) for letter in letters) == [
        ("quota.account.opened", 3, "HTTP 500"), ("quota.limit.warned", 3, "HTTP 500")]
    assert of_sink(quota)["retry"] == 0
    expected = 2 * [letter["id"] for letter in letters] + logged(running, after=quota.after)
    assert sorted(receiver.ids()) == sorted(expected)
    receiver.answer = lambda got: 204
    assert "1 event will be sent again" in quotactl("sinks", "replay", "hook", letters[0]["letter"])
    assert answered("sinks", "replay", "hook", "--yes") == {"sink": "hook", "replayed": 1}
    wait_until(lambda: receiver.ids().count(letters[1]["id"]) == 4, "no replay")
    wait_until(lambda: of_sink(quota)["retry"] == 0, "a replayed letter stays")
    assert (of_sink(quota)["dead"], answered("sinks", "dead", "hook")) == (0, [])
    assert "not found" in refused("sinks", "replay", "hook", "1-1")
    assert "2 letters not found" in refused("sinks", "replay", "hook", "1-1", "no-id", "1-1")
    assert in_order_per_account(receiver.messages())


def test_the_forwarder_counts_what_it_does(quota, receiver, forwarded):
    receiver.answer = lambda got: 500 if got.json["data"].get("account") == "bad" else 204
    forwarder = forwarded(hook(receiver, "types: [quota.account.*]"), options=("--metrics-port", "0"))
    for name in ("bad", "good", "better"):
        quota(f"QUOTA.OPEN {name} pro")
    wait_until(lambda: of_sink(quota)["dead"] == 1, "no dead letter")
    of_hook = (("sink", "hook"),)
    names = ("delivered_total", "failed_total", "dead_total", "holding", "off", "retry_entries", "seconds_count")
    wait_until(lambda: [forwarder.metrics()[f"quota_forward_{name}"][of_hook] for name in names] == [
        2, 3, 1, 1, 0, 0, 5], "it does not count right")
    receiver.answer = lambda got: 410
    quota("QUOTA.OPEN last pro")
    wait_until(lambda: forwarder.metrics()["quota_forward_off"][of_hook] == 1, "it is not off")
    wait_until(lambda: forwarder.metrics()["quota_forward_retry_entries"][of_hook] == 1, "what waits is not counted")
    assert forwarder.metrics()["quota_forward_sweep_seconds"][()] > 0


def test_a_port_that_is_taken_is_one_line_and_nothing_is_sent(quota, running, receiver, forwarded, tmp_path):
    forwarder = forwarded(hook(receiver), options=("--metrics-port", "0"))
    port = re.search(r":([0-9]+)/metrics", forwarder.log())[1]
    error = started("forward", forwarder.config, "--url", url_of(running), "--metrics-port", port, code=2)
    assert f"cannot listen on 127.0.0.1 port {port}" in error and error.count("\n") == 1


def test_a_sink_that_is_in_use_no_more_is_forgotten(quota, running, receiver, forwarded):
    forwarded(hook(receiver)).stop()
    client = running.client(decode_responses=True)
    assert client.keys("quota:forward:{hook}:*")
    assert quotactl("sinks", "forget", "hook", "--yes") == "hook: forgotten\n"
    assert client.keys("quota:forward:*{hook}*") == []
    assert answered("sinks", "list") == []
    assert "no forwarder has had" in refused("sinks", "forget", "hook", "--yes")


def test_any_dead_letter_can_be_named(quota, running):
    """Also one that is behind the first thousand."""
    client = running.client(decode_responses=True)
    client.sadd("quota:forward:sinks", "hook")
    kept = Delivery.of("q", "0", "1-1", {"type": "quota.usage.set", "time": 1}).kept()
    with client.pipeline() as batch:
        for number in range(1, 1006):
            batch.xadd("quota:forward:{hook}:dead", {"delivery": kept, "error": "HTTP 500"}, id=f"{number}-0")
        batch.execute()
    assert answered("sinks", "replay", "hook", "1003-0", "2-0") == {"sink": "hook", "replayed": 2}
    assert of_sink(quota)["dead"] == 1003
    assert client.zrange("quota:forward:{hook}:retry", 0, -1) == ["q-0-1-1"]


FAILURES = [(500, {}, "HTTP 500"), (302, {"location": "http://127.0.0.1:1/"}, "HTTP 302: redirects are not followed"),
            (404, {}, "HTTP 404"), (429, {"retry-after": "7200"}, "HTTP 429")]


@pytest.mark.parametrize(("status", "headers", "error"), FAILURES)
def test_every_failure_waits_in_the_retry_set(quota, running, receiver, forwarded, status, headers, error):
    receiver.answer = lambda got: (status, headers)
    forwarded(hook(receiver, "types: [quota.account.*]"), LONG)
    quota("QUOTA.OPEN acme pro")
    client = running.client(decode_responses=True)
    wait_until(lambda: client.zcard("quota:forward:{hook}:retry"), "nothing waits")
    [(identity, due_ms)] = client.zrange("quota:forward:{hook}:retry", 0, -1, withscores=True)
    kept = json.loads(client.hget("quota:forward:{hook}:failed", identity))
    assert (kept["attempts"], kept["error"]) == (1, error)
    waits_s = due_ms / 1000 - client.time()[0]
    assert 7100 < waits_s < 7210 if "retry-after" in headers else 2700 < waits_s < 4400, waits_s
    assert len(receiver.got) == 1


def test_a_receiver_that_hangs_is_left_and_does_not_hold_up_other_accounts(quota, running, receiver, forwarded):
    ended = threading.Event()
    receiver.answer = lambda got: 500 if got.json["data"]["account"] == "slow" and not ended.wait(60) else 204
    forwarded(hook(receiver, "types: [quota.account.*]").replace("timeout: 5s", "timeout: 300ms"), LONG)
    for name in ("slow", "a", "b"):
        quota(f"QUOTA.OPEN {name} pro")
    wait_until(lambda: of_sink(quota)["retry"] == 1, "the time-out does not come")
    wait_until(lambda: of_sink(quota)["delivered"] == 2, "the others do not arrive")
    kept = running.client(decode_responses=True).hvals("quota:forward:{hook}:failed")
    assert [json.loads(text)["error"] for text in kept] == ["no answer within 0.3 s"]
    ended.set()


def test_gone_turns_the_sink_off_until_it_is_enabled(quota, running, receiver, forwarded):
    receiver.answer = lambda got: 410
    forwarder = forwarded(hook(receiver))
    quota("QUOTA.OPEN acme pro")
    wait_until(lambda: of_sink(quota)["state"] == "off", "it stays on")
    assert of_sink(quota)["why"] == "the receiver is gone (410)"
    quota("QUOTA.CONSUME acme api 9")
    forwarder.stop()
    forwarder.start()
    wait_until(lambda: forwarder.log().count('"holding"') == 2, "it does not come back")
    assert len(receiver.got) == 1
    receiver.answer = lambda got: 204
    assert quotactl("sinks", "enable", "hook") == "hook: on\n"
    expected = logged(running, after=quota.after)
    wait_until(lambda: set(expected) <= set(receiver.ids()), "it does not go on")
    assert in_order_per_account(receiver.messages())
    wait_until(lambda: of_sink(quota)["retry"] == 0, "the first one stays")
    assert quotactl("sinks", "enable", "hook") == "hook: it was on\n"


def test_days_without_success_turn_the_sink_off(quota, running, receiver, forwarded):
    receiver.answer = lambda got: 503
    forwarded(hook(receiver, "off-after: 100ms"), QUICK.replace("[0, 50ms, 50ms]", "[0" + ", 50ms" * 50 + "]"))
    quota("QUOTA.OPEN acme pro")
    wait_until(lambda: of_sink(quota)["state"] == "off", "it stays on")
    assert of_sink(quota)["why"].startswith("no success since ")
    assert of_sink(quota)["retry"] == 1


def test_a_refusal_is_sent_once_per_account_rule_and_cycle(quota, running, receiver, forwarded):
    quota("QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z")
    forwarded(hook(receiver, "types: [quota.limit.refused]"))
    open_and_use(quota, ["acme", "other"])
    for _ in range(3):
        quota("QUOTA.CONSUME acme api 9")
    wait_until(lambda: len(receiver.got) == 1, "the refusal does not arrive")
    quota("QUOTA.CONSUME acme api 9")
    quota("QUOTA.CONSUME other api 9")
    wait_until(lambda: len(receiver.got) == 2, "that of the other account does not arrive")
    first, second = receiver.messages()
    data = first["data"]
    assert (data["account"], data["resource"], data["rule"], data["text"]) == ("acme", "api", 0, "LIMIT 10 day")
    assert data["end"] - data["start"] == 86_400_000
    assert second["data"]["account"] == "other"
    quota("QUOTA.CLOCK ADVANCE 1d")
    quota("QUOTA.CONSUME acme api 11")
    wait_until(lambda: len(receiver.got) == 3, "that of the next cycle does not arrive")
    assert receiver.messages()[2]["data"]["start"] == data["end"]
    assert len(set(receiver.ids())) == 3


def test_what_time_does_is_known_without_a_request(quota, running, receiver, forwarded):
    quota("QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z")
    quota("QUOTA.OPEN acme pro")
    quota("QUOTA.CONSUME acme api 5")
    quota("QUOTA.RESERVE acme h1 api 1 TTL 10s")
    forwarded(hook(receiver, "types: [quota.cycle.closed, quota.hold.expired]"),
              QUICK.replace("settle-within: 10m", "settle-within: 200ms"))
    quota("QUOTA.CLOCK ADVANCE 25h")
    wait_until(lambda: len(receiver.got) == 2, "the end is not known")
    assert {message["type"] for message in receiver.messages()} == {"quota.cycle.closed", "quota.hold.expired"}


def test_what_the_log_has_lost_is_passed_on(quota, running, receiver, forwarded):
    forwarder = forwarded(hook(receiver, "types: [nothing]"))
    quota("QUOTA.OPEN acme pro")
    wait_until(lambda: of_sink(quota)["behind"] == 0, "the position does not move")
    forwarder.stop()
    quota("CONFIG SET quota.events-max 3")
    for units in range(10):
        quota(f"QUOTA.SET acme api {units % 5}")
    quota("CONFIG SET quota.events-max 100000")
    forwarder.start()
    wait_until(lambda: receiver.got, "nothing is passed on")
    [message] = receiver.messages()
    assert (message["type"], message["data"]["lost"]) == ("quota.log.truncated", 7)


def test_cloudevents_slack_and_a_stream(quota, running, receiver, forwarded):
    running.client().config_set("quota.events", "all")
    forwarded(f"meter: {{cloudevents: '{receiver.url}/ce', allow-private: true, "
              "headers: {Authorization: Bearer x, Host: other.test, USER-AGENT: meter}}\n"
              f"  team: {{slack: '{receiver.url}/slack', template: '{{account}} <{{percent}} %>', "
              f"types: [quota.limit.warned], allow-private: true}}\n"
              f"  bus: {{stream: 'quota:events', maxlen: 1000}}")
    open_and_use(quota, ["a&b"])
    wait_until(lambda: len(receiver.got) == 3, "events do not arrive")
    [slack] = [got for got in receiver.got if got.path == "/slack"]
    assert slack.json == {"text": "a&amp;b <80 %>"}
    warned = [got for got in receiver.got if got.path == "/ce"][-1]
    event = from_structured(HTTPMessage(warned.headers, warned.body), JSONFormat())
    assert (warned.headers["authorization"], warned.headers["user-agent"]) == ("Bearer x", "meter")
    assert warned.headers["host"] == receiver.url.removeprefix("http://")  # what the URL says, whatever `headers` does
    assert (event.get_type(), event.get_subject()) == ("quota.limit.warned", "a&b")
    assert event.get_source() == "/redis-quota/0"
    assert event.get_extension("partitionkey") == "a&b"
    assert event.get_data()["used"] == 9
    assert event.get_id() == logged(running)[-1]
    assert event.get_extension("sequence") == event.get_id().rpartition("-")[2].zfill(20)
    wait_until(lambda: running.client().xlen("quota:events") == 2, "the stream does not grow")
    entries = running.client(decode_responses=True).xrange("quota:events")
    assert [fields["type"] for _, fields in entries] == ["quota.account.opened", "quota.limit.warned"]
    assert json.loads(entries[1][1]["data"])["used"] == 9


def test_private_targets_are_refused(quota, running, receiver, forwarded):
    forwarded(hook(receiver).replace("allow-private: true", "allow-private: false"), LONG)
    quota("QUOTA.OPEN acme pro")
    wait_until(lambda: of_sink(quota)["retry"] == 1, "nothing waits")
    [kept] = running.client(decode_responses=True).hvals("quota:forward:{hook}:failed")
    assert "127.0.0.1, which is not public" in json.loads(kept)["error"]
    assert receiver.got == []


def test_a_test_event_is_sent_now(quota, running, receiver, tmp_path):
    config = tmp_path / "sinks.yaml"
    config.write_text(f"sinks:\n  {hook(receiver)}\n")
    assert quotactl("sinks", "test", config, "hook").startswith("hook: delivered redis-quota-test-")
    assert [message["type"] for message in receiver.messages()] == ["quota.sink.test"]
    receiver.answer = lambda got: 500
    assert "HTTP 500" in refused("sinks", "test", str(config), "hook")
    assert "no sink" in refused("sinks", "test", str(config), "other")
    assert first_attempts(receiver.ids()) == receiver.ids()
