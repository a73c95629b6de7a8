"""RL.ADAPT: requests, reports and steps as tables, and a slow honest model in exact fractions over random streams.

The model keeps every report and every unit taken in lists. It computes steps in fractions and rounds down only where
the module says it does (1/2^20 of a unit, of a microsecond).
"""

import math
from fractions import Fraction

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from conftest import NOON_MS, as_map
from model import Gcra, Rule, first_instant, millis, wait

NOON_US = NOON_MS * 1000
HOUR_US = 3600 * 10**6
SECOND_US = 10**6


def test_it_answers_like_any_rate_limit(quota):
    assert quota("RL.ADAPT k 10 100 COST 4") == [4, 10, 6, 0, 400, 0]
    assert quota("RL.ADAPT k 10 100 COST 7") == [0, 10, 6, 100, 400, 0]
    assert quota("RL.ADAPT k 10 100 COST 6 PEEK") == [6, 10, 6, 0, 400, 0]
    assert quota("RL.ADAPT k 10 100 COST 11") == [0, 10, 6, -1, 400, 0]
    assert quota("RL.ADAPT k 10 100 COST 6") == [6, 10, 0, 0, 1000, 0]
    quota.advance("99999us")
    assert quota("RL.ADAPT k 10 100") == [0, 10, 0, 1, 901, 0]
    quota.advance("1us")
    assert quota("RL.ADAPT k 10 100") == [1, 10, 0, 0, 1000, 0]


def second(quota, words, take, *reports):
    """One second: take units, report, and the limit that the first report of the next second answers."""
    if take:
        assert quota(f"RL.ADAPT k {words} COST {take}")[0] == take
    for report in reports:
        quota("RL.ADAPT k REPORT", *report.split())
    quota.advance("1s")
    return quota("RL.ADAPT k REPORT LOAD 0")


def test_aimd(quota):
    words = "10 30 AIMD STEP 5"
    assert second(quota, words, 10, "LATENCY 10ms") == 15
    assert second(quota, words, 7, "LATENCY 10ms") == 15  # less than half was used
    assert second(quota, words, 8, "LATENCY 10ms") == 20
    assert second(quota, words, 10, "ERROR", "ERROR", "ERROR") == 18  # one cut
    assert second(quota, words, 10, "LATENCY 5001ms") == 16
    assert second(quota, words, 10, *["LOAD 90"] * 10) == 14  # a mean of 81: the 0 from before is in it
    for take, expected in ((14, 19), (14, 24), (14, 29), (15, 30), (15, 30)):
        assert second(quota, words, take, "LATENCY 1ms") == expected
    for _ in range(20):
        last = second(quota, words, 0, "ERROR")
    assert last == 10


def test_gradient(quota):
    words = "10 1000 GRADIENT STEP 50"
    for expected in (20, 30, 40, 50):
        assert second(quota, words, expected - 10, "LATENCY 10ms") == expected
    assert second(quota, words, 50, "ERROR") == 55  # (50 x 1/2 + 50 - 50) / 5
    words = "10 1000 GRADIENT STEP 1"
    limits = [second(quota, words, 30, "LATENCY 100ms") for _ in range(5)]
    assert limits == sorted(limits, reverse=True) and limits[-1] < 45


def test_the_long_latency_comes_down_faster(quota):
    words = "10 1000 GRADIENT"
    second(quota, words, 1, "LATENCY 100ms")
    assert quota.map("RL.ADAPT k INFO")["long_us"] == 100_000
    second(quota, words, 1, "LATENCY 10ms")  # the mean of two is 55 ms, more than twice 10: 5 % less
    assert quota.map("RL.ADAPT k INFO")["long_us"] == 52_250
    second(quota, words, 1, "LATENCY 100ms")
    assert quota.map("RL.ADAPT k INFO")["long_us"] == 68_166


def test_nothing_stored_nothing_reported(quota):
    assert quota("RL.ADAPT k REPORT ERROR") is None
    assert quota("RL.ADAPT k INFO") is None
    assert quota("RL.ADAPT k 10 100 PEEK") == [1, 10, 10, 0, 0, 0]
    assert quota("RL.ADAPT k 10 100 COST 11")[0] == 0
    assert quota("EXISTS k") == 0


def test_info(quota):
    quota("RL.ADAPT k 10 100 GRADIENT COST 5")
    for report in ("LATENCY 10ms", "LATENCY 20ms", "ERROR", "LOAD 50"):
        assert quota(f"RL.ADAPT k REPORT {report}") == 10
    words = "10 100 GRADIENT INTERVAL 1s STEP 4 ERRORS 5 TARGET 80 TOLERANCE 150"
    assert quota.map("RL.ADAPT k INFO") == {
        "limit": 10, "remaining": 5, "wait_ms": 0, "reset_ms": 500, "taken": 5, "reports": 3, "errors": 1,
        "latency_us": 15000, "load": 50, "long_us": 0, "config": words, "deadline": NOON_MS + 3600_000}
    quota(f"RL.ADAPT k {words}")  # what it is called can be given again
    assert quota.map("RL.ADAPT k INFO")["config"] == words
    quota("RL.ADAPT a 1 2")
    words = "1 2 AIMD INTERVAL 1s STEP 1 ERRORS 5 TARGET 80 BACKOFF 90 TIMEOUT 5s"
    assert quota.map("RL.ADAPT a INFO")["config"] == words


def test_a_changed_configuration_applies_at_once(quota):
    quota("RL.ADAPT k 10 100")
    assert quota("RL.ADAPT k 20 100")[1] == 20
    assert quota("RL.ADAPT k 1 5 PEEK")[1] == 5
    assert quota("RL.ADAPT k 1 100 PEEK")[1] == 20  # a peek changed nothing
    assert quota("RL.ADAPT k 1 5")[1] == 5
    assert quota("RL.ADAPT k 1 100")[1] == 5


def test_a_real_time_to_live(quota):
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ADAPT k 10 100")
    assert 3590_000 < quota("PTTL k") <= 3600_001


def test_refusals(quota):
    for line, words in (
        ("RL.ADAPT k", "wrong number of arguments"),
        ("RL.ADAPT k 10", "Usage: RL.ADAPT key min max"),
        ("RL.ADAPT k 0 10", "out of range"),
        ("RL.ADAPT k 11 10", "max is below min"),
        ("RL.ADAPT k 1 1099511627777", "out of range"),
        ("RL.ADAPT k 1 10 VEGAS", "not an option"),
        ("RL.ADAPT k 1 10 AIMD GRADIENT", "given already"),
        ("RL.ADAPT k 1 10 INTERVAL 0", "out of range"),
        ("RL.ADAPT k 1 10 STEP 0", "out of range"),
        ("RL.ADAPT k 1 10 BACKOFF 100", "out of range"),
        ("RL.ADAPT k 1 10 TOLERANCE 99", "out of range"),
        ("RL.ADAPT k 1 10 COST 0", "out of range"),
        ("RL.ADAPT k REPORT", "wants one of"),
        ("RL.ADAPT k REPORT ERROR LOAD 5", "wants one of"),
        ("RL.ADAPT k REPORT LATENCY soon", "not a duration"),
        ("RL.ADAPT k REPORT LOAD 10001", "out of range"),
        ("RL.ADAPT k INFO now", "Usage: RL.ADAPT key INFO"),
    ):
        assert words in quota.error(line), line
    assert quota("EXISTS k") == 0
    quota("SET text hello")
    for form in ("1 10", "REPORT ERROR", "INFO"):
        assert "WRONGTYPE" in quota.error(f"RL.ADAPT text {form}")


def test_copy_dump_restore_and_large_numbers(quota):
    top = 2**40
    assert quota(f"RL.ADAPT k {top} {top} GRADIENT STEP {top} COST {top}") == [top, top, 0, 0, 1000, 0]
    quota("RL.ADAPT k REPORT LATENCY 4000w")
    quota("RL.ADAPT k REPORT LOAD 10000")
    quota.advance("1s")
    assert quota("RL.ADAPT k REPORT LATENCY 0") == top
    dump = quota("DUMP k")
    assert quota("COPY k twin") == 1
    quota("RESTORE again 0", dump)
    assert quota.map("RL.ADAPT twin INFO") == quota.map("RL.ADAPT again INFO") == quota.map("RL.ADAPT k INFO")
    assert quota("TYPE twin") in (b"rl-adaptv", "rl-adaptv")
    assert quota("MEMORY USAGE twin") > 200


def test_the_reference_lists_every_word(quota):
    from test_commands import words_of
    arguments = list(as_map(quota.raw("COMMAND DOCS RL.ADAPT")).values())[0]["arguments"]
    assert list(words_of(arguments)) == [
        "key", "min", "max", "algorithm", "AIMD", "GRADIENT", "INTERVAL", "STEP", "ERRORS", "TARGET", "BACKOFF",
        "TIMEOUT", "TOLERANCE", "COST", "PEEK", "REPORT", "LATENCY", "ERROR", "LOAD", "INFO"]


# ---- the model ------------------------------------------------------------------------------------------------


def floored(value):
    return Fraction(math.floor(value * 2**20), 2**20)


class Adaptive:
    def __init__(self):
        self.exists = False
        self.mark = 0

    def limit(self):
        return math.floor(self.exact)

    def at(self, now):
        if self.exists and now >= max(self.mark + max(self.config["interval"], HOUR_US), math.floor(self.debt.tat) + 1):
            self.exists, self.mark = False, 0
        return max(now, self.mark)

    def move(self, exact, t):
        self.exact = min(max(exact, Fraction(self.config["min"])), Fraction(self.config["max"]))
        self.debt.restate(Rule("GCRA", self.limit(), SECOND_US))

    def request(self, config, cost, peek, now):
        kept = dict(self.__dict__)
        t = self.at(now)
        if not self.exists:
            self.exists, self.exact, self.config = True, Fraction(config["min"]), config
            self.long, self.longs, self.taken, self.reports, self.start = Fraction(0), 0, [], [], t
            self.debt = Gcra(Rule("GCRA", self.limit(), SECOND_US))
        elif config != self.config:
            self.config, before = config, self.debt
            self.debt = Gcra(before.rule)
            self.debt.tat = before.tat
            self.move(self.exact, t)
        later = wait(self.debt, cost, now)
        granted = later == 0
        if granted and not peek:
            self.debt.charge(cost, now)
            self.taken = self.taken + [(t, cost)]
            self.mark = t
        reset = first_instant(self.debt.is_new, now) - now
        verdict = [cost if granted else 0, self.limit(), max(self.debt.room(now), 0), millis(later), millis(reset), 0]
        if peek or not granted:
            self.__dict__.clear()
            self.__dict__.update(kept)
        return verdict

    def report(self, kind, value, now):
        kept = dict(self.__dict__)
        t = self.at(now)
        if not self.exists:
            self.__dict__.update(kept)
            return None
        if t - self.start >= self.config["interval"]:
            if self.reports:
                self.step(t)
            self.reports, self.start = [], t
        late = self.config["word"] == "AIMD" and kind == "LATENCY" and value > self.config["timeout"]
        self.reports, self.mark = self.reports + [(kind, value, late)], t
        return self.limit()

    def step(self, t):
        config = self.config
        recent = [sum(units for at, units in self.taken if at // SECOND_US == t // SECOND_US - back) for back in (0, 1)]
        used = max(recent) * 2 >= self.limit()
        calls = [report for report in self.reports if report[0] != "LOAD"]
        loads = [value for kind, value, _ in self.reports if kind == "LOAD"]
        latencies = [value for kind, value, _ in calls if kind == "LATENCY"]
        errors = sum(kind == "ERROR" or late for kind, _, late in calls)
        congested = bool(calls) and Fraction(errors, len(calls)) > Fraction(config["errors"], 100)
        load = Fraction(sum(loads), len(loads)) if loads else Fraction(0)
        if config["word"] == "AIMD":
            if congested or load > config["target"]:
                self.move(floored(self.exact * config["backoff"] / 100), t)
            else:
                self.move(self.exact + (config["step"] if used else 0), t)
            return
        gradient = Fraction(1)
        if latencies:
            short = floored(Fraction(sum(latencies), len(latencies)))
            if self.longs < 10:
                self.longs += 1
                difference = (short - self.long) / self.longs
                self.long += floored(difference) if difference > 0 else -floored(-difference)
            else:
                self.long += floored((short - self.long) * 2 / 601)
            if self.long > 2 * short:
                self.long = floored(self.long * 95 / 100)
            if short:
                gradient = floored(self.long * config["tolerance"] / 100 / short)
        if load > config["target"]:
            gradient = min(gradient, floored(config["target"] / load))
        gradient = min(max(Fraction(1, 2) if congested else gradient, Fraction(1, 2)), Fraction(1))
        if used or congested:
            goal = floored(self.exact * gradient) + config["step"]
            self.move(self.exact + floored((goal - self.exact) / 5), t)


@st.composite
def configs(draw):
    low = draw(st.integers(1, 20))
    return dict(word=draw(st.sampled_from(["AIMD", "GRADIENT"])), min=low, max=low + draw(st.integers(0, 60)),
                interval=draw(st.sampled_from([1, 100_000, SECOND_US, 3 * SECOND_US])), step=draw(st.integers(1, 30)),
                errors=draw(st.sampled_from([0, 5, 50])), target=draw(st.integers(1, 100)),
                backoff=draw(st.sampled_from([50, 90, 97])), timeout=draw(st.sampled_from([1000, 5 * SECOND_US])),
                tolerance=draw(st.sampled_from([100, 150, 333])))


def words_of_config(config):
    return (f"{config['min']} {config['max']} {config['word']} INTERVAL {config['interval']}us STEP {config['step']} "
            f"ERRORS {config['errors']} TARGET {config['target']} BACKOFF {config['backoff']} "
            f"TIMEOUT {config['timeout']}us TOLERANCE {config['tolerance']}")


STEPS = st.one_of(
    st.tuples(st.just("request"), st.integers(1, 25), st.just(False)),
    st.tuples(st.just("request"), st.integers(1, 90), st.booleans()),
    st.tuples(st.just("half"), st.just(0)),
    st.tuples(st.just("LATENCY"), st.sampled_from([0, 7, 1000, 1001, 10_000, 20_000, 6 * SECOND_US])),
    st.tuples(st.just("LATENCY"), st.integers(0, 30_000)),
    st.tuples(st.just("ERROR"), st.just(0)),
    st.tuples(st.just("LOAD"), st.integers(0, 150)),
    st.tuples(st.just("advance"), st.one_of(st.just(SECOND_US), st.integers(0, 2 * SECOND_US))),
    st.tuples(st.just("advance"), st.sampled_from([HOUR_US, HOUR_US - 1, 100_000])),
    st.tuples(st.just("back"), st.integers(1, 3 * SECOND_US)),
    st.tuples(st.just("config"), configs()),
)


@seed(20250131)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=configs(), steps=st.lists(STEPS, min_size=10, max_size=60))
def check_stream(quota, first, steps):
    quota.client.delete("k")
    model, config, now = Adaptive(), first, NOON_US
    for step in [("request", 1, False), *steps]:
        if step[0] == "config":
            config = step[1]
        if step[0] in ("advance", "back"):
            now += step[1] if step[0] == "advance" else -step[1]
        quota(f"QUOTA.CLOCK FREEZE {now}us")
        if step[0] in ("LATENCY", "ERROR", "LOAD"):
            line = "REPORT " + step[0] + {"LATENCY": f" {step[1]}us", "LOAD": f" {step[1]}", "ERROR": ""}[step[0]]
            expected = model.report(step[0], step[1], now)
        else:
            cost, peek = step[1:] if step[0] == "request" else (1, True)
            if step[0] == "half":
                cost, peek = (model.limit() + 1) // 2 if model.exists else 1, False
            line = f"{words_of_config(config)} COST {cost}" + (" PEEK" if peek else "")
            expected = model.request(config, cost, peek, now)
        assert quota("RL.ADAPT k " + line) == expected, f"at {now}: {line}"


def test_random_streams_agree_with_the_model(quota):
    check_stream(quota)
