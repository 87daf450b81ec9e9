"""Drift of an anomaly block's scores against the baseline: distances, tests and evidence put together.

The unit is the sample: windows of one sample are not independent, and a test on windows raises false alarms in most
quiet cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monitor.compare.distances import Distances, distances, gate_open, insufficient
from monitor.compare.evidence import EvidenceState, begin, count, look
from monitor.compare.evidence_samples import Kept, Scores, rounded
from monitor.compare.martingale import Ids
from monitor.compare.permutation import paired_pvalue, two_sample_pvalue
from monitor.figures.anomaly import sample_scores, threshold
from monitor.figures.groups import NONE, Groups, Unit, UnitChoice, choose_unit, groups_of
from monitor.figures.units import Units, anomaly_score
from monitor.results import Block, FloatArray, IntArray, ResultSet

_SAME_SCORE = 1e-9  # as the fingerprint has it


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """A run as one side of a comparison.

    Attributes:
        finished: Unix seconds; tells a target's runs apart.
        results: Its result set.
        trained: Unix seconds of its model's training; None where unknown.
        units: What is one opinion in it, by the baseline's choices; None: its samples.
    """

    finished: float
    results: ResultSet
    trained: float | None = None
    units: Units | None = None

    def groups(self, group_by: str) -> Groups | None:
        """Which of its samples came together; those that its units know already, where it has some."""
        return groups_of(self.results, group_by) if self.units is None else self.units.groups


@dataclass(frozen=True, slots=True)
class Decision:
    """The paired test of one model against a baseline, which is taken once: looking again would be another chance to be
    wrong.

    Attributes:
        baseline: `ComparedRun.finished` of the baseline.
        pvalue, gate: What the test said, and whether the difference matters.
    """

    baseline: float
    pvalue: float
    gate: bool


@dataclass(frozen=True, slots=True, eq=False)
class DriftState:
    """What the next comparison of a block depends on. Never changed: `drift` makes another.

    Attributes:
        pinned: `ComparedRun.finished` of the pinned baseline that this began under: pinning another one begins again.
        since: `ComparedRun.finished` of the run whose scores are the reference: the pinned baseline, or the model's
            first run.
        block: The block as it was then; its type and thresholds are part of what a model is.
        trained: Unix seconds of the training that was last known of this model.
        evidence: Of the new samples.
        decision: The paired test, once it was taken.
        group_by: How samples are grouped; empty where that is not known.
        judged: Of evidence of errors, which share of each kept sample's windows was wrong.
    """

    pinned: float
    since: float
    block: Block
    trained: float | None
    evidence: EvidenceState
    decision: Decision | None = None
    group_by: str = ""
    judged: Kept | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """One anomaly block's scores against the baseline.

    Causes: `total`, all current samples against all of the baseline; `model`, the samples both runs share, scored by
    either; `data`, the new samples that came last against the reference of the evidence, all scored by the current
    model.

    Attributes:
        block: The block, as it is in the current run.
        distances: By cause, absent where one side has no sample; all 0 for `data` while nothing new was counted.
        pvalues: Of `total` and `model`; absent with too few samples, and where the scores are the same. That of `model`
            is of the one test per model and baseline.
        gates: By cause, whether the difference matters and there are samples enough to say so: `gate_open`; of `model`
            at that test; of `data` beyond what chance gives (`gate.effect`).
        insufficient: Whether `total` has too few samples for a verdict.
        reference, current, shared, added: Samples with a score: the baseline's, the current run's, in both, counted by
            the evidence.
        evidence: log10 of the test martingale over the new samples; at `martingale.ALARM` and more, with the gate of
            `data` open, the alarm is raised.
        since: When the run finished whose scores the new ones are compared with, Unix seconds: the pinned baseline, or
            the first run of the current model.
        alarm: Whether new samples drifted: raised by the evidence, and over once the gate was shut for long enough.
        recent: New samples that came last, which `data` compares.
        unit: What the evidence counts as one: `sample` or `group`.
        unit_known: Whether there were groups enough to say so, or there are no groups.
        units: Units that were counted.
        left_out: Groups too small to be counted, the reference's among them.
        starts: How often the evidence started, each time with a chance of 1 % of a false alarm.
    """

    block: Block
    distances: Mapping[str, Distances]
    pvalues: Mapping[str, float]
    gates: Mapping[str, bool]
    insufficient: bool
    reference: int
    current: int
    shared: int
    added: int
    evidence: float
    since: float
    alarm: bool = False
    recent: int = 0
    unit: Unit = "sample"
    unit_known: bool = True
    units: int = 0
    left_out: int = 0
    starts: int = 1


def drift(
    baseline: ComparedRun,
    current: ComparedRun,
    pinned: ComparedRun,
    block: Block,
    state: DriftState | None,
    seed: int,
    group_by: str = NONE,
    choice: UnitChoice | None = None,
) -> tuple[Drift, DriftState]:
    """Compare one anomaly block of two runs, and let the evidence advance over the new samples.

    Args:
        baseline: The run to compare with.
        current: The run of now; may be the baseline itself.
        pinned: The pinned baseline, whose scores new samples are compared with as long as its model is the current one.
        block: The block in the current run; its threshold holds for both.
        state: Of the run before; None where there was none.
        seed: Of the re-sampling, and of a new reference's tie breaks, 0 to 2**64 - 1.
        group_by: How samples are grouped, as `groups_of` takes it.
        choice: The unit of the block's scores, as the pinned baseline decided it; None lets its scores decide.

    Returns:
        The drift, and the state for the next run.
    """
    limit = threshold(block)
    reference_id, reference = per_sample(baseline.results, block.id)
    current_id, scores = per_sample(current.results, block.id)
    _, left, right = np.intersect1d(reference_id, current_id, assume_unique=True, return_indices=True)
    before = reference[left]
    after = scores[right]

    now = _scores(current.results, block.id, current.groups(group_by))
    if state is None or state.pinned != pinned.finished or not _goes_on(state, current, block, now, group_by):
        state = _begun(pinned, current, block, now, seed, group_by, choice)
    evidence = count(state.evidence, now, moment(current.finished))
    evidence = look(evidence, now, limit, seed)

    pairs = {
        "total": (reference, scores),
        "model": (before, after),
        "data": (evidence.reference.value, evidence.recent.value),
    }
    found = {cause: distances(*pair, limit) for cause, pair in pairs.items() if len(pair[0]) and len(pair[1])}
    if not len(evidence.recent):
        found["data"] = Distances(0.0, 0.0, 0.0, 0.0, 0.0)
    sufficient = {cause: not insufficient(len(pair[0]), len(pair[1])) for cause, pair in pairs.items()}
    gates = {cause: sufficient[cause] and gate_open(distance) for cause, distance in found.items()}
    gates["data"] = evidence.gate
    pvalues = {}
    if sufficient["total"] and not _same(reference_id, reference, current_id, scores):
        grouped = _units_of_both(baseline, reference_id, current, current_id, block)
        pvalues["total"] = two_sample_pvalue(reference, scores, limit, seed, units=grouped)
    decision = state.decision if state.decision and state.decision.baseline == baseline.finished else None
    if decision is None and sufficient["model"] and not np.array_equal(before, after):
        together = _swapped_together(current, current_id[right], before, after)
        pvalue = paired_pvalue(before, after, limit, seed, units=together)
        decision = Decision(baseline.finished, pvalue, gates["model"])
    if decision is not None:
        pvalues["model"] = decision.pvalue
        gates["model"] = decision.gate
    drifted = Drift(
        block=block,
        distances=found,
        pvalues=pvalues,
        gates=gates,
        insufficient=not sufficient["total"],
        reference=len(reference),
        current=len(scores),
        shared=len(before),
        since=state.since,
        **_of_evidence(evidence),
    )
    trained = current.trained or state.trained
    return drifted, replace(state, evidence=evidence, decision=decision, trained=trained, group_by=group_by)


def _of_evidence(evidence: EvidenceState) -> dict[str, Any]:
    """What a drift says of the new samples."""
    return {
        "added": evidence.added,
        "evidence": evidence.evidence,
        "alarm": evidence.alarm,
        "recent": len(evidence.recent),
        "unit": evidence.unit,
        "unit_known": evidence.chosen,
        "units": evidence.units,
        "left_out": evidence.left_out,
        "starts": evidence.starts,
    }


def _units_of_both(
    baseline: ComparedRun, baseline_id: Ids, current: ComparedRun, current_id: Ids, block: Block
) -> tuple[IntArray, IntArray] | None:
    """The groups of both runs' samples; None where the sample is the unit of either."""
    before = _units(baseline, baseline_id, block)
    now = _units(current, current_id, block)
    return None if before is None or now is None else (before, now)


def _units(run: ComparedRun, sample_id: Ids, block: Block) -> IntArray | None:
    """int[k], the group of each of these samples of a run; None where the sample is the unit of the block's scores."""
    if run.units is None or not run.units.grouped(anomaly_score(block.id)):
        return None
    return run.units.of(anomaly_score(block.id))[np.searchsorted(run.results.sample_id, sample_id)]


def _swapped_together(run: ComparedRun, sample_id: Ids, before: FloatArray, after: FloatArray) -> IntArray | None:
    """int[k], the groups that swap as wholes; None where the differences of paired scores vary by sample."""
    if run.units is None or run.units.groups is None:
        return None
    group = run.units.groups.of[np.searchsorted(run.results.sample_id, sample_id)]
    return group if choose_unit(after - before, group, about_zero=True).unit == "group" else None


def _begun(
    pinned: ComparedRun,
    current: ComparedRun,
    block: Block,
    now: Scores,
    seed: int,
    group_by: str,
    choice: UnitChoice | None,
) -> DriftState:
    """A state without new samples: of the pinned baseline's scores, if the current model gave them, else of the
    current run's.
    """
    before = _scores(pinned.results, block.id, pinned.groups(group_by))
    then = next((known for known in pinned.results.blocks if known.id == block.id), None)
    trained = (pinned.trained, current.trained)
    if (
        then is not None
        and len(before.id)
        and one_model((then, block), trained, (before.id, before.value), (now.id, now.value))
    ):
        evidence = begin(before, choice, seed)
        return DriftState(pinned.finished, pinned.finished, block, current.trained, evidence, group_by=group_by)
    evidence = begin(now, None, seed)
    return DriftState(pinned.finished, current.finished, block, current.trained, evidence, group_by=group_by)


def _goes_on(state: DriftState, current: ComparedRun, block: Block, now: Scores, group_by: str) -> bool:
    """Whether the model is the one that the state began with, and the grouping."""
    if state.group_by not in ("", group_by):
        return False
    if not len(now.id):
        return True  # nothing says otherwise
    known = state.evidence.reference.and_(state.evidence.recent)
    second = (now.id, rounded(now.value))
    return one_model((state.block, block), (state.trained, current.trained), (known.id, known.value), second)


def one_model(
    blocks: tuple[Block, Block],
    trained: tuple[float | None, float | None],
    first: tuple[Ids, FloatArray],
    second: tuple[Ids, FloatArray],
    most: float = 0.5,
) -> bool:
    """Whether one model gave both sets of (ids, scores): same kind of block and thresholds, and at most `most` of the
    shared samples scored otherwise.

    What a model says of samples that both know is better proof than the date of a training, which is that of the whole
    impulse and may be hidden from the key. The date counts where no sample is shared. Single samples may be scored
    otherwise because they were edited.
    """
    if blocks[0].type != blocks[1].type or blocks[0].thresholds != blocks[1].thresholds:
        return False
    _, left, right = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
    if not len(left):
        return None in trained or trained[0] == trained[1]
    return float(np.mean(np.abs(first[1][left] - second[1][right]) > _SAME_SCORE)) <= most


def per_sample(results: ResultSet, block_id: int) -> tuple[Ids, FloatArray]:
    """Each sample's score: the largest of its windows' finite scores.

    Returns:
        int64[k], ascending ids, and float64[k]; samples without a finite score are left out, all of them where the run
        has no such block.
    """
    sample, scores = sample_scores(results, block_id)
    return results.sample_id[sample], scores


def moment(seconds: float) -> np.datetime64:
    """Unix seconds as the time of a look."""
    return np.datetime64(round(seconds * 1000), "ms")


def _scores(results: ResultSet, block_id: int, groups: Groups | None) -> Scores:
    """The samples' scores, as evidence takes them."""
    sample, scores = sample_scores(results, block_id)
    return Scores.of(results, groups, sample, scores)


def _same(first_id: Ids, first: FloatArray, second_id: Ids, second: FloatArray) -> bool:
    return np.array_equal(first_id, second_id) and np.array_equal(first, second)
