"""Charging an account: what still fits, when it will, who decides. Waits are found by trying later instants.

Plan changes that lie ahead and ends of overrides are not looked at, as the module says. Where the clock has stepped
back the account is judged at its own last instant, and what is waited for is told from the clock.
"""

import copy

from account_model.calendar import FOREVER
from account_model.carry import CYCLES_MAX
from account_model.entitlement import Concurrent, Limit, Rate, Rolling, Throttle
from account_model.lifetime import Refused, Silent
from account_model.plans import UNLIMITED
from account_model.slow_lane import SlowLane
from account_model.window import Hold, Item, Log, Record, position
from model import Key, first_instant, fits, millis, wait

CHANGES_AHEAD = 64  # as many as the module looks at; beyond, its promise is vague


class Consuming(SlowLane):
    # ---- what fits ----

    def log(self, name, rule):
        return self.slots[name].logs.get(rule.us, Log()) if name in self.slots else Log()

    def held(self, name, window=None, at=None):
        at = self.now if at is None else at
        return sum(hold.units for hold in self.holds.values() if hold.resource == name and hold.expires > at
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
        rooms = [self.room(name, rule) for rule in (entitlement.of((Limit, Rolling)) if entitlement else [])]
        bounded = [room for room in rooms if room != UNLIMITED]
        return min(bounded) if bounded else UNLIMITED if entitlement else 0

    def rules(self, name, holds):
        """-> the rules that decide, with their numbers: CONCURRENT only where units are held."""
        return [(index, rule) for index, rule in enumerate(self.entitlement(name).rules)
                if holds or not isinstance(rule, Concurrent)]

    def first_fit(self, name, units, rates, holds):
        """-> when all rules admit the units if nobody else comes (None: never), and the one that is waited for.

        What fits earlier need not fit then: a GRACE ends meanwhile. So all are asked again at each instant found."""
        at, waited_for = self.now, 0
        while True:
            own, instants = iter(rates), []
            for _, rule in self.rules(name, holds):
                if isinstance(rule, Throttle):
                    instants.append(at)
                    continue
                limit = next(own) if isinstance(rule, Rate) else None
                delay = wait(limit, units, at) if limit else None
                fit = self.fit(name, rule, units, at) if not limit else None if delay is None else at + delay
                instants.append(FOREVER if fit is None else fit)
            if self.entitlement(name).lane and self.entitlement(name).of((Limit, Rolling)):
                instants = self.with_lane(name, units, at, instants, holds)
            if max(instants) == FOREVER:
                if at > self.now and self.entitlement(name).lane:
                    raise Silent("which rule decides, likewise")
                return None, instants.index(FOREVER)
            if max(instants) == at:
                return at, waited_for
            if at > self.now and self.entitlement(name).lane:
                raise Silent("which rule decides: the rule that refuses now, or one that will refuse once it admits")
            at, waited_for = max(instants), instants.index(max(instants))

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
        ends = [hold.expires for hold in self.holds.values() if hold.resource == name and hold.expires > at]
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

    def charge(self, name, amount, mode, hold=None, until=0):
        """The verdict of one resource, which is charged unless the mode is CHECK. hold: reserve under this id."""
        entitlement = self.entitlement(name)
        if not entitlement:
            raise Refused("NORESOURCE")
        rates = self.rates(name)
        granted = self.admitted(name, amount, mode, rates, hold)
        if granted == 0 or mode == "CHECK":
            taken = self.lane_takes(name, granted * entitlement.unit)
            wanted = (1 if mode == "UPTO" else amount) * entitlement.unit
            return self.verdict(name, granted, wanted, rates, holds=hold, taken=taken)
        slot, units, lane = self.slot(name), granted * entitlement.unit, self.lane(name)
        taken = self.lane_takes(name, units)
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
        if hold:
            periods = tuple(rule.period for rule in entitlement.of(Limit))
            self.holds[hold] = Hold(name, granted, units, self.now, self.now, self.host.kept, periods)
            self.holds[hold].until = until
            self.holds[hold].expires = FOREVER  # being made: its own verdict does not wait for it
        self.dirty = True
        return self.verdict(name, granted, 0, rates, charged=True, holds=hold, taken=taken)

    def rates(self, name):
        entitlement = self.entitlement(name)
        rules = [rate.rule for rate in (entitlement.of(Rate) if entitlement else [])]
        key = self.slots[name].rates if name in self.slots else Key()
        return key.adopted(rules, self.now)[0] if rules else []

    def take_over_rates(self, name):
        """Other rules are in force from this instant on: what was used passes to them in units."""
        entitlement = self.entitlement(name)
        for kind, name_of in ((Rate, "rates"), (Throttle, "lane")):
            rules = [rate.rule for rate in (entitlement.of(kind) if entitlement else [])]
            key = getattr(self.slots[name], name_of) if name in self.slots else Key()
            if rules and (key.limits or key.sleeping):
                key.limits, key.sleeping, _ = key.adopted(rules, self.now)

    def admitted(self, name, amount, mode, rates, hold):
        cost = self.entitlement(name).unit
        if mode == "FORCE":
            return amount
        if mode == "UPTO":
            while amount and not self.fits(name, amount * cost, rates, hold):
                amount -= 1
            return amount
        return amount if self.fits(name, amount * cost, rates, hold) else 0

    def fits(self, name, units, rates, holds):
        bounds = [self.room(name, rule) for _, rule in self.rules(name, holds) if isinstance(rule, Concurrent)]
        pots = [self.room(name, rule) for _, rule in self.rules(name, holds) if isinstance(rule, (Limit, Rolling))]
        admitted = all(room == UNLIMITED or units <= room for room in pots) or self.lane_admits(name, units)
        return admitted and all(room == UNLIMITED or units <= room for room in bounds) and all(
            fits(limit, units, self.now) for limit in rates)

    def post_to_logs(self, name, units):
        entitlement = self.entitlement(name)
        for rule in entitlement.of(Rolling) if entitlement and units else []:
            self.slots[name].logs.setdefault(rule.us, Log()).charge(units, self.now)

    # ---- the verdict ----

    def verdict(self, name, granted, units, rates, charged=False, holds=None, taken=0):
        """Denied: the rule that is waited for longest; granted: the slow lane where it took some, else the one with
        the smallest remaining."""
        answers, own = [], iter(rates)
        for index, rule in self.rules(name, holds):
            if isinstance(rule, (Rate, Throttle)):
                limit = next(own) if isinstance(rule, Rate) else self.lane(name)
                reset = first_instant(limit.is_new, self.now) - self.now
                answers.append([limit.rule.capacity, max(limit.room(self.now), 0), reset, index])
            else:
                limit, reset = self.limit_and_reset(name, rule)
                answers.append([limit, self.room(name, rule), reset, index])
        no_rule = [UNLIMITED, UNLIMITED, 0, -1]
        lanes = [index for index, rule in self.rules(name, holds) if isinstance(rule, Throttle)]
        chosen = [one for one in answers if (one[3] in lanes) == (taken > 0)]
        at, answer = self.now, min(chosen, key=lambda one: (one[1] == UNLIMITED, one[1], one[3]), default=no_rule)
        if not granted and not charged:
            if lanes and (self.now - self.clock) % 1000:
                raise Silent("to which millisecond a wait is rounded that is found at an instant ahead of the clock")
            at, index = self.first_fit(name, units, rates, holds)
            answer = answer if at == self.now else answers[index]
        limit, remaining, reset, index = answer
        delay = None if at is None else at - self.now
        return [granted, limit, remaining, 0 if granted else self.told(delay), self.told(reset), index]

    def not_charged(self, name, amount, verdict):
        """Of a row that would be admitted: the slow lane only where limits refuse it."""
        units = amount * self.entitlement(name).unit
        admits = [room == UNLIMITED or units <= room for room in
                  (self.room(name, rule) for rule in self.entitlement(name).of((Limit, Rolling)))]
        if verdict[0] and all(admits) and self.lane_takes(name, units):
            verdict = self.verdict(name, amount, 0, self.rates(name))
        return [0, *verdict[1:]]

    def align_waits(self, items, verdicts):
        """A batch is admitted as a whole: a row that would be refused when the longest wait is over waits longer."""
        if any(self.entitlement(name).lane for name, _ in items):
            raise Silent("when a batch is admitted of which a part takes a slow lane")
        wanted = [(name, amount * self.entitlement(name).unit) for name, amount in items]
        instants = [self.first_fit(name, units, self.rates(name), None)[0] for name, units in wanted]
        at, before = None if None in instants else max(instants), self.now
        while at is not None and at != before:
            before = at
            for place, (name, units) in enumerate(wanted):
                found = self.later_fit(name, units, at) if at is not None else at
                if found != at:
                    at, rule, index = found
                    limit, reset = self.limit_and_reset(name, rule)
                    waits = self.told(None if at is None else at - self.now)
                    verdicts[place] = [0, limit, self.room(name, rule), waits, self.told(reset), index]

    def later_fit(self, name, units, since):
        """-> since, if its LIMITs admit the units then; else when they do (None: never), and the last that did not."""
        answer = at = since
        for index, rule in self.rules(name, None):
            fit = self.fit(name, rule, units, at) if at is not None and isinstance(rule, Limit) else at
            if fit != at:
                at, answer = fit, (fit, rule, index)
        return answer

    def told(self, delay):
        """From the clock, which may have stepped back behind the account. What needs no time needs none."""
        return millis(delay + self.now - self.clock if delay else delay)

    def limit_and_reset(self, name, rule):
        if isinstance(rule, Rolling):
            ends = [at + rule.us for at, _ in self.log(name, rule).live(self.now - rule.us)]
            ends += [hold.expires for hold in self.holds.values() if hold.resource == name and hold.expires < FOREVER]
            return rule.limit, max([at - self.now for at in ends] + [0])
        if isinstance(rule, Concurrent):
            ends = [hold.until if hold.expires == FOREVER else hold.expires for hold in self.holds.values()
                    if hold.resource == name and hold.expires > self.now]
            return rule.limit, max(ends, default=self.now) - self.now
        window = self.window(name, rule)
        capacity = window.capacity(self.entitlement(name), self.now)
        reset = None if window.end == FOREVER else window.end - self.now
        untouched = window.used == 0 and window.debt == 0 and self.held(name, window) == 0
        return window.own_limit() if capacity == UNLIMITED else capacity, 0 if untouched else reset

    def deny(self, name, verdict):
        """A refusal counts in the cycle of the rule that decided, and in no other."""
        rule = self.entitlement(name).rules[verdict[5]]
        if isinstance(rule, Limit):
            self.denied.append((name, rule.period, self.window(name, rule).start))

    # ---- commands ----

    def record(self, *key):
        found = self.records.get(key)
        return found if found and self.now < found.expires else None

    def item(self, name, verdict):
        entitlement = self.entitlement(name)
        places = {rule.period: self.now for rule in entitlement.of(Limit)}
        logs = tuple(rule.us for rule in entitlement.of(Rolling))
        here = position(self.sequence, self.now)
        return Item(name, verdict[0], entitlement.unit, places, logs, self.now, self.now, here)

    def remember(self, key, asked, reply, items=()):
        self.records[key] = Record(self.now + self.host.kept, asked, reply, tuple(items))
        self.dirty = True

    def consume(self, name, amount, mode="", id=None, sticky=False):
        key, asked = ("CONSUME", name, id), (amount, mode if mode in ("UPTO", "FORCE") else "")
        record = self.record(*key) if id else None
        if record:
            if asked != record.asked and not (mode == "CHECK" and record.asked[0] == amount):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        verdict = self.charge(name, amount, mode)
        if verdict[0] == 0 and mode != "CHECK":
            self.deny(name, verdict)
        if id and mode != "CHECK" and (verdict[0] or sticky):
            self.slot(name)
            self.remember(key, asked, verdict, [self.item(name, verdict)])
        return verdict

    def mconsume(self, items, any=False, id=None, check=False, sticky=False):
        key, asked = ("BATCH", "", id), (items, any)
        record = self.record(*key) if id else None
        if record:
            if record.asked[0] != items or (record.asked[1] != any and not check):
                raise Refused("IDCONFLICT")
            return record.reply
        self.refusal()
        verdicts = [self.charge(name, amount, "CHECK") for name, amount in items]
        admitted = [place for place, verdict in enumerate(verdicts) if verdict[0]]
        charged = admitted[:1] if any else admitted if len(admitted) == len(items) else []
        for place, (name, _) in enumerate(items):
            if place not in admitted and not charged and not check:
                self.deny(name, verdicts[place])
        if not any and len(admitted) < len(items):
            self.align_waits(items, verdicts)
        for place, (name, amount) in enumerate(items):
            if place not in charged:
                verdicts[place] = self.not_charged(name, amount, verdicts[place])
            elif not check:
                verdicts[place] = self.charge(name, amount, "")
        if id and not check and (charged or sticky):
            for name, _ in items:
                self.slot(name)
            charges = [self.item(name, verdict) for (name, _), verdict in zip(items, verdicts)]
            self.remember(key, asked, verdicts, charges)
        return verdicts
