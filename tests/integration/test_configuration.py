"""Plans and policies survive: whatever happens to files, links and processes, what was acknowledged is there, exactly.

    {AOF with preamble, without} x {with keys of the module, without} x what happens      then the files are read again

Digests do not see the configuration, so it is compared by what the commands show.
"""

import itertools
import resource

import pytest
import redis

import servers
from conftest import NOON_MS, Quota, text
from servers import Server, caught_up, rewrite_aof, wait_until, writes_no_file

PREAMBLES = ("yes", "no")


def shown(server):
    """Everything that the configuration's commands show, at noon: what has expired is not shown. How many accounts have
    a plan is a part of it: what a server frees in the background has to be gone."""
    quota = Quota(server.client())
    wait_until(lambda: quota.client.info("memory")["lazyfree_pending_objects"] == 0, "keys are not freed")
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    policies = [text(row[1]) for row in quota("RL.POLICY LIST COUNT 1000")[1]]
    plans = [text(row[1]) for row in quota("QUOTA.PLAN LIST COUNT 1000")[1]]
    rows = quota("QUOTA.PLAN LIST COUNT 1000")[1]
    return ({name: quota("RL.POLICY GET", name) for name in policies},
            {name: quota("QUOTA.PLAN GET", name) for name in plans}, [row[:4] for row in rows])


class Writer:
    """Changes of every kind, one after another, each acknowledged."""

    def __init__(self, server, with_keys):
        self.server, self.number = server, itertools.count(1)
        quota = Quota(server.client())
        quota("QUOTA.CLOCK FREEZE", NOON_MS)
        for line in ("RL.POLICY SET api 10 1s SLIDING 100 1h BLOCK 5s", "RL.POLICY REFUSE api 10.0.0.0/8",
                     "RL.POLICY SET gone 1 1s", "QUOTA.PLAN SET pro r LIMIT 10 day", "QUOTA.PLAN SET old r LIMIT 1 day",
                     "QUOTA.PLAN SET pro r LIMIT 99 day EFFECTIVE 2025-06-01T00:00:00Z",
                     "QUOTA.PLAN DEL old", "RL.POLICY DEL gone"):
            quota(line)
        for number in range(20 if with_keys else 0):
            quota(f"RL.ALLOW k{number} POLICY api")
            quota(f"QUOTA.OPEN a{number} pro")

    def change(self):
        quota, number = Quota(self.server.client()), next(self.number)
        quota(f"RL.POLICY OVERRIDE api s{number} {number} 1h")
        quota(f"RL.POLICY PERMIT api t{number} EX 1h")
        quota(f"RL.POLICY LIFT api t{number - 1}")
        quota(f"RL.POLICY SET p{number} {number} 1s")
        quota(f"RL.POLICY DEL p{number - 2}")
        quota(f"QUOTA.PLAN SET pro r LIMIT {number} day")
        quota(f"QUOTA.PLAN SET plan{number} r LIMIT 5 month")
        quota(f"QUOTA.PLAN DEL plan{number - 1}")


# ---- what happens --------------------------------------------------------------------------------------------------

def nothing(writer):
    pass


def rewrite(writer):
    rewrite_aof(writer.server)


def rewrite_twice_with_changes(writer):
    for _ in range(2):
        rewrite_aof(writer.server)
        writer.change()


def automatic_rewrite(writer):
    client = writer.server.client()
    client.config_set("auto-aof-rewrite-min-size", "1", "auto-aof-rewrite-percentage", "1")
    begun = client.info("persistence")["aof_rewrites"]

    def rewritten():
        writer.change()
        return client.info("persistence")["aof_rewrites"] > begun
    wait_until(rewritten, "the AOF is not rewritten")
    client.config_set("auto-aof-rewrite-percentage", "0")
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")


def slowly(writer):
    """A rewrite that goes on for a second, where there are keys to be slow at."""
    client = writer.server.client()
    client.config_set("rdb-key-save-delay", "30000")
    client.bgrewriteaof()
    return client


def changes_during_a_rewrite(writer):
    client = slowly(writer)
    for _ in range(3):
        writer.change()
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")


def killed_during_a_rewrite(writer):
    slowly(writer)
    writer.change()
    writer.change()


def pause_all(client):
    """Nothing is answered while everything is paused: what is to happen meanwhile has to be under way."""
    client.execute_command("CLIENT PAUSE 1500 ALL")
    client.ping()


def paused(writer):
    client = writer.server.client()
    client.execute_command("CLIENT PAUSE 100000 WRITE")
    rewrite_aof(writer.server)
    client.execute_command("CLIENT UNPAUSE")
    writer.change()


def all_paused(writer):
    client = writer.server.client()
    client.config_set("auto-aof-rewrite-min-size", "1", "auto-aof-rewrite-percentage", "1")
    pause_all(client)
    client.config_set("auto-aof-rewrite-percentage", "0")
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")
    assert client.info("persistence")["aof_rewrites"] > 0


def ends_paused(writer):
    client = slowly(writer)
    writer.change()
    client.execute_command("CLIENT PAUSE 100000 WRITE")
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")
    client.execute_command("CLIENT UNPAUSE")


def ends_all_paused(writer):
    client = slowly(writer)
    writer.change()
    pause_all(client)
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")


def other_format(writer):
    """The format is changed while a rewrite is under way, and another one follows."""
    client = slowly(writer)
    client.config_set("aof-use-rdb-preamble", "no" if client.config_get()["aof-use-rdb-preamble"] == "yes" else "yes")
    writer.change()
    wait_until(lambda: writes_no_file(writer.server), "the rewrite does not end")
    rewrite_aof(writer.server)


def aof_off_and_on(writer):
    client = writer.server.client()
    client.config_set("appendonly", "no")
    writer.change()
    client.config_set("appendonly", "yes")
    wait_until(lambda: writes_no_file(writer.server), "the AOF does not begin")


def snapshot(writer):
    writer.server.client().save()
    writer.change()


HAPPENS = {
    "nothing": nothing, "a rewrite": rewrite, "rewrites and changes": rewrite_twice_with_changes,
    "an automatic rewrite": automatic_rewrite, "changes during a rewrite": changes_during_a_rewrite,
    "an end in mid-rewrite": killed_during_a_rewrite, "a rewrite under PAUSE WRITE": paused,
    "a rewrite under PAUSE ALL": all_paused, "a rewrite that ends under PAUSE WRITE": ends_paused,
    "a rewrite that ends under PAUSE ALL": ends_all_paused, "another format": other_format,
    "the AOF off and on": aof_off_and_on, "a snapshot": snapshot}
ENDS = [(happens, "kill") for happens in HAPPENS] + [
    (happens, "stop") for happens in ("nothing", "changes during a rewrite", "an end in mid-rewrite")]


@pytest.mark.parametrize("with_keys", [False, True], ids=["no keys", "keys"])
@pytest.mark.parametrize("preamble", PREAMBLES, ids=["preamble", "plain"])
@pytest.mark.parametrize("happens, ends", ENDS)
def test_what_was_acknowledged_is_read_again(happens, preamble, with_keys, ends):
    server = Server(appendonly="yes", appendfsync="always", aof_use_rdb_preamble=preamble).start()
    try:
        writer = Writer(server, with_keys)
        writer.change()
        HAPPENS[happens](writer)
        writer.change()
        expected = shown(server)
        getattr(server, ends)()
        server.start()
        assert shown(server) == expected
        writer.change()  # and it goes on from there
        expected = shown(server)
        server.kill()
        server.start()
        assert shown(server) == expected
    finally:
        server.close()


@pytest.mark.parametrize("with_keys", [False, True], ids=["no keys", "keys"])
@pytest.mark.parametrize("with_others", [False, True], ids=["no others", "keys of other types"])
@pytest.mark.parametrize("preamble", PREAMBLES, ids=["preamble", "plain"])
def test_a_rewrite_that_nothing_follows(preamble, with_others, with_keys):
    """Writes are paused when it begins and until the end of the server: its own part of the file has it all."""
    server = Server(appendonly="yes", appendfsync="always", aof_use_rdb_preamble=preamble).start()
    try:
        Writer(server, with_keys).change()
        if with_others:  # the first three have the names of keys that only the child has
            server.client().mset({f"redis-quota {number}": number for number in ("0 0", "0 1", "1 0", "x")})
        expected, keys = shown(server), set(server.client().keys())
        server.client().execute_command("CLIENT PAUSE 100000 WRITE")
        rewrite_aof(server)
        assert set(server.client().keys()) == keys
        server.kill()
        server.start()
        assert shown(server) == expected and set(server.client().keys()) == keys
    finally:
        server.close()


def test_a_plain_rewrite_of_a_cluster_node_without_keys():
    """It serves no slot: the keys that only the child has are of no concern to the cluster."""
    server = Server(appendonly="yes", appendfsync="always", aof_use_rdb_preamble="no", cluster_enabled="yes").start()
    try:
        Writer(server, with_keys=False).change()
        expected = shown(server)
        rewrite_aof(server)
        server.kill()
        server.start()
        assert shown(server) == expected and server.client().dbsize() == 0
    finally:
        server.close()


@pytest.mark.parametrize("with_keys", [False, True], ids=["no keys", "keys"])
@pytest.mark.parametrize("preamble", PREAMBLES, ids=["preamble", "plain"])
def test_a_full_disk(preamble, with_keys, monkeypatch):
    """No file may grow further: the rewrite fails, changes are refused, and nothing that was acknowledged is lost."""
    monkeypatch.setattr(servers, "WRAPPER", ["env", "--ignore-signal=XFSZ", *servers.WRAPPER])
    server = Server(appendonly="yes", appendfsync="everysec", aof_use_rdb_preamble=preamble).start()
    try:
        writer = Writer(server, with_keys)
        client = server.client()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        with pytest.raises(redis.ResponseError, match="AOF"):
            client.bgrewriteaof()
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            for _ in range(100_000):
                writer.change()
        expected = shown(server)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        wait_until(lambda: client.info("persistence")["aof_last_write_status"] == "ok", "the AOF is not written")
        rewrite_aof(server)
        assert shown(server) == expected
        server.kill()
        server.start()
        assert shown(server) == expected
    finally:
        server.close()


@pytest.mark.parametrize("happens", ["nothing", "a rewrite", "changes during a rewrite", "a rewrite under PAUSE WRITE"])
@pytest.mark.parametrize("preamble", PREAMBLES, ids=["preamble", "plain"])
@pytest.mark.parametrize("diskless", ["disabled", "swapdb"])
def test_a_promoted_replica_has_it_and_goes_on(happens, preamble, diskless):
    """Full sync, then the stream; the replica's own AOF; promotion after an orderly pause; the old primary follows."""
    options = {"appendonly": "yes", "appendfsync": "always", "aof_use_rdb_preamble": preamble}
    first, second = Server(**options).start(), Server(repl_diskless_load=diskless, **options).start()
    try:
        Quota(second.client())("RL.POLICY SET stale 1 1s")
        writer = Writer(first, with_keys=True)
        second.follow(first)
        writer.change()
        HAPPENS[happens](writer)
        expected = shown(first)
        first.client().execute_command("CLIENT PAUSE 100000 WRITE")
        caught_up(first, second)
        first.kill()
        second.client().replicaof("NO", "ONE")
        assert shown(second) == expected
        writer.server = second
        writer.change()
        expected = shown(second)
        wait_until(lambda: writes_no_file(second), "a rewrite does not end")
        second.kill()
        second.start()
        assert shown(second) == expected
        first.start()
        first.follow(second)
        caught_up(second, first)
        assert shown(first) == expected
    finally:
        second.close()
        first.close()
