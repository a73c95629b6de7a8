"""QUOTA.RECORD: what is remembered of an id, on primaries and replicas, as long as it counts."""

import pytest

from conftest import NOON_MS, Quota, as_map
from servers import caught_up

DAY_MS = 86_400_000


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month CREDITS")
    accounts("QUOTA.PLAN SET p s LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    return accounts


def record(quota, id):
    """Maps in maps, also where RESP2 shows them as arrays; as_map takes two words for a map, too."""
    found = quota(f"QUOTA.RECORD a {id}")
    entries = found and [as_map(entry) for entry in found]
    for each in entries or []:
        for row in each["resources"]:
            for one in row["levels"]:
                if isinstance(one["cycles"], dict):
                    one["cycles"] = [word for pair in one["cycles"].items() for word in pair]
    return entries


def level(limits, *burn, resource="r", cycles=("day", "month")):
    return {"account": "a", "resource": resource, "limits": limits, "cycles": cycles and list(cycles),
            "burn": [{"grant": grant, "units": units} for grant, units in burn]}


def item(requested, granted, *levels, resource="r", refunded=0, lost=0):
    return {"resource": resource, "requested": requested, "granted": granted, "refunded": refunded, "lost": lost,
            "levels": list(levels)}


def entry(operation, state, *resources, at=NOON_MS, until=NOON_MS + DAY_MS, of=None, **more):
    return {"operation": operation, "state": state, "at": at, "until": until, "of": of, **more,
            "resources": list(resources)}


def test_a_consumption_and_what_came_back_of_it(acme):
    acme("QUOTA.GRANT a gift r 5")
    acme("QUOTA.CONSUME a r 13 ID x")
    assert record(acme, "x") == [entry("consume", "granted", item(13, 13, level(10, ("gift", 3))))]
    acme.advance("1h")
    acme("QUOTA.REFUND a r 4 OF x ID back")
    assert record(acme, "x") == [entry("consume", "granted", item(13, 13, level(10, ("gift", 3)), refunded=4))]
    hour = 3_600_000
    assert record(acme, "back") == [entry("refund", "refunded", item(4, 0, refunded=4), of="x", at=NOON_MS + hour,
                                          until=NOON_MS + hour + DAY_MS)]
    assert record(acme, "gift") == [entry("grant", "given", item(5, 5), until=-1)]
    acme.advance("23h")
    assert record(acme, "x") is None
    assert record(acme, "back") is not None


def test_what_was_denied_is_remembered_where_it_is_sticky(acme):
    acme("QUOTA.CONSUME a r 11 ID x STICKY")
    acme("QUOTA.CONSUME a r 11 ID y")
    assert record(acme, "x") == [entry("consume", "denied", item(11, 0))]
    assert record(acme, "y") is None


def test_a_batch(acme):
    acme("QUOTA.MCONSUME a 2 s 3 r 2 ID x")
    assert record(acme, "x") == [entry("mconsume", "granted", item(3, 3, level(3, resource="s", cycles=["day"]),
                                                                   resource="s"), item(2, 2, level(2)))]


def test_a_reservation_lives_and_ends(acme):
    acme("QUOTA.RESERVE a h r 4 s 2 TTL 1h")
    held = [item(4, 4, level(4, cycles=None)), item(2, 2, level(2, resource="s", cycles=None), resource="s")]
    assert record(acme, "h") == [entry("reserve", "held", *held, until=-1)]
    acme("QUOTA.COMMIT a h 3 0")
    assert record(acme, "h") == [entry("reserve", "committed", item(4, 3, level(3)), item(2, 0, resource="s"))]
    acme("QUOTA.RESERVE a i r 4 TTL 1h")
    acme("QUOTA.RELEASE a i")
    assert record(acme, "i") == [entry("reserve", "released", item(4, 0))]
    acme("QUOTA.RESERVE a j r 4 TTL 1h")
    acme.advance("1h")
    assert record(acme, "j") == [entry("reserve", "expired", item(4, 0), until=NOON_MS + 3_600_000 + DAY_MS)]


def test_a_transfer(acme):
    acme("QUOTA.OPEN b p")
    acme("QUOTA.GRANT a gift r 5")
    acme("QUOTA.TRANSFER a b r 3 ID moved")
    assert record(acme, "moved") == [entry("transfer", "moved", item(3, 3), target="b")]


def test_a_resource_that_is_counted_as_another(acme):
    acme("QUOTA.PLAN SET p image COST 3 AS s LIMIT -1 day")
    acme("QUOTA.CONSUME a image 2 ID x")
    assert record(acme, "x") == [entry("consume", "granted", item(
        2, 2, level(2, resource="image", cycles=["day"]), level(6, resource="s", cycles=["day"]), resource="image"))]


def test_levels_above(acme):
    """What the accounts above counted; grants of theirs have no name here."""
    acme("QUOTA.PLAN SET agency r LIMIT 5 month CREDITS")
    acme("QUOTA.OPEN org agency")
    acme("QUOTA.PARENT a org")
    acme("QUOTA.GRANT org gift r 9")
    acme("QUOTA.CONSUME a r 7 ID x")
    org = {**level(5, (None, 2), cycles=["month"]), "account": "org"}
    assert record(acme, "x") == [entry("consume", "granted", item(7, 7, level(7), org))]
    acme("QUOTA.RESERVE a h r 2 TTL 1h")
    assert record(acme, "h")[0]["resources"] == [item(2, 2, level(2, cycles=None))]  # above once it is committed
    assert acme("QUOTA.RECORD org h") is None
    acme("QUOTA.COMMIT a h")
    org = {**level(0, (None, 2), cycles=["month"]), "account": "org"}
    assert record(acme, "h")[0]["resources"] == [item(2, 2, level(2), org)]


def test_one_id_of_several_operations_and_resources(acme):
    acme("QUOTA.CONSUME a s 1 ID x")
    acme("QUOTA.CONSUME a r 1 ID x")
    acme("QUOTA.RESERVE a x r 1 TTL 1h")
    acme("QUOTA.REFUND a r 1 ID x")
    assert [(each["operation"], each["resources"][0]["resource"]) for each in record(acme, "x")] == [
        ("consume", "s"), ("consume", "r"), ("refund", "r"), ("reserve", "r")]


def test_it_only_reads(acme, primary, replica):
    acme("QUOTA.CONSUME a r 3 ID x")
    digest = acme("DEBUG DIGEST")
    there = record(acme, "x")
    assert acme("DEBUG DIGEST") == digest
    caught_up(primary, replica)
    other = Quota(replica.client(protocol=3))
    other("QUOTA.CLOCK FREEZE", NOON_MS)
    assert record(other, "x") == there
    other("QUOTA.CLOCK RESUME")
    acme("QUOTA.CLOSE a")
    assert record(acme, "x") == there
    acme("QUOTA.OPEN a p")
    acme.advance("1h")
    record(acme, "x")
    acme("DEL a")
    assert acme.error("QUOTA.RECORD a x").startswith("NOACCOUNT")
    acme("SET a 1")
    assert acme.error("QUOTA.RECORD a x").startswith("WRONGTYPE")
    assert "QUOTA.RECORD account id" in acme.error("QUOTA.RECORD a")
    assert "must have 1 to 512 bytes" in acme.error("QUOTA.RECORD a", "")
