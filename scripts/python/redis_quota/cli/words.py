"""Words for people and for servers: how quotactl writes commands, instants, spans, numbers, money.

    1738335600000 ──▶ 2025-01-31 15:00:00Z       5400000 ──▶ 1h30m       20000 ──▶ 20,000       107000000 ──▶ 107.00
    b"a b"        ──▶ "a b", as redis-cli reads it again

Text that is no UTF-8 goes through Python as surrogates (\\udc80 to \\udcff) and comes out as the bytes that it was.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

UNLIMITED = "unlimited"
NONE = "-"
UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
MILLION = 1_000_000
PRINTABLE = range(32, 127)


def data(word: object) -> bytes:
    """The bytes that a word is on the wire."""
    if isinstance(word, bytes):
        return word
    return str(word).encode("utf-8", "surrogateescape")


def shown(word: object) -> str:
    """The word as redis-cli reads it again: in quotes, with escapes, where it needs them."""
    letters = data(word)
    if re.fullmatch(rb"[!#-&(-\[\]-~]+", letters):
        return letters.decode()
    return '"' + "".join(chr(byte) if byte in PRINTABLE and byte not in b'"\\' else f"\\x{byte:02x}"
                         for byte in letters) + '"'


def portable(text: str) -> str:
    """A name for other programs: bytes that are no text as escapes."""
    return data(text).decode("utf-8", "backslashreplace")


def readable(text: str) -> str:
    """A name on a terminal: bytes that are no text, and what would move the cursor, as escapes."""
    return "".join(letter if letter.isprintable() else shown(letter)[1:-1] for letter in text)


def line(command: Iterable[object]) -> str:
    """A command as a line of redis-cli."""
    return " ".join(map(shown, command))


def moment(unix_ms: int | None) -> str:
    """An instant in UTC; -1 and None, "none", are a dash."""
    if unix_ms is None or unix_ms < 0:
        return NONE
    try:
        instant = datetime.datetime.fromtimestamp(unix_ms // 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return f"{unix_ms} ms"
    fraction = f".{unix_ms % 1000:03d}" if unix_ms % 1000 else ""
    return f"{instant:%Y-%m-%d %H:%M:%S}{fraction}Z"


def span(length_ms: int) -> str:
    """A length of time by its two largest units, rounded up, so that who waits so long has waited enough; -1 is
    "never"."""
    if length_ms < 0:
        return "never"
    for at, (unit, name) in enumerate(UNITS):
        if length_ms >= unit:
            smaller, smaller_name = UNITS[min(at + 1, len(UNITS) - 1)]
            length_ms = -(-length_ms // smaller) * smaller
            rest = length_ms % unit // smaller
            return f"{length_ms // unit}{name}" + (f"{rest}{smaller_name}" if rest else "")
    return "0"


def number(value: int | None) -> str:
    """A count with commas; -1 is "unlimited"."""
    if value is None:
        return NONE
    return UNLIMITED if value == -1 else f"{value:,}"


def known(value: int) -> str:
    """A count of which -1 says that there is none: a projection, or a share of a pool that is not divided."""
    return NONE if value < 0 else number(value)


def percent(value: int | None) -> str:
    """ "7%", a dash for None."""
    return NONE if value is None else f"{value}%"


def money(millionths: int) -> str:
    """An amount as QUOTA.BILL replies it, exactly; at least two decimals."""
    sign, millionths = ("-", -millionths) if millionths < 0 else ("", millionths)
    decimals = f"{millionths % MILLION:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{millionths // MILLION:,}.{decimals}"


def plural(count: int, one: str) -> str:
    """ "1 account", "3 accounts", "no accounts"."""
    return f"{number(count) if count else 'no'} {one if count == 1 else one + 's'}"


def escaped(name: str) -> str:
    """A name as a pattern of KEYS that fits it alone."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", name)
