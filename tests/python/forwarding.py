"""What the forwarder's tests share: a receiver that answers as a test wants, and the forwarder as a process.

    server ──▶ quotactl forward (a process) ──▶ Receiver (HTTP on loopback, a thread) ──▶ .got: id, headers, body
"""

import http.server
import json
import re
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass

from servers import PATIENCE_S, wait_until
from standardwebhooks.webhooks import Webhook

from .calls import LAUNCHER, url_of
from .monitored import fetch, samples

NEW, OLD = ("whsec_" + letter * 40 for letter in "AB")
QUICK = "{refusals-every: 100ms, lease: 1s, settle-within: 10m, retry: [0, 50ms, 50ms]}"


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers["webhook-id"]


class Receiver:
    """`answer(got)` is the status, or the status and a map of headers; it may take its time. With a `certificate` (the
    paths of it and its key) it speaks HTTPS."""

    def __init__(self, answer=lambda got: 204, certificate=None):
        self.answer, self.got, self.lock = answer, [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the forwarder was killed between the head and the end of the body: no message
                got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with receiver.lock:
                    receiver.got.append(got)
                answered = receiver.answer(got)
                status, headers = answered if isinstance(answered, tuple) else (answered, {})
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *words):
                """Nothing is printed."""

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                """A forwarder that was killed leaves broken connections."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def received(self):
        """The ids that came."""
        with self.lock:
            return {request.id for request in self.got}

    def messages(self):
        """What was verified by both secrets, in the order in which it came."""
        with self.lock:
            got = list(self.got)
        for request in got:
            assert Webhook(OLD).verify(request.body, request.headers) == request.json
            assert Webhook(NEW).verify(request.body, request.headers) == request.json
            assert request.headers["webhook-id"] == request.json["id"]
        return [request.json for request in got]

    def ids(self):
        return [message["id"] for message in self.messages()]


class Forwarder:
    """quotactl forward as a process; its log is a file."""

    def __init__(self, folder, url, sinks, general=QUICK, name="forward", options=()):
        self.config = folder / f"{name}.yaml"
        self.config.write_text(f"sinks:\n  {sinks}\nforward: {general}\n")
        self.url, self.log_path, self.options = url, folder / f"{name}.log", options
        self.process = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(LAUNCHER), "forward", str(self.config), "--url", self.url, *self.options],
                stdout=log, stderr=log)
        return self

    def log(self):
        return self.log_path.read_text()

    def metrics(self):
        """{name: {labels: value}} of what it serves by --metrics-port 0."""
        (address,) = re.findall(r'"address": "(http://[^"]+)"', self.log())
        return samples(fetch(address))

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.log()
        assert "Traceback" not in self.log()


def hook(receiver, more=""):
    """A line of the file of sinks."""
    return (f"hook: {{webhook: '{receiver.url}/hook', secrets: [{NEW}, {OLD}], allow-private: true, timeout: 5s"
            f"{', ' + more if more else ''}}}")


def logged(server, shard="0", after="0-0"):
    """The ids under which the entries of a server's log are sent."""
    client = server.client(protocol=3, decode_responses=True)
    found = []
    while page := client.execute_command("QUOTA.EVENTS", "READ", "AFTER", after, "COUNT", 1000):
        found += page
        after = page[-1][0]
    return [f"redis-quota-{shard}-{entry}" for entry, _ in found]


def sequence(identity):
    """(epoch, number) of an id."""
    epoch, number = identity.split("-")[-2:]
    return int(epoch), int(number)


def first_attempts(ids):
    """Each id where it came first."""
    return list(dict.fromkeys(ids))


def in_order_per_account(messages):
    """First attempts of every account come in the order of the log."""
    seen, orders = set(), {}
    for message in messages:
        if message["id"] not in seen:
            seen.add(message["id"])
            orders.setdefault(message["data"].get("account"), []).append(sequence(message["id"]))
    return all(order == sorted(order) for order in orders.values())


__all__ = ["NEW", "OLD", "QUICK", "Forwarder", "Got", "Receiver", "first_attempts", "hook", "in_order_per_account",
           "logged", "sequence", "url_of", "wait_until"]
