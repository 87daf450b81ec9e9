"""95 % intervals with the sample, or the group of samples that came together, as the unit: windows of one sample are
not independent, so that counting them as such claims too much.

Shares take Wilson's interval on an effective size, everything else a bootstrap of units. Both give nothing under
30 samples. Bounds depend on nothing but the arguments: the same input and seed give the same bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Interval
from monitor.results import FloatArray, IntArray

SMALLEST_SAMPLES = 30
"""Fewer samples than this: no bounds."""

SMALLEST_CLASS = 10
"""A class with fewer samples: no bounds of the mean F1 (coverage fell to .80 there)."""

_FEW = 10  # samples with an error, or with a hit: below it the cluster variance is too unsure to be used
_REPLICATES = 1000
_UNITS = 10_000  # at most so many units are re-sampled ...
_CELLS = 4_000_000  # ... and units x columns stay under this (32 MB), as long as
_FEWEST_UNITS = 1000  # ... there are so many units: the standard error is then still good to 2 %
_WEIGHTS = 1_000_000  # units x replicates at a time (8 MB)
_WINDOWS = 2**18  # windows at a time (2 MB a column)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Which windows are one opinion.

    Attributes:
        of: int32[m], each window's unit, 0..units - 1.
        units: How many units have a window that counts.
        samples: How many samples have one.
        degrees: Of freedom of an estimated standard error: units - 1 where groups are the unit, infinite where samples
            are.
    """

    of: IntArray
    units: int
    samples: int
    degrees: float

    @property
    def quantile(self) -> float:
        """Student's 0.975 quantile: how many standard errors a bound is away."""
        return t_quantile(0.975, self.degrees)


def clustered(sample: IntArray, groups: IntArray | None = None) -> Clusters | None:
    """The units of windows; None where they are too few for bounds: under 30 samples, or only one group.

    Args:
        sample: int[m], each window's sample, not negative.
        groups: int[samples], each sample's group where the group is the unit; None where the sample is.
    """
    of, samples = _renumber(sample)
    if samples < SMALLEST_SAMPLES:
        return None
    if groups is None:
        return Clusters(of, samples, samples, math.inf)
    of, units = _renumber(groups[sample])
    return Clusters(of, units, samples, units - 1.0) if units > 1 else None


def share(hits: npt.NDArray[np.bool_], sample: IntArray, groups: IntArray | None = None) -> Interval | None:
    """Wilson's interval for the share of windows that are hits, on n / deff windows; with Student's t where groups are
    the unit.

    deff is the variance of the ratio estimator over clusters (Cochran, Sampling Techniques, 1977, eq. 2.39, with the
    units as clusters) over that of independent windows, p(1 - p)/n, and at least 1. Where fewer than 10 samples
    hold a miss, or fewer than 10 a hit, that variance cannot be trusted, and the size is the number of samples.

    Args:
        hits: bool[m], one per window that counts.
        sample: int[m], each window's sample, not negative.
        groups: int[samples], each sample's group where the group is the unit; None where the sample is.

    Returns:
        The bounds in 0..1, or None under 30 samples, and where there is only one group.
    """
    clusters = clustered(sample, groups)
    if clusters is None:
        return None
    n = float(len(hits))
    p = float(np.count_nonzero(hits)) / n
    return _wilson(p, n / design_effect(hits, sample, clusters), clusters.quantile)


def design_effect(hits: npt.NDArray[np.bool_], sample: IntArray, clusters: Clusters) -> float:
    """By what factor the units make the variance of a share larger than independent windows would, at least 1; see
    `share`.
    """
    n = float(len(hits))
    p = float(np.count_nonzero(hits)) / n
    by_sample = np.bincount(sample)
    hits_by_sample = np.bincount(sample[hits], minlength=len(by_sample))
    if min(int((hits_by_sample > 0).sum()), int((hits_by_sample < by_sample).sum())) < _FEW:
        return n / clusters.samples
    windows = np.bincount(clusters.of, minlength=clusters.units)
    hit = np.bincount(clusters.of[hits], minlength=clusters.units)
    independent = p * (1 - p) / n
    between = clusters.units / (clusters.units - 1) * float(np.square(hit - p * windows).sum()) / n**2
    return max(1.0, between / independent)


def bootstrap_mean(values: FloatArray, sample: IntArray, seed: int, groups: IntArray | None = None) -> Interval | None:
    """Percentile interval for the mean of a value over windows, by 1,000 bootstraps of units.

    Above 10,000 samples, samples are first dealt at random into 10,000 groups of equal size that are re-sampled as
    wholes (random groups: Wolter, Introduction to Variance Estimation, 2007, ch. 2): the time is bounded, the standard
    error still good to 1 %.

    Args:
        values: float64[m], finite, one per window that counts.
        sample: int[m], each window's sample, not negative.
        seed: Not negative.
        groups: int[samples], each sample's group where the group is the unit; None where the sample is.

    Returns:
        The bounds in the unit of `values`, or None under 30 samples, and where there is only one group.
    """
    clusters = clustered(sample, groups)
    if clusters is None:
        return None
    rng = np.random.default_rng(seed)
    unit, units = _deal(clusters.of, clusters.units, _UNITS, rng)
    columns = np.stack([np.bincount(unit, values, units), np.bincount(unit, None, units).astype(np.float64)], axis=1)
    return _percentiles([totals[:, 0] / totals[:, 1] for totals in _resampled(columns, None, rng)])


def mean_f1(
    label: IntArray,
    prediction: IntArray,
    sample: IntArray,
    classes: int,
    seed: int,
    groups: IntArray | None = None,
) -> Interval | None:
    """Percentile interval for the macro F1 of windows, by 1,000 bootstraps of samples.

    Where every sample has one window, re-sampling samples is re-sampling the cells of the confusion matrix, and costs
    the same at any size. Otherwise each sample carries its counts of true positives, support and predictions by class;
    many samples are dealt into groups as in `bootstrap_mean`, the more classes the fewer groups (never under 1,000).
    A class without support in a replicate is left out of that replicate's mean. The bootstrap knows no errors but those
    it was shown: with fewer than some 10 of them the bounds are too narrow (coverage .76 to .85 at 200 samples of which
    1 % err), and with none they are [1, 1].

    Args:
        label: int[m], the window's true class as 0..classes - 1; -1 for a truth that is no class.
        prediction: int[m], the predicted class likewise; -1 for any prediction that is no class.
        sample: int[m], the window's sample, not negative.
        classes: How many classes there are, all with support.
        seed: Not negative.

    Returns:
        The bounds in 0..1, or None under 30 samples or while a class has fewer than 10 samples.
    """
    unit, samples = _renumber(sample)
    clusters = clustered(sample, groups)
    if clusters is None or _samples_by_class(label, unit, classes).min() < SMALLEST_CLASS:
        return None
    rng = np.random.default_rng(seed)
    most = min(_UNITS, max(_FEWEST_UNITS, _CELLS // (3 * classes)))
    multiplicity = None
    if groups is None and samples == len(unit) and (classes + 1) ** 2 <= _CELLS:
        table = np.bincount((label.astype(np.int64) + 1) * (classes + 1) + prediction + 1)
        cells = np.flatnonzero(table)
        if len(cells) <= most:
            label, prediction = cells // (classes + 1) - 1, cells % (classes + 1) - 1
            unit, units, multiplicity = np.arange(len(cells)), len(cells), table[cells]
    if multiplicity is None:
        unit, units = _deal(clusters.of, clusters.units, most, rng)
    columns = _class_counts(label, prediction, unit, units, classes)
    return _percentiles([_macro_f1(totals) for totals in _resampled(columns, multiplicity, rng)])


def _wilson(p: float, n: float, z: float) -> Interval:
    """Wilson (1927): the shares that a two-sided score test at 5 % does not reject; `z` is its 0.975 quantile."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    # At p = 0 and 1 the bound is p itself; rounding must not push it past.
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def _renumber(sample: IntArray) -> tuple[IntArray, int]:
    """The samples that occur, numbered 0..k - 1 in their order (int32[m]), and k."""
    occurs = np.bincount(sample) > 0
    return (np.cumsum(occurs, dtype=np.int32) - 1)[sample], int(occurs.sum())


def _samples_by_class(label: IntArray, unit: IntArray, classes: int) -> IntArray:
    """int[classes], how many samples have a window of the class."""
    of_class = label >= 0
    pairs = unit[of_class].astype(np.int64) * classes + label[of_class]
    pairs.sort()  # NumPy's sort is many times faster here than its `unique`
    return np.bincount(pairs[np.diff(pairs, prepend=-1) > 0] % classes, minlength=classes)


def _deal(unit: IntArray, samples: int, most: int, rng: np.random.Generator) -> tuple[IntArray, int]:
    """Each window's unit of re-sampling: its sample, or one of `most` random groups of samples of equal size."""
    if samples <= most:
        return unit, samples
    return rng.permutation(np.arange(samples, dtype=np.int32) % most)[unit], most


def _class_counts(label: IntArray, prediction: IntArray, unit: IntArray, units: int, classes: int) -> FloatArray:
    """float64[units, 3 * classes]: each unit's true positives, support and predictions by class."""
    counts = np.zeros(units * 3 * classes, np.int64)
    for first in range(0, len(unit), _WINDOWS):  # codes take 8 bytes where the columns take one or two
        part = slice(first, first + _WINDOWS)
        truth, guess, row = label[part], prediction[part], unit[part].astype(np.int64) * (3 * classes)
        for place, column, counted in (
            (0, truth, (truth >= 0) & (truth == guess)),
            (1, truth, truth >= 0),
            (2, guess, guess >= 0),
        ):
            counts += np.bincount((row + place * classes)[counted] + column[counted], minlength=len(counts))
    return counts.reshape(units, 3 * classes).astype(np.float64)


def _resampled(columns: FloatArray, multiplicity: IntArray | None, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Column totals of bootstrap replicates, some replicates (float64[b, columns]) at a time.

    The weights are multinomial over the units; `multiplicity` says how many samples a unit stands for (None: one each).
    """
    units = len(columns)
    step = max(1, _WEIGHTS // units)
    for first in range(0, _REPLICATES, step):
        size = min(step, _REPLICATES - first)
        if multiplicity is None:  # drawing and counting is ten times faster than `multinomial` here
            drawn = rng.integers(0, units, size=(size, units), dtype=np.uint16).astype(np.intp)
            drawn += np.arange(size)[:, None] * units
            weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        else:
            total = int(multiplicity.sum())
            weights = rng.multinomial(total, multiplicity / total, size=size)
        yield weights.astype(np.float64) @ columns


def _macro_f1(totals: FloatArray) -> FloatArray:
    """float64[b]: macro F1 over the classes with support, of totals as in `_class_counts`; replicates without any are
    left out.
    """
    hits, support, predicted = np.split(totals, 3, axis=1)
    f1 = np.divide(2 * hits, support + predicted, out=np.zeros_like(hits), where=support > 0)
    present = np.count_nonzero(support, axis=1)
    mean: FloatArray = f1.sum(axis=1)[present > 0] / present[present > 0]
    return mean


def _percentiles(statistics: list[FloatArray]) -> Interval:
    lower, upper = np.quantile(np.concatenate(statistics), [0.025, 0.975])
    return Interval(float(lower), float(upper))
