"""Brings the schema up to date when the store opens."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, insert, inspect, select, text

from monitor.store.engine import new_engine, new_sqlite_engine
from monitor.store.errors import StoreTooNew
from monitor.store.schema import VERSION_TABLE, VERSIONS, metadata, version

_SCRIPTS = Path(__file__).parent / "migrations"
MIGRATION_LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that migrates: longer than for anything that happens later."""

_ADVISORY_LOCK = 0x696D7075_6C736501  # "impulse", 1
_one_at_a_time = threading.Lock()  # Alembic's `op` and `context` are global


def migrate(url: URL, where: str) -> bool:
    """Make the tables of a database that has none, or apply what is missing of the migrations, in one transaction.
    Blocks: call it in a worker thread.

    Several processes may do so at once: the first works, the others wait for it.

    Returns:
        Whether the database was empty.

    Raises:
        StoreTooNew: The schema is newer than this version.
        Exception: Whatever the driver raises.
    """
    with _one_at_a_time:
        if url.get_backend_name() == "sqlite":
            return _migrate_sqlite(url, where)
        return asyncio.run(_migrate_postgresql(url, where))


def lock_schema(connection: Connection) -> None:
    """Wait until no other process migrates the database; none does until the transaction ends. SQLite's transactions
    that write have the file for themselves anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))


def create_tables(connection: Connection, where: str) -> None:
    """Make all tables in a database that has none, in the transaction of a connection after `lock_schema`."""
    with _one_at_a_time:
        _upgrade(connection, where)


def _migrate_sqlite(url: URL, where: str) -> bool:
    with new_sqlite_engine(url, MIGRATION_LOCK_TIMEOUT).begin() as connection:
        return _upgrade(connection, where)


async def _migrate_postgresql(url: URL, where: str) -> bool:
    engine = new_engine(url, lock_timeout=MIGRATION_LOCK_TIMEOUT, pool=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lock_schema)
            return await connection.run_sync(_upgrade, where)
    finally:
        await engine.dispose()


def check_version(connection: Connection, where: str) -> bool:
    """Whether the schema is this version's; False where it is older, or not there yet.

    Raises:
        StoreTooNew: The schema is newer than this version.
    """
    found = schema_version(connection)
    if found is not None and found not in VERSIONS:
        raise StoreTooNew(
            f"store {where} was written by a newer version of Impulse Monitor (schema {found}, while this "
            f"version's is {newest_version()}); run that version or a newer one, or restore a copy from before the "
            "upgrade"
        )
    return found == newest_version()


def newest_version() -> str:
    """The version of the schema that the migrations of this release lead to."""
    return VERSIONS[-1]


def schema_version(connection: Connection) -> str | None:
    """The version of the schema that a database has; None where it has none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(select(version.c.version_num)).scalar_one_or_none()
    return found


def _upgrade(connection: Connection, where: str) -> bool:
    """Bring the schema up to date; answers whether there was none."""
    is_new = schema_version(connection) is None
    if is_new:  # without Alembic, which takes nine megabytes for as long as the process lives
        metadata.create_all(connection, checkfirst=False)
        version.metadata.create_all(connection)
        connection.execute(insert(version).values(version_num=newest_version()))
    elif not check_version(connection, where):
        run_migrations(connection)
    return is_new


def run_migrations(connection: Connection) -> None:
    """Run what is missing of the migrations, in the transaction of a connection."""
    from alembic import command  # only where there is something to migrate
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
