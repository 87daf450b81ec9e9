"""Figures by class of detectors, beside the simulator's own books."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from monitor.compare.box_classes import box_class_figures
from monitor.results import Block, BlockKind, Boxes, FomoCounts, Points
from tests.factories import images

FOMO = Block(3, "keras-object-detection", BlockKind.FOMO)
DETECTOR = Block(3, "keras-object-detection", BlockKind.DETECTION)


def points(rows: list[tuple[int, int, float, float]]) -> Points:
    """Centroids by (window, class number, x, y)."""
    return Points(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int8),
        np.array([row[2:] for row in rows]).reshape(-1, 2),
    )


def test_centroids_by_class() -> None:
    """A prediction hits the nearest labelled centroid of its class within the distance; two may share one; what hits
    nothing is wrong, what nothing hits is missed. Class numbers are called as the labelled boxes are.
    """
    truth = [(0, 1, 0.2, 0.2), (0, 1, 0.8, 0.8), (1, 2, 0.5, 0.5), (2, 2, 0.1, 0.1)]
    predicted = [(0, 1, 0.21, 0.2), (0, 1, 0.19, 0.2), (0, 2, 0.8, 0.8), (1, 2, 0.55, 0.5)]
    results = images(
        3,
        blocks=(FOMO,),
        labels=("bolt", "nut"),
        image_size=np.full((3, 2), 100, np.int32),
        truth=Boxes(
            np.array([0, 0, 1, 2], np.int32),
            np.array([0, 0, 1, 1], np.int8),
            np.array([[x * 100 - 5, y * 100 - 5, 10, 10] for _, _, x, y in truth]),
        ),
        fomo=FomoCounts(
            np.array([2, 1, 0]),
            np.array([1, 0, 0]),
            np.array([1, 0, 1]),
            np.full(3, 0.1),
            points(truth),
            points(predicted),
        ),
    )
    found = box_class_figures(results)

    assert {"bolt", "nut"} == found.keys()
    assert (1.0, pytest.approx(2 / 3), pytest.approx(0.8), 2) == (
        found["bolt"].precision,
        found["bolt"].recall,
        found["bolt"].f1,
        found["bolt"].windows,
    )
    assert (0.5, 0.5, 0.5, 2) == (found["nut"].precision, found["nut"].recall, found["nut"].f1, found["nut"].windows)


def test_unreadable_reports_have_no_classes() -> None:
    """Where one image's report cannot be read nothing is said of any class; nor where the model finds nothing."""
    unread = images(
        1,
        blocks=(FOMO,),
        labels=("bolt",),
        truth=Boxes(np.array([0], np.int32), np.array([0], np.int8), np.array([[1.0, 1, 2, 2]])),
        fomo=FomoCounts(*(np.array([-1]),) * 3, np.full(1, np.nan), points([(0, 1, 0.5, 0.5)]), points([])),
    )

    assert {} == box_class_figures(unread)
    assert {} == box_class_figures(images(1, blocks=(FOMO,)))
    assert {} == box_class_figures(images(1, blocks=(DETECTOR,)))
    assert {} == box_class_figures(images(1))


def test_bounds_of_the_recall() -> None:
    """The recall of a class has Wilson's bounds over its objects; where those of an image are found and missed
    together, over as many as there are images. Under 30 images there are none.
    """
    hits = np.arange(60) % 3 > 0
    for together in (1, 4):
        owner = np.repeat(np.arange(60, dtype=np.int32), together)
        corner = np.tile(np.arange(together) * 20.0, 60)
        truth = np.stack([corner, corner, *np.full((2, len(owner)), 10.0)], axis=1)
        found = hits[owner]
        results = images(
            60,
            blocks=(DETECTOR,),
            labels=("forklift",),
            image_size=np.full((60, 2), 100, np.int32),
            truth=Boxes(owner, np.zeros(len(owner), np.int8), truth),
            detections=Boxes(
                owner[found], np.zeros(found.sum(), np.int8), truth[found] / 100, np.full(found.sum(), 0.9)
            ),
        )
        figures = box_class_figures(results)["forklift"]
        interval = figures.recall_interval

        assert (pytest.approx(2 / 3), 60 * together) == (figures.recall, figures.windows)
        assert interval is not None
        lower, upper = proportion_confint(2 / 3 * 59, 59, method="wilson")  # the variance between images is estimated
        assert pytest.approx((lower, upper)) == (interval.lower, interval.upper)
    few = images(
        29,
        blocks=(DETECTOR,),
        labels=("forklift",),
        image_size=np.full((29, 2), 100, np.int32),
        truth=Boxes(np.arange(29, dtype=np.int32), np.zeros(29, np.int8), np.full((29, 4), 10.0)),
        detections=Boxes(np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros((0, 4)), np.zeros(0)),
    )
    assert box_class_figures(few)["forklift"].recall_interval is None
