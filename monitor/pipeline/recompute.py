"""`Recomputer`: makes stored runs ones of today's formulas, so that the next comparison is with like.

After an upgrade the store has runs that another version computed. A run is recomputed from its result set once a pull
needs it: as the last good run, or as the baseline.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from monitor.alerts.states import AlertState
from monitor.compare.carry_over import block_as_now, carried_over, same_content
from monitor.errors import fitted
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Evaluation
from monitor.pipeline.alerting import AlertEvaluator, locked, refer
from monitor.pipeline.found import Found, seed_of
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.stored_results import results_of
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import InWorker
from monitor.pipeline.watch import Policy
from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store import Run, Store, StoreCorrupt, StoreError, StoreTooNew, Transaction, Versions

log = structlog.get_logger()


class Recomputer:
    """Recomputes stored runs that other formulas made.

    Args:
        store: Has the runs.
        in_worker: Calls a function in a worker thread.
        evaluator: Whose states refer to the result sets; None where no rules are checked.
    """

    def __init__(self, store: Store, in_worker: InWorker, evaluator: AlertEvaluator | None) -> None:
        self._store = store
        self._in_worker = in_worker
        self._evaluator = evaluator

    async def last_good(
        self, policy: Policy, before: Snapshot, found: Found, cache: TargetCache
    ) -> tuple[Snapshot, list[AlertState]]:
        """Make a target's last good run one of today's formulas, if others made it; never raises for the store's sake.

        What Studio says unchanged is then no new result set, whatever became of the formulas and of what is read.

        Args:
            policy: How the baseline is chosen.
            before: What was known before the run.
            found: What the pull found.
            cache: Of the target.

        Returns:
            What was known before, under the fingerprint of today, and the alerts' states that refer to it now.
        """
        target_id = before.target.key.id
        moved: list[AlertState] = []
        if cache.current or self._store.problem is not None:
            return before, moved
        cache.baselines = None  # their figures may be others from now on
        try:
            last = await self._store.last_good(target_id)
            after = await self.run(policy, last, found, moved) if last is not None else None
        except (StoreCorrupt, StoreTooNew) as error:
            log.warning("run.not_recomputed", target=target_id, error=str(error))
            if self._store.problem is None:
                cache.current = True  # no other attempt can read what is damaged
            return before, moved
        except StoreError as error:
            log.warning("run.not_recomputed", target=target_id, error=str(error))
            return before, moved
        cache.current = True
        if last is None or after is None or last.last_seen < (before.last_success or 0.0):
            return before, moved
        # also where another process has recomputed it since it was read
        return replace(before, fingerprint=after.fingerprint), moved

    async def run(self, policy: Policy, run: Run, found: Found, moved: list[AlertState]) -> Run:
        """A good run of the store as today's formulas have it, in the store too; itself where they made it. To `moved`
        are added the alerts' states that this changed.

        Raises:
            StoreCorrupt, StoreTooNew: Its result set cannot be read, or be computed with.
        """
        if run.versions.comparable or run.id is None or run.fingerprint is None:
            return run
        stored = await results_of(self._store, run)
        try:
            results, fingerprint, evaluation = await self._in_worker(_recomputed, run, stored, found, policy.settings)
        except Exception as error:  # a bug, or content that no formula expected, must cost no pull
            log.exception("run.not_recomputed", target=run.target_id, run=run.id)
            raise StoreCorrupt(
                fitted(f"the figures of run {run.id} of {run.target_id} cannot be computed again (", repr(error), ")")
            ) from error
        packed = await self._store.pack(run.target_id, results, fingerprint)
        referring: list[AlertState] = []
        async with locked(self._evaluator, run.target_id), self._store.transaction() as tx:
            if await tx.replace_figures(run, packed, evaluation):
                referring = await refer(tx, run.target_id, run.fingerprint, fingerprint)
                await self._name_blocks_as_now(tx, run.target_id, found.results)
        moved += referring
        log.info("run.recomputed", target=run.target_id, run=run.id, unchanged=fingerprint == found.fingerprint)
        versions = replace(Versions(), comparison=run.versions.comparison)
        return replace(run, fingerprint=fingerprint, evaluation=evaluation, versions=versions, unreadable=None)

    async def _name_blocks_as_now(self, tx: Transaction, target_id: str, read: ResultSet) -> None:
        """Let the drift states of blocks say what another version did not read of them: else each would count as
        another model.
        """
        states = await tx.drift_states(target_id)
        now = {number: replace(state, block=block_as_now(state.block, read.blocks)) for number, state in states.items()}
        await tx.replace_drift_states(
            target_id, {number: state for number, state in now.items() if state.block != states[number].block}
        )


def _recomputed(
    run: Run, stored: ResultSet, found: Found, settings: EvaluationSettings
) -> tuple[ResultSet, str, Evaluation]:
    """A run's result set as this version reads its content, its fingerprint and its figures: what was found, where that
    is the content.
    """
    results = stored
    fingerprint = run.fingerprint
    if run.versions.results != FINGERPRINT_VERSION:
        if same_content(stored, found.results):
            return found.results, found.fingerprint, found.evaluation
        results = carried_over(stored, found.results)
        fingerprint = results.fingerprint()
    assert fingerprint is not None  # it has a result set
    seed = seed_of(run.target_id, fingerprint)
    return results, fingerprint, evaluate(results, settings, seed, found.evaluation.units)
