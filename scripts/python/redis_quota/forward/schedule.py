"""When a delivery that failed is sent again, and when it is given up.

    attempt   1    2    3    4     5    6    7     8     9     10
    gap       0    5s   5m   30m   2h   5h   10h   14h   20h   24h    each ± 20 %        then a dead letter

A receiver that says `retry-after` is not sent it earlier than that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

STANDARD_S: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
SPREAD = 0.2
RETRY_AFTER_MAX_S = 5 * 86_400  # a sink that fails for longer is turned off anyway


@dataclass(frozen=True)
class Schedule:
    """`gaps_s`: seconds before each attempt, the first one included; `dice` gives numbers from 0 up to 1."""

    gaps_s: tuple[float, ...] = STANDARD_S
    spread: float = SPREAD
    dice: Callable[[], float] = random.random

    def due_ms(self, attempts: int, now_ms: int, retry_after_s: float = 0) -> int | None:
        """The instant of the next attempt after so many have failed, in Unix ms; None: that was the last one."""
        if attempts >= len(self.gaps_s):
            return None
        gap_s = self.gaps_s[attempts] * (1 + self.spread * (2 * self.dice() - 1))
        return now_ms + round(1000 * max(gap_s, min(retry_after_s, RETRY_AFTER_MAX_S)))


STANDARD = Schedule()
