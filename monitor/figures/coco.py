"""Detections matched with truth as COCO does it: once, since average precision then weighs images as often as needed.

The definition is that of the COCO evaluation (https://cocodataset.org/#detection-eval) as pycocotools computes it, with
area `all` and at most 100 detections per image and class. An own implementation, because intervals and comparisons
re-weight images, and for that the matches have to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray, IntArray

IOU_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""Per image and class; the best-scored ones count."""

_PAIRS_AT_ONCE = 1 << 18

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

    def grouped(self, group: IntArray, groups: int) -> Matches:
        """The matches of images that weigh the same by group (int[images], 0..groups - 1): each group is one image."""
        image = group.astype(np.int32)
        return replace(self, images=groups, image=image[self.image], truth_image=image[self.truth_image])


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
