"""An account's life, as operators shape it: switches to come, restarts, ends, suspensions, corrections, reasons.

Most tests run on the slow model and on the module (subjects.py): the values are worked out by hand.
"""

import datetime as dt

import pytest

from conftest import NOON_MS
from subjects import either  # noqa: F401, a fixture

OK = (b"OK", True, "OK")
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@pytest.fixture
def acme(either):  # noqa: F811
    """Plan p: 100 in 30 days, 50 a day. Plan q: 400 in 30 days. a is on p, 40 used at noon."""
    either("QUOTA.PLAN SET p r LIMIT 100 30d LIMIT 50 day")
    either("QUOTA.PLAN SET q r LIMIT 400 30d")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 40")
    return either


def values(quota, name, account="a"):
    return [rule[name] for rule in quota.map(f"QUOTA.INFO {account} r")["rules"]]


def info(quota, name, account="a"):
    return quota.map(f"QUOTA.INFO {account}")[name]


# ---- SWITCH … AT ----


@pytest.mark.parametrize("mode, limit", [("PRORATE", 300), ("FULL", 400), ("", 300)])
def test_a_switch_at_an_instant(acme, mode, limit):
    at = NOON_MS + 10 * DAY_MS
    assert acme(f"QUOTA.SWITCH a q {mode} AT {at}") in OK
    acme("QUOTA.CLOCK FREEZE", at - 1)
    assert (values(acme, "limit"), info(acme, "next")) == ([100, 50], {"plan": "q", "at": at})
    acme("QUOTA.CLOCK FREEZE", at)
    assert (values(acme, "limit"), info(acme, "next"), info(acme, "plan")) == ([limit], None, "q")
    acme("QUOTA.CLOCK FREEZE", at + 5 * DAY_MS)
    assert (values(acme, "limit"), values(acme, "used")) == ([limit], [40])


@pytest.mark.parametrize("first", [f"AT {NOON_MS + 10 * DAY_MS}", "END"])
def test_a_switch_to_its_own_plan_cancels_the_one_to_come(acme, first):
    acme(f"QUOTA.SWITCH a q {first}")
    assert info(acme, "next")["plan"] == "q"
    before = values(acme, "limit"), values(acme, "used")
    assert acme("QUOTA.SWITCH a p FULL") in OK
    assert info(acme, "next") is None
    assert (values(acme, "limit"), values(acme, "used")) == before
    acme.advance("40d")
    assert info(acme, "plan") == "p"


def test_a_switch_to_its_own_plan_changes_no_limit(acme):
    acme.advance("10d")
    acme("QUOTA.PLAN SET p r LIMIT 400 30d APPLY PRORATE")
    acme("QUOTA.SWITCH a p FULL")  # FULL would be 400
    assert values(acme, "limit") == [300]


def test_a_switch_takes_the_revision_in_force_when_it_comes(acme):
    at = NOON_MS + 10 * DAY_MS
    acme(f"QUOTA.SWITCH a q FULL AT {at}")
    acme.advance("5d")
    acme("QUOTA.PLAN SET q r LIMIT 700 30d")
    acme("QUOTA.CLOCK FREEZE", at + DAY_MS)
    acme("QUOTA.PLAN SET q r LIMIT 900 30d APPLY PRORATE")
    acme("QUOTA.CLOCK FREEZE", at + 5 * DAY_MS)
    assert values(acme, "limit") == [827]  # 700 x 11 + 900 x 19 = 24800


# ---- RESTART ----


def test_restart_closes_the_cycles_and_anchors_the_account(acme):
    acme.advance("10d")
    acme("QUOTA.CONSUME a r 7")
    at = NOON_MS + 10 * DAY_MS + HOUR_MS
    acme.advance("1h")
    acme("QUOTA.SWITCH a q RESTART")
    assert (info(acme, "anchor"), values(acme, "limit"), values(acme, "used")) == (at, [400], [0])
    assert (values(acme, "start"), values(acme, "end")) == ([at], [at + 30 * DAY_MS])
    closed = [(cycle["period"], cycle["end"], cycle["used"]) for cycle in acme.map("QUOTA.HISTORY a r")[:2]]
    assert sorted(closed) == [("30d", at, 47), ("day", at, 7)]


def test_restart_at_an_instant(acme):
    at = NOON_MS + 10 * DAY_MS + 1234
    acme(f"QUOTA.SWITCH a q FULL AT {at} RESTART")
    acme("QUOTA.CLOCK FREEZE", at + 9 * DAY_MS)
    assert (info(acme, "anchor"), values(acme, "start"), values(acme, "used")) == (at, [at], [0])


@pytest.mark.parametrize("used", [0, 4])
def test_restart_where_a_cycle_begins(either, used):  # noqa: F811
    """That cycle is not closed, it is as long as the new anchor says: from January 31 on to March 28, not March 31."""
    either("QUOTA.PLAN SET p r LIMIT 10 month")
    either("QUOTA.PLAN SET q r LIMIT 20 month")
    either("QUOTA.OPEN a p")
    if used:
        either("QUOTA.CONSUME a r", used)
    either("QUOTA.SWITCH a q END RESTART")
    either.advance("28d")
    start = NOON_MS + 28 * DAY_MS
    for _ in range(2):
        assert (values(either, "start"), values(either, "end")) == ([start], [start + 28 * DAY_MS])
        either("QUOTA.CONSUME a r 3")
        assert values(either, "used") == [3]
        either("QUOTA.RESET a")
    either("QUOTA.SWITCH a p RESTART")
    assert (values(either, "start"), values(either, "end")) == ([start], [start + 28 * DAY_MS])


def test_a_limit_goes_on_through_a_restart(either):  # noqa: F811
    """It was used, so its next cycle is one that a hold is posted to, also while it sleeps."""
    either("QUOTA.PLAN SET p r LIMIT 10 month")
    either("QUOTA.PLAN SET q r LIMIT 20 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 1")
    either.advance("1d")
    either("QUOTA.SWITCH a q RESTART")
    either("QUOTA.OVERRIDE a r ONLY LIMIT 5 day")
    either("QUOTA.RESERVE a h r 3 TTL 1h")
    assert either("QUOTA.COMMIT a h") == [3, 0, 2]
    either("QUOTA.OVERRIDE a r LIFT")
    assert values(either, "used") == [3]


RESTARTED = "2025-02-01T15:00:00Z"
FIRST_USES = ["QUOTA.CONSUME a r 4 ID x", "QUOTA.MCONSUME a 1 r 4 ID x", "QUOTA.INGEST a r 4 x *",
              "QUOTA.RESERVE a x r 4 TTL 1d"]


@pytest.mark.parametrize("use", FIRST_USES)
@pytest.mark.parametrize("rules", ["LIMIT 5 day CALENDAR", "LIMIT 5 week CALENDAR LIMIT 5 day CALENDAR"])
def test_the_first_use_behind_a_restart_that_comes_with_it_counts(accounts, rules, use):
    """A boundary of the calendar lies between the two, and the resource was never used."""
    accounts("QUOTA.PLAN SET p r LIMIT 5 day")
    accounts(f"QUOTA.PLAN SET q r {rules}")
    accounts("QUOTA.OPEN a p")
    accounts(f"QUOTA.SWITCH a q RESTART AT {RESTARTED}")
    accounts.advance("33h")
    accounts(use)
    if "RESERVE" in use:
        assert accounts("QUOTA.COMMIT a x") == [4, 0, 1]
    assert set(values(accounts, "used")) == {4}
    assert accounts("QUOTA.RECORD a x")
    assert accounts.map("QUOTA.HISTORY a r") == []


def test_what_is_ingested_for_ever_before_a_restart_counts_there(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 forever")
    accounts("QUOTA.OPEN a p")
    accounts.advance("6d")
    accounts("QUOTA.SWITCH a p RESTART")
    assert accounts("QUOTA.INGEST a r 2 x", NOON_MS + HOUR_MS) == [2]
    closed, = accounts.map("QUOTA.HISTORY a r")
    assert (closed["start"], closed["end"], closed["used"]) == (NOON_MS, NOON_MS + 6 * DAY_MS, 2)
    assert (values(accounts, "start"), values(accounts, "used")) == ([NOON_MS + 6 * DAY_MS], [0])


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("prorate", ["", " PRORATE"])
def test_a_restart_cuts_the_calendar_s_cycle_in_two(accounts, prorate, at_once):
    """What was used, held or comes after the fact counts on its side of the cut, once."""
    accounts("CONFIG SET quota.id-ttl-ms", 30 * DAY_MS)
    accounts(f"QUOTA.PLAN SET p r LIMIT 280 month CALENDAR{prorate}")
    accounts("QUOTA.OPEN a p ANCHOR 2025-01-01T00:00:00Z")
    accounts("QUOTA.CLOCK FREEZE 2025-02-03T00:00:00Z")
    accounts("QUOTA.CONSUME a r 10 ID x")
    accounts("QUOTA.RESERVE a h r 3 TTL 10d")
    at = dt.datetime(2025, 2, 8, tzinfo=dt.timezone.utc).timestamp() * 1000
    if not at_once:
        accounts(f"QUOTA.SWITCH a p RESTART AT {at:.0f}")
    accounts("QUOTA.CLOCK FREEZE", f"{at:.0f}")
    if at_once:
        accounts("QUOTA.SWITCH a p RESTART")
    month = 280 if not prorate else 210  # of 28 days 21 are left
    assert (values(accounts, "start"), values(accounts, "limit"), values(accounts, "held")) == ([at], [month], [0])
    assert accounts("QUOTA.COMMIT a h") == [3, 0, month]
    assert accounts("QUOTA.INGEST a r 2 y 2025-02-07T00:00:00Z") == [2]
    assert accounts("QUOTA.REFUND a r 4 OF x") == [4, 0, month]
    assert values(accounts, "used") == [0]
    accounts("QUOTA.CONSUME a r 7")
    accounts.advance("30d")
    after, before = [(one["start"], one["end"], one["used"]) for one in accounts.map("QUOTA.HISTORY a r")[:2]]
    assert (after[0], after[2], before[1], before[2]) == (at, 7, at, 11)


def test_idle_cycles_are_listed_the_same_before_and_after_a_later_change(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts.advance("30h")
    accounts("QUOTA.SWITCH a p RESTART")
    accounts.advance("48h")
    listed = accounts.map("QUOTA.HISTORY a r")
    starts = [(one["start"] - NOON_MS) // HOUR_MS for one in listed]
    assert starts == [54, 30, 24, 0]
    accounts("QUOTA.CONSUME a r 1")
    assert accounts.map("QUOTA.HISTORY a r") == listed


def test_restart_and_a_refund_of_what_came_after_it(accounts):
    """The calendar's day goes on: it gives back what was consumed since, and nothing of before."""
    accounts("QUOTA.PLAN SET c r LIMIT 10 day CALENDAR")
    accounts("QUOTA.PLAN SET d r LIMIT 20 day CALENDAR")
    accounts("QUOTA.OPEN b c")
    accounts("QUOTA.CONSUME b r 4 ID x")
    accounts.advance("1h")
    accounts("QUOTA.SWITCH b d RESTART")
    accounts("QUOTA.CONSUME b r 5 ID y")
    assert accounts("QUOTA.REFUND b r 2 OF x") == [2, 0, 15]  # into the day that was closed
    assert accounts("QUOTA.REFUND b r 5 OF y") == [5, 0, 20]


def test_restart_carries_a_debt_on(either):  # noqa: F811
    either("QUOTA.PLAN SET p r LIMIT 10 30d BURST 150 REPAY")
    either("QUOTA.PLAN SET q r LIMIT 20 30d BURST 150 REPAY")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 25")
    either.advance("1d")
    either("QUOTA.SWITCH a q RESTART")
    assert values(either, "limit") == [5]
    assert either("QUOTA.CONSUME a r 100 UPTO")[0] == 35  # 20 + 30 - 15


def test_changes_at_one_instant_through_a_plan_that_alone_knows_the_resource(either):  # noqa: F811
    """FULL lets the part before it count, so it does when the account leaves and comes back at that very instant."""
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.PLAN SET w s LIMIT 10 day")
    either("QUOTA.OPEN a p")
    either(f"QUOTA.SWITCH a w FULL AT {NOON_MS + 2 * HOUR_MS}")
    either.advance("2h")
    either("QUOTA.SWITCH a p PRORATE")
    either("QUOTA.SWITCH a w PRORATE")
    assert either("QUOTA.CONSUME a s 1")[:3] == [1, 10, 9]


# ---- OPEN … EXPIRES, THEN ----

ENDS = [  # in Berlin, opened January 31 at 16:00 local: EXPIRES ──▶ when, in UTC
    ("24h", "2025-02-01T15:00"), ("day", "2025-02-01T15:00"), ("1w", "2025-02-07T15:00"), ("10d", "2025-02-10T15:00"),
    ("month", "2025-02-28T15:00"), ("2month", "2025-03-31T14:00"), ("quarter", "2025-04-30T14:00"),
    ("2025-02-28T15:00:00Z", "2025-02-28T15:00"),
]


@pytest.mark.parametrize("expires, end", ENDS)
def test_an_end_counted_from_the_opening(acme, expires, end):
    at = int(dt.datetime.fromisoformat(end).replace(tzinfo=dt.timezone.utc).timestamp()) * 1000
    acme(f"QUOTA.OPEN b p ZONE Europe/Berlin EXPIRES {expires}")
    assert info(acme, "expires", "b") == at
    acme.advance("12h")
    acme(f"QUOTA.OPEN b p ZONE Europe/Berlin EXPIRES {expires}")  # opening again prolongs nothing
    assert info(acme, "expires", "b") == at


@pytest.mark.parametrize("words", ["RESTART", f"AT {NOON_MS + 5 * DAY_MS + 1} RESTART"])
def test_an_end_counted_from_the_opening_is_not_counted_from_a_restart(acme, words):
    acme.advance("5d")
    assert acme(f"QUOTA.SWITCH a q {words}") in OK
    acme.advance("1d")
    assert acme("QUOTA.OPEN a q EXPIRES 30d") in OK
    assert info(acme, "expires") == NOON_MS + 30 * DAY_MS


def test_rules_that_no_account_could_have_are_an_error_of_their_own(acme):
    """A slow lane needs something that refuses: said of an account that is closed, too."""
    line = "QUOTA.OVERRIDE a r ONLY THROTTLE GCRA 2 1h"
    assert not acme.error(line).startswith("NOACCOUNT")
    assert acme("QUOTA.CLOSE a") in OK
    assert not acme.error(line).startswith("NOACCOUNT")
    assert acme.error("QUOTA.OVERRIDE a r LIMIT 5 day").startswith("NOACCOUNT")


def test_then_says_what_it_falls_to(acme):
    acme("QUOTA.PLAN SET fallback r LIMIT 3 30d")
    acme("CONFIG SET quota.default-plan fallback")
    acme("QUOTA.OPEN b p EXPIRES 10d THEN q")
    acme("QUOTA.OPEN c p EXPIRES 10d")
    for name in "bc":
        acme(f"QUOTA.CONSUME {name} r 5")
    acme.advance("10d")
    assert [info(acme, "plan", name) for name in "bc"] == ["q", "fallback"]
    assert [values(acme, "limit", name) for name in "bc"] == [[400], [3]]
    assert [info(acme, "expires", name) for name in "bc"] == [-1, -1]
    acme("CONFIG SET quota.default-plan", "")


def test_an_end_and_a_switch_at_one_instant(acme):
    """Who comes to an end goes nowhere else."""
    at = NOON_MS + 10 * DAY_MS
    acme("QUOTA.PLAN SET w r LIMIT 3 30d")
    acme("QUOTA.OPEN b p EXPIRES 10d THEN w")
    acme(f"QUOTA.SWITCH b q AT {at}")
    acme("QUOTA.CLOCK FREEZE", at + DAY_MS)
    assert (info(acme, "plan", "b"), info(acme, "next", "b")) == ("w", None)


def test_a_plan_that_is_retired_later_was_there_when_an_account_fell_to_it(acme):
    for name in ("lazy", "eager"):
        acme(f"QUOTA.OPEN {name} p EXPIRES 10d THEN q")
        acme(f"QUOTA.CONSUME {name} r 5")
    acme.advance("11d")
    acme("QUOTA.CONSUME eager r 1")
    acme("QUOTA.PLAN DEL q")
    acme.advance("1d")
    assert [info(acme, "plan", name) for name in ("lazy", "eager")] == ["q", "q"]
    assert [values(acme, "limit", name) for name in ("lazy", "eager")] == [[400], [400]]


def test_a_limit_for_ever_of_an_account_anchored_before_1970(acme):
    acme("QUOTA.PLAN SET old r LIMIT 10 forever")
    acme("QUOTA.OPEN b old ANCHOR 1969-12-31T00:00:00Z")
    assert acme("QUOTA.CONSUME b r 4") == [4, 10, 6, 0, -1, 0]
    acme("QUOTA.PLAN SET old r LIMIT 20 forever APPLY PRORATE")
    assert (values(acme, "limit", "b"), values(acme, "used", "b")) == ([20], [4])


# ---- what happens at one instant ----


def test_the_order_at_one_instant(either):  # noqa: F811
    """A hold, a cycle and an override end, the plan changes and is left, at noon of the first day after."""
    at = NOON_MS + DAY_MS
    either("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 30d")
    either("QUOTA.PLAN SET q r LIMIT 20 day LIMIT 400 30d")
    either("QUOTA.OPEN a p")
    either("QUOTA.OVERRIDE a r LIMIT 15 day EX 1d")
    either("QUOTA.RESERVE a h r 15 TTL 1d")
    either(f"QUOTA.PLAN SET p r LIMIT 12 day LIMIT 200 30d EFFECTIVE {at}")
    either(f"QUOTA.SWITCH a q PRORATE AT {at}")
    either("QUOTA.CLOCK FREEZE", at - 1)
    assert (values(either, "limit"), values(either, "held")) == ([15, 100], [15, 15])
    either("QUOTA.CLOCK FREEZE", at)
    assert (values(either, "held"), values(either, "used")) == ([0, 0], [0, 0])
    # the cycle closed under the override; FULL made the month 200, then one day of 30 stays at that: 200 + 400 x 29
    assert [cycle["limit"] for cycle in either.map("QUOTA.HISTORY a r")] == [15]
    assert values(either, "limit") == [20, 393]
    assert info(either, "plan") == "q"


# ---- SUSPEND … EX ----


def test_a_suspension_ends_by_itself(acme):
    acme("QUOTA.SUSPEND a EX 1h")
    assert (info(acme, "state"), acme.error("QUOTA.CONSUME a r 1")[:9]) == ("suspended", "SUSPENDED")
    acme.advance("3599999ms")
    assert acme.error("QUOTA.CONSUME a r 1").startswith("SUSPENDED")
    acme.advance("1ms")
    assert info(acme, "state") == "active"
    assert acme("QUOTA.CONSUME a r 1")[0] == 1


def test_a_suspension_may_be_changed(acme):
    acme("QUOTA.SUSPEND a EX 1h")
    acme("QUOTA.SUSPEND a")  # for good
    acme.advance("2h")
    assert info(acme, "state") == "suspended"
    acme("QUOTA.RESUME a")
    acme("QUOTA.SUSPEND a EX 1h")
    acme("QUOTA.RESUME a")
    acme.advance("2h")
    assert info(acme, "state") == "active"


# ---- SET and RESET of one period ----


def test_set_of_several_limits_needs_a_period(acme):
    error = acme.error("QUOTA.SET a r 7")
    assert error.startswith(("ERR", "day", "30d")) or "PERIOD" in error
    assert values(acme, "used") == [40, 40]
    acme("QUOTA.SET a r 7 PERIOD day")
    assert values(acme, "used") == [40, 7]
    acme("QUOTA.SET a r 90 PERIOD 30d")
    assert values(acme, "used") == [90, 7]
    acme.error("QUOTA.SET a r 7 PERIOD week")
    acme("QUOTA.SWITCH a q FULL")
    acme("QUOTA.SET a r 3")  # there is one
    assert values(acme, "used") == [3]


def test_reset_of_one_period_or_of_all(acme):
    acme("QUOTA.RESET a r PERIOD day")
    assert values(acme, "used") == [40, 0]
    acme("QUOTA.CONSUME a r 5")
    acme("QUOTA.RESET a r")
    assert values(acme, "used") == [0, 0]
    acme.error("QUOTA.RESET a r PERIOD week")


# ---- REASON ----

LINES = ["SWITCH a q", "SUSPEND a", "RESUME a", "OVERRIDE a r LIMIT 5 day", "SET a r 3 PERIOD 30d", "RESET a r",
         "CLOSE a", "OPEN a p"]


def test_reasons_are_kept_with_who_did_what(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 30d LIMIT 50 day")
    accounts("QUOTA.PLAN SET q r LIMIT 400 30d")
    accounts("QUOTA.OPEN a p")
    for line in LINES:
        accounts(f"QUOTA.{line} REASON", f"why {line}")
    notes = accounts.map("QUOTA.INFO a")["notes"]
    assert [(note["act"], note["reason"]) for note in notes] == [
        (line.split()[0].lower(), f"why {line}") for line in LINES]


def test_an_account_that_expired_into_nothing_closes_each_cycle_once(accounts):
    accounts("QUOTA.CLOCK FREEZE 1738335600000")
    accounts("QUOTA.PLAN SET w r LIMIT 10 12h CALENDAR")
    accounts("QUOTA.OPEN a w EXPIRES 1h")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.OVERRIDE a r LIMIT 10 day")
    accounts("QUOTA.CLOCK FREEZE 1738339200000")
    accounts("QUOTA.PLAN SET w r LIMIT 10 day APPLY PRORATE")  # at the instant at which the account expires
    accounts("QUOTA.CLOCK FREEZE 1738368000000")
    for line in ("SUSPEND a", "RESUME a", "SUSPEND a"):
        accounts("QUOTA." + line)
    cycles = [cycle for cycle in accounts.map("QUOTA.HISTORY a r") if cycle["period"] == "12h"]
    assert [(cycle["start"], cycle["end"], cycle["used"]) for cycle in cycles] == [(1738324800000, 1738368000000, 1)]
