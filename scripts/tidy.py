#!/usr/bin/env python3
"""The style of this project as a test: run by make test, prints like a compiler, exits 1 on findings.

    include direction   a file includes only its own folder and lower ones, so the arrows never turn
    pure core           src/ and include/ know no Redis, clock, heap, input, output or floating point
    single doors        some calls belong to one file each
    short functions     a hard limit, and a count of long ones that only goes down
    completeness        src/room/x.c has include/quota/room/x.h and tests/unit/test_x.c; every file opens with its job
    plain text          no tabs, no ragged ends, lines that fit, nothing that belongs to one machine
    the field's words   no word of our own where the field has one

usage: scripts/tidy.py [folder]    (default: the tree this script is in)
"""
import re
import sys
from pathlib import Path

# Folders of include/quota and src, lowest first: a file includes its own folder and lower ones.
CORE_ROOMS = "base time rate account view meter decide".split()
# The module is one folder; its floors are named here. A file includes lower floors, and of its own those in SIDEWAYS.
MODULE_ROOMS = (
    ("server", "redis"),
    ("adapters", "clock reply argument_value argument argument_document usage page api_key_argument "
                 "entitlement_argument moment_argument zones config actor wait_timer memory_limit"),
    ("value types", "value_type limiter_type transaction waiting registry policies plans lease_type lease_waiting "
                    "breaker_type adaptive_type account_type table_type event_log"),
    ("counters", "violations tallies metrics"),
    ("sources of rules", "allow_call rule_source allow_waiting ahead accounts ancestors parents account_info "
                         "event_readers"),
    ("shape of commands", "command"),
    ("commands", "rl_allow rl_mallow rl_table rl_manage rl_policy rl_policy_exceptions help throttle quota_clock "
                 "internal rl_lease rl_breaker rl_adapt quota_plan quota_account quota_settle quota_consume "
                 "quota_ingest quota_reserve quota_info quota_health quota_forecast quota_bill quota_record "
                 "quota_violations quota_events quota_cycle quota_grant quota_transfer quota_apikey "
                 "quota_organisation"),
    ("door", "commands module"),
)
SIDEWAYS = {  # who: whom
    "api_key_argument": "argument reply",
    "entitlement_argument": "argument reply",
    "plans": "registry",
    "memory_limit": "reply",
    "moment_argument": "reply",
    "account_info": "accounts",
    "accounts": "ahead",
    "ancestors": "accounts",
    "parents": "accounts ancestors",
    "account_type": "value_type event_log",
    "event_log": "registry",
    "argument": "argument_value reply usage",
    "argument_value": "argument reply usage",
    "argument_document": "argument",
    "usage": "argument",
    "page": "argument",
    "rl_policy_exceptions": "rl_policy",
    "wait_timer": "clock",
    "transaction": "value_type",
    "limiter_type": "value_type",
    "breaker_type": "value_type",
    "adaptive_type": "value_type",
    "table_type": "value_type",
    "lease_type": "value_type",
    "waiting": "value_type",
    "allow_waiting": "rule_source",
    "registry": "transaction",
    "policies": "registry",
    "config": "zones",
    "metrics": "violations tallies",
    "lease_waiting": "value_type waiting",
    "module": "commands",
}
# Beside quota/*.h the core includes these and no others; some of them in one file only.
CORE_SYSTEM_HEADERS = "stdbool.h stddef.h stdint.h string.h limits.h utlist.h"
CORE_SYSTEM_HEADERS_OF = {
    "expect": "stdatomic.h",
    "memory": "stdlib.h",
    "intern": "pthread.h",
    "plan": "pthread.h",
}
# Functions of these headers are described where their common shape is: by the field of the same name.
DESCRIBED_IN = {"rate": "include/quota/rate/algorithm.h"}  # folder: the header
NO_TEST = {
    "expect": "it ends the program: tests/integration/test_hostile.py sees the counter",
    "algorithm": "a table: every test of a limiter goes through it",
    "memory": "three forwards: every test allocates through them",
}  # file of src/ without a test of its own: why


def calls(names):
    return r"(?<![\w.>])(?:" + names.replace(" ", "|") + r")(?=[ \t]*\()"


# Pattern, files that may, why the others may not.
CORE_BANS = (
    (calls("malloc calloc realloc free strdup"), "memory", "the heap is memory.h"),
    (calls("printf fprintf sprintf snprintf puts fopen getenv system exit"), "", "no input or output here"),
    (calls("time gettimeofday clock_gettime localtime localtime_r gmtime_r mktime"), "", "time is given"),
    (calls("strcpy strcat strncpy strncat gets"), "", "bytes have a size: bytes.h"),
    (calls("atoi atol atoll strtol strtoll strtoul strtoull strtod sscanf"), "", "see bytes.h"),
    (r"\b(?:float|double)\b", "", "nothing that decides is floating point"),
    (r"\bRedisModule\w*", "", "the core knows no Redis"),
)
MODULE_BANS = (
    (calls("sprintf vsprintf strcpy strcat gets atoi"), "", "lengths are known here: say them"),
    (r"\bRedisModule_(?:Cached)?M(?:illi|icro)seconds\b", "clock redis", "only clock.c reads the time"),
    (calls("time gettimeofday clock_gettime"), "clock redis", "only clock.c reads the time"),
    (r"\bRedisModule_Replicate\w*", "transaction internal redis", "only transaction.c replicates"),
)
# Words that this project alone would use for something that the field has a word for, also in names: what to write
# instead. (Names of files and of fields that are stored or replied are as they are.)
WORDS = (
    ("catalogues?", "configuration"),
    ("ladders?", "precedence"),
    ("scenes?", "context"),
    ("tenancy|footing", "account_view, lifecycle"),
    ("told|heard|hears?", "emitted, replied, folded"),
    ("nobody|somebody|anybody", "the client, the key, the account"),
    ("lasting", "no_expire"),
    ("lent", "stack_buffer"),
    ("grain", "granularity"),
    ("keepers?", "value type"),
)
# Written in pieces, so that this file does not find itself.
TEXT_BANS = (
    (r"(?<![\w.])/" r"work/", "", "a path of one machine"),
    (r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b", "", "what is left to do is not left in files"),
    (r":/" r"/\S*(?:debian|ubuntu|pypi|pythonhosted|npmjs|crates|golang|maven)", "", "a registry's host"),
    (r"\b(?:debian|ubuntu|pypi|pythonhosted|npmjs|crates)\." r"(?:org|com|io)\b", "", "a registry's host"),
)

WORD = re.compile("(?<![A-Za-z])(?:" + "|".join(f"({words})" for words, _ in WORDS) + ")(?![A-Za-z])", re.I)

FUNCTION_LINES_MAX = 60
FUNCTION_LINES_LONG = 40
LONG_FUNCTIONS = 0  # how many are longer than that today: lower it when it can be, never raise it
COLUMNS_MAX = 120

NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
PROTOTYPE = re.compile(r"^(?!typedef|_Static_assert|static)[A-Za-z_][\w \t*]*?\b(\w+)\([^;{}]*\);", re.M)
OPENINGS = {".c": "/*", ".h": "/*", ".py": ('"""', "#"), ".md": ("#", "<", "!"), ".json": ("{", "["), ".go": "//",
            ".ts": "//", ".java": "//", ".xml": "<!--", ".mod": "module"}
KINDS = {".sh", ".txt", ".conf", ".toml", ".ini", ".yml", *OPENINGS}
NAMES = {"Makefile", ".clang-tidy", ".gitignore"}
TABBED = {"Makefile", ".go", ".mod"}  # by their own tools

findings = []


def report(path, line, message):
    findings.append(f"{path}:{line}: {message}")


def check_bans(path, text, bans):
    for pattern, owners, reason in bans:
        if path.stem not in owners.split():
            for match in re.finditer(pattern, text):
                report(path, text.count("\n", 0, match.start()) + 1, f"{match.group()}: {reason}")


def check_core_includes(path, text):
    room = CORE_ROOMS.index(path.parts[-2]) if path.parts[-2] in CORE_ROOMS else -1
    if room < 0:
        return report(path, 1, f"{path.parts[-2]} is no room of the core: see the top of scripts/tidy.py")
    system = f"{CORE_SYSTEM_HEADERS} {CORE_SYSTEM_HEADERS_OF.get(path.stem, '')}".split()
    for match in INCLUDE.finditer(text):
        line, included = text.count("\n", 0, match.start()) + 1, match[2]
        if not included.startswith("quota/"):
            if included not in system:
                report(path, line, f"{included} is not for this file of the core")
        elif included.split("/")[1] not in CORE_ROOMS[: room + 1]:
            report(path, line, f"{CORE_ROOMS[room]}/ must not include {included}: that room is above it")


def check_module_includes(path, text):
    room_of = {file: number for number, (_, files) in enumerate(MODULE_ROOMS) for file in files.split()}
    name = path.stem
    if name not in room_of:
        return report(path, 1, f"{name} has no room yet: see the top of scripts/tidy.py")
    aside = [file for file in [name, *SIDEWAYS.get(name, "").split()] if room_of.get(file) == room_of[name]]
    for match in INCLUDE.finditer(text):
        line, bracket, included = text.count("\n", 0, match.start()) + 1, match[1], match[2]
        target = Path(included).stem
        if bracket == "<" or included.startswith("quota/") or included == "redismodule.h":
            continue
        if target not in room_of:
            report(path, line, f"{included} has no room yet: see the top of scripts/tidy.py")
        elif room_of[target] >= room_of[name] and target not in aside:
            above, own = MODULE_ROOMS[room_of[target]][0], MODULE_ROOMS[room_of[name]][0]
            report(path, line, f"{name} ({own}) must not include {target} ({above}): see SIDEWAYS")


def long_functions(path, code):
    """Where functions of this file are long. A body is what stands between { and } in the first column."""
    start = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start > FUNCTION_LINES_MAX:
                report(path, start, f"{number - start} lines: the limit is {FUNCTION_LINES_MAX}")
            if number - start > FUNCTION_LINES_LONG:
                yield path, start, number - start
            start = None


def check_header(tree, path, text, code):
    """The header is the manual: each paragraph of prototypes says something about them."""
    described = []
    if path.parts[-2] in DESCRIBED_IN:
        described = re.findall(r"\(\*(\w+)\)", (tree / DESCRIBED_IN[path.parts[-2]]).read_text(encoding="utf-8"))
    if "#pragma once" not in code:
        report(path, 1, "no #pragma once")
    for match in PROTOTYPE.finditer(code):
        start, end = text.rfind("\n\n", 0, match.start()), text.find("\n\n", match.start())
        paragraph = text[max(start, 0) : end if end >= 0 else len(text)]
        if "/*" not in paragraph and not match[1].endswith(tuple("_" + name for name in described)):
            report(path, text.count("\n", 0, match.start()) + 1, f"nothing is said about {match[1]}")


def check_words(path, text):
    if path.name in ("tidy.py", "test_docs.py"):  # which have lists of them
        return
    for match in WORD.finditer(text):
        instead = WORDS[match.lastindex - 1][1]
        report(path, text.count("\n", 0, match.start()) + 1, f"{match.group()}: write {instead}")


def check_text(path, text):
    lines = text.split("\n")
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    if not first.startswith(OPENINGS.get(path.suffix, ("#", '"""'))):
        report(path, 1, "does not open with a comment that says what it is for")
    if lines[-1]:
        report(path, len(lines), "the last line does not end")
    for number, line in enumerate(lines, 1):
        if "\t" in line and not TABBED & {path.name, path.suffix}:
            report(path, number, "a tab")
        if line != line.rstrip() and path.suffix != ".md":
            report(path, number, "space at the end of the line")
        if len(line) > COLUMNS_MAX and path.suffix in (".c", ".h", ".py", ".go", ".ts", ".java"):
            report(path, number, f"{len(line)} columns: the limit is {COLUMNS_MAX}")
    check_bans(path, text, TEXT_BANS)
    check_words(path, text)


# Rows of a table are declared by the header of the table.
ROW_OF = {"meter_cycle": "meter", "meter_rolling": "meter", "meter_rate": "meter", "meter_credits": "meter",
          "meter_concurrent": "meter", "meter_throttle": "meter", "meter_share": "meter"}


def check_twins(files):
    names = {path.as_posix() for path in files}
    headers = {path.stem for path in files if path.match("include/quota/*/*.h")}
    for path in files:
        if path.match("src/*/*.c"):
            header = ROW_OF.get(path.stem, path.stem)
            if f"include/quota/{path.parts[-2]}/{header}.h" not in names:
                report(path, 1, f"there is no include/quota/{path.parts[-2]}/{header}.h")
            if f"tests/unit/test_{path.stem}.c" not in names and path.stem not in NO_TEST:
                report(path, 1, f"there is no tests/unit/test_{path.stem}.c")
        elif path.match("tests/unit/test_*.c") and ROW_OF.get(path.stem[5:], path.stem[5:]) not in headers:
            report(path, 1, f"a test of nothing: there is no include/quota/*/{path.stem[5:]}.h")


def files_of(tree):
    """The text that people write, by name, relative to the tree."""
    found = list(tree.iterdir())
    for folder in ("src", "include", "module", "tests", "scripts", "docs", ".ci"):
        found += (tree / folder).rglob("*")
    for path in sorted(path.relative_to(tree) for path in found if path.is_file()):
        made = {"__pycache__", ".pytest_cache", ".hypothesis", "seeds", "golden"} & set(path.parts)
        script = path.parent.name in ("scripts", ".ci") or path.name in NAMES
        if not made and (script or path.suffix in KINDS):
            yield path


def main():
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    files, long_ones = list(files_of(tree)), []
    for path in files:
        text = (tree / path).read_text(encoding="utf-8")
        check_text(path, text)
        if path.suffix not in (".c", ".h"):
            continue
        code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        long_ones += long_functions(path, code)
        if path.suffix == ".h":
            check_header(tree, path, text, code)
        if path.parts[0] in ("src", "include", "module"):
            core = path.parts[0] != "module"
            (check_core_includes if core else check_module_includes)(path, text)
            check_bans(path, code, CORE_BANS if core else MODULE_BANS)
    check_twins(files)
    if len(long_ones) > LONG_FUNCTIONS:
        for path, line, length in long_ones:
            many = f"{len(long_ones)} such functions, {LONG_FUNCTIONS} may be"
            report(path, line, f"{length} lines, more than {FUNCTION_LINES_LONG}: {many}")
    elif len(long_ones) < LONG_FUNCTIONS:
        report("scripts/tidy.py", 1, f"{len(long_ones)} functions are long now: lower LONG_FUNCTIONS to that")
    for finding in findings:
        print(finding)
    print(f"style: {len(files)} files, {len(findings) or 'no'} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
