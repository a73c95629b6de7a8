"""Plans are histories: per resource a list of revisions, each with its instant. What an account's cycle is worth.

    plan p, resource r     ──1 FULL──2 PRORATE──────4 END──────────(5 pending)──▶
    an account on p        ──1───────2──────────────┊───4──────────────────────▶     4: when its own cycle ends
"""

import dataclasses
import math
from fractions import Fraction

from account_model.calendar import FOREVER
from account_model.entitlement import Entitlement

UNLIMITED = -1


class Silent(Exception):
    """The contract does not say what is right here: the command is not given."""


@dataclasses.dataclass(frozen=True)
class Revision:
    number: int
    at: int
    since: int  # never after the one behind it: where it is, the clock was wrong, and has been put right since
    apply: str  # FULL, PRORATE, END
    entitlement: Entitlement | None  # None: the resource is gone
    immediate: bool  # was SET without an instant to come: in force also where the clock has stepped back behind it

    def begins(self, to):
        """For an account that is moved up to there."""
        return min(self.since, to) if self.immediate or self.since <= to else self.at

    def in_force(self, now):
        """now: the clock's."""
        return self.begins(now) <= now


def same_rules(one, other):
    """COST 1 says nothing."""
    one, other = (each and dataclasses.replace(each, cost=each.unit) for each in (one, other))
    return one == other


class Plan:
    def __init__(self, name):
        self.name, self.counter, self.retired, self.resources = name, 0, None, {}  # retired: since when

    def newest(self, resource, now, to=None):
        """The revision in force, whatever its APPLY: what an account gets that comes to the plan (on its way `to`)."""
        to = now if to is None else to
        return next((one for one in reversed(self.dated(resource)) if one.begins(to) <= now), None)

    def dated(self, resource):
        revisions = self.resources.get(resource, [])
        instants = [one.at for one in revisions]
        return [dataclasses.replace(one, since=min(instants[i:]),
                                    immediate=any(later.immediate for later in revisions[i:]))
                for i, one in enumerate(revisions)]

    def entitlement(self, resource, now):
        newest = self.newest(resource, now)
        return newest and newest.entitlement

    def arrived(self, resource, now):
        """Those that are in force, or were before a newer one that is."""
        arrived = [one.number for one in self.dated(resource) if one.in_force(now)]
        return [one for one in self.resources.get(resource, []) if one.number in arrived]

    def pending(self, now):
        return [one for resource, revisions in self.resources.items() for one in revisions
                if one not in self.arrived(resource, now)]

    def add(self, resource, entitlement, apply, effective, now):
        """-> its number; of rules that are in force already the number they have."""
        for one in self.resources.get(resource, [])[-1:]:
            if not one.in_force(now) and same_rules(one.entitlement, entitlement):
                if (one.apply, one.at) == (apply, effective):
                    return one.number  # it is to come already
        # What was pending is replaced, or no longer wanted.
        revisions = self.resources[resource] = self.arrived(resource, now)
        if revisions and same_rules(revisions[-1].entitlement, entitlement):
            return revisions[-1].number
        self.counter += 1
        immediate = effective is None or effective <= now
        at = now if immediate else effective
        revisions.append(Revision(self.counter, at, at, apply, entitlement, immediate))
        return self.counter


class Host:
    """What is the server's: plans by name, and its settings."""

    def __init__(self, kept, default_plan=None):
        self.plans, self.kept, self.default_plan = {}, kept, default_plan

    def plan(self, name, now=FOREVER):
        """A plan that accounts can be moved to, at that instant."""
        plan = self.plans.get(name)
        return plan if plan and (plan.retired is None or plan.retired > now) else None

    def set_plan(self, name, resource, entitlement, now, apply="FULL", effective=None):
        plan = self.plans.setdefault(name, Plan(name))
        plan.retired = None
        return plan.add(resource, entitlement, apply, effective, now)

    def delete_resource(self, name, resource, now):
        plan = self.plan(name)
        if not plan or not plan.resources.get(resource):
            return 0
        before = plan.counter, len(plan.resources[resource])
        if plan.entitlement(resource, now):
            plan.add(resource, None, "FULL", None, now)
        else:
            plan.resources[resource] = plan.arrived(resource, now)
        return int(before != (plan.counter, len(plan.resources[resource])))

    def retire(self, name, now):
        """Its accounts go on under what is in force; nothing is to come any more."""
        plan = self.plan(name)
        if not plan:
            return 0
        for resource in plan.resources:
            plan.resources[resource] = plan.arrived(resource, now)
        plan.retired = now
        return 1

    def cancel(self, name, number, now):
        """-> whether there was one of that number still to come."""
        plan = self.plans[name]
        pending = any(one.number == number for one in plan.pending(now))
        for resource, revisions in plan.resources.items() if pending else ():
            plan.resources[resource] = [one for one in revisions if one.number != number]
        return pending


# ---- one account under them ----


@dataclasses.dataclass(frozen=True)
class Part:
    """From this instant on the account's plan says this of a resource; full: as if it had said so all the time."""

    at: int
    entitlement: Entitlement | None
    full: bool


def allowance(parts, period, start, end, anchor):
    """What the plan gives for the cycle [start, end): the integral over its parts, halves away from zero."""
    pieces = [(start, None)]
    for part in parts:
        rule = part.entitlement and part.entitlement.limit(period)
        if part.full or part.at <= start or end == FOREVER:
            pieces = [(start, rule)]
        elif (rule and rule.limit) != (pieces[-1][1] and pieces[-1][1].limit):  # the same limit goes on
            pieces.append((max(part.at, pieces[-1][0]), rule))  # where the clock has stepped back
    return integral(pieces, start, end, anchor)


def integral(pieces, start, end, anchor):
    first, last = pieces[0][1], pieces[-1][1]
    if last and last.limit == UNLIMITED:
        return UNLIMITED

    def units(rule):
        """What was unlimited counts at the limit that holds now; where there was no such limit, nothing."""
        rule = last if rule and rule.limit == UNLIMITED else rule
        return rule.limit if rule else 0

    began = anchor if start < anchor < end else start
    total = 0 if first and first.prorate else units(first) * (began - start)
    for (at, rule), until in zip(pieces, [at for at, _ in pieces[1:]] + [end]):
        total += units(rule) * max(until - max(at, began), 0)
    return rounded(Fraction(total, end - start))


def rounded(amount):
    return math.floor(amount + Fraction(1, 2))
