"""How Studio scores one image: FOMO's nearest centroid, and a box detector's COCO-style mAP."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.simulator.ground import Box, FomoMatch, ImageScore

MIN_DISTANCE = 0.2
"""FOMO's normalised distance up to which a centroid matches."""

_IOUS = np.arange(50, 100, 5) / 100
_RECALLS = np.linspace(0, 1, 101)

Centroid = tuple[float, float, int]


def match_centroids(truth: Sequence[Centroid], predicted: Sequence[Centroid]) -> FomoMatch:
    """Give each prediction to the nearest truth of its class within `MIN_DISTANCE`; several may share one truth."""
    pairs = [
        (t, p, round(math.hypot(truth[t][0] - predicted[p][0], truth[t][1] - predicted[p][1]), 6))
        for t in range(len(truth))
        for p in range(len(predicted))
        if truth[t][2] == predicted[p][2]
    ]
    assignments = []
    for p in range(len(predicted)):
        near = min(((distance, t) for t, other, distance in pairs if other == p), default=(math.inf, -1))
        if near[0] <= MIN_DISTANCE:
            assignments.append((p, near[1], near[0]))
    matched = {t for _, t, _ in assignments}
    given = {p for p, _, _ in assignments}
    return FomoMatch(
        y_trues=tuple(truth),
        y_preds=tuple(predicted),
        assignments=tuple(assignments),
        pairs=tuple(pairs),
        unassigned_trues=tuple(t for t in range(len(truth)) if t not in matched),
        unassigned_preds=tuple(p for p in range(len(predicted)) if p not in given),
        min_distance=MIN_DISTANCE,
    )


def fomo_score(match: FomoMatch) -> ImageScore:
    """Precision, recall and F1 of one image from its matching; 1 where nothing was there and nothing found. `mAP` is a
    copy of F1.
    """
    tp = len(match.assignments)
    fp = len(match.unassigned_preds)
    fn = len(match.unassigned_trues)
    if not tp + fp + fn:
        return ImageScore(1.0, 1.0, 1.0, 1.0)
    f1 = round(2 * tp / (2 * tp + fp + fn), 6)
    precision = round(tp / (tp + fp), 6) if tp + fp else 0.0
    recall = round(tp / (tp + fn), 6) if tp + fn else 0.0
    return ImageScore(f1, f1, precision, recall)


def image_map(truth: Sequence[Box], detections: Sequence[Box], classes: int) -> float:
    """COCO mAP (IoU 0.50:0.05:0.95, 101 recall points) of one image, times the share of the model's classes that its
    truth has.

    Without truth: 1 if nothing was detected, else 0. Both lists in one unit.
    """
    labels = sorted({box.label for box in truth})
    if not labels:
        return 0.0 if detections else 1.0
    total = 0.0
    for label in labels:
        real = [box for box in truth if box.label == label]
        found = sorted((box for box in detections if box.label == label), key=lambda box: -(box.score or 0.0))
        total += _average_precision(_ious(found, real), len(real))
    return round(total / classes, 6)


def _ious(found: Sequence[Box], real: Sequence[Box]) -> npt.NDArray[np.float64]:
    a = np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for box in found]).reshape(-1, 1, 4)
    b = np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for box in real]).reshape(1, -1, 4)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    overlap: npt.NDArray[np.float64] = shared / union
    return overlap


def _average_precision(ious: npt.NDArray[np.float64], real: int) -> float:
    """Mean over the IoU thresholds of the interpolated precision; rows of `ious` by descending score."""
    if not len(ious):
        return 0.0
    result = 0.0
    for threshold in _IOUS:
        free = np.ones(real, bool)
        hits = np.zeros(len(ious), bool)
        for row, overlap in enumerate(ious):
            candidates = np.where(free, overlap, -1.0)
            best = real - 1 - int(np.argmax(candidates[::-1]))  # among equals COCO takes the later truth
            if candidates[best] >= min(threshold, 1 - 1e-10):
                free[best] = False
                hits[row] = True
        tp = np.cumsum(hits)
        recall = tp / real
        precision = tp / np.arange(1, len(hits) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(recall, _RECALLS, side="left")
        result += float(np.append(precision, 0.0)[place].mean())
    return result / len(_IOUS)
