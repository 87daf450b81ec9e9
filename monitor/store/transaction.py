"""`Transaction`: everything that can be written, all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Row, Select, Table, TextClause, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult

from monitor import lease
from monitor.store import schema
from monitor.store.access import Parameters
from monitor.store.aggregates import Queries, Writes
from monitor.store.connections import Connections, Link
from monitor.store.errors import StoreError, StoreFenced, StoreUnavailable

T = TypeVar("T")

WRITERS = 0x696D7075_6C736502
"""The advisory lock "impulse", 2 that all transactions share."""
CHANGES = "impulse_monitor_changes"
"""The channel on which the subjects that a transaction changed are announced, and the queues that got messages."""
QUEUE = "queue "
"""Before the name of a queue on that channel."""

_ANNOUNCED = text(
    "WITH marked AS (INSERT INTO change (subject, xid) "
    "SELECT subject, pg_current_xact_id()::text::bigint FROM unnest(CAST(:subjects AS text[])) AS subject "
    "ON CONFLICT (subject) DO UPDATE SET xid = excluded.xid RETURNING subject) "
    "SELECT pg_notify(:channel, subject) FROM marked "
    "UNION ALL SELECT pg_notify(:channel, queue) FROM unnest(CAST(:queues AS text[])) AS queue"
)


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
        self.subjects: set[str] = set()
        """What it changes: those who follow the store read these again."""

    async def begin(self, *names: str) -> None:
        """Take locks, as `lock` does, in this order and in one statement.

        Writers of the releases that know `WRITERS` share it, and their retention waits for all of them.

        Raises:
            StoreFenced: It is part of a turn of a fleet that another process has taken over. Nobody takes over one
                that has not raised, until it ends.
        """
        if self._connections.is_sqlite:
            return
        taken = lease.current.get()
        wanted: list[ColumnElement[Any]] = [func.pg_advisory_xact_lock_shared(WRITERS)]
        wanted += [func.pg_advisory_xact_lock(lock_key(name)) for name in names]
        if taken is not None:
            wanted.append(_epoch_of(taken.project).scalar_subquery())
        row = (await self._execute(select(*wanted))).one()
        self._locks.update(names)
        if taken is not None and row[-1] != taken.epoch:
            taken.lose()
            self.failure = StoreFenced(
                f"another process has taken over the turn of project {taken.project}; nothing of this one is written"
            )
            raise self.failure

    async def announce(self) -> None:
        """Tell those who follow the store what this changes; they hear of it with the commit."""
        if self._connections.is_sqlite or not (self.subjects or self.queues):
            return
        queues = [f"{QUEUE}{name}" for name in sorted(self.queues)]
        named = {"channel": CHANGES, "subjects": sorted(self.subjects), "queues": queues}
        await self._execute(_ANNOUNCED, named)

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


def _epoch_of(project: str) -> Select[Any]:
    """The epoch of a project's turn, which stays what it is until the transaction ends."""
    turn = schema.turn.c
    # whoever takes a turn over asks for FOR UPDATE; that it was confirmed disturbs nobody
    return select(turn.epoch).where(turn.project == project).with_for_update(read=True, key_share=True)


def lock_key(name: str) -> int:
    """The number of a lock on PostgreSQL."""
    return int.from_bytes(hashlib.sha256(f"impulse-monitor {name}".encode()).digest()[:8], "big", signed=True)
