"""Classes, confusion and slices beside the baseline's."""

from __future__ import annotations

import pytest

from monitor.figures.evaluation import ClassFigures, Detection, Slice
from monitor.views.classes import classes, confusion, confusion_as_json, slice_rows
from tests.factories import evaluation, known, quality


def figures(f1: float, windows: int = 10) -> ClassFigures:
    """A class of this F1."""
    return ClassFigures(f1, f1, f1, windows)


NOW = evaluation(
    quality=quality(
        classes={"a": figures(0.9, 50), "b": figures(0.5, 30), "c": figures(0.7, 20)},
        confusion={("a", "a"): 45, ("a", "b"): 5, ("b", "b"): 30, ("c", "uncertain"): 4, ("c", "c"): 16},
    ),
    slices={("site", "x"): Slice(0.5, 10), ("site", "y"): Slice(0.9, 20), ("site", "new"): Slice(0.1, 5)},
)
BEFORE = evaluation(
    quality=quality(
        classes={"a": figures(0.8, 40), "b": figures(0.9, 30), "gone": figures(1.0)},
        confusion={("a", "a"): 40, ("b", "a"): 10, ("b", "b"): 10},
    ),
    slices={("site", "x"): Slice(0.9, 10), ("site", "y"): Slice(0.8, 20)},
)


def test_what_lost_most_comes_first() -> None:
    """Classes are sorted by the change of their F1, new ones count as unchanged; a limit keeps the largest."""
    found = classes(NOW, BEFORE, 30)

    assert ["b", "c", "a"] == [row.name for row in found.rows]
    assert pytest.approx([-0.4, 0.1]) == [row.change for row in found.rows if row.change is not None]
    assert found.rows[1].before is None
    cut = classes(NOW, BEFORE, 2)
    assert (["b", "a"], 1) == ([row.name for row in cut.rows], cut.cut)
    assert ["a", "b", "c"] == [row.name for row in classes(NOW, None, 30).rows]


def test_classes_of_images() -> None:
    """Of detectors, figures by class come from the boxes; without them there is only the average precision, whose
    change then sorts.
    """
    now = evaluation(detection=Detection(class_ap={"car": 0.5, "dog": 0.6}))
    before = evaluation(detection=Detection(class_ap={"car": 0.4, "dog": 0.9}))
    bare = classes(now, before, 30)
    found = {"car": figures(0.2), "dog": figures(0.8)}
    boxed = classes(now, before, 30, found, {"car": figures(0.9), "dog": figures(0.8)})

    assert (["dog", "car"], False, True) == ([row.name for row in bare.rows], bare.with_figures, bare.with_ap)
    assert (["car", "dog"], True) == ([row.name for row in boxed.rows], boxed.with_figures)
    limited = classes(evaluation(detection=Detection()), None, 1, {"car": figures(0.2, 3), "dog": figures(0.8, 9)})
    assert (["dog"], 1) == ([row.name for row in limited.rows], limited.cut)


def test_a_cell_says_its_share_and_its_change() -> None:
    """A cell has its count, its share of the true class, and what both were; a class that the baseline did not have has
    no change. The JSON has every cell of either run.
    """
    found = known(confusion(NOW, BEFORE, 30))
    cells = {(cell.label, cell.prediction): cell for _, row, _ in found.rows for cell in row}

    assert ("a", "b", "c", "uncertain") == found.predictions
    wrong = cells["a", "b"]
    assert (5, 0, 0.1, 0.0) == (wrong.windows, wrong.before, wrong.share, wrong.share_before)
    assert pytest.approx(0.5) == cells["b", "b"].change
    assert pytest.approx(-0.5) == cells["b", "a"].change
    assert (None, 0) == (cells["c", "c"].change, cells["c", "c"].before)
    alone = known(confusion(NOW, None, 30))
    assert {None} == {cell.before for _, row, _ in alone.rows for cell in row}
    written = {(cell["label"], cell["prediction"]): cell["windows"] for cell in confusion_as_json(NOW, BEFORE)["cells"]}
    assert written == {**known(NOW.quality).confusion, ("b", "a"): 0}
    assert confusion(evaluation(), BEFORE, 30) is None


def test_slices_with_their_change() -> None:
    """Of each slice what lost most comes first; a value that the baseline did not have has no change."""
    rows = slice_rows(NOW, BEFORE)

    assert ["x", "new", "y"] == [row.value for row in rows]
    assert pytest.approx(-0.4) == rows[0].change
    assert rows[1].change is None
