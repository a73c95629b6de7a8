"""A decision as HTTP: whose limit it is, the header fields, the status, the body. No framework is needed here.

    request ── client_key ─▶ limit ── steps ─▶ Decision ─┬─ admitted:  fields for the response to carry
                                                         └─ refused:   429 · 403 · 401 · 503, problem+json

    RateLimit-Policy: "default";q=10;w=1      RateLimit: "default";r=7;t=1      Retry-After: 1

Fields: draft-ietf-httpapi-ratelimit-headers-10. Status and Retry-After: RFC 9110. Body: RFC 9457.
A request may be an ASGI scope, a Starlette or FastAPI request, a WSGI environ, a Django or a Flask request.
"""

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from .core import AUTO, Core, Id, OnError
from .errors import QuotaError, Unavailable
from .rules import Named, Rules, of_texts
from .steps import Sleep, Steps
from .verdict import Verdict

Request = Any
Field = tuple[str, str]

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
INTEGER_MAX = 999_999_999_999_999  # of structured fields
NO_REPLY_RETRY_S = 1

# ---- requests of any framework --------------------------------------------------------------------------------------


def environ_of(request: Request) -> Mapping[str, Any]:
    """The scope of ASGI, or the environ of WSGI."""
    if isinstance(request, Mapping):
        return request
    found: Mapping[str, Any] = request.META if hasattr(request, "META") else request.environ
    return found


def header(request: Request, name: str) -> str:
    """A header field of a request, several lines joined by commas; "" where it has none."""
    environ = environ_of(request)
    if "headers" in environ:
        wanted = name.lower().encode("latin-1")
        return ", ".join(value.decode("latin-1") for key, value in environ["headers"] if key.lower() == wanted)
    return str(environ.get("HTTP_" + name.upper().replace("-", "_"), ""))


def peer(request: Request) -> str:
    """The address at the other end of the connection; "" for a socket that has none."""
    environ = environ_of(request)
    if "headers" in environ:
        return str(environ["client"][0]) if environ.get("client") else ""
    return str(environ.get("REMOTE_ADDR", ""))


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as proxies write it, with or without port, brackets and zone; None where it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def client_address(request: Request, proxies: int = 1) -> str:
    """The client's address behind `proxies` proxies of yours: that far from the right in X-Forwarded-For.

    What stands further left was written by the client. The peer's address counts where `proxies` is 0, and where the
    field is shorter than that or holds no address.
    """
    hops = header(request, "X-Forwarded-For").split(",")
    found = parse_address(hops[-proxies]) if 0 < proxies <= len(hops) else None
    return str(found or parse_address(peer(request)) or peer(request))


def client_key(request: Request, proxies: int = 1, v6_prefix: int = 64) -> str:
    """What an anonymous client is counted by: its IPv4 address, or the network of its IPv6 address.

    One customer has a whole /64, so a limit for each IPv6 address would be none. "unknown" without an address.
    """
    found = parse_address(client_address(request, proxies))
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, v6_prefix), strict=False))
    return str(found or "unknown")


# ---- header fields --------------------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """A structured-field String: printable ASCII in quotes; other characters are percent-encoded."""
    plain = "".join(char if " " <= char <= "~" else "".join(f"%{byte:02X}" for byte in char.encode())
                    for char in name)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def up_s(span_ms: int) -> int:
    """Milliseconds in whole seconds, rounded up."""
    return min(INTEGER_MAX, -(-span_ms // 1000))


def wait_s(verdict: Verdict) -> int | None:
    """Seconds of Retry-After: of a denial, at least 1; None where there is nothing to wait for."""
    return None if verdict or verdict.wait_ms < 0 else max(1, up_s(verdict.wait_ms))


def fields_of(verdict: Verdict, named: Named, *, legacy: bool = False,
              clock: Callable[[], float] = time.time) -> list[Field]:
    """The fields of one verdict. None but Retry-After where the limit or what remains is unlimited.

    `legacy` adds X-RateLimit-Limit, -Remaining and -Reset, in Unix seconds.
    """
    found, wait = list[Field](), wait_s(verdict)
    if verdict.limit >= 0 and verdict.remaining >= 0:
        window = named.rule.window_s if named.rule else None
        until = (up_s(verdict.reset_ms) if verdict.reset_ms >= 0 else None) if verdict else wait
        limit, remaining = min(verdict.limit, INTEGER_MAX), min(verdict.remaining, INTEGER_MAX)
        found += [("RateLimit-Policy", f"{quoted(named.name)};q={limit}" + (f";w={window}" if window else "")),
                  ("RateLimit", f"{quoted(named.name)};r={remaining}" + ("" if until is None else f";t={until}"))]
        if legacy:
            found += [("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(remaining))]
            found += [("X-RateLimit-Reset", str(int(clock()) + until))] if until is not None else []
    return found + ([("Retry-After", str(wait))] if wait is not None else [])


# ---- decisions ------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """A refusal as HTTP."""

    status: int
    fields: list[Field]
    body: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """What a limit says about a request: the verdict, or the error that took its place."""

    verdict: Verdict | None
    fields: list[Field] = field(default_factory=list)
    policy: str = ""
    error: QuotaError | Unavailable | None = None

    def response(self) -> Response | None:
        """The response that refuses it; None where it is admitted."""
        if self.error is not None:
            return self._of_error(self.error)
        if self.verdict is None or self.verdict:
            return None
        return problem(HTTPStatus.TOO_MANY_REQUESTS, self.fields, type=QUOTA_EXCEEDED, title="Quota exceeded", **{
            "violated-policies": [self.policy], "wait_ms": self.verdict.wait_ms})

    def _of_error(self, error: QuotaError | Unavailable) -> Response:
        """Its code for the client's support; the text is for operators and stays in the log."""
        status = HTTPStatus(error.status)
        code = error.code if isinstance(error, QuotaError) else "UNAVAILABLE"
        more = {HTTPStatus.UNAUTHORIZED: [("WWW-Authenticate", "Bearer")],
                HTTPStatus.SERVICE_UNAVAILABLE: [("Retry-After", str(NO_REPLY_RETRY_S))]}.get(status, [])
        return problem(status, more, type="about:blank", title=status.phrase, code=code)


def problem(status: HTTPStatus, fields: list[Field], **members: Any) -> Response:
    """A response with a body of RFC 9457."""
    body = json.dumps({**members, "status": int(status)}).encode()
    return Response(int(status), [*fields, ("Content-Type", "application/problem+json"),
                                  ("Content-Length", str(len(body)))], body)


def ip_key(request: Request) -> str:
    """ip:<client_key>, the key of a RateLimit that names none."""
    return f"ip:{client_key(request)}"


@dataclass(frozen=True)
class RateLimit:
    """A rate limit for each `key` of a request: by `rules` ("10 1s"), or by a `policy` of the server.

    `key` makes the Redis key of a request; None leaves the request alone. `name`: what header fields call the rules; a
    policy has its own. `cost`: units, or a function of the request. With a policy, `subject` and `address` say whom its
    lists and overrides know.
    """

    rules: Rules | None = None
    policy: str | None = None
    name: str = "default"
    key: Callable[[Request], str | None] = ip_key
    cost: int | Callable[[Request], int] = 1
    subject: Callable[[Request], str | None] | None = None
    address: Callable[[Request], str | None] | None = None
    on_error: OnError | None = None

    def decide(self, quota: Core, request: Request) -> Steps[tuple[Verdict, Named] | None]:
        """The verdict and the rule's name; None for a request that is not limited."""
        key = self.key(request)
        if key is None:
            return None
        cost = self.cost(request) if callable(self.cost) else self.cost
        verdict = yield from Core.allow.steps(
            quota, key, self.rules, policy=self.policy, subject=self.subject and self.subject(request),
            address=self.address and self.address(request), cost=cost, on_error=self.on_error)
        if self.policy is None:
            names = of_texts(self.name, self.rules or "")
        else:
            names = (yield from quota._learn("policy", self.policy)) if verdict.limit >= 0 else {}
        return verdict, names.get(verdict.rule, Named(self.policy or self.name, None))


@dataclass(frozen=True)
class Consumption:
    """Units of an account's `resource` for each request.

    `account`: whose; None leaves the request alone. `api_key`: the SHA-256 of the request's API key, "" where it has
    none (401). `id`: the idempotency key of the usage, AUTO makes one. A client that chooses it pays once for all
    requests with it: take a field such as Idempotency-Key only where your service answers the repeat from memory, too.
    """

    resource: str
    account: Callable[[Request], str | None]
    amount: int | Callable[[Request], int] = 1
    api_key: Callable[[Request], str] | None = None
    scope: str | None = None
    id: Callable[[Request], Id] = field(default=lambda request: AUTO)
    on_error: OnError | None = None

    def decide(self, quota: Core, request: Request) -> Steps[tuple[Verdict, Named] | None]:
        """The verdict and the rule's name; None for a request that is not limited."""
        account = self.account(request)
        if account is None:
            return None
        digest = (self.api_key(request) or "0" * 64) if self.api_key else None
        verdict = yield from Core.consume.steps(
            quota, account, self.resource, self.amount(request) if callable(self.amount) else self.amount,
            id=self.id(request) or AUTO, key=digest, scope=self.scope, on_error=self.on_error)
        names = (yield from quota._learn("account", account, self.resource)) if verdict.limit >= 0 else {}
        return verdict, names.get(verdict.rule, Named(self.resource, None))


Limit = RateLimit | Consumption


def decide(quota: Core, limit: Limit, request: Request, *, legacy: bool = False) -> Steps[Decision]:
    """Applies a limit to a request. One that a QUEUE admits for later is answered then.

    Raises errors that are a fault of the service (status 500), such as rules that make no sense.
    """
    try:
        found = yield from limit.decide(quota, request)
    except (QuotaError, Unavailable) as error:
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return Decision(None, error=error)
    if found is None:
        return Decision(None)
    verdict, named = found
    if verdict and verdict.wait_ms > 0:
        yield Sleep(verdict.wait_ms / 1000)
    return Decision(verdict, fields_of(verdict, named, legacy=legacy), named.name)
