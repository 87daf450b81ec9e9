"""One store copied into another: all of it, from one moment, or nothing."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from monitor.store import Message, State, Store, StoreError, StoreRefused, StoreTooNew, StoreUnavailable, copying
from monitor.store.copying import CHECKED, COPIED, copy
from monitor.store.migrate import newest_version
from monitor.store.schema import LASTING, VERSION_TABLE, metadata
from tests.store.postgres_server import Server
from tests.store.releases import sqlite_store
from tests.store.store_rows import ROWS, fill, rows_of
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, result_set, run

OTHER = "copied"
EXECUTABLE = (sys.executable, "-m", "monitor", "store", "copy")


def quiet(_step: str, _table: str, _done: int, _total: int) -> None:
    """Tells nobody."""


@pytest.fixture
def sqlite_copy(tmp_path: Path) -> str:
    """The URL of another file that does not exist yet."""
    return f"sqlite:///{tmp_path}/a copy.db"


@pytest.fixture
async def postgresql_copy(server: Server) -> str:
    """The URL of another empty database."""
    await server.execute(f"DROP DATABASE IF EXISTS {OTHER}")
    await server.execute(f"CREATE DATABASE {OTHER}")
    return server.url(OTHER)


@pytest.fixture(params=["sqlite_copy", pytest.param("postgresql_copy", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest) -> str:
    """The URL of where to copy to, of both back ends."""
    url: str = request.getfixturevalue(request.param)
    return url


async def execute(url: str, *statements: str) -> None:
    """Run statements as another program would, each for itself."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()
        return
    server = await asyncpg.connect(url)
    for statement in statements:
        await server.execute(statement)
    await server.close()


def beside(url: str, *statements: str) -> None:
    """The same, from within a callback."""
    thread = threading.Thread(target=lambda: asyncio.run(execute(url, *statements)))
    thread.start()
    thread.join()


async def test_every_row_of_every_table(url: str, target: str) -> None:
    """Every row of every table that the databases have is the same in the copy, and counted; also there and back."""
    await fill(url)
    copied = await copy(url, target, quiet)

    before, after = await rows_of(url), await rows_of(target)
    assert before == after
    assert {*metadata.tables, VERSION_TABLE} == after.keys()
    assert {table.name: table.rows for table in copied.tables} == dict.fromkeys((each.name for each in LASTING), ROWS)
    assert not copied.written_meanwhile
    assert len({table.digest for table in copied.tables}) == len(copied.tables)


async def test_copied_back(sqlite: str, postgresql: str, sqlite_copy: str) -> None:
    """A store that went to PostgreSQL and back is the one that it was, by the digests as by the rows."""
    await fill(sqlite)
    there = await copy(sqlite, postgresql, quiet)
    back = await copy(postgresql, sqlite_copy, quiet)

    assert there.tables == back.tables
    assert await rows_of(sqlite) == await rows_of(sqlite_copy)


async def test_behind_a_pooler(sqlite: str, database: str, pooler: str, sqlite_copy: str) -> None:
    """Into and out of a database behind PgBouncer, whose connections are others in each transaction."""
    await fill(sqlite)
    url = f"postgresql://postgres@/{database}?host={pooler}&prepared_statements=off"
    await copy(sqlite, url, quiet)
    await copy(url, sqlite_copy, quiet)

    assert await rows_of(sqlite) == await rows_of(sqlite_copy)


async def test_goes_on(url: str, target: str) -> None:
    """The copy answers as the store does, and gives numbers above all that were ever given."""
    results = result_set(seed=3)
    async with Store(url) as store:
        await add(store, replace(run(1), evaluation=EVALUATION, comparison=COMPARISON), results)
        async with store.transaction() as tx:
            await tx.enqueue(Message("chat", "a", 1.0, b"\0"))
        (message,) = await store.messages("chat")
        deleted = await add(store, run(2))
        runs = await store.runs(TARGET)
    await execute(url, f"DELETE FROM run WHERE id = {deleted}", "DELETE FROM message")
    await copy(url, target, quiet)

    async with Store(target) as store:
        assert [each for each in runs if each.id != deleted] == await store.runs(TARGET)
        copied = await store.results(min(each.id for each in runs if each.id is not None))
        assert copied is not None
        assert results.fingerprint() == copied.fingerprint()
        assert await add(store, run(3)) > deleted
        async with store.transaction() as tx:
            await tx.enqueue(Message("chat", "b", 1.0, b""))
        (next_message,) = await store.messages("chat")
        assert message.id is not None
        assert next_message.id is not None
        assert next_message.id > message.id


async def test_into_a_store_that_was_opened(sqlite: str, target: str) -> None:
    """A store that has tables and no row, as a service leaves that was started once and watches nothing, is filled."""
    await fill(sqlite)
    async with Store(target):
        pass
    await copy(sqlite, target, quiet)

    assert await rows_of(sqlite) == await rows_of(target)


async def test_not_into_one_that_is_not_empty(sqlite: str, target: str) -> None:
    """A store with a single row is refused by the table's name, and stays as it is."""
    await fill(sqlite)
    async with Store(target) as store, store.transaction() as tx:
        await tx.enqueue(Message("chat", "a", 1.0, b""))
    before = await rows_of(target)

    with pytest.raises(StoreRefused, match=r"is not empty \(it has rows in message\); name an empty one as TO"):
        await copy(sqlite, target, quiet)
    assert before == await rows_of(target)


async def test_not_beside_tables_of_another_program(sqlite: str, target: str) -> None:
    """A database where another program has a table of a name of ours is refused, and stays as it is."""
    await fill(sqlite)
    await execute(target, "CREATE TABLE run (a integer)")

    with pytest.raises(StoreRefused, match=r"has tables of another program \(run\)"):
        await copy(sqlite, target, quiet)
    assert {"run": []} == await rows_of(target)


async def test_not_of_another_version(sqlite: str, target: str, tmp_path: Path) -> None:
    """A store of an older release is refused as either, one of a newer release too; nothing is migrated."""
    old = sqlite_store(1, tmp_path)
    before = await rows_of(old)

    with pytest.raises(StoreRefused, match=f"schema 0001, while this one's is {newest_version()}.*start the service"):
        await copy(old, target, quiet)
    await fill(sqlite)
    with pytest.raises(StoreRefused, match="has the tables of an older release"):
        await copy(sqlite, old, quiet)
    assert before == await rows_of(old)
    await execute(sqlite, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="newer version"):
        await copy(sqlite, target, quiet)


async def test_not_of_nothing(sqlite: str, target: str, tmp_path: Path) -> None:
    """A file that does not exist, a database without our tables, and the target itself are refused; none is made."""
    with pytest.raises(StoreRefused, match="does not exist; name the file"):
        await copy(sqlite, target, quiet)
    await execute(sqlite, "CREATE TABLE mine (a)")
    with pytest.raises(StoreRefused, match="has no tables of Impulse Monitor"):
        await copy(sqlite, target, quiet)
    with pytest.raises(StoreRefused, match="FROM and TO are the same store"):
        await copy(sqlite, sqlite.replace(f"{tmp_path}/", f"{tmp_path}/../{tmp_path.name}/"), quiet)
    assert {} == await rows_of(target)


async def test_one_moment(url: str, target: str) -> None:
    """What another program writes while it is copied, to tables already copied and to others, is not in the copy, and
    is told.
    """
    await fill(url)
    before = await rows_of(url)
    written: list[str] = []

    def progress(step: str, table: str, done: int, _total: int) -> None:
        if (step, table) == (COPIED, "figures") and done and not written:
            beside(
                url, "DELETE FROM notification", "DELETE FROM message", "UPDATE run SET last_seen = 7, error = 'new'"
            )
            written.append(table)

    copied = await copy(url, target, progress)

    assert before == await rows_of(target)
    assert ["figures"] == written
    assert copied.written_meanwhile


async def test_values_that_changed_on_the_way(sqlite: str, target: str) -> None:
    """Where the target keeps another value than it was given, the copy is refused by the table's name, and nothing is
    kept.
    """
    await fill(sqlite)
    async with Store(target):
        pass
    if target.startswith("sqlite"):
        trigger = ["CREATE TRIGGER t AFTER INSERT ON baseline BEGIN UPDATE baseline SET since = since + 1; END"]
    else:
        body = "BEGIN NEW.since := NEW.since + 1; RETURN NEW; END"
        trigger = [
            f"CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
            "CREATE TRIGGER t BEFORE INSERT ON baseline FOR EACH ROW EXECUTE FUNCTION t()",
        ]
    await execute(target, *trigger)

    with pytest.raises(StoreError, match=r"does not hold what was written to baseline: 9 rows with digest"):
        await copy(sqlite, target, quiet)
    assert set(metadata.tables) == {name for name, rows in (await rows_of(target)).items() if not rows}


async def test_what_a_back_end_cannot_hold(postgresql: str, sqlite: str, target: str) -> None:
    """NaN is kept in PostgreSQL and refused for SQLite, by column; NUL leaves a text, as when the store writes it."""
    await fill(postgresql)
    await execute(postgresql, "UPDATE run SET trained = 'NaN' WHERE id = 100")
    if target.startswith("sqlite"):
        with pytest.raises(StoreRefused, match="a row in run whose trained is NaN, which SQLite cannot hold"):
            await copy(postgresql, target, quiet)
        assert {} == await rows_of(target)
    else:
        await copy(postgresql, target, quiet)
        assert await rows_of(postgresql) == await rows_of(target)
        await fill(sqlite)
        await execute(sqlite, "UPDATE run SET error = 'a' || char(0) || 'b'")
        await execute(postgresql, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        await copy(sqlite, postgresql, quiet)
        assert all("'ab'" in row for row in (await rows_of(postgresql))["run"])


async def test_locked(sqlite: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target in which another program is writing is given up in a sentence, and nothing is copied."""
    monkeypatch.setattr(copying, "LOCK_TIMEOUT", 0.2)
    monkeypatch.setattr("monitor.store.probing.LOCK_TIMEOUT", 0.2)
    await fill(sqlite)
    async with Store(target) as store, store.transaction() as tx:
        await tx.put_state(State("kind", "target", "key", b""))
        with pytest.raises(StoreUnavailable, match=r"is locked by another.*, then try again"):
            await copy(sqlite, target, quiet)
        await tx.delete_state("kind", "target", "key")

    assert all(not rows for name, rows in (await rows_of(target)).items() if name in metadata.tables)


async def test_memory_is_bounded(sqlite: str, sqlite_copy: str) -> None:
    """Copying a store of 120 MB, with rows of all sizes, holds some of it at a time."""
    async with Store(sqlite):
        pass
    blob = 2 * 2**20
    insert = "INSERT INTO state (kind, target_id, key, value) SELECT 'k', 't', {}, zeroblob({}) FROM n"
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {}) "
    await execute(
        sqlite,
        numbers.format(40) + insert.format("'large' || n", blob),
        numbers.format(100) + insert.format("'mean' || n", 300_000),
        numbers.format(2_000) + insert.format("'small' || n", 5_000),
    )
    tracemalloc.start()
    try:
        copied = await copy(sqlite, sqlite_copy, quiet)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert 2_140 == sum(table.rows for table in copied.tables)
    assert peak < 30 * 2**20
    assert await rows_of(sqlite) == await rows_of(sqlite_copy)


async def test_killed_half_way(sqlite: str, target: str) -> None:
    """A copy that is killed leaves nothing; the next one is whole."""
    await fill(sqlite)
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) "
    insert = "INSERT INTO state (kind, target_id, key, value) SELECT 'k', 't', n, randomblob(30000) FROM n"
    await execute(sqlite, numbers + insert)
    with subprocess.Popen([*EXECUTABLE, sqlite, target], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("copied ")
        process.kill()
    assert -signal.SIGKILL == process.returncode

    assert {} == await rows_of(target)
    await copy(sqlite, target, quiet)
    assert await rows_of(sqlite) == await rows_of(target)


async def test_progress(sqlite: str, sqlite_copy: str) -> None:
    """Each table is told from none of its rows to all of them, when copied and when checked."""
    await fill(sqlite)
    told: dict[tuple[str, str], list[int]] = {}

    def progress(step: str, table: str, done: int, total: int) -> None:
        assert total == ROWS
        told.setdefault((step, table), []).append(done)

    await copy(sqlite, sqlite_copy, progress)

    assert told.keys() == {(step, table) for step in (COPIED, CHECKED) for table in (each.name for each in LASTING)}
    for steps in told.values():
        assert (0, ROWS) == (steps[0], steps[-1])
        assert all(before < after for before, after in pairwise(steps))
