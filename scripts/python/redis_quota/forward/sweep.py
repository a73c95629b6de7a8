"""QUOTA.SETTLE of every account, so that what time has done is an event within minutes also where no request comes.

    SCAN … TYPE q-account ──▶ 100 accounts ──▶ QUOTA.SETTLE each ──▶ a pause ──▶ …       a pass in half of settle-within

The pace is bounded: a server has at most 10,000 accounts settled in a second. One process sweeps: the lease
quota:forward:sweep.
"""

from __future__ import annotations

import time

import structlog

from ..cli.servers import Server
from .store import PREFIX, Lease, home_of
from .worker import WAIT_MS, Around, repeated

PAGE = 100
PER_S_MAX = 10_000
SHARE = 0.5  # of settle-within, so that a slow pass is in time, too
log = structlog.get_logger()


class Sweeper:
    """The lease, and one pass after the other over all primaries."""

    def __init__(self, around: Around) -> None:
        self.around = around
        self.accounts: dict[str, int] = {}  # by shard: how many the last pass has found
        self.lease: Lease
        self.token = 0

    async def forever(self) -> None:
        """Until the program ends."""
        await repeated(self.around, self.turn, log.bind(task="sweep"))

    async def turn(self) -> None:
        """Passes as long as the lease is ours and the servers are the same."""
        around, generation = self.around, self.around.generation
        key = f"{PREFIX}sweep"
        home = await around.in_thread(home_of, around.fleet, key)
        self.lease = Lease(home, key, around.holder, around.settings.lease_ms)
        self.token = await around.in_thread(self.lease.acquire, WAIT_MS)
        if not self.token:
            return
        try:
            while not around.stopping and around.generation == generation:
                begin = time.monotonic()
                for shard, server in around.shards:
                    await self.settle(shard, server)
                took_s, within_s = time.monotonic() - begin, around.settings.settle_within_ms / 1000
                around.metrics.sweep_seconds.set(took_s)
                if took_s > within_s:
                    log.warning("sweep is behind", took_s=round(took_s), within_s=within_s)
                await self.rest(max(within_s * SHARE - took_s, 0))
        finally:
            await around.in_thread(self.lease.release, self.token)

    async def settle(self, shard: str, server: Server) -> None:
        """One pass over one primary."""
        within_s = self.around.settings.settle_within_ms / 1000 * SHARE / len(self.around.shards)
        pace_s = max(within_s / max(self.accounts.get(shard, 0), 1), 1 / PER_S_MAX)
        pages, found, settled = server.scan("q-account"), 0, 0
        while (page := await self.around.in_thread(next, pages, None)) and not self.around.stopping:
            for at in range(0, len(page), PAGE):
                part = page[at:at + PAGE]
                replies = await self.around.in_thread(settle_all, server, part)
                settled += sum(reply for reply in replies if isinstance(reply, int))
                found += len(part)
                await self.rest(pace_s * len(part) if shard in self.accounts else len(part) / PER_S_MAX)
        self.accounts[shard] = found
        if settled:
            log.info("settled", shard=shard, accounts=found, changes=settled)

    async def rest(self, seconds: float) -> None:
        """A pause in which the lease is kept."""
        end = time.monotonic() + seconds
        while not self.around.stopping:
            if self.lease.is_due:
                await self.around.in_thread(self.lease.renew, self.token)
            left_s = end - time.monotonic()
            if left_s <= 0:
                return
            await self.around.pause(min(left_s, self.lease.third_s))


def settle_all(server: Server, accounts: list[str]) -> list[object]:
    """How much each SETTLE wrote down; an exception for an account that has gone, or has moved to another server."""
    return list(server.each(["QUOTA.SETTLE", account] for account in accounts))
