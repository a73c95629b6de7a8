"""The module against the slow exact model (model.py): random rules, costs, modes, refunds, changes and clock steps.

hypothesis draws the streams and shrinks what differs; it prints the seed and the failing stream itself.
"""

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from conftest import NOON_MS
from model import Key, Rule

PERIODS = st.sampled_from([1, 3, 7, 1000, 9_999, 100_000, 1_000_000, 7_000_000, 60_000_000])
SMALL = st.integers(1, 12)


@st.composite
def rules(draw):
    word = draw(st.sampled_from(["GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG"]))
    limit, period = draw(SMALL), draw(PERIODS)
    burst = draw(st.integers(0, 20)) if word in ("GCRA", "TOKEN", "LEAKY", "QUEUE") else 0
    initial = draw(st.none() | st.integers(0, burst or limit)) if word == "TOKEN" else None
    flags = {"TOKEN": ["", "INTERVAL"], "FIXED": ["", "FIRST"]}.get(word, [""])
    return Rule(word, limit, period, burst, initial, draw(st.sampled_from(flags)))


STEPS = st.one_of(
    st.tuples(st.just("request"), st.integers(1, 15), st.sampled_from(["", "", "", "UPTO", "PEEK", "FORCE"])),
    st.tuples(st.just("wait"), st.integers(1, 15), st.integers(1, 5_000_000)),
    st.tuples(st.just("advance"), st.one_of(st.integers(0, 3), st.integers(0, 2_000_000), st.integers(0, 90_000_000))),
    st.tuples(st.just("back"), st.integers(1, 3_000_000)),
    st.tuples(st.just("refund"), st.integers(1, 15)),
    st.tuples(st.just("rules"), st.lists(rules(), min_size=1, max_size=3)),
)


@seed(20250131)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(rules(), min_size=1, max_size=3), steps=st.lists(STEPS, min_size=1, max_size=30))
def check_stream(quota, first, steps):
    quota.client.delete("k")
    key, current, now = Key(), first, NOON_MS * 1000
    for step in steps:
        if step[0] == "rules":
            current = step[1]
        elif step[0] == "advance":
            now += step[1]
        elif step[0] == "back":
            now -= step[1]
        quota(f"QUOTA.CLOCK FREEZE {now}us")
        if step[0] == "refund":
            assert quota("RL.REFUND k", str(step[1])) == key.refund(step[1], now)
            continue
        cost, mode = step[1:] if step[0] == "request" else (1, "PEEK")
        patience = 0
        if step[0] == "wait":
            cost, patience = step[1:]
            mode = f"WAIT {patience}us"
        line = " ".join(rule.text() for rule in current) + f" COST {cost} {mode}"
        expected = key.request(current, cost, mode.split(" ")[0], now, patience)
        with quota.client.pipeline(transaction=True) as multi:  # inside MULTI a waiting request is answered at once
            multi.execute_command("RL.ALLOW", "k", *line.split())
            (answer,) = multi.execute()
        assert answer == expected, f"at {now}: {line}"


def test_random_streams_agree_with_the_model(quota):
    check_stream(quota)
