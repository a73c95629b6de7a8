"""Every example of README and docs/ is run: a line `    > COMMAND` is a command, the line below it its reply.

    > RL.ALLOW user:42 10 1s COST 3        what stands behind three spaces is a comment
    [3 10 7 0 300 0]

Each page begins with no keys, its clock frozen; its examples are run in their order.
"""

import pathlib
import re
import shlex

import pytest

from conftest import NOON, Quota, clear_plans
from servers import ROOT, Server

PAGES = [pathlib.Path(ROOT, "README.md"), *sorted(pathlib.Path(ROOT, "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {4}> (\S.*?)(?: {3,}.*)?$")
REPLY = re.compile(r'^ {4}(?:\[(-?\d+(?: -?\d+)*)\]|\(integer\) (-?\d+)|"(\w+)"|(OK))')


def reply_of(match):
    """As redis-py answers it."""
    integers, integer, text, ok = match.groups()
    if integers:
        return [int(number) for number in integers.split()]
    return int(integer) if integer else (text or ok).encode()


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
def server():
    server = Server().start()
    yield Quota(server.client())
    server.close()


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_examples_answer_what_the_page_says(server, page):
    server("FLUSHALL")
    clear_plans(server)
    server(f"QUOTA.CLOCK FREEZE {NOON}")
    for command, reply in examples(page):
        answer = server.client.execute_command(*shlex.split(command))
        if reply is not None:
            assert answer == reply, f"{page.name}: {command}"


def test_there_are_examples_on_the_pages_that_begin_with_one():
    with_examples = {page.name for page in PAGES if examples(page)}
    assert {"README.md", "getting-started.md", "choosing-an-algorithm.md", "http-headers.md"} <= with_examples


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) <= 150
