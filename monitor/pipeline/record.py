"""`RunRecorder`: compares a run with those before it, has the rules checked, and writes all of it in one transaction.

A store that cannot be used costs the comparison and the record, never the figures: the run is shown all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import structlog

from monitor.alerts.states import AlertState
from monitor.compare.carry_over import block_as_now, carried_over, same_content
from monitor.compare.changed_windows import ChangedSamples, changed_samples
from monitor.compare.comparison import BaselineFigures, Comparison, compare
from monitor.compare.drift import ComparedRun, DriftState
from monitor.errors import PullState, fitted
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
from monitor.figures.units import UnitChoices
from monitor.pipeline.alerting import AlertEvaluator, AlertSubject, refer
from monitor.pipeline.project_turn import ELSEWHERE, OtherRun
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import CHOSEN_ANEW, PINNED, UNITS, baseline_units
from monitor.pipeline.variant_gaps import VariantGaps, VariantRun
from monitor.pipeline.watch import Policy, Watch, Watched
from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store import Baseline, Run, Store, StoreCorrupt, StoreError, StoreTooNew, Transaction, Versions
from monitor.targets import TRAINING, Target

FIRST_RUN = "first run here: nothing to compare with"
CLEARED = "the first good run since the baseline was cleared"
OTHER_FILTERS = "the first good run with these filters"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """What a good pull found.

    Attributes:
        results: The columns.
        fingerprint: Of them.
        evaluation: The figures.
        trained: Unix seconds of the model's training; None where the key may not read it.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
        units_anew: Whether it chose a unit that the baseline could not choose.
    """

    results: ResultSet
    fingerprint: str
    evaluation: Evaluation
    trained: float | None
    impulse_stale: bool | None
    units_anew: bool = False


@dataclass(frozen=True, slots=True)
class _Compared:
    """A comparison, and what it changes in the store.

    Attributes:
        comparison: None where there is nothing to compare with.
        baseline: The run it is with; None where it is the current one, or none.
        pinned: The number of the pinned run it was made under; None where the current run becomes the pinned one.
        drift: To be kept for the next comparison; None where nothing advanced.
        changed: Which samples changed sides; None where that is as it was.
        first: Whether the store has no good run of the target yet.
    """

    comparison: Comparison | None = None
    baseline: Run | None = None
    pinned: int | None = None
    drift: dict[int, DriftState] | None = None
    changed: ChangedSamples | None = None
    first: bool = False


def seed_of(target_id: str, fingerprint: str) -> int:
    """The seed of every re-sampling about a result set, 0 to 2**64 - 1: the same set gives the same bounds and
    p-values, always.
    """
    return int.from_bytes(hashlib.sha256(f"{target_id} {fingerprint}".encode()).digest()[:8], "big")


class RunRecorder:
    """Compares and records the runs of targets, and has the rules checked.

    Args:
        store: Open, or to be opened later.
        workers: Threads for computing.
        evaluator: Checks the rules against each run, in the run's own transaction; None checks none.
    """

    def __init__(self, store: Store, workers: Executor, evaluator: AlertEvaluator | None = None) -> None:
        self.store, self._workers, self._evaluator = store, workers, evaluator
        self._gaps = VariantGaps(store, self._in_worker)
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
                return await baseline_units(self.store, target_id, group_by, policy.selection, cache, self._in_worker)
            except StoreError as error:
                log.warning("run.units_unknown", target=target_id, error=str(error))
        shown = before.evaluation
        return shown.units if shown is not None and shown.group_by == group_by else None

    async def bring_up(
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
        if cache.current or self.store.problem is not None:
            return before, moved
        try:
            last = await self.store.last_good(target_id)
            after = await self._brought_up(policy, last, found, moved) if last is not None else None
        except (StoreCorrupt, StoreTooNew) as error:
            log.warning("run.not_brought_up", target=target_id, error=str(error))
            if self.store.problem is None:
                cache.current = True  # no other attempt can read what is damaged
            return before, moved
        except StoreError as error:
            log.warning("run.not_brought_up", target=target_id, error=str(error))
            return before, moved
        cache.current = True
        if last is None or after is None or last.last_seen < (before.last_success or 0.0):
            return before, moved
        # also where another process has brought it up since it was read
        return replace(before, fingerprint=after.fingerprint), moved

    async def _brought_up(self, policy: Policy, run: Run, found: Found, moved: list[AlertState]) -> Run:
        """A good run of the store as today's formulas have it, in the store too; itself where they made it. To `moved`
        are added the alerts' states that this changed.

        Raises:
            StoreCorrupt, StoreTooNew: Its result set cannot be read, or be computed with.
        """
        if run.versions.comparable or run.id is None or run.fingerprint is None:
            return run
        stored = (await self._side(run)).results
        try:
            results, fingerprint, evaluation = await self._in_worker(
                _computed_anew, run, stored, found, policy.settings
            )
        except Exception as error:  # a bug, or content that no formula expected, must cost no pull
            log.exception("run.not_brought_up", target=run.target_id, run=run.id)
            raise StoreCorrupt(
                fitted(f"the figures of run {run.id} of {run.target_id} cannot be computed anew (", repr(error), ")")
            ) from error
        packed = await self.store.pack(run.target_id, results, fingerprint)
        referring: list[AlertState] = []
        async with self._locked(run.target_id), self.store.transaction() as tx:
            if await tx.replace_figures(run, packed, evaluation):
                referring = await refer(tx, run.target_id, run.fingerprint, fingerprint)
                await self._bring_up_drift(tx, run.target_id, found.results)
        moved += referring
        log.info("run.brought_up", target=run.target_id, run=run.id, unchanged=fingerprint == found.fingerprint)
        versions = replace(Versions(), comparison=run.versions.comparison)
        return replace(run, fingerprint=fingerprint, evaluation=evaluation, versions=versions, unreadable=None)

    def _locked(self, target_id: str) -> AbstractAsyncContextManager[None]:
        """To be held around a transaction that moves a target's alerts."""
        return self._evaluator.lock(target_id) if self._evaluator else nullcontext()

    async def _bring_up_drift(self, tx: Transaction, target_id: str, read: ResultSet) -> None:
        """Let the drift states of blocks say what another version did not read of them: else each would count as
        another model.
        """
        states = await tx.drift_states(target_id)
        now = {number: replace(state, block=block_as_now(state.block, read.blocks)) for number, state in states.items()}
        await tx.replace_drift_states(
            target_id, {number: state for number, state in now.items() if state.block != states[number].block}
        )

    async def record(
        self,
        watch: Watch,
        before: Snapshot,
        snapshot: Snapshot,
        found: Found | None,
        started: float,
        cache: TargetCache,
        first_watched: float | None = None,
        watched: Watched | None = None,
        reference: OtherRun = ELSEWHERE,
    ) -> tuple[Snapshot, list[AlertState]]:
        """Compare a run with its baseline, judge it and write all of it; never raises for the store's sake.

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
        known, states = before.fingerprint, list[AlertState]()
        unrecorded = cache.unrecorded
        away = self.store.problem is not None
        if found is not None and not (away and known == found.fingerprint):  # an unchanged one is no loss
            cache.unrecorded = True  # until it is written
        if away:  # its upkeep tries it again: no pull waits for what is known to fail
            return snapshot, states
        compared = _Compared()
        try:
            if found is not None:
                if unrecorded:
                    known, snapshot = await self._caught_up(snapshot)
                compared = await self._compare(watch.policy, before, snapshot, found, unrecorded, cache, states)
                compared = await self._beside_reference(watch, before, found, compared, reference, cache)
                snapshot = replace(snapshot, comparison=compared.comparison)
                _log_notes(before, snapshot)
            since = started if first_watched is None else first_watched
            judged_as = watch if watched is None else watched.watch
            subject = AlertSubject(judged_as.subject, judged_as.health(snapshot, since), snapshot)
            states += await self._write(watch.policy, known, subject, snapshot, found, compared, started)
            self.unrecorded = self.unrecorded_since = None
            if found is not None:
                cache.unrecorded = cache.outdated = False
        except StoreError as error:
            self.unrecorded = error
            if self.unrecorded_since is None:
                self.unrecorded_since = snapshot.last_pull
            log.warning("run.not_recorded", target=snapshot.target.key.id, error=str(error))
        return snapshot, states

    async def _caught_up(self, snapshot: Snapshot) -> tuple[str | None, Snapshot]:
        """The fingerprint that the store knew last, and the snapshot with the last change that either knows of."""
        last = await self.store.last_good(snapshot.target.key.id)
        if last is None:
            return None, snapshot
        changed = snapshot.last_pull if last.fingerprint != snapshot.fingerprint else last.last_change
        return last.fingerprint, replace(snapshot, last_change=snapshot.last_change or changed)

    async def _compare(
        self,
        policy: Policy,
        before: Snapshot,
        snapshot: Snapshot,
        found: Found,
        unrecorded: bool,
        cache: TargetCache,
        moved: list[AlertState],
    ) -> _Compared:
        """The comparison of a good run; the one before where nothing it depends on has changed, and the store has what
        it led to. To `moved` are added the alerts' states that reading old runs changed.
        """
        target_id, finished = snapshot.target.key.id, snapshot.last_pull
        try:
            pinned = await self._pinned(target_id, policy, found, moved)
            baseline = await self._baseline(target_id, policy, pinned, found, finished, moved)
        except (StoreCorrupt, StoreTooNew) as error:
            if self.store.problem is not None:
                raise
            # not the store as a whole: the figures of one run
            return _unreadable(policy.baseline.mode, before, finished, error)
        own = policy.baseline.mode == PINNED and pinned is None  # the current run is the baseline
        first = pinned is None and await self.store.last_selection(target_id) is None
        if baseline is None and not own:
            return _Compared(pinned=pinned.id if pinned else None, first=first)
        mode = policy.baseline.mode
        evaluation = found.evaluation if baseline is None else baseline.evaluation
        assert evaluation is not None  # good runs have one
        shown = (
            BaselineFigures.of(mode, finished, found.fingerprint, evaluation, found.trained)
            if baseline is None
            else BaselineFigures.of(mode, baseline.finished, baseline.fingerprint or "", evaluation, baseline.trained)
        )
        number = pinned.id if pinned else None
        same_pinned = mode == PINNED or cache.pinned == number
        known = before.comparison
        # another version may mend it
        anew = unrecorded or cache.outdated or (known is not None and known.broken and not cache.compared)
        cache.compared, cache.pinned = True, number
        same_run = before.fingerprint == found.fingerprint and before.trained == found.trained
        before_units = before.evaluation and (before.evaluation.units, before.evaluation.group_by)
        same_units = before_units == (found.evaluation.units, found.evaluation.group_by)
        if known and known.baseline == shown and same_run and same_pinned and same_units and not anew:
            return _Compared(known, baseline, number)
        current = ComparedRun(finished, found.results, found.trained)
        try:
            against = current if baseline is None else await self._side(baseline)
            if pinned is None:
                reference = current
            elif baseline and number == baseline.id:
                reference = against
            else:
                reference = await self._side(pinned)
        except (StoreCorrupt, StoreTooNew) as error:  # not the store as a whole: one result set in it
            return _Compared(
                Comparison(shown, notes=(f"the baseline cannot be read, pin another run: {error}",), broken=True),
                baseline,
                number,
            )
        drift = await self.store.drift_states(target_id)
        seed = seed_of(target_id, found.fingerprint)
        try:
            seen = known.discordance if known else None
            comparison, kept = await self._in_worker(
                compare,
                against,
                current,
                reference,
                shown,
                drift,
                seed,
                found.evaluation.units,
                found.evaluation.group_by,
                seen,
            )
            changed = await self._in_worker(_changed, against, current, snapshot.target.key.category)
        except Exception:  # a bug in the comparison must cost neither figures nor record
            log.exception("comparison.crashed", target=target_id)
            return _Compared(
                Comparison(shown, notes=("the comparison failed, see the log",), broken=True), baseline, number
            )
        if first:
            comparison = replace(comparison, notes=(*comparison.notes, FIRST_RUN))
        comparison = replace(
            comparison,
            changed_samples=changed.counts,
            suspect_labels=changed.suspect,
            changed_data=changed.data,
        )
        return _Compared(comparison, baseline, number, kept, changed, first)

    async def _beside_reference(
        self,
        watch: Watch,
        before: Snapshot,
        found: Found,
        compared: _Compared,
        reference: OtherRun,
        cache: TargetCache,
    ) -> _Compared:
        """The comparison with what the run says beside that of the reference variant."""
        if compared.comparison is None:
            return compared
        run = VariantRun(
            found.results,
            found.fingerprint,
            found.trained,
            compared.baseline,
            found.evaluation.group_by,
            seed_of(watch.target.key.id, found.fingerprint),
        )
        known = before.comparison.variants if before.comparison else None
        variants = await self._gaps.find(watch, run, reference, known, cache)
        return replace(compared, comparison=replace(compared.comparison, variants=variants))

    async def _pinned(self, target_id: str, policy: Policy, found: Found, moved: list[AlertState]) -> Run | None:
        """The pinned run, unless it was made with other filters."""
        row = await self.store.baseline(target_id, PINNED)
        run = await self.store.run(row.run_id) if row else None
        if run is None or run.selection != policy.selection:
            return None
        return await self._usable(policy, run, found, moved)

    async def _baseline(
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
                run = await self.store.previous(target_id, found.fingerprint, policy.selection)
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
        return await self._brought_up(policy, run, found, moved)

    async def _rolling(self, target_id: str, policy: Policy, now: float) -> Run | None:
        """The newest run of some age; the one compared with so far as long as that says the same.

        Otherwise each pull would compare with another run, and take what is judged once per baseline once more.
        """
        newest = await self.store.newest_before(target_id, now - (policy.baseline.age or 0.0), policy.selection)
        row = await self.store.baseline(target_id, policy.baseline.mode)
        known = await self.store.run(row.run_id) if row is not None else None
        if newest is None or known is None or known.finished > newest.finished:
            return newest
        same = (known.fingerprint, known.trained, known.selection) == (
            newest.fingerprint,
            newest.trained,
            newest.selection,
        )
        return known if same else newest

    async def _side(self, run: Run) -> ComparedRun:
        """A stored run as one side of a comparison.

        Raises:
            StoreCorrupt, StoreTooNew: Its result set cannot be read.
        """
        results = await self.store.results(run.id) if run.id is not None else None
        if results is None:
            raise StoreCorrupt(f"the result set of run {run.id} of {run.target_id} is gone")
        return ComparedRun(run.finished, results, run.trained)

    async def _write(
        self,
        policy: Policy,
        known: str | None,
        subject: AlertSubject,
        snapshot: Snapshot,
        found: Found | None,
        compared: _Compared,
        started: float,
    ) -> list[AlertState]:
        """All that a run leaves behind, in one transaction; `known` is the fingerprint of the good run before. Answers
        the states of the target's alerts.
        """
        target_id = snapshot.target.key.id
        packed = await self.store.pack(target_id, found.results, found.fingerprint) if found else None
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
        async with self._locked(target_id), self.store.transaction() as tx:
            number = await tx.add_run(run, packed)
            if found is not None:
                await self._keep(tx, policy, run, number, compared, units_anew=found.units_anew)
            return await self._evaluator.evaluate(tx, subject) if self._evaluator else []

    async def _keep(
        self, tx: Transaction, policy: Policy, run: Run, number: int, compared: _Compared, *, units_anew: bool
    ) -> None:
        """Baselines and drift states; nothing that another program has overtaken while this was computed."""
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
        elif units_anew:
            await tx.set_baseline(Baseline(run.target_id, UNITS, number, run.finished, CHOSEN_ANEW))
        if policy.baseline.mode != PINNED:
            await self._protect(tx, policy.baseline.mode, run, compared.baseline)
        if compared.drift is not None:
            await tx.put_drift_states(run.target_id, compared.drift)
        if compared.changed is not None and compared.comparison is not None:
            fingerprints = (compared.comparison.baseline.fingerprint, run.fingerprint or "")
            await tx.put_changed_samples(run.target_id, fingerprints, compared.changed)

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


def _changed(baseline: ComparedRun, current: ComparedRun, category: str) -> ChangedSamples:
    """Which samples changed sides; labels that a model has learnt by heart say nothing about themselves."""
    return changed_samples(baseline.results, current.results, judge_labels=category != TRAINING)


def _unreadable(mode: str, before: Snapshot, now: float, error: StoreError) -> _Compared:
    """A comparison that says that the baseline's figures cannot be read."""
    known = before.comparison
    shown = known.baseline if known is not None and known.baseline.mode == mode else BaselineFigures(mode, now, "")
    return _Compared(Comparison(shown, notes=(f"the baseline cannot be read, pin another run: {error}",), broken=True))


def _computed_anew(
    run: Run, stored: ResultSet, found: Found, settings: EvaluationSettings
) -> tuple[ResultSet, str, Evaluation]:
    """A run's result set as this version reads its content, its fingerprint and its figures: what was found, where that
    is the content.
    """
    results, fingerprint = stored, run.fingerprint
    if run.versions.results != FINGERPRINT_VERSION:
        if same_content(stored, found.results):
            return found.results, found.fingerprint, found.evaluation
        results = carried_over(stored, found.results)
        fingerprint = results.fingerprint()
    assert fingerprint is not None  # it has a result set
    seed = seed_of(run.target_id, fingerprint)
    return results, fingerprint, evaluate(results, settings, seed, found.evaluation.units)


async def pin(store: Store, run: Run, why: str, now: float) -> None:
    """Make a good run the target's pinned baseline; drift begins anew from it.

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


def _log_notes(before: Snapshot, snapshot: Snapshot) -> None:
    """What changed about the model is logged once, when it is first seen."""
    known = set(before.comparison.notes if before.comparison else ())
    for note in snapshot.comparison.notes if snapshot.comparison else ():
        if note not in known and note != FIRST_RUN:
            log.warning("comparison.note", target=snapshot.target.key.id, note=note)
