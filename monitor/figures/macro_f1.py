"""The 95 % interval of the mean F1: what the confusion matrix may be in truth, given the windows that were seen.

A bootstrap knows no errors but those that it was shown: with few of them its bounds are too narrow. A Dirichlet
distribution around each row of the matrix allows for those that did not happen to be seen.

C. Goutte, E. Gaussier, "A probabilistic interpretation of precision, recall and F-score", ECIR 2005; N. Tötsch,
D. Hoffmann, "Classifier uncertainty: evidence, potential impact, and probabilistic treatment", PeerJ CS 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import SMALLEST_SAMPLES, shares
from monitor.results import FloatArray, IntArray

SMALLEST_CLASS = 10
"""With several windows per sample, a class with fewer samples: no bounds (coverage fell to .86 there)."""

_DRAWS = 1000
_FEWEST_DRAWS = 100
_NUMBERS = 4_000_000  # draws x cells (half a second); beyond, there are fewer draws
_TABLE = 2**20  # cells (8 MB) up to which a table is counted whole
_WHOLE_ROWS = 32  # up to so many classes each cell is drawn by itself
_WRONG = 0.6  # prior count off the diagonal, of all rows together
_FEW = 3.0  # windows of a class, up to which the prior count on the diagonal is 1; it falls to 1/2 for many
_TINY = 1e-300


def mean_f1(
    label: IntArray,
    prediction: IntArray,
    sample: IntArray,
    classes: int,
    seed: int,
    groups: GroupUnit | None = None,
    sample_id: npt.NDArray[np.int64] | None = None,
) -> Interval | None:
    """Percentiles of the macro F1 under 1,000 draws of the confusion matrix.

    Each row is drawn from Dir(counts/deff + prior), the prior being 1/2 + 1/2 min(1, 3 deff/support) on the diagonal
    and 0.6/classes in all on the other classes (1 on the diagonal of an only class); the classes' shares from
    Dir(support/deff). With more on the other classes the bounds end below the truth where one error was seen of a model
    that makes one in 200; with less, above it where none was seen of one that makes one in 20. Predictions that are
    no class are one column, and truths that are none one row, both without a prior. deff is that of the share of right
    predictions (`shares`). The bounds are widened to include the point.

    Beyond 32 classes the other classes' prior of a row falls on one of them at random instead of being dealt out: of so
    small a count nearly all falls on one anyway. Beyond 4,000 cells with windows there are fewer draws, at least 100,
    and their mean ± 1.96 standard deviations stand for the percentiles.

    Neither names nor order of the classes matter: they are taken in the order of the smallest id of their samples, and
    each row is drawn from a seed of that id.

    Args:
        label: int[m], the window's true class as 0..classes - 1; -1 for a truth that is no class.
        prediction: int[m], the predicted class likewise; -1 for any prediction that is no class.
        sample: int[m], the window's sample, not negative; a sample's windows in their order.
        classes: How many classes there are, all with support.
        seed: Not negative.
        groups: Those of the samples where the group is the unit; None where the sample is.
        sample_id: int64[samples], ids of the samples; None where `sample` are the ids.

    Returns:
        The bounds in 0..1, or None under 30 samples, where there is only one group, and, with several windows per
        sample, while a class has fewer than 10 samples.
    """
    windows = np.bincount(sample)
    samples = int(np.count_nonzero(windows))
    if samples < SMALLEST_SAMPLES:
        return None
    if windows.max() > 1 and _samples_by_class(label, sample, classes).min() < SMALLEST_CLASS:
        return None
    effect = shares((label == prediction) & (label >= 0), sample, groups).design_effect()
    if math.isinf(effect):
        return None
    rows = _rows(label, prediction, sample if sample_id is None else sample_id[sample], classes)
    point = float(_macro_f1(*rows.totals()))
    draws = max(_FEWEST_DRAWS, min(_DRAWS, _NUMBERS // max(len(rows.row), classes)))
    drawn = _macro_f1(*_drawn(rows, effect, draws, seed))
    if draws == _DRAWS:
        lower, upper = np.quantile(drawn, [0.025, 0.975]).tolist()
    else:
        half = t_quantile(0.975, math.inf) * float(drawn.std(ddof=1))
        lower = max(0.0, float(drawn.mean()) - half)
        upper = min(1.0, float(drawn.mean()) + half)
    return Interval(min(point, lower), max(point, upper))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The confusion matrix's cells with windows, by row; classes numbered by the smallest id of their samples.

    Attributes:
        classes: How many; the number itself stands for what is no class.
        row, column: int[cells], ascending by row.
        count: float64[cells], windows.
        ends: int[rows + 1]; the cells of row k are `ends[k]:ends[k + 1]`.
        source: int64[rows, 2], what a row is drawn from: the smallest id, and the first window's place in the sample.
    """

    classes: int
    row: IntArray
    column: IntArray
    count: FloatArray
    ends: IntArray
    source: npt.NDArray[np.int64]

    def totals(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Hits, support and predictions of the classes, float64[classes] each."""
        size = self.classes
        hit = np.where(self.row == self.column, self.count, 0.0)
        columns = ((self.row, hit), (self.row, self.count), (self.column, self.count))
        hits, support, predicted = (
            np.bincount(code, count, size + 1)[:size].astype(np.float64) for code, count in columns
        )
        return hits, support, predicted


def _rows(label: IntArray, prediction: IntArray, identity: IntArray, classes: int) -> _Rows:
    """The matrix of windows whose samples have these ids."""
    if (identity[1:] < identity[:-1]).any():
        by_id = np.argsort(identity, kind="stable")
        label = label[by_id]
        prediction = prediction[by_id]
        identity = identity[by_id]
    first = np.full(classes + 1, len(label))
    first[label[::-1]] = np.arange(len(label))[::-1]  # the last assignment counts; -1, what is no class, is the last
    order = np.argsort(first[:classes])
    place = np.empty(classes + 1, np.int64)
    place[order] = np.arange(classes)
    place[classes] = classes
    cells, count = _counted(place[label] * (classes + 1) + place[prediction], (classes + 1) ** 2)
    row, column = np.divmod(cells, classes + 1)
    rows = classes + bool(first[classes] < len(label))
    position = np.append(first[order], first[classes:])[:rows]
    within = position - np.searchsorted(identity, identity[position])
    source = np.stack([identity[position].astype(np.int64), within], axis=1)
    return _Rows(classes, row, column, count.astype(np.float64), np.searchsorted(row, np.arange(rows + 1)), source)


def _counted(code: IntArray, codes: int) -> tuple[IntArray, IntArray]:
    """The codes that occur, ascending, and how often."""
    if codes > _TABLE:
        return np.unique(code, return_counts=True)
    table = np.bincount(code)
    found = np.flatnonzero(table)
    return found, table[found]


def _drawn(rows: _Rows, effect: float, draws: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Hits, support and predictions of the classes under each draw, float64[draws, classes] each, up to a factor."""
    classes = rows.classes
    every = np.arange(draws)
    hits, support, predicted = (np.zeros((draws, classes)) for _ in range(3))
    for k, source in enumerate(rows.source.tolist()):
        cells = slice(rows.ends[k], rows.ends[k + 1])
        column = rows.column[cells]
        count = rows.count[cells] / effect
        rng = np.random.default_rng([seed, *(number % 2**64 for number in source)])
        column, size, rest = _row(k if rows.row[cells][0] < classes else None, column, count, classes)
        drawn = rng.standard_gamma(size, (draws, len(size)))
        other = rng.standard_gamma(rest, draws)
        weight = rng.standard_gamma(count.sum(), draws)
        scale = weight / np.maximum(drawn.sum(axis=1) + other, _TINY)
        drawn *= scale[:, None]
        inside = column < classes
        predicted[:, column[inside]] += drawn[:, inside]
        if rows.row[cells][0] < classes:
            hits[:, k] = drawn[:, column == k][:, 0]
            support[:, k] = weight
            if rest:
                predicted[every, (k + rng.integers(1, classes, draws)) % classes] += other * scale
    return hits, support, predicted


def _row(k: int | None, column: IntArray, count: FloatArray, classes: int) -> tuple[IntArray, FloatArray, float]:
    """The parameters of a row's Dirichlet distribution.

    Args:
        k: The class; None where the truth is no class.
        column, count: The cells with windows.
        classes: How many classes there are.

    Returns:
        The columns that are drawn, their parameters, and the sum of the others' parameters.
    """
    size = np.zeros(classes + 1)
    size[column] = count
    if k is None:
        return column, count, 0.0
    each = _WRONG / (classes * (classes - 1)) if classes > 1 else 0.0
    size[:classes] += each
    size[k] += _prior_of_right(float(count.sum())) - each if classes > 1 else 1.0
    if classes <= _WHOLE_ROWS:
        drawn = np.flatnonzero(size)
        return drawn, size[drawn], 0.0
    drawn = np.union1d(column, k)
    return drawn, size[drawn], each * (classes - int(np.count_nonzero(drawn < classes)))


def _prior_of_right(windows: float) -> float:
    """The prior count on the diagonal of the row of a class with so many windows, by their effective number.

    The F1 of a class of one, two or three windows is far below what it would be of many, which more than 1/2 makes up
    for; of many windows more would pull it towards 1.
    """
    return 0.5 + 0.5 * min(1.0, _FEW / windows)


def _macro_f1(hits: FloatArray, support: FloatArray, predicted: FloatArray) -> FloatArray:
    """Mean F1 over the classes, the last axis; every class has support."""
    mean: FloatArray = (2 * hits / np.maximum(support + predicted, _TINY)).mean(axis=-1)
    return mean


def _samples_by_class(label: IntArray, sample: IntArray, classes: int) -> IntArray:
    """int[classes], how many samples have a window of the class."""
    of_class = label >= 0
    pairs = sample[of_class].astype(np.int64) * classes + label[of_class]
    pairs.sort()  # NumPy's sort is many times faster here than its `unique`
    return np.bincount(pairs[np.diff(pairs, prepend=-1) > 0] % classes, minlength=classes)
