"""The tree: a request is drawn at every level, and what was drawn is remembered by level."""

import dataclasses

from credits_model import KEPT, NEVER, Grant, cut
from family_model.level import MANY, Level


class Refused(Exception):
    """An error; its text is the code."""


@dataclasses.dataclass
class Taken:
    """What one consumption took: at each level, from the account itself upwards, the parts."""

    levels: list  # (name, member, cost, parts)
    at: int
    amount: int
    expires: int
    logged: int = 0  # when it was posted: to rolling windows that is when it was used
    place: int = 0  # in the order of all commands: when it was consumed or committed
    returned: int = 0
    stopped: bool = False  # a refund has met a level that did not remember it


class Family:
    def __init__(self, now):
        self.now, self.levels, self.parents, self.known = now, {}, {}, set()
        self.records, self.holds, self.place = {}, {}, 0  # by (account, id); how many commands there were

    def open(self, name, plan, zone, anchor):
        """plan None: one that does not know the resource."""
        self.levels[name] = Level(name, plan, zone, anchor, self.now)
        self.known |= {name} if plan else set()

    def advance(self, to):
        for level in self.levels.values():
            level.advance(to)
        self.now = to

    def line(self, name):
        """The account, and those above it."""
        found = [name]
        while self.parents.get(found[-1]):
            found.append(self.parents[found[-1]])
        return found

    def deciding(self, name):
        """(number, level, the member that requests) of the levels whose plans know the resource."""
        line = self.line(name)
        return [(number, self.levels[one], line[number - 1] if number else None)
                for number, one in enumerate(line) if one in self.known]

    def refusal(self, name):
        for one in self.line(name):
            if one not in self.levels or self.levels[one].closed:
                raise Refused("NOACCOUNT")
            if self.levels[one].suspended:
                raise Refused("SUSPENDED")
            if self.now < self.levels[one].anchor:
                raise Refused("NOTSTARTED")

    def is_there(self, name):
        if name not in self.levels or self.levels[name].closed:
            raise Refused("NOACCOUNT")

    # ---- checking ----

    def most(self, name, holds=False):
        lower, most = 0, MANY
        for _, level, member in self.deciding(name):
            most = min(most, level.amounts(member, lower, holds))
            lower += level.credits() // level.plan.cost
        return most

    def draw(self, name, amount, force=False):
        """-> (level, member, parts), the account itself first."""
        line, found, missing = self.deciding(name), [], 0
        lowers = [sum(level.credits() // level.plan.cost for _, level, _ in line[:place]) for place in range(len(line))]
        for (_, level, member), lower in reversed(list(zip(line, lowers))):
            parts, missing = level.pay(amount, missing, lower, member, force)
            found.append((level, member, parts))
        return found[::-1]

    def make_shares(self, name, granted):
        for _, level, member in self.deciding(name):
            level.make_shares(member, granted)

    def admitted(self, name, amount, mode, holds=False):
        most = self.most(name, holds)
        return amount if mode == "FORCE" else min(amount, most) if mode == "UPTO" else amount * (amount <= most)

    def rows(self, name, holds=False):
        lower, rows = 0, []
        for number, level, member in self.deciding(name):
            rows += level.rows(number, member, lower, holds)
            lower += level.credits() // level.plan.cost
        return rows

    def verdict(self, name, granted, holds=False):
        """[granted, limit, remaining, reset in ms, rule] of what was granted."""
        return [granted, *min(self.rows(name, holds), key=lambda row: (row[1] == -1, row[1], row[3]))]

    def refusing(self, name, amount, holds=False):
        """The rows of which one decides that there is not room for so many."""
        costs = {100 * number: level.plan.cost for number, level, _ in self.deciding(name)}
        return [row for row in self.rows(name, holds) if row[1] != -1 and row[1] < amount * costs[row[3] // 100 * 100]]

    def remaining(self, levels):
        """At the levels where the units were taken, as they stand now."""
        rows, lower = [], 0
        levels = [(self.levels[one], member) for one, member, *_ in levels if one in self.levels]
        if not levels:
            return 0
        for level, member in levels:
            pots = level.within(True, member)
            rows += [pots + level.credits() + lower * level.plan.cost] if pots < MANY else []
            lower += level.credits() // level.plan.cost
        return min(rows, default=-1)

    def wait_is_vague(self, name):
        """A share that is not made yet follows what others leave by and by."""
        return any(level.bounds_member(member) and member not in level.shares.get(level.longest().start, {})
                   for _, level, member in self.deciding(name))

    def remaining_is_vague(self, taken):
        return any(one in self.levels and self.levels[one].share_may_change(member, taken.at)
                   for one, member, *_ in taken.levels)

    # ---- commands ----

    def consume(self, name, amount, mode="", id=None):
        """-> granted, and the verdict of what was granted."""
        self.refusal(name)
        if not self.deciding(name):
            raise Refused("NORESOURCE")
        granted = self.admitted(name, amount, mode)
        self.make_shares(name, granted)
        if not granted:
            return 0, None
        taken = Taken([], self.now, granted, self.now + KEPT, self.now, self.next_place())
        for level, member, parts in self.draw(name, granted, mode == "FORCE"):
            level.charge(parts, member)
            taken.levels.append((level.name, member, level.plan.cost, parts))
        if id:
            self.records[name, id] = taken
        return granted, self.verdict(name, granted)

    def refund(self, name, amount, of):
        """amount None: all that is left."""
        self.is_there(name)
        taken = self.records.get((name, of))
        if not taken or taken.expires <= self.now:
            raise Refused("NOSUCHID")
        left = taken.amount - taken.returned
        amount = left if amount is None else amount
        if amount > left or (name not in self.known and not taken.levels):
            raise Refused("REFUNDEXCEEDS")
        taken.returned += amount
        back, most = 0, amount
        for one, member, cost, parts in [level for level in taken.levels if level[0] in self.levels]:
            parts = cut(parts, 0, left * cost)
            comes, units = self.levels[one].give_back_of(member, parts, most if member else amount, taken)
            # What is not counted of the account is not of it further up, either: a copy of it would look the same.
            most = min(most, comes)
            back = max(back, units // cost)
        taken.stopped |= most < amount
        return [back, amount - back, self.remaining(taken.levels)]

    def refund_newest(self, name, amount):
        """To today's levels, at most the smallest running `used` of them."""
        self.is_there(name)
        line = self.deciding(name)
        if not line:
            raise Refused("NORESOURCE")
        back, place = min([amount, *(level.most_unnamed(member) for _, level, member in line)]), self.next_place()
        for _, level, member in line if back else []:
            level.give_back_newest(back * level.plan.cost, member, place)
        return [back, amount - back, self.remaining([(level.name, member) for _, level, member in line])]

    def next_place(self):
        self.place += 1
        return self.place

    def reserve(self, name, id, amount, ttl, mode=""):
        self.refusal(name)
        if not self.deciding(name):
            raise Refused("NORESOURCE")
        granted = self.admitted(name, amount, mode, holds=True)
        self.make_shares(name, granted)
        if not granted:
            return 0, None
        taken = Taken([], self.now, granted, self.now + ttl)
        for level, member, parts in self.draw(name, granted):
            level.hold((member, name, id), parts, self.now + ttl, member)
            taken.levels.append((level.name, member, level.plan.cost, parts))
        self.holds[name, id] = taken
        return granted, self.verdict(name, granted, holds=True)

    def extend(self, name, id, ttl):
        taken = self.holds[name, id]
        taken.expires = self.now + ttl
        for one, member, *_ in taken.levels:
            if one in self.levels:
                self.levels[one].holds[member, name, id].expires = taken.expires
        return taken.expires // 1000

    def live(self, name, id):
        return self.holds[name, id].expires > self.now

    def commit(self, name, id, amount, force=False):
        taken = self.holds[name, id]
        if amount > taken.amount and not force:
            raise Refused("ERR")
        live = self.live(name, id)
        del self.holds[name, id]
        held = taken.amount if live else 0
        record = Taken([], taken.at if live else self.now, amount, self.now + KEPT, self.now, self.next_place())
        for one, member, cost, _ in taken.levels:
            level = self.levels.get(one)
            if not level:
                continue
            parts = level.resolve((member, name, id), min(amount, held) * cost, member) if live else []
            if amount > held:
                parts = parts + level.beyond((amount - held) * cost, record.at, member)
            record.levels.append((one, member, cost, parts))
        if amount:
            self.records[name, id] = record
        return [amount, max(held - amount, 0), self.remaining(taken.levels)]

    # ---- operators ----

    def set(self, name, used, period, reset=False):
        level, place = self.levels[name], self.next_place()
        for limit in level.limits:
            if period in (None, limit.word):
                limit.begin_anew(used, place, reset, self.now)

    def reset(self, name, period):
        """As if nothing had been used. What members have used stays known of them."""
        self.set(name, 0, period, reset=True)
        if not period:
            self.levels[name].forget(place=self.place)

    def join(self, name, parent):
        self.leave(name)
        self.levels[parent].join(name)
        self.parents[name] = parent

    def close(self, name):
        """No member any more; its key, its history and its place in the tree stay."""
        if self.parents.get(name) in self.levels:
            self.levels[self.parents[name]].leave(name)
        self.levels[name].closed = True

    def delete(self, name):
        """The one above it does not notice; what its reservations hold there ends by itself."""
        del self.levels[name]
        self.known.discard(name)
        self.parents.pop(name, None)
        for kept in (self.records, self.holds):
            for key in [key for key in kept if key[0] == name]:
                del kept[key]

    def leave(self, name):
        parent = self.parents.pop(name, None)
        if parent and parent in self.levels:
            self.levels[parent].leave(name)

    def transfer(self, source, target, amount, id):
        giver, taker = self.levels[source], self.levels[target]
        lots, missing = [], amount
        for grant in giver.usable():
            units = 0 if grant.promo else min(missing, grant.left)
            lots += [(grant, units)] if units else []
            missing -= units
        if missing:
            return [0, giver.credits(), taker.credits()]
        for place, (grant, units) in enumerate(lots):
            grant.left -= units
            grant.used_at = self.now
            name, ends = f"{id}/{place}", min(grant.expires, grant.next_recurrence())
            made = Grant(name, units, units, self.now, ends, grant.priority, False, None, self.now, ())
            taker.grants[name] = made
        for name in [f"{id}/{place}" for place in range(len(lots))]:
            taker.begin(taker.grants[name])
        return [amount, giver.credits(), taker.credits()]
