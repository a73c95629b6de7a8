"""The exporter: what it serves is what the servers say; a real Prometheus scrapes it, and every panel has a series."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest
import redis
import yaml
from servers import Server
from test_cluster import Cluster

from .monitored import (
    PROGRAMS,
    ROOT,
    eventually,
    exporter,
    fetch,
    forwarder,
    load,
    prometheus,
    samples,
)

MONITORING = ROOT / "scripts/monitoring"
PAGE = ROOT / "docs/operations/monitoring.md"


@pytest.fixture(scope="module")
def server(running):
    return running


def url(server, user=""):
    return f"redis://{user}127.0.0.1:{server.port}"


def scrape(server, *words):
    with exporter("--url", url(server), *words) as address:
        return samples(fetch(f"{address}/metrics"))


def test_it_shows_what_the_server_counts(server):
    client = server.client()
    client.flushall()
    before = scrape(server)
    for line in ("QUOTA.PLAN SET x r LIMIT 10 day CREDITS", "QUOTA.OPEN a x", "QUOTA.GRANT a g r 5",
                 "QUOTA.CONSUME a r 12", "QUOTA.CONSUME a r 12", "QUOTA.REFUND a r 2", "QUOTA.RESERVE a h r 1 TTL 1h",
                 "RL.ALLOW k 1 1d", "RL.ALLOW k 1 1d", "RL.BLOCK k 1h", "RL.ALLOW k 1 1d"):
        client.execute_command(*line.split())
    after = scrape(server, "--account", "a", "--account", "no-such-account")

    def more(name, **labels):
        key = tuple(sorted(labels.items()))
        return after[name][key] - before.get(name, {}).get(key, 0)

    assert more("quota_decisions_total", outcome="admitted", cause="none") == 3
    assert more("quota_decisions_total", outcome="refused", cause="limit") == 2
    assert more("quota_decisions_total", outcome="refused", cause="block") == 1
    of = {"plan": "x", "resource": "r"}
    assert more("quota_units_total", **of, source="plan") == 11
    assert more("quota_units_total", **of, source="credits") == 2
    assert more("quota_granted_total", **of) == 2 and more("quota_refused_total", **of) == 1
    assert more("quota_refunded_units_total", **of) == 2
    assert after["quota_accounts"][()] == after["quota_keys"][("type", "q-account"),] == 1
    assert after["quota_holds"][()] == 1 and after["quota_up"][()] == 1 and after["quota_config_differences"][()] == 0
    assert after["quota_memory_bytes"][("type", "q-account"),] > 100
    assert after["quota_health_problems"][("problem", "persistence"),] == 1
    assert more("quota_events_total") > 0 and after["quota_events_lost_total"][()] == 0
    ratios = after["quota_account_used_ratio"]
    assert set(ratios) == {(("account", "a"), ("period", "day"), ("resource", "r"))} and 0 < min(ratios.values()) <= 1


def test_a_server_that_is_down_or_lacks_the_module_is_not_up(server):
    gone = Server().start()
    with exporter("--url", url(gone), "--url", url(server)) as address:
        assert set(samples(fetch(f"{address}/metrics"))["quota_up"].values()) == {1}
        gone.close()
        text = fetch(f"{address}/metrics")
    assert f'quota_up{{server="127.0.0.1:{gone.port}"}} 0.0' in text
    assert f'quota_up{{server="127.0.0.1:{server.port}"}} 1.0' in text
    assert "quota_config_differences" not in text  # it cannot be known


def test_the_rights_of_an_auditor_are_enough(server):
    lines = subprocess.run([ROOT / ".venv/bin/python", ROOT / "scripts/quotactl", "acl", "auditor"],
                           capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines():
        server.client().execute_command(*line.split())
    with exporter("--url", url(server, "auditor:auditor-secret@")) as address:
        found = samples(fetch(f"{address}/metrics"))
    assert found["quota_up"][()] == 1 and "quota_decisions_total" in found and "quota_health_problems" in found
    assert "quota_events_total" not in found
    server.client().execute_command("ACL", "DELUSER", "auditor")


def test_how_far_sinks_are_behind(server):
    client = server.client(decode_responses=True, protocol=3)
    client.flushall()
    assert "quota_event_lag" not in scrape(server)  # no forwarder has run
    with forwarder(server):
        last = client.execute_command("QUOTA.EVENTS", "INFO")["last"]
        eventually(lambda: client.get("quota:forward:{archive}:position:0") == last)
    assert scrape(server)["quota_event_lag"] == {(("sink", "archive"),): 0}
    client.execute_command("QUOTA.PLAN", "SET", "lag", "r", "LIMIT", 10, "day")
    for name in ("one", "two", "three"):
        client.execute_command("QUOTA.OPEN", name, "lag")
    _epoch, number = client.execute_command("QUOTA.EVENTS", "INFO")["last"].split("-")
    behind = int(number) - int(last.split("-")[1])
    assert behind >= 3
    client.sadd("quota:forward:sinks", "fresh")  # one that has no position yet
    lags = scrape(server)["quota_event_lag"]
    assert lags == {(("sink", "archive"),): behind, (("sink", "fresh"),): int(number)}


def test_in_a_cluster_every_shard_counts_and_nothing_is_written():
    cluster = Cluster(replicas=0).start()
    try:
        cluster.on_primaries("QUOTA.PLAN SET lag r LIMIT 10 day")
        client = cluster.client()
        for number in range(12):
            client.execute_command("QUOTA.OPEN", f"customer:{number}", "lag")
        client.sadd("quota:forward:sinks", "fresh")
        expected = 0
        for server in cluster.primaries:
            info = server.client(decode_responses=True, protocol=3).execute_command("QUOTA.EVENTS", "INFO")
            expected += int(info["last"].split("-")[1])
        assert expected >= 12
        assert scrape(cluster.primaries[1])["quota_event_lag"] == {(("sink", "fresh"),): expected}
        assert client.exists("quota:forward:shards") == 0
    finally:
        cluster.close()


def test_primaries_that_differ_are_counted(server):
    other = Server().start()
    redis.Redis(port=other.port).execute_command("QUOTA.PLAN", "SET", "y", "r", "LIMIT", 1, "day")
    with exporter("--url", f"{url(server)},{url(other)}") as address:
        assert samples(fetch(f"{address}/metrics"))["quota_config_differences"][()] >= 1
    other.close()


def test_a_port_that_is_taken_is_one_line(server):
    with exporter("--url", url(server)) as address:
        port = address.rsplit(":", 1)[1]
        run = subprocess.run([ROOT / ".venv/bin/python", ROOT / "scripts/quotactl", "exporter", "--port", port],
                             capture_output=True, text=True, check=False)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "cannot listen" in run.stderr


# ---- what is built on it -------------------------------------------------------------------------------------------


def dashboards():
    spec = importlib.util.spec_from_file_location("dashboards", MONITORING / "dashboards.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dashboards_are_those_of_the_script():
    made = dashboards()
    for name in made.DASHBOARDS:
        text = (MONITORING / f"{name}.json").read_text()
        assert text == made.dashboard_of(name), "run scripts/monitoring/dashboards.py"
        assert json.loads(text)["uid"] == f"redis-quota-{name}"


def test_every_alert_has_a_heading_and_every_metric_a_row():
    page = PAGE.read_text()
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert f"\n### {rule['alert']}\n" in page
        assert rule["annotations"]["runbook"] == f"docs/operations/monitoring.md#{rule['alert'].lower()}"
    expressions = [rule["expr"] for rule in rules]
    expressions += [text for _, panels in dashboards().DASHBOARDS.values() for panel in panels
                    for text in panel.lines.values()]
    for name in set(re.findall(r"\bquota_\w+", " ".join(expressions))):
        assert f"`{name}`" in page, name


def test_promtool_finds_nothing(server):
    rules = subprocess.run([PROGRAMS / "promtool", "check", "rules", MONITORING / "alerts.yaml"], capture_output=True,
                           text=True, check=False)
    assert rules.returncode == 0, rules.stdout + rules.stderr
    with exporter("--url", url(server)) as address:
        text = fetch(f"{address}/metrics")
    metrics = subprocess.run([PROGRAMS / "promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                             check=False)
    assert metrics.returncode == 0, metrics.stdout + metrics.stderr


def test_every_panel_has_a_series_in_prometheus():
    server = Server().start()  # without AOF: QUOTA.HEALTH has a problem to show
    panels = [(panel.title, expression.replace("$__rate_interval", "30s"))
              for _, panels in dashboards().DASHBOARDS.values() for panel in panels
              for expression in panel.lines.values()]
    with load(server), exporter("--url", url(server), "--account", "acme") as address, \
            forwarder(server) as sending, prometheus(address, sending) as found:
        for title, expression in panels:
            assert eventually(lambda expression=expression: found.query(expression)), title
        eventually(lambda: float(found.query("sum(rate(quota_decisions_total[30s]))")[0]["value"][1]) > 0)
        loaded = json.loads(fetch(f"{found.address}/api/v1/rules"))["data"]["groups"][0]["rules"]
        assert {rule["health"] for rule in loaded} <= {"ok", "unknown"} and len(loaded) == 10
    server.close()
