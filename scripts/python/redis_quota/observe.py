"""What a call of the client shows to the outside: a span of OpenTelemetry, and metrics where they are wanted.

    quota.consume("acme", "api") ──▶ watched ──▶ each observer: begins ── the call's steps ── ends with result or error
                                                   Spans (spans.py), where opentelemetry-api is installed
                                                   ClientMetrics (metrics.py), as given: Quota(client, metrics=…)

Neither is needed: without both, and where the program has set no provider of spans, a call costs nothing more.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from .steps import Steps
from .verdict import Leased, Verdict

T = TypeVar("T")
End = Callable[[Any], None]
signature = functools.cache(inspect.signature)


class Observer(Protocol):
    """Sees every call of one client, or of several, while it `is_on`."""

    @property
    def is_on(self) -> bool:
        """Whether anything comes of what it sees."""

    def watch(self, call: str, about: Mapping[str, Any]) -> AbstractContextManager[End]:
        """Around a call by its name and arguments. Yields a function that takes the result; an error passes through."""


def awake(observers: list[Observer]) -> list[Observer]:
    """Those that are on: where there is none, a call goes its way without a detour."""
    return [observer for observer in observers if observer.is_on]


def watched(observers: list[Observer], call: str, about: Mapping[str, Any], steps: Steps[T]) -> Steps[T]:
    """The same steps, seen by the observers."""
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(observer.watch(call, about)) for observer in observers]
        result = yield from steps
        for end in ends:
            end(result)
        return result


def arguments_of(function: Callable[..., Any], obj: Any, args: tuple[Any, ...], options: Mapping[str, Any]
                 ) -> dict[str, Any]:
    """The arguments of a call by their names; without defaults. Empty where the call has others: Python says so."""
    try:
        return dict(signature(function).bind(obj, *args, **options).arguments)
    except TypeError:
        return {}


def verdicts_of(result: Any) -> list[Verdict]:
    """The verdicts in a result; [] of a call that decides nothing."""
    found = list(result.values()) if isinstance(result, dict) else [
        result.verdict if isinstance(result, Leased) or hasattr(result, "verdict") else result]
    return [verdict for verdict in found if isinstance(verdict, Verdict)]
