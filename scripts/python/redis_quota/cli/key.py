"""quotactl key: API keys of an account. The secret is made here and shown once; the server gets its SHA-256 alone.

    sk_acme_9uQ2…32 letters and digits…x0  + 6 that are a checksum of all before them
    └┬┘└─┬┘ └──────────┬──────────────┘
    prefix account    190 random bits           digest = SHA-256 of the whole text, in 64 hexadecimal digits
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

import click

from ..rules import words_of
from .account import ACCOUNT, REASON
from .base import Session, command, group, text_of
from .servers import Fault, Refused
from .words import data, moment, shown

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LETTERS = 32
CHECK_LETTERS = 6
DIGITS_MIN = 8  # of a digest that name a key
DIGEST_DIGITS = 64


@group()
def key() -> None:
    """API keys of an account. The server knows a key by its SHA-256; the key itself is shown once, here."""


def base62(value: int, letters: int) -> str:
    """The number in so many letters and digits."""
    text = ""
    for _ in range(letters):
        value, digit = divmod(value, len(LETTERS))
        text = LETTERS[digit] + text
    return text


def make_key(prefix: str, account: str) -> str:
    """A new secret: `<prefix>_<account>_<random><checksum>`, so that a scanner knows a key when it sees one."""
    random = "".join(secrets.choice(LETTERS) for _ in range(RANDOM_LETTERS))
    text = f"{prefix}_{account}_{random}"
    return text + base62(zlib.crc32(data(text)), CHECK_LETTERS)


def is_whole(secret: str) -> bool:
    """Whether the checksum at the end is that of what stands before it."""
    text, check = secret[:-CHECK_LETTERS], secret[-CHECK_LETTERS:]
    return len(secret) > CHECK_LETTERS and check == base62(zlib.crc32(data(text)), CHECK_LETTERS)


def digest_of(secret: str) -> str:
    """What the server knows of it."""
    return hashlib.sha256(data(secret)).hexdigest()


def digest_named(text: str) -> str:
    """The digest, or the beginning of one, that a person names; a secret that is whole names its own."""
    if re.fullmatch(f"[0-9a-fA-F]{{{DIGITS_MIN},{DIGEST_DIGITS}}}", text):
        return text.lower()
    if is_whole(text):
        return digest_of(text)
    raise Fault(f"{shown(text)}: name the key by {DIGITS_MIN} or more digits of its digest, as key list shows them")


def hand_over(session: Session, account: str, secret: str, said: str) -> None:
    """Shows the secret: alone on standard output, so that a script can take it."""
    digest = digest_of(secret)
    if session.json:
        session.emit({"account": account, "key": secret, "id": digest[:DIGITS_MIN], "digest": digest})
        return
    session.note(f"{said} {digest[:DIGITS_MIN]}. It is shown this once:")
    session.say(secret)


PREFIX = click.option("--prefix", default="sk", show_default=True, help="What keys begin with.")


@command(key)
@ACCOUNT
@click.option("--name", help="What it is called, for people.")
@click.option("--expires", metavar="WHEN", help="An instant, a duration (90d) or period (3month) from now on.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it may be used for; again for more. "
                                                                        "Default: everything.")
@click.option("--rate", "rates", multiple=True, metavar="RULE", help='A rate limit of this key alone: "10 1s".')
@PREFIX
@REASON
def create(session: Session, account: str, name: str | None, expires: str | None, scopes: tuple[str, ...],
           rates: tuple[str, ...], prefix: str, reason: str | None) -> None:
    """Makes a key and prints it, once."""
    secret = make_key(prefix, account)
    words = [*(["NAME", name] if name else []), *(["EXPIRES", expires] if expires else []),
             *(["SCOPES", len(scopes), *scopes] if scopes else []),
             *[word for rate in rates for word in ("RATE", *words_of([rate]))]]
    session.fleet.home(account).call("QUOTA.APIKEY", "SET", account, digest_of(secret), *words, *session.reason(reason))
    hand_over(session, account, secret, f"{account}: made the key")


@command(key)
@ACCOUNT
@click.argument("old")
@click.option("--grace", metavar="DURATION", help="So long the old key goes on to work. Default: it ends now.")
@PREFIX
@REASON
def rotate(session: Session, account: str, old: str, grace: str | None, prefix: str, reason: str | None) -> None:
    """Makes a key that takes the place of OLD, with its name, scopes and rates, and prints it, once."""
    secret = make_key(prefix, account)
    ends_ms = session.fleet.home(account).call("QUOTA.APIKEY", "ROTATE", account, digest_named(old), digest_of(secret),
                                              *(["GRACE", grace] if grace else []), *session.reason(reason))
    session.note(f"the old key ends at {moment(ends_ms)}")
    hand_over(session, account, secret, f"{account}: in its place is the key")


@command(key)
@ACCOUNT
@click.argument("key_", metavar="KEY")
@REASON
def revoke(session: Session, account: str, key_: str, reason: str | None) -> None:
    """Ends a key; exit code 1 where no such key lives."""
    digest = digest_named(key_)
    session.confirm(f"Revoke the key {digest[:DIGITS_MIN]} of {shown(account)}?")
    server = session.fleet.home(account)
    ended = server.call("QUOTA.APIKEY", "REVOKE", account, digest, *session.reason(reason))
    if not ended:
        raise Refused(f"{account} has no live key {digest[:DIGITS_MIN]}")
    if session.json:
        session.emit({"account": account, "id": digest[:DIGITS_MIN], "revoked": ended})
    session.say(f"{account}: key {digest[:DIGITS_MIN]} revoked")


def scopes_text(scopes: list[str] | None) -> str:
    """Null is every scope."""
    return "all" if scopes is None else " ".join(scopes)


@command(key, name="list", tabular=True)
@ACCOUNT
def list_(session: Session, account: str) -> None:
    """Lists the keys of an account, the first made first."""
    rows = list(session.fleet.home(account).pages("QUOTA.APIKEY", "LIST", account))
    session.table(rows, {"id": text_of, "name": text_of, "state": text_of, "scopes": scopes_text,
                         "rates": lambda rates: " ".join(rates) or "-", "created": moment, "expires": moment,
                         "used": moment}, "it has no keys")
