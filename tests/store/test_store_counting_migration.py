"""The migration that counts equal runs: loses nothing, whoever interrupts it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from monitor.store import Store, migrate
from monitor.store.engine import parse
from monitor.store.schema import VERSION_TABLE
from tests.store.releases import RELEASES, restore_postgresql, sqlite_store

CONTENT = (
    *("state", "selection", "fingerprint", "last_change", "trained", "impulse_stale", "error"),
    *("result_set_id", "figures_id"),
)
KEPT = {
    "result_set": "id",
    "figures": "id",
    "baseline": "target_id, mode",
    "state": "kind, target_id, key",
    "message": "id",
}
"""Tables that the migration leaves as they are, and how to order them."""
Rows = list[dict[str, Any]]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> int:
    """Which release wrote the store."""
    number: int = request.param
    return number


@pytest.fixture
def released_sqlite(release: int, tmp_path: Path) -> str:
    """Its SQLite store."""
    return sqlite_store(release, tmp_path)


@pytest.fixture
async def released_postgresql(release: int, postgresql: str) -> str:
    """Its PostgreSQL store."""
    await restore_postgresql(release, postgresql)
    return postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def released(request: pytest.FixtureRequest, release: int) -> str:
    """The URL of a store that a release wrote, of both back ends."""
    url: str = request.getfixturevalue(f"released_{request.param}")
    return url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection of another program, without the store's code."""
    engine = create_async_engine(parse(url))
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def dumped(url: str) -> dict[str, Rows]:
    """All rows of all tables, in the order of their keys."""
    found = {}
    async with connected(url) as connection:
        for table, order in {"run": "id", VERSION_TABLE: "version_num", **KEPT}.items():
            rows = await connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}"))
            found[table] = [dict(row) for row in rows.mappings()]
    return found


def assert_nothing_lost(before: dict[str, Rows], after: dict[str, Rows]) -> None:
    """Each run of before is one of after or counted by it, and nothing else has changed."""
    for table in KEPT:
        assert before[table] == [
            {name: row[name] for name in old} for old, row in zip(before[table], after[table], strict=True)
        ]
    assert len(before["run"]) == sum(row["times"] for row in after["run"]) > len(after["run"])
    counts = dict.fromkeys((row["id"] for row in after["run"]), 0)
    for row in before["run"]:
        same_target = [each for each in after["run"] if each["target_id"] == row["target_id"]]
        has_it = [each for each in same_target if each["id"] <= row["id"]][-1]
        counts[has_it["id"]] += 1
        assert {name: row[name] for name in CONTENT} == {name: has_it[name] for name in CONTENT}
        assert has_it["finished"] <= row["finished"] <= has_it["last_seen"]
        if has_it["id"] == row["id"]:
            assert row == {name: has_it[name] for name in row}
        else:
            assert not row["changed"]
    assert counts == {row["id"]: row["times"] for row in after["run"]}
    ends = {row["finished"] for row in before["run"]}
    assert {row["last_seen"] for row in after["run"]} <= ends
    for table in ("baseline", "state"):
        assert {row["run_id"] for row in after[table]} - {None} <= counts.keys()


async def test_loses_nothing(released: str) -> None:
    """Every run of a released store is there or counted, everything else is as it was."""
    before = await dumped(released)
    async with Store(released):
        pass

    after = await dumped(released)
    assert [{"version_num": migrate.newest_version()}] == after[VERSION_TABLE]
    assert_nothing_lost(before, after)


async def test_no_row_could_count_the_next(released: str) -> None:
    """What is left are runs that say something new, or that something refers to."""
    async with Store(released):
        pass
    after = await dumped(released)
    referred = {row["run_id"] for table in ("baseline", "state") for row in after[table]}
    last: dict[str, dict[str, Any]] = {}
    for row in after["run"]:
        before = last.get(row["target_id"])
        same = before is not None and [row[name] for name in CONTENT] == [before[name] for name in CONTENT]
        assert not same or row["changed"] or row["id"] in referred
        last[row["target_id"]] = row


async def test_what_is_referred_to_stays(released: str) -> None:
    """A run in the middle that a baseline or a state is about keeps its number and its times, and counts what
    follows.
    """
    runs = [row for row in (await dumped(released))["run"] if row["target_id"].startswith("101-")]
    baseline, state = runs[1], runs[5]
    async with connected(released) as connection:
        await connection.execute(text(f"UPDATE baseline SET run_id = {baseline['id']} WHERE target_id LIKE '101-%'"))
        await connection.execute(
            text(
                "INSERT INTO state (kind, target_id, key, value, run_id) "
                f"VALUES ('x', '{state['target_id']}', '1', '', {state['id']})"
            )
        )
    before = await dumped(released)
    async with Store(released):
        pass

    after = await dumped(released)
    assert_nothing_lost(before, after)
    found = {row["id"]: (row["started"], row["finished"]) for row in after["run"]}
    for row in (baseline, state):
        assert (row["started"], row["finished"]) == found[row["id"]]


async def test_a_clock_that_was_set_back(released: str) -> None:
    """A run that ended before the one it equals is not counted by it: times would run backwards."""
    (first, second, *_) = [row for row in (await dumped(released))["run"] if row["target_id"].startswith("101-")]
    async with connected(released) as connection:
        await connection.execute(text(f"UPDATE run SET finished = {first['finished'] - 100} WHERE id = {second['id']}"))
    before = await dumped(released)
    async with Store(released):
        pass

    after = await dumped(released)
    assert_nothing_lost(before, after)
    assert second["id"] in {row["id"] for row in after["run"]}


_OPEN = "import asyncio, sys; from monitor.store import Store; asyncio.run(Store(sys.argv[1]).open()); print('open')"
_KILLED = f"""
import os, signal
from alembic import op

def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)  # what was written is not committed

op.create_index = killed
{_OPEN}
"""


async def started(program: str, url: str) -> asyncio.subprocess.Process:
    """A process that runs a program on a store."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, url, stdout=pipe, stderr=pipe)


async def test_killed_half_way(released: str) -> None:
    """A process that is killed after it has merged the runs leaves the store as it was; the next one migrates it."""
    before = await dumped(released)
    process = await started(_KILLED, released)
    assert (b"", b"") == await process.communicate()
    assert -signal.SIGKILL == process.returncode
    assert before == await dumped(released)

    async with Store(released):
        pass
    assert_nothing_lost(before, await dumped(released))


async def test_two_at_once(released: str) -> None:
    """Two processes that open a released store at the same time migrate it once."""
    before = await dumped(released)
    processes = [await started(_OPEN, released) for _ in range(2)]
    assert [(b"open\n", b"")] * 2 == [await process.communicate() for process in processes]

    assert_nothing_lost(before, await dumped(released))


_LARGE = """
import asyncio, resource, sys
from monitor.store import Store, migrate

async def main():
    async with Store(sys.argv[1]):
        pass

asyncio.run(main())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


async def test_a_large_store(tmp_path: Path) -> None:
    """100,000 runs are merged in bounded memory: some megabytes more than a store of 89 runs takes."""
    small, large = tmp_path / "small", tmp_path / "large"
    peaks = []
    for folder, copies in ((small, 0), (large, 10_000)):
        folder.mkdir()
        url = sqlite_store(1, folder)
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            names = ", ".join(["target_id", "changed", *CONTENT])
            database.execute(
                f"INSERT INTO run ({names}, started, finished) "
                f"WITH RECURSIVE turn(n) AS (SELECT 1 WHERE {copies} UNION ALL SELECT n + 1 FROM turn "
                f"WHERE n < {copies}) "
                f"SELECT {', '.join(['target_id', '0', *CONTENT])}, finished + 900 * n, finished + 900 * n + 1 "
                "FROM turn, (SELECT * FROM run WHERE id IN (SELECT max(id) FROM run GROUP BY target_id)) ORDER BY n"
            )
        database.close()
        process = await started(_LARGE, url)
        said, _ = await process.communicate()
        peaks.append(int(said))
        async with Store(url) as store:
            runs = [run for target in await store.target_ids() for run in await store.runs(target)]
        assert 89 + 10 * copies == sum(run.times for run in runs)
        assert 22 == len(runs)

    assert peaks[1] - peaks[0] < 50
