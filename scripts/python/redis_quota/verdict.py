"""What calls answer: a verdict and its relatives, frozen and typed.

    [0 10 7 200 300 0] ──▶ Verdict(granted=0, limit=10, remaining=7, wait_ms=200, reset_ms=300, rule=0, source="server")

`source` says which answered: "server", "cache" (a denial that is remembered here), "lease" (units that a client holds),
"open" (admitted because the server is away) or "local" (decided by this process because the server is away).
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Source = Literal["server", "cache", "lease", "open", "local"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request; true where units were granted.

    granted    units admitted, 0 = denied
    limit      capacity of the deciding rule, -1 = unlimited
    remaining  units that this rule could still serve now, -1 = unlimited
    wait_ms    denied: when this very cost would be admitted, -1 = never; granted: how long to wait before acting
    reset_ms   until the deciding rule is fully replenished, -1 = never
    rule       100 x part + index of the deciding rule, -1 where no rule decided
    """

    granted: int
    limit: int
    remaining: int
    wait_ms: int
    reset_ms: int
    rule: int
    source: Source = "server"

    def __bool__(self) -> bool:
        return self.granted > 0

    def later(self, elapsed_ms: int, source: Source) -> "Verdict":
        """The same verdict `elapsed_ms` later: what it waits for is nearer."""
        nearer = [span if span < 0 else max(0, span - elapsed_ms) for span in (self.wait_ms, self.reset_ms)]
        return replace(self, wait_ms=nearer[0], reset_ms=nearer[1], source=source)


def admitted_without(amount: int) -> Verdict:
    """An admission that no rule has decided, because the server is away."""
    return Verdict(amount, -1, -1, 0, -1, -1, "open")


class Refunded(NamedTuple):
    """What went back, what did not (its grant or its cycle's room has ended), what the rule can serve now."""

    refunded: int
    lost: int
    remaining: int


class Settled(NamedTuple):
    """A reservation's end: units charged, units given back, what the rule can serve now."""

    charged: int
    released: int
    remaining: int


class Granted(NamedTuple):
    """Credits that are left now, and those that have paid for what cycles were over."""

    credits: int
    absorbed: int


class Leased(NamedTuple):
    """A lease: the verdict, its id and its fencing token; id None and token 0 where it was denied."""

    verdict: Verdict
    id: str | None
    token: int


class Event(NamedTuple):
    """An entry of the event log: its id, and its fields, which have at least `type` and `time`."""

    id: str
    fields: dict[str, object]
