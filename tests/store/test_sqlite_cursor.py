"""Statements to a SQLite file: one message to the connection's thread each, with the answers that the driver gives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.store.engine import WRITES, new_engine, parse


@pytest.fixture
async def engine(sqlite: str) -> AsyncIterator[AsyncEngine]:
    """An engine as the store has it, with a table `t` of numbers and texts."""
    made = new_engine(parse(sqlite), 5.0).execution_options(**{WRITES: True})
    async with made.begin() as connection:
        await connection.execute(text("CREATE TABLE t (number INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
    yield made
    await made.dispose()


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Everything that a connection's thread is asked to do."""
    asked: list[object] = []
    execute = aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, function: object, *args: object, **options: object) -> object:
        asked.append(function)
        return await execute(self, function, *args, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    return asked


async def test_answers(engine: AsyncEngine) -> None:
    """Rows by name, the number of rows changed, the row added last, and many rows at once."""
    async with engine.begin() as connection:
        added = await connection.exec_driver_sql("INSERT INTO t (name) VALUES ('a')")
        assert (added.lastrowid, added.rowcount) == (1, 1)
        await connection.execute(text("INSERT INTO t (name) VALUES (:name)"), [{"name": "b"}, {"name": "c"}])
        changed = await connection.execute(text("UPDATE t SET number = number + 10 WHERE number > 1"))
        assert changed.rowcount == 2
        assert not changed.returns_rows
        found = await connection.execute(text("SELECT name, number FROM t ORDER BY number"))
        assert list(found.keys()) == ["name", "number"]
        assert [row.name for row in found] == ["a", "b", "c"]
        assert (await connection.execute(text("SELECT name FROM t WHERE number = 99"))).all() == []
        returned = await connection.execute(text("DELETE FROM t RETURNING number"))
        assert sorted(returned.scalars()) == [1, 12, 13]


async def test_errors(engine: AsyncEngine) -> None:
    """What the driver refuses is SQLAlchemy's error of its kind, and the transaction is undone."""
    twice = text("INSERT INTO t (name) VALUES ('a'), ('a')")
    async with engine.connect() as connection:
        await connection.execute(text("INSERT INTO t (name) VALUES ('a')"))
        with pytest.raises(IntegrityError):
            await connection.execute(twice)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
        with pytest.raises(OperationalError, match="no such table: absent"):
            await connection.execute(text("SELECT * FROM absent"))


async def test_one_message_each(engine: AsyncEngine, messages: list[object]) -> None:
    """A query that stands for itself is one message; a transaction is one for each statement, BEGIN and COMMIT."""
    async with engine.execution_options(**{WRITES: False}).connect() as connection:
        assert (await connection.execute(text("SELECT * FROM t"))).all() == []
    assert len(messages) == 1

    messages.clear()
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO t (name) VALUES ('a')"))
        await connection.execute(text("SELECT * FROM t"))
    assert len(messages) == 4

    messages.clear()
    async with engine.connect() as connection:  # left without COMMIT
        await connection.execute(text("INSERT INTO t (name) VALUES ('b')"))
    assert len(messages) == 3
