"""Figures of classifiers against scikit-learn, and the rules it does not know."""

from __future__ import annotations

import tracemalloc
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support, recall_score

from monitor.figures.classification import quality
from monitor.figures.evaluation import ClassFigures, Quality
from monitor.figures.intervals import share
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, ResultSet
from tests.figures.strategies import CLASSIFIER, classified, population, result_set, simulated


def windows(results: ResultSet) -> tuple[list[str | None], list[str], np.ndarray]:
    """Labels, predictions and verdicts of the scored windows."""
    scored = results.correct != UNSCORED
    chosen = replace(results, label=results.label[scored], prediction=results.prediction[scored])
    labels = [results.labels[code] if code >= 0 else None for code in chosen.label]
    return labels, [results.labels[code] for code in chosen.prediction], results.correct[scored]


def close(expected: float) -> Any:
    """Equal to 1e-12."""
    return pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.slow
@given(classified())
def test_equals_scikit_learn(results: ResultSet) -> None:
    """Every figure is scikit-learn's with the true labels as classes and 0 for 0/0."""
    labels, predictions, correct = windows(results)
    classes = sorted({label for label in labels if label not in (None, "uncertain")})

    found = quality(results, None)

    if not classes:
        assert found is None
        return
    assert found is not None
    truth = [label for label in labels if label is not None]
    guess = [prediction for label, prediction in zip(labels, predictions, strict=True) if label is not None]
    settings = {"labels": classes, "zero_division": 0}
    assert found.accuracy == close(accuracy_score(np.ones(len(correct)), correct))
    assert found.uncertain == close(np.mean([prediction == "uncertain" for prediction in predictions]))
    assert found.balanced_accuracy == close(recall_score(truth, guess, average="macro", **settings))
    for average in ("macro", "weighted"):
        assert found.f1[average] == close(f1_score(truth, guess, average=average, **settings))
    _, _, f1, _ = precision_recall_fscore_support(truth, guess, average="micro", **settings)
    assert found.f1["micro"] == close(f1)
    assert found.mean_f1 == found.f1["macro"]
    by_class = zip(*precision_recall_fscore_support(truth, guess, **settings), strict=True)
    assert list(found.classes) == classes
    for name, expected in zip(classes, by_class, strict=True):
        assert astuple(found.classes[name])[:4] == close(expected)


@given(classified())
def test_confusion_holds_every_window_of_a_class(results: ResultSet) -> None:
    """The confusion counts each scored window whose label is a class, once, and holds no zeros."""
    labels, predictions, _ = windows(results)
    expected: dict[tuple[str, str], int] = {}
    for label, prediction in zip(labels, predictions, strict=True):
        if label not in (None, "uncertain"):
            expected[label, prediction] = expected.get((label, prediction), 0) + 1

    found = quality(results, None)

    assert (found.confusion if found else {}) == expected


@given(classified(judged_by_label=True))
def test_accuracy_is_weighted_recall_where_studio_judges_by_label(results: ResultSet) -> None:
    """Where verdicts are label against prediction and every label is a class, accuracy equals the recall weighted by
    support.
    """
    found = quality(results, None)

    if (
        found is not None
        and sum(figures.windows for figures in found.classes.values()) == (results.correct != UNSCORED).sum()
    ):
        support = [figures.windows for figures in found.classes.values()]
        assert found.accuracy == close(
            np.average([figures.recall for figures in found.classes.values()], weights=support)
        )


def test_by_hand() -> None:
    """Five windows worked out on paper: one `uncertain`, one prediction that is never true."""
    results = result_set(["a", "a", "a", "b", "b"], ["a", "uncertain", "b", "b", "c"])

    assert quality(results, None) == Quality(
        accuracy=2 / 5,
        balanced_accuracy=close((1 / 3 + 1 / 2) / 2),
        mean_f1=close(1 / 2),
        f1={"macro": close(1 / 2), "weighted": close(1 / 2), "micro": close(4 / 8)},
        uncertain=1 / 5,
        classes={
            "a": ClassFigures(1, close(1 / 3), close(1 / 2), 3),
            "b": ClassFigures(close(1 / 2), close(1 / 2), close(1 / 2), 2),
        },
        confusion={("a", "a"): 1, ("a", "uncertain"): 1, ("a", "b"): 1, ("b", "b"): 1, ("b", "c"): 1},
    )


def test_accuracy_is_studios_verdict() -> None:
    """Accuracy follows `predictionCorrect` even where label and prediction say otherwise; recall does not."""
    found = quality(result_set(["a", "a", "b"], ["a", "a", "a"], correct=[CORRECT, WRONG, CORRECT]), None)

    assert found is not None
    assert (found.accuracy, found.classes["a"].recall, found.classes["b"].recall) == (close(2 / 3), 1, 0)
    assert found.confusion == {("a", "a"): 2, ("b", "a"): 1}


def test_window_without_label_counts_for_accuracy_only() -> None:
    """A scored window without a label enters accuracy and the uncertain ratio, and no figure by class."""
    with_it = quality(result_set(["a", "b", None], ["a", "b", "a"], correct=[CORRECT, CORRECT, WRONG]), None)
    without = quality(result_set(["a", "b"], ["a", "b"]), None)

    assert with_it is not None
    assert without is not None
    assert with_it.accuracy == close(2 / 3)
    assert (with_it.classes, with_it.f1, with_it.confusion) == (without.classes, without.f1, without.confusion)


def test_uncertain_is_never_a_class() -> None:
    """Windows labelled `uncertain` are no class, and a false positive of what was predicted."""
    found = quality(result_set(["a", "uncertain"], ["a", "a"]), None)

    assert found is not None
    assert found.classes == {"a": ClassFigures(0.5, 1.0, close(2 / 3), 1)}


def test_prediction_without_a_text_is_a_miss() -> None:
    """A window judged without any prediction is missed by its class, is not `uncertain`, and has no cell."""
    results = result_set(["a", "a"], ["a", "a"], correct=[CORRECT, WRONG])

    found = quality(replace(results, prediction=np.array([0, -1])), None)

    assert found is not None
    assert (found.uncertain, found.classes, found.confusion) == (
        0.0,
        {"a": ClassFigures(1.0, 0.5, close(2 / 3), 2)},
        {("a", "a"): 1},
    )


def test_unscored_windows_count_nowhere() -> None:
    """A label that occurs only in unscored windows is no class, and its windows are in no denominator."""
    found = quality(result_set(["a", "b"], ["a", "a"], correct=[CORRECT, UNSCORED]), None)

    assert found is not None
    assert (found.accuracy, list(found.classes), found.confusion) == (1.0, ["a"], {("a", "a"): 1})


@pytest.mark.parametrize(
    "results",
    [
        result_set([], []),
        result_set(["a"], ["a"], correct=[UNSCORED]),
        result_set([None], ["a"], correct=[CORRECT]),
        result_set(["a"], ["a"], blocks=(Block(1, "keras-regression", BlockKind.REGRESSION),)),
        replace(result_set(["a"], ["a"]), label_map=True),
    ],
    ids=["empty", "unscored", "unlabelled", "regression", "label map"],
)
def test_no_figures_where_they_do_not_apply(results: ResultSet) -> None:
    """Nothing to judge, another kind of model or mapped labels: no figures, not zeros."""
    assert quality(results, 1) is None


def test_very_many_labels() -> None:
    """A table of labels too large to count whole gives the same figures, in memory for the windows there are."""
    rng = np.random.default_rng(1)
    names = [f"{number:05}" for number in range(2_000)]
    labels = [names[k] for k in rng.integers(0, 2_000, 5_000)]
    predictions = [
        label if hit else names[other]
        for label, hit, other in zip(labels, rng.random(5_000) < 0.7, rng.integers(0, 2_000, 5_000), strict=True)
    ]

    results = result_set(labels, predictions)

    tracemalloc.start()
    try:
        found = quality(results, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found is not None
    assert peak < 20e6
    assert found.mean_f1 == close(
        f1_score(labels, predictions, labels=sorted(set(labels)), average="macro", zero_division=0)
    )
    assert sum(found.confusion.values()) == 5_000


def test_intervals_hold_the_point_and_repeat() -> None:
    """Both intervals lie around their point, and the same seed gives the same bounds."""
    shares = np.array([0.2, 0.3, 0.5])
    results = simulated(np.random.default_rng(1), shares, population(shares, 0.8)[0], 300, 3, 0.7)

    found = quality(results, 7)

    assert found is not None
    assert found.accuracy_interval is not None
    assert found.mean_f1_interval is not None
    assert found.accuracy_interval.lower < found.accuracy < found.accuracy_interval.upper
    assert found.mean_f1_interval.lower < found.mean_f1 < found.mean_f1_interval.upper
    assert quality(results, 7) == found
    assert quality(results, 8) != found
    assert all(
        of.recall_interval is not None and of.recall_interval.lower < of.recall < of.recall_interval.upper
        for of in found.classes.values()
    )
    unbounded = {name: replace(of, recall_interval=None) for name, of in found.classes.items()}
    expected = replace(found, accuracy_interval=None, mean_f1_interval=None, classes=unbounded)
    assert quality(results, None) == expected


def test_bounds_of_the_recall() -> None:
    """Those of a class's recall are Wilson's over its own windows, on their effective size; none under 30 samples."""
    shares = np.array([0.1, 0.9])
    results = simulated(np.random.default_rng(1), shares, population(shares, 0.8)[0], 300, 3, 0.7)
    small = simulated(np.random.default_rng(1), shares, population(shares, 0.8)[0], 29, 3, 0.7)

    found, few = quality(results, 7), quality(small, 7)

    assert found is not None
    assert few is not None
    for code, (name, of) in enumerate(found.classes.items()):
        own = results.label == code
        assert results.labels[code] == name
        assert of.recall_interval == share(results.prediction[own] == code, results.sample[own])
    assert {of.recall_interval for of in few.classes.values()} == {None}


def test_intervals_leave_out_what_is_not_scored() -> None:
    """Unscored windows change no bound, and unlabelled ones only those of the accuracy."""
    shares = np.array([0.5, 0.5])
    results = simulated(np.random.default_rng(1), shares, population(shares, 0.8)[0], 100, 4, 0.7)
    dropped = np.arange(results.windows) % 4 == 3
    kept = replace(
        results,
        **{
            name: getattr(results, name)[~dropped]
            for name in ("sample", "start_ms", "end_ms", "label", "prediction", "correct")
        },
    )
    unlabelled = replace(results, label=np.where(dropped, -1, results.label))

    expected = quality(kept, 3)
    unscored = quality(replace(results, correct=np.where(dropped, UNSCORED, results.correct).astype(np.int8)), 3)
    found = quality(unlabelled, 3)

    assert unscored == expected
    assert found is not None
    assert expected is not None
    assert found.mean_f1_interval == expected.mean_f1_interval
    assert found.accuracy_interval != expected.accuracy_interval


def test_blocks_of_other_kinds_beside_do_no_harm() -> None:
    """An anomaly block's verdict in a classifying impulse is a prediction like any other."""
    blocks = (CLASSIFIER, Block(4, "anomaly", BlockKind.ANOMALY, thresholds={"min_anomaly_score": 0.3}))

    found = quality(result_set(["a", "a", "b"], ["a", "anomaly", "b"], blocks=blocks), None)

    assert found is not None
    assert found.confusion == {("a", "a"): 1, ("a", "anomaly"): 1, ("b", "b"): 1}
