"""What every command of quotactl has: its options, how it prints, the question before it takes something away.

    @command(group)  ──▶  def show(session: Session, account: str): …       the function gets the session first
                          session.fleet · session.table(rows) · session.confirm("close acme?") · session.reason("…")

Results go to standard output, all else (counts, questions, progress bars) to standard error.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from .servers import DEFAULT_URL, Fault, Fleet, Refused, Server
from .words import data, line, portable, readable

REASON_BYTES_MAX = 256  # of the module
WIDE = 10_000  # columns where there is no terminal: nothing is cut
Row = dict[str, Any]


@dataclass
class Session:
    """One call of quotactl: its servers and how it answers."""

    fleet: Fleet
    json: bool = False
    csv: bool = False
    yes: bool = False
    actor: str | None = None

    def say(self, text: str) -> None:
        """A line for people; with --json nothing, so that the output stays JSON."""
        if not self.json:
            click.echo(readable(text))

    def note(self, text: str) -> None:
        """A line beside the result, on standard error."""
        click.echo(readable(text), err=True)

    def emit(self, value: Any) -> None:
        """The value as JSON."""
        click.echo(json.dumps(value, indent=2))

    def reason(self, text: str | None) -> list[str]:
        """REASON for the audit trail, the actor in front: the server itself notes only its ACL user."""
        words = ": ".join(filter(None, (self.actor, text)))
        if len(data(words)) > REASON_BYTES_MAX:
            raise Fault(f"the reason, with its actor, has more than {REASON_BYTES_MAX} bytes")
        return ["REASON", words] if words else []

    def confirm(self, question: str) -> None:
        """Returns after a yes: of --yes, or of the person at the terminal. Without a terminal --yes is needed."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Fault(f"{question} There is no terminal to answer: say --yes")
        if not click.confirm(readable(question), err=True):
            raise Refused("nothing was done")

    def act(self, server: Server, *command: object, said: str | Callable[[Any], str]) -> Any:
        """Sends one command and says what was done, in words that may come from the reply; the reply."""
        reply = server.call(*command)
        if self.json:
            self.emit({"server": server.address, "command": line(command), "reply": reply})
        else:
            self.say(said if isinstance(said, str) else said(reply))
        return reply

    def table(self, rows: Iterable[Row], columns: dict[str, Callable[[Any], str]], empty: str = "") -> None:
        """Rows as a table whose columns are shown as these functions say; --json and --csv have all fields as they
        came."""
        found = list(rows)
        if self.json:
            self.emit(found)
        elif self.csv:
            write_csv(found, list(found[0]) if found else list(columns))
        elif found:
            write_table(found, columns)
        else:
            self.note(empty or "there is nothing to show")

    @contextlib.contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar on standard error, if that is a terminal; call what it yields with the count of things done."""
        if not sys.stderr.isatty() or (total is not None and total < BAR_FROM):
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        bar = Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                       console=Console(stderr=True), transient=True)
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)


BAR_FROM = 100  # things: fewer are done before a bar could be read


def text_of(value: Any) -> str:
    """How a field without a function of its own is shown."""
    return "-" if value is None or value == "" else readable(str(value))


def write_table(rows: Sequence[Row], columns: dict[str, Callable[[Any], str]]) -> None:
    """Heads and rows in aligned columns; numbers to the right. A terminal's width folds long cells."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in columns:
        values = [row.get(name) for row in rows]
        right = any(isinstance(value, int) for value in values)
        table.add_column(Text(name.replace("_", " ")), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(show(row.get(name))) for name, show in columns.items()))
    terminal = sys.stdout.isatty()
    out = io.StringIO()
    Console(file=out, width=None if terminal else WIDE, color_system=None).print(table)
    click.echo("\n".join(text.rstrip() for text in out.getvalue().rstrip("\n").split("\n")))


def csv_value(value: Any) -> Any:
    """Maps and lists as JSON, null as nothing, bytes that are no text as escapes."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, str):
        return portable(value)
    return "" if value is None else value


def write_csv(rows: Iterable[Row], fields: Sequence[str], file: Any = None) -> None:
    """A head of field names, then the rows."""
    writer = csv.writer(file or sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([csv_value(row.get(field)) for field in fields] for row in rows)


# ---- commands ----------------------------------------------------------------------------------------------------

OPTIONS = (
    click.Option(["--url", "urls"], multiple=True, metavar="URL", envvar="QUOTA_URL", default=(DEFAULT_URL,),
                 help=f"The server, any node of the cluster, or several. Default: $QUOTA_URL, else {DEFAULT_URL}."),
    click.Option(["--json", "as_json"], is_flag=True, help="Answer JSON: fields as the server names them, Unix ms."),
    click.Option(["--yes", "-y"], is_flag=True, help="Do it without a question."),
    click.Option(["--actor"], envvar="QUOTA_ACTOR", metavar="NAME",
                 help="Who does this: stands in front of the reason in the audit trail. Default: $QUOTA_ACTOR."),
)
CSV = click.Option(["--csv", "as_csv"], is_flag=True, help="Answer CSV with a head of field names.")


class Group(click.Group):
    """Errors of servers and files are a line on standard error, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        return guarded(super().invoke, ctx)


class Command(click.Command):
    """A command with the options that every command has; its function gets a Session first."""

    def __init__(self, *arguments: Any, tabular: bool = False, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self.params += [*OPTIONS, *((CSV,) if tabular else ())]

    def invoke(self, ctx: click.Context) -> Any:
        words = ctx.params
        session = Session(Fleet(words.pop("urls")), words.pop("as_json"), words.pop("as_csv", False), words.pop("yes"),
                          words.pop("actor"))
        if session.json and session.csv:
            raise click.UsageError("--json and --csv do not go together.")
        return guarded(super().invoke, ctx, session)


def guarded(invoke: Callable[[click.Context], Any], ctx: click.Context, session: Session | None = None) -> Any:
    """What the servers, the file system or a limit of Python says, as one line."""
    import redis
    if session:
        ctx.obj = session
    try:
        return invoke(ctx)
    except BrokenPipeError:
        raise
    except (redis.RedisError, OSError, UnicodeError, RecursionError) as error:
        raise Fault(str(error) or type(error).__name__) from error


Function = Callable[..., Any]


def command(group: click.Group | None = None, *, name: str | None = None,
            **words: Any) -> Callable[[Function], Command]:
    """Makes a function a command, of a group or beside the groups. `tabular=True`: it takes --csv."""
    def made(function: Function) -> Command:
        @functools.wraps(function)
        def called(**params: Any) -> Any:
            return function(click.get_current_context().obj, **params)
        built = click.command(name or function.__name__.rstrip("_"), cls=Command, **words)(called)
        if group is not None:
            group.add_command(built)
        return built
    return made


def group(**words: Any) -> Callable[[Function], click.Group]:
    """Makes a function a group of commands; its docstring is what --help says."""
    return click.group(cls=Group, **words)


# Rules may hold -1, which click would take for an option.
RULES: dict[str, Any] = {"context_settings": {"ignore_unknown_options": True}}
