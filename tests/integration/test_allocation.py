"""Memory that cannot be had: lengths and counts that lie, and a server with less room than its data needs.

    length word ── 2^60 ──▶ the server asks for that much, is refused, and so is the value
    counts inside ─ 2^60 ─▶ the codec holds them against the bytes that are there; nothing is allocated
    an address space that ends (prlimit) ──▶ the data loads, or the server ends by its own hand

The server's allocator never answers "no": it ends the process (zmalloc's out-of-memory handler, a panic by design). The
module has no other policy (quota/memory.h), so what must hold is that no input makes it allocate more than in
proportion to its own size, and that the end, when it comes, is the server's and leaves the files readable.
"""

import os
import pathlib
import re
import resource
import shutil
import signal
import struct

import pytest
import redis

import servers
from conftest import NOON_MS, Quota
from servers import WRAPPER, Server
from test_golden import DUMPS, MODULE_BYTES, QUESTIONS, REFUSED, head_of, payload, restore_all, sealed

ABSURD = [2**31, 2**32 - 1, 2**40, 2**47 - 1, 2**60, 2**63 - 1, 2**64 - 1]
SOME_BYTES = 64 << 20  # for clients' buffers and what the allocator takes at a time; much less than the lies
FALLS = ("crashed by signal", "ASSERTION FAILED", "SIGSEGV")
SANITIZED = "QUOTA_PRELOAD" in os.environ
INSTRUMENTED = bool(WRAPPER) or SANITIZED
unsanitized = pytest.mark.skipif(SANITIZED, reason="ASan ends the server where its allocator would answer no")
# A thread's first allocation makes an arena, in the server's jemalloc and in libc. Where there is no room for it,
# jemalloc 5.3 follows a null pointer (arena_choose, tcache_arena_associate), and libc takes 128 MB at a time to begin
# with: one arena for all threads.
ONE_ARENA = ["env", "JE_MALLOC_CONF=narenas:1", "MALLOC_CONF=narenas:1", "MALLOC_ARENA_MAX=1"]
uninstrumented = pytest.mark.skipif(INSTRUMENTED, reason="valgrind and ASan need address space of their own")


def address_space(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().split()
    return int(status[status.index("VmPeak:") + 1]) << 10


@pytest.fixture(scope="module")
def server():
    """May take so much more address space than it has now, and no more: believing a lie ends it."""
    server = Server(rdbcompression="no").start()
    if not INSTRUMENTED:
        bound = address_space(server) + SOME_BYTES
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))
    yield server
    server.close()


@pytest.fixture
def quota(server):
    quota = Quota(server.client())
    quota("FLUSHALL")
    yield quota
    quota.client.close()


def leb128(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def length_word(number):
    """An RDB length: 0x80 and four bytes, 0x81 and eight."""
    return b"\x80" + struct.pack(">I", number) if number < 2**32 else b"\x81" + struct.pack(">Q", number)


def value_of(name):
    """What stands before the value's length, the value's own bytes, and what stands behind."""
    data = payload(name)
    return data[:MODULE_BYTES + 2], data[head_of(data):-1], data[-1:]


@unsanitized
@pytest.mark.parametrize("name", DUMPS)
def test_a_length_that_lies_is_refused(quota, server, name):
    before, value, behind = value_of(name)
    for length in ABSURD:
        plain = before + length_word(length) + value + behind
        packed = before + b"\xc3" + length_word(len(value)) + length_word(length) + value + behind  # LZF
        packed_too_long = before + b"\xc3" + length_word(length) + length_word(100) + value + behind
        for blob in (plain, packed, packed_too_long):
            assert quota.error("RESTORE k 0", sealed(blob)) == REFUSED, length
    assert quota("DBSIZE") == 0 and server.process.poll() is None


@pytest.mark.parametrize("name", DUMPS)
def test_a_count_that_lies_allocates_nothing(quota, name):
    """At every place a number of the value's own form, in place of one byte and of all that is left."""
    before, value, behind = value_of(name)
    blobs = []
    for at in range(1, len(value)):
        for number in (127, 2**14, 2**31, 2**32 - 1, 2**60, 2**63 - 1):
            for rest in (value[at + 1:], b"", b"\x7f" * 64):
                odd = value[:at] + leb128(number) + rest
                blobs.append(sealed(before + length_word(len(odd)) + odd + behind))
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    largest = max(map(len, blobs))
    for begin in range(0, len(blobs), 500):
        chunk = blobs[begin:begin + 500]
        for outcome, dump, _ in restore_all(quota.client, chunk, QUESTIONS[name.split("-")[0]]):
            assert (dump is None) == isinstance(outcome, Exception)
            assert dump is None or len(dump) <= largest + 8
    assert quota.client.ping()


@unsanitized
def test_a_configuration_whose_lengths_lie_stops_the_start_with_a_message():
    """Of policies and plans, in the file's auxiliary data: the server cannot allocate them and says so."""
    whole = (servers.ROOT / "tests" / "golden" / "configuration-2.rdb").read_bytes()
    at = whole.index(b"\x02\x01" b"\x02\x02" b"\x02\x02") + 6  # before the keys, version 2, two policies, a string …
    assert whole[at] == 5
    for count in (length_word(2**60), length_word(2**64 - 1)):
        for data in (whole[:at + 1] + count + whole[at + 2:],  # … whose length lies
                     whole[:at - 1] + count + whole[at:]):     # the number of policies does
            started = Server(rdbchecksum="no")
            (started.path / "dump.rdb").write_bytes(data)
            with pytest.raises(RuntimeError, match="server ended"):
                started.start()
            log = started.log()
            assert not any(fall in log for fall in FALLS), log[-3000:]
            started.alarms_expected = ("Bad file format",)
            started.process = None
            started.close()


@unsanitized
def test_an_rdb_with_a_value_whose_length_lies_stops_the_start_with_a_message():
    filled = Server(rdbcompression="no").start()
    Quota(filled.client())("RL.ALLOW k 10 1h")
    filled.stop(save=True)
    data = (filled.path / "dump.rdb").read_bytes()
    filled.close()
    before, value, _ = value_of("limiter-gcra")
    at = data.index(before[1:MODULE_BYTES + 1]) + MODULE_BYTES + 1  # the same module's number, then the opcode
    for length in (2**40, 2**60, 2**64 - 1):
        started = Server(rdbchecksum="no")
        (started.path / "dump.rdb").write_bytes(data[:at] + length_word(length) + data[at + 1:])
        with pytest.raises(RuntimeError, match="server ended"):
            started.start()
        assert not any(fall in started.log() for fall in FALLS), started.log()[-3000:]
        started.alarms_expected = ("Bad file format",)
        started.process = None
        started.close()


# ---- a real end of memory -----------------------------------------------------------------------------------------

def fill(quota, count):
    quota("QUOTA.PLAN SET p r LIMIT 1000000 month LIMIT 1000000 ROLLING 9d WARN 50")
    pipeline = quota.client.pipeline(transaction=False)
    for number in range(count):
        pipeline.execute_command("QUOTA.OPEN", f"a{number}", "p")
        for call in range(4):
            pipeline.execute_command("QUOTA.CONSUME", f"a{number}", "r", 1, "ID", f"{call}-{number}")
        pipeline.execute_command("RL.ALLOW", f"b{number}", 10, "1h", "LOG", 100, "1h")
        pipeline.execute_command("RL.ACQUIRE", f"l{number}", 10, "1h")
        if number % 500 == 499:
            pipeline.execute()
    pipeline.execute()


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A file, its digest, and how much address space an empty server and one with the data have."""
    folder = tmp_path_factory.mktemp("big")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "WRAPPER", ONE_ARENA)
        server = Server().start()
        empty = address_space(server)
        fill(Quota(server.client()), 20_000)
        digest = server.digest()
        server.stop(save=True)
        shutil.copy(server.path / "dump.rdb", folder)
        server.start()
        full = address_space(server)
        server.close()
    return folder / "dump.rdb", digest, empty, full


def starved(server):
    """How it ended, if it did. The report of a panic would need memory too, and panic again: none is requested."""
    server.options["crash-log-enabled"] = "no"
    server.alarms_expected = servers.ALARMS
    try:
        server.start()
    except RuntimeError as ended:
        return int(re.search("ended with (-?[0-9]+)", str(ended)).group(1))
    return None


@uninstrumented
@pytest.mark.parametrize("share", [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 130])
def test_a_server_without_room_loads_or_ends_by_its_own_hand(big, monkeypatch, share):
    """A value's bytes are allocated by ztrymalloc: the server ends in order, "Short read or OOM". All else with
    zmalloc: it says "Out Of Memory" if it can still open its log, and aborts. Not by another signal.

    Half of what the data added is too little on every server, and 130 % is enough; what lies between depends on how
    much of it is the server's own slack (Redis 8.6 loads in 90 %)."""
    path, digest, empty, full = big
    monkeypatch.setattr(servers, "WRAPPER", [*ONE_ARENA, "prlimit", f"--as={empty + (full - empty) * share // 100}"])
    server = Server()
    shutil.copy(path, server.path)
    ended = starved(server)
    assert share > 50 or ended is not None
    assert share < 130 or ended is None
    assert ended in (None, 0, 1, -signal.SIGABRT), server.log()[-3000:]
    assert ended is not None or server.digest() == digest
    server.close()


@uninstrumented
def test_a_server_that_runs_out_of_room_at_work_reads_its_files_again(big, monkeypatch):
    _, _, empty, full = big
    monkeypatch.setattr(servers, "WRAPPER", [*ONE_ARENA, "prlimit", f"--as={empty + (full - empty) // 2}"])
    server = Server(appendonly="yes", appendfsync="always")
    assert starved(server) is None
    with pytest.raises((redis.ConnectionError, ConnectionError)):
        fill(Quota(server.client()), 100_000)
    assert server.process.wait(servers.PATIENCE_S) == -signal.SIGABRT, server.log()[-3000:]
    monkeypatch.setattr(servers, "WRAPPER", WRAPPER)
    server.start()
    quota = Quota(server.client())
    assert quota.client.dbsize() > 1000
    for number in (0, 7, 99):
        rules = quota.map("QUOTA.INFO", f"a{number}", "r")["rules"]
        assert rules[0]["used"] == rules[1]["used"] == 4
    server.close()
