"""What goes back and what is held: refunds return to the cycles they were taken from, holds post to their own.

Nothing goes back twice: each cycle and each rolling window gives at most what it still counts as used, and of what its
ledger says was charged up to there and not given back yet.
"""

import dataclasses

from account_model.consuming import Consuming
from account_model.entitlement import Limit, Rolling
from account_model.lifetime import Refused, Silent
from account_model.window import Item, Log, position


class Ledger(Consuming):
    def not_closed(self, planned=True):
        if self.state == "closed" or (planned and not self.plan):
            raise Refused("NOACCOUNT")

    # ---- refunds ----

    def refund(self, name, amount, of=None, id=None):
        self.not_closed()
        key, asked = ("REFUND", name, id), (amount, of)
        record = self.record(*key) if id else None
        if record:
            if record.asked != asked:
                raise Refused("IDCONFLICT")
            return record.reply
        if not self.entitlement(name) and self.unasked(name):
            if of and (self.was_changed(name) or name in self.slots):
                raise Silent("NORESOURCE or NOSUCHID: a change of plan may have been stored for what was never used")
            raise Refused("NORESOURCE")
        refunded, lost = self.refund_named(name, amount, of) if of else self.refund_unnamed(name, amount)
        reply = [refunded, lost, self.remaining(name)]
        if refunded or of or id:
            self.note("refund", name, refunded)
            if id:
                self.slot(name)
                self.remember(key, asked, reply)
        return reply

    def refund_all(self, of):
        """Of every resource what is left of it, in the order of their first use; one refusal refuses all."""
        self.not_closed()
        names = [name for name in self.slots if self.record("CONSUME", name, of)]
        for key in (("BATCH", "", of), ("HOLD", "", of)):
            record = self.record(*key)
            released = record and key[0] == "HOLD" and not any(item.granted for item in record.items)
            items = record.items if record and not released else ()
            names += [item.resource for item in items if item.resource not in names]
        if not names:
            raise Refused("NOSUCHID")
        replies = [self.refund_rest(name, of) for name in names]
        return replies if len(replies) > 1 else replies[0]

    def refund_rest(self, name, of):
        try:
            record, item = self.taken(name, of)
        except Refused:
            record, item = None, None  # a row that was not granted
        left = item.granted - record.returned.get(name, 0) if item else 0
        if not left:
            return [0, 0, self.remaining(name)]
        refunded, lost = self.refund_named(name, left, of)
        self.note("refund", name, refunded)
        return [refunded, lost, self.remaining(name)]

    def taken(self, name, of):
        """The record that OF names, and what it charged of this resource."""
        for key in (("CONSUME", name, of), ("BATCH", "", of), ("HOLD", "", of)):
            record = self.record(*key)
            for item in record.items if record else ():
                if item.resource == name and item.granted:
                    return record, item
        raise Refused("NOSUCHID")

    def refund_named(self, name, amount, of):
        record, item = self.taken(name, of)
        entitlement, units = self.entitlement(name), amount * item.cost
        if amount > item.granted - record.returned.get(name, 0):
            raise Refused("REFUNDEXCEEDS")
        if entitlement and entitlement.within and self.now > item.made + entitlement.within:
            raise Refused("LIMITED")
        cycles = self.cycles_of(name, item.places)
        most = entitlement and entitlement.refunds_max
        if most is not None and any(cycle.refunded + units > most for cycle in cycles):
            raise Refused("LIMITED")
        self.instant_is_its_own(name, item)
        record.returned[name] = record.returned.get(name, 0) + amount
        back = [self.amend(name, cycle, lambda one: one.give_back(units, item.position)) for cycle in cycles]
        bounded = item.places or item.logs
        for us in [us for us in item.logs if item.logged > self.now - us]:
            log = self.slots[name].logs.get(us, Log())
            back.append(log.give_back(units, item.position, item.logged, self.now - us))
        rated = self.give_back_to_rates(name, max(back, default=0) if bounded else units, item.made)
        self.dirty = True
        return self.reply_of(amount, item.cost, back if bounded else rated)

    def instant_is_its_own(self, name, item):
        """A rolling window knows instants and not consumptions."""
        for us, log in self.slots[name].logs.items():
            if us not in item.logs and any(when == item.logged for when, _ in log.live(self.now - us)):
                raise Silent("whose units of one instant a rolling window counts that came at that instant")

    @staticmethod
    def reply_of(amount, cost, back):
        if max(back, default=0) % cost:
            raise Silent("a part of a unit of other COST")
        refunded = max(back, default=0) // cost
        return refunded, amount - refunded

    def cycles_of(self, name, places):
        """Under each period the cycle of that instant: running, or closed and remembered."""
        slot = self.slots[name]
        found = {cycle.period: cycle for cycle in slot.past if self.is_of(cycle, places)}
        return list((found | {one.period: one for one in slot.windows.values() if self.is_of(one, places)}).values())

    @staticmethod
    def is_of(cycle, places):
        return cycle.period in places and cycle.start <= places[cycle.period] < cycle.end

    def amend(self, name, cycle, change):
        """Late news for a cycle. What a closed one had overdrawn was to be repaid by those that followed."""
        slot, entitlement = self.slots[name], self.entitlement(name)
        if slot.windows.get(cycle.period) is cycle:
            return change(cycle)
        news = dataclasses.replace(cycle)
        result = change(news)
        news.peak = max(news.peak, news.used)
        slot.past = [news if one is cycle else one for one in slot.past]
        window, more = slot.windows.get(cycle.period), news.overdraft() - cycle.overdraft()
        rule = entitlement and entitlement.limit(cycle.period)
        if more and rule and not window and entitlement.repay:
            raise Silent("what a cycle that closed asleep is overdrawn by")
        if window and more and entitlement and entitlement.repay:
            if cycle.asleep:
                raise Silent("what a cycle that closed asleep is overdrawn by")
            if window.start != news.end:
                raise Silent("a debt that other cycles have repaid since")
            window.debt = max(window.debt + more, 0)
        return result

    def give_back_to_rates(self, name, units, made, named=True):
        """-> what each of them still remembered. Of a named consumption a LOG has the entry of its instant alone."""
        limits, back = self.rates(name), []
        if limits and units and self.now > made:
            raise Silent("what a RATE remembers of units of then is the rates' own matter")
        for limit in limits if units else []:
            of_instant = named and hasattr(limit, "refund_at")
            back.append(limit.refund_at(units, made, self.now) if of_instant else limit.refund(units, self.now))
        if limits and units:
            self.slots[name].rates.limits = limits
        return back

    def refund_unnamed(self, name, amount):
        entitlement = self.entitlement(name)
        if not entitlement:
            raise Refused("NORESOURCE")
        if entitlement.within:
            raise Refused("ERR")
        if name not in self.slots:
            return 0, amount
        windows = [self.window(name, rule) for rule in entitlement.of(Limit)]
        rollings = entitlement.of(Rolling)
        used = [window.used for window in windows]
        used += [self.log(name, rule).used(self.now - rule.us) for rule in rollings]
        if not used:  # of one RATE alone: what it still owes
            if len(entitlement.rules) > 1:
                raise Silent("which of several RATEs says how much")
            back = max(self.give_back_to_rates(name, amount * entitlement.unit, self.now, named=False), default=0)
            self.dirty = self.dirty or bool(back)
            return self.reply_of(amount, entitlement.unit, [back])
        back = min(amount, min(used) // entitlement.unit)
        units, here = back * entitlement.unit, position(self.sequence, self.now)
        most = entitlement.refunds_max
        if most is not None and any(window.refunded + units > most for window in windows):
            raise Refused("LIMITED")
        for window in windows if back else []:
            window.give_back_newest(units, here)
        for rule in rollings if back else []:
            self.log(name, rule).give_back_newest(units, here)
        self.give_back_to_rates(name, units, self.now, named=False)
        self.dirty = self.dirty or bool(back)
        return back, amount - back

    # ---- reservations ----

    def hold(self, id):
        hold = self.holds.get(id)
        if hold and self.now < hold.expires:
            return hold
        if (hold and self.now < hold.expires + hold.kept) or self.record("HOLD", "", id):
            raise Refused("RESOLVED")
        return None

    def reserve(self, id, name, amount, ttl, mode=""):
        hold = self.hold(id)
        if hold:
            if hold.asked != (name, amount, mode):
                raise Refused("IDCONFLICT")
            return hold.verdict
        self.refusal()
        entitlement = self.entitlement(name)
        if not entitlement:
            raise Refused("NORESOURCE")
        live = [hold for hold in self.holds.values() if hold.resource == name and hold.expires > self.now]
        if entitlement.holds_max is not None and len(live) >= entitlement.holds_max:
            raise Refused("LIMITED")
        verdict = self.charge(name, amount, mode, hold=id, until=self.now + ttl)
        if verdict[0]:
            hold = self.holds[id]
            hold.expires, hold.asked, hold.verdict = self.now + ttl, (name, amount, mode), verdict
        else:
            self.deny(name, verdict)
        return verdict

    def commit(self, id, amount=None, force=False):
        self.not_closed(planned=False)
        record = self.record("HOLD", "", id)
        if record:  # asked again
            if (record.amount if amount is None else amount) != record.asked:
                raise Refused("RESOLVED")
            return record.reply
        late = self.holds.get(id)
        late = late if force and late and late.expires <= self.now < late.expires + late.kept else None
        hold = late or self.hold(id)
        if not hold:
            raise Refused("NOSUCHID")
        amount = hold.amount if amount is None else amount
        if late:  # expired, and its units are free again: charged now
            hold = dataclasses.replace(hold, amount=amount, units=0, made=self.now, periods=())
            cost = late.units // late.amount
        else:
            cost = hold.units // hold.amount
        if amount > hold.amount and not force:
            raise Refused("ERR")
        return self.settle(id, hold, amount, cost, late or hold)

    def settle(self, id, hold, amount, cost, first):
        del self.holds[id]
        name, units = hold.resource, amount * cost
        places = self.places_of(hold) if amount else {}
        for cycle in self.cycles_of(name, places):
            self.amend(name, cycle, lambda one: self.post(name, one, units, places[one.period]))
        self.post_to_logs(name, units)
        self.settle_rates(name, units, hold)
        entitlement = self.entitlement(name)
        logs = tuple(rule.us for rule in (entitlement.of(Rolling) if entitlement and units else []))
        here = position(self.sequence, self.now)
        item = Item(name, amount, cost, places, logs, hold.made, self.now, here)
        reply = [amount, max(hold.amount - amount, 0), self.remaining(name)]
        self.remember(("HOLD", "", id), amount, reply, [item])
        record = self.records["HOLD", "", id]
        record.amount, record.expires = min(first.amount, hold.amount), self.now + first.kept
        return reply

    def settle_rates(self, name, units, hold):
        rates = self.rates(name)
        if units > hold.units:
            for limit in rates:
                limit.charge(units - hold.units, self.now)
            self.slots[name].rates.limits = rates or self.slots[name].rates.limits
        self.give_back_to_rates(name, max(hold.units - units, 0), hold.made)

    def places_of(self, hold):
        """Every cycle that ran then (also under a LIMIT that slept), and of a LIMIT that has joined since the cycle of
        that instant, or the running one."""
        slot, entitlement = self.slots[hold.resource], self.entitlement(hold.resource)
        there = {cycle.period for cycle in [*slot.past, *slot.windows.values()] if cycle.start <= hold.made < cycle.end}
        places = {period: hold.made for period in there}
        current = {rule.period for rule in (entitlement.of(Limit) if entitlement else [])}
        joined = {rule.period for part in self.parts[hold.resource][1:] if part.entitlement and not part.full
                  for rule in part.entitlement.of(Limit)} if hold.resource in self.parts else set()
        unused = {cycle.period for cycle in [*slot.past, *slot.windows.values()]
                  if cycle.start <= hold.made < cycle.end and cycle.unasked and cycle.peak == 0}
        if (joined - there | unused) - current - set(hold.periods):
            raise Silent("whether a LIMIT that came and went, unused, has a cycle that sleeps")
        kept = {cycle.period for cycle in slot.past
                if cycle.start <= hold.made < cycle.end and cycle.unasked and cycle.peak == 0}
        if kept - set(hold.periods):
            raise Silent("a cycle that was there for its lots alone, of a LIMIT that did not hold the reservation")
        for rule in entitlement.of(Limit) if entitlement else []:
            if rule.period not in places and rule.period not in hold.periods:
                window = slot.windows.setdefault(rule.period, self.window(hold.resource, rule))
                known = rule.period in there or window.start <= hold.made
                places[rule.period] = hold.made if known else self.now
        return places

    def post(self, name, cycle, units, at):
        entitlement = self.entitlement(name)
        if self.slots[name].windows.get(cycle.period) is cycle:
            if entitlement and entitlement.limit(cycle.period):
                cycle.charge(units, 0, at)
                cycle.warn(entitlement)
            else:  # while it sleeps there is no limit to go beyond
                cycle.count(units, 0)
        else:
            cycle.used += units
            cycle.charged += units
            cycle.ledger = cycle.ledger.charged(units)

    def release(self, id):
        return self.commit(id, 0)

    def extend(self, id, ttl):
        self.not_closed(planned=False)
        hold = self.hold(id)
        if not hold:
            raise Refused("NOSUCHID")
        hold.expires = self.now + ttl
        self.dirty = True
        return hold.expires // 1000

    def live_holds(self):
        live = sorted(id for id, hold in self.holds.items() if hold.expires > self.now)
        return [{"id": id, "resource": hold.resource, "amount": hold.amount, "made": hold.made // 1000,
                 "expires": hold.expires // 1000} for id, hold in ((id, self.holds[id]) for id in live)]
