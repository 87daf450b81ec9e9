"""A turn is a project entry: its targets are pulled together, and none of them holds up the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.errors import PullState
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Status
from monitor.simulator.project import Impulse
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

INT8, FLOAT32, OTHER = "101-1-int8-testing", "101-1-float32-testing", "103-1-int8-testing"
PAGE = "result/page"


@pytest.fixture
def studio() -> Studio:
    """A classifier in two variants, and another project."""
    return Studio([projects.classification(impulses=[Impulse(variants=projects.BOTH)]), projects.kmeans()])


@pytest.fixture
async def service(studio: Studio, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that pulls once an hour; not started yet, stopped at the end."""
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["schedule"] = {"every": "1h"}
        service.content["studio"]["timeout"] = "30s"
        service.write()
        yield service
        await service.app.stop()


def last_pull(service: Service, target_id: str) -> float:
    """When a target was last pulled; 0 before the first time."""
    snapshot = service.app.live.snapshots.get(target_id)
    return snapshot.last_pull if snapshot is not None else 0.0


def skipped(service: Service) -> float:
    """How many pulls were skipped because the one before had not ended."""
    found = service.app.registry.get_sample_value("impulse_monitor_pulls_skipped_total", {"reason": "overlap"})
    assert found is not None
    return found


async def both_now(service: Service) -> None:
    """Start a turn of the classifier."""
    (entry,) = service.app.live.entries_of(101)
    service.app.scheduler.run_now(entry.turn)


async def test_targets_of_an_entry_share_a_turn(service: Service) -> None:
    """The variants are pulled in one turn; what is the same for both is asked once where nothing changed."""
    await service.app.start()
    await service.until(lambda: service.app.ready)
    await both_now(service)
    await service.until(lambda: {INT8, FLOAT32} <= service.app.live.snapshots.keys())
    await service.app.scheduler.drain()
    before = {target: last_pull(service, target) for target in (INT8, FLOAT32)}
    asked = len(service.studio.calls("impulses-detailed", 101)), len(service.studio.calls("training-metadata", 101))
    await both_now(service)
    await service.until(lambda: all(last_pull(service, target) > then for target, then in before.items()))
    await service.app.scheduler.drain()

    assert (asked[0] + 1, asked[1] + 1) == (
        len(service.studio.calls("impulses-detailed", 101)),
        len(service.studio.calls("training-metadata", 101)),
    )


@pytest.mark.slow
async def test_slow_target_holds_up_no_sibling(service: Service) -> None:
    """While one target's pull takes longer than the interval the other goes on being pulled; each turn without the
    first is counted, and its pull ends well.
    """
    service.content["schedule"] = {"every": "1s"}
    service.write()
    await service.app.start()
    await service.pulled(INT8, FLOAT32, OTHER)
    await service.app.scheduler.drain(0.5)
    before = skipped(service)
    service.studio.fail(Delay(5.0), PAGE, 101)
    live = service.app.live
    ends = {target: last_pull(service, target) for target in (INT8, FLOAT32)}
    await service.until(lambda: any(last_pull(service, target) > then + 2.5 for target, then in ends.items()))
    slow = min(ends, key=lambda target: last_pull(service, target))
    waiting = live.targets[slow].pull is not None
    await service.until(lambda: last_pull(service, slow) > ends[slow] + 2.5)

    assert waiting
    assert skipped(service) >= before + 2
    assert PullState.OK is live.snapshots[slow].state


async def test_pull_now_pulls_one_target(service: Service) -> None:
    """A pull that someone asks for is of that target alone; one that is under way is not begun twice."""
    await service.app.start()
    await service.until(lambda: service.app.ready and INT8 in service.app.live.targets)
    for entry in service.app.live.entries.values():
        service.app.scheduler.remove(entry.turn)
    await service.app.scheduler.drain()
    before, others = last_pull(service, INT8), last_pull(service, FLOAT32)
    service.studio.fail(Delay(0.5), PAGE, 101)

    assert service.app.watchlist.pull_now(INT8)
    assert service.app.watchlist.pull_now(INT8)
    assert not service.app.watchlist.pull_now("999-1-int8-testing")
    await service.until(lambda: last_pull(service, INT8) > before)
    await service.app.scheduler.drain()
    assert others == last_pull(service, FLOAT32)
    assert 1.0 == skipped(service)


async def test_new_target_does_not_wait_for_the_next_turn(service: Service) -> None:
    """A variant that is found between two turns is pulled at once."""
    service.content["studio"]["discover"] = "1s"
    service.content["projects"] = [service.entry(101, variants="enabled")]
    service.write()
    project = service.studio.generated(101)
    both = project.impulses
    project.impulses = (Impulse(),)
    await service.app.start()
    await service.until(lambda: service.app.ready and INT8 in service.app.live.targets)
    await both_now(service)
    await service.pulled(INT8)
    first = last_pull(service, INT8)
    project.impulses = both
    await service.pulled(INT8, FLOAT32)

    assert first == last_pull(service, INT8)


async def test_removed_target_ends_its_pull(service: Service) -> None:
    """The pull of a target that is no longer watched is given up: nobody would be shown what it finds."""
    await service.app.start()
    await service.until(lambda: service.app.ready and OTHER in service.app.live.targets)
    await service.app.scheduler.drain()
    service.studio.fail(Delay(20.0), PAGE, 103)
    asked = len(service.studio.calls(PAGE, 103))
    service.app.watchlist.pull_now(OTHER)
    await service.until(lambda: len(service.studio.calls(PAGE, 103)) > asked)
    service.content["projects"] = [service.entry(101)]
    service.write()
    assert await service.app.reload()

    assert OTHER not in service.app.live.targets
    async with asyncio.timeout(10):
        await service.app.scheduler.drain()


async def test_nothing_is_asked_about_jobs_unless_wanted(service: Service) -> None:
    """Without `refresh` no job is started, nor is Studio asked before a pull whether one is needed."""
    service.studio.generated(101).edit(results=False)
    await service.app.start()
    await service.until(lambda: service.app.ready)
    await both_now(service)
    await service.until(lambda: {INT8, FLOAT32} <= service.app.live.snapshots.keys())

    assert PullState.NO_RESULTS is service.app.live.snapshots[INT8].state
    assert not service.studio.jobs
    assert not service.studio.calls("impulses-detailed", 101)


@pytest.mark.slow
async def test_entry_that_left_and_came_back_is_discovered(service: Service) -> None:
    """An entry that a reload removed while its first discovery hung, and that the next one brought back, is asked for
    its targets as soon as that discovery has ended, and not at the next time that discoveries come round.
    """
    both = service.content["projects"]
    service.content["projects"] = both[:1]
    service.content["studio"]["discover"] = "1d"
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready)
    hangs = service.studio.fail(Delay(20.0), project=103, times=None)
    for entries in (both, both[:1], both):
        service.content["projects"] = entries
        service.write()
        assert await service.app.reload()
        await asyncio.sleep(1)
    service.studio.heal(hangs)

    await service.until(lambda: OTHER in service.app.live.targets, within=60)


async def test_stop_does_not_wait_for_who_asks_whether_results_are_stale(service: Service) -> None:
    """A pull that waits to hear whether its results are to be renewed holds up no stop."""
    service.content["projects"] = [service.entry(101, refresh="when_stale")]
    service.content["shutdown_grace"] = "30s"
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready and INT8 in service.app.live.targets)
    await service.app.scheduler.drain()
    refused = service.studio.fail(Status(429, retry_after="100"), "impulses-detailed", 101)
    await both_now(service)
    await service.until(lambda: refused.met)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await service.app.stop()

    assert loop.time() - began < 5
