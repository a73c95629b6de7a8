"""What the forwarder counts of itself, for Prometheus: `quotactl forward --metrics-port`.

    Worker, Sweeper ──▶ Metrics ──▶ registry ──▶ GET /metrics

Counters are those of this process: they begin at 0 with it. `quotactl sinks list` shows the counts that are kept in
Redis, the exporter how far each sink is behind.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One registry with all of them; each sink of the file is there from the start, so that rates begin at 0."""

    def __init__(self, sinks: tuple[str, ...]) -> None:
        self.registry = made = CollectorRegistry()
        label = ("sink",)
        self.delivered = Counter("quota_forward_delivered", "Events that a sink has taken.", label, registry=made)
        self.failed = Counter("quota_forward_failed", "Attempts that have failed.", label, registry=made)
        self.dead = Counter("quota_forward_dead", "Events that were given up: dead letters.", label, registry=made)
        self.retrying = Gauge("quota_forward_retry_entries", "Events that wait for another attempt, while this process "
                              "holds the sink.", label, registry=made)
        self.holding = Gauge("quota_forward_holding", "1: this process works for the sink; 0: another one, or none.",
                             label, registry=made)
        self.off = Gauge("quota_forward_off", "1: the sink is off, `quotactl sinks enable` turns it on.", label,
                         registry=made)
        self.seconds = Histogram("quota_forward_seconds", "How long an attempt takes.", label, registry=made,
                                 buckets=SECONDS)
        self.sweep_seconds = Gauge("quota_forward_sweep_seconds", "How long the last pass of SETTLE over all accounts "
                                   "took; of the process that sweeps.", registry=made)
        for sink in sinks:
            for metric in (self.delivered, self.failed, self.dead, self.holding, self.off, self.seconds):
                metric.labels(sink)
