"""The file of sinks, as quotactl forward reads it.

    sinks:
      billing: {webhook: https://example.test/hook, secrets: ["${HOOK_NEW}", "${HOOK_OLD}"], types: [quota.cycle.*]}
      archive: {file: /var/lib/quota/audit.jsonl}
    forward: {name: redis-quota, settle-within: 5m, retry: standard}

It may be the file of plans and policies: those sections are left alone. An error names file and line.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..cli.document import Document, read_document
from ..cli.servers import Fault
from ..rules import duration_us
from .schedule import STANDARD, Schedule

KINDS = ("webhook", "cloudevents", "slack", "file", "stream")
HTTP_KINDS = KINDS[:3]
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TEMPLATE = "{type} {account} {resource} {used} of {limit}"
FIELDS = {
    "webhook": ("secrets",), "cloudevents": (), "slack": ("template",), "file": ("keep",), "stream": ("maxlen", "url")}
COMMON = ("types", "start")
HTTP = ("headers", "timeout", "ca", "allow-private", "retry", "lanes", "off-after")
GENERAL = ("name", "settle-within", "retry", "lease", "refusals-every")
STREAM_MAX = 100_000
US_PER_MS = 1000


@dataclass(frozen=True)
class SinkConfig:
    """One sink; `target` is the URL, the path or the stream's key. `keep_ms` 0: rotated files stay."""

    name: str
    kind: str
    target: str
    types: tuple[str, ...] = ("*",)
    start: str = "oldest"
    secrets: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    timeout_ms: int = 15_000
    allow_private: bool = False
    schedule: Schedule = STANDARD
    lanes: int = 8
    off_after_ms: int = 5 * 86_400_000
    template: str = TEMPLATE
    keep_ms: int = 0
    maxlen: int = STREAM_MAX
    url: str = ""
    ca: str = ""

    def wants(self, type_: str) -> bool:
        """Whether the sink gets events of this type; what was lost, every sink gets."""
        return type_ == "quota.log.truncated" or any(fnmatch.fnmatchcase(type_, pattern) for pattern in self.types)


@dataclass(frozen=True)
class Settings:
    """All sinks, and what is not of one of them."""

    sinks: tuple[SinkConfig, ...]
    name: str = "redis-quota"
    settle_within_ms: int = 300_000
    lease_ms: int = 30_000
    refusals_every_ms: int = 5000


class Reader:
    """Takes fields of one map out of the document, and names those that are not understood."""

    def __init__(self, document: Document, path: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        self.document, self.path = document, path
        self.map: Any = document.value
        for key in path:
            self.map = self.map[key]
        if not isinstance(self.map, dict):
            raise self.fault("must be a map")
        for key in self.map:
            if key not in allowed:
                raise self.fault(f"unknown field '{key}', the fields are: {', '.join(allowed)}", key)

    def fault(self, text: str, *path: str) -> Fault:
        return Fault(f"{self.document.place(*self.path, *path)}: {' '.join(self.path)}: {text}")

    def text(self, key: str, default: str) -> str:
        value = self.map.get(key, default)
        if not isinstance(value, str) or (not value and default):
            raise self.fault(f"'{key}' must be a text", key)
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts, or one of them alone."""
        value = self.map.get(key, list(default))
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise self.fault(f"'{key}' must be a list of texts", key)
        return tuple(value)

    def number(self, key: str, default: int, lowest: int, highest: int) -> int:
        value = self.map.get(key, default)
        if not isinstance(value, int) or not lowest <= value <= highest:
            raise self.fault(f"'{key}' must be an integer from {lowest} to {highest}", key)
        return value

    def length_ms(self, key: str, default_ms: int, value: Any = None) -> int:
        """A duration such as 500ms, 30s, 1h30m or 5d, or 0; whole milliseconds. A bare number has no unit."""
        value = self.map.get(key, f"{default_ms}ms") if value is None else value
        length_us = 0 if value == 0 else None if str(value).isdecimal() else duration_us(str(value))
        if length_us is None or length_us % US_PER_MS:
            raise self.fault(f"'{key}' must be a duration like 500ms, 30s, 1h30m or 5d", key)
        return length_us // US_PER_MS

    def schedule(self, default: Schedule) -> Schedule:
        """`standard`, or a list of the gaps before each attempt."""
        value = self.map.get("retry")
        if value is None:
            return default
        if value == "standard":
            return STANDARD
        if not isinstance(value, list) or not value:
            raise self.fault("'retry' must be standard or a list like [0, 5s, 5m]", "retry")
        return Schedule(tuple(self.length_ms("retry", 0, gap) / 1000 for gap in value))


def sink_of(document: Document, name: str, schedule: Schedule) -> SinkConfig:
    """The sink of that name, checked."""
    given = document.value["sinks"][name]
    kinds = [kind for kind in KINDS if isinstance(given, dict) and kind in given]
    kind = kinds[0] if kinds else ""
    more = (*COMMON, *(HTTP if kind in HTTP_KINDS else ()), *FIELDS.get(kind, ()))
    reader = Reader(document, ("sinks", name), (*KINDS, *more))
    if not NAME.fullmatch(name):
        raise reader.fault("a name has 1 to 64 letters, digits, - and _")
    if len(kinds) != 1:
        raise reader.fault(f"a sink has one of these fields: {', '.join(KINDS)}")
    own = SinkConfig  # its defaults
    config = SinkConfig(
        name, kind, reader.text(kind, ""), reader.texts("types", own.types), reader.text("start", own.start),
        reader.texts("secrets", own.secrets), headers_of(document, reader), reader.length_ms("timeout", own.timeout_ms),
        bool(reader.number("allow-private", own.allow_private, 0, 1)), reader.schedule(schedule),
        reader.number("lanes", own.lanes, 1, 64), reader.length_ms("off-after", own.off_after_ms),
        reader.text("template", own.template), reader.length_ms("keep", own.keep_ms),
        reader.number("maxlen", own.maxlen, 0, 10**9), reader.text("url", own.url), reader.text("ca", own.ca))
    check(config, reader)
    return config


def headers_of(document: Document, reader: Reader) -> dict[str, str]:
    """Of HTTP, such as Authorization; names in small letters, since theirs do not count."""
    if "headers" not in reader.map:
        return {}
    found = Reader(document, (*reader.path, "headers"), tuple(reader.map["headers"] or ()))
    return {key.lower(): found.text(key, "") for key in found.map}


def is_url(text: str) -> bool:
    """Whether it is one of http or https, with a host and, if at all, a port from 1 to 65535."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def check(config: SinkConfig, reader: Reader) -> None:
    """What one field alone does not show."""
    if not config.target:
        raise reader.fault(f"'{config.kind}' is empty", config.kind)
    if config.kind in HTTP_KINDS and not is_url(config.target):
        raise reader.fault(f"'{config.kind}' must be a URL of http or https", config.kind)
    if config.kind == "webhook" and not config.secrets:
        raise reader.fault("'secrets' is missing: whsec_ and base64 of 24 to 64 bytes", config.kind)
    if config.start not in ("oldest", "now"):
        raise reader.fault("'start' must be oldest or now", "start")
    if config.timeout_ms <= 0:
        raise reader.fault("'timeout' must be more than 0", "timeout")


def read_settings(path: str) -> Settings:
    """The file's sinks. Fault: what is wrong, with its place."""
    return settings_of(read_document(path))


def settings_of(document: Document) -> Settings:
    """The sinks of a file that was read already; quotactl config checks them, too."""
    if not isinstance(document.value, dict) or not isinstance(document.value.get("sinks"), dict):
        raise Fault(f"{document.place('sinks')}: the file must have a map 'sinks'")
    document.value.setdefault("forward", {})
    general = Reader(document, ("forward",), GENERAL)
    schedule = general.schedule(STANDARD)
    name = general.text("name", Settings.name)
    if not NAME.fullmatch(name):
        raise general.fault("'name' has 1 to 64 letters, digits, - and _", "name")
    sinks = tuple(sink_of(document, sink, schedule) for sink in document.value["sinks"])
    if not sinks:
        raise Fault(f"{document.place('sinks')}: there are no sinks")
    return Settings(sinks, name, general.length_ms("settle-within", Settings.settle_within_ms),
                    general.length_ms("lease", Settings.lease_ms),
                    general.length_ms("refusals-every", Settings.refusals_every_ms))
