"""Trying a receiver apart from the service: by a test message, or by a probe that notifies nobody."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import aiohttp
import structlog

from monitor.alerts.states import Transition
from monitor.config.receivers import NotifyConfig
from monitor.notify.errors import NotifyError
from monitor.notify.notifier import Clock, Probing
from monitor.notify.registry import notifier_of
from monitor.text import brief

ALERT = "ImpulseMonitorTest"
"""Name of the alert in a test message."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a test message.

    Attributes:
        receiver: Name of the receiver.
        error: Why it did not arrive, in a line without secrets; empty where it did.
    """

    receiver: str
    error: str = ""

    @property
    def delivered(self) -> bool:
        """Whether it arrived."""
        return not self.error

    def __str__(self) -> str:
        return f"{self.receiver}: delivered" if self.delivered else f"{self.receiver}: failed: {self.error}"


def named(receivers: Iterable[NotifyConfig], name: str) -> NotifyConfig:
    """The receiver of a name.

    Raises:
        LookupError: None has it; the message says which there are.
    """
    known = {each.receiver_name: each for each in receivers}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
    raise LookupError(f"no receiver is called {brief(name)}; {advice}")


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


async def send(receiver: NotifyConfig, session: aiohttp.ClientSession, clock: Clock) -> Trial:
    """Send a test message, once, and say what became of it."""
    name = receiver.receiver_name
    try:
        await notifier_of(receiver, session, clock).send(message(clock()))
    except NotifyError as error:
        return Trial(name, str(error))
    except Exception as error:  # a bug of ours, or unforeseen content of a file
        log.exception("notify.crashed", receiver=name)
        return Trial(name, f"an error of Impulse Monitor ({type(error).__name__}); please report this")
    return Trial(name)


async def probe(receiver: NotifyConfig, session: aiohttp.ClientSession, clock: Clock) -> str:
    """What a receiver answers, in words, without being notified; empty where its kind cannot be asked.

    Raises:
        NotifyError: It cannot be reached, or is something else.
    """
    notifier = notifier_of(receiver, session, clock)
    return await notifier.probe() if isinstance(notifier, Probing) else ""
