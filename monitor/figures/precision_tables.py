"""Matches laid out in tables, so that numpy reckons classes, IoU thresholds and weightings many at a time.

A table stands for curves with about as many boxes each. The boxes of a curve by descending score stand one below the
other, in one column or, where they are many, in several: numpy adds up few long rows in a fraction of the time that it
takes for many short ones. Hits with no other detection between them are a *run*: at its end a curve is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.coco import IOU_THRESHOLDS, Matches, Positions

_WEIGHTINGS_AT_ONCE = 256
_TALLEST = 1 << 21  # weightings x boxes of one class: bounds the memory
_BATCH_CELLS = 1 << 21  # weightings x detections of some classes: what is looked up at random
_CELLS_AT_ONCE = 1 << 18  # weightings x hits or runs: what stays in the cache of one core
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
class Hits:
    """The hits of some curves.

    Attributes:
        image: int32[h, n, g], their images; behind the last one that of none.
        ends: int64[e], the places in this table where a run of hits ends.
    """

    image: Places
    ends: Positions


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Precision-recall curves with about as many runs of hits.

    Attributes:
        curve: int64[g], which ones of a batch's: class by class, of each its thresholds.
        hit: int32[r, n, g], where their runs end among the ends of the batch's tables of hits, one table after the
            other; and then the last one again.
        row: int32[r, n, g], where they end in the batch's table of detections; and then the last one again.
    """

    curve: Positions
    hit: Places
    row: Places


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Classes with about as many detections.

    Attributes:
        classes: int64[k], which ones.
        image: int32[h, n, k], the images of their detections; behind the last one that of none.
        hits: Those of the curves.
        curves: Those with a hit.
    """

    classes: Positions
    image: Places
    hits: tuple[Hits, ...]
    curves: tuple[Curves, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionTables:
    """All tables of matches.

    Attributes:
        images, classes: How many of each there are; the image of none has the number `images`.
        at_once: For how many weightings the tables are made.
        truths: Those with truth boxes.
        batches: Those with detections.
    """

    images: int
    classes: int
    at_once: int
    truths: tuple[Truths, ...]
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, matches: Matches, weightings: int = _WEIGHTINGS_AT_ONCE) -> PrecisionTables:
        """Those of matches, for about so many weightings: for few of them in fewer and larger tables."""
        detections = np.diff(matches.ends)
        truths = np.diff(matches.truth_ends)
        most = int(max(detections.max(initial=1), truths.max(initial=1)))
        at_once = max(1, min(_TALLEST // most, weightings, _WEIGHTINGS_AT_ONCE))
        cells = _BATCH_CELLS // at_once
        runs = _Runs.of(matches)
        return cls(
            matches.images,
            len(matches.classes),
            at_once,
            tuple(
                Truths(part, _images(matches.truth_image, matches.truth_ends[part], truths[part], rank, matches.images))
                for part, rank in _alike(truths, cells)
            ),
            tuple(_batch(matches, runs, part, rank, at_once) for part, rank in _alike(detections, cells)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """The hits of all curves, threshold by threshold and class by class, and their runs: hits with no other detection
    of the class between them.

    Attributes:
        hit: int64[h], the detections.
        before: int64[h + 1], how many runs end before each hit, and in all.
        last: int64[r], the detection that each run ends with.
        begin: int64[10, c + 1], where in `hit` the curves of a threshold begin, and where the last one ends.
    """

    hit: Positions
    before: Positions
    last: Positions
    begin: Positions

    @classmethod
    def of(cls, matches: Matches) -> _Runs:
        """Those of matches."""
        threshold, hit = np.nonzero(matches.hits)
        width = matches.hits.shape[1]
        begin = np.searchsorted(threshold * width + hit, np.arange(len(matches.hits))[:, None] * width + matches.ends)
        ends = np.diff(hit, append=-1) != 1
        ends[begin[begin > 0] - 1] = True
        return cls(hit, np.append(0, np.cumsum(ends)), hit[ends], begin)


def _batch(matches: Matches, runs: _Runs, classes: Positions, rank: Positions, at_once: int) -> Batch:
    """That of some classes.

    Args:
        matches, runs: Of all classes.
        classes: int64[k], which ones.
        rank: As `_alike` gives it for their detections.
        at_once: The number of weightings.
    """
    count = matches.ends[classes + 1] - matches.ends[classes]
    image = _images(matches.image, matches.ends[classes], count, rank, matches.images)
    first = runs.begin[:, classes].T.ravel()
    end = runs.begin[:, classes + 1].T.ravel()
    hits = []
    place = np.empty(len(runs.last), np.int32)
    placed = 0
    for curve, hit_rank in _alike(end - first, _CELLS_AT_ONCE // at_once):
        table, run = _hits(matches, runs, first[curve], end[curve], hit_rank)
        hits.append(table)
        place[run] = np.arange(placed, placed + len(run))
        placed += len(run)
    begin = matches.ends[classes].repeat(len(IOU_THRESHOLDS))
    curves = []
    for curve, run_rank in _alike(runs.before[end] - runs.before[first], _CELLS_AT_ONCE // at_once):
        run = np.minimum(runs.before[first[curve]] + run_rank[:, :, None], runs.before[end[curve]] - 1)
        column, step = np.divmod(runs.last[run] - begin[curve], len(rank))
        row = (step * rank.shape[1] + column) * len(classes) + curve // len(IOU_THRESHOLDS)
        curves.append(Curves(curve, place[run], row.astype(np.int32)))
    return Batch(classes, image, tuple(hits), tuple(curves))


def _hits(matches: Matches, runs: _Runs, first: Positions, end: Positions, rank: Positions) -> tuple[Hits, Positions]:
    """Those of some curves, and the run of each of its ends.

    Args:
        matches, runs: Of all classes.
        first, end: int64[g], where in `runs.hit` those of each curve are.
        rank: As `_alike` gives it for them.
    """
    hit = np.minimum(first + rank[:, :, None], end - 1)
    there = rank[:, :, None] < end - first
    run = runs.before[hit]
    ends = np.flatnonzero(there & (runs.before[hit + 1] > run))
    image = np.where(there, matches.image[runs.hit[hit]], matches.images).astype(np.int32)
    return Hits(image, ends), run.ravel()[ends]


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
