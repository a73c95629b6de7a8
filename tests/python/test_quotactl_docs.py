"""Every example of quotactl in docs/ is run by a shell, as it stands there.

    ```console              $ a line for bash; the lines below it are what it prints, standard error included
    <!-- file NAME -->      the block that follows is that file

A page begins on an empty server with a clock that is held, in an empty folder. `…` stands for anything within a line.
The server's port is shown as 6379.
"""

import os
import re
import subprocess
import sys

import pytest
from conftest import Quota
from servers import ROOT

from .calls import LAUNCHER, emptied, quotactl, url_of

BLOCK = re.compile(r"^(?:<!-- file (\S+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "```console\n" in path.read_text()]
PRO = "QUOTA.PLAN SET pro api LIMIT 1000 month"
SETUP = {"quotactl.md": [PRO], "forwarding.md": [PRO]}  # what is there when a page begins
PROMPT = "$ "


@pytest.fixture
def shell(running, tmp_path):
    """Runs a line; quotactl and redis-cli are those of this tree and reach the server of the tests."""
    tools = tmp_path / "tools"
    work = tmp_path / "work"
    for folder in (tools, work):
        folder.mkdir()
    for name, line in (("quotactl", f"{sys.executable} {LAUNCHER}"), ("redis-cli", f"redis-cli -p {running.port}")):
        (tools / name).write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]} exec {line} "$@"\n')
        (tools / name).chmod(0o755)
    emptied(running)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "QUOTA_URL": url_of(running)}

    def run(line):
        # redis-cli shows numbers and types as at a terminal only with --no-raw.
        line = line.replace("redis-cli ", "redis-cli --no-raw ")
        done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=work, env=env, check=False)
        return done.stdout.replace(f":{running.port}", ":6379")
    run.work = work
    run.quota = Quota(running.client())
    return run


def examples(page):
    """Files to write and lines to run, in their order: ("file", name, text) or ("run", line, what it prints)."""
    for name, kind, text in BLOCK.findall(page.read_text()):
        if name:
            yield "file", name, text
        elif kind == "console":
            for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE):
                if part:
                    line, _, printed = part.removeprefix(PROMPT).partition("\n")
                    yield "run", line, printed


def pattern(printed):
    return "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", printed))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_print_what_the_page_says(shell, page):
    for line in SETUP.get(page.name, []):
        shell.quota(line)
    for kind, what, text in examples(page):
        if kind == "file":
            (shell.work / what).write_text(text)
            continue
        printed = shell(what)
        assert re.fullmatch(pattern(text), printed), f"$ {what}\n{printed}"


def test_there_are_pages_with_examples():
    names = {str(page.relative_to(ROOT / "docs")) for page in PAGES}
    assert {"quotactl.md", "migrating/redis-cell.md", "migrating/goquota.md", "migrating/limits.md",
            "migrating/upstash.md"} <= names


def test_the_page_names_every_command():
    from .test_quotactl_program import every_command
    page = (ROOT / "docs/quotactl.md").read_text()
    for words, _ in every_command():
        assert words[0] in page, words
        assert words[-1] in page, words


def test_the_plot_of_adaptive_limits_is_what_the_module_does(tmp_path):
    drawn = tmp_path / "drawn.svg"
    said = quotactl("simulate", "adaptive", drawn, "--module", ROOT / "quota.so", "--csv")
    assert drawn.read_text() == (ROOT / "docs/adaptive.svg").read_text()
    page = (ROOT / "docs/breakers-and-adaptive.md").read_text()
    for row in said.splitlines()[1:]:
        mean, spread, lowest, highest = row.split(",")[4:]
        assert f"| {mean} | {spread} | {lowest}, {highest} |" in page, row
