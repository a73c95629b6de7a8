"""Values that are freed on the server's lazy-free thread while the main thread makes others that share with them.

    callers ──▶ main thread ── takes plans, rule sets, labels ──▶ ┌ tables ┐ ◀── gives back ── lazy-free thread
                     └─ FLUSHALL ASYNC, FLUSHDB ASYNC, a replica's full sync ── whole databases ────┘

The server frees a database in the background whole, a single key only where it thinks that worth a thread. What has
to hold: no client gets an error, replica and primary end equal, and when all is free nothing is counted any more.
With module and server built with -fsanitize=thread this is also the run that looks for races.
"""

import contextlib
import random
import threading

import pytest
import redis

from servers import Server, caught_up, wait_until

LAZY = {f"lazyfree_lazy_{what}": "yes" for what in ("eviction", "expire", "server_del", "user_del", "user_flush")}
PLANS = ("pro", "team", "free")
FLUSHES = ("FLUSHALL ASYNC", "FLUSHDB ASYNC", "FLUSHALL", "DEBUG RELOAD")
ZONES = ("Europe/Berlin", "America/New_York", "UTC")
ROUNDS, KEYS, CALLERS = 40, 60, 3


def life_of(name, rng):
    """Everything that takes and gives back what others have too: plans, own rules, labels, rule sets, ids, leases."""
    plan, other = rng.sample(PLANS, 2)
    rule = f"{rng.randrange(1, 4)} 1h LOG {rng.randrange(1, 4)} 1m"
    return [line.split() for line in (
        f"QUOTA.OPEN a{name} {plan} ZONE {rng.choice(ZONES)}", f"QUOTA.CONSUME a{name} calls 1 ID x{rng.randrange(9)}",
        f"QUOTA.RESERVE a{name} h calls 1 TTL 1h", f"QUOTA.OVERRIDE a{name} calls LIMIT {rng.randrange(50, 53)} day",
        f"QUOTA.SWITCH a{name} {other}", f"RL.ALLOW b{name} {rule}", f"RL.ALLOW b{name} POLICY p",
        f"RL.ACQUIRE l{name} 9 1h", f"RL.BREAKER c{name} FAILURES 3", f"RL.ADAPT d{name} 5 9",
        f"COPY a{name} e{name} REPLACE", f"SET {rng.choice('abl')}{name} overwritten",
        f"UNLINK {rng.choice('abcdel')}{name}", f"RESTORE a{name} 0 dump REPLACE")]


RIGHT_ERRORS = ("NOACCOUNT", "NORESOURCE", "WRONGTYPE", "is open already on another")  # of one call after another's


def allowed(reply):
    return not isinstance(reply, Exception) or any(error in str(reply) for error in RIGHT_ERRORS)


def call(server, seed, dump, strange):
    rng, client = random.Random(seed), server.client()
    for _ in range(ROUNDS):
        pipeline = client.pipeline(transaction=False)
        for _ in range(KEYS):
            for words in life_of(rng.randrange(4 * KEYS), rng):
                pipeline.execute_command(*(dump if word == "dump" else word for word in words))
        pipeline.execute_command(*rng.choice([f"QUOTA.PLAN SET {rng.choice(PLANS)} calls LIMIT {seed + 100} day",
                                              f"RL.POLICY SET p {rng.randrange(5, 9)} 1h", "INFO quota"]).split())
        with contextlib.suppress(redis.BusyLoadingError):  # DEBUG RELOAD takes longer than a moment
            strange += [reply for reply in pipeline.execute(raise_on_error=False) if not allowed(reply)]
    client.close()


def flush(server, seed, over):
    rng, client = random.Random(seed), server.client()
    while not over.wait(0.01):  # between callers' rounds, not within each
        client.execute_command(*rng.choice(FLUSHES).split())
    client.close()


def memory(server):
    return server.client().info("memory")


@pytest.fixture
def servers():
    primary, replica = Server(**LAZY).start(), Server(replica_lazy_flush="yes", **LAZY).start()
    replica.follow(primary)
    yield primary, replica
    replica.close()
    primary.close()


def test_sharing_survives_the_lazy_free_thread(servers, request):
    primary, replica = servers
    client, seed, strange, over = primary.client(), request.config.getoption("--seed"), [], threading.Event()
    for plan in PLANS:
        client.execute_command("QUOTA.PLAN", "SET", plan, "calls", "LIMIT", 100, "day", "RATE", 50, "1h")
    client.execute_command("RL.POLICY", "SET", "p", 5, "1h")
    client.execute_command("QUOTA.OPEN", "dumped", "pro", "ZONE", ZONES[0])
    dump = client.dump("dumped")
    callers = [threading.Thread(target=call, args=(primary, seed + i, dump, strange)) for i in range(CALLERS)]
    flusher = threading.Thread(target=flush, args=(primary, seed, over))
    for thread in (*callers, flusher):
        thread.start()
    for thread in callers:
        thread.join()
    over.set()
    flusher.join()
    assert not strange, set(map(str, strange))
    wait_until(lambda: replica.digest() == primary.digest(), "the replica differs")
    client.execute_command("DEBUG", "CHANGE-REPL-ID")
    replica.client().replicaof("NO", "ONE")
    replica.follow(primary)  # a full sync: what the replica has goes the lazy way too
    assert client.info("stats")["sync_full"] == 2
    wait_until(lambda: replica.digest() == primary.digest(), "differs after the full sync")
    client.execute_command("FLUSHALL", "ASYNC")
    client.execute_command("RL.POLICY", "DEL", "p")
    caught_up(primary, replica)
    for server in servers:
        wait_until(lambda: memory(server)["lazyfree_pending_objects"] == 0, "the lazy-free thread does not end")
        # The thread counts what it has freed only after it has taken it off what is pending.
        wait_until(lambda: memory(server)["lazyfreed_objects"] > KEYS, "nothing went the lazy way")
        info = server.client().info("quota")
        counted = {name: value for name, value in info.items() if "_keys_" in name or "_bytes_" in name}
        assert len(counted) >= 10 and set(counted.values()) == {0}
        assert info["quota_leases"] == 0 and info["quota_rule_sets"] == 0


def test_a_plan_outlives_the_configuration_in_accounts_and_dies_with_the_last(servers):
    """The last user gives it back on the other thread, and the next call takes equal bytes anew."""
    primary, _ = servers
    client = primary.client()
    for _ in range(50):
        client.execute_command("QUOTA.PLAN", "SET", "pro", "calls", "LIMIT", 100, "day")
        pipeline = client.pipeline(transaction=False)
        for number in range(200):
            pipeline.execute_command("QUOTA.OPEN", f"a{number}", "pro", "ZONE", ZONES[0])
        pipeline.execute_command("QUOTA.PLAN", "DEL", "pro")
        pipeline.execute_command("QUOTA.CONSUME", "a0", "calls", 1)  # by the rules it carries
        pipeline.execute_command("FLUSHALL", "ASYNC")
        assert pipeline.execute()[-2][0] == 1
    wait_until(lambda: memory(primary)["lazyfree_pending_objects"] == 0, "the lazy-free thread does not end")
    assert client.info("quota")["quota_keys_q_account"] == 0


def test_a_large_policy_is_freed_by_a_thread_of_its_own(servers):
    """Deleted and defined anew while the last one is still being freed: neither is mistaken for the other."""
    primary, replica = servers
    client = primary.client()
    for turn in range(5):
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("RL.POLICY", "SET", "p", 5, "1h")
        for number in range(5000):
            pipeline.execute_command("RL.POLICY", "OVERRIDE", "p", f"u{number}", number % 7 + 10 + turn, "1h")
        pipeline.execute_command("RL.POLICY", "DEL", "p")
        pipeline.execute_command("RL.POLICY", "SET", "p", 3, "1h")
        pipeline.execute_command("RL.ALLOW", f"key{turn}", "POLICY", "p", "SUBJECT", "u1")
        assert pipeline.execute()[-1][1] == 3
    client.execute_command("RL.POLICY", "DEL", "p")
    client.execute_command("FLUSHALL")
    caught_up(primary, replica)
    for server in servers:
        wait_until(lambda: server.client().info("quota")["quota_rule_sets"] == 0, "rules are still held")
