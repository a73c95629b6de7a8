"""One account of a family: what pays for units, in which order, what it counts for its members, which rule decides.

    (None: limits │ a grant's id │ BELOW: credits of a member have paid), units      the parts of one consumption
"""

from credits_model import NEVER, Account, Hold, cut, units_of
from family_model.cycles import Cycles, Plan, Rolling
from family_model.shares import fair_parts, parts_by_weight
from model import Gcra, first_instant

BELOW = "below"  # credits of the member, or of one below it, have paid
MANY = 1 << 40  # in place of any number


class Level(Account):
    def __init__(self, name, plan, zone, anchor, now):
        plan = plan or Plan()
        super().__init__(now, [], plan.burst, plan.overage, plan.first, not plan.limits, plan.concurrent)
        self.name, self.plan, self.anchor, self.suspended, self.closed = name, plan, anchor, False, False
        self.limits = [Cycles(number, period, plan, zone, anchor, now) for number, period in plan.limits]
        self.rate = Gcra(plan.rate) if plan.rate else None
        self.rolling = Rolling(*plan.rolling) if plan.rolling else None
        self.members, self.gone = {}, {}  # name -> weight, in the order of first joining; of those that have left
        self.joined = []
        self.counted, self.shares = {}, {}  # (member, cycle) -> units; cycle -> {member: share}

    def longest(self):
        """Of the LIMITs that end; the one for ever only where there is no other."""
        return max(self.limits, key=lambda limit: (limit.end != NEVER, limit.end - limit.start), default=None)

    def cycle(self, at):
        """By what it counts for its members: the start of that cycle of its longest LIMIT."""
        limit = self.longest()
        return limit.start_of(at) if limit else 0

    def share_may_change(self, member, at):
        """By what comes back to an earlier cycle: FAIR shares that are not made yet follow it."""
        unmade = self.bounds_member(member) and self.longest().start not in self.shares
        return unmade and self.plan.share == "FAIR" and at < self.longest().start

    def capacity(self, limit):
        """With BURST, GRACE and OVERAGE MAX n."""
        before = limit.capacity(self.now)
        return MANY if before is None else before + (0 if self.overage is True else self.overage)

    def close_cycle(self, limit):
        limit.close(self.held(limit), self.now > self.anchor)

    def room(self, beyond):
        """Of the tightest LIMIT; None = any number."""
        rooms = [room for room in (self.cycle_room(beyond), self.rolling_room()) if room is not None]
        return min(rooms, default=None)

    def rolling_room(self):
        if not self.rolling:
            return None
        held = sum(units_of(hold.parts) for hold in self.holds.values())
        return max(self.rolling.number - self.rolling.used(self.now) - held, 0)

    def cycle_room(self, beyond):
        if not self.limits or (beyond and self.overage is True):
            return super().room(beyond)
        numbers = [(limit, self.capacity(limit) if beyond else limit.number) for limit in self.limits]
        rooms = [max(most - limit.used - self.held(limit), 0) for limit, most in numbers if most < MANY]
        return min(rooms, default=None)

    def events(self):
        yield from super().events()
        ends = [limit.running.over_since + self.plan.grace for limit in self.limits if limit.running.over_since]
        yield from (at for at in ends if self.plan.grace and at > self.now)
        yield from (at + self.rolling.us for at, _ in (self.rolling.live(self.now) if self.rolling else []))

    def most_of(self, limit):
        """What may be used and held of a LIMIT without FORCE; a GRACE passes, a debt comes later."""
        return MANY if self.overage is True or self.plan.grace or self.plan.repay else self.capacity(limit)

    def count(self, member, units, at):
        """Of each member the two newest cycles are remembered in which it was charged, held units or got a share."""
        if member and self.cycle(at) >= min(self.cycles_of(member)[-2:], default=0):
            key = member, self.cycle(at)
            self.counted[key] = self.counted.get(key, 0) + units
            for start in self.cycles_of(member)[:-2]:
                del self.counted[member, start]

    def cycles_of(self, member):
        return sorted(start for one, start in self.counted if one == member)

    def join(self, member):
        if member not in self.members:
            self.joined += [] if member in self.joined else [member]
            weights = self.members | {member: self.gone.pop(member, 1)}
            self.members = {one: weights[one] for one in self.joined if one in weights}

    def leave(self, member):
        self.gone[member] = self.members.pop(member)

    # ---- shares ----

    def bounds_member(self, member):
        return bool(member) and self.plan.share != "FIRST" and self.longest() is not None

    def share(self, member):
        """Of the running cycle: as it was made, or as it would be made now."""
        made, members = self.shares.get(self.longest().start), self.with_member(member)
        if made is None:
            return self.divided(members)[member]
        if member in made:
            return made[member]
        unused = max(self.longest().number - self.longest().used - self.held(self.longest()), 0)
        return unused * members[member] // sum(members.values())

    def with_member(self, member):
        """One that has left counts as if it came back."""
        if member in self.members:
            return self.members
        weights = self.members | {member: self.gone[member]}
        return {one: weights[one] for one in self.joined if one in weights}

    def divided(self, members):
        limit, weights = self.longest(), list(members.values())
        if self.plan.share == "EQUAL":
            return dict(zip(members, parts_by_weight(limit.number, weights)))
        past, shares = limit.before(), self.shares.get(limit.before())
        used = {member: self.counted.get((member, past), 0) for member in members}
        wants = [used[member] if shares is None or used[member] < shares.get(member, 0) else None for member in members]
        return dict(zip(members, fair_parts(limit.number, weights, wants)))

    def make_shares(self, member, granted):
        """The first request of a cycle makes all of them; who joined later gets one with its first unit."""
        if not self.bounds_member(member):
            return
        made = self.shares.get(self.longest().start)
        if made is None:
            made = self.shares[self.longest().start] = self.divided(self.members)
            for one in self.members:
                self.count(one, 0, self.now)
        if member not in made and granted:
            made[member] = self.share(member)

    def used_by(self, member):
        """In the running cycle, held units included."""
        held = sum(hold.units - units_of(hold.parts, BELOW) for (of, *_), hold in self.holds.items()
                   if of == member and hold.made >= self.longest().start)
        return self.counted.get((member, self.longest().start), 0) + held

    def share_room(self, member, beyond):
        share = self.share(member)
        if beyond and self.overage is True:
            return MANY
        if beyond and self.plan.grace:
            over_since = self.longest().running.over_since
            is_open = not over_since or self.now < over_since + self.plan.grace
            return MANY if is_open else max(share + self.overage - self.used_by(member), 0)
        more = share * self.burst // 100 + self.overage if beyond else 0
        return max(share + more - self.used_by(member), 0)

    # ---- what there is ----

    def within(self, beyond, member):
        """Units of the tightest LIMIT, and of the share."""
        room = self.room(beyond)
        room = MANY if room is None else room
        return min(room, self.share_room(member, beyond)) if self.bounds_member(member) else room

    def bounded(self, holds):
        """What has to admit all units."""
        rooms = [max(self.rate.room(self.now), 0)] if self.rate else []
        return rooms + [self.holds_room()] * (holds and self.concurrent is not None)

    def amounts(self, member, lower, holds):
        """How many amounts find a place, if credits below pay for so many."""
        cost = self.plan.cost
        pots = self.within(True, member) + self.credits()
        return min([pots // cost + lower if pots < MANY else MANY] + [room // cost for room in self.bounded(holds)])

    def pay(self, amount, missing, lower, member, force):
        """-> the parts, and amounts that credits below have to pay for; missing: what a level above lacks."""
        cost = self.plan.cost
        units, credits = amount * cost, self.credits()
        reserved = min(missing * cost, credits // cost * cost)
        first = 0 if self.first else min(units - reserved, self.within(False, member))
        parts, left = [(None, first)], units - first
        for grant in self.usable():
            paid = min(left, grant.left)
            parts.append((grant.id, paid))
            left -= paid
        beyond = min(left, max(self.within(True, member) - first, 0))
        left -= beyond
        below = min(left, lower * cost)
        left -= below
        assert left == 0 or force
        parts += [(None, beyond), (BELOW, below), (None, left)]
        paid = sum(part for source, part in parts if source in self.grants) // cost
        return [part for part in parts if part[1]], max(missing - paid, -(-below // cost))

    # ---- charging and giving back ----

    def charge(self, parts, member):
        units = sum(part for _, part in parts)
        self.spend([part for part in parts if part[0] != BELOW])
        for limit in self.limits:
            limit.post(units_of(parts), self.now)
        if self.rolling:
            self.rolling.charge(units_of(parts), self.now)
        if self.rate:
            self.rate.charge(units, self.now)
        self.count(member, units - units_of(parts, BELOW), self.now)

    def hold(self, key, parts, until, member):
        for source, part in parts:
            if source in self.grants:
                self.grants[source].left -= part
                self.grants[source].held += part
        units = sum(part for _, part in parts)
        self.holds[key] = Hold(parts, self.now, until, units)
        self.count(member, 0, self.now)
        if self.rate:
            self.rate.charge(units, self.now)

    def resolve(self, key, units, member):
        """Posts so many of its units, releases the others."""
        hold = self.holds.pop(key)
        posted, released = cut(hold.parts, 0, units), cut(hold.parts, units, hold.units)
        for source, part in posted:
            if source in self.grants:
                self.grants[source].held -= part
                self.grants[source].used_at = self.now
        self.let_go(hold, released)
        for limit in self.limits:
            limit.post(units_of(posted), hold.made)
        if self.rolling:
            self.rolling.charge(units_of(posted), self.now)
        if self.rate:
            self.rate.refund(hold.units - min(units, hold.units), self.now)
        self.count(member, units_of(posted, None) + self.by_credits(posted), hold.made)
        return posted

    def by_credits(self, parts):
        return sum(units for source, units in parts if source not in (None, BELOW))

    def beyond(self, units, made, member):
        """COMMIT ... FORCE: drawn like a consumption, whatever the limits say, and shares."""
        parts, _ = self.pay(units // self.plan.cost, 0, 0, None, True)
        self.spend(parts)
        for limit in self.limits:
            limit.post(units_of(parts), made)
        if self.rolling:
            self.rolling.charge(units_of(parts), self.now)
        if self.rate:
            self.rate.charge(units, self.now)
        self.count(member, units, made)
        return parts

    def give_back(self, parts, units, taken):
        """The last so many units of these parts. -> how many came back."""
        end = sum(part for _, part in parts)
        parts = cut(parts, end - units, end)
        limited = units_of(parts)
        backs = [limit.give_back(limited, taken.at, taken.place) for limit in self.limits]
        backs += [self.rolling.give_back(limited, taken.logged, taken.place, self.now)] if self.rolling else []
        back = max(backs, default=0)
        for source, paid in parts:
            grant = self.grants.get(source)
            if grant and grant.usable() and taken.at >= grant.since:
                grant.left += paid
                back += paid
        if self.rate:
            self.rate.refund(units, self.now)
        return back

    def give_back_of(self, member, parts, amount, taken):
        """At most what it counts as used by this member in that cycle. -> how much of the amount, and units back."""
        if not member:
            return amount, self.give_back(parts, amount * self.plan.cost, taken)
        key, end = (member, self.cycle(taken.at)), sum(part for _, part in parts)
        counted = self.counted.get(key, 0)
        while amount and self.counts(cut(parts, end - amount * self.plan.cost, end)) > counted:
            amount -= 1
        back = self.give_back(parts, amount * self.plan.cost, taken)
        if back:
            self.counted[key] -= back
        return amount, back

    @staticmethod
    def counts(parts):
        return sum(units for source, units in parts if source != BELOW)

    def forget(self, place):
        self.rate = Gcra(self.plan.rate) if self.plan.rate else None
        if self.rolling:
            self.rolling.forget(place)

    def most_unnamed(self, member):
        """What may come back without a name: the least that a running cycle counts, and of that member."""
        used = [limit.used for limit in self.limits]
        used += [self.rolling.used(self.now)] if self.rolling else []
        used += [self.counted.get((member, self.cycle(self.now)), 0)] if member else []
        return min(used) // self.plan.cost if self.limits else 0  # grants alone have paid

    def give_back_newest(self, units, member, place):
        for limit in self.limits:
            limit.running.give_back_newest(units, place)
        if self.rolling:
            self.rolling.give_back_newest(units, place, self.now)
        if member:
            self.counted[member, self.cycle(self.now)] -= units
        if self.rate:
            self.rate.refund(units, self.now)

    # ---- verdicts ----

    def rows(self, number, member, lower, holds):
        """[limit, remaining, reset in ms, rule] of every rule that may decide."""
        more = lower * self.plan.cost
        rows = self.pot_rows(member, more)
        index = len(self.limits) + bool(self.rolling)
        if self.rate:
            reset = first_instant(self.rate.is_new, self.now)
            rows.append([self.rate.rule.capacity, max(self.rate.room(self.now), 0), self.ms(reset), index])
            index += 1
        if self.concurrent is not None and holds:
            last = max([hold.expires for hold in self.holds.values()], default=self.now)
            rows.append([self.concurrent, self.holds_room(), self.ms(last), index])
        return [[*row[:3], 100 * number + row[3]] for row in rows]

    def pot_rows(self, member, more):
        """Of LIMITs and the share; once they have nothing left, of credits, its own and those below it."""
        credits, within, room = self.credits(), self.within(False, member), self.within(True, member)
        limits_decide = bool(self.limits) and (within > 0 or (credits + more == 0 and room > 0))
        if self.usable() and not limits_decide or not self.limits:
            coming = [grant.next_recurrence() for grant in self.grants.values()]
            coming += [grant.effective for grant in self.grants.values() if not grant.begun]
            amount, index = sum(grant.amount for grant in self.usable()), len(self.plan_rules())
            return [[amount, credits + more, self.ms(min(coming, default=NEVER)), index]]
        rows = []
        for index, limit in enumerate(self.limits):
            capacity = self.capacity(limit)
            endless = self.overage is True or capacity >= MANY
            left = -1 if endless else max(capacity - limit.used - self.held(limit), 0) + credits + more
            touched = limit.used or limit.running.debt or self.held(limit)
            reset = 0 if not touched else self.ms(limit.end)
            rows.append([limit.number if endless else capacity, left, reset, index])
        if self.rolling:
            ends = [at + self.rolling.us for at, _ in self.rolling.live(self.now)]
            ends += [hold.expires for hold in self.holds.values() if units_of(hold.parts)]
            last = max(ends, default=self.now)
            left = self.rolling_room() + credits + more
            rows.append([self.rolling.number, left, self.ms(last), len(self.limits)])
        if self.bounds_member(member) and self.overage is not True:
            room = self.share_room(member, True)
            left = room + credits + more if room < MANY else -1
            rows.append([self.share(member), left, self.ms(self.longest().end), 99])
        return rows

    def plan_rules(self):
        windows = [*self.limits] + ["ROLLING"] * bool(self.rolling)
        return windows + ["RATE"] * bool(self.rate) + ["CONCURRENT"] * (self.concurrent is not None)

    def ms(self, at):
        return -1 if at >= NEVER else super().ms(at)
