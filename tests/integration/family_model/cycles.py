"""What a level's plan says of the one resource, and the cycles of its LIMITs: running, and closed ones by start."""

import copy
import dataclasses

from account_model import Calendar, Rollover
from account_model.carry import lots_after
from credits_model import NEVER
from model import Rule


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a level's plan says of the one resource; without LIMITs grants alone pay."""

    limits: tuple = ()  # (number, period)
    rate: Rule | None = None
    concurrent: int | None = None
    burst: int = 0  # percent
    overage: bool | int = 0  # True: any number of units
    first: bool = False
    share: str = "FIRST"
    cost: int = 1
    grace: int = 0  # us
    repay: bool = False
    rollover: Rollover | None = None  # of each LIMIT that ends
    rolling: tuple = ()  # (number, us)

    def rolls(self, period):
        return self.rollover is not None and period != "forever"

    def text(self):
        words = [f"LIMIT {number} {period}" + (f" {self.rollover.text()}" if self.rolls(period) else "")
                 for number, period in self.limits]
        words += ["LIMIT {} ROLLING {}us".format(*self.rolling)] if self.rolling else []
        words += [f"RATE {self.rate.text()}"] if self.rate else []
        words += [f"CONCURRENT {self.concurrent}"] if self.concurrent is not None else []
        words += [f"BURST {self.burst}%" + " REPAY" * self.repay] * bool(self.burst)
        words += [f"GRACE {self.grace}us"] * bool(self.grace) + [f"COST {self.cost}"] * (self.cost > 1)
        words += ["CREDITS FIRST" if self.first else "CREDITS"] * (self.first or not self.limits)
        words += ["OVERAGE" if self.overage is True else f"OVERAGE MAX {self.overage}"] * bool(self.overage)
        return " ".join(words + [f"SHARE {self.share}"] * (self.share != "FIRST"))


class Cycle:
    """What is used, and what of it may yet come back.

        pools    a 50 ── RESET │ b 30 ── c 20 ── unnamed refund 25 │ d 10 ▶     [end, left]: together no more comes back
                      [a, 0]   │                      [c, 25]      │ [open, 10]
    """

    def __init__(self, start, end):
        self.start, self.end, self.used, self.pools = start, end, 0, [[NEVER, 0]]
        self.lots = ()  # that it began with: (units, cycles), the oldest first
        self.debt = self.over_since = 0  # of the cycles before; when the first unit beyond the limit was used

    def charge(self, units):
        self.used += units
        self.pools[-1][1] += units

    def give_back(self, units, place):
        """Of what was charged at that place in the order of all commands. -> how many."""
        pool = next(pool for pool in self.pools if place <= pool[0])
        back = min(units, self.used, pool[1])
        self.used -= back
        pool[1] -= back
        return back

    def give_back_newest(self, units, place):
        earlier = sum(left for _, left in self.pools[:-1])
        self.pools[-1][1] = min(self.pools[-1][1], max(self.used - earlier, 0))  # grants may have paid for some
        self.used -= units
        for pool in self.pools[::-1]:
            back = min(units, pool[1])
            pool[1] -= back
            units -= back
        self.pools[-1][0] = place
        self.pools.append([NEVER, 0])

    def begin_anew(self, used, place):
        """RESET, SET: nothing of before comes back by its name."""
        self.used, self.pools = used, [[place, 0], [place, used], [NEVER, 0]]


class Cycles:
    """One LIMIT: its running cycle, and those that have closed by their start."""

    def __init__(self, number, period, plan, zone, anchor, now):
        self.base, self.period, self.plan, self.closed = number, period, plan, {}
        self.calendar = None if period == "forever" else Calendar(period, zone, anchor)
        self.running = Cycle(*self.calendar.cycle(now) if self.calendar else (anchor, NEVER))

    word = property(lambda self: self.period.split()[0])
    start = property(lambda self: self.running.start)
    end = property(lambda self: self.running.end)

    @property
    def number(self):
        """Of the running cycle, after its debt."""
        return self.number_of(self.running)

    def number_of(self, cycle):
        return max(self.base + self.rolled(cycle) - cycle.debt, 0)

    @staticmethod
    def rolled(cycle):
        return sum(units for units, _ in cycle.lots)

    def capacity(self, now):
        """With BURST and GRACE; None = any number."""
        if self.plan.grace and self.running.over_since and now >= self.running.over_since + self.plan.grace:
            return self.number
        if self.plan.grace and not self.plan.burst:
            return None
        burst = self.base * self.plan.burst // 100
        return max(self.base + self.rolled(self.running) + burst - self.running.debt, 0)

    @property
    def used(self):
        return self.running.used

    @used.setter
    def used(self, units):  # a grant has paid for what is over
        self.running.used = units

    def __deepcopy__(self, memo):
        other = copy.copy(self)  # the calendar stays as it is
        other.running, other.closed = copy.deepcopy(self.running), copy.deepcopy(self.closed)
        return other

    def close(self, held, has_begun):
        """held: beyond its end. has_begun: a cycle before the account's anchor hands nothing on."""
        before = self.closed[self.start] = self.running
        self.running = Cycle(*self.calendar.cycle(self.end))
        if self.plan.repay:
            self.running.debt = max(before.debt + before.used - self.base - self.rolled(before), 0)
        if self.plan.rolls(self.period) and has_begun:
            base, beyond = max(self.base - before.debt, 0), max(before.debt - self.base, 0)
            self.running.lots = lots_after(before.lots, base, before.used + held + beyond, self.plan.rollover)

    def before(self):
        """When the cycle before the running one began."""
        return self.calendar.cycle(self.start - 1)[0] if self.calendar else None

    def start_of(self, at):
        return self.start if at >= self.start or not self.calendar else self.calendar.cycle(at)[0]

    def of(self, at):
        """The cycle of that instant; None where it is not known."""
        cycles = [*self.closed.values(), self.running]
        return self.running if at >= self.start else next((one for one in cycles if one.start <= at < one.end), None)

    def post(self, units, at):
        if self.of(at):
            self.amend(self.of(at), lambda cycle: cycle.charge(units))
        self.see_grace(units, at)

    def see_grace(self, units, at):
        """It begins once in a cycle, with the first unit beyond the limit."""
        if at >= self.start and units and self.used > self.number and not self.running.over_since:
            self.running.over_since = at

    def give_back(self, units, at, place):
        return self.amend(self.of(at), lambda cycle: cycle.give_back(units, place)) if self.of(at) else 0

    def amend(self, cycle, change):
        """What a closed cycle is overdrawn by the running one repays."""
        before = max(cycle.used - self.number_of(cycle), 0)
        result = change(cycle)
        if self.plan.repay and cycle is not self.running:
            more = max(cycle.used - self.number_of(cycle), 0) - before
            self.running.debt = max(self.running.debt + more, 0)
        return result

    def begin_anew(self, used, place, reset, now):
        self.running.begin_anew(used, place)
        self.running.over_since = 0
        self.running.debt *= not reset
        self.see_grace(used, now)


class Rolling:
    """A window (now - us, now]: units by their instants, and what of them may yet come back."""

    def __init__(self, number, us):
        self.number, self.us, self.entries, self.ledger = number, us, [], Cycle(0, NEVER)

    def live(self, now):
        return [entry for entry in self.entries if entry[0] > now - self.us and entry[1] > 0]

    def used(self, now):
        return sum(units for _, units in self.live(now))

    def charge(self, units, now):
        self.entries += [[now, units]] * (units > 0)
        self.ledger.charge(units)

    def give_back(self, units, logged, place, now):
        """Of what was charged at that instant."""
        there = sum(units for at, units in self.live(now) if at == logged)
        back = self.ledger.give_back(min(units, there), place)
        self.take(back, [entry for entry in self.entries if entry[0] == logged])
        return back

    def give_back_newest(self, units, place, now):
        self.ledger.used = self.used(now)
        self.ledger.give_back_newest(units, place)
        self.take(units, self.live(now))

    @staticmethod
    def take(units, entries):
        for entry in entries[::-1]:
            back = min(units, entry[1])
            entry[1] -= back
            units -= back

    def forget(self, place):
        self.entries = []
        self.ledger.begin_anew(0, place)
