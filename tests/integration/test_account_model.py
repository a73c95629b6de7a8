"""Accounts against the slow model (account_model): random plans and their changes, overrides, commands, clock steps.

    hypothesis ─▶ plans, account, steps ─┬─▶ server ──▶ reply ─┐
                                         └─▶ model ───▶ reply ─┴─ equal? … at the end INFO, HISTORY, HOLDS equal?

The clock also steps back, so a step back that gave anything would be a difference. Where the contract says nothing the
model says so, and the command is not given. QUOTA_OPERATIONS sets how many commands and clock steps are drawn (20,000;
make model: 300,000), QUOTA_SEED which; a difference is printed with the whole stream as typed.
"""

import collections
import itertools
import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, seed, settings

from account_model import DAY, FOREVER, Account, Host, Silent
from account_streams import STEPS, accounts_drawn
from conftest import as_map

OPERATIONS = int(os.environ.get("QUOTA_OPERATIONS", 20_000))
IN_A_STREAM = 35  # steps, on average
SEED = int(os.environ.get("QUOTA_SEED", 20250131))
KEPT = 20 * DAY  # how long ids are remembered
OPERATORS = ("open", "switch", "suspend", "resume", "close", "override", "lift", "set", "reset", "refund", "refund_all")

numbers = itertools.count(1)  # plans are retired, never gone: every stream has its own


class Stream:
    """One example: the same commands to server and model."""

    def __init__(self, quota, drawn, names=("a",)):
        start, anchor, zone, expires, then, falls, rules = drawn
        self.quota, self.names, self.lines, self.now, self.number = quota, names, [], start, next(numbers)
        self.host, self.given = Host(KEPT, self.plan("q") if falls else None), 0
        self.type("CONFIG SET quota.id-ttl-ms", KEPT // 1000)
        self.type("CONFIG SET quota.default-plan", self.host.default_plan or "")
        self.clock(start)
        for (name, resource), entitlement in rules.items():
            self.set_plan(name, resource, entitlement, "FULL", None)
        anchor = start + anchor if anchor else start
        self.account = Account(self.host, self.plan("p"), start, anchor, zone)
        words = f"{self.plan('p')} ANCHOR {anchor}us ZONE {zone}"
        if expires and not isinstance(expires, str):
            expires = whole_ms(expires + max(start, anchor))
        if expires and (anchor <= start or not isinstance(expires, str)):
            words += f" EXPIRES {expires // 1000 if isinstance(expires, int) else expires}"
            words += f" THEN {self.plan(then)}" if then else ""
            self.account.expire(expires, then and self.plan(then))
        for name in names:
            self.type(f"QUOTA.OPEN {name} {words}")

    def plan(self, letter):
        return f"{letter}{self.number}"

    def type(self, line, *words):
        self.lines.append(" ".join(map(str, (line, *words))))
        try:
            return self.quota(line, *words)
        except redis.ResponseError as error:
            return code(error)

    def clock(self, now):
        self.now = now
        self.type(f"QUOTA.CLOCK FREEZE {now}us")

    # ---- steps ----

    def step(self, step):
        name, *words = step
        if name in ("advance", "boundary"):
            to = self.now + words[0] if name == "advance" else max(self.next_event() + words[0], 1)
            if to != self.now and not self.is_behind_a_revision(to):
                self.clock(to)
        elif name in ("plan", "unplan", "cancel"):
            self.clock(self.now + 1)  # what ends at this very instant may be written down, or not yet
            # In front of the account's last change, where the clock has stepped back: whether a cycle or a revision was
            # written down before decides what it reads, and the contract does not say.
            if self.now >= self.account.settled:
                {"plan": self.set_plan, "unplan": self.delete_resource, "cancel": self.cancel}[name](*words)
        else:
            self.call(name, *LINES[name](self, *words))

    def is_behind_a_revision(self, to):
        """Would the clock stand in front of a revision that the account, as it is stored, has not met? That one is in
        force there, and the contract does not say since when for a resource that no command touches then."""
        return to < self.now and any(one.immediate and one.since > to for _, one in self.account.revisions())

    def call(self, name, line, words):
        self.given += name in OPERATORS
        reason = "requested" if name in OPERATORS and self.given % 3 == 0 else ""
        try:
            expected = self.account.call(name, self.now, *words, reason=reason)
        except Silent:
            return
        for account in self.names:
            answer = self.type(line.replace(" a", " " + account, 1) + (f" REASON {reason}" if reason else ""))
            assert plain(answer) == expected, self.difference(answer, expected)

    def set_plan(self, name, resource, entitlement, apply, effective):
        plan, line = self.plan(name), f"QUOTA.PLAN SET {self.plan(name)} {resource} {entitlement.text()}"
        line += f" APPLY {apply}" if apply != "FULL" else ""
        line += f" EFFECTIVE {self.now + effective}us" if effective else ""
        revision = self.host.set_plan(plan, resource, entitlement, self.now, apply,
                                      self.now + effective if effective else None)
        answer = self.type(line)
        assert answer == revision, self.difference(answer, revision)

    def delete_resource(self, name, resource):
        plan = self.host.plans[self.plan(name)]
        if [one for one in plan.resources if plan.entitlement(one, self.now)] in ([resource], []):
            return  # a plan of nothing
        expected = self.host.delete_resource(plan.name, resource, self.now)
        answer = self.type(f"QUOTA.PLAN DEL {plan.name} {resource}")
        assert answer == expected, self.difference(answer, expected)

    def cancel(self, name):
        plan = self.host.plans[self.plan(name)]
        for revision in plan.pending(self.now)[:1]:
            self.host.cancel(plan.name, revision.number, self.now)
            answer = self.type(f"QUOTA.PLAN CANCEL {plan.name} {revision.number}")
            assert answer in (1, b"OK", True, "OK"), self.difference(answer, "it was to come")

    def touch(self, name, to):
        """Writes down what time does to an account, at every event on the way (the first dozen of them)."""
        for _ in range(12):
            at = self.next_event()
            if at == self.now or at > to:
                return
            self.clock(at)
            active = self.account.look(at).state == "active"
            for line in ("SUSPEND b", "RESUME b") if active else ("OVERRIDE b t LIMIT 1 forever", "OVERRIDE b t LIFT"):
                self.type("QUOTA." + line)
            self.type("QUOTA.SETTLE b")

    def next_event(self):
        """When something ends or begins next, after now."""
        account = self.account.look(self.now)
        instants = account.stops(FOREVER) + [hold.expires for hold in account.holds.values()]
        instants += [window.end for slot in account.slots.values() for window in slot.windows.values()]
        return min([at for at in instants if self.now < at < FOREVER], default=self.now)

    # ---- comparing ----

    def difference(self, answer, expected):
        return "\n".join(self.lines) + f"\nanswered {answer}\nexpected {expected}"

    def looks(self, name):
        info, (cursor, holds) = self.type(f"QUOTA.INFO {name}"), self.type(f"QUOTA.HOLDS {name} COUNT 1000")
        assert cursor is None
        return [as_map(info), [as_map(hold) for hold in holds]]

    def compare_looks(self):
        draft = self.account.look(self.now)
        answer, expected = self.looks("a"), [draft.info(), draft.live_holds()]
        without_revision_of_old(answer[0], expected[0])
        assert answer == expected or any(map(draft.vague, draft.slots)), self.difference(answer, expected)
        for resource in ("r", "s", "m"):
            answer, expected = history(self.quota, "a", resource), draft.history(resource)
            if "NORESOURCE" in (answer, expected):  # idle cycles may be listed, or not
                used = [used_cycles(cycles) for cycles in (answer, expected)]
                same = answer == expected or all(one in ("NORESOURCE", []) for one in used)
                assert same, self.difference(answer, expected)
            else:
                answer, expected = same_cycles(answer, expected)
                assert answer == expected, self.difference(answer, expected)

    def compare_accounts(self):
        """Lazy and eager look the same, now and later. (DUMP shows what was written down when; maps do not.)"""
        for step in (("advance", 0), ("boundary", 0), ("boundary", 1), ("advance", 40 * DAY), ("advance", 400 * DAY)):
            self.step(step)
            lazy, eager = ([*self.looks(name), *(history(self.quota, name, resource) for resource in "rsm")]
                           for name in self.names)
            for info in (lazy[0], eager[0]):
                del info["account"], info["notes"]
            without_revision_of_old(lazy[0], eager[0])
            lazy[2:], eager[2:] = map(used_cycles, lazy[2:]), map(used_cycles, eager[2:])
            assert lazy == eager, self.difference(eager, lazy)

    def end(self):
        for name in self.names:
            self.quota(f"DEL {name}")
        for name in self.host.plans:
            self.quota(f"QUOTA.PLAN DEL {name}")


def code(error):
    """The first word; redis-py leaves ERR out."""
    word = str(error).split(" ")[0]
    return word if word.isupper() else "ERR"


def plain(answer):
    return "OK" if answer in (b"OK", True) else answer


def without_revision_of_old(*infos):
    """How far an account followed a plan that it follows no more does not matter."""
    for info in infos:
        if info["state"] in ("expired", "closed"):
            del info["revision"]


def history(quota, account, resource):
    try:
        cycles = map(as_map, quota(f"QUOTA.HISTORY {account} {resource} COUNT 1000"))
    except redis.ResponseError as error:
        return code(error)
    return [{name: value for name, value in cycle.items() if name != "overage"} for cycle in cycles]


def used_cycles(cycles):
    """Idle cycles before and after a LIMIT that slept may be listed or not."""
    return cycles if isinstance(cycles, str) else [cycle for cycle in cycles if was_used(cycle)]


def same_cycles(answer, expected):
    """Both, without what may differ: idle cycles that only one of them lists, limits of cycles that closed asleep."""
    last = min([cycle["end"] for cycle in answer], default=0) if len(answer) == 1000 else -FOREVER  # it was cut short
    expected = [cycle for cycle in expected if cycle["end"] > last]
    answer = [cycle for cycle in answer if cycle["end"] > last]
    asleep = [place(cycle) for cycle in expected if cycle["asleep"]]
    counts = [collections.Counter(map(place, cycles)) for cycles in (answer, expected)]  # some share one millisecond
    both = [there for there in counts[0] if counts[0][there] == counts[1][there]]
    return [[without_what_differs(cycle, place(cycle) in asleep) for cycle in sorted(cycles, key=place)
             if place(cycle) in both or was_used(cycle)] for cycles in (answer, expected)]


def without_what_differs(cycle, asleep):
    left_out = ("asleep", "limit", "rolled") if asleep else ("asleep",)
    return {name: value for name, value in cycle.items() if name not in left_out}


def place(cycle):
    return cycle["period"], cycle["start"], cycle["end"]


def was_used(cycle):
    return any(cycle[name] for name in ("used", "refunded", "denied", "peak"))


# ---- commands as they are typed, and as the model is called ----


def tail(*pairs):
    return "".join(f" {word} {value}" if word else f" {value}" for word, value in pairs if value)


def whole_ms(at):
    """EXPIRES takes a bare number for an instant: with a unit it is a duration."""
    return -(-at // 1000) * 1000


def consume_line(stream, resource, amount, mode, id, sticky):
    line = f"QUOTA.CONSUME a {resource} {amount}" + tail(("ID", id), ("", mode), ("", "STICKY" * sticky))
    return line, (resource, amount, mode, id, sticky)


def mconsume_line(stream, names, amounts, any, id, check, sticky):
    rows = " ".join(f"{name} {amount}" for name, amount in zip(names, amounts))
    line = f"QUOTA.MCONSUME a {len(names)} {rows}"
    line += tail(("", "ANY" * any), ("ID", id), ("", "CHECK" * check), ("", "STICKY" * sticky))
    return line, (tuple(zip(names, amounts)), any, id, check, sticky)


def reserve_line(stream, id, names, amounts, ttl, mode):
    rows = tuple(zip(names, amounts))
    words = " ".join(f"{name} {amount}" for name, amount in rows)
    return f"QUOTA.RESERVE a {id} {words} TTL {ttl}us {mode}".rstrip(), (id, rows, ttl, mode)


def commit_line(stream, id, amounts, force):
    """As many amounts as the reservation has rows."""
    amounts = amounts and amounts[:stream.account.rows_of(id)]
    words = "".join(f" {amount}" for amount in amounts or ())
    return f"QUOTA.COMMIT a {id}{words}{' FORCE' * force}", (id, amounts, force)


def switch_line(stream, plan, mode, after, restart):
    at = after and stream.now + after
    words = tail(("AT", f"{at}us" if at else ""), ("", "RESTART" * restart))
    return f"QUOTA.SWITCH a {stream.plan(plan)} {mode}{words}", (stream.plan(plan), mode, at, restart)


def override_line(stream, resource, entitlement, only, ex):
    words = tail(("", "ONLY" * only), ("", entitlement.text()), ("EX", f"{ex}us" if isinstance(ex, int) and ex else ex))
    return f"QUOTA.OVERRIDE a {resource}{words}", (resource, entitlement, only, ex)


def open_line(stream, plan, expires, then):
    then = stream.plan(then) if then and expires else None
    at = whole_ms(stream.now + expires) if isinstance(expires, int) else expires
    words = tail(("EXPIRES", at // 1000 if isinstance(at, int) else at), ("THEN", then))
    return f"QUOTA.OPEN a {stream.plan(plan)}{words}", (stream.plan(plan), None, None, at, then)


LINES = {
    "consume": consume_line,
    "mconsume": mconsume_line,
    "refund": lambda stream, resource, amount, of, id: (
        f"QUOTA.REFUND a {resource} {amount}" + tail(("OF", of), ("ID", id)), (resource, amount, of, id)),
    "refund_all": lambda stream, of: (f"QUOTA.REFUND a ALL OF {of}", (of,)),
    "reserve": reserve_line,
    "commit": commit_line,
    "release": lambda stream, id: (f"QUOTA.RELEASE a {id}", (id,)),
    "extend": lambda stream, id, ttl: (f"QUOTA.EXTEND a {id} {ttl}us", (id, ttl)),
    "switch": switch_line,
    "override": override_line,
    "lift": lambda stream, resource: (f"QUOTA.OVERRIDE a {resource} LIFT", (resource,)),
    "set": lambda stream, resource, used, period: (
        f"QUOTA.SET a {resource} {used}" + tail(("PERIOD", period)), (resource, used, period)),
    "reset": lambda stream, resource, period: (
        f"QUOTA.RESET a {resource or ''}" + tail(("PERIOD", period)), (resource, period)),
    "suspend": lambda stream, ex: ("QUOTA.SUSPEND a" + tail(("EX", f"{ex}us" if ex else "")), (ex,)),
    "resume": lambda stream: ("QUOTA.RESUME a", ()),
    "close": lambda stream: ("QUOTA.CLOSE a", ()),
    "open": open_line,
}

RESP = pytest.mark.parametrize("quota", [3], ids=["resp3"], indirect=True)
DRAWN = dict(deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])


def follow(quota, drawn, steps):
    stream = Stream(quota, drawn)
    try:
        for step in steps:
            stream.step(step)
        stream.compare_looks()
    finally:
        stream.end()


@seed(SEED)
@settings(max_examples=max(OPERATIONS * 3 // 4 // IN_A_STREAM, 1), **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def check_stream(quota, drawn, steps):
    follow(quota, drawn, steps)


@RESP
def test_random_streams_agree_with_the_model(accounts):
    check_stream(accounts)


# What time and plans do is the same however often it is written down. A change keeps the clock from stepping back,
# on either account: that would make the accounts differ, as it should.
def makes_accounts_differ(step):
    return (step[0] == "advance" and step[1] < 0) or step == ("boundary", -1)


def follow_both(quota, drawn, steps):
    stream = Stream(quota, drawn, ("a", "b"))
    try:
        for step in steps:
            if makes_accounts_differ(step):
                continue
            if step[0] in ("advance", "boundary"):
                stream.touch("b", stream.now + step[1] if step[0] == "advance" else stream.next_event())
            stream.step(step)
        stream.compare_accounts()
    finally:
        stream.end()


@seed(SEED)
@settings(max_examples=max(OPERATIONS // 4 // IN_A_STREAM, 1), **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def check_lazy_and_eager(quota, drawn, steps):
    follow_both(quota, drawn, steps)


@RESP
def test_lazy_equals_eager(accounts):
    check_lazy_and_eager(accounts)
