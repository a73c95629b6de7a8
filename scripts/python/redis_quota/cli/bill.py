"""quotactl bill: what the cycles of accounts cost: the lines of QUOTA.BILL, with amounts in their currency.

    QUOTA.BILL acme ──▶ amount 107000000 (millionths) ──▶ 107.00 usd
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from .account import ACCOUNT, infos
from .base import Row, Session, command, group, text_of
from .servers import Server
from .usage import OUTPUT, PATTERN, PLAN, export_to
from .words import moment, money, number

AT = click.option("--at", metavar="INSTANT", help="The cycles in which it lies. Default: the running ones.")
FIELDS = ("account", "plan", "id", "resource", "period", "start", "end", "included", "used", "credits", "refunded",
          "quantity", "currency", "tiers", "amount")


@group()
def bill() -> None:
    """What cycles cost: units beyond what is included, by the prices of the plan."""


@command(bill, tabular=True)
@ACCOUNT
@AT
def show(session: Session, account: str, at: str | None) -> None:
    """Shows the lines of an account, and what they come to."""
    rows = session.fleet.home(account).call("QUOTA.BILL", account, *(["AT", at] if at else []))
    columns: dict[str, Callable[[Any], str]] = {
        "resource": text_of, "period": text_of, "start": moment, "end": moment, "included": number, "used": number,
        "quantity": number, "amount": money, "currency": text_of}
    session.table(rows, columns, "no resource of its plan has a price")
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["currency"]] = totals.get(row["currency"], 0) + row["amount"]
    for currency, amount in totals.items() if not session.csv else ():
        session.say(f"total {money(amount)} {currency}")


def lines(session: Session, pattern: str, plan: str | None, at: str | None) -> Iterator[Row]:
    """The lines of all accounts that fit."""
    wanted: dict[Server, list[Row]] = {}
    for server, _, info in infos(session, pattern):
        if plan in (None, info["plan"]):
            wanted.setdefault(server, []).append(info)
    for server, accounts in wanted.items():
        replies = server.each(["QUOTA.BILL", info["account"], *(["AT", at] if at else [])] for info in accounts)
        for info, found in zip(accounts, replies, strict=True):
            for row in found if isinstance(found, list) else ():
                flat = {"account": info["account"], "plan": info["plan"], **row}
                yield {field: flat[field] for field in FIELDS}


@command(bill, tabular=True)
@PATTERN
@PLAN
@AT
@OUTPUT
def export(session: Session, pattern: str, plan: str | None, at: str | None, output: str | None) -> None:
    """Writes the lines of all accounts as JSON lines, or --csv; amounts in millionths of the currency.

    A line's id is the same for ever: an invoice system can store it twice and count it once.
    """
    export_to(session, lines(session, pattern, plan, at), FIELDS, output)
