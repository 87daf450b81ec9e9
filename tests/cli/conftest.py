"""A Studio for commands within the tests' own process, and a configuration for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.simulator import Studio, demo_studio, serve
from tests.cli.commands import write_config
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def studio() -> Iterator[tuple[str, Studio]]:
    """The demo's Studio at its first step, served by a loop in another thread: its URL, and itself."""
    studio = demo_studio()
    studio.timeline.pin(0)
    url = ""
    loop = asyncio.new_event_loop()
    serving, stop = threading.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal url
        async with serve(studio) as url:
            serving.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[work()])
    thread.start()
    assert serving.wait(PATIENCE)
    yield url, studio
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def config(studio: tuple[str, Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration for three of the simulated projects, one key from the environment."""
    url, served = studio
    keys = {number: project.api_key for number, project in served.projects.items()}
    monkeypatch.setenv("TANK_KEY", keys[108])
    return write_config(tmp_path, url, keys)
