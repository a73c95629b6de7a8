"""quotactl violations: what servers have refused lately, by key, resource and rule; the latest first.

Each server remembers its own (QUOTA.VIOLATIONS); here those of all primaries stand in one list.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from .base import Row, Session, command, text_of
from .words import moment, number, plural, span

COUNT_MAX = 1000


def show_violations(session: Session, rows: Iterable[Row]) -> None:
    """As a table; `wait` is how long the last refused request had to wait. Credits have no text of a rule."""
    found = [{**row, "text": row["text"] or f"rule {row['rule']}"} for row in rows] if shows_text(session) else rows
    session.table(found, {"key": text_of, "resource": text_of, "text": text_of, "count": number, "cost": number,
                          "last": moment, "wait_ms": span, "actor": text_of}, "nothing was refused")


def shows_text(session: Session) -> bool:
    """Whether people read it: programs get the fields as they came."""
    return not (session.json or session.csv)


@command(tabular=True)
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=100, show_default=True, help="How many at most.")
@click.option("--match", metavar="PATTERN", help="Only of keys that fit, as KEYS takes it.")
@click.option("--from", "from_", metavar="INSTANT", help="Only those whose last denial was then or later.")
@click.option("--reset", is_flag=True, help="Instead: forget all of them, on every primary.")
def violations(session: Session, count: int, match: str | None, from_: str | None, reset: bool) -> None:
    """Lists what was refused lately on all primaries, the latest first."""
    servers = session.fleet.primaries
    if reset:
        session.confirm(f"Forget what {plural(len(servers), 'server')} refused?")
        for server in servers:
            session.act(server, "QUOTA.VIOLATIONS", "RESET", said=f"{server.address}: forgotten")
        return
    words = ["COUNT", count, *(["MATCH", match] if match else []), *(["FROM", from_] if from_ else [])]
    rows = [{**row, "server": server.address} for server in servers for row in server.call("QUOTA.VIOLATIONS", *words)]
    rows.sort(key=lambda row: -row["last"])
    show_violations(session, rows[:count])
