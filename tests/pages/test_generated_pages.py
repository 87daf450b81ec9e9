"""Whatever legal pages Studio sends, each exported figure is that of independent libraries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.pages.page_checks import check
from tests.pages.page_content import content
from tests.pages.page_replies import Spelling
from tests.pages.page_shapes import KINDS, Shape
from tests.pages.page_strategies import shapes, spellings

CASES = 20
"""Of each kind; `python -m tests.benchmarks pages` compares thousands."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_the_oracles(kind: str) -> None:
    """Figures are those of scikit-learn, pycocotools and NumPy, nothing else is exported, and how a set is written does
    not matter.
    """

    @settings(max_examples=CASES)
    @given(shapes((kind,)), spellings)
    def holds(shape: Shape, spelling: Spelling) -> None:
        check(content(shape), spelling)

    holds()
