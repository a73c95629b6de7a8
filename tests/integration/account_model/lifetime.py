"""What time and plans do to an account: every event is met at its instant, one after another.

    stored ── cycle ends ── override ends ── plan revision ── next plan ── expires ──▶ now

At one instant: holds expire, cycles close, overrides (and suspensions) end, plan revisions, EXPIRES, pending SWITCH.
"""

import copy
import dataclasses

from account_model.calendar import FOREVER, Calendar
from account_model.entitlement import Limit
from account_model.plans import UNLIMITED, Part, Silent, allowance, integral
from account_model.window import Cycle, Slot


class Refused(Exception):
    """An error; its text is the code."""


@dataclasses.dataclass
class Next:
    """A SWITCH that is to come."""

    plan: str
    at: int
    full: bool
    restart: bool


class Lifetime:
    def __init__(self, host, plan, now, anchor, zone, expires=0, then=None):
        self.host, self.anchor, self.zone, self.expires, self.then = host, anchor, zone, expires, then
        self.state, self.next, self.settled, self.now, self.clock = "active", None, now, now, now
        self.opened, self.until, self.sequence, self.target = now, 0, 0, now
        self.restarted = False
        self.slots, self.records, self.holds, self.notes, self.calendars = {}, {}, {}, [], {}
        self.plan, self.shown_plan, self.revision = None, plan, 0
        self.parts, self.known, self.coming = {}, set(), {}  # per resource: parts, and END revisions not yet there
        self.dirty, self.denied, self.reason = False, [], ""
        self.join(plan, True)
        self.begun_with = frozenset(self.parts)

    def copy(self):
        other = copy.copy(self)
        other.slots = {name: slot.copy() for name, slot in self.slots.items()}
        other.records = {key: copy.copy(record) for key, record in self.records.items()}
        for record in other.records.values():
            record.returned = dict(record.returned)
        other.holds = {name: copy.copy(hold) for name, hold in self.holds.items()}
        other.parts = {name: list(parts) for name, parts in self.parts.items()}
        other.coming = {name: list(coming) for name, coming in self.coming.items()}
        other.known, other.calendars = set(self.known), dict(self.calendars)
        other.notes, other.dirty, other.denied = list(self.notes), False, []
        return other

    def look(self, now):
        draft = self.copy()
        draft.clock = now
        draft.sequence += 1
        draft.now = self.settled
        draft.advance(max(now, self.settled))
        return draft

    def call(self, command, now, *words, reason=""):
        """One command at `now`: its reply, or the code of its error. What changes nothing also settles nothing."""
        draft = self.look(now)
        draft.reason = reason
        try:
            reply = getattr(draft, command)(*words)
        except Refused as refused:
            return str(refused)
        if draft.dirty:
            draft.settled = draft.now
            self.__dict__.update(draft.__dict__)
        for denied in draft.denied:
            self.count_denied(*denied)
        return reply

    def count_denied(self, resource, period, start):
        window = self.slots[resource].windows.get(period) if resource in self.slots else None
        if window and window.start == start and window.peak > 0:
            window.denied += 1

    # ---- time ----

    def advance(self, to):
        self.target = to
        while stops := [stop for stop in self.stops(to) if stop <= to]:
            at = max(min(stops), self.now)
            self.roll(at)
            self.now = at
            self.change()
        self.roll(to)
        self.now = to

    def stops(self, to):
        stops = [slot.until for slot in self.slots.values() if slot.override and slot.until]
        stops += [self.until] if self.state == "suspended" and self.until else []
        stops += [one.begins(to) for _, one in self.revisions()]
        stops += [at for coming in self.coming.values() for at, _ in coming]
        stops += [self.next.at] if self.next else []
        return stops + ([self.expires] if self.expires and self.plan else [])

    def change(self):
        """What ends or begins at this instant."""
        for name, slot in self.slots.items():
            if slot.override and slot.until and slot.until <= self.now:
                slot.override = None
                self.refresh(name)
        if self.state == "suspended" and self.until and self.until <= self.now:
            self.state, self.until = "active", 0
        self.revise()
        if self.plan and self.expires and self.expires <= self.now:
            self.next = None  # who comes to an end goes nowhere
            falls_to = [name for name in (self.then, self.host.default_plan) if name and self.host.plan(name, self.now)]
            self.join(falls_to[0] if falls_to else None, True)
            if self.plan:
                self.expires, self.then = 0, None
                self.state = "lapsed" if self.state == "active" else self.state
        if self.next and self.next.at <= self.now:
            coming, self.next = self.next, None
            self.move(coming)

    def roll(self, to):
        for name, slot in self.slots.items():
            for window in list(slot.windows.values()):
                while window and window.end <= to:
                    window = self.close_cycle(name, slot, window)

    def close_cycle(self, name, slot, window):
        following = self.following(name, window)
        window.asleep = following is None
        del slot.windows[window.period]
        slot.past += [] if slot.implicit else [window]
        if following:
            slot.windows[window.period] = following
        return following

    def following(self, name, window):
        entitlement = self.entitlement(name)
        rule = entitlement and entitlement.limit(window.period)
        if not rule:
            return None  # it is not missed
        after = self.begin(name, rule, window.end)
        after.debt = 0 if after.limit == UNLIMITED else window.debt_after(entitlement)
        after.lots, after.implicit = self.lots_after(name, rule, window, window.end), window.implicit
        return after

    def lots_after(self, name, rule, window, end):
        """What is left at its end; of what was before the account began nothing."""
        return window.lots_after(rule, self.held(name, window, end)) if end > self.anchor else ()

    def begin(self, name, rule, at):
        """What lies before a RESTART in the calendar's cycle is another one, which has closed."""
        start, end = self.bounds(rule.period, at)
        begins = self.anchor if self.is_cut(start, end) else start
        return Cycle(rule.period, begins, end, self.limit_of(name, rule.period, start, end), origin=start)

    def bounds(self, period, at):
        if period == "forever":
            return self.anchor, FOREVER
        key = period, self.anchor
        if key not in self.calendars:
            self.calendars[key] = Calendar(period, self.zone, self.anchor)
        return self.calendars[key].cycle(at)

    # ---- plans ----

    def entitlement(self, name):
        """In force now: the plan's rules, an override above them."""
        slot, plan = self.slots.get(name), self.plan_says(name)
        if not slot or not slot.override:
            return plan
        together = slot.override if slot.only else slot.override.above(plan)
        return together if together.rules or together.target else None

    def plan_says(self, name):
        parts = self.parts.get(name)
        return parts[-1].entitlement if parts else None

    def limit_of(self, name, period, start, end):
        """An override's limit counts full; below it the plan's own allowance goes on."""
        slot = self.slots.get(name)
        rule = slot.override.limit(period) if slot and slot.override else None
        if rule:
            return integral([(start, rule)], start, end, self.anchor)
        parts = self.parts.get(name, [])
        if parts and self.is_cut(start, end):  # of what was before the RESTART nothing counts
            last = max((nth for nth, part in enumerate(parts) if part.at <= self.anchor), default=0)
            parts = [dataclasses.replace(parts[last], at=start), *parts[last + 1:]]
        return allowance(parts, period, start, end, self.anchor)

    def is_cut(self, start, end):
        """Has the account been anchored anew inside this cycle of the calendar?"""
        return self.restarted and start < self.anchor < end

    def refresh(self, name):
        """Other rules: the running cycles get their new limits. What was used stays, also of those that sleep now."""
        entitlement = self.entitlement(name)
        self.take_over_rates(name)
        for window in self.slots[name].windows.values() if name in self.slots else []:
            before, counted = window.own_limit(), window.counts
            window.limit = self.limit_of(name, window.period, window.origin, window.end)
            window.counts = bool(entitlement and entitlement.limit(window.period))
            raised = before != UNLIMITED and (window.limit == UNLIMITED or window.own_limit() > before)
            if window.counts and (raised or not counted):
                window.warned = min(window.warned, window.reached(entitlement))
        self.begin_to_roll(name, entitlement)

    def begin_to_roll(self, name, entitlement):
        """Cycles of a LIMIT with ROLLOVER count from the one that runs now, also if nothing is ever used."""
        for rule in entitlement.of(Limit) if entitlement else []:
            if rule.rollover:
                if name not in self.slots:
                    self.slot(name).implicit = True
                first = dataclasses.replace(self.window(name, rule), implicit=True)
                self.slots[name].windows.setdefault(rule.period, first)

    def revisions(self):
        """Those that this account has not met yet, in their order."""
        plan = self.host.plans[self.plan] if self.plan else None
        found = [(name, one) for name in plan.resources for one in plan.dated(name)] if plan else []
        unknown = [(name, one) for name, one in found if one.number not in self.known]
        return sorted(unknown, key=lambda each: each[1].number)

    def revise(self):
        due = [(one.number, name, one, True) for name, coming in self.coming.items()
               for at, one in coming if at <= self.now]
        due += [(one.number, name, one, False) for name, one in self.revisions()
                if one.begins(self.target) <= self.now]
        for number, name, one, arrived in sorted(due, key=lambda each: each[0]):
            self.known.add(number)
            since = max(min(one.begins(self.target), self.now), self.opened)
            end = None if arrived or one.apply != "END" else self.longest_end(self.plan_says(name), since)
            if end:
                self.coming.setdefault(name, []).append((end, one))
            else:
                at = self.now if arrived else min(one.begins(self.target), self.now)
                self.adopt(name, one.entitlement, one.apply != "PRORATE", number, at)

    def adopt(self, name, entitlement, full, number, at):
        """at: before now where the account was changed last before the clock stepped back behind the revision."""
        self.coming[name] = [(at, one) for at, one in self.coming.get(name, []) if one.number > number]
        self.parts.setdefault(name, []).append(Part(at, entitlement, full))
        self.revision = max(self.revision, number)
        self.refresh(name)

    def join(self, plan, full):
        """On to a plan, or on to none: its newest revisions, whatever their APPLY."""
        joined = self.host.plans[plan] if plan else None
        newest = {name: joined.newest(name, self.now, self.target) for name in joined.resources} if joined else {}
        self.plan, self.coming = plan, {}
        self.known = {one.number for name in joined.resources for one in joined.dated(name)
                      if one.begins(self.target) <= self.now} if joined else set()
        for name in {**self.parts, **newest}:
            one = newest.get(name)
            self.parts.setdefault(name, []).append(Part(self.now, one and one.entitlement, full))
            self.refresh(name)
        if joined:
            self.shown_plan = plan
            self.revision = max([one.number for one in newest.values() if one], default=0)

    def longest_end(self, entitlement, at=None):
        """When the longest of the running cycles of a resource ends; None where there is none that ends."""
        at, limits = self.now if at is None else at, entitlement.of(Limit) if entitlement else []
        cycles = [self.bounds(rule.period, at) for rule in limits]
        cycles = [(end - start, end) for start, end in cycles if end != FOREVER]
        return max(cycles)[1] if cycles else None

    def move(self, coming):
        """A SWITCH takes place. RESTART: the running cycles close, the account is anchored here. What they owe is paid
        back where the new plan says REPAY, too."""
        ended = {}
        for name, slot in self.slots.items() if coming.restart else ():
            for window in [one for one in slot.windows.values() if one.start < self.now]:
                entitlement = self.entitlement(name)
                debt = window.debt_after(entitlement) if entitlement else 0
                rule = entitlement and entitlement.limit(window.period)
                asleep = not rule
                lots = self.lots_after(name, rule, window, self.now) if rule else ()
                slot.past.append(dataclasses.replace(slot.windows.pop(window.period), end=self.now, asleep=asleep))
                ended[name, window.period] = debt, lots
        self.restarted = self.restarted or coming.restart
        self.anchor = self.now if coming.restart else self.anchor
        for window in [one for slot in self.slots.values() for one in slot.windows.values() if coming.restart]:
            window.end = self.bounds(window.period, self.now)[1]  # it begins here, so it is not closed
        self.join(coming.plan, coming.full)
        for (name, period), (debt, lots) in ended.items():
            entitlement = self.entitlement(name)
            rule = entitlement and entitlement.limit(period)
            if rule:
                after = self.slots[name].windows[period] = self.begin(name, rule, self.now)
                after.debt = debt if after.limit != UNLIMITED and entitlement.repay else 0
                after.lots = lots

    # ---- one resource ----

    def was_changed(self, name):
        """A change of plan may have stored a resource that was never used, or not yet."""
        return len(self.parts.get(name, [])) > (name in self.begun_with)

    def slot(self, name):
        if self.is_implicit(name):  # they stand in the order of their first use
            self.slots[name] = self.slots.pop(name, Slot())
        self.slots[name].implicit = False
        return self.slots[name]

    def is_implicit(self, name):
        """Never used: there, if at all, because its cycles roll over."""
        return name not in self.slots or self.slots[name].implicit

    def window(self, name, rule):
        """The running cycle: as stored, or as it would begin."""
        stored = self.slots[name].windows.get(rule.period) if name in self.slots else None
        return stored or self.begin(name, rule, self.now)
