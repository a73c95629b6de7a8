"""The main table, the situations around it, and what travels to replicas.

    main          every row, pipeline 16, random keys, on one server alone
    unpipelined   16 → 1        hot key   one key        the headline rows
    companions    the same server three times, a quarter of the keys: alone, with a replica, with an AOF (everysec)
                  loss = CPU with / CPU alone of the same round, to be read next to the loss of SET EX
    bytes         growth of master_repl_offset over a thousand calls

CPU is that of the server's main thread per decision. x SET = CPU of SET / CPU of this, in the same round: above 1 is
cheaper than SET.
"""
from . import load, machine, plots, report, rounds, rows

BYTES_KEYS = 1000
COMPANIONS = ("alone", "replica", "AOF")


def requests_of(row, settings, share=1):
    return max(settings.requests // (row.decisions * row.slowness * share), 1)


def fill(server, table, keys, step):
    """Each row's contents in a database of its own → {row: database}."""
    filled = {row: database for database, row in enumerate(table)}
    for row, database in filled.items():
        step(f"filling {row.name}")
        row.contents.fill(server, keys, database=database)
        rows.check(server, row, database)
    return filled


def measure(server, row, database, keys, requests, pipeline=16):
    return load.measure(server, requests * row.decisions,
                        lambda: load.send(server, row.lines, requests, keys, pipeline, database))


# ---- one server --------------------------------------------------------------------------------------------------


def compare(server, table, settings, step, keys=None, pipeline=16, share=1):
    """Rounds over these of the rows that fill() has filled, {row: database} → {row: [Sample of each round]}."""
    samples = {row: [] for row in table}
    for row in rounds.interleaved(settings.rounds, table):
        step(row.name)
        requests = requests_of(row, settings, share)
        samples[row].append(measure(server, row, table[row], keys or settings.keys, requests, pipeline))
    for row, database in table.items():
        rows.check(server, row, database)
    return samples


def figures(samples):
    """{name: what is said about it}."""
    def cpu(row):
        return [sample.cpu_us for sample in samples[row]]

    return {row.name: {"group": row.group, "per_second": rounds.spread(sample.per_second for sample in samples[row]),
                       "cpu_us": rounds.spread(cpu(row)), "x_set": rounds.ratio(cpu(rows.BASE), cpu(row))}
            for row in samples}


def show(title, found):
    lines, group = [], None
    for name, row in found.items():
        if row["group"] != group:
            group = row["group"]
            lines.append((group,))
        lines.append((name, row["per_second"].median / 1000, row["cpu_us"].median, str(row["x_set"])))
    report.table(title, ("", "thousand/s", "CPU us", "x SET (least - most)"), lines)


def main_table(server, table, settings):
    found = {}
    for group in rows.groups(table):
        with report.progress(group[-1].group, len(group) * (settings.rounds + 1)) as step:
            of_group = figures(compare(server, fill(server, group, settings.keys, step), settings, step))
        load.do(server, ["FLUSHALL"])
        found = of_group | found if not found else found | {name: row for name, row in of_group.items()
                                                             if name != rows.BASE.name}
    show(f"pipeline 16, {settings.keys:,} random keys", found)
    return found


def small_situations(server, chosen, settings):
    """Without pipeline, and on one key: {title: figures}."""
    found = {}
    with report.progress("situations", len(chosen) * (2 * settings.rounds + 1)) as step:
        filled = fill(server, chosen, settings.keys, step)
        found["unpipelined"] = figures(compare(server, filled, settings, step, pipeline=1, share=3))
        hot = {row: filled[row] for row in chosen if "{id}" not in row.lines[0]}  # no account holds so many ids
        found["hot key"] = figures(compare(server, hot, settings, step, keys=1))
    load.do(server, ["FLUSHALL"])
    show(f"without pipeline, {settings.keys:,} random keys", found["unpipelined"])
    show("pipeline 16, one key", found["hot key"])
    return found


# ---- companions --------------------------------------------------------------------------------------------------


def companion_rounds(servers, settle, chosen, settings):
    """{row: {companion: [CPU of each round]}}, all three in turn for each row."""
    used, keys = {row: {name: [] for name in COMPANIONS} for row in chosen}, max(settings.keys // 4, 1)
    with report.progress("replica, AOF", len(chosen) * 3 * (settings.rounds + 1)) as step:
        for name in COMPANIONS:
            fill(servers[name], chosen, keys, step)
        settle()
        for row, name in rounds.interleaved(settings.rounds, [(row, name) for row in chosen for name in COMPANIONS]):
            step(f"{row.name}, {name}")
            sample = measure(servers[name], row, chosen.index(row), keys, requests_of(row, settings))
            used[row][name].append(sample.cpu_us)
            settle()
    return used


def companions(chosen, settings):
    with machine.running() as alone, machine.running() as primary, machine.following(primary) as replica, \
            machine.running(appendonly="yes", appendfsync="everysec") as logged:
        servers = dict(zip(COMPANIONS, (alone, primary, logged)))
        for server in servers.values():
            rows.prepare(server)
        used = companion_rounds(servers, lambda: machine.caught_up(primary, replica), chosen, settings)
    found = {row.name: {"cpu_us": rounds.spread(of_row["alone"]),
                        **{name: rounds.ratio(of_row[name], of_row["alone"]) for name in COMPANIONS[1:]}}
             for row, of_row in used.items()}
    report.table("CPU with a replica, and with an AOF, against the server alone (SET EX is the one to compare with)",
                 ("", "CPU us alone", "x with replica", "x with AOF"),
                 [(name, row["cpu_us"].median, str(row["replica"]), str(row["AOF"])) for name, row in found.items()])
    return found


# ---- bytes -------------------------------------------------------------------------------------------------------


def replicated_bytes(table):
    """{name: bytes per decision that a replica is sent}, keys of 14 bytes."""
    found = {}
    with machine.running() as primary, machine.following(primary):
        rows.prepare(primary)
        client = primary.client()
        for database, row in enumerate(table):
            row.contents.fill(primary, BYTES_KEYS, database=database)
            before = client.info("replication")["master_repl_offset"]
            load.pump(primary, load.random_units(row.lines, BYTES_KEYS, BYTES_KEYS), database=database)
            sent = client.info("replication")["master_repl_offset"] - before
            found[row.name] = sent / BYTES_KEYS / row.decisions
    report.table("bytes sent to a replica", ("", "bytes a decision"), [(name, sent) for name, sent in found.items()])
    return found


def run(settings):
    table = rows.table()
    chosen = [row for row in rows.table() if row.headline]
    with machine.running(settings.peers) as server:
        rows.prepare(server)
        about = machine.description()
        main = main_table(server, rows.table(settings.peers), settings)
        situations = small_situations(server, [row for row in rows.table(settings.peers) if row.headline], settings)
    report.keep(settings, "throughput", about, {
        "rows": main, **situations, "companions": companions(chosen, settings), "bytes": replicated_bytes(table)})
    plots.run(settings)
