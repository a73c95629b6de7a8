"""Encrypted ways: clients and programs to a server by rediss://, the forwarder's webhooks by HTTPS.

    Quota, AsyncQuota, quotactl, exporter, forwarder ── rediss://…?ssl_ca_certs=ca.pem ──▶ redis-server --tls-port
    forwarder ── checked address, checked certificate ──▶ https://hook.test

A server that was built without TLS stands behind a door that has it.
"""

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
from redis_quota import AsyncQuota, Quota, Unavailable
from redis_quota.forward.config import SinkConfig
from redis_quota.forward.delivery import Delivery
from redis_quota.forward.sinks.webhook import WebhookSink
from servers import Server, free_port
from test_cluster import cluster_info

from .calls import answered, quotactl, url_of
from .forwarding import NEW, OLD, Forwarder, Receiver, hook, wait_until
from .monitored import exporter, fetch
from .tls import authority, signed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two authorities; the first one has signed the server's, the client's and the receivers' certificates."""
    made = tmp_path_factory.mktemp("tls")
    authority(made)
    authority(made, "stranger")
    signed(made, "server", "DNS:localhost,IP:127.0.0.1")
    signed(made, "client", "DNS:client")
    signed(made, "hook", "DNS:hook.test,DNS:localhost")
    return made


class Door:
    """TLS in front of a server that has none."""

    def __init__(self, server, folder):
        self.server = server
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listening.accept()[0],), daemon=True).start()

    def serve(self, plain):
        with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as inside, \
                socket.create_connection(("127.0.0.1", self.server.port)) as outside:
            threading.Thread(target=self.carry, args=(outside, inside), daemon=True).start()
            self.carry(inside, outside)

    def carry(self, source, target):
        with contextlib.suppress(OSError):
            while found := source.recv(65536):
                target.sendall(found)
            target.shutdown(socket.SHUT_RDWR)


def with_tls(folder, port, **options):
    return Server(tls_port=str(port), tls_cert_file=str(folder / "server.pem"),
                  tls_key_file=str(folder / "server.key"), tls_ca_cert_file=str(folder / "ca.pem"), **options)


@pytest.fixture(scope="module")
def encrypted(folder):
    """(server, its port with TLS): clients need a certificate of the authority."""
    port = free_port()
    server = with_tls(folder, port)
    try:
        server.start()
        yield server, port
        server.close()
    except RuntimeError as error:
        assert "tls" in str(error).lower(), error
        Server.known.discard(server)
        plain = Server().start()
        yield plain, Door(plain, folder).port
        plain.close()


@pytest.fixture
def url(encrypted, folder):
    server, port = encrypted
    server.client().flushall()
    server.client().execute_command("QUOTA.CLOCK", "RESUME")
    return (f"rediss://localhost:{port}?ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/client.pem"
            f"&ssl_keyfile={folder}/client.key")


def test_both_clients_speak_tls(url):
    quota = Quota(redis.Redis.from_url(url))
    quota.set_plan("pro", "api", "LIMIT 10 day")
    quota.open("acme", "pro")
    assert quota.consume("acme", "api", 3).remaining == 7
    assert quota.allow("line", "1 1s", wait="3s")  # on a connection of its own
    assert quota.allow("line", "1 1s", wait="3s").granted == 1

    async def work():
        async with redis.asyncio.Redis.from_url(url) as client:
            other = AsyncQuota(client)
            waited = await other.allow("b", "1 1s", wait="1s")
            return [(await other.consume("acme", "api", 2)).remaining, waited.granted]

    assert asyncio.run(work()) == [5, 1]


def test_a_server_that_cannot_be_trusted_is_sent_nothing(url):
    """Its certificate is another authority's."""
    bad = url.replace("/ca.pem", "/stranger.pem")
    with pytest.raises(Unavailable, match="(?i)certificate") as caught:
        Quota(redis.Redis.from_url(bad)).consume("acme", "api")
    assert not caught.value.sent
    error = quotactl("account", "list", "--url", bad, code=2)
    assert "certificate" in error.lower() and error.count("\n") == 1


def test_quotactl_exporter_and_forwarder_speak_tls(url, encrypted, tmp_path):
    server, port = encrypted
    receiver = Receiver()
    client = server.client()
    client.execute_command("QUOTA.PLAN", "SET", "pro", "api", "LIMIT", 10, "day")
    quotactl("account", "open", "acme", "pro", "--url", url)
    assert answered("account", "show", "acme", "--url", url) == answered("account", "show", "acme", "--url",
                                                                         url_of(server))
    with exporter("--url", url, "--account", "acme") as address:
        text = fetch(f"{address}/metrics")
    assert f'quota_up{{server="localhost:{port}"}} 1.0' in text and "quota_account_used_ratio" in text
    forwarder = Forwarder(tmp_path, url, hook(receiver))
    wait_until(lambda: "quota.account.opened" in {message["type"] for message in receiver.messages()}, "no event")
    forwarder.stop()
    receiver.close()


@pytest.fixture
def encrypted_cluster(encrypted, folder):
    """The ports of two primaries that speak TLS with clients and with each other."""
    if "tls-port" not in encrypted[0].options:
        pytest.skip("this server was built without TLS, and a door cannot stand in front of a cluster that redirects")
    ports = [free_port(), free_port()]
    nodes = [with_tls(folder, port, cluster_enabled="yes", tls_cluster="yes", cluster_port=str(free_port()),
                      cluster_node_timeout="1500").start() for port in ports]
    for node, slots in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
        node.client().execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
    bus = nodes[1].client().config_get("cluster-port")["cluster-port"]
    nodes[0].client().execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], bus)
    wait_until(lambda: all((cluster_info(node)["cluster_state"], cluster_info(node)["cluster_known_nodes"]) ==
                           ("ok", "2") for node in nodes), "the cluster is not ready")
    yield ports
    for node in nodes:
        node.close()


def test_a_cluster_over_tls(encrypted_cluster, folder):
    """Plans go to both primaries, accounts to the one of their slot, by encrypted connections."""
    ways = {"ssl": True, "ssl_ca_certs": str(folder / "ca.pem"), "ssl_certfile": str(folder / "client.pem"),
            "ssl_keyfile": str(folder / "client.key"), "host": "localhost", "port": encrypted_cluster[0]}
    quota = Quota(redis.cluster.RedisCluster(**ways))
    assert quota.set_plan("pro", "api", "LIMIT 10 day") == 1
    accounts = [f"account-{number}" for number in range(8)]
    for account in accounts:
        quota.open(account, "pro")
    assert [quota.consume(account, "api", 3).remaining for account in accounts] == [7] * 8
    nodes = {quota.client.get_node_from_key(account).port for account in accounts}
    assert nodes == set(encrypted_cluster)

    async def work():
        async with redis.asyncio.cluster.RedisCluster(**ways) as client:
            return [(await AsyncQuota(client).consume(account, "api", 2)).remaining for account in accounts]

    assert asyncio.run(work()) == [5] * 8


# ---- webhooks --------------------------------------------------------------------------------------------------------


def delivery():
    return Delivery.of("q", "0", "1-1", {"type": "quota.usage.set", "time": 1})


@pytest.fixture
def receivers(folder):
    """A receiver for each certificate."""
    made = []

    def start(name):
        made.append(Receiver(certificate=(folder / f"{name}.pem", folder / f"{name}.key")))
        return made[-1]
    yield start
    for receiver in made:
        receiver.close()


def sent(monkeypatch, address, **words):
    """How one attempt ended, where every name is this address; and to which hosts a connection was made."""
    config = SinkConfig("hook", "webhook", words.pop("target"), secrets=(NEW, OLD), timeout_ms=5000, **words)

    async def attempt():
        loop = asyncio.get_running_loop()
        real, hosts = loop.getaddrinfo, []

        async def resolved(host, port, **options):
            hosts.append(host)
            return await real(address if host.endswith(".test") else host, port, **options)
        monkeypatch.setattr(loop, "getaddrinfo", resolved)
        sink = WebhookSink(config)
        outcome = await sink.send(delivery())
        await sink.close()
        return outcome, hosts
    return asyncio.run(attempt())


def test_https_goes_to_the_checked_address_and_checks_the_certificates_name(monkeypatch, folder, receivers):
    receiver = receivers("hook")
    target = f"https://hook.test:{receiver.port}/x"
    outcome, hosts = sent(monkeypatch, "127.0.0.1", target=target, ca=str(folder / "ca.pem"), allow_private=True)
    assert outcome.is_success, outcome
    assert hosts.count("hook.test") == 1  # the name is looked up once: what was checked is what is connected to
    assert [message["type"] for message in receiver.messages()] == ["quota.usage.set"]
    assert receiver.got[0].headers["host"] == f"hook.test:{receiver.port}"


@pytest.mark.parametrize(("name", "ca", "says"), [
    ("server", "ca", "hostname"), ("hook", "stranger", "certificate"), ("hook", "", "certificate")])
def test_a_certificate_that_does_not_fit_is_a_failure(monkeypatch, folder, receivers, name, ca, says):
    """Of another name, by another authority, by none that the public knows."""
    receiver = receivers(name)
    outcome, _ = sent(monkeypatch, "127.0.0.1", target=f"https://hook.test:{receiver.port}/x", allow_private=True,
                      ca=str(folder / f"{ca}.pem") if ca else "")
    assert says in outcome.error.lower(), outcome
    assert receiver.got == []


def test_a_private_address_is_refused_by_https_too(monkeypatch, folder, receivers):
    receiver = receivers("hook")
    outcome, hosts = sent(monkeypatch, "127.0.0.1", target=f"https://hook.test:{receiver.port}/x",
                          ca=str(folder / "ca.pem"))
    assert "hook.test is 127.0.0.1, which is not public" in outcome.error
    assert (hosts, receiver.got) == (["hook.test"], [])


def test_the_forwarder_sends_by_https(folder, receivers, running, tmp_path):
    receiver = receivers("hook")
    running.client().flushall()
    for line in ("QUOTA.PLAN SET tls api LIMIT 10 day", "QUOTA.OPEN acme tls"):
        running.client().execute_command(*line.split())
    forwarder = Forwarder(tmp_path, url_of(running), hook(receiver, f"ca: {folder}/ca.pem").replace(
        "http://127.0.0.1", "https://localhost"))
    wait_until(lambda: "quota.account.opened" in {message["type"] for message in receiver.messages()}, "no event")
    forwarder.stop()
    at = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(int(receiver.got[0].headers["webhook-timestamp"]) - at) < 60


def test_a_file_of_authorities_that_is_none_is_said_before_anything_is_sent(tmp_path):
    for ca, says in (("none.pem", "No such file"), (__file__, "")):
        (tmp_path / "sinks.yaml").write_text(f"sinks: {{team: {{slack: 'https://x.test', ca: '{ca}'}}}}\n")
        error = quotactl("forward", tmp_path / "sinks.yaml", "--check", code=2)
        assert error.startswith(f"Error: sink team: ca: {ca}") and says in error and error.count("\n") == 1
