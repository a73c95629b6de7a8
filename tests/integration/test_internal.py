"""RL._DO and RL._PUT: taken from a primary or a file, refused to every client, validated all the same."""

import pytest

from conftest import NOON, NOON_MS, Quota
from servers import Server


def varint(number):
    """LEB128, as quota/buffer.h writes numbers."""
    low = number & 0x7F
    return bytes([low | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([low])


RULES = b"\x00\x01" + b"\x00\x14" + varint(1_000_000) + b"\x00\x00" + b"\x00"  # one rule, GCRA 10 1s, anew
STATE = b"\x20" + varint(NOON_MS * 1000 + 300_000) + b"\x00\x00"  # 300 ms of debt at noon
EFFECTS = b"\x01" + RULES + STATE
LASTING = b"\x81" + RULES + STATE


@pytest.mark.parametrize("line", ["RL._DO", "RL._PUT"])
def test_clients_are_refused_everywhere(quota, replica, line):
    for client in (quota, Quota(replica.client())):
        error = client.error(f"{line} k", EFFECTS)
        assert "internal command" in error or "read only" in error
    script = f"return redis.pcall('{line}', 'k', ARGV[1]).err"
    assert b"internal command" in quota.client.eval(script, 0, EFFECTS)
    assert quota("EXISTS k") == 0


def aof_with(server, *commands):
    """Puts commands behind what the server's AOF holds, as if a primary had written them."""
    manifest = next((server.path / "appendonlydir").glob("*.manifest"))
    file = [line.split()[1] for line in manifest.read_text().splitlines() if " type i" in line][-1]
    with open(server.path / "appendonlydir" / file, "ab") as aof:
        for command in commands:
            words = [word if isinstance(word, bytes) else word.encode() for word in command]
            aof.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))


@pytest.mark.parametrize("command", [
    ("RL._DO", "k", b""), ("RL._DO", "k", b"\xff" * 9), ("RL._DO", "k", b"\x0f" + EFFECTS[1:]),
    ("RL._DO", "k", b"\x01" + STATE),  # a state without rules
    ("RL._PUT", "k", b"garbage"), ("RL._DO", "string", EFFECTS),
    ("RL._POLICY", "p", b"\xff"), ("RL._POLICY", "p", b"garbage"), ("RL._PLAN", "p", b"\x01"),
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


def test_of_many_keys_the_good_ones_are_done():
    server = Server(appendonly="yes", appendfsync="always").start()
    server.client().set("string", 1)
    server.stop()
    aof_with(server, ("SELECT", "0"), ("RL._DO", "a", LASTING, "string", LASTING, "k", b"\xff", "b", LASTING))
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
    aof_with(server, ("SELECT", "0"), ("RL._DO", "k", LASTING))
    server.start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    assert quota("RL.ALLOW k 10 1s") == [1, 10, 6, 0, 400, 0]
    server.close()
