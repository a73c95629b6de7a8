"""QUOTA.CLOCK: held, moved both ways, released; refused without the module option."""

import time

from conftest import NOON_MS, Quota
from servers import Server


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
    assert "range" in quota.error("QUOTA.CLOCK FREEZE 0")
    assert "range" in quota.error("QUOTA.CLOCK ADVANCE -9000w")
    assert "range" in quota.error("QUOTA.CLOCK FREEZE -1")
    assert "not an instant" in quota.error("QUOTA.CLOCK FREEZE soon")
    assert "not an instant" in quota.error("QUOTA.CLOCK FREEZE 4611686018427387905us")
    assert "not an option" in quota.error("QUOTA.CLOCK STOP")
    assert "at a time" in quota.error("QUOTA.CLOCK FREEZE 1 RESUME")
    assert quota("QUOTA.CLOCK") == NOON_MS


def test_a_frozen_clock_means_no_server_side_ttl(quota):
    quota("RL.ALLOW k 10 1s")
    assert quota("PTTL k") == -1
    assert quota.map("RL.INFO k")["deadline"] == NOON_MS + 100
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ALLOW k 10 1h")
    assert 350_000 < quota("PTTL k") <= 360_001 + 900_000  # its debt, and up to a quarter of the period
    quota("DEL k")


def test_without_the_option_the_clock_only_shows_the_time():
    server = Server(module_options=()).start()
    quota = Quota(server.client())
    assert abs(quota("QUOTA.CLOCK") - time.time() * 1000) < 60_000
    for words in ("FREEZE 1", "ADVANCE 1s", "RESUME"):
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
