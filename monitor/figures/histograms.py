"""How scores are distributed in two result sets, counted over the same bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.figures.anomaly import KINDS, threshold
from monitor.figures.calibration import LabelScores, ReliabilityBin, label_scores
from monitor.results import FloatArray, ResultSet

BINS = 40
_SPREAD = (0.005, 0.995)  # the bins span these quantiles: one far score would make one bin of all others

_FARTHEST = 1e300  # a width of bins that is no number would be no histogram


@dataclass(frozen=True, slots=True)
class Histogram:
    """Scores of windows in two result sets.

    Attributes:
        block_id: The anomaly block; None for the confidence of the label.
        name: Of the block.
        threshold: Above which the block flags a window; None without one.
        edges: The bounds of the bins, ascending, one more than bins.
        now, before: Windows per bin; scores beyond the bins are in the outermost. `before` is None without a baseline,
            or one without such scores.
        beyond: How many windows of both are beyond the bins.
    """

    block_id: int | None
    name: str
    threshold: float | None
    edges: tuple[float, ...]
    now: tuple[int, ...]
    before: tuple[int, ...] | None
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class ScoreDistributions:
    """What is shown of the scores of a result set beside its baseline's.

    Attributes:
        histograms: Of the confidence of the label, and of each anomaly block; only where there are such scores.
        reliability, reliability_before: As `label_scores` gives them; empty where it does not apply.
    """

    histograms: tuple[Histogram, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()
    reliability_before: tuple[ReliabilityBin, ...] = ()


def score_distributions(now: ResultSet, before: ResultSet | None) -> ScoreDistributions:
    """Histograms and reliability of a result set beside another. Takes up to half a second for millions of windows:
    call it in a worker thread.

    Args:
        now: The result set.
        before: The baseline's; None where there is none.
    """
    found = []
    sure = label_scores(now)
    sure_before = LabelScores(np.empty(0)) if before is None else label_scores(before)
    if len(sure.confidence):
        found.append(_histogram(None, "", None, sure.confidence, sure_before.confidence, (0.0, 1.0)))
    for block in now.blocks:
        scores = _finite(now, block.id)
        if block.kind in KINDS and len(scores):
            earlier = None if before is None else _finite(before, block.id)
            found.append(_histogram(block.id, block.name, threshold(block), scores, earlier))
    return ScoreDistributions(tuple(found), sure.reliability, sure_before.reliability)


def _finite(results: ResultSet, block_id: int) -> FloatArray:
    scores = results.anomaly.get(block_id, np.empty(0))
    found: FloatArray = scores[np.isfinite(scores)]
    return found


def _histogram(
    block_id: int | None,
    name: str,
    limit: float | None,
    now: FloatArray,
    before: FloatArray | None,
    bounds: tuple[float, float] | None = None,
) -> Histogram:
    """The histogram of scores, at least one; over `bounds`, or where most scores of both and the threshold are."""
    if before is not None and not len(before):
        before = None
    sides = [now] if before is None else [now, before]
    low, high = bounds or _bounds(sides, limit)
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in sides]
    beyond = sum(int(((side < low) | (side > high)).sum()) for side in sides)
    columns = [tuple(count.tolist()) for count in counts]
    return Histogram(
        block_id,
        name,
        limit,
        tuple(edges.tolist()),
        columns[0],
        columns[1] if before is not None else None,
        beyond,
    )


def _bounds(sides: list[FloatArray], limit: float | None) -> tuple[float, float]:
    quantiles = np.concatenate([np.quantile(np.clip(side, -_FARTHEST, _FARTHEST), _SPREAD) for side in sides])
    low = float(quantiles.min())
    high = float(quantiles.max())
    if limit is not None and abs(limit) <= _FARTHEST:
        low = min(low, limit)
        high = max(high, limit)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = max(abs(low), 1.0) * 0.05
        return low - half, high + half
    return low, high
