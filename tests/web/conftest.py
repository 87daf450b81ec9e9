"""A running service for the tests of what it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

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
