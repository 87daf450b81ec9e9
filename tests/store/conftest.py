"""Both back ends: a SQLite file, and a PostgreSQL server of our own in a temporary folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from monitor.store import Store
from tests.store.postgres_server import DATABASE, Server, pooling, running


@pytest.fixture(scope="session")
def server(program: Callable[[str], str]) -> Iterator[Server]:
    """The server, for all tests of a session."""
    with running(program) as server:
        server.call("createdb", "-h", str(server.folder), DATABASE)
        yield server


@pytest.fixture(params=["unchanged", "lenient"])
async def pooler(server: Server, program: Callable[[str], str], request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The folder of the socket of a PgBouncer before the server, in transaction mode; a lenient one lets settings at
    the start pass.
    """
    lenient = ["ignore_startup_parameters = lock_timeout, tcp_keepalives_idle"] if request.param == "lenient" else []
    async with pooling(server, program, ["auth_type = trust", *lenient], '"postgres" ""\n') as there:
        yield there


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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, of both back ends."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with Store(url) as store:
        yield store
