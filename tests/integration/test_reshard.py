"""Hundreds of slots move with the tool that operators use, redis-cli --cluster reshard, while clients consume.

    slots       0 ... 399 ───400───▶ shard 2         5461 ... 5760 ───300───▶ shard 0
                          and on ──▶ shard 1, atomically, where the server can do that
    accounts    most of them live in the slots that move; small limits that run out on the way, large ones that do not
    clients     consume with ids, now and then again with the same id, and check a rate limit beside each account
    workers     wait in line for leases beside some accounts, hold one for a moment and release it

Each client notes what it was granted. Afterwards the servers have counted exactly that. No lease has two holders.
"""

import collections
import pathlib
import random
import shutil
import subprocess
import threading

import pytest
import redis
from redis.crc import key_slot

from servers import SERVER, wait_until
from test_cluster import ATOMIC, SHARDS, SLOTS, Cluster, move_atomically, name_of, used

SMALL, LARGE = 40, 1_000_000
CLIENTS = 3
WORKERS, LEASES = 4, 6
MOVES = ((0, 2, 400), (1, 0, 300))  # from shard, to shard, slots
SETTLED = "All nodes agree about slots configuration", "All 16384 slots covered"


@pytest.fixture
def cluster():
    cluster = Cluster()
    try:
        cluster.start()
        for name, limit in (("small", SMALL), ("large", LARGE)):
            cluster.on_primaries(f"QUOTA.PLAN SET {name} r LIMIT {limit} day LIMIT {limit} month")
        yield cluster
    finally:
        cluster.close()


def redis_cli(*words):
    """The tool that belongs to the server: how it ended, and its output."""
    beside = [pathlib.Path(SERVER).parent / name for name in ("redis-cli", "valkey-cli") if "/" in SERVER]
    tool = next((str(path) for path in beside if path.exists()), shutil.which("redis-cli"))
    done = subprocess.run([tool, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def settle(cluster):
    """Nodes announce to each other what has moved; until all know, the tool refuses to move more."""
    def is_settled():
        code, output = redis_cli("--cluster", "check", f"127.0.0.1:{cluster.primaries[0].port}")
        return code == 0 and all(words in output for words in SETTLED)
    wait_until(is_settled, "the nodes do not agree")


def reshard(cluster, source, target, slots):
    settle(cluster)
    code, output = redis_cli("--cluster", "reshard", f"127.0.0.1:{cluster.primaries[target].port}", "--cluster-yes",
                             "--cluster-from", name_of(cluster.primaries[source]),
                             "--cluster-to", name_of(cluster.primaries[target]), "--cluster-slots", slots)
    assert code == 0 and output.count("Moving slot ") >= slots, output[-3000:]


def names_in(first, last, count):
    """So many account names whose slots lie there; each slot at most once."""
    slots, names = set(), []
    for number in range(SLOTS * 100):
        slot = key_slot(f"acct{number}".encode())
        if first <= slot <= last and slot not in slots:
            slots.add(slot)
            names.append(f"acct{number}")
            if len(names) == count:
                return names
    raise LookupError("no more names")


class Account:
    """Two keys of one slot: the account and a rate limit with the same number."""

    def __init__(self, name, limit):
        self.name, self.limit, self.window = name, limit, "{" + name + "}w"


class Spender(threading.Thread):
    """Consumes one unit after another from every account in turn, and notes what was granted."""

    def __init__(self, cluster, number, accounts):
        super().__init__()
        self.client, self.number, self.accounts = cluster.client(), number, accounts
        self.random = random.Random(number)
        self.granted, self.admitted = collections.Counter(), collections.Counter()
        self.denied, self.rounds, self.stopping, self.fault = set(), 0, False, None

    def run(self):
        try:
            while not self.stopping:
                for account in self.accounts:
                    self.spend(account, f"{self.number}-{self.rounds}")
                self.rounds += 1
        except BaseException as fault:  # raised by the test, not by the thread
            self.fault = fault

    def spend(self, account, name):
        consume = ("QUOTA.CONSUME", account.name, "r", 1, "ID", name)
        answer = self.client.execute_command(*consume)
        if answer[0] and self.random.random() < 0.3:  # as if the answer had been lost
            assert self.client.execute_command(*consume) == answer
        self.note(self.granted, account.name, answer)
        answer = self.client.execute_command("RL.ALLOW", account.window, "FIXED", account.limit, "1d")
        self.note(self.admitted, account.window, answer)

    def note(self, counter, key, answer):
        if answer[0]:
            assert key not in self.denied, f"{key} had run out, and has opened again: {answer}"
            counter[key] += 1
        else:
            self.denied.add(key)


class Worker(threading.Thread):
    """Waits for one lease after another. A node that has not the key any more sends it away; then it tries again."""

    held, last_tokens, guard = set(), {}, threading.Lock()

    def __init__(self, cluster, keys):
        super().__init__()
        self.client, self.keys = cluster.client(), keys
        self.rounds, self.sent_away, self.stopping, self.fault = 0, 0, False, None

    def run(self):
        try:
            while not self.stopping:
                for key in self.keys:
                    self.work(key)
                self.rounds += 1
        except BaseException as fault:  # raised by the test, not by the thread
            self.fault = fault

    def work(self, key):
        try:
            answer = self.client.execute_command("RL.ACQUIRE", key, 1, "1h", "WAIT", "200ms")
        except redis.exceptions.ResponseError as error:
            assert str(error).startswith("UNBLOCKED") or isinstance(error, redis.exceptions.TryAgainError), error
            self.sent_away += 1
            return
        if answer[0] == 0:
            return
        with self.guard:
            assert key not in self.held, f"{key} is held twice"
            assert self.last_tokens.get(key, 0) < answer[7], f"{key} has an older token than before"
            self.held.add(key)
            self.last_tokens[key] = answer[7]
        with self.guard:
            self.held.remove(key)
        assert self.client.execute_command("RL.RELEASE", key, answer[6]) == 1


def progress(spenders, rounds=1):
    goal = [spender.rounds + rounds for spender in spenders]
    wait_until(lambda: any(spender.fault for spender in spenders) or
               all(spender.rounds >= least for spender, least in zip(spenders, goal)), "a client has stopped")
    assert not [spender.fault for spender in spenders if spender.fault]


def open_accounts(cluster):
    names = names_in(0, 399, 30) + names_in(5461, 5760, 30) + names_in(12000, SLOTS - 1, 10)
    accounts = [Account(name, SMALL if number % 2 else LARGE) for number, name in enumerate(names)]
    client = cluster.client()
    for account in accounts:
        client.execute_command("QUOTA.OPEN", account.name, "small" if account.limit == SMALL else "large")
        client.execute_command("QUOTA.RESERVE", account.name, "hold", "r", 5, "TTL", "1h")
    return accounts


def test_slots_are_moved_by_the_tool_under_load_and_every_unit_is_counted_once(cluster):
    accounts = open_accounts(cluster)
    spenders = [Spender(cluster, number, accounts) for number in range(CLIENTS)]
    leases = ["{" + account.name + "}l" for account in accounts[:LEASES]]
    workers = [Worker(cluster, leases) for _ in range(WORKERS)]
    for client in spenders + workers:
        client.start()
    try:
        progress(spenders + workers)
        for move in MOVES:
            before = [spender.rounds for spender in spenders]
            reshard(cluster, *move)
            assert all(spender.rounds > rounds for spender, rounds in zip(spenders, before)), "no client consumed"
            progress(spenders + workers)
        if ATOMIC:  # on to the third shard, all at once
            settle(cluster)
            move_atomically(cluster.primaries[2], cluster.primaries[1], 0, 399)
            progress(spenders + workers)
        wait_until(lambda: spenders[0].rounds * CLIENTS > 2 * SMALL or spenders[0].fault, "no limit runs out")
    finally:
        for client in spenders + workers:
            client.stopping = True
        for client in spenders + workers:
            client.join()
    assert not [client.fault for client in spenders + workers if client.fault]
    assert_counted(cluster, accounts, spenders)
    assert_moved(cluster, accounts, leases)


def assert_counted(cluster, accounts, spenders):
    """What the clients were granted, no more and no less; what had run out has stayed so."""
    client = cluster.client()
    granted = sum((spender.granted for spender in spenders), collections.Counter())
    admitted = sum((spender.admitted for spender in spenders), collections.Counter())
    for account in accounts:
        assert used(client, account.name) == granted[account.name]
        left = client.execute_command("RL.ALLOW", account.window, "FIXED", account.limit, "1d", "PEEK")[2]
        assert account.limit - left == admitted[account.window]
        if account.limit == SMALL:
            assert granted[account.name] == SMALL - 5 and admitted[account.window] == SMALL
        posted = client.execute_command("QUOTA.COMMIT", account.name, "hold", 4)
        assert posted == [4, 1, account.limit - granted[account.name] - 4]
    spender = spenders[0]
    for account in accounts:  # the first id of all is still known, wherever the account is now
        first = client.execute_command("QUOTA.CONSUME", account.name, "r", 1, "ID", f"{spender.number}-0")
        assert first[0] == 1
        assert used(client, account.name) == granted[account.name] + 4


def assert_moved(cluster, accounts, leases):
    """Each account is in one shard, where its slot is, and most are not where they were opened."""
    settle(cluster)
    found = {}
    for shard, primary in enumerate(cluster.primaries):
        for key in primary.client().keys():
            assert found.setdefault(key.decode(), shard) == shard, f"{key} is in two shards"
    accounts_and_windows = {account.name for account in accounts} | {account.window for account in accounts}
    assert set(found) == accounts_and_windows | set(leases)
    was = {account.name: key_slot(account.name.encode()) * SHARDS // SLOTS for account in accounts}
    assert sum(found[name] != shard for name, shard in was.items()) == 60
    for primary, replica in zip(cluster.primaries, cluster.replicas):
        wait_until(lambda: primary.digest() == replica.digest(), "a replica differs from its primary")
        before = primary.digest()
        primary.client().execute_command("DEBUG RELOAD")
        assert primary.digest() == before
