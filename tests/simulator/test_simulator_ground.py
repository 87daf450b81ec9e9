"""What goes over the wire is the simulator's own truth, and that truth is like a real project's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from monitor.simulator import GeneratedProject, Ground, Studio, projects
from monitor.simulator.kinds import Classification

Serving = Callable[[Studio], Awaitable[Any]]


def windows(ground: Ground | None) -> list[Any]:
    """All windows of a result set."""
    assert ground is not None
    return [window for sample in ground.samples for window in sample.windows]


@pytest.mark.parametrize("make", projects.KINDS, ids=lambda make: make.__name__)
async def test_the_wire_holds_the_ground_data(make: Any, serving: Serving) -> None:
    """For every kind, what a client pulls is the ground data of the same moment, sample by sample
    and window by window.
    """
    project = make(sizes={"testing": 60})
    studio = Studio([project], validate=True)
    results, predictions = await (await serving(studio)).pull(project, limit=25)
    ground = studio.ground(project.id)

    assert ground is not None
    assert [row["sampleId"] for row in results] == [sample.id for sample in ground.samples]
    assert [row["sample"]["label"] for row in results] == [sample.label for sample in ground.samples]
    assert [row["sample"]["metadata"] for row in results] == [sample.metadata for sample in ground.samples]
    assert [row["sample"]["deviceName"] for row in results] == [sample.device for sample in ground.samples]
    assert [
        [(box["label"], box["x"], box["y"], box["width"], box["height"]) for box in row["sample"]["boundingBoxes"]]
        for row in results
    ] == [[(box.label, box.x, box.y, box.width, box.height) for box in sample.boxes] for sample in ground.samples]
    flat = [(sample.id, window) for sample in ground.samples for window in sample.windows]
    assert [
        (row["sampleId"], row["startMs"], row["endMs"], row["label"], row["prediction"]) for row in predictions
    ] == [(number, window.start_ms, window.end_ms, window.label, window.prediction) for number, window in flat]
    assert [row.get("predictionCorrect") for row in predictions] == [window.correct for _, window in flat]
    for row, (_, window) in zip(predictions, flat, strict=True):
        if window.image is not None:
            assert [(b["x"], b["y"], b["width"], b["height"], b["score"]) for b in row["boundingBoxes"]] == [
                (b.x, b.y, b.width, b.height, b.score) for b in window.detections
            ]
        if window.grid is not None:
            assert row["anomalyScores"] == window.grid.tolist()
    for row, sample in zip(results, ground.samples, strict=True):
        for block, entry in zip(ground.blocks, row["classifications"], strict=True):
            assert (entry["learnBlock"]["id"], entry["learnBlock"]["type"]) == (block.id, block.type)
            assert {t["key"]: t["value"] for t in entry["thresholds"]} == {t.key: t.value for t in block.thresholds}
            for place, window in enumerate(sample.windows):
                if block.type in ("anomaly", "anomaly-gmm"):
                    assert entry["result"][place] == {"anomaly": window.anomaly}
                elif window.confidences is not None:
                    assert entry["result"][place] == window.confidences
                if window.image is not None:
                    assert entry["structuredResult"][place]["mAP"] == window.image.mean_ap
                    assert entry["structuredResult"][place].get("f1") == window.image.f1
                if window.grid is not None:
                    assert entry["anomalyResult"][place]["maxScore"] == window.grid.max() == window.anomaly


async def test_the_wire_follows_every_change(serving: Serving) -> None:
    """After a new threshold, a training, a relabelling and a removal, the next pull is the ground
    data of that moment.
    """
    project = projects.classification(sizes={"testing": 80})
    studio = Studio([project], validate=True)
    client = await serving(studio)
    ground = studio.ground(project.id)
    assert ground is not None
    seen = []
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: project.edit(threshold=0.95),
        lambda: project.retrain(quality=-1.5),
        lambda: project.relabel(ground.samples[3].id),
        lambda: project.remove(ground.samples[4].id),
        lambda: project.add(2),
    ]
    for change in changes:
        change()
        _, predictions = await client.pull(project)
        now = studio.ground(project.id)
        expected = [(s.id, w.label, w.prediction, w.correct) for s in now.samples for w in s.windows]  # type: ignore[union-attr]
        assert [
            (row["sampleId"], row["label"], row["prediction"], row.get("predictionCorrect")) for row in predictions
        ] == expected
        seen.append(tuple(expected))

    assert len(set(seen)) == 6


async def test_box_lists_have_the_axes_of_the_real_server(serving: Serving) -> None:
    """`structuredResult` and `details` give top, left, bottom, right: whoever reads them as documented gets other
    boxes.
    """
    project = projects.box_detector(sizes={"testing": 20})
    results, predictions = await (await serving(Studio([project]))).pull(project)
    for row, prediction in zip(results, predictions, strict=True):
        corners = [
            pytest.approx([box["y"], box["x"], box["y"] + box["height"], box["x"] + box["width"]])
            for box in prediction["boundingBoxes"]
        ]
        (entry,) = row["classifications"]
        assert entry["structuredResult"][0]["boxes"] == corners
        assert entry["details"][0]["boxes"] == corners
        assert "f1" not in entry["structuredResult"][0]


@pytest.mark.parametrize("make", [projects.classification, projects.keywords, projects.kmeans])
def test_predictions_follow_from_confidences_and_thresholds(make: Any) -> None:
    """A classifier predicts its best class from `min_score` on, `uncertain` below, `anomaly` above the K-means
    threshold.
    """
    ground = make(sizes={"testing": 300}).ground()
    classifier = ground.blocks[0]
    seen = set()
    for window in windows(ground):
        best = max(window.confidences, key=window.confidences.get)
        expected = best if window.confidences[best] >= classifier.threshold("min_score") else "uncertain"
        if window.anomaly is not None and window.anomaly > ground.blocks[1].threshold("min_anomaly_score"):
            expected = "anomaly"
        assert window.prediction == expected
        assert sum(window.confidences.values()) == pytest.approx(1, abs=1e-4)
        assert window.correct == (None if window.label == "unknown-sound" else window.prediction == window.label)
        seen |= {window.prediction, window.correct}

    assert {"uncertain", True, False, None} <= seen


def test_unscored_windows_have_a_label_the_model_does_not_know() -> None:
    """Only windows of unknown label lack a verdict."""
    ground = projects.classification(sizes={"testing": 300}).ground()

    assert {window.label for window in windows(ground) if window.correct is None} == {"unknown-sound"}


def test_windows_of_one_sample_are_alike() -> None:
    """Errors cluster in samples: the share of correct windows varies between samples far more than independent windows
    would.
    """
    ground = GeneratedProject(1, "p", Classification(windows=10, unknown_share=0), sizes={"testing": 400}).ground()
    assert ground is not None
    shares = np.array([np.mean([window.correct for window in sample.windows]) for sample in ground.samples])
    mean = shares.mean()

    assert shares.var() > 3 * mean * (1 - mean) / 10


def test_gmm_scores_judge_against_their_threshold() -> None:
    """A window is an anomaly exactly above the block's threshold, and correct where that is its sample's truth."""
    ground = projects.gmm().ground()
    assert ground is not None
    for window in windows(ground):
        flagged = window.anomaly > ground.blocks[0].threshold("min_anomaly_score")
        assert window.prediction == ("anomaly" if flagged else "no anomaly")
        assert window.correct == (flagged == window.expected_anomaly)


def test_the_text_threshold_is_no_number() -> None:
    """A threshold may be a text, and asking for its number is an error."""
    ground = projects.gmm().ground()
    assert ground is not None
    block = ground.blocks[0]

    assert [t.value for t in block.thresholds if t.key == "anomaly_scoring_aggregation_method"] == ["max"]
    with pytest.raises(KeyError):
        block.threshold("anomaly_scoring_aggregation_method")


def test_visual_anomaly_grids_have_the_documented_size() -> None:
    """The grid of a 96-pixel image has (96 / 8) / 2 - 1 = 5 cells a side."""
    ground = projects.visual_anomaly(sizes={"testing": 30}).ground()

    assert {window.grid.shape for window in windows(ground)} == {(5, 5)}


def test_regression_is_correct_within_its_tolerance() -> None:
    """Labels and predictions are numeric texts; correct is an error up to the threshold."""
    ground = projects.regression().ground()
    assert ground is not None
    tolerance = ground.blocks[0].threshold("max_error")
    verdicts = {(abs(float(w.label) - float(w.prediction)) <= tolerance, w.correct) for w in windows(ground)}

    assert verdicts == {(True, True), (False, False)}


def test_empty_images_without_a_detection_score_one() -> None:
    """FOMO gives an image with nothing on it and nothing found an F1 of 1, without centroids."""
    ground = projects.fomo(sizes={"testing": 300}).ground()
    empty = [w for w in windows(ground) if not w.fomo.y_trues and not w.fomo.y_preds]

    assert empty
    assert {w.image.f1 for w in empty} == {1.0}


def test_the_same_seed_gives_the_same_project() -> None:
    """A project is a function of its seed, and another seed is another project."""
    first, second, other = (projects.kmeans(seed=seed, sizes={"testing": 20}).ground() for seed in (1, 1, 2))
    assert first is not None
    assert second is not None
    assert other is not None

    assert [s.windows for s in first.samples] == [s.windows for s in second.samples]
    assert [s.windows for s in first.samples] != [s.windows for s in other.samples]


def test_variants_differ_slightly() -> None:
    """int8 and float32 judge the same samples a little differently."""
    project = projects.two_impulses(sizes={"testing": 400})
    int8, float32 = (windows(project.ground(1, name)) for name in ("int8", "float32"))
    changed = np.mean([a.prediction != b.prediction for a, b in zip(int8, float32, strict=True)])

    assert [w.label for w in int8] == [w.label for w in float32]
    assert 0 < changed < 0.1


def test_unknown_impulses_and_variants_are_errors() -> None:
    """Asking the ground data for what is not there says so instead of giving something else."""
    project = projects.two_impulses(sizes={"testing": 2})

    for impulse, variant in ((3, "int8"), (2, "float32"), (1, "akida")):
        with pytest.raises(KeyError):
            project.ground(impulse, variant)


def test_labels_must_be_sorted() -> None:
    """Unsorted classes would let two readers break a tie differently."""
    with pytest.raises(ValueError, match="sorted"):
        Classification(labels=("b", "a"))
