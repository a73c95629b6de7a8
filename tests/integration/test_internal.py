"""RL._DO and RL._PUT: taken from a primary or a file, refused to every client, validated all the same. What is damaged
is left out; what a newer version has written stops the server."""

import re
import socket
import threading

import pytest

from conftest import NOON, NOON_MS, Quota
from servers import REFUSED_INTERNAL, Server, wait_until


def varint(number):
    """LEB128, as quota/buffer.h writes numbers."""
    low = number & 0x7F
    return bytes([low | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([low])


RULES = b"\x00\x01" + b"\x00\x14" + varint(1_000_000) + b"\x00\x00" + b"\x00"  # one rule, GCRA 10 1s, anew
STATE = b"\x20" + varint(NOON_MS * 1000 + 300_000) + b"\x00\x00"  # 300 ms of debt at noon
EFFECTS = b"\x01" + RULES + STATE
NO_EXPIRE = b"\x81" + RULES + STATE


@pytest.mark.parametrize("line", ["RL._DO", "RL._PUT"])
def test_clients_are_refused_everywhere(quota, replica, line):
    for client in (quota, Quota(replica.client())):
        error = client.error(f"{line} k", EFFECTS)
        assert re.search(REFUSED_INTERNAL, error) or "read only" in error
    script = f"return redis.pcall('{line}', 'k', ARGV[1]).err"
    assert re.search(REFUSED_INTERNAL.encode(), quota.client.eval(script, 0, EFFECTS))
    assert quota("EXISTS k") == 0


def resp(command):
    words = [word if isinstance(word, bytes) else word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def aof_with(server, *commands):
    """Puts commands behind what the server's AOF holds, as if a primary had written them."""
    manifest = next((server.path / "appendonlydir").glob("*.manifest"))
    file = [line.split()[1] for line in manifest.read_text().splitlines() if " type i" in line][-1]
    with open(server.path / "appendonlydir" / file, "ab") as aof:
        for command in commands:
            aof.write(resp(command))


@pytest.mark.parametrize("command", [
    ("RL._DO", "k", b""), ("RL._DO", "k", b"\xff" * 9), ("RL._DO", "k", b"\x00" + EFFECTS[1:]),
    ("RL._DO", "k", b"\x01" + STATE),  # a state without rules
    ("RL._DO", "k", b"\x11garbage"), ("RL._DO", "k", b"\x41garbage"), ("RL._DO", "k", b"\x70\x04\x02garbage"),
    ("RL._PUT", "k", b"\x01garbage"), ("RL._PUT", "k", b"\x20"), ("RL._DO", "string", EFFECTS),
    ("RL._POLICY", "p", b"\xff"), ("RL._POLICY", "p", b"\x01garbage"), ("RL._PLAN", "p", b"\x01"),
    ("RL._PLAN", "p", b"\x02\x03\x02"), ("RL._PLAN", "p", b"\x02\x07"),  # retires what is not there; is no change
    ("RL._PLAN", "other", b"\x01\x01p\x01\x00")])  # a plan of another name
def test_damaged_effects_in_a_file_are_skipped_with_a_warning(command):
    server = Server(appendonly="yes", appendfsync="always").start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    quota("RL.ALLOW good 10 1h")
    quota("SET string 1")
    expected = server.digest()
    server.stop()
    aof_with(server, ("SELECT", "0"), command)
    server.start()
    assert server.digest() == expected
    server.alarms_expected = ("refused to repeat", "sending an error to its")
    server.close()


# ---- what a newer version of the module has written --------------------------------------------------------------

FORMATS = {"limiter": (0, 2), "leases": (1, 1), "breaker": (2, 1), "adaptive limit": (3, 1), "account": (4, 5),
           "table": (5, 1)}  # kind, and the newest encoding that this version reads
FUTURES = [  # command, bytes, what is said about them
    *((command, bytes([flag | kind << 4 | newest + ahead]) + EFFECTS[1:],
       f"{name} in encoding {newest + ahead}, this version reads 1 to {newest}")
      for name, (kind, newest) in FORMATS.items()
      for command, ahead, flag in (("RL._DO", 1, 0x80), ("RL._PUT", 4, 0), ("RL._DO", 10, 0))),
    *((command, bytes([newest + ahead]) + b"...",
       f"{name} in encoding {newest + ahead}, this version reads 1 to {newest}")
      for command, name, newest in (("RL._POLICY", "policy", 1), ("RL._PLAN", "plan", 5)) for ahead in (1, 4, 10)),
    ("RL._DO", b"\x0f" + EFFECTS[1:], "limiter in encoding 15"),
    ("RL._DO", b"\x70\x04\x10...", "account in encoding 16"), ("RL._PLAN", b"\x70\x00\xff...", "plan in encoding 255"),
    ("RL._DO", b"\x61...", "kind 6 in encoding 1, a kind that this version does not know"),
    ("RL._PUT", b"garbage", "kind 6 in encoding 7, a kind that this version does not know"),
    ("RL._DO", b"\xf0\x1f\x01...", "kind 31 in encoding 1, a kind that this version does not know")]
STOPS = ": stopping, so that nothing is left out"


@pytest.fixture(scope="module")
def begun():
    """A server's files, with a key and a policy in them, and its digest."""
    server = Server(appendonly="yes", appendfsync="always").start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    quota("RL.ALLOW good 10 1h")
    quota("RL.POLICY SET p 10 1s")
    server.begun = server.digest()
    server.client().save()
    server.stop()
    yield server
    server.close()


def files(server):
    return {path.name: path.read_bytes() for path in (server.path / "appendonlydir").iterdir()}


def assert_stopped(server, says):
    assert server.process.wait(10) == 1
    said = [line for line in server.log().splitlines() if STOPS in line][-1]
    assert says in said and "change of 'k'" in said


@pytest.mark.parametrize("command, change, says", FUTURES)
def test_changes_of_the_future_stop_the_load(begun, command, change, says):
    """Also behind a change that is damaged. The file is left as it is."""
    before = files(begun)
    damaged = ["other", b"\x01"] if command == "RL._DO" else []
    aof_with(begun, ("SELECT", "0"), (command, *damaged, "k", change))
    future = files(begun)
    with pytest.raises(RuntimeError):
        begun.start()
    assert_stopped(begun, says)
    assert files(begun) == future
    for name, content in before.items():
        (begun.path / "appendonlydir" / name).write_bytes(content)
    begun.process = None


def test_without_them_the_files_are_good(begun):
    begun.start()
    assert begun.digest() == begun.begun
    begun.stop()


class Primary(threading.Thread):
    """Sends one replica a file for its full sync, and then what it is given: a primary of any version."""

    def __init__(self, file):
        super().__init__(daemon=True)
        self.file, self.listener, self.linked = file, socket.create_server(("127.0.0.1", 0)), threading.Event()
        self.start()

    def run(self):
        self.link, _ = self.listener.accept()
        answers = {b"PING": b"+PONG", b"PSYNC": b"+FULLRESYNC %s 0" % (b"1" * 40)}
        for word in iter(self.next_command, b"PSYNC"):
            self.link.sendall(answers.get(word, b"+OK") + b"\r\n")
        self.link.sendall(answers[b"PSYNC"] + b"\r\n$%d\r\n" % len(self.file) + self.file)
        self.linked.set()

    def next_command(self):
        reader = self.link.makefile("rb", buffering=0)
        count = int(reader.readline()[1:])
        return [reader.read(int(reader.readline()[1:]) + 2) for _ in range(count)][0].strip().upper()

    def send(self, *commands):
        self.linked.wait(10)
        self.link.sendall(b"".join(resp(command) for command in commands))


@pytest.mark.parametrize("command, change, says", FUTURES)
def test_changes_of_the_future_stop_a_replica(begun, command, change, says):
    primary, replica = Primary((begun.path / "dump.rdb").read_bytes()), Server().start()
    try:
        client = replica.client()
        client.execute_command("REPLICAOF", *primary.listener.getsockname())
        primary.send(("SELECT", "0"), ("RL._DO", "k", NO_EXPIRE))  # what it can read it repeats
        wait_until(lambda: client.exists("k"), "the replica repeats nothing")
        primary.send((command, "k", change))
        assert_stopped(replica, says)
        replica.process = None
    finally:
        primary.listener.close()
        replica.close()


def test_of_many_keys_the_good_ones_are_done():
    server = Server(appendonly="yes", appendfsync="always").start()
    server.client().set("string", 1)
    server.stop()
    aof_with(server, ("SELECT", "0"), ("RL._DO", "a", NO_EXPIRE, "string", NO_EXPIRE, "k", b"\xff", "b", NO_EXPIRE))
    server.start()
    quota = Quota(server.client())
    assert [quota(f"EXISTS {key}") for key in ("a", "k", "b")] == [1, 0, 1]
    assert "change of key 'string'" in server.log()
    server.alarms_expected = ("refused to repeat", "sending an error to its")
    server.close()


def test_good_effects_in_a_file_are_applied():
    server = Server(appendonly="yes", appendfsync="always").start()
    server.client().ping()
    server.stop()
    aof_with(server, ("SELECT", "0"), ("RL._DO", "k", NO_EXPIRE))
    server.start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    assert quota("RL.ALLOW k 10 1s") == [1, 10, 6, 0, 400, 0]
    server.close()
