"""Plans as histories, by properties: the way to a plan does not matter, nor does who looked when; nothing is minted.

    a ── … ── goal ───────▶ │ equal? now, and under all that is consumed later
    b ── … ── x ── y ── goal ▶ │ x, y and goal at one instant

Every property runs on the slow model and on the module (subjects.py).
"""

import contextlib
import itertools

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from account_model import DAY, Entitlement, Limit, Silent
from account_streams import BURSTS, ROLLINGS, one_of_each_kind, sometimes
from conftest import NOON_MS
from subjects import either  # noqa: F401, a fixture
from test_account_model import DRAWN, OPERATIONS, SEED

HOUR = 3_600_000_000

EXAMPLES = max(OPERATIONS // 200, 10)
numbers = itertools.count(1)
PERIODS = ["day", "3day", "month", "month", "month CALENDAR", "week CALENDAR", "forever"]
LIMITS = st.builds(Limit, st.sampled_from([-1, 0, 1, 5, 10, 10, 20, 33]), st.sampled_from(PERIODS), st.booleans())
INSTANTS = st.one_of(st.integers(1, 40 * DAY), st.sampled_from([HOUR, DAY, 3 * DAY]))
USES = st.tuples(st.just("consume"), st.integers(1, 12), st.sampled_from(["", "UPTO", "FORCE"]))
MOVES = st.tuples(st.just("advance"), INSTANTS)


@st.composite
def laws(draw):
    """Rules of a plan, None = it is without the resource. No WARN (raised limits re-arm it), no RATE (test_rl_…)."""
    if draw(st.integers(0, 5)) == 5:
        return None
    limits = draw(one_of_each_kind(LIMITS, 1, 3)) + draw(sometimes(one_of_each_kind(ROLLINGS, 1, 1), []))
    burst, repay = draw(BURSTS)
    return Entitlement(tuple(limits), None, None, burst, repay, draw(st.sampled_from([None, HOUR, 3 * DAY])),
                       draw(st.sampled_from([None] * 8 + [True, True, 0, 4])))


class Pair:
    """Accounts a and b under the same plans and commands, and what a customer sees of them."""

    def __init__(self, quota, plans):
        self.quota, self.number, self.now = quota, next(numbers), NOON_MS * 1000
        quota("QUOTA.CLOCK FREEZE", f"{self.now}us")
        for letter, law in zip("pqxy", plans):
            quota(f"QUOTA.PLAN SET {self.plan(letter)} s LIMIT 1 forever")
            self.set(letter, law) if law else None
        quota(f"QUOTA.OPEN a {self.plan('p')}")

    def plan(self, letter):
        return f"{letter}-{self.number}"

    def set(self, letter, law, apply="FULL"):
        self.quota(f"QUOTA.PLAN SET {self.plan(letter)} r {law.text()} APPLY {apply}")

    def do(self, step, names="a"):
        name, *words = step
        if name == "advance":
            self.now += words[0]
            return self.quota("QUOTA.CLOCK FREEZE", f"{self.now}us") and None
        if name == "switch":
            return [self.quota(f"QUOTA.SWITCH {account} {self.plan(words[0])} {words[1]}") for account in names]
        return [self.answer_to(f"QUOTA.CONSUME {account} r {words[0]} {words[1]}") for account in names]

    def answer_to(self, line):
        try:
            return self.quota(line)
        except Exception as error:  # its code is the answer
            return str(error).split(" ")[0]

    def seen(self, account):
        info = self.quota.map(f"QUOTA.INFO {account}")
        return {name: value for name, value in info.items() if name not in ("account", "notes", "plan", "revision")}

    def compare(self, steps):
        assert self.seen("a") == self.seen("b")
        for step in steps:
            answers = self.do(step, "ab")
            assert answers is None or answers[0] == answers[1]
            assert self.seen("a") == self.seen("b")

    def end(self):
        for name in "ab":
            self.quota(f"DEL {name}")
        for letter in "pqxy":
            self.answer_to(f"QUOTA.PLAN DEL {self.plan(letter)}")


BEFORE = st.lists(st.one_of(USES, MOVES, st.tuples(st.just("switch"), st.sampled_from("pqxy"),
                                                   st.sampled_from(["PRORATE", "FULL"]))), max_size=8)
AFTER = st.lists(st.one_of(USES, MOVES), min_size=2, max_size=8)


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(plans=st.tuples(laws(), laws(), laws(), laws()), before=BEFORE,
       way=st.lists(st.sampled_from("pqxy"), max_size=4), goal=st.sampled_from("pqxy"), after=AFTER)
def check_switches(quota, plans, before, way, goal, after):
    pair = Pair(quota, plans)
    try:
        for step in before:
            pair.do(step)
        quota("COPY a b")
        for letter in [*way, goal]:
            pair.do(("switch", letter, "PRORATE"), "b")
        pair.do(("switch", goal, "PRORATE"), "a")
        pair.compare(after)
    finally:
        pair.end()


def test_the_way_to_a_plan_does_not_matter(either):
    """Also when the goal is where it was: going back at the same instant leaves everything as it was."""
    check_switches(either)


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(first=laws().filter(bool), before=BEFORE, way=st.lists(laws().filter(bool), min_size=1, max_size=3),
       goal=laws().filter(bool), after=AFTER)
def check_revisions(quota, first, before, way, goal, after):
    pair = Pair(quota, (first, first, None, None))
    try:
        quota(f"QUOTA.OPEN b {pair.plan('q')}")
        for step in before:
            pair.do(step, "ab") if step[0] != "switch" else None
        for law in way:
            pair.set("q", law, "PRORATE")
        pair.set("q", goal, "PRORATE")
        pair.set("p", goal, "PRORATE")
        pair.compare(after)
    finally:
        pair.end()


def test_the_way_to_a_revision_does_not_matter(either):
    check_revisions(either)


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(plans=st.tuples(laws().filter(bool), laws(), laws(), laws()), before=BEFORE, law=laws().filter(bool),
       during=st.lists(st.one_of(MOVES, st.tuples(st.just("switch"), st.sampled_from("pqxy"), st.just("PRORATE"))),
                       max_size=4), after=AFTER)
def check_overrides(quota, plans, before, law, during, after):
    pair = Pair(quota, plans)
    try:
        for step in before:
            pair.do(step)
        quota("COPY a b")
        quota(f"QUOTA.OVERRIDE b r ONLY {law.text()}")
        for step in during:
            pair.do(step, "ab")
        if not during or not any(law and law.repay for law in plans):  # what a cycle owes it owes to the next one
            quota("QUOTA.OVERRIDE b r LIFT")
            pair.compare(after)
    finally:
        pair.end()


def test_the_end_of_an_override_uncovers_what_the_plan_gives(either):
    check_overrides(either)


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(plans=st.tuples(laws().filter(bool), laws(), laws(), laws()), steps=st.lists(st.one_of(
    USES, MOVES, MOVES, st.tuples(st.just("revise"), laws().filter(bool), st.sampled_from(["FULL", "PRORATE", "END"]),
                                  st.sampled_from([0, 0, HOUR, 9 * DAY])), st.just(("touch",))), max_size=14))
def check_touches(quota, plans, steps):
    pair = Pair(quota, plans)
    try:
        quota(f"QUOTA.OPEN b {pair.plan('p')}")
        for step in steps:
            if step[0] == "touch":
                for line in ("SUSPEND b", "RESUME b"):
                    quota(f"QUOTA.{line}")
            elif step[0] == "revise":
                effective = f" EFFECTIVE {pair.now + step[3]}us" if step[3] else ""
                quota(f"QUOTA.PLAN SET {pair.plan('p')} r {step[1].text()} APPLY {step[2]}{effective}")
            else:
                pair.compare([step])
            assert pair.seen("a") == pair.seen("b")
    finally:
        pair.end()


def test_touched_and_untouched_accounts_read_the_same(either):
    check_touches(either)


# ---- refunds ----

IDS = st.sampled_from("uvwxyz")
LEDGER = st.lists(st.one_of(
    st.tuples(st.just("consume"), st.integers(1, 30), IDS), st.tuples(st.just("consume"), st.integers(1, 30), IDS),
    st.tuples(st.just("refund"), st.integers(1, 30), IDS), st.tuples(st.just("refund"), st.integers(1, 30), IDS),
    st.tuples(st.just("refund"), st.integers(1, 30), st.none()), st.just(("reset",)),
    st.tuples(st.just("advance"), st.sampled_from([1, HOUR, DAY, 3 * DAY])),
    st.tuples(st.just("switch"), st.sampled_from("pqxy"), st.just("FULL"))), max_size=25)


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(plans=st.tuples(laws(), laws(), laws(), laws()), steps=LEDGER)
def check_refunds(quota, plans, steps):
    """A LIMIT without end sees everything: what it counts is what was charged and has not gone back."""
    seen_all = [Entitlement((Limit(-1, "forever"), *(rule for rule in (law.rules if law else ())
                                                     if rule.period != "forever"))) for law in plans]
    pair, charged, refunded = Pair(quota, seen_all), {}, 0
    try:
        for step in steps:
            if step[0] == "consume" and step[2] not in charged:
                charged[step[2]] = pair.answer_to(f"QUOTA.CONSUME a r {step[1]} UPTO ID {step[2]}")[0]
            elif step[0] == "refund":
                of = f" OF {step[2]}" if step[2] else ""
                answer = pair.answer_to(f"QUOTA.REFUND a r {step[1]}{of}")
                refunded += answer[0] if isinstance(answer, list) else 0
                assert isinstance(answer, str) or sum(answer[:2]) == step[1]
            elif step[0] == "reset":
                with contextlib.suppress(Silent):  # of a resource that was never used there is nothing to reset
                    quota("QUOTA.RESET a r")
                charged, refunded = dict.fromkeys(charged, 0), 0
            elif step[0] != "consume":
                pair.do(step)
            used = [rule["used"] for rule in quota.map("QUOTA.INFO a r")["rules"]
                    if rule["period"] == "forever"]
            assert used == [sum(charged.values()) - refunded] and used[0] >= 0
        for cycle in quota.map("QUOTA.HISTORY a r COUNT 1000"):
            assert cycle["used"] >= 0 and cycle["used"] <= cycle["peak"]
    finally:
        pair.end()


def test_refunds_never_exceed_what_was_charged(either):
    check_refunds(either)
