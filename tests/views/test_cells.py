"""The windows behind a cell of the confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.figures.classification import quality
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind
from monitor.store.changed_samples import ListsReplaced
from monitor.text import shown
from monitor.views.cells import Cell, as_json, cell_page
from tests.factories import encoded, known, result_set
from tests.store.store_sets import TARGET

LONG = "x" * 1000
LABELS = ["a", "a", "a", LONG, LONG, "b"] * 20
PREDICTIONS = ["b", "b", "a", "b", LONG, "b"] * 20
RESULTS = result_set(
    120,
    blocks=(Block(3, "keras", BlockKind.CLASSIFICATION),),
    correct=np.array([WRONG, UNSCORED, CORRECT, WRONG, CORRECT, CORRECT] * 20, np.int8),
    **encoded(LABELS, PREDICTIONS),
)


def test_every_cell_has_its_windows() -> None:
    """Each cell has as many windows as the confusion matrix counts, those that Studio did not score left out; an
    endless name is found by what is shown of it.
    """
    counts = known(quality(RESULTS, None)).confusion
    for (label, prediction), windows in counts.items():
        page = cell_page(TARGET, RESULTS, "f", Cell(shown(label), shown(prediction), 1000), "url")
        assert windows == page.count == len(page.windows)
        assert {(shown(label), shown(prediction))} == {(each.label, each.prediction) for each in page.windows}
    assert 20 == counts["a", "b"]


def test_pages_follow_each_other() -> None:
    """All pages together are the cell, in order; a cursor is of one cell of one result set."""
    found: list[int] = []
    after = ""
    while True:
        page = cell_page(TARGET, RESULTS, "f", Cell("a", "b", 7, after), "url")
        found += [window.sample_id for window in page.windows]
        if page.next is None:
            break
        after = page.next

    assert list(range(0, 120, 6)) == found
    with pytest.raises(ListsReplaced):
        cell_page(TARGET, RESULTS, "another", Cell("a", "b", 7, after), "url")
    with pytest.raises(ListsReplaced):
        cell_page(TARGET, RESULTS, "f", Cell("a", "a", 7, after), "url")
    with pytest.raises(ValueError, match="is not the `next`"):
        cell_page(TARGET, RESULTS, "f", Cell("a", "b", 7, "7"), "url")
    written = as_json(cell_page(TARGET, RESULTS, "f", Cell("a", "b"), "url"))
    assert (20, None) == (written["count"], written["next"])
