"""`VariantGaps`: a target's run beside the run of the reference variant of its impulse, of the same turn.

What is known of the reference is read from the store, which has it as soon as its run has ended: no turn holds a result
set for another run.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from monitor.compare.changed_windows import ChangedSamples, differing_samples
from monitor.compare.variants import VariantComparison, compare_variants
from monitor.pipeline.project_turn import OtherRun
from monitor.pipeline.stored_results import results_of
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.unit_choices import InWorker
from monitor.pipeline.watch import Watch
from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store import Run, Store, StoreCorrupt, StoreTooNew

NONE_DIFFER = ChangedSamples({}, {}, {})
"""Where two variants are not compared."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Beside:
    """What a run says beside the reference's.

    Attributes:
        variants: The comparison; None where the target has no reference.
        differing: The samples on which the two differ, none where they are not compared; None where these are as they
            were.
    """

    variants: VariantComparison | None
    differing: ChangedSamples | None = None


@dataclass(frozen=True, slots=True)
class VariantRun:
    """A good run that is to be compared.

    Attributes:
        results: Its result set.
        fingerprint: Of that.
        trained: Unix seconds of the model's training; None where unknown.
        baseline: The run it is compared with; None where it is the baseline itself.
        group_by: Which samples came together, as `groups_of` takes it.
        seed: Of every re-sampling.
        find_suspects: Whether to look for labels that look wrong, as `sides` takes it.
    """

    results: ResultSet
    fingerprint: str
    trained: float | None
    baseline: Run | None
    group_by: str
    seed: int
    find_suspects: bool


class VariantGaps:
    """Compares runs with those of reference variants.

    Args:
        store: Has the runs.
        in_worker: Calls a function in a worker thread.
    """

    def __init__(self, store: Store, in_worker: InWorker) -> None:
        self._store = store
        self._in_worker = in_worker

    async def find(
        self, watch: Watch, run: VariantRun, other: OtherRun, known: VariantComparison | None, cache: TargetCache
    ) -> Beside:
        """The run beside the reference's, as before where nothing it depends on has changed. Says why they are not
        compared where they cannot be.

        Args:
            watch: The target, and which one is its reference.
            run: Its run.
            other: How the run of the reference went in this turn.
            known: The comparison of the run before; None where there was none.
            cache: Of the target.

        Raises:
            StoreError: The store cannot be asked.
        """
        reference = watch.reference
        if reference is None:
            return Beside(None, None if known is None else NONE_DIFFER)
        of_now = known is not None and known.against == reference.variant
        if other.taken_part and other.fingerprint is None:
            if known is not None and of_now and known.compared[:1] == (run.fingerprint,):
                return Beside(known)  # nothing new is known of either
            failed = "has failed" if other.ended else "has not ended yet"
            return _not_compared(reference.variant, run, f"its pull of this turn {failed}", cache)
        row = await self._store.baseline(reference.id, watch.policy.baseline.mode)
        base = run if run.baseline is None else run.baseline
        own = (run.fingerprint, run.trained, run.group_by, base.fingerprint, base.trained)
        inputs = (*own, row.run_id if row else None, reference, other.fingerprint)
        if of_now and cache.variants == inputs:
            return Beside(known)
        try:
            against = await self._store.last_good(reference.id)
            if against is None:
                return _not_compared(reference.variant, run, "it has no results yet", cache)
            if reason := _other(watch, run, against, other):
                return _not_compared(reference.variant, run, reason, cache)
            before = await self._store.run(row.run_id) if row is not None else None
            if before is not None and not _comparable(watch, run.baseline, before):
                before = None
            found = await self._compare(run, reference.variant, against, before)
        except (StoreCorrupt, StoreTooNew) as error:
            if self._store.problem is not None:
                raise
            return _not_compared(reference.variant, run, f"its run cannot be read: {error}", cache)
        cache.variants = (*inputs[:-1], against.fingerprint)
        return found

    async def _compare(self, run: VariantRun, variant: str, against: Run, before: Run | None) -> Beside:
        reference = await results_of(self._store, against)
        baselines = None
        if before is not None:
            unchanged = before.fingerprint == against.fingerprint
            of_reference = reference if unchanged else await results_of(self._store, before)
            baselines = (
                of_reference,
                run.results if run.baseline is None else await results_of(self._store, run.baseline),
            )
        try:
            found: Beside = await self._in_worker(_beside, variant, reference, run, baselines)
        except Exception:  # a bug in the comparison must cost neither figures nor record
            log.exception("variants.crashed", reference=against.target_id)
            crashed = VariantComparison(variant, (run.fingerprint,), "the comparison failed, see the log")
            return Beside(crashed, NONE_DIFFER)
        return found


def _beside(
    variant: str, reference: ResultSet, run: VariantRun, baselines: tuple[ResultSet, ResultSet] | None
) -> Beside:
    """A run beside the reference variant's, and which samples they differ on."""
    variants = compare_variants(variant, reference, run.results, run.seed, baselines, run.group_by)
    if variants.reason:
        return Beside(variants, NONE_DIFFER)
    return Beside(variants, differing_samples(reference, run.results, find_suspects=run.find_suspects))


def _not_compared(variant: str, run: VariantRun, reason: str, cache: TargetCache) -> Beside:
    found = VariantComparison(variant, (run.fingerprint,), reason)
    differing = None if cache.variants == found else NONE_DIFFER
    cache.variants = found
    return Beside(found, differing)


def _of_now(run: Run, watch: Watch) -> bool:
    """Whether a run took the samples that are wanted now, and can be computed with as it is."""
    return run.selection == watch.policy.selection and run.versions.results == FINGERPRINT_VERSION


def _other(watch: Watch, run: VariantRun, against: Run, other: OtherRun) -> str:
    """Why the reference's last good run is no partner, in a clause; empty where it is one."""
    if other.taken_part and against.fingerprint != other.fingerprint:
        return "its run of this turn is not in the store"
    if not _of_now(against, watch):
        return "its last results were read with other filters, or by another version"
    if None not in (run.trained, against.trained):
        return "" if run.trained == against.trained else "its last results are of another training"
    return "" if other.taken_part else "it was not pulled in this turn, and nobody knows whether of the same training"


def _comparable(watch: Watch, baseline: Run | None, before: Run) -> bool:
    """Whether the reference's baseline can stand beside the target's: of one training, as far as is known."""
    if baseline is None:
        return _of_now(before, watch)
    trained = baseline.trained, before.trained
    both = _of_now(before, watch) and _of_now(baseline, watch)
    return both and (None in trained or trained[0] == trained[1])
