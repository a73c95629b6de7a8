"""Every wait_ms is kept: after it the same request is admitted, a millisecond earlier it is not.

    request ──▶ denied, wait_ms ──▶ clock to wait_ms - 1: PEEK is denied │ clock to wait_ms: PEEK is admitted
       ▲                                                                                        │
       └────── whatever else: costs, refunds, blocks, FORCE, other rules, other plans ◀─────────┘

The rules change on the live key and account between the requests, never between a denial and its check: a wait does not
foresee changes of rules, and so none that a schedule's edge makes. QUOTA_WAITS says how many requests there are.
"""

import os
import random

import pytest

from conftest import NOON_MS, Quota
from servers import Server

REQUESTS = int(os.environ.get("QUOTA_WAITS", "6000"))
ALGORITHMS = ["GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG"]
PERIODS = ["10ms", "1s", "10s", "1m", "7m", "1h", "1d"]
DAY_US = 86_400_000_000
EDGES_US = [9 * 3600 * 10**6, 17 * 3600 * 10**6]  # of the schedules below, within a day in UTC


@pytest.fixture(scope="module")
def lonely():
    """A server of its own: a hundred thousand jumps of the clock are no others' business."""
    server = Server().start()
    yield Quota(server.client())
    server.close()


class Stream:
    def __init__(self, quota, seed):
        self.quota, self.random = quota, random.Random(seed)
        self.now_us = NOON_MS * 1000
        self.denied = 0
        quota("FLUSHALL")
        self.set_clock()

    def set_clock(self):
        self.quota(f"QUOTA.CLOCK FREEZE {self.now_us}us")

    def advance(self, us):
        self.now_us += us
        self.set_clock()

    def sometimes(self, text, chance=0.3):
        return text if self.random.random() < chance else ""

    def choice(self, *several):
        return self.random.choice(several)

    def number(self, most):
        return self.random.randint(1, most)

    # ---- the promise ----

    def check(self, line, wait_ms, foreseen=True):
        """`line` only looks; it was denied with this wait just now."""
        self.denied += 1
        began_us = self.now_us
        if wait_ms < 0:
            self.advance(self.choice(1000, 10**6, DAY_US, 400 * DAY_US))
            assert not self.admitted(line), f"{line}: never, and was admitted after {self.now_us - began_us} us"
        elif foreseen and self.now_us + wait_ms * 1000 < 8 * 10**15:
            assert wait_ms > 0, line
            self.advance(wait_ms * 1000 - 1000)
            assert not self.admitted(line), f"{line}: wait {wait_ms}, and was admitted a millisecond earlier"
            self.advance(1000)
            assert self.admitted(line), f"{line}: wait {wait_ms}, and was denied then: {self.quota(line)}"

    def admitted(self, line):
        reply = self.quota(line)
        verdicts = reply if isinstance(reply[0], list) else [reply]
        return all(verdict[0] > 0 for verdict in verdicts)

    # ---- rules ----

    def rule(self):
        limit, period = self.number(12), self.random.choice(PERIODS)
        algorithm = self.choice(*ALGORITHMS)
        more, burst = "", self.number(20)
        bursts = algorithm in ("GCRA", "TOKEN", "LEAKY", "QUEUE") and self.random.random() < 0.3
        if bursts:
            more = f" BURST {burst}"
        if algorithm == "TOKEN":
            full = burst if bursts else limit
            more += self.sometimes(f" INITIAL {self.random.randint(0, full)}") + self.sometimes(" INTERVAL")
        if algorithm == "FIXED":
            more = self.sometimes(" FIRST")
        return f"{algorithm} {limit} {period}{more}"

    def rules(self):
        return " ".join(self.rule() for _ in range(self.choice(1, 1, 2, 3)))


# ---- rate limits ---------------------------------------------------------------------------------------------------


def rate_request(stream, target):
    """A request under these rules or this policy, and what it promises."""
    cost = stream.number(stream.choice(1, 3, 14))
    mode = stream.choice("", "", "", "UPTO", "FORCE")  # a PEEK under changed rules stores no takeover to count from
    if mode == "" and "POLICY" not in target and stream.random.random() < 0.3:
        count = sum(target.split().count(name) for name in ALGORITHMS)
        cost = " ".join([str(stream.number(4))] + [str(stream.random.randint(0, 4)) for _ in range(count - 1)])
    verdict = stream.quota(f"RL.ALLOW {target} COST {cost} {mode}")
    if verdict[0] == 0:
        edge = "POLICY" in target and passes_edge(stream.now_us, verdict[3])
        stream.check(f"RL.ALLOW {target} COST {1 if mode == 'UPTO' else cost} PEEK", verdict[3], not edge)


def passes_edge(now_us, wait_ms):
    """Does a schedule's edge lie within the wait? Then other rules hold at its end."""
    end_us = now_us + wait_ms * 1000
    day_us = now_us - now_us % DAY_US
    return wait_ms < 0 or end_us - day_us > DAY_US or any(now_us < day_us + edge <= end_us for edge in EDGES_US)


def rate_step(stream, rules):
    key = stream.choice("k", "l")
    kind = stream.number(20)
    if kind == 1:
        stream.quota(f"RL.REFUND {key} {stream.number(5)}" + stream.sometimes(f" AGE {stream.number(90)}s"))
    elif kind == 2:
        stream.quota(f"RL.BLOCK {key} {stream.choice('0', '1500ms', '2m')}")
    elif kind == 3:
        stream.advance(stream.number(stream.choice(10**4, 10**7, 10**10)))
    elif kind == 4:
        rules[key] = stream.rules()
    else:
        rate_request(stream, f"{key} {rules[key]}")


def set_policy(stream):
    schedule = stream.sometimes(f" SCHEDULE UTC daily 09:00-17:00 {stream.rules()}")
    block = stream.sometimes(f" BLOCK {stream.choice('1s', '90s')}", 0.2)
    stream.quota(f"RL.POLICY SET api {stream.rules()}{block}{schedule}")


def policy_step(stream):
    subject = stream.choice("ada", "bob")
    kind = stream.number(20)
    if kind == 1:
        set_policy(stream)
    elif kind == 2:
        stream.quota(f"RL.POLICY OVERRIDE api {subject} {stream.rules()}")
    elif kind == 3:
        stream.quota(f"RL.POLICY LIFT api {subject}")
    elif kind == 4:
        stream.advance(stream.number(stream.choice(10**4, 10**7, 10**10)))
    elif kind == 5:
        stream.quota(f"RL.REFUND {subject} {stream.number(5)}")
    else:
        rate_request(stream, f"{subject} POLICY api SUBJECT {subject}")


def table_step(stream):
    kind = stream.number(20)
    if kind == 1:
        stream.quota(f"RL.TABLE t {stream.rules()}")
    elif kind == 2:
        stream.advance(stream.number(stream.choice(10**4, 10**7, 10**10)))
    else:
        target = f"RL.TAKE t {stream.choice('x', 'y')} COST"
        cost, mode = stream.number(stream.choice(1, 3, 14)), stream.choice("", "", "UPTO", "FORCE")
        verdict = stream.quota(f"{target} {cost} {mode}")
        if verdict[0] == 0:
            stream.check(f"{target} {1 if mode == 'UPTO' else cost} PEEK", verdict[3])


# ---- accounts ------------------------------------------------------------------------------------------------------


def rollover(stream, period):
    if period == "forever" or stream.random.random() < 0.7:
        return ""
    most = stream.sometimes(f" MAX {stream.number(30)}", 0.5)
    return f" ROLLOVER {stream.choice('33.3', 50, 100)}%{most}" + stream.sometimes(f" FOR {stream.number(5)}", 0.5)


def slow_lane(stream):
    """It takes no INITIAL."""
    rule = stream.rule()
    while "INITIAL" in rule:
        rule = stream.rule()
    return rule


def entitlement(stream, bounded=True):
    """Rules of a resource in any mixture; each LIMIT's period once."""
    periods = ["hour", "day", "week CALENDAR", "month", "month CALENDAR", "forever"]
    chosen = stream.random.sample(periods, stream.choice(1, 1, 2))
    chosen = [period for at, period in enumerate(chosen) if period.split()[0] not in
              [other.split()[0] for other in chosen[:at]]]
    parts = [f"LIMIT {stream.choice(-1, 0, 3, 10, 10, 20)} {period}{stream.sometimes(' PRORATE', 0.2)}"
             + rollover(stream, period) for period in chosen]
    parts += [stream.sometimes(f"LIMIT {stream.number(12)} ROLLING {stream.choice('1m', '2h', '3d')}")]
    parts += [stream.sometimes(f"RATE {stream.rule()}", 0.4)]
    parts += [stream.sometimes(f"THROTTLE {slow_lane(stream)}", 0.2)]
    parts += [stream.sometimes(f"COST {stream.number(3)}", 0.2)]
    parts += [stream.sometimes(f"BURST {stream.choice(10, 50, 100)}%" + stream.sometimes(" REPAY", 0.5))]
    parts += [stream.sometimes(f"GRACE {stream.choice('10s', '1h', '3d')}", 0.2)]
    parts += [stream.sometimes(f"CONCURRENT {stream.choice(0, 4, 7)}", 0.4)]
    parts += [stream.sometimes(f"OVERAGE MAX {stream.choice(0, 2, 9)}", 0.2)]
    return " ".join(part for part in parts if part)


def set_plans(stream):
    for plan in "pq":
        for resource in "rs":
            stream.quota(f"QUOTA.PLAN SET {plan} {resource} {entitlement(stream)}")


def account_request(stream, account):
    mode = stream.choice("", "", "", "UPTO", "FORCE", "CHECK")
    amount = stream.number(stream.choice(1, 4, 14))
    target = f"QUOTA.CONSUME {account} {stream.choice('r', 's')}"
    verdict = stream.quota(f"{target} {amount} {mode}")
    if verdict[0] == 0 and mode != "CHECK":  # which begins no bucket with an INITIAL
        stream.check(f"{target} {1 if mode == 'UPTO' else amount} CHECK", verdict[3])


def account_batch(stream, account):
    line = f"QUOTA.MCONSUME {account} 2 r {stream.number(8)} s {stream.number(8)}"
    verdicts = stream.quota(line)
    if verdicts[0][0] == 0:
        waits = [verdict[3] for verdict in verdicts]
        stream.check(f"{line} CHECK", -1 if -1 in waits else max(waits))


def account_reserve(stream, line):
    verdict = stream.quota(line)
    if verdict[0] == 0:
        stream.check(line, verdict[3])  # there is no dry run: it is reserved then


def account_hold(stream, account):
    hold = f"h{stream.number(3)}"
    try:
        stream.choice(
            lambda: account_reserve(stream, f"QUOTA.RESERVE {account} {hold} r {stream.number(5)} TTL 30s"),
            lambda: account_reserve(stream, f"QUOTA.RESERVE {account} {hold} r {stream.number(5)} TTL 5h"),
            lambda: stream.quota(f"QUOTA.COMMIT {account} {hold}"),
            lambda: stream.quota(f"QUOTA.RELEASE {account} {hold}"))()
    except Exception as error:
        assert str(error).split()[0] in ("NOSUCHID", "RESOLVED", "IDCONFLICT"), error


def account_step(stream):
    account = stream.choice("a", "b")
    kind = stream.number(30)
    if kind == 1:
        plan, resource = stream.choice("p", "q"), stream.choice("r", "s")
        apply = stream.choice("", "APPLY PRORATE")
        stream.quota(f"QUOTA.PLAN SET {plan} {resource} {entitlement(stream)} {apply}")
    elif kind == 2:
        stream.quota(f"QUOTA.SWITCH {account} {stream.choice('p', 'q')} {stream.choice('', 'FULL', 'RESTART')}")
    elif kind == 3:
        stream.quota(f"QUOTA.OVERRIDE {account} r {stream.choice('', 'ONLY ')}{entitlement(stream)}")
    elif kind == 4:
        stream.quota(f"QUOTA.OVERRIDE {account} r LIFT")
    elif kind == 5:
        stream.advance(stream.number(stream.choice(10**7, 10**10, 10**12)))
    elif kind == 6:
        stream.quota(f"QUOTA.REFUND {account} r {stream.number(6)}")
    elif kind in (7, 8, 9):
        account_hold(stream, account)
    elif kind in (10, 11, 12):
        account_batch(stream, account)
    else:
        account_request(stream, account)


# ---- resources that are counted AS another ---------------------------------------------------------------------------


def set_counted_as(stream):
    """x and y are counted as r, in either plan."""
    for plan in "pq":
        for resource in "xy":
            stream.quota(f"QUOTA.PLAN SET {plan} {resource} AS r" + stream.sometimes(f" COST {stream.number(4)}", 0.7) +
                         stream.sometimes(f" RATE {stream.rule()}", 0.5) + stream.sometimes(" LIMIT -1 day", 0.5))


def counted_as_step(stream):
    account, kind = stream.choice("a", "b"), stream.number(12)
    amount = stream.number(stream.choice(1, 3, 9))
    if kind == 1:
        set_counted_as(stream)
    elif kind < 5:  # rows of r are summed
        rows = stream.random.sample("rsxy", stream.choice(2, 3))
        line = f"QUOTA.MCONSUME {account} {len(rows)} " + " ".join(f"{row} {stream.number(4)}" for row in rows)
        verdicts = stream.quota(line)
        if verdicts[0][0] == 0:
            waits = [verdict[3] for verdict in verdicts]
            stream.check(f"{line} CHECK", -1 if -1 in waits else max(waits))
    elif kind == 5:
        stream.hold += 1
        account_reserve(stream, f"QUOTA.RESERVE {account} x{stream.hold} x {amount} TTL {stream.choice('30s', '5h')}")
    elif kind < 10:
        mode, target = stream.choice("", "", "UPTO", "FORCE"), f"QUOTA.CONSUME {account} {stream.choice('x', 'y')}"
        verdict = stream.quota(f"{target} {amount} {mode}")
        if verdict[0] == 0:
            stream.check(f"{target} {1 if mode == 'UPTO' else amount} CHECK", verdict[3])
    elif kind == 10:
        stream.hold += 1
        stream.quota(f"QUOTA.GRANT {account} g{stream.hold} r {amount}"
                     + stream.choice("", " EXPIRES 2h", " EXPIRES 3d", f" EFFECTIVE {stream.now_us + 3_600_000_000}us"))
    else:
        account_step(stream)


# ---- tests ---------------------------------------------------------------------------------------------------------


def run(stream, step, *context):
    for _ in range(REQUESTS // 4):
        step(stream, *context)
    assert stream.denied > REQUESTS // 100


def test_rules_that_change_on_a_live_key(lonely, pytestconfig):
    stream = Stream(lonely, pytestconfig.getoption("seed"))
    run(stream, rate_step, {key: stream.rules() for key in "kl"})


def test_policies_with_schedules_and_overrides(lonely, pytestconfig):
    stream = Stream(lonely, pytestconfig.getoption("seed") + 1)
    set_policy(stream)
    run(stream, policy_step)


def test_tables(lonely, pytestconfig):
    stream = Stream(lonely, pytestconfig.getoption("seed") + 2)
    lonely(f"RL.TABLE t {stream.rules()}")
    run(stream, table_step)


def test_accounts_whose_plans_change(lonely, pytestconfig):
    stream = Stream(lonely, pytestconfig.getoption("seed") + 3)
    set_plans(stream)
    for account in "ab":
        lonely(f"QUOTA.OPEN {account} p ANCHOR {NOON_MS}")
    run(stream, account_step)


def test_resources_that_are_counted_as_another(lonely, pytestconfig):
    stream = Stream(lonely, pytestconfig.getoption("seed") + 4)
    stream.hold = 0
    set_plans(stream)
    set_counted_as(stream)
    for account in "ab":
        lonely(f"QUOTA.OPEN {account} p ANCHOR {NOON_MS}")
    run(stream, counted_as_step)


# ---- rules of equal capacity ---------------------------------------------------------------------------------------


def same_capacity(stream):
    """A rule that admits twelve units at once, whatever its algorithm and period."""
    algorithm, period = stream.choice(*stream.algorithms), stream.choice("1h", "7h", "1d", "3d")
    if algorithm == "QUEUE":
        return f"QUEUE {stream.number(12)} {period} BURST 11"  # one more is served at once
    bursts = algorithm in ("GCRA", "TOKEN", "LEAKY") and stream.random.random() < 0.5
    return f"{algorithm} {stream.number(12)} {period} BURST 12" if bursts else f"{algorithm} 12 {period}"


def flip_call(stream):
    return f"RL.ALLOW k {same_capacity(stream)}"


def flip_policy(stream):
    stream.quota(stream.choice(f"RL.POLICY SET api {same_capacity(stream)}", "RL.POLICY LIFT api k",
                               f"RL.POLICY OVERRIDE api k {same_capacity(stream)}"))
    return "RL.ALLOW k POLICY api SUBJECT k"


def flip_table(stream):
    stream.quota(f"RL.TABLE t {same_capacity(stream)}")
    return "RL.TAKE t k"


def flip_account(stream):
    plan = stream.choice("p", "q")
    stream.quota(stream.choice(f"QUOTA.PLAN SET {plan} r LIMIT -1 day RATE {same_capacity(stream)}",
                               f"QUOTA.SWITCH a {plan} {stream.choice('', 'FULL', 'RESTART')}",
                               f"QUOTA.OVERRIDE a r {stream.choice('', 'ONLY')} RATE {same_capacity(stream)}",
                               "QUOTA.OVERRIDE a r LIFT"))
    return "QUOTA.CONSUME a r"


@pytest.mark.parametrize("most", [1, 5])
@pytest.mark.parametrize("flip", [flip_call, flip_policy, flip_table, flip_account])
def test_rules_of_equal_capacity_mint_nothing(lonely, pytestconfig, flip, most):
    """At one instant no sequence of them admits more than one of them does."""
    stream = Stream(lonely, pytestconfig.getoption("seed") + 4)
    # A QUEUE lets a request in by the wait of its first unit, so one of several units may go beyond the last place.
    stream.algorithms = ALGORITHMS if most == 1 else [name for name in ALGORITHMS if name != "QUEUE"]
    for _ in range(REQUESTS // 400):
        stream.quota("FLUSHALL")
        for plan in "pq":
            stream.quota(f"QUOTA.PLAN SET {plan} r LIMIT -1 day RATE {same_capacity(stream)}")
        stream.quota(f"RL.POLICY SET api {same_capacity(stream)}")
        stream.quota(f"QUOTA.OPEN a p ANCHOR {stream.now_us // 1000}")
        granted = 0
        for _ in range(30):
            target, cost = flip(stream), stream.number(most)
            units = cost if "CONSUME" in target else f"COST {cost}"
            granted += stream.quota(f"{target} {units} {stream.choice('', 'UPTO')}")[0]
            assert granted <= 12
        assert granted >= 12 - most
        stream.advance(stream.number(DAY_US))
