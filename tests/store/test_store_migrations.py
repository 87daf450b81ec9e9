"""The schema: made, kept up to date, and refused where it is newer."""

from __future__ import annotations

import asyncio
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store import Store, StoreTooNew
from monitor.store.engine import parse
from monitor.store.migrate import _SCRIPTS, newest_version, run_migrations
from monitor.store.schema import VERSION_TABLE, VERSIONS, metadata
from tests.store.store_sets import TARGET, add, run


async def test_migrations_lead_to_the_tables(url: str) -> None:
    """A database that the migrations made has the tables that the code declares, and is as one that was made from these
    at once: columns with their types and defaults, indexes, keys and their names.
    """

    def differences(connection: Connection) -> list[object]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), metadata)
        )

    engine = create_async_engine(parse(url))
    async with engine.begin() as connection:
        await connection.run_sync(run_migrations)
        different = await connection.run_sync(differences)
        migrated = await connection.run_sync(described)
        await connection.run_sync(lambda sync: reflected(sync).drop_all(sync))
    await engine.dispose()
    async with Store(url):
        pass
    async with engine.connect() as connection:
        made = await connection.run_sync(described)
    await engine.dispose()

    assert different == []
    assert set(made) == {*metadata.tables, VERSION_TABLE}
    assert made == migrated


def reflected(connection: Connection) -> MetaData:
    """All tables that a database has."""
    found = MetaData()
    found.reflect(connection)
    return found


def described(connection: Connection) -> dict[str, object]:
    """What a database says of its tables, the order of columns left out."""
    inspector = inspect(connection)

    def of(table: str) -> list[object]:
        columns = [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)]
        parts = (
            columns,
            inspector.get_indexes(table),
            inspector.get_unique_constraints(table),
            inspector.get_foreign_keys(table),
            inspector.get_check_constraints(table),
        )
        numbered = (
            connection.execute(text(f"SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = '{table}'"))
            if connection.dialect.name == "sqlite"
            else None
        )
        rows = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
        return [
            *(sorted(part, key=lambda found: str(found["name"])) for part in parts),
            inspector.get_pk_constraint(table),
            numbered and numbered.scalar_one(),
            rows,
        ]

    return {table: of(table) for table in inspector.get_table_names() if not table.startswith("sqlite_")}


def test_versions_are_those_of_the_migrations() -> None:
    """The versions that a start compares with are those that the migrations lead through, in their order."""
    scripts = ScriptDirectory(str(_SCRIPTS)).walk_revisions()

    assert VERSIONS == tuple(script.revision for script in scripts)[::-1]


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
    """Processes that start together on an empty database all open it, and none of them, nor one after them, loads what
    only a migration needs.
    """
    program = (
        f"import asyncio, sys; from monitor.store import Store; s = Store({url!r}); asyncio.run(s.open()); "
        "print('open', 'alembic' in sys.modules)"
    )

    async def opened() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

    processes = [await opened() for _ in range(3)]
    said = await asyncio.gather(*(process.communicate() for process in processes))

    assert {b""} == {errors for _, errors in said}
    assert {b"open False\n"} == {output for output, _ in [*said, await (await opened()).communicate()]}
