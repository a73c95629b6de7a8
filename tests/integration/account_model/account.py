"""A whole account: an operator's commands, INFO, HISTORY; the rest is lifetime, consuming and ledger."""

from account_model.calendar import FOREVER, later_by
from account_model.entitlement import Limit, Rolling
from account_model.ledger import Ledger
from account_model.lifetime import Next, Refused, Silent
from account_model.plans import UNLIMITED
from account_model.window import Log, position
from model import Key


class Account(Ledger):
    def note(self, act, resource="", amount=0):
        self.notes = (self.notes + [(self.now // 1000, act, resource, amount, self.reason)])[-16:]
        self.dirty = True

    # ---- life ----

    def expire(self, expires, then=None):
        """As it was opened: until an instant, or for so long (text)."""
        self.expires = later_by(expires, self.zone, self.opened) if isinstance(expires, str) else expires
        self.then = then

    def open(self, name, anchor=None, zone=None, expires=None, then=None):
        """expires: an instant, or a duration or period as text, counted from the opening."""
        ended = self.state in ("closed", "lapsed") or not self.plan
        if anchor not in (None, self.anchor) or zone not in (None, self.zone):
            raise Refused("ERR")
        if ended and not self.host.plan(name):
            raise Refused("NOPLAN")
        if not ended and self.plan != name:
            raise Refused("ERR")
        fell = self.state == "lapsed" and name != self.plan == (then or self.host.default_plan)
        if fell and isinstance(expires, str) and later_by(expires, self.zone, self.opened) <= self.now:
            return "OK"  # its time is over, and counts from the opening
        wanted, falls_to = (0, then) if ended else (self.expires, self.then)
        if expires is not None:
            opened = self.now if ended else self.opened
            wanted = later_by(expires, self.zone, opened) if isinstance(expires, str) else expires
            falls_to = then  # EXPIRES without THEN: to the default plan
            if wanted <= max(self.now, self.anchor):
                raise Silent("an end that has passed")
        if not ended and (wanted, falls_to) == (self.expires, self.then):
            return "OK"
        if ended:
            self.join(name, True)
            self.state, self.next, self.opened, self.until = "active", None, self.now, 0
        self.expires, self.then = wanted, falls_to
        self.note("open")
        return "OK"

    def switch(self, name, mode="PRORATE", at=None, restart=False):
        self.not_closed()
        if name == self.plan:
            if self.state == "lapsed" or restart:
                raise Silent("to the plan it has")
            if self.next:
                self.next = None
                self.note("switch")
            return "OK"
        if not self.host.plan(name):
            raise Refused("NOPLAN")
        coming = Next(name, self.now if at is None else at, mode != "PRORATE", restart)
        if mode == "END":
            cycles = [self.bounds(rule.period, self.now) for resource in {**self.parts, **self.slots}
                      for rule in (self.entitlement(resource).of(Limit) if self.entitlement(resource) else [])]
            lengths = [(end - start, end) for start, end in cycles if end != FOREVER]
            coming.at = max(lengths)[1] if lengths else self.now
        self.next = None
        if coming.at > self.now:
            self.next = coming
        else:
            self.move(coming)
        self.state = "active" if self.state == "lapsed" else self.state
        self.note("switch")
        return "OK"

    def suspend(self, ex=0):
        self.not_closed(planned=False)
        until = self.now + ex if ex else 0
        if self.state != "suspended" or until != self.until:
            self.state, self.until = "suspended", until
            self.note("suspend")
        return "OK"

    def resume(self):
        self.not_closed(planned=False)
        if self.state == "suspended":
            self.state, self.until = "active", 0
            self.note("resume")
        return "OK"

    def close(self):
        if self.state != "closed":
            self.state, self.until = "closed", 0
            self.note("close")
        return "OK"

    # ---- overrides ----

    def override(self, name, entitlement, only=False, ex=0):
        """ex: us, or CYCLE: when the running cycle of the resource's longest LIMIT ends."""
        if only and not entitlement.rules and not entitlement.target:
            raise Silent("no rules to count by")
        if only and entitlement.lane and not entitlement.of((Limit, Rolling)):
            raise Refused("ERR")  # rules that no account could have
        self.not_closed()
        slot, before = self.slot(name), self.longest_end(self.entitlement(name))
        slot.override, slot.only = entitlement, only
        together = self.entitlement(name)
        if not together or (together.lane and not together.of((Limit, Rolling))):
            raise Silent("no rules to count by")
        slot.until = self.now + ex if ex and ex != "CYCLE" else 0
        if ex == "CYCLE":
            slot.until = self.longest_end(self.entitlement(name))
            if slot.until is None or slot.until != before:
                raise Silent("the longest LIMIT before it, or with it")
        self.refresh(name)
        self.note("override", name)
        return "OK"

    def lift(self, name):
        self.not_closed()
        slot = self.slots.get(name)
        if not slot or not slot.override:
            return "OK"
        slot.override = None
        self.refresh(name)
        self.note("override", name)
        return "OK"

    # ---- corrections ----

    def set(self, name, used, period=None):
        self.not_closed()
        entitlement = self.entitlement(name)
        if not entitlement:
            raise Refused("NORESOURCE")
        limits, rollings = entitlement.of(Limit), entitlement.of(Rolling)
        if not period and len(limits) > 1:
            raise Refused("ERR")
        if not period and len(limits) + len(rollings) > 1 or period in [rule.period for rule in rollings]:
            raise Silent("whether a rolling window is a LIMIT that needs a PERIOD")
        limits = [rule for rule in limits if period in (None, rule.kind[1])]
        if period and not limits:
            raise Refused("ERR")
        slot, here = self.slot(name), position(self.sequence, self.now)
        slot.marked = here
        for rule in limits:
            window = self.window(name, rule)
            window.begin_anew(used, here, self.now)
            window.warn(entitlement)
            if rule.period in slot.windows or window.peak:
                slot.windows[rule.period] = window
        for rule in rollings if not period else []:
            slot.logs[rule.us] = Log([(self.now, used)] if used else [], Log().ledger.closed(here))
        self.note("set", name, used)
        return "OK"

    def reset(self, name=None, period=None):
        self.not_closed()
        if self.clock < self.now:
            raise Silent("RESET forgets instants that lie ahead of the clock")
        if name and self.is_implicit(name) and (self.was_changed(name) or name in self.slots):
            raise Silent("a resource that was never used, though a change of plan may have been stored for it")
        if name and not self.entitlement(name) and name not in self.slots:
            raise Refused("NORESOURCE")
        if period and not self.entitlement(name):
            raise Silent("the PERIOD of a LIMIT that sleeps")
        if period:
            self.period_known(name, period)
        if name and name not in self.slots:
            return "OK"
        here = position(self.sequence, self.now)
        for resource, slot in self.slots.items():
            if name not in (None, resource):
                continue
            slot.marked = here
            for window in slot.windows.values():
                if period in (None, window.period.split()[0]):
                    window.forget(here)
            if not period:
                slot.logs = {us: Log([], Log().ledger.closed(here)) for us in slot.logs}
                slot.rates, slot.lane, slot.slept = Key(), Key(), []
        self.note("reset", name or "")
        return "OK"

    def period_known(self, name, period):
        entitlement = self.entitlement(name)
        if entitlement and period in [rule.period for rule in entitlement.of(Rolling)]:
            raise Silent("PERIOD of a rolling window")
        if not entitlement or period not in [rule.kind[1] for rule in entitlement.of(Limit)]:
            raise Refused("ERR")

    # ---- looking ----

    def info(self):
        names = [name for name in {**self.parts, **self.slots} if self.entitlement(name)]
        state = "expired" if not self.plan else "active" if self.state == "lapsed" else self.state
        state = "notstarted" if state == "active" and self.now < self.anchor else state
        return {"account": "a", "plan": self.shown_plan, "revision": self.revision,
                "state": "closed" if self.state == "closed" else state, "zone": self.zone,
                "anchor": self.anchor // 1000, "expires": self.expires // 1000 if self.expires else -1, "parent": None,
                "next": {"plan": self.next.plan, "at": self.next.at // 1000} if self.next else None,
                "resources": {name: self.resource(name) for name in names},
                "notes": [{"at": at, "act": act, "actor": "default", "resource": resource, "amount": amount,
                           "reason": reason} for at, act, resource, amount, reason in self.notes]}

    def resource(self, name):
        """Behind its own the rules of the resource that it is counted AS."""
        entitlement = self.entitlement(name)
        counted_as = entitlement.target and self.entitlement(entitlement.target) and self.resource(entitlement.target)
        rates = iter(self.rates(name))
        rules = [self.rule(name, index, rule, rates) for index, rule in enumerate(entitlement.rules)]
        if counted_as:
            behind = [{**rule, "rule": rule["rule"] + len(rules), "resource": entitlement.target}
                      for rule in counted_as["rules"]]
            return {**counted_as, "rules": rules + behind}
        windows = [self.window(name, rule) for rule in entitlement.of(Limit)]
        over = [window.used - window.own_limit() for window in windows if window.limit != UNLIMITED]
        highest = max([window.warned for window in windows], default=0)
        return {"rules": rules, "credits": 0, "overage": max(over + [0]),
                "warned": [percent for percent in entitlement.warn or () if percent <= highest]}

    def rule(self, name, index, rule, rates):
        kind, window = type(rule).__name__.upper(), None
        if kind in ("RATE", "THROTTLE"):
            limit = next(rates) if kind == "RATE" else self.lane(name)
            capacity, remaining, held = limit.rule.capacity, max(limit.room(self.now), 0), 0
            used = max(capacity - remaining, 0)
        elif kind == "CONCURRENT":
            capacity, remaining, held, used = rule.limit, self.room(name, rule), self.held(name), 0
        elif kind == "ROLLING":
            capacity, remaining, held = rule.limit, self.room(name, rule), self.held(name)
            used = self.log(name, rule).used(self.now - rule.us)
        else:
            window = self.window(name, rule)
            capacity, remaining, held = window.own_limit(), self.room(name, rule), self.held(name, window)
            used = window.used
        return {"rule": index, "kind": kind, "period": rule.period.partition(" ")[0], "limit": capacity, "used": used,
                "held": held, "remaining": remaining, "start": window.start // 1000 if window else -1,
                "end": window.end // 1000 if window and window.end != FOREVER else -1,
                "rolled": window.rolled() if window else 0}

    def history(self, name):
        if not self.entitlement(name) and name not in self.slots:
            return "NORESOURCE"
        cycles = sorted(self.slots[name].past if name in self.slots else [],
                        key=lambda cycle: (-cycle.end, cycle.start, cycle.period))
        shown = ("period", "start", "end", "used", "refunded", "denied", "peak")
        return [{**{field: getattr(cycle, field) for field in shown}, "limit": cycle.own_limit(),
                 "rolled": cycle.rolled(), "period": cycle.period.split()[0], "start": cycle.start // 1000,
                 "end": cycle.end // 1000, "asleep": cycle.asleep} for cycle in cycles]


def figures(account):
    """What a customer can see, without who did what: for comparing."""
    info = account.info()
    del info["notes"]
    return info, [account.history(name) for name in sorted(account.slots)]
