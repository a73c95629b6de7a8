"""Measures the module on this machine: one part at a time, each with a table, figures in results.json, and plots.

    parts      aims, throughput   instructions   memory   scale, persistence   latency, bounds   waiting
                    │                   │           │             │                  │
    what       rows · lua/ ─────────────┘           └── Contents of load ────────────┘
    method     rounds: interleaved, paired, medians
    how        load (RESP, redis-benchmark, a pump)      machine (pinned servers, their CPU)      settings
    out        report (tables, progress, json)           plots (svg)           figures (the page)

    python -m bench aims            make bench-aims           each aim by itself, pair by pair; also part of make bench
    python -m bench throughput      make bench                the table, situations, bytes replicated
    python -m bench instructions    make bench-instructions   callgrind, writes instructions.json
    python -m bench check           make bench-check          callgrind again, fails when a row has grown
    python -m bench memory          make bench-memory         bytes of each kind of value
    python -m bench scale           make bench-scale          how cost grows; saving, loading, deleting
    python -m bench latency         make bench-latency        open loop percentiles; the longest single commands
    python -m bench waiting         make bench-waiting        impatient clients against patient ones; a line that leaves
    python -m bench plots                                     the plots again from results.json
    python -m bench figures                                   docs/bench/figures.md again from the two files

Settings are environment variables, see settings.py. Figures are of this machine and this run: only `check` can fail.
"""
import sys

from . import aims, figures, instructions, latency, machine, memory, plots, scale, throughput, waiting
from .settings import Settings

PARTS = {
    "aims": aims.run,
    "throughput": throughput.run,
    "instructions": instructions.run,
    "check": instructions.check,
    "memory": memory.run,
    "scale": scale.run,
    "latency": latency.run,
    "waiting": waiting.run,
    "plots": plots.run,
    "figures": figures.run,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    machine.pin_this_process()
    return PARTS[sys.argv[1]](Settings.from_environment())


if __name__ == "__main__":
    sys.exit(main())
