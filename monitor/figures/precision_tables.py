"""Matches laid out in tables, so that numpy reckons classes, IoU thresholds and weightings many at a time.

A table stands for curves with about as many boxes each. The boxes of a curve by descending score stand one below the
other, in one column or, where they are many, in several: numpy adds up few long rows in a fraction of the time that it
takes for many short ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.coco import IOU_THRESHOLDS, Matches, Positions

_WEIGHTINGS_AT_ONCE = 64
_TALLEST = 1 << 21  # weightings x boxes of one class: bounds the memory
_BATCH_CELLS = 1 << 21  # weightings x detections of some classes: what is looked up at random
_CELLS_AT_ONCE = 1 << 16  # weightings x hits: what stays in the cache of one core
_LONG = 128  # a multiple of a column's height
_HEIGHT = 16

Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """The truth boxes of some classes.

    Attributes:
        classes: int64[k], which ones.
        image: int32[h, n, k], the images of their boxes; behind the last one that of none.
    """

    classes: Positions
    image: Places


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Precision-recall curves with about as many hits.

    Attributes:
        curve: int64[g], which ones of a batch's: class by class, of each its thresholds.
        image: int32[h, n, g], the images of their hits; behind the last one that of none.
        row: int32[h, n, g], the places of these hits in the batch's table of detections, and then the last one's again.
        padding: int64[p], the places behind the last hits, in the order of memory.
    """

    curve: Positions
    image: Places
    row: Places
    padding: Positions


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Classes with about as many detections.

    Attributes:
        classes: int64[k], which ones.
        image: int32[h, n, k], the images of their detections; behind the last one that of none.
        curves: Those with a hit.
    """

    classes: Positions
    image: Places
    curves: tuple[Curves, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionTables:
    """All tables of matches.

    Attributes:
        images, classes: How many of each there are; the image of none has the number `images`.
        most: The largest number of detections, or of truth boxes, of a class.
        at_once: For how many weightings the tables are made.
        truths: Those with truth boxes.
        batches: Those with detections.
    """

    images: int
    classes: int
    most: int
    at_once: int
    truths: tuple[Truths, ...]
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, matches: Matches) -> PrecisionTables:
        """Those of matches."""
        detections = np.diff(matches.ends)
        truths = np.diff(matches.truth_ends)
        most = int(max(detections.max(initial=1), truths.max(initial=1)))
        at_once = min(max(1, _TALLEST // most), _WEIGHTINGS_AT_ONCE)
        threshold, hit = np.nonzero(matches.hits)
        width = matches.hits.shape[1]
        begin = np.searchsorted(threshold * width + hit, np.arange(len(matches.hits))[:, None] * width + matches.ends)
        return cls(
            matches.images,
            len(matches.classes),
            most,
            at_once,
            tuple(
                Truths(part, _images(matches.truth_image, matches.truth_ends[part], truths[part], rank, matches.images))
                for part, rank in _alike(truths, _BATCH_CELLS // at_once)
            ),
            tuple(
                Batch(
                    part,
                    _images(matches.image, matches.ends[part], detections[part], rank, matches.images),
                    tuple(_curves(matches, part, hit, begin[:, part], begin[:, part + 1], rank, at_once)),
                )
                for part, rank in _alike(detections, _BATCH_CELLS // at_once)
            ),
        )


def _curves(
    matches: Matches,
    classes: Positions,
    hit: Positions,
    begin: Positions,
    end: Positions,
    detection_rank: Positions,
    at_once: int,
) -> Iterator[Curves]:
    """Those of a batch.

    Args:
        matches: Of all classes.
        classes: int64[k], those of the batch.
        hit: int64[h], the detections that are hits, threshold by threshold and class by class.
        begin, end: int64[10, k], where in it those of a threshold and class are.
        detection_rank: As `_alike` gives it for the batch's detections.
        at_once: The number of weightings.
    """
    height, columns = detection_rank.shape
    first = begin.T.ravel()
    count = end.T.ravel() - first
    for curve, rank in _alike(count, _CELLS_AT_ONCE // at_once):
        klass = curve // len(IOU_THRESHOLDS)
        place = hit[first[curve] + np.minimum(rank[:, :, None], count[curve] - 1)]
        there = rank[:, :, None] < count[curve]
        image = np.where(there, matches.image[place], matches.images)
        column, step = np.divmod(place - matches.ends[classes[klass]], height)
        row = (step * columns + column) * len(classes) + klass
        yield Curves(curve, image.astype(np.int32), row.astype(np.int32), np.flatnonzero(~there))


def _alike(count: Positions, cells: int) -> Iterator[tuple[Positions, Positions]]:
    """Those that count something, in parts of similar counts, and the layout of a table for each.

    How many columns a count has depends on nothing else, so that sums are taken in one order whatever else there is.

    Args:
        count: int64[c].
        cells: How many cells a table may have, if it is not of one alone.

    Yields:
        int64[g], indices, and int64[h, n], the rank 0.. that stands at a height in a column.
    """
    order = np.argsort(count, kind="stable")
    ascending = count[order]
    last = len(order)
    while last and (most := int(ascending[last - 1])):
        columns = 1 if most <= _LONG else -(-most // _HEIGHT)
        fewest = most - most // 4 if columns == 1 else (columns - 1) * _HEIGHT + 1
        first = max(int(np.searchsorted(ascending, fewest)), last - max(1, cells // most))
        height = most if columns == 1 else _HEIGHT
        yield order[first:last], np.arange(columns * height).reshape(columns, height).T
        last = first


def _images(image: Places, begin: Positions, count: Positions, rank: Positions, nothing: int) -> Places:
    """int32[h, n, k], the images of k classes' boxes, which begin somewhere in `image`, and `nothing` behind the last
    one.
    """
    there = rank[:, :, None] < count
    images = np.full(there.shape, nothing, np.int32)
    images[there] = image[(begin + rank[:, :, None])[there]]
    return images
