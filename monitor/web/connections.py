"""`Listener`: accepts connections, and bounds what clients that ask nothing may hold."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler

IDLE_AT_MOST = 75.0
"""Seconds that a connection may be silent, or send a request's head, be it the first or the next one; Prometheus scrapes once a minute."""
HANDSHAKE_AT_MOST = 10.0
"""Seconds for a TLS handshake."""
MOST = 512
"""Connections at the same time, fewer where the process may open fewer than twice as many files."""


class Listener:
    """Serves an application on an address.

    Of more connections than `most` those are closed that have been idle longest: they may have been opened to starve others.

    Args:
        app: Not set up yet.
        most: Connections at the same time.
    """

    def __init__(self, app: web.Application, most: int | None = None) -> None:
        app.middlewares.insert(0, self._busy)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0, keepalive_timeout=IDLE_AT_MOST)
        self._most = most if most is not None else min(MOST, max(1, files_at_most() // 2))
        self._idle_since: dict[web.RequestHandler, float] = {}  # the loop's time
        self._answering: set[web.RequestHandler] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str | None, port: int, tls: ssl.SSLContext | None) -> str:
        """Begin to listen; answers `host:port`.

        Raises:
            OSError: The address cannot be listened on.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        limit = HANDSHAKE_AT_MOST if tls else None
        self._server = await loop.create_server(self._accept, host, port, ssl=tls, ssl_handshake_timeout=limit, reuse_address=True)
        found, number = self._server.sockets[0].getsockname()[:2]
        return f"[{found}]:{number}" if ":" in found else f"{found}:{number}"

    async def stop(self) -> None:
        """Listen no more, let what is being answered end, close all connections."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _accept(self) -> web.RequestHandler:
        assert self._runner.server is not None  # it is set up
        self._close_beyond(self._runner.server.connections)
        return self._runner.server()

    def _close_beyond(self, connected: list[web.RequestHandler]) -> None:
        """Make room for one connection more."""
        now = asyncio.get_running_loop().time()
        self._idle_since = {each: self._idle_since.get(each, now) for each in connected}
        beyond = len(connected) + 1 - self._most
        if beyond > 0:
            idle = sorted((each for each in connected if each not in self._answering), key=self._idle_since.__getitem__)
            for each in idle[:beyond]:
                each.force_close()

    @web.middleware
    async def _busy(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Keep the connection of a request that is being answered from being closed; afterwards it is the last that is."""
        connection = request.protocol
        self._answering.add(connection)
        try:
            return await handler(request)
        finally:
            self._answering.discard(connection)
            self._idle_since[connection] = asyncio.get_running_loop().time()


def raise_files() -> None:
    """Let the process open as many files and connections as it may; Unix alone has such a limit."""
    with suppress(ImportError, ValueError, OSError):  # no Unix; a limit that the system does not take
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def files_at_most() -> int:
    """How many files and connections the process may open."""
    try:
        import resource
    except ImportError:
        return 2 * MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2 * MOST if soft == resource.RLIM_INFINITY else soft
