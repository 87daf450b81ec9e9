"""What `members` is made of: a network of its own, Studio, PostgreSQL as the fleet sees it, and the processes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, Signals
from typing import Any

import aiohttp
import asyncpg
import yaml

from tests.store.postgres_server import DATABASE, Server
from tests.waiting import until

ALERT = "EdgeImpulseAccuracyLow"
TOKEN = "let-me-in-please"
OWN_NETWORK = "IMPULSE_MONITOR_TRIAL_NETWORK"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def in_own_network(arguments: Sequence[str]) -> None:
    """Become this command in a network namespace of its own, where nothing else listens and packets may be dropped;
    return where that has happened.

    Raises:
        PermissionError: Not allowed to.
        FileNotFoundError: There is no `unshare`, or no `iptables`.
    """
    if os.environ.get(OWN_NETWORK):
        _loopback_up()
        return
    for probe in (["unshare", "--net", "true"], ["unshare", "--net", "iptables", "--list"]):
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PermissionError(done.stderr.strip())
    # no child: one that waits for it would kill it at a Ctrl-C, before it had stopped what it started
    command = ["unshare", "--net", "--", sys.executable, "-m", "tests.chaos", *arguments]
    os.execvpe(command[0], command, {**os.environ, OWN_NETWORK: "1"})


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


class StudioProcess:
    """Studio, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, keys: Mapping[int, str]) -> None:
        self.process, self.url, self.keys = process, url, keys
        self._asking = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls, projects: int, every: float) -> AsyncIterator[StudioProcess]:
        """Start it, and end it."""
        command = (sys.executable, "-m", "tests.chaos.members_studio", str(projects), str(every))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24)
        try:
            assert process.stdout is not None
            said = json.loads(await process.stdout.readline())
            yield cls(process, said["url"], {int(number): key for number, key in said["keys"].items()})
        finally:
            process.kill()
            await process.wait()

    async def ask(self, do: str, **fields: object) -> Any:
        """What it answers to a command."""
        assert self.process.stdin is not None and self.process.stdout is not None
        async with self._asking:
            self.process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            return json.loads(await self.process.stdout.readline())


@dataclass(frozen=True)
class Held:
    """A turn that was under way."""

    project: str
    epoch: int


class Books:
    """What PostgreSQL has of the fleet, asked past the service."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a query."""
        connection = await asyncpg.connect(host=str(self.server.folder), user="postgres", database=DATABASE)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, key: int) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """Hold an advisory lock for the length of the block; gives what tells whether somebody waits for it."""
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid, objid) = ($1, $2)"
        parts = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
        connection = await asyncpg.connect(host=str(self.server.folder), user="postgres", database=DATABASE)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", key)

            async def waited_for() -> bool:
                return bool(await self.rows(waiting, *parts))

            yield waited_for
        finally:
            await connection.close()

    async def leader(self, besides: str = "") -> str | None:
        """The address of the process that leads, unless it is `besides`."""
        statement = (
            "SELECT address FROM process JOIN pg_locks ON pg_locks.pid = process.backend"
            " WHERE locktype = 'advisory' AND granted AND leads AND objsubid = 1"
            " AND seen > extract(epoch FROM clock_timestamp()) - 5"
        )
        found = {row["address"] for row in await self.rows(statement)} - {besides}
        return found.pop() if found else None

    async def holder(self, project: int) -> str | None:
        """The address of the worker that has the project's turn."""
        statement = (
            "SELECT address FROM turn JOIN process ON process.id = turn.worker WHERE turn.project = $1 AND running"
        )
        rows = await self.rows(statement, str(project))
        return rows[0]["address"] if rows else None

    async def epochs(self) -> dict[str, int]:
        """How often each project's turn was taken, counted from a number of its own."""
        return {row["project"]: row["epoch"] for row in await self.rows("SELECT project, epoch FROM turn")}

    async def turns_of(self, address: str) -> list[Held]:
        """The turns that a worker has."""
        statement = (
            "SELECT project, epoch FROM turn JOIN process ON process.id = turn.worker WHERE address = $1 AND running"
        )
        return [Held(row["project"], row["epoch"]) for row in await self.rows(statement, address)]

    async def taken_again(self, held: Sequence[Held], *, ended: bool = False) -> bool:
        """Whether all these turns were taken since, or have ended since."""
        rows = {row["project"]: row for row in await self.rows("SELECT project, epoch, running FROM turn")}
        least = {each.project: each.epoch + (2 if ended and rows[each.project]["running"] else 1) for each in held}
        return all(rows[project]["epoch"] >= epoch for project, epoch in least.items())

    async def disconnect(self, address: str) -> None:
        """End a member's connection for signs of life, as a firewall may."""
        await self.rows("SELECT pg_terminate_backend(backend) FROM process WHERE address = $1", address)


class Member:
    """A process of the fleet, with an address of its own that it reaches PostgreSQL at.

    Args:
        folder: For its files.
        role: As the command takes it; empty for one process with SQLite.
        number: Makes its addresses.
        ahead: Seconds that its clock is ahead.
        content: Of its configuration.
    """

    def __init__(self, folder: Path, role: str, number: int, ahead: float, content: Mapping[str, Any]) -> None:
        self.name = f"{role or 'single'}-{number}"
        self.role = role
        self.ahead = ahead
        self.server = f"127.0.1.{number}"
        self.address = f"127.0.0.1:{9800 + number}"
        self.log = folder / f"{self.name}.log"
        self._config = folder / f"{self.name}.yaml"
        self._process: asyncio.subprocess.Process | None = None
        store = f"postgresql://postgres@{self.server}/{DATABASE}" if role else f"sqlite:///{folder}/before.db"
        token = folder / "token"
        token.write_text(TOKEN, encoding="utf-8")
        http = {"listen": self.address, "admin_token_file": str(token)}
        self._config.write_text(yaml.safe_dump({**content, "store": store, "http": http}), encoding="utf-8")

    async def start(self) -> None:
        """Start it; returns as soon as it runs."""
        roles = ["--role", self.role] if self.role else []
        options = ["run", "--config", str(self._config), "--log.format", "json", *roles]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.members_clock", str(self.ahead), *options), stdout=log, stderr=log
            )

    def send(self, number: Signals) -> None:
        """Send it a signal."""
        assert self._process is not None and self._process.returncode is None, f"{self.name} ended by itself"
        self._process.send_signal(number)

    async def end(self, number: Signals) -> None:
        """Send it a signal that ends it."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.send_signal(SIGCONT)
                self._process.send_signal(number)
            await self._process.wait()
        self._process = None

    def cable(self, *, cut: bool) -> None:
        """Let the packets between it and PostgreSQL be lost, or pass again."""
        for side in ("--source", "--destination"):
            action = "--insert" if cut else "--delete"
            command = ["iptables", "--wait", action, "OUTPUT", side, self.server, "--jump", "DROP"]
            subprocess.run(command, check=True, capture_output=True)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text; 0 where it does not answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=10)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://{self.address}{path}") as response,
            ):
                return response.status, await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, ""

    async def ready(self) -> bool:
        """Whether it says that it is."""
        return (await self.get("/-/ready"))[0] == 200

    async def pull_now(self, target: str) -> None:
        """Ask for a pull."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{self.address}/api/v1/targets/{target}/pull"
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as response:
            assert response.status == 202, await response.text()

    async def series(self) -> dict[str, float]:
        """All series but those of the process itself; none where it does not answer."""
        (_, own), (_, text) = await self.get("/metrics?series=process"), await self.get("/metrics")
        return {name: value for name, value in _series(text).items() if name not in _series(own)} if own else {}


def _series(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def lasted(holds: Any, within: float = 300.0) -> float:
    """Seconds until something held."""
    began = time.monotonic()
    await until(holds, within, every=0.2)
    return time.monotonic() - began
