"""Which samples of groups a permutation of groups may deal.

Groups that are dealt from one side to the other have to be exchangeable, sizes included: where new groups are larger
than earlier ones, the new side weighs more than any that is dealt, and what is chance looks like a difference (without
one, two groups of 150 beside eighteen of 20 had p <= 0.05 in 38 % of cases). So samples are drawn of groups that are
larger than the other side's, as many as one of its groups has, until the two sides are alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.figures.groups import size_by_sample
from monitor.results import IntArray

ALIKE = 1.25
"""Sides whose samples are in groups of the same size but for this factor, on average, are dealt as they are."""

_ROUNDS = 8

Rows = npt.NDArray[np.intp]


def alike_in_size(first: IntArray, others: IntArray, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Which samples of two sides take part, so that their groups are exchangeable.

    How many of a group do depends on the sizes alone, and so costs no validity. Sides that cannot be made alike so
    have as many samples in each group as the smallest one has.

    Args:
        first, others: int[n] and int[m], each sample's group, by each side for itself; at least one sample each.
        rng: Of the drawn samples and sizes.

    Returns:
        Indices of both, ascending; all of them where the sides' groups are alike in size.
    """
    sides = [np.unique(side, return_inverse=True, return_counts=True)[1:] for side in (first, others)]
    sizes = [side[1] for side in sides]
    for _ in range(_ROUNDS):
        means = [size_by_sample(each) for each in sizes]
        if max(means) <= ALIKE * min(means):
            break
        larger = int(np.argmax(means))
        sizes[larger] = np.minimum(sizes[larger], rng.choice(sizes[1 - larger], len(sizes[larger])))
    else:
        smallest = min(int(each.min()) for each in sizes)
        sizes = [np.full(len(each), smallest) for each in sizes]
    taken, taken_others = (_drawn(group, wanted, rng) for (group, _), wanted in zip(sides, sizes, strict=True))
    return taken, taken_others


def _drawn(group: npt.NDArray[np.intp], wanted: npt.NDArray[np.integer], rng: np.random.Generator) -> Rows:
    """As many samples of each group as are wanted of it."""
    order = np.lexsort((rng.random(len(group)), group))
    counts = np.bincount(group)
    place = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < np.repeat(wanted, counts)])
