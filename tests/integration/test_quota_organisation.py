"""Organisations: accounts above accounts. What one uses has to be admitted at every level, and counts at each."""

import collections
import random

import pytest
import redis
from redis.crc import key_slot

from conftest import NOON_MS, Quota, as_map, assert_equal_digests, paged, text
from servers import caught_up
from test_cluster import Cluster

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest.fixture
def family(accounts):
    """firm ◀── team ◀── user, other."""
    accounts("QUOTA.PLAN SET firm api LIMIT 100 day")
    accounts("QUOTA.PLAN SET team api LIMIT 10 day LIMIT 4 1h")
    accounts("QUOTA.PLAN SET user api LIMIT 6 day")
    accounts(f"QUOTA.OPEN firm firm ANCHOR {NOON_MS}")
    accounts(f"QUOTA.OPEN team team ANCHOR {NOON_MS} PARENT firm")
    accounts(f"QUOTA.OPEN user user ANCHOR {NOON_MS} PARENT team")
    accounts(f"QUOTA.OPEN other user ANCHOR {NOON_MS}")
    accounts("QUOTA.PARENT other team")
    return accounts


def used(quota, account, resource="api"):
    return quota.map(f"QUOTA.INFO {account} {resource}")["rules"][0]["used"]


def members(quota, pool, *words):
    return {one["member"]: one["used"] for one in paged(quota, " ".join(("QUOTA.MEMBERS", pool, *words)))}


# ---- what is answered -----------------------------------------------------------------------------------------

STREAMS = {
    "the verdict's rule is 100 x level + index": [
        ("CONSUME user api 3", [3, 4, 1, 0, HOUR_MS, 101]), ("CONSUME user api 2", [0, 4, 1, HOUR_MS, HOUR_MS, 101]),
        ("CONSUME other api 2 UPTO", [1, 4, 0, 0, HOUR_MS, 101]), ("+1h", 0),
        ("CONSUME user api 3", [3, 6, 0, 0, 23 * HOUR_MS, 0]), ("CONSUME user api 1", [0, 6, 0, 23 * HOUR_MS,
                                                                                      23 * HOUR_MS, 0]),
        ("CONSUME other api 1", [1, 4, 0, 0, HOUR_MS, 101]), ("+1h", 0),
        ("CONSUME other api 3", [0, 10, 2, 22 * HOUR_MS, 22 * HOUR_MS, 100]),
        ("CONSUME other api 3 FORCE", [3, 10, 0, 0, 22 * HOUR_MS, 100])],
    "retries are charged once": [
        ("CONSUME user api 3 ID a", [3, 4, 1, 0, HOUR_MS, 101]),
        ("CONSUME user api 3 ID a", [3, 4, 1, 0, HOUR_MS, 101]),
        ("CONSUME user api 2 ID a", "IDCONFLICT"), ("REFUND user api 2 OF a", [2, 0, 3]),
        ("REFUND user api 2 OF a", "REFUNDEXCEEDS"), ("REFUND user ALL OF a", [1, 0, 4]),
        ("CONSUME user api 4", [4, 4, 0, 0, HOUR_MS, 101])],
    "a reservation is held and posted at every level": [
        ("RESERVE user h api 3 TTL 1h", [3, 4, 1, 0, HOUR_MS, 101]),
        ("CONSUME other api 2", [0, 4, 1, HOUR_MS, HOUR_MS, 101]), ("COMMIT user h 1", [1, 2, 3]),
        ("COMMIT user h 1", [1, 2, 3]), ("CONSUME other api 2", [2, 4, 1, 0, HOUR_MS, 101]),
        ("RESERVE other h api 1 TTL 10m", [1, 4, 0, 0, HOUR_MS, 101]), ("EXTEND other h 30m", NOON_MS + HOUR_MS // 2),
        ("+20m", 0), ("CONSUME user api 1", [0, 4, 0, HOUR_MS // 6, 2 * HOUR_MS // 3, 101]),
        ("+10m", 0), ("CONSUME user api 1", [1, 4, 0, 0, HOUR_MS // 2, 101]),
        ("RELEASE other h", "RESOLVED"), ("HOLDS team", [None, []])],
    "a level counts by its override, also what is posted or given back later": [
        ("OVERRIDE firm api COST 30", b"OK"), ("RESERVE user h api 2 TTL 10m", [2, 4, 2, 0, HOUR_MS, 101]), ("+10m", 0),
        ("COMMIT user h 2 FORCE", [2, 0, 2]),
        ("CONSUME other api 2", [0, 100, 40, DAY_MS - 600_000, DAY_MS - 600_000, 200]),
        ("OVERRIDE firm seats ONLY LIMIT 5 day", b"OK"),
        ("CONSUME user seats 3", [3, 5, 2, 0, DAY_MS - 600_000, 200]), ("REFUND user seats 1", [1, 0, 3])],
    "who refuses is named": [
        ("SUSPEND firm", b"OK"), ("CONSUME user api 1", "SUSPENDED 'firm'"),
        ("RESERVE user h api 1 TTL 1h", "SUSPENDED 'firm'"),
        ("CHECK user api 1", "SUSPENDED 'firm'"), ("MCONSUME user 1 api 1", "SUSPENDED 'firm'"), ("RESUME firm", b"OK"),
        ("CLOSE team", b"OK"), ("CONSUME user api 1", "NOACCOUNT 'team' is closed"), ("OPEN team team", b"OK"),
        ("CONSUME user api 1", [1, 4, 3, 0, HOUR_MS, 101])],
    "links have to make sense": [
        ("PARENT user user", "SAMEACCOUNT"), ("PARENT firm user", "SAMEACCOUNT 'firm' is above"),
        ("PARENT team user", "SAMEACCOUNT"), ("PARENT user nowhere", "NOACCOUNT 'nowhere'"),
        ("PARENT nowhere team", "NOACCOUNT 'nowhere'"), ("OPEN user user PARENT firm", "the account is open already"),
        ("OPEN user user PARENT team", b"OK"), ("OPEN new user PARENT nowhere", "NOACCOUNT 'nowhere'"),
        ("INFO new", "NOACCOUNT 'new'"), ("PARENT user firm", b"OK"), ("MEMBERS team", [None, [["other", 1, 0, -1]]]),
        ("DETACH user", b"OK"), ("DETACH user", b"OK"), ("CONSUME user api 5", [5, 6, 1, 0, DAY_MS, 0]),
        ("DETACH nowhere", "NOACCOUNT")],
    "weights": [
        ("WEIGHT team user 3", b"OK"), ("MEMBERS team COUNT 1", [b"1", [["user", 3, 0, -1]]]),
        ("MEMBERS team RESOURCE api", [None, [["user", 3, 0, -1], ["other", 1, 0, -1]]]),
        ("WEIGHT team firm 3", "NOSUCHID 'firm' is no member"), ("WEIGHT team user 0", "weight"),
        ("WEIGHT team user 1001", "weight"), ("MEMBERS team RESOURCE none", "NORESOURCE"),
        ("MEMBERS nowhere", "NOACCOUNT"), ("MEMBERS team AFTER x", "after 'x'")],
    "closing takes a member out, opening brings it back with its next charge": [
        ("CONSUME user api 2", [2, 4, 2, 0, HOUR_MS, 101]), ("CLOSE user", b"OK"),
        ("MEMBERS team", [None, [["other", 1, 0, -1]]]), ("OPEN user user", b"OK"),
        ("CONSUME user api 1", [1, 4, 1, 0, HOUR_MS, 101]),
        ("MEMBERS team", [None, [["user", 1, 3, -1], ["other", 1, 0, -1]]])],
}


def plain(reply):
    """Members as [member, weight, used, share]."""
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], list):
        return [reply[0], [list(as_map(one).values()) for one in reply[1]]]
    return reply


@pytest.mark.parametrize("name", STREAMS)
def test_streams(family, name):
    for line, expected in STREAMS[name]:
        if line[0] == "+":
            family("QUOTA.CLOCK ADVANCE", line[1:])
        elif isinstance(expected, str):
            assert expected in family.error(f"QUOTA.{line}"), line
        else:
            reply = family(f"QUOTA.{line}")
            assert (plain(reply) if line.startswith(("MEMBERS", "HOLDS")) else reply) == expected, line


def test_info_shows_what_only_a_plan_above_knows(family):
    """CONSUME admits it by the rules above, so INFO has them, by name and in the whole."""
    family("QUOTA.PLAN SET team extra LIMIT 40 day")
    assert family("QUOTA.CONSUME user extra 3")[:3] == [3, 40, 37]
    shown = family.map("QUOTA.INFO user extra")
    assert [(rule["account"], rule["limit"]) for rule in shown["rules"]] == [("team", 40)]
    assert (shown["credits"], shown["overage"], shown["warned"]) == (0, 0, [])
    assert family.map("QUOTA.INFO user")["resources"]["extra"] == shown
    assert family.error("QUOTA.INFO user nothing").startswith("NORESOURCE")


def test_info_shows_the_rules_above(family):
    family("QUOTA.CONSUME user api 3")
    shown = family.map("QUOTA.INFO user")
    assert shown["parent"] == "team" and family.map("QUOTA.INFO firm")["parent"] is None
    rules = shown["resources"]["api"]["rules"]
    assert [(rule["rule"], rule.get("account"), rule["used"]) for rule in rules] == [
        (0, None, 3), (100, "team", 3), (101, "team", 3), (200, "firm", 3)]
    assert [note["act"] for note in family.map("QUOTA.INFO other")["notes"]] == ["parent"]
    assert family.map("QUOTA.INFO user api")["rules"] == rules


def test_a_deleted_parent_never_admits(family, primary):
    family("QUOTA.CONSUME user api 2 ID a")
    family("QUOTA.RESERVE user h api 1 TTL 1h")
    primary.client().delete("team")
    for line in ("CONSUME user api 1", "RESERVE user i api 1 TTL 1h", "MCONSUME user 1 api 1", "CHECK user api 1"):
        assert family.error(f"QUOTA.{line}").startswith("NOACCOUNT 'team'"), line
    assert family("QUOTA.CONSUME user api 2 ID a")[0] == 2  # a retry is answered
    assert family("QUOTA.REFUND user api 2 OF a") == [2, 0, 5]  # the level is skipped
    assert family("QUOTA.COMMIT user h") == [1, 0, 5]
    assert used(family, "firm") == 1
    family("QUOTA.DETACH user")
    assert family("QUOTA.CONSUME user api 1")[0] == 1


def test_another_kind_of_key_in_the_parents_place(family, primary):
    primary.client().delete("team")
    primary.client().set("team", "text")
    for line in ("CONSUME user api 1", "INFO user", "REFUND user api 1", "PARENT user team"):
        assert family.error(f"QUOTA.{line}").startswith("WRONGTYPE"), line
    assert family("QUOTA.DETACH user") == b"OK"
    assert primary.client().get("team") == b"text"
    primary.client().delete("team")


def test_levels_are_bounded_whichever_way_they_are_linked(accounts):
    accounts("QUOTA.PLAN SET p api LIMIT 100 day")
    for name in "abcdefghi":
        accounts(f"QUOTA.OPEN {name} p")
    for below, above in zip("abcdefg", "bcdefgh"):
        accounts(f"QUOTA.PARENT {below} {above}")
    assert accounts("QUOTA.CONSUME a api 1") == [1, 100, 99, 0, DAY_MS, 0]
    assert accounts.error("QUOTA.PARENT h i").startswith("LIMITED an organisation has at most 8 levels")
    assert accounts.error("QUOTA.PARENT i a").startswith("LIMITED")
    assert accounts("QUOTA.PARENT i b") == b"OK"
    assert [used(accounts, name) for name in "abhi"] == [1, 1, 1, 0]


def test_a_loop_made_by_renaming_is_refused(family, primary):
    """No command makes one, but RENAME moves keys without knowing of parents."""
    client = primary.client()
    client.rename("user", "was-user")
    client.rename("firm", "user")
    client.rename("team", "firm")  # firm's parent is firm
    assert family.error("QUOTA.CONSUME firm api 1").startswith("SAMEACCOUNT 'firm' is above itself")
    assert family("QUOTA.DETACH firm") == b"OK"
    assert family("QUOTA.CONSUME firm api 1")[0] == 1


def test_a_member_that_is_dumped_and_restored_mints_nothing(family, primary):
    client = primary.client()
    family("QUOTA.CONSUME user api 2 ID a")
    family("QUOTA.RESERVE user h api 1 TTL 1h")
    blob = client.dump("user")
    family("QUOTA.REFUND user ALL OF a")
    client.restore("user", 0, blob, replace=True)  # as it was before the refund
    assert family("QUOTA.REFUND user ALL OF a") == [2, 0, 3]
    assert used(family, "team") == 0 and members(family, "team")["user"] == 0
    client.restore("copy", 0, blob)
    assert family("QUOTA.RELEASE copy h") == [0, 1, 4]  # the original holds its unit still
    assert family("QUOTA.CHECK other api 4")[0][0] == 0
    assert family("QUOTA.COMMIT user h")[0] == 1
    assert used(family, "team") == 1


def test_api_keys_and_levels(family):
    digest = 64 * "a"
    family(f"QUOTA.APIKEY SET user {digest} RATE 2 1m")
    assert family(f"QUOTA.CONSUME user api 2 APIKEY {digest}") == [2, 2, 0, 0, 60000, 90]
    assert family(f"QUOTA.CONSUME user api 1 APIKEY {digest}") == [0, 2, 0, 30000, 60000, 90]
    assert used(family, "team") == 2


def test_denials_are_the_levels_own(family):
    family("QUOTA.CONSUME user api 4")
    family("QUOTA.CONSUME other api 1")
    found = [as_map(one) for one in family("QUOTA.VIOLATIONS")]
    assert {(one["key"], one["rule"], one["text"]) for one in found} >= {("team", 1, "LIMIT 4 1h")}
    family("QUOTA.VIOLATIONS RESET")


# ---- replicas, reloads, rights --------------------------------------------------------------------------------

def test_effects_of_all_levels_are_one_command(family, primary, replica):
    before = primary.client().info("replication")["master_repl_offset"]
    family("QUOTA.CONSUME user api 1")
    caught_up(primary, replica)
    assert primary.client().info("replication")["master_repl_offset"] - before < 400
    assert_equal_digests(primary, replica)
    assert Quota(replica.client())("QUOTA.CHECK user api 1")[0][0] == 1  # it reads, too


def test_rights_on_the_child_suffice(family, primary):
    client = primary.client()
    client.execute_command("ACL", "SETUSER", "app", "on", "nopass", "~user", "+quota.consume", "+quota.refund",
                           "+quota.parent", "+quota.info")
    app = Quota(redis.Redis(port=primary.port, username="app", password=""))
    assert app("QUOTA.CONSUME user api 1 ID a")[0] == 1
    assert app("QUOTA.REFUND user api 1 OF a")[0] == 1
    for line in ("QUOTA.PARENT user firm", "QUOTA.INFO team"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            app(line)
    client.execute_command("ACL", "DELUSER", "app")


def test_keys_are_declared(quota):
    assert quota.raw("COMMAND GETKEYS QUOTA.PARENT a b") == [b"a", b"b"]
    assert quota.raw("COMMAND GETKEYS QUOTA.OPEN a p ZONE UTC PARENT b") == [b"a", b"b"]
    assert quota.raw("COMMAND GETKEYS QUOTA.OPEN a p") == [b"a"]
    assert quota.raw("COMMAND GETKEYS QUOTA.DETACH a") == [b"a"]


# ---- against a plain count ------------------------------------------------------------------------------------

class Node:
    """One account of the model: LIMITs of one day each, and what is held and used. All cycles begin at noon."""

    def __init__(self, limit, parent=None):
        self.limit, self.parent, self.used, self.held = limit, parent, 0, 0

    def left(self):
        return self.limit - self.used - self.held

    def levels(self):
        return [self] + (self.parent.levels() if self.parent else [])


class Model:
    """Consumptions and reservations with the levels that they were made at."""

    def __init__(self, names):
        self.nodes = {}
        for name, (limit, parent) in names.items():
            self.nodes[name] = Node(limit, self.nodes.get(parent))
        self.taken, self.holds = {}, {}

    def consume(self, name, amount, identity, upto):
        levels = self.nodes[name].levels()
        least = min(node.left() for node in levels)
        granted = amount if amount <= least else max(least, 0) if upto else 0
        for node in levels:
            node.used += granted
        if granted:
            self.taken[name, identity] = [granted, levels]
        return granted

    def reserve(self, name, amount, identity):
        levels = self.nodes[name].levels()
        if amount > min(node.left() for node in levels):
            return 0
        for node in levels:
            node.held += amount
        self.holds[name, identity] = amount, levels
        return amount

    def resolve(self, name, identity, posted):
        amount, levels = self.holds.pop((name, identity))
        for node in levels:
            node.held -= amount
            node.used += posted
        if posted:
            self.taken[name, identity] = [posted, levels]

    def refund(self, name, identity, amount):
        taken = self.taken[name, identity]
        taken[0] -= amount
        for node in taken[1]:
            node.used -= amount


TREE = {"firm": (60, None), "red": (40, "firm"), "blue": (35, "firm"), "r1": (20, "red"), "r2": (30, "red"),
        "b1": (30, "blue"), "b2": (9, "blue")}
LEAVES = "r1 r2 b1 b2".split()


class Run:
    """Random operations on the server and the model, and what must be true after each."""

    def __init__(self, quota, seed):
        self.quota, self.random, self.model = quota, random.Random(seed), Model(TREE)
        self.moved_to = {leaf: TREE[leaf][1] for leaf in LEAVES}

    def step(self, number):
        name, amount, identity = self.random.choice(LEAVES), self.random.randint(1, 6), f"i{number}"
        kind = self.random.choice("consume consume upto reserve commit release refund move".split())
        getattr(self, kind)(name, amount, identity)

    def consume(self, name, amount, identity, mode=""):
        granted = self.quota(f"QUOTA.CONSUME {name} api {amount} ID {identity} {mode}")[0]
        assert granted == self.model.consume(name, amount, identity, mode == "UPTO")

    def upto(self, name, amount, identity):
        self.consume(name, amount, identity, "UPTO")

    def reserve(self, name, amount, identity):
        granted = self.quota(f"QUOTA.RESERVE {name} {identity} api {amount} TTL 20h")[0]
        assert granted == self.model.reserve(name, amount, identity)

    def some(self, of, name):
        found = [identity for owner, identity in of if owner == name]
        return self.random.choice(found) if found else None

    def commit(self, name, amount, _):
        identity = self.some(self.model.holds, name)
        if identity:
            posted = min(amount, self.model.holds[name, identity][0])
            assert self.quota(f"QUOTA.COMMIT {name} {identity} {posted}")[0] == posted
            self.model.resolve(name, identity, posted)

    def release(self, name, _, __):
        identity = self.some(self.model.holds, name)
        if identity:
            self.quota(f"QUOTA.RELEASE {name} {identity}")
            self.model.resolve(name, identity, 0)

    def refund(self, name, amount, _):
        identity = self.some(self.model.taken, name)
        if identity and self.model.taken[name, identity][0] > 0:
            back = min(amount, self.model.taken[name, identity][0])
            assert self.quota(f"QUOTA.REFUND {name} api {back} OF {identity}")[:2] == [back, 0]
            self.model.refund(name, identity, back)

    def move(self, name, _, __):
        parent = self.random.choice(["red", "blue"])
        self.quota(f"QUOTA.PARENT {name} {parent}")
        self.model.nodes[name].parent = self.model.nodes[parent]
        self.moved_to[name] = parent

    def check(self):
        for name, node in self.model.nodes.items():
            rule = self.quota.map(f"QUOTA.INFO {name} api")["rules"][0]
            assert (rule["used"], rule["held"]) == (node.used, node.held), name
            assert 0 <= node.used + node.held <= node.limit
        for pool in "red", "blue", "firm":
            shown = members(self.quota, pool)
            leaves = {leaf for leaf, parent in self.moved_to.items() if parent == pool}
            assert set(shown) == (leaves if pool != "firm" else {"red", "blue"})


@pytest.mark.parametrize("seed", range(4))
def test_random_families(accounts, seed):
    for name, (limit, parent) in TREE.items():
        accounts(f"QUOTA.PLAN SET {name} api LIMIT {limit} day")
        accounts(f"QUOTA.OPEN {name} {name} ANCHOR {NOON_MS} {f'PARENT {parent}' if parent else ''}")
    run = Run(accounts, seed)
    for number in range(400):
        run.step(number)
        if number % 10 == 0:
            run.check()
    # What the firm has used is what its members have.
    assert sum(members(accounts, "firm").values()) == used(accounts, "firm")


# ---- on a cluster ---------------------------------------------------------------------------------------------

@pytest.fixture
def cluster():
    cluster = Cluster()
    try:
        cluster.start()
        cluster.on_primaries("QUOTA.PLAN SET p api LIMIT 10 day")
        yield cluster
    finally:
        cluster.close()


def owner_of(cluster, key):
    return next(node for node in cluster.primaries if answers(node, key))


def answers(node, key):
    try:
        node.client().exists(key)
        return True
    except redis.ResponseError:
        return False


def move_slot(source, target, slot, keys):
    """As operators' tools do: key by key. `keys` in the order in which they go; each step is yielded."""
    ids = {node: text(node.client().execute_command("CLUSTER", "MYID")) for node in (source, target)}
    target.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    yield "open"
    for key in keys:
        source.client().execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        yield key
    for node in (target, source):
        node.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    yield "moved"


@pytest.mark.parametrize("order", ["child first", "parent first"])
def test_a_family_in_motion(cluster, order):
    """Half a family is on one node: no unit is admitted there, and none is lost."""
    child, parent = "{f}child", "{f}parent"
    quota = Quota(cluster.client())
    quota(f"QUOTA.OPEN {parent} p")
    quota(f"QUOTA.OPEN {child} p PARENT {parent}")
    assert quota(f"QUOTA.CONSUME {child} api 1 ID before")[0] == 1
    source = owner_of(cluster, child)
    target = next(node for node in cluster.primaries if node is not source)
    keys = [child, parent] if order == "child first" else [parent, child]
    replies = {}
    for step in move_slot(source, target, key_slot(b"{f}"), keys):
        for name, node in (("source", source), ("target", target)):
            client = node.client()
            with client.pipeline(transaction=False) as both:
                both.execute_command("ASKING") if name == "target" else both.ping()
                both.execute_command("QUOTA.CONSUME", child, "api", 1, "ID", "during")
                replies[step, name] = both.execute(raise_on_error=False)[-1]
    first = keys[0]
    if order == "parent first":
        assert "'{f}parent', which is above the account, is moving" in str(replies[first, "source"])
        assert isinstance(replies[first, "source"], redis.exceptions.TryAgainError)
        assert "'{f}child' was never opened" in str(replies[first, "target"])  # it has not come yet
    else:
        assert isinstance(replies[first, "source"], redis.exceptions.AskError)
        assert isinstance(replies[first, "target"], redis.exceptions.TryAgainError)
    moved = Quota(target.client())
    assert moved(f"QUOTA.CONSUME {child} api 1 ID during")[0] == 1
    assert moved.map(f"QUOTA.INFO {parent} api")["rules"][0]["used"] == 2


def test_keys_of_another_slot_are_never_parents(cluster):
    quota = Quota(cluster.client())
    quota("QUOTA.OPEN {a}parent p")
    quota("QUOTA.OPEN {a}child p PARENT {a}parent")
    quota("QUOTA.OPEN {b}other p")
    with pytest.raises(redis.ResponseError, match="don't hash to the same slot"):
        owner_of(cluster, "{a}child").client().execute_command("QUOTA.PARENT", "{a}child", "{b}other")
    blob = owner_of(cluster, "{a}child").client().dump("{a}child")
    # A dump may be restored anywhere; there its parent is not.
    home = owner_of(cluster, "{a}child")
    names = ("{x%d}child" % number for number in range(10_000))
    stray = next(name for name in names if answers(home, name) and key_slot(name.encode()) != key_slot(b"{a}"))
    home.client().restore(stray, 0, blob)
    with pytest.raises(redis.ResponseError, match="NOACCOUNT '{a}parent'"):
        home.client().execute_command("QUOTA.CONSUME", stray, "api", 1)
    assert home.client().execute_command("QUOTA.DETACH", stray) == b"OK"
    assert home.client().execute_command("QUOTA.CONSUME", stray, "api", 1)[0] == 1


# ---- many members ---------------------------------------------------------------------------------------------

def test_ten_thousand_members(accounts, primary):
    """Pages show each once; the next one to join finds no room while all were charged, and room a cycle later."""
    accounts("QUOTA.PLAN SET pool api LIMIT 1000000 day")
    accounts("QUOTA.PLAN SET p api LIMIT 1000000 day")
    accounts(f"QUOTA.OPEN pool pool ANCHOR {NOON_MS}")
    with primary.client().pipeline(transaction=False) as many:
        for number in range(10_000):
            many.execute_command("QUOTA.OPEN", f"m{number}", "p", "PARENT", "pool")
            many.execute_command("QUOTA.CONSUME", f"m{number}", "api", 1)
        many.execute()
    assert collections.Counter(members(accounts, "pool").values()) == {1: 10_000}
    assert accounts.error("QUOTA.OPEN late p PARENT pool").startswith("LIMITED 'pool' has 10000 members")
    accounts.advance("1d")
    accounts("QUOTA.CONSUME m0 api 1")
    accounts.advance("1d")
    assert accounts("QUOTA.OPEN late p PARENT pool") == b"OK"
    assert "m1" not in members(accounts, "pool") and "m0" in members(accounts, "pool")
    assert accounts("QUOTA.CONSUME m1 api 1")[0] == 1  # rejoins: another one makes room
    assert "m1" in members(accounts, "pool") and len(members(accounts, "pool")) == 10_000


# ---- pools that share -----------------------------------------------------------------------------------------

@pytest.fixture
def pool(accounts):
    """Three members of a pool that shares 100 a day."""
    accounts("QUOTA.PLAN SET pool api LIMIT 100 day SHARE EQUAL")
    accounts("QUOTA.PLAN SET p api LIMIT -1 day")
    accounts(f"QUOTA.OPEN pool pool ANCHOR {NOON_MS}")
    for name in "abc":
        accounts(f"QUOTA.OPEN {name} p PARENT pool")
    return accounts


def shares(quota, pool="pool"):
    return {one["member"]: one["share"] for one in paged(quota, f"QUOTA.MEMBERS {pool}")}


def test_each_member_has_its_share(pool):
    assert shares(pool) == {"a": 34, "b": 33, "c": 33}  # as they would be made now
    assert pool("QUOTA.CONSUME a api 30") == [30, 34, 4, 0, DAY_MS, 199]
    assert pool("QUOTA.CONSUME a api 5") == [0, 34, 4, DAY_MS, DAY_MS, 199]
    assert pool("QUOTA.CONSUME a api 5 UPTO") == [4, 34, 0, 0, DAY_MS, 199]
    assert pool.map("QUOTA.INFO a api")["rules"][-1] == {
        "rule": 199, "kind": "SHARE", "period": "", "limit": 34, "used": 34, "held": 0, "remaining": 0,
        "start": NOON_MS, "end": NOON_MS + DAY_MS, "rolled": 0, "account": "pool"}
    shown = as_map(pool("QUOTA.VIOLATIONS COUNT 1")[0])
    assert (shown["key"], shown["rule"], shown["text"]) == ("pool", 99, "SHARE EQUAL")
    pool("QUOTA.VIOLATIONS RESET")


def test_what_a_member_holds_counts_in_the_cycles_of_another_plan(pool):
    """The reservation was made in a day; the hour that has begun before it is the pool's longest cycle now."""
    assert pool("QUOTA.CONSUME a api 1")[0] == 1
    pool("QUOTA.CLOCK ADVANCE 1h")
    assert pool("QUOTA.RESERVE a h api 6 TTL 50m")[0] == 6
    pool("QUOTA.PLAN SET pool api LIMIT 30 hour SHARE EQUAL")
    assert pool("QUOTA.CONSUME a api 1")[:3] == [1, 10, 3]
    assert pool("QUOTA.CHECK a api 4")[0][0] == 0
    digest = pool("DEBUG DIGEST-VALUE pool")
    pool("DEBUG RELOAD")
    assert pool("QUOTA.CHECK a api 4")[0][:3] == [0, 10, 3]
    assert pool("DEBUG DIGEST-VALUE pool") == digest
    assert pool("QUOTA.COMMIT a h 2") == [2, 4, 7]
    assert pool("QUOTA.CHECK a api 7")[0][0] == 7


def test_shares_by_words(pool):
    assert pool.map("QUOTA.PLAN GET pool")["resources"] == {"api": {"LIMIT 100 day": "SHARE EQUAL"}}
    pool("QUOTA.WEIGHT pool a 2")
    assert shares(pool) == {"a": 50, "b": 25, "c": 25}
    pool("QUOTA.OVERRIDE pool api SHARE FIRST")
    assert shares(pool) == {"a": -1, "b": -1, "c": -1}
    assert pool("QUOTA.CONSUME c api 90")[0] == 90
    pool("QUOTA.OVERRIDE pool api LIFT")
    assert pool("QUOTA.CONSUME c api 1")[0] == 0
    assert as_map(pool("QUOTA.PLAN CHECK pool api LIMIT 100 day"))["dropped"] == ["SHARE"]
    assert "FIRST, EQUAL, FAIR" in pool.error("QUOTA.PLAN SET pool api LIMIT 100 day SHARE ALIKE")
    assert pool.error("QUOTA.PLAN SET pool api LIMIT 100 day SHARE").startswith("how is missing")


def test_fair_shares_follow_what_was_used(pool):
    pool("QUOTA.PLAN SET pool api LIMIT 120 day SHARE FAIR")
    for name, amount in (("a", 40), ("b", 30), ("c", 10)):
        assert pool(f"QUOTA.CONSUME {name} api {amount}")[0] == amount
    pool.advance("1d")
    assert shares(pool) == {"a": 80, "b": 30, "c": 10}
    assert pool("QUOTA.CONSUME a api 80") == [80, 80, 0, 0, DAY_MS, 199]
    pool("QUOTA.OPEN d p PARENT pool")
    assert pool("QUOTA.CONSUME d api 11") == [0, 10, 10, DAY_MS, DAY_MS, 199]  # 40 unused, for four


def test_shares_of_ten_thousand(pool, primary):
    """They are made with the first charge of a cycle; then a decision looks at one member alone."""
    client = primary.client()
    pool("QUOTA.PLAN SET pool api LIMIT 1000000 day SHARE FAIR")
    with client.pipeline(transaction=False) as many:
        for number in range(9_997):
            many.execute_command("QUOTA.OPEN", f"m{number}", "p", "PARENT", "pool")
            many.execute_command("QUOTA.CONSUME", f"m{number}", "api", number % 50)
        many.execute(raise_on_error=False)
    pool.advance("1d")
    expected = shares(pool)
    assert pool("QUOTA.CONSUME m7 api 1")[0] == 1
    assert shares(pool) == expected and sum(expected.values()) == 1_000_000
