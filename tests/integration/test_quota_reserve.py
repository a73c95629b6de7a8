"""Reservations: held at once, resolved at most once, expired exactly, posted to the cycle they were made in."""

import pytest

from conftest import NOON_MS, assert_equal_digests, paged

DAY_MS = 86_400_000


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    return accounts


def rule(quota, resource="r"):
    return {name: quota.map(f"QUOTA.INFO a {resource}")["rules"][0][name] for name in ("used", "held", "remaining")}


def figures(quota):
    return tuple(rule(quota).values())


def test_reserve_commit_release(acme):
    assert acme("QUOTA.RESERVE a x r 4 TTL 1h") == [4, 10, 6, 0, DAY_MS, 0]
    assert acme("QUOTA.RESERVE a y r 6 TTL 2h")[:3] == [6, 10, 0]
    assert figures(acme) == (0, 10, 0)
    assert acme("QUOTA.CONSUME a r 1") == [0, 10, 0, 3_600_000, DAY_MS, 0]  # x runs out first
    assert acme("QUOTA.CONSUME a r 5")[3] == 7_200_000
    assert acme("QUOTA.COMMIT a x 3") == [3, 1, 1]
    assert acme("QUOTA.RELEASE a y") == [0, 6, 7]
    assert figures(acme) == (3, 0, 7)
    assert paged(acme, "QUOTA.HOLDS a") == []


def test_a_rolling_window_is_whole_again_when_the_reservation_ends(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 ROLLING 1h")
    assert acme("QUOTA.RESERVE a x r 3 TTL 2h") == [3, 10, 7, 0, 7_200_000, 0]
    assert acme("QUOTA.RESERVE a y r 2 TTL 1h") == [2, 10, 5, 0, 7_200_000, 0]
    assert acme("QUOTA.CONSUME a r 1 CHECK")[4] == 7_200_000


def test_units_held_at_once_are_bounded(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day CONCURRENT 5 HOLDS MAX 3")
    assert acme("QUOTA.RESERVE a x r 3 TTL 10s") == [3, 5, 2, 0, 10_000, 1]
    assert acme("QUOTA.RESERVE a y r 2 TTL 1m") == [2, 5, 0, 0, 60_000, 1]
    assert acme("QUOTA.RESERVE a z r 1 TTL 1s") == [0, 5, 0, 10_000, 60_000, 1]  # x ends first
    assert acme("QUOTA.RESERVE a z r 4 TTL 1s")[3] == 60_000
    assert acme("QUOTA.RESERVE a z r 6 TTL 1s")[3] == -1
    assert acme("QUOTA.CONSUME a r 4") == [4, 10, 1, 0, DAY_MS, 0]  # what is used at once is not held
    assert acme.map("QUOTA.INFO a r")["rules"][1] == {
        "rule": 1, "kind": "CONCURRENT", "period": "", "limit": 5, "used": 0, "held": 5, "remaining": 0, "start": -1,
        "end": -1, "rolled": 0}
    assert acme("QUOTA.COMMIT a x 3")[0] == 3
    assert acme("QUOTA.RESERVE a z r 4 TTL 1s UPTO") == [1, 10, 0, 0, DAY_MS, 0]
    acme("QUOTA.OVERRIDE a r CONCURRENT 2 LIMIT 99 day")
    assert acme("QUOTA.RESERVE a w r 1 TTL 1s") == [0, 2, 0, 60_000, 60_000, 1]
    acme("QUOTA.OVERRIDE a r CONCURRENT -1 LIMIT 99 day")
    assert acme("QUOTA.RESERVE a w r 20 TTL 1s")[0] == 20
    assert acme.error("QUOTA.RESERVE a v r 1 TTL 1s").startswith("LIMITED")  # HOLDS MAX


def test_a_resource_may_be_bounded_by_what_is_held_alone(acme):
    acme("QUOTA.PLAN SET p jobs CONCURRENT 2")
    assert acme("QUOTA.CONSUME a jobs 9 ID c") == [9, -1, -1, 0, 0, -1]
    assert acme("QUOTA.CONSUME a jobs 9 ID c") == [9, -1, -1, 0, 0, -1]
    assert acme("QUOTA.RESERVE a x jobs 2 TTL 10s") == [2, 2, 0, 0, 10_000, 0]
    assert acme("QUOTA.RESERVE a y jobs 1 TTL 10s") == [0, 2, 0, 10_000, 10_000, 0]
    assert acme("QUOTA.RELEASE a x") == [0, 2, -1]
    assert acme("QUOTA.RESERVE a y jobs 1 TTL 10s")[0] == 1
    assert acme("QUOTA.COMMIT a y") == [1, 0, -1]
    assert acme.map("QUOTA.PLAN CHECK p jobs LIMIT 5 day")["dropped"] == ["CONCURRENT"]


def test_a_reservation_resolves_at_most_once(acme):
    for name in "wxyz":
        acme(f"QUOTA.RESERVE a {name} r 2 TTL 1h")
    acme("QUOTA.COMMIT a w")
    acme("QUOTA.RELEASE a x")
    acme("QUOTA.COMMIT a y 0")
    before = acme("DUMP a")
    for name, how, again in (("w", "committed", ["COMMIT a w", "COMMIT a w 2"]),
                             ("x", "released", ["RELEASE a x", "COMMIT a x 0"]),
                             ("y", "released", ["RELEASE a y", "COMMIT a y 0"])):
        first = {"w": [2, 0, 2], "x": [0, 2, 4], "y": [0, 2, 6]}[name]
        assert [acme(f"QUOTA.{line}") for line in again] == [first, first]  # repeated it answers the same
        for line in (f"COMMIT a {name} 1", f"COMMIT a {name} 3 FORCE", f"EXTEND a {name} 1h",
                     f"RESERVE a {name} r 2 TTL 1h", "RELEASE a w" if name == "w" else f"COMMIT a {name}"):
            error = acme.error(f"QUOTA.{line}")
            assert error.startswith("RESOLVED") and how in error
    assert acme("DUMP a") == before
    acme.advance("1h")
    assert "expired" in acme.error("QUOTA.COMMIT a z")
    assert acme.error("QUOTA.COMMIT a absent").startswith("NOSUCHID")
    assert figures(acme) == (2, 0, 8)


def test_what_is_remembered_of_a_reservation_ends_with_its_id(acme):
    acme("CONFIG SET quota.id-ttl-ms 5000")
    acme("QUOTA.RESERVE a x r 2 TTL 1s")
    acme("QUOTA.RESERVE a y r 2 TTL 10s")
    acme("QUOTA.RELEASE a y")
    acme.advance("4999ms")
    assert acme.error("QUOTA.COMMIT a y").startswith("RESOLVED")
    acme.advance("1ms")
    assert acme.error("QUOTA.COMMIT a y").startswith("NOSUCHID")
    acme.advance("999ms")  # x ended at one second: six seconds after its beginning it is forgotten
    assert acme.error("QUOTA.COMMIT a x").startswith("RESOLVED")
    acme.advance("1ms")
    assert acme.error("QUOTA.COMMIT a x").startswith("NOSUCHID")
    assert acme("QUOTA.RESERVE a x r 3 TTL 1s")[0] == 3


@pytest.mark.parametrize("written", [False, True], ids=["only read", "written between"])
def test_it_ends_exactly_on_every_path(acme, written):
    acme("QUOTA.RESERVE a x r 10 TTL 1s")
    acme.advance("999999us")
    assert acme("QUOTA.CONSUME a r 1 CHECK")[0] == 0
    assert len(paged(acme, "QUOTA.HOLDS a")) == 1
    acme.advance("1us")
    if written:
        acme("QUOTA.CONSUME a r 1")
    assert paged(acme, "QUOTA.HOLDS a") == []
    assert rule(acme)["held"] == 0
    assert acme("QUOTA.CONSUME a r 9 CHECK")[0] == 9
    assert "expired" in acme.error("QUOTA.COMMIT a x")


def test_extend(acme):
    acme("QUOTA.RESERVE a x r 4 TTL 10s")
    acme.advance("9s")
    assert acme("QUOTA.EXTEND a x 10s") == NOON_MS + 19_000
    acme.advance("9999ms")
    assert rule(acme)["held"] == 4
    assert acme("QUOTA.EXTEND a x 1ms") == NOON_MS + 19_000
    acme.advance("1ms")
    assert rule(acme)["held"] == 0
    assert acme.error("QUOTA.EXTEND a x 1s").startswith("RESOLVED")


def test_reserving_again_is_the_same_answer(acme):
    first = acme("QUOTA.RESERVE a x r 4 TTL 1h")
    acme("QUOTA.CONSUME a r 1")
    assert acme("QUOTA.RESERVE a x r 4 TTL 1h") == first
    for words in ("r 5 TTL 1h", "r 4 TTL 1h UPTO"):
        assert acme.error(f"QUOTA.RESERVE a x {words}").startswith("IDCONFLICT")
    assert figures(acme) == (1, 4, 5)


def test_a_denied_reservation_is_nothing(acme):
    before = acme("DUMP a")
    assert acme("QUOTA.RESERVE a x r 11 TTL 1h")[:4] == [0, 10, 10, -1]
    assert acme("DUMP a") == before
    assert acme("QUOTA.RESERVE a x r 11 TTL 1h UPTO")[0] == 10
    assert acme("QUOTA.COMMIT a x 10") == [10, 0, 0]


def test_more_than_is_held_cannot_be_committed(acme):
    acme("QUOTA.RESERVE a x r 4 TTL 1h")
    assert "holds 4" in acme.error("QUOTA.COMMIT a x 5")
    assert "amount" in acme.error("QUOTA.COMMIT a x -1")
    assert acme("QUOTA.COMMIT a x 4") == [4, 0, 6]


@pytest.mark.parametrize("touched", [False, True], ids=["unseen", "seen"])
def test_a_commit_posts_to_the_cycle_it_was_made_in(acme, touched):
    acme("QUOTA.CONSUME a r 1")
    acme("QUOTA.RESERVE a x r 5 TTL 3d")
    acme.advance("25h")
    assert figures(acme) == (0, 0, 10)  # held of yesterday, not of today
    if touched:
        acme("QUOTA.CONSUME a r 2")
    assert acme("QUOTA.COMMIT a x 4") == [4, 1, 8 if touched else 10]
    yesterday = acme.map("QUOTA.HISTORY a r")[0]
    assert [yesterday[name] for name in ("used", "peak", "start")] == [5, 6, NOON_MS]
    assert rule(acme)["used"] == (2 if touched else 0)


def test_a_commit_that_does_not_fit_is_refused_and_keeps_the_reservation(acme):
    acme("QUOTA.RESERVE a x r 4 TTL 1h")
    acme("QUOTA.SET a r 9223372036854775806")
    assert acme.error("QUOTA.COMMIT a x").startswith("OVERFLOW")
    assert rule(acme)["held"] == 4
    assert acme("QUOTA.COMMIT a x 1")[:2] == [1, 3]
    assert rule(acme)["used"] == 9223372036854775807


def test_rolling_windows_count_what_is_held_and_then_what_is_posted(acme):
    acme("QUOTA.PLAN SET p w LIMIT 10 ROLLING 1h")
    acme("QUOTA.RESERVE a x w 6 TTL 2h")
    acme("QUOTA.CONSUME a w 3")
    assert acme("QUOTA.CONSUME a w 4")[:4] == [0, 10, 1, 3_600_000]
    assert acme("QUOTA.CONSUME a w 5")[3] == 7_200_000  # until the reservation runs out
    acme.advance("90m")
    assert acme("QUOTA.COMMIT a x 5") == [5, 1, 5]
    acme.advance("59m")
    assert rule(acme, "w") == {"used": 5, "held": 0, "remaining": 5}
    acme.advance("1m")
    assert rule(acme, "w")["used"] == 0


def test_rates_are_charged_once(acme):
    acme("QUOTA.PLAN SET p q RATE 2 1h LIMIT 10 day")
    acme("QUOTA.RESERVE a x q 2 TTL 1h")
    assert acme("QUOTA.RESERVE a y q 1 TTL 1h")[0] == 0
    acme("QUOTA.COMMIT a x 1")  # what it did not take goes back to the rate, too
    assert acme("QUOTA.RESERVE a y q 2 TTL 1h")[0] == 0
    assert acme("QUOTA.RESERVE a y q 1 TTL 1h")[0] == 1
    acme("QUOTA.RELEASE a y")
    assert rule(acme, "q")["used"] == 1
    acme("QUOTA.PLAN SET p s RATE LOG 2 1h LIMIT 10 day")
    acme("QUOTA.RESERVE a z s 2 TTL 1m")
    acme.advance("1m")  # but what expires goes back to limits alone
    assert [rule["used"] for rule in acme.map("QUOTA.INFO a s")["rules"]] == [2, 0]
    acme.advance("59m")
    assert acme("QUOTA.RESERVE a z2 s 2 TTL 1m")[0] == 2


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia"])
def test_a_commit_to_one_cycle_of_an_idle_run(accounts, zone):
    """RESET leaves nothing of the day but the reservation: it closes with its idle neighbours, and is found in them."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day CALENDAR")
    accounts(f"QUOTA.OPEN a p ZONE {zone}")
    accounts("QUOTA.CONSUME a r 1")
    accounts.advance("3d")
    accounts("QUOTA.RESERVE a x r 7 TTL 30d")
    accounts("QUOTA.RESET a r")
    accounts.advance("4d")
    accounts("QUOTA.CONSUME a r 2")
    history = [closed["used"] for closed in accounts.map("QUOTA.HISTORY a r")]
    assert history == [0, 0, 0, 0, 0, 0, 1]
    assert accounts("QUOTA.COMMIT a x 4") == [4, 3, 8]
    cycles = accounts.map("QUOTA.HISTORY a r")
    assert [closed["used"] for closed in cycles] == [0, 0, 0, 4, 0, 0, 1]
    assert all(earlier["end"] == later["start"] for later, earlier in zip(cycles, cycles[1:]))
    assert cycles[3]["start"] <= NOON_MS + 3 * DAY_MS < cycles[3]["end"] == cycles[3]["start"] + DAY_MS


def test_bounds(acme):
    acme("QUOTA.PLAN SET p r LIMIT 10 day HOLDS MAX 2")
    acme("QUOTA.RESERVE a x r 1 TTL 1s")
    acme("QUOTA.RESERVE a y r 1 TTL 1h")
    assert acme.error("QUOTA.RESERVE a z r 1 TTL 1s").startswith("LIMITED")
    acme.advance("1s")
    assert acme("QUOTA.RESERVE a z r 1 TTL 1s")[0] == 1
    for words in ("z", "z r", "z r 1", "z r 1 TTL", "z r 0 TTL 1s", "z r 1 TTL 0", "z r 1 TTL 1s FORCE"):
        acme.error(f"QUOTA.RESERVE a {words}")
    assert "1 to 512 bytes" in acme.error("QUOTA.RESERVE a", "", "r", 1, "TTL", "1s")
    assert acme.error("QUOTA.RESERVE absent z r 1 TTL 1s").startswith("NOACCOUNT")


def test_holds_lists_what_is_live_by_id(acme):
    acme("QUOTA.RESERVE a late r 1 TTL 2h")
    acme("QUOTA.RESERVE a soon r 2 TTL 1h")
    assert paged(acme, "QUOTA.HOLDS a") == [
        {"id": "late", "resource": "r", "amount": 1, "made": NOON_MS, "expires": NOON_MS + 7_200_000},
        {"id": "soon", "resource": "r", "amount": 2, "made": NOON_MS, "expires": NOON_MS + 3_600_000}]
    acme.advance("1h")
    assert [hold["id"] for hold in paged(acme, "QUOTA.HOLDS a")] == ["late"]


# ---- several resources ----


@pytest.fixture
def several(accounts):
    """A call of a language model: a request, tokens, and what it may cost."""
    accounts("QUOTA.PLAN SET p requests RATE FIXED 3 1m LIMIT 100 day")
    accounts("QUOTA.PLAN SET p tokens LIMIT 1000 day")
    accounts("QUOTA.PLAN SET p cents LIMIT 50 month COST 2")
    accounts("QUOTA.OPEN a p")
    return accounts


CALL = "requests 1 tokens 800 cents 10"


def limits(quota):
    """Used and held of the last rule, which is the LIMIT."""
    rules = {name: quota.map(f"QUOTA.INFO a {name}")["rules"][-1] for name in ("requests", "tokens", "cents")}
    return {name: (row["used"], row["held"]) for name, row in rules.items()}


def test_several_resources_are_reserved_and_committed_together(several):
    assert several(f"QUOTA.RESERVE a x {CALL} TTL 1m") == [
        [1, 3, 2, 0, 60_000, 0], [800, 1000, 200, 0, DAY_MS, 0], [10, 50, 30, 0, 2_419_200_000, 0]]
    assert limits(several) == {"requests": (0, 1), "tokens": (0, 800), "cents": (0, 20)}
    assert several("QUOTA.COMMIT a x 1 650 8") == [[1, 0, 99], [650, 150, 350], [8, 2, 34]]
    assert several("QUOTA.COMMIT a x 1 650 8") == [[1, 0, 99], [650, 150, 350], [8, 2, 34]]
    assert limits(several) == {"requests": (1, 0), "tokens": (650, 0), "cents": (16, 0)}
    assert several.error("QUOTA.COMMIT a x").startswith("RESOLVED")
    assert several.error("QUOTA.COMMIT a x 1 650").startswith("RESOLVED")
    for resource, left in (("tokens", 650), ("cents", 8)):  # each is given back by itself
        assert several(f"QUOTA.REFUND a {resource} {left} OF x")[:2] == [left, 0]
        assert several.error(f"QUOTA.REFUND a {resource} 1 OF x").startswith("REFUNDEXCEEDS")


@pytest.mark.parametrize("line, answer, after", [
    ("COMMIT a x", [[1, 0, 99], [800, 0, 200], [10, 0, 30]], {"tokens": (800, 0), "cents": (20, 0)}),
    ("COMMIT a x 0 800 0", [[0, 1, 100], [800, 0, 200], [0, 10, 50]], {"tokens": (800, 0), "cents": (0, 0)}),
    ("COMMIT a x 0 0 0", [[0, 1, 100], [0, 800, 1000], [0, 10, 50]], {"tokens": (0, 0), "cents": (0, 0)}),
    ("RELEASE a x", [[0, 1, 100], [0, 800, 1000], [0, 10, 50]], {"tokens": (0, 0), "cents": (0, 0)}),
    ("COMMIT a x 1 1500 10 FORCE", [[1, 0, 99], [1500, 0, 0], [10, 0, 30]], {"tokens": (1500, 0), "cents": (20, 0)})])
def test_how_a_reservation_of_several_ends(several, line, answer, after):
    several(f"QUOTA.RESERVE a x {CALL} TTL 1m")
    for _ in range(2):
        assert several(f"QUOTA.{line}") == answer
    assert {name: limits(several)[name] for name in after} == after
    assert several.error("QUOTA.EXTEND a x 1m").startswith("RESOLVED")
    assert several.error(f"QUOTA.RESERVE a x {CALL} TTL 1m").startswith("RESOLVED")


def test_none_is_held_where_one_is_denied(several):
    assert several("QUOTA.RESERVE a x requests 1 tokens 1001 cents 10 TTL 1m") == [
        [0, 3, 3, 0, 0, 0], [0, 1000, 1000, -1, 0, 0], [0, 50, 50, 0, 0, 0]]
    several("QUOTA.CONSUME a requests 3")
    several("QUOTA.CONSUME a tokens 900")
    before = several("DUMP a")
    answer = several(f"QUOTA.RESERVE a x {CALL} TTL 1m")
    assert [verdict[:4] for verdict in answer] == [[0, 3, 0, 60_000], [0, 1000, 100, DAY_MS], [0, 50, 50, 0]]
    assert several("DUMP a") == before
    upto = several("QUOTA.RESERVE a x requests 1 tokens 200 TTL 1m UPTO")  # of requests nothing is left
    assert [verdict[0] for verdict in upto] == [0, 0]
    several.advance("1m")
    assert [verdict[0] for verdict in several("QUOTA.RESERVE a x requests 9 tokens 200 cents 99 TTL 1m UPTO")] == [
        3, 100, 25]
    assert several("QUOTA.COMMIT a x") == [[3, 0, 94], [100, 0, 0], [25, 0, 0]]


def test_several_expire_at_one_instant(several):
    several(f"QUOTA.RESERVE a x {CALL} TTL 10s")
    assert several("QUOTA.EXTEND a x 1m") == NOON_MS + 60_000
    several.advance("59999ms")
    assert limits(several) == {"requests": (0, 1), "tokens": (0, 800), "cents": (0, 20)}
    several.advance("1ms")
    assert set(limits(several).values()) == {(0, 0)}
    assert several.error("QUOTA.COMMIT a x").startswith("RESOLVED")
    assert several.error("QUOTA.COMMIT a x 1 2 FORCE") == (
        "amount: reservation 'x' expects 3, one for each of its resources in the order of QUOTA.RESERVE, or none for "
        "all that it holds")
    for _ in range(2):
        assert several("QUOTA.COMMIT a x 0 700 3 FORCE") == [[0, 0, 100], [700, 0, 300], [3, 0, 44]]
    assert limits(several) == {"requests": (0, 0), "tokens": (700, 0), "cents": (6, 0)}


def test_reserving_several_again(several):
    first = several(f"QUOTA.RESERVE a x {CALL} TTL 1m")
    several("QUOTA.CONSUME a tokens 1")
    assert several(f"QUOTA.RESERVE a x {CALL} TTL 5m") == first
    for words in ("tokens 800 requests 1 cents 10", "requests 1 tokens 800", "requests 1", f"{CALL} UPTO",
                  "requests 1 tokens 801 cents 10"):
        words = words.replace(" UPTO", " TTL 1m UPTO") if "UPTO" in words else f"{words} TTL 1m"
        assert several.error(f"QUOTA.RESERVE a x {words}").startswith("IDCONFLICT")


def test_holds_shows_the_parts(several):
    several(f"QUOTA.RESERVE a many {CALL} TTL 1m")
    several("QUOTA.RESERVE a one tokens 5 TTL 1m")
    times = {"made": NOON_MS, "expires": NOON_MS + 60_000}
    assert paged(several, "QUOTA.HOLDS a") == [
        {"id": "many", **times, "parts": [{"resource": "requests", "amount": 1}, {"resource": "tokens", "amount": 800},
                                          {"resource": "cents", "amount": 10}]},
        {"id": "one", "resource": "tokens", "amount": 5, **times}]
    cursor, page = several("QUOTA.HOLDS a COUNT 1")
    assert cursor == b"many" and len(page) == 1
    assert len(several("QUOTA.HOLDS a COUNT 1 AFTER many")[1]) == 1


@pytest.mark.parametrize("line, error", [
    ("RESERVE a x tokens 5 cents TTL 1m", "resource amount: 'cents' has no amount"),
    ("RESERVE a x tokens 5 cents", "wrong number of arguments. Usage: QUOTA.RESERVE account id resource amount"),
    ("RESERVE a x tokens 5 tokens 5 TTL 1m", "resource 'tokens' is named twice"),
    ("RESERVE a x tokens 5 cents 0 TTL 1m", "amount '0' is not an integer of 1 or more"),
    ("RESERVE a x tokens 5 cents 1 2 TTL 1m", "resource amount: '2' has no amount"),
    ("RESERVE a x tokens 5 cents 1 UPTO", "ttl is missing"),
    ("RESERVE a x tokens 5 TTL 1m cents 1", "'cents' is not an option here"),
    ("RESERVE a x tokens 5 nothing 1 TTL 1m", "NORESOURCE the account's plan has no resource 'nothing'"),
    ("COMMIT a held 1 5", "amount: reservation 'held' expects 3"),
    ("COMMIT a held 1 5 5 5", "amount: reservation 'held' expects 3"),
    ("COMMIT a held 1 5 x", "'x' is not an option here"),
    ("COMMIT a held 1 5 -1", "amount '-1' is out of range"),
    ("COMMIT a held 1 801 5", "amount of 'tokens': the reservation holds 800; with FORCE more can be committed"),
    ("COMMIT a single 1 2", "amount: reservation 'single' expects 1"),
    ("COMMIT a single " + "1 " * 65, "LIMITED amount: at most 64 at once"),
    ("RESERVE a x " + " ".join(f"r{number} 1" for number in range(65)) + " TTL 1m",
     "LIMITED resource amount: at most 64 at once")])
def test_what_is_said_about_several(several, line, error):
    several(f"QUOTA.RESERVE a held {CALL} TTL 1m")
    several("QUOTA.RESERVE a single tokens 1 TTL 1m")
    before = several("DUMP a")
    assert error in several.error(f"QUOTA.{line}")
    assert several("DUMP a") == before


def test_a_resource_called_like_an_option_stands_first(accounts):
    for name in ("TTL", "upto", "r"):
        accounts(f"QUOTA.PLAN SET p {name} LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    assert [verdict[0] for verdict in accounts("QUOTA.RESERVE a x TTL 3 r 4 TTL 1m")] == [3, 4]
    assert accounts("QUOTA.RESERVE a y upto 3 UPTO TTL 1m")[0] == 3
    assert "given already" in accounts.error("QUOTA.RESERVE a z r 4 TTL 3 TTL 1m")


def test_64_resources_at_once(accounts):
    names = [f"r{number}" for number in range(64)]
    for name in names:
        accounts(f"QUOTA.PLAN SET p {name} LIMIT 10 day LIMIT 100 month")
    accounts("QUOTA.OPEN a p")
    words = " ".join(f"{name} {number % 9 + 1}" for number, name in enumerate(names))
    assert [verdict[0] for verdict in accounts(f"QUOTA.RESERVE a x {words} TTL 1h")] == [n % 9 + 1 for n in range(64)]
    payload = accounts("DUMP a")
    accounts("RESTORE b 0", payload)
    assert accounts("DUMP b") == payload
    amounts = [number % 9 for number in range(64)]
    answer = accounts("QUOTA.COMMIT a x " + " ".join(map(str, amounts)))
    assert answer == [[amount, 1, 10 - amount] for amount in amounts]
    assert answer == accounts("QUOTA.COMMIT a x " + " ".join(map(str, amounts)))
    refunded = accounts("QUOTA.REFUND a ALL OF x")
    assert refunded == [[amount, 0, 10] for amount in amounts]


def test_the_bound_counts_what_is_held(accounts):
    for name in "rs":
        accounts(f"QUOTA.PLAN SET p {name} LIMIT -1 day")
    accounts("QUOTA.OPEN a p")
    pipeline = accounts.client.pipeline(transaction=False)
    for number in range(4999):
        pipeline.execute_command("QUOTA.RESERVE", "a", f"h{number}", "r", 1, "s", 1, "TTL", "1h")
    pipeline.execute()
    assert accounts("QUOTA.RESERVE a one r 1 TTL 1h")[0] == 1
    assert "10000 live reservations" in accounts.error("QUOTA.RESERVE a two r 1 s 1 TTL 1h")
    assert accounts("QUOTA.RESERVE a last r 1 TTL 1h")[0] == 1
    assert accounts.error("QUOTA.RESERVE a more r 1 TTL 1h").startswith("LIMITED")
    accounts.advance("1h")
    assert [verdict[0] for verdict in accounts("QUOTA.RESERVE a more r 1 s 1 TTL 1h")] == [1, 1]
    assert rule(accounts)["held"] == 1


LIFE = ["RESERVE a x r 4 s 3 t 2 TTL 1h", "RESERVE a y t 1 r 1 TTL 2h", "COMMIT a x 3 0 2",
        "RESERVE a z r 15 s 1 TTL 1d", "EXTEND a z 3d", "+2h", "CONSUME a t 1", "COMMIT a y 2 2 FORCE",
        "REFUND a ALL OF x ID back", "+1d", "COMMIT a z 18 1 FORCE", "RESERVE a open s 1 t 1 TTL 9d",
        "RESERVE a gone r 1 s 1 TTL 1s", "+1s"]


def test_replicas_reloads_and_copies_of_several_are_equal(accounts, primary, replica):
    for name in "rst":
        accounts(f"QUOTA.PLAN SET p {name} LIMIT 10 day LIMIT 20 ROLLING 1h CREDITS")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.GRANT a g r 9 EVERY day")
    for line in LIFE:
        accounts.advance(line[1:]) if line.startswith("+") else accounts(f"QUOTA.{line}")
    assert_equal_digests(primary, replica)
    payload = accounts("DUMP a")
    accounts("RESTORE b 0", payload)
    assert accounts("DUMP b") == payload
    assert accounts("QUOTA.COMMIT b open") == [[1, 0, 9], [1, 0, 9]]
