"""RL.ALLOW on a real server: the verdict, several rules, every mode, every wrong word."""

import pytest

from conftest import NOON_MS

MAX = 2**63 - 1

# key by key: (advance before, words after the key, verdict)
CASES = {
    "gcra is the default and admission is inclusive": [
        ("0", "10 1s", [1, 10, 9, 0, 100, 0]),
        ("0", "GCRA 10 1s COST 9", [9, 10, 0, 0, 1000, 0]),
        ("0", "10 1s", [0, 10, 0, 100, 1000, 0]),
        ("100ms", "10 1s", [1, 10, 0, 0, 1000, 0]),
        ("0", "10 1s COST 11", [0, 10, 0, -1, 1000, 0]),
    ],
    "burst is another capacity": [
        ("0", "10 1s BURST 20 COST 20", [20, 20, 0, 0, 2000, 0]),
        ("1s", "10 1s BURST 20 COST 11", [0, 20, 10, 100, 1000, 0]),
    ],
    "waits are rounded up to whole milliseconds": [
        ("0", "3 1s BURST 1", [1, 1, 0, 0, 334, 0]),
        ("333ms", "3 1s BURST 1", [0, 1, 0, 1, 1, 0]),
        ("333us", "3 1s BURST 1", [0, 1, 0, 1, 1, 0]),
        ("1us", "3 1s BURST 1", [1, 1, 0, 0, 334, 0]),
    ],
    "rates beyond a million a second": [
        ("0", "5000000 1s BURST 3 COST 3", [3, 3, 0, 0, 1, 0]),
        ("0", "5000000 1s BURST 3", [0, 3, 0, 1, 1, 0]),
        ("1us", "5000000 1s BURST 3 COST 3", [3, 3, 0, 0, 1, 0]),
    ],
    "peek takes nothing": [
        ("0", "10 1s PEEK", [1, 10, 10, 0, 0, 0]),
        ("0", "10 1s COST 4", [4, 10, 6, 0, 400, 0]),
        ("0", "10 1s COST 7 PEEK", [0, 10, 6, 100, 400, 0]),
        ("0", "10 1s COST 6 PEEK", [6, 10, 6, 0, 400, 0]),
    ],
    "upto grants what is left": [
        ("0", "10 1s COST 12 UPTO", [10, 10, 0, 0, 1000, 0]),
        ("0", "10 1s COST 12 UPTO", [0, 10, 0, 100, 1000, 0]),
        ("250ms", "UPTO FAILS", None),
        ("0", "10 1s COST 12 UPTO", [2, 10, 0, 0, 950, 0]),
    ],
    "force goes into debt": [
        ("0", "10 1s COST 25 FORCE", [25, 10, 0, 0, 2500, 0]),
        ("1500ms", "10 1s", [0, 10, 0, 100, 1000, 0]),
        ("100ms", "10 1s", [1, 10, 0, 0, 1000, 0]),
    ],
    "token bucket, interval refill and initial fill": [
        ("0", "TOKEN 10 1s BURST 20 INITIAL 5 INTERVAL COST 5", [5, 20, 0, 0, 2000, 0]),
        ("999ms", "TOKEN 10 1s BURST 20 INITIAL 5 INTERVAL", [0, 20, 0, 1, 1001, 0]),
        ("1ms", "TOKEN 10 1s BURST 20 INITIAL 5 INTERVAL", [1, 20, 9, 0, 2000, 0]),
    ],
    "a bucket that begins empty begins with the first request, also a denied one": [
        ("0", "TOKEN 10 10s INITIAL 0 PEEK", [0, 10, 0, 1000, 10000, 0]),  # a look begins nothing
        ("5s", "TOKEN 10 10s INITIAL 0", [0, 10, 0, 1000, 10000, 0]),
        ("999ms", "TOKEN 10 10s INITIAL 0", [0, 10, 0, 1, 9001, 0]),
        ("1ms", "TOKEN 10 10s INITIAL 0", [1, 10, 0, 0, 10000, 0]),
        ("9s", "TOKEN 10 10s INITIAL 0 COST 9", [9, 10, 0, 0, 10000, 0]),
    ],
    "so does one whose INITIAL is below the cost": [
        ("0", "TOKEN 10 10s INITIAL 3 COST 11", [0, 10, 3, -1, 0, 0]),  # that never fits, and begins nothing
        ("0", "TOKEN 10 10s INITIAL 3 COST 5", [0, 10, 3, 2000, 7000, 0]),
        ("1999ms", "TOKEN 10 10s INITIAL 3 COST 5", [0, 10, 4, 1, 5001, 0]),
        ("1ms", "TOKEN 10 10s INITIAL 3 COST 5", [5, 10, 0, 0, 10000, 0]),
    ],
    "in whole periods, too, and with other rules": [
        ("0", "TOKEN 4 10s BURST 8 INITIAL 1 INTERVAL 5 1m COST 2", [0, 8, 1, 10000, 20000, 0]),
        ("9999ms", "TOKEN 4 10s BURST 8 INITIAL 1 INTERVAL 5 1m COST 2", [0, 8, 1, 1, 10001, 0]),
        ("1ms", "TOKEN 4 10s BURST 8 INITIAL 1 INTERVAL 5 1m COST 2", [2, 8, 3, 0, 20000, 0]),
    ],
    "force and upto begin it": [
        ("0", "TOKEN 10 10s INITIAL 0 COST 2 FORCE", [2, 10, 0, 0, 12000, 0]),
        ("3s", "TOKEN 10 10s INITIAL 0 COST 5 UPTO", [1, 10, 0, 0, 10000, 0]),
    ],
    "leaky bucket as a meter": [
        ("0", "LEAKY 10 1s BURST 5 COST 5", [5, 5, 0, 0, 500, 0]),
        ("50ms", "LEAKY 10 1s BURST 5", [0, 5, 0, 50, 450, 0]),
    ],
    "leaky bucket as a queue: granted, act after wait_ms": [
        ("0", "QUEUE 10 1s BURST 2", [1, 3, 2, 0, 100, 0]),
        ("0", "QUEUE 10 1s BURST 2", [1, 3, 1, 100, 200, 0]),
        ("0", "QUEUE 10 1s BURST 2", [1, 3, 0, 200, 300, 0]),
        ("0", "QUEUE 10 1s BURST 2", [0, 3, 0, 100, 300, 0]),
    ],
    "a queue without a place to wait": [
        ("0", "QUEUE 10 1s BURST 0", [1, 1, 0, 0, 100, 0]),
        ("0", "QUEUE 10 1s BURST 0", [0, 1, 0, 100, 100, 0]),
        ("99ms", "QUEUE 10 1s BURST 0", [0, 1, 0, 1, 1, 0]),
        ("1ms", "QUEUE 10 1s BURST 0", [1, 1, 0, 0, 100, 0]),
    ],
    "fixed window on the epoch": [
        ("0", "FIXED 5 1m COST 5", [5, 5, 0, 0, 60000, 0]),
        ("59999ms", "FIXED 5 1m", [0, 5, 0, 1, 1, 0]),
        ("1ms", "FIXED 5 1m", [1, 5, 4, 0, 60000, 0]),
    ],
    "fixed window from the first unit": [
        ("10s", "FIXED 5 1m FIRST COST 5", [5, 5, 0, 0, 60000, 0]),
        ("59s", "FIXED 5 1m FIRST", [0, 5, 0, 1000, 1000, 0]),
        ("1s", "FIXED 5 1m FIRST", [1, 5, 4, 0, 60000, 0]),
    ],
    "sliding window with exact weights": [
        ("0", "SLIDING 10 10s COST 10", [10, 10, 0, 0, 20000, 0]),
        ("11s", "SLIDING 10 10s", [1, 10, 0, 0, 19000, 0]),
        ("0", "SLIDING 10 10s", [0, 10, 0, 1000, 19000, 0]),
    ],
    "sliding log": [
        ("0", "LOG 3 10s COST 2", [2, 3, 1, 0, 10000, 0]),
        ("4s", "LOG 3 10s COST 2", [0, 3, 1, 6000, 6000, 0]),
        ("6s", "LOG 3 10s COST 2", [2, 3, 1, 0, 10000, 0]),
    ],
    "three limits on one key: all admit or none is charged": [
        ("0", "5 1s SLIDING 1000 1h 8 1d COST 5", [5, 5, 0, 0, 1000, 0]),
        ("1s", "5 1s SLIDING 1000 1h 8 1d COST 5", [0, 8, 3, 21599000, 53999000, 2]),
        ("0", "5 1s SLIDING 1000 1h 8 1d COST 3", [3, 8, 0, 0, 86399000, 2]),
        ("0", "5 1s SLIDING 1000 1h 8 1d COST 9", [0, 5, 2, -1, 600, 0]),
    ],
    "unlimited and none": [
        ("0", f"-1 1s COST {MAX}", [MAX, -1, -1, 0, 0, 0]),
        ("0", "-1 1s 7 1s", [1, 7, 6, 0, 143, 1]),
        ("0", "0 1s", [0, 0, 0, -1, 0, 0]),
        ("0", "7 1s 0 1s UPTO", [0, 0, 0, -1, 0, 1]),
    ],
    "a block after a denial refuses everything for a while": [
        ("0", "2 1s COST 2 BLOCK 1m", [2, 2, 0, 0, 1000, 0]),
        ("0", "2 1s BLOCK 1m", [0, 2, 0, 60000, 1000, 0]),
        ("10s", "2 1s BLOCK 1m", [0, 0, 0, 50000, 50000, -1]),
        ("0", "2 1s FORCE", [0, 0, 0, 50000, 50000, -1]),
        ("50s", "2 1s", [1, 2, 1, 0, 500, 0]),
    ],
    "a changed limit applies at once to what is stored": [
        ("0", "10 10s COST 10", [10, 10, 0, 0, 10000, 0]),
        ("0", "100 10s", [1, 100, 89, 0, 1100, 0]),  # ten units were used, of a hundred now
        ("1s", "100 10s COST 10", [10, 100, 89, 0, 1100, 0]),
        ("0", "5 10s FORCE", [1, 5, 0, 0, 12000, 0]),
    ],
    "an upgrade serves at once": [
        ("0", "TOKEN 10 1d COST 10", [10, 10, 0, 0, 86400000, 0]),
        ("0", "TOKEN 1000 1m", [1, 1000, 989, 0, 660, 0]),
    ],
    "a denial under changed rules keeps its promise": [
        ("0", "TOKEN 5 10s COST 5", [5, 5, 0, 0, 10000, 0]),
        ("0", "TOKEN 100 1h COST 100", [0, 100, 95, 180000, 180000, 0]),
        ("179999ms", "TOKEN 100 1h COST 100", [0, 100, 99, 1, 1, 0]),
        ("1ms", "TOKEN 100 1h COST 100", [100, 100, 0, 0, 3600000, 0]),
    ],
    "compound durations": [
        ("0", "10 1m40s COST 10", [10, 10, 0, 0, 100000, 0]),
        ("1m39s999ms", "10 100 COST 10", [0, 10, 9, 1, 1, 0]),
        ("1ms", "10 1m40s COST 10", [10, 10, 0, 0, 100000, 0]),
    ],
    "a cost for each rule": [
        ("0", "500 1m 30000 1m COST 1 850", [1, 500, 499, 0, 120, 0]),
        ("0", "500 1m 30000 1m COST 1 29200", [0, 30000, 29150, 100, 1700, 1]),
        ("0", "500 1m 30000 1m COST 1 29200 PEEK", [0, 30000, 29150, 100, 1700, 1]),
        ("0", "500 1m 30000 1m COST 1 29100 PEEK", [1, 500, 499, 0, 120, 0]),
        ("0", "500 1m 30000 1m COST 1 30001", [0, 30000, 29150, -1, 1700, 1]),
        ("0", "500 1m 30000 1m COST 1 29150", [29150, 30000, 0, 0, 60000, 1]),
        ("0", "500 1m 30000 1m COST 2 60000 FORCE", [60000, 30000, 0, 0, 180000, 1]),
    ],
    "a cost of 0 leaves its rule alone": [
        ("0", "3 1m 100 1m COST 0 40", [40, 100, 60, 0, 24000, 1]),
        ("0", "3 1m 100 1m COST 3 0", [3, 3, 0, 0, 60000, 0]),
        ("0", "3 1m 100 1m COST 0 60", [60, 100, 0, 0, 60000, 1]),  # the first has nothing left and is not checked
        ("0", "3 1m 100 1m COST 0 1", [0, 100, 0, 600, 60000, 1]),
        ("0", "3 1m 100 1m COST 1 0", [0, 3, 0, 20000, 60000, 0]),
        ("0", "0 1m 100 1m COST 0 1 PEEK", [0, 100, 0, 600, 60000, 1]),
    ],
    "one cost is for all rules": [
        ("0", "10 1m 20 1m COST 4", [4, 10, 6, 0, 24000, 0]),
        ("0", "10 1m 20 1m COST 4 4", [4, 10, 2, 0, 48000, 0]),
    ],
    "words in any case, options in any order": [
        ("0", "cost 2 upto", None),
        ("0", "gcra 10 1s burst 12 upto cost 2", [2, 12, 10, 0, 200, 0]),
    ],
}


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_case(quota, case):
    for advance, words, verdict in CASES[case]:
        quota.advance(advance)
        if verdict is None:
            assert quota.error(f"RL.ALLOW k {words}").startswith(("syntax error", "either rules or POLICY"))
        else:
            assert quota(f"RL.ALLOW k {words}") == verdict, words


@pytest.mark.parametrize("words, says", [
    # syntax
    ("10 1s FOO", "'FOO'"), ("10 1s COST", "cost is missing"), ("10 1s COST 1 COST 2", "given already"),
    ("10 1s UPTO PEEK", "given already"), ("10 1s PEEK FORCE", "given already"), ("TOKEN 10", "period is missing"),
    ("GCRA TOKEN", "limit 'TOKEN'"), ("10 1s 20", "period is missing"),
    # numbers and durations
    ("x 1s", "limit 'x' is not an integer"), ("10 1x", "period '1x' is not a duration"), ("1.5 1s", "limit '1.5'"),
    ("10 0", "period '0' is out of range"), ("-2 1s", "limit '-2' is out of range"), ("10 -1s", "period '-1s'"),
    ("10 1s COST 0", "cost '0' is out of range"), ("10 1s COST -1", "cost '-1'"), ("9223372036854775808 1s", "limit"),
    ("10 9223372036854775807w", "period"), ("10 1M", "month"), ("10 1S", "lower case"), ("10 30m1h", "period '30m1h'"),
    # several costs
    ("10 1s COST 1 2", "2 costs for 1 rules"), ("10 1s 5 1s COST 1 2 3", "3 costs for 2 rules"),
    ("10 1s 5 1s COST 0 0", "cost '0' is out of range"), ("10 1s 5 1s COST 1 -1", "'-1' is not an option"),
    ("10 1s 5 1s COST 1 2 UPTO", "UPTO goes with one cost"), ("10 1s 5 1s COST 1 x", "'x' is not an option"),
    ("10 1s COST" + 33 * " 1", "at most 32 rules"), ("10 1s BLOCK 0", "block '0'"),
    ("10 1s BURST 0", "BURST"), ("10 1s BURST -1", "capacity '-1'"),
    # rules that make no sense
    ("FIXED 10 1s BURST 5", "BURST"), ("10 1s INITIAL 5", "INITIAL"), ("TOKEN 10 1s INITIAL 11", "INITIAL"),
    ("SLIDING 10 1s FIRST", "FIRST"), ("LEAKY 10 1s INTERVAL", "INTERVAL"), ("0 1s BURST 3", "BURST"),
])
def test_wrong_words_are_named_and_change_nothing(quota, words, says):
    error = quota.error(f"RL.ALLOW k {words}")
    assert error.startswith("ERR") or "wrong number" in error or says in error
    assert says in error
    assert quota("EXISTS k") == 0


def test_line_breaks_in_an_argument_cannot_break_the_protocol(quota):
    assert "?" in quota.error("RL.ALLOW k", "1\r\n+OK\r\n", "1s")
    assert quota("PING") in (b"PONG", True)


def test_rules_are_bounded(quota):
    assert quota("RL.ALLOW k " + "10 1s " * 32)[0] == 1
    assert quota.error("RL.ALLOW k " + "10 1s " * 33).startswith("LIMITED")


@pytest.mark.parametrize("key", [b"", b"\x00", b"\xff\xfe", b"a b", b"k\r\n", b"x" * 100000])
def test_any_bytes_are_a_key(quota, key):
    assert quota("RL.ALLOW", key, "10", "1s") == [1, 10, 9, 0, 100, 0]
    assert quota("RL.ALLOW", key, "10", "1s") == [1, 10, 8, 0, 200, 0]


@pytest.mark.parametrize("make", ["SET k 1", "LPUSH k 1", "SADD k 1", "HSET k f 1", "ZADD k 1 m", "XADD k * f v"])
@pytest.mark.parametrize("call", ["RL.ALLOW k 10 1s", "RL.ALLOW k 10 1s PEEK", "RL.REFUND k 1", "RL.BLOCK k 1s",
                                  "RL.INFO k", "CL.THROTTLE k 1 1 1", "RL.THROTTLE k 1 1 1"])
def test_foreign_types_answer_wrongtype(quota, make, call):
    quota(make)
    assert quota.error(call).startswith("WRONGTYPE") or "WRONGTYPE" in quota.error(call)


@pytest.mark.parametrize("word", ["GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG"])
@pytest.mark.parametrize("limit", ["1", str(MAX - 1)])
@pytest.mark.parametrize("period", ["1us", "288230376151711744us"])
@pytest.mark.parametrize("cost", ["1", str(MAX)])
@pytest.mark.parametrize("mode", ["", "UPTO", "FORCE", "PEEK"])
def test_extremes_are_answered_right_or_refused(quota, word, limit, period, cost, mode):
    try:
        verdict = quota(f"RL.ALLOW k {word} {limit} {period} COST {cost} {mode}")
    except Exception as error:  # noqa: BLE001 the only error there may be
        assert str(error).startswith("OVERFLOW") or "OVERFLOW" in str(error)
        assert quota("EXISTS k") == 0
        return
    granted, capacity, remaining, wait_ms, reset_ms, rule = verdict
    assert 0 <= granted <= int(cost) and remaining >= 0 and wait_ms >= -1 and reset_ms >= 0 and rule == 0
    if mode in ("", "PEEK") and word != "QUEUE":
        assert (granted > 0) == (int(cost) <= int(limit))


def test_multi_and_scripts_decide_at_one_instant(quota):
    with quota.client.pipeline(transaction=True) as multi:
        for _ in range(3):
            multi.execute_command("RL.ALLOW", "k", "2", "1s")
        assert [verdict[0] for verdict in multi.execute()] == [1, 1, 0]
    script = "return redis.call('RL.ALLOW', KEYS[1], '2', '1s', 'PEEK')"
    assert quota.client.eval(script, 1, "k") == [0, 2, 0, 500, 1000, 0]
    with quota.client.pipeline(transaction=False) as pipeline:
        for _ in range(3):
            pipeline.execute_command("RL.ALLOW", "other", "2", "1s")
        assert [verdict[0] for verdict in pipeline.execute()] == [1, 1, 0]


def test_a_clock_stepping_back_mints_nothing(quota):
    for word in ("GCRA", "TOKEN", "LEAKY", "FIXED", "SLIDING", "LOG"):
        quota("QUOTA.CLOCK FREEZE", str(NOON_MS + 60_000))
        assert quota(f"RL.ALLOW {word} {word} 5 10s COST 5")[0] == 5
        for step in ("-1ms", "-5s", "-20s"):
            quota.advance(step)
            assert quota(f"RL.ALLOW {word} {word} 5 10s")[0] == 0, (word, step)
