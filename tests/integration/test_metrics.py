"""INFO's section of the module: verdicts by cause, who waits, keys and bytes by type."""

import pytest

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
def test_each_ask_is_counted_once_by_its_cause(quota, lines, counted):
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
