"""Copies one store into another, empty one: every table of the schema, from one snapshot, in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    URL,
    ColumnElement,
    Connection,
    Double,
    LargeBinary,
    Table,
    Text,
    cast,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import await_only, greenlet_spawn

from monitor.store import engine
from monitor.store.errors import StoreCorrupt, StoreError, StoreRefused, for_command
from monitor.store.migrate import check_version, create_tables, lock_schema, newest_version, schema_version
from monitor.store.numbering import last_number, number_after
from monitor.store.probing import LOCK_TIMEOUT, explained, postgresql_server, sqlite_file
from monitor.store.schema import LASTING, metadata
from monitor.text import storable

_BATCHES = ((-1, 256), (32 * 2**10, 16), (512 * 2**10, 1))
"""How many rows of more than so many bytes are held at a time: together 8 MiB, or one row."""
_ROW = msgspec.msgpack.Encoder()
_MODULUS = 2**128

COPIED, CHECKED = "copied", "checked"
"""What was done with rows: they were written to the target; they were read from it again."""
Progress = Callable[[str, str, int, int], None]
"""Is told which of these, the name of a table, with how many of its rows, and how many it has."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """What was copied of one table, and found equal in both stores.

    Attributes:
        name: Of the table.
        rows: How many.
        digest: Of all rows with all their values, whatever their order: 32 hexadecimal digits.
    """

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that was checked and committed.

    Attributes:
        source, target: Where the two stores are, for people.
        tables: All of them, in the order in which they were copied.
        written_meanwhile: Whether another program wrote to the source since the snapshot; the copy does not have that.
    """

    source: str
    target: str
    tables: tuple[CopiedTable, ...]
    written_meanwhile: bool


class _Digest:
    """A digest of rows in any order: the two back ends sort texts differently."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._doubles = [at for at, column in enumerate(table.columns) if isinstance(column.type, Double)]
        self._sum = 0
        self.rows = 0

    def add(self, row: Sequence[Any]) -> None:
        """Count one row in."""
        values = list(row)
        for at in self._doubles:
            if values[at] is not None:
                values[at] += 0.0  # SQLite keeps no sign of zero
        digest = hashlib.blake2b(_ROW.encode(values), digest_size=16).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % _MODULUS
        self.rows += 1

    def result(self) -> CopiedTable:
        """The digest of what was added."""
        return CopiedTable(self._table.name, self.rows, f"{self._sum:032x}")


async def copy(source: str, target: str, progress: Progress) -> Copy:
    """Copy every row of one store into another one that has none, and read all of it again.

    The source is read in one snapshot, so that a service may go on writing there. The target is written in one
    transaction, its tables included: whatever ends this half way leaves it as it was. Numbers of rows go on above those
    that the source has ever given.

    Args:
        source, target: URLs as the configuration has them; a SQLite file is created.
        progress: Called after each batch.

    Raises:
        StoreError: One of them cannot be used, or is not what it must be: why, and what to do. Nothing was copied.
    """
    try:
        return await _copy_all(engine.parse(source), engine.parse(target), progress)
    except StoreError as error:
        raise for_command(error) from error


async def _copy_all(source: URL, target: URL, progress: Progress) -> Copy:
    names = engine.describe(source), engine.describe(target)
    _refuse_same(source, target, names[1])
    async with _source(source, names[0]) as reading:
        await greenlet_spawn(_check_source, reading, names[0], _require_await=False)
        async with _target(target, names[1]) as writing:
            copier = _Copier(reading, writing, names, progress)
            tables = await greenlet_spawn(copier.run, _require_await=False)
            meanwhile = await greenlet_spawn(copier.source_changed, _require_await=False)
    return Copy(*names, tables, meanwhile)


def _refuse_same(source: URL, target: URL, where: str) -> None:
    paths = [Path(str(url.database)).resolve() for url in (source, target) if url.get_backend_name() == "sqlite"]
    if source == target or (len(paths) == 2 and paths[0] == paths[1]):
        raise StoreRefused(f"FROM and TO are the same store {where}; name an empty one as TO")


@asynccontextmanager
async def _source(url: URL, where: str) -> AsyncIterator[Connection]:
    """A connection that sees one snapshot until its transaction ends, and cannot write."""
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        if not path.exists():
            raise StoreRefused(f"store {where} does not exist; name the file that the service used")
        with explained(where), sqlite_file(path, "ro") as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
        return
    with explained(where):
        async with postgresql_server(url) as server:
            await server.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield _synchronous(server)


@asynccontextmanager
async def _target(url: URL, where: str) -> AsyncIterator[Connection]:
    """A connection with a transaction, committed if the block is left without an exception."""
    if url.get_backend_name() == "sqlite":
        with explained(where), engine.new_sqlite_engine(url, LOCK_TIMEOUT).begin() as connection:
            yield connection
        return
    with explained(where):
        async with postgresql_server(url) as server, server.begin():
            yield _synchronous(server)


def _synchronous(connection: AsyncConnection) -> Connection:
    assert connection.sync_connection is not None  # it was started
    return connection.sync_connection


def _check_source(connection: Connection, where: str) -> None:
    with explained(where):
        current, version = check_version(connection, where), schema_version(connection)
    if current:
        return
    if version is None:
        raise StoreRefused(f"store {where} has no tables of Impulse Monitor; name the store that the service used")
    raise StoreRefused(
        f"store {where} was written by an older release (schema {version}, while this one's is {newest_version()}); "
        "start the service of this release with it once, which brings it up to date, then copy it"
    )


class _Copier:
    """The work between two connections: it waits in a greenlet, as SQLAlchemy does for drivers that are asynchronous.

    Args:
        reading, writing: The connections.
        names: Where the two stores are, for people.
        progress: Called after each batch.
    """

    def __init__(self, reading: Connection, writing: Connection, names: tuple[str, str], progress: Progress) -> None:
        self._reading = reading
        self._writing = writing
        self._source, self._target = names
        self._progress = progress
        self._before: Sequence[Any] = ()

    def run(self) -> tuple[CopiedTable, ...]:
        """Copy all tables and read them again."""
        with explained(self._target):
            self._prepare_target()
        with explained(self._source):
            self._before = _marks(self._reading)
        copied = tuple(self._copy(table) for table in LASTING)
        with explained(self._target):
            for table, expected in zip(LASTING, copied, strict=True):
                self._verify(table, expected)
        return copied

    def source_changed(self) -> bool:
        """Whether another program wrote to the source since its snapshot, which ends here."""
        with explained(self._source):
            if _is_sqlite(self._reading):  # whose BEGIN was ours
                self._reading.exec_driver_sql("ROLLBACK")
            else:
                self._reading.rollback()
            return _marks(self._reading) != self._before

    def _prepare_target(self) -> None:
        """Make the tables, or lock those that are there and have no row."""
        connection, where = self._writing, self._target
        lock_schema(connection)
        current = check_version(connection, where)
        version = schema_version(connection)
        if version is None:
            if theirs := sorted(metadata.tables.keys() & set(inspect(connection).get_table_names())):
                raise StoreRefused(
                    f"store {where} has tables of another program ({', '.join(theirs)}); name an empty database as TO"
                )
            create_tables(connection, where)
            return
        if not current:
            raise StoreRefused(
                f"store {where} has the tables of an older release (schema {version}, while this one's is "
                f"{newest_version()}); name an empty store as TO"
            )
        if not _is_sqlite(connection):  # there the transaction has the file for itself
            tables = ", ".join(metadata.tables)
            connection.execute(text(f"LOCK TABLE {tables} IN EXCLUSIVE MODE"))
        filled = [table.name for table in LASTING if _has_rows(connection, table)]
        if filled:
            raise StoreRefused(
                f"store {where} is not empty (it has rows in {', '.join(sorted(filled))}); name an empty one as TO, "
                "or move this one away"
            )

    def _copy(self, table: Table) -> CopiedTable:
        digest = _Digest(table)
        with explained(self._source):
            total, batches = _batches(self._reading, table)
            number = last_number(self._reading, table)
        self._progress(COPIED, table.name, 0, total)
        while True:
            with explained(self._source):
                rows = next(batches, None)
            if rows is None:
                break
            for row in rows:
                digest.add(row)
            with explained(self._target):
                self._insert(table, rows)
            self._progress(COPIED, table.name, digest.rows, total)
            await_only(asyncio.sleep(0))  # Ctrl-C is heard here
        with explained(self._target):
            number_after(self._writing, table, number)
        return digest.result()

    def _insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        names = [column.name for column in table.columns]
        if _is_sqlite(self._writing):
            self._refuse_nan(table, rows)
        self._writing.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])

    def _refuse_nan(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """SQLite would take NULL for it."""
        for at, column in enumerate(table.columns):
            if isinstance(column.type, Double) and any(row[at] != row[at] for row in rows):
                raise StoreRefused(
                    f"store {self._source} has a row in {table.name} whose {column.name} is NaN, which SQLite cannot "
                    "hold; delete it there, or copy to PostgreSQL"
                )

    def _verify(self, table: Table, expected: CopiedTable) -> None:
        digest = _Digest(table)
        total, batches = _batches(self._writing, table)
        self._progress(CHECKED, table.name, 0, total)
        for rows in batches:
            for row in rows:
                digest.add(row)
            self._progress(CHECKED, table.name, digest.rows, total)
            await_only(asyncio.sleep(0))
        found = digest.result()
        if found != expected:
            raise StoreCorrupt(
                f"store {self._target} does not hold what was written to {table.name}: {found.rows:,} rows with digest "
                f"{found.digest}, not {expected.rows:,} with {expected.digest}; nothing was kept, please report this"
            )


def _batches(connection: Connection, table: Table) -> tuple[int, Iterator[Sequence[Sequence[Any]]]]:
    """How many rows a table has, and the rows a few at a time, by size: how many are held depends on how large they
    are.

    Texts are without what no database's text can hold, as the store writes them.
    """
    size = _bytes(connection, table)
    larger = [func.count().filter(size > above) for above, _ in _BATCHES]
    counts = [*connection.execute(select(*larger).select_from(table)).one(), 0]

    def rows() -> Iterator[Sequence[Sequence[Any]]]:
        for at, (above, held) in enumerate(_BATCHES):
            if counts[at] == counts[at + 1]:
                continue
            query = select(table).where(size > above).order_by(*table.primary_key)
            if at + 1 < len(_BATCHES):
                query = query.where(size <= _BATCHES[at + 1][0])
            for rows in connection.execute(query, execution_options={"yield_per": held}).partitions():
                yield [[_plain(value) for value in row] for row in rows]

    return counts[0], rows()


def _plain(value: object) -> object:
    return storable(value) if isinstance(value, str) else value


def _bytes(connection: Connection, table: Table) -> ColumnElement[int]:
    """How many bytes the texts and the blobs of a row have, as the database sees it."""
    length = func.length if _is_sqlite(connection) else func.octet_length
    wide: type[LargeBinary | Text] = LargeBinary if _is_sqlite(connection) else Text  # of a text it counts characters
    size: ColumnElement[int] = literal(0)
    for column in table.columns:
        if isinstance(column.type, LargeBinary):
            size = size + func.coalesce(length(column), 0)
        elif isinstance(column.type, Text | JSON):
            size = size + func.coalesce(length(cast(column, wide)), 0)
    return size


def _marks(connection: Connection) -> Sequence[Any]:
    """What changes in a store with everything that a service writes: the number of rows of each table, and the largest
    of its numbers and times.
    """
    found: list[Any] = []
    for table in LASTING:
        largest = [func.max(column) for column in table.columns if column.type.python_type in (int, float)]
        found += connection.execute(select(func.count(), *largest).select_from(table)).one()
    return found


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(literal(1)).select_from(table).limit(1)).first() is not None


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
