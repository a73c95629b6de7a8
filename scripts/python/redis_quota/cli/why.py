"""quotactl why: why an account, or a rate limit, is refused; what would admit it, and when.

    key ── TYPE ──▶ q-account   QUOTA.INFO (state, rules) · QUOTA.CHECK of each resource (verdict, wait) ─┐
                    rl-bucket   RL.INFO (rules, block)    · RL.PEEK of its own rules                      ├─▶ answer,
                    rl-breakr … its own INFO (state, wait)                                                │   exit 0
                    violations  what this server has refused of it lately ────────────────────────────────┘   or 1

The server judges; a dry run takes nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import click
import redis

from .account import show_rules, wait_text
from .base import Row, Session, command
from .servers import Refused, Server
from .violations import show_violations
from .words import data, escaped, moment, number, plural, readable, shown, span

VIOLATIONS_SHOWN = 10
PARTS = 100  # of a rule's number: its part, or the account above
LOOKS = {"rl-breakr": ("RL.BREAKER.INFO", "a circuit breaker"), "rl-adaptv": ("RL.ADAPT.INFO", "an adaptive limit"),
         "rl-tables": ("RL.INFO", "a table of subjects, each with these rules")}
INSTANTS = ("since", "deadline")


def rule_text(number_: int) -> str:
    """Which rule a verdict names."""
    if number_ < 0:
        return "a block, a list or a breaker"
    part, index = divmod(number_, PARTS)
    return f"rule {number_}" + (f" (rule {index}, {part} above)" if part else "")


def answer_of(verdict: Any, cost: int, now_ms: int) -> Row:
    """One verdict, or the error in its place, as a row."""
    if isinstance(verdict, Exception):
        return {"admitted": False, "error": str(verdict)}
    granted, limit, remaining, wait_ms, reset_ms, rule = verdict
    return {"admitted": granted > 0, "cost": cost, "limit": limit, "remaining": remaining, "wait_ms": wait_ms,
            "reset_ms": reset_ms, "rule": rule, "now": now_ms}


def sentence(name: str, row: Row) -> str:
    """The answer as people read it."""
    if "error" in row:
        return f"{name}: refused: {row['error']}"
    units = plural(row["cost"], "unit")
    if row["admitted"]:
        left = "unlimited" if row["remaining"] < 0 else f"{number(row['remaining'])} left"
        return f"{name}: {units} would be admitted ({left} of {rule_text(row['rule'])})"
    if row["wait_ms"] < 0:
        return (f"{name}: {units} would be refused by {rule_text(row['rule'])}, and waiting does not help: limit "
                f"{number(row['limit'])}, {number(row['remaining'])} left")
    return (f"{name}: {units} would be refused by {rule_text(row['rule'])}; "
            f"admitted {wait_text(row['wait_ms'], row['now'])}")


# ---- accounts --------------------------------------------------------------------------------------------------------


def explain_account(session: Session, server: Server, key: str, resource: str | None, cost: int) -> Row:
    """State, rules, and a dry run for each resource."""
    info = server.call("QUOTA.INFO", key)
    now_ms = server.now_ms()
    resources = [resource] if resource else list(info["resources"])
    replies = server.each(["QUOTA.CHECK", key, name, cost] for name in resources)
    verdicts = [reply if isinstance(reply, Exception) else reply[0] if isinstance(reply[0], list) else reply
                for reply in replies]
    answers = {name: answer_of(verdict, cost, now_ms) for name, verdict in zip(resources, verdicts, strict=True)}
    if not session.json:
        session.say(f"{key}: an account on plan {info['plan']}, {info['state']}")
        for note in info["notes"]:
            if note["act"] in ("suspend", "close") and info["state"] in ("suspended", "closed"):
                session.say(f"  {note['act']} by {note['actor']} at {moment(note['at'])}: {note['reason'] or '-'}")
        session.say("")
        show_rules(session, info)
        session.say("")
        for name, row in answers.items():
            session.say(sentence(name, row))
    return {"type": "q-account", "info": info, "answers": answers}


# ---- limits ----------------------------------------------------------------------------------------------------------


def explain_limit(session: Session, server: Server, key: str, cost: int) -> Row:
    """The rules that the key has, and a dry run of them."""
    info = server.call("RL.INFO", key)
    if info is None:  # all of it has come back meanwhile
        return explain_nothing(session, key, "none")
    now_ms = server.now_ms()
    rules = [word for rule in info["rules"] for word in rule["rule"].split()]
    verdict = server.attempt("RL.PEEK", key, *rules, "COST", cost)
    answer = answer_of(verdict, cost, now_ms)
    if not session.json:
        session.say(f"{key}: a rate limit")
        for rule in info["rules"]:
            session.say(f"  {rule['rule']}: {number(rule['remaining'])} of {number(rule['capacity'])} left, all of it "
                        f"in {span(rule['reset_ms'])}")
        if info["blocked_ms"]:
            session.say(f"  blocked for {span(info['blocked_ms'])}: RL.BLOCK {shown(key)} 0 ends that")
        if info["waiting"]:
            session.say(f"  {plural(info['waiting'], 'client')} waiting in line")
        session.say(sentence("it", answer))
    return {"type": "rl-bucket", "info": info, "answers": {"": answer}}


def explain_leases(session: Session, server: Server, key: str) -> Row:
    """Who holds the leases, and until when."""
    leases = list(server.pages("RL.LEASES", key))
    session.say(f"{key}: leases, {plural(sum(lease['cost'] for lease in leases), 'unit')} held")
    for lease in leases:
        session.say(f"  {lease['id']}: {plural(lease['cost'], 'unit')} until {moment(lease['expires'])}")
    return {"type": "rl-leases", "info": leases, "answers": {}}


def field_line(name: str, value: Any) -> str:
    """One field of a map as people read it."""
    if isinstance(value, list):
        text = ", ".join(rule["rule"] for rule in value)
    elif name in INSTANTS:
        text = moment(value)
    elif name.endswith("_ms"):
        name, text = name.removesuffix("_ms"), span(value)
    elif name.endswith("_us"):
        name, text = name.removesuffix("_us"), f"{value:,} us"
    else:
        text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"  {name:10} {text}"


def explain_other(session: Session, server: Server, key: str, kind: str) -> Row:
    """Breakers, adaptive limits, tables: what they say of themselves. The first two know when they admit a call."""
    look, words = LOOKS[kind]
    info = server.call(look, key)
    if info is None:
        return explain_nothing(session, key, "none")
    session.say(f"{key}: {words}")
    for name, value in info.items():
        session.say(field_line(name, value))
    if "wait_ms" not in info:
        return {"type": kind, "info": info, "answers": {}}
    wait_ms, now_ms = info["wait_ms"], server.now_ms()
    session.say("a call would be " + ("admitted" if not wait_ms else "refused, and waiting does not help"
                                          if wait_ms < 0 else f"refused; admitted {wait_text(wait_ms, now_ms)}"))
    return {"type": kind, "info": info, "answers": {"": {"admitted": not wait_ms, "wait_ms": wait_ms, "now": now_ms}}}


def explain_nothing(session: Session, key: str, kind: str) -> Row:
    """A key that is not there, or not of the module."""
    session.say(f"{key}: " + ("there is no such key" if kind == "none" else f"a {kind}: another program's key"))
    return {"type": kind, "info": None, "answers": {}}


def explain(session: Session, server: Server, key: str, resource: str | None, cost: int) -> Row:
    """By the type of the key."""
    kind = str(server.call("TYPE", key))
    if kind == "q-account":
        return explain_account(session, server, key, resource, cost)
    if kind == "rl-bucket":
        return explain_limit(session, server, key, cost)
    if kind == "rl-leases":
        return explain_leases(session, server, key)
    if kind in LOOKS:
        return explain_other(session, server, key, kind)
    return explain_nothing(session, key, kind)


@command()
@click.argument("key")
@click.option("--resource", help="Only this resource of the account.")
@click.option("--cost", type=click.IntRange(min=1), default=1, show_default=True, help="Units of the request.")
def why(session: Session, key: str, resource: str | None, cost: int) -> None:
    """Says why an account or a key is refused, and when a request would be admitted; exit code 1 where one is refused.

    Besides, what this server has refused of it lately (QUOTA.VIOLATIONS), if the user may see that.
    """
    server = session.fleet.home(key)
    found = explain(session, server, key, resource, cost)
    try:
        lately = server.client.execute_command(  # type: ignore[no-untyped-call]
            b"QUOTA.VIOLATIONS", b"COUNT", VIOLATIONS_SHOWN, b"MATCH", data(escaped(key)))
    except redis.exceptions.NoPermissionError:
        lately = []
    if session.json:
        session.emit({"key": key, **found, "violations": lately})
    elif lately:
        session.say("")
        session.say("refused lately:")
        show_violations(session, lately)
    if found["info"] is None and not lately:
        raise Refused(f"{readable(key)}: nothing is known of it")
    sys.exit(0 if all(row["admitted"] for row in found["answers"].values()) else 1)
