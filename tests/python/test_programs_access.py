"""The forwarder and the exporter as the users that `quotactl acl` prints: those rights are enough, and all are used.

    quotactl acl forwarder ──▶ ACL SETUSER … reset …  ──▶ the program as that user ──▶ ACL LOG: nothing was refused
                                                                             └──▶ ACL GETUSER against COMMANDSTATS
"""

import re

import pytest
from conftest import Quota
from redis_quota.cli.acl import CLIENT, lines_of
from servers import Server
from test_cluster import Cluster

from .calls import answered, quotactl, started
from .forwarding import QUICK, Forwarder, Receiver, hook, wait_until
from .monitored import exporter, fetch, samples

# Only for a failover, a database or a client other than ours: no scenario here needs them.
SPARE = set(CLIENT.replace("+", "").split()) | {"select", "unwatch", "exists", "readonly", "cluster|slots",
                                                "cluster|shards"}


@pytest.fixture
def server():
    made = Server().start()
    yield made
    made.close()


def made_user(servers, program, keys="*", in_cluster=False):
    for server in servers:
        for line in lines_of(program, program, keys, ">secret", in_cluster):
            server.client().execute_command(*line.split())
        server.client().execute_command("ACL", "LOG", "RESET")
        server.client().execute_command("CONFIG", "RESETSTAT")
    return f"redis://{program}:secret@127.0.0.1:{servers[0].port}"


def refused_to(servers, program):
    """What the user was refused; not what clients of Redis 7.2 and newer say of themselves, and can do without."""
    return {entry["object"] for server in servers for entry in server.client(decode_responses=True).acl_log()
            if entry["username"] == program and entry["object"] != "client|setinfo"}


def called(server):
    """The commands that a server has been sent."""
    return {name.removeprefix("cmdstat_").lower() for name in server.client().info("commandstats")}


def unused(servers, program, in_cluster=False):
    """Rights that nothing has needed."""
    given = set(re.findall(r"\+(\S+)", " ".join(lines_of(program, program, "*", ">secret", in_cluster))))
    return given - SPARE - {name for server in servers for name in called(server)}


def worked(server):
    """Events, a refusal, and what the sweep has to settle."""
    quota = Quota(server.client())
    quota("QUOTA.CLOCK RESUME")
    for line in ("PLAN SET pro api LIMIT 10 day WARN 80%", "OPEN bad pro", "OPEN good pro", "CONSUME good api 9",
                 "CONSUME good api 9", "RESERVE bad late api 1 TTL 1ms"):
        quota(f"QUOTA.{line}")
    return quota


def forwarded_once(folder, url):
    """A sink `archive` that has all there is."""
    (folder / "once.yaml").write_text(f"sinks: {{archive: {{file: {folder}/audit.jsonl}}}}\nforward: {QUICK}\n")
    started("forward", folder / "once.yaml", "--once", "--url", url)


def test_the_forwarder_works_with_its_rights_alone(server, tmp_path):
    url = made_user([server], "forwarder")
    receiver = Receiver(lambda got: 500 if got.json["data"].get("account") == "bad" else 204)
    quota = worked(server)
    forwarder = Forwarder(tmp_path, url, hook(receiver) + "\n  bus: {stream: 'quota:forward:bus', start: now}",
                          QUICK.replace("settle-within: 10m", "settle-within: 200ms"))
    try:
        of_hook = {"quota.limit.refused", "quota.limit.warned", "quota.hold.expired"}
        wait_until(lambda: of_hook <= {message["type"] for message in receiver.messages()}, "events do not arrive")
        wait_until(lambda: server.client().xlen("quota:forward:{hook}:dead") == 2, "no dead letters")
        quota("QUOTA.SUSPEND good")
        wait_until(lambda: server.client().xlen("quota:forward:bus"), "the stream does not grow")
        wait_until(lambda: "rl.renew" in called(server), "no lease is renewed")
    finally:
        forwarder.stop()
        receiver.close()
    assert refused_to([server], "forwarder") == {"cluster|nodes"}  # whether it is a cluster: it is none
    assert unused([server], "forwarder") == set()
    assert "permission" not in forwarder.log()


def test_the_forwarder_of_a_cluster_works_with_its_rights_alone(tmp_path):
    cluster, receiver = Cluster(shards=2, replicas=0), Receiver()
    try:
        cluster.start()
        url = made_user(cluster.servers, "forwarder", in_cluster=True)
        cluster.on_primaries("QUOTA.PLAN SET pro api LIMIT 10 day")
        forwarder = Forwarder(tmp_path, url, hook(receiver))
        cluster.client().execute_command("QUOTA.OPEN", "acme", "pro")
        wait_until(lambda: "acme" in {message["data"].get("account") for message in receiver.messages()}, "no events")
        forwarder.stop()
        assert refused_to(cluster.servers, "forwarder") == set()
        assert "permission" not in forwarder.log()
        with exporter("--url", made_user(cluster.servers, "exporter", in_cluster=True), "--account", "acme") as address:
            found = samples(fetch(f"{address}/metrics"))
        assert found["quota_event_lag"] == {(("sink", "hook"),): 0}
        assert len(found["quota_account_used_ratio"]) == 1 and set(found["quota_up"].values()) == {1}
        assert refused_to(cluster.servers, "exporter") == set()
        assert unused(cluster.servers, "exporter", in_cluster=True) <= {"rl.policy|get", "rl.policy|exceptions"}
    finally:
        receiver.close()
        cluster.close()


def test_the_exporter_works_with_its_rights_alone(server, tmp_path):
    worked(server)
    server.client().execute_command("RL.POLICY", "SET", "p", 1, "1s")
    forwarded_once(tmp_path, f"redis://127.0.0.1:{server.port}")
    with exporter("--url", made_user([server], "exporter"), "--account", "good") as address:
        found = samples(fetch(f"{address}/metrics"))
    assert found["quota_up"][()] == 1
    assert {"quota_events_total", "quota_event_lag", "quota_config_differences", "quota_account_used_ratio",
            "quota_health_problems", "quota_decisions_total"} <= found.keys()
    assert refused_to([server], "exporter") == {"cluster|nodes"}
    assert unused([server], "exporter") == set()


def test_keys_of_other_tenants_are_closed_to_them(server):
    quota = worked(server)
    quota("QUOTA.OPEN tenant:1 pro")
    for program in ("forwarder", "exporter"):
        url = made_user([server], program, keys="tenant:*")
        assert "permission" in quotactl("account", "show", "good", "--url", url, code=2).lower()
        assert answered("account", "show", "tenant:1", "--url", url)["plan"] == "pro"
        assert "permission" in quotactl("account", "suspend", "tenant:1", "--url", url, code=2).lower()


def test_an_admin_has_what_the_sinks_need(server, tmp_path):
    """Also to keep them on the server."""
    url = made_user([server], "admin")
    file = tmp_path / "all.yaml"
    file.write_text(f"plans: {{}}\npolicies: {{}}\nsinks: {{archive: {{file: {tmp_path}/audit.jsonl}}}}\n")
    quotactl("config", "apply", file, "--url", url)
    assert "sinks:" in quotactl("config", "save", "--url", url)
    forwarded_once(tmp_path, url)
    for words in (("list",), ("dead", "archive"), ("replay", "archive", "--yes"), ("enable", "archive"),
                  ("forget", "archive", "--yes")):
        quotactl("sinks", *words, "--url", url)
