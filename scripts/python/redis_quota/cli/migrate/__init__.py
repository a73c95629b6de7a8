"""quotactl migrate: takes over what other rate limiters and quota libraries have stored in Redis.

    old keys ── read, never written ──▶ Items ─┬─ dry run: what would be sent
                                               ├─ WATCH target · MULTI commands EXEC, where the target is not there yet
                                               └─ verify: old and new are read again and compared

A target is made in one step or not at all, so a run that was stopped can be repeated: what is there is compared, or
with --resume passed over. What cannot be placed exactly is rounded so that the new limit does not admit what the old
one would have refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import redis

from ..base import Row, Session, command, group
from ..servers import Command, Fleet, Server
from ..words import data, line, number

SHOWN_MAX = 20  # lines of each kind; --json has all


@dataclass
class Item:
    """One target key: how it is made, and how old and new compare: `verify(server)` says what differs, "" nothing."""

    target: str
    commands: list[Command]
    verify: Callable[[Server], str]


@dataclass
class Skipped:
    """An old key that is not taken over. `harmless`: nothing is lost by that."""

    key: str
    why: str
    harmless: bool = False


@dataclass
class Report:
    """What became of the old keys."""

    made: int = 0
    there: int = 0
    passed: int = 0
    idle: int = 0
    skipped: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    differs: list[Row] = field(default_factory=list)

    def is_clean(self) -> bool:
        return not (self.skipped or self.failed or self.differs)


Source = Iterator[Item | Skipped]


@group()
def migrate() -> None:
    """Takes over keys of other limiters. Old keys are read and left as they are; a repeated run changes nothing."""


def make(server: Server, item: Item) -> str:
    """Makes the target in one step: "made", "there" where it is there already, or the error."""
    with server.client.pipeline(transaction=True) as transaction:
        try:
            transaction.watch(data(item.target))  # type: ignore[no-untyped-call]
            if transaction.exists(data(item.target)):
                return "there"
            transaction.multi()
            for words in item.commands:
                transaction.execute_command(*map(data, words))  # type: ignore[no-untyped-call]
            replies = transaction.execute(raise_on_error=False)
        except redis.WatchError:
            return "there"
    errors = [str(reply) for reply in replies if isinstance(reply, Exception)]
    return errors[0] if errors else "made"


class Run:
    """One migration."""

    def __init__(self, session: Session, dry_run: bool, resume: bool) -> None:
        self.session, self.dry_run, self.resume = session, dry_run, resume
        self.report = Report()
        self.planned: list[str] = []
        self.compared: list[Item] = []

    def take(self, found: Item | Skipped) -> None:
        """One old key, or what belongs together of several."""
        report = self.report
        if isinstance(found, Skipped):
            report.idle += found.harmless
            report.skipped += [] if found.harmless else [{"key": found.key, "why": found.why}]
            return
        if self.dry_run:
            self.planned += [line(words) for words in found.commands]
            report.made += 1
            return
        what = make(self.session.fleet.home(found.target), found)
        report.made += what == "made"
        if what == "there":
            report.passed += self.resume
            report.there += not self.resume
        elif what != "made":
            report.failed.append({"key": found.target, "why": what})
            return
        if what == "made" or not self.resume:
            self.compared.append(found)

    def verify(self) -> None:
        """Old and new, read again."""
        with self.session.progress("verify", len(self.compared)) as advance:
            for item in self.compared:
                different = item.verify(self.session.fleet.home(item.target))
                if different:
                    self.report.differs.append({"key": item.target, "why": different})
                advance(1)

    def run(self, source: Iterable[Item | Skipped]) -> None:
        """Takes all of it over, compares, reports; exit code 1 where a person has to look."""
        with self.session.progress("take over") as advance:
            for found in source:
                self.take(found)
                advance(1)
        self.verify()
        self.print_report()
        sys.exit(0 if self.report.is_clean() else 1)

    def print_report(self) -> None:
        report = self.report
        if self.session.json:
            self.session.emit({"dry_run": self.dry_run, **vars(report), "commands": self.planned})
            return
        for text in self.planned[:SHOWN_MAX]:
            self.session.say(text)
        if len(self.planned) > SHOWN_MAX:
            self.session.say(f"… and {number(len(self.planned) - SHOWN_MAX)} commands more")
        for word, rows in (("not taken over", report.skipped), ("failed", report.failed), ("differs", report.differs)):
            for row in rows[:SHOWN_MAX]:
                self.session.say(f"{word}: {row['key']}: {row['why']}")
            if len(rows) > SHOWN_MAX:
                self.session.say(f"… and {number(len(rows) - SHOWN_MAX)} more: --json has all")
        counts = {"would be made" if self.dry_run else "made": report.made, "there already": report.there,
                  "passed over": report.passed, "with nothing to take over": report.idle,
                  "not taken over": len(report.skipped), "failed": len(report.failed),
                  "different": len(report.differs)}
        self.session.say(", ".join(f"{number(count)} {name}" for name, count in counts.items()
                                   if count or name.endswith("made")))


# ---- what every migration has --------------------------------------------------------------------------------------

Reader = Callable[..., Source]
FROM = click.option("--from", "from_", metavar="URL", help="The server with the old keys. Default: that of --url.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
RESUME = click.option("--resume", is_flag=True, help="Pass over what an earlier run has made, without a comparison: "
                                                     "services may use it already.")


def migration(name: str, **words: Any) -> Callable[[Reader], click.Command]:
    """Makes a reader a command: it yields Items from the old keys; `old` are their servers, `new` those of --url."""
    def made(reader: Reader) -> click.Command:
        def run(session: Session, from_: str | None, dry_run: bool, resume: bool, **options: Any) -> None:
            old = Fleet([from_]) if from_ else session.fleet
            Run(session, dry_run, resume).run(reader(old, session.fleet, **options))

        run.__doc__ = reader.__doc__
        run.__click_params__ = getattr(reader, "__click_params__", [])  # type: ignore[attr-defined]
        return command(migrate, name=name, **words)(FROM(DRY_RUN(RESUME(run))))
    return made


def strings(fleet: Fleet, pattern: str, kind: str = "string") -> Iterator[tuple[Server, str]]:
    """The old keys of one type, each once."""
    for server, keys in fleet.keys(kind, pattern):
        yield from ((server, key) for key in keys)


from . import goquota, rates  # noqa: E402, F401  (they add their commands to the group)
