"""P-values of a change, by sample or by group: exact where a closed form exists, by re-sampling elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from monitor.compare.pairing import Index
from monitor.compare.resamplable import Resamplable, Weights
from monitor.results import FloatArray, IntArray

RESAMPLINGS = 999
STOP = 20
"""Exceedances after which a sequential test ends."""

_CELLS_AT_ONCE = 1 << 22
_FEWEST_PER_SIDE = 100  # groups, where units are merged: what is left over is then under 1 % of its side
_SEQUENTIAL = 128  # re-samplings between two looks at the number of exceedances
_SLACK = 1e-12  # sums in another order differ by this much; it must not tell equal statistics apart


def mcnemar(gained: int, lost: int) -> float:
    """Mid-p McNemar test of paired verdicts (Fagerland, Lydersen & Laake, BMC Med. Res. Methodol. 13:91, 2013).

    Args:
        gained, lost: Pairs that only the one and only the other run has right.
    """
    n = gained + lost
    if n == 0:
        return 1.0
    k = np.arange(n)
    mass = _masses(np.log((n - k) / (k + 1)))
    least = min(gained, lost)
    if gained == lost:
        return float(1 - mass[least] / 2)
    return float(2 * mass[:least].sum() + mass[least])


def hypergeometric(hits: int, drawn: int, all_hits: int, total: int) -> float:
    """Two-sided mid-p value (twice the smaller tail) of `hits` among `drawn` of `total` units of which `all_hits` are
    hits.
    """
    least = max(0, drawn - (total - all_hits))
    most = min(drawn, all_hits)
    k = np.arange(least, most, dtype=np.float64)
    mass = _masses(np.log((all_hits - k) * (drawn - k) / ((k + 1) * (total - all_hits - drawn + k + 1))))
    place = hits - least
    lower = mass[:place].sum() + mass[place] / 2
    upper = mass[place + 1 :].sum() + mass[place] / 2
    return float(min(1.0, 2 * min(lower, upper)))


def smallest_swap_pvalue(units: int) -> float:
    """The smallest p-value that swapping the outputs of so many units can reach: swapping none is as far from nothing
    as swapping all.
    """
    return max(1 / (RESAMPLINGS + 1), 2.0 ** (1 - units)) if units else 1.0


def smallest_subset_pvalue(first: int, others: int) -> float:
    """The smallest p-value that permuting so many units among so many others can reach.

    Exact but for what is as far from nothing by chance; 1 where a side has none.
    """
    if not min(first, others):
        return 1.0
    choices = math.lgamma(first + others + 1) - math.lgamma(first + 1) - math.lgamma(others + 1)
    return max(1 / (RESAMPLINGS + 1), math.exp(-choices))


def swap_test(
    statistic: Resamplable, rng: np.random.Generator, stop: int | None, units: IntArray | None = None
) -> float:
    """Whether two runs differ, by swapping their outputs sample by sample (sign flip), or group by group.

    Very many units are first dealt at random into groups that swap together: these swaps are a subgroup of all, so
    that the test is as exact, at a cost that no longer grows.

    Args:
        statistic: The samples of the one run, then those of the other, pair by pair.
        rng: Of the groups and the swaps.
        stop: As in `_pvalue`.
        units: int[pairs], which pairs swap together; None: each by itself.
    """
    pairs = statistic.units // 2
    if units is not None:
        _, unit = np.unique(units, return_inverse=True)
        pairs = int(unit.max(initial=-1)) + 1
        statistic = statistic.merge(np.concatenate([unit, pairs + unit]), 2 * pairs)
    groups = min(pairs, statistic.most_groups)
    group = rng.permutation(pairs) % groups
    statistic = statistic.merge(np.concatenate([group, groups + group]), 2 * groups)

    def difference(swap: Weights) -> FloatArray:
        first, second = statistic.split(np.concatenate([1 - swap, swap], axis=1))
        difference: FloatArray = first - second
        return difference

    observed = difference(np.zeros((1, groups), np.uint8))
    draw = partial(_swaps, groups, rng)
    return _pvalue(observed[0], draw, difference, statistic.units, stop)


def _swaps(groups: int, rng: np.random.Generator, size: int) -> Weights:
    return rng.integers(0, 2, (size, groups), np.uint8)


def subset_test(
    statistic: Resamplable,
    first: int,
    rng: np.random.Generator,
    stop: int | None,
    *,
    against_rest: bool,
    units: tuple[IntArray, IntArray] | None = None,
) -> float:
    """Whether the first samples differ from the others, by permuting which samples, or groups of them, these are.

    Very many units are first dealt at random into groups of one size, those on either side apart; the few that are left
    stay on their side. Permuting such groups is a subgroup of all permutations: the test is as exact.

    Args:
        statistic: The samples.
        first: How many are the first.
        rng: Of the groups and the permutations.
        stop: As in `_pvalue`.
        against_rest: Compare the figure of the other samples with that of the first; otherwise that of all.
        units: int[first] and int[others], which samples of a side belong together; a unit with samples on both sides
            is two. None: each is by itself.
    """
    if units is not None:
        sides = [np.unique(side, return_inverse=True)[1] for side in units]
        first, others = (int(side.max(initial=-1)) + 1 for side in sides)
        statistic = statistic.merge(np.concatenate([sides[0], first + sides[1]]), first + others)
    rest = statistic.units - first
    size = max(1, min(statistic.units // statistic.most_groups, first // _FEWEST_PER_SIDE, rest // _FEWEST_PER_SIDE))
    here = first // size
    there = rest // size
    movable = here + there
    group = np.concatenate(
        [_dealt(first, here, size, rng, left=movable), _dealt(rest, there, size, rng, left=movable + 1 - here) + here]
    )
    statistic = statistic.merge(group, movable + 2)
    observed = np.zeros((1, statistic.units), np.uint8)
    observed[0, :here] = observed[0, movable] = 1
    whole, figure = statistic.figure(np.concatenate([np.ones_like(observed), observed]))

    def difference(chosen: Weights) -> FloatArray:
        figure, rest = statistic.split(chosen) if against_rest else (statistic.figure(chosen), whole)
        difference: FloatArray = rest - figure
        return difference

    def draw(size: int) -> Weights:
        chosen = np.zeros((size, statistic.units), np.uint8)
        chosen[:, movable] = 1
        for row in chosen:
            row[rng.choice(movable, here, replace=False, shuffle=False)] = 1
        return chosen

    distance = difference(observed)[0] if against_rest else whole - figure
    return _pvalue(distance, draw, difference, statistic.units, stop)


def _dealt(units: int, groups: int, size: int, rng: np.random.Generator, left: int) -> Index:
    """Random groups of one size, 0..groups - 1, and the group `left` for what does not fill one."""
    place = rng.permutation(units)
    return np.where(place < groups * size, place // size, left)


def _pvalue(
    observed: float,
    draw: Callable[[int], Weights],
    difference: Callable[[Weights], FloatArray],
    units: int,
    stop: int | None,
) -> float:
    """(1 + exceedances) / (1 + re-samplings), two-sided.

    Args:
        observed: The statistic.
        draw: Gives as many re-samplings as asked for.
        difference: The statistic of each; NaN (the figure does not exist) counts as an exceedance.
        units: Of the statistic: how much a re-sampling holds.
        stop: End at so many exceedances, with p = exceedances / re-samplings until then (Besag & Clifford, Biometrika
            78:301, 1991); None: never.
    """
    if abs(observed) < _SLACK:
        return 1.0  # nothing is smaller
    size = max(1, min(RESAMPLINGS, _CELLS_AT_ONCE // units, _SEQUENTIAL if stop else RESAMPLINGS))
    exceeded = 0
    done = 0
    drawn = draw(size)
    while len(drawn):
        few = _until_stop(stop, exceeded, done) if stop else size
        beyond = ~(np.abs(difference(drawn[:few])) < abs(observed) - _SLACK)
        if stop and exceeded + beyond.sum() >= stop:
            return float(stop / (done + np.flatnonzero(beyond)[stop - exceeded - 1] + 1))
        exceeded += int(beyond.sum())
        done += len(beyond)
        drawn = drawn[few:] if len(drawn) > few else draw(min(size, RESAMPLINGS - done))
    return (1 + exceeded) / (1 + RESAMPLINGS)


def _until_stop(stop: int, exceeded: int, done: int) -> int:
    """How many more re-samplings are likely to end a sequential test: fewer cannot, and more may be in vain."""
    return math.ceil((stop - exceeded) * max(1.0, done / exceeded if exceeded else done))


def _masses(log_ratio: FloatArray) -> FloatArray:
    """Probability masses float64[k + 1] of a log-concave distribution, from the logs of the ratio of each to the one
    before.

    Summed outwards from the mode: there rounding is smallest, and that is where the mass is.
    """
    mode = int((log_ratio > 0).sum())
    logs = np.concatenate([-np.cumsum(log_ratio[:mode][::-1])[::-1], [0.0], np.cumsum(log_ratio[mode:])])
    mass: FloatArray = np.exp(logs)
    mass /= mass.sum()
    return mass
