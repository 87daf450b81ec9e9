"""A PostgreSQL server of our own in a temporary folder, with a PgBouncer before it or without."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

DATABASE = "monitor"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on a Unix socket in `folder`, and on TCP where `listens` has addresses; with a password it
    lets nobody in without.
    """

    binaries: Path
    folder: Path
    password: str | None = None
    listens: str = ""

    def url(self, database: str, user: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def control(self, *arguments: str) -> None:
        """Call `pg_ctl`."""
        data = self.folder / "data"
        self.call("pg_ctl", "-D", str(data), "-w", "-l", str(self.folder / "log"), *arguments)

    def start(self) -> None:
        """Start it; what a killed machine would lose is no part of these tests, so fsync is off."""
        settings = (f"listen_addresses='{self.listens}'", f"unix_socket_directories={self.folder}", "fsync=off")
        self.control("-o", " ".join(f"-c {setting}" for setting in settings), "start")

    def call(self, name: str, *arguments: str) -> None:
        """Run one of its programs, which refuse to be run by root."""
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(self.binaries / name), *arguments]
        done = subprocess.run(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        connection = await asyncpg.connect(
            host=str(self.folder), user="postgres", database=database, password=self.password
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running(program: Callable[[str], str], password: str | None = None, listens: str = "") -> Iterator[Server]:
    """A server of its own."""
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))  # where no PATH leads
    initdb = program(debian[-1] if debian else "initdb")
    # not pytest's: the server's user must get in, and a socket's path is short
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        options = ["--auth=trust"]
        if password is not None:
            (folder / "password").write_text(password, encoding="utf-8")
            options = ["--auth=scram-sha-256", f"--pwfile={folder}/password"]
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = Server(Path(initdb).resolve().parent, folder, password, listens)
        server.call("initdb", "--no-sync", *options, "--username=postgres", "-D", str(folder / "data"))
        server.start()
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def pooling(
    server: Server, program: Callable[[str], str], settings: Sequence[str], users: str
) -> AsyncIterator[str]:
    """A PgBouncer before the server, in transaction mode: the folder of its socket, and its port as
    an option of a URL.
    """
    with tempfile.TemporaryDirectory(prefix="pgb-") as name:
        folder = Path(name)
        lines = [
            "[databases]",
            f"* = host={server.folder}",
            "[pgbouncer]",
            "pool_mode = transaction",
            "default_pool_size = 3",
            "listen_addr =",
            f"unix_socket_dir = {folder}",
            f"auth_file = {folder}/users",
            f"logfile = {folder}/log",
            *settings,
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(lines), encoding="utf-8")
        (folder / "users").write_text(users, encoding="utf-8")
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if as_user:
            shutil.chown(folder, "postgres")
        binary = program("/usr/sbin/pgbouncer" if Path("/usr/sbin/pgbouncer").exists() else "pgbouncer")
        process = await asyncio.create_subprocess_exec(
            *as_user, binary, "-q", str(folder / "pgbouncer.ini"), cwd="/", stderr=subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(120):
                while not (folder / ".s.PGSQL.6432").exists():
                    await asyncio.sleep(0.02)
            yield f"{folder}&port=6432"
        finally:
            process.terminate()
            await process.wait()
