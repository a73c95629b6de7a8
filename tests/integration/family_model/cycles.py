"""What a level's plan says of the one resource, and the cycles of its LIMITs: running, and closed ones by start."""

import copy
import dataclasses

from account_model import Calendar
from credits_model import NEVER
from model import Rule


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a level's plan says of the one resource; without LIMITs grants alone pay."""

    limits: tuple = ()  # (number, period)
    rate: Rule | None = None
    concurrent: int | None = None
    burst: int = 0  # percent
    overage: bool | int = 0  # True: any number of units
    first: bool = False
    share: str = "FIRST"
    cost: int = 1

    def text(self):
        words = [f"LIMIT {number} {period}" for number, period in self.limits]
        words += [f"RATE {self.rate.text()}"] if self.rate else []
        words += [f"CONCURRENT {self.concurrent}"] if self.concurrent is not None else []
        words += [f"BURST {self.burst}%"] * bool(self.burst) + [f"COST {self.cost}"] * (self.cost > 1)
        words += ["CREDITS FIRST" if self.first else "CREDITS"] * (self.first or not self.limits)
        words += ["OVERAGE" if self.overage is True else f"OVERAGE MAX {self.overage}"] * bool(self.overage)
        return " ".join(words + [f"SHARE {self.share}"] * (self.share != "FIRST"))


class Cycles:
    """One LIMIT: its running cycle, and those that have closed by their start."""

    def __init__(self, number, period, zone, anchor, now):
        self.number, self.period, self.used, self.closed = number, period, 0, {}
        self.calendar = None if period == "forever" else Calendar(period, zone, anchor)
        self.start, self.end = self.calendar.cycle(now) if self.calendar else (anchor, NEVER)

    def __deepcopy__(self, memo):
        other = copy.copy(self)  # the calendar stays as it is
        other.closed = {start: list(cycle) for start, cycle in self.closed.items()}
        return other

    def close(self):
        self.closed[self.start] = [self.end, self.used]
        self.start, self.end = self.calendar.cycle(self.end)
        self.used = 0

    def before(self):
        """When the cycle before the running one began."""
        return self.calendar.cycle(self.start - 1)[0] if self.calendar else None

    def start_of(self, at):
        return self.start if at >= self.start or not self.calendar else self.calendar.cycle(at)[0]

    def post(self, units, at):
        """Adds units to the cycle of that instant; negative ones go back, as far as they are there. -> how many."""
        if at >= self.start:
            units = max(units, -self.used)
            self.used += units
            return units
        for start, cycle in self.closed.items():
            if start <= at < cycle[0]:
                units = max(units, -cycle[1])
                cycle[1] += units
                return units
        return 0
