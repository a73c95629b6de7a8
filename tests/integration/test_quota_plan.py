"""QUOTA.PLAN: rules validated whole, shown as they are written, a configuration that survives all servers do."""

import pytest

from conftest import Quota, as_fields, clear_plans, listed
from servers import Server, caught_up, rewrite_aof, wait_until

OK = (b"OK", True)


def test_set_get_list_delete(accounts):
    assert accounts("QUOTA.PLAN SET pro api LIMIT 20000 month PRORATE CALENDAR LIMIT 1000 day RATE 10 1s") == 1
    assert accounts("QUOTA.PLAN SET pro tokens limit -1 forever COST 3") == 2
    assert accounts.map("QUOTA.PLAN GET pro") == {
        "plan": "pro", "revision": 2, "resources": {
            "api": ["LIMIT 20000 month CALENDAR PRORATE", "LIMIT 1000 day", "RATE GCRA 10 1s"],
            "tokens": as_pairs(["LIMIT -1 forever", "COST 3"])}, "pending": [], "retired": 0, "accounts": 0}
    accounts("QUOTA.PLAN SET free api LIMIT 10 day")
    assert listed(accounts) == {"free": (1, 0, 0), "pro": (2, 0, 0)}
    accounts("FLUSHALL SYNC")
    assert listed(accounts) == {"free": (1, 0, 0), "pro": (2, 0, 0)}
    assert accounts("QUOTA.PLAN DEL pro tokens") == 1
    assert accounts("QUOTA.PLAN DEL pro tokens") == 0
    assert accounts.map("QUOTA.PLAN GET pro")["revision"] == 3
    assert [accounts("QUOTA.PLAN DEL pro"), accounts("QUOTA.PLAN DEL pro")] == [1, 0]
    assert accounts.map("QUOTA.PLAN GET pro")["retired"] == 1
    assert accounts.error("QUOTA.OPEN a pro").startswith("NOPLAN")
    assert accounts("QUOTA.PLAN SET pro api LIMIT 5 month") == 4  # revives it, and revisions go on
    assert listed(accounts) == {"free": (1, 0, 0), "pro": (4, 0, 0)}
    assert accounts.error("QUOTA.PLAN GET never").startswith("NOPLAN")


def test_lists_are_paged(accounts):
    for number in range(7):
        accounts(f"QUOTA.PLAN SET p{number} api LIMIT 5 month")
    names, cursor = [], ""
    while cursor is not None:
        after = ["AFTER", cursor] if cursor else []
        cursor, page = accounts("QUOTA.PLAN LIST COUNT 3", *after)
        names.append([as_fields(plan)[b"plan"].decode() for plan in page])
    assert names == [["p0", "p1", "p2"], ["p3", "p4", "p5"], ["p6"]]
    for words in ("COUNT 0", "COUNT 1001", "COUNT x", "AFTER"):
        assert accounts.error(f"QUOTA.PLAN LIST {words}")


def as_pairs(texts):
    """What conftest makes of a list of an even number of texts."""
    return dict(zip(texts[::2], texts[1::2]))


# Words in, words out: the text a GET shows makes the same rules when it is given to SET again.
RULES = [
    "LIMIT 5 minute", "LIMIT 5 3month", "LIMIT 5 quarter", "LIMIT 5 half-year", "LIMIT 5 year EOM", "LIMIT 0 forever",
    "LIMIT 5 month CALENDAR FROM 15", "LIMIT 5 year CALENDAR FROM 04-06", "LIMIT 5 week CALENDAR FROM sun",
    "LIMIT 5 90s", "LIMIT 7 ROLLING 6h", "RATE TOKEN 10 1s BURST 20", "LIMIT 5 day BURST 12.5 REPAY",
    "LIMIT 5 day CONCURRENT 3 RATE 1 1s", "CONCURRENT -1", "LIMIT 5 day GRACE 1h OVERAGE",
    "LIMIT 5 day OVERAGE MAX 0", "LIMIT 5 day CREDITS FIRST LOW 3 OVERAGE MAX 7",
    "LIMIT 5 day REFUNDS MAX 3 WITHIN 30d HOLDS MAX 2 WARN 99.5 80 80 0.01",
    "LIMIT 5 day PRICE usd TIER 1000 0.010 TIER * 0.000001",
    "LIMIT 0 month OVERAGE TIER 5 1 FLAT 2 PRICE EUR VOLUME PER 9 TIER * 0",
    "LIMIT 5 day LIMIT 6 week LIMIT 7 month LIMIT 8 ROLLING 1h LIMIT 9 ROLLING 2h RATE 1 1s RATE LOG 2 1m",
]


@pytest.mark.parametrize("rules", RULES)
def test_the_text_of_a_plan_is_the_plan(accounts, rules):
    accounts(f"QUOTA.PLAN SET p r {rules}")
    first = accounts("QUOTA.PLAN GET p")
    texts = (first[b"resources"] if isinstance(first, dict) else dict([first[5]]))[b"r"]
    accounts("QUOTA.PLAN SET p r", *[word for text in texts for word in text.split()])
    again = accounts("QUOTA.PLAN GET p")
    assert (again[b"resources"] if isinstance(again, dict) else dict([again[5]]))[b"r"] == texts


def test_warnings_are_sorted_and_each_once(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 5 day WARN 99.5 80 80 0.01")
    assert accounts.map("QUOTA.PLAN GET p")["resources"]["r"] == as_pairs(["LIMIT 5 day", "WARN 0.01% 80% 99.5%"])


BAD = [
    # nothing to limit by, or two of one period
    ("r", "LIMIT"), ("r COST 2", "needs a LIMIT"), ("r LIMIT 1 day LIMIT 2 day", "same period"),
    ("r LIMIT 1 ROLLING 1h LIMIT 2 ROLLING 1h", "same period"), ("r LIMIT 1 24h LIMIT 2 1d", "same period"),
    # numbers out of range
    ("r LIMIT -2 day", "limit"), ("r LIMIT 9223372036854775808 day", "limit"), ("r LIMIT x day", "limit"),
    ("r LIMIT 1 0day", "period"), ("r LIMIT 1 99999999month", "period"), ("r LIMIT 1 day COST 0", "cost"),
    ("r LIMIT 1 day WARN", "percent"), ("r LIMIT 1 day WARN 0", "percent"), ("r LIMIT 1 day WARN 10000.01", "percent"),
    ("r LIMIT 1 day WARN 1.234", "percent"), ("r LIMIT 1 day WARN -5", "percent"),
    ("r LIMIT 1 day WARN " + "1 " * 17, "at most 16"), ("r LIMIT 1 day GRACE 0", "grace"),
    ("r CONCURRENT 1 CONCURRENT 2", "CONCURRENT twice"), ("r CONCURRENT -2", "units"), ("r CONCURRENT", "units"),
    ("r LIMIT 1 day OVERAGE MAX", "max"), ("r LIMIT 1 day OVERAGE MAX -1", "MAX '-1': an integer of 0 or more"),
    ("r LIMIT 1 day OVERAGE MAX 1 OVERAGE", "OVERAGE was given already"),
    ("r LIMIT 1 day HOLDS", "max"), ("r LIMIT 1 day HOLDS MAX -1", "max"), ("r LIMIT 1 day REFUNDS MAX x", "max"),
    # prices
    ("r LIMIT 1 day PRICE usd", "without a TIER"), ("r LIMIT 1 day PRICE", "currency"),
    ("r LIMIT 1 day TIER * 1", "TIER without PRICE"), ("r LIMIT 1 day PRICE u$d TIER * 1", "letters and digits"),
    ("r LIMIT 1 day PRICE usd TIER 5 1", "last TIER"), ("r LIMIT 1 day PRICE usd TIER * 1 TIER 5 1", "last TIER"),
    ("r LIMIT 1 day PRICE usd TIER 5 1 TIER 5 1 TIER * 1", "do not rise"),
    ("r LIMIT 1 day PRICE usd TIER 0 1", "TIER '0': an integer of 1 or more, or *"),
    ("r LIMIT 1 day PRICE usd TIER * 0.0000001", "price '0.0000001': a decimal"),
    ("r LIMIT 1 day PRICE usd TIER * -1", "a decimal of 0 to 1000000, up to 6 places"),
    ("r LIMIT 1 day PRICE usd TIER * 1 FLAT x", "FLAT 'x'"), ("r LIMIT 1 day PRICE usd PER 0 TIER * 1", "units"),
    ("r LIMIT 1 day PRICE usd TIER * 1 PRICE eur", "given already"),
    ("r LIMIT 1 day PRICE usd " + " ".join(f"TIER {n} 1" for n in range(1, 18)), "LIMITED"),
    ("r RATE 1 1s PRICE usd TIER * 1", "needs a LIMIT with a period"),
    ("r LIMIT 1 ROLLING 1h PRICE usd TIER * 1", "needs a LIMIT with a period"),
    ("r AS other PRICE usd TIER * 1", "counted AS another"),
    # words that do not fit
    ("r LIMIT 1 1M", "a calendar month is a month"), ("r LIMIT 1 30d CALENDAR", "CALENDAR '30d': a duration has no"),
    ("r LIMIT 1 2w CALENDAR", "day, week and month have one"),
    ("r LIMIT 1 day EFFECTIVE 1735689600", "write 1735689600s"),
    ("r LIMIT 1 fortnight", "period"), ("r LIMIT 1 10", "period"), ("r LIMIT 1", "period"),
    ("r LIMIT 1 day FROM 3", "FROM"), ("r LIMIT 1 week CALENDAR FROM 15", "FROM"), ("r LIMIT 1 day EOM", "EOM"),
    ("r LIMIT 1 year CALENDAR FROM 02-30", "FROM"), ("r LIMIT 1 ROLLING 1h CALENDAR", "rolling"),
    ("r LIMIT 1 month ROLLING 1h", "rolling"), ("r LIMIT 1 day SLOWLY 10", "not an option"),
    ("r LIMIT 1 day BURST 10 BURST 20", "given already"), ("r RATE 1 1s RATE", "rule"), ("r RATE 1", "period"),
    ("r " + "LIMIT 1 ROLLING 1h " * 16, "same period"),
    ("r " + " ".join(f"LIMIT 1 ROLLING {n}h" for n in range(1, 18)), "LIMITED"),
]


@pytest.mark.parametrize("words, names", BAD)
def test_a_bad_plan_is_refused_whole(accounts, words, names):
    accounts("QUOTA.PLAN SET p other LIMIT 1 day")
    assert names.lower() in accounts.error(f"QUOTA.PLAN SET p {words}").lower()
    assert accounts.map("QUOTA.PLAN GET p") == {
        "plan": "p", "revision": 1, "resources": {"other": ["LIMIT 1 day"]}, "pending": [], "retired": 0, "accounts": 0}


def test_names_have_bounds(accounts):
    assert "1 to 128 bytes" in accounts.error("QUOTA.PLAN SET", "", "r", "LIMIT", 1, "day")
    assert "1 to 128 bytes" in accounts.error("QUOTA.PLAN SET", "p" * 129, "r", "LIMIT", 1, "day")
    assert "1 to 128 bytes" in accounts.error("QUOTA.PLAN SET p", "r" * 129, "LIMIT", 1, "day")
    assert accounts("QUOTA.PLAN SET", b"\0\xff" * 64, b"\n" * 128, "LIMIT", 1, "day") == 1
    for number in range(64):
        accounts(f"QUOTA.PLAN SET many r{number} LIMIT 1 day")
    assert accounts.error("QUOTA.PLAN SET many r64 LIMIT 1 day").startswith("LIMITED")
    assert accounts("QUOTA.PLAN SET many r63 LIMIT 2 day") == 65


def test_accounts_follow_a_revision_at_its_instant(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 month")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 4")
    accounts("QUOTA.PLAN SET p r LIMIT 6 month")
    assert accounts("QUOTA.CONSUME a r 3 CHECK")[:3] == [0, 6, 2]  # as CONSUME would answer
    assert accounts.map("QUOTA.INFO a")["revision"] == 2  # INFO is what CONSUME would decide
    assert accounts("QUOTA.CONSUME a r 1") == [1, 6, 1, 0, accounts_left_ms(accounts), 0]
    assert accounts.map("QUOTA.INFO a")["revision"] == 2
    accounts("QUOTA.PLAN DEL p")  # an account carries its rules with it
    assert accounts("QUOTA.CONSUME a r 1")[:3] == [1, 6, 0]
    assert accounts.error("QUOTA.OPEN b p").startswith("NOPLAN")


def accounts_left_ms(accounts):
    rule = accounts.map("QUOTA.INFO a r")["rules"][0]
    return rule["end"] - accounts("QUOTA.CLOCK")


def test_the_configuration_survives_files_replicas_and_rewrites():
    server = Server(appendonly="yes", appendfsync="always").start()
    plain = Server(**{"appendonly": "yes", "aof-use-rdb-preamble": "no"}).start()
    try:
        quota = Quota(server.client())
        quota("QUOTA.PLAN SET pro api LIMIT 5 month")
        quota("QUOTA.PLAN SET gone api LIMIT 5 month")
        plain.follow(server)
        quota("QUOTA.PLAN DEL gone")
        quota("QUOTA.OPEN a pro")
        caught_up(server, plain)
        replica = Quota(plain.client())
        assert listed(replica) == {"gone": (1, 1, 0), "pro": (1, 0, 1)}
        rewrite_aof(plain)
        plain.client().replicaof("NO", "ONE")
        replica("QUOTA.PLAN SET later api LIMIT 1 day")
        plans_of_replica = {"gone": (1, 1, 0), "later": (1, 0, 0), "pro": (1, 0, 1)}
        for node, plans in ((server, {"gone": (1, 1, 0), "pro": (1, 0, 1)}), (plain, plans_of_replica)):
            digest = node.digest()
            node.stop()
            node.start()
            wait_until(node.answers, "no server")
            assert listed(Quota(node.client())) == plans
            assert node.digest() == digest
    finally:
        server.close()
        plain.close()


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_since_when_a_plan_is_retired_survives_files_and_replicas(preamble):
    """Who came to it before is on it; who would come later falls into nothing."""
    server = Server(**{"appendonly": "yes", "aof-use-rdb-preamble": preamble}).start()
    replica = Server().start()
    try:
        quota = Quota(server.client())
        replica.follow(server)
        quota("QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z")
        for name in "pq":
            quota(f"QUOTA.PLAN SET {name} r LIMIT 10 day")
        quota("QUOTA.OPEN before p EXPIRES 10d THEN q")
        quota("QUOTA.OPEN after p EXPIRES 12d THEN q")
        quota.advance("11d")
        assert quota("QUOTA.PLAN DEL q") == 1
        caught_up(server, replica)
        for rewritten in (False, True):
            if rewritten:
                rewrite_aof(server)
            server.stop()
            server.start()
            for node in (server, replica):
                quota = Quota(node.client())
                quota("QUOTA.CLOCK FREEZE 2025-02-13T15:00:00Z")
                info = {name: quota.map(f"QUOTA.INFO {name}") for name in ("before", "after")}
                assert (info["before"]["plan"], info["before"]["state"]) == ("q", "active")
                assert info["after"]["state"] == "expired"
    finally:
        replica.close()
        server.close()


def test_a_rewrite_takes_no_command_of_the_operator_along(accounts):
    primary, replica = Server(appendonly="no").start(), Server().start()
    try:
        replica.follow(primary)
        Quota(primary.client())("QUOTA.PLAN SET p r LIMIT 5 month")
        primary.client().config_set("maxmemory", "123456789", "appendonly", "yes", "aof-use-rdb-preamble", "no")
        rewrite_aof(primary)
        rewrite_aof(primary)
        caught_up(primary, replica)
        assert replica.client().config_get("maxmemory", "appendonly") == {"maxmemory": "0", "appendonly": "no"}
        assert "cmdstat_bgrewriteaof" not in replica.client().info("commandstats")
        files = b"".join(path.read_bytes() for path in primary.path.rglob("*.aof"))
        assert b"RL._PLAN" in files and b"BGREWRITEAOF" not in files.upper() and b"maxmemory" not in files
    finally:
        replica.close()
        primary.close()


def test_clients_cannot_replay_plans(accounts):
    assert "internal" in accounts.error("RL._PLAN p x")
    clear_plans(accounts)
