"""QUOTA.SETTLE: what time has done is written down, counted, and reported once; nothing that is shown changes by it."""

import pytest

from conftest import NOON_MS, Quota
from servers import caught_up

DAY_MS = 86_400_000


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month CREDITS")
    accounts("QUOTA.PLAN SET q r LIMIT 20 day")
    accounts("QUOTA.OPEN a p")
    return accounts


def shown(quota):
    holds = quota("QUOTA.HOLDS a")
    return quota.map("QUOTA.INFO a"), quota.map("QUOTA.HISTORY a r COUNT 1000"), holds, quota("QUOTA.GRANTS a")


def test_all_that_time_does_is_counted_once(acme):
    acme("QUOTA.CONSUME a r 4 ID x")
    acme("QUOTA.OVERRIDE a r LIMIT 50 day EX 36h")
    acme("QUOTA.RESERVE a h r 2 TTL 1h")
    acme("QUOTA.GRANT a g r 5 EXPIRES 12h")
    acme("QUOTA.SWITCH a q AT", NOON_MS + 2 * DAY_MS)
    assert acme("QUOTA.SETTLE a") == 0
    acme.advance("1h")
    assert acme("QUOTA.SETTLE a") == 1  # the reservation
    acme.advance("23h")
    assert acme("QUOTA.SETTLE a") == 2  # the grant, the day
    acme.advance("5d")
    before = shown(acme)
    assert acme("QUOTA.SETTLE a") == 2  # the override, the switch; days without use are no matter
    assert acme("QUOTA.SETTLE a") == 0
    assert shown(acme) == before


def test_nothing_to_write_down_changes_nothing(acme):
    acme("QUOTA.CONSUME a r 4")
    digest = acme("DEBUG DIGEST")
    acme.advance("1h")
    assert acme("QUOTA.SETTLE a") == 0
    assert acme("DEBUG DIGEST") == digest
    acme("QUOTA.OPEN b p")
    digest = acme("DEBUG DIGEST")
    acme.advance("100d")
    assert acme("QUOTA.SETTLE b") == 0  # nothing was ever used
    assert acme("DEBUG DIGEST") == digest


def test_any_number_of_reservations(acme):
    for number in range(200):
        acme(f"QUOTA.RESERVE a h{number} r 1 TTL 1h UPTO")
    acme("QUOTA.PLAN SET p r LIMIT 1000 day")
    for number in range(200, 300):
        acme(f"QUOTA.RESERVE a h{number} r 1 TTL 1h")
    acme.advance("1h")
    assert acme("QUOTA.SETTLE a") == 110
    assert acme("QUOTA.SETTLE a") == 0
    assert acme.error("QUOTA.COMMIT a h299").startswith("RESOLVED")


def test_states_in_which_nothing_can_be_consumed(acme):
    acme("QUOTA.CONSUME a r 4")
    acme("QUOTA.CLOSE a")
    acme("QUOTA.OPEN b p EXPIRES 12h")
    acme("QUOTA.CONSUME b r 4")
    acme("QUOTA.OPEN c p")
    acme("QUOTA.SUSPEND c EX 1h")
    acme.advance("1d")
    assert acme("QUOTA.SETTLE a") == 1  # its day
    assert acme("QUOTA.SETTLE b") == 2  # its end, and its day
    assert acme("QUOTA.SETTLE b") == 0
    assert acme.map("QUOTA.INFO b")["state"] == "expired"
    assert acme("QUOTA.SETTLE c") == 1  # it goes on
    assert acme.map("QUOTA.INFO c")["state"] == "active"


def test_a_member_and_the_accounts_above_it(acme):
    """A reservation is the member's; each account writes down what time has done to itself."""
    acme("QUOTA.OPEN org q")
    acme("QUOTA.PARENT a org")
    acme("QUOTA.RESERVE a h r 2 TTL 1h")
    acme("QUOTA.CONSUME a r 3")
    acme.advance("1h")
    assert acme("QUOTA.SETTLE org") == 0
    assert acme("QUOTA.SETTLE a") == 1
    acme.advance("1d")
    assert [acme(f"QUOTA.SETTLE {name}") for name in ("a", "org", "a", "org")] == [1, 1, 0, 0]
    assert acme("QUOTA.CONSUME a r 10")[:3] == [10, 10, 0]


def test_what_is_wrong(acme, primary, replica):
    assert acme.error("QUOTA.SETTLE none").startswith("NOACCOUNT")
    acme("SET s 1")
    assert acme.error("QUOTA.SETTLE s").startswith("WRONGTYPE")
    assert "QUOTA.SETTLE account" in acme.error("QUOTA.SETTLE")
    assert "QUOTA.SETTLE account" in acme.error("QUOTA.SETTLE a b")
    caught_up(primary, replica)
    assert Quota(replica.client()).error("QUOTA.SETTLE a").startswith("You can't write against a read only replica")
