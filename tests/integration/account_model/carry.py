"""What a cycle hands to the next: the debt of REPAY, the lots of ROLLOVER. One cycle after another, lot by lot.

    LIMIT 1000 month ROLLOVER 50% MAX 600 FOR 2      lots (units, cycles they live): the oldest first

    begins with           used                   hands on
    (500 2)               200, of the lot        (300 1), and 50% of 1000: (500 2); above 600, so (100 1) (500 2)
    (100 1) (500 2)       1500, 600 of the lots  50% of the 100 that are left: (50 2)

Lots are used in the order in which they end; above MAX they shrink in the order in which they came.
"""

import dataclasses
import math
from fractions import Fraction

CYCLES_MAX = 36  # of FOR


@dataclasses.dataclass(frozen=True)
class Rollover:
    percent: str
    most: int | None = None
    cycles: int = 1

    def text(self):
        most = f" MAX {self.most}" if self.most is not None else ""
        return f"ROLLOVER {self.percent}%{most}" + (f" FOR {self.cycles}" if self.cycles != 1 else "")

    def of(self, unused):
        return math.floor(Fraction(self.percent) / 100 * unused)


def lots_after(lots, base, taken, rollover):
    """The cycle ends. base: its own limit after its debt (None: unlimited). taken: used and held of it, and what its
    limit could not repay of its debt."""
    left = [units for units, _ in lots]
    for place in sorted(range(len(lots)), key=lambda place: (lots[place][1], place)):
        used = min(left[place], taken)
        left[place], taken = left[place] - used, taken - used
    after = [(units, cycles - 1) for units, (_, cycles) in zip(left, lots) if cycles > 1]
    if rollover and base is not None:
        after.append((rollover.of(max(base - taken, 0)), rollover.cycles))
    over = max(sum(units for units, _ in after) - rollover.most, 0) if rollover and rollover.most is not None else 0
    kept = []
    for units, cycles in after:
        cut = min(units, over)
        over -= cut
        kept += [(units - cut, cycles)] if units > cut else []
    return tuple(kept)
