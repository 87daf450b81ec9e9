"""Which samples and windows of two runs are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.results import ResultSet

Index = npt.NDArray[np.intp]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, as in Knuth, The Art of Computer Programming, 6.4


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """The shared samples of a baseline and a current run: same id, and windows that pair.

    Attributes:
        baseline_sample, current_sample: intp[s], their places in the two runs, by ascending id.
        baseline_window, current_window: intp[w], their windows' places, pair by pair, by sample, start and end.
        sample: intp[w], ascending, the pair's place among the shared samples.
    """

    baseline_sample: Index
    current_sample: Index
    baseline_window: Index
    current_window: Index
    sample: Index

    @property
    def samples(self) -> int:
        """How many samples are shared."""
        return len(self.baseline_sample)

    def shared(self, samples: int, places: Index) -> npt.NDArray[np.bool_]:
        """bool[samples], which of a run's samples are at `places` (`baseline_sample` or `current_sample`)."""
        mask = np.zeros(samples, np.bool_)
        mask[places] = True
        return mask


def pair(baseline: ResultSet, current: ResultSet) -> Pairing:
    """Pair windows by (sample id, start, end).

    Windows of equal bounds pair in their order. If any window of a sample finds no partner, the whole sample is not
    shared: it counts as removed and added. Samples without windows pair by their id.
    """
    _, before, after = np.intersect1d(baseline.sample_id, current.sample_id, assume_unique=True, return_indices=True)
    before_window, before_number, before_bounds = _windows_of(baseline, before)
    after_window, after_number, after_bounds = _windows_of(current, after)
    fits, before_order, after_order = equal_groups(
        before_number, before_bounds, after_number, after_bounds, len(before)
    )
    number = before_number[before_order]
    place = np.cumsum(fits) - 1
    return Pairing(before[fits], after[fits], before_window[before_order], after_window[after_order], place[number])


def equal_groups(
    group_a: Index, rows_a: npt.NDArray[np.float64], group_b: Index, rows_b: npt.NDArray[np.float64], groups: int
) -> tuple[npt.NDArray[np.bool_], Index, Index]:
    """Which groups hold the same rows on both sides, in whatever order.

    Args:
        group_a, group_b: int[a], int[b], the group of each row, 0..groups - 1.
        rows_a, rows_b: float64[a, c], float64[b, c], no NaN.
        groups: How many groups there are; one without rows on both sides is equal.

    Returns:
        bool[groups]; and the rows of the equal groups on each side, so that row k of one is row k of the other, by
        group.
    """
    if _in_order(group_a) and np.array_equal(group_a, group_b) and np.array_equal(rows_a, rows_b):
        order = np.arange(len(group_a))  # what mostly stays as it is needs no sorting
        return np.ones(groups, np.bool_), order, order
    equal = np.bincount(group_a, minlength=groups) == np.bincount(group_b, minlength=groups)
    equal &= _checksum(group_a, rows_a, groups) == _checksum(group_b, rows_b, groups)
    order_a = _sorted_of(equal, group_a, rows_a)
    order_b = _sorted_of(equal, group_b, rows_b)
    differ = (rows_a[order_a] != rows_b[order_b]).any(axis=1)
    equal[group_a[order_a[differ]]] = False
    return equal, order_a[equal[group_a[order_a]]], order_b[equal[group_b[order_b]]]


def _checksum(group: Index, rows: npt.NDArray[np.float64], groups: int) -> npt.NDArray[np.float64]:
    """float64[groups], a number that is the same for equal rows in any order, and hardly ever for others: most groups
    that differ are found without sorting them.
    """
    mixed = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        mixed ^= (column + 0.0).view(np.uint64)  # 0.0 and -0.0 are equal
        mixed *= _ODD
        mixed ^= mixed >> np.uint64(32)
    # of 24 bits, so that the sums of 2**29 rows are exact
    return np.asarray(np.bincount(group, (mixed >> np.uint64(40)).astype(np.float64), groups), np.float64)


def _sorted_of(wanted: npt.NDArray[np.bool_], group: Index, rows: npt.NDArray[np.float64]) -> Index:
    """The places of the rows of wanted groups, in the order of `_sorted`."""
    place = np.flatnonzero(wanted[group])
    return place[_sorted(group[place], rows[place])]


def _sorted(group: Index, rows: npt.NDArray[np.float64]) -> Index:
    """The rows' places by group, then by their values; equal ones in the order given."""
    return np.arange(len(group)) if _in_order(group, *rows.T) else np.lexsort((*rows.T[::-1], group))


def _in_order(*keys: npt.NDArray[np.integer | np.floating]) -> bool:
    """Whether rows are sorted by their keys, the first one first: result sets mostly are, and that is sooner seen than
    sorted.
    """
    undecided = np.ones(max(len(keys[0]) - 1, 0), np.bool_)
    for key in keys:
        if (undecided & (key[1:] < key[:-1])).any():
            return False
        undecided &= key[1:] == key[:-1]
    return True


def _windows_of(results: ResultSet, samples: Index) -> tuple[Index, Index, npt.NDArray[np.float64]]:
    """The windows of these samples, each one's place among the samples, and its start and end, in order of these."""
    place = np.full(results.samples, -1)
    place[samples] = np.arange(len(samples))
    number = place[results.sample]
    window = np.flatnonzero(number >= 0)
    number = number[window]
    bounds = np.stack([results.start_ms[window], results.end_ms[window]], axis=1).astype(np.float64)
    order = _sorted(number, bounds)
    return window[order], number[order], bounds[order]
