"""What a run would be under other labels: the step between two runs that tells a changed model from changed labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index, Pairing, equal_groups
from monitor.compare.renaming import ANOMALY, of_owners, rows_of_owners
from monitor.figures.anomaly import KINDS
from monitor.figures.detection import _counts, _without_truth
from monitor.figures.regression import _tolerance
from monitor.results import (
    CORRECT,
    UNSCORED,
    WRONG,
    BlockKind,
    Categorical,
    FloatArray,
    FomoCounts,
    IntArray,
    Points,
    ResultSet,
    shrink_dtype,
)

FOMO_DISTANCE = 0.2
"""Where a run does not say within what distance a FOMO prediction matches: Studio's own value."""

_PAIRS_AT_ONCE = 1 << 18

BoolArray = npt.NDArray[np.bool_]


def known_labels(run: ResultSet) -> BoolArray:
    """bool[labels + 1], the labels that a classifier's windows can be scored under; the last one, of no label, never
    is.

    They are the classes of the run's confidences, every label scored in it, and `anomaly` where the impulse has an
    anomaly block.
    """
    names = {name for confidences in run.confidences.values() for name in confidences.classes}
    if any(block.kind in KINDS or ANOMALY in block.type for block in run.blocks):
        names.add(ANOMALY)
    known = np.array([*(name in names for name in run.labels), False])
    known[run.label[run.correct != UNSCORED]] = True
    known[-1] = False
    return known


def under_current_labels(
    baseline: ResultSet, current: ResultSet, pairing: Pairing, known: BoolArray | None = None
) -> ResultSet:
    """The baseline's predictions on the shared samples under the labels of the current run, with the verdicts that
    the baseline's run would have.

    A window whose label did not change keeps its verdict. Under a changed one a classifier's window is scored if the
    baseline's run knows that label, and correct if it was predicted; a regression's is held against the baseline's
    tolerance. Boxes are only given their new truth: each figure matches them again. FOMO's images with other
    centroids get the counts that its own rule gives.

    Args:
        baseline, current: The runs, coded by one table, with one set of class numbers.
        pairing: Of these two runs.
        known: bool[labels + 1], the labels that the baseline's run knows; None: `known_labels` of it.

    Returns:
        A result set of the shared samples and their paired windows, with the columns that figures of the change need.
    """
    before = pairing.baseline_window
    after = pairing.current_window
    label = current.label[after]
    prediction = baseline.prediction[before]
    kinds = baseline.kinds()
    if BlockKind.REGRESSION in kinds and BlockKind.CLASSIFICATION not in kinds:
        correct = _regression_verdicts(baseline, baseline.label[before], label, prediction, baseline.correct[before])
    else:
        known = known_labels(baseline) if known is None else known
        fresh = np.where(known[label], np.where(prediction == label, CORRECT, WRONG), UNSCORED)
        correct = np.where(label == baseline.label[before], baseline.correct[before], fresh).astype(np.int8)
    run = ResultSet(
        blocks=baseline.blocks,
        labels=baseline.labels,
        sample_id=current.sample_id[pairing.current_sample],
        added=current.added[pairing.current_sample],
        device=Categorical(current.device.codes[pairing.current_sample], current.device.table),
        sample=shrink_dtype(pairing.sample),
        start_ms=current.start_ms[after],
        end_ms=current.end_ms[after],
        label=label,
        prediction=prediction,
        correct=correct,
        image_size=None if current.image_size is None else current.image_size[pairing.current_sample],
        truth=None if current.truth is None else of_owners(current.truth, pairing.current_sample),
        detections=None if baseline.detections is None else of_owners(baseline.detections, before),
        reported_f1=None if baseline.reported_f1 is None else baseline.reported_f1[before],
    )
    return _with_fomo(run, baseline, current, pairing) if BlockKind.FOMO in kinds else run


def _regression_verdicts(
    run: ResultSet, before: IntArray, label: IntArray, prediction: IntArray, correct: npt.NDArray[np.int8]
) -> npt.NDArray[np.int8]:
    """int8[w]: the run's own verdict under an unchanged number, else whether the error is within its tolerance."""
    numbers = run.numbers()
    same = numbers[label] == numbers[before]
    tolerance = _tolerance(run)
    with np.errstate(over="ignore", invalid="ignore"):  # a difference may be beyond the largest float
        error = np.abs(numbers[prediction] - numbers[label])
    fresh = np.full(len(label), UNSCORED)
    if tolerance is not None:
        fresh = np.where(np.isnan(error), UNSCORED, np.where(error <= tolerance, CORRECT, WRONG))
    return np.where(same, correct, fresh).astype(np.int8)


def _with_fomo(run: ResultSet, baseline: ResultSet, current: ResultSet, pairing: Pairing) -> ResultSet:
    """The run with FOMO's counts under the new truth.

    Images with equal centroids keep their counts, others get new ones. Where either run lists no centroids, an image is
    unchanged if its labelled boxes are; if they are not, nobody can tell its figure.
    """
    before = pairing.baseline_window
    after = pairing.current_window
    windows = len(before)
    reported = np.full(windows, np.nan) if run.reported_f1 is None else run.reported_f1
    hits, extra, missed = (column[before] for column in _counts(baseline.fomo, baseline.windows))
    listed_before = hits >= 0
    listed_after = _counts(current.fomo, current.windows)[0][after] >= 0
    # Studio lists nothing for an image that is empty and was found to be.
    empty_before, empty_after = (
        _without_truth(side)[window] for side, window in ((baseline, before), (current, after))
    )
    truth_listed = (listed_before | empty_before) & (listed_after | empty_after)
    predictions_listed = listed_before | (empty_before & (reported == 1))

    truth_before = centroids(baseline, "truth", before)
    truth_after = centroids(current, "truth", after)
    same_points, _, _ = equal_groups(*truth_before, *truth_after, windows)
    boxes_stayed = same_boxes(baseline, current, pairing)[pairing.sample]
    # Boxes that stayed are the same labels, also where another training draws their centroids on another grid.
    kept = np.where(truth_listed, same_points | (boxes_stayed & ~empty_after), boxes_stayed)
    again = ~kept & truth_listed & predictions_listed
    distance = np.full(windows, np.nan) if baseline.fomo is None else baseline.fomo.min_distance[before]
    fresh = _assigned(
        centroids(baseline, "predicted", before),
        truth_after,
        np.where(np.isnan(distance), FOMO_DISTANCE, distance),
        again,
    )
    hits, extra, missed = (
        np.where(kept, own, np.where(again, new, -1)) for own, new in zip((hits, extra, missed), fresh, strict=True)
    )
    fomo = FomoCounts(hits, extra, missed, distance, Points.none(), Points.none())
    return replace(run, fomo=fomo, reported_f1=np.where(kept, reported, np.nan))


def same_boxes(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> BoolArray:
    """bool[s], the shared sample has the same labelled boxes in both runs."""
    if baseline.truth is None or current.truth is None:
        return np.zeros(pairing.samples, np.bool_)
    sides = []
    for boxes, samples in ((baseline.truth, pairing.baseline_sample), (current.truth, pairing.current_sample)):
        own = of_owners(boxes, samples)
        sides.append((own.owner.astype(np.intp), np.column_stack([own.label, own.xywh])))
    same, _, _ = equal_groups(*sides[0], *sides[1], pairing.samples)
    return same


def centroids(run: ResultSet, which: str, windows: Index) -> tuple[Index, FloatArray]:
    """FOMO's centroids in these windows: each one's window as its place among them, and float64[k, 3], label, x, y.

    `which` is `truth` or `predicted`.
    """
    points: Points = Points.none() if run.fomo is None else getattr(run.fomo, which)
    place, index = rows_of_owners(points.owner, windows)
    return place, np.column_stack([points.label[index], points.xy[index]])


def assign(
    predicted: tuple[Index, FloatArray], truth: tuple[Index, FloatArray], distance: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """FOMO's matching: each prediction goes to the nearest truth of its class within the window's distance.

    Several predictions may share a truth.

    Args:
        predicted, truth: Centroids: intp[k], the window of each, ascending, and float64[k, 3], label, x, y.
        distance: float64[w], of each window.

    Returns:
        bool[predicted], which were assigned, and bool[truth], to which one was.
    """
    window, point = predicted
    first = np.searchsorted(truth[0], window)
    end = np.searchsorted(truth[0], window, side="right")
    assigned = np.zeros(len(window), np.bool_)
    taken = np.zeros(len(truth[0]), np.bool_)
    for part in np.array_split(np.arange(len(window)), int((end - first).sum()) // _PAIRS_AT_ONCE + 1):
        count = end[part] - first[part]
        place = np.repeat(part, count)
        other = np.arange(len(place)) + np.repeat(first[part] - (np.cumsum(count) - count), count)
        apart = np.hypot(*(point[place, 1:] - truth[1][other, 1:]).T)
        near = (point[place, 0] == truth[1][other, 0]) & (apart <= distance[window[place]])
        place = place[near]
        other = other[near]
        apart = apart[near]
        by_distance = np.lexsort((apart, place))
        nearest = by_distance[np.flatnonzero(np.diff(place[by_distance], prepend=-1))]
        assigned[place[nearest]] = True
        taken[other[nearest]] = True
    return assigned, taken


def _assigned(
    predicted: tuple[Index, FloatArray], truth: tuple[Index, FloatArray], distance: FloatArray, wanted: BoolArray
) -> tuple[Index, Index, Index]:
    """FOMO's matching in the wanted windows.

    Args:
        predicted, truth: Centroids as in `assign`.
        distance: float64[w]. wanted: bool[w].

    Returns:
        True positives (assigned predictions), false positives and false negatives, each intp[w], 0 in other windows.
    """
    windows = len(distance)
    inside = wanted[predicted[0]]
    window = predicted[0][inside]
    point = predicted[1][inside]
    assigned, taken = assign((window, point), truth, distance)
    left = truth[0][~taken]
    return (
        np.bincount(window[assigned], minlength=windows),
        np.bincount(window[~assigned], minlength=windows),
        np.bincount(left[wanted[left]], minlength=windows),
    )
