"""An account's life: opening, renewing, switching, overrides, expiry to the instant, corrections, who did it."""

import pytest

from conftest import NOON_MS, Quota, revisions
from servers import Server, caught_up, rewrite_aof

OK = (b"OK", True)
DAY_MS = 86_400_000


@pytest.fixture
def acme(accounts):
    """Plans free (10 a month) and pro (110 a month, 50 a day); account a on pro, anchored at noon."""
    accounts("QUOTA.PLAN SET free r LIMIT 10 month")
    accounts("QUOTA.PLAN SET pro r LIMIT 110 month LIMIT 50 day")
    accounts("QUOTA.OPEN a pro")
    return accounts


def rules(quota, account="a", resource="r"):
    return quota.map(f"QUOTA.INFO {account} {resource}")["rules"]


def limits(quota):
    return [rule["limit"] for rule in rules(quota)]


def used(quota):
    return [rule["used"] for rule in rules(quota)]


# ---- opening ----


def test_open_is_idempotent(acme):
    before = acme("DUMP a")
    for words in ("", " ANCHOR 1738335600000", " ZONE UTC", " ANCHOR 2025-01-31T15:00:00Z ZONE UTC"):
        assert acme("QUOTA.OPEN a pro" + words) in OK
    assert acme("DUMP a") == before
    acme("QUOTA.CONSUME a r 7")
    acme("QUOTA.OPEN a pro")
    assert used(acme) == [7, 7]


REFUSED = [
    ("QUOTA.OPEN a free", "the account is open already"),
    ("QUOTA.OPEN a pro ANCHOR 1738335600001", "the account is open already"),
    ("QUOTA.OPEN a pro ZONE Europe/Berlin", "the account is open already"), ("QUOTA.OPEN b nothing", "NOPLAN"),
    ("QUOTA.OPEN b pro ZONE Mars/Olympus", "zone"), ("QUOTA.OPEN b pro ZONE ../../etc/passwd", "zone"),
    ("QUOTA.OPEN b pro EXPIRES 1738335600000", "expires"),
    ("QUOTA.OPEN b pro EXPIRES 1735689600", "Unix seconds? write 1735689600s"),
    ("QUOTA.OPEN b pro EXPIRES @31", "write @31s"), ("QUOTA.OPEN b pro EXPIRES 1M", "a calendar month is a month"),
    ("QUOTA.OPEN b pro ANCHOR 31", "Unix seconds? write 31s"), ("QUOTA.SUSPEND a EX @31", "write @31s"),
    ("QUOTA.SUSPEND a EX @1738335600s", "the instant has passed"), ("QUOTA.SUSPEND a EX 1M", "lower case"),
    ("QUOTA.SUSPEND a EX @soon", "a duration (like 10s, 1h30m) or an instant behind @"),
    ("QUOTA.OVERRIDE a r LIMIT 1 day EX @1735689600", "write @1735689600s"),
    ("QUOTA.OVERRIDE a r LIMIT 1 day EX 1M", "a calendar month is a month"),
    ("QUOTA.RESERVE a h r 1 TTL @1738335600s", "the instant has passed"), ("QUOTA.RESERVE a h r 1 TTL @", "ttl '@'"),
    ("QUOTA.OPEN b pro ANCHOR 2030-01-01T00:00:00Z EXPIRES 2029-01-01T00:00:00Z", "expires"),
    ("QUOTA.OPEN b pro ANCHOR yesterday", "anchor"), ("QUOTA.OPEN b", "wrong number"),
    ("QUOTA.SWITCH b pro", "NOACCOUNT"), ("QUOTA.SWITCH a nothing", "NOPLAN"), ("QUOTA.SUSPEND b", "NOACCOUNT"),
    ("QUOTA.RESUME b", "NOACCOUNT"), ("QUOTA.CLOSE b", "NOACCOUNT"), ("QUOTA.OVERRIDE b r LIMIT 1 day", "NOACCOUNT"),
    ("QUOTA.SET b r 1", "NOACCOUNT"), ("QUOTA.SET a x 1", "NORESOURCE"), ("QUOTA.SET a r -1", "used"),
    ("QUOTA.RESET b", "NOACCOUNT"), ("QUOTA.RESET a x", "NORESOURCE"), ("QUOTA.CONSUME b r 1", "NOACCOUNT"),
    ("QUOTA.CONSUME a x 1", "NORESOURCE"), ("QUOTA.INFO b", "NOACCOUNT"), ("QUOTA.INFO a x", "NORESOURCE"),
    ("QUOTA.HISTORY b r", "NOACCOUNT"), ("QUOTA.HOLDS b", "NOACCOUNT"), ("QUOTA.REFUND b r 1", "NOACCOUNT"),
    ("QUOTA.OVERRIDE a r EX 1h", "has no rule"), ("QUOTA.OVERRIDE a r LIMIT 1 day EX 0", "ex"),
    ("QUOTA.OVERRIDE a r", "LIFT removes"), ("QUOTA.OVERRIDE a r ONLY", "needs a LIMIT"),
    ("QUOTA.OVERRIDE a r ONLY WARN 50", "needs a LIMIT"), ("QUOTA.OVERRIDE a r LIFT LIMIT 1 day", "LIFT"),
    ("QUOTA.OVERRIDE a r LIFT EX 1h", "LIFT"), ("QUOTA.OVERRIDE a x WARN 50", "needs a LIMIT"),
    ("QUOTA.SET a r 5", "PERIOD (month, day)"), ("QUOTA.SET a r 5 PERIOD week", "month, day"),
]


EXPIRES = [  # what EXPIRES says, what INFO shows then
    ("1738335700000", NOON_MS + 100_000), ("1738335700s", NOON_MS + 100_000), ("1738335700000000us", NOON_MS + 100_000),
    ("@1738335700s", NOON_MS + 100_000), ("@1738335700000", NOON_MS + 100_000),
    ("2025-01-31T15:01:40Z", NOON_MS + 100_000),
    # a duration, and a number that would be an instant before March 1973 is one, too
    ("1m40s", NOON_MS + 100_000), ("100s", NOON_MS + 100_000), ("100000000us", NOON_MS + 100_000),
    ("3month", 1746025200000), ("99999999s", NOON_MS + 99_999_999_000),
]


@pytest.mark.parametrize("words, expires", EXPIRES)
def test_expires_is_an_instant_a_duration_or_a_period(acme, words, expires):
    acme(f"QUOTA.OPEN b pro EXPIRES {words}")
    assert acme.map("QUOTA.INFO b")["expires"] == expires


def test_ex_and_ttl_take_an_instant(acme):
    """The same instant, whenever it is said."""
    acme("QUOTA.SUSPEND a EX @2025-01-31T16:00:00Z")
    acme.advance("59m59s999ms")
    assert acme.map("QUOTA.INFO a")["state"] == "suspended"
    acme.advance("1ms")
    assert acme.map("QUOTA.INFO a")["state"] == "active"
    acme("QUOTA.RESERVE a h r 1 TTL @1738342800s")
    assert acme.map("QUOTA.INFO a")["resources"]["r"]["rules"][0]["held"] == 1
    acme.advance("1h")
    assert acme.map("QUOTA.INFO a")["resources"]["r"]["rules"][0]["held"] == 0


@pytest.mark.parametrize("line, error", REFUSED)
def test_what_is_refused_changes_nothing(acme, line, error):
    before = acme("DUMP a")
    assert acme.error(line).lower().startswith(error.lower()) or error in acme.error(line)
    assert acme("DUMP a") == before
    assert acme("EXISTS b") == 0


@pytest.mark.parametrize("line", ["QUOTA.CONSUME s r 1", "QUOTA.OPEN s pro", "QUOTA.INFO s",
                                  "QUOTA.RESERVE s i r 1 TTL 1s", "QUOTA.COMMIT s i",
                                  "QUOTA.HISTORY s r", "QUOTA.HOLDS s", "QUOTA.REFUND s r 1"])
def test_keys_of_other_types(acme, line):
    acme("SET s text")
    assert acme.error(line).startswith("WRONGTYPE")
    acme("RL.ALLOW l 1 1s")
    assert acme.error(line.replace(" s", " l", 1)).startswith("WRONGTYPE")


def test_before_its_anchor_an_account_has_not_started(acme):
    acme("QUOTA.OPEN b pro ANCHOR", NOON_MS + 1)
    assert acme.error("QUOTA.CONSUME b r 1").startswith("NOTSTARTED")
    assert acme.map("QUOTA.INFO b")["state"] == "notstarted"
    acme.advance("1ms")
    assert acme("QUOTA.CONSUME b r 1")[0] == 1


def test_auto_open_only_where_it_is_set(acme):
    acme("CONFIG SET quota.default-plan free")
    assert acme.error("QUOTA.CONSUME new r 1").startswith("NOACCOUNT")
    acme("CONFIG SET quota.auto-open yes")
    assert acme("QUOTA.CONSUME new r 11")[0] == 0
    assert acme("QUOTA.CONSUME new r 1 CHECK")[:3] == [1, 10, 10]
    assert acme("EXISTS new") == 0  # a denial opens nothing
    assert acme("QUOTA.CONSUME new r 4")[:3] == [4, 10, 6]
    acme.advance("1d")
    assert acme("QUOTA.CONSUME new r 4")[:3] == [4, 10, 2]  # the same month: no fresh quota every day
    info = acme.map("QUOTA.INFO new")
    assert (info["plan"], info["anchor"]) == ("free", NOON_MS)


# ---- expiry ----


def test_at_expires_to_the_millisecond_it_falls_to_the_default_plan(acme):
    acme("CONFIG SET quota.default-plan free")
    acme("QUOTA.OPEN b pro EXPIRES", NOON_MS + 5000)
    acme("QUOTA.CONSUME b r 30")
    acme.advance("4999ms")
    assert acme("QUOTA.CONSUME b r 1")[:2] == [1, 50]
    assert acme.map("QUOTA.INFO b")["expires"] == NOON_MS + 5000
    acme.advance("1ms")
    assert acme.map("QUOTA.INFO b")["plan"] == "free"
    assert acme("QUOTA.CONSUME b r 1")[:3] == [0, 10, 0]  # 31 are used of this month
    acme.advance("31d")
    assert acme("QUOTA.CONSUME b r 1")[:3] == [1, 10, 9]
    assert acme("QUOTA.OPEN b pro") in OK  # a lapsed account may be opened again, on any plan
    assert [rule["used"] for rule in rules(acme, "b")] == [1, 0]


@pytest.mark.parametrize("then", ["", " THEN free"])
def test_the_same_opening_after_its_end_prolongs_nothing(acme, then):
    """An application opens it whenever its customer signs in; the trial is over after two days all the same."""
    acme("CONFIG SET quota.default-plan free")
    opening = f"QUOTA.OPEN b pro EXPIRES 2d{then}"
    for hours, plan in [(0, "pro"), (47, "pro"), (1, "free"), (24, "free"), (24 * 40, "free")]:
        acme.advance(f"{hours}h")
        assert acme(opening) in OK
        assert acme.map("QUOTA.INFO b")["plan"] == plan
    assert acme("QUOTA.OPEN b pro EXPIRES 100d") in OK  # another opening
    assert acme.map("QUOTA.INFO b")["plan"] == "pro"


def test_without_a_default_plan_it_falls_into_nothing_and_can_be_renewed(acme):
    acme("QUOTA.OPEN b pro EXPIRES", NOON_MS + 5000)
    acme("QUOTA.CONSUME b r 30")
    acme.advance("5s")
    assert acme.error("QUOTA.CONSUME b r 1").startswith("NOACCOUNT")
    assert acme.map("QUOTA.INFO b")["state"] == "expired"
    assert acme("QUOTA.OPEN b pro EXPIRES", NOON_MS + 10_000) in OK
    assert acme("QUOTA.CONSUME b r 20")[:3] == [20, 50, 0]  # the 30 of today are remembered
    acme("QUOTA.OPEN b pro EXPIRES", NOON_MS + 90_000)  # renewed in time
    acme.advance("20s")
    assert acme.map("QUOTA.INFO b")["state"] == "active"


# ---- switching ----


def test_prorated_switch_moves_the_limit_by_the_time_left(acme):
    acme("QUOTA.PLAN SET small r LIMIT 100 30d")
    acme("QUOTA.PLAN SET large r LIMIT 400 30d")
    acme("QUOTA.OPEN b small")
    acme.advance("10d")
    acme("QUOTA.SWITCH b large")
    assert rules(acme, "b")[0]["limit"] == 300  # 100 + 300 x 20 / 30
    acme.advance("10d")
    acme("QUOTA.SWITCH b small PRORATE")
    assert rules(acme, "b")[0]["limit"] == 200  # - 300 x 10 / 30
    acme.advance("10d")
    assert rules(acme, "b")[0]["limit"] == 100  # the next cycle


def test_flipping_plans_mints_nothing(acme):
    acme("QUOTA.PLAN SET small r LIMIT 10 1000000us")
    acme("QUOTA.PLAN SET large r LIMIT 17 1000000us")
    acme("QUOTA.OPEN b small")
    for step in range(200):  # at odd instants, where every single rounding would favour the customer
        acme.advance(f"{step % 7 + 1}us")
        acme("QUOTA.SWITCH b large")
        acme("QUOTA.SWITCH b small")
        assert rules(acme, "b")[0]["limit"] == 10


def test_switch_full_and_back(acme):
    acme("QUOTA.CONSUME a r 40")
    acme("QUOTA.SWITCH a free FULL")
    assert (limits(acme), used(acme)) == ([10], [40])
    assert acme("QUOTA.CONSUME a r 1")[0] == 0
    acme("QUOTA.SWITCH a pro FULL")
    assert (limits(acme), used(acme)) == ([110, 50], [40, 40])  # the day that slept remembers


def test_switch_at_the_end_of_the_cycle(acme):
    acme("QUOTA.CONSUME a r 40")
    acme("QUOTA.SWITCH a free END")
    end = rules(acme)[0]["end"]
    assert acme.map("QUOTA.INFO a")["next"] == {"plan": "free", "at": end}
    acme("QUOTA.CLOCK FREEZE", end - 1)
    assert limits(acme) == [110, 50]
    acme.advance("1ms")
    assert (limits(acme), used(acme)) == ([10], [0])
    assert acme("QUOTA.CONSUME a r 1")[:2] == [1, 10]
    assert acme.map("QUOTA.INFO a")["next"] is None


def test_a_switch_that_was_to_come_is_forgotten_by_another(acme):
    acme("QUOTA.SWITCH a free END")
    acme("QUOTA.SWITCH a pro")
    acme.advance("70d")
    assert limits(acme) == [110, 50]


def test_unlimited_and_none(acme):
    acme("QUOTA.PLAN SET all r LIMIT -1 month")
    acme("QUOTA.PLAN SET none r LIMIT 0 month")
    acme("QUOTA.OPEN b all")
    assert acme("QUOTA.CONSUME b r 9223372036854775807")[:3] == [9223372036854775807, -1, -1]
    assert acme.error("QUOTA.CONSUME b r 1").startswith("OVERFLOW")
    acme("QUOTA.OPEN c none")
    assert acme("QUOTA.CONSUME c r 1")[:4] == [0, 0, 0, -1]
    acme("QUOTA.SWITCH c all")
    assert acme("QUOTA.CONSUME c r 5")[:3] == [5, -1, -1]


# ---- overrides ----


def test_override_is_in_force_at_once_and_ends_by_itself(acme):
    acme("QUOTA.CONSUME a r 40")
    acme("QUOTA.OVERRIDE a r ONLY LIMIT 500 month EX 1h")
    assert (limits(acme), used(acme)) == ([500], [40])
    assert acme("QUOTA.CONSUME a r 300")[:3] == [300, 500, 160]
    acme.advance("3599999ms")
    assert limits(acme) == [500]
    acme.advance("1ms")
    assert (limits(acme), used(acme)) == ([110, 50], [340, 40])  # the day slept meanwhile
    assert acme("QUOTA.CONSUME a r 1")[0] == 0


def test_override_replaces_what_is_of_its_kind_and_leaves_the_rest(acme):
    acme("QUOTA.PLAN SET pro r LIMIT 110 month LIMIT 50 day RATE 30 1h WARN 50 COST 2")
    acme("QUOTA.OVERRIDE a r LIMIT 500 month CALENDAR RATE 40 1h WARN 80")
    assert limits(acme) == [500, 50, 40]
    assert acme("QUOTA.CONSUME a r 20")[:3] == [20, 40, 0]  # the plan's COST holds
    assert used(acme) == [40, 40, 40]
    acme("QUOTA.OVERRIDE a r LIMIT 60 day")  # a new one replaces the former one whole
    assert limits(acme) == [110, 60, 30]
    acme("QUOTA.PLAN SET pro r LIMIT 120 month LIMIT 50 day")  # what it leaves goes on following the plan
    assert limits(acme) == [120, 60]
    acme("QUOTA.OVERRIDE a r LIMIT 7 week")
    assert limits(acme) == [120, 50, 7]
    acme("QUOTA.OVERRIDE a r ONLY LIMIT 7 week")
    assert limits(acme) == [7]
    acme("QUOTA.OVERRIDE a r LIFT")
    assert limits(acme) == [120, 50]


def test_override_is_lifted_and_may_grant_what_the_plan_lacks(acme):
    acme("QUOTA.OVERRIDE a extra LIMIT 3 day")
    assert acme("QUOTA.CONSUME a extra 3")[:3] == [3, 3, 0]
    assert set(acme.map("QUOTA.INFO a")["resources"]) == {"r", "extra"}
    acme("QUOTA.OVERRIDE a extra LIFT")
    assert acme.error("QUOTA.CONSUME a extra 1").startswith("NORESOURCE")
    before = acme("DUMP a")
    acme("QUOTA.OVERRIDE a extra LIFT")  # nothing to lift
    assert acme("DUMP a") == before


def test_override_counts_from_the_instant_that_counts(acme):
    acme("QUOTA.CONSUME a r 1")
    acme.advance("-1h")  # the clock steps back: the account stays where it was
    acme("QUOTA.OVERRIDE a r LIMIT 500 month EX 1m")
    assert limits(acme) == [500, 50]
    acme.advance("61m")
    assert limits(acme) == [110, 50]


def test_a_switch_that_was_to_come_does_not_outlive_the_account(acme):
    acme("CONFIG SET quota.default-plan free")
    for name in ("seen", "unseen"):
        acme(f"QUOTA.OPEN {name} pro EXPIRES", NOON_MS + 20 * DAY_MS)
        acme(f"QUOTA.CONSUME {name} r 1")
        acme(f"QUOTA.SWITCH {name} pro END")
    acme.advance("21d")
    acme("QUOTA.CONSUME seen r 1")
    acme.advance("30d")
    assert [acme.map(f"QUOTA.INFO {name}")["plan"] for name in ("seen", "unseen")] == ["free", "free"]


# ---- states and corrections ----


def test_suspend_resume_close_and_open_again(acme):
    acme("QUOTA.CONSUME a r 10 ID one")
    acme("QUOTA.RESERVE a h r 5 TTL 1h")
    acme("QUOTA.SUSPEND a")
    assert acme.error("QUOTA.CONSUME a r 1").startswith("SUSPENDED")
    assert acme.error("QUOTA.RESERVE a i r 1 TTL 1h").startswith("SUSPENDED")
    assert acme("QUOTA.REFUND a r 3 OF one")[:2] == [3, 0]  # what was begun can be settled
    assert acme("QUOTA.COMMIT a h 4")[:2] == [4, 1]
    acme("QUOTA.RESUME a")
    assert acme("QUOTA.CONSUME a r 1")[0] == 1
    acme("QUOTA.CLOSE a")
    assert acme.map("QUOTA.INFO a")["state"] == "closed"
    for line in ("QUOTA.CONSUME a r 1", "QUOTA.SUSPEND a", "QUOTA.SWITCH a free", "QUOTA.REFUND a r 1 OF one"):
        assert acme.error(line).startswith("NOACCOUNT")
    acme("QUOTA.CLOSE a")
    acme("QUOTA.OPEN a pro")
    assert used(acme) == [12, 12]  # closing mints nothing


def test_set_and_reset(acme):
    acme("QUOTA.PLAN SET pro w LIMIT 10 ROLLING 1h RATE 5 1h WARN 50")
    acme("QUOTA.PLAN SET pro r LIMIT 110 month LIMIT 50 day WARN 50 100")
    acme("QUOTA.CONSUME a w 4")
    acme("QUOTA.SET a r 60 PERIOD month")
    acme("QUOTA.SET a r 50 PERIOD day")
    assert used(acme) == [60, 50]
    assert acme.map("QUOTA.INFO a r")["warned"] == [50, 100]
    assert acme("QUOTA.CONSUME a r 1")[0] == 0
    acme("QUOTA.SET a w 9")
    assert [rule["used"] for rule in rules(acme, resource="w")] == [9, 4]
    acme("QUOTA.RESET a r PERIOD day")
    assert used(acme) == [60, 0]
    acme("QUOTA.RESET a r")
    assert (used(acme), acme.map("QUOTA.INFO a r")["warned"]) == ([0, 0], [])
    acme("QUOTA.RESET a")
    assert [rule["used"] for rule in rules(acme, resource="w")] == [0, 0]


def test_notes_say_who_did_what(acme, primary):
    acme("ACL SETUSER clerk on nopass ~* +@all")
    clerk = Quota(primary.client(username="clerk", password="any"))
    acme("QUOTA.CONSUME a r 5 ID one")
    clerk("QUOTA.REFUND a r 2 OF one REASON", "failed upstream")
    clerk("QUOTA.SUSPEND a")
    acme("MULTI")
    acme("QUOTA.RESUME a")
    acme("EXEC")
    clerk.client.eval("return redis.call('QUOTA.SET', KEYS[1], 'r', 3, 'PERIOD', 'day')", 1, "a")
    notes = acme.map("QUOTA.INFO a")["notes"]
    assert [(note["act"], note["actor"]) for note in notes] == [
        ("refund", "clerk"), ("suspend", "clerk"), ("resume", "default"), ("set", "clerk")]
    assert notes[0] == {"at": NOON_MS, "act": "refund", "actor": "clerk", "resource": "r", "amount": 2,
                        "reason": "failed upstream"}
    for _ in range(20):
        acme("QUOTA.RESET a")
    assert [note["act"] for note in acme.map("QUOTA.INFO a")["notes"]] == ["reset"] * 16
    acme("ACL DELUSER clerk")


def test_account_keys_have_no_time_to_live(acme):
    acme("QUOTA.CLOCK RESUME")
    acme("QUOTA.OPEN live pro")
    acme("QUOTA.CONSUME live r 1 ID x")
    assert acme("PTTL live") == -1
    acme("QUOTA.CLOCK FREEZE", NOON_MS)


# ---- other servers ----


def test_copy_rename_restore_keep_everything(acme):
    acme("QUOTA.CONSUME a r 5 ID one")
    acme("QUOTA.RESERVE a h r 5 TTL 1h")
    acme("QUOTA.OVERRIDE a r LIMIT 90 month LIMIT 70 day")
    blob = acme("DUMP a")
    acme("COPY a b")
    acme("RENAME a c")
    acme("RESTORE d 0", blob)
    infos = [acme.map(f"QUOTA.INFO {name}") for name in "bcd"]
    for info in infos:
        del info["account"]
    assert infos[0] == infos[1] == infos[2]
    assert acme("QUOTA.CONSUME d r 5 ID one")[0] == 5
    assert acme.map("QUOTA.INFO d r")["rules"][0]["used"] == 5


def fill(quota):
    """An account that has some of everything."""
    quota("QUOTA.PLAN SET p r LIMIT 100 day LIMIT 1000 month CALENDAR WARN 1 BURST 10 REPAY LIMIT 500 ROLLING 90d",
          "RATE", 50, "1s")
    quota("QUOTA.PLAN SET q r LIMIT 10 day")
    quota("QUOTA.OPEN a p ZONE Europe/Berlin EXPIRES 2030-01-01T00:00:00Z")
    for number in range(5):
        quota(f"QUOTA.CONSUME a r 7 ID id-{number}")
        quota(f"QUOTA.RESERVE a hold-{number} r 2 TTL 3d")
        quota.advance("20h")
    quota("QUOTA.REFUND a r 3 OF id-4 ID back REASON broken")
    quota("QUOTA.COMMIT a hold-4 1")
    quota("QUOTA.OVERRIDE a other LIMIT 5 day EX 9d")
    quota("QUOTA.CONSUME a other 2")
    quota("QUOTA.SWITCH a p")
    quota("QUOTA.SWITCH a q END")


WAYS = {
    "AOF with preamble": {"appendonly": "yes"},
    "AOF without preamble": {"appendonly": "yes", "aof-use-rdb-preamble": "no"},
}


@pytest.mark.parametrize("way", WAYS)
def test_everything_survives_a_rewritten_aof_and_a_restart(way):
    server = Server(**WAYS[way]).start()
    try:
        quota = Quota(server.client())
        quota("QUOTA.CLOCK FREEZE", NOON_MS)
        fill(quota)
        before, digest, now = quota.map("QUOTA.INFO a"), server.digest(), quota("QUOTA.CLOCK")
        rewrite_aof(server)
        server.stop()
        server.start()
        assert server.digest() == digest
        quota = Quota(server.client())
        quota("QUOTA.CLOCK FREEZE", now)
        assert quota.map("QUOTA.INFO a") == before
        assert quota("QUOTA.CONSUME a r 7 ID id-4")[0] == 7  # remembered
    finally:
        server.close()


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
def test_everything_survives_a_full_sync(accounts, primary, load):
    fill(accounts)
    fresh = Server(**{"repl-diskless-load": load}).start()
    try:
        Quota(fresh.client())("SET something old")
        fresh.follow(primary)
        caught_up(primary, fresh)
        assert fresh.digest() == primary.digest()
        assert revisions(Quota(fresh.client())) == {"p": 1, "q": 1}
        accounts("QUOTA.CONSUME a r 1")
        caught_up(primary, fresh)
        assert fresh.digest() == primary.digest()
    finally:
        fresh.close()


def test_a_replica_without_zone_files_and_with_another_clock_is_the_same(accounts, primary, tmp_path):
    bare = Server(appendonly="yes").start()
    try:
        client = Quota(bare.client())
        client("CONFIG SET quota.tzdir", str(tmp_path))
        client("QUOTA.CLOCK FREEZE 1999-12-31T23:59:59Z")
        bare.follow(primary)
        accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month CALENDAR WARN 50")
        accounts("QUOTA.OPEN a p ZONE Europe/Berlin")
        for _ in range(5):
            accounts("QUOTA.CONSUME a r 6 ID", accounts("QUOTA.CLOCK"))
            accounts("QUOTA.RESERVE a", accounts("QUOTA.CLOCK"), "r 2 TTL 1d".split()[0], 2, "TTL", "1d")
            accounts.advance("26h")
        caught_up(primary, bare)
        assert bare.digest() == primary.digest()
        client("QUOTA.CLOCK FREEZE 2030-01-01T00:00:00Z")
        assert "zone 'Europe/Berlin' is not known here" in client.error("QUOTA.INFO a")
    finally:
        bare.close()
