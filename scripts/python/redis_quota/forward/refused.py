"""Refusals as events: QUOTA.VIOLATIONS ──▶ quota.limit.refused, once per account, rule and cycle.

    key acme, resource api, rule 0, last … ──▶ the rule's cycle (QUOTA.INFO) ──▶ was it sent? ──▶ a Delivery

Rates, rolling windows and credits have no cycle: they are sent once a day (UTC). The server forgets violations when it
ends, and shows the latest thousand: what must be exact is `denied` of QUOTA.HISTORY.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ..cli.servers import Fault, Server
from .delivery import Delivery
from .store import Store

TYPE = "quota.limit.refused"
DAY_MS = 86_400_000
COUNT = 1000
SENT = ("resource", "rule", "text", "count", "cost", "first", "last", "wait_ms", "actor", "db")


@dataclass
class Source:
    """The violations of one server, for one sink. `last`: what was refused before, in Unix ms, need not be read
    again; `name` is that of the deployment."""

    server: Server
    shard: str
    store: Store
    name: str
    last: int = 0


@dataclass(frozen=True)
class Refusal:
    """One to send; `mark` is the key that says for `remembered_ms` that it was."""

    delivery: Delivery
    mark: str
    remembered_ms: int


def cycle_of(row: dict[str, Any], info: Any) -> tuple[int, int]:
    """The cycle of the last refusal, [start, end) in Unix ms; the day where the rule has none."""
    last = int(row["last"])
    day = last - last % DAY_MS
    for rule in info["resources"].get(row["resource"], {}).get("rules", []) if isinstance(info, dict) else []:
        if rule["rule"] == row["rule"] and rule["end"] > 0:
            if last >= rule["start"]:
                return int(rule["start"]), int(rule["end"])
            return day, int(rule["start"])  # it was in the cycle before, which has ended since
    return day, day + DAY_MS


def fresh(source: Source) -> tuple[list[Refusal], int]:
    """Refusals of accounts that were not sent in their cycles yet, and what `last` is once they are."""
    server, store = source.server, source.store
    since = ["FROM", source.last] if source.last else []
    rows = [row for row in server.call("QUOTA.VIOLATIONS", "COUNT", COUNT, *since) if row["kind"] == "account"]
    # INFO sees one database: an account of the same name in another one may have other cycles.
    seen = list(dict.fromkeys(row["key"] for row in rows if row["db"] == server.db))
    infos = dict(zip(((server.db, key) for key in seen), server.each(["QUOTA.INFO", key] for key in seen), strict=True))
    now_ms = server.now_ms() if rows else 0
    found = [refusal_of(row, cycle_of(row, infos.get((row["db"], row["key"]))), source, now_ms) for row in rows]
    marked = list(store.server.each(["EXISTS", refusal.mark] for refusal in found))
    for mark in marked:
        if isinstance(mark, Exception):
            raise Fault(f"{store.server.address}: {mark}")
    last = max((int(row["last"]) for row in rows), default=source.last)
    return [refusal for refusal, mark in zip(found, marked, strict=True) if not mark], last


def refusal_of(row: dict[str, Any], cycle: tuple[int, int], source: Source, now_ms: int) -> Refusal:
    """The event; its id is the same whenever it is made of this account, rule and cycle."""
    start, end = cycle
    about = "\0".join(map(str, (source.shard, row["db"], row["key"], row["resource"], row["rule"], end)))
    digest = hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    fields = {"type": TYPE, "time": row["last"], "account": row["key"], "start": start, "end": end,
              **{name: row[name] for name in SENT}}
    return Refusal(Delivery.of(source.name, source.shard, f"refused_{digest}", fields),
                   source.store.key("refused", digest), max(end - now_ms, 0) + DAY_MS)
