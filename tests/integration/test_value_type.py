"""The data type: RDB, AOF with and without preamble, kill -9, DUMP/RESTORE/COPY/RENAME, corrupt bytes, memory."""

import random
import struct

import pytest
import redis

from conftest import NOON, NOON_MS, Quota
from servers import Server, caught_up, rewrite_aof, wait_until
from test_golden import sealed

EVERY_RULE = ["10 1h", "3 1h", "TOKEN 10 1h BURST 20 INITIAL 15", "TOKEN 10 1h INTERVAL", "LEAKY 7 1h", "QUEUE 5 1h",
              "FIXED 9 1h", "FIXED 9 1h FIRST", "SLIDING 9 1h", "LOG 9 1h", "-1 1h", "10 1h LOG 9 1h -1 1s"]


def fill(quota):
    """Keys of every algorithm, alone and together, blocked, in debt, with a history."""
    for at in range(3):
        for i, rule in enumerate(EVERY_RULE):
            quota(f"RL.ALLOW key{i} {rule} COST 2 FORCE")
        quota("RL.ALLOW all " + " ".join(EVERY_RULE[:-1]) + " FORCE")
        quota.advance(f"{at + 7}s")
    quota("RL.BLOCK all 1d")
    quota("RL.BLOCK only-blocked 1h")


def test_every_value_survives_every_file(quota):
    fill(quota)  # the fixture compares replica, RDB and AOF


def test_a_rewritten_aof_without_preamble(quota, primary, replica):
    client = primary.client()
    client.config_set("aof-use-rdb-preamble", "no")
    fill(quota)
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ALLOW with-ttl 10 1h")
    before, ttl = primary.digest(), quota("PEXPIRETIME with-ttl")
    rewrite_aof(primary)
    client.execute_command("DEBUG LOADAOF")
    assert primary.digest() == before
    assert quota("PEXPIRETIME with-ttl") == ttl
    client.config_set("aof-use-rdb-preamble", "yes")
    quota("DEL with-ttl")


def test_nothing_acknowledged_is_lost_by_kill_9():
    server = Server(appendonly="yes", appendfsync="always").start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    fill(quota)
    expected = server.digest()
    server.kill()
    server.start()
    assert server.digest() == expected
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    assert quota("RL.ALLOW key8 SLIDING 9 1h PEEK")[2] == 3
    server.close()


def test_a_replicas_own_aof_and_a_replica_of_it(primary, replica, quota):
    leaf = Server().start()
    leaf.follow(replica)
    fill(quota)
    caught_up(primary, replica)
    wait_until(lambda: leaf.digest() == primary.digest(), "the leaf differs")
    replica_digest = replica.digest()
    replica.client().execute_command("DEBUG LOADAOF")
    assert replica.digest() == replica_digest
    leaf.close()


def test_full_sync_to_an_empty_and_to_a_filled_replica(quota, primary):
    fill(quota)
    for diskless in ("disabled", "on-empty-db", "swapdb"):
        newcomer = Server(repl_diskless_load=diskless).start()
        Quota(newcomer.client())("RL.ALLOW stale 10 1h")
        newcomer.follow(primary)
        wait_until(lambda: newcomer.digest() == primary.digest(), f"differs after full sync, {diskless}")
        newcomer.close()


def test_dump_restore_copy_rename(quota):
    fill(quota)
    for name in [key.decode() for key in quota.client.keys("*")]:
        blob = quota.client.dump(name)
        quota.client.restore("again", 0, blob, replace=True)
        assert quota(f"COPY {name} copy REPLACE") in (1, True)
        digests = quota("DEBUG DIGEST-VALUE", name, "again", "copy")
        assert digests[0] == digests[1] == digests[2]
        quota(f"RENAME {name} moved")
        assert quota("DEBUG DIGEST-VALUE moved")[0] == digests[0]
        quota("DEL again copy moved")
    assert quota("DBSIZE") == 0


def test_the_type_has_its_name_and_counts_its_memory(quota):
    quota("RL.ALLOW k 10 1h")
    assert quota("TYPE k") in (b"rl-bucket", "rl-bucket")
    assert quota.client.scan(_type="rl-bucket")[1] == [b"k"]
    small = quota("MEMORY USAGE k")
    assert 0 < small < 200
    for _ in range(1000):
        quota("RL.ALLOW log LOG 100000 1h")
        quota.advance("1ms")
    assert quota("MEMORY USAGE log") / 1000 <= 10


def test_a_blob_of_a_newer_version_is_refused(quota):
    quota("RL.ALLOW k 10 1h")
    blob = bytearray(quota.client.dump("k"))
    at = blob.index(b"\x01\x01\x00\x14")  # encoding 1, one rule, GCRA, limit 10
    blob[at] = 2
    quota("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1")
    assert "Bad data format" in quota.error("RESTORE k2 0", bytes(blob))
    quota("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0")


def test_no_key_is_of_the_type_that_carries_policies(quota):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for letter in "rl-policy":
        number = number << 6 | letters.index(letter)
    blob = b"\x07\x81" + struct.pack(">Q", number << 10) + b"\x00"  # a module's value, its type, its end
    assert "Bad data format" in quota.error("RESTORE k 0", sealed(blob))
    assert quota("EXISTS k") == 0


def mutated(blob, chance):
    blob = bytearray(blob)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(blob) - 10)  # the last ten bytes are RESTORE's own version and checksum
        what = chance.random()
        if what < 0.6:
            blob[at] = chance.randrange(256)
        elif what < 0.8:
            del blob[at]
        else:
            blob.insert(at, chance.randrange(256))
    return bytes(blob)


def test_mutated_dumps_are_errors_or_values_that_replicate(request):
    """Whatever RESTORE lets in can be used, refunded and blocked, and the replica follows every effect of that."""
    primary, replica = Server().start(), Server().start()
    replica.follow(primary)
    quota = Quota(primary.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    fill(quota)
    dumps = [quota.client.dump(key) for key in quota.client.keys("*")]
    seed = request.config.getoption("--seed")
    print("seed", seed)
    chance = random.Random(seed)
    for server in (primary, replica):
        server.client().execute_command("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1")
    loaded = 0
    for i in range(3000):
        name = f"mutant{i % 50}"
        try:
            quota.client.restore(name, 0, mutated(chance.choice(dumps), chance), replace=True)
        except redis.ResponseError as error:
            assert "Bad data format" in str(error) or "checksum" in str(error)
            continue
        loaded += 1
        if quota(f"TYPE {name}") != b"rl-bucket":
            continue
        quota.map(f"RL.INFO {name}")
        for line in ("RL.ALLOW {} 10 1h LOG 5 1m", "RL.REFUND {} 3", "RL.ALLOW {} TOKEN 3 1h FORCE", "RL.BLOCK {} 1s"):
            try:
                quota(line.format(name))
            except redis.ResponseError as error:
                assert "OVERFLOW" in str(error)
    assert 100 < loaded < 3000
    caught_up(primary, replica)
    assert replica.digest() == primary.digest()
    replica.close()
    primary.close()


@pytest.mark.parametrize("head, says", [
    (b"\x01\x63", "rl-bucket: damaged bytes"),  # of 99 rules
    (b"\x03\x01", "rl-bucket: limiter in encoding 3, this version reads 1 to 2: a newer version of this module wrote"),
    (b"\x0f\x01", "rl-bucket: limiter in encoding 15, this version reads 1 to 2: a newer version of this module wrote"),
    (b"\x63\x01", "rl-bucket: kind 6 in encoding 3, a kind that this version does not know: a newer version")])
def test_a_damaged_or_newer_rdb_file_is_refused_with_a_message_and_no_abort(head, says):
    server = Server().start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    quota("RL.ALLOW k 10 1h")
    server.client().save()
    server.stop()
    dump = server.path / "dump.rdb"
    data = bytearray(dump.read_bytes())
    at = data.index(b"\x01\x01\x00\x14")  # encoding, number of rules, a rule
    data[at:at + len(head)] = head
    data[-8:] = struct.pack("<Q", 0)  # checksum 0: not checked
    dump.write_bytes(data)
    with pytest.raises(RuntimeError, match=says):
        server.start()
    assert "STACK TRACE" not in server.log()
    server.alarms_expected = ("Bad file format",)
    server.process = None
    server.close()


def test_lazy_free_and_flush(quota):
    for i in range(500):
        quota(f"RL.ALLOW key{i} LOG 100 1h TOKEN 3 1s COST 2 FORCE")
    quota("UNLINK key1 key2")
    quota("FLUSHALL ASYNC")
    assert quota("DBSIZE") == 0


def test_a_full_memory_refuses_new_state_and_keeps_the_old():
    server = Server(maxmemory_policy="noeviction").start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", str(NOON_MS))
    quota("RL.ALLOW k 10 1h COST 4")
    quota("CONFIG SET maxmemory 1")
    assert "maxmemory" in quota.error("RL.ALLOW new 10 1h")
    assert "maxmemory" in quota.error("RL.BLOCK new 1h")
    assert quota("RL.REFUND k 1") == 1  # giving back needs no memory
    assert quota.map("RL.INFO k")["rules"][0]["remaining"] == 7
    quota("CONFIG SET maxmemory 0")
    assert quota("RL.ALLOW k 10 1h")[2] == 6
    server.close()


def test_digests_see_every_word_of_the_state(quota):
    quota("RL.ALLOW k 10 1h")
    seen = {quota("DEBUG DIGEST-VALUE k")[0]}
    for line in ("RL.ALLOW k 10 1h", "RL.BLOCK k 1h", "RL.BLOCK k 0", "RL.ALLOW k 11 1h", "RL.ALLOW k 11 1h LOG 3 1h"):
        quota(line)
        seen.add(quota("DEBUG DIGEST-VALUE k")[0])
    assert len(seen) == 5  # lifting the block restores the second
