"""`Transaction`: everything that can be written, all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable, Row, Select, Table, TextClause, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult

from monitor.store.access import Parameters
from monitor.store.aggregates import Queries, Writes
from monitor.store.connections import Connections, Link
from monitor.store.errors import StoreError, StoreUnavailable

T = TypeVar("T")

WRITERS = 0x696D7075_6C736502
"""The advisory lock "impulse", 2 that all transactions share."""


class Transaction(Queries, Writes):
    """One unit of work on the store; its queries see what it has written so far."""

    def __init__(self, connections: Connections, link: Link) -> None:
        self._connections = connections
        self._link = link
        self.failure: StoreError | None = None
        """Why it cannot be committed."""
        self._locks: set[str] = set()
        self.queues: set[str] = set()
        """Whose messages it brings."""

    async def begin(self, *names: str) -> None:
        """Take locks, as `lock` does, in this order and in one statement.

        Writers of the releases that know `WRITERS` share it, and their retention waits for all of them.
        """
        if not self._connections.is_sqlite:
            keys = [func.pg_advisory_xact_lock(lock_key(name)) for name in names]
            await self._execute(select(func.pg_advisory_xact_lock_shared(WRITERS), *keys))
            self._locks.update(names)

    async def lock(self, name: str) -> None:
        """Wait until no other transaction, of this or another process, holds this name; this one does until it ends.

        With SQLite it is the only one anyway.
        """
        if not self._connections.is_sqlite and name not in self._locks:
            await self._execute(select(func.pg_advisory_xact_lock(lock_key(name))))
            self._locks.add(name)

    async def _fetch(self, statement: Select[Any] | TextClause, parameters: Parameters = None) -> Sequence[Row[Any]]:
        return (await self._execute(statement, parameters)).all()

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await self._connections.in_worker(function, *args)

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._connections.is_sqlite else postgresql.insert(table)

    async def _execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        if self.failure is not None:
            raise self.failure
        try:
            return await self._connections.execute(self._link, statement, parameters)
        except StoreError as error:
            self.failure = error
            raise
        except asyncio.CancelledError:
            self.failure = StoreUnavailable(
                f"store {self._connections.where} was interrupted in a statement; nothing of the transaction was "
                "written"
            )
            raise


def lock_key(name: str) -> int:
    """The number of a lock on PostgreSQL."""
    return int.from_bytes(hashlib.sha256(f"impulse-monitor {name}".encode()).digest()[:8], "big", signed=True)
