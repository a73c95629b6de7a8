"""What the forwarder keeps in Redis: keys of one slot for each sink.

    quota:forward:config                       hash: the sinks, as config apply keeps them (stored.py)
    quota:forward:{billing}:position:<shard>   the id of the last event of that log that was dealt with
    quota:forward:{billing}:retry              zset: delivery id by the instant of its next attempt
    quota:forward:{billing}:failed             hash: delivery id ──▶ the delivery, its attempts, its last error
    quota:forward:{billing}:dead               stream: what was given up
    quota:forward:{billing}:state              hash: off, failing_since, succeeded, counts
    quota:forward:{billing}:refused:<digest>   this refusal was sent in this cycle
    quota:forward:{billing}:holder             RL.ACQUIRE: the one process that works for the sink
    quota:forward:{billing}:token              the largest fencing token that has written

Every write is one MULTI that a smaller token than the one seen cannot make: a holder that comes back too late changes
nothing.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from ..cli.servers import Command, Fault, Fleet, Server, failure
from ..cli.words import data
from .delivery import Delivery

PREFIX = "quota:forward:"
SINKS = f"{PREFIX}sinks"  # a set: the names that forwarders have used
DEAD_MAX = 100_000
ATTEMPTS_MAX = 100  # of a MULTI that others get in the way of
START = "0-0"
LETTER = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")  # the id of a stream's entry


class Lost(Fault):
    """Another process holds the sink by now."""


@dataclass(frozen=True)
class Parked:
    """A delivery that waits for its next attempt."""

    delivery: Delivery
    attempts: int
    error: str


class Lease:
    """The right to work: RL.ACQUIRE on one key, for one holder at a time."""

    def __init__(self, server: Server, key: str, holder: str, ttl_ms: int) -> None:
        self.server, self.key, self.holder, self.ttl = server, key, holder, f"{ttl_ms}ms"
        self.third_s = ttl_ms / 3000
        self.renewed = time.monotonic()

    @property
    def is_due(self) -> bool:
        """A third of its life is over: it is to be renewed."""
        return time.monotonic() - self.renewed >= self.third_s

    def acquire(self, wait_ms: int) -> int:
        """Waits in line for at most so long; the fencing token, 0 while another one holds it."""
        reply = self.server.call("RL.ACQUIRE", self.key, 1, self.ttl, "ID", self.holder, "WAIT", f"{wait_ms}ms")
        self.renewed = time.monotonic()
        return int(reply[7])

    def renew(self, token: int) -> None:
        """Fault: it is another one's."""
        self.server.call("RL.RENEW", self.key, self.holder, self.ttl, "TOKEN", token)
        self.renewed = time.monotonic()

    def release(self, token: int) -> None:
        self.server.call("RL.RELEASE", self.key, self.holder, "TOKEN", token)


class Store:
    """The keys of one sink on the server that has them."""

    def __init__(self, server: Server, sink: str) -> None:
        self.server, self.sink = server, sink
        self.base = f"{PREFIX}{{{sink}}}"

    def key(self, *words: str) -> str:
        return ":".join((self.base, *words))

    # ---- writing -------------------------------------------------------------------------------------------------

    def write(self, token: int, commands: Iterable[Command]) -> None:
        """All of them in one step. Lost: a larger token has written."""
        commands, key = list(commands), data(self.key("token"))
        for _ in range(ATTEMPTS_MAX):
            with self.server.client.pipeline(transaction=True) as step:
                try:
                    step.watch(key)  # type: ignore[no-untyped-call]
                    if int(step.get(key) or 0) > token:
                        raise Lost(f"sink {self.sink}: another forwarder has taken over")
                    step.multi()
                    for command in (["SET", key, token], *commands):
                        step.execute_command(*map(data, command))  # type: ignore[no-untyped-call]
                    step.execute()
                    return
                except redis.WatchError:
                    continue
                except redis.RedisError as error:
                    raise failure(self.server.address, ["MULTI"], error) from error
        raise Fault(f"{self.server.address}: sink {self.sink}: its keys change all the time")

    def moved(self, shard: str, position: str) -> Command:
        """The position of a log."""
        return ["SET", self.key("position", shard), position]

    def parked(self, parked: Parked, due_ms: int) -> list[Command]:
        """Into the retry set."""
        kept = json.dumps({"delivery": parked.delivery.kept(), "attempts": parked.attempts, "error": parked.error})
        return [["HSET", self.key("failed"), parked.delivery.id, kept],
                ["ZADD", self.key("retry"), due_ms, parked.delivery.id]]

    def settled(self, delivery: Delivery) -> list[Command]:
        """Out of the retry set."""
        return [["ZREM", self.key("retry"), delivery.id], ["HDEL", self.key("failed"), delivery.id]]

    def buried(self, parked: Parked, now_ms: int) -> list[Command]:
        """From the retry set to the dead letters."""
        return [*self.settled(parked.delivery),
                ["XADD", self.key("dead"), "MAXLEN", "~", DEAD_MAX, "*", "id", parked.delivery.id,
                 "type", parked.delivery.type, "attempts", parked.attempts, "error", parked.error, "time", now_ms,
                 "delivery", parked.delivery.kept()],
                ["HINCRBY", self.key("state"), "dead", 1]]

    def counted(self, delivered: int, failed: int, now_ms: int) -> list[Command]:
        """What `sinks list` shows, and since when there was no success."""
        state, commands = self.key("state"), list[Command]()
        if delivered:
            commands += [["HINCRBY", state, "delivered", delivered], ["HSET", state, "succeeded", now_ms],
                         ["HDEL", state, "failing_since"]]
        if failed:
            commands.append(["HINCRBY", state, "failed", failed])
            if not delivered:
                commands.append(["HSETNX", state, "failing_since", now_ms])
        return commands

    def turned_off(self, why: str, now_ms: int) -> list[Command]:
        return [["HSET", self.key("state"), "off", why, "off_at", now_ms]]

    # ---- reading -------------------------------------------------------------------------------------------------

    def position(self, shard: str) -> str | None:
        """None of a log that was never read."""
        found = self.server.call("GET", self.key("position", shard))
        return None if found is None else str(found)

    def state(self) -> dict[str, str]:
        found: dict[str, str] = self.server.call("HGETALL", self.key("state"))
        return found

    def due(self, now_ms: int, count: int) -> list[Parked]:
        """What is to be sent again by now, the longest due first."""
        ids = self.server.call("ZRANGEBYSCORE", self.key("retry"), "-inf", now_ms, "LIMIT", 0, count)
        kept = self.server.call("HMGET", self.key("failed"), *ids) if ids else []
        return [Parked(Delivery.restored(entry["delivery"]), int(entry["attempts"]), str(entry["error"]))
                for entry in map(json.loads, filter(None, kept))]

    def sizes(self) -> tuple[int, int]:
        """Deliveries that wait for another attempt, and dead letters."""
        return int(self.server.call("ZCARD", self.key("retry"))), int(self.server.call("XLEN", self.key("dead")))

    def dead(self, count: int) -> list[tuple[str, dict[str, str]]]:
        """The oldest dead letters: the id in the stream, and its fields."""
        return self._letters("-", "+", count)

    def letter(self, entry: str) -> list[tuple[str, dict[str, str]]]:
        """The dead letter of that id, if it is one."""
        if not LETTER.fullmatch(entry):
            return []
        return self._letters(entry, entry)

    def _letters(self, first: str, last: str, count: int = 1) -> list[tuple[str, dict[str, str]]]:
        return [(str(entry), dict(zip(map(str, fields[::2]), map(str, fields[1::2]), strict=True)))
                for entry, fields in self.server.call("XRANGE", self.key("dead"), first, last, "COUNT", count)]

    def behind(self, shards: Iterable[tuple[str, Server]]) -> int:
        """How many entries the logs have behind the sink's positions. Numbers go on from one epoch to the next."""
        lasts = [(shard, str(server.call("QUOTA.EVENTS", "INFO")["last"])) for shard, server in shards]
        return sum(number_of(last) - number_of(self.position(shard) or START) for shard, last in lasts)

    # ---- what an operator does -------------------------------------------------------------------------------------

    def enable(self) -> bool:
        """Turns the sink on; whether it was off."""
        state = self.key("state")
        was, *_ = self.server.do([["HDEL", state, "off"], ["HDEL", state, "off_at", "failing_since"]])
        return bool(was)

    def replay(self, entry: str, fields: dict[str, str], now_ms: int) -> None:
        """A dead letter gets a whole schedule again, from now on."""
        fresh = Parked(Delivery.restored(fields["delivery"]), 0, fields["error"])
        self.server.do([*self.parked(fresh, now_ms), ["XDEL", self.key("dead"), entry]])


def number_of(entry: str) -> int:
    """The number in a log's id."""
    return int(entry.partition("-")[2])


def sinks_of(fleet: Fleet) -> list[str]:
    """The names that forwarders have used."""
    return sorted(map(str, home_of(fleet, SINKS).call("SMEMBERS", SINKS)))


def forget(fleet: Fleet, sink: str) -> None:
    """Removes all that is kept of a sink."""
    store = store_of(fleet, sink)
    for keys in store.server.scan(pattern=f"{store.base}:*"):
        store.server.call("UNLINK", *keys)
    home_of(fleet, SINKS).call("SREM", SINKS, sink)


def home_of(fleet: Fleet, key: str) -> Server:
    """The server that keeps a key of the forwarder: the one of its slot, or of several servers that of the
    first URL."""
    first = fleet.primaries[0]
    return fleet.home(key) if fleet.is_cluster else first


def store_of(fleet: Fleet, sink: str) -> Store:
    """The store of a sink."""
    return Store(home_of(fleet, f"{PREFIX}{{{sink}}}"), sink)
