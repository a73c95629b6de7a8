"""What can be set, as environment variables or make variables: make bench ROUNDS=3 KEYS=100000.

    ROUNDS    how often each row is measured                       5
    REQUESTS  commands of one measurement (scripts: a quarter)     300000
    KEYS      live keys of a row                                   1000000
    PEERS     other limiters: [path.so][=command words with {key}[ | the same, to fill a key]], several separated by ;
              (no words: CL.THROTTLE; no path: a command of the server itself)
    BIG       1: also ten million keys and subjects
    OUT       where the figures go                                 docs/bench
"""
import dataclasses
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Peer:
    path: str  # none: the server has the command
    words: str  # none: it has redis-cell's command
    filling: str  # what a key is filled with; none: the same

    @property
    def name(self):
        return f"{(self.words or 'CL.THROTTLE').split()[0]} of {pathlib.Path(self.path).name or 'the server'}"


def peers_of(text):
    for item in filter(None, (item.strip() for item in text.split(";"))):
        path, _, lines = item.partition("=")
        words, _, filling = (part.strip() for part in lines.partition("|"))
        yield Peer(path, words, filling)


@dataclasses.dataclass(frozen=True)
class Settings:
    rounds: int
    requests: int
    keys: int
    peers: tuple
    big: bool
    out: pathlib.Path

    @classmethod
    def from_environment(cls):
        get = os.environ.get
        return cls(
            rounds=int(get("ROUNDS") or 5), requests=int(get("REQUESTS") or 300_000),
            keys=int(get("KEYS") or 1_000_000),
            peers=tuple(peers_of(get("PEERS") or "")), big=get("BIG", "") not in ("", "0"),
            out=pathlib.Path(get("OUT") or ROOT / "docs" / "bench"))
