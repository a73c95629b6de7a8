"""Credits on a server: GRANT, VOID, GRANTS as commands, on replicas and after reloads, and what hostile input meets.

What they decide is compared with a slow model in test_credits_model.py.
"""

import pytest

from conftest import NOON_MS, as_map, paged
from servers import caught_up

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.CLOCK FREEZE", NOON_MS)
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.PLAN SET p s CREDITS")
    accounts("QUOTA.OPEN a p")
    return accounts


def grants(quota, line="QUOTA.GRANTS a"):
    return {one["id"]: one for one in map(as_map, paged(quota, line))}


# ---- what is answered ----

STREAMS = {
    "limit first, then credits; back the other way round": [
        ("GRANT a g r 50", [50, 0]), ("CONSUME a r 12 ID x", [12, 50, 48, 0, -1, 1]),
        ("REFUND a r 3 OF x", [3, 0, 51]), ("REFUND a r 9 OF x", [9, 0, 60])],
    "overage is paid for": [
        ("CONSUME a r 13 FORCE", [13, 10, 0, 0, DAY_MS, 0]), ("GRANT a g r 2", [0, 2]), ("GRANT a h r 5", [4, 1]),
        ("CONSUME a r 4", [4, 7, 0, 0, -1, 1])],
    "a grant that paid all it has for what was over ends after a while, though no request came meanwhile": [
        ("CONSUME a r 13 FORCE", [13, 10, 0, 0, DAY_MS, 0]),
        (f"GRANT a g r 3 EFFECTIVE {NOON_MS + HOUR_MS}", [0, 0]),
        (f"GRANT a h r 20 EFFECTIVE {NOON_MS + DAY_MS}", [0, 0]),
        ("+40d", 0), ("CONSUME a r 12", [12, 20, 18, 0, -1, 1])],
    "a resource of credits alone": [
        ("CONSUME a s 1", [0, 0, 0, -1, -1, 0]), ("GRANT a g s 5", [5, 0]), ("CONSUME a s 9 UPTO", [5, 5, 0, 0, -1, 0]),
        ("CONSUME a s 1", [0, 5, 0, -1, -1, 0])],
    "several resources in one step": [
        ("GRANT a g s 5", [5, 0]), ("GRANT a h r 5", [5, 0]),
        ("MCONSUME a 2 r 12 s 6", [[0, 10, 15, 0, 0, 0], [0, 5, 5, -1, -1, 0]]),
        ("MCONSUME a 2 r 12 s 5 ID b", [[12, 5, 3, 0, -1, 1], [5, 5, 0, 0, -1, 0]]),
        ("REFUND a s 2 OF b", [2, 0, 2]), ("REFUND a r 4 OF b", [4, 0, 7])],
    "what a hold keeps of a grant that ends": [
        ("GRANT a g s 5 EXPIRES 1h", [5, 0]), ("RESERVE a h s 3 TTL 2h", [3, 5, 2, 0, -1, 0]), ("+1h", 0),
        ("CONSUME a s 1", [0, 0, 0, -1, -1, 0]), ("COMMIT a h 2", [2, 1, 0]), ("REFUND a s 2 OF h", [0, 2, 0])],
    "a grant voided, its refund lost": [
        ("GRANT a g s 5", [5, 0]), ("CONSUME a s 2 ID x", [2, 5, 3, 0, -1, 0]), ("VOID a g", 3), ("VOID a g", 0),
        ("REFUND a s 2 OF x", [0, 2, 0])],
    "COST counts units": [
        ("OVERRIDE a s COST 3", None), ("GRANT a g s 10", [10, 0]), ("CONSUME a s 4", [0, 10, 10, -1, -1, 0]),
        ("CONSUME a s 9 UPTO", [3, 10, 1, 0, -1, 0])],
    "SWITCH keeps grants": [
        ("GRANT a g r 5", [5, 0]), ("PLAN SET q r LIMIT 2 day", 1), ("SWITCH a q FULL", None),
        ("CONSUME a r 7", [7, 5, 0, 0, -1, 1])],
    "burn order": [
        ("GRANT a paid s 2 EXPIRES 9d", [2, 0]), ("GRANT a gift s 2 EXPIRES 9d PROMO", [4, 0]),
        ("GRANT a soon s 2 EXPIRES 8d", [6, 0]), ("GRANT a first s 2 PRIORITY 1", [8, 0]),
        ("GRANT a last s 2", [10, 0]),
        ("CONSUME a s 5 ID x", [5, 10, 5, 0, -1, 0]), ("VOID a first", 0), ("VOID a soon", 0), ("VOID a gift", 1),
        ("VOID a paid", 2), ("VOID a last", 2)],
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(acme, name):
    for line, expected in STREAMS[name]:
        if line.startswith("+"):
            acme.advance(line[1:])
            continue
        answer = acme(f"QUOTA.{line}")
        assert expected is None or answer == expected, line


def test_grants_are_shown(acme):
    acme("QUOTA.GRANT a one r 5 EXPIRES 1h PRIORITY 7 PROMO REASON gift")
    acme("QUOTA.GRANT a two s 9 EVERY month")
    acme("QUOTA.GRANT a three s 4 EFFECTIVE", NOON_MS + HOUR_MS)
    acme("QUOTA.CONSUME a s 2")
    shown = grants(acme)
    assert shown["one"] == {
        "id": "one", "resource": "r", "amount": 5, "left": 5, "held": 0, "effective": NOON_MS,
        "expires": NOON_MS + HOUR_MS, "priority": 7, "promo": 1, "every": None, "next": -1, "state": "active"}
    two = [shown["two"][field] for field in ("left", "every", "next", "expires")]
    assert two == [7, "month", NOON_MS + 28 * DAY_MS, -1]
    assert [shown["three"][field] for field in ("left", "next", "state")] == [4, NOON_MS + HOUR_MS, "pending"]
    assert list(grants(acme, "QUOTA.GRANTS a RESOURCE s")) == ["two", "three"]
    note = acme.map("QUOTA.INFO a")["notes"][0]
    assert [note[field] for field in ("act", "resource", "amount", "reason")] == ["grant", "r", 5, "gift"]
    info = acme.map("QUOTA.INFO a s")
    assert info["credits"] == 7
    assert info["rules"] == [{"rule": 0, "kind": "credits", "period": "", "limit": 9, "used": 2, "held": 0,
                              "remaining": 7, "start": -1, "end": NOON_MS + HOUR_MS, "rolled": 0}]


# It paid all it had for what was over when it began, though no request came: an account that was looked at meanwhile
# shows the same.
@pytest.mark.parametrize("looks", [False, True])
def test_a_grant_that_was_spent_at_its_beginning_ends(acme, looks):
    acme("QUOTA.CONSUME a r 13 FORCE")
    acme(f"QUOTA.GRANT a g r 3 EFFECTIVE {NOON_MS + HOUR_MS}")
    acme.advance("2h")
    assert grants(acme)["g"]["state"] == "active"
    if looks:
        acme("QUOTA.CONSUME a r 1 FORCE")
    acme.advance("40d")
    assert grants(acme) == {}


def test_what_is_committed_beyond_a_hold_of_credits_alone_belongs_to_its_cycle(acme):
    """Nothing else was used in that day: it is remembered for the hold's sake. And 5 of the 8 are the credits'."""
    acme("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 30 month CREDITS FIRST")
    acme("QUOTA.GRANT a g r 5")
    acme("QUOTA.RESERVE a h r 5 TTL 3d")
    acme.advance("1d")
    assert acme("QUOTA.CONSUME a r 2 ID x")[0] == 2
    assert acme("QUOTA.COMMIT a h 8 FORCE") == [8, 0, 8]
    assert [rule["used"] for rule in acme.map("QUOTA.INFO a r")["rules"][:2]] == [2, 5]
    assert [(cycle["period"], cycle["used"]) for cycle in acme.map("QUOTA.HISTORY a r")] == [("day", 3)]
    assert acme("QUOTA.REFUND a r 4 OF h")[:2] == [4, 0]
    assert acme("QUOTA.REFUND a r 2 OF x")[:2] == [2, 0]
    assert [(cycle["used"], cycle["refunded"]) for cycle in acme.map("QUOTA.HISTORY a r")] == [(0, 3)]


def test_a_hold_of_credits_alone_and_a_limit_that_sleeps(acme):
    """The day of the hold sleeps when it is committed, and has counted it when it wakes."""
    acme("QUOTA.PLAN SET p r LIMIT 10 day CREDITS FIRST")
    acme("QUOTA.PLAN SET q r LIMIT 30 month CREDITS FIRST")
    acme("QUOTA.GRANT a g r 5")
    acme("QUOTA.RESERVE a h r 5 TTL 3d")
    acme("QUOTA.SWITCH a q")
    assert acme("QUOTA.COMMIT a h 8 FORCE")[0] == 8
    acme("QUOTA.SWITCH a p FULL")
    assert acme.map("QUOTA.INFO a r")["rules"][0]["used"] == 3


def test_warnings_follow_the_credits(acme):
    acme("QUOTA.PLAN SET p s CREDITS WARN 50 80")
    acme("QUOTA.GRANT a g s 10")
    for amount, warned in [(4, []), (1, [50]), (3, [50, 80])]:
        acme("QUOTA.CONSUME a s", amount)
        assert acme.map("QUOTA.INFO a s")["warned"] == warned
    acme("QUOTA.GRANT a more s 30")
    assert acme.map("QUOTA.INFO a s")["warned"] == []


def test_pages(acme):
    for number in range(25):
        acme(f"QUOTA.GRANT a g{number} {'rs'[number % 2]} 1")
    seen, after = [], ()
    while True:
        cursor, page = acme("QUOTA.GRANTS a COUNT 4", *after)
        seen += [as_map(one)["id"] for one in page]
        if cursor is None:
            break
        after = ("AFTER", cursor)
    assert seen == [f"g{number}" for number in range(25)]
    assert acme("QUOTA.GRANTS a RESOURCE none") == [None, []]
    assert acme.error("QUOTA.GRANTS a AFTER x").startswith("after 'x' is not a cursor")
    assert acme.error("QUOTA.GRANTS absent").startswith("NOACCOUNT")


BAD = [
    ("GRANT a g r 0", "amount '0' is out of range"), ("GRANT a g r x", "amount 'x'"),
    ("GRANT a g none 5", "NORESOURCE"),
    ("GRANT absent g r 5", "NOACCOUNT"), ("GRANT a g r 5 EXPIRES 1738335600", "Unix seconds"),
    ("GRANT a g r 5 EXPIRES never", "expires 'never' is not an instant"), ("GRANT a g r 5 EXPIRES 0s", "expires '0s'"),
    ("GRANT a g s 5 EXPIRES CYCLE", "has no running cycle that ends"), ("GRANT a g r 5 PRIORITY 256", "priority '256'"),
    ("GRANT a g r 5 EVERY forever", "every 'forever' is not a calendar period"),
    ("GRANT a g r 5 EVERY 1M", "every '1M'"),
    ("GRANT a g r 5 EFFECTIVE 2025-03-01T00:00:00Z EXPIRES 2025-02-01T00:00:00Z", "expires: the instant lies"),
    ("GRANT a g r 5 EFFECTIVE 2025-01-01T00:00:00Z EXPIRES 1d", "expires: the instant lies"),
    ("GRANT a g r 5 PROMO PROMO", "given already"), ("GRANT a g", "wrong number of arguments"),
    ("VOID a g", "NOSUCHID"), ("VOID a", "wrong number"), ("PLAN SET p t CREDITS CREDITS", "CREDITS was given already"),
    ("PLAN SET p t LIMIT 1 day CREDITS LOW -1", "LOW '-1'"), ("PLAN SET p t CREDITS LOW x", "LOW 'x'"),
    ("PLAN SET p t WARN 5", "needs a LIMIT, a RATE, CONCURRENT, CREDITS or AS"),
]


@pytest.mark.parametrize("line, says", BAD)
def test_bad_input(acme, line, says):
    assert says in acme.error(f"QUOTA.{line}")
    assert acme("QUOTA.GRANTS a") == [None, []]


def test_a_plan_says_its_credits(acme):
    acme("QUOTA.PLAN SET p t CREDITS FIRST LOW 5 LIMIT 7 day")
    assert "CREDITS FIRST LOW 5" in str(acme("QUOTA.PLAN GET p"))


# ---- transfers ----

def test_a_transfer_moves_lots(acme):
    acme("QUOTA.OPEN b p")
    for line in ("promo s 20 PROMO", "until s 30 EXPIRES 20d", "paid s 70"):
        acme(f"QUOTA.GRANT a {line}")
    for _ in range(2):
        assert acme("QUOTA.TRANSFER a b s 60 ID t REASON thanks") == [60, 60, 60]
    assert acme("QUOTA.TRANSFER a b s 50 ID u") == [0, 60, 60]
    lots = grants(acme, "QUOTA.GRANTS b")
    assert [(name, lot["left"], lot["expires"]) for name, lot in lots.items()] == [
        ("t/0", 30, NOON_MS + 20 * DAY_MS), ("t/1", 30, -1)]
    assert acme.error("QUOTA.TRANSFER a b s 61 ID t").startswith("IDCONFLICT")
    assert acme.error("QUOTA.TRANSFER a a s 1 ID v").startswith("SAMEACCOUNT")
    assert acme.error("QUOTA.TRANSFER a absent s 1 ID v").startswith("NOACCOUNT 'absent'")
    assert acme.error("QUOTA.TRANSFER absent a s 1 ID v").startswith("NOACCOUNT 'absent'")
    assert acme.error("QUOTA.TRANSFER a b none 1 ID v").startswith("NORESOURCE")
    assert "1 to 504 bytes" in acme.error("QUOTA.TRANSFER a b s 1 ID", "x" * 505)
    for account in "ab":
        note = acme.map(f"QUOTA.INFO {account}")["notes"][-1]
        assert [note[field] for field in ("act", "amount", "reason")] == ["transfer", 60, "thanks"]
    assert acme.client.command_getkeys("QUOTA.TRANSFER", "a", "b", "s", 1, "ID", "t") in ([b"a", b"b"], ["a", "b"])


def test_a_transfer_reaches_replicas_as_one(acme, pair):
    acme("QUOTA.OPEN b p")
    acme("QUOTA.GRANT a g s 9 EVERY day")
    acme("QUOTA.CONSUME b r 13 FORCE")
    acme("QUOTA.GRANT a h r 9")
    acme("QUOTA.TRANSFER a b s 4 ID t")
    acme("QUOTA.TRANSFER a b r 5 ID u")
    caught_up(*pair)
    assert pair[1].digest() == pair[0].digest()


# ---- everywhere the same ----

LIFE = ["GRANT a g r 5 EXPIRES 3month", "GRANT a every s 9 EVERY day PROMO",
        "GRANT a to-come s 4 EFFECTIVE 2025-02-02T00:00:00Z", "GRANT a once r 3 ONCE EXPIRES 1h",
        "CONSUME a r 14 ID x", "RESERVE a h s 6 TTL 3d", "CONSUME a s 2 ID y",
        "REFUND a r 2 OF x", "+2d", "CONSUME a s 1", "COMMIT a h 4", "VOID a g", "RESERVE a open s 2 TTL 9d", "+1d",
        "RESERVE a both s 3 r 2 TTL 3d", "RESERVE a left r 1 s 2 TTL 9d", "COMMIT a both 5 2 FORCE",
        "REFUND a ALL OF both", "GRANT a again s 1", "CONSUME a s 3 UPTO"]


def live(quota):
    for line in LIFE:
        quota.advance(line[1:]) if line.startswith("+") else quota(f"QUOTA.{line}")


def test_replicas_reloads_and_copies_are_equal(acme, pair):
    live(acme)
    caught_up(*pair)
    digest = pair[0].digest()
    assert pair[1].digest() == digest
    acme("DEBUG RELOAD")
    assert pair[0].digest() == digest
    payload = acme("DUMP a")
    acme("RESTORE b 0", payload)
    assert acme("DUMP b")[:-10] == payload[:-10]
    before = grants(acme)
    acme("DEL a")
    acme("RENAME b a")
    assert grants(acme) == before


def test_the_same_in_a_transaction_and_a_script(acme):
    pipe = acme.client.pipeline(transaction=True)
    pipe.execute_command("QUOTA.GRANT", "a", "g", "s", 5)
    pipe.execute_command("QUOTA.CONSUME", "a", "s", 3)
    assert pipe.execute() == [[5, 0], [3, 5, 2, 0, -1, 0]]
    assert acme.client.eval("return redis.call('QUOTA.VOID', KEYS[1], 'g')", 1, "a") == 2
