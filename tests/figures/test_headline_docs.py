"""The table of headline figures in docs/, and that the table agrees with what computes."""

from __future__ import annotations

import math
import re

from monitor.compare.steps import STATISTICS
from monitor.figures.headline import FIGURES, ChangeTest, HeadlineFigure, with_test
from monitor.targets import LABEL_NAMES
from tests.exposition.exposition_golden import DOCS, agree

BEGIN = "<!-- Written from monitor/figures/headline.py by UPDATE_GOLDEN=1 pytest tests/figures. -->"
END = "<!-- End of what is written. -->"
TESTS = {None: "–", ChangeTest.EXACT: "exact, paired", ChangeTest.RESAMPLED: "re-sampled"}


def bound(value: float) -> str:
    """A bound of a range."""
    return "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:g}"


def row(of: HeadlineFigure) -> str:
    """A row of the table in docs."""
    fixed = "".join(f', {name}="{value}"' for name, value in of.series.headline.items())
    cells = (
        f"`{of.name}`",
        of.label + (f", the {of.worst}imum of several blocks" if of.worst else ""),
        of.unit,
        f"{bound(of.lowest)} to {bound(of.highest)}",
        "more" if of.higher_is_better else "less",
        "yes" if of.has_interval else "–",
        TESTS[of.test] + (", on what both runs share" if of.on_shared else ""),
        f"`{of.series.name}`" + (f" ({fixed.removeprefix(', ')})" if fixed else ""),
    )
    return f"| {' | '.join(cells)} |"


def test_table_in_docs_is_the_table() -> None:
    """docs/figures.md lists every headline figure with what the table says of it."""
    page = DOCS / "figures.md"
    head = (
        "| name | figure | unit | range | better | interval | test of a change | series |",
        "|---|---|---|---|---|---|---|---|",
    )
    written = "\n".join((BEGIN, "", *head, *map(row, FIGURES.values()), "", END))
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)

    assert begin
    assert end
    agree(page, before + written + after)


def test_tested_figures_have_a_statistic() -> None:
    """Whoever gives a figure a test in the table gives it a statistic of its change, and the other way round."""
    assert STATISTICS == {figure.name for figure in with_test()}


def test_exported_bounds_are_of_figures_with_an_interval() -> None:
    """Bounds are exported of nothing that has no interval."""
    assert all(figure.has_interval for figure in FIGURES.values() if figure.series.bounds)


def test_ranges_are_of_their_unit() -> None:
    """A ratio lies between 0 and 1 and is called one by its series; any other figure is not."""
    for figure in FIGURES.values():
        assert figure.is_ratio is figure.series.name.endswith("_ratio")
        assert not figure.is_ratio or (0.0, 1.0) == (figure.lowest, figure.highest)


def test_docs_name_the_labels_of_a_target() -> None:
    """Pages that list a target's labels list all of them, in order."""
    for page in ("alerts.md", "configuration.md", "metrics.md"):
        assert re.search(", ".join(f"`{name}`" for name in LABEL_NAMES), (DOCS / page).read_text(encoding="utf-8"))
