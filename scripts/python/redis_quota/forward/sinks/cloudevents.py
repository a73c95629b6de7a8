"""CloudEvents 1.0 over HTTP, structured mode: one JSON document with the attributes and the data.

    source /redis-quota/<shard>  id  type  time  subject, partitionkey: the account  sequence  authid: the actor
"""

from __future__ import annotations

import datetime

from cloudevents.core.bindings.http import to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from ...cli.servers import Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome, iso
from .http import HttpSink


def event_of(delivery: Delivery) -> CloudEvent:
    """The delivery as a CloudEvent; attributes that would be empty are left out."""
    attributes = {
        "id": delivery.id, "source": f"/redis-quota/{delivery.shard}", "type": delivery.type,
        "time": datetime.datetime.fromisoformat(iso(delivery.time_ms)), "datacontenttype": "application/json",
        "subject": delivery.account, "partitionkey": delivery.account, "sequence": delivery.sequence,
        "authid": str(delivery.data.get("actor", ""))}
    return CloudEvent({name: value for name, value in attributes.items() if value}, delivery.data)


class CloudEventsSink(HttpSink):
    """POSTs application/cloudevents+json."""

    async def send(self, delivery: Delivery) -> Outcome:
        message = to_structured(event_of(delivery), JSONFormat())
        return await self.post(message.body, dict(message.headers))


def open_sink(config: SinkConfig, fleet: Fleet) -> CloudEventsSink:
    return CloudEventsSink(config)
