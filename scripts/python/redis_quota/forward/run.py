"""The program: a worker for each sink and a sweeper, on one event loop; SIGTERM and Ctrl-C end it after the last batch.

    run(settings, urls) ─┬─ Worker(billing)     what waits for a server waits on a thread
                         ├─ Worker(archive)
                         ├─ Sweeper             QUOTA.SETTLE
                         └─ watch               which servers are primaries now

It starts also while no server answers, and goes on when they are back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from ..cli.scraped import served
from ..cli.servers import Fault, Fleet
from ..core import now_ms
from .config import Settings
from .metrics import Metrics
from .refused import TYPE as REFUSED
from .shards import Shard, shards_of
from .store import SINKS, home_of
from .sweep import Sweeper
from .worker import Worker

STEP_S = 0.5
WATCH_S = 5.0  # how often the primaries of a cluster are looked for
GRACE_S = 30.0  # for the last batch
THREADS_MIN = 8
Answer = TypeVar("Answer")
log = structlog.get_logger()


class Program:
    """What the workers share. `generation` grows when the servers are others; `trouble`: they may be."""

    def __init__(self, settings: Settings, urls: Sequence[str], once: bool = False,
                 clock_ms: Callable[[], int] = now_ms) -> None:
        self.settings, self.urls, self.once, self.clock_ms = settings, urls, once, clock_ms
        self.metrics = Metrics(tuple(sink.name for sink in settings.sinks))
        self.read_to_end: set[tuple[str, str, str]] = set()
        self.fleet, self.shards = Fleet(urls), list[Shard]()
        self.generation, self.trouble = 0, False
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.ending = asyncio.Event()
        self.threads = ThreadPoolExecutor(THREADS_MIN)

    @property
    def stopping(self) -> bool:
        return self.ending.is_set()

    async def in_thread(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)

    def at_end(self, sink: str, what: str, shard: str) -> None:
        """With `once`: the sink has all of this log, or of these refusals. When that is so of all, the program ends."""
        self.read_to_end.add((sink, what, shard))
        wanted = sum(1 + made.wants(REFUSED) for made in self.settings.sinks) * len(self.shards)
        if self.once and len(self.read_to_end) >= wanted:
            self.ending.set()

    async def look(self) -> bool:
        """Finds the primaries; whether they answered. Those of before stay until they do."""
        fleet = Fleet(self.urls)
        try:
            shards = await self.in_thread(shards_of, fleet)
            home = await self.in_thread(home_of, fleet, SINKS)
            await self.in_thread(home.call, "SADD", SINKS, *(sink.name for sink in self.settings.sinks))
        except Fault as fault:
            log.warning("no servers", error=fault.message)
            return False
        changed = [(name, server.address, server.slots) for name, server in shards] != [
            (name, server.address, server.slots) for name, server in self.shards]
        if changed:
            log.info("servers", shards={name: server.address for name, server in shards})
            self.resize(len(shards))
            self.fleet, self.shards = fleet, shards
            self.generation += 1
        return True

    def resize(self, shards: int) -> None:
        """Threads for every reader that waits, and some for all else."""
        wanted = (shards * 2 + 3) * (len(self.settings.sinks) + 1) + THREADS_MIN
        self.threads, before = ThreadPoolExecutor(wanted), self.threads
        before.shutdown(wait=False)

    async def watch(self) -> None:
        """Looks again after a while, sooner when a worker has had trouble."""
        waited_s = 0.0
        while not self.stopping:
            await self.pause(STEP_S)
            waited_s += STEP_S
            if waited_s >= WATCH_S or self.trouble:
                self.trouble = not await self.look()
                waited_s = 0.0

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ending.set)
        while not await self.look():
            await self.pause(1)
            if self.stopping:
                return
        tasks = [Worker(self, sink).forever() for sink in self.settings.sinks]
        tasks += [] if self.once else [Sweeper(self).forever()]
        async with asyncio.timeout(None) as bound, asyncio.TaskGroup() as group:
            for task in (*tasks, self.watch()):
                group.create_task(task)
            await self.ending.wait()
            bound.reschedule(loop.time() + GRACE_S)  # what a receiver has not answered by then is repeated


def set_up_logs() -> None:
    """JSON lines on standard error."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"),
                    structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def run(settings: Settings, urls: Sequence[str], once: bool = False, metrics: tuple[str, int] | None = None) -> None:
    """Forwards events until it is stopped by a signal; with `once` until every sink has what there is. `metrics`: host
    and port to serve them on."""
    set_up_logs()

    async def program() -> None:
        made = Program(settings, urls, once)
        with contextlib.ExitStack() as stack:
            if metrics:
                log.info("metrics", address=stack.enter_context(served(made.metrics.registry, *metrics)))
            await made.run()
    with contextlib.suppress(TimeoutError):
        asyncio.run(program())
