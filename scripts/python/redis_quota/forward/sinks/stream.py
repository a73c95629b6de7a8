"""A Redis stream: XADD with id, type, time, account and the data as JSON.

    stream: quota:events     on the servers whose events they are, or on those of `url`; at most `maxlen` entries, about
"""

from __future__ import annotations

import asyncio

from ...cli.servers import Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome, compact
from ..store import home_of


class StreamSink:
    """Errors of the server are raised: nothing else is sent before it works again."""

    def __init__(self, config: SinkConfig, fleet: Fleet) -> None:
        self.config = config
        self.fleet = Fleet([config.url]) if config.url else Fleet(fleet.urls)

    async def send(self, delivery: Delivery) -> Outcome:
        await asyncio.to_thread(self.add, delivery)
        return Outcome()

    def add(self, delivery: Delivery) -> None:
        """One entry. Fault: the server does not take it; it is looked for again then."""
        bound = ["MAXLEN", "~", self.config.maxlen] if self.config.maxlen else []
        try:
            home = home_of(self.fleet, self.config.target)
            home.call("XADD", self.config.target, *bound, "*", "id", delivery.id, "type", delivery.type,
                      "time", delivery.time_ms, "account", delivery.account, "data", compact(delivery.data))
        except Exception:
            self.fleet = Fleet(self.fleet.urls)
            raise

    async def flush(self) -> None:
        """As durable as the server is."""

    async def close(self) -> None:
        """The pool's connections end with the program."""


def open_sink(config: SinkConfig, fleet: Fleet) -> StreamSink:
    return StreamSink(config, fleet)
