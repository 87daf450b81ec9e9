"""Trying a receiver apart from the service: by a test message, or by a probe that notifies nobody."""

from __future__ import annotations

import secrets
import socket

import aiohttp
import structlog

from monitor.alerts.states import Transition
from monitor.config.receivers import NotifyConfig
from monitor.notify.errors import NotifyError
from monitor.notify.notifier import Clock, Probing
from monitor.notify.registry import notifier_of

ALERT = "ImpulseMonitorTest"
"""Name of the alert in a test message."""

log = structlog.get_logger()


def message(now: float) -> Transition:
    """A test message; an Alertmanager lets it end by itself after some minutes. `now` in Unix seconds."""
    return Transition(
        id=secrets.token_hex(32),
        status="firing",
        alertname=ALERT,
        severity="info",
        target_id="test",
        labels={"alertname": ALERT, "severity": "info"},
        annotations={
            "summary": "Test message of Impulse Monitor.",
            "description": f"Nothing is wrong: somebody on {socket.gethostname()} checks whether notifications arrive.",
        },
        starts_at=now,
    )


async def send(receiver: NotifyConfig, session: aiohttp.ClientSession, clock: Clock) -> None:
    """Send a test message, once.

    Raises:
        NotifyError: It did not arrive.
    """
    try:
        await notifier_of(receiver, session, clock).send(message(clock()))
    except NotifyError:
        raise
    except Exception as error:  # a bug of ours, or unforeseen content of a file
        log.exception("notify.crashed", receiver=receiver.receiver_name)
        raise NotifyError(f"an error of Impulse Monitor ({type(error).__name__}); please report this") from None


async def probe(receiver: NotifyConfig, session: aiohttp.ClientSession, clock: Clock) -> str:
    """What a receiver answers, in words, without being notified; empty where its kind cannot be asked.

    Raises:
        NotifyError: It cannot be reached, or is something else.
    """
    notifier = notifier_of(receiver, session, clock)
    return await notifier.probe() if isinstance(notifier, Probing) else ""
