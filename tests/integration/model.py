"""A slow honest model of every rate limit: fractions, lists, and waits found by searching, never by formula.

Each algorithm says only what its state is, whether a cost fits at an instant, and how a cost changes the state. When
a cost will fit and when a state is as good as new, the model finds by bisection over whole microseconds, so it shares
no formula with the module. Times are ints in us, everything else is exact (fractions.Fraction).
"""

import copy
import dataclasses
import math
from fractions import Fraction

HORIZON_US = 2**58
RULES_MAX = 32


@dataclasses.dataclass(frozen=True)
class Rule:
    word: str
    limit: int
    period: int  # us
    burst: int = 0
    initial: int | None = None
    flag: str = ""

    def fill(self):
        return self.capacity if self.initial is None else self.initial

    @property
    def capacity(self):
        return (self.burst or self.limit) + (self.word == "QUEUE")

    def means(self):
        return self.word, self.limit, self.period, self.capacity, self.fill(), self.flag

    def text(self):
        words = [self.word, str(self.limit), f"{self.period}us"]
        words += ["BURST", str(self.burst)] if self.burst else []
        words += [] if self.initial is None else ["INITIAL", str(self.initial)]
        return " ".join(words + ([self.flag] if self.flag else []))


def first_instant(true, start):
    """The smallest t >= start with true(t), for a condition that stays true; None when it never is."""
    if not true(start + HORIZON_US):
        return None
    low, high = start, start + HORIZON_US
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle + 1, high)
    return low


class Gcra:
    def __init__(self, rule):
        self.rule, self.tat = rule, Fraction(0)

    def interval(self):
        return Fraction(self.rule.period, self.rule.limit)

    def debt(self, t):
        return max(self.tat - t, Fraction(0))

    def room(self, t):
        return math.floor((self.rule.capacity * self.interval() - self.debt(t)) / self.interval())

    def charge(self, cost, t):
        self.tat = max(self.tat, t) + cost * self.interval()

    def refund(self, units, t):
        returned = min(units, math.ceil(self.debt(t) / self.interval()))
        left = self.debt(t) - returned * self.interval()
        self.tat = t + left if left > 0 else Fraction(0)  # full is as good as new, also if the clock steps back
        return returned

    def is_new(self, t):
        return self.debt(t) == 0

    def used(self, t):
        return math.ceil(self.debt(t) / self.interval())

    def restate(self, rule):
        """Another rule under which the debt stays what it is in time, to a tick of the new rule, rounded up."""
        ticks = rule.limit // math.gcd(rule.limit, rule.period)
        whole = self.tat // 1
        self.tat = whole + Fraction(math.ceil((self.tat - whole) * ticks), ticks)
        self.rule = rule


class Level:
    """What drains at the rule's rate: a leaky bucket's water, a token bucket's missing tokens."""

    def __init__(self, rule):
        self.rule, self.level, self.last = rule, Fraction(0), 0

    def rate(self):
        return Fraction(self.rule.limit, self.rule.period)

    def at(self, t):
        return max(self.level - max(t - self.last, 0) * self.rate(), Fraction(0))

    def settle(self, t):
        self.level, self.last = self.at(t), max(t, self.last)

    def room(self, t):
        return math.floor(self.rule.capacity - self.at(t))

    def charge(self, cost, t):
        self.settle(t)
        self.level += cost

    def refund(self, units, t):
        self.settle(t)
        returned = min(units, math.ceil(self.level))
        self.level = max(self.level - returned, Fraction(0))
        return returned

    def is_new(self, t):
        return self.at(t) == 0

    def used(self, t):
        return math.ceil(self.at(t))


class Leaky(Level):
    pass


class Queue(Leaky):
    def fits(self, cost, t):
        return self.at(t) <= self.rule.capacity - 1

    def delay(self, t):
        return first_instant(lambda later: self.at(later) == 0, t) - t


class Token(Level):
    """`level` is what is missing. `unused` means nothing is remembered: the bucket holds its initial fill.

    `began` is when a bucket began that was not full then, `units` what was taken while that first fill was under way:
    all that can be given back, since the rest of what is missing was never taken."""

    def __init__(self, rule):
        super().__init__(rule)
        self.unused, self.began, self.units = True, None, 0

    def missing_when_unused(self):
        return Fraction(self.rule.capacity - self.rule.fill())

    def filling(self, t):
        if self.began is None:
            return False
        passed = max(t - self.began, 0)
        come = passed // self.rule.period * self.rule.limit if self.rule.flag == "INTERVAL" else passed * self.rate()
        return come < self.missing_when_unused()

    def begin_fill(self, t):
        """The first request has come, also one that is denied."""
        self.settle(t)
        self.unused, self.began, self.units = False, t if self.missing_when_unused() > 0 else None, 0

    def kept(self):
        """us for which the key is kept once everything is fully replenished: a full bucket is not a new one."""
        full_fill = math.ceil(self.rule.capacity / self.rate())
        return full_fill if self.missing_when_unused() > 0 else 0

    def forgotten(self, t):
        """Does it hold its initial fill? Where that is all of it, a full bucket does."""
        return self.unused or (self.missing_when_unused() == 0 and t >= self.last and self.drained(t) == 0)

    def drained(self, t):
        if self.rule.flag == "INTERVAL":
            steps = max(t - self.last, 0) // self.rule.period
            return max(self.level - steps * self.rule.limit, Fraction(0))
        return super().at(t)

    def at(self, t):
        return self.missing_when_unused() if self.forgotten(t) else self.drained(t)

    def settle(self, t):
        if not self.filling(t):
            self.began = None
        if self.forgotten(t):
            self.level, self.last, self.unused = self.missing_when_unused(), t, True
        elif self.rule.flag == "INTERVAL":
            missing = self.drained(t)
            self.last += max(t - self.last, 0) // self.rule.period * self.rule.period
            self.level = missing
        else:
            super().settle(t)

    def charge(self, cost, t):
        self.settle(t)
        if self.unused:
            self.begin_fill(t)
        if self.rule.flag == "INTERVAL" and self.level == 0:
            self.last = max(t, self.last)
        self.level += cost
        self.units += cost if self.filling(t) else 0

    def refund(self, units, t):
        if self.forgotten(t):
            return 0
        if not self.filling(t):
            return super().refund(units, t)
        returned = min(units, self.units)
        self.settle(t)
        self.units, self.level = self.units - returned, self.level - returned
        return returned

    def fits(self, cost, t):
        return cost <= self.room(t)

    def is_new(self, t):
        return self.forgotten(t) or self.drained(t) == 0

    def stuck(self, cost, t):
        """An unused bucket does not fill up where a denial stores nothing, as in an account."""
        return self.forgotten(t) and not self.fits(cost, t)

    def used(self, t):
        if self.is_new(t):
            return 0
        return self.units if self.filling(t) else math.ceil(self.drained(t))

    def begin(self, t):
        """A bucket that has been used has no initial fill any more."""
        self.level, self.last, self.unused, self.began = Fraction(0), t, False, None


class Fixed:
    def __init__(self, rule):
        self.rule, self.start, self.units = rule, 0, 0

    def live(self, t):
        return self.units > 0 and t < self.start + self.rule.period

    def count(self, t):
        return self.units if self.live(t) else 0

    def room(self, t):
        return self.rule.limit - self.count(t)

    def charge(self, cost, t):
        if not self.live(t):
            self.start, self.units = (t if self.rule.flag == "FIRST" else t // self.rule.period * self.rule.period), 0
        self.units += cost

    def refund(self, units, t):
        returned = min(units, self.count(t))
        self.units = self.count(t) - returned
        return returned

    def is_new(self, t):
        return self.count(t) == 0

    def used(self, t):
        return self.count(t)

    def narrow(self, t):
        self.units = self.rule.limit


class Sliding:
    def __init__(self, rule):
        self.rule, self.start, self.current, self.previous = rule, 0, 0, 0

    def windows(self, t):
        start = t // self.rule.period * self.rule.period
        if start <= self.start:
            return self.start, self.current, self.previous
        return start, 0, self.current if start == self.start + self.rule.period else 0

    def estimate(self, t):
        start, current, previous = self.windows(t)
        return current + previous * (1 - Fraction(max(t - start, 0), self.rule.period))

    def room(self, t):
        return math.floor(self.rule.limit - self.estimate(t))

    def settle(self, t):
        self.start, self.current, self.previous = self.windows(t)
        if self.current == self.previous == 0:
            self.start = t // self.rule.period * self.rule.period

    def charge(self, cost, t):
        self.settle(t)
        self.current += cost

    def refund(self, units, t):
        self.settle(t)
        current = min(units, self.current)
        previous = min(units - current, self.previous)
        self.current, self.previous = self.current - current, self.previous - previous
        return current + previous

    def is_new(self, t):
        return self.windows(t)[1:] == (0, 0)

    def used(self, t):
        return math.ceil(self.estimate(t))

    def narrow(self, t):
        self.settle(t)
        self.current = min(self.current, self.rule.limit)
        while self.estimate(t) > self.rule.limit:
            self.previous -= 1


class Log:
    def __init__(self, rule):
        self.rule, self.entries, self.horizon = rule, [], 0

    def live(self, t):
        newest = self.entries[-1][0] if self.entries else 0
        horizon = max(self.horizon, max(t, newest) - self.rule.period)
        return [entry for entry in self.entries if entry[0] > horizon]

    def room(self, t):
        return self.rule.limit - sum(units for _, units in self.live(t))

    def charge(self, cost, t):
        newest = self.entries[-1][0] if self.entries else 0
        self.entries = self.live(t) + [(max(t, newest), cost)]

    def refund(self, units, t):
        self.entries = self.live(t)
        left = units
        while left and self.entries:
            at, there = self.entries.pop()
            back = min(left, there)
            left -= back
            if there > back:
                self.entries.append((at, there - back))
        return units - left

    def refund_at(self, units, taken, t):
        """Out of what was taken at that instant and nothing else."""
        entries, left = [], units
        for at, there in self.live(t):
            back = min(left, there) if at == taken else 0
            left -= back
            entries += [(at, there - back)] if there > back else []
        self.entries = entries
        return units - left

    def is_new(self, t):
        return not self.live(t)

    def used(self, t):
        return sum(units for _, units in self.live(t))

    def narrow(self, t):
        self.refund(self.used(t) - self.rule.limit, t)


ALGORITHMS = {"GCRA": Gcra, "TOKEN": Token, "LEAKY": Leaky, "QUEUE": Queue, "FIXED": Fixed, "SLIDING": Sliding,
              "LOG": Log}


def take_over(before, rule, t):
    """What a changed rule begins with, and whether that is another state than the one before."""
    same_window = hasattr(before, "narrow") and (before.rule.word, before.rule.period) == (rule.word, rule.period)
    if before.rule.means() == rule.means() or same_window:
        kept = copy.deepcopy(before)
        kept.rule = rule
        narrowed = kept.used(t) > rule.capacity and before.rule.means() != rule.means()
        if narrowed:
            kept.narrow(t)
        return kept, narrowed
    limit, used = ALGORITHMS[rule.word](rule), before.used(t)
    if used > 0:
        if hasattr(limit, "begin"):
            limit.begin(t)
        limit.charge(min(used, rule.capacity), t)
    return limit, used > 0


def fits(limit, cost, t):
    return limit.fits(cost, t) if hasattr(limit, "fits") else cost <= limit.room(t)


def wait(limit, cost, t, begins=False):
    """us until the cost fits if no other request comes, None = never."""
    if fits(limit, cost, t):
        return 0
    stuck = hasattr(limit, "stuck") and limit.stuck(cost, t)
    if stuck and not begins:
        return None
    if cost > limit.rule.capacity and limit.rule.word != "QUEUE":
        return None
    later = copy.deepcopy(limit)
    if stuck:
        later.begin_fill(t)
    at = first_instant(lambda instant: fits(later, cost, instant), t)
    return at - t


def millis(us):
    return -1 if us is None else -(-us // 1000)


class Key:
    """One rate-limit key: several rules, all admit or none is charged; those who wait take their places in order."""

    def __init__(self):
        self.limits, self.sleeping, self.taken = [], [], 0

    def forget(self, t):
        """Once all is fully replenished; where a bucket has an initial fill, one more fill time later."""
        kept = max([limit.kept() for limit in self.limits if isinstance(limit, Token)], default=0)
        unseen = [limit.unused or limit.last <= t - kept if isinstance(limit, Token) else True
                  for limit in self.limits + self.sleeping]
        if kept and all(unseen) and all(limit.is_new(t - kept) for limit in self.limits + self.sleeping):
            self.__init__()

    def request(self, rules, cost, mode, t, patience=0, begins=True):
        if begins:  # an account forgets nothing
            self.forget(t)
        at = max(t, self.taken)  # before that every place is taken
        limits, sleeping, converted = self.adopted(rules, at)
        if mode == "UPTO":
            cost = min(cost, max(1, min(max(limit.room(at), 0) for limit in limits)))
        waits = [wait(limit, cost, at, begins) for limit in limits]
        longest = max(range(len(limits)), key=lambda i: (waits[i] is None, waits[i] or 0, -i))
        total = None if waits[longest] is None else waits[longest] + at - t
        if mode != "FORCE" and (total is None or total > patience):
            first = [limit for limit in limits if isinstance(limit, Token) and limit.stuck(cost, at)]
            first = first if begins and total is not None else []  # the denial begins them, for its wait to come true
            for limit in first:
                limit.begin_fill(at)
            if (converted or first) and mode != "PEEK":
                self.limits, self.sleeping = limits, sleeping  # units passed to other rules: a denial stores that
            return self.verdict(0, limits[longest], longest, total, t, at, at > t)
        moment = at if mode == "FORCE" else t + total
        if mode not in ("FORCE", "PEEK"):
            for limit in limits:
                if isinstance(limit, Token) and limit.stuck(cost, at):
                    limit.begin_fill(at)  # who waits has begun it
        delay = max([limit.delay(moment) for limit in limits if isinstance(limit, Queue)], default=0)
        if mode != "PEEK":
            for limit in limits:
                limit.charge(cost, moment)
            self.limits, self.sleeping, self.taken = limits, sleeping, moment if moment > t else 0
            at = moment
        rule = min(range(len(limits)), key=lambda i: (max(limits[i].room(at), 0), i))
        waiting = (0 if mode == "FORCE" else total) + delay
        return self.verdict(cost, limits[rule], rule, waiting, t, at, mode == "PEEK" and at > t)

    @staticmethod
    def verdict(granted, limit, rule, waiting, t, at, nothing_now):
        reset = max(first_instant(limit.is_new, t) - t, at - t)
        remaining = 0 if nothing_now else max(limit.room(at), 0)
        return [granted, limit.rule.capacity, remaining, millis(waiting), millis(reset), rule]

    def refund(self, units, t):
        at, returned = max(t, self.taken), 0
        for i, limit in enumerate(self.limits):
            changed = copy.deepcopy(limit)
            back = changed.refund(units, at)
            if back:  # giving nothing back changes nothing
                self.limits[i] = changed
            returned = max(returned, back)
        gone = [limit.is_new(at) for limit in self.limits + self.sleeping]
        kept = any(isinstance(limit, Token) and limit.kept() for limit in self.limits)
        if returned and all(gone) and at == t and not kept:
            self.__init__()  # nothing left to remember: the key is gone
        return returned

    def adopted(self, rules, t):
        """The stored limits under these rules: by algorithm and period (its own place first), else by place.

        Answers them, those that sleep from now on, and whether units passed to another rule."""
        stored = copy.deepcopy(self.limits)
        if [limit.rule.means() for limit in stored] == [rule.means() for rule in rules]:
            return stored, self.sleeping, False
        active, stored = len(stored), stored + copy.deepcopy(self.sleeping)
        taken, found = set(), [None] * len(rules)
        for i, rule in enumerate(rules):
            places = [(i + step) % active for step in range(active)] + list(range(active, len(stored)))
            for place in places:
                before = stored[place].rule
                if place not in taken and (before.word, before.period) == (rule.word, rule.period):
                    found[i] = place
                    taken.add(place)
                    break
        for i, rule in enumerate(rules):
            if found[i] is None and i < active and i not in taken:
                found[i] = i
        pairs = [(ALGORITHMS[rule.word](rule), False) if place is None else take_over(stored[place], rule, t)
                 for place, rule in zip(found, rules)]
        sleeping = [limit for i, limit in enumerate(stored) if i not in found and not limit.is_new(t)]
        while len(rules) + len(sleeping) > RULES_MAX:
            sleeping.remove(min(sleeping, key=lambda limit: first_instant(limit.is_new, t)))
        return [limit for limit, _ in pairs], sleeping, any(changed for _, changed in pairs)
