"""Keyspace events (notify-keyspace-events KEd): a change says the command's name in lower case, where it was decided.

    PSUBSCRIBE __keyevent@0__:*  ◀── rl.allow   k        a key that empties also says del
"""

import pytest

from conftest import NOON_MS, Quota
from servers import Server, caught_up, wait_until
from test_waiting import Waiter


class Events:
    """What a server publishes from now on, up to a mark of its own."""

    def __init__(self, server):
        self.client, self.marks = server.client(), 0
        self.client.config_set("notify-keyspace-events", "KEAd")
        self.subscription = self.client.pubsub()
        self.subscription.psubscribe("__keyevent@0__:*")
        assert self.subscription.get_message(timeout=10)["type"] == "psubscribe"

    def so_far(self):
        """[(event, key), …]; each call ends at a mark of its own, so that what one leaves unread confuses no other."""
        self.marks += 1
        mark = f"mark {self.marks}"
        self.client.set(mark, 1)
        self.client.delete(mark)
        events = []
        while True:
            message = self.subscription.get_message(timeout=10)
            event, key = message["channel"].decode().split(":", 1)[1], message["data"].decode()
            if (event, key) == ("del", mark):
                return events
            if not key.startswith("mark ") and event not in ("new", "expire", "pexpire"):
                events.append((event, key))

    def close(self):
        self.subscription.close()


@pytest.fixture(scope="module")
def watched():
    server = Server(appendonly="yes").start()
    events = Events(server)
    yield Quota(server.client()), server, events
    events.close()
    server.close()


@pytest.fixture
def quota(watched):
    quota, _, events = watched
    quota("QUOTA.CLOCK FREEZE", NOON_MS)
    for line in SETUP:
        quota(line)
    events.so_far()
    yield quota
    quota("FLUSHALL")
    quota("RL.POLICY DEL pol")
    quota("RL._PLAN plan", "")
    quota("RL._PLAN other", "")


SETUP = """
    RL.POLICY SET pol 10 1h
    QUOTA.PLAN SET plan r LIMIT 100 day
    QUOTA.PLAN SET other r LIMIT 100 month
    QUOTA.OPEN a plan
    QUOTA.CONSUME a r 5 ID known
    QUOTA.RESERVE a h1 r 1 TTL 1h
    QUOTA.RESERVE a h2 r 1 TTL 1h
    RL.ALLOW k 10 1h COST 2
    RL.ALLOW once 10 1h
    RL.BLOCK blocked 1h
    RL.ALLOW full 1 1h
    RL.TABLE t 10 1h
    RL.ACQUIRE l 10 1h ID one
    RL.ACQUIRE m 10 1h ID one
    RL.ACQUIRE m 10 1h ID two
    RL.BREAKER b FAILURES 2
    RL.ADAPT d 10 100
    CL.THROTTLE c 15 30 60""".strip().splitlines()
CHANGES = [  # a line, and the keys it changes
    ("RL.ALLOW k 10 1h", ["k"]), ("rl.allow new 10 1h", ["new"]), ("RL.ALLOW k POLICY pol", ["k"]),
    ("RL.MALLOW 2 k new WITH 10 1h", ["k", "new"]), ("RL.REFUND k 1", ["k"]), ("RL.BLOCK k 1h", ["k"]),
    ("CL.THROTTLE c 15 30 60", ["c"]), ("RL.THROTTLE c 15 30 60 1", ["c"]), ("RL.TABLE u 10 1h", ["u"]),
    ("RL.TAKE t s", ["t"]), ("RL.MTAKE t 3 s u v", ["t"]),
    ("RL.ACQUIRE l 10 1h", ["l"]), ("RL.RENEW l one 2h", ["l"]), ("RL.RELEASE m one", ["m"]),
    ("RL.BREAKER b REPORT fail", ["b"]), ("RL.BREAKER b FORCE open", ["b"]), ("RL.ADAPT d 10 100", ["d"]),
    ("RL.ADAPT d REPORT ERROR", ["d"]), ("QUOTA.OPEN new plan", ["new"]), ("QUOTA.CONSUME a r 1", ["a"]),
    ("QUOTA.MCONSUME a 1 r 1", ["a"]), ("QUOTA.INGEST a r 1 i * a r 2 j *", ["a"]),
    ("QUOTA.REFUND a r 1", ["a"]), ("QUOTA.RESERVE a h3 r 1 TTL 1h", ["a"]),
    ("QUOTA.COMMIT a h1", ["a"]), ("QUOTA.RELEASE a h1", ["a"]), ("QUOTA.EXTEND a h1 2h", ["a"]),
    ("QUOTA.SWITCH a other", ["a"]), ("QUOTA.SUSPEND a", ["a"]), ("QUOTA.CLOSE a", ["a"]),
    ("QUOTA.SET a r 7", ["a"]), ("QUOTA.RESET a", ["a"]), ("QUOTA.OVERRIDE a r LIMIT 1 day", ["a"])]
EMPTIES = [("RL.REFUND once 1", "once"), ("RL.BLOCK blocked 0", "blocked")]
SILENT = [  # denials, looks, replays, refunds of nothing, configuration
    "RL.ALLOW full 1 1h", "RL.ALLOW k 10 1h PEEK", "RL.PEEK k 10 1h", "RL.REFUND new 1", "RL.BLOCK new 0",
    "RL.TAKE t s COST 11", "RL.ACQUIRE l 1 1h", "RL.RELEASE l none", "RL.INFO k", "QUOTA.CONSUME a r 1000",
    "QUOTA.CONSUME a r 5 ID known", "QUOTA.CHECK a r 1", "QUOTA.INFO a", "RL.POLICY OVERRIDE pol s 1 1s",
    "QUOTA.PLAN SET plan r LIMIT 100 day"]


@pytest.mark.parametrize("line, keys", CHANGES, ids=[line for line, _ in CHANGES])
def test_a_change_says_its_command(watched, quota, line, keys):
    quota(line)
    assert watched[2].so_far() == [(line.split()[0].lower(), key) for key in keys]


@pytest.mark.parametrize("line, key", EMPTIES)
def test_a_key_that_empties_says_del_behind_it(watched, quota, line, key):
    quota(line)
    assert watched[2].so_far() == [(line.split()[0].lower(), key), ("del", key)]


@pytest.mark.parametrize("line", SILENT)
def test_what_changes_no_key_says_nothing(watched, quota, line):
    quota(line)
    assert watched[2].so_far() == []


def test_scripts_and_queues_say_the_command_inside(watched, quota):
    quota.client.eval("return redis.call('RL.ALLOW', KEYS[1], 10, '1h')", 1, "k")
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", 10, "1h")
        multi.execute_command("QUOTA.CONSUME", "a", "r", 1)
        multi.execute()
    assert watched[2].so_far() == [("rl.allow", "k"), ("rl.allow", "k"), ("quota.consume", "a")]


def test_a_lease_that_was_waited_for_says_that_it_was_acquired(watched, quota):
    _, server, events = watched
    waiter = Waiter(server, "RL.ACQUIRE l 1 1h ID next WAIT 1h")
    quota("RL.RELEASE l one")
    waiter.done()
    said = events.so_far()
    assert ("rl.release", "l") in said and ("rl.acquire", "l") in said


def test_a_place_that_is_left_says_so_under_the_command_that_took_it(watched, quota):
    _, server, events = watched
    quota("RL.ALLOW w 1 1h")
    waiter = Waiter(server, "RL.ALLOW w 1 1h WAIT 9h")
    events.so_far()
    quota("CLIENT KILL ID", waiter.id)
    wait_until(lambda: quota.client.info("quota")["quota_waiting"] == 0, "the client still waits")
    assert set(events.so_far()) <= {("rl.allow", "w")}


def test_a_replica_and_a_reload_say_nothing_of_their_own(watched, quota):
    _, server, events = watched
    follower = Server().start()
    try:
        follower.follow(server)
        of_follower = Events(follower)
        quota("RL.ALLOW k 10 1h")
        quota("QUOTA.CONSUME a r 1")
        caught_up(server, follower)
        assert follower.digest() == server.digest()
        assert [event for event in iter_until_quiet(of_follower)] == []
        of_follower.close()
    finally:
        follower.close()
    events.so_far()
    quota("DEBUG LOADAOF")
    assert [event for event in events.so_far() if "." in event[0]] == []


def iter_until_quiet(events):
    """A replica takes no mark."""
    while message := events.subscription.get_message(timeout=0.2):
        yield message["channel"]


def test_events_are_off_unless_they_are_asked_for(watched, quota):
    _, server, events = watched
    server.client().config_set("notify-keyspace-events", "KE$g")
    quota("RL.ALLOW k 10 1h")
    assert events.so_far() == []
    server.client().config_set("notify-keyspace-events", "KEAd")
