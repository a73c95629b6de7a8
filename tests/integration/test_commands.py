"""Registration: COMMAND DOCS and key specs complete and true, flags, ACL, the exported symbol."""

import re
import subprocess

import pytest

from conftest import Quota, as_map
from servers import ROOT

COMMANDS = {  # name: (flags, arity, key spec flags)
    "rl.allow": ({"write", "denyoom", "fast", "blocking"}, -4, {"RW", "access", "update"}),
    "rl.peek": ({"readonly", "fast"}, -4, {"RO", "access"}),
    "rl.mallow": ({"write", "denyoom", "fast", "movablekeys"}, -6, {"RW", "access", "update"}),
    "rl.refund": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl.block": ({"write", "denyoom", "fast"}, 3, {"RW", "access", "update"}),
    "rl.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "rl.acquire": ({"write", "denyoom", "fast", "blocking"}, -4, {"RW", "access", "update"}),
    "rl.renew": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "rl.release": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl.table": ({"write", "denyoom", "fast"}, -4, {"RW", "access", "update"}),
    "rl.take": ({"write", "denyoom", "fast"}, -3, {"RW", "access", "update"}),
    "rl.leases": ({"readonly"}, -2, {"RO", "access"}),
    "rl.adapt": ({"write", "denyoom", "fast"}, -2, {"RW", "access", "update"}),
    "rl.breaker": ({"write", "denyoom", "fast"}, -2, {"RW", "access", "update"}),
    "rl.adapt.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "rl.breaker.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "cl.throttle": ({"write", "denyoom", "fast"}, -5, {"RW", "access", "update"}),
    "rl.throttle": ({"write", "denyoom", "fast"}, -5, {"RW", "access", "update"}),
    "rl.policy": (set(), -2, None),
    "rl.policy|set": ({"write", "denyoom"}, -5, None),
    "rl.policy|override": ({"write", "denyoom", "fast"}, -4, None),
    "rl.policy|permit": ({"write", "denyoom", "fast"}, -4, None),
    "rl.policy|refuse": ({"write", "denyoom", "fast"}, -4, None),
    "rl.policy|lift": ({"write", "fast"}, 4, None),
    "rl.policy|get": ({"readonly"}, 3, None),
    "rl.policy|del": ({"write"}, 3, None),
    "rl.policy|list": ({"readonly"}, -2, None),
    "rl.policy|exceptions": ({"readonly"}, -3, None),
    "rl._policy": ({"write"}, 3, None),
    "rl._do": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl._put": ({"write"}, 3, {"OW", "update"}),
    "quota.plan": (set(), -2, None),
    "quota.plan|set": ({"write", "denyoom"}, -4, None),
    "quota.plan|get": ({"readonly"}, 3, None),
    "quota.plan|del": ({"write"}, -3, None),
    "quota.plan|list": ({"readonly"}, -2, None),
    "quota.plan|check": ({"readonly"}, -4, None),
    "quota.plan|cancel": ({"write"}, 4, None),
    "rl._plan": ({"write"}, 3, None),
    "quota.open": ({"write", "denyoom"}, -3, {"RW", "access", "update"}),
    "quota.switch": ({"write", "denyoom"}, -3, {"RW", "access", "update"}),
    "quota.suspend": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.resume": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.close": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.override": ({"write", "denyoom"}, -3, {"RW", "access", "update"}),
    "quota.set": ({"write", "denyoom"}, -4, {"RW", "access", "update"}),
    "quota.reset": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.consume": ({"write", "denyoom", "fast"}, -4, {"RW", "access", "update"}),
    "quota.mconsume": ({"write", "denyoom", "fast"}, -5, {"RW", "access", "update"}),
    "quota.check": ({"readonly", "fast"}, -4, {"RO", "access"}),
    "quota.refund": ({"write", "denyoom", "fast"}, -4, {"RW", "access", "update"}),
    "quota.reserve": ({"write", "denyoom", "fast"}, -7, {"RW", "access", "update"}),
    "quota.commit": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "quota.release": ({"write", "fast"}, 3, {"RW", "access", "update"}),
    "quota.extend": ({"write", "fast"}, 4, {"RW", "access", "update"}),
    "quota.holds": ({"readonly"}, -2, {"RO", "access"}),
    "quota.info": ({"readonly"}, -2, {"RO", "access"}),
    "quota.history": ({"readonly"}, -3, {"RO", "access"}),
    "quota.health": ({"readonly"}, 1, None),
    "quota.clock": ({"readonly", "fast", "stale"}, -1, None),
    "quota.cycle": ({"readonly", "fast"}, -2, None),
}


def words_of(arguments):
    for argument in arguments:
        yield argument.get("token") or argument["name"]
        assert argument.get("summary"), f"{argument['name']} has no summary"
        yield from words_of(argument.get("arguments", []))


def out_of_order(arguments):
    """What has to be given, or has no word of its own, behind an option that may be left out: there parsing stops."""
    options = False
    for argument in arguments:
        has_word, optional = "token" in argument, "optional" in argument.get("flags", [])
        anywhere = argument["type"] == "oneof" or (has_word and (optional or argument["type"] == "block"))
        if options and not anywhere:
            yield argument["name"]
        options = options or (has_word and optional)
        yield from out_of_order(argument.get("arguments", []))


def test_the_list_of_commands_is_this_one(quota):
    listed = {str(name, "utf-8").lower() for name in quota.raw("COMMAND LIST FILTERBY MODULE quota")}
    assert listed == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_documentation_is_complete(quota, name):
    flags, arity, key_flags = COMMANDS[name]
    entry = quota.raw(f"COMMAND INFO {name}")[0]
    documents = as_map(quota.raw(f"COMMAND DOCS {name}"))
    shown = {str(flag, "utf-8") for flag in entry[2]}
    assert flags <= shown and shown - flags <= {"module"}, shown
    assert entry[1] == arity
    if key_flags:
        assert entry[3:6] == ([0, 0, 0] if "movablekeys" in flags else [1, 1, 1])
        spec = entry[8][0] if isinstance(entry[8][0], dict) else dict(zip(entry[8][0][::2], entry[8][0][1::2]))
        assert {str(flag, "utf-8") for flag in spec[b"flags"]} == key_flags
    document = list(documents.values())[0]
    for field in ("summary", "complexity", "since", "module"):
        assert document[field]
    assert document["summary"].endswith(".")
    assert len(list(words_of(document.get("arguments", [])))) >= 1 or arity in (-2, 1, 2)
    assert list(out_of_order(document.get("arguments", []))) == []


def test_every_word_of_the_grammar_is_documented(quota):
    document = list(as_map(quota.raw("COMMAND DOCS RL.ALLOW")).values())[0]
    assert list(words_of(document["arguments"])) == [
        "key", "rule", "algorithm", "GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG", "limit", "period",
        "BURST", "INITIAL", "INTERVAL", "FIRST", "POLICY", "SUBJECT", "ADDRESS", "COST", "mode", "UPTO", "PEEK",
        "FORCE", "WAIT", "BLOCK"]


def test_costs_are_documented_as_several(quota):
    for name in ("RL.ALLOW", "RL.PEEK"):
        document = list(as_map(quota.raw(f"COMMAND DOCS {name}")).values())[0]
        cost = next(argument for argument in document["arguments"] if argument.get("token") == "COST")
        assert cost["type"] == "integer" and "multiple" in str(cost["flags"])  # RESP2: two flags look like a pair


def test_command_getkeys(quota):
    assert quota.raw("COMMAND GETKEYS RL.ALLOW user:1 10 1s COST 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS RL.PEEK user:1 10 1s COST 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS QUOTA.CHECK user:1 a 1 b 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS CL.THROTTLE user:1 1 1 1") == [b"user:1"]


def test_access_lists_see_keys_and_directions(quota, primary):
    quota("ACL SETUSER reader on nopass %R~* -@all +rl.info +rl.allow")
    quota("RL.ALLOW k 10 1s")
    reader = Quota(primary.client(username="reader", password="any"))
    assert reader.map("RL.INFO k")["rules"]
    assert "no permissions to access" in reader.error("RL.ALLOW k 10 1s").lower()
    assert "no permissions to run" in reader.error("RL.BLOCK k 1s").lower()
    quota("ACL DELUSER reader")


def test_the_module_needs_only_libc_and_exports_one_symbol():
    needed = subprocess.run(["readelf", "-d", ROOT / "quota.so"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"NEEDED.*\[(.*)\]", needed)) <= {"libc.so.6", "libm.so.6"}
    symbols = subprocess.run(["nm", "-D", "--defined-only", ROOT / "quota.so"], capture_output=True, text=True,
                             check=True).stdout
    assert [line.split()[-1] for line in symbols.splitlines()] == ["RedisModule_OnLoad"]
    assert (ROOT / "quota.so").stat().st_mode & 0o111
