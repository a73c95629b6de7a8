"""One client whose changes come one after another, each absolute: what was acknowledged is there, exactly.

    change ─▶ answer ─▶ model          change ─▶ ╳ killed: pending
                                                   ▼
    after the restart everything shown equals the model; the pending change, if there is one, is done or not

What it changes: a plan, policies and their exceptions, leases, subjects of a table, breakers.
"""

import re

import redis

SUBJECTS, NAMES, LEASES, CIRCUITS = 5, 4, 6, 3
TABLE_LIMIT = 10**9
SETUP = (f"RL.TABLE seq:table FIXED {TABLE_LIMIT} 9999d", "RL.POLICY SET seq 10 1s", "QUOTA.PLAN SET seq r LIMIT 1 day")


class Sequence:
    def __init__(self, chance):
        self.chance, self.model, self.pending = chance, {("plan", 0): 1}, None
        self.acknowledged = 0

    def work(self, client):
        """Changes until the connection breaks."""
        try:
            while True:
                *self.pending, line = self.invent()
                client.execute_command(*line.split())
                self.take()
        except redis.ConnectionError:
            pass  # killed

    def take(self):
        key, value = self.pending
        self.model[key], self.pending = value, None
        self.acknowledged += 1

    def invent(self):
        """(key, value) of the model, and the line that makes it true."""
        chance, number = self.chance, self.chance.randint(1, 10**6)
        kind = chance.choice(("plan", "override", "policy", "lease", "table", "breaker"))
        at = chance.randrange({"override": SUBJECTS, "policy": NAMES, "lease": LEASES, "table": SUBJECTS,
                               "breaker": CIRCUITS}.get(kind, 1))
        there = self.model.get((kind, at)) is not None
        if kind == "plan":
            return (kind, at), number, f"QUOTA.PLAN SET seq r LIMIT {number} day"
        if kind == "table":
            cost = number % 100 + 1
            return (kind, at), self.model.get((kind, at), 0) + cost, f"RL.TAKE seq:table s{at} COST {cost}"
        if kind == "breaker":
            word = chance.choice(("open", "closed"))
            return (kind, at), word, f"RL.BREAKER seq:breaker{at} FORCE {word}"
        gone = there and chance.random() < 0.4
        if kind == "override":
            rule = "" if gone else f" {number} 1h"
            return (kind, at), None if gone else number, f"RL.POLICY OVERRIDE seq s{at}{rule}"
        if kind == "policy":
            words = f"DEL seq{at}" if gone else f"SET seq{at} {number} 1h"
            return (kind, at), None if gone else number, f"RL.POLICY {words}"
        words = f"RL.RELEASE seq:lease x{at}" if gone else f"RL.ACQUIRE seq:lease 100 9999d ID x{at}"
        return (kind, at), None if gone else 1, words

    # ---- what the server shows ----

    def check(self, call, where, replica=False):
        """A replica refuses RL.TAKE, also to look: its table is in the digest."""
        shown = self.shown(call, tables=not replica)
        for key in shown:
            allowed = [self.model.get(key)]
            if self.pending and self.pending[0] == key:
                allowed.append(self.pending[1])
            assert shown[key] in allowed, f"{where}: {key} shows {shown[key]}, it must be one of {allowed}"
        if self.pending and shown[self.pending[0]] == self.pending[1]:
            self.take()
        self.pending = None

    def shown(self, call, tables):
        overrides = rules_of(call("RL.POLICY", "GET", "seq"))
        leases = repr(call("RL.LEASES", "seq:lease", "COUNT", 1000))
        found = {("plan", 0): int(re.search(r"LIMIT (\d+) day", repr(call("QUOTA.PLAN", "GET", "seq")))[1])}
        for at in range(SUBJECTS):
            found["override", at] = overrides.get(f"s{at}")
        for at in range(SUBJECTS if tables else 0):
            found["table", at] = (TABLE_LIMIT - call("RL.TAKE", "seq:table", f"s{at}", "PEEK")[2]) or None
        for at in range(NAMES):
            found["policy", at] = policy_of(call, f"seq{at}")
        for at in range(LEASES):
            found["lease", at] = 1 if f"'x{at}'" in leases else None
        for at in range(CIRCUITS):
            info = repr(call("RL.BREAKER.INFO", f"seq:breaker{at}"))
            forced = re.search(r"'forced', b'(open|closed)'", info)
            found["breaker", at] = forced[1] if forced else None
        return found


def rules_of(policy):
    """Subject ──▶ the limit of its override."""
    return {subject: int(limit) for subject, limit in
            re.findall(r"b'subject', b'(s\d+)', b'until', 0, b'rules', \[b'GCRA (\d+) 1h'\]", repr(policy))}


def policy_of(call, name):
    try:
        return int(re.search(r"GCRA (\d+) 1h", repr(call("RL.POLICY", "GET", name)))[1])
    except redis.ResponseError as error:
        assert str(error).startswith("NOPOLICY"), error
        return None
