"""Rate limits of redis-cell, limits (Python, Flask-Limiter) and Upstash, taken over into RL.THROTTLE and RL.ALLOW.

    redis-cell   <key>                                        the instant at which all is paid back, in ns
    limits       LIMITS:LIMITER/<ids>/10/1/minute             a counter with a TTL; a list; two counters in braces
    upstash      <prefix>:<id>:<window>, <prefix>:<id>        a counter for each window; a hash of a bucket

What was used is charged to the new key now. A window that began earlier there begins now here, so a client waits at
most one window longer than before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..servers import Command, Fault, Fleet, Server
from ..words import escaped, number
from . import Item, Skipped, Source, migration, strings

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_PER_S = 1000
TAT_MIN = 10**17  # ns: redis-cell's values are of our century
PREFIX = click.option("--prefix", default="rl:", show_default=True, help="What the new keys begin with.")
GRANULARITIES = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 30 * 86400, "year": 360 * 86400}


def ceiling(part: int, whole: int) -> int:
    """Division, rounded up."""
    return -(-part // whole)


def integer(text: Any) -> int | None:
    """The number that a reply is, or None."""
    return int(text) if isinstance(text, str | int) and re.fullmatch(r"-?\d+", str(text)) else None


# ---- redis-cell ------------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """One rate of CL.THROTTLE: `count` units in `period` seconds, `burst` beyond the first."""

    burst: int
    count: int
    period: int

    def owed(self, tat_ns: int, now_ms: int) -> int:
        """Units that are not paid back yet, rounded up."""
        return max(ceiling((tat_ns - now_ms * NS_PER_MS) * self.count, self.period * NS_PER_S), 0)

    def words(self, key: str, units: int) -> Command:
        return ["RL.THROTTLE", key, self.burst, self.count, self.period, units]

    def differs(self, server: Server, key: str, tat_ns: int) -> str:
        """Whether the new key has as many units left as the old one; it may have one less, by rounding."""
        now_ms = server.now_ms()
        left = int(server.call(*self.words(key, 0))[2])
        before = self.burst + 1 - self.owed(tat_ns, now_ms)
        return "" if before - 1 <= left <= before else f"{number(left)} units are left, {number(before)} before"


@migration("redis-cell")
@click.option("--match", default="*", show_default=True, metavar="PATTERN", help="The old keys.")
@click.option("--burst", type=click.IntRange(min=0), required=True, help="max_burst, as CL.THROTTLE is called with it.")
@click.option("--count", type=click.IntRange(min=1), required=True, help="Units per period.")
@click.option("--period", type=click.IntRange(min=1), required=True, help="The period in seconds.")
@PREFIX
def redis_cell(old: Fleet, new: Fleet, match: str, burst: int, count: int, period: int, prefix: str) -> Source:
    """Takes over keys of redis-cell, those of one rate in one call.

    A key of redis-cell is a string and does not hold its rate, so --burst, --count and --period say it, and --match
    which keys have it. The new key is PREFIX and the old name, for CL.THROTTLE and RL.THROTTLE. What is owed is rounded
    up to a unit. Keys of another rate are named: they owe more than the rate can.
    """
    rate = Cell(burst, count, period)
    for server, key in strings(old, match):
        tat_ns = integer(server.call("GET", key))
        if tat_ns is None or tat_ns < TAT_MIN:
            yield Skipped(key, "its value is not redis-cell's", harmless=True)
            continue
        target = prefix + key
        units = rate.owed(tat_ns, new.home(target).now_ms())
        if units > burst + 1:
            yield Skipped(key, f"owes {number(units)} units, this rate has {number(burst + 1)}: it has another rate")
        elif units == 0:
            yield Skipped(key, "all is paid back", harmless=True)
        else:
            yield Item(target, [rate.words(target, units)],
                       lambda home, target=target, tat_ns=tat_ns:  # type: ignore[misc]
                       rate.differs(home, target, tat_ns))


# ---- what the others have in common ----------------------------------------------------------------------------------


@dataclass
class Used:
    """A rule in the words of RL.ALLOW, and the units that it has used."""

    rule: str
    limit: int
    units: int


def item_of(target: str, rules: Sequence[Used], again: Any) -> Item:
    """Charges all rules of a key in one command; `again()` reads the old units once more."""
    words = [word for used in rules for word in used.rule.split()]
    costs = [min(used.units, used.limit) for used in rules]
    command: Command = ["RL.ALLOW", target, *words, "COST", *costs, "FORCE"]

    def verify(server: Server) -> str:
        info = server.call("RL.INFO", target)
        if info is None:
            return "the new key is not there"
        found = {rule["rule"]: rule["capacity"] - rule["remaining"] for rule in info["rules"]}
        for used, units in zip(rules, again(), strict=True):
            have, want = found.get(used.rule, 0), min(units, used.limit)
            forgets_sooner = used.rule.startswith("SLIDING")  # where its windows begin at other instants
            if have > max(min(used.units, used.limit), want) or (have < want and not forgets_sooner):
                return f"{used.rule}: {number(have)} units used, {number(want)} before"
        return ""
    return Item(target, [command], verify)


# ---- limits ----------------------------------------------------------------------------------------------------------


@dataclass
class Counter:
    """One old key of limits: whose it is, its rule, and how many units it counts."""

    server: Server
    key: str
    ids: str
    amount: int
    seconds: int
    kind: str  # FIXED, LOG or SLIDING

    @property
    def rule(self) -> str:
        return f"{self.kind} {self.amount} {duration(self.seconds)}" + (" FIRST" if self.kind == "FIXED" else "")

    def units(self, now_ms: int) -> int:
        """What counts now, as limits itself would say."""
        if self.kind == "LOG":
            stamps = self.server.call("LRANGE", self.key, 0, self.amount - 1)
            return sum(float(stamp) * MS_PER_S >= now_ms - self.seconds * MS_PER_S for stamp in stamps)
        count = integer(self.server.call("GET", self.key)) or 0
        if self.kind == "FIXED":
            return count
        left_ms = int(self.server.call("PTTL", self.key))
        before = self.key + "/-1"
        if left_ms < self.seconds * MS_PER_S:  # the window has ended: it is the one before
            return count * max(left_ms, 0) // (self.seconds * MS_PER_S)
        previous, its_ms = integer(self.server.call("GET", before)) or 0, int(self.server.call("PTTL", before))
        return count + previous * max(its_ms, 0) // (self.seconds * MS_PER_S)


def duration(seconds: int) -> str:
    """As the server prints it: the largest unit that divides it."""
    for size, unit in ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def counter_of(server: Server, key: str, kind: str, key_prefix: str) -> Counter | None:
    """What a key of limits says by its name: <prefix>:<namespace>/<ids>/<amount>/<multiples>/<granularity>."""
    text = key.removeprefix(key_prefix + ":") if key_prefix else key
    braces = re.fullmatch(r"\{(.*)\}", text, re.S)
    match = re.fullmatch(r"([^/]+)/(.*)/(\d+)/(\d+)/(\w+)", braces[1] if braces else text, re.S)
    if not match or match[5] not in GRANULARITIES:
        return None
    how = "SLIDING" if braces else "LOG" if kind == "list" else "FIXED"
    return Counter(server, key, match[2], int(match[3]), int(match[4]) * GRANULARITIES[match[5]], how)


@migration("limits")
@click.option("--key-prefix", default="LIMITS", show_default=True, help="What old keys begin with, before the colon; "
                                                                        "older versions have none: ''.")
@PREFIX
def limits(old: Fleet, new: Fleet, key_prefix: str, prefix: str) -> Source:
    """Takes over keys of Python's limits and Flask-Limiter.

    The fixed window becomes FIXED … FIRST, the moving window LOG, the sliding window counter SLIDING; the limit stands
    in the old name. The new key is PREFIX and the identifiers; several limits of one client become rules of one key:
    LIMITS:LIMITER/api/42/10/1/minute and …/100/1/hour ──▶ rl:api/42 with two rules.
    """
    found: dict[str, list[Counter]] = {}
    for kind in ("string", "list"):
        pattern = f"{escaped(key_prefix)}:*" if key_prefix else "LIMITER/*"
        for server, key in strings(old, pattern, kind):
            counter = counter_of(server, key, kind, key_prefix)
            if counter:
                found.setdefault(counter.ids, []).append(counter)
            elif not key.endswith("/-1"):
                yield Skipped(key, "its name is not of the form <ids>/<amount>/<multiples>/<granularity>")
    for ids, counters in found.items():
        target = prefix + ids
        yield taken(target, counters, new.home(target))


def taken(target: str, counters: list[Counter], home: Server) -> Item | Skipped:
    """The limits of one client as rules of one key."""
    now_ms = home.now_ms()
    used = [Used(counter.rule, counter.amount, counter.units(now_ms)) for counter in counters]
    rows = [(counter, row) for counter, row in zip(counters, used, strict=True) if row.units]
    if not rows:
        return Skipped(target, "nothing is used", harmless=True)
    return item_of(target, [row for _, row in rows], lambda: [counter.units(home.now_ms()) for counter, _ in rows])


# ---- upstash ---------------------------------------------------------------------------------------------------------


@dataclass
class Upstash:
    """The rule of all keys of one prefix: `limit` is the capacity, `period_ms` the window or the interval."""

    rule: str
    algorithm: str
    limit: int
    period_ms: int
    rate: int

    def counted(self, server: Server, name: str, now_ms: int) -> int:
        """Units used of one identifier (with the prefix), as the library would say."""
        if self.algorithm == "TOKEN":
            return self.taken(server, name, now_ms)
        window = now_ms // self.period_ms
        current = integer(server.call("GET", f"{name}:{window}")) or 0
        if self.algorithm == "FIXED":
            return current
        previous = integer(server.call("GET", f"{name}:{window - 1}")) or 0
        return current + previous * (self.period_ms - now_ms % self.period_ms) // self.period_ms

    def taken(self, server: Server, name: str, now_ms: int) -> int:
        """What a bucket lacks now."""
        # The library for TypeScript writes refilledAt, the one for Python refilled_at.
        at, also_at, tokens = map(integer, server.call("HMGET", name, "refilledAt", "refilled_at", "tokens"))
        refilled = also_at if at is None else at
        if refilled is None or tokens is None:
            return 0
        refills = max((now_ms - refilled) // self.period_ms, 0)
        return max(self.limit - tokens - refills * self.rate, 0)


def upstash_rule(server: Server, rule: str) -> Upstash:
    """The rule as the server prints it, and its numbers."""
    words = rule.split()
    if not words or words[0].upper() not in ("FIXED", "SLIDING", "TOKEN") or "FIRST" in words:
        raise Fault("--rule must be FIXED n period, SLIDING n period, or TOKEN rate interval BURST capacity INTERVAL")
    printed = str(server.call("QUOTA.PLAN", "CHECK", "migrate", "migrate", "RATE", *words)["rules"][0])
    printed = printed.removeprefix("RATE ")
    algorithm, rate, period, *rest = printed.split()
    start, end, _ = server.call("QUOTA.CYCLE", period, "ANCHOR", "0us", "AT", "0us")
    limit = int(rest[rest.index("BURST") + 1]) if "BURST" in rest else int(rate)
    return Upstash(printed, algorithm, limit, int(end) - int(start), int(rate))


def upstash_names(old: Fleet, rule: Upstash, key_prefix: str) -> Iterator[tuple[Server, str]]:
    """Each identifier once, with its prefix."""
    seen = set()
    token = rule.algorithm == "TOKEN"
    for server, key in strings(old, f"{escaped(key_prefix)}:*", "hash" if token else "string"):
        name = key if token else re.sub(r":\d+$", "", key)
        if name not in seen and (token or name != key):
            seen.add(name)
            yield server, name


@migration("upstash")
@click.option("--rule", required=True, metavar="RULE", help='The limit: "FIXED 10 10s", "SLIDING 10 10s", or '
                                                             '"TOKEN 5 10s BURST 20 INTERVAL".')
@click.option("--key-prefix", default="@upstash/ratelimit", show_default=True, help="The prefix of the old limiter.")
@PREFIX
def upstash(old: Fleet, new: Fleet, rule: str, key_prefix: str, prefix: str) -> Source:
    """Takes over keys of Upstash's ratelimit of one region, those of one limiter in one call.

    The keys do not hold the limit, so --rule says it. The new key is PREFIX and the identifier. Counters of several
    regions and payload limits are not taken over.
    """
    found = upstash_rule(new.primaries[0], rule)
    for server, name in upstash_names(old, found, key_prefix):
        target = prefix + name.removeprefix(key_prefix + ":")
        home = new.home(target)
        units = found.counted(server, name, home.now_ms())
        if not units:
            yield Skipped(name, "nothing is used", harmless=True)
        else:
            yield item_of(target, [Used(found.rule, found.limit, units)],
                          lambda server=server, name=name, home=home:
                          [found.counted(server, name, home.now_ms())])
