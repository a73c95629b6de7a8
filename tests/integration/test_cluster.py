"""Three shards: accounts live where their name hashes to, move with their slot, and survive their primary.

    slots  0 ..... 5460 │ 5461 ... 10922 │ 10923 .. 16383        plans and policies: set on every primary
             primary 0  │   primary 1    │   primary 2           accounts, limits: in one shard each
             replica 3  │   replica 4    │   replica 5

All clocks are frozen at noon. The tests share one cluster, and the last ones change who is a primary: they stand last.
"""

import contextlib
import threading

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from conftest import NOON, as_map
from servers import VALKEY, VERSION, Server, wait_until
from test_waiting import Waiter

SHARDS = 3
SLOTS = 16384
# Valkey keeps accounts too: of time and bytes, by slot. Those of 8.0 end the server that was promoted, module or not.
COUNTED = {"cluster-slot-stats-enabled": "yes"} if VALKEY and VERSION >= (8, 1) else {}


class Cluster:
    """`servers[i]` and `servers[i + 3]` share the i-th third of the slots; or fewer primaries, without replicas."""

    def __init__(self, shards=SHARDS, replicas=SHARDS):
        # What was answered is in the file: with everysec a busy disk puts the write off, and a kill would lose it.
        self.servers = [Server(cluster_enabled="yes", cluster_node_timeout="1500", appendonly="yes",
                               appendfsync="always", cluster_allow_replica_migration="no", **COUNTED)
                        for _ in range(shards + replicas)]
        self.primaries, self.replicas = self.servers[:shards], self.servers[shards:]

    def start(self):
        for epoch, server in enumerate(self.servers):
            server.start()
            server.client().execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch + 1)
            server.client().execute_command("QUOTA.CLOCK", "FREEZE", NOON)
        for shard, server in enumerate(self.primaries):
            first, last = (SLOTS * at // len(self.primaries) for at in (shard, shard + 1))
            server.client().execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        for server in self.servers[1:]:
            self.servers[0].client().execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        wait_until(lambda: all(self.known(server) == len(self.servers) for server in self.servers), "nodes do not meet")
        for primary, replica in zip(self.primaries, self.replicas):
            replica.client().execute_command("CLUSTER", "REPLICATE", name_of(primary))
        wait_until(lambda: all(self.is_ready(server) for server in self.servers), "the cluster is not ready")
        wait_until(lambda: all(self.replicas_seen_by(server) == len(self.replicas) for server in self.servers),
                   "they disagree")
        return self

    def known(self, server):
        return int(cluster_info(server)["cluster_known_nodes"])

    def replicas_seen_by(self, server):
        nodes = server.client().execute_command("CLUSTER NODES").values()
        return sum("slave" in node["flags"] for node in nodes)

    def is_ready(self, server):
        link = server in self.primaries or server.client().info("replication").get("master_link_status") == "up"
        return link and cluster_info(server)["cluster_state"] == "ok"

    def close(self):
        for server in self.servers:
            server.close()

    def client(self):
        server = self.servers[0] if self.servers[0].process else self.servers[1]
        return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", server.port)])

    def on_primaries(self, line):
        return [server.client().execute_command(*line.split()) for server in self.primaries]

    def shard_of(self, key):
        return self.slot_of(key) * SHARDS // SLOTS

    def slot_of(self, key):
        return self.servers[1].client().execute_command("CLUSTER", "KEYSLOT", key)


def cluster_info(server):
    return server.client().execute_command("CLUSTER INFO")


def name_of(server):
    return server.client().execute_command("CLUSTER", "MYID").decode()


@contextlib.contextmanager
def running():
    cluster = Cluster()
    try:
        cluster.start()
        cluster.on_primaries("QUOTA.PLAN SET p r LIMIT 1000 day")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture
def own_cluster():
    """For a test after which shards have other primaries."""
    with running() as cluster:
        yield cluster


def words(line):
    return line.split()


def used(client, account):
    return as_map(client.execute_command("QUOTA.INFO", account, "r"))["rules"][0]["used"]


def error(client, line):
    with pytest.raises(redis.ResponseError) as raised:
        client.execute_command(*line.split())
    return raised.value


def test_accounts_live_in_all_shards_and_a_cluster_client_finds_them(cluster):
    client = cluster.client()
    names = [f"spread{number}" for number in range(60)]
    for number, name in enumerate(names):
        client.execute_command("QUOTA.OPEN", name, "p")
        client.execute_command("QUOTA.CONSUME", name, "r", number + 1, "ID", "x")
        client.execute_command("QUOTA.RESERVE", name, "hold", "r", 7, "TTL", "1h")
        client.execute_command("QUOTA.COMMIT", name, "hold", 5)
        client.execute_command("QUOTA.REFUND", name, "r", 1, "OF", "x")
        assert client.execute_command("QUOTA.CONSUME", name, "r", number + 1, "ID", "x")[0] == number + 1
    assert [used(client, name) for name in names] == [number + 5 for number in range(60)]
    assert {cluster.shard_of(name) for name in names} == {0, 1, 2}
    for primary, replica in zip(cluster.primaries, cluster.replicas):
        wait_until(lambda: primary.digest() == replica.digest(), "a replica differs")
        assert primary.client().dbsize() > 5


def test_the_wrong_node_names_the_right_one(cluster):
    name = "elsewhere"
    here = cluster.primaries[cluster.shard_of(name)]
    for server in cluster.primaries:
        for line in (f"QUOTA.INFO {name}", f"QUOTA.CONSUME {name} r 1", f"RL.ALLOW {name} 1 1s"):
            if server is not here:
                moved = error(server.client(), line)
                assert isinstance(moved, redis.exceptions.MovedError) and moved.port == here.port


def test_many_keys_are_of_one_slot(cluster):
    client = cluster.client()
    for server in cluster.primaries:
        crossing = error(server.client(), "RL.MALLOW 2 a b WITH 10 1s")
        assert isinstance(crossing, redis.exceptions.ClusterCrossSlotError)
    verdicts = client.execute_command(*words("RL.MALLOW 3 {t}a {t}b {t}c WITH 10 1s ALL COST 4"))
    assert [verdict[:3] for verdict in verdicts] == [[4, 10, 6]] * 3


def test_who_waits_is_answered_by_the_node_that_has_the_key(cluster):
    client, server = cluster.client(), cluster.primaries[cluster.shard_of("{wait}")]
    here = server.client()
    client.execute_command(*words("RL.ALLOW {wait}k 1 10s"))
    client.execute_command(*words("RL.ACQUIRE {wait}l 1 1h ID a"))
    lines = ["RL.ALLOW {wait}k 1 10s WAIT 1h", "RL.ACQUIRE {wait}l 1 1h ID b WAIT 1h"]
    waiters = [Waiter(server, line) for line in lines]
    here.execute_command("RL.RELEASE", "{wait}l", "a")
    here.execute_command("QUOTA.CLOCK", "ADVANCE", "10s")
    assert [waiter.done()[0] for waiter in waiters] == [1, 1]
    with here.pipeline(transaction=True) as multi:
        for line in ("RL.RELEASE {wait}l b", lines[0]):
            multi.execute_command(*words(line))
        assert multi.execute() == [1, [1, 1, 0, 10_000, 20_000, 0]]
    here.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    if COUNTED:
        slot = cluster.slot_of("{wait}")
        (_, counted), = here.execute_command("CLUSTER", "SLOT-STATS", "SLOTSRANGE", slot, slot)
        counted = as_map(counted)
        assert counted["key-count"] == 2 and counted["cpu-usec"] > 0 and counted["network-bytes-in"] > 0


def test_a_plan_is_known_where_it_was_set(cluster):
    cluster.primaries[0].client().execute_command(*words("QUOTA.PLAN SET only-here r LIMIT 1 day"))
    names = {cluster.shard_of(name): name for name in (f"where{number}" for number in range(50))}
    client = cluster.client()
    assert client.execute_command("QUOTA.OPEN", names[0], "only-here") in (b"OK", True)
    for shard in (1, 2):
        unknown = error(cluster.primaries[shard].client(), f"QUOTA.OPEN {names[shard]} only-here")
        assert str(unknown).startswith("NOPLAN")


# ---- a slot moves ----


def slots_of(server):
    """Those it believes to be its own."""
    nodes = server.client().execute_command("CLUSTER NODES").values()
    mine = next(node["slots"] for node in nodes if "myself" in node["flags"])
    return {slot for part in mine if part[0].isdigit() for slot in range(int(part[0]), int(part[-1]) + 1)}


class Move:
    """Moves the slot of a key to another shard, in steps: begin, keys in small batches, end."""

    def __init__(self, cluster, key):
        self.cluster, self.slot = cluster, cluster.slot_of(key)
        self.source = next(server for server in cluster.primaries if self.slot in slots_of(server))
        self.target = next(server for server in cluster.primaries if server is not self.source)

    def begin(self):
        self.target.client().execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", name_of(self.source))
        self.source.client().execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", name_of(self.target))

    def keys(self, count):
        return self.source.client().execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, count)

    def some(self, count):
        keys = self.keys(count)
        if keys:
            self.source.client().execute_command("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "KEYS", *keys)
        return keys

    def end(self):
        for server in (self.target, self.source, *self.cluster.primaries):
            server.client().execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", name_of(self.target))


class Spender(threading.Thread):
    """Consumes with ids, one account after another, through a cluster client of its own."""

    def __init__(self, cluster, number, accounts):
        super().__init__()
        self.client, self.number, self.accounts = cluster.client(), number, accounts
        self.stopping, self.spent = False, 0

    def run(self):
        while not self.stopping:
            for account in self.accounts:
                word = ("QUOTA.CONSUME", account, "r", 1, "ID", f"{self.number}-{self.spent}")
                assert self.client.execute_command(*word)[0] == 1
                self.client.execute_command("RL.ALLOW", account + "w", "FIXED", 1_000_000, "1d")
            self.spent += 1


def test_a_slot_moves_under_load_and_nothing_is_lost(cluster):
    cluster.on_primaries("QUOTA.PLAN SET busy r LIMIT 1000000 day")
    client = cluster.client()
    accounts = [f"{{busy}}{number}" for number in range(12)]
    for account in accounts:
        client.execute_command("QUOTA.OPEN", account, "busy")
        client.execute_command("QUOTA.RESERVE", account, "hold", "r", 9, "TTL", "1h")
    spenders = [Spender(cluster, number, accounts) for number in range(3)]
    for spender in spenders:
        spender.start()
    try:
        for _ in range(2):  # there, and from there to another
            move = Move(cluster, "{busy}0")
            progress(spenders)
            move.begin()
            while move.some(3):
                progress(spenders)
            move.end()
            progress(spenders)
    finally:
        for spender in spenders:
            spender.stopping = True
        for spender in spenders:
            spender.join()
    spent = sum(spender.spent for spender in spenders)
    for account in accounts:
        assert client.execute_command("QUOTA.COMMIT", account, "hold", 4) == [4, 5, 1_000_000 - spent - 4]
        assert used(client, account) == spent + 4
        left = client.execute_command("RL.ALLOW", account + "w", "FIXED", 1_000_000, "1d", "PEEK")[2]
        assert left == 1_000_000 - spent


def progress(spenders):
    goal = [spender.spent + 1 for spender in spenders]
    wait_until(lambda: all(spender.spent >= least for spender, least in zip(spenders, goal)), "a client has stopped")


def test_between_the_shards_a_key_is_served_where_it_is(cluster):
    client = cluster.client()
    for name in ("{half}a", "{half}b"):
        client.execute_command("QUOTA.OPEN", name, "p")
        client.execute_command("QUOTA.CONSUME", name, "r", 5, "ID", "x")
        client.execute_command("RL.ALLOW", name + "w", 10, "1h")
    move = Move(cluster, "{half}")
    move.begin()
    gone = [key.decode() for key in move.some(2)]
    stays = [key.decode() for key in move.keys(9)]
    lines = {"w": "RL.ALLOW {} 10 1h COST 2", "a": "QUOTA.CONSUME {} r 5 ID x", "b": "QUOTA.CONSUME {} r 5 ID x"}
    for name in gone:
        assert isinstance(error(move.source.client(), lines[name[-1]].format(name)), redis.exceptions.AskError)
        assert isinstance(error(move.target.client(), lines[name[-1]].format(name)), redis.exceptions.MovedError)
        redirected = move.target.client(single_connection_client=True)
        redirected.execute_command("ASKING")
        assert redirected.execute_command(*lines[name[-1]].format(name).split())[0] in (2, 5)
    for name in stays:
        assert move.source.client().execute_command(*lines[name[-1]].format(name).split())[0] in (2, 5)
    split = error(move.source.client(), f"RL.MALLOW 2 {gone[0]} {stays[0]} WITH 10 1h")
    assert isinstance(split, redis.exceptions.TryAgainError)
    while move.some(2):
        pass
    move.end()
    for name in ("{half}a", "{half}b"):
        assert client.execute_command("QUOTA.CONSUME", name, "r", 5, "ID", "x")[0] == 5
        assert used(client, name) == 5
        assert client.execute_command("RL.ALLOW", name + "w", 10, "1h", "PEEK")[2] == 7


def test_an_account_goes_on_by_its_own_rules_where_its_plan_is_not_known(cluster):
    client = cluster.client()
    move = Move(cluster, "{own}")
    move.source.client().execute_command(*words("QUOTA.PLAN SET rare r LIMIT 10 day"))
    client.execute_command("QUOTA.OPEN", "{own}a", "rare")
    client.execute_command("QUOTA.CONSUME", "{own}a", "r", 4, "ID", "x")
    move.begin()
    while move.some(2):
        pass
    move.end()
    assert client.execute_command("QUOTA.CONSUME", "{own}a", "r", 4, "ID", "x")[0] == 4
    assert client.execute_command("QUOTA.CONSUME", "{own}a", "r", 7)[:3] == [0, 10, 6]
    assert client.execute_command("QUOTA.CONSUME", "{own}a", "r", 6)[:3] == [6, 10, 0]
    move.target.client().execute_command("QUOTA.CLOCK", "ADVANCE", "1d")
    assert client.execute_command("QUOTA.CONSUME", "{own}a", "r", 3)[:3] == [3, 10, 7]  # the next day is its own too
    move.target.client().execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    assert str(error(move.target.client(), "QUOTA.OPEN {own}b rare")).startswith("NOPLAN")


# ---- clients that wait while their slot moves ----


WAITERS = 5
LINES = {"k": "RL.ALLOW {key} FIXED 1 1h WAIT 12h", "l": "RL.ACQUIRE {key} 1 1h WAIT 12h"}  # by the key's last letter
HELD = {"k": "RL.ALLOW {key} FIXED 1 1h", "l": "RL.ACQUIRE {key} 1 1h ID holder"}


class Lines:
    """Two keys of one slot of which all is taken, and a line of clients on each, at the node that has them."""

    def __init__(self, cluster, tag):
        self.cluster, self.move = cluster, Move(cluster, "{" + tag + "}")
        self.keys = ["{" + tag + "}" + letter for letter in LINES]
        for key in self.keys:
            self.call(HELD[key[-1]], key)
        self.waiters = [Waiter(self.move.source, LINES[key[-1]].format(key=key))
                        for key in self.keys for _ in range(WAITERS)]

    def call(self, line, key):
        return self.cluster.client().execute_command(*line.format(key=key).split())

    def assert_sent_away(self):
        for waiter in self.waiters:
            assert waiter.done() is None
            assert "UNBLOCKED" in waiter.error or str(self.move.target.port) in waiter.error, waiter.error

    def assert_nothing_stays(self, server):
        """Nor comes: not when the moments of those that waited there are over."""
        client = server.client()
        for moment in ("1s", "1h", "10h"):
            client.execute_command("QUOTA.CLOCK", "ADVANCE", moment)
            assert client.execute_command("CLUSTER", "COUNTKEYSINSLOT", self.move.slot) == 0
        client.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
        assert client.info("quota")["quota_waiting"] == 0

    def assert_one_is_held(self):
        assert self.call("RL.ALLOW {key} FIXED 1 1h PEEK WAIT 1d", self.keys[0])[3] == 3600_000
        _, (lease,) = self.call("RL.LEASES {key}", self.keys[1])
        assert as_map(lease)["id"] == "holder"


def migrate(move):
    move.begin()
    while move.some(1):
        pass
    move.end()


def test_who_waits_is_sent_away_when_the_slot_moves_and_again_when_it_returns(cluster):
    for _ in range(2):
        lines = Lines(cluster, "line")
        migrate(lines.move)
        lines.assert_sent_away()
        lines.assert_nothing_stays(lines.move.source)
        lines.assert_one_is_held()
    assert lines.move.source is not Move(cluster, "{line}").source


def test_keys_that_have_not_moved_yet_go_on(cluster):
    """While the slot is open, the first is admitted where the key still is; once it has gone, none is, nor joins."""
    lines = Lines(cluster, "open")
    source, target = lines.move.source.client(), lines.move.target.client(single_connection_client=True)
    lines.move.begin()
    source.execute_command("RL.RELEASE", "{open}l", "holder")
    admitted = lines.waiters[WAITERS].done()
    assert admitted[0] == 1
    source.execute_command("DEL", "{open}k")  # gone while the slot is open: a newcomer would make it at the target
    lines.waiters[0].done()
    assert "UNBLOCKED" in lines.waiters[0].error
    while lines.move.some(1):
        pass
    for line in ("RL.ALLOW {open}k FIXED 1 1h", "RL.ALLOW {open}k FIXED 1 1h WAIT 1d",
                 "RL.ACQUIRE {open}l 1 1h WAIT 1d"):
        target.execute_command("ASKING")
        if "WAIT" in line:
            assert isinstance(error(target, line), redis.exceptions.TryAgainError)
        else:
            assert target.execute_command(*line.split())[0] == 1
    lines.move.end()
    _, (lease,) = lines.call("RL.LEASES {key}", "{open}l")
    assert as_map(lease)["id"].encode() == admitted[6]
    lines.assert_nothing_stays(lines.move.source)


ATOMIC = VERSION >= (9,) if VALKEY else VERSION >= (8, 4)  # the server moves whole slots, and switches at one instant


def move_atomically(source, target, first, last):
    """Redis: the target imports; Valkey: the source sends. Until none of their keys is left at the source."""
    if VALKEY:
        source.client().execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", name_of(target))
    else:
        target.client().execute_command("CLUSTER", "MIGRATION", "IMPORT", first, last)
    wait_until(lambda: first in slots_of(target) and first not in slots_of(source), "the slots do not move")
    wait_until(lambda: not any(source.client().execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
                               for slot in range(first, last + 1)), "keys stay behind")


@pytest.mark.skipif(not ATOMIC, reason="this server moves slots key by key only")
@pytest.mark.parametrize("tracking", ["off", "on"])  # on: Redis deletes what has moved at once, not in the background
def test_who_waits_is_sent_away_when_the_slot_moves_atomically(cluster, tracking):
    watchers = [server.client(single_connection_client=True) for server in cluster.primaries]
    for watcher in watchers:
        watcher.execute_command("CLIENT", "TRACKING", tracking, *(["BCAST"] if tracking == "on" else []))
    for _ in range(2):
        lines = Lines(cluster, "atomic")
        move_atomically(lines.move.source, lines.move.target, lines.move.slot, lines.move.slot)
        lines.assert_sent_away()
        lines.assert_nothing_stays(lines.move.source)
        lines.assert_one_is_held()
        cluster.client().delete(*lines.keys)
    for watcher in watchers:
        watcher.close()


class Operator(threading.Thread):
    """Sets what an account has used, again and again, and gives its number as the reason each time."""

    def __init__(self, cluster, account):
        super().__init__()
        self.client, self.account, self.acts, self.stopping = cluster.client(), account, 0, False

    def run(self):
        while not self.stopping:
            assert self.client.execute_command("QUOTA.SET", self.account, "r", 5, "REASON", self.acts) == b"OK"
            self.acts += 1

    def progress(self):
        goal = self.acts + 3
        wait_until(lambda: self.acts >= goal, "the operator has stopped")


def reasons(server, account):
    """Of the acts that are events of the node."""
    found, last = [], "0-0"
    while events := server.client().execute_command("QUOTA.EVENTS", "READ", "AFTER", last, "ACCOUNT", account,
                                                    "TYPE", "quota.usage.set", "COUNT", 1000):
        found += [int(as_map(fields)["reason"]) for _, fields in events]
        last = events[-1][0]
    return found


def move_by_keys(move):
    move.begin()
    while move.some(1):
        pass
    move.end()


@pytest.mark.parametrize("how", ["by keys", pytest.param("atomically", marks=pytest.mark.skipif(
    not ATOMIC, reason="this server moves slots key by key only"))])
def test_events_stay_with_the_node_that_made_them(cluster, how):
    account = f"{{events {how}}}"
    cluster.client().execute_command("QUOTA.OPEN", account, "p")
    move, operator = Move(cluster, account), Operator(cluster, account)
    operator.start()
    try:
        operator.progress()
        if how == "by keys":
            move_by_keys(move)
        else:
            move_atomically(move.source, move.target, move.slot, move.slot)
        operator.progress()
    finally:
        operator.stopping = True
        operator.join()
    before, after = reasons(move.source, account), reasons(move.target, account)
    assert before + after == list(range(operator.acts))  # each once, by the node that did it
    assert len(before) >= 3 and len(after) >= 3


@pytest.mark.parametrize("killed", ["source", "target"])
def test_a_node_that_is_killed_in_the_middle_of_a_move(killed):
    """Clients that waited have no answer, and nothing was charged for it; what was charged is in one place, once."""
    cluster = Cluster(shards=2, replicas=0)
    try:
        cluster.start()
        keys = ["{kill}%d" % number for number in range(8)]
        for key in keys:
            cluster.client().execute_command("RL.ALLOW", key, "FIXED", 5, "1h", "COST", 5)
        move = Move(cluster, "{kill}")
        waiters = [Waiter(move.source, f"RL.ALLOW {key} FIXED 5 1h WAIT 1d") for key in keys for _ in range(3)]
        move.begin()
        assert len(move.some(4)) == 4
        victim = move.source if killed == "source" else move.target
        victim.kill()
        victim.start().client().execute_command("QUOTA.CLOCK", "FREEZE", NOON)
        wait_until(lambda: all(cluster.is_ready(server) for server in cluster.servers), "the cluster is not ready")
        while move.some(1):
            pass
        move.end()
        for waiter in waiters:
            assert waiter.done() is None
        assert move.source.client().dbsize() == 0 and move.target.client().dbsize() == len(keys)
        for key in keys:
            answer = move.target.client().execute_command("RL.ALLOW", key, "FIXED", 5, "1h", "PEEK", "WAIT", "1d")
            assert answer[:4] == [1, 5, 0, 3600_000]
    finally:
        cluster.close()


@pytest.mark.parametrize("what", ["DEL {key}", "FLUSHALL"])
def test_a_node_that_goes_on_serving_is_not_mistaken(cluster, what):
    """Slots that do not move: a key that is deleted lets the first in, as everywhere."""
    lines = Lines(cluster, "stays")
    for key in lines.keys:
        lines.move.source.client().execute_command(*what.format(key=key).split())
        if what == "FLUSHALL":
            break
    assert [lines.waiters[at].done()[0] for at in (0, WAITERS)] == [1, 1]
    for waiter in lines.waiters:
        waiter.client.connection.disconnect()
    client = lines.move.source.client()
    wait_until(lambda: client.info("quota")["quota_waiting"] == 0, "a client waits")
    client.delete(*lines.keys)


# ---- a shard changes its primary ----


def filled(cluster, shard):
    """An account and a limit of that shard that a replica has too; their names and answers."""
    name = next(name for name in (f"fill{number}" for number in range(999)) if cluster.shard_of(name) == shard)
    client = cluster.primaries[shard].client()
    client.execute_command("QUOTA.OPEN", name, "p")
    answer = client.execute_command("QUOTA.CONSUME", name, "r", 990, "ID", "x")
    client.execute_command("RL.ALLOW", "{" + name + "}w", "FIXED", 1, "1d")
    assert client.execute_command("WAIT", 1, 60_000) == 1
    return name, answer


def assert_goes_on(cluster, shard, name, answer):
    client, replica = cluster.client(), cluster.replicas[shard]
    wait_until(lambda: replica.client().info("replication")["role"] == "master", "no replica is promoted")
    wait_until(lambda: cluster_info(cluster.servers[1])["cluster_state"] == "ok", "the cluster stays down")
    wait_until(lambda: answers(client, name), "no client finds the new primary")
    assert client.execute_command("QUOTA.CONSUME", name, "r", 990, "ID", "x") == answer
    assert client.execute_command("QUOTA.CONSUME", name, "r", 11)[0] == 0
    assert client.execute_command("QUOTA.CONSUME", name, "r", 10)[:3] == [10, 1000, 0]
    assert client.execute_command("RL.ALLOW", "{" + name + "}w", "FIXED", 1, "1d")[0] == 0
    assert replica.client().execute_command("QUOTA.OPEN", name, "p") in (b"OK", True)  # it knows the plan too


def answers(client, name):
    try:
        return used(client, name) == 990
    except (redis.ConnectionError, redis.exceptions.ClusterDownError, redis.exceptions.RedisClusterException):
        return False


def test_a_failover_by_hand_keeps_the_accounts(own_cluster):
    name, answer = filled(own_cluster, 1)
    own_cluster.replicas[1].client().execute_command("CLUSTER", "FAILOVER")
    assert_goes_on(own_cluster, 1, name, answer)
    former, now = own_cluster.primaries[1], own_cluster.replicas[1]
    wait_until(lambda: former.client().info("replication").get("master_link_status") == "up", "it does not follow")
    wait_until(lambda: former.digest() == now.digest(), "the former primary differs")


def test_a_killed_primary_is_replaced_and_the_accounts_are_kept(own_cluster):
    name, answer = filled(own_cluster, 0)
    own_cluster.primaries[0].kill()
    assert_goes_on(own_cluster, 0, name, answer)
