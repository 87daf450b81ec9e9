"""A running service for the tests of what it serves."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.simulator.scenarios import regressing
from tests.service_process import Service


@pytest.fixture
def studio() -> Studio:
    """At step 1 the first project's model is worse, at step 2 it is as before; the second project is steady. Held at
    step 0.
    """
    scenario = regressing(at=1, by=1.6, over=1, recovers_at=2)
    studio = Studio([projects.classification(sizes={"testing": 300}, scenario=scenario), projects.kmeans()])
    studio.timeline.pin(0)
    return studio


@pytest.fixture
async def service(studio: Studio, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that pulls when it is told to; not started yet, its configuration not written; stopped at the end."""
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["schedule"] = {"every": "1h"}
        yield service
        await service.app.stop()


CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
async def browser(program: Callable[[str], str]) -> AsyncIterator[Any]:
    """A real, headless browser."""
    path = program("chromium")
    if importlib.util.find_spec("playwright") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("playwright is not installed")
    playwright = importlib.import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        found = await driver.chromium.launch(executable_path=path, args=list(CHROMIUM))
        yield found
        await found.close()
