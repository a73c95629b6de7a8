"""docs/reference says what the server says: what scripts/docs.py makes is current, names are complete.

    server ─▶ commands.md  settings.md  info.md      as `make docs` would write them now
    tests/clients ─▶ docs/clients                    the programs as they are
    quotactl acl ─▶ operations/acl.md                the rights of each user
    module/*.c ─▶ codes of errors ─▶ errors.md, operations/troubleshooting.md
    commands that write a key ─▶ events.md
"""

import re
import sys

import pytest
import redis

from servers import ROOT, Server

sys.path.append(str(ROOT / "scripts"))
import docs  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
CODE = re.compile(r'"-?([A-Z]{3,}) (?:[\'%a-z]|Operation )')
DOCUMENTED = re.compile(r"^\| `([A-Z]{3,})` \|", re.M)


@pytest.fixture(scope="module")
def client():
    server = Server().start()
    yield server.client()
    server.close()


@pytest.mark.parametrize("name", docs.PAGES_MADE)
def test_pages_are_what_the_server_says(client, name):
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == docs.PAGES_MADE[name](client), f"docs/reference/{name} is not current: run make docs"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "clients").glob("*.md")), ids=lambda path: path.name)
def test_pages_show_the_programs_that_are_tested(path):
    text = path.read_text(encoding="utf-8")
    assert docs.SHOWN.search(text)
    assert docs.with_programs(text) == text, f"docs/clients/{path.name} is not current: run make docs"


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_pages_show_rights_as_quotactl_prints_them(path):
    text = path.read_text(encoding="utf-8")
    assert docs.with_rights(text) == text, f"{path.name} is not current: run make docs"
    assert path.name != "acl.md" or len(docs.RIGHTS.findall(text)) == 3


@pytest.mark.parametrize("setting, lowest, highest", [
    ("quota.id-max", 1, 10_000_000), ("quota.id-ttl-ms", 1, 3_153_600_000_000)])
def test_ranges_of_numbers_are_the_settings_own(client, setting, lowest, highest):
    assert docs.SETTINGS[setting][0] == f"{lowest} to {highest}"
    before = client.config_get(setting)[setting]
    for value in (lowest, highest):
        assert client.config_set(setting, value)
    for value in (lowest - 1, highest + 1):
        with pytest.raises(redis.ResponseError):
            client.config_set(setting, value)
    client.config_set(setting, before)


def test_ranges_of_names_are_the_settings_own(client):
    for value in ("x" * 128, ""):
        assert client.config_set("quota.default-plan", value)
    for setting, value in (("quota.default-plan", "x" * 129), ("quota.tzdir", "/" + "x" * 255),
                           ("quota.tzdir", "relative"), ("quota.auto-open", "perhaps")):
        with pytest.raises(redis.ResponseError):
            client.config_set(setting, value)


def codes_of_the_module():
    """Every capital word that a string of module/ begins with, a sentence behind it; also options that begin one."""
    found = set()
    for path in sorted((ROOT / "module").glob("*.[ch]")):
        for line in path.read_text(encoding="utf-8").splitlines():
            found |= {match[1] for match in CODE.finditer(line)}
    return found


def codes_of(page):
    return set(DOCUMENTED.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))


def test_every_error_code_is_documented():
    documented = codes_of("reference/errors.md")
    options = {row.group() for row in re.finditer(r"[A-Z]{3,}", (REFERENCE / "commands.md").read_text())}
    assert {"ERR", "OOM", "UNBLOCKED", "TRYAGAIN", "NOACCOUNT"} <= documented
    missing = codes_of_the_module() - documented - options  # `LIMIT does not …` begins with an option, not with a code
    assert not missing, f"docs/reference/errors.md lacks {missing}"
    assert documented <= codes_of_the_module(), "a code that the module does not reply"


def test_every_error_code_has_its_remedy():
    remedies = re.findall(r"^## (\w+)", (ROOT / "docs/operations/troubleshooting.md").read_text(encoding="utf-8"), re.M)
    assert codes_of("reference/errors.md") <= set(remedies)


def test_every_command_that_changes_a_key_is_among_the_events(client):
    page = (REFERENCE / "events.md").read_text(encoding="utf-8")
    commands, changing = docs.commands_of(client), set()
    for name, (_, flags) in commands.items():
        on_a_key = docs.reply_of(client, "COMMAND", "INFO", name.replace(" ", "|"))[0][3] > 0 or name == "RL.MALLOW"
        changing |= {name.split()[0]} if on_a_key and "readonly" not in flags else set()
    for name in {name.split()[0] for name in commands}:
        assert (f"`{name.lower()}`" in page) == (name in changing), name
