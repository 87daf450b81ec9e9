"""The result sets of stored runs, as comparisons need them."""

from __future__ import annotations

from monitor.compare.drift import ComparedRun
from monitor.results import ResultSet
from monitor.store import Run, Store, StoreCorrupt


async def results_of(store: Store, run: Run) -> ResultSet:
    """A stored run's result set.

    Raises:
        StoreCorrupt, StoreTooNew: It cannot be read.
    """
    results = await store.results(run.id) if run.id is not None else None
    if results is None:
        raise StoreCorrupt(f"the result set of run {run.id} of {run.target_id} is gone")
    return results


async def compared_run(store: Store, run: Run) -> ComparedRun:
    """A stored run as one side of a comparison.

    Raises:
        StoreCorrupt, StoreTooNew: Its result set cannot be read.
    """
    return ComparedRun(run.finished, await results_of(store, run), run.trained)
