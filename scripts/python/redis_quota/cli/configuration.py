"""Plans and policies of a server as the file of the configuration has them, and what makes one equal to the other.

    server ── read_configuration ──▶ configuration ── facts_of ──▶ facts ─┐
    file ────────────────────▶ configuration ── facts_of ──▶ facts ─┴── steps_of ──▶ commands for each server

A fact is what one command sets: {(kind, owner, name): (words, instant)}. The instant is when it ends, of what is to
come when it begins; 0 = there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..rules import words_of
from .servers import Server
from .words import line, shown

Configuration = dict[str, Any]
Key = tuple[str, str, str]
Fact = tuple[list[str], int]
Facts = dict[Key, Fact]
Commands = list[list[object]]

NEAR_MS = 1000  # ends that are no further apart are the same
KINDS = ("overrides", "subjects", "ranges")  # of exceptions


# ---- a server's configuration --------------------------------------------------------------------------------------


def read_plan(server: Server, name: str) -> Configuration:
    """One plan as the file has it, `retired` besides if it is."""
    plan = server.call("QUOTA.PLAN", "GET", name)
    pending = [{"resource": entry["resource"], "rules": entry["rules"], "apply": entry["apply"],
                "effective": entry["effective"]} for entry in plan["pending"]]
    optional = {"pending": pending, "retired": plan["retired"]}
    return {"resources": plan["resources"], **{field: value for field, value in optional.items() if value}}


def read_exceptions(server: Server, name: str) -> Configuration:
    """Overrides, subjects and ranges of a policy: all of them, by pages."""
    kinds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for found in server.pages("RL.POLICY", "EXCEPTIONS", name):
        entry = {field: value for field, value in found.items() if field != "until" or value}
        kinds["overrides" if "rules" in entry else "ranges" if "range" in entry else "subjects"].append(entry)
    return kinds


def read_policy(server: Server, name: str, exceptions: bool) -> Configuration:
    """One policy as the file has it; what is empty or 0 is left out."""
    policy = server.call("RL.POLICY", "GET", name)
    schedules = [{"when": entry["when"], "rules": entry["rules"]} for entry in policy["schedules"]]
    read = {"rules": policy["rules"], "block_ms": policy["block_ms"], "shadow": policy["shadow"],
            "schedules": schedules, **(read_exceptions(server, name) if exceptions else {})}
    return {field: value for field, value in read.items() if value}


def read_configuration(server: Server, exceptions: bool = True) -> Configuration:
    """Everything that this server has, plans that are retired included."""
    plans = [plan["plan"] for plan in server.pages("QUOTA.PLAN", "LIST")]
    policies = [policy["name"] for policy in server.pages("RL.POLICY", "LIST")]
    return {"plans": {name: read_plan(server, name) for name in plans},
            "policies": {name: read_policy(server, name, exceptions) for name in policies}}


# ---- facts ---------------------------------------------------------------------------------------------------------


def policy_words(policy: Configuration) -> list[str]:
    """A policy as RL.POLICY SET takes it, without its name."""
    words = words_of(policy["rules"])
    words += ["BLOCK", f"{policy['block_ms']}ms"] if policy.get("block_ms") else []
    words += ["SHADOW"] if policy.get("shadow") else []
    for schedule in policy.get("schedules", []):
        words += ["SCHEDULE", *schedule["when"].split(), *words_of(schedule["rules"])]
    return words


def facts_of(configuration: Configuration, exceptions: bool = True) -> Facts:
    """Every fact that one command sets. Of a plan that is retired its resources are known, and no more."""
    facts: Facts = {}
    for name, plan in configuration["plans"].items():
        if plan.get("retired"):
            facts.update({("retired", name, resource): ([], 0) for resource in plan["resources"]})
            continue
        facts["plan", name, ""] = (["is", "there"], 0)
        for resource, rules in plan["resources"].items():
            facts["resource", name, resource] = (words_of(rules), 0)
        for entry in plan.get("pending", []):
            words = [*words_of(entry["rules"]), "APPLY", entry["apply"]]
            facts["pending", name, entry["resource"]] = (words, entry["effective"])
    for name, policy in configuration["policies"].items():
        facts["policy", name, ""] = (policy_words(policy), 0)
        facts.update(exception_facts(name, policy) if exceptions else {})
    return facts


def exception_facts(name: str, policy: Configuration) -> Facts:
    """Overrides and list entries of one policy."""
    facts: Facts = {}
    for entry in policy.get("overrides", []):
        facts["override", name, entry["subject"]] = (words_of(entry["rules"]), entry.get("until", 0))
    for entry in policy.get("subjects", []) + policy.get("ranges", []):
        facts["list", name, entry.get("subject", entry.get("range"))] = ([entry["list"]], entry.get("until", 0))
    return facts


def same(one: Fact | None, other: Fact | None) -> bool:
    """Whether two facts say the same; None is what is not there."""
    if one is None or other is None:
        return one is other
    return one[0] == other[0] and bool(one[1]) == bool(other[1]) and abs(one[1] - other[1]) <= NEAR_MS


def differences(configurations: Sequence[Facts]) -> list[Key]:
    """What is not the same everywhere, sorted. Revisions are not compared: each server numbers its own."""
    keys = sorted({key for facts in configurations for key in facts if key[0] != "retired"})
    first = configurations[0]
    return [key for key in keys if not all(same(first.get(key), facts.get(key)) for facts in configurations)]


def fact_name(key: Key) -> str:
    """What a fact is about."""
    kind, owner, name = key
    if kind in ("plan", "policy"):
        return f"{kind} {shown(owner)}"
    words = {"resource": "resource", "pending": "pending", "override": "override of", "list": "list entry of"}[kind]
    return f"{'plan' if kind in ('resource', 'pending') else 'policy'} {shown(owner)}, {words} {shown(name)}"


def fact_text(fact: Fact | None) -> str:
    """What a fact says."""
    if fact is None:
        return "missing"
    word = "from" if "APPLY" in fact[0] else "until"
    return line(fact[0]) + (f" {word} {fact[1]}" if fact[1] else "")


def as_of(wanted: Facts, now_ms: int) -> Facts:
    """What was to come of a plan and is due by now is there."""
    facts = dict(wanted)
    for (kind, name, resource), (words, effective) in wanted.items():
        if kind == "pending" and effective <= now_ms:
            del facts[kind, name, resource]
            facts["resource", name, resource] = (words[:-2], 0)  # without APPLY
    return facts


def arriving(have: Facts, wanted: Facts, by_ms: int) -> Facts:
    """What a server has, where a change that is to come by then, and brings what the file says, counts as there: a
    second apply has nothing to do."""
    facts = dict(have)
    for (kind, name, resource), (words, effective) in have.items():
        rules = wanted.get(("resource", name, resource))
        if (kind == "pending" and effective <= by_ms and ("pending", name, resource) not in wanted
                and rules is not None and words == [*rules[0], "APPLY", "FULL"]):
            del facts[kind, name, resource]
            facts["resource", name, resource] = rules
            facts["plan", name, ""] = (["is", "there"], 0)
    return facts


# ---- what makes a server equal to the file -----------------------------------------------------------------------


def of(facts: Facts, kind: str, owner: str) -> dict[str, Fact]:
    """The facts of one kind and owner, by name."""
    return {name: fact for (found, belongs, name), fact in facts.items() if (found, belongs) == (kind, owner)}


def resource_set(plan: str, resource: str, words: Sequence[object]) -> list[object]:
    """QUOTA.PLAN SET."""
    return ["QUOTA.PLAN", "SET", plan, resource, *words]


def plan_commands(name: str, wanted: Facts, have: Facts, prune: bool, instant_ms: int) -> Commands:
    """Resources that differ are set, with --prune others are deleted. Setting or deleting a resource also takes away
    what is to come of it, so that stands last; a SET of what is there already does nothing else. A plan that accounts
    may have changes at the instant, if there is one; but not where the file has more to come of the resource, since
    only one change can be."""
    def delete(resource: str) -> list[object]:
        return ["QUOTA.PLAN", "DEL", name, resource]

    resources, before = of(wanted, "resource", name), of(have, "resource", name)
    pending, coming = of(wanted, "pending", name), of(have, "pending", name)
    surplus = {resource for resource in coming if prune and resource not in pending}
    gone = [resource for resource in {**before, **coming}
            if prune and resource not in resources and (resource in before or resource in surplus)]
    sets = [resource for resource, fact in resources.items()
            if not same(fact, before.get(resource)) or resource in surplus]
    is_new = ("plan", name, "") not in have
    commands = [delete(resource) for resource in gone]
    for resource in sets:
        later = instant_ms and not is_new and resource not in pending and not same(resources[resource],
                                                                                   before.get(resource))
        commands.append(resource_set(name, resource, [*resources[resource][0],
                                                      *(["EFFECTIVE", instant_ms] if later else [])]))
    if not resources and is_new:  # a plan begins with a resource, also one that was retired
        commands += [resource_set(name, "none", ["LIMIT", "0", "day"]), delete("none")]
    commands += [delete(resource) for resource in of(have, "retired", name) if prune and resource not in resources]
    commands += [resource_set(name, resource, [*words, "EFFECTIVE", effective])
                 for resource, (words, effective) in pending.items()
                 if resource in sets or resource in gone or not same((words, effective), coming.get(resource))]
    return commands


def ends(until_ms: int) -> list[str]:
    """EX with an instant, so that every server means the same one."""
    return ["EX", f"@{until_ms}"] if until_ms else []


def policy_commands(server: Server, name: str, wanted: Facts, have: Facts, prune: bool) -> Commands:
    """What differs of a policy; ends that have passed are left out."""
    commands: Commands = []
    now_ms = server.now_ms()
    if not same(wanted["policy", name, ""], have.get(("policy", name, ""))):
        commands.append(["RL.POLICY", "SET", name, *wanted["policy", name, ""][0]])
    for kind in ("override", "list"):
        current, before = of(wanted, kind, name), of(have, kind, name)
        current = {who: fact for who, fact in current.items() if not fact[1] or fact[1] > now_ms}
        for who, fact in current.items():
            words, until = fact
            if same(fact, before.get(who)):
                continue
            if kind == "override":
                commands.append(["RL.POLICY", "OVERRIDE", name, who, *words, *ends(until)])
            else:
                commands.append(["RL.POLICY", words[0].upper(), name, who, *ends(until)])
        lift = "OVERRIDE" if kind == "override" else "LIFT"
        commands += [["RL.POLICY", lift, name, who] for who in before if prune and who not in current]
    return commands


def takes_away(words: Sequence[object]) -> bool:
    """Whether the command, one of those above, deletes something: an override without rules is removed."""
    return words[0] == "HDEL" or words[1] in ("DEL", "LIFT") or words[:-2] == ["RL.POLICY", "OVERRIDE"]


def steps_of(servers: Sequence[Server], wanted: Facts, haves: Sequence[Facts], prune: bool,
             instant_ms: int) -> Iterator[tuple[Server, Commands]]:
    """Yields (server, commands) in the order in which they are done; the commands of one step are one transaction."""
    for name in [owner for kind, owner, _ in wanted if kind == "plan"]:
        for server, have in zip(servers, haves, strict=True):
            now_ms = server.now_ms()
            current = as_of(wanted, now_ms)
            there = arriving(have, current, max(now_ms, instant_ms))
            yield server, plan_commands(name, current, there, prune, instant_ms)
    for name in [owner for kind, owner, _ in wanted if kind == "policy"]:
        for server, have in zip(servers, haves, strict=True):
            yield server, policy_commands(server, name, wanted, have, prune)
    for server, have in zip(servers, haves, strict=True):
        gone = [key for key in have if prune and key[0] in ("plan", "policy") and key not in wanted]
        words = {"plan": "QUOTA.PLAN", "policy": "RL.POLICY"}
        yield server, [[words[kind], "DEL", name] for kind, name, _ in gone]


def left_over(server: Server, wanted: Facts, prune: bool, exceptions: bool, instant_ms: int) -> Iterator[str]:
    """What still is not as the file says, once everything was set."""
    now_ms = server.now_ms()
    expected = as_of(wanted, now_ms)
    have = arriving(facts_of(read_configuration(server, exceptions), exceptions), expected, max(now_ms, instant_ms))
    for key, fact in expected.items():
        in_force = not 0 < fact[1] <= now_ms + NEAR_MS
        if in_force and not same(fact, have.get(key)):
            found = fact_text(have.get(key))
            yield f"{server.address}: {fact_name(key)}: the file says {fact_text(fact)}, the server {found}"
    for key in have:
        if prune and key not in expected and key[0] != "retired":
            yield f"{server.address}: {fact_name(key)}: is not in the file"
