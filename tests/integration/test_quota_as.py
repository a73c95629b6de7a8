"""AS: a resource that is counted as COST units of another one, under that one's rules.

    mac_minutes 3 ──▶ own RATEs and usage series: 3
                └───▶ AS minutes COST 10: 30 units of minutes, its limits, credits, holds and refunds

A stream of such requests leaves of the other resource what the same stream in its units leaves.
"""

import random

import pytest

from conftest import NOON_MS, as_map

DAY_MS = 86_400_000
MAC = "AS minutes COST 10 RATE 5 1m LIMIT -1 day"


@pytest.fixture
def ci(accounts):
    accounts("QUOTA.PLAN SET ci minutes LIMIT 100 30d")
    accounts(f"QUOTA.PLAN SET ci mac_minutes {MAC}")
    accounts("QUOTA.PLAN SET ci win_minutes AS minutes COST 2")
    accounts(f"QUOTA.OPEN a ci ANCHOR {NOON_MS}")
    return accounts


def rules(quota, resource, account="a"):
    return [(rule["kind"], rule["used"], rule["held"], rule["remaining"])
            for rule in as_map(quota(f"QUOTA.INFO {account} {resource}"))["rules"]]


# ---- what is answered -----------------------------------------------------------------------------------------

HELD_TOGETHER = [[2, 5, 3, 0, 24000, 0], [4, 100, 70, 0, 30 * DAY_MS, 0], [3, 100, 70, 0, 30 * DAY_MS, 0]]
STREAMS = {
    "its own rates come first, then the other's rules, numbered behind its own": [
        ("CONSUME a mac_minutes 3", [3, 5, 2, 0, 36000, 0]), ("CONSUME a mac_minutes 3", [0, 5, 2, 12000, 36000, 0]),
        ("+1m", 0), ("CONSUME a mac_minutes 5", [5, 5, 0, 0, 60000, 0]), ("+1m", 0),
        ("CONSUME a mac_minutes 3", [0, 100, 20, 30 * DAY_MS - 120000, 30 * DAY_MS - 120000, 2])],
    "the smallest pot decides what UPTO grants": [
        ("CONSUME a minutes 75", [75, 100, 25, 0, 30 * DAY_MS, 0]),
        ("CONSUME a mac_minutes 4 UPTO", [2, 5, 3, 0, 24000, 0]),
        ("CONSUME a win_minutes 9 UPTO", [2, 100, 1, 0, 30 * DAY_MS, 0]),
        ("CONSUME a win_minutes 9 UPTO", [0, 100, 1, 30 * DAY_MS, 30 * DAY_MS, 0])],
    "what the other has nothing for does not use up its own rates": [
        ("CONSUME a minutes 100", [100, 100, 0, 0, 30 * DAY_MS, 0]),
        ("CONSUME a mac_minutes 5 UPTO", [0, 100, 0, 30 * DAY_MS, 30 * DAY_MS, 2]),
        ("REFUND a minutes 50", [50, 0, 50]), ("CONSUME a mac_minutes 5", [5, 5, 0, 0, 60000, 0])],
    "FORCE counts in both": [
        ("CONSUME a mac_minutes 12 FORCE", [12, 5, 0, 0, 144000, 0]),
        ("CONSUME a win_minutes 1", [0, 100, 0, 30 * DAY_MS, 30 * DAY_MS, 0])],
    "a check changes nothing": [
        ("CHECK a mac_minutes 3", [[3, 5, 5, 0, 0, 0]]), ("CHECK a mac_minutes 3 minutes 71", [
            [0, 100, 100, -1, 0, 2], [0, 100, 100, -1, 0, 0]])],
    "rows that are counted as one are summed": [
        ("MCONSUME a 3 minutes 50 mac_minutes 4 win_minutes 6", [
            [0, 100, 100, -1, 0, 0], [0, 100, 100, -1, 0, 2], [0, 100, 100, -1, 0, 0]]),
        ("MCONSUME a 3 minutes 50 mac_minutes 4 win_minutes 5", [
            [50, 100, 0, 0, 30 * DAY_MS, 0], [4, 100, 0, 0, 30 * DAY_MS, 2], [5, 100, 0, 0, 30 * DAY_MS, 0]])],
    "of ANY each is checked by itself": [
        ("MCONSUME a 2 mac_minutes 6 minutes 60 ANY", [[0, 5, 5, -1, 0, 0], [60, 100, 40, 0, 30 * DAY_MS, 0]]),
        ("MCONSUME a 2 mac_minutes 5 win_minutes 20 ANY", [[0, 100, 0, 30 * DAY_MS, 30 * DAY_MS, 2],
                                                          [20, 100, 0, 0, 30 * DAY_MS, 0]])],
    "a retry is answered the same": [
        ("CONSUME a mac_minutes 3 ID x", [3, 5, 2, 0, 36000, 0]), ("+1h", 0),
        ("CONSUME a mac_minutes 3 ID x", [3, 5, 2, 0, 36000, 0]), ("REFUND a mac_minutes 2 OF x ID r", [2, 0, 90]),
        ("REFUND a mac_minutes 2 OF x ID r", [2, 0, 90]), ("REFUND a mac_minutes 1", [1, 0, 100]),
        ("REFUND a mac_minutes 1", [0, 1, 100])],
    "reservations": [
        ("RESERVE a h mac_minutes 3 TTL 1h", [3, 5, 2, 0, 36000, 0]), ("COMMIT a h 2", [2, 1, 80]),
        ("COMMIT a h 2", [2, 1, 80]), ("REFUND a mac_minutes 1 OF h", [1, 0, 90]),
        ("RESERVE a two mac_minutes 1 other 4 TTL 1h", "NORESOURCE")],
    "a reservation of rows that are counted as one holds their sum": [
        ("RESERVE a h mac_minutes 2 minutes 4 win_minutes 3 TTL 1h", HELD_TOGETHER),
        ("RESERVE a h mac_minutes 2 minutes 4 win_minutes 3 TTL 1h", HELD_TOGETHER),
        ("CONSUME a minutes 71", [0, 100, 70, 3600000, 30 * DAY_MS, 0]),
        ("COMMIT a h 1 4 2", [[1, 1, 82], [4, 0, 82], [2, 1, 82]]),
        ("COMMIT a h 1 4 2", [[1, 1, 82], [4, 0, 82], [2, 1, 82]]),
        ("REFUND a win_minutes 1 OF h", [1, 0, 84]),
        ("REFUND a ALL OF h ID r", [[1, 0, 100], [4, 0, 100], [1, 0, 100]]),
        ("REFUND a ALL OF h ID r", [[1, 0, 100], [4, 0, 100], [1, 0, 100]]),
        ("REFUND a ALL OF h", [[0, 0, 100], [0, 0, 100], [0, 0, 100]])],
    "a row that gives nothing back says what the others leave": [
        ("CONSUME a win_minutes 51 ID x STICKY", [0, 100, 100, -1, 0, 0]), ("REFUND a ALL OF x", [0, 0, 100]),
        ("MCONSUME a 3 win_minutes 3 minutes 5 mac_minutes 2 ID y", [
            [3, 100, 69, 0, 30 * DAY_MS, 0], [5, 100, 69, 0, 30 * DAY_MS, 0], [2, 5, 3, 0, 24000, 0]]),
        ("REFUND a win_minutes 3 OF y", [3, 0, 75]), ("REFUND a ALL OF y", [[0, 0, 100], [5, 0, 100], [2, 0, 100]]),
        ("MCONSUME a 2 minutes 101 win_minutes 3 ANY ID z", [
            [0, 100, 94, -1, 30 * DAY_MS, 0], [3, 100, 94, 0, 30 * DAY_MS, 0]]),
        ("REFUND a ALL OF z", [[0, 0, 100], [3, 0, 100]])],
    "it posts more than it holds with FORCE, in sum": [
        ("RESERVE a h minutes 50 win_minutes 5 TTL 1h", [
            [50, 100, 40, 0, 30 * DAY_MS, 0], [5, 100, 40, 0, 30 * DAY_MS, 0]]),
        ("COMMIT a h 80 15 FORCE", [[80, 0, 0], [15, 0, 0]]), ("REFUND a minutes 15", [15, 0, 5]),
        ("REFUND a ALL OF h", [[65, 15, 100], [15, 0, 100]])],
    "it is released in sum": [
        ("RESERVE a h minutes 50 win_minutes 5 TTL 1h", [
            [50, 100, 40, 0, 30 * DAY_MS, 0], [5, 100, 40, 0, 30 * DAY_MS, 0]]),
        ("RELEASE a h", [[0, 50, 100], [0, 5, 100]]), ("CONSUME a minutes 100", [100, 100, 0, 0, 30 * DAY_MS, 0])],
    "as much as there is of a sum would not say which row gives way": [
        ("RESERVE a both mac_minutes 1 minutes 4 TTL 1h UPTO", "resource 'minutes' is counted as one")],
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(ci, name):
    for line, expected in STREAMS[name]:
        if line[0] == "+":
            ci("QUOTA.CLOCK ADVANCE", line[1:])
        elif isinstance(expected, str):
            assert ci.error(f"QUOTA.{line}").startswith(expected), line
        else:
            assert ci(f"QUOTA.{line}") == expected, line


def test_info_shows_both(ci):
    ci("QUOTA.RESERVE a h mac_minutes 1 TTL 1h")
    ci("QUOTA.CONSUME a mac_minutes 3")
    shown = as_map(ci("QUOTA.INFO a mac_minutes"))["rules"]
    assert [(rule["rule"], rule["kind"], rule["used"], rule["held"], rule.get("resource")) for rule in shown] == [
        (0, "RATE", 4, 0, None), (1, "LIMIT", 3, 1, None), (2, "LIMIT", 30, 10, "minutes")]
    assert as_map(ci("QUOTA.HOLDS a"))[1][0]["resource"] == "mac_minutes"
    assert rules(ci, "minutes") == [("LIMIT", 30, 10, 60)]


def test_refunds_of_everything(ci):
    ci("QUOTA.MCONSUME a 2 mac_minutes 3 win_minutes 4 ID x")
    assert ci("QUOTA.REFUND a mac_minutes 2 OF x") == [2, 0, 82]
    assert ci("QUOTA.REFUND a ALL OF x") == [[1, 0, 100], [4, 0, 100]]  # in sum
    assert ci("QUOTA.REFUND a ALL OF x") == [[0, 0, 100], [0, 0, 100]]
    ci("QUOTA.CONSUME a mac_minutes 3 ID y")
    assert ci("QUOTA.REFUND a ALL OF y")[:2] == [3, 0]


def test_a_reservation_of_two_rows_counts_once_towards_holds_max(ci):
    ci("QUOTA.OVERRIDE a minutes HOLDS MAX 2")
    ci("QUOTA.RESERVE a h minutes 5 win_minutes 5 TTL 1h")
    assert ci("QUOTA.RESERVE a i minutes 5 TTL 2h")[:3] == [5, 100, 80]
    assert ci.error("QUOTA.RESERVE a j minutes 5 TTL 1h").startswith("LIMITED")
    ci("QUOTA.CLOCK ADVANCE 1h")
    assert ci("QUOTA.RESERVE a j minutes 5 TTL 1h")[:3] == [5, 100, 90]


@pytest.mark.parametrize("line, text", [
    ("PLAN SET ci x AS mac_minutes", "AS another"), ("PLAN SET ci minutes AS y", "AS another"),
    ("PLAN SET ci x AS x", "itself"), ("PLAN SET ci x AS minutes LIMIT 5 day", "LIMIT -1"),
    ("PLAN SET ci x AS minutes BURST 5% LIMIT -1 day", "alone"), ("PLAN SET ci x AS minutes CREDITS", "alone"),
    ("GRANT a g mac_minutes 5", "AS another"), ("CONSUME a lost 1", "gone")])
def test_what_cannot_be_meant_is_an_error(ci, line, text):
    ci("QUOTA.PLAN SET ci lost AS gone COST 2")
    assert text in ci.error(f"QUOTA.{line}")


@pytest.mark.parametrize("command", [
    "CHECK a lost 1", "CONSUME a lost 1", "RESERVE a h lost 1 TTL 1h", "REFUND a lost 1"])
def test_a_name_outlives_the_plan_that_says_it(ci, command):
    """The account has moved to the other plan, and only the command that looks at it holds that one."""
    ci("QUOTA.PLAN SET pro lost AS gone")
    ci(f"QUOTA.SWITCH a pro AT {NOON_MS + 60_000}")
    ci("QUOTA.CLOCK ADVANCE 1h")
    assert ci.error(f"QUOTA.{command}") == "NORESOURCE the account's plan has no resource 'gone'"


def test_the_plan_says_it_again(ci):
    assert as_map(ci("QUOTA.PLAN GET ci"))["resources"]["mac_minutes"] == {
        "RATE GCRA 5 1m": "LIMIT -1 day", "AS minutes": "COST 10"}


def test_overrides_and_revisions(ci):
    ci("QUOTA.CONSUME a mac_minutes 2")
    ci("QUOTA.OVERRIDE a mac_minutes COST 5")
    ci("QUOTA.CONSUME a mac_minutes 2")
    assert rules(ci, "minutes") == [("LIMIT", 30, 0, 70)]
    ci("QUOTA.OVERRIDE a mac_minutes ONLY LIMIT 7 day")  # counted for itself
    assert ci("QUOTA.CONSUME a mac_minutes 3") == [3, 7, 0, 0, DAY_MS, 0]
    assert rules(ci, "minutes") == [("LIMIT", 30, 0, 70)]
    ci("QUOTA.OVERRIDE a mac_minutes LIFT")
    ci("QUOTA.PLAN SET ci mac_minutes AS minutes COST 20 LIMIT -1 day")
    assert ci("QUOTA.CONSUME a mac_minutes 1") == [1, 100, 50, 0, 30 * DAY_MS, 1]


def test_a_limit_that_sleeps_does_not_keep_units_from_coming_back(ci):
    ci("QUOTA.CONSUME a win_minutes 5")
    ci("QUOTA.OVERRIDE a win_minutes ONLY LIMIT 7 day")
    ci("QUOTA.CONSUME a win_minutes 1")
    ci("QUOTA.OVERRIDE a win_minutes LIFT")
    assert ci("QUOTA.REFUND a win_minutes 2") == [2, 0, 94]
    assert ci("QUOTA.REFUND a win_minutes 9") == [3, 6, 100]


@pytest.mark.parametrize("how", ["PRORATE", "FULL", "RESTART"])
def test_a_switch_meets_both(ci, how):
    ci("QUOTA.PLAN SET pro minutes LIMIT 200 30d")
    ci(f"QUOTA.PLAN SET pro mac_minutes {MAC}")
    ci("QUOTA.CONSUME a mac_minutes 2 ID x")
    ci(f"QUOTA.SWITCH a pro AT {NOON_MS + 3_600_000} {how}")
    ci("QUOTA.CLOCK ADVANCE 2h")
    ci("QUOTA.REFUND a mac_minutes 1 OF x")
    assert ci("QUOTA.CONSUME a mac_minutes 1")[0] == 1
    assert rules(ci, "minutes")[0][1] == (10 if how == "RESTART" else 20)


@pytest.mark.parametrize("rate", ["GCRA 9 1h", "TOKEN 9 1h", "LEAKY 9 1h", "FIXED 9 1h", "SLIDING 9 1h", "LOG 9 1h"])
@pytest.mark.parametrize("amounts, used", [
    ("1 2 FORCE", 3), ("1 3 FORCE", 4), ("3 0 FORCE", 3), ("1 1", 2), ("0 0", 0)])
def test_rates_are_charged_with_the_sum(accounts, rate, amounts, used):
    """What one row posts beyond its part and what another one leaves of its own cancel out."""
    accounts(f"QUOTA.PLAN SET p minutes LIMIT 50 day RATE {rate}")
    accounts("QUOTA.PLAN SET p win AS minutes")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.RESERVE a h minutes 2 win 1 TTL 1h")
    accounts(f"QUOTA.COMMIT a h {amounts}")
    assert rules(accounts, "minutes") == [("LIMIT", used, 0, 50 - used), ("RATE", used, 0, 9 - used)]


BEHIND = ["LIMIT 20 30d", "RATE 20 1h", "RATE TOKEN 20 1h", "RATE QUEUE 20 1h", "RATE LOG 20 1h", "LIMIT 20 ROLLING 1h",
          "LIMIT 5 30d THROTTLE 15 1h", "LIMIT 5 30d CREDITS", "CREDITS", "LIMIT 20 30d LIMIT 19 ROLLING 2h RATE 30 1h"]
KEY = "APIKEY " + "ab" * 32


@pytest.mark.parametrize("rules", BEHIND)
@pytest.mark.parametrize("key", ["", "RATE 7 1h"])
@pytest.mark.parametrize("wanted", [1, 3, 5, 99])
def test_what_any_does_not_take_stands_behind_what_it_takes(accounts, rules, key, wanted):
    """As the same request is answered by itself right after that."""
    accounts(f"QUOTA.PLAN SET p minutes {rules}")
    for resource in ("mac", "win"):
        accounts(f"QUOTA.PLAN SET p {resource} AS minutes COST 3")
    accounts(f"QUOTA.OPEN a p ANCHOR {NOON_MS}")
    accounts(f"QUOTA.APIKEY SET a {'ab' * 32} {key}")
    if "CREDITS" in rules:
        accounts("QUOTA.GRANT a g minutes 15 EXPIRES 2d")
        accounts("QUOTA.GRANT a h minutes 90 EFFECTIVE 2025-03-01T00:00:00Z")
    taken, other = accounts(f"QUOTA.MCONSUME a 2 mac 3 win {wanted} ANY {KEY}")
    (after,) = accounts(f"QUOTA.CHECK a win {wanted} {KEY}")
    assert taken[0] == 3 and other[0] == 0
    if after[0] == 0:
        assert other == after
    elif "THROTTLE" not in rules:  # where units would take the lane is no matter of those that are not taken
        assert (other[2], other[3], other[5]) == (after[2], 0, after[5])


def test_a_refund_writes_down_what_an_override_says(ci):
    """Behind a SWITCH a change writes every resource down: those that units come back to with them, once. Which those
    are says the override."""
    ci("QUOTA.PLAN SET pro minutes LIMIT 50 day")
    ci("QUOTA.PLAN SET pro other LIMIT 40 day")
    ci("QUOTA.PLAN SET pro win_minutes AS minutes")
    ci("QUOTA.PLAN SET ci other LIMIT 100 day")
    ci("QUOTA.PLAN SET ci minutes LIMIT 100 day")
    ci(f"QUOTA.OPEN b ci ANCHOR {NOON_MS}")
    for account in "ab":
        ci(f"QUOTA.OVERRIDE {account} win_minutes AS other")
        ci(f"QUOTA.MCONSUME {account} 2 minutes 5 other 5")
        ci(f"QUOTA.SWITCH {account} pro AT {NOON_MS + DAY_MS // 2}")
    ci("QUOTA.CLOCK ADVANCE 18h")
    assert ci("QUOTA.REFUND a win_minutes 1") == ci("QUOTA.REFUND b other 1") == [1, 0, 66]
    ci("QUOTA.CLOCK ADVANCE 1h")
    for resource, shown in (("minutes", ("LIMIT", 5, 0, 70)), ("other", ("LIMIT", 4, 0, 66))):
        assert rules(ci, resource, "a")[0] == rules(ci, resource, "b")[0] == shown


# ---- one resource in two units ----------------------------------------------------------------------------------


def pair_step(quota, chance, number):
    """The same for a in mac_minutes, and for b in minutes, ten for one."""
    amount, id = chance.randint(1, 6), f"i{number}"
    kind = chance.choice(["consume", "consume", "upto", "force", "sum", "refund", "reserve", "commit", "release",
                          "grant", "time"])
    of = f"i{chance.randint(max(number - 9, 0), number)}"
    if kind == "consume":
        return (f"QUOTA.CONSUME {{}} {{mac}} {amount} ID {id}", 1)
    if kind in ("upto", "force"):
        return (f"QUOTA.CONSUME {{}} {{mac}} {amount} {kind.upper()} ID {id}", 1)
    if kind == "sum":
        return (f"sum {amount} {chance.randint(1, 9)} {id}", 0)
    if kind == "refund":
        return (f"QUOTA.REFUND {{}} {{mac}} {amount} OF {of}", 1)
    if kind == "reserve":
        return (f"QUOTA.RESERVE {{}} {id} {{mac}} {amount} TTL {chance.choice(['10m', '5h', '3d'])}", 1)
    if kind == "commit":
        return (f"QUOTA.COMMIT {{}} {of} {amount} {chance.choice(['', 'FORCE'])}", 1)
    if kind == "release":
        return (f"QUOTA.RELEASE {{}} {of}", 0)
    if kind == "grant":
        return (f"QUOTA.GRANT {{}} {id} minutes {chance.randint(1, 80)} EXPIRES {chance.choice(['1h', '2d', '9d'])}", 0)
    return (f"QUOTA.CLOCK ADVANCE {chance.choice([1, 600, 7200, 90000])}s", 0)


def in_minutes(line, granted):
    """The command for b: amounts ten times as large; of UPTO what was granted to a."""
    words = line.split()
    at = {"QUOTA.CONSUME": 3, "QUOTA.REFUND": 3, "QUOTA.RESERVE": 4, "QUOTA.COMMIT": 3}[words[0]]
    if "UPTO" in words:
        words.remove("UPTO")
        words[at] = str(granted)
    words[at] = str(int(words[at]) * 10)
    return " ".join(words).format("b", mac="minutes")


def answer(quota, line):
    try:
        return quota(line)
    except Exception as error:  # noqa: BLE001
        return str(error).split()[0]


@pytest.mark.parametrize("plan", ["LIMIT 100 1d", "LIMIT 100 1d LIMIT 60 ROLLING 7h", "BURST 20% LIMIT 100 1d REPAY",
                                  "CREDITS FIRST LIMIT 70 1d", "CREDITS", "LIMIT 50 1d THROTTLE 30 1h",
                                  "LIMIT 50 1d ROLLOVER 50% FOR 3 OVERAGE MAX 30"])
def test_it_is_the_same_in_both_units(accounts, plan, pytestconfig):
    chance = random.Random(pytestconfig.getoption("seed"))
    accounts(f"QUOTA.PLAN SET p minutes {plan}")
    accounts("QUOTA.PLAN SET p mac AS minutes COST 10")
    for account in "ab":
        accounts(f"QUOTA.OPEN {account} p ANCHOR {NOON_MS}")
    for number in range(150):
        line, scales = pair_step(accounts, chance, number)
        if line.startswith("sum"):
            _, mac, minutes, id = line.split()
            one = accounts(f"QUOTA.MCONSUME a 2 mac {mac} minutes {minutes} ID {id}")
            two = accounts(f"QUOTA.CONSUME b minutes {int(mac) * 10 + int(minutes)} ID {id}")
            assert (one[0][0] > 0) == (two[0] > 0) and one[1][1:] == two[1:], line
        elif "CLOCK" in line:
            accounts(line)
        else:
            one = answer(accounts, line.format("a", mac="mac"))
            granted = one[0] if isinstance(one, list) else 1
            if granted == 0 and "UPTO" in line:
                continue
            two = answer(accounts, in_minutes(line, granted) if scales else line.format("b"))
            assert isinstance(one, str) == isinstance(two, str), (line, one, two)
            if isinstance(one, list) and scales:
                assert one[0] * 10 == two[0], (line, one, two)
        assert rules(accounts, "minutes", "a") == rules(accounts, "minutes", "b"), (number, line)
