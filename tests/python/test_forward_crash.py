"""The forwarder and its server are killed: every event arrives at least once, first attempts in order per account.

    writer ──▶ primary (AOF, always) ──▶ forwarder ──▶ receiver        kill -9 of the forwarder, of the primary
                  └── replica, promoted ◀── Door ◀── forwarder        the address stays, the server behind it changes

What must arrive is what the log that is left holds; a receiver that fails now and then is part of it.
"""

import contextlib
import signal
import socket
import threading

import pytest
import redis
from conftest import Quota
from servers import PATIENCE_S, Server, caught_up
from test_cluster import Cluster, cluster_info, name_of

from .calls import answered, url_of
from .forwarding import (
    Forwarder,
    Receiver,
    first_attempts,
    hook,
    in_order_per_account,
    logged,
    wait_until,
)

SHORT = "{refusals-every: 10s, lease: 500ms, settle-within: 10m, retry: [0" + ", 20ms" * 60 + "]}"
ACCOUNTS = 12


@pytest.fixture
def primary():
    server = Server(appendonly="yes", appendfsync="always").start()
    yield server
    server.close()


@pytest.fixture
def receiver():
    """It fails for every seventh request."""
    receiver = Receiver()
    receiver.answer = lambda got: 503 if len(receiver.got) % 7 == 0 else 204
    yield receiver
    receiver.close()


@pytest.fixture
def forward(tmp_path):
    started = []

    def start(url, sinks, name="forward"):
        started.append(Forwarder(tmp_path, url, sinks, SHORT, name))
        return started[-1]
    yield start
    for forwarder in started:
        if forwarder.process.poll() is None:
            forwarder.stop()


class Writer:
    """Changes accounts until it is ended; what is refused while a server is away is left out."""

    def __init__(self, client):
        self.client, self.count, self.ended = client, 0, threading.Event()
        quota = Quota(client)
        quota("QUOTA.PLAN SET pro api LIMIT 1000000 day")
        for number in range(ACCOUNTS):
            quota(f"QUOTA.OPEN w{number} pro")
        self.thread = threading.Thread(target=self.write)
        self.thread.start()

    def write(self):
        while not self.ended.wait(0.002):
            with contextlib.suppress(redis.RedisError):
                self.client.execute_command("QUOTA.SET", f"w{self.count % ACCOUNTS}", "api", self.count)
                self.count += 1

    def until(self, more):
        goal = self.count + more
        wait_until(lambda: self.count >= goal, "the writer does not go on")

    def end(self):
        self.ended.set()
        self.thread.join(PATIENCE_S)


def everything_arrives(receiver, expected):
    """However long it takes, as long as something arrives. Signatures are verified once, at the end: the receiver works
    in this process, too."""
    expected = set(expected)
    while missing := expected - receiver.received():
        wait_until(lambda wanted=missing: wanted & receiver.received(), f"{len(missing)} events are missing")
    assert in_order_per_account(receiver.messages())


def test_kill_of_the_forwarder_loses_nothing(primary, receiver, forward):
    forwarder = forward(url_of(primary), hook(receiver, "lanes: 4"))
    writer = Writer(primary.client())
    for _ in range(4):
        seen = len(receiver.got)
        writer.until(40)
        wait_until(lambda seen=seen: len(receiver.got) > seen + 20, "nothing arrives")
        forwarder.kill()
        writer.until(40)
        forwarder.start()
    writer.end()
    everything_arrives(receiver, logged(primary))
    ids = receiver.ids()
    repeated = len(ids) - len(first_attempts(ids))
    assert repeated < 4 * 100 + len(ids) // 6 + 1  # a batch each, and what failed


def test_another_forwarder_waits_and_takes_over(primary, receiver, forward):
    first = forward(url_of(primary), hook(receiver), "first")
    wait_until(lambda: '"holding"' in first.log(), "it does not hold")
    second = forward(url_of(primary), hook(receiver), "second")
    wait_until(lambda: '"servers"' in second.log(), "the second one does not start")
    writer = Writer(primary.client())
    writer.until(50)
    assert '"holding"' not in second.log()
    first.kill()
    writer.until(50)
    wait_until(lambda: '"holding"' in second.log(), "it does not take over")
    writer.end()
    everything_arrives(receiver, logged(primary))


def test_a_holder_that_was_stopped_for_too_long_writes_no_more(primary, receiver, forward):

    first = forward(url_of(primary), hook(receiver), "first")
    wait_until(lambda: '"holding"' in first.log(), "it does not hold")
    first.process.send_signal(signal.SIGSTOP)
    second = forward(url_of(primary), hook(receiver), "second")
    wait_until(lambda: '"holding"' in second.log(), "it does not take over")
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: '"turn ended"' in first.log(), "it does not notice")
    writer = Writer(primary.client())
    writer.until(50)
    writer.end()
    everything_arrives(receiver, logged(primary))
    tokens = [line.partition('"token": ')[2].partition(",")[0] for made in (first, second)
              for line in made.log().splitlines() if '"holding"' in line]
    kept = int(primary.client().get("quota:forward:{hook}:token"))
    assert kept == max(map(int, tokens))


def test_kill_of_the_primary_loses_nothing(primary, receiver, forward):
    forward(url_of(primary), hook(receiver))
    writer = Writer(primary.client())
    for _ in range(3):
        writer.until(60)
        primary.kill()
        primary.start_at(primary.port)
    writer.until(60)
    writer.end()
    ids = logged(primary)
    assert {identity.split("-")[3] for identity in ids} == {"1", "2", "3", "4"}  # an epoch for each start
    everything_arrives(receiver, ids)


class Door:
    """A port whose connections lead to one server, then to another: what a failover's address does."""

    def __init__(self, server):
        self.target, self.open = server.port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self.listener.accept()
                try:
                    theirs = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    ours.close()
                    continue
                self.open += [ours, theirs]
                for source, sink in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def lead_to(self, server):
        self.target = server.port
        self.cut()

    def cut(self):
        ends, self.open = self.open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        self.cut()


def test_a_promotion_loses_nothing_and_repeats_little(primary, receiver, forward):
    replica = Server(appendonly="yes").start()
    replica.follow(primary)
    door = Door(primary)
    try:
        forward(door.url, hook(receiver))
        writer = Writer(primary.client())
        writer.until(100)
        writer.end()
        caught_up(primary, replica)
        primary.kill()
        replica.client().replicaof("NO", "ONE")
        door.lead_to(replica)
        after = Writer(replica.client())
        after.until(100)
        after.end()
        ids = logged(replica)
        assert {identity.split("-")[3] for identity in ids} == {"1", "2"}
        everything_arrives(receiver, ids)
        got = receiver.ids()
        assert len(got) - len(first_attempts(got)) < 200 + len(got) // 6 + 1
    finally:
        door.close()
        replica.close()


def test_a_cluster_is_read_whole_also_after_a_failover(receiver, forward, monkeypatch):
    cluster = Cluster(shards=2, replicas=2)
    try:
        cluster.start()
        for server in cluster.servers:
            server.client().execute_command("QUOTA.CLOCK", "RESUME")
        monkeypatch.setenv("QUOTA_URL", url_of(cluster.servers[1]))
        use(cluster, "before")
        forward(url_of(cluster.servers[1]), hook(receiver))
        wait_until(lambda: len({identity.split("-")[2] for identity in receiver.ids()}) == 2, "a log is not read")
        shards = {identity.split("-")[2] for identity in receiver.ids()}
        cluster.servers[0].kill()
        promoted = cluster.servers[2]
        promoted.client().execute_command("CLUSTER", "FAILOVER", "TAKEOVER")  # two primaries are no majority
        wait_until(lambda: promoted.client().role()[0] == b"master", "no failover")
        wait_until(lambda: cluster_info(cluster.servers[1])["cluster_state"] == "ok", "the cluster is not well")
        use(cluster, "after", cluster.servers[1:3])
        client = redis.RedisCluster(host="127.0.0.1", port=promoted.port, decode_responses=True)
        names = client.hgetall("quota:forward:shards")
        for server in cluster.servers[1:3]:
            everything_arrives(receiver, logged(server, names[name_of(server)]))
        client.close()
        assert {identity.split("-")[2] for identity in receiver.ids()} == shards  # the log has kept its name
        rows = answered("sinks", "list")
        assert [(row["sink"], row["state"]) for row in rows] == [("hook", "on")]
    finally:
        cluster.close()


def use(cluster, name, primaries=None):
    """A plan on every primary, and accounts on all of them, each with a change."""
    primaries = primaries or cluster.primaries
    for server in primaries:
        Quota(server.client())("QUOTA.PLAN SET pro api LIMIT 100 day")
    client = redis.RedisCluster(host="127.0.0.1", port=primaries[-1].port)
    for number in range(ACCOUNTS):
        client.execute_command("QUOTA.OPEN", f"{name}{number}", "pro")
        client.execute_command("QUOTA.SET", f"{name}{number}", "api", 5)
    client.close()


