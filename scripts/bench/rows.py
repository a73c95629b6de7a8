"""The commands that are compared, each with what its keys hold before: rows in groups, SET in every group.

Every key of a row outlives the run and has room for it: a unit of a billion a year counts for 31 ms, so keys are filled
with a cost of a million, nine hours' worth. Each row has a database of its own. `answer` is the first integer of the
reply, checked before and after: a row that was meant to be admitted and is not ends the run.
"""
import dataclasses
import functools
import hashlib
import pathlib

from . import load
from .load import Contents

LUA = pathlib.Path(__file__).parent / "lua"
SCRIPTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(LUA.glob("*.lua"))}
RULE = "1000000000 365d"
BURST_RULE = "1000000000 1000000000 31536000"  # the same, as redis-cell's command and scripts take it
FILLED = f"RL.ALLOW {{key}} {RULE} COST 1000000"
PLANS = {
    "one": "LIMIT 1000000000 month",
    "two": "LIMIT 1000000000 month LIMIT 1000000000 day",
    "three": "LIMIT 1000000000 month LIMIT 1000000000 week LIMIT 1000000000 day",
    "rate": f"RATE {RULE} LIMIT 1000000000 month LIMIT 1000000000 day",
    "spent": "LIMIT 1 forever",
    "prepaid": "CREDITS",
    "shared": "LIMIT 1000000000000 month SHARE EQUAL",
    "brim": "LIMIT 2 month",
    "priced": "LIMIT 1000000000 month OVERAGE PRICE usd TIER 1000 0.01 TIER * 0.005",
}
OTHERS = [f"r{number}" for number in range(1, 64)]  # with r as many resources as a plan has at most


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    group: str
    lines: tuple
    contents: Contents
    answer: int | None = None
    decisions: int = 1  # in one unit
    slowness: int = 1  # so many times fewer units are sent
    headline: bool = False  # also in the situations: unpipelined, one key, replica, AOF


def prepare(server):
    """What all rows expect of a server: plans, a policy, scripts."""
    load.do(server, [f"QUOTA.PLAN SET {name} r {rules}" for name, rules in PLANS.items()])
    load.do(server, [f"QUOTA.PLAN SET many {resource} {PLANS['one']}" for resource in ["r", *OTHERS]])
    load.do(server, [f"RL.POLICY SET policy {RULE}"])
    client = server.client()
    for text in SCRIPTS.values():
        client.script_load(text)
    client.close()


def server_row(name, line, headline=False, fill="SET {key} abcdefgh EX 86400"):
    return Row(name, "the server's own", tuple(line.split(" | ")), Contents(entry=(fill,)), headline=headline)


def limit_row(name, rest, filled, answer=1, headline=False, command="RL.ALLOW"):
    """`filled` is what follows the key in the command that fills it."""
    contents = Contents(entry=(f"{command} {{key}} {filled}",))
    return Row(name, "rate limits", (f"{command} {{key}} {rest}",), contents, answer, headline=headline)


def allow_row(name, rules, cost=1_000_000, **more):
    return limit_row(name, rules, f"{rules} COST {cost}" if cost > 1 else rules, **more)


def denied_row(algorithm):
    """One unit a year, which the fill has taken, and the one place in the queue for it."""
    row = allow_row(f"RL.ALLOW {algorithm} denied", f"{algorithm} 1 365d", cost=1, answer=0)
    return dataclasses.replace(row, contents=Contents(opening=row.lines, entry=row.lines))


def quota_row(name, plan, lines="QUOTA.CONSUME {key} r 1", entry="QUOTA.CONSUME {key} r 1", answer=1, headline=False):
    opened = Contents(opening=(f"QUOTA.OPEN {{key}} {plan}",), entry=(entry,))
    return Row(name, "quotas", tuple(lines.split(" | ")), opened, answer, headline=headline)


def script_row(name, words, filled=None, headline=False):
    """EVALSHA of lua/name.lua, with words: how many keys, keys, arguments."""
    script = f"EVALSHA {hashlib.sha1(SCRIPTS[name].encode()).hexdigest()}"
    contents = Contents(entry=(f"{script} {filled or words}",))
    return Row(f"lua {name}", "scripts", (f"{script} {words}",), contents, 1, slowness=4, headline=headline)


def throttle_row(name):
    return limit_row(name, f"{BURST_RULE} 1", f"{BURST_RULE} 1000000", answer=0, command=name, headline=True)


BASE = server_row("SET", "SET {key} abcdefgh", headline=True, fill="SET {key} abcdefgh")
SERVER_ROWS = (
    BASE,
    server_row("SET EX", "SET {key} abcdefgh EX 86400", headline=True),
    server_row("GET", "GET {key}", fill="SET {key} abcdefgh"),
    server_row("GET, key with TTL", "GET {key}"),
    server_row("INCR", "INCR {key}", fill="INCR {key}"),
    server_row("INCR, EXPIRE", "INCR {key} | EXPIRE {key} 86400", fill="SET {key} 12345678 EX 86400"),
)
MANY = Row("RL.MALLOW, of 100 keys", "rate limits", (f"RL.MALLOW 100 {'{key} ' * 100}WITH {RULE}",),
           Contents(entry=(FILLED,)), 1, decisions=100)
TERSE = dataclasses.replace(MANY, name="RL.MALLOW TERSE, of 100 keys", lines=(f"{MANY.lines[0]} TERSE",), answer=None)
MTAKE = Row("RL.MTAKE, of 100 subjects", "rate limits", (f"RL.MTAKE limits 100 {'{subject} ' * 100}TERSE",),
            Contents(once=(f"RL.TABLE limits {RULE}",), entry=("RL.TAKE limits {subject} COST 1000000",)), 1,
            decisions=100)
TAKE = Row("RL.TAKE", "rate limits", ("RL.TAKE limits {subject}",),
           Contents(once=(f"RL.TABLE limits {RULE}",), entry=("RL.TAKE limits {subject} COST 1000000",)), 1,
           headline=True)
LIMIT_ROWS = (
    allow_row("RL.ALLOW", RULE, headline=True),
    allow_row("RL.ALLOW denied", "1 365d", cost=1, answer=0, headline=True),
    limit_row("RL.ALLOW PEEK", f"{RULE} PEEK", f"{RULE} COST 1000000"),
    allow_row("RL.ALLOW BURST", f"{RULE} BURST 1000000000"),
    allow_row("RL.ALLOW POLICY", "POLICY policy"),
    allow_row("RL.ALLOW, 3 rules", f"{RULE} 1000000000 180d SLIDING 1000000000 365d"),
    allow_row("RL.ALLOW TOKEN", f"TOKEN {RULE}"),
    allow_row("RL.ALLOW LEAKY", f"LEAKY {RULE}"),
    allow_row("RL.ALLOW QUEUE", f"QUEUE {RULE} BURST 1000000000"),
    allow_row("RL.ALLOW FIXED", f"FIXED {RULE}"),
    allow_row("RL.ALLOW SLIDING", f"SLIDING {RULE}"),
    allow_row("RL.ALLOW LOG", "LOG 100000 365d", cost=1),
    *map(denied_row, ("TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG")),
    allow_row("RL.ALLOW, 3 rules, denied", f"{RULE} 1 180d SLIDING 1000000000 365d", cost=1, answer=0),
    TAKE,
    MTAKE,
    MANY,
    TERSE,
)
USED = tuple(f"QUOTA.CONSUME {{key}} {resource} 1" for resource in ["r", *OTHERS])
MANY_RESOURCES = dataclasses.replace(quota_row("QUOTA.CONSUME, of 64 resources", "many"), contents=Contents(
    opening=("QUOTA.OPEN {key} many",), entry=USED))
GRANTS = tuple(f"QUOTA.GRANT {{key}} g{number} r 1000000000" for number in range(100))
CREDITED = quota_row("QUOTA.CONSUME, by a grant", "prepaid", entry=GRANTS[0])
DIGEST = 64 * "a"
KEYED = quota_row("QUOTA.CONSUME, an API key", "two", f"QUOTA.CONSUME {{key}} r 1 APIKEY {DIGEST} SCOPE read",
                  f"QUOTA.APIKEY SET {{key}} {DIGEST} SCOPES 2 write read")


def below_row(name, *keys):
    """An account, and accounts above it of their own: `keys` from the highest on."""
    opening = [f"QUOTA.OPEN {key} two" + (f" PARENT {above}" if above else "") for above, key in zip(("", *keys), keys)]
    row = quota_row(name, "two", entry="QUOTA.CONSUME {key} r 1")
    opened = (*opening, f"QUOTA.OPEN {{key}} two PARENT {keys[-1]}")
    return dataclasses.replace(row, contents=dataclasses.replace(row.contents, opening=opened))


def member_row(count):
    """One member of a pool that shares its limit."""
    members = tuple(f"QUOTA.OPEN m{number} two PARENT pool" for number in range(count))
    line = "QUOTA.CONSUME m7 r 1"
    return dataclasses.replace(quota_row(f"QUOTA.CONSUME, a pool of {count:,}", "two", line),
                               contents=Contents(once=("QUOTA.OPEN pool shared", *members), entry=(line,)))


INGEST = Row("QUOTA.INGEST, 100 rows of one account", "quotas",
             ("QUOTA.INGEST " + " ".join(f"account r 1 {number}-{{id}} *" for number in range(100)),),
             Contents(once=("CONFIG SET quota.id-max 10000000", "QUOTA.OPEN account two"),
                      entry=("QUOTA.CONSUME account r 1",)), 1, decisions=100, slowness=100)
IN_TURN = "QUOTA.CONSUME {key} r 1 | QUOTA.REFUND {key} r 1"
REFUSED = tuple(f"QUOTA.CONSUME refused-{number} r 2" for number in range(100))
LOOKING_ROWS = (
    quota_row("CONSUME, REFUND", "one", IN_TURN),
    quota_row("CONSUME, REFUND, an event each time", "brim", IN_TURN),  # the limit is reached again and again
    quota_row("QUOTA.BILL", "priced", "QUOTA.BILL {key}", answer=None),
    quota_row("QUOTA.FORECAST", "two", "QUOTA.FORECAST {key} r", answer=None),
    Row("QUOTA.EVENTS READ, of 100 events", "quotas", ("QUOTA.EVENTS READ AFTER 0-0 COUNT 100",),
        Contents(once=tuple(f"QUOTA.OPEN a{number} one" for number in range(100))), slowness=20),
    Row("QUOTA.VIOLATIONS, of 100 rules that refused", "quotas", ("QUOTA.VIOLATIONS COUNT 100",),
        Contents(once=(*(f"QUOTA.OPEN refused-{number} spent" for number in range(100)), *REFUSED)), slowness=20),
)
QUOTA_ROWS = (
    CREDITED,
    dataclasses.replace(CREDITED, name="QUOTA.CONSUME, by one of 100 grants",
                        contents=dataclasses.replace(CREDITED.contents, entry=GRANTS)),
    quota_row("QUOTA.CONSUME", "one"),
    MANY_RESOURCES,
    quota_row("QUOTA.CONSUME, 2 limits", "two", headline=True),
    quota_row("QUOTA.CONSUME, 3 limits", "three"),
    quota_row("QUOTA.CONSUME, rate, 2 limits", "rate"),
    quota_row("QUOTA.CONSUME denied", "spent", answer=0),
    quota_row("QUOTA.MCONSUME, 2 resources", "many", "QUOTA.MCONSUME {key} 2 r 1 r1 1",
              "QUOTA.MCONSUME {key} 2 r 1 r1 1"),
    quota_row("QUOTA.CONSUME, new ID", "two", "QUOTA.CONSUME {key} r 1 ID {id}", headline=True),
    quota_row("QUOTA.CONSUME, replayed ID", "two", "QUOTA.CONSUME {key} r 1 ID an-id-of-24-bytes-000001",
              "QUOTA.CONSUME {key} r 1 ID an-id-of-24-bytes-000001"),
    INGEST,
    KEYED,
    dataclasses.replace(KEYED, name="QUOTA.CONSUME, one of 100 API keys", contents=dataclasses.replace(
        KEYED.contents, entry=(*KEYED.contents.entry, *(f"QUOTA.APIKEY SET {{key}} {n:064x}" for n in range(99))))),
    below_row("QUOTA.CONSUME, a parent", "p:{key}"),
    below_row("QUOTA.CONSUME, two levels above", "g:{key}", "p:{key}"),
    member_row(10),
    member_row(10_000),
    quota_row("RESERVE, COMMIT", "two", "QUOTA.RESERVE {key} {id} r 1 TTL 1h | QUOTA.COMMIT {key} {id}"),
    *LOOKING_ROWS,
)
SCRIPT_ROWS = (
    script_row("gcra", f"1 {{key}} {BURST_RULE} 1", f"1 {{key}} {BURST_RULE} 1000000", headline=True),
    script_row("token_bucket", "1 {key} 1000000000 30 1", "1 {key} 1000000000 30 1000000"),
    script_row("sliding_window", "1 {key} 1000000000 31536000000 1"),
    script_row("sliding_log", "1 {key} 1000000000 31536000000000 {id}"),
    script_row("quota", "1 {key} 1 1000000000 1000000000"),
    script_row("quota_with_id", "2 {key} id:{id} 1 1000000000 1000000000"),
)


def peer_row(peer):
    """With words of its own it is filled by them; otherwise as ours is."""
    if peer.words:
        return Row(peer.name, "other modules", (peer.words,), Contents(entry=(peer.filling or peer.words,)))
    return dataclasses.replace(throttle_row("CL.THROTTLE"), name=peer.name, group="other modules", headline=False)


def table(peers=()):
    """All rows, group after group. A peer that has CL.THROTTLE keeps the name: ours is called RL.THROTTLE then."""
    taken = any(not peer.words or peer.words.upper().startswith("CL.THROTTLE") for peer in peers)
    throttle = throttle_row("RL.THROTTLE" if taken else "CL.THROTTLE")
    return (*SERVER_ROWS, *LIMIT_ROWS, throttle, *QUOTA_ROWS, *SCRIPT_ROWS, *map(peer_row, peers))


def groups(rows):
    """Rows by group, BASE first in each."""
    names = functools.reduce(lambda found, row: found | {row.group: None}, rows, {})
    return [[BASE, *(row for row in rows if row.group == name and row is not BASE)] for name in names]


def check(server, row, database):
    """One unit on key 0: is the answer the one that is to be measured?"""
    if row.answer is None:
        return
    with_places = [line.format(key=f"k:{0:012}", subject=f"{0:012}", id=f"{0:024}") for line in row.lines[:1]]
    answer = load.do(server, with_places, database)
    while isinstance(answer, list):
        answer = answer[0]
    if answer != row.answer:
        raise load.Refused(f"{row.name}: {answer} where {row.answer} is to be measured")
