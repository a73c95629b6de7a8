"""What is counted of one resource: cycles, running or closed, and rolling windows, each with its own ledger.

    charged ──────── a 50 ── RESET ── b 30 ── c 20 ── unnamed refund 25 ──▶
    marks                    (a, 0)                   (a … c, 25)               together they get back no more than this
"""

import copy
import dataclasses

from account_model.carry import lots_after
from account_model.plans import UNLIMITED, Silent
from model import Key

BY_INSTANT = False  # True: what was charged at the very instant of a mark counts as before it, also if it came after


MARKS = 3  # of a cycle at once; of older ones the contract says only what RESET and SET have closed


def position(sequence, now):
    return now if BY_INSTANT else sequence


@dataclasses.dataclass(frozen=True)
class Ledger:
    """What may yet be given back. A mark: of what was charged between the mark before it and this one, so much."""

    marks: tuple = ()  # (position, left), oldest first
    fresh: int = 0  # charged after the last mark, and not given back

    def charged(self, units):
        return dataclasses.replace(self, fresh=self.fresh + units)

    def may_return(self, at):
        place = next((i for i, (mark, _) in enumerate(self.marks) if mark >= at), None)
        if place is None:
            return None
        closed = place == 0 and self.marks[0][1] == 0
        if len(self.marks) > MARKS and place < len(self.marks) - 2 and not closed:
            raise Silent("what may yet be returned of what many unnamed refunds lie behind")
        return self.marks[place][1]

    def returned(self, at, units):
        """A named refund of what was charged at that place."""
        if self.may_return(at) is None:
            return dataclasses.replace(self, fresh=max(self.fresh - units, 0))
        place = next(i for i, (mark, _) in enumerate(self.marks) if mark >= at)
        marks = tuple((mark, left - units if i == place else left) for i, (mark, left) in enumerate(self.marks))
        return dataclasses.replace(self, marks=marks)

    def taken_newest(self, at, units):
        """An unnamed refund: the newest units first."""
        newest, marks = min(units, self.fresh), []
        units -= newest
        for mark, left in reversed(self.marks):
            marks.append((mark, left - min(left, units)))
            units -= min(left, units)
        return Ledger((*marks[::-1], (at, self.fresh - newest)))

    @staticmethod
    def closed(at):
        """RESET, SET: nothing of before is given back."""
        return Ledger(((at, 0),))


@dataclasses.dataclass
class Cycle:
    period: str
    start: int
    end: int
    limit: int  # of the cycle, before its debt and its lots
    origin: int = 0  # where its calendar lets it begin: before a RESTART that cut it
    debt: int = 0
    lots: tuple = ()  # that it began with: (units, cycles), the oldest first
    used: int = 0
    refunded: int = 0
    denied: int = 0
    peak: int = 0
    over_since: int = 0
    warned: int = 0
    counts: bool = True  # its LIMIT is a rule now
    charged: int = 0  # all that was ever charged: refunds never exceed it
    implicit: bool = False  # there because cycles of its LIMIT roll over
    asleep: bool = False  # closed while no rule requested it
    ledger: Ledger = Ledger()

    def own_limit(self):
        return UNLIMITED if self.limit == UNLIMITED else max(self.limit + self.rolled() - self.debt, 0)

    def rolled(self):
        return sum(units for units, _ in self.lots)

    def capacity(self, entitlement, now):
        within = self.within(entitlement, now)
        if within == UNLIMITED or entitlement.overage is True:
            return UNLIMITED
        return within + (entitlement.overage or 0)

    def within(self, entitlement, now):
        """Without OVERAGE."""
        if self.limit == UNLIMITED:
            return UNLIMITED
        stretched = max(self.limit + self.rolled() + self.limit * (entitlement.burst or 0) // 100 - self.debt, 0)
        if not entitlement.grace:
            return stretched
        if self.over_since and now >= self.over_since + entitlement.grace:
            return self.own_limit()
        return stretched if entitlement.burst else UNLIMITED

    def count(self, units, held):
        self.used += units
        self.charged += units
        self.peak = max(self.peak, self.used + held)
        self.ledger = self.ledger.charged(units)

    def charge(self, units, held, now):
        self.count(units, held)
        beyond = self.limit != UNLIMITED and self.used > self.own_limit()
        if units and beyond and not self.over_since:  # a limit that fell below what is used, a hold: neither is a unit
            self.over_since = now

    def reached(self, entitlement):
        limit = self.own_limit()
        return max([p for p in entitlement.warn or () if limit > 0 and self.used * 100 >= limit * p], default=0)

    def warn(self, entitlement):
        self.warned = max(self.warned, self.reached(entitlement))

    def give_back(self, units, at):
        """A named refund of what was charged at that place -> units that really went back."""
        most = self.ledger.may_return(at)
        back = min(units, self.used, self.used if most is None else most)
        self.used -= back
        self.refunded += back
        self.ledger = self.ledger.returned(at, back)
        return back

    def give_back_newest(self, units, at):
        self.used -= units
        self.refunded += units
        self.ledger = self.ledger.taken_newest(at, units)

    def begin_anew(self, used, at, now):
        """SET: as if so much had been charged now."""
        self.used = self.warned = self.over_since = 0
        self.charge(used, 0, now)
        self.ledger = Ledger.closed(at)

    def forget(self, at):
        """RESET."""
        self.used = self.debt = self.refunded = self.denied = self.peak = self.charged = 0
        self.over_since = self.warned = 0
        self.ledger = Ledger.closed(at)

    def debt_after(self, entitlement):
        repays = entitlement.repay and self.limit != UNLIMITED
        return max(self.debt + self.used - self.limit - self.rolled(), 0) if repays else 0

    def lots_after(self, rule, held):
        """held: beyond its end. rule: the LIMIT that holds then (None: the lots live on, nothing is added)."""
        if self.limit == UNLIMITED:
            return lots_after(self.lots, None, self.used + held, rule and rule.rollover)
        base, beyond = max(self.limit - self.debt, 0), max(self.debt - self.limit, 0)
        return lots_after(self.lots, base, self.used + held + beyond, rule and rule.rollover)

    def overdraft(self):
        return 0 if self.limit == UNLIMITED else max(self.used - self.own_limit(), 0)


@dataclasses.dataclass
class Log:
    """One rolling window."""

    entries: list = dataclasses.field(default_factory=list)  # (instant, units), oldest first
    ledger: Ledger = Ledger()

    def live(self, since):
        return [entry for entry in self.entries if entry[0] > since]

    def used(self, since):
        return sum(units for _, units in self.live(since))

    def charge(self, units, now):
        self.entries = self.entries + [(now, units)]
        self.ledger = self.ledger.charged(units)

    def give_back(self, units, at, instant, since):
        most = self.ledger.may_return(at)
        there = sum(amount for when, amount in self.live(since) if when == instant)
        back = min(units, there, there if most is None else most)
        if most is not None and most < min(units, there):
            raise Silent("whose units of one instant a rolling window still counts")
        self.entries = self.without(instant, back)
        self.ledger = self.ledger.returned(at, back)
        return back

    def without(self, instant, units):
        left = []
        for when, amount in self.entries:
            back = min(units, amount) if when == instant else 0
            units -= back
            left += [(when, amount - back)] if amount > back else []
        return left

    def give_back_newest(self, units, at):
        self.ledger = self.ledger.taken_newest(at, units)
        left = list(self.entries)
        while units and left:
            when, amount = left.pop()
            back = min(units, amount)
            units -= back
            left += [(when, amount - back)] if amount > back else []
        self.entries = left


@dataclasses.dataclass(frozen=True)
class Row:
    """Of a request: what is requested, and what that is of which resource. Of one that is counted AS another its own
    rules come first; rows of one request that are counted as one resource are requested in sum."""

    resource: str
    amount: int
    parts: tuple  # (resource, units for one)

    def units(self, amount=None):
        return [(resource, cost * (self.amount if amount is None else amount)) for resource, cost in self.parts]


@dataclasses.dataclass
class Hold:
    rows: tuple  # of Row
    units: dict  # by resource
    made: int
    expires: int
    kept: int
    periods: dict  # by resource the LIMITs it was made under
    requested: tuple = ()
    verdict: list = ()
    until: int = 0  # when it will expire, while it is being made


@dataclasses.dataclass
class Item:
    """What one consumption charged: under each period the cycle of this instant, and these rolling windows."""

    resource: str
    granted: int
    cost: int
    places: dict
    logs: tuple
    made: int
    logged: int
    position: int
    counted_as: object = None  # the same of the resource that it is counted AS


@dataclasses.dataclass
class Record:
    expires: int
    requested: object
    reply: object
    items: tuple = ()
    amount: int = 0  # of the reservation that was resolved
    returned: dict = dataclasses.field(default_factory=dict)  # by resource


class Slot:
    """One resource: cycles exist from their first unit on, and then follow one another without a gap."""

    def __init__(self):
        self.windows, self.logs, self.rates, self.lane, self.past = {}, {}, Key(), Key(), []
        self.override, self.only, self.until = None, False, 0
        self.slept = []  # TOKEN buckets with an INITIAL, as they were when their rule went
        self.implicit = False  # there only because its cycles roll over
        self.marked = -1  # up to this position RATEs alone give nothing back: RESET, SET, an unnamed refund

    def copy(self):
        other = copy.copy(self)
        other.windows = {period: copy.copy(window) for period, window in self.windows.items()}
        other.logs = {us: copy.copy(log) for us, log in self.logs.items()}
        other.slept = list(self.slept)
        other.rates, other.lane, other.past = copy.deepcopy(self.rates), copy.deepcopy(self.lane), list(self.past)
        return other
