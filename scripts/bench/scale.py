"""How cost grows with what there is: one curve for each thing that may be many.

    a curve    keys filled to 1, 10, 100 … entries each: a hundred keys, fewer where that would be more than ENTRIES, so
               that a thousand calls change little of what they measure (a size of 1 ends at 11)
    a probe    one command on them, at every size: microseconds per call as the server counts them (commandstats)

The probes of a curve follow one another: COMMIT settles what RESERVE has just reserved, under the same ids. What the
server counts leaves out reading the command and writing the reply. Waiters are measured by the whole CPU, for what
they cost is paid outside of commands. Then what persistence costs, and what deleting something large costs others.
"""
import contextlib
import dataclasses
import statistics
import time

from . import load, machine, persistence, plots, report
from .load import Contents
from .rows import RULE

CALLS, SLICES = 1000, 5
KEYS = 100  # at most, of those that hold entries
ENTRIES = 100_000
FIRST_CALL = 1_000_000_000  # ids of probes, beyond those of entries
PLAN = "QUOTA.PLAN SET p r LIMIT 1000000000 month LIMIT 1000000000 day LIMIT 1000000000 1h"
SETTLING = {  # name: line; each id is met by the lines that follow
    "CONSUME": "QUOTA.CONSUME {key} r 1",
    "CONSUME, CHECK": "QUOTA.CONSUME {key} r 1 CHECK",
    "CONSUME, denied": "QUOTA.CONSUME {key} r 999999999999",
    "CONSUME, new ID": "QUOTA.CONSUME {key} r 1 ID {id}",
    "CONSUME, replayed ID": "QUOTA.CONSUME {key} r 1 ID {id}",
    "REFUND, OF an ID": "QUOTA.REFUND {key} r 1 OF {id}",
    "RESERVE": "QUOTA.RESERVE {key} {id} r 1 TTL 1h",
    "COMMIT": "QUOTA.COMMIT {key} {id}",
    "INFO": "QUOTA.INFO {key}",
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """{rules} in a line is as many rules as the size says."""

    name: str
    sizes: tuple
    contents: Contents
    probes: dict
    of_keys: bool = False  # the keys, or subjects, are what is many


def powers(first, last):
    return tuple(10**power for power in range(first, last + 1))


def limit_curves(big):
    """BIG adds ten million keys and subjects."""
    many = powers(3, 7 if big else 6)
    return (
        Curve("keys", many, Contents(opening=("SET s{key} abcdefgh EX 86400", f"RL.ALLOW {{key}} {RULE} COST 1000000")),
              {"SET EX": "SET s{key} abcdefgh EX 86400", "RL.ALLOW": f"RL.ALLOW {{key}} {RULE}"}, of_keys=True),
        Curve("subjects of a table", many,
              Contents(once=(f"RL.TABLE t {RULE}",), opening=("RL.TAKE t {subject} COST 1000000",)),
              {"RL.TAKE": "RL.TAKE t {subject}"}, of_keys=True),
        Curve("rules of a key", (1, 2, 4, 8, 16, 32), Contents(opening=("RL.ALLOW {key} {rules} COST 1000000",)),
              {"RL.ALLOW": "RL.ALLOW {key} {rules}", "RL.ALLOW denied": "RL.ALLOW {key} {rules} COST 1000000000"}),
        Curve("entries of a log", (*powers(0, 4), 90_000), Contents(entry=("RL.ALLOW {key} LOG 100000 365d",)),
              {"RL.ALLOW": "RL.ALLOW {key} LOG 100000 365d", "RL.ALLOW PEEK": "RL.ALLOW {key} LOG 100000 365d PEEK"}),
        Curve("leases of a key", (*powers(0, 4), 90_000), Contents(entry=("RL.ACQUIRE {key} -1 1h ID {id}",)),
              {"RL.ACQUIRE": "RL.ACQUIRE {key} -1 1h ID {id}", "RL.RENEW": "RL.RENEW {key} {id} 2h",
               "RL.RELEASE": "RL.RELEASE {key} {id}"}),
        Curve("networks of a policy", powers(1, 5),
              Contents(once=(f"RL.POLICY SET p {RULE}",), entry=("RL.POLICY REFUSE p {range}",)),
              {"address in one": "RL.ALLOW {key} POLICY p ADDRESS fd00:0000:0005::1",
               "address in none": "RL.ALLOW {key} POLICY p ADDRESS 10.1.2.3",
               "RL.POLICY REFUSE": "RL.POLICY REFUSE p {range}"}),
    )


def account_curves():
    once, opening = (PLAN, "CONFIG SET quota.id-max 1000000"), ("QUOTA.OPEN {key} p",)
    return (
        Curve("ids of an account", powers(0, 5),
              Contents(once, opening, ("QUOTA.CONSUME {key} r 1 ID {id}",)), SETTLING),
        Curve("reservations of an account", (*powers(0, 3), 9_000),
              Contents(once, opening, ("QUOTA.RESERVE {key} {id} r 1 TTL 1d",)), SETTLING),
        Curve("closed cycles of an account", powers(0, 3),
              Contents((*once, "QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z"), opening, ("QUOTA.CONSUME {key} r 3",),
                       ("QUOTA.CLOCK ADVANCE 19d",)),
              SETTLING | {"HISTORY": "QUOTA.HISTORY {key} r", "HISTORY, one": "QUOTA.HISTORY {key} r COUNT 1"}),
    )


# ---- curves ------------------------------------------------------------------------------------------------------


def with_rules(line, size):
    return line.replace("{rules}", " ".join(f"1000000000 {365 - number}d" for number in range(min(size, 32))))


def probe(server, line, keys):
    """Microseconds per call, on keys at random: the median of slices."""
    words, units = line.split(), load.random_units([line], keys, CALLS, first=FIRST_CALL)
    names = (words[0], "|".join(words[:2]))

    def slice_us(units):
        sample = load.measure(server, len(units), lambda: load.pump(server, units, pipeline=16))
        return next(us for name, us in sample.call_us.items() if name in names)

    return statistics.median(slice_us(units[at::SLICES]) for at in range(SLICES))


def measure(curve, size):
    """{probe: us per call} at this size."""
    keys = size if curve.of_keys else max(min(KEYS, ENTRIES // size), 1)
    contents = dataclasses.replace(curve.contents, opening=[with_rules(line, size) for line in curve.contents.opening])
    with machine.running(module_options=("test-clock", "yes")) as server:
        contents.fill(server, keys, size)
        return {name: probe(server, with_rules(line, size), keys) for name, line in curve.probes.items()}


def draw_out(curve, step):
    """{probe: {size: us}}."""
    found = {name: {} for name in curve.probes}
    for size in curve.sizes:
        step(f"{size:,} {curve.name}")
        for name, each in measure(curve, size).items():
            found[name][size] = each
    return found


# ---- waiters -----------------------------------------------------------------------------------------------------

WAITED = {  # name: what makes them wait, their request, a newcomer's request
    "waiters for a lease": ("RL.ACQUIRE line 1 100d", "RL.ACQUIRE line 1 100d WAIT 100d", "RL.ACQUIRE line 1 100d"),
    "waiters for a place": ("RL.ALLOW line 1 1h", "RL.ALLOW line 1 1h WAIT 9000d", "RL.ALLOW line 1 1h"),
}
IDLE_S = 1


def cpu_of(server, units):
    return load.measure(server, CALLS, lambda: load.pump(server, units, pipeline=16)).cpu_us


def with_waiters(requests, count):
    """{probe: us} while so many clients stand in line."""
    first, waiting, newcomer = requests
    with machine.running() as server, contextlib.ExitStack() as line:
        load.do(server, [first, f"RL.ALLOW other {RULE}"])
        for _ in range(count):
            line.enter_context(load.connect(server)).sendall(load.compiled([waiting])(0, 0))
        client = server.client()
        while client.info("clients")["blocked_clients"] < count:
            time.sleep(0.01)
        before = machine.main_thread_us(client)
        time.sleep(IDLE_S)
        idle = (machine.main_thread_us(client) - before) / IDLE_S / 1000
        return {"RL.ALLOW elsewhere": cpu_of(server, load.random_units([f"RL.ALLOW {{key}} {RULE}"], CALLS, CALLS)),
                "a newcomer": cpu_of(server, load.random_units([newcomer], 1, CALLS)),
                "a millisecond without commands": idle}


def waiters(step):
    found = {}
    for name, requests in WAITED.items():
        for count in powers(0, 4):
            step(f"{count:,} {name}")
            for probe_name, us in with_waiters(requests, count).items():
                found.setdefault(name, {}).setdefault(probe_name, {})[count] = us
    return found


# ---- all of it ---------------------------------------------------------------------------------------------------


def show(name, found):
    sizes = list(next(iter(found.values())))
    report.table(f"{name}: us per call", ("", *(f"{size:,}" for size in sizes)),
                 [(probe_name, *(by_size[size] for size in sizes)) for probe_name, by_size in found.items()])


def run(settings):
    drawn = (*limit_curves(settings.big), *account_curves())
    with report.progress("scale", sum(len(curve.sizes) for curve in drawn) + 5 * len(WAITED)) as step:
        found = {curve.name: draw_out(curve, step) for curve in drawn} | waiters(step)
    for name, by_probe in found.items():
        show(name, by_probe)
    with machine.running() as server:
        about = machine.description()
    report.keep(settings, "scale", about, {"curves": found, **persistence.measure(settings)})
    plots.run(settings)
