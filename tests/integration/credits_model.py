"""The slow model of credits: one resource of one account, events met at their instants, units known by their sources.

    advance ── hold ends ── cycle ends ── grant ends or recurs ── grant begins, pays for what is over ──▶ now
    draw n  ── limits within their numbers ─▶ grants in burn order ─▶ BURST, OVERAGE ─▶ FORCE      (FIRST: grants first)
    give back ── the last units drawn, to the places they came from

Units are known by parts, [(source, units)]: source None is the limits, else the id of a grant. Nothing is summed up,
nothing is lazy.
"""

import dataclasses
import datetime as dt

US = 1_000_000
HOUR, DAY = 3600 * US, 86400 * US
NEVER = 1 << 62
KEPT = 5 * DAY  # quota.id-ttl-ms of the test
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def months_after(anchor, count):
    """Counted from the anchor; the day is clamped to the month's last one."""
    when = EPOCH + dt.timedelta(microseconds=anchor)
    year, month = divmod(when.year * 12 + when.month - 1 + count, 12)
    last = (dt.date(year + (month == 11), (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    when = when.replace(year=year, month=month + 1, day=min(when.day, last))
    return (when - EPOCH) // dt.timedelta(microseconds=1)


def after(anchor, period, count):
    """`count` periods after the anchor; a period is us, or a word of months."""
    return months_after(anchor, count * period[0]) if isinstance(period, tuple) else anchor + count * period


PERIODS = {"12h": 12 * HOUR, "day": DAY, "6h": 6 * HOUR, "month": (1,), "3month": (3,), "week": 7 * DAY}


@dataclasses.dataclass
class Limit:
    """A LIMIT in its running cycle; closed cycles by their start."""

    number: int
    period: str
    start: int
    used: int = 0

    def __post_init__(self):
        self.anchor, self.index, self.closed = self.start, 0, {}
        self.end = after(self.anchor, PERIODS[self.period], 1)

    def close(self):
        self.closed[self.start] = [self.end, self.used]
        self.index += 1
        self.start, self.end = self.end, after(self.anchor, PERIODS[self.period], self.index + 1)
        self.used = 0

    def post(self, units, at):
        """Adds units to the cycle of that instant; negative ones go back, as far as they are there. -> how many."""
        if self.start <= at < self.end:
            units = max(units, -self.used)
            self.used += units
            return units
        for start, cycle in self.closed.items():
            if start <= at < cycle[0]:
                units = max(units, -cycle[1])
                cycle[1] += units
                return units
        return 0


@dataclasses.dataclass
class Grant:
    id: str
    amount: int
    left: int
    effective: int
    expires: int
    priority: int
    promo: bool
    every: str | None
    created: int
    content: tuple
    reply: list = None
    begun: bool = False
    ended: int = 0  # the instant of its end; 0 = it has not ended
    used_at: int = 0
    held: int = 0
    void: bool = False

    def __post_init__(self):
        self.since, self.count = self.effective, 0

    def next_recurrence(self):
        if not self.every or not self.begun or self.ended:
            return NEVER
        at = after(self.effective, PERIODS[self.every], self.count + 1)
        return at if at < self.expires else NEVER

    def ends(self):
        if self.ended or not self.begun:
            return NEVER
        spent = not self.every and self.left == 0 and self.held == 0 and self.used_at
        return min(self.expires, self.used_at + KEPT) if spent else self.expires

    def usable(self):
        return self.begun and not self.ended

    def order(self):
        return (self.priority, self.expires, not self.promo, self.effective, self.created, self.id.encode())


@dataclasses.dataclass
class Hold:
    parts: list
    made: int
    expires: int
    units: int


@dataclasses.dataclass
class Record:
    parts: list
    taken: int
    units: int
    expires: int
    returned: int = 0


def units_of(parts, source=None):
    return sum(units for of, units in parts if of == source)


def cut(parts, begin, end):
    """What paid for units begin … end - 1."""
    found, at = [], 0
    for source, units in parts:
        units_here = min(at + units, end) - max(at, begin)
        found += [(source, units_here)] if units_here > 0 else []
        at += units
    return found


class Account:
    def __init__(self, now, limits, burst=0, overage=0, first=False, prepaid=False, concurrent=None):
        self.now, self.burst, self.first, self.prepaid = now, burst, first, prepaid
        self.overage = overage  # True: any number of units
        self.concurrent = concurrent  # units held at once; None: any number
        self.limits = [Limit(number, period, now) for number, period in limits]
        self.grants, self.holds, self.records = {}, {}, {}

    # ---- time ----

    def advance(self, to):
        while (at := min(self.events(), default=NEVER)) <= to:
            self.now = at
            for hold in [hold for hold in self.holds.values() if hold.expires == at]:
                self.let_go(hold, hold.parts)
                self.holds = {name: one for name, one in self.holds.items() if one is not hold}
            for limit in self.limits:
                if limit.end == at:
                    self.close_cycle(limit)
            for grant in self.grants.values():
                if grant.ends() <= at:
                    grant.ended = grant.ends()
                elif grant.next_recurrence() == at:
                    grant.count, grant.left, grant.since = grant.count + 1, grant.amount, at
            for grant in sorted(self.grants.values(), key=Grant.order):
                if not grant.begun and grant.effective == at:
                    self.begin(grant)
        self.now = to

    def close_cycle(self, limit):
        limit.close()

    def events(self):
        yield from (hold.expires for hold in self.holds.values())
        yield from (limit.end for limit in self.limits)
        for grant in self.grants.values():
            yield grant.ends()
            yield grant.next_recurrence()
            if not grant.begun:
                yield grant.effective

    def begin(self, grant):
        grant.begun = True
        over = max([limit.used - limit.number for limit in self.limits], default=0)
        absorbed = min(max(over, 0), grant.left)
        for limit in self.limits if absorbed else ():
            limit.used = max(limit.used - absorbed, 0)
        grant.left -= absorbed
        if absorbed:
            grant.used_at = grant.effective if grant.effective > grant.created else self.now
        return absorbed

    # ---- what there is ----

    def usable(self):
        return sorted((grant for grant in self.grants.values() if grant.usable()), key=Grant.order)

    def credits(self):
        return sum(grant.left for grant in self.usable())

    def held(self, limit):
        return sum(units_of(hold.parts) for hold in self.holds.values() if limit.start <= hold.made < limit.end)

    def room(self, beyond):
        """Of the tightest limit; None = any number."""
        if not self.limits:
            return 0 if self.prepaid and not (beyond and self.overage is True) else None
        if beyond and self.overage is True:
            return None
        return min(max((self.capacity(limit) if beyond else limit.number) - limit.used - self.held(limit), 0)
                   for limit in self.limits)

    def capacity(self, limit):
        """With BURST and OVERAGE MAX n."""
        return limit.number + limit.number * self.burst // 100 + (0 if self.overage is True else self.overage)

    # ---- drawing ----

    def draw(self, units, force=False):
        """The parts that pay for the units; None where they are not all there."""
        first = 0 if self.first else units if self.room(False) is None else min(units, self.room(False))
        parts, missing = [(None, first)], units - first
        for grant in self.usable():
            paid = min(missing, grant.left)
            parts.append((grant.id, paid))
            missing -= paid
        beyond = missing if self.room(True) is None else min(missing, max(self.room(True) - first, 0))
        if missing > beyond and not force:
            return None
        return [part for part in [*parts, (None, missing)] if part[1] > 0]

    def most(self, units):
        """UPTO."""
        if self.room(True) is None:
            return units
        return min(units, self.room(True) + self.credits())

    def spend(self, parts):
        for source, units in parts:
            if source is not None:
                grant = self.grants[source]
                grant.left -= units
                grant.used_at = self.now

    def consume(self, units, mode="", name=None):
        if name in self.records:
            return "replayed"
        granted = self.most(units) if mode == "UPTO" else units
        parts = self.draw(granted, mode == "FORCE") if granted else None
        if parts is None:
            return None
        self.spend(parts)
        for limit in self.limits:
            limit.post(units_of(parts), self.now)
        if name:
            self.records[name] = Record(parts, self.now, granted, self.now + KEPT)
        return granted

    # ---- giving back ----

    def take_back(self, parts, taken):
        """-> how many units came back; grants that have ended or recurred since lose theirs."""
        limited = units_of(parts)
        back = max([-limit.post(-limited, taken) for limit in self.limits], default=0)
        for source, units in parts:
            grant = self.grants.get(source)
            if grant and grant.usable() and taken >= grant.since:
                grant.left += units
                back += units
        return back

    def refund(self, units, of):
        record = self.records.get(of)
        if not record or record.expires <= self.now:
            return "NOSUCHID"
        if units > record.units - record.returned:
            return "REFUNDEXCEEDS"
        end = record.units - record.returned
        record.returned += units
        back = self.take_back(cut(record.parts, end - units, end), record.taken)
        return [back, units - back, self.remaining()]

    def remaining(self):
        room = self.room(True)
        return -1 if room is None else room + self.credits()

    # ---- reservations ----

    def holds_room(self):
        held = sum(hold.units for hold in self.holds.values())
        return NEVER if self.concurrent is None else max(self.concurrent - held, 0)

    def reserve(self, name, units, ttl, upto=False):
        granted = self.most(min(units, self.holds_room())) if upto else units
        parts = self.draw(granted) if 0 < granted <= self.holds_room() else None
        if parts is None:
            return None
        for source, part in parts:
            if source is not None:
                self.grants[source].left -= part
                self.grants[source].held += part
        self.holds[name] = Hold(parts, self.now, self.now + ttl, granted)
        return granted

    def let_go(self, hold, parts):
        """Held units are free again, if their grant is what it was; all of them are held no more."""
        for source, units in parts:
            grant = self.grants.get(source)
            if not grant:
                continue
            grant.held -= units
            if not grant.ended and not grant.void and hold.made >= grant.since:
                grant.left += units

    def commit(self, name, units=None, force=False):
        hold = self.holds[name]
        units = hold.units if units is None else units
        if units > hold.units and not force:
            return "ERR"
        beyond = self.draw(units - hold.units, True) if units > hold.units else []
        posted, released = cut(hold.parts, 0, units), cut(hold.parts, units, hold.units)
        self.spend(beyond)
        for source, part in posted:
            if source is not None:
                self.grants[source].held -= part
                self.grants[source].used_at = self.now
        del self.holds[name]
        self.let_go(hold, released)
        for limit in self.limits:
            limit.post(units_of(posted) + units_of(beyond), hold.made)
        if units:
            self.records[name] = Record(posted + beyond, hold.made, units, self.now + KEPT)
        return [units, max(hold.units - units, 0), self.remaining()]

    # ---- grants ----

    def grant(self, name, amount, effective, expires, priority, promo, every):
        content = (amount, effective, expires, priority, promo, every)
        known = self.grants.get(name)
        if known and not (known.ended and known.ended + KEPT <= self.now and known.held == 0):
            return known.reply if known.content == content else "IDCONFLICT"
        begins = self.now if effective is None else effective
        ends = NEVER if expires is None else after(begins, PERIODS[expires], 1) if isinstance(expires, str) else expires
        if ends <= max(begins, self.now):
            return "ERR"
        grant = Grant(name, amount, amount, begins, ends, priority, promo, every, self.now, content)
        self.grants.pop(name, None)
        self.grants[name] = grant
        absorbed = 0
        if begins <= self.now:
            absorbed = self.begin(grant)
            while grant.next_recurrence() <= self.now:
                grant.count += 1
            if grant.count:
                grant.since = after(begins, PERIODS[every], grant.count)
        grant.reply = [self.credits(), absorbed]
        return grant.reply

    def void_grant(self, name):
        grant = self.grants.get(name)
        if not grant or (grant.ended and grant.ended + KEPT <= self.now and grant.held == 0):
            return "NOSUCHID"
        if grant.ended:
            return 0
        taken, grant.left = grant.left, 0
        grant.begun, grant.void, grant.ended = True, True, self.now
        return taken

    # ---- verdicts ----

    def verdict(self, granted, holds=False):
        """[granted, limit, remaining, reset in ms, rule] of what was granted. CONCURRENT is the last rule."""
        rows = [self.pot_verdict(granted)]
        if holds and self.concurrent is not None:
            last = max(hold.expires for hold in self.holds.values())
            rows.append([granted, self.concurrent, self.holds_room(), self.ms(last), len(self.limits)])
        return min(rows, key=lambda row: (row[2] == -1, row[2], row[4]))

    def pot_verdict(self, granted):
        credits, within, room = self.credits(), self.room(False), self.room(True)
        limits_decide = bool(self.limits) and (within is None or within > 0 or (credits == 0 and room != 0))
        if self.usable() and not limits_decide or (self.prepaid and not self.limits):
            more = [grant.next_recurrence() for grant in self.grants.values()]
            more += [grant.effective for grant in self.grants.values() if not grant.begun]
            reset = min(more, default=NEVER)
            amount = sum(grant.amount for grant in self.usable())
            index = len(self.limits) + (self.concurrent is not None)
            return [granted, amount, credits, -1 if reset == NEVER else self.ms(reset), index]
        rows = []
        for index, limit in enumerate(self.limits):
            endless, capacity = self.overage is True, self.capacity(limit)
            left = -1 if endless else max(capacity - limit.used - self.held(limit), 0) + credits
            reset = 0 if limit.used == 0 and self.held(limit) == 0 else self.ms(limit.end)
            rows.append([granted, limit.number if endless else capacity, left, reset, index])
        return min(rows, key=lambda row: (row[2] == -1, row[2], row[4]))

    def ms(self, at):
        return -(-(at - self.now) // 1000)
