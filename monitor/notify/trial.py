"""Trying a receiver apart from the service: by a test message, or by asking without telling anything."""

from __future__ import annotations

import secrets
import socket

import aiohttp
import structlog

from monitor.alerts.states import Transition
from monitor.notify.dispatcher import NOTIFIERS
from monitor.notify.errors import NotifyError, Rejected
from monitor.notify.http import request
from monitor.notify.notifier import Clock
from monitor.notify.receivers import Receiver, address, read

ALERT = "ImpulseMonitorTest"
"""Name of the alert that a test message is of."""

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
            "description": f"Nothing is the matter: somebody on {socket.gethostname()} tries whether notifications "
            "arrive.",
        },
        starts_at=now,
    )


async def send(receiver: Receiver, session: aiohttp.ClientSession, clock: Clock) -> None:
    """Send a test message, once.

    Raises:
        NotifyError: It did not arrive: why.
    """
    try:
        await NOTIFIERS[receiver.kind](receiver, session, clock).send(message(clock()))
    except NotifyError:
        raise
    except Exception as error:  # a bug of ours, or what a file holds that nobody thought of
        log.exception("notify.crashed", receiver=receiver.name)
        raise NotifyError(f"an error of Impulse Monitor ({type(error).__name__}); please report this") from None


async def ask(receiver: Receiver, session: aiohttp.ClientSession) -> str:
    """What a receiver that is told nothing answers, in words; empty where it cannot be asked.

    Raises:
        NotifyError: It cannot be reached, or is not what it should be.
    """
    if receiver.kind == "apprise":
        return ""
    url = await read(receiver.url, f"URL of {receiver.name}")
    shown = address(url)
    if receiver.kind == "alertmanager":
        status, _ = await request(session, receiver, "GET", url.rstrip("/") + "/-/ready")
        if status != 200:
            raise Rejected(
                f"{shown} answered {status} to /-/ready; is that the URL of an Alertmanager, and may we in?", status
            )
        return f"{shown} is ready"
    # Of the host alone: who knows what a request to the webhook itself would set off.
    status, _ = await request(session, receiver, "HEAD", f"{shown}/")
    return f"{shown} answers (HTTP {status})"
