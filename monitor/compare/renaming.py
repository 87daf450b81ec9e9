"""What is one thing under two names: a class that was renamed, and the class numbers of two trainings of FOMO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index, Pairing, equal_groups
from monitor.results import UNCERTAIN, Boxes, FomoCounts, IntArray, Points, ResultSet, shrink_dtype

ANOMALY = "anomaly"
"""What an impulse predicts for a window that its anomaly block flags."""

_ALMOST_ALL = 0.95
_NOWHERE = -2  # numbers at and below this are of no class of the other run

BoolArray = npt.NDArray[np.bool_]


def in_one_table(*runs: ResultSet) -> tuple[ResultSet, ...]:
    """The same runs, their labels coded by one table that also holds whatever they could have predicted."""
    names = {UNCERTAIN, ANOMALY}.union(*(run.labels for run in runs))
    names.update(name for run in runs for confidences in run.confidences.values() for name in confidences.classes)
    table = tuple(sorted(names))
    places = {name: code for code, name in enumerate(table)}
    return tuple(recoded(run, table, np.array([*(places[name] for name in run.labels), -1], np.intp)) for run in runs)


def recoded(run: ResultSet, table: tuple[str, ...], place: Index) -> ResultSet:
    """The run with its labels coded by another table; `place` (intp[labels + 1], the last one for -1) are the new
    codes.
    """

    def boxes(known: Boxes | None) -> Boxes | None:
        return None if known is None else replace(known, label=shrink_dtype(place[known.label]))

    return replace(
        run,
        labels=table,
        label=shrink_dtype(place[run.label]),
        prediction=shrink_dtype(place[run.prediction]),
        truth=boxes(run.truth),
        detections=boxes(run.detections),
    )


def with_names_of(baseline: ResultSet, renamed: Mapping[str, str]) -> ResultSet:
    """The baseline with the new names of its renamed classes."""
    if not renamed:
        return baseline
    places = {name: code for code, name in enumerate(baseline.labels)}
    place = np.array([*(places[renamed.get(name, name)] for name in baseline.labels), -1], np.intp)
    run = recoded(baseline, baseline.labels, place)
    confidences = {
        block: replace(known, classes=tuple(renamed.get(name, name) for name in known.classes))
        for block, known in baseline.confidences.items()
    }
    return replace(run, confidences=confidences)


def renamed_labels(
    baseline: ResultSet, current: ResultSet, pairing: Pairing, known: tuple[BoolArray, BoolArray]
) -> dict[str, str]:
    """Classes that windows are labelled with under another name, by their old names.

    Args:
        baseline, current: The runs, coded by one table.
        pairing: Of these two runs.
        known: bool[labels + 1], the known labels of either run. A label that the current model does not know was not
            retrained on.
    """
    before = baseline.label[pairing.baseline_window]
    after = current.label[pairing.current_window]
    return _renamed(before, after, current, known)


def renamed_boxes(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> dict[str, str]:
    """Classes that boxes are labelled with under another name, by their old names: of images whose boxes are where they
    were.
    """
    if baseline.truth is None or current.truth is None:
        return {}
    (own_before, before), (own_after, after) = (
        (boxes.owner.astype(np.intp), boxes)
        for boxes in (
            of_owners(baseline.truth, pairing.baseline_sample),
            of_owners(current.truth, pairing.current_sample),
        )
    )
    _, rows, other = equal_groups(own_before, before.xywh, own_after, after.xywh, pairing.samples)
    anything = np.ones(len(current.labels) + 1, np.bool_)
    return _renamed(before.label[rows], after.label[other], current, (anything, anything))


def _renamed(
    before: IntArray, after: IntArray, current: ResultSet, known: tuple[BoolArray, BoolArray]
) -> dict[str, str]:
    """The renamed classes, of the labels int[k] that the same things have in the two runs."""
    labelled = (before >= 0) & (after >= 0)
    before = before[labelled].astype(np.intp)
    after = after[labelled].astype(np.intp)
    size = len(current.labels)
    count_before = np.bincount(before, minlength=size)
    count_after = np.bincount(after, minlength=size)
    left = ~_occurring(current)
    moved = before != after
    found = {}
    for pair, count in zip(*np.unique(before[moved] * size + after[moved], return_counts=True), strict=True):
        old, new = divmod(int(pair), size)
        if (
            left[old]
            and known[0][old]
            and known[1][new]
            and count >= _ALMOST_ALL * max(count_before[old], count_after[new])
        ):
            found[current.labels[old]] = current.labels[new]
    return found


def _occurring(run: ResultSet) -> BoolArray:
    """bool[labels], what the run calls anything by: a label, a prediction or a class of the model."""
    found = np.zeros(len(run.labels) + 1, np.bool_)
    found[run.label] = found[run.prediction] = True
    for boxes in (run.truth, run.detections):
        if boxes is not None:
            found[boxes.label] = True
    classes = {name for confidences in run.confidences.values() for name in confidences.classes}
    return found[:-1] | np.array([name in classes for name in run.labels], np.bool_)


def of_owners(boxes: Boxes, owners: Index) -> Boxes:
    """The boxes of these owners, which are then 0, 1, 2, …"""
    owner, index = rows_of_owners(boxes.owner, owners)
    return Boxes(owner, boxes.label[index], boxes.xywh[index], None if boxes.score is None else boxes.score[index])


def rows_of_owners(owner: IntArray, owners: Index) -> tuple[Index, Index]:
    """Rows (of an ascending column) that belong to `owners`, one owner after the other: each row's place among them,
    and the row.
    """
    first = np.searchsorted(owner, owners)
    end = np.searchsorted(owner, owners, side="right")
    count = end - first
    place = np.repeat(np.arange(len(owners)), count)
    return place, np.arange(len(place)) + np.repeat(first - (np.cumsum(count) - count), count)


def in_numbers_of(baseline: ResultSet, current: ResultSet, renamed: Mapping[str, str]) -> ResultSet | None:
    """The baseline with FOMO's class numbers as the current run has them, which was trained apart; None where that
    cannot be known.

    A number is known by the name that its centroids' labelled boxes have. A class without a number in the current run
    gets one that nothing there has.
    """
    if baseline.fomo is None or current.fomo is None:
        return None
    before = names_of_numbers(baseline)
    after = names_of_numbers(current)
    if before is None or after is None:
        return None
    before = {number: renamed.get(name, name) for number, name in before.items()}
    unnamed = set(np.unique(baseline.fomo.predicted.label).tolist()) - before.keys()
    if unnamed and not set(after.values()) <= set(before.values()):
        return None  # a class that the baseline's model knew, and its labels did not have, may be one of the new labels
    numbers = {name: number for number, name in after.items()}
    numbers |= {name: _NOWHERE - place for place, name in enumerate(sorted(set(before.values()) - numbers.keys()))}
    place = {number: numbers[name] for number, name in before.items()}
    place |= {number: _NOWHERE - len(numbers) - each for each, number in enumerate(sorted(unnamed))}
    return replace(baseline, fomo=_renumbered(baseline.fomo, place))


def _renumbered(fomo: FomoCounts, place: Mapping[int, int]) -> FomoCounts:
    old = np.array(sorted(place), np.int64)
    new = np.array([place[number] for number in old.tolist()], np.int64)

    def points(known: Points) -> Points:
        return replace(known, label=shrink_dtype(new[np.searchsorted(old, known.label)])) if len(known.label) else known

    return replace(fomo, truth=points(fomo.truth), predicted=points(fomo.predicted))


def names_of_numbers(run: ResultSet) -> dict[int, str] | None:
    """The name of every class number that a labelled centroid of a run has; None where one has no clear name, or two
    the same.

    Images whose boxes all have one name say it outright. Others do by the box nearest to each centroid, if their size
    is known, or by how many boxes of a name and centroids of a number they have.
    """
    assert run.fomo is not None
    numbers = np.unique(run.fomo.truth.label).tolist()
    if run.truth is None:
        return None if numbers else {}
    found: dict[int, str] = {}
    for votes in (_votes_of_one_name(run), _votes_of_the_nearest(run), _votes_of_counts(run)):
        for row, number in enumerate(numbers):
            total = votes[row].sum()
            if number not in found and total and votes[row].max() >= _ALMOST_ALL * total:
                found[number] = run.labels[int(votes[row].argmax())]
    settled = len(found) == len(numbers) == len(set(found.values()))
    return found if settled else None


def _centroids(run: ResultSet) -> tuple[IntArray, Index, Index]:
    """Of each labelled centroid its number (as a place among the sorted numbers), and its sample; and the number of
    numbers.
    """
    assert run.fomo is not None
    numbers, place = np.unique(run.fomo.truth.label, return_inverse=True)
    return numbers, place.astype(np.intp), run.sample[run.fomo.truth.owner].astype(np.intp)


def _votes_of_one_name(run: ResultSet) -> IntArray:
    """int[numbers, labels], centroids of images whose boxes all have the one name."""
    assert run.truth is not None
    numbers, number, sample = _centroids(run)
    first = np.full(run.samples, len(run.labels))
    last = np.full(run.samples, -1)
    np.minimum.at(first, run.truth.owner, run.truth.label.astype(np.intp))
    np.maximum.at(last, run.truth.owner, run.truth.label.astype(np.intp))
    one = first[sample] == last[sample]
    votes = np.zeros((len(numbers), len(run.labels)), np.int64)
    np.add.at(votes, (number[one], first[sample[one]]), 1)
    return votes


def _votes_of_the_nearest(run: ResultSet) -> IntArray:
    """int[numbers, labels], centroids by the name of the nearest box's centre."""
    assert run.truth is not None
    assert run.fomo is not None
    numbers, number, sample = _centroids(run)
    votes = np.zeros((len(numbers), len(run.labels)), np.int64)
    if run.image_size is None:
        return votes
    sized = (run.image_size[sample] > 0).all(axis=1)
    number = number[sized]
    sample = sample[sized]
    xy = run.fomo.truth.xy[sized]
    place, box = rows_of_owners(run.truth.owner, sample)
    centre = (run.truth.xywh[box, :2] + run.truth.xywh[box, 2:] / 2) / run.image_size[sample[place]]
    apart = np.hypot(*(centre - xy[place]).T)
    order = np.lexsort((apart, place))
    nearest = order[np.flatnonzero(np.diff(place[order], prepend=-1))]
    np.add.at(votes, (number[place[nearest]], run.truth.label[box[nearest]].astype(np.intp)), 1)
    return votes


def _votes_of_counts(run: ResultSet) -> IntArray:
    """int[numbers, labels], images with centroids of that number and as many boxes of that name, less those that
    differ.
    """
    assert run.truth is not None
    numbers, number, sample = _centroids(run)
    votes = np.zeros((len(numbers), len(run.labels)), np.int64)
    of_number = [np.bincount(sample[number == row], minlength=run.samples) for row in range(len(numbers))]
    for code in np.unique(run.truth.label).tolist():
        of_name = np.bincount(run.truth.owner[run.truth.label == code], minlength=run.samples)
        for row, count in enumerate(of_number):
            either = (count > 0) | (of_name > 0)
            votes[row, code] = max(0, int((count == of_name)[either].sum()) - int((count != of_name)[either].sum()))
    return votes
