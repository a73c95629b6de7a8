"""Clients that wait in line: what impatient ones do to a limiter, and what it costs when a whole line leaves.

    one limit, a key for each crowd, one crowd after another     10 units a second, 60 clients a crowd
        patient     wait until they are answered
        hang up     close the connection after half a second or a little less, and come again
        WAIT 500ms  say so; denied at once where the line is longer than that, and come again a little later

    the ratio of units granted to the second and the third crowd to those of the first: 1 = no unit is lost

    a whole line leaves at once, lines of several lengths: the time for each client; 1 = it does not grow with the line
"""
import asyncio
import contextlib
import random
import time

from . import load, machine, report

LIMIT, CLIENTS, PATIENCE_S, PAUSE_S, ROUND_S = "10 1s", 60, 0.5, 0.05, 5
COUNTS = 2500, 5000, 10000, 18000  # a process may have 20,000 files open here, and a client is one
LINES = {
    "RL.ALLOW": ("RL.ALLOW line 1 1h", "RL.ALLOW line 1 1h WAIT 9000d"),
    "RL.ACQUIRE": ("RL.ACQUIRE line 1 100d", "RL.ACQUIRE line 1 100d WAIT 100d"),
}

# ---- impatience --------------------------------------------------------------------------------------------------


async def granted(reader):
    """Reads a verdict: its first integer."""
    lines = [await reader.readline() for _ in range(7)]
    if not lines[0].startswith(b"*6"):
        raise ConnectionError(lines[0])
    return int(lines[1][1:])


async def client(port, key, wait, patience_s, until, counts):
    """Sends the request again and again until the round is over."""
    command = f"RL.ALLOW {key} {LIMIT} WAIT {wait}\r\n".encode()
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.TimeoutError):
            while time.monotonic() < until:
                writer.write(command)
                left = until - time.monotonic()
                patience = min(patience_s * random.uniform(0.8, 1), max(left, 0.001))
                units = await asyncio.wait_for(granted(reader), patience)
                counts[key] += units
                if units == 0:
                    await asyncio.sleep(PAUSE_S)
        writer.close()


CROWDS = {"patient": ("1h", 3600), "hang up": ("1h", PATIENCE_S), "WAIT 500ms": ("500ms", 3600)}


async def crowd(port, name):
    """Units granted to it in a round."""
    (wait, patience_s), key = CROWDS[name], name.replace(" ", "-")
    counts, until = {key: 0}, time.monotonic() + ROUND_S
    await asyncio.gather(*(client(port, key, wait, patience_s, until, counts) for _ in range(CLIENTS)))
    return counts[key]


def impatience(settings, step):
    """{crowd: units of all rounds, and their ratio to the patient ones'}."""
    units = dict.fromkeys(CROWDS, 0)
    for _ in range(settings.rounds):
        with machine.running() as server:
            for name in CROWDS:
                step(name)
                units[name] += asyncio.run(crowd(server.port, name))
    return {name: {"units": count, "of the patient": count / units["patient"]} for name, count in units.items()}


# ---- leaving -----------------------------------------------------------------------------------------------------


def us_to_leave(commands, count):
    """Main thread's us for each client of a line that all leave at once; the closing of a connection included."""
    first, waiting = commands
    with machine.running() as server:
        load.do(server, [first])
        with contextlib.ExitStack() as line:
            for _ in range(count):
                line.enter_context(load.connect(server)).sendall(load.compiled([waiting])(0, 0))
            admin = server.client()
            while admin.info("clients")["blocked_clients"] < count:
                time.sleep(0.01)
            before = machine.main_thread_us(admin)
        while admin.info("clients")["blocked_clients"] > 0:
            time.sleep(0.01)
        return (machine.main_thread_us(admin) - before) / count


def leaving(step):
    found = {}
    for name, commands in LINES.items():
        for count in COUNTS:
            step(f"{count:,} leave {name}")
            found.setdefault(name, {})[count] = us_to_leave(commands, count)
    return found


# ---- both --------------------------------------------------------------------------------------------------------


def run(settings):
    with report.progress("waiting", settings.rounds * len(CROWDS) + len(LINES) * len(COUNTS)) as step:
        units, left = impatience(settings, step), leaving(step)
    report.table(f"units of {LIMIT} granted to {CLIENTS} clients", ("", "units", "of the patient"),
                 [(name, row["units"], row["of the patient"]) for name, row in units.items()])
    report.table("a whole line leaves: us per client", ("", *(f"{count:,}" for count in COUNTS), "last / first"),
                 [(name, *row.values(), row[COUNTS[-1]] / row[COUNTS[0]]) for name, row in left.items()])
    with machine.running() as server:
        about = machine.description(server.client())
    report.keep(settings, "waiting", about, {"impatience": units, "leaving": left})
