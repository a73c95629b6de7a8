"""THROTTLE, the slow lane: what limits and credits refuse is admitted at this rate instead.

That its waits are kept, in any mixture with other rules, is tests/integration/test_waits.py's.
"""

import pytest

from conftest import as_map

HOUR_MS = 3_600_000


def step(quota, line):
    """`+1s` lets time pass."""
    return quota(f"QUOTA.CLOCK ADVANCE {line[1:]}") and 0 if line[0] == "+" else quota(f"QUOTA.{line}")


# Rules of r, and commands with what they answer; of a verdict granted, limit, remaining, wait, rule.
STREAMS = {
    "fair use: ten, then one a second": ("LIMIT 10 1h THROTTLE 1 1s", [
        ("CONSUME a r 10", (10, 10, 0, 0, 0)), ("CONSUME a r 1", (1, 1, 0, 0, 1)),
        ("CONSUME a r 1", (0, 1, 0, 1000, 1)), ("+1s", 0), ("CONSUME a r 1", (1, 1, 0, 0, 1)),
        ("CONSUME a r 2", (0, 10, 0, HOUR_MS - 1000, 0))]),
    "a request that goes from the limit into the lane": ("LIMIT 10 1h THROTTLE 1 1s BURST 5", [
        ("CONSUME a r 8", (8, 10, 2, 0, 0)), ("CONSUME a r 6", (6, 5, 1, 0, 1)), ("CONSUME a r 2", (0, 5, 1, 1000, 1)),
        ("CONSUME a r 9 UPTO", (1, 5, 0, 0, 1)), ("CONSUME a r 9 UPTO", (0, 5, 0, 1000, 1))]),
    "limits, credits, burst, the lane, overage: in this order": (
        "BURST 20% LIMIT 10 1h THROTTLE 3 1h OVERAGE MAX 2 CREDITS", [
            ("GRANT a g r 4", None), ("CONSUME a r 10", (10, 4, 4, 0, 2)), ("CONSUME a r 4", (4, 14, 4, 0, 0)),
            ("CONSUME a r 2", (2, 14, 2, 0, 0)), ("CONSUME a r 3", (3, 3, 0, 0, 1)),
            ("CONSUME a r 1", (0, 3, 0, 1200000, 1))]),
    "what the lane cannot take, overage does": ("LIMIT 10 1h THROTTLE 3 1h OVERAGE", [
        ("CONSUME a r 10", (10, 10, -1, 0, 0)), ("CONSUME a r 2", (2, 3, 1, 0, 1)), ("CONSUME a r 5", (5, 3, 0, 0, 1)),
        ("CONSUME a r 5", (5, 10, -1, 0, 0))]),
    "what the lane took leaves OVERAGE MAX as much less": ("LIMIT 10 1h THROTTLE 3 1h OVERAGE MAX 2", [
        ("CONSUME a r 10", (10, 12, 2, 0, 0)), ("CONSUME a r 5", (0, 12, 2, HOUR_MS, 0)),
        ("CONSUME a r 5 UPTO", (3, 3, 0, 0, 1)), ("CONSUME a r 1", (0, 3, 0, 1200000, 1))]),
    "OVERAGE goes beyond no rolling window": ("LIMIT 0 1h OVERAGE LIMIT 4 ROLLING 1h THROTTLE 2 1h", [
        ("CONSUME a r 1", (1, 2, 1, 0, 2)), ("CONSUME a r 4", (0, 4, 3, HOUR_MS, 1)),
        ("CONSUME a r 4 UPTO", (3, 2, 0, 0, 2))]),
    "a cycle that ends leaves the lane less": ("LIMIT 10 1h OVERAGE LIMIT 20 ROLLING 2h THROTTLE 1 1d", [
        ("CONSUME a r 10", (10, 20, 10, 0, 1)), ("CONSUME a r 11", (0, 20, 10, HOUR_MS, 1)), ("+1h", 0),
        ("CONSUME a r 11", (11, 1, 0, 0, 2))]),
    "a full cycle after a prorated one leaves the lane less": (
        "LIMIT 10 month CALENDAR PRORATE OVERAGE LIMIT 4 ROLLING 1h THROTTLE 3 1d BURST 6", [
            ("CONSUME a r 9", (0, 4, 4, 9 * HOUR_MS, 1)), ("+9h", 0), ("CONSUME a r 9", (9, 6, 1, 0, 2))]),
    "credits alone": ("CREDITS THROTTLE 2 1h", [
        ("GRANT a g r 5", None), ("CONSUME a r 6", (6, 2, 1, 0, 0)), ("CONSUME a r 2", (0, 2, 1, 1800000, 0))]),
    "rates have to admit all of it": ("LIMIT 2 1h RATE 5 1m THROTTLE 100 1m", [
        ("CONSUME a r 4", (4, 100, 98, 0, 2)), ("CONSUME a r 4", (0, 5, 1, 36000, 1)),
        ("CONSUME a r 4 UPTO", (1, 100, 97, 0, 2))]),
    "a queue shapes the lane": ("LIMIT 1 1h THROTTLE QUEUE 1 1s BURST 2", [
        ("CONSUME a r 1", (1, 1, 0, 0, 0)), ("CONSUME a r 1", (1, 3, 2, 0, 1)), ("CONSUME a r 1", (1, 3, 1, 1000, 1)),
        ("CONSUME a r 1", (1, 3, 0, 2000, 1)), ("CONSUME a r 1", (0, 3, 0, 1000, 1))]),
    "a unit that costs three": ("COST 3 LIMIT 4 1h THROTTLE 4 1h", [
        ("CONSUME a r 1", (1, 4, 1, 0, 0)), ("CONSUME a r 1", (1, 4, 2, 0, 1)),
        ("CONSUME a r 1", (0, 4, 2, 900000, 1))]),
    "a rolling window counts what took the lane": ("LIMIT 3 ROLLING 1h THROTTLE 1 1m", [
        ("CONSUME a r 3", (3, 3, 0, 0, 0)), ("+30m", 0), ("CONSUME a r 1", (1, 1, 0, 0, 1)), ("+31m", 0),
        ("CONSUME a r 2", (2, 3, 0, 0, 0)), ("CONSUME a r 1", (1, 1, 0, 0, 1))]),
    "it is checked first when its limit opens again": ("LIMIT 2 1h THROTTLE 1 1h", [
        ("CONSUME a r 3", (3, 1, 0, 0, 1)), ("CONSUME a r 1", (0, 1, 0, HOUR_MS, 1)), ("+1h", 0),
        ("CONSUME a r 1", (1, 2, 1, 0, 0))]),
    "a check changes nothing": ("LIMIT 1 1h THROTTLE 1 1h", [
        ("CONSUME a r 1", (1, 1, 0, 0, 0)), ("CONSUME a r 1 CHECK", (1, 1, 1, 0, 1)),
        ("CONSUME a r 1", (1, 1, 0, 0, 1)),
        ("CONSUME a r 1 FORCE", (1, 1, 0, 0, 0))]),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(accounts, name):
    rules, steps = STREAMS[name]
    accounts(f"QUOTA.PLAN SET p r {rules}")
    accounts("QUOTA.OPEN a p")
    for line, expected in steps:
        reply = step(accounts, line)
        if isinstance(expected, tuple):
            assert tuple(reply[:4] + reply[5:]) == expected, line


def test_units_beyond_are_used_of_the_limits(accounts):
    """So bills, warnings, refunds and the next cycle see them; the lane itself takes nothing back."""
    accounts("QUOTA.PLAN SET p r BURST 0% LIMIT 10 1h THROTTLE 5 1h WARN 120")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 12 ID x")
    info = as_map(accounts("QUOTA.INFO a r"))
    assert (info["overage"], info["warned"]) == (2, [120])
    assert [(rule["kind"], rule["limit"], rule["used"], rule["remaining"]) for rule in info["rules"]] == [
        ("LIMIT", 10, 12, 0), ("THROTTLE", 5, 2, 3)]
    assert accounts("QUOTA.REFUND a r 4 OF x") == [4, 0, 2]
    info = as_map(accounts("QUOTA.INFO a r"))
    assert [(rule["used"], rule["remaining"]) for rule in info["rules"]] == [(8, 2), (2, 3)]


@pytest.mark.parametrize("rest, shown", [
    ("RATE 5 1s", [0, 4, 4, 0, 0, 2]),  # limits refuse: the lane is what the row would take, whatever RATE has left
    ("RATE 3 1s", [0, 4, 4, 0, 0, 2]),
    ("RATE 3 1s OVERAGE", [0, 3, 3, 0, 0, 1]),  # OVERAGE refuses nothing
    ("RATE 9 1s BURST 200%", [0, 3, 2, 0, 3_599_000, 0]),  # nor does BURST
])
def test_a_row_that_another_one_is_taken_for_shows_the_lane_it_would_take(accounts, rest, shown):
    accounts("QUOTA.PLAN SET p s LIMIT 9 1h")
    accounts(f"QUOTA.PLAN SET p r LIMIT 1 1h {rest} THROTTLE 4 1h")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.CLOCK ADVANCE 1s")
    assert accounts("QUOTA.MCONSUME a 2 s 1 r 1 ANY")[1] == shown


def test_reservations_take_the_lane(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h THROTTLE 5 1h")
    accounts("QUOTA.OPEN a p")
    assert accounts("QUOTA.RESERVE a h r 12 TTL 10m")[:3] == [12, 5, 3]
    assert accounts("QUOTA.RESERVE a i r 4 TTL 10m")[0] == 0
    assert accounts("QUOTA.COMMIT a h 11") == [11, 1, 0]
    assert accounts("QUOTA.RESERVE a i r 3 TTL 10m")[:3] == [3, 5, 0]
    accounts("QUOTA.RELEASE a i")
    rules = as_map(accounts("QUOTA.INFO a r"))["rules"]
    assert [(rule["used"], rule["held"], rule["remaining"]) for rule in rules] == [(11, 0, 0), (5, 0, 0)]


def test_it_is_a_rule_of_its_own_for_overrides_and_revisions(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 1 1h THROTTLE 5 1h RATE 100 1h")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 3")
    accounts("QUOTA.OVERRIDE a r THROTTLE 10 1h")
    assert accounts("QUOTA.CONSUME a r 1") == [1, 10, 7, 0, 1080000, 1]  # two of five used, and one of ten now
    accounts("QUOTA.OVERRIDE a r LIFT")
    accounts("QUOTA.PLAN SET p r LIMIT 1 1h RATE 100 1h")
    assert accounts("QUOTA.CONSUME a r 1")[0] == 0
    accounts("QUOTA.PLAN SET p r LIMIT 1 1h THROTTLE 5 1h RATE 100 1h")
    assert accounts("QUOTA.CONSUME a r 3")[0] == 0  # three of five are used still
    assert accounts("QUOTA.CONSUME a r 2")[0] == 2


def test_a_rate_and_the_lane_are_no_predecessors_of_each_other(accounts):
    """Also where algorithm and period are the same, or the place."""
    accounts("QUOTA.PLAN SET p r LIMIT 5 1d RATE 9 1h")
    accounts("QUOTA.OPEN a p")
    assert accounts("QUOTA.CONSUME a r 5")[:3] == [5, 5, 0]
    accounts("QUOTA.PLAN SET p r LIMIT 5 1d THROTTLE 3 1h")
    assert accounts("QUOTA.CONSUME a r 2")[:3] == [2, 3, 1]  # none of the five
    accounts("QUOTA.PLAN SET p r LIMIT 50 1d THROTTLE 3 1h RATE 9 1h")
    assert accounts("QUOTA.CONSUME a r 1")[:3] == [1, 9, 3]  # the five, and none of the two
    accounts("QUOTA.PLAN SET p r LIMIT 50 1d THROTTLE FIXED 3 1d")
    rules = as_map(accounts("QUOTA.INFO a r"))["rules"]
    assert [(rule["kind"], rule["used"]) for rule in rules] == [("LIMIT", 8), ("THROTTLE", 2)]


@pytest.mark.parametrize("between", ["LIMIT 9 1d", "LIMIT 9 1d THROTTLE 2 1h", "LIMIT 9 1d RATE 9 1m"])
def test_a_rate_and_the_lane_come_back_as_if_they_had_never_gone(accounts, between):
    """Under other rules: what was used passes to them, whatever stood there at the same instant in between."""
    accounts("QUOTA.PLAN SET p r LIMIT 1 1d RATE 5 1h THROTTLE 4 1d")
    accounts("QUOTA.OPEN a p")
    assert accounts("QUOTA.CONSUME a r 3")[0] == 3
    accounts(f"QUOTA.OVERRIDE a r ONLY {between}")
    accounts("QUOTA.OVERRIDE a r ONLY LIMIT 1 1d RATE 7 1m THROTTLE 6 1w")
    rules = as_map(accounts("QUOTA.INFO a r"))["rules"]
    assert [(rule["kind"], rule["used"]) for rule in rules] == [("LIMIT", 3), ("RATE", 3), ("THROTTLE", 2)]


def test_no_rule_decides_once_the_limit_has_gone(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 5 1d")
    accounts("QUOTA.PLAN SET p s LIMIT 5 1d")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.OVERRIDE a r CONCURRENT 1 THROTTLE 2 1h")
    accounts("QUOTA.PLAN DEL p r")
    assert accounts("QUOTA.CONSUME a r 1") == [1, -1, -1, 0, 0, -1]


@pytest.mark.parametrize("rules, text", [
    ("THROTTLE 1 1s", "LIMIT or CREDITS"), ("RATE 5 1s THROTTLE 1 1s", "LIMIT or CREDITS"),
    ("LIMIT 5 day THROTTLE 1 1s THROTTLE 2 1s", "THROTTLE twice"), ("LIMIT 5 day THROTTLE 1 1s 2 1m", "one rule"),
    ("LIMIT 5 day THROTTLE TOKEN 5 1s INITIAL 2", "no INITIAL"), ("LIMIT 5 day THROTTLE", "limit")])
def test_what_cannot_be_meant_is_an_error(accounts, rules, text):
    assert text in accounts.error(f"QUOTA.PLAN SET p r {rules}")


def test_the_plan_shows_it(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 5 day THROTTLE SLIDING 1 1s WARN 80")
    shown = accounts("QUOTA.PLAN GET p")
    assert b"THROTTLE SLIDING 1 1s" in str(shown).encode()
