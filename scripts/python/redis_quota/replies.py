"""Replies as Python values: the same with RESP2 and RESP3, with bytes and with decoded strings.

    RESP3  {b"plan": b"pro", …}          ─┐
    RESP2  [b"plan", b"pro", …]          ─┴─▶  {"plan": "pro", …}

A RESP2 reply does not say which of its arrays are maps, so each command's shape is written down here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .verdict import Event, Leased, Verdict

Shape = Callable[[Any], Any]


def text(value: Any) -> Any:
    """Bytes as str, also inside lists; all else as it is."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [text(item) for item in value] if isinstance(value, list) else value


def pairs(reply: Any) -> list[tuple[str, Any]]:
    """Name and value of each field of a map."""
    found = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    return [(str(text(name)), value) for name, value in found]


def fields(**shapes: Shape) -> Shape:
    """A map whose fields named here have a shape of their own."""
    return lambda reply: {name: shapes.get(name, text)(value) for name, value in pairs(reply)}


def named(shape: Shape) -> Shape:
    """A map from any names to values of one shape."""
    return lambda reply: {name: shape(value) for name, value in pairs(reply)}


def each(shape: Shape) -> Shape:
    """An array of values of one shape."""
    return lambda reply: [shape(item) for item in reply]


def optional(shape: Shape) -> Shape:
    """The shape, or None."""
    return lambda reply: None if reply is None else shape(reply)


def verdict(reply: Any) -> Verdict:
    """Six integers."""
    granted, limit, remaining, wait_ms, reset_ms, rule = reply
    return Verdict(granted, limit, remaining, wait_ms, reset_ms, rule)


def leased(reply: Any) -> Leased:
    """Six integers, the lease's id, its fencing token."""
    return Leased(verdict(reply[:6]), text(reply[6]) if reply[6] is not None else None, reply[7])


def page(reply: Any) -> tuple[str | None, list[dict[str, Any]]]:
    """The cursor of the next page (None: this is the last one) and the items."""
    return text(reply[0]), maps(reply[1])


def event(reply: Any) -> Event:
    """An id and a map."""
    return Event(text(reply[0]), fields()(reply[1]))


maps = each(fields())
resource = fields(rules=maps)
account = fields(resources=named(resource), next=optional(fields()), notes=maps)
policy = fields(overrides=maps, subjects=maps, ranges=maps, schedules=maps)
plan = fields(resources=named(text), pending=maps)
record = optional(each(fields(resources=each(fields(levels=maps)))))
