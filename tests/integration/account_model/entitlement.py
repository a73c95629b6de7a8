"""The rules of one resource: what a plan says, what an override says above it, and both together.

A value that was not given is None: a plan then means what the contract says, an override leaves the plan's in force.
"""

import dataclasses

from account_model.calendar import duration
from account_model.carry import Rollover


@dataclasses.dataclass(frozen=True)
class Limit:
    limit: int
    period: str  # as in a plan: "month CALENDAR FROM 15"
    prorate: bool = False
    rollover: Rollover | None = None

    @property
    def kind(self):
        return "LIMIT", self.period.split()[0]

    def text(self):
        options = " PRORATE" * self.prorate + (" " + self.rollover.text() if self.rollover else "")
        return f"LIMIT {self.limit} {self.period}{options}"


@dataclasses.dataclass(frozen=True)
class Rolling:
    limit: int
    period: str  # a duration

    @property
    def us(self):
        return duration(self.period)

    @property
    def kind(self):
        return "ROLLING", self.us

    def text(self):
        return f"LIMIT {self.limit} ROLLING {self.period}"


@dataclasses.dataclass(frozen=True)
class Rate:
    rule: object  # of model.py
    period: str

    kind = ("RATE",)

    def text(self):
        return "RATE " + self.rule.text()


@dataclasses.dataclass(frozen=True)
class Throttle:
    """The slow lane."""

    rule: object  # of model.py
    period: str

    kind = ("THROTTLE",)

    def text(self):
        return "THROTTLE " + self.rule.text()


@dataclasses.dataclass(frozen=True)
class Concurrent:
    limit: int

    kind, period = ("CONCURRENT",), ""

    def text(self):
        return f"CONCURRENT {self.limit}"


@dataclasses.dataclass(frozen=True, repr=False)
class Entitlement:
    rules: tuple
    cost: int | None = None
    warn: tuple | None = None  # percent
    burst: int | None = None  # percent
    repay: bool = False  # goes with the burst
    grace: int | None = None  # us
    overage: bool | int | None = None  # True: without MAX; n: OVERAGE MAX n
    holds_max: int | None = None
    refunds: tuple | None = None  # (most, within us), either may be None
    target: str | None = None  # AS: counted as COST units of that resource

    def __repr__(self):
        return self.text()

    def of(self, kind):
        return [rule for rule in self.rules if isinstance(rule, kind)]

    def limit(self, period):
        return next((rule for rule in self.of(Limit) if rule.period == period), None)

    @property
    def lane(self):
        return next(iter(self.of(Throttle)), None)

    @property
    def unit(self):
        return self.cost or 1

    @property
    def refunds_max(self):
        return self.refunds and self.refunds[0]

    @property
    def within(self):
        return self.refunds and self.refunds[1]

    def text(self):
        words = [f"AS {self.target}"] if self.target else []
        words += [f"COST {self.cost}"] if self.cost else []
        words += ["WARN " + " ".join(map(str, self.warn))] if self.warn else []
        words += [f"BURST {self.burst}%" + " REPAY" * self.repay] if self.burst else []
        words += [f"GRACE {self.grace}us"] if self.grace else []
        words += ["OVERAGE" + ("" if self.overage is True else f" MAX {self.overage}")] * (self.overage is not None)
        words += [f"HOLDS MAX {self.holds_max}"] if self.holds_max is not None else []
        most, within = self.refunds or (None, None)
        bounds = (f" MAX {most}" if most is not None else "") + (f" WITHIN {within}us" if within else "")
        words += [f"REFUNDS{bounds}"] if bounds else []
        return " ".join(words + [rule.text() for rule in self.rules])

    def above(self, plan):
        """The plan's rules with these above them: each replaces the plan's of its kind in place, the others follow."""
        if not plan:
            return self
        placed, rates = [], self.of(Rate)
        for rule in plan.rules:
            if isinstance(rule, Rate) and self.of(Rate):  # one by one; what is left of the plan's goes
                placed += [rates.pop(0)] if rates else []
            else:
                placed.append(next((mine for mine in self.rules if mine.kind == rule.kind), rule))
        here = [id(rule) for rule in placed]
        placed += [rule for rule in self.rules if id(rule) not in here]
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        chosen = {name: getattr(plan, name) if value is None else value for name, value in chosen.items()}
        chosen["rules"], chosen["repay"] = tuple(placed), self.repay if self.burst else plan.repay
        return Entitlement(**chosen)
