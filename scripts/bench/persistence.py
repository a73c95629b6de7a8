"""What files cost, and whether deleting something large is felt by others.

    files     SAVE, start (the server's own "DB loaded"), BGREWRITEAOF without preamble: seconds per million
    pauses    client a: DEL | UNLINK | FLUSHALL ASYNC ───────────▶ server ──▶ background thread
              client b: PING … PING … PING                         the longest answer is the pause
"""
import re
import time

from . import load, machine, report
from .load import Contents
from .rows import PLANS, RULE

FILES = {
    "strings with a time to live": Contents(entry=("SET {key} abcdefgh EX 86400",)),
    "buckets, GCRA": Contents(entry=(f"RL.ALLOW {{key}} {RULE} COST 1000000",)),
    "subjects of one table": Contents(once=(f"RL.TABLE t {RULE}",), entry=("RL.TAKE t {subject} COST 1000000",)),
    "accounts, two limits used": Contents(once=(f"QUOTA.PLAN SET p r {PLANS['two']}",),
                                          opening=("QUOTA.OPEN {key} p",), entry=("QUOTA.CONSUME {key} r 1",)),
}
LOADED = re.compile(r"DB loaded from .*?: ([\d.]+) seconds")

LARGE = {  # what lies under `large`, and how many of it: filled as keys 0 to n - 1 or entries 0 to n - 1
    "1,000,000 members of a sorted set": (Contents(entry=("ZADD large {id} {id}",)), 1_000_000),
    "1,000,000 subjects of a table": (Contents(once=(f"RL.TABLE large {RULE}",),
                                               entry=("RL.TAKE large s{id} COST 1000000",)), 1_000_000),
    "100,000 entries of a log": (Contents(entry=("RL.ALLOW large LOG 100000 365d",)), 100_000),
    "100,000 leases": (Contents(entry=("RL.ACQUIRE large -1 1d ID {id}",)), 100_000),
    "100,000 ids of an account": (Contents(once=(f"QUOTA.PLAN SET p r {PLANS['two']}", "QUOTA.OPEN large p"),
                                           entry=("QUOTA.CONSUME large r 1 ID {id}",)), 100_000),
    "10,000 reservations": (Contents(once=(f"QUOTA.PLAN SET p r {PLANS['two']}", "QUOTA.OPEN large p"),
                                     entry=("QUOTA.RESERVE large {id} r 1 TTL 1d",)), 10_000),
}
WAYS = ("DEL large", "UNLINK large", "FLUSHALL ASYNC")
QUIET_S = 0.3  # of pinging before, and after the last byte is given back


# ---- files -------------------------------------------------------------------------------------------------------


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


def files(contents, keys):
    """Seconds per million keys."""
    with machine.running(aof_use_rdb_preamble="no") as server:
        contents.fill(server, keys)
        rewrite = timed(lambda: machine.servers.rewrite_aof(server))
        save = timed(lambda: load.do(server, ["SAVE"]))
        server.stop()
        server.start()
        found = {"save": save, "load": float(LOADED.findall(server.log())[-1]), "AOF rewrite": rewrite}
    return {name: seconds / keys * 1e6 for name, seconds in found.items()}


# ---- pauses ------------------------------------------------------------------------------------------------------


def longest_ping_ms(server, until):
    """Pings until `until()` has been true for a while → the longest answer."""
    longest, quiet_since = 0, None
    with load.connect(server) as link:
        while quiet_since is None or time.monotonic() - quiet_since < QUIET_S:
            began = time.monotonic()
            link.sendall(load.PING)
            link.recv(64)
            longest = max(longest, time.monotonic() - began)
            quiet_since = quiet_since or (time.monotonic() if until() else None)
    return longest * 1000


def pause(contents, count, way):
    """Longest ping in ms: with nothing going on, and while `large` is deleted this way."""
    with machine.running() as server, load.connect(server) as link:
        contents.fill(server, 1, count)
        client = server.client()
        still = longest_ping_ms(server, lambda: True)
        link.sendall(load.compiled([way])(0, 0))
        freed = lambda: client.info("memory")["lazyfree_pending_objects"] == 0  # noqa: E731
        return still, longest_ping_ms(server, freed)


def measure(settings):
    found = {"files": {}, "pauses_ms": {}}
    with report.progress("files, pauses", len(FILES) + len(LARGE) * len(WAYS)) as step:
        for name, contents in FILES.items():
            step(name)
            found["files"][name] = files(contents, settings.keys)
        for name, (contents, count) in LARGE.items():
            of_name = found["pauses_ms"][name] = {"nothing": 0}
            for way in WAYS:
                step(f"{way}: {name}")
                still, of_name[way] = pause(contents, count, way)
                of_name["nothing"] = max(still, of_name["nothing"])
    report.table(f"seconds per million (measured with {settings.keys:,})", ("", "save", "load", "AOF rewrite"),
                 [(name, *row.values()) for name, row in found["files"].items()])
    report.table("longest PING of another client, ms", ("", "nothing", *WAYS),
                 [(name, *row.values()) for name, row in found["pauses_ms"].items()])
    return found
