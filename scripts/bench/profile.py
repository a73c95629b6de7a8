"""Where the instructions of a callgrind dump go: ours, those of the API functions we call, and the server's own rest.

    ob=(1) quota.so        the object the lines below belong to; names are numbered, and written out once
    fn=(7) commit
    120 14                 14 instructions of line 120
    cob=(2) redis-server
    cfn=(9) RM_Replicate   what is called (VM_Replicate on Valkey) …
    calls=20000 0
    121 51840000           … and all it cost

Source: the format is described in the manual of valgrind, "Callgrind Format Specification".
"""
import collections
import re

NAMED = re.compile(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?")
COST = re.compile(r"[-+*\d]\S* (\d+)$")
API = re.compile(r"[RV]M_(\w+)")  # as the server's own source names a function of the module API
PARTS = ("ours", "open", "replicate", "reply", "other API", "rest")


def part_of(function):
    """Of an API function, without its prefix."""
    if function.startswith("ReplyWith") or function == "ReplySetArrayLength":
        return "reply"
    return {"OpenKey": "open", "Replicate": "replicate"}.get(function, "other API")


def of_dump(text, module):
    """{part: instructions} where `module` is the file name of the module."""
    names, here, called, found = {}, {}, {}, collections.Counter()
    ends_call = False
    for line in text.splitlines():
        if named := NAMED.match(line):
            is_callee, kind, number, name = named.groups()
            name = names.setdefault((kind, number), name)
            (called if is_callee else here)[kind] = name
        elif line.startswith("calls="):
            ends_call = True
        elif cost := COST.match(line):
            is_ours = here.get("ob", "").endswith(module)
            if not ends_call:
                found["ours" if is_ours else "rest"] += int(cost[1])
            elif is_ours and (function := API.match(called.get("fn", ""))):
                found[part_of(function[1])] += int(cost[1])
                found["rest"] -= int(cost[1])  # its lines are counted there as well
            ends_call, called = False, {} if ends_call else called
    return {part: found[part] for part in PARTS}
