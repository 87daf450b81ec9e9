"""A SQLite file that is deleted, moved away, replaced or damaged under a store that is open, and what the errors advise
then.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from monitor.store import Store, StoreCorrupt, StoreError, StoreUnavailable
from monitor.store import store as module
from tests.store.store_sets import TARGET, add, result_set, run
from tests.waiting import until


@pytest.fixture
def path(sqlite: str) -> Path:
    """The file that `sqlite` names."""
    return Path(sqlite.removeprefix("sqlite:///"))


def runs_in(path: Path) -> int:
    """How many runs a file holds that is sound, as another program finds it."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT count(*) FROM run").fetchone()[0])


async def test_deleted(sqlite: str, path: Path) -> None:
    """A deleted file is noticed, nothing more is acknowledged, and an empty store is begun by opening again."""
    async with Store(sqlite) as store:
        await add(store, run(1))
        assert store.began
        path.unlink()
        with pytest.raises(
            StoreUnavailable, match=r"100%25.db is no longer there: it was deleted or moved away while the service ran"
        ):
            await add(store, run(2))
        assert not await store.check()
        assert (store.opened, store.healthy) == (False, False)
        with pytest.raises(StoreUnavailable, match="is no longer there"):
            await store.runs(TARGET)

        await store.open()
        assert (store.opened, store.healthy, store.began) == (True, True, True)
        assert await store.runs(TARGET) == []
        await add(store, run(3))
        assert await store.check()

    assert runs_in(path) == 1


async def test_look_notices(sqlite: str, path: Path) -> None:
    """A look at an idle store notices that its file has gone, and goes on failing until it is opened again."""
    async with Store(sqlite) as store:
        assert await store.check()
        path.unlink()
        assert not await store.check()
        assert not await store.check()
        assert "is no longer there" in str(store.problem)


async def test_replaced(sqlite: str, path: Path, tmp_path: Path) -> None:
    """A copy that takes the file's place is used from the next opening on, and the log of the file before damages
    neither.
    """
    copy, before = tmp_path / "copy.db", tmp_path / "before.db"
    async with Store(sqlite) as store:
        for number in range(3):
            await add(store, run(number), result_set(seed=number))
        with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(copy)) as other:
            connection.backup(other)
        for number in range(3, 10):
            await add(store, run(number), result_set(seed=number))
        await asyncio.gather(*(store.runs(TARGET) for _ in range(5)))
        os.link(path, before)
        os.replace(copy, path)
        assert path.with_name(path.name + "-wal").stat().st_size > 0
        with pytest.raises(
            StoreUnavailable, match="was replaced while the service ran; it is opened again in some seconds"
        ):
            await add(store, run(99))
        assert not await store.check()

        await store.open()
        assert (store.healthy, store.began) == (True, False)
        assert [each.finished for each in await store.runs(TARGET)] == [0.0, 1.0, 2.0]
        await add(store, run(100), result_set(seed=100))

    assert runs_in(path) == 4
    assert runs_in(before) == 10


async def test_no_connection_to_another_file(sqlite: str, path: Path, tmp_path: Path) -> None:
    """Before a look has noticed it, no connection is made to the file that took the place: the two
    would share a log.
    """
    async with Store(f"sqlite:///{tmp_path}/other.db") as store:
        await add(store, run(1))
    async with Store(sqlite) as store:
        os.replace(tmp_path / "other.db", path)
        found = await asyncio.gather(*(store.runs(TARGET) for _ in range(10)), return_exceptions=True)

    assert {True} == {each == [] or isinstance(each, StoreUnavailable) for each in found}
    assert any(isinstance(each, StoreUnavailable) for each in found)


async def test_replaced_while_it_is_read(sqlite: str, path: Path, tmp_path: Path) -> None:
    """Tasks that read and write while the file is replaced get answers or errors; every run acknowledged later is in
    the new file.
    """
    copy = tmp_path / "copy.db"
    before: list[float] = []
    later: list[float] = []
    opened = asyncio.Event()

    async def write() -> None:
        number = 10.0
        while len(later) < 20:
            number += 1
            written = later if opened.is_set() else before
            with suppress(StoreError):
                await add(store, run(number), result_set(seed=int(number)))
                written.append(number)
            await asyncio.sleep(0.002)

    async def read() -> None:
        while not opened.is_set():
            with suppress(StoreError):
                await store.runs(TARGET)
            await asyncio.sleep(0.002)

    async with Store(sqlite) as store:
        await add(store, run(1))
        shutil.copy(path, copy)
        async with Store(f"sqlite:///{copy}"):
            pass
        working = asyncio.gather(write(), *(read() for _ in range(8)))
        await until(lambda: len(before) >= 5)
        os.replace(copy, path)
        while await store.check():
            await asyncio.sleep(0)
        await store.open()
        opened.set()
        await working
        in_it = {found.finished for found in await store.runs(TARGET)}

    assert len(in_it) == runs_in(path)
    assert set(later) <= in_it
    assert before[0] not in in_it


async def test_another_program_reads_what_was_moved(sqlite: str, path: Path, tmp_path: Path) -> None:
    """While another program still reads the file that was moved away its log cannot be finished: the store says so, and
    waits.
    """
    async with Store(sqlite) as store:
        await add(store, run(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM run").fetchall()
            await add(store, run(2))
            os.rename(path, tmp_path / "away.db")
            with pytest.raises(StoreUnavailable, match="moved away while another program reads it; end that program"):
                await store.open()
            assert not store.opened
            other.execute("COMMIT")
        await store.open()
        assert await store.runs(TARGET) == []

    assert runs_in(tmp_path / "away.db") == 2


def damage(path: Path) -> None:
    """Overwrite the second half of a file, whose first one has the tables' first pages."""
    half = path.stat().st_size // 8192 * 4096
    with path.open("r+b") as file:
        file.seek(half)
        file.write(b"\xa5" * half)


async def fill(url: str) -> None:
    """Make a store of some pages."""
    async with Store(url) as store:
        for number in range(50):
            await add(store, run(number), result_set(seed=number))


async def meets_damage(store: Store) -> None:
    """Ask for what the damaged pages held."""
    with pytest.raises(
        StoreCorrupt, match=r"is damaged; move the file away to go on with an empty store, or stop the service"
    ):
        await store.runs(TARGET)


async def test_damage_stays_a_problem(sqlite: str, path: Path) -> None:
    """A damaged file stays a problem, although something small can still be written into it."""
    await fill(sqlite)
    damage(path)
    async with Store(sqlite) as store:
        await meets_damage(store)
        for _ in range(3):
            assert not await store.check()
        assert isinstance(store.problem, StoreCorrupt)


async def test_damaged_file_moved_away(sqlite: str, path: Path, tmp_path: Path) -> None:
    """The advice to move a damaged file away works while the service runs."""
    await fill(sqlite)
    damage(path)
    async with Store(sqlite) as store:
        await meets_damage(store)
        os.rename(path, tmp_path / "damaged.db")
        assert not await store.check()
        await store.open()
        assert (store.problem, store.began) == (None, True)
        await add(store, run(1))

    assert runs_in(path) == 1


async def test_damage_that_was_mended(sqlite: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is found whole again, as after a disk's passing fault, is used again."""
    monkeypatch.setattr(module, "EXAMINE", 0.0)
    await fill(sqlite)
    content = path.read_bytes()
    damage(path)
    async with Store(sqlite) as store:
        await meets_damage(store)
        with path.open("r+b") as file:
            file.write(content)
        await until(store.check)  # the next examination comes no sooner than ten times what one takes
        assert store.healthy
        assert len(await store.runs(TARGET)) == 50


async def test_file_that_is_no_database_moved_away(sqlite: str, path: Path, tmp_path: Path) -> None:
    """A store that did not open because of the file that lies there opens once that is moved away."""
    path.write_bytes(b"this is no database " * 200)
    store = Store(sqlite)
    with pytest.raises(
        StoreCorrupt, match="is not a SQLite database, or is damaged; move the file away to go on with an empty store"
    ):
        await store.open()
    os.rename(path, tmp_path / "other")

    await store.open()
    assert store.healthy
    await store.close()


async def test_folder_deleted(tmp_path: Path) -> None:
    """A store whose whole folder was deleted is opened once the folder is there again."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with Store(f"sqlite:///{folder}/x.db") as store:
        await add(store, run(1))
        shutil.rmtree(folder)
        assert not await store.check()
        with pytest.raises(StoreUnavailable, match="cannot be opened or created; check that its folder exists"):
            await store.open()
        folder.mkdir()
        await store.open()
        assert store.healthy
