"""Whether a store can be used, found out without changing it: for `check --online`, beside a service that may be
running.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.store import engine
from monitor.store.errors import StoreUnavailable, explain
from monitor.store.migrate import check_version

LOCK_TIMEOUT = 5.0
"""Seconds to wait for a lock that another program holds."""


async def probe(url: str) -> str:
    """What there is to say of a store that can be used, in words.

    Args:
        url: As the configuration has it.

    Raises:
        StoreError: It cannot be used: why, and what to do.
    """
    parsed = engine.parse(url)
    where = engine.describe(parsed)
    with explained(where):
        if parsed.get_backend_name() == "sqlite":
            return await asyncio.to_thread(_probe_sqlite, Path(str(parsed.database)), where)
        return await _probe_postgresql(parsed, where)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise what a driver raises as the `StoreError` that says what it means for the operator."""
    try:
        yield
    except Exception as error:
        if (known := explain(error, where)) is None:
            raise
        raise known from None


@contextmanager
def sqlite_file(path: Path, mode: Literal["ro", "rw"]) -> Iterator[Connection]:
    """A connection to a file that is there already, apart from those of a running service."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, timeout=LOCK_TIMEOUT
        )

    with create_engine("sqlite://", creator=connect, poolclass=NullPool, **engine.PLAIN).connect() as connection:
        yield connection


@asynccontextmanager
async def postgresql_server(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection to a server, apart from those of a running service."""
    new = engine.new_engine(url, LOCK_TIMEOUT, NullPool)
    try:
        async with new.connect() as connection:
            yield connection
    finally:
        await new.dispose()


def _probe_sqlite(path: Path, where: str) -> str:
    if not path.exists():
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"store {where} cannot be created; let this user write the folder {path.parent}")
        return f"{where} does not exist yet, and is created at the start"
    with sqlite_file(path, "rw") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # as every write begins: shows a read-only file, or a lock
        try:
            current = check_version(connection, where)
        finally:
            connection.exec_driver_sql("ROLLBACK")
    return _said(where, current)


async def _probe_postgresql(url: URL, where: str) -> str:
    async with postgresql_server(url) as connection:
        if (await connection.execute(text("SHOW transaction_read_only"))).scalar_one() == "on":
            raise StoreUnavailable(f"store {where} is read-only (a standby?); name the primary server in `store`")
        return _said(where, await connection.run_sync(check_version, where))


def _said(where: str, current: bool) -> str:
    return where if current else f"{where}, whose tables are made or brought up to date at the start"
