"""Samples that came together, and whether they are alike: which unit intervals and tests take.

Samples of one device, day or session share what was peculiar about it. Where they do, counting each as an opinion of
its own claims too much, and the *group* is the unit. Whether they do is read from the baseline alone, so that choosing
costs no validity.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.figures.distributions import f_quantile
from monitor.figures.magnitude import brought_down, magnitude
from monitor.results import Categorical, FloatArray, IntArray, ResultSet

AUTO = "auto"
NONE = "none"
METADATA = "metadata."

FEWEST_GROUPS = 10
"""Fewer groups than this cannot tell whether samples of one group are alike."""

NEGLIGIBLE = 1.1
"""The sample stays the unit where the upper bound of the design effect is below."""

_CONFIDENCE = 0.95
_DAY = np.timedelta64(1, "D")
_MONDAY = np.timedelta64(3, "D")
_ROUNDING = 1e-12  # of sums of squares: smaller ones are 0

Unit = Literal["sample", "group"]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which samples of a result set came together.

    Attributes:
        key: int64[g], ascending, distinct: names a group in every run of the target.
        of: int32[n], each sample's group as an index into `key`.
        over: datetime64[ms][g], a day after a group's last sample came in: it is over then; NaT where unknown.
    """

    key: npt.NDArray[np.int64]
    of: npt.NDArray[np.int32]
    over: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """The unit of one statistic, and why.

    Attributes:
        unit: `sample` or `group`.
        groups: How many groups have a value of the statistic.
        icc: Intra-group correlation, at least 0; None where there are too few groups to tell.
        design_effect: By what factor groups make the variance of a mean larger than independent samples would, at
            least 1; None likewise.
        upper: Upper 95 % bound of the design effect; None likewise.
    """

    unit: Unit = "sample"
    groups: int = 0
    icc: float | None = None
    design_effect: float | None = None
    upper: float | None = None

    @property
    def known(self) -> bool:
        """Whether there were groups enough to tell."""
        return self.icc is not None


@dataclass(frozen=True, slots=True, eq=False)
class GroupUnit:
    """Groups as the unit of a statistic.

    Attributes:
        of: int[samples], each sample's group, not negative.
        icc: Intra-group correlation, as the baseline has it; at least 0.
    """

    of: IntArray
    icc: float = 0.0

    def design_effect(self, sizes: IntArray) -> float:
        """By what factor groups of so many samples, int[k], make the variance of a mean larger, at least 1 (Kish, as in
        `choose_unit`).
        """
        return 1 + (size_by_sample(sizes) - 1) * self.icc


def size_by_sample(sizes: IntArray) -> float:
    """How large the group of a sample is in the mean over all samples of groups of these sizes: Σn²/n."""
    return float(np.square(sizes, dtype=np.float64).sum() / sizes.sum())


def groups_of(results: ResultSet, group_by: str = AUTO) -> Groups | None:
    """The groups of a result set's samples; None where grouping is switched off.

    Samples without the value that decides form one group: nothing says that they came apart. A group by metadata ends
    with the week: one that goes on for as long as a site or a machine sends samples would never be over, and its new
    samples never count.

    Args:
        results: The columns.
        group_by: `auto` (device and UTC day of `added`), `none`, or `metadata.<key>` (and the week of `added`
            from Monday on, UTC).

    Raises:
        ValueError: `group_by` is none of these.
    """
    if group_by == NONE:
        return None
    if group_by == AUTO:
        day = results.added.astype("datetime64[D]")
        names, pair = _distinct(results.device, day)
    elif group_by.startswith(METADATA):
        column = results.metadata.get(group_by.removeprefix(METADATA))
        column = column or Categorical(np.full(results.samples, -1), ())
        weeks = (results.added + _MONDAY).astype("datetime64[W]")  # NumPy's begin on Thursdays
        names, pair = _distinct(column, weeks)
    else:
        raise ValueError(f"No grouping `{group_by}`: write `{AUTO}`, `{NONE}` or `{METADATA}<key>`")
    keys = np.array([_key(name) for name in names], np.int64)
    order = np.argsort(keys)
    place = np.empty(len(keys), np.int32)
    place[order] = np.arange(len(keys), dtype=np.int32)
    of = place[pair]
    return Groups(keys[order], of, _last(results.added, of, len(keys)) + _DAY)


def choose_unit(values: FloatArray, group: IntArray, *, about_zero: bool = False) -> UnitChoice:
    """The unit of a statistic that is a mean over samples, by one-way analysis of variance of the baseline's.

    The group is the unit unless the upper 95 % bound of the design effect is below 1.1: the burden of proof is on
    independence, since a test the other way round misses what a few groups cannot show. The bound is that of the
    intra-class correlation from the F distribution (Searle, Casella & McCulloch, Variance Components, 1992, 3.5), the
    design effect that of a mean over groups of unequal size (Kish, Survey Sampling, 1965, 8.2).

    Args:
        values: float64[n], each sample's value; NaN where it has none.
        group: int[n], each sample's group, not negative.
        about_zero: The values are paired differences, whose mean is 0 where nothing differs: they vary about that, so
            that exchanging the two sides leaves the choice as it is.
    """
    known = np.isfinite(values)
    values = values[known]
    values = brought_down(values, magnitude(values))  # the unit of the values is no matter
    group = group[known]
    sizes = np.bincount(group)
    occurs = sizes > 0
    groups = int(occurs.sum())
    if groups < FEWEST_GROUPS:
        return UnitChoice(groups=groups)
    n = len(values)
    squares = size_by_sample(sizes)
    if n == groups:  # every sample is a group of its own
        return UnitChoice("sample", groups, 0.0, 1.0, 1.0)
    means = np.bincount(group, values, len(sizes))[occurs] / sizes[occurs]
    center = 0.0 if about_zero else float(values.mean())
    degrees = groups if about_zero else groups - 1
    between = float((sizes[occurs] * np.square(means - center)).sum()) / degrees
    within = float(np.square(values - _spread(means, occurs)[group]).sum()) / (n - groups)
    size = (n if about_zero else n - squares) / degrees
    if max(within, between) <= _ROUNDING * float(np.square(values).mean()):
        return UnitChoice("group", groups, 0.0, 1.0, squares)  # all values are equal: nothing shows how alike they are
    ratio = between / within if within else np.inf
    icc = _icc(ratio, size)
    upper = 1 + (squares - 1) * _icc(ratio / f_quantile(1 - _CONFIDENCE, degrees, n - groups), size)
    unit: Unit = "sample" if upper < NEGLIGIBLE else "group"
    return UnitChoice(unit, groups, icc, 1 + (squares - 1) * icc, upper)


def _icc(ratio: float, size: float) -> float:
    """The intra-class correlation, at least 0, of groups of a mean size whose mean squares have a ratio."""
    if np.isinf(ratio):
        return 1.0
    return max(0.0, (ratio - 1) / (ratio - 1 + size))


def _spread(means: FloatArray, occurs: npt.NDArray[np.bool_]) -> FloatArray:
    """float64[all groups], the means of those that occur in their places."""
    spread = np.zeros(len(occurs))
    spread[occurs] = means
    return spread


def _distinct(column: Categorical, time: npt.NDArray[np.datetime64]) -> tuple[list[str], npt.NDArray[np.intp]]:
    """The distinct pairs of text and day or week as names, and each sample's index among them."""
    number = time.astype(np.int64)  # NaT is the smallest integer
    days, day_of = np.unique(number, return_inverse=True)
    pairs, of = np.unique((column.codes.astype(np.int64) + 1) * len(days) + day_of, return_inverse=True)
    names = []
    for pair in pairs.tolist():
        code, place = divmod(pair, len(days))
        text = column.table[code - 1] if code else None
        names.append(f"{text!r} {days[place]}")
    return names, of


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _last(added: npt.NDArray[np.datetime64], of: npt.NDArray[np.int32], groups: int) -> npt.NDArray[np.datetime64]:
    """datetime64[groups], when the last sample of each came in; NaT where no sample's time is known."""
    last = np.full(groups, np.iinfo(np.int64).min)  # NaT
    np.maximum.at(last, of, added.astype("datetime64[ms]").astype(np.int64))
    return last.view("datetime64[ms]")
