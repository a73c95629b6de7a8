"""Accounts and limits while the primary changes: nothing reopens, nothing refills twice, every id is answered once.

            before                               after REPLICAOF NO ONE, or FAILOVER
    clients ─▶ first ─▶ second ─▶ leaf           clients ─▶ second ─┬▶ leaf
                 (each with an AOF)                                 └▶ first

The clocks of the servers are frozen, each where the test wants it: behind, ahead, or the same.
"""

import itertools
import subprocess
import tempfile
import threading

import pytest
import redis

from chain import DAY_MS
from conftest import NOON_MS, Quota, paged
from servers import SERVER, Server, caught_up, free_port, wait_until
from test_waiting import Waiter

HOUR_MS = 3_600_000


# ---- windows and refills, whatever the new primary's clock says ----

REQUESTS = [f"RL.ALLOW {rule} {rule} 40 1d" for rule in ("TOKEN", "LEAKY", "FIXED", "SLIDING", "LOG")]
REQUESTS += ["RL.ALLOW gcra 40 1d", "RL.ALLOW intervals TOKEN 40 1d INTERVAL", "RL.ALLOW first FIXED 40 1d FIRST"]
REQUESTS += [f"QUOTA.CONSUME a {resource} 1" for resource in ("day", "month", "rolling", "rate")]


def exhaust(server):
    """Four clients send all requests until they are denied: how many units each request was granted in all."""
    granted = {line: [] for line in REQUESTS}

    def work():
        client = server.client(single_connection_client=True)
        for line in REQUESTS:
            while client.execute_command(*line.split())[0]:
                granted[line].append(1)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {len(units) for units in granted.values()}


@pytest.mark.parametrize("how", ["REPLICAOF", "FAILOVER"])
def test_a_clock_that_is_behind_reopens_nothing(chain, how):
    assert exhaust(chain.first) == {40}
    caught_up(chain.first, chain.second)
    chain.freeze(chain.second, NOON_MS - 31 * DAY_MS)
    chain.hand_over(how)
    assert exhaust(chain.second) == {0}
    chain.freeze(chain.second, NOON_MS)
    assert exhaust(chain.second) == {0}
    chain.freeze(chain.second, NOON_MS + 31 * DAY_MS)
    assert exhaust(chain.second) == {40}
    chain.assert_equal()


@pytest.mark.parametrize("how", ["REPLICAOF", "FAILOVER"])
def test_a_clock_that_is_ahead_refills_once(chain, how):
    assert exhaust(chain.first) == {40}
    caught_up(chain.first, chain.second)
    chain.freeze(chain.second, NOON_MS + 31 * DAY_MS)
    chain.hand_over(how)
    assert exhaust(chain.second) == {40}  # its next windows
    caught_up(chain.second, chain.first)
    chain.hand_over(how)
    for late_ms in (0, 30 * DAY_MS, 31 * DAY_MS):
        chain.freeze(chain.first, NOON_MS + late_ms)
        assert exhaust(chain.first) == {0}
    chain.freeze(chain.first, NOON_MS + 62 * DAY_MS)
    assert exhaust(chain.first) == {40}
    chain.assert_equal()


# ---- ids and reservations under load ----


class Worker(threading.Thread):
    """Consumes, reserves and commits one unit after another; what is not acknowledged is sent again, same id.

    With `waits` only what all replicas have counts as acknowledged: after REPLICAOF NO ONE the rest may be lost."""

    def __init__(self, chain, name, waits):
        super().__init__()
        self.chain, self.name, self.waits = chain, name, waits
        self.stopping, self.units, self.again, self.answers = False, 0, 0, {}

    def run(self):
        for serial in itertools.count(1):
            if self.stopping:
                return
            name = f"{self.name}-{serial}"
            if serial % 3:
                self.answers[name] = self.until_acknowledged("QUOTA.CONSUME", "a", "free", 2, "ID", name)
                self.units += 2
            else:
                self.until_acknowledged("QUOTA.RESERVE", "a", name, "free", 5, "TTL", "30d")
                self.until_acknowledged("QUOTA.COMMIT", "a", name, 3)
                self.units += 3

    def until_acknowledged(self, *words):
        while True:
            server = self.chain.primary
            client = server.client()  # connects with its first command, and keeps to that connection
            try:
                answer = resolved(client, words)
                replicas = 2 if server is self.chain.second else 1
                if not self.waits or client.wait(replicas, 100) == replicas:
                    return answer
            except redis.ResponseError as error:
                lost = isinstance(error, redis.ReadOnlyError) or "UNBLOCKED" in str(error) or "WAIT" in str(error)
                assert lost, error
            except redis.ConnectionError:
                pass
            finally:
                client.close()
            self.again += 1


def resolved(client, words):
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        if str(error).startswith("RESOLVED"):  # sent again: it was done, only the answer was lost
            return None
        raise


@pytest.mark.parametrize("how", ["REPLICAOF", "FAILOVER"])
@pytest.mark.parametrize("skew_ms", [-HOUR_MS, HOUR_MS], ids=["behind", "ahead"])
def test_every_id_is_charged_once_across_failovers_under_load(chain, how, skew_ms):
    chain.freeze(chain.second, NOON_MS + skew_ms)
    workers = [Worker(chain, f"w{number}", how == "REPLICAOF") for number in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(3):
            goal = sum(worker.units for worker in workers) + 100
            wait_until(lambda: sum(worker.units for worker in workers) >= goal, "no progress")
            chain.hand_over(how)
        goal = sum(worker.units for worker in workers) + 100
        wait_until(lambda: sum(worker.units for worker in workers) >= goal, "no progress")
    finally:
        for worker in workers:
            worker.stopping = True
        for worker in workers:
            worker.join()
    quota = Quota(chain.primary.client())
    forever, day = quota.map("QUOTA.INFO a free")["rules"]
    assert forever["used"] == day["used"] == sum(worker.units for worker in workers)
    assert forever["held"] == 0
    before = chain.primary.digest()
    for worker in workers:  # what the other primary has answered, this one answers the same way
        for name, answer in worker.answers.items():
            assert quota("QUOTA.CONSUME a free 2 ID", name) == answer
    assert chain.primary.digest() == before
    chain.assert_equal()


# ---- leases, breakers, adaptive limits ----


class Holder(threading.Thread):
    """Takes the only lease of a key, notes its token while it has it, gives it back; tries again with the same id."""

    def __init__(self, chain, name, tokens):
        super().__init__()
        self.chain, self.name, self.tokens, self.stopping, self.fault = chain, name, tokens, False, None

    def run(self):
        try:
            for serial in itertools.count(1):
                if self.stopping:
                    return
                lease = f"{self.name}-{serial}"
                verdict = self.until_answered("RL.ACQUIRE", "mutex", 1, "30d", "ID", lease)
                if verdict[0]:
                    self.tokens.append(verdict[7])
                    self.until_answered("RL.RELEASE", "mutex", lease)
        except BaseException as fault:  # raised by the test, not by the thread
            self.fault = fault

    def until_answered(self, *words):
        while True:
            client = self.chain.primary.client()
            try:
                return client.execute_command(*words)
            except (redis.ReadOnlyError, redis.ConnectionError):
                pass
            except redis.ResponseError as error:
                assert "UNBLOCKED" in str(error), error
            finally:
                client.close()


@pytest.mark.parametrize("skew_ms", [-HOUR_MS, HOUR_MS], ids=["behind", "ahead"])
def test_one_holds_the_lease_and_tokens_grow_across_failovers_under_load(chain, skew_ms):
    chain.freeze(chain.second, NOON_MS + skew_ms)
    tokens = []
    holders = [Holder(chain, f"h{number}", tokens) for number in range(4)]
    for holder in holders:
        holder.start()
    try:
        for _ in range(3):
            goal = len(tokens) + 50
            wait_until(lambda: len(tokens) >= goal or any(holder.fault for holder in holders), "no progress")
            chain.hand_over("FAILOVER")
        goal = len(tokens) + 50
        wait_until(lambda: len(tokens) >= goal or any(holder.fault for holder in holders), "no progress")
    finally:
        for holder in holders:
            holder.stopping = True
        for holder in holders:
            holder.join()
    assert not [holder.fault for holder in holders if holder.fault]
    assert tokens == sorted(set(tokens)), "a token was given twice, or after a larger one"
    assert paged(Quota(chain.primary.client()), "RL.LEASES mutex") == []
    chain.assert_equal()


# What is sent before, and what the new primary answers to the last line: by how much its clock is behind or ahead.
STATES = [
    (["RL.BREAKER k FAILURES 2 WINDOW 10s OPEN 2h"] + ["RL.BREAKER k REPORT fail"] * 2, "RL.BREAKER k",
     {-HOUR_MS: [0, 0, 0, 3 * HOUR_MS, 3 * HOUR_MS, -1], HOUR_MS: [0, 0, 0, HOUR_MS, HOUR_MS, -1],
      2 * HOUR_MS: [1, 10, 9, 0, 0, -1]}),
    (["RL.BREAKER k", "RL.BREAKER k FORCE open"], "RL.BREAKER k",
     dict.fromkeys([-HOUR_MS, HOUR_MS], [0, 0, 0, -1, -1, -1])),
    (["RL.ADAPT k 10 100"] * 10, "RL.ADAPT k 10 100", {-HOUR_MS: 0, 0: [0, 10, 0, 100, 1000, 0], HOUR_MS: 1}),
    (["RL.ACQUIRE k 2 2h ID a", "RL.ACQUIRE k 2 2h ID b"], "RL.ACQUIRE k 2 1h",
     {-HOUR_MS: 0, HOUR_MS: 0, 2 * HOUR_MS - 1: 0, 2 * HOUR_MS: 1})]


@pytest.mark.parametrize("how", ["killed", "FAILOVER"])
def test_breakers_adaptive_limits_and_leases_are_what_they_were(chain, how):
    """Each kind under a key of its own: what a new primary says of it, and answers, by its clock."""
    quota = Quota(chain.first.client())
    for number, (lines, _, _) in enumerate(STATES):
        for line in lines:
            quota(line.replace(" k", f" {number}", 1))
    assert quota("WAIT 1 60000") == 1
    tokens = [lease["token"] for lease in paged(quota, "RL.LEASES 3")]
    questions = ["RL.BREAKER 0 INFO", "RL.BREAKER 1 INFO", "RL.ADAPT 2 INFO", "RL.LEASES 3"]
    before = [quota.map(line) for line in questions]
    caught_up(chain.first, chain.second)
    if how == "killed":
        chain.first.kill()
        chain.second.client().replicaof("NO", "ONE")
        chain.primary = chain.second
    else:
        chain.hand_over("FAILOVER")
    quota = Quota(chain.second.client())
    chain.freeze(chain.second, NOON_MS)
    assert [quota.map(line) for line in questions] == before
    for number, (_, last, answers) in enumerate(STATES):
        for skew_ms, expected in sorted(answers.items()):
            chain.freeze(chain.second, NOON_MS + skew_ms)
            verdict = quota(last.replace(" k", f" {number}", 1))
            assert (verdict if isinstance(expected, list) else verdict[0]) == expected, (last, skew_ms)
            if number == 3 and verdict[0]:
                assert verdict[7] > max(tokens)
    if how == "killed":
        chain.servers.remove(chain.first)
    wait_until(lambda: chain.leaf.digest() == chain.second.digest(), "the leaf differs")
    chain.assert_equal()


def waiting(server):
    client = server.client()
    return client.info("quota")["quota_waiting"], client.info("clients")["blocked_clients"]


@pytest.mark.parametrize("how", ["FAILOVER", "REPLICAOF", "killed"])
def test_waiters_are_unblocked_and_nothing_is_left_of_them(chain, how):
    """Lines are this server's memory: what was charged and held is kept, who only waited is not."""
    quota = Quota(chain.first.client())
    quota("RL.ALLOW k 1 10s")
    quota("RL.ACQUIRE l 1 1h ID a")
    lines = ["RL.ALLOW k 1 10s WAIT 1h"] * 5 + ["RL.ACQUIRE l 1 1h WAIT 1h"] * 5
    waiters = [Waiter(chain.first, line) for line in lines]
    assert waiting(chain.first)[1] == 10
    caught_up(chain.first, chain.second)
    caught_up(chain.second, chain.leaf)
    digest = chain.first.digest()
    memory = chain.first.client().memory_usage("k"), chain.first.client().memory_usage("l")
    if how == "killed":
        chain.first.kill()
        chain.second.client().replicaof("NO", "ONE")
        chain.primary = chain.second
        chain.servers.remove(chain.first)
    else:
        chain.hand_over(how)
    for waiter in waiters:
        assert waiter.done() is None
        assert "UNBLOCKED" in waiter.error or how == "killed"
    assert {server.digest() for server in chain.servers} == {digest}
    chain.freeze(chain.second, NOON_MS)
    heir = Quota(chain.second.client())
    assert heir("RL.ALLOW k 1 10s PEEK")[3] == 10_000
    assert len(paged(heir, "RL.LEASES l")) == 1
    assert heir("RL.RELEASE l a") == 1
    assert heir("RL.ACQUIRE l 1 1h ID b")[0] == 1  # no client of the old line stands before it
    for server in chain.servers:
        assert waiting(server) == (0, 0)
    caught_up(chain.second, chain.leaf)
    assert (chain.leaf.client().memory_usage("k"), chain.leaf.client().memory_usage("l")) == memory
    chain.assert_equal()


def test_a_demotion_is_not_written_down(chain):
    """A primary is made a replica while a client waits, and a primary again: its AOF does not make it a replica."""
    quota = Quota(chain.first.client())
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(chain.first, "RL.ALLOW k 1 10s WAIT 1h")
    chain.leaf.client().replicaof("NO", "ONE")
    chain.first.client().replicaof("127.0.0.1", chain.leaf.port)
    chain.first.client().replicaof("NO", "ONE")
    waiter.done()
    chain.first.stop()
    chain.first.start()
    assert chain.first.client().info("replication")["role"] == "master"


SENTINEL = """port {port}
dir {folder}
logfile log
sentinel monitor quota 127.0.0.1 {primary} 1
sentinel down-after-milliseconds quota 500
sentinel failover-timeout quota 5000
"""


def test_a_sentinel_promotes_a_replica_that_goes_on_exactly(chain):
    """The primary is killed. The sentinel promotes its only direct replica; ids are answered, nothing is reopened."""
    with tempfile.TemporaryDirectory(prefix="quota-test-") as folder:
        port, path = free_port(), f"{folder}/sentinel.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(SENTINEL.format(port=port, folder=folder, primary=chain.first.port))
        process = subprocess.Popen([SERVER, path, "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            sentinel = redis.Redis(port=port, decode_responses=True)
            wait_until(lambda: replicas_seen(sentinel) == 1, "the sentinel sees no replica")
            quota = Quota(chain.first.client())
            first = quota("QUOTA.CONSUME a day 30 ID x")
            assert quota("WAIT 1 60000") == 1
            chain.first.kill()
            # Promoting drops all clients of the new primary: it is called only when the sentinel names it.
            address = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "quota")
            wait_until(lambda: str(chain.second.port) in map(str, sentinel.execute_command(*address)), "no failover")
            chain.primary = chain.second
            chain.freeze(chain.second, NOON_MS - HOUR_MS)
            quota = Quota(chain.second.client())
            assert quota("QUOTA.CONSUME a day 30 ID x") == first
            assert quota("QUOTA.CONSUME a day 11")[0] == 0
            assert quota("QUOTA.CONSUME a day 10")[0] == 10
            wait_until(lambda: chain.leaf.digest() == chain.second.digest(), "the leaf differs")
        finally:
            process.kill()
            process.wait()


def replicas_seen(sentinel):
    try:
        return int(sentinel.execute_command("SENTINEL", "MASTER", "quota")["num-slaves"])
    except redis.ConnectionError:
        return 0
