"""Every example of README and docs/ is run: a line `    > COMMAND` is a command, the line below it its reply.

    > RL.ALLOW user:42 10 1s COST 3        what stands behind three spaces is a comment
    [3 10 7 0 300 0]

Each page begins with no keys, no plans and the default settings, its clock frozen; its examples are run in their order.
A program shown as ```python is run by itself, and prints what the ```text below it says.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import redis

from conftest import NOON, Quota, clear_plans, clear_policies
from servers import PATIENCE_S, ROOT, Server, wait_until

sys.path.append(str(ROOT / "scripts"))
from bench import figures  # noqa: E402

BENCH = ROOT / "docs" / "bench"
PAGES = [pathlib.Path(ROOT, "README.md"), *sorted(pathlib.Path(ROOT, "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {4}> (\S.*?)(?: {3,}.*)?$")
REPLY = re.compile(r'^ {4}(?:\[(\[[-\d \[\]]+\])\]|\[(-?\d+(?: -?\d+)*)\]|'
                   r'\(integer\) (-?\d+)|"([^"]*)"|(OK)|\(error\) (\S.*)|(\(nil\)))')


def reply_of(match):
    """As `answer` gives it."""
    rows, integers, integer, text, ok, error, _ = match.groups()
    if rows:
        return [[int(number) for number in row.split()] for row in rows[1:-1].split("] [")]
    if integers:
        return [int(number) for number in integers.split()]
    if integer:
        return int(integer)
    if error:
        return error
    return (text or ok).encode() if text or ok else NIL


NIL = "(nil)"  # a page that shows no reply expects none, so a null needs a name


def answer(quota, command):
    try:
        reply = quota.client.execute_command(*shlex.split(command))
    except redis.ResponseError as error:
        return str(error)
    return NIL if reply is None else reply


def examples(page):
    """[(command, its reply or None)]"""
    found = []
    for line in page.read_text().splitlines():
        command, reply = COMMAND.match(line), REPLY.match(line)
        if command:
            found.append([command[1], None])
        elif reply and found and found[-1][1] is None:
            found[-1][1] = reply_of(reply)
    return found


@pytest.fixture(scope="module")
def running():
    server = Server().start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def server(running):
    return Quota(running.client())


@pytest.fixture(scope="module")
def port(running):
    return running.port


def begin(server):
    """As every page begins."""
    server("FLUSHALL")
    clear_plans(server)
    clear_policies(server)
    server("CONFIG SET notify-keyspace-events", "")
    server(f"QUOTA.CLOCK FREEZE {NOON}")


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_examples_answer_what_the_page_says(server, page):
    begin(server)
    for command, reply in examples(page):
        answered = answer(server, command)
        if reply is None:
            assert not isinstance(answered, str), f"{page.name}: {command}: {answered}"
        else:
            assert answered == reply, f"{page.name}: {command}"


PROGRAM = re.compile(r"^```python\n(.*?)^```$\n(?:\n*^```text\n(.*?)^```$)?", re.M | re.S)
PROGRAMS = [(page, number, *match.groups()) for page in PAGES if page.parent.name != "clients"
            for number, match in enumerate(PROGRAM.finditer(page.read_text()), 1)]


@pytest.mark.parametrize("page, number, program, printed", PROGRAMS,
                         ids=[f"{page.name}-{number}" for page, number, *_ in PROGRAMS])
def test_programs_print_what_the_page_says(server, port, page, number, program, printed):
    begin(server)
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "REDIS_URL": f"redis://127.0.0.1:{port}",
                                                   "PYTHONPATH": str(ROOT / "scripts/python")},
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert printed is not None, "a program shows what it prints"
    assert done.stdout == printed


def test_there_are_examples_on_the_pages_that_begin_with_one():
    with_examples = {page.name for page in PAGES if examples(page)}
    assert {"README.md", "getting-started.md", "concepts.md", "choosing-an-algorithm.md", "http-headers.md",
            "recipes.md", "clients.md", "operations.md", "production.md", "acl.md", "cluster.md", "troubleshooting.md",
            "commands.md", "settings.md", "info.md", "events.md", "errors.md"} <= with_examples


def headings(page):
    """The anchors of a page, made of its headings as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", prose):
        if "://" not in target:
            path = page.parent / target if target else page
            assert path.exists(), target
            assert not anchor or anchor in headings(path), f"{target}#{anchor}"


# What people type into a search box; each is on a page that people write, so that a search leads to it.
SEARCHED = """
    token bucket, leaky bucket, fixed window, sliding window, sliding log, GCRA, rate limiter, burst capacity, throttle
    concurrency, concurrency limit, semaphore, lease, fencing token, FIFO queue, circuit breaker, adaptive limit
    idempotency, idempotency key, idempotent, retry, replay, refund, reservation, proration, anniversary, subscription
    billing cycle, trial, soft limit, grace period, overage, rollover, prepaid, credits, organisation, time zone
    allowlist, denylist, precedence, override, shadow, dry run, IP address, tenant, API key, audit trail
    middleware, FastAPI, 429, Retry-After, RateLimit-Policy, fail open, fail closed, time-out, connection pool
    high availability, durability, failover, replica, Sentinel, cluster, hash tag, resharding, eviction, noeviction
    Docker, managed Redis, macOS, Prometheus, monitoring, backup, upgrade, downgrade, licence, redis-cell
    configuration, clock goes backwards, fully replenished, resume, Python, Go, TypeScript, Java, Node.js
    """.replace("\n", ",").split(",")
SEARCHED = [term.strip() for term in SEARCHED if term.strip()]


@pytest.mark.parametrize("term", SEARCHED)
def test_a_search_finds_what_people_call_it(term):
    """README or a page of docs/ has the words as they stand, in any case; reference/ is made, so it does not count."""
    pages = [page.read_text().lower() for page in PAGES if page.parent.name not in ("reference", "bench")]
    assert any(term.lower() in " ".join(page.split()) for page in pages)


# The glossary's words instead: request, check, view, reset, fully replenished, client, configuration.
UNUSED = re.compile(r"\b(?:[Aa]sk(?:s|ed|ing)?|[Tt]old|[Hh]eard|[Ss]omebody|[Nn]obody|[Hh]e|[Hh]is|anew|minted|tenancy|"
                    r"footing|lent|as good as new|standing)\b")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "scripts/tour"], ids=lambda page: page.name)
def test_pages_use_the_words_of_the_glossary(page):
    assert not UNUSED.findall(page.read_text())


def test_the_server_uses_the_words_of_the_glossary(server):
    tops = {name.decode().split("|")[0] for name in server.raw("COMMAND LIST FILTERBY MODULE quota")}
    for name in tops:
        assert not UNUSED.findall(str(server.raw(f"COMMAND DOCS {name}"))), name
    for path in sorted((ROOT / "module").glob("*.c")):
        for text in re.findall(r'"(?:ERR|[A-Z]{5,}) [^"]*"', path.read_text()):
            assert not UNUSED.findall(text), f"{path.name}: {text}"


def test_the_configuration_of_production_is_healthy():
    """The lines of its redis.conf, on a primary: nothing to report, and no write without a replica."""
    block = re.search(r"^ {4}loadmodule .*?\n\n", (ROOT / "docs/operations/production.md").read_text(), re.M | re.S)
    lines = [line.split("#")[0].split() for line in block.group().splitlines()[1:]]
    primary = Server((), **{name: value for name, value in filter(None, lines)}).start()
    replica = Server(()).start()
    try:
        quota = Quota(primary.client())
        assert quota.map("QUOTA.HEALTH") == {"status": "ok", "problems": []}
        assert "NOREPLICAS" in quota.error("RL.ALLOW k 10 1s")
        replica.follow(primary)
        wait_until(lambda: primary.client().info("replication")["min_slaves_good_slaves"] == 1, "no good replica")
        assert quota("RL.ALLOW k 10 1s")[0] == 1
    finally:
        replica.close()
        primary.close()


def test_the_architecture_names_every_file_and_no_other():
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = page[page.index("## The rooms, file by file"):page.index("## An account")]
    named = set(re.findall(r"[a-z_]+", rooms))
    missing = [path.name for path in [*ROOT.glob("src/*/*.c"), *ROOT.glob("module/*.c")] if path.stem not in named]
    assert not missing, f"docs/architecture.md, The rooms: {missing}"
    for page in (page, (ROOT / "docs/contributing.md").read_text()):
        for folder, name in re.findall(r"\b(base|time|rate|account|view|meter|decide|module)/(\w+\.[ch])\b", page):
            tree = "" if folder == "module" else "src" if name.endswith("c") else "include/quota"
            assert (ROOT / tree / folder / name).exists(), f"{folder}/{name}"


def test_figures_are_those_of_the_last_run():
    assert (BENCH / "figures.md").read_text() == figures.page(BENCH), "run make bench-figures"


def test_the_readme_shows_the_counted_instructions():
    counted = json.loads((BENCH / "instructions.json").read_text())
    shown = re.findall(r"^\| ([A-Z][^|]*?) \| ([\d,]+) \| ([\d.]+) \|$", PAGES[0].read_text(), re.M)
    assert len(shown) > 5
    for name, instructions, in_sets in shown:
        row = counted[name]
        assert (instructions, in_sets) == (f"{row['instructions']:,}", f"{row['in_sets']:.2f}"), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_of_a_table_have_the_cells_of_its_head(page):
    cells = 0
    for line in page.read_text().splitlines():
        row = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (row and cells) or row == cells, line
        cells = row


def test_the_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) <= 150
