"""What a run shows and leaves behind: a bar while it runs, tables on the terminal, its part of results.json.

    results.json   {"throughput": {"settings": …, "machine": …, "rows": …}, "memory": …, "scale": …, "latency": …}

Every part replaces its own figures and leaves those of the others.
"""
import contextlib
import dataclasses
import datetime
import json

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SCREEN = Console()
ERRORS = Console(stderr=True)
WIDTH = 110  # of tables that go into a file


@contextlib.contextmanager
def progress(title, total):
    """A function that says what is done next: one step of so many."""
    now = TextColumn("{task.fields[now]}")
    columns = (TextColumn(title), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), now)
    with Progress(*columns, console=ERRORS, transient=True) as bars:
        bar = bars.add_task(title, total=total, now="")
        done = [0]

        def step(now):
            bars.update(bar, completed=done[0], now=now)
            done[0] += 1

        yield step


def table(title, heads, rows):
    """First column text, the others figures; a row of one cell is a line that parts groups."""
    shown = Table(title=title, title_justify="left", box=None, header_style="bold", min_width=min(len(title), WIDTH))
    for number, head in enumerate(heads):
        shown.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, str) else f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}"
                        for cell in row), style="dim" if len(row) == 1 else "")
    screen = SCREEN if SCREEN.is_terminal else Console(width=WIDTH)
    screen.print(shown)
    screen.print()


def plain(value):
    """Three digits behind the point are more than is known."""
    if dataclasses.is_dataclass(value):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


def read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(path, figures):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(figures), indent=1) + "\n", encoding="utf-8")


def keep(settings, part, machine, figures):
    """Puts a part's figures into results.json."""
    path = settings.out / "results.json"
    used = {"rounds": settings.rounds, "requests": settings.requests, "keys": settings.keys, "big": settings.big,
            "peers": [peer.name for peer in settings.peers]}
    day = datetime.date.today().isoformat()
    write(path, read(path) | {part: {"day": day, "machine": machine, "settings": used, **figures}})
