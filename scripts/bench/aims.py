"""What the project aimed at, each aim by itself: its two commands one right after the other, on one server that holds
the million keys of every row.

    round 1   SET EX, RL.ALLOW │ GET, denied │ …         round 2   … │ denied, GET │ RL.ALLOW, SET EX

On a machine with neighbours only what stands next to each other in time can be compared: a ratio of two rows of the
main table spans a minute, one of these two seconds. The figures of a server stand beside those of others: QUOTA_SERVER
says which one is measured. An aim may be of some servers alone, since newer ones have made SET EX cheaper.
"""
import dataclasses
import datetime

from . import machine, report, rounds, rows, throughput

REDIS_7, NEWEST = "Redis 7.0", "Redis 8.6, Valkey 9.1"  # families of servers, by which aims differ


@dataclasses.dataclass(frozen=True, eq=False)
class Aim:
    row: str
    against: str
    least: float | dict | None = None  # of each family, or of all; None: for comparison only
    logged: bool = False  # on a server that writes an AOF

    @property
    def name(self):
        return f"{self.row}, with an AOF" if self.logged else self.row

    def on(self, family):
        return self.least.get(family) if isinstance(self.least, dict) else self.least


AIMS = (
    Aim("RL.ALLOW", "SET EX", {REDIS_7: 1.08, NEWEST: 0.90}),
    Aim("RL.ALLOW POLICY", "SET EX"),
    Aim("RL.ALLOW BURST", "lua gcra"),
    Aim("RL.ALLOW denied", "GET, key with TTL", {REDIS_7: 0.85}),
    Aim("RL.TAKE", "SET", {REDIS_7: 0.95}),
    Aim("RL.MALLOW TERSE, of 100 keys", "RL.ALLOW", 3.0),
    Aim("RL.MTAKE, of 100 subjects", "RL.ALLOW", 6.0),
    Aim("QUOTA.CONSUME, 2 limits", "SET EX", {REDIS_7: 0.95, NEWEST: 0.72}),
    Aim("QUOTA.CONSUME, 2 limits", "lua quota"),
    Aim("QUOTA.CONSUME, new ID", "SET EX", {REDIS_7: 0.70}),
    Aim("QUOTA.CONSUME, new ID", "lua quota_with_id"),
    Aim("QUOTA.CONSUME, replayed ID", "SET EX", {REDIS_7: 0.85}),
    Aim("QUOTA.INGEST, 100 rows of one account", "SET EX", 4.0),
    Aim("RL.ALLOW", "SET EX", {REDIS_7: 1.0}, logged=True),
    Aim("QUOTA.CONSUME, 2 limits", "SET EX", {REDIS_7: 1.0}, logged=True),
)


def family_of(server):
    return REDIS_7 if server.startswith("Redis 7.0") else NEWEST


def compare(server, aims, filled, settings, step):
    """{aim: [the other's CPU / its CPU, of each round]}."""
    placed = {row.name: (row, database) for row, database in filled.items()}

    def cpu_us(name):
        row, database = placed[name]
        return throughput.measure(server, row, database, settings.keys, throughput.requests_of(row, settings)).cpu_us

    ratios = {aim: [] for aim in aims}
    for number in range(settings.rounds):
        for aim in aims if number % 2 == 0 else reversed(aims):
            step(f"{aim.name}, {aim.against}")
            pair = (aim.against, aim.row) if number % 2 == 0 else (aim.row, aim.against)
            used = {name: cpu_us(name) for name in pair}
            ratios[aim].append(used[aim.against] / used[aim.row])
    return ratios


def measured(aims, settings, **options):
    """The ratios of these aims on a server of their own with these options."""
    named = {name for aim in aims for name in (aim.row, aim.against)}
    table = [row for row in rows.table(settings.peers) if row.name in named]
    with machine.running(settings.peers, **options) as server:
        rows.prepare(server)
        with report.progress("aims", len(table) + len(aims) * settings.rounds) as step:
            return compare(server, aims, throughput.fill(server, table, settings.keys, step), settings, step)


def show(found):
    def verdict(row):
        return "" if row["aim"] is None else "met" if row["x"].median >= row["aim"] else "missed"

    report.table("what was aimed at: times as cheap", ("", "against", "x (least - most)", "aim", ""),
                 [(row["row"], row["against"], str(row["x"]), "" if row["aim"] is None else row["aim"], verdict(row))
                  for row in found])


def run(settings):
    about = machine.description()
    peers = tuple(Aim("RL.ALLOW BURST", peer.name) for peer in settings.peers)
    for own in (peer.name for peer in settings.peers if not peer.path):  # the server's own limiter
        peers += (Aim("RL.ALLOW", own, 1.05), Aim("RL.MTAKE, of 100 subjects", own, 4.0))
    alone = tuple(aim for aim in (*AIMS, *peers) if not aim.logged)
    ratios = measured(alone, settings)
    ratios |= measured(tuple(aim for aim in AIMS if aim.logged), settings, appendonly="yes", appendfsync="everysec")
    found = [{"row": aim.name, "against": aim.against, "aim": aim.on(family_of(about["server"])),
              "x": rounds.spread(of_aim)} for aim, of_aim in ratios.items()]
    show(found)
    kept = report.read(settings.out / "results.json").get("aims", {}).get("servers", {})
    of_server = {"day": datetime.date.today().isoformat(), "aims": found}
    report.keep(settings, "aims", about, {"servers": kept | {about["server"]: of_server}})
