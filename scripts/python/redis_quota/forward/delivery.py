"""One event on its way to one sink, and how an attempt ended.

    ["1-7", {type, time, db, account, …}] ──▶ Delivery(id "redis-quota-0-1-7", type, time_ms, data, …) ──▶ body()

The id is the same on every attempt and in every sink, so that a receiver can drop what it has seen. Names that are no
UTF-8 are shown with escapes, integers that JavaScript would round are text.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from typing import Any

from ..cli import words

EXACT_MAX = 2**53
SEQUENCE_DIGITS = 20
OWN_FIELDS = ("type", "time")


@dataclass(frozen=True)
class Outcome:
    """`error` is empty after a success. `gone`: the receiver wants no more events at all (410)."""

    error: str = ""
    retry_after_s: float = 0
    gone: bool = False

    @property
    def is_success(self) -> bool:
        return not self.error


def portable(value: Any) -> Any:
    """The value as every reader of JSON takes it."""
    if isinstance(value, str):
        return words.portable(value)
    if isinstance(value, int) and abs(value) > EXACT_MAX:
        return str(value)
    return value


def iso(time_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds; an instant after the year 9999 is that of its end."""
    second = min(time_ms // 1000, 253_402_300_799)
    instant = datetime.datetime.fromtimestamp(second, datetime.UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


@dataclass(frozen=True)
class Delivery:
    """`shard` names the log, `entry` is the id there; `data` has all fields but type and time."""

    id: str
    type: str
    time_ms: int
    shard: str
    entry: str
    data: dict[str, Any]

    @classmethod
    def of(cls, name: str, shard: str, entry: str, fields: dict[str, Any]) -> Delivery:
        """Of an entry of QUOTA.EVENTS READ; `name` is that of the deployment."""
        return cls(f"{name}-{shard}-{entry}", str(fields["type"]), int(fields["time"]), shard, entry,
                   {key: portable(value) for key, value in fields.items() if key not in OWN_FIELDS})

    @property
    def account(self) -> str:
        """Whose event it is; empty of plans and policies."""
        return str(self.data.get("account", ""))

    @property
    def sequence(self) -> str:
        """The place in its log, in digits that sort as text; empty of what is in no log."""
        _, _, number = self.entry.partition("-")
        return number.zfill(SEQUENCE_DIGITS) if number.isdigit() else ""

    def message(self) -> dict[str, Any]:
        """What receivers get: id, type, timestamp, data."""
        return {"id": self.id, "type": self.type, "timestamp": iso(self.time_ms), "data": self.data}

    def kept(self) -> str:
        """As JSON for the retry set; `restored` reads it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def restored(cls, text: str) -> Delivery:
        return cls(**json.loads(text))


def compact(value: Any) -> str:
    """JSON in one line, without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
