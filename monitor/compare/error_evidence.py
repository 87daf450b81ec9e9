"""Evidence of errors: whether the current model is wrong more often on the samples that come in.

In a figure of the whole set, new samples that go wrong are diluted by all that were there before. The martingale of
`evidence` sees them by themselves, with bets on larger scores alone: better ones are no alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.drift import ComparedRun, DriftState, moment, one_model
from monitor.compare.evidence import EvidenceState, begin, count, latched, look_digest
from monitor.compare.evidence_samples import Kept, Scores, rounded
from monitor.compare.gate import Increase, increase
from monitor.compare.martingale import error_bets
from monitor.figures.anomaly import KINDS
from monitor.figures.groups import NONE, Groups, Unit
from monitor.figures.scoring import accuracy_verdicts
from monitor.results import CORRECT, UNSCORED, Block, BlockKind, FloatArray, IntArray, ResultSet

ERRORS = -1
"""The key of this evidence among a target's drift states, which are by block: it is of the impulse as a whole."""

_RETRAINED = 0.01
"""Under another date of training the model is the same only if no more of the shared samples are scored otherwise: the
date is that of the impulse, and another block may have been trained."""


@dataclass(frozen=True, slots=True)
class ErrorEvidence:
    """What new samples say about a model's errors.

    Attributes:
        evidence: log10 of the test martingale; at `martingale.ALARM` and more, with a significant increase, the alarm
            is raised.
        alarm: Whether it is; it lasts until the increase was not significant at two result sets, and all between them,
            that share nothing of what they compared.
        reference, recent: Mean share of wrong windows of the reference's samples, and of the new ones that came last.
        pvalue: Of the increase, by permutation of units; 1 with too few samples.
        added, last: New samples that were counted; those that came last.
        since: When the run finished that new samples are compared with, Unix seconds: the current model's first.
        unit: What the evidence counts as one: `sample` or `group`.
        unit_known: Whether there were groups enough to say so, or there are no groups.
        starts: How often the evidence started, each time with a chance of 1 % of a false alarm.
    """

    evidence: float
    alarm: bool
    reference: float
    recent: float
    pvalue: float
    added: int
    last: int
    since: float
    unit: Unit = "sample"
    unit_known: bool = True
    starts: int = 1

    @property
    def increase(self) -> float:
        """How much larger the share of errors is among what came last."""
        return self.recent - self.reference


def error_evidence(
    current: ComparedRun, pinned: ComparedRun, state: DriftState | None, seed: int, group_by: str = NONE
) -> tuple[ErrorEvidence, DriftState] | tuple[None, None]:
    """Let the evidence of errors advance over the new samples.

    Args:
        current: The run of now; may be the pinned baseline itself.
        pinned: The pinned baseline, the reference as long as its model is the current one.
        state: Of the run before; None where there was none.
        seed: Of the permutations, and of a new reference's draws, 0 to 2**64 - 1.
        group_by: How samples are grouped, as `groups_of` takes it.

    Returns:
        What it says, and the state for the next run; None where no window is scored.
    """
    now, wrong = sample_errors(current.results, current.groups(group_by))
    if not len(now.id):
        return None, None
    model = _whole(current.results.blocks)
    if state is None or state.pinned != pinned.finished or not _goes_on(state, current, model, now, group_by):
        state = _begun(pinned, current, model, (now, wrong), seed, group_by)
    evidence = count(state.evidence, now, moment(current.finished), error_bets)
    errors = _kept_errors(evidence, state.judged, Kept(now.id, rounded(wrong), now.id))
    evidence, found = _tested(evidence, errors, now, seed)
    return ErrorEvidence(
        evidence=evidence.evidence,
        alarm=evidence.alarm,
        reference=found.reference,
        recent=found.recent,
        pvalue=found.pvalue,
        added=evidence.added,
        last=len(evidence.recent),
        since=state.since,
        unit=evidence.unit,
        unit_known=evidence.chosen,
        starts=evidence.starts,
    ), replace(state, evidence=evidence, judged=errors, trained=current.trained or state.trained, group_by=group_by)


def sample_errors(results: ResultSet, groups: Groups | None) -> tuple[Scores, FloatArray]:
    """What each sample with scored windows counts: the mean over them of 1 - confidence of the label, of 1 or 0 (wrong
    or not) where a window has no such confidence.

    Returns:
        These; and float64[n], the share of its scored windows that are wrong.
    """
    verdicts = accuracy_verdicts(results)
    scored = verdicts != UNSCORED
    wrong = (verdicts != CORRECT).astype(np.float64)
    own = _label_confidence(results)
    score = np.where(np.isfinite(own), 1 - own, wrong)[scored]
    windows = np.bincount(results.sample[scored], minlength=results.samples)
    sample = np.flatnonzero(windows)
    score, share = (
        np.bincount(results.sample[scored], values, results.samples)[sample] / windows[sample]
        for values in (score, wrong[scored])
    )
    return Scores.of(results, groups, sample, score), share


def _label_confidence(results: ResultSet) -> FloatArray:
    """float64[m], each window's confidence of its own label, of the first classifier that has one; NaN where none
    does.
    """
    found = np.full(results.windows, np.nan)
    classifying = {block.id for block in results.blocks if block.kind is BlockKind.CLASSIFICATION}
    for block, confidences in results.confidences.items():
        if block not in classifying or not confidences.classes:
            continue
        column = {name: place for place, name in enumerate(confidences.classes)}
        place: IntArray = np.array([*(column.get(name, -1) for name in results.labels), -1])[results.label]
        own = np.where(place >= 0, confidences.values[np.arange(results.windows), place], np.nan)
        found = np.where(np.isfinite(found), found, own)
    return found


def _whole(blocks: tuple[Block, ...]) -> Block:
    """The blocks that decide about predictions as one: their types and their numeric thresholds."""
    thresholds = {f"{block.id}.{key}": value for block in blocks for key, value in block.thresholds.items()}
    types = " ".join(f"{block.id}:{block.type}" for block in blocks if block.kind not in KINDS)
    return Block(ERRORS, types, BlockKind.UNKNOWN, "", thresholds)


def _goes_on(state: DriftState, current: ComparedRun, model: Block, now: Scores, group_by: str) -> bool:
    """Whether the model is the one that the state began with, and the grouping."""
    if state.group_by not in ("", group_by):
        return False
    known = state.evidence.reference.and_(state.evidence.recent)
    return _same_model((state.block, model), (state.trained, current.trained), known, Kept.of(now))


def _same_model(
    blocks: tuple[Block, Block], trained: tuple[float | None, float | None], before: Kept, after: Kept
) -> bool:
    most = _RETRAINED if None not in trained and trained[0] != trained[1] else 0.5
    return one_model(blocks, trained, (before.id, before.value), (after.id, after.value), most)


def _begun(
    pinned: ComparedRun,
    current: ComparedRun,
    model: Block,
    now: tuple[Scores, FloatArray],
    seed: int,
    group_by: str,
) -> DriftState:
    """A state without new samples: of the pinned baseline, if the current model gave its results, else of the current
    run.
    """
    then = sample_errors(pinned.results, pinned.groups(group_by))
    blocks = (_whole(pinned.results.blocks), model)
    trained = (pinned.trained, current.trained)
    same = len(then[0].id) and _same_model(blocks, trained, Kept.of(then[0]), Kept.of(now[0]))
    (reference, wrong), since = (then, pinned.finished) if same else (now, current.finished)
    evidence = begin(reference, None, seed, error_bets)
    errors = _kept_errors(evidence, None, Kept(reference.id, rounded(wrong), reference.id))
    return DriftState(pinned.finished, since, model, current.trained, evidence, group_by=group_by, judged=errors)


def _kept_errors(evidence: EvidenceState, before: Kept | None, now: Kept) -> Kept:
    """Which share of its windows was wrong of each sample that is kept, in ascending order of ids; of one that was
    known, as it was then.
    """
    every = now if before is None else before.and_(now)
    ids, first = np.unique(every.id, return_index=True)
    wanted = np.union1d(evidence.reference.id, evidence.recent.id)
    return every.take(first[np.isin(ids, wanted)])


def _tested(evidence: EvidenceState, errors: Kept, now: Scores, seed: int) -> tuple[EvidenceState, Increase]:
    """The state after the test, and the increase of the share of errors."""
    reference, recent = (
        errors.value[np.searchsorted(errors.id, of.id)] for of in (evidence.reference, evidence.recent)
    )
    if not evidence.sufficient:
        share = float(reference.mean())
        return evidence, Increase(share, float(recent.mean()) if len(recent) else share, 1.0)
    units = (evidence.reference.group, evidence.recent.group) if evidence.unit == "group" else None
    found = increase(reference, recent, seed, units)
    digest = look_digest(now)
    if digest == evidence.looked:
        return evidence, found
    return latched(replace(evidence, looked=digest), found.significant, error_bets), found
