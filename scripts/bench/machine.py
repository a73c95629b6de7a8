"""Servers that stay on their core, and what they have used of it.

    cpu 0   the server's main thread
    cpu 1   everything else: this process, redis-benchmark, replicas, the server's background threads and children

The server puts itself there: server_cpulist and its like stand in a file that its configuration includes. On a machine
with one core all of it runs there; the figures name the number of cores.
"""
import contextlib
import os
import platform
import sys
import tempfile

from .settings import ROOT

os.environ.setdefault("QUOTA_PATIENCE_S", "900")  # saving and loading millions of keys takes its time
sys.path.append(str(ROOT / "tests" / "integration"))
import servers  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, OTHER_CORE = CORES[0], CORES[-1]

CONFIGURATION = """
bio_cpulist {other}
bgsave_cpulist {other}
aof_rewrite_cpulist {other}
databases 64
maxclients 19900
auto-aof-rewrite-percentage 0
# Nothing but what commands do shall be counted as replicated, and a slow replica shall not be dropped.
repl-ping-replica-period 3600
repl-timeout 7200
client-output-buffer-limit replica 0 0 0
"""


def pin_this_process():
    os.sched_setaffinity(0, {OTHER_CORE})


@contextlib.contextmanager
def running(peers=(), module_options=(), core=SERVER_CORE, **options):
    """A server of its own for a with block; peers are loaded before quota.so, which leaves them their names."""
    with tempfile.NamedTemporaryFile("w", prefix="quota-bench-", suffix=".conf") as file:
        modules = "".join(f"loadmodule {peer.path}\n" for peer in peers if peer.path)
        file.write(CONFIGURATION.format(other=OTHER_CORE) + f"server_cpulist {core}\n" + modules)
        file.flush()
        server = servers.Server(module_options, include=file.name, **options).start()
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def following(primary):
    """A replica of primary, on the other core; for a with block."""
    with running(core=OTHER_CORE) as replica:
        replica.follow(primary)
        yield replica


def caught_up(primary, replica):
    servers.caught_up(primary, replica)


def main_thread_us(client):
    """CPU time of the server's main thread so far, user and system."""
    cpu = client.info("cpu")
    return (cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]) * 1e6


def description():
    """Of what and on what the figures are. INFO would say 7.2.4 on every Valkey."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(), "cores": len(CORES),
            "server": f"{'Valkey' if servers.VALKEY else 'Redis'} {'.'.join(map(str, servers.VERSION))}",
            "system": platform.system()}
