"""How well a classifier's confidences are calibrated: how far they are from the share that is correct."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.figures.evaluation import Calibration
from monitor.results import UNSCORED, BlockKind, Confidences, FloatArray, IntArray, ResultSet

_BINS = 15
BoolArray = npt.NDArray[np.bool_]

_SMALLEST = float(np.finfo(np.float64).eps)  # 2.22e-16, where scikit-learn clips


def calibration(results: ResultSet) -> tuple[Calibration | None, dict[str, int]]:
    """Expected calibration error, Brier score and log loss of a classifier's confidences; windows they cannot use
    (`no_confidences`).

    A window counts where its label is a class of the block and all its confidences are there, whatever Studio's
    verdict: the largest confidence (of equal ones, that of the first class in sorted order) is judged by whether its
    class is the label, whatever `min_score`. With several classification blocks, each one's judgement of a window
    counts.

    - Expected calibration error (Naeini et al., AAAI 2015): over 15 bins of equal width, [lo, hi) and the last closed,
      the sum of share of windows * |accuracy - mean confidence|.
    - Brier score (Brier, 1950): mean over windows of the sum over classes of (p - onehot)², 0..2.
    - Log loss: mean of -ln p of the label's class, p clipped to [2.22e-16, 1], in nats.

    A window that counts for no block is left out: no block gave all its confidences, or it is scored although its label
    is none of the classes (`anomaly`, where an anomaly block judges too). An unscored window with confidences is no
    loss: its label is one that the model cannot know.

    Returns:
        No figures where no block classifies, where the project maps labels, and where no window counts.
    """
    classifying = {block.id for block in results.blocks if block.kind is BlockKind.CLASSIFICATION}
    if results.label_map or not classifying:
        return None, {}
    judging = [confidences for block, confidences in results.confidences.items() if block in classifying]
    whole = [_complete(confidences) for confidences in judging]
    places = [_places(results, confidences) for confidences in judging]
    counts = [(place >= 0) & complete for place, complete in zip(places, whole, strict=True)]
    left_out = _left_out(results, whole, counts)
    if not any(part.any() for part in counts):
        return None, left_out
    parts = [
        _judge(confidences.values[part], place[part])
        for confidences, place, part in zip(judging, places, counts, strict=True)
    ]
    confidence, hit, brier, loss = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Calibration(_expected_error(confidence, hit), float(brier.mean()), float(loss.mean())), left_out


def _complete(confidences: Confidences) -> BoolArray:
    """bool[m], the window has a confidence of every class."""
    if not confidences.classes:
        return np.zeros(len(confidences.values), np.bool_)
    return np.logical_and.reduce(np.isfinite(confidences.values), axis=1)  # type: ignore[no-any-return]


def _left_out(results: ResultSet, whole: Sequence[BoolArray], counts: Sequence[BoolArray]) -> dict[str, int]:
    """Windows that no block could use; those of a block whose classes were too many are counted as that already."""
    if not whole and results.left_out.get("too_many_classes"):
        return {}
    nothing = np.zeros((1, results.windows), np.bool_)
    complete = np.concatenate([nothing, *(part[None] for part in whole)]).any(axis=0)
    used = np.concatenate([nothing, *(part[None] for part in counts)]).any(axis=0)
    unused = int((~used & (~complete | (results.correct != UNSCORED))).sum())
    return {"no_confidences": unused} if unused else {}


def _places(results: ResultSet, confidences: Confidences) -> IntArray:
    """int[m]: each window's label as a column of the confidences, -1 where it has none."""
    column = {name: place for place, name in enumerate(confidences.classes)}
    return np.array([*(column.get(name, -1) for name in results.labels), -1])[results.label]


def _judge(p: FloatArray, place: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Per window (float64[j] each): largest confidence, 1 where it is the label's, squared error, log loss.

    Args:
        p: float64[j, k], the confidences.
        place: int[j], the label's column.
    """
    rows = np.arange(len(p))
    if not len(p):  # there may be no class either, and so no largest confidence
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0)
    best, own = p.argmax(axis=1), p[rows, place]
    # (p - onehot)² summed over the classes, without the one-hot matrix.
    brier = np.einsum("ij,ij->i", p, p) - 2 * own + 1
    return p[rows, best], (best == place).astype(np.float64), brier, -np.log(np.clip(own, _SMALLEST, 1))


def _expected_error(confidence: FloatArray, hit: FloatArray) -> float:
    edges = np.linspace(0, 1, _BINS + 1)
    # Confidences beyond 0..1, by rounding in the device's arithmetic, belong to the outermost bins.
    bins = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, _BINS - 1)
    return float(np.abs(np.bincount(bins, hit - confidence, _BINS)).sum() / len(confidence))
