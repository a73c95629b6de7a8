"""ASGI: a limit in front of an application; its fields are added when the response starts.

    scope ─▶ QuotaMiddleware ─┬─ admitted ─▶ application ── http.response.start + fields ─▶ client
                              └─ refused  ─▶ 429, problem+json

An application that decides by itself, such as a FastAPI dependency, adds its fields to scope["quota.fields"].
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..client import AsyncQuota
from ..http import Field, Limit, Response, decide

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FIELDS = "quota.fields"


class QuotaMiddleware:
    """`app.add_middleware(QuotaMiddleware, quota=AsyncQuota(...), limit=RateLimit("10 1s"))`.

    Without a limit it only adds the fields of decisions that are made inside. `legacy` adds the X-RateLimit fields.
    """

    def __init__(self, app: App, quota: AsyncQuota, limit: Limit | None = None, *, legacy: bool = False) -> None:
        self.app, self.quota, self.limit, self.legacy = app, quota, limit, legacy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        fields: list[Field] = scope.setdefault(FIELDS, [])
        is_outermost = not scope.get("quota.within")
        scope["quota.within"] = True

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *encoded(fields)]
            await send(message)

        outwards = send_with_fields if is_outermost else send
        if self.limit:
            decision = await self.quota._drive(decide(self.quota, self.limit, scope, legacy=self.legacy))
            refusal = decision.response()
            if refusal:
                return await answer(refusal, outwards)
            fields += decision.fields
        return await self.app(scope, receive, outwards)


def encoded(fields: list[Field]) -> list[tuple[bytes, bytes]]:
    """Header fields as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]


async def answer(refusal: Response, send: Send) -> None:
    """Sends a refusal."""
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded(refusal.fields)})
    await send({"type": "http.response.body", "body": refusal.body})
