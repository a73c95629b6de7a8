"""The two clients: the calls of core.py, performed in a thread or in an event loop.

    quota = Quota(redis.Redis())                      quota.allow("user:42", "10 1s", cost=3)
    quota = AsyncQuota(redis.asyncio.Redis())         await quota.allow("user:42", "10 1s", cost=3)

Give each a redis-py client of its own: its own repeats are switched off, because they would also repeat requests that
may have been charged. A Quota is shared by all threads, an AsyncQuota by all tasks of its loop.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from .core import Core, OnError
from .holds import AsyncHold, AsyncLease, AsyncStock, Hold, Lease, Stock
from .steps import Async, Send, Sync, opening
from .transport import AsyncTransport, SyncTransport
from .verdict import Event

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from .metrics import ClientMetrics


class Quota(Sync, Core):
    """The module's commands as methods; see Core for each.

    `client`: redis.Redis, redis.RedisCluster, or another client of redis-py that has execute_command. `on_error`: what
    happens without an answer of the server: "closed" raises Unavailable, "open" admits, "local" decides by limit /
    `clients`, the number of processes that are expected to share the limits. Every call may say otherwise. `metrics`:
    what counts the calls for Prometheus.
    """

    def __init__(self, client: "redis.Redis | redis.RedisCluster", on_error: OnError = "closed", *, clients: int = 1,
                 clock: Callable[[], float] = time.monotonic, dice: Callable[[], float] = random.random,
                 metrics: "ClientMetrics | None" = None) -> None:
        self.client, self._transport = client, SyncTransport(client)
        self._set_up(on_error, clients, clock, dice, metrics)
        self._is_cluster = self._transport.is_cluster

    def _perform_send(self, send: Send) -> Any:
        return self._transport(send)

    reserve = opening(Hold)
    acquire = opening(Lease)
    lease = opening(Stock)

    def events(self, after: str = "0-0", **options: Any) -> Iterator[Event]:
        """Iterates over events behind an id, until there is none; with `wait` it goes on. Options: `read_events`."""
        while page := self.read_events(after, **options):
            yield from page
            after = page[-1].id


class AsyncQuota(Async, Core):
    """The same with `await`, for redis.asyncio."""

    def __init__(self, client: "redis.asyncio.Redis | redis.asyncio.RedisCluster", on_error: OnError = "closed", *,
                 clients: int = 1, clock: Callable[[], float] = time.monotonic,
                 dice: Callable[[], float] = random.random, metrics: "ClientMetrics | None" = None) -> None:
        self.client, self._transport = client, AsyncTransport(client)
        self._set_up(on_error, clients, clock, dice, metrics)
        self._is_cluster = self._transport.is_cluster

    async def _perform_send(self, send: Send) -> Any:
        return await self._transport(send)

    reserve = opening(AsyncHold)
    acquire = opening(AsyncLease)
    lease = opening(AsyncStock)

    async def events(self, after: str = "0-0", **options: Any) -> AsyncIterator[Event]:
        """Iterates over events behind an id, until there is none; with `wait` it goes on. Options: `read_events`."""
        while page := await self.read_events(after, **options):
            for event in page:
                yield event
            after = page[-1].id
