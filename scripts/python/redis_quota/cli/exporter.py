"""quotactl exporter: an HTTP server with /metrics for Prometheus, until it is stopped.

    Prometheus ──▶ 127.0.0.1:9786/metrics ──▶ exporter.Exporter ──▶ the primaries
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

import click

from .base import Session, command
from .scraped import served


@command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; :: for all.")
@click.option("--port", default=9786, show_default=True, type=click.IntRange(0, 65535),
              help="The port to listen on; 0 takes a free one.")
@click.option("--account", "accounts", multiple=True, metavar="KEY",
              help="An account whose use of its limits is shown; again for more, at most 100.")
def exporter(session: Session, host: str, port: int, accounts: tuple[str, ...]) -> None:
    """Serves metrics for Prometheus at /metrics.

    Its user needs the rights that `quotactl acl exporter` prints; those of an auditor are enough for all but the event
    log and how far the forwarder's sinks are behind.
    """
    from prometheus_client import CollectorRegistry

    from ..exporter import Exporter
    registry = CollectorRegistry()
    registry.register(Exporter(session.fleet.urls, accounts))
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    with served(registry, host, port) as address:
        session.note(f"exporter: {address}")
        sys.stderr.flush()
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        stopped.wait()
