"""Clients that hold connections and ask nothing take them from nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from monitor.web import connections
from monitor.web.connections import Listener, raise_files
from tests.clock import Clock
from tests.waiting import PATIENCE, wait_until

FILES = 256
IDLE = 1000


@pytest.fixture
def files() -> Iterator[None]:
    """This process may open as many files as it can, for the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_files()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a process of its own, that may open few files."""
    path = tmp_path / "monitor.yaml"
    path.write_text("http: {listen: '127.0.0.1:0'}\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "run", "--config", str(path), "--log.format", "json"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES // 2, FILES)),
    )
    stop = threading.Timer(280, process.kill)
    stop.start()
    try:
        assert process.stderr is not None
        started = next(event for event in map(json.loads, process.stderr) if event["event"] == "service.started")
        reader = threading.Thread(target=process.stderr.read)  # or it would wait for someone who reads
        reader.start()
        yield started["url"].removeprefix("http://").rstrip("/")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        reader.join()
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]


def test_a_thousand_idle_connections(served: str, tmp_path: Path, files: None) -> None:
    """While a thousand clients hold connections to a process that may open 256 files, scrapes are answered and the
    store is opened anew.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < IDLE + 100:
        pytest.skip("this user may not open a thousand connections")
    host, _, port = served.rpartition(":")

    def up() -> bool:
        with urllib.request.urlopen(f"http://{served}/metrics", timeout=PATIENCE) as response:
            return b"\nimpulse_monitor_store_up 1.0\n" in response.read()

    with ExitStack() as held:
        for number in range(IDLE):
            client = held.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            if number % 3 == 0:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")  # a head that does not end
        wait_until(up)
        (tmp_path / "impulse-monitor.db").unlink()
        wait_until((tmp_path / "impulse-monitor.db").exists)
        wait_until(up)


@asynccontextmanager
async def listening(most: int, waits: asyncio.Event | None = None) -> AsyncIterator[int]:
    """The port of an application that answers at once, or below `/slow` once `waits` is set."""

    async def quick(request: web.Request) -> web.Response:
        if request.path == "/slow" and waits is not None:
            await waits.wait()
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/{any:.*}", quick)
    listener = Listener(app, most)
    address = await listener.start("127.0.0.1", 0, None)
    try:
        yield int(address.rpartition(":")[2])
    finally:
        await listener.stop()


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask(client: Client, path: str = "/") -> bytes:
    """Send a request and wait for the answer's end."""
    client[1].write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return await client[0].readuntil(b"here")


async def closed(client: Client) -> None:
    """Wait until the server has closed a connection."""
    with suppress(ConnectionResetError):
        assert b"" == await client[0].read()


async def test_longest_idle_is_closed_first() -> None:
    """Beyond the limit that connection is closed that has been idle longest; one that is being answered is not."""
    waits = asyncio.Event()
    async with listening(3, waits) as port:
        busy, first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        answer = asyncio.create_task(ask(busy, "/slow"))
        await ask(second)
        await ask(first)  # so that the second is idle longer
        other = await asyncio.open_connection("127.0.0.1", port)
        assert b"here" in await ask(other)
        waits.set()

        assert b"here" in await answer
        await closed(second)
        assert b"here" in await ask(first)
        for _, writer in (busy, first, second, other):
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTT"])
async def test_head_has_a_time_limit(sent: bytes, clock: Clock) -> None:
    """A client that sends nothing, half a head, or half a second one after its first answer, is
    closed after a while.
    """
    async with listening(100) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await reader.read()
        writer.close()

    assert connections.IDLE_AT_MOST <= clock.monotonic() <= 2 * connections.IDLE_AT_MOST + 1


BIG = 8 * 2**20


def slow_readers(port: int, count: int, tls: ssl.SSLContext | None) -> list[socket.socket]:
    """Clients that ask for much and read nothing yet, through small windows."""
    clients = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.settimeout(30)
        client = tls.wrap_socket(client, server_hostname="127.0.0.1") if tls else client
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(client)
    return clients


def read_slowly(client: socket.socket, seconds: float) -> int:
    """Read by the byte for some time, then what there is still; how many bytes came."""
    end, got = time.monotonic() + seconds, 0
    with suppress(ConnectionError, ssl.SSLError):
        while more := len(client.recv(1 if (slow := time.monotonic() < end) else 2**16)):
            got += more
            time.sleep(0.05 if slow else 0.0)
    return got


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """One on each loop that the service runs on."""
    factory = None if request.param == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


@pytest.fixture(params=["http", "https"])
def contexts(request: pytest.FixtureRequest) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """What the server and the client use for TLS."""
    if request.param == "http":
        return None, None
    server, client, authority = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(), trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def big() -> web.Application:
    """Answers with a body of its own each time, of `BIG` bytes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bytes(BIG))

    app = web.Application()
    app.router.add_get("/", answer)
    return app


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None, most: int | None = None) -> AsyncIterator[tuple[Listener, int]]:
    """A listener of `big`, and its port."""
    listener = Listener(big(), most)
    address = await listener.start("127.0.0.1", 0, tls)
    try:
        yield listener, int(address.rpartition(":")[2])
    finally:
        await listener.stop()


def test_slow_readers_are_cut_off(
    runner: asyncio.Runner,
    contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who reads a response by the byte is cut off when its time is up; until then its connection holds a small part of
    it.
    """
    monkeypatch.setattr(connections, "SENDING_AT_MOST", 2.0)
    server, client = contexts

    async def main() -> None:
        async with serving(server) as (listener, port):
            reader, *_ = await asyncio.to_thread(slow_readers, port, 1, client)
            async with asyncio.timeout(60):
                while not listener._sending:
                    await asyncio.sleep(0.01)
            assert max(each.transport.get_write_buffer_size() for each in listener._sending) < BIG / 4
            assert await asyncio.to_thread(read_slowly, reader, 6.0) < BIG / 2
            assert not listener._sending
            reader.close()

    runner.run(main())


def test_slow_readers_hold_little_together(
    runner: asyncio.Runner,
    contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where clients hold more than may be held, those that read longest are cut off; a quick one gets all of its
    response.
    """
    monkeypatch.setattr(connections, "HELD_AT_MOST", 3 * BIG)
    server, client = contexts

    async def main() -> None:
        async with serving(server) as (listener, port):
            readers = await asyncio.to_thread(slow_readers, port, 8, client)
            async with asyncio.timeout(60):
                while len({id(each.body) for each in listener._sending}) > 3 or len(listener._sending) < 3:
                    await asyncio.sleep(0.01)
            url = f"http{'s' * bool(server)}://127.0.0.1:{port}/"
            async with aiohttp.ClientSession() as session, session.get(url, ssl=client or True) as reply:
                assert len(await reply.read()) == BIG
            for reader in readers:
                reader.close()

    runner.run(main())


def test_slow_readers_make_room(runner: asyncio.Runner) -> None:
    """Connections that are read slowly are cut off for new ones, the slowest first."""

    async def main() -> None:
        async with serving(None, 3) as (listener, port):
            readers = []
            for number in range(3):
                readers += await asyncio.to_thread(slow_readers, port, 1, None)
                async with asyncio.timeout(60):
                    while len(listener._sending) <= number:
                        await asyncio.sleep(0.01)
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as reply:
                assert len(await reply.read()) == BIG
            assert await asyncio.to_thread(read_slowly, readers[0], 0.0) < BIG / 2
            for reader in readers:
                reader.close()

    runner.run(main())


def test_files_are_raised() -> None:
    """The soft limit of open files is raised to the hard one."""
    script = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
        "from monitor.web.connections import files_at_most, raise_files; raise_files(); print(files_at_most() == hard "
        "or hard)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True, env={**os.environ}
    )

    assert done.stdout.strip() in ("True", "-1")
