"""How well a classifier's confidences are calibrated: how far they are from the share that is correct."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from monitor.figures.evaluation import Calibration
from monitor.results import UNSCORED, BlockKind, Confidences, FloatArray, IntArray, ResultSet

_BINS = 15
_DRAWS = 200
_POINT = 0.95
_WINDOWS = 100_000
_VALUES_AT_ONCE = 1 << 18  # confidences (2 MB)
BoolArray = npt.NDArray[np.bool_]

_SMALLEST = float(np.finfo(np.float64).eps)  # 2.22e-16, where scikit-learn clips


def calibration(results: ResultSet, seed: int | None = None) -> tuple[Calibration | None, dict[str, int]]:
    """Expected calibration error, Brier score and log loss of a classifier's confidences; windows they cannot use
    (`no_confidences`).

    A window counts where its label is a class of the block and all its confidences are there, whatever Studio's
    verdict: the largest confidence (of equal ones, that of the first class in sorted order) is right if its
    class is the label, whatever `min_score`. With several classification blocks, each one's verdict on a window
    counts.

    - Expected calibration error (Naeini et al., AAAI 2015): over 15 bins of equal width, [lo, hi) and the last closed,
      the sum of share of windows * |accuracy - mean confidence|.
    - Its 95 % point if the confidences were true: of 200 sets of hits drawn from them, one uniform number per sample.
    - Debiased L2 error (Kumar, Liang & Ma, NeurIPS 2019), on the same bins: the root of the sum over bins of at least
      two windows of share of windows * [(mean confidence - accuracy)² - accuracy * (1 - accuracy) / (windows - 1)], at
      least 0.
    - Brier score (Brier, 1950): mean over windows of the sum over classes of (p - onehot)², 0..2.
    - Log loss: mean of -ln p of the label's class, p clipped to [2.22e-16, 1], in nats.

    A window that counts for no block is left out: no block gave all its confidences, or it is scored although its label
    is none of the classes (`anomaly`, where an anomaly block has a say too). An unscored window with confidences is no
    loss: its label is one that the model cannot know.

    Args:
        results: The columns.
        seed: Of the draws, not negative; None leaves the 95 % point out.

    Returns:
        No figures where no block classifies, where the project maps labels, and where no window counts.
    """
    scored, left_out = _scored(results)
    if scored is None:
        return None, left_out
    bins = _bins(scored.confidence)
    return Calibration(
        _expected_error(bins, scored.confidence, scored.hit),
        float(scored.brier.mean()),
        float(scored.loss.mean()),
        None if seed is None else _null_error(bins, scored.confidence, scored.sample, seed),
        _debiased_error(bins, scored.confidence, scored.hit),
    ), left_out


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The windows whose largest confidence is in one of 15 bins.

    Attributes:
        lower, upper: The bin's bounds.
        windows: How many there are, at least one.
        confidence: The mean of their largest confidences.
        accuracy: Which share of them is right.
    """

    lower: float
    upper: float
    windows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """How sure a classifier is of the labels, over the windows that `calibration` counts.

    Attributes:
        confidence: float64[j], what the model gives each window's label: 1 is sure of it, 0 is sure of something else.
        reliability: The bins of the expected calibration error, those with windows, ascending: a calibrated model is
            right as often as it is confident (DeGroot & Fienberg, "The comparison and evaluation of forecasters",
            1983). The error is the sum over bins of share of windows * |accuracy - confidence|.
    """

    confidence: FloatArray
    reliability: tuple[ReliabilityBin, ...] = ()


def label_scores(results: ResultSet) -> LabelScores:
    """How sure a classifier is of the labels; nothing where `calibration` gives no figures."""
    scored, _ = _scored(results)
    if scored is None:
        return LabelScores(np.empty(0))
    bins = _bins(scored.confidence)
    windows = np.bincount(bins, minlength=_BINS)
    confidence = np.bincount(bins, scored.confidence, _BINS)
    hits = np.bincount(bins, scored.hit, _BINS)
    found = tuple(
        ReliabilityBin(
            place / _BINS,
            (place + 1) / _BINS,
            int(windows[place]),
            float(confidence[place] / windows[place]),
            float(hits[place] / windows[place]),
        )
        for place in np.flatnonzero(windows).tolist()
    )
    return LabelScores(scored.own, found)


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Windows that count (float64[j] each): largest confidence, 1 where it is the label's, the label's own, squared
    error, log loss; int[j], their samples.
    """

    confidence: FloatArray
    hit: FloatArray
    own: FloatArray
    brier: FloatArray
    loss: FloatArray
    sample: IntArray


def _scored(results: ResultSet) -> tuple[_Scored | None, dict[str, int]]:
    """The windows that count, of all classification blocks, and those that no block could use; None without any."""
    classifying = {block.id for block in results.blocks if block.kind is BlockKind.CLASSIFICATION}
    if results.label_map or not classifying:
        return None, {}
    scoring = [confidences for block, confidences in results.confidences.items() if block in classifying]
    whole = [_complete(confidences) for confidences in scoring]
    places = [_places(results, confidences) for confidences in scoring]
    counts = [(place >= 0) & complete for place, complete in zip(places, whole, strict=True)]
    left_out = _left_out(results, whole, counts)
    if not any(part.any() for part in counts):
        return None, left_out
    parts = [
        _scored_windows(confidences.values, place, part)
        for confidences, place, part in zip(scoring, places, counts, strict=True)
    ]
    confidence, hit, own, brier, loss = (np.concatenate(column) for column in zip(*parts, strict=True))
    sample = np.concatenate([results.sample[part] for part in counts])
    return _Scored(confidence, hit, own, brier, loss, sample), left_out


def _complete(confidences: Confidences) -> BoolArray:
    """bool[m], the window has a confidence of every class."""
    if not confidences.classes:
        return np.zeros(len(confidences.values), np.bool_)
    complete = np.empty(len(confidences.values), np.bool_)
    for rows in _some(len(complete), len(confidences.classes)):
        np.logical_and.reduce(np.isfinite(confidences.values[rows]), axis=1, out=complete[rows])
    return complete


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


def _some(rows: int, classes: int) -> Iterator[slice]:
    """The rows of confidences, some at a time: what is made of them shall not be as large as they are."""
    step = max(1, _VALUES_AT_ONCE // max(classes, 1))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


def _scored_windows(values: FloatArray, place: IntArray, part: BoolArray) -> tuple[FloatArray, ...]:
    """`_judge` of the windows that count."""
    found = [
        _judge(values[rows][part[rows]], place[rows][part[rows]])
        for rows in _some(len(part), values.shape[1])
        if part[rows].any()
    ]
    if not found:
        nothing = np.empty(0)
        return nothing, nothing, nothing, nothing, nothing
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _judge(p: FloatArray, place: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Per window (float64[j] each): largest confidence, 1 where it is the label's, the label's own, squared error, log
    loss.

    Args:
        p: float64[j, k], the confidences.
        place: int[j], the label's column.
    """
    rows = np.arange(len(p))
    best = p.argmax(axis=1)
    own = p[rows, place]
    # (p - onehot)² summed over the classes, without the one-hot matrix.
    brier = np.einsum("ij,ij->i", p, p) - 2 * own + 1
    return p[rows, best], (best == place).astype(np.float64), own, brier, -np.log(np.clip(own, _SMALLEST, 1))


def _bins(confidence: FloatArray) -> IntArray:
    """int[j], each confidence's bin."""
    edges = np.linspace(0, 1, _BINS + 1)
    # Confidences beyond 0..1, by rounding in the device's arithmetic, belong to the outermost bins.
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, _BINS - 1).astype(np.int8)


def _expected_error(bins: IntArray, confidence: FloatArray, hit: FloatArray) -> float:
    return float(np.abs(np.bincount(bins, hit - confidence, _BINS)).sum() / len(confidence))


def _debiased_error(bins: IntArray, confidence: FloatArray, hit: FloatArray) -> float | None:
    """The L2 calibration error less its expectation where confidence and accuracy agree."""
    windows = np.bincount(bins, minlength=_BINS)
    enough = windows >= 2
    if not enough.any():
        return None
    count = windows[enough]
    accuracy = np.bincount(bins, hit, _BINS)[enough] / count
    gap = np.bincount(bins, confidence, _BINS)[enough] / count - accuracy
    squares = np.square(gap) - accuracy * (1 - accuracy) / (count - 1)
    return math.sqrt(max(0.0, float((count / len(bins) * squares).sum())))


def _null_error(bins: IntArray, confidence: FloatArray, sample: IntArray, seed: int) -> float:
    """The 95 % point of the expected error of as many windows whose confidences are true.

    Beyond 100,000 windows, of those of some samples, drawn at random, and then less by the root of their share: sums
    over so many are normal.
    """
    rng = np.random.default_rng(seed)
    whole = len(bins)
    if whole > _WINDOWS:
        some = (rng.random(int(sample.max()) + 1) < _WINDOWS / whole)[sample]
        some |= not some.any()
        bins = bins[some]
        confidence = confidence[some]
        sample = sample[some]
    samples = int(sample.max()) + 1
    order = np.argsort(bins, kind="stable")
    ends = np.searchsorted(bins[order], np.arange(_BINS + 1)).tolist()
    sample = sample[order].astype(np.intp)
    confidence = confidence[order].astype(np.float32)
    parts = [slice(*ends_of) for ends_of in pairwise(ends)]
    expected = np.array([confidence[part].sum(dtype=np.float64) for part in parts])
    errors = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        # windows of one sample are right and wrong together
        hits = rng.random(samples, dtype=np.float32)[sample] < confidence
        errors[draw] = np.abs([np.count_nonzero(hits[part]) for part in parts] - expected).sum()
    return float(np.quantile(errors, _POINT)) / len(sample) * math.sqrt(len(sample) / whole)
