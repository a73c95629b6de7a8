"""Charging an account: what still fits, when it will, who decides. Waits are found by trying later instants.

Plan changes that lie ahead and ends of overrides are not looked at, as the module says. Where the clock has stepped
back the account is judged at its own last instant, and waits are counted from the clock.
"""

import collections
import copy
import dataclasses

from account_model.calendar import FOREVER
from account_model.carry import CYCLES_MAX
from account_model.entitlement import Concurrent, Limit, Rate, Rolling, Throttle
from account_model.lifetime import Refused, Silent
from account_model.plans import UNLIMITED
from account_model.slow_lane import SlowLane
from account_model.window import Hold, Item, Log, Record, Row, position
from model import Key, Queue, Token, first_instant, fits, millis, wait

CHANGES_AHEAD = 64  # as many as the module looks at; beyond, its promise is vague


class Consuming(SlowLane):
    # ---- what fits ----

    def log(self, name, rule):
        return self.slots[name].logs.get(rule.us, Log()) if name in self.slots else Log()

    def held(self, name, window=None, at=None):
        at = self.now if at is None else at
        return sum(hold.units[name] for hold in self.holds.values() if name in hold.units and hold.expires > at
                   and (not window or window.start <= hold.made < window.end))

    def room(self, name, rule):
        """Units that still fit, -1 = any."""
        if isinstance(rule, Concurrent):
            return UNLIMITED if rule.limit == UNLIMITED else max(rule.limit - self.held(name), 0)
        if isinstance(rule, Rolling):
            return max(rule.limit - self.log(name, rule).used(self.now - rule.us) - self.held(name), 0)
        window = self.window(name, rule)
        capacity = window.capacity(self.entitlement(name), self.now)
        return UNLIMITED if capacity == UNLIMITED else max(capacity - window.used - self.held(name, window), 0)

    def remaining(self, name):
        entitlement = self.entitlement(name)
        if not entitlement:
            return 0
        if entitlement.target and not self.entitlement(entitlement.target):
            raise Silent("what remains of a resource that is counted AS one which the plan has no more")
        names = [name] + [entitlement.target] * bool(entitlement.target)
        rooms = [self.room(one, rule) for one in names for rule in self.entitlement(one).of((Limit, Rolling))]
        return min([room for room in rooms if room != UNLIMITED], default=UNLIMITED)

    def row(self, name, amount):
        entitlement = self.entitlement(name)
        if not entitlement or (entitlement.target and not self.entitlement(entitlement.target)):
            raise Refused("NORESOURCE")
        own = ((name, 1), (entitlement.target, entitlement.unit)) if entitlement.target else ((name, entitlement.unit),)
        if any(self.vague(one) for one, _ in own):
            raise Silent("whether a bucket with an INITIAL that was full while it slept is a new one")
        return Row(name, amount, own)

    @staticmethod
    def requested_of(rows):
        """-> by resource the units of all rows."""
        units = collections.Counter()
        for row in rows:
            units.update(dict(row.units()))
        return units

    def rules(self, name, holds):
        """-> the rules that decide, with their numbers: CONCURRENT only where units are held."""
        return [(index, rule) for index, rule in enumerate(self.entitlement(name).rules)
                if holds or not isinstance(rule, Concurrent)]

    def rules_of(self, names, holds=None):
        """-> of several resources: (number, resource, rule)."""
        before, found = 0, []
        for name in names:
            found += [(before + index, name, rule) for index, rule in self.rules(name, holds)]
            before += len(self.entitlement(name).rules)
        return found

    def first_fit(self, requested, holds):
        """-> when all rules admit these units, by resource, if no other client comes (None: never), and the one that
        is waited for. What fits earlier need not fit then: a GRACE ends meanwhile. So all are tried again at each
        instant found."""
        at, waited_for, lane = self.now, 0, any(self.entitlement(name).lane for name in requested)
        while True:
            each = [self.instants(name, units, at, holds) for name, units in requested.items()]
            if lane and sum(max(instants, default=at) > at for instants in each) > 1:
                raise Silent("which rule decides: one of its own, or of the resource that it is counted AS")
            instants = sum(each, [])
            if not instants:
                return at, waited_for
            if max(instants) == FOREVER:
                if at > self.now and lane:
                    raise Silent("which rule decides, likewise")
                return None, instants.index(FOREVER)
            if max(instants) == at:
                return at, waited_for
            if at > self.now and lane:
                raise Silent("which rule decides: the rule that refuses now, or one that will refuse once it admits")
            at, waited_for = max(instants), instants.index(max(instants))

    def instants(self, name, units, at, holds):
        """When, from there on, each rule of a resource admits them."""
        own, instants = iter(self.begun(name, units)), []
        for _, rule in self.rules(name, holds):
            if isinstance(rule, Throttle):
                instants.append(at)
                continue
            limit = next(own) if isinstance(rule, Rate) else None
            delay = wait(limit, units, at) if limit else None
            fit = self.fit(name, rule, units, at) if not limit else None if delay is None else at + delay
            instants.append(FOREVER if fit is None else fit)
        if self.entitlement(name).lane and self.entitlement(name).of((Limit, Rolling)):
            return self.with_lane(name, units, at, instants, holds)
        return instants

    def begun(self, name, units):
        """The RATEs, for so many units. A TOKEN bucket whose INITIAL is below them begins with a request, also
        where that is denied; not where a RATE will never admit it: then there is no wait that has to come true."""
        limits = self.rates(name)
        if None not in [wait(limit, units, self.now, begins=True) for limit in limits]:
            for limit in self.stuck(limits, units):
                limit.begin_fill(self.now)
        return limits

    def stuck(self, limits, units):
        return [limit for limit in limits if isinstance(limit, Token) and limit.stuck(units, self.now)]

    def begin_rates(self, requested):
        """Of a request that is denied."""
        for name, units in requested.items():
            limits = self.begun(name, units)
            if self.stuck(self.rates(name), units) and not self.stuck(limits, units):
                slot = self.slot(name)
                slot.rates.sleeping = slot.rates.adopted([limit.rule for limit in limits], self.now)[1]
                slot.rates.limits = limits
                self.dirty = True

    def fit(self, name, rule, units, since):
        """The first instant from there on at which the rule admits the units: they are tried one after another."""
        if isinstance(rule, Rolling):
            return self.rolling_fit(name, rule, units, since)
        if isinstance(rule, Concurrent):
            ends = sorted([since] + [hold.expires for hold in self.holds.values() if hold.expires > since])
            fitting = [at for at in ends if rule.limit == UNLIMITED or self.held(name, None, at) + units <= rule.limit]
            return fitting[0] if fitting else None
        entitlement, window, at = self.entitlement(name), copy.copy(self.window(name, rule)), self.now
        for _ in range(CHANGES_AHEAD):
            until = self.next_change(name, window, at)
            now = max(at, since)
            capacity = window.capacity(entitlement, now)
            fits = capacity == UNLIMITED or window.used + self.held(name, window, now) + units <= capacity
            if now < until and fits:
                return now
            if until == FOREVER or self.never(name, rule, entitlement, window, units, now):
                return None
            at = until
            if at == window.end:
                window = self.following(name, window)
        raise Silent("more changes ahead than are looked at")

    def next_change(self, name, window, at):
        """A hold ends, or the cycle."""
        ends = [hold.expires for hold in self.holds.values() if name in hold.units and hold.expires > at]
        return min(ends + [window.end])

    def never(self, name, rule, entitlement, window, units, now):
        """No cycle to come, with no debt and nothing used, has the room. (All of them are full cycles of the rule.)"""
        if rule.limit == UNLIMITED or window.end == FOREVER:
            return False
        coming = [window]
        for _ in range(2 + CYCLES_MAX * bool(rule.rollover)):
            coming.append(self.following(name, coming[-1]))
            coming[-1].debt = 0
        most = [one.capacity(entitlement, max(one.start, now)) for one in coming]
        return UNLIMITED not in most and units > max(most)

    def rolling_fit(self, name, rule, units, since):
        entries = self.log(name, rule).live(self.now - rule.us)
        instants = [since] + [at + rule.us for at, _ in entries]
        instants += [hold.expires for hold in self.holds.values() if hold.expires < FOREVER]
        for at in sorted(instant for instant in instants if instant >= since):
            used = sum(amount for made, amount in entries if made > at - rule.us)
            if used + self.held(name, None, at) + units <= rule.limit:
                return at
        return None

    # ---- charging ----

    def refusal(self):
        if self.state == "closed" or not self.plan:
            raise Refused("NOACCOUNT")
        if self.state == "suspended":
            raise Refused("SUSPENDED")
        if self.now < self.anchor:
            raise Refused("NOTSTARTED")

    def charge(self, rows, hold=None, until=0):
        """The verdicts of rows that are admitted. hold: reserve under this id."""
        requested = self.requested_of(rows)
        taken = {name: self.lane_takes(name, units) for name, units in requested.items()}
        turns = [self.turn(dict(row.parts)) for row in rows]
        for name, units in requested.items():
            self.charge_one(name, units, taken[name], hold)
        if hold:
            periods = {name: tuple(rule.period for rule in self.entitlement(name).of(Limit)) for name in requested}
            self.holds[hold] = Hold(tuple(rows), requested, self.now, FOREVER, self.host.kept, periods, until=until)
            # FOREVER: it is being made, and its own verdict does not wait for it
        self.dirty = True
        return [self.verdict(row.amount, {name: requested[name] for name, _ in row.parts}, turn, True, holds=hold,
                             taken=any(taken[name] for name, _ in row.parts)) for row, turn in zip(rows, turns)]

    def turn(self, names):
        """us until those who stand in the QUEUEs of these resources have been served: then it is one's turn."""
        queues = [limit for name in names for limit in self.rates(name) if isinstance(limit, Queue)]
        return max([limit.delay(self.now) for limit in queues], default=0)

    def charge_one(self, name, units, taken, hold):
        entitlement, slot, rates, lane = self.entitlement(name), self.slot(name), self.rates(name), self.lane(name)
        for rule in entitlement.of(Limit):
            window = slot.windows.setdefault(rule.period, self.window(name, rule))
            held = self.held(name, window)
            window.charge(0 if hold else units, held + units if hold else held, self.now)
            window.warn(entitlement)
        if not hold:
            self.post_to_logs(name, units)
        for limit in rates:
            limit.charge(units, self.now)
        if rates:
            sleeping = slot.rates.adopted([limit.rule for limit in rates], self.now)[1]
            slot.rates.limits, slot.rates.sleeping = rates, sleeping
        if taken:
            self.charge_lane(name, lane, taken)

    def answer(self, row, requested, holds=None):
        """The verdict of a row as if it were charged, with these units by resource."""
        granted = row.amount if self.fits(requested, holds) else 0
        taken = granted and any(self.lane_takes(name, units) for name, units in requested.items())
        return self.verdict(granted, requested, self.turn(requested), holds=holds, taken=taken)

    def rates(self, name):
        entitlement = self.entitlement(name)
        rules = [rate.rule for rate in (entitlement.of(Rate) if entitlement else [])]
        key = self.slots[name].rates if name in self.slots else Key()
        return key.adopted(rules, self.now)[0] if rules else []

    def vague(self, name):
        """Was a bucket full while it slept? That is as good as new, but not where it would begin with its INITIAL."""
        return name in self.slots and any(bucket.is_new(self.now) for bucket in self.slots[name].slept)

    def fall_asleep(self, name):
        """A rule goes: its bucket sleeps until it is fully replenished."""
        entitlement, slot = self.entitlement(name), self.slots[name]
        here = [rate.rule.means() for rate in (entitlement.of(Rate) if entitlement else [])]
        gone = [copy.copy(limit) for limit in slot.rates.limits if isinstance(limit, Token) and not limit.unused
                and limit.missing_when_unused() > 0]
        slot.slept = [bucket for bucket in slot.slept + gone
                      if bucket.rule.means() not in here or bucket in slot.slept and bucket.is_new(self.now)]

    def take_over_rates(self, name):
        """Other rules are in force from this instant on: what was used passes to them in units."""
        entitlement = self.entitlement(name)
        if name in self.slots:
            self.fall_asleep(name)
        for kind, name_of in ((Rate, "rates"), (Throttle, "lane")):
            rules = [rate.rule for rate in (entitlement.of(kind) if entitlement else [])]
            key = getattr(self.slots[name], name_of) if name in self.slots else Key()
            if rules and (key.limits or key.sleeping):
                key.limits, key.sleeping, _ = key.adopted(rules, self.now)

    def admitted(self, row, mode, hold=None):
        """-> the row with what is granted of it."""
        if mode == "FORCE":
            return row
        amount = row.amount
        while amount and not (self.fits(dict(row.units(amount)), hold) and self.finds_places(row, amount, mode)):
            amount = amount - 1 if mode == "UPTO" else 0
        return dataclasses.replace(row, amount=amount)

    def finds_places(self, row, amount, mode):
        """A QUEUE lets any amount in that it has a place for; as much as there is are its places, and one amount."""
        queues = [(limit, units) for name, units in row.units(amount) for limit in self.rates(name)
                  if isinstance(limit, Queue)]
        return mode != "UPTO" or amount == 1 or all(units <= limit.room(self.now) for limit, units in queues)

    def fits(self, requested, holds):
        return all(self.one_fits(name, units, holds) for name, units in requested.items())

    def one_fits(self, name, units, holds):
        bounds = [self.room(name, rule) for _, rule in self.rules(name, holds) if isinstance(rule, Concurrent)]
        pots = [self.room(name, rule) for _, rule in self.rules(name, holds) if isinstance(rule, (Limit, Rolling))]
        admitted = all(room == UNLIMITED or units <= room for room in pots) or self.lane_admits(name, units)
        return admitted and all(room == UNLIMITED or units <= room for room in bounds) and all(
            fits(limit, units, self.now) for limit in self.rates(name))

    def post_to_logs(self, name, units):
        entitlement = self.entitlement(name)
        for rule in entitlement.of(Rolling) if entitlement and units else []:
            self.slots[name].logs.setdefault(rule.us, Log()).charge(units, self.now)

    # ---- the verdict ----

    def verdict(self, granted, requested, turn, charged=False, holds=None, taken=False):
        """requested: units by resource; turn: how long a QUEUE lets it wait. Denied: the rule waited for longest;
        granted: the slow lane where it took some, else the one with the smallest remaining."""
        rates = {name: iter(self.begun(name, units)) for name, units in requested.items()}
        rules = self.rules_of(requested, holds)
        answers = [[*self.shown(name, rule, rates[name]), number] for number, name, rule in rules]
        no_rule = [UNLIMITED, UNLIMITED, 0, -1]
        lanes = [number for number, _, rule in rules if isinstance(rule, Throttle)]
        chosen = [one for one in answers if (one[3] in lanes) == bool(taken)]
        at, answer = self.now, min(chosen, key=lambda one: (one[1] == UNLIMITED, one[1], one[3]), default=no_rule)
        if not granted and not charged:
            if lanes and (self.now - self.clock) % 1000:
                raise Silent("to which millisecond a wait is rounded that is found at an instant ahead of the clock")
            at, index = self.first_fit(requested, holds)
            answer = answer if at == self.now else answers[index]
        limit, remaining, reset, index = answer
        delay = None if at is None else at - self.now
        return [granted, limit, remaining, self.delay_ms(turn if granted else delay), self.delay_ms(reset), index]

    def shown(self, name, rule, rates):
        """-> limit, remaining, reset."""
        if isinstance(rule, (Rate, Throttle)):
            limit = next(rates) if isinstance(rule, Rate) else self.lane(name)
            reset = first_instant(limit.is_new, self.now) - self.now
            return limit.rule.capacity, max(limit.room(self.now), 0), reset
        limit, reset = self.limit_and_reset(name, rule)
        return limit, self.room(name, rule), reset

    def not_charged(self, row, requested, verdict, holds=None):
        """Of a row that would be admitted: the slow lane only where limits refuse it."""
        admits = [room == UNLIMITED or units <= room for room, units in (
            (self.room(name, rule), units) for name, units in requested.items()
            for rule in self.entitlement(name).of((Limit, Rolling)))]
        if verdict[0] and all(admits) and any(self.lane_takes(name, units) for name, units in requested.items()):
            verdict = self.verdict(row.amount, requested, 0, holds=holds)
        waits = 0 if verdict[0] else verdict[3]
        return [0, *verdict[1:3], waits, *verdict[4:]]

    def align_waits(self, wanted, verdicts, holds=None):
        """A batch is admitted as a whole: a row that would be refused when the longest wait is over waits longer."""
        if any(self.entitlement(name).lane for requested in wanted for name in requested):
            raise Silent("when a batch is admitted of which a part takes a slow lane")
        instants = [self.first_fit(requested, holds)[0] for requested in wanted]
        at, before = None if None in instants else max(instants), self.now
        while at is not None and at != before:
            before = at
            for place, requested in enumerate(wanted):
                found = self.later_fit(requested, at) if at is not None else at
                if found != at:
                    at, name, rule, index = found
                    limit, reset = self.limit_and_reset(name, rule)
                    waits = self.delay_ms(None if at is None else at - self.now)
                    verdicts[place] = [0, limit, self.room(name, rule), waits, self.delay_ms(reset), index]

    def later_fit(self, requested, since):
        """-> since, if its LIMITs admit the units then; else when they do (None: never), and the last that did not."""
        answer = at = since
        for index, name, rule in self.rules_of(requested):
            fit = self.fit(name, rule, requested[name], at) if at is not None and isinstance(rule, Limit) else at
            if fit != at:
                at, answer = fit, (fit, name, rule, index)
        return answer

    def delay_ms(self, delay):
        """From the clock, which may have stepped back behind the account. What needs no time needs none."""
        return millis(delay + self.now - self.clock if delay else delay)

    def limit_and_reset(self, name, rule):
        if isinstance(rule, Rolling):
            ends = [at + rule.us for at, _ in self.log(name, rule).live(self.now - rule.us)]
            ends += [hold.until if hold.expires == FOREVER else hold.expires for hold in self.holds.values()
                     if name in hold.units and hold.expires > self.now]
            return rule.limit, max([at - self.now for at in ends] + [0])
        if isinstance(rule, Concurrent):
            ends = [hold.until if hold.expires == FOREVER else hold.expires for hold in self.holds.values()
                    if name in hold.units and hold.expires > self.now]
            return rule.limit, max(ends, default=self.now) - self.now
        window = self.window(name, rule)
        capacity = window.capacity(self.entitlement(name), self.now)
        reset = None if window.end == FOREVER else window.end - self.now
        untouched = window.used == 0 and window.debt == 0 and self.held(name, window) == 0
        return window.own_limit() if capacity == UNLIMITED else capacity, 0 if untouched else reset

    def deny(self, row, verdict):
        """A refusal counts in the cycle of the rule that decided, and in no other: of each row."""
        rules = {number: (name, rule) for number, name, rule in self.rules_of(dict(row.parts), holds=True)}
        name, rule = rules[verdict[5]]
        if isinstance(rule, Limit):
            self.denied.append((name, rule.period, self.window(name, rule).start))

    # ---- commands ----

    def record(self, *key):
        found = self.records.get(key)
        return found if found and self.now < found.expires else None

    def item(self, row, granted):
        """What a row has charged."""
        here, of, items = position(self.sequence, self.now), None, []
        for name, cost in reversed(row.parts):
            entitlement = self.entitlement(name)
            places = {rule.period: self.now for rule in entitlement.of(Limit)}
            logs = tuple(rule.us for rule in entitlement.of(Rolling))
            items.append(of := Item(name, granted, cost, places, logs, self.now, self.now, here, of))
        return items[-1]

    def remember(self, key, requested, reply, items=()):
        self.records[key] = Record(self.now + self.host.kept, requested, reply, tuple(items))
        self.dirty = True

    def consume(self, name, amount, mode="", id=None, sticky=False):
        key, requested = ("CONSUME", name, id), (amount, mode if mode in ("UPTO", "FORCE") else "")
        record = self.record(*key) if id else None
        if record:
            if requested != record.requested and not (mode == "CHECK" and record.requested[0] == amount):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        row = self.row(name, amount)
        granted = self.admitted(row, mode)
        if granted.amount and mode != "CHECK":
            verdict = self.charge([granted])[0]
        else:
            verdict = self.answer(row if mode != "UPTO" else dataclasses.replace(row, amount=1), dict(row.units(
                1 if mode == "UPTO" else amount)))
        if verdict[0] == 0 and mode != "CHECK":
            self.deny(row, verdict)
            self.begin_rates(dict(row.units(1 if mode == "UPTO" else amount)))
        if id and mode != "CHECK" and (verdict[0] or sticky):
            self.slot(name)
            self.give_slots(*[] if verdict[0] else [row])
            self.remember(key, requested, verdict, [self.item(row, verdict[0])])
        return verdict

    def give_slots(self, *rows):
        """A denial that is remembered is one of all resources that count the rows."""
        for row in rows:
            for name, _ in row.units():
                self.slot(name)

    def mconsume(self, items, any=False, id=None, check=False, sticky=False):
        key, requested = ("BATCH", "", id), (items, any)
        record = self.record(*key) if id else None
        if record:
            if record.requested[0] != items or (record.requested[1] != any and not check):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        rows = [self.row(name, amount) for name, amount in items]
        verdicts = self.charge_any(rows, check) if any else self.charge_all(rows, check=check)
        if id and not check and (sticky or [verdict for verdict in verdicts if verdict[0]]):
            for name, _ in items:
                self.slot(name)
            self.give_slots(*[] if [verdict for verdict in verdicts if verdict[0]] else rows)
            items = [self.item(row, verdict[0]) for row, verdict in zip(rows, verdicts)]
            self.remember(key, requested, verdicts, items)
        return verdicts

    def charge_any(self, rows, check):
        """The first that is admitted; each is tried by itself."""
        wanted = [dict(row.units()) for row in rows]
        verdicts = [self.answer(row, requested) for row, requested in zip(rows, wanted)]
        charged = next((place for place, verdict in enumerate(verdicts) if verdict[0]), None)
        if charged is not None and not check:
            granted = self.charge([rows[charged]])[0]  # the others are answered as they stand behind it
            verdicts = [self.answer(row, requested) for row, requested in zip(rows, wanted)]
            verdicts[charged] = granted
        for place, row in enumerate(rows):
            if charged is None and not check:
                self.deny(row, verdicts[place])
            if place != charged:
                verdicts[place] = self.not_charged(row, wanted[place], verdicts[place])
        for requested in wanted if charged is None and not check else []:
            self.begin_rates(requested)
        return verdicts

    def charge_all(self, rows, check=False, hold=None, until=0):
        """All of them or none: rows that are counted as one resource are requested in sum."""
        together = self.requested_of(rows)
        wanted = [{name: together[name] for name, _ in row.parts} for row in rows]
        verdicts = [self.answer(row, requested, hold) for row, requested in zip(rows, wanted)]
        if all(verdict[0] for verdict in verdicts):
            return verdicts if check else self.charge(rows, hold, until)
        for row, verdict in zip(rows, verdicts):
            if not verdict[0] and not check:
                self.deny(row, verdict)
        if len(rows) > 1 or not hold:
            self.align_waits(wanted, verdicts, hold)
        verdicts = [self.not_charged(*each, hold) for each in zip(rows, wanted, verdicts)]
        for requested in wanted if not check else []:
            self.begin_rates(requested)
        return verdicts
