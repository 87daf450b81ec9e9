"""Alertmanager's API v2."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp

from monitor.alerts.states import Transition
from monitor.config.receivers import HttpReceiverConfig
from monitor.net.address import address
from monitor.notify.chat import defang
from monitor.notify.errors import Rejected
from monitor.notify.http import Endpoint
from monitor.notify.notifier import Clock, Resent, moment

FIRING_FOR = 240.0
"""Seconds that a firing alert lasts without being sent again: four times the resend interval, as Prometheus does."""
RESEND_RESOLVED_FOR = 900.0
"""Seconds that a resolved alert is sent again, for an Alertmanager that was away when it resolved."""
BATCH = 64
"""Alerts in one request, as Prometheus does."""


class Alertmanager:
    """Sends alerts to one Alertmanager; each replica of a cluster is a receiver of its own."""

    def __init__(self, name: str, config: HttpReceiverConfig, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._endpoint = Endpoint(name, config, session)
        self._clock = clock

    async def send(self, transition: Transition) -> None:
        """Deliver one alert, alone: one that Alertmanager does not take would have the others of its request refused
        with it.
        """
        await self._post([transition])

    async def resend(self, alerts: Iterable[Transition]) -> Resent:
        """Deliver what is firing, and what has resolved lately."""
        resent_since = self._clock() - RESEND_RESOLVED_FOR
        current = [each for each in alerts if each.status == "firing" or (each.ends_at or 0.0) >= resent_since]
        refused: list[tuple[Transition, Rejected]] = []
        for start in range(0, len(current), BATCH):
            batch = current[start : start + BATCH]
            try:
                await self._post(batch)
            except Rejected as error:
                refused += [(batch[0], error)] if len(batch) == 1 else await self._one_by_one(batch)
        return Resent(len(current) - len(refused), refused)

    async def probe(self) -> str:
        """Whether it is ready."""
        url = await self._endpoint.url()
        shown = address(url)
        status, _ = await self._endpoint.request("GET", url.rstrip("/") + "/-/ready")
        if status != 200:
            raise Rejected(
                f"{shown} answered {status} to /-/ready",
                advice="; is that the URL of an Alertmanager, and may we in?",
                status=status,
            )
        return f"{shown} is ready"

    async def _one_by_one(self, alerts: Sequence[Transition]) -> list[tuple[Transition, Rejected]]:
        refused = []
        for each in alerts:
            try:
                await self._post([each])
            except Rejected as error:
                refused.append((each, error))
        return refused

    async def _post(self, alerts: Sequence[Transition]) -> None:
        url = await self._endpoint.url()
        now = self._clock()
        body = json.dumps([as_alert(each, now) for each in alerts], ensure_ascii=False).encode()
        await self._endpoint.post(url.rstrip("/") + "/api/v2/alerts", body)


def as_alert(transition: Transition, now: float) -> dict[str, Any]:
    """An alert as Alertmanager's API v2 wants it.

    Args:
        transition: What happened.
        now: Unix seconds: a firing alert ends some time after it unless it is sent again.
    """
    ends_at = now + FIRING_FOR if transition.status == "firing" or transition.ends_at is None else transition.ends_at
    alert: dict[str, Any] = {
        "labels": {name: value for name, value in transition.labels.items() if value},
        "annotations": _annotations(transition),
        "startsAt": moment(transition.starts_at),
        # a clock may have been set back; an alert that ends first is refused
        "endsAt": moment(max(ends_at, transition.starts_at)),
    }
    if transition.generator_url:
        alert["generatorURL"] = transition.generator_url
    return alert


def _annotations(transition: Transition) -> dict[str, str]:
    """What Alertmanager passes on to chats unchanged: texts that hold Studio's names are defanged,
    addresses stay.
    """
    return {name: text if name.endswith("_url") else defang(text) for name, text in transition.annotations.items()}
