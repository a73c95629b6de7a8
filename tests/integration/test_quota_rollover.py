"""ROLLOVER: what a cycle leaves unused of its limit is added to the cycles that follow.

The arithmetic is tests/unit/test_carry.c's. Here: what the commands show of it, that idle and busy accounts agree, and
that nothing is made by changes of plans, by reservations, refunds and late commits.
"""

import pytest

from conftest import NOON_MS, as_map

HOUR_MS = 3_600_000
MONTH = "LIMIT 1000 30d ROLLOVER 50% MAX 600 FOR 2"


@pytest.fixture
def acme(accounts):
    accounts(f"QUOTA.PLAN SET rolls r {MONTH}")
    accounts("QUOTA.OPEN acme rolls")
    return accounts


def rule(quota, account="acme", number=0):
    shown = as_map(quota(f"QUOTA.INFO {account} r"))["rules"][number]
    return {name: shown[name] for name in ("limit", "used", "remaining", "rolled")}


def pass_cycle(quota, count=1):
    quota(f"QUOTA.CLOCK ADVANCE {30 * count}d")


# ---- what is shown --------------------------------------------------------------------------------------------


def test_the_worked_example(acme):
    """Uses of six cycles, and the limits that they leave; limit and remaining in verdicts include what has rolled."""
    shown = []
    for used in (0, 200, 1500, 1000, 0, 0):
        shown.append((rule(acme)["limit"], rule(acme)["rolled"]))
        if used:
            limit = shown[-1][0]
            assert acme(f"QUOTA.CONSUME acme r {used}")[:3] == [used, limit, limit - used]
        pass_cycle(acme)
    assert shown == [(1000, 0), (1500, 500), (1600, 600), (1050, 50), (1025, 25), (1525, 525)]
    closed = [(cycle["limit"], cycle["rolled"]) for cycle in as_map(acme("QUOTA.HISTORY acme r"))]
    assert closed == [(1525, 525), (1025, 25), (1050, 50), (1600, 600), (1500, 500)]  # from the first use on


@pytest.mark.parametrize("words, limits", [
    ("LIMIT 100 30d ROLLOVER 100 FOR 3", [100, 200, 300, 400, 400, 400]),
    ("LIMIT 100 30d ROLLOVER 100", [100, 200, 200, 200]),
    ("LIMIT 7 30d ROLLOVER 33.33%", [7, 9, 9]),
    ("LIMIT 100 30d ROLLOVER 100 MAX 250 FOR 36", [100, 200, 300, 350, 350]),
    ("LIMIT 100 30d ROLLOVER 100 MAX 0 FOR 36", [100, 100]),
    ("LIMIT -1 30d ROLLOVER 100", [-1, -1, -1])])
def test_an_account_that_was_never_used_agrees_with_one_that_is_looked_at(accounts, words, limits):
    """Idle cycles count from the opening on, whether or not anything was written down in them."""
    accounts(f"QUOTA.PLAN SET p r {words}")
    accounts("QUOTA.OPEN idle p")
    accounts("QUOTA.OPEN touched p")
    for number, limit in enumerate(limits):
        assert rule(accounts, "idle")["limit"] == rule(accounts, "touched")["limit"] == limit, number
        accounts("QUOTA.CONSUME touched r 1 ID", number)
        accounts("QUOTA.REFUND touched r 1 OF", number)
        pass_cycle(accounts)


def test_many_idle_cycles_at_once(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 FOR 36")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.CLOCK ADVANCE 300d")
    assert rule(accounts, "a") == {"limit": 3700, "used": 0, "remaining": 3700, "rolled": 3600}
    assert accounts("QUOTA.CONSUME a r 3700")[0] == 3700
    assert accounts("QUOTA.CONSUME a r 1")[0] == 0


def test_a_denial_waits_for_the_cycle_that_has_rolled_enough(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 FOR 3")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 40")
    for amount, hours in ((100, 1), (160, 1), (161, 2), (260, 2), (261, 3), (400, 4), (401, None)):
        wait = accounts(f"QUOTA.CONSUME a r {amount}")[3]
        assert wait == (-1 if hours is None else hours * HOUR_MS), amount
    wait = accounts("QUOTA.CONSUME a r 261")[3]
    accounts("QUOTA.CLOCK ADVANCE", f"{wait - 1}ms")
    assert accounts("QUOTA.CONSUME a r 261 CHECK")[0] == 0
    accounts("QUOTA.CLOCK ADVANCE 1ms")
    assert accounts("QUOTA.CONSUME a r 261")[0] == 261


# ---- holds, refunds, debts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("resolve", ["", "QUOTA.COMMIT a h 0", "QUOTA.COMMIT a h", "QUOTA.RELEASE a h"])
@pytest.mark.parametrize("touched", [False, True])
def test_what_is_held_at_the_end_of_a_cycle_counts_as_used(accounts, resolve, touched):
    """Whatever becomes of it afterwards; also where it is swept before the resource is touched again."""
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100")
    accounts("QUOTA.PLAN SET p other LIMIT 100 1h")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.RESERVE a h r 30 TTL 90m")
    accounts("QUOTA.RESERVE a short r 20 TTL 1h")  # ends with the cycle: first the holds expire, then cycles close
    accounts("QUOTA.CONSUME a r 10")
    accounts("QUOTA.CLOCK ADVANCE 61m")
    if touched:
        accounts("QUOTA.CONSUME a r 1")
    if resolve:
        accounts(resolve)
    accounts("QUOTA.CLOCK ADVANCE 40m")
    accounts("QUOTA.CONSUME a other 1")  # sweeps what has expired
    shown = as_map(accounts("QUOTA.INFO a r"))["rules"][0]
    assert (shown["rolled"], shown["limit"]) == (60, 160)


def test_late_refunds_do_not_roll(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 70 ID x")
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a")["rolled"] == 30
    assert accounts("QUOTA.REFUND a r 70 OF x") == [70, 0, 130]
    assert rule(accounts, "a")["rolled"] == 30


def test_debts_come_first(accounts):
    """Base = the limit after its debt; what a burst gave is not unused."""
    accounts("QUOTA.PLAN SET p r BURST 50% LIMIT 100 1h ROLLOVER 100 REPAY")
    accounts("QUOTA.OPEN a p")
    assert accounts("QUOTA.CONSUME a r 140")[0] == 140
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a") == {"limit": 60, "used": 0, "remaining": 110, "rolled": 0}
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a") == {"limit": 160, "used": 0, "remaining": 210, "rolled": 60}  # the burst is of the 100


def test_a_month_that_rolls_does_not_lift_the_day(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 1000 30d ROLLOVER 100 LIMIT 50 1d")
    accounts("QUOTA.OPEN a p")
    pass_cycle(accounts)
    assert accounts("QUOTA.CONSUME a r 51")[:3] == [0, 50, 50]
    assert [as_map(r)["limit"] for r in as_map(accounts("QUOTA.INFO a r"))["rules"]] == [2000, 50]


def test_warnings_and_credits_know_the_limit_with_what_has_rolled(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 WARN 50 CREDITS")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.GRANT a g r 10")
    accounts("QUOTA.CLOCK ADVANCE 1h")
    accounts("QUOTA.CONSUME a r 99")
    assert as_map(accounts("QUOTA.INFO a r"))["warned"] == []
    accounts("QUOTA.CONSUME a r 1")
    assert as_map(accounts("QUOTA.INFO a r"))["warned"] == [50]
    assert accounts("QUOTA.CONSUME a r 105")[0] == 105  # 100 of limit and lot, then 5 credits
    assert as_map(accounts("QUOTA.INFO a r"))["credits"] == 5


# ---- changes of plans -----------------------------------------------------------------------------------------


def test_a_plan_begins_to_roll_with_the_cycle_that_runs(accounts):
    """Also for a resource that was never used: its cycles count from the revision on."""
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CLOCK ADVANCE 5h")
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 FOR 36")
    accounts("QUOTA.CLOCK ADVANCE 3h")
    assert rule(accounts, "a")["rolled"] == 300
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h")  # what has rolled stays for its cycles; nothing new comes
    assert rule(accounts, "a")["rolled"] == 300
    accounts("QUOTA.CLOCK ADVANCE 10h")
    assert rule(accounts, "a")["rolled"] == 300
    accounts("QUOTA.CLOCK ADVANCE 23h")
    assert rule(accounts, "a")["rolled"] == 300
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a")["rolled"] == 200


@pytest.mark.parametrize("how", ["PRORATE", "FULL"])
def test_a_switch_keeps_what_has_rolled(accounts, how):
    """There and back at one instant changes nothing; a plan without ROLLOVER lets lots live on, and makes none."""
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 FOR 2")
    accounts("QUOTA.PLAN SET q r LIMIT 200 1h")
    for account in ("a", "b"):
        accounts(f"QUOTA.OPEN {account} p")
    accounts("QUOTA.CLOCK ADVANCE 90m")
    accounts(f"QUOTA.SWITCH a q {how}")
    assert rule(accounts, "a")["rolled"] == 100
    accounts(f"QUOTA.SWITCH a p {how}")
    assert rule(accounts, "a") == rule(accounts, "b") == {"limit": 200, "used": 0, "remaining": 200, "rolled": 100}
    accounts(f"QUOTA.SWITCH a q {how}")
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a")["rolled"] == 100
    accounts("QUOTA.CLOCK ADVANCE 1h")
    assert rule(accounts, "a")["rolled"] == 0


@pytest.mark.parametrize("lines", [
    ["OPEN a p"], ["OPEN a q", "SWITCH a p"], ["OPEN a q", "SET a r 0", "SWITCH a p FULL"],
    ["OPEN a q", "OVERRIDE a r LIMIT 100 1h ROLLOVER 100"]])
def test_nothing_rolls_before_an_account_begins(accounts, lines):
    """However it came to the rule that it begins under."""
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100")
    accounts("QUOTA.PLAN SET q r LIMIT 100 1h")
    opening, *others = lines
    accounts(f"QUOTA.{opening} ANCHOR", NOON_MS + 5 * HOUR_MS)
    for line in others:
        accounts(f"QUOTA.{line}")
    for hours, rolled in ((0, 0), (3, 0), (2, 0), (1, 100)):
        accounts(f"QUOTA.CLOCK ADVANCE {hours}h")
        assert rule(accounts, "a")["rolled"] == rolled, hours


def test_a_restart_closes_the_cycle_as_its_end_does(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 50")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 40")
    accounts("QUOTA.RESERVE a h r 10 TTL 1d")
    accounts("QUOTA.CLOCK ADVANCE 20m")
    accounts("QUOTA.SWITCH a p RESTART")
    assert rule(accounts, "a") == {"limit": 125, "used": 0, "remaining": 125, "rolled": 25}


def test_overrides_roll_for_themselves(accounts):
    """An override of the LIMIT says whether its cycles roll; its end lets the plan's roll from the running one on."""
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h ROLLOVER 100 FOR 36")
    for account, words in (("a", "LIMIT 100 1h"), ("b", "ONLY LIMIT 10 1d"), ("c", "LIMIT 1000 1h ROLLOVER 10")):
        accounts(f"QUOTA.OPEN {account} p")
        accounts(f"QUOTA.OVERRIDE {account} r {words} EX 5h")
    accounts("QUOTA.CLOCK ADVANCE 150m")
    assert [rule(accounts, account)["rolled"] for account in "ac"] == [0, 100]
    accounts("QUOTA.CLOCK ADVANCE 3h")  # the cycle in which it has ended
    assert [rule(accounts, account)["rolled"] for account in "abc"] == [0, 0, 100]
    accounts("QUOTA.CLOCK ADVANCE 2h")
    assert [rule(accounts, account)["rolled"] for account in "abc"] == [200, 200, 200]


# ---- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, text", [
    ("LIMIT 5 day ROLLOVER", "percent"), ("LIMIT 5 day ROLLOVER 0", "0.01"), ("LIMIT 5 day ROLLOVER 101", "100"),
    ("LIMIT 5 day ROLLOVER 50 MAX -1", "0 or more"), ("LIMIT 5 day ROLLOVER 50 FOR 0", "36"),
    ("LIMIT 5 day ROLLOVER 50 FOR 37", "36"), ("LIMIT 5 ROLLING 1h ROLLOVER 50", "no cycles"),
    ("LIMIT 5 forever ROLLOVER 50", "forever"), ("LIMIT 5 day MAX 3", "MAX")])
def test_what_cannot_be_meant_is_an_error(accounts, words, text):
    assert text in accounts.error(f"QUOTA.PLAN SET p r {words}")


def test_the_plan_shows_it_again(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 5 day CALENDAR PRORATE ROLLOVER 50 MAX 9 FOR 2 RATE 5 1s OVERAGE MAX 3")
    assert as_map(accounts("QUOTA.PLAN GET p"))["resources"]["r"][0] == (
        "LIMIT 5 day CALENDAR PRORATE ROLLOVER 50% MAX 9 FOR 2")
    accounts("QUOTA.PLAN SET p r LIMIT 5 day ROLLOVER 100%")
    assert as_map(accounts("QUOTA.PLAN GET p"))["resources"]["r"] == ["LIMIT 5 day ROLLOVER 100%"]


# ---- kept ---------------------------------------------------------------------------------------------------------


def test_replica_reload_and_copies_keep_it(acme):
    acme("QUOTA.CONSUME acme r 3")
    acme("QUOTA.RESERVE acme h r 5 TTL 45d")
    pass_cycle(acme)
    acme("QUOTA.CONSUME acme r 4")
    before = acme("QUOTA.INFO acme r")
    acme("COPY acme other")
    acme("DEBUG RELOAD")
    assert acme("QUOTA.INFO acme r") == acme("QUOTA.INFO other r") == before
    assert rule(acme) == {"limit": 1496, "used": 4, "remaining": 1492, "rolled": 496}


def test_a_reservation_is_posted_to_the_cycle_that_has_handed_on_less(accounts):
    """Though nothing else was used in it, and its LIMIT came after the reservation."""
    accounts("QUOTA.PLAN SET late r LIMIT 10 day")
    accounts(f"QUOTA.OPEN late late ANCHOR {NOON_MS}")
    accounts("QUOTA.RESERVE late h r 1 TTL 2d")
    accounts("QUOTA.CLOCK ADVANCE 1us")
    accounts("QUOTA.PLAN SET late r LIMIT 10 12h CALENDAR ROLLOVER 100%")
    accounts("QUOTA.CLOCK ADVANCE 12h")
    assert accounts("QUOTA.COMMIT late h") == [1, 0, 19]
    assert [entry["used"] for entry in as_map(accounts("QUOTA.HISTORY late r"))] == [1]
