"""What the store takes on the disk, and for how long retention holds a lock.

Bytes are those of real turns: targets of 100 samples, pulled from the simulator, evaluated, compared and recorded, with
all indexes, after a checkpoint or VACUUM, without free pages. Retention prunes a store of old runs while another
process writes transactions of the kind that a quiet pull writes; the longest of these is beside the longest that
retention itself took.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import structlog
from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.errors import PullState
from monitor.simulator import Studio, projects, serve
from monitor.store import Run, Store, schema
from monitor.store.engine import WRITES, new_engine, parse
from tests.benchmarks._rows import Row
from tests.benchmarks.cost import _stores
from tests.benchmarks.cost.section import Section
from tests.pipeline.quiet_target import turns_of
from tests.store.postgres_server import DATABASE, Server

FLEET, DAYS, EVERY = 100_000, 90, 360
PULLS = DAYS * 86_400 // EVERY
ALLOWED = 20e9
LOCK = 0.1
LARGE = 9_000_000
"""Bytes of the result set of some 50,000 samples."""

Used = Callable[[], Awaitable[tuple[int, int]]]
"""Bytes in use, and those that would be left if tables and indexes were written anew."""


@dataclass(frozen=True)
class Bytes:
    """What a target takes: at first, for a turn that says nothing new, for earlier versions of its rows, and for a turn
    that says something new.
    """

    first: float
    quiet: float
    room: float
    changed: float


def _used(url: str) -> Used:
    """Bytes of a SQLite file's pages in use, the log taken over."""

    async def used() -> tuple[int, int]:
        database = sqlite3.connect(url.removeprefix("sqlite:///"))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size, count, free = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        database.close()
        return size * (count - free), size * (count - free)

    return used


def _used_by_server(server: Server) -> Used:
    """Bytes of a PostgreSQL database's tables and indexes, vacuumed as the server does by itself in time."""

    async def used() -> tuple[int, int]:
        connection = await asyncpg.connect(host=str(server.folder), user="postgres", database=DATABASE)
        tables = ", ".join(f"'{table.name}'" for table in schema.metadata.tables.values())
        size = f"SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relname IN ({tables})"
        try:
            await connection.execute("VACUUM")
            found = await connection.fetchval(size)
            await connection.execute("VACUUM FULL")
            return found, await connection.fetchval(size)
        finally:
            await connection.close()

    return used


async def _grown(url: str, used: Used, targets: int, turns: int, changes: int) -> Bytes:
    """The bytes per target of its first turn, of a quiet one, and of one that finds another result set."""
    all_projects = [projects.bulk(number, f"p{number}", samples=100, windows=1) for number in range(900, 900 + targets)]
    studio = Studio(all_projects)
    async with serve(studio) as address, Store(url) as store, AsyncExitStack() as stack:
        each = [
            await stack.enter_async_context(turns_of(address, project.id, project.api_key, store, variants=["int8"]))
            for project in all_projects
        ]

        async def turn(times: int, change: Callable[[int], None] = lambda number: None) -> None:
            for number in range(times):
                change(number)
                for one in each:
                    await one()

        def changed(number: int) -> None:
            for project in all_projects:
                project.edit(quality=-0.1 * (number + 1))

        half = targets // 2
        for one in each[:half]:  # the first pages of tables and indexes are no target's own
            await one()
        _, begun = await used()
        for one in each[half:]:
            await one()
        first, _ = await used()
        await turn(2)
        _, settled = await used()
        await turn(turns)
        quiet, compact = await used()
        await turn(changes, changed)
        last, _ = await used()
        return Bytes(
            first=(first - begun) / (targets - half),
            quiet=(compact - settled) / targets / turns,
            room=(quiet - compact) / targets,
            changed=(last - compact) / targets / changes,
        )


def _size_rows(name: str, found: Bytes) -> Iterator[Row]:
    total = FLEET * (found.first + found.room + found.quiet * PULLS)
    left = (ALLOWED - total) / FLEET / found.changed
    yield Row(f"{name}: a target's first run", [f"{found.first / 1000:.1f} kB"])
    yield Row(f"{name}: a run with nothing new", [f"{found.quiet:.1f} B"])
    yield Row(f"{name}: room of earlier versions of its rows", [f"{found.room / 1000:.1f} kB"])
    yield Row(f"{name}: a run with another result set", [f"{found.changed / 1000:.1f} kB"])
    yield Row(
        f"{name}: {FLEET:,} targets, {PULLS:,} pulls each", [f"{total / 1e9:.1f} GB"], "≤ 20 GB", total <= ALLOWED
    )
    yield Row(f"{name}: changes per target that fit besides", [f"{left:.1f}"])


async def _fill(url: str, targets: int, old: int, large: int) -> None:
    """A store of targets with a baseline as old as they, a last run as new as can be, and old runs in between; each has
    a result set and figures of its own. Some result sets are large.
    """
    async with Store(url):
        pass
    engine = new_engine(parse(url), 5.0)
    runs = range(old + 2)

    def rows(table: Table, first: int, last: int) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for target in range(first, last):
            for place in runs:
                number = target * len(runs) + place + 1
                name = f"{target}-1-int8-testing"
                moment = 1e9 if place == runs[-1] else float(number)
                data = bytes(LARGE if place == 1 and target < large else 6000)
                found.append(
                    {
                        "result_set": {"id": number, "target_id": name, "fingerprint": f"{number:064}", "data": data},
                        "figures": {
                            "id": number,
                            "target_id": name,
                            "digest": f"{number:064}",
                            "evaluation": "9" * 9000,
                        },
                        "run": {
                            "id": number,
                            "target_id": name,
                            "started": moment,
                            "finished": moment,
                            "last_seen": moment,
                            "state": str(PullState.OK),
                            "selection": "",
                            "error": "",
                            "changed": True,
                            "fingerprint": f"{number:064}",
                            "result_set_id": number,
                            "figures_id": number,
                        },
                        "baseline": {
                            "target_id": name,
                            "mode": "pinned",
                            "run_id": target * len(runs) + 1,
                            "since": moment,
                            "why": "",
                        },
                    }[table.name]
                )
        return found[:: len(runs)] if table.name == "baseline" else found

    try:
        for first in range(0, targets, 50):
            await _insert(engine, rows, first, min(targets, first + 50))
        if engine.dialect.name == "postgresql":  # its numbers do not follow those that it is given
            async with engine.begin() as connection:
                sequence = "pg_get_serial_sequence('run', 'id')"
                await connection.execute(text(f"SELECT setval({sequence}, (SELECT max(id) FROM run))"))
    finally:
        await engine.dispose()


async def _insert(
    engine: AsyncEngine, rows: Callable[[Table, int, int], list[dict[str, object]]], first: int, last: int
) -> None:
    async with engine.execution_options(**{WRITES: True}).begin() as connection:
        for table in (schema.result_set, schema.figures, schema.run, schema.baseline):
            await connection.execute(insert(table), rows(table, first, last))


async def _write(url: str) -> None:
    """Write a transaction like those of quiet pulls every few milliseconds, until stdin ends; print the longest."""
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    longest = 0.0
    run = Run("writer-1-int8-testing", 1e9, 1e9, PullState.AUTH, error="x")
    async with Store(url, lock_timeout=60) as store:
        print("ready", flush=True)
        while not ended.done():
            began = time.monotonic()
            async with store.transaction() as tx:
                await tx.add_run(run)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.003)
    print(longest)


async def _held(url: str, targets: int, old: int, large: int) -> tuple[float, float, float, int]:
    """Seconds of the other program's longest transaction without and with retention, of retention's longest, and how
    many runs it deleted.
    """
    await _fill(url, targets, old, large)
    async with Store(url) as store:
        alone = await _longest_beside(url, lambda: asyncio.sleep(3.0))
        deleted = 0

        async def prune() -> None:
            nonlocal deleted
            deleted = await store.prune(1e8)

        beside = await _longest_beside(url, prune)
        return alone, beside, store.retention.longest, deleted


async def _longest_beside(url: str, work: Callable[[], Awaitable[object]]) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.cost.store", url]
    writer = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    await writer.stdout.readline()
    await work()
    said, _ = await writer.communicate(b"")  # which closes its stdin
    return float(said)


def _lock_rows(name: str, found: tuple[float, float, float, int]) -> Iterator[Row]:
    alone, beside, own, deleted = (*(1000 * seconds for seconds in found[:3]), found[3])
    yield Row(f"{name}: retention's longest transaction", [f"{own:.0f} ms"], "≤ 100 ms", own <= 1000 * LOCK)
    yield Row(f"{name}: longest write beside it", [f"{beside:.0f} ms"])
    yield Row(f"{name}: longest write without it", [f"{alone:.0f} ms"])
    yield Row(f"{name}: runs deleted", [f"{deleted:,}"])


def rows(quick: bool) -> Iterator[Row]:
    """Measure both on each database."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sizes = (24, 3, 2) if quick else (80, 30, 5)
    fleet = (500, 8, 2) if quick else (10_000, 8, 10)
    with _stores.sqlite() as url:
        yield from _size_rows("SQLite", asyncio.run(_grown(url, _used(url), *sizes)))
    with _stores.sqlite() as url:
        yield from _lock_rows("SQLite", asyncio.run(_held(url, *fleet)))
    if not _stores.has_postgresql():
        yield Row("PostgreSQL", ["not installed"])
        return
    with _stores.postgresql() as server:
        url = server.url(DATABASE)
        yield from _size_rows("PostgreSQL", asyncio.run(_grown(url, _used_by_server(server), *sizes)))
        asyncio.run(server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", DATABASE))
        yield from _lock_rows("PostgreSQL", asyncio.run(_held(url, *fleet)))


SECTION = Section("Bytes on the disk, and locks held by retention", ("measured",), rows)

if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1]))
