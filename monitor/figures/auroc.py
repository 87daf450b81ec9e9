"""The area under the ROC curve, and its 95 % interval.

E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more correlated ROC curves",
Biometrics 1988; by cluster: N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 1997;
J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import Clusters, clustered
from monitor.figures.uneven import hidden_of, widened
from monitor.results import FloatArray, IntArray

_FEWEST = 5  # samples of either kind: fewer do not show how their kind varies ...
_FEWEST_OF_SEVERAL = 10  # ... and where they have several windows each more are needed (coverage fell to .80)


def auroc(positive: FloatArray, negative: FloatArray) -> float | None:
    """The chance that an anomaly scores above a normal window, ties at half (Mann and Whitney, 1947); None without
    either.
    """
    if not len(positive) or not len(negative):
        return None
    positive = np.sort(positive)
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive)
    not_above = np.searchsorted(negative, positive, side="right")
    return (int(below.sum()) + int(not_above.sum())) / (2 * len(positive) * len(negative))


def auroc_interval(
    scores: FloatArray, positive: npt.NDArray[np.bool_], sample: IntArray, groups: GroupUnit | None = None
) -> Interval | None:
    """DeLong's interval on the logit scale, by cluster: where each unit has one window it is DeLong's own.

    Where all pairs are ordered rightly, or all wrongly, half a pair is moved, and the variance is Hanley and McNeil's
    for as many anomalous and normal units; and so it is where DeLong's is 0. Student's t has one degree of freedom less
    than there are units of the rarer kind: what varies is mostly theirs, and with the normal distribution bounds of ten
    to twenty anomalous samples cover 85 to 90 %. What groups of uneven sizes hide is added to DeLong's variance.

    Args:
        scores: float64[m].
        positive: bool[m], whether a window is truly anomalous.
        sample: int[m], each window's sample, not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        The bounds in 0..1, or None under 30 samples, under 5 anomalous or 5 normal ones (10 where one has several
        windows), and where only one group has either.
    """
    clusters = clustered(sample, groups)
    area = auroc(scores[positive], scores[~positive])
    if clusters is None or area is None:
        return None
    fewest = _FEWEST if clusters.samples == len(sample) else _FEWEST_OF_SEVERAL
    samples = _sides(sample, positive)
    sides = samples if groups is None else _sides(clusters.of, positive)
    if min(samples) < fewest or min(sides) < 2:
        return None
    centre = area
    variance = 0.0
    hidden = 0.0
    if 0 < area < 1:
        excess = _excess(scores, positive, area)
        variance = _clustered_variance(excess, positive, clusters, sides)
        hidden = 0.0 if groups is None else hidden_of(excess, sample, clusters.of)
    else:
        centre = abs(area - 0.5 / (sides[0] * sides[1]))
    if variance <= 0:
        variance = _hanley_mcneil(max(centre, 1 - centre), *sides)
    logit = math.log(centre / (1 - centre))
    half = widened(t_quantile(0.975, min(sides) - 1) * math.sqrt(variance), hidden) / (centre * (1 - centre))
    return Interval(min(area, _expit(logit - half)), max(area, _expit(logit + half)))


def _sides(unit: IntArray, positive: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """How many units have an anomalous window, and a normal one."""
    anomalous, normal = (int(np.count_nonzero(np.bincount(unit[side]))) for side in (positive, ~positive))
    return anomalous, normal


def _excess(scores: FloatArray, positive: npt.NDArray[np.bool_], area: float) -> FloatArray:
    """float64[m], what each window adds to the area beyond its mean: the share of windows of the other kind that it is
    ordered rightly with, less the area, over the number of windows of its kind.
    """
    above = scores[positive]
    below = scores[~positive]
    excess = np.empty(len(scores))
    for values, others, side in ((above, below, positive), (-below, -above, ~positive)):
        beaten = np.sort(others)
        placed = np.searchsorted(beaten, values) + np.searchsorted(beaten, values, side="right")
        excess[side] = (placed / (2 * len(others)) - area) / len(values)
    return excess


def _clustered_variance(
    excess: FloatArray, positive: npt.NDArray[np.bool_], clusters: Clusters, sides: tuple[int, int]
) -> float:
    """Obuchowski's variance of the area: of the sums by unit of `_excess`."""
    parts = [np.bincount(clusters.of[side], excess[side], clusters.units) for side in (positive, ~positive)]
    own = [units / (units - 1) * float(np.square(part).sum()) for part, units in zip(parts, sides, strict=True)]
    both = clusters.units / (clusters.units - 1) * float((parts[0] * parts[1]).sum())
    return own[0] + own[1] + 2 * both


def _hanley_mcneil(area: float, positive: int, negative: int) -> float:
    """The variance of an area of at least a half under exponential scores."""
    first = area / (2 - area)
    second = 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positive - 1) * (first - area**2) + (negative - 1) * (second - area**2)
    return spread / (positive * negative)


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
