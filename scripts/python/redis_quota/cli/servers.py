"""Servers as quotactl reaches them: one, several, or every primary of a cluster.

    --url ──▶ Fleet ─┬─ primaries        plans, policies, events, violations: each server has its own
                     ├─ home(key)        an account or a limit: the server that has its slot
                     └─ keys(kind)       SCAN … TYPE kind on each of them, in pages

Replies come as RESP3 maps with text; text that is no UTF-8 is kept as surrogates. Commands go out as bytes, so that
redis-py reshapes no reply. What goes wrong is a Fault or Refused: one line that names the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import redis
from redis.crc import key_slot

from ..errors import BY_CODE
from .words import data, line, shown

PAGE_MAX = 1000  # of a list that is paged
BATCH = 500  # commands that are sent before their replies are read
SCAN_COUNT = 1000
PATIENCE_S = 30
ATTEMPTS_MAX = 6  # of a command whose slot moves
TRY_AGAIN_S = 0.05  # doubled each time
LINE_MAX = 200  # letters of a command that an error shows
DEFAULT_URL = "redis://127.0.0.1:6379"
Command = Sequence[object]

# Errors that are answers: the server has understood the command and refuses it. All others are faults.
REFUSALS = BY_CODE.keys() - {"ERR", "WRONGTYPE", "OOM", "TRYAGAIN", "UNBLOCKED"}


class Fault(click.ClickException):
    """What cannot be done, said in one line; exit code 2."""

    exit_code = 2


class Refused(Fault):
    """What the server, or the person at the terminal, refuses; exit code 1."""

    exit_code = 1


# What to do about errors of a cluster.
HINTS = {
    "MOVED": "{place} has the slot of this key. The nodes of the cluster are not known, since this user may not see "
             "them: give it +cluster|nodes (quotactl acl ROLE --cluster), or name that node by --url",
    "ASK": "the slot of this key is moving to {place}: try again when it has arrived",
    "TRYAGAIN": "the slot of these keys is moving to another node: try again when it has arrived",
    "CROSSSLOT": "{error}. In a cluster the accounts of one command need one hash tag, as in {{acme}}:a and {{acme}}:b"}
FOLLOWED = ("MOVED", "ASK", "TRYAGAIN")
# Newer versions of redis-py have classes for them and take the code away.
CODES = {"MovedError": "MOVED", "AskError": "ASK", "TryAgainError": "TRYAGAIN", "ClusterCrossSlotError": "CROSSSLOT"}


def cluster_code(error: Exception) -> str:
    """MOVED, ASK, TRYAGAIN, CROSSSLOT, or what another error begins with."""
    return CODES.get(type(error).__name__, str(error).split(" ", 1)[0])


def place_of(error: Exception) -> tuple[str, int]:
    """Where MOVED and ASK point to."""
    host, _, port = str(error).rsplit(" ", 1)[-1].rpartition(":")
    return host, int(port or 0)


def failure(address: str, command: Command, error: Exception) -> Fault:
    """The exception for an error reply or a lost connection."""
    refused = isinstance(error, redis.ResponseError) and str(error).split(" ", 1)[0] in REFUSALS
    text, code = str(error), cluster_code(error)
    if code in HINTS and isinstance(error, redis.RedisError):
        text = HINTS[code].format(error=error, place=text.rsplit(" ", 1)[-1])
    return (Refused if refused else Fault)(f"{address}: {line(command)[:LINE_MAX]}: {text}")


class Server:
    """One redis-server; errors name it by `address`. `slots` are those it owns: ranges (first, last), inclusive."""

    def __init__(self, pool: redis.ConnectionPool, address: str) -> None:
        self.client: redis.Redis = redis.Redis(connection_pool=pool)
        self.address = address
        self.slots: list[tuple[int, int]] = []

    @property
    def db(self) -> int:
        """The database that the connection uses."""
        return int(self.client.connection_pool.connection_kwargs.get("db") or 0)

    def call(self, *command: object) -> Any:
        """The reply to one command. In a cluster it follows a slot that has moved, and one that is moving."""
        words, server, asking = [*map(data, command)], self, False
        for attempt in range(ATTEMPTS_MAX):
            try:
                return server.once(words, asking)
            except redis.RedisError as error:
                code, is_last = cluster_code(error), attempt == ATTEMPTS_MAX - 1
                if code == "TRYAGAIN" and not is_last:
                    time.sleep(TRY_AGAIN_S * 2**attempt)
                elif code in ("MOVED", "ASK") and self.slots and not is_last:
                    server, asking = self.sibling(*place_of(error)), code == "ASK"
                else:
                    raise failure(self.address, command, error) from error
        raise AssertionError("the last attempt returns or raises")

    def once(self, words: list[bytes], asking: bool) -> Any:
        """One attempt; `asking`: of a slot that is on its way to this server."""
        if not asking:
            return self.client.execute_command(*words)  # type: ignore[no-untyped-call]
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(b"ASKING").execute_command(*words)  # type: ignore[no-untyped-call]
            return pipeline.execute()[1]

    def sibling(self, host: str, port: int) -> Server:
        """Another node of its cluster."""
        pool = self.client.connection_pool
        words = {**pool.connection_kwargs, "host": host, "port": port}
        return Server(redis.ConnectionPool(connection_class=pool.connection_class, **words), f"{host}:{port}")

    def do(self, commands: Iterable[Command]) -> list[Any]:
        """All of them in one step, MULTI; the first error is the one that is reported."""
        with self.client.pipeline(transaction=True) as transaction:
            for command in commands:
                transaction.execute_command(*map(data, command))  # type: ignore[no-untyped-call]
            try:
                return list(transaction.execute())
            except redis.RedisError as error:
                raise Fault(f"{self.address}: {error}") from error

    def each(self, commands: Iterable[Command]) -> Iterator[Any]:
        """The reply to each command in its order, an error as an exception in its place; a batch is sent at once."""
        batch: list[Command] = []
        for command in commands:
            batch.append(command)
            if len(batch) == BATCH:
                yield from self._batch(batch)
                batch = []
        if batch:
            yield from self._batch(batch)

    def _batch(self, commands: list[Command]) -> list[Any]:
        with self.client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*map(data, command))  # type: ignore[no-untyped-call]
            try:
                replies = list(pipeline.execute(raise_on_error=False))
            except redis.RedisError as error:
                raise Fault(f"{self.address}: {error}") from error
        return [self._followed(command, reply) for command, reply in zip(commands, replies, strict=True)]

    def _followed(self, command: Command, reply: Any) -> Any:
        """The reply; where it says that the slot is elsewhere, or moving, that of the other node."""
        if not self.slots or not isinstance(reply, redis.ResponseError) or cluster_code(reply) not in FOLLOWED:
            return reply
        try:
            return self.call(*command)
        except Fault as fault:
            return fault

    def now_ms(self) -> int:
        """The module's clock, in Unix ms: the cycle of a millisecond that runs now."""
        return int(self.call("QUOTA.CYCLE", "1ms", "CALENDAR")[0])

    def instant_ms(self, text: str) -> int:
        """An instant as the server reads it, in Unix ms: a cycle of a millisecond that begins there."""
        return int(self.call("QUOTA.CYCLE", "1ms", "ANCHOR", text, "AT", text)[0])

    def attempt(self, *command: object) -> Any:
        """The reply to one command; an error as the exception that it is, not raised."""
        return next(self.each([command]))

    def pages(self, *command: object) -> Iterator[Any]:
        """Everything that a paged list has, from [COUNT n] [AFTER cursor]."""
        cursor: Any = ""
        while cursor is not None:
            cursor, page = self.call(*command, "COUNT", PAGE_MAX, *(["AFTER", cursor] if cursor else []))
            yield from page

    def scan(self, kind: str = "", pattern: str = "*") -> Iterator[list[str]]:
        """The keys of one data type (as TYPE says; default: of all) in pages; a key that moves meanwhile may come
        twice."""
        cursor: Any = "0"
        while True:
            cursor, keys = self.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT,
                                     *(["TYPE", kind] if kind else []))
            if keys:
                yield list(keys)
            if str(cursor) == "0":
                return


def connect(url: str, host: str | None = None, port: int | None = None) -> Server:
    """The server of the URL, or another one of its cluster, with the same user and encryption."""
    try:
        given = redis.ConnectionPool.from_url(url)
    except ValueError as error:
        raise Fault(f"URL: {error}") from error
    words = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S, **given.connection_kwargs,
             "protocol": 3, "decode_responses": True, "encoding_errors": "surrogateescape"}
    words.update({"host": host, "port": port} if host else {})
    address = words.get("path") or f"{words.get('host', 'localhost')}:{words.get('port', 6379)}"
    return Server(redis.ConnectionPool(connection_class=given.connection_class, **words), str(address))


def nodes_of(server: Server) -> list[str] | None:
    """The nodes of its cluster, a line for each; None of a server that is in none, or whose user may not see that."""
    try:
        return str(server.client.execute_command(b"CLUSTER", b"NODES")).splitlines()  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return None
    except redis.RedisError as error:
        raise failure(server.address, ["CLUSTER", "NODES"], error) from error


def is_primary(server: Server) -> bool:
    """By its ROLE. A user without the right to ROLE has to take what the other nodes say."""
    try:
        return str(server.client.execute_command(b"ROLE")[0]) == "master"  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return True
    except redis.RedisError as error:
        raise failure(server.address, ["ROLE"], error) from error


def cluster_primaries(first: Server, nodes: list[str], url: str) -> list[Server]:
    """Every primary of the cluster of `first`, also those that have no slots yet. What one node knows of the others may
    be behind what they are."""
    found, encrypted = [], "ssl_cert_reqs" in first.client.connection_pool.connection_kwargs
    for node in nodes:
        _, place, words, *rest = node.split(" ")
        flags, slots = words.split(","), rest[5:]
        if "master" not in flags or "noaddr" in flags or "handshake" in flags or ("fail" in flags and not slots):
            continue
        address, _, names = place.partition(",")
        host, _, port = address.partition("@")[0].rpartition(":")
        name = names.split(",")[0]
        server = first if "myself" in flags else connect(url, name if encrypted and name else host, int(port))
        ranges = [text.partition("-") for text in slots if not text.startswith("[")]
        server.slots = [(int(begin), int(end or begin)) for begin, _, end in ranges]
        found.append(server)
    return [server for server in found if is_primary(server)]


class Fleet:
    """The servers that --url names. They are found with the first question."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = [url for text in urls for url in text.split(",") if url]
        self._primaries: list[Server] | None = None
        self.is_cluster = False

    @property
    def primaries(self) -> list[Server]:
        """One server for each URL, every primary for a node of a cluster; each once. The servers of a
        cluster are sorted by address, others are in the order of the URLs."""
        if self._primaries is None:
            found: dict[str, Server] = {}
            for url in self.urls:
                first = connect(url)
                nodes = nodes_of(first)
                self.is_cluster |= nodes is not None
                found.update({server.address: server
                              for server in ([first] if nodes is None else cluster_primaries(first, nodes, url))})
            self._primaries = [found[address] for address in (sorted(found) if self.is_cluster else found)]
            if not self._primaries:
                raise Fault("the cluster has no primary")
        return self._primaries

    def home(self, key: str) -> Server:
        """The server that has the key, or would have it."""
        servers = self.primaries
        if len(servers) == 1:
            return servers[0]
        if self.is_cluster:
            slot = key_slot(data(key))
            for server in servers:
                if any(first <= slot <= last for first, last in server.slots):
                    return server
            raise Fault(f"slot {slot} of {shown(key)} is served by no primary")
        having = [server for server in servers if server.call("EXISTS", key)]
        if len(having) == 1:
            return having[0]
        where = f"is on {len(having)} servers" if having else "is on none of the servers"
        raise (Fault if having else Refused)(f"{shown(key)} {where}: name one by --url")

    @property
    def answering(self) -> list[Server]:
        """The primaries; where they cannot be found, one server for each URL, of which some may be down."""
        try:
            return self.primaries
        except Fault:
            return [connect(url) for url in self.urls]

    def keys(self, kind: str, pattern: str = "*") -> Iterator[tuple[Server, list[str]]]:
        """The keys of one data type (as TYPE says) on all servers that fit the pattern, in pages, each key once."""
        seen: set[str] = set()
        for server in self.primaries:
            for keys in server.scan(kind, pattern):
                fresh = [key for key in dict.fromkeys(keys) if key not in seen]
                seen.update(fresh)
                yield server, fresh
