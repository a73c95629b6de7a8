"""A slow honest model of a whole account: every boundary is met, one after another, and every wait is found by looking.

    stored ── cycle ends ── own rules end ── cycle ends ── next plan ── expires ──▶ now      one event after another,
      │                                                                              │       however many there are
      └─ a copy is moved up to now and asked ─▶ reply │ changed: the copy is kept   ◀┘
                                                      │ not:     it is thrown away (a look settles nothing)

Nothing here is found by formula: a cycle's boundaries are walked one by one from the anchor on the wall clock of the
zone (datetime, zoneinfo), debts and closed cycles are carried over one boundary at a time, prorated limits are exact
fractions, rolling windows are lists, and a wait is the first later instant (a cycle ends, a reservation ends, an entry
leaves) at which the ask fits, as if nobody else came; plan changes that lie ahead are not looked at, as the module
says. Times are ints in us, units are ints; rates are those of model.py.
"""

import bisect
import calendar
import copy
import dataclasses
import datetime as dt
import math
import zoneinfo
from fractions import Fraction

from model import Key, fits, first_instant, millis, wait

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
MICROSECOND = dt.timedelta(microseconds=1)
DAY = 86_400_000_000
FOREVER = 2**63 - 1
UNLIMITED = -1
CYCLES_AHEAD = 200  # more than any amount of the tests needs to be repaid
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SPANS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY}
MONTHS = {"month": 1, "quarter": 3, "year": 12, "5month": 5}
DAYS = {"day": 1, "3day": 3, "week": 7, "2week": 14}


class Refused(Exception):
    """An error; its text is the code."""


# ---- cycles ----


class Calendar:
    """The boundaries of one period of one account, walked to and fro from the anchor."""

    def __init__(self, text, zone, anchor):
        self.words, self.zone, self.anchor = text.split(), zoneinfo.ZoneInfo(zone), anchor
        word, self.is_calendar, self.eom = self.words[0], "CALENDAR" in self.words, "EOM" in self.words
        local = self.local(anchor)
        self.anchored = not self.is_calendar
        self.months, self.days = MONTHS.get(word, 0), DAYS.get(word, 0)
        self.span = 0 if self.months or self.days else int(word[:-1]) * SPANS[word[-1]]
        self.origin = self.calendar_origin() if self.is_calendar and not self.span else local
        if self.eom and not self.is_calendar and local.day != last_day(local.year, local.month):
            self.anchored = False  # boundaries lie on last days before and after the anchor
        self.first = self.last = self.number_before_anchor()
        self.marks = [self.boundary(self.first)]

    def local(self, instant):
        return (EPOCH + instant * MICROSECOND).astimezone(self.zone).replace(tzinfo=None, fold=0)

    def instant(self, local):
        """The first occurrence; what the clock skips lies as far behind the gap (fold=0 means both)."""
        return (local.replace(tzinfo=self.zone, fold=0).astimezone(dt.timezone.utc) - EPOCH) // MICROSECOND

    def calendar_origin(self):
        start = self.words[self.words.index("FROM") + 1] if "FROM" in self.words else ""
        if self.months:
            month, day = [1, int(start or 1)] if "-" not in start else map(int, start.split("-"))
            return dt.datetime(1970, month, day)
        if self.words[0].endswith("week"):
            return dt.datetime(1970, 1, 5 if not start else 1 + (WEEKDAYS.index(start) - 3) % 7)
        return dt.datetime(1970, 1, 1)

    def number_before_anchor(self):
        """Where to begin to walk: a boundary at or before the anchor."""
        if self.anchored:
            return 0
        local = self.local(self.anchor)
        if self.span:
            return (local - dt.datetime(1970, 1, 1)) // (self.span * MICROSECOND)
        if self.months:
            return ((local.year - self.origin.year) * 12 + local.month - self.origin.month) // self.months - 1
        return (local - self.origin).days // self.days - 1

    def boundary(self, number):
        if self.span:
            offset = (self.local(self.anchor) - (EPOCH + self.anchor * MICROSECOND).replace(tzinfo=None)) // MICROSECOND
            return number * self.span + (-offset if self.is_calendar else self.anchor)
        if self.anchored and number == 0:
            return self.anchor
        if self.months:
            months = self.origin.year * 12 + self.origin.month - 1 + number * self.months
            year, month = months // 12, months % 12 + 1
            last = last_day(year, month)
            local = self.origin.replace(year=year, month=month, day=last if self.eom else min(self.origin.day, last))
        else:
            local = self.origin + dt.timedelta(days=number * self.days)
        at = self.instant(local)
        if self.anchored:
            at = max(at, self.anchor) if number > 0 else min(at, self.anchor)
        return at

    def cycle(self, instant):
        """[start, end) in which the instant lies. Boundaries that coincide have no cycle between them."""
        while self.marks[-1] <= instant:
            self.last += 1
            if self.boundary(self.last) != self.marks[-1]:
                self.marks.append(self.boundary(self.last))
        while self.marks[0] > instant:
            self.first -= 1
            if self.boundary(self.first) != self.marks[0]:
                self.marks.insert(0, self.boundary(self.first))
        at = bisect.bisect_right(self.marks, instant)
        return self.marks[at - 1], self.marks[at]


def last_day(year, month):
    return calendar.monthrange(year, month)[1]


# ---- rules ----


@dataclasses.dataclass(frozen=True)
class Limit:
    limit: int
    period: str  # as in a plan: "month CALENDAR FROM 15"
    prorate: bool = False

    def text(self):
        return f"LIMIT {self.limit} {self.period}" + (" PRORATE" if self.prorate else "")


@dataclasses.dataclass(frozen=True)
class Rolling:
    limit: int
    period: str  # a duration

    @property
    def us(self):
        return duration(self.period)

    def text(self):
        return f"LIMIT {self.limit} ROLLING {self.period}"


@dataclasses.dataclass(frozen=True)
class Rate:
    rule: object  # of model.py
    period: str

    def text(self):
        return "RATE " + self.rule.text()


@dataclasses.dataclass(frozen=True, repr=False)
class Terms:
    rules: tuple
    cost: int = 1
    warn: tuple = ()  # percent
    burst: int = 0  # percent
    repay: bool = False
    grace: int = 0  # us
    overage: bool = False
    holds_max: int = -1
    refunds_max: int = -1
    within: int = 0  # us

    def __repr__(self):
        return self.text()

    def of(self, kind):
        return [rule for rule in self.rules if isinstance(rule, kind)]

    def limit(self, period):
        return next((rule for rule in self.of(Limit) if rule.period == period), None)

    def text(self):
        words = [f"COST {self.cost}"]
        words += ["WARN " + " ".join(map(str, self.warn))] if self.warn else []
        words += [f"BURST {self.burst}"] if self.burst else []
        words += ["REPAY"] if self.repay else []
        words += [f"GRACE {self.grace}us"] if self.grace else []
        words += ["OVERAGE"] if self.overage else []
        words += [f"HOLDS MAX {self.holds_max}"] if self.holds_max >= 0 else []
        bounds = f" MAX {self.refunds_max}" if self.refunds_max >= 0 else ""
        bounds += f" WITHIN {self.within}us" if self.within else ""
        words += [f"REFUNDS{bounds}"] if bounds else []
        return " ".join(words + [rule.text() for rule in self.rules])


def duration(text):
    return int(text[:-1]) * SPANS[text[-1]]


@dataclasses.dataclass(frozen=True)
class Plan:
    name: str
    revision: int
    terms: dict


# ---- one cycle ----


@dataclasses.dataclass
class Window:
    period: str
    start: int
    end: int
    limit: int
    delta: Fraction = Fraction(0)
    debt: int = 0
    used: int = 0
    refunded: int = 0
    denied: int = 0
    peak: int = 0
    over_since: int = 0
    warned: int = 0

    def full_limit(self):
        """What the plan and its prorated changes say, halves away from zero."""
        return max(math.floor(self.limit + self.delta + Fraction(1, 2)), 0)

    def own_limit(self):
        return UNLIMITED if self.limit == UNLIMITED else max(self.full_limit() - self.debt, 0)

    def capacity(self, terms, now):
        if self.limit == UNLIMITED or terms.overage:
            return UNLIMITED
        burst = self.full_limit() * terms.burst // 100
        if not terms.grace:
            return self.own_limit() + burst
        if self.over_since and now >= self.over_since + terms.grace:
            return self.own_limit()
        return self.own_limit() + burst if terms.burst else UNLIMITED

    def charge(self, units, held, now):
        self.used += units
        self.peak = max(self.peak, self.used + held)
        if self.limit != UNLIMITED and self.used > self.own_limit() and not self.over_since:
            self.over_since = now

    def reached(self, terms):
        limit = self.own_limit()
        return max([p for p in terms.warn if limit > 0 and self.used * 100 >= limit * p], default=0)

    def warn(self, terms):
        self.warned = max(self.warned, self.reached(terms))

    def refund(self, units):
        back = min(units, self.used)
        self.used -= back
        self.refunded += back

    def cut(self, rule, anchor):
        """PRORATE: the cycle in which the account began is cut by the part that had gone."""
        if rule.prorate and rule.limit > 0 and self.start < anchor < self.end:
            return Fraction(rule.limit * (self.start - anchor), self.end - self.start)
        return Fraction(0)

    def adopt(self, rule, terms, how, anchor, now):
        if how == "FULL" or UNLIMITED in (rule.limit, self.limit) or self.end == FOREVER:
            self.delta = self.cut(rule, anchor)
        elif how == "PRORATE":
            left = Fraction(self.end - now, self.end - self.start)
            self.delta += (rule.limit - self.limit) * (left - 1)
        self.limit = rule.limit
        self.warned = min(self.warned, self.reached(terms))
        if self.limit == UNLIMITED or self.used <= self.own_limit():
            self.over_since = 0

    def debt_after(self, terms):
        overdrawn = self.debt + self.used - self.full_limit()
        return max(overdrawn, 0) if terms.repay and self.limit != UNLIMITED else 0


@dataclasses.dataclass
class Closed:
    period: str
    start: int
    end: int
    limit: int
    used: int
    refunded: int
    denied: int
    peak: int

    def overdraft(self):
        return 0 if self.limit == UNLIMITED else max(self.used - self.limit, 0)


@dataclasses.dataclass
class Hold:
    resource: str
    amount: int
    units: int
    made: int
    expires: int
    kept: int
    asked: tuple
    verdict: list


@dataclasses.dataclass
class Record:
    expires: int
    asked: object
    reply: object
    items: tuple = ()  # (resource, granted, cost, periods that were charged: None = whatever ran)
    made: int = 0  # when the units were charged to cycles, and …
    logged: int = 0  # … to rolling windows
    returned: dict = dataclasses.field(default_factory=dict)  # by resource


class Slot:
    """One resource: cycles exist from their first unit on, and then follow one another without a gap."""

    def __init__(self):
        self.windows, self.logs, self.rates, self.past = {}, {}, Key(), []
        self.own, self.own_until = None, 0

    def copy(self):
        other = Slot()
        other.windows = {period: copy.copy(window) for period, window in self.windows.items()}
        other.logs = {us: list(entries) for us, entries in self.logs.items()}
        other.rates, other.past = copy.deepcopy(self.rates), list(self.past)
        other.own, other.own_until = self.own, self.own_until
        return other


class Host:
    """What is the server's: plans by name, and its settings."""

    def __init__(self, kept, default_plan=None):
        self.plans, self.kept, self.default_plan = {}, kept, default_plan

    def set_plan(self, name, resource, terms):
        before = self.plans.get(name, Plan(name, 0, {}))
        self.plans[name] = Plan(name, before.revision + 1, {**before.terms, resource: terms})
        return before.revision + 1


# ---- the account ----


class Account:
    def __init__(self, host, plan, now, anchor, zone, expires):
        self.host, self.plan, self.shown_plan = host, plan, plan
        self.anchor, self.zone, self.expires = anchor, zone, expires
        self.state, self.next, self.settled, self.now = "active", None, now, now
        self.slots, self.records, self.holds, self.notes, self.calendars = {}, {}, {}, [], {}
        self.dirty, self.denied = False, []

    def copy(self):
        other = copy.copy(self)
        other.slots = {name: slot.copy() for name, slot in self.slots.items()}
        other.records = {key: copy.copy(record) for key, record in self.records.items()}
        for record in other.records.values():
            record.returned = dict(record.returned)
        other.holds = {name: copy.copy(hold) for name, hold in self.holds.items()}
        other.notes, other.dirty, other.denied = list(self.notes), False, []
        return other

    def ask(self, command, now, *words):
        """One command at `now`: its reply, or the code of its error. What changes nothing also settles nothing."""
        draft = self.copy()
        draft.advance(max(now, self.settled))
        try:
            reply = getattr(draft, command)(*words)
        except Refused as refused:
            return str(refused)
        if draft.dirty:
            draft.settled = draft.now
            self.__dict__.update(draft.__dict__)
        for resource in draft.denied:
            self.count_denied(resource, draft.now)
        return reply

    def count_denied(self, resource, now):
        for window in self.slots[resource].windows.values() if resource in self.slots else []:
            if window.start <= now < window.end and window.peak > 0:
                window.denied += 1

    def look(self, now):
        draft = self.copy()
        draft.advance(max(now, self.settled))
        return draft

    # ---- time ----

    def advance(self, to):
        while stops := [stop for stop in self.stops() if stop <= to]:
            self.roll(min(stops))
            self.now = min(stops)
            self.turn()
        self.roll(to)
        self.now = to

    def stops(self):
        stops = [slot.own_until for slot in self.slots.values() if slot.own and slot.own_until]
        stops += [self.next[1]] if self.next else []
        return stops + ([self.expires] if self.expires and self.plan else [])

    def turn(self):
        """What ends or begins at this instant: first rules of its own, then the plan, then the one that was to come."""
        for name, slot in self.slots.items():
            if slot.own and slot.own_until and slot.own_until <= self.now:
                slot.own = None
                self.adopt(slot, self.terms(name), "FULL")
        if self.plan and self.expires and self.expires <= self.now:
            self.next = None  # who comes to an end goes nowhere
            self.change_plan(self.host.plans.get(self.host.default_plan), "FULL")
            if self.plan:
                self.expires = 0
                self.state = "lapsed" if self.state == "active" else self.state
        if self.next and self.next[1] <= self.now:
            plan, self.next = self.next[0], None
            self.change_plan(plan, "FULL")

    def roll(self, to):
        for name, slot in self.slots.items():
            for window in list(slot.windows.values()):
                while window and window.end <= to:
                    slot.past.append(Closed(window.period, window.start, window.end, window.own_limit(), window.used,
                                            window.refunded, window.denied, window.peak))
                    window = self.following(name, window)
                    slot.windows.pop(slot.past[-1].period)
                    if window:
                        slot.windows[window.period] = window

    def following(self, name, window):
        terms = self.terms(name)
        rule = terms and terms.limit(window.period)
        if not rule:
            return None  # nobody misses it
        after = self.begin(rule, window.end)
        after.debt = 0 if rule.limit == UNLIMITED else window.debt_after(terms)
        return after

    def begin(self, rule, at):
        if rule.period == "forever":
            return Window(rule.period, self.anchor, FOREVER, rule.limit)
        if rule.period not in self.calendars:
            self.calendars[rule.period] = Calendar(rule.period, self.zone, self.anchor)
        start, end = self.calendars[rule.period].cycle(at)
        window = Window(rule.period, start, end, rule.limit)
        window.delta = window.cut(rule, self.anchor)
        return window

    # ---- plans ----

    def terms(self, name):
        if name in self.slots and self.slots[name].own:
            return self.slots[name].own
        return self.plan.terms.get(name) if self.plan else None

    def adopt(self, slot, terms, how):
        for window in slot.windows.values():
            rule = terms and terms.limit(window.period)
            if rule:
                window.adopt(rule, terms, how, self.anchor, self.now)

    def change_plan(self, plan, how):
        if how == "PRORATE":  # cycles that nobody has used yet are moved as all others
            for name, terms in self.plan.terms.items():
                if name not in self.slots and name in plan.terms:
                    self.slots[name] = Slot()
            for name, slot in self.slots.items():
                terms = self.terms(name)
                if terms and not slot.own:
                    slot.windows = {rule.period: self.window(name, rule) for rule in terms.of(Limit)} | slot.windows
        self.plan = plan
        self.shown_plan = plan or self.shown_plan
        for name, slot in self.slots.items():
            if not slot.own:
                self.adopt(slot, self.terms(name), how)

    def adopt_newest(self):
        newest = self.plan and self.host.plans.get(self.plan.name)
        if newest and newest.revision > self.plan.revision:
            self.change_plan(newest, "ADOPT")

    # ---- one resource ----

    def window(self, name, rule):
        stored = self.slots[name].windows.get(rule.period) if name in self.slots else None
        return stored or self.begin(rule, self.now)

    def log(self, name, rule):
        entries = self.slots[name].logs.get(rule.us, []) if name in self.slots else []
        return [entry for entry in entries if entry[0] > self.now - rule.us]

    def held(self, name, window=None, at=None):
        at = self.now if at is None else at
        return sum(hold.units for hold in self.holds.values() if hold.resource == name and hold.expires > at
                   and (not window or window.start <= hold.made < window.end))

    def room(self, name, rule):
        """Units that still fit, -1 = any."""
        if isinstance(rule, Rolling):
            return max(rule.limit - sum(units for _, units in self.log(name, rule)) - self.held(name), 0)
        window = self.window(name, rule)
        capacity = window.capacity(self.terms(name), self.now)
        return UNLIMITED if capacity == UNLIMITED else max(capacity - window.used - self.held(name, window), 0)

    def remaining(self, name):
        terms = self.terms(name)
        if not terms:
            return 0
        return smallest(self.room(name, rule) for rule in terms.of((Limit, Rolling)))

    def wait(self, name, rule, units):
        """us until the units fit if nobody else comes, None = never: later instants are tried one after another."""
        if isinstance(rule, Rolling):
            return self.rolling_wait(name, rule, units)
        terms, window, at = self.terms(name), copy.copy(self.window(name, rule)), self.now
        for _ in range(CYCLES_AHEAD):
            capacity = window.capacity(terms, at)
            if capacity == UNLIMITED or window.used + self.held(name, window, at) + units <= capacity:
                return at - self.now
            at = min([hold.expires for hold in self.holds.values() if hold.expires > at] + [window.end])
            if at == FOREVER:
                return None
            if at == window.end:
                window = self.following(name, window)
        return None

    def rolling_wait(self, name, rule, units):
        entries = self.log(name, rule)
        instants = [self.now] + [at + rule.us for at, _ in entries]
        instants += [hold.expires for hold in self.holds.values() if hold.expires > self.now]
        for at in sorted(instants):
            used = sum(amount for made, amount in entries if made > at - rule.us)
            if used + self.held(name, None, at) + units <= rule.limit:
                return at - self.now
        return None

    # ---- asking ----

    def refusal(self):
        if self.state == "closed" or not self.plan:
            raise Refused("NOACCOUNT")
        if self.state == "suspended":
            raise Refused("SUSPENDED")
        if self.now < self.anchor:
            raise Refused("NOTSTARTED")

    def charge(self, name, amount, mode, hold=None):
        """The verdict of one resource, which is charged unless the mode is CHECK. hold: reserve under this id."""
        terms = self.terms(name)
        if not terms:
            raise Refused("NORESOURCE")
        rates = self.rates(name)
        granted = self.admitted(name, amount, mode, rates)
        if granted == 0 or mode == "CHECK":
            return self.verdict(name, granted, (1 if mode == "UPTO" else amount) * terms.cost, rates)
        slot, units = self.slots.setdefault(name, Slot()), granted * terms.cost
        for rule in terms.of(Limit):
            window = slot.windows.setdefault(rule.period, self.window(name, rule))
            held = self.held(name, window)
            window.charge(0 if hold else units, held + units if hold else held, self.now)
            window.warn(terms)
        if not hold:
            self.post_to_logs(name, units)
        for limit in rates:
            limit.charge(units, self.now)
        if rates:
            sleeping = slot.rates.adopted([limit.rule for limit in rates], self.now)[1]
            slot.rates.limits, slot.rates.sleeping = rates, sleeping
        if hold:
            self.holds[hold] = Hold(name, granted, units, self.now, self.now, self.host.kept, (), [])
            self.holds[hold].expires = FOREVER  # being made: its own verdict does not wait for it
        self.dirty = True
        return self.verdict(name, granted, 0, rates, charged=True)

    def rates(self, name):
        rules = [rate.rule for rate in self.terms(name).of(Rate)]
        key = self.slots[name].rates if name in self.slots else Key()
        return key.adopted(rules, self.now)[0] if rules else []

    def admitted(self, name, amount, mode, rates):
        terms = self.terms(name)
        if mode == "FORCE":
            return amount
        if mode == "UPTO":
            while amount and not self.fits(name, amount * terms.cost, rates):
                amount -= 1
            return amount
        return amount if self.fits(name, amount * terms.cost, rates) else 0

    def fits(self, name, units, rates):
        rooms = [self.room(name, rule) for rule in self.terms(name).of((Limit, Rolling))]
        return all(room == UNLIMITED or units <= room for room in rooms) and all(
            fits(limit, units, self.now) for limit in rates)

    def verdict(self, name, granted, units, rates, charged=False):
        """Every rule's own answer; the longest wait decides, or the smallest remaining."""
        answers, rates = [], iter(rates)
        for index, rule in enumerate(self.terms(name).rules):
            if isinstance(rule, Rate):
                limit = next(rates)
                delay = 0 if charged else wait(limit, units, self.now)
                reset = first_instant(limit.is_new, self.now) - self.now
                answers.append([limit.rule.capacity, max(limit.room(self.now), 0), delay, reset, index])
            else:
                delay = 0 if charged else self.wait(name, rule, units)
                limit, reset = self.limit_and_reset(name, rule)
                answers.append([limit, self.room(name, rule), delay, reset, index])
        denying = [answer for answer in answers if answer[2] != 0]
        if denying and not granted:
            answer = max(denying, key=lambda one: (one[2] is None, one[2] or 0, -one[4]))
        else:
            answer = min(answers, key=lambda one: (one[1] == UNLIMITED, one[1], one[4]))
        limit, remaining, delay, reset, index = answer
        return [granted, limit, remaining, 0 if granted else millis(delay), millis(reset), index]

    def limit_and_reset(self, name, rule):
        if isinstance(rule, Rolling):
            ends = [at + rule.us for at, _ in self.log(name, rule)]
            ends += [hold.expires for hold in self.holds.values() if hold.resource == name and hold.expires < FOREVER]
            return rule.limit, max([at - self.now for at in ends] + [0])
        window = self.window(name, rule)
        capacity = window.capacity(self.terms(name), self.now)
        reset = None if window.end == FOREVER else window.end - self.now
        untouched = window.used == 0 and window.debt == 0 and self.held(name, window) == 0
        return window.own_limit() if capacity == UNLIMITED else capacity, 0 if untouched else reset

    def post_to_logs(self, name, units):
        for rule in self.terms(name).of(Rolling) if self.terms(name) and units else []:
            self.slots[name].logs[rule.us] = self.log(name, rule) + [(self.now, units)]

    # ---- consuming ----

    def record(self, *key):
        found = self.records.get(key)
        return found if found and self.now < found.expires else None

    def item(self, name, verdict):
        terms = self.terms(name)
        return name, verdict[0], terms.cost, [rule.period for rule in terms.of(Limit)]

    def remember(self, key, asked, reply, items=()):
        self.records[key] = Record(self.now + self.host.kept, asked, reply, items, self.now, self.now)
        self.dirty = True

    def consume(self, name, amount, mode="", id=None, sticky=False):
        key, asked = ("CONSUME", name, id), (amount, mode if mode in ("UPTO", "FORCE") else "")
        record = self.record(*key) if id else None
        if record:
            if asked != record.asked and not (mode == "CHECK" and record.asked[0] == amount):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        self.adopt_newest()
        verdict = self.charge(name, amount, mode)
        if verdict[0] == 0 and mode != "CHECK":
            self.denied = [name]
        if id and mode != "CHECK" and (verdict[0] or sticky):
            self.slots.setdefault(name, Slot())
            self.remember(key, asked, verdict, (self.item(name, verdict),))
        return verdict

    def mconsume(self, items, any=False, id=None, check=False, sticky=False):
        key, asked = ("BATCH", "", id), (items, any)
        record = self.record(*key) if id else None
        if record:
            if record.asked[0] != items or (record.asked[1] != any and not check):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        self.adopt_newest()
        verdicts = [self.charge(name, amount, "CHECK") for name, amount in items]
        admitted = [place for place, verdict in enumerate(verdicts) if verdict[0]]
        charged = admitted[:1] if any else admitted if len(admitted) == len(items) else []
        for place, (name, amount) in enumerate(items):
            if place not in charged:
                verdicts[place][0] = 0
            elif not check:
                verdicts[place] = self.charge(name, amount, "")
        if not charged and not check:
            self.denied = [name for name, _ in items]
        if id and not check and (charged or sticky):
            for name, _ in items:
                self.slots.setdefault(name, Slot())
            self.remember(key, asked, verdicts, tuple(self.item(name, verdict)
                                                      for (name, _), verdict in zip(items, verdicts)))
        return verdicts

    # ---- refunds ----

    def not_closed(self, planned=True):
        if self.state == "closed" or (planned and not self.plan):
            raise Refused("NOACCOUNT")

    def refund(self, name, amount, of=None, id=None):
        self.not_closed()
        key, asked = ("REFUND", name, id), (amount, of)
        record = self.record(*key) if id else None
        if record:
            if record.asked != asked:
                raise Refused("IDCONFLICT")
            return record.reply
        self.adopt_newest()
        if not self.terms(name) and name not in self.slots:
            raise Refused("NORESOURCE")
        refunded, lost = self.refund_named(name, amount, of) if of else self.refund_unnamed(name, amount)
        reply = [refunded, lost, self.remaining(name)]
        if refunded or lost:
            self.note("refund", name, refunded)
            if id:
                self.remember(key, asked, reply)
        return reply

    def taken(self, name, of):
        """The record that OF names, what was granted under it, what a unit counted as, and which periods it charged."""
        for key in (("CONSUME", name, of), ("BATCH", "", of), ("HOLD", "", of)):
            record = self.record(*key)
            for resource, granted, cost, periods in record.items if record else ():
                if resource == name and granted:
                    return record, granted, cost, periods
        raise Refused("NOSUCHID")

    def refund_named(self, name, amount, of):
        record, granted, cost, periods = self.taken(name, of)
        terms, slot, units = self.terms(name), self.slots[name], amount * cost
        if amount > granted - record.returned.get(name, 0):
            raise Refused("REFUNDEXCEEDS")
        if terms and terms.within and self.now > record.made + terms.within:
            raise Refused("LIMITED")
        cycles = self.cycles_of(slot, record.made, periods)
        if terms and terms.refunds_max >= 0 and any(cycle.refunded + units > terms.refunds_max for cycle in cycles):
            raise Refused("LIMITED")
        record.returned[name] = record.returned.get(name, 0) + amount
        rollings = [rule for rule in (terms.of(Rolling) if terms else []) if record.logged > self.now - rule.us]
        self.post(name, record.made, -units, periods)
        for rule in rollings:
            slot.logs[rule.us] = take_at(self.log(name, rule), record.logged, units)
        return (amount, 0) if cycles or rollings else (0, amount)

    def cycles_of(self, slot, made, periods=None):
        """Of each of the periods (None: of all) the cycle that ran then: running, or the newest that has closed."""
        cycles = {cycle.period: cycle for cycle in slot.past if cycle.start <= made < cycle.end}
        cycles |= {window.period: window for window in slot.windows.values() if window.start <= made < window.end}
        return [cycle for cycle in cycles.values() if periods is None or cycle.period in periods]

    def post(self, name, made, units, periods=None):
        """Late news (refunds: below 0) for the cycles of that instant. What closed ones overdraw is repaid."""
        slot, terms = self.slots[name], self.terms(name)
        for cycle in self.cycles_of(slot, made, periods):
            if isinstance(cycle, Window):
                if units < 0:
                    cycle.refund(-units)
                else:
                    cycle.charge(units, 0, made)
                    if terms:
                        cycle.warn(terms)
                continue
            used = max(cycle.used + units, 0)
            back = cycle.used - used if units < 0 else 0
            news = dataclasses.replace(cycle, used=used, peak=max(cycle.peak, used), refunded=cycle.refunded + back)
            slot.past = [news if other is cycle else other for other in slot.past]
            window = slot.windows.get(cycle.period)
            if window and terms and terms.repay:
                window.debt = max(window.debt + news.overdraft() - cycle.overdraft(), 0)
        self.dirty = True

    def refund_unnamed(self, name, amount):
        terms = self.terms(name)
        if not terms:
            raise Refused("NORESOURCE")
        if name not in self.slots:
            return 0, 0
        if terms.within:
            raise Refused("ERR")
        windows = [self.window(name, rule) for rule in terms.of(Limit)]
        used = [window.used for window in windows]
        used += [sum(units for _, units in self.log(name, rule)) for rule in terms.of(Rolling)]
        amount = min(amount, min(used, default=0) // terms.cost)
        units = amount * terms.cost
        if terms.refunds_max >= 0 and any(window.refunded + units > terms.refunds_max for window in windows):
            raise Refused("LIMITED")
        for window in windows if amount else []:
            window.refund(units)
            self.dirty = True
        for rule in terms.of(Rolling) if amount else []:
            self.slots[name].logs[rule.us] = take_newest(self.log(name, rule), units)
            self.dirty = True
        return amount, 0

    # ---- reservations ----

    def hold(self, id):
        hold = self.holds.get(id)
        if hold and self.now < hold.expires:
            return hold
        if (hold and self.now < hold.expires + hold.kept) or self.record("HOLD", "", id):
            raise Refused("RESOLVED")
        return None

    def live_hold(self, id):
        self.not_closed(planned=False)
        hold = self.hold(id)
        if not hold:
            raise Refused("NOSUCHID")
        return hold

    def reserve(self, id, name, amount, ttl, mode=""):
        hold = self.hold(id)
        if hold:
            if hold.asked != (name, amount, mode):
                raise Refused("IDCONFLICT")
            return hold.verdict
        self.refusal()
        self.adopt_newest()
        terms = self.terms(name)
        if not terms:
            raise Refused("NORESOURCE")
        live = [hold for hold in self.holds.values() if hold.resource == name and hold.expires > self.now]
        if 0 <= terms.holds_max <= len(live):
            raise Refused("LIMITED")
        verdict = self.charge(name, amount, mode, hold=id)
        if verdict[0]:
            hold = self.holds[id]
            hold.expires, hold.asked, hold.verdict = self.now + ttl, (name, amount, mode), verdict
        else:
            self.denied = [name]
        return verdict

    def commit(self, id, amount=None):
        hold = self.live_hold(id)
        amount = hold.amount if amount is None else amount
        if amount > hold.amount:
            raise Refused("ERR")
        self.adopt_newest()
        del self.holds[id]
        cost = hold.units // hold.amount
        if amount:
            self.post(hold.resource, hold.made, amount * cost)
            self.post_to_logs(hold.resource, amount * cost)
        self.remember(("HOLD", "", id), None, None, ((hold.resource, amount, cost, None),))
        record = self.records["HOLD", "", id]
        record.made, record.expires = hold.made, self.now + hold.kept
        return [amount, hold.amount - amount, self.remaining(hold.resource)]

    def release(self, id):
        return self.commit(id, 0)

    def extend(self, id, ttl):
        hold = self.live_hold(id)
        self.adopt_newest()
        hold.expires = self.now + ttl
        self.dirty = True
        return hold.expires // 1000

    # ---- an account's life ----

    def note(self, act, resource="", amount=0):
        self.notes = (self.notes + [(self.now // 1000, act, resource, amount)])[-16:]
        self.dirty = True

    def open(self, name, anchor=None, zone=None, expires=None):
        ended = self.state in ("closed", "lapsed") or not self.plan
        plan = self.host.plans.get(name)
        if anchor not in (None, self.anchor) or zone not in (None, self.zone):
            raise Refused("ERR")
        if ended and not plan:
            raise Refused("NOPLAN")
        if not ended and self.plan.name != name:
            raise Refused("ERR")
        wanted = expires if expires is not None else 0 if ended else self.expires
        if not ended and wanted == self.expires:
            return "OK"
        if ended:
            self.change_plan(plan, "FULL")
            self.state, self.next = "active", None
        self.expires = wanted
        self.note("open")
        return "OK"

    def switch(self, name, mode="PRORATE"):
        self.not_closed()
        plan = self.host.plans.get(name)
        if not plan:
            raise Refused("NOPLAN")
        ends = [self.window(resource, rule).end for resource in self.plan.terms
                for rule in self.terms(resource).of(Limit) if rule.period != "forever"]
        self.next = None
        if mode == "END" and ends:
            self.next = (plan, max(ends))
        else:
            self.change_plan(plan, "PRORATE" if mode == "PRORATE" else "FULL")
        self.state = "active" if self.state == "lapsed" else self.state
        self.note("switch")
        return "OK"

    def change_state(self, state, act):
        self.adopt_newest()
        if self.state != state and (state, self.state) != ("active", "lapsed"):
            self.state = state
            self.note(act)
        return "OK"

    def suspend(self):
        self.not_closed(planned=False)
        return self.change_state("suspended", "suspend")

    def resume(self):
        self.not_closed(planned=False)
        return self.change_state("active", "resume")

    def close(self):
        return self.change_state("closed", "close")

    def override(self, name, terms=None, ex=0):
        self.not_closed()
        if not terms and not (name in self.slots and self.slots[name].own):
            return "OK"
        self.adopt_newest()
        slot = self.slots.setdefault(name, Slot())
        slot.own, slot.own_until = terms, self.now + ex if terms and ex else 0
        self.adopt(slot, self.terms(name), "FULL")
        self.note("override", name)
        return "OK"

    def set(self, name, used):
        self.not_closed()
        self.adopt_newest()
        terms = self.terms(name)
        if not terms:
            raise Refused("NORESOURCE")
        slot = self.slots.setdefault(name, Slot())
        for rule in terms.of(Limit):
            window = self.window(name, rule)
            window.used = window.warned = window.over_since = 0
            window.charge(used, 0, self.now)
            window.warn(terms)
            if rule.period in slot.windows or window.peak:
                slot.windows[rule.period] = window
        for rule in terms.of(Rolling):
            slot.logs[rule.us] = [(self.now, used)] if used else []
        self.note("set", name, used)
        return "OK"

    def reset(self, name=None):
        self.not_closed()
        self.adopt_newest()
        if name and name not in self.slots:
            if not self.terms(name):
                raise Refused("NORESOURCE")
            self.dirty = False
            return "OK"
        for resource, slot in self.slots.items():
            if name in (None, resource):
                for window in slot.windows.values():
                    window.used = window.debt = window.refunded = window.denied = window.peak = 0
                    window.over_since = window.warned = 0
                slot.logs, slot.rates = {}, Key()
        self.note("reset", name or "")
        return "OK"

    # ---- looking ----

    def info(self):
        resources = {name: self.resource(name) for name in {**(self.plan.terms if self.plan else {}), **self.slots}
                     if self.terms(name)}
        state = "expired" if not self.plan else "active" if self.state == "lapsed" else self.state
        state = "notstarted" if state == "active" and self.now < self.anchor else state
        return {"account": "a", "plan": self.shown_plan.name, "revision": self.shown_plan.revision,
                "state": "closed" if self.state == "closed" else state, "zone": self.zone,
                "anchor": self.anchor // 1000, "expires": self.expires // 1000 if self.expires else -1, "parent": None,
                "next": {"plan": self.next[0].name, "at": self.next[1] // 1000} if self.next else None,
                "resources": resources,
                "notes": [{"at": at, "act": act, "actor": "default", "resource": resource, "amount": amount,
                           "reason": ""} for at, act, resource, amount in self.notes]}

    def resource(self, name):
        terms, rates = self.terms(name), iter(self.rates(name))
        rules = [self.rule(name, rule, rates) for rule in terms.rules]
        windows = [self.window(name, rule) for rule in terms.of(Limit)]
        over = [window.used - window.own_limit() for window in windows if window.limit != UNLIMITED]
        highest = max([window.warned for window in windows], default=0)
        return {"rules": rules, "credits": 0, "overage": max(over + [0]),
                "warned": [percent for percent in terms.warn if percent <= highest]}

    def rule(self, name, rule, rates):
        kind, window = type(rule).__name__.upper(), None
        if kind == "RATE":
            limit = next(rates)
            capacity, remaining, held = limit.rule.capacity, max(limit.room(self.now), 0), 0
            used = max(capacity - remaining, 0)
        elif kind == "ROLLING":
            capacity, remaining, held = rule.limit, self.room(name, rule), self.held(name)
            used = sum(units for _, units in self.log(name, rule))
        else:
            window = self.window(name, rule)
            capacity, remaining, held = window.own_limit(), self.room(name, rule), self.held(name, window)
            used = window.used
        return {"kind": kind, "period": rule.period.split()[0], "limit": capacity, "used": used, "held": held,
                "remaining": remaining, "start": window.start // 1000 if window else -1,
                "end": window.end // 1000 if window and window.end != FOREVER else -1}

    def history(self, name):
        if not self.terms(name) and name not in self.slots:
            return "NORESOURCE"
        return [{**dataclasses.asdict(cycle), "period": cycle.period.split()[0], "start": cycle.start // 1000,
                 "end": cycle.end // 1000} for cycle in (self.slots[name].past if name in self.slots else [])]

    def live_holds(self):
        live = sorted((hold.expires, id, hold) for id, hold in self.holds.items() if hold.expires > self.now)
        return [{"id": id, "resource": hold.resource, "amount": hold.amount, "made": hold.made // 1000,
                 "expires": expires // 1000} for expires, id, hold in live]


def smallest(rooms):
    bounded = [room for room in rooms if room != UNLIMITED]
    return min(bounded) if bounded else UNLIMITED


def take_at(entries, instant, units):
    """The entries without so many units of that instant."""
    left = []
    for at, amount in entries:
        back = min(units, amount) if at == instant else 0
        units -= back
        left += [(at, amount - back)] if amount > back else []
    return left


def take_newest(entries, units):
    left = list(entries)
    while units and left:
        at, amount = left.pop()
        back = min(units, amount)
        units -= back
        if amount > back:
            left.append((at, amount - back))
    return left
