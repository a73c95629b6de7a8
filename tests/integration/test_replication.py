"""What replicas get, and when: full and partial synchronisation, WAIT and CLIENT PAUSE, transactions, scripts and
functions; and which clients learn that a key has changed: WATCH and client tracking.

    a grant ─▶ one effect ─▶ replicas, AOF, WATCH, tracking
    a denial, a peek, a replay ─▶ nothing at all
"""

import threading

import pytest
import redis

from conftest import NOON_MS, Quota, as_map, paged
from servers import VALKEY, VERSION, Server, caught_up, wait_until, writes_no_file
from test_commit import Stream
from test_failover import waiting
from test_waiting import Waiter

# ---- synchronisation, full and partial ----


class Reader(threading.Thread):
    """Reads from a server over and over: counts what it was answered; while a server loads it may say so."""

    def __init__(self, server, account):
        super().__init__()
        self.server, self.account = server, account
        self.stopping, self.used, self.loading, self.fault = False, {}, 0, None

    def run(self):
        client = self.server.client()
        while not self.stopping and not self.fault:
            try:
                used = as_map(client.execute_command("QUOTA.INFO", self.account, "free"))["rules"][0]["used"]
                self.used[used] = self.used.get(used, 0) + 1
            except redis.BusyLoadingError:
                self.loading += 1
            except BaseException as fault:  # raised by the test
                self.fault = fault


def fill_many(server, units):
    """Five hundred accounts that have used so many units, and a plan whose newest revision has that number."""
    client = server.client()
    client.execute_command("QUOTA.CLOCK", "FREEZE", NOON_MS)
    for revision in range(units, 0, -1):
        client.execute_command("QUOTA.PLAN", "SET", "p", "free", "LIMIT", 999 + revision, "day")
    batch = client.pipeline(transaction=False)
    for number in range(500):
        batch.execute_command("QUOTA.OPEN", "{many}%d" % number, "p")
        batch.execute_command("QUOTA.CONSUME", "{many}%d" % number, "free", units)
    batch.execute()


def synchronisations(server):
    """Full and partial ones that this server has served."""
    stats = server.client().info("stats")
    return stats["sync_full"], stats["sync_partial_ok"]


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
def test_a_full_sync_while_the_replica_is_read_shows_the_old_or_the_new(chain, load):
    """The link breaks and more is written than the backlog holds: all of it is sent anew, and loaded slowly. With
    swapdb the old keys and plans are read meanwhile, else the server says that it loads."""
    slowly = {"key_load_delay": "300", "loading_process_events_interval_bytes": "1024"}
    primary = Server(repl_backlog_size="16kb").start()
    replica = Server(repl_diskless_load=load, **slowly).start()
    chain.freeze(replica, NOON_MS)
    try:
        fill_many(primary, 7)
        replica.follow(primary)
        reader = Reader(replica, "{many}0")
        reader.start()
        wait_until(lambda: reader.used.get(7) or reader.fault, "nothing is read")
        batch = primary.client().pipeline(transaction=True)
        batch.execute_command("CLIENT", "KILL", "TYPE", "replica")
        for revision in (3, 2, 1, 0):
            batch.execute_command("QUOTA.PLAN", "SET", "p", "free", "LIMIT", 1000 + revision, "day")
        for number in range(500):
            batch.execute_command("QUOTA.CONSUME", "{many}%d" % number, "free", 4)
        batch.execute()
        wait_until(lambda: reader.used.get(11) or reader.fault, "the new value is not seen")
        reader.stopping = True
        reader.join()
        assert not reader.fault and set(reader.used) == {7, 11}
        assert synchronisations(primary) == (2, 0)
        caught_up(primary, replica)
        assert replica.digest() == primary.digest()
        assert as_map(replica.client().execute_command("QUOTA.PLAN", "GET", "p"))["revision"] == 11
        assert (reader.loading == 0) == (load == "swapdb")
    finally:
        replica.close()
        primary.close()


class Spender(threading.Thread):
    """Consumes one unit after another of many accounts, and counts what was granted."""

    def __init__(self, server, number):
        super().__init__()
        self.server, self.number, self.stopping, self.units = server, number, False, 0

    def run(self):
        client = self.server.client(single_connection_client=True)
        while not self.stopping:
            account = "{many}%d" % (self.units % 500)
            words = ("QUOTA.CONSUME", account, "free", 1, "ID", f"{self.number}-{self.units}")
            assert client.execute_command(*words)[0] == 1
            self.units += 1


@pytest.mark.skipif(not VALKEY, reason="only Valkey, from 8.0 on, sends the file and the stream over two connections")
def test_a_full_sync_over_two_connections_under_load(chain):
    """The stream that the replica keeps while it loads the file is applied after it: effects upon values that the file
    may have with or without them."""
    channels = {"dual-channel-replication-enabled": "yes", "repl-diskless-sync": "yes"}
    primary = Server(**channels).start()
    replica = Server(key_load_delay="300", loading_process_events_interval_bytes="1024", **channels).start()
    try:
        fill_many(primary, 7)
        spenders = [Spender(primary, number) for number in range(3)]
        for spender in spenders:
            spender.start()
        replica.follow(primary)
        synced = [spender.units for spender in spenders]
        wait_until(lambda: all(spender.units > units for spender, units in zip(spenders, synced)), "no client consumes")
        for spender in spenders:
            spender.stopping = True
        for spender in spenders:
            spender.join()
        assert synchronisations(primary)[0] == 1
        assert replica.client().info("replication")["replicas_repl_buffer_peak"] > 0, "it has kept nothing"
        caught_up(primary, replica)
        assert replica.digest() == primary.digest()
        chain.freeze(replica, NOON_MS)
        rules = [as_map(replica.client().execute_command("QUOTA.INFO", "{many}%d" % number, "free"))["rules"][0]
                 for number in range(500)]
        assert sum(rule["used"] for rule in rules) == 500 * 7 + sum(spender.units for spender in spenders)
    finally:
        replica.close()
        primary.close()


@pytest.mark.parametrize("how, partial", [("link", True), ("RDB", True), ("AOF", False)])
def test_a_replica_of_a_replica_comes_back_with_what_it_missed(chain, how, partial):
    """The link breaks; or it is started again, with its RDB and the AOF turned on then, or with its AOF, which does not
    know how far it had come: the server begins anew with a full sync."""
    quota = Quota(chain.first.client())
    quota("QUOTA.CONSUME a free 3 ID x")
    quota("QUOTA.RESERVE a hold free 5 TTL 1h")
    caught_up(chain.first, chain.leaf)
    full, partly = synchronisations(chain.second)
    if how == "link":
        chain.leaf.client().execute_command("CLIENT", "KILL", "TYPE", "master")
    else:
        wait_until(lambda: writes_no_file(chain.leaf), "its files are not written")  # until then it refuses to stop
        chain.leaf.stop(save=how == "RDB")
    quota("QUOTA.COMMIT a hold 4")
    quota("RL.POLICY SET api 10 1s")
    quota("QUOTA.CONSUME a free 2 ID y")
    if how != "link":
        chain.leaf.options["appendonly"] = "yes" if how == "AOF" else "no"
        chain.leaf.options["replicaof"] = f"127.0.0.1 {chain.second.port}"
        chain.leaf.start()
    chain.freeze(chain.leaf, NOON_MS)
    wait_until(lambda: chain.leaf.client().info("replication").get("master_link_status") == "up", "it does not follow")
    chain.leaf.client().config_set("appendonly", "yes")
    caught_up(chain.first, chain.leaf)
    assert synchronisations(chain.second) == ((full, partly + 1) if partial else (full + 1, partly))
    rule = as_map(chain.leaf.client().execute_command("QUOTA.INFO", "a", "free"))["rules"][0]
    assert (rule["used"], rule["held"]) == (9, 0)
    assert [policy["name"] for policy in paged(Quota(chain.leaf.client()), "RL.POLICY LIST")] == ["api"]
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
    assert paged(accounts, "QUOTA.HOLDS a") == []
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


@pytest.mark.parametrize("line", ["CLIENT KILL ID {}", "CLIENT UNBLOCK {}", "CLIENT UNBLOCK {} ERROR"])
def test_who_ends_a_wait_is_not_replicated(accounts, primary, line):
    """Nothing was charged, so nothing comes back; the same words would end another connection on a replica."""
    accounts("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h")

    def act():
        accounts(line.format(waiter.id))
        waiter.done()
        wait_until(lambda: waiting(primary) == (0, 0), "a client waits")
    assert words_sent(primary, accounts, act) == []


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
         "QUOTA.CONSUME a nothing 1", "QUOTA.MCONSUME a 1 r 9", "QUOTA.RESERVE a y r 9 TTL 1h", "QUOTA.COMMIT a absent",
         "QUOTA.RESERVE a y s 1 r 9 TTL 1h", "QUOTA.REFUND a ALL OF absent", "QUOTA.COMMIT a hold 1 2",
         "QUOTA.RESERVE a hold r 3 TTL 1h", "QUOTA.INFO a", "QUOTA.HISTORY a r", "QUOTA.HOLDS a", "QUOTA.OPEN a p",
         "QUOTA.REFUND a r 3 OF x"]
LOUD = ["QUOTA.CONSUME a r 1", "QUOTA.CONSUME a r 9 FORCE", "QUOTA.CONSUME a r 9 ID z STICKY", "QUOTA.COMMIT a hold 1",
        "QUOTA.RELEASE a hold", "QUOTA.EXTEND a hold 2h", "QUOTA.REFUND a r 1",
        "QUOTA.REFUND a ALL OF x", "QUOTA.SET a r 1", "QUOTA.SUSPEND a"]
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
