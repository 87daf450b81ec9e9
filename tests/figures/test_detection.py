"""Box detectors: COCO mAP against pycocotools, and the figures beside it."""

import contextlib
import dataclasses
import io
from typing import Unpack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from monitor.figures.average_precision import average_precision, mean_average_precision
from monitor.figures.coco import MAX_DETECTIONS, ImageBoxes, Matches, match
from monitor.figures.detection import box_matches, detection
from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit
from monitor.results import Block, BlockKind, Boxes, ResultSet
from tests import factories
from tests.factories import Columns
from tests.growth import TURNS, Costs

CLASSES = ("ant", "bee", "cat", "dog")
SIDE = (64, 48)

Box = tuple[int, int, float, float, float, float]


def result_set(
    truth: list[Box], detections: list[tuple[Box, float]], images: int, **columns: Unpack[Columns]
) -> ResultSet:
    """One window per sample; boxes as (image, class, x, y, width, height), truth in pixels of a 64 x 48 image,
    detections in shares.
    """
    truth = sorted(truth, key=lambda box: box[0])
    detections = sorted(detections, key=lambda row: row[0][0])
    found = [box for box, _ in detections]
    results = factories.images(
        images,
        blocks=(Block(3, "keras-object-detection", BlockKind.DETECTION),),
        labels=CLASSES,
        sample_id=np.arange(100, 100 + images),
        image_size=np.tile(np.array(SIDE, np.int16), (images, 1)),
        truth=Boxes(
            np.array([box[0] for box in truth], np.int32),
            np.array([box[1] for box in truth], np.int8),
            np.array([box[2:] for box in truth], np.float64).reshape(-1, 4),
        ),
        detections=Boxes(
            np.array([box[0] for box in found], np.int32),
            np.array([box[1] for box in found], np.int8),
            np.array([box[2:] for box in found], np.float64).reshape(-1, 4),
            np.array([score for _, score in detections], np.float64),
        ),
        reported_map=np.full(images, np.nan),
        reported_f1=np.full(images, np.nan),
    )
    return dataclasses.replace(results, **columns)


def oracle(results: ResultSet) -> tuple[dict[str, float], dict[str, float]]:
    """What pycocotools says: mAP by IoU, and AP per class with truth."""
    assert results.truth is not None
    assert results.detections is not None
    scale = np.tile(results.image_size, 2)[results.truth.owner]
    sides = []
    for boxes, xywh in ((results.truth, results.truth.xywh / scale), (results.detections, results.detections.xywh)):
        scores = np.zeros(len(boxes)) if boxes.score is None else boxes.score
        rows = zip(boxes.owner.tolist(), boxes.label.tolist(), xywh.tolist(), scores.tolist(), strict=True)
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(results.windows)],
            "categories": [{"id": code, "name": name} for code, name in enumerate(CLASSES)],
            "annotations": [
                {
                    "id": k,
                    "image_id": image,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "score": score,
                }
                for k, (image, label, box, score) in enumerate(rows, 1)
            ],
        }
        sides.append(coco)
    with contextlib.redirect_stdout(io.StringIO()):
        for coco in sides:
            coco.createIndex()
        run = COCOeval(*sides, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [run.params.areaRng[0]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    with_truth = [code for code in range(len(CLASSES)) if (precision[:, :, code] > -1).all()]
    known = precision[:, :, with_truth]
    if not with_truth:
        return {}, {}
    maps = {"0.50:0.95": known.mean(), "0.50": known[0].mean(), "0.75": known[5].mean()}
    return maps, {CLASSES[code]: precision[:, :, code].mean() for code in with_truth}


def agrees(results: ResultSet) -> None:
    """Assert that all of the mAP figures are pycocotools' to 1e-9."""
    maps, class_ap = oracle(results)
    found, _ = detection(results, None)

    assert found is not None
    assert pytest.approx(maps, abs=1e-9) == found.map
    assert pytest.approx(class_ap, abs=1e-9) == found.class_ap


# Whole pixels of a small grid and few scores, so that equal scores and equal overlaps are frequent.
boxes = st.tuples(
    st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 6), st.integers(0, 6)
)
scores = st.sampled_from([0.0, 0.25, 0.5, 0.5000000001, 0.75, 1.0])


def shares(box: Box) -> Box:
    """A box in pixels as shares of the image."""
    image, label, x, y, width, height = box
    return image, label, x / SIDE[0], y / SIDE[1], width / SIDE[0], height / SIDE[1]


def crowd(rng: np.random.Generator, images: int, objects: int, extra: int) -> ResultSet:
    """Random scenes: some objects missed, the others found with jitter once or twice, `extra` detections of nothing."""
    truth, found = [], []
    for image in range(images):
        for _ in range(rng.integers(objects + 1)):
            x, y, width, height = rng.uniform((0, 0, 4, 4), (40, 30, 24, 18))
            label = int(rng.integers(3))
            truth.append((image, label, x, y, width, height))
            for _ in range(rng.integers(3)):
                jitter = rng.normal(0, 1.5, 4)
                box = (
                    image,
                    label,
                    x + jitter[0],
                    y + jitter[1],
                    max(width + jitter[2], 0),
                    max(height + jitter[3], 0),
                )
                found.append((shares(box), round(float(rng.beta(4, 2)), 2)))
        for _ in range(rng.integers(extra + 1)):
            box = (image, int(rng.integers(4)), *rng.uniform((0, 0, 1, 1), (40, 30, 24, 18)))
            found.append((shares(box), round(float(rng.beta(2, 3)), 2)))
    return result_set(truth, found, images)


def untied(results: ResultSet) -> ResultSet:
    """The same set with different scores, in the same order: copies of an image would be ranked otherwise among equal
    scores.
    """
    found = results.detections
    assert found is not None
    assert found.score is not None
    return dataclasses.replace(
        results, detections=dataclasses.replace(found, score=found.score - np.arange(len(found)) * 1e-7)
    )


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(st.lists(boxes, max_size=20), st.lists(st.tuples(boxes.map(shares), scores), max_size=30))
def test_equals_pycocotools_on_small_scenes(truth: list[Box], found: list[tuple[Box, float]]) -> None:
    """Equal scores, equal overlaps, degenerate boxes, classes without truth and images without
    anything change nothing.
    """
    agrees(result_set(truth, found, 5))


@pytest.mark.parametrize(("images", "objects", "extra"), [(1, 60, 40), (40, 6, 4), (150, 3, 2)])
def test_equals_pycocotools_on_crowded_scenes(images: int, objects: int, extra: int) -> None:
    """Overlapping objects found twice compete for their matches as they do in pycocotools."""
    agrees(crowd(np.random.default_rng(images), images, objects, extra))


def test_counts_the_best_hundred_detections_of_an_image_and_class() -> None:
    """The 101st detection does not count, even if it alone hits."""
    truth = [(0, 0, 0.0, 0.0, 10.0, 10.0), (1, 0, 0.0, 0.0, 10.0, 10.0)]
    misses = [(shares((0, 0, 40.0, 30.0, 5.0, 5.0)), 0.9)] * MAX_DETECTIONS
    hits = [(shares(truth[0]), 0.1), (shares(truth[1]), 0.95)]
    results = result_set(truth, misses + hits, 2)

    agrees(results)

    found, _ = detection(results, None)
    assert found is not None
    assert pytest.approx(51 / 101) == found.map["0.50"]


def test_more_than_a_hundred_detections_of_one_image_compete_by_class() -> None:
    """The limit is one of each image and class, not of an image."""
    rng = np.random.default_rng(5)
    truth = [(image, label, 10.0 * label, 4.0 * image, 8.0, 8.0) for image in range(2) for label in range(3)]
    found = [
        (shares((image, label, 10.0 * label + shift, 4.0 * image, 8.0, 8.0)), round(float(score), 2))
        for image in range(2)
        for label in range(3)
        for shift, score in zip(rng.integers(0, 5, 130), rng.random(130), strict=True)
    ]

    agrees(result_set(truth, found, 2))


def test_equal_overlaps_go_to_the_later_truth() -> None:
    """Of two truth boxes with the same IoU the later is taken, which leaves the earlier for the next detection."""
    truth = [(0, 0, 0.0, 0.0, 8.0, 8.0), (0, 0, 4.0, 0.0, 8.0, 8.0)]
    found = [((0, 0, 2 / 64, 0.0, 8 / 64, 8 / 48), 0.9), (shares(truth[0]), 0.8)]
    results = result_set(truth, found, 1)

    agrees(results)

    matched = box_matches(results)
    assert matched is not None
    assert matched[0].hits[0].tolist() == [True, True]


def test_the_highest_overlap_is_taken() -> None:
    """Of several truth boxes within reach a detection takes the one it overlaps most, wherever it stands."""
    truth = [(0, 0, 0.0, 0.0, 16.0, 8.0), (0, 0, 4.0, 0.0, 16.0, 8.0)]
    for rows in (truth, truth[::-1]):
        # the second reaches only one of them
        found = [(shares(truth[0]), 0.9), (shares((0, 0, 8.0, 0.0, 16.0, 8.0)), 0.8)]
        results = result_set(rows, found, 1)

        agrees(results)

        matched = box_matches(results)
        assert matched is not None
        assert matched[0].hits[0].tolist() == [True, True]


def test_an_overlap_equal_to_the_threshold_matches() -> None:
    """An IoU of exactly 0.5 is a hit at 0.5, one of 0.75 is one at 0.75."""
    truth = [(0, 0, 0.0, 0.0, 16.0, 12.0), (1, 0, 0.0, 0.0, 16.0, 12.0)]
    found = [(shares((0, 0, 0.0, 0.0, 8.0, 12.0)), 0.9), (shares((1, 0, 0.0, 0.0, 12.0, 12.0)), 0.8)]
    results = result_set(truth, found, 2)

    agrees(results)

    matched = box_matches(results)
    assert matched is not None
    assert matched[0].hits.sum(axis=0).tolist() == [1, 6]


def test_a_perfect_detector_scores_one() -> None:
    """Every object found exactly, and nothing else: 1 at every threshold and for every class."""
    truth = [(image, image % 3, 2.0, 3.0, 10.0, 12.0) for image in range(6)]
    found, left_out = detection(result_set(truth, [(shares(box), 0.9) for box in truth], 6), None)

    assert found is not None
    assert pytest.approx({"0.50:0.95": 1.0, "0.50": 1.0, "0.75": 1.0}) == found.map
    assert pytest.approx({"ant": 1.0, "bee": 1.0, "cat": 1.0}) == found.class_ap
    assert left_out == {}


def test_boxes_without_a_class_are_passed_over() -> None:
    """A truth box or a detection whose label is missing neither is an object nor a false positive; they are counted."""
    truth = [(0, 0, 2.0, 3.0, 10.0, 12.0), (0, -1, 30.0, 3.0, 10.0, 12.0)]
    found, left_out = detection(result_set(truth, [(shares(truth[1]), 0.99), (shares(truth[0]), 0.9)], 1), None)

    assert found is not None
    assert pytest.approx({"ant": 1.0}) == found.class_ap
    assert left_out == {"unparsable": 2}


def test_without_truth_there_is_no_map() -> None:
    """Detections alone make no mAP of 0: the mean over no class does not exist."""
    found, _ = detection(result_set([], [((0, 0, 0.1, 0.1, 0.2, 0.2), 0.9)], 2), 1)

    assert found is not None
    assert found.map == {}
    assert found.class_ap == {}
    assert found.map_interval is None
    assert found.empty == 1


@pytest.mark.parametrize("column", ["truth", "detections"])
def test_unknown_boxes_make_no_map(column: str) -> None:
    """Where no boxes were sent at all, mAP is unknown, not 0, and so is the number of empty images."""
    results = result_set([(0, 0, 0.0, 0.0, 9.0, 9.0)], [((0, 0, 0.1, 0.1, 0.2, 0.2), 0.9)], 2)
    found, _ = detection(dataclasses.replace(results, **{column: None}), 1)

    assert found is not None
    assert found.map == {}
    assert found.empty is None


def test_detections_without_scores_are_refused() -> None:
    """Detections cannot be ranked without scores."""
    boxes = ImageBoxes(np.array([0]), np.array([0]), np.ones((1, 4)))

    with pytest.raises(ValueError, match="need scores"):
        match(boxes, boxes, 1)


def test_images_without_dimensions_are_left_out_and_counted() -> None:
    """Truth in pixels of an unknown size matches nothing by guess: the image leaves with its truth
    and its detections.
    """
    truth = [(image, 0, 2.0, 3.0, 10.0, 12.0) for image in range(4)]
    rows = [(shares(box), 0.5 + box[0] / 10) for box in truth] + [((3, 0, 0.6, 0.6, 0.1, 0.1), 0.99)]
    size = np.array([SIDE, SIDE, (0, 0), (64, 0)])
    found, left_out = detection(result_set(truth, rows, 4, image_size=size), None)

    assert found is not None
    assert left_out == {"no_dimensions": 2}
    assert pytest.approx(1.0) == found.map["0.50:0.95"]


def test_images_without_dimensions_and_truth_count() -> None:
    """Nothing needs scaling where truth is known to be empty: what is detected there is a false positive."""
    truth = [(0, 0, 2.0, 3.0, 10.0, 12.0)]
    rows = [(shares(truth[0]), 0.5), ((1, 0, 0.6, 0.6, 0.1, 0.1), 0.99)]
    found, left_out = detection(result_set(truth, rows, 2, image_size=np.array([SIDE, (0, 0)])), None)

    assert found is not None
    assert left_out == {}
    assert pytest.approx(0.5) == found.map["0.50:0.95"]


def test_without_any_dimensions_all_images_with_truth_are_left_out() -> None:
    """A server that sends no dimensions leaves no mAP, and says for how many images."""
    truth = [(image, 0, 2.0, 3.0, 10.0, 12.0) for image in range(3)]
    found, left_out = detection(result_set(truth, [(shares(box), 0.5) for box in truth], 4, image_size=None), 1)

    assert found is not None
    assert found.map == {}
    assert left_out == {"no_dimensions": 3}


def test_figures_beside_the_map() -> None:
    """Means and the passing share are of the images with a reported score; empty is no object and no detection."""
    results = result_set(
        [(0, 0, 2.0, 3.0, 10.0, 12.0)],
        [((1, 0, 0.6, 0.6, 0.1, 0.1), 0.9)],
        5,
        reported_map=np.array([0.8, 0.0, 1.0, 0.7999, np.nan]),
        reported_f1=np.array([0.5, np.nan, np.nan, 1.0, np.nan]),
    )
    found, left_out = detection(results, None)

    assert found is not None
    assert pytest.approx((0.8 + 0 + 1 + 0.7999) / 4) == found.mean_image_map
    assert found.passing == 0.5
    assert found.passing_by_score
    assert left_out == {"unreadable_image": 3}
    assert pytest.approx(0.75) == found.mean_f1
    assert found.f1 == {"image": found.mean_f1}
    assert found.empty == 3
    assert found.precision is None
    assert found.recall is None


def test_passing_is_studios_verdict() -> None:
    """Where Studio judges images, its verdicts are the share, whatever the score; images it did not judge are out of
    it.
    """
    results = result_set(
        [], [], 4, reported_map=np.array([0.9, 0.9, 0.1, 0.9]), correct=np.array([0, 0, 1, -1], np.int8)
    )
    found, left_out = detection(results, None)

    assert found is not None
    assert pytest.approx(1 / 3) == found.passing
    assert not found.passing_by_score
    assert left_out == {}


def test_an_f1_that_is_none_has_no_part_in_the_mean() -> None:
    """Scores beyond 0..1, which a store may hold from before they were refused, are left out of the mean F1 and its
    bounds."""
    scores = np.append(np.full(40, 0.5), [1.5, -1.0, np.inf])
    found, _ = detection(result_set([], [], 43, reported_f1=scores), 1)

    assert found is not None
    assert found.mean_f1 == 0.5
    assert found.mean_f1_interval == Interval(0.5, 0.5)


def test_passing_without_a_map_is_of_the_reported_f1() -> None:
    """A server that reports no mAP of the images but an f1 is taken by that."""
    found, _ = detection(result_set([], [], 3, reported_f1=np.array([0.8, 0.5, 0.2])), None)

    assert found is not None
    assert pytest.approx(1 / 3) == found.passing


def test_unreported_scores_stay_unknown() -> None:
    """No f1 is made up for box detectors, and no mean of nothing."""
    found, _ = detection(crowd(np.random.default_rng(1), 40, 3, 1), 3)

    assert found is not None
    assert found.mean_f1 is None
    assert found.mean_f1_interval is None
    assert found.f1 == {}
    assert found.mean_image_map is None
    assert found.passing is None


@pytest.mark.parametrize("kind", [BlockKind.CLASSIFICATION, BlockKind.UNKNOWN])
def test_other_models_have_no_detection(kind: BlockKind) -> None:
    """A model that detects nothing has none of these figures."""
    results = result_set([], [], 2, blocks=(Block(1, "keras", kind),))

    assert detection(results, 1) == (None, {})


def test_a_set_without_windows_has_no_detection() -> None:
    """Samples that were never predicted on say nothing about the model."""
    assert detection(result_set([], [], 0), 1) == (None, {})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_weights_stand_for_copies_of_images(seed: int, weights: list[int]) -> None:
    """An image of weight w counts as w copies of it, and one of weight 0 not at all."""
    results = untied(crowd(np.random.default_rng(seed), 6, 4, 3))
    matched = box_matches(results)
    assert matched is not None
    assert results.truth is not None
    assert results.detections is not None
    copies = np.repeat(np.arange(6), weights)
    sides = []
    for boxes, scale in ((results.truth, np.tile(SIDE, 2)), (results.detections, 1)):
        rows = [np.flatnonzero(boxes.owner == image) for image in copies]
        index = np.concatenate([*rows, np.empty(0)]).astype(np.int64)
        owner = np.repeat(np.arange(len(copies)), np.array([len(row) for row in rows], np.int64))
        sides.append(
            ImageBoxes(
                owner,
                boxes.label[index],
                boxes.xywh[index] / scale,
                None if boxes.score is None else boxes.score[index],
            )
        )

    truth, detections = sides
    copied = match(truth, detections, len(copies))
    expected = average_precision(copied)[0]
    actual = average_precision(matched[0], np.array([weights]))[0]

    present = np.isin(matched[0].classes, copied.classes)
    np.testing.assert_allclose(actual[present], expected, atol=1e-12)
    assert np.isnan(actual[~present]).all()


def test_several_weightings_equal_one_at_a_time() -> None:
    """Computing many weightings in parts gives what each gives alone."""
    matched = box_matches(crowd(np.random.default_rng(2), 300, 4, 3))
    assert matched is not None
    weights = np.random.default_rng(3).integers(0, 4, (300, 300))

    together = average_precision(matched[0], weights)

    np.testing.assert_array_equal(
        together[::37], np.concatenate([average_precision(matched[0], row[None]) for row in weights[::37]])
    )


def test_many_classes_of_several_sizes_equal_one_class_at_a_time() -> None:
    """Classes with equally many hits are reckoned together, whichever they are, and give what each gives alone."""
    rng = np.random.default_rng(4)
    image = np.sort(rng.integers(0, 400, 1500))
    label = rng.geometric(0.05, 1500)
    boxes = rng.uniform(5, 50, (1500, 4))
    moved = boxes * rng.normal(1, 0.1, boxes.shape)
    found = np.flatnonzero(rng.random(1500) < 0.9)
    detections = ImageBoxes(image[found], label[found], moved[found], rng.random(len(found)))
    matches = match(ImageBoxes(image, label, boxes), detections, 400)
    weights = rng.integers(0, 3, (40, 400))

    together = average_precision(matches, weights)

    assert len(matches.classes) > 50
    for k in range(len(matches.classes)):
        ranked = slice(matches.ends[k], matches.ends[k + 1])
        truth = slice(matches.truth_ends[k], matches.truth_ends[k + 1])
        alone = dataclasses.replace(
            matches,
            classes=matches.classes[k : k + 1],
            image=matches.image[ranked],
            hits=matches.hits[:, ranked],
            ends=np.array([0, ranked.stop - ranked.start]),
            truth_image=matches.truth_image[truth],
            truth_ends=np.array([0, truth.stop - truth.start]),
        )
        np.testing.assert_array_equal(together[:, k], average_precision(alone, weights)[:, 0])


def test_thousands_of_boxes_of_a_class_are_added_up_in_their_order() -> None:
    """The area under one long curve is that of its definition, at each threshold and under any weighting."""
    rng = np.random.default_rng(7)
    hits = rng.random((10, 6000)) < np.linspace(0.9, 0.1, 10)[:, None]
    image = np.arange(6000, dtype=np.int32)
    ends = np.array([0, 6000])
    weights = rng.integers(0, 3, (2, 6000))

    found = average_precision(Matches(6000, np.array([0]), image, hits, ends, image, ends), weights)

    for weight, precisions in zip(weights, found[:, 0], strict=True):
        for hit, precision in zip(hits, precisions, strict=True):
            recall = np.cumsum(weight * hit) / weight.sum()
            best = np.maximum.accumulate((np.cumsum(weight * hit) / np.maximum(np.cumsum(weight), 1))[::-1])[::-1]
            reached = np.searchsorted(recall, np.linspace(0, 1, 101))
            assert precision == pytest.approx(np.append(best, 0)[reached].mean(), abs=1e-12)


def test_a_class_without_truth_leaves_the_mean() -> None:
    """Of a weighting under which a class has no truth, the mean is that of the other classes; of none, it does not
    exist.
    """
    truth = [(0, 0, 2.0, 3.0, 10.0, 12.0), (1, 1, 2.0, 3.0, 10.0, 12.0)]
    matched = box_matches(result_set(truth, [(shares(truth[0]), 0.9)], 3))
    assert matched is not None

    maps = mean_average_precision(average_precision(matched[0], np.array([[1, 1, 1], [1, 0, 1], [0, 2, 0], [0, 0, 3]])))

    np.testing.assert_allclose(maps, [0.5, 1.0, 0.0, np.nan], atol=1e-12)


def test_interval_is_the_point_and_its_bootstrap_error() -> None:
    """Half the interval is 1.96 standard errors, as matching resampled sets anew finds them."""
    results = crowd(np.random.default_rng(8), 60, 4, 3)
    found, _ = detection(results, 7)
    matched = box_matches(results)
    assert found is not None
    assert found.map_interval is not None
    assert matched is not None
    rng = np.random.default_rng(99)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=2000)
    error = mean_average_precision(average_precision(matched[0], weights)).std(ddof=1)

    lower, upper = found.map_interval.lower, found.map_interval.upper

    assert pytest.approx(found.map["0.50:0.95"]) == (lower + upper) / 2
    assert pytest.approx(2 * 1.96 * error, rel=0.12) == upper - lower


def test_interval_depends_on_the_seed_alone() -> None:
    """The same set and seed give the same bounds; another seed others, None gives none."""
    results = crowd(np.random.default_rng(8), 60, 4, 3)
    first, again, other, without = (detection(results, seed)[0] for seed in (7, 7, 8, None))

    assert first is not None
    assert again is not None
    assert other is not None
    assert without is not None
    assert first.map_interval == again.map_interval
    assert first.map_interval != other.map_interval
    assert without.map_interval is None


def test_interval_where_one_group_dominates() -> None:
    """Where 300 of 360 images are one group and those of a group are alike, the bounds hold the mAP of all groups in
    nearly all sets, where a bootstrap of groups alone would in four fifths.
    """
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(13), [300] + [5] * 12)
    truth = [(image, 0, 2.0, 3.0, 10.0, 12.0) for image in range(360)]
    held = 0
    for number in range(20):
        seen = rng.random(360) < rng.beta(4, 2, 13)[group]
        found, _ = detection(
            result_set(truth, [(shares(box), 0.9) for box in truth if seen[box[0]]], 360), number, GroupUnit(group)
        )
        assert found is not None
        assert found.map_interval is not None
        held += found.map_interval.lower <= 2 / 3 <= found.map_interval.upper

    assert held >= 18


def test_interval_stays_within_zero_and_one() -> None:
    """A mAP near 1 does not reach beyond it."""
    truth = [(image, 0, 2.0, 3.0, 10.0, 12.0) for image in range(40)]
    found, _ = detection(result_set(truth, [(shares(box), 0.9) for box in truth[1:]], 40), 1)

    assert found is not None
    assert found.map_interval is not None
    assert found.map_interval.upper == 1.0
    assert 0.8 < found.map_interval.lower < found.map["0.50:0.95"]


def test_interval_passes_over_replicates_without_truth() -> None:
    """Where few images have truth, a replicate that drew none of them has no mAP and does not count."""
    truth = [(0, 0, 2.0, 3.0, 10.0, 12.0)]
    found, _ = detection(result_set(truth, [(shares(truth[0]), 0.5)], 40), 1)

    assert found is not None
    assert found.map_interval is not None
    # a third of the replicates hold no object
    assert pytest.approx((1.0, 1.0)) == dataclasses.astuple(found.map_interval)


@pytest.mark.parametrize(("samples", "bounded"), [(29, False), (30, True)])
def test_few_samples_have_no_interval(samples: int, bounded: bool) -> None:
    """Under 30 samples no bounds are given."""
    results = dataclasses.replace(
        crowd(np.random.default_rng(3), samples, 5, 2), reported_f1=np.linspace(0, 1, samples)
    )
    found, _ = detection(results, 1)

    assert found is not None
    assert (found.map_interval is not None) is bounded
    assert (found.mean_f1_interval is not None) is bounded


def test_windows_of_one_sample_are_resampled_together() -> None:
    """Doubling every window doubles no knowledge: the bounds stay what they were, and images without it are too few."""
    once = untied(crowd(np.random.default_rng(4), 40, 4, 3))
    found = once.detections
    assert found is not None
    assert found.score is not None
    owner = np.concatenate([2 * found.owner, 2 * found.owner + 1])
    order = np.argsort(owner, kind="stable")
    index = order % len(found)
    windows = {
        name: np.repeat(getattr(once, name), 2)
        for name in ("sample", "start_ms", "end_ms", "label", "prediction", "correct", "reported_map", "reported_f1")
    }
    doubled = Boxes(owner[order], found.label[index], found.xywh[index], found.score[index])
    twice = dataclasses.replace(once, detections=doubled, **windows)

    one, _ = detection(once, 5)
    two, _ = detection(twice, 5)

    assert one is not None
    assert two is not None
    assert one.map_interval is not None
    assert two.map_interval is not None
    assert pytest.approx(one.map, abs=1e-12) == two.map
    assert pytest.approx(dataclasses.astuple(one.map_interval), abs=1e-12) == dataclasses.astuple(two.map_interval)


def test_interval_costs_little_beside_the_figures() -> None:
    """All 200 bootstraps of 6,000 boxes together cost a few times as much as the figures: boxes are matched once."""
    results = crowd(np.random.default_rng(6), 1000, 5, 3)
    assert results.detections is not None
    assert results.truth is not None
    assert len(results.detections) + len(results.truth) > 6_000

    costs = Costs()
    for _ in range(TURNS):
        with costs.of("figures"):
            detection(results, None)
        with costs.of("figures with bounds"):
            detection(results, 1)

    assert costs.ratio("figures with bounds", "figures") < 20
