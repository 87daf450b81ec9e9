"""Boxes and centroids of all pages, as they come, each with its owner."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from monitor.results import Boxes, IntArray, Points, shrink_dtype
from monitor.studio import wire
from monitor.studio.rows import Codes, floats, ints, numbers, span_of


class BoxRows:
    """Boxes as they come: label code, x, y, width, height, score. What a box lacks is NaN until the end, where it is
    left out.
    """

    def __init__(self) -> None:
        self.owners = array("q")
        self.label = array("q")
        self.numbers = array("d")

    def add(
        self, owners: Iterable[int], listed: Iterable[list[wire.Box] | None], labels: Codes, *, scored: bool
    ) -> None:
        """Append the boxes of several owners.

        Args:
            owners: In ascending order.
            listed: For each owner its boxes.
            labels: Codes of their labels.
            scored: Whether they are predicted ones.
        """
        owned = [(owner, box) for owner, boxes in zip(owners, listed, strict=True) for box in boxes or ()]
        boxes = [box for _, box in owned]
        columns = [
            [box.x for box in boxes],
            [box.y for box in boxes],
            [box.width for box in boxes],
            [box.height for box in boxes],
            [box.score for box in boxes] if scored else [0.0] * len(boxes),
        ]
        self.owners.extend(array("q", [owner for owner, _ in owned]))
        self.label.extend(labels.column([box.label for box in boxes]))
        self.numbers.frombytes(np.column_stack([numbers(column, np.nan) for column in columns]).tobytes())

    def content(self, owner: int, end: int | None = None) -> bytes:
        """As `Rows.content`; of the owners up to `end` where that is given."""
        span = span_of(ints(self.owners), owner, owner + 1 if end is None else end)
        owners = ints(self.owners)[span] - owner
        return b"".join(
            (owners.tobytes(), self.label[span].tobytes(), self.numbers[5 * span.start : 5 * span.stop].tobytes())
        )

    def forget(self, owner: int) -> None:
        """Drop the boxes of this owner and of those after it."""
        first = int(np.searchsorted(ints(self.owners), owner))
        del self.owners[first:], self.label[first:], self.numbers[5 * first :]

    def columns(self, place: IntArray, *, scored: bool) -> tuple[Boxes, int]:
        """The boxes in ascending order of their owner's place, those of one owner in the order they came; and how many
        were left out.

        Args:
            place: For each owner its place in the result, -1 where it has none.
            scored: Whether they are predicted ones.
        """
        owner = place[ints(self.owners)]
        numbers = floats(self.numbers).reshape(-1, 5)
        belongs = owner >= 0
        whole = ~np.isnan(numbers).any(axis=1)
        kept = np.flatnonzero(belongs & whole)
        order = kept[np.argsort(owner[kept], kind="stable")]
        xywh = np.ascontiguousarray(numbers[order, :4])
        score = numbers[order, 4].copy() if scored else None
        boxes = Boxes(shrink_dtype(owner[order]), ints(self.label)[order], xywh, score)
        return boxes, int((belongs & ~whole).sum())


class PointRows:
    """FOMO's centroids as they come; their owners are rows of the images."""

    def __init__(self) -> None:
        self.owners = array("q")
        self.label = array("q")
        self.xy = array("d")

    def add(self, owner: int, points: Iterable[wire.Centroid | None]) -> None:
        """Append one image's. What one lacks is NaN, and -1 as class: it matches nothing, and the others keep their
        places.
        """
        for point in points:
            point = point or wire.Centroid()
            self.owners.append(owner)
            self.label.append(-1 if point.label is None else point.label)
            self.xy.extend(np.nan if number is None else number for number in (point.x, point.y))

    def content(self, first: int, end: int) -> bytes:
        """Those of the images from `first` up to `end`, the same bytes for the same content."""
        span = span_of(ints(self.owners), first, end)
        owners = ints(self.owners)[span] - first
        return b"".join(
            (owners.tobytes(), self.label[span].tobytes(), self.xy[2 * span.start : 2 * span.stop].tobytes())
        )

    def columns(self, windows: IntArray) -> Points:
        """The points in ascending order of their window; `windows` gives it for each image, -1 where there is none."""
        window = windows[ints(self.owners)] if len(self.owners) else np.empty(0, np.int64)
        kept = np.flatnonzero(window >= 0)
        order = kept[np.argsort(window[kept], kind="stable")]
        xy = np.ascontiguousarray(floats(self.xy).reshape(-1, 2)[order])
        return Points(shrink_dtype(window[order]), shrink_dtype(ints(self.label)[order]), xy)
