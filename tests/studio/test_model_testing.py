"""Model-testing jobs before pulls: when one is started, who shares it, and that none can fail or hold up a pull."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from monitor.config import Config
from monitor.errors import StudioError, Unreachable
from monitor.simulator import GeneratedProject, Studio, projects
from monitor.simulator.faults import Body, Delay, Edit, Empty, Refuse, Reset, Status
from monitor.studio import client as client_module
from monitor.studio import model_testing as module
from monitor.studio.client import Client
from monitor.studio.discovery import discover
from monitor.studio.model_testing import Due, ModelTesting
from monitor.studio.project import StudioProject
from monitor.targets import TargetKey
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

START, STATE = "start-classify-job", "job-status"


@pytest.fixture(autouse=True)
def poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are looked at each second."""
    monkeypatch.setattr(module, "POLL", 1.0)


@pytest.fixture
def studio() -> Studio:
    """A project with two impulses, one of two variants, whose key may start jobs of some seconds."""
    return Studio([projects.two_impulses(role="admin")], job_seconds=5.0, validate=True)


@pytest.fixture
def door(studio: Studio) -> GeneratedProject:
    """The project."""
    return studio.generated(111)


@pytest.fixture
def project(client: Client, door: GeneratedProject) -> StudioProject:
    """Its calls."""
    return StudioProject(client, 111, door.api_key)


class Refreshing:
    """A refresher with the targets it refreshes."""

    def __init__(self, studio: StudioProject, keys: Iterable[TargetKey], mode: Literal["when_stale", "always"]) -> None:
        self.refresher = ModelTesting()
        self.studio, self.keys, self.mode = studio, {key.id: key for key in keys}, mode

    async def __call__(self, *targets: str, every: float = 20.0) -> str:
        keys = tuple(self.keys[f"111-{target}-testing"] for target in targets)
        watched = tuple(key.variant for key in self.keys.values() if key.impulse_id == keys[0].impulse_id)
        return await self.refresher.before(Due(keys, watched, self.mode, every), self.studio)


INT8, FLOAT32, OTHER = "1-int8", "1-float32", "2-int8"


async def refreshing(
    project: StudioProject, door: GeneratedProject, mode: Literal["when_stale", "always"], **fields: Any
) -> Refreshing:
    entry = {"id": 111, "api_key": door.api_key, "refresh": mode, **fields}
    config = Config.model_validate({"schedule": {"every": "20s"}, "projects": [entry]})
    found = await discover(project, config.projects[0])
    return Refreshing(project, (target.key for target in found.targets), mode)


@pytest.fixture
async def always(project: StudioProject, door: GeneratedProject) -> Refreshing:
    """A job before each pull."""
    return await refreshing(project, door, "always")


@pytest.fixture
async def when_stale(project: StudioProject, door: GeneratedProject) -> Refreshing:
    """A job where the results are old or missing."""
    return await refreshing(project, door, "when_stale")


async def test_always(always: Refreshing, studio: Studio) -> None:
    """Each pull of a target gets a job of its own, which is awaited, with all watched variants of the impulse."""
    assert ["", ""] == [await always(INT8), await always(INT8)]
    jobs = list(studio.jobs.values())
    assert [(1, ("float32", "int8"))] * 2 == [(job.impulse_id, job.variants) for job in jobs]
    assert time.time() >= jobs[1].ends > jobs[1].created >= jobs[0].ends


async def test_variants_that_are_due_together(
    when_stale: Refreshing, always: Refreshing, door: GeneratedProject, studio: Studio
) -> None:
    """The variants of an impulse that are due in one turn get one job between them, and none where both have
    results.
    """
    assert "" == await when_stale(INT8, FLOAT32)
    assert not studio.jobs
    assert "" == await always(INT8, FLOAT32)
    door.edit(results=False)
    assert "" == await when_stale(INT8, FLOAT32)

    assert [("float32", "int8")] * 2 == [job.variants for job in studio.jobs.values()]


async def test_one_variant_without_results(when_stale: Refreshing, studio: Studio) -> None:
    """Of variants that are due together it is enough that one has no results."""
    studio.fail(Empty(), "result/page", after=1)  # the first variant that is asked about has some
    await when_stale(INT8, FLOAT32)

    assert 1 == len(studio.jobs)


async def test_only_watched_variants(project: StudioProject, door: GeneratedProject, studio: Studio) -> None:
    """Variants that nobody watches are not tested."""
    few = await refreshing(project, door, "always", variants=["float32"])
    await few(FLOAT32)

    assert [("float32",)] == [job.variants for job in studio.jobs.values()]


async def test_fresh_results_need_no_job(when_stale: Refreshing, studio: Studio) -> None:
    """Where there are results of the data set as it is, none is started."""
    assert "" == await when_stale(INT8)
    assert not studio.jobs


async def test_stale_impulse(when_stale: Refreshing, door: GeneratedProject, studio: Studio) -> None:
    """New samples make a job due, once; the impulse is fresh afterwards."""
    door.add(3)
    assert "" == await when_stale(INT8)
    assert "" == await when_stale(INT8)
    assert 1 == len(studio.jobs)
    assert not door.is_stale()


async def test_no_results(when_stale: Refreshing, door: GeneratedProject, studio: Studio) -> None:
    """Missing results make a job due, after which they are there."""
    door.edit(results=False)
    assert "" == await when_stale(INT8)
    assert 1 == len(studio.jobs)
    assert door.ground() is not None


async def test_empty_results_of_the_target_itself(when_stale: Refreshing, studio: Studio) -> None:
    """An empty set is none; the target's own impulse, variant and category are asked about, whole."""
    studio.fail(Empty(), "result/page")
    await when_stale(FLOAT32)

    assert 1 == len(studio.jobs)
    asked = [
        {name: request.query[name] for name in ("impulseId", "variant", "category", "limit")}
        for request in studio.calls("result/page")
    ]
    assert [{"impulseId": "1", "variant": "float32", "category": "testing", "limit": "1"}] == asked


async def test_staleness_is_of_the_impulse(when_stale: Refreshing, studio: Studio) -> None:
    """Another impulse's staleness starts nothing."""

    def second(reply: Any) -> None:
        reply["impulses"][1]["isStale"] = True

    studio.fail(Edit(second), "impulses-detailed", times=None)
    await when_stale(INT8)
    assert not studio.jobs
    await when_stale(OTHER)
    assert [(2, ("int8",))] == [(job.impulse_id, job.variants) for job in studio.jobs.values()]


async def test_unknown_staleness(when_stale: Refreshing, door: GeneratedProject, studio: Studio) -> None:
    """A key that may not ask for staleness still starts a job where there are no results, and only there."""
    studio.fail(Status(403), "impulses-detailed", times=None)
    door.add(3)
    await when_stale(INT8)
    assert not studio.jobs
    door.edit(results=False)
    await when_stale(INT8)
    assert 1 == len(studio.jobs)


@pytest.mark.parametrize("mode", ["always", "when_stale"])
async def test_two_due_together_share(
    project: StudioProject, door: GeneratedProject, studio: Studio, mode: Literal["when_stale", "always"]
) -> None:
    """Variants of one impulse that are due at the same time wait for one job; another impulse has its own."""
    door.edit(results=False)
    both = await refreshing(project, door, mode)
    assert ["", "", ""] == await asyncio.gather(both(INT8), both(FLOAT32), both(OTHER))

    assert [1, 2] == sorted(job.impulse_id or 0 for job in studio.jobs.values())
    assert time.time() >= max(job.ends for job in studio.jobs.values())


async def test_an_ended_job_serves_the_others_once(always: Refreshing, studio: Studio) -> None:
    """A variant that is due within an interval of a job's end needs none of its own; a second time it does."""
    await always(INT8)
    assert "" == await always(FLOAT32)
    assert 1 == len(studio.jobs)
    await always(FLOAT32)
    assert 2 == len(studio.jobs)


async def test_an_old_job_serves_nobody(always: Refreshing, studio: Studio) -> None:
    """A job that ended longer ago than the interval is not shared any more."""
    await always(INT8)
    await asyncio.sleep(61)
    await always(FLOAT32, every=60.0)

    assert 2 == len(studio.jobs)


async def test_a_refused_key_is_logged_on_the_edge(always: Refreshing, door: GeneratedProject, studio: Studio) -> None:
    """A key that may not start jobs is named once per project, said in each run's line, and taken
    up again once it may.
    """
    door.role = "readonly"
    with capture_logs() as lines:
        said = [await always(target) for target in (INT8, FLOAT32, INT8, OTHER)]

    assert all("only an admin's key may start it" in text and "HTTP 403" in text for text in said)
    assert 3 == len(studio.calls(START))  # the second target shares the first one's refusal
    refused = [(line["log_level"], line["project_id"]) for line in lines if line["event"] == "refresh.refused"]
    assert [("warning", 111)] == refused
    assert door.api_key not in str(lines) + str(said)

    door.role = "admin"
    assert "" == await always(INT8)
    door.role = "readonly"
    with capture_logs() as lines:
        await always(INT8)
    assert ["refresh.refused"] == [line["event"] for line in lines]


async def test_a_failing_job(always: Refreshing, door: GeneratedProject, studio: Studio) -> None:
    """A job that fails is said, to the variants that share it too, and the next pull tries again."""
    door.job_succeeds = False
    said = [await always(INT8), await always(FLOAT32)]
    assert ["model testing (job 1) failed; its log is in Studio"] * 2 == said
    door.job_succeeds = True
    assert "" == await always(INT8)
    assert 2 == len(studio.jobs)


async def test_a_job_that_hangs(always: Refreshing, studio: Studio) -> None:
    """A run waits an interval at most; the next one joins the job that still runs, and takes its
    results once it ends.
    """
    studio.job_seconds = 70
    began = time.monotonic()
    assert ["model testing still ran after 30 s"] * 2 == [
        await always(INT8, every=30.0),
        await always(FLOAT32, every=30.0),
    ]
    assert 60 == pytest.approx(time.monotonic() - began, abs=0.5)
    assert "" == await always(INT8)
    assert "" == await always(FLOAT32)

    assert 1 == len(studio.jobs)


async def test_a_job_is_given_up(always: Refreshing, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that never ends is looked at for a bounded time; then it is over, and the next pull starts another."""
    monkeypatch.setattr(module, "LONGEST", 30.0)
    studio.job_seconds = 3600
    await always(INT8)
    await asyncio.sleep(20)
    looked = len(studio.calls(STATE))
    await asyncio.sleep(8 * module.POLL)

    assert looked == len(studio.calls(STATE))
    assert "model testing (job 1) did not end within 30 s" == await always(FLOAT32)
    await always(FLOAT32)
    assert 2 == len(studio.jobs)


async def test_the_question_is_bounded(when_stale: Refreshing, studio: Studio) -> None:
    """A Studio that does not answer whether a job is needed holds up the pull no longer than an interval."""
    studio.fail(Delay(80), "impulses-detailed", times=None)
    began = time.monotonic()

    assert "whether model testing is needed was not known after 30 s" == await when_stale(INT8, every=30.0)
    assert 30 == pytest.approx(time.monotonic() - began, abs=0.5)
    assert not studio.jobs


@pytest.mark.parametrize(
    "action",
    [Status(401), Status(404), Refuse("Cannot find impulse 1"), Refuse("Something new"), Status(302)],
    ids=repr,
)
async def test_a_question_that_is_refused(when_stale: Refreshing, studio: Studio, action: Any) -> None:
    """What the pull will meet and say itself starts no job."""
    studio.fail(action, "result/page", times=None)

    assert "" == await when_stale(INT8)
    assert not studio.jobs


async def test_studio_may_be_away_meanwhile(
    always: Refreshing, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Studio that cannot be reached for a while does not end a job."""
    monkeypatch.setattr(client_module, "ATTEMPTS", 2)
    studio.fail(Status(502), STATE, times=5)

    assert "" == await always(INT8)
    assert 6 <= len(studio.calls(STATE))


@pytest.mark.parametrize("action", [Status(403), Status(404), Body(b"null")], ids=repr)
async def test_a_job_of_unknown_end(always: Refreshing, studio: Studio, action: Any) -> None:
    """Where Studio does not say how a job ended, that is said."""
    studio.fail(action, STATE, times=None)

    assert (await always(INT8)).startswith(
        "how model testing (job 1) ended is not known: job_status (/api/111/jobs/1/status)"
    )


async def test_stop_while_waiting(always: Refreshing, studio: Studio) -> None:
    """At the stop the waiting ends at once, no request follows, and nothing is started any more."""
    studio.job_seconds = 3600
    waiting = [asyncio.create_task(always(INT8)), asyncio.create_task(always(FLOAT32))]
    await until(lambda: studio.calls(STATE))
    await always.refresher.stop()
    said = await asyncio.gather(*waiting)
    asked = len(studio.requests)
    await asyncio.sleep(60)

    assert ["model testing was no longer waited for: the service stops"] * 2 == said
    assert "" == await always(OTHER)
    assert (asked, 1) == (len(studio.requests), len(studio.jobs))


async def test_a_run_that_is_cancelled_leaves_the_job(always: Refreshing, studio: Studio) -> None:
    """A run that is cancelled while it waits takes the job from nobody."""
    first = asyncio.create_task(always(INT8))
    second = asyncio.create_task(always(FLOAT32))
    await until(lambda: studio.jobs)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert "" == await second
    assert 1 == len(studio.jobs)


@pytest.mark.parametrize(
    "action", [Reset(), Status(500), Status(503, retry_after="0"), Body(b"<html>"), Body(b"null")], ids=repr
)
async def test_a_start_that_may_be_taken_is_not_repeated(
    project: StudioProject, studio: Studio, counted: Any, action: Any
) -> None:
    """After a failure that leaves open whether the job was started, it is not asked for again."""
    studio.fail(action, START, times=None)
    with pytest.raises(StudioError):
        await project.start_model_testing(1, ["int8"])

    assert 1 == len(studio.calls(START))
    assert not counted.retries


async def test_a_start_whose_reply_does_not_come(project: StudioProject, studio: Studio) -> None:
    """A job whose start timed out runs in Studio, once."""
    studio.fail(Delay(120), START)
    with pytest.raises(Unreachable, match="no complete reply"):
        await project.start_model_testing(1, ["int8"])
    await until(lambda: studio.jobs)

    assert (1, 1) == (len(studio.jobs), len(studio.calls(START)))


async def test_a_start_that_was_not_taken_is_repeated(project: StudioProject, studio: Studio, counted: Any) -> None:
    """A start that Studio turned down for the rate of requests is asked for again."""
    studio.fail(Status(429), START, times=2)
    job_id = await project.start_model_testing(1, ["int8"])

    assert [job_id] == list(studio.jobs)
    assert {"rate_limited": 2} == dict(counted.retries)
    assert ("start_model_testing", "200") == counted.requests[-1]


async def test_a_start_that_was_never_sent_is_repeated(counted: Any, unused_tcp_port: int) -> None:
    """Where no connection came about nothing was taken, and it is tried again."""
    async with Client(f"http://127.0.0.1:{unused_tcp_port}/v1", counted, backoff=0.001) as client:
        with pytest.raises(Unreachable, match="no connection"):
            await StudioProject(client, 111, "ei_x").start_model_testing(1, ["int8"])

    assert {"connection": client_module.ATTEMPTS - 1} == dict(counted.retries)


async def test_a_reply_without_a_job(project: StudioProject, studio: Studio) -> None:
    """A reply that names no job is none."""
    studio.fail(Body(b'{"success": true}'), START)
    with pytest.raises(StudioError, match="names no job"):
        await project.start_model_testing(1, ["int8"])
