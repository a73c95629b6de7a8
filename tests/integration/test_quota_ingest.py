"""QUOTA.INGEST: usage after the fact is counted once, in the cycles in which it happened."""

import collections
import random

import pytest
import redis

from conftest import NOON_MS, as_map, paged
from servers import caught_up

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture
def acme(accounts):
    """Two cycles have been used in: that of the first hour and that of the third, which runs. The day runs since the
    first."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h LIMIT 100 day")
    accounts("QUOTA.PLAN SET p s LIMIT 5 day COST 2")
    for name in "{x}a", "{x}b":
        accounts(f"QUOTA.OPEN {name} p ANCHOR {NOON_MS}")
        accounts(f"QUOTA.CONSUME {name} r 1")
    accounts.advance("2h")
    accounts("QUOTA.CONSUME {x}a r 2")
    return accounts


def ingest(quota, *rows):
    """Each an integer, or the code of its error, of which redis-py leaves out ERR."""
    reply = quota("QUOTA.INGEST", *(word for row in rows for word in row.split()))
    return [code(str(one)) if isinstance(one, redis.ResponseError) else one for one in reply]


def code(error):
    first = error.split()[0]
    return first if first.isupper() else "ERR"


def used(quota, account, resource="r"):
    rules = quota.map(f"QUOTA.INFO {account} {resource}")["rules"]
    return {rule["period"]: rule["used"] for rule in reversed(rules)}  # its own stand before those above


def history(quota, account, resource="r", period="1h"):
    """Hours since noon of closed cycles ─▶ units; those that nothing was used in are left out."""
    cycles = map(as_map, quota(f"QUOTA.HISTORY {account} {resource} PERIOD {period} COUNT 1000"))
    return {(cycle["start"] - NOON_MS) // HOUR_MS: cycle["used"] for cycle in cycles if cycle["used"]}


def hour(number, minutes=30):
    return NOON_MS + number * HOUR_MS + minutes * MINUTE_MS


def test_a_row_counts_in_the_cycles_of_its_instant(acme):
    assert ingest(acme, f"{{x}}a r 3 i1 {hour(0)}", f"{{x}}a r 4 i2 {hour(1)}", "{x}a r 5 i3 *",
                  f"{{x}}b r 7 i1 {hour(0, 0)}", f"{{x}}a s 2 i1 {hour(1)}") == [3, 4, 5, 7, 2]
    assert history(acme, "{x}a") == {0: 4, 1: 4}
    assert history(acme, "{x}b") == {0: 8}
    assert used(acme, "{x}a") == {"1h": 7, "day": 15}
    assert used(acme, "{x}b")["day"] == 8
    assert used(acme, "{x}a", "s") == {"day": 4}


def test_the_order_of_rows_does_not_matter(acme):
    assert ingest(acme, "{x}a r 1 i0 *", f"{{x}}a r 4 i1 {hour(1)}", f"{{x}}b r 1 i0 {hour(0)}",
                  f"{{x}}a r 3 i2 {hour(0)}") == [1, 4, 1, 3]
    assert history(acme, "{x}a") == {0: 4, 1: 4}
    assert used(acme, "{x}a") == {"1h": 3, "day": 11}


def test_what_has_happened_is_counted_beyond_limits(acme):
    assert ingest(acme, f"{{x}}a r 500 i {hour(0)}", "{x}a r 600 j *") == [500, 600]
    assert history(acme, "{x}a") == {0: 501}
    assert used(acme, "{x}a") == {"1h": 602, "day": 1103}


def test_each_row_once(acme):
    rows = [f"{{x}}a r 3 i1 {hour(0)}", "{x}a r 5 i2 *", f"{{x}}b r 7 i1 {hour(0)}"]
    assert ingest(acme, *rows) == [3, 5, 7]
    assert ingest(acme, *rows, rows[0]) == [0, 0, 0, 0]
    acme.advance("3h")
    assert ingest(acme, *rows) == [0, 0, 0]
    assert history(acme, "{x}a") == {0: 4, 2: 7}
    assert ingest(acme, f"{{x}}a r 4 i1 {hour(0)}", f"{{x}}a r 3 i1 {hour(1)}", "{x}a r 3 i1 *",
                  f"{{x}}a r 5 i2 {hour(2)}") == ["IDCONFLICT"] * 4
    assert ingest(acme, f"{{x}}a s 1 i1 {hour(0)}") == [1]  # ids belong to a resource


def test_a_row_of_now_is_a_forced_consumption(acme):
    acme("QUOTA.CONSUME {x}a r 2 ID x FORCE")
    assert ingest(acme, "{x}a r 2 x *", "{x}a r 3 y *") == [0, 3]
    assert acme("QUOTA.CONSUME {x}a r 3 ID y FORCE")[0] == 3
    assert used(acme, "{x}a")["1h"] == 7
    assert acme.error("QUOTA.CONSUME {x}a r 3 ID y").startswith("IDCONFLICT")
    assert ingest(acme, f"{{x}}a r 3 z {hour(0)}") == [3]
    assert acme.error("QUOTA.CONSUME {x}a r 3 ID z FORCE").startswith("IDCONFLICT")
    assert acme("QUOTA.CONSUME {x}a r 3 ID z CHECK")[0] == 3


BAD = [
    ("{x}a r 0 i *", "amount '0' is not an integer of 1 or more"),
    ("{x}a r -1 i *", "amount '-1' is not an integer of 1 or more"),
    ("{x}a r many i *", "amount 'many' is not an integer of 1 or more"),
    ("{x}a r 9223372036854775808 i *", "amount '9223372036854775808' is not an integer of 1 or more"),
    (f"{{x}}a r 1 {'i' * 513} *", "must have 1 to 512 bytes"),
    ("{x}a r 1 i now", "at 'now' is not an instant (Unix ms, with suffix s or us, or 2025-01-31T15:00:00Z) or *"),
    ("{x}a r 1 i 0s", "at '0s' is not an instant"),
    ("{x}a r 1 i 1738335600", "at '1738335600' is too small for Unix ms. Unix seconds? write 1738335600s"),
    (f"{{x}}a r 1 i {hour(2, 0) + 1}", "at: the instant lies in the future"),
    (f"{{x}}a r 1 i {NOON_MS - 1}", "at: 'r' has a LIMIT that keeps no cycle of that instant (1h, day): "
                                   "QUOTA.HISTORY shows those that it keeps"),
    ("{x}a t 1 i *", "NORESOURCE the account's plan has no resource 't'"),
    (f"{{x}}a t 1 i {hour(0)}", "NORESOURCE the account's plan has no resource 't'"),
    ("{x}none r 1 i *", "NOACCOUNT '{x}none' was never opened: QUOTA.OPEN account plan"),
    ("{x}string r 1 i *", "WRONGTYPE"),
    ("{x}off r 1 i *", "SUSPENDED '{x}off' is suspended: QUOTA.RESUME ends that"),
    ("{x}gone r 1 i *", "NOACCOUNT '{x}gone' is closed: QUOTA.OPEN opens it again"),
    ("{x}a r 9223372036854775807 i *", "OVERFLOW the new numbers of 'r' would not fit 64 bits; request less"),
]


@pytest.mark.parametrize("row, said", BAD)
def test_a_bad_row_is_an_error_in_its_place(acme, row, said):
    acme("SET {x}string 1")
    for name, end in ("{x}off", "SUSPEND"), ("{x}gone", "CLOSE"):
        acme(f"QUOTA.OPEN {name} p")
        acme(f"QUOTA.{end} {name}")
    reply = acme("QUOTA.INGEST {x}a r 1 before *", *row.split(), *f"{{x}}a r 1 after {hour(0)}".split())
    assert [reply[0], reply[2]] == [1, 1]
    assert isinstance(reply[1], redis.ResponseError) and said in str(reply[1])
    assert history(acme, "{x}a") == {0: 2} and used(acme, "{x}a") == {"1h": 3, "day": 5}
    assert history(acme, "{x}b") == {0: 1}


def test_an_empty_id_is_an_error(acme):
    reply = acme("QUOTA.INGEST {x}a r 1", "", "*")
    assert str(reply[0]) == "id '' must have 1 to 512 bytes"


@pytest.mark.parametrize("words", [0, 1, 4, 6, 9])
def test_words_that_make_no_rows(acme, words):
    error = acme.error("QUOTA.INGEST", *["w"] * words)
    assert "QUOTA.INGEST account resource amount id at [account resource amount id at ...]" in error


def test_at_most_a_thousand_rows(acme):
    rows = [f"{{x}}a r 1 i{number} {hour(0)}" for number in range(1001)]
    with pytest.raises(redis.ResponseError, match="1001 rows: one call takes 1000 at most"):
        ingest(acme, *rows)
    assert history(acme, "{x}a") == {0: 1}
    assert ingest(acme, *rows[1:]) == [1] * 1000
    assert history(acme, "{x}a") == {0: 1001}


def test_refunds_go_back_to_the_cycles_of_the_instant(acme):
    assert ingest(acme, f"{{x}}a r 5 i {hour(0)}", f"{{x}}a r 2 j {hour(2, 0)}") == [5, 2]
    acme.advance("2h")
    assert acme("QUOTA.REFUND {x}a r 3 OF i")[:2] == [3, 0]
    assert history(acme, "{x}a") == {0: 3, 2: 4} and used(acme, "{x}a")["day"] == 7
    assert acme("QUOTA.REFUND {x}a ALL OF i")[:2] == [2, 0]
    assert acme("QUOTA.REFUND {x}a ALL OF j")[:2] == [2, 0]
    assert history(acme, "{x}a") == {0: 1, 2: 2} and used(acme, "{x}a")["day"] == 3
    assert acme.error("QUOTA.REFUND {x}a r 1 OF i").startswith("REFUNDEXCEEDS")
    found = as_map(acme("QUOTA.RECORD {x}a i")[0])
    assert (found["operation"], found["at"]) == ("consume", hour(0))
    assert found["resources"][0]["refunded"] == 5


def test_parents_count_too(accounts):
    accounts("QUOTA.PLAN SET firm r LIMIT 10 1h LIMIT 100 day SHARE EQUAL")
    accounts("QUOTA.PLAN SET user r LIMIT 10 day")
    accounts(f"QUOTA.OPEN firm firm ANCHOR {NOON_MS}")
    for name in "u", "v":
        accounts(f"QUOTA.OPEN {name} user ANCHOR {NOON_MS} PARENT firm")
        accounts(f"QUOTA.CONSUME {name} r 1")
    accounts.advance("2h")
    assert ingest(accounts, f"u r 3 i {hour(0)}", f"v r 4 i {hour(0)}", f"v r 20 j {hour(1)}", "u r 1 k *",
                  "firm r 2 i *") == [3, 4, 20, 1, 2]
    assert history(accounts, "firm") == {0: 9, 1: 20}
    assert used(accounts, "firm") == {"1h": 3, "day": 32}
    assert used(accounts, "u")["day"] == 5 and used(accounts, "v")["day"] == 25
    assert {one["member"]: one["used"] for one in paged(accounts, "QUOTA.MEMBERS firm")} == {"u": 5, "v": 25}
    assert accounts("QUOTA.REFUND v r 15 OF j")[:2] == [15, 0]
    assert history(accounts, "firm") == {0: 9, 1: 5} and used(accounts, "firm")["day"] == 17
    assert {one["member"]: one["used"] for one in paged(accounts, "QUOTA.MEMBERS firm")} == {"u": 5, "v": 10}
    accounts("QUOTA.SUSPEND firm")
    assert ingest(accounts, f"u r 1 x {hour(0)}") == ["SUSPENDED"]


def test_a_parent_that_was_not_open_yet(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h")
    accounts(f"QUOTA.OPEN u p ANCHOR {NOON_MS}")
    accounts("QUOTA.CONSUME u r 1")
    accounts.advance("2h")
    accounts("QUOTA.OPEN firm p")
    accounts("QUOTA.PARENT u firm")
    assert ingest(accounts, f"u r 1 x {hour(0)}", "u r 2 y *") == ["ERR", 2]
    assert history(accounts, "u") == {0: 1} and used(accounts, "firm") == {"1h": 2}


# ---- before the first use --------------------------------------------------------------------------------


def test_usage_before_the_first_use_has_cycles_of_its_own(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h LIMIT 100 day")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts.advance("5h")
    assert ingest(accounts, f"a r 3 i {hour(1)}", f"a r 2 i2 {hour(3)}", f"a r 4 i3 {hour(1)}") == [3, 2, 4]
    assert history(accounts, "a") == {1: 7, 3: 2}
    assert used(accounts, "a") == {"1h": 0, "day": 9}
    assert ingest(accounts, f"a r 1 i4 {hour(0)}") == [1]  # before all that are kept
    assert history(accounts, "a") == {0: 1, 1: 7, 3: 2}
    accounts("QUOTA.CONSUME a r 1")
    accounts.advance("2h")
    accounts("QUOTA.SETTLE a")
    assert history(accounts, "a") == {0: 1, 1: 7, 3: 2, 5: 1}
    starts = [as_map(one)["start"] for one in accounts("QUOTA.HISTORY a r PERIOD 1h COUNT 100")]
    assert sorted(starts, reverse=True) == starts and len(starts) == 7  # idle ones in between, once each
    assert accounts("QUOTA.REFUND a r 4 OF i3")[:2] == [4, 0]
    assert history(accounts, "a") == {0: 1, 1: 3, 3: 2, 5: 1} and used(accounts, "a")["day"] == 7


def test_a_resource_that_was_never_used(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 month PRORATE")
    accounts("QUOTA.OPEN a p ANCHOR 2024-11-16T00:00:00Z")
    row = ("a", "r", "4", "i", "2024-12-20T00:00:00Z")
    assert accounts("QUOTA.INGEST", *row) == [4] and accounts("QUOTA.INGEST", *row) == [0]
    months = [as_map(one) for one in accounts("QUOTA.HISTORY a r")]
    assert [(one["used"], one["limit"]) for one in months] == [(4, 10)]
    assert accounts("QUOTA.CONSUME a r 10")[:3] == [10, 10, 0]


def test_usage_that_may_have_been_forgotten_is_refused(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts.advance("1h")
    for _ in range(64):
        accounts("QUOTA.CONSUME a r 1")
        accounts.advance("1h")
    accounts("QUOTA.CONSUME a r 1")
    assert ingest(accounts, f"a r 1 i {hour(0)}") == ["ERR"]  # 64 cycles are kept, and it is older than all of them
    assert ingest(accounts, f"a r 1 j {NOON_MS - 1}") == ["ERR"]  # the account was not open


def test_credits_pay_only_for_what_running_limits_lack(accounts):
    accounts("CONFIG SET quota.id-ttl-ms 604800000")
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h LIMIT 12 day CREDITS")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.GRANT a gift r 100")
    accounts.advance("2h")
    assert ingest(accounts, f"a r 15 i {hour(0)}") == [15]  # the day has 11
    assert used(accounts, "a")["day"] == 12 and history(accounts, "a") == {0: 12}
    assert as_map(accounts("QUOTA.GRANTS a")[1][0])["left"] == 96
    accounts.advance("1d")
    assert ingest(accounts, f"a r 5 j {hour(0)}") == [5]  # no limit runs that could lack anything
    assert history(accounts, "a", period="day") == {0: 17} and history(accounts, "a") == {0: 17}
    assert as_map(accounts("QUOTA.GRANTS a")[1][0])["left"] == 96
    accounts("QUOTA.REFUND a r 15 OF i")
    assert history(accounts, "a") == {0: 6} and as_map(accounts("QUOTA.GRANTS a")[1][0])["left"] == 100


def test_rates_and_rolling_windows(accounts):
    accounts("QUOTA.PLAN SET p r RATE 10 1h LIMIT 50 ROLLING 1h LIMIT 100 day")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts.advance("3h")
    assert ingest(accounts, f"a r 3 old {hour(0)}", f"a r 4 young {hour(2)}", "a r 5 now *") == [3, 4, 5]
    rules = accounts.map("QUOTA.INFO a r")["rules"]
    assert [rule["remaining"] for rule in rules] == [5, 41, 88]
    for number, id in (3, "old"), (4, "young"), (5, "now"):
        assert accounts(f"QUOTA.REFUND a r {number} OF {id}")[:2] == [number, 0]
    assert [rule["remaining"] for rule in accounts.map("QUOTA.INFO a r")["rules"]] == [10, 50, 100]


def test_resources_that_are_counted_as_others(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 1h")
    accounts("QUOTA.PLAN SET p big LIMIT -1 1h AS r COST 10")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts("QUOTA.CONSUME a big 1")
    accounts.advance("2h")
    assert ingest(accounts, f"a big 2 i {hour(0)}") == [2]
    assert history(accounts, "a") == {0: 30} and history(accounts, "a", "big") == {0: 3}
    assert accounts("QUOTA.REFUND a big 2 OF i")[:2] == [2, 0]
    assert history(accounts, "a") == {0: 10} and history(accounts, "a", "big") == {0: 1}


def test_debts_and_events_follow(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 1h BURST 100% REPAY")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts("QUOTA.CONSUME a r 8")
    accounts.advance("1h")
    accounts("QUOTA.CONSUME a r 1")
    last = accounts.map("QUOTA.EVENTS INFO")["last"]
    assert ingest(accounts, f"a r 5 i {hour(0)}") == [5]
    assert accounts.map("QUOTA.INFO a r")["rules"][0]["limit"] == 7
    types = [as_map(fields)["type"] for _, fields in accounts(f"QUOTA.EVENTS READ COUNT 1000 AFTER {last}")]
    assert types == ["quota.cycle.amended"]


def test_one_command_is_replicated(acme, replica, primary):
    def calls():
        caught_up(primary, replica)
        return replica.client().info("commandstats").get("cmdstat_RL._DO", {}).get("calls", 0)

    before = calls()
    rows = [f"{{x}}{name} r 1 i{number} {hour(number % 3, 0)}" for number in range(30) for name in "ab"]
    assert ingest(acme, *rows) == [1] * 60
    assert calls() == before + 1
    assert ingest(acme, *rows) == [0] * 60
    assert calls() == before + 1


def test_one_event_of_the_keyspace_for_rows_that_stand_together(acme, primary):
    client = primary.client()
    client.execute_command("CONFIG SET notify-keyspace-events KEd")
    listener = client.pubsub()
    listener.psubscribe("__keyevent@0__:*")
    listener.get_message(timeout=5)
    ingest(acme, "{x}a r 1 i *", "{x}a r 1 j *", "{x}a r 1 i *", "{x}b r 1 i *", "{x}none r 1 i *")
    received = [listener.get_message(timeout=5) for _ in range(2)]
    assert [(one["channel"].split(b":", 1)[1], one["data"]) for one in received] == [
        (b"quota.ingest", b"{x}a"), (b"quota.ingest", b"{x}b")]
    assert listener.get_message(timeout=0.1) is None
    listener.close()
    client.execute_command("CONFIG SET notify-keyspace-events", "")


def test_random_rows_against_a_plain_count(accounts, request):
    chance = random.Random(request.config.getoption("--seed"))
    accounts("CONFIG SET quota.id-ttl-ms 3153600000000")
    accounts("QUOTA.PLAN SET p r LIMIT 30 1h LIMIT 200 6h LIMIT 500 day")
    counts = {name: collections.Counter({NOON_MS: 1}) for name in "abc"}
    for name in counts:
        accounts(f"QUOTA.OPEN {name} p ANCHOR {NOON_MS}")
        accounts(f"QUOTA.CONSUME {name} r 1")
    now_ms, known = NOON_MS, {}
    for _ in range(50):  # less than the 64 hours that HISTORY keeps
        step = chance.choice((0, 1, 7, 60, 75))
        accounts.advance(f"{step}m")
        now_ms += step * MINUTE_MS
        rows = chance.sample(sorted(known.values()), min(3, len(known)))
        rows += [(chance.choice("abc"), chance.randint(1, 9), f"i{chance.randrange(500)}",
                  chance.choice((now_ms, chance.randint(NOON_MS, now_ms)))) for _ in range(chance.randint(1, 12))]
        expected = []
        for row in chance.sample(rows, len(rows)):
            name, amount, id, at = row
            first = known.get((name, id))
            if not first:
                known[name, id] = row
                counts[name][at] += amount
            expected.append((row, amount if not first else 0 if first == row else "IDCONFLICT"))
        assert ingest(accounts, *(f"{name} r {amount} {id} {at}" for (name, amount, id, at), _ in expected)) == [
            answer for _, answer in expected]
    for name in counts:
        for period, length in ("1h", 1), ("6h", 6), ("day", 24):
            cycles = collections.Counter()
            for at, amount in counts[name].items():
                cycles[(at - NOON_MS) // HOUR_MS // length * length] += amount
            running = (now_ms - NOON_MS) // HOUR_MS // length * length
            assert used(accounts, name)[period] == cycles.pop(running, 0)
            assert history(accounts, name, period=period) == +cycles


def test_bills_of_late_and_punctual_usage_are_the_same(accounts):
    accounts("CONFIG SET quota.id-ttl-ms 3153600000000")
    accounts("QUOTA.PLAN SET p r LIMIT 10 day OVERAGE PRICE usd TIER 5 0.5 TIER * 0.25")
    for name in "late", "soon":
        accounts(f"QUOTA.OPEN {name} p ANCHOR {NOON_MS}")
        accounts(f"QUOTA.CONSUME {name} r 1")
    for day, amount in enumerate((7, 20, 3)):
        at = hour(24 * day)
        accounts(f"QUOTA.CLOCK FREEZE {at}")
        assert ingest(accounts, f"soon r {amount} i{day} {at}", f"late r 1 x{day} {at}", f"soon r 1 x{day} *") == [
            amount, 1, 1]
    assert ingest(accounts, *(f"late r {amount} i{day} {hour(24 * day)}" for day, amount in enumerate((7, 20, 3)))) == [
        7, 20, 3]
    for day in range(3):
        bills = [accounts.map(f"QUOTA.BILL {name} AT {hour(24 * day)}") for name in ("late", "soon")]
        lines = [[{field: line[field] for field in ("used", "quantity", "amount", "start")} for line in bill]
                 for bill in bills]
        assert lines[0] == lines[1] and lines[0][0]["used"] == (9, 21, 4)[day]
