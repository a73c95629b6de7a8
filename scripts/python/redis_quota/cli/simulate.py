"""quotactl simulate: the module against a simulated service, in minutes of a clock that is held.

    load ──▶ RL.ADAPT ──admitted──▶ service: 100 units a second, at minute 4 only 50, at minute 8 again 100
                 ▲                     │      latency 20 ms x 1/(1 - utilisation), noise of 30 % either way, 1 % errors
                 └── LATENCY, ERROR ───┘      above its capacity: latency 1 s, errors for what is too much

It starts a redis-server of its own with the module's test clock, so twelve simulated minutes take seconds and the same
seed draws the same plot.
"""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import redis

from .base import Row, Session, command, group
from .servers import PATIENCE_S, Fault, Server, connect

MINUTES, START_MS, SEED, DEMAND = 12, 1738335600000, 20250131, 160
CURVES = (("AIMD", "AIMD STEP 2 TIMEOUT 200ms", "#c2410c"), ("GRADIENT", "GRADIENT STEP 4", "#1d4ed8"))
SETTLED = ((120, 240), (360, 480), (600, 720))  # seconds after which limits have settled
MODULES = ("quota.so", "/usr/lib/redis/modules/quota.so")
SLOW_FROM, SLOW_TO = 240, 480  # seconds
ERROR_RATE, OVERLOAD, BUSY_MAX, NOISE = 0.01, 1.2, 0.98, 0.3
MINUTE_S = 60


@group()
def simulate() -> None:
    """Drives the module with a simulated service, on a server of its own."""


@contextlib.contextmanager
def own_server(module: str | None) -> Iterator[Server]:
    """A redis-server with a test clock on a free port of this machine, ended with the block."""
    path = next((found for found in ([module] if module else MODULES) if Path(found).is_file()), None)
    if path is None:
        raise Fault(f"no module {module or ' or '.join(MODULES)}: name it by --module")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="quotactl-") as folder:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
             "--loadmodule", str(Path(path).resolve()), "test-clock", "yes"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield answering(process, port)
        finally:
            process.kill()
            process.wait()


def answering(process: subprocess.Popen[bytes], port: int) -> Server:
    """The server, once it answers."""
    server = connect(f"redis://127.0.0.1:{port}")
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):
            if server.client.ping():
                return server
        time.sleep(0.02)
    raise Fault("redis-server does not start with this module")


def capacity(second: int) -> int:
    """What the service can do, in units per second."""
    return 50 if SLOW_FROM <= second < SLOW_TO else 100


def service(dice: random.Random, admitted: int, second: int) -> Iterator[int | None]:
    """What became of the units admitted in this second: latencies in us, None for an error."""
    room = capacity(second)
    for unit in range(admitted):
        if dice.random() < ERROR_RATE or unit >= room * OVERLOAD:
            yield None
        else:
            busy = min(admitted / room, BUSY_MAX)
            yield int(20_000 / (1 - busy) * dice.uniform(1 - NOISE, 1 + NOISE))


def limits_of(server: Server, key: str, words: str, seed: int) -> list[int]:
    """The limit at the end of each second."""
    dice = random.Random(seed)
    limits: list[int] = []
    for second in range(MINUTES * MINUTE_S):
        admitted = 0
        for tenth in range(10):
            server.call("QUOTA.CLOCK", "FREEZE", START_MS + second * 1000 + tenth * 100)
            requests = [["RL.ADAPT", key, 10, 200, *words.split()]] * (DEMAND // 10)
            admitted += sum(verdict[0] for verdict in server.each(requests))
        reports = [["ERROR"] if latency is None else ["LATENCY", f"{latency}us"]
                   for latency in service(dice, admitted, second)]
        replies = list(server.each(["RL.ADAPT", key, "REPORT", *report] for report in reports))
        limits.append(int(replies[-1]) if replies else limits[-1])
    return limits


def summary(key: str, words: str, limits: list[int]) -> Iterator[Row]:
    """Mean and spread once it has settled."""
    for begin, end in SETTLED:
        part = limits[begin:end]
        mean = sum(part) / len(part)
        spread = (sum((limit - mean) ** 2 for limit in part) / len(part)) ** 0.5
        yield {"algorithm": key, "options": words, "minutes": f"{begin // MINUTE_S}-{end // MINUTE_S}",
               "capacity": capacity(begin), "mean": round(mean, 1), "spread": round(spread, 1), "lowest": min(part),
               "highest": max(part)}


def draw(curves: list[tuple[str, str, list[int]]]) -> str:
    """Plain SVG: seconds to the right, units per second upwards."""
    wide, high, left, low = 900, 340, 50, 300
    seconds = MINUTES * MINUTE_S

    def x(second: int) -> float:
        return left + second * (wide - left - 20) / seconds

    def y(units: int) -> float:
        return low - units * 1.7

    def line(values: list[int], colour: str, dash: str = "") -> str:
        points = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
             f'font-size="12">', f'<rect width="{wide}" height="{high}" fill="white"/>']
    for units in range(0, DEMAND + 1, 20):
        parts.append(f'<path d="M{left} {y(units):.1f}H{wide - 20}" stroke="#e5e5e5"/>'
                     f'<text x="{left - 8}" y="{y(units) + 4:.1f}" text-anchor="end">{units}</text>')
    for minute in range(0, MINUTES + 1, 2):
        parts.append(f'<text x="{x(minute * MINUTE_S):.1f}" y="{low + 18}" text-anchor="middle">{minute} min</text>')
    parts.append(line([capacity(second) for second in range(seconds)], "#737373", ' stroke-dasharray="6 4"'))
    for place, (words, colour, limits) in enumerate(curves):
        parts += [line(limits, colour), f'<text x="{left + 20}" y="{20 + place * 16}" fill="{colour}">{words}</text>']
    parts.append(f'<text x="{left + 260}" y="20" fill="#737373">dashed: what the service can do, units per second; '
                 f'demand is {DEMAND}</text></svg>')
    return "\n".join(parts) + "\n"


@command(simulate, tabular=True)
@click.argument("svg", type=click.Path(dir_okay=False, writable=True), required=False)
@click.option("--module", metavar="FILE", help="quota.so. Default: ./quota.so, else /usr/lib/redis/modules/quota.so.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of the noise: the same draws the same plot.")
def adaptive(session: Session, svg: str | None, module: str | None, seed: int) -> None:
    """Shows that adaptive limits are steady under noise; draws a plot into SVG, if that is given.

    --url is not used: the simulation has a server of its own.
    """
    rows: list[Row] = []
    curves = []
    with own_server(module) as server, session.progress("simulate", len(CURVES)) as advance:
        for key, words, colour in CURVES:
            limits = limits_of(server, key, words, seed)
            curves.append((words, colour, limits))
            rows += summary(key, words, limits)
            advance(1)
    session.table(rows, {"options": str, "minutes": str, "capacity": str, "mean": str, "spread": str, "lowest": str,
                         "highest": str})
    if svg:
        Path(svg).write_text(draw(curves), encoding="utf-8")
        session.note(f"drawn: {svg}")
