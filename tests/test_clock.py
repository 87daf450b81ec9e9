"""Scheduled time, in which other tests run: it passes by itself, for everyone, and never while work is being done."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from monitor.net import retry_after
from monitor.notify import Dispatcher
from monitor.simulator import Studio, projects, serve
from monitor.store import Store
from tests.clock import START, Clock
from tests.waiting import until


async def test_a_day_takes_no_time(clock: Clock) -> None:
    """What waits a day ends a day later, by the loop's clock and the wall's, at once."""
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    await asyncio.sleep(86400)

    assert (86400, START + 86400) == pytest.approx((loop.time(), time.time()))
    assert (86400, START + 86400) == pytest.approx((clock.monotonic(), clock.time()))
    assert time.perf_counter() - began < 3600


async def test_no_time_passes_while_there_is_work(clock: Clock, tmp_path: Path) -> None:
    """A thread, the database and a server on loopback take none of it."""
    await asyncio.to_thread(time.sleep, 0.1)
    studio = Studio([projects.classification()])
    async with Store(f"sqlite:///{tmp_path}/a.db") as store, serve(studio) as url, aiohttp.ClientSession() as session:
        async with asyncio.timeout(0.001):
            assert {} == await store.message_counts()
            async with session.get(
                f"{url}/api/101/impulses", headers={"x-api-key": studio.projects[101].api_key}
            ) as response:
                assert 200 == response.status

    assert 0 == clock.monotonic()


async def test_the_wall_clock_is_stepped(clock: Clock) -> None:
    """A step moves the wall clock alone."""
    clock.step(-3600)

    assert (0, START - 3600) == (time.monotonic(), time.time())


async def test_everyone_reads_it(clock: Clock) -> None:
    """Whoever was given the real clock as a default has this one, and dates are of it."""
    await asyncio.sleep(60)

    assert START + 60 == inspect.signature(Dispatcher).parameters["clock"].default()
    assert START + 60 == inspect.signature(Studio).parameters["clock"].default()
    assert 30 == retry_after.retry_after(datetime.fromtimestamp(START + 90, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"))


async def test_real_time_elsewhere() -> None:
    """A test that does not ask for it runs in real time, as everything does afterwards."""
    assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic(), abs=3600)
    assert time.time is inspect.signature(Studio).parameters["clock"].default


async def test_until_gives_up(clock: Clock) -> None:
    """What does not become so fails, and says what was seen last."""
    with pytest.raises(AssertionError, match=r"not so within 10 s; last: \[\]"):
        await until(lambda: [], within=10)

    assert 10 == pytest.approx(clock.monotonic(), abs=0.1)


def test_no_other_fixture_is_called_clock() -> None:
    """A fixture of that name elsewhere would put its tests into scheduled time without their knowing."""
    fixture = re.compile(r"^@pytest\.fixture.*\n(?:async )?def clock\(", re.MULTILINE)
    files = sorted(Path(__file__).parent.rglob("*.py"))

    found = [file for file in files if fixture.search(file.read_text(encoding="utf-8"))]

    assert [Path(__file__).parent / "conftest.py"] == found
