"""Which samples of groups a permutation of groups may deal.

Groups that are dealt from one side to the other have to be exchangeable, sizes included: where new groups are larger
than earlier ones, the new side weighs more than any that is dealt, and what is chance looks like a difference (without
one, two groups of 150 beside eighteen of 20 had p <= 0.05 in 38 % of cases). So groups of other sizes are brought to
one: k samples drawn from each, smaller groups left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.results import IntArray

ALIKE = 1.25
"""Sides whose samples are in groups of the same size but for this factor, on average, are dealt as they are."""

_NOMINAL_ICC = 0.1
"""How alike samples of a group are taken to be where k is chosen: more of a group adds less."""

Rows = npt.NDArray[np.intp]


def of_one_size(first: IntArray, others: IntArray, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Which samples of two sides take part, so that their groups are exchangeable.

    k depends on the sizes alone, and so costs no validity: the one with which the two sides' means have the smallest
    variance together, if samples of a group correlate by 0.1.

    Args:
        first, others: int[n] and int[m], each sample's group, by each side for itself; at least one sample each.
        rng: Of the drawn samples.

    Returns:
        Indices of both, ascending; all of them where the sides' groups are alike in size.
    """
    sides = [np.unique(side, return_inverse=True, return_counts=True)[1:] for side in (first, others)]
    sizes = [side[1] for side in sides]
    means = [float(np.square(each).sum() / each.sum()) for each in sizes]
    if max(means) <= ALIKE * min(means):
        return np.arange(len(first)), np.arange(len(others))
    size = _common(*sizes)
    taken, taken_others = (_drawn(*side, size, rng) for side in sides)
    return taken, taken_others


def _common(first: npt.NDArray[np.integer], others: npt.NDArray[np.integer]) -> int:
    """k, of the sizes of two sides' groups."""
    candidates = np.unique(np.concatenate([first, others]))
    candidates = candidates[candidates <= min(first.max(), others.max())]
    variance = (1 + (candidates - 1) * _NOMINAL_ICC) / candidates
    groups = [len(side) - np.searchsorted(np.sort(side), candidates) for side in (first, others)]
    return int(candidates[np.argmin(variance * sum(1 / each for each in groups))])


def _drawn(group: npt.NDArray[np.intp], sizes: npt.NDArray[np.integer], size: int, rng: np.random.Generator) -> Rows:
    """`size` samples of each group that has so many."""
    order = np.lexsort((rng.random(len(group)), group))
    place = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    large = np.repeat(sizes >= size, sizes)
    return np.sort(order[(place < size) & large])
