"""Plans as histories: a change happens at one instant for every account, prorated limits are integrals.

    cases       faults once seen, with the right values worked out by hand (their numbers are those of the review)
    vectors     limits of a 30-day cycle after a sequence of changes
    the rest    GRACE once in a cycle; END and EFFECTIVE; overrides, a layer above the plan

What both can show runs on the slow model and on the module (subjects.py); properties: test_plan_properties.py.
"""

import pytest

from conftest import NOON_MS
from servers import Server
from subjects import either  # noqa: F401, a fixture

OK = (b"OK", True, "OK")
DAY_MS = 86_400_000


def rules(quota, account="a", resource="r"):
    return quota.map(f"QUOTA.INFO {account} {resource}")["rules"]


def values(quota, name, account="a", resource="r"):
    return [rule[name] for rule in rules(quota, account, resource)]


# ---- cases ----


@pytest.mark.parametrize("apply, february", [("FULL", 500), ("PRORATE", 654)])
def test_case_10_a_change_is_the_same_for_all_accounts(either, apply, february):
    """PRORATE: of February's 28 days 8.625 at 1000 and 19.375 at 500: 18312.5 / 28 = 654.02."""
    either("QUOTA.PLAN SET bill r LIMIT 1000 month CALENDAR OVERAGE")
    for name in ("untouched", "charged", "switched"):
        either(f"QUOTA.OPEN {name} bill")
        either(f"QUOTA.CONSUME {name} r 900")
    either.advance("9d")
    either(f"QUOTA.PLAN SET bill r LIMIT 500 month CALENDAR OVERAGE APPLY {apply}")
    either("QUOTA.CONSUME charged r 1")
    either("QUOTA.SWITCH switched bill")
    either.advance("25d")
    for name in ("untouched", "charged", "switched"):
        assert [cycle["limit"] for cycle in either.map(f"QUOTA.HISTORY {name} r")] == [february, 1000]
        assert values(either, "limit", name) == [500]


def test_case_11_info_shows_what_consume_decides(either):
    either("QUOTA.PLAN SET p r LIMIT 100 day")
    either("QUOTA.PLAN SET p other LIMIT 1 day")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 10")
    either("QUOTA.PLAN SET p r LIMIT 200 day")
    assert (values(either, "limit"), values(either, "remaining")) == ([200], [190])
    assert either("QUOTA.CONSUME a r 190 CHECK")[:3] == [190, 200, 190]
    assert either("QUOTA.PLAN DEL p r") == 1
    assert set(either.map("QUOTA.INFO a")["resources"]) == {"other"}
    assert either.error("QUOTA.INFO a r").startswith("NORESOURCE")
    assert either.error("QUOTA.CONSUME a r 1").startswith("NORESOURCE")


def test_case_12_accounts_of_a_retired_plan_go_on_under_its_last_revision(either):
    either("QUOTA.PLAN SET p r LIMIT 100 day")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 4")
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.PLAN DEL p")
    assert either("QUOTA.CONSUME a r 7") == [0, 10, 6, DAY_MS, DAY_MS, 0]
    assert either("QUOTA.CONSUME a r 6") == [6, 10, 0, 0, DAY_MS, 0]
    assert either.error("QUOTA.OPEN b p").startswith("NOPLAN")
    assert either("QUOTA.OPEN a p") in OK
    assert either("QUOTA.PLAN SET p r LIMIT 20 day") == 3  # revived: revisions go on
    assert values(either, "limit") == [20]
    assert either("QUOTA.OPEN b p") in OK


def test_case_13_an_override_leaves_rules_of_other_kinds(either):
    either("QUOTA.PLAN SET p r LIMIT 1000 month CALENDAR RATE 1250 1h WARN 80")
    either("QUOTA.OPEN a p")
    either("QUOTA.OVERRIDE a r LIMIT 1500 month CALENDAR")
    assert [(rule["kind"], rule["limit"]) for rule in rules(either)] == [("LIMIT", 1500), ("RATE", 1250)]
    assert either("QUOTA.CONSUME a r 1199")[:3] == [1199, 1250, 51]
    assert either.map("QUOTA.INFO a r")["warned"] == []
    assert either("QUOTA.CONSUME a r 1")[:3] == [1, 1250, 50]
    assert either.map("QUOTA.INFO a r")["warned"] == [80]  # of 1500
    assert either("QUOTA.CONSUME a r 51")[0] == 0


@pytest.mark.parametrize("before", [[], ["CONSUME a r 1", "REFUND a r 1"]], ids=["unused", "used"])
def test_case_14_a_hold_posts_to_limits_that_have_joined(either, before):
    either("QUOTA.PLAN SET p r LIMIT 100 month")
    either("QUOTA.PLAN SET q r LIMIT 100 month LIMIT 60 day")
    either("QUOTA.OPEN a p")
    either("QUOTA.RESERVE a h r 50 TTL 1h")
    either("QUOTA.SWITCH a q FULL")
    for line in before:
        either(f"QUOTA.{line}")
    assert either("QUOTA.COMMIT a h") == [50, 0, 10]
    assert values(either, "used") == [50, 50]


def test_case_14_a_limit_that_joined_in_a_later_cycle_counts_in_its_running_one(either):
    either("QUOTA.PLAN SET p r LIMIT 100 month")
    either("QUOTA.PLAN SET q r LIMIT 100 month LIMIT 60 day")
    either("QUOTA.OPEN a p")
    either("QUOTA.RESERVE a h r 50 TTL 3d")
    either.advance("36h")
    either("QUOTA.SWITCH a q FULL")
    assert either("QUOTA.COMMIT a h 40") == [40, 10, 20]
    assert values(either, "used") == [40, 40]


@pytest.mark.parametrize("later", ["0ms", "1h"])
def test_case_15_what_reset_has_given_back_is_not_refunded_again(either, later):
    either("QUOTA.PLAN SET p r LIMIT 100 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 50 ID a")
    either.advance(later)
    either("QUOTA.RESET a r")
    either.advance(later)
    either("QUOTA.CONSUME a r 50 ID b")
    assert either("QUOTA.REFUND a r 50 OF a") == [0, 50, 50]
    assert values(either, "used") == [50]
    assert either("QUOTA.REFUND a r 50 OF b") == [50, 0, 100]


def test_case_15_nor_what_an_unnamed_refund_has(either):
    either("QUOTA.PLAN SET p r LIMIT 100 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 30 ID a")
    either.advance("1h")
    either("QUOTA.CONSUME a r 20 ID b")
    either.advance("1h")
    assert either("QUOTA.REFUND a r 25") == [25, 0, 75]  # b's 20, and 5 of a's
    either.advance("1h")
    either("QUOTA.CONSUME a r 40 ID c")
    assert either("QUOTA.REFUND a r 30 OF a") == [25, 5, 60]
    assert either("QUOTA.REFUND a r 20 OF b") == [0, 20, 60]
    assert either("QUOTA.REFUND a r 40 OF c") == [40, 0, 100]


def test_case_15_set_is_no_consumption(either):
    either("QUOTA.PLAN SET p r LIMIT 100 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 50 ID a")
    either.advance("1h")
    either("QUOTA.SET a r 30")
    assert either("QUOTA.REFUND a r 50 OF a") == [0, 50, 70]
    assert either("QUOTA.REFUND a r 40") == [30, 10, 100]


def test_case_16_a_burst_is_repaid_once(either):
    either("QUOTA.PLAN SET p r LIMIT 10 month CALENDAR BURST 150 REPAY")
    either("QUOTA.OPEN a p")
    granted = []
    for month in range(2, 8):
        either(f"QUOTA.CLOCK FREEZE 2025-0{month}-01T00:00:00Z")
        granted.append(either("QUOTA.CONSUME a r 100 UPTO")[0])
    assert granted == [25, 10, 10, 10, 10, 10]
    assert [cycle["limit"] for cycle in either.map("QUOTA.HISTORY a r")] == [0, 0, 0, 0, 10]


def test_case_17_waits_count_from_the_true_clock(either):
    """A year ahead ten are used; put right, the day that ends there is 365 days and 9 hours away."""
    either("QUOTA.PLAN SET p r LIMIT 10 day CALENDAR")
    either("QUOTA.OPEN a p")
    either.advance("365d")
    either("QUOTA.CONSUME a r 10")
    either.advance("-365d")
    away = 365 * DAY_MS + 9 * 3_600_000
    assert either("QUOTA.CONSUME a r 1") == [0, 10, 0, away, away, 0]
    either.advance("1d")
    assert either("QUOTA.CONSUME a r 1") == [0, 10, 0, away - DAY_MS, away - DAY_MS, 0]


def test_case_17_reset_forgets_instants_that_lie_ahead(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day CALENDAR")
    accounts("QUOTA.OPEN a p")
    accounts.advance("365d")
    accounts("QUOTA.CONSUME a r 10")
    accounts.advance("-365d")
    assert "ahead" in str(accounts.map("QUOTA.HEALTH")["problems"])
    accounts("QUOTA.RESET a")
    assert accounts("QUOTA.CONSUME a r 1") == [1, 10, 9, 0, 9 * 3_600_000, 0]
    assert values(accounts, "end") == [NOON_MS + 9 * 3_600_000]


def test_case_18_what_a_commit_leaves_goes_back_to_rates(either):
    either("QUOTA.PLAN SET p r RATE FIXED 1000 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.RESERVE a h r 300 TTL 1h")
    assert values(either, "used") == [300]
    assert either("QUOTA.COMMIT a h 100")[:2] == [100, 200]
    assert values(either, "used") == [100]
    either("QUOTA.RESERVE a i r 300 TTL 1h")
    assert either("QUOTA.RELEASE a i")[:2] == [0, 300]
    assert values(either, "used") == [100]


def test_case_18_more_than_was_held_is_charged_with_force(either):
    either("QUOTA.PLAN SET p r LIMIT 5000 month RATE FIXED 10000 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.RESERVE a h r 4000 TTL 1h")
    assert not either.error("QUOTA.COMMIT a h 5100").startswith("RESOLVED")
    assert either("QUOTA.COMMIT a h 5100 FORCE") == [5100, 0, 0]
    assert (values(either, "used"), values(either, "held")) == ([5100, 5100], [0, 0])
    assert either("QUOTA.COMMIT a h 5100 FORCE") == [5100, 0, 0]  # repeated: once
    assert either("QUOTA.COMMIT a h 5100") == [5100, 0, 0]
    assert either.error("QUOTA.COMMIT a h 5000").startswith("RESOLVED")
    assert either.error("QUOTA.RELEASE a h").startswith("RESOLVED")
    assert values(either, "used") == [5100, 5100]


def test_case_19_a_rate_gives_back_what_it_still_remembers(accounts):
    """The five of then have left their window; the four of now are another client's."""
    accounts("RL.ALLOW k FIXED 5 10s COST 5")
    accounts.advance("20s")
    accounts("RL.ALLOW k FIXED 5 10s COST 4")
    assert accounts("RL.REFUND k 5 AGE 20s") == 0
    assert accounts("RL.ALLOW k FIXED 5 10s PEEK")[:3] == [1, 5, 1]
    assert accounts("RL.REFUND k 5") == 4
    assert accounts("RL.ALLOW k FIXED 5 10s PEEK")[:3] == [1, 5, 5]
    accounts("QUOTA.PLAN SET p r LIMIT 100 day RATE FIXED 5 10s")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 5 ID a")
    accounts.advance("20s")
    accounts("QUOTA.CONSUME a r 4")
    assert accounts("QUOTA.REFUND a r 5 OF a")[:2] == [5, 0]
    assert values(accounts, "used") == [4, 4]


# ---- cases of bounds: what has ended never counts ----

BOUNDED = pytest.mark.parametrize("quota", [3], ids=["resp3"], indirect=True)


def many(quota, lines):
    pipeline = quota.client.pipeline(transaction=False)
    for line in lines:
        pipeline.execute_command(*line.split())
    return pipeline.execute(raise_on_error=False)


@BOUNDED
def test_case_20_ended_holds_lock_no_client_out(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    replies = many(accounts, [f"QUOTA.RESERVE a h{number} r 1 TTL 1s" for number in range(10_000)])
    assert all(isinstance(reply, list) and reply[0] == 1 for reply in replies)
    assert accounts.error("QUOTA.RESERVE a more r 1 TTL 1s").startswith("LIMITED")
    accounts.advance("1s")  # ended, and still remembered
    assert accounts("QUOTA.RESERVE a more r 1 TTL 1s")[0] == 1
    accounts.advance("365d")
    assert accounts("QUOTA.RESERVE a late r 1 TTL 1s")[0] == 1
    assert values(accounts, "held") == [1]


@BOUNDED
def test_case_20_nor_do_they_count_as_ids_once_they_are_forgotten(accounts):
    accounts("CONFIG SET quota.id-max 100 quota.id-ttl-ms 5000")
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    many(accounts, [f"QUOTA.RESERVE a h{number} r 1 TTL 1s" for number in range(100)])
    accounts.advance("7s")
    assert accounts("QUOTA.CONSUME a r 1 ID x")[0] == 1
    assert accounts("QUOTA.RESERVE a more r 1 TTL 1s")[0] == 1


@BOUNDED
def test_case_21_a_long_lived_id_keeps_no_short_lived_ones(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    accounts("CONFIG SET quota.id-max 100 quota.id-ttl-ms 31536000000")
    accounts("QUOTA.CONSUME a r 7 ID old")
    accounts("CONFIG SET quota.id-ttl-ms 1000")
    many(accounts, [f"QUOTA.CONSUME a r 1 ID id{number}" for number in range(99)])
    assert accounts.error("QUOTA.CONSUME a r 1 ID more").startswith("LIMITED")
    accounts.advance("1h")
    assert accounts("QUOTA.CONSUME a r 1 ID more")[0] == 1
    accounts("CONFIG SET quota.id-ttl-ms 7200000")
    assert [reply[0] for reply in many(accounts, [f"QUOTA.CONSUME a r 1 ID next{n}" for n in range(98)])] == [1] * 98
    assert accounts.error("QUOTA.CONSUME a r 1 ID last").startswith("LIMITED")
    assert accounts.error("QUOTA.CONSUME a r 1 ID old").startswith("IDCONFLICT")


@BOUNDED
def test_case_22_a_batch_of_many_rules_on_a_fresh_account(accounts):
    """Odd spans: what is remembered of each takes the most bytes."""
    limits = " ".join(f"LIMIT {2**62} {2**52 + 7 * number}us" for number in range(16))
    for number in range(64):
        accounts(f"QUOTA.PLAN SET p r{number} {limits}")
    accounts("QUOTA.OPEN a p")
    rows = " ".join(f"r{number} 2" for number in range(64))
    verdicts = accounts(f"QUOTA.MCONSUME a 64 {rows} ID x")
    assert len(verdicts) == 64 and all(verdict[:3] == [2, 2**62, 2**62 - 2] for verdict in verdicts)
    assert accounts(f"QUOTA.MCONSUME a 64 {rows} ID x") == verdicts
    assert values(accounts, "used", resource="r63") == [2] * 16


@BOUNDED
def test_case_23_a_million_ids_are_remembered_by_default(accounts):
    server = Server().start()
    try:
        (limit,) = server.client().config_get("quota.id-max").values()
        assert limit == "1000000"
    finally:
        server.close()
    accounts("CONFIG SET quota.id-max", limit)
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    for thousand in range(100):
        many(accounts, [f"QUOTA.CONSUME a r 1 ID {thousand}-{number}" for number in range(1000)])
    assert accounts("QUOTA.CONSUME a r 1 ID more")[:3] == [1, -1, -1]
    assert values(accounts, "used") == [100_001]
    accounts("DEL a")


def test_case_30_units_that_do_not_fit_are_an_error(accounts):
    """2^62 of COST 2 are 2^63 units: one too many."""
    accounts("QUOTA.PLAN SET p tok LIMIT -1 month")
    accounts("QUOTA.PLAN SET p api COST 2 LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    accounts(f"QUOTA.CONSUME a tok {2**62}")
    before = accounts("DUMP a")
    assert accounts.error(f"QUOTA.RESERVE a h api {2**62} TTL 1h").startswith("OVERFLOW")
    assert accounts.error(f"QUOTA.CONSUME a api {2**62}").startswith("OVERFLOW")
    assert accounts("DUMP a") == before
    assert accounts(f"QUOTA.RESERVE a h api {2**62 - 1} TTL 1h") == [2**62 - 1, -1, -1, 0, 28 * DAY_MS, 0]
    assert accounts.error("QUOTA.RESERVE a i api 1 TTL 1h").startswith("OVERFLOW")


# ---- vectors: the limit of a 30-day cycle after changes (day, limit, APPLY), None = the plan is without it ----

PRORATED = [
    # parts of a limit
    ([(0, 100, "FULL")], 100),
    ([(0, 100, "FULL"), (10, 400, "PRORATE")], 300),  # 100 x 10 + 400 x 20 = 9000
    ([(0, 100, "FULL"), (10, 400, "PRORATE"), (20, 100, "PRORATE")], 200),
    ([(0, 0, "FULL"), (15, 1, "PRORATE")], 1),  # one half, away from zero
    ([(0, 1, "FULL"), (15, 0, "PRORATE")], 1),
    ([(0, 100, "FULL"), (7, 101, "PRORATE"), (14, 102, "PRORATE"), (21, 103, "PRORATE")], 102),  # 101.6, rounded once
    # without the limit: nothing
    ([(0, 100, "FULL"), (10, None, "PRORATE"), (20, 400, "PRORATE")], 167),  # 1000 + 0 + 4000
    ([(0, None, "FULL"), (10, 300, "PRORATE")], 200),
    # unlimited: as much as now
    ([(0, -1, "FULL"), (15, 90, "PRORATE")], 90),
    ([(0, 100, "FULL"), (10, -1, "PRORATE")], -1),
    ([(0, 100, "FULL"), (10, -1, "PRORATE"), (20, 400, "PRORATE")], 300),
    ([(0, 100, "FULL"), (10, -1, "PRORATE"), (20, 400, "PRORATE"), (25, 40, "PRORATE")], 120),  # 1000+400+2000+200
    # FULL: as if it had been so all the time
    ([(0, 100, "FULL"), (10, 400, "PRORATE"), (20, 60, "FULL")], 60),
    ([(0, 100, "FULL"), (10, 200, "FULL"), (20, 400, "PRORATE")], 267),  # 200 x 20 + 400 x 10 = 8000
    ([(0, None, "FULL"), (10, 300, "FULL")], 300),
    ([(0, 100, "FULL"), (10, None, "FULL"), (20, 300, "PRORATE")], 100),  # the parts of before are forgotten
    # several at one instant
    ([(0, 100, "FULL"), (10, 7000, "PRORATE"), (10, None, "PRORATE"), (10, 400, "PRORATE")], 300),
    ([(0, 100, "FULL"), (10, 7000, "PRORATE"), (10, 100, "PRORATE")], 100),
    ([(0, 100, "FULL"), (10, 400, "FULL"), (10, 100, "PRORATE")], 200),  # 400 x 10 + 100 x 20 = 6000
]


def worded(limit):
    return ("" if limit is None else f"LIMIT {limit} 30d ") + "LIMIT -1 forever"


def limit_of_cycle(quota):
    return [rule["limit"] for rule in rules(quota) if rule["period"] == "30d"]


@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("changes, expected", PRORATED)
def test_limits_after_changes_of_the_plan(either, changes, expected, used):
    for number, (day, limit, apply) in enumerate(changes):
        either("QUOTA.CLOCK FREEZE", NOON_MS + day * DAY_MS)
        either(f"QUOTA.PLAN SET p r {worded(limit)} APPLY {apply}")
        if number == 0:
            either("QUOTA.OPEN a p")
            either("QUOTA.CONSUME a r 1 FORCE") if used else None
    assert limit_of_cycle(either) == [expected]
    either("QUOTA.CLOCK FREEZE", NOON_MS + 30 * DAY_MS)
    assert limit_of_cycle(either) == [changes[-1][1]]  # the next cycle knows nothing of it


@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("changes, expected", PRORATED)
def test_limits_after_switches(either, changes, expected, used):
    for number, (_, limit, _) in enumerate(changes):
        either(f"QUOTA.PLAN SET p{number} r {worded(limit)}")
    either("QUOTA.OPEN a p0")
    either("QUOTA.CONSUME a r 1 FORCE") if used else None
    for number, (day, _, apply) in enumerate(changes[1:], 1):
        either("QUOTA.CLOCK FREEZE", NOON_MS + day * DAY_MS)
        either(f"QUOTA.SWITCH a p{number} {apply}")
    assert limit_of_cycle(either) == [expected]
    either("QUOTA.CLOCK FREEZE", NOON_MS + 30 * DAY_MS)
    assert limit_of_cycle(either) == [changes[-1][1]]


# The first cycle: anchored 10 days before the calendar's month ends (28 days), or opened long after the anchor.
BEGUN = [  # rules, then a change on the way: day, rules, APPLY ──▶ limit now
    ("LIMIT 280 month CALENDAR", None, 280), ("LIMIT 280 month CALENDAR PRORATE", None, 100),
    ("LIMIT 280 month CALENDAR", (5, "LIMIT 560 month CALENDAR PRORATE", "PRORATE"), 330),  # 23 days at 280, 5 at 560
    ("LIMIT 280 month CALENDAR PRORATE", (5, "LIMIT 560 month CALENDAR", "PRORATE"), 150),  # 5 and 5
    ("LIMIT 280 month CALENDAR PRORATE", (5, "LIMIT 560 month CALENDAR", "FULL"), 560),
    ("LIMIT 280 month CALENDAR", (5, "LIMIT 560 month CALENDAR PRORATE", "FULL"), 200),
    ("LIMIT -1 month CALENDAR", (5, "LIMIT 280 month CALENDAR", "PRORATE"), 280),
    ("LIMIT -1 month CALENDAR PRORATE", (5, "LIMIT 280 month CALENDAR", "PRORATE"), 100),
    ("LIMIT 1 forever", (5, "LIMIT 280 month CALENDAR PRORATE LIMIT 1 forever", "PRORATE"), 50),
]


@pytest.mark.parametrize("away, limit", [("0d", 300), ("3d", 270)])
@pytest.mark.parametrize("stored", [False, True], ids=["untouched", "touched"])
def test_a_resource_of_a_later_revision_keeps_its_part(either, stored, away, limit):
    """It was never used, and the plan did not have it when the account was opened."""
    for plan in "pq":
        either(f"QUOTA.PLAN SET {plan} r LIMIT 100 30d")
    either("QUOTA.OPEN a p")
    either.advance("10d")
    either("QUOTA.PLAN SET p s LIMIT 300 30d")
    either("QUOTA.CONSUME a r 1") if stored else None
    either.advance("1d")
    either("QUOTA.SWITCH a q PRORATE")
    either("QUOTA.CONSUME a r 1")
    either.advance(away)
    either("QUOTA.SWITCH a p PRORATE")
    assert values(either, "limit", resource="s") == [limit]


@pytest.mark.parametrize("first, change, expected", BEGUN)
def test_the_cycle_in_which_an_account_begins(either, first, change, expected):
    either("QUOTA.CLOCK FREEZE 2025-02-19T00:00:00Z")
    either(f"QUOTA.PLAN SET p r {first}")
    either("QUOTA.OPEN a p")
    if change:
        day, then, apply = change
        either.advance(f"{day}d")
        either(f"QUOTA.PLAN SET p r {then} APPLY {apply}")
    assert values(either, "limit")[0] == expected


def test_time_before_the_opening_counts_at_the_first_limit(either):
    either("QUOTA.PLAN SET p r LIMIT 300 30d PRORATE")
    either("QUOTA.OPEN a p ANCHOR", NOON_MS - 10 * DAY_MS)
    assert values(either, "limit") == [300]  # it began when it was anchored: nothing is cut
    either.advance("10d")
    either("QUOTA.PLAN SET p r LIMIT 600 30d APPLY PRORATE")
    assert values(either, "limit") == [400]


# ---- GRACE: once in a cycle ----

GRACES = [  # what happens to the plan half an hour after the first unit beyond the limit
    [], ["SWITCH a large", "SWITCH a p"], ["SWITCH a large FULL", "SWITCH a p FULL"],
    ["PLAN SET p r LIMIT 100 day GRACE 1h", "PLAN SET p r LIMIT 10 day GRACE 1h"],
    ["OVERRIDE a r LIMIT 100 day", "OVERRIDE a r LIFT"], ["SWITCH a none FULL", "SWITCH a p FULL"],
    ["REFUND a r 5", "CONSUME a r 5"],
]


@pytest.mark.parametrize("lines", GRACES)
def test_grace_begins_once_in_a_cycle(either, lines):
    either("QUOTA.PLAN SET p r LIMIT 10 day GRACE 1h")
    either("QUOTA.PLAN SET large r LIMIT 100 day GRACE 1h")
    either("QUOTA.PLAN SET none r LIMIT -1 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 11")
    either.advance("30m")
    for line in lines:
        either(f"QUOTA.{line}")
    assert either("QUOTA.CONSUME a r 1")[0] == 1
    either.advance("30m")
    assert either("QUOTA.CONSUME a r 1")[:4] == [0, 10, 0, DAY_MS - 3_600_000]
    either.advance("23h")
    assert either("QUOTA.CONSUME a r 11")[0] == 11  # the next cycle, the next grace


NO_UNITS = {  # none of them consumes a unit beyond the limit, though 6 of 4 are used
    "a limit that falls": [], "a hold that lives on": ["RESERVE a h r 1 TTL 9h"],
    "a hold that expires": ["RESERVE a h r 1 TTL 1h"], "a release": ["RESERVE a h r 1 TTL 9h", "RELEASE a h"],
    "a commit of nothing": ["RESERVE a h r 1 TTL 9h", "COMMIT a h 0"], "a dry run": ["CONSUME a r 1 CHECK"],
}


@pytest.mark.parametrize("name", NO_UNITS)
def test_grace_begins_with_a_consumed_unit_alone(either, name):
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.PLAN SET over r LIMIT 4 day OVERAGE")
    either("QUOTA.PLAN SET soft r LIMIT 5 day GRACE 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 6")
    either("QUOTA.SWITCH a over FULL")
    for line in NO_UNITS[name]:
        either(f"QUOTA.{line}")
    either.advance("2h")
    either("QUOTA.SWITCH a soft FULL")
    assert either("QUOTA.CONSUME a r 1")[0] == 1
    either.advance("1h")
    assert either("QUOTA.CONSUME a r 1")[0] == 0


@pytest.mark.parametrize("change", ["PLAN SET p r LIMIT 9 day APPLY PRORATE", "PLAN SET p r LIMIT 9 day",
                                    "OVERRIDE a r ONLY LIMIT 9 day"], ids=["prorated", "full", "override"])
def test_a_limit_that_sleeps_begins_no_grace(either, change):
    """Nothing is beyond a limit that does not hold: 8 of 10 are used when it is back, and two more may come."""
    either("QUOTA.PLAN SET p r LIMIT 10 12h CALENDAR WARN 50%")
    either("QUOTA.OPEN a p")
    either("QUOTA.RESERVE a h r 8 TTL 9h")
    either.advance("1h")
    either(f"QUOTA.{change}")
    either("QUOTA.COMMIT a h")
    either("QUOTA.OVERRIDE a r LIFT")
    either("QUOTA.PLAN SET p r LIMIT 10 12h CALENDAR WARN 50% GRACE 1h")
    assert values(either, "used") == [8]
    either.advance("1h")
    assert either("QUOTA.CONSUME a r 2")[0] == 2
    assert either.map("QUOTA.INFO a r")["warned"] == [50]
    assert either("QUOTA.CONSUME a r 1")[0] == 1  # the grace begins
    either.advance("1h")
    assert either("QUOTA.CONSUME a r 1")[0] == 0


@pytest.mark.parametrize("lines", [["CONSUME a r 1"], ["RESERVE a h r 1 TTL 9h", "+1h", "COMMIT a h"]],
                         ids=["consumed", "held, and committed later"])
def test_grace_begins_when_the_unit_was_taken_whatever_the_plan_said_then(either, lines):
    either("QUOTA.PLAN SET over r LIMIT 4 day OVERAGE")
    either("QUOTA.PLAN SET soft r LIMIT 5 day GRACE 2h")
    either("QUOTA.OPEN a over")
    either("QUOTA.CONSUME a r 4")
    for line in lines:
        either.advance(line[1:]) if line.startswith("+") else either(f"QUOTA.{line}")
    either("QUOTA.SWITCH a soft FULL")
    assert either("QUOTA.CONSUME a r 1")[0] == 1
    either.advance("2h" if len(lines) == 1 else "1h")
    assert either("QUOTA.CONSUME a r 1")[0] == 0


@pytest.mark.parametrize("line", ["RESET a r", "SET a r 0"])
def test_grace_begins_anew_with_corrections(either, line):
    either("QUOTA.PLAN SET p r LIMIT 10 day GRACE 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 11")
    either.advance("2h")
    assert either("QUOTA.CONSUME a r 1")[0] == 0
    either(f"QUOTA.{line}")
    assert either("QUOTA.CONSUME a r 12")[0] == 12


def test_a_wait_that_outlives_a_grace_ends_with_the_cycle(either):
    """The rolling window would admit a unit after 6 hours. By then the grace is over: the day has to end."""
    either("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 11 ROLLING 6h GRACE 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 11")
    wait = either("QUOTA.CONSUME a r 1")[3]
    assert wait == DAY_MS
    either.advance(f"{wait - 1}ms")
    assert either("QUOTA.CONSUME a r 1 CHECK")[0] == 0
    either.advance("1ms")
    assert either("QUOTA.CONSUME a r 1")[0] == 1


def test_a_batch_that_outlives_a_grace_ends_with_the_cycle(either):
    """The one row waits for tomorrow. By then the grace of the other, which is admitted now, is over."""
    either("QUOTA.PLAN SET p s LIMIT 10 day")
    either("QUOTA.PLAN SET p r LIMIT 0 month GRACE 1h")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a s 8")
    either("QUOTA.CONSUME a r 1")
    verdicts = either("QUOTA.MCONSUME a 2 s 3 r 1")
    assert [verdict[3] for verdict in verdicts] == [DAY_MS, 28 * DAY_MS]
    either.advance("1d")
    assert [verdict[0] for verdict in either("QUOTA.MCONSUME a 2 s 3 r 1 CHECK")] == [0, 0]
    either.advance("27d")
    assert [verdict[0] for verdict in either("QUOTA.MCONSUME a 2 s 3 r 1")] == [3, 1]


# ---- END and EFFECTIVE ----


def test_apply_end_comes_when_each_accounts_longest_cycle_ends(either):
    either("QUOTA.PLAN SET p r LIMIT 10 month LIMIT 5 day")
    either("QUOTA.OPEN a p")  # its month ends on February 28 at noon
    either("QUOTA.OPEN b p ANCHOR", NOON_MS - 21 * DAY_MS)  # on February 10
    either.advance("2d")
    either("QUOTA.PLAN SET p r LIMIT 20 month LIMIT 6 day APPLY END")
    either("QUOTA.OPEN late p")  # the newest, whatever its APPLY
    assert [values(either, "limit", name) for name in ("a", "b", "late")] == [[10, 5], [10, 5], [20, 6]]
    either("QUOTA.CLOCK FREEZE 2025-02-10T14:59:59.999Z")
    assert values(either, "limit", "b") == [10, 5]
    either.advance("1ms")
    assert [values(either, "limit", name) for name in ("a", "b", "late")] == [[10, 5], [20, 6], [20, 6]]
    either("QUOTA.CLOCK FREEZE 2025-02-28T15:00:00Z")
    assert values(either, "limit") == [20, 6]


def test_the_longest_cycle_is_not_the_last_to_end(either):
    """On February 27 the month ends in a day, the third day in two."""
    either("QUOTA.PLAN SET p r LIMIT 10 month LIMIT 5 3day")
    either("QUOTA.OPEN a p")
    either("QUOTA.CLOCK FREEZE 2025-02-27T16:00:00Z")
    either("QUOTA.PLAN SET p r LIMIT 20 month LIMIT 6 3day APPLY END")
    either("QUOTA.CLOCK FREEZE 2025-02-28T14:59:59Z")
    assert values(either, "limit") == [10, 5]
    either.advance("1s")
    assert values(either, "limit") == [20, 6]


def test_opening_an_account_again_moves_no_end_of_before(either):
    """The days behind the first one have the limit that came when it ended, though the account was opened later."""
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.OPEN a p EXPIRES", NOON_MS + 4 * DAY_MS)
    either("QUOTA.CONSUME a r 1")
    either("QUOTA.PLAN SET p r LIMIT 10 month LIMIT 5 day APPLY END")
    either.advance("8d")
    before = [5, 5, 5, 10]  # newest first: the last one is what it leaves when it has expired
    assert [cycle["limit"] for cycle in either.map("QUOTA.HISTORY a r")][-4:] == before
    assert either("QUOTA.OPEN a p") in OK
    assert [cycle["limit"] for cycle in either.map("QUOTA.HISTORY a r")][-4:] == before


def test_opening_an_account_again_keeps_what_rolled_over_before(either):
    """A resource that joins by APPLY END where no cycle runs is there at once: its first half day hands on all."""
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.OPEN a p")
    either("QUOTA.PLAN SET p s LIMIT 10 12h ROLLOVER 100% APPLY END")
    assert either("QUOTA.CLOSE a") in OK
    either.advance("12h")
    assert either("QUOTA.OPEN a p") in OK
    assert (values(either, "limit", "a", "s"), values(either, "rolled", "a", "s")) == ([20], [10])


def test_a_later_revision_that_comes_first_supersedes_one_at_the_end(either):
    either("QUOTA.PLAN SET p r LIMIT 10 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.PLAN SET p r LIMIT 20 month APPLY END")
    either.advance("1d")
    either("QUOTA.PLAN SET p r LIMIT 30 month")
    assert values(either, "limit") == [30]
    either.advance("40d")
    assert values(either, "limit") == [30]


def test_effective_comes_at_its_instant_touched_or_not(either):
    either("QUOTA.PLAN SET p r LIMIT 100 30d")
    for name in ("a", "b"):
        either(f"QUOTA.OPEN {name} p")
    at = NOON_MS + 10 * DAY_MS
    assert either(f"QUOTA.PLAN SET p r LIMIT 400 30d APPLY PRORATE EFFECTIVE {at}") == 2
    either("QUOTA.CLOCK FREEZE", at - 1)
    assert values(either, "limit") == [100]
    either("QUOTA.CLOCK FREEZE", at)
    assert values(either, "limit") == [300]
    either("QUOTA.CONSUME a r 1")
    either("QUOTA.CLOCK FREEZE", at + 5 * DAY_MS)
    assert [values(either, "limit", name) for name in ("a", "b")] == [[300], [300]]
    assert either(f"QUOTA.PLAN SET p r LIMIT 1 30d EFFECTIVE {at}") == 3  # it has passed: now
    assert values(either, "limit") == [1]


def test_the_same_rules_are_no_new_revision(either):
    assert either("QUOTA.PLAN SET p r LIMIT 100 30d") == 1
    either("QUOTA.OPEN a p")
    either.advance("10d")
    either("QUOTA.PLAN SET p r LIMIT 400 30d APPLY PRORATE")
    either("QUOTA.PLAN SET p r LIMIT 400 30d")  # FULL would be 400
    assert values(either, "limit") == [300]
    either(f"QUOTA.PLAN SET p r LIMIT 7 30d EFFECTIVE {NOON_MS + 20 * DAY_MS}")
    either("QUOTA.PLAN SET p r LIMIT 400 30d")  # and what was to come is off
    either.advance("15d")
    assert values(either, "limit") == [300]


def test_what_was_set_is_in_force_where_the_clock_steps_back(either):
    either("QUOTA.PLAN SET p r LIMIT 10 day")
    either("QUOTA.OPEN a p")
    either.advance("1h")
    either("QUOTA.PLAN SET p r LIMIT 20 day")
    either(f"QUOTA.PLAN SET p other LIMIT 5 day EFFECTIVE {NOON_MS + 2 * 3_600_000}")
    either.advance("-90m")
    either("QUOTA.OPEN b p")
    assert [values(either, "limit", name) for name in "ab"] == [[20], [20]]
    assert either("QUOTA.CONSUME a r 20")[:3] == [20, 20, 0]
    either("QUOTA.PLAN SET p r LIMIT 30 day")  # newer, though the clock says earlier
    either.advance("5h")
    assert [values(either, "limit", name) for name in "ab"] == [[30], [30]]
    assert set(either.map("QUOTA.INFO b")["resources"]) == {"r", "other"}


def test_more_revisions_than_are_kept(either):
    """Of a hundred only the last 64 are remembered: an account further behind ends where the others do."""
    either("QUOTA.PLAN SET p r LIMIT 1000 day")
    for name in ("lazy", "eager"):
        either(f"QUOTA.OPEN {name} p")
        either(f"QUOTA.CONSUME {name} r 1")
    for number in range(100):
        either.advance("7m")
        either(f"QUOTA.PLAN SET p r LIMIT {100 + number} day")
        either("QUOTA.SUSPEND eager")
        either("QUOTA.RESUME eager")
    assert [values(either, "limit", name) for name in ("lazy", "eager")] == [[199], [199]]
    either.advance("1d")
    lazy, eager = (either.map(f"QUOTA.HISTORY {name} r") for name in ("lazy", "eager"))
    assert lazy == eager and [cycle["limit"] for cycle in lazy] == [199]
    assert either("QUOTA.CONSUME lazy r 200")[:3] == [0, 199, 199]


def test_more_limits_than_can_sleep(either):
    """Forty that have left: those that end last are remembered."""
    for number in range(40):
        either(f"QUOTA.PLAN SET p{number} r LIMIT 100 {1000 + number}h")
    either("QUOTA.OPEN a p0")
    for number in range(40):
        either(f"QUOTA.SWITCH a p{number} FULL")
        assert either("QUOTA.CONSUME a r 3")[:3] == [3, 100, 97]
    for number in (38, 30, 20, 39):
        either(f"QUOTA.SWITCH a p{number} FULL")
        assert values(either, "used") == [3]


# ---- overrides: a layer above ----

MERGED = [  # the plan, the override ──▶ kinds, periods and limits in their order
    ("LIMIT 10 month LIMIT 5 day", "LIMIT 50 day", [("month", 10), ("day", 50)]),
    ("LIMIT 10 month LIMIT 5 day", "LIMIT 50 month CALENDAR FROM 15", [("month", 50), ("day", 5)]),
    ("LIMIT 10 month LIMIT 5 day", "LIMIT 70 week", [("month", 10), ("day", 5), ("week", 70)]),
    ("LIMIT 10 month LIMIT 5 day", "ONLY LIMIT 70 week", [("week", 70)]),
    ("LIMIT 10 month LIMIT 5 ROLLING 1h", "LIMIT 6 ROLLING 1h", [("month", 10), ("1h", 6)]),
    ("LIMIT 10 month LIMIT 5 ROLLING 1h", "LIMIT 6 ROLLING 2h", [("month", 10), ("1h", 5), ("2h", 6)]),
    ("RATE 3 1h LIMIT 10 month", "RATE FIXED 9 1m", [("1m", 9), ("month", 10)]),
    ("LIMIT 10 month RATE 3 1h RATE 50 1m", "RATE FIXED 9 1m", [("month", 10), ("1m", 9)]),
    ("LIMIT 10 month WARN 50", "WARN 80", [("month", 10)]),
    ("LIMIT 10 month COST 2", "BURST 20%", [("month", 12)]),
]


@pytest.mark.parametrize("plan, override, expected", MERGED)
def test_an_override_replaces_rules_of_the_same_kind(either, plan, override, expected):
    either(f"QUOTA.PLAN SET p r {plan}")
    either("QUOTA.OPEN a p")
    before = either.map("QUOTA.INFO a r")
    either(f"QUOTA.OVERRIDE a r {override}")
    shown = [(rule["period"], rule["remaining"]) for rule in rules(either)]
    assert shown == expected
    assert [rule["rule"] for rule in rules(either)] == list(range(len(expected)))
    either("QUOTA.OVERRIDE a r LIMIT 1 year")  # replaces the former one whole
    either("QUOTA.OVERRIDE a r LIFT")
    assert either.map("QUOTA.INFO a r") == before
    assert either.error("QUOTA.OVERRIDE a r") and either("QUOTA.OVERRIDE a r LIFT") in OK


def test_the_plan_goes_on_under_an_override(either):
    either("QUOTA.PLAN SET p r LIMIT 100 30d WARN 50")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 40")
    either("QUOTA.OVERRIDE a r LIMIT 1000 30d EX 20d")
    either.advance("10d")
    either("QUOTA.PLAN SET p r LIMIT 400 30d LIMIT 90 day WARN 60 APPLY PRORATE")
    assert values(either, "limit") == [1000, 90]  # what is not overridden follows the plan
    either("QUOTA.CONSUME a r 80")
    either.advance("239h")
    assert values(either, "limit") == [1000, 90]
    either.advance("1h")
    assert (values(either, "limit"), values(either, "used")) == ([300, 90], [120, 0])


def test_an_override_until_the_end_of_the_longest_cycle(either):
    either("QUOTA.PLAN SET p r LIMIT 5 day LIMIT 10 month LIMIT 99 forever")
    either("QUOTA.OPEN a p")
    either.advance("3d")
    either("QUOTA.OVERRIDE a r LIMIT 50 day EX CYCLE")
    either("QUOTA.CLOCK FREEZE 2025-02-28T14:59:59.999Z")
    assert values(either, "limit") == [50, 10, 99]
    either.advance("1ms")
    assert values(either, "limit") == [5, 10, 99]


def test_a_limit_that_leaves_remembers_what_was_used_in_its_cycle(either):
    either("QUOTA.PLAN SET p r LIMIT 10 month LIMIT 5 day")
    either("QUOTA.PLAN SET q r LIMIT 10 month")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 4")
    either("QUOTA.SWITCH a q FULL")
    either("QUOTA.CONSUME a r 2")
    either("QUOTA.SWITCH a p FULL")
    assert values(either, "used") == [6, 4]
    either("QUOTA.SWITCH a q FULL")
    either.advance("1d")
    assert [cycle["used"] for cycle in either.map("QUOTA.HISTORY a r")] == [4]
    either("QUOTA.SWITCH a p FULL")
    assert values(either, "used") == [6, 0]
