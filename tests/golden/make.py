#!/usr/bin/env python3
"""Makes the golden files: what a value of each kind looks like on disk, kept so that later builds still read it.

    lines as typed ──▶ server, clock frozen ─┬─ DUMP ────────▶ name.dump   type, blob, version, checksum
                                             └─ questions ───▶ name.json   key, instant, question and its answer
    policies and plans ──▶ SAVE ──▶ configuration-6.rdb, .json   configuration-1: of the build 75cbe86, without plans
                                                                 configuration-2: plans without histories
                                                                 configuration-3: plans without credits
                                                                 configuration-4: plans without rollover
                                                                 configuration-5: without shares, prices, events

Run by hand when an encoding is added, with the names to be made; never to make a red test green. The same build makes
the same bytes. Old files stay for ever: a second encoding gets second names (account-rich-2), and the lines that made
the first ones are in this file's history. (A table's hash has a random key: its files are made once.) QUOTA_MODULE
names the build.

usage: .venv/bin/python tests/golden/make.py name [name ...]
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
from conftest import NOON, Quota, as_map, listed  # noqa: E402
from servers import Server  # noqa: E402

RULES = {"gcra": "10 1h", "token": "TOKEN 10 1h BURST 20 INITIAL 15", "interval": "TOKEN 10 1h INTERVAL",
         "leaky": "LEAKY 7 1h", "queue": "QUEUE 5 1h BURST 7", "fixed": "FIXED 9 1h", "first": "FIXED 9 1h FIRST",
         "sliding": "SLIDING 9 1h", "log": "LOG 9 1h", "bounds": "-1 1h 0 2h SLIDING 5 1m",
         "extreme": "9223372036854775807 1us TOKEN 9223372036854775806 1us FIXED 4611686018427387904 3000d"}
STEP = "QUOTA.CLOCK ADVANCE"


def limiter(rule):
    return "RL.INFO k", [f"RL.ALLOW k {rule} COST 2 FORCE", f"{STEP} 7s", f"RL.ALLOW k {rule} COST 3 FORCE",
                         f"{STEP} 1000001us", f"RL.ALLOW k {rule} FORCE"]


def together():
    rules = " ".join(rule for name, rule in RULES.items() if name != "extreme")
    question, lines = limiter(rules)
    return question, [*lines, "RL.BLOCK k 1d"]


LEASES = [
    "RL.ACQUIRE k 10 1m ID a COST 3", f"{STEP} 7s", "RL.ACQUIRE k 10 1h ID b COST 2", "RL.ACQUIRE k 10 1s ID ended",
    "RL.ACQUIRE k 10 2h", f"{STEP} 2s", "RL.RENEW k a 30d", "RL.RELEASE k b", "RL.ACQUIRE k 10 9h ID " + "x" * 100]
BREAKER = ["RL.BREAKER k FAILURES 3 WINDOW 10s SLOW 2s OPEN 30s PROBES 3"]
FAILED = "RL.BREAKER k REPORT fail"
BREAKERS = {
    "closed": [*BREAKER, FAILED, f"{STEP} 3s", "RL.BREAKER k REPORT ok TOOK 3s", "RL.BREAKER k REPORT ok"],
    "open": [*BREAKER, FAILED, FAILED, FAILED, f"{STEP} 3s"],
    "half-open": [*BREAKER, FAILED, FAILED, FAILED, f"{STEP} 31s", "RL.BREAKER k", "RL.BREAKER k",
                  "RL.BREAKER k REPORT ok", f"{STEP} 1s", "RL.BREAKER k"],
    "forced": ["RL.BREAKER k RATE 20 MIN 10", "RL.BREAKER k FORCE open"],
}
REPORTS = ["RL.ADAPT k REPORT LATENCY 12ms", "RL.ADAPT k REPORT ERROR", "RL.ADAPT k REPORT LOAD 70", f"{STEP} 1s"]
ADAPTIVES = {
    "aimd": ["RL.ADAPT k 10 1000 STEP 3 BACKOFF 70 COST 6", *REPORTS, "RL.ADAPT k 10 1000 STEP 3 BACKOFF 70 COST 8",
             *REPORTS[:3]],
    "gradient": ["RL.ADAPT k 10 1000 GRADIENT TOLERANCE 200 COST 6", *REPORTS, "RL.ADAPT k REPORT LATENCY 30ms",
                 "RL.ADAPT k 10 1000 GRADIENT TOLERANCE 200 COST 9", "RL.ADAPT k REPORT LATENCY 20ms"],
}
TAKES = [f"RL.TAKE k {'long-' * (i % 5)}{i} COST {i % 3 + 1} FORCE" for i in range(40)]
TABLES = {
    "one": ["RL.TABLE k 10 1h", "RL.TAKE k a COST 3"],
    "log": ["RL.TABLE k LOG 9 1h TOKEN 10 1h INITIAL 5", *TAKES, f"{STEP} 7s", *TAKES[:9]],
    "between": ["RL.TABLE k SLIDING 9 1h", *TAKES, "RL.TABLE k SLIDING 20 1h 5 1m"],  # no subject has gone over yet
}
PLAN = [
    "QUOTA.PLAN SET p r LIMIT 100 day LIMIT 1000 month CALENDAR FROM 15 PRORATE WARN 1 33.25 100 BURST 10 REPAY "
    "LIMIT 500 ROLLING 90d RATE 50 1s RATE LOG 40 1h HOLDS MAX 9 REFUNDS MAX 60 WITHIN 30d OVERAGE "
    "PRICE eur PER 100 TIER 50 1.5 FLAT 2 TIER * 0.000001",
    "QUOTA.PLAN SET p soft LIMIT 5 week CALENDAR FROM sun ROLLOVER 50 MAX 9 FOR 3 LIMIT -1 year EOM GRACE 2d COST 3 OVERAGE",
    "QUOTA.PLAN SET q r LIMIT 10 day", "QUOTA.PLAN SET q credited CREDITS FIRST LOW 5 LIMIT 20 day TRANSFERS MAX 9 OVERAGE MAX 3",
    "QUOTA.PLAN SET q slow LIMIT 2 day THROTTLE 5 1h",
    "QUOTA.PLAN SET q fast AS r COST 3 RATE 50 1s", "QUOTA.PLAN SET p fast AS r COST 2 LIMIT -1 day"]
GRANTS = [  # used, held, recurring, to come, of one that has ended and is remembered
    "QUOTA.GRANT k boost r 40 EXPIRES 90d PRIORITY 3 PROMO", "QUOTA.GRANT k monthly r 30 EVERY month ONCE",
    "QUOTA.GRANT k coming r 8 EFFECTIVE 2026-01-01T00:00:00Z EXPIRES 3month", "QUOTA.GRANT k short r 5 EXPIRES 1h",
    "QUOTA.GRANT k void r 9", "QUOTA.CONSUME k r 95 FORCE ID funded", "QUOTA.RESERVE k funded-hold r 12 TTL 1d",
    "QUOTA.VOID k void REASON wrong", f"{STEP} 2h", "QUOTA.REFUND k r 1 OF funded"]
PAIRS = [  # of two resources: committed, expired and swept, held
    "QUOTA.RESERVE k done other 1 r 1 TTL 1d UPTO", "QUOTA.COMMIT k done 1 0", "QUOTA.RESERVE k short other 1 r 1 TTL 1h",
    f"{STEP} 2h", "QUOTA.RESERVE k pair other 1 r 2 TTL 9d", "QUOTA.REFUND k ALL OF done ID back-all"]
KEYS = [
    f"QUOTA.APIKEY SET k {64 * '1'} NAME backend SCOPES 2 read write EXPIRES 90d RATE 40 1h RATE LOG 9 1d",
    f"QUOTA.APIKEY SET k {64 * '2'}", f"QUOTA.CONSUME k r 2 APIKEY {64 * '1'} SCOPE read",
    f"QUOTA.APIKEY ROTATE k {64 * '1'} {64 * '3'} GRACE 30d", f"QUOTA.APIKEY REVOKE k {8 * '2'} REASON leaked",
    f"QUOTA.CONSUME k r 1 APIKEY {64 * '3'}"]


def family(pool, member):
    """Members that use, hold, and pay with their own credits; one that has left; a closed cycle."""
    return [
        "QUOTA.PLAN SET org r LIMIT 90 week SHARE FAIR BURST 10% LIMIT -1 1h", "QUOTA.PLAN SET seat r LIMIT 99 day",
        f"QUOTA.OPEN {pool} org", *[f"QUOTA.OPEN {one} seat PARENT {pool}" for one in (member, "m2", "m3", "m4")],
        f"QUOTA.WEIGHT {pool} m2 3 REASON larger", f"QUOTA.CONSUME {member} r 10 ID first", "QUOTA.CONSUME m2 r 40",
        "QUOTA.CLOSE m4", f"{STEP} 7d", "QUOTA.CONSUME m3 r 20", f"QUOTA.GRANT {member} own r 60",
        "QUOTA.RESERVE m2 later r 9 TTL 9d", f"QUOTA.CONSUME {member} r 70 ID most",
        f"QUOTA.RESERVE {member} hold r 12 TTL 9d", f"QUOTA.REFUND {member} r 2 OF most", "QUOTA.DETACH m3"]


ACCOUNTS = {
    "fresh": [*PLAN, "QUOTA.OPEN k q"],
    "closed": [*PLAN, "QUOTA.OPEN k q ANCHOR -86400s ZONE America/New_York", "QUOTA.CONSUME k r 4",
               "QUOTA.SUSPEND k", "QUOTA.CLOSE k"],
    "rich": [
        *PLAN, "QUOTA.OPEN k p ZONE Europe/Berlin EXPIRES 2030-01-01T00:00:00Z",
        *[line for number in range(5) for line in (
            f"QUOTA.CONSUME k r 7 ID id-{number}", f"QUOTA.RESERVE k hold-{number} r 2 TTL 3d",
            f"QUOTA.CONSUME k soft {number + 1}", f"{STEP} 20h")],
        "QUOTA.MCONSUME k 2 r 3 soft 1 ID both", "QUOTA.MCONSUME k 2 r 100000 soft 1 ANY ID any",
        "QUOTA.CONSUME k r 100000 ID denied STICKY", "QUOTA.CONSUME k r 100000 UPTO ID most",
        "QUOTA.REFUND k r 3 OF id-4 ID back REASON broken", "QUOTA.COMMIT k hold-4 1", "QUOTA.RELEASE k hold-3",
        "QUOTA.RESERVE k late r 1 TTL 9d", "QUOTA.CONSUME k fast 2 ID as", f"{STEP} 33d",
        "QUOTA.INGEST k r 3 late 2025-02-03T00:00:00Z", "QUOTA.CONSUME k r 20 FORCE", "QUOTA.OVERRIDE k other LIMIT 5 day EX 9d", "QUOTA.CONSUME k other 2",
        "QUOTA.SET k soft 4 PERIOD week", "QUOTA.SUSPEND k", "QUOTA.RESUME k", "QUOTA.SWITCH k p", "QUOTA.SWITCH k q",
        "QUOTA.SWITCH k p FULL", "QUOTA.RESERVE k open r 3 TTL 2d",
        "QUOTA.PLAN SET p r LIMIT 80 day LIMIT 700 month CALENDAR FROM 15 PRORATE WARN 50 RATE LOG 40 1h "
        "OVERAGE PRICE eur VOLUME TIER * 2 APPLY PRORATE",
        f"{STEP} 5h", "QUOTA.CONSUME k r 9 ID again", "QUOTA.REFUND k r 2 REASON unnamed",
        "QUOTA.REFUND k r 1 OF again", "QUOTA.OVERRIDE k r LIMIT 120 day WARN 40 90 EX 20d REASON own",
        "QUOTA.RESERVE k more r 4 TTL 1d", "QUOTA.COMMIT k more 7 FORCE", "QUOTA.RESET k r PERIOD day",
        "QUOTA.CONSUME k r 5 ID last", "QUOTA.PLAN DEL p soft", "QUOTA.CONSUME k r 1",
        *GRANTS, *PAIRS, *KEYS, "QUOTA.SWITCH k q AT 2025-06-01T00:00:00Z RESTART", "QUOTA.SUSPEND k EX 9h", f"{STEP} 10h"],
    "pool": family("k", "m1"),
    "member": [*family("p", "k"), "DEL p"],
}
VALUES = {
    **{f"limiter-{name}": limiter(rule) for name, rule in RULES.items()},
    "limiter-together": together(),
    "limiter-blocked": ("RL.INFO k", ["RL.BLOCK k 1h"]),
    "limiter-sleeping": ("RL.INFO k", ["RL.ALLOW k 10 1h LOG 9 1h SLIDING 50 1d COST 2", f"{STEP} 7s",
                                       "RL.ALLOW k FIXED 20 1h FIRST COST 3", "RL.BLOCK k 1m"]),
    "leases": ("RL.LEASES k", LEASES),
    **{f"breaker-{name}": ("RL.BREAKER k INFO", lines) for name, lines in BREAKERS.items()},
    **{f"adaptive-{name}": ("RL.ADAPT k INFO", lines) for name, lines in ADAPTIVES.items()},
    **{f"table-{name}": ("RL.INFO k", lines) for name, lines in TABLES.items()},
    **{f"account-{name}-5": ("QUOTA.INFO k", lines) for name, lines in ACCOUNTS.items()},
}
MORE_QUESTIONS = {"account-rich-5": ["QUOTA.GRANTS k", "QUOTA.APIKEY LIST k", "QUOTA.CONSUME k r 95 ID funded CHECK",
                                     "QUOTA.HISTORY k r COUNT 40", "QUOTA.BILL k", "QUOTA.HOLDS k", "QUOTA.INFO k r",
                                     "QUOTA.CONSUME k r 7 ID id-4 CHECK", "QUOTA.COMMIT k more 7 FORCE", "QUOTA.RECORD k late",
                                     "QUOTA.COMMIT k done 1 0", "QUOTA.REFUND k ALL OF done ID back-all"],
                  "account-pool-5": ["QUOTA.MEMBERS k", "QUOTA.HISTORY k r"],
                  "account-member-5": ["QUOTA.RECORD k first", "QUOTA.RECORD k most", "QUOTA.GRANTS k"],
                  "limiter-sleeping": ["RL.ALLOW k LOG 9 1h SLIDING 50 1d PEEK"],
                  **{f"table-{name}": ["RL.TAKE k a PEEK", "RL.TAKE k long-1 PEEK"] for name in TABLES}}
POLICIES = [
    "RL.POLICY SET api 10 1s SLIDING 1000 1h BLOCK 30s SCHEDULE Europe/Berlin mon-fri 08:00-18:00 20 1s",
    "RL.POLICY OVERRIDE api acme 99 1s EX 30d", "RL.POLICY PERMIT api staff", "RL.POLICY REFUSE api villain EX 10h",
    "RL.POLICY PERMIT api 10.0.0.0/8", "RL.POLICY REFUSE api 2001:db8::/33", "RL.POLICY SET other 1 1m SHADOW",
    "RL.POLICY SET other 2 1m SHADOW"]
HISTORY = [  # of plans
    f"{STEP} 2h", "QUOTA.PLAN SET p r LIMIT 80 day APPLY PRORATE", "QUOTA.PLAN SET p new RATE 5 1s COST 2",
    f"{STEP} 2h", "QUOTA.PLAN DEL p new", "QUOTA.PLAN SET p r LIMIT 9 week APPLY END EFFECTIVE 2025-03-01T00:00:00Z",
    "QUOTA.PLAN SET p to-come LIMIT 9 week EFFECTIVE 2025-03-01T00:00:00Z", "QUOTA.PLAN SET retired r LIMIT 1 day",
    "QUOTA.PLAN DEL retired", "QUOTA.PLAN SET q shared LIMIT 9 month SHARE EQUAL PRICE usd TIER 5 0.5 TIER * 1",
    "QUOTA.PLAN SET p paid LIMIT 10 day CONCURRENT 4 OVERAGE MAX 3 CREDITS FIRST LOW 2 TRANSFERS MAX 5 APPLY FULL"]
CONFIGURATION = "configuration-6"
KEYS = ["RL.ALLOW bucket TOKEN 10 1h LOG 5 1m COST 2", "RL.ACQUIRE leases 10 1h ID a", "RL.BREAKER breaker FAILURES 3",
        "RL.ADAPT adaptive 10 100"]


def answers_to(quota, questions):
    at = quota("QUOTA.CLOCK") + 1  # the next whole ms: the clock shows no smaller ones
    quota("QUOTA.CLOCK FREEZE", at)
    return {"at": at, "asked": {line: as_map(quota(line)) for line in questions}}


def write(name, data, answers):
    (HERE / name).write_bytes(data)
    text = json.dumps(answers, indent=1, sort_keys=True)
    (HERE / name).with_suffix(".json").write_text(text + "\n")
    print(f"{name}: {len(data)} bytes")


def forget_plans(quota):
    for name in listed(quota):
        quota("RL._PLAN", name, "")


def make_values(quota, names):
    for name in names:
        question, lines = VALUES[name]
        quota("FLUSHALL")
        quota("QUOTA.CLOCK FREEZE", NOON)
        for line in lines:
            quota(line)
        if name.startswith("account"):
            forget_plans(quota)  # an account carries its plan along
        questions = [question, *MORE_QUESTIONS.get(name, [])]
        write(f"{name}.dump", quota("DUMP k"), answers_to(quota, questions))


def make_configuration(quota, server, name):
    quota("FLUSHALL")
    quota("QUOTA.CLOCK FREEZE", NOON)
    forget_plans(quota)
    for line in [*POLICIES, *PLAN, *HISTORY, *KEYS]:
        quota(line)
    questions = ["RL.POLICY GET api", "RL.POLICY GET other", "RL.INFO bucket", "RL.LEASES leases",
                 "RL.BREAKER breaker INFO", "RL.ADAPT adaptive INFO", "QUOTA.PLAN GET p", "QUOTA.PLAN GET q",
                 "QUOTA.PLAN GET retired"]
    answers = answers_to(quota, questions)
    for number, line in enumerate(KEYS):  # a database each: the order of keys in one is not the same in every run
        if number:
            quota("MOVE", line.split()[1], number)
    quota("SAVE")
    data = (server.path / "dump.rdb").read_bytes()
    for changing in (b"ctime", b"used-mem"):  # four bytes each that differ from run to run
        data = re.sub(changing + rb"\xc2.{4}", changing + b"\xc2\0\0\0\0", data, flags=re.DOTALL)
    write(name, data, answers)


def with_server(make):
    server = Server(rdbcompression="no", rdbchecksum="no").start()
    try:
        make(Quota(server.client()), server)
    finally:
        server.close()


def main():
    names = sys.argv[1:]
    with_server(lambda quota, server: make_values(quota, [name for name in names if name != CONFIGURATION]))
    if CONFIGURATION in names:  # a server of its own: the file has the event log
        with_server(lambda quota, server: make_configuration(quota, server, f"{CONFIGURATION}.rdb"))


if __name__ == "__main__":
    main()
