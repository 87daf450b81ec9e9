"""`TargetCharts`: what the charts of a target need of the store, with small caches of what is worked out from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from monitor.alerts.rules import Rule
from monitor.alerts.states import AlertState
from monitor.compare.box_classes import box_class_figures
from monitor.figures.evaluation import Evaluation
from monitor.figures.histograms import ScoreDistributions, score_distributions
from monitor.kept import Kept
from monitor.results import ResultSet
from monitor.store import Queries
from monitor.targets import TargetKey, studio_page
from monitor.views import target_history
from monitor.views.cells import Cell, CellPage, cell_page
from monitor.views.classes import ByClass
from monitor.views.frames import Frame, frames
from monitor.views.samples import SamplesPage
from monitor.views.target_history import History, SetFigures

_FIGURES_KEPT = 5_000
"""Runs whose headline figures are kept: some hundred bytes each."""

_PAIRS_KEPT = 200
"""Charts of result sets that are kept: some kilobytes each."""

_COLUMNS_KEPT = 64 * 2**20
"""Bytes of result sets that are kept; larger ones are read again each time."""

T = TypeVar("T")


class TargetCharts:
    """Reads what charts need. Every method may raise `StoreError`.

    Args:
        store: Open, or to be opened.
    """

    def __init__(self, store: Queries) -> None:
        self._store = store
        self._figures: Kept[SetFigures] = Kept(_FIGURES_KEPT)
        self._scores: Kept[ScoreDistributions] = Kept(_PAIRS_KEPT)
        self._objects: Kept[ByClass] = Kept(_PAIRS_KEPT)
        self._columns: Kept[ResultSet] = Kept(_COLUMNS_KEPT)
        self._reading = asyncio.Lock()  # one at a time: two large result sets in memory are enough

    async def history(
        self, target_id: str, range_name: str, now: float, alerts: Iterable[AlertState], rules: Iterable[Rule]
    ) -> History:
        """A target's past; arguments as `target_history.history` takes them."""
        outlines = await self._store.outlines(target_id, target_history.since(range_name, now))
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
            target_history.history, target_id, range_name, now, outlines, found, tuple(alerts), tuple(rules)
        )

    async def scores(self, target_id: str, current: str, baseline: str | None) -> ScoreDistributions | None:
        """How the scores of a result set are distributed beside those of the baseline's, by their fingerprints; None
        where the store no longer has the result set.
        """
        return await self._of_pair(self._scores, target_id, current, baseline, score_distributions)

    async def baseline(self, target_id: str, fingerprint: str | None) -> Evaluation | None:
        """The figures of the baseline, by its fingerprint; None where there is none, or the store no longer has it."""
        run = None if fingerprint is None else await self._store.with_results(target_id, fingerprint)
        return None if run is None else run.evaluation

    async def both_objects(
        self, target_id: str, evaluation: Evaluation | None, current: str | None, baseline: str | None
    ) -> tuple[ByClass, ByClass]:
        """`objects` of a result set and of its baseline's; nothing is read of models that find nothing in images."""
        if evaluation is None or evaluation.detection is None:
            return {}, {}
        now = await self.objects(target_id, current) if current is not None else {}
        return now, await self.objects(target_id, baseline) if baseline is not None else {}

    async def objects(self, target_id: str, fingerprint: str) -> ByClass:
        """Figures by class of what the model finds in images; empty where it finds nothing, or the store no longer has
        the result set.
        """
        found = await self._of_pair(self._objects, target_id, fingerprint, None, lambda now, _: box_class_figures(now))
        return found or {}

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

    async def _of_pair(
        self,
        kept: Kept[T],
        target_id: str,
        current: str,
        baseline: str | None,
        compute: Callable[[ResultSet, ResultSet | None], T],
    ) -> T | None:
        """What follows from one or two result sets, worked out once in a thread; None where the first is gone."""
        key = (target_id, current, baseline)
        if (known := kept.get(key)) is not None:
            return known
        now = await self.columns(target_id, current)
        if now is None:
            return None
        before = None if baseline is None else await self.columns(target_id, baseline)
        async with self._reading:
            if (known := kept.get(key)) is None:
                known = await asyncio.to_thread(compute, now, before)
                kept.put(key, known)
            return known

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
