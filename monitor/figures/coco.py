"""COCO's average precision: match once, then weigh images as often as needed.

The definition is that of the COCO evaluation (https://cocodataset.org/#detection-eval) as pycocotools computes it, with
area `all` and at most 100 detections per image and class. An own implementation, because intervals and comparisons
re-weight images, and for that the matches have to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray, IntArray

IOU_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: FloatArray = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Per image and class; the best-scored ones count."""

_PAIRS_AT_ONCE = 1 << 18
_CELLS_AT_ONCE = 1 << 17  # weights x hits: what stays in the cache of one core
_BATCH_CELLS = 1 << 21  # weights x detections
_LONG_ROW = 160

BoolArray = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ImageBoxes:
    """Boxes of many images, in the order of images.

    Attributes:
        image: int[k], ascending index of the image.
        label: int[k], code of the class.
        xywh: float64[k, 4], left, top, width, height, in one unit for truth and detections.
        score: float64[k]; None for truth.
    """

    image: IntArray
    label: IntArray
    xywh: FloatArray
    score: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which detections hit a truth box, per class and IoU threshold: all that average precision depends on.

    Attributes:
        images: How many images there are, those without boxes included.
        classes: int[c], ascending codes of the classes with truth.
        image: int32[d], the image of each detection; one class after the other, each by descending score.
        hits: bool[10, d], whether the detection is matched at each of `IOU_THRESHOLDS`.
        ends: int64[c + 1]; the detections of class k are `ends[k]:ends[k + 1]`.
        truth_image: int32[g], the image of each truth box, one class after the other.
        truth_ends: int64[c + 1]; the truth boxes of class k are `truth_ends[k]:truth_ends[k + 1]`.
    """

    images: int
    classes: Positions
    image: npt.NDArray[np.int32]
    hits: BoolArray
    ends: Positions
    truth_image: npt.NDArray[np.int32]
    truth_ends: Positions


def match(truth: ImageBoxes, detections: ImageBoxes, images: int) -> Matches:
    """Match the detections of `images` images with truth, per class and IoU threshold.

    Greedy as in pycocotools: by descending score, ties in the order given, to the free truth box with the highest
    IoU >= threshold, of equal ones the later. Boxes with a negative label have no class and are passed over, as are
    detections of classes without truth, which no mean contains.

    Raises:
        ValueError: The detections have no scores.
    """
    if detections.score is None:
        raise ValueError("detections need scores to be matched; pass `score` with one value per box")
    classes = np.unique(truth.label[truth.label >= 0]).astype(np.int64)
    truth_key, truth_order = _grouped(truth, classes, images)
    key, order = _grouped(detections, classes, images)

    by_score = np.lexsort((-detections.score[order], key))  # stable: ties stay in the order given
    key = key[by_score]
    order = order[by_score]
    kept = np.arange(len(key)) - np.searchsorted(key, key) < MAX_DETECTIONS
    key = key[kept]
    order = order[kept]

    pairs = _overlapping(key, detections.xywh[order], truth_key, truth.xywh[truth_order])
    hits = _greedy(key, len(truth_key), *pairs)

    klass = key // max(images, 1)
    ranked = np.lexsort((-detections.score[order], klass))
    bounds = np.arange(len(classes) + 1)
    return Matches(
        images=images,
        classes=classes,
        image=detections.image[order[ranked]].astype(np.int32),
        hits=hits[:, ranked],
        ends=np.searchsorted(klass[ranked], bounds),
        truth_image=truth.image[truth_order].astype(np.int32),
        truth_ends=np.searchsorted(truth_key // max(images, 1), bounds),
    )


def average_precision(matches: Matches, weights: npt.NDArray[np.integer] | None = None) -> FloatArray:
    """Average precision over 101 points of recall, of each class at each IoU threshold.

    An image of weight w counts as if it were there w times.

    Args:
        matches: c classes, i images.
        weights: int[b, i], b weightings of the images; None for one in which each counts once.

    Returns:
        float64[b, c, 10], NaN where a class has no truth under a weighting.
    """
    if weights is None:
        weights = np.ones((1, matches.images), np.int8)
    found = _Hits.of(matches)
    result = np.empty((len(weights), len(matches.classes), len(IOU_THRESHOLDS)))
    most = int(max(found.detections.max(initial=1), found.truths.max(initial=1)))
    at_once = max(1, _CELLS_AT_ONCE // most)
    for first in range(0, len(weights), at_once):
        part = weights[first : first + at_once]
        # what an image weighs is together: boxes take rows; a last one stands for no image
        by_image = np.zeros((matches.images + 1, len(part)), part.dtype)
        by_image[:-1] = part.T
        for classes in found.batches(len(part)):
            result[first : first + at_once, classes] = _precision(by_image, matches, found, classes)
    return result


def mean_average_precision(precisions: FloatArray) -> FloatArray:
    """Mean over the classes with truth and the given thresholds: float64[b, c, t] to float64[b], NaN where no class has
    truth.
    """
    known = ~np.isnan(precisions)
    count = known.sum(axis=(1, 2))
    total = np.where(known, precisions, 0.0).sum(axis=(1, 2))
    mean: FloatArray = np.divide(total, count, out=np.full(len(precisions), np.nan), where=count > 0)
    return mean


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """Where the hits of matches are.

    Attributes:
        detections, truths: int64[c], how many boxes each class has.
        place: int64[h], the detections that are hits, threshold by threshold and class by class.
        begin: int64[10, c], where those of a threshold and class begin in `place`.
        count: int64[10, c], how many they are.
    """

    detections: Positions
    truths: Positions
    place: Positions
    begin: Positions
    count: Positions

    @classmethod
    def of(cls, matches: Matches) -> _Hits:
        """Those of matches."""
        threshold, place = np.nonzero(matches.hits)
        width = matches.hits.shape[1]
        bounds = np.arange(len(matches.hits))[:, None] * width + matches.ends
        begin = np.searchsorted(threshold * width + place, bounds)
        return cls(np.diff(matches.ends), np.diff(matches.truth_ends), place, begin[:, :-1], np.diff(begin, axis=1))

    def batches(self, weightings: int) -> Iterator[Positions]:
        """The classes in parts of similar size whose detections make a table of bounded size together."""
        order = np.argsort(self.detections, kind="stable")
        last = len(order)
        while last:
            most = max(int(self.detections[order[last - 1]]), 1)
            first = max(0, last - max(1, _BATCH_CELLS // (most * weightings)))
            yield order[first:last]
            last = first


def _precision(
    by_image: npt.NDArray[np.integer], matches: Matches, found: _Hits, classes: Positions
) -> npt.NDArray[np.float64]:
    """float64[b, k, 10], average precision of some classes at each threshold under b weightings; NaN where none of a
    class's truth counts.

    All that have equally many hits are reckoned together: many classes have few each.

    Args:
        by_image: int[i + 1, b], weights; the last row is 0.
        matches, found: Of all classes.
        classes: int64[k], which ones.
    """
    weightings = by_image.shape[1]
    truth = _padded(matches.truth_image, matches.truth_ends[classes], found.truths[classes], len(by_image) - 1)
    positives = np.take(by_image, truth, axis=0).sum(axis=0, dtype=np.int64)
    image = _padded(matches.image, matches.ends[classes], found.detections[classes], len(by_image) - 1)
    seen = np.take(by_image, image, axis=0).astype(np.int32)
    _accumulate(np.add, seen.reshape(len(seen), len(classes) * weightings))
    seen = seen.reshape(-1, weightings)  # a row for each rank and class
    reached, row = _reached(positives)
    precision = np.zeros((len(classes), len(IOU_THRESHOLDS), weightings))
    counts = found.count[:, classes].T
    for hits in np.unique(counts[counts > 0]).tolist():
        alike = np.argwhere(counts == hits)
        at_once = max(1, _CELLS_AT_ONCE // (hits * weightings))
        for k, t in (alike[first : first + at_once].T for first in range(0, len(alike), at_once)):
            place = found.place[found.begin[t, classes[k]] + np.arange(hits)[:, None]]
            rank = place - matches.ends[classes[k]]
            precision[k, t] = _areas(
                np.take(by_image, matches.image[place], axis=0).reshape(hits, -1),
                np.take(seen, rank * len(classes) + k, axis=0).reshape(hits, -1),
                reached,
                row[k].ravel(),
            ).reshape(-1, weightings)
    precision[np.broadcast_to((positives == 0)[:, None], precision.shape)] = np.nan
    return precision.transpose(2, 0, 1)


def _padded(image: IntArray, first: Positions, count: Positions, nothing: int) -> IntArray:
    """int[most, k], the images of k classes' boxes, a column for each, with `nothing` behind the last one."""
    place = np.arange(count.max(initial=0))[:, None]
    there = place < count
    padded: IntArray = np.where(there, image[np.where(there, place + first, 0)] if len(image) else nothing, nothing)
    return padded


def _accumulate(by: np.ufunc, table: npt.NDArray[Any]) -> None:
    """As `by.accumulate` from row to row, in place; where rows are long, in a sixth of the time."""
    if table.shape[1] < _LONG_ROW:
        by.accumulate(table, axis=0, out=table)
        return
    for before, row in pairwise(table):
        by(before, row, out=row)


def _reached(positives: npt.NDArray[np.int64]) -> tuple[FloatArray, Positions]:
    """How many points of recall so many hits reach, a row for each number of positives.

    Args:
        positives: int64[k, b].

    Returns:
        float64[p, most + 1], and which of the rows is whose: int64[k, b].
    """
    distinct, row = np.unique(positives, return_inverse=True)
    recall = np.arange(distinct.max(initial=0) + 1) / np.maximum(distinct, 1)[:, None]
    reached = np.searchsorted(RECALL_POINTS, recall, side="right").astype(np.float64)
    return reached, row.reshape(positives.shape)


def _areas(weight: npt.NDArray[np.integer], seen: IntArray, reached: FloatArray, row: Positions) -> FloatArray:
    """float64[m], mean of the interpolated precision over `RECALL_POINTS`, from the hits alone.

    Precision only rises at a hit, and recall too: the envelope and the points of recall it answers for are settled
    there.

    Args:
        weight: int[h, m], of each hit by descending score.
        seen: int[h, m], the weight of all detections up to and with it.
        reached: As `_reached` has it.
        row: int64[m], the row of it that counts.
    """
    hit = weight.astype(np.int64)
    _accumulate(np.add, hit)
    envelope = hit / (seen + np.spacing(1))
    _accumulate(np.maximum, envelope[::-1])
    hit += row * reached.shape[1]
    found = np.take(reached, hit)
    envelope[0] *= found[0]
    envelope[1:] *= found[1:] - found[:-1]
    # summed row by row in one order, whatever the number of weightings
    area: FloatArray = np.ascontiguousarray(envelope.T).sum(axis=1) / len(RECALL_POINTS)
    return area


def _grouped(boxes: ImageBoxes, classes: Positions, images: int) -> tuple[Positions, Positions]:
    """Boxes of the classes in order of (class, image): the pair as one ascending number, and the boxes' indices."""
    klass = np.searchsorted(classes, boxes.label)
    known = klass < len(classes)
    known[known] = classes[klass[known]] == boxes.label[known]
    index = np.flatnonzero(known)
    key = klass[index] * images + boxes.image[index]
    order = np.argsort(key, kind="stable")
    return key[order], index[order]


def _overlapping(
    key: Positions, xywh: FloatArray, truth_key: Positions, truth_xywh: FloatArray
) -> tuple[Positions, Positions, FloatArray]:
    """All pairs of a detection and a truth box of one class and image whose IoU reaches the lowest threshold.

    Returns:
        Index of the detection (ascending), index of the truth box, IoU.
    """
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    first = np.searchsorted(truth_key, key)
    end = np.searchsorted(truth_key, key, side="right")
    for part in _parts(end - first):
        count = end[part] - first[part]
        detection = np.repeat(np.arange(part.start, part.stop), count)
        truth = np.arange(len(detection)) + np.repeat(first[part] - (np.cumsum(count) - count), count)
        iou = _iou(xywh[detection], truth_xywh[truth])
        near = np.flatnonzero(iou >= IOU_THRESHOLDS[0])
        found.append((detection[near], truth[near], iou[near]))
    detections, truths, ious = zip(*found, strict=True)
    return np.concatenate(detections), np.concatenate(truths), np.concatenate(ious)


def _parts(counts: Positions) -> Iterator[slice]:
    """Consecutive slices whose counts add up to about `_PAIRS_AT_ONCE`, so that a crowd does not fill the memory."""
    total = np.cumsum(counts)
    start = 0
    while start < len(total):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop)
        start = stop


def _iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of boxes float64[k, 4], row by row, rounded as in pycocotools' `bbIou`; 0 where they do
    not meet.
    """
    width, height = (
        np.minimum(a[:, axis + 2] + a[:, axis], b[:, axis + 2] + b[:, axis]) - np.maximum(a[:, axis], b[:, axis])
        for axis in (0, 1)
    )
    shared = width * height
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros(len(a)), where=(width > 0) & (height > 0))
    return iou


def _greedy(key: Positions, truths: int, detection: Positions, truth: Positions, iou: FloatArray) -> BoolArray:
    """Give truth boxes to detections, all images, classes and thresholds at once: first every group's best detection,
    then its second.

    Args:
        key: int64[d], the detection's group (class and image), ascending; within it by descending score.
        truths: How many truth boxes there are.
        detection, truth, iou: Pairs that may match, by ascending detection.

    Returns:
        bool[10, d].
    """
    hits = np.zeros((len(IOU_THRESHOLDS), len(key)), np.bool_)
    if not len(detection):
        return hits
    candidates, of_pair = np.unique(detection, return_inverse=True)
    group = key[candidates]
    turn = (np.arange(len(group)) - np.searchsorted(group, group))[of_pair]
    order = np.lexsort((truth, iou, detection, turn))  # a detection's last free pair is its choice
    detection = detection[order]
    truth = truth[order]
    turn = turn[order]
    close = iou[order] >= IOU_THRESHOLDS[:, None]
    taken = np.zeros((len(IOU_THRESHOLDS), truths), np.bool_)
    turns = np.searchsorted(turn, np.arange(turn[-1] + 2))
    for start, stop in pairwise(turns.tolist()):
        now = slice(start, stop)
        free = close[:, now] & ~taken[:, truth[now]]
        heads = np.flatnonzero(np.diff(detection[now], prepend=-1))
        choice = np.maximum.reduceat(np.where(free, np.arange(start, stop), -1), heads, axis=1)
        threshold, column = np.nonzero(choice >= 0)
        pair = choice[threshold, column]
        taken[threshold, truth[pair]] = True
        hits[threshold, detection[pair]] = True
    return hits
