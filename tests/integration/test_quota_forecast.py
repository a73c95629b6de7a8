"""QUOTA.FORECAST: the running cycles carried on at their rate, from what INFO and HISTORY show; values by hand."""

import pytest

from conftest import NOON_MS, Quota, as_map
from servers import caught_up

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
JUNE_MS = 1_748_736_000_000  # 2025-06-01T00:00:00Z
JUNE = {"rule": 0, "period": "month", "limit": 1000, "start": JUNE_MS, "end": JUNE_MS + 30 * DAY_MS, "mean": -1,
        "trend": -1, "credits_deplete_at": -1}


@pytest.fixture
def june(accounts):
    accounts("QUOTA.CLOCK FREEZE", JUNE_MS)
    accounts("QUOTA.PLAN SET p r LIMIT 1000 month")
    accounts("QUOTA.OPEN a p")
    return accounts


@pytest.mark.parametrize("used, projected, depletes, per_day", [
    (700, 2100, 1749970285715, 70), (100, 300, -1, 10), (0, 0, -1, 0),
    (1000, 3000, JUNE_MS + 10 * DAY_MS, 100), (1001, 3003, JUNE_MS + 10 * DAY_MS, 100)])
def test_june_on_its_eleventh_day(june, used, projected, depletes, per_day):
    if used:
        june(f"QUOTA.CONSUME a r {used} FORCE")
    june.advance("10d")
    assert june.map("QUOTA.FORECAST a r") == [
        {**JUNE, "used": used, "projected": projected, "depletes_at": depletes, "per_day": per_day}]


def test_history_is_what_it_is_compared_with(june):
    """Months of 310, none, 100; then 70 in ten of 30 days."""
    for used, month in ((310, "2025-07-01"), (0, "2025-08-01"), (100, "2025-09-01")):
        if used:
            june(f"QUOTA.CONSUME a r {used}")
        june(f"QUOTA.CLOCK FREEZE {month}T00:00:00Z")
    june("QUOTA.CONSUME a r 70")
    june.advance("10d")
    (forecast,) = june.map("QUOTA.FORECAST a r")
    assert (forecast["projected"], forecast["mean"], forecast["trend"]) == (210, 136, 154)  # 154.41


def test_a_map_for_each_limit_and_for_no_other_rule(accounts):
    accounts("QUOTA.PLAN SET p r RATE 100 1s LIMIT 10 1h LIMIT 99 ROLLING 1d LIMIT -1 day CALENDAR LIMIT 0 forever "
             "OVERAGE")
    accounts("QUOTA.OPEN a p ZONE Asia/Tokyo")
    accounts("QUOTA.CONSUME a r 3")
    accounts.advance("30m")
    midnight = NOON_MS  # in Tokyo, where it is 15:00 in UTC
    none = {"mean": -1, "trend": -1, "credits_deplete_at": -1, "used": 3, "per_day": 144}
    assert accounts.map("QUOTA.FORECAST a r") == [
        {**none, "rule": 1, "period": "1h", "limit": 10, "start": NOON_MS, "end": NOON_MS + HOUR_MS, "projected": 6,
         "depletes_at": -1},
        {**none, "rule": 3, "period": "day", "limit": -1, "start": midnight, "end": midnight + DAY_MS,
         "projected": 144, "depletes_at": -1},
        {**none, "rule": 4, "period": "forever", "limit": 0, "start": NOON_MS, "end": -1, "projected": -1,
         "depletes_at": NOON_MS + HOUR_MS // 2}]
    accounts("QUOTA.PLAN SET p s RATE 100 1s")
    assert accounts("QUOTA.FORECAST a s") == []


def test_for_ever_has_no_end_to_come_first(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 1000 forever")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts.advance("1d")
    assert accounts.map("QUOTA.FORECAST a r")[0]["depletes_at"] == NOON_MS + 1000 * DAY_MS


def test_when_the_credits_are_gone(accounts):
    """They burn since the first of those that can be used began, whatever the limits say."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month CREDITS FIRST")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.GRANT a g r 100")
    accounts.advance("1d")
    assert [each["credits_deplete_at"] for each in accounts.map("QUOTA.FORECAST a r")] == [-1, -1]  # none is used
    accounts("QUOTA.CONSUME a r 20")
    accounts.advance("1d")
    assert [each["credits_deplete_at"] for each in accounts.map("QUOTA.FORECAST a r")] == [NOON_MS + 10 * DAY_MS] * 2
    accounts("QUOTA.CONSUME a r 80")
    assert accounts.map("QUOTA.FORECAST a r")[0]["credits_deplete_at"] == NOON_MS + 2 * DAY_MS  # spent: now
    accounts("QUOTA.VOID a g")
    assert accounts.map("QUOTA.FORECAST a r")[0]["credits_deplete_at"] == -1


def test_overrides_rollover_and_revisions_count(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day ROLLOVER 50%")
    accounts("QUOTA.OPEN a p")
    accounts.advance("36h")
    accounts("QUOTA.CONSUME a r 6")
    (forecast,) = accounts.map("QUOTA.FORECAST a r")
    assert (forecast["limit"], forecast["projected"], forecast["depletes_at"]) == (15, 12, -1)
    accounts("QUOTA.OVERRIDE a r LIMIT 3 day")
    (forecast,) = accounts.map("QUOTA.FORECAST a r")
    assert (forecast["limit"], forecast["depletes_at"]) == (8, NOON_MS + 40 * HOUR_MS)  # 12 h x 8 / 6 in
    accounts("QUOTA.PLAN SET p r LIMIT 7 week")
    accounts("QUOTA.OVERRIDE a r LIFT")
    assert [each["period"] for each in accounts.map("QUOTA.FORECAST a r")] == ["week"]


def test_rules_of_the_resource_that_it_is_counted_as(accounts):
    accounts("QUOTA.PLAN SET p tokens LIMIT 100 day")
    accounts("QUOTA.PLAN SET p images COST 10 AS tokens LIMIT -1 hour")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a images 2")
    accounts.advance("6h")
    own, other = accounts.map("QUOTA.FORECAST a images")
    assert (own["rule"], own["limit"], own["used"], own["mean"]) == (0, -1, 0, 0) and "resource" not in own
    assert (other["rule"], other["resource"], other["used"], other["projected"]) == (1, "tokens", 20, 80)
    assert [as_map(row)["rule"] for row in as_map(accounts("QUOTA.INFO a images"))["rules"]] == [0, 1]
    (alone,) = accounts.map("QUOTA.FORECAST a tokens")
    assert alone == {name: value for name, value in {**other, "rule": 0}.items() if name != "resource"}


def test_limits_of_the_accounts_above(accounts):
    """Each on the rules, the cycles and the history of its own; one that does not know the resource has none."""
    accounts("QUOTA.PLAN SET team r LIMIT 10 day")
    accounts("QUOTA.PLAN SET customer s LIMIT 10 day")
    accounts("QUOTA.PLAN SET agency r RATE 100 1s LIMIT 100 month CREDITS")
    accounts("QUOTA.OPEN org agency")
    accounts("QUOTA.OPEN middle customer PARENT org")
    accounts("QUOTA.OPEN a team PARENT middle")
    accounts("QUOTA.OPEN b team PARENT org")
    accounts("QUOTA.CONSUME a r 4")
    accounts("QUOTA.CONSUME b r 8")
    accounts.advance("12h")
    own, above = accounts.map("QUOTA.FORECAST a r")
    assert (own["rule"], own["used"], own["projected"]) == (0, 4, 8) and "account" not in own
    assert (above["rule"], above["account"], above["period"]) == (201, "org", "month")
    assert (above["used"], above["projected"], above["per_day"]) == (12, 672, 24)  # 28 days
    assert above["depletes_at"] == NOON_MS + 12 * HOUR_MS * 100 // 12
    (alone,) = accounts.map("QUOTA.FORECAST org r")
    assert alone == {name: value for name, value in {**above, "rule": 1}.items() if name != "account"}
    assert accounts.error("QUOTA.FORECAST middle r").startswith("NORESOURCE")
    accounts("DEL org")
    assert [each["rule"] for each in accounts.map("QUOTA.FORECAST a r")] == [0]


def test_it_reads_and_says_what_is_wrong(accounts, primary, replica):
    assert accounts.error("QUOTA.FORECAST a r").startswith("NOACCOUNT")
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p EXPIRES 2d")
    accounts("SET s 1")
    assert accounts.error("QUOTA.FORECAST a s").startswith("NORESOURCE")
    assert accounts.error("QUOTA.FORECAST s r").startswith("WRONGTYPE")
    assert "QUOTA.FORECAST account resource" in accounts.error("QUOTA.FORECAST a")
    assert "QUOTA.FORECAST account resource" in accounts.error("QUOTA.FORECAST a r s")
    accounts("QUOTA.CONSUME a r 2")
    digest = accounts("DEBUG DIGEST")
    caught_up(primary, replica)
    other = Quota(replica.client())
    other("QUOTA.CLOCK FREEZE", NOON_MS + DAY_MS + 12 * HOUR_MS)
    (forecast,) = other.map("QUOTA.FORECAST a r")
    assert (forecast["used"], forecast["mean"]) == (0, 2)
    other("QUOTA.CLOCK RESUME")
    accounts.advance("1d")
    accounts("QUOTA.FORECAST a r")
    assert accounts("DEBUG DIGEST") == digest
    accounts.advance("2d")
    assert accounts.error("QUOTA.FORECAST a r").startswith("NORESOURCE")  # it has expired into nothing
