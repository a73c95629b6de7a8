"""quotactl audit: what the forwarder's file sink has archived.

    audit verify audit.jsonl                        follows the hash chain over all files; names the line that breaks it
    audit report audit.jsonl --from … --to …        who did what to whom, and what happened, of a verified archive
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from .base import Row, Session, command, group, text_of
from .servers import Fault

FILE = click.argument("file", type=click.Path())
ABOUT = ("account", "plan", "resource")


@group()
def audit() -> None:
    """The forwarder's archive: report, verify."""


def archive(file: str) -> list[Path]:
    from ..forward.sinks.file import files_of
    found = files_of(Path(file))
    if not found:
        raise Fault(f"{file}: there is no such archive")
    return found


def instant(text: str | None) -> str | None:
    """An instant of a call, RFC 3339 or Unix ms, as the archive writes it, so that both compare as text."""
    from ..forward.delivery import iso
    if text is None:
        return None
    if text.isdigit():
        return iso(int(text))
    try:
        made = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise Fault(f"{text}: an instant is Unix ms, or like 2025-06-01T00:00:00Z") from error
    made = made if made.tzinfo else made.replace(tzinfo=datetime.UTC)
    return iso(int(made.timestamp() * 1000))


@command(audit)
@FILE
def verify(session: Session, file: str) -> None:
    """Follows the hash chain through all files of the archive; exit code 2 where it is broken."""
    from ..forward.sinks.file import verified
    files = archive(file)
    chain = verified(files)
    if session.json:
        session.emit({"files": len(files), "lines": chain.lines, "first": chain.begin, "head": chain.head})
    else:
        last = chain.begin + chain.lines - 1
        session.say(f"{file}: lines {chain.begin} to {last}, the chain is whole, its head is {chain.head}")


@command(audit, tabular=True)
@FILE
@click.option("--from", "from_", metavar="INSTANT", help="Events of this instant or later.")
@click.option("--to", metavar="INSTANT", help="Events before this instant.")
@click.option("--account", help="Only events of this account.")
@click.option("--by", metavar="USER", help="Only what this ACL user did.")
def report(session: Session, file: str, from_: str | None, to: str | None, account: str | None,
           by: str | None) -> None:
    """Lists what the archive has between two instants, once its chain is verified."""
    from ..forward.sinks.file import verified
    first, last = instant(from_), instant(to)
    rows: list[Row] = []

    def seen(entry: dict[str, Any]) -> None:
        at, data = entry["timestamp"], entry["data"]
        if (first is None or at >= first) and (last is None or at < last) and account in (None, data.get("account")) \
                and by in (None, data.get("actor")):
            rest = {name: value for name, value in data.items() if name not in (*ABOUT, "actor", "reason", "db")}
            rows.append({"number": entry["number"], "timestamp": at, "type": entry["type"],
                         **{name: data.get(name) for name in (*ABOUT, "actor", "reason")}, "more": rest})
    verified(archive(file), seen)
    session.table(rows, {"timestamp": text_of, "type": text_of, "account": text_of, "plan": text_of,
                         "resource": text_of, "actor": text_of, "reason": text_of,
                         "more": lambda more: " ".join(f"{name} {value}" for name, value in more.items()) or "-"},
                  "nothing is in the archive between these instants")
