"""THROTTLE, the slow lane: what limits, BURST and GRACE leave of a request is admitted at this rate, or as OVERAGE.

    units of a request   |-- limits, BURST, GRACE --|-- the lane, if it admits all of it --|
                         |-- limits, BURST, GRACE --|-- the lane --|-- OVERAGE --|     all of it within OVERAGE

Its units count as used of the limits, so they are OVERAGE MAX's, too. When it will admit is found by looking: at every
instant at which limits may leave less, or the lane admits what they leave.
"""

import copy

from account_model.calendar import FOREVER
from account_model.entitlement import Concurrent, Limit, Rate, Rolling, Throttle
from account_model.lifetime import Lifetime, Silent
from account_model.plans import UNLIMITED
from model import Key, fits, wait

LOOKS = 64


class SlowLane(Lifetime):
    def lane(self, name):
        """As it stands under the rule that holds; None: there is none."""
        entitlement = self.entitlement(name)
        throttle = entitlement and entitlement.lane
        if not throttle:
            return None
        key = self.slots[name].lane if name in self.slots else Key()
        return key.adopted([throttle.rule], self.now)[0][0]

    def charge_lane(self, name, lane, units):
        slot = self.slots[name]
        sleeping = slot.lane.adopted([lane.rule], self.now)[1]
        lane.charge(units, self.now)
        slot.lane.limits, slot.lane.sleeping = [lane], sleeping

    def before_lane(self, name, at):
        """Units that limits still admit at that instant, OVERAGE aside; -1 = any."""
        entitlement, rooms = self.entitlement(name), []
        for rule in entitlement.of(Limit):
            window = copy.copy(self.window(name, rule))
            while window.end <= at:
                window = self.following(name, window)
            within = window.within(entitlement, at)
            busy = window.used + self.held(name, window, at)
            rooms += [] if within == UNLIMITED else [max(within - busy, 0)]
        for rule in entitlement.of(Rolling):
            live = sum(units for made, units in self.log(name, rule).live(self.now - rule.us) if made > at - rule.us)
            rooms.append(max(rule.limit - live - self.held(name, None, at), 0))
        return min(rooms, default=UNLIMITED)

    def left_for_lane(self, name, units, at):
        before = self.before_lane(name, at)
        return 0 if before == UNLIMITED else max(units - before, 0)

    def lane_admits(self, name, units):
        lane = self.lane(name)
        left = self.left_for_lane(name, units, self.now) if lane else 0
        return bool(lane) and (left == 0 or fits(lane, left, self.now))

    def lane_takes(self, name, units):
        """Of units that are admitted; what it has no room for is OVERAGE, or forced."""
        lane = self.lane(name)
        left = self.left_for_lane(name, units, self.now) if lane else 0
        return 0 if not left else left if fits(lane, left, self.now) else min(left, max(lane.room(self.now), 0))

    # ---- waiting ----

    def with_lane(self, name, units, since, instants, holds):
        """instants: when each rule admits the units. Together limits admit them earlier if the lane does."""
        rules = [rule for _, rule in self.rules(name, holds)]
        bounded = [isinstance(rule, (Rate, Concurrent)) for rule in rules]
        pots = [place for place, rule in enumerate(rules) if isinstance(rule, (Limit, Rolling))]
        limits = max(instants[place] for place in pots)
        left, lane, place = self.left_for_lane(name, units, since), self.lane(name), rules.index(self.entitlement(
            name).lane)
        alone = wait(lane, left, since) if left else 0
        at = self.lane_fit(name, units, since, limits)
        named = alone is not None and since + alone <= limits
        if at < limits and not named and any(kept and instant > since for instant, kept in zip(instants, bounded)):
            raise Silent("which rule decides: a limit that waits for the lane, or another rule that waits beside them")
        return [instant if kept else at if (where == place) == named and (where == place or instant == limits) else
                since for where, (instant, kept) in enumerate(zip(instants, bounded))]

    def lane_fit(self, name, units, since, limits):
        """The first instant at which limits and the lane admit the units; `limits`: when the limits alone do."""
        at, lane, still = since, self.lane(name), 0
        for _ in range(LOOKS):
            if at >= limits:
                return limits
            left, then = self.left_for_lane(name, units, at), self.next_look(name, at)
            delay = wait(lane, left, at) if left else 0
            if delay is not None and at + delay < then:
                return min(at + delay, limits)
            still = still + 1 if self.at_rest(name, at) else 0
            if then == FOREVER or still > 2:
                return limits
            at = then
        raise Silent("more changes ahead than are looked at")

    def next_look(self, name, at):
        """When limits may leave less, or more: a hold or a cycle ends, an entry leaves, a GRACE is over."""
        entitlement = self.entitlement(name)
        instants = [hold.expires for hold in self.holds.values() if name in hold.units]
        for rule in entitlement.of(Limit):
            window = copy.copy(self.window(name, rule))
            while window.end <= at:
                window = self.following(name, window)
            instants += [window.end, window.over_since + entitlement.grace if entitlement.grace else 0]
        for rule in entitlement.of(Rolling):
            instants += [made + rule.us for made, _ in self.log(name, rule).live(self.now - rule.us)]
        return min([instant for instant in instants if instant > at], default=FOREVER)

    def at_rest(self, name, at):
        """Are all cycles of that instant as all that follow will be?"""
        entitlement = self.entitlement(name)
        ahead = [hold.expires for hold in self.holds.values() if name in hold.units]
        ahead += [made + rule.us for rule in entitlement.of(Rolling)
                  for made, _ in self.log(name, rule).live(self.now - rule.us)]
        cycles = []
        for rule in entitlement.of(Limit):
            window = copy.copy(self.window(name, rule))
            while window.end <= at:
                window = self.following(name, window)
            cycles.append(window)
        changes = any(one.used or one.debt or one.lots or self.differs_next(name, one) for one in cycles)
        rolls = any(rule.rollover for rule in entitlement.of(Limit))
        return all(instant <= at for instant in ahead) and not changes and not rolls

    def differs_next(self, name, window):
        """A prorated limit is that of one cycle alone."""
        return window.end != FOREVER and self.following(name, window).limit != window.limit
