"""Stores with rows of all kinds in every table, and what a database holds, whatever the schema says."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import asyncpg
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store import Store
from monitor.store.engine import PLAIN, parse
from monitor.store.schema import LASTING

ROWS = 9
TEXTS = ("idle", "Überlauf", "", "a'b\"c;--", "蛇\u202e\ufffd", "\x01\x7f\\0", "😀" * 50, "\ud7ff\ue000")
DOUBLES = (0.1 + 0.2, float("inf"), -float("inf"), -0.0, 5e-324, 1.7976931348623157e308, 1_790_000_000.25)
BLOBS = (b"", b"\0\xff\0", bytes(range(256)) * 3000, b"text")
DOCUMENTS = ('{"a": "\\u0000\\ud800"}', "null", "[1e999, 0.1, -0]", '"' + "x" * 100_000 + '"')
LONG = "✓ all of it " * 100_000
"""More than a million characters."""


def _values(column: Column[Any], number: int) -> Any:
    kind = column.type
    if column.foreign_keys:
        return 100 + 7 * (number % ROWS)
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, BigInteger) or (column.primary_key and isinstance(kind, Integer)):
        return 100 + 7 * number
    if isinstance(kind, Integer):
        return (number * 12_345_678) % 2**31
    if isinstance(kind, Double):
        return DOUBLES[number % len(DOUBLES)] if not column.primary_key else 1_790_000_000.5 + number
    if isinstance(kind, LargeBinary):
        return BLOBS[number % len(BLOBS)]
    if isinstance(kind, JSON):
        return DOCUMENTS[number % len(DOCUMENTS)]
    assert isinstance(kind, Text), f"what is a value of {column}?"
    unique = (each for each in column.table.constraints if isinstance(each, UniqueConstraint))
    if column.primary_key or any(column.name in constraint.columns for constraint in unique):
        return f"{TEXTS[number % len(TEXTS)]} {number}"
    is_indexed = any(column.name in index.columns for index in column.table.indexes)  # which takes no long texts
    return LONG if number == 4 and not is_indexed else TEXTS[number % len(TEXTS)]


def _rows(table: Table) -> list[dict[str, Any]]:
    """Rows with other values in each, and each column that may be NULL is so in some."""
    unset = cycle(column.name for column in table.columns if column.nullable)
    rows = []
    for number in range(ROWS):
        row = {column.name: _values(column, number) for column in table.columns}
        if number % 2 and any(column.nullable for column in table.columns):
            row[next(unset)] = None
        rows.append(row)
    return rows


def _fill(connection: Connection) -> None:
    for table in LASTING:
        connection.execute(table.insert(), _rows(table))


async def fill(url: str) -> None:
    """Put rows into every table that is copied, in a store that is made for it."""
    async with Store(url):
        pass
    engine = create_async_engine(parse(url), **PLAIN)
    async with engine.begin() as connection:
        await connection.run_sync(_fill)
    await engine.dispose()


async def rows_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a database has, by table, as its own driver reads them; but of a fleet's queue,
    which is no part of a store.
    """
    if url.startswith("sqlite"):
        return _sqlite_rows(url.removeprefix("sqlite:///"))
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%pgqueuer%'"
        )
        found = {}
        for (name,) in tables:
            found[name] = sorted(map(_comparable, await connection.fetch(f'SELECT * FROM "{name}"')))
        return found
    finally:
        await connection.close()


def _sqlite_rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return {
            name: sorted(map(_comparable, connection.execute(f'SELECT * FROM "{name}"')))
            for (name,) in tables.fetchall()
        }
    finally:
        connection.close()


def _comparable(row: Any) -> tuple[Any, ...]:
    """Values that sort, whatever their types, and are the same from both back ends."""
    return tuple(_parts(row))


def _parts(row: Any) -> Iterator[str]:
    for value in tuple(row):
        if isinstance(value, bytes) and len(value) > 100:
            yield f"{len(value)} bytes {hashlib.sha256(value).hexdigest()}"
        elif isinstance(value, float):
            yield repr(value + 0.0)  # SQLite keeps no sign of zero
        else:
            yield repr(int(value) if isinstance(value, bool) else value)
