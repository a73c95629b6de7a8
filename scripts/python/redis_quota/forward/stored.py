"""The sinks as `quotactl config apply` keeps them on a server: for `config save`, and for forwarders without a file.

    quota:forward:config     hash: sinks/<name> ──▶ the sink's map as JSON, forward ──▶ what is of no sink

They are kept as they were written, with ${NAME}: the environment of each forwarder fills that in. So no secret is kept.
"""

from __future__ import annotations

import json
from typing import Any

import redis

from ..cli.document import Document, Reader
from ..cli.servers import Command, Fault, Fleet, failure
from .config import Settings, settings_of
from .store import PREFIX, home_of

CONFIG = f"{PREFIX}config"
SECTIONS = ("sinks", "forward")
SINK = "sinks/"
Fields = dict[str, Any]  # of the hash, decoded


class Hidden(Fault):
    """The sinks cannot be seen."""


def fields_of(sections: dict[str, Any]) -> Fields:
    """The hash that keeps these sections."""
    sinks = {f"{SINK}{name}": sink for name, sink in (sections.get("sinks") or {}).items()}
    return {**sinks, **({"forward": sections["forward"]} if sections.get("forward") else {})}


def sections_of(fields: Fields) -> dict[str, Any]:
    """The sections of the file; none where no sinks are kept."""
    sinks = {name.removeprefix(SINK): fields[name] for name in sorted(fields) if name.startswith(SINK)}
    found = {"sinks": sinks, "forward": fields.get("forward")}
    return {name: section for name, section in found.items() if section}


def read_stored(fleet: Fleet) -> Fields:
    """What the servers keep. Hidden: this user may not see it."""
    home = home_of(fleet, CONFIG)
    reply = home.attempt("HGETALL", CONFIG)
    if isinstance(reply, redis.exceptions.NoPermissionError):
        raise Hidden(f"{home.address}: {CONFIG}: {reply}")
    if isinstance(reply, Exception):
        raise failure(home.address, ["HGETALL", CONFIG], reply)
    return {name: json.loads(text) for name, text in reply.items()}


def commands_for(document: Document, have: Fields, prune: bool) -> list[Command]:
    """What makes the servers keep the sinks of a file that was read with its ${NAME}. A file without sinks says nothing
    about them. Fault: a secret is written out."""
    if "sinks" not in document.value:
        return []
    for name, sink in document.value["sinks"].items():
        secrets = sink.get("secrets", []) if isinstance(sink, dict) else []
        for secret in [secrets] if isinstance(secrets, str) else secrets:
            if "${" not in str(secret):
                raise Fault(f"{document.place('sinks', name, 'secrets')}: a secret is not kept on servers: write it as "
                            "${NAME}, and give the forwarder the variable")
    wanted = fields_of(document.value)
    commands: list[Command] = [["HSET", CONFIG, name, json.dumps(value)] for name, value in wanted.items()
                               if have.get(name) != value]
    return commands + [["HDEL", CONFIG, name] for name in have if prune and name not in wanted]


def stored_settings(fleet: Fleet) -> Settings:
    """The settings of a forwarder without a file, with the environment's variables. Fault: nothing is kept."""
    found = sections_of(read_stored(fleet))
    if not found:
        raise Fault("the servers keep no sinks: name a file, or apply one that has sinks by quotactl config apply")
    return settings_of(Reader(CONFIG, (CONFIG,)).document(json.dumps(found)))
