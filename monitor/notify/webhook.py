"""A webhook: signed JSON, described in `docs/notifications.md` and `config/webhook.schema.json`."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import aiohttp

from monitor.alerts.states import Transition
from monitor.notify.http import post
from monitor.notify.notifier import Clock, moment
from monitor.notify.receivers import Receiver, read

VERSION = 1
"""Of the body: a new member leaves it as it is, any other change does not."""


class Webhook:
    """Sends transitions to one URL."""

    def __init__(self, receiver: Receiver, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._receiver, self._session, self._clock = receiver, session, clock

    async def send(self, transition: Transition) -> None:
        """Deliver one transition; a repeat has the same `Idempotency-Key`."""
        receiver = self._receiver
        url = await read(receiver.url, f"URL of {receiver.name}")
        body = json.dumps(payload(transition), ensure_ascii=False, allow_nan=False).encode()
        timestamp = str(int(self._clock()))
        headers = {"Idempotency-Key": transition.id, "X-Impulse-Monitor-Timestamp": timestamp}
        if receiver.secret is not None:
            secret = await read(receiver.secret, f"secret of {receiver.name}")
            headers["X-Impulse-Monitor-Signature"] = signature(secret, timestamp, body)
        await post(self._session, receiver, url, body, headers)


def payload(transition: Transition) -> dict[str, Any]:
    """The body."""
    return {
        "version": VERSION,
        "id": transition.id,
        "status": str(transition.status),
        "alert": transition.alertname,
        "severity": transition.severity,
        "target": transition.target_id,
        "labels": dict(transition.labels),
        "annotations": dict(transition.annotations),
        "starts_at": moment(transition.starts_at),
        "ends_at": None if transition.ends_at is None else moment(transition.ends_at),
        "url": transition.generator_url,
        "details": transition.details,
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of "timestamp.body" in hexadecimal digits: the timestamp is signed too, so that a
    copy goes stale.
    """
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
