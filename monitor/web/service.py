"""`Service`: what the HTTP endpoint needs of the running service, and who may change it."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web
from pydantic import SecretStr

from monitor.config import ConfigError
from monitor.live.live import Live
from monitor.store import Store
from monitor.views.service_problems import ServiceProblem

Render = Callable[[str, str], Awaitable[tuple[bytes, Mapping[str, str]]]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """The running service, as its HTTP endpoint sees it.

    Attributes:
        render: The metrics: from the headers Accept and Accept-Encoding to a body and its headers.
        unready: What keeps the service from being ready, in a sentence; empty where nothing does.
        problems: Problems of the service itself, the worst first.
        reload: Reads the configuration again; answers whether it was good.
        admin_token: The token that changing requests must send, read at each request; None switches them off. May
            raise `ConfigError`.
        live: What is known right now.
        store: What was known before.
        pull_now: Pulls a target now; answers whether it is scheduled.
        clock: Unix seconds.
        studio_site: Where Studio's pages are, as the running configuration says.
        external_url: Address under which users reach the service; None where it is not configured.
        class_limit: Up to how many classes of a target are shown.
    """

    render: Render
    unready: Callable[[], str]
    problems: Callable[[], Sequence[ServiceProblem]]
    reload: Callable[[], Awaitable[bool]]
    admin_token: Callable[[], SecretStr | None]
    live: Live
    store: Store
    pull_now: Callable[[str], bool]
    clock: Callable[[], float]
    studio_site: Callable[[], str]
    external_url: str | None = None
    class_limit: int = 30

    async def authorize(self, request: web.Request) -> None:
        """Let a request pass that brings the admin token.

        Raises:
            HTTPForbidden: There is no admin token: what changes something is off.
            HTTPUnauthorized: The request does not send it.
            HTTPInternalServerError: Its file cannot be read.
        """
        try:
            token = await asyncio.to_thread(self.admin_token)
        except ConfigError as error:
            log.error("http.admin_token_unreadable", problems=[str(problem) for problem in error.problems])
            raise web.HTTPInternalServerError(
                text="The file of http.admin_token_file cannot be read; the log says why.\n"
            ) from None
        if token is None:
            raise web.HTTPForbidden(text="This is off: set http.admin_token_file to allow it.\n")
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        wanted = token.get_secret_value().encode()
        # aiohttp keeps bytes that are no UTF-8 as surrogates: encoded strictly they would be an error of ours.
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), wanted
        ):
            challenge = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="impulse-monitor"'}
            raise web.HTTPUnauthorized(
                headers=challenge, text="Send the admin token as `Authorization: Bearer TOKEN`.\n"
            )
