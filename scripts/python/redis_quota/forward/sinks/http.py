"""What webhooks, CloudEvents and Slack share: one POST to a checked address, within one time-out.

    2xx success · 3xx failure, never followed · 410 gone · else failure, with `retry-after` if the receiver says one

The answer's body is not read: a receiver cannot keep a connection busy beyond its time-out.
"""

from __future__ import annotations

import asyncio
import email.utils
import ssl
import time

import httpx

from ...cli.servers import Fault
from ...version import __version__
from ..config import SinkConfig
from ..delivery import Outcome
from ..guard import Forbidden, addresses_of

GONE = 410
SUCCESS = range(200, 300)
REDIRECT = range(300, 400)
ERROR_MAX = 200  # letters


def retry_after_s(value: str, now_s: float) -> float:
    """Seconds of a Retry-After field: a count, or a date; 0 where it says nothing."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - now_s, 0)
    except (TypeError, ValueError, OverflowError):
        return 0


class HttpSink:
    """POSTs to the sink's URL; what is posted is the subclass's."""

    def __init__(self, config: SinkConfig) -> None:
        self.config, self.timeout_s = config, config.timeout_ms / 1000
        self.url = httpx.URL(config.target)
        # The environment's proxies would connect to what was not checked.
        self.client = httpx.AsyncClient(timeout=self.timeout_s, trust_env=False, follow_redirects=False,
                                        verify=trusted(config))

    async def post(self, body: bytes, headers: dict[str, str]) -> Outcome:
        """One attempt. Every failure is an Outcome."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self.exchange(body, headers)
        except TimeoutError:
            return Outcome(f"no answer within {self.timeout_s:g} s")
        except Forbidden as refused:
            return Outcome(str(refused))
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            return Outcome((str(error) or type(error).__name__)[:ERROR_MAX])

    async def exchange(self, body: bytes, headers: dict[str, str]) -> Outcome:
        """To the first address that can be connected to."""
        port = self.url.port or (443 if self.url.scheme == "https" else 80)
        error: Exception = OSError("the host has no address")
        for address in await addresses_of(self.url.host, port, self.config.allow_private):
            request = self.client.build_request(
                "POST", self.url.copy_with(host=address), content=body, extensions={"sni_hostname": self.url.host},
                headers={"user-agent": f"redis-quota/{__version__}", **self.config.headers, **headers,
                         "host": self.url.netloc.decode("ascii")})
            try:
                response = await self.client.send(request, stream=True)
            except httpx.ConnectError as failed:
                error = failed
                continue
            await response.aclose()
            return outcome_of(response)
        raise error

    async def flush(self) -> None:
        """A success is the receiver's word that it has it."""

    async def close(self) -> None:
        await self.client.aclose()


def trusted(config: SinkConfig) -> ssl.SSLContext:
    """Certificates are checked, with the name in the URL: by the public authorities, or by those of the file `ca`
    alone. Fault: it cannot be read."""
    try:
        return ssl.create_default_context(cafile=config.ca) if config.ca else httpx.create_ssl_context(trust_env=False)
    except OSError as error:  # also what is no certificate
        raise Fault(f"sink {config.name}: ca: {config.ca}: {error.strerror or error}") from error


def outcome_of(response: httpx.Response) -> Outcome:
    """What the status line and `retry-after` mean."""
    status = response.status_code
    if status in SUCCESS:
        return Outcome()
    text = f"HTTP {status}" + (": redirects are not followed" if status in REDIRECT else "")
    return Outcome(text, retry_after_s(response.headers.get("retry-after", ""), time.time()), status == GONE)
