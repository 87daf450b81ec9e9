"""Figures of anomaly blocks: how scores are distributed, how many are flagged, and whether the flags are right.

Higher is worse in every block; scores have no scale that two blocks share, and may be negative.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from monitor.figures.auroc import auroc, auroc_interval
from monitor.figures.evaluation import Anomaly
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import share
from monitor.figures.magnitude import brought_down, magnitude
from monitor.results import Block, BlockKind, FloatArray, IntArray, ResultSet

THRESHOLD = "min_anomaly_score"
"""Studio's key of the score above which a window is an anomaly."""

QUANTILES = ("0.5", "0.9", "0.99")

_ANOMALY = "anomaly"
_NO_ANOMALY = "no anomaly"
KINDS = frozenset({BlockKind.ANOMALY, BlockKind.VISUAL_ANOMALY})
"""The kinds of block that score anomalies."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """The unit of intervals: int[k], each window's sample, and the samples' groups where these are it."""

    sample: IntArray
    groups: GroupUnit | None


def anomaly(
    results: ResultSet,
    seed: int | None,
    anomaly_labels: frozenset[str] = frozenset(),
    no_anomaly_labels: frozenset[str] = frozenset(),
    groups: Mapping[int, GroupUnit | None] = MappingProxyType({}),
) -> tuple[tuple[Anomaly, ...], dict[str, int]]:
    """Figures of every anomaly block that scored a window, and what they could not use.

    Counted are windows that a block did not score (`no_score`) and scores that are not finite (`non_finite_score`).

    Args:
        results: The columns.
        seed: None leaves the intervals out; they need no random numbers.
        anomaly_labels, no_anomaly_labels: The project's labels that are ground truth (Studio's `anomalyLabelsConfig`).
        groups: By block id those of the samples where the group is the unit of the block's scores; None or absent where
            the sample is.

    Returns:
        Figures in the order of the blocks, equal to scikit-learn's with `zero_division=0` where there is ground truth.
    """
    blocks = [block for block in results.blocks if block.kind in KINDS]
    if not blocks:
        return (), {}
    found = []
    left_out = Counter[str]()
    truth = _ground_truth(results, anomaly_labels, no_anomaly_labels)
    for block in blocks:
        scores = results.anomaly.get(block.id, np.full(results.windows, np.nan))
        finite = np.isfinite(scores)
        left_out["no_score"] += int(np.isnan(scores).sum())
        left_out["non_finite_score"] += int(np.isinf(scores).sum())
        if finite.any():
            bounds = None if seed is None else _Unit(results.sample[finite], groups.get(block.id))
            found.append(_figures(block, scores[finite], truth[finite], bounds))
    return tuple(found), {reason: count for reason, count in left_out.items() if count}


def sample_scores(results: ResultSet, block_id: int) -> tuple[IntArray, FloatArray]:
    """Each sample's score: the largest of its windows' finite scores.

    Returns:
        int[k], ascending indices of the samples with one, and float64[k]; none where the run has no such block.
    """
    scores = results.anomaly.get(block_id)
    if scores is None:
        return np.empty(0, np.intp), np.empty(0)
    finite = np.isfinite(scores)
    sample = results.sample[finite]
    scores = scores[finite]
    first = np.flatnonzero(np.diff(sample, prepend=-1))
    largest: FloatArray = np.maximum.reduceat(scores, first) if len(first) else np.empty(0)
    return sample[first], largest


def threshold(block: Block) -> float | None:
    """The score above which the block flags a window: `min_anomaly_score`, else its only numeric
    threshold, else None.
    """
    if THRESHOLD in block.thresholds:
        return block.thresholds[THRESHOLD]
    values = list(block.thresholds.values())
    return values[0] if len(values) == 1 else None


def _figures(block: Block, scores: FloatArray, truth: npt.NDArray[np.int8], unit: _Unit | None) -> Anomaly:
    """Figures of one block over its windows with a finite score; there is at least one.

    Args:
        block: The block.
        scores: float64[k].
        truth: int8[k], 1 anomaly, 0 no anomaly, -1 unknown.
        unit: Of the intervals; None where none is wanted.
    """
    flags = None if (limit := threshold(block)) is None else scores > limit
    known = truth >= 0
    precision, recall, f1 = (
        (None, None, None) if flags is None or not known.any() else _verdicts(flags[known], truth[known] == 1)
    )
    mean, stddev, quantiles = _distribution(scores)
    return Anomaly(
        block=block,
        mean=mean,
        stddev=stddev,
        quantiles=quantiles,
        flagged=None if flags is None else float(flags.mean()),
        auroc=auroc(scores[truth == 1], scores[truth == 0]),
        precision=precision,
        recall=recall,
        f1=f1,
        flagged_interval=share(flags, unit.sample, unit.groups) if flags is not None and unit is not None else None,
        auroc_interval=None
        if unit is None
        else auroc_interval(scores[known], truth[known] == 1, unit.sample[known], unit.groups),
    )


def _distribution(scores: FloatArray) -> tuple[float, float | None, dict[str, float]]:
    """Mean, standard deviation (None of one score, and beyond the largest float) and quantiles."""
    unit = magnitude(scores)
    scores = brought_down(scores, unit)
    stddev = float(scores.std(ddof=1)) * unit if len(scores) > 1 else math.inf
    quantiles = np.quantile(scores, [float(name) for name in QUANTILES]) * unit
    return (
        float(scores.mean()) * unit,
        stddev if math.isfinite(stddev) else None,
        dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
    )


def _ground_truth(
    results: ResultSet, anomaly_labels: frozenset[str], no_anomaly_labels: frozenset[str]
) -> npt.NDArray[np.int8]:
    """int8[m]: 1 anomaly, 0 no anomaly, -1 unknown. Studio's expected outcome, else the configured labels, else the
    label's own words.

    A label that is configured as both says nothing.
    """
    meaning = {_ANOMALY: 1, _NO_ANOMALY: 0} | dict.fromkeys(anomaly_labels, 1) | dict.fromkeys(no_anomaly_labels, 0)
    meaning |= dict.fromkeys(anomaly_labels & no_anomaly_labels, -1)
    # the last one, at -1: no label
    by_code = np.array([*(meaning.get(label, -1) for label in results.labels), -1], np.int8)
    by_label = by_code[results.label]
    if results.expected_anomaly is None:
        return by_label
    return np.where(results.expected_anomaly >= 0, results.expected_anomaly, by_label)


def _verdicts(flagged: BoolArray, truth: BoolArray) -> tuple[float, float, float]:
    """Precision, recall and F1 of the flags; 0 for 0/0."""
    hits = int((flagged & truth).sum())
    positives = int(flagged.sum())
    actual = int(truth.sum())
    return hits / max(positives, 1), hits / max(actual, 1), 2 * hits / max(positives + actual, 1)
