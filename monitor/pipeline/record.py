"""`RunRecorder`: compares a run with those before it, has the rules checked, and writes all of it in one transaction.

A store that cannot be used costs the comparison and the record, never the figures: the run is shown all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import structlog

from monitor.alerts.states import AlertState
from monitor.figures.evaluation import FIGURES_VERSION
from monitor.figures.units import UnitChoices
from monitor.pipeline.alerting import AlertEvaluator, AlertSubject, alerts_lock, locked
from monitor.pipeline.baselines import Baselines
from monitor.pipeline.comparer import FIRST_RUN, Compared, RunComparer
from monitor.pipeline.found import Found
from monitor.pipeline.project_turn import ELSEWHERE, OtherRun
from monitor.pipeline.recompute import Recomputer
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import CHOSEN_LATER, PINNED, UNITS, baseline_units
from monitor.pipeline.watch import CurrentWatch, Policy, Watch
from monitor.store import Baseline, Packed, Recorded, Run, Store, StoreError, Transaction, results_lock
from monitor.store.changed_samples import DIFFERING
from monitor.targets import Target

CLEARED = "the first good run since the baseline was cleared"
OTHER_FILTERS = "the first good run with these filters"

log = structlog.get_logger()


class RunRecorder:
    """Compares and records the runs of targets, and has the rules checked.

    Args:
        store: Open, or to be opened later.
        workers: Threads for computing.
        evaluator: Checks the rules against each run, in the run's own transaction; None checks none.
    """

    def __init__(self, store: Store, workers: Executor, evaluator: AlertEvaluator | None = None) -> None:
        self.store = store
        self.recomputer = Recomputer(store, self._in_worker, evaluator)
        """Makes stored runs ones of today's formulas, before a run that needs them is recorded."""
        self._workers = workers
        self._evaluator = evaluator
        self._comparer = RunComparer(store, self._in_worker, Baselines(store, self.recomputer))
        self.unrecorded: StoreError | None = None
        """Why the last run could not be written; None once one was."""
        self.unrecorded_since: float | None = None
        """Unix seconds since when none could."""

    async def restore(self, target: Target, stale_after: float, cache: TargetCache) -> Snapshot | None:
        """What the store knows of a target's last runs; None where it knows none, or cannot be asked.

        The figures are those of the last good run; the last attempt may be a later, failed one.
        """
        if self.store.problem is not None:
            return None
        try:
            last = await self.store.runs(target.key.id, limit=1)
            good = await self.store.last_good(target.key.id)
        except StoreError as error:
            log.warning("run.not_restored", target=target.key.id, error=str(error))
            return None
        if not last:
            return None
        shown = Snapshot(target, stale_after, last[0].state, last[0].last_seen, error=last[0].error)
        if good is None:
            return shown
        if good.unreadable is not None:
            log.warning("run.figures_unreadable", target=target.key.id, error=str(good.unreadable))
        if good.versions.comparison != FIGURES_VERSION:
            cache.outdated = True
        return replace(
            shown,
            last_success=good.last_seen,
            last_change=good.last_change,
            fingerprint=good.fingerprint,
            evaluation=good.evaluation,
            comparison=good.comparison,
            trained=good.trained,
            impulse_stale=good.impulse_stale,
        )

    async def unit_choices(
        self, target_id: str, policy: Policy, before: Snapshot, cache: TargetCache
    ) -> UnitChoices | None:
        """What the target's baseline says is independent; None where a run says so itself. Never raises for the store's
        sake: what is shown is then as before.

        Args:
            target_id: Whose.
            policy: How the baseline is chosen.
            before: What was known before the run.
            cache: Of the target.
        """
        group_by = policy.settings.group_by
        if self.store.problem is None:
            try:
                cache.baselines = rows = await self.store.baseline_runs(target_id)
                return await baseline_units(self.store, rows, group_by, policy.selection, cache, self._in_worker)
            except StoreError as error:
                log.warning("run.units_unknown", target=target_id, error=str(error))
        shown = before.evaluation
        return shown.units if shown is not None and shown.group_by == group_by else None

    async def record(
        self,
        watch: Watch,
        before: Snapshot,
        snapshot: Snapshot,
        found: Found | None,
        started: float,
        cache: TargetCache,
        first_watched: float | None = None,
        watched: CurrentWatch | None = None,
        reference: OtherRun = ELSEWHERE,
    ) -> tuple[Snapshot, list[AlertState]]:
        """Compare a run with its baseline, check the rules and write all of it; never raises for the store's sake.

        Args:
            watch: The target and how it is watched.
            before: What was known before the run.
            snapshot: What is known after it.
            found: What the pull found; None where it failed.
            started: Unix seconds.
            cache: Of the target.
            first_watched: Unix seconds since when the target is watched; None: since this run.
            watched: Has the watch whose labels alerts get, as a reload during the run has left it; None: `watch`.
            reference: How the run of the reference variant went in this turn.

        Returns:
            The snapshot, with the comparison; and all states of the target's alerts as the store has them now, none
            where it was not written.
        """
        kept = before.comparison if before.fingerprint == snapshot.fingerprint else None
        snapshot = replace(snapshot, comparison=kept)
        known = before.fingerprint
        states = list[AlertState]()
        unrecorded = cache.unrecorded
        away = self.store.problem is not None
        if found is not None and not (away and known == found.fingerprint):  # an unchanged one is no loss
            cache.unrecorded = True  # until it is written
        if away:  # its upkeep tries it again: no pull waits for what is known to fail
            return snapshot, states
        compared = Compared()
        try:
            if found is not None:
                if unrecorded:
                    known, snapshot = await self._caught_up(snapshot)
                compared = await self._comparer.compare(
                    watch.policy, before, snapshot, found, unrecorded, cache, states
                )
                compared = await self._comparer.beside_reference(watch, before, found, compared, reference, cache)
                snapshot = replace(snapshot, comparison=compared.comparison)
                _log_notes(before, snapshot)
            since = started if first_watched is None else first_watched
            watch_now = watch if watched is None else watched.watch
            subject = AlertSubject(watch_now.subject, watch_now.health(snapshot, since), snapshot)
            before_this = cache.recorded
            cache.recorded = None  # until it is known what the store has
            cache.recorded, alerts = await self._write(
                watch.policy, known, subject, snapshot, found, compared, started, before_this
            )
            states += alerts
        except StoreError as error:
            cache.variants = None
            self._note_failure(snapshot, error)
            return snapshot, states
        self.unrecorded = None
        self.unrecorded_since = None
        if found is not None:
            cache.unrecorded = False
            cache.outdated = False
        return snapshot, states

    def _note_failure(self, snapshot: Snapshot, error: StoreError) -> None:
        self.unrecorded = error
        if self.unrecorded_since is None:
            self.unrecorded_since = snapshot.last_pull
        log.warning("run.not_recorded", target=snapshot.target.key.id, error=str(error))

    async def _caught_up(self, snapshot: Snapshot) -> tuple[str | None, Snapshot]:
        """The fingerprint that the store knew last, and the snapshot with the last change that either knows of."""
        last = await self.store.last_good(snapshot.target.key.id)
        if last is None:
            return None, snapshot
        changed = snapshot.last_pull if last.fingerprint != snapshot.fingerprint else last.last_change
        return last.fingerprint, replace(snapshot, last_change=snapshot.last_change or changed)

    async def _write(
        self,
        policy: Policy,
        known: str | None,
        subject: AlertSubject,
        snapshot: Snapshot,
        found: Found | None,
        compared: Compared,
        started: float,
        before: Recorded | None,
    ) -> tuple[Recorded, list[AlertState]]:
        """All that a run leaves behind, in one transaction; `known` is the fingerprint of the good run before, `before`
        what was written last. Answers what was written, and the states of the target's alerts.
        """
        target_id = snapshot.target.key.id
        run = Run(
            target_id=target_id,
            started=started,
            finished=snapshot.last_pull,
            state=snapshot.state,
            error=snapshot.error,
            selection=policy.selection,
        )
        if found is not None:
            run = replace(
                run,
                fingerprint=found.fingerprint,
                changed=known not in (None, found.fingerprint),
                last_change=snapshot.last_change,
                trained=found.trained,
                impulse_stale=found.impulse_stale,
                evaluation=found.evaluation,
                comparison=compared.comparison,
            )
        packed = None
        if found is not None and before is not None and before.equals(run):
            packed = Packed(found.fingerprint, None, found.results)
        elif found is not None:
            packed = await self.store.pack(target_id, found.results, found.fingerprint)
        locks = [results_lock(target_id)]
        if self._evaluator is not None:
            locks.append(alerts_lock(target_id))
        async with locked(self._evaluator, target_id), self.store.transaction(*locks) as tx:
            recorded = await tx.record_run(run, packed, before)
            if found is not None and (found.chose_units or not compared.settled):
                await self._keep(tx, policy, run, recorded.id, compared, chose_units=found.chose_units)
            return recorded, await self._evaluator.evaluate(tx, subject) if self._evaluator else []

    async def _keep(
        self, tx: Transaction, policy: Policy, run: Run, number: int, compared: Compared, *, chose_units: bool
    ) -> None:
        """Baselines and drift states; nothing that another program has overtaken while this was computed."""
        await _put_differing(tx, run, compared)
        rows = {row.mode: row for row in await tx.baselines(run.target_id)}
        pinned = rows.get(PINNED)
        for mode in rows.keys() - {PINNED, UNITS, policy.baseline.mode}:  # of a mode that is no longer wanted
            await tx.clear_baseline(run.target_id, mode)
        if compared.pinned is None:
            if pinned is not None and await tx.selection(pinned.run_id) == policy.selection:
                return  # someone pinned a run meanwhile: what was compared is of no use to the next comparison
            if compared.first:
                why = FIRST_RUN
            elif pinned is None:
                why = CLEARED
            else:
                why = OTHER_FILTERS
            await tx.set_baseline(Baseline(run.target_id, PINNED, number, run.finished, why))
            await tx.clear_baseline(run.target_id, UNITS)
        elif pinned is None or pinned.run_id != compared.pinned:
            return
        elif chose_units:
            await tx.set_baseline(Baseline(run.target_id, UNITS, number, run.finished, CHOSEN_LATER))
        if policy.baseline.mode != PINNED:
            await self._protect(tx, policy.baseline.mode, run, compared.baseline)
        if compared.drift is not None:
            await tx.put_drift_states(run.target_id, compared.drift)
        if compared.changed is not None and compared.comparison is not None:
            fingerprints = (compared.comparison.baseline.fingerprint, run.fingerprint or "")
            await tx.put_changed_samples(run.target_id, fingerprints, compared.changed)
            if compared.charts is not None:
                await tx.put_result_charts(run.target_id, fingerprints, compared.charts)

    async def _protect(self, tx: Transaction, mode: str, run: Run, baseline: Run | None) -> None:
        """Note the run that the mode chose, so that retention keeps it."""
        if baseline is None or baseline.id is None:
            await tx.clear_baseline(run.target_id, mode)
            return
        known = await tx.baseline(run.target_id, mode)
        if known is None or known.run_id != baseline.id:
            await tx.set_baseline(Baseline(run.target_id, mode, baseline.id, run.finished, f"chosen by mode {mode}"))

    async def _in_worker(self, function: Callable[..., Any], *args: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *args)


async def _put_differing(tx: Transaction, run: Run, compared: Compared) -> None:
    """The samples on which the run differs from the reference variant's; no baseline has a say in them."""
    differing = compared.differing
    variants = compared.comparison.variants if compared.comparison else None
    if differing is None:
        return
    if variants is None or variants.reason:
        await tx.clear_changed_samples(run.target_id, DIFFERING)
        return
    variant, reference = variants.compared[:2]
    await tx.put_changed_samples(run.target_id, (reference, variant), differing, variants.against)


def _log_notes(before: Snapshot, snapshot: Snapshot) -> None:
    """What changed about the model is logged once, when it is first seen."""
    known = set(before.comparison.notes if before.comparison else ())
    for note in snapshot.comparison.notes if snapshot.comparison else ():
        if note not in known and note != FIRST_RUN:
            log.warning("comparison.note", target=snapshot.target.key.id, note=note)
