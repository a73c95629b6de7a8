"""QUOTA.VIOLATIONS: why was it denied? Refused requests by key, resource and rule, in the memory of one server.

    row: what is set up, what is refused ──▶ one entry: kind, resource, rule, text, cost, wait
"""

import pytest

from conftest import NOON_MS, Quota, as_map
from servers import VERSION, Server, caught_up
from test_waiting import Waiter

DIGEST = 64 * "a"
FIELDS = ["kind", "key", "resource", "rule", "text", "count", "cost", "first", "last", "wait_ms", "actor", "db"]


def shown(quota, *words):
    return [as_map(entry) for entry in quota("QUOTA.VIOLATIONS", *words)]


@pytest.fixture
def refusals(accounts):
    """No plans, no policies that a test before has left, and nothing refused yet."""
    accounts("QUOTA.VIOLATIONS RESET")
    yield accounts
    accounts("CONFIG SET quota.violations-max 10000")
    accounts("RL.POLICY DEL m")


ROWS = [
    # rates
    (["RL.ALLOW k 0 1h"], "rate", "", 0, "GCRA 0 1h", 1, -1),
    (["RL.ALLOW k 5 1h COST 6"], "rate", "", 0, "GCRA 5 1h", 6, -1),
    (["RL.ALLOW k TOKEN 1 10s", "RL.ALLOW k TOKEN 1 10s"], "rate", "", 0, "TOKEN 1 10s", 1, 10_000),
    (["RL.ALLOW k 10 1h FIXED 1 1h", "RL.ALLOW k 10 1h FIXED 1 1h"], "rate", "", 1, "FIXED 1 1h", 1, 3_600_000),
    (["RL.ALLOW k 500 1m 3 1m COST 1 4"], "rate", "", 1, "GCRA 3 1m", 4, -1),
    (["RL.BLOCK k 1m", "RL.ALLOW k 5 1h"], "rate", "", -1, "BLOCK", 1, 60_000),
    (["RL.MALLOW 1 k WITH 0 1h"], "rate", "", 0, "GCRA 0 1h", 1, -1),
    (["RL.MALLOW 2 free k WITH 9 1h WITH 0 1h ALL"], "rate", "", 0, "GCRA 0 1h", 1, -1),
    (["RL.TABLE k 1 1m", "RL.TAKE k alice", "RL.TAKE k bob COST 2"], "rate", "bob", 0, "GCRA 1 1m", 2, -1),
    (["RL.ADAPT k 5 9 COST 6"], "rate", "", 0, None, 6, None),
    (["CL.THROTTLE k 0 1 60", "CL.THROTTLE k 0 1 60"], "rate", "", 0, "GCRA 1 1m", 1, 60_000),
    # policies: the base, a schedule, an override, a list
    (["RL.POLICY SET m 0 1h", "RL.ALLOW k POLICY m"], "policy", "m", 0, "GCRA 0 1h", 1, -1),
    (["RL.POLICY SET m 9 1h SCHEDULE UTC daily 00:00-24:00 0 1m", "RL.ALLOW k POLICY m"],
     "policy", "m", 100, "GCRA 0 1m", 1, -1),
    (["RL.POLICY SET m 9 1h", "RL.POLICY OVERRIDE m s 9 1h 0 1s", "RL.ALLOW k POLICY m SUBJECT s"],
     "policy", "m", 9901, "GCRA 0 1s", 1, -1),
    (["RL.POLICY SET m 9 1h", "RL.POLICY REFUSE m s EX 1m", "RL.ALLOW k POLICY m SUBJECT s COST 3"],
     "policy", "m", -1, "REFUSE", 3, 60_000),
    (["RL.POLICY SET m 0 1h", "RL.MALLOW 1 k WITH POLICY m"], "policy", "m", 0, "GCRA 0 1h", 1, -1),
    # leases, breakers
    (["RL.ACQUIRE k 1 1m", "RL.ACQUIRE k 1 1m"], "lease", "", 0, "LIMIT 1", 1, 60_000),
    (["RL.BREAKER k FAILURES 1 OPEN 5s", "RL.BREAKER k REPORT fail", "RL.BREAKER k"], "breaker", "", -1,
     "FAILURES 1", 1, 5000),
    (["RL.BREAKER k FORCE open", "RL.BREAKER k"], "breaker", "", -1, "RATE 50", 1, -1),
    # accounts
    (["QUOTA.PLAN SET p r LIMIT 1 day CALENDAR", "QUOTA.OPEN k p", "QUOTA.CONSUME k r 2"],
     "account", "r", 0, "LIMIT 1 day CALENDAR", 2, -1),
    (["QUOTA.PLAN SET p r RATE 10 1s LIMIT 1 ROLLING 1h", "QUOTA.OPEN k p", "QUOTA.CONSUME k r 1",
      "QUOTA.CONSUME k r 1"], "account", "r", 1, "LIMIT 1 ROLLING 1h", 1, 3_600_000),
    (["QUOTA.PLAN SET p r RATE FIXED 1 1m LIMIT 9 day", "QUOTA.OPEN k p", "QUOTA.CONSUME k r 1",
      "QUOTA.CONSUME k r 1"], "account", "r", 0, "RATE FIXED 1 1m", 1, 60_000),
    (["QUOTA.PLAN SET p r CREDITS LOW 2", "QUOTA.OPEN k p", "QUOTA.CONSUME k r 1"],
     "account", "r", 0, "CREDITS LOW 2", 1, -1),
    (["QUOTA.PLAN SET p r LIMIT 5 forever", "QUOTA.OPEN k p", "QUOTA.GRANT k g r 5", "QUOTA.CONSUME k r 7",
      "QUOTA.CONSUME k r 7"], "account", "r", 1, "CREDITS", 7, -1),  # the plan does not name them
    (["QUOTA.PLAN SET p r LIMIT 9 day CONCURRENT 1", "QUOTA.OPEN k p", "QUOTA.RESERVE k i r 1 TTL 1m",
      "QUOTA.RESERVE k j r 1 TTL 1m"], "account", "r", 1, "CONCURRENT 1", 1, 60_000),
    (["QUOTA.PLAN SET p r LIMIT 9 day", "QUOTA.PLAN SET p s LIMIT 0 day", "QUOTA.OPEN k p",
      "QUOTA.MCONSUME k 2 r 1 s 1"], "account", "s", 0, "LIMIT 0 day", 1, -1),
    (["QUOTA.PLAN SET p pool LIMIT 9 day LIMIT 5 month", "QUOTA.PLAN SET p r LIMIT -1 day AS pool COST 2",
      "QUOTA.OPEN k p", "QUOTA.CONSUME k r 3"], "account", "pool", 1, "LIMIT 5 month", 3, -1),
    (["QUOTA.PLAN SET p r LIMIT 9 day", "QUOTA.OPEN k p", f"QUOTA.APIKEY SET k {DIGEST} RATE FIXED 1 1m",
      f"QUOTA.CONSUME k r 2 APIKEY {DIGEST}"], "account", "r", 90, "RATE FIXED 1 1m", 2, -1),
    (["QUOTA.PLAN SET p r LIMIT 9 day", "QUOTA.OPEN k p", "QUOTA.OVERRIDE k r LIMIT 3 day", "QUOTA.CONSUME k r 4"],
     "account", "r", 0, "LIMIT 3 day", 4, -1),
    (["QUOTA.PLAN SET p r LIMIT 0 day", "CONFIG SET quota.default-plan p quota.auto-open yes", "QUOTA.CONSUME k r 1"],
     "account", "r", 0, "LIMIT 0 day", 1, -1),
]


@pytest.mark.parametrize("lines, kind, resource, rule, text, cost, wait_ms", ROWS, ids=lambda value: None)
def test_a_refusal_says_which_rule(refusals, lines, kind, resource, rule, text, cost, wait_ms):
    quota = refusals
    for line in lines:
        quota(line)
    [entry] = shown(quota)
    assert list(entry) == FIELDS
    if text is None or entry["text"].startswith(text):
        text = entry["text"]
    wait_ms = entry["wait_ms"] if wait_ms is None else wait_ms
    assert entry == {"kind": kind, "key": "k", "resource": resource, "rule": rule, "text": text, "count": 1,
                     "cost": cost, "first": NOON_MS, "last": NOON_MS, "wait_ms": wait_ms, "actor": "default", "db": 0}


@pytest.mark.parametrize("lines", [
    ["RL.ALLOW k 0 1h PEEK"], ["RL.PEEK k 0 1h"], ["RL.MALLOW 1 k WITH 0 1h PEEK"], ["CL.THROTTLE k 0 1 60 0"],
    ["RL.MALLOW 2 k l WITH 0 1h ALL PEEK"], ["RL.ADAPT k 5 9 COST 6 PEEK"],
    ["RL.TABLE k 1 1m", "RL.TAKE k s COST 2 PEEK"],
    ["RL.POLICY SET m 0 1h SHADOW", "RL.ALLOW k POLICY m"], ["RL.ALLOW k 1 1h"], ["RL.ACQUIRE k 1 1m"],
    ["QUOTA.PLAN SET p r LIMIT 0 day", "QUOTA.OPEN k p", "QUOTA.CHECK k r 1", "QUOTA.CONSUME k r 1 CHECK",
     "QUOTA.MCONSUME k 1 r 1 CHECK"],
    ["QUOTA.PLAN SET p r LIMIT 1 day", "QUOTA.OPEN k p", "QUOTA.CONSUME k r 5 UPTO", "QUOTA.CONSUME k r 5 FORCE"],
])
def test_what_is_not_refused_is_no_violation(refusals, lines):
    for line in lines:
        refusals(line)
    assert shown(refusals) == []


def test_a_replayed_denial_is_counted_once(refusals):
    quota = refusals
    quota("QUOTA.PLAN SET p r LIMIT 0 day")
    quota("QUOTA.OPEN k p")
    for _ in range(3):
        assert quota("QUOTA.CONSUME k r 1 ID i STICKY")[0] == 0
    assert [entry["count"] for entry in shown(quota)] == [1]


def test_denials_of_one_rule_are_one_entry(refusals):
    quota = refusals
    quota("RL.ALLOW k FIXED 2 1h COST 2")
    for cost in (1, 2, 1):
        quota.advance("1s")
        assert quota("RL.ALLOW k FIXED 2 1h COST", cost)[0] == 0
    [entry] = shown(quota)
    assert (entry["count"], entry["cost"]) == (3, 4)
    assert (entry["first"], entry["last"]) == (NOON_MS + 1000, NOON_MS + 3000)
    assert entry["wait_ms"] == 3_600_000 - 3000  # of the last one


def test_keys_resources_rules_and_databases_are_kept_apart(refusals, primary):
    quota = refusals
    quota("QUOTA.PLAN SET p r LIMIT 0 day")
    quota("QUOTA.PLAN SET p s LIMIT 9 day LIMIT 0 month")
    for key in "ab":
        quota(f"QUOTA.OPEN {key} p")
        quota(f"QUOTA.CONSUME {key} r 1")
    quota("QUOTA.CONSUME a s 1")
    quota("RL.ALLOW c 0 1h")
    other = Quota(primary.client(db=1))
    other("RL.ALLOW c 0 1h")
    found = [(entry["db"], entry["key"], entry["resource"], entry["rule"]) for entry in shown(quota)]
    assert found == [(1, "c", "", 0), (0, "c", "", 0), (0, "a", "s", 1), (0, "b", "r", 0), (0, "a", "r", 0)]
    other.client.close()


def test_the_text_follows_the_rule(refusals):
    quota = refusals
    quota("QUOTA.PLAN SET p r LIMIT 1 day")
    quota("QUOTA.OPEN k p")
    quota("QUOTA.CONSUME k r 9")
    quota("QUOTA.PLAN SET p r LIMIT 1 day CALENDAR")
    quota("QUOTA.CONSUME k r 9")
    assert [(entry["text"], entry["count"]) for entry in shown(quota)] == [("LIMIT 1 day CALENDAR", 2)]
    quota("RL.ALLOW j 5 1h COST 6")
    quota("RL.ALLOW j 5 1m COST 6")
    assert [(entry["text"], entry["count"]) for entry in shown(quota, "MATCH", "j")] == [("GCRA 5 1m", 2)]


def test_count_match_and_from(refusals):
    quota = refusals
    for number in range(150):
        quota(f"RL.ALLOW tenant:{number}:api 0 1h")
        quota.advance("1s")
    assert len(shown(quota)) == 100
    assert [entry["key"] for entry in shown(quota, "COUNT", 2)] == ["tenant:149:api", "tenant:148:api"]
    assert len(shown(quota, "COUNT", 1000)) == 150
    assert [entry["key"] for entry in shown(quota, "MATCH", "*:[12]?:api", "COUNT", 3)] == [
        "tenant:29:api", "tenant:28:api", "tenant:27:api"]
    since = shown(quota, "FROM", NOON_MS + 147_000)
    assert [entry["key"] for entry in since] == ["tenant:149:api", "tenant:148:api", "tenant:147:api"]
    assert shown(quota, "FROM", NOON_MS + 150_000) == []
    assert shown(quota, "MATCH", "") == []
    for words, said in (("COUNT 0", "out of range"), ("COUNT 1001", "out of range"), ("COUNT x", "not an integer"),
                        ("FROM 7", "Unix seconds"), ("RESET COUNT 1", "RESET goes with nothing"), ("NEVER", "COUNT")):
        assert said in quota.error(f"QUOTA.VIOLATIONS {words}")



def test_the_latest_are_kept(refusals):
    quota = refusals
    quota("CONFIG SET quota.violations-max 3")
    for key in "abc":
        quota(f"RL.ALLOW {key} 0 1h")
    quota("RL.ALLOW a 0 1h")
    quota("RL.ALLOW d 0 1h")
    assert [(entry["key"], entry["count"]) for entry in shown(quota)] == [("d", 1), ("a", 2), ("c", 1)]
    assert quota.client.info("quota")["quota_violations"] == 3
    quota("CONFIG SET quota.violations-max 1")
    assert [entry["key"] for entry in shown(quota)] == ["d"]
    quota("CONFIG SET quota.violations-max 0")
    quota("RL.ALLOW e 0 1h")
    assert shown(quota) == []
    quota("CONFIG SET quota.violations-max 2")
    for number in range(1000):
        quota(f"RL.ALLOW k{number % 7} 0 1h")
    assert [entry["key"] for entry in shown(quota)] == ["k5", "k4"]


def test_many_denials_take_bounded_memory(refusals):
    quota = refusals
    pipeline = quota.client.pipeline(transaction=False)
    for number in range(12_000):
        pipeline.execute_command("RL.ALLOW", f"key:{number}", 0, "1h")
    pipeline.execute()
    assert quota.client.info("quota")["quota_violations"] == 10_000
    assert shown(quota, "COUNT", 1, "MATCH", "key:1999") == []
    assert shown(quota, "COUNT", 1, "MATCH", "key:2000")[0]["count"] == 1


def test_names_of_any_size_and_bytes(refusals):
    quota = refusals
    long = "k" * 100_000
    for tail in ("x", "y"):
        quota("RL.ALLOW", long + tail, 0, "1h")
        quota("RL.ALLOW", long + tail, 0, "1h")
    assert [(entry["key"], entry["count"]) for entry in shown(quota)] == [("k" * 1024, 2)] * 2
    quota("QUOTA.VIOLATIONS RESET")
    quota("RL.ALLOW", b"\x00\xff\r\n", 0, "1h")
    quota("RL.ALLOW", b"", 0, "1h")
    assert [entry["key"].encode(errors="surrogateescape") for entry in shown(quota)] == [b"", b"\x00\xff\r\n"]


def test_reset_and_flushall(refusals):
    quota = refusals
    quota("RL.ALLOW k 0 1h")
    quota("FLUSHALL")
    assert len(shown(quota)) == 1  # what happened has happened
    assert quota("QUOTA.VIOLATIONS RESET") == b"OK"
    assert shown(quota) == []


def test_the_actor_is_the_user_of_the_last_one(refusals, primary):
    quota = refusals
    quota("ACL SETUSER bob on nopass ~* +@all")
    bob = Quota(primary.client(username="bob", password="x"))
    quota("RL.ALLOW k 0 1h")
    bob("RL.ALLOW k 0 1h")
    assert [entry["actor"] for entry in shown(quota)] == ["bob"]
    quota("EVAL", "return redis.call('RL.ALLOW', 'k', '0', '1h')", 0)
    assert [entry["actor"] for entry in shown(quota)] == ["default"]
    bob("EVAL", "return redis.call('RL.ALLOW', 'k', '0', '1h')", 0)
    assert [(entry["actor"], entry["count"]) for entry in shown(quota)] == [("bob", 4)]
    bob.client.close()
    quota("ACL DELUSER bob")


def test_who_waited_in_vain_is_counted(refusals, primary):
    quota = refusals
    quota("RL.POLICY SET m 1 10s")
    for words in ("1 10s", "POLICY m"):
        quota(f"RL.ALLOW k {words}")
        waiter = Waiter(primary, f"RL.ALLOW k {words} WAIT 11s")
        quota("RL.BLOCK k 1h")
        quota.advance("11s")
        assert waiter.done()[0] == 0
        quota("DEL k")
    found = [(entry["kind"], entry["resource"], entry["rule"], entry["text"]) for entry in shown(quota)]
    assert found == [("policy", "m", -1, "BLOCK"), ("rate", "", -1, "BLOCK")]


def test_a_level_that_refuses_is_named(refusals):
    quota = refusals
    quota("QUOTA.PLAN SET org r LIMIT 12 day")
    quota("QUOTA.PLAN SET team r LIMIT 20 day")
    quota("QUOTA.OPEN {t}org org")
    quota("QUOTA.OPEN {t}team team PARENT {t}org")
    assert quota("QUOTA.CONSUME {t}team r 13")[0] == 0
    assert quota("QUOTA.CONSUME {t}team r 21")[0] == 0
    found = [(entry["key"], entry["rule"], entry["text"], entry["count"], entry["cost"]) for entry in shown(quota)]
    assert found == [("{t}team", 0, "LIMIT 20 day", 1, 21), ("{t}org", 0, "LIMIT 12 day", 1, 13)]


def test_a_replica_has_its_own(refusals, primary, replica):
    quota = refusals
    quota("QUOTA.PLAN SET p r LIMIT 1 day")
    quota("QUOTA.OPEN k p")
    quota("QUOTA.CONSUME k r 2 ID i STICKY")
    caught_up(primary, replica)
    assert shown(Quota(replica.client())) == []
    assert len(shown(quota)) == 1


def test_a_restart_begins_with_none():
    server = Server().start()
    quota = Quota(server.client())
    quota("RL.ALLOW k 0 1h")
    assert len(shown(quota)) == 1
    server.stop(save=True)
    server.start()
    assert shown(Quota(server.client())) == []
    server.close()


def test_it_is_for_administrators(refusals, primary):
    quota = refusals
    quota("ACL SETUSER eve reset on nopass ~* +@all -@admin")
    eve = primary.client(username="eve", password="x")
    if VERSION >= (7, 2, 0):
        with pytest.raises(Exception, match="NOPERM|no permissions"):
            eve.execute_command("QUOTA.VIOLATIONS")
    eve.close()
    quota("ACL DELUSER eve")
