"""What groups of uneven sizes hide of how much a total varies.

A group that holds most of a set pulls the mean towards its own: its distance from the mean, which the variance over
groups is estimated from, is small however far off the group itself is. How alike samples of one group are is then known
from the other groups alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.figures.distributions import t_quantile
from monitor.results import FloatArray, IntArray

_DOUBT = 0.1  # how likely the groups' variance is above the bound that is taken


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """One-way analyses of variance of samples by group, of several parts; float64[parts] each.

    What is analysed is each sample's excess: the sum over its windows of value less mean. It adds up to 0.

    Attributes:
        between, within: Sums of squares, between groups and within.
        between_degrees, within_degrees: Of freedom: groups - 1, samples - groups.
        evenness: n - Σ n²/n over groups of n samples: what each unit of the groups' variance adds to `between`.
        unevenness: By how much each unit of the groups' variance adds more to the variance of the total than groups of
            one size would show: n (Σ n²/n - n0), with n0 = `evenness` / `between_degrees`.
    """

    between: FloatArray
    within: FloatArray
    between_degrees: FloatArray
    within_degrees: FloatArray
    evenness: FloatArray
    unevenness: FloatArray

    def hidden(self) -> FloatArray:
        """float64[parts], what to add to the variance of each part's total, as estimated over its groups."""
        return self.unevenness * self._variance_of_groups()

    def together(self) -> Components:
        """Those of all parts as one: samples of one group are taken to be as alike in each."""
        return Components(
            between=self.between.sum(keepdims=True),
            within=self.within.sum(keepdims=True),
            between_degrees=self.between_degrees.sum(keepdims=True),
            within_degrees=self.within_degrees.sum(keepdims=True),
            evenness=self.evenness.sum(keepdims=True),
            unevenness=self.unevenness.sum(keepdims=True),
        )

    def _variance_of_groups(self) -> FloatArray:
        """The upper 90 % bound of what is common to a group's samples: that of the groups' mean square, by its degrees
        of freedom, less that of samples. At most the variance of all samples, at least 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # one group, or a sample in each
            sample = self.within / self.within_degrees
            largest = self.between / _lower_share(self.between_degrees) - self.between_degrees * sample
            of_samples = (self.between + self.within) / (self.between_degrees + self.within_degrees)
            found = np.minimum(largest / self.evenness, of_samples)
        known = (self.between_degrees > 0) & (self.within_degrees > 0)
        return np.where(known, np.maximum(found, 0.0), 0.0)


def components(excess: FloatArray, samples: IntArray, squares: FloatArray, part: IntArray | None = None) -> Components:
    """The analysis of variance of each part.

    Args:
        excess: float64[k], of each pair of a group and a part, the sum over its samples.
        samples: int[k], how many they are.
        squares: float64[parts], the sum of the squares of each sample's.
        part: int[k], 0..parts - 1; None where there is only one.
    """
    parts = len(squares)
    of = np.zeros(len(excess), np.intp) if part is None else part
    n, square, groups = (
        np.bincount(of, each, parts).astype(np.float64) for each in (samples, np.square(samples), np.ones(len(of)))
    )
    between = np.bincount(of, np.square(excess) / samples, parts).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # parts without a sample, or of one group
        evenness = np.where(n > 0, n - square / n, 0.0)
        unevenness = np.where(groups > 1, square - n * evenness / (groups - 1), 0.0)
    return Components(between, np.maximum(squares - between, 0.0), groups - 1, n - groups, evenness, unevenness)


def hidden_of(values: FloatArray, sample: IntArray, group: IntArray) -> float:
    """What to add to the variance of a total of values, as estimated over groups.

    Args:
        values: float64[m], one per window; they add up to 0.
        sample: int[m], each window's sample, not negative.
        group: int[m], each window's group, 0..groups - 1, none without a window.
    """
    excess = np.bincount(sample, values)
    of = np.full(len(excess), -1)
    of[sample] = group
    occurs = of >= 0
    by_group = np.bincount(of[occurs], excess[occurs]).astype(np.float64)
    found = components(by_group, np.bincount(of[occurs]), np.array([float(np.square(excess).sum())]))
    return float(found.hidden()[0])


def widened(deviation: float, hidden: float) -> float:
    """A bound's distance from the mean, with what groups of uneven sizes hide.

    Args:
        deviation: Without it.
        hidden: The variance of the mean that is hidden.
    """
    return math.copysign(math.hypot(deviation, t_quantile(0.975, math.inf) * math.sqrt(hidden)), deviation)


def _lower_share(degrees: FloatArray) -> FloatArray:
    """The 10 % quantile of chi-squared over its degrees of freedom (Wilson and Hilferty, 1931)."""
    spread = 2 / (9 * degrees)
    return np.maximum(1 - spread + t_quantile(_DOUBT, math.inf) * np.sqrt(spread), 0.0) ** 3
