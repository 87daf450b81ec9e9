"""Figures by class, confusion and slices beside the baseline's: what got worse comes first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.figures.classes import largest_classes
from monitor.figures.evaluation import ClassFigures, Evaluation, Slice
from monitor.views.report import plain

_LEVELS = 10  # of the heat table

ByClass = Mapping[str, ClassFigures]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its figures as far as they apply and its average precision, now and in the baseline."""

    name: str
    now: ClassFigures | None
    before: ClassFigures | None
    ap: float | None = None
    ap_before: float | None = None

    @property
    def change(self) -> float | None:
        """By how much its F1 changed, else its average precision; None where there is nothing to compare with."""
        if self.now is not None and self.before is not None:
            return self.now.f1 - self.before.f1
        return None if self.ap is None or self.ap_before is None else self.ap - self.ap_before


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a result set: what got worse first, then by name; and how many smaller ones are not shown."""

    rows: tuple[ClassRow, ...]
    cut: int

    @property
    def with_figures(self) -> bool:
        """Whether a class has precision and recall."""
        return any(row.now is not None for row in self.rows)

    @property
    def with_ap(self) -> bool:
        """Whether a class has an average precision."""
        return any(row.ap is not None for row in self.rows)


def classes(
    now: Evaluation,
    before: Evaluation | None,
    limit: int,
    objects: ByClass | None = None,
    objects_before: ByClass | None = None,
) -> Classes:
    """The largest classes of a result set, at most `limit`.

    Args:
        now, before: The figures of the result set and of the baseline; None where there is none.
        limit: How many classes.
        objects, objects_before: Figures by class of models of images, which no evaluation has; None where not known.
    """
    known: ByClass = now.quality.classes if now.quality else objects or {}
    earlier: ByClass = (before.quality.classes if before and before.quality else objects_before) or {}
    ap: Mapping[str, float] = now.detection.class_ap if now.detection else {}
    ap_before: Mapping[str, float] = before.detection.class_ap if before and before.detection else {}
    names, cut = _largest(now, known, limit)
    rows = [
        ClassRow(name, known.get(name), earlier.get(name), ap.get(name), ap_before.get(name)) for name in sorted(names)
    ]
    return Classes(tuple(sorted(rows, key=lambda row: row.change or 0.0)), cut)


def _largest(now: Evaluation, known: ByClass, limit: int) -> tuple[tuple[str, ...], int]:
    if now.quality is not None or not known:
        found = largest_classes(now, limit)
        return found.names, found.cut_names
    names = sorted(known, key=lambda name: (-known[name].windows, name))
    return tuple(names[:limit]), max(len(names) - limit, 0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One count of a confusion matrix.

    Attributes:
        label, prediction: Of the windows that it counts.
        windows: How many.
        before: How many there were in the baseline; None without one.
        share: Of the windows of the true class.
        share_before: Likewise in the baseline; None where it had no window of the class.
        level: 0..10, by the share.
        hit: Whether the prediction is the label.
    """

    label: str
    prediction: str
    windows: int
    before: int | None
    share: float
    share_before: float | None
    level: int
    hit: bool

    @property
    def change(self) -> float | None:
        """By how much the share of the row changed; None without a baseline."""
        return None if self.share_before is None else self.share - self.share_before


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix, as far as it is shown.

    Attributes:
        predictions: Heads of the columns.
        rows: Per true class its cells, and what was predicted beyond the columns.
        cut: Classes and predictions that are not shown.
    """

    predictions: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], int], ...]
    cut: int


def confusion(now: Evaluation, before: Evaluation | None, limit: int) -> Confusion | None:
    """The confusion matrix of the `limit` largest classes beside the baseline's; None where there is none."""
    quality = now.quality
    if quality is None or not quality.confusion:
        return None
    earlier = before.quality.confusion if before is not None and before.quality is not None else None
    found = largest_classes(now, limit)
    predictions = found.names + found.predictions
    totals = _totals(quality.confusion)
    totals_before = _totals(earlier or {})
    rows = []
    for name in found.names:
        cells = tuple(
            _cell(name, predicted, quality.confusion, totals[name], earlier, totals_before[name])
            for predicted in predictions
        )
        rows.append((name, cells, totals[name] - sum(cell.windows for cell in cells)))
    return Confusion(predictions, tuple(rows), found.cut)


def _totals(counts: Mapping[tuple[str, str], int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for (name, _), windows in counts.items():
        totals[name] += windows
    return totals


def _cell(
    label: str,
    prediction: str,
    counts: Mapping[tuple[str, str], int],
    total: int,
    earlier: Mapping[tuple[str, str], int] | None,
    total_before: int,
) -> Cell:
    windows = counts.get((label, prediction), 0)
    before = None if earlier is None else earlier.get((label, prediction), 0)
    share = windows / total if total else 0.0
    return Cell(
        label,
        prediction,
        windows,
        before,
        share,
        before / total_before if before is not None and total_before else None,
        min(int(share * _LEVELS) + 1, _LEVELS) if windows else 0,
        label == prediction,
    )


def confusion_as_json(now: Evaluation, before: Evaluation | None) -> dict[str, Any]:
    """A whole confusion matrix as JSON values: all classes and predictions, only cells that either run has."""
    counts = now.quality.confusion if now.quality else {}
    earlier = before.quality.confusion if before is not None and before.quality is not None else None
    totals = _totals(counts)
    totals_before = _totals(earlier or {})
    pairs = sorted(counts.keys() | (earlier or {}).keys())
    cells = [_cell(*pair, counts, totals[pair[0]], earlier, totals_before[pair[0]]) for pair in pairs]
    return {
        "cells": [
            {
                "label": cell.label,
                "prediction": cell.prediction,
                "windows": cell.windows,
                "share": cell.share,
                "windows_before": cell.before,
                "share_before": cell.share_before,
                "change": cell.change,
            }
            for cell in cells
        ]
    }


def classes_as_json(found: Classes) -> list[dict[str, Any]]:
    """Classes as JSON values."""
    return [plain(row) | {"change": row.change} for row in found.rows]


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One value of a slice, now and in the baseline."""

    key: str
    value: str
    now: Slice
    before: Slice | None

    @property
    def change(self) -> float | None:
        """By how much its accuracy changed; None where the baseline does not have it."""
        return None if self.before is None else self.now.accuracy - self.before.accuracy


def slice_rows(now: Evaluation, before: Evaluation | None) -> tuple[SliceRow, ...]:
    """The slices of a result set, by key; of each key what got worse first, then by value."""
    earlier = before.slices if before is not None else {}
    rows = [SliceRow(*pair, part, earlier.get(pair)) for pair, part in sorted(now.slices.items())]
    return tuple(sorted(rows, key=lambda row: (row.key, row.change or 0.0)))
