"""What would be: PLAN CHECK, SWITCH CHECK, OVERRIDE CHECK answer and change nothing; what is to come can be cancelled.

    PLAN CHECK                 → revision it would be, rules as they would stand, kinds that would go, accounts
    RL.PEEK, QUOTA.CHECK, …   → as PEEK and CHECK, by commands that only read: on replicas, too
    SWITCH, OVERRIDE … CHECK   → the account's INFO as it would be: compared with INFO after it has been done
"""

import pytest

from conftest import NOON_MS, Quota
from servers import caught_up
from subjects import either  # noqa: F401, a fixture

OK = (b"OK", True, "OK", 1)
DAY_MS = 86_400_000


@pytest.fixture
def acme(either):  # noqa: F811
    """Plan p (100 in 30 days, 50 a day), plan q (400 in 30 days); a on p since ten days, 40 used, 5 held."""
    either("QUOTA.PLAN SET p r LIMIT 100 30d LIMIT 50 day WARN 80")
    either("QUOTA.PLAN SET q r LIMIT 400 30d")
    either("QUOTA.OPEN a p")
    either("QUOTA.CONSUME a r 40")
    either.advance("10d")
    either("QUOTA.RESERVE a h r 5 TTL 1h")
    return either


def stored(quota):
    """All that is stored: keys, plans, and what an account shows."""
    plans = [quota.map(f"QUOTA.PLAN GET {plan}") for plan in "pq"]
    return quota("DEBUG DIGEST"), plans, quota.map("QUOTA.INFO a"), quota.map("QUOTA.HISTORY a r")


def without_notes(info):
    return {name: value for name, value in info.items() if name != "notes"}


def limits(info):
    return [rule["limit"] for rule in info["resources"]["r"]["rules"]]


def texts(reply):
    """conftest makes a dict of a list of an even number of texts."""
    return [word for pair in reply.items() for word in pair] if isinstance(reply, dict) else reply


# ---- SWITCH and OVERRIDE ----

CHECKS = [  # the command ──▶ limits it would leave
    ("SWITCH a q", [300]),  # 100 x 10 + 400 x 20 = 9000
    ("SWITCH a q FULL", [400]),
    ("SWITCH a q END", [100, 50]),  # later
    (f"SWITCH a q AT {NOON_MS + 12 * DAY_MS}", [100, 50]),
    ("SWITCH a q FULL RESTART", [400]),
    ("SWITCH a p", [100, 50]),
    ("OVERRIDE a r LIMIT 1000 30d", [1000, 50]),
    ("OVERRIDE a r LIMIT 70 week", [100, 50, 70]),
    ("OVERRIDE a r ONLY LIMIT 70 week EX 1h", [70]),
    ("OVERRIDE a r BURST 10%", [100, 50]),
    ("OVERRIDE a other LIMIT 3 day", [100, 50]),
]


@pytest.mark.parametrize("line, expected", CHECKS)
def test_check_answers_what_would_be_and_changes_nothing(acme, line, expected):
    before = stored(acme)
    answer = acme.map(f"QUOTA.{line} CHECK")
    assert limits(answer) == expected
    assert stored(acme) == before
    assert acme.map(f"QUOTA.{line} CHECK") == answer  # and again
    assert acme(f"QUOTA.{line}") in OK
    assert without_notes(acme.map("QUOTA.INFO a")) == without_notes(answer)


def test_check_of_a_switch_to_come_shows_it(acme):
    at = NOON_MS + 12 * DAY_MS
    assert acme.map(f"QUOTA.SWITCH a q AT {at} CHECK")["next"] == {"plan": "q", "at": at}
    assert acme.map("QUOTA.SWITCH a q END CHECK")["next"] == {"plan": "q", "at": NOON_MS + 30 * DAY_MS}
    assert acme.map("QUOTA.INFO a")["next"] is None


def test_check_sees_what_time_has_done(acme):
    """The day has gone by and the hold is over, whether a client has looked or not."""
    acme.advance("5d")
    answer = acme.map("QUOTA.SWITCH a q FULL CHECK")["resources"]["r"]["rules"][0]
    assert [answer[name] for name in ("limit", "used", "held", "remaining")] == [400, 40, 0, 360]


REFUSED = [
    ("SWITCH a nothing CHECK", "NOPLAN"), ("SWITCH absent q CHECK", "NOACCOUNT"),
    ("OVERRIDE absent r LIMIT 1 day CHECK", "NOACCOUNT"), ("OVERRIDE a r CHECK", ""),
]


@pytest.mark.parametrize("line, code", REFUSED)
def test_check_refuses_what_would_be_refused(acme, line, code):
    before = stored(acme)
    assert acme.error(f"QUOTA.{line}").startswith(code)
    assert stored(acme) == before


# ---- PLAN CHECK ----

PLAN_CHECKS = [  # rules ──▶ revision it would be, rules, kinds that would go
    ("LIMIT 200 30d LIMIT 50 day WARN 80", 2, ["LIMIT 200 30d", "LIMIT 50 day", "WARN 80"], []),
    ("LIMIT 200 30d", 2, ["LIMIT 200 30d"], ["WARN"]),
    ("RATE FIXED 5 1h", 2, ["RATE FIXED 5 1h"], ["LIMIT", "WARN"]),
    ("LIMIT 100 30d LIMIT 50 day WARN 80", 1, ["LIMIT 100 30d", "LIMIT 50 day", "WARN 80"], []),  # as it is
]


@pytest.mark.parametrize("apply", ["", " APPLY PRORATE", " APPLY END"])
@pytest.mark.parametrize("rules, revision, stand, dropped", PLAN_CHECKS)
def test_plan_check(acme, rules, revision, stand, dropped, apply):
    for name in ("b", "c", "d"):
        acme(f"QUOTA.OPEN {name} p")
    acme("QUOTA.SWITCH c q")
    acme("DEL d")
    before = stored(acme)
    answer = acme.map(f"QUOTA.PLAN CHECK p r {rules}{apply}")
    assert set(answer) == {"revision", "rules", "dropped", "accounts"}
    assert (answer["revision"], answer["accounts"]) == (revision, 2)
    assert [text.replace("%", "") for text in texts(answer["rules"])] == stand
    assert sorted(texts(answer["dropped"])) == dropped
    assert stored(acme) == before
    assert acme(f"QUOTA.PLAN SET p r {rules}{apply}") == revision


def test_plan_check_of_a_new_resource_and_of_a_new_plan(acme):
    answer = acme.map("QUOTA.PLAN CHECK p other LIMIT 5 day")
    assert (answer["revision"], texts(answer["dropped"]), answer["accounts"]) == (2, [], 1)
    answer = acme.map("QUOTA.PLAN CHECK fresh r LIMIT 5 day")
    assert (answer["revision"], texts(answer["dropped"]), answer["accounts"]) == (1, [], 0)
    assert acme.error("QUOTA.PLAN GET fresh").startswith("NOPLAN")


@pytest.mark.parametrize("rules", ["LIMIT", "LIMIT 1 fortnight", "COST 2", "LIMIT 1 day LIMIT 2 day",
                                   "LIMIT 1 day APPLY SOON", "LIMIT 1 day REPAY"])
def test_plan_check_says_what_set_would_say(accounts, rules):
    checked, set = (accounts.error(f"QUOTA.PLAN {word} p r {rules}") for word in ("CHECK", "SET"))
    assert checked.replace("CHECK", "SET") == set


# ---- pending revisions ----

LATER = NOON_MS + 20 * DAY_MS


def pending(quota, plan="p"):
    return [(one["revision"], one["resource"]) for one in quota.map(f"QUOTA.PLAN GET {plan}")["pending"]]


def test_what_is_to_come_is_shown_and_comes(acme):
    assert acme(f"QUOTA.PLAN SET p r LIMIT 200 30d EFFECTIVE {LATER}") == 2
    assert pending(acme) == [(2, "r")]
    (one,) = acme.map("QUOTA.PLAN GET p")["pending"]
    assert LATER in one.values()
    assert limits(acme.map("QUOTA.INFO a")) == [100, 50]
    assert texts(acme.map("QUOTA.PLAN GET p")["resources"]["r"])[0] == "LIMIT 100 30d"
    acme("QUOTA.CLOCK FREEZE", LATER)
    assert pending(acme) == []
    assert limits(acme.map("QUOTA.INFO a")) == [200]


def test_cancel(acme):
    acme(f"QUOTA.PLAN SET p r LIMIT 200 30d EFFECTIVE {LATER}")
    acme(f"QUOTA.PLAN SET p other LIMIT 1 day EFFECTIVE {LATER}")
    assert pending(acme) == [(2, "r"), (3, "other")]
    assert acme("QUOTA.PLAN CANCEL p 2") in OK
    assert pending(acme) == [(3, "other")]
    for revision in (2, 1, 4):  # gone, in force, never there
        acme.error(f"QUOTA.PLAN CANCEL p {revision}")
    acme("QUOTA.CLOCK FREEZE", LATER)
    info = acme.map("QUOTA.INFO a")
    assert limits(info) == [100, 50] and set(info["resources"]) == {"r", "other"}
    acme.error("QUOTA.PLAN CANCEL p 3")  # it has come
    assert acme("QUOTA.PLAN SET p r LIMIT 7 day") == 4  # numbers are not given twice


@pytest.mark.parametrize("line, left", [
    (f"SET p r LIMIT 300 30d EFFECTIVE {LATER}", [(3, "r")]), ("SET p r LIMIT 300 30d", []), ("DEL p r", []),
    ("SET p r LIMIT 100 30d LIMIT 50 day WARN 80", []), ("SET p other LIMIT 1 day", [(2, "r")]),
])
def test_at_most_one_is_pending_for_a_resource(acme, line, left):
    acme(f"QUOTA.PLAN SET p r LIMIT 200 30d EFFECTIVE {LATER}")
    acme(f"QUOTA.PLAN {line}")
    assert pending(acme) == left


def test_cancel_names_what_is_not_there(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 1 day")
    assert accounts.error("QUOTA.PLAN CANCEL nothing 1").startswith("NOPLAN")
    accounts.error("QUOTA.PLAN CANCEL p")
    accounts.error("QUOTA.PLAN CANCEL p x")
    assert accounts.map("QUOTA.PLAN GET p")["pending"] == []


# ---- retired plans ----


def test_a_retired_plan_is_shown_and_revived(acme):
    shown = acme.map("QUOTA.PLAN GET p")
    assert (bool(shown["retired"]), shown["accounts"]) == (False, 1)
    assert acme("QUOTA.PLAN DEL p") == 1
    assert acme("QUOTA.PLAN DEL p") == 0
    shown = acme.map("QUOTA.PLAN GET p")
    assert (bool(shown["retired"]), shown["accounts"]) == (True, 1)
    assert limits(acme.map("QUOTA.INFO a")) == [100, 50]
    acme("QUOTA.OPEN c q")
    for line in ("OPEN b p", "SWITCH c p", "SWITCH c p CHECK"):
        assert acme.error(f"QUOTA.{line}").startswith("NOPLAN")
    assert acme("QUOTA.OPEN a p") in OK
    assert acme("QUOTA.PLAN SET p r LIMIT 70 30d LIMIT 50 day WARN 80") == 2
    assert not acme.map("QUOTA.PLAN GET p")["retired"]
    assert limits(acme.map("QUOTA.INFO a")) == [70, 50]
    assert acme("QUOTA.SWITCH c p") in OK
    assert acme.map("QUOTA.PLAN GET p")["accounts"] == 2


def test_what_was_to_come_does_not_come_to_a_retired_plan(acme):
    acme(f"QUOTA.PLAN SET p r LIMIT 200 30d EFFECTIVE {LATER}")
    acme("QUOTA.PLAN DEL p")
    assert pending(acme) == []
    acme("QUOTA.CLOCK FREEZE", LATER)
    assert limits(acme.map("QUOTA.INFO a")) == [100, 50]


def test_accounts_that_carry_a_plan_are_counted(acme):
    def carried():
        return [acme.map(f"QUOTA.PLAN GET {plan}")["accounts"] for plan in "pq"]

    assert carried() == [1, 0]
    for name in ("b", "c"):
        acme(f"QUOTA.OPEN {name} q")
    assert carried() == [1, 2]
    acme("QUOTA.SWITCH b p FULL")
    assert carried() == [2, 1]
    acme("DEL b")
    assert carried() == [1, 1]
    acme("COPY a d")
    assert carried() == [2, 1]


# ---- commands that only read ----


TWINS = [  # the command that may write, and the one that only reads; both answer the same
    ("RL.ALLOW w 10 1s 7 1h PEEK", "RL.PEEK w 10 1s 7 1h"),
    ("RL.ALLOW w 10 1s COST 11 PEEK", "RL.PEEK w 10 1s COST 11"),
    ("RL.ALLOW w 10 1s 7 1h COST 0 5 PEEK", "RL.PEEK w 10 1s 7 1h COST 0 5"),
    ("RL.ALLOW w TOKEN 100 1m PEEK", "RL.PEEK w TOKEN 100 1m"),  # rules that are not the stored ones
    ("RL.ALLOW none 3 1s PEEK", "RL.PEEK none 3 1s"),
    ("RL.ALLOW w POLICY api SUBJECT s PEEK", "RL.PEEK w POLICY api SUBJECT s"),
    ("RL.ALLOW w POLICY api ADDRESS 10.0.0.1 COST 3 PEEK", "RL.PEEK w POLICY api COST 3 ADDRESS 10.0.0.1"),
    ("RL.BREAKER b INFO", "RL.BREAKER.INFO b"), ("RL.ADAPT d INFO", "RL.ADAPT.INFO d"),
    ("RL.BREAKER none INFO", "RL.BREAKER.INFO none"), ("RL.ADAPT none INFO", "RL.ADAPT.INFO none"),
    ("QUOTA.MCONSUME a 1 r 5 CHECK", "QUOTA.CHECK a r 5"), ("QUOTA.MCONSUME a 1 r 999 CHECK", "QUOTA.CHECK a r 999"),
    ("QUOTA.MCONSUME a 2 r 5 s 9 CHECK", "QUOTA.CHECK a r 5 s 9"),
]
READS_REFUSED = [
    ("QUOTA.CHECK a r", "wrong number"), ("QUOTA.CHECK a r 1 s", "'s' has no amount"),
    ("QUOTA.CHECK a r 1 r 2", "named twice"), ("QUOTA.CHECK a r 0", "amount '0'"), ("QUOTA.CHECK a x 1", "NORESOURCE"),
    ("QUOTA.CHECK none r 1", "NOACCOUNT"), ("QUOTA.CHECK a " + " ".join(f"r{n} 1" for n in range(65)), "at most 64"),
    ("QUOTA.CHECK w r 1", "WRONGTYPE"), ("RL.PEEK a 1 1s", "WRONGTYPE"), ("RL.PEEK w 1 1s PEEK", "not an option"),
    ("RL.PEEK w 1 1s UPTO", "not an option"), ("RL.BREAKER.INFO w", "WRONGTYPE"), ("RL.ADAPT.INFO", "wrong number"),
]


def test_readonly_twins_answer_the_same_and_replicas_answer_them(accounts, primary, replica):
    accounts("QUOTA.PLAN SET p r LIMIT 100 30d LIMIT 50 day")
    accounts("QUOTA.PLAN SET p s LIMIT 9 day RATE 20 1m")
    accounts("QUOTA.OPEN a p")
    accounts("RL.POLICY SET api 4 1h")
    accounts("RL.POLICY OVERRIDE api s 9 1h 8 1h")
    for line in ("RL.ALLOW w 10 1s 7 1h COST 4", "RL.BREAKER b FAILURES 2", "RL.ADAPT d 1 10", "QUOTA.CONSUME a r 3"):
        accounts(line)
    caught_up(primary, replica)
    reader = Quota(replica.client())
    reader("QUOTA.CLOCK FREEZE", NOON_MS)
    before = primary.digest()
    for writing, reading in TWINS:
        assert accounts(reading) == accounts(writing), reading
        assert reader.raw(reading) == Quota(primary.client()).raw(reading), reading
    for line, says in READS_REFUSED:
        assert says in accounts.error(line), line
    assert primary.digest() == before
    assert "READONLY" in reader.error("RL.ALLOW w 10 1s PEEK") or "read only" in reader.error("RL.ALLOW w 10 1s PEEK")
    accounts("RL.POLICY DEL api")
    accounts("DEL w b d")
