"""Hostile callers and full memory: no words make the server fall, lie or drift apart from its replica.

    calls as they are meant ── some words replaced ──┐
    words drawn from the pool ───────────────────────┴─▶ server ─▶ one reply, or one error with a known code
                                                           └─▶ replica: equal keys, policies and plans afterwards

The replies are read from the socket as they come (Wire): an error that broke the protocol would show.
"""

import collections
import itertools
import random
import re
import socket

import pytest
import redis

from conftest import NOON, NOON_MS, Quota, assert_equal_digests, clear_plans
from servers import REFUSED_INTERNAL, Server, caught_up, wait_until

CODES = {"ERR", "WRONGTYPE", "OVERFLOW", "NOACCOUNT", "NOPLAN", "NORESOURCE", "NOTSTARTED", "SUSPENDED",
         "REFUNDEXCEEDS", "RESOLVED", "LIMITED", "IDCONFLICT", "NOSUCHID", "NOPOLICY", "UNBLOCKED"}
INT64_MIN, INT64_MAX = -2**63, 2**63 - 1

COMMANDS = """RL.ALLOW RL.MALLOW RL.REFUND RL.BLOCK RL.INFO RL.ACQUIRE RL.RENEW RL.RELEASE RL.LEASES RL.BREAKER RL.ADAPT
    RL.TABLE RL.TAKE RL.MTAKE RL.PEEK RL.BREAKER.INFO RL.ADAPT.INFO QUOTA.CHECK
    CL.THROTTLE RL.THROTTLE RL._DO RL._PUT RL._POLICY RL._PLAN RL.POLICY QUOTA.PLAN QUOTA.CLOCK QUOTA.CYCLE QUOTA.OPEN
    QUOTA.SWITCH QUOTA.SUSPEND QUOTA.RESUME QUOTA.CLOSE QUOTA.OVERRIDE QUOTA.SET QUOTA.RESET QUOTA.SETTLE QUOTA.CONSUME
    QUOTA.MCONSUME QUOTA.REFUND QUOTA.RESERVE QUOTA.COMMIT QUOTA.RELEASE QUOTA.EXTEND QUOTA.HOLDS QUOTA.INFO
    QUOTA.HISTORY QUOTA.FORECAST QUOTA.RECORD QUOTA.HEALTH QUOTA.VIOLATIONS QUOTA.PARENT QUOTA.DETACH QUOTA.MEMBERS
    QUOTA.WEIGHT QUOTA.EVENTS RL._EVENTS QUOTA.BILL QUOTA.INGEST""".split()
SUBCOMMANDS = {"RL.POLICY": "SET OVERRIDE PERMIT REFUSE LIFT GET DEL LIST EXCEPTIONS CHECK HELP".split(),
               "QUOTA.PLAN": "SET CHECK GET DEL CANCEL LIST HELP".split(),
               "QUOTA.EVENTS": "READ INFO HELP".split()}
MEANT = [line.split() for line in """RL.ALLOW k 10 1h TOKEN 5 1m BURST 7 COST 2 FORCE
    RL.ALLOW k POLICY p SUBJECT s ADDRESS 10.1.2.3 COST 1
    RL.ALLOW k SLIDING 10 1h LOG 5 1m UPTO BLOCK 3s
    RL.ALLOW k QUEUE 3 1m BURST 2 WAIT 10s
    RL.MALLOW 2 k l WITH 10 1h WITH LEAKY 5 1m COST 2 ALL
    RL.MALLOW 2 k l WITH 10 1h TERSE
    RL.TABLE s 10 1h
    RL.TAKE s a COST 2 FORCE
    RL.MTAKE s 3 a b c COST 2 TERSE
    RL.REFUND k 3 RULE 0 AGE 5s
    RL.BLOCK k 10s
    RL.INFO k
    RL.ACQUIRE m 10 1h ID x COST 2 WAIT 1s
    RL.RENEW m x 1m
    RL.RELEASE m x
    RL.LEASES m
    RL.BREAKER b FAILURES 3 MIN 2 WINDOW 10s SLOW 2s SLOWRATE 50 OPEN 30s PROBES 2
    RL.BREAKER b REPORT fail TOOK 3s
    RL.BREAKER b FORCE auto
    RL.BREAKER b INFO
    RL.ADAPT d 10 1000 GRADIENT INTERVAL 1s STEP 4 TOLERANCE 200 COST 2
    RL.ADAPT d 10 1000 AIMD ERRORS 5 TARGET 80 BACKOFF 90 TIMEOUT 5s PEEK
    RL.ADAPT d REPORT LATENCY 12ms
    RL.ADAPT d REPORT LOAD 70
    RL.ADAPT d INFO
    CL.THROTTLE t 15 30 60 1
    RL.THROTTLE t 15 30 60 1
    RL._DO k effects
    RL._PUT k blob
    RL._PLAN p bytes
    RL._POLICY p effects
    RL.POLICY SET p 10 1s BLOCK 30s SHADOW SCHEDULE Europe/Berlin mon-fri 08:00-18:00 20 1s
    RL.POLICY OVERRIDE p s 99 1s EX 1h
    RL.POLICY PERMIT p 10.0.0.0/8 EX 1h
    RL.POLICY REFUSE p s
    RL.POLICY LIFT p s
    RL.POLICY GET p
    RL.POLICY DEL q
    RL.POLICY LIST
    RL.POLICY LIST COUNT 1 AFTER a
    RL.POLICY EXCEPTIONS p
    RL.POLICY EXCEPTIONS p PERMIT COUNT 2 AFTER s:x
    RL.LEASES m COUNT 5 AFTER 7
    QUOTA.HOLDS a COUNT 3 AFTER h
    RL.RENEW m x 1h TOKEN 5
    RL.RELEASE m x TOKEN 5
    RL.PEEK k 10 1s 5 1s COST 1 0
    RL.ALLOW k 10 1s 5 1s COST 1 0
    RL.BREAKER.INFO b
    RL.ADAPT.INFO d
    QUOTA.CHECK a r 1 s 2
    QUOTA.PLAN SET p r LIMIT 100 day LIMIT 1000 month CALENDAR FROM 15 WARN 1 50 BURST 10 REPAY
    QUOTA.PLAN SET p r LIMIT 50 week LIMIT 500 ROLLING 9d RATE 50 1s HOLDS MAX 9 REFUNDS MAX 60 WITHIN 3d GRACE 2d
    QUOTA.PLAN SET q s LIMIT 5 month EOM PRORATE COST 3 OVERAGE
    QUOTA.PLAN GET p
    QUOTA.PLAN DEL q s
    QUOTA.PLAN LIST COUNT 3 AFTER o
    QUOTA.PLAN SET p r LIMIT 70 day APPLY PRORATE EFFECTIVE 2025-03-01T00:00:00Z
    QUOTA.PLAN CHECK p r LIMIT 70 day APPLY END
    QUOTA.PLAN CANCEL p 5
    QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z
    QUOTA.CLOCK ADVANCE 7h
    QUOTA.CLOCK ADVANCE 20d
    QUOTA.CYCLE month CALENDAR FROM 15 ANCHOR 1738335600000 ZONE Europe/Berlin AT 1740000000000
    QUOTA.OPEN a p ANCHOR 1738335600000 ZONE Europe/Berlin EXPIRES 2030-01-01T00:00:00Z
    QUOTA.OPEN c p
    QUOTA.OPEN e p PARENT a
    QUOTA.PARENT c a REASON why
    QUOTA.PARENT a d
    QUOTA.WEIGHT a c 7 REASON why
    QUOTA.MEMBERS a RESOURCE r COUNT 2 AFTER 1
    QUOTA.DETACH e REASON why
    QUOTA.OPEN d p EXPIRES 3month THEN q REASON why
    QUOTA.SWITCH a q END
    QUOTA.SWITCH c p FULL
    QUOTA.SWITCH a q PRORATE AT 2025-06-01T00:00:00Z RESTART CHECK REASON why
    QUOTA.SWITCH c q RESTART
    QUOTA.SUSPEND c
    QUOTA.SUSPEND c EX 3h REASON why
    QUOTA.RESUME c
    QUOTA.CLOSE c
    QUOTA.OVERRIDE a other LIMIT 5 day EX 9d
    QUOTA.OVERRIDE a r ONLY LIMIT 5 day EX CYCLE CHECK
    QUOTA.OVERRIDE a r LIMIT 5 month WARN 50 EX @2025-07-01T00:00:00Z REASON why
    QUOTA.OVERRIDE a r LIFT
    QUOTA.SET a r 5 PERIOD day
    QUOTA.RESET a r
    QUOTA.SETTLE a
    QUOTA.RESET a r PERIOD month
    QUOTA.CONSUME a r 3 ID w UPTO STICKY
    QUOTA.CONSUME c r 1 FORCE
    QUOTA.CONSUME new r 1 CHECK
    QUOTA.MCONSUME a 2 r 3 s 1 ANY ID y
    QUOTA.INGEST a r 3 ij * c r 1 ij 1735689600000 new r 2 w * a s 1 ij 2025-01-01T00:00:00Z
    QUOTA.REFUND a r 1 OF x ID z REASON why
    QUOTA.REFUND a ALL OF x ID z REASON why
    QUOTA.RESERVE a g r 2 TTL 1d UPTO
    QUOTA.RESERVE a f r 2 s 1 TTL 1d
    QUOTA.COMMIT a h 1
    QUOTA.COMMIT a both 1 0 FORCE
    QUOTA.COMMIT a h 7 FORCE
    QUOTA.RELEASE a h
    QUOTA.EXTEND a h 2d
    QUOTA.HOLDS a
    QUOTA.INFO a r
    QUOTA.HISTORY a r COUNT 3
    QUOTA.FORECAST a r
    QUOTA.BILL a AT 1735689600000
    QUOTA.PLAN SET p r LIMIT 5 month PRICE usd VOLUME PER 3 TIER 5 0.5 FLAT 2 TIER * 0.000001
    QUOTA.RECORD a h
    QUOTA.HEALTH
    QUOTA.VIOLATIONS COUNT 3 MATCH a* FROM 1735689600000
    QUOTA.VIOLATIONS RESET
    QUOTA.EVENTS READ AFTER 0-0 COUNT 3 WAIT 1ms ACCOUNT a TYPE quota.*
    QUOTA.EVENTS INFO""".splitlines()]
KEYWORDS = sorted({word for line in MEANT for word in line[1:]})
ODD = [
    "", " ", "0", "-1", "1", "-0", "+1", "007", "1.5", "1e9", "0x10", "nan", "inf", str(INT64_MIN), str(INT64_MAX),
    str(2**63), str(INT64_MIN - 1), str(2**64), "9" * 400, str(2**58), str(2**62), "4611686018427387903", "1us", "0s",
    "-5m", "3285000d", "106751991d", "9223372036854775807w", "1h1h", "d", "99999999999999999999s", "1970-01-01",
    "0000-00-00T00:00:00Z", "148108-01-01T00:00:00Z", "2025-02-30T25:61:61Z", "-9999-01-01T00:00:00Z", "forever",
    "10000month", "10001day", "0month", "halfyear", "../../etc/passwd", "/etc/passwd", "Europe/../UTC", "Europe",
    "posix/UTC", "UTC\0x", "Europe/" + "B" * 300, "::1/129", "1.2.3.4/33", "256.1.1.1", "::ffff:1.2.3.4/96", "*",
    "%s%n", "{tag}", "a b", "\r\n+OK\r\n", b"\0", b"\xff\xfe", b"\x80" * 40, b"\x01\x01\x00\x14", "r" * 128,
    "r" * 129, "i" * 512, "i" * 513, "x" * 65536]
BEGIN = ["QUOTA.PLAN SET p r LIMIT 100 day LIMIT 1000 month WARN 50 REPAY", "QUOTA.PLAN SET p s LIMIT 10 week",
         "QUOTA.PLAN SET q r LIMIT 7 day", "RL.POLICY SET p 10 1s", "RL.ACQUIRE m 10 1h ID x COST 2",
         "QUOTA.OPEN a p ANCHOR 1738335600000 ZONE Europe/Berlin EXPIRES 2030-01-01T00:00:00Z", "QUOTA.OPEN c p",
         "QUOTA.CONSUME a r 5 ID x", "QUOTA.RESERVE a h r 2 TTL 1d", "QUOTA.RESERVE a both r 2 s 1 TTL 1d",
         "RL.ALLOW k 10 1h"]
HUGE = "h" * 1_000_000


class Wire:
    """Sends words, reads replies; an error is a str that begins with '-'."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.replies = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self.read()

    def read(self):
        line = self.replies.readline()
        assert line.endswith(b"\r\n"), f"the server is gone or broke the protocol: {line[:200]}"
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            data = self.replies.read(int(rest) + 2) if int(rest) >= 0 else b"\r\n"
            assert data.endswith(b"\r\n")
            return data[:-2]
        if kind in (b"*", b"%"):
            return [self.read() for _ in range(int(rest) * (2 if kind == b"%" else 1))]
        assert kind in (b"+", b"-", b":", b"_", b","), line[:200]
        return f"-{rest.decode(errors='replace')}" if kind == b"-" else rest

    def close(self):
        self.replies.close()
        self.socket.close()


def drawn_word(chance):
    what = chance.random()
    if what < 0.45:
        return chance.choice(KEYWORDS)
    if what < 0.95:
        return chance.choice(ODD)
    if what < 0.955:
        return HUGE
    return chance.randbytes(chance.randint(0, 30))


def drawn_call(chance):
    """Most of them are meant, with up to two words replaced, doubled or dropped; the rest are words from the pool."""
    if chance.random() < 0.15:
        command = chance.choice(COMMANDS)
        subcommand = [chance.choice(SUBCOMMANDS[command])] if command in SUBCOMMANDS else []
        return [command, *subcommand, *(drawn_word(chance) for _ in range(chance.randint(0, 9)))]
    call = list(chance.choice(MEANT))
    for _ in range(chance.choice([0, 0, 1, 1, 2]) if len(call) > 1 else 0):
        at = chance.randrange(1, len(call) + 1)
        call[at:at + chance.randint(0, 1)] = [drawn_word(chance) for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    return call


def unwaiting(call):
    """WAIT would hold this client up; inside a script everything is answered at once."""
    waits = any(isinstance(word, str) and word.upper() == "WAIT" for word in call)
    return ["EVAL", "return redis.pcall(unpack(ARGV))", 0, *call] if waits else call


def clear_policies(wire):
    for policy in wire("RL.POLICY", "LIST", "COUNT", 1000)[1]:
        wire("RL.POLICY", "DEL", policy[1])


def shown(call):
    return " ".join(repr(word)[:60] for word in call)


def configuration(server):
    """Policies and plans of a server as they are shown, at an instant of its own clock that is the same on each."""
    wire = Wire(server)
    wire("QUOTA.CLOCK", "FREEZE", NOON)
    found = {}
    for command in ("RL.POLICY", "QUOTA.PLAN"):
        for name in wire(command, "LIST")[::2]:
            found[command, name] = wire(command, "GET", name)
    wire.close()
    return found


@pytest.fixture
def wire(accounts, primary):
    """No policies before and after, like the plans."""
    wire = Wire(primary)
    clear_policies(wire)
    yield wire
    clear_policies(wire)
    wire.close()


def test_random_words_are_answered_and_replicate(accounts, wire, primary, replica, request):
    """Ten lives of a server, as no account outlives a clock that has been sent to the year 148108."""
    seed = request.config.getoption("--seed")
    print("seed", seed)
    chance, seen = random.Random(seed), collections.Counter()
    accounts("CONFIG SET quota.default-plan p quota.auto-open yes")
    for _ in range(10):
        wire("FLUSHALL")
        wire("QUOTA.CLOCK", "FREEZE", NOON)
        for line in BEGIN:
            wire(*line.split())
        for _ in range(300):
            seen[answered(wire, drawn_call(chance))] += 1
        caught_up(primary, replica)
        assert configuration(primary) == configuration(replica)
        replica.client().execute_command("QUOTA.CLOCK RESUME")
        assert_equal_digests(primary, replica)
    print(seen)
    assert seen["granted"] > 600 and {"ERR", "NOACCOUNT", "NOPLAN", "NORESOURCE", "NOPOLICY", "NOSUCHID"} <= {*seen}


def answered(wire, call):
    """The code of the error, or `granted`."""
    if "RESUME" in call and call[0] == "QUOTA.CLOCK":
        return "not sent"  # keys would end while they are compared
    reply = wire(*unwaiting(call))
    code = reply[1:].split(" ")[0] if isinstance(reply, str) else "granted"
    assert code in CODES or code == "granted", f"{shown(call)} answers {reply[:300]}"
    assert wire("PING") == b"PONG", f"{shown(call)} broke the protocol"
    return code


@pytest.mark.parametrize("command", ["RL._DO", "RL._PUT", "RL._PLAN", "RL._POLICY"])
def test_internal_commands_are_no_clients(wire, command):
    """But nothing for a plan, with the test clock allowed: see test_access."""
    for words in itertools.product(["k", "p", ""], [b"", b"\x10bytes", b"\x01\x01", b"\x41", HUGE]):
        if command == "RL._PLAN" and words[1] == b"":
            continue
        error = wire(command, *words)
        assert error.startswith("-ERR ") and re.search(REFUSED_INTERNAL, error)
        error = wire("EVAL", "return redis.pcall(unpack(ARGV)).err", 0, command, *words)
        assert re.search(REFUSED_INTERNAL.encode(), error)


# ---- numbers at their ends ----

NUMBERS = ["0", "-1", str(INT64_MIN), str(INT64_MAX), str(2**63), str(INT64_MIN - 1), "", " ", " 1", "1 ", "1\0", "1e3",
           "0x1", "1.0", "--1", "one", b"\xb2"]
NO_NUMBERS = [str(2**63), str(INT64_MIN - 1), "", " ", " 1", "1 ", "1\0", "1e3", "0x1", "1.0", "--1", "one", b"\xb2"]
TAKEN = {("WARN", "1.0"), ("BURST", "1.0")}  # percents have decimals
PLACES = [
    "QUOTA.CONSUME a r #", "QUOTA.CONSUME a r # UPTO", "QUOTA.CONSUME a r # FORCE", "QUOTA.CONSUME a r # CHECK",
    "QUOTA.CONSUME a r # ID y STICKY", "QUOTA.MCONSUME a # r 1", "QUOTA.MCONSUME a 1 r #", "QUOTA.MCONSUME a 2 r 1 s #",
    "QUOTA.MCONSUME a 2 r # s 1 ANY", "QUOTA.REFUND a r #", "QUOTA.REFUND a r # OF x", "QUOTA.RESERVE a i r # TTL 1d",
    "QUOTA.RESERVE a i r # TTL 1d UPTO", "QUOTA.RESERVE a i r 1 TTL #", "QUOTA.COMMIT a h #",
    "QUOTA.RESERVE a i r 1 s # TTL 1d", "QUOTA.COMMIT a h 1 #", "QUOTA.EXTEND a h #",
    "QUOTA.SET a r #", "QUOTA.HISTORY a r COUNT #", "QUOTA.OPEN b p ANCHOR #", "QUOTA.OPEN b p EXPIRES #",
    "QUOTA.OPEN a p EXPIRES #", "QUOTA.OVERRIDE a r LIMIT # day", "QUOTA.OVERRIDE a r LIMIT 5 ROLLING #",
    "QUOTA.OVERRIDE a r LIMIT 5 #", "QUOTA.OVERRIDE a r LIMIT 5 day EX #", "QUOTA.PLAN SET p r LIMIT # day",
    "QUOTA.PLAN SET p r LIMIT 5 #", "QUOTA.PLAN SET p r LIMIT # ROLLING 1d", "QUOTA.PLAN SET p r LIMIT 5 day WARN #",
    "QUOTA.PLAN SET p r LIMIT 5 day BURST #", "QUOTA.PLAN SET p r LIMIT 5 day COST #",
    "QUOTA.PLAN SET p r LIMIT 5 day GRACE #", "QUOTA.PLAN SET p r LIMIT 5 day HOLDS MAX #",
    "QUOTA.PLAN SET p r LIMIT 5 day REFUNDS MAX #", "QUOTA.PLAN SET p r LIMIT 5 day REFUNDS MAX 5 WITHIN #",
    "QUOTA.PLAN SET p r LIMIT 5 month CALENDAR FROM #", "QUOTA.PLAN SET p r RATE # 1s", "QUOTA.PLAN SET p r RATE 5 #",
    "QUOTA.PLAN SET p r RATE 5 1s BURST #", "QUOTA.PLAN SET p r RATE LOG # 1s", "QUOTA.CYCLE day ANCHOR #",
    "QUOTA.CYCLE # ANCHOR 0us AT 0us", "QUOTA.CYCLE day ANCHOR 0us AT #", "QUOTA.CYCLE month CALENDAR FROM # AT 0us",
    "QUOTA.CLOCK FREEZE #", "QUOTA.CLOCK ADVANCE #"]


@pytest.mark.parametrize("line", PLACES)
def test_numbers_at_their_ends(accounts, primary, line):
    """What is no number is an error and changes nothing; what is one leaves an account that can be read and used."""
    wire = Wire(primary)
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month")
    accounts("QUOTA.PLAN SET p s LIMIT -1 month COST 7")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 5 ID x")
    accounts("QUOTA.RESERVE a h r 2 TTL 1d")
    begin = accounts("DUMP a")
    for number in NUMBERS:
        before = [wire("DUMP", "a"), wire("EXISTS", "b"), wire("QUOTA.PLAN", "GET", "p"), wire("QUOTA.CLOCK")]
        reply = wire(*(number if word == "#" else word for word in line.split()))
        after = [wire("DUMP", "a"), wire("EXISTS", "b"), wire("QUOTA.PLAN", "GET", "p"), wire("QUOTA.CLOCK")]
        if isinstance(reply, str):
            assert reply[1:].split(" ")[0] in CODES, f"{number!r} answers {reply}"
            assert after == before, f"{number!r} answers {reply} and changes something"
        taken = number not in NO_NUMBERS or (line.split()[-2], number) in TAKEN
        assert isinstance(reply, str) or taken, f"{number!r} is taken for a number: {reply}"
        for key in ("a", "b"):
            info = wire("QUOTA.INFO", key)
            assert not isinstance(info, str) or info.startswith("-NOACCOUNT"), info
        for rest in ("QUOTA.CONSUME a r 1 CHECK", "QUOTA.CONSUME a s 1 CHECK", "QUOTA.HOLDS a", "QUOTA.HISTORY a r",
                     "QUOTA.FORECAST a r", "QUOTA.RECORD a h", "QUOTA.BILL a"):
            answer = wire(*rest.split())
            assert not isinstance(answer, str) or answer[1:].split(" ")[0] in CODES, answer
        accounts("QUOTA.CLOCK FREEZE", NOON_MS)
        accounts("DEL b")
        accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month")
        accounts("RESTORE a 0", begin, "REPLACE")
    wire.close()


# ---- memory ----

STORES_MORE = [  # every command has its rows in test_memory_limit.py
    "RL.ALLOW new 10 1h", "RL.BLOCK new 1h", "RL.ACQUIRE m 10 1h", "CL.THROTTLE t 15 30 60", "RL.POLICY SET q 1 1s",
    "RL.POLICY OVERRIDE p s 1 1s", "QUOTA.PLAN SET q r LIMIT 1 day", "QUOTA.OPEN new p", "QUOTA.CONSUME a r 1 ID z",
    "QUOTA.RESERVE a new r 1 TTL 1h"]
STORES_LESS = [  # and what it answers
    ("QUOTA.COMMIT a h 2", [2, 0, 93]), ("QUOTA.RELEASE a i", None), ("QUOTA.EXTEND a j 2h", None),
    ("QUOTA.SUSPEND a", b"OK"), ("QUOTA.RESUME a", b"OK"), ("QUOTA.CLOSE c", b"OK"), ("QUOTA.RESET a", b"OK"),
    ("QUOTA.SETTLE a", 0),
    ("RL.RELEASE m x", 1), ("RL.RENEW m y 2h", NOON_MS + 7_200_000), ("RL.REFUND k 1", 1), ("RL.POLICY LIFT p s", None),
    ("RL.POLICY DEL p", 1), ("QUOTA.PLAN DEL p", 1)]
READS = ["RL.INFO k", "RL.LEASES m", "RL.POLICY LIST", "RL.POLICY GET p", "QUOTA.PLAN LIST", "QUOTA.PLAN GET p",
         "QUOTA.INFO a", "QUOTA.INFO a r", "QUOTA.HISTORY a r", "QUOTA.FORECAST a r", "QUOTA.RECORD a h",
         "QUOTA.BILL a", "QUOTA.HOLDS a", "QUOTA.HEALTH", "QUOTA.CLOCK", "QUOTA.CYCLE day ANCHOR 0us"]
SOME = ["RL.POLICY SET p 10 1s", "RL.POLICY REFUSE p s", "QUOTA.PLAN SET p r LIMIT 100 day", "QUOTA.OPEN a p",
        "QUOTA.OPEN c p", "QUOTA.CONSUME a r 3 ID x", "QUOTA.RESERVE a h r 2 TTL 1h", "QUOTA.RESERVE a i r 1 TTL 1h",
        "QUOTA.RESERVE a j r 1 TTL 1h", "RL.ALLOW k 10 1h COST 4", "RL.ACQUIRE m 10 1h ID x", "RL.ACQUIRE m 10 1h ID y",
        "RL.BREAKER b", "RL.ADAPT d 10 100"]


@pytest.fixture
def alone():
    """A server of its own with AOF and a replica, the policy of its memory set by the test."""
    server, follower = Server(appendonly="yes").start(), Server().start()
    follower.follow(server)
    yield Quota(server.client()), server, follower
    follower.close()
    server.close()


def test_noeviction_refuses_what_stores_more_and_loses_nothing(alone):
    quota, server, follower = alone
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    for line in SOME:
        quota(line)
    before, wire = server.digest(), Wire(server)
    quota("CONFIG SET maxmemory 1")
    for line in STORES_MORE:
        assert wire(*line.split()).startswith("-OOM"), line
    wire.close()
    for line in READS:
        quota(line)
    assert server.digest() == before
    quota("DEBUG LOADAOF")
    assert server.digest() == before  # what is loaded is not refused
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    for line, answer in STORES_LESS:
        reply = quota(line)
        assert answer in (None, reply), f"{line} answers {reply}"
    quota("CONFIG SET maxmemory 0")
    assert quota("QUOTA.CONSUME a r 3 ID x")[0] == 3  # remembered
    caught_up(server, follower)
    digest = server.digest()
    assert follower.digest() == digest
    quota("DEBUG LOADAOF")
    assert server.digest() == digest


def fill_memory(quota, count):
    """Accounts, each with 7 used, then buckets with a time to live."""
    quota("QUOTA.PLAN SET p r LIMIT 100 forever")
    pipeline = quota.client.pipeline(transaction=False)
    for number in range(count):
        pipeline.execute_command("QUOTA.OPEN", f"account{number}", "p")
        pipeline.execute_command("QUOTA.CONSUME", f"account{number}", "r", 7)
        pipeline.execute_command("RL.ALLOW", f"bucket{number}", 10, "1h", "LOG", 5, "1h")
    pipeline.execute()


def squeeze(quota, policy, spare_bytes):
    quota("CONFIG SET maxmemory-policy", policy)
    used = quota.client.info("memory")["used_memory"] - quota.client.info("memory")["mem_not_counted_for_evict"]
    quota("CONFIG SET maxmemory", used - spare_bytes)


def hammer(quota, count):
    """More buckets, and requests to accounts that are there; every reply is a verdict or an error that is expected."""
    pipeline = quota.client.pipeline(transaction=False)
    for number in range(count):
        pipeline.execute_command("RL.ALLOW", f"more{number}", 10, "1h", "LOG", 5, "1h")
        pipeline.execute_command("QUOTA.CONSUME", f"account{number}", "r", 1)
        pipeline.execute_command("RL.ACQUIRE", f"lease{number}", 10, "1h")
    replies = pipeline.execute(raise_on_error=False)
    errors = [str(reply) for reply in replies if isinstance(reply, redis.ResponseError)]
    assert all("maxmemory" in error or error.startswith("NOACCOUNT") for error in errors), errors[:3]
    return len(errors)


def test_allkeys_lru_lives_and_health_warns(alone):
    quota, server, follower = alone
    fill_memory(quota, 1000)
    assert not any("eviction" in problem for problem in quota.map("QUOTA.HEALTH")["problems"])
    squeeze(quota, "allkeys-lru", 200_000)
    hammer(quota, 1000)
    health = quota.map("QUOTA.HEALTH")
    assert health["status"] == "warning" and any("eviction" in problem for problem in health["problems"])
    assert quota.client.info("stats")["evicted_keys"] > 100
    quota("CONFIG SET maxmemory 0")
    caught_up(server, follower)
    digest = server.digest()
    assert follower.digest() == digest
    quota("DEBUG LOADAOF")
    assert server.digest() == digest


def test_volatile_lru_takes_buckets_and_leaves_accounts(alone):
    quota, server, follower = alone
    fill_memory(quota, 1000)
    squeeze(quota, "volatile-lru", 50_000)
    hammer(quota, 300)
    assert not any("drop accounts" in problem for problem in quota.map("QUOTA.HEALTH")["problems"])
    assert quota.client.info("stats")["evicted_keys"] > 50
    assert quota("EXISTS", *(f"bucket{number}" for number in range(1000))) < 1000
    quota("CONFIG SET maxmemory 1")
    wait_until(lambda: quota("DBSIZE") == 1000, "keys with a time to live stay")
    assert "maxmemory" in quota.error("QUOTA.CONSUME account1 r 1 ID x")  # nothing else may go, and still too much
    for number in range(1000):
        assert quota("PTTL", f"account{number}") == -1
        used = quota.map("QUOTA.INFO", f"account{number}", "r")["rules"][0]["used"]
        assert used == 7 or used == 8 and number < 300
    quota("CONFIG SET maxmemory 0")
    caught_up(server, follower)
    assert follower.digest() == server.digest()
