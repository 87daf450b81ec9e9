"""COCO's average precision of matches under as many weightings of the images as needed.

The definition is that of the COCO evaluation (https://cocodataset.org/#detection-eval) as pycocotools computes it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.figures.coco import IOU_THRESHOLDS, Matches, Positions
from monitor.figures.precision_tables import Batch, Places, PrecisionTables
from monitor.results import FloatArray

_MOST_COLUMNS = 64

RECALL_POINTS: FloatArray = np.linspace(0.0, 1.0, 101)

Counts = npt.NDArray[np.integer]


def average_precision(matches: Matches | PrecisionTables, weights: Counts | None = None) -> FloatArray:
    """Average precision over 101 points of recall, of each class at each IoU threshold.

    An image of weight w counts as if it were there w times.

    Args:
        matches: c classes, i images; their tables where they are weighed repeatedly.
        weights: int[b, i], b weightings of the images, not negative; None for one in which each counts once.

    Returns:
        float64[b, c, 10], NaN where a class has no truth under a weighting.
    """
    if weights is None:
        weights = np.ones((1, matches.images), np.uint8)
    tables = PrecisionTables.of(matches, len(weights)) if isinstance(matches, Matches) else matches
    result = np.zeros((len(weights), tables.classes, len(IOU_THRESHOLDS)))
    heaviest = int(weights.max(initial=1))
    for first in range(0, len(weights), tables.at_once):
        part = weights[first : first + tables.at_once]
        _weigh(_weights_by_image(tables, part, heaviest), tables, heaviest, result[first : first + len(part)])
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


def _weights_by_image(tables: PrecisionTables, weights: Counts, heaviest: int) -> Counts:
    """int[i + 1, b], what each image weighs, together: boxes take rows. The last row is of no image, and 0.

    Of a single weighting there are two columns: one alone would be summed in another order.

    Args:
        tables: i images.
        weights: int[b, i].
        heaviest: The largest weight.
    """
    by_image: Counts = np.zeros((tables.images + 1, max(len(weights), 2)), np.min_scalar_type(heaviest))
    by_image[:-1, : len(weights)] = weights.T
    return by_image


def _weigh(by_image: Counts, tables: PrecisionTables, heaviest: int, result: FloatArray) -> None:
    """Fill in float64[b, c, 10], for int[i + 1, b], the weights of each image and of none, which are 0."""
    positives = np.zeros((tables.classes, by_image.shape[1]), np.intp)
    for truths in tables.truths:
        counts = _holds_sums(truths.image, heaviest)
        positives[truths.classes] = np.take(by_image, truths.image, axis=0).sum(axis=(0, 1), dtype=counts)
    for batch in tables.batches:
        precision = _precision(by_image, batch, positives[batch.classes], heaviest)
        result[:, batch.classes] = precision.transpose(2, 0, 1)[: len(result)]
    result[(positives == 0).T[: len(result)]] = np.nan


def _holds_sums(image: Places, heaviest: int) -> np.dtype[np.unsignedinteger]:
    """The smallest type for the weights of int32[h, n, k] images' boxes, added up class by class."""
    return np.min_scalar_type(image.shape[0] * image.shape[1] * heaviest)


def _precision(by_image: Counts, batch: Batch, positives: Positions, heaviest: int) -> FloatArray:
    """float64[k, 10, b], average precision of a batch's classes at each threshold, for int64[k, b], the weight of their
    truth.
    """
    weightings = by_image.shape[1]
    seen = _accumulated(by_image, batch.image, heaviest)
    for row in seen:
        if row.all():
            break
        np.maximum(row, 1, out=row)  # before anything counts there is no hit
    seen = seen.reshape(-1, weightings)
    ends = _hits_at_ends(by_image, batch, heaviest)
    reached, begin = _points_reached(positives)
    precision = np.zeros((len(batch.classes) * len(IOU_THRESHOLDS), weightings))
    for curves in batch.curves:
        hit = np.take(ends, curves.hit, axis=0).reshape(*curves.hit.shape[:2], -1)
        seen_there = np.take(seen, curves.row, axis=0).reshape(hit.shape)
        first = begin[curves.curve // len(IOU_THRESHOLDS)].ravel()
        precision[curves.curve] = _areas(hit, seen_there, reached, first).reshape(-1, weightings)
    return precision.reshape(len(batch.classes), len(IOU_THRESHOLDS), weightings)


def _hits_at_ends(by_image: Counts, batch: Batch, heaviest: int) -> Counts:
    """int[e, b], the weight of a curve's hits up to the end of each run, table by table."""
    weightings = by_image.shape[1]
    ends = sum(len(hits.ends) for hits in batch.hits)
    counts = np.result_type(np.uint8, *(_holds_sums(hits.image, heaviest) for hits in batch.hits))
    found = np.empty((ends, weightings), counts)
    done = 0
    for hits in batch.hits:
        table = _accumulated(by_image, hits.image, heaviest).reshape(-1, weightings)
        found[done : done + len(hits.ends)] = np.take(table, hits.ends, axis=0)
        done += len(hits.ends)
    return found


def _accumulated(by_image: Counts, image: Places, heaviest: int) -> Counts:
    """int[h, n, k * b], the weights of k curves' boxes up to and with each, for int32[h, n, k], their images."""
    table: Counts = np.take(by_image, image, axis=0).astype(_holds_sums(image, heaviest), copy=False)
    table = table.reshape(*image.shape[:2], -1)
    _accumulate(np.add, table)
    return table


def _accumulate(by: np.ufunc, table: npt.NDArray[Any], *, backwards: bool = False) -> None:
    """As `by.accumulate` in place, [h, n, m] from row to row of a column and then from column to column, in a fraction
    of its time.
    """
    step = -1 if backwards else 1
    rows = table.reshape(len(table), -1)[::step]
    for before, row in pairwise(rows):
        by(before, row, out=row)
    if table.shape[1] > 1:
        columns = _accumulated_columns(by, rows[-1].reshape(table.shape[1:])[::step])
        rest = table[:, :-1] if backwards else table[:, 1:]
        by(rest, columns[:-1][::step], out=rest)


def _accumulated_columns(by: np.ufunc, columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`by.accumulate` of [n, m] from one to the next: of many by a table of them, in far fewer calls."""
    if len(columns) <= _MOST_COLUMNS:
        columns = columns.copy()
        for before, column in pairwise(columns):
            by(before, column, out=column)
        return columns
    height = math.isqrt(len(columns))
    folded = np.zeros((-(-len(columns) // height), height, columns.shape[1]), columns.dtype)
    folded.reshape(-1, columns.shape[1])[: len(columns)] = columns
    table = np.ascontiguousarray(folded.swapaxes(0, 1))
    _accumulate(by, table)
    return table.swapaxes(0, 1).reshape(-1, columns.shape[1])[: len(columns)]


def _points_reached(positives: Positions) -> tuple[npt.NDArray[np.uint8], Counts]:
    """How many points of recall so many hits reach, for each number of positives one after the other.

    Args:
        positives: int64[k, b].

    Returns:
        uint8[p * (most + 1)], and where in it those begin that are for each of `positives`: int[k, b], of a type that
        holds any place.
    """
    width = int(positives.max(initial=0)) + 1
    begin = np.zeros(width, np.intp)
    begin[positives] = 1
    distinct = np.flatnonzero(begin)
    begin[distinct] = np.arange(len(distinct)) * width
    of = np.maximum(distinct, 1)[:, None]
    about = np.ceil(RECALL_POINTS * of).astype(np.intp)
    # the fewest hits whose share reaches a point: the rounded share decides, as in pycocotools
    fewest = about - 1 + ((about - 1) / of < RECALL_POINTS) + (about / of < RECALL_POINTS)
    lengths = np.diff(np.minimum(fewest, width), axis=1, prepend=0, append=width)
    points = np.broadcast_to(np.arange(len(RECALL_POINTS) + 1, dtype=np.uint8), lengths.shape)
    reached = np.repeat(points.ravel(), lengths.ravel())
    return reached, begin.astype(np.min_scalar_type(-len(reached)))[positives]


def _areas(hit: Counts, seen: Counts, reached: npt.NDArray[np.uint8], begin: Counts) -> FloatArray:
    """float64[m], mean of the interpolated precision over `RECALL_POINTS`, from the hits alone.

    Precision only rises at a hit, and recall too: the envelope and the points of recall it answers for are settled
    there. It rises up to the end of a run of hits, so that this is where all of them have their envelope.

    Args:
        hit: int[r, n, m], the weight of all hits up to the end of each run by descending score.
        seen: int[r, n, m], that of all detections, at least 1.
        reached: As `_points_reached` has it.
        begin: int[m], where in it the numbers begin that count.
    """
    envelope = np.divide(hit, seen, dtype=np.float64)
    _accumulate(np.maximum, envelope, backwards=True)
    found = np.take(reached, hit + begin)
    first = found[0].copy()
    first[1:] -= found[-1, :-1]
    found[1:] -= found[:-1]  # numpy keeps what it still needs
    found[0] = first
    area: FloatArray = np.einsum("hm,hm->m", *(table.reshape(len(hit), -1) for table in (envelope, found)))
    area = area.reshape(hit.shape[1:]).sum(axis=0)
    area /= len(RECALL_POINTS)
    return area
