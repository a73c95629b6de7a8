"""What the project aimed at, each aim by itself: its two commands one right after the other, on one server that holds
the million keys of every row.

    round 1   SET EX, RL.ALLOW │ GET, denied │ …         round 2   … │ denied, GET │ RL.ALLOW, SET EX

On a machine with neighbours only what stands next to each other in time can be compared: a ratio of two rows of the
main table spans a minute, one of these two seconds.
"""
import dataclasses

from . import machine, report, rounds, rows, throughput


@dataclasses.dataclass(frozen=True)
class Aim:
    row: str
    against: str
    least: float | None  # None: for comparison only


AIMS = (
    Aim("RL.ALLOW", "SET EX", None),
    Aim("RL.ALLOW BURST", "SET EX", 1.10),
    Aim("RL.ALLOW BURST", "lua gcra", 4.9),
    Aim("RL.ALLOW POLICY", "SET EX", 1.15),
    Aim("RL.TAKE", "SET", 1.10),
    Aim("RL.ALLOW denied", "GET", 0.95),
    Aim("RL.ALLOW denied", "GET, key with TTL", None),
    Aim("QUOTA.CONSUME, 2 limits", "SET EX", 0.95),
    Aim("QUOTA.CONSUME, 2 limits", "lua quota", 4.0),
    Aim("QUOTA.CONSUME, new ID", "SET EX", 0.75),
    Aim("QUOTA.CONSUME, new ID", "lua quota_with_id", 6.0),
    Aim("QUOTA.CONSUME, replayed ID", "SET EX", 1.0),
    Aim("RL.MALLOW, of 100 keys", "RL.ALLOW", 3.0),
)
AGAINST_PEER = Aim("RL.ALLOW BURST", "", 2.0)


def aims_of(peers):
    return (*AIMS, *(dataclasses.replace(AGAINST_PEER, against=peer.name) for peer in peers))


def compare(server, aims, table, settings, step):
    """{aim: [the other's CPU / its CPU, of each round]}."""
    placed = {row.name: (row, database) for row, database in table.items()}

    def cpu_us(name):
        row, database = placed[name]
        return throughput.measure(server, row, database, settings.keys, throughput.requests_of(row, settings)).cpu_us

    ratios = {aim: [] for aim in aims}
    for number in range(settings.rounds):
        for aim in aims if number % 2 == 0 else reversed(aims):
            step(f"{aim.row}, {aim.against}")
            pair = (aim.against, aim.row) if number % 2 == 0 else (aim.row, aim.against)
            used = {name: cpu_us(name) for name in pair}
            ratios[aim].append(used[aim.against] / used[aim.row])
    return ratios


def show(found):
    def verdict(row):
        return "" if row["aim"] is None else "met" if row["x"].median >= row["aim"] else "missed"

    report.table("what was aimed at: times as cheap", ("", "against", "x (least - most)", "aim", ""),
                 [(row["row"], row["against"], str(row["x"]), "" if row["aim"] is None else row["aim"], verdict(row))
                  for row in found])


def run(settings):
    aims = aims_of(settings.peers)
    named = {name for aim in aims for name in (aim.row, aim.against)}
    table = [row for row in rows.table(settings.peers) if row.name in named]
    with machine.running(settings.peers) as server:
        rows.prepare(server)
        about = machine.description()
        with report.progress("aims", len(table) + len(aims) * settings.rounds) as step:
            filled = throughput.fill(server, table, settings.keys, step)
            ratios = compare(server, aims, filled, settings, step)
    found = [{"row": aim.row, "against": aim.against, "aim": aim.least, "x": rounds.spread(ratios[aim])}
             for aim in aims]
    show(found)
    report.keep(settings, "aims", about, {"aims": found})
