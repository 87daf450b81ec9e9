"""The interval of the mean F1: Dirichlet draws of the confusion matrix."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import shares
from monitor.figures.macro_f1 import mean_f1


def drawn(
    samples: int, windows: int, classes: int = 3, right: float = 0.7
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and samples of a simulated set, some of them no class."""
    rng = np.random.default_rng(1)
    label = rng.integers(-1, classes, samples).repeat(windows)
    guess = np.where(rng.random(len(label)) < right, label, rng.integers(-1, classes, len(label)))
    return label, guess, np.arange(samples).repeat(windows)


def dirichlet(label: np.ndarray, guess: np.ndarray, classes: int, effect: float) -> np.ndarray:
    """The bounds by definition, from NumPy's Dirichlet distribution and scikit-learn's confusion matrix."""
    rng = np.random.default_rng(2)
    counts = confusion_matrix(label, guess, labels=range(-1, classes)) / effect
    draws = 20_000
    present = [row for row in range(classes + 1) if counts[row].sum()]
    weight = rng.dirichlet([counts[row].sum() for row in present], draws)
    predicted, hits, support = (np.zeros((draws, classes)) for _ in range(3))
    for k, row in enumerate(present):
        size = counts[row].copy()
        if row:
            size[1:] += 0.6 / (classes * (classes - 1)) if classes > 1 else 1
            if classes > 1:
                size[row] += 0.5 + 0.5 * min(1, 3 / counts[row].sum()) - 0.6 / (classes * (classes - 1))
        cells = np.flatnonzero(size)
        drawn = np.zeros((draws, classes + 1))
        drawn[:, cells] = rng.dirichlet(size[cells], draws)
        drawn *= weight[:, [k]]
        predicted += drawn[:, 1:]
        if row:
            hits[:, row - 1], support[:, row - 1] = drawn[:, row], weight[:, k]
    found: np.ndarray = np.quantile((2 * hits / (support + predicted)).mean(axis=1), [0.025, 0.975])
    return found


@pytest.mark.parametrize(("classes", "windows"), [(1, 1), (2, 1), (3, 1), (5, 4), (20, 1)])
def test_equals_plain_draws(classes: int, windows: int) -> None:
    """The bounds are the percentiles of rows drawn from NumPy's Dirichlet distributions, but for the draw."""
    label, guess, sample = drawn(400, windows, classes)
    effect = shares((label == guess) & (label >= 0), sample).design_effect()
    lower, upper = dirichlet(label, guess, classes, effect)

    found = mean_f1(label, guess, sample, classes, 1)

    assert found is not None
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=0.1 * (upper - lower))


@pytest.mark.slow
def test_many_classes() -> None:
    """Beyond 32 classes the bounds are still those of all cells drawn; those of hundreds of classes hold the point."""
    label, guess, sample = drawn(600, 1, 40)
    lower, upper = dirichlet(label, guess, 40, 1.0)
    found = mean_f1(label, guess, sample, 40, 1)
    assert found is not None
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=0.1 * (upper - lower))

    label, guess, sample = drawn(20_000, 1, 500, 0.5)
    point = f1_score(label, guess, labels=range(500), average="macro")
    found = mean_f1(label, guess, sample, 500, 1)
    assert found is not None
    assert found.lower < point < found.upper
    assert found.upper - found.lower < 0.05


def test_names_and_order_do_not_matter() -> None:
    """Classes in another order, and samples in another order, give the very same bounds; another seed gives others."""
    label, guess, sample = drawn(300, 2, 5)
    renamed = np.array([3, 0, 4, 1, 2, -1])
    order = np.argsort(np.random.default_rng(3).permutation(300)[sample], kind="stable")

    found = mean_f1(label, guess, sample, 5, 1)

    assert mean_f1(renamed[label], renamed[guess], sample, 5, 1) == found
    assert mean_f1(label[order], guess[order], sample[order], 5, 1) == found
    assert mean_f1(label, guess, sample, 5, 1, sample_id=np.arange(300)) == found
    assert mean_f1(label, guess, sample, 5, 2) != found


def test_classes_of_one_sample() -> None:
    """Two classes whose smallest sample is the same one are drawn by themselves all the same."""
    label = np.tile([0, 1], 50)
    guess = np.where(np.arange(100) % 10 == 0, 1, np.where(np.arange(100) % 10 == 1, 0, label))
    together, apart = np.arange(50).repeat(2), np.arange(100)
    wide, narrow = mean_f1(label, guess, together, 2, 1), mean_f1(label, guess, apart, 2, 1)

    assert wide is not None
    assert narrow is not None
    assert (wide.upper - wide.lower) / (narrow.upper - narrow.lower) > 1.2  # errors come two by two


def test_perfect() -> None:
    """A classifier without an error may err all the same: the lower bound allows for errors that were not seen."""
    label = np.arange(100) % 4

    found = mean_f1(label, label, np.arange(100), 4, 1)

    assert found is not None
    assert found.upper == 1
    assert 0.93 < found.lower < 0.98


def test_rare_class() -> None:
    """With several windows per sample bounds end where a class has nine samples; with one each they do not."""
    sample = np.arange(100).repeat(3)
    label = (sample < 10).astype(np.int8)

    assert mean_f1(label, label, sample, 2, 1) is not None
    assert mean_f1((sample < 9).astype(np.int8), label, sample, 2, 1) is None
    one = (np.arange(100) < 2).astype(np.int8)
    assert mean_f1(one, one, np.arange(100), 2, 1) is not None


def test_groups_widen() -> None:
    """Where errors come by group the bounds are wider, by the design effect and Student's t."""
    rng = np.random.default_rng(1)
    group = np.arange(600) // 20
    label = rng.integers(0, 3, 600)
    guess = np.where(rng.random(600) < rng.beta(4, 1, 30)[group], label, (label + 1) % 3)
    unit = GroupUnit(group, 0.05)
    hits = label == guess

    few, many = mean_f1(label, guess, np.arange(600), 3, 1, unit), mean_f1(label, guess, np.arange(600), 3, 1)

    assert few is not None
    assert many is not None
    effect = shares(hits, np.arange(600), unit).design_effect()
    assert effect > 2
    ratio = (few.upper - few.lower) / (many.upper - many.lower)
    assert ratio == pytest.approx(math.sqrt(effect), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [20, 100, 1000])
def test_bounded(classes: int) -> None:
    """A million windows of 100,000 samples, all of which count, take less than 100 MB beside the columns."""
    label, guess, sample = (column.astype(np.int32) for column in drawn(100_000, 10, classes))

    tracemalloc.start()
    try:
        found = mean_f1(label, guess, sample, classes, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert isinstance(found, Interval)
    assert peak < 100e6
