"""What test_account_model.py draws: plans with and without a resource, overrides, commands in groups, clock steps.

    accounts_drawn()  ── where, when, on which plans an account begins        STEPS  ── what happens to it then
"""

import dataclasses

from hypothesis import strategies as st

from account_model import DAY, Concurrent, Entitlement, Limit, Rate, Rolling, Rollover, Throttle
from model import Rule

SECOND, HOUR = 1_000_000, 3_600_000_000

# In us: leap days, both ends of summer time, a midnight that Brazil skipped, a day that Samoa skipped.
STARTS = [1738335600_000_000, 1709164800_000_001, 1743202800_999_999, 1761350400_000_000, 1541200000_123_456,
          1325070000_000_000]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia",
         "America/Sao_Paulo"]
PERIODS = ["day", "day", "month", "3day", "week", "month", "quarter", "year", "36h", "6h", "forever", "month EOM",
           "quarter EOM", "day CALENDAR", "week CALENDAR FROM sun", "2week CALENDAR", "month CALENDAR FROM 15",
           "month CALENDAR", "5month CALENDAR FROM 03-15", "year CALENDAR FROM 04-06", "12h CALENDAR",
           "month CALENDAR EOM"]

AMOUNTS = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5, 8, 12])
RESOURCES = st.sampled_from(["r", "r", "r", "s", "m"])  # m is counted AS one of the others
PLAIN = st.sampled_from(["r", "r", "r", "s"])
IDS = st.sampled_from(["x", "x", "y", "z"])
HOLD_IDS = st.sampled_from(["h", "h", "i", "x"])
MAYBE_ID = st.one_of(st.none(), IDS)
THREE = st.tuples(AMOUNTS, AMOUNTS, AMOUNTS)
PLANS = st.sampled_from(["p", "p", "q", "w"])


def sometimes(strategy, nothing=None):
    return st.one_of(st.just(nothing), st.just(nothing), strategy)


def with_cycles(rule):
    return dataclasses.replace(rule, rollover=None) if rule.period == "forever" else rule


def one_of_each_kind(limits, smallest, largest):
    return st.lists(limits, min_size=smallest, max_size=largest, unique_by=lambda rule: rule.kind)


ROLLOVERS = st.builds(Rollover, st.sampled_from(["100", "100", "50", "33.33", "10", "0.01"]),
                      sometimes(st.sampled_from([0, 3, 10, 15, 40])), st.sampled_from([1, 1, 2, 3, 36]))
LIMITS = st.builds(Limit, st.sampled_from([10, 10, 5, 7, 20, 20, 20, 30, 3, 12, 15, -1, 0]), st.sampled_from(PERIODS),
                   st.booleans(), sometimes(ROLLOVERS)).map(with_cycles)
ROLLINGS = st.builds(Rolling, st.integers(4, 20), st.sampled_from(["90s", "6h", "2d", "40d"]))
RATES = st.sampled_from([
    Rate(Rule("GCRA", 5, 3_600_000_000, 0), "1h"), Rate(Rule("GCRA", 3, SECOND, 9), "1s"),
    Rate(Rule("FIXED", 6, 60_000_000), "1m"), Rate(Rule("TOKEN", 4, HOUR, 8), "1h"),
    Rate(Rule("SLIDING", 7, HOUR), "1h"), Rate(Rule("LOG", 8, HOUR), "1h"), Rate(Rule("LEAKY", 5, HOUR, 7), "1h"),
    Rate(Rule("TOKEN", 4, HOUR, 8, 0), "1h"), Rate(Rule("TOKEN", 3, DAY, 6, 2, "INTERVAL"), "1d"),
    Rate(Rule("QUEUE", 4, HOUR, 6), "1h"), Rate(Rule("QUEUE", 2, 60_000_000, 3), "1m"),
    Rate(Rule("FIXED", 6, HOUR, flag="FIRST"), "1h"), Rate(Rule("TOKEN", 4, HOUR, 8, flag="INTERVAL"), "1h")])
THROTTLES = st.sampled_from([
    Throttle(Rule("GCRA", 2, HOUR, 0), "1h"), Throttle(Rule("GCRA", 1, SECOND, 4), "1s"),
    Throttle(Rule("GCRA", 3, 60_000_000, 0), "1m"), Throttle(Rule("TOKEN", 3, DAY, 6), "1d"),
    Throttle(Rule("FIXED", 5, HOUR), "1h"), Throttle(Rule("FIXED", 2, DAY), "1d"),
    Throttle(Rule("FIXED", 4, HOUR, flag="FIRST"), "1h"), Throttle(Rule("SLIDING", 4, HOUR), "1h"),
    Throttle(Rule("LOG", 5, HOUR), "1h"), Throttle(Rule("LEAKY", 2, HOUR, 5), "1h"),
    Throttle(Rule("TOKEN", 3, DAY, 6, flag="INTERVAL"), "1d")])
CONCURRENTS = st.builds(Concurrent, st.sampled_from([1, 2, 3, 5, 8, 8, 12, 0, -1]))
BURSTS = st.one_of(st.just((None, False)), st.just((None, False)), st.tuples(st.sampled_from([20, 50, 150, 200]),
                                                                             st.booleans()))
REFUNDS = sometimes(st.tuples(sometimes(st.integers(0, 6)), sometimes(st.sampled_from([HOUR, DAY]))).filter(any))


@st.composite
def entitlements(draw, smallest=1):
    """smallest=0: of an override, which may say little."""
    rules = draw(one_of_each_kind(LIMITS, smallest, 3 if smallest else 2))
    rules += draw(sometimes(one_of_each_kind(ROLLINGS, 1, 2), []))
    rules += draw(sometimes(st.lists(RATES, min_size=1, max_size=1), []))
    rules += draw(sometimes(st.lists(CONCURRENTS, min_size=1, max_size=1), []))
    rules += draw(st.one_of(st.just([]), st.just([]), sometimes(st.lists(THROTTLES, min_size=1, max_size=1), [])))
    burst, repay = draw(BURSTS)
    return Entitlement(
        tuple(draw(st.permutations(rules))), draw(st.sampled_from([None, None, 1, 2, 3])),
        draw(sometimes(st.sampled_from([(50,), (80, 100), (30, 100, 150)]))), burst, repay,
        draw(sometimes(st.sampled_from([HOUR, 3 * DAY]))), draw(st.sampled_from([None] * 8 + [True, 0, 2, 15])),
        draw(sometimes(st.integers(0, 2))), draw(REFUNDS))


@st.composite
def counted_as(draw):
    """COST units of another resource; beside that RATEs and a usage series of its own."""
    rules = draw(sometimes(st.lists(RATES, min_size=1, max_size=1), []))
    rules += [Limit(-1, period) for period in draw(sometimes(st.sampled_from(PERIODS).map(lambda one: [one]), []))]
    return Entitlement(tuple(draw(st.permutations(rules))), draw(st.sampled_from([None, 1, 2, 3])),
                       target=draw(st.sampled_from(["r", "r", "r", "s"])))


OVERRIDES = st.one_of(st.builds(lambda rule: Entitlement((rule,)), LIMITS), entitlements(0)).filter(
    lambda entitlement: entitlement.text())


def step(name, *words):
    return st.tuples(st.just(name), *words)


def group(*steps):
    return st.tuples(*steps)


NOTHING = step("advance", st.just(0))
CLOCK = st.one_of(
    step("advance", st.sampled_from([1, SECOND, HOUR, 5 * HOUR, DAY, 8 * DAY, 31 * DAY])),
    step("advance", st.integers(0, 3 * DAY)), step("advance", st.integers(0, 70 * DAY)),
    step("boundary", st.sampled_from([0, 0, -1, 1])), step("boundary", st.sampled_from([0, 0, -1, 1])),
    step("boundary", st.sampled_from([0, 0, -1, 1])), NOTHING,
    step("advance", st.sampled_from([-1, -SECOND, -HOUR, -2 * DAY, -40 * DAY])),
)
MODES = st.sampled_from(["", "", "", "UPTO", "CHECK", "FORCE"])
CONSUME = step("consume", RESOURCES, AMOUNTS, MODES, st.none(), st.just(False))
CONSUME_ID = step("consume", RESOURCES, AMOUNTS, MODES, IDS, st.booleans())
BATCHES = st.sampled_from([("r",), ("r", "s"), ("s", "r"), ("r", "m"), ("m", "s"), ("s", "m", "r")])
MCONSUME = step("mconsume", BATCHES, THREE, st.booleans(), MAYBE_ID, st.booleans(), st.booleans())
REFUND = step("refund", RESOURCES, AMOUNTS, st.one_of(IDS, IDS, st.none()), st.one_of(st.none(), MAYBE_ID))
UNNAMED = step("refund", RESOURCES, AMOUNTS, st.none(), st.none())
COUNTED = step("consume", st.just("m"), AMOUNTS, MODES, MAYBE_ID, st.booleans())
COUNTED_REFUND = step("refund", st.just("m"), AMOUNTS, MAYBE_ID, st.none())
SUMS = st.sampled_from([("r", "m"), ("m", "r"), ("s", "m", "r")])
SUM = step("mconsume", SUMS, THREE, st.just(False), st.just("z"), st.just(False), st.just(False))
REFUND_SUM = step("refund_all", st.just("z"))
REFUND_ALL = step("refund_all", st.sampled_from(["x", "x", "y", "z", "h"]))
HELD = st.one_of(RESOURCES.map(lambda name: (name,)), BATCHES)
COMMITS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
RESERVE = step("reserve", HOLD_IDS, HELD, THREE, st.sampled_from([SECOND, HOUR, 2 * DAY, 40 * DAY]),
               st.sampled_from(["", "", "UPTO"]))
COMMIT = step("commit", HOLD_IDS, st.one_of(st.none(), COMMITS), st.just(False))
FORCED_AMOUNTS = st.tuples(st.integers(1, 15), st.integers(1, 15), st.integers(0, 9))
FORCED = step("commit", HOLD_IDS, FORCED_AMOUNTS, st.just(True))
RELEASE = step("release", HOLD_IDS)
RESERVED = step("reserve", st.just("h"), HELD, THREE, st.sampled_from([HOUR, 2 * DAY, 40 * DAY]),
                st.sampled_from(["", "UPTO"]))
COMMITTED = step("commit", st.just("h"), st.one_of(st.none(), COMMITS), st.just(False))
RELEASED = step("release", st.just("h"))
REFUNDED = step("refund", RESOURCES, st.sampled_from([1, 1, 2, 3]), st.just("h"), st.none())
REFUNDED_ALL = step("refund_all", st.just("h"))
HELD_SUM = step("reserve", st.just("h"), SUMS, THREE, st.sampled_from([HOUR, 2 * DAY, 40 * DAY]), st.just(""))
FORCED_SUM = step("commit", st.just("h"), FORCED_AMOUNTS, st.just(True))
EXTEND = step("extend", HOLD_IDS, st.sampled_from([1, HOUR, 5 * DAY]))
APPLY = st.sampled_from(["FULL", "PRORATE", "PRORATE", "END"])
PLAN = step("plan", PLANS, PLAIN, entitlements(), APPLY,
            st.sampled_from([None, None, None, -HOUR, 1, HOUR, 3 * DAY, 40 * DAY]))
PLAN_AS = step("plan", PLANS, st.just("m"), counted_as(), st.sampled_from(["FULL", "PRORATE"]),
               st.sampled_from([None, None, 1, 3 * DAY]))
UNPLAN = step("unplan", PLANS, RESOURCES)
CANCEL = step("cancel", PLANS)
SWITCH = step("switch", PLANS, st.sampled_from(["PRORATE", "PRORATE", "FULL", "END"]), st.just(None), st.just(False))
SWITCH_AT = step("switch", PLANS, st.sampled_from(["PRORATE", "FULL"]), st.sampled_from([1, HOUR, 9 * DAY]),
                 st.just(False))
RESTART = step("switch", PLANS, st.sampled_from(["PRORATE", "FULL"]), sometimes(st.sampled_from([1, HOUR, 9 * DAY])),
               st.just(True))
OVERRIDE = step("override", PLAIN, OVERRIDES, st.sampled_from([False, False, True]),
                st.sampled_from([0, HOUR, 3 * DAY, 40 * DAY, "CYCLE"]))
OVERRIDE_AS = step("override", st.just("m"), counted_as(), st.booleans(), st.sampled_from([0, HOUR, 3 * DAY]))
COST_AS = step("override", st.just("m"), st.builds(Entitlement, st.just(()), st.integers(1, 4)), st.just(False),
               st.just(0))
APART = step("override", st.just("m"), entitlements(), st.just(True), st.sampled_from([0, HOUR, 3 * DAY]))
LIFT = step("lift", RESOURCES)
SET = step("set", RESOURCES, st.integers(0, 12), sometimes(st.sampled_from(["day", "month", "week", "6h"])))
RESET = step("reset", st.one_of(st.none(), RESOURCES), st.none())
RESET_PERIOD = step("reset", RESOURCES, st.sampled_from(["day", "month", "week", "6h"]))
OPEN = step("open", PLANS, st.sampled_from([None, None, HOUR, 3 * DAY, 50 * DAY, "2d", "3day", "month", "5month"]),
            sometimes(PLANS))
SUSPEND = step("suspend", st.sampled_from([0, 0, HOUR, 9 * DAY]))

# What belongs together, so that ids are found and accounts do not stay closed. The first is what shrinks best.
GROUPS = [group(NOTHING)] + [group(CONSUME)] * 4 + [group(CLOCK)] * 5 + [
    group(CONSUME_ID), group(CONSUME_ID, REFUND), group(CONSUME_ID, CLOCK, REFUND), group(MCONSUME),
    group(MCONSUME, REFUND), group(MCONSUME, REFUND_ALL), group(CONSUME_ID, REFUND, REFUND_ALL),
    group(REFUND), group(CONSUME_ID, UNNAMED, REFUND), group(CONSUME_ID, RESET, REFUND),
    group(RESERVE), group(COMMIT), group(RELEASE), group(EXTEND), group(FORCED),
    group(RESERVED), group(RESERVED, CONSUME, COMMITTED), group(RESERVED, CLOCK, COMMITTED),
    group(RESERVED, CLOCK, COMMITTED, CLOCK, REFUNDED), group(RESERVED, CLOCK, RELEASED), group(COMMIT, REFUND),
    group(RESERVED, COMMITTED, COMMITTED), group(RESERVED, SWITCH, COMMITTED), group(RESERVED, PLAN, COMMITTED),
    group(PLAN), group(PLAN, CONSUME), group(PLAN, CLOCK), group(PLAN, CLOCK, CONSUME), group(UNPLAN), group(CANCEL),
    group(SWITCH), group(SWITCH, CLOCK), group(SWITCH_AT, CLOCK), group(RESTART),
    group(RESTART, CLOCK, CONSUME), group(RESERVED, RESTART, COMMITTED), group(CONSUME_ID, RESTART, CLOCK, REFUND),
    group(OVERRIDE), group(OVERRIDE, CLOCK), group(OVERRIDE, PLAN, CLOCK, LIFT), group(LIFT),
    group(SET), group(RESET), group(RESET_PERIOD), group(OPEN),
    group(PLAN_AS), group(OVERRIDE_AS), group(COST_AS, COUNTED, CLOCK, LIFT), group(APART, COUNTED, LIFT),
    group(COUNTED), group(COUNTED, CLOCK), group(COUNTED, COUNTED_REFUND), group(SUM), group(SUM, COUNTED_REFUND),
    group(SUM, REFUND_SUM), group(SUM, COUNTED_REFUND, REFUND_SUM), group(SUM, RESET, REFUND_SUM),
    group(SUM, UNNAMED, REFUND_SUM), group(HELD_SUM), group(HELD_SUM, CLOCK, COMMITTED), group(HELD_SUM, RELEASED),
    group(HELD_SUM, CONSUME, FORCED_SUM), group(HELD_SUM, CLOCK, FORCED_SUM), group(HELD_SUM, COUNTED, COMMITTED),
    group(HELD_SUM, COMMITTED, REFUNDED, REFUNDED_ALL), group(HELD_SUM, OVERRIDE_AS, COMMITTED, LIFT),
    group(HELD_SUM, FORCED_SUM, REFUNDED_ALL), group(HELD_SUM, SWITCH, COMMITTED, REFUNDED_ALL),
    group(SUSPEND, st.one_of(CLOCK, REFUND, COMMIT, CONSUME, CONSUME_ID), step("resume")), group(SUSPEND, CLOCK),
    group(step("close"), st.one_of(CLOCK, REFUND, COMMIT, CONSUME_ID), OPEN)]
STEPS = st.lists(st.one_of(GROUPS), min_size=15, max_size=30).map(lambda groups: sum(groups, ()))


@st.composite
def accounts_drawn(draw):
    """Where it is, when it begins, its plans (one may lack a resource), perhaps an end, and what it falls to then."""
    start = draw(st.sampled_from(STARTS))
    anchor = draw(st.sampled_from([None, None, -3 * HOUR - 1, -29 * DAY, -400 * DAY, None, None, DAY]))
    expires = draw(st.sampled_from([None, None, None, None, 4 * DAY, 75 * DAY + 1, "90s", "month"]))
    then = draw(sometimes(PLANS)) if expires else None
    zone, falls = draw(st.sampled_from(ZONES)), draw(st.booleans())
    rules = {("p", "r"): draw(entitlements()), ("q", "r"): draw(entitlements()), ("w", "s"): draw(entitlements())}
    for place in (("p", "s"), ("q", "s"), ("w", "r")):
        if draw(st.booleans()):
            rules[place] = draw(entitlements())
    for plan in "ppqw":
        if draw(st.booleans()):
            rules[plan, "m"] = draw(counted_as())
    return start, anchor, zone, expires, then, falls, rules
