"""The programs of docs/clients.md, built and run against real servers: a single one, and a cluster of three.

    python/limits.py   go/main.go   typescript/limits.ts   java/Limits.java ──▶ all print EXPECTED

Packages come from the machine's own registries of each language; what is built stays in build/clients. A language whose
tools are not on the machine, or whose packages it cannot fetch, is skipped, and the skip says which.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "integration"))
from servers import Server  # noqa: E402
from test_cluster import Cluster  # noqa: E402

HERE, BUILD = ROOT / "tests" / "clients", ROOT / "build" / "clients"
FETCH_S, BUILD_S = 150, 300  # at most, on a machine that runs the other tests meanwhile

EXPECTED = """\
allow: granted 10, 0 of 10 left
denied: 429 Retry-After: 360, RateLimit: "default";r=0;t=360
consume: granted 300
consume: granted 300
refund: 100
commit: 5100
used: 5300
lease: a token that grows: true
cluster: plan on 3 primaries
cluster: granted 9 in one pipeline
cluster: 9 and 99 left
"""


def run(*words, folder=None, timeout=BUILD_S, **variables):
    done = subprocess.run([str(word) for word in words], cwd=folder, env={**os.environ, **variables}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, words))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def fetched(language, *words):
    """The language's folder under build/, where its tools may write, with its packages."""
    missing = [tool for tool in LANGUAGES[language] if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{language.__name__}: {' and '.join(missing)} not on this machine")
    folder = shutil.copytree(HERE / language.__name__, BUILD / language.__name__, dirs_exist_ok=True)
    try:
        run(*words, folder=folder, timeout=FETCH_S)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{language.__name__}: its packages cannot be fetched here: {error}")
    return folder


def python(**variables):
    return run(sys.executable, HERE / "python" / "limits.py", **variables)


def go(**variables):
    folder = fetched(go, "go", "mod", "download")
    run("go", "vet", "./...", folder=folder)
    run("go", "build", "-o", "limits", ".", folder=folder)
    return run(folder / "limits", **variables)


def typescript(**variables):
    folder = fetched(typescript, "npm", "ci", "--silent")
    run("npx", "tsc", "--project", ".", folder=folder)
    return run("node", folder / "limits.js", **variables)


def java(**variables):
    folder = fetched(java, "mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies",
                     "-DoutputDirectory=packages")
    return run("java", "-cp", folder / "packages" / "*", folder / "Limits.java", **variables)


LANGUAGES = {python: (), go: ("go",), typescript: ("node", "npm"), java: ("java", "mvn")}  # its tools


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(replicas=0)
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.__name__)
def test_the_program_prints_what_the_page_says(language, cluster):
    for node in cluster.servers:
        node.client().execute_command("FLUSHALL")
    server = Server().start()
    try:
        url, cluster_url = (f"redis://127.0.0.1:{one.port}" for one in (server, cluster.servers[0]))
        assert language(REDIS_URL=url, CLUSTER_URL=cluster_url) == EXPECTED
    finally:
        server.close()
