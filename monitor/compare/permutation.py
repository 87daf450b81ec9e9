"""Whether chance explains that scores differ, for one decision: p-values by permutation, at a cost that does not grow
with the samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.compare.distances import FALLBACK_QUANTILE
from monitor.compare.pairing import Index
from monitor.results import FloatArray, IntArray

_RESAMPLINGS = 999
_KNOTS = 512
_PAIRED_KNOTS = 48  # at most 48 * 49 / 2 kinds of pair: the cost does not grow with the samples
_SAMPLE = 2**16  # scores from which the knots of a larger set are taken
_BLOCK = 2**13  # scores sorted at a time
_EQUAL = 1 - 1e-10  # statistics this close differ by rounding alone
_UNITS = 1000  # so few are never merged: a p-value would notice
_UNITS_PER_SIDE = 100  # likewise
_CELLS = 4_000_000  # of the table of units and knots


def two_sample_pvalue(
    reference: FloatArray,
    current: FloatArray,
    limit: float | None,
    seed: int,
    *,
    units: tuple[IntArray, IntArray] | None = None,
) -> float:
    """Permutation p-value of "both have one distribution", for one decision; 1/1000 is the smallest.

    The scores of both sides are counted between at most 512 of their common quantiles (of a random 65,536 of them, if
    they are more) and the threshold; under permutation the counts are multivariate hypergeometric, whatever ties there
    are. Wasserstein, Anderson-Darling and exceedance of these counts share one p-value by the smallest of theirs,
    itself tested by permutation (Westfall and Young, Resampling-Based Multiple Testing, 1993, 2.3).

    With `units` those are permuted, each with all its scores, keeping how many are on either side. Very many are first
    merged at random within their side, into units that still are exchangeable.

    Args:
        reference: float64[n], finite, at least one.
        current: float64[m] likewise.
        limit: The block's threshold; None takes the 0.95 quantile of both sides together, which permutation leaves as
            it is.
        seed: Not negative.
        units: int[n] and int[m], of which unit each score is; one with scores on both sides is two. None: each score
            is a unit of its own.
    """
    rng = np.random.default_rng(seed)
    if units is not None:
        return _by_unit(reference, current, limit, units, rng)
    knots, at_limit = _knots(np.concatenate([reference, current]), limit, _KNOTS, rng)
    first = _cumulated(reference, knots)
    second = _cumulated(current, knots)
    pooled = first + second
    # Drawing the smaller side is the cheaper; the other one is the rest.
    small = min(len(reference), len(current))
    colors = np.diff(pooled, prepend=0)
    drawn = rng.multivariate_hypergeometric(colors, small, size=_RESAMPLINGS, method="marginals")
    observed = first if small == len(reference) else second
    below = np.concatenate([observed[None], drawn.cumsum(axis=1)])
    total = len(reference) + len(current)
    # What separates the two sides is what separates one from both, times a constant; in whole numbers, so that ties
    # stay ties.
    gap: FloatArray = (below * total - pooled * small).astype(np.float64)
    return _smallest_p(gap, pooled / total, knots, at_limit)


def _by_unit(
    reference: FloatArray,
    current: FloatArray,
    limit: float | None,
    units: tuple[IntArray, IntArray],
    rng: np.random.Generator,
) -> float:
    """`two_sample_pvalue` with units: distribution functions are ratios of sums over the drawn units."""
    first, reference_unit = _numbered(units[0])
    second, current_unit = _numbered(units[1])
    size = max(1, min((first + second) // _UNITS, first // _UNITS_PER_SIDE, second // _UNITS_PER_SIDE))
    first, reference_unit = _dealt(first, reference_unit, size, rng)
    second, current_unit = _dealt(second, current_unit, size, rng)
    knots, at_limit = _knots(
        np.concatenate([reference, current]), limit, min(_KNOTS, max(_PAIRED_KNOTS, _CELLS // (first + second))), rng
    )
    counts, left = _counted(reference, reference_unit, first, knots)
    current_counts, current_left = _counted(current, current_unit, second, knots)
    counts = np.concatenate([counts, current_counts])
    pooled = (counts.sum(axis=0) + left + current_left).cumsum()
    small = min(first, second)
    observed = np.arange(first)
    if small < first:
        observed = first + np.arange(second)
        left = current_left
    draws = (rng.choice(first + second, small, replace=False, shuffle=False) for _ in range(_RESAMPLINGS))
    below = np.array([counts[drawn].sum(axis=0) + left for drawn in (observed, *draws)]).cumsum(axis=1)
    held = below[:, -1:]
    total = len(reference) + len(current)
    # as between scores, but what is drawn holds now more of them, now fewer
    gap: FloatArray = (below * total - pooled * held) / (held * (total - held))
    return _smallest_p(gap, pooled / total, knots, at_limit)


def _numbered(units: IntArray) -> tuple[int, Index]:
    """How many units there are, and each score's, 0..k - 1."""
    distinct, unit = np.unique(units, return_inverse=True)
    return len(distinct), unit


def _dealt(units: int, unit: Index, size: int, rng: np.random.Generator) -> tuple[int, Index]:
    """Units merged at random into such of one size: how many, and each score's; the last is what does not fill one."""
    return units // size, (rng.permutation(units) // size)[unit]


def _counted(
    scores: FloatArray, unit: Index, units: int, knots: FloatArray
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """int32[units, knots], how many scores of each unit are between knots, and int32[knots], of what is in none."""
    cell = unit * len(knots) + np.searchsorted(knots, scores)
    counts = np.bincount(cell, minlength=(units + 1) * len(knots)).reshape(units + 1, len(knots)).astype(np.int32)
    return counts[:-1], counts[-1]


def paired_pvalue(
    before: FloatArray, after: FloatArray, limit: float | None, seed: int, *, units: IntArray | None = None
) -> float:
    """Sign-flip p-value of "either score of a sample could as well have been the other's"; 1/1000 is the smallest.

    The statistics are those of `two_sample_pvalue`, of the two columns' distributions. Swapping a sample's scores flips
    the sign of what it adds to their difference, so that samples whose scores lie between the same of at most 48
    quantiles flip as one binomial count.

    Args:
        before: float64[k], finite, at least one.
        after: float64[k], the same samples' other scores.
        limit: The block's threshold; None takes the 0.95 quantile of all scores.
        seed: Not negative.
        units: int[k], of which unit each sample is: the samples of one are swapped together. None: each sample is a
            unit of its own.
    """
    rng = np.random.default_rng(seed)
    knots, at_limit = _knots(np.concatenate([before, after]), limit, _PAIRED_KNOTS, rng)
    if units is not None:
        return _swapped_by_unit(before, after, knots, at_limit, units, rng)
    cells = len(knots)
    code = np.searchsorted(knots, before) * cells + np.searchsorted(knots, after)
    moves = np.bincount(code, minlength=cells**2).reshape(cells, cells)
    lower, upper = np.triu_indices(cells, 1)
    risen = moves[lower, upper]
    fallen = moves[upper, lower]
    moving = np.flatnonzero(risen + fallen)
    size = (risen + fallen)[moving]
    lower = lower[moving]
    upper = upper[moving]
    risen = risen[moving]
    flipped = rng.binomial(size, 0.5, size=(_RESAMPLINGS, len(size)))
    net = 2 * np.concatenate([risen[None], flipped]) - size
    # A score that moves from one cell to another changes the distribution function at the knots between them.
    passed = (lower[:, None] <= np.arange(cells)) & (np.arange(cells) < upper[:, None])
    pooled = (moves.sum(axis=0) + moves.sum(axis=1)).cumsum() / (2 * len(before))
    return _smallest_p(net @ passed.astype(np.float64), pooled, knots, at_limit)


def _swapped_by_unit(
    before: FloatArray, after: FloatArray, knots: FloatArray, at_limit: int, units: IntArray, rng: np.random.Generator
) -> float:
    """`paired_pvalue` with units: what a unit adds to the difference of the distribution functions flips as a whole.

    Very many units are first merged at random: such swaps are a subgroup of all.
    """
    count, unit = _numbered(units)
    groups = min(count, _UNITS)
    if groups < count:
        unit = (rng.permutation(count) % groups)[unit]
    cells = len(knots)
    gone, come = (
        np.bincount(unit * cells + np.searchsorted(knots, scores), minlength=groups * cells).reshape(groups, cells)
        for scores in (before, after)
    )
    adds = (gone - come).cumsum(axis=1).astype(np.float64)
    signs = np.concatenate([np.ones((1, groups)), 1.0 - 2 * rng.integers(0, 2, (_RESAMPLINGS, groups))])
    pooled = (gone + come).sum(axis=0).cumsum() / (2 * len(before))
    return _smallest_p(signs @ adds, pooled, knots, at_limit)


def _knots(pooled: FloatArray, limit: float | None, most: int, rng: np.random.Generator) -> tuple[FloatArray, int]:
    """The values to count scores between, ascending: at most `most` quantiles, all values if they are fewer, the limit
    and the largest.

    Returns:
        The knots, and the index of the last one that does not exceed the limit; -1 where all do.
    """
    largest = pooled.max()
    if len(pooled) > _SAMPLE:  # which knots there are does not depend on who scored what: the test stays exact
        pooled = rng.choice(pooled, _SAMPLE, replace=False, shuffle=False)
    pooled = np.sort(pooled)
    last = np.append(pooled[1:] > pooled[:-1], True)
    knots = pooled[last]
    if len(knots) > most:
        knots = pooled[np.linspace(0, len(pooled) - 1, most).round().astype(np.intp)]
    if limit is None:
        limit = float(pooled[int(FALLBACK_QUANTILE * (len(pooled) - 1))])
    knots = np.union1d(knots, [largest, limit] if knots[0] <= limit < largest else [largest])
    return knots, int(np.searchsorted(knots, limit, side="right")) - 1


def _cumulated(scores: FloatArray, knots: FloatArray) -> npt.NDArray[np.intp]:
    """How many scores are at most each knot."""
    counts = np.zeros(len(knots), np.intp)
    # only counts are wanted: sorting what fits a cache takes half the time of sorting all
    for first in range(0, len(scores), _BLOCK):
        counts += np.searchsorted(np.sort(scores[first : first + _BLOCK]), knots, side="right")
    return counts


def _smallest_p(gap: FloatArray, pooled: FloatArray, knots: FloatArray, at_limit: int) -> float:
    """Westfall and Young's p-value of the first row.

    Args:
        gap: float64[1 + resamplings, knots], differences of distribution functions, up to a constant factor; first the
            observed one.
        pooled: float64[knots], the common distribution function.
        knots: float64[knots], ascending.
        at_limit: The knot at the threshold; -1 where all scores are above it.
    """
    size = np.abs(gap)
    between = size[:, :-1]
    inner = pooled[:-1]
    weight = np.diff(pooled, prepend=0)[:-1] / (inner * (1 - inner))
    statistics = [
        np.einsum("ij,j->i", between, np.diff(knots)),  # Wasserstein
        np.einsum("ij,ij,j->i", between, between, weight),  # Anderson-Darling
        size[:, at_limit] if at_limit >= 0 else np.zeros(len(size)),  # exceedance
    ]
    smallest = np.min([_rank_p(statistic) for statistic in statistics], axis=0)
    return int((smallest <= smallest[0]).sum()) / len(smallest)


def _rank_p(statistic: FloatArray) -> FloatArray:
    """Share of the rows with a statistic at least as large, for each row."""
    at_least = len(statistic) - np.searchsorted(np.sort(statistic), statistic * _EQUAL)
    return at_least / len(statistic)
