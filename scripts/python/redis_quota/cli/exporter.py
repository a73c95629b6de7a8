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
from .servers import Fault


@command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; :: for all.")
@click.option("--port", default=9786, show_default=True, type=click.IntRange(0, 65535),
              help="The port to listen on; 0 takes a free one.")
@click.option("--account", "accounts", multiple=True, metavar="KEY",
              help="An account whose use of its limits is shown; again for more, at most 100.")
def exporter(session: Session, host: str, port: int, accounts: tuple[str, ...]) -> None:
    """Serves metrics for Prometheus at /metrics.

    Its user needs the rights of `quotactl acl auditor`; with the right to QUOTA.EVENTS it shows the event log, too.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    from ..exporter import Exporter
    registry = CollectorRegistry()
    registry.register(Exporter(session.fleet.urls, accounts))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Fault(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    session.note(f"exporter: http://{host}:{server.server_port}/metrics")
    sys.stderr.flush()
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    stopped.wait()
    server.shutdown()
    thread.join()
