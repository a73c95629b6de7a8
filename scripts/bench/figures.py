"""Writes docs/bench/figures.md: what results.json and instructions.json hold, as tables, and nothing else.

    results.json ─────┬─▶ page ─▶ docs/bench/figures.md      each part names the day of its run
    instructions.json ┘                                      what was made of them is history.md, written by people

Needs no package beside Python, so that tests/integration/test_docs.py can say whether the page is current.
"""
import json

HEAD = """# Figures

    make bench-all                make these figures on your machine; they replace docs/bench/results.json
    make bench-instructions       count instructions, which repeat on a noisy machine

Made by `python -m bench figures` from results.json and instructions.json. "x SET" is CPU of SET / CPU of this, in the
same round, so more than 1 is cheaper than SET. Three numbers are the median, and the least and the most of all rounds.
[History](history.md) says what was aimed at, and what was done about it. [Scaling](../operations/scaling.md) plans a
fleet with these figures."""


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(one):
    return f"{one['median']:.2f} ({one['least']:.2f} - {one['most']:.2f})"


def section(title, part, *blocks):
    where = f"{part['day']}, {part['machine']['server']}, {part['machine']['cores']} cores" if part else ""
    return "\n\n".join([f"## {title}", *([where + "."] if where else []), *blocks])


# ---- the parts ---------------------------------------------------------------------------------------------------


def instructions(counted):
    parts = list(next(iter(counted.values()))["parts"])
    rows = [(name, f"{row['instructions']:,}", f"{row['in_sets']:.2f}", *(f"{row['parts'][part]:,}" for part in parts))
            for name, row in counted.items()]
    return section("Instructions", None,
                   "Of the whole server for one decision, pipeline 16, a thousand hot keys, by callgrind. *ours* is "
                   "this module; *open*, *replicate*, *reply*, *other API* are functions of the server that it calls; "
                   "*rest* is what the server does for any command.", table(("", "all", "in SETs", *parts), rows))


def throughput(part):
    rows = [(name, number(row["per_second"]["median"] / 1000), number(row["cpu_us"]["median"]), spread(row["x_set"]),
             f"{part['bytes'][name]:.0f}" if name in part["bytes"] else "") for name, row in part["rows"].items()]
    blocks = [f"{part['settings']['keys']:,} random live keys in each row, pipeline 16, replication code active; "
              "one core for the server, one for the client.", "![bars](throughput.svg)",
              table(("", "thousand a second", "CPU us", "x SET", "bytes replicated"), rows)]
    for title, name in (("Without a pipeline", "unpipelined"), ("One hot key, pipeline 16", "hot key")):
        rows = [(row_name, number(row["per_second"]["median"] / 1000), number(row["cpu_us"]["median"]),
                 spread(row["x_set"])) for row_name, row in part[name].items()]
        blocks += [f"### {title}", table(("", "thousand a second", "CPU us", "x SET"), rows)]
    rows = [(name, number(row["cpu_us"]["median"]), spread(row["replica"]), spread(row["AOF"]))
            for name, row in part["companions"].items()]
    blocks += ["### With a replica, with an AOF", "CPU with it / CPU without.",
               table(("", "CPU us alone", "with a replica", "with an AOF"), rows)]
    return section("Throughput", part, *blocks)


def aims(part):
    """A column for each server; one that an aim is not about shows what was measured alone."""
    def cell(one):
        aim = one["aim"]
        outcome = "" if aim is None else f", {'met' if one['x']['median'] >= aim else 'missed'} ({aim:.2f})"
        return f"{spread(one['x'])}{outcome}"

    servers = part["servers"]
    found = {}
    for server, of_server in servers.items():
        for one in of_server["aims"]:
            found.setdefault((one["row"], one["against"]), {})[server] = cell(one)
    rows = [(*pair, *(cells.get(server, "") for server in servers)) for pair, cells in found.items()]
    days = ", ".join(f"{server}: {of_server['day']}" for server, of_server in servers.items())
    return section("Aims", part, "Each pair one right after the other: CPU of the other / CPU of ours. More is better; "
                   f"the aim stands in brackets. Measured on {days}.", table(("", "against", *servers), rows))


def memory(part):
    rows = [(name, f"{value:.0f}" if value >= 10 else f"{value:.1f}") for name, value in part["bytes"].items()]
    return section("Memory", part, "Bytes of one, out of many, the key and the server's own part included.",
                   table(("", "bytes"), rows))


def latency(part):
    quantiles = ("p50", "p99", "p99.9", "p100")
    rows = [(name, *(f"{row[quantile]['median']:.3f}" for quantile in quantiles)) for name, row in part["ms"].items()]
    longest = [(name, f"{value:,}") for name, value in part["longest_us"].items()]
    return section("Latency", part, f"Open loop, {part['per_second']:,.0f} requests a second, ms from the planned "
                   "instant to the answer. The tails are the machine's: SET has them too.",
                   "![percentiles](latency.svg)",
                   table(("", "p50", "p99", "p99.9", "longest"), rows),
                   "### The longest single commands at their bounds", table(("", "us"), longest))


def scale(part):
    blocks = ["us of CPU per call, as the thing named grows. A flat row is a cost that does not grow.",
              "![curves](scale.svg)"]
    for name, curves in part["curves"].items():
        sizes = list(next(iter(curves.values())))
        rows = [(row, *(number(curve[size]) for size in sizes)) for row, curve in curves.items()]
        blocks += [f"### {name.capitalize()}", table(("", *(f"{int(size):,}" for size in sizes)), rows)]
    rows = [(name, *(f"{value:.2f}" for value in row.values())) for name, row in part["files"].items()]
    blocks += ["### Files, seconds per million", table(("", "save", "load", "AOF rewrite"), rows)]
    rows = [(name, *(f"{value:.1f}" for value in row.values())) for name, row in part["pauses_ms"].items()]
    heads = ("deleting", "(nothing)", "DEL", "UNLINK", "FLUSHALL ASYNC")
    return section("Scale", part, *blocks, "### The longest another client waits meanwhile, ms", table(heads, rows))


def waiting(part):
    crowds = [(name, f"{row['units']:,}", f"{row['of the patient']:.2f}") for name, row in part["impatience"].items()]
    sizes = list(next(iter(part["leaving"].values())))
    leaving = [(name, *(number(row[size]) for size in sizes)) for name, row in part["leaving"].items()]
    return section("Waiting", part, "Sixty clients on `10 1s`: those that wait at most half a second, by WAIT 500ms or "
                   "by hanging up, against patient ones.", table(("", "units", "of the patient"), crowds),
                   "us of the main thread for one client that leaves a line of so many, its connection's end included.",
                   table(("", *(f"{int(size):,}" for size in sizes)), leaving))


PARTS = {"throughput": throughput, "aims": aims, "memory": memory, "latency": latency, "scale": scale,
         "waiting": waiting}


def page(folder):
    """The text of figures.md from the two files in `folder`; a part that was not measured is left out."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    counted = json.loads((folder / "instructions.json").read_text(encoding="utf-8"))
    return "\n\n".join([HEAD, instructions(counted),
                        *(write(results[name]) for name, write in PARTS.items() if name in results)]) + "\n"


def run(settings):
    (settings.out / "figures.md").write_text(page(settings.out), encoding="utf-8")
    print("bench: wrote figures.md")
