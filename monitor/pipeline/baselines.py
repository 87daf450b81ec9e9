"""Which run a target is compared with, and pinning one."""

from __future__ import annotations

from monitor.alerts.states import AlertState
from monitor.errors import PullState
from monitor.pipeline.found import Found
from monitor.pipeline.recompute import Recomputer
from monitor.pipeline.unit_choices import PINNED, UNITS
from monitor.pipeline.watch import Policy
from monitor.store import Baseline, BaselineRun, Run, Store, StoreCorrupt


class Baselines:
    """Finds the runs that a target is compared with, as today's formulas have them.

    Args:
        store: Has the runs.
        recomputer: Makes a run one of today's formulas.
    """

    def __init__(self, store: Store, recomputer: Recomputer) -> None:
        self._store = store
        self._recomputer = recomputer

    async def pinned(
        self, row: BaselineRun | None, policy: Policy, found: Found, moved: list[AlertState]
    ) -> Run | None:
        """The pinned run with its figures, unless it was made with other filters; `row` is what is pinned."""
        if row is None or row.run.selection != policy.selection:
            return None
        run = await self._store.run(row.baseline.run_id)
        return await self._usable(policy, run, found, moved)

    async def chosen(
        self,
        target_id: str,
        policy: Policy,
        pinned: Run | None,
        found: Found,
        now: float,
        moved: list[AlertState],
    ) -> Run | None:
        """The run that the mode compares with."""
        match policy.baseline.mode:
            case "previous":
                run = await self._store.previous(target_id, found.fingerprint, policy.selection)
            case "rolling":
                run = await self._rolling(target_id, policy, now)
            case _:
                return pinned
        return await self._usable(policy, run, found, moved)

    async def _usable(self, policy: Policy, run: Run | None, found: Found, moved: list[AlertState]) -> Run | None:
        """A run that today's formulas can be compared with.

        Raises:
            StoreCorrupt, StoreTooNew: Its figures or its result set cannot be read.
        """
        if run is None:
            return None
        if run.evaluation is None:
            raise run.unreadable or StoreCorrupt(f"run {run.id} of {run.target_id} has no figures")
        return await self._recomputer.run(policy, run, found, moved)

    async def _rolling(self, target_id: str, policy: Policy, now: float) -> Run | None:
        """The newest run of some age; the one compared with so far as long as that says the same.

        Otherwise each pull would compare with another run, and repeat the tests that are made once per baseline.
        """
        newest = await self._store.newest_before(target_id, now - (policy.baseline.age or 0.0), policy.selection)
        row = await self._store.baseline(target_id, policy.baseline.mode)
        known = await self._store.run(row.run_id) if row is not None else None
        if newest is None or known is None or known.finished > newest.finished:
            return newest
        same = (known.fingerprint, known.trained, known.selection) == (
            newest.fingerprint,
            newest.trained,
            newest.selection,
        )
        return known if same else newest


async def pin(store: Store, run: Run, why: str, now: float) -> None:
    """Make a good run the target's pinned baseline; drift begins again from it.

    Args:
        store: Open.
        run: From the store.
        why: Who or what wanted it, in a sentence.
        now: Unix seconds.

    Raises:
        ValueError: It is no good run, and has no result set to compare with; or its filters were others than those of
            the target's last good run, whose next run would pin itself in its place.
        StoreError: The store does not take it.
    """
    if run.state is not PullState.OK or run.id is None:
        raise ValueError(f"run {run.id} of {run.target_id} ended as {run.state}: only a good run can be a baseline")
    async with store.transaction() as tx:
        if await tx.last_selection(run.target_id) != run.selection:
            raise ValueError(
                f"run {run.id} of {run.target_id} took other samples than the last good run, because `filters` has "
                "changed since: "
                "the two are not comparable; pin a run that was made with the present filters"
            )
        await tx.set_baseline(Baseline(run.target_id, PINNED, run.id, now, why))
        await tx.clear_baseline(run.target_id, UNITS)
        await tx.clear_drift_states(run.target_id)


async def unpin(store: Store, target_id: str) -> bool:
    """Forget the target's pinned baseline, so that its next good run becomes it; answers whether there was one.

    Raises:
        StoreError: The store does not take it.
    """
    async with store.transaction() as tx:
        await tx.clear_drift_states(target_id)
        await tx.clear_baseline(target_id, UNITS)
        return await tx.clear_baseline(target_id, PINNED)
