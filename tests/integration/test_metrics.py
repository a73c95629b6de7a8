"""INFO's section of the module: verdicts by cause, who waits, keys and bytes by type, usage by plan and resource."""

import pytest

from conftest import Quota
from servers import Server
from test_waiting import Waiter


def counters(quota):
    return {name: value for name, value in quota.client.info("quota").items() if name.startswith("quota_")}


@pytest.mark.parametrize("lines, counted", [
    (["RL.ALLOW k 1 1h"], "quota_admitted"), (["RL.ALLOW k 0 1h"], "quota_denied_limit"),
    (["RL.BLOCK k 1m", "RL.ALLOW k 5 1h"], "quota_denied_block"),
    (["RL.POLICY SET m 5 1h", "RL.POLICY REFUSE m s", "RL.ALLOW k POLICY m SUBJECT s"], "quota_denied_list"),
    (["RL.POLICY SET m 0 1h SHADOW", "RL.ALLOW k POLICY m"], "quota_shadowed"),
    (["CL.THROTTLE k 5 1 1"], "quota_admitted"), (["CL.THROTTLE k 0 1 1 2"], "quota_denied_limit"),
    (["RL.MALLOW 1 k WITH 1 1h"], "quota_admitted"), (["RL.ADAPT k 5 9"], "quota_admitted"),
    (["RL.ADAPT k 5 9 COST 6"], "quota_denied_limit"), (["RL.ACQUIRE k 1 1m"], "quota_admitted"),
    (["RL.BREAKER k FORCE open", "RL.BREAKER k"], "quota_denied_breaker"), (["RL.BREAKER k"], "quota_admitted"),
    (["RL.ALLOW k 1 1h PEEK", "RL.INFO k", "CL.THROTTLE k 1 1 1 0"], None)])
def test_each_request_is_counted_once_by_its_cause(quota, lines, counted):
    before = counters(quota)
    for line in lines:
        quota(line)
    after = counters(quota)
    causes = ("quota_admitted", "quota_denied_limit", "quota_denied_block", "quota_denied_list",
              "quota_denied_breaker", "quota_shadowed")
    assert {name: after[name] - before[name] for name in causes} == {name: int(name == counted) for name in causes}
    quota("RL.POLICY DEL m")


def test_keys_and_bytes_come_and_go(quota):
    def held():
        info = counters(quota)
        return info["quota_keys_rl_bucket"], info["quota_bytes_rl_bucket"]
    assert held() == (0, 0)
    quota("RL.ALLOW a 1 1h")
    one = held()
    assert one[0] == 1 and 8 < one[1] <= 16
    for _ in range(500):
        quota("RL.ALLOW log LOG 1000 1h")
        quota.advance("1ms")
    keys, size = held()
    assert keys == 2 and 500 < size - one[1] < 10_000
    quota("COPY log twin")
    assert held()[0] == 3
    quota("DEBUG RELOAD")
    assert held()[0] == 3
    quota("DEL log twin")
    assert held() == one
    quota("RL.REFUND a 1")
    assert held() == (0, 0)


def test_leases_are_counted(quota):
    for name in ("a", "b", "c"):
        quota(f"RL.ACQUIRE k 5 1m ID {name}")
    quota("RL.RELEASE k a")
    assert counters(quota)["quota_leases"] == 2
    quota("DEBUG RELOAD")
    assert counters(quota)["quota_leases"] == 2
    quota("DEL k")
    assert counters(quota)["quota_leases"] == 0


def test_who_waits_is_counted(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    assert counters(quota)["quota_waiting"] == 1
    quota.advance("10s")
    waiter.done()
    assert counters(quota)["quota_waiting"] == 0


def test_the_folder_of_the_zones_is_a_setting(quota):
    assert quota.client.config_get("quota.tzdir") == {"quota.tzdir": "/usr/share/zoneinfo"}
    quota("CONFIG SET quota.tzdir /nowhere")
    assert "Europe/Berlin" in quota.error("RL.POLICY SET z 1 1s SCHEDULE Europe/Berlin daily 00:00-24:00 2 1s")
    assert quota("RL.POLICY SET z 1 1s SCHEDULE UTC daily 00:00-24:00 2 1s") == 1  # UTC needs no file
    assert quota("RL.ALLOW k POLICY z PEEK")[1] == 2
    quota("CONFIG SET quota.tzdir /usr/share/zoneinfo")
    assert quota("RL.POLICY SET z 1 1s SCHEDULE Europe/Berlin daily 00:00-24:00 3 1s") == 2
    quota("CONFIG SET quota.tzdir /nowhere")  # as on a server without tzdata: the entry does not match there
    assert quota("RL.ALLOW k POLICY z PEEK")[1] == 1
    quota("CONFIG SET quota.tzdir /usr/share/zoneinfo")
    assert quota("RL.ALLOW k POLICY z PEEK")[1] == 3
    assert "absolute path" in quota.error("CONFIG SET quota.tzdir relative")
    quota("RL.POLICY DEL z")


# ---- usage by plan and resource ---------------------------------------------------------------------------------

COUNTED = ("granted", "refused", "units", "credits", "refunded")


@pytest.fixture
def usage():
    """Rows of a server of its own: plan and resource ──▶ what is counted."""
    server = Server().start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE 2025-01-31T15:00:00Z")
    quota("QUOTA.PLAN SET pro api LIMIT 10 day")
    quota("QUOTA.PLAN SET pro tokens LIMIT 5 day CREDITS")
    quota("QUOTA.PLAN SET free api LIMIT 1 day")
    quota("QUOTA.OPEN a pro")
    quota("QUOTA.OPEN b free")
    quota.rows = lambda: {
        (row["plan"], row["resource"]): tuple(row[name] for name in COUNTED)
        for name, row in quota.client.info("quota").items() if name.startswith("quota_usage_")}
    yield quota
    server.close()


@pytest.mark.parametrize("lines, wanted", [
    (["QUOTA.CONSUME a api 3", "QUOTA.CONSUME a api 4", "QUOTA.CONSUME a api 9", "QUOTA.CONSUME b api 1"],
     {("pro", "api"): (2, 1, 7, 0, 0), ("free", "api"): (1, 0, 1, 0, 0)}),
    (["QUOTA.CONSUME a api 3 CHECK", "QUOTA.CHECK a api 99", "QUOTA.CONSUME a api 99 CHECK"], {}),
    (["QUOTA.CONSUME a api 3 ID i", "QUOTA.CONSUME a api 3 ID i"], {("pro", "api"): (1, 0, 3, 0, 0)}),
    (["QUOTA.CONSUME a api 99 UPTO", "QUOTA.CONSUME a api 5 FORCE"], {("pro", "api"): (2, 0, 15, 0, 0)}),
    (["QUOTA.MCONSUME a 2 api 1 tokens 9"], {("pro", "tokens"): (0, 1, 0, 0, 0)}),
    (["QUOTA.MCONSUME a 2 api 1 tokens 2"], {("pro", "api"): (1, 0, 1, 0, 0), ("pro", "tokens"): (1, 0, 2, 0, 0)}),
    (["QUOTA.GRANT a g tokens 100", "QUOTA.CONSUME a tokens 8"], {("pro", "tokens"): (1, 0, 8, 3, 0)}),
    (["QUOTA.RESERVE a h api 4 TTL 1h", "QUOTA.COMMIT a h 2", "QUOTA.RESERVE a i api 9 TTL 1h"],
     {("pro", "api"): (1, 1, 4, 0, 0)}),
    (["QUOTA.CONSUME a api 5 ID i", "QUOTA.REFUND a api 2 OF i ID j", "QUOTA.REFUND a api 2 OF i ID j",
      "QUOTA.REFUND a ALL OF i"], {("pro", "api"): (1, 0, 5, 0, 5)}),
    (["QUOTA.CONSUME a api 1", "QUOTA.SWITCH a free", "QUOTA.CONSUME a api 1"],
     {("pro", "api"): (1, 0, 1, 0, 0), ("free", "api"): (0, 1, 0, 0, 0)}),
])
def test_usage_is_counted_by_plan_and_resource(usage, lines, wanted):
    for line in lines:
        usage(line)
    assert usage.rows() == wanted


def test_rows_of_usage_are_bounded(usage):
    for number in range(20):
        pipe = usage.client.pipeline(transaction=False)
        for resource in range(60):
            pipe.execute_command("QUOTA.PLAN", "SET", f"p{number}", f"r{resource}", "LIMIT", 1, "day")
        pipe.execute_command("QUOTA.OPEN", f"a{number}", f"p{number}")
        for resource in range(60):
            pipe.execute_command("QUOTA.CONSUME", f"a{number}", f"r{resource}", 1)
        pipe.execute()
    rows = usage.rows()
    assert len(rows) == 1000 and set(rows.values()) == {(1, 0, 1, 0, 0)}
    usage("QUOTA.CONSUME a0 r0 1")
    assert usage.rows()["p0", "r0"] == (1, 1, 1, 0, 0)
    assert "bounds: 1000 plans and resources that INFO counts of at most 1000" in usage.map("QUOTA.HEALTH")["problems"]


def test_names_of_usage_are_safe(usage):
    usage("QUOTA.PLAN SET", "a,b=c\r\nd", "r s", "LIMIT", 5, "day")
    usage("QUOTA.OPEN", "x", "a,b=c\r\nd")
    usage("QUOTA.CONSUME x", "r s", 1)
    assert usage.rows() == {("a_b_c__d", "r_s"): (1, 0, 1, 0, 0)}


def test_reservations_are_counted(quota):
    before = counters(quota)["quota_holds"]
    quota("QUOTA.PLAN SET p r LIMIT 100 day")
    quota("QUOTA.PLAN SET p s LIMIT 100 day")
    for account in "a", "b":
        quota(f"QUOTA.OPEN {account} p")
        quota(f"QUOTA.RESERVE {account} one r 1 TTL 1h")
        quota(f"QUOTA.RESERVE {account} two r 1 s 2 TTL 1h")
    assert counters(quota)["quota_holds"] == before + 4  # of several resources it is one
    quota("QUOTA.COMMIT a two")
    quota("QUOTA.RELEASE b one")
    assert counters(quota)["quota_holds"] == before + 2
    quota("DEL b")
    assert counters(quota)["quota_holds"] == before + 1
    quota("DEBUG RELOAD")
    assert counters(quota)["quota_holds"] == before + 1
    quota.advance("2h")
    quota("QUOTA.CONSUME a r 1")  # sweeps it
    assert counters(quota)["quota_holds"] == before
