"""What each kind of value weighs: growth of the server's used_memory over a million of them.

    a key       used_memory / keys, against an 8-byte string with a time to live under a name of the same length
    an entry    (a thousand in each key, less the same keys without them) / entries

Each kind on a server of its own. `less` is what is not the module's doing: the bytes of an id.
"""
import dataclasses

from . import load, machine, report
from .load import Contents

RULE = "1000 365d"  # a unit counts for nine hours: nothing is idle, and swept, while it is weighed
PER_KEY = 1000  # entries
ID_BYTES = 24
PLANS = ("QUOTA.PLAN SET one r LIMIT 1000000000 month",
         "QUOTA.PLAN SET two r LIMIT 1000000000 month LIMIT 1000000000 day")


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    contents: Contents
    entries: int = 0  # in each key; 0: the key itself is weighed
    less: int = 0


def key(name, *lines, once=()):
    return Kind(name, Contents(once=once, opening=lines))


def entry(name, line, opening=(), once=(), less=0):
    return Kind(name, Contents(once=once, opening=opening, entry=(line,)), PER_KEY, less)


BASE = key("string of 8 bytes with a time to live", "SET {key} abcdefgh EX 86400")
KINDS = (
    BASE,
    key("string of 8 bytes", "SET {key} abcdefgh"),
    *(key(f"bucket, {rule.split()[0]}", f"RL.ALLOW {{key}} {rule}")
      for rule in (f"GCRA {RULE}", f"TOKEN {RULE}", f"LEAKY {RULE}", f"QUEUE {RULE} BURST 10", f"FIXED {RULE}",
                   f"SLIDING {RULE}", "LOG 1000 365d")),
    key("bucket, 3 rules", f"RL.ALLOW {{key}} {RULE} 1000 180d SLIDING 1000 365d"),
    key("bucket of a policy", "RL.ALLOW {key} POLICY p", once=(f"RL.POLICY SET p {RULE}",)),
    key("breaker", "RL.BREAKER {key} FAILURES 3", "RL.BREAKER {key} REPORT fail"),
    key("adaptive limit", "RL.ADAPT {key} 10 1000", "RL.ADAPT {key} REPORT LATENCY 10ms"),
    key("key of one lease", "RL.ACQUIRE {key} 10 365d ID {id}"),
    key("account, opened", "QUOTA.OPEN {key} two", once=PLANS),
    key("account, used, one limit", "QUOTA.OPEN {key} one", "QUOTA.CONSUME {key} r 1", once=PLANS),
    key("account, used, two limits", "QUOTA.OPEN {key} two", "QUOTA.CONSUME {key} r 1", once=PLANS),
    key("account, used, two limits, an ID", "QUOTA.OPEN {key} two", "QUOTA.CONSUME {key} r 1 ID {id}", once=PLANS),
    Kind("subject of a table (12 bytes)",
         Contents(once=(f"RL.TABLE limits {RULE}",), entry=("RL.TAKE limits {subject}",)), 1),
    entry("entry of a log", "RL.ALLOW {key} LOG 100000 365d"),
    entry("lease (24-byte id)", "RL.ACQUIRE {key} -1 365d ID {id}"),
    entry("id of an account, beyond its 24 bytes", "QUOTA.CONSUME {key} r 1 ID {id}",
          opening=("QUOTA.OPEN {key} two",), once=PLANS, less=ID_BYTES),
    entry("reservation (24-byte id)", "QUOTA.RESERVE {key} {id} r 1 TTL 365d",
          opening=("QUOTA.OPEN {key} two",), once=PLANS),
)


def used(server, kind, keys, entries):
    """Bytes that these contents add to a server."""
    client = server.client()
    load.do(server, ["FLUSHALL", *kind.contents.once])
    before = client.info("memory")["used_memory"]
    dataclasses.replace(kind.contents, once=()).fill(server, keys, entries)
    return client.info("memory")["used_memory"] - before


def weigh(server, kind, settings):
    """Bytes of one."""
    if kind.entries == 0:
        return used(server, kind, settings.keys, 1) / settings.keys
    keys = max(settings.keys // kind.entries, 1)
    empty = used(server, kind, keys, 0) if kind.contents.opening else 0
    return (used(server, kind, keys, kind.entries) - empty) / (keys * kind.entries) - kind.less


def run(settings):
    found = {}
    with report.progress("memory", len(KINDS)) as step:
        for kind in KINDS:
            step(kind.name)
            with machine.running() as server:
                about = machine.description()
                found[kind.name] = weigh(server, kind, settings)
    base = found[BASE.name]
    whole = [(kind.name, found[kind.name], found[kind.name] - base) for kind in KINDS if kind.entries == 0]
    parts = [(kind.name, found[kind.name], "") for kind in KINDS if kind.entries]
    report.table(f"memory, {settings.keys:,} of each", ("", "bytes each", "more than the string"),
                 [*whole, ("inside a key",), *parts])
    report.keep(settings, "memory", about, {"bytes": found})
