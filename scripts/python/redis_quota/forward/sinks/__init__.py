"""The sinks: one file for each kind, all of one shape.

    open(config) ──▶ Sink ── send(delivery) ──▶ Outcome      of a receiver that may fail: retried by the schedule
                          ├─ flush()                         before the position moves: what was sent is safe
                          └─ close()

A file or a stream has no receiver that fails: their errors are raised, and the sink waits in order until they work.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from ...cli.servers import Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome


class Sink(Protocol):
    """Where events go."""

    async def send(self, delivery: Delivery) -> Outcome:
        """One attempt."""

    async def flush(self) -> None:
        """Returns when all that was sent outlives a crash."""

    async def close(self) -> None:
        """Ends connections and files."""


def open_sink(config: SinkConfig, fleet: Fleet) -> Sink:
    """The sink of a configuration; `fleet` has the servers whose events they are."""
    module = importlib.import_module(f"{__name__}.{config.kind}")
    sink: Sink = module.open_sink(config, fleet)
    return sink
