#!/usr/bin/env python3
"""kill -9 again and again, under load: every acknowledged unit is counted, exactly once.

    .venv/bin/python tests/soak/crash.py --cycles 200 --seed 7      make soak is that; test_crash.py passes three cycles

One cycle. The clock is frozen, so that windows are known; it moves on only between the cycles, by seconds up to a week:

    clients ──pipelines──▶ server ──▶ AOF, appendfsync always; a replica with an AOF of its own
       │ answered: journal      ╳ kill -9 after a random number of answers, often while the AOF is being rewritten and
       │                        │   writes are paused for moments; or an orderly promotion: pause, the replica has it
       │                        │   all, kill -9, the replica is the primary from here on
       │ not answered           │ start, freeze the clock where it stood
       ▼                        ▼
    1  sent without an id       the server has counted what was answered, and of the rest the first few: a pipeline
                                is done in order, and what is done is done whole (RL.ALLOW, CONSUME without ID)
    2  the clock moves on
    3  sent with an id          sent again. Its units come to be counted now, or were (a replay), never both
    4  accounts                 used and held = the sum of all answers in the journal
    5  answered before          sent again: the same answer, nothing changes
    6  changes one by one       of a plan, policies, exceptions, leases, a table, breakers: what was answered is
                                there, what was not is done or not (sequence.py)
    7  digests, plans, policies equal on the replica, and after reading the RDB file and the AOF

The harness ends with status 1 and the seed at the first thing that is not so.
"""

import argparse
import collections
import dataclasses
import pathlib
import random
import sys
import threading
import time

import redis

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
sys.path.append(str(pathlib.Path(__file__).resolve().parent))
from sequence import SETUP, Sequence  # noqa: E402
from servers import Server, caught_up, wait_until  # noqa: E402

NOON_MS = 1738335600000
MOVES_MS = (1, 1_000, 20_000, 600_000, 86_400_000, 604_800_000)
KEPT_MS = 30 * 86_400_000  # ids are remembered for longer than any move
CLIENTS = 6
ACCOUNTS = ("acme", "hooli", "initech")
DAY_LIMIT = 6_000  # of resource r, reached now and then: then there are denials
WINDOW_LIMIT, WINDOW_MS = 300, 60_000  # of RL.ALLOW


@dataclasses.dataclass
class Request:
    """One command and what came of it. `units` is what it requests, `held` what its reservation requested."""
    kind: str
    account: str
    words: tuple
    units: int = 0
    held: int = 0
    answer: object = None  # None: the connection was lost before it came


def changes(request):
    """What a request did to (account, resource), going by its answer: used, held."""
    answer, r = request.answer, (request.account, "r")
    if isinstance(answer, redis.ResponseError):
        resolved = str(answer).startswith("RESOLVED")  # sent again: the first time it was done
        assert resolved or str(answer).startswith("NOSUCHID"), f"{request.words}: {answer}"
        posted = request.units if request.kind == "commit" else 0
        held = request.units if request.kind == "reserve" else -request.held
        return {r: (posted, held)} if resolved else {}
    if request.kind == "both":
        return {(request.account, name): (verdict[0], 0) for name, verdict in zip("rs", answer)}
    used = {"consume": answer[0], "commit": answer[0], "refund": -answer[0]}
    held = {"reserve": answer[0], "commit": -answer[0] - answer[1], "release": -answer[1]}
    return {r: (used.get(request.kind, 0), held.get(request.kind, 0))}


class Client:
    """Sends pipelines of random requests until the connection breaks; remembers all of them in order."""

    def __init__(self, number, seed):
        self.number, self.chance = number, random.Random(f"{seed} {number}")
        self.serial = 0
        self.holds, self.grants = [], []  # reservations not yet resolved, consumptions not yet refunded
        self.sent = []

    def work(self, connection):
        try:
            while True:
                batch = [self.invent() for _ in range(self.chance.randint(1, 8))]
                self.sent += batch
                connection.send_packed_command(connection.pack_commands([request.words for request in batch]))
                for request in batch:
                    request.answer = answer_of(connection)
        except redis.ConnectionError:
            pass  # killed

    def invent(self):
        account, units = self.chance.choice(ACCOUNTS), self.chance.randint(1, 9)
        self.serial += 1
        name = f"{self.number}-{self.serial}"
        kind = self.chance.choice(("consume", "consume", "both", "reserve", "resolve", "refund", "blind", "window"))
        if kind == "resolve" and self.holds:
            return self.resolve(self.holds.pop(self.chance.randrange(len(self.holds))))
        if kind == "refund" and self.grants:
            taken = self.grants.pop(self.chance.randrange(len(self.grants)))
            back = self.chance.randint(1, taken.units)
            words = ("QUOTA.REFUND", taken.account, "r", back, "OF", taken.words[5], "ID", name)
            return Request("refund", taken.account, words, back)
        if kind == "both":
            words = ("QUOTA.MCONSUME", account, 2, "r", units, "s", 1, "ID", name)
            return Request("both", account, words, units)
        if kind == "reserve":
            words = ("QUOTA.RESERVE", account, name, "r", units, "TTL", "999d")
            self.holds.append(Request("reserve", account, words, units))
            return self.holds[-1]
        if kind == "blind":
            return Request("blind", account, ("QUOTA.CONSUME", "blind", f"c{self.number}", units), units)
        if kind == "window":
            return Request("window", account, (*self.window(), "COST", units), units)
        words = ("QUOTA.CONSUME", account, "r", units, "ID", name)
        self.grants = self.grants[-20:] + [Request("consume", account, words, units)]
        return self.grants[-1]

    def window(self):
        return ("RL.ALLOW", f"window{self.number}", "FIXED", WINDOW_LIMIT, f"{WINDOW_MS}ms")

    def resolve(self, hold):
        name, posted = hold.words[2], self.chance.randint(0, hold.units)
        if posted:
            return Request("commit", hold.account, ("QUOTA.COMMIT", hold.account, name, posted), posted, hold.units)
        return Request("release", hold.account, ("QUOTA.RELEASE", hold.account, name), 0, hold.units)


def answer_of(connection):
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


class Harness:
    """The server, its clients, and what all answers together say must be counted."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.now_ms = NOON_MS
        self.server, self.follower = (Server(appendonly="yes", appendfsync="always",
                                             **{"quota.id-ttl-ms": str(KEPT_MS), "quota.id-max": "1000000"})
                                      for _ in range(2))
        self.sequence = Sequence(random.Random(f"{seed} sequence"))
        self.clients = [Client(number, seed) for number in range(CLIENTS)]
        self.used, self.held = collections.Counter(), collections.Counter()  # by (account, resource)
        self.blind, self.windows = [0] * CLIENTS, [0] * CLIENTS
        self.figures = collections.Counter()

    def open(self):
        self.start()
        self.call("QUOTA.PLAN", "SET", "p", "r", "LIMIT", 10**15, "forever", "LIMIT", DAY_LIMIT, "day")
        self.call("QUOTA.PLAN", "SET", "p", "s", "LIMIT", 10**15, "forever")
        for client in self.clients:
            self.call("QUOTA.PLAN", "SET", "blind", f"c{client.number}", "LIMIT", 10**15, "forever")
        for account in ACCOUNTS:
            self.call("QUOTA.OPEN", account, "p")
        self.call("QUOTA.OPEN", "blind", "blind")
        self.call("RL.POLICY", "SET", "gate", WINDOW_LIMIT, f"{WINDOW_MS}ms")
        self.call("RL.POLICY", "REFUSE", "gate", "10.0.0.0/8")
        for line in SETUP:
            self.call(*line.split())
        self.expected_configuration = self.configuration()

    def configuration(self):
        """How many accounts have a plan is a part of it: what a server frees in the background has to be gone."""
        wait_until(lambda: self.connection.info("memory")["lazyfree_pending_objects"] == 0, "keys are not freed")
        plans = [self.call("QUOTA.PLAN", "GET", plan) for plan in ("p", "blind")]
        return [self.call("RL.POLICY", "GET", "gate"), *plans]

    def start(self):
        """Both, whichever of them is the primary now, and whichever has been killed."""
        for server in (self.server, self.follower):
            if not server.process:
                server.start()
        self.connection = self.server.client(single_connection_client=True)
        self.call("QUOTA.CLOCK", "FREEZE", self.now_ms)
        self.follower.follow(self.server)

    def call(self, *words):
        return self.connection.execute_command(*words)

    def cycle(self):
        self.load_and_kill()
        self.start()
        self.check_unnamed()
        self.move()
        self.settle()
        self.check_accounts()
        self.check_replays()
        self.sequence.check(self.call, "after the kill")
        self.check_digests()
        for client in self.clients:
            client.sent = []
        self.figures["cycles"] += 1

    def load_and_kill(self):
        connections = [self.server.client().connection_pool.get_connection() for _ in self.clients]
        threads = [threading.Thread(target=client.work, args=(connection,))
                   for client, connection in zip(self.clients, connections)]
        threads.append(threading.Thread(target=self.sequence.work, args=(self.server.client(),)))
        wanted, rewrites = self.chance.randint(1, 1500), self.chance.choice((0, 0, 1, 2))
        pauses, promotes = self.chance.choice((0, 0, 1, 3)), self.chance.random() < 0.25
        for thread in threads:
            thread.start()
        try:
            if rewrites:  # from now on the server rewrites its AOF again and again, in one of the two formats
                self.call("CONFIG", "SET", "aof-use-rdb-preamble", self.chance.choice(("yes", "no")))
                self.call("CONFIG", "SET", "auto-aof-rewrite-percentage", 1, "auto-aof-rewrite-min-size", 1)
                wait_until(lambda: self.rewrites_begun() >= rewrites, "the AOF is not rewritten")
            wanted += self.answered() if rewrites else 0
            for _ in range(pauses):
                self.call("CLIENT", "PAUSE", self.chance.randint(1, 50), self.chance.choice(("WRITE", "ALL")))
                self.figures["pauses"] += 1
            wait_until(lambda: self.answered() >= wanted, "the server answers no client")
            if promotes:
                self.call("CLIENT", "PAUSE", 100_000, "WRITE")
                caught_up(self.server, self.follower)
        finally:
            self.server.kill()
            for thread in threads:
                thread.join()
        if promotes:
            self.promote()

    def promote(self):
        self.follower.client().replicaof("NO", "ONE")
        self.server, self.follower = self.follower, self.server
        self.figures["promotions"] += 1

    def rewrites_begun(self):
        return self.connection.info("persistence")["aof_rewrites"]

    def answered(self):
        return sum(request.answer is not None for client in self.clients for request in client.sent[:])

    # ---- what was sent without an id ----

    def check_unnamed(self):
        for at, client in enumerate(self.clients):
            mine = [request for request in client.sent if request.kind == "blind"]
            used = self.info("blind", f"c{at}")[0]
            self.blind[at] = self.one_of(possible(mine, self.blind[at], 10**15), used, f"c{at}")
            mine = [request for request in client.sent if request.kind == "window"]
            used = WINDOW_LIMIT - self.call(*client.window(), "PEEK")[2]
            self.windows[at] = self.one_of(possible(mine, self.windows[at], WINDOW_LIMIT), used, f"window{at}")

    def one_of(self, counts, used, what):
        assert used in counts, f"{what}: {used} are counted, it must be one of {counts}"
        return used

    # ---- time ----

    def move(self):
        before_ms = self.now_ms
        self.now_ms += self.chance.choice(MOVES_MS)
        self.call("QUOTA.CLOCK", "FREEZE", self.now_ms)
        if self.now_ms // WINDOW_MS > before_ms // WINDOW_MS:
            self.windows = [0] * CLIENTS
        for client, count in zip(self.clients, self.windows):
            assert WINDOW_LIMIT - self.call(*client.window(), "PEEK")[2] == count, "a window reopened"

    # ---- what was sent with an id ----

    def named(self):
        return [request for client in self.clients for request in client.sent
                if request.kind not in ("blind", "window")]

    def settle(self):
        """Sends again, one after another and in order, what was not answered."""
        for request in self.named():
            if request.answer is None:
                before = self.state(request.account)
                request.answer = self.repeat(request)
                done = difference(before, self.state(request.account))
                reported = {key: change for key, change in changes(request).items() if any(change)}
                assert done in ({}, reported), f"{request.words} says {reported}, it did {done}"
                self.figures["retries"] += 1
                self.figures["replays"] += reported != {} and done == {}
            self.record(request)
        for client in self.clients:
            self.figures["unnamed"] += sum(request.answer is not None and request.answer[0] > 0
                                           for request in client.sent if request.kind in ("blind", "window"))

    def repeat(self, request):
        try:
            return self.call(*request.words)
        except redis.ResponseError as error:
            return error

    def record(self, request):
        for key, (used, held) in changes(request).items():
            self.used[key] += used
            self.held[key] += held
            self.figures["units"] += max(used, 0)
            self.figures["refunded"] -= min(used, 0)
        self.figures["requests"] += 1
        self.figures["denied"] += request.kind in ("consume", "both", "reserve") and not granted(request)

    def state(self, account):
        return {(account, resource): self.info(account, resource) for resource in "rs"}

    def info(self, account, resource):
        reply = self.call("QUOTA.INFO", account, resource)
        rules = dict(zip(reply[::2], reply[1::2]))[b"rules"]
        forever = dict(zip(rules[0][::2], rules[0][1::2]))
        return forever[b"used"], forever[b"held"]

    def check_accounts(self):
        for account in ACCOUNTS:
            for key, counted in self.state(account).items():
                journal = (self.used[key], self.held[key])
                assert counted == journal, f"{key}: used and held are {counted}, the journal says {journal}"

    def check_replays(self):
        before = self.server.digest()
        for request in self.chance.sample(self.named(), min(100, len(self.named()))):
            if request.kind in ("consume", "both", "refund") and granted(request):
                assert self.call(*request.words) == request.answer, f"{request.words} changed its answer"
                self.figures["repeated"] += 1
        assert self.server.digest() == before, "a replay changed something"

    def check_digests(self):
        self.check_configuration("the kill")
        before = self.server.digest()
        caught_up(self.server, self.follower)
        assert self.follower.digest() == before, "the replica differs"
        self.sequence.check(self.follower.client().execute_command, "on the replica", replica=True)
        for how in ("RELOAD", "LOADAOF"):
            self.call("DEBUG", how)
            assert self.server.digest() == before, f"differs after DEBUG {how}"
            self.check_configuration(how)
            self.sequence.check(self.call, f"after DEBUG {how}")

    def check_configuration(self, after):
        """Plans and policies are no keys: digests do not see them."""
        assert self.configuration() == self.expected_configuration, f"plans or policies differ after {after}"

    def close(self):
        self.follower.close()
        self.server.close()


def possible(requests, count, limit):
    """Every count that these requests may have left: all that were answered, then none, one, two ... of the rest."""
    counts = [count]
    for request in requests:
        count += request.units if count + request.units <= limit else 0
        counts = [count] if request.answer is not None else counts + [count]
    return counts


def granted(request):
    if isinstance(request.answer, redis.ResponseError):
        return request.kind == "reserve"  # and resolved since
    verdicts = request.answer if request.kind == "both" else [request.answer]
    return all(verdict[0] > 0 for verdict in verdicts)


def difference(before, after):
    pairs = {key: (after[key][0] - before[key][0], after[key][1] - before[key][1]) for key in before}
    return {key: change for key, change in pairs.items() if any(change)}


def run(cycles, seed, say=print):
    """Passes the cycles; answers the figures."""
    harness = Harness(seed)
    begun = time.monotonic()
    try:
        harness.open()
        for number in range(cycles):
            harness.cycle()
            if (number + 1) % 10 == 0:
                say(f"{number + 1} of {cycles} cycles, {harness.figures['requests']} requests")
    except BaseException:
        say(f"seed {seed}, cycle {harness.figures['cycles']}")
        raise
    finally:
        harness.close()
    f = harness.figures
    say(f"{f['cycles']} kills in {time.monotonic() - begun:.0f} s: {f['requests']} requests with an id, {f['units']} "
        f"units acknowledged, {f['refunded']} refunded, {f['denied']} denials; {f['retries']} retries after a kill, of "
        f"them {f['replays']} replays; {f['repeated']} answers repeated, {f['unnamed']} admissions without an id: "
        f"each counted once. {harness.sequence.acknowledged} changes one by one, {f['pauses']} pauses, "
        f"{f['promotions']} promotions: each there")
    return f


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="kill -9 under load; every acknowledged unit is counted once")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20250131)
    options = parser.parse_args()
    run(options.cycles, options.seed)
