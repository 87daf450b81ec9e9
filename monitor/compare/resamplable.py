"""Figures under any weighting of samples: what a change, its causes and their tests are all computed from.

A *statistic* holds units: samples, each under one set of labels. A unit of weight w counts as if it were there w times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index
from monitor.figures.detection import _counts, _f1
from monitor.figures.regression import tolerance_verdicts
from monitor.results import CORRECT, UNCERTAIN, UNSCORED, FloatArray, ResultSet, shrink_dtype

Weights = npt.NDArray[np.uint8]

_ROWS_AT_ONCE = 4096
_COLUMNS_AT_ONCE = 64
MOST_GROUPS = 4000
_FEWEST_GROUPS = 1000
_CELLS = 4_000_000
_DENSE_CELLS = 50_000_000
"""A table of units and columns beyond is kept by its few cells that are not 0: many samples of many classes."""


class Resamplable(Protocol):
    """Units of which a figure can be taken."""

    @property
    def units(self) -> int:
        """How many there are."""

    def figure(self, weights: Weights) -> FloatArray:
        """float64[b] for uint8[b, units], b weightings; NaN where the figure does not exist."""

    def split(self, chosen: Weights) -> tuple[FloatArray, FloatArray]:
        """`figure(chosen)` and `figure(1 - chosen)` of weights of 0 and 1, in less than the time of both."""

    def take(self, units: Index) -> Resamplable:
        """The statistic of these units (distinct), in this order."""

    @property
    def most_groups(self) -> int:
        """Into how many groups units should be merged before they are re-sampled, if there are more."""

    def merge(self, group: Index, groups: int) -> Resamplable:
        """The statistic in which units of one group (intp[units], 0..groups - 1) are one; a group may be empty."""

    def each(self) -> FloatArray:
        """float64[units], how right each unit is by itself, 0..1; NaN where it has no verdict. What says whether units
        are alike: the figure itself may exist of many only.
        """


@dataclass(frozen=True, slots=True, eq=False)
class SumStatistic:
    """A figure of sums over units.

    Attributes:
        columns: int or float64[units, d], what each unit adds.
        of: float64[b] of float64[b, d], the figure of the sums.
        verdicts: Whether the columns are correct and scored windows.
        parts: Into how many equal parts the columns fall: the first counts what is right, the second what it is of.
    """

    columns: npt.NDArray[np.number]
    of: Callable[[FloatArray], FloatArray]
    verdicts: bool = False
    parts: int = 2

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.columns)

    def figure(self, weights: Weights) -> FloatArray:
        """The figure of the weighted sums, some rows at a time so that the columns may stay in a small type."""
        return self.of(self._totals(weights))

    def split(self, chosen: Weights) -> tuple[FloatArray, FloatArray]:
        """The figures of the chosen units' sums and of what is left of all units' sums."""
        totals = self._totals(chosen)
        return self.of(totals), self.of(self.columns.sum(axis=0, dtype=np.float64) - totals)

    def _totals(self, weights: Weights) -> FloatArray:
        totals = np.zeros((len(weights), self.columns.shape[1]))
        for first in range(0, self.units, _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            totals += weights[:, rows].astype(np.float64) @ self.columns[rows].astype(np.float64, copy=False)
        return totals

    def take(self, units: Index) -> SumStatistic:
        """The statistic of these units."""
        return replace(self, columns=self.columns[units])

    @property
    def most_groups(self) -> int:
        """So many that their sums stay small, and never so few that a p-value would notice."""
        return _groups_of(int(self.columns.shape[1]))

    def merge(self, group: Index, groups: int) -> SumStatistic:
        """The statistic of the groups' sums."""
        merged = np.empty((groups, self.columns.shape[1]))
        for first in range(0, merged.shape[1], _COLUMNS_AT_ONCE):
            for column, values in enumerate(self.columns[:, first : first + _COLUMNS_AT_ONCE].T.copy(), first):
                merged[:, column] = np.bincount(group, values, groups)
        return replace(self, columns=merged, verdicts=False)

    def each(self) -> FloatArray:
        """The first part's sum by the second's."""
        part = self.columns.shape[1] // self.parts
        right, of = (self.columns[:, first : first + part].sum(axis=1, dtype=np.float64) for first in (0, part))
        return ratio(np.column_stack([right, of]))


@dataclass(frozen=True, slots=True, eq=False)
class SparseSumStatistic:
    """`SumStatistic` of units that each add to few of many columns.

    Attributes:
        unit, column: intp[k], where each unit adds; a pair may occur several times.
        units, width: How many units and columns there are.
        of: float64[b] of float64[b, width], the figure of the sums.
    """

    unit: Index
    column: Index
    units: int
    width: int
    of: Callable[[FloatArray], FloatArray]

    def figure(self, weights: Weights) -> FloatArray:
        """The figure of the weighted sums, some weightings at a time."""
        return np.concatenate([self.of(totals) for totals in self._totals(weights)])

    def split(self, chosen: Weights) -> tuple[FloatArray, FloatArray]:
        """The figures of the chosen units' sums and of what is left of all units' sums."""
        whole = np.bincount(self.column, minlength=self.width).astype(np.float64)
        parts = [(self.of(totals), self.of(whole - totals)) for totals in self._totals(chosen)]
        here, there = zip(*parts, strict=True)
        return np.concatenate(here), np.concatenate(there)

    def _totals(self, weights: Weights) -> Iterator[FloatArray]:
        at_once = max(1, _CELLS // self.width)
        for first in range(0, len(weights), at_once):
            part = weights[first : first + at_once]
            yield np.array([np.bincount(self.column, row[self.unit], self.width) for row in part])

    def take(self, units: Index) -> SparseSumStatistic:
        """The statistic of these units."""
        place = np.full(self.units, -1)
        place[units] = np.arange(len(units))
        kept = place[self.unit] >= 0
        return replace(self, unit=place[self.unit[kept]], column=self.column[kept], units=len(units))

    @property
    def most_groups(self) -> int:
        """As of `SumStatistic`: the same units are then re-sampled the same way."""
        return _groups_of(self.width)

    def merge(self, group: Index, groups: int) -> SumStatistic | SparseSumStatistic:
        """The statistic of the groups' sums; a table where they are few: its figures take a tenth of the time."""
        unit = group[self.unit]
        if groups * self.width > 3 * _CELLS:
            return replace(self, unit=unit, units=groups)
        cells = np.bincount(unit * self.width + self.column, minlength=groups * self.width)
        return SumStatistic(shrink_dtype(cells.reshape(groups, self.width)), self.of, parts=3)

    def each(self) -> FloatArray:
        """Hits by windows of classes: the first third of the columns, and the second."""
        part = self.column // (self.width // 3)
        return ratio(np.column_stack([np.bincount(self.unit[part == k], minlength=self.units) for k in (0, 1)]))


def _groups_of(columns: int) -> int:
    return min(MOST_GROUPS, max(_FEWEST_GROUPS, _CELLS // columns))


def accuracy(runs: Sequence[ResultSet]) -> SumStatistic:
    """Correct / scored windows of classifiers; the runs' samples one after the other."""
    return _verdicts(runs, [run.correct for run in runs])


def within_tolerance(runs: Sequence[ResultSet]) -> SumStatistic:
    """Share of a regression's windows within its tolerance; without a tolerance the share that Studio calls correct."""
    return _verdicts(runs, [tolerance_verdicts(run) for run in runs])


def has_classes(run: ResultSet) -> bool:
    """Whether a scored window is of a class, without which a classifier has no figures."""
    return any(run.labels[code] != UNCERTAIN for code in np.unique(run.label[_labelled(run)]))


def macro_f1(runs: Sequence[ResultSet]) -> SumStatistic | SparseSumStatistic:
    """Mean F1 over the classes with support among scored windows; `uncertain` is no class. The runs share one table of
    labels.
    """
    labelled = [_labelled(run) for run in runs]
    occurring = np.unique(np.concatenate([run.label[windows] for run, windows in zip(runs, labelled, strict=True)]))
    classes = [code for code in occurring.tolist() if runs[0].labels[code] != UNCERTAIN]
    place = np.full(len(runs[0].labels) + 1, -1)
    place[classes] = np.arange(len(classes))
    counted = [_counted(run, windows, place) for run, windows in zip(runs, labelled, strict=True)]
    if 3 * len(classes) * sum(run.samples for run in runs) > _DENSE_CELLS:
        return _sparse(counted, [run.samples for run in runs], len(classes))
    blocks = []
    for run, parts in zip(runs, counted, strict=True):
        cells = (np.bincount(unit * len(classes) + of, minlength=run.samples * len(classes)) for unit, of in parts)
        blocks.append(
            np.concatenate([shrink_dtype(counts).reshape(run.samples, len(classes)) for counts in cells], axis=1)
        )
    return SumStatistic(np.concatenate(blocks), _mean_over_classes, parts=3)


def _counted(run: ResultSet, windows: npt.NDArray[np.bool_], place: Index) -> list[tuple[Index, Index]]:
    """Sample and class of each hit, of each window with a class as label, and of each with one as prediction."""
    unit = run.sample[windows].astype(np.intp)
    truth = place[run.label[windows]]
    guess = place[run.prediction[windows]]
    wanted = ((truth, (truth >= 0) & (truth == guess)), (truth, truth >= 0), (guess, guess >= 0))
    return [(unit[which], of[which]) for of, which in wanted]


def _sparse(
    counted: Sequence[Sequence[tuple[Index, Index]]], samples: Sequence[int], classes: int
) -> SparseSumStatistic:
    first = np.cumsum([0, *samples])
    unit = np.concatenate([unit + start for parts, start in zip(counted, first, strict=False) for unit, _ in parts])
    column = np.concatenate([of + part * classes for parts in counted for part, (_, of) in enumerate(parts)])
    return SparseSumStatistic(unit, column, int(first[-1]), 3 * classes, _mean_over_classes)


def mean_image_f1(runs: Sequence[ResultSet]) -> SumStatistic:
    """Mean over images of FOMO's F1."""
    columns = []
    for run in runs:
        f1 = image_scores(run)
        known = ~np.isnan(f1)
        sample = run.sample[known]
        columns.append(
            np.column_stack([np.bincount(sample, f1[known], run.samples), np.bincount(sample, minlength=run.samples)])
        )
    return SumStatistic(np.concatenate(columns), ratio)


def image_scores(run: ResultSet) -> FloatArray:
    """float64[m], FOMO's F1 of each image: from its counts, else the reported one, else NaN."""
    counts = _counts(run.fomo, run.windows)
    reported = np.full(run.windows, np.nan) if run.reported_f1 is None else run.reported_f1
    f1: FloatArray = np.where(counts[0] >= 0, _f1(*counts), reported)
    return f1


def _labelled(run: ResultSet) -> npt.NDArray[np.bool_]:
    """bool[m], the scored windows with a label."""
    labelled: npt.NDArray[np.bool_] = (run.correct != UNSCORED) & (run.label >= 0)
    return labelled


def _verdicts(runs: Sequence[ResultSet], verdicts: Sequence[npt.NDArray[np.integer]]) -> SumStatistic:
    columns = []
    for run, verdict in zip(runs, verdicts, strict=True):
        counted = (run.sample[verdict == CORRECT], run.sample[verdict != UNSCORED])
        columns.append(np.column_stack([np.bincount(sample, minlength=run.samples) for sample in counted]))
    return SumStatistic(shrink_dtype(np.concatenate(columns)), ratio, verdicts=True)


def ratio(totals: FloatArray) -> FloatArray:
    """First column / second."""
    ratio: FloatArray = np.divide(totals[:, 0], totals[:, 1], out=np.full(len(totals), np.nan), where=totals[:, 1] > 0)
    return ratio


def _mean_over_classes(totals: FloatArray) -> FloatArray:
    """Macro F1 over the classes with support, of hits, support and predictions by class."""
    hits, support, predicted = np.split(totals, 3, axis=1)
    f1 = np.divide(2 * hits, support + predicted, out=np.zeros_like(hits), where=support > 0)
    present = np.count_nonzero(support, axis=1)
    mean: FloatArray = np.divide(f1.sum(axis=1), present, out=np.full(len(totals), np.nan), where=present > 0)
    return mean
