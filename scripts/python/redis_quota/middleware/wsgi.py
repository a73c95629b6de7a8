"""WSGI: a limit in front of an application; its fields are added when the response starts.

    environ ─▶ QuotaMiddleware ─┬─ admitted ─▶ application ── start_response + fields ─▶ client
                                └─ refused  ─▶ 429, problem+json
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..client import Quota
from ..http import Limit, decide

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class QuotaMiddleware:
    """`app.wsgi_app = QuotaMiddleware(app.wsgi_app, Quota(...), RateLimit("10 1s"))`."""

    def __init__(self, app: App, quota: Quota, limit: Limit, *, legacy: bool = False) -> None:
        self.app, self.quota, self.limit, self.legacy = app, quota, limit, legacy

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        decision = self.quota._drive(decide(self.quota, self.limit, environ, legacy=self.legacy))
        refusal = decision.response()
        if refusal:
            start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", refusal.fields)
            return [refusal.body]

        def start_with_fields(status: str, fields: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*fields, *decision.fields], *error)

        return self.app(environ, start_with_fields)
