"""A server under load, its exporter as a program, and a Prometheus that scrapes it: for tests and for pictures.

    load ──▶ server ◀─┬─ quotactl exporter ◀─┬─ prometheus (from .deps/, every second) ◀── queries
                      └─ quotactl forward ◀──┘
"""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / ".deps/prometheus/usr/bin"
STARTED_WITHIN_S = 60


@contextlib.contextmanager
def exporter(*words):
    """`quotactl exporter` on a port of its own; its address."""
    process = subprocess.Popen([sys.executable, ROOT / "scripts/quotactl", "exporter", "--port", "0", *words],
                               stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert line.startswith("exporter: http://"), line
        yield line.split()[1].removesuffix("/metrics")
    finally:
        process.terminate()
        process.communicate()


def fetch(address, **words):
    with urllib.request.urlopen(address + ("?" + urllib.parse.urlencode(words) if words else ""), timeout=10) as reply:
        return reply.read().decode()


def samples(text):
    """{name: {labels without the server: value}}"""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "server"))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


class Prometheus:
    """A server of Prometheus and its queries."""

    def __init__(self, address):
        self.address = address

    def query(self, expression):
        """The series that an expression has now: [{metric, value}]."""
        reply = json.loads(fetch(f"{self.address}/api/v1/query", query=expression))
        return reply["data"]["result"]

    def range(self, expression, seconds, step=1):
        """The series over the last seconds: [{metric, values}]."""
        now = time.time()
        reply = json.loads(fetch(f"{self.address}/api/v1/query_range", query=expression, start=now - seconds, end=now,
                                 step=step))
        return reply["data"]["result"]


@contextlib.contextmanager
def forwarder(server):
    """`quotactl forward` with a sink `archive` that is a file; the address of its own metrics."""
    with tempfile.TemporaryDirectory(prefix="quota-forward-") as folder:
        config, log = Path(folder, "sinks.yaml"), Path(folder, "log")
        config.write_text(f"sinks: {{archive: {{file: {folder}/audit.jsonl}}}}\n")
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, ROOT / "scripts/quotactl", "forward", config, "--url",
                 f"redis://127.0.0.1:{server.port}", "--metrics-port", "0"], stdout=errors, stderr=errors)
        try:
            yield eventually(lambda: re.search(r'"address": "(http://[^"]+)/metrics"', log.read_text()))[1]
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def prometheus(*addresses):
    """Scrapes what these addresses serve every second, with the project's alert rules."""
    port, targets = free_port(), [address.removeprefix("http://") for address in addresses]
    with tempfile.TemporaryDirectory(prefix="quota-prometheus-") as folder:
        config = Path(folder, "prometheus.yaml")
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "scripts/monitoring/alerts.yaml")],
            "scrape_configs": [{"job_name": "redis-quota", "static_configs": [{"targets": targets}]}]}))
        with open(os.path.join(folder, "log"), "w") as log:
            process = subprocess.Popen([PROGRAMS / "prometheus", f"--config.file={config}",
                                        f"--storage.tsdb.path={folder}/data",
                                        f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
            try:
                yield Prometheus(f"http://127.0.0.1:{port}")
            finally:
                process.terminate()
                process.wait()


def eventually(condition, within_s=STARTED_WITHIN_S):
    """What the condition returns once it is true."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := condition():
                return found
        except OSError:  # it has not started yet
            pass
        assert time.monotonic() < deadline, "it has not become true"
        time.sleep(0.2)


@contextlib.contextmanager
def load(server, seed=1):
    """Requests of every kind that the dashboards show, until the block ends."""
    chance, ended = random.Random(seed), threading.Event()
    client = server.client()
    for line in ("QUOTA.PLAN SET pro api LIMIT 40 1h RATE 50 1s CREDITS", "QUOTA.PLAN SET free api LIMIT 20 1h",
                 "QUOTA.OPEN acme pro", "QUOTA.OPEN globex free", "QUOTA.GRANT acme gift api 2000",
                 "QUOTA.RESERVE globex later api 2 TTL 1h", "RL.ACQUIRE jobs 3 1h ID one"):
        client.execute_command(*line.split())

    def run():
        while not ended.wait(0.05):
            for account in ("acme", "globex"):
                number = chance.randint(1, 3)
                client.execute_command("QUOTA.CONSUME", account, "api", number, "ID", f"{chance.random()}")
            client.execute_command("RL.ALLOW", f"user:{chance.randint(1, 3)}", 5, "1s")
            if chance.random() < 0.2:
                client.execute_command("QUOTA.REFUND", "acme", "api", 1)
                client.execute_command("QUOTA.SET", "globex", "api", chance.randint(1, 20))  # an event

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
