"""FastAPI: a limit as a dependency of a path, beside the ASGI middleware for a whole application.

    quota = AsyncQuota(...)
    install(app, quota)                                                         fields and refusals of dependencies
    @app.get("/search", dependencies=[Depends(limited(RateLimit("10 1s")))])
    async def search(): ...

A view that wants the verdict takes it: `verdict: Annotated[Verdict, Depends(limited(...))]`.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

from ..client import AsyncQuota
from ..http import Decision, Limit, decide
from ..verdict import Verdict, admitted_without
from .asgi import FIELDS, QuotaMiddleware


class Refused(Exception):
    """A dependency has refused the request."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("refused by a limit")
        self.decision = decision


async def refuse(request: Request, error: Exception) -> Response:
    """The response of a refusal."""
    refusal = error.decision.response() if isinstance(error, Refused) else None
    if refusal is None:
        raise error
    response = Response(refusal.body, refusal.status)
    for name, value in refusal.fields:
        response.headers[name] = value
    return response


def install(app: FastAPI, quota: AsyncQuota, limit: Limit | None = None, *, legacy: bool = False) -> None:
    """Makes `quota` known to the dependencies of an application; `limit` applies to all of its paths."""
    app.state.quota, app.state.quota_legacy = quota, legacy
    app.add_middleware(QuotaMiddleware, quota=quota, limit=limit, legacy=legacy)
    app.add_exception_handler(Refused, refuse)


def limited(limit: Limit) -> Callable[[Request], Awaitable[Verdict]]:
    """A dependency that admits by `limit` or refuses; its value is the verdict."""
    async def dependency(request: Request) -> Verdict:
        quota: AsyncQuota = request.app.state.quota
        decision = await quota._drive(decide(quota, limit, request, legacy=request.app.state.quota_legacy))
        if decision.response():
            raise Refused(decision)
        request.scope.setdefault(FIELDS, []).extend(decision.fields)
        return decision.verdict or admitted_without(0)

    return dependency
