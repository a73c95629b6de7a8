"""What goes back and what is held: refunds say what really went back, holds post to their own cycles, once.

Most tests run on the slow model and on the module (subjects.py): the values are worked out by hand.
"""

import pytest

from conftest import NOON_MS
from subjects import either  # noqa: F401, a fixture

OK = (b"OK", True, "OK")
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@pytest.fixture
def acme(either):  # noqa: F811
    """Ids are remembered for ten days."""
    either("CONFIG SET quota.id-ttl-ms", 10 * DAY_MS)
    yield either
    either("CONFIG SET quota.id-ttl-ms", DAY_MS)


def values(quota, name, resource="r"):
    return [rule[name] for rule in quota.map(f"QUOTA.INFO a {resource}")["rules"]]


def play(quota, lines):
    """Each line and what it answers first (None: whatever); +1h moves the clock."""
    for line, expected in lines:
        if line.startswith("+"):
            quota.advance(line[1:])
            continue
        answer = quota(f"QUOTA.{line}")
        begins = answer[: len(expected)] if isinstance(expected, list) else answer
        assert expected is None or begins == expected, line


# ---- refunds: refunded, lost, remaining ----

REFUNDS = {
    "the cycle of then has closed": ("LIMIT 10 day", [
        ("CONSUME a r 6 ID x", None), ("+1d", 0), ("CONSUME a r 3", None),
        ("REFUND a r 4 OF x", [4, 0, 7]), ("REFUND a r 2 OF x", [2, 0, 7])]),
    "day and month, the day has closed": ("LIMIT 10 day LIMIT 100 month", [
        ("CONSUME a r 6 ID x", None), ("+1d", 0), ("CONSUME a r 3", None), ("REFUND a r 6 OF x", [6, 0, 7])]),
    "what one rule cannot give another can": ("LIMIT 10 day LIMIT 100 month", [
        ("CONSUME a r 6 ID x", None), ("+1h", 0), ("RESET a r PERIOD day", None), ("+1h", 0),
        ("CONSUME a r 2", None), ("REFUND a r 5 OF x", [5, 0, 8])]),
    "a rolling window has forgotten": ("LIMIT 10 ROLLING 1h", [
        ("CONSUME a r 6 ID x", None), ("+1h", 0), ("CONSUME a r 3", None), ("REFUND a r 6 OF x", [0, 6, 7])]),
    "a rolling window remembers": ("LIMIT 10 ROLLING 1h", [
        ("CONSUME a r 6 ID x", None), ("+30m", 0), ("CONSUME a r 3", None), ("REFUND a r 5 OF x", [5, 0, 6])]),
    "more than is used": ("LIMIT 10 day", [
        ("CONSUME a r 4", None), ("REFUND a r 9", [4, 5, 10]), ("REFUND a r 1", [0, 1, 10])]),
    "the smallest used": ("LIMIT 10 day LIMIT 100 month", [
        ("CONSUME a r 4", None), ("+1d", 0), ("CONSUME a r 1", None), ("REFUND a r 3", [1, 2, 10])]),
    "units of a COST": ("LIMIT 100 day COST 7", [
        ("CONSUME a r 5 ID x", None), ("REFUND a r 2 OF x", [2, 0, 79]), ("REFUND a r 9", [3, 6, 100])]),
    "what SET says is used was never consumed": ("LIMIT 10 day", [
        ("SET a r 1", None), ("CONSUME a r 1 ID x", None), ("REFUND a r 1", [1, 0, 9]),
        ("REFUND a r 1 OF x", [0, 1, 9]),
        ("REFUND a r 5", [1, 4, 10])]),
    "newest first": ("LIMIT 100 day", [
        ("CONSUME a r 30 ID x", None), ("+1h", 0), ("CONSUME a r 20 ID y", None), ("+1h", 0),
        ("REFUND a r 10", [10, 0, 60]), ("+1h", 0), ("REFUND a r 30 OF x", [30, 0, 90]),
        ("REFUND a r 20 OF y", [10, 10, 100])]),
    "together no more than is left": ("LIMIT 100 day", [
        ("CONSUME a r 30 ID x", None), ("+1h", 0), ("CONSUME a r 20 ID y", None), ("+1h", 0),
        ("REFUND a r 40", [40, 0, 90]), ("+1h", 0), ("CONSUME a r 50 ID z", None),
        ("REFUND a r 30 OF x", [10, 20, 50]), ("REFUND a r 20 OF y", [0, 20, 50]),
        ("REFUND a r 50 OF z", [50, 0, 100])]),
    "two marks": ("LIMIT 100 day", [
        ("CONSUME a r 50 ID x", None), ("+1h", 0), ("REFUND a r 50", [50, 0, 100]), ("+1h", 0),
        ("CONSUME a r 50 ID y", None), ("+1h", 0), ("REFUND a r 10", [10, 0, 60]), ("+1h", 0),
        ("REFUND a r 40 OF x", [0, 40, 60]), ("REFUND a r 50 OF y", [40, 10, 100])]),
    "of a commit after a RESET": ("LIMIT 100 day", [
        ("RESERVE a h r 30 TTL 5h", None), ("+1h", 0), ("CONSUME a r 10", None), ("+1h", 0),
        ("COMMIT a h 20", [20, 10, 70]), ("REFUND a r 20 OF h", [20, 0, 90])]),
    "of a rate that was forced beyond its capacity": ("LIMIT 20 day RATE GCRA 5 1h", [
        ("CONSUME a r 8 ID x FORCE", None), ("REFUND a r 8 OF x", [8, 0, 20]), ("CONSUME a r 5", [5, 5, 0])]),
    "of a rate alone after a RESET": ("RATE GCRA 40 1h", [
        ("CONSUME a r 5 ID x", None), ("RESET a", None), ("CONSUME a r 5 ID y", None),
        ("REFUND a r 5 OF x", [0, 5]), ("REFUND a r 5 OF y", [5, 0])]),
    "of a rate alone after a refund without a name": ("RATE FIXED 40 1h", [
        ("CONSUME a r 5 ID x", None), ("CONSUME a r 3 ID y", None), ("REFUND a r 3", [3, 0]),
        ("REFUND a r 3 OF y", [0, 3])]),
    "of a rate alone": ("RATE FIXED 10 1d", [
        ("CONSUME a r 6 ID x", None), ("REFUND a r 4 OF x", [4, 0]), ("REFUND a r 9", [2, 7])]),
}


@pytest.mark.parametrize("name", REFUNDS)
def test_a_refund_says_what_went_back(acme, name):
    rules, lines = REFUNDS[name]
    acme(f"QUOTA.PLAN SET p r {rules}")
    acme("QUOTA.OPEN a p")
    play(acme, lines)


def test_a_refund_reaches_rolling_windows_that_sleep(acme):
    acme("QUOTA.PLAN SET roll r LIMIT 10 day LIMIT 4 ROLLING 1h")
    acme("QUOTA.OPEN b roll")
    acme("QUOTA.CONSUME b r 3 ID x")
    acme("QUOTA.PLAN SET roll r LIMIT 10 day")
    acme("QUOTA.REFUND b r 2 OF x")
    acme("QUOTA.OVERRIDE b r LIMIT 4 ROLLING 1h")  # the window wakes: 1 of the 3 units is still in it
    assert acme("QUOTA.CONSUME b r 4")[0] == 0
    assert acme("QUOTA.CONSUME b r 3")[:3] == [3, 4, 0]
    acme("QUOTA.OVERRIDE b r LIFT")
    acme("QUOTA.RESET b r PERIOD day")  # the day can give nothing back any more, but the sleeping window can
    assert acme("QUOTA.REFUND b r 1 OF x") == [1, 0, 10]


def test_a_refund_into_a_closed_cycle_is_counted_there(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("CONSUME a r 6 ID x", None), ("+1d", 0), ("REFUND a r 4 OF x", [4, 0, 10])])
    (cycle,) = acme.map("QUOTA.HISTORY a r")
    assert (cycle["used"], cycle["refunded"]) == (2, 4)
    assert acme.error("QUOTA.REFUND a r 3 OF x").startswith("REFUNDEXCEEDS")


def test_a_refund_of_more_than_a_consumption_took(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("CONSUME a r 6 ID x", None), ("CONSUME a r 4 ID y", None), ("REFUND a r 4 OF x", [4, 0, 4])])
    assert acme.error("QUOTA.REFUND a r 3 OF x").startswith("REFUNDEXCEEDS")
    assert values(acme, "used") == [6]


# ---- holds ----

HOLDS = {  # plan, lines; the same reply again, another content
    "a commit again": [
        ("RESERVE a h r 5 TTL 1h", None), ("COMMIT a h 3", [3, 2, 97]), ("CONSUME a r 7", None),
        ("COMMIT a h 3", [3, 2, 97])],
    "all of it again": [
        ("RESERVE a h r 5 TTL 1h", None), ("COMMIT a h", [5, 0, 95]), ("COMMIT a h 5", [5, 0, 95]),
        ("COMMIT a h", [5, 0, 95])],
    "a release again": [
        ("RESERVE a h r 5 TTL 1h", None), ("RELEASE a h", [0, 5, 100]), ("CONSUME a r 7", None),
        ("RELEASE a h", [0, 5, 100]), ("COMMIT a h 0", [0, 5, 100])],
    "after its end": [
        ("RESERVE a h r 5 TTL 1h", None), ("COMMIT a h 3", [3, 2, 97]), ("+2h", 0), ("COMMIT a h 3", [3, 2, 97])],
    "extended from now": [
        ("RESERVE a h r 5 TTL 1h", None), ("+30m", 0), ("EXTEND a h 1h", NOON_MS + 90 * 60_000),
        ("EXTEND a h 1h", NOON_MS + 90 * 60_000), ("+30m", 0), ("EXTEND a h 1h", NOON_MS + 120 * 60_000)],
    "more with force": [
        ("RESERVE a h r 90 TTL 1h", None), ("COMMIT a h 120 FORCE", [120, 0, 0]), ("COMMIT a h 120", [120, 0, 0]),
        ("REFUND a r 30 OF h", [30, 0, 10])],
    "less with force": [("RESERVE a h r 90 TTL 1h", None), ("COMMIT a h 20 FORCE", [20, 70, 80])],
    "late with force": [
        ("RESERVE a h r 10 TTL 1h", None), ("+26h", 0), ("COMMIT a h 15 FORCE", [15, 0, 85]),
        ("COMMIT a h 15 FORCE", [15, 0, 85]), ("REFUND a r 15 OF h", [15, 0, 100])],
}


@pytest.mark.parametrize("name", HOLDS)
def test_holds_resolve_once_and_answer_again(acme, name):
    acme("QUOTA.PLAN SET p r LIMIT 100 day")
    acme("QUOTA.OPEN a p")
    play(acme, HOLDS[name])


@pytest.mark.parametrize("first, others", [
    ("COMMIT a h 3", ["COMMIT a h", "COMMIT a h 2", "RELEASE a h", "COMMIT a h 0", "COMMIT a h 9 FORCE",
                      "EXTEND a h 1h"]),
    ("RELEASE a h", ["COMMIT a h", "COMMIT a h 5", "EXTEND a h 1h"]),
    ("COMMIT a h 9 FORCE", ["COMMIT a h", "COMMIT a h 5", "RELEASE a h"])], ids=["committed", "released", "forced"])
def test_other_content_is_resolved(acme, first, others):
    acme("QUOTA.PLAN SET p r LIMIT 100 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("RESERVE a h r 5 TTL 1h", None), (first, None)])
    before = values(acme, "used")
    for line in others:
        assert acme.error(f"QUOTA.{line}").startswith("RESOLVED")
    assert values(acme, "used") == before


def test_an_expired_hold_is_resolved_without_force(acme):
    acme("QUOTA.PLAN SET p r LIMIT 100 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("RESERVE a h r 5 TTL 1h", None), ("+1h", 0)])
    for line in ("COMMIT a h", "RELEASE a h", "EXTEND a h 1h"):
        assert acme.error(f"QUOTA.{line}").startswith("RESOLVED")
    assert values(acme, "used") == [0]


def test_a_commit_posts_to_the_cycles_of_then_and_a_refund_of_it_too(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month")
    acme("QUOTA.OPEN a p")
    play(acme, [("RESERVE a h r 8 TTL 3d", None), ("+30h", 0), ("CONSUME a r 2", None),
                  ("COMMIT a h 6", [6, 2, 8])])
    assert values(acme, "used") == [2, 8]
    play(acme, [("REFUND a r 4 OF h", [4, 0, 8])])
    assert values(acme, "used") == [2, 4]
    assert [(cycle["used"], cycle["refunded"]) for cycle in acme.map("QUOTA.HISTORY a r")] == [(2, 4)]


def test_a_hold_of_then_does_not_post_to_a_limit_that_slept(acme):
    """The day left before the hold was made, and came back: it has a cycle of that instant."""
    acme("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month")
    acme("QUOTA.PLAN SET q r LIMIT 100 month")
    acme("QUOTA.OPEN a p")
    play(acme, [("CONSUME a r 1", None), ("SWITCH a q FULL", None), ("RESERVE a h r 5 TTL 1h", None)])
    play(acme, [("SWITCH a p FULL", None), ("COMMIT a h 4", [4, 1, 5])])
    assert values(acme, "used") == [5, 5]


@pytest.mark.parametrize("later, day, closed", [
    ([], [1], [(1, 2)]),
    (["PLAN SET p r LIMIT 100 month", "REFUND a r 1 OF h", "PLAN SET p r LIMIT 10 day CALENDAR"], [0], [(0, 3)]),
    (["+1d", "REFUND a r 1 OF h"], [0], [(0, 3), (0, 3)])], ids=["running", "asleep", "closed"])
def test_a_refund_of_a_commit_reaches_limits_that_have_joined(acme, later, day, closed):
    """The days of the calendar come while units are held: the one of the commit counts them, and gives them back."""
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("RESERVE a h r 3 TTL 3d", None), ("+1us", 0), ("PLAN SET p r LIMIT 10 day CALENDAR", None),
                ("+1d", 0), ("COMMIT a h", [3, 0, 7]), ("REFUND a r 2 OF h", [2, 0, 9])])
    play(acme, [(line, None) for line in later])
    assert values(acme, "used") == day
    assert [(cycle["used"], cycle["refunded"]) for cycle in acme.map("QUOTA.HISTORY a r")] == closed


def test_a_limit_that_has_joined_bounds_refunds_too(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("RESERVE a h r 3 TTL 3d", None), ("+1us", 0),
                ("PLAN SET p r LIMIT 10 day CALENDAR REFUNDS MAX 4", None), ("+1d", 0), ("COMMIT a h", None),
                ("CONSUME a r 4 ID x", None), ("REFUND a r 3 OF x", [3, 0, 6])])
    assert acme.error("QUOTA.REFUND a r 2 OF h").startswith("LIMITED")
    play(acme, [("REFUND a r 1 OF h", [1, 0, 7])])


def test_ended_holds_do_not_count(acme):
    acme("QUOTA.PLAN SET p r LIMIT 100 day HOLDS MAX 2")
    acme("QUOTA.OPEN a p")
    play(acme, [(f"RESERVE a h{number} r 1 TTL {seconds}s", None) for number, seconds in ((1, 1), (2, 9))])
    assert acme.error("QUOTA.RESERVE a h3 r 1 TTL 1s").startswith("LIMITED")
    play(acme, [("+1s", 0), ("RESERVE a h3 r 1 TTL 1s", None), ("COMMIT a h2", None)])
    play(acme, [("RESERVE a h4 r 1 TTL 1s", None)])


# ---- whose denial it was ----


# ---- everything that a consumption took ----

TAKEN = {
    "of one resource": [("CONSUME a r 6 ID x", None), ("REFUND a r 1 OF x", None), ("REFUND a ALL OF x", [5, 0, 100])],
    "of a batch": [("MCONSUME a 2 s 3 r 5 ID x", None), ("REFUND a ALL OF x", [[3, 0, 10], [5, 0, 100]])],
    "of a batch of one": [("MCONSUME a 1 s 3 ID x", None), ("REFUND a ALL OF x", [3, 0, 10])],
    "of the first that admitted": [
        ("MCONSUME a 2 s 11 r 5 ANY ID x", None), ("REFUND a ALL OF x", [[0, 0, 10], [5, 0, 100]])],
    "of one resource after the other": [
        ("CONSUME a s 1", None), ("CONSUME a r 5 ID x", None), ("CONSUME a s 2 ID x", None),
        ("REFUND a ALL OF x", [[2, 0, 9], [5, 0, 100]])],  # in the order of their first use
    "of a reservation": [
        ("RESERVE a x r 5 s 3 TTL 1h", None), ("COMMIT a x 4 0", None),
        ("REFUND a ALL OF x", [[4, 0, 100], [0, 0, 10]])],
    "whose cycles have closed": [
        ("MCONSUME a 2 s 3 r 5 ID x", None), ("+25h", 0), ("CONSUME a s 1", None),
        ("REFUND a ALL OF x", [[3, 0, 9], [5, 0, 100]])],
    "what is lost": [
        ("MCONSUME a 2 s 3 r 5 ID x", None), ("+1h", 0), ("RESET a s", None),
        ("REFUND a ALL OF x", [[0, 3, 10], [5, 0, 100]])],
}


@pytest.fixture
def two(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 day")
    accounts("QUOTA.PLAN SET p s LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    accounts("CONFIG SET quota.id-ttl-ms", 10 * DAY_MS)
    yield accounts
    accounts("CONFIG SET quota.id-ttl-ms", DAY_MS)


@pytest.mark.parametrize("name", TAKEN)
def test_everything_comes_back_once(two, name):
    play(two, TAKEN[name])
    before = two("DUMP a")
    again = two("QUOTA.REFUND a ALL OF x")  # a retry learns that nothing is left
    rows = again if isinstance(again[0], list) else [again]
    assert {tuple(row[:2]) for row in rows} == {(0, 0)}
    assert two("DUMP a") == before


def test_a_refund_of_everything_is_remembered_under_its_id(two):
    play(two, [("MCONSUME a 2 s 3 r 5 ID x", None), ("MCONSUME a 2 s 1 r 1 ID y", None)])
    first = two("QUOTA.REFUND a ALL OF x ID i REASON outage")
    two("QUOTA.CONSUME a r 9")
    assert two("QUOTA.REFUND a ALL OF x ID i") == first == [[3, 0, 9], [5, 0, 99]]
    assert two.error("QUOTA.REFUND a ALL OF y ID i").startswith("IDCONFLICT")
    assert two.error("QUOTA.REFUND a ALL OF absent").startswith("NOSUCHID")
    assert two("QUOTA.REFUND a r 1 OF y ID i")[:2] == [1, 0]  # of one resource an id of its own
    notes = [(note["act"], note["resource"], note["amount"], note["reason"])
             for note in two.map("QUOTA.INFO a")["notes"] if note["act"] == "refund"]
    assert notes[-3:] == [("refund", "s", 3, "outage"), ("refund", "r", 5, "outage"), ("refund", "r", 1, "")]


def test_one_refusal_refuses_all(two):
    two("QUOTA.PLAN SET p s LIMIT 10 day REFUNDS MAX 2")
    two("QUOTA.MCONSUME a 2 r 5 s 3 ID x")
    before = two("DUMP a")
    assert two.error("QUOTA.REFUND a ALL OF x").startswith("LIMITED 's'")
    assert two("DUMP a") == before
    two("QUOTA.PLAN SET p s LIMIT 10 day REFUNDS MAX 9 WITHIN 1h")
    two.advance("1h")
    assert two("QUOTA.REFUND a ALL OF x") == [[5, 0, 100], [3, 0, 10]]


def test_a_resource_may_be_called_all(two):
    two("QUOTA.PLAN SET p ALL LIMIT 10 day")
    two("QUOTA.CONSUME a ALL 5 ID x")
    assert two("QUOTA.REFUND a ALL 2 OF x") == [2, 0, 7]
    assert two("QUOTA.REFUND a ALL 1") == [1, 0, 8]
    assert two("QUOTA.REFUND a all OF x") == [2, 1, 10]  # three were left of it, one had come back without its name
    for words in ("ALL ID y", "ALL REASON why", "ALL", "ALL OF"):
        two.error(f"QUOTA.REFUND a {words}")


def test_a_denial_counts_in_the_cycle_of_the_rule_that_decided(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 12 week LIMIT 100 month RATE FIXED 11 1h")
    acme("QUOTA.OPEN a p")
    play(acme, [("CONSUME a r 10", None), ("CONSUME a r 1", None)])  # the day
    play(acme, [("+1d", 0), ("CONSUME a r 2", None)])
    for _ in range(3):
        play(acme, [("CONSUME a r 1", None)])  # the week
    play(acme, [("CONSUME a r 50", None)])  # never within a day or a week: the first of them
    acme.advance("30d")
    denied = {}
    for cycle in acme.map("QUOTA.HISTORY a r COUNT 1000"):
        denied[cycle["period"]] = denied.get(cycle["period"], 0) + cycle["denied"]
    assert denied == {"day": 2, "week": 3, "month": 0}


def test_a_denial_in_an_unused_cycle_is_not_kept(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    play(acme, [("CONSUME a r 11", [0, 10, 10, -1, 0, 0]), ("CONSUME a r 1", None), ("CONSUME a r 11", None)])
    acme.advance("1d")
    assert [cycle["denied"] for cycle in acme.map("QUOTA.HISTORY a r")] == [1]


def test_what_a_closed_cycle_takes_back_need_not_be_repaid(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 20 hour BURST 50% REPAY")
    accounts("QUOTA.OPEN a p")
    assert accounts("QUOTA.CONSUME a r 25 ID y")[0] == 25
    accounts.advance("1h")
    assert accounts("QUOTA.CHECK a r 1")[0][2] == 25  # 20 + 10 - 5
    assert accounts("QUOTA.REFUND a r 3 OF y") == [3, 0, 28]
    assert accounts("QUOTA.CHECK a r 1")[0][2] == 28


# Other RATEs come into force, and take over 3 units then. A command that checks none of them writes the account down:
# what they took over is that of the instant all the same.
WRITES = {"INFO a r": 3, "COMMIT a h": 3, "COMMIT a h 0": 2, "RELEASE a h": 2, "REFUND a r 1 OF x": 2,
          "REFUND a r 1": 2, "SET a r 5": 3, "RESET a r PERIOD day": 3, "MCONSUME a 2 s 1 r 1 ANY": 3,
          "GRANT a g r 5": 3, "VOID a old": 3, "TRANSFER b a r 1 ID t": 3, "TRANSFER a b r 1 ID t": 3, "SUSPEND a": 3,
          "SWITCH a q FULL": 3}


@pytest.mark.parametrize("change", ["PLAN SET p r LIMIT 10 day RATE GCRA 5 1h", "OVERRIDE a r RATE GCRA 5 1h",
                                    "an override ends"])
@pytest.mark.parametrize("line", WRITES)
def test_rates_take_over_when_they_come_whatever_is_written_later(accounts, line, change):
    ends = change.startswith("an ")
    fast, slow = "LIMIT 10 day RATE GCRA 3 1s BURST 9", "LIMIT 10 day RATE GCRA 5 1h"
    accounts(f"QUOTA.PLAN SET p r {slow if ends else fast}")
    accounts("QUOTA.PLAN SET p s LIMIT 10 day")
    accounts(f"QUOTA.PLAN SET q r {slow}")
    for name in ("a", "b"):
        accounts(f"QUOTA.OPEN {name} p")
        accounts(f"QUOTA.GRANT {name} old r 9")
    if ends:
        accounts("QUOTA.OVERRIDE a r RATE GCRA 3 1s BURST 9 EX 1ms")
    accounts("QUOTA.CONSUME a r 2 ID x")
    accounts("QUOTA.RESERVE a h r 1 TTL 1h")
    accounts.advance("1ms")
    if not ends:
        accounts(f"QUOTA.{change}")
    accounts.advance("10s")
    accounts(f"QUOTA.{line}")
    if line == "SUSPEND a":
        accounts("QUOTA.RESUME a")
    (rate,) = [rule for rule in accounts.map("QUOTA.INFO a r")["rules"] if rule["kind"] == "RATE"]
    assert (rate["limit"], rate["used"]) == (5, WRITES[line])
    assert accounts("QUOTA.CHECK a r 9")[0][:3] == [0, 5, 5 - WRITES[line]]


@pytest.mark.parametrize("touched", [[], ["SUSPEND a", "RESUME a"], ["SET a r 1"], ["CONSUME a r 11"]],
                         ids=["lazy", "suspended", "set", "denied"])
def test_rates_take_over_under_every_rule_there_was(acme, touched):
    """A unit that takes 12 minutes to come back takes a third of a second under the rules between."""
    acme("QUOTA.PLAN SET p r LIMIT 10 day RATE GCRA 5 1h")
    acme("QUOTA.PLAN SET q r LIMIT 10 day RATE GCRA 3 1s BURST 9")
    acme("QUOTA.OPEN a p")
    acme("QUOTA.CONSUME a r 1")
    acme(f"QUOTA.SWITCH a q AT {NOON_MS + 1}")
    acme.advance("500ms")
    for line in touched:
        acme(f"QUOTA.{line}")
    acme.advance("500ms")
    acme("QUOTA.PLAN SET q r LIMIT 10 day RATE GCRA 5 1h")
    assert values(acme, "used") == [1, 0]
    assert acme("QUOTA.CONSUME a r 2")[:3] == [2, 5, 3]
    assert values(acme, "used") == [3, 2]


@pytest.mark.parametrize("rate", ["TOKEN 4 1h BURST 8", "TOKEN 4 1h BURST 8 INTERVAL", "GCRA 8 1h", "LEAKY 8 1h",
                                  "QUEUE 8 1h BURST 7", "FIXED 8 1h", "SLIDING 8 1h", "LOG 8 1h"])
def test_rates_give_back_what_force_took_beyond_them(acme, rate):
    acme(f"QUOTA.PLAN SET p r LIMIT 20 day RATE {rate}")
    acme("QUOTA.OPEN a p")
    acme("QUOTA.RESERVE a h r 1 TTL 1h")
    assert acme("QUOTA.COMMIT a h 9 FORCE") == [9, 0, 11]
    assert acme("QUOTA.REFUND a r 9 OF h") == [9, 0, 20]
    assert acme("QUOTA.CONSUME a r 8")[:3] == [8, 8, 0]


def test_a_denial_that_begins_a_bucket_writes_down_its_other_rows(acme):
    for plan, limit in ("p", 10), ("q", 20):
        acme(f"QUOTA.PLAN SET {plan} r LIMIT 10 day RATE TOKEN 4 1h INITIAL 0")
        acme(f"QUOTA.PLAN SET {plan} s LIMIT {limit} day")
    acme("QUOTA.OPEN a p")
    acme("QUOTA.CONSUME a s 1")
    acme(f"QUOTA.SWITCH a q AT {NOON_MS + DAY_MS // 2}")
    acme.advance("18h")
    assert acme("QUOTA.MCONSUME a 2 r 1 s 1")[0][0] == 0
    assert values(acme, "limit", "s") == [15]  # half a day at 10, half a day at 20


def test_what_a_bucket_lacked_from_its_beginning_cannot_come_back(acme):
    acme("QUOTA.PLAN SET p r RATE TOKEN 4 1h BURST 8 INITIAL 3")
    acme("QUOTA.OPEN a p")
    assert acme("QUOTA.REFUND a r 1")[:2] == [0, 1]
    acme("QUOTA.CONSUME a r 2")
    assert acme("QUOTA.REFUND a r 5")[:2] == [2, 3]
    assert acme("QUOTA.CONSUME a r 3")[:3] == [3, 8, 0]


def test_nothing_comes_back_beyond_a_max_that_was_lowered(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day")
    acme("QUOTA.OPEN a p")
    acme("QUOTA.CONSUME a r 2")
    acme("QUOTA.REFUND a r 2")
    acme("QUOTA.OVERRIDE a r REFUNDS MAX 1")
    assert acme("QUOTA.REFUND a r 1") == [0, 1, 10]  # nothing is there to come back
    acme("QUOTA.CONSUME a r 1")
    assert "LIMITED" in acme.error("QUOTA.REFUND a r 1")


def test_a_denial_that_begins_a_bucket_takes_over_once(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day RATE FIXED 9 1d")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.PLAN SET p r LIMIT 10 day RATE GCRA 5 1h")
    accounts("QUOTA.PLAN SET p r LIMIT 10 day RATE FIXED 9 1d RATE TOKEN 4 1h BURST 8 INITIAL 0")
    assert accounts("QUOTA.CONSUME a r 4")[::3] == [0, 3_600_000]
    accounts.advance("1h")
    assert accounts("QUOTA.CONSUME a r 4")[0] == 4
    assert values(accounts, "used") == [5, 5, 8]  # of the 8 of the bucket 4 have never come


@pytest.mark.parametrize("line, used", [("REFUND a r 1 OF x", 2), ("REFUND a r 2", 1), ("COMMIT a h 0", 2)])
def test_a_replica_takes_what_goes_back_to_more_rates_than_there_were(accounts, line, used):
    """The takeover and what goes back are one step: the second fits the rates as the first leaves them."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day RATE LOG 9 1h")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 2 ID x")
    accounts("QUOTA.RESERVE a h r 1 TTL 1h")
    accounts("QUOTA.PLAN SET p r LIMIT 10 day RATE GCRA 3 1s BURST 9 RATE FIXED 8 1d RATE LOG 9 1h")
    accounts(f"QUOTA.{line}")
    rates = [rule for rule in accounts.map("QUOTA.INFO a r")["rules"] if rule["kind"] == "RATE"]
    assert [rate["used"] for rate in rates] == [0, 0, used]


# A commit's `remaining` is what is left after it: a grace counts from the instant of the reservation, and what a closed
# cycle is overdrawn by is repaid.
@pytest.mark.parametrize("rules, used, left", [
    ("LIMIT 10 day GRACE 1h", 8, 0), ("LIMIT 20 hour BURST 50% REPAY", 20, 22)])
def test_a_commit_answers_what_is_left_after_it(accounts, rules, used, left):
    accounts(f"QUOTA.PLAN SET p r {rules}")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r", used)
    accounts("QUOTA.RESERVE a h r 8 TTL 2d")
    accounts.advance("1h")
    assert accounts("QUOTA.COMMIT a h") == [8, 0, left]
    assert accounts("QUOTA.CHECK a r 1")[0][2] == left
