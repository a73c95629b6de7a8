"""Registration: COMMAND DOCS and key specs complete and true, flags, ACL, the exported symbol."""

import re
import subprocess

import pytest
import redis

from conftest import Quota, as_map
from servers import HIDES_INTERNAL, ROOT
from test_reshard import redis_cli

COMMANDS = {  # name: (flags, arity by its rows, key spec flags); the server counts only the words of the stream's own
    "rl.allow": ({"write", "fast", "blocking"}, -4, {"RW", "access", "update"}),
    "rl.peek": ({"readonly", "fast"}, -4, {"RO", "access"}),
    "rl.mallow": ({"write", "fast", "movablekeys"}, -6, {"RW", "access", "update"}),
    "rl.refund": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl.block": ({"write", "fast"}, 3, {"RW", "access", "update"}),
    "rl.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "rl.acquire": ({"write", "fast", "blocking"}, -4, {"RW", "access", "update"}),
    "rl.renew": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "rl.release": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl.table": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "rl.take": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl.mtake": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "rl.leases": ({"readonly"}, -2, {"RO", "access"}),
    "rl.adapt": ({"write", "fast"}, -2, {"RW", "access", "update"}),
    "rl.breaker": ({"write", "fast"}, -2, {"RW", "access", "update"}),
    "rl.adapt.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "rl.breaker.info": ({"readonly", "fast"}, 2, {"RO", "access"}),
    "cl.throttle": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "rl.throttle": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "rl.policy": (set(), -2, None),
    "rl.policy|set": ({"write"}, -5, None),
    "rl.policy|override": ({"write", "fast"}, -4, None),
    "rl.policy|permit": ({"write", "fast"}, -4, None),
    "rl.policy|refuse": ({"write", "fast"}, -4, None),
    "rl.policy|lift": ({"write", "fast"}, 4, None),
    "rl.policy|get": ({"readonly"}, 3, None),
    "rl.policy|del": ({"write"}, 3, None),
    "rl.policy|list": ({"readonly"}, -2, None),
    "rl.policy|check": ({"readonly"}, -5, None),
    "rl.policy|help": ({"readonly", "fast", "stale"}, 2, None),
    "quota.plan|help": ({"readonly", "fast", "stale"}, 2, None),
    "rl.policy|exceptions": ({"readonly"}, -3, None),
    "rl._policy": ({"write"}, -3, None),
    "rl._do": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "rl._put": ({"write"}, 3, {"OW", "update"}),
    "rl._room": ({"readonly", "denyoom", "fast"}, 1, None),
    "quota.plan": (set(), -2, None),
    "quota.plan|set": ({"write"}, -4, None),
    "quota.plan|get": ({"readonly"}, 3, None),
    "quota.plan|del": ({"write"}, -3, None),
    "quota.plan|list": ({"readonly"}, -2, None),
    "quota.plan|check": ({"readonly"}, -4, None),
    "quota.plan|cancel": ({"write"}, 4, None),
    "rl._plan": ({"write"}, -3, None),
    "rl._events": ({"write"}, 2, None),
    "quota.apikey": (set(), -2, None),
    "quota.apikey|set": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "quota.apikey|rotate": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "quota.apikey|revoke": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "quota.apikey|verify": ({"readonly", "fast"}, -4, {"RO", "access"}),
    "quota.apikey|list": ({"readonly"}, -3, {"RO", "access"}),
    "quota.apikey|help": ({"readonly", "fast", "stale"}, 2, None),
    "quota.open": ({"write", "movablekeys"}, -3, {"RW", "access", "update"}),
    "quota.switch": ({"write"}, -3, {"RW", "access", "update"}),
    "quota.suspend": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.resume": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.close": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.parent": ({"write"}, -3, {"RW", "access", "update"}),
    "quota.detach": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.weight": ({"write"}, -4, {"RW", "access", "update"}),
    "quota.members": ({"readonly"}, -2, {"RO", "access"}),
    "quota.override": ({"write"}, -3, {"RW", "access", "update"}),
    "quota.set": ({"write"}, -4, {"RW", "access", "update"}),
    "quota.reset": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.settle": ({"write"}, -2, {"RW", "access", "update"}),
    "quota.consume": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "quota.mconsume": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "quota.ingest": ({"write"}, -6, {"RW", "access", "update"}),
    "quota.check": ({"readonly", "fast"}, -4, {"RO", "access"}),
    "quota.refund": ({"write", "fast"}, -4, {"RW", "access", "update"}),
    "quota.reserve": ({"write", "fast"}, -7, {"RW", "access", "update"}),
    "quota.commit": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "quota.release": ({"write", "fast"}, 3, {"RW", "access", "update"}),
    "quota.extend": ({"write", "fast"}, 4, {"RW", "access", "update"}),
    "quota.holds": ({"readonly"}, -2, {"RO", "access"}),
    "quota.grant": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "quota.void": ({"write", "fast"}, -3, {"RW", "access", "update"}),
    "quota.grants": ({"readonly"}, -2, {"RO", "access"}),
    "quota.transfer": ({"write", "fast"}, -5, {"RW", "access", "update"}),
    "quota.info": ({"readonly"}, -2, {"RO", "access"}),
    "quota.history": ({"readonly"}, -3, {"RO", "access"}),
    "quota.forecast": ({"readonly"}, -3, {"RO", "access"}),
    "quota.bill": ({"readonly"}, -2, {"RO", "access"}),
    "quota.record": ({"readonly"}, -3, {"RO", "access"}),
    "quota.health": ({"readonly"}, 1, None),
    "quota.events": (set(), -2, None),
    "quota.events|read": ({"admin", "blocking"}, -2, None),
    "quota.events|info": ({"admin", "stale"}, 2, None),
    "quota.events|help": ({"readonly", "fast", "stale"}, 2, None),
    "quota.violations": ({"admin", "stale"}, -1, None),
    "quota.clock": ({"readonly", "fast", "stale"}, -1, None),
    "quota.cycle": ({"readonly", "fast"}, -2, None),
}


OURS = [name for name in COMMANDS if "._" not in name and name not in ("rl.policy", "quota.plan", "quota.apikey",
                                                                        "quota.events")]


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


def test_the_list_of_commands_is_this_one(quota, inside):
    """rl._plan stays visible where the test clock is allowed: tests forget plans by it."""
    def listed(client):
        return {str(name, "utf-8").lower() for name in client.raw("COMMAND LIST FILTERBY MODULE quota")}
    hidden = {name for name in COMMANDS if "._" in name and name != "rl._plan"} if HIDES_INTERNAL else set()
    assert listed(inside) == set(COMMANDS) and listed(quota) == set(COMMANDS) - hidden


@pytest.mark.parametrize("name", COMMANDS)
def test_documentation_is_complete(inside, name):
    flags, arity, key_flags = COMMANDS[name]
    entry = inside.raw(f"COMMAND INFO {name}")[0]
    documents = as_map(inside.raw(f"COMMAND DOCS {name}"))
    shown = {str(flag, "utf-8") for flag in entry[2]}
    assert flags <= shown and shown - flags <= {"module", "noscript"}, shown  # what is hidden is no script's, either
    assert entry[1] == (-1 if name in OURS else arity)
    if key_flags:
        first = 2 if "|" in name else 1  # behind the subcommand
        last = 2 if name in ("quota.transfer", "quota.parent") else first
        step = 5 if name == "quota.ingest" else 1  # the first word of every row
        last = -1 if step > 1 else last
        counted = "movablekeys" in flags and name != "quota.open"  # where another key may stand behind PARENT
        assert entry[3:6] == ([0, 0, 0] if counted else [first, last, step])
        spec = entry[8][0] if isinstance(entry[8][0], dict) else dict(zip(entry[8][0][::2], entry[8][0][1::2]))
        assert {str(flag, "utf-8") for flag in spec[b"flags"]} == key_flags
    document = list(documents.values())[0]
    for field in ("summary", "complexity", "since", "module"):
        assert document[field]
    assert document["summary"].endswith(".")
    assert len(list(words_of(document.get("arguments", [])))) >= 1 or arity in (-2, 1, 2)
    assert list(out_of_order(document.get("arguments", []))) == []


RULE = ["rule", "algorithm", "GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG", "limit", "period", "BURST",
        "INITIAL", "INTERVAL", "FIRST"]


def test_every_word_of_the_grammar_is_documented(quota):
    document = list(as_map(quota.raw("COMMAND DOCS RL.ALLOW")).values())[0]
    assert list(words_of(document["arguments"])) == [
        "key", *RULE, *RULE, *RULE, "POLICY", "SUBJECT", "ADDRESS", "COST", "mode", "UPTO", "PEEK", "FORCE", "WAIT",
        "BLOCK"]
    rules = [str(argument["flags"]) for argument in document["arguments"] if argument["name"] == "rule"]
    assert ["multiple" in flags for flags in rules] == [False, False, True]
    assert all("optional" in flags for flags in rules)  # a policy may stand in place of the first
    for argument in document["arguments"]:
        assert argument.get("display_text", argument["name"]) == argument["name"]  # servers of 7.0 have no such field


HINTS = [  # what has been typed, and how redis-cli's hint begins
    ("RL.ALLOW k 10 ", "period [BURST capacity]"), ("RL.ALLOW k TOKEN ", "limit period"),
    ("RL.ALLOW k 10 1s BURST 5 ", "[INITIAL initial] [INTERVAL] [FIRST] [["),
    ("RL.ALLOW k 10 1s 100 ", "period [BURST capacity]"), ("RL.ALLOW k 10 1s 100 1h SLIDING 1000 ", "period [BURST"),
    ("RL.ALLOW k 10 1s 100 1h SLIDING 1000 1d COST ", "cost [cost ...]"), ("RL.ALLOW k POLICY ", "policy [["),
    ("QUOTA.PLAN SET p r LIMIT 1000 day LIMIT 20000 ", "[period] [ROLLING window]"),
    ("QUOTA.PLAN SET p r LIMIT 1000 day LIMIT 20000 month CALENDAR RATE 10 ", "period [BURST capacity]"),
    ("QUOTA.PLAN SET p r LIMIT 1000 day RATE 10 1s APPLY ", "FULL|PRORATE|END"),
    ("QUOTA.CONSUME a r 5 ID x ", "[UPTO|CHECK|PEEK|FORCE]")]


@pytest.mark.parametrize("typed, hint", HINTS)
def test_hints_move_on_with_what_is_typed(quota, primary, typed, hint):
    code, output = redis_cli("-p", primary.port, "--test_hint", typed)
    if code != 0:
        pytest.skip("the redis-cli of Redis 7.0 hints by counting words, and cannot show a hint")
    assert output.startswith(hint)


@pytest.mark.parametrize("name", OURS)
def test_a_wrong_number_of_words_is_answered_with_the_usage(quota, name):
    arity, line = COMMANDS[name][1], name.replace("|", " ")
    usage = f"Usage: {line.upper()}"
    given = len(line.split())
    for words in range(abs(arity) - given):  # too few
        error = quota.error(line + words * " 1")
        assert "wrong number of arguments" in error and usage in error, error
    if arity > 0:
        assert usage in quota.error(line + (arity - given + 1) * " 1")


USAGES = [
    ("RL.ALLOW k 10/s", "RL.ALLOW key rule [rule ...] | POLICY policy [SUBJECT subject] [ADDRESS address] "
                        "[COST cost [cost ...]] [UPTO | PEEK | FORCE] [WAIT wait] [BLOCK block]"),
    ("RL.ALLOW k", "RL.ALLOW key rule [rule ...] | POLICY policy"), ("RL.INFO k k", "RL.INFO key"),
    ("RL.MALLOW 1 k", "RL.MALLOW numkeys key [key ...] WITH rule [rule ...] | POLICY policy [WITH ...]"),
    ("RL.POLICY SET p", "RL.POLICY SET name rule [rule ...] [BLOCK block] [SHADOW] [SCHEDULE zone days from-to"),
    ("QUOTA.MCONSUME a 1", "QUOTA.MCONSUME account numresources resource amount [resource amount ...]"),
    ("QUOTA.INGEST a r 1 i", "QUOTA.INGEST account resource amount id at [account resource amount id at ...]"),
    ("QUOTA.INFO", "QUOTA.INFO account [resource [resource ...]]"), ("RL.ADAPT k", "RL.ADAPT key min max"),
    ("RL.BREAKER", "RL.BREAKER key [FAILURES failures]"), ("RL.BREAKER k INFO now", "RL.BREAKER key INFO"),
]
WORDS = [  # an unknown word, and the words that may stand there
    ("RL.ALLOW k 10 1s FOO", "'FOO' is not an option here; there may be POLICY, SUBJECT, ADDRESS, COST, UPTO, PEEK, "
                             "FORCE, WAIT, BLOCK"),
    ("RL.ALLOW k 10 1s COST 1 FOO", "there may be POLICY, SUBJECT, ADDRESS, UPTO"),
    ("RL.BREAKER k REPORT success", "'success' is not an option here; there may be OK, FAIL, TOOK"),
    ("RL.BREAKER k FORCE half-open", "there may be OPEN, CLOSED, AUTO"),
    ("QUOTA.PLAN SET p r LIMIT 1 day APPLY SOON", "'SOON' is not an option here; there may be FULL, PRORATE, END"),
    ("QUOTA.PLAN SET p r LIMIT 1 day APPLY", "mode is missing"),
    ("RL.ADAPT k REPORT SLOW", "there may be LATENCY, ERROR, LOAD"),
    ("QUOTA.CONSUME a r 1 CHEK", "there may be ID, UPTO, CHECK, PEEK, FORCE, STICKY"),
    ("QUOTA.CLOCK STOP", "there may be FREEZE, ADVANCE, RESUME"), ("RL.LEASES k LIMIT", "there may be COUNT, AFTER"),
    ("RL.ALLOW k TOKENS 10 1s", "rule beginning with 'TOKENS': limit 'TOKENS' is not an integer, nor one of the "
                                "algorithms GCRA, TOKEN, LEAKY, QUEUE, FIXED, SLIDING, LOG"),
    ("RL.TABLE k BUCKET 10 1s", "GCRA, TOKEN, LEAKY, QUEUE, FIXED, SLIDING, LOG"),
    ("RL.POLICY CHECK p BUCKET 10 1s", "GCRA, TOKEN, LEAKY, QUEUE, FIXED, SLIDING, LOG"),
]


@pytest.mark.parametrize("line, usage", USAGES)
def test_usage_lines(quota, line, usage):
    error = quota.error(line)
    assert usage in error, error
    assert "wrong number of arguments" in error


@pytest.mark.parametrize("line, says", WORDS)
def test_an_unknown_word_is_answered_with_those_that_may_stand_there(quota, line, says):
    assert says in quota.error(line)


def test_a_wrong_type_names_both(quota):
    quota("SET text 1")
    quota("LPUSH list 1")
    quota("RL.ALLOW bucket 1 1s")
    quota("RL.TABLE table 1 1s")
    for line, names in [("RL.ALLOW text 1 1s", "string, not rl-bucket"), ("RL.INFO list", "list, not rl-bucket"),
                        ("QUOTA.INFO bucket", "rl-bucket, not q-account"), ("RL.TAKE text s", "string, not rl-tables"),
                        ("RL.ACQUIRE table 1 1s", "rl-tables, not rl-leases"),
                        ("RL.BREAKER text", "string, not rl-breakr"), ("RL.ADAPT.INFO text", "string, not rl-adaptv"),
                        ("QUOTA.CONSUME list r 1", "list, not q-account")]:
        with pytest.raises(redis.ResponseError, match="WRONGTYPE") as raised:
            quota(line)
        assert str(raised.value).endswith(names)


@pytest.mark.parametrize("container", ["RL.POLICY", "QUOTA.PLAN"])
def test_containers_help_and_reach_every_primary(quota, container):
    lines = [line.decode() if isinstance(line, bytes) else line for line in quota(f"{container} HELP")]
    assert lines[0] == f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    subcommands = {name.split("|")[1].upper() for name in COMMANDS if name.startswith(container.lower() + "|")}
    assert {line.split()[0] for line in lines[1::2]} == subcommands
    assert all(line.startswith("    ") and line.endswith(".") for line in lines[2::2])
    assert "Usage" in quota.error(f"{container} HELP me")
    tips = [str(tip, "utf-8") for tip in quota.raw(f"COMMAND INFO {container}")[0][7]]
    assert tips == ["request_policy:all_shards", "response_policy:all_succeeded"]
    assert "HELP" in quota.error(f"{container} NOPE")


def test_costs_are_documented_as_several(quota):
    for name in ("RL.ALLOW", "RL.PEEK"):
        document = list(as_map(quota.raw(f"COMMAND DOCS {name}")).values())[0]
        cost = next(argument for argument in document["arguments"] if argument.get("token") == "COST")
        assert cost["type"] == "integer" and "multiple" in str(cost["flags"])  # RESP2: two flags look like a pair


def test_command_getkeys(quota):
    assert quota.raw("COMMAND GETKEYS RL.ALLOW user:1 10 1s COST 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS RL.PEEK user:1 10 1s COST 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS QUOTA.CHECK user:1 a 1 b 2") == [b"user:1"]
    assert quota.raw("COMMAND GETKEYS QUOTA.INGEST a r 1 i * b r 1 i * a r 2 j *") == [b"a", b"b", b"a"]
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
