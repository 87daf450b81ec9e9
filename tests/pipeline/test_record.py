"""What the service remembers: figures over a restart, baselines, comparisons, and a store that fails."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.compare.comparison import compare
from monitor.errors import PullState
from monitor.pipeline.baselines import pin, unpin
from monitor.service import store_upkeep
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Status
from monitor.store import Run, Store
from monitor.views.history import baseline_statuses
from tests.clock import Clock
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

GESTURES, PRESS, PUMP = "101-1-int8-testing", "103-1-int8-testing", "104-1-int8-testing"


@pytest.fixture
async def studio() -> Studio:
    """A classifier, one with a K-means block, and a Gaussian mixture."""
    return Studio([projects.classification(), projects.kmeans(), projects.gmm()])


@pytest.fixture
async def service(studio: Studio, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that pulls the classifier every second, not started yet."""
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["projects"] = [service.entry(101)]
        service.write()
        yield service
        await service.app.stop()


def store_of(service: Service) -> Store:
    """The service's store, opened a second time, as another program would."""
    return Store(f"sqlite:///{service.path.parent}/impulse-monitor.db")


async def runs(service: Service, target_id: str = GESTURES) -> list[Run]:
    """All runs of a target."""
    async with store_of(service) as store:
        return await store.runs(target_id)


async def changed(service: Service, target_id: str = GESTURES) -> None:
    """Wait for the next pull that finds another result set."""
    before = service.app.live.snapshots[target_id].fingerprint
    await service.until(lambda: service.app.live.snapshots[target_id].fingerprint != before)


async def again(service: Service, target_id: str = GESTURES) -> None:
    """Wait for one whole pull more."""
    before = service.app.live.snapshots[target_id].last_pull
    await service.until(lambda: service.app.live.snapshots[target_id].last_pull > before + 1)


def change(service: Service, metric: str = "accuracy", target_id: str = GESTURES) -> dict[str, float]:
    """The causes of a change, as shown now."""
    comparison = service.app.live.snapshots[target_id].comparison
    assert comparison is not None
    found = comparison.change(metric)
    assert found is not None
    return dict(found.causes)


async def test_first_run_is_the_baseline(service: Service) -> None:
    """The first good run becomes the pinned baseline; against itself nothing changed, and every
    cause is exported as 0.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    first = (await runs(service))[0]

    assert {"total": 0.0, "model": 0.0, "labels": 0.0, "thresholds": 0.0, "added": 0.0, "removed": 0.0} == change(
        service
    )
    assert {GESTURES: first.finished} == await service.series("edge_impulse_baseline_timestamp_seconds")
    async with store_of(service) as store:
        pinned = await store.baseline(GESTURES, "pinned")
    assert pinned is not None
    assert (first.id, "first run here: nothing to compare with") == (pinned.run_id, pinned.why)


async def test_first_run_says_so(service: Service) -> None:
    """A first baseline says on the target's page and in the comparison that there was nothing to compare with, until
    there is.
    """
    said = "first run here: nothing to compare with"
    await service.app.start()
    await service.pulled(GESTURES)
    first = service.app.live.snapshots[GESTURES].comparison
    status, page = await service.get(f"/targets/{GESTURES}")
    async with store_of(service) as store:
        (shown,) = await baseline_statuses(store, GESTURES)
    service.studio.generated(101).retrain(quality=-1.5)
    await changed(service)
    later = service.app.live.snapshots[GESTURES].comparison

    assert first is not None
    assert later is not None
    assert (said,) == first.notes == shown.notes
    assert (200, True) == (status, said in page.lower())
    assert said not in later.notes


async def test_a_cleared_baseline_is_no_first_run(service: Service) -> None:
    """Where the store has earlier runs, the run that becomes the baseline after the old one was cleared is not called
    the first.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    async with store_of(service) as store:
        assert await unpin(store, GESTURES)
    await again(service)
    async with store_of(service) as store:
        pinned = await store.baseline(GESTURES, "pinned")
    comparison = service.app.live.snapshots[GESTURES].comparison

    assert pinned is not None
    assert "the first good run since the baseline was cleared" == pinned.why
    assert comparison is not None
    assert "first run here: nothing to compare with" not in comparison.notes


async def test_what_changed_is_told(service: Service) -> None:
    """After the samples were relabelled and the model trained again, the parts are told apart and add up."""
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).retrain(quality=-1.5)
    await changed(service)
    trained = change(service)

    assert trained["model"] == trained["total"] < -0.05
    service.studio.generated(101).edit(relabelled=0.2)
    await changed(service)
    both = change(service)
    assert both["labels"] < -0.05
    assert both["model"] < -0.05
    assert sum(both[cause] for cause in ("model", "labels", "added", "removed")) == pytest.approx(
        both["total"], abs=1e-12
    )
    notes = service.app.live.snapshots[GESTURES].comparison
    assert notes is not None
    assert "the model was trained again since the baseline" in notes.notes


async def test_samples_that_changed_sides_are_kept(service: Service) -> None:
    """With a run that changed the store gets the lists of samples, which say which result sets were compared, and the
    comparison their counts; a quiet pull changes nothing of it.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    async with store_of(service) as store:
        first = await store.changed_index(GESTURES)
        service.studio.generated(101).retrain(quality=-1.5)
        await changed(service)
        index = await store.changed_index(GESTURES)
        await again(service)
        assert index is not None
        assert index == await store.changed_index(GESTURES)
        windows, _ = await store.changed_windows(GESTURES, index, "newly_wrong", limit=10_000)

    (before, *_, after) = [run for run in await runs(service) if run.comparison is not None]
    assert first is not None
    assert 0 == first.samples["newly_wrong"]
    assert (before.fingerprint, after.fingerprint) == (index.baseline, index.current)
    assert after.comparison is not None
    assert index.samples == after.comparison.changed_samples
    assert len({window.sample_id for window in windows}) == index.samples["newly_wrong"] > 0
    assert all(window.filename for window in windows)


async def test_figures_outlive_a_restart(service: Service) -> None:
    """After a restart the figures are there before anything was pulled, although Studio does not answer; and nothing
    changed by it.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).retrain(quality=-1.5)
    await changed(service)
    before = service.app.live.snapshots[GESTURES]
    await service.restart(lambda: service.studio.fail(Delay(1.0), "impulses", times=None))

    await service.until(lambda: GESTURES in service.app.live.snapshots)
    shown = service.app.live.snapshots[GESTURES]
    assert before.evaluation == shown.evaluation
    assert before.comparison == shown.comparison
    assert (before.last_change, before.fingerprint, before.last_success) == (
        shown.last_change,
        shown.fingerprint,
        shown.last_success,
    )
    await again(service)
    assert before.last_change == service.app.live.snapshots[GESTURES].last_change
    assert [False, True] == sorted({run.changed for run in await runs(service)})


async def test_an_unchanged_set_is_read_once_over_a_restart(service: Service) -> None:
    """The first set of all is read twice, because it becomes the baseline; after that, and after a restart, each pull
    reads once.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    await again(service)
    await service.restart()
    await again(service)
    await service.app.stop()

    readings = [request for request in service.studio.calls("result/page") if request.query["offset"] == "0"]
    found = await runs(service)
    assert {PullState.OK} == {run.state for run in found}
    assert 1 + sum(run.times for run in found) == len(readings)


async def test_stale_figures_do_not_come_back(service: Service, clock: Clock) -> None:
    """What is older than `stale_after` is not shown after a restart, but a result set that differs from it is a change
    all the same.
    """
    service.content["stale_after"] = "5m"
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    fault = service.studio.fail(Status(403), "impulses", times=None)

    def meanwhile() -> None:
        service.studio.generated(101).retrain()
        clock.go_on(301)

    await service.restart(meanwhile)
    assert {} == service.app.live.snapshots
    service.studio.heal(fault)
    await service.pulled(GESTURES)
    assert service.app.live.snapshots[GESTURES].last_change is not None


async def test_known_targets_are_pulled_although_discovery_fails(service: Service) -> None:
    """After a restart with a Studio that refuses discovery, the targets known before are pulled on."""
    await service.app.start()
    await service.pulled(GESTURES)
    fault = service.studio.fail(Status(403), "impulses", times=None)
    await service.restart()
    await again(service)

    assert PullState.AUTH is service.app.live.projects[101].state
    assert PullState.OK is service.app.live.snapshots[GESTURES].state
    service.studio.heal(fault)


async def test_failed_pulls_are_remembered(service: Service) -> None:
    """A failed pull is a run of its own, with its error; it keeps the figures and the comparison."""
    await service.app.start()
    await service.pulled(GESTURES)
    shown = service.app.live.snapshots[GESTURES]
    service.studio.fail(Status(403), "result/page", times=None)
    await service.until(lambda: service.app.live.snapshots[GESTURES].state is PullState.AUTH)
    await again(service)
    last = (await runs(service))[-1]

    assert (PullState.AUTH, None, None) == (last.state, last.fingerprint, last.evaluation)
    assert "403" in last.error or "refused" in last.error
    assert shown.comparison == service.app.live.snapshots[GESTURES].comparison


async def test_pinning_another_run(service: Service) -> None:
    """A run that another program pins is the baseline from the next pull on, with an unchanged result set too; cleared,
    the next run is.
    """
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).retrain(quality=-1.5)
    await changed(service)
    await again(service)
    assert change(service)["total"] < -0.05
    async with store_of(service) as store:
        last = await store.last_good(GESTURES)
        assert last is not None
        await pin(store, last, "a test", 1.0)
    await again(service)

    assert 0.0 == change(service)["total"]
    async with store_of(service) as store:
        assert await unpin(store, GESTURES)
        assert not await unpin(store, GESTURES)
    await again(service)
    async with store_of(service) as store:
        pinned = await store.baseline(GESTURES, "pinned")
    assert pinned is not None
    assert pinned.run_id > (last.id or 0)


async def test_only_good_runs_can_be_pinned(service: Service) -> None:
    """A failed run has nothing to compare with: pinning it is refused in words."""
    service.studio.fail(Status(403), "result/page", times=None)
    await service.app.start()
    await service.until(lambda: GESTURES in service.app.live.snapshots)
    async with store_of(service) as store:
        (run, *_) = await store.runs(GESTURES)
        with pytest.raises(ValueError, match="only a good run can be a baseline"):
            await pin(store, run, "a test", 1.0)


@pytest.mark.parametrize("mode", [{"mode": "previous"}, {"mode": "rolling", "age": "2s"}])
async def test_other_modes(service: Service, mode: dict[str, str]) -> None:
    """`previous` is the last run with other results, `rolling` the newest of some age; before there is one nothing is
    compared.
    """
    service.content["baseline"] = mode
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    assert service.app.live.snapshots[GESTURES].comparison is None
    first = service.app.live.snapshots[GESTURES]
    service.studio.generated(101).retrain(quality=-1.5)
    await service.until(lambda: (service.app.live.snapshots[GESTURES].comparison or None) is not None)
    await service.until(lambda: change(service)["total"] < -0.05)
    comparison = service.app.live.snapshots[GESTURES].comparison
    assert comparison is not None
    assert (mode["mode"], first.fingerprint) == (comparison.baseline.mode, comparison.baseline.fingerprint)
    async with store_of(service) as store:
        kept = await store.baseline(GESTURES, mode["mode"])
        assert kept is not None
        compared_with = await store.run(kept.run_id)
    assert compared_with is not None
    assert compared_with.finished == comparison.baseline.timestamp
    if mode["mode"] == "rolling":
        await service.until(lambda: change(service)["total"] == 0)


async def test_changed_filters_begin_a_new_baseline(service: Service) -> None:
    """With other filters the first run is a new baseline, pinned as such, and the old runs are none."""
    await service.app.start()
    await service.pulled(GESTURES)
    labels = list((await runs(service))[0].evaluation.quality.classes)[:2]  # type: ignore[union-attr]
    service.content["projects"] = [service.entry(101, filters={"labels": labels})]
    service.write()
    assert await service.app.reload()
    await changed(service)

    assert {0.0} == set(change(service).values())
    async with store_of(service) as store:
        pinned = await store.baseline(GESTURES, "pinned")
        assert pinned is not None
        assert "the first good run with these filters" == pinned.why
        run = await store.run(pinned.run_id)
    assert run is not None
    assert all(label in run.selection for label in labels)


async def test_drift_is_exported_and_goes_on_after_a_restart(service: Service) -> None:
    """New samples that score higher raise the evidence, which a restart and a repeated pull leave where it was."""
    service.studio.generated(104).edit(shift=2.0)
    service.content["projects"] = [service.entry(104, group_by="none")]
    service.write()
    await service.app.start()
    await service.pulled(PUMP)
    assert {PUMP: 0.0} == dict.fromkeys(await service.series("edge_impulse_baseline_timestamp_seconds"), 0.0)
    service.studio.generated(104).edit(added=40)
    await changed(service, PUMP)

    (drift,) = service.app.live.snapshots[PUMP].comparison.drifts  # type: ignore[union-attr]
    assert drift.added == 40
    assert drift.evidence > 2
    assert {PUMP: drift.evidence} == await service.series("edge_impulse_anomaly_drift_evidence")
    await service.restart()
    await service.pulled(PUMP)
    await again(service, PUMP)
    assert drift == service.app.live.snapshots[PUMP].comparison.drifts[0]  # type: ignore[union-attr]
    service.studio.generated(104).edit(added=60)
    await changed(service, PUMP)
    (later,) = service.app.live.snapshots[PUMP].comparison.drifts  # type: ignore[union-attr]
    assert (60, True) == (later.added, later.evidence > drift.evidence)


async def test_no_verdict_twice_on_the_same_result_set(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged result set is not compared again: no p-value is taken anew, and what is shown are the same objects,
    by which the exposition knows that it need not write them again.
    """
    from monitor.pipeline import comparer

    compared = []
    true_compare = compare

    def counting(*arguments: Any) -> Any:
        compared.append(arguments)
        return true_compare(*arguments)

    monkeypatch.setattr(comparer, "compare", counting)
    await service.app.start()
    await service.pulled(GESTURES)
    first = service.app.live.snapshots[GESTURES]
    await again(service)
    await again(service)

    assert 1 == len(compared)
    last = service.app.live.snapshots[GESTURES]
    assert last.last_success != first.last_success
    assert last.comparison is first.comparison is not None
    assert last.evaluation is first.evaluation is not None


async def test_locked_store(service: Service) -> None:
    """While another program holds the store it is not ready and says why; figures are pulled and shown; afterwards it
    goes on by itself.
    """
    service.content["stale_after"] = "1m"  # the first pull waits for the lock before it is given up
    service.write()
    await service.app.start()
    await service.pulled(GESTURES)
    with sqlite3.connect(service.path.parent / "impulse-monitor.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        await service.until(lambda: not service.app.ready, within=120)
        status, text = await service.get("/-/ready")
        assert 503 == status
        assert "locked" in text
        service.studio.generated(101).retrain(quality=-1.5)
        await changed(service)
        assert {GESTURES} == set(await service.series("edge_impulse_accuracy_ratio"))
        other.execute("ROLLBACK")
    other.close()
    await service.until(lambda: service.app.ready, within=120)
    await again(service)

    assert change(service)["model"] < -0.05
    assert 200 == (await service.get("/-/ready"))[0]


async def test_store_that_cannot_be_opened(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file keeps the service from being ready, not from pulling; once it is gone all is well."""
    monkeypatch.setattr(store_upkeep, "CHECK", 0.2)
    path = service.path.parent / "impulse-monitor.db"
    path.write_bytes(b"this is no database, but long enough to be looked at" * 100)
    await service.app.start()
    await service.pulled(GESTURES)
    status, text = await service.get("/-/ready")

    assert 503 == status
    assert f"{path.parent.name}/{path.name} is not a SQLite database" in text  # a long path keeps its end
    assert {GESTURES} == set(await service.series("edge_impulse_accuracy_ratio"))
    assert service.app.live.snapshots[GESTURES].comparison is None
    path.unlink()
    await service.until(lambda: service.app.ready, within=120)
    await service.until(lambda: service.app.live.snapshots[GESTURES].comparison is not None)
    assert {0.0} == set(change(service).values())


async def test_damaged_baseline(service: Service) -> None:
    """A baseline whose result set is damaged costs the comparison, and says what to do; runs are remembered on."""
    await service.app.start()
    await service.pulled(GESTURES)
    with sqlite3.connect(service.path.parent / "impulse-monitor.db") as other:
        other.execute("UPDATE result_set SET data = x'00'")
    other.close()
    service.studio.generated(101).retrain(quality=-1.5)
    await changed(service)
    comparison = service.app.live.snapshots[GESTURES].comparison

    assert comparison is not None
    assert () == comparison.changes
    assert "pin another run" in comparison.notes[0]
    assert service.app.ready
    assert service.app.live.snapshots[GESTURES].fingerprint == (await runs(service))[-1].fingerprint


async def test_bug_in_the_comparison_costs_only_the_comparison(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error while comparing is said, and neither the figures nor the record are lost."""
    from monitor.pipeline import comparer

    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(comparer, "compare", broken)
    await service.app.start()
    await service.pulled(GESTURES)
    comparison = service.app.live.snapshots[GESTURES].comparison

    assert comparison is not None
    assert ("the comparison failed, see the log",) == comparison.notes
    assert PullState.OK is service.app.live.snapshots[GESTURES].state
    assert (await runs(service))[-1].evaluation is not None
