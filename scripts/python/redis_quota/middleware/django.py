"""Django: a limit for all views by settings, or for one view by a decorator.

    MIDDLEWARE = ["redis_quota.middleware.django.QuotaMiddleware", ...]
    QUOTA_CLIENT = Quota(redis.Redis())      a Quota, or a function that makes one
    QUOTA_LIMIT = RateLimit("10 1s")
    QUOTA_LEGACY = False                     also X-RateLimit fields
"""

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ..client import Quota
from ..http import Decision, Limit, decide

View = Callable[..., Any]


def answered(decision: Decision, view: Callable[[], Any]) -> Any:
    """The view's response with the decision's fields, or the refusal."""
    refusal = decision.response()
    if refusal:
        response = HttpResponse(refusal.body, status=refusal.status)
        for name, value in refusal.fields:
            response[name] = value
        return response
    response = view()
    for name, value in decision.fields:
        response[name] = f"{response[name]}, {value}" if response.has_header(name) else value
    return response


class QuotaMiddleware:
    """Applies settings.QUOTA_LIMIT by settings.QUOTA_CLIENT to every request."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        client = settings.QUOTA_CLIENT
        self.quota: Quota = client() if callable(client) else client
        self.limit: Limit = settings.QUOTA_LIMIT
        self.legacy: bool = getattr(settings, "QUOTA_LEGACY", False)
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        decision = self.quota._drive(decide(self.quota, self.limit, request, legacy=self.legacy))
        return answered(decision, lambda: self.get_response(request))


def limited(quota: Quota, limit: Limit, *, legacy: bool = False) -> Callable[[View], View]:
    """Puts a limit in front of one view."""
    def decorate(view: View) -> View:
        @functools.wraps(view)
        def check(request: HttpRequest, *words: Any, **named: Any) -> Any:
            decision = quota._drive(decide(quota, limit, request, legacy=legacy))
            return answered(decision, lambda: view(request, *words, **named))

        return check

    return decorate
