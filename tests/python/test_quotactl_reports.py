"""quotactl usage, bill, forecast, advise, violations, events, health, acl: what is read, against what the server says.

The clock is held; what is exported of a thousand accounts is compared with the accounts that were made.
"""

import csv
import io
import json
import threading
import time

import pytest
from conftest import NOON_MS, Quota
from redis_quota.cli.acl import ROLES, lines_of
from servers import Server, free_port

from .calls import answered, emptied, quotactl, refused, started, url_of

DAY_MS = 86_400_000
ACCOUNTS = 1010


@pytest.fixture(scope="module")
def running():
    server = Server(appendonly="yes").start()
    yield server
    server.close()


@pytest.fixture
def quota(running, monkeypatch):
    monkeypatch.setenv("QUOTA_URL", url_of(emptied(running)))
    quota = Quota(running.client())
    quota("QUOTA.VIOLATIONS RESET")
    quota("QUOTA.PLAN SET pro api LIMIT 1000 month OVERAGE PRICE usd TIER 1000 0.01 TIER * 0.005")
    quota("QUOTA.PLAN SET pro tokens LIMIT 100 day CREDITS")
    quota("QUOTA.PLAN SET free api LIMIT 100 month")
    quota("QUOTA.PLAN SET huge api LIMIT -1 month")
    return quota


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- usage ---------------------------------------------------------------------------------------------------------


def fill(quota):
    """So many accounts; account n has used n % 1000 of its month."""
    batch = quota.client.pipeline(transaction=False)
    for number in range(ACCOUNTS):
        batch.execute_command("QUOTA.OPEN", f"a{number:04}", "pro")
        if number % 1000:
            batch.execute_command("QUOTA.CONSUME", f"a{number:04}", "api", number % 1000)
    batch.execute()


def test_export_of_a_thousand_accounts_is_whole_and_quick(quota):
    """As JSON lines and as CSV; in about a second, the program's start included."""
    fill(quota)
    begin = time.monotonic()
    rows = lines(started("usage", "export", "--resource", "api"))
    took_s = time.monotonic() - begin
    assert {row["account"]: row["used"] for row in rows} == {f"a{n:04}": n % 1000 for n in range(ACCOUNTS)}
    assert {(row["plan"], row["period"], row["limit"], row["start"]) for row in rows} == {
        ("pro", "month", 1000, NOON_MS)}
    assert took_s < 10, took_s  # a loaded machine; alone it is within a second
    table = list(csv.DictReader(io.StringIO(quotactl("usage", "export", "--resource", "api", "--csv"))))
    assert sorted(table, key=lambda row: row["account"]) == sorted(
        ({name: str(value) for name, value in row.items()} for row in rows), key=lambda row: row["account"])


def test_reports_sum_by_plan_resource_and_period(quota):
    fill(quota)
    quota("QUOTA.OPEN small free")
    rows = {(row["plan"], row["resource"]): row for row in answered("usage", "report")}
    used = sum(number % 1000 for number in range(ACCOUNTS))
    assert rows["pro", "api"] == {"plan": "pro", "resource": "api", "period": "month", "accounts": ACCOUNTS,
                                  "used": used, "held": 0, "near": 200, "full": 0}
    assert rows["free", "api"]["accounts"] == 1
    assert [row["plan"] for row in answered("usage", "report", "small")] == ["free"]


def test_top_has_the_nearest_to_their_limits_first(quota):
    used = (("half", "pro", 500), ("near", "free", 85), ("full", "free", 100), ("free", "huge", 9999))
    for name, plan, units in used:
        quota(f"QUOTA.OPEN {name} {plan}")
        quota(f"QUOTA.CONSUME {name} api {units}")
    rows = answered("usage", "top", "--resource", "api")
    assert [(row["account"], row["percent"]) for row in rows] == [
        ("full", 100), ("near", 85), ("half", 50), ("free", 0)]
    assert [row["account"] for row in answered("usage", "top", "--near", "80")] == ["full", "near"]
    assert [row["account"] for row in answered("usage", "top", "--by", "used", "--count", "1")] == ["free"]
    assert "85%" in quotactl("usage", "top", "--near", "80")


def test_closed_cycles_are_exported_by_their_begin(quota, tmp_path):
    quota("QUOTA.OPEN acme pro")
    for day in range(3):
        quota(f"QUOTA.CONSUME acme tokens {10 + day}")
        quota.advance("1d")
    path = tmp_path / "closed.jsonl"
    words = ["usage", "export", "--from", str(NOON_MS + DAY_MS), "--to", "2025-02-03T00:00:00Z", "-o", path]
    assert quotactl(*words) == ""
    assert [(row["resource"], row["start"], row["used"]) for row in lines(path.read_text())] == [
        ("tokens", NOON_MS + 2 * DAY_MS, 12), ("tokens", NOON_MS + DAY_MS, 11)]
    everything = lines(quotactl("usage", "export", "--from", "0us", "--plan", "pro", "--period", "day"))
    assert [row["used"] for row in everything] == [12, 11, 10]


# ---- bills, forecasts, advice --------------------------------------------------------------------------------------


def test_bills(quota):
    quota("QUOTA.OPEN acme pro")
    quota("QUOTA.OPEN other free")
    quota("QUOTA.CONSUME acme api 2500")
    said = quotactl("bill", "show", "acme")
    assert "12.50" in said
    assert said.endswith("total 12.50 usd\n")
    row, = lines(quotactl("bill", "export"))
    assert (row["account"], row["id"], row["quantity"], row["amount"]) == (
        "acme", f"acme/api/month/{NOON_MS}", 1500, 12_500_000)
    head, line = quotactl("bill", "export", "--csv").splitlines()
    assert head.startswith("account,plan,id,resource,period,start,end,included,used")
    assert '"[[1000, 10000000], [500, 2500000]]",12500000' in line
    assert quotactl("bill", "show", "other", "--csv") == ("resource,period,start,end,included,used,quantity,amount,"
                                                          "currency\n")


def test_forecasts_and_the_smallest_plan_that_fits(quota):
    quota("QUOTA.OPEN acme free")
    quota("QUOTA.CONSUME acme api 60")
    quota.advance("7d")
    row, = answered("forecast", "acme", "api")
    assert (row["resource"], row["projected"], row["limit"]) == ("api", 240, 100)
    assert "240" in quotactl("forecast", "acme")
    found = answered("advise", "acme")
    assert (found["plan"], found["advice"]) == ("free", "pro")
    assert [(row["plan"], row["fits"]) for row in found["plans"]] == [("free", False), ("pro", True), ("huge", True)]
    assert quotactl("advise", "acme").endswith("acme: pro\n")
    for plan in ("pro", "huge"):
        quota(f"QUOTA.PLAN DEL {plan}")
    assert quotactl("advise", "acme", code=1).endswith("acme: no plan fits\n")
    assert "NORESOURCE" in refused("forecast", "acme", "none")


# ---- violations, events --------------------------------------------------------------------------------------------


def test_violations(quota):
    for name in ("a", "b"):
        quota(f"QUOTA.OPEN {name} free")
        quota(f"QUOTA.CONSUME {name} api 101")
        quota.advance("1s")
    assert [row["key"] for row in answered("violations")] == ["b", "a"]
    assert [row["key"] for row in answered("violations", "--match", "a*")] == ["a"]
    assert [row["key"] for row in answered("violations", "--count", "1")] == ["b"]
    assert [row["key"] for row in answered("violations", "--from", str(NOON_MS + 1))] == ["b"]
    assert "LIMIT 100 month" in quotactl("violations")
    assert quotactl("violations", "--csv").count("\n") == 3
    assert "say --yes" in quotactl("violations", "--reset", code=2)
    quotactl("violations", "--reset", "--yes")
    assert answered("violations") == []


def test_events_of_a_range(quota):
    quota("QUOTA.OPEN acme pro")
    quota.advance("1h")
    quota("QUOTA.SUSPEND acme REASON unpaid")
    quota.advance("1h")
    quota("QUOTA.RESUME acme")
    words = ["events", "range", "--account", "acme", "--json"]
    types = [row["type"].rpartition(".")[2] for row in lines(quotactl(*words))]
    assert types[-3:] == ["opened", "suspended", "resumed"]
    between = lines(quotactl(*words, "--from", str(NOON_MS + 1), "--to", "2025-01-31T17:00:00Z"))
    assert [(row["type"], row["reason"]) for row in between] == [("quota.account.suspended", "unpaid")]
    said = quotactl("events", "range", "--type", "quota.account.susp*", "--from", str(NOON_MS))
    assert "2025-01-31 16:00:00Z  quota.account.suspended  acme pro  actor default reason unpaid\n" in said


def test_tail_shows_what_was_last_and_what_comes(quota):
    quota("QUOTA.OPEN acme pro")
    late = threading.Timer(0.2, lambda: quota("QUOTA.SUSPEND acme REASON later"))
    late.start()
    found = lines(quotactl("events", "tail", "--account", "acme", "--last", "1", "--count", "2", "--json"))
    late.join()
    assert [row["type"] for row in found] == ["quota.account.opened", "quota.account.suspended"]
    assert found[1]["reason"] == "later"


# ---- health, rights ------------------------------------------------------------------------------------------------


def test_health_is_an_exit_code(quota):
    quota("QUOTA.CLOCK RESUME")
    assert answered("health")[0]["status"] == "ok"
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    said = quotactl("health", code=1)
    assert "the test clock is frozen" in said
    down = started("health", "--url", f"redis://127.0.0.1:{free_port()}", "--json", code=2)
    assert down == ""  # of a call that cannot be done standard error is returned: it is silent
    both = ["--url", quotactl_url(quota), "--url", f"redis://127.0.0.1:{free_port()}"]
    assert quotactl("health", *both, code=2) == ""


def quotactl_url(quota):
    return f"redis://127.0.0.1:{quota.client.connection_pool.connection_kwargs['port']}"


def test_an_admin_may_use_every_command_of_quotactl(quota, running):
    for line in quotactl("acl", "admin", "--secret", ">secret").splitlines():
        quota(line)
    admin = ["--url", f"redis://admin:secret@127.0.0.1:{running.port}"]
    quota("QUOTA.CLOCK RESUME")  # what an operator cannot do: move the clock
    for call in ("account open acme pro", "account show acme", "account list", "usage report", "usage export",
                 "bill export", "forecast acme", "advise acme", "violations", "events range", "why acme",
                 "key create acme", "config save", "config check", "policy show", "health", "account switch acme free",
                 "account suspend --plan free --yes", "violations --reset --yes", "account close acme --yes"):
        quotactl(*call.split(), *admin)
    quota("ACL DELUSER admin")


ROLE_CALLS = {  # what the other users may do with quotactl, and what not
    "operator": (("account open tenant:1 pro", "account suspend tenant:1", "account resume tenant:1",
                  "account set tenant:1 api 5", "account override tenant:1 api LIMIT 5 month --for 1h",
                  "account grant tenant:1 tokens 5", "key create tenant:1", "policy refuse api villain --for 1h",
                  "account close tenant:1 --yes"), ("account show tenant:1", "config save", "account open other pro")),
    "auditor": (("account show tenant:2", "account list", "usage export tenant:*", "usage top", "forecast tenant:2",
                 "bill export", "why tenant:2", "key list tenant:2", "policy show", "config save", "health"),
                ("account close tenant:2 --yes", "violations", "events range"))}


@pytest.mark.parametrize("role", ROLE_CALLS)
def test_what_other_users_may_do_with_quotactl(quota, running, role):
    quota("RL.POLICY SET api 10 1s")
    quota("QUOTA.OPEN tenant:2 pro")
    for line in lines_of(role, role, "tenant:*", ">secret"):
        quota(line)
    url = ["--url", f"redis://{role}:secret@127.0.0.1:{running.port}"]
    may, may_not = ROLE_CALLS[role]
    for call in may:
        quotactl(*call.split(), *url, code=call == "health")  # its clock is held, which is a problem
    for call in may_not:
        assert "permission" in quotactl(*call.split(), *url, code=2).lower(), call
    quota(f"ACL DELUSER {role}")


def test_rights_of_a_user_by_another_name():
    said = quotactl("acl", "auditor", "--user", "bi", "--keys", "acct:*", "--secret", "#" + 64 * "0")
    assert said.startswith(f"ACL SETUSER bi reset on #{64 * '0'} %R~acct:*\n")
    assert answered("acl", "consumer") == lines_of("consumer", "consumer", "tenant:*", ">consumer-secret")
    assert "+cluster|slots" in quotactl("acl", "consumer", "--cluster")
    given = [word for rows in ROLES.values() for row in rows for word in row.split() if "." in word]
    assert len(given) == len(set(given))
