#!/usr/bin/env python3
"""Writes what docs/ has from elsewhere: the reference from a running server, programs from their files.

    quota.so ─▶ server ─┬─ COMMAND DOCS, COMMAND INFO ─▶ reference/commands.md
                        ├─ CONFIG GET quota.*  ────────▶ reference/settings.md    + SETTINGS below: range, meaning
                        └─ INFO quota  ────────────────▶ reference/info.md        + FIELDS below: meaning
    tests/clients/go/main.go … ────────────────────────▶ any page: the block below <!-- tests/clients/go/main.go -->
    redis_quota/cli/acl.py ────────────────────────────▶ any page: the lines below <!-- quotactl acl ROLE -->

A command that no family names, a setting or a field without a meaning is an error here, so no name can be missing.
`make docs` runs it; tests/integration/test_reference.py fails when a page is not what this script would write.
"""
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
sys.path.append(str(ROOT / "scripts" / "python"))
MADE = "Made by `make docs` from a running server: change the source, not this page."

# Family, its page, its commands in the order of the page. Commands of the replication stream begin with RL._ and are
# refused to clients: they are in no family.
FAMILIES = (
    ("Rate limits", "../rate-limits.md", "RL.ALLOW RL.PEEK RL.MALLOW RL.REFUND RL.BLOCK RL.INFO RL.TABLE RL.TAKE "
     "RL.MTAKE"),
    ("Leases", "../leases.md", "RL.ACQUIRE RL.RENEW RL.RELEASE RL.LEASES"),
    ("Policies", "../policies.md", "RL.POLICY"),
    ("Circuit breakers and adaptive limits", "../breakers-and-adaptive.md",
     "RL.BREAKER RL.BREAKER.INFO RL.ADAPT RL.ADAPT.INFO"),
    ("Programs written for redis-cell", "../getting-started.md", "CL.THROTTLE RL.THROTTLE"),
    ("Plans", "../quotas.md", "QUOTA.PLAN"),
    ("Accounts", "../quotas.md", "QUOTA.OPEN QUOTA.SWITCH QUOTA.OVERRIDE QUOTA.SUSPEND QUOTA.RESUME QUOTA.CLOSE "
     "QUOTA.SET QUOTA.RESET QUOTA.SETTLE"),
    ("Consumption", "../quotas.md", "QUOTA.CONSUME QUOTA.MCONSUME QUOTA.INGEST QUOTA.CHECK QUOTA.REFUND"),
    ("Reservations", "../quotas.md", "QUOTA.RESERVE QUOTA.COMMIT QUOTA.RELEASE QUOTA.EXTEND QUOTA.HOLDS"),
    ("Organisations", "../organisations.md", "QUOTA.PARENT QUOTA.DETACH QUOTA.MEMBERS QUOTA.WEIGHT"),
    ("API keys", "../api-keys.md", "QUOTA.APIKEY"),
    ("Credits", "../credits.md", "QUOTA.GRANT QUOTA.VOID QUOTA.GRANTS QUOTA.TRANSFER"),
    ("Reports", "../quotas.md", "QUOTA.INFO QUOTA.HISTORY QUOTA.FORECAST QUOTA.RECORD QUOTA.CYCLE QUOTA.HEALTH "
                               "QUOTA.VIOLATIONS QUOTA.CLOCK"),
    ("Events", "../events.md", "QUOTA.EVENTS"),
    ("Billing", "../billing.md", "QUOTA.BILL"),
)
SHARED = "rule"  # the argument that many commands have: shown once, under a heading of its own

SETTINGS = {  # name: (range, meaning)
    "quota.auto-open": ("yes, no", "An account that was never opened begins with `quota.default-plan` at its first "
                        "request. With no it is NOACCOUNT."),
    "quota.default-plan": ("a plan's name, 0 to 128 bytes", "The plan to which an account falls when it expires and "
                           "has no THEN, and with which `quota.auto-open` opens. Empty: NOACCOUNT."),
    "quota.events": ("none, admin, all, usage", "Which events are made: `admin` what operators did, `all` what came of "
                     "use and of time, too, `usage` every consumption besides."),
    "quota.events-bytes": ("0 to 1tb", "The bytes of the event log, names of accounts included: the oldest entries go "
                           "first."),
    "quota.events-max": ("0 to 100000000", "The entries of the event log: the oldest go first."),
    "quota.id-max": ("1 to 10000000", "The ids that one account remembers at once. A new id beyond that is LIMITED; a "
                     "live one is never dropped."),
    "quota.id-ttl-ms": ("1 to 3153600000000", "How long an id is remembered, in milliseconds from the request that "
                        "brought it. A retry within that time is answered from memory and charged nothing."),
    "quota.violations-max": ("0 to 1000000", "The refused requests, by key, resource and rule, that QUOTA.VIOLATIONS "
                             "shows: the latest. With 0 none are kept."),
    "quota.tzdir": ("an absolute path, at most 255 bytes", "The folder of the zone files. Setting it reads every zone "
                    "again. UTC needs no file."),
}

FIELDS = {  # name without quota_: (kind, meaning); <type> stands for every data type
    "admitted": ("counter", "Requests that were admitted, of every family of commands."),
    "denied_limit": ("counter", "Requests that a rate limit, a quota or a full lease denied."),
    "denied_block": ("counter", "Requests denied by RL.BLOCK, or by the BLOCK option of an earlier denial."),
    "denied_list": ("counter", "Requests denied because a policy's denylist names the subject or the address."),
    "denied_breaker": ("counter", "Calls that an open or half-open circuit breaker did not let through."),
    "shadowed": ("counter", "Requests that a policy with SHADOW would have denied; they were admitted."),
    "waiting": ("gauge", "Clients that wait in line: RL.ALLOW and RL.ACQUIRE with WAIT."),
    "leases": ("gauge", "Leases in memory, of all keys; those that have ended count until they are swept."),
    "holds": ("gauge", "Reservations in memory, of all accounts; those that have ended count until they are swept."),
    "policies": ("gauge", "Policies on this server."),
    "plans": ("gauge", "Plans on this server, retired ones included."),
    "violations": ("gauge", "Entries of QUOTA.VIOLATIONS: keys, resources and rules that refused lately."),
    "events": ("gauge", "Entries of the event log (QUOTA.EVENTS)."),
    "bugs": ("counter", "Expectations of the module that did not hold. It is 0; anything else is a bug to report, and "
             "the log names the first one."),
    "rule_sets": ("gauge", "Distinct sets of rules in memory: equal sets are stored once."),
    "usage_<number>": ("counters", "A row for each plan and resource that this node has decided about, at most "
                       "1000: `plan`, `resource`; `granted` and `refused` requests; `units` that were granted, "
                       "`credits` those of them that credits paid for; `refunded` units. Reservations count when "
                       "they are made."),
    "keys_<type>": ("gauge", "Keys of this data type."),
    "bytes_<type>": ("gauge", "Bytes that the module has allocated for values of this data type. Sets of rules, and "
                     "the server's own part of a key, are not included."),
}
TYPES = {  # data type, as TYPE answers: what it holds
    "rl-bucket": "rate limits of a key (RL.ALLOW, RL.MALLOW, CL.THROTTLE)",
    "rl-tables": "a limiter table (RL.TABLE)",
    "rl-leases": "the leases of a key (RL.ACQUIRE)",
    "rl-breakr": "a circuit breaker (RL.BREAKER)",
    "rl-adaptv": "an adaptive limit (RL.ADAPT)",
    "q-account": "an account (QUOTA.OPEN)",
}


# ---- what the server says ----------------------------------------------------------------------------------------


def reply_of(client, *words):
    """The reply as it came, text decoded; redis-py would reshape it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return decoded(connection.read_response())
    finally:
        client.connection_pool.release(connection)


def decoded(reply):
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, dict):
        return {decoded(name): decoded(value) for name, value in reply.items()}
    return [decoded(value) for value in reply] if isinstance(reply, (list, set)) else reply


def mapped(reply):
    """A map of either protocol."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def commands_of(client):
    """Name with a space for a subcommand: (what COMMAND DOCS says, flags); the stream's own are left out."""
    names = [name for name in reply_of(client, "COMMAND", "LIST", "FILTERBY", "MODULE", "quota") if "._" not in name]
    found = {}
    for top in sorted({name.split("|")[0].upper() for name in names}):
        document = mapped(list(mapped(reply_of(client, "COMMAND", "DOCS", top)).values())[0])
        parts = mapped(document.get("subcommands", {})) or {top: document}
        for name, part in sorted(parts.items()):
            flags = reply_of(client, "COMMAND", "INFO", name)[0][2]
            found[name.upper().replace("|", " ")] = (mapped(part), {str(flag) for flag in flags})
    return found


# ---- commands.md -------------------------------------------------------------------------------------------------


def arguments_of(part):
    """Its arguments. One that is there several times in a row, so that redis-cli's hints move on, counts once: as often
    as the last one says, and required where the first one is."""
    found = []
    for argument in map(mapped, part.get("arguments", [])):
        first = found[-1] if found else {}
        if all(first.get(field) == argument.get(field) for field in ("name", "token", "summary")):
            flags = [flag for flag in flags_of(argument) if flag != "optional"]
            found.pop()
            argument = argument | {"flags": flags + [flag for flag in flags_of(first) if flag == "optional"]}
        elif found and is_alternative(argument):
            found[-1] = first | {"flags": [flag for flag in flags_of(first) if flag != "optional"]}
        found.append(argument)
    return found


def is_alternative(argument):
    """Rules or a policy: one of them is needed, whatever their flags say."""
    return argument.get("summary", "").startswith("Instead of rules")


def flags_of(argument):
    return argument.get("flags", [])


def form(argument, short=False):
    """As one types it: `[COST cost [cost ...]]`. Nested options are left to their own rows where `short`."""
    kind, token, name = argument["type"], argument.get("token"), argument["name"]
    if kind == "pure-token":
        inner = token
    elif kind == "oneof":
        inner = " | ".join(bare(form(one)) for one in arguments_of(argument))
    elif kind == "block" and name != SHARED:
        inside = arguments_of(argument)
        inner = " ".join(forms(one for one in inside if not short or "optional" not in flags_of(one))) or "..."
    else:
        inner = name
    if token and kind != "pure-token":
        inner = f"{token} {inner}"
    if "multiple" in flags_of(argument):
        again = inner if not token or "multiple_token" in flags_of(argument) else inner[len(token) + 1:]
        again = f"{token} ..." if "multiple_token" in flags_of(argument) else f"{again} ..."
        inner = f"{inner} [{again}]"
    return f"[{inner}]" if "optional" in flags_of(argument) else inner


def bare(text):
    """Without the brackets of what may be left out."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def forms(arguments):
    found = []
    for argument in arguments:
        if is_alternative(argument) and found:
            found[-1] = f"{found[-1]} | {bare(form(argument))}"
        else:
            found.append(form(argument))
    return found


def usage(name, part):
    """The whole call, wrapped between its options."""
    words = [name, *forms(arguments_of(part))]
    glued = " ".join(word.replace(" ", "\0") if len(word) < 90 else word for word in words if word)
    return textwrap.indent(textwrap.fill(glued, 112, subsequent_indent=" " * 4, break_long_words=False,
                                         break_on_hyphens=False), "    ").replace("\0", " ")


def rows(arguments, depth=0, choice=False):
    """Two cells for each argument, those of a block and the choices of a oneof below it."""
    for argument in arguments:
        shown, meaning = form(argument, short=True), argument.get("summary", "")
        if choice:
            shown = bare(shown)
        yield "· " * depth + f"`{shown}`".replace("|", "\\|"), meaning.replace("|", "\\|")
        if argument["name"] == SHARED or argument["type"] not in ("block", "oneof"):
            continue
        inside = arguments_of(argument)
        if len(inside) == 1 and inside[0]["type"] == "oneof":
            inside = arguments_of(inside[0])
        yield from rows(inside, depth + 1, argument["type"] == "oneof")


def table(head, body):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
                      *("| " + " | ".join(row) + " |" for row in body)])


def nature(flags):
    """What a user has to know of the flags."""
    said = ["reads only: replicas answer it" if "readonly" in flags else "writes: only a primary takes it"]
    if "blocking" in flags:
        said.append("may wait")
    return "; ".join(said)


def section(name, part, flags):
    facts = f"{part['complexity']} · since {part['since']} · {nature(flags)}"
    blocks = [f"### {name}", part["summary"], usage(name, part), facts]
    if arguments_of(part):
        blocks.append(table(("argument", "meaning"), rows(arguments_of(part))))
    return "\n\n".join(blocks)


def anchor(name):
    return re.sub(r"[^a-z0-9 -]", "", name.lower()).replace(" ", "-")


def shared_rule(commands):
    """The block that every `rule` stands for."""
    part, _ = commands["RL.ALLOW"]
    return next(argument for argument in arguments_of(part) if argument["name"] == SHARED)


def commands_page(client):
    commands = commands_of(client)
    families = [(title, page, [name for top in names.split() for name in commands
                               if name == top or name.startswith(top + " ")])
                for title, page, names in FAMILIES]
    left = set(commands) - {name for _, _, names in families for name in names}
    if left:
        sys.exit(f"docs: {', '.join(sorted(left))}: no family in FAMILIES has this command")
    contents = [(f"[{title}]({page})", " · ".join(f"[{name}](#{anchor(name)})" for name in names))
                for title, page, names in families]
    rule = shared_rule(commands)
    parts = ["# Commands",
             "    > RL.ALLOW user:42 10 1s COST 3\n    [3 10 7 0 300 0]",
             f"{MADE} `COMMAND DOCS RL.ALLOW` on your server replies the same text.",
             "Most commands reply **a verdict**, the six integers `granted limit remaining wait_ms reset_ms rule`: see "
             "[Concepts](../concepts.md#the-verdict). The pages in the first column explain each family.",
             table(("family", "commands"), contents),
             "## Rules",
             f"{rule['summary']} Every `rule` below has this form:",
             usage("", {"arguments": rule["arguments"]}),
             table(("argument", "meaning"), rows(arguments_of(rule)))]
    for title, page, names in families:
        parts.append(f"## {title}")
        parts += [section(name, *commands[name]) for name in names]
    return "\n\n".join(parts) + "\n"


# ---- settings.md, info.md ----------------------------------------------------------------------------------------


def require(said, known, where):
    if said != known:
        sys.exit(f"docs: {', '.join(sorted(said ^ known))}: {where} and the server do not have the same names")


def settings_page(client):
    """The server is one that was started without settings of its own, so what it has are the defaults."""
    defaults = {name: value for name, value in mapped(reply_of(client, "CONFIG", "GET", "quota.*")).items()}
    require(set(defaults), set(SETTINGS), "SETTINGS")
    body = [(f"`{name}`", f"`{defaults[name]}`" if defaults[name] else "(empty)", *SETTINGS[name])
            for name in sorted(SETTINGS)]
    return "\n\n".join([
        "# Settings",
        "    > CONFIG SET quota.id-ttl-ms 172800000      ids are remembered for two days\n    OK",
        MADE,
        "`CONFIG SET` changes a setting at once, and `CONFIG REWRITE` writes it to redis.conf, where each setting is a "
        "line of its own: `quota.id-max 2000000`. When the module is loaded into a running server, `MODULE LOADEX "
        "/usr/lib/redis/modules/quota.so CONFIG quota.id-max 2000000` gives one; redis.conf must allow that by "
        "`enable-module-command`.",
        "Settings belong to one node and are not replicated. The primary decides by its own, and what it has decided "
        "is what replicas get. Give every node the same settings, so that a failover changes nothing.",
        table(("setting", "default", "range", "meaning"), body),
        "## The module option test-clock",
        "`loadmodule quota.so test-clock yes` lets `QUOTA.CLOCK FREEZE`, `ADVANCE` and `RESUME` hold and move the "
        "module's time. It is for tests: without it these three are refused, and QUOTA.CLOCK only shows the time."
    ]) + "\n"


def info_page(client):
    said = {name for name in reply_of(client, "INFO", "quota").split() if name.startswith("quota_")}
    names = {line.split(":")[0].removeprefix("quota_") for line in said}
    typed = {f"{what}_{name.replace('-', '_')}" for name in TYPES for what in ("keys", "bytes")}
    require(names, {name for name in FIELDS if "<" not in name} | typed, "FIELDS and TYPES")
    return "\n\n".join([
        "# INFO quota",
        "    > INFO quota\n    > RL.ALLOW user:42 10 1s      one request, counted in quota_admitted\n"
        "    [1 10 9 0 100 0]",
        MADE,
        "`INFO quota` shows one section, also part of `INFO everything` and of `INFO modules`. Counters begin at 0 "
        "when the server starts. They count what this node has decided: a replica counts nothing, and PEEK, CHECK, "
        "replays and effects of the replication stream are not counted.",
        table(("field", "kind", "meaning"),
              [(f"`quota_{name}`", kind, meaning) for name, (kind, meaning) in FIELDS.items()]),
        "## Data types",
        "`TYPE key` answers these names, `SCAN 0 TYPE q-account` finds keys by them. In the fields above a dash is an "
        "underscore: `quota_keys_rl_bucket`.",
        table(("type", "what a key of it holds"), [(f"`{name}`", what) for name, what in TYPES.items()]),
    ]) + "\n"


# ---- programs that pages show ------------------------------------------------------------------------------------

SHOWN = re.compile(r"(<!-- (\S+) -->\n```\w+\n).*?(^```$)", re.M | re.S)
RIGHTS = re.compile(r"(<!-- quotactl acl (\w+) -->\n\n)(?:    .*\n)*")


def with_programs(text):
    """The page with each shown file as it is now; pages have no tabs."""
    def shown(match):
        return match[1] + (ROOT / match[2]).read_text(encoding="utf-8").expandtabs(4) + match[3]
    return SHOWN.sub(shown, text)


def with_rights(text):
    """The page with the rights of each user as quotactl acl prints them."""
    from redis_quota.cli.acl import lines_of  # it needs click: the pages of a server do without

    def lines(match):
        given = lines_of(match[2], match[2], "tenant:*", f">{match[2]}-secret")
        return match[1] + "".join(f"    > {line}\n    OK\n" for line in given)
    return RIGHTS.sub(lines, text)


def made(text):
    """The page with all that comes from elsewhere."""
    return with_rights(with_programs(text))


# ---- the program -------------------------------------------------------------------------------------------------

PAGES_MADE = {"commands.md": commands_page, "settings.md": settings_page, "info.md": info_page}


def main():
    sys.path.append(str(ROOT / "tests" / "integration"))
    from servers import Server  # the tests' own way to start one
    server = Server().start()
    try:
        for name, page in PAGES_MADE.items():
            (REFERENCE / name).write_text(page(server.client()), encoding="utf-8")
            print(f"docs: wrote docs/reference/{name}")
    finally:
        server.close()
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if made(text) != text:
            path.write_text(made(text), encoding="utf-8")
            print(f"docs: wrote what {path.relative_to(ROOT)} has from elsewhere")


if __name__ == "__main__":
    main()
