"""quotactl usage: what accounts use, of all servers: a report, the largest, an export.

    SCAN … TYPE q-account ──▶ QUOTA.INFO of 500 accounts at once ──▶ a row for each LIMIT and its running cycle
                                    └── --from, --to: QUOTA.HISTORY of each resource ──▶ a row for each closed cycle
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO

import click

from .account import FULL, infos, rule_rows, used_percent
from .base import Row, Session, command, group, text_of, write_csv
from .servers import Server
from .words import moment, number, percent

HISTORY_MAX = 1000
FIELDS = ("account", "plan", "state", "resource", "rule", "kind", "period", "limit", "used", "held", "remaining",
          "start", "end")
CLOSED = ("account", "plan", "resource", "period", "start", "end", "limit", "used", "refunded", "denied", "peak",
          "overage", "rolled")
RESOURCE = click.option("--resource", help="Only this resource.")
PERIOD = click.option("--period", help="Only LIMITs of this period, like month.")
PLAN = click.option("--plan", metavar="PLAN", help="Only accounts that have this plan.")
PATTERN = click.argument("pattern", default="*")


@group()
def usage() -> None:
    """Who uses how much. Only LIMITs count units for good; rates forget by themselves."""


def rows_of(info: Row, kinds: Iterable[str]) -> Iterator[Row]:
    """The account's own rules of these kinds, flat."""
    for row in rule_rows(info):
        if row["kind"] in kinds and not row["of"]:
            flat = {"account": info["account"], "plan": info["plan"], "state": info["state"], **row}
            yield {field: flat[field] for field in FIELDS}


def running(session: Session, pattern: str, plan: str | None, resource: str | None, period: str | None,
            kinds: Iterable[str] = ("LIMIT",)) -> Iterator[Row]:
    """The running cycles of all accounts that fit."""
    for _, _, info in infos(session, pattern):
        if plan in (None, info["plan"]):
            for row in rows_of(info, kinds):
                if resource in (None, row["resource"]) and period in (None, row["period"]):
                    yield row


def part_of(row: Row) -> int:
    """Percent of the limit that is used or held; an unlimited one is empty."""
    return used_percent(row) or 0


# ---- report, top -----------------------------------------------------------------------------------------------------


@command(usage, tabular=True)
@PATTERN
@PLAN
@RESOURCE
@click.option("--near", type=click.IntRange(1, FULL), default=80, show_default=True,
              help="Percent of the limit from which an account is near it.")
def report(session: Session, pattern: str, plan: str | None, resource: str | None, near: int) -> None:
    """Sums the running cycles by plan, resource and period: accounts, units, how many are near or at their limit."""
    sums: dict[tuple[str, str, str], Row] = {}
    for row in running(session, pattern, plan, resource, None):
        key = (row["plan"], row["resource"], row["period"])
        total = sums.setdefault(key, {"plan": key[0], "resource": key[1], "period": key[2], "accounts": 0, "used": 0,
                                      "held": 0, "near": 0, "full": 0})
        part = part_of(row)
        total["accounts"] += 1
        total["used"] += row["used"]
        total["held"] += row["held"]
        total["near"] += near <= part < FULL
        total["full"] += part >= FULL
    rows = [sums[key] for key in sorted(sums)]
    session.table(rows, {"plan": text_of, "resource": text_of, "period": text_of,
                         **dict.fromkeys(("accounts", "used", "held", "near", "full"), number)}, "no account fits")


@command(usage, tabular=True)
@PATTERN
@PLAN
@RESOURCE
@PERIOD
@click.option("--near", type=click.IntRange(0, FULL), default=0, help="Only accounts at so many percent or more.")
@click.option("--by", type=click.Choice(["percent", "used"]), default="percent", show_default=True,
              help="What is large: the part of the limit, or the units.")
@click.option("--count", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
def top(session: Session, pattern: str, plan: str | None, resource: str | None, period: str | None, near: int,
        by: str, count: int) -> None:
    """Lists the accounts that use most, or are nearest to a limit: usage top --near 80."""
    def size(row: Row) -> tuple[int, int]:
        part, units = part_of(row), row["used"] + row["held"]
        return (part, units) if by == "percent" else (units, part)

    found = (row for row in running(session, pattern, plan, resource, period) if part_of(row) >= near)
    rows = [{**row, "percent": part_of(row)} for row in heapq.nlargest(count, found, key=size)]
    session.table(rows, {"account": text_of, "plan": text_of, "resource": text_of, "period": text_of, "used": number,
                         "held": number, "limit": number, "percent": percent, "end": moment},
                  "no account is there" if near else "no account fits")


# ---- export ----------------------------------------------------------------------------------------------------------


def closed(session: Session, pattern: str, words: list[str], plan: str | None, resource: str | None) -> Iterator[Row]:
    """The closed cycles of all accounts that fit: QUOTA.HISTORY of every resource, many at once."""
    batch: dict[Server, list[tuple[Row, str]]] = {}
    for server, _, info in infos(session, pattern):
        if plan in (None, info["plan"]):
            batch.setdefault(server, []).extend((info, name) for name in info["resources"] if resource in (None, name))
    for server, wanted in batch.items():
        replies = server.each(["QUOTA.HISTORY", info["account"], name, *words] for info, name in wanted)
        for (info, name), cycles in zip(wanted, replies, strict=True):
            for cycle in cycles if isinstance(cycles, list) else ():
                flat = {"account": info["account"], "plan": info["plan"], "resource": name, **cycle}
                yield {field: flat[field] for field in CLOSED}


def stream(session: Session, rows: Iterable[Row], fields: tuple[str, ...], file: IO[str]) -> int:
    """CSV, or JSON lines; how many."""
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows:
            count += 1
            yield row
    if session.csv:
        write_csv(counted(), fields, file)
    else:
        file.writelines(json.dumps(row) + "\n" for row in counted())
    return count


def export_to(session: Session, rows: Iterable[Row], fields: tuple[str, ...], output: str | None) -> None:
    """To a file or standard output; how many rows on standard error."""
    with ExitStack() as stack:
        file: IO[str] = sys.stdout
        if output:
            file = stack.enter_context(open(output, "w", encoding="utf-8", newline=""))
        count = stream(session, rows, fields, file)
    session.note(f"{number(count)} rows")


OUTPUT = click.option("--output", "-o", type=click.Path(dir_okay=False, writable=True), help="A file instead of "
                                                                                               "standard output.")


@command(usage, tabular=True)
@PATTERN
@PLAN
@RESOURCE
@PERIOD
@click.option("--from", "from_", metavar="INSTANT", help="Closed cycles that begin then or later, instead of running.")
@click.option("--to", metavar="INSTANT", help="Closed cycles that begin before then.")
@OUTPUT
def export(session: Session, pattern: str, plan: str | None, resource: str | None, period: str | None,
           from_: str | None, to: str | None, output: str | None) -> None:
    """Writes a row for each running cycle as JSON lines, or --csv; with --from or --to for each closed cycle.

    Numbers are units, instants Unix ms, limit -1 is unlimited. Closed cycles reach back as far as QUOTA.HISTORY keeps
    them, 64 of each period.
    """
    if from_ or to:
        words = ["COUNT", str(HISTORY_MAX), *(["FROM", from_] if from_ else []), *(["TO", to] if to else []),
                 *(["PERIOD", period] if period else [])]
        export_to(session, closed(session, pattern, words, plan, resource), CLOSED, output)
    else:
        kinds = ("LIMIT", "ROLLING", "credits")
        export_to(session, running(session, pattern, plan, resource, period, kinds), FIELDS, output)

