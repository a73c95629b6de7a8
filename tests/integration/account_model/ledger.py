"""What goes back and what is held: refunds return to the cycles they were taken from, holds post to their own.

Nothing goes back twice: each cycle and each rolling window gives at most what it still counts as used, and of what its
ledger says was charged up to there and not given back yet.
"""

import collections
import dataclasses

from account_model.calendar import FOREVER
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
        key, requested = ("REFUND", name, id), (amount, of)
        record = self.record(*key) if id else None
        if record:
            if record.requested != requested:
                raise Refused("IDCONFLICT")
            return record.reply
        if not self.entitlement(name) and self.is_implicit(name):
            if of and (self.was_changed(name) or name in self.slots):
                raise Silent("NORESOURCE or NOSUCHID: a change of plan may have been stored for what was never used")
            raise Refused("NORESOURCE")
        refunded, lost = self.refund_named(name, amount, of) if of else self.refund_unnamed(name, amount)
        reply = [refunded, lost, self.remaining(name)]
        if refunded or of or id:
            self.note("refund", name, refunded)
            if id:
                self.slot(name)
                self.remember(key, requested, reply)
        return reply

    def refund_all(self, of):
        """Of every resource what is left of it, in the order of their first use; one refusal refuses all."""
        self.not_closed()
        names = [name for name in self.slots if self.record("CONSUME", name, of)]
        if len(names) > 1 and any(map(self.was_changed, names)):
            raise Silent("which of them was there first: a change of plan may have stored one before its first use")
        for key in (("BATCH", "", of), ("HOLD", "", of)):
            record = self.record(*key)
            released = record and key[0] == "HOLD" and not any(item.granted for item in record.items)
            items = record.items if record and not released else ()
            names += [item.resource for item in items if item.resource not in names]
        if not names:
            raise Refused("NOSUCHID")
        self.bounded_in_sum(names, of)
        left = {name: self.left_of(name, of)[1] for name in names}
        for item in [self.left_of(name, of)[0] for name in names]:
            if item:
                self.counted_as_then(item)
        back = {name: self.refund_named(name, left[name], of) if left[name] else (0, 0) for name in reversed(names)}
        for name in names:  # the last rows first, but noted in their order
            if left[name]:
                self.note("refund", name, back[name][0])
        replies = [[*back[name], self.remaining(name)] for name in names]
        return replies if len(replies) > 1 else replies[0]

    def left_of(self, name, of):
        try:
            record, item = self.taken(name, of)
        except Refused:
            return None, 0  # a row that was not granted
        return item, item.granted - record.returned.get(name, 0)

    def bounded_in_sum(self, names, of):
        """REFUNDS MAX of a resource that several of them are counted as."""
        sums, instants, back = collections.Counter(), {}, []
        for item, left in [self.left_of(name, of) for name in names]:
            back += [(one, left) for one in (item, item and item.counted_as) if one and left]
        for item, left in back:
            sums[item.resource] += left * item.cost
            if instants.setdefault(item.resource, item.position) != item.position:
                raise Silent("how several consumptions come back that are counted as one resource")
        for item, _ in back:
            self.within_bounds(item, sums[item.resource])

    def taken(self, name, of):
        """The record that OF names, and what it charged of this resource."""
        for key in (("CONSUME", name, of), ("BATCH", "", of), ("HOLD", "", of)):
            record = self.record(*key)
            for item in record.items if record else ():
                if item.resource == name and item.granted:
                    return record, item
        raise Refused("NOSUCHID")

    def counted_as_then(self, item):
        """Is it still counted as the resource that it was counted as then?"""
        entitlement = self.entitlement(item.resource)
        if (item.counted_as and item.counted_as.resource) != (entitlement and entitlement.target):
            raise Silent("what remains of a resource that is counted AS another since")

    def refund_named(self, name, amount, of):
        record, item = self.taken(name, of)
        self.counted_as_then(item)
        if amount > item.granted - record.returned.get(name, 0):
            raise Refused("REFUNDEXCEEDS")
        levels = [item] + [item.counted_as] * bool(item.counted_as)
        for level in levels:
            self.within_bounds(level, amount * level.cost)
        record.returned[name] = record.returned.get(name, 0) + amount
        replies = [self.refund_level(level, amount) for level in levels]
        distinct = {reply for level, reply in zip(levels, replies) if level is levels[-1] or level.places}
        if len(distinct) > 1:
            raise Silent("what went back, where a usage series and the resource that it is counted AS differ")
        self.dirty = True
        return replies[-1]

    def within_bounds(self, item, units):
        entitlement = self.entitlement(item.resource)
        if entitlement and entitlement.within and self.now > item.made + entitlement.within:
            raise Refused("LIMITED")
        most = entitlement and entitlement.refunds_max
        cycles = self.cycles_of(item.resource, item.places)
        if most is not None and any(cycle.refunded + units > most for cycle in cycles):
            raise Refused("LIMITED")

    def refund_level(self, item, amount):
        """-> refunded, lost of one resource."""
        name, units = item.resource, amount * item.cost
        self.instant_is_its_own(name, item)
        cycles = self.cycles_of(name, item.places)
        back = [self.amend(name, cycle, lambda one: one.give_back(units, item.position)) for cycle in cycles]
        bounded = item.places or item.logs
        for us in [us for us in item.logs if item.logged > self.now - us]:
            log = self.slots[name].logs.get(us, Log())
            back.append(log.give_back(units, item.position, item.logged, self.now - us))
        known = bounded or name not in self.slots or item.position > self.slots[name].marked
        rated = self.give_back_to_rates(name, max(back, default=0) if bounded else units, item.made) if known else []
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
        limits, back = self.rates(name) if name in self.slots else [], []
        if limits and self.vague(name):
            raise Silent("whether a bucket with an INITIAL that was full while it slept is a new one")
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
        parts = self.row(name, amount).parts
        if any(self.entitlement(one).within for one, _ in parts):
            raise Refused("ERR")
        if parts[-1][0] not in self.slots:
            return 0, amount
        most = [used // cost for one, cost in parts for used in self.used_of(one)]
        if not most:  # of one RATE alone: what it still owes
            if len(entitlement.rules) > 1 or len(parts) > 1:
                raise Silent("which of several RATEs says how much")
            back = max(self.give_back_to_rates(name, amount * entitlement.unit, self.now, named=False), default=0)
            if back and name in self.slots:
                self.slots[name].marked = position(self.sequence, self.now)
            self.dirty = self.dirty or bool(back)
            return self.reply_of(amount, entitlement.unit, [back])
        back = min([amount, *most])
        for one, cost in parts if back else []:
            self.give_back_newest(one, back * cost)
        self.dirty = self.dirty or bool(back)
        return back, amount - back

    def used_of(self, name):
        entitlement = self.entitlement(name)
        return [self.window(name, rule).used for rule in entitlement.of(Limit)] + [
            self.log(name, rule).used(self.now - rule.us) for rule in entitlement.of(Rolling)]

    def give_back_newest(self, name, units):
        entitlement, here = self.entitlement(name), position(self.sequence, self.now)
        windows = [self.window(name, rule) for rule in entitlement.of(Limit)]
        if entitlement.refunds_max is not None and any(
                window.refunded + units > entitlement.refunds_max for window in windows):
            raise Refused("LIMITED")
        if name in self.slots:
            self.slots[name].marked = here
        for window in windows:
            window.give_back_newest(units, here)
        for rule in entitlement.of(Rolling):
            self.log(name, rule).give_back_newest(units, here)
        self.give_back_to_rates(name, units, self.now, named=False)

    # ---- reservations ----

    def hold(self, id):
        hold = self.holds.get(id)
        if hold and self.now < hold.expires:
            return hold
        if (hold and self.now < hold.expires + hold.kept) or self.record("HOLD", "", id):
            raise Refused("RESOLVED")
        return None

    def reserve(self, id, requested, ttl, mode=""):
        """requested: (resource, amount) of each row."""
        hold = self.hold(id)
        if hold:
            if hold.requested != (requested, mode):
                raise Refused("IDCONFLICT")
            return hold.verdict
        self.refusal()
        rows = [self.row(name, amount) for name, amount in requested]
        names = [name for row in rows for name, _ in row.parts]
        if mode == "UPTO" and len(set(names)) < len(names):
            raise Refused("ERR")  # which of those that are counted as one should give way?
        for name in names:
            live = [hold for hold in self.holds.values() if name in hold.units and hold.expires > self.now]
            most = self.entitlement(name).holds_max
            if most is not None and len(live) >= most:
                raise Refused("LIMITED")
        if mode == "UPTO":
            rows = [dataclasses.replace(row, amount=max(self.admitted(row, mode, id).amount, 1)) for row in rows]
        verdicts = self.charge_all(rows, hold=id, until=self.now + ttl)
        verdicts = verdicts if len(verdicts) > 1 else verdicts[0]
        if id in self.holds and self.holds[id].expires == FOREVER:
            hold = self.holds[id]
            hold.expires, hold.requested, hold.verdict = self.now + ttl, (requested, mode), verdicts
        return verdicts

    def commit(self, id, amounts=None, force=False):
        """amounts: of each row."""
        self.not_closed(planned=False)
        record = self.record("HOLD", "", id)
        if record:  # requested again
            if (record.amount if amounts is None else amounts) != record.requested:
                raise Refused("RESOLVED")
            return record.reply
        late = self.holds.get(id)
        late = late if force and late and late.expires <= self.now < late.expires + late.kept else None
        hold = late or self.hold(id)
        if not hold:
            raise Refused("NOSUCHID")
        held = tuple(row.amount for row in hold.rows)
        amounts = held if amounts is None else amounts
        if late:  # expired, and its units are free again: charged now
            rows = tuple(dataclasses.replace(row, amount=amount) for row, amount in zip(hold.rows, amounts))
            hold = dataclasses.replace(hold, rows=rows, units=dict.fromkeys(hold.units, 0), made=self.now,
                                       periods=dict.fromkeys(hold.periods, ()))
        if any(amount > most for amount, most in zip(amounts, held)) and not force:
            raise Refused("ERR")
        return self.settle(id, hold, amounts, late or hold)

    def settle(self, id, hold, amounts, first):
        del self.holds[id]
        rows = [dataclasses.replace(row, amount=amount) for row, amount in zip(hold.rows, amounts)]
        places = {name: self.settle_one(name, units, hold) for name, units in self.requested_of(rows).items()}
        replies = [[row.amount, max(held.amount - row.amount, 0), self.remaining(row.resource)]
                   for row, held in zip(rows, hold.rows)]
        self.remember(("HOLD", "", id), amounts, replies if len(replies) > 1 else replies[0],
                      [self.committed(row, hold, places) for row in rows])
        record = self.records["HOLD", "", id]
        for item in record.items:
            self.counted_as_then(item)
        record.amount = tuple(min(was.amount, held.amount) for was, held in zip(first.rows, hold.rows))
        record.expires = self.now + first.kept
        return record.reply

    def settle_one(self, name, units, hold):
        """Of all rows that are counted as this resource. -> where: by period an instant."""
        places = self.places_of(hold, name) if units else {}
        for cycle in self.cycles_of(name, places):
            self.amend(name, cycle, lambda one: self.post(name, one, units, places[one.period]))
        self.post_to_logs(name, units)
        self.settle_rates(name, units, hold)
        return places

    def committed(self, row, hold, places):
        item, here = None, position(self.sequence, self.now)
        for name, cost in reversed(row.parts):
            entitlement = self.entitlement(name)
            logs = tuple(rule.us for rule in (entitlement.of(Rolling) if entitlement and row.amount else []))
            item = Item(name, row.amount, cost, places[name] if row.amount else {}, logs, hold.made, self.now, here,
                        item)
        return item

    def settle_rates(self, name, units, hold):
        rates = self.rates(name)
        held = hold.units[name]
        if units > held:
            for limit in rates:
                limit.charge(units - held, self.now)
            self.slots[name].rates.limits = rates or self.slots[name].rates.limits
        self.give_back_to_rates(name, max(held - units, 0), hold.made)

    def places_of(self, hold, name):
        """Every cycle that ran then (also under a LIMIT that slept), and of a LIMIT that has joined since the cycle of
        that instant, or the running one."""
        slot, entitlement = self.slots[name], self.entitlement(name)
        there = {cycle.period for cycle in [*slot.past, *slot.windows.values()] if cycle.start <= hold.made < cycle.end}
        places = {period: hold.made for period in there}
        current = {rule.period for rule in (entitlement.of(Limit) if entitlement else [])}
        joined = {rule.period for part in self.parts[name][1:] if part.entitlement and not part.full
                  for rule in part.entitlement.of(Limit)} if name in self.parts else set()
        unused = {cycle.period for cycle in [*slot.past, *slot.windows.values()]
                  if cycle.start <= hold.made < cycle.end and cycle.implicit and cycle.peak == 0}
        if (joined - there | unused) - current - set(hold.periods[name]):
            raise Silent("whether a LIMIT that came and went, unused, has a cycle that sleeps")
        kept = {cycle.period for cycle in slot.past
                if cycle.start <= hold.made < cycle.end and cycle.implicit and cycle.peak == 0}
        if kept - set(hold.periods[name]):
            raise Silent("a cycle that was there for its lots alone, of a LIMIT that did not hold the reservation")
        for rule in entitlement.of(Limit) if entitlement else []:
            if rule.period not in places and rule.period not in hold.periods[name]:
                window = slot.windows.setdefault(rule.period, self.window(name, rule))
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
        return self.commit(id, (0,) * self.rows_of(id))

    def rows_of(self, id):
        record = self.records.get(("HOLD", "", id))
        return len(self.holds[id].rows if id in self.holds else record.requested if record else (id,))

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
        return [{"id": id, **self.shown_rows(self.holds[id].rows), "made": self.holds[id].made // 1000,
                 "expires": self.holds[id].expires // 1000} for id in live]

    @staticmethod
    def shown_rows(rows):
        parts = [{"resource": row.resource, "amount": row.amount} for row in rows]
        return parts[0] if len(parts) == 1 else {"parts": parts}
