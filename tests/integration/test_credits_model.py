"""Credits against the slow model (credits_model): random grants, consumption, refunds, reservations, time.

    seed ─▶ a plan and a stream of commands ─┬─▶ server ─▶ reply ─┐
                                             └─▶ model  ─▶ reply ─┴─ equal? … and every wait of a denial is kept

QUOTA_OPERATIONS sets how many commands are drawn (6,000; make model: 300,000), QUOTA_SEED the first seed; a difference
is printed with the whole stream as typed.
"""

import copy
import os
import random

import pytest
import redis

from conftest import as_map, paged
from credits_model import DAY, HOUR, KEPT, Account
from servers import caught_up

OPERATIONS = int(os.environ.get("QUOTA_OPERATIONS", 6_000))
IN_A_STREAM = 60
SEED = int(os.environ.get("QUOTA_SEED", 20250131))
START = 1_738_335_600_000_000
PLANS = {
    "LIMIT 10 day": {"limits": [(10, "day")]},
    "LIMIT 10 day LIMIT 7 12h": {"limits": [(10, "day"), (7, "12h")]},
    "LIMIT 30 month LIMIT 10 day": {"limits": [(30, "month"), (10, "day")]},
    "LIMIT 10 day BURST 20%": {"limits": [(10, "day")], "burst": 20},
    "LIMIT 10 day OVERAGE": {"limits": [(10, "day")], "overage": True},
    "LIMIT 10 day LIMIT 7 12h OVERAGE MAX 4": {"limits": [(10, "day"), (7, "12h")], "overage": 4},
    "LIMIT 10 day BURST 20% CREDITS FIRST OVERAGE MAX 3": {"limits": [(10, "day")], "burst": 20, "overage": 3,
                                                           "first": True},
    "CREDITS OVERAGE MAX 3": {"limits": [], "prepaid": True, "overage": 3},
    "LIMIT 10 day CONCURRENT 9": {"limits": [(10, "day")], "concurrent": 9},
    "CREDITS CONCURRENT 12": {"limits": [], "prepaid": True, "concurrent": 12},
    "LIMIT 10 day LIMIT 7 6h CREDITS FIRST": {"limits": [(10, "day"), (7, "6h")], "first": True},
    "LIMIT 10 12h BURST 50% CREDITS FIRST": {"limits": [(10, "12h")], "burst": 50, "first": True},
    "CREDITS": {"limits": [], "prepaid": True},
    "CREDITS LOW 3 OVERAGE": {"limits": [], "prepaid": True, "overage": True},
}


class Stream:
    def __init__(self, quota, number):
        self.random, self.quota, self.lines = random.Random(number), quota, []
        rules = self.random.choice(list(PLANS))
        self.model, self.key, self.clock = Account(START, **PLANS[rules]), f"c{number}", START
        self.type(f"QUOTA.CLOCK FREEZE {START}us")
        self.type(f"QUOTA.PLAN SET cp{number} r {rules}")
        self.type(f"QUOTA.OPEN {self.key} cp{number}")
        self.names, self.given = [], []

    def type(self, line):
        self.lines.append(line)
        try:
            return self.quota(line)
        except redis.ResponseError as error:
            word = str(error).split()[0]
            return word if word.isupper() else "ERR"

    def same(self, answer, expected):
        assert answer == expected, "\n".join(self.lines) + f"\nanswered {answer}\nexpected {expected}"

    def run(self):
        for _ in range(IN_A_STREAM):
            getattr(self, self.random.choice(STEPS))()
        self.look()

    # ---- steps ----

    def advance(self):
        step = self.random.choice([1, 1000, HOUR, 5 * HOUR, 12 * HOUR, DAY, 3 * DAY, 31 * DAY])
        coming = [at for at in self.model.events() if self.clock < at < self.clock + 60 * DAY]
        if coming and self.random.random() < 0.6:
            step = min(coming) - self.clock - self.random.choice([0, 0, 1])
        self.clock += step
        self.type(f"QUOTA.CLOCK FREEZE {self.clock}us")
        self.model.advance(self.clock)

    def consume(self):
        units, mode = self.random.randint(1, 15), self.random.choice(["", "", "UPTO", "FORCE"])
        name = f"i{len(self.names)}" if self.random.random() < 0.7 else None
        expected = self.model.consume(units, mode, name)
        answer = self.type(f"QUOTA.CONSUME {self.key} r {units} {mode}" + (f" ID {name}" if name else ""))
        if expected is None:
            self.denied(answer, units if mode != "UPTO" else 1)
            return
        self.names += [name] if name else []
        self.same([*answer[:3], *answer[4:]], self.model.verdict(expected))

    def denied(self, answer, units):
        """The wait is kept: then, and not a millisecond earlier."""
        self.same(answer[0], 0)
        wait, at = answer[3], self.clock
        for later, admits in [(wait, True), (wait - 1, False)] if wait > 0 else [(40 * 86_400_000, False)]:
            self.type(f"QUOTA.CLOCK FREEZE {at + later * 1000}us")
            granted = self.type(f"QUOTA.CONSUME {self.key} r {units} CHECK")[0]
            assert (granted > 0) == admits or later == 0, "\n".join(self.lines) + f"\n{granted} after {later} of {wait}"
        self.type(f"QUOTA.CLOCK FREEZE {at}us")

    def refund(self):
        if self.names:
            name, units = self.random.choice(self.names), self.random.randint(1, 8)
            expected = self.model.refund(units, name)
            self.same(self.type(f"QUOTA.REFUND {self.key} r {units} OF {name}"), expected)

    def reserve(self):
        name, units = f"h{len(self.lines)}", self.random.randint(1, 12)
        hours, upto = self.random.choice([1, 7, 13, 30]), self.random.random() < 0.5
        expected = self.model.reserve(name, units, hours * HOUR, upto)
        answer = self.type(f"QUOTA.RESERVE {self.key} {name} r {units} TTL {hours}h" + " UPTO" * upto)
        if expected is None:
            self.not_reserved(answer, 1 if upto else units)
        else:
            self.same([*answer[:3], *answer[4:]], self.model.verdict(expected, holds=True))

    def not_reserved(self, answer, units):
        """The wait is what the model needs: there is no dry run of RESERVE."""
        self.same(answer[0], 0)
        wait = answer[3]
        for later, admits in [(wait, True), (wait - 1, False)] if wait > 0 else [(40 * 86_400_000, False)]:
            then = copy.deepcopy(self.model)
            then.advance(self.clock + later * 1000)
            granted = then.reserve("later", units, HOUR) is not None
            assert granted == admits or later == 0, "\n".join(self.lines) + f"\n{granted} after {later} of {wait}"

    def commit(self):
        if not self.model.holds:
            return
        name = self.random.choice(sorted(self.model.holds))
        units, force = self.random.randint(0, self.model.holds[name].units + 4), self.random.random() < 0.7
        expected = self.model.commit(name, units, force)
        answer = self.type(f"QUOTA.COMMIT {self.key} {name} {units}" + " FORCE" * force)
        self.same(answer, expected)
        if units and expected != "ERR":
            self.names.append(name)

    def release(self):
        if self.model.holds:
            name = self.random.choice(sorted(self.model.holds))
            self.same(self.type(f"QUOTA.RELEASE {self.key} {name}"), self.model.commit(name, 0))

    def grant(self):
        again = self.given and self.random.random() < 0.2
        if again:
            name, amount, effective, expires, priority, promo, every = self.random.choice(self.given)
        else:
            name, amount, priority = f"g{len(self.given)}", self.random.randint(1, 20), self.random.choice([50, 50, 9])
            promo, every = self.random.random() < 0.3, self.random.choice([None, None, None, "day", "month", "6h"])
            effective = self.clock + self.random.randint(-4, 40) * HOUR if self.random.random() < 0.4 else None
            expires = self.random.choice([None, "day", "month", "week", self.clock + self.random.randint(1, 99) * HOUR])
            self.given.append((name, amount, effective, expires, priority, promo, every))
        words = f" EFFECTIVE {effective}us" if effective else ""
        words += f" EXPIRES {expires if isinstance(expires, str) else f'{expires}us'}" if expires else ""
        words += f" PRIORITY {priority}" + " PROMO" * promo + (f" EVERY {every}" if every else "")
        expected = self.model.grant(name, amount, effective, expires, priority, promo, every)
        self.same(self.type(f"QUOTA.GRANT {self.key} {name} r {amount}{words}"), expected)

    def void(self):
        if self.given:
            name = self.random.choice(self.given)[0]
            self.same(self.type(f"QUOTA.VOID {self.key} {name}"), self.model.void_grant(name))

    def look(self):
        listed = {one["id"]: one for one in map(as_map, paged(self.quota, f"QUOTA.GRANTS {self.key}"))}
        for name, grant in self.model.grants.items():
            if not grant.ended:
                self.same([listed[name]["left"], listed[name]["held"]], [grant.left, grant.held])
        assert all(name in self.model.grants for name in listed)
        info = as_map(self.type(f"QUOTA.INFO {self.key} r"))
        self.same(info["credits"], self.model.credits())
        used = [rule["used"] for rule in info["rules"] if rule["kind"] == "LIMIT"]
        self.same(used, [limit.used for limit in self.model.limits])


STEPS = ["advance"] * 4 + ["consume"] * 6 + ["refund"] * 2 + ["reserve"] * 3 + ["commit"] * 3 + ["release"] \
    + ["grant"] * 4 + ["void", "look"]


@pytest.fixture
def credited(accounts):
    accounts("CONFIG SET quota.id-ttl-ms", KEPT // 1000)
    yield accounts
    accounts("CONFIG SET quota.id-ttl-ms", 86_400_000)


def test_random_streams_agree_with_the_model_of_credits(credited, pair):
    primary, replica = pair
    for number in range(max(OPERATIONS // IN_A_STREAM, 1)):
        Stream(credited, SEED + number).run()
        if number % 20 == 0:
            caught_up(primary, replica)
            assert replica.digest() == primary.digest()
        credited("FLUSHALL")
