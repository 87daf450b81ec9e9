"""`TargetCharts`: what the charts of a target need of the store, with small caches of what is worked out from it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from monitor.alerts.rules import Rule
from monitor.compare.result_charts import ResultCharts, result_charts
from monitor.figures.evaluation import Evaluation
from monitor.kept import Kept
from monitor.results import ResultSet
from monitor.store import Queries
from monitor.targets import TargetKey, studio_page
from monitor.views import target_history
from monitor.views.cells import Cell, CellPage, cell_page
from monitor.views.frames import Frame, frames
from monitor.views.samples import SamplesPage
from monitor.views.target_history import History, SetFigures

_FIGURES_KEPT = 5_000
"""Runs whose headline figures are kept: some hundred bytes each."""

_PAIRS_KEPT = 200
"""Charts of result sets that are kept: some kilobytes each."""

_COLUMNS_KEPT = 64 * 2**20
"""Bytes of result sets that are kept; larger ones are read again each time."""


class TargetCharts:
    """Reads what charts need. Every method may raise `StoreError`.

    Args:
        store: Open, or to be opened.
    """

    def __init__(self, store: Queries) -> None:
        self._store = store
        self._figures: Kept[SetFigures] = Kept(_FIGURES_KEPT)
        self._charts: Kept[ResultCharts] = Kept(_PAIRS_KEPT)
        self._columns: Kept[ResultSet] = Kept(_COLUMNS_KEPT)
        self._reading = asyncio.Lock()  # one at a time: two large result sets in memory are enough

    async def history(self, target_id: str, range_name: str, now: float, rules: Iterable[Rule]) -> History:
        """A target's past; arguments as `target_history.history` takes them."""
        since = target_history.since(range_name, now)
        outlines = await self._store.outlines(target_id, since)
        fired = await self._store.firing_times(target_id, since, target_history.MOST_FIRINGS)
        sets, _ = target_history.chosen(outlines)
        wanted = {run.id: (target_id, run.digest) for run in target_history.wanted(sets)}
        found = {number: known for number, key in wanted.items() if (known := self._figures.get(key)) is not None}
        missing = wanted.keys() - found.keys()
        if missing:
            stored = await self._store.figures_of(missing)
            read = await asyncio.to_thread(lambda: {run: SetFigures.of(each) for run, each in stored.items()})
            for number, figures in read.items():
                self._figures.put(wanted[number], figures)
            found |= read
        return await asyncio.to_thread(
            target_history.history, target_id, range_name, now, outlines, found, fired, tuple(rules)
        )

    async def charts(
        self, target_id: str, evaluation: Evaluation | None, current: str | None, baseline: str | None
    ) -> ResultCharts:
        """What charts show of a result set beside the baseline's, by their fingerprints: as the run that compared them
        left it in the store, else worked out once, in a thread. Nothing where the store no longer has the result set.
        """
        if evaluation is None or current is None or not _has_charts(evaluation):
            return ResultCharts()
        key = (target_id, current, baseline)
        if (known := self._charts.get(key)) is not None:
            return known
        found = None if baseline is None else await self._store.result_charts(target_id, current, baseline)
        if found is not None:
            self._charts.put(key, found)
            return found
        now = await self.columns(target_id, current)  # no run of this version has compared them
        if now is None:
            return ResultCharts()
        before = None if baseline is None else await self.columns(target_id, baseline)
        async with self._reading:
            if (known := self._charts.get(key)) is None:
                known = await asyncio.to_thread(result_charts, now, before, evaluation.group_by, evaluation.units)
                self._charts.put(key, known)
            return known

    async def baseline(self, target_id: str, fingerprint: str | None) -> Evaluation | None:
        """The figures of the baseline, by its fingerprint; None where there is none, or the store no longer has it."""
        run = None if fingerprint is None else await self._store.with_results(target_id, fingerprint)
        return None if run is None else run.evaluation

    async def frames(
        self, target_id: str, evaluation: Evaluation | None, page: SamplesPage | None
    ) -> dict[int, Frame] | None:
        """The images of a page of samples, by id, in a thread; None of models that find nothing in images."""
        if evaluation is None or evaluation.detection is None or page is None or page.index is None:
            return None
        if not page.windows:
            return {}
        now = await self.columns(target_id, page.index.current)
        before = await self.columns(target_id, page.index.baseline)
        ids = [window.sample_id for window in page.windows]
        return await asyncio.to_thread(frames, ids, now, before)

    async def cell(self, target_id: str, fingerprint: str, wanted: Cell, site: str) -> CellPage | None:
        """A page of the windows of a cell of the confusion matrix, as `cell_page` has it; None where the store no
        longer has the result set.

        Args:
            target_id: Whose.
            fingerprint: Of the result set.
            wanted: Which page.
            site: Where Studio's pages are.
        """
        results = await self.columns(target_id, fingerprint)
        if results is None:
            return None
        url = studio_page(site, TargetKey.parse(target_id))
        return await asyncio.to_thread(cell_page, target_id, results, fingerprint, wanted, url)

    async def columns(self, target_id: str, fingerprint: str) -> ResultSet | None:
        """A result set of the target; None where the store no longer has it."""
        key = (target_id, fingerprint)
        if (kept := self._columns.get(key)) is not None:
            return kept
        async with self._reading:
            if (kept := self._columns.get(key)) is not None:
                return kept
            found = await self._store.results_with(target_id, fingerprint)
            if found is not None:
                self._columns.put(key, found, await asyncio.to_thread(found.nbytes))
            return found


def _has_charts(evaluation: Evaluation) -> bool:
    """Whether there is anything in a result set that only charts show."""
    return bool(evaluation.anomalies or evaluation.calibration or evaluation.detection)
