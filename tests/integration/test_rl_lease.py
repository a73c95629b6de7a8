"""RL.ACQUIRE, RL.RENEW, RL.RELEASE, RL.LEASES: leases, tokens, lines of waiting clients and every way out of them."""

import asyncio
import contextlib
import random
import socket
import time

import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from conftest import NOON, NOON_MS, Quota, paged, text
from servers import Server, caught_up, free_port, rewrite_aof, wait_until
from test_commit import Stream

NOON_US = NOON_MS * 1000
DAY_MS = 86_400_000


def leases(quota, key="k"):
    return paged(quota, f"RL.LEASES {key}")


def ids(quota, key="k"):
    return [lease["id"] for lease in leases(quota, key)]


# ---- without waiting -------------------------------------------------------------------------------------------


def test_what_is_held_at_once_stays_within_the_limit(quota):
    assert quota("RL.ACQUIRE k 5 10s ID a COST 3") == [3, 5, 2, 0, 10000, 0, b"a", NOON_US]
    assert quota("RL.ACQUIRE k 5 20s ID b COST 2") == [2, 5, 0, 0, 20000, 0, b"b", NOON_US + 1]
    assert quota("RL.ACQUIRE k 5 1s") == [0, 5, 0, 10000, 20000, 0, None, 0]
    assert quota("RL.ACQUIRE k 5 1s COST 4") == [0, 5, 0, 20000, 20000, 0, None, 0]
    assert quota("RL.ACQUIRE k 5 1s COST 6") == [0, 5, 0, -1, 20000, 0, None, 0]
    assert quota("RL.ACQUIRE k 0 1s") == [0, 0, 0, -1, 20000, 0, None, 0]
    assert quota("RL.ACQUIRE k -1 1s ID c COST 9") == [9, -1, -1, 0, 20000, 0, b"c", NOON_US + 2]
    assert leases(quota) == [
        {"id": "a", "cost": 3, "token": NOON_US, "acquired": NOON_MS, "expires": NOON_MS + 10000},
        {"id": "b", "cost": 2, "token": NOON_US + 1, "acquired": NOON_MS, "expires": NOON_MS + 20000},
        {"id": "c", "cost": 9, "token": NOON_US + 2, "acquired": NOON_MS, "expires": NOON_MS + 1000}]
    assert quota("RL.LEASES missing") == [None, []]


def test_a_lease_ends_at_its_expiry_and_its_holder_may_have_crashed(quota):
    quota("RL.ACQUIRE k 1 1500us ID a")
    quota.advance("1499us")
    assert ids(quota) == ["a"] and quota("RL.ACQUIRE k 1 1s")[0] == 0
    quota.advance("1us")
    assert ids(quota) == [] and quota("RL.RELEASE k a") == 0
    assert quota("RL.ACQUIRE k 1 1s ID b")[0] == 1
    quota("QUOTA.CLOCK ADVANCE -1h")  # back: what has ended stays ended, what lives stays alive
    assert ids(quota) == ["b"] and quota("RL.RELEASE k a") == 0
    assert quota("RL.ACQUIRE k 1 1s")[:5] == [0, 1, 0, 3601_000, 3601_000]


def test_acquired_again_by_id(quota):
    first = quota("RL.ACQUIRE k 5 10s ID job:7 COST 3")
    quota.advance("4s")
    again = quota("RL.ACQUIRE k 3 1h ID job:7 COST 3")
    assert again == [3, 3, 0, 0, 6000, 0, b"job:7", first[7]]  # neither renewed nor counted twice
    assert quota.error("RL.ACQUIRE k 5 10s ID job:7").startswith("IDCONFLICT")
    assert leases(quota)[0]["expires"] == NOON_MS + 10000
    quota.advance("6s")
    assert quota("RL.ACQUIRE k 5 10s ID job:7")[7] > first[7]  # it had ended: another lease


def test_ids_made_here_are_unique(quota):
    quota("RL.ACQUIRE k 9 10s ID", f"L{NOON_US + 1}")
    made = [quota("RL.ACQUIRE k 9 10s")[6] for _ in range(3)]
    assert made == [f"L{NOON_US + i}".encode() for i in (2, 3, 4)]
    assert quota("RL.RELEASE k", made[1]) == 1
    assert len(set(ids(quota))) == 3


def test_renew_and_release(quota):
    assert quota.error("RL.RENEW k a 1s").startswith("NOSUCHID")
    assert quota("RL.RELEASE k a") == 0 and quota("EXISTS k") == 0
    quota("RL.ACQUIRE k 1 10s ID a")
    quota.advance("9s")
    assert quota("RL.RENEW k a 10s") == NOON_MS + 19000
    assert quota("RL.RENEW k a 2s") == NOON_MS + 11000  # sooner is possible too
    quota.advance("2s")
    assert quota.error("RL.RENEW k a 1s").startswith("NOSUCHID")
    quota("RL.ACQUIRE k 1 10s ID b")
    assert [quota("RL.RELEASE k b") for _ in range(2)] == [1, 0]
    assert quota("RL.LEASES k") == [None, []] and quota("EXISTS k") == 1  # its tokens are remembered


def test_a_late_holder_harms_no_other(quota):
    """TOKEN: only if the lease still is the one that was acquired."""
    first = quota("RL.ACQUIRE k 1 10s ID job-7")[7]
    assert quota(f"RL.RENEW k job-7 20s TOKEN {first}") == NOON_MS + 20000
    quota.advance("20s")
    second = quota("RL.ACQUIRE k 1 10s ID job-7")[7]
    before = quota("DUMP k")
    for line in (f"RL.RENEW k job-7 1h TOKEN {first}", f"RL.RELEASE k job-7 TOKEN {first}",
                 f"RL.RELEASE k job-8 TOKEN {second}", f"RL.RELEASE none job-7 TOKEN {second}"):
        assert quota.error(line).startswith("NOSUCHID") or "and the token" in quota.error(line)
    assert quota("DUMP k") == before
    for line in ("RL.RENEW k job-7 1h TOKEN 0", "RL.RELEASE k job-7 TOKEN -1", "RL.RELEASE k job-7 TOKEN x"):
        assert "token" in quota.error(line)
    assert quota(f"RL.RENEW k job-7 5s TOKEN {second}") == NOON_MS + 25000
    assert quota(f"RL.RELEASE k job-7 TOKEN {second}") == 1
    assert "and the token" in quota.error(f"RL.RELEASE k job-7 TOKEN {second}")
    assert quota("RL.RELEASE k job-7") == 0


def test_errors_name_what_would_be_accepted(quota):
    quota("SET string 1")
    quota("RL.ALLOW bucket 10 1h")
    quota("RL.ACQUIRE k 1 10s")
    for line in ("RL.ACQUIRE {} 5 1s", "RL.RENEW {} a 1s", "RL.RELEASE {} a", "RL.LEASES {}"):
        for key in ("string", "bucket"):
            assert "WRONGTYPE" in quota.error(line.format(key)) or "wrong kind" in quota.error(line.format(key))
    assert "wrong kind" in quota.error("RL.ALLOW k 10 1s")
    assert "out of range" in quota.error("RL.ACQUIRE k -2 1s")
    assert "out of range" in quota.error("RL.ACQUIRE k 1 0")
    assert "out of range" in quota.error("RL.ACQUIRE k 1 1s COST 0")
    assert "out of range" in quota.error("RL.ACQUIRE k 1 1s WAIT 0")
    assert "not a duration" in quota.error("RL.ACQUIRE k 1 soon")
    assert "not an option" in quota.error("RL.ACQUIRE k 1 1s NAME x")
    assert "1 to 512 bytes" in quota.error("RL.ACQUIRE k 1 1s ID", "")
    assert "1 to 512 bytes" in quota.error("RL.RELEASE k", "x" * 513)
    assert "1 to 512 bytes" in quota.error("RL.RENEW k", "", "1s")
    quota("RL.ACQUIRE big -1 1s ID a COST 9223372036854775807")
    assert quota.error("RL.ACQUIRE big -1 1s").startswith("OVERFLOW")
    quota("QUOTA.CLOCK FREEZE 4611686018427387904us")
    assert quota.error("RL.ACQUIRE late 1 1s").startswith("OVERFLOW")
    odd = b"\x00\xff\r\n" * 128
    quota("QUOTA.CLOCK FREEZE", NOON)
    assert quota("RL.ACQUIRE odd 1 1s ID", odd)[6] == odd
    assert quota("RL.RELEASE odd", odd) == 1


def test_a_key_is_kept_for_a_day_after_its_last_promise(quota):
    quota("QUOTA.CLOCK RESUME")
    before = quota("QUOTA.CLOCK")
    quota("RL.ACQUIRE k 1 1h ID a")
    assert 0 <= quota("PEXPIRETIME k") - before - DAY_MS - 3600_000 < 60_000
    quota("RL.RELEASE k a")
    assert 0 <= quota("PEXPIRETIME k") - before - DAY_MS < 60_000
    quota("DEL k")


def test_denials_and_replays_replicate_nothing(quota, primary):
    lines = ["RL.ACQUIRE k 2 10s ID 0123456789 COST 2", "RL.ACQUIRE k 2 10s", "RL.ACQUIRE k 2 9s ID 0123456789 COST 2",
             "RL.RELEASE k x", "RL.RENEW k 0123456789 10s", "RL.LEASES k", "RL.ACQUIRE new 0 1s",
             "RL.RENEW k 0123456789 11s", "RL.RELEASE k 0123456789"]
    with Stream(primary) as stream:
        for line in lines:
            quota(line)
        quota("PUBLISH end end")
        words = stream.words_until([b"PUBLISH", b"end", b"end"])
    assert [word[:2] for word in words] == [[b"RL._DO", b"k"]] * 3  # acquired, renewed, released
    assert [len(word[2]) for word in words] == [27, 25, 21]
    assert quota("EXISTS new") == 0


def test_watch_sees_changes_and_no_denials(quota, primary):
    quota("RL.ACQUIRE k 1 10s ID a")
    for line, changes in (("RL.ACQUIRE k 1 10s", False), ("RL.RELEASE k b", False), ("RL.RELEASE k a", True)):
        watcher = primary.client().pipeline()
        watcher.watch("k")
        quota(line)
        watcher.multi()
        watcher.ping()
        if changes:
            with pytest.raises(redis.WatchError):
                watcher.execute()
        else:
            assert watcher.execute() == [True]


def test_the_bound_of_a_key():
    server = Server().start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    script = "for i = 1, 100000 do redis.call('RL.ACQUIRE', KEYS[1], -1, '1h', 'ID', ARGV[1] .. i) end"
    quota.client.eval(script, 1, "k", "0123456789:")
    assert quota.error("RL.ACQUIRE k -1 1h").startswith("LIMITED")
    assert quota("RL.ACQUIRE k 5 1h")[0] == 0
    assert quota("MEMORY USAGE k SAMPLES 0") / 100000 < 190
    digest = server.digest()
    quota("DEBUG RELOAD")
    assert server.digest() == digest
    quota("RL.RELEASE k 0123456789:77")
    assert quota("RL.ACQUIRE k -1 1h")[0] == 1
    server.close()


# ---- tokens and files ------------------------------------------------------------------------------------------


def test_tokens_grow_over_restarts_and_failovers():
    """Each time with the clock set back by an hour, and nothing held any more."""
    primary, replica = Server(appendonly="yes", appendfsync="always").start(), Server().start()
    tokens = []

    def take(server, back=0):
        quota = Quota(server.client())
        quota("QUOTA.CLOCK FREEZE", str(NOON_MS - back))
        tokens.append(quota("RL.ACQUIRE k 5 10s ID a")[7])
        quota("RL.RELEASE k a")

    take(primary)
    take(primary, 3600_000)
    primary.kill()
    primary.start()  # from the AOF
    take(primary, 3600_000)
    primary.client().save()
    primary.client().config_set("appendonly", "no")
    primary.stop()
    primary.options["appendonly"] = "no"
    primary.start()  # from the RDB
    take(primary, 3600_000)
    replica.follow(primary)
    take(primary, 3600_000)
    caught_up(primary, replica)
    primary.kill()
    replica.client().replicaof("no", "one")
    take(replica, 3600_000)
    assert tokens == sorted(set(tokens)) and len(tokens) == 6
    Quota(replica.client())("DEL k")
    take(replica, -1000)  # a key that was forgotten begins at the time of day
    assert tokens[-1] > tokens[-2]
    replica.close()
    primary.folder.cleanup()


def test_every_file_and_copy_holds_the_same(quota, primary):
    client = primary.client()
    client.config_set("aof-use-rdb-preamble", "no")
    for i in range(50):
        quota(f"RL.ACQUIRE k{i % 7} 20 {i + 1}s COST {i % 3 + 1}")
        quota(f"RL.RELEASE k{i % 5} L{NOON_US}")
        quota.advance("100ms")
    before = primary.digest()
    rewrite_aof(primary)
    quota("DEBUG LOADAOF")
    assert primary.digest() == before
    client.config_set("aof-use-rdb-preamble", "yes")
    assert text(quota("TYPE k1")) == "rl-leases"
    quota.client.restore("again", 0, quota.client.dump("k1"))
    quota("COPY k1 copy")
    digests = quota("DEBUG DIGEST-VALUE k1 again copy")
    assert digests[0] == digests[1] == digests[2]
    first = ids(quota, "k1")[0]
    for change in ("RL.ACQUIRE k1 99 1s", f"RL.RENEW k1 {first} 1h", f"RL.RELEASE k1 {first}"):
        quota(change)
        digests.append(quota("DEBUG DIGEST-VALUE k1")[0])
    assert len(set(digests)) == 4  # every change is seen


def test_mutated_dumps_are_errors_or_values_that_replicate(request):
    from test_value_type import mutated
    primary, replica = Server().start(), Server().start()
    replica.follow(primary)
    quota = Quota(primary.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    for i in range(6):
        quota(f"RL.ACQUIRE k -1 {i + 1}s COST {i * 50 + 1}")
    dump, seed, loaded = quota.client.dump("k"), request.config.getoption("--seed"), 0
    print("seed", seed)
    chance = random.Random(seed)
    for server in (primary, replica):
        server.client().execute_command("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1")
    for i in range(1500):
        try:
            quota.client.restore("mutant", 0, mutated(dump, chance), replace=True)
        except redis.ResponseError as error:
            assert "Bad data format" in str(error) or "checksum" in str(error)
            continue
        loaded += 1
        if quota("TYPE mutant") != b"rl-leases":
            continue
        assert all(lease[3] > 0 for lease in quota("RL.LEASES mutant")[1])
        for line in ("RL.ACQUIRE mutant 999 1s ID x", "RL.ACQUIRE mutant -1 1s", "RL.RENEW mutant x 5s",
                     "RL.RELEASE mutant x"):
            with contextlib.suppress(redis.ResponseError):
                quota(line)
    assert loaded > 50
    caught_up(primary, replica)
    assert replica.digest() == primary.digest()
    replica.close()
    primary.close()


# ---- waiting ---------------------------------------------------------------------------------------------------


class Waiting:
    """A client of its own that has sent a command and not read the answer yet."""

    def __init__(self, server, line, protocol=2, **options):
        self.admin = server.client()
        self.connection = server.client(protocol=protocol, **options).connection_pool.get_connection()
        self.connection.send_command("CLIENT", "ID")
        self.id = self.connection.read_response()
        self.connection.send_command(*line.split())
        wait_until(lambda: self.answered() or self.blocked(), "the client neither waits nor is answered")

    def blocked(self):
        found = self.admin.client_list(client_id=[self.id])
        return bool(found) and found[0]["flags"] == "b"

    def answered(self):
        try:
            return self.connection.can_read(0)
        except redis.ConnectionError:
            return True  # the answer is the end of the connection

    def answer(self):
        """What came, an error as its text."""
        wait_until(self.answered, "no answer")
        try:
            return self.connection.read_response()
        except redis.RedisError as error:
            return str(error)

    def waits(self):
        return self.blocked() and not self.answered()

    def leave(self):
        self.connection.disconnect()
        self.admin.close()


@pytest.fixture
def waiting(primary):
    """waiting(line) → a Waiting client; those left are disconnected before digests are compared."""
    clients = []

    def begin(line, **options):
        clients.append(Waiting(primary, line, **options))
        return clients[-1]
    yield begin
    for client in clients:
        client.leave()
    wait_until(lambda: primary.client().info("clients")["blocked_clients"] == 0, "a client still waits")


def test_first_come_first_served(quota, waiting):
    quota("RL.ACQUIRE k 3 1h ID a COST 2")
    quota("RL.ACQUIRE k 3 1h ID b")
    first, second, third = [waiting(f"RL.ACQUIRE k 3 1h ID w{i} COST {cost} WAIT 1m")
                            for i, cost in enumerate((2, 1, 1))]
    assert quota("RL.RELEASE k b") == 1  # one unit: the second would fit, the first would not
    assert first.waits() and second.waits() and third.waits()
    quota("RL.RELEASE k a")
    assert first.answer()[:8] == [2, 3, 1, 0, 3600_000, 0, b"w0", NOON_US + 2]
    assert second.answer()[:8] == [1, 3, 0, 0, 3600_000, 0, b"w1", NOON_US + 3]
    assert third.waits() and ids(quota) == ["w0", "w1"]
    quota("RL.RELEASE k w1")
    assert ids(quota) == ["w0", "w2"]  # who has seen the release answered sees the next one served
    assert third.answer()[7] == NOON_US + 4


def test_no_request_overtakes(quota, waiting):
    quota("RL.ACQUIRE k 3 10s ID a COST 2")
    quota("RL.ACQUIRE k 3 1h ID b COST 1")
    quota("RL.RELEASE k b")
    first = waiting("RL.ACQUIRE k 3 1h COST 3 WAIT 1m")
    # One unit is free, three are waited for: a newcomer's turn comes when four fit, and they never all will; so the end
    assert quota("RL.ACQUIRE k 3 1h") == [0, 3, 1, 10000, 10000, 0, None, 0]
    assert quota("RL.ACQUIRE k -1 1h")[:4] == [0, -1, -1, 10000]
    assert quota("RL.ACQUIRE k 9 1h COST 10")[3] == -1
    assert quota("RL.ACQUIRE k 3 1h ID a COST 2")[0] == 2  # a request for what one holds overtakes none
    second = waiting("RL.ACQUIRE k 9 1h WAIT 1m")
    assert first.waits() and second.waits()
    quota("RL.RELEASE k a")
    assert first.answer()[0] == 3 and second.answer()[0] == 1


def test_leases_that_end_by_themselves(quota, waiting):
    quota("RL.ACQUIRE k 2 10s ID a")
    quota("RL.ACQUIRE k 2 20s ID b")
    first, second = [waiting("RL.ACQUIRE k 2 5s WAIT 1m") for _ in range(2)]
    quota.advance("9999ms")
    assert first.waits()
    quota.advance("1ms")
    assert first.answer()[0] == 1 and second.waits()
    quota("RL.RENEW k b 1h")
    quota.advance("5s")
    assert second.answer()[:6] == [1, 2, 0, 0, 3595_000, 0]
    third = waiting("RL.ACQUIRE k 2 5s WAIT 1m")
    quota("RL.RENEW k b 1us")  # sooner than was expected
    assert third.waits()
    quota.advance("1us")
    assert third.answer()[0] == 1


@pytest.mark.parametrize("protocol", [2, 3])
def test_leases_end_by_the_servers_clock_too(quota, waiting, protocol):
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ACQUIRE k 1 60ms")
    began = time.monotonic()
    first, second = [waiting("RL.ACQUIRE k 1 60ms WAIT 1m", protocol=protocol) for _ in range(2)]
    assert first.answer()[0] == second.answer()[0] == 1
    assert time.monotonic() - began >= 0.1
    quota("RL.ACQUIRE j 1 1h ID a")
    third = waiting("RL.ACQUIRE j 1 1h WAIT 1m", protocol=protocol)
    quota("RL.RENEW j a 20ms")  # sooner than the timer of the line knew
    assert third.answer()[0] == 1
    quota("DEL k j")


def test_a_wait_that_ends_answers_the_denial(quota, waiting):
    quota("RL.ACQUIRE k 1 1h ID a")
    patient, hasty = waiting("RL.ACQUIRE k 1 1h WAIT 2m"), waiting("RL.ACQUIRE k 1 1h WAIT 30s")
    began = time.monotonic()
    quota.advance("29s")
    assert hasty.waits()
    quota.advance("1s")
    assert hasty.answer() == [0, 1, 0, 3570_000, 3570_000, 0, None, 0]
    assert time.monotonic() - began < 15  # by the test clock, that is
    assert patient.waits()
    quota("RL.ACQUIRE other 1 1h")
    began = time.monotonic()
    assert waiting("RL.ACQUIRE other 1 1h WAIT 50ms").answer()[0] == 0  # the server's clock ends it as well
    assert time.monotonic() - began >= 0.05
    quota("RL.RELEASE k a")
    assert patient.answer()[0] == 1


def test_what_ends_while_a_waiter_gives_up_goes_to_the_next(quota, waiting):
    quota("RL.ACQUIRE k 2 1h ID a")
    large, small = waiting("RL.ACQUIRE k 2 1h COST 2 WAIT 10s"), waiting("RL.ACQUIRE k 2 1h WAIT 1m")
    assert small.waits()
    quota.advance("10s")
    assert large.answer()[0] == 0 and small.answer()[0] == 1


def test_no_client_waits_where_blocking_is_not_allowed(quota):
    quota("RL.ACQUIRE k 1 1h")
    denial = [0, 1, 0, 3600_000, 3600_000, 0, None, 0]
    assert quota.client.eval("return redis.call('RL.ACQUIRE', 'k', 1, '1h', 'WAIT', '1m')", 0)[:4] == denial[:4]
    transaction = quota.client.pipeline(transaction=True)
    transaction.execute_command("RL.ACQUIRE", "k", "1", "1h", "WAIT", "1m")
    assert transaction.execute() == [denial]
    assert quota("RL.ACQUIRE k 1 1h COST 2 WAIT 1m") == [0, 1, 0, -1, 3600_000, 0, None, 0]  # never: no use in waiting


def test_transactions_release_at_their_end(quota, waiting):
    quota("RL.ACQUIRE k 1 1h ID a")
    waiter = waiting("RL.ACQUIRE k 1 1h ID w WAIT 1m")
    transaction = quota.client.pipeline(transaction=True)
    for line in ("RL.RELEASE k a", "RL.ACQUIRE k 1 1h ID again", "RL.LEASES k"):
        transaction.execute_command(*line.split())
    released, again, listed = transaction.execute()
    assert released == 1 and again[0] == 0 and listed == [None, []]  # not even inside a transaction does one overtake
    assert waiter.answer()[6] == b"w"
    quota.client.eval("redis.call('RL.RELEASE', 'k', 'w')", 0)
    assert quota("RL.ACQUIRE k 1 1h")[0] == 1


@pytest.mark.parametrize("how, answer", [
    ("CLIENT KILL ID {}", None), ("CLIENT UNBLOCK {} ERROR", "UNBLOCKED"), ("CLIENT UNBLOCK {} TIMEOUT", 0),
    (None, None)])
def test_who_leaves_is_passed_over(quota, waiting, primary, how, answer):
    quota("RL.ACQUIRE k 2 1h ID a")
    large, small, last = waiting("RL.ACQUIRE k 2 1h COST 2 WAIT 1m"), waiting("RL.ACQUIRE k 2 1h ID s WAIT 1m"), \
        waiting("RL.ACQUIRE k 2 1h WAIT 1m")
    if how:
        quota(how.format(large.id))
    else:
        large.leave()
    if answer == 0:
        assert large.answer()[:4] == [0, 2, 1, 3600_000]
    elif answer:
        assert answer in large.answer()
    assert small.answer()[6] == b"s"  # it fitted all the time
    quota(f"CLIENT KILL ID {last.id}")  # the only one in line
    quota("RL.RELEASE k a")
    assert ids(quota) == ["s"]
    assert quota("RL.ACQUIRE k 2 1h")[0] == 1


def test_a_client_that_has_hung_up_gets_no_lease(quota, waiting, primary):
    """The end of the connection and the release arrive in the same pass of the event loop, in either order."""
    for _ in range(5):
        quota("RL.ACQUIRE k 1 1h ID a")
        gone, next_one = [waiting(f"RL.ACQUIRE k 1 1h ID {name} WAIT 1m") for name in ("gone", "next")]
        release, sleeper = [primary.client().connection_pool.get_connection() for _ in range(2)]
        sleeper.send_command("DEBUG", "SLEEP", "0.05")
        time.sleep(0.01)  # until the server sleeps; if it does not yet, the test only proves less
        release.send_command("RL.RELEASE", "k", "a")
        gone.leave()
        assert next_one.answer()[6] == b"next"
        assert ids(quota) == ["next"]
        quota("DEL k")


def test_a_client_about_to_be_closed_gets_no_lease(quota, waiting):
    """Its user is deleted in the transaction that releases: the server closes it a little later."""
    quota("ACL SETUSER guest on nopass ~* +@all")
    quota("RL.ACQUIRE k 1 1h ID a")
    guest = waiting("RL.ACQUIRE k 1 1h ID guest WAIT 1m", username="guest", password="any")
    next_one = waiting("RL.ACQUIRE k 1 1h ID next WAIT 1m")
    transaction = quota.client.pipeline(transaction=True)
    transaction.execute_command("ACL", "DELUSER", "guest")
    transaction.execute_command("RL.RELEASE", "k", "a")
    transaction.execute()
    assert next_one.answer()[6] == b"next"
    assert ids(quota) == ["next"]
    assert "losed" in guest.answer()


def test_a_key_that_goes_away(quota, waiting):
    for line in ("DEL k", "UNLINK k", "FLUSHALL", "FLUSHDB ASYNC", "RENAME k moved", "PEXPIREAT k 1", "MOVE k 9",
                 "RENAME empty k", "SWAPDB 0 9"):
        quota("RL.ACQUIRE empty 1 1h")
        quota("RL.RELEASE empty", ids(quota, "empty")[0])
        quota("RL.ACQUIRE k 1 1h")
        first, second = [waiting("RL.ACQUIRE k 1 1h WAIT 1m") for _ in range(2)]
        quota(line)
        assert first.answer()[0] == 1, line
        assert second.waits()
        quota("DEL k")
        assert second.answer()[0] == 1, line
        quota("FLUSHALL")


@pytest.mark.parametrize("line", ["SET k 1", "RENAME string k", "RESTORE", "LMOVE"])
def test_a_key_that_becomes_something_else(quota, waiting, line):
    quota("SET string 1")
    quota("RL.ACQUIRE k 1 1h")
    first, second = [waiting("RL.ACQUIRE k 1 1h WAIT 1m") for _ in range(2)]
    if line == "RESTORE":
        quota.client.restore("k", 0, quota.client.dump("string"), replace=True)
    elif line == "LMOVE":
        transaction = quota.client.pipeline()
        transaction.delete("k")
        transaction.rpush("k", "x")
        transaction.execute()
    else:
        quota(line)
    assert "wrong kind" in first.answer() and "wrong kind" in second.answer()
    assert quota("TYPE k") in (b"string", b"list")


def test_lines_of_several_databases_and_keys(quota, waiting, primary):
    other = Quota(primary.client(db=3))
    for client in (quota, other):
        client("RL.ACQUIRE k 1 1h ID a")
        client("RL.ACQUIRE j 1 1h ID a")
    here, there, beside = waiting("RL.ACQUIRE k 1 1h WAIT 1m"), waiting("RL.ACQUIRE k 1 1h WAIT 1m", db=3), \
        waiting("RL.ACQUIRE j 1 1h WAIT 1m")
    other("RL.RELEASE k a")
    assert there.answer()[0] == 1 and here.waits() and beside.waits()
    other("FLUSHDB")
    assert here.waits() and beside.waits()
    quota("DEL j")
    assert beside.answer()[0] == 1 and here.waits()
    other.client.close()


def test_an_id_that_two_wait_with(quota, waiting):
    quota("RL.ACQUIRE k 2 1h ID a COST 2")
    first, again, conflict = [waiting(f"RL.ACQUIRE k 2 1h ID w COST {cost} WAIT 1m") for cost in (1, 1, 2)]
    quota("RL.RELEASE k a")
    lease = first.answer()
    assert again.answer()[6:] == lease[6:]
    assert conflict.answer().startswith("IDCONFLICT")
    assert ids(quota) == ["w"]


def test_what_waiters_get_is_replicated(quota, waiting, primary):
    quota("RL.ACQUIRE k 2 1h ID a COST 2")
    clients = [waiting(f"RL.ACQUIRE k 2 1h ID w{i} WAIT 1m") for i in range(3)]
    with Stream(primary) as stream:
        quota("RL.RELEASE k a")
        assert [client.answer()[0] for client in clients[:2]] == [1, 1]
        quota("CLIENT UNBLOCK", clients[2].id)
        assert clients[2].answer()[0] == 0
        quota("PUBLISH end end")
        words = stream.words_until([b"PUBLISH", b"end", b"end"])
    assert [word[0] for word in words if word[0] not in (b"MULTI", b"EXEC")] == [b"RL._DO"] * 3


def test_a_paused_server_grants_nothing(quota, waiting):
    quota("RL.ACQUIRE k 1 10s")
    first, second = [waiting("RL.ACQUIRE k 1 1h WAIT 1m") for _ in range(2)]
    quota("CLIENT PAUSE 60000 WRITE")
    quota.advance("10s")
    assert first.waits() and ids(quota) == []
    quota("CLIENT UNBLOCK", first.id)
    assert first.answer() == [0, 1, 1, 0, 0, 0, None, 0]
    assert second.waits() and ids(quota) == []
    quota("CLIENT UNPAUSE")
    assert second.answer()[0] == 1


def test_a_cluster_that_loses_the_slot_sends_its_clients_away():
    server = Server(cluster_enabled="yes", cluster_port=str(free_port()), cluster_require_full_coverage="no").start()
    quota = Quota(server.client())
    quota("CLUSTER ADDSLOTSRANGE 0 16383")
    wait_until(lambda: b"cluster_state:ok" in quota.raw("CLUSTER INFO"), "no cluster")
    quota("RL.ACQUIRE k 1 1h")
    waiters = [Waiting(server, "RL.ACQUIRE k 1 1h WAIT 1m") for _ in range(2)]
    quota("CLUSTER DELSLOTSRANGE 0 16383")
    for waiter in waiters:
        answer = waiter.answer()
        assert "cluster is down" in answer or "slot not served" in answer
    assert quota.client.info("clients")["blocked_clients"] == 0
    server.close()


def test_a_demoted_primary_lets_its_clients_go():
    primary, replica = Server().start(), Server().start()
    replica.follow(primary)
    quota = Quota(primary.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    quota("RL.ACQUIRE k 1 10s ID a")
    clients = [Waiting(primary, "RL.ACQUIRE k 1 1h WAIT 1m") for _ in range(3)]
    caught_up(primary, replica)
    replica.client().replicaof("no", "one")
    primary.follow(replica)
    assert all("UNBLOCKED" in client.answer() for client in clients)
    quota("QUOTA.CLOCK ADVANCE 1h")
    assert quota("RL.LEASES k") == [None, []]
    heir = Quota(replica.client())
    heir("QUOTA.CLOCK FREEZE", NOON)
    assert ids(heir) == ["a"]
    assert heir("RL.RELEASE k a") == 1 and heir("RL.ACQUIRE k 1 1h ID b")[7] == NOON_US + 1
    caught_up(replica, primary)
    assert primary.digest() == replica.digest()
    primary.close()
    replica.close()


def cpu_s(client):
    used = client.info("cpu")
    return used["used_cpu_user"] + used["used_cpu_sys"]


def test_a_thousand_waiting_clients_cost_nothing_and_are_served_in_order():
    server = Server().start()
    quota = Quota(server.client())
    quota("RL.ACQUIRE k 1 1h ID a")
    sockets = []
    for i in range(1000):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"RL.ACQUIRE k 1 1h ID w%d WAIT 10m\r\n" % i)
        sockets.append(connection)
        if i % 100 == 99 or i < 2:  # their order of arrival is the order in which they were sent
            wait_until(lambda: quota.client.info("clients")["blocked_clients"] == i + 1, "they do not wait")
    before, began = cpu_s(quota.client), time.monotonic()
    time.sleep(1)  # what is measured is the time in which nothing happens
    idle = (cpu_s(quota.client) - before) / (time.monotonic() - began)
    assert idle < 0.1, f"{idle:.0%} of a core with nothing to do"
    tokens, before = [], cpu_s(quota.client)
    holder, left = "a", dict(enumerate(sockets))
    for _ in range(1000):
        assert quota("RL.RELEASE k", holder) == 1
        (holder,) = ids(quota)
        connection = left.pop(int(holder[1:]))
        answer = connection.recv(1000).split(b"\r\n")
        assert answer[1] == b":1" and answer[8] == holder.encode()
        tokens.append(int(answer[9][1:]))
        connection.close()
    print(f"{(cpu_s(quota.client) - before) * 1e6 / 1000:.0f} us of CPU for a release, a grant, a list")
    assert tokens == sorted(set(tokens))
    server.close()


def test_a_pool_of_workers_with_a_real_clock():
    """Forty asyncio clients share five places for a while: never more than five, none starves, tokens only grow."""
    server = Server(appendonly="yes").start()
    held, most, tokens, order = set(), [0], [], []

    async def work(number):
        client = redis.asyncio.Redis(host="127.0.0.1", port=server.port)
        for turn in range(5):
            answer = await client.execute_command("RL.ACQUIRE", "k", 5, "10s", "WAIT", "30s")
            assert answer[0] == 1
            held.add(answer[6])
            most[0] = max(most[0], len(held))
            tokens.append(answer[7])
            order.append(number)
            await asyncio.sleep(0.002)
            held.discard(answer[6])
            assert await client.execute_command("RL.RELEASE", "k", answer[6]) == 1
        await client.aclose()

    async def all_of_them():
        await asyncio.gather(*(work(number) for number in range(40)))
    asyncio.run(all_of_them())
    assert most[0] <= 5 and len(set(tokens)) == 200
    assert set(order[:120]) == set(range(40))  # in line, every client has had a turn before one has had five
    assert paged(Quota(server.client()), "RL.LEASES k") == []
    digest = server.digest()
    server.client().execute_command("DEBUG LOADAOF")
    assert server.digest() == digest
    server.close()


# ---- against a list --------------------------------------------------------------------------------------------


class List:
    """The leases of a key and its line, recounted every time."""

    def __init__(self):
        self.leases, self.seen, self.last, self.line = [], 0, 0, []  # [id, cost, token, expires]

    def live(self, now):
        return [lease for lease in self.leases if lease[3] > max(now, self.seen)]

    def change(self, now):
        self.seen = max(now, self.seen)
        self.leases = self.live(now)

    def wait(self, now, limit, cost, ahead):
        if limit >= 0 and cost > limit:
            return -1
        live = self.live(now)
        ends = sorted(lease[3] for lease in live)
        for at in [now, *ends]:
            left = sum(lease[1] for lease in live if lease[3] > at or at == now)
            if limit >= 0 and left + ahead + cost <= limit or limit < 0 and at > now:
                return max(at - now, 0)
        return max(ends[-1] - now, 0) if ends else 0

    def acquire(self, now, limit, ttl, name, cost, ahead):
        """The answer, or the text an error begins with."""
        live = self.live(now)
        units = sum(lease[1] for lease in live)
        same = [lease for lease in live if lease[0] == name]
        if same and same[0][1] != cost:
            return "IDCONFLICT"
        granted = bool(same) or (ahead == 0 and (limit < 0 or units + cost <= limit))
        if granted and not same:
            self.change(now)
            self.last = max(self.last + 1, self.seen)
            self.leases.append([name or f"L{self.last}", cost, self.last, self.seen + ttl])
            units += cost
        lease = same[0] if same else self.leases[-1] if granted else [None, 0, 0, 0]
        reset = max((max(at[3] - now, 0) for at in self.live(now)), default=0)
        wait = 0 if granted else self.wait(now, limit, cost, ahead)
        return [cost if granted else 0, limit, -1 if limit < 0 else max(limit - units, 0),
                -(-wait // 1000) if wait > 0 else wait, -(-reset // 1000), 0,
                lease[0].encode() if lease[0] else None, lease[2]]

    def ahead(self):
        return sum(wanted["cost"] for _, wanted, _ in self.line)

    def serve(self, now):
        """The line after anything has happened: who is answered, in order, and what."""
        served = []
        while self.line:
            client, wanted, until = self.line[0]
            answer = self.acquire(now, **wanted, ahead=0)
            if isinstance(answer, list) and answer[0] == 0:
                break
            served.append((client, answer))
            self.line.pop(0)
        for i, (client, wanted, until) in enumerate(list(self.line)):
            if until <= now:
                before = sum(other["cost"] for who, other, _ in self.line[:[c for c, *_ in self.line].index(client)])
                served.append((client, self.acquire(now, **wanted, ahead=before)))
                self.line = [entry for entry in self.line if entry[0] is not client]
                return served + self.serve(now)
        return served


NAMES = st.sampled_from([None, None, "a", "b", "c"])
LIMITS = st.integers(-1, 6)
SPANS = st.sampled_from([1, 2, 3, 1000, 1500, 7_000, 20_000])


def machine_for(quota, server):
    class Machine(RuleBasedStateMachine):
        @initialize()
        def begin(self):
            quota.client.delete("k")
            self.now, self.list, self.clients = NOON_US, List(), []
            quota(f"QUOTA.CLOCK FREEZE {self.now}us")

        def settle(self):
            """Every client that the model answers is answered so; every other waits."""
            for client, expected in self.list.serve(self.now):
                answer = client.answer()
                assert answer == expected if isinstance(expected, list) else answer.startswith(expected)
                client.leave()
                self.clients.remove(client)
            assert not any(client.answered() for client in self.clients)

        def request(self, limit, ttl, name, cost):
            self.arguments = {"limit": limit, "ttl": ttl, "name": name, "cost": cost}
            return f"RL.ACQUIRE k {limit} {ttl}us COST {cost}" + (f" ID {name}" if name else "")

        @rule(limit=LIMITS, ttl=SPANS, name=NAMES, cost=st.integers(1, 4))
        def acquire(self, limit, ttl, name, cost):
            line = self.request(limit, ttl, name, cost)
            expected = self.list.acquire(self.now, **self.arguments, ahead=self.list.ahead())
            if isinstance(expected, list):
                assert quota(line) == expected
            else:
                assert quota.error(line).startswith(expected)
            self.settle()

        @rule(limit=LIMITS, ttl=SPANS, name=NAMES, cost=st.integers(1, 4),
              wait=st.sampled_from([5_000_000, 10_000_000, 60_000_000]))
        def wait(self, limit, ttl, name, cost, wait):
            line = self.request(limit, ttl, name, cost)
            if len(self.clients) == 6:
                return
            ahead = self.list.ahead()
            expected = self.list.acquire(self.now, **self.arguments, ahead=ahead)
            client = Waiting(server, f"{line} WAIT {wait}us")
            if isinstance(expected, list) and expected[0] == 0 and expected[3] != -1:
                self.clients.append(client)
                self.list.line.append((client, self.arguments, self.now + wait))
            else:
                answer = client.answer()
                assert answer == expected if isinstance(expected, list) else answer.startswith(expected)
                client.leave()
            self.settle()

        @rule(which=st.integers(0, 9), ttl=SPANS)
        def renew(self, which, ttl):
            live = self.list.live(self.now)
            name = live[which % len(live)][0] if live else "a"
            if not live:
                assert quota.error(f"RL.RENEW k {name} {ttl}us").startswith("NOSUCHID")
                return
            expires = max(self.now, self.list.seen) + ttl
            assert quota(f"RL.RENEW k {name} {ttl}us") == expires // 1000
            if live[which % len(live)][3] != expires:
                self.list.change(self.now)
                live[which % len(live)][3] = expires
            self.settle()

        @rule(which=st.integers(0, 9), name=st.sampled_from([None, None, "a", "b"]))
        def release(self, which, name):
            live = self.list.live(self.now)
            name = name or (live[which % len(live)][0] if live else "c")
            found = [lease for lease in live if lease[0] == name]
            assert quota("RL.RELEASE k", name) == len(found)
            if found:
                self.list.change(self.now)
                self.list.leases.remove(found[0])
            self.settle()

        @rule(step=st.one_of(st.sampled_from([1, 999, 1000, 5_000_000]), st.integers(0, 30_000)))
        def advance(self, step):
            self.now += step
            quota(f"QUOTA.CLOCK FREEZE {self.now}us")
            self.settle()

        @rule(step=st.integers(1, 20_000))
        def step_back(self, step):
            self.now -= step
            quota(f"QUOTA.CLOCK FREEZE {self.now}us")
            self.settle()

        @rule(which=st.integers(0, 5))
        def hang_up(self, which):
            if not self.clients:
                return
            client = self.clients.pop(which % len(self.clients))
            self.list.line = [entry for entry in self.list.line if entry[0] is not client]
            client.leave()
            wait_until(lambda: server.client().info("clients")["blocked_clients"] <= len(self.clients), "still blocked")
            self.settle()

        @invariant()
        def the_same_is_listed(self):
            if not hasattr(self, "list"):
                return
            assert [[lease["id"], lease["cost"], lease["token"], lease["expires"]] for lease in leases(quota)] == \
                [[name, cost, token, expires // 1000] for name, cost, token, expires in self.list.live(self.now)]

        def teardown(self):
            for client in getattr(self, "clients", []):
                client.leave()
            wait_until(lambda: server.client().info("clients")["blocked_clients"] == 0, "a client still waits")
    return Machine


def test_random_streams_agree_with_a_list(quota, primary):
    run_state_machine_as_test(machine_for(quota, primary), settings=settings(
        max_examples=60, stateful_step_count=25, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck)))
