"""Rules as this process needs to know them: for header fields, and for `on_error="local"`. The server decides.

    "10 1s", "SLIDING 100 1m BURST 20"   ──▶  Rule(limit=10, period_us=1000000, capacity=10), …
    QUOTA.INFO's rows                    ──▶  the same, by the number that verdicts have
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rules = str | Sequence[str]

UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000,
            "w": 604_800_000_000}
# Calendar periods of one length; the others (month …) have none, and are taken as days only by `on_error="local"`.
EVEN_US = {"minute": UNITS_US["m"], "hour": UNITS_US["h"], "day": UNITS_US["d"], "week": UNITS_US["w"]}
ABOUT_DAYS = {"month": 30, "quarter": 91, "half-year": 182, "year": 365, "forever": 36500}
ALGORITHMS = ("GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG")
DURATION = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")
COUNTED = re.compile(r"(\d*)([a-z-]+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """`limit` units per `period_us` (None: no fixed length), `capacity` of them at once; -1 is unlimited.

    `about_us` is the period's usual length, also where it has no fixed one; None for a word that is not known here.
    """

    limit: int
    period: str
    period_us: int | None
    about_us: int | None
    capacity: int

    @property
    def window_s(self) -> int | None:
        """The period in seconds, None where that is no whole number."""
        return None if not self.period_us or self.period_us % 1_000_000 else self.period_us // 1_000_000


def duration_us(word: str) -> int | None:
    """Microseconds of "1h30m", "250ms" or "60" (seconds); None where the word is no duration."""
    if word.isdecimal():
        return int(word) * UNITS_US["s"]
    parts = DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        return None
    return sum(int(number) * UNITS_US[unit] for number, unit in parts)


def rule_of(limit: int, period: str, burst: int | None = None) -> Rule:
    """A rule by its limit and its period's word."""
    exact = about = duration_us(period)
    counted = COUNTED.fullmatch(period)
    if exact is None and counted:
        count, word = int(counted[1] or 1), counted[2]
        exact = count * EVEN_US[word] if word in EVEN_US else None
        about = exact or (count * ABOUT_DAYS[word] * UNITS_US["d"] if word in ABOUT_DAYS else None)
    return Rule(limit, period, exact, about, limit if burst is None else burst)


def words_of(rules: Rules) -> list[str]:
    """The words of rules as a command takes them: "10 1s 100 1m" and ["10 1s", "100 1m"] are the same."""
    return rules.split() if isinstance(rules, str) else [word for rule in rules for word in rule.split()]


def parse(rules: Rules) -> list[Rule]:
    """Rules by their words, as RL.ALLOW takes them. What is no rule ends them: the server says what is wrong."""
    words, found = words_of(rules), list[Rule]()
    at = 0
    while at < len(words):
        at += words[at].upper() in ALGORITHMS
        if at + 2 > len(words) or not re.fullmatch(r"-?\d+", words[at]):
            break
        limit, period, burst = int(words[at]), words[at + 1], None
        at += 2
        while at < len(words) and words[at].upper() in ("BURST", "INITIAL", "INTERVAL", "FIRST"):
            option = words[at].upper()
            takes = option in ("BURST", "INITIAL")
            if takes and at + 1 < len(words):
                if not words[at + 1].isdecimal():
                    return found
                burst = int(words[at + 1]) if option == "BURST" else burst
            at += 1 + takes
        found.append(rule_of(limit, period, burst))
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """A rule and the name that header fields give it."""

    name: str
    rule: Rule | None


def of_resource(resource: str, rows: Iterable[Mapping[str, Any]]) -> dict[int, Named]:
    """By verdicts' numbers: the rules of QUOTA.INFO, named resource.period."""
    found = dict[int, Named]()
    for row in rows:
        period = str(row["period"])
        rule = rule_of(int(row["limit"]), period) if row["kind"] in ("LIMIT", "ROLLING", "RATE") else None
        found[int(row["rule"])] = Named(f"{resource}.{period or row['kind']}", rule)
    return found


def of_policy(policy: Mapping[str, Any]) -> dict[int, Named]:
    """By verdicts' numbers: the rules of RL.POLICY GET, all under the policy's name."""
    parts = [policy["rules"], *(schedule["rules"] for schedule in policy["schedules"])]
    return {100 * part + index: Named(str(policy["name"]), rule)
            for part, texts in enumerate(parts) for index, rule in enumerate(parse(texts))}


def of_texts(name: str, rules: Rules) -> dict[int, Named]:
    """By verdicts' numbers: rules that come with the call, under one name."""
    return {index: Named(name, rule) for index, rule in enumerate(parse(rules))}
