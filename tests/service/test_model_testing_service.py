"""The service with `refresh`, against the simulator: jobs come before pulls, and hold up neither
others nor the stop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor import logs
from monitor.cli.once import pull_once
from monitor.config import load
from monitor.errors import PullState
from monitor.live import turns
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.simulator.project import Impulse
from monitor.studio import model_testing as refresh
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

INT8, FLOAT32, OTHER = "101-1-int8-testing", "101-1-float32-testing", "103-1-int8-testing"
START = "start-classify-job"


@pytest.fixture
def studio() -> Studio:
    """A classifier in two variants without results, whose key may start jobs, and another project that is well."""
    project = projects.classification(impulses=[Impulse(variants=projects.BOTH)], role="admin")
    project.edit(results=False)
    return Studio([project, projects.kmeans()], job_seconds=0.5)


@pytest.fixture
async def service(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service that refreshes the classifier, with its log in a file; not yet started."""
    monkeypatch.setattr(refresh, "POLL", 0.05)
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"][0] |= {"refresh": "when_stale", "schedule": {"every": "3s"}}
        service.write()
        with (tmp_path / "log").open("w", encoding="utf-8") as stream:
            logs.configure("info", "json", stream)
            yield service
            await service.app.stop()
            logs.configure("warning")


def logged(service: Service, event: str) -> list[dict[str, Any]]:
    """The lines of that event so far."""
    lines = map(json.loads, (service.path.parent / "log").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]


async def test_results_appear_after_one_job(service: Service) -> None:
    """Results that are missing are there from the first pull on, by one job for both variants; new samples bring
    another.
    """
    await service.app.start()
    await service.pulled(INT8, FLOAT32, OTHER)
    project = service.studio.generated(101)

    assert [("float32", "int8")] == [job.variants for job in service.studio.jobs.values()]
    assert {"ok"} == {line["state"] for line in logged(service, "pull.finished")}
    assert not any("refresh" in line for line in logged(service, "pull.finished"))

    project.add(5)
    await service.until(lambda: len(service.studio.jobs) == 2 and not project.is_stale())
    await service.until(lambda: all(service.app.live.snapshots[one].impulse_stale is False for one in (INT8, FLOAT32)))
    assert 2 == len(service.studio.jobs)


async def test_refused_and_failing_jobs_are_no_outage(service: Service) -> None:
    """A refused and a failed job are said in the pull's line; the results there are go on being pulled."""
    project = service.studio.generated(101)
    project.edit(results=True)
    project.role = "readonly"
    service.content["projects"][0] |= {"refresh": "always", "schedule": {"every": "1s"}}
    service.write()
    await service.app.start()
    await service.pulled(INT8, FLOAT32, OTHER)
    await service.until(lambda: len(service.studio.calls(START)) > 2)
    assert 1 == len(logged(service, "refresh.refused"))

    project.role, project.job_succeeds = "admin", False
    await service.until(lambda: any("failed" in line.get("refresh", "") for line in logged(service, "pull.finished")))
    lines = [line for line in logged(service, "pull.finished") if line["target"] != OTHER]
    assert {("ok", "info")} == {(line["state"], line["level"]) for line in lines}
    assert "only an admin's key may start it" in lines[0]["refresh"]


async def test_hanging_jobs_hold_up_nobody(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets that wait for a job take no place from others, then go on without it; the stop waits for none of them."""
    monkeypatch.setattr(turns, "PULLS_IN_FLIGHT", 1)
    service.studio.job_seconds = 3600
    service.content["projects"][0]["schedule"] = {"every": "2s"}
    service.content["shutdown_grace"] = "20s"
    service.write()
    service.app = App(service.path)
    await service.app.start()
    await service.until(lambda: len(service.studio.jobs) == 1)
    others = len(service.studio.calls("result/page", 103))
    await service.until(lambda: len(service.studio.calls("result/page", 103)) > others)
    assert not {INT8, FLOAT32} & service.app.live.snapshots.keys()
    await service.until(lambda: {INT8, FLOAT32} <= service.app.live.snapshots.keys())
    waited = next(line for line in logged(service, "pull.finished") if line["target"] == INT8)
    assert ("no_results", "model testing still ran after 2 s") == (waited["state"], waited["refresh"])

    service.content["projects"] = [service.entry(101, refresh="when_stale", schedule={"every": "1h"})]
    service.write()
    asked = len(service.studio.calls("impulses", 101))
    assert await service.app.reload()
    await service.until(lambda: len(service.studio.calls("impulses", 101)) > asked)
    await service.app.scheduler.drain(2)
    service.app.watchlist.pull_now(INT8)
    await asyncio.sleep(0.3)
    assert 0 < await service.app.scheduler.drain(0.3)
    began = time.monotonic()
    await service.app.stop()
    assert time.monotonic() - began < 5
    assert not logged(service, "scheduler.cancelled") + logged(service, "run.crashed")
    assert (
        "model testing was no longer waited for: the service stops" == logged(service, "pull.finished")[-1]["refresh"]
    )
    assert 1 == len(service.studio.jobs)


async def test_the_command_starts_no_job(service: Service) -> None:
    """`pull` reads what there is."""
    outcomes = await pull_once(load(service.path).config)

    assert [PullState.NO_RESULTS, PullState.NO_RESULTS, PullState.OK] == [outcome.state for outcome in outcomes]
    assert not service.studio.calls(START)


async def test_a_job_outlives_the_client_that_started_it(service: Service) -> None:
    """A reload that replaces the client while a job runs ends nobody's waiting for it: no second job is started beside
    it, and the pull after its end has the results.
    """
    service.studio.job_seconds = 150
    service.content["projects"] = [service.entry(101, refresh="when_stale", schedule={"every": "60s"})]
    service.write()
    await service.app.start()
    await service.until(lambda: len(service.studio.jobs) == 1)
    service.content["studio"]["timeout"] = "50s"
    service.write()
    assert await service.app.reload()
    await service.until(lambda: {INT8, FLOAT32} <= service.app.live.targets.keys())

    def are_good() -> bool:
        shown = service.app.live.snapshots
        return all(target in shown and shown[target].state is PullState.OK for target in (INT8, FLOAT32))

    await service.until(are_good, within=900)
    assert 1 == len(service.studio.jobs)
    assert not logged(service, "refresh.crashed")
