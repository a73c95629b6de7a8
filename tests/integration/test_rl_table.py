"""RL.TABLE and RL.TAKE: subjects of one key are counted as keys of their own are.

    RL.TAKE table subject …  ─┬─ the same verdict
    RL.ALLOW key:subject …   ─┘                        and, after every test, equal digests everywhere (conftest)
"""

import random

import pytest

from conftest import NOON_MS, assert_equal_digests, text
from servers import caught_up, rewrite_aof

RULES = ("GCRA 10 1s", "TOKEN 20 1m BURST 30 INITIAL 5", "FIXED 7 1m", "SLIDING 9 1m", "LEAKY 5 1s BURST 8",
         "QUEUE 5 1s BURST 3", "LOG 6 10s", "10 1s 100 1m 500 1h")


def test_the_contract(quota):
    assert text(quota("RL.TABLE t 10 1s")) == "OK"
    assert quota("RL.TAKE t alice") == [1, 10, 9, 0, 100, 0]
    assert quota("RL.TAKE t alice COST 9") == [9, 10, 0, 0, 1000, 0]
    assert quota("RL.TAKE t alice") == [0, 10, 0, 100, 1000, 0]
    assert quota("RL.TAKE t bob PEEK") == [1, 10, 10, 0, 0, 0]
    assert quota("RL.TAKE t bob COST 99 UPTO") == [10, 10, 0, 0, 1000, 0]
    assert quota("RL.TAKE t bob COST 5 FORCE") == [5, 10, 0, 0, 1500, 0]
    assert quota("RL.TAKE t bob COST 11") == [0, 10, 0, -1, 1500, 0]
    assert quota("RL.TAKE t", b"any \x00 bytes") == [1, 10, 9, 0, 100, 0]
    assert quota("RL.TAKE t", b"") == [1, 10, 9, 0, 100, 0]
    assert text(quota("TYPE t")) == "rl-tables" and quota("PTTL t") == -1
    quota.advance("100ms")
    assert quota("RL.TAKE t alice") == [1, 10, 0, 0, 1000, 0]


def test_many_subjects_in_one_call(quota):
    quota("RL.TABLE t 2 1s")
    assert quota("RL.MTAKE t 4 a b a a") == [[1, 2, 1, 0, 500, 0], [1, 2, 1, 0, 500, 0], [1, 2, 0, 0, 1000, 0],
                                             [0, 2, 0, 500, 1000, 0]]
    assert quota("RL.MTAKE t 3 a b c TERSE") == [-500, 1, 1]
    assert quota("RL.MTAKE t 2 c d PEEK COST 2") == [[0, 2, 1, 500, 500, 0], [2, 2, 2, 0, 0, 0]]
    assert quota("RL.MTAKE t 2 c d TERSE COST 3") == [None, None]
    assert quota.map("RL.INFO t")["subjects"] == 3
    assert "512" in str(quota("RL.MTAKE t 2 d", "x" * 513, "TERSE")[1])
    assert quota("RL.TAKE t d PEEK")[2] == 1  # the other one is taken


def test_many_subjects_answer_as_one_by_one(quota, request):
    seed = request.config.getoption("--seed")
    chance = random.Random(seed)
    for rules in RULES:
        quota(f"RL.TABLE m {rules}")
        quota(f"RL.TABLE o {rules}")
        for step in range(60):
            names, cost = [f"s{chance.randrange(30)}" for _ in range(chance.randint(1, 40))], chance.randint(1, 3)
            many = quota(f"RL.MTAKE m {len(names)} {' '.join(names)} COST {cost}")
            assert many == [quota(f"RL.TAKE o {name} COST {cost}") for name in names], f"seed {seed}: {rules}, {step}"
            quota.advance(f"{chance.randint(1, 3000)}ms")
        quota("DEL m o")


def test_many_subjects_are_one_effect_and_one_event(quota, primary, replica):
    quota("RL.TABLE t 2 1h")
    caught_up(primary, replica)
    before = replica.client().info("commandstats").get("cmdstat_RL._DO", {}).get("calls", 0)
    quota(f"RL.MTAKE t 1000 {' '.join(f's{i}' for i in range(1000))}")
    assert_equal_digests(primary, replica)
    assert replica.client().info("commandstats")["cmdstat_RL._DO"]["calls"] == before + 1


def test_info(quota):
    quota("RL.TABLE t 10 1s LOG 6 1h")
    for name in "abc":
        quota("RL.TAKE t", name)
    info = quota.map("RL.INFO t")
    assert [rule["rule"] for rule in info["rules"]] == ["GCRA 10 1s", "LOG 6 1h"]
    assert info["rules"][1] == {"rule": "LOG 6 1h", "algorithm": "LOG", "limit": 6, "period_us": 3600_000_000,
                                "capacity": 6}
    assert info["since"] == NOON_MS and info["subjects"] == 3 and info["segments"] == 1
    assert 300 < info["bytes"] < quota("MEMORY USAGE t") + 1 < 4000


ERRORS = (
    # words                              what the text names
    ("RL.TAKE nothing a", "RL.TABLE"),
    ("RL.TAKE t", "wrong number"),
    ("RL.TAKE t a COST 0", "cost"),
    ("RL.TAKE t a COST x", "cost"),
    ("RL.TAKE t a WAIT 1s", "WAIT"),
    ("RL.TAKE t a UPTO PEEK", "mode"),
    ("RL.MTAKE nothing 1 a", "RL.TABLE"),
    ("RL.MTAKE t 2 a", "numsubjects is greater"),
    ("RL.MTAKE t 0 a", "1 to 1000"),
    ("RL.MTAKE t 1001 a", "1 to 1000"),
    ("RL.MTAKE t 1 a UPTO", "COST, PEEK, TERSE"),
    ("RL.TABLE t", "wrong number"),
    ("RL.TABLE t 10", "wrong number"),
    ("RL.TABLE t 10 0s", "period"),
    ("RL.TABLE t 10 1s COST 2", "COST"),
    ("RL.TABLE t GCRA 10 1s INITIAL 3", "GCRA"),
)


@pytest.mark.parametrize("line, names", ERRORS)
def test_errors_name_what_is_wrong(quota, line, names):
    quota("RL.TABLE t 10 1s")
    assert names in quota.error(line)
    assert "512" in quota.error("RL.TAKE t", "x" * 513)
    assert quota.map("RL.INFO t")["subjects"] == 0


def test_other_types_are_refused(quota):
    quota("SET s 1")
    quota("RL.ALLOW k 10 1s")
    quota("RL.TABLE t 10 1s")
    for line in ("RL.TAKE s a", "RL.TABLE s 1 1s", "RL.TAKE k a", "RL.ALLOW t 10 1s", "RL.REFUND t 1", "RL.INFO s"):
        assert quota.error(line).startswith("WRONGTYPE")


def test_what_changes_nothing_replicates_nothing(quota, primary, replica):
    quota("RL.TABLE t 2 1h")
    quota("RL.TAKE t a COST 2")
    caught_up(primary, replica)
    quota.client.execute_command("WATCH t")
    before = primary.client().info("replication")["master_repl_offset"]
    for line in ("RL.TAKE t a", "RL.TAKE t b PEEK", "RL.TAKE t c COST 3", "RL.TABLE t 2 1h"):
        quota(line)
    assert primary.client().info("replication")["master_repl_offset"] - before < 60  # a PING of the primary at most
    assert quota.map("RL.INFO t")["subjects"] == 1


def test_a_take_is_a_short_effect(quota, primary):
    quota("RL.TABLE t 10 1h")
    before = primary.client().info("replication")["master_repl_offset"]
    for i in range(1000):
        quota(f"RL.TAKE t user:{i:09d}")
    assert primary.client().info("replication")["master_repl_offset"] - before < 1000 * 85


def test_subjects_are_counted_as_keys_are(quota, request):
    seed = request.config.getoption("--seed")
    chance = random.Random(seed)
    for rules in RULES:
        quota("DEL t")
        quota(f"RL.TABLE t {rules}")
        for step in range(250):
            who = chance.randrange(12)
            words = f"COST {chance.randint(1, 4)} {chance.choice(('', '', 'UPTO', 'PEEK', 'FORCE'))}"
            taken, allowed = quota(f"RL.TAKE t s{who} {words}"), quota(f"RL.ALLOW {rules[:2]}{who} {rules} {words}")
            assert taken == allowed, f"seed {seed}: {rules}, step {step}, {words}"
            if chance.random() < 0.3:
                quota.advance(f"{chance.randint(1, 3000)}ms")
        quota("FLUSHALL")


def test_new_rules_hold_at_once_and_keep_what_was_used(quota):
    quota("RL.TABLE t FIXED 10 1h")
    for i in range(600):
        quota(f"RL.TAKE t s{i} COST 4")
    quota.advance("1s")
    quota("RL.TABLE t FIXED 6 1h 3 1s")
    assert quota("RL.TAKE t s7 COST 2")[:3] == [2, 6, 0]  # 4 + 2 of 6; the second rule is new
    assert quota("RL.TAKE t s8 COST 3")[:2] == [0, 6]
    quota("RL.TABLE t 100 1m")  # another algorithm takes the units over
    assert quota("RL.TAKE t s9 COST 96")[:3] == [96, 100, 0]
    assert quota("RL.TAKE t s9")[0] == 0


def test_idle_subjects_are_swept(quota):
    quota("RL.TABLE t 10 1s")
    for i in range(2000):
        quota(f"RL.TAKE t s{i}")
    full = quota.map("RL.INFO t")
    assert full["subjects"] == 2000 and full["bytes"] < 2000 * 40
    for i in range(4000):
        quota.advance("1s")
        quota("RL.TAKE t busy")
    swept = quota.map("RL.INFO t")
    assert swept["subjects"] < 20 and swept["segments"] == 1 and swept["bytes"] < 2000


def test_every_copy_and_file_holds_the_same(quota, primary):
    quota("RL.TABLE t TOKEN 10 1h BURST 20 LOG 50 1d")
    for i in range(700):
        quota(f"RL.TAKE t {'long' * (i % 9)}{i} COST {i % 5 + 1}")
    quota("RL.TABLE t TOKEN 9 1h")
    quota("RL.TAKE t 5")
    primary.client().config_set("aof-use-rdb-preamble", "no")
    digest = primary.digest()
    rewrite_aof(primary)
    quota("DEBUG LOADAOF")
    assert primary.digest() == digest
    primary.client().config_set("aof-use-rdb-preamble", "yes")
    quota.client.restore("restored", 0, quota.client.dump("t"))
    quota("COPY t copy")
    assert len(set(quota("DEBUG DIGEST-VALUE t restored copy"))) == 1
    quota("RENAME copy moved")
    taken = [quota(f"RL.TAKE {key} 123") for key in ("t", "restored", "moved")]
    assert taken[0] == taken[1] == taken[2]
    assert quota("UNLINK t restored") == 2
    assert quota("RL.TAKE moved 123")


def test_in_a_transaction_and_a_script(quota):
    quota("RL.TABLE t 3 1h")
    pipeline = quota.client.pipeline(transaction=True)
    for _ in range(2):
        pipeline.execute_command("RL.TAKE", "t", "a")
    assert [reply[0] for reply in pipeline.execute()] == [1, 1]
    script = "return redis.call('RL.TAKE', KEYS[1], ARGV[1])"
    assert quota.client.eval(script, 1, "t", "a")[:3] == [1, 3, 0]
    assert quota.client.eval(script, 1, "t", "a")[0] == 0


def test_full_memory_refuses_and_keeps_everything(quota, primary):
    quota("RL.TABLE t 3 1h")
    quota("RL.TAKE t a")
    client = primary.client()
    client.config_set("maxmemory", "1", "maxmemory-policy", "noeviction")
    try:
        assert "maxmemory" in quota.error("RL.TAKE t b")
        assert "maxmemory" in quota.error("RL.TABLE u 1 1s")
        assert quota.map("RL.INFO t")["subjects"] == 1
    finally:
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("before, after", [
    ("TOKEN 1000000000 1s", "TOKEN 1 100d"), ("TOKEN 1000000000 1s INTERVAL", "TOKEN 1 100d INTERVAL"),
    ("TOKEN 1000000000 1s", "TOKEN 1 100d INTERVAL"),
    ("LEAKY 1000000000 1s BURST 1000000000000000", "LEAKY 1 100d BURST 1000000000000000")])
def test_a_debt_that_outlasts_time_under_a_slower_rule_is_cut(quota, before, after):
    """No request charges it again, so none would show the overflow; every file is read again by the fixture."""
    quota(f"RL.TABLE t {before}")
    quota("RL.TAKE t debtor COST 1000000000000000 FORCE")
    quota(f"RL.TABLE t {after}")
    assert quota("RL.TAKE t other")[0] == 1  # the segment goes over
