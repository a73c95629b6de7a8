"""A server whose threads read, parse, write and, in Valkey 8, free what clients sent: commands run in one as ever.

    12 connections ─ packets of commands ─▶ threads parse ─▶ one thread decides ─▶ threads write, threads free the words
                                                             └ keeps the names of those who wait
"""

import pytest

from conftest import NOON_MS, Quota, as_map
from servers import VALKEY, Server, caught_up, wait_until

CLIENTS, ROUNDS, REQUESTS = 12, 10, 100
LIMIT = CLIENTS * ROUNDS * REQUESTS // 2
BUSY = "local n = 0 for i = 1, 3000000 do n = n + i % 3 end"  # until all packets are there: few at once wake no thread
THREADED = {"io-threads": "3", "io-threads-do-reads": "yes", **({"events-per-io-thread": "0"} if VALKEY else {})}


@pytest.fixture
def threaded():
    server, follower = Server(appendonly="yes", **THREADED).start(), Server(**THREADED).start()
    follower.follow(server)
    yield server, follower
    follower.close()
    server.close()


def packet(number, turn):
    """Requests units of an account, each with a name of its own, and of a window; then a place that is to come."""
    for serial in range(REQUESTS):
        yield "QUOTA.CONSUME", "a", "r", 1, "ID", f"{number}-{turn}-{serial}-" + "i" * 100
        yield "RL.ALLOW", "w" * 100, "FIXED", LIMIT, "100d"
    yield "RL.ALLOW", f"{number}" + "k" * 300, 1, "1s"
    yield "RL.ALLOW", f"{number}" + "k" * 300, 1, "1s", "WAIT", "1h"


def test_everything_is_decided_once_whatever_threads_do(threaded):
    server, follower = threaded
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    quota(f"QUOTA.PLAN SET p r LIMIT {LIMIT} month")
    quota("QUOTA.OPEN a p")
    holder, *wires = (server.client().connection_pool.get_connection() for _ in range(CLIENTS + 1))
    answers = []
    for turn in range(ROUNDS):
        packets = [wire.pack_commands(packet(number, turn)) for number, wire in enumerate(wires)]
        holder.send_command("EVAL", BUSY, 0)
        for wire, packed in zip(wires, packets):
            wire.send_packed_command(packed)
        holder.read_response()
        wait_until(lambda: quota.client.info("clients")["blocked_clients"] == CLIENTS, "not every client waits")
        quota.advance("1s")
        answers += [[wire.read_response() for _ in range(2 * REQUESTS + 2)] for wire in wires]
        quota.advance("10s")
    for column in (0, 1):
        assert sum(answer[0] for replies in answers for answer in replies[column:2 * REQUESTS:2]) == LIMIT
    assert all(replies[-2:] == [[1, 1, 0, 0, 1000, 0]] * 2 for replies in answers)
    assert as_map(quota("QUOTA.INFO a r"))["rules"][0]["used"] == LIMIT
    stats = quota.client.info("stats")
    assert stats["io_threaded_reads_processed"] > 0 and stats["io_threaded_writes_processed"] > 0, "no thread worked"
    for wire in (holder, *wires):
        wire.disconnect()
    caught_up(server, follower)
    digest = server.digest()
    assert follower.digest() == digest
    quota("DEBUG LOADAOF")
    assert server.digest() == digest
