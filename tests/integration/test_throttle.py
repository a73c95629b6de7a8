"""CL.THROTTLE and RL.THROTTLE: redis-cell's five integers, and right where redis-cell is wrong."""

import pytest

# (advance before, words after the key, reply)
CASES = {
    # redis-cell's README example: 15 burst, 30 per 60 s
    "readme": [("0", "15 30 60 1", [0, 16, 15, -1, 2]), ("0", "15 30 60", [0, 16, 14, -1, 4]),
               ("0", "15 30 60 14", [0, 16, 0, -1, 32]), ("0", "15 30 60", [1, 16, 0, 2, 32])],
    "seconds: one more when at least a whole ms is left over": [
        ("0", "0 1 2", [0, 1, 0, -1, 2]), ("999us", "0 1 2", [1, 1, 0, 2, 2]), ("0", "0 1 2", [1, 1, 0, 2, 2]),
        ("1us", "0 1 2", [1, 1, 0, 2, 2]), ("998ms", "0 1 2", [1, 1, 0, 2, 2]), ("1ms", "0 1 2", [1, 1, 0, 1, 1]),
        ("999500us", "0 1 2", [1, 1, 0, 0, 0])],
    "quantity beyond the limit: never, and the truth about the rest": [
        ("0", "4 5 50 6", [1, 5, 5, -1, 0]), ("0", "4 5 50 5", [0, 5, 0, -1, 50]),
        ("0", "4 5 50 6", [1, 5, 0, -1, 50])],
    "quantity 0 looks and writes nothing": [("0", "4 5 50 0", [0, 5, 5, -1, 0])],
    "negative quantity gives back, clamped at full": [
        ("0", "4 5 50 3", [0, 5, 2, -1, 30]), ("0", "4 5 50 -1", [0, 5, 3, -1, 20]),
        ("0", "4 5 50 -9", [0, 5, 5, -1, 0])],
    "parameters of a live key may change: the time debt stays": [
        ("0", "9 1 10 10", [0, 10, 0, -1, 100]), ("0", "9 1 1", [1, 10, 0, 91, 100]),
        ("0", "9 1 100", [0, 10, 8, -1, 200])],
    "no burst at all, and rates that redis-cell answers by denying": [
        ("0", "-1 1 1", [1, 0, 0, -1, 0]), ("0", "5 -1 1", [1, 6, 0, -1, 0]), ("0", "5 1 -1", [1, 6, 0, -1, 0]),
        ("0", "5 -10 -1", [0, 6, 5, -1, 1])],
    "large parameters are exact (redis-cell#50, and its silent wrap)": [
        ("0", "6000 6000 1 6001", [0, 6001, 0, -1, 1]), ("500us", "6000 6000 1 3", [0, 6001, 0, -1, 1])],
    "numbers as Rust reads them": [("0", "+15 030 60 +1", [0, 16, 15, -1, 2])],
}


@pytest.mark.parametrize("name", ["CL.THROTTLE", "RL.THROTTLE"])
@pytest.mark.parametrize("case", CASES, ids=lambda name: name.split(":")[0].replace(" ", "-"))
def test_case(quota, name, case):
    for advance, words, reply in CASES[case]:
        quota.advance(advance)
        answer = quota(f"{name} k {words}")
        assert reply is None or answer == reply, words


def test_quantity_zero_and_a_full_refund_leave_no_key(quota):
    quota("CL.THROTTLE k 4 5 50 0")
    assert quota("EXISTS k") == 0
    quota("CL.THROTTLE k 4 5 50 2")
    quota("CL.THROTTLE k 4 5 50 -2")
    assert quota("EXISTS k") == 0


@pytest.mark.parametrize("words, says", [
    ("15 0 60", "zero rates"), ("15 30 0", "zero rates"), ("x 30 60", "max_burst 'x'"), ("15 1.5 60", "count '1.5'"),
    ("15 30 1e3", "period '1e3'"), ("15 30 60 y", "quantity 'y'"), ("15 30 60 1 1", "not an option"),
    ("9223372036854775807 1 1", "OVERFLOW"), ("9223372036854775806 1 86400 9223372036854775807", "OVERFLOW"),
    ("15 30 288230376152", "period"), ("15 30", "wrong number of arguments"),
])
def test_wrong_words_are_errors_and_write_nothing(quota, words, says):
    assert says in quota.error(f"CL.THROTTLE k {words}")
    assert quota("EXISTS k") == 0


def test_it_is_the_same_limit_as_rl_allow(quota):
    quota("CL.THROTTLE k 9 10 1 4")
    assert quota("RL.ALLOW k 10 1s") == [1, 10, 5, 0, 500, 0]
