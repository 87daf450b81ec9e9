"""`Service`: what the HTTP endpoint needs of the running service, and who may change it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web
from pydantic import SecretStr

from monitor.config import ConfigError
from monitor.engine.sharding import Shard
from monitor.exposition import Body
from monitor.live.live import Live
from monitor.notify import Trial
from monitor.store import Store
from monitor.store.fleet import Process
from monitor.views.configuration import Running
from monitor.views.service_problems import ServiceProblem
from monitor.web.sessions import COOKIE, Signer

Render = Callable[[str, str], Awaitable[tuple[Body, Mapping[str, str]]]]

FORM_HEADER = "X-CSRF-Token"
"""Header of a request with a session that is no form: the token that the session's forms have."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """The running service, as its HTTP endpoint sees it.

    Attributes:
        render: The metrics: from the headers Accept and Accept-Encoding to a body and its headers.
        render_shard: The same of one shard of the targets, without what the process counts about itself.
        render_process: The same of that alone.
        processes: The processes of the fleet; none where there is no fleet.
        unready: What keeps the service from being ready, in a sentence; empty where nothing does.
        problems: Problems of the service itself, the worst first.
        reload: Reads the configuration again; answers whether it was good.
        admin_token: The token that changing requests must send, read at each request; None switches them off. May
            raise `ConfigError`.
        live: What is known right now.
        store: What was known before.
        pull_now: Pulls a target now; answers whether it is scheduled.
        test_receiver: Sends a receiver a test message; raises LookupError for one that there is not.
        running: The configuration that is running, and what became of others.
        clock: Unix seconds.
        studio_site: Where Studio's pages are, as the running configuration says.
        external_url: Address under which users reach the service; None where it is not configured.
        class_limit: Up to how many classes of a target are shown.
    """

    render: Render
    render_shard: Callable[[Shard], Render]
    render_process: Render
    processes: Callable[[], Sequence[Process]]
    unready: Callable[[], str]
    problems: Callable[[], Sequence[ServiceProblem]]
    reload: Callable[[], Awaitable[bool]]
    admin_token: Callable[[], SecretStr | None]
    live: Live
    store: Store
    pull_now: Callable[[str], bool]
    test_receiver: Callable[[str], Awaitable[Trial]]
    running: Callable[[], Running]
    clock: Callable[[], float]
    studio_site: Callable[[], str]
    external_url: str | None = None
    class_limit: int = 30

    async def signer(self) -> Signer:
        """What signs with the admin token as its file has it now.

        Raises:
            HTTPForbidden: There is no admin token: what changes something is off.
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
        return Signer(token)

    async def authorize(self, request: web.Request, form_token: str | None = None) -> Signer:
        """Let a request pass that brings the admin token, or a session with the token of its forms.

        Args:
            request: It.
            form_token: As the form has it; by default that of the header `X-CSRF-Token`.

        Raises:
            HTTPForbidden: There is no admin token: what changes something is off; or the form's token is not the
                session's.
            HTTPUnauthorized: The request brings neither.
            HTTPInternalServerError: The token's file cannot be read.
        """
        signer = await self.signer()
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() == "bearer" and signer.is_token(given):
            return signer
        session = signer.session(request.cookies.get(COOKIE, ""), self.clock())
        if scheme.lower() == "bearer" or session is None:
            challenge = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="impulse-monitor"'}
            raise web.HTTPUnauthorized(
                headers=challenge, text="Send the admin token as `Authorization: Bearer TOKEN`, or log in at /login.\n"
            )
        given = request.headers.get(FORM_HEADER, "") if form_token is None else form_token
        if not signer.is_form_token(given, session.value):
            log.warning("http.forged_form", path=request.path, address=request.remote)
            raise web.HTTPForbidden(
                text=f"Send the session's token as `{FORM_HEADER}`, as its pages have it in <meta name=csrf-token>.\n"
                if form_token is None
                else "This form is not of your session: go back, load the page again and send it from there.\n"
            )
        return signer
