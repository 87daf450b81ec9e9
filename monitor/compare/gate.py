"""Whether what came last differs from the reference by enough to matter, and by more than its own noise.

A distance between few scores is mostly noise: without drift the Wasserstein distance of 200 scores from 300 is 0.10 or
more in most cases. So what counts is how much larger a distance is than it is on average under permutation, and whether
it is significant. A gate that is open shuts only well below the level at which it opened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.compare.distances import (
    EFFECT_EXCEEDANCE,
    EFFECT_WASSERSTEIN,
    limit_of_scores,
    unit_of_scores,
)
from monitor.figures.magnitude import magnitude
from monitor.results import FloatArray, IntArray

SHUT_WASSERSTEIN = 0.07
SHUT_EXCEEDANCE = 0.02
"""Differences below which an open gate shuts, if both are."""

NEARER = 0.6
"""By how much less what came last has to differ from the reference than from what raised an alarm for it to be over:
as a share of what the two differ by.
"""

PERMUTATIONS = 199
_LEVEL = 0.05
_LEVEL_OF_EITHER = 0.02
"""Of two distances that are looked at every day: at 0.05 the gate is open on 14 % of quiet days where the samples of a
day are alike.
"""
_EQUAL = 1 - 1e-10  # statistics this close differ by rounding alone


@dataclass(frozen=True, slots=True)
class Effect:
    """How far recent scores are from the reference's, beyond what chance alone gives.

    Attributes:
        wasserstein: The distance less its mean under permutation, in robust standard deviations of the reference.
        exceedance: |difference of the shares above the threshold| less its mean under permutation.
        wasserstein_pvalue, exceedance_pvalue: Share of permutations, the observed one among them, with a statistic at
            least as large.
    """

    wasserstein: float
    exceedance: float
    wasserstein_pvalue: float
    exceedance_pvalue: float

    @property
    def size(self) -> float:
        """Both differences together, each in units of what matters."""
        return self.wasserstein / EFFECT_WASSERSTEIN + self.exceedance / EFFECT_EXCEEDANCE

    def gate(self, *, was_open: bool) -> bool:
        """Whether the difference matters: opened by a significant one of at least 0.10 or 0.03, shut where both are
        below 0.07 and 0.02, and in between as it was.
        """
        wide = self.wasserstein >= EFFECT_WASSERSTEIN and self.wasserstein_pvalue <= _LEVEL_OF_EITHER
        if wide or (self.exceedance >= EFFECT_EXCEEDANCE and self.exceedance_pvalue <= _LEVEL_OF_EITHER):
            return True
        return was_open and not (self.wasserstein < SHUT_WASSERSTEIN and self.exceedance < SHUT_EXCEEDANCE)


def is_nearer(found: Effect, changed: Effect, between: Effect) -> bool:
    """Whether something is nearer to a reference than to what once differed from it, by each distance that matters.

    Args:
        found: How far it is from the reference.
        changed: How far it is from the other.
        between: How far these two are from each other.
    """
    distances = (
        (between.wasserstein, EFFECT_WASSERSTEIN, found.wasserstein, changed.wasserstein),
        (between.exceedance, EFFECT_EXCEEDANCE, found.exceedance, changed.exceedance),
    )
    return not any(apart >= matters and here + NEARER * apart > there for apart, matters, here, there in distances)


def effect(
    reference: FloatArray,
    recent: FloatArray,
    limit: float | None,
    seed: int,
    units: tuple[IntArray, IntArray] | None = None,
    scale: float | None = None,
) -> Effect:
    """How far `recent` is from `reference`, by 199 permutations of units between the two sides.

    Takes memory and time for 199 times all scores: meant for some thousand, as `evidence` keeps.

    Args:
        reference: float64[n], finite, in any order; at least one.
        recent: float64[m] likewise.
        limit: The block's threshold; None takes the reference's 0.95 quantile.
        seed: Of the permutations, not negative.
        units: int[n] and int[m], each score's unit, counted by each side for itself; None: each score is one.
        scale: The unit of the Wasserstein distance; None takes the reference's robust standard deviation.
    """
    if (large := magnitude(reference, recent)) != 1.0:  # which nothing depends on
        limit, scale = (None if value is None else value / large for value in (limit, scale))
        return effect(reference / large, recent / large, limit, seed, units, scale)
    ascending = np.sort(reference)
    scale = unit_of_scores(ascending, np.sort(recent)) if scale is None else scale
    limit = limit_of_scores(ascending) if limit is None else limit
    unit, sides = _units(len(reference), len(recent), units)
    pooled = np.concatenate([reference, recent])
    order = np.argsort(pooled, kind="stable")
    pooled = pooled[order]
    unit = unit[order]

    drawn = np.random.default_rng(seed).permuted(np.tile(sides, (PERMUTATIONS, 1)), axis=1)
    inside = np.concatenate([sides[None], drawn])[:, unit]
    below = np.cumsum(inside, axis=1, dtype=np.int64)
    others = np.arange(1, len(pooled) + 1) - below
    gap = np.abs(below / below[:, -1:] - others / others[:, -1:])
    wasserstein = gap[:, :-1] @ np.diff(pooled) / scale
    at_limit = int(np.searchsorted(pooled, limit, side="right")) - 1
    exceedance = gap[:, at_limit] if at_limit >= 0 else np.zeros(len(gap))
    return Effect(*map(_excess, (wasserstein, exceedance)), *map(_pvalue, (wasserstein, exceedance)))


def _units(
    n: int, m: int, units: tuple[IntArray, IntArray] | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Each score's unit, 0..k - 1, and which units are recent."""
    if units is None:
        return np.arange(n + m), np.arange(n + m) >= n
    (_, first), (_, second) = (np.unique(side, return_inverse=True) for side in units)
    before = int(first.max()) + 1
    unit = np.concatenate([first, second + before])
    return unit, np.arange(int(unit.max()) + 1) >= before


def _excess(statistic: FloatArray) -> float:
    """The observed one, which is the first, less the mean of the others."""
    return float(statistic[0] - statistic[1:].mean())


def _pvalue(statistic: FloatArray) -> float:
    return int((statistic >= statistic[0] * _EQUAL).sum()) / len(statistic)


@dataclass(frozen=True, slots=True)
class Increase:
    """How much larger a mean is among what came last.

    Attributes:
        reference, recent: The means.
        pvalue: Share of permutations of units, the observed one among them, with an increase at least as large.
    """

    reference: float
    recent: float
    pvalue: float

    @property
    def significant(self) -> bool:
        """Whether it is above the 95 % point of the permutations."""
        return self.recent > self.reference and self.pvalue <= _LEVEL


def increase(
    reference: FloatArray, recent: FloatArray, seed: int, units: tuple[IntArray, IntArray] | None = None
) -> Increase:
    """How much larger the mean of `recent` is than that of `reference`; arguments as for `effect`."""
    unit, sides = _units(len(reference), len(recent), units)
    totals = np.bincount(unit, np.concatenate([reference, recent]))
    sizes = np.bincount(unit)
    drawn = np.random.default_rng(seed).permuted(np.tile(sides, (PERMUTATIONS, 1)), axis=1)
    inside = np.concatenate([sides[None], drawn]).astype(np.float64)
    ours = inside @ totals
    many = inside @ sizes
    differences = ours / many - (totals.sum() - ours) / (sizes.sum() - many)
    at_least = differences >= differences[0] - (1 - _EQUAL)
    return Increase(float(reference.mean()), float(recent.mean()), int(at_least.sum()) / len(differences))
