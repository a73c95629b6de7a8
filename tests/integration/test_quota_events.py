"""QUOTA.EVENTS: what happened, once for each cause, the same here, on a replica and after every reload.

    row: what is set up, what is done ──▶ exactly these events
    files and replicas: AOF with preamble and without, full sync, swapdb, promotion, restarts ──▶ equal logs
    readers: one that was away, those that wait, one that has missed something

Every other test of accounts compares event logs, too (conftest.py, assert_equal_digests).
"""

import threading

import pytest

from conftest import DAY_MS, NOON_MS, Quota, as_map, event_log
from servers import REFUSED_INTERNAL, Server, caught_up, rewrite_aof, wait_until

DIGEST, OTHER = 64 * "a", 64 * "b"
FIELDS = ["type", "time", "db", "account", "plan", "resource", "rule", "period", "start", "end", "limit", "used",
          "remaining", "amount", "percent", "actor", "reason", "id", "before", "after"]


class Events(Quota):
    """A client that reads what came since it was made."""

    def __init__(self, client):
        super().__init__(client)
        self.after = self.map("QUOTA.EVENTS INFO")["last"]

    def read(self, *words):
        found = [(event_id.decode(), as_map(fields)) for event_id, fields in self(
            "QUOTA.EVENTS READ COUNT 1000 AFTER", self.after, *words)]
        if not words and found:
            self.after = found[-1][0]
        return [fields for _, fields in found]


def named(events):
    """Types without their `quota.`, and without what only sets the stage: plans."""
    return [event["type"].removeprefix("quota.") for event in events if event["type"] != "quota.plan.changed"]


@pytest.fixture
def events(accounts):
    yield Events(accounts.client)
    accounts("CONFIG SET quota.events all")


@pytest.fixture
def opened(events):
    """A plan and an account, whose opening has been read."""
    events("QUOTA.PLAN SET p r LIMIT 10 day WARN 50% 80%")
    events("QUOTA.OPEN a p")
    assert named(events.read()) == ["account.opened"]
    return events


# ---- one for each cause -----------------------------------------------------------------------------------------

ROWS = [
    # consuming
    (["QUOTA.CONSUME a r 4"], []),
    (["QUOTA.CONSUME a r 5"], ["limit.warned"]),
    (["QUOTA.CONSUME a r 10"], ["limit.warned", "limit.warned", "limit.exhausted"]),
    (["QUOTA.CONSUME a r 9", "QUOTA.CONSUME a r 1"], ["limit.warned", "limit.warned", "limit.exhausted"]),
    (["QUOTA.CONSUME a r 11"], []),
    (["QUOTA.CONSUME a r 10 CHECK", "QUOTA.CHECK a r 10", "QUOTA.CONSUME a r 11 ID i STICKY"], []),
    (["QUOTA.CONSUME a r 5 ID i", "QUOTA.CONSUME a r 5 ID i"], ["limit.warned"]),
    (["QUOTA.CONSUME a r 5", "QUOTA.REFUND a r 2", "QUOTA.CONSUME a r 2"], ["limit.warned", "usage.refunded"]),
    # a change of rules lets a warning fire again if it has lifted the limit above what is used, and only then
    (["QUOTA.CONSUME a r 5", "QUOTA.REFUND a r 2", "QUOTA.OVERRIDE a r LIMIT 10 day", "QUOTA.CONSUME a r 2"],
     ["limit.warned", "usage.refunded", "override.set"]),
    (["QUOTA.CONSUME a r 5", "QUOTA.REFUND a r 2", "QUOTA.PLAN SET p r LIMIT 9 day WARN 50%", "QUOTA.CONSUME a r 2"],
     ["limit.warned", "usage.refunded"]),
    (["QUOTA.CONSUME a r 5", "QUOTA.OVERRIDE a r LIMIT 11 day", "QUOTA.CONSUME a r 1"],
     ["limit.warned", "override.set", "limit.warned"]),
    (["QUOTA.CONSUME a r 3", "+1d", "QUOTA.CONSUME a r 1", "+3d", "QUOTA.CONSUME a r 1"],
     ["cycle.closed", "cycle.closed"]),
    (["QUOTA.CONSUME a r 20 FORCE"], ["limit.warned", "limit.warned", "limit.exhausted"]),
    # the operator
    (["QUOTA.SET a r 3"], ["usage.set"]), (["QUOTA.CONSUME a r 1", "QUOTA.RESET a r"], ["usage.reset"]),
    (["QUOTA.SUSPEND a", "QUOTA.SUSPEND a", "QUOTA.RESUME a", "QUOTA.RESUME a"],
     ["account.suspended", "account.resumed"]),
    (["QUOTA.SUSPEND a EX 1h", "+2h", "QUOTA.CONSUME a r 1"], ["account.suspended", "account.resumed"]),
    (["QUOTA.CLOSE a", "QUOTA.CLOSE a", "QUOTA.OPEN a p"], ["account.closed", "account.opened"]),
    (["QUOTA.OPEN a p", "QUOTA.OPEN a p EXPIRES 1d"], []),
    (["QUOTA.PLAN SET q r LIMIT 99 day", "QUOTA.SWITCH a q", "QUOTA.SWITCH a q"], ["account.switched"]),
    (["QUOTA.PLAN SET q r LIMIT 99 day", "QUOTA.SWITCH a q CHECK"], []),
    (["QUOTA.PLAN SET q r LIMIT 99 day", "QUOTA.SWITCH a q END", "QUOTA.CONSUME a r 1", "+1d", "QUOTA.CONSUME a r 1"],
     ["account.switched", "account.switched", "cycle.closed"]),
    (["QUOTA.OVERRIDE a r LIMIT 99 day EX 1h", "+2h", "QUOTA.CONSUME a r 1"], ["override.set", "override.ended"]),
    (["QUOTA.OVERRIDE a r LIMIT 99 day", "QUOTA.OVERRIDE a r LIFT", "QUOTA.OVERRIDE a r LIFT"],
     ["override.set", "override.ended"]),
    (["QUOTA.OVERRIDE a r LIMIT 99 day CHECK"], []),
    # reservations
    (["QUOTA.RESERVE a i r 3 TTL 1h", "QUOTA.COMMIT a i 2"], []),
    (["QUOTA.RESERVE a i r 3 TTL 1h", "+2h", "QUOTA.CONSUME a r 1", "QUOTA.CONSUME a r 1"], ["hold.expired"]),
    (["QUOTA.CONSUME a r 1", "QUOTA.RESERVE a i r 3 TTL 2d", "+1d", "QUOTA.CONSUME a r 1", "QUOTA.COMMIT a i 3"],
     ["cycle.closed", "cycle.amended"]),
    # credits
    (["QUOTA.PLAN SET p r LIMIT 1 day CREDITS", "QUOTA.GRANT a g r 5", "QUOTA.GRANT a g r 5",
      "QUOTA.CONSUME a r 6"], ["grant.given", "limit.exhausted", "grant.exhausted"]),
    (["QUOTA.PLAN SET p r LIMIT 1 day CREDITS", "QUOTA.GRANT a g r 5 EXPIRES 1h", "+2h", "QUOTA.CONSUME a r 1"],
     ["grant.given", "grant.ended", "limit.exhausted"]),
    (["QUOTA.PLAN SET c r CREDITS LOW 2 WARN 50%", "QUOTA.OPEN c c", "QUOTA.GRANT c g r 10", "QUOTA.CONSUME c r 4",
      "QUOTA.RESERVE c i r 3 TTL 1h", "QUOTA.COMMIT c i", "QUOTA.CONSUME c r 1", "QUOTA.CONSUME c r 1",
      "QUOTA.GRANT c h r 5 EXPIRES 1h", "+2h", "QUOTA.CONSUME c r 1"],
     ["account.opened", "grant.given", "limit.warned", "credits.low", "grant.given", "grant.ended", "grant.exhausted",
      "credits.low"]),
    (["QUOTA.GRANT a g r 5", "QUOTA.VOID a g", "QUOTA.VOID a g"], ["grant.given", "grant.voided"]),
    (["QUOTA.CONSUME a r 12 FORCE", "QUOTA.GRANT a g r 5"],
     ["limit.warned", "limit.warned", "limit.exhausted", "grant.given", "grant.absorbed"]),
    (["QUOTA.GRANT a g r 5", "QUOTA.OPEN b p", "QUOTA.TRANSFER a b r 3 ID t", "QUOTA.TRANSFER a b r 3 ID t"],
     ["grant.given", "account.opened", "transfer.made", "limit.warned", "grant.given"]),
    # keys
    ([f"QUOTA.APIKEY SET a {DIGEST}", f"QUOTA.APIKEY SET a {DIGEST} NAME n", f"QUOTA.APIKEY ROTATE a {DIGEST} {OTHER}",
      f"QUOTA.APIKEY REVOKE a {OTHER}", f"QUOTA.APIKEY REVOKE a {OTHER}"],
     ["key.created", "key.rotated", "key.revoked"]),
    # what begins by itself
    (["CONFIG SET quota.default-plan p quota.auto-open yes", "QUOTA.CONSUME new r 1", "QUOTA.CONSUME new r 1"],
     ["account.opened"]),
    (["QUOTA.PLAN SET f r LIMIT 1 day", "CONFIG SET quota.default-plan f", "QUOTA.OPEN e p EXPIRES 1h", "+2h",
      "QUOTA.CONSUME e r 1"], ["account.opened", "account.lapsed", "limit.exhausted"]),
]


def run(quota, lines):
    for line in lines:
        if line.startswith("+"):
            quota.advance(line[1:])
        else:
            quota(line)


@pytest.mark.parametrize("lines, wanted", ROWS, ids=lambda value: None)
def test_each_cause_is_one_event(opened, lines, wanted):
    run(opened, lines)
    assert named(opened.read()) == wanted


def test_what_an_event_says(opened):
    run(opened, ["QUOTA.CONSUME a r 5", "QUOTA.OVERRIDE a r LIMIT 99 day EX 1h REASON sale",
                 "QUOTA.SET a r 7 REASON typo"])
    warned, override, changed = opened.read()
    assert warned == {"type": "quota.limit.warned", "time": NOON_MS, "db": 0, "account": "a", "plan": "p",
                      "resource": "r", "rule": 0, "period": "day", "start": NOON_MS, "end": NOON_MS + DAY_MS,
                      "limit": 10, "used": 5, "remaining": 5, "percent": "50"}
    assert override == {"type": "quota.override.set", "time": NOON_MS, "db": 0, "account": "a", "plan": "p",
                        "resource": "r", "end": NOON_MS + 3_600_000, "actor": "default", "reason": "sale"}
    assert changed == {"type": "quota.usage.set", "time": NOON_MS, "db": 0, "account": "a", "plan": "p",
                       "resource": "r", "actor": "default", "reason": "typo", "before": "5", "after": "7"}
    for event in (warned, override, changed):
        assert list(event) == [field for field in FIELDS if field in event]


def test_who_opened_it(events):
    run(events, ["QUOTA.PLAN SET p r LIMIT 10 day", "QUOTA.OPEN a p REASON signup", "QUOTA.CLOSE a",
                 "QUOTA.OPEN a p REASON back", "CONFIG SET quota.default-plan p quota.auto-open yes",
                 "QUOTA.CONSUME b r 1"])
    found = [event for event in events.read("TYPE", "*.opened")]
    assert [(event["account"], event.get("actor"), event.get("reason")) for event in found] == [
        ("a", "default", "signup"), ("a", "default", "back"), ("b", None, None)]
    assert [note["act"] for note in events.map("QUOTA.INFO a")["notes"]] == ["close", "open"]  # the first is not kept


def test_the_configuration_changes(events):
    run(events, ["QUOTA.PLAN SET p r LIMIT 10 day", "QUOTA.PLAN SET p r LIMIT 10 day",
                 "QUOTA.PLAN CHECK p r LIMIT 1 day", "QUOTA.PLAN SET p s LIMIT 1 day EFFECTIVE 2030-01-01T00:00:00Z",
                 "QUOTA.PLAN CANCEL p 2", "QUOTA.PLAN DEL p", "RL.POLICY SET m 1 1s", "RL.POLICY PERMIT m s",
                 "RL.POLICY LIFT m s", "RL.POLICY DEL m", "RL.POLICY DEL m"])
    found = events.read()
    assert [event["type"] for event in found] == ["quota.plan.changed"] * 4 + ["policy.changed"] * 4
    assert found[0] == {"type": "quota.plan.changed", "time": NOON_MS, "plan": "p", "actor": "default"}
    assert found[4] == {"type": "policy.changed", "time": NOON_MS, "actor": "default", "id": "m"}
    events("CONFIG SET quota.events none")
    events("RL.POLICY SET m 1 1s")
    assert events.read() == []
    events("RL.POLICY DEL m")


def test_time_is_the_instant_of_the_cause(opened):
    run(opened, ["QUOTA.CONSUME a r 1", "QUOTA.RESERVE a i r 1 TTL 1h", "QUOTA.OVERRIDE a r LIMIT 20 day EX 2h", "+3d"])
    opened.read()
    opened("QUOTA.CONSUME a r 1")
    found = {event["type"]: event["time"] for event in opened.read()}
    assert found == {"quota.hold.expired": NOON_MS + 3_600_000, "quota.override.ended": NOON_MS + 7_200_000,
                     "quota.cycle.closed": NOON_MS + DAY_MS}


# What time has done by the time that an operator acts: it is said first, at its own instant, without an actor.
LATER = "2025-02-01T15:00:00Z"
MOVES_ON = [
    (f"QUOTA.SWITCH a q AT {LATER}", "QUOTA.SWITCH a s", [("switched", "p", "q"), ("switched", "q", "s")]),
    (f"QUOTA.SWITCH a q AT {LATER}", "QUOTA.SWITCH a p", [("switched", "p", "q"), ("switched", "q", "p")]),
    (f"QUOTA.SWITCH a q AT {LATER}", "QUOTA.SWITCH a s AT 2025-03-01T15:00:00Z",
     [("switched", "p", "q"), ("switched", "q", "s")]),
    (f"QUOTA.SWITCH a q AT {LATER}", "QUOTA.SUSPEND a", [("switched", "p", "q"), ("suspended", None, None)]),
    (f"QUOTA.OPEN a p EXPIRES {LATER} THEN q", "QUOTA.SUSPEND a", [("lapsed", "p", "q"), ("suspended", None, None)]),
    (f"QUOTA.OPEN a p EXPIRES {LATER} THEN q", "QUOTA.CLOSE a", [("lapsed", "p", "q"), ("closed", None, None)]),
    (f"QUOTA.OPEN a p EXPIRES {LATER} THEN q", "QUOTA.SWITCH a s", [("lapsed", "p", "q"), ("switched", "q", "s")]),
    (f"QUOTA.OPEN a p EXPIRES {LATER} THEN q", "QUOTA.OPEN a s", [("lapsed", "p", "q"), ("opened", None, None)]),
    (f"QUOTA.OVERRIDE a r LIMIT 5 day EX @{LATER}", "QUOTA.OVERRIDE a r LIMIT 6 day",
     [("override.ended", None, None), ("override.set", None, None)]),
]


@pytest.mark.parametrize("settled", [False, True], ids=["lazy", "eager"])
@pytest.mark.parametrize("given, act, wanted", MOVES_ON)
def test_what_time_has_done_is_said_before_what_an_operator_does(opened, given, act, wanted, settled):
    for plan in ("q", "s"):
        opened(f"QUOTA.PLAN SET {plan} r LIMIT 20 day")
    opened(given)
    opened.read()
    opened.advance("30h")
    if settled:
        opened("QUOTA.SETTLE a")
    opened(act)
    first, second = opened.read()
    said = [(event["type"].removeprefix("quota.").removeprefix("account."), event.get("before"), event.get("after"))
            for event in (first, second)]
    assert said == wanted
    assert (first["time"], second["time"]) == (NOON_MS + DAY_MS, NOON_MS + 30 * DAY_MS // 24)
    assert ("actor" in first, "actor" in second) == (False, True)


@pytest.mark.parametrize("settled", [False, True], ids=["lazy", "eager"])
@pytest.mark.parametrize("raised", ["LIMIT 100 day WARN 50% 80%", "LIMIT -1 day WARN 50% 80%"])
def test_a_limit_that_was_raised_for_a_while_warns_again(opened, raised, settled):
    opened("QUOTA.CONSUME a r 6")
    assert named(opened.read()) == ["limit.warned"]
    opened(f"QUOTA.PLAN SET p r {raised}")
    if settled:
        opened("QUOTA.SETTLE a")
    opened("QUOTA.PLAN SET p r LIMIT 10 day WARN 50% 80%")
    opened("QUOTA.CONSUME a r 1")
    assert named(opened.read()) == ["limit.warned"]
    opened("QUOTA.CONSUME a r 1")
    assert [event["percent"] for event in opened.read()] == ["80"]


def test_settle_says_how_many_it_makes(opened):
    run(opened, ["QUOTA.PLAN SET free r LIMIT 1 day", "CONFIG SET quota.default-plan free", "QUOTA.CONSUME a r 1",
                 "QUOTA.RESERVE a i r 1 TTL 1h", "QUOTA.OVERRIDE a r LIMIT 20 day EX 2h",
                 "QUOTA.GRANT a g r 5 EXPIRES 1h", "QUOTA.OPEN a p EXPIRES 2d", "QUOTA.SUSPEND a EX 1h", "+3d"])
    opened.read()
    assert opened("QUOTA.SETTLE a") == 6
    assert sorted(named(opened.read())) == ["account.lapsed", "account.resumed", "cycle.closed", "grant.ended",
                                            "hold.expired", "override.ended"]
    assert opened("QUOTA.SETTLE a") == 0
    assert opened.read() == []


def test_an_event_names_its_database(opened, primary):
    other = Events(primary.client(db=3))
    other("QUOTA.OPEN a p")
    assert [(event["db"], event["account"]) for event in opened.read()] == [(3, "a")]
    other("FLUSHDB")
    other.client.close()


@pytest.mark.parametrize("level, wanted", [
    ("none", []), ("admin", ["account.suspended", "account.resumed"]),
    ("all", ["limit.warned", "limit.warned", "limit.exhausted", "account.suspended", "account.resumed"])])
def test_the_setting_says_which_are_made(opened, level, wanted):
    opened(f"CONFIG SET quota.events {level}")
    run(opened, ["QUOTA.CONSUME a r 10", "QUOTA.SUSPEND a", "QUOTA.RESUME a"])
    assert named(opened.read()) == wanted


@pytest.mark.parametrize("lines, wanted", [
    (["QUOTA.CONSUME a r 3", "QUOTA.CONSUME a r 2 ID i", "QUOTA.CONSUME a r 2 ID i", "QUOTA.CONSUME a r 20"],
     [("r", 3, None), ("r", 2, "i")]),
    (["QUOTA.MCONSUME a 2 r 3 s 4"], [("r", 3, None), ("s", 4, None)]),
    (["QUOTA.RESERVE a h r 5 TTL 1h", "QUOTA.COMMIT a h 4"], [("r", 4, "h")]),
    (["QUOTA.RESERVE a h r 5 s 1 TTL 1h", "QUOTA.RELEASE a h"], []),
    (["QUOTA.CONSUME a s 8", "QUOTA.CONSUME a s 5"], [("s", 8, None), ("s", 5, None)]),  # of limits and of credits
    (["QUOTA.CONSUME a roll 3", "QUOTA.CONSUME a roll 3", "+59m", "QUOTA.CONSUME a roll 1", "+30m",
      "QUOTA.CONSUME a roll 2"], [("roll", 3, None), ("roll", 3, None), ("roll", 1, None), ("roll", 2, None)]),
    (["QUOTA.CONSUME a cost 3"], [("cost", 6, None)]),  # units: what limits count
    (["QUOTA.SET a s 5", "QUOTA.REFUND a s 1", "QUOTA.RESET a s"], []),
    (["QUOTA.CONSUME a r 12 FORCE"], [("r", 12, None)]),
])
def test_every_consumption_is_one(opened, lines, wanted):
    run(opened, ["CONFIG SET quota.events usage", "QUOTA.PLAN SET p r LIMIT 10 day LIMIT 99 month",
                 "QUOTA.PLAN SET p s LIMIT 10 day CREDITS", "QUOTA.PLAN SET p roll LIMIT 10 ROLLING 1h",
                 "QUOTA.PLAN SET p cost LIMIT 10 day COST 2", "QUOTA.GRANT a g s 100"])
    opened.read()
    run(opened, lines)
    found = [event for event in opened.read() if event["type"] == "quota.usage.consumed"]
    assert [(event["resource"], event["amount"], event.get("id")) for event in found] == wanted


def test_a_replica_s_settings_do_not_matter(opened, primary, replica):
    replica.client().config_set("quota.events", "none")
    run(opened, ["QUOTA.CONSUME a r 10"])
    caught_up(primary, replica)
    assert event_log(replica) == event_log(primary)
    replica.client().config_set("quota.events", "all")


def test_every_level_has_its_own(opened):
    run(opened, ["QUOTA.PLAN SET org r LIMIT 12 day", "QUOTA.OPEN {t}org org", "QUOTA.OPEN {t}team p PARENT {t}org",
                 "QUOTA.OPEN {t}other p", "QUOTA.PARENT {t}other {t}org REASON merged", "QUOTA.CONSUME {t}other r 4"])
    moved = opened.read()[-1]
    assert (moved["type"], moved["account"], moved["after"]) == ("quota.account.moved", "{t}other", "{t}org")
    assert moved["reason"] == "merged" and "before" not in moved
    run(opened, ["QUOTA.CONSUME {t}team r 8", "QUOTA.DETACH {t}team REASON sold"])
    found = opened.read()
    assert [(event["account"], event["type"]) for event in found] == [
        ("{t}team", "quota.limit.warned"), ("{t}team", "quota.limit.warned"), ("{t}org", "quota.limit.exhausted"),
        ("{t}team", "quota.account.moved")]
    assert (found[-1]["before"], found[-1]["reason"]) == ("{t}org", "sold")


def test_a_pool_s_shares(opened):
    run(opened, ["QUOTA.PLAN SET org r LIMIT 90 day SHARE EQUAL", "QUOTA.OPEN {t}org org",
                 "QUOTA.OPEN {t}a p PARENT {t}org",
                 "QUOTA.OPEN {t}b p PARENT {t}org", "QUOTA.CONSUME {t}a r 1", "QUOTA.CONSUME {t}b r 1"])
    shared = [event for event in opened.read() if event["type"] == "quota.pool.shared"]
    assert [(event["account"], event["resource"], event["limit"]) for event in shared] == [("{t}org", "r", 90)]


def test_multi_scripts_and_other_commands(opened):
    pipe = opened.client.pipeline(transaction=True)
    for amount in (5, 3, 2):
        pipe.execute_command("QUOTA.CONSUME", "a", "r", amount)
    pipe.execute()
    opened("EVAL", "redis.call('QUOTA.SUSPEND', 'a') return redis.call('QUOTA.RESUME', 'a')", 0)
    run(opened, ["RENAME a b", "COPY b c", "DEL b", "RENAME c a"])
    assert named(opened.read()) == ["limit.warned", "limit.warned", "limit.exhausted", "account.suspended",
                                    "account.resumed"]


def test_flushall_leaves_it(opened):
    opened("QUOTA.CONSUME a r 5")
    opened("FLUSHALL")
    assert named(opened.read()) == ["limit.warned"]


# ---- reading ----------------------------------------------------------------------------------------------------


def test_after_count_account_type(opened):
    run(opened, ["QUOTA.OPEN b p", "QUOTA.CONSUME a r 5", "QUOTA.CONSUME b r 10", "QUOTA.SUSPEND b"])
    after = opened.after
    assert named(opened.read("ACCOUNT", "a")) == ["limit.warned"]
    assert named(opened.read("TYPE", "quota.limit.*")) == ["limit.warned"] * 3 + ["limit.exhausted"]
    assert named(opened.read("ACCOUNT", "b", "TYPE", "*.account.*")) == ["account.opened", "account.suspended"]
    assert opened.read("ACCOUNT", "another") == []
    assert len(opened(f"QUOTA.EVENTS READ AFTER {after} COUNT 2")) == 2
    [[first, _], [second, _]] = opened(f"QUOTA.EVENTS READ AFTER {after} COUNT 2")
    assert opened(f"QUOTA.EVENTS READ AFTER {first.decode()} COUNT 1")[0][0] == second
    assert opened("QUOTA.EVENTS READ AFTER $") == []
    ids = [event_id.decode() for event_id, _ in opened("QUOTA.EVENTS READ AFTER", after)]
    sequences = [int(event_id.split("-")[1]) for event_id in ids]
    assert sequences == list(range(sequences[0], sequences[0] + 6))  # dense


def test_words_that_are_refused(events):
    for words in ("AFTER 1", "AFTER x-y", "AFTER 1-", "AFTER -1-1", "AFTER 1--1", "AFTER"):
        events.error(f"QUOTA.EVENTS READ {words}")
    for words in ("READ COUNT 0", "READ COUNT 1001", "READ WAIT 0", "READ NEVER", "INFO x", "WRITE"):
        events.error(f"QUOTA.EVENTS {words}")


@pytest.fixture
def alone():
    """On a server of its own: the bounds of a replica are its own, too."""
    server = Server().start()
    alone = begin(server, ["QUOTA.OPEN a p"])
    alone.read()
    yield alone
    server.close()


def test_who_is_behind_sees_what_is_lost(alone):
    alone("CONFIG SET quota.events-max 3")
    for _ in range(5):
        run(alone, ["QUOTA.SUSPEND a", "QUOTA.RESUME a"])
    info = alone.map("QUOTA.EVENTS INFO")
    assert info["entries"] == 3
    last = int(info["last"].split("-")[1])
    assert int(info["first"].split("-")[1]) == last - 2 and info["dropped"] == last - 3
    [[event_id, truncated], *rest] = alone(f"QUOTA.EVENTS READ AFTER {alone.after}")
    assert event_id.decode() == f"{info['epoch']}-{last - 3}" and len(rest) == 3
    assert as_map(truncated) == {"type": "quota.log.truncated", "time": NOON_MS, "lost": 7}
    assert as_map(alone("QUOTA.EVENTS READ AFTER 0-0 COUNT 1 TYPE quota.key.*")[0][1])["lost"] == last - 3
    assert len(alone(f"QUOTA.EVENTS READ AFTER {event_id.decode()}")) == 3  # from there on nothing is lost
    assert f"events: {last - 3} entries were dropped" in str(alone.map("QUOTA.HEALTH")["problems"])
    alone("CONFIG SET quota.events-max 0")
    alone("QUOTA.SUSPEND a")
    assert alone.map("QUOTA.EVENTS INFO")["entries"] == 0
    [[event_id, truncated]] = alone(f"QUOTA.EVENTS READ AFTER {event_id.decode()}")
    assert as_map(truncated)["lost"] == 4


def test_bytes_are_bounded(alone):
    alone("CONFIG SET quota.events-bytes 2000")
    for _ in range(50):
        run(alone, ["QUOTA.SUSPEND a", "QUOTA.RESUME a"])
    info = alone.map("QUOTA.EVENTS INFO")
    assert info["bytes"] <= 2000 and 10 < info["entries"] < 50
    assert info["bytes"] / info["entries"] < 120
    alone("QUOTA.OPEN", "k" * 5000, "p")  # alone it is too large
    assert alone.map("QUOTA.EVENTS INFO")["entries"] == 0
    alone("QUOTA.SUSPEND a")
    assert alone.map("QUOTA.EVENTS INFO")["entries"] == 1


# ---- waiting ----------------------------------------------------------------------------------------------------


class Reader(threading.Thread):
    """A client that waits; its answer or its error."""

    def __init__(self, server, *words, after="$"):
        super().__init__(daemon=True)
        self.client = server.client(single_connection_client=True)
        self.id = self.client.client_id()
        self.words, self.answer, self.error = ["QUOTA.EVENTS", "READ", "AFTER", after, *words], None, None
        before = server.client().info("clients")["blocked_clients"]
        self.start()
        wait_until(lambda: server.client().info("clients")["blocked_clients"] > before or not self.is_alive(),
                   "the client does not wait")

    def run(self):
        try:
            self.answer = self.client.execute_command(*self.words)
        except Exception as error:  # also what closing the socket under the reader raises
            self.error = str(error)

    def done(self):
        self.join(20)
        assert not self.is_alive(), "still waiting"
        return self.error or named([as_map(fields) for _, fields in self.answer])


def test_a_reader_waits_for_the_next_event(opened, primary):
    reader = Reader(primary, "WAIT", "1h")
    opened("QUOTA.CONSUME a r 4")
    assert reader.is_alive()
    opened("QUOTA.CONSUME a r 6")
    assert reader.done() == ["limit.warned", "limit.warned", "limit.exhausted"]


def test_a_reader_does_not_wait_for_what_is_there(opened, primary):
    opened("QUOTA.CONSUME a r 5")
    assert Reader(primary, "WAIT", "1h", after=opened.after).done() == ["limit.warned"]


def test_a_reader_waits_for_what_it_wants(opened, primary):
    opened("QUOTA.OPEN b p")
    readers = [Reader(primary, "WAIT", "1h", *words) for words in (
        ("ACCOUNT", "b"), ("TYPE", "*.exhausted"), ("ACCOUNT", "b", "TYPE", "*.exhausted"))]
    opened("QUOTA.CONSUME a r 9")
    assert all(reader.is_alive() for reader in readers)
    opened("QUOTA.CONSUME a r 1")
    assert readers[1].done() == ["limit.exhausted"]
    opened("QUOTA.CONSUME b r 8")
    assert readers[0].done() == ["limit.warned", "limit.warned"]
    opened("QUOTA.CONSUME b r 2")
    assert readers[2].done() == ["limit.exhausted"]


def test_its_time_is_over(opened, primary):
    reader = Reader(primary, "WAIT", "1h")
    opened.advance("59m")
    assert reader.is_alive()
    opened.advance("1m")
    assert reader.done() == []
    assert Reader(primary, "WAIT", "5ms").done() == []  # by the server's clock


def test_a_reader_that_leaves_is_forgotten(opened, primary):
    for _ in range(3):
        reader = Reader(primary, "WAIT", "1h")
        opened("CLIENT KILL ID", reader.id)
        assert reader.done()
    left = Reader(primary, "WAIT", "1h")
    opened("CLIENT UNBLOCK", left.id)
    assert left.done() == []
    failed = Reader(primary, "WAIT", "1h")
    opened("CLIENT UNBLOCK", failed.id, "ERROR")
    assert "UNBLOCKED" in failed.done()
    opened("QUOTA.CONSUME a r 5")  # there is none to be replied to
    assert named(opened.read()) == ["limit.warned"]


# Redis 7.2 and Valkey end themselves where a client leaves that the module has called in the same pass.
@pytest.mark.parametrize("leaves, wanted", [
    (("CLIENT UNBLOCK",), ["limit.warned"]),
    (("CLIENT UNBLOCK", "ERROR"), "UNBLOCKED"),
    (("CLIENT KILL ID",), "Connection closed"),
])
def test_a_reader_that_leaves_as_its_event_comes(opened, primary, leaves, wanted):
    reader = Reader(primary, "WAIT", "1h")
    pipe = opened.client.pipeline(transaction=True)
    pipe.execute_command("QUOTA.CONSUME", "a", "r", 5)
    pipe.execute_command(leaves[0], reader.id, *leaves[1:])
    assert pipe.execute()[1] == 1
    answer = reader.done()
    assert answer == wanted or wanted in answer
    assert named(opened.read()) == ["limit.warned"]


def test_none_waits_in_multi_or_a_script(opened):
    assert opened("EVAL", "return redis.call('QUOTA.EVENTS', 'READ', 'AFTER', '$', 'WAIT', '1h')", 0) == []
    pipe = opened.client.pipeline(transaction=True)
    pipe.execute_command("QUOTA.EVENTS READ", "AFTER", "$", "WAIT", "1h")
    assert pipe.execute() == [[]]


def test_a_hundred_readers(opened, primary):
    readers = [Reader(primary, "WAIT", "1h", *(("ACCOUNT", "a") if number % 2 else ())) for number in range(100)]
    opened("QUOTA.CONSUME a r 5")
    assert [reader.done() for reader in readers] == [["limit.warned"]] * 100


def test_a_replica_has_readers(opened, primary, replica):
    caught_up(primary, replica)
    reader = Reader(replica, "WAIT", "1h")
    opened("QUOTA.CONSUME a r 5")
    assert reader.done() == ["limit.warned"]


# ---- files and replicas -----------------------------------------------------------------------------------------


def begin(server, lines=()):
    quota = Events(server.client())
    quota(f"QUOTA.CLOCK FREEZE {NOON_MS}")
    quota("QUOTA.PLAN SET p r LIMIT 10 day WARN 50% 80%")
    run(quota, lines)
    return quota


HAPPENED = ["QUOTA.OPEN a p", "QUOTA.CONSUME a r 10", "QUOTA.OPEN b p", "QUOTA.SUSPEND b REASON why", "QUOTA.RESUME b"]


@pytest.mark.parametrize("keys", ["with keys", "without keys"])
@pytest.mark.parametrize("ends", ["stops", "is killed"])
@pytest.mark.parametrize("rewrites", ["before", "in between", "never"])
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_what_was_logged_is_read_again(preamble, rewrites, ends, keys):
    server = Server(appendonly="yes", appendfsync="always", aof_use_rdb_preamble=preamble).start()
    try:
        if rewrites == "before":
            rewrite_aof(server)
        quota = begin(server, HAPPENED)
        if keys == "without keys":
            quota("FLUSHALL")
        if rewrites == "in between":
            rewrite_aof(server)
            wait_until(lambda: server.client().info("persistence")["aof_rewrite_in_progress"] == 0, "rewrites")
        run(quota, ["QUOTA.OPEN c p", "QUOTA.CONSUME c r 5"])
        expected = event_log(server)
        assert len(expected[1]) == 10
        server.stop(save=True) if ends == "stops" else server.kill()
        server.start()
        assert event_log(server) == expected
        quota = begin(server, ["QUOTA.OPEN d p"])
        [[event_id, _]] = quota(f"QUOTA.EVENTS READ AFTER {expected[0]['last']}")
        assert event_id == b"2-11"  # a new epoch, and the sequence goes on
    finally:
        server.close()


def test_an_rdb_file_has_it():
    server = Server().start()
    try:
        begin(server, HAPPENED)
        expected = event_log(server)
        server.stop(save=True)
        server.start()
        assert event_log(server) == expected
        assert as_map(server.client().execute_command("QUOTA.EVENTS INFO"))["epoch"] == 2
        server.stop(save=True)
        server.start()
        assert as_map(server.client().execute_command("QUOTA.EVENTS INFO"))["epoch"] == 3  # though nothing happened
    finally:
        server.close()


@pytest.mark.parametrize("diskless", ["disabled", "swapdb"])
def test_a_full_sync_and_a_promotion(diskless):
    first, second = Server(appendonly="yes").start(), Server(appendonly="yes", repl_diskless_load=diskless).start()
    try:
        begin(second, ["QUOTA.OPEN stale p"] * 2)
        quota = begin(first, HAPPENED)
        second.follow(first)
        caught_up(first, second)
        assert event_log(second) == event_log(first)
        quota("QUOTA.CONSUME b r 5")
        caught_up(first, second)
        expected = event_log(first)
        assert event_log(second) == expected
        read = expected[0]["last"]
        second.client().replicaof("NO", "ONE")
        promoted = begin(second, ["QUOTA.CONSUME b r 3"])
        quota("QUOTA.CONSUME b r 3")  # the old primary goes on for a while
        quota("QUOTA.SUSPEND b")
        assert [event_id for event_id, _ in promoted(f"QUOTA.EVENTS READ AFTER {read}")] == [b"2-10"]
        away = quota.map("QUOTA.EVENTS INFO")["last"]
        assert away == "1-11"  # a reader of the old primary misses nothing of the new one
        assert [event_id for event_id, _ in promoted(f"QUOTA.EVENTS READ AFTER {away}")] == [b"2-10"]
        first.follow(second)
        caught_up(second, first)
        assert event_log(first) == event_log(second)
        run(promoted, ["QUOTA.SUSPEND b", "QUOTA.RESUME b"])
        caught_up(second, first)
        assert event_log(first) == event_log(second)
        assert promoted.map("QUOTA.EVENTS INFO")["last"] == "2-12"
    finally:
        first.close()
        second.close()


def test_what_is_written_into_a_replica_is_not_logged():
    first, second = Server().start(), Server(replica_read_only="no").start()
    try:
        quota = begin(first, HAPPENED)
        second.follow(first)
        caught_up(first, second)
        expected = event_log(first)
        own = Quota(second.client())
        for line in ("QUOTA.OPEN own p", "QUOTA.CONSUME own r 10", "RL.POLICY SET own 1 1s"):
            own(line)
        assert event_log(second) == expected
        quota("QUOTA.SUSPEND b")
        caught_up(first, second)
        assert event_log(second) == event_log(first)
    finally:
        first.close()
        second.close()


def test_an_empty_primary_empties_its_replica():
    first, second = Server().start(), Server().start()
    try:
        begin(second, HAPPENED)
        second.follow(first)
        assert event_log(second) == event_log(first)
        assert event_log(second)[1] == []
    finally:
        first.close()
        second.close()


def test_a_large_log_in_a_plain_aof():
    """In several parts: RL._EVENTS has bounded arguments."""
    server = Server(appendonly="yes", aof_use_rdb_preamble="no").start()
    try:
        quota = begin(server, ["QUOTA.OPEN a p"])
        pipe = quota.client.pipeline(transaction=False)
        for _ in range(3000):
            pipe.execute_command("QUOTA.SUSPEND", "a", "REASON", "x" * 100)
            pipe.execute_command("QUOTA.RESUME", "a")
        pipe.execute()
        expected = event_log(server, 6002)
        assert expected[0]["entries"] == 6002
        rewrite_aof(server)
        server.client().execute_command("DEBUG LOADAOF")
        assert event_log(server, 6002) == expected
    finally:
        server.close()


def test_its_own_command_is_refused_to_clients(quota):
    assert any(word in quota.error("RL._EVENTS x").lower() for word in REFUSED_INTERNAL.split("|"))
