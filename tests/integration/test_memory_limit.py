"""Memory full, under noeviction: what makes a new key or a new record is refused, everything else goes on.

Each row stands for one command at the limit: what it is given that is there already, and what it would have to make.
"""

import pytest
import redis

from conftest import NOON_MS, Quota
from servers import Server, caught_up

OOM = "command not allowed when used memory"
EXISTING = """
    RL.POLICY SET pol 10 1h
    RL.POLICY OVERRIDE pol vip 50 1h
    RL.POLICY PERMIT pol friend
    RL.POLICY REFUSE pol 10.0.0.0/8
    QUOTA.PLAN SET plan r LIMIT 100 day
    QUOTA.PLAN SET plan s LIMIT 100 day
    QUOTA.PLAN SET later r LIMIT 7 day EFFECTIVE 2025-03-01T00:00:00Z
    QUOTA.OPEN a plan
    QUOTA.OPEN closed plan
    QUOTA.CONSUME a r 5 ID known
    QUOTA.MCONSUME a 1 r 1 ID batch
    QUOTA.RESERVE a h1 r 1 TTL 1h
    QUOTA.RESERVE a h2 r 1 TTL 1h
    QUOTA.RESERVE a h3 r 1 TTL 1h
    QUOTA.RESERVE a both r 2 s 1 TTL 1h
    QUOTA.GRANT a given r 5
    QUOTA.GRANT a taken r 5
    QUOTA.APIKEY SET a 1111111111111111111111111111111111111111111111111111111111111111
    QUOTA.APIKEY SET a 2222222222222222222222222222222222222222222222222222222222222222
    QUOTA.OPEN heir plan
    QUOTA.INGEST heir r 9 ingested *
    QUOTA.OPEN above plan
    QUOTA.OPEN below plan PARENT above
    QUOTA.TRANSFER a heir r 1 ID moved
    RL.ALLOW k 10 1h
    RL.ALLOW blocked 10 1h
    RL.BLOCK blocked 1h
    RL.ALLOW full 1 1h
    RL.TABLE t 10 1h
    RL.TAKE t known
    RL.ACQUIRE l 10 1h ID one
    RL.ACQUIRE l 10 1h ID two
    RL.BREAKER b FAILURES 2
    RL.ADAPT d 10 100
    CL.THROTTLE c 15 30 60
    RL.THROTTLE c2 15 30 60""".strip().splitlines()

# Answered, from what is there: verdicts are granted, the rest is what the row says (None = anything but an error).
GOES_ON = [
    # rates: buckets, blocks, tables, circuits
    ("RL.ALLOW k 10 1h", "granted"), ("RL.ALLOW k 20 1m LOG 5 1h", "granted"), ("RL.ALLOW full 1 1h", "denied"),
    ("RL.PEEK k 10 1h", "granted"), ("RL.PEEK new 10 1h", "granted"), ("RL.ALLOW new 10 1h PEEK", "granted"),
    ("RL.ALLOW new 10 1h COST 11", "denied"), ("RL.ALLOW new POLICY pol SUBJECT friend", "granted"),
    ("RL.ALLOW new POLICY pol ADDRESS 10.1.2.3", "denied"), ("RL.ALLOW k POLICY pol SUBJECT vip", "granted"),
    ("RL.MALLOW 2 k full WITH 10 1h ALL", None), ("RL.MALLOW 2 k new WITH 10 1h PEEK", None),
    ("RL.MALLOW 2 k new WITH 10 1h PEEK ALL", None), ("RL.MALLOW 2 new k WITH 5 1h COST 6 ALL", None),
    ("RL.REFUND k 1", None), ("RL.REFUND new 1", 0), ("RL.BLOCK k 1h", b"OK"), ("RL.BLOCK k 0", b"OK"),
    ("RL.BLOCK blocked 0", b"OK"), ("RL.BLOCK new 0", b"OK"), ("RL.INFO k", None), ("RL.INFO new", None),
    ("CL.THROTTLE c 15 30 60", None), ("CL.THROTTLE new 15 30 60 0", None), ("CL.THROTTLE c 15 30 60 -1", None),
    ("RL.THROTTLE c2 15 30 60", None),
    ("RL.TABLE t 20 1h", b"OK"), ("RL.TAKE t known", "granted"), ("RL.TAKE t new PEEK", "granted"),
    ("RL.MTAKE t 2 known new PEEK TERSE", [1, 1]), ("RL.MTAKE t 1 known TERSE", [1]),
    ("RL.TAKE t new COST 21", "denied"), ("RL.BREAKER b", "granted"), ("RL.BREAKER b REPORT fail", b"closed"),
    ("RL.BREAKER new REPORT ok", None), ("RL.BREAKER b FORCE open", b"OK"), ("RL.BREAKER b INFO", None),
    ("RL.BREAKER.INFO b", None), ("RL.ADAPT d 10 100", "granted"), ("RL.ADAPT d REPORT ERROR", None),
    ("RL.ADAPT new REPORT ERROR", None), ("RL.ADAPT new 10 100 PEEK", "granted"), ("RL.ADAPT d INFO", None),
    ("RL.ADAPT.INFO d", None),
    # leases
    ("RL.ACQUIRE l 10 1h ID one", "granted"), ("RL.ACQUIRE l 1 1h", "denied"), ("RL.ACQUIRE new 0 1h", "denied"),
    ("RL.RENEW l one 2h", None), ("RL.RELEASE l two", 1), ("RL.RELEASE new two", 0), ("RL.LEASES l", None),
    # configuration
    ("RL.POLICY SET pol 11 1h", 2), ("RL.POLICY CHECK other 1 1h", b"OK"), ("RL.POLICY OVERRIDE pol vip 60 1h", b"OK"),
    ("RL.POLICY REFUSE pol friend", b"OK"), ("RL.POLICY PERMIT pol 10.0.0.0/8", b"OK"),
    ("RL.POLICY LIFT pol friend", b"OK"), ("RL.POLICY OVERRIDE pol vip", b"OK"), ("RL.POLICY GET pol", None),
    ("RL.POLICY LIST", None), ("RL.POLICY EXCEPTIONS pol", None), ("RL.POLICY HELP", None), ("RL.POLICY DEL pol", 1),
    ("QUOTA.PLAN SET plan r LIMIT 100 day", 1), ("QUOTA.PLAN SET plan r LIMIT 200 day", 3),
    ("QUOTA.PLAN CHECK other r LIMIT 1 day", None), ("QUOTA.PLAN GET plan", None), ("QUOTA.PLAN LIST", None),
    ("QUOTA.PLAN HELP", None), ("QUOTA.PLAN CANCEL later 1", b"OK"), ("QUOTA.PLAN DEL plan s", 1),
    ("QUOTA.PLAN DEL plan", 1),
    # accounts
    ("QUOTA.OPEN a plan", None), ("QUOTA.CONSUME a r 1", "granted"), ("QUOTA.CONSUME a s 1", "granted"),
    ("QUOTA.CONSUME a r 5 ID known", "granted"), ("QUOTA.CONSUME a r 1000 ID new", "denied"),
    ("QUOTA.CONSUME a r 1 ID new CHECK", "granted"), ("QUOTA.MCONSUME a 2 r 1 s 1", None),
    ("QUOTA.MCONSUME a 1 r 1 ID batch", None), ("QUOTA.CHECK a r 1", None), ("QUOTA.REFUND a r 1", None),
    ("QUOTA.INGEST heir r 9 ingested *", [0]),
    ("QUOTA.REFUND a r 1 OF known ID back", [1, 0]), ("QUOTA.RESERVE a h1 r 1 TTL 1h", "granted"),
    ("QUOTA.RESERVE a new r 1000 TTL 1h", "denied"), ("QUOTA.EXTEND a h1 2h", None), ("QUOTA.COMMIT a h1", [1, 0]),
    ("QUOTA.RESERVE a both r 2 s 1 TTL 1h", None), ("QUOTA.RESERVE a new r 1 s 1000 TTL 1h", None),
    ("QUOTA.COMMIT a both 1 1", [[1, 1, 99], [1, 0, 99]]), ("QUOTA.REFUND a ALL OF known ID back", None),
    ("QUOTA.RELEASE a h2", [0, 1]), ("QUOTA.HOLDS a", None), ("QUOTA.INFO a", None), ("QUOTA.HISTORY a r", None),
    ("QUOTA.FORECAST a r", None), ("QUOTA.RECORD a known", None), ("QUOTA.BILL a", None),
    ("QUOTA.GRANT a given r 5", [5, 0]), ("QUOTA.TRANSFER a heir r 1 ID moved", [1, 9, 1]),
    ("QUOTA.TRANSFER a heir r 99 ID new", [0, 9, 1]), ("QUOTA.VOID a taken", 5), ("QUOTA.GRANTS a", None),
    ("QUOTA.SET a r 7", None), ("QUOTA.RESET a", b"OK"), ("QUOTA.SETTLE a", 0),
    ("QUOTA.OVERRIDE a r LIMIT 300 day", None),
    ("QUOTA.OVERRIDE a r LIFT", None), ("QUOTA.SWITCH a plan", None), ("QUOTA.SUSPEND a", b"OK"),
    ("QUOTA.RESUME a", b"OK"), ("QUOTA.CLOSE closed", b"OK"),
    # API keys
    (f"QUOTA.APIKEY SET a {64 * '1'} RATE 5 1m", b"OK"), (f"QUOTA.CONSUME a r 1 APIKEY {64 * '1'}", "granted"),
    (f"QUOTA.APIKEY VERIFY a {64 * '1'}", b"OK"), (f"QUOTA.APIKEY REVOKE a {64 * '2'}", 1),
    ("QUOTA.APIKEY LIST a", None), ("QUOTA.APIKEY HELP", None),
    # organisations
    ("QUOTA.PARENT below above", b"OK"), ("QUOTA.CONSUME below r 1", "granted"), ("QUOTA.MEMBERS above", None),
    ("QUOTA.WEIGHT above below 3", b"OK"), ("QUOTA.DETACH below", b"OK"),
    # the rest
    ("QUOTA.EVENTS READ", None), ("QUOTA.EVENTS INFO", None), ("QUOTA.EVENTS HELP", None), ("QUOTA.VIOLATIONS", None),
    ("QUOTA.HEALTH", None), ("QUOTA.CLOCK", NOON_MS), ("QUOTA.CYCLE day ANCHOR 0us", None)]

# Refused: a new key, id, subject, lease, reservation, policy, exception, plan or resource of a plan.
REFUSED = """
    RL.ALLOW new 10 1h
    RL.ALLOW new POLICY pol SUBJECT other
    RL.MALLOW 2 k new WITH 10 1h ALL
    RL.BLOCK new 1h
    CL.THROTTLE new 15 30 60
    RL.THROTTLE new 15 30 60
    RL.TABLE new 10 1h
    RL.TAKE t new
    RL.ACQUIRE new 10 1h
    RL.ACQUIRE l 10 1h ID three
    RL.ACQUIRE l 10 1h WAIT 1s
    RL.BREAKER new FAILURES 2
    RL.BREAKER new FORCE open
    RL.ADAPT new 10 100
    RL.POLICY SET new 10 1h
    RL.POLICY OVERRIDE pol new 10 1h
    RL.POLICY PERMIT pol new
    RL.POLICY REFUSE pol 11.0.0.0/8
    QUOTA.PLAN SET new r LIMIT 1 day
    QUOTA.PLAN SET plan new LIMIT 1 day
    QUOTA.OPEN new plan
    QUOTA.CONSUME a r 1 ID new
    QUOTA.CONSUME a r 1000 ID new STICKY
    QUOTA.MCONSUME a 1 r 1 ID new
    QUOTA.RESERVE a new r 1 TTL 1h
    QUOTA.RESERVE a new r 1 s 1 TTL 1h
    QUOTA.APIKEY SET a 3333333333333333333333333333333333333333333333333333333333333333
    QUOTA.APIKEY ROTATE a 11111111 3333333333333333333333333333333333333333333333333333333333333333
    QUOTA.PARENT heir above
    QUOTA.GRANT a new r 1
    QUOTA.TRANSFER a heir r 1 ID new""".strip().splitlines()


@pytest.fixture(scope="module")
def full():
    server = Server(appendonly="yes", maxmemory_policy="noeviction").start()
    yield server, Quota(server.client())
    server.close()


@pytest.fixture
def quota(full):
    """Everything of EXISTING, and memory that is full; at the end it is not."""
    _, quota = full
    quota("FLUSHALL")
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    for line in EXISTING:
        quota(line)
    quota("CONFIG SET maxmemory 1")
    yield quota
    quota("CONFIG SET maxmemory 0")
    for line in ("RL.POLICY DEL pol", "RL.POLICY DEL new"):
        quota(line)
    for plan in ("plan", "later", "new"):
        quota("RL._PLAN", plan, "")


def denials_and_grants(quota):
    counters = quota.client.info("quota")
    return [counters[name] for name in ("quota_admitted", "quota_denied_limit", "quota_denied_list")]


@pytest.mark.parametrize("line, answer", GOES_ON, ids=[line for line, _ in GOES_ON])
def test_what_is_there_goes_on(quota, line, answer):
    keys = quota("DBSIZE")
    reply = quota(line)
    if answer in ("granted", "denied"):
        assert (reply[0] > 0) == (answer == "granted"), reply
    elif isinstance(answer, list):
        assert reply[:len(answer)] == answer
    else:
        assert answer in (None, reply)
    assert quota("DBSIZE") <= keys


@pytest.mark.parametrize("line", REFUSED)
def test_what_would_be_new_is_refused(full, quota, line):
    server, _ = full
    before, counters = server.digest(), denials_and_grants(quota)
    assert OOM in quota.error(line)
    assert server.digest() == before
    assert denials_and_grants(quota) == counters  # it was neither granted nor denied
    quota("CONFIG SET maxmemory 0")
    quota(line)


def test_every_command_has_a_row():
    """By its name; containers by their subcommands."""
    server = Server().start()
    client = server.client()
    commands = {str(name, "utf-8").lower() for name in client.execute_command("COMMAND LIST FILTERBY MODULE quota")}
    rows = [line.split() for line in (*REFUSED, *(line for line, _ in GOES_ON))]
    seen = {row[0].lower() for row in rows} | {"|".join(row[:2]).lower() for row in rows}
    assert {name for name in commands if "._" not in name} - seen == set()
    server.close()


def test_usage_with_a_new_id_has_its_error_in_its_place(full, quota):
    server, _ = full
    before, counters = server.digest(), denials_and_grants(quota)
    replies = quota("QUOTA.INGEST heir r 9 ingested * heir r 1 new * a s 1 new *")
    assert replies[0] == 0 and OOM in str(replies[1]) and OOM in str(replies[2])
    assert server.digest() == before and denials_and_grants(quota) == counters
    quota("CONFIG SET maxmemory 0")
    assert quota("QUOTA.INGEST heir r 9 ingested * heir r 1 new *") == [0, 1]


def test_a_key_of_many_that_is_new_has_its_error_in_its_place(quota):
    replies = quota("RL.MALLOW 3 k new full WITH 10 1h")
    assert replies[0][0] == 1 and OOM in str(replies[1]) and replies[2][0] == 1


def test_a_queue_and_a_script_meet_the_same_answer(quota):
    """Most servers refuse to queue anything, Redis 8.6 queues what is not flagged deny-oom; a queue that was there
    before memory was full is decided command by command, and so is a script."""
    script = "return redis.pcall(unpack(ARGV))"
    assert quota.client.eval(script, 1, "k", "RL.ALLOW", "k", 10, "1h")[0] == 1
    with pytest.raises(redis.ResponseError, match="used memory"):
        quota.client.eval(script, 1, "new", "RL.ALLOW", "new", 10, "1h")
    connection = quota.client.connection_pool.get_connection()

    def say(line):
        connection.send_command(*line.split())
        return connection.read_response()

    quota("CONFIG SET maxmemory 0")
    for line in ("MULTI", "RL.ALLOW k 10 1h", "RL.ALLOW new 10 1h"):
        say(line)
    quota("CONFIG SET maxmemory 1")
    replies = say("EXEC")
    assert replies[0][0] == 1 and OOM in str(replies[1])
    say("MULTI")
    try:
        say("RL.ALLOW k 10 1h")
    except redis.ResponseError as error:
        assert OOM in str(error)
        say("DISCARD")
    else:
        assert say("EXEC")[0][0] == 1
    quota.client.connection_pool.release(connection)


def test_where_eviction_makes_room_nothing_is_refused(full, quota):
    """Then the context says OOM while the server does not."""
    quota("CONFIG SET maxmemory 0")
    for number in range(200):
        quota(f"SET filler{number}", "x" * 10000, "EX", 1000)
    quota("QUOTA.CLOCK RESUME")
    used = quota.client.info("memory")
    quota("CONFIG SET maxmemory-policy volatile-ttl maxmemory",
          used["used_memory"] - used["mem_not_counted_for_evict"] - 100_000)
    for number in range(200):
        assert quota(f"RL.ALLOW new{number} 10 1h LOG 5 1h")[0] == 1
    assert quota.client.info("stats")["evicted_keys"] > 0
    quota("CONFIG SET maxmemory 0")
    quota("CONFIG SET maxmemory-policy noeviction")


def test_replicas_and_files_are_never_refused(full, quota):
    server, _ = full
    follower = Server(maxmemory="1", maxmemory_policy="noeviction").start()
    try:
        quota("CONFIG SET maxmemory 0")
        follower.follow(server)
        quota("RL.ALLOW new 10 1h")
        caught_up(server, follower)
        assert follower.digest() == server.digest()
        quota("CONFIG SET maxmemory 1")
        before = server.digest()
        quota("DEBUG LOADAOF")
        assert server.digest() == before
    finally:
        follower.close()
