"""Two runs of the same samples: whether their outputs differ, and bounds of by how much a figure does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.compare.map_statistic import MapStatistic
from monitor.compare.pairing import Index
from monitor.compare.resamplable import Resamplable, SumStatistic, Weights
from monitor.compare.resampling import STOP, mcnemar, smallest_swap_pvalue, swap_test
from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Interval
from monitor.figures.groups import choose_unit
from monitor.figures.intervals import SMALLEST_SAMPLES
from monitor.results import FloatArray, IntArray

_REPLICATES = 999
_REPLICATES_OF_MAP = 200
_CELLS = 1 << 22  # weights drawn at a time


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """A figure of one run less that of another on the same units, as a figure of the pairs.

    Attributes:
        first, second: The runs' statistics: unit k of the one and unit k of the other are a pair.
    """

    first: Resamplable
    second: Resamplable

    @property
    def units(self) -> int:
        """How many pairs there are."""
        return self.first.units

    def figure(self, weights: Weights) -> FloatArray:
        """The difference, with every pair as often as its weight says."""
        difference: FloatArray = self.first.figure(weights) - self.second.figure(weights)
        return difference

    def split(self, chosen: Weights) -> tuple[FloatArray, FloatArray]:
        """The difference over the chosen pairs and that over the others."""
        (first, other_first), (second, other_second) = self.first.split(chosen), self.second.split(chosen)
        return first - second, other_first - other_second

    def take(self, units: Index) -> Gap:
        """The statistic of these pairs."""
        return Gap(self.first.take(units), self.second.take(units))

    @property
    def most_groups(self) -> int:
        """As of the runs' statistics."""
        return self.first.most_groups

    def merge(self, group: Index, groups: int) -> Gap:
        """The statistic of the groups' pairs."""
        return Gap(self.first.merge(group, groups), self.second.merge(group, groups))

    def each(self) -> FloatArray:
        """How much more right the first of a pair is by itself."""
        each: FloatArray = self.first.each() - self.second.each()
        return each

    @property
    def value(self) -> float:
        """The difference over all pairs."""
        return float(self.figure(np.ones((1, self.units), np.uint8))[0])


def unit_of_difference(
    statistic: Resamplable, first: Index, second: Index, group: IntArray | None, *, grouped: bool = False
) -> IntArray | None:
    """int[n], the group of each pair where the group is the unit of the difference; None where the sample is.

    The two runs decide, and which is which does not matter. Where they share too few groups to tell it is as in the
    baseline.

    Args:
        statistic: Holds both runs.
        first, second: intp[n], the places of the same samples in it, pair by pair.
        group: int[n], which samples came together; None where grouping is switched off.
        grouped: Whether the group is the unit of the figure in the baseline.
    """
    if group is None:
        return None
    each = statistic.each()
    choice = choose_unit(each[first] - each[second], group, about_zero=True)
    by_group = choice.unit == "group" if choice.known else grouped
    return group if by_group else None


def discordant(statistic: Resamplable, first: Index, second: Index) -> tuple[int, int] | None:
    """How many pairs only the first run has right, and how many only the second; None where a sample has several
    windows, where the two are not scored alike, and where the figure is no share of verdicts.
    """
    if not isinstance(statistic, SumStatistic) or not statistic.verdicts:
        return None
    (right, scored) = statistic.columns[first].T
    (other_right, other_scored) = statistic.columns[second].T
    if scored.max(initial=0) > 1 or not np.array_equal(scored, other_scored):
        return None
    return int((right > other_right).sum()), int((right < other_right).sum())


def paired_test(
    statistic: Resamplable, first: Index, second: Index, unit: IntArray | None, rng: np.random.Generator
) -> tuple[float, float | None]:
    """Whether the outputs of two runs differ: McNemar's test where each sample has one verdict, else by swapping them.

    Args:
        statistic: Holds both runs.
        first, second: The places of the same samples in it, pair by pair.
        unit: As `unit_of_difference` gives it: what is swapped together.
        rng: Of the swaps.

    Returns:
        The p-value, and the smallest that there could be; None for that by sample.
    """
    if unit is None and (counts := discordant(statistic, first, second)) is not None:
        return mcnemar(*counts), None
    stop = STOP if isinstance(statistic, MapStatistic) else None
    both = statistic.take(np.concatenate([first, second]))
    return swap_test(both, rng, stop, unit), None if unit is None else smallest_swap_pvalue(len(np.unique(unit)))


def difference_of_shares(only_first: int, only_second: int, n: int) -> Interval | None:
    """95 % bounds of a difference of shares from paired verdicts: the adjusted Wald interval of Bonett & Price
    (J. Educ. Behav. Stat. 37:479, 2012, eq. 7); None under 30 pairs.

    Args:
        only_first, only_second: Pairs that only the first and only the second run has right.
        n: All pairs.
    """
    if n < SMALLEST_SAMPLES:
        return None
    share = (only_first + 1) / (n + 2)
    other = (only_second + 1) / (n + 2)
    centre = share - other
    half = t_quantile(0.975, math.inf) * math.sqrt((share + other - centre**2) / (n + 2))
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))


def bootstrap_difference(gap: Gap, unit: IntArray | None, rng: np.random.Generator) -> Interval | None:
    """95 % bounds of a paired difference: the value ± Student's t times the bootstrap's standard error, by re-sampling
    pairs, or units of them; None under 30 pairs, with a single unit, and where the two runs are the same in each pair,
    of which a bootstrap knows nothing but that.

    A bootstrap knows no differences but those it was shown. Of d units of which one run is more right than the other,
    the variance is taken (d + 2)/d times: as Bonett and Price add a pair to either side.

    Very many units are first dealt at random into groups of equal size that are re-sampled as wholes.

    Args:
        gap: The pairs.
        unit: int[pairs], as `unit_of_difference` gives it; None: each pair is one.
        rng: Of the groups and the bootstraps.
    """
    if gap.units < SMALLEST_SAMPLES:
        return None
    value = gap.value
    of = np.arange(gap.units) if unit is None else np.unique(unit, return_inverse=True)[1]
    units = int(of.max()) + 1
    if units < 2:
        return None
    differing = len(np.unique(of[np.nan_to_num(gap.each()) != 0]))
    groups = min(units, gap.most_groups)
    of = (rng.permutation(units) % groups)[of]
    merged = gap.merge(of, groups)
    replicates = _REPLICATES_OF_MAP if isinstance(gap.first, MapStatistic) else _REPLICATES
    at_once = max(1, _CELLS // groups)
    drawn = [
        merged.figure(_drawn(min(at_once, replicates - first), groups, rng)) for first in range(0, replicates, at_once)
    ]
    differences = np.concatenate(drawn)
    differences = differences[~np.isnan(differences)]  # a replicate may miss the few samples that have the figure
    error = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if not error:
        return None
    half = t_quantile(0.975, units - 1) * error * math.sqrt(1 + 2 / max(1, differing))
    return Interval(max(-1.0, value - half), min(1.0, value + half))


def _drawn(replicates: int, units: int, rng: np.random.Generator) -> Weights:
    """uint8[replicates, units], how often each unit is drawn."""
    weights = np.empty((replicates, units), np.uint8)
    for replicate in weights:
        replicate[:] = np.bincount(rng.integers(units, size=units), minlength=units)
    return weights
