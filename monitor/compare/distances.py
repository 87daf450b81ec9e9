"""How far two distributions are apart: of anomaly scores, and of predicted classes.

Kept apart from whether chance explains it (`permutation`, `martingale`): with enough samples, any irrelevant shift is
significant, so that a difference also has to be large enough to matter (`gate_open`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.magnitude import magnitude
from monitor.results import BlockKind, FloatArray, ResultSet

SMALLEST_REFERENCE = 100
SMALLEST_CURRENT = 30
"""Samples below which a distance says too little for a verdict."""

EFFECT_WASSERSTEIN = 0.10
EFFECT_EXCEEDANCE = 0.03
"""Differences that matter: of the distributions, in reference standard deviations; of the shares
above the threshold.
"""

FALLBACK_QUANTILE = 0.95
"""Stands for the threshold of a block that has none."""

_BINS = 10
_IQR_PER_SD = 1.349  # of a normal distribution
_MERGED = 2**15  # scores merged at a time


@dataclass(frozen=True, slots=True)
class Distances:
    """How far current scores are from reference scores; all 0 where they are the same.

    Attributes:
        ks: Kolmogorov-Smirnov, the largest difference of the distribution functions, 0..1.
        psi: Population stability index over bins at the reference's deciles, at least 0. It grows as samples get fewer:
            without drift its 95 % point is about 16.9 (1/n + 1/m) for 10 bins.
        wasserstein: Area between the distribution functions, in robust standard deviations of the reference.
        js: Jensen-Shannon distance, base 2, over the same bins as `psi`, 0..1.
        exceedance: Current less reference share above the threshold, -1..1.
    """

    ks: float
    psi: float
    wasserstein: float
    js: float
    exceedance: float


def distances(reference: FloatArray, current: FloatArray, limit: float | None) -> Distances:
    """How far `current` is from `reference`.

    The Wasserstein distance is divided by IQR/1.349 of the reference, its standard deviation where the quartiles
    coincide, and that of both together where the reference is constant. Bins of PSI and Jensen-Shannon end at the
    reference's deciles, inclusive, equal ones merged, the outer ones open; shares are (count + 1/2)/(n + bins/2).

    Args:
        reference: float64[n], finite, in any order; at least one.
        current: float64[m] likewise.
        limit: The block's threshold; None takes the reference's 0.95 quantile.

    Raises:
        ValueError: One side has no score.
    """
    n = len(reference)
    m = len(current)
    if not n or not m:
        raise ValueError("distances need at least one score on either side; leave out comparisons that have none")
    if (unit := magnitude(reference, current)) != 1.0:  # which no distance depends on
        return distances(reference / unit, current / unit, None if limit is None else limit / unit)
    pooled = np.concatenate([reference, current])
    reference = pooled[:n]
    current = pooled[n:]
    reference.sort()  # in place: to touch fresh memory costs as much as the sorting
    current.sort()
    ks, area = _largest_gap_and_area(pooled, n)
    edges = np.unique(_quantiles(reference, np.arange(1, _BINS) / _BINS))
    psi, js = _psi_js(_shares(_binned(reference, edges)), _shares(_binned(current, edges)))
    limit = limit_of_scores(reference) if limit is None else limit
    return Distances(
        ks, psi, area / unit_of_scores(reference, current), js, _above(current, limit) - _above(reference, limit)
    )


def gate_open(distance: Distances) -> bool:
    """Whether a difference is large enough to matter, whatever its significance."""
    return distance.wasserstein >= EFFECT_WASSERSTEIN or abs(distance.exceedance) >= EFFECT_EXCEEDANCE


def insufficient(reference: int, current: int) -> bool:
    """Whether there are too few samples for a verdict."""
    return reference < SMALLEST_REFERENCE or current < SMALLEST_CURRENT


def prediction_drift(baseline: ResultSet, current: ResultSet) -> Mapping[str, float]:
    """PSI and Jensen-Shannon distance (`psi`, `js`) between the two runs' mixes of predicted labels.

    Each sample counts once, with the shares of its windows' predictions: ten windows of one recording do not make its
    label ten times as frequent. Labels are all that either run predicted, `uncertain` included; shares are smoothed as
    in `distances`.

    Returns:
        Nothing where a run has no classifier, or predicted nothing, or where the project maps labels.
    """
    if any(BlockKind.CLASSIFICATION not in run.kinds() or run.label_map for run in (baseline, current)):
        return {}
    before = _predicted(baseline)
    after = _predicted(current)
    if not before or not after:
        return {}
    labels = sorted(before.keys() | after.keys())
    psi, js = _psi_js(*(_shares(np.array([mix.get(label, 0.0) for label in labels])) for mix in (before, after)))
    return {"psi": psi, "js": js}


def _largest_gap_and_area(pooled: FloatArray, n: int) -> tuple[float, float]:
    """The largest difference of the distribution functions, and the area between them; the first `n` scores are one
    side, both sorted.

    The difference times n m is a whole number, exact up to 2**53, that the counts of either side up to a score give.
    Some scores at a time, so that what they need stays in a core's cache.
    """
    total = len(pooled)
    m = total - n
    order = np.argsort(pooled, kind="stable")  # merges two sorted runs in one pass
    ranks = np.arange(1, min(_MERGED, total) + 1) * float(n)
    largest = 0.0
    area = 0.0
    before = 0  # reference scores in the parts before
    for first in range(0, total - 1, _MERGED):
        part = order[first : min(first + _MERGED, total - 1) + 1]  # and the one after it
        score = pooled[part]
        count = np.cumsum(part[:-1] < n, dtype=np.int32)
        gap = count * -float(total)
        gap += ranks[: len(gap)]
        gap += float(first * n - before * total)
        before += int(count[-1])
        np.abs(gap, out=gap)
        step = np.diff(score)
        area += float(np.einsum("i,i", gap, step))  # a BLAS product would wake threads for nothing
        # Within a run of equal scores the difference has no meaning: only where the next score is larger does it count.
        largest = max(largest, float(gap.max() if step.min() > 0 else gap.max(where=step > 0, initial=0)))
    return largest / (n * m), area / (n * m)


def _quantiles(ascending: FloatArray, shares: FloatArray) -> FloatArray:
    """NumPy's quantiles (linear), of what is sorted already; NumPy would partition it again."""
    place = shares * (len(ascending) - 1)
    below = np.floor(place).astype(np.intp)
    low = ascending[below]
    high = ascending[np.minimum(below + 1, len(ascending) - 1)]
    part = place - below
    # as NumPy interpolates, from the nearer end
    found: FloatArray = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return found


def limit_of_scores(reference: FloatArray) -> float:
    """What stands for the threshold of a block that has none, of ascending reference scores."""
    return float(_quantiles(reference, np.array([FALLBACK_QUANTILE]))[0])


def unit_of_scores(reference: FloatArray, current: FloatArray) -> float:
    """The unit of the Wasserstein distance, of ascending scores; infinite where all are equal, and no distance is to be
    had.
    """
    # No median absolute deviation in between: where the quartiles coincide, more than half of the scores are the
    # median, and it is 0 too.
    if (large := magnitude(reference, current)) != 1.0:
        return unit_of_scores(reference / large, current / large) * large
    lower, upper = _quantiles(reference, np.array([0.25, 0.75]))
    return (
        float(upper - lower) / _IQR_PER_SD
        or _stddev(reference)
        or _stddev(np.sort(np.concatenate([reference, current])))
        or math.inf
    )


def _stddev(ascending: FloatArray) -> float:
    """Standard deviation, 0 for equal scores (where NumPy's may be a rounding error)."""
    return float(ascending.std()) if ascending[-1] > ascending[0] else 0.0


def _binned(ascending: FloatArray, edges: FloatArray) -> npt.NDArray[np.intp]:
    """How many scores lie in each bin; an edge belongs to the bin below it."""
    return np.diff(np.searchsorted(ascending, edges, side="right"), prepend=0, append=len(ascending))


def _shares(counts: npt.NDArray[np.number]) -> FloatArray:
    smoothed: FloatArray = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return smoothed


def _psi_js(p: FloatArray, q: FloatArray) -> tuple[float, float]:
    """Population stability index, and Jensen-Shannon distance in base 2, of shares that are all above 0."""
    psi = float(np.dot(q - p, np.log(q / p)))
    # p / ((p + q)/2) as 1 + r: its logarithm stays exact for small r, or rounding errors of 1e-16 become distances of
    # 1e-8.
    r = (p - q) / (p + q)
    divergence = float((p * np.log1p(r) + q * np.log1p(-r)).sum()) / (2 * math.log(2))
    return psi, math.sqrt(max(divergence, 0.0))


def _above(ascending: FloatArray, limit: float) -> float:
    """Share of scores above the limit."""
    return 1 - int(np.searchsorted(ascending, limit, side="right")) / len(ascending)


def _predicted(results: ResultSet) -> dict[str, float]:
    """How many samples were predicted each label; a sample with several windows counts with their shares."""
    known = results.prediction >= 0
    sample = results.sample[known]
    prediction = results.prediction[known]
    weight = 1 / np.bincount(sample, minlength=1)[sample]
    counts = np.bincount(prediction, weight, len(results.labels))
    return {label: count for label, count in zip(results.labels, counts.tolist(), strict=True) if count}
