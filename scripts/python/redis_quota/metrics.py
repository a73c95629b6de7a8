"""Metrics of the client for Prometheus: `Quota(client, metrics=ClientMetrics())`. Needs prometheus-client.

    quota_client_decisions_total{source, outcome}   quota_client_seconds{call}
    quota_client_errors_total{code}                 quota_client_queue

One ClientMetrics may be given to several clients, which it adds up. Keys of customers are no labels.
"""

import contextlib
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .observe import End, verdicts_of

if TYPE_CHECKING:
    from .memory import Backlog

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class ClientMetrics:
    """Counts what clients decide, in the registry that the program serves."""

    is_on = True

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.decisions = Counter("quota_client_decisions", "Verdicts, by what has answered.", ("source", "outcome"),
                                 registry=registry)
        self.errors = Counter("quota_client_errors", "Calls that have raised an error, by its code.", ("code",),
                              registry=registry)
        self.seconds = Histogram("quota_client_seconds", "How long calls take, with their repeats.", ("call",),
                                 registry=registry, buckets=SECONDS)
        self.backlogs: weakref.WeakSet[Backlog] = weakref.WeakSet()
        Gauge("quota_client_queue", "Rows of usage that wait to be posted.", registry=registry).set_function(
            lambda: sum(map(len, self.backlogs)))

    def attach(self, backlog: "Backlog") -> None:
        """The queue of one client more."""
        self.backlogs.add(backlog)

    @contextlib.contextmanager
    def watch(self, call: str, _about: Mapping[str, Any]) -> Iterator[End]:
        """Around one call."""
        begin = time.perf_counter()
        try:
            yield self.count
        except Exception as error:
            self.errors.labels(getattr(error, "code", type(error).__name__)).inc()
            raise
        finally:
            self.seconds.labels(call).observe(time.perf_counter() - begin)

    def count(self, result: Any) -> None:
        """Each verdict of a result."""
        for verdict in verdicts_of(result):
            self.decisions.labels(verdict.source, "admitted" if verdict else "denied").inc()
