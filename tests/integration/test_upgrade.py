"""Two versions of the module at work together: which order of upgrading is right, and what stops a wrong one.

    older    the build under test: quota.so
    newer    the same sources, compiled once more: every encoding it writes is one higher, it reads the former too

                          reads files and streams of
                          older     newer
    an older server       yes       no: refused, said in the log
    a newer server        yes       yes

The newer build is made of a copy of the sources by EDITS, as a programmer would who changes an encoding. Digests see
encodings, so those of different versions are not compared: answers are.
"""

import os
import re
import shutil
import subprocess

import pytest
import redis

import servers
from conftest import NOON, Quota
from servers import MODULE, ROOT, Server, caught_up, rewrite_aof, wait_until, writes_no_file
from test_failover import Worker

# Files, what is looked for, and what it becomes.
EDITS = [
    ("include/quota/*/*.h", r"(\w*ENCODING_NEWEST) = \w+", r"\1 = 2"),
    ("src/rate/*.c", r"\.decode = \{\[\w+\] = decode\}", r".decode = {[1] = decode, [2] = decode}"),
    ("include/quota/rate/limiter_codec.h", r"ENCODING_NEWEST = 2", "ENCODING_NEWEST = 4"),  # it has two by now
    ("include/quota/rate/limiter_codec.h", r"ENCODING_LIMITER = 1", "ENCODING_LIMITER = 3"),
    ("include/quota/rate/limiter_codec.h", r"ENCODING_SLEEPING = 2", "ENCODING_SLEEPING = 4"),
    ("include/quota/account/change.h", r"(ACCOUNT_ENCODING_NEWEST) = 2", r"\1 = 6"),  # it has five
    ("src/account/account_codec.c", r"\[ACCOUNT_ENCODING_ORGANISATIONS\] = (\w+)", r"\g<0>, [6] = \1"),
    ("src/account/change.c", r"\[ACCOUNT_ENCODING_ORGANISATIONS\] = (CHANGE_KINDS_END - 1)", r"\g<0>, [6] = \1"),
    ("include/quota/account/plan.h", r"(PLAN_ENCODING_NEWEST) = 2", r"\1 = 7"),  # it has three beside the first
    ("include/quota/account/plan.h", r"(PLAN_ENCODING_ENTRIES) = 2", r"\1 = 5"),
    ("include/quota/account/plan.h", r"(PLAN_ENCODING_CREDITS) = 3", r"\1 = 6"),
    ("include/quota/account/plan.h", r"(PLAN_ENCODING_ROLLOVER) = 4", r"\1 = 7"),
    ("src/account/plan.c",
     r"if \(format_read_head\(&plan_format, &cursor, NULL\) != PLAN_ENCODING_PLAN\) (return take_newest\(bytes\);)",
     r"uint8_t encoding = format_read_head(&plan_format, &cursor, NULL);\n"
     r"if (encoding >= 2 && encoding <= 4) {\n"
     r"    sink_raw(&newest, bytes.data, bytes.size);\n"
     r"    newest.data[0] = (char)(encoding + 3);\n"
     r"    const struct plan *raised = take_newest((struct bytes){newest.data, newest.size});\n"
     r"    sink_free(&newest);\n"
     r"    return raised;\n"
     r"}\n"
     r"if (encoding != PLAN_ENCODING_PLAN) \1"),
    ("src/rate/limiter_codec.c", r"\[ENCODING_SLEEPING\] = decode_sleeping",
     r"\g<0>, [1] = decode_first, [2] = decode_sleeping"),
    ("src/rate/limiter_codec.c", r"encoding == encoding_needed",
     "(encoding < 3 ? encoding + 2 : encoding) == encoding_needed"),
    ("module/value_type.c", r"(#define FRAME_ENCODING +)0", r"\g<1>1"),
    ("module/registry.c", r"(#define AUX_VERSION +)4", r"\g<1>5"),
]
REFUSED_FILE = "policies and plans of a newer version, or damaged: the file is refused"
REFUSED_CHANGE = "refused to repeat a change"
NEWER_CHANGE = "a newer version of this module wrote it): stopping, so that nothing is left out"
ALARMS_OF_A_REFUSAL = ("sending an error to its", "refused to repeat", "Bad file format")

FILL = [
    "QUOTA.PLAN SET p free LIMIT -1 month LIMIT 1000000 day WARN 80", "QUOTA.PLAN SET p r LIMIT 100 day RATE 1000 1s",
    "QUOTA.OPEN a p ZONE Europe/Berlin", "QUOTA.CONSUME a r 5 ID x", "QUOTA.RESERVE a hold r 3 TTL 1h",
    "QUOTA.OVERRIDE a r LIMIT 90 day RATE 1000 1s", "RL.ALLOW k 10 1s 100 1h LOG 5 1m COST 2", "RL.BLOCK blocked 1h",
    "RL.ACQUIRE l 5 1h ID me COST 2", "RL.BREAKER b FAILURES 3", "RL.BREAKER b REPORT fail", "RL.ADAPT d 10 100",
    "RL.ADAPT d REPORT LATENCY 12ms", "RL.POLICY SET api 10 1s SCHEDULE UTC daily 09:00-17:00 5 1s",
    "RL.POLICY OVERRIDE api acme 5 1s", "RL.POLICY REFUSE api 10.0.0.0/8 EX 1h", "RL.TABLE t 10 1s LOG 5 1m",
    "RL.TAKE t alice COST 2", "QUOTA.PLAN SET p r LIMIT 9 day APPLY PRORATE EFFECTIVE 2030-01-01T00:00:00Z",
    "QUOTA.PLAN SET old r LIMIT 1 day", "QUOTA.PLAN DEL old",
    "QUOTA.PLAN SET c r LIMIT 5 day CREDITS FIRST", "QUOTA.OPEN e c", "QUOTA.GRANT e g r 9 EVERY day EXPIRES 30d",
    "QUOTA.CONSUME e r 4", "QUOTA.RESERVE e h r 2 TTL 1h"]
QUESTIONS = ["QUOTA.INFO e", "QUOTA.GRANTS e",
             "QUOTA.INFO a", "QUOTA.HOLDS a", "QUOTA.PLAN GET p", "QUOTA.PLAN GET old", "RL.INFO k", "RL.INFO blocked",
             "RL.LEASES l", "RL.POLICY GET api", "DBSIZE"]
GO_ON = [
    "QUOTA.CONSUME a r 5 ID x", "QUOTA.CONSUME e r 7", "QUOTA.COMMIT e h", "QUOTA.COMMIT a hold 2",
    "QUOTA.CONSUME a r 84", "QUOTA.CONSUME a r 83",
    "RL.ALLOW k 10 1s 100 1h LOG 5 1m", "RL.ACQUIRE l 5 1h ID me COST 2", "RL.ACQUIRE l 5 1h COST 4",
    "RL.BREAKER b REPORT fail", "RL.BREAKER b INFO", "RL.ADAPT d 10 100", "RL.ALLOW s POLICY api SUBJECT acme",
    "RL.ALLOW s POLICY api ADDRESS 10.1.1.1", "RL.TAKE t alice COST 3", "RL.TAKE t bob",
    "QUOTA.PLAN SET p r LIMIT 7 day"]


@pytest.fixture(scope="session")
def newer(tmp_path_factory):
    """The path of the newer build."""
    tree = tmp_path_factory.mktemp("newer")
    for folder in ("include", "src", "module"):
        shutil.copytree(ROOT / folder, tree / folder)
    shutil.copy(ROOT / "Makefile", tree)
    edited, idle = set(), []
    for files, pattern, becomes in EDITS:
        counted = 0
        for path in sorted(tree.glob(files)):
            text, count = re.subn(pattern, becomes, path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
            edited |= {path.relative_to(tree).as_posix()} if count else set()
            counted += count
        idle += [] if counted else [pattern]
    written = {path[len("include/quota/"):-2] for path in edited if path.startswith("include/")}  # room/file
    wanted = {f"src/{name}.c" for name in written} | {"module/value_type.c", "module/registry.c"}
    missed = wanted - edited - {"src/account/change.c"}  # accounts are read in every encoding up to the newest
    if missed or idle or len(written) < 8:
        raise RuntimeError(f"EDITS are out of date: {sorted(missed)} read no second encoding, nothing is like {idle}")
    header = os.environ.get("REDISMODULE_H", str(ROOT / ".deps" / "redismodule.h"))
    subprocess.run(["make", "-s", "-j", "2", "-C", str(tree), "quota.so", "CFLAGS=-O0", "CI=",
                    f"REDISMODULE_H={header}"],  # CI=: warnings about the edits are no errors
                   check=True, env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"})
    return str(tree / "quota.so")


class Node(Server):
    """A server whose build can be exchanged between two starts."""

    def __init__(self, module=MODULE, **options):
        super().__init__(**options)
        self.module = module

    def start(self):
        before, servers.MODULE = servers.MODULE, self.module
        try:
            super().start()
        finally:
            servers.MODULE = before
        self.client().execute_command("QUOTA.CLOCK", "FREEZE", NOON)
        return self

    def upgrade(self, module, save=False):
        self.stop(save=save)
        self.module = module
        return self.start()

    def has_ended(self):
        return self.process.poll() is not None


@pytest.fixture
def nodes():
    """Makes nodes, and closes them in the reverse order of their making."""
    made = []

    def node(*words, **options):
        made.append(Node(*words, **options))
        return made[-1].start()
    yield node
    for server in reversed(made):
        if server.process and server.has_ended():
            server.process = None
        server.close()


def fill(server):
    quota = Quota(server.client())
    for line in FILL:
        quota(line)


def said(server, lines):
    """Each line and what was answered, an error too."""
    client = server.client()

    def answer(line):
        try:
            return client.execute_command(*line.split())
        except redis.ResponseError as error:
            return str(error)
    return {line: answer(line) for line in lines}


# ---- the right order ---------------------------------------------------------------------------------------------


class Fleet:
    """What test_failover's workers look at: where to go, and how many replicas count."""

    def __init__(self, primary):
        self.primary, self.second = primary, None


def working(workers, units=60):
    goal = sum(worker.units for worker in workers) + units
    wait_until(lambda: sum(worker.units for worker in workers) >= goal, "no progress")


def test_replicas_first_then_the_primary_by_stopping_it(nodes, newer):
    """Under load. The older primary never follows a newer one: it is stopped, and comes back as a newer replica."""
    first, second, third = (nodes(appendonly="yes") for _ in range(3))
    second.follow(first)
    third.follow(first)
    fill(first)
    fleet = Fleet(first)
    workers = [Worker(fleet, f"w{number}", False) for number in range(3)]
    for worker in workers:
        worker.start()
    try:
        working(workers)
        for replica in (second, third):
            replica.upgrade(newer).follow(first)
            working(workers)
            caught_up_under_load(first, replica)
        first.client().client_pause(60_000, all=False)  # writes wait; what was written arrives
        for replica in (second, third):
            caught_up(first, replica)
            assert said(replica, QUESTIONS) == said(first, QUESTIONS)
        second.client().replicaof("NO", "ONE")
        first.stop()
        fleet.primary = second
        third.follow(second)
        working(workers)
        first.module = newer
        first.start().follow(second)
        working(workers)
    finally:
        for worker in workers:
            worker.stopping = True
        for worker in workers:
            worker.join()
    rule = Quota(second.client()).map("QUOTA.INFO a free")["rules"][1]
    assert rule["used"] == sum(worker.units for worker in workers)
    assert said(second, GO_ON)["QUOTA.CONSUME a r 83"][0] == 83
    for replica in (first, third):
        caught_up(second, replica)
        assert replica.digest() == second.digest()
    for server in (first, second, third):
        assert REFUSED_CHANGE not in server.log()
        digest = server.digest()
        rewrite_aof(server)
        server.client().execute_command("DEBUG LOADAOF")
        assert server.digest() == digest


def caught_up_under_load(primary, replica):
    goal = primary.client().info("replication")["master_repl_offset"]
    wait_until(lambda: replica.client().info("replication")["slave_repl_offset"] >= goal, "does not keep up")


def test_a_newer_replica_follows_every_change_of_an_older_primary(nodes, newer):
    primary, replica, leaf = nodes(), nodes(newer, appendonly="yes"), nodes(newer)
    fill(primary)
    replica.follow(primary)  # all of it by full sync
    leaf.follow(replica)
    assert said(replica, QUESTIONS) == said(primary, QUESTIONS)
    primary.client().flushall()
    fill(primary)  # and once more by the stream
    said(primary, GO_ON)
    caught_up(primary, replica)
    wait_until(lambda: leaf.digest() == replica.digest(), "the leaf differs")
    assert said(replica, QUESTIONS) == said(leaf, QUESTIONS) == said(primary, QUESTIONS)
    wait_until(lambda: writes_no_file(replica), "it rewrites its AOF for ever")
    replica.client().execute_command("DEBUG LOADAOF")  # older effects, written by a newer server
    assert leaf.digest() == replica.digest()


# ---- files -------------------------------------------------------------------------------------------------------

FILES = {"rdb": {}, "aof": {"appendonly": "yes"}, "plain aof": {"appendonly": "yes", "aof_use_rdb_preamble": "no"}}


@pytest.mark.parametrize("rewritten", [False, True], ids=["as written", "rewritten"])
@pytest.mark.parametrize("kind", FILES)
def test_a_newer_server_goes_on_with_the_files_of_an_older_one(nodes, newer, kind, rewritten):
    server, twin = nodes(**FILES[kind]), nodes()
    fill(server)
    fill(twin)
    if rewritten:
        said(server, GO_ON[:3])
        said(twin, GO_ON[:3])
        rewrite_aof(server) if kind != "rdb" else server.client().save()
    before = said(server, QUESTIONS)
    server.upgrade(newer, save=kind == "rdb")
    assert said(server, QUESTIONS) == before
    assert said(server, GO_ON) == said(twin, GO_ON)  # as if it had never been stopped
    assert said(server, QUESTIONS) == said(twin, QUESTIONS)
    digest = server.digest()
    server.upgrade(newer, save=kind == "rdb")  # its own files, begun by the older one
    assert server.digest() == digest and REFUSED_CHANGE not in server.log()


@pytest.mark.parametrize("kind", ["rdb", "aof"])
def test_an_older_server_does_not_start_with_the_files_of_a_newer_one(nodes, newer, kind):
    server = nodes(newer, **FILES[kind])
    fill(server)
    if kind == "aof":
        rewrite_aof(server)
    before = server.digest()
    with pytest.raises(RuntimeError, match=REFUSED_FILE):
        server.upgrade(MODULE, save=kind == "rdb")
    assert "Ready to accept connections" not in server.log().rpartition("Server initialized")[2]
    assert server.process.returncode >= 0 and "STACK TRACE" not in server.log()  # it ended by itself: no signal
    server.process, server.module = None, newer
    assert server.start().digest() == before  # the files are as they were
    server.alarms_expected = ALARMS_OF_A_REFUSAL


def test_an_older_server_does_not_start_with_newer_changes_in_its_aof(nodes, newer):
    """The base file is an older one, what came since was written by the newer build: a downgrade."""
    server = nodes(appendonly="yes")
    server.alarms_expected = ALARMS_OF_A_REFUSAL
    fill(server)
    server.upgrade(newer)
    said(server, GO_ON)
    server.stop()
    server.module = MODULE
    try:
        server.start()
    except RuntimeError:
        assert server.process.returncode >= 0
    else:
        raise AssertionError("it serves: " + str(said(server, QUESTIONS)))
    assert NEWER_CHANGE in server.log()


# ---- the wrong order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb"])
def test_an_older_replica_takes_no_full_sync_of_a_newer_primary(nodes, newer, load):
    primary, replica = nodes(newer), nodes(repl_diskless_load=load)
    replica.alarms_expected = ALARMS_OF_A_REFUSAL
    fill(primary)
    replica.client().replicaof("127.0.0.1", primary.port)
    wait_until(lambda: REFUSED_FILE in replica.log(), "nothing is said")
    wait_until(lambda: replica.has_ended() or says_it_is_none(replica), "it goes on")
    assert not replica.has_ended() or replica.process.returncode >= 0  # it ended by itself: no signal
    assert "STACK TRACE" not in replica.log()
    if not replica.has_ended():
        replica.stop()
    replica.process, replica.module = None, newer
    (replica.path / "dump.rdb").unlink(missing_ok=True)
    replica.start().follow(primary)
    caught_up(primary, replica)
    assert replica.digest() == primary.digest()


def replication(server):
    """Nothing of a server that is about to end."""
    try:
        return server.client().info("replication")
    except redis.ConnectionError:
        return {}


def offset(server, role):
    return replication(server).get(f"{role}_repl_offset", -1)


def says_it_is_none(replica):
    """A server that has not ended must not pass for a replica."""
    return replication(replica).get("master_link_status") == "down"


def failed_over(nodes, newer):
    """FAILOVER from an older primary to its newer replica: the older one now follows it, without a full sync."""
    older, replica = nodes(), nodes(newer)
    older.alarms_expected = ALARMS_OF_A_REFUSAL
    fill(older)
    replica.follow(older)
    wait_until(lambda: older.client().info("replication")["slave0"]["state"] == "online", "the replica is not online")
    older.client().execute_command("FAILOVER", "TO", "127.0.0.1", replica.port)
    wait_until(lambda: older.client().info("replication").get("master_link_status") == "up", "it does not follow")
    return older, replica


def test_an_older_replica_takes_no_change_of_a_newer_primary(nodes, newer):
    """It stops; upgraded, it follows again."""
    older, replica = failed_over(nodes, newer)
    said(replica, GO_ON)
    wait_until(older.has_ended, "it goes on with other data than its primary")
    assert older.process.returncode == 1 and "STACK TRACE" not in older.log()
    assert NEWER_CHANGE in older.log()
    older.process = None
    older.module, older.options["replicaof"] = newer, f"127.0.0.1 {replica.port}"
    older.start()
    wait_until(lambda: older.client().info("replication").get("master_link_status") == "up", "it does not follow")
    caught_up(replica, older)
    assert older.digest() == replica.digest()
