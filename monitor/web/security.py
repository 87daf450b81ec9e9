"""`Security`: TLS and basic auth of the HTTP endpoint, as the web configuration has them now.

The file, its certificates and its passwords may change while the service runs: new connections and requests follow
within seconds. What is wrong is logged once and changes nothing, and neither does what would take a protection off: a
file that was emptied or cut off, by a full disk or an editor, must not open a service that had a password. That needs a
restart.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from monitor.config.problems import ConfigError, Problem
from monitor.views.service_problems import Rejection
from monitor.web.passwords import Busy, Passwords, credentials
from monitor.web.sessions import COOKIE
from monitor.web.web_config import Protection, fingerprint, load

POLL = 5.0
"""Seconds between looks at the files; by content, since Kubernetes swaps a symlink under the name."""
SETTLE = 0.2
"""Seconds for which a change must hold: a file that is just being written, empty at first, would let everyone in."""

H = TypeVar("H", bound=Callable[..., Any])

log = structlog.get_logger()


def takes_bearer(handler: H) -> H:
    """Mark a handler that checks a bearer token or a session itself: requests with one need no basic auth to get
    there.
    """
    handler.takes_bearer = True  # type: ignore[attr-defined]
    return handler


class Security:
    """Use `open` to make one.

    Args:
        path: The web configuration; None for none, which protects nothing.
        protection: What it asks for.
        read: The fingerprint it had just before.
        clock: Unix seconds.

    Attributes:
        tls: To serve with; None for plain HTTP. Stays the same object while what it stands for changes.
        rejection: Why the files were not applied when they were last read; None where they were.
    """

    def __init__(
        self, path: Path | None, protection: Protection, read: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._now = protection
        self._read = read
        self._clock = clock
        self._passwords = Passwords()
        self._reloading = asyncio.Lock()
        self.tls = _Latest.of(self) if protection.tls else None
        self.rejection: Rejection | None = None

    @classmethod
    async def open(cls, path: Path | None, clock: Callable[[], float] = time.time) -> Self:
        """Read the web configuration at `path`.

        Raises:
            ConfigError: It cannot be used.
        """
        if path is None:
            return cls(None, Protection(), "", clock)
        read = await asyncio.to_thread(fingerprint, path)
        return cls(path, await asyncio.to_thread(load, path), read, clock)

    @property
    def good(self) -> bool:
        """Whether the files were good when they were last read."""
        return self.rejection is None

    @property
    def path(self) -> Path | None:
        """Of the web configuration; None for none."""
        return self._path

    @property
    def protection(self) -> Protection:
        """What holds now."""
        return self._now

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.tls else "http"

    def protect(self, app: web.Application) -> None:
        """Require basic auth before anything else in `app`, also for paths that do not exist."""
        app.middlewares.insert(0, self._authenticate)

    async def reload(self) -> bool:
        """Read the files again and take them over; bad ones change nothing. Answers whether they were good."""
        if self._path is None:
            return True
        async with self._reloading:
            # Taken before the files are read: a change in between shows as one at the next look.
            self._read = await asyncio.to_thread(fingerprint, self._path)
            try:
                protection = await asyncio.to_thread(load, self._path)
                if problems := list(_weaker(self._now, protection, self._path)):
                    raise ConfigError(problems)
            except ConfigError as error:
                log.error("web_config.rejected", problems=[str(problem) for problem in error.problems])
                self.rejection = Rejection.of(error.problems, self._clock(), self.rejection)
                return False
            self._now = protection
            self.rejection = None
            log.info("web_config.reloaded", users=len(protection.users), tls=protection.tls is not None)
            return True

    async def watch(self, report: Callable[[bool], None] = lambda good: None, every: float = POLL) -> None:
        """Reload when a file's content has changed, and `report` how that ended; looks each `every` seconds until
        cancelled.
        """
        while self._path is not None:
            await asyncio.sleep(every)
            try:
                if await self._has_changed(self._path):
                    report(await self.reload())
            except Exception:  # a bug met in one look must not end the looking
                log.exception("web_config.watch_crashed")

    async def _has_changed(self, path: Path) -> bool:
        seen = await asyncio.to_thread(fingerprint, path)
        if seen == self._read:
            return False
        await asyncio.sleep(SETTLE)
        return await asyncio.to_thread(fingerprint, path) == seen

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        users = self._now.users
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        brings_own = _is_bearer(header) or COOKIE in request.cookies
        if users and not (brings_own and getattr(request.match_info.handler, "takes_bearer", False)):
            given = credentials(header)
            try:
                right = given is not None and await self._passwords.match(users, *given)
            except Busy:
                raise web.HTTPServiceUnavailable(
                    headers={hdrs.RETRY_AFTER: "5"}, text="Too many passwords wait; try later.\n"
                ) from None
            if not right:
                challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="impulse-monitor", charset="UTF-8"'}
                raise web.HTTPUnauthorized(
                    headers=challenge, text="Send a user and password of the web configuration.\n"
                )
        return await handler(request)


def _weaker(now: Protection, then: Protection, path: Path) -> Iterator[Problem]:
    """What a reload must not change: TLS at all, and that clients have to authenticate."""
    restart = "restart the service, or undo the change"
    if (then.tls is None) is not (now.tls is None):
        yield Problem(path, 1, "tls_server_config", f"can be switched on or off only at a start; {restart}")
    elif now.tls and then.tls and then.tls.verify_mode < now.tls.verify_mode:
        yield Problem(
            path,
            1,
            "tls_server_config.client_auth_type",
            f"requires less of clients than before, which only a start may do; {restart}",
        )
    if now.users and not then.users:
        text = f"no longer names any user, so that everyone would have access; {restart}"
        yield Problem(path, 1, "basic_auth_users", text)


def _is_bearer(header: str) -> bool:
    return header.partition(" ")[0].lower() == "bearer"


class _Latest(ssl.SSLContext):
    """Gives each new connection the context that holds at that moment, whole.

    Loading another certificate into a context in use would keep its old authorities and let clients resume sessions
    that the new ones would refuse. asyncio and uvloop want one SSLContext per server, and use nothing of it but
    `wrap_bio`.
    """

    _security: Security

    @classmethod
    def of(cls, security: Security) -> Self:
        latest = cls(ssl.PROTOCOL_TLS_SERVER)
        latest._security = security
        return latest

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        tls = self._security.protection.tls
        assert tls is not None  # reload refuses what would switch TLS off
        return tls.wrap_bio(*args, **options)
