"""How the store's connections to a SQLite file run a statement: by one message to the connection's thread.

SQLAlchemy's own cursor sends four: to make a cursor, to execute, to fetch and to close it. Each wakes two threads,
which takes longer than most of the store's statements.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor with all rows of its statement, whose own cursor was closed in the thread that made it."""

    __slots__ = ("_description", "_lastrowid", "_rowcount")

    arraysize = 1

    def __init__(self, connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection = connection
        self._connection = connection._connection
        self._rows = deque()
        self._description: Any = None
        self._rowcount = -1
        self._lastrowid: int | None = None

    @property
    def description(self) -> Any:
        return self._description

    @property
    def rowcount(self) -> int:
        return self._rowcount

    @property
    def lastrowid(self) -> Any:
        return self._lastrowid

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Leave the rows as they are: there is nothing left to close."""

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._in_thread("execute", operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._in_thread("executemany", operation, seq_of_parameters)

    async def _in_thread(self, method: str, operation: Any, parameters: Any) -> None:
        driver: Any = self._connection

        def run() -> None:
            cursor = driver._conn.cursor()
            try:
                getattr(cursor, method)(operation, parameters)
                self._description = cursor.description
                self._rows = deque(cursor.fetchall() if cursor.description else ())
                self._rowcount = cursor.rowcount
                self._lastrowid = cursor.lastrowid
            finally:
                cursor.close()

        await driver._execute(run)


class _Connection(AsyncAdapt_aiosqlite_connection):
    """A connection with such cursors, which undoes a transaction only where there is one."""

    __slots__ = ()

    _cursor_cls: Any = _Cursor

    def rollback(self) -> None:
        driver: Any = self._connection
        if driver._connection and driver.in_transaction:
            super().rollback()


def use_one_message(engine: Engine) -> None:
    """Let an engine for aiosqlite make such connections."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> _Connection:
        plain = dialect.connect(*arguments, **options)
        return _Connection(plain.dbapi, plain._connection)
