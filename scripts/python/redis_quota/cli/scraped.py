"""An HTTP server with /metrics for Prometheus, of the exporter and of the forwarder.

    with served(registry, "127.0.0.1", 9786) as address: …        ──▶ http://127.0.0.1:9786/metrics
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .servers import Fault

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


@contextlib.contextmanager
def served(registry: CollectorRegistry, host: str, port: int) -> Iterator[str]:
    """Serves the metrics until the block ends; port 0 takes a free one. Fault: it cannot listen there."""
    from prometheus_client import start_http_server
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Fault(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
