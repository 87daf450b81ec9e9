"""Images as empty frames of their shape with the outlines of what is labelled in them and of what was found. Pure.

The image itself is behind a signed address that is never stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.results import Boxes, ResultSet
from monitor.text import shown
from monitor.views.report import plain

_UNSIZED = (1000, 1000)  # of an image whose size nobody knows: what was found in it is in shares
_MOST_BOXES = 100
"""Of each kind that a frame draws."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A box in pixels of the image, and its class."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """An image.

    Attributes:
        sample_id: Of the image.
        width, height: In pixels.
        truth: What is labelled in it.
        found: What is found in it now.
        found_before: What the baseline's run found.
    """

    sample_id: int
    width: int
    height: int
    truth: tuple[Outline, ...]
    found: tuple[Outline, ...]
    found_before: tuple[Outline, ...]


def frames(sample_ids: Iterable[int], current: ResultSet | None, baseline: ResultSet | None) -> dict[int, Frame]:
    """The frames of samples that one of two runs holds, by id; none for runs whose boxes are not known.

    Args:
        sample_ids: Of the images.
        current, baseline: The runs; None where they are not known. Truth and shape are those of the current one, unless
            only the baseline has the sample.
    """
    found: dict[int, Frame] = {}
    for sample_id in sample_ids:
        now = _place(current, sample_id)
        before = _place(baseline, sample_id)
        run, place = (current, now) if now is not None else (baseline, before)
        if run is None or place is None or run.truth is None or sample_id in found:
            continue
        size = _size(run, place)
        if size is None:
            continue
        found[sample_id] = Frame(
            sample_id,
            *size,
            _outlines(run, run.truth, (place, place + 1), (1.0, 1.0)),
            _found(current, now, size),
            _found(baseline, before, size),
        )
    return found


def _place(run: ResultSet | None, sample_id: int) -> int | None:
    if run is None:
        return None
    place = int(np.searchsorted(run.sample_id, sample_id))
    return place if place < run.samples and run.sample_id[place] == sample_id else None


def _size(run: ResultSet, place: int) -> tuple[int, int] | None:
    """Width and height; None where they are not known, and labelled boxes, which are in pixels, are somewhere."""
    width, height = (0, 0) if run.image_size is None else (int(side) for side in run.image_size[place])
    if width > 0 and height > 0:
        return width, height
    assert run.truth is not None
    first, end = np.searchsorted(run.truth.owner, [place, place + 1])
    return None if end > first else _UNSIZED


def _found(run: ResultSet | None, place: int | None, size: tuple[int, int]) -> tuple[Outline, ...]:
    if run is None or place is None or run.detections is None:
        return ()
    first, end = np.searchsorted(run.sample, [place, place + 1]).tolist()
    return _outlines(run, run.detections, (first, end), size)


def _outlines(run: ResultSet, boxes: Boxes, owners: tuple[int, int], scale: tuple[float, float]) -> tuple[Outline, ...]:
    """The boxes of the owners from the first number on, up to before the second; `scale` makes them pixels."""
    first, end = np.searchsorted(boxes.owner, owners).tolist()
    rows = slice(first, min(end, first + _MOST_BOXES))
    xywh = boxes.xywh[rows] * np.tile(scale, 2)
    return tuple(
        Outline(x, y, width, height, shown(run.labels[code]) if code >= 0 else "?")
        for (x, y, width, height), code in zip(xywh.tolist(), boxes.label[rows].tolist(), strict=True)
        if math.isfinite(x + y + width + height)
    )


def as_json(frame: Frame | None) -> Any:
    """A frame as JSON values; None where there is none."""
    return None if frame is None else plain(frame)
