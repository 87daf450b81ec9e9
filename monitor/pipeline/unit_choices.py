"""Which unit the statistics of a target take: what its pinned baseline chose, known before a run is evaluated.

A baseline of too few groups cannot tell. Then the first run that can is noted beside the pinned one, and what it chose
is kept as long as that is pinned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from monitor.figures.evaluation import FIGURES_VERSION
from monitor.figures.groups import groups_of
from monitor.figures.units import UnitChoices, choose_units, settled
from monitor.pipeline.target_cache import TargetCache
from monitor.results import ResultSet
from monitor.store import BaselineRun, Run, Store

PINNED = "pinned"
"""The baseline that is pinned, whatever the mode."""

UNITS = "units"
"""The run that chose the units which the pinned baseline could not choose, noted in the store as a baseline is."""

CHOSEN_LATER = "the first run with enough groups to tell which samples are alike"

InWorker = Callable[..., Awaitable[Any]]


async def baseline_units(
    store: Store,
    baselines: Sequence[BaselineRun],
    group_by: str,
    selection: str,
    cache: TargetCache,
    in_worker: InWorker,
) -> UnitChoices | None:
    """What the baseline says is independent; None where the next good run becomes the baseline, and says so itself.

    Read from the figures of the runs in question; computed from their result sets where other formulas made those, or
    samples were grouped otherwise.

    Args:
        store: Open.
        baselines: Of the target.
        group_by: As `groups_of` takes it.
        selection: Which samples are taken: a baseline of others is none.
        cache: Of the target.
        in_worker: Calls a function in a worker thread.

    Raises:
        StoreError: The store, or a run in it, cannot be read.
    """
    rows = {row.baseline.mode: row.baseline.run_id for row in baselines}
    if PINNED not in rows:
        return None
    key = (rows[PINNED], rows.get(UNITS), group_by, selection)
    if cache.units is not None and cache.units[0] == key:
        return cache.units[1]
    pinned = await store.run(rows[PINNED])
    if pinned is None or pinned.selection != selection:
        return None
    choices = await _of(store, pinned, group_by, in_worker)
    later = await store.run(rows[UNITS]) if UNITS in rows else None
    if later is not None:
        choices = settled(choices, await _of(store, later, group_by, in_worker))
    cache.units = key, choices
    return choices


async def _of(store: Store, run: Run, group_by: str, in_worker: InWorker) -> UnitChoices:
    """What a run chose by itself."""
    evaluation = run.evaluation
    if evaluation is not None and run.versions.evaluation == FIGURES_VERSION and evaluation.group_by == group_by:
        return evaluation.units
    results = await store.results(run.id) if run.id is not None else None
    found: UnitChoices = {} if results is None else await in_worker(_chosen, results, group_by)
    return found


def _chosen(results: ResultSet, group_by: str) -> UnitChoices:
    groups = groups_of(results, group_by)
    return {} if groups is None else choose_units(results, groups)
