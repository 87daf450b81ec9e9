"""How often a connection to SQLite goes to its thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from monitor.store.engine import WRITES, new_engine, parse


def test_one_visit_for_each_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement, its rows included, is one visit to the thread; what gives no rows says how many it changed, and
    what fails is undone.
    """
    visits = 0
    visit = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, function: Callable[..., Any], *args: Any) -> Any:
        nonlocal visits
        visits += 1
        return await visit(connection, function, *args)

    async def main() -> None:
        nonlocal visits
        engine = new_engine(parse(f"sqlite:///{tmp_path}/a.db"), 1.0)
        writer = engine.execution_options(**{WRITES: True})
        async with writer.begin() as connection:
            await connection.execute(text("CREATE TABLE t (a INTEGER PRIMARY KEY)"))
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        async with writer.begin() as connection:
            changed = await connection.execute(text("INSERT INTO t VALUES (:a)"), [{"a": 1}, {"a": 2}])
            added = await connection.execute(text("INSERT INTO t VALUES (3) RETURNING a"))
        assert (changed.rowcount, added.scalar_one(), visits) == (2, 3, 4)  # BEGIN and COMMIT

        visits = 0
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT a FROM t"))).scalars().all() == [1, 2, 3]
        assert visits == 1

        async def fail() -> None:
            async with writer.begin() as connection:
                await connection.execute(text("DELETE FROM t"))
                await connection.execute(text("DELETE FROM other"))

        with pytest.raises(OperationalError, match="no such table"):
            await fail()
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 3
        await engine.dispose()

    asyncio.run(main())
