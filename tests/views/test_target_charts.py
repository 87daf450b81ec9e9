"""What charts read of the store, and what they keep of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.compare.result_charts import ResultCharts
from monitor.errors import PullState
from monitor.kept import Kept
from monitor.store import Run, Store
from monitor.views import target_charts
from monitor.views.cells import Cell
from monitor.views.target_charts import TargetCharts
from tests.factories import known
from tests.growth import TURNS, Costs
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, result_set


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    """Together the values weigh no more than allowed; one that alone weighs more is not kept; another value of a key
    takes its place.
    """
    kept: Kept[str] = Kept(10)
    kept.put("a", "one", 4)
    kept.put("b", "two", 4)
    assert "one" == kept.get("a")
    kept.put("c", "three", 4)
    assert ("one", None, "three") == (kept.get("a"), kept.get("b"), kept.get("c"))
    kept.put("d", "large", 11)
    assert (None, "one") == (kept.get("d"), kept.get("a"))
    kept.put("a", "again", 6)
    assert ("again", "three") == (kept.get("a"), kept.get("c"))


async def filled(store: Store, samples: int = 50) -> tuple[str, str]:
    """Two runs with a result set each; their fingerprints."""
    found = []
    for seed in (1, 2):
        results = result_set(samples, seed)
        run = Run(TARGET, seed, seed, PullState.OK, changed=True, evaluation=EVALUATION, comparison=COMPARISON)
        await add(store, run, results)
        found.append(results.fingerprint())
    return found[0], found[1]


async def test_everything_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and result sets that are kept are not read again, whoever asks, also at the same time; what another run
    added is.
    """
    reads: list[object] = []
    async with Store(f"sqlite:///{tmp_path}/store.db") as store:
        before, now = await filled(store)
        for name in ("results_with", "figures_of"):
            original = getattr(Store, name)

            async def counted(self: Store, *arguments: object, original: object = original) -> object:
                reads.append(arguments[-1])
                return await original(self, *arguments)  # type: ignore[operator]

            monkeypatch.setattr(Store, name, counted)
        charts = TargetCharts(store)
        scores = await asyncio.gather(*(charts.charts(TARGET, EVALUATION, now, before) for _ in range(5)))
        history = [await charts.history(TARGET, "all", 10.0, ()) for _ in range(3)]

        assert [now, before] == reads[:2]
        assert 3 == len(reads)
        assert all(each is scores[0] for each in scores)
        assert history[0] == history[1] == history[2]
        assert [1, 1] == [point.pulls for point in history[0].points]
        await add(store, Run(TARGET, 5, 5, PullState.OK, evaluation=replace(EVALUATION, samples=7)), result_set(7))
        newest = (await charts.history(TARGET, "all", 10.0, ())).points[-1]
        assert (7, 4) == (newest.found.samples, len(reads))
        assert ResultCharts() == await charts.charts(TARGET, EVALUATION, "gone", before)
        assert (await charts.charts(TARGET, EVALUATION, now, "gone")).scores.histograms[0].before is None
        assert await charts.cell(TARGET, "gone", Cell("idle", "wave"), "") is None


async def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result sets that do not fit are read again, and answered all the same."""
    monkeypatch.setattr(target_charts, "_COLUMNS_KEPT", 1)
    async with Store(f"sqlite:///{tmp_path}/store.db") as store:
        _, now = await filled(store)
        charts = TargetCharts(store)
        one, other = await charts.columns(TARGET, now), await charts.columns(TARGET, now)

        assert one is not other
        assert now == known(one).fingerprint() == known(other).fingerprint()


@pytest.mark.slow
async def test_a_large_set_costs_little_once_it_was_read(tmp_path: Path) -> None:
    """The history, scores and a cell of 40,000 samples with three windows each, once they were asked for, cost a few
    times as much as of 400.
    """
    costs = Costs()
    async with (
        Store(f"sqlite:///{tmp_path}/few.db") as small,
        Store(f"sqlite:///{tmp_path}/many.db") as large,
    ):
        asked = {size: (TargetCharts(of), *await filled(of, size)) for size, of in ((400, small), (40_000, large))}
        for size, (charts, before, now) in list(asked.items()) * TURNS:
            with costs.of(size):
                await charts.history(TARGET, "all", 10.0, ())
                scores = (await charts.charts(TARGET, EVALUATION, now, before)).scores
                page = await charts.cell(TARGET, now, Cell("idle", "wave"), "https://studio.example.com")

    assert 120_000 == sum(scores.histograms[0].now)
    assert (50, True) == (len(known(page).windows), known(page).count > 5_000)
    assert costs.ratio(40_000, 400) < 5
