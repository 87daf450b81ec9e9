"""The schema: made, kept up to date, and refused where it is newer."""

from __future__ import annotations

import asyncio
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store import Store, StoreTooNew
from monitor.store.engine import parse
from monitor.store.migrate import newest_version
from monitor.store.schema import VERSION_TABLE, metadata
from tests.store.store_sets import TARGET, add, run


async def test_migrations_lead_to_the_tables(url: str, store: Store) -> None:
    """A database that the migrations made has the tables that the code declares, indexes and keys included."""

    def differences(connection: Connection) -> list[object]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), metadata)
        )

    engine = create_async_engine(parse(url))
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()

    assert found == []


async def test_names(url: str, store: Store) -> None:
    """Constraints have the names of the convention, so that later migrations can name them on both back ends."""
    engine = create_async_engine(parse(url))
    async with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            query = "SELECT sql FROM sqlite_master WHERE name = 'run'"
        else:
            query = "SELECT string_agg(conname, ' ') FROM pg_constraint WHERE conrelid = 'run'::regclass"
        names = (await connection.execute(text(query))).scalar_one()
    await engine.dispose()

    for name in ("fk_run_result_set_id_result_set", "fk_run_figures_id_figures"):
        assert name in names


async def test_newer_schema(url: str) -> None:
    """A store of a newer version is not touched, and the error says which version to run."""
    async with Store(url) as store:
        await add(store, run())
    engine = create_async_engine(parse(url))
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    store = Store(url)
    with pytest.raises(
        StoreTooNew,
        match=r"written by a newer version of Impulse Monitor \(schema 9999, "
        rf".* {newest_version()}\); run that version or a newer one",
    ):
        await store.open()
    assert not store.healthy
    await store.close()

    async with engine.begin() as connection:  # as if the newer version had been taken back
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{newest_version()}'"))
    await engine.dispose()
    async with Store(url) as store:
        assert len(await store.runs(TARGET)) == 1


async def test_several_processes_at_once(url: str) -> None:
    """Processes that start together on an empty database all open it."""
    program = (
        f"import asyncio; from monitor.store import Store; s = Store({url!r}); asyncio.run(s.open()); print('open')"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = await asyncio.gather(*(process.communicate() for process in processes))

    assert [(b"open\n", b"")] * 3 == said
