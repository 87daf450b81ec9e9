"""What `RunRecorder` makes of runs whose order of events is the test's: ages, stores that fail in between, damaged
figures.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.compare.comparison import compare
from monitor.config import BaselineConfig
from monitor.figures import EvaluationSettings, evaluate
from monitor.pipeline import comparer
from monitor.pipeline.baselines import pin
from monitor.pipeline.found import Found
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Policy
from monitor.results import Block, BlockKind, ResultSet
from monitor.store import Store, StoreUnavailable, Transaction
from monitor.store.engine import parse
from monitor.targets import Target, TargetKey
from tests.factories import result_set, snapshot
from tests.live.live_parts import watch_of

TARGET = "104-1-int8-testing"
KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 1.0})
DAY = 86400.0


def scored(samples: int, shift: float = 0.0) -> ResultSet:
    """So many samples with a normal anomaly score each, those of a model whose scores are higher by `shift`."""
    return result_set(
        samples, blocks=(KMEANS,), anomaly={KMEANS.id: np.random.default_rng(1).normal(size=samples) + shift}
    )


class Runs:
    """The runs of one target, each remembered at a time of the test's choosing."""

    def __init__(self, store: Store, workers: ThreadPoolExecutor, baseline: BaselineConfig) -> None:
        self.store, self._workers, self.policy = store, workers, Policy(baseline)
        self.start()

    def start(self) -> None:
        """Begin as a process does that knows nothing."""
        self._recorder, self._cache = RunRecorder(self.store, self._workers), TargetCache()
        self.shown = snapshot(
            Target(TargetKey.parse(TARGET), "pump", "rpm"), stale_after=60.0, last_pull=0.0, last_success=None
        )

    async def pull(self, now: float, results: ResultSet) -> Snapshot:
        """A good run that ends at `now`."""
        fingerprint, evaluation = results.fingerprint(), evaluate(results, EvaluationSettings(), 1)
        changed = self.shown.fingerprint not in (None, fingerprint)
        after = replace(
            self.shown,
            last_pull=now,
            last_success=now,
            last_change=now if changed else self.shown.last_change,
            fingerprint=fingerprint,
            evaluation=evaluation,
        )
        found = Found(results, fingerprint, evaluation, None, None)
        watch = watch_of(self.shown.target, policy=self.policy)
        self.shown, _ = await self._recorder.record(watch, self.shown, after, found, now, self._cache)
        return self.shown


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        yield store


@pytest.fixture
def workers() -> ThreadPoolExecutor:
    """Threads for computing; they end by themselves."""
    return ThreadPoolExecutor(1)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each comparison that was computed."""
    calls: list[object] = []
    true_compare = compare

    def counting(*arguments: Any) -> Any:
        calls.append(arguments)
        return true_compare(*arguments)

    monkeypatch.setattr(comparer, "compare", counting)
    return calls


async def test_rolling_baseline_of_a_quiet_target(
    store: Store, workers: ThreadPoolExecutor, compared: list[object]
) -> None:
    """As long as the runs of that age say the same, an unchanged result set is not compared again, however many there
    are.
    """
    runs = Runs(store, workers, BaselineConfig.model_validate({"mode": "rolling", "age": "1d"}))
    for hour in range(40):
        await runs.pull(hour * 3600.0, scored(200))

    assert len(compared) == 1
    assert runs.shown.comparison is not None
    assert runs.shown.comparison.baseline.timestamp == 0.0
    baseline = await store.baseline(TARGET, "rolling")
    assert baseline is not None
    assert 40 == sum(run.times for run in await store.runs(TARGET))
    assert await store.prune(1e9) == 0
    assert await store.run(baseline.run_id) is not None


async def test_paired_test_under_a_rolling_baseline(store: Store, workers: ThreadPoolExecutor) -> None:
    """A new model is tested once against the old one's result set, although a newer run gets old with each pull."""
    runs = Runs(store, workers, BaselineConfig.model_validate({"mode": "rolling", "age": "1d"}))
    for hour in range(30):
        await runs.pull(hour * 3600.0, scored(200))
    first = (await runs.pull(30 * 3600.0, scored(200, shift=0.12))).comparison
    later = (await runs.pull(31 * 3600.0, scored(240, shift=0.12))).comparison

    assert first is not None
    assert later is not None
    assert first.drifts[0].pvalues["model"] < 0.01
    assert first.drifts[0].pvalues["model"] == later.drifts[0].pvalues["model"]
    assert first.baseline == later.baseline
    moved_on = (await runs.pull(31 * 3600.0 + DAY, scored(240, shift=0.12))).comparison
    assert moved_on is not None
    assert "model" not in moved_on.drifts[0].pvalues


async def test_what_could_not_be_written_is_compared_again(
    store: Store, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What drift remembers of a comparison whose run the store refused is not lost: the next pull of the same result
    set writes it.
    """
    runs = Runs(store, workers, BaselineConfig())
    await runs.pull(0.0, scored(200))

    async def refuse(*arguments: object) -> int:
        raise StoreUnavailable("full")

    with monkeypatch.context() as full:
        full.setattr(Transaction, "add_run", refuse)
        refused = await runs.pull(1.0, scored(240, shift=0.5))
    again = await runs.pull(2.0, scored(240, shift=0.5))
    states = await store.drift_states(TARGET)

    assert len(await store.runs(TARGET)) == 2
    assert again.comparison is not None
    assert refused.comparison is not None
    assert again.comparison.drifts[0].pvalues == refused.comparison.drifts[0].pvalues
    decision = states[KMEANS.id].decision
    assert decision is not None
    assert decision.pvalue == refused.comparison.drifts[0].pvalues["model"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_change_that_no_store_saw(
    store: Store, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """A result set that changed while the store was away, or before a process that never reached it, is a change in the
    history.
    """
    runs = Runs(store, workers, BaselineConfig())
    await runs.pull(0.0, scored(200))
    await runs.pull(1.0, scored(220))
    if restarted:
        runs.start()
    with monkeypatch.context() as away:
        away.setattr(Store, "problem", property(lambda store: StoreUnavailable("away")))
        await runs.pull(2.0, scored(240))
    shown = await runs.pull(3.0, scored(240))
    await runs.pull(4.0, scored(240))

    found = [(run.changed, run.times) for run in await store.runs(TARGET)]
    assert [(False, 1), (True, 1), (True, 2)] == found
    when = 3.0 if restarted else 2.0
    assert when == shown.last_change == (await store.runs(TARGET))[-1].last_change


async def test_last_change_outlives_a_process_that_began_without_the_store(
    store: Store, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing has changed meanwhile, the last change is the one that the store knew of."""
    runs = Runs(store, workers, BaselineConfig())
    await runs.pull(0.0, scored(200))
    await runs.pull(1.0, scored(220))
    runs.start()
    with monkeypatch.context() as away:
        away.setattr(Store, "problem", property(lambda store: StoreUnavailable("away")))
        await runs.pull(2.0, scored(220))
    shown = await runs.pull(3.0, scored(220))

    assert shown.last_change == 1.0
    assert [(False, 1), (True, 2)] == [(run.changed, run.times) for run in await store.runs(TARGET)]


@pytest.mark.parametrize("baseline", [BaselineConfig(), BaselineConfig(mode="previous")])
async def test_damaged_figures_of_the_baseline(
    store: Store, workers: ThreadPoolExecutor, tmp_path: Path, baseline: BaselineConfig
) -> None:
    """Figures of the baseline that cannot be read cost the comparison, which says so, and not the record of the runs
    since.
    """
    runs = Runs(store, workers, baseline)
    await runs.pull(0.0, scored(200))
    engine = create_async_engine(parse(f"sqlite:///{tmp_path}/x.db"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE figures SET evaluation = '{}'"))
    await engine.dispose()
    comparison = (await runs.pull(1.0, scored(220))).comparison

    assert comparison is not None
    assert comparison.broken
    assert "pin another run" in comparison.notes[0]
    assert [1.0] == [run.finished for run in await store.runs(TARGET, since=1.0)]
    pinned = await store.baseline(TARGET, "pinned")
    assert pinned is not None
    assert pinned.since == 0.0


async def test_comparison_that_failed_is_tried_again_after_a_restart(
    store: Store, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the comparison is not remembered for ever: another process, perhaps of another version, tries the same
    result set again.
    """
    runs = Runs(store, workers, BaselineConfig())
    await runs.pull(0.0, scored(200))
    with monkeypatch.context() as bug:
        bug.setattr(comparer, "compare", lambda *arguments: 1 / 0)
        broken = await runs.pull(1.0, scored(220))
    kept = (await runs.pull(2.0, scored(220))).comparison
    assert broken.comparison is not None
    assert broken.comparison.broken
    assert kept == broken.comparison
    runs.start()
    runs.shown = broken
    mended = (await runs.pull(3.0, scored(220))).comparison

    assert mended is not None
    assert not mended.broken


async def test_pinning_a_run_with_other_filters(store: Store, workers: ThreadPoolExecutor) -> None:
    """A run whose filters took other samples is refused: the next run would replace it at once, without a word."""
    runs = Runs(store, workers, BaselineConfig())
    await runs.pull(0.0, scored(200))
    runs.policy = Policy(BaselineConfig(), selection="labels: idle")
    await runs.pull(1.0, scored(220))
    old, new = await store.runs(TARGET)

    with pytest.raises(ValueError, match="took other samples than the last good run"):
        await pin(store, old, "a test", 2.0)
    await pin(store, new, "a test", 2.0)
    pinned = await store.baseline(TARGET, "pinned")
    assert pinned is not None
    assert (new.id, "a test") == (pinned.run_id, pinned.why)


async def test_baselines_of_modes_that_are_no_longer_wanted(store: Store, workers: ThreadPoolExecutor) -> None:
    """Once another mode is configured, the run that the one before had chosen is a baseline no longer."""
    runs = Runs(store, workers, BaselineConfig(mode="previous"))
    await runs.pull(0.0, scored(200))
    await runs.pull(1.0, scored(220))
    assert ["pinned", "previous"] == [baseline.mode for baseline in await store.baselines(TARGET)]
    pinned = Runs(store, workers, BaselineConfig())
    pinned.shown = runs.shown
    await pinned.pull(2.0, scored(220))

    assert ["pinned"] == [baseline.mode for baseline in await store.baselines(TARGET)]
