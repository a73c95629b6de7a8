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

from conftest import NOON_MS, Quota
from servers import SERVER, Server, caught_up, free_port, wait_until
from test_commit import Stream

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
KEPT = {"quota.id-ttl-ms": str(400 * DAY_MS)}


class Chain:
    """first ─▶ second ─▶ leaf; `primary` is where clients are to go."""

    def __init__(self):
        self.servers = [Server(appendonly="yes", **KEPT) for _ in range(3)]
        self.first, self.second, self.leaf = self.servers
        self.primary = self.first

    def __enter__(self):
        try:
            for server in self.servers:
                server.start()
            self.second.follow(self.first)
            self.leaf.follow(self.second)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.close()

    def freeze(self, server, instant_ms):
        server.client().execute_command("QUOTA.CLOCK", "FREEZE", instant_ms)

    def hand_over(self, how):
        """The other one of first and second becomes the primary, and the former one its replica."""
        old, new = self.primary, self.first if self.primary is self.second else self.second
        if how == "FAILOVER":
            old.client().execute_command("FAILOVER", "TO", "127.0.0.1", new.port)
            wait_until(lambda: old.client().info("replication")["role"] == "slave", "no failover")
        else:
            new.client().replicaof("NO", "ONE")
            self.primary = new
            old.client().replicaof("127.0.0.1", new.port)
        self.primary = new
        wait_until(lambda: old.client().info("replication").get("master_link_status") == "up", "does not follow")

    def assert_equal(self):
        """All three hold the same, and so does the leaf after reading its AOF."""
        for replica in (server for server in self.servers if server is not self.primary):
            wait_until(lambda: replica.digest() == self.primary.digest(), "a replica differs")
            wait_until(lambda: rewrites_nothing(replica), "a replica rewrites its AOF for ever")
            replica.client().execute_command("DEBUG LOADAOF")
            assert replica.digest() == self.primary.digest(), "a replica differs after reading its AOF"


def rewrites_nothing(server):
    """After a full sync a replica's AOF is that of before until it has been rewritten."""
    persistence = server.client().info("persistence")
    return not any(persistence[name] for name in (
        "aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"))


@pytest.fixture
def chain():
    with Chain() as chain:
        quota = Quota(chain.primary.client())
        chain.freeze(chain.primary, NOON_MS)
        quota("QUOTA.PLAN SET p day LIMIT 40 day")
        quota("QUOTA.PLAN SET p month LIMIT 40 month")
        quota("QUOTA.PLAN SET p rolling LIMIT 40 ROLLING 1d")
        quota("QUOTA.PLAN SET p rate RATE 40 1d")
        quota("QUOTA.PLAN SET p free LIMIT -1 month LIMIT 1000000 day")
        quota("QUOTA.OPEN a p ANCHOR", NOON_MS - 90 * DAY_MS)
        yield chain


# ---- windows and refills, whatever the new primary's clock says ----

ASKS = [f"RL.ALLOW {rule} {rule} 40 1d" for rule in ("TOKEN", "LEAKY", "FIXED", "SLIDING", "LOG")]
ASKS += ["RL.ALLOW gcra 40 1d", "RL.ALLOW intervals TOKEN 40 1d INTERVAL", "RL.ALLOW first FIXED 40 1d FIRST"]
ASKS += [f"QUOTA.CONSUME a {resource} 1" for resource in ("day", "month", "rolling", "rate")]


def exhaust(server):
    """Four clients ask for everything until they are denied: how many units each ask was granted in all."""
    granted = {ask: [] for ask in ASKS}

    def work():
        client = server.client(single_connection_client=True)
        for ask in ASKS:
            while client.execute_command(*ask.split())[0]:
                granted[ask].append(1)
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
    """Consumes, reserves and commits one unit after another; what is not acknowledged is asked again, same id.

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
            client = server.client(single_connection_client=True)
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
        if str(error).startswith("RESOLVED"):  # asked again: it was done, only the answer was lost
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


def test_wait_acknowledges_and_reads_go_on_while_writes_are_paused(accounts, primary, replica):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.RESERVE a x r 4 TTL 1h")
    assert accounts("WAIT 1 60000") >= 1
    accounts("CLIENT PAUSE 60000 WRITE")
    accounts.advance("1d")  # a reservation and a day have ended: reads must not write that down
    expected = {"used": 0, "held": 0, "remaining": 10}
    rule = accounts.map("QUOTA.INFO a r")["rules"][0]
    assert {name: rule[name] for name in expected} == expected
    assert accounts.map("QUOTA.HOLDS a") == []
    assert [entry["peak"] for entry in accounts.map("QUOTA.HISTORY a r")] == [4]
    blocked = threading.Thread(target=lambda: primary.client().execute_command("QUOTA.CONSUME", "a", "r", 3))
    blocked.start()
    wait_until(lambda: accounts.client.info("clients")["blocked_clients"] == 1, "a write is not held back")
    assert accounts.map("QUOTA.INFO a r")["rules"][0]["used"] == 0
    accounts("CLIENT UNPAUSE")
    blocked.join()
    assert accounts.map("QUOTA.INFO a r")["rules"][0]["used"] == 3


# ---- transactions, scripts, functions ----


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    return accounts


def used(quota):
    return quota.map("QUOTA.INFO a r")["rules"][0]["used"]


def words_sent(primary, quota, act):
    with Stream(primary) as stream:
        act()
        quota("PUBLISH end end")
        return [command[0].upper() for command in stream.words_until([b"PUBLISH", b"end", b"end"])]


def test_a_transaction_replicates_its_grants_and_nothing_else(acme, primary):
    def act():
        with acme.client.pipeline(transaction=True) as multi:
            multi.execute_command("QUOTA.CONSUME", "a", "r", 4, "ID", "x")
            multi.execute_command("QUOTA.CONSUME", "a", "r", 4, "ID", "x")
            multi.execute_command("QUOTA.CONSUME", "a", "r", 7)
            multi.execute_command("QUOTA.RESERVE", "a", "y", "r", 6, "TTL", "1h")
            multi.execute_command("QUOTA.COMMIT", "a", "y", 5)
            answers = multi.execute()
        assert [answer[0] for answer in answers] == [4, 4, 0, 6, 5]
    assert words_sent(primary, acme, act) == [b"MULTI", b"RL._DO", b"RL._DO", b"RL._DO", b"EXEC"]
    assert used(acme) == 9


SCRIPT = """
local first = redis.call('QUOTA.CONSUME', KEYS[1], 'r', 4, 'ID', ARGV[1])
local denied = redis.call('QUOTA.CONSUME', KEYS[1], 'r', 7)
local fault = redis.pcall('QUOTA.CONSUME', KEYS[1], 'nothing', 1)
return {first[1], denied[1], fault.err}
"""
LIBRARY = "#!lua name=quota\nredis.register_function('spend', function(KEYS, ARGV)" + SCRIPT + "end)"


@pytest.mark.parametrize("kind", ["EVAL", "FUNCTION"])
def test_scripts_and_functions_decide_once_and_replicate_the_effect(acme, primary, kind):
    if kind == "FUNCTION":
        acme.client.function_load(LIBRARY, replace=True)
    answers = []

    def act():
        for _ in range(2):
            called = (SCRIPT, 1, "a", "x")
            answers.append(acme.client.eval(*called) if kind == "EVAL" else acme.client.fcall("spend", *called[1:]))
    assert words_sent(primary, acme, act) == [b"RL._DO"]
    assert answers[0] == answers[1] and answers[0][:2] == [4, 0]
    assert b"NORESOURCE" in answers[0][2]
    assert used(acme) == 4
    acme("FUNCTION FLUSH")


# ---- WATCH and client-side caches ----

QUIET = ["QUOTA.CONSUME a r 9", "QUOTA.CONSUME a r 1 CHECK", "QUOTA.CONSUME a r 2 ID x", "QUOTA.CONSUME a r 3 ID x",
         "QUOTA.CONSUME a nothing 1", "QUOTA.MCONSUME a 1 r 9", "QUOTA.RESERVE a y r 9 TTL 1h", "QUOTA.COMMIT a nobody",
         "QUOTA.RESERVE a hold r 3 TTL 1h", "QUOTA.INFO a", "QUOTA.HISTORY a r", "QUOTA.HOLDS a", "QUOTA.OPEN a p",
         "QUOTA.REFUND a r 3 OF x"]
LOUD = ["QUOTA.CONSUME a r 1", "QUOTA.CONSUME a r 9 FORCE", "QUOTA.CONSUME a r 9 ID z STICKY", "QUOTA.COMMIT a hold 1",
        "QUOTA.RELEASE a hold", "QUOTA.EXTEND a hold 2h", "QUOTA.REFUND a r 1", "QUOTA.SET a r 1", "QUOTA.SUSPEND a"]
ROWS = [(line, False) for line in QUIET] + [(line, True) for line in LOUD]


@pytest.fixture
def spent(acme):
    acme("QUOTA.CONSUME a r 2 ID x")
    acme("QUOTA.RESERVE a hold r 3 TTL 1h")
    return acme


def do(quota, line):
    try:
        quota(line)
    except redis.ResponseError:
        pass  # errors change nothing either


@pytest.mark.parametrize("line, changes", ROWS)
def test_only_a_change_of_the_account_breaks_a_watch(spent, primary, line, changes):
    with primary.client().pipeline() as transaction:
        transaction.watch("a")
        do(spent, line)
        transaction.multi()
        transaction.ping()
        if changes:
            with pytest.raises(redis.WatchError):
                transaction.execute()
        else:
            assert transaction.execute() == [True]


@pytest.mark.parametrize("line, changes", ROWS)
def test_only_a_change_of_the_account_invalidates_caches(spent, primary, line, changes):
    listener = primary.client().pubsub()
    listener.subscribe("__redis__:invalidate")
    listener.get_message(timeout=5)
    reader = primary.client(single_connection_client=True)
    redirect = spent.client.client_list(_type="pubsub")[-1]["id"]
    reader.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", redirect)
    reader.execute_command("QUOTA.INFO", "a")
    do(spent, line)
    spent("PUBLISH __redis__:invalidate end")
    assert (listener.get_message(timeout=5)["data"] == [b"a"]) == changes
    listener.close()
    reader.close()


# ---- a sentinel ----

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
            # Promoting drops all clients of the new primary: it is asked only when the sentinel names it.
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
