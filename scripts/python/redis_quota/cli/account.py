"""quotactl account: what an operator does with accounts, one by one or all of a plan.

    account show acme                                     account list 'eu:*' --state suspended
    account suspend acme --reason "invoice 7"             account grant acme tokens 500 --expires CYCLE
    account suspend --plan trial                          the same for every account of a plan, after a question

The server decides everything. What it refuses (NOACCOUNT, IDCONFLICT, LIMITED …) is one line and exit code 1.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from ..rules import words_of
from .base import RULES, Row, Session, command, group, text_of
from .servers import Command, Fault, Refused, Server
from .words import known, moment, number, percent, plural, readable, shown, span

REASON = click.option("--reason", metavar="TEXT", help="The reason, for the audit trail.")
PLAN = click.option("--plan", metavar="PLAN", help="All accounts that have this plan, instead of one.")
FOR = click.option("--for", "for_", metavar="DURATION", help="For so long: 90s, 1h30m, 7d.")
UNTIL = click.option("--until", metavar="INSTANT", help="Until then: Unix ms, or 2025-07-01T00:00:00Z.")
CHECK = click.option("--check", is_flag=True, help="Show the account as it would be, and change nothing.")
ACCOUNT = click.argument("account")
WORDS = click.argument("words", nargs=-1)
FULL = 100  # percent


@group()
def account() -> None:
    """Accounts of customers: look at them, open them, change what they may use."""


# ---- one account, or all of a plan ---------------------------------------------------------------------------------


def split(words: Sequence[str], plan: str | None, names: str, optional: bool = False) -> tuple[str, list[str]]:
    """The account, "" with --plan, and what stands behind it; `names` says how the rest is called. `optional`: more
    may follow."""
    wanted = names.split()
    rest = list(words) if plan is not None else list(words[1:])
    if (plan is None and not words) or len(rest) < len(wanted) or (len(rest) > len(wanted) and not optional):
        call = ([] if plan is not None else ["ACCOUNT"]) + wanted
        raise click.UsageError(f"it takes {' '.join(call) or 'nothing else'}"
                               + ("" if plan is not None else ", or --plan PLAN instead of the account") + ".")
    return ("" if plan is not None else words[0]), rest


def ex(for_: str | None, until: str | None, cycle: bool = False) -> list[str]:
    """EX of what ends by itself."""
    if sum((for_ is not None, until is not None, cycle)) > 1:
        raise click.UsageError("only one of the ends can be given.")
    end = for_ or (f"@{until}" if until else "CYCLE" if cycle else "")
    return ["EX", end] if end else []


def infos(session: Session, pattern: str = "*", what: str = "accounts") -> Iterator[tuple[Server, str, Row]]:
    """QUOTA.INFO of every account whose key fits; one that goes away meanwhile is left out."""
    with session.progress(what) as advance:
        for server, keys in session.fleet.keys("q-account", pattern):
            replies = server.each(["QUOTA.INFO", key] for key in keys)
            for key, info in zip(keys, replies, strict=True):
                if isinstance(info, dict):
                    yield server, key, info
            advance(len(keys))


def act(session: Session, target: str, plan: str | None, make: Callable[[str], Command], what: str) -> None:
    """Sends the command for the account, or for every account of the plan; `what` is what was done: "suspended"."""
    if plan is None:
        session.act(session.fleet.home(target), *make(target), said=f"{target}: {what}")
        return
    found: dict[Server, list[str]] = {}
    for server, key, info in infos(session, what=f"accounts of {plan}"):
        if info["plan"] == plan and info["state"] != "closed":
            found.setdefault(server, []).append(key)
    count = sum(map(len, found.values()))
    if not count:
        raise Refused(f"no account has the plan {shown(plan)}")
    session.confirm(f"{plural(count, 'account')} of plan {shown(plan)} will be: {what}. Go on?")
    refused: list[Row] = []
    with session.progress(what, count) as advance:
        for server, keys in found.items():
            for key, reply in zip(keys, server.each(map(make, keys)), strict=True):
                refused += [{"account": key, "error": str(reply)}] if isinstance(reply, Exception) else []
                advance(1)
    if session.json:
        session.emit({"plan": plan, "done": count - len(refused), "refused": refused})
    for row in refused:
        session.say(f"{row['account']}: {row['error']}")
    session.say(f"{plural(count - len(refused), 'account')} {what}")
    sys.exit(1 if refused else 0)


# ---- looking -------------------------------------------------------------------------------------------------------


def rule_rows(info: Row) -> Iterator[Row]:
    """Every rule of every resource of QUOTA.INFO, as a row."""
    for resource, found in info["resources"].items():
        for rule in found["rules"]:
            yield {"resource": resource, "rule": rule["rule"], "kind": rule["kind"], "period": rule["period"],
                   "limit": rule["limit"], "used": rule["used"], "held": rule["held"], "remaining": rule["remaining"],
                   "start": rule["start"], "end": rule["end"], "of": rule.get("account", "")}


def used_percent(row: Row) -> int | None:
    """Of the limit used or held, rounded down, so that 100 is all of it. A limit of 0 is full; None where it is
    unlimited."""
    if row["limit"] <= 0:
        return FULL if row["limit"] == 0 else None
    return int((row["used"] + row["held"]) * FULL // row["limit"])


def show_rules(session: Session, info: Row) -> None:
    """The rules as a table."""
    rows = [{**row, "part": used_percent(row)} for row in rule_rows(info)]
    columns: dict[str, Callable[[Any], str]] = {
        "resource": text_of, "rule": str, "kind": text_of, "period": text_of, "limit": number, "used": number,
        "held": number, "part": percent, "remaining": number, "end": moment}
    if any(row["of"] for row in rows):
        columns["of"] = text_of
    session.table(rows, columns, "the plan has no resources")


def show_account(session: Session, server: Server, info: Row) -> None:
    """Who it is, its rules, what was done with it."""
    lines = {"plan": f"{info['plan']} (revision {info['revision']})", "state": info["state"], "zone": info["zone"],
             "anchor": moment(info["anchor"])}
    lines |= {"expires": moment(info["expires"])} if info["expires"] >= 0 else {}
    lines |= {"parent": info["parent"]} if info["parent"] else {}
    if info["next"]:
        lines["next"] = ", ".join(f"{name} {moment(value) if name in ('at', 'start') else value}"
                                  for name, value in info["next"].items())
    lines["server"] = server.address
    session.say(info["account"])
    for name, value in lines.items():
        session.say(f"  {name:8} {value}")
    session.say("")
    show_rules(session, info)
    if info["notes"]:
        session.say("")
        session.table(info["notes"], {"at": moment, "act": text_of, "actor": text_of, "resource": text_of,
                                      "amount": number, "reason": text_of})


@command(account)
@ACCOUNT
def show(session: Session, account: str) -> None:
    """Shows plan, state, rules with what is used, and the last acts; --json is the reply of QUOTA.INFO."""
    server = session.fleet.home(account)
    info = server.call("QUOTA.INFO", account)
    if session.json:
        session.emit(info)
    else:
        show_account(session, server, info)


@command(account, name="list", tabular=True)
@click.argument("pattern", default="*")
@click.option("--plan", metavar="PLAN", help="Only accounts that have this plan.")
@click.option("--state", type=click.Choice(["active", "suspended", "closed", "notstarted", "expired"]))
def list_(session: Session, pattern: str, plan: str | None, state: str | None) -> None:
    """Lists the accounts whose keys fit PATTERN, as KEYS takes it; sorted by name."""
    fields = ("account", "plan", "state", "zone", "anchor", "expires", "parent")
    rows = [{field: info[field] for field in fields} for _, _, info in infos(session, pattern)
            if plan in (None, info["plan"]) and state in (None, info["state"])]
    rows.sort(key=lambda row: str(row["account"]))
    session.table(rows, {"account": text_of, "plan": text_of, "state": text_of, "zone": text_of, "anchor": moment,
                         "expires": moment, "parent": text_of}, "no account fits")


@command(account, tabular=True)
@click.argument("pool")
@click.option("--resource", help="The resource whose use is shown; needed where the plan has several.")
def members(session: Session, pool: str, resource: str | None) -> None:
    """Lists the members of an account: weight, what each has used in the running cycle, its share."""
    more = ["RESOURCE", resource] if resource else []
    session.table(session.fleet.home(pool).pages("QUOTA.MEMBERS", pool, *more),
                  {"member": text_of, "weight": str, "used": number, "share": known}, "it has no members")


@command(account)
@click.argument("pool")
@click.argument("member")
@click.argument("number_", metavar="WEIGHT", type=int)
@REASON
def weight(session: Session, pool: str, member: str, number_: int, reason: str | None) -> None:
    """Sets the weight of a member of a pool: its part of what the members share, from 1 to 1000."""
    session.act(session.fleet.home(pool), "QUOTA.WEIGHT", pool, member, number_, *session.reason(reason),
                said=f"{readable(member)}: weight {number_} in {readable(pool)}")


# ---- its life ------------------------------------------------------------------------------------------------------


@command(account, name="open")
@ACCOUNT
@click.argument("plan")
@click.option("--anchor", metavar="INSTANT", help="Where its cycles are counted from. Default: now.")
@click.option("--zone", help="Its IANA time zone. Default: UTC.")
@click.option("--expires", metavar="WHEN", help="When the plan ends: an instant, a duration (30d) or period (3month).")
@click.option("--then", metavar="PLAN", help="The plan to which it falls when it expires.")
@click.option("--parent", metavar="ACCOUNT", help="The account above it; in a cluster of the same slot.")
@REASON
def open_(session: Session, account: str, plan: str, reason: str | None, **options: str | None) -> None:
    """Opens an account on a plan; the same again changes nothing."""
    words = [word for name, value in options.items() if value is not None for word in (name.upper(), value)]
    session.act(session.fleet.home(account), "QUOTA.OPEN", account, plan, *words, *session.reason(reason),
                said=f"{account}: open on {plan}")


@command(account)
@WORDS
@click.option("--prorate", "how", flag_value="PRORATE", help="A running limit is the sum over its parts (default).")
@click.option("--full", "how", flag_value="FULL", help="The new limits apply now.")
@click.option("--end", "how", flag_value="END", help="They change when the longest running cycle ends.")
@click.option("--at", metavar="INSTANT", help="At this instant instead of now.")
@click.option("--restart", is_flag=True, help="The running cycles close, and the account is anchored there.")
@CHECK
@PLAN
@REASON
def switch(session: Session, words: tuple[str, ...], how: str | None, at: str | None, restart: bool, check: bool,
           plan: str | None, reason: str | None) -> None:
    """Moves an account to another plan: switch ACCOUNT PLAN, or switch --plan OLD NEW for all that have OLD."""
    target, (new,) = split(words, plan, "PLAN")
    options = [*([how] if how else []), *(["AT", at] if at else []), *(["RESTART"] if restart else [])]
    if check:
        dry_run(session, target, ["QUOTA.SWITCH", target, new, *options])
        return
    act(session, target, plan, lambda key: ["QUOTA.SWITCH", key, new, *options, *session.reason(reason)],
        f"switched to {new}" + (f" at {at}" if at else ""))


def dry_run(session: Session, target: str, words: list[str]) -> None:
    """The account as it would be."""
    if not target:
        raise click.UsageError("--check is for one account.")
    server = session.fleet.home(target)
    info = server.call(*words, "CHECK")
    if session.json:
        session.emit(info)
    else:
        show_account(session, server, info)
        session.note("nothing was changed")


@command(account)
@WORDS
@FOR
@UNTIL
@PLAN
@REASON
def suspend(session: Session, words: tuple[str, ...], for_: str | None, until: str | None, plan: str | None,
            reason: str | None) -> None:
    """Suspends an account until it is resumed, or for a while: suspend ACCOUNT, or suspend --plan PLAN."""
    target, _ = split(words, plan, "")
    act(session, target, plan, lambda key: ["QUOTA.SUSPEND", key, *ex(for_, until), *session.reason(reason)],
        "suspended" + (f" for {for_}" if for_ else f" until {until}" if until else ""))


@command(account)
@ACCOUNT
@REASON
def resume(session: Session, account: str, reason: str | None) -> None:
    """Resumes a suspended account."""
    session.act(session.fleet.home(account), "QUOTA.RESUME", account, *session.reason(reason),
                said=f"{account}: resumed")


@command(account)
@ACCOUNT
@REASON
def close(session: Session, account: str, reason: str | None) -> None:
    """Closes an account; what it has used is kept, and open opens it again."""
    session.confirm(f"Close {shown(account)}?")
    session.act(session.fleet.home(account), "QUOTA.CLOSE", account, *session.reason(reason),
                said=f"{account}: closed")


# ---- what it may use -----------------------------------------------------------------------------------------------


@command(account, **RULES)
@WORDS
@click.option("--only", is_flag=True, help="These rules and no others, instead of the plan's rules of their kinds.")
@click.option("--lift", is_flag=True, help="Remove the override.")
@FOR
@UNTIL
@click.option("--cycle", is_flag=True, help="Until the longest running cycle ends.")
@CHECK
@PLAN
@REASON
def override(session: Session, words: tuple[str, ...], only: bool, lift: bool, for_: str | None, until: str | None,
             cycle: bool, check: bool, plan: str | None, reason: str | None) -> None:
    """Overrides rules of the plan: override ACCOUNT RESOURCE RULES …, as QUOTA.OVERRIDE takes them.

    For example: quotactl account override acme api "LIMIT 5000 day" --for 7d
    """
    target, (resource, *rules) = split(words, plan, "RESOURCE" if lift else "RESOURCE RULES", optional=not lift)
    options = ["LIFT"] if lift else [*(["ONLY"] if only else []), *words_of(rules), *ex(for_, until, cycle)]
    if check:
        dry_run(session, target, ["QUOTA.OVERRIDE", target, resource, *options])
        return
    what = f"override of {resource} {'lifted' if lift else 'set: ' + ' '.join(words_of(rules))}"
    act(session, target, plan, lambda key: ["QUOTA.OVERRIDE", key, resource, *options, *session.reason(reason)], what)


@command(account, name="set")
@ACCOUNT
@click.argument("resource")
@click.argument("used", type=click.IntRange(min=0))
@click.option("--period", help="Only the LIMITs of this period, like month; needed where there are several.")
@REASON
def set_(session: Session, account: str, resource: str, used: int, period: str | None, reason: str | None) -> None:
    """Corrects what the running cycle of a resource has used."""
    session.act(session.fleet.home(account), "QUOTA.SET", account, resource, used,
                *(["PERIOD", period] if period else []), *session.reason(reason),
                said=f"{account}: {resource} has used {number(used)}")


@command(account)
@ACCOUNT
@click.argument("resource", required=False)
@click.option("--period", help="Only the LIMITs of this period, like month.")
@REASON
def reset(session: Session, account: str, resource: str | None, period: str | None, reason: str | None) -> None:
    """Resets the running cycles of a resource, or of all: nothing has been used."""
    what = resource or "every resource"
    session.confirm(f"Reset what {shown(account)} has used of {what}?")
    session.act(session.fleet.home(account), "QUOTA.RESET", account, *([resource] if resource else []),
                *(["PERIOD", period] if period else []), *session.reason(reason), said=f"{account}: {what} reset")


@command(account)
@WORDS
@click.option("--id", "id_", metavar="ID", help="Its id: the same again gives nothing more. Needed with --plan; "
                                                "otherwise one is made and shown.")
@click.option("--effective", metavar="INSTANT", help="From when on it can be used. Default: now.")
@click.option("--expires", metavar="WHEN", help="An instant, a duration (30d), a period (3month) or CYCLE.")
@click.option("--priority", type=click.IntRange(0, 255), help="The lower is used first. Default: 50.")
@click.option("--promo", is_flag=True, help="A gift: used before what was paid for.")
@click.option("--every", metavar="PERIOD", help="Set back to the amount once in every such period.")
@click.option("--once", is_flag=True, help="The id is remembered as long as the account lives.")
@PLAN
@REASON
def grant(session: Session, words: tuple[str, ...], id_: str | None, effective: str | None, expires: str | None,
          priority: int | None, promo: bool, every: str | None, once: bool, plan: str | None,
          reason: str | None) -> None:
    """Gives credits: grant ACCOUNT RESOURCE AMOUNT, or grant --plan PLAN RESOURCE AMOUNT --id ID."""
    target, (resource, amount) = split(words, plan, "RESOURCE AMOUNT")
    if plan is not None and id_ is None:
        raise click.UsageError("--plan needs --id, so that the command can be repeated.")
    name = id_ or f"quotactl-{uuid.uuid4()}"
    given = {"EFFECTIVE": effective, "EXPIRES": expires, "PRIORITY": priority, "EVERY": every}
    options = [word for option, value in given.items() if value is not None for word in (option, value)]
    options += [*(["PROMO"] if promo else []), *(["ONCE"] if once else []), *session.reason(reason)]
    act(session, target, plan, lambda key: ["QUOTA.GRANT", key, name, resource, amount, *options],
        f"granted {amount} {resource} as {name}")


@command(account)
@ACCOUNT
@click.argument("id_", metavar="ID")
@REASON
def void(session: Session, account: str, id_: str, reason: str | None) -> None:
    """Ends a grant; what is held or spent of it stays."""
    session.confirm(f"Void the grant {shown(id_)} of {shown(account)}?")
    session.act(session.fleet.home(account), "QUOTA.VOID", account, id_, *session.reason(reason),
                said=lambda taken: f"{account}: {number(taken)} units of {id_} taken out")


@command(account)
@click.argument("source")
@click.argument("target")
@click.argument("resource")
@click.argument("amount", type=click.IntRange(min=1))
@click.option("--id", "id_", metavar="ID", help="The same again moves nothing more. Default: one is made and shown.")
@REASON
def transfer(session: Session, source: str, target: str, resource: str, amount: int, id_: str | None,
             reason: str | None) -> None:
    """Moves credits from one account to another; exit code 1 where the source has not enough."""
    name = id_ or f"quotactl-{uuid.uuid4()}"
    server = session.fleet.home(source)
    moved, left, there = server.call("QUOTA.TRANSFER", source, target, resource, amount, "ID", name,
                                    *session.reason(reason))
    if session.json:
        session.emit({"id": name, "moved": moved, "source": left, "target": there})
    session.say(f"{number(moved)} {resource} moved as {name}: {source} has {number(left)}, {target} {number(there)}")
    if not moved:
        raise Refused(f"{source} has not {number(amount)} credits of {resource} to give")


@command(account)
@ACCOUNT
@click.argument("above", required=False, metavar="[PARENT]")
@click.option("--none", is_flag=True, help="Take it out of its parent.")
@REASON
def parent(session: Session, account: str, above: str | None, none: bool, reason: str | None) -> None:
    """Puts an account below another one, or takes it out (--none); without either shows the account above it."""
    server = session.fleet.home(account)
    if above and none:
        raise Fault("a parent and --none do not go together")
    if not above and not none:
        found = server.call("QUOTA.INFO", account)["parent"]
        if session.json:
            session.emit({"account": account, "parent": found})
        session.say(found or "it has no parent")
        return
    words = ["QUOTA.PARENT", account, above] if above else ["QUOTA.DETACH", account]
    session.act(server, *words, *session.reason(reason),
                said=f"{readable(account)}: {'below ' + above if above else 'has no parent'}")


def wait_text(wait_ms: int, now_ms: int) -> str:
    """When a denial ends."""
    return "never" if wait_ms < 0 else f"in {span(wait_ms)}, at {moment(now_ms + wait_ms)}"
