"""What the client knows without a server: rules, periods, its own GCRA, remembered denials, rows to post, errors.

Time is a number that the tests move.
"""

import re
import uuid

import pytest
from redis_quota import errors, memory, replies, rules
from redis_quota.core import batches, new_id, options
from redis_quota.memory import Backlog, Denials, Local, Row
from redis_quota.verdict import Leased, Verdict
from servers import ROOT

SECOND_US = 1_000_000


class Clock:
    """Seconds that stand still until they are moved."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("word", "us"), [
    ("60", 60 * SECOND_US), ("250ms", 250_000), ("1h30m", 5400 * SECOND_US), ("7us", 7), ("2w", 1_209_600 * SECOND_US),
    ("1M", None), ("s", None), ("1h 30m", None), ("²", None), ("", None), ("month", None)])
def test_durations(word, us):
    assert rules.duration_us(word) == us


@pytest.mark.parametrize(("text", "found"), [
    ("10 1s", [(10, 1, 10)]),
    ("GCRA 10 1m BURST 20", [(10, 60, 20)]),
    ("10 1s SLIDING 1000 1h FIXED 20000 1d FIRST", [(10, 1, 10), (1000, 3600, 1000), (20000, 86400, 20000)]),
    (["TOKEN 5 1s BURST 9 INITIAL 2 INTERVAL", "-1 90s"], [(5, 1, 9), (-1, 90, -1)]),
    ("10 250ms", [(10, None, 10)]), ("10 day", [(10, 86400, 10)]), ("10 month", [(10, None, 10)]),
    ("10 1s BLOCK 1m", [(10, 1, 10)]), ("nonsense", []), ("10", []),
    ("10 1s 5 1m BURST x", [(10, 1, 10)]), ("10 1s INITIAL x 5 1m", [])])
def test_rules_by_their_words(text, found):
    assert [(rule.limit, rule.window_s, rule.capacity) for rule in rules.parse(text)] == found


def test_rules_by_verdicts_numbers():
    rows = [{"rule": 0, "kind": "LIMIT", "period": "month", "limit": 1000},
            {"rule": 1, "kind": "RATE", "period": "1s", "limit": 10},
            {"rule": 2, "kind": "credits", "period": "", "limit": 5}]
    named = rules.of_resource("api", rows)
    assert {number: (row.name, row.rule and row.rule.window_s) for number, row in named.items()} == {
        0: ("api.month", None), 1: ("api.1s", 1), 2: ("api.credits", None)}
    policy = {"name": "p", "rules": ["GCRA 10 1s", "SLIDING 100 1m"], "schedules": [{"rules": ["GCRA 20 1h"]}]}
    assert {number: row.rule.window_s for number, row in rules.of_policy(policy).items()} == {0: 1, 1: 60, 100: 3600}


@pytest.mark.parametrize(("clients", "text", "costs", "granted"), [
    (1, "10 1s", [3, 7, 1], [3, 7, 0]),
    (2, "10 1s", [3, 2, 1], [3, 2, 0]),
    (1, "10 1s 4 1m", [3, 2, 1, 1], [3, 0, 1, 0]),  # all rules admit, or none is charged
    (3, "10 1s", [4, 3, 1], [0, 3, 0]),
    (1, "0 1s", [1], [0]), (1, "0 1s BURST 5", [1], [0]),
    (1, "-1 1s", [1000], [1000]),
    (1, "5 1s BURST 8", [8, 1], [8, 0])])
def test_the_local_limiter_admits_a_share(clients, text, costs, granted):
    local = Local(clients, Clock())
    known = list(enumerate(rules.parse(text)))
    assert [local.admit("k", known, cost).granted for cost in costs] == granted


def test_the_local_limiter_keeps_its_promise_of_waiting():
    clock = Clock()
    local, known = Local(2, clock), list(enumerate(rules.parse("10 1s")))
    assert local.admit("k", known, 5) == Verdict(5, 5, 0, 0, 1000, 0, "local")
    denied = local.admit("k", known, 2)
    assert (denied.wait_ms, denied.remaining, denied.reset_ms) == (400, 0, 1000)
    clock.now = (denied.wait_ms - 1) / 1000
    assert not local.admit("k", known, 2)
    clock.now = denied.wait_ms / 1000
    assert local.admit("k", known, 2).granted == 2
    assert local.admit("other", known, 5).granted == 5
    assert local.admit("k", known, 6).wait_ms == -1  # never: more than its share at once


def test_the_local_limiter_admits_several_requests_or_none():
    local, known = Local(1, Clock()), list(enumerate(rules.parse("10 1m")))
    requests = [("a", known, 4), ("b", known, 7)]
    assert [verdict.granted for verdict in local.admit_all(requests, charge=False)] == [4, 7]
    assert [verdict.granted for verdict in local.admit_all(requests)] == [4, 7]
    assert local.admit_all(requests) == [Verdict(0, 10, 6, 0, 24_000, 0, "local"),
                                         Verdict(0, 10, 3, 24_000, 42_000, 0, "local")]
    assert local.admit("a", known, 6).remaining == 0  # nothing of it was taken by the denial


DENIAL = Verdict(0, 10, 7, 200, 300, 0)


def test_a_denial_holds_for_equal_and_larger_costs_until_its_wait_is_over():
    clock = Clock()
    denials = Denials(clock)
    denials.keep("k", "10 1s", 9, DENIAL)
    assert denials.find("k", "10 1s", 8) is None
    assert denials.find("k", "20 1s", 9) is None
    assert denials.find("other", "10 1s", 9) is None
    clock.now = 0.15
    assert denials.find("k", "10 1s", 9) == Verdict(0, 10, 7, 50, 150, 0, "cache")
    clock.now = 0.2
    assert denials.find("k", "10 1s", 9) is None


@pytest.mark.parametrize("wait_ms", [-1, 3_600_000])
def test_a_denial_is_remembered_for_a_second_at_most(wait_ms):
    clock = Clock()
    denials = Denials(clock)
    denials.keep("k", "r", 1, Verdict(0, 10, 0, wait_ms, 300, 0))
    clock.now = 0.999
    assert denials.find("k", "r", 1).source == "cache"
    clock.now = 1.0
    assert denials.find("k", "r", 1) is None


def test_denials_are_bounded_and_forgotten_by_key(monkeypatch):
    monkeypatch.setattr(memory, "DENIALS_MAX", 2)
    denials = Denials(Clock())
    for key in "abc":
        denials.keep(key, "r", 1, DENIAL)
    assert [denials.find(key, "r", 1) is None for key in "abc"] == [True, False, False]
    denials.forget("b")
    assert [denials.find(key, "r", 1) is None for key in "bc"] == [True, False]


def test_a_backlog_has_one_poster_and_each_row_once(monkeypatch):
    monkeypatch.setattr(memory, "BACKLOG_MAX", 2)
    backlog = Backlog()
    first, second = Row("acme", "api", 1, "a", 5), Row("acme", "api", 1, "b", 5)
    for row in (first, first, second):
        assert backlog.has_room(1)
        backlog.add(row)
    assert not backlog.has_room(1)
    assert backlog.begin() == [first, second]
    assert backlog.begin() == []
    backlog.done([first])
    backlog.end()
    assert backlog.begin() == [second]


def test_rows_are_posted_by_thousands_and_in_a_cluster_by_slots():
    rows = [Row(account, "api", 1, str(number), 0) for number in range(1500) for account in ("{x}a", "{x}b", "y")]
    assert [len(batch) for batch in batches(rows, False)] == [1000, 1000, 1000, 1000, 500]
    assert [len(batch) for batch in batches(rows, True)] == [1000, 1000, 1000, 1000, 500]
    assert all(len({row.account == "y" for row in batch}) == 1 for batch in batches(rows, True))
    assert list(batches([], True)) == []


def test_ids_are_uuids_of_version_7_that_grow():
    ids = [new_id() for _ in range(1000)]
    assert {(uuid.UUID(id).version, uuid.UUID(id).variant) for id in ids} == {(7, uuid.RFC_4122)}
    assert len(set(ids)) == 1000
    assert [id[:13] for id in ids] == sorted(id[:13] for id in ids)


def test_words_of_options():
    assert options(cost=3, upto=True, peek=False, wait=None, from_="2025", reason="", scopes=["a", "b"]) == [
        "COST", 3, "UPTO", "FROM", "2025", "SCOPES", "a", "b"]


def test_replies_are_the_same_in_both_protocols():
    rows = [[b"rule", 0, b"kind", b"LIMIT"], [b"rule", 1, b"kind", b"RATE"]]
    as_pairs = [b"plan", b"pro", b"resources", [b"api", [b"rules", rows, b"warned", [b"a", b"b"]]], b"next", None,
                b"notes", []]
    as_maps = {b"plan": b"pro", b"next": None, b"notes": [], b"resources": {
        b"api": {b"rules": [dict(zip(row[::2], row[1::2], strict=True)) for row in rows], b"warned": [b"a", b"b"]}}}
    assert replies.account(as_pairs) == replies.account(as_maps)
    assert replies.account(as_maps)["resources"]["api"] == {
        "rules": [{"rule": 0, "kind": "LIMIT"}, {"rule": 1, "kind": "RATE"}], "warned": ["a", "b"]}
    assert replies.leased([1, 5, 4, 0, 9, 0, b"id", 77]) == Leased(Verdict(1, 5, 4, 0, 9, 0), "id", 77)


def test_errors_are_those_of_the_page():
    """docs/reference/errors.md has a row for each code; the class says the same HTTP status."""
    page = (ROOT / "docs/reference/errors.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+)` \|.*\| (\d{3}) \|$", page, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {
        code: kind.status for code, kind in errors.BY_CODE.items()}
    assert issubclass(errors.Unavailable, errors.redis.ConnectionError)
    assert errors.Unavailable.status == 503


@pytest.mark.parametrize(("raised", "kind"), [
    (errors.redis.ResponseError("NOACCOUNT 'x' was never opened"), errors.NoAccount),
    (errors.redis.ResponseError("wrong number of arguments"), errors.BadCommand),  # redis-py takes ERR away
    (errors.redis.OutOfMemoryError("command not allowed"), errors.OutOfMemory),
    (errors.redis.ResponseError("WRONGTYPE holds a string"), errors.WrongType),
    (errors.redis.exceptions.NoPermissionError("no"), errors.redis.exceptions.NoPermissionError)])
def test_error_replies_become_classes(raised, kind):
    assert type(errors.typed(raised)) is kind
