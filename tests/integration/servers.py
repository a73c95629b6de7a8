"""Real redis-servers for the tests: started on free loopback ports in folders of their own, ended by pid.

    Server ── start ──▶ running ── stop (SHUTDOWN) ──▶ files stay ── start ──▶ same data
                          └────── kill (SIGKILL) ─────▶ files stay ── start ──▶ what was acknowledged

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
# "Redis server v=7.0.15 ..." or "Valkey server v=8.0.1 ...". Where tests must tell servers apart: INFO answers 7.2.4 on
# every Valkey, and 7.9 is a milestone of Redis 8.
CALLED = subprocess.run([SERVER, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
VERSION = tuple(map(int, re.search(r"v=(\d+)\.(\d+)\.(\d+)", CALLED).groups()))
VALKEY = "Valkey" in CALLED
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


def free_port():
    """With the one that a cluster node listens at too, 10,000 higher; both below those that connections are given."""
    while True:
        port = random.randrange(11000, 22000)
        if is_free(port) and is_free(port + 10000):
            return port


def wait_until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)  # only real servers' work is waited for here; tests' own time is the test clock's


class Server:
    """One redis-server with the module; `options` are redis.conf words."""

    def __init__(self, module_options=("test-clock", "yes"), **options):
        self.folder = tempfile.TemporaryDirectory(prefix="quota-test-")
        self.path = pathlib.Path(self.folder.name)
        self.module_options = module_options
        self.options = {
            "bind": "127.0.0.1", "dir": self.folder.name, "save": '""', "appendonly": "no", "logfile": "log",
            "enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1",
            "shutdown-timeout": "0",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self.process = None
        self.alarms_expected = ()

    def start(self):
        self.port = free_port()
        words = [word for name, value in self.options.items()
                 for word in (f"--{name}", *value.split(" "))]
        words = ["" if word == '""' else word for word in words]
        environment = dict(os.environ)
        if "QUOTA_PRELOAD" in environment:
            environment["LD_PRELOAD"] = environment["QUOTA_PRELOAD"]
        self.process = subprocess.Popen(
            [*WRAPPER, SERVER, "--port", str(self.port), *words, "--loadmodule", MODULE, *self.module_options],
            env=environment, stdout=subprocess.DEVNULL, stderr=self.standard_error())
        try:
            wait_until(self.answers, "server does not start")
        except BaseException:
            self.process.kill()
            raise
        return self

    def standard_error(self):
        """The server logs to a file of its own; what a sanitizer says on standard error is kept where make looks."""
        if "QUOTA_SANITIZE_LOGS" not in os.environ:
            return subprocess.DEVNULL
        return open(pathlib.Path(os.environ["QUOTA_SANITIZE_LOGS"]) / f"server-{self.port}.err", "wb")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"server ended with {self.process.returncode}: {self.log()[-3000:]}")
        try:
            return self.client().ping()
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False

    def client(self, protocol=2, **options):
        return redis.Redis(host="127.0.0.1", port=self.port, protocol=protocol, socket_timeout=PATIENCE_S,
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

    def close(self):
        self.stop()
        log = self.log()
        self.folder.cleanup()
        # A primary's PING that meets DEBUG LOADAOF is answered -LOADING: the server's own doing.
        lines = [line for line in log.splitlines() if "-LOADING" not in line]
        expected = self.alarms_expected
        found = [line for line in lines if any(alarm in line and alarm not in expected for alarm in ALARMS)]
        assert not found, f"server log says {found}:\n{log[-4000:]}"

    def follow(self, primary):
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
