"""Names of event logs: a log is that of a shard, whichever of its nodes is the primary today.

    one server          "0": whatever its address, a replica that was promoted goes on with it
    several servers     by the address in their URLs
    a cluster           quota:forward:shards: node id ──▶ shard; a replica has the name of its primary, and keeps it
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..cli.servers import Fleet, Server, nodes_of
from .store import PREFIX, home_of

SHARDS = f"{PREFIX}shards"
NAME_LETTERS = 12
Shard = tuple[str, Server]


def families(nodes: Iterable[str]) -> dict[str, list[str]]:
    """Of CLUSTER NODES: each node and those that replicate it, itself in front."""
    found: dict[str, list[str]] = {}
    rows = [line.split(" ") for line in nodes]
    for node, _, flags, primary, *_ in rows:
        if "master" in flags.split(","):
            found.setdefault(node, []).insert(0, node)
        elif primary != "-":
            found.setdefault(primary, []).append(node)
    return found


def named(family: dict[str, list[str]], known: dict[str, str]) -> dict[str, str]:
    """The shard of every primary: that of its node, else of one of its replicas, else a new one; each once."""
    names: dict[str, str] = {}
    for primary in sorted(family, key=lambda node: node not in known):
        taken = set(names.values())
        candidates = [known[node] for node in family[primary] if node in known]
        names[primary] = next((name for name in candidates if name not in taken), primary[:NAME_LETTERS])
    return names


def shards_of(fleet: Fleet, keep: bool = True) -> list[Shard]:
    """The name of each primary's log. In a cluster the forwarder keeps the names, so that a failover changes none;
    without `keep` nothing is written: for those that only look."""
    servers = fleet.primaries
    if not fleet.is_cluster:
        if len(servers) == 1:
            return [("0", servers[0])]
        return [(re.sub(r"[^A-Za-z0-9]+", "_", server.address), server) for server in servers]
    home = home_of(fleet, SHARDS)
    known: dict[str, str] = home.call("HGETALL", SHARDS)
    family = families(nodes_of(home) or [])
    ids = {server: str(server.call("CLUSTER", "MYID")) for server in servers}
    family = {node: family.get(node, [node]) for node in ids.values()}
    names = named(family, known)
    fresh = {node: names[primary] for primary, nodes in family.items() for node in nodes}
    if keep and any(known.get(node) != name for node, name in fresh.items()):
        home.call("HSET", SHARDS, *(word for pair in fresh.items() for word in pair))
    return [(names[ids[server]], server) for server in servers]
