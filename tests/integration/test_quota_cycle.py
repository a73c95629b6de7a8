"""QUOTA.CYCLE: the calendar of quotas, by hand-made vectors; tests/zones compares every zone with Python's."""

import datetime as dt

import os

import pytest

from conftest import NOON_MS

HOUR = 3600_000
DAY = 24 * HOUR


def ms(text):
    """2025-01-31 or 2025-01-31T15:00, in UTC."""
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc)
    return int(moment.timestamp()) * 1000


def z(text):
    return (text if "T" in text else text + "T00:00") + ":00Z"


CYCLES = [  # period, anchor, zone, at ──▶ start, end, index
    # months are clamped to the last day and counted from the anchor: no drift
    ("month", "2025-01-31T15:00", "UTC", "2025-02-28T14:59", "2025-01-31T15:00", "2025-02-28T15:00", 0),
    ("month", "2025-01-31T15:00", "UTC", "2025-02-28T15:00", "2025-02-28T15:00", "2025-03-31T15:00", 1),
    ("month", "2025-01-31T15:00", "UTC", "2025-04-30T15:00", "2025-04-30T15:00", "2025-05-31T15:00", 3),
    ("month", "2024-01-31", "UTC", "2024-02-29", "2024-02-29", "2024-03-31", 1),
    ("year", "2024-02-29", "UTC", "2025-02-28", "2025-02-28", "2026-02-28", 1),
    ("year", "2024-02-29", "UTC", "2028-03-01", "2028-02-29", "2029-02-28", 4),
    ("quarter", "2024-11-30", "UTC", "2025-03-01", "2025-02-28", "2025-05-30", 1),
    ("half-year", "2024-08-31", "UTC", "2025-03-01", "2025-02-28", "2025-08-31", 1),
    ("3month", "2024-11-30", "UTC", "2025-03-01", "2025-02-28", "2025-05-30", 1),
    # the last day, always
    ("month EOM", "2025-02-28", "UTC", "2025-03-30", "2025-02-28", "2025-03-31", 0),
    ("month EOM", "2025-02-28", "UTC", "2025-03-31", "2025-03-31", "2025-04-30", 1),
    ("year EOM", "2023-02-28", "UTC", "2024-02-29", "2024-02-29", "2025-02-28", 1),
    ("month EOM", "2025-01-15", "UTC", "2025-01-20", "2024-12-31", "2025-01-31", 0),
    # days and weeks follow the wall clock: 02:30 does not exist on March 30 in Berlin, and comes twice on October 26
    ("day", "2025-03-29T01:30", "Europe/Berlin", "2025-03-30T12:00", "2025-03-30T01:30", "2025-03-31T00:30", 1),
    ("month", "2025-01-30T01:30", "Europe/Berlin", "2025-03-30T01:29", "2025-02-28T01:30", "2025-03-30T01:30", 1),
    ("month", "2025-01-30T01:30", "Europe/Berlin", "2025-03-30T01:30", "2025-03-30T01:30", "2025-04-30T00:30", 2),
    ("month", "2025-09-26T00:30", "Europe/Berlin", "2025-10-26T00:30", "2025-10-26T00:30", "2025-11-26T01:30", 1),
    ("week", "2025-10-19T00:30", "Europe/Berlin", "2025-10-26T01:00", "2025-10-26T00:30", "2025-11-02T01:30", 1),
    ("day", "2025-10-26T01:30", "Europe/Berlin", "2025-10-26T01:00", "2025-10-25T00:30", "2025-10-26T01:30", -1),
    ("2day", "2025-10-25", "America/New_York", "2025-11-02T12:00", "2025-11-02", "2025-11-04T01:00", 4),
    # December 30, 2011, never was in Apia
    ("day CALENDAR", "2011-12-29T12:00", "Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00", 0),
    ("day CALENDAR", "2011-12-29T12:00", "Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00", 2),
    ("day", "2011-12-28T12:00", "Pacific/Apia", "2011-12-30T12:00", "2011-12-30T12:00", "2011-12-31T12:00", 3),
    # calendars know no anchor: it only says which cycle is number 0
    ("month CALENDAR", "2025-01-31", "UTC", "2025-02-01", "2025-02-01", "2025-03-01", 1),
    ("month CALENDAR", "2025-01-31", "Europe/Berlin", "2025-03-31T22:00", "2025-03-31T22:00", "2025-04-30T22:00", 3),
    ("month CALENDAR FROM 15", "2025-01-31", "UTC", "2025-02-14", "2025-01-15", "2025-02-15", 0),
    ("month CALENDAR FROM 31", "2025-01-31", "UTC", "2025-02-28", "2025-02-28", "2025-03-31", 1),
    ("quarter CALENDAR", "2025-01-31", "UTC", "2025-05-17", "2025-04-01", "2025-07-01", 1),
    ("quarter CALENDAR FROM 02-01", "2025-01-31", "UTC", "2025-05-17", "2025-05-01", "2025-08-01", 2),
    ("year CALENDAR FROM 04-06", "2025-01-31", "Europe/London", "2025-04-05T22:59", "2024-04-05T23:00",
     "2025-04-05T23:00", 0),
    ("year CALENDAR FROM 04-06", "2025-01-31", "UTC", "2025-04-06", "2025-04-06", "2026-04-06", 1),
    ("half-year CALENDAR FROM 04-06", "2025-01-31", "UTC", "2025-04-05", "2024-10-06", "2025-04-06", 0),
    ("week CALENDAR", "2025-01-31", "UTC", "2025-02-02", "2025-01-27", "2025-02-03", 0),
    ("week CALENDAR FROM sun", "2025-01-31", "UTC", "2025-02-02", "2025-02-02", "2025-02-09", 1),
    ("week CALENDAR FROM Sunday", "2025-01-31", "UTC", "2025-02-01", "2025-01-26", "2025-02-02", 0),
    ("day CALENDAR", "2025-01-31", "America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", "2018-11-05T02:00",
     -2279),
    # hours and shorter, and every duration, are fixed spans
    ("90m", "2025-03-30", "Europe/Berlin", "2025-03-30T03:00", "2025-03-30T03:00", "2025-03-30T04:30", 2),
    ("90m", "2025-03-30", "Europe/Berlin", "2025-03-29T23:59", "2025-03-29T22:30", "2025-03-30", -1),
    ("1d", "2025-03-29T12:00", "Europe/Berlin", "2025-03-30T12:00", "2025-03-30T12:00", "2025-03-31T12:00", 1),
    ("hour CALENDAR", "2025-01-31T15:20", "Asia/Kolkata", "2025-01-31T15:45", "2025-01-31T15:30",
     "2025-01-31T16:30", 1),
    # before the anchor, and far away
    ("month", "2025-03-31", "UTC", "2025-02-28", "2025-02-28", "2025-03-31", -1),
    ("month", "2025-03-31", "UTC", "1969-12-31", "1969-12-31", "1970-01-31", -663),
    ("year", "2025-01-31T15:00", "Europe/Berlin", "9999-06-01", "9999-01-31T15:00", None, 7974),
    ("year", "2025-01-31T15:00", "Europe/Berlin", "0001-06-01", "0001-01-31T15:07", None, -2024),
    ("day", "2025-07-31T15:00", "Europe/Berlin", "2500-12-01T12:00", "2500-11-30T16:00", "2500-12-01T16:00", 173612),
]


@pytest.mark.parametrize("period, anchor, zone, at, start, end, index", CYCLES)
def test_cycles(quota, period, anchor, zone, at, start, end, index):
    reply = quota(f"QUOTA.CYCLE {period} ANCHOR {z(anchor)} ZONE {zone} AT {z(at)}")
    if end is None:  # not to the second: local mean time
        assert reply[0] // 60_000 == ms(start) // 60_000 - (1 if start < "1900" else 0) and reply[2] == index
        assert 364 * DAY < reply[1] - reply[0] < 367 * DAY
    else:
        assert reply == [ms(start), ms(end), index]
    assert quota(f"quota.cycle {period.lower()} at {(reply[1] - 1) * 1000}us zone {zone} anchor {z(anchor)}") == reply
    assert quota(f"QUOTA.CYCLE {period} AT {reply[1] * 1000}us ANCHOR {z(anchor)} ZONE {zone}")[0] == reply[1]


def test_what_is_not_given(quota):
    """The instant is now, the zone UTC; a calendar needs no anchor."""
    assert quota("QUOTA.CYCLE month ANCHOR 2025-01-31T15:00:00Z") == [NOON_MS, NOON_MS + 28 * DAY, 0]
    quota.advance("28d")
    assert quota("QUOTA.CYCLE month ANCHOR 2025-01-31T15:00:00Z") == [NOON_MS + 28 * DAY, NOON_MS + 59 * DAY, 1]
    assert quota("QUOTA.CYCLE month CALENDAR") == [ms("2025-02-01"), ms("2025-03-01"), 12 * 55 + 1]
    assert quota("QUOTA.CYCLE day CALENDAR AT 86400s") == [DAY, 2 * DAY, 1]
    assert quota("QUOTA.CYCLE month EOM FROM 31 CALENDAR AT 2025-03-01T00:00:00Z")[:2] == [ms("2025-02-28"),
                                                                                          ms("2025-03-31")]


def test_instants_are_written_in_three_units(quota):
    """A bare number is ms from 10^11 on; seconds and microseconds have their suffix."""
    cycle = quota("QUOTA.CYCLE day ANCHOR 2025-01-31T15:00:00Z")
    for anchor in ("1738335600000", "1738335600s", "1738335600000000us", "2025-01-31T16:00:00+01:00"):
        assert quota(f"QUOTA.CYCLE day ANCHOR {anchor}") == cycle
    assert quota("QUOTA.CYCLE day ANCHOR 100000000000 AT 100000000s") == [100000000000, 100000000000 + DAY, 0]


def test_forever_has_no_end(quota):
    assert quota("QUOTA.CYCLE forever ANCHOR 1738335600000 AT 0us") == [NOON_MS, -1, 0]
    assert quota("QUOTA.CYCLE forever ANCHOR 1738335600000 AT 9999-01-01T00:00:00Z") == [NOON_MS, -1, 0]


def test_milliseconds_are_rounded_down(quota):
    assert quota("QUOTA.CYCLE 1500us ANCHOR 0us AT 0us") == [0, 1, 0]
    assert quota("QUOTA.CYCLE 1500us ANCHOR 0us AT -1000us") == [-2, 0, -1]
    assert quota("QUOTA.CYCLE day ANCHOR -1us AT 0us") == [-1, DAY - 1, 0]


def test_the_ends_of_time(quota):
    last = 2**62
    for period in ("1us", "day", "10000week", "10000month", "year CALENDAR"):
        for zone in ("UTC", "Europe/Berlin"):
            for at in (-last, last):
                start, end, _ = quota(f"QUOTA.CYCLE {period} ANCHOR {-at}us ZONE {zone} AT {at}us")
                assert start <= at // 1000 <= end


def test_it_is_taken_everywhere(quota):
    """No key, no trace: readable in transactions and scripts."""
    question = "QUOTA.CYCLE month ANCHOR 2025-01-31T15:00:00Z"
    answer = quota(question)
    assert quota("EVAL", "return redis.call(unpack(ARGV))", "0", *question.split()) == answer
    pipe = quota.client.pipeline(transaction=True)
    pipe.execute_command(*question.split())
    assert pipe.execute() == [answer]
    assert quota("DBSIZE") == 0


ERRORS = [  # words, what the error has to name
    ("", "wrong number of arguments"),
    ("fortnight ANCHOR 0us", "period 'fortnight' is not minute, hour, day"),
    ("30 ANCHOR 0us", "period '30'"),
    ("0day ANCHOR 0us", "period '0day'"),
    ("0s ANCHOR 0us", "period '0s'"),
    ("-5s ANCHOR 0us", "period '-5s'"),
    ("10001month ANCHOR 0us", "period '10001month'"),
    ("99999999999999999999month ANCHOR 0us", "period '99999999999999999999month'"),
    ("2forever ANCHOR 0us", "period '2forever'"),
    ("month", "anchor is missing"),
    ("forever", "anchor is missing"),
    ("month EOM ZONE UTC", "anchor is missing"),
    ("month ANCHOR", "anchor is missing"),
    ("month ANCHOR soon", "anchor 'soon' is not an instant"),
    ("month ANCHOR 4611686018427387905us", "anchor '4611686018427387905us' is not an instant"),
    ("month ANCHOR 0us AT 2025-02-30T00:00:00Z", "at '2025-02-30T00:00:00Z' is not an instant"),
    ("month ANCHOR 0us AT", "at is missing"),
    ("month ANCHOR 0us ANCHOR 0us", "anchor was given already"),
    ("month ANCHOR 0us ZONE Mars/Base", "zone 'Mars/Base' is not known here"),
    ("month ANCHOR 0us ZONE ../../etc/passwd", "zone '../../etc/passwd' is not known here"),
    ("month ANCHOR 0us ZONE", "zone is missing"),
    ("day EOM ANCHOR 0us", "EOM is for months"),
    ("forever CALENDAR", "forever follows no CALENDAR"),
    ("month FROM 6 ANCHOR 0us", "from '6' needs CALENDAR"),
    ("week FROM mon ANCHOR 0us", "from 'mon' needs CALENDAR"),
    ("month CALENDAR FROM", "from is missing"),
    ("month CALENDAR FROM 32", "from '32' does not fit the period"),
    ("year CALENDAR FROM 02-30", "from '02-30' does not fit"),
    ("year CALENDAR FROM mon", "from 'mon' does not fit"),
    ("week CALENDAR FROM 04-06", "from '04-06' does not fit"),
    ("day CALENDAR FROM 1", "from '1' does not fit"),
    ("hour CALENDAR FROM 1", "from '1' does not fit"),
    ("year CALENDAR FROM 04-06 EOM", "FROM says another"),
    # what is written in another unit than it is meant
    ("month ANCHOR 1735689600", "anchor '1735689600' is too small for Unix ms. Unix seconds? write 1735689600s"),
    ("month ANCHOR 31", "Unix seconds? write 31s"),
    ("month ANCHOR 99999999999", "Unix seconds? write 99999999999s"),
    ("month ANCHOR 0", "Unix seconds? write 0s"),
    ("month CALENDAR AT -1", "Unix seconds? write -1s"),
    ("1M CALENDAR", "m is minutes, ms is milliseconds, and a calendar month is a month"),
    ("1H ANCHOR 0us", "units are lower case"),
    ("30d CALENDAR", "CALENDAR '30d': a duration has no calendar; day, week and month have one"),
    ("1w CALENDAR", "CALENDAR '1w'"),
    ("24h CALENDAR", "CALENDAR '24h'"),
    ("month ANCHOR 0us SOMETIMES", "'SOMETIMES' is not an option here"),
]


@pytest.mark.parametrize("words, named", ERRORS)
def test_errors_name_what_is_wrong(quota, words, named):
    error = quota.error(f"QUOTA.CYCLE {words}")
    assert named in error


def test_empty_words_are_refused(quota):
    assert "period ''" in quota.error("QUOTA.CYCLE", "", "ANCHOR", "0us")
    assert "from ''" in quota.error("QUOTA.CYCLE month CALENDAR FROM", "")
    assert "zone ''" in quota.error("QUOTA.CYCLE month ANCHOR 0us ZONE", "")
    assert "zone 'UTC" in quota.error("QUOTA.CYCLE month ANCHOR 0us ZONE", b"UTC\0")


def test_a_zone_may_come_later(quota, tmp_path):
    """What was not there is looked for anew, and a request for what never comes leaves the others as they were."""
    berlin = "QUOTA.CYCLE month CALENDAR ZONE Europe/Berlin"
    answer = quota(berlin)
    quota("CONFIG SET quota.tzdir", str(tmp_path))
    assert str(tmp_path) in quota.error(berlin)
    quota("CONFIG SET quota.tzdir /usr/share/zoneinfo")
    assert quota(berlin) == answer
    for number in range(100):
        quota.error(f"QUOTA.CYCLE month CALENDAR ZONE No/Such{number}")
    assert quota(berlin) == answer


def test_only_regular_files_are_zones(quota, tmp_path):
    """To open a FIFO without a writer would hold the server up for ever."""
    os.mkfifo(tmp_path / "Fifo")
    (tmp_path / "Folder").mkdir()
    (tmp_path / "Device").symlink_to("/dev/zero")
    (tmp_path / "Link").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    (tmp_path / "Empty").touch()
    quota("CONFIG SET quota.tzdir", str(tmp_path))
    for zone in ("Fifo", "Folder", "Device", "Empty"):
        assert f"zone '{zone}' is not known here" in quota.error(f"QUOTA.CYCLE day ANCHOR 0us ZONE {zone}")
    assert quota("QUOTA.CYCLE day CALENDAR AT 0us ZONE Link")[0] == -3600_000
    quota("CONFIG SET quota.tzdir /usr/share/zoneinfo")
