"""Whether chance explains that scores differ, for one decision: p-values by permutation, at a cost that does not grow
with the samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.compare.distances import FALLBACK_QUANTILE
from monitor.results import FloatArray

_RESAMPLINGS = 999
_KNOTS = 512
_PAIRED_KNOTS = 64  # at most 64 * 65 / 2 kinds of pair: the cost does not grow with the samples
_SAMPLE = 2**16  # scores from which the knots of a larger set are taken
_BLOCK = 2**13  # scores sorted at a time
_EQUAL = 1 - 1e-10  # statistics this close differ by rounding alone


def two_sample_pvalue(reference: FloatArray, current: FloatArray, limit: float | None, seed: int) -> float:
    """Permutation p-value of "both have one distribution", for one decision; 1/1000 is the smallest.

    The scores of both sides are counted between at most 512 of their common quantiles (of a random 65,536 of them, if
    they are more) and the threshold; under permutation the counts are multivariate hypergeometric, whatever ties there
    are. Wasserstein, Anderson-Darling and exceedance of these counts share one p-value by the smallest of theirs,
    itself judged by permutation (Westfall and Young, Resampling-Based Multiple Testing, 1993, 2.3).

    Args:
        reference: float64[n], finite, at least one.
        current: float64[m] likewise.
        limit: The block's threshold; None takes the 0.95 quantile of both sides together, which permutation leaves as
            it is.
        seed: Not negative.
    """
    rng = np.random.default_rng(seed)
    knots, at_limit = _knots(np.concatenate([reference, current]), limit, _KNOTS, rng)
    first, second = _cumulated(reference, knots), _cumulated(current, knots)
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


def paired_pvalue(before: FloatArray, after: FloatArray, limit: float | None, seed: int) -> float:
    """Sign-flip p-value of "either score of a sample could as well have been the other's"; 1/1000 is the smallest.

    The statistics are those of `two_sample_pvalue`, of the two columns' distributions. Swapping a sample's scores flips
    the sign of what it adds to their difference, so that samples whose scores lie between the same of at most 64
    quantiles flip as one binomial count.

    Args:
        before: float64[k], finite, at least one.
        after: float64[k], the same samples' other scores.
        limit: The block's threshold; None takes the 0.95 quantile of all scores.
        seed: Not negative.
    """
    rng = np.random.default_rng(seed)
    knots, at_limit = _knots(np.concatenate([before, after]), limit, _PAIRED_KNOTS, rng)
    cells = len(knots)
    code = np.searchsorted(knots, before) * cells + np.searchsorted(knots, after)
    moves = np.bincount(code, minlength=cells**2).reshape(cells, cells)
    lower, upper = np.triu_indices(cells, 1)
    risen, fallen = moves[lower, upper], moves[upper, lower]
    moving = np.flatnonzero(risen + fallen)
    lower, upper, risen, size = lower[moving], upper[moving], risen[moving], (risen + fallen)[moving]
    flipped = rng.binomial(size, 0.5, size=(_RESAMPLINGS, len(size)))
    net = 2 * np.concatenate([risen[None], flipped]) - size
    # A score that moves from one cell to another changes the distribution function at the knots between them.
    passed = (lower[:, None] <= np.arange(cells)) & (np.arange(cells) < upper[:, None])
    pooled = (moves.sum(axis=0) + moves.sum(axis=1)).cumsum() / (2 * len(before))
    return _smallest_p(net @ passed.astype(np.float64), pooled, knots, at_limit)


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
