"""Accounts, usage and credits of goquota, taken over into accounts.

    goquota:entitlement:<user>                JSON: tier, begin of the subscription, end ──▶ QUOTA.OPEN … ANCHOR EXPIRES
    goquota:usage:<user>:<resource>:<date>    hash: used, data (JSON with the period)    ──▶ QUOTA.SET … PERIOD month
    goquota:usage:<user>:<resource>:forever   hash: limit, used: credits                 ──▶ QUOTA.GRANT … what is left

goquota counts from 00:00 UTC of the day on which the subscription began; so do the cycles of the account. Plans are
called like tiers and have to be there. A name with a colon that only the key could say is named, not guessed.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass, field
from typing import Any

import click

from ..base import Row
from ..servers import Command, Fleet, Server
from ..words import escaped, number
from . import Item, Skipped, Source, migration, strings

PERIODS = {"daily": "day", "monthly": "month"}
FOREVER = "forever"
# A grant that comes after the usage would pay for what is over, which goquota does not.
ORDER = {"QUOTA.OPEN": 0, "QUOTA.GRANT": 1, "QUOTA.SET": 2}
DAY_MS = 86_400_000
NAME_PARTS = 3  # user, resource, date: without a colon in them


@dataclass
class Counted:
    """One usage key: `period` is day, month or forever."""

    key: str
    resource: str
    period: str
    used: int
    credits: int


@dataclass
class Customer:
    """What goquota knows of a user."""

    name: str
    tier: str
    anchor_ms: int
    expires_ms: int | None
    counted: list[Counted] = field(default_factory=list)


def instant_ms(text: Any) -> int | None:
    """Unix ms of a time as Go writes it in JSON; None of its zero time and of what is none."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", str(text))
    if not match or match[1].startswith("0001"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    whole = datetime.datetime.fromisoformat(match[1] + zone)
    return int(whole.timestamp()) * 1000 + int((match[2] or "0").ljust(3, "0")[:3])


def json_map(text: Any) -> Row:
    """A JSON object, {} where it is none."""
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def customer_of(key: str, text: Any) -> Customer | Skipped:
    """An entitlement."""
    found = json_map(text)
    start_ms = instant_ms(found.get("SubscriptionStartDate"))
    if not found.get("UserID") or not found.get("Tier") or start_ms is None:
        return Skipped(key, "no entitlement with UserID, Tier and SubscriptionStartDate")
    return Customer(found["UserID"], found["Tier"], start_ms - start_ms % DAY_MS, instant_ms(found.get("ExpiresAt")))


def counted_of(key: str, fields: Row, key_prefix: str, now_ms: int) -> tuple[str, Counted] | Skipped:
    """The user, and what one usage key counts; of a cycle that is over nothing is taken."""
    found = json_map(fields.get("data"))
    period = found.get("Period") or {}
    kind = PERIODS.get(str(period.get("Type")), period.get("Type"))
    user, resource = found.get("UserID"), found.get("Resource")
    if not user or not resource:  # credits have no JSON until they are used: only the name says whose they are
        parts = key.removeprefix(f"{key_prefix}usage:").split(":")
        if len(parts) != NAME_PARTS or parts[2] != FOREVER:
            return Skipped(key, "has no data, and its name can be read in more than one way")
        user, resource, kind = parts[0], parts[1], FOREVER
    if kind not in (*PERIODS.values(), FOREVER):
        return Skipped(key, f"its period is {kind!r}")
    start_ms, end_ms = instant_ms(period.get("Start")), instant_ms(period.get("End"))
    if kind != FOREVER and not (start_ms is not None and end_ms is not None and start_ms <= now_ms < end_ms):
        return Skipped(key, "its cycle is over", harmless=True)
    used, credits_ = (int(fields.get(name) or 0) for name in ("used", "limit"))
    return str(user), Counted(key, str(resource), kind, used, credits_ or int(found.get("Limit") or 0))


def limits_of(server: Server, plan: str, cache: dict[str, dict[str, set[str]] | None]) -> dict[str, set[str]] | None:
    """The periods of the LIMITs of each resource of a plan; None where there is no such plan."""
    if plan not in cache:
        reply = server.attempt("QUOTA.PLAN", "GET", plan)
        found = reply["resources"] if isinstance(reply, dict) and not reply["retired"] else None
        cache[plan] = None if found is None else {
            resource: {rule.split()[2] for rule in rules if rule.startswith("LIMIT ")}
            for resource, rules in found.items()}
    return cache[plan]


def item_of(customer: Customer, account: str, limits: dict[str, set[str]], now_ms: int) -> tuple[Item, list[Skipped]]:
    """The account, made in one step; and what its plan has no place for."""
    ends = ["EXPIRES", customer.expires_ms] if customer.expires_ms is not None else []
    commands: list[Command] = [["QUOTA.OPEN", account, customer.tier, "ANCHOR", customer.anchor_ms, *ends]]
    kept, left_out = [], []
    for counted in customer.counted:
        if counted.resource not in limits:
            left_out.append(Skipped(counted.key, f"plan {customer.tier} has no resource {counted.resource}"))
        elif counted.period == FOREVER:
            left = counted.credits - counted.used
            if left > 0:
                commands.append(["QUOTA.GRANT", account, f"mig:{counted.key}", counted.resource, left, "ONCE"])
                kept.append(counted)
        elif counted.period not in limits[counted.resource]:
            left_out.append(Skipped(counted.key, f"{counted.resource} of plan {customer.tier} has no LIMIT of a "
                                                 f"{counted.period}"))
        elif counted.used:
            commands.append(["QUOTA.SET", account, counted.resource, counted.used, "PERIOD", counted.period, "REASON",
                             "taken over from goquota"])
            kept.append(counted)
    commands.sort(key=lambda words: ORDER[str(words[0])])
    return Item(account, commands, lambda server: differs(server, account, customer, kept)), left_out


def differs(server: Server, account: str, customer: Customer, kept: list[Counted]) -> str:
    """Plan, anchor, what each cycle has used, what is left of the credits."""
    info = server.call("QUOTA.INFO", account)
    grants = {grant["id"]: grant["left"] for grant in server.pages("QUOTA.GRANTS", account)}
    for name, have, want in (("plan", info["plan"], customer.tier), ("anchor", info["anchor"], customer.anchor_ms)):
        if have != want:
            return f"its {name} is {have}, not {want}"
    for counted in kept:
        if counted.period == FOREVER:
            have, want = grants.get(f"mig:{counted.key}", 0), counted.credits - counted.used
        else:
            have = next((rule["used"] for rule in info["resources"][counted.resource]["rules"]
                         if rule["kind"] == "LIMIT" and rule["period"] == counted.period), 0)
            want = counted.used
        if have != want:
            return f"{counted.resource} of {counted.period}: {number(have)}, {number(want)} before"
    return ""


@migration("goquota")
@click.option("--key-prefix", default="goquota:", show_default=True, help="What the old keys begin with.")
@click.option("--prefix", default="", help="What the names of the new accounts begin with, before the user.")
def goquota(old: Fleet, new: Fleet, key_prefix: str, prefix: str) -> Source:
    """Takes over users, running cycles and credits of goquota.

    The tier is the plan: set the plans first (quotactl config apply). Not taken over are rate limits, which forget
    within seconds, and ids of consumptions and refunds: repeat those on the old system until they are answered.
    """
    now_ms = new.primaries[0].now_ms()
    customers: dict[str, Customer] = {}
    for server, key in strings(old, f"{escaped(key_prefix)}entitlement:*"):
        found = customer_of(key, server.call("GET", key))
        if isinstance(found, Skipped):
            yield found
        else:
            customers[found.name] = found
    for server, key in strings(old, f"{escaped(key_prefix)}usage:*", "hash"):
        usage = counted_of(key, server.call("HGETALL", key), key_prefix, now_ms)
        if isinstance(usage, Skipped):
            yield usage
        elif usage[0] not in customers:
            yield Skipped(key, f"{usage[0]} has no entitlement")
        else:
            customers[usage[0]].counted.append(usage[1])
    yield from items(customers, new, prefix, now_ms)


def items(customers: dict[str, Customer], new: Fleet, prefix: str, now_ms: int) -> Source:
    """One account for each customer whose subscription runs."""
    cache: dict[str, dict[str, set[str]] | None] = {}
    for customer in customers.values():
        account = prefix + customer.name
        if customer.expires_ms is not None and customer.expires_ms <= now_ms:
            yield Skipped(account, "its subscription is over", harmless=True)
            continue
        limits = limits_of(new.home(account), customer.tier, cache)
        if limits is None:
            yield Skipped(account, f"there is no plan {customer.tier}: quotactl config apply")
            continue
        item, left_out = item_of(customer, account, limits, now_ms)
        yield from left_out
        yield item
