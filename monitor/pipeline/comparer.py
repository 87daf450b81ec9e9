"""`RunComparer`: compares a good run with its baseline, and with the reference variant's run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from monitor.alerts.states import AlertState
from monitor.compare.changed_windows import ChangedSamples, changed_samples
from monitor.compare.comparison import BaselineFigures, Comparison, compare
from monitor.compare.drift import ComparedRun, DriftState
from monitor.compare.result_charts import ResultCharts, result_charts
from monitor.pipeline.baselines import Baselines
from monitor.pipeline.found import Found, seed_of
from monitor.pipeline.project_turn import OtherRun
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.stored_results import compared_run
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import PINNED, UNITS, InWorker
from monitor.pipeline.variant_gaps import VariantGaps, VariantRun
from monitor.pipeline.watch import Policy, Watch
from monitor.store import BaselineRun, Run, Store, StoreCorrupt, StoreError, StoreTooNew
from monitor.targets import TRAINING

FIRST_RUN = "first run here: nothing to compare with"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and what it changes in the store.

    Attributes:
        comparison: None where there is nothing to compare with.
        baseline: The run it is with; None where it is the current one, or none.
        pinned: The number of the pinned run it was made under; None where the current run becomes the pinned one.
        drift: To be kept for the next comparison; None where nothing advanced.
        changed: Which samples changed sides; None where that is as it was.
        charts: What charts show of both; None where that is as it was.
        differing: On which samples it differs from the reference variant; None where that is as it was.
        first: Whether the store has no good run of the target yet.
        settled: Whether nothing is to be kept for it: all of it is as it was, the target's baselines too.
    """

    comparison: Comparison | None = None
    baseline: Run | None = None
    pinned: int | None = None
    drift: dict[int, DriftState] | None = None
    changed: ChangedSamples | None = None
    charts: ResultCharts | None = None
    differing: ChangedSamples | None = None
    first: bool = False
    settled: bool = False


class RunComparer:
    """Compares runs with their baselines.

    Args:
        store: Has the runs.
        in_worker: Calls a function in a worker thread.
        baselines: Which run is compared with.
    """

    def __init__(self, store: Store, in_worker: InWorker, baselines: Baselines) -> None:
        self._store = store
        self._in_worker = in_worker
        self._baselines = baselines
        self._gaps = VariantGaps(store, in_worker)

    async def compare(
        self,
        policy: Policy,
        before: Snapshot,
        snapshot: Snapshot,
        found: Found,
        unrecorded: bool,
        cache: TargetCache,
        moved: list[AlertState],
    ) -> Compared:
        """The comparison of a good run; the one before where nothing it depends on has changed, and the store has what
        it led to. To `moved` are added the alerts' states that reading old runs changed.
        """
        target_id = snapshot.target.key.id
        finished = snapshot.last_pull
        known = before.comparison
        # another version may have fixed it
        again = unrecorded or cache.outdated or (known is not None and known.broken and not cache.compared)
        rows = cache.baselines
        cache.baselines = None
        if rows is None:
            rows = await self._store.baseline_runs(target_id)
        pin = next((row for row in rows if row.baseline.mode == PINNED), None)
        if known and pin and not again and _same_run(before, found) and _as_shown(pin, known, policy, cache):
            settled = {row.baseline.mode for row in rows} <= {PINNED, UNITS}
            return Compared(known, pin.run, pin.baseline.run_id, settled=settled)
        cache.compared_with = None
        try:
            pinned = await self._baselines.pinned(pin, policy, found, moved)
            baseline = await self._baselines.chosen(target_id, policy, pinned, found, finished, moved)
        except (StoreCorrupt, StoreTooNew) as error:
            if self._store.problem is not None:
                raise
            # not the store as a whole: the figures of one run
            return _unreadable(policy.baseline.mode, before, finished, error)
        number = pinned.id if pinned else None
        own = policy.baseline.mode == PINNED and pinned is None  # the current run is the baseline
        first = pinned is None and await self._store.last_selection(target_id) is None
        if baseline is None and not own:
            return Compared(pinned=number, first=first)
        shown = _shown(policy.baseline.mode, found, finished, baseline)
        same_pinned = policy.baseline.mode == PINNED or cache.pinned == number
        cache.compared = True
        cache.pinned = number
        if pin is not None and pinned is not None and policy.baseline.mode == PINNED:
            cache.compared_with = (pin.version, shown)
        if known and known.baseline == shown and same_pinned and not again and _same_run(before, found):
            return Compared(known, baseline, number)
        return await self._worked_out(snapshot, found, known, shown, baseline, pinned, first)

    async def _worked_out(
        self,
        snapshot: Snapshot,
        found: Found,
        known: Comparison | None,
        shown: BaselineFigures,
        baseline: Run | None,
        pinned: Run | None,
        first: bool,
    ) -> Compared:
        """The comparison with the baseline (None: the run itself), from the result sets that the store has."""
        target_id = snapshot.target.key.id
        number = pinned.id if pinned else None
        current = ComparedRun(snapshot.last_pull, found.results, found.trained)
        try:
            against = current if baseline is None else await compared_run(self._store, baseline)
            if pinned is None:
                reference = current
            elif baseline and number == baseline.id:
                reference = against
            else:
                reference = await compared_run(self._store, pinned)
        except (StoreCorrupt, StoreTooNew) as error:  # not the store as a whole: one result set in it
            return Compared(_broken(shown, f"the baseline cannot be read, pin another run: {error}"), baseline, number)
        drift = await self._store.drift_states(target_id)
        try:
            comparison, kept = await self._in_worker(
                compare,
                against,
                current,
                reference,
                shown,
                drift,
                seed_of(target_id, found.fingerprint),
                found.evaluation.units,
                found.evaluation.group_by,
                known.discordance if known else None,
            )
            changed = await self._in_worker(_changed, against, current, snapshot.target.key.category)
            charts = await self._in_worker(
                result_charts, current.results, against.results, found.evaluation.group_by, found.evaluation.units
            )
        except Exception:  # a bug in the comparison must cost neither figures nor record
            log.exception("comparison.crashed", target=target_id)
            return Compared(_broken(shown, "the comparison failed, see the log"), baseline, number)
        comparison = replace(
            comparison,
            notes=(*comparison.notes, FIRST_RUN) if first else comparison.notes,
            changed_samples=changed.counts,
            suspect_labels=changed.suspect,
            changed_data=changed.data,
        )
        return Compared(comparison, baseline, number, kept, changed, charts, first=first)

    async def beside_reference(
        self,
        watch: Watch,
        before: Snapshot,
        found: Found,
        compared: Compared,
        reference: OtherRun,
        cache: TargetCache,
    ) -> Compared:
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
            watch.target.key.category != TRAINING,
        )
        known = before.comparison.variants if before.comparison else None
        beside = await self._gaps.find(watch, run, reference, known, cache)
        comparison = compared.comparison
        if beside.variants is not comparison.variants:  # the same object says that nothing changed
            comparison = replace(comparison, variants=beside.variants)
        settled = compared.settled and beside.differing is None
        return replace(compared, comparison=comparison, differing=beside.differing, settled=settled)


def _shown(mode: str, found: Found, finished: float, baseline: Run | None) -> BaselineFigures:
    """What is shown of the baseline; None is the run itself, which ended at `finished`."""
    if baseline is None:
        return BaselineFigures.of(mode, finished, found.fingerprint, found.evaluation, found.trained)
    assert baseline.evaluation is not None  # good runs have one
    return BaselineFigures.of(
        mode, baseline.finished, baseline.fingerprint or "", baseline.evaluation, baseline.trained
    )


def _as_shown(pin: BaselineRun, known: Comparison, policy: Policy, cache: TargetCache) -> bool:
    """Whether what is pinned is what the comparison that is shown was made with."""
    if policy.baseline.mode != PINNED or pin.run.selection != policy.selection or cache.compared_with is None:
        return False
    return cache.compared_with == (pin.version, known.baseline)


def _same_run(before: Snapshot, found: Found) -> bool:
    """Whether the run before was of the same results and model, with the same units."""
    if before.evaluation is None:
        return False
    units_before = (before.evaluation.units, before.evaluation.group_by)
    return (before.fingerprint, before.trained, *units_before) == (
        found.fingerprint,
        found.trained,
        found.evaluation.units,
        found.evaluation.group_by,
    )


def _broken(shown: BaselineFigures, note: str) -> Comparison:
    return Comparison(shown, notes=(note,), broken=True)


def _changed(baseline: ComparedRun, current: ComparedRun, category: str) -> ChangedSamples:
    """Which samples changed sides; labels that a model has learnt by heart say nothing about themselves."""
    return changed_samples(baseline.results, current.results, find_suspects=category != TRAINING)


def _unreadable(mode: str, before: Snapshot, now: float, error: StoreError) -> Compared:
    """A comparison that says that the baseline's figures cannot be read."""
    known = before.comparison
    shown = known.baseline if known is not None and known.baseline.mode == mode else BaselineFigures(mode, now, "")
    return Compared(_broken(shown, f"the baseline cannot be read, pin another run: {error}"))
