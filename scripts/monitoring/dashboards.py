#!/usr/bin/env python3
"""Writes the two Grafana dashboards beside this file: overview.json and plans.json.

    ROWS below (title, unit, expressions) ──▶ grafana-foundation-sdk ──▶ JSON, to be imported or provisioned

usage: .venv/bin/python scripts/monitoring/dashboards.py
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

FOLDER = Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RATE = "[$__rate_interval]"
WIDTH, HEIGHT = 12, 8  # of a panel; a dashboard is 24 wide


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    lines: dict[str, str]  # legend: expression
    single: bool = False  # one number instead of lines


OVERVIEW = (
    Panel("Servers that answer", "short", {"up": "sum(quota_up)", "all": "count(quota_up)"}, single=True),
    Panel("Accounts", "short", {"accounts": "sum(quota_accounts)"}, single=True),
    Panel("Decisions a second", "reqps",
          {"{{outcome}}, {{cause}}": f"sum by (outcome, cause) (rate(quota_decisions_total{RATE}))"}),
    Panel("Refused, of all decisions", "percentunit",
          {"refused": f'sum(rate(quota_decisions_total{{outcome="refused"}}{RATE})) '
                      f"/ sum(rate(quota_decisions_total{RATE}))"}),
    Panel("Memory by data type", "bytes", {"{{type}}": "sum by (type) (quota_memory_bytes)"}),
    Panel("Keys by data type", "short", {"{{type}}": "sum by (type) (quota_keys)"}),
    Panel("Leases, reservations, clients that wait", "short",
          {"leases": "sum(quota_leases)", "reservations": "sum(quota_holds)", "waiting": "sum(quota_waiting_clients)"}),
    Panel("Problems", "short", {"{{server}}: {{problem}}": "quota_health_problems > 0",
                                "differences of plans and policies": "quota_config_differences"}),
    Panel("Events a second", "short", {"{{server}}": f"rate(quota_events_total{RATE})",
                                       "{{server}}, lost": f"rate(quota_events_lost_total{RATE})"}),
    Panel("Events that sinks have not dealt with", "short", {"{{sink}}": "quota_event_lag"}),
    Panel("Deliveries a second", "short",
          {"{{sink}}": f"sum by (sink) (rate(quota_forward_delivered_total{RATE}))",
           "{{sink}}, failed": f"sum by (sink) (rate(quota_forward_failed_total{RATE}))"}),
    Panel("Deliveries that wait, or were given up", "short",
          {"{{sink}}": "sum by (sink) (quota_forward_retry_entries)",
           "{{sink}}, given up in an hour": "sum by (sink) (increase(quota_forward_dead_total[1h]))"}),
    Panel("Time of an attempt, 95 of 100", "s",
          {"{{sink}}": f"histogram_quantile(0.95, sum by (sink, le) (rate(quota_forward_seconds_bucket{RATE})))"}),
)
PLANS = (
    Panel("Units a second", "short",
          {"{{plan}} {{resource}}": f"sum by (plan, resource) (rate(quota_units_total{RATE}))"}),
    Panel("Refused requests a second", "reqps",
          {"{{plan}} {{resource}}": f"sum by (plan, resource) (rate(quota_refused_total{RATE}))"}),
    Panel("Units that credits paid for", "short",
          {"{{plan}} {{resource}}": f'sum by (plan, resource) (rate(quota_units_total{{source="credits"}}{RATE}))'}),
    Panel("Units that came back", "short",
          {"{{plan}} {{resource}}": f"sum by (plan, resource) (rate(quota_refunded_units_total{RATE}))"}),
    Panel("Used of the limits of named accounts", "percentunit",
          {"{{account}} {{resource}} {{period}}": "quota_account_used_ratio"}),
)
DASHBOARDS = {"overview": ("redis-quota: overview", OVERVIEW), "plans": ("redis-quota: plans", PLANS)}


def panel_of(panel: Panel, place: int) -> object:
    """Two panels a row, in the order of the table."""
    made = (stat if panel.single else timeseries).Panel().title(panel.title).unit(panel.unit).datasource(SOURCE)
    made = made.grid_pos(GridPos(h=HEIGHT, w=WIDTH, x=place % 2 * WIDTH, y=place // 2 * HEIGHT))
    for legend, expression in panel.lines.items():
        made = made.with_target(prometheus.Dataquery().expr(expression).legend_format(legend))
    return made


def dashboard_of(name: str) -> str:
    """The JSON of one dashboard."""
    title, panels = DASHBOARDS[name]
    made = (dashboard.Dashboard(title).uid(f"redis-quota-{name}").tags(["redis", "quota"]).refresh("30s")
            .time("now-1h", "now").with_variable(dashboard.DatasourceVariable("datasource").type("prometheus")))
    for place, panel in enumerate(panels):
        made = made.with_panel(panel_of(panel, place))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


if __name__ == "__main__":
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(dashboard_of(name), encoding="utf-8")
