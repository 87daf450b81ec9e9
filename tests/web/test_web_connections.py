"""Clients that hold connections and ask nothing take them from nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
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
    """While a thousand clients hold connections to a process that may open 256 files, scrapes are answered and the store is opened anew."""
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
    """A client that sends nothing, half a head, or half a second one after its first answer, is closed after a while."""
    async with listening(100) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await reader.read()
        writer.close()

    assert connections.IDLE_AT_MOST <= clock.monotonic() <= 2 * connections.IDLE_AT_MOST + 1


def test_files_are_raised() -> None:
    """The soft limit of open files is raised to the hard one."""
    script = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
        "from monitor.web.connections import files_at_most, raise_files; raise_files(); print(files_at_most() == hard or hard)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True, env={**os.environ})

    assert done.stdout.strip() in ("True", "-1")
