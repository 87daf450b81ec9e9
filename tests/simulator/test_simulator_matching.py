"""Studio's per-image scores, against the vendor's example and against pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from monitor.simulator.ground import Box
from monitor.simulator.matching import fomo_score, image_map, match_centroids

LABELS = ("a", "b", "c")


def test_the_vendors_example_matches_alike() -> None:
    """The example's centroids give the example's assignment, distances and leftovers."""
    page = json.loads((Path(__file__).parents[1] / "data" / "studio-api-page.json").read_bytes())
    info = json.loads(page["result"][0]["classifications"][0]["structuredResult"][0]["debugInfoJson"])
    trues, preds = ([(p["x"], p["y"], p["label"]) for p in info[key]] for key in ("y_trues", "y_preds"))
    match = match_centroids(trues, preds)

    assert [(p, t) for p, t, _ in match.assignments] == [(a["yp"], a["yt"]) for a in info["assignments"]]
    assert [[t, p, pytest.approx(d, abs=1e-3)] for t, p, d in match.pairs] == info["all_pairwise_distances"]
    assert list(match.unassigned_trues) == info["unassigned_y_true_idxs"]
    assert list(match.unassigned_preds) == info["unassigned_y_pred_idxs"]
    assert match.min_distance == info["normalised_min_distance"]


def test_several_predictions_may_share_a_truth() -> None:
    """Two predictions near one truth are both true positives."""
    match = match_centroids([(0.5, 0.5, 1)], [(0.52, 0.5, 1), (0.5, 0.56, 1), (0.5, 0.5, 2), (0.9, 0.9, 1)])
    score = fomo_score(match)

    assert [(p, t) for p, t, _ in match.assignments] == [(0, 0), (1, 0)]
    assert match.unassigned_preds == (2, 3)
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert score.f1 == pytest.approx(2 / 3, abs=1e-6)
    assert score.mean_ap == score.f1


@pytest.mark.parametrize(
    ("trues", "preds", "f1"),
    [([], [], 1.0), ([(0.5, 0.5, 1)], [], 0.0), ([], [(0.5, 0.5, 1)], 0.0), ([(0.1, 0.1, 1)], [(0.4, 0.1, 1)], 0.0)],
)
def test_nothing_matched(
    trues: list[tuple[float, float, int]], preds: list[tuple[float, float, int]], f1: float
) -> None:
    """F1 is 1 only where nothing was there and nothing was found."""
    assert fomo_score(match_centroids(trues, preds)).f1 == f1


centroid = st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 2))


@given(st.lists(centroid, max_size=5), st.lists(centroid, max_size=5))
def test_every_centroid_is_accounted_for(
    trues: list[tuple[float, float, int]], preds: list[tuple[float, float, int]]
) -> None:
    """Each prediction is assigned or left over; each truth is assigned or missed; no assignment is too far or of
    another class.
    """
    match = match_centroids(trues, preds)

    assert sorted([p for p, _, _ in match.assignments] + list(match.unassigned_preds)) == list(range(len(preds)))
    assert {t for _, t, _ in match.assignments} | set(match.unassigned_trues) == set(range(len(trues)))
    assert not {t for _, t, _ in match.assignments} & set(match.unassigned_trues)
    for p, t, distance in match.assignments:
        assert trues[t][2] == preds[p][2]
        assert distance <= 0.2


def coco_map(truth: list[Box], detections: list[Box]) -> float:
    """mAP 0.50:0.95 of one image by pycocotools, over the classes in its truth."""
    categories = [{"id": n + 1, "name": label} for n, label in enumerate(LABELS)]
    annotations = [
        {
            "id": n + 1,
            "image_id": 1,
            "category_id": LABELS.index(b.label) + 1,
            "bbox": [b.x, b.y, b.width, b.height],
            "area": b.width * b.height,
            "iscrowd": 0,
        }
        for n, b in enumerate(truth)
    ]
    found = [
        {
            "image_id": 1,
            "category_id": LABELS.index(b.label) + 1,
            "bbox": [b.x, b.y, b.width, b.height],
            "score": b.score,
        }
        for b in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"info": {}, "images": [{"id": 1}], "annotations": annotations, "categories": categories}
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return float(precision[precision > -1].mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_image_map_is_cocos_scaled_by_the_classes_in_truth(seed: int) -> None:
    """The per-image mAP equals pycocotools' on that image, times classes in truth / classes of the model."""
    rng = np.random.default_rng(seed)

    def box(label: str, xywh: np.ndarray[Any, Any], score: float | None = None) -> Box:
        x, y, width, height = xywh.tolist()
        return Box(label, x, y, width, height, score)

    def somewhere() -> tuple[str, np.ndarray[Any, Any]]:
        return str(rng.choice(LABELS)), rng.uniform([0, 0, 5, 5], [80, 80, 40, 40])

    truth = [box(*somewhere()) for _ in range(rng.integers(1, 6))]
    noise = [box(*somewhere(), float(rng.random())) for _ in range(3)]
    near = [
        box(
            b.label,
            (np.array([b.x, b.y, b.width, b.height]) + rng.normal(0, 3, 4)).clip(1),
            round(float(rng.random()), 1),
        )
        for b in truth
        for _ in range(2)
    ]
    detections = noise + near
    share = len({b.label for b in truth}) / len(LABELS)

    assert image_map(truth, detections, len(LABELS)) == pytest.approx(coco_map(truth, detections) * share, abs=1e-6)


def test_images_without_truth() -> None:
    """Without truth the score is 1 where nothing was detected, else 0; with truth and no detection it is 0."""
    box = Box("a", 0, 0, 10, 10, 0.9)

    assert image_map([], [], 3) == 1.0
    assert image_map([], [box], 3) == 0.0
    assert image_map([box], [], 3) == 0.0
    assert image_map([box], [box], 1) == 1.0
