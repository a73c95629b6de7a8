"""One sink at work: it takes the lease, reads every log, sends, and keeps what failed.

    lease ──▶ read(shard) ──▶ batch ──▶ lanes, one for each account ──▶ one MULTI: what failed into the retry set,
      │       read(shard) …             (first attempts in order)                  then the position
      ├─────▶ retry()     ──▶ due deliveries ──▶ lanes ──▶ out of the set, later again, or a dead letter
      └─────▶ refusals()  ──▶ QUOTA.VIOLATIONS ──▶ quota.limit.refused, once per account, rule and cycle

The lease is lost, the servers change, the store fails: the turn ends, and the next one begins where the positions are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

import structlog

from ..cli.servers import Command, Fault, Fleet, Server
from . import refused
from .config import Settings, SinkConfig
from .delivery import Delivery, Outcome, iso
from .metrics import Metrics
from .shards import Shard
from .sinks import Sink, open_sink
from .store import START, Lease, Parked, Store, store_of

BATCH = 100
WAIT_MS = 500
PAUSE_S = 1.0
POLL_S = 0.2  # of the retry set
Answer = TypeVar("Answer")
log = structlog.get_logger()


class Around(Protocol):
    """What a worker has of the program."""

    settings: Settings
    fleet: Fleet
    shards: list[Shard]
    generation: int
    trouble: bool
    holder: str
    clock_ms: Callable[[], int]
    once: bool
    metrics: Metrics

    def at_end(self, sink: str, what: str, shard: str) -> None:
        """Called when a sink has all there is."""

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""

    async def in_thread(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """Calls what waits for a server, on a thread."""

    async def pause(self, seconds: float) -> None:
        """Returns after so long, or when the program is to end."""


class Worker:
    """One sink of the program. `token` is the lease's; `off` says why the sink is off."""

    def __init__(self, around: Around, config: SinkConfig) -> None:
        self.around, self.config = around, config
        self.lanes = asyncio.Semaphore(config.lanes)
        self.log = log.bind(sink=config.name)
        self.token, self.generation = 0, 0
        self.off, self.off_is_kept, self.waiting = "", False, 0
        self.failing_since: int | None = None
        self.store: Store
        self.lease: Lease
        self.sink: Sink

    # ---- turns ---------------------------------------------------------------------------------------------------

    async def forever(self) -> None:
        """Turn after turn until the program ends."""
        await repeated(self.around, self.turn, self.log)

    async def turn(self) -> None:
        """Waits for the lease and works as long as it is ours and the servers are the same."""
        in_thread, around = self.around.in_thread, self.around
        self.generation = around.generation
        self.store = await in_thread(store_of, around.fleet, self.config.name)
        self.lease = Lease(self.store.server, self.store.key("holder"), around.holder, around.settings.lease_ms)
        self.token = await in_thread(self.lease.acquire, WAIT_MS)
        if not self.token:
            return
        try:
            await in_thread(self.store.write, self.token, [])  # from now on an earlier holder writes no more
            await self.load_state()
            self.sink = open_sink(self.config, around.fleet)
            try:
                await self.work()
            finally:
                await self.sink.close()
        finally:
            self.show(holding=False)
            await in_thread(self.lease.release, self.token)

    async def work(self) -> None:
        """All that the sink does at once, until one of it ends."""
        self.log.info("holding", token=self.token)
        async with asyncio.TaskGroup() as group:
            for shard, server in self.around.shards:
                group.create_task(self.read(shard, server))
                if self.config.wants(refused.TYPE):
                    group.create_task(self.watch_refusals(shard, server))
            group.create_task(self.retry())
            group.create_task(self.keep_lease())

    def going(self) -> bool:
        return not self.around.stopping and self.generation == self.around.generation

    async def keep_lease(self) -> None:
        """Renews it three times in its life, and looks whether an operator has turned the sink on again."""
        while self.going():
            await self.around.pause(POLL_S)
            if self.lease.is_due:
                await self.around.in_thread(self.lease.renew, self.token)
                self.waiting = (await self.around.in_thread(self.store.sizes))[0]
            self.show(holding=True)
            if self.off_is_kept:
                await self.load_state()

    def show(self, holding: bool) -> None:
        """What the metrics say of the sink; what waits, only the process that holds it says."""
        name, metrics = self.config.name, self.around.metrics
        metrics.holding.labels(name).set(holding)
        metrics.off.labels(name).set(bool(self.off))
        if holding:
            metrics.retrying.labels(name).set(self.waiting)
        else:
            with contextlib.suppress(KeyError):
                metrics.retrying.remove(name)

    async def load_state(self) -> None:
        state = await self.around.in_thread(self.store.state)
        self.off = state.get("off", "")
        self.off_is_kept = bool(self.off)
        self.failing_since = int(state["failing_since"]) if "failing_since" in state else None
        self.waiting = (await self.around.in_thread(self.store.sizes))[0]

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def read(self, shard: str, server: Server) -> None:
        """Everything that the log of one primary has, in its order."""
        in_thread = self.around.in_thread
        position = await in_thread(self.store.position, shard)
        while self.going():
            if self.off:
                self.around.at_end(self.config.name, "events", shard)
                await self.around.pause(POLL_S)
                continue
            try:
                if position is None:
                    position = await in_thread(self.begin, shard, server)
                entries = await in_thread(server.call, "QUOTA.EVENTS", "READ", "AFTER", position, "COUNT", BATCH,
                                    "WAIT", f"{1 if self.around.once else WAIT_MS}ms")
            except Fault as fault:  # this primary alone: the others are read on
                self.log.warning("cannot read", shard=shard, error=fault.message)
                await self.around.pause(PAUSE_S)
                continue
            if entries:
                position = await self.pass_on(shard, position, entries)
            else:
                self.around.at_end(self.config.name, "events", shard)

    def begin(self, shard: str, server: Server) -> str:
        """Where a sink begins that has no position yet: it is kept, so that it begins once."""
        position = START if self.config.start == "oldest" else str(server.call("QUOTA.EVENTS", "INFO")["last"])
        self.store.write(self.token, [self.store.moved(shard, position)])
        return position

    async def pass_on(self, shard: str, position: str, entries: list[Any]) -> str:
        """Sends a batch; the position, which has moved over all that was attempted."""
        name = self.around.settings.name
        deliveries = [Delivery.of(name, shard, str(entry), fields) for entry, fields in entries]
        wanted = [delivery for delivery in deliveries if self.config.wants(delivery.type)]
        outcomes = await self.attempt_all(wanted)
        dealt_with = []
        for delivery in deliveries:
            if delivery.id not in outcomes and self.config.wants(delivery.type):
                break
            dealt_with.append(delivery)
        attempted = [Parked(delivery, 0, "") for delivery in dealt_with if delivery.id in outcomes]
        position = dealt_with[-1].entry if dealt_with else position
        await self.record(attempted, outcomes, [self.store.moved(shard, position)])
        return position

    # ---- attempts --------------------------------------------------------------------------------------------------

    async def attempt_all(self, deliveries: Iterable[Delivery]) -> dict[str, Outcome]:
        """One attempt each, in order per account; what the sink being turned off, or the end, has kept back is not in
        the reply."""
        lanes: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            lanes.setdefault(delivery.account, []).append(delivery)
        outcomes: dict[str, Outcome] = {}
        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(self.attempt_lane(lane, outcomes))
        if outcomes:
            await self.sink.flush()
        return outcomes

    async def attempt_lane(self, lane: list[Delivery], outcomes: dict[str, Outcome]) -> None:
        for delivery in lane:
            async with self.lanes:
                if self.off or not self.going():
                    return
                with self.around.metrics.seconds.labels(self.config.name).time():
                    outcome = outcomes[delivery.id] = await self.sink.send(delivery)
            if outcome.is_success:
                self.failing_since = None
                continue
            self.log.warning("failed", id=delivery.id, error=outcome.error)
            now_ms = self.around.clock_ms()
            self.failing_since = now_ms if self.failing_since is None else self.failing_since
            if outcome.gone:
                self.off = "the receiver is gone (410)"
            elif now_ms - self.failing_since >= self.config.off_after_ms:
                self.off = f"no success since {iso(self.failing_since)}"

    async def record(self, attempted: list[Parked], outcomes: dict[str, Outcome], more: list[Command]) -> None:
        """Writes how attempts ended, then `more`, in one step."""
        now_ms, commands, failed, dead = self.around.clock_ms(), list[Command](), 0, 0
        for parked in attempted:
            outcome = outcomes[parked.delivery.id]
            if outcome.is_success:
                commands += self.store.settled(parked.delivery)
                continue
            failed += 1
            again = Parked(parked.delivery, parked.attempts + 1, outcome.error)
            due_ms = self.config.schedule.due_ms(again.attempts, now_ms, outcome.retry_after_s)
            if due_ms is None:
                self.log.error("given up", id=parked.delivery.id, attempts=again.attempts, error=outcome.error)
                commands += self.store.buried(again, now_ms)
                dead += 1
            else:
                commands += self.store.parked(again, due_ms)
        commands += self.store.counted(len(attempted) - failed, failed, now_ms)
        turned_off = bool(self.off) and not self.off_is_kept
        if turned_off:
            self.log.error("turned off", reason=self.off)
            commands += self.store.turned_off(self.off, now_ms)
        await self.around.in_thread(self.store.write, self.token, [*commands, *more])
        self.off_is_kept |= turned_off
        metrics, name = self.around.metrics, self.config.name
        for metric, count in ((metrics.delivered, len(attempted) - failed), (metrics.failed, failed),
                              (metrics.dead, dead)):
            metric.labels(name).inc(count)

    async def retry(self) -> None:
        """What failed, when its time has come."""
        while self.going():
            due = [] if self.off else await self.around.in_thread(self.store.due, self.around.clock_ms(), BATCH)
            outcomes = await self.attempt_all(parked.delivery for parked in due)
            attempted = [parked for parked in due if parked.delivery.id in outcomes]
            if attempted or (self.off and not self.off_is_kept):
                await self.record(attempted, outcomes, [])
            else:
                await self.around.pause(POLL_S)

    # ---- refusals --------------------------------------------------------------------------------------------------

    async def watch_refusals(self, shard: str, server: Server) -> None:
        """What the server refused: volatile, so this is best effort."""
        source = refused.Source(server, shard, self.store, self.around.settings.name)
        while self.going():
            if not self.off:
                try:
                    found, last = await self.around.in_thread(refused.fresh, source)
                except Fault as fault:
                    self.log.warning("cannot read refusals", shard=shard, error=fault.message)
                    found, last = [], source.last
                if await self.pass_on_refusals(found):
                    source.last = last
            self.around.at_end(self.config.name, "refusals", shard)
            await self.around.pause(self.around.settings.refusals_every_ms / 1000)

    async def pass_on_refusals(self, found: list[refused.Refusal]) -> bool:
        """Whether each of them was attempted."""
        if not found:
            return True
        outcomes = await self.attempt_all(refusal.delivery for refusal in found)
        attempted = [refusal for refusal in found if refusal.delivery.id in outcomes]
        marks: list[Command] = [["SET", refusal.mark, 1, "PX", refusal.remembered_ms] for refusal in attempted]
        await self.record([Parked(refusal.delivery, 0, "") for refusal in attempted], outcomes, marks)
        return len(attempted) == len(found)


async def repeated(around: Around, turn: Callable[[], Awaitable[None]], log_: Any) -> None:
    """Turn after turn until the program ends; what goes wrong is logged, and a pause follows."""
    while not around.stopping:
        try:
            await turn()
        except* (Fault, OSError) as group:
            log_.warning("turn ended", error="; ".join(sorted({str(error) for error in leaves(group)})))
            around.trouble = True  # the servers are looked for again
            await around.pause(PAUSE_S)


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions in groups of groups."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
