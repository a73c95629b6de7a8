"""quotactl migrate: keys in the formats of redis-cell, limits, Upstash and goquota, taken over and compared.

The tests write the old keys themselves, byte by byte as those libraries do; their own rules for what is left stand here
in a few lines, and the new limit is compared with them. The clock is held at noon; TTLs run, so they are long.
"""

import json

import pytest
from conftest import NOON_MS, Quota
from servers import Server

from .calls import answered, emptied, quotactl, url_of

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
NS = 1_000_000  # in a millisecond


@pytest.fixture(scope="module")
def both():
    servers = Server().start(), Server().start()
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def old(both):
    return emptied(both[0]).client()


@pytest.fixture
def quota(both, monkeypatch):
    """The new server, empty; the old one is another."""
    monkeypatch.setenv("QUOTA_URL", url_of(emptied(both[1])))
    return Quota(both[1].client())


@pytest.fixture
def migrate(both, old, quota):
    """Calls quotactl migrate from the old server; no call changes an old key."""
    assert not old.dbsize()
    assert not quota.client.dbsize()

    def call(*words, code=0):
        before = {key: old.dump(key) for key in old.scan_iter()}
        found = answered("migrate", *words, "--from", url_of(both[0]), code=code)
        assert {key: old.dump(key) for key in old.scan_iter()} == before
        return found
    return call


def counts(found):
    return {name: found[name] for name in ("made", "there", "passed", "idle") if found[name]}


# ---- redis-cell ----------------------------------------------------------------------------------------------------

CELL = ["redis-cell", "--burst", "15", "--count", "30", "--period", "60"]  # a unit every two seconds


def tat(units):
    """The string of a key that owes so many units."""
    return NOON_MS * NS + int(units * 2000) * NS


def test_redis_cell_owes_the_same_rounded_up_to_a_unit(old, quota, migrate):
    rows = {"u:1": 1, "u:2": 3.5, "u:3": 16, "u:4": 0.001}
    for key, units in rows.items():
        old.set(key, tat(units), ex=3600)
    old.set("u:paid", NOON_MS * NS - 1, ex=3600)
    old.set("u:other", tat(40), ex=3600)  # of another rate
    old.set("page", "<html>")
    found = migrate(*CELL, code=1)
    assert counts(found) == {"made": 4, "idle": 2}
    assert [row["key"] for row in found["skipped"]] == ["u:other"]
    left = {key: quota(f"CL.THROTTLE rl:{key} 15 30 60 0")[2] for key in rows}
    assert left == {"u:1": 15, "u:2": 12, "u:3": 0, "u:4": 15}
    assert quota("CL.THROTTLE rl:u:3 15 30 60 1")[0] == 1
    quota.advance("2s")
    assert quota("CL.THROTTLE rl:u:3 15 30 60 1")[0] == 0


# ---- limits (Python) -----------------------------------------------------------------------------------------------


def test_limits_of_each_strategy_and_two_of_one_client_in_one_key(old, quota, migrate):
    old.set("LIMITS:LIMITER/api/42/10/1/minute", 7, ex=50)
    old.set("LIMITS:LIMITER/api/42/100/1/hour", 40, ex=3000)
    old.set("LIMITS:LIMITER/flood/10/5/second", 25, ex=4)  # counts beyond its limit
    old.lpush("LIMITS:LIMITER/moving/10/1/hour", *[NOON_MS / 1000 - 3700, NOON_MS / 1000 - 60.5, NOON_MS / 1000 - 1])
    old.set("LIMITS:{LIMITER/sliding/a/b/100/2/hour}", 20, px=4 * HOUR_MS)  # its window has only just begun
    old.set("LIMITS:{LIMITER/sliding/a/b/100/2/hour}/-1", 60, px=HOUR_MS)  # half of it still weighs
    old.set("LIMITS:something else", 1)
    found = migrate("limits", code=1)
    assert counts(found) == {"made": 4}
    assert [row["key"] for row in found["skipped"]] == ["LIMITS:something else"]
    assert found["differs"] == []
    used = {key: {row["rule"]: row["capacity"] - row["remaining"] for row in quota.map(f"RL.INFO {key}")["rules"]}
            for key in ("rl:api/42", "rl:flood", "rl:moving", "rl:sliding/a/b")}
    weighed = used["rl:sliding/a/b"].pop("SLIDING 100 2h")
    assert 48 <= weighed <= 50  # of a TTL that runs
    assert used == {"rl:api/42": {"FIXED 10 1m FIRST": 7, "FIXED 100 1h FIRST": 40},
                    "rl:flood": {"FIXED 10 5s FIRST": 10}, "rl:moving": {"LOG 10 1h": 2}, "rl:sliding/a/b": {}}
    assert quota("RL.ALLOW rl:api/42 FIXED 10 1m FIRST FIXED 100 1h FIRST COST 4")[0] == 0
    assert quota("RL.ALLOW rl:api/42 FIXED 10 1m FIRST FIXED 100 1h FIRST COST 3")[0] == 3


def test_limits_of_a_version_without_a_prefix(old, quota, migrate):
    old.set("LIMITER/1.2.3.4/main/5/1/day", 3, ex=5000)
    assert counts(migrate("limits", "--key-prefix", "", "--prefix", "web:")) == {"made": 1}
    assert quota("RL.PEEK web:1.2.3.4/main FIXED 5 1d FIRST COST 3")[0] == 0
    assert quota("RL.PEEK web:1.2.3.4/main FIXED 5 1d FIRST COST 2")[0] == 2


# ---- Upstash -------------------------------------------------------------------------------------------------------

WINDOW = NOON_MS // 10_000


def test_upstash_fixed_windows_are_the_same_windows(old, quota, migrate):
    old.set(f"@upstash/ratelimit:user:1:{WINDOW}", 7, px=60_000)
    old.set(f"@upstash/ratelimit:user:1:{WINDOW - 1}", 9, px=60_000)
    old.set(f"@upstash/ratelimit:gone:{WINDOW - 1}", 9, px=60_000)
    assert counts(migrate("upstash", "--rule", "FIXED 10 10s")) == {"made": 1, "idle": 1}
    assert quota("RL.ALLOW rl:user:1 FIXED 10 10s COST 4")[:4] == [0, 10, 3, 10_000]
    quota.advance("10s")  # noon is where a window begins
    assert quota("RL.ALLOW rl:user:1 FIXED 10 10s COST 10")[0] == 10


def test_upstash_sliding_windows_weigh_the_one_before(old, quota, migrate):
    quota.advance("2500ms")
    old.set(f"app:a:{WINDOW}", 2, px=60_000)
    old.set(f"app:a:{WINDOW - 1}", 5, px=60_000)  # three quarters of it: 3
    assert counts(migrate("upstash", "--rule", "SLIDING 10 10s", "--key-prefix", "app")) == {"made": 1}
    assert quota("RL.PEEK rl:a SLIDING 10 10s COST 6")[0] == 0
    assert quota("RL.PEEK rl:a SLIDING 10 10s COST 5")[0] == 5


def test_upstash_buckets_lack_what_was_not_refilled(old, quota, migrate):
    old.hset("@upstash/ratelimit:a", mapping={"refilledAt": NOON_MS - 25_000, "tokens": 3})  # two refills of 5
    old.hset("@upstash/ratelimit:b", mapping={"refilled_at": NOON_MS - 5_000, "tokens": 0})
    old.hset("@upstash/ratelimit:full", mapping={"refilledAt": NOON_MS - 50_000, "tokens": 1})
    rule = "TOKEN 5 10s BURST 20 INTERVAL"
    assert counts(migrate("upstash", "--rule", rule)) == {"made": 2, "idle": 1}
    assert quota(f"RL.PEEK rl:a {rule} COST 13")[0] == 13
    assert quota(f"RL.PEEK rl:a {rule} COST 14")[0] == 0
    assert quota(f"RL.PEEK rl:b {rule}")[0] == 0


# ---- goquota -------------------------------------------------------------------------------------------------------


def entitlement(old, user, tier="pro", start="2025-01-15T09:30:00Z", expires=None):
    fields = {"UserID": user, "Tier": tier, "SubscriptionStartDate": start, "ExpiresAt": expires,
              "UpdatedAt": "2025-01-20T00:00:00.123456789Z"}
    old.set(f"goquota:entitlement:{user}", json.dumps(fields))


def usage(old, user, resource, kind, start, end, used):
    data = {"UserID": user, "Resource": resource, "Used": used, "Limit": 100, "Tier": "pro",
            "Period": {"Start": start, "End": end, "Type": kind}, "UpdatedAt": start}
    old.hset(f"goquota:usage:{user}:{resource}:{start[:10]}", mapping={"used": used, "data": json.dumps(data)})


@pytest.fixture
def plans(quota):
    quota("QUOTA.PLAN SET pro api LIMIT 1000 month LIMIT 100 day CREDITS")
    quota("QUOTA.PLAN SET pro audio_seconds LIMIT 3600 month")


def test_goquota_accounts_cycles_and_credits(old, quota, plans, migrate):
    entitlement(old, "a:b", start="2025-01-15T09:30:00+02:00", expires="2025-06-01T00:00:00Z")
    usage(old, "a:b", "api", "monthly", "2025-01-15T00:00:00Z", "2025-02-15T00:00:00Z", 640)
    usage(old, "a:b", "api", "daily", "2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z", 12)
    usage(old, "a:b", "audio_seconds", "monthly", "2024-12-15T00:00:00Z", "2025-01-15T00:00:00Z", 99)  # over
    entitlement(old, "cleo")
    old.hset("goquota:usage:cleo:api:forever", mapping={"limit": 500, "used": 120})
    entitlement(old, "gone", expires="2025-01-01T00:00:00Z")
    found = migrate("goquota")
    assert counts(found) == {"made": 2, "idle": 2}
    info = quota.map("QUOTA.INFO a:b")
    assert (info["plan"], info["anchor"], info["expires"]) == ("pro", 1736899200000, 1748736000000)
    rules = {row["period"]: (row["used"], row["start"]) for row in info["resources"]["api"]["rules"] if row["period"]}
    assert rules == {"month": (640, 1736899200000), "day": (12, 1738281600000)}
    assert info["resources"]["audio_seconds"]["rules"][0]["used"] == 0
    grants = quota.map("QUOTA.GRANTS cleo")[1]
    assert [(row["id"], row["left"]) for row in grants] == [("mig:goquota:usage:cleo:api:forever", 380)]


def test_goquota_what_has_no_place_is_named_and_not_guessed(old, quota, plans, migrate):
    entitlement(old, "ann")
    entitlement(old, "bob", tier="none")
    usage(old, "ann", "video", "monthly", "2025-01-15T00:00:00Z", "2025-02-15T00:00:00Z", 5)
    usage(old, "ann", "audio_seconds", "daily", "2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z", 5)
    usage(old, "absent", "api", "monthly", "2025-01-15T00:00:00Z", "2025-02-15T00:00:00Z", 5)
    old.hset("goquota:usage:a:b:api:forever", mapping={"limit": 500})
    old.set("goquota:entitlement:odd", "no JSON")
    found = migrate("goquota", code=1)
    assert counts(found) == {"made": 1}
    why = {row["key"].removeprefix("goquota:"): row["why"] for row in found["skipped"]}
    assert why == {
        "entitlement:odd": "no entitlement with UserID, Tier and SubscriptionStartDate",
        "usage:absent:api:2025-01-15": "absent has no entitlement",
        "usage:a:b:api:forever": "has no data, and its name can be read in more than one way",
        "usage:ann:video:2025-01-15": "plan pro has no resource video",
        "usage:ann:audio_seconds:2025-01-31": "audio_seconds of plan pro has no LIMIT of a day",
        "bob": "there is no plan none: quotactl config apply"}


# ---- again, and in part --------------------------------------------------------------------------------------------


def test_a_dry_run_sends_nothing(old, quota, plans, migrate):
    entitlement(old, "ann")
    old.set("u:1", tat(3), ex=3600)
    found = migrate("goquota", "--dry-run")
    assert found["commands"] == ["QUOTA.OPEN ann pro ANCHOR 1736899200000"]
    assert migrate(*CELL, "--dry-run")["commands"] == ["RL.THROTTLE rl:u:1 15 30 60 3"]
    assert quota.client.dbsize() == 0


def test_a_repeated_run_changes_nothing_and_compares(old, quota, plans, migrate):
    cell = [*CELL, "--match", "u:*"]
    entitlement(old, "ann")
    usage(old, "ann", "api", "monthly", "2025-01-15T00:00:00Z", "2025-02-15T00:00:00Z", 640)
    old.set("u:1", tat(3), ex=3600)
    assert counts(migrate("goquota")) == {"made": 1}
    assert counts(migrate(*cell)) == {"made": 1}
    dumps = [quota.client.dump(key) for key in ("ann", "rl:u:1")]
    for words in (["goquota"], cell):
        assert counts(migrate(*words)) == {"there": 1}
    assert [quota.client.dump(key) for key in ("ann", "rl:u:1")] == dumps
    quota("QUOTA.CONSUME ann api 5")
    quota("CL.THROTTLE rl:u:1 15 30 60 2")
    assert migrate("goquota", code=1)["differs"] == [{"key": "ann", "why": "api of month: 645, 640 before"}]
    assert migrate(*cell, code=1)["differs"] == [{"key": "rl:u:1", "why": "11 units are left, 13 before"}]
    for words in (["goquota"], cell):  # services use it: what is there is theirs
        assert counts(migrate(*words, "--resume")) == {"passed": 1}


def test_a_run_that_was_stopped_goes_on(old, quota, migrate):
    for number in range(300):
        old.set(f"u:{number}", tat(1 + number % 16), ex=3600)
    quota("RL.THROTTLE rl:u:7 15 30 60 8")  # what the first run had done
    found = migrate(*CELL, "--resume")
    assert counts(found) == {"made": 299, "passed": 1}
    assert quota.client.dbsize() == 300
    assert {quota(f"RL.THROTTLE rl:u:{number} 15 30 60 0")[2] for number in range(0, 300, 16)} == {15}


def test_people_read_counts_and_what_was_left_out(old, both, quota):
    old.set("u:1", tat(3), ex=3600)
    old.set("u:2", tat(90), ex=3600)
    said = quotactl("migrate", *CELL, "--from", url_of(both[0]), code=1)
    assert said == ("not taken over: u:2: owes 90 units, this rate has 16: it has another rate\n"
                    "1 made, 1 not taken over\n")
    assert "--rule must be" in quotactl("migrate", "upstash", "--rule", "LEAKY 1 1s", code=2)
    assert quotactl("migrate", *CELL, "--match", "none*") == "0 made\n"
