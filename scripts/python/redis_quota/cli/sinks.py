"""quotactl sinks: the forwarder's sinks as their keys in Redis show them, and what an operator does with them.

    sinks list                 on or off, how far behind, what waits, what was given up
    sinks dead billing         dead letters      ──▶ sinks replay billing      they get a whole schedule again
    sinks enable billing       a sink that a 410, or five days without success, has turned off
    sinks forget billing       a sink that no file has any more: its positions, retries and dead letters go
    sinks test sinks.yaml billing      sends one event of the type quota.sink.test now
"""

from __future__ import annotations

import itertools

import click

from .base import Row, Session, command, group, text_of
from .servers import Refused
from .words import moment, number, plural

PAGE = 1000
SINK = click.argument("sink")


@group()
def sinks() -> None:
    """The forwarder's sinks: list, dead, replay, enable, forget, test."""


def row_of(session: Session, name: str) -> Row:
    from ..forward.shards import shards_of
    from ..forward.store import store_of
    store = store_of(session.fleet, name)
    state, (waiting, dead) = store.state(), store.sizes()
    return {"sink": name, "state": "off" if "off" in state else "on",
            "behind": store.behind(shards_of(session.fleet, keep=False)), "retry": waiting, "dead": dead,
            "delivered": int(state.get("delivered", 0)), "failed": int(state.get("failed", 0)),
            "succeeded": int(state.get("succeeded", -1)), "why": state.get("off", "")}


def expect(session: Session, sink: str) -> None:
    from ..forward.store import sinks_of
    if sink not in sinks_of(session.fleet):
        raise Refused(f"no forwarder has had a sink {sink}")


@command(sinks, name="list", tabular=True)
def list_(session: Session) -> None:
    """Lists the sinks: whether they are on, how far they are behind, what waits and what was given up."""
    from ..forward.store import sinks_of
    rows = [row_of(session, name) for name in sinks_of(session.fleet)]
    session.table(rows, {"sink": text_of, "state": text_of, "behind": number, "retry": number, "dead": number,
                         "delivered": number, "failed": number, "succeeded": moment, "why": text_of},
                  "no forwarder has run")


@command(sinks, tabular=True)
@SINK
@click.option("--count", type=click.IntRange(1, PAGE), default=100, show_default=True, help="How many at most.")
def dead(session: Session, sink: str, count: int) -> None:
    """Lists dead letters of a sink, the oldest first."""
    from ..forward.store import store_of
    expect(session, sink)
    rows = [{"letter": letter, **{name: fields[name] for name in ("id", "type", "error")},
             "attempts": int(fields["attempts"]), "time": int(fields["time"])}
            for letter, fields in store_of(session.fleet, sink).dead(count)]
    session.table(rows, {"letter": text_of, "id": text_of, "type": text_of, "attempts": number, "time": moment,
                         "error": text_of}, "there are no dead letters")


@command(sinks)
@SINK
@click.argument("letters", nargs=-1)
def replay(session: Session, sink: str, letters: tuple[str, ...]) -> None:
    """Sends dead letters again: those that are named, as `sinks dead` does, else all of them."""
    from ..core import now_ms
    from ..forward.store import store_of
    expect(session, sink)
    if not letters:
        session.confirm(f"Send all dead letters of {sink} again?")
    store, done = store_of(session.fleet, sink), 0
    named = [store.letter(letter) for letter in dict.fromkeys(letters)]
    pages = iter(named) if letters else iter(lambda: store.dead(PAGE), [])
    for letter, fields in itertools.chain.from_iterable(pages):
        store.replay(letter, fields, now_ms())
        done += 1
    if done < len(named):
        raise Refused(f"{sink}: {plural(len(named) - done, 'letter')} not found, {done} will be sent again")
    session.emit({"sink": sink, "replayed": done}) if session.json else session.say(
        f"{sink}: {plural(done, 'event')} will be sent again")


@command(sinks)
@SINK
def enable(session: Session, sink: str) -> None:
    """Turns a sink on again; it goes on where it was."""
    from ..forward.store import store_of
    expect(session, sink)
    was_off = store_of(session.fleet, sink).enable()
    session.emit({"sink": sink, "was_off": was_off}) if session.json else session.say(
        f"{sink}: on" if was_off else f"{sink}: it was on")


@command(sinks)
@SINK
def forget(session: Session, sink: str) -> None:
    """Removes what is kept of a sink that is in use no more: positions, retries, dead letters.

    A forwarder that has it in its file begins anew with it.
    """
    from ..forward.store import forget as forget_all
    expect(session, sink)
    session.confirm(f"Remove the positions, retries and dead letters of {sink}?")
    forget_all(session.fleet, sink)
    session.emit({"sink": sink}) if session.json else session.say(f"{sink}: forgotten")


@command(sinks)
@click.argument("config", type=click.Path())
@SINK
def test(session: Session, config: str, sink: str) -> None:
    """Sends one event of the type quota.sink.test to a sink of the file, now."""
    import asyncio
    import uuid

    from ..core import now_ms
    from ..forward.config import read_settings
    from ..forward.delivery import Delivery
    from ..forward.sinks import open_sink
    settings = read_settings(config)
    found = [made for made in settings.sinks if made.name == sink]
    if not found:
        raise Refused(f"{config} has no sink {sink}")
    delivery = Delivery.of(settings.name, "test", uuid.uuid4().hex, {"type": "quota.sink.test", "time": now_ms()})

    async def send() -> str:
        opened = open_sink(found[0], session.fleet)
        try:
            outcome = await opened.send(delivery)
            await opened.flush()
            return outcome.error
        finally:
            await opened.close()
    if error := asyncio.run(send()):
        raise Refused(f"{sink}: {error}")
    session.emit({"sink": sink, "id": delivery.id}) if session.json else session.say(f"{sink}: delivered {delivery.id}")
