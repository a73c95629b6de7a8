"""quotactl config: a configuration in a file, the same on every primary, and what differs between them.

    server ── save ──▶ file ── apply ──▶ another server ── save ──▶ the same bytes
    cluster of 3 + 3 ── apply ──▶ every primary; a fourth one, empty and without slots, is filled; accounts move there
"""

import json

import pytest
from conftest import (
    NOON,
    NOON_MS,
    Quota,
    as_map,
    listed,
    revisions,
)
from redis_quota.cli.servers import Fleet
from redis_quota.forward.store import home_of
from servers import Server, free_port, wait_until
from test_cluster import SHARDS, Cluster, cluster_info, name_of, used
from test_reshard import names_in, redis_cli

from .calls import emptied, quotactl, refused, started, url_of

HOUR_MS = 3_600_000
PLANS = [  # every word of a plan
    "p first LIMIT 20000 month CALENDAR FROM 15 PRORATE LIMIT 5 ROLLING 6h RATE TOKEN 10 1s BURST 20 INITIAL 3",
    "p a LIMIT 20000 month CALENDAR LIMIT 1000 day RATE TOKEN 10 1s BURST 20 INITIAL 3 INTERVAL",
    "p b BURST 12.5 REPAY COST 3 WARN 99.5 80 GRACE 1h LIMIT 5 year EOM RATE 10 1s", "p c OVERAGE LIMIT -1 forever",
    "p d LIMIT 5 week CALENDAR FROM sun HOLDS MAX 2 REFUNDS MAX 3 WITHIN 30d", "p e LIMIT 0 90s REFUNDS WITHIN 1d",
    "q a LIMIT 1 day", "p late BURST 10 RATE 5 1m LIMIT 5 day",
    "p last RATE LOG 2 1m RATE QUEUE 5 1s BURST 2 LIMIT 9 hour",
    "p a LIMIT 7 day APPLY PRORATE EFFECTIVE 2025-03-01T00:00:00Z",
    "p soon LIMIT 7 day APPLY END EFFECTIVE 2025-02-01T00:00:00Z"]
POLICIES = [
    ("SET api 10 1s QUEUE 5 1s BURST 2 TOKEN -1 1s FIXED 3 1m FIRST BLOCK 1500ms SHADOW "
     "SCHEDULE Europe/Berlin mon-fri 09:00-17:00 20 1m LOG 3 1h SCHEDULE UTC sat,sun 22:00-02:00 0 1s SLIDING 7 1d"),
    "SET plain LEAKY 10 1s BURST 3", "OVERRIDE api acme 500 1m SLIDING 9 1h", "OVERRIDE api soon 7 1s EX 1h",
    "PERMIT api friend", "REFUSE api villain EX 1d", "REFUSE api 10.0.0.0/8 EX 90s", "PERMIT api 10.1.2.3",
    "PERMIT api 2001:db8::/32"]
ODD = b"a b\n\xff\"'\\\x00\xc3\xbc"


@pytest.fixture(scope="module")
def both():
    servers = Server(appendonly="yes").start(), Server().start()
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def one(both):
    return emptied(both[0])


@pytest.fixture
def two(both):
    return emptied(both[1])


def save(server, *options):
    return quotactl("config", "save", "--exceptions", "--json", *options, "--url", url_of(server))


def load(server, configuration, *options, code=0, act="apply"):
    given = configuration if isinstance(configuration, str) else json.dumps(configuration)
    return quotactl("config", act, "-", "--exceptions", "--yes", "--url", url_of(server), *options, given=given,
                    code=code)


def load_now(server, configuration, *options):
    """The clocks of the cluster are frozen: no instant ahead of them comes."""
    return load(server, configuration, *options, "--effective", "now")


def filled(server):
    quota = Quota(server.client())
    for words in PLANS:
        quota(f"QUOTA.PLAN SET {words}")
    for words in POLICIES:
        quota(f"RL.POLICY {words}")
    client = server.client()
    client.execute_command("QUOTA.PLAN", "SET", ODD, ODD, "LIMIT", 5, "day")
    client.execute_command("RL.POLICY", "SET", ODD, 5, "1s")
    client.execute_command("RL.POLICY", "OVERRIDE", ODD, ODD, 6, "1s")
    client.execute_command("RL.POLICY", "PERMIT", ODD, ODD, "EX", "1h")
    return quota


def answers(server):
    """All that GET says of what is not retired, without revisions: each server counts its own."""
    client = server.client(protocol=3)
    names = [name.encode(errors="surrogateescape") for name in revisions(Quota(client))]
    plans = {name: client.execute_command("QUOTA.PLAN", "GET", name) for name in names}
    policies = {policy[b"name"]: client.execute_command("RL.POLICY", "GET", policy[b"name"])
                for policy in client.execute_command("RL.POLICY LIST")[1]}
    pending = [row for plan in plans.values() for row in plan[b"pending"]]
    for numbered in [*plans.values(), *policies.values(), *pending]:
        del numbered[b"revision"]
    for plan in plans.values():
        del plan[b"accounts"]
    return plans, policies


# ---- one server --------------------------------------------------------------------------------------------------


def test_every_word_comes_back(one, two):
    filled(one)
    saved = save(one)
    load(two, saved)
    assert answers(two) == answers(one)
    assert save(two) == saved
    assert load(two, saved) == ""  # nothing is sent
    assert save(two) == saved


def test_both_servers_decide_the_same(one, two):
    filled(one)
    load(two, save(one))
    limited = ["k POLICY api COST 9", "k POLICY api SUBJECT acme COST 9", "v POLICY api SUBJECT villain",
               "n POLICY api ADDRESS 10.9.9.9", "n POLICY api ADDRESS 10.1.2.3", "w POLICY plain COST 9"]
    amounts = ["a 3", "b 1", "late 5", "late 1", "late 1", "last 2", "e 1"]
    for line in [*(f"RL.ALLOW {words}" for words in limited), "QUOTA.OPEN a p",
                 *(f"QUOTA.CONSUME a {amount}" for amount in amounts)]:
        assert Quota(one.client())(line) == Quota(two.client())(line), line
    infos = [Quota(server.client()).map("QUOTA.INFO a") for server in (one, two)]
    for info in infos:
        del info["revision"]  # each server counts its own
    assert infos[0] == infos[1]


def test_a_file_is_written_and_read_by_name_and_nothing_is_written_on_error(one, two, tmp_path):
    filled(one)
    path, none = tmp_path / "configuration.json", tmp_path / "none.json"
    assert started("config", "save", path, "--exceptions", "--url", url_of(one)) == ""
    assert path.read_text() == save(one)
    sent = started("config", "apply", path, "--exceptions", "--url", url_of(two))
    assert sent.startswith(f"127.0.0.1:{two.port}> QUOTA.PLAN SET ")
    said = started("config", "save", none, "--url", f"redis://127.0.0.1:{free_port()}", code=2)
    assert said.startswith("Error: ") and "refused" in said and not none.exists()


def test_what_differs_is_set_and_the_rest_is_left_alone(one):
    quota = filled(one)
    wanted = json.loads(save(one))
    quota("QUOTA.PLAN SET p a LIMIT 1 day")
    quota("RL.POLICY OVERRIDE api acme 1 1m")
    quota("RL.POLICY REFUSE api friend")
    before = revisions(quota)
    sent = load(one, wanted).splitlines()
    assert [" ".join(line.split(" ")[1:5]) for line in sent] == [
        "QUOTA.PLAN SET p a", "QUOTA.PLAN SET p a", "RL.POLICY OVERRIDE api acme", "RL.POLICY PERMIT api friend"]
    assert "EFFECTIVE" in sent[1]  # what was to come is to come again
    assert revisions(quota) == {**before, "p": before["p"] + 1}
    assert json.loads(save(one)) == wanted


def test_without_prune_more_may_be_there_with_it_the_server_is_the_file(one):
    filled(one)
    wanted = json.loads(save(one))
    del wanted["plans"]["q"], wanted["policies"]["plain"], wanted["plans"]["p"]["resources"]["b"]
    wanted["policies"]["api"]["overrides"].pop(0)
    wanted["policies"]["api"]["subjects"] = []
    before = save(one)
    assert load(one, wanted) == "" and save(one) == before
    planned = load(one, wanted, "--prune", act="diff", code=1)
    assert save(one) == before
    assert load(one, wanted, "--prune") == planned
    del wanted["policies"]["api"]["subjects"]
    assert json.loads(save(one)) == wanted
    assert load(one, {"plans": {}, "policies": {}}, "--prune").count("DEL") == 4
    assert answers(one) == ({}, {})


def test_ends_come_back_as_instants_and_what_has_ended_does_not(one, two):
    filled(one)
    saved = save(one)
    ends = {entry["subject"]: entry.get("until") for entry in json.loads(saved)["policies"]["api"]["overrides"]}
    assert ends == {"acme": None, "soon": NOON_MS + HOUR_MS}
    Quota(two.client())("QUOTA.CLOCK ADVANCE 2h")
    load(two, saved)
    left = json.loads(save(two))["policies"]["api"]
    assert [entry["subject"] for entry in left["overrides"]] == ["acme"]
    assert left["subjects"] == json.loads(saved)["policies"]["api"]["subjects"]  # a day, less two hours
    assert [entry["range"] for entry in left["ranges"]] == ["10.1.2.3/32", "2001:db8::/32"]


def test_an_end_within_a_second_is_the_same(one):
    quota = filled(one)
    wanted = json.loads(save(one))
    entry = wanted["policies"]["api"]["subjects"][1]
    assert entry["subject"] == "villain"
    entry["until"] += 1000
    assert load(one, wanted) == ""
    entry["until"] += 1
    assert load(one, wanted).count("REFUSE api villain EX") == 1
    listed = quota.client.execute_command("RL.POLICY", "GET", "api")
    assert as_map(listed)["subjects"][1]["until"] == entry["until"]


def test_a_revision_in_the_file_is_not_looked_at(one):
    """Files of older versions have one; each server counts its own."""
    quota = Quota(one.client())
    resources = {"r": ["LIMIT 10 day"], "s": ["LIMIT 1 day"]}
    wanted = {"plans": {"p": {"revision": 7, "resources": resources}, "empty": {"revision": 4, "resources": {}}},
              "policies": {}}
    assert load(one, wanted).count("QUOTA.PLAN SET") == 3
    assert revisions(quota) == {"empty": 2, "p": 2}
    assert json.loads(save(one)) == {"plans": {"empty": {"resources": {}}, "p": {"resources": resources}},
                                     "policies": {}}
    assert load(one, wanted) == ""
    wanted["plans"]["p"]["revision"] = 10**12
    assert load(one, wanted) == ""


def test_what_is_to_come_is_set_or_taken_away_and_when_it_is_due_it_is_there(one):
    quota = Quota(one.client())
    coming = {"resource": "r", "rules": ["LIMIT 20 day"], "apply": "END", "effective": NOON_MS + HOUR_MS}
    first = {"resource": "s", "rules": ["LIMIT 5 week"], "apply": "FULL", "effective": NOON_MS + HOUR_MS}
    wanted = {"plans": {"p": {"resources": {"r": ["LIMIT 10 day"]}, "pending": [coming, first]}}, "policies": {}}
    assert load(one, wanted).count("EFFECTIVE") == 2
    assert json.loads(save(one)) == wanted and load(one, wanted, "--prune") == ""
    wanted["plans"]["p"]["pending"][0]["effective"] += HOUR_MS
    assert load(one, wanted).count("EFFECTIVE") == 1
    assert json.loads(save(one)) == wanted
    without = {"plans": {"p": {"resources": {"r": ["LIMIT 10 day"]}}}, "policies": {}}
    assert load(one, without) == "" and json.loads(save(one)) == wanted  # more may be there
    assert load(one, without, "--prune").count("QUOTA.PLAN ") == 2
    assert json.loads(save(one)) == without
    quota("QUOTA.CLOCK ADVANCE 3h")
    assert "EFFECTIVE" not in load(one, wanted)
    assert json.loads(save(one))["plans"]["p"] == {"resources": {"r": ["LIMIT 20 day"], "s": ["LIMIT 5 week"]}}
    assert load(one, wanted) == ""


def test_a_plan_that_is_retired_is_not_in_the_file_and_comes_back_with_it(one):
    quota = Quota(one.client())
    quota("QUOTA.PLAN SET p r LIMIT 10 day")
    quota("QUOTA.PLAN SET p s LIMIT 10 day")
    wanted = json.loads(save(one))
    assert load(one, {"plans": {}, "policies": {}}, "--prune").endswith("QUOTA.PLAN DEL p\n")
    assert json.loads(save(one))["plans"] == {} and listed(quota) == {"p": (2, 1, 0)}
    assert load(one, {"plans": {}, "policies": {}}, "--prune") == ""
    del wanted["plans"]["p"]["resources"]["s"]
    load(one, wanted, "--prune")  # its other resource does not come back
    assert json.loads(save(one)) == wanted and quota("QUOTA.OPEN a p") in (b"OK", True)
    assert load(one, wanted, "--prune") == ""


def test_rules_in_other_words_than_the_servers_are_reported(one):
    wanted = {"plans": {}, "policies": {"api": {"rules": ["10 1s"]}}}
    said = started("config", "apply", "-", "--url", url_of(one), given=json.dumps(wanted), code=1)
    assert "policy api: the file says 10 1s, the server GCRA 10 1s" in said
    wanted["policies"]["api"]["rules"] = ["GCRA 10 1s"]
    assert load(one, wanted) == ""


def test_a_policy_that_get_does_not_show_whole_is_read_by_pages(one):
    client = one.client()
    client.execute_command("RL.POLICY", "SET", "api", 1, "1s")
    batch = client.pipeline(transaction=False)
    for number in range(1201):
        batch.execute_command("RL.POLICY", "PERMIT", "api", f"s{number}")
        batch.execute_command("RL.POLICY", "REFUSE", "api", f"10.{number // 250}.{number % 250}.0/24")
        batch.execute_command("RL.POLICY", "OVERRIDE", "api", f"s{number}", 1, "1h")
    batch.execute()
    saved = json.loads(save(one))["policies"]["api"]
    assert [len(saved[kind]) for kind in ("overrides", "subjects", "ranges")] == [1201, 1201, 1201]


BAD = [("{", "no JSON"), ("[]", "must be a map"), ('{"plans": {}}', "'policies' is missing"),
       ('{"plans": {}, "policies": {}, "more": 1}', "unknown field 'more'"),
       ('{"plans": {"p": {"resources": {"r": "LIMIT 1 day"}}}, "policies": {}}', "plan p, resource r: 'rules' must be"),
       ('{"plans": {"p": {"resources": {}, "revision": -1}}, "policies": {}}', "'revision' must be an integer"),
       (('{"plans": {"p": {"resources": {}, "pending": [{"resource": "r", "rules": ["LIMIT 1 day"], "apply": "END"}]}'
        '}, "policies": {}}'), "plan p, pending[0]: 'effective' is missing"),
       (('{"plans": {"p": {"resources": {}, "pending": [{"resource": "r", "rules": ["LIMIT 1 day"], "apply": "SOON", '
        '"effective": 1735689600000}]}}, "policies": {}}'), "'apply' must be one of FULL, PRORATE, END"),
       (('{"plans": {"p": {"resources": {}, "pending": [{"resource": "r", "rules": ["LIMIT 1 day"], "apply": "END", '
        '"effective": 1735689600}]}}, "policies": {}}'), "Unix seconds? write 1735689600000"),
       (('{"plans": {}, "policies": {"a": {"rules": ["1 1s"], "subjects": [{"subject": "s", "list": "permit", '
        '"until": 1735689600}]}}}'), "'until' is in Unix ms"),
       ('{"plans": {}, "policies": {"a": {}}}', "policy a: 'rules' is missing"),
       ('{"plans": {}, "policies": {"a": {"rules": ["1 1s"], "schedules": [{"when": "UTC", "rules": ["1 1s"]}]}}}',
        "schedules[0]: 'when' must be like"),
       ('{"plans": {}, "policies": {"a": {"rules": ["1 1s"], "subjects": [{"subject": "s", "list": "no"}]}}}',
        "'list' must be permit or refuse"),
       ('{"plans": {"p": {"resources": {"r": ["LIMIT x day"]}}}, "policies": {}}', "limit 'x'")]


@pytest.mark.parametrize("configuration, says", BAD)
def test_a_file_that_is_wrong_is_reported_in_a_line_and_sets_nothing(one, configuration, says):
    said = load(one, configuration, code=2)
    assert says in said and said.count("\n") <= 2
    assert answers(one) == ({}, {})


def test_a_server_that_cannot_do_it(one, two):
    filled(one)
    two.follow(one)
    said = load(two, {"plans": {"new": {"resources": {"r": ["LIMIT 1 day"]}}}, "policies": {}}, code=2)
    assert f"127.0.0.1:{two.port}: " in said and "read only replica" in said
    assert save(two) == save(one)
    assert "permission" in started("config", "save", "--url", with_user(one), code=2)
    assert started("config", "check", "--url", url_of(one)) == ""
    assert "URL" in started("config", "check", "--url", "nonsense", code=2)
    assert "no such file" in started("config", "apply", "no-such-file", "--url", url_of(one), code=2).lower()
    assert "Missing argument" in started("config", "apply", code=2)


def with_user(server):
    server.client().execute_command("ACL", "SETUSER", "guest", "on", ">secret", "+ping", "+hello", "+info")
    return f"redis://guest:secret@127.0.0.1:{server.port}"


# ---- the file ------------------------------------------------------------------------------------------------------

FILE = """\
plans:
  pro:
    resources:
      api:
        - LIMIT ${MONTHLY:-1000} month
        - RATE GCRA 10 1s
policies:
  on:                      # a name is a text, whatever YAML makes of it
    rules: [GCRA 10 1s]
    block_ms: ${BLOCK_MS}
sinks:
  archive: {file: audit.jsonl}
"""


def saved(server):
    return json.loads(quotactl("config", "save", "--json", "--url", url_of(server)))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text(FILE)
    return path


def test_yaml_with_variables_is_applied_and_saved_as_yaml(one, two, file, tmp_path):
    env = {"QUOTA_URL": url_of(one), "BLOCK_MS": "60000"}
    assert quotactl("config", "diff", file, code=1, env=env).count("\n") == 3
    assert quotactl("config", "apply", file, env=env).count("\n") == 3
    assert quotactl("config", "apply", file, env=env) == ""
    assert saved(one) == {"plans": {"pro": {"resources": {"api": ["LIMIT 1000 month", "RATE GCRA 10 1s"]}}},
                          "policies": {"on": {"rules": ["GCRA 10 1s"], "block_ms": 60000}},
                          "sinks": {"archive": {"file": "audit.jsonl"}}}
    written = tmp_path / "saved.yaml"
    quotactl("config", "save", written, env=env)
    assert written.read_text().startswith("plans:\n  pro:\n    resources:\n      api:\n      - LIMIT 1000 month\n")
    quotactl("config", "apply", written, "--url", url_of(two))
    assert saved(two) == saved(one)
    assert quotactl("config", "diff", file, env={**env, "MONTHLY": "7"}, code=1) == (
        f"127.0.0.1:{one.port}> QUOTA.PLAN SET pro api LIMIT 7 month RATE GCRA 10 1s\n")


SINKS = """\
plans: {}
policies: {}
sinks:
  hook:
    webhook: https://example.test/hook
    secrets: ["${HOOK_NEW}"]
    lanes: 3
    allow-private: true
  archive: {file: audit.jsonl, keep: 400d}
forward: {settle-within: 2m}
"""


def test_sinks_are_saved_as_they_are_written_and_come_back(one, tmp_path, monkeypatch):
    """${NAME} is filled in by the forwarder's environment: no secret is on a server."""
    monkeypatch.setenv("QUOTA_URL", url_of(one))
    monkeypatch.setenv("HOOK_NEW", "whsec_" + "A" * 40)
    file, again = tmp_path / "all.yaml", tmp_path / "again.yaml"
    file.write_text(SINKS)
    sent = quotactl("config", "apply", file)
    assert (sent.count("HSET quota:forward:config"), "whsec_" in sent) == (3, False)
    kept = one.client(decode_responses=True).hgetall("quota:forward:config")
    assert json.loads(kept["sinks/hook"])["secrets"] == ["${HOOK_NEW}"]
    for path in (again, tmp_path / "again.json"):
        quotactl("config", "save", path)
        assert quotactl("config", "diff", path, "--prune") == ""
        assert quotactl("config", "apply", path) == ""
        quotactl("config", "lint", path)
    quotactl("config", "save", again)
    assert again.read_text().startswith("plans: {}\npolicies: {}\nsinks:\n  archive:\n    file: audit.jsonl\n")
    assert quotactl("forward", "--check") == "archive: file *\nhook: webhook *\n"

    file.write_text(SINKS.replace("lanes: 3", "lanes: 4").replace("  archive: {file: audit.jsonl, keep: 400d}\n", ""))
    assert quotactl("config", "diff", file, code=1).count("\n") == 1
    assert "HDEL quota:forward:config sinks/archive" in quotactl("config", "apply", file, "--prune", "--yes")
    assert quotactl("forward", "--check") == "hook: webhook *\n"
    file.write_text("plans: {}\npolicies: {}\n")
    assert quotactl("config", "apply", file, "--prune") == ""  # it says nothing about sinks
    file.write_text(SINKS.replace("${HOOK_NEW}", "whsec_" + "A" * 40))
    assert f"{file}:6: a secret is not kept on servers" in quotactl("config", "apply", file, code=2)
    one.client().flushall()
    assert "keep no sinks" in quotactl("forward", "--check", code=2)
    file.write_text("plans: {}\npolicies: {}\nsinks: {a: {file: x}}\n")
    one.client().execute_command("ACL", "SETUSER", "reader", "reset", "on", ">secret", "~*", "+@all", "-hgetall")
    url = url_of(one).replace("//", "//reader:secret@")
    assert quotactl("config", "save", "--url", url) == "plans: {}\npolicies: {}\n"
    assert "quota:forward:config" in quotactl("config", "diff", file, "--url", url, code=2)


def test_every_word_and_odd_bytes_come_back_through_yaml(one, two, tmp_path):
    filled(one)
    path = tmp_path / "all.yaml"
    quotactl("config", "save", path, "--exceptions", "--url", url_of(one))
    quotactl("config", "apply", path, "--exceptions", "--url", url_of(two))
    assert answers(two) == answers(one)
    assert save(two) == save(one)


def test_a_file_goes_over_those_that_it_includes(one, tmp_path):
    (tmp_path / "base.yaml").write_text("plans: {pro: {resources: {api: [LIMIT 1 day], tokens: [LIMIT 5 day]}}}\n"
                                        "policies: {}\n")
    (tmp_path / "more.json").write_text('{"policies": {"api": {"rules": ["GCRA 1 1s"]}}}')
    top = tmp_path / "top.yaml"
    top.write_text("include: [base.yaml, more.json]\nplans: {pro: {resources: {api: [LIMIT 2 day]}}}\n")
    quotactl("config", "apply", top, "--url", url_of(one))
    assert saved(one) == {"plans": {"pro": {"resources": {"api": ["LIMIT 2 day"], "tokens": ["LIMIT 5 day"]}}},
                          "policies": {"api": {"rules": ["GCRA 1 1s"]}}}
    (tmp_path / "base.yaml").write_text("include: top.yaml\n")
    assert f"{tmp_path}/base.yaml:1: top.yaml includes itself" in quotactl("config", "lint", top, code=2)


WRONG = [("plans: {}\nplans: {}\npolicies: {}", 2, "plans stands twice in this map"),
         ("plans: [\n", 2, "no YAML"), ('{"plans": {},\n "policies": }', 2, "no JSON"),
         ("plans:\n  p:\n    resources:\n      r: LIMIT 1 day\npolicies: {}", 4, "must be a list of rules"),
         ("plans: {}\npolicies:\n  a:\n    block_ms: ${NONE_OF_THIS_NAME}", 4,
          "the environment has no NONE_OF_THIS_NAME"),
         ("plans: {}\npolicies: {}\ninclude: none.yaml", 3, "No such file"), ("plans: &a {p: *a}\npolicies: {}", 1, ""),
         ("plans: {}\npolicies:\n  a:\n    rules: [1 1s]\n    colour: red", 5, "unknown field 'colour'"),
         ("plans: {}\npolicies: {}\nsinks:\n  hook: {slack: 'ftp://x.test'}", 4, "must be a URL of http"),
         ("plans: {}\npolicies: {}\nforward: {name: a}", 1, "the file must have a map 'sinks'"),
         ("plans: {}\npolicies: {}\nexporter: {}", 3, "unknown field 'exporter'"),
         ("? [a]\n: b\n", 1, "a key must be a text"), ("plans: {}\npolicies: {a: \x07}", None, "no YAML")]


@pytest.mark.parametrize(("text", "number", "says"), WRONG, ids=[says or "holds itself" for _, _, says in WRONG])
def test_what_is_wrong_is_said_with_file_and_line(one, tmp_path, text, number, says):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    said = quotactl("config", "apply", path, "--url", url_of(one), code=2)
    assert f"{path}:{number}: " in said if number else f"{path}: " in said
    assert says in said
    assert answers(one) == ({}, {})


def test_lint_lets_the_server_judge_and_stores_nothing(one, tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text("""\
plans:
  pro:
    resources:
      api:
        - LIMIT 1000 month
        - RATE 10 1s
      tokens:
        - LIMIT 5 day
        - WARN many
      both: [CREDITS LOW 5, SHARE SOME]
    pending:
      - {resource: api, apply: END, effective: 1798761600000, rules: [LIMIT x day]}
policies:
  a: {rules: [10 1s]}
  b:
    rules:
      - GCRA 10 1s
      - LOG 1
  c:
    rules: [GCRA 10 1s]
    schedules:
      - {when: Nowhere/City mon-fri 09:00-17:00, rules: [GCRA 1 1s]}
  d:
    rules: [GCRA 10 1s]
    overrides: [{subject: s, rules: [GCRA ten 1s]}]
""")
    found = json.loads(quotactl("config", "lint", path, "--json", "--url", url_of(one), code=1))
    at = {int(row["place"].removeprefix(f"{path}:")): row["problem"] for row in found}
    assert sorted(at) == [6, 9, 10, 12, 14, 18, 22, 25]
    assert "writes this as: RATE GCRA 10 1s" in at[6]
    assert "writes this as: GCRA 10 1s" in at[14]
    assert "many" in at[9]
    assert "Nowhere/City" in at[22]
    assert answers(one) == ({}, {})
    path.write_text(FILE.replace("${BLOCK_MS}", "5"))
    assert quotactl("config", "lint", path, "--url", url_of(one)) == ""


def test_exceptions_are_left_alone_unless_they_are_meant(one):
    """A deploy does not undo an emergency block."""
    filled(one)
    wanted = json.loads(save(one))
    assert "overrides" not in saved(one)["policies"]["api"]
    Quota(one.client())("RL.POLICY REFUSE api attacker")
    given = json.dumps(wanted)
    url = ["--url", url_of(one)]
    assert quotactl("config", "apply", "-", "--prune", "--yes", *url, given=given) == ""
    assert "attacker" in quotactl("config", "diff", "-", "--prune", "--exceptions", *url, given=given, code=1)
    assert "say --yes" in quotactl("config", "apply", "-", "--prune", "--exceptions", *url, given=given, code=2)
    for kind, exceptions in (("override", "overrides"), ("list entry", "subjects")):  # each of them alone, too
        now = json.loads(save(one, "--exceptions"))
        del now["policies"]["api"][exceptions]
        words = "config", "apply", "-", "--prune", "--exceptions", *url
        assert "say --yes" in quotactl(*words, given=json.dumps(now), code=2), kind


def test_the_first_url_is_the_first_server(one, two):
    for server, name in ((one, "of-one"), (two, "of-two")):
        Quota(server.client())(f"RL.POLICY SET {name} 1 1s")
    for first, second, name in ((one, two, "of-one"), (two, one, "of-two")):
        shown = json.loads(quotactl("policy", "show", "--json", "--url", url_of(first), "--url", url_of(second)))
        assert [row["name"] for row in shown] == [name]
        assert home_of(Fleet([url_of(first), url_of(second)]), "any").address == f"127.0.0.1:{first.port}"


def test_several_servers_that_are_no_cluster(one, two):
    both = ["--url", f"{url_of(one)},{url_of(two)}"]
    given = json.dumps(plan(5))
    sent = quotactl("config", "apply", "-", "--effective", "now", *both, given=given)
    assert {line.split(">")[0] for line in sent.splitlines()} == {f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"}
    assert quotactl("config", "check", *both) == ""
    Quota(two.client())("QUOTA.OPEN there p")
    assert "state    active" in quotactl("account", "show", "there", *both)
    assert "is on none of the servers" in refused("account", "show", "nowhere", *both)


# ---- a cluster ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster():
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def plan(limit):
    return {"plans": {"p": {"resources": {"r": [f"LIMIT {limit} day"]}}},
            "policies": {"api": {"rules": ["GCRA 10 1h"], "subjects": [{"subject": "villain", "list": "refuse"}]}}}


def test_a_configuration_is_set_on_every_primary_whichever_node_is_named(cluster):
    load_now(cluster.replicas[1], plan(100))
    for server in cluster.servers:
        wait_until(lambda server=server: "p" in listed(Quota(server.client())), "a replica has no plan")
    assert quotactl("config", "check", "--url", url_of(cluster.primaries[0])) == ""
    assert load_now(cluster.primaries[2], plan(100)) == ""
    assert {save(server) for server in cluster.primaries} == {json.dumps(plan(100), indent=2) + "\n"}


def test_primaries_that_differ_are_not_saved(cluster, tmp_path):
    load_now(cluster.primaries[0], plan(100))
    Quota(cluster.primaries[2].client())("QUOTA.PLAN SET p r LIMIT 7 day")
    Quota(cluster.primaries[1].client())("QUOTA.PLAN SET p other LIMIT 7 day")
    path = tmp_path / "saved.yaml"
    error = refused("config", "save", str(path), "--url", url_of(cluster.primaries[0]))
    assert "the primaries differ in 2 facts, first: plan p, resource other. quotactl config check names" in error
    assert not path.exists()
    load_now(cluster.primaries[0], plan(100), "--prune")
    quotactl("config", "save", path, "--url", url_of(cluster.primaries[1]))
    assert "LIMIT 100 day" in path.read_text()


def test_a_slot_that_moves_is_followed(cluster):
    """Key by key: on its way (ASK), several keys in two places (TRYAGAIN), then elsewhere (MOVED)."""
    zero, one, _ = cluster.primaries
    load_now(zero, plan(100))
    here, there = "{acme}:a", "{acme}:b"
    slot = int(zero.client().execute_command("CLUSTER", "KEYSLOT", here))
    source = cluster.primaries[cluster.shard_of(here)]
    target = one if source is not one else zero
    for name in (here, there):
        quotactl("account", "open", name, "p", "--url", url_of(zero))
    fleet = Fleet([url_of(zero)])
    home = fleet.home(here)
    target.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", name_of(source))
    source.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", name_of(target))
    source.client().execute_command("MIGRATE", "127.0.0.1", target.port, here, 0, 5000)
    assert home.call("QUOTA.INFO", here)["plan"] == "p"  # ASK
    assert [reply["plan"] for reply in home.each(["QUOTA.INFO", name] for name in (here, there))] == ["p", "p"]
    assert quotactl("account", "show", here, "--url", url_of(zero)).startswith(here)
    error = quotactl("account", "transfer", here, there, "r", "1", "--id", "t", "--url", url_of(zero), code=2)
    assert "is moving to another node: try again" in error
    source.client().execute_command("MIGRATE", "127.0.0.1", target.port, there, 0, 5000)
    for server in (target, source, *cluster.primaries):
        server.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", name_of(target))
    assert home.call("QUOTA.INFO", here)["plan"] == "p"  # MOVED, since the fleet was read before
    assert [reply["plan"] for reply in home.each(["QUOTA.INFO", name] for name in (here, there))] == ["p", "p"]


def test_what_to_do_where_the_cluster_cannot_be_seen(cluster):
    """A user that may not read CLUSTER NODES knows one node of it."""
    zero = cluster.primaries[0]
    load_now(zero, plan(100))
    for server in cluster.servers:
        server.client().execute_command("ACL", "SETUSER", "blind", "reset", "on", ">secret", "~*", "+@all",
                                        "-cluster|nodes", "-cluster|slots", "-cluster|shards")
    url = url_of(zero).replace("//", "//blind:secret@")
    [elsewhere] = names_in(5461 * 2 + 1, 5461 * 2 + 99, 1)
    error = quotactl("account", "open", elsewhere, "p", "--url", url, code=2)
    assert f"127.0.0.1:{cluster.primaries[2].port} has the slot of this key" in error
    assert "+cluster|nodes" in error and error.count("\n") == 1
    [here] = names_in(1, 99, 1)
    assert quotactl("account", "open", here, "p", "--url", url) == f"{here}: open on p\n"
    error = quotactl("account", "parent", here, elsewhere, "--url", url_of(zero), code=2)
    assert "one hash tag" in error


def test_plans_change_at_one_instant_on_every_primary(cluster):
    """With clocks that run: the second deploy waits until the instant has come, on all of them."""
    zero = cluster.primaries[0]
    for server in cluster.servers:
        server.client().execute_command("QUOTA.CLOCK", "RESUME")
    assert "EFFECTIVE" not in load(zero, plan(100))  # a plan that is new changes nothing
    sent = load(zero, plan(200)).splitlines()
    instants = {line.rpartition(" EFFECTIVE ")[2] for line in sent}
    assert len(sent) == SHARDS
    assert len(instants) == 1
    instant_ms = int(instants.pop())
    for server in cluster.primaries:
        found = as_map(server.client().execute_command("QUOTA.PLAN", "GET", "p"))
        assert (found["resources"], found["pending"]) == ({"r": ["LIMIT 200 day"]}, [])
        assert server.client().execute_command("QUOTA.CLOCK") >= instant_ms
    assert load(zero, plan(200)) == ""
    late = json.dumps(plan(300))
    words = ["config", "apply", "-", "--url", url_of(zero), "--effective", "2100-01-01T00:00:00Z"]
    assert quotactl(*words, given=late).count("EFFECTIVE 4102444800000") == SHARDS
    assert quotactl(*words, given=late) == ""
    assert quotactl("config", "diff", "-", "--url", url_of(zero), given=late, code=1).count("LIMIT 300") == SHARDS
    assert quotactl("config", "check", "--url", url_of(zero)) == ""


def test_accounts_and_policies_of_a_cluster(cluster):
    """An account lives on the primary of its slot, a policy on all of them; any node may be named."""
    zero = cluster.primaries[0]
    load_now(zero, plan(100))
    url = ["--url", url_of(cluster.replicas[0])]
    names = [name for shard in range(SHARDS) for name in names_in(5461 * shard + 1, 5461 * shard + 99, 2)]
    for name in names:
        assert quotactl("account", "open", name, "p", *url) == f"{name}: open on p\n"
    assert [row["account"] for row in json.loads(quotactl("account", "list", "--json", *url))] == sorted(names)
    assert quotactl("account", "suspend", "--plan", "p", "--yes", *url) == f"{len(names)} accounts suspended\n"
    assert quotactl("usage", "export", *url).count('"state": "suspended"') == len(names)
    assert quotactl("policy", "refuse", "api", "other", "--for", "1h", *url).endswith(" on 3 servers\n")
    ends = {as_map(server.client().execute_command("RL.POLICY", "GET", "api"))["subjects"][0]["until"]
            for server in cluster.primaries}
    assert ends == {NOON_MS + HOUR_MS}
    assert quotactl("policy", "remove", "api", "villain", *url).endswith("removed on 3 servers\n")


def test_differences_are_named_and_mended(cluster):
    zero, one, two = cluster.primaries
    load_now(zero, plan(100))
    for limit in (90, 100):  # the same, two revisions later: no difference
        zero.client().execute_command("QUOTA.PLAN", "SET", "p", "r", "LIMIT", limit, "day")
    Quota(zero.client())("QUOTA.PLAN SET p r LIMIT 9 day APPLY END EFFECTIVE 2030-01-01T00:00:00Z")
    Quota(one.client())("QUOTA.PLAN SET p s LIMIT 1 day")
    Quota(two.client())("RL.POLICY LIFT api villain")
    Quota(two.client())("RL.POLICY SET other 1 1s")
    said = quotactl("config", "check", "--url", url_of(zero), code=1)
    found, what = {}, ""
    for line in said.splitlines():
        if line.startswith("    "):
            address, fact = line.split(maxsplit=1)
            found[what][int(address.split(":")[1])] = fact
        else:
            what = line.rstrip(":")
            found[what] = {}
    ports = [server.port for server in cluster.primaries]
    assert found == {
        "plan p, pending r": dict(zip(ports, ["LIMIT 9 day APPLY END from 1893456000000", "missing", "missing"])),
        "plan p, resource s": dict(zip(ports, ["missing", "LIMIT 1 day", "missing"])),
        "policy api, list entry of villain": dict(zip(ports, ["refuse", "refuse", "missing"])),
        "policy other": dict(zip(ports, ["missing", "missing", "GCRA 1 1s"]))}
    load_now(one, plan(100), "--prune")
    assert quotactl("config", "check", "--url", url_of(two)) == ""
    assert {save(server) for server in cluster.primaries} == {json.dumps(plan(100), indent=2) + "\n"}
    assert load_now(two, plan(100), "--prune") == ""


def test_a_new_primary_is_filled_and_accounts_that_move_there_follow_their_plan(cluster):
    """Its plan has another revision than the accounts know, and the same rules: a later change reaches them there."""
    first = cluster.primaries[0]
    for limit in (101, 102, 103, 100):
        load_now(first, plan(limit))
    fourth = Server(cluster_enabled="yes", cluster_node_timeout="1500", appendonly="yes").start()
    try:
        join(cluster, fourth)
        said = quotactl("config", "check", "--url", url_of(first), code=1)
        assert f"127.0.0.1:{fourth.port}  missing" in said
        sent = load_now(first, plan(100))
        assert sent and all(line.startswith(f"127.0.0.1:{fourth.port}> ") for line in sent.splitlines())
        assert quotactl("config", "check", "--url", url_of(fourth)) == ""
        client, name = cluster.client(), names_in(0, 99, 1)[0]
        client.execute_command("QUOTA.OPEN", name, "p")
        client.execute_command("QUOTA.CONSUME", name, "r", 40, "ID", "x")
        redis_cli("--cluster", "reshard", f"127.0.0.1:{first.port}", "--cluster-yes", "--cluster-from", name_of(first),
                  "--cluster-to", name_of(fourth), "--cluster-slots", 100)
        assert fourth.client().exists(name) == 1
        assert client.execute_command("QUOTA.CONSUME", name, "r", 40, "ID", "x")[:3] == [40, 100, 60]
        assert client.execute_command("QUOTA.CONSUME", name, "r", 61)[0] == 0
        load_now(fourth, plan(120))
        assert client.execute_command("QUOTA.CONSUME", name, "r", 61)[:3] == [61, 120, 19]
        assert used(client, name) == 101
        assert client.execute_command("QUOTA.OPEN", "{" + name + "}b", "p") in (b"OK", True)
        refused = client.execute_command("RL.ALLOW", "{" + name + "}w", "POLICY", "api", "SUBJECT", "villain")
        assert refused[0] == 0 and refused[5] == -1
        digest = fourth.digest()
        fourth.client().execute_command("DEBUG RELOAD")
        assert fourth.digest() == digest
        for primary, replica in zip(cluster.primaries, cluster.replicas):
            wait_until(lambda one=primary, other=replica: one.digest() == other.digest(), "a replica differs")
    finally:
        fourth.close()


def join(cluster, fourth):
    client = fourth.client()
    client.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    client.execute_command("CLUSTER", "MEET", "127.0.0.1", cluster.primaries[0].port)
    members = [fourth, *cluster.servers]
    wait_until(lambda: all(int(cluster_info(server)["cluster_known_nodes"]) == 2 * SHARDS + 1 for server in members),
               "the fourth does not join")
    wait_until(lambda: cluster_info(fourth)["cluster_state"] == "ok", "the fourth is not ready")
