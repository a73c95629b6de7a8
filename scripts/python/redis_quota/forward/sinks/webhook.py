"""Webhooks as Standard Webhooks describes them: webhook-id, webhook-timestamp, webhook-signature.

    secrets [new, old] ──▶ webhook-signature: v1,<by new> v1,<by old>        a receiver that has either one verifies it
"""

from __future__ import annotations

import base64
import datetime

from standardwebhooks.webhooks import Webhook

from ...cli.servers import Fault, Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome, compact
from .http import HttpSink

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)


def signer(secret: str, sink: str) -> Webhook:
    """Of one secret, `whsec_` and base64. Fault: it is none."""
    try:
        letters = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError as error:
        raise Fault(f"sink {sink}: a secret must be {PREFIX} and base64") from error
    if not secret.startswith(PREFIX) or len(letters) not in SECRET_BYTES:
        raise Fault(f"sink {sink}: a secret must be {PREFIX} and base64 of 24 to 64 bytes")
    return Webhook(letters)


class WebhookSink(HttpSink):
    """Signed by every secret."""

    def __init__(self, config: SinkConfig) -> None:
        super().__init__(config)
        self.signers = [signer(secret, config.name) for secret in config.secrets]

    def headers(self, delivery: Delivery, body: str, now: datetime.datetime) -> dict[str, str]:
        """The three fields of the signature, at this instant in UTC."""
        return {"content-type": "application/json", "webhook-id": delivery.id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": " ".join(made.sign(delivery.id, now, body) for made in self.signers)}

    async def send(self, delivery: Delivery) -> Outcome:
        body = compact(delivery.message())
        return await self.post(body.encode(), self.headers(delivery, body, datetime.datetime.now(datetime.UTC)))


def open_sink(config: SinkConfig, fleet: Fleet) -> WebhookSink:
    return WebhookSink(config)
