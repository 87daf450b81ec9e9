"""Calibration against scikit-learn and against a slow account of its own definition."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import brier_score_loss, log_loss

from monitor.figures.calibration import calibration
from monitor.figures.evaluation import Calibration
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, Categorical, Confidences, ResultSet
from tests.figures.strategies import CLASSIFIER, confident, result_set


def of(labels: list[str | None], rows: list[list[float]], classes: tuple[str, ...] = ("a", "b")) -> ResultSet:
    """Windows of these confidences, Studio's prediction always `uncertain`."""
    return result_set(
        labels,
        ["uncertain"] * len(labels),
        confidences={CLASSIFIER.id: Confidences(classes, np.array(rows, np.float64))},
    )


def figures(results: ResultSet) -> Calibration:
    """The figures, where no window is left out."""
    found, left_out = calibration(results)
    assert found is not None
    assert left_out == {}
    return found


def expected_error(windows: list[tuple[float, bool]]) -> float:
    """The expected calibration error, window by window, with exact bin edges rounded once."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in windows:
        home = next((k for k in range(15) if float(Fraction(k, 15)) <= confidence < float(Fraction(k + 1, 15))), 14)
        bins.setdefault(home, []).append((confidence, hit))
    gaps = (
        abs(math.fsum(hit for _, hit in part) - math.fsum(confidence for confidence, _ in part))
        for part in bins.values()
    )
    return math.fsum(gaps) / len(windows)


@pytest.mark.slow
@given(confident())
def test_equals_scikit_learn(results: ResultSet) -> None:
    """Brier score and log loss are scikit-learn's, the expected error its definition's, over the windows that count."""
    confidences = results.confidences[CLASSIFIER.id]
    classes = confidences.classes
    names = [results.labels[code] if code >= 0 else None for code in results.label]
    complete = np.asarray(~np.isnan(confidences.values).any(axis=1))
    counted = [k for k, name in enumerate(names) if name in classes and complete[k]]
    unused = [
        k for k, verdict in enumerate(results.correct) if k not in counted and (verdict != UNSCORED or not complete[k])
    ]

    found, left_out = calibration(results)

    assert left_out == ({"no_confidences": len(unused)} if unused else {})
    if not counted:
        assert found is None
        return
    assert found is not None
    p = confidences.values[counted]
    onehot = np.array([[name == names[k] for name in classes] for k in counted], np.float64)
    assert found.brier == pytest.approx(np.square(p - onehot).sum(axis=1).mean(), abs=1e-12)
    judged = [(max(row), classes[int(np.argmax(row))] == names[k]) for k, row in zip(counted, p.tolist(), strict=True)]
    assert found.expected_error == pytest.approx(expected_error(judged), abs=1e-12)
    if len(classes) > 1:
        places = [classes.index(names[k]) for k in counted]
        numbers = range(len(classes))
        assert found.log_loss == pytest.approx(log_loss(places, p, labels=numbers), abs=1e-12)
        if len(classes) > 2:
            assert found.brier == pytest.approx(
                brier_score_loss(places, p, labels=numbers, scale_by_half=False), abs=1e-12
            )


def test_by_hand() -> None:
    """Two windows worked out on paper: right at 0.9, wrong at 0.6."""
    found = figures(of(["a", "b"], [[0.9, 0.1], [0.6, 0.4]]))

    assert found.expected_error == pytest.approx((0.1 + 0.6) / 2)
    assert found.brier == pytest.approx((2 * 0.1**2 + 2 * 0.6**2) / 2)
    assert found.log_loss == pytest.approx((-math.log(0.9) - math.log(0.4)) / 2)


def test_certain_and_right() -> None:
    """A confidence of 1 is in the last bin and costs nothing."""
    assert figures(of(["a", "a"], [[1, 0], [1, 0]])) == Calibration(0, 0, 0, None, 0)


def test_certain_and_wrong() -> None:
    """A confidence of 0 for the truth costs what scikit-learn's clipping says, not infinity."""
    found = figures(of(["b"], [[1, 0]]))

    assert found == Calibration(1, 2, pytest.approx(-math.log(np.finfo(np.float64).eps)))


def test_a_bin_holds_its_lower_edge() -> None:
    """0.6 = 9/15 belongs to the bin above it: there it does not cancel against 0.59."""
    found = figures(of(["b", "a"], [[0.6, 0.4], [0.59, 0.41]]))

    assert found.expected_error == pytest.approx((0.6 + 0.41) / 2)


def test_verdict_and_min_score_do_not_matter() -> None:
    """Neither an unscored window nor Studio's `uncertain` changes what the confidences say."""
    results = of(["a", "b"], [[0.9, 0.1], [0.6, 0.4]])

    assert figures(replace(results, correct=np.full(2, UNSCORED, np.int8))) == figures(results)


def test_confidences_beyond_one_keep_to_the_outer_bins() -> None:
    """A confidence pushed past 1 by the device's rounding counts in the last bin, and earns no negative loss."""
    found = figures(of(["a", "a"], [[1.0001, 0], [0.95, 0.05]]))

    assert found.expected_error == pytest.approx(abs(2 - 1.9501) / 2)
    assert found.log_loss == pytest.approx(-math.log(0.95) / 2)


def test_two_blocks() -> None:
    """Each block judges the windows that have its confidences and a label it knows; what none can judge is counted
    once.
    """
    first, second = CLASSIFIER, replace(CLASSIFIER, id=5)
    one = Confidences(("a", "b"), np.array([[0.9, 0.1], [np.nan, np.nan], [0.5, 0.5]]))
    other = Confidences(("b", "c"), np.array([[0.9, 0.1], [0.8, 0.2], [np.nan, np.nan]]))
    labels: list[str | None] = ["a", "b", "c"]

    found, left_out = calibration(
        result_set(labels, ["a", "b", "c"], blocks=(first, second), confidences={3: one, 5: other})
    )

    assert found is not None
    assert found.brier == pytest.approx((2 * 0.1**2 + 2 * 0.2**2) / 2)
    assert left_out == {"no_confidences": 1}


def test_a_class_may_be_called_anomaly() -> None:
    """The classes are the keys of the confidences, whatever they are called: scikit-learn agrees."""
    results = of(["anomaly", "normal", "normal"], [[0.3, 0.7], [0.2, 0.8], [0.6, 0.4]], ("anomaly", "normal"))
    found = figures(results)

    assert found.log_loss == pytest.approx(log_loss([0, 1, 1], [[0.3, 0.7], [0.2, 0.8], [0.6, 0.4]]))
    assert found.brier == pytest.approx(2 * brier_score_loss([0, 1, 1], [0.7, 0.8, 0.4]))


@pytest.mark.parametrize(
    ("labels", "correct", "left"),
    [(["b"], UNSCORED, 0), (["c"], UNSCORED, 0), (["c"], CORRECT, 1), ([None], WRONG, 1)],
    ids=["used", "unknown label, not scored", "label of another block, scored", "no label, scored"],
)
def test_windows_that_cannot_be_used_are_counted(labels: list[str | None], correct: int, left: int) -> None:
    """A scored window whose label is no class is counted; an unscored one is already, in another series."""
    _, left_out = calibration(
        replace(of([*labels, "a"], [[0.9, 0.1]] * 2), correct=np.array([correct, UNSCORED], np.int8))
    )

    assert left_out == ({"no_confidences": left} if left else {})


@pytest.mark.parametrize("correct", [UNSCORED, CORRECT])
@pytest.mark.parametrize("row", [[0.9, np.nan], [np.nan, np.nan], [np.inf, 0]])
def test_windows_without_confidences_are_counted(row: list[float], correct: int) -> None:
    """A window that lacks a class's confidence is counted, scored or not."""
    found, left_out = calibration(
        replace(of(["a", "a"], [row, [0.9, 0.1]]), correct=np.array([correct, UNSCORED], np.int8))
    )

    assert found == Calibration(pytest.approx(0.1), pytest.approx(0.02), pytest.approx(-math.log(0.9)))
    assert left_out == {"no_confidences": 1}


def test_too_many_classes_are_counted_once() -> None:
    """Where the confidences were not kept because of their many classes, windows are not counted for want of them as
    well.
    """
    results = result_set(["a"], ["a"])

    assert calibration(results) == (None, {"no_confidences": 1})
    assert calibration(replace(results, left_out={"too_many_classes": 5000})) == (None, {})


@pytest.mark.parametrize(
    "results",
    [
        result_set(["a"], ["a"]),
        of([None], [[0.9, 0.1]]),
        of(["c"], [[0.9, 0.1]]),
        of(["a"], [[0.9, np.nan]]),
        of(["a"], [[np.inf, 0]]),
        of(["a"], [[]], ()),
        replace(of(["a"], [[0.9, 0.1]]), label_map=True),
        replace(of(["a"], [[0.9, 0.1]]), blocks=(Block(CLASSIFIER.id, "keras-freeform", BlockKind.UNKNOWN),)),
    ],
    ids=[
        "no confidences",
        "no label",
        "unknown label",
        "one missing",
        "not finite",
        "no classes",
        "label map",
        "unknown block",
    ],
)
def test_no_figures_where_they_do_not_apply(results: ResultSet) -> None:
    """Without confidences that can be judged there are no figures, not zeros; windows are counted where a block
    classifies.
    """
    found, left_out = calibration(results)

    classifies = not results.label_map and results.kinds() == {BlockKind.CLASSIFICATION}
    assert (found, left_out) == (None, {"no_confidences": 1} if classifies else {})


def confident_set(rng: np.random.Generator, samples: int, windows: int, shift: float = 0.0) -> ResultSet:
    """Two classes whose first one has these confidences, and is the label as often as they say less `shift`."""
    confidence = rng.uniform(0.5, 1, samples * windows)
    right = rng.random(samples).repeat(windows) < confidence - shift
    labels = ["a" if hit else "b" for hit in right]
    found = of(list(labels), np.stack([confidence, 1 - confidence], axis=1).tolist())
    return replace(
        found,
        sample_id=np.arange(1, samples + 1),
        sample=np.arange(samples).repeat(windows),
        **{name: getattr(found, name)[:samples] for name in ("added",)},
        device=Categorical(np.full(samples, -1, np.int8), ()),
    )


@pytest.mark.slow
@pytest.mark.parametrize("windows", [1, 5])
def test_by_chance(windows: int) -> None:
    """The 95 % point is that of the expected error over sets of hits drawn from the confidences, a sample's windows by
    one number, as a loop over the definition gives it; and the same seed gives the same.
    """
    rng = np.random.default_rng(1)
    results = confident_set(rng, 60, windows)
    confidence = results.confidences[CLASSIFIER.id].values[:, 0]
    drawn = []
    for _ in range(1000):
        hits = rng.random(60).repeat(windows) < confidence
        drawn.append(expected_error(list(zip(confidence.tolist(), hits.tolist(), strict=True))))

    found, _ = calibration(results, 3)

    assert found is not None
    assert found.null_error == pytest.approx(np.quantile(drawn, 0.95), rel=0.08)
    assert calibration(results, 3)[0] == found
    assert figures(results).null_error is None


def test_by_chance_of_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the samples give the 95 % point of all of them."""
    results = confident_set(np.random.default_rng(1), 4000, 2)
    whole, _ = calibration(results, 3)
    monkeypatch.setattr(importlib.import_module("monitor.figures.calibration"), "_WINDOWS", 3000)

    some, _ = calibration(results, 3)

    assert whole is not None
    assert some is not None
    assert some.null_error != whole.null_error
    assert some.null_error == pytest.approx(whole.null_error, rel=0.1)


@given(confident())
def test_debiased(results: ResultSet) -> None:
    """The debiased error is its definition's, bin by bin."""
    found, _ = calibration(results)
    if found is None:
        return
    bins: dict[int, list[tuple[float, bool]]] = {}
    confidences = results.confidences[CLASSIFIER.id]
    windows = 0
    for code, row in zip(results.label, confidences.values, strict=True):
        name = results.labels[code] if code >= 0 else None
        if name in confidences.classes and not np.isnan(row).any():
            windows += 1
            home = next((k for k in range(15) if k / 15 <= row.max() < (k + 1) / 15), 14)
            bins.setdefault(home, []).append((row.max(), confidences.classes[int(row.argmax())] == name))
    square = 0.0
    for part in (np.array(part, np.float64) for part in bins.values() if len(part) > 1):
        accuracy = part[:, 1].mean()
        square += len(part) * ((part[:, 0].mean() - accuracy) ** 2 - accuracy * (1 - accuracy) / (len(part) - 1))

    if all(len(part) < 2 for part in bins.values()):
        assert found.debiased_error is None
    else:
        assert found.debiased_error == pytest.approx(math.sqrt(max(0.0, square / windows)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_perfect_and_miscalibrated(shift: float) -> None:
    """Of true confidences the error is below the 95 % point in about 95 % of sets and the debiased one near 0; of
    confidences 10 points too high it is above in nearly all, and the debiased one near the truth.
    """
    rng = np.random.default_rng(1)
    above, debiased = [], []
    for seed in range(200):
        found, _ = calibration(confident_set(rng, 300, 1, shift), seed)
        assert found is not None
        assert found.null_error is not None
        assert found.debiased_error is not None
        above.append(found.expected_error > found.null_error)
        debiased.append(found.debiased_error)

    if shift:
        assert np.mean(above) > 0.85
        assert np.mean(debiased) == pytest.approx(shift, abs=0.015)
    else:
        assert 0.01 < np.mean(above) < 0.1
        assert np.mean(debiased) < 0.03
