"""What a pull costs that finds nothing new: of 100 samples, one window each, with all built-in rules.

The simulator runs as a process of its own. Statements are those that the database counts, BEGIN and COMMIT among them,
requests those that the client sends; CPU seconds are the pulling process's, all of its threads included. Beside them is
the floor: the same requests, and the fields decoded that a pull reads.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog

from monitor.cli.common import run_loop
from monitor.service.memory import keep_loaded, share_heap
from monitor.store import Store
from monitor.studio import wire
from tests.benchmarks._rows import Row
from tests.benchmarks.cost import _stores
from tests.benchmarks.cost.section import Section
from tests.pipeline.quiet_target import Turn, turns_of
from tests.store import statements

SAMPLES = 100
STATEMENTS, REQUESTS, MILLISECONDS = 8, 3, 8.0
ROUNDS = 5

_page = msgspec.json.Decoder(wire.Page)


@dataclass(frozen=True)
class Served:
    """A simulator with one project."""

    url: str
    project: int
    key: str


@contextmanager
def served(*options: str) -> Iterator[Served]:
    """A simulator in a process of its own."""
    command = [sys.executable, "-m", "monitor.simulator", "--bulk", str(SAMPLES), "--windows", "1", *options]
    simulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert simulator.stdout is not None
        studio = json.loads(simulator.stdout.readline())
        (project,) = studio["projects"]
        yield Served(studio["url"], project["id"], project["api_key"])
    finally:
        simulator.kill()
        simulator.wait()


async def _milliseconds(work: Callable[[], Awaitable[object]], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - began) / times * 1000


def _floor(studio: Served, session: aiohttp.ClientSession) -> Callable[[], Awaitable[None]]:
    base = f"{studio.url}/api/{studio.project}"
    query = f"limit={SAMPLES}&offset=0&variant=int8&impulseId=1&category=testing"
    urls = (f"{base}/classify/all/result/page?{query}", f"{base}/impulses-detailed")

    async def floor() -> None:
        for url in (*urls, f"{base}/training/keras/13/metadata"):
            async with session.get(url) as response:
                body = await response.read()
            if url == urls[0]:
                _page.decode(body)

    return floor


async def _measure(studio: Served, url: str, seen: statements.Statements, quick: bool) -> tuple[int, int, float, float]:
    """Statements, requests, and milliseconds of a pull and of the floor, measured in turn."""
    sent = 0

    def request_sent() -> None:
        nonlocal sent
        sent += 1

    headers = {"x-api-key": studio.key, "Accept-Encoding": "gzip"}
    async with (
        Store(url) as store,
        turns_of(studio.url, studio.project, studio.key, store, variants=["int8"], sent=request_sent) as turn,
        aiohttp.ClientSession(headers=headers) as session,
    ):
        for _ in range(3):
            await turn()
        seen.clear()
        sent = 0
        await turn()
        counted, requests = len(seen.seen), sent
        seen.close()
        found = await _alternating(turn, _floor(studio, session), 10 if quick else 60)
    return counted, requests, *found


async def _alternating(turn: Turn, floor: Callable[[], Awaitable[None]], times: int) -> tuple[float, float]:
    pulls, floors = [], []
    for work in (turn, floor):
        await _milliseconds(work, 5)
    for _ in range(ROUNDS):
        pulls.append(await _milliseconds(turn, times))
        floors.append(await _milliseconds(floor, times))
    return statistics.median(pulls), statistics.median(floors)


def _rows(name: str, measured: tuple[int, int, float, float]) -> Iterator[Row]:
    counted, requests, pull, floor = measured
    yield Row(f"{name}: SQL statements", [str(counted), ""], f"≤ {STATEMENTS}", counted <= STATEMENTS)
    yield Row(f"{name}: requests", [str(requests), "3"], f"≤ {REQUESTS}", requests <= REQUESTS)
    yield Row(f"{name}: CPU", [f"{pull:.1f} ms", f"{floor:.1f} ms"], f"≤ {MILLISECONDS:g} ms", pull <= MILLISECONDS)


def rows(quick: bool) -> Iterator[Row]:
    """Measure on each database, and on a Studio that gives its pages versions."""
    share_heap()  # both as the service does at its start
    keep_loaded()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with served() as studio, _stores.sqlite() as url, statements.of_sqlite() as seen:
        yield from _rows("SQLite", run_loop(_measure(studio, url, seen, quick)))
    with served("--etags") as studio, _stores.sqlite() as url, statements.of_sqlite() as seen:
        yield from _rows("SQLite, pages with an ETag", run_loop(_measure(studio, url, seen, quick)))
    if not _stores.has_postgresql():
        yield Row("PostgreSQL", ["not installed", ""])
        return
    with served() as studio, _stores.postgresql() as server:

        async def measure() -> tuple[int, int, float, float]:
            return await _measure(studio, server.url("monitor"), await statements.of_postgresql(server), quick)

        yield from _rows("PostgreSQL", run_loop(measure()))


SECTION = Section(
    "A pull of 100 samples that finds nothing new, beside its three requests alone", ("pull", "floor"), rows
)
