"""Accuracy of every kind of model: what Studio calls correct, and what a regression's tolerance says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.wording import LEFT_OUT as WORDS
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import LEFT_OUT, Evaluation
from monitor.figures.headline import Headline, headlines
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, Boxes, FomoCounts, Points, ResultSet
from monitor.store.documents import dump_evaluation, load_evaluation
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder
from tests.figures.strategies import result_set

SETTINGS = EvaluationSettings()
ELSEWHERE = sorted(set(BlockKind) - {BlockKind.CLASSIFICATION, BlockKind.REGRESSION})
"""The kinds whose accuracy is Studio's alone."""


def accuracy(of: Evaluation) -> Headline | None:
    """The headline accuracy."""
    return headlines(of).get("accuracy")


def judged(kinds: tuple[BlockKind, ...], verdicts: list[int]) -> ResultSet:
    """Windows of a model with these blocks, two of each sample, with Studio's verdicts."""
    blocks = tuple(Block(number, "", kind) for number, kind in enumerate(kinds))
    sample = [window // 2 for window in range(len(verdicts))]
    return result_set([None] * len(verdicts), ["-"] * len(verdicts), correct=verdicts, sample=sample, blocks=blocks)


verdict = st.sampled_from([CORRECT, WRONG, UNSCORED])


@given(st.lists(st.sampled_from(ELSEWHERE), max_size=3), st.lists(verdict, max_size=80), st.booleans())
def test_accuracy_is_studios_verdict(kinds: list[BlockKind], verdicts: list[int], label_map: bool) -> None:
    """Whatever the kind of block, accuracy is correct / scored, the others are counted; mapped labels have none."""
    results = replace(judged(tuple(kinds), verdicts), label_map=label_map)
    scored = [] if label_map else [verdict == CORRECT for verdict in verdicts if verdict != UNSCORED]

    found = evaluate(results, SETTINGS, None)

    assert found.unscored == len(verdicts) - len(scored)
    assert accuracy(found) == (Headline(pytest.approx(np.mean(scored))) if scored else None)
    assert found.studio is None or found.studio.windows == len(scored)


@pytest.mark.slow
@given(st.lists(verdict, min_size=60, max_size=120), st.integers(0, 2**32))
def test_its_interval_is_that_of_any_accuracy(verdicts: list[int], seed: int) -> None:
    """The same verdicts give the same interval, with the sample as the unit, whichever kind of block they are of."""
    labelled = result_set(
        ["a"] * len(verdicts), ["a"] * len(verdicts), correct=verdicts, sample=[k // 2 for k in range(len(verdicts))]
    )

    found = accuracy(evaluate(judged((BlockKind.ANOMALY,), verdicts), SETTINGS, seed))

    assert found == accuracy(evaluate(labelled, SETTINGS, seed))


def test_interval_holds_the_point() -> None:
    """From 30 samples on there are bounds, around the point; without a seed there are none."""
    results = judged((BlockKind.DETECTION,), [CORRECT, CORRECT, WRONG] * 20)
    found = accuracy(evaluate(results, SETTINGS, 1))

    assert found is not None
    assert found.interval is not None
    assert found.interval.lower < found.value < found.interval.upper
    assert accuracy(evaluate(results, SETTINGS, None)) == Headline(found.value)
    assert accuracy(evaluate(judged((BlockKind.DETECTION,), [CORRECT] * 58), SETTINGS, 1)) == Headline(1.0)


@pytest.mark.parametrize("kind", [BlockKind.DETECTION, BlockKind.FOMO])
def test_images_passing_are_what_studio_calls_correct(kind: BlockKind) -> None:
    """For detectors the passing images are the same share, whatever their score."""
    verdicts = [CORRECT, WRONG, WRONG, UNSCORED]

    found = evaluate(replace(judged((kind,), verdicts), reported_f1=np.ones(len(verdicts))), SETTINGS, None)

    assert found.detection is not None
    assert found.detection.passing == pytest.approx(1 / 3)
    assert accuracy(found) == Headline(pytest.approx(1 / 3))


def test_a_classifier_beside_another_block_keeps_its_accuracy() -> None:
    """A classifier with an anomaly block has one accuracy, the classifier's, and no second one."""
    blocks = (Block(1, "keras", BlockKind.CLASSIFICATION), Block(2, "anomaly", BlockKind.ANOMALY))
    found = evaluate(result_set(["a", "b"], ["a", "a"], blocks=blocks), SETTINGS, None)

    assert accuracy(found) == Headline(0.5)
    assert found.studio is None


def test_a_classifier_of_unknown_labels_has_studios_accuracy() -> None:
    """Scored windows without a label make no class, and so no F1; what Studio called correct is known all the same."""
    found = evaluate(result_set([None, None], ["a", "a"], correct=[CORRECT, WRONG]), SETTINGS, None)

    assert found.quality is None
    assert accuracy(found) == Headline(0.5)


@pytest.mark.parametrize(
    ("thresholds", "value", "unscored"),
    [({"max_error": 0.5}, 1 / 3, 2), ({}, 3 / 4, 1), ({"a": 1.0, "b": 2.0}, 3 / 4, 1)],
    ids=["tolerance", "none", "several"],
)
def test_a_regression_has_studios_accuracy_only_without_a_tolerance(
    thresholds: dict[str, float], value: float, unscored: int
) -> None:
    """Within the tolerance, of the windows with two numbers; without one Studio's verdict stands in, numbers or not."""
    block = Block(5, "keras-regression", BlockKind.REGRESSION, thresholds=thresholds)
    results = result_set(
        ["1", "2", " 03.", "cold", None],
        ["1.5", "3", "4", "1", "1"],
        correct=[WRONG, CORRECT, CORRECT, CORRECT, UNSCORED],
        blocks=(block,),
    )

    found = evaluate(results, SETTINGS, None)

    assert accuracy(found) == Headline(pytest.approx(value))
    assert found.unscored == unscored
    assert found.left_out == {"unparsable": 1}
    assert found.regression is not None
    assert found.regression.mean_absolute_error == pytest.approx(2.5 / 3)


def test_a_regression_beside_a_classifier_has_no_accuracy_of_its_own() -> None:
    """Predictions are the classifier's: where Studio scored none of them, a tolerance on class names that are digits is
    no accuracy.
    """
    blocks = (
        Block(1, "keras", BlockKind.CLASSIFICATION),
        Block(2, "keras-regression", BlockKind.REGRESSION, thresholds={"max_error": 3.0}),
    )
    found = evaluate(result_set(["1", "4"], ["1", "1"], correct=[UNSCORED, UNSCORED], blocks=blocks), SETTINGS, None)

    assert accuracy(found) is None
    assert found.unscored == 2


def test_a_regression_with_a_tolerance_and_no_number_has_no_accuracy() -> None:
    """Where the error is what counts, a verdict on texts is no share within it."""
    block = Block(5, "keras-regression", BlockKind.REGRESSION, thresholds={"max_error": 0.5})
    found = evaluate(result_set(["cold"], ["warm"], correct=[CORRECT], blocks=(block,)), SETTINGS, None)

    assert accuracy(found) is None
    assert found.unscored == 1


def page(block_type: str, rows: list[dict[str, Any]], result: dict[str, Any], **block: Any) -> ResultSet:
    """One window per sample, as Studio sends them."""
    learn = {"id": 2, "type": block_type, "name": "NN"}
    results = [
        {"sampleId": k, "classifications": [{"learnBlock": learn, "result": [result], **block}]}
        for k in range(len(rows))
    ]
    predictions = [{"sampleId": k, "startMs": 0, "endMs": 1000, **row} for k, row in enumerate(rows)]
    builder = ColumnBuilder()
    reply = {"success": True, "result": results, "predictions": predictions, "totalCount": len(rows)}
    builder.add(msgspec.json.decode(json.dumps(reply).encode(), type=wire.Page))
    return builder.finish()


@pytest.mark.parametrize(
    "block_type",
    [
        "anomaly",
        "anomaly-gmm",
        "keras-visual-anomaly",
        "keras-object-detection",
        "keras-freeform",
        "vlm",
        "of-tomorrow",
    ],
)
def test_every_type_of_block_that_studio_judges(block_type: str) -> None:
    """From the wire: of four judged windows three are correct, and one is not judged, for types known and unknown."""
    verdicts = (True, True, None, False, True)
    rows = [
        {"prediction": "x", "label": "y"} | ({} if verdict is None else {"predictionCorrect": verdict})
        for verdict in verdicts
    ]

    found = evaluate(page(block_type, rows, {}), SETTINGS, 1)

    assert accuracy(found) == Headline(0.75)
    assert found.unscored == 1
    assert headlines(load_evaluation(dump_evaluation(found))) == headlines(found)


def test_numbers_out_of_file_names() -> None:
    """A regression whose labels were cut out of file names: errors of 0.25 and, every fifth, of 4 with a tolerance of
    1.
    """
    labels = [f"{written}" for k in range(40) for written in (("000", "+", "", " ", "00")[k % 5] + f"{k}.50",)]
    rows = [
        {
            "label": label,
            "prediction": str(float(label) + (4.0 if k % 5 == 0 else 0.25)),
            "predictionCorrect": k % 5 != 0,
        }
        for k, label in enumerate(labels)
    ]

    found = evaluate(
        page("keras-regression", rows, {"value": 1.0}, thresholds=[{"key": "min_score", "value": 1.0}]), SETTINGS, 1
    )

    assert found.regression is not None
    assert found.regression.mean_absolute_error == pytest.approx(1.0)
    assert found.regression.within_tolerance == pytest.approx(0.8)
    assert found.unscored == 0
    assert found.left_out == {}


def test_what_cannot_be_used_is_counted() -> None:
    """Every kind of block counts the windows that it cannot use, by reasons that the pages have words for."""
    nothing = np.full(3, -1)
    results = replace(
        judged(tuple(BlockKind), [CORRECT, WRONG, UNSCORED]),
        fomo=FomoCounts(nothing, nothing, nothing, np.full(3, np.nan), Points.none(), Points.none()),
        truth=Boxes.none(scored=False),
        detections=Boxes.none(scored=True),
        anomaly={number: np.array([0.5, np.nan, np.inf]) for number, kind in enumerate(BlockKind) if "anomaly" in kind},
        left_out={"unknown_block": 1},
    )

    found = evaluate(results, SETTINGS, None)

    assert found.left_out == {
        "no_confidences": 3,
        "no_score": 2,
        "non_finite_score": 2,
        "unknown_block": 1,
        "unparsable": 3,
        "unreadable_image": 3,
    }
    assert found.left_out.keys() <= set(LEFT_OUT)


def test_every_reason_has_words() -> None:
    """The reasons are a closed set, and each is explained."""
    assert set(WORDS) == set(LEFT_OUT)
    assert len(LEFT_OUT) == len(set(LEFT_OUT))


def test_documents_of_the_release_before_can_be_read() -> None:
    """An evaluation that was stored before an accuracy by verdict was known has none, and its images pass by their
    score.
    """
    results = judged((BlockKind.FOMO,), [CORRECT, WRONG])
    document = json.loads(dump_evaluation(evaluate(results, SETTINGS, None)))
    del document["content"]["studio"]
    del document["content"]["detection"]["passing_by_score"]

    found = load_evaluation(json.dumps(document["content"]))

    assert found.studio is None
    assert found.detection is not None
    assert found.detection.passing_by_score
