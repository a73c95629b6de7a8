"""QUOTA.CONSUME, MCONSUME, REFUND: one verdict over rates and periods, ids charge once, refunds mint nothing."""

import pytest

from conftest import NOON_MS
from servers import caught_up

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MONTH_LEFT_MS = 28 * DAY_MS  # Jan 31 15:00 to Feb 28 15:00


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 20 month LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    return accounts


def rules(quota, resource="r"):
    return quota.map(f"QUOTA.INFO a {resource}")["rules"]


def used(quota, resource="r"):
    return [rule["used"] for rule in rules(quota, resource)]


def plan(quota, rules):
    quota(f"QUOTA.PLAN SET p r {rules}")


# ---- verdicts ----


def test_every_period_has_to_admit_and_the_tightest_decides(acme):
    assert acme("QUOTA.CONSUME a r 7") == [7, 10, 3, 0, DAY_MS, 1]
    assert acme("QUOTA.CONSUME a r 4") == [0, 10, 3, DAY_MS, DAY_MS, 1]
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 10") == [10, 10, 0, 0, DAY_MS, 1]
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 4") == [0, 20, 3, MONTH_LEFT_MS - 2 * DAY_MS, MONTH_LEFT_MS - 2 * DAY_MS, 0]
    assert acme("QUOTA.CONSUME a r 11")[3:] == [-1, DAY_MS - DAY_MS, 1]  # a day never lets so many in
    assert used(acme) == [17, 0]


def test_rates_come_with_the_quota_and_a_denial_charges_nothing(acme):
    plan(acme, "RATE 2 1s LIMIT 5 day")
    assert acme("QUOTA.CONSUME a r 2") == [2, 2, 0, 0, 1000, 0]
    assert acme("QUOTA.CONSUME a r 1") == [0, 2, 0, 500, 1000, 0]
    acme.advance("1s")
    assert acme("QUOTA.CONSUME a r 2")[:3] == [2, 2, 0]
    acme.advance("1s")
    assert acme("QUOTA.CONSUME a r 2") == [0, 5, 1, DAY_MS - 2000, DAY_MS - 2000, 1]
    assert acme("QUOTA.CONSUME a r 1")[:3] == [1, 5, 0]  # the denial took nothing from the rate either
    assert [rule["remaining"] for rule in rules(acme)] == [1, 0]


def test_rolling_windows(acme):
    plan(acme, "LIMIT 10 ROLLING 1h")
    acme("QUOTA.CONSUME a r 6")
    acme.advance("30m")
    assert acme("QUOTA.CONSUME a r 4") == [4, 10, 0, 0, HOUR_MS, 0]
    assert acme("QUOTA.CONSUME a r 6")[:4] == [0, 10, 0, HOUR_MS // 2]
    acme.advance("30m")
    assert acme("QUOTA.CONSUME a r 6")[:3] == [6, 10, 0]
    assert acme("QUOTA.CONSUME a r 11")[3] == -1


def test_cost_counts_each_requested_unit(acme):
    plan(acme, "LIMIT 20 day COST 5")
    assert acme("QUOTA.CONSUME a r 3") == [3, 20, 5, 0, DAY_MS, 0]
    assert acme("QUOTA.CONSUME a r 2")[0] == 0
    assert acme("QUOTA.CONSUME a r 2 UPTO")[:3] == [1, 20, 0]
    assert acme.error("QUOTA.CONSUME a r 9223372036854775807").startswith("OVERFLOW")


MODES = [  # used before, words, granted, used after
    (8, "3", 0, 8), (8, "2", 2, 10), (8, "3 UPTO", 2, 10), (10, "3 UPTO", 0, 10), (8, "3 CHECK", 0, 8),
    (8, "2 CHECK", 2, 8),
    (8, "30 FORCE", 30, 38), (10, "1 FORCE", 1, 11),
]


@pytest.mark.parametrize("before, words, granted, after", MODES)
def test_modes(acme, before, words, granted, after):
    acme(f"QUOTA.CONSUME a r {before}")
    blob = acme("DUMP a")
    assert acme(f"QUOTA.CONSUME a r {words}")[0] == granted
    assert used(acme) == [after, after]
    assert (acme("DUMP a") == blob) == (before == after)


def test_burst_is_repaid_from_the_next_cycles(acme):
    plan(acme, "BURST 50 REPAY LIMIT 10 day")
    assert acme("QUOTA.CONSUME a r 15")[:3] == [15, 15, 0]
    assert acme("QUOTA.CONSUME a r 1")[0] == 0
    acme("QUOTA.CONSUME a r 12 FORCE")  # 27: 17 over
    waits = [acme(f"QUOTA.CONSUME a r {units}")[3] // DAY_MS for units in (5, 6, 8, 9, 15, 16)]
    assert waits == [2, 2, 2, 3, 3, -1]  # 10 + 5 - 17 tomorrow: none; the day after 10 + 5 - 7, then 10 + 5
    acme.advance("1d")
    assert [rules(acme)[0][name] for name in ("limit", "remaining")] == [0, 0]
    acme.advance("1d")
    assert [rules(acme)[0][name] for name in ("limit", "remaining")] == [3, 8]
    acme.advance("1d")
    assert rules(acme)[0]["limit"] == 10
    history = [(entry["limit"], entry["used"]) for entry in acme.map("QUOTA.HISTORY a r")]
    assert history == [(3, 0), (0, 0), (10, 27)]


def test_grace_is_a_soft_limit_for_a_while(acme):
    plan(acme, "LIMIT 10 day GRACE 1h")
    acme("QUOTA.CONSUME a r 10")
    acme.advance("2h")
    assert acme("QUOTA.CONSUME a r 5")[0] == 5  # the grace begins here
    acme.advance("3599999ms")
    assert acme("QUOTA.CONSUME a r 5")[0] == 5
    acme.advance("1ms")
    assert acme("QUOTA.CONSUME a r 1") == [0, 10, 0, DAY_MS - 3 * HOUR_MS, DAY_MS - 3 * HOUR_MS, 0]
    assert acme.map("QUOTA.INFO a r")["overage"] == 10
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 11")[0] == 11
    plan(acme, "BURST 20 LIMIT 10 day GRACE 1h")
    assert acme("QUOTA.CONSUME a r 1")[:3] == [1, 12, 0]  # with a BURST the grace is bounded
    assert acme("QUOTA.CONSUME a r 1")[0] == 0


def test_overage_refuses_nothing_and_counts(acme):
    plan(acme, "LIMIT 10 day OVERAGE")
    assert acme("QUOTA.CONSUME a r 25")[:3] == [25, 10, -1]
    assert acme.map("QUOTA.INFO a r")["overage"] == 15


def test_overage_may_be_bounded(acme):
    plan(acme, "LIMIT 10 day OVERAGE MAX 5")
    assert acme("QUOTA.CONSUME a r 12") == [12, 15, 3, 0, DAY_MS, 0]
    assert acme("QUOTA.CONSUME a r 4") == [0, 15, 3, DAY_MS, DAY_MS, 0]
    assert acme("QUOTA.CONSUME a r 9 UPTO")[:3] == [3, 15, 0]
    assert acme.map("QUOTA.INFO a r")["overage"] == 5
    acme("QUOTA.OVERRIDE a r OVERAGE")
    assert acme("QUOTA.CHECK a r 99")[0][:3] == [99, 10, -1]
    acme("QUOTA.OVERRIDE a r OVERAGE MAX 0")  # switches it off
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 11")[:3] == [0, 10, 10]
    acme("QUOTA.OVERRIDE a r LIFT")
    assert acme("QUOTA.CONSUME a r 11")[:3] == [11, 15, 4]


def test_bounded_overage_stands_beside_burst_grace_and_debt(acme):
    plan(acme, "BURST 20 LIMIT 10 day OVERAGE MAX 3 REPAY GRACE 1h")
    assert acme("QUOTA.CONSUME a r 15")[:3] == [15, 15, 0]
    acme.advance("1h")  # the grace has passed, and with it the burst
    assert acme("QUOTA.CONSUME a r 1")[:3] == [0, 13, 0]
    acme.advance("23h")  # five are owed: 10 + 2 - 5 and three beyond
    assert acme("QUOTA.CONSUME a r 11")[:3] == [0, 10, 10]
    assert acme("QUOTA.CONSUME a r 10")[:3] == [10, 10, 0]


def test_warnings_fire_once_in_order_and_again_when_a_limit_rises(acme):
    plan(acme, "LIMIT 10 day WARN 100 50 80.5")
    fired = lambda: acme.map("QUOTA.INFO a r")["warned"]  # noqa: E731
    acme("QUOTA.CONSUME a r 4")
    assert fired() == []
    acme("QUOTA.CONSUME a r 1 ID x")
    assert fired() == [50]
    acme("QUOTA.REFUND a r 1 OF x")
    assert fired() == [50]  # a refund does not un-fire
    acme("QUOTA.CONSUME a r 6")
    assert fired() == [50, "80.5", 100]
    plan(acme, "LIMIT 15 day WARN 50 80.5 100")
    acme("QUOTA.CONSUME a r 1")
    assert fired() == [50]
    acme.advance("1d")
    assert fired() == []


# ---- ids ----


def test_a_replay_is_the_same_answer_and_changes_nothing(acme, primary, replica):
    first = acme("QUOTA.CONSUME a r 3 ID x")
    acme("QUOTA.CONSUME a r 2 ID y")
    acme.advance("1h")
    caught_up(primary, replica)
    blob, offset = acme("DUMP a"), primary.client().info("replication")["master_repl_offset"]
    for _ in range(3):
        assert acme("QUOTA.CONSUME a r 3 ID x") == first
        assert acme("QUOTA.CONSUME a r 3 ID x CHECK") == first
    assert acme("DUMP a") == blob
    assert primary.client().info("replication")["master_repl_offset"] == offset


CONFLICTS = ["r 4 ID x", "r 3 ID x UPTO", "r 3 ID x FORCE"]


@pytest.mark.parametrize("words", CONFLICTS)
def test_other_content_is_a_conflict(acme, words):
    acme("QUOTA.CONSUME a r 3 ID x")
    assert acme.error(f"QUOTA.CONSUME a {words}").startswith("IDCONFLICT")
    assert used(acme) == [3, 3]


def test_the_scope_of_an_id_is_account_resource_and_operation(acme):
    acme("QUOTA.PLAN SET p s LIMIT 9 day")
    acme("QUOTA.OPEN b p")
    assert acme("QUOTA.CONSUME a r 3 ID x")[:3] == [3, 10, 7]
    assert acme("QUOTA.CONSUME a s 4 ID x")[:3] == [4, 9, 5]
    assert acme("QUOTA.CONSUME b r 5 ID x")[:3] == [5, 10, 5]
    assert acme("QUOTA.MCONSUME a 2 r 1 s 1 ID x") == [[1, 10, 6, 0, DAY_MS, 1], [1, 9, 4, 0, DAY_MS, 0]]
    assert acme("QUOTA.RESERVE a x r 1 TTL 1h")[0] == 1
    assert acme("QUOTA.REFUND a r 1 OF x ID x") == [1, 0, 6]


def test_records_expire_exactly_and_a_replay_does_not_extend_them(acme):
    acme("CONFIG SET quota.id-ttl-ms 1000")
    acme("QUOTA.CONSUME a r 3 ID x")
    acme.advance("999ms")
    acme("QUOTA.CONSUME a r 3 ID x")
    assert used(acme) == [3, 3]
    acme.advance("1ms")
    acme("QUOTA.CONSUME a r 3 ID x")
    assert used(acme) == [6, 6]


def test_a_denial_is_forgotten_unless_it_is_sticky(acme):
    assert acme("QUOTA.CONSUME a r 11 ID x")[0] == 0
    plan(acme, "LIMIT 20 month LIMIT 15 day")
    assert acme("QUOTA.CONSUME a r 11 ID x")[0] == 11
    denied = acme("QUOTA.CONSUME a r 11 ID y STICKY")
    assert denied[0] == 0
    acme("QUOTA.RESET a")
    assert acme("QUOTA.CONSUME a r 11 ID y") == denied
    assert used(acme) == [0, 0]


def test_a_live_record_is_never_dropped(acme):
    acme("CONFIG SET quota.id-max 3 quota.id-ttl-ms 1000")
    for name in "xyz":
        acme(f"QUOTA.CONSUME a r 1 ID {name}")
    assert acme.error("QUOTA.CONSUME a r 1 ID w").startswith("LIMITED")
    assert acme.error("QUOTA.RESERVE a w r 1 TTL 1s").startswith("LIMITED")
    assert acme("QUOTA.CONSUME a r 1 ID x")[0] == 1
    assert acme("QUOTA.CONSUME a r 1")[0] == 1  # without an id it goes on
    acme.advance("1s")
    assert acme("QUOTA.CONSUME a r 1 ID w")[0] == 1
    assert used(acme) == [5, 5]


@pytest.mark.parametrize("size, fits", [(0, False), (1, True), (512, True), (513, False)])
def test_ids_have_bounds(acme, size, fits):
    words = ["QUOTA.CONSUME", "a", "r", 1, "ID", b"\xff" * size]
    if fits:
        assert acme("", *words)[0] == 1
    else:
        assert "1 to 512 bytes" in acme.error("", *words)


# ---- several resources ----


def test_all_or_none(acme):
    acme("QUOTA.PLAN SET p s LIMIT 3 day")
    assert acme("QUOTA.MCONSUME a 2 r 5 s 3 ID x") == [[5, 10, 5, 0, DAY_MS, 1], [3, 3, 0, 0, DAY_MS, 0]]
    assert acme("QUOTA.MCONSUME a 2 r 5 s 3 ID x ALL") == [[5, 10, 5, 0, DAY_MS, 1], [3, 3, 0, 0, DAY_MS, 0]]
    assert acme.error("QUOTA.MCONSUME a 2 r 5 s 2 ID x").startswith("IDCONFLICT")
    assert acme.error("QUOTA.MCONSUME a 2 s 3 r 5 ID x").startswith("IDCONFLICT")
    assert acme("QUOTA.MCONSUME a 2 r 1 s 1") == [[0, 10, 5, 0, DAY_MS, 1], [0, 3, 0, DAY_MS, DAY_MS, 0]]
    assert (used(acme), used(acme, "s")) == ([5, 5], [3])
    assert acme("QUOTA.MCONSUME a 1 r 5 CHECK")[0][0] == 5
    assert used(acme) == [5, 5]


def test_any_is_the_first_that_admits(acme):
    acme("QUOTA.PLAN SET p s LIMIT 3 day")
    acme("QUOTA.CONSUME a r 9")
    assert [v[0] for v in acme("QUOTA.MCONSUME a 2 r 2 s 2 ANY")] == [0, 2]
    assert [v[0] for v in acme("QUOTA.MCONSUME a 2 r 1 s 1 ANY")] == [1, 0]
    assert [v[0] for v in acme("QUOTA.MCONSUME a 2 r 2 s 2 ANY")] == [0, 0]
    assert (used(acme), used(acme, "s")) == ([10, 10], [2])


def test_any_leaves_no_trace_of_a_resource_that_it_did_not_take(acme):
    acme("QUOTA.PLAN SET p s LIMIT 3 day")
    acme("QUOTA.MCONSUME a 2 r 1 s 1 ANY")
    acme("QUOTA.RESET a s")  # there is nothing to reset, so nothing is written in the audit trail
    assert acme.map("QUOTA.INFO a")["notes"] == []


BAD_BATCHES = [
    ("2 r 1", "fewer follow"), ("0 r 1", "out of range"), ("65 r 1", "out of range"), ("x r 1", "integer"),
    ("2 r 1 r 1", "twice"), ("1 r 0", "1 or more"), ("1 r x", "1 or more"), ("1 r 1 UPTO", "not an option"),
    ("1 r 1 ALL ANY", "given already"), ("1 x 1", "NORESOURCE"), ("2 r 1 x 1", "NORESOURCE"),
]


@pytest.mark.parametrize("words, error", BAD_BATCHES)
def test_bad_batches(acme, words, error):
    assert error in acme.error(f"QUOTA.MCONSUME a {words}")
    assert used(acme) == [0, 0]


BAD_REQUESTS = [("r 0", "amount"), ("r -1", "amount"), ("r x", "amount"), ("r 9223372036854775808", "amount"),
                ("r", "wrong number"),
                ("r 1 UPTO CHECK", "given already"), ("r 1 ID", "id is missing"), ("r 1 NOW", "not an option")]


@pytest.mark.parametrize("words, error", BAD_REQUESTS)
def test_bad_requests(acme, words, error):
    assert error in acme.error(f"QUOTA.CONSUME a {words}")


# ---- refunds ----


def test_a_refund_returns_to_its_cycles_and_never_more_than_was_taken(acme):
    acme("QUOTA.CONSUME a r 6 ID x")
    acme("QUOTA.CONSUME a r 3 ID y")
    assert acme("QUOTA.REFUND a r 4 OF x") == [4, 0, 5]
    error = acme.error("QUOTA.REFUND a r 3 OF x")
    assert error.startswith("REFUNDEXCEEDS") and "at most 2" in error
    assert acme("QUOTA.REFUND a r 2 OF x") == [2, 0, 7]
    assert acme.error("QUOTA.REFUND a r 1 OF x").startswith("REFUNDEXCEEDS")
    assert acme.error("QUOTA.REFUND a r 1 OF z").startswith("NOSUCHID")
    assert used(acme) == [3, 3]


def test_a_refund_goes_to_the_closed_cycle_it_belongs_to(acme):
    acme("QUOTA.CONSUME a r 6 ID x")
    acme.advance("1d")
    acme("QUOTA.CONSUME a r 5")
    assert acme("CONFIG SET quota.id-ttl-ms 999999999999") in (b"OK", True)
    acme("QUOTA.CONSUME a r 1 ID z")
    acme.advance("-1h")  # a clock that steps back
    assert acme("QUOTA.REFUND a r 1 OF z")[:2] == [1, 0]
    acme.advance("1h")
    acme.advance("60d")
    assert acme("QUOTA.CONSUME a r 5")[0] == 5
    history = {(e["period"], e["start"]): e for e in acme.map("QUOTA.HISTORY a r COUNT 1000")}
    assert history[("day", NOON_MS + DAY_MS)]["used"] == 5
    assert used(acme) == [5, 5]


def test_a_refund_of_a_closed_day_gives_the_month_back_and_shows_in_the_history(acme):
    acme("QUOTA.CONSUME a r 6 ID x")
    acme.advance("86399999ms")
    acme("QUOTA.CONSUME a r 1 ID late")
    acme.advance("1ms")
    assert acme.error("QUOTA.REFUND a r 1 OF x").startswith("NOSUCHID")  # a day is how long ids are remembered
    assert acme("QUOTA.REFUND a r 1 OF late") == [1, 0, 10]
    assert used(acme) == [6, 0]
    day = acme.map("QUOTA.HISTORY a r")[0]
    assert [day[name] for name in ("period", "used", "refunded", "peak")] == ["day", 6, 1, 7]


def test_a_refund_without_a_name_takes_from_the_running_cycles(acme):
    acme("QUOTA.CONSUME a r 6")
    acme.advance("1d")
    assert acme("QUOTA.REFUND a r 4") == [0, 4, 10]  # nothing was used today
    acme("QUOTA.CONSUME a r 3")
    assert acme("QUOTA.REFUND a r 4") == [3, 1, 10]
    assert used(acme) == [6, 0]


def test_refunds_are_charged_once_too(acme):
    acme("QUOTA.CONSUME a r 6")
    first = acme("QUOTA.REFUND a r 2 ID n REASON why")
    assert first == [2, 0, 6]
    acme("QUOTA.CONSUME a r 1")
    assert acme("QUOTA.REFUND a r 2 ID n") == first
    assert acme.error("QUOTA.REFUND a r 3 ID n").startswith("IDCONFLICT")
    assert used(acme) == [5, 5]


def test_refunds_have_bounds(acme):
    plan(acme, "LIMIT 20 day REFUNDS MAX 5 WITHIN 1h")
    acme("QUOTA.CONSUME a r 10 ID x")
    assert "OF" in acme.error("QUOTA.REFUND a r 1")
    assert acme("QUOTA.REFUND a r 5 OF x") == [5, 0, 15]
    assert acme.error("QUOTA.REFUND a r 1 OF x").startswith("LIMITED")
    acme("QUOTA.CONSUME a r 1 ID y")
    acme.advance("1h")
    assert acme.error("QUOTA.REFUND a r 1 OF y").startswith("LIMITED")
    plan(acme, "LIMIT 20 day REFUNDS WITHIN 1h")
    assert acme("QUOTA.REFUND a r 1 OF y")[:2] == [1, 0]  # exactly an hour is within it
    acme.advance("1ms")
    acme("QUOTA.CONSUME a r 1")
    assert acme.error("QUOTA.REFUND a r 1 OF x").startswith("LIMITED")


def test_refunds_of_rolling_windows_take_out_what_came_then(acme):
    plan(acme, "LIMIT 10 ROLLING 1h")
    acme("QUOTA.CONSUME a r 5 ID x")
    acme.advance("30m")
    acme("QUOTA.CONSUME a r 5 ID y")
    assert acme("QUOTA.REFUND a r 5 OF x") == [5, 0, 5]
    acme.advance("30m")
    assert used(acme) == [5]  # those of y, not those of x
    acme.advance("30m")
    assert used(acme) == [0]
    assert acme("QUOTA.REFUND a r 2 OF y") == [0, 2, 10]  # it has left the window: nothing to give back


def test_refunds_of_batches_and_of_reservations(acme):
    acme("QUOTA.PLAN SET p s LIMIT 9 day COST 2")
    acme("QUOTA.MCONSUME a 2 r 4 s 2 ID x")
    assert acme("QUOTA.REFUND a s 1 OF x") == [1, 0, 7]
    assert acme.error("QUOTA.REFUND a s 2 OF x").startswith("REFUNDEXCEEDS")
    acme("QUOTA.RESERVE a h r 5 TTL 1h")
    assert acme.error("QUOTA.REFUND a r 1 OF h").startswith("NOSUCHID")  # nothing was posted yet
    acme("QUOTA.COMMIT a h 3")
    assert acme("QUOTA.REFUND a r 3 OF h") == [3, 0, 6]
    assert acme.error("QUOTA.REFUND a r 1 OF h").startswith("REFUNDEXCEEDS")


def test_a_refund_goes_to_no_limit_that_came_after_the_consumption(acme):
    plan(acme, "LIMIT 20 month")
    acme("QUOTA.CONSUME a r 5 ID x")
    plan(acme, "LIMIT 20 month LIMIT 10 day")
    acme("QUOTA.CONSUME a r 8")
    assert acme("QUOTA.REFUND a r 5 OF x") == [5, 0, 2]
    assert used(acme) == [8, 8]  # the day had not been charged: it gets nothing back


def test_equal_ids_of_different_operations_are_returned_apart(acme):
    acme("QUOTA.CONSUME a r 3 ID x")
    acme("QUOTA.MCONSUME a 1 r 2 ID x")
    assert acme("QUOTA.REFUND a r 3 OF x") == [3, 0, 8]
    assert acme.error("QUOTA.REFUND a r 1 OF x").startswith("REFUNDEXCEEDS")  # of the CONSUME: it comes first
    assert used(acme) == [2, 2]


# ---- time ----


def test_a_clock_that_steps_back_reopens_nothing(acme):
    acme("QUOTA.CONSUME a r 10")
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 1")[0] == 1
    acme.advance("-2d")
    assert acme("QUOTA.CONSUME a r 10")[0] == 0
    assert acme("QUOTA.CONSUME a r 9")[0] == 9
    assert used(acme) == [20, 10]


def test_idle_for_years(acme):
    plan(acme, "LIMIT 5 minute LIMIT 100 month WARN 50")
    acme("QUOTA.CONSUME a r 3")
    acme.advance("7305d")
    assert used(acme) == [0, 0]
    assert acme("QUOTA.CONSUME a r 1")[0] == 1
    history = acme.map("QUOTA.HISTORY a r COUNT 1000")
    assert [entry["period"] for entry in history] == ["month"] + ["1m"] * 999  # it is the end of a month
    assert acme("MEMORY USAGE a") < 1500


def test_the_same_in_scripts_and_transactions(acme):
    acme("MULTI")
    acme("QUOTA.CONSUME a r 3 ID x")
    acme("QUOTA.CONSUME a r 3 ID x")
    assert acme("EXEC") == [[3, 10, 7, 0, DAY_MS, 1]] * 2
    script = "return redis.call('QUOTA.CONSUME', KEYS[1], 'r', '2')"
    assert acme.client.eval(script, 1, "a") == [2, 10, 5, 0, DAY_MS, 1]


@pytest.mark.parametrize("request_line, wait", [
    ("QUOTA.CONSUME a r 3", 6000), ("QUOTA.CONSUME a r 3 UPTO", 2000), ("QUOTA.MCONSUME a 2 free 1 r 3", 6000),
    ("QUOTA.RESERVE a h r 3 TTL 1h", 6000)])
@pytest.mark.parametrize("limit", ["", "LIMIT 2 5s"])
def test_a_denial_begins_the_bucket_of_a_rate(accounts, request_line, wait, limit):
    """Without it the wait of an empty start would never come true; whatever else refuses beside it."""
    accounts("QUOTA.PLAN SET p free LIMIT -1 month")
    accounts(f"QUOTA.PLAN SET p r RATE TOKEN 5 10s INITIAL 0 {limit}")
    accounts("QUOTA.OPEN a p")
    checked = accounts("QUOTA.CHECK a r 3")  # begins nothing
    accounts.advance("1m")
    assert accounts("QUOTA.CHECK a r 3") == checked
    verdict = accounts(request_line)
    denied = verdict if isinstance(verdict[0], int) else verdict[1]
    never = limit and "UPTO" not in request_line  # three units never fit a limit of two
    assert denied[:1] + denied[3:4] == [0, -1 if never else wait]
    accounts.advance(f"{wait - 1}ms")
    assert accounts(f"QUOTA.CHECK a r {wait // 2000}")[0][0] == 0  # a unit every two seconds
    accounts.advance("1ms")
    again = accounts(request_line)
    granted = again if isinstance(again[0], int) else again[1]
    assert (granted[0] > 0) == (not never)


def test_terse(accounts):
    """One integer for each row; TERSE is no content of an id."""
    for resource, limit in ("r", 10), ("s", 5):
        accounts(f"QUOTA.PLAN SET short {resource} LIMIT {limit} 1h")
    accounts(f"QUOTA.OPEN a short ANCHOR {NOON_MS}")
    assert accounts("QUOTA.MCONSUME a 2 r 6 s 5 TERSE ID x") == [6, 5]
    assert accounts("QUOTA.MCONSUME a 2 r 6 s 5 ID x") == [[6, 10, 4, 0, 3_600_000, 0], [5, 5, 0, 0, 3_600_000, 0]]
    assert accounts("QUOTA.MCONSUME a 2 r 6 s 5 ID x TERSE") == [6, 5]
    assert accounts("QUOTA.MCONSUME a 2 r 1 s 1 TERSE") == [0, -3_600_000]
    assert accounts("QUOTA.MCONSUME a 2 r 11 s 1 TERSE CHECK") == [None, -3_600_000]
    assert accounts("QUOTA.MCONSUME a 2 s 1 r 1 TERSE ANY") == [-3_600_000, 1]
