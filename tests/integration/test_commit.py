"""What a decision does to the world: replication stream, WATCH, client tracking, time to live, events."""

import threading
import time

import pytest
import redis

from conftest import Quota
from servers import Server, caught_up, wait_until


class Stream:
    """Everything the primary sends to its replicas while the block runs, as lists of words."""

    def __init__(self, server):
        self.server, self.port = server, server.port

    def __enter__(self):
        import socket
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.settimeout(10)
        self.reader = self.socket.makefile("rb")
        self.socket.sendall(b"SYNC\r\n")
        header = self.reader.readline().strip()
        while not header.startswith(b"$"):
            header = self.reader.readline().strip()
        if header.startswith(b"$EOF:"):  # diskless: the mark stands again behind the data
            mark, data = header[5:], b""
            while not data.endswith(mark):
                data += self.reader.read(1)
        else:
            self.reader.read(int(header[1:]))
        return self

    def words_until(self, last):
        commands = []
        while not commands or commands[-1] != last:
            count = int(self.reader.readline()[1:])
            words = []
            for _ in range(count):
                size = int(self.reader.readline()[1:])
                words.append(self.reader.read(size + 2)[:-2])
            if words[0].upper() not in (b"PING", b"SELECT", b"REPLCONF"):
                commands.append(words)
        return commands[:-1]

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()


@pytest.fixture
def stream_of(quota, primary):
    """stream_of(lines) → the commands that these lines send to a replica."""
    def run(*lines):
        with Stream(primary) as stream:
            for line in lines:
                quota(line)
            quota("PUBLISH end end")
            return stream.words_until([b"PUBLISH", b"end", b"end"])
    return run


def test_an_admission_replicates_one_small_effect(stream_of):
    first, second = stream_of("RL.ALLOW fourteen-bytes 10 1s", "RL.ALLOW fourteen-bytes 10 1s")
    assert first[:2] == [b"RL._DO", b"fourteen-bytes"]
    assert second[:2] == [b"RL._DO", b"fourteen-bytes"]
    wire = f"*3\r\n$6\r\nRL._DO\r\n$14\r\nfourteen-bytes\r\n${len(second[2])}\r\n".encode() + second[2] + b"\r\n"
    assert len(wire) <= 60


def test_denials_peeks_and_empty_refunds_replicate_nothing(stream_of):
    first, *rest = stream_of("RL.ALLOW k 1 1h PEEK", "RL.ALLOW k 1 1h", "RL.ALLOW k 1 1h", "RL.ALLOW k 1 1h PEEK",
                             "RL.ALLOW k 1 1h UPTO COST 5", "RL.INFO k", "RL.REFUND missing 5", "RL.BLOCK missing 0",
                             "CL.THROTTLE other 1 1 1 0", "CL.THROTTLE other 1 1 1 9", "RL.ALLOW new 9 1s COST 10",
                             "RL.ALLOW unlimited -1 1s")
    assert first[:2] == [b"RL._DO", b"k"] and rest == []


def test_a_full_refund_replicates_a_deletion(stream_of):
    *_, last = stream_of("RL.ALLOW k 10 1h", "RL.REFUND k 1")
    assert last == [b"DEL", b"k"]


def test_inside_multi_the_stream_is_a_transaction(quota, primary):
    with Stream(primary) as stream:
        with quota.client.pipeline(transaction=True) as multi:
            multi.execute_command("RL.ALLOW", "a", "10", "1s")
            multi.execute_command("RL.ALLOW", "a", "10", "1s")
            multi.execute()
        quota("PUBLISH end end")
        words = [command[0].upper() for command in stream.words_until([b"PUBLISH", b"end", b"end"])]
    assert words == [b"MULTI", b"RL._DO", b"RL._DO", b"EXEC"]


QUIET = ["RL.ALLOW k 1 1h", "RL.ALLOW k 1 1h PEEK", "RL.ALLOW k 1 1h UPTO", "RL.INFO k", "CL.THROTTLE k 0 1 3600 0"]


@pytest.mark.parametrize("line, changes", [(line, False) for line in QUIET] + [
    ("RL.ALLOW k 1 1h FORCE", True), ("RL.REFUND k 1", True), ("RL.BLOCK k 1s", True),
    ("RL.ALLOW k 1 1h BURST 2", True)])
def test_only_a_change_breaks_a_watch(quota, primary, line, changes):
    quota("RL.ALLOW k 1 1h")
    watcher = primary.client()
    with watcher.pipeline() as transaction:
        transaction.watch("k")
        quota(line)
        transaction.multi()
        transaction.ping()
        try:
            transaction.execute()
            broken = False
        except redis.WatchError:
            broken = True
    assert broken == changes


@pytest.mark.parametrize("line, changes", [(line, False) for line in QUIET[:3]] + [("RL.ALLOW k 1 1h FORCE", True)])
def test_only_a_change_invalidates_tracking_clients(quota, primary, line, changes):
    quota("RL.ALLOW k 1 1h")
    tracker = primary.client()
    listener = tracker.pubsub()
    listener.subscribe("__redis__:invalidate")
    listener.get_message(timeout=5)
    listener_id = quota.client.client_list(_type="pubsub")[-1]["id"]
    reader = primary.client(single_connection_client=True)
    reader.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", listener_id)
    reader.execute_command("RL.INFO", "k")
    quota(line)
    quota("PUBLISH __redis__:invalidate end")  # on the same channel: whatever was sent stands before it
    message = listener.get_message(timeout=5)
    assert (message["data"] == [b"k"]) == changes
    listener.close()
    reader.close()


LIVES = [("10 1h", 5, 1_800_000), ("3 1h", 1, 1_200_000), ("TOKEN 10 1h", 10, 3_600_000), ("LEAKY 10 1h", 1, 360_000),
         ("QUEUE 10 1h", 2, 720_000), ("LOG 5 1h", 1, 3_600_000), ("FIXED 5 1h FIRST", 1, 3_600_000),
         ("TOKEN 10 1h INITIAL 5", 5, 7_200_000), ("10 1h LOG 5 2h", 1, 7_200_000),
         ("10 1h BURST 100 BLOCK 3h", 100, 36_000_000)]


def assert_lives_long_enough(server, quota):
    """At least until the deadline; at most a quarter of the longest period more."""
    late_ms = server.client().execute_command("PEXPIRETIME", "k") - quota.map("RL.INFO k")["deadline"]
    assert 0 <= late_ms <= 1_800_000


@pytest.mark.parametrize("rule, cost, life_ms", LIVES)
def test_the_time_to_live_is_the_states_own(quota, primary, replica, rule, cost, life_ms):
    quota("QUOTA.CLOCK RESUME")
    quota(f"RL.ALLOW k {rule} COST {cost}")
    deadline = quota.map("RL.INFO k")["deadline"]
    assert_lives_long_enough(primary, quota)
    assert life_ms - 60_000 < deadline - time.time() * 1000 <= life_ms + 1
    caught_up(primary, replica)
    assert_lives_long_enough(replica, quota)
    quota("PERSIST k")  # a user's doing; a later change sets it right
    quota(f"RL.ALLOW k {rule} FORCE")
    assert_lives_long_enough(primary, quota)
    quota("DEL k")


def test_a_time_to_live_that_seldom_moves_is_never_too_short():
    """Without the test clock, as in production: the expiry is set only when it moves by the granularity of the TTL."""
    primary, replica = Server(module_options=()).start(), Server(module_options=()).start()
    try:
        replica.follow(primary)
        quota = Quota(primary.client())
        for rule, _, _ in LIVES:
            moved = set()
            for _ in range(60):
                quota(f"RL.ALLOW k {rule} FORCE")
                assert_lives_long_enough(primary, quota)
                moved.add(primary.client().execute_command("PEXPIRETIME", "k"))
            caught_up(primary, replica)
            assert replica.client().execute_command("PEXPIRETIME", "k") in moved
            quota("DEL k")
        expiries = set()
        for _ in range(40):
            quota("RL.ALLOW k 1000 1h")  # 3.6 s a unit: the granularity is four to eight of them
            expiries.add(primary.client().execute_command("PEXPIRETIME", "k"))
        assert 5 <= len(expiries) <= 11
        caught_up(primary, replica)
        assert replica.digest() == primary.digest()
    finally:
        replica.close()
        primary.close()


def test_an_idle_bucket_disappears_by_itself(quota, primary, replica):
    quota("QUOTA.CLOCK RESUME")
    for word in ("", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG"):
        quota(f"RL.ALLOW k{word} {word} 1000 50ms")
    wait_until(lambda: primary.client().dbsize() == 0, "buckets stay")
    wait_until(lambda: replica.client().dbsize() == 0, "buckets stay on the replica")


def test_deleting_fires_the_usual_event(quota, primary):
    primary.client().config_set("notify-keyspace-events", "Kg")
    events = primary.client().pubsub()
    events.psubscribe("__keyspace@0__:k")
    events.get_message(timeout=5)
    quota("RL.ALLOW k 10 1h")
    quota("RL.REFUND k 1")
    assert events.get_message(timeout=5)["data"] == b"del"
    primary.client().config_set("notify-keyspace-events", "")


def test_real_concurrent_clients_never_get_more_than_the_limit(quota, primary):
    granted = []

    def work():
        client = primary.client()
        granted.append(sum(client.execute_command("RL.ALLOW", "k", "LOG", "100", "1h")[0] for _ in range(50)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 100
