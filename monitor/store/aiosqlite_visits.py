"""Connections to SQLite that go to their thread once for each statement.

The thread of aiosqlite owns the connection. SQLAlchemy's adapter goes there four times for a statement: to make a
cursor, to execute, to fetch, and to close. Each time costs the loop and the thread more than SQLite takes to answer.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.util import await_only


class VisitingCursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor whose statements are executed, and their rows fetched, in one visit to the connection's thread."""

    __slots__ = ("_found",)

    def __init__(self, adapt_connection: Any) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._rows = deque()
        self._found: tuple[Any, int, Any] = (None, -1, None)

    @property
    def description(self) -> Any:
        """Of the columns; None where the statement gives no rows."""
        return self._found[0]

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed; -1 where that says nothing."""
        return self._found[1]

    @property
    def lastrowid(self) -> Any:
        """The number of the row that was added last."""
        return self._found[2]

    def execute(self, operation: Any, parameters: Any = None) -> None:
        """Execute a statement and fetch all of its rows."""
        self._visit(lambda cursor: cursor.execute(operation, () if parameters is None else parameters))

    def executemany(self, operation: Any, seq_of_parameters: Iterable[Any]) -> None:
        """Execute a statement with each of several sets of parameters."""
        self._visit(lambda cursor: cursor.executemany(operation, seq_of_parameters))

    def close(self) -> None:
        """Let go of rows that were not taken; in the thread all is closed already."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """As `close`, rows kept."""

    def _visit(self, step: Callable[[sqlite3.Cursor], object]) -> None:
        driver: Any = self._connection

        def visit() -> None:
            cursor = driver._conn.cursor()
            try:
                step(cursor)
                if cursor.description:
                    self._rows = deque(cursor.fetchall())
                self._found = cursor.description, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()

        try:
            await_only(driver._execute(visit))
        except Exception as error:
            self._adapt_connection._handle_exception(error)


class VisitingConnection(AsyncAdapt_aiosqlite_connection):
    """A connection with such cursors, which undoes a transaction only where there is one."""

    __slots__ = ()

    _cursor_cls = VisitingCursor

    def rollback(self) -> None:
        """Undo the transaction."""
        driver: Any = self._connection
        if driver._connection and driver.in_transaction:
            super().rollback()

    @classmethod
    def of(cls, connection: AsyncAdapt_aiosqlite_connection) -> VisitingConnection:
        """A connection that was made, in place of SQLAlchemy's."""
        return cls(connection.dbapi, connection._connection)
