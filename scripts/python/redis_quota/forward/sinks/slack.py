"""Slack's incoming webhooks: one line of text made of the event's fields.

    template "{account}: {percent} % of {limit} {resource}" ──▶ {"text": "acme: 80 % of 100 api"}
"""

from __future__ import annotations

import re
from typing import Any

from ...cli.servers import Fleet
from ..config import SinkConfig
from ..delivery import Delivery, Outcome, compact
from .http import HttpSink

PLACE = re.compile(r"\{(\w+)\}")
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # of Slack: no name of a customer makes a link


def filled(template: str, fields: dict[str, Any]) -> str:
    """The template with a field in each {place}; a field that the event has not is a dash."""
    return PLACE.sub(lambda match: str(fields.get(match[1], "-")).translate(ESCAPES), template)


class SlackSink(HttpSink):
    """POSTs {"text": …}."""

    async def send(self, delivery: Delivery) -> Outcome:
        message = delivery.message()
        text = filled(self.config.template, {**delivery.data, **message})
        return await self.post(compact({"text": text}).encode(), {"content-type": "application/json"})


def open_sink(config: SinkConfig, fleet: Fleet) -> SlackSink:
    return SlackSink(config)
