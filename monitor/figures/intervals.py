"""95 % intervals with the sample, or the group of samples that came together, as the unit: windows of one sample are
not independent, so that counting them as such claims too much.

Shares, and means of values in 0..1, take Wilson's interval on an effective size, other means a bootstrap of units;
those of the mean F1 of classes and of the AUROC have modules of their own. All give nothing under 30 samples. Bounds
depend on nothing but the arguments: the same input and seed give the same bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.figures.counts import BoolArray, Counts, counted
from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.uneven import Components, components, hidden_of, widened
from monitor.results import FloatArray, IntArray

SMALLEST_SAMPLES = 30
"""Fewer samples than this: no bounds."""

_FEW = 10  # samples with an error, or with a hit: below it the cluster variance is too unsure to be used
_UNSEEN = 0.1  # samples with nothing but misses, or hits, that are taken to be there besides those that were seen
_REPLICATES = 1000
_UNITS = 10_000  # at most so many units are re-sampled
_WEIGHTS = 1_000_000  # units x replicates that are drawn at a time (2 MB)
_REPLICATES_AT_ONCE = 4  # whose weights are counted and summed: they stay in the cache of one core
_ROUNDING = 1e-12  # of sums of squares: smaller ones are 0


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


def clustered(sample: IntArray, groups: GroupUnit | None = None) -> Clusters | None:
    """The units of windows; None where they are too few for bounds: under 30 samples, or only one group.

    Args:
        sample: int[m], each window's sample, not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.
    """
    of, samples = _renumber(sample)
    if samples < SMALLEST_SAMPLES:
        return None
    if groups is None:
        return Clusters(of, samples, samples, math.inf)
    of, units = _renumber(groups.of[sample])
    return Clusters(of, units, samples, units - 1.0) if units > 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Shares of hits by part of the windows, and what their clusters make of them; float64[parts] each.

    Attributes:
        share: Of the windows that are hits; NaN where a part has no window.
        size: Effective number of windows, Student's t for the normal distribution included; NaN where that is not
            known: without a window, or with one group only.
        windows: How many there are.
    """

    share: FloatArray
    size: FloatArray
    windows: FloatArray

    def intervals(self) -> list[Interval | None]:
        """Wilson's; None where the effective size is not known."""
        z = t_quantile(0.975, math.inf)
        columns = zip(self.share.tolist(), self.size.tolist(), strict=True)
        return [None if math.isnan(size) else wilson(p, size, z) for p, size in columns]

    def design_effect(self, part: int = 0) -> float:
        """By what factor clusters make the variance of a part's share larger than independent windows would, Student's
        t for the normal distribution included; infinite where that is not known.
        """
        size = float(self.size[part])
        return math.inf if math.isnan(size) else float(self.windows[part]) / size


def shares(
    hits: BoolArray, sample: IntArray, groups: GroupUnit | None = None, part: IntArray | None = None, parts: int = 1
) -> Shares:
    """Shares of windows that are hits, on n / deff windows.

    deff is the variance of the ratio estimator over clusters (Cochran, Sampling Techniques, 1977, eq. 2.39, with the
    units as clusters) over that of independent windows, p(1 - p)/n; with groups as the unit times (t/z)², for it is
    estimated. It is at least 1, without t: independent windows have a variance that is known. What groups of uneven
    sizes hide of it is added (`Components.hidden`).

    Where fewer than 10 samples of a part hold a miss, or fewer than 10 a hit, its variance cannot be trusted. Then deff
    is that of all parts together: the sum of their variances over that of independent windows. Where all of them have
    too few as well, it is Σx²/Σx over the samples that hold the rarer of the two, x of their windows each (the variance
    of a compound Poisson distribution over its mean), as if a tenth of a sample that holds nothing else had been seen
    besides; with groups as the unit times the design effect that they have with the baseline's icc, or that of the set
    if it is larger, times (t/z)²: how alike samples are is guessed then.

    Args:
        hits: bool[m], one per window that counts.
        sample: int[m], each window's sample, not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.
        part: int[m], each window's part, 0..parts - 1; None where all are one.
        parts: How many parts there are.
    """
    found = counted(hits, sample, part, parts)
    samples = np.bincount(found.part, minlength=parts)
    holding = (np.bincount(found.part[some], minlength=parts) for some in (found.hits > 0, found.hits < found.windows))
    few = np.minimum(*holding) < _FEW
    by_unit = found if groups is None else found.grouped(groups)
    units = np.bincount(by_unit.part, minlength=parts)
    n, total = (np.bincount(by_unit.part, each, parts).astype(np.float64) for each in (by_unit.windows, by_unit.hits))
    wider = _widening(units, groups)
    with np.errstate(divide="ignore", invalid="ignore"):  # parts without a window, of one unit, or without a miss
        p = total / n
        clustered = units / (units - 1) * by_unit.squares(p)
        independent = p * (1 - p) * n
        uneven = None if groups is None else _uneven(found, by_unit, p)
        variance = clustered * wider + (0.0 if uneven is None else uneven.hidden())
        effect = np.where(independent > 0, variance / independent, wider)
        per_sample = n / samples
    inflation = np.fmax(effect, 1.0)
    varies = (independent > 0) & (units > 1)
    if few.any() and varies.any() and _few_samples(hits, sample) >= _FEW:
        units_of_all = np.array([0 if groups is None else _distinct(groups.of[sample])])
        together = float(clustered[varies].sum() * _widening(units_of_all, groups)[0])
        together += 0.0 if uneven is None else float(uneven.together().hidden()[0])
        inflation[few] = max(1.0, together / float(independent[varies].sum()))
    elif few.any():
        inflation[few] = _guessed(_within_samples(found, per_sample), effect, wider, by_unit, groups)[few]
    unknown = (n == 0) | np.isnan(wider)
    return Shares(p, np.where(unknown, np.nan, n / inflation), n)


def share(hits: BoolArray, sample: IntArray, groups: GroupUnit | None = None) -> Interval | None:
    """Wilson's interval for the share of windows that are hits, on the effective size of `shares`; with Student's t
    where groups are the unit.

    Args:
        hits: bool[m], one per window that counts.
        sample: int[m], each window's sample, not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        The bounds in 0..1, or None under 30 samples, and where there is only one group.
    """
    if _distinct(sample) < SMALLEST_SAMPLES:
        return None
    return shares(hits, sample, groups).intervals()[0]


def wilson(p: float, n: float, z: float) -> Interval:
    """Wilson (1927): the shares that a two-sided score test at 5 % does not reject; `z` is its 0.975 quantile."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    # At p = 0 and 1 the bound is p itself; rounding must not push it past.
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def bounded_mean(values: FloatArray, sample: IntArray, groups: GroupUnit | None = None) -> Interval | None:
    """The interval for the mean of a value in 0..1, such as an image's F1: Wilson's, on as many windows as would vary
    as much if their values were all 0 or 1.

    The variance is that of a ratio over clusters (Cochran, 1977, eq. 2.39); with groups as the unit times (t/z)², with
    what groups of uneven sizes hide, and at least that over samples. Where fewer than 10 samples hold another value
    than 1, or than 0, the size is at most the number of samples, with groups over the design effect that they have with
    the baseline's icc, and over (t/z)²: no value in 0..1 varies more than a share of that mean does.

    Args:
        values: float64[m], 0..1, one per window that counts.
        sample: int[m], each window's sample, not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        The bounds in 0..1, or None under 30 samples, and where there is only one group.
    """
    of_samples, clusters = clustered(sample), clustered(sample, groups)
    if of_samples is None or clusters is None:
        return None
    z = t_quantile(0.975, math.inf)
    wider = (clusters.quantile / z) ** 2
    mean = float(values.mean())
    excess = values - mean
    variance = _variance_of_total(np.bincount(of_samples.of, excess))
    if groups is not None:
        hidden = hidden_of(excess, sample, clusters.of)
        variance = max(variance, _variance_of_total(np.bincount(clusters.of, excess)) * wider + hidden)
    sizes = [mean * (1 - mean) * len(values) ** 2 / variance] if variance > 0 else []
    if min(_distinct(sample[values < 1]), _distinct(sample[values > 0])) < _FEW:
        effect = 1.0 if groups is None else groups.design_effect(np.bincount(groups.of[np.unique(sample)])) * wider
        sizes.append(of_samples.samples / effect)
    return wilson(mean, min(sizes), z) if sizes else Interval(mean, mean)


def bootstrap_t(values: FloatArray, sample: IntArray, seed: int, groups: GroupUnit | None = None) -> Interval | None:
    """Bootstrap-t interval (Efron, 1981) for the mean of a value over windows, by 1,000 bootstraps of units: it follows
    the skew of errors, which percentiles do not.

    Each replicate's deviation from the mean is divided by its own standard error, that of a ratio over clusters
    (Cochran, 1977, eq. 2.39); replicates without one are left out. What groups of uneven sizes hide of the variance is
    added.

    Above 10,000 units, they are first dealt at random into 10,000 groups of equal size that are re-sampled as
    wholes (random groups: Wolter, Introduction to Variance Estimation, 2007, ch. 2): the time is bounded, the standard
    error still good to 1 %.

    Args:
        values: float64[m], finite, one per window that counts.
        sample: int[m], each window's sample, not negative.
        seed: Not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        The bounds in the unit of `values`, within its range below, or None under 30 samples, where there is only one
        group, and where no replicate varies.
    """
    clusters = clustered(sample, groups)
    if clusters is None:
        return None
    rng = np.random.default_rng(seed)
    unit, units = _deal(clusters, rng)
    mean = float(values.mean())
    windows = np.bincount(unit, None, units).astype(np.float64)
    excess = np.bincount(unit, values - mean, units)
    error = math.sqrt(_variance_of_total(excess)) / len(values)
    if error == 0:
        return Interval(mean, mean)
    columns = np.stack([windows, excess, excess**2, excess * windows, windows**2], axis=1)
    totals = _resampled(columns, rng)
    moved = totals[:, 1] / totals[:, 0]
    squares = totals[:, 2] - 2 * moved * totals[:, 3] + moved**2 * totals[:, 4]
    varies = squares > _ROUNDING * totals[:, 2]
    if not varies.any():
        return None
    errors = np.sqrt(units / (units - 1) * squares[varies]) / totals[varies, 0]
    low, high = np.quantile(moved[varies] / errors, [0.025, 0.975])
    hidden = 0.0 if groups is None else hidden_of(values - mean, sample, clusters.of) / len(values) ** 2
    lower = mean - widened(float(high) * error, hidden)
    upper = mean + widened(-float(low) * error, hidden)
    return Interval(min(mean, max(lower, float(values.min()))), max(mean, upper))


def half_by_groups(excess: FloatArray, sample: IntArray, clusters: Clusters) -> float:
    """How far the bounds of a total are away by its variance over groups, Student's t and what their uneven sizes hide;
    0 where they are of one size, and where the sample is the unit.

    Args:
        excess: float64[m], one per window that counts; they add up to 0.
        sample: int[m], each window's sample, not negative.
        clusters: The windows' units.
    """
    hidden = 0.0 if math.isinf(clusters.degrees) else hidden_of(excess, sample, clusters.of)
    if hidden == 0:
        return 0.0
    return widened(clusters.quantile * math.sqrt(_variance_of_total(np.bincount(clusters.of, excess))), hidden)


def _variance_of_total(by_unit: FloatArray | IntArray) -> float:
    """That of a sum over independent units, float64[units], which add up to 0."""
    units = len(by_unit)
    return units / (units - 1) * float(np.square(by_unit).sum())


def _renumber(sample: IntArray) -> tuple[IntArray, int]:
    """The samples that occur, numbered 0..k - 1 in their order (int32[m]), and k."""
    occurs = np.bincount(sample) > 0
    return (np.cumsum(occurs, dtype=np.int32) - 1)[sample], int(occurs.sum())


def _distinct(sample: IntArray) -> int:
    """How many samples occur."""
    return int(np.count_nonzero(np.bincount(sample)))


def _few_samples(hits: BoolArray, sample: IntArray) -> int:
    """How many samples hold a miss, or a hit, whichever are fewer."""
    return min(_distinct(sample[~hits]), _distinct(sample[hits]))


def _widening(units: IntArray, groups: GroupUnit | None) -> FloatArray:
    """(t/z)², by which a variance that so many groups show counts for more: NaN under two; 1 for samples."""
    if groups is None:
        return np.ones(len(units))
    z = t_quantile(0.975, math.inf)
    return np.array([(t_quantile(0.975, many - 1) / z) ** 2 if many > 1 else math.nan for many in units.tolist()])


def _within_samples(found: Counts, per_sample: FloatArray) -> FloatArray:
    """float64[parts], the design effect of a sample's windows by the few samples that hold a miss, or a hit; that of
    windows which are all alike where there are none.
    """
    rare = min(found.hits, found.windows - found.hits, key=np.count_nonzero).astype(np.float64)
    seen = np.square(rare).sum() + _UNSEEN * per_sample**2
    alike: FloatArray = seen / (rare.sum() + _UNSEEN * per_sample)
    return np.clip(alike, 1.0, per_sample)


def _guessed(
    within: FloatArray, effect: FloatArray, wider: FloatArray, by_unit: Counts, groups: GroupUnit | None
) -> FloatArray:
    """What n is divided by where hits or misses are too few to show a variance."""
    if groups is None:
        return within
    samples = np.bincount(by_unit.part, by_unit.samples, len(effect))
    with np.errstate(divide="ignore", invalid="ignore"):  # parts without a window
        size = np.bincount(by_unit.part, np.square(by_unit.samples), len(effect)) / samples
    return np.fmax((1 + (size - 1) * groups.icc) * within * wider, np.fmax(effect, wider))


def _uneven(of_samples: Counts, of_groups: Counts, p: FloatArray) -> Components:
    """How hits vary between groups and within, by part."""
    return components(of_groups.excess(p), of_groups.samples, of_samples.squares(p), of_groups.part)


def _deal(clusters: Clusters, rng: np.random.Generator) -> tuple[IntArray, int]:
    """Each window's unit of re-sampling: its own, or one of 10,000 random groups of units of equal size."""
    if clusters.units <= _UNITS:
        return clusters.of, clusters.units
    return rng.permutation(np.arange(clusters.units, dtype=np.int32) % _UNITS)[clusters.of], _UNITS


def _resampled(columns: FloatArray, rng: np.random.Generator) -> FloatArray:
    """float64[replicates, columns], the columns' totals in bootstrap replicates; weights are multinomial over the
    units.
    """
    units = len(columns)
    # as many windows in each unit: weights add up to the units, whichever are drawn
    fixed = (columns == columns[0]).all(axis=0) & (columns[0] == np.rint(columns[0]))
    totals = np.empty((_REPLICATES, columns.shape[1]))
    totals[:, fixed] = columns[0, fixed] * units
    varying = [(place, np.ascontiguousarray(columns[:, place])) for place in np.flatnonzero(~fixed).tolist()]
    step = max(1, _WEIGHTS // units)
    weights = np.empty((min(step, _REPLICATES_AT_ONCE), units))
    for first in range(0, _REPLICATES, step):
        # drawing and counting is ten times faster than `multinomial` here, one replicate at a time twice as fast as all
        drawn = rng.integers(0, units, size=(min(step, _REPLICATES - first), units), dtype=np.uint16)
        for few in range(0, len(drawn), _REPLICATES_AT_ONCE):
            replicates = drawn[few : few + _REPLICATES_AT_ONCE]
            for row, replicate in zip(weights, replicates, strict=False):
                row[:] = np.bincount(replicate, minlength=units)
            rows = slice(first + few, first + few + len(replicates))
            for place, column in varying:
                # not by BLAS: its sums depend on the number of cores, in the last digit, and its threads wait busily
                totals[rows, place] = np.einsum("ij,j->i", weights[: len(replicates)], column)
    return totals
