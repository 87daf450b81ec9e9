"""Renewing results that a changed threshold took away, and only those of the category that is watched."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from monitor.config import Config
from monitor.simulator import GeneratedProject, Studio, projects
from monitor.simulator.faults import Body, Edit, Refuse, Reset, Status
from monitor.studio import model_testing as module
from monitor.studio.client import Client
from monitor.studio.discovery import discover
from monitor.studio.model_testing import Due, ModelTesting
from monitor.studio.project import StudioProject

pytestmark = pytest.mark.usefixtures("clock")

PAGE, ALL, START, SUMMARY = "result/page", "result", "start-classify-job", "regenerate-summary"


@pytest.fixture(autouse=True)
def poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are looked at often."""
    monkeypatch.setattr(module, "POLL", 0.02)


@pytest.fixture
def door() -> GeneratedProject:
    """A project with samples in two categories, whose key may start jobs."""
    return projects.two_impulses(role="admin", sizes={"testing": 20, "training": 30})


@pytest.fixture
def studio(door: GeneratedProject) -> Studio:
    """Where it is."""
    return Studio([door], job_seconds=0.2, validate=True)


async def refreshed(
    client: Client,
    door: GeneratedProject,
    mode: Literal["when_stale", "always"] = "when_stale",
    category: str = "testing",
    times: int = 1,
) -> list[str]:
    """What is said of the first impulse's target of variant int8, refreshed so many times."""
    entry = {"id": 111, "api_key": door.api_key, "refresh": mode, "category": category, "impulses": [1]}
    config = Config.model_validate({"schedule": {"every": "20s"}, "projects": [entry]})
    found = await discover(StudioProject(client, 111, door.api_key), config.projects[0])
    keys = [target.key for target in found.targets]
    (key,) = (each for each in keys if each.variant == "int8")
    due = Due((key,), tuple(each.variant for each in keys), mode, 20.0)
    refresher = ModelTesting()
    return [await refresher.before(due, StudioProject(client, 111, door.api_key)) for _ in range(times)]


async def test_a_new_summary_suffices(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """After a change of thresholds the cheaper job brings the results back, and model testing is not started."""
    door.rethreshold(0.9)
    assert [""] == await refreshed(client, door)

    assert (1, 0) == (len(studio.calls(SUMMARY)), len(studio.calls(START)))
    assert [{"category": "testing"}] == [request.query for request in studio.calls(SUMMARY)]
    assert [{"variant": "int8", "impulseId": "1", "category": "testing"}] == [
        request.query for request in studio.calls(ALL)
    ]
    assert [False] == [job.features for job in studio.jobs.values()]
    assert door.ground() is not None


async def test_results_that_are_there_cost_no_heavy_call(
    client: Client, door: GeneratedProject, studio: Studio
) -> None:
    """Why results are missing is asked only where they are."""
    assert [""] == await refreshed(client, door)
    door.add(3)
    assert [""] == await refreshed(client, door)

    assert (0, 0, 1) == (len(studio.calls(ALL)), len(studio.calls(SUMMARY)), len(studio.calls(START)))


async def test_always_is_always_model_testing(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """Who wants each pull tested anew gets just that."""
    door.rethreshold(0.9)
    assert [""] == await refreshed(client, door, "always")

    assert (0, 1) == (len(studio.calls(SUMMARY)), len(studio.calls(START)))


REASONS = [None, "should_rerun_full_job", "something_new", True, 7]


@pytest.mark.parametrize("reason", REASONS, ids=repr)
async def test_other_reasons(client: Client, door: GeneratedProject, studio: Studio, reason: object) -> None:
    """Where Studio says another thing, or one that is not known, model testing is started."""
    door.rethreshold(0.9)
    studio.fail(Edit(lambda reply: reply.update(noResultsBecauseThresholdsChanged=reason)), ALL)
    assert [""] == await refreshed(client, door)

    assert (0, 1) == (len(studio.calls(SUMMARY)), len(studio.calls(START)))
    assert door.ground() is not None


@pytest.mark.parametrize(
    "action", [Status(404), Status(403), Status(400), Refuse("Something new"), Body(b"[]")], ids=repr
)
@pytest.mark.parametrize("call", [ALL, SUMMARY])
async def test_servers_that_do_not_know_it(
    client: Client, door: GeneratedProject, studio: Studio, call: str, action: Any
) -> None:
    """A server that does not know either call, or refuses it, gets a job of model testing instead."""
    door.rethreshold(0.9)
    studio.fail(action, call, times=None)
    assert [""] == await refreshed(client, door)

    assert 1 == len(studio.calls(START))
    assert door.ground() is not None


async def test_a_summary_that_brings_nothing_back(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """Where the results are still missing after the cheaper job, model testing follows at once, so that no pull asks
    for it in vain.
    """
    door.rethreshold(0.9)
    studio.fail(Body(b'{"success": true, "id": 1}'), SUMMARY)
    studio.fail(Body(b'{"success": true, "job": {"id": 1, "finishedSuccessful": true}}'), "job-status", times=1)
    assert [""] == await refreshed(client, door)

    assert (1, 1) == (len(studio.calls(SUMMARY)), len(studio.calls(START)))
    assert door.ground() is not None


async def test_a_summary_that_may_be_under_way(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """Where it is not known whether the cheaper job was started, no other one is started beside it."""
    door.rethreshold(0.9)
    studio.fail(Reset(), SUMMARY)
    with capture_logs():
        (said,) = await refreshed(client, door)

    assert "model testing was perhaps not started" in said
    assert not studio.calls(START)


async def test_a_job_of_the_watched_category(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """A job for training samples does not test the testing ones."""
    assert [""] == await refreshed(client, door, "always", category="training")

    assert [{"impulseId": "1", "category": "training"}] == [request.query for request in studio.calls(START)]
    assert ["training"] == [job.category for job in studio.jobs.values()]


async def test_a_job_is_shared_within_its_category(client: Client, door: GeneratedProject, studio: Studio) -> None:
    """Targets of another category are not served by a job, nor are their variants tested in it."""
    entries = [
        {
            "id": 111,
            "api_key": door.api_key,
            "refresh": "always",
            "impulses": [1],
            "category": "testing",
            "variants": ["int8"],
        },
        {
            "id": 111,
            "api_key": door.api_key,
            "refresh": "always",
            "impulses": [1],
            "category": "training",
            "variants": ["float32"],
        },
    ]
    config = Config.model_validate({"schedule": {"every": "20s"}, "projects": entries})
    studio_project, keys = StudioProject(client, 111, door.api_key), []
    for entry in config.projects:
        keys += [target.key for target in (await discover(studio_project, entry)).targets]
    refresher = ModelTesting()
    due = [Due((key,), (key.variant,), "always", 20.0) for key in keys]
    assert ["", ""] == [await refresher.before(each, studio_project) for each in due]

    assert [("testing", ("int8",)), ("training", ("float32",))] == [
        (job.category, job.variants) for job in studio.jobs.values()
    ]
