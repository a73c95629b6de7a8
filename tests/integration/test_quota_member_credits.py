"""Credits of a member pay for what the accounts above it lack (decide/below.h)."""

import collections
import random

import pytest
import redis

from conftest import NOON_MS, assert_equal_digests, clear_plans, paged
from test_quota_organisation import Run as Families

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def on_an_empty_server(accounts, seeds):
    for seed in seeds:
        accounts("FLUSHALL")
        clear_plans(accounts)
        accounts(f"QUOTA.CLOCK FREEZE {NOON_MS}")
        yield seed


@pytest.fixture
def family(accounts):
    """org, with 10 units a day for both of a and b; a has bought 8 more."""
    accounts("QUOTA.PLAN SET org r LIMIT 10 day")
    accounts("QUOTA.PLAN SET own r LIMIT 100 day")
    accounts(f"QUOTA.OPEN org org ANCHOR {NOON_MS}")
    for member in "ab":
        accounts(f"QUOTA.OPEN {member} own ANCHOR {NOON_MS} PARENT org")
    accounts("QUOTA.GRANT a g r 8")
    return accounts


def state(quota):
    """[used and held of org; what org counts of a; used, held and credits of a]"""
    org, own = quota.map("QUOTA.INFO org r"), quota.map("QUOTA.INFO a r")
    counted = {one["member"]: one["used"] for one in paged(quota, "QUOTA.MEMBERS org RESOURCE r")}
    rule = org["rules"][0], own["rules"][0]
    return [rule[0]["used"], rule[0]["held"], counted["a"], rule[1]["used"], rule[1]["held"], own["credits"]]


STREAMS = {
    "the pool first, then the member's own credits": [
        ("CONSUME a r 6", [6, 10, 12, 0, DAY_MS, 100]), ("CONSUME a r 6 ID x", [6, 10, 6, 0, DAY_MS, 100]),
        ("CONSUME a r 6 ID x", [6, 10, 6, 0, DAY_MS, 100]), ("=", [10, 0, 10, 10, 0, 6]),
        ("CONSUME b r 1", [0, 10, 0, DAY_MS, DAY_MS, 100]), ("CHECK a r 7", [[0, 10, 6, DAY_MS, DAY_MS, 100]]),
        ("CHECK a r 6", [[6, 10, 6, 0, DAY_MS, 100]]), ("CONSUME a r 9 UPTO", [6, 10, 0, 0, DAY_MS, 100]),
        ("=", [10, 0, 10, 10, 0, 0])],
    "the last units drawn go back first": [
        ("CONSUME b r 7", [7, 10, 3, 0, DAY_MS, 100]), ("CONSUME a r 9 ID x", [9, 10, 2, 0, DAY_MS, 100]),
        ("=", [10, 0, 3, 3, 0, 2]), ("REFUND a r 5 OF x", [5, 0, 7]), ("=", [10, 0, 3, 3, 0, 7]),
        ("REFUND a r 2 OF x", [2, 0, 9]), ("=", [9, 0, 2, 2, 0, 8]), ("REFUND a ALL OF x", [2, 0, 11]),
        ("=", [7, 0, 0, 0, 0, 8])],
    "a reservation holds both": [
        ("CONSUME b r 8", [8, 10, 2, 0, DAY_MS, 100]), ("RESERVE a h r 6 TTL 1h", [6, 10, 4, 0, DAY_MS, 100]),
        ("=", [8, 2, 0, 0, 2, 4]), ("COMMIT a h 3", [3, 3, 7]), ("=", [10, 0, 2, 2, 0, 7]),
        ("REFUND a ALL OF h", [3, 0, 10]), ("=", [8, 0, 0, 0, 0, 8]),
        ("RESERVE a k r 6 TTL 1h", [6, 10, 4, 0, DAY_MS, 100]), ("RELEASE a k", [0, 6, 10]), ("=", [8, 0, 0, 0, 0, 8]),
        ("RESERVE a l r 6 TTL 1h", [6, 10, 4, 0, DAY_MS, 100]), ("+1h", 0), ("=", [8, 0, 0, 0, 0, 8])],
    "a wait foresees cycles and grants to come": [
        ("CONSUME a r 18", [18, 10, 0, 0, DAY_MS, 100]), ("GRANT a late r 15 EFFECTIVE {soon}", [0, 0]),
        ("CONSUME a r 12", [0, 10, 0, 5 * HOUR_MS, DAY_MS, 100]),
        ("CONSUME a r 25", [0, 10, 0, DAY_MS, DAY_MS, 100]), ("CONSUME a r 26", [0, 10, 0, -1, DAY_MS, 100]),
        ("+5h", 0), ("CONSUME a r 12", [12, 10, 3, 0, 19 * HOUR_MS, 100])],
    "a wait foresees the first grant of a member": [
        ("CONSUME a r 8", [8, 10, 10, 0, DAY_MS, 100]), ("GRANT b late r 5 EFFECTIVE {soon}", [0, 0]),
        ("CONSUME b r 3", [0, 10, 2, 5 * HOUR_MS, DAY_MS, 100]), ("CONSUME b r 8", [0, 10, 2, DAY_MS, DAY_MS, 100]),
        ("CONSUME b r 12", [0, 10, 2, DAY_MS, DAY_MS, 100]), ("CONSUME b r 16", [0, 10, 2, -1, DAY_MS, 100]),
        ("+5h", 0), ("CONSUME b r 3", [3, 10, 4, 0, 19 * HOUR_MS, 100])],
    "CREDITS FIRST, FORCE, several resources": [
        ("PLAN SET own r LIMIT 100 day CREDITS FIRST", 2), ("PLAN SET org s LIMIT 5 day", 2),
        ("PLAN SET own s LIMIT 5 day", 3), ("CONSUME a r 5", [5, 10, 8, 0, DAY_MS, 100]),
        ("=", [5, 0, 5, 0, 0, 3]), ("MCONSUME a 2 r 8 s 5 ALL", [[8, 10, 0, 0, DAY_MS, 100], [5, 5, 0, 0, DAY_MS, 0]]),
        ("=", [10, 0, 10, 5, 0, 0]), ("CONSUME a r 4 FORCE", [4, 10, 0, 0, DAY_MS, 100]),
        ("=", [14, 0, 14, 9, 0, 0])],
    "FORCE draws on credits, and counts the rest": [
        ("CONSUME b r 9", [9, 10, 1, 0, DAY_MS, 100]), ("CONSUME a r 12 FORCE ID f", [12, 10, 0, 0, DAY_MS, 100]),
        ("=", [13, 0, 4, 4, 0, 0]), ("REFUND a ALL OF f", [12, 0, 9]), ("=", [9, 0, 0, 0, 0, 8])],
    "FORCE beyond a reservation is drawn last and goes back first": [
        ("CONSUME b r 8", [8, 10, 2, 0, DAY_MS, 100]), ("RESERVE a h r 6 TTL 1h", [6, 10, 4, 0, DAY_MS, 100]),
        ("COMMIT a h 9 FORCE", [9, 0, 4]), ("=", [13, 0, 5, 5, 0, 4]), ("REFUND a r 3 OF h", [3, 0, 4]),
        ("=", [10, 0, 2, 2, 0, 4]), ("REFUND a ALL OF h", [6, 0, 10]), ("=", [8, 0, 0, 0, 0, 8])],
    "a unit of the pool can cost more": [
        ("PLAN SET org r LIMIT 10 day COST 3", 2), ("CONSUME a r 3", [3, 10, 25, 0, DAY_MS, 100]),
        ("CONSUME a r 2 ID x", [2, 10, 18, 0, DAY_MS, 100]), ("=", [10, 0, 10, 3, 0, 6]),
        ("REFUND a r 2 OF x", [2, 0, 25]), ("=", [9, 0, 9, 3, 0, 8])],
    "behind BURST and OVERAGE of the pool": [
        ("PLAN SET org r LIMIT 10 day BURST 20% OVERAGE MAX 3", 2), ("CONSUME a r 15", [15, 15, 8, 0, DAY_MS, 100]),
        ("=", [15, 0, 15, 15, 0, 8]), ("CONSUME a r 8", [8, 15, 0, 0, DAY_MS, 100]), ("=", [15, 0, 15, 15, 0, 0])],
    "a share of a pool is a bound like its limit": [
        ("PLAN SET org r LIMIT 10 day SHARE EQUAL", 2), ("CONSUME a r 7", [7, 5, 6, 0, DAY_MS, 199]),
        ("=", [5, 0, 5, 5, 0, 6]), ("CONSUME b r 6", [0, 5, 5, -1, DAY_MS, 199]),
        ("CONSUME b r 5", [5, 10, 0, 0, DAY_MS, 100]), ("CONSUME a r 6", [6, 10, 0, 0, DAY_MS, 100])],
    "a share reaches as far as the pool's BURST": [
        ("PLAN SET org r LIMIT 10 day SHARE EQUAL BURST 20%", 2), ("CONSUME a r 7 ID x", [7, 5, 7, 0, DAY_MS, 199]),
        ("=", [6, 0, 6, 6, 0, 7]), ("REFUND a r 2 OF x", [2, 0, 9]), ("=", [5, 0, 5, 5, 0, 8]),
        ("RESERVE a h r 4 TTL 1h", [4, 5, 5, 0, DAY_MS, 199]), ("COMMIT a h 3", [3, 1, 6]),
        ("CHECK a r 6", [[6, 5, 6, 0, DAY_MS, 199]])],
    "what a member holds of its share comes free": [
        ("PLAN SET org r LIMIT 20 day SHARE EQUAL", 2), ("RESERVE b h r 8 TTL 2h", [8, 10, 2, 0, DAY_MS, 199]),
        ("CONSUME b r 5", [0, 10, 2, 2 * HOUR_MS, DAY_MS, 199]), ("CONSUME b r 11", [0, 10, 2, -1, DAY_MS, 199]),
        ("RESERVE a h r 8 TTL 3h", [8, 10, 10, 0, DAY_MS, 199]),
        ("CONSUME a r 15", [0, 10, 10, 3 * HOUR_MS, DAY_MS, 199]), ("+2h", 0),
        ("CONSUME b r 5", [5, 10, 5, 0, 22 * HOUR_MS, 199]), ("+1h", 0),
        ("CONSUME a r 15", [15, 10, 3, 0, 21 * HOUR_MS, 199])],
    "rates of the pool have to admit all": [
        ("PLAN SET org r LIMIT 10 day RATE 12 1h", 2), ("CONSUME a r 13", [0, 12, 12, -1, 0, 101]),
        ("CONSUME a r 12", [12, 12, 0, 0, HOUR_MS, 101]), ("=", [10, 0, 10, 10, 0, 6]),
        ("CONSUME a r 1", [0, 12, 0, HOUR_MS // 12, HOUR_MS, 101])],
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(family, name):
    for line, expected in STREAMS[name]:
        if line[0] == "+":
            family("QUOTA.CLOCK ADVANCE", line[1:])
        elif line == "=":
            assert state(family) == expected, line
        else:
            assert family(f"QUOTA.{line}".format(soon=NOON_MS + 5 * HOUR_MS)) == expected, line


def test_a_copy_gives_nothing_back_above(family):
    """The pool knows no units of the copy, wherever among them those stand that credits have paid for."""
    for line in ["CONSUME b r 8", "RESERVE a h r 6 TTL 1h", "COMMIT a h 9 FORCE"]:
        family(f"QUOTA.{line}")
    before = state(family)
    family("COPY a copy")
    family("QUOTA.REFUND copy ALL OF h")
    assert state(family) == before


# ---- a model ----------------------------------------------------------------------------------------------------

TREE = {"firm": (60, None), "red": (40, "firm"), "blue": (35, "firm"), "r1": (25, "red"), "r2": (30, "red"),
        "b1": (30, "blue"), "b2": (9, "blue")}
LEAVES = "r1 r2 b1 b2".split()
LIMITS, CREDITS, BELOW = range(3)  # what pays for a unit of a level, in the order in which it is drawn


class Model:
    """Units one by one: what each was paid from at each level. What its limits and its own credits have paid for, a
    level counts as used by its member."""

    def __init__(self):
        self.used, self.held = collections.Counter(), collections.Counter()
        self.credits, self.counted = collections.Counter(), collections.Counter()
        self.taken, self.holds = {}, {}

    @staticmethod
    def levels(name):
        while name:
            yield name
            name = TREE[name][1]

    def left(self, name):
        return TREE[name][0] - self.used[name] - self.held[name]

    def most(self, name):
        """How many units every level finds a place for, if those below pay what it lacks."""
        credits, most = 0, 10**9
        for level in self.levels(name):
            credits += self.credits[level]
            most = min(most, self.left(level) + credits)
        return most

    def plan(self, name, amount):
        """{level: what pays for each unit}"""
        plan, missing = {}, 0
        for level in reversed(list(self.levels(name))):
            within = min(self.left(level), amount - min(missing, self.credits[level]))
            credits = min(amount - within, self.credits[level])
            within = min(self.left(level), amount - credits)
            below = amount - within - credits
            plan[level] = [LIMITS] * within + [CREDITS] * credits + [BELOW] * below
            missing = max(missing - credits, below)
        assert missing == 0
        return plan

    def count(self, units, where, sign):
        for level, sources in units.items():
            where[level] += sign * sources.count(LIMITS)
            self.credits[level] -= sign * sources.count(CREDITS)
            if where is self.used:
                self.counted[level] += sign * (len(sources) - sources.count(BELOW))

    def consume(self, name, amount, identity, upto):
        amount = min(amount, self.most(name)) if upto else amount if amount <= self.most(name) else 0
        if amount > 0:
            self.taken[name, identity] = self.plan(name, amount)
            self.count(self.taken[name, identity], self.used, 1)
        return amount

    def reserve(self, name, amount, identity):
        if amount > self.most(name):
            return 0
        self.holds[name, identity] = self.plan(name, amount)
        self.count(self.holds[name, identity], self.held, 1)
        return amount

    def resolve(self, name, identity, posted):
        units = self.holds.pop((name, identity))
        self.count(units, self.held, -1)
        self.taken[name, identity] = {level: sources[:posted] for level, sources in units.items()}
        self.count(self.taken[name, identity], self.used, 1)

    def refund(self, name, identity, amount):
        taken = self.taken[name, identity]
        self.count({level: sources[-amount:] for level, sources in taken.items()}, self.used, -1)
        self.taken[name, identity] = {level: sources[:-amount] for level, sources in taken.items()}


class Run(Families):
    """The same operations, and grants; all units are known one by one."""

    def __init__(self, quota, seed):
        self.quota, self.random, self.model = quota, random.Random(seed), Model()

    def step(self, number):
        name, amount, identity = self.random.choice(LEAVES), self.random.randint(1, 9), f"i{number}"
        kind = self.random.choice("consume consume upto reserve commit release refund refund grant".split())
        getattr(self, kind)(name, amount, identity)

    def commit(self, name, amount, _):
        identity = self.some(self.model.holds, name)
        if identity:
            posted = min(amount, len(self.model.holds[name, identity][name]))
            assert self.quota(f"QUOTA.COMMIT {name} {identity} {posted}")[0] == posted
            self.model.resolve(name, identity, posted)

    def refund(self, name, amount, _):
        identity = self.some(self.model.taken, name)
        left = len(self.model.taken[name, identity][name]) if identity else 0
        if left > 0:
            back = min(amount, left)
            assert self.quota(f"QUOTA.REFUND {name} api {back} OF {identity}")[:2] == [back, 0]
            self.model.refund(name, identity, back)

    def grant(self, name, amount, identity):
        if self.random.random() < 0.5:
            name = self.random.choice(list(self.model.levels(name)))
        self.quota(f"QUOTA.GRANT {name} {identity} api {amount}")
        self.model.credits[name] += amount

    def check(self):
        for name in TREE:
            shown = self.quota.map(f"QUOTA.INFO {name} api")
            rule = shown["rules"][0]
            assert (rule["used"], rule["held"]) == (self.model.used[name], self.model.held[name]), name
            assert shown["credits"] == self.model.credits[name], name
            counted = paged(self.quota, f"QUOTA.MEMBERS {name}")
            assert sum(member["used"] for member in counted) == (self.model.counted[name] if counted else 0), name


@pytest.mark.parametrize("seed", range(6))
def test_random_families(accounts, primary, replica, seed):
    for name, (limit, parent) in TREE.items():
        accounts(f"QUOTA.PLAN SET {name} api LIMIT {limit} day")
        accounts(f"QUOTA.OPEN {name} {name} ANCHOR {NOON_MS} {f'PARENT {parent}' if parent else ''}")
    run = Run(accounts, seed)
    for number in range(400):
        run.step(number)
        if number % 10 == 0:
            run.check()
    run.check()
    assert_equal_digests(primary, replica)


# ---- waits ------------------------------------------------------------------------------------------------------

PERIODS = ["hour", "day", "day", "week", "ROLLING 3h", "ROLLING 1d", "day CALENDAR"]
EXTRAS = [(0.2, "BURST 20%"), (0.15, "GRACE 90m"), (0.2, "OVERAGE MAX 3"), (0.15, "THROTTLE 2 1h")]
BOUNDS = [(0.15, "CREDITS FIRST"), (0.2, "RATE 12 10m"), (0.1, "RATE 20 1d"), (0.2, "CONCURRENT 9"), (0.12, "COST 3")]
FAR = [DAY_MS, 2 * DAY_MS + 5, 8 * DAY_MS, 40 * DAY_MS, 400 * DAY_MS, 729 * DAY_MS]


class Waits:
    """A tree of random plans and grants, in which nothing is foreseen too early or too late. (What the next share of a
    member will be is not foreseen: where there are shares a wait may be early.)"""

    def __init__(self, quota, seed):
        self.quota, self.random, self.clock, self.number = quota, random.Random(seed), NOON_MS, 0
        self.lines, self.holds, self.shares = [], {}, seed % 5 == 4
        parents = {"t": None, "m": "t", "a": "m", "b": "m"} if seed % 3 else {"t": None, "a": "t", "b": "t"}
        self.names = list(parents)
        for name, parent in parents.items():
            rules = self.rules()
            share = "SHARE EQUAL" if self.shares and name in "tm" and "CREDITS" != rules.split()[0] else ""
            self.say(f"PLAN SET {name} r {rules} {share}")
            anchor = NOON_MS - self.random.randint(0, 40) * HOUR_MS
            self.say(f"OPEN {name} {name} ANCHOR {anchor} {f'PARENT {parent}' if parent else ''}")
        for _ in range(self.random.randint(1, 4)):
            self.grant()

    def say(self, line):
        self.lines.append(line)
        return self.quota(f"QUOTA.{line}")

    def some(self, choices):
        return [words for chance, words in choices if self.random.random() < chance]

    def rules(self):
        periods = self.random.sample(PERIODS, self.random.choice([0, 1, 1, 1, 2]))
        different = {period.split()[0]: period for period in periods}.values()
        limits = [f"LIMIT {self.random.randint(2, 25)} {period}" for period in different]
        if limits:
            return " ".join(limits + self.some(EXTRAS + BOUNDS))
        return " ".join([self.random.choice(["LIMIT -1 day", "CREDITS"])] + self.some(BOUNDS[1:]))

    def grant(self):
        self.number += 1
        begins = self.clock + self.random.choice([0, self.random.randint(1, 30) * HOUR_MS + 17])
        ends = begins + self.random.randint(1, 50) * HOUR_MS
        words = self.some([(0.45, f"EXPIRES {ends}"), (0.25, "EVERY day"), (0.3, "PRIORITY 9")])
        name, amount = self.random.choice(self.names), self.random.randint(1, 15)
        self.say(f"GRANT {name} g{self.number} r {amount} EFFECTIVE {begins} {' '.join(words)}")

    def admits(self, line, at):
        self.quota(f"QUOTA.CLOCK FREEZE {at}")
        reply = self.quota(f"QUOTA.{line}")
        return (reply[0] if isinstance(reply[0], list) else reply)[0] > 0

    def check(self):
        """There and back: a CHECK leaves nothing behind."""
        line = f"CHECK {self.random.choice('ab')} r {self.random.randint(1, 30)}"
        [[granted, _, _, wait, _, _]] = self.quota(f"QUOTA.{line}")
        if not granted:
            before = {self.random.randrange(wait) for _ in range(3)} | {wait - 1} if wait > 0 else FAR
            for later in before:
                assert not self.admits(line, self.clock + later), (line, later, wait, self.lines)
            kept = wait == -1 or self.admits(line, self.clock + wait)
            assert kept or self.shares, (line, wait, self.lines)
            self.quota(f"QUOTA.CLOCK FREEZE {self.clock}")

    def reserve(self):
        """There is no dry run of it: the clock goes on."""
        self.number += 1
        name, amount = self.random.choice("ab"), self.random.randint(1, 9)
        line = f"RESERVE {name} h{self.number} r {amount} TTL {self.random.randint(1, 30) * 30}m"
        granted, _, _, wait, _, _ = self.say(line)
        if not granted and (wait == -1 or wait > 5 * DAY_MS):
            return
        if not granted:
            assert not self.admits(line, self.clock + wait - 1), (wait, self.lines)
            self.clock += wait
            kept = self.admits(line, self.clock)
            assert kept or self.shares, (wait, self.lines)
            self.lines.append(f"after {wait}")
            if not kept:
                return
        self.holds[f"{name} h{self.number}"] = self.clock, amount

    def resolve(self):
        hold, (made, amount) = self.holds.popitem() if self.holds else (None, (0, 0))
        if hold and self.clock < made + 30 * MINUTE_MS:
            self.say(self.random.choice([f"COMMIT {hold} {self.random.randint(0, amount)}", f"RELEASE {hold}"]))

    def consume(self):
        name, amount = self.random.choice(self.names), self.random.randint(1, 9)
        self.say(f"CONSUME {name} r {amount} {self.random.choice(['', 'UPTO'])}")

    def go_on(self):
        self.clock += self.random.choice([1, 1000, 10 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS])
        self.say(f"CLOCK FREEZE {self.clock}")


@pytest.mark.parametrize("first", range(0, 60, 15))
def test_waits_are_kept(accounts, first):
    for seed in on_an_empty_server(accounts, range(first, first + 15)):
        waits = Waits(accounts, seed)
        steps = [waits.consume, waits.reserve, waits.resolve, waits.go_on, waits.grant, waits.check]
        for step in waits.random.choices(steps, weights=[3, 2, 2, 2, 1, 3], k=40):
            step()


# ---- there and back ---------------------------------------------------------------------------------------------

FIRM = {"f": None, "g": "f", "h": "f", "a": "g", "b": "g", "c": "h", "d": "h"}
PAIRS = ["x 2 y 1", "t 3 r 2", "x 1 r 4", "t 1 x 2"]
AT_ONCE = ["CONSUME {who} {what} {n} ID i{k}", "CONSUME {who} {what} {n} ID i{k} UPTO",
           "CONSUME {who} {what} {n} ID i{k} FORCE", "MCONSUME {who} 2 {pair} ALL ID i{k}",
           "MCONSUME {who} 2 {pair} ANY ID i{k}"]
HELD = ["RESERVE {who} i{k} {what} {n} TTL {ttl}", "RESERVE {who} i{k} {pair} TTL {ttl}"]
LATER = ["COMMIT {id} {m}", "COMMIT {id} {n} FORCE", "COMMIT {id} {m} {m} FORCE", "COMMIT {id} {m} {m}", "RELEASE {id}",
         "EXTEND {id} 30h", "REFUND {owner} {what} {m} OF {i}", "PARENT {leaf} {pool}", "CLOCK ADVANCE 1h"]


class Undo:
    """Random use of a firm, in which members move, too; then everything is given back. What it does not say fails: a
    refused command changes nothing."""

    def __init__(self, quota, seed):
        self.quota, self.random, self.made = quota, random.Random(seed), []
        for name, parent in FIRM.items():
            for rules in [f"t LIMIT {self.limit()}", f"x AS t COST {self.random.randint(1, 3)}", "y AS t COST 2",
                          f"r LIMIT {self.limit()} COST {self.random.randint(1, 3)}"]:
                quota(f"QUOTA.PLAN SET {name} {rules}")
            quota(f"QUOTA.OPEN {name} {name} ANCHOR {NOON_MS} {f'PARENT {parent}' if parent else ''}")
            for resource in "tr" * self.random.randint(0, 1):
                quota(f"QUOTA.GRANT {name} g{resource} {resource} {self.random.randint(5, 30)}")

    def limit(self):
        more = self.random.choice(["", "", "BURST 20%", "OVERAGE MAX 4", "CREDITS FIRST", "SHARE EQUAL"])
        return f"{self.random.choice([5, 10, 20, 40])} year {more}"

    def say(self, line):
        try:
            return self.quota(f"QUOTA.{line}")
        except redis.ResponseError:
            return None

    def step(self, k):
        choice, number = self.random.choice, self.random.randint
        owner, i = choice(self.made) if self.made else ("a", "none")
        who = choice("abcdgh")
        line = choice(choice([AT_ONCE, HELD, LATER])).format(
            who=who, what=choice("ttrxy"), n=number(1, 9), m=number(1, 4), k=k, pair=choice(PAIRS), owner=owner, i=i,
            ttl=choice(["1h", "40h"]), id=f"{owner} {i}", leaf=choice("abcd"), pool=choice("fgh"))
        self.say(line)
        if f"i{k}" in line.split():
            self.made.append((who, f"i{k}"))

    def give_back(self):
        for owner, i in self.random.sample(self.made, len(self.made)):
            self.say(f"RELEASE {owner} {i}")
            self.say(f"REFUND {owner} ALL OF {i}")

    def state(self):
        found = {}
        for name in FIRM:
            for resource in "tr":
                shown = self.quota.map(f"QUOTA.INFO {name} {resource}")
                rule = shown["rules"][0]
                found[name, resource] = rule["used"], rule["held"], shown["credits"]
                for member in paged(self.quota, f"QUOTA.MEMBERS {name} RESOURCE {resource}"):
                    found[name, resource, "members"] = found.get((name, resource, "members"), 0) + member["used"]
        return found


@pytest.mark.parametrize("first", range(0, 60, 15))
def test_everything_comes_back(accounts, primary, replica, first):
    for seed in on_an_empty_server(accounts, range(first, first + 15)):
        undo = Undo(accounts, seed)
        before = undo.state()
        for k in range(60):
            undo.step(k)
        undo.give_back()
        assert {key: value for key, value in undo.state().items() if value != before.get(key, 0)} == {}, seed
    assert_equal_digests(primary, replica)


# ---- rows that are counted as one -------------------------------------------------------------------------------

CHAIN = {"f": None, "t": "f", "u": "t", "v": "t"}


class Twins:
    """Two families with equal plans: `whole` requests units of a resource, `parts` rows that are counted AS it."""

    def __init__(self, quota, seed):
        self.quota, self.random, self.made = quota, random.Random(seed), []
        self.pools = seed % 4 == 3
        for name, parent in CHAIN.items():
            rules = self.rules(name)
            for line in [f"r {rules}", "i AS r", "o AS r COST 3"]:
                quota(f"QUOTA.PLAN SET {name} {line}")
            for family in "whole", "parts":
                parented = f"PARENT {family}:{parent}" if parent else ""
                quota(f"QUOTA.OPEN {family}:{name} {name} ANCHOR {NOON_MS} {parented}")
        for k in range(4):
            self.grant(f"first{k}")

    def rules(self, name):
        choice = self.random.choice
        more = [words for chance, words in EXTRAS + BOUNDS[:4] if self.random.random() < chance]
        share = choice(["SHARE EQUAL", "SHARE FAIR"]) if self.pools and name in "ft" else ""
        return f"LIMIT {self.random.randint(4, 40)} {choice(PERIODS)} {' '.join(more)} {share}"

    def both(self, whole, parts):
        """One command for each of the families; both answers."""
        return [self.quota(f"QUOTA.{line}") for line in (whole, parts)]

    def same(self, line):
        answers = self.both(*[line.replace("@", f"{family}:") for family in ("whole", "parts")])
        assert answers[0] == answers[1], line

    def grant(self, k):
        later = self.random.choice(["", "", f"EFFECTIVE {NOON_MS + self.random.randint(1, 60) * HOUR_MS}"])
        self.same(f"GRANT @{self.random.choice('tuuv')} {k} r {self.random.randint(1, 30)} {later}")

    def request(self, k):
        who, i, o = self.random.choice("uuuvt"), self.random.randint(1, 8), self.random.randint(1, 5)
        units = i + 3 * o
        whole, parts = self.random.choice([
            (f"CONSUME whole:{who} r {units} ID {k}", f"MCONSUME parts:{who} 2 i {i} o {o} ALL ID {k}"),
            (f"CHECK whole:{who} r {units}", f"CHECK parts:{who} i {i} o {o}"),
            (f"RESERVE whole:{who} {k} r {units} TTL 30h", f"RESERVE parts:{who} {k} i {i} o {o} TTL 30h")])
        one, two = self.both(whole, parts)
        one = one[0] if whole.startswith("CHECK") else one
        assert [bool(one[0])] * 2 == [bool(row[0]) for row in two], parts
        assert [one[1:]] * 2 == [row[1:] for row in two], parts
        if one[0] and not whole.startswith("CHECK"):
            self.made.append((who, k))

    def resolve(self, _):
        if self.made:
            who, k = self.random.choice(self.made)
            line = self.random.choice(["COMMIT {} {}", "RELEASE {} {}", "REFUND {} ALL OF {}"])
            answers = []
            for family in "whole", "parts":
                try:
                    answers.append(bool(self.quota("QUOTA." + line.format(f"{family}:{who}", k))))
                except redis.ResponseError as error:
                    answers.append(str(error).split()[0])
            assert answers[0] == answers[1], line

    def go_on(self, _):
        self.quota(f"QUOTA.CLOCK ADVANCE {self.random.choice([1, 7, 24, 31])}h")

    def check(self):
        for name in CHAIN:
            shown = [self.quota.map(f"QUOTA.INFO {family}:{name} r") for family in ("whole", "parts")]
            for facts in shown:
                for rule in facts["rules"]:
                    rule.pop("account", None)
            assert shown[0]["rules"] == shown[1]["rules"], name
            assert shown[0]["credits"] == shown[1]["credits"], name


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_a_sum_of_rows_is_decided_like_one_row(accounts, primary, replica, first):
    for seed in on_an_empty_server(accounts, range(first, first + 20)):
        twins = Twins(accounts, seed)
        steps = [twins.request, twins.resolve, twins.go_on, twins.grant]
        for k, step in enumerate(twins.random.choices(steps, weights=[8, 3, 2, 1], k=60)):
            step(f"k{k}")
            twins.check()
    assert_equal_digests(primary, replica)
