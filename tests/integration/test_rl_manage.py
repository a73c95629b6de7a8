"""RL.REFUND, RL.BLOCK, RL.INFO."""

import pytest

from conftest import NOON_MS


@pytest.mark.parametrize("rule", ["10 10s", "TOKEN 10 10s", "LEAKY 10 10s", "QUEUE 10 10s", "FIXED 10 10s",
                                  "SLIDING 10 10s", "LOG 10 10s", "TOKEN 10 10s INTERVAL", "FIXED 10 10s FIRST"])
def test_refund_gives_back_and_clamps_at_full(quota, rule):
    assert quota("RL.REFUND k 3") == 0  # nothing is stored
    before = quota(f"RL.ALLOW k {rule} PEEK")
    assert quota(f"RL.ALLOW k {rule} COST 5")[0] == 5
    assert quota("RL.REFUND k 2") == 2
    assert quota(f"RL.ALLOW k {rule} PEEK")[2] == before[2] - 3
    assert quota("RL.REFUND k 9223372036854775807") == 3
    assert quota("EXISTS k") == 0  # full again: nothing left to remember
    assert quota(f"RL.ALLOW k {rule} PEEK") == before


@pytest.mark.parametrize("rule", ["TOKEN 20 20s INITIAL 3", "TOKEN 20 20s INITIAL 3 INTERVAL"])
def test_refund_gives_back_what_was_taken_and_not_what_never_was_there(quota, rule):
    assert quota(f"RL.ALLOW k {rule}") == [1, 20, 2, 0, 18000 if "INT" not in rule else 20000, 0]
    assert quota("RL.REFUND k 20") == 1
    assert quota(f"RL.ALLOW k {rule} PEEK")[2] == 3
    assert quota("RL.REFUND k 20") == 0
    assert quota(f"RL.ALLOW k {rule} COST 3")[0] == 3
    quota.advance("10s")
    come = 0 if "INTERVAL" in rule else 10
    assert quota("RL.REFUND k 20") == 3  # what came meanwhile was due to the bucket anyway
    assert quota(f"RL.ALLOW k {rule} PEEK")[2] == 3 + come
    quota.advance("10s")  # it is full, and from now on a bucket like any other
    assert quota(f"RL.ALLOW k {rule} COST 15")[2] == 5
    assert quota("RL.REFUND k 99") == 15
    assert quota(f"RL.ALLOW k {rule} PEEK")[2] == 20


def test_refund_of_a_first_fill_that_has_ended_meanwhile(quota):
    quota("RL.ALLOW k TOKEN 20 20s INITIAL 3 COST 3 FORCE")
    quota("RL.ALLOW k TOKEN 20 20s INITIAL 3 COST 5 FORCE")  # 8 taken of 3
    quota.advance("18s")  # 17 s fill what was lacking, the last one pays back a unit
    assert quota("RL.ALLOW k TOKEN 20 20s INITIAL 3 PEEK")[2] == 13
    assert quota("RL.REFUND k 99") == 7


@pytest.mark.parametrize("rule, back, left", [
    ("FIXED 5 10s", 0, 1), ("LOG 5 10s", 0, 1), ("SLIDING 5 10s", 0, 1), ("5 10s", 0, 1), ("TOKEN 5 10s", 0, 1),
    ("LEAKY 5 10s", 0, 1), ("FIXED 9 1h", 5, 5), ("LOG 9 1h", 5, 5), ("SLIDING 9 1h", 5, 5), ("9 1h", 5, 5)])
def test_refund_knows_how_old_its_units_are(quota, rule, back, left):
    assert quota(f"RL.ALLOW k {rule} COST 5")[0] == 5
    quota.advance("20s")
    assert quota(f"RL.ALLOW k {rule} COST 4")[0] == 4
    assert quota("RL.REFUND k 5 AGE 20s") == back
    assert quota(f"RL.ALLOW k {rule} PEEK")[2] == left
    assert "age" in quota.error("RL.REFUND k 5 AGE -1s")


@pytest.mark.parametrize("age, back, left", [
    ("3990ms", 4, 5), ("4s", 4, 5), ("2600ms", 4, 5),  # the older entry is the nearest
    ("900ms", 5, 6), ("2400ms", 5, 6), ("0", 5, 6),    # the newer one
    ("11s", 0, 1)])                                    # what was taken then has left the window
def test_a_log_gives_back_the_entry_nearest_to_the_age(quota, age, back, left):
    quota("RL.ALLOW k LOG 10 10s COST 4")
    quota.advance("3s")
    quota("RL.ALLOW k LOG 10 10s COST 5")
    quota.advance("1s")
    assert quota(f"RL.REFUND k 9 AGE {age}") == back
    assert quota("RL.ALLOW k LOG 10 10s PEEK")[2] == left


def test_refund_to_one_rule(quota):
    quota("RL.ALLOW k FIXED 10 1s FIXED 10 1h COST 5")
    assert quota("RL.REFUND k 2 RULE 1") == 2
    assert quota("RL.REFUND k 1 1") == 1  # the word RULE may be left out
    assert [rule["remaining"] for rule in quota.map("RL.INFO k")["rules"]] == [5, 8]
    assert quota("RL.REFUND k 4 RULE 0") == 4
    assert "no rule" in quota.error("RL.REFUND k 1 RULE 2")
    assert "out of range" in quota.error("RL.REFUND k 1 RULE -1")
    assert "out of range" in quota.error("RL.REFUND k 0")


def test_block_and_lift(quota):
    assert quota("RL.BLOCK k 1m") in (b"OK", True)
    assert quota("RL.ALLOW k 10 1s") == [0, 0, 0, 60000, 60000, -1]
    assert quota("RL.ALLOW k 10 1s PEEK") == [0, 0, 0, 60000, 60000, -1]
    assert quota.map("RL.INFO k") == {"rules": [], "blocked_ms": 60000, "taken_ms": 0, "waiting": 0,
                                     "deadline": NOON_MS + 60000}
    quota.advance("20s")
    quota("RL.BLOCK k 10s")  # a new block replaces the old one
    assert quota("RL.ALLOW k 10 1s")[3] == 10000
    quota("RL.BLOCK k 0")
    assert quota("EXISTS k") == 0
    assert quota("RL.ALLOW k 10 1s")[0] == 1
    quota("RL.BLOCK k 10s")
    quota.advance("10s")
    assert quota("RL.ALLOW k 10 1s")[0] == 1  # the last instant of a block lies outside it
    assert quota("RL.BLOCK missing 0") in (b"OK", True)
    assert quota("EXISTS missing") == 0
    assert "out of range" in quota.error("RL.BLOCK k -1s")


def test_info_shows_every_rule(quota):
    assert quota("RL.INFO k") is None
    quota("RL.ALLOW k 3 1s TOKEN 10 1m BURST 20 INITIAL 15 LOG 5 1h COST 2")
    info = quota.map("RL.INFO k")
    assert [rule.pop("state") for rule in info["rules"]] == [
        {"when_us": NOON_MS * 1000 + 666666, "amount": 2, "rest": 0, "entries": 0},
        {"when_us": NOON_MS * 1000, "amount": 2, "rest": 6000000, "entries": 0},
        {"when_us": NOON_MS * 1000, "amount": 2, "rest": (NOON_MS - 3600_000) * 1000, "entries": 1},
    ]
    assert info == {
        "rules": [
            {"rule": "GCRA 3 1s", "algorithm": "GCRA", "limit": 3, "period_us": 1000000, "capacity": 3,
             "remaining": 1, "wait_ms": 0, "reset_ms": 667},
            {"rule": "TOKEN 10 1m BURST 20 INITIAL 15", "algorithm": "TOKEN", "limit": 10, "period_us": 60000000,
             "capacity": 20, "remaining": 13, "wait_ms": 0, "reset_ms": 42000},
            {"rule": "LOG 5 1h", "algorithm": "LOG", "limit": 5, "period_us": 3600000000, "capacity": 5,
             "remaining": 3, "wait_ms": 0, "reset_ms": 3600000},
        ],
        "blocked_ms": 0,
        "taken_ms": 0,
        "waiting": 0,
        "deadline": NOON_MS + 3600_000 + 120_000,  # a bucket with an INITIAL is kept for one more fill time
    }


def test_what_info_calls_a_rule_can_be_given_again(quota):
    for rule in ("GCRA 3 1s BURST 9", "TOKEN 10 90s BURST 20 INITIAL 15 INTERVAL", "QUEUE 2 250ms BURST 5",
                 "FIXED 5 1w FIRST", "SLIDING 7 1500us", "LOG 5 36h", "LEAKY 2 1d"):
        quota(f"RL.ALLOW k {rule}")
        shown = quota.map("RL.INFO k")["rules"][0]["rule"]
        assert shown == rule
        quota("DEL k")


def test_info_and_peek_on_a_replica_read_the_same(quota, pair):
    quota("RL.ALLOW k 3 1h")
    primary, replica = pair
    from conftest import Quota
    from servers import caught_up
    caught_up(primary, replica)
    reader = Quota(replica.client())
    reader("QUOTA.CLOCK FREEZE", str(NOON_MS))
    assert reader.map("RL.INFO k") == quota.map("RL.INFO k")
    assert "READONLY" in reader.error("RL.ALLOW k 3 1h") or "read only" in reader.error("RL.ALLOW k 3 1h")
    reader("QUOTA.CLOCK RESUME")
