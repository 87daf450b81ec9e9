"""Which SQL statements a store sends, as the database itself sees them: BEGIN, COMMIT and ROLLBACK among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import AdaptedConnection, Pool, event

from tests.store.postgres_server import Server

_LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]+): (.*(?:\n\t.*)*)")


class Statements:
    """Those since it was made, or since `clear`."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log
        self._seen: list[str] = []
        self._closed = False
        self.clear()

    def add(self, statement: str) -> None:
        """Take note of one."""
        if not self._closed:
            self._seen.append(statement)

    def clear(self) -> None:
        """Begin to count again."""
        self._seen.clear()
        self._from = self._log.stat().st_size if self._log else 0

    def close(self) -> None:
        """Count no more: what is measured from now on is not slowed down."""
        self._closed = True

    @property
    def seen(self) -> list[str]:
        """The statements, in their order."""
        if self._log is None:
            return list(self._seen)
        with self._log.open("rb") as file:
            file.seek(self._from)
            return _LOGGED.findall(file.read().decode())


@contextmanager
def of_sqlite() -> Iterator[Statements]:
    """The statements of all SQLite connections that are made in the block, by SQLite's own trace."""
    statements = Statements()

    def connected(connection: Any, _record: object) -> None:
        if isinstance(connection, AdaptedConnection):  # the migrations' own are not
            connection.run_async(lambda driver: driver.set_trace_callback(statements.add))

    event.listen(Pool, "connect", connected)
    try:
        yield statements
    finally:
        event.remove(Pool, "connect", connected)


async def of_postgresql(server: Server) -> Statements:
    """The statements that a server gets from now on, by its own log."""
    await server.execute("ALTER SYSTEM SET log_statement = 'all'")
    await server.execute("SELECT pg_reload_conf()")
    return Statements(server.folder / "log")
