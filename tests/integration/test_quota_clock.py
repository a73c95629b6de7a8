"""QUOTA.CLOCK: held, moved both ways, released; refused without the module option."""

import time

import pytest

from conftest import NOON_MS, Quota
from servers import VERSION, Server


def test_it_is_held_moved_and_released(quota):
    assert quota("QUOTA.CLOCK") == NOON_MS
    assert quota("QUOTA.CLOCK ADVANCE 1500us") == NOON_MS + 1
    assert quota("QUOTA.CLOCK ADVANCE -1h") == NOON_MS + 1 - 3600_000
    assert quota("QUOTA.CLOCK FREEZE 1us") == 0
    assert quota("QUOTA.CLOCK FREEZE 2025-01-31T16:00:00+01:00") == NOON_MS
    assert abs(quota("QUOTA.CLOCK RESUME") - time.time() * 1000) < 60_000
    before = quota("QUOTA.CLOCK ADVANCE 1h")  # a running clock is frozen first
    assert quota("QUOTA.CLOCK") == before
    quota("QUOTA.CLOCK FREEZE", str(NOON_MS))


def test_it_stays_in_range(quota):
    assert "range" in quota.error("QUOTA.CLOCK FREEZE 0us")
    assert "range" in quota.error("QUOTA.CLOCK ADVANCE -9000w")
    assert "range" in quota.error("QUOTA.CLOCK FREEZE -1s")
    assert "not an instant" in quota.error("QUOTA.CLOCK FREEZE soon")
    assert "not an instant" in quota.error("QUOTA.CLOCK FREEZE 4611686018427387905us")
    assert "not an option" in quota.error("QUOTA.CLOCK STOP")
    assert "at a time" in quota.error("QUOTA.CLOCK FREEZE 1s RESUME")
    assert quota("QUOTA.CLOCK") == NOON_MS


def test_a_frozen_clock_means_no_server_side_ttl(quota):
    quota("RL.ALLOW k 10 1s")
    assert quota("PTTL k") == -1
    assert quota.map("RL.INFO k")["deadline"] == NOON_MS + 100
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ALLOW k 10 1h")
    assert 350_000 < quota("PTTL k") <= 360_001 + 900_000  # its debt, and up to a quarter of the period
    quota("DEL k")


BUSY = "local n = 0 for i = 1, 3000000 do n = n + i % 3 end "  # some ten milliseconds
SCRIPT = f"""
local before = redis.call('QUOTA.CLOCK')
local first = redis.call('RL.ALLOW', KEYS[1], 1, '1ms')[1]
{BUSY}
local second = redis.call('RL.ALLOW', KEYS[1], 1, '1ms')[1]
return {{redis.call('QUOTA.CLOCK') - before, first, second}}
"""


@pytest.mark.parametrize("kind", ["script", "transaction"])
def test_time_stands_still_in_a_script_and_a_transaction_where_the_server_says_what_time_it_is(quota, kind):
    """Work between two requests for the only place of a millisecond. From Redis 7.2 on they come at one instant, the
    command's; 7.0 gives modules no such time: there the second comes later, and is granted."""
    quota("QUOTA.CLOCK RESUME")
    if kind == "script":
        passed_ms, first, second = quota.client.eval(SCRIPT, 1, "k")
    else:
        with quota.client.pipeline(transaction=True) as multi:
            for line in ("QUOTA.CLOCK", "RL.ALLOW k 1 1ms"):
                multi.execute_command(*line.split())
            multi.eval(BUSY, 0)
            for line in ("RL.ALLOW k 1 1ms", "QUOTA.CLOCK"):
                multi.execute_command(*line.split())
            before, (first, *_), _, (second, *_), after = multi.execute()
        passed_ms = after - before
    stands = VERSION >= (7, 2)
    assert (passed_ms == 0) == stands and (first, second) == (1, 0 if stands else 1)
    quota("DEL k")


def test_without_the_option_the_clock_only_shows_the_time():
    server = Server(module_options=()).start()
    quota = Quota(server.client())
    assert abs(quota("QUOTA.CLOCK") - time.time() * 1000) < 60_000
    for words in ("FREEZE 1s", "ADVANCE 1s", "RESUME"):
        assert "test-clock" in quota.error(f"QUOTA.CLOCK {words}")
    server.close()


def test_unknown_module_options_stop_the_load():
    for options in (("test-clock",), ("test-clock", "maybe"), ("speed", "11")):
        server = Server(module_options=options)
        try:
            server.start()
            raise AssertionError("it started")
        except RuntimeError as error:
            assert "test-clock yes|no" in str(error)
