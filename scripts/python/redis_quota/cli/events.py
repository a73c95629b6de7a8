"""quotactl events: the event log of every primary, as it comes (tail) or between two instants (range).

    events tail --type 'quota.limit.*'           the last ten, then what comes, until Ctrl-C
    events range --from 2025-06-01T00:00:00Z     what the logs still hold, oldest first

Each primary has a log of its own, with ids of its own. A forwarder that must miss nothing keeps its position; tail does
not.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import click

from .base import Row, Session, command, group
from .servers import Server
from .words import moment

PAGE = 1000
WAIT_MS = 500  # for one server; several take turns
ABOUT = ("account", "plan", "resource")
HIDDEN = ("type", "time", "db", *ABOUT)
INSTANTS = ("start", "end", "effective", "expires")
ACCOUNT = click.option("--account", help="Only events of this account.")
TYPE = click.option("--type", "type_", metavar="PATTERN", help="Only types that fit: quota.limit.*")


@group()
def events() -> None:
    """The event log: warnings, cycles that close, what operators did, grants, keys."""


def filters(account: str | None, type_: str | None) -> list[str]:
    return [*(["ACCOUNT", account] if account else []), *(["TYPE", type_] if type_ else [])]


def line_of(row: Row) -> str:
    """One event for people: when, what, whom, then all that it has."""
    about = " ".join(str(row[field]) for field in ABOUT if field in row)
    rest = " ".join(f"{name} {moment(value) if name in INSTANTS and isinstance(value, int) else value}"
                    for name, value in row.items() if name not in HIDDEN)
    return f"{moment(row['time'])}  {row['type']:24} {about}" + (f"  {rest}" if rest else "")


def put(session: Session, server: Server, entry: list[object]) -> None:
    """As a line, or with --json as a JSON line: a log has no end that could close a list."""
    identity, fields = entry
    assert isinstance(fields, dict)
    if session.json:
        click.echo(json.dumps({"server": server.address, "event": identity, **fields}))
    else:
        session.say(line_of(fields))


def read_all(server: Server, after: str, words: list[str]) -> Iterator[list[object]]:
    """Everything behind an id, in pages."""
    while page := server.call("QUOTA.EVENTS", "READ", "AFTER", after, "COUNT", PAGE, *words):
        yield from page
        after = str(page[-1][0])


# ---- tail ------------------------------------------------------------------------------------------------------------


def start_of(server: Server, last: int) -> str:
    """The id behind which the last so many entries stand: sequences are dense."""
    epoch, _, sequence = str(server.call("QUOTA.EVENTS", "INFO")["last"]).partition("-")
    return f"{epoch}-{max(int(sequence) - last, 0)}"


@command(events)
@ACCOUNT
@TYPE
@click.option("--last", type=click.IntRange(min=0), default=10, show_default=True,
              help="Look back so many entries of each log first.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
def tail(session: Session, account: str | None, type_: str | None, last: int, count: int | None) -> None:
    """Shows events as they come, from all primaries, until Ctrl-C."""
    words = filters(account, type_)
    after = {server: start_of(server, last) for server in session.fleet.primaries}
    shown_count, wait = 0, f"{max(WAIT_MS // len(after), 1)}ms"
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for server, position in after.items():
                for entry in server.call("QUOTA.EVENTS", "READ", "AFTER", position, *words, "WAIT", wait):
                    put(session, server, entry)
                    after[server] = str(entry[0])
                    shown_count += 1
                    if shown_count == count:
                        return


# ---- range -----------------------------------------------------------------------------------------------------------


@command(events, name="range")
@ACCOUNT
@TYPE
@click.option("--from", "from_", metavar="INSTANT", help="Events of this instant or later.")
@click.option("--to", metavar="INSTANT", help="Events before this instant.")
def range_(session: Session, account: str | None, type_: str | None, from_: str | None, to: str | None) -> None:
    """Shows what the logs hold between two instants, oldest first; instants are Unix ms or RFC 3339."""
    servers = session.fleet.primaries
    first, last = (None if text is None else servers[0].instant_ms(text) for text in (from_, to))
    found = [(server, entry) for server in servers for entry in read_all(server, "0-0", filters(account, type_))]
    if len(servers) > 1:
        found.sort(key=lambda item: int(item[1][1]["time"]))  # type: ignore[index]
    for server, entry in found:
        at = int(entry[1]["time"])  # type: ignore[index]
        if (first is None or at >= first) and (last is None or at < last):
            put(session, server, entry)
