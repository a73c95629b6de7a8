"""Fixtures: a primary with AOF and a replica with AOF, shared by the session; every test ends by comparing digests.

    test ──▶ primary ──stream──▶ replica         after each test, equal:  primary │ replica │ primary reloaded from
                │ AOF               │ AOF                                 RDB │ primary reloaded from its AOF

Several workers of pytest-xdist run tests at the same time, each with servers of its own. A server that ends by itself
fails the test during which it did, and no other: an empty one takes its place.
"""

import pytest
import redis

from chain import DAY_MS, Chain
from servers import HIDES_INTERNAL, VALKEY, VERSION, Server, caught_up, rewrite_aof, wait_until

NOON = "2025-01-31T15:00:00Z"
NOON_MS = 1738335600000  # a multiple of every window up to an hour

# Redis 7.4.0, 7.4.1 and the first milestones of 8.0 keep something of every DEBUG RELOAD and every full sync, and end
# themselves at the 4093rd ("Failed creating the lua jemalloc tcache", redis/redis#13661): there, the pair is replaced
# in time.
LEAKS = not VALKEY and ((7, 4, 0) <= VERSION < (7, 4, 2) or VERSION[:2] == (7, 9))
TESTS_OF_LEAKING_PAIR = 1500

# Every test ends by reading the AOF, which holds all that the tests before it have written: from this size on the next
# test begins with a new one. A server reads a megabyte in about 20 ms.
AOF_BYTES_MAX = 1 << 18


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=20250131, help="seed of every random test; printed when one fails")


class NamesFailuresAtOnce:
    """pytest's own report comes when all tests are done."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
            self.terminal.ensure_newline()
            self.terminal.write_line(f"FAILED {report.nodeid}: {said[0]}", red=True)


def pytest_configure(config):
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):  # workers send their reports to the process with the terminal
        config.pluginmanager.register(NamesFailuresAtOnce(terminal))


def pytest_sessionfinish():
    """Servers of tests that failed before they could close them."""
    for server in Server.known:
        if server.process:
            server.kill()


def replace_ended():
    """What is to be said of every server that has ended by itself."""
    ended = [server for server in Server.known if server.ended_by_itself()]
    said = [f"the server on port {server.port} ended with {server.process.returncode}; its log:\n{server.log()[-3000:]}"
            for server in ended]
    for server in ended:
        server.replace()
    return said


@pytest.fixture(autouse=True)
def no_server_ends_by_itself():
    replace_ended()  # of a test that failed while its server was still ending
    yield
    said = replace_ended()
    assert not said, "\n".join(said)


# Valkey 8 frees what DEL takes out in the background: what is counted would lag.
OF_PAIR = {"appendonly": "yes", "appendfsync": "everysec", "lazyfree_lazy_user_del": "no"}


class Pair:
    """The primary and its replica, and how many tests they have served."""

    def __init__(self):
        self.primary, self.replica = (Server(**OF_PAIR).start() for _ in range(2))
        self.replica.follow(self.primary)
        self.tests = 0

    def serve(self):
        self.tests += 1
        if LEAKS and self.tests > TESTS_OF_LEAKING_PAIR:
            self.tests = 0
            for server in (self.primary, self.replica):
                server.stop()
                server.replace()

    def close(self):
        self.replica.close()
        self.primary.close()


@pytest.fixture(scope="session")
def session_pair():
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def pair(session_pair):
    session_pair.serve()
    yield session_pair.primary, session_pair.replica
    found = [line[:300] for server in (session_pair.primary, session_pair.replica) for line in server.alarms()]
    assert not found, "\n".join(found)


@pytest.fixture
def primary(pair):
    return pair[0]


@pytest.fixture
def replica(pair):
    return pair[1]


def event_log(server, latest=100):
    """How long the event log of a server is, and its latest entries as they come; not the epoch, which a replica does
    not begin."""
    client = server.client(protocol=2)
    facts = as_map(client.execute_command("QUOTA.EVENTS INFO"))
    epoch, sequence = map(int, facts["last"].split("-"))
    after = f"{epoch}-{max(sequence - latest, 0)}"
    entries = client.execute_command("QUOTA.EVENTS READ", "COUNT", 1000, "AFTER", after)
    client.close()
    return {name: value for name, value in facts.items() if name != "epoch"}, entries


def assert_equal_digests(primary, replica):
    """What the primary holds, the replica holds, and so does the primary after reading its own files again; so do their
    event logs."""
    caught_up(primary, replica)
    client = primary.client()
    expected, events = primary.digest(), event_log(primary)
    assert replica.digest() == expected, "replica differs"
    assert event_log(replica) == events, "the replica's event log differs"
    client.execute_command("DEBUG RELOAD")
    assert primary.digest() == expected, "differs after reload from RDB"
    assert event_log(primary) == events, "the event log differs after reload from RDB"
    client.execute_command("DEBUG LOADAOF")
    assert primary.digest() == expected, "differs after reload from AOF"
    assert event_log(primary) == events, "the event log differs after reload from AOF"


def empty(primary):
    """No keys; what was there is freed, also where servers do so in the background; and the AOF is short."""
    client = primary.client()
    client.execute_command("FLUSHALL", "SYNC")
    wait_until(lambda: client.info("memory")["lazyfree_pending_objects"] == 0, "the last reload is not freed")
    if client.info("persistence")["aof_current_size"] > AOF_BYTES_MAX:
        rewrite_aof(primary)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def quota(request, pair):
    """A client of the primary, the clock held still at noon."""
    primary, replica = pair
    client = primary.client(protocol=request.param)
    empty(primary)
    client.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    yield Quota(client)
    if primary.ended_by_itself() or replica.ended_by_itself():
        return  # no_server_ends_by_itself says so
    try:
        assert_equal_digests(primary, replica)
    finally:
        client.execute_command("QUOTA.CLOCK", "RESUME")
        client.close()


@pytest.fixture
def inside(quota, primary):
    """The same as another server sees it: with the commands that Redis 8 hides from clients."""
    client = primary.client(protocol=quota.client.get_connection_kwargs()["protocol"], single_connection_client=True)
    if HIDES_INTERNAL:
        client.execute_command("DEBUG MARK-INTERNAL-CLIENT")
    yield Inside(client)
    client.close()


def clear_plans(quota):
    """FLUSHALL leaves plans alone, and settings are the server's."""
    for plan in quota("QUOTA.PLAN LIST COUNT 1000")[1]:
        quota("RL._PLAN", as_fields(plan)[b"plan"], "")  # deleted it would be retired, and its revisions go on
    quota("CONFIG SET quota.default-plan", "")
    quota("CONFIG SET quota.auto-open no quota.id-ttl-ms 86400000 quota.id-max 1000000")


def clear_policies(quota):
    """FLUSHALL leaves policies alone, too."""
    for policy in paged(quota, "RL.POLICY LIST"):
        quota("RL.POLICY DEL", policy["name"].encode(errors="surrogateescape"))


@pytest.fixture
def accounts(quota):
    """The same with no plans before and after, and settings as they come."""
    clear_plans(quota)
    yield quota
    clear_plans(quota)


@pytest.fixture
def chain():
    """A chain of three, with a plan and an account that the tests know."""
    with Chain() as chain:
        quota = Quota(chain.primary.client())
        chain.freeze(chain.primary, NOON_MS)
        quota("QUOTA.PLAN SET p day LIMIT 40 day")
        quota("QUOTA.PLAN SET p month LIMIT 40 month")
        quota("QUOTA.PLAN SET p rolling LIMIT 40 ROLLING 1d")
        quota("QUOTA.PLAN SET p rate RATE 40 1d")
        quota("QUOTA.PLAN SET p free LIMIT -1 month LIMIT 1000000 day")
        quota("QUOTA.OPEN a p ANCHOR", NOON_MS - 90 * DAY_MS)
        yield chain


class Quota:
    """Calls as a user types them: quota("RL.ALLOW k 10 1s") → reply; words with odd bytes go as extra arguments."""

    def __init__(self, client):
        self.client = client

    def __call__(self, line, *words):
        return self.client.execute_command(*line.split(), *words)

    def error(self, line, *words):
        with pytest.raises(redis.ResponseError) as raised:
            self(line, *words)
        return str(raised.value)

    def raw(self, line):
        """The reply as it came: redis-py reshapes what some commands answer."""
        connection = self.client.connection_pool.get_connection()
        connection.send_command(*line.split())
        reply = connection.read_response()
        self.client.connection_pool.release(connection)
        return reply

    def map(self, line, *words):
        """A map reply of either protocol as a dict of str, nested ones too."""
        return as_map(self(line, *words))

    def advance(self, duration):
        return self("QUOTA.CLOCK ADVANCE", duration)


class Inside(Quota):
    """All calls on the connection that has been promoted."""

    def raw(self, line):
        self.client.connection.send_command(*line.split())
        return self.client.connection.read_response()


def text(value):
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def as_fields(reply):
    """One map reply of either protocol as a dict of what came, not looked into."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def paged(quota, line):
    """Everything that a paged list has, in pages of the largest size."""
    items, after = [], ()
    while True:
        cursor, page = quota(f"{line} COUNT 1000", *after)
        items += [as_map(item) for item in page]
        if cursor is None:
            return items
        after = ("AFTER", cursor)


def listed(quota):
    """What QUOTA.PLAN LIST shows: name ──▶ revision, retired, accounts."""
    plans = [as_fields(plan) for plan in quota("QUOTA.PLAN LIST COUNT 1000")[1]]
    return {text(plan[b"plan"]): (plan[b"revision"], plan[b"retired"], plan[b"accounts"]) for plan in plans}


def revisions(quota):
    """Name ──▶ revision, of the plans that are not retired."""
    return {name: revision for name, (revision, retired, _) in listed(quota).items() if not retired}


def as_map(reply):
    if isinstance(reply, dict):
        return {text(name): as_map(value) for name, value in reply.items()}
    if isinstance(reply, list) and reply and isinstance(reply[0], (bytes, str)) and len(reply) % 2 == 0:
        return {text(name): as_map(value) for name, value in zip(reply[::2], reply[1::2])}
    if isinstance(reply, list):
        return [as_map(value) for value in reply]
    return text(reply)
