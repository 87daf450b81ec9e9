"""What a run would be under other thresholds, and whether two runs are outputs of one model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index, Pairing, equal_groups
from monitor.compare.renaming import ANOMALY, of_owners
from monitor.figures.anomaly import KINDS, THRESHOLD
from monitor.figures.anomaly import threshold as anomaly_threshold
from monitor.results import (
    CORRECT,
    UNCERTAIN,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Boxes,
    Confidences,
    FloatArray,
    IntArray,
    ResultSet,
    shrink_dtype,
)

MIN_SCORE = "min_score"
"""Studio's key of the confidence or score below which nothing is predicted."""

_EQUAL = 1e-9
_VALUES_AT_ONCE = 1 << 18  # confidences that are compared at a time (2 MB)
_DETECTORS = (BlockKind.DETECTION, BlockKind.FOMO)

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """A threshold, a number or a text, that one learning block has with different values in the two runs."""

    block: str
    key: str
    baseline: float | str
    current: float | str


def paired_blocks(baseline: ResultSet, current: ResultSet) -> Iterator[tuple[Block, Block]]:
    """The blocks of the two runs that are one: by id, else the only one of its kind on either side."""
    before = {block.id: block for block in baseline.blocks}
    here = {block.id for block in current.blocks}
    for block in current.blocks:
        if block.id in before:
            yield before[block.id], block
            continue
        old = [other for other in baseline.blocks if other.kind is block.kind and other.id not in here]
        new = [other for other in current.blocks if other.kind is block.kind and other.id not in before]
        if len(old) == len(new) == 1:
            yield old[0], block


def threshold_changes(baseline: ResultSet, current: ResultSet) -> tuple[ThresholdChange, ...]:
    """The thresholds that both runs have, with other values: numbers, then texts, block by block."""
    return tuple(
        ThresholdChange(block.name or str(block.id), key, before, after)
        for _, block, key, before, after in _changed(baseline, current)
    )


def _changed(baseline: ResultSet, current: ResultSet) -> Iterator[tuple[Block, Block, str, float | str, float | str]]:
    for old, new in paired_blocks(baseline, current):
        for before, after in ((old.thresholds, new.thresholds), (old.texts, new.texts)):
            for key in sorted(before.keys() & after.keys()):
                if before[key] != after[key]:
                    yield old, new, key, before[key], after[key]


def same_outputs(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> bool | None:
    """Whether the raw outputs on the shared samples are equal to 1e-9, as far as they are above both runs' thresholds.

    Args:
        baseline, current: The runs, coded by one table.
        pairing: Of these two runs.

    Returns:
        None where the two have no raw output to compare.
    """
    found = list(_compared(baseline, current, pairing))
    return all(found) if found else None


def _compared(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> Iterator[bool]:
    before = pairing.baseline_window
    after = pairing.current_window
    kinds = baseline.kinds() & current.kinds()
    by_prediction = bool(kinds & {BlockKind.REGRESSION, BlockKind.UNKNOWN})
    confident = False
    for old, new in paired_blocks(baseline, current):
        if old.id in baseline.confidences and new.id in current.confidences:
            sides = baseline.confidences[old.id], current.confidences[new.id]
            if (same := _same_confidences(*sides, pairing)) is not None:
                confident = True
                yield same
        if old.id in baseline.anomaly and new.id in current.anomaly:
            scores = _same_values(baseline.anomaly[old.id][before], current.anomaly[new.id][after])
            if scores is not None:
                yield scores
        if new.kind in _DETECTORS and (boxes := _same_detections(baseline, current, pairing, old, new)) is not None:
            yield boxes
    if (by_prediction or (BlockKind.CLASSIFICATION in kinds and not confident)) and len(before):
        guess = baseline.prediction[before]
        other = current.prediction[after]
        below = _is(baseline, guess, UNCERTAIN) | _is(current, other, UNCERTAIN)
        hidden = below & any(key == MIN_SCORE for _, _, key, *_ in _changed(baseline, current))
        yield bool((guess == other)[~hidden].all())


def _is(run: ResultSet, codes: IntArray, name: str) -> BoolArray:
    """bool[w], which codes are of this name."""
    return np.array([*(label == name for label in run.labels), False])[codes]


def _same_confidences(before: Confidences, after: Confidences, pairing: Pairing) -> bool | None:
    """As `_same_values` of the shared windows, some at a time: two runs of many classes fill the memory as they are."""
    if sorted(before.classes) != sorted(after.classes):
        return False
    place = {name: column for column, name in enumerate(after.classes)}
    order = None if before.classes == after.classes else [place[name] for name in before.classes]
    step = max(1, _VALUES_AT_ONCE // max(len(before.classes), 1))
    found = None
    for first in range(0, len(pairing.sample), step):
        some = slice(first, first + step)
        now = after.values[pairing.current_window[some]]
        same = _same_values(before.values[pairing.baseline_window[some]], now if order is None else now[:, order])
        if same is False:
            return False
        found = found or same
    return found


def _same_values(before: FloatArray, after: FloatArray) -> bool | None:
    """Whether two arrays are equal, NaN where the other one is; None where there is nothing else."""
    if np.isnan(before).all() and np.isnan(after).all():
        return None
    return bool(np.isclose(before, after, 0, _EQUAL, equal_nan=True).all())


def _same_detections(baseline: ResultSet, current: ResultSet, pairing: Pairing, old: Block, new: Block) -> bool | None:
    """Whether the same boxes were found, above both thresholds; None where either run tells of none."""
    limit = max(block.thresholds.get(MIN_SCORE, -np.inf) for block in (old, new))
    windows = len(pairing.sample)
    sides: list[tuple[Index, FloatArray]] = []
    for run, window in ((baseline, pairing.baseline_window), (current, pairing.current_window)):
        if run.detections is None:
            return None
        own = of_owners(run.detections, window)
        score = np.full(len(own), np.inf) if own.score is None else own.score
        kept = score >= limit - _EQUAL
        rows = np.column_stack([own.label, own.xywh, score])
        sides.append((own.owner[kept].astype(np.intp), np.round(rows[kept], 9).astype(np.float64)))
    if not len(sides[0][0]) and not len(sides[1][0]):
        return None
    same, _, _ = equal_groups(*sides[0], *sides[1], windows)
    return bool(same.all())


def under_thresholds_of(current: ResultSet, baseline: ResultSet, pairing: Pairing, kind: BlockKind) -> ResultSet | None:
    """The baseline's outputs under the thresholds of the current run.

    Args:
        current, baseline: The runs, coded by one table.
        pairing: Of these two runs.
        kind: Of the block that the figure is of: a classifier's predictions are made again from its confidences (and an
            anomaly block's scores), a regression gets the other tolerance, of a detector's boxes those stay that are
            above the higher threshold.

    Returns:
        None where its own predictions do not come about that way under its own thresholds: then nobody can tell.
    """
    changed = list(_changed(baseline, current))
    if kind is BlockKind.REGRESSION:
        only = all(old.kind is kind for old, *_ in changed)
        return replace(baseline, blocks=current.blocks) if only else None
    if kind is BlockKind.DETECTION:
        return _fewer_boxes(baseline, changed)
    if kind is BlockKind.CLASSIFICATION and all(_is_modelled(old, key) for old, _, key, *_ in changed):
        return _predicted_again(baseline, current, pairing)
    return None


def _is_modelled(block: Block, key: str) -> bool:
    """Whether it is known what the threshold does to a prediction."""
    if block.kind is BlockKind.CLASSIFICATION:
        return key == MIN_SCORE
    alone = THRESHOLD not in block.thresholds and len(block.thresholds) == 1
    return block.kind in KINDS and key in block.thresholds and (key == THRESHOLD or alone)


def _fewer_boxes(
    baseline: ResultSet, changed: list[tuple[Block, Block, str, float | str, float | str]]
) -> ResultSet | None:
    """A detector's boxes above a higher threshold; below a lower one there are none to know of."""
    found = baseline.detections
    if found is None or found.score is None:
        return None
    limit = -np.inf
    for old, _, key, before, after in changed:
        if old.kind is not BlockKind.DETECTION or key != MIN_SCORE or isinstance(before, str) or isinstance(after, str):
            return None
        if after < before or (found.score < before - _EQUAL).any():
            return None
        limit = max(limit, after)
    kept = found.score >= limit
    return replace(
        baseline, detections=Boxes(found.owner[kept], found.label[kept], found.xywh[kept], found.score[kept])
    )


def _predicted_again(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> ResultSet | None:
    """A classifier's predictions under the other thresholds, by the first rule that explains those of both runs, else
    the baseline's.
    """
    pairs = [(old, new) for old, new in paired_blocks(baseline, current)]
    explained: list[tuple[bool, int, str, Block, Block]] = []
    for old, new in pairs:
        if old.kind is not BlockKind.CLASSIFICATION or old.id not in baseline.confidences:
            continue
        for rule in _RULES if baseline.anomaly else _RULES[-1:]:
            if not _explains(rule, baseline, old, pairing.baseline_window):
                continue
            both = new.id in current.confidences and _explains(rule, current, new, pairing.current_window)
            explained.append((not both, len(explained), rule, old, new))
    if not explained:
        return None
    *_, rule, old, new = min(explained, key=lambda each: each[:2])
    limits = {before.id: anomaly_threshold(after) for before, after in pairs if before.kind in KINDS}
    prediction = _predictions(rule, baseline, old, new.thresholds.get(MIN_SCORE), limits)
    moved = prediction != baseline.prediction
    verdict = np.where(prediction == baseline.label, CORRECT, WRONG)
    correct = np.where(moved & (baseline.correct != UNSCORED), verdict, baseline.correct).astype(np.int8)
    return replace(baseline, prediction=shrink_dtype(prediction), correct=correct)


_RULES = ("anomaly first", "anomaly unless uncertain", "classes only")
"""What a prediction comes from: the anomaly block's flag before or after the confidence is looked at, or not at all."""


def _explains(rule: str, run: ResultSet, block: Block, windows: npt.NDArray[np.intp]) -> bool:
    """Whether the run's predictions in these windows are what its outputs and own thresholds give."""
    limits = {each.id: anomaly_threshold(each) for each in run.blocks if each.kind in KINDS}
    made = _predictions(rule, run, block, block.thresholds.get(MIN_SCORE), limits)
    return bool((made == run.prediction)[windows].all())


def _predictions(
    rule: str, run: ResultSet, block: Block, min_score: float | None, limits: dict[int, float | None]
) -> IntArray:
    """int[m], codes of what a rule predicts; -1 without confidences. Of equally confident classes the run's own
    prediction is taken.
    """
    known = run.confidences[block.id]
    codes = {name: code for code, name in enumerate(run.labels)}
    scores_too = any(each.kind in KINDS for each in run.blocks)
    columns = [place for place, name in enumerate(known.classes) if not (scores_too and name == ANOMALY)]
    classes = np.array([codes[known.classes[place]] for place in columns], np.intp)
    values = known.values[:, columns]
    top = values.max(axis=1, initial=-np.inf)
    own = values == top[:, None]
    tied = (own & (classes[None, :] == run.prediction[:, None])).any(axis=1)
    best = np.where(tied, run.prediction, classes[own.argmax(axis=1)]) if len(classes) else run.prediction
    uncertain = top < (-np.inf if min_score is None else min_score - _EQUAL)
    made = np.where(uncertain, codes[UNCERTAIN], best)
    flagged = _flagged(run, limits) if rule != _RULES[-1] else np.zeros(run.windows, np.bool_)
    if rule == _RULES[1]:
        flagged &= ~uncertain
    made = np.where(flagged, codes.get(ANOMALY, -1), made)
    return np.where(np.isfinite(top), made, -1)


def _flagged(run: ResultSet, limits: dict[int, float | None]) -> BoolArray:
    """bool[m], windows that an anomaly block scores above its limit."""
    found = np.zeros(run.windows, np.bool_)
    for block, scores in run.anomaly.items():
        if (limit := limits.get(block)) is not None:
            found |= scores > limit
    return found
