"""A limit in front of any function: `@limited(quota, "10 1s", key=...)`.

    call ── key(arguments) ─▶ allow ─┬─ granted ─▶ the function
                                     └─ denied  ─▶ Denied, with the verdict
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .client import AsyncQuota, Quota
from .errors import Denied
from .rules import Rules
from .verdict import Verdict

F = TypeVar("F", bound=Callable[..., Any])


def limited(quota: Quota | AsyncQuota, rules: Rules | None = None, *, key: str | Callable[..., str],
            **options: Any) -> Callable[[F], F]:
    """Limits calls of a function, one with `async def` by an AsyncQuota. Raises Denied.

    `key`: the Redis key, or a function of the call's arguments that makes it. Options: those of `Quota.allow`.
    """
    def key_of(words: Any, named: Any) -> str:
        return key(*words, **named) if callable(key) else key

    def admit(name: str, verdict: Verdict) -> None:
        if not verdict:
            raise Denied(f"{name} is limited: admitted again in {verdict.wait_ms} ms", verdict)

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function) != isinstance(quota, AsyncQuota):
            raise TypeError(f"{function.__name__}: async functions need AsyncQuota, others Quota")

        @functools.wraps(function)
        async def later(*words: Any, **named: Any) -> Any:
            admit(function.__name__, await cast(AsyncQuota, quota).allow(key_of(words, named), rules, **options))
            return await function(*words, **named)

        @functools.wraps(function)
        def now(*words: Any, **named: Any) -> Any:
            admit(function.__name__, cast(Quota, quota).allow(key_of(words, named), rules, **options))
            return function(*words, **named)

        return cast(F, later if isinstance(quota, AsyncQuota) else now)

    return decorate
