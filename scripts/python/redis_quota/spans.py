"""A span of OpenTelemetry for each call of the client, where opentelemetry-api is installed.

    quota.consume   quota.account acme · quota.resource api · quota.amount 3
                    quota.granted 3 · quota.limit 10 · quota.remaining 7 · quota.rule 0 · quota.source server

A denial is an answer: the span ends well, and quota.granted is 0. An error ends it with the status ERROR. Digests of
API keys are not shown.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    SpanKind,
    Status,
    StatusCode,
    get_tracer,
    get_tracer_provider,
)

from .observe import End, verdicts_of
from .verdict import Verdict
from .version import __version__

# Arguments of calls that a span shows; `key` only where it names a key of Redis and no API key.
SHOWN = ("account", "key", "resource", "amount", "cost", "policy", "subject", "plan", "id")
OF_VERDICT = ("granted", "limit", "remaining", "wait_ms", "reset_ms", "rule", "source")


class Spans:
    """Makes them by the tracer of the program's own provider."""

    def __init__(self) -> None:
        self.tracer = get_tracer("redis_quota", __version__)

    @property
    def is_on(self) -> bool:
        """Whether the program has set a provider, which it may do at any time."""
        return not isinstance(get_tracer_provider(), ProxyTracerProvider | NoOpTracerProvider)

    @contextlib.contextmanager
    def watch(self, call: str, about: Mapping[str, Any]) -> Iterator[End]:
        """The span is the current one meanwhile, so that one of redis-py's instrumentation is its child."""
        with self.tracer.start_as_current_span(f"quota.{call}", kind=SpanKind.CLIENT, record_exception=False,
                                               set_status_on_exception=False) as span:
            if span.is_recording():
                span.set_attributes(attributes_of(about))
            try:
                yield lambda result: span.set_attributes(outcome_of(verdicts_of(result)))
            except Exception as error:
                span.record_exception(error)
                span.set_attribute("quota.error", getattr(error, "code", type(error).__name__))
                span.set_status(Status(StatusCode.ERROR, str(error)))
                raise


def attributes_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the call is about."""
    found = {f"quota.{name}": about[name] for name in SHOWN if isinstance(about.get(name), str | int)}
    if "account" in about:
        found.pop("quota.key", None)
    for name in ("amounts", "limits"):
        if isinstance(about.get(name), Mapping):
            found["quota.resource" if name == "amounts" else "quota.key"] = [*map(str, about[name])]
    if isinstance(about.get("amounts"), Mapping):
        found["quota.amount"] = [*about["amounts"].values()]
    return found


def outcome_of(verdicts: list[Verdict]) -> dict[str, Any]:
    """The fields of the verdict; of several a list each."""
    if len(verdicts) == 1:
        return {f"quota.{name}": getattr(verdicts[0], name) for name in OF_VERDICT}
    return {f"quota.{name}": [getattr(verdict, name) for verdict in verdicts] for name in OF_VERDICT if verdicts}
