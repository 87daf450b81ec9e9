"""Figures of classifiers: accuracy, F1, and the confusion they come from.

Accuracy counts Studio's own verdicts; precision, recall and F1 come from labels and predictions. All of them take one
pass over the windows: a count per (label, prediction, verdict), of which everything else is a small sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.evaluation import ClassFigures, Interval, Quality
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import clustered, share, shares
from monitor.figures.macro_f1 import mean_f1
from monitor.results import CORRECT, UNCERTAIN, UNSCORED, BlockKind, FloatArray, IntArray, ResultSet, shrink_dtype

_LARGEST_TABLE = 2**20  # cells (8 MB) up to which a table is counted whole
_WINDOWS_AT_ONCE = 2**16  # what is made of them stays in the cache of one core


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Bounds of the accuracy, of the mean F1 and of each class's recall; no classes under 30 samples."""

    accuracy: Interval | None = None
    mean_f1: Interval | None = None
    recall: Sequence[Interval | None] = ()


_NO_BOUNDS = _Bounds()


def quality(results: ResultSet, seed: int | None, groups: GroupUnit | None = None) -> Quality | None:
    """Figures over the scored windows of a classifier, equal to scikit-learn's with `labels=classes, zero_division=0`.

    Classes are the labels that occur among scored windows, sorted. `uncertain` is never one: windows labelled so count
    like those of any truth that is no class, as false positives of what was predicted. A scored window without a label
    counts for `accuracy` and `uncertain` (Studio has a verdict), not in any figure by class.

    Args:
        results: The columns.
        seed: Of the bootstrap, not negative; None leaves both intervals out.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        The figures; None where no block classifies, where the project maps labels (its predictions have no documented
        score), and where no scored window has a label that is a class.
    """
    if BlockKind.CLASSIFICATION not in results.kinds() or results.label_map:
        return None
    label, prediction, verdict, windows = _cells(results)
    scored = verdict != UNSCORED
    label = label[scored]
    prediction = prediction[scored]
    verdict = verdict[scored]
    windows = windows[scored]
    names = results.labels
    classes = np.array([code for code in np.unique(label) if code >= 0 and names[code] != UNCERTAIN], np.intp)
    if not classes.size:
        return None

    position = _positions(classes, len(names))
    labelled = label >= 0
    truth = position[label[labelled]]
    guess = position[prediction[labelled]]
    count = windows[labelled]
    hits = _totals(truth, count, len(classes), where=truth == guess)
    support = _totals(truth, count, len(classes))
    predicted = _totals(guess, count, len(classes))
    precision = _ratio(hits, predicted)
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, support + predicted)

    total = int(windows.sum())
    # A prediction without a code has no name, and so no cell.
    has_cell = (position[label] >= 0) & (prediction >= 0)
    uncertain = np.array([name == UNCERTAIN for name in names] + [False])
    bounds = _NO_BOUNDS if seed is None else _bounds(results, position, len(classes), seed, groups)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    by_class = map(ClassFigures, *columns, bounds.recall or [None] * len(classes))
    return Quality(
        accuracy=int(windows[verdict == CORRECT].sum()) / total,
        balanced_accuracy=float(recall.mean()),
        mean_f1=float(f1.mean()),
        f1={
            "macro": float(f1.mean()),
            "weighted": float(np.average(f1, weights=support)),
            "micro": float(2 * hits.sum() / (support.sum() + predicted.sum())),
        },
        uncertain=int(windows[uncertain[prediction]].sum()) / total,
        classes={names[code]: of_class for code, of_class in zip(classes.tolist(), by_class, strict=True)},
        confusion=_confusion(names, label[has_cell], prediction[has_cell], windows[has_cell]),
        accuracy_interval=bounds.accuracy,
        mean_f1_interval=bounds.mean_f1,
    )


def _cells(
    results: ResultSet,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The distinct (label, prediction, verdict) of all windows, as codes, and the windows of each."""
    width = len(results.labels) + 1
    cells = width * width * 3
    if cells <= _LARGEST_TABLE:
        step = max(_WINDOWS_AT_ONCE, cells)
        table = np.zeros(cells, np.intp)
        for first in range(0, results.windows, step):
            table += np.bincount(_cell(results, slice(first, first + step), width), minlength=cells)
        found = np.flatnonzero(table)
        windows = table[found]
    else:
        found, windows = np.unique(_cell(results, slice(None), width), return_counts=True)
    rest, verdict = np.divmod(found.astype(np.intp), 3)
    label, prediction = np.divmod(rest, width)
    return label - 1, prediction - 1, verdict - 1, windows


def _cell(results: ResultSet, windows: slice, width: int) -> IntArray:
    """int[m], the number of each window's (label, prediction, verdict), in the smallest type that holds it: the
    arithmetic is bound by memory.
    """
    cell = results.label[windows].astype(np.min_scalar_type(-width * width * 3))
    cell *= width
    cell += results.prediction[windows]
    cell *= 3
    cell += results.correct[windows]
    cell += 3 * width + 3 + 1  # each of the three may be -1
    return cell


def _positions(classes: npt.NDArray[np.intp], labels: int) -> IntArray:
    """int[labels + 1]: each label code's place among the classes, -1 for other labels and (the last entry) for no
    label.
    """
    position = np.full(labels + 1, -1)
    position[classes] = np.arange(len(classes))
    return shrink_dtype(position)


def _totals(place: IntArray, count: IntArray, classes: int, where: npt.NDArray[np.bool_] | None = None) -> FloatArray:
    """float64[classes]: windows by class place, whole numbers; places of -1 belong to no class."""
    wanted = place >= 0 if where is None else where & (place >= 0)
    return np.bincount(place[wanted], count[wanted], classes).astype(np.float64)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """`part / whole` with 0 for 0/0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _confusion(
    names: tuple[str, ...], label: IntArray, prediction: IntArray, windows: IntArray
) -> dict[tuple[str, str], int]:
    """Windows by (label, prediction)."""
    # Studio's verdicts may differ within a cell: it then comes more than once
    confusion: Counter[tuple[str, str]] = Counter()
    for true, predicted, count in zip(label.tolist(), prediction.tolist(), windows.tolist(), strict=True):
        confusion[names[true], names[predicted]] += count
    return dict(confusion)


def _bounds(results: ResultSet, position: IntArray, classes: int, seed: int, groups: GroupUnit | None) -> _Bounds:
    """The bounds of a classifier's figures."""
    scored = results.correct != UNSCORED
    accuracy = share(results.correct[scored] == CORRECT, results.sample[scored], groups)
    labelled = scored & (results.label >= 0)
    label = position[results.label[labelled]]
    prediction = position[results.prediction[labelled]]
    sample = results.sample[labelled]
    if clustered(sample) is None:
        return _Bounds(accuracy)
    true = label >= 0
    recall = shares(label[true] == prediction[true], sample[true], groups, label[true], classes).intervals()
    return _Bounds(accuracy, mean_f1(label, prediction, sample, classes, seed, groups, results.sample_id), recall)
