"""QUOTA.INFO, HISTORY, HEALTH: what is shown, on primaries and replicas; an untouched account is up to date."""

import resource

import servers
from conftest import NOON_MS, Quota
from servers import Server, caught_up, wait_until

DAY_MS = 86_400_000


def test_the_whole_map(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 100 month CALENDAR LIMIT -1 forever LIMIT 9 ROLLING 90s RATE 5 1s WARN 1")
    accounts("QUOTA.OPEN a p ZONE Asia/Tokyo EXPIRES 1800000000000")
    accounts("QUOTA.CONSUME a r 2")
    assert accounts.map("QUOTA.INFO a") == {
        "account": "a", "plan": "p", "revision": 1, "state": "active", "zone": "Asia/Tokyo", "anchor": NOON_MS,
        "expires": 1800000000000, "parent": None, "next": None, "notes": [],
        "resources": {"r": accounts.map("QUOTA.INFO a r")}}
    tokyo = 9 * 3_600_000  # midnights of Feb 1 and Mar 1 there
    assert accounts.map("QUOTA.INFO a r") == {"credits": 0, "overage": 0, "warned": [1], "rules": [
        {"rule": 0, "kind": "LIMIT", "period": "month", "limit": 100, "used": 2, "held": 0, "remaining": 98,
         "start": 1738368000000 - tokyo, "end": 1740787200000 - tokyo, "rolled": 0},
        {"rule": 1, "kind": "LIMIT", "period": "forever", "limit": -1, "used": 2, "held": 0, "remaining": -1,
         "start": NOON_MS, "end": -1, "rolled": 0},
        {"rule": 2, "kind": "ROLLING", "period": "90s", "limit": 9, "used": 2, "held": 0, "remaining": 7,
         "start": -1, "end": -1, "rolled": 0},
        {"rule": 3, "kind": "RATE", "period": "1s", "limit": 5, "used": 2, "held": 0, "remaining": 3,
         "start": -1, "end": -1, "rolled": 0}]}
    assert set(accounts.map("QUOTA.INFO a r r")) == {"r"}


def test_an_untouched_account_reads_as_if_every_boundary_had_been_processed(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 100 month WARN 50 BURST 10 REPAY")
    accounts("QUOTA.PLAN SET q r LIMIT 7 day LIMIT 70 month")
    accounts("CONFIG SET quota.default-plan q")
    for name in ("eager", "lazy"):
        accounts(f"QUOTA.OPEN {name} p ZONE America/New_York EXPIRES", NOON_MS + 50 * DAY_MS + 1234)
        accounts(f"QUOTA.CONSUME {name} r 25 FORCE")
        accounts(f"QUOTA.RESERVE {name} h r 3 TTL 40d")
        accounts(f"QUOTA.OVERRIDE {name} r LIMIT 20 day EX 100h")
        accounts(f"QUOTA.SWITCH {name} q END")
    for _ in range(70):
        accounts.advance("1d")
        accounts("QUOTA.SUSPEND eager")  # writes down what time has done
        accounts("QUOTA.RESUME eager")
    infos = [accounts.map(f"QUOTA.INFO {name}") for name in ("eager", "lazy")]
    for info in infos:
        del info["account"], info["notes"]
    assert infos[0] == infos[1]
    histories = [accounts.map(f"QUOTA.HISTORY {name} r COUNT 1000") for name in ("eager", "lazy")]
    assert histories[0] == histories[1] and len(histories[0]) == 72
    assert histories[0][-1]["used"] == 25


def test_history_counts_and_order(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    for day in range(100):
        accounts(f"QUOTA.CONSUME a r {day % 10 + 1}")
        accounts("QUOTA.CONSUME a r 10")  # denied but on no day: counted
        accounts.advance("1d")
    history = accounts.map("QUOTA.HISTORY a r")
    assert len(history) == 12 and history[0]["end"] == NOON_MS + 100 * DAY_MS
    assert history[0] == {"period": "day", "start": NOON_MS + 99 * DAY_MS, "end": NOON_MS + 100 * DAY_MS, "limit": 10,
                          "used": 10, "refunded": 0, "denied": 1, "peak": 10, "overage": 0, "rolled": 0}
    assert len(accounts.map("QUOTA.HISTORY a r COUNT 1000")) == 65  # 64 that are kept, and the one that has just closed
    assert "out of range" in accounts.error("QUOTA.HISTORY a r COUNT 0")
    accounts("QUOTA.CONSUME a r 1")


def test_history_of_a_period_and_between_instants(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day LIMIT 20 3day LIMIT -1 month CALENDAR OVERAGE")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 12")
    accounts.advance("6d")
    accounts("QUOTA.CONSUME a r 25")
    accounts.advance("35d")

    def starts(words):
        return [(cycle["period"], (cycle["start"] - NOON_MS) / DAY_MS) for cycle in accounts.map(
            f"QUOTA.HISTORY a r {words}")]

    february, march = NOON_MS + 9 * 3_600_000, NOON_MS + 28 * DAY_MS + 9 * 3_600_000  # months begin at midnight
    assert starts("PERIOD month") == [("month", 0.375), ("month", -30.625)]
    assert starts(f"PERIOD month FROM {february}") == [("month", 0.375)]
    assert starts(f"PERIOD month FROM {february + 1} TO {march + 1}") == []
    assert starts(f"PERIOD 3day FROM {NOON_MS} TO {NOON_MS + 6 * DAY_MS}") == [("3day", 3), ("3day", 0)]
    assert starts(f"TO {NOON_MS + 1} COUNT 2") == [("3day", 0), ("day", 0)]
    assert starts("PERIOD day COUNT 2") == [("day", 40), ("day", 39)]
    assert starts("PERIOD week") == []
    days = accounts.map(f"QUOTA.HISTORY a r PERIOD day FROM {NOON_MS - 1} TO {NOON_MS + 7 * DAY_MS}")
    assert [(cycle["used"], cycle["overage"]) for cycle in days] == [(25, 15)] + [(0, 0)] * 5 + [(12, 2)]
    assert accounts.map("QUOTA.HISTORY a r PERIOD month")[0]["overage"] == 0  # there is no limit to go beyond
    assert "period" in accounts.error("QUOTA.HISTORY a r PERIOD never")
    assert "from" in accounts.error("QUOTA.HISTORY a r FROM yesterday").lower()


def plans_of(accounts, account, words=""):
    cycles = accounts.map(f"QUOTA.HISTORY {account} r COUNT 1000 WITHPLAN {words}")
    assert [set(cycle) - {"revision", "price"} for cycle in cycles] == [
        set(cycle) for cycle in accounts.map(f"QUOTA.HISTORY {account} r COUNT 1000 {words}")]
    return [((cycle["start"] - NOON_MS) // DAY_MS, cycle["revision"], cycle["price"]) for cycle in reversed(cycles)]


CENT, DIME = "PRICE usd TIER * 0.01", "PRICE usd TIER 10 0.1 FLAT 5 TIER * 0.05"


def test_history_knows_the_revision_and_the_price_that_closed_a_cycle(accounts):
    """A revision counts from its instant on, a price from the next cycle on; who was idle meanwhile has the same."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")  # revision 1
    accounts("QUOTA.PLAN SET p other LIMIT 1 day")  # revision 2: of another resource
    accounts("QUOTA.PLAN SET q r LIMIT 7 day PRICE eur TIER * 1")
    for name in ("eager", "lazy"):
        accounts(f"QUOTA.OPEN {name} p")
        accounts(f"QUOTA.CONSUME {name} r 1")
    for day in range(12):
        accounts.advance("12h")
        if day == 2:
            accounts(f"QUOTA.PLAN SET p r LIMIT 10 day {CENT}")  # revision 3
        if day == 4:
            accounts(f"QUOTA.PLAN SET p r LIMIT 11 day {DIME} APPLY END")  # revision 4, from day 5 on
        if day == 8:
            accounts("QUOTA.SWITCH eager q")
            accounts("QUOTA.SWITCH lazy q")
        accounts("QUOTA.SETTLE eager")
        accounts.advance("12h")
    expected = [(0, 1, ""), (1, 1, ""), (2, 3, ""), (3, 3, CENT), (4, 3, CENT), *((day, 4, DIME) for day in (5, 6, 7)),
                (8, 1, "PRICE eur TIER * 1"), *((day, 1, "PRICE eur TIER * 1") for day in (9, 10, 11))]
    assert plans_of(accounts, "eager") == plans_of(accounts, "lazy") == expected
    accounts("DEBUG RELOAD")
    assert plans_of(accounts, "eager") == plans_of(accounts, "lazy") == expected
    between = f"PERIOD day FROM {NOON_MS + 4 * DAY_MS} TO {NOON_MS + 6 * DAY_MS}"
    assert plans_of(accounts, "lazy", between) == expected[4:6]


def test_history_where_no_plan_granted_the_resource(accounts):
    """An override alone has no revision; of two LIMITs the one that is billed has the price."""
    accounts("QUOTA.PLAN SET p other LIMIT 10 day")
    accounts(f"QUOTA.PLAN SET p both LIMIT 10 day LIMIT 5 12h {CENT}")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.OVERRIDE a r LIMIT 3 day")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.CONSUME a both 1")
    accounts.advance("1d")
    assert plans_of(accounts, "a") == [(0, 0, "")]
    both = accounts.map("QUOTA.HISTORY a both WITHPLAN")
    assert [(cycle["period"], cycle["revision"], cycle["price"]) for cycle in both] == [
        ("day", 2, CENT), ("12h", 2, ""), ("12h", 2, "")]


def test_history_of_a_million_idle_minutes(accounts):
    """A run of them is one entry: a part of it is found as fast as its end."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 minute")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    accounts.advance("700d")
    minutes = accounts.map(f"QUOTA.HISTORY a r FROM {NOON_MS} TO {NOON_MS + 120_000}")
    assert [(cycle["start"], cycle["used"]) for cycle in minutes] == [(NOON_MS + 60_000, 0), (NOON_MS, 1)]
    assert len(accounts.map(f"QUOTA.HISTORY a r FROM {NOON_MS + 5 * DAY_MS} COUNT 1000")) == 1000


def test_replicas_answer_what_stands(accounts, primary, replica):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 3")
    caught_up(primary, replica)
    other = Quota(replica.client())
    other("QUOTA.CLOCK FREEZE", NOON_MS + 3 * DAY_MS)
    assert other.map("QUOTA.INFO a r")["rules"][0]["used"] == 0
    assert len(other.map("QUOTA.HISTORY a r")) == 3
    assert other.error("QUOTA.CONSUME a r 1").startswith("You can't write against a read only replica")
    other("QUOTA.CLOCK RESUME")


def test_health_names_what_endangers_quotas(accounts):
    server = Server(appendonly="no", maxmemory="100mb").start()
    try:
        quota = Quota(server.client())
        quota("CONFIG SET maxmemory-policy allkeys-lru quota.default-plan nowhere quota.tzdir /nowhere")
        quota("QUOTA.CLOCK FREEZE", NOON_MS)
        health = quota.map("QUOTA.HEALTH")
        assert health["status"] == "warning"
        words = " ".join(str(problem) for problem in flat(health["problems"]))
        for word in ("eviction", "persistence", "default-plan", "zone files", "test clock"):
            assert word in words
        quota("CONFIG SET maxmemory-policy volatile-lru quota.default-plan", "")
        problems = flat(quota.map("QUOTA.HEALTH")["problems"])
        assert any("leases" in problem for problem in problems) and not any("accounts" in line for line in problems)
        quota("CONFIG SET maxmemory-policy noeviction")
        quota("CONFIG SET appendonly yes appendfsync no quota.tzdir /usr/share/zoneinfo")
        assert "appendfsync" in str(quota.map("QUOTA.HEALTH")["problems"])
        quota("CONFIG SET appendfsync everysec")
        quota("QUOTA.CLOCK RESUME")
        assert quota.map("QUOTA.HEALTH") == {"status": "ok", "problems": []}
        quota("CONFIG SET quota.auto-open yes")
        assert "auto-open" in str(quota.map("QUOTA.HEALTH")["problems"])
    finally:
        server.close()


def ahead(quota):
    """How many accounts HEALTH says are ahead of the clock, as it says it."""
    said = [problem for problem in flat(quota.map("QUOTA.HEALTH")["problems"]) if "ahead" in problem]
    return said[0].split(" accounts")[0].removeprefix("clock: ") if said else "0"


def test_health_counts_accounts_ahead_of_the_clock(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    for number in range(200):
        accounts(f"QUOTA.OPEN a{number} p")
    assert ahead(accounts) == "0"
    accounts.advance("30d")
    for number in range(4):
        accounts(f"QUOTA.CONSUME a{number} r 1")
    accounts.advance("-30d")
    assert ahead(accounts) == "1"  # the one that was changed last; the others when they are looked at
    for number in (0, 1, 1, 2, 9):
        accounts(f"QUOTA.INFO a{number}")
    assert ahead(accounts) == "4"
    accounts("QUOTA.RESET a0")
    accounts("DEL a1")
    assert ahead(accounts) == "2"
    accounts("RENAME a2 b")  # known again once it is looked at under its new name
    assert ahead(accounts) == "1"
    accounts("QUOTA.CONSUME b r 1 CHECK")
    assert ahead(accounts) == "2"
    accounts.advance("30d")
    assert ahead(accounts) == "0"  # the clock has come up to them
    for number in range(3, 200):
        accounts(f"QUOTA.CONSUME a{number} r 1")
    accounts.advance("-1h")
    for number in range(3, 200):
        accounts(f"QUOTA.CONSUME a{number} r 1 CHECK")
    assert ahead(accounts) == "128 or more"
    accounts("QUOTA.RESET a199")
    assert ahead(accounts) == "127"
    accounts.advance("1h")
    assert ahead(accounts) == "0"


def test_health_sees_files_that_cannot_be_written(monkeypatch):
    """A folder stands where the snapshot is to go; and the AOF may grow no further (RLIMIT_FSIZE)."""
    monkeypatch.setattr(servers, "WRAPPER", ["env", "--ignore-signal=XFSZ", *servers.WRAPPER])
    server = Server(("test-clock", "no"), appendonly="yes", appendfsync="everysec").start()
    try:
        quota = Quota(server.client())
        quota("CONFIG SET maxmemory-policy noeviction")
        assert quota.map("QUOTA.HEALTH")["status"] == "ok"
        (server.path / "dump.rdb").mkdir()
        quota("BGSAVE")
        wait_until(lambda: "snapshot" in str(quota.map("QUOTA.HEALTH")), "the snapshot goes well")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        quota("RL.ALLOW k 10 1h")
        wait_until(lambda: "write to the AOF" in str(quota.map("QUOTA.HEALTH")), "the AOF is written")
        assert quota.map("QUOTA.HEALTH")["status"] == "warning"
        assert "MISCONF" in quota.error("RL.ALLOW k 10 1h")  # the server's own refusal
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        (server.path / "dump.rdb").rmdir()
        quota("BGSAVE")
        wait_until(lambda: quota.map("QUOTA.HEALTH")["status"] == "ok", "the server does not recover")
    finally:
        server.close()


def flat(problems):
    """conftest makes a dict of a list of an even number of texts."""
    return [word for pair in problems.items() for word in pair] if isinstance(problems, dict) else problems
