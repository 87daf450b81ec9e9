"""One project's trouble stays its own: whatever most projects do, the healthy ones are pulled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Reset, Status
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "result/page"
HEALTHY = (101, 102)
LIMITED, SLOW, BROKEN = range(201, 221), range(301, 313), range(401, 407)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that watches 40 projects, all of them well so far."""
    numbers = [*HEALTHY, *LIMITED, *SLOW, *BROKEN]
    studio = Studio([projects.classification(number, f"project {number}", sizes={"testing": 20}) for number in numbers])
    async with serve(studio) as url:
        running = Service(tmp_path / "monitor.yaml", studio, url)
        running.content["schedule"] = {"every": "1s"}
        running.write()
        try:
            yield running
        finally:
            await running.app.stop()


def pages(service: Service) -> Counter[int]:
    """Pages that were asked for, by project."""
    return Counter({number: len(service.studio.calls(PAGE, number)) for number in service.studio.projects})


def met(service: Service, project: int) -> bool:
    """Whether the project's fault has met a request."""
    return any(request.faults for request in service.studio.calls(PAGE, project))


async def test_sick_projects_hold_up_nobody(service: Service) -> None:
    """With 38 of 40 projects rate-limited, hanging or broken, the healthy ones go on being pulled."""
    await service.app.start()
    await service.until(lambda: all(pages(service)[number] >= 2 for number in service.studio.projects), within=240)

    for number in LIMITED:
        service.studio.fail(Status(429, retry_after="120"), PAGE, project=number, times=None)
    for number in SLOW:
        service.studio.fail(Delay(30), PAGE, project=number, times=None)
    for number in BROKEN:
        service.studio.fail(Reset(), PAGE, project=number, times=None)
    await service.until(lambda: all(met(service, number) for number in (*LIMITED, *SLOW, *BROKEN)), within=240)

    before, began = pages(service), time.monotonic()
    await service.until(lambda: all(pages(service)[number] >= before[number] + 12 for number in HEALTHY), within=240)
    sick = sum((pages(service) - before)[number] for number in LIMITED)
    # a Retry-After is believed up to the interval, a second
    assert sick <= len(LIMITED) * (time.monotonic() - began + 2)
