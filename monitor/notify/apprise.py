"""Chat and mail, by the Apprise library and its URLs (https://github.com/caronc/apprise/wiki)."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

import aiohttp

from monitor.alerts.states import Transition
from monitor.config.receivers import AppriseConfig
from monitor.notify.addresses import read
from monitor.notify.chat import defang
from monitor.notify.errors import Retry
from monitor.notify.notifier import Clock

TIMEOUT = 30.0
"""Seconds for one message: a mail server takes longer than a web server."""

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
        name = self._name
        title, body = texts(transition)
        kind = "success" if transition.status == "resolved" else _TYPES.get(transition.severity, "info")
        try:
            async with asyncio.timeout(TIMEOUT):
                service = await self._service()
                arrived = bool(await service.async_notify(title=title, body=body, notify_type=kind, body_format="text"))
        except Retry:
            raise
        except TimeoutError:
            raise Retry(f"{name}: no success within {TIMEOUT:g} s") from None
        except Exception as error:  # of one of its hundred modules; the text may hold the URL
            raise Retry(
                f"{name}: Apprise failed (",
                type(error).__name__,
                "); try the URL by hand: apprise -vv -b test URL",
            ) from None
        if not arrived:
            raise Retry(name, advice=": Apprise could not deliver; try the URL by hand: apprise -vv -b test URL")

    async def _service(self) -> Any:
        url = await read(self._config.address, f"URL of {self._name}")
        if (service := await asyncio.to_thread(_service, url)) is None:
            raise Retry(self._name, advice=f": the URL {UNKNOWN}")
        return service


def usable(url: str) -> bool:
    """Whether Apprise knows the service that the URL names, and finds the URL complete. Sends nothing; blocks as
    `_service` does.
    """
    return _service(url) is not None


def texts(transition: Transition) -> tuple[str, str]:
    """Title and body, for people; only the service's own addresses are links."""
    status = "Resolved" if transition.status == "resolved" else "Firing"
    annotations = transition.annotations
    title = f"{status}: {defang(annotations.get('summary') or transition.alertname)}"
    links = (transition.generator_url, annotations.get("runbook_url"))
    body = "\n".join(filter(None, (defang(annotations.get("description", "")), *links)))
    return title, body or title


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
