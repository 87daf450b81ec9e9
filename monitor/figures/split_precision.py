"""COCO's average precision of some images and of the others, for many choices of the images at a time.

Each detection counts on one of the two sides: what is divided, looked up and summed is so once for both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.figures.average_precision import (
    RECALL_POINTS,
    Counts,
    accumulate,
    accumulated,
    points_reached,
    weights_by_image,
)
from monitor.figures.coco import IOU_THRESHOLDS, Positions
from monitor.figures.precision_tables import Batch, Curves, PrecisionTables
from monitor.results import FloatArray


def split_average_precision(tables: PrecisionTables, chosen: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """`average_precision` of `chosen` and of `1 - chosen`, in less than the time of both.

    Args:
        tables: c classes, i images.
        chosen: uint8[b, i], 1 for images of the one side and 0 for those of the other.

    Returns:
        float64[b, c, 10] each, NaN where a class has no truth on the side.
    """
    sides = np.zeros((2, len(chosen), tables.classes, len(IOU_THRESHOLDS)))
    counts = np.min_scalar_type(-tables.most - 1)
    for first in range(0, len(chosen), tables.at_once):
        part = slice(first, first + tables.at_once)
        _split(weights_by_image(tables, chosen[part], 1), tables, counts, sides[:, part])
    return sides[0], sides[1]


def _split(by_image: Counts, tables: PrecisionTables, counts: np.dtype[np.integer], result: FloatArray) -> None:
    """Fill in float64[2, b, c, 10], for int[i + 1, b], on which side each image is."""
    positives = np.zeros((2, tables.classes, by_image.shape[1]), np.intp)
    for truths in tables.truths:
        there = np.take(by_image, truths.image, axis=0).sum(axis=(0, 1), dtype=counts)
        positives[:, truths.classes] = there, (truths.image < tables.images).sum(axis=(0, 1))[:, None] - there
    for batch in tables.batches:
        precision = _precision(by_image, batch, positives[:, batch.classes], counts)
        result[:, :, batch.classes] = precision.transpose(0, 3, 1, 2)[:, : result.shape[1]]
    result[(positives == 0).transpose(0, 2, 1)[:, : result.shape[1]]] = np.nan


def _precision(by_image: Counts, batch: Batch, positives: Positions, counts: np.dtype[np.integer]) -> FloatArray:
    """float64[2, k, 10, b], average precision of a batch's classes on each side, for int64[2, k, b], how much truth
    they have there.
    """
    weightings = by_image.shape[1]
    seen, rank = accumulated(by_image, batch.image, counts), _ranks(batch.image.shape[:2], counts)
    # of the detection's own side: seen where it is chosen, rank - seen where it is not
    here = np.take(by_image, batch.image, axis=0).reshape(seen.shape)
    other = rank - seen
    seen -= other
    seen *= here
    seen += other
    gained, centre = _points_gained(positives)
    precision = np.zeros((2, len(batch.classes) * len(IOU_THRESHOLDS), weightings))
    for curves in batch.curves:
        there = np.take(seen.reshape(-1, weightings), curves.row, axis=0)
        areas = _areas(by_image, curves, there, gained, centre[curves.curve // len(IOU_THRESHOLDS)])
        precision[:, curves.curve] = areas
    return precision.reshape(2, len(batch.classes), len(IOU_THRESHOLDS), weightings)


def _ranks(shape: tuple[int, ...], counts: np.dtype[np.integer]) -> Counts:
    """int[h, n, 1], 1 for the first box of a table, down its first column and then the next."""
    height, columns = shape
    return np.arange(1, height * columns + 1, dtype=counts).reshape(columns, height).T[:, :, None]


def _points_gained(positives: Positions) -> tuple[npt.NDArray[np.uint8], Positions]:
    """How many points of recall a hit reaches first, for each pair of numbers of positives one after the other.

    Args:
        positives: int64[2, k, b], on either side.

    Returns:
        uint8[p], and int64[k, b], where in it the numbers for each pair are centred: n places behind the centre is that
        for the nth hit of the one side, n places before it that for the nth of the other, at the centre 0.
    """
    width = int(positives.max(initial=0)) + 1
    distinct, pair = np.unique(positives[0] * width + positives[1], return_inverse=True)
    reached, begin = points_reached(np.stack(np.divmod(distinct, width)))
    gained = np.zeros((len(distinct), 2 * width - 1), np.uint8)
    for side, table in zip(begin, (gained[:, width - 1 :], gained[:, width - 1 :: -1]), strict=True):
        points = reached[side[:, None] + np.arange(width)]
        points[:, 0] = 0  # the first hit also reaches the point 0
        table[:, 1:] = np.diff(points, axis=1)
    return gained.ravel(), (pair * gained.shape[1] + width - 1).reshape(positives.shape[1:])


def _areas(
    by_image: Counts, curves: Curves, seen: Counts, gained: npt.NDArray[np.uint8], centre: Positions
) -> FloatArray:
    """float64[2, g, b], as `average_precision` has it for each side.

    Args:
        by_image: int[i + 1, b], on which side each image is.
        curves: g curves.
        seen: int[h, n, g, b], how many detections of its side there are up to and with each hit.
        gained: As `_points_gained` has it.
        centre: int64[g, b], where in it the numbers are centred.
    """
    here = np.take(by_image, curves.image, axis=0)
    hit = here.astype(seen.dtype).reshape(*here.shape[:2], -1)
    # the number of the hit on its side, negative on the other
    there = (1 - hit) * _ranks(hit.shape[:2], seen.dtype)
    accumulate(np.add, hit)
    hit -= there
    hit.reshape(-1, seen.shape[-1])[curves.padding] = 0
    precision = np.divide(hit, seen.reshape(hit.shape), dtype=np.float64)
    place = hit.astype(np.intp)
    place += centre.ravel()
    points = np.take(gained, place)
    points_here = points * here.reshape(hit.shape)
    points -= points_here
    columns = np.empty((2, hit.shape[1], *centre.shape))
    for area, best, reached in zip(columns, (np.maximum, np.minimum), (points_here, points), strict=True):
        envelope = precision if best is np.minimum else precision.copy()
        accumulate(best, envelope, backwards=True)
        np.einsum("hm,hm->m", envelope.reshape(len(hit), -1), reached.reshape(len(hit), -1), out=area.reshape(-1))
    areas: FloatArray = columns.sum(axis=1)
    areas[1] *= -1
    areas /= len(RECALL_POINTS)
    return areas
