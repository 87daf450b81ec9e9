"""Whatever legal pages Studio sends, what a target's charts are drawn from is what independent libraries count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from monitor.compare.box_classes import box_class_figures
from monitor.figures.histograms import score_distributions
from tests.pages.page_checks import read
from tests.pages.page_content import content
from tests.pages.page_oracle import anomaly_scores, box_recalls, expected
from tests.pages.page_replies import Spelling
from tests.pages.page_shapes import KINDS, Shape
from tests.pages.page_strategies import shapes

CASES = 15


@pytest.mark.parametrize("kind", KINDS)
def test_histograms_and_reliability(kind: str) -> None:
    """Every finite anomaly score is in its bin, blocks without any have no histogram, and the reliability diagram adds
    up to the calibration error.
    """

    @settings(max_examples=CASES)
    @given(shapes((kind,)))
    def holds(shape: Shape) -> None:
        made = content(shape)
        found = score_distributions(read(Spelling().bodies(made.results, made.predictions)), None)
        scores = anomaly_scores(made.results, made.predictions)
        blocks = {each.block_id: each for each in found.histograms if each.block_id is not None}
        assert scores.keys() == blocks.keys()
        for block, values in scores.items():
            edges = np.array(blocks[block].edges)
            within = np.clip(values, edges[0], edges[-1])
            assert tuple(np.histogram(within, edges)[0].tolist()) == blocks[block].now
            assert len(values) == sum(blocks[block].now)
            assert blocks[block].beyond == sum(not edges[0] <= value <= edges[-1] for value in values)
        error = expected(made.results, made.predictions).get(("calibration_error_ratio", ()))
        windows = sum(each.windows for each in found.reliability)
        gaps = [each.windows * abs(each.accuracy - each.confidence) for each in found.reliability]
        assert (error is None) == (not windows)
        if error is not None:
            assert pytest.approx(error, abs=1e-9) == sum(gaps) / windows

    holds()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "box" in kind or "detection" in kind])
def test_recall_of_boxes_by_class(kind: str) -> None:
    """The recall of each class is pycocotools' at an IoU of 0.5, of the same classes."""

    @settings(max_examples=CASES)
    @given(shapes((kind,)))
    def holds(shape: Shape) -> None:
        made = content(shape)
        found = box_class_figures(read(Spelling().bodies(made.results, made.predictions)))
        recalls = box_recalls(made.results, made.predictions)
        assert pytest.approx(recalls) == {name: figures.recall for name, figures in found.items()}

    holds()
