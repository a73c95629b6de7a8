"""Metrics for Prometheus: what every primary says of itself, read at each scrape.

    Prometheus ── GET /metrics ──▶ Exporter.collect ── INFO quota, QUOTA.HEALTH, QUOTA.EVENTS INFO ──▶ each primary
                                           │                    QUOTA.INFO of the accounts that are named
                                           ├── the forwarder's positions, against the last ids of the logs
                                           └── the configurations of all primaries, compared at most every 30 seconds

Nothing is counted here: counters are the servers' own, so several exporters show the same. Keys of customers are labels
only where the operator has named them, at most 100. What a server or a right does not allow is left out, not 0.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .cli.configuration import differences, facts_of, read_configuration
from .cli.servers import Fault, Fleet, Server
from .forward.shards import shards_of
from .forward.store import sinks_of, store_of
from .version import __version__

ACCOUNTS_MAX = 100
COMPARED_EVERY_S = 30.0

# INFO quota: the field, then outcome and cause of the decisions that it counts.
DECISIONS = {
    "quota_admitted": ("admitted", "none"),
    "quota_denied_limit": ("refused", "limit"),
    "quota_denied_block": ("refused", "block"),
    "quota_denied_list": ("refused", "list"),
    "quota_denied_breaker": ("refused", "breaker"),
    "quota_shadowed": ("admitted", "shadow"),
}

# INFO quota: the field, then the gauge that shows it.
GAUGES = {
    "quota_leases": ("quota_leases", "Leases in memory."),
    "quota_holds": ("quota_holds", "Reservations in memory, of all accounts."),
    "quota_waiting": ("quota_waiting_clients", "Clients that wait in line for a rate limit or a lease."),
    "quota_keys_q_account": ("quota_accounts", "Accounts."),
    "quota_plans": ("quota_plans", "Plans, retired ones included."),
    "quota_policies": ("quota_policies", "Policies."),
    "quota_violations": ("quota_violations", "Entries of QUOTA.VIOLATIONS."),
    "quota_bugs": ("quota_bugs", "Expectations of the module that did not hold; anything but 0 is a bug to report."),
}

USAGE = re.compile(r"quota_usage_\d+")
TYPED = re.compile(r"quota_(keys|bytes)_(\w+)")


class Families:
    """The metrics of one scrape; each is there once, with a sample for every server and every set of labels."""

    def __init__(self) -> None:
        self.found: dict[str, Metric] = {}

    def counter(self, name: str, help_: str, labels: dict[str, str], value: float) -> None:
        """`name` without _total."""
        family = self.found.setdefault(name, CounterMetricFamily(name, help_, labels=list(labels)))
        family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]

    def gauge(self, name: str, help_: str, labels: dict[str, str], value: float) -> None:
        family = self.found.setdefault(name, GaugeMetricFamily(name, help_, labels=list(labels)))
        family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]


# ---- one server ------------------------------------------------------------------------------------------------------


def pairs(row: Any) -> dict[str, str]:
    """A row of INFO, `plan=pro,resource=api,granted=3`; redis-py has made a map of it where the names allow that."""
    if isinstance(row, dict):
        return {str(name): str(value) for name, value in row.items()}
    return dict(part.split("=", 1) for part in str(row).split(",") if "=" in part)


def add_info(families: Families, server: str, info: dict[str, Any]) -> None:
    """The section `quota` of INFO."""
    for field, (outcome, cause) in DECISIONS.items():
        if field in info:
            families.counter("quota_decisions", "Decisions of this node, by outcome and cause.",
                             {"server": server, "outcome": outcome, "cause": cause}, info[field])
    for field, (name, help_) in GAUGES.items():
        if field in info:
            families.gauge(name, help_, {"server": server}, info[field])
    for field, value in info.items():
        if typed := TYPED.fullmatch(field):
            name, help_ = (("quota_keys", "Keys of this data type.") if typed[1] == "keys" else
                           ("quota_memory_bytes", "Bytes allocated for values of this data type."))
            families.gauge(name, help_, {"server": server, "type": typed[2].replace("_", "-")}, value)
        elif USAGE.fullmatch(field):
            add_usage(families, server, pairs(value))


def add_usage(families: Families, server: str, row: dict[str, str]) -> None:
    """One plan and resource: requests, units by what paid for them, units that came back."""
    labels = {"server": server, "plan": row["plan"], "resource": row["resource"]}
    credits = int(row["credits"])
    for source, units in (("plan", int(row["units"]) - credits), ("credits", credits)):
        families.counter("quota_units", "Units that were granted, by what paid for them.",
                         {**labels, "source": source}, units)
    families.counter("quota_granted", "Requests that were granted.", labels, int(row["granted"]))
    families.counter("quota_refused", "Requests that were refused.", labels, int(row["refused"]))
    families.counter("quota_refunded_units", "Units that were given back.", labels, int(row["refunded"]))


def add_health(families: Families, server: str, problems: Sequence[str]) -> None:
    """Problems by the word in front of their colon, which is one of few."""
    kinds = [problem.split(":", 1)[0] for problem in problems]
    for kind in ("eviction", "persistence", "plans", "zones", "clock", "events", "bounds"):
        families.gauge("quota_health_problems", "Problems that QUOTA.HEALTH names, by their kind.",
                       {"server": server, "problem": kind}, kinds.count(kind))


def add_events(families: Families, server: str, info: dict[str, Any]) -> None:
    """The event log of one primary."""
    families.counter("quota_events", "Events that this log has had, over all of its epochs.", {"server": server},
                     int(str(info["last"]).split("-")[1]))
    families.counter("quota_events_lost", "Events that were dropped to make room.", {"server": server},
                     info["dropped"])


def add_account(families: Families, name: str, info: dict[str, Any]) -> None:
    """How much of each LIMIT of its own an account has used; one without limit, or of 0 units, has no ratio."""
    for resource, facts in info["resources"].items():
        for rule in facts["rules"]:
            if rule["kind"] == "LIMIT" and rule["limit"] > 0 and "account" not in rule:
                families.gauge("quota_account_used_ratio", "Used of a LIMIT in its running cycle, 1 = all of it.",
                               {"account": name, "resource": resource, "period": rule["period"]},
                               rule["used"] / rule["limit"])


# ---- all of them -----------------------------------------------------------------------------------------------------


class Exporter(Collector):
    """Collects from the servers that the URLs name; `accounts` have metrics of their own, at most ACCOUNTS_MAX."""

    def __init__(self, urls: Sequence[str], accounts: Sequence[str] = ()) -> None:
        if len(accounts) > ACCOUNTS_MAX:
            raise Fault(f"at most {ACCOUNTS_MAX} accounts can have metrics of their own")
        self.urls = list(urls)
        self.accounts = list(accounts)
        self._compared_at = -COMPARED_EVERY_S
        self._differences: int | None = None

    def describe(self) -> list[Metric]:
        """Nothing: so that registering it does not need a server."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One scrape. The primaries are found each time: a failover is seen by the next scrape."""
        families = Families()
        families.gauge("quota_build_info", "The version of this exporter.", {"version": __version__}, 1)
        fleet = Fleet(self.urls)
        up = {server.address: self._add_server(families, server) for server in fleet.answering}
        for address, answers in up.items():
            families.gauge("quota_up", "Does the server answer, with quota.so?", {"server": address}, int(answers))
        for name in self.accounts:
            self._add_account(families, fleet, name)
        self._add_lags(families, fleet)
        if all(up.values()) and (count := self._count_differences(fleet)) is not None:
            families.gauge("quota_config_differences", "What of plans and policies is not the same on all primaries.",
                           {}, count)
        yield from families.found.values()

    def _add_server(self, families: Families, server: Server) -> bool:
        try:
            info = server.client.info("quota")
            if "quota_admitted" not in info:
                return False  # it has no quota.so
            health = server.call("QUOTA.HEALTH")
        except (Fault, redis.RedisError, OSError):
            return False
        add_info(families, server.address, info)
        add_health(families, server.address, health["problems"])
        with contextlib.suppress(Fault):  # the log shows every account: not every user may see it
            add_events(families, server.address, server.call("QUOTA.EVENTS", "INFO"))
        return True

    def _add_account(self, families: Families, fleet: Fleet, name: str) -> None:
        with contextlib.suppress(Fault):  # it is not open, or its server is down, which quota_up says
            add_account(families, name, fleet.home(name).call("QUOTA.INFO", name))

    def _add_lags(self, families: Families, fleet: Fleet) -> None:
        """Of the sinks that forwarders have used."""
        with contextlib.suppress(Fault):  # the user may not read the forwarder's keys, or a server is down
            shards = shards_of(fleet, keep=False)
            for sink in sinks_of(fleet):
                families.gauge("quota_event_lag", "Entries of the event logs that the sink has not dealt with yet.",
                               {"sink": sink}, store_of(fleet, sink).behind(shards))

    def _count_differences(self, fleet: Fleet) -> int | None:
        """None where a primary cannot be read."""
        if time.monotonic() - self._compared_at >= COMPARED_EVERY_S:
            self._compared_at = time.monotonic()
            try:
                facts = [facts_of(read_configuration(server)) for server in fleet.primaries]
                self._differences = len(differences(facts))
            except Fault:
                self._differences = None
        return self._differences
