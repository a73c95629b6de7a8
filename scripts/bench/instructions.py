"""Instructions of the server per decision, counted by callgrind: the one figure that repeats on a noisy machine.

    valgrind ── redis-server + quota.so     per row: 1000 hot keys filled · 20,000 to warm up · on · 20,000 · off
                  │ callgrind_control -d                                                                   │
                  └──────────────────────────▶ a dump: "totals: n" ◀───────────────────────────────────────┘

What is compared is the ratio to SET of the same run, for that leaves out other builds of the server and of libc. The
committed docs/bench/instructions.json is what `check` holds a run against. Where they go is read off the same dumps.
"""
import os
import pathlib
import re
import subprocess
import tempfile

from . import load, machine, profile, report, rows

KEYS, COUNTED = 1000, 20_000
GROWTH_MAX = 1.10
FILE = "instructions.json"


def control(server, *words):
    """Switches callgrind; it notices when the server next wakes up."""
    subprocess.run(["callgrind_control", *words, str(server.process.pid)], check=True, capture_output=True)
    load.do(server, ["PING"])


def dumped(folder):
    """The latest dump: its total, and {part: instructions}."""
    newest = max(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    text = newest.read_text(errors="replace")
    module = pathlib.Path(machine.servers.MODULE).name
    return int(re.search(r"^totals: (\d+)", text, re.M)[1]), profile.of_dump(text, module)


def count(server, row, database, folder):
    """Instructions per decision of this row: all, and by part."""
    requests = COUNTED // row.decisions
    row.contents.fill(server, KEYS, database=database)
    load.send(server, row.lines, requests, KEYS, database=database)
    rows.check(server, row, database)
    control(server, "-i", "on")
    load.send(server, row.lines, requests, KEYS, database=database)
    control(server, "-i", "off")
    control(server, "-d", "row")
    total, parts = dumped(folder)
    decisions = requests * row.decisions
    return total / decisions, {part: round(each / decisions) for part, each in parts.items()}


def count_all(table):
    """{name: (instructions, those of each part)}, all on one server."""
    with tempfile.TemporaryDirectory(prefix="quota-bench-") as name:
        folder = pathlib.Path(name)
        wrapper = f"valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file={folder}/out"
        machine.servers.WRAPPER = wrapper.split()
        # Cron would be counted too: the slower the machine, the more of it.
        with machine.running(hz="1", activerehashing="no") as server, report.progress("callgrind", len(table)) as step:
            rows.prepare(server)
            load.do(server, ["DEBUG SET-ACTIVE-EXPIRE 0"])
            found = {}
            for database, row in enumerate(table):
                step(row.name)
                found[row.name] = count(server, row, database, folder)
    machine.servers.WRAPPER = []
    return found


def ours():
    return [row for row in rows.table() if row.group != "scripts"]


def counted():
    """{name: {instructions, in_sets, parts}}; in_sets is above 1 for what takes more than SET."""
    found = count_all(ours())
    base = found[rows.BASE.name][0]
    return {name: {"instructions": round(total), "in_sets": total / base, "parts": parts}
            for name, (total, parts) in found.items()}


def run(settings):
    found = counted()
    report.table("instructions a decision, pipeline 16, a thousand hot keys (callgrind)",
                 ("", "all", "in SETs", *profile.PARTS),
                 [(name, row["instructions"], row["in_sets"], *row["parts"].values()) for name, row in found.items()])
    report.write(settings.out / FILE, found)


def check(settings):
    """1 when a row takes a tenth more instructions, counted in SETs, than it did when the file was written."""
    before, now, grown = report.read(settings.out / FILE), counted(), []
    shown = []
    for name, row in now.items():
        growth = row["in_sets"] / before[name]["in_sets"] if name in before else None
        if growth and growth > GROWTH_MAX:
            grown.append(name)
        shown.append((name, row["instructions"], row["in_sets"], f"{growth - 1:+.1%}" if growth else "new"))
    report.table(f"instructions a decision against {settings.out / FILE}",
                 ("", "instructions", "in SETs", "growth"), shown)
    gone = [name for name in before if name not in now]
    print("bench-check: " + (f"grown by more than a tenth: {', '.join(grown)}" if grown else "nothing has grown") +
          (f"; no longer there: {', '.join(gone)} (make bench-instructions writes the file anew)" if gone else ""))
    if not before:
        print(f"bench-check: there is no {os.path.relpath(settings.out / FILE)}: make bench-instructions writes it")
    return 1 if grown or gone or not before else 0
