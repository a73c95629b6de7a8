"""Commands as bytes, and two ways to send them.

    line          "RL.ALLOW {key} 10 1s"           {key} 14 bytes · {subject} 12 · {id} 24 · {range} a network
    redis-benchmark   one line, random keys: the well-known tool; {id} is two random numbers
    pump              units of one or more lines over n, i; every connection has one batch under way:

        connection 1   unit unit unit … PING ──▶ server ──▶ replies … +PONG ──▶ the next batch
        connection 2   unit unit unit … PING ──▶

The PING ends a batch without counting replies: one in 16 units. A reply that is an error ends the run.
"""
import contextlib
import dataclasses
import itertools
import random
import re
import selectors
import socket
import subprocess
import time

from . import machine

PLACES = {"key": "k:%(n)012d", "subject": "%(n)012d", "id": "%(i)024d", "range": "fd00:%(high)04x:%(low)04x::/48"}
RANDOM_PLACES = {"key": "k:__rand_int__", "subject": "__rand_int__", "id": "__rand_int__" * 2}
CONNECTIONS = 50
FILLERS, FILL_BATCH = 4, 500  # connections and units, so that the server works while the next batch is made
PING, PONG = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"
LINE_END = b"\r\n"
ERROR = re.compile(rb"\r\n-([A-Z][^\r\n]*)")  # a number may begin with a minus, too
PATIENCE_S = 900


class Refused(Exception):
    """The server answered an error where the measurement expects none."""


# ---- bytes -------------------------------------------------------------------------------------------------------


def values(n, i):
    return {b"n": n, b"i": i, b"high": i >> 16, b"low": i & 0xFFFF}


def compiled(lines):
    """A function of n and i that makes the protocol's bytes of these lines."""
    parts = []
    for line in lines:
        words = [word.encode() for word in line.format(**PLACES).split()]
        sizes = [len(word % values(0, 0)) for word in words]
        parts.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % pair for pair in zip(sizes, words)))
    text = b"".join(parts)
    return lambda n, i: text % values(n, i)


def random_units(lines, keys, count, first=None):
    """So many units on random keys, the same keys each time; ids from `first` on, or such as no other call has."""
    dice, unit = random.Random(0), compiled(lines)
    first = first or time.time_ns() * 1000
    return [unit(dice.randrange(keys), first + number) for number in range(count)]


# ---- pump --------------------------------------------------------------------------------------------------------


def connect(server, database=0):
    link = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if database:
        link.sendall(compiled([f"SELECT {database}"])(0, 0))
        link.recv(64)
    return link


def refuse_errors(data):
    if error := ERROR.search(data):
        raise Refused(error[1].decode(errors="replace"))


def pump(server, units, pipeline=FILL_BATCH, connections=1, database=0):
    """Sends all units in batches of so many → seconds it took."""
    units = iter(units)
    batches = iter(lambda: b"".join(itertools.islice(units, pipeline)), b"")
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as selector:
        links = [opened.enter_context(connect(server, database)) for _ in range(connections)]
        began, busy = time.monotonic(), 0
        for link, batch in zip(links, batches):
            link.sendall(batch + PING)
            selector.register(link, selectors.EVENT_READ, [LINE_END])
            busy += 1
        while busy:
            for ready, _ in selector.select(PATIENCE_S):
                tail = ready.data
                data = tail[0] + ready.fileobj.recv(1 << 18)
                refuse_errors(data)
                tail[0] = data[-len(PONG):]
                if not data.endswith(PONG):
                    continue
                tail[0] = LINE_END
                batch = next(batches, None)
                if batch:
                    ready.fileobj.sendall(batch + PING)
                else:
                    busy -= 1
        return time.monotonic() - began


# ---- contents ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Contents:
    """What stands in a server before something is measured.

        once     opening of key 0, 1, 2 …     entry 0 of all keys, step     entry 1 of all keys, step     …
    """

    once: tuple = ()
    opening: tuple = ()
    entry: tuple = ()
    step: tuple = ()  # after each round of entries

    def fill(self, server, keys=1, entries=1, database=0):
        do(server, self.once, database)
        if self.opening:
            unit = compiled(self.opening)
            pump(server, (unit(n, n) for n in range(keys)), connections=FILLERS, database=database)
        if not self.entry:
            return
        unit = compiled(self.entry)
        for rounds in [range(entries)] if not self.step else ([number] for number in range(entries)):
            pump(server, (unit(n, i) for i in rounds for n in range(keys)), connections=FILLERS, database=database)
            do(server, self.step, database)


def do(server, lines, database=0):
    """Lines one by one → the last answer."""
    client, answer = server.client(db=database), None
    for line in lines:
        answer = client.execute_command(*line.split())
    client.close()
    return answer


# ---- measuring ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sample:
    cpu_us: float  # of the server's main thread, per unit
    per_second: float
    call_us: dict  # per call of each command, as the server counts it


def redis_benchmark(server, line, requests, keys, pipeline, database):
    """Seconds, as redis-benchmark says."""
    words = [word.format(**RANDOM_PLACES) for word in line.split()]
    output = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-n", str(requests), "-r", str(keys), "-P", str(pipeline),
         "-c", str(CONNECTIONS), "--dbnum", str(database), "--csv", *words],
        capture_output=True, text=True, check=True).stdout
    return requests / float(output.splitlines()[-1].split('","')[1])


def send(server, lines, requests, keys, pipeline=16, database=0):
    """Requests of these lines on random keys, by whichever way can → seconds."""
    if len(lines) == 1:
        return redis_benchmark(server, lines[0], requests, keys, pipeline, database)
    units = random_units(lines, keys, requests)
    return pump(server, units, pipeline, CONNECTIONS, database)


def measure(server, requests, sending):
    """What `sending()`, which sends so many requests and answers seconds, cost the server: a Sample."""
    with contextlib.closing(server.client()) as client:
        client.config_resetstat()
        before = machine.main_thread_us(client)
        seconds = sending()
        used = machine.main_thread_us(client) - before
        if errors := client.info("errorstats"):
            raise Refused(str(errors))
        calls = {name.removeprefix("cmdstat_").upper(): row["usec_per_call"]
                 for name, row in client.info("commandstats").items()}
    return Sample(used / requests, requests / seconds, calls)
