"""Chat and mail, by the Apprise library and its URLs (https://github.com/caronc/apprise/wiki)."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp

from monitor.alerts.states import Transition
from monitor.config.receivers import AppriseConfig
from monitor.notify.addresses import read
from monitor.notify.chat import defang
from monitor.notify.errors import Retry
from monitor.notify.notifier import Clock, worst_first

TIMEOUT = 30.0
"""Seconds for one message: a mail server takes longer than a web server."""

LONGEST = 32_768
"""Characters of a message for a service that names no limit, as Apprise has it."""

UNKNOWN = "is none that Apprise can use; write one as https://github.com/caronc/apprise/wiki has it for the service"

_TYPES = {"critical": "failure", "warning": "warning"}


class Apprise:
    """Sends short texts to the service that one Apprise URL names.

    Apprise does not say why a service refused, so that every failure is one that may pass.
    """

    def __init__(self, name: str, config: AppriseConfig, _session: aiohttp.ClientSession, _clock: Clock) -> None:
        self._name = name
        self._config = config

    async def check(self) -> None:
        """See whether Apprise knows the service that the URL names, and finds the URL complete; nothing is sent."""
        await self._service()

    async def send(self, transition: Transition) -> None:
        """Deliver one transition."""
        await self.send_together([transition])

    async def send_together(self, transitions: Sequence[Transition]) -> None:
        """Deliver transitions as one message, no longer than the service takes."""
        first = worst_first(transitions)[0]
        kind = "success" if first.status == "resolved" else _TYPES.get(first.severity, "info")
        try:
            async with asyncio.timeout(TIMEOUT):
                service = await self._service()
                title, body = texts(transitions, _longest(service))
                arrived = bool(await service.async_notify(title=title, body=body, notify_type=kind, body_format="text"))
        except Retry:
            raise
        except TimeoutError:
            raise Retry(f"no success within {TIMEOUT:g} s") from None
        except Exception as error:  # of one of its hundred modules; the text may hold the URL
            raise Retry(
                "Apprise failed (",
                type(error).__name__,
                "); try the URL by hand: apprise -vv -b test URL",
            ) from None
        if not arrived:
            raise Retry("Apprise could not deliver", advice="; try the URL by hand: apprise -vv -b test URL")

    async def _service(self) -> Any:
        url = await read(self._config.address, f"URL of {self._name}")
        if (service := await asyncio.to_thread(_service, url)) is None:
            raise Retry("the URL ", advice=UNKNOWN)
        return service


def usable(url: str) -> bool:
    """Whether Apprise knows the service that the URL names, and finds the URL complete. Sends nothing; blocks as
    `_service` does.
    """
    return _service(url) is not None


def texts(transitions: Sequence[Transition], longest: int = LONGEST) -> tuple[str, str]:
    """Title and body, for people; only the service's own addresses are links.

    Args:
        transitions: With cause and status in common. Of several the most urgent is written in full, and all are listed.
        longest: Characters that title and body may have together; of a single alert it cuts nothing.
    """
    ordered = worst_first(transitions)
    first = ordered[0]
    status = "Resolved" if first.status == "resolved" else "Firing"
    title = f"{status}: {_summary(first)}"
    full = "\n".join(filter(None, (defang(first.annotations.get("description", "")), *_links(first))))
    if len(ordered) == 1:
        return title, full or title
    title += f" {len(ordered) - 1} more of the same event."
    return title, _listed([f"- {_summary(each)}" for each in ordered], full, longest - len(title) - 1)


def _listed(lines: Sequence[str], full: str, longest: int) -> str:
    """The list of an event's alerts, below the full text of one where there is room for it."""
    listed = "\n".join([f"{len(lines)} alerts of one event:", *lines])
    if len(full) + 2 + len(listed) <= longest:
        return f"{full}\n\n{listed}"
    if len(listed) <= longest:
        return listed
    shown = len(lines)
    while shown > 1 and len(listed) > longest:
        shown -= 1
        listed = "\n".join([f"{len(lines)} alerts of one event:", *lines[:shown], f"and {len(lines) - shown} more"])
    return listed


def _summary(transition: Transition) -> str:
    return defang(transition.annotations.get("summary") or transition.alertname)


def _links(transition: Transition) -> list[str]:
    own = transition.annotations
    return [transition.generator_url, *(own.get(name, "") for name in ("event_url", "samples_url", "runbook_url"))]


def _longest(service: Any) -> int:
    """How many characters a message may have for the service."""
    return min((int(each.body_maxlen) for each in service), default=LONGEST)


def _service(url: str) -> Any:
    """The service of a URL; None where Apprise does not know it. To be called in a thread: the first call loads a
    hundred modules.
    """
    found = _library()()
    return found if found.add(url) else None


@functools.cache
def _library() -> Any:
    """Apprise, with the loggers silenced that could log a URL: to these libraries a token in it does not look like a
    password.
    """
    for name in ("apprise", "urllib3", "requests_oauthlib", "oauthlib"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    from apprise import Apprise

    return Apprise
