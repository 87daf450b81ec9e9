"""One project's trouble stays its own: whatever most projects do, the healthy ones are pulled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Reset, Status, Trickle, Truncate
from tests.chaos.fleet import fires
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

PAGE, MINUTE = "result/page", 60.0
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


ROUNDS = 5
SICK_WAYS = (
    Status(429, retry_after="120"),
    Status(503),
    Delay(120),
    Reset(),
    Trickle(120),
    Truncate(),
)


async def test_healthy_projects_are_pulled_on_time(service: Service) -> None:
    """With 24 of 40 projects sick in six ways from one instant on, at least 95 % of the pulls of the others are made
    within their interval.
    """
    numbers = sorted(service.studio.projects)
    sick, healthy = numbers[:24], numbers[24:]
    service.content["schedule"] = {"every": f"{MINUTE:.0f}s"}
    service.write()
    await service.app.start()
    await service.until(lambda: all(pages(service)[number] for number in numbers), within=240)
    await asyncio.sleep(MINUTE)

    for place, number in enumerate(sick):
        service.studio.fail(SICK_WAYS[place % len(SICK_WAYS)], project=number, times=None)
    began = time.time()
    await asyncio.sleep((ROUNDS + 1) * MINUTE)

    due = {target.split("-")[0]: times for target, times in fires(service.app, began, began + ROUNDS * MINUTE).items()}
    on_time = {
        number: sum(
            any(fire <= request.time < fire + MINUTE for request in service.studio.calls(PAGE, number))
            for fire in due[str(number)]
        )
        for number in healthy
    }
    assert all(met(service, number) for number in sick)
    assert sum(len(due[str(number)]) for number in healthy) >= (ROUNDS - 1) * len(healthy)
    assert sum(on_time.values()) >= 0.95 * sum(len(due[str(number)]) for number in healthy), on_time
