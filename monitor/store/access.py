"""`Reading` and `Writing`: what the queries and the writes of every aggregate stand on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable, Row, Select, Table, TextClause, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult

T = TypeVar("T")
Parameters = Mapping[str, Any] | None
"""Values of a statement's `bindparam`s, by name."""


class Reading(ABC):
    """Runs queries. Every query may raise `StoreError`."""

    @abstractmethod
    async def _fetch(self, statement: Select[Any] | TextClause, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """The rows of a query. What each pull asks is made once, with parameters: making it takes as long as asking."""

    @abstractmethod
    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        """What a function answers that takes long: it runs in the store's own thread."""


class Writing(Reading):
    """Runs statements that write, within one transaction.

    Attributes:
        subjects: What the transaction changes: targets and projects by the ids that alerts have, discoveries by their
            names.
    """

    subjects: set[str]

    @abstractmethod
    async def lock(self, name: str) -> None:
        """Wait until no other transaction, of this or another process, holds this name; this one does until it ends.

        With SQLite it is the only one anyway.
        """

    @abstractmethod
    async def _execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """The answer to any statement."""

    @abstractmethod
    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insertion that can say what to do on a conflict."""

    async def _insert_numbered(self, table: Table, row: dict[str, Any]) -> int:
        """Add a row; answers the number that it was given."""
        number: int = (await self._execute(table.insert().values(row).returning(table.c.id))).scalar_one()
        return number

    async def _known(self, table: Table, key: dict[str, str]) -> int | None:
        """The number of the row of a key; None where there is none."""
        rows = await self._fetch(row_id(table, **key))
        return rows[0].id if rows else None

    async def _add_once(self, table: Table, key: dict[str, str], row: dict[str, Any]) -> int:
        """The number of a row that is added, or that another process has added in the meantime."""
        insert = self._insert(table).values(key | row).on_conflict_do_nothing().returning(table.c.id)
        added: int | None = (await self._execute(insert)).scalar()
        return added if added is not None else (await self._execute(row_id(table, **key))).scalar_one()

    async def _upsert(self, table: Table, row: dict[str, Any]) -> None:
        keys = {column.name for column in table.primary_key}
        values = {name: value for name, value in row.items() if name not in keys}
        await self._execute(
            self._insert(table).values(row).on_conflict_do_update(index_elements=list(keys), set_=values)
        )

    async def _remove(self, table: Table, **key: str) -> bool:
        return (await self._execute(delete(table).filter_by(**key))).rowcount > 0


def row_id(table: Table, **key: str) -> Select[Any]:
    """The query for the number of a row."""
    return select(table.c.id).filter_by(**key)


def given(wanted: dict[str, str | None]) -> dict[str, str]:
    """The conditions that are not None."""
    return {name: value for name, value in wanted.items() if value is not None}
