"""quotactl policy: policies, and exceptions to them, on every primary.

    policy refuse api villain --for 1h ──▶ RL.POLICY REFUSE api villain EX @instant ──▶ every primary
                                                                            └── one instant, the same everywhere

Exceptions are made at once, by hand; a configuration has them only with --exceptions (quotactl config).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import click

from ..rules import words_of
from .account import FOR, UNTIL, ex
from .base import RULES, Row, Session, command, group, text_of
from .configuration import read_policy
from .servers import Refused
from .words import line, moment, plural, shown, span

NAME = click.argument("name")


@group()
def policy() -> None:
    """Policies: named rate limits. Every primary has its own copy, so each command goes to all of them."""


def rules_text(rules: list[str]) -> str:
    return ", ".join(rules)


@command(policy, tabular=True)
@click.argument("name", required=False)
def show(session: Session, name: str | None) -> None:
    """Lists the policies of the first primary, or shows one: rules, block, schedules, and how many exceptions."""
    server = session.fleet.primaries[0]
    if name is None:
        rows = []
        for row in server.pages("RL.POLICY", "LIST"):
            rows.append({**row, "rules": server.call("RL.POLICY", "GET", row["name"])["rules"]})
        session.table(rows, {"name": text_of, "rules": rules_text, "overrides": str, "subjects": str, "ranges": str},
                      "there are no policies")
        return
    found = read_policy(server, name, exceptions=True)
    if session.json:
        session.emit({"name": name, **found})
        return
    session.say(name)
    session.say(f"  rules     {rules_text(found['rules'])}")
    for entry in found.get("schedules", []):
        session.say(f"  schedule  {entry['when']}: {rules_text(entry['rules'])}")
    if found.get("block_ms"):
        session.say(f"  block     {span(found['block_ms'])} after a denial")
    if found.get("shadow"):
        session.say("  shadow    it decides and counts, and refuses nothing")
    counts = [plural(len(found.get(kind, [])), kind[:-1]) for kind in ("overrides", "subjects", "ranges")]
    session.say(f"  besides   {', '.join(counts)}: policy exceptions {shown(name)}")


# ---- exceptions ------------------------------------------------------------------------------------------------------


def everywhere(session: Session, words: list[object], for_: str | None, until: str | None, said: str) -> None:
    """The command on every primary; on several an end is one instant, counted from the first one's clock."""
    servers = session.fleet.primaries
    end = ex(for_, until)
    if for_ and len(servers) > 1:  # the server reads durations: a cycle of that length, from now on, ends then
        now_ms = servers[0].now_ms()
        until = str(servers[0].call("QUOTA.CYCLE", for_, "ANCHOR", now_ms, "AT", now_ms)[1])
        end = ex(None, until)
    words += end
    replies = [{"server": server.address, "command": line(words), "reply": server.call(*words)} for server in servers]
    if session.json:
        session.emit(replies)
    ends = f" until {moment(int(until)) if until.isdigit() else until}" if until else f" for {for_}" if for_ else ""
    session.say(f"{said}{ends} on {plural(len(servers), 'server')}")


def listing(word: str, says: str) -> None:
    """Makes `policy permit` and `policy refuse`."""
    @command(policy, name=word, help=f"Puts a subject or an address range (10.0.0.0/8) {says}.")
    @NAME
    @click.argument("who")
    @FOR
    @UNTIL
    def _(session: Session, name: str, who: str, for_: str | None, until: str | None) -> None:
        everywhere(session, ["RL.POLICY", word.upper(), name, who], for_, until, f"{name}: {word} {who}")


listing("permit", "on the allowlist of a policy: it is never refused there")
listing("refuse", "on the denylist of a policy: it is always refused there")


@command(policy, **RULES)
@NAME
@click.argument("subject")
@click.argument("rules", nargs=-1, required=True)
@FOR
@UNTIL
def override(session: Session, name: str, subject: str, rules: tuple[str, ...], for_: str | None,
             until: str | None) -> None:
    """Gives a subject rules of its own: override api acme 500 1m --for 7d."""
    words: list[object] = ["RL.POLICY", "OVERRIDE", name, subject, *words_of(rules)]
    everywhere(session, words, for_, until, f"{name}: {subject} has {' '.join(words_of(rules))}")


def who_of(entry: Row) -> str:
    return str(entry.get("subject", entry.get("range")))


def is_about(entry: Row, who: str) -> bool:
    """Whether it is the exception of this subject or range; the range of one address may be written without its /32 or
    /128."""
    found = who_of(entry)
    if "range" in entry and ipaddress.ip_network(found).num_addresses == 1:
        return who in (found, found.partition("/")[0])
    return who == found


@command(policy)
@NAME
@click.argument("who", required=False)
def remove(session: Session, name: str, who: str | None) -> None:
    """Takes a subject or range off the lists and removes its override; without WHO deletes the policy itself.

    Exit code 1 where there is none on any primary.
    """
    if who is None:
        session.confirm(f"Delete the policy {shown(name)} with its exceptions?")
    removed = 0
    for server in session.fleet.primaries:
        if who is None:
            removed += server.call("RL.POLICY", "DEL", name)
            continue
        entries = [entry for entry in server.pages("RL.POLICY", "EXCEPTIONS", name) if is_about(entry, who)]
        for entry in entries:
            server.call("RL.POLICY", "OVERRIDE" if "rules" in entry else "LIFT", name, who_of(entry))
        removed += bool(entries)
    what = f"policy {shown(name)}" if who is None else f"exception of policy {shown(name)} for {shown(who)}"
    if not removed:
        raise Refused(f"there is no {what}")
    if session.json:
        session.emit({"policy": name, "who": who, "servers": removed})
    session.say(f"{what}: removed on {plural(removed, 'server')}")


@command(policy, tabular=True)
@NAME
@click.option("--kind", type=click.Choice(["permit", "refuse", "override"]), help="Only these.")
def exceptions(session: Session, name: str, kind: str | None) -> None:
    """Lists overrides, subjects and ranges of a policy, as the first primary has them."""
    found = session.fleet.primaries[0].pages("RL.POLICY", "EXCEPTIONS", name, *([kind.upper()] if kind else []))
    rows = [{"who": who_of(entry), "exception": entry.get("list", "override"), "rules": entry.get("rules", []),
             "until": entry["until"] or None} for entry in found]
    columns: dict[str, Callable[[Any], str]] = {
        "who": text_of, "exception": text_of, "rules": lambda rules: rules_text(rules) or "-", "until": moment}
    session.table(rows, columns, "it has no exceptions")
