"""Flask: a limit for all of an application, or for one view.

    limit_app(app, Quota(...), RateLimit("10 1s"))            before and after each request
    @app.get("/report")
    @limited(Quota(...), Consumption("reports", account=...)) one view
"""

import functools
from collections.abc import Callable
from typing import Any

import flask

from ..client import Quota
from ..http import Decision, Limit, decide


def refusal_of(decision: Decision) -> flask.Response | None:
    """The response of a refusal; fields of an admission are kept for the end of the request."""
    refusal = decision.response()
    if refusal:
        return flask.Response(refusal.body, refusal.status, refusal.fields)
    flask.after_this_request(lambda response: with_fields(response, decision))
    return None


def with_fields(response: flask.Response, decision: Decision) -> flask.Response:
    """The response with the decision's fields added."""
    for name, value in decision.fields:
        response.headers.add(name, value)
    return response


def limit_app(app: flask.Flask, quota: Quota, limit: Limit, *, legacy: bool = False) -> None:
    """Puts a limit in front of every view."""
    @app.before_request
    def check() -> flask.Response | None:
        return refusal_of(quota._drive(decide(quota, limit, flask.request, legacy=legacy)))


def limited(quota: Quota, limit: Limit, *, legacy: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts a limit in front of one view."""
    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def check(*words: Any, **named: Any) -> Any:
            refusal = refusal_of(quota._drive(decide(quota, limit, flask.request, legacy=legacy)))
            return view(*words, **named) if refusal is None else refusal

        return check

    return decorate
