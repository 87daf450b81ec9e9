"""`Listener`: accepts connections, and bounds what clients may hold that ask nothing, or that do not read what they
asked for.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

IDLE_AT_MOST = 75.0
"""Seconds that a connection may be silent, or send a request's head, be it the first or the next one; Prometheus
scrapes once a minute.
"""
HANDSHAKE_AT_MOST = 10.0
"""Seconds for a TLS handshake."""
SENDING_AT_MOST = 60.0
"""Seconds that a client may take to read a response."""
HELD_AT_MOST = 64 * 2**20
"""Bytes of responses that clients are reading, where they are slow: of more the one goes that is read longest."""
SLOW_AFTER = 1.0
"""Seconds after which a client that still reads a response is slow."""
CHUNK = 2**16
"""Bytes of a response that wait in a connection, the rest waits once for all clients; what is shorter is sent as a
whole.
"""
KERNEL_HOLDS = 2**17
"""Bytes of a response in the system's buffer of a connection, which is memory, too, and by itself grows to some
megabytes.
"""
LOOK = 1.0
"""Seconds between two looks for clients that read slowly."""
MOST = 512
"""Connections at the same time, fewer where the process may open fewer than twice as many files."""


@dataclass(eq=False, slots=True)
class _Sending:
    """A response on its way.

    Attributes:
        connection: Whose it is.
        transport: Of the connection, which lets go of it as soon as it is to be closed, although there is something to
            send still.
        socket: Of the transport.
        since: The loop's time when it was ready to be sent.
        body: What is held for it; None once all of it is in the connection's own buffers.
    """

    connection: web.RequestHandler
    transport: asyncio.Transport
    socket: Any  # each loop has a class of its own
    since: float
    body: bytes | None


class Listener:
    """Serves an application on an address.

    Of more connections than `most` those are closed that have been idle, or reading, longest: they may have been opened
    to starve others. A response is sent piece by piece as the client reads it; who takes longer than `SENDING_AT_MOST`
    is cut off.

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
        self._sending: set[_Sending] = set()
        self._looking: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str | None, port: int, tls: ssl.SSLContext | None) -> str:
        """Begin to listen; answers `host:port`.

        Raises:
            OSError: The address cannot be listened on.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        limit = HANDSHAKE_AT_MOST if tls else None
        self._server = await loop.create_server(
            self._accept, host, port, ssl=tls, ssl_handshake_timeout=limit, reuse_address=True
        )
        for listening in self._server.sockets:  # each connection takes it over
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_HOLDS)
        self._looking = loop.create_task(self._look())
        found, number = self._server.sockets[0].getsockname()[:2]
        return f"[{found}]:{number}" if ":" in found else f"{found}:{number}"

    async def stop(self) -> None:
        """Listen no more, let what is being answered end, close all connections."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        if self._looking is not None:
            self._looking.cancel()
        for each in self._sending:
            _drop(each)

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
            sending = {each.connection: each for each in self._sending}
            since = {each: self._idle_since[each] for each in connected if each not in self._answering}
            since |= {each: sending[each].since for each in connected if each in sending}
            for each in sorted(since, key=since.__getitem__)[:beyond]:
                each.force_close()
                if each in sending:
                    self._cut_off(sending[each])

    @web.middleware
    async def _busy(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Keep the connection of a request that is being answered from being closed; afterwards it
        is the last that is.
        """
        connection = request.protocol
        self._answering.add(connection)
        try:
            response = await handler(request)
            if type(response) is web.Response:
                await self._send(request, response)
            return response
        except web.HTTPException as error:
            await self._send(request, error)
            raise
        finally:
            self._answering.discard(connection)
            self._idle_since[connection] = asyncio.get_running_loop().time()

    async def _send(self, request: web.Request, response: web.Response) -> None:
        """Send a response while somebody looks at how long that takes; aiohttp then finds it sent, or its connection
        gone.
        """
        if (transport := request.transport) is None:
            return  # the client has gone
        body = response.body if isinstance(response.body, bytes) else None
        if body is not None and len(body) > CHUNK:
            # is written by the chunk: a connection's own copy would be as large as the whole
            response.body = io.BytesIO(body)
        sending = _Sending(
            request.protocol, transport, transport.get_extra_info("socket"), asyncio.get_running_loop().time(), body
        )
        self._sending.add(sending)
        self._cut_off_beyond(sending.since)
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            response.body = None  # aiohttp asks once more, and meets the same
        finally:
            sending.body = None
            if not _unsent(transport):
                self._sending.discard(sending)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            now = asyncio.get_running_loop().time()
            for each in list(self._sending):
                if each.body is None and not _unsent(each.transport):
                    self._sending.discard(each)
                elif now - each.since > SENDING_AT_MOST:
                    self._cut_off(each)
            self._cut_off_beyond(now)

    def _cut_off_beyond(self, now: float) -> None:
        """Cut off the slowest while more is held than may be."""
        for slowest in sorted(self._sending, key=lambda each: each.since):
            # all scrapes of a moment share one
            held = {id(each.body): len(each.body) for each in self._sending if each.body is not None}
            if sum(held.values()) <= HELD_AT_MOST or now - slowest.since < SLOW_AFTER:
                return
            self._cut_off(slowest)

    def _cut_off(self, sending: _Sending) -> None:
        self._sending.discard(sending)
        _drop(sending)


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that wait in a connection."""
    try:
        return transport.get_write_buffer_size()
    except AttributeError:  # asyncio's, of TLS, once it is closed
        return 0


def _drop(sending: _Sending) -> None:
    """End a connection at once; without this option the system would go on to send what it has of it."""
    if not sending.transport.is_closing():  # else its number may be another connection's by now
        with suppress(OSError):
            sending.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sending.transport.abort()


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
