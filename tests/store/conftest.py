"""Both back ends: a SQLite file, and a PostgreSQL server of our own in a temporary folder."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from monitor.store import Store

DATABASE = "monitor"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on a Unix socket in `folder`."""

    binaries: Path
    folder: Path

    def url(self, database: str, user: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def control(self, *arguments: str) -> None:
        """Call `pg_ctl`."""
        data = self.folder / "data"
        self.call("pg_ctl", "-D", str(data), "-w", "-l", str(self.folder / "log"), *arguments)

    def start(self) -> None:
        """Start it, without TCP; what a killed machine would lose is no part of these tests, so fsync is off."""
        self.control("-o", f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off", "start")

    def call(self, name: str, *arguments: str) -> None:
        """Run one of its programs, which refuse to be run by root."""
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(self.binaries / name), *arguments]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        connection = await asyncpg.connect(host=str(self.folder), user="postgres", database=database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def server(program: Callable[[str], str]) -> Iterator[Server]:
    """The server, for all tests of a session."""
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))  # where no PATH leads
    initdb = program(debian[-1] if debian else "initdb")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not pytest's: the server's user must get in, and a socket's path is short
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = Server(Path(initdb).resolve().parent, folder)
        server.call("initdb", "--no-sync", "--auth=trust", "--username=postgres", "-D", str(folder / "data"))
        server.start()
        server.call("createdb", "-h", str(folder), DATABASE)
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["unchanged", "lenient"])
async def pooler(server: Server, program: Callable[[str], str], request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The folder of the socket of a PgBouncer before the server, in transaction mode; a lenient one lets settings at the start pass."""
    with tempfile.TemporaryDirectory(prefix="pgb-") as name:
        folder = Path(name)
        settings = [
            "[databases]",
            f"* = host={server.folder}",
            "[pgbouncer]",
            "pool_mode = transaction",
            "default_pool_size = 3",
            "listen_addr =",
            f"unix_socket_dir = {folder}",
            "auth_type = trust",
            f"auth_file = {folder}/users",
            f"logfile = {folder}/log",
            *(["ignore_startup_parameters = lock_timeout, tcp_keepalives_idle"] if request.param == "lenient" else []),
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(settings), encoding="utf-8")
        (folder / "users").write_text('"postgres" ""\n', encoding="utf-8")
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


@pytest.fixture
async def database(server: Server) -> str:
    """The name of an empty database on the server: always the same, since each one more is 300 files."""
    await server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", DATABASE)
    return DATABASE


@pytest.fixture
async def postgresql(server: Server, database: str) -> str:
    """The URL of an empty database."""
    return server.url(database)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path}/a store of 100%25.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, of both back ends."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with Store(url) as store:
        yield store
