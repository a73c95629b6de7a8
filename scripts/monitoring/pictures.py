#!/usr/bin/env python3
"""Draws docs/operations/monitoring-*.png: each panel's own queries to a real Prometheus, of a server under load.

    load ──▶ server ◀── quotactl exporter, forward ◀── prometheus ◀── the panels of dashboards.py ──▶ matplotlib ──▶ PNG

Drawn without Grafana. Needs what `scripts/setup test` and `scripts/setup bench` bring.

usage: .venv/bin/python scripts/monitoring/pictures.py [seconds of load, 90]
"""
from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts/python"), str(ROOT / "tests/integration"), str(ROOT / "tests")]

from dashboards import DASHBOARDS, Panel  # noqa: E402
from python.monitored import Prometheus, exporter, forwarder, load, prometheus  # noqa: E402

matplotlib.use("Agg")
from matplotlib import dates, pyplot  # noqa: E402

COLUMNS = 2


def legend(text: str, metric: dict[str, str]) -> str:
    """`{{outcome}}, {{cause}}` with the labels of a series."""
    for name, value in metric.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def draw_panel(axes: Any, panel: Panel, found: Prometheus, seconds: int) -> None:
    """One panel: its lines, or its newest number."""
    axes.set_title(panel.title, loc="left", fontsize=10)
    numbers = []
    for text, expression in panel.lines.items():
        for series in found.range(expression.replace("$__rate_interval", "15s"), seconds):
            instants = [datetime.datetime.fromtimestamp(at, datetime.UTC) for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            numbers.append((legend(text, series["metric"]), values[-1]))
            if not panel.single:
                axes.plot(instants, values, label=numbers[-1][0], linewidth=1.3)
    if panel.single:
        axes.axis("off")
        axes.text(0.5, 0.5, "    ".join(f"{name} {value:g}" for name, value in numbers), ha="center", fontsize=18)
        return
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=5))
    axes.legend(fontsize=6, loc="upper left", ncols=2, framealpha=0.6)


def draw(name: str, found: Prometheus, seconds: int) -> None:
    """One dashboard as a picture."""
    title, panels = DASHBOARDS[name]
    rows = -(-len(panels) // COLUMNS)
    figure, places = pyplot.subplots(rows, COLUMNS, figsize=(11, 2.5 * rows), layout="constrained")
    figure.suptitle(title, fontsize=12)
    for axes, panel in zip(places.flat, panels, strict=False):
        draw_panel(axes, panel, found, seconds)
    for axes in list(places.flat)[len(panels):]:
        axes.axis("off")
    figure.savefig(ROOT / f"docs/operations/monitoring-{name}.png", dpi=80)


def main(seconds: int) -> None:
    from servers import Server
    server = Server().start()
    try:
        with load(server), exporter("--url", f"redis://127.0.0.1:{server.port}", "--account", "acme", "--account",
                                    "globex") as address, \
                forwarder(server) as sending, prometheus(address, sending) as found:
            time.sleep(seconds)
            for name in DASHBOARDS:
                draw(name, found, seconds)
    finally:
        server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 90)
