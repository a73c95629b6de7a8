"""One source for sync and async: a call is a generator of steps, and two small drivers perform them.

    def consume(self, …) -> Steps[Verdict]:                    Quota.consume(…)        ─▶ Verdict
        reply = yield Send(("QUOTA.CONSUME", …), key=…)  ──┬── the sync driver sends, sleeps, locks
        return verdict(reply)                              └── the async driver awaits the same
                                                               AsyncQuota.consume(…)   ─▶ Awaitable[Verdict]

A generator yields effects and receives their results; an error of an effect is raised where it was yielded. So what a
call decides (retries, fallbacks, later posting) stands once, and knows nothing of sockets, threads or loops.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Send:
    """One command. `key` routes it in a cluster, None: any primary. `node`: that primary instead, or "all" of them.

    `wait_s`: how long the server may hold the reply back; then the command has a connection of its own.
    """

    words: tuple[str | int, ...]
    key: str | None = None
    node: Any = None
    wait_s: float = 0


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Enter:
    """Waits for a lock that `new_lock` of the same driver made; its release() does not wait."""

    lock: Any


class NotSent(Exception):
    """The command has not left this process: there was no connection."""


class NoReply(Exception):
    """The command was sent, or may have been, and nothing came back."""


Effect = Send | Sleep | Enter
Steps = Generator[Effect, Any, T]


class Observed:
    """What both drivers have: an observer of calls puts its own steps around theirs."""

    def _seen(self, steps: Callable[..., Steps[T]], *args: Any, **options: Any) -> Steps[T]:
        return steps(self, *args, **options)


class Sync(Observed):
    """Performs steps in the calling thread."""

    _perform_send: Callable[[Send], Any]
    _new_lock = staticmethod(threading.Lock)

    def _drive(self, steps: Steps[T]) -> T:
        def perform(effect: Effect) -> Any:
            if isinstance(effect, Send):
                return self._perform_send(effect)
            return time.sleep(effect.seconds) if isinstance(effect, Sleep) else effect.lock.acquire()

        try:
            effect = next(steps)
            while True:
                try:
                    result = perform(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


class Async(Observed):
    """Performs steps in the running event loop."""

    _perform_send: Callable[[Send], Awaitable[Any]]
    _new_lock = staticmethod(asyncio.Lock)

    async def _drive(self, steps: Steps[T]) -> T:
        async def perform(effect: Effect) -> Any:
            if isinstance(effect, Send):
                return await self._perform_send(effect)
            return await (asyncio.sleep(effect.seconds) if isinstance(effect, Sleep) else effect.lock.acquire())

        try:
            effect = next(steps)
            while True:
                try:
                    result = await perform(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


class Call(Generic[S, P, T]):
    """A method written as steps: a plain method of a Sync object, a coroutine method of an Async one."""

    def __init__(self, steps: Callable[Concatenate[S, P], Steps[T]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Sync, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, obj: Async, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, obj: Any, owner: type) -> Any:
        if obj is None:
            return self

        def call(*args: P.args, **options: P.kwargs) -> Any:
            return obj._drive(obj._seen(self.steps, *args, **options))

        return functools.update_wrapper(call, self.steps)


def opening(kind: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """A method that makes an object of `kind` bound to this client; nothing is sent yet."""
    def make(self: Any, /, *args: P.args, **options: P.kwargs) -> T:
        return kind(self, *args, **options)

    make.__doc__ = kind.__doc__
    return make
