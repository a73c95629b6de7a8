"""quotactl forecast: what the running cycles of an account come to; quotactl advise: the smallest plan that fits that.

    QUOTA.FORECAST of each resource ──▶ projected, used up at …
        └── advise: for each plan QUOTA.SWITCH … FULL CHECK ──▶ its limits for this account ──▶ projected <= limit?

The server computes forecasts and limits; here they are compared.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .account import ACCOUNT, rule_rows
from .base import Row, Session, command, text_of
from .servers import Server, failure
from .words import known, moment, number

Need = dict[tuple[str, str], int]  # (resource, period) ──▶ units


def forecasts(server: Server, account: str, resources: list[str]) -> list[Row]:
    """A row for each LIMIT of these resources; not those of accounts above."""
    replies = server.each(["QUOTA.FORECAST", account, resource] for resource in resources)
    rows = []
    for resource, reply in zip(resources, replies, strict=True):
        if isinstance(reply, Exception):
            raise failure(server.address, ["QUOTA.FORECAST", account, resource], reply)
        rows += [{"resource": resource, **row} for row in reply]
    return rows


def trend_text(trend: int) -> str:
    return "-" if trend < 0 else f"{trend}%"


@command(tabular=True)
@ACCOUNT
@click.argument("resource", required=False)
def forecast(session: Session, account: str, resource: str | None) -> None:
    """Carries the running cycles on at their rate: what they come to, and when limits are used up."""
    server = session.fleet.home(account)
    resources = [resource] if resource else list(server.call("QUOTA.INFO", account)["resources"])
    session.table(forecasts(server, account, resources), {
        "resource": text_of, "period": text_of, "used": number, "limit": number, "projected": known,
        "depletes_at": moment, "per_day": number, "trend": trend_text, "end": moment}, "it has no LIMIT")


# ---- advise ----------------------------------------------------------------------------------------------------------


def need_of(server: Server, account: str, resources: list[str]) -> Need:
    """What the account will have used of each resource and period, where there is a projection."""
    return {(row["resource"], row["period"]): row["projected"] for row in forecasts(server, account, resources)
            if row["projected"] >= 0 and not row.get("account")}


def limits_of(info: Row) -> Need:
    """The account's own LIMITs by resource and period; of several of one period the smallest; -1 is unlimited."""
    limits: Need = {}
    for row in rule_rows(info):
        key = (row["resource"], row["period"])
        if row["kind"] == "LIMIT" and not row["of"]:
            known = limits.get(key, -1)
            limits[key] = row["limit"] if known < 0 else known if row["limit"] < 0 else min(known, row["limit"])
    return limits


def judged(plan: str, need: Need, info: Row) -> Row:
    """Whether the limits that the plan gives this account are enough for each resource that it uses."""
    limits, short, room = limits_of(info), [], 0
    for (resource, period), units in need.items():
        if not units:
            continue
        if resource not in info["resources"]:
            short.append(f"has no {resource}")
            continue
        limit = limits.get((resource, period), -1)
        room = -1 if limit < 0 or room < 0 else room + limit
        if 0 <= limit < units:
            short.append(f"{resource}: {number(limit)} a {period}, {number(units)} needed")
    return {"plan": plan, "fits": not short, "why": "; ".join(short), "room": room}


def size_of(row: Row) -> tuple[bool, int]:
    """Plans by what they include of the resources in use; unlimited ones last."""
    return row["room"] < 0, row["room"]


@command(tabular=True)
@ACCOUNT
def advise(session: Session, account: str) -> None:
    """Names the smallest plan that fits the account's forecast; exit code 1 where none does.

    A plan fits where every LIMIT that the running cycle is projected on admits the projection. Rates, and LIMITs of
    periods that the account has not now, are not looked at. The smallest is the one that includes the fewest units of
    the resources in use; prices are not compared.
    """
    server = session.fleet.home(account)
    info = server.call("QUOTA.INFO", account)
    need = need_of(server, account, list(info["resources"]))
    plans = [row["plan"] for row in server.pages("QUOTA.PLAN", "LIST") if not row["retired"]]
    rows: list[dict[str, Any]] = []
    for plan in plans:
        would_be = info if plan == info["plan"] else server.call("QUOTA.SWITCH", account, plan, "FULL", "CHECK")
        rows.append({**judged(plan, need, would_be), "has": plan == info["plan"]})
    rows.sort(key=size_of)
    best = next((row["plan"] for row in rows if row["fits"]), None)
    if session.json:
        session.emit({"account": account, "plan": info["plan"], "advice": best, "plans": rows})
    else:
        session.table(rows, {"plan": text_of, "fits": lambda fits: "yes" if fits else "no",
                             "room": number, "why": text_of})
        if not session.csv:
            same = " (it has it)" if best == info["plan"] else ""
            session.say(f"{account}: {best}{same}" if best else f"{account}: no plan fits")
    sys.exit(0 if best else 1)
