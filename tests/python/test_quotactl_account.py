"""quotactl account, key, policy, why: what an operator does, on a real server; what the server then says is compared.

Rows are (the call, what it prints or the server answers afterwards). The clock is held at noon.
"""

import json
import re

import pytest
from conftest import NOON_MS, Quota
from redis_quota.cli import key

from .calls import answered, emptied, quotactl, refused, url_of

DAY_MS = 86_400_000


@pytest.fixture
def quota(running, monkeypatch):
    monkeypatch.setenv("QUOTA_URL", url_of(emptied(running)))
    quota = Quota(running.client())
    quota("QUOTA.PLAN SET pro api LIMIT 1000 month RATE 10 1s")
    quota("QUOTA.PLAN SET pro tokens LIMIT 100 day CREDITS LOW 5")
    quota("QUOTA.PLAN SET free api LIMIT 100 month")
    quota("QUOTA.PLAN SET free tokens LIMIT 10 day")
    quota("QUOTA.OPEN acme pro")
    return quota


def note_of(quota, account="acme"):
    return quota.map(f"QUOTA.INFO {account}")["notes"][-1]


# ---- accounts ------------------------------------------------------------------------------------------------------


def test_an_account_from_its_opening_to_its_end(quota):
    call = "account open new free --anchor 2025-01-01T00:00:00Z --zone Europe/Berlin --expires 30d --then pro"
    assert quotactl(*call.split()) == "new: open on free\n"
    assert quotactl(*call.split()) == "new: open on free\n"  # the same again
    info = quota.map("QUOTA.INFO new")
    assert (info["plan"], info["zone"], info["expires"]) == ("free", "Europe/Berlin", NOON_MS + 30 * DAY_MS)
    assert quotactl("account", "suspend", "new", "--for", "1h", "--reason", "invoice 7", "--actor", "ann") == (
        "new: suspended for 1h\n")
    assert note_of(quota, "new") == {"at": NOON_MS, "act": "suspend", "actor": "default", "resource": "", "amount": 0,
                                     "reason": "ann: invoice 7"}
    assert quota.map("QUOTA.INFO new")["state"] == "suspended"
    assert quotactl("account", "resume", "new") == "new: resumed\n"
    assert quotactl("account", "close", "new", "--yes", "--actor", "ann") == "new: closed\n"
    assert (quota.map("QUOTA.INFO new")["state"], note_of(quota, "new")["reason"]) == ("closed", "ann")


@pytest.mark.parametrize(("call", "plan", "coming"), [
    ("switch acme free", "free", None), ("switch acme free --end", "pro", {"plan": "free", "apply": "END"}),
    ("switch acme free --at 2025-02-10T00:00:00Z --full", "pro", {"plan": "free"}),
    ("switch acme free --check", "pro", None)])
def test_switches(quota, call, plan, coming):
    quotactl("account", *call.split())
    info = quota.map("QUOTA.INFO acme")
    assert info["plan"] == plan
    assert (info["next"] is None) == (coming is None)
    assert coming is None or info["next"]["plan"] == coming["plan"]


def test_overrides_with_minus_one_in_quotes_or_not_for_a_while(quota):
    for rules in (["LIMIT", "-1", "month"], ["LIMIT -1 month"]):
        quotactl("account", "override", "acme", "api", *rules, "--for", "7d")
        assert quota.map("QUOTA.INFO acme api")["rules"][0]["limit"] == -1
        assert quotactl("account", "override", "acme", "api", "--lift") == "acme: override of api lifted\n"
        assert quota.map("QUOTA.INFO acme api")["rules"][0]["limit"] == 1000
    would_be = answered("account", "override", "acme", "api", "LIMIT 5 month", "--check")
    assert would_be["resources"]["api"]["rules"][0]["limit"] == 5
    assert quota.map("QUOTA.INFO acme api")["rules"][0]["limit"] == 1000


def test_corrections(quota):
    quota("QUOTA.CONSUME acme tokens 50")
    quotactl("account", "set", "acme", "tokens", "90", "--period", "day", "--reason", "counted twice")
    assert quota.map("QUOTA.INFO acme tokens")["rules"][0]["used"] == 90
    assert "say --yes" in quotactl("account", "reset", "acme", "tokens", code=2)
    assert quota.map("QUOTA.INFO acme tokens")["rules"][0]["used"] == 90
    quotactl("account", "reset", "acme", "tokens", "--yes")
    assert quota.map("QUOTA.INFO acme tokens")["rules"][0]["used"] == 0


def test_credits_are_granted_moved_and_voided(quota):
    quota("QUOTA.OPEN other pro")
    call = "account grant acme tokens 500 --id g --expires CYCLE --priority 7 --promo --once"
    assert quotactl(*call.split()) == "acme: granted 500 tokens as g\n"
    assert quotactl(*call.split()) == "acme: granted 500 tokens as g\n"
    grant = quota.map("QUOTA.GRANTS acme")[1]
    assert [(row["id"], row["left"], row["priority"], row["promo"], row["expires"]) for row in grant] == [
        ("g", 500, 7, 1, NOON_MS + DAY_MS)]
    made = answered("account", "grant", "acme", "tokens", "20")
    assert re.search(r"QUOTA.GRANT acme quotactl-[0-9a-f-]{36} tokens 20", made["command"])
    assert made["reply"] == [520, 0]
    assert quotactl("account", "transfer", "acme", "other", "tokens", "15", "--id", "t") == (
        "15 tokens moved as t: acme has 505, other 15\n")
    assert answered("account", "transfer", "acme", "other", "tokens", "600", "--id", "u", code=1)["moved"] == 0
    assert quotactl("account", "void", "acme", "g", "--yes") == "acme: 500 units of g taken out\n"


def test_parents_and_members(quota):
    quota("QUOTA.OPEN child free")
    assert quotactl("account", "parent", "child") == "it has no parent\n"
    assert quotactl("account", "parent", "child", "acme") == "child: below acme\n"
    assert quotactl("account", "parent", "child") == "acme\n"
    quota("QUOTA.CONSUME child api 3")
    assert answered("account", "members", "acme", "--resource", "api") == [
        {"member": "child", "weight": 1, "used": 3, "share": -1}]
    assert quotactl("account", "weight", "acme", "child", "7", "--reason", "order 9") == "child: weight 7 in acme\n"
    assert [row["weight"] for row in answered("account", "members", "acme")] == [7]
    assert "out of range: 1 to 1000" in quotactl("account", "weight", "acme", "child", "1001", code=2)
    assert "acme" in quotactl("account", "show", "child").split("\n\n", maxsplit=1)[1]  # rules above it name it
    assert quotactl("account", "parent", "child", "--none") == "child: has no parent\n"


def test_shows_people_numbers_and_programs_the_reply(quota):
    quota("QUOTA.CONSUME acme tokens 50")
    said = quotactl("account", "show", "acme")
    assert re.search(r"^tokens +0 +LIMIT +day +100 +50 +0 +50% +50 +2025-02-01 15:00:00Z$", said, re.MULTILINE)
    assert answered("account", "show", "acme") == quota.map("QUOTA.INFO acme")


def test_lists_by_pattern_plan_and_state(quota):
    for name, plan in (("eu:1", "free"), ("eu:2", "pro"), ("us:1", "free")):
        quota(f"QUOTA.OPEN {name} {plan}")
    quota("QUOTA.SUSPEND eu:2")
    names = [row["account"] for row in answered("account", "list")]
    assert names == ["acme", "eu:1", "eu:2", "us:1"]
    for call, found in (("eu:*", ["eu:1", "eu:2"]), ("--plan free", ["eu:1", "us:1"]),
                        ("--state suspended", ["eu:2"]), ("nothing*", [])):
        assert [row["account"] for row in answered("account", "list", *call.split())] == found
    assert quotactl("account", "list", "us:*", "--csv") == (
        f"account,plan,state,zone,anchor,expires,parent\nus:1,free,active,UTC,{NOON_MS},-1,\n")


# ---- all accounts of a plan ----------------------------------------------------------------------------------------


BULK = [(["grant", "--plan", "free", "tokens", "5", "--id", "gift"], "granted 5 tokens as gift",
         lambda quota, name: quota.map(f"QUOTA.GRANTS {name}")[1][0]["left"] == 5),
        (["override", "--plan", "free", "api", "LIMIT", "7", "month"], "override of api set: LIMIT 7 month",
         lambda quota, name: quota.map(f"QUOTA.INFO {name} api")["rules"][0]["limit"] == 7),
        (["switch", "--plan", "free", "pro", "--full"], "switched to pro",
         lambda quota, name: quota.map(f"QUOTA.INFO {name}")["plan"] == "pro"),
        (["suspend", "--plan", "free"], "suspended",
         lambda quota, name: quota.map(f"QUOTA.INFO {name}")["state"] == "suspended")]


@pytest.mark.parametrize(("words", "what", "done"), BULK, ids=[words[0] for words, *_ in BULK])
def test_all_accounts_of_a_plan(quota, words, what, done):
    names = [f"a{number}" for number in range(3)]
    for name in names:
        quota(f"QUOTA.OPEN {name} free")
    assert "say --yes" in quotactl("account", *words, code=2)
    assert not any(done(quota, name) for name in names if quota.map(f"QUOTA.GRANTS {name}")[1])
    assert quotactl("account", *words, "--yes") == f"3 accounts {what}\n"
    assert all(done(quota, name) for name in names)
    assert quota.map("QUOTA.INFO acme")["plan"] == "pro"
    assert quota.map("QUOTA.INFO acme")["notes"] == []


def test_one_that_refuses_does_not_stop_the_others(quota):
    for name in ("a", "b", "c"):
        quota(f"QUOTA.OPEN {name} free")
    quota("QUOTA.GRANT b gift tokens 9")  # another amount under the id
    done = answered("account", "grant", "--plan", "free", "tokens", "5", "--id", "gift", "--yes", code=1)
    assert done["done"] == 2
    assert [row["account"] for row in done["refused"]] == ["b"]
    assert "IDCONFLICT" in done["refused"][0]["error"]
    assert "no account has the plan" in refused("account", "suspend", "--plan", "none", "--yes")


REFUSALS = [("account show absent", "NOACCOUNT"), ("account open x none", "NOPLAN"),
            ("account override acme none LIMIT 5 day --lift", None), ("account void acme g --yes", "NOSUCHID"),
            ("account parent acme acme", "SAMEACCOUNT"), ("account grant acme none 5", "NORESOURCE"),
            ("key revoke acme 12345678 --yes", "no live key"), ("policy show none", "NOPOLICY"),
            ("policy remove none --yes", "there is no policy none")]


@pytest.mark.parametrize(("call", "says"), REFUSALS, ids=[call for call, _ in REFUSALS])
def test_what_the_server_refuses_is_one_line_and_exit_code_1(quota, call, says):
    if says is None:
        assert "it takes" in quotactl(*call.split(), code=2)
        return
    said = refused(*call.split())
    assert says in said
    assert said.count("\n") == 1


CANNOT = [("account set acme api many", "not a valid integer"),
          ("account grant acme", "it takes ACCOUNT RESOURCE AMOUNT"),
          ("account grant --plan free tokens 5", "--plan needs --id"),
          ("account override acme api", "it takes ACCOUNT"),
          ("account suspend acme --for 1h --until 2025-02-01T00:00:00Z", "only one of the ends"),
          ("account suspend acme --for soon", "soon"), ("key revoke acme zzz", "8 or more digits"),
          ("account show acme --json --csv", "No such option"), ("account list --json --csv", "do not go together"),
          ("account suspend acme --reason " + 300 * "x", "256 bytes"), ("account nothing", "No such command")]


@pytest.mark.parametrize(("call", "says"), CANNOT, ids=[call[:40] for call, _ in CANNOT])
def test_what_cannot_be_done_is_said_and_exit_code_2(quota, call, says):
    assert says in quotactl(*call.split(), code=2)


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_made_used_rotated_and_revoked_and_the_server_never_sees_it(quota, running):
    secret = quotactl("key", "create", "acme", "--name", "backend", "--scope", "read", "--scope", "write", "--rate",
                      "10 1s", "--expires", "90d").strip()
    assert re.fullmatch(r"sk_acme_[0-9A-Za-z]{38}", secret)
    assert key.is_whole(secret)
    assert not key.is_whole(secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    digest = key.digest_of(secret)
    assert quota(f"QUOTA.CONSUME acme api 1 APIKEY {digest} SCOPE write")[0] == 1
    assert "NOSCOPE" in quota.error(f"QUOTA.CONSUME acme api 1 APIKEY {digest} SCOPE admin")
    new = answered("key", "rotate", "acme", digest[:8], "--grace", "1d", "--prefix", "live")
    assert new["key"].startswith("live_acme_")
    assert new["id"] == key.digest_of(new["key"])[:8]
    rows = answered("key", "list", "acme")
    assert [(row["id"], row["name"], row["state"]) for row in rows] == [
        (digest[:8], "backend", "rotating"), (new["id"], "backend", "active")]
    assert quotactl("key", "revoke", "acme", secret, "--yes") == f"acme: key {digest[:8]} revoked\n"
    assert "NOKEY" in quota.error(f"QUOTA.APIKEY VERIFY acme {digest}")
    assert quota(f"QUOTA.APIKEY VERIFY acme {new['digest']}") in (b"OK", True)
    seen = json.dumps(quota.client.slowlog_get(1000), default=str) + running.log()
    assert secret not in seen
    assert new["key"] not in seen


def test_two_keys_are_never_the_same():
    keys = {key.make_key("sk", "acme") for _ in range(1000)}
    assert len(keys) == 1000
    assert all(key.is_whole(secret) for secret in keys)


# ---- policies ------------------------------------------------------------------------------------------------------


def test_exceptions_of_a_policy(quota):
    quota("RL.POLICY SET api 10 1s BLOCK 1m SHADOW SCHEDULE UTC daily 09:00-17:00 20 1m")
    assert quotactl("policy", "refuse", "api", "villain", "--for", "1h30m") == (
        "api: refuse villain for 1h30m on 1 server\n")
    quotactl("policy", "permit", "api", "10.0.0.0/8", "--until", "2025-02-01T00:00:00Z")
    quotactl("policy", "override", "api", "acme", "-1 1m")
    rows = {row["who"]: row for row in answered("policy", "exceptions", "api")}
    assert {who: row["exception"] for who, row in rows.items()} == {
        "villain": "refuse", "10.0.0.0/8": "permit", "acme": "override"}
    assert [rows[who]["until"] for who in ("villain", "10.0.0.0/8", "acme")] == [
        NOON_MS + 5_400_000, 1738368000000, None]
    assert rows["acme"]["rules"] == ["GCRA -1 1m"]
    assert [row["who"] for row in answered("policy", "exceptions", "api", "--kind", "refuse")] == ["villain"]
    said = quotactl("policy", "show", "api")
    assert "1 override, 1 subject, 1 range" in said
    assert "block     1m after a denial" in said
    assert [row["rules"] for row in answered("policy", "show")] == [["GCRA 10 1s"]]
    for exception in ("OVERRIDE api acme/alice 5 1m", "REFUSE api 10.0.0.0/16", "REFUSE api 192.0.2.1",
                      "REFUSE api 2001:db8::/32", "REFUSE api 2001:db8::1"):
        quota(f"RL.POLICY {exception}")
    for who in ("10.0.0.0", "2001:db8::", "acme/", "192.0.2.1/3"):  # names no exception, and takes none away
        assert "there is no exception" in refused("policy", "remove", "api", who)
    assert len(answered("policy", "exceptions", "api")) == 8
    for who in ("villain", "10.0.0.0/8", "acme", "acme/alice", "10.0.0.0/16", "192.0.2.1", "2001:db8::/32",
                "2001:db8::1/128"):
        assert quotactl("policy", "remove", "api", who) == f"exception of policy api for {who}: removed on 1 server\n"
    assert answered("policy", "exceptions", "api") == []
    assert quotactl("policy", "remove", "api", "--yes") == "policy api: removed on 1 server\n"
    assert quota("RL.POLICY LIST")[1] == []


# ---- why -----------------------------------------------------------------------------------------------------------


WHY = [([], "why acme", 0, "api: 1 unit would be admitted"),
       (["QUOTA.CONSUME acme tokens 100", "QUOTA.CONSUME acme tokens 1"], "why acme --resource tokens", 1,
        "tokens: 1 unit would be refused by rule 0; admitted in 1d, at 2025-02-01 15:00:00Z"),
       (["QUOTA.CONSUME acme api 10"], "why acme --resource api --cost 5", 1, "rule 1; admitted in 500ms"),
       ([], "why acme --resource api --cost 5000", 1, "waiting does not help: limit 1,000, 1,000 left"),
       (["QUOTA.SUSPEND acme REASON unpaid"], "why acme", 1, "suspend by default at 2025-01-31 15:00:00Z: unpaid"),
       ([], "why acme --resource none", 1, "refused: NORESOURCE"),
       (["RL.ALLOW k 10 1s COST 8"], "why k --cost 5", 1, "it: 5 units would be refused by rule 0; admitted in 300ms"),
       (["RL.ALLOW k 10 1s COST 8"], "why k", 0, "2 of 10 left, all of it in 800ms"),
       (["RL.BLOCK k 1m"], "why k", 1, "blocked for 1m: RL.BLOCK k 0 ends that"),
       (["RL.ACQUIRE l 1 1m ID x"], "why l", 0, "x: 1 unit until 2025-01-31 15:01:00Z"),
       (["RL.BREAKER b FORCE OPEN"], "why b", 1, "a call would be refused, and waiting does not help"),
       (["RL.BREAKER b FAILURES 1 OPEN 5s", "RL.BREAKER b REPORT FAIL"], "why b", 1,
        "a call would be refused; admitted in 5s, at 2025-01-31 15:00:05Z"),
       (["RL.BREAKER b FORCE CLOSED"], "why b", 0, "b: a circuit breaker\n  state      closed\n"),
       (["RL.ADAPT a 1 2", "RL.ADAPT a REPORT LATENCY 20ms"], "why a", 1, "admitted in 1s, at 2025-01-31 15:00:01Z"),
       (["RL.ADAPT a 5 9"], "why a", 0, "  limit      5\n  remaining  4\n  wait       0\n  reset      200ms\n"),
       (["RL.TABLE t 10 1s LOG 5 1h"], "why t", 0, "  rules      GCRA 10 1s, LOG 5 1h\n"),
       (["SET s x"], "why s", 1, "another program's key"),
       ([], "why nothing", 1, "there is no such key")]


@pytest.mark.parametrize(("before", "call", "code", "says"), WHY,
                         ids=[f"{call} {says[:20]}" for _, call, _, says in WHY])
def test_why(quota, before, call, code, says):
    for line in before:
        quota(line)
    assert says in quotactl(*call.split(), code=code)


def test_why_shows_what_was_refused_lately_of_this_key_alone(quota):
    for name in ("a*", "ab"):
        quota("QUOTA.OPEN", name, "pro")
        quota("QUOTA.CONSUME", name, "tokens", 101)
    found = answered("why", "a*")
    assert [(row["key"], row["text"], row["cost"]) for row in found["violations"]] == [("a*", "LIMIT 100 day", 101)]
    assert found["answers"]["tokens"]["admitted"] is True
    assert "LIMIT 100 day" in quotactl("why", "a*")
