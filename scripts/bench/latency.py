"""How long one waits: percentiles under a load that does not wait, and the longest single commands.

    open loop     each command has its time to be sent, one every 1/rate second; latency counts from then on, whether
                  or not client or server were late: nothing is omitted because something else was slow

        time      ──┬────┬────┬────┬────┬──▶   rate = half of what the server reaches with SET, unpipelined
        sent        │    └─ late ─▶│               (redis-benchmark, 50 connections)
        answered    └▶        └──────────▶ counted from the planned instant

    longest       the server's own SLOWLOG over commands at the stated bounds: the microseconds during which no other
                  client is served. What is over a millisecond is named.

The client is one Python process that never sleeps. Its own share is in every row alike: SET's is the one to compare.
"""
import array
import collections
import contextlib
import gc
import select
import time

from . import bounds, load, machine, plots, report, rounds, rows

CONNECTIONS = 16
SHARE = 0.5
LATE_S = 1e-4
SECONDS = 10  # of one row in one round, at the default number of requests
PERCENTILES = (50, 99, 99.9, 100)


def chosen_rows():
    wanted = ("SET", "RL.ALLOW", "RL.TAKE", "QUOTA.CONSUME, new ID")
    return [row for row in rows.table() if row.name in wanted]


def saturation(server, database, settings):
    """Commands a second that the server reaches without pipeline."""
    requests = max(settings.requests // 3, 1000)
    return requests / load.send(server, rows.BASE.lines, requests, settings.keys, pipeline=1, database=database)


# ---- open loop ---------------------------------------------------------------------------------------------------


def reply_lines(server, unit, database):
    """How many lines the reply to a unit has: replies are separated by counting them."""
    with load.connect(server, database) as link:
        link.sendall(unit + load.PING)
        data = b""
        while not data.endswith(load.PONG):
            data += link.recv(4096)
    return data.count(b"\n") - 1


class Link:
    """A connection with what it is owed: numbers of units, and lines of a reply that has not come whole."""

    def __init__(self, socket):
        self.socket, self.owed, self.lines = socket, collections.deque(), 0

    def send(self, data, numbers):
        self.socket.sendall(data)
        self.owed.extend(numbers)

    def take(self, lines_each):
        """The units whose replies have come."""
        self.lines += self.socket.recv(1 << 16).count(b"\n")
        whole, self.lines = divmod(self.lines, lines_each)
        return [self.owed.popleft() for _ in range(whole)]


def paced(server, units, rate, database):
    """Sends the units at their times → latencies in ms, and the share that was sent more than 0.1 ms late."""
    now, took, late, sent = time.perf_counter, array.array("d"), 0, 0
    lines_each = reply_lines(server, units[0], database)
    with contextlib.ExitStack() as opened, select.epoll() as ready:
        links = [Link(opened.enter_context(load.connect(server, database))) for _ in range(CONNECTIONS)]
        by_file = {link.socket.fileno(): link for link in links}
        for file in by_file:
            ready.register(file, select.EPOLLIN)
        began = now() + 0.01
        while len(took) < len(units):
            elapsed = now() - began
            due = min(int(elapsed * rate) + 1, len(units)) if elapsed > 0 else 0
            if due > sent:
                links[sent % CONNECTIONS].send(b"".join(units[sent:due]), range(sent, due))
                late += sum(elapsed - number / rate > LATE_S for number in range(sent, due))
                sent = due
            for file, _ in ready.poll(0):
                numbers, answered = by_file[file].take(lines_each), now() - began
                took.extend(answered - number / rate for number in numbers)
    return sorted(seconds * 1000 for seconds in took), late / len(units)


def percentile(values, percent):
    return values[min(int(len(values) * percent / 100), len(values) - 1)]


def one_round(server, row, database, rate, settings):
    count = min(settings.requests, int(rate * SECONDS))
    units = load.random_units(row.lines, settings.keys, count)
    gc.disable()
    try:
        values, late = paced(server, units, rate, database)
    finally:
        gc.enable()
    return {**{f"p{percent:g}": percentile(values, percent) for percent in PERCENTILES}, "sent late": late}


def percentiles(settings):
    """{row: {p50 …: Spread over rounds}}, the rate, and what it was measured on."""
    table, found = chosen_rows(), {}
    with machine.running() as server, report.progress("latency", len(table) * (settings.rounds + 1)) as step:
        rows.prepare(server)
        filled = {row: database for database, row in enumerate(table)}
        for row, database in filled.items():
            step(f"filling {row.name}")
            row.contents.fill(server, settings.keys, database=database)
        rate = saturation(server, filled[rows.BASE], settings) * SHARE
        for row in rounds.interleaved(settings.rounds, table):
            step(row.name)
            found.setdefault(row.name, []).append(one_round(server, row, filled[row], rate, settings))
        about = machine.description()
    return {name: {key: rounds.spread(one[key] for one in of_row) for key in of_row[0]}
            for name, of_row in found.items()}, rate, about


def run(settings):
    found, rate, about = percentiles(settings)
    names = [f"p{percent:g}" for percent in PERCENTILES]
    report.table(f"ms from the planned instant to the answer, open loop at {rate:,.0f} a second, median of rounds",
                 ("", *(name.replace("p100", "max") for name in names), "sent late"),
                 [(name, *(f"{row[key].median:.3f}" for key in names), f"{row['sent late'].median:.2%}")
                  for name, row in found.items()])
    longest = bounds.longest(settings)
    report.keep(settings, "latency", about, {"per_second": rate, "ms": found, "longest_us": longest})
    plots.run(settings)
