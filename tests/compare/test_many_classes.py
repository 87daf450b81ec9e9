"""Runs of a thousand classes: their confidences are the bulk of them, and no copy of all of these is made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.compare.pairing import pair
from monitor.compare.suspects import suspects
from monitor.compare.thresholds import same_outputs
from monitor.figures.calibration import calibration
from monitor.results import Confidences, ResultSet
from tests.figures.strategies import CLASSIFIER, population, simulated

SAMPLES, CLASSES = 8_000, 1_000
COLUMNS = SAMPLES * CLASSES * 8
"""Bytes of a run's confidences: 64 MB."""


@pytest.fixture(scope="module")
def run() -> ResultSet:
    """A classifier's run."""
    rng = np.random.default_rng(1)
    shares = np.full(CLASSES, 1 / CLASSES)
    results = simulated(rng, shares, population(shares, 0.9)[0], SAMPLES, 1, 0.5)
    values = rng.random((SAMPLES, CLASSES))
    values /= values.sum(axis=1, keepdims=True)
    return replace(results, confidences={CLASSIFIER.id: Confidences(results.labels, values)})


def peak(work: Callable[[], object]) -> int:
    """The most bytes that the work holds at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_evaluation_holds_no_copy(run: ResultSet) -> None:
    """The calibration takes less than a quarter of what the confidences do, and the fingerprint a sixteenth."""
    assert peak(lambda: calibration(run, 1)) < COLUMNS / 4
    assert peak(run.fingerprint) < COLUMNS / 16


def test_a_comparison_holds_no_copy(run: ResultSet) -> None:
    """Whether two runs are outputs of one model, and which labels look wrong, takes less than a quarter of what one
    run's confidences do.
    """
    copied = replace(run, confidences={CLASSIFIER.id: Confidences(run.labels, run.confidences[CLASSIFIER.id].values)})
    pairing = pair(run, copied)

    assert same_outputs(run, copied, pairing) is True
    assert peak(lambda: same_outputs(run, copied, pairing)) < COLUMNS / 4
    assert peak(lambda: suspects(copied, run, pairing)) < COLUMNS / 4
