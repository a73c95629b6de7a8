"""RL.POLICY and RL.ALLOW ... POLICY: definitions, exceptions, schedules, shadow; and that all of them survive."""

import pytest

from conftest import NOON, NOON_MS, Quota, clear_policies, paged
from servers import Server, caught_up, rewrite_aof, wait_until

OK = (b"OK", True)


@pytest.fixture
def policies(quota):
    """A client with no policies before and after: FLUSHALL leaves policies alone."""
    clear_policies(quota)
    yield quota
    clear_policies(quota)


def names(quota):
    return [policy["name"] for policy in paged(quota, "RL.POLICY LIST")]


def test_set_get_list_delete(policies):
    assert policies("RL.POLICY SET api 10 1s SLIDING 1000 1h BLOCK 30s") == 1
    assert policies("RL.POLICY SET api 20 1s") == 2  # a new definition, whole
    assert policies.map("RL.POLICY GET api") == {
        "name": "api", "revision": 2, "rules": ["GCRA 20 1s"], "block_ms": 0, "shadow": 0, "schedules": [],
        "overrides": [], "subjects": [], "ranges": []}
    policies("RL.POLICY SET other 1 1s SHADOW")
    assert paged(policies, "RL.POLICY LIST") == [
        {"name": "api", "revision": 2, "overrides": 0, "subjects": 0, "ranges": 0},
        {"name": "other", "revision": 1, "overrides": 0, "subjects": 0, "ranges": 0}]
    policies("FLUSHALL")
    assert names(policies) == ["api", "other"]
    assert policies("RL.POLICY DEL other") == 1
    assert policies("RL.POLICY DEL other") == 0
    assert "NOPOLICY" in policies.error("RL.POLICY GET other")
    assert "NOPOLICY" in policies.error("RL.ALLOW k POLICY other")


def test_check_validates_and_stores_nothing(policies):
    good = "10 1s SLIDING 1000 1h BLOCK 30s SHADOW SCHEDULE Europe/Berlin mon-fri 09:00-17:00 20 1s"
    assert policies(f"RL.POLICY CHECK new {good}") in OK
    assert names(policies) == []
    policies("RL.POLICY SET api 1 1s")
    before = policies.map("RL.POLICY GET api")
    assert policies(f"RL.POLICY CHECK api {good}") in OK
    assert policies.map("RL.POLICY GET api") == before
    for words in ("10", "10 1M", "BUCKET 10 1s", "10 1s SCHEDULE Mars/Base daily 09:00-17:00 1 1s", "1 1s " * 33,
                  "10 1s SCHEDULE UTC daily 9-17 1 1s", "10 1s BLOCK 0", "10 1s FOO"):
        assert policies.error(f"RL.POLICY CHECK p {words}") == policies.error(f"RL.POLICY SET p {words}").replace(
            "RL.POLICY SET", "RL.POLICY CHECK")
    assert "1 to 128 bytes" in policies.error("RL.POLICY CHECK", "n" * 129, "1", "1s")


def test_allow_by_policy_is_allow_by_its_rules(policies):
    policies("RL.POLICY SET api 10 1s SLIDING 1000 1h")
    assert policies("RL.ALLOW k POLICY api COST 3") == [3, 10, 7, 0, 300, 0]
    assert policies("RL.ALLOW k 10 1s SLIDING 1000 1h PEEK") == [1, 10, 7, 0, 300, 0]
    policies("RL.POLICY SET api 4 1s SLIDING 1000 1h")  # a changed limit applies at once
    assert policies("RL.ALLOW k POLICY api COST 3") == [0, 4, 1, 500, 750, 0]
    assert policies("RL.MALLOW 2 a b WITH POLICY api COST 2") == [[2, 4, 2, 0, 500, 0], [2, 4, 2, 0, 500, 0]]
    policies("RL.POLICY SET strict 1 1m")
    assert [v[0] for v in policies("RL.MALLOW 2 a b WITH POLICY api WITH POLICY strict COST 2 ALL")] == [0, 0]


def test_block_comes_with_the_policy(policies):
    policies("RL.POLICY SET api 1 1s BLOCK 1m")
    policies("RL.ALLOW k POLICY api")
    assert policies("RL.ALLOW k POLICY api")[3] == 60000
    policies.advance("10s")
    assert policies("RL.ALLOW k POLICY api") == [0, 0, 0, 50000, 50000, -1]


def test_shadow_refuses_nothing_and_charges_as_ever(policies):
    policies("RL.POLICY SET api 2 1h BLOCK 1m SHADOW")
    assert [policies("RL.ALLOW k POLICY api")[0] for _ in range(4)] == [1, 1, 1, 1]
    assert policies("RL.ALLOW k 2 1h")[0] == 0
    policies("RL.POLICY REFUSE api villain")
    assert policies("RL.ALLOW k POLICY api SUBJECT villain")[0] == 1


def test_lists_of_subjects_and_ranges(policies):
    policies("RL.POLICY SET api 0 1s")
    assert policies("RL.POLICY PERMIT api staff") in OK
    policies("RL.POLICY REFUSE api villain EX 10s")
    policies("RL.POLICY PERMIT api 10.0.0.0/8")
    policies("RL.POLICY REFUSE api 10.66.0.0/16")
    policies("RL.POLICY PERMIT api 2001:db8::/32 EX 1m")
    allowed = lambda words: policies(f"RL.ALLOW k POLICY api {words} COST 7")  # noqa: E731
    assert allowed("SUBJECT staff") == [7, -1, -1, 0, 0, -1]
    assert allowed("SUBJECT villain ADDRESS 10.1.2.3") == [0, 0, 0, 10000, 10000, -1]  # who is named comes first
    assert allowed("ADDRESS 10.1.2.3")[0] == 7
    assert allowed("ADDRESS 10.66.2.3") == [0, 0, 0, -1, -1, -1]  # the longest prefix decides
    assert allowed("ADDRESS ::ffff:10.1.2.3")[0] == 7
    assert allowed("ADDRESS 2001:db8::1")[0] == 7
    assert allowed("ADDRESS 192.168.0.1") == [0, 0, 0, -1, 0, 0]
    assert allowed("SUBJECT absent") == [0, 0, 0, -1, 0, 0]
    policies.advance("10s")
    assert allowed("SUBJECT villain ADDRESS 10.1.2.3")[0] == 7  # at the exact instant
    policies.advance("50s")
    assert allowed("ADDRESS 2001:db8::1")[0] == 0
    policies("RL.POLICY LIFT api 10.0.0.0/8")
    policies("RL.POLICY LIFT api staff")
    assert allowed("ADDRESS 10.1.2.3")[0] == allowed("SUBJECT staff")[0] == 0
    shown = policies.map("RL.POLICY GET api")
    assert shown["ranges"] == [{"range": "10.66.0.0/16", "until": 0, "list": "refuse"}]
    assert shown["subjects"] == []


def test_overrides(policies):
    policies("RL.POLICY SET api 1 1h")
    policies("RL.POLICY OVERRIDE api big 100 1h LOG 500 1d -1 1s EX 1d")
    policies("RL.POLICY OVERRIDE api free -1 1h")
    assert policies("RL.ALLOW a POLICY api SUBJECT big COST 5") == [5, 100, 95, 0, 180000, 9900]
    assert policies("RL.ALLOW b POLICY api SUBJECT free COST 5") == [5, -1, -1, 0, 0, 9900]
    assert policies("RL.ALLOW c POLICY api SUBJECT other COST 5")[3] == -1
    assert policies.map("RL.POLICY GET api")["overrides"] == [
        {"subject": "big", "until": NOON_MS + 86400_000, "rules": ["GCRA 100 1h", "LOG 500 1d", "GCRA -1 1s"]},
        {"subject": "free", "until": 0, "rules": ["GCRA -1 1h"]}]
    assert policies("RL.POLICY SET api 2 1h") == 2  # exceptions stay when the definition changes
    assert policies("RL.ALLOW b POLICY api SUBJECT free")[1] == -1
    policies("RL.POLICY OVERRIDE api free")
    assert policies("RL.ALLOW b POLICY api SUBJECT free")[1] == 2
    policies.advance("1d")
    assert policies("RL.ALLOW a POLICY api SUBJECT big")[1] == 2


def test_the_rule_of_a_verdict_names_its_part(policies):
    """100 x part + index: the policy's own are part 0, its schedules 1, 2, … in order, an override is 99."""
    policies("RL.POLICY SET api 9 1h 5 1h SCHEDULE UTC daily 18:00-19:00 9 1h SCHEDULE UTC daily 19:00-20:00 9 1h 3 1h")
    policies("RL.POLICY OVERRIDE api big 9 1h 7 1h")
    policies("RL.POLICY REFUSE api villain")
    for at, words, rule in [("15:00", "", 1), ("18:00", "", 100), ("19:00", "", 201), ("20:00", "", 1),
                            ("18:00", "SUBJECT big", 9901), ("18:00", "SUBJECT villain", -1)]:
        policies("QUOTA.CLOCK FREEZE", f"2025-01-31T{at}:00Z")
        assert policies(f"RL.ALLOW {{k}}{rule} POLICY api {words}")[5] == rule
        first = rule // 100 * 100 if rule >= 0 else -1
        assert policies(f"RL.ALLOW {{k}}{rule} POLICY api {words} COST 10")[5] == first
        mallow = policies(f"RL.MALLOW 2 {{k}}x {{k}}y WITH POLICY api WITH 1 1s")
        assert [verdict[5] // 100 for verdict in mallow] == [max(rule, 0) // 100 if not words else 1, 0]
        policies("DEL {k}x {k}y")
    policies("QUOTA.CLOCK FREEZE", "2025-01-31T19:00:00Z")
    policies("RL.ALLOW k POLICY api COST 3")
    assert policies("RL.REFUND k 1 RULE 201") == 1  # the number of a verdict is the rule's
    assert policies("RL.REFUND k 9 1") == 2
    assert "no rule with that number" in policies.error("RL.REFUND k 1 RULE 202")


def test_costs_are_those_of_the_rules_in_force(policies):
    policies("RL.POLICY SET api 9 1h 500 1h SCHEDULE UTC daily 18:00-19:00 20 1h")
    policies("RL.POLICY OVERRIDE api big 9 1h 700 1h EX 1d")
    policies("RL.POLICY PERMIT api staff")
    assert policies("RL.ALLOW a POLICY api COST 1 300") == [1, 9, 8, 0, 400000, 0]
    assert policies("RL.ALLOW a POLICY api COST 1 300") == [0, 500, 200, 720000, 2160000, 1]
    assert policies("RL.ALLOW b POLICY api SUBJECT big COST 0 300") == [300, 700, 400, 0, 1542858, 9901]
    assert policies("RL.ALLOW b POLICY api SUBJECT staff COST 1 300 7") == [300, -1, -1, 0, 0, -1]
    assert "3 costs for 2 rules" in policies.error("RL.ALLOW b POLICY api SUBJECT big COST 1 2 3")
    policies("QUOTA.CLOCK FREEZE", "2025-01-31T18:00:00Z")
    assert "2 costs for 1 rules" in policies.error("RL.ALLOW a POLICY api COST 1 300")
    policies("RL.POLICY SET api 9 1h 500 1h SHADOW")
    assert policies("RL.ALLOW c POLICY api COST 1 501") == [501, 500, 500, 0, 0, 1]  # in shadow nothing is refused


def test_schedules_follow_the_wall_clock_of_their_zone(policies):
    policies("RL.POLICY SET api 100 1h SCHEDULE Europe/Berlin mon-fri 09:00-17:00 10 1h"
             " SCHEDULE America/New_York sat,sun 22:00-02:00 5 1h")
    def limit_at(instant):
        policies("QUOTA.CLOCK FREEZE", instant)
        return policies("RL.ALLOW fresh POLICY api PEEK")[1]
    for instant, limit in [
            ("2025-01-31T08:00:00Z", 10), ("2025-01-31T07:59:59Z", 100), ("2025-01-31T15:59:59Z", 10),
            ("2025-01-31T16:00:00Z", 100), ("2025-07-01T07:00:00Z", 10), ("2025-07-01T06:59:59Z", 100),  # DST
            ("2025-02-02T03:00:00Z", 5), ("2025-02-02T06:59:59Z", 5), ("2025-02-02T07:00:00Z", 100),
            ("2025-02-03T06:30:00Z", 5)]:  # Sunday night in New York runs into Monday
        assert limit_at(instant) == limit, instant
    policies("QUOTA.CLOCK FREEZE", NOON)
    assert policies.map("RL.POLICY GET api")["schedules"] == [
        {"when": "Europe/Berlin mon-fri 09:00-17:00", "rules": ["GCRA 10 1h"]},
        {"when": "America/New_York sat,sun 22:00-02:00", "rules": ["GCRA 5 1h"]}]


def test_rules_that_are_out_of_force_keep_their_counts(policies):
    policies("RL.POLICY SET api 5 1d SCHEDULE UTC daily 18:00-20:00 FIXED 3 7d LOG 100 1h")
    assert policies("RL.ALLOW k POLICY api COST 2")[:3] == [2, 5, 3]
    policies("QUOTA.CLOCK FREEZE", "2025-01-31T18:00:00Z")
    assert policies("RL.ALLOW k POLICY api COST 2")[:3] == [2, 3, 1]
    assert [rule["algorithm"] for rule in policies.map("RL.INFO k")["rules"]] == ["FIXED", "LOG"]
    assert policies("RL.ALLOW k POLICY api COST 2")[0] == 0
    policies("QUOTA.CLOCK FREEZE", "2025-01-31T20:00:00Z")
    assert policies("RL.ALLOW k POLICY api COST 3")[:3] == [3, 5, 1]  # the day's rate: 2 owed, 1 1/24 paid back
    policies("QUOTA.CLOCK FREEZE", "2025-02-01T18:00:00Z")
    assert policies("RL.ALLOW k POLICY api")[:3] == [1, 3, 0]  # the week's window goes on, the hour's log has ended


@pytest.mark.parametrize("line, says", [
    ("RL.POLICY SET p", "wrong number"), ("RL.POLICY SET p x 1s", "limit 'x'"), ("RL.POLICY SET p 1 1s FOO", "'FOO'"),
    ("RL.POLICY SET p 1 1s SCHEDULE Nowhere/City daily 09:00-17:00 1 1s", "zone 'Nowhere/City'"),
    ("RL.POLICY SET p 1 1s SCHEDULE ../../etc/passwd daily 09:00-17:00 1 1s", "zone"),
    ("RL.POLICY SET p 1 1s SCHEDULE UTC someday 09:00-17:00 1 1s", "days 'someday'"),
    ("RL.POLICY SET p 1 1s SCHEDULE UTC daily 9-17 1 1s", "from-to '9-17'"),
    ("RL.POLICY SET p 1 1s SCHEDULE UTC daily 09:00-17:00", "rule is missing"),
    ("RL.POLICY SET p " + "1 1s " * 33, "LIMITED"),
    ("RL.POLICY SET p 1 1s" + " SCHEDULE UTC daily 09:00-17:00 1 1s" * 33, "schedule"),
    ("RL.POLICY OVERRIDE p s 1 1s", "NOPOLICY"), ("RL.POLICY PERMIT p s", "NOPOLICY"),
    ("RL.POLICY REFUSE p s", "NOPOLICY"), ("RL.POLICY LIFT p s", "NOPOLICY"), ("RL.POLICY GET p", "NOPOLICY"),
    ("RL.POLICY PERMIT there 10.0.0.1/8", "10.0.0.1/8"), ("RL.POLICY PERMIT there 10.0.0.0/33", "10.0.0.0/33"),
    ("RL.POLICY PERMIT there s EX 0", "ex '0'"), ("RL.POLICY PERMIT there s EX @1735689600", "write @1735689600s"),
    ("RL.POLICY OVERRIDE there s 1 1s EX @2025-01-31T15:00:00Z", "the instant has passed"),
    ("RL.ALLOW k POLICY there ADDRESS 10.0.0.300", "address"),
    ("RL.ALLOW k POLICY there SUBJECT", "subject is missing"), ("RL.PEEK k 1 1s WAIT 1s", "not an option"),
    ("RL.ALLOW k 1 1s POLICY there", "one of them"),
    ("RL.ALLOW k 1 1s SUBJECT s", "go with POLICY"), ("RL.POLICY NOPE", "unknown subcommand"),
    ("RL._POLICY p x", "command")])  # internal; unknown to clients of Redis 8
def test_wrong_words_are_named_and_change_nothing(policies, line, says):
    policies("RL.POLICY SET there 1 1s")
    before = policies.map("RL.POLICY GET there")
    assert says.lower() in policies.error(line).lower()
    assert names(policies) == ["there"]
    assert policies.map("RL.POLICY GET there") == before
    assert policies("EXISTS k") == 0


@pytest.mark.parametrize("command", ["RL.ALLOW", "RL.PEEK"])
def test_an_empty_subject_or_address_is_an_error(policies, command):
    """It would pass the lists by."""
    policies("RL.POLICY SET api 1 1s")
    policies("RL.POLICY REFUSE api villain")
    policies("RL.POLICY REFUSE api 10.0.0.0/8")
    assert "subject '' is empty" in policies.error(f"{command} k POLICY api SUBJECT", "")
    assert "address '' is not an IPv4" in policies.error(f"{command} k POLICY api ADDRESS", "")
    assert "address '' is not an IPv4" in policies.error(f"{command} k POLICY api SUBJECT villain ADDRESS", "")
    assert "go with POLICY" in policies.error(f"{command} k 1 1s SUBJECT", "")
    assert "one of them" in policies.error(f"{command} k POLICY", "")
    assert policies("EXISTS k") == 0


def fill(quota):
    quota("RL.POLICY SET api 10 1s SLIDING 1000 1h BLOCK 30s SCHEDULE Europe/Berlin mon-fri 09:00-17:00 5 1s")
    quota("RL.POLICY SET shadow 1 1m SHADOW")
    for i in range(20):
        quota(f"RL.POLICY OVERRIDE api user:{i} {i + 1} 1h EX {i + 1}d")
        quota(f"RL.POLICY {'PERMIT' if i % 2 else 'REFUSE'} api subject:{i}")
        quota(f"RL.POLICY REFUSE api 10.{i}.0.0/16 EX {i + 1}h")
        quota(f"RL.POLICY PERMIT api 2001:db8:{i}::/48")


def content(quota):
    quota("QUOTA.CLOCK FREEZE", NOON)
    return {name: quota.map(f"RL.POLICY GET {name}") for name in names(quota)}


def test_the_configuration_replicates_and_reloads(policies, primary, replica):
    fill(policies)
    expected = content(policies)
    caught_up(primary, replica)
    assert content(Quota(replica.client())) == expected
    for reload in ("DEBUG RELOAD", "DEBUG LOADAOF"):
        policies(reload)
        assert content(policies) == expected, reload
    replica.client().execute_command("DEBUG LOADAOF")
    assert content(Quota(replica.client())) == expected
    Quota(replica.client())("QUOTA.CLOCK RESUME")


@pytest.mark.parametrize("with_keys", [False, True])
def test_an_aof_rewritten_without_preamble_keeps_the_configuration(with_keys):
    server = Server(appendonly="yes", appendfsync="always", aof_use_rdb_preamble="no").start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    fill(quota)
    quota("RL.POLICY SET gone 1 1s")
    if with_keys:
        quota("RL.ALLOW k POLICY api")
    quota("RL.POLICY DEL gone")
    expected = content(quota)
    rewrite_aof(server)
    server.kill()
    server.start()
    assert content(Quota(server.client())) == expected
    server.close()


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_a_rewrite_replicates_nothing(preamble):
    """What its own file says already, neither the rest of the AOF nor a replica needs once more."""
    primary, replica = Server(appendonly="yes", aof_use_rdb_preamble=preamble).start(), Server().start()
    replica.follow(primary)
    fill(Quota(primary.client()))
    caught_up(primary, replica)

    def repeated():
        return replica.client().info("commandstats")["cmdstat_RL._POLICY"]["calls"]
    before, expected = repeated(), content(Quota(primary.client()))
    for _ in range(2):
        rewrite_aof(primary)
        primary.client().set("after", 1)  # behind whatever the rewrite replicates
        caught_up(primary, replica)
    assert repeated() == before
    assert content(Quota(replica.client())) == expected
    primary.stop()
    primary.start()
    assert content(Quota(primary.client())) == expected
    primary.close()
    replica.close()


def test_full_sync_replaces_the_configuration_of_a_replica(policies, primary):
    fill(policies)
    for diskless in ("disabled", "on-empty-db", "swapdb"):
        newcomer = Server(repl_diskless_load=diskless).start()
        Quota(newcomer.client())("RL.POLICY SET stale 1 1s")
        newcomer.follow(primary)
        assert content(Quota(newcomer.client())) == content(policies)
        newcomer.close()
    clear_policies(policies)
    newcomer = Server().start()
    Quota(newcomer.client())("RL.POLICY SET stale 1 1s")
    newcomer.follow(primary)
    assert names(Quota(newcomer.client())) == []  # also when the primary has none at all
    newcomer.close()


def test_what_has_expired_is_swept_by_later_changes(policies):
    policies("RL.POLICY SET api 1 1s")
    for i in range(200):
        policies(f"RL.POLICY OVERRIDE api user:{i} 2 1s EX {'@1738335601s' if i % 2 else '1s'}")
    policies.advance("1s")
    for _ in range(40):
        policies("RL.POLICY PERMIT api another")
    assert paged(policies, "RL.POLICY LIST")[0]["overrides"] == 0
