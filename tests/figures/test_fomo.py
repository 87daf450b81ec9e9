"""FOMO: figures from its own matching, never from what it reports as mAP."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.figures.detection import detection
from monitor.figures.evaluation import Detection
from monitor.results import Block, BlockKind, Boxes, FomoCounts, Points, ResultSet
from tests import factories

NOTHING = (-1, -1, -1)


def result_set(
    counts: list[tuple[int, int, int]], f1: list[float | None] | None = None, truth: list[int] | None = None
) -> ResultSet:
    """One window per sample with (TP, FP, FN) each; `truth` names the samples with a labelled box."""
    images = len(counts)
    columns = np.array(counts, np.int8).reshape(-1, 3)
    owners = np.array(sorted(truth or ()), np.int32)
    reported = np.array([np.nan if value is None else value for value in f1 or [None] * images], np.float64)
    return factories.images(
        images,
        blocks=(Block(4, "keras-object-detection", BlockKind.FOMO),),
        labels=("cup", "lamp"),
        image_size=np.full((images, 2), 96, np.int8),
        truth=Boxes(owners, np.zeros(len(owners), np.int8), np.full((len(owners), 4), 8.0)),
        detections=Boxes.none(scored=True),
        reported_map=reported,
        reported_f1=reported,
        fomo=FomoCounts(
            columns[:, 0], columns[:, 1], columns[:, 2], np.full(images, 0.2), Points.none(), Points.none()
        ),
    )


def figures(results: ResultSet, seed: int | None = None, unreadable: int = 0) -> Detection:
    """The detector's figures, where so many images cannot be read and nothing else is left out."""
    found, left_out = detection(results, seed)
    assert found is not None
    assert left_out == ({"unreadable_image": unreadable} if unreadable else {})
    return found


def test_mean_and_pooled_figures() -> None:
    """F1 per image is averaged over images; precision, recall and the pooled F1 come from the totals."""
    found = figures(result_set([(3, 1, 0), (0, 2, 2), (0, 0, 0)]))

    assert pytest.approx((6 / 7 + 0 + 1) / 3) == found.mean_f1
    assert pytest.approx({"image": (6 / 7 + 0 + 1) / 3, "pooled": 6 / 11}) == found.f1
    assert pytest.approx(3 / 6) == found.precision
    assert pytest.approx(3 / 5) == found.recall
    assert found.empty == 1


@given(st.lists(st.tuples(*[st.integers(0, 127)] * 3), min_size=1, max_size=40))
def test_equals_the_definition(counts: list[tuple[int, int, int]]) -> None:
    """Whatever the counts, figures are the definition's: also where totals do not fit the small columns."""
    found = figures(result_set(counts))
    tp, fp, fn = (sum(column) for column in zip(*counts, strict=True))

    assert pytest.approx(np.mean([2 * t / (2 * t + p + n) if t + p + n else 1 for t, p, n in counts])) == found.mean_f1
    assert pytest.approx(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None) == found.f1.get("pooled")
    assert pytest.approx(tp / (tp + fp) if tp + fp else None) == found.precision
    assert pytest.approx(tp / (tp + fn) if tp + fn else None) == found.recall
    assert sum(row == (0, 0, 0) for row in counts) == found.empty


def test_images_without_counts_fall_back_to_the_reported_f1() -> None:
    """Such an image counts for the mean with the f1 Studio reported, if any; no total is taken from the images that are
    left.
    """
    found = figures(result_set([(1, 0, 1), NOTHING, NOTHING], [0.1, 0.4, None], truth=[0, 1, 2]), unreadable=2)

    assert pytest.approx((2 / 3 + 0.4) / 2) == found.mean_f1
    assert found.f1 == {"image": found.mean_f1}
    assert found.precision is None
    assert found.recall is None
    assert found.empty == 0


def test_an_empty_image_without_counts_hides_nothing() -> None:
    """No object and, by its f1 of 1, no detection: its counts are known to be 0, so the pooled figures are of all
    images.
    """
    found = figures(result_set([(1, 2, 1), NOTHING], [0.4, 1.0], truth=[0]))

    assert found.f1 == {"image": pytest.approx((0.4 + 1) / 2), "pooled": pytest.approx(0.4)}
    assert pytest.approx(1 / 3) == found.precision
    assert found.recall == 0.5
    assert found.empty == 1


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=12), st.data())
def test_pooled_figures_are_of_all_images_or_of_none(counts: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Whichever images cannot be read, there is no pooled figure, and as many are counted; the mean takes what is
    reported.
    """
    hidden = data.draw(st.sets(st.integers(0, len(counts) - 1), min_size=1))
    seen = [NOTHING if image in hidden else row for image, row in enumerate(counts)]
    reported = [data.draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])) for _ in counts]

    found = figures(result_set(seen, reported, truth=list(range(len(counts)))), unreadable=len(hidden))

    assert set(found.f1) <= {"image"}
    assert (found.precision, found.recall) == (None, None)
    own = [2 * t / (2 * t + p + n) if t + p + n else 1 for t, p, n in counts]
    known = [f1 if image in hidden else own[image] for image, f1 in enumerate(reported)]
    values = [value for value in known if value is not None]
    assert found.mean_f1 == (pytest.approx(np.mean(values)) if values else None)


def test_empty_images_without_counts() -> None:
    """No debug information and f1 = 1 is an empty image where no object is labelled; a perfect one or a wrong one is
    not.
    """
    found = figures(result_set([NOTHING] * 4, [1.0, 1.0, 0.0, None], truth=[1]), unreadable=3)

    assert found.empty == 1
    assert pytest.approx(2 / 3) == found.mean_f1
    assert found.f1 == {"image": found.mean_f1}
    assert found.precision is None
    assert found.recall is None


def test_nothing_reported_is_nothing_known() -> None:
    """Without counts and f1 no figure is made up, and an image of unknown truth is not called empty."""
    found = figures(
        dataclasses.replace(result_set([NOTHING] * 2), fomo=None, reported_f1=None, reported_map=None, truth=None), 1, 2
    )

    assert found == Detection(empty=0)


def test_without_detections_precision_is_unknown() -> None:
    """Objects and no detection at all: recall and F1 are 0, precision does not exist."""
    found = figures(result_set([(0, 0, 2), (0, 0, 1)]))

    assert found.precision is None
    assert found.recall == 0.0
    assert found.f1 == {"image": 0.0, "pooled": 0.0}


def test_no_map_is_exported() -> None:
    """Neither the boxes nor the reported mAP, a copy of f1, become a mAP."""
    results = result_set([(1, 0, 0)] * 40, [1.0] * 40, truth=list(range(40)))
    boxes = Boxes(np.arange(40), np.zeros(40, np.int8), np.full((40, 4), 8 / 96), np.ones(40))
    found = figures(dataclasses.replace(results, detections=boxes), 1)

    assert found.map == {}
    assert found.class_ap == {}
    assert found.map_interval is None
    assert found.mean_image_map is None


def test_no_map_beside_a_box_detector() -> None:
    """Where both kinds of block share the columns, neither boxes nor reported mAP can be told apart: figures are
    FOMO's.
    """
    results = result_set([(1, 1, 0), (1, 0, 0)], [0.5, 1.0], truth=[0, 1])
    mixed = dataclasses.replace(
        results, blocks=(Block(3, "keras-object-detection", BlockKind.DETECTION), *results.blocks)
    )

    assert figures(mixed) == figures(results)


def test_passing_is_studios_verdict() -> None:
    """Studio's own verdict counts, by whatever limit the project has; images it did not judge are out of the share."""
    judged = dataclasses.replace(
        result_set([(0, 9, 0)] * 4, [0.8, 0.79, 1.0, 1.0]), correct=np.array([0, 1, 0, -1], np.int8)
    )
    found = figures(judged)

    assert pytest.approx(1 / 3) == found.passing
    assert not found.passing_by_score


def test_passing_is_of_the_reported_f1_where_studio_does_not_judge() -> None:
    """Without any verdict it is the share of images whose reported score is at least 0.8, and says so."""
    found = figures(result_set([(0, 9, 0)] * 4, [0.8, 0.79, 1.0, None]))

    assert pytest.approx(2 / 3) == found.passing
    assert found.passing_by_score


def test_intervals_need_a_seed_and_thirty_samples() -> None:
    """Bounds of the mean are of the samples: from 30 on, and only where a seed is given."""
    counts = [(k % 3, k % 2, 1) for k in range(30)]

    bounds = figures(result_set(counts), 3).mean_f1_interval

    assert bounds is not None
    mean_f1 = figures(result_set(counts)).mean_f1
    assert mean_f1 is not None
    assert bounds.lower < mean_f1 < bounds.upper
    assert figures(result_set(counts)).mean_f1_interval is None
    assert figures(result_set(counts[:29]), 3).mean_f1_interval is None
