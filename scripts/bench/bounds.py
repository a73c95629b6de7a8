"""The longest single commands: each at the bound that the README states for it, timed by the server's SLOWLOG.

    a bound    contents ──▶ lines, sent several times (a clock that moves on, the command) ──▶ the longest, us

The longest of a run is what another client may have to wait for. Of three runs the least is taken: what the machine did
in between does not repeat. Commands that answer or change all there is cannot be short; the others should be.
"""
import dataclasses

from . import load, machine, report
from .load import Contents
from .rows import RULE

LONG_US = 1000
REPEATS = 3
NOTED_US = 20  # SLOWLOG keeps what took longer
CLOCK = "QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z"
PLAN = f"QUOTA.PLAN SET p r RATE {RULE} LIMIT 1000000000 month LIMIT 1000000000 day"
ACCOUNT = (PLAN, "CONFIG SET quota.id-max 100001", "QUOTA.OPEN a p")
RULES = " ".join(f"SLIDING 1000000000 {365 - number}d" for number in range(32))
LIMITS = " ".join(f"LIMIT 1000000000 {365 - number}d" for number in range(16))
WIDE = tuple(f"QUOTA.PLAN SET wide r{number:02} {LIMITS}" for number in range(64))
KEYS = " ".join(f"k{number}" for number in range(1000))


@dataclasses.dataclass(frozen=True)
class Bound:
    name: str
    contents: Contents
    count: int
    lines: tuple
    calls: int = 100
    whole: bool = False  # answers or changes all there is


def once(*lines):
    return Contents(once=lines)


def growing(name, line, count, *lines):
    """Nothing but many calls: what is longest is when something inside grows."""
    return Bound(name, once(*lines), 1, (line,), count)


LOG = Contents(once=(CLOCK,), entry=("RL.ALLOW log LOG 100000 1h",))
LEASES = Contents(once=(CLOCK,), entry=("RL.ACQUIRE lease -1 1h ID {id}",))
IDS = Contents(once=(*ACCOUNT, CLOCK), entry=("QUOTA.CONSUME a r 1 ID {id}",))
HOLDS = Contents(once=(*ACCOUNT, CLOCK), entry=("QUOTA.RESERVE a {id} r 1 TTL 1h",))


def bounds(settings):
    subjects = 10_000_000 if settings.big else settings.keys
    table = Contents(once=(f"RL.TABLE t {RULE}",), entry=("RL.TAKE t s{id} COST 1000000",))
    exceptions = Contents(once=(f"RL.POLICY SET p {RULE}",), entry=("RL.POLICY REFUSE p {id}",))
    return (
        Bound("RL.ALLOW, 32 rules", Contents(), 1, (f"RL.ALLOW k {RULES}",)),
        Bound("RL.MALLOW, 1000 keys", Contents(), 1, (f"RL.MALLOW 1000 {KEYS} WITH {RULE}",), 10),
        Bound("RL.MALLOW, 1000 keys, 32 rules", Contents(), 1, (f"RL.MALLOW 1000 {KEYS} WITH {RULES}",), 10),
        growing("RL.ALLOW LOG, growing to 100,000 entries", "RL.ALLOW log LOG 100000 365d", 100_000),
        Bound("RL.ALLOW LOG, when 100,000 entries have left", LOG, 100_000,
              ("QUOTA.CLOCK ADVANCE 2h", "RL.ALLOW log LOG 100000 1h"), 1),
        growing(f"RL.TAKE, a table growing to {settings.keys:,}", "RL.TAKE t s{id} COST 1000000", settings.keys,
                f"RL.TABLE t {RULE}"),
        Bound(f"RL.TABLE, other rules for {subjects:,} subjects", table, subjects, ("RL.TABLE t TOKEN 5 1s",), 1, True),
        Bound("RL.INFO of that table", table, subjects, ("RL.INFO t",), 1),
        growing("RL.ACQUIRE, growing to 100,000 leases", "RL.ACQUIRE lease -1 1d ID {id}", 100_000),
        Bound("RL.ACQUIRE, when 100,000 leases have ended", LEASES, 100_000,
              ("QUOTA.CLOCK ADVANCE 2h", "RL.ACQUIRE lease -1 1h"), 1),
        Bound("RL.LEASES, a page of 100,000 leases", LEASES, 100_000, ("RL.LEASES lease",), 1, True),
        growing("RL.POLICY REFUSE, growing to 100,000", "RL.POLICY REFUSE p {id}", 100_000,
                f"RL.POLICY SET p {RULE}"),
        Bound("RL.POLICY SET, with 100,000 exceptions", exceptions, 100_000, (f"RL.POLICY SET p {RULE}",), 10),
        growing("QUOTA.CONSUME ID, growing to 100,000 ids", "QUOTA.CONSUME a r 1 ID {id}", 100_000, *ACCOUNT),
        Bound("QUOTA.CONSUME ID, when 100,000 ids have ended", IDS, 100_000,
              ("QUOTA.CLOCK ADVANCE 2d", "QUOTA.CONSUME a r 1 ID an-id"), 1),
        Bound("QUOTA.INFO, 100,000 ids", IDS, 100_000, ("QUOTA.INFO a",)),
        growing("QUOTA.RESERVE, growing to 10,000 reservations", "QUOTA.RESERVE a {id} r 1 TTL 1d", 10_000, *ACCOUNT),
        Bound("QUOTA.CONSUME, when 10,000 reservations have ended", HOLDS, 10_000,
              ("QUOTA.CLOCK ADVANCE 2h", "QUOTA.CONSUME a r 1"), 1),
        Bound("QUOTA.CONSUME denied, 10,000 reservations", HOLDS, 10_000, ("QUOTA.CONSUME a r 999995000",)),
        Bound("QUOTA.HOLDS, a page of 10,000 reservations", HOLDS, 10_000, ("QUOTA.HOLDS a",), 10, True),
        Bound("QUOTA.CONSUME, 16 limits, 100 years later",
              once(CLOCK, *WIDE, "QUOTA.OPEN a wide", "QUOTA.CONSUME a r00 1"), 1,
              ("QUOTA.CLOCK ADVANCE 36500d", "QUOTA.CONSUME a r00 1"), 1),
        Bound("QUOTA.CONSUME, the first of a cycle, 10,000 members that share",
              once(CLOCK, "QUOTA.PLAN SET pool r LIMIT 1000000 day SHARE FAIR", PLAN, "QUOTA.OPEN pool pool",
                   *(f"QUOTA.OPEN m{number} p PARENT pool" for number in range(10_000)), "QUOTA.CONSUME m7 r 1"), 1,
              ("QUOTA.CLOCK ADVANCE 1d", "QUOTA.CONSUME m7 r 1"), 10, True),
        Bound("QUOTA.INFO, 64 resources of 16 limits", once(*WIDE, "QUOTA.OPEN a wide"), 1,
              ("QUOTA.INFO a",), 10, True),
    )


def once_us(bound):
    """The longest that SLOWLOG has noted; NOTED_US when it has noted nothing."""
    with machine.running(module_options=("test-clock", "yes")) as server:
        bound.contents.fill(server, 1, bound.count)
        load.do(server, [f"CONFIG SET slowlog-log-slower-than {NOTED_US}", "CONFIG SET slowlog-max-len 1000000",
                         "SLOWLOG RESET"])
        unit = load.compiled(bound.lines)
        load.pump(server, (unit(n, n) for n in range(bound.calls)), pipeline=100)
        entries = server.client().slowlog_get(1_000_000)
    name = bound.lines[-1].split()[0].encode()
    return max((entry["duration"] for entry in entries if entry["command"].startswith(name)), default=NOTED_US)


def longest_us(bound):
    """What repeats: the machine's own interruptions do not."""
    return min(once_us(bound) for _ in range(REPEATS))


def longest(settings):
    """{bound: us}, shown with those over a millisecond named."""
    table, found = bounds(settings), {}
    with report.progress("longest commands", len(table)) as step:
        for bound in table:
            step(bound.name)
            found[bound.name] = longest_us(bound)
    lines = [(bound.name, found[bound.name], "" if found[bound.name] <= LONG_US else
              "all there is" if bound.whole else "over 1 ms") for bound in table]
    report.table("the longest single command, us", ("", "us", ""), lines)
    return found
