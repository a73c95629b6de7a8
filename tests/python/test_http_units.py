"""Decisions as HTTP without a server: clients' addresses, header fields, refusals. Fields are read by a parser of
structured fields that is not ours.
"""

import json
import types

import http_sf
import pytest
from redis_quota import errors
from redis_quota.http import (
    Consumption,
    Decision,
    RateLimit,
    client_address,
    client_key,
    decide,
    fields_of,
    header,
)
from redis_quota.rules import Named, rule_of
from redis_quota.steps import Sleep
from redis_quota.verdict import Verdict, admitted_without


def asgi(peer, *forwarded):
    return {"type": "http", "client": peer and (peer, 4711),
            "headers": [(b"X-Forwarded-For", value.encode()) for value in forwarded]}


def wsgi(peer, *forwarded):
    return {"REMOTE_ADDR": peer or "", **({"HTTP_X_FORWARDED_FOR": ", ".join(forwarded)} if forwarded else {})}


@pytest.mark.parametrize("request_of", [
    asgi, wsgi, lambda *words: types.SimpleNamespace(META=wsgi(*words)),
    lambda *words: types.SimpleNamespace(environ=wsgi(*words))])
@pytest.mark.parametrize(("peer", "forwarded", "proxies", "key"), [
    ("203.0.113.8", [], 1, "203.0.113.8"),
    ("10.0.0.1", ["203.0.113.8"], 0, "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.8"], 1, "203.0.113.8"),
    ("10.0.0.1", ["6.6.6.6, 203.0.113.8"], 1, "203.0.113.8"),  # what the client wrote does not count
    ("10.0.0.1", ["6.6.6.6, 203.0.113.8, 10.0.0.2"], 2, "203.0.113.8"),
    ("10.0.0.1", ["6.6.6.6", "203.0.113.8, 10.0.0.2"], 2, "203.0.113.8"),  # several lines are one list
    ("10.0.0.1", ["203.0.113.8"], 2, "10.0.0.1"),  # shorter than the proxies: not to be trusted
    ("10.0.0.1", ["unknown"], 1, "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.8:1234"], 1, "203.0.113.8"),
    ("10.0.0.1", ['"[2001:db8:1:2:3::4]:1234"'], 1, "2001:db8:1:2::/64"),
    ("2001:db8:1:2:3:4:5:6", [], 1, "2001:db8:1:2::/64"),
    ("fe80::1%eth0", [], 0, "fe80::/64"),
    ("::ffff:203.0.113.8", [], 0, "203.0.113.8"),
    (None, [], 1, "unknown")])
def test_a_client_is_counted_by_its_address(request_of, peer, forwarded, proxies, key):
    assert client_key(request_of(peer, *forwarded), proxies) == key


def test_the_prefix_of_a_network_can_be_set():
    request = asgi("2001:db8:1:2ff::5")
    assert client_key(request, v6_prefix=56) == "2001:db8:1:200::/56"
    assert client_address(request) == "2001:db8:1:2ff::5"
    assert header({"HTTP_IDEMPOTENCY_KEY": "a"}, "Idempotency-Key") == "a"


SECOND, MONTH = Named("default", rule_of(10, "1s")), Named("api.month", rule_of(10, "month"))


@pytest.mark.parametrize(("verdict", "named", "fields"), [
    (Verdict(3, 10, 7, 0, 300, 0), SECOND, {"policy": {"q": 10, "w": 1}, "limit": {"r": 7, "t": 1}}),
    (Verdict(0, 10, 7, 200, 300, 0), SECOND, {"policy": {"q": 10, "w": 1}, "limit": {"r": 7, "t": 1}, "after": 1}),
    (Verdict(0, 10, 7, 1001, 5000, 0), SECOND, {"policy": {"q": 10, "w": 1}, "limit": {"r": 7, "t": 2}, "after": 2}),
    (Verdict(0, 10, 7, 0, 300, 0), SECOND, {"policy": {"q": 10, "w": 1}, "limit": {"r": 7, "t": 1}, "after": 1}),
    (Verdict(0, 10, 10, -1, 0, 0), SECOND, {"policy": {"q": 10, "w": 1}, "limit": {"r": 10}}),
    (Verdict(1, 10, 9, 0, 0, 0), MONTH, {"policy": {"q": 10}, "limit": {"r": 9, "t": 0}}),
    (Verdict(1, 10, 9, 0, -1, 0), MONTH, {"policy": {"q": 10}, "limit": {"r": 9}}),
    (Verdict(1, 10, 9, 0, 1, 0), Named("n", rule_of(10, "250ms")), {"policy": {"q": 10}, "limit": {"r": 9, "t": 1}}),
    (Verdict(1, 10, 9, 0, 1, 0), Named("n", rule_of(10, "90s")),
     {"policy": {"q": 10, "w": 90}, "limit": {"r": 9, "t": 1}}),
    (Verdict(1, 2**62, 2**61, 0, 0, 0), Named("n", None),
     {"policy": {"q": 999999999999999}, "limit": {"r": 999999999999999, "t": 0}}),
    (Verdict(1, -1, -1, 0, 0, -1), SECOND, {}),
    (Verdict(0, -1, -1, 5000, 0, -1), SECOND, {"after": 5}),
    (admitted_without(3), SECOND, {})])
def test_fields_of_a_verdict(verdict, named, fields):
    found = dict(fields_of(verdict, named))
    read = {}
    for short, name in (("policy", "RateLimit-Policy"), ("limit", "RateLimit")):
        if name in found:
            ((read_name, read[short]),) = http_sf.parse(found[name].encode(), tltype="list")
            assert read_name == named.name
    if "Retry-After" in found:
        read["after"] = int(found["Retry-After"])
    assert read == fields


@pytest.mark.parametrize(("name", "read"), [('a "b" \\c', 'a "b" \\c'), ("größe\n", "gr%C3%B6%C3%9Fe%0A"), ("", "")])
def test_any_name_is_a_structured_string(name, read):
    fields = dict(fields_of(Verdict(1, 10, 9, 0, 1, 0), Named(name, None)))
    assert http_sf.parse(fields["RateLimit"].encode(), tltype="list")[0][0] == read


def test_older_fields():
    fields = dict(fields_of(Verdict(0, 10, 7, 1001, 5000, 0), SECOND, legacy=True, clock=lambda: 1000.9))
    assert [fields[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == ["10", "7", "1002"]


def test_a_denial_has_a_problem_as_its_body():
    response = Decision(Verdict(0, 10, 7, 200, 300, 0), [("RateLimit", "x")], "default").response()
    assert response.status == 429
    assert dict(response.fields)["Content-Type"] == "application/problem+json"
    assert json.loads(response.body) == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "title": "Quota exceeded",
        "status": 429, "violated-policies": ["default"], "wait_ms": 200}
    assert Decision(Verdict(1, 10, 7, 0, 300, 0)).response() is None
    assert Decision(None).response() is None


@pytest.mark.parametrize(("error", "status", "field"), [
    (errors.Suspended("by an operator"), 403, None), (errors.NoScope("no"), 403, None),
    (errors.NoAccount("no"), 403, None), (errors.NoResource("no"), 403, None),
    (errors.NoKey("expired"), 401, ("WWW-Authenticate", "Bearer")),
    (errors.IdConflict("other content"), 409, None),
    (errors.Unavailable("gone", sent=False), 503, ("Retry-After", "1")),
    (errors.OutOfMemory("full"), 503, ("Retry-After", "1"))])
def test_errors_have_a_status_and_keep_their_text(error, status, field):
    response = Decision(None, error=error).response()
    problem = json.loads(response.body)
    assert (response.status, problem["status"], problem["type"]) == (status, status, "about:blank")
    assert problem["code"] == getattr(error, "code", "UNAVAILABLE")
    assert str(error.args[0]) not in response.body.decode()
    assert field is None or field in response.fields


class Answers:
    """A limit whose answer is given."""

    def __init__(self, found):
        self.found = found

    def decide(self, quota, request):
        yield from ()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def finish(steps):
    effects = []
    while True:
        try:
            effects.append(next(steps))
        except StopIteration as stop:
            return stop.value, effects


def test_a_request_in_a_queue_is_answered_when_its_turn_has_come():
    decision, effects = finish(decide(None, Answers((Verdict(1, 10, 0, 1500, 9000, 0), SECOND)), {}))
    assert decision.response() is None
    assert effects == [Sleep(1.5)]


def test_a_fault_of_the_service_is_no_answer_to_the_client():
    with pytest.raises(errors.BadCommand):
        finish(decide(None, Answers(errors.BadCommand("period")), {}))
    decision, _ = finish(decide(None, Answers(errors.Suspended("x")), {}))
    assert decision.response().status == 403


def test_a_limit_may_leave_a_request_alone():
    for limit in (RateLimit("10 1s", key=lambda request: None), Consumption("api", account=lambda request: None)):
        decision, effects = finish(decide(None, limit, {}))
        assert (decision.response(), decision.fields, effects) == (None, [], [])
