"""RL.BREAKER: tables for each form, and a slow honest model over random streams.

The model keeps every report and every probe it ever saw in lists, and finds each wait by trying instants; it shares no
formula with the module.
"""

from fractions import Fraction

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from conftest import NOON_MS, Quota
from servers import caught_up

NOON_US = NOON_MS * 1000
DAY_US = 86400 * 10**6
THREE = "FAILURES 3 WINDOW 10s OPEN 30s PROBES 2"


def state(reply):
    return reply.decode() if isinstance(reply, bytes) else reply


def opened(quota, key="k", words=THREE):
    assert quota(f"RL.BREAKER {key} {words}") == [1, -1, -1, 0, 0, -1]
    assert [state(quota(f"RL.BREAKER {key} REPORT fail")) for _ in range(3)] == ["closed", "closed", "open"]


def test_closed_open_half_open_closed(quota):
    opened(quota)
    assert quota(f"RL.BREAKER k {THREE}") == [0, 0, 0, 30000, 30000, -1]
    quota.advance("29999ms")
    assert quota(f"RL.BREAKER k {THREE}") == [0, 0, 0, 1, 1, -1]
    quota.advance("1ms")
    assert quota(f"RL.BREAKER k {THREE}") == [1, 2, 1, 0, 0, -1]
    assert quota("RL.BREAKER k") == [1, 2, 0, 0, 0, -1]  # without words: as agreed before
    assert quota("RL.BREAKER k") == [0, 2, 0, 30000, 30000, -1]
    assert state(quota("RL.BREAKER k REPORT ok")) == "half-open"
    assert state(quota("RL.BREAKER k REPORT ok")) == "closed"
    assert quota("RL.BREAKER k") == [1, -1, -1, 0, 0, -1]


def test_a_failed_probe_opens_again(quota):
    opened(quota)
    quota.advance("30s")
    assert quota("RL.BREAKER k")[0] == 1
    assert state(quota("RL.BREAKER k REPORT fail")) == "open"
    assert quota("RL.BREAKER k") == [0, 0, 0, 30000, 30000, -1]


def test_a_call_that_began_in_another_state_is_not_counted(quota):
    quota("RL.BREAKER k FAILURES 2 OPEN 5s PROBES 1")
    quota.advance("1s")
    for _ in range(2):
        quota("RL.BREAKER k REPORT fail TOOK 2s")  # the key's first state: it has always been closed
    quota.advance("5s")
    assert quota("RL.BREAKER k") == [1, 1, 0, 0, 0, -1]
    quota.advance("1s")
    for words in ("ok TOOK 1001ms", "fail TOOK 6s", "ok TOOK 6s"):  # calls from before it was half-open
        assert state(quota(f"RL.BREAKER k REPORT {words}")) == "half-open"
    assert quota("RL.BREAKER k")[0] == 0  # the probe is still under way
    assert state(quota("RL.BREAKER k REPORT ok TOOK 1s")) == "closed"
    quota.advance("1s")
    for words in ("fail TOOK 1001ms", "fail TOOK 1h", "fail TOOK 1s", "fail TOOK 1001ms"):
        assert state(quota(f"RL.BREAKER k REPORT {words}")) == "closed"  # one of them counts
    assert quota.map("RL.BREAKER.INFO k")["failures"] == 1
    assert state(quota("RL.BREAKER k REPORT fail")) == "open"  # not measured: it counts


def test_rates_and_slow_calls(quota):
    quota("RL.BREAKER k RATE 50 MIN 4 WINDOW 10s")
    assert [state(quota(f"RL.BREAKER k REPORT {word}")) for word in ("FAIL", "OK", "Fail", "ok")] == [
        "closed", "closed", "closed", "open"]
    quota("RL.BREAKER s MIN 2 SLOW 250ms SLOWRATE 100")
    assert state(quota("RL.BREAKER s REPORT ok TOOK 250ms")) == "closed"
    assert state(quota("RL.BREAKER s REPORT ok TOOK 249ms")) == "closed"
    for _ in range(2):
        assert state(quota("RL.BREAKER s REPORT ok TOOK 1h")) == "closed"
    quota("RL.BREAKER s MIN 2 SLOW 250ms SLOWRATE 75")
    assert state(quota("RL.BREAKER s REPORT ok TOOK 1h")) == "open"


def test_the_defaults_are_those_of_resilience4j(quota):
    quota("RL.BREAKER k")
    assert quota.map("RL.BREAKER k INFO")["config"] == "RATE 50 MIN 100 WINDOW 100s OPEN 1m PROBES 10"
    for i in range(99):
        assert state(quota(f"RL.BREAKER k REPORT {'ok' if i % 2 else 'fail'}")) == "closed"
    assert state(quota("RL.BREAKER k REPORT ok")) == "open"  # 50 of 100
    assert quota("RL.BREAKER k")[3] == 60000
    quota.advance("60s")
    assert [quota("RL.BREAKER k")[:3] for _ in range(11)] == [[1, 10, left] for left in range(9, -1, -1)] + [[0, 10, 0]]


def test_force_overrides_until_it_is_lifted(quota):
    assert quota("RL.BREAKER k FORCE open") in (b"OK", True)
    assert quota("RL.BREAKER k") == [0, 0, 0, -1, -1, -1]
    assert state(quota("RL.BREAKER k REPORT ok")) == "open"
    quota.advance("52w")
    assert quota("RL.BREAKER k") == [0, 0, 0, -1, -1, -1]
    info = quota.map("RL.BREAKER k INFO")
    assert (info["state"], info["forced"], info["wait_ms"], info["deadline"]) == ("open", "open", -1, -1)
    quota("RL.BREAKER k FORCE closed")
    assert {state(quota("RL.BREAKER k REPORT fail")) for _ in range(200)} == {"closed"}
    assert quota(f"RL.BREAKER k {THREE}") == [1, -1, -1, 0, 0, -1]
    quota("RL.BREAKER k FORCE auto")
    assert [state(quota("RL.BREAKER k REPORT fail")) for _ in range(3)] == ["closed", "closed", "open"]
    quota("RL.BREAKER k FORCE auto")  # open by itself: there is nothing to lift
    assert quota("RL.BREAKER k")[0] == 0
    quota("RL.BREAKER missing FORCE auto")
    assert quota("EXISTS missing") == 0


def test_info_shows_counts_and_what_was_agreed(quota):
    assert quota("RL.BREAKER k INFO") is None
    quota("RL.BREAKER k FAILURES 5 SLOW 1s OPEN 90s")
    quota("RL.BREAKER k REPORT fail TOOK 2s")
    quota("RL.BREAKER k REPORT ok")
    words = "FAILURES 5 MIN 100 WINDOW 100s SLOW 1s SLOWRATE 100 OPEN 90s PROBES 10"
    assert quota.map("RL.BREAKER k INFO") == {
        "state": "closed", "forced": "auto", "since": NOON_MS, "wait_ms": 0, "reset_ms": 100000, "calls": 2,
        "failures": 1, "slow": 1, "probing": 0, "succeeded": 0, "config": words, "deadline": NOON_MS + 200000}
    quota(f"RL.BREAKER k {words}")  # what it is called can be given again
    assert quota.map("RL.BREAKER k INFO")["config"] == words
    for _ in range(4):
        quota("RL.BREAKER k REPORT fail")
    quota.advance("91s")
    assert quota.map("RL.BREAKER k INFO")["state"] == "half-open"  # without any request
    quota("RL.BREAKER k")
    info = quota.map("RL.BREAKER k INFO")
    assert (info["probing"], info["succeeded"], info["since"]) == (1, 0, NOON_MS + 91000)
    quota("RL.BREAKER k REPORT ok")
    info = quota.map("RL.BREAKER k INFO")
    assert (info["probing"], info["succeeded"]) == (0, 1)


def test_what_changes_nothing_replicates_nothing(quota, primary):
    def sent():
        return primary.client().info("replication")["master_repl_offset"]

    def silent(*lines):
        quota("PING")
        before, watcher = sent(), primary.client().pipeline()
        watcher.watch("k")
        for line in lines:
            quota(line)
        watcher.multi()
        watcher.ping()
        watcher.execute()  # WatchError when the key was touched
        return sent() - before < 30  # the primary may ping its replica meanwhile

    assert silent("RL.BREAKER k REPORT fail", "RL.BREAKER k REPORT ok", "RL.BREAKER k FORCE auto", "RL.BREAKER k INFO")
    assert quota("EXISTS k") == 0
    opened(quota)
    assert silent(*[f"RL.BREAKER k {THREE}", "RL.BREAKER k", "RL.BREAKER k OPEN 1h", "RL.BREAKER k REPORT ok",
                    "RL.BREAKER k REPORT fail", "RL.BREAKER k INFO", "RL.BREAKER k FORCE auto"] * 5)
    quota("DEL k")
    quota("RL.BREAKER k")
    assert silent(*["RL.BREAKER k"] * 20)


def test_a_real_time_to_live(quota):
    quota("QUOTA.CLOCK RESUME")
    quota("RL.BREAKER k WINDOW 10s")
    assert 15000 < quota("PTTL k") <= 20001
    quota("RL.BREAKER k FORCE open")
    assert quota("PTTL k") == -1 or quota("PTTL k") > 10**15
    quota("RL.BREAKER k FORCE auto")
    assert 15000 < quota("PTTL k") <= 20001
    opened(quota, "o")
    assert 86400_000 < quota("PTTL o") <= 86400_000 + 30001


def test_refusals(quota):
    for line, words in (
        ("RL.BREAKER k FAILURES 3 RATE 50", "exactly one"),
        ("RL.BREAKER k SLOWRATE 50", "SLOWRATE needs SLOW"),
        ("RL.BREAKER k FAILURES 0", "out of range"),
        ("RL.BREAKER k RATE 101", "out of range"),
        ("RL.BREAKER k RATE 50%", "not an integer"),
        ("RL.BREAKER k MIN 0", "out of range"),
        ("RL.BREAKER k WINDOW 9us", "out of range"),
        ("RL.BREAKER k WINDOW soon", "not a duration"),
        ("RL.BREAKER k OPEN 0", "out of range"),
        ("RL.BREAKER k PROBES 33", "out of range"),
        ("RL.BREAKER k PROBES", "missing"),
        ("RL.BREAKER k WINDOW 1s WINDOW 1s", "given already"),
        ("RL.BREAKER k MAYBE", "not an option"),
        ("RL.BREAKER k RATE 50 REPORT ok", "not an option"),
        ("RL.BREAKER k REPORT", "ok or fail"),
        ("RL.BREAKER k REPORT maybe", "not an option"),
        ("RL.BREAKER k REPORT ok fail", "not an option"),
        ("RL.BREAKER k REPORT ok TOOK -1s", "out of range"),
        ("RL.BREAKER k REPORT TOOK 1s", "ok or fail"),
        ("RL.BREAKER k FORCE", "open, closed or auto"),
        ("RL.BREAKER k FORCE half-open", "not an option"),
        ("RL.BREAKER k INFO now", "Usage: RL.BREAKER key INFO"),
        ("RL.BREAKER", "wrong number of arguments"),
    ):
        assert words in quota.error(line), line
    assert quota("EXISTS k") == 0
    quota("SET text hello")
    quota("RL.ALLOW bucket 1 1h")
    for key in ("text", "bucket"):
        for form in ("", "REPORT ok", "FORCE open", "FORCE auto", "INFO"):
            assert "WRONGTYPE" in quota.error(f"RL.BREAKER {key} {form}")
    quota("RL.BREAKER b")
    assert "WRONGTYPE" in quota.error("RL.ALLOW b 1 1h")


def test_copy_dump_restore_rename(quota):
    opened(quota)
    dump = quota("DUMP k")
    assert quota("COPY k twin") == 1
    quota("RESTORE again 0", dump)
    quota("RENAME k other")
    expected = quota.map("RL.BREAKER other INFO")
    assert quota.map("RL.BREAKER twin INFO") == quota.map("RL.BREAKER again INFO") == expected
    assert state(quota("TYPE twin")) == "rl-breakr"
    assert quota("MEMORY USAGE twin") > 300


def test_in_multi_and_in_scripts(quota):
    with quota.client.pipeline(transaction=True) as multi:
        for words in (THREE, "REPORT fail", "REPORT fail", "REPORT fail", ""):
            multi.execute_command("RL.BREAKER", "k", *words.split())
        assert [state(reply) for reply in multi.execute()] == [
            [1, -1, -1, 0, 0, -1], "closed", "closed", "open", [0, 0, 0, 30000, 30000, -1]]
    script = "return redis.call('RL.BREAKER', KEYS[1])"
    assert quota.client.eval(script, 1, "k") == [0, 0, 0, 30000, 30000, -1]


def test_a_replica_refuses_it_like_any_write(quota, pair):
    opened(quota)
    caught_up(*pair)
    assert "read only replica" in Quota(pair[1].client()).error("RL.BREAKER k")


# ---- the model ------------------------------------------------------------------------------------------------


class Breaker:
    """Every report and every probe in a list; what counts is found by looking at all of them."""

    FRESH = dict(failures=0, rate=50, calls=100, window=100 * 10**6, slow=0, slow_rate=0, open=60 * 10**6, probes=10)

    def __init__(self):
        self.forget()

    def forget(self):
        self.exists, self.force, self.state, self.config = False, "auto", "closed", dict(self.FRESH)
        self.mark, self.reports, self.probes, self.good, self.since, self.requested = 0, [], [], 0, 0, 0

    def slice(self, instant, window):
        return instant // (window // 10)

    def counted(self, t):
        """The reports that are in the window at t: the running slice and nine before it."""
        window = self.config["window"]
        return [report for report in self.reports if self.slice(t, window) - self.slice(report[0], window) < 10]

    def until_empty(self, t):
        window = self.config["window"]
        ends = [(self.slice(report[0], window) + 10) * (window // 10) for report in self.counted(t)]
        return max(ends, default=t)

    def shown(self, t, config):
        if self.force != "auto":
            return self.force
        if self.state == "open" and t >= self.since + config["open"]:
            return "half-open"
        if self.state == "half-open" and self.good >= config["probes"]:
            return "closed"
        return self.state

    def gone(self, now):
        if not self.exists or self.force != "auto":
            return not self.exists
        if self.state == "closed":
            last = max(self.requested, self.since) + 2 * self.config["window"]
            return now >= max(last, self.until_empty(self.mark) if self.counted(self.mark) else 0)
        return now >= self.mark + self.config["open"] + DAY_US

    def begin(self, state, t):
        self.state, self.since, self.reports, self.probes, self.good = state, t, [], [], 0
        self.mark = t

    def at(self, now):
        if self.gone(now):
            self.forget()
        return max(now, self.mark)

    def request(self, words, now):
        t = self.at(now)
        config = self.config if words is None else words
        shown = self.shown(t, config)
        if self.force == "open":
            return [0, 0, 0, -1, -1, -1]
        if shown == "open":
            wait = -(-(self.since + config["open"] - now) // 1000)
            return [0, 0, 0, wait, wait, -1]
        probes = [at for at in self.probes if t < at + config["open"]] if self.state == "half-open" else []
        good = self.good if self.state == "half-open" else 0
        if shown == "half-open" and good + len(probes) >= config["probes"]:
            later = min(at + config["open"] for at in probes
                        if good + sum(other > at for other in probes) < config["probes"])
            wait = -(-(later - now) // 1000)
            return [0, config["probes"], 0, wait, wait, -1]
        changed = not self.exists or self.config != config
        if not self.exists:
            self.begin("closed", t)
        if self.config["window"] != config["window"]:  # all that counts goes on in the newest slice
            self.reports = [(t, *what) for _, *what in self.counted(t)]
        self.exists, self.config = True, dict(config)
        if shown == "half-open":
            if self.state != "half-open":
                self.begin("half-open", t)
            self.probes, self.mark = probes + [t], t
            return [1, config["probes"], config["probes"] - good - len(self.probes), 0, 0, -1]
        if self.force == "auto" and self.state != shown:
            self.begin("closed", t)
            changed = True
        if changed or t - self.requested >= config["window"]:
            self.requested = self.mark = t
        empty = self.until_empty(t)
        return [1, -1, -1, 0, -(-max(empty - now, 0) // 1000) if self.counted(t) else 0, -1]

    def report(self, failed, took, now):
        if self.gone(now):
            return "closed"
        t = self.at(now)
        shown = self.shown(t, self.config)
        if self.force != "auto" or shown == "open":
            return shown
        slow = 0 < self.config["slow"] <= took
        since = self.since if shown == self.state else t
        if took > t - since and not (shown == "closed" and self.requested == since):
            return shown  # it began in another state
        if shown == "closed":
            self.mark = t
            self.reports.append((t, failed, slow))
            if self.trips(t):
                self.begin("open", t)
            return self.state
        waiting = [at for at in self.probes if t < at + self.config["open"]] if self.state == "half-open" else []
        if not waiting:
            return shown
        self.probes, self.mark = waiting[1:], t
        if failed or slow:
            self.begin("open", t)
        else:
            self.good += 1
            if self.good >= self.config["probes"]:
                self.begin("closed", t)
        return self.state

    def trips(self, t):
        counted, config = self.counted(t), self.config
        failures, slow = sum(failed for _, failed, _ in counted), sum(slow for _, _, slow in counted)
        by_number = config["failures"] and failures >= config["failures"]
        enough = len(counted) >= config["calls"]
        by_rate = enough and config["rate"] and Fraction(failures, len(counted)) >= Fraction(config["rate"], 100)
        slowly = enough and config["slow_rate"] and Fraction(slow, len(counted)) >= Fraction(config["slow_rate"], 100)
        return bool(by_number or by_rate or slowly)

    def moments(self, config):
        """Instants at which something may happen by itself: streams go there, and a microsecond off."""
        later = [at + config["open"] for at in self.probes] + [self.since + config["open"], self.until_empty(self.mark)]
        last = max(self.requested, self.since)
        return later + [last + self.config["window"], last + 2 * self.config["window"],
                        self.mark + self.config["open"] + DAY_US]

    def set_force(self, word, now):
        if word == ("auto" if self.gone(now) else self.force):
            return
        t = self.at(now)
        if not self.exists:
            self.exists, self.requested = True, t
        self.begin("closed", t)
        self.force = word


def words_of(config):
    words = f"FAILURES {config['failures']}" if config["failures"] else f"RATE {config['rate']}"
    if config["slow"]:
        words += f" SLOW {config['slow']}us SLOWRATE {config['slow_rate']}"
    return words + (f" MIN {config['calls']} WINDOW {config['window']}us OPEN {config['open']}us"
                    f" PROBES {config['probes']}")


SPANS = st.sampled_from([10, 17, 1000, 99_999, 1_000_000, 10_000_000, 100_000_000])


@st.composite
def configs(draw):
    by_number, slow = draw(st.booleans()), draw(st.booleans())
    return dict(failures=draw(st.integers(1, 4)) if by_number else 0,
                rate=0 if by_number else draw(st.integers(1, 100)),
                calls=draw(st.integers(1, 5)), window=draw(SPANS), slow=draw(SPANS) if slow else 0,
                slow_rate=draw(st.integers(1, 100)) if slow else 0, open=draw(SPANS), probes=draw(st.integers(1, 4)))


STEPS = st.one_of(
    st.tuples(st.just("request"), st.booleans()),
    st.tuples(st.just("request"), st.just(False)),
    st.tuples(st.just("report"), st.booleans(), st.sampled_from([0, 0, 50, 2_000_000])),
    st.tuples(st.just("report"), st.just(False), st.sampled_from([0, 0, 0, 2_000_000])),
    st.tuples(st.just("report"), st.just(True), st.just(0)),
    st.tuples(st.just("moment"), st.integers(0, 9), st.sampled_from([0, 0, 0, -1, 1])),
    st.tuples(st.just("moment"), st.just(0), st.just(0)),
    st.tuples(st.just("advance"), st.integers(0, 120_000_000)),
    st.tuples(st.just("back"), st.integers(1, 20_000_000)),
    st.tuples(st.just("config"), configs()),
    st.tuples(st.just("probes"), st.integers(1, 4)),
    st.tuples(st.just("force"), st.sampled_from(["open", "closed", "auto", "auto", "auto"])),
)


@seed(20250131)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=configs(), steps=st.lists(STEPS, min_size=10, max_size=80))
def check_stream(quota, first, steps):
    quota.client.delete("k")
    model, config, now = Breaker(), first, NOON_US
    for step in [("request", True), *steps]:
        if step[0] == "config":
            config = step[1]
        if step[0] == "probes":
            config = dict(config, probes=step[1])
        if step[0] in ("advance", "back"):
            now += step[1] if step[0] == "advance" else -step[1]
        if step[0] == "moment":
            later = sorted({at + step[2] for at in model.moments(config) if at + step[2] > now})
            now = later[step[1] % len(later)] if later else now
        quota(f"QUOTA.CLOCK FREEZE {now}us")
        if step[0] == "report":
            line = f"REPORT {'fail' if step[1] else 'ok'} TOOK {step[2]}us"
            expected, answer = model.report(step[1], step[2], now), state(quota("RL.BREAKER k " + line))
        elif step[0] == "force":
            line = f"FORCE {step[1]}"
            quota("RL.BREAKER k " + line)
            model.set_force(step[1], now)
            expected = answer = None
        else:
            bare = step[0] == "request" and not step[1]
            line = "" if bare else words_of(config)
            expected, answer = model.request(None if bare else config, now), quota("RL.BREAKER k " + line)
        assert answer == expected, f"at {now}: {line}"


def test_random_streams_agree_with_the_model(quota):
    check_stream(quota)


def test_the_reference_lists_every_word(quota):
    from conftest import as_map
    from test_commands import words_of as documented
    arguments = list(as_map(quota.raw("COMMAND DOCS RL.BREAKER")).values())[0]["arguments"]
    assert list(documented(arguments)) == [
        "key", "FAILURES", "RATE", "MIN", "WINDOW", "SLOW", "SLOWRATE", "OPEN", "PROBES", "REPORT", "OK", "FAIL",
        "TOOK", "FORCE", "OPEN", "CLOSED", "AUTO", "INFO"]
