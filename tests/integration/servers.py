"""Real redis-servers for the tests: started on free loopback ports in folders of their own, ended by pid.

    Server ── start ──▶ running ── stop (SHUTDOWN) ──▶ files stay ── start ──▶ same data
                          ├────── kill (SIGKILL) ─────▶ files stay ── start ──▶ what was acknowledged
                          └────── ends by itself ─────▶ the test is failed ── replace ──▶ empty, on the same port

QUOTA_MODULE names another build of the module, QUOTA_SERVER another server, QUOTA_PRELOAD libraries (a sanitizer's) to
preload into it, QUOTA_WRAPPER words to put before it (valgrind and its options), QUOTA_PATIENCE_S how long it may take.
"""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE = os.environ.get("QUOTA_MODULE", str(ROOT / "quota.so"))
SERVER = os.environ.get("QUOTA_SERVER", "redis-server")
WRAPPER = os.environ.get("QUOTA_WRAPPER", "").split()
# "Redis server v=7.0.15 ..." or "Valkey server v=8.0.1 ...". Where tests must distinguish servers: INFO answers 7.2.4
# on every Valkey, and 7.9 is a milestone of Redis 8.
CALLED = subprocess.run([SERVER, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
VERSION = tuple(map(int, re.search(r"v=(\d+)\.(\d+)\.(\d+)", CALLED).groups()))
VALKEY = "Valkey" in CALLED
# Redis 8 hides commands that are for servers alone: a client is answered that there is none of that name.
HIDES_INTERNAL = not VALKEY and VERSION >= (8, 0, 0)
REFUSED_INTERNAL = "internal command" + ("|unknown command|not allowed from script" if HIDES_INTERNAL else "")
# For a server to come up or catch up; generous because sanitizers are slow.
PATIENCE_S = int(os.environ.get("QUOTA_PATIENCE_S", "60"))

# What no log of a healthy server may say.
ALARMS = ("CRASH", "ASSERTION", "STACK TRACE", "sending an error to its", "refused to repeat", "Bad file format")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# A cluster node listens at its port + 10,000, too; both are below those that the kernel gives to connections. Each
# worker of pytest-xdist takes its ports from a part of its own.
FIRST_PORT, PORT_PARTS, PORTS_IN_PART = 11000, 8, 1375
PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % PORT_PARTS
PORT_ATTEMPTS = 5
DICE = random.SystemRandom()  # tests seed the module's own generator


def free_port():
    while True:
        port = FIRST_PORT + PART * PORTS_IN_PART + DICE.randrange(PORTS_IN_PART)
        if is_free(port) and is_free(port + 10000):
            return port


class PortTaken(Exception):
    """Another program has taken the port between our look at it and the server's bind."""


def wait_until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)  # only real servers' work is waited for here; tests' own time is the test clock's


def new_folder():
    """A child of a server that has ended may write there for a moment yet: that is no failure."""
    return tempfile.TemporaryDirectory(prefix="quota-test-", ignore_cleanup_errors=True)


class Server:
    """One redis-server with the module; `options` are redis.conf words."""

    known = set()  # every server of this worker that is not closed

    def __init__(self, module_options=("test-clock", "yes"), **options):
        Server.known.add(self)
        self.folder = new_folder()
        self.path = pathlib.Path(self.folder.name)
        self.module_options = module_options
        self.options = {
            "bind": "127.0.0.1", "save": '""', "appendonly": "no", "logfile": "log",
            "enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1",
            "shutdown-timeout": "0",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self.process, self.has_answered = None, False
        self.primary = None
        self.alarms_expected, self.log_read = (), 0

    def start(self):
        """On a free port; on another one if that is taken before the server has it."""
        for _ in range(PORT_ATTEMPTS):
            try:
                return self.start_at(free_port())
            except PortTaken:
                self.process = None
        raise RuntimeError(f"no port is free in {PORT_ATTEMPTS} attempts")

    def start_at(self, port):
        self.port, self.has_answered, logged = port, False, len(self.log())
        words = [word for name, value in {"dir": str(self.path), **self.options}.items()
                 for word in (f"--{name}", *value.split(" "))]
        words = ["" if word == '""' else word for word in words]
        environment = dict(os.environ)
        if "QUOTA_PRELOAD" in environment:
            environment["LD_PRELOAD"] = environment["QUOTA_PRELOAD"]
        self.process = subprocess.Popen(
            [*WRAPPER, SERVER, "--port", str(port), *words, "--loadmodule", MODULE, *self.module_options],
            env=environment, stdout=subprocess.DEVNULL, stderr=self.standard_error())
        try:
            wait_until(self.answers, "server does not start")
        except RuntimeError as error:
            if "Address already in use" in self.log()[logged:]:
                raise PortTaken from error
            raise
        except BaseException:
            self.process.kill()
            raise
        self.has_answered = True
        return self

    def standard_error(self):
        """The server logs to a file of its own; what a sanitizer says on standard error is kept where make looks."""
        if "QUOTA_SANITIZE_LOGS" not in os.environ:
            return subprocess.DEVNULL
        return open(pathlib.Path(os.environ["QUOTA_SANITIZE_LOGS"]) / f"server-{self.port}.err", "ab")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"server ended with {self.process.returncode}: {self.log()[-3000:]}")
        client = self.client(socket_timeout=1)
        try:  # another program may have the port, while ours is about to end: it may answer, or be silent
            return client.ping() and client.info("server")["process_id"] == self.process.pid
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False

    def ended_by_itself(self):
        """After it had come up; after stop and kill there is no process."""
        return self.has_answered and self.process is not None and self.process.poll() is not None

    def replace(self):
        """An empty one in its place, on the same port: the files it has left might end it again."""
        self.process, primary, self.log_read = None, self.primary, 0
        self.folder = new_folder()
        self.path = pathlib.Path(self.folder.name)
        self.start_at(self.port)
        if primary:
            self.follow(primary)

    def client(self, protocol=2, socket_timeout=PATIENCE_S, **options):
        return redis.Redis(host="127.0.0.1", port=self.port, protocol=protocol, socket_timeout=socket_timeout,
                           retry=Retry(NoBackoff(), 0), **options)

    def log(self):
        log = self.path / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self, save=False):
        if self.process and self.process.poll() is None:
            try:
                self.client().shutdown(save=save, nosave=not save, now=True, force=not save)
            except redis.ConnectionError:
                pass
            try:
                self.process.wait(PATIENCE_S)
            finally:
                self.process.kill()  # does nothing to a process that has ended
        self.process = None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.process = None

    def alarms(self):
        """What the log says, since this was called last, that no healthy server says."""
        with open(self.path / "log", "rb") as log:
            log.seek(self.log_read)
            lines = log.read().decode(errors="replace").splitlines()
            self.log_read = log.tell()
        # A primary's PING that meets DEBUG LOADAOF is answered -LOADING: the server's own doing.
        lines = [line for line in lines if "-LOADING" not in line]
        expected = self.alarms_expected
        return [line for line in lines if any(alarm in line and alarm not in expected for alarm in ALARMS)]

    def close(self):
        Server.known.discard(self)
        self.stop()
        log, found = self.log(), self.alarms() if (self.path / "log").exists() else []
        self.folder.cleanup()
        assert not found, f"server log says {found}:\n{log[-4000:]}"

    def follow(self, primary):
        self.primary = primary
        self.client().replicaof("127.0.0.1", primary.port)
        wait_until(lambda: self.client().info("replication").get("master_link_status") == "up", "replica does not link")

    def digest(self):
        return self.client().execute_command("DEBUG DIGEST").decode()


def caught_up(primary, replica):
    """Waits until the replica has everything the primary has sent."""
    def same_offset():
        sent = primary.client().info("replication")["master_repl_offset"]
        got = replica.client().info("replication")["slave_repl_offset"]
        return sent == got
    wait_until(same_offset, "replica does not catch up")


def writes_no_file(server):
    """No child of the server writes one, and none is to: after a full sync a replica rewrites its AOF."""
    now = server.client().info("persistence")  # one answer: what begins between two would be seen by neither
    return not any(now[name] for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"))


def rewrite_aof(server):
    """BGREWRITEAOF, and until its child has ended."""
    client = server.client()
    wait_until(lambda: writes_no_file(server), "another rewrite does not end")
    client.bgrewriteaof()
    wait_until(lambda: writes_no_file(server), "no rewrite")
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
