"""A webhook: JSON, signed as Standard Webhooks has it; described in `docs/notifications.md` and
`config/webhook.schema.json`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from monitor.alerts.causes import LABEL
from monitor.alerts.states import Transition
from monitor.config.receivers import WebhookConfig
from monitor.net.address import address
from monitor.notify.addresses import read
from monitor.notify.errors import Retry
from monitor.notify.http import Endpoint
from monitor.notify.notifier import Clock, moment, worst_first

VERSION = 2
"""Of the body: a new member leaves it as it is, any other change does not."""

_ENCODED = "whsec_"
"""What a secret begins with whose rest is the key in base64."""


class Webhook:
    """Sends transitions to one URL."""

    def __init__(self, name: str, config: WebhookConfig, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._name = name
        self._config = config
        self._clock = clock
        self._endpoint = Endpoint(name, config, session)

    async def send(self, transition: Transition) -> None:
        """Deliver one transition."""
        await self.send_together([transition])

    async def send_together(self, transitions: Sequence[Transition]) -> None:
        """Deliver transitions as one message; a repeat of the same ones has the same `webhook-id` and
        `Idempotency-Key`.
        """
        url = await self._endpoint.url()
        content = payload(transitions)
        body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        message_id = content["id"]
        timestamp = str(int(self._clock()))
        headers = {"Idempotency-Key": message_id, "webhook-id": message_id, "webhook-timestamp": timestamp}
        key = await self._key()
        if key is not None:
            headers["webhook-signature"] = signature(key, message_id, timestamp, body)
        await self._endpoint.post(url, body, headers)

    async def probe(self) -> str:
        """What the host answers. The webhook itself is not asked: nobody knows what a request would set off."""
        shown = address(await self._endpoint.url())
        status, _ = await self._endpoint.request("HEAD", f"{shown}/")
        return f"{shown} answers (HTTP {status})"

    async def _key(self) -> bytes | None:
        if self._config.secret_file is None:
            return None
        secret = await read(self._config.secret_file, f"secret of {self._name}")
        try:
            return key_of(secret)
        except ValueError as error:
            raise Retry(f"secret of {self._name}: the file ", self._config.secret_file, f" {error}") from None


def payload(transitions: Sequence[Transition]) -> dict[str, Any]:
    """The body: the most urgent alert, and all of them, the most urgent first."""
    ordered = worst_first(transitions)
    first = ordered[0]
    return {
        "version": VERSION,
        **_alert(first),
        "id": message_id(ordered),
        "cause_id": first.labels.get(LABEL, ""),
        "alerts": [_alert(each) for each in ordered],
    }


def message_id(transitions: Sequence[Transition]) -> str:
    """The identity of a message: of one about a single transition that one's, else a digest of theirs."""
    if len(transitions) == 1:
        return transitions[0].id
    return hashlib.sha256("\0".join(each.id for each in transitions).encode()).hexdigest()


def _alert(transition: Transition) -> dict[str, Any]:
    return {
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


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: `whsec_` and base64, or any other text, whose bytes (UTF-8) are the key.

    Raises:
        ValueError: What follows `whsec_` is not base64; the message does not repeat it.
    """
    if not secret.startswith(_ENCODED):
        return secret.encode()
    encoded = secret.removeprefix(_ENCODED)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)  # padding may be left out
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("begins with whsec_, but what follows is not base64; messages wait until it is")
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of "id.timestamp.body" in base64.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
