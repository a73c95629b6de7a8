"""Families against the slow model (family_model): random trees, pools, credits, moves, transfers, reservations, time.

Drawn too: requests of two resources (ALL, ANY), refunds without a name, SET and RESET, accounts that are closed or
deleted, GRACE, REPAY, ROLLOVER, rolling windows. Not drawn: accounts that are opened again.

    seed ─▶ a tree of accounts and a stream of commands ─┬─▶ server ─▶ reply ─┐
                                                         └─▶ model  ─▶ reply ─┴─ equal? … every account, every member

After every command, whatever the model says: what a pool counts for its members is what their replies add up to (where
units come back by name alone), no level is above its limit unless it was forced or set (or a grace has passed, or a
debt has come), and what moves, divides or transfers makes no unit. QUOTA_OPERATIONS sets how many commands are drawn
(4,000; make model: 300,000), QUOTA_SEED the first seed; a difference is printed with the whole stream as typed.
"""

import os
import random

import pytest
import redis

from account_model import Rollover
from conftest import as_map, clear_plans, paged
from credits_model import DAY, HOUR, KEPT
from family_model import EVENTS_AHEAD, Family, Plan, Refused, consume_batch, first_fit
from model import Rule, first_instant
from servers import caught_up

OPERATIONS = int(os.environ.get("QUOTA_OPERATIONS", 4_000))
IN_A_STREAM = 80
SEED = int(os.environ.get("QUOTA_SEED", 20250131))
START = 1_738_335_600_000_000
ZONES = ["UTC", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
LONGEST = ["day", "day", "day", "week", "month", "day CALENDAR", "month CALENDAR", "36h", "forever"]
SHORTER = [None, None, "6h", "12h"]
GONE_MOST = 3  # of the accounts of a stream end
POOLS_MOST = 3  # of a cycle: beyond that the oldest become one
FAR_MS = 60 * 86_400_000


class Draw:
    """What a stream begins with, all from one seed."""

    def __init__(self, number):
        self.random = random.Random(number)
        self.number, self.credits, self.forced = number, self.chance(0.6), self.chance(0.4)
        self.sharing, self.costs, self.words = self.chance(0.5), self.chance(0.2), "rs" if self.chance(0.35) else "r"
        self.costs = self.costs and not self.credits
        self.corrected = self.chance(0.4)  # units come back without a name
        self.soft = self.chance(0.35)  # GRACE, REPAY
        self.rolls, self.rolling = self.chance(0.3), self.chance(0.25)  # ROLLOVER; rolling windows

    def chance(self, part):
        return self.random.random() < part

    def plan(self, pool):
        if self.chance(0.1):
            return None  # it does not know the resource
        if self.credits and self.chance(0.1):
            return Plan(first=self.chance(0.5))
        number = self.random.randint(10, 60) if pool else self.random.choice([8, 12, 20, 30, 100])
        share = self.random.choice(["EQUAL", "FAIR"]) if pool and self.sharing and self.chance(0.7) else "FIRST"
        limits, shorter = [(number, self.random.choice(LONGEST))], self.random.choice(SHORTER)
        limits += [(max(number // 2, 1), shorter)] if shorter else []
        self.random.shuffle(limits)
        burst = self.random.choice([20, 50]) if self.chance(0.4 if self.soft else 0.2) else 0
        return Plan(
            tuple(limits), Rule("GCRA", self.random.choice([6, 15]), HOUR, 0) if self.chance(0.12) else None,
            self.random.choice([6, 10, 15]) if self.chance(0.15) else None,
            burst,
            self.random.choice([2, 5, True]) if self.chance(0.2) else 0, self.credits and self.chance(0.15),
            share,
            self.random.choice([2, 3]) if self.costs and self.chance(0.5) else 1,
            self.random.choice([1, 5, 30]) * HOUR if self.soft and self.chance(0.3) else 0,
            bool(burst) and self.soft and self.chance(0.6),
            Rollover(self.random.choice(["50", "100", "33.3"]), self.random.choice([None, None, 7]),
                     self.random.choice([1, 1, 3])) if self.rolls and self.chance(0.5) else None,
            (self.random.choice([7, 12, 25]), self.random.choice([3, 9, 30]) * HOUR)
            if self.rolling and self.chance(0.3) else ())

    def anchor(self):
        return START - self.random.choice([0, 0, 3 * HOUR + 1, 40 * DAY]) + (2 * DAY if self.chance(0.04) else 0)


TREE = {"org": None, "red": "org", "blue": "org", "r1": "red", "r2": "red", "b1": "blue", "o1": "org", "b2": "blue",
        "deep": "b2"}
POOLS = ["org", "red", "blue", "b2"]


class Side:
    """One resource: its model, what was taken of it, granted, charged, and which levels were forced."""

    def __init__(self, word):
        self.word, self.model = word, Family(START)
        self.taken, self.given, self.charges, self.forced = [], [], [], set()


class Stream:
    def __init__(self, quota, number):
        self.quota, self.lines, self.clock, self.drawn = quota, [], START, Draw(number)
        self.random, self.names, self.pools, self.gone = self.drawn.random, list(TREE), list(POOLS), 0
        self.sides, self.replies, self.batches = [Side(word) for word in self.drawn.words], {}, {}
        self.turn_to(self.sides[0])
        self.type(f"QUOTA.CLOCK FREEZE {START}us")
        for name, parent in TREE.items():
            self.open(name, parent)
        for name in POOLS:
            for member in self.model.levels[name].members:
                if self.drawn.chance(0.3):
                    self.weight_of(name, member)

    def turn_to(self, side):
        """The next step is about this resource."""
        self.word, self.model = side.word, side.model
        self.taken, self.given, self.charges, self.forced = side.taken, side.given, side.charges, side.forced

    def open(self, name, parent):
        zone, anchor = self.random.choice(ZONES), self.drawn.anchor()
        plans = [self.drawn.plan(name in POOLS) for _ in self.sides]
        self.type(f"QUOTA.PLAN SET {name}{self.drawn.number} other LIMIT 5 day")
        for side, plan in zip(self.sides, plans):
            if plan:
                self.type(f"QUOTA.PLAN SET {name}{self.drawn.number} {side.word} {plan.text()}")
            side.model.open(name, plan, zone, anchor)
        above = f" PARENT {self.key(parent)}" if parent else ""
        self.type(f"QUOTA.OPEN {self.key(name)} {name}{self.drawn.number} ANCHOR {anchor}us ZONE {zone}{above}")
        if parent:
            self.of_all("join", name, parent)

    def of_all(self, command, *words):
        for side in self.sides:
            getattr(side.model, command)(*words)

    @staticmethod
    def key(name):
        return "{f}" + name

    def type(self, line):
        self.lines.append(line)
        try:
            return self.quota(line)
        except redis.ResponseError as error:
            word = str(error).split()[0]
            return word if word.isupper() else "ERR"

    def same(self, answer, expected, of=""):
        assert answer == expected, "\n".join(self.lines) + f"\n{of} answered {answer}\nexpected {expected}"

    def run(self):
        for _ in range(IN_A_STREAM):
            self.turn_to(self.random.choice(self.sides))
            getattr(self, self.random.choice(STEPS))()
            if self.drawn.rolling:  # which knows units by their instants
                self.advance_to(self.clock + 1)
            for side in self.sides:
                self.turn_to(side)
                self.look()

    def answer_of(self, command, *words, **options):
        """The model's answer, or the code of its error."""
        try:
            return getattr(self.model, command)(*words, **options)
        except Refused as refused:
            return str(refused)

    # ---- consuming ----

    def advance(self):
        step = self.random.choice([1, 1000, HOUR, 5 * HOUR, 12 * HOUR, DAY, 3 * DAY])
        coming = [at for side in self.sides for level in side.model.levels.values() for at in level.events()
                  if self.clock < at < self.clock + 40 * DAY]
        if coming and self.drawn.chance(0.6):
            step = self.random.choice(sorted(coming)[:3]) - self.clock - self.random.choice([0, 0, 1])
        self.advance_to(self.clock + step)

    def advance_to(self, at):
        if at > self.clock:
            self.clock = at
            self.type(f"QUOTA.CLOCK FREEZE {at}us")
            self.of_all("advance", at)

    def consume(self):
        name, amount = self.random.choice(self.names), self.random.randint(1, 12)
        mode = self.random.choice(["", "", "UPTO", "FORCE" if self.drawn.forced else ""])
        id = f"i{len(self.lines)}"
        expected = self.answer_of("consume", name, amount, mode, id)
        answer = self.type(f"QUOTA.CONSUME {self.key(name)} {self.word} {amount} {mode} ID {id}")
        if isinstance(expected, str):
            self.same(answer, expected)
        elif not expected[0]:
            self.denied(answer, name, 1 if mode == "UPTO" else amount)
        else:
            self.same([*answer[:3], *answer[4:]], expected[1])
            self.taken.append((name, id))
            self.replies[id] = self.lines[-1], answer, self.clock + KEPT
            self.charged(name, id, mode)

    def charged(self, name, id, mode=""):
        self.charges.append(self.model.records[name, id])
        if mode == "FORCE":
            self.forced |= {level for level, *_ in self.charges[-1].levels}

    def denied(self, answer, name, amount):
        """A row that has too little decides; the wait is kept: then, and not a millisecond earlier."""
        self.refused(answer, name, amount)
        self.waits([(self.model, amount)], name, answer[3], f"CHECK {self.key(name)} {self.word} {amount}")

    def refused(self, answer, name, amount, holds=False):
        self.same(answer[0], 0)
        rows = self.model.refusing(name, amount, holds)
        # What fits now decides, too, where it will not when the wait for another level is over: a share of the next
        # cycle, a LIMIT whose GRACE has passed by then.
        graces = [number for number, level, _ in self.model.deciding(name) if level.plan.grace]
        rows += [row for row in self.model.rows(name, holds) if row[3] % 100 == 99 or row[3] // 100 in graces]
        assert [*answer[1:3], *answer[4:]] in rows, self.difference(answer, rows)

    def waits(self, wanted, name, answered, again):
        """Amounts of resources, which are admitted together."""
        first, events = first_fit(wanted, name)
        expected = -1 if first is None else -(-(first - self.clock) // 1000)
        shared = any(level.bounds_member(member) for model, _ in wanted for _, level, member in model.deciding(name))
        if shared or events > EVENTS_AHEAD:  # shares of coming cycles are not known before they begin
            early = expected == -1 or 0 <= answered <= expected or any(model.wait_is_vague(name) for model, _ in wanted)
            assert early, self.difference(answered, f"at most {expected}")
            return
        self.same(answered, expected, "the wait")
        for later, admits in [(expected, True), (expected - 1, False)] if expected > 0 else [(FAR_MS, False)]:
            self.type(f"QUOTA.CLOCK FREEZE {self.clock + later * 1000}us")
            granted = self.type(f"QUOTA.{again}")
            fits = isinstance(granted, str) or all(verdict[0] > 0 for verdict in granted) == admits
            assert fits or later == 0, self.difference(granted, admits)
        self.type(f"QUOTA.CLOCK FREEZE {self.clock}us")

    def difference(self, answer, expected):
        return "\n".join(self.lines) + f"\nanswered {answer}\nexpected {expected}"

    def replay(self):
        found = [reply for reply in self.replies.values() if reply[2] > self.clock]
        if found:
            line, answer, _ = self.random.choice(found)
            self.same(self.type(line), answer, "the same again")

    # ---- several resources ----

    def mconsume(self):
        """ALL: the whole or nothing; ANY: the first that admits."""
        if len(self.sides) < 2:
            return
        sides, any_of, id = self.random.sample(self.sides, 2), self.drawn.chance(0.4), f"i{len(self.lines)}"
        name, wanted = self.random.choice(self.names), [(side.model, self.random.randint(1, 8)) for side in sides]
        items = " ".join(f"{side.word} {amount}" for side, (_, amount) in zip(sides, wanted))
        line = f"QUOTA.MCONSUME {self.key(name)} 2 {items} {'ANY' if any_of else self.random.choice(['', 'ALL'])}"
        try:
            expected = consume_batch(wanted, name, any_of, id)
        except Refused as refused:
            self.same(self.type(f"{line} ID {id}"), str(refused))
            return
        answer = self.type(f"{line} ID {id}")
        for side, verdict, row, (_, amount) in zip(sides, expected, answer, wanted):
            self.turn_to(side)
            if verdict:
                self.same([*row[:3], *row[4:]], verdict)
                self.taken.append((name, id))
                self.charged(name, id)
            else:
                self.not_taken(row, name, amount, any_of and not any(expected), line)
        if any(expected):
            self.replies[id], self.batches[id] = (self.lines[-1], answer, self.clock + KEPT), sides
        elif not any_of:
            found = [row[3] for row in answer]
            self.waits(wanted, name, -1 if -1 in found else max(found), line[len("QUOTA."):] + " CHECK")

    def not_taken(self, row, name, amount, alone, line):
        """It has too little, or another one decides. alone: each row waits for itself."""
        if amount > self.model.most(name):
            self.refused(row, name, amount)
            if alone:
                self.waits([(self.model, amount)], name, row[3], f"CHECK {self.key(name)} {self.word} {amount}")
        else:
            rows = self.model.rows(name)
            assert not row[0] and [*row[1:3], *row[4:]] in rows + [[-1, -1, 0, -1]], self.difference(row, rows)

    def refund_batch(self, name, of):
        """ALL of it: of each row what is left."""
        full, expected, compared = self.rates_are_full(), [], []
        for side in self.batches[of]:
            taken = side.model.records.get((name, of))
            left = taken.amount - taken.returned if taken else 0
            expected.append(side.model.refund(name, left, of) if left else [0, 0, None])
            compared.append(2 if not left or side.model.remaining_is_vague(taken) else 3)
        answer = self.type(f"QUOTA.REFUND {self.key(name)} ALL OF {of}")
        self.same([row[:most] for row, most in zip(answer, compared)],
                  [row[:most] for row, most in zip(expected, compared)])
        self.advance_to(full)

    def refund(self):
        if self.taken:
            name, of = self.random.choice(self.taken[-12:])
            amount = None if self.drawn.chance(0.2) else self.random.randint(1, 8)
            full = self.rates_are_full()
            taken = self.model.records.get((name, of))
            if amount is None and taken and of in self.batches and taken.expires > self.clock:
                return self.refund_batch(name, of)
            if amount is None and taken and taken.returned == taken.amount:
                return
            expected = self.answer_of("refund", name, amount, of)
            words = f"{self.word} {amount}" if amount else "ALL"
            vague = taken and self.model.remaining_is_vague(taken)
            answer = self.type(f"QUOTA.REFUND {self.key(name)} {words} OF {of}")
            self.same(answer[:2] if vague else answer, expected[:2] if vague else expected)
            self.advance_to(full)

    def refund_newest(self):
        name, amount = self.random.choice(self.names), self.random.randint(1, 8)
        pools = [len(limit.running.pools) for _, level, _ in self.model.deciding(name) for limit in level.limits]
        if not self.drawn.corrected or max(pools, default=0) > POOLS_MOST:
            return
        expected = self.answer_of("refund_newest", name, amount)
        self.same(self.type(f"QUOTA.REFUND {self.key(name)} {self.word} {amount}"), expected)

    def rates_are_full(self):
        """What RATEs still remember of units of then is their own matter: time goes on until they remember nothing."""
        rates = [level.rate for side in self.sides for level in side.model.levels.values() if level.rate]
        return max([first_instant(rate.is_new, self.clock) for rate in rates], default=self.clock)

    # ---- reservations ----

    def reserve(self):
        name, amount, id = self.random.choice(self.names), self.random.randint(1, 10), f"h{len(self.lines)}"
        ttl, mode = self.random.choice([1, 7, 13, 30]) * HOUR, self.random.choice(["", "UPTO"])
        expected = self.answer_of("reserve", name, id, amount, ttl, mode)
        answer = self.type(f"QUOTA.RESERVE {self.key(name)} {id} {self.word} {amount} TTL {ttl}us {mode}")
        if isinstance(expected, str):
            self.same(answer, expected)
        elif expected[0]:
            self.same([*answer[:3], *answer[4:]], expected[1])
        else:
            self.refused(answer, name, 1 if mode == "UPTO" else amount, holds=True)

    def resolved(self, live):
        found = [key for key in self.model.holds if self.model.live(*key) == live and key[0] in self.names]
        return self.random.choice(found) if found else None

    def commit(self):
        key = self.resolved(True)
        if key:
            force = self.drawn.forced and self.drawn.chance(0.4)
            self.resolve(key, self.random.randint(0, self.model.holds[key].amount + 3 * force), force)

    def release(self):
        key = self.resolved(True)
        if key:
            full = self.rates_are_full()
            expected = self.answer_of("commit", *key, 0)
            self.same(self.type(f"QUOTA.RELEASE {self.key(key[0])} {key[1]}"), expected)
            self.advance_to(full)

    def commit_late(self):
        key = self.resolved(False)
        if key and self.clock >= self.model.holds[key].expires + KEPT:
            del self.model.holds[key]
        elif key and self.drawn.forced:
            self.resolve(key, self.random.randint(1, 8), True)

    def resolve(self, key, amount, force):
        (name, id), full = key, self.rates_are_full()
        vague = self.model.remaining_is_vague(self.model.holds[key])
        expected = self.answer_of("commit", name, id, amount, force)
        answer = self.type(f"QUOTA.COMMIT {self.key(name)} {id} {amount}" + " FORCE" * force)
        self.same(answer[:2] if vague else answer, expected[:2] if vague else expected)
        if amount and not isinstance(expected, str):
            self.taken.append(key)
            self.charged(name, id, "FORCE" if force else "")
        self.advance_to(max(full, self.rates_are_full()))

    def extend(self):
        key = self.resolved(True)
        if key:
            ttl = self.random.choice([1, 5, 40]) * HOUR
            self.same(self.type(f"QUOTA.EXTEND {self.key(key[0])} {key[1]} {ttl}us"), self.model.extend(*key, ttl))

    # ---- credits ----

    def grant(self):
        if not self.drawn.credits:
            return
        name, id, amount = self.random.choice(self.names), f"g{len(self.lines)}", self.random.randint(1, 15)
        if name not in self.model.known:
            return
        every = self.random.choice([None, None, None, "day", "6h"])
        effective = self.clock + self.random.randint(-4, 40) * HOUR if self.drawn.chance(0.3) else None
        expires = self.random.choice([None, None, "day", "week", self.clock + self.random.randint(1, 99) * HOUR])
        promo, priority = self.drawn.chance(0.2), self.random.choice([50, 50, 9])
        words = f" EFFECTIVE {effective}us" if effective else ""
        words += f" EXPIRES {expires if isinstance(expires, str) else f'{expires}us'}" if expires else ""
        words += f" PRIORITY {priority}" + " PROMO" * promo + (f" EVERY {every}" if every else "")
        level = self.model.levels[name]
        expected = level.grant(id, amount, effective, expires, priority, promo, every)
        self.same(self.type(f"QUOTA.GRANT {self.key(name)} {id} {self.word} {amount}{words}"), expected)
        self.given.append((name, id))

    def void(self):
        if self.given:
            name, id = self.random.choice(self.given)
            self.same(self.type(f"QUOTA.VOID {self.key(name)} {id}"), self.model.levels[name].void_grant(id))

    def transfer(self):
        source, target = self.random.sample(self.names, 2)
        if not {source, target} <= self.model.known:
            return
        amount, id = self.random.randint(1, 9), f"t{len(self.lines)}"
        before = [self.credits(name) for name in (source, target)]
        expected = self.model.transfer(source, target, amount, id)
        line = f"QUOTA.TRANSFER {self.key(source)} {self.key(target)} {self.word} {amount} ID {id}"
        self.same(self.type(line), expected)
        after = [self.credits(name) for name in (source, target)]
        assert sum(after) <= sum(before), self.difference(after, before)  # less where they pay for what is over

    def credits(self, name):
        return as_map(self.quota(f"QUOTA.INFO {self.key(name)} {self.word}"))["credits"]

    # ---- operators ----

    def figures(self):
        """What is used, held and left of every account."""
        infos = [as_map(self.quota(f"QUOTA.INFO {self.key(name)} {self.word}")) for name in sorted(self.model.known)]
        return [([(rule["used"], rule["held"]) for rule in info["rules"] if "account" not in rule], info["credits"])
                for info in infos]

    def move(self):
        name = self.random.choice([name for name in self.names if name not in POOLS[:3]] or [None])
        if not name:
            return
        parent = self.random.choice([one for one in self.pools if name not in self.model.line(one)])
        before = self.figures()
        self.same(self.type(f"QUOTA.PARENT {self.key(name)} {self.key(parent)}"), b"OK")
        if self.model.parents.get(name) != parent:
            self.of_all("join", name, parent)
        self.same(self.figures(), before, "who moves takes nothing along")

    def detach(self):
        name = self.random.choice(["r1", "b1", "o1", "b2"])
        if name not in self.names:
            return
        before = self.figures()
        self.same(self.type(f"QUOTA.DETACH {self.key(name)}"), b"OK")
        self.of_all("leave", name)
        self.same(self.figures(), before, "who leaves takes nothing along")

    def weight(self):
        pool = self.random.choice(self.pools)
        if self.model.levels[pool].members:
            self.weight_of(pool, self.random.choice(list(self.model.levels[pool].members)))

    def weight_of(self, pool, member):
        weight = self.random.choice([1, 2, 3, 7])
        self.same(self.type(f"QUOTA.WEIGHT {self.key(pool)} {self.key(member)} {weight}"), b"OK")
        for side in self.sides:
            side.model.levels[pool].members[member] = weight

    def close(self):
        self.end("close", "QUOTA.CLOSE", b"OK")

    def delete(self):
        self.end("delete", "DEL", 1)

    def end(self, command, word, expected):
        """A member or a level is no more: what was taken there before comes back to the others."""
        names = [name for name in self.names if name != "org"]
        if self.gone == GONE_MOST or not self.drawn.chance(0.5):
            return
        name, self.gone = self.random.choice(names), self.gone + 1
        self.names.remove(name)
        self.pools = [pool for pool in self.pools if pool != name]
        self.of_all(command, name)
        self.same(self.type(f"{word} {self.key(name)}"), expected)
        for line in ("CONSUME {} r 1", "REFUND {} r 1", "REFUND {} r 1 OF i", "RESERVE {} h r 1 TTL 1h"):
            self.same(self.type("QUOTA." + line.format(self.key(name))), "NOACCOUNT")
        for side in self.sides:
            side.taken[:] = [key for key in side.taken if key[0] != name]
            side.given[:] = [key for key in side.given if key[0] != name]
        self.replies = {id: reply for id, reply in self.replies.items() if self.key(name) + " " not in reply[0]}

    def correct(self):
        name = self.random.choice(self.names)
        level = self.model.levels[name]
        if not self.drawn.corrected or name not in self.model.known or not level.limits:
            return
        period, used = self.random.choice([limit.word for limit in level.limits]), self.random.randint(0, 12)
        period = None if len(level.limits) == 1 and not level.rolling and self.drawn.chance(0.5) else period
        if self.drawn.chance(0.5):
            self.model.set(name, used, period)
            words = f"SET {self.key(name)} {self.word} {used}" + f" PERIOD {period}" * bool(period)
            self.forced.add(name)
        elif self.drawn.chance(0.2):
            for side in self.sides:
                side.model.reset(name, None)
            words = f"RESET {self.key(name)}"
        else:
            period = self.random.choice([period, None])
            self.model.reset(name, period)
            words = f"RESET {self.key(name)} {self.word}" + f" PERIOD {period}" * bool(period)
        self.same(self.type(f"QUOTA.{words}"), b"OK")

    def suspend(self):
        name = self.random.choice(self.names)
        suspended = self.drawn.chance(0.3)
        for side in self.sides:
            side.model.levels[name].suspended = suspended
        word = "SUSPEND" if suspended else "RESUME"
        self.same(self.type(f"QUOTA.{word} {self.key(name)}"), b"OK")

    # ---- comparing ----

    def look(self):
        for name in sorted(self.model.known):
            level, info = self.model.levels[name], as_map(self.quota(f"QUOTA.INFO {self.key(name)} {self.word}"))
            found = [(rule["used"], rule["held"]) for rule in info["rules"]
                     if rule["kind"] == "LIMIT" and "account" not in rule]
            self.same(found, [(limit.used, level.held(limit)) for limit in level.limits], name)
            rolling = [rule["used"] for rule in info["rules"] if rule["kind"] == "ROLLING" and "account" not in rule]
            self.same(rolling, [level.rolling.used(self.clock)] if level.rolling else [], f"rolling window of {name}")
            limits = [(rule["limit"], rule["rolled"]) for rule in info["rules"]
                      if rule["kind"] == "LIMIT" and "account" not in rule]
            expected = [(limit.number, limit.rolled(limit.running)) for limit in level.limits]
            self.same(limits, expected, f"limits and lots of {name}")
            self.same(info["credits"], level.credits(), name)
            within = all(used + held <= level.most_of(limit) for (used, held), limit in zip(found, level.limits))
            assert within or name in self.forced, self.difference(found, f"within the limits of {name}")
            self.look_at_members(name, level)

    def look_at_members(self, name, level):
        shown = paged(self.quota, f"QUOTA.MEMBERS {self.key(name)} RESOURCE {self.word}")
        of_server = {one["member"][3:]: one["used"] for one in shown}
        start = level.cycle(self.clock)
        expected = {member: level.counted.get((member, start), 0) for member in level.members}
        self.same(of_server, expected, f"members of {name}")
        self.same([one["weight"] for one in shown], list(level.members.values()), f"weights in {name}")
        if not self.drawn.credits:
            self.look_at_replies(name, level, of_server)
        if level.plan.share != "FIRST" and level.limits and self.clock >= level.anchor:
            made = level.shares.get(level.longest().start)
            share = {member: level.share(member) if made is None or member in made else -1 for member in level.members}
            self.same({one["member"][3:]: one["share"] for one in shown}, share, f"shares of {name}")


    def look_at_replies(self, name, level, of_server):
        """What was granted to its members, less what was refunded, is what the pool counts for them."""
        counted, what = dict.fromkeys(of_server, 0), "what replies of the members of " + name + " add up to"
        for taken in self.charges:
            for one, member, cost, _ in taken.levels:
                if one == name and member in counted and level.cycle(taken.at) == level.cycle(self.clock):
                    counted[member] += (taken.amount - taken.returned) * cost
        if self.drawn.corrected:
            return  # what came back without a name does not come back by name, which a reply does not say by level
        if any(taken.stopped for taken in self.charges):
            assert all(of_server[member] >= counted[member] for member in counted), self.difference(of_server, counted)
        else:
            self.same(of_server, counted, what)


STEPS = ["advance"] * 6 + ["consume"] * 12 + ["mconsume"] * 5 + ["refund"] * 4 + ["refund_newest"] * 2 \
    + ["reserve"] * 5 + ["commit"] * 4 + ["release"] + ["commit_late", "extend", "replay", "void"] + ["grant"] * 3 \
    + ["transfer"] * 2 + ["move"] * 2 + ["detach", "weight", "suspend", "suspend"] + ["correct"] * 2 \
    + ["close", "delete"]


@pytest.fixture
def families(accounts):
    accounts("CONFIG SET quota.id-ttl-ms", KEPT // 1000)
    yield accounts
    accounts("CONFIG SET quota.id-ttl-ms", 86_400_000)


@pytest.mark.parametrize("quota", [3], ids=["resp3"], indirect=True)
def test_random_families_agree_with_the_model(families, pair):
    primary, replica = pair
    for number in range(max(OPERATIONS // IN_A_STREAM, 1)):
        Stream(families, SEED + number).run()
        if number % 20 == 19:
            caught_up(primary, replica)
            assert replica.digest() == primary.digest()
        families("FLUSHALL")
        clear_plans(families)
        families("CONFIG SET quota.id-ttl-ms", KEPT // 1000)
