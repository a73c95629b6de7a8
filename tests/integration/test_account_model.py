"""Accounts against the slow model (account_model.py): random plans, commands, ids, zones and clock steps.

    hypothesis ─▶ plans, account, steps ─┬─▶ server ──▶ reply ─┐
                                         └─▶ model ───▶ reply ─┴─ equal? … at the end INFO, HISTORY, HOLDS equal?

The clock also steps back, so a step back that gave anything would be a difference. QUOTA_EXAMPLES sets how many
streams are drawn (a few hundred take half a minute), QUOTA_SEED which; a difference is printed with the whole stream
as typed.
"""

import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from account_model import DAY, FOREVER, Account, Host, Limit, Rate, Rolling, Terms
from conftest import as_map
from model import Rule

EXAMPLES = int(os.environ.get("QUOTA_EXAMPLES", 400))
SEED = int(os.environ.get("QUOTA_SEED", 20250131))
SECOND, HOUR = 1_000_000, 3_600_000_000
KEPT = 20 * DAY  # how long ids are remembered

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
RESOURCES = st.sampled_from(["r", "r", "r", "s"])
IDS = st.sampled_from(["x", "x", "y", "z"])
HOLD_IDS = st.sampled_from(["h", "h", "i", "x"])
MAYBE_ID = st.one_of(st.none(), IDS)
PLANS = st.sampled_from(["p", "p", "q"])


def sometimes(strategy, nothing):
    return st.one_of(st.just(nothing), st.just(nothing), strategy)


LIMITS = st.builds(Limit, st.sampled_from([10, 10, 5, 7, 20, 20, 20, 30, 3, 12, 15, -1, 0]), st.sampled_from(PERIODS),
                   st.booleans())
ROLLINGS = st.builds(Rolling, st.integers(4, 20), st.sampled_from(["90s", "6h", "2d", "40d"]))
RATES = st.sampled_from([
    Rate(Rule("GCRA", 5, 3_600_000_000, 0), "1h"), Rate(Rule("GCRA", 3, SECOND, 9), "1s"),
    Rate(Rule("FIXED", 6, 60_000_000), "1m"), Rate(Rule("TOKEN", 4, HOUR, 8), "1h"),
    Rate(Rule("SLIDING", 7, HOUR), "1h"), Rate(Rule("LOG", 8, HOUR), "1h")])


@st.composite
def terms(draw):
    rules = draw(st.lists(LIMITS, min_size=1, max_size=3, unique_by=lambda rule: rule.period))
    rules += draw(sometimes(st.lists(ROLLINGS, min_size=1, max_size=2, unique_by=lambda rule: rule.period), []))
    rules += draw(sometimes(st.lists(RATES, min_size=1, max_size=1), []))
    return Terms(tuple(draw(st.permutations(rules))), draw(st.sampled_from([1, 1, 1, 2, 3])),
                 draw(sometimes(st.sampled_from([(50,), (80, 100), (30, 100, 150)]), ())),
                 draw(sometimes(st.sampled_from([20, 50, 200]), 0)), draw(st.booleans()),
                 draw(sometimes(st.sampled_from([HOUR, 3 * DAY]), 0)), draw(st.integers(0, 5)) == 5,
                 draw(sometimes(st.integers(0, 2), -1)), draw(sometimes(st.integers(0, 6), -1)),
                 draw(sometimes(st.sampled_from([HOUR, DAY]), 0)))


def step(name, *words):
    return st.tuples(st.just(name), *words)


def group(*steps):
    return st.tuples(*steps)


CLOCK = st.one_of(
    step("advance", st.sampled_from([1, SECOND, HOUR, 5 * HOUR, DAY, 8 * DAY, 31 * DAY])),
    step("advance", st.integers(0, 3 * DAY)), step("advance", st.integers(0, 70 * DAY)),
    step("boundary", st.sampled_from([0, 0, -1, 1])), step("boundary", st.sampled_from([0, 0, -1, 1])),
    step("boundary", st.sampled_from([0, 0, -1, 1])), step("advance", st.just(0)),
    step("advance", st.sampled_from([-1, -SECOND, -HOUR, -2 * DAY, -40 * DAY])),
)
MODES = st.sampled_from(["", "", "", "UPTO", "CHECK", "FORCE"])
CONSUME = step("consume", RESOURCES, AMOUNTS, MODES, st.none(), st.just(False))
CONSUME_ID = step("consume", RESOURCES, AMOUNTS, MODES, IDS, st.booleans())
MCONSUME = step("mconsume", st.sampled_from([("r",), ("r", "s"), ("s", "r")]), st.tuples(AMOUNTS, AMOUNTS),
                st.booleans(), MAYBE_ID, st.booleans(), st.booleans())
REFUND = step("refund", RESOURCES, AMOUNTS, st.one_of(IDS, IDS, st.none()), st.one_of(st.none(), MAYBE_ID))
RESERVE = step("reserve", HOLD_IDS, RESOURCES, AMOUNTS, st.sampled_from([SECOND, HOUR, 2 * DAY, 40 * DAY]),
               st.sampled_from(["", "", "UPTO"]))
COMMIT = step("commit", HOLD_IDS, st.one_of(st.none(), st.integers(0, 4)))
RELEASE = step("release", HOLD_IDS)
RESERVED = step("reserve", st.just("h"), RESOURCES, AMOUNTS, st.sampled_from([HOUR, 2 * DAY, 40 * DAY]),
                st.just("UPTO"))
COMMITTED = step("commit", st.just("h"), st.one_of(st.none(), st.integers(0, 4)))
RELEASED = step("release", st.just("h"))
REFUNDED = step("refund", RESOURCES, st.sampled_from([1, 1, 2, 3]), st.just("h"), st.none())
EXTEND = step("extend", HOLD_IDS, st.sampled_from([1, HOUR, 5 * DAY]))
PLAN = step("plan", PLANS, RESOURCES, terms())
SWITCH = step("switch", PLANS, st.sampled_from(["PRORATE", "FULL", "END"]))
OVERRIDE = step("override", RESOURCES, st.one_of(st.none(), terms()), st.sampled_from([0, HOUR, 3 * DAY, 40 * DAY]))
SET = step("set", RESOURCES, st.integers(0, 12))
RESET = step("reset", st.one_of(st.none(), RESOURCES))
OPEN = step("open", PLANS, st.sampled_from([None, None, HOUR, 3 * DAY, 50 * DAY]))

# What belongs together, so that ids are found and accounts do not stay closed. The first is what shrinks best.
GROUPS = [group(step("advance", st.just(0)))] + [group(CONSUME)] * 4 + [group(CLOCK)] * 5 + [
    group(CONSUME_ID), group(CONSUME_ID, REFUND), group(CONSUME_ID, CLOCK, REFUND), group(MCONSUME),
    group(MCONSUME, REFUND), group(REFUND), group(RESERVE), group(COMMIT), group(RELEASE), group(EXTEND),
    group(RESERVED), group(RESERVED, CONSUME, COMMITTED), group(RESERVED, CLOCK, COMMITTED),
    group(RESERVED, CLOCK, COMMITTED, CLOCK, REFUNDED), group(RESERVED, CLOCK, RELEASED), group(COMMIT, REFUND),
    group(PLAN), group(PLAN, CONSUME), group(SWITCH), group(SWITCH, CLOCK), group(OVERRIDE), group(OVERRIDE, CLOCK),
    group(SET), group(RESET), group(OPEN),
    group(step("suspend"), st.one_of(CLOCK, REFUND, COMMIT, CONSUME, CONSUME_ID), step("resume")),
    group(step("close"), st.one_of(CLOCK, REFUND, COMMIT, CONSUME_ID), OPEN)]
STEPS = st.lists(st.one_of(GROUPS), min_size=15, max_size=30).map(lambda groups: sum(groups, ()))


@st.composite
def accounts_drawn(draw):
    """Where it is, when it begins, its plans, perhaps an end."""
    start = draw(st.sampled_from(STARTS))
    anchor = draw(st.sampled_from([None, None, -3 * HOUR - 1, -29 * DAY, -400 * DAY, None, None, DAY]))
    expires = draw(st.sampled_from([None, None, None, None, 4 * DAY, 75 * DAY + 1]))
    zone, falls = draw(st.sampled_from(ZONES)), draw(st.booleans())
    return start, anchor, zone, expires, falls, *(draw(terms()) for _ in range(4))


class Stream:
    """One example: the same commands to server and model."""

    def __init__(self, quota, drawn, names=("a",)):
        start, anchor, zone, expires, falls, *terms = drawn
        self.quota, self.names, self.lines, self.now = quota, names, [], start
        self.host = Host(KEPT, "q" if falls else None)
        self.type("CONFIG SET quota.id-ttl-ms", KEPT // 1000)
        self.type("CONFIG SET quota.default-plan", self.host.default_plan or "")
        self.clock(start)
        for place, rules in zip(("pr", "ps", "qr", "qs"), terms):
            self.plan(*place, rules)
        anchor = start + anchor if anchor else start
        expires = max(start, anchor) + expires if expires else 0
        self.account = Account(self.host, self.host.plans["p"], start, anchor, zone, expires)
        words = f"p ANCHOR {anchor}us ZONE {zone}" + (f" EXPIRES {expires}us" if expires else "")
        for name in names:
            self.type(f"QUOTA.OPEN {name} {words}")

    def type(self, line, *words):
        self.lines.append(" ".join(map(str, (line, *words))))
        try:
            return self.quota(line, *words)
        except redis.ResponseError as error:
            return code(error)

    def clock(self, now):
        self.now = now
        self.type(f"QUOTA.CLOCK FREEZE {now}us")

    def plan(self, name, resource, terms):
        revision = self.host.set_plan(name, resource, terms)
        assert self.type(f"QUOTA.PLAN SET {name} {resource} {terms.text()}") == revision

    def step(self, step):
        name, *words = step
        if name == "plan":
            self.plan(*words)
        elif step == ("advance", 0):
            pass
        elif name == "advance":
            self.clock(self.now + words[0])
        elif name == "boundary":
            self.clock(max(self.next_event() + words[0], 1))
        else:
            line, words = LINES[name](self.now, *words)
            expected = self.account.ask(name, self.now, *words)
            for account in self.names:
                answer = self.type(line.replace(" a", " " + account, 1))
                assert plain(answer) == expected, self.told(answer, expected)

    def touch(self, name, to):
        """Writes down what time does to an account, at every event on the way (the first dozen of them)."""
        for _ in range(12):
            at = self.next_event()
            if at == self.now or at > to:
                return
            self.clock(at)
            active = self.account.look(at).state == "active"
            for line in ("SUSPEND b", "RESUME b") if active else ("OVERRIDE b t LIMIT 1 forever", "OVERRIDE b t"):
                self.type("QUOTA." + line)

    def compare_accounts(self):
        """Lazy and eager look the same, now and later. (DUMP tells apart what was written down when; maps do not.)"""
        for step in (("advance", 0), ("boundary", 0), ("boundary", 1), ("advance", 40 * DAY), ("advance", 400 * DAY)):
            self.step(step)
            lazy, eager = ([as_map(self.type(f"QUOTA.INFO {name}")), as_map(self.type(f"QUOTA.HOLDS {name}")),
                            history(self.quota, name, "r"), history(self.quota, name, "s")] for name in self.names)
            for info in (lazy[0], eager[0]):
                del info["account"], info["notes"]
            assert lazy == eager, self.told(eager, lazy)

    def next_event(self):
        """When something ends or begins next, after now."""
        account = self.account.look(self.now)
        instants = account.stops() + [hold.expires for hold in account.holds.values()]
        instants += [window.end for slot in account.slots.values() for window in slot.windows.values()]
        return min([at for at in instants if self.now < at < FOREVER], default=self.now)

    def told(self, answer, expected):
        return "\n".join(self.lines) + f"\nanswered {answer}\nexpected {expected}"

    def compare_looks(self):
        draft = self.account.look(self.now)
        looks = [("QUOTA.INFO a", draft.info()), ("QUOTA.HOLDS a", draft.live_holds())]
        for line, expected in looks:
            answer = as_map(self.quota(line))
            assert answer == expected, self.told(answer, expected)
        for resource in ("r", "s"):
            answer, expected = history(self.quota, "a", resource), draft.history(resource)
            if expected != "NORESOURCE":
                answer, expected = in_order(answer, len(answer)), in_order(expected, len(answer))
            assert answer == expected, self.told(answer, expected)

    def end(self):
        for name in self.names:
            self.quota(f"DEL {name}")
        for name in "pq":
            self.quota(f"QUOTA.PLAN DEL {name}")


def code(error):
    """The first word; redis-py leaves ERR out."""
    word = str(error).split(" ")[0]
    return word if word.isupper() else "ERR"


def plain(answer):
    return "OK" if answer in (b"OK", True) else answer


def history(quota, account, resource):
    try:
        return as_map(quota(f"QUOTA.HISTORY {account} {resource} COUNT 1000"))
    except redis.ResponseError as error:
        return code(error)


def in_order(cycles, answered):
    """Newest first; of an answer that was cut short what surely is in it: all that end after its last one."""
    ordered = sorted(cycles, key=lambda cycle: [-cycle["end"], cycle["start"], cycle["period"], str(cycle)])
    return ordered[:900] if answered == 1000 else ordered


def tail(*pairs):
    return "".join(f" {word} {value}" if word else f" {value}" for word, value in pairs if value)


# As typed, and as the model is asked.
LINES = {
    "consume": lambda now, resource, amount, mode, id, sticky: (
        f"QUOTA.CONSUME a {resource} {amount}" + tail(("ID", id), ("", mode), ("", "STICKY" * sticky)),
        (resource, amount, mode, id, sticky)),
    "mconsume": lambda now, names, amounts, any, id, check, sticky: (
        f"QUOTA.MCONSUME a {len(names)} " + " ".join(f"{name} {amount}" for name, amount in zip(names, amounts))
        + tail(("", "ANY" * any), ("ID", id), ("", "CHECK" * check), ("", "STICKY" * sticky)),
        (tuple(zip(names, amounts)), any, id, check, sticky)),
    "refund": lambda now, resource, amount, of, id: (
        f"QUOTA.REFUND a {resource} {amount}" + tail(("OF", of), ("ID", id)), (resource, amount, of, id)),
    "reserve": lambda now, id, resource, amount, ttl, mode: (
        f"QUOTA.RESERVE a {id} {resource} {amount} TTL {ttl}us {mode}", (id, resource, amount, ttl, mode)),
    "commit": lambda now, id, amount: (
        f"QUOTA.COMMIT a {id} " + ("" if amount is None else str(amount)), (id, amount)),
    "release": lambda now, id: (f"QUOTA.RELEASE a {id}", (id,)),
    "extend": lambda now, id, ttl: (f"QUOTA.EXTEND a {id} {ttl}us", (id, ttl)),
    "switch": lambda now, plan, mode: (f"QUOTA.SWITCH a {plan} {mode}", (plan, mode)),
    "override": lambda now, resource, terms, ex: (
        f"QUOTA.OVERRIDE a {resource}" + (f" {terms.text()}" + (f" EX {ex}us" if ex else "") if terms else ""),
        (resource, terms, ex)),
    "set": lambda now, resource, used: (f"QUOTA.SET a {resource} {used}", (resource, used)),
    "reset": lambda now, resource: (f"QUOTA.RESET a {resource or ''}", (resource,) if resource else ()),
    "suspend": lambda now: ("QUOTA.SUSPEND a", ()),
    "resume": lambda now: ("QUOTA.RESUME a", ()),
    "close": lambda now: ("QUOTA.CLOSE a", ()),
    "open": lambda now, plan, expires: (
        f"QUOTA.OPEN a {plan}" + (f" EXPIRES {now + expires}us" if expires else ""),
        (plan, None, None, now + expires if expires else None)),
}

RESP = pytest.mark.parametrize("quota", [3], ids=["resp3"], indirect=True)
DRAWN = dict(deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def check_stream(quota, drawn, steps):
    stream = Stream(quota, drawn)
    try:
        for step in steps:
            stream.step(step)
        stream.compare_looks()
    finally:
        stream.end()


@RESP
def test_random_streams_agree_with_the_model(accounts):
    check_stream(accounts)


# What time alone does is the same however often it is written down. Newer rules of a plan begin with a change, whoever
# makes it, and a change keeps the clock from stepping back: both would tell the accounts apart, as they should.
def tells_apart(step):
    return step[0] == "plan" or (step[0] == "advance" and step[1] < 0) or step == ("boundary", -1)


@seed(SEED)
@settings(max_examples=max(EXAMPLES // 3, 1), **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def check_lazy_and_eager(quota, drawn, steps):
    stream = Stream(quota, drawn, ("a", "b"))
    try:
        for step in steps:
            if step[0] in ("advance", "boundary") and not tells_apart(step):
                stream.touch("b", stream.now + step[1] if step[0] == "advance" else stream.next_event())
            if not tells_apart(step):
                stream.step(step)
        stream.compare_accounts()
    finally:
        stream.end()


@RESP
def test_lazy_equals_eager(accounts):
    check_lazy_and_eager(accounts)
