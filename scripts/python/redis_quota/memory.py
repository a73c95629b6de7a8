"""What a client keeps between calls: denials, the local limiter's state, and admissions to be posted later.

    Denials   a hot refused key costs no trip:       (key, rules) ─▶ cost and verdict, until wait_ms, at most 1 s
    Local     GCRA at limit / expected clients:      only where the server is away and on_error is "local"
    Backlog   admitted while the server was away:    rows for QUOTA.INGEST, each with an id and its own instant

All three are bounded, and safe to use from several threads: no lock is held across a call.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from .rules import Rule
from .verdict import Verdict

DENIAL_MS_MAX = 1000
DENIALS_MAX = 10_000
LOCAL_KEYS_MAX = 10_000
BACKLOG_MAX = 10_000

Clock = Callable[[], float]
Numbered = Sequence[tuple[int, Rule]]  # rules, each with the number that a verdict names it by
State = tuple[Hashable, int, Rule]
Command = tuple[str | int, ...]


class Denials:
    """A denial of cost c holds for costs from c on until its wait_ms is over, at most a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._kept: OrderedDict[tuple[str, Hashable], tuple[int, float, Verdict]] = OrderedDict()

    def keep(self, key: str, request: Hashable, cost: int, verdict: Verdict) -> None:
        """Remembers a denial by the server of `cost` units."""
        if verdict.wait_ms == 0:
            return
        with self._lock:
            self._kept[key, request] = cost, self._clock(), verdict
            self._kept.move_to_end((key, request))
            if len(self._kept) > DENIALS_MAX:
                self._kept.popitem(last=False)

    def find(self, key: str, request: Hashable, cost: int) -> Verdict | None:
        """The denial that this request would meet, with its waits shortened; None where the server has to say."""
        with self._lock:
            kept = self._kept.get((key, request))
            if kept is None:
                return None
            least, since, verdict = kept
            elapsed_ms = int((self._clock() - since) * 1000)
            ends_ms = DENIAL_MS_MAX if verdict.wait_ms < 0 else min(DENIAL_MS_MAX, verdict.wait_ms)
            if elapsed_ms >= ends_ms:
                del self._kept[key, request]
                return None
            return verdict.later(elapsed_ms, "cache") if cost >= least else None

    def forget(self, key: str) -> None:
        """What is known of this key has changed: units came back, or an operator acted."""
        with self._lock:
            for kept in [kept for kept in self._kept if kept[0] == key]:
                del self._kept[kept]


class Local:
    """The limits of one process: GCRA at limit / clients for each rule; all of them admit, or none is charged."""

    def __init__(self, clients: int, clock: Clock) -> None:
        self._clients, self._clock, self._lock = clients, clock, threading.Lock()
        self._free_at: OrderedDict[Hashable, int] = OrderedDict()  # theoretical arrival, in microseconds x limit

    def admit(self, key: Hashable, rules: Numbered, cost: int) -> Verdict:
        """Decides `cost` units by the rules."""
        return self.admit_all([(key, rules, cost)])[0]

    def admit_all(self, requests: Sequence[tuple[Hashable, Numbered, int]], charge: bool = True) -> list[Verdict]:
        """Decides requests (key, rules, cost) that are admitted together or not at all; a verdict for each. Without
        `charge` nothing is taken."""
        now_us = int(self._clock() * 1_000_000)
        with self._lock:
            found = [self._judge(*request, now_us) for request in requests]
            if not all(verdict for verdict, _ in found):
                return [self._judge(key, rules, 0, now_us)[0] if verdict else verdict
                        for (verdict, _), (key, rules, _) in zip(found, requests, strict=True)]
            for _, states in found if charge else []:
                self._keep(states)
            return [verdict for verdict, _ in found]

    def _keep(self, states: dict[State, int]) -> None:
        for state, free_at in states.items():
            self._free_at[state] = free_at
            self._free_at.move_to_end(state)
            if len(self._free_at) > LOCAL_KEYS_MAX:
                self._free_at.popitem(last=False)

    def _judge(self, key: Hashable, rules: Numbered, cost: int, now_us: int) -> tuple[Verdict, dict[State, int]]:
        """The verdict of all rules, and the states after an admission."""
        rows = [self._row(key, number, rule, cost, now_us) for number, rule in rules
                if rule.limit >= 0 and rule.about_us]
        if not rows:
            return Verdict(cost, -1, -1, 0, -1, -1, "local"), {}
        denied = [verdict for verdict, *_ in rows if not verdict and cost]
        if denied:
            never = [verdict for verdict in denied if verdict.wait_ms < 0]
            return never[0] if never else max(denied, key=lambda verdict: verdict.wait_ms), {}
        states = {state: free_at for _, state, free_at in rows}
        return min((verdict for verdict, *_ in rows), key=lambda verdict: verdict.remaining), states

    def _row(self, key: Hashable, number: int, rule: Rule, cost: int, now_us: int) -> tuple[Verdict, State, int]:
        """What one rule says, the name of its state, and the state after an admission.

        A unit takes period x clients / limit microseconds. Multiplied by the limit that is an integer, so nothing is
        rounded before the verdict is.
        """
        state = key, number, rule
        capacity = rule.capacity // self._clients
        if capacity < cost or not rule.limit:
            return Verdict(0, capacity, capacity, -1, 0, number, "local"), state, 0
        unit, now = (rule.about_us or 0) * self._clients, now_us * rule.limit
        before = max(self._free_at.get(state, now), now)
        after, room = before + cost * unit, capacity * unit
        until_ms = -(-(after - now - room) // (rule.limit * 1000))
        if after - now > room:
            left = (room - (before - now)) // unit
            reset_ms = -(-(before - now) // (rule.limit * 1000))
            return Verdict(0, capacity, left, until_ms, reset_ms, number, "local"), state, before
        left, reset_ms = (room - (after - now)) // unit, -(-(after - now) // (rule.limit * 1000))
        return Verdict(cost, capacity, left, 0, reset_ms, number, "local"), state, after


@dataclass(frozen=True, slots=True)
class Row:
    """Usage that was admitted without the server: `at` is its instant in Unix ms, `id` makes it count once.

    `first`: the command that has charged this usage if it has arrived, and that QUOTA.INGEST cannot know of, since ids
    belong to one operation (MCONSUME, COMMIT). It is sent again before: one with an id is charged once.
    """

    account: str
    resource: str
    amount: int
    id: str
    at: int
    first: Command = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one row."""
        return self.account, self.resource, self.id

    def words(self) -> Command:
        """As QUOTA.INGEST takes it."""
        return self.account, self.resource, self.amount, self.id, self.at


class Backlog:
    """Rows to be posted, the oldest first; one poster at a time."""

    def __init__(self) -> None:
        self._lock, self._posting = threading.Lock(), False
        self._rows: OrderedDict[tuple[str, str, str], Row] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def has_room(self, count: int) -> bool:
        """Whether so many more can be remembered; what would be admitted beyond could not be counted later."""
        return len(self._rows) + count <= BACKLOG_MAX

    def add(self, *rows: Row) -> None:
        """Queues rows. The same account, resource and id is one row."""
        with self._lock:
            for row in rows:
                self._rows.setdefault(row.key, row)

    def put_behind(self, rows: Iterable[Row], first: Command) -> None:
        """Those of them that are queued are posted behind this command, or without one; see Row."""
        with self._lock:
            for key in [row.key for row in rows if row.key in self._rows]:
                self._rows[key] = replace(self._rows[key], first=first)

    def begin(self) -> list[Row]:
        """The rows to post, for the one caller who posts them; [] where there are none or another one posts."""
        with self._lock:
            if self._posting or not self._rows:
                return []
            self._posting = True
            return list(self._rows.values())

    def done(self, rows: Iterable[Row]) -> None:
        """These were counted, now or before, or can never be."""
        with self._lock:
            for row in rows:
                self._rows.pop(row.key, None)

    def end(self) -> None:
        """Another caller may post."""
        with self._lock:
            self._posting = False
