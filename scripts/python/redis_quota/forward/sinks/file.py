"""The archive: JSON lines of which each carries the SHA-256 of the one before.

    {"number":1,"previous":"000…","id":…}        audit.jsonl, the running day's
    {"number":2,"previous":"9f2…","id":…}        audit-2025-01-31.jsonl, an earlier day's: the chain goes on
                          └── sha256 of line 1

Who changes, removes or puts in a line breaks the chain there (`verified`). A cut end is seen by who has kept the last
hash, which `quotactl audit verify` prints.
"""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...cli.servers import Fault, Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome, compact

FIRST = "0" * 64
RECENT_LINES = 2000  # more than one batch of events: what a crash has left written and not acknowledged
TAIL_BYTES = 8_000_000  # of the file, where those lines are
PRIVATE = 0o600


def digest(line: bytes) -> str:
    """Of a line without its end."""
    return hashlib.sha256(line).hexdigest()


def today() -> datetime.date:
    """In UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def files_of(path: Path) -> list[Path]:
    """The archive's files that are there, oldest first: those of earlier days, then the running one."""
    pattern = f"{path.stem}-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]{path.suffix}"
    earlier = sorted(path.parent.glob(pattern))
    return [*earlier, *([path] if path.exists() else [])]


# ---- reading and verifying -----------------------------------------------------------------------------------------


@dataclass
class Chain:
    """What `verified` has seen: lines, and the hash that the next line must carry."""

    lines: int = 0
    head: str = FIRST
    begin: int = 1  # the number of the first line: more than 1 where older files are gone


def lines_of(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    """`file:line` and the line, of all files. A line without an end was being written: it is not there yet."""
    for file in files:
        with file.open("rb") as read:
            for number, line in enumerate(read, 1):
                if line.endswith(b"\n"):
                    yield f"{file}:{number}", line[:-1]


def verified(files: list[Path], seen: Callable[[dict[str, Any]], None] = lambda entry: None) -> Chain:
    """Follows the chain; `seen` gets each line. Fault: the first line that does not fit, by file and number."""
    chain = Chain()
    for place, line in lines_of(files):
        try:
            entry = json.loads(line)
            number, previous = int(entry["number"]), str(entry["previous"])
        except (ValueError, KeyError, TypeError) as error:
            raise Fault(f"{place}: this is no line of the archive") from error
        if chain.lines == 0:
            chain.begin, chain.head = number, FIRST if number == 1 else previous
        if previous != chain.head or number != chain.begin + chain.lines:
            raise Fault(f"{place}: the chain is broken: this line or the one before was changed, removed or put in")
        chain.lines += 1
        chain.head = digest(line)
        seen(entry)
    return chain


def tail_of(file: BinaryIO) -> tuple[list[bytes], int]:
    """The last whole lines, without their ends, of at most TAIL_BYTES; and where they end in the file."""
    begin = max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0)
    file.seek(begin)
    read = file.read()
    first, end = read.find(b"\n") + 1 if begin else 0, read.rfind(b"\n") + 1
    return read[first:end].split(b"\n")[:-1], begin + end


# ---- writing -------------------------------------------------------------------------------------------------------


class FileSink:
    """Appends to the file that it alone has open; errors of the disk are raised."""

    def __init__(self, config: SinkConfig, day: Callable[[], datetime.date] = today) -> None:
        self.config, self.day = config, day
        self.path = Path(config.target)
        self.number, self.head = 0, FIRST
        self.recent: dict[str, None] = {}
        earlier = [name for name in files_of(self.path) if name != self.path]
        self.file = self.opened()
        if self.size == 0 and earlier:
            with earlier[-1].open("rb") as file:
                self.remember_all(tail_of(file)[0])

    def opened(self) -> BinaryIO:
        """The file for appending, at the end of its last whole line."""
        file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise Fault(f"{self.path}: another forwarder writes this file") from error
        self.written = datetime.datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, datetime.UTC).date()
        lines, self.size = tail_of(file)
        if self.size and not lines:
            raise Fault(f"{self.path}: its end is no line of an archive")
        self.remember_all(lines)
        file.truncate(self.size)
        file.seek(self.size)
        return file

    def remember_all(self, lines: list[bytes]) -> None:
        for line in lines:
            self.remember(line)

    def remember(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self.number, self.recent[str(entry["id"])] = int(entry["number"]), None
        except (ValueError, KeyError, TypeError) as error:
            raise Fault(f"{self.path}: its end is no line of an archive") from error
        self.head = digest(line)
        if len(self.recent) > RECENT_LINES:
            del self.recent[next(iter(self.recent))]

    async def send(self, delivery: Delivery) -> Outcome:
        """Once: what a crash has left written and not acknowledged is not written again."""
        if delivery.id not in self.recent:
            self.turn_over()
            line = compact({"number": self.number + 1, "previous": self.head, **delivery.message()}).encode()
            self.write(line + b"\n")
            self.remember(line)
        return Outcome()

    def write(self, line: bytes) -> None:
        """The whole line or, where the disk is full, nothing of it."""
        try:
            if self.file.write(line) != len(line):
                raise OSError("the disk is full")
        except OSError:
            self.file.truncate(self.size)
            self.file.seek(self.size)
            raise
        self.size += len(line)

    def turn_over(self) -> None:
        """With a new day a new file; the old one has its day in its name, and is removed when it was kept for so
        long."""
        day = self.day()
        if self.size and self.written < day:
            os.fsync(self.file.fileno())
            rotated = self.path.with_name(f"{self.path.stem}-{self.written}{self.path.suffix}")
            if not rotated.exists():  # else the clock was put back, and the file goes on
                self.path.rename(rotated)
                self.file.close()
                self.file = self.opened()
                self.remove_old(day)
        self.written = max(day, self.written)

    def remove_old(self, day: datetime.date) -> None:
        """Files of days that are longer ago than `keep`."""
        if not self.config.keep_ms:
            return
        oldest = day - datetime.timedelta(milliseconds=self.config.keep_ms)
        for file in files_of(self.path):
            if file != self.path and file.stem.removeprefix(f"{self.path.stem}-") < oldest.isoformat():
                file.unlink()

    async def flush(self) -> None:
        await asyncio.to_thread(os.fsync, self.file.fileno())

    async def close(self) -> None:
        self.file.close()


def open_sink(config: SinkConfig, fleet: Fleet) -> FileSink:
    return FileSink(config)
