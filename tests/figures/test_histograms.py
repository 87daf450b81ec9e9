"""Distributions of scores beside the baseline's, and reliability, as scikit-learn has it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from monitor.figures.calibration import label_scores
from monitor.figures.histograms import BINS, score_distributions
from monitor.results import Block, BlockKind, Categorical, Confidences, FloatArray, ResultSet
from tests.factories import result_set

CLASSIFIER = Block(3, "keras", BlockKind.CLASSIFICATION)
ANOMALY = Block(4, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 0.5})


def classified(seed: int, windows: int = 5_000) -> ResultSet:
    """Windows of two classes with their confidences."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet((2, 2), windows)
    label = Categorical(rng.integers(0, 2, windows).astype(np.int8), ("a", "b"))
    return result_set(
        windows,
        blocks=(CLASSIFIER,),
        labels=("a", "b"),
        label=label.codes,
        confidences={3: Confidences(("a", "b"), values)},
    )


def scored(scores: FloatArray, block: Block = ANOMALY) -> ResultSet:
    """Windows with these scores of an anomaly block."""
    return result_set(len(scores), blocks=(block,), anomaly={4: scores})


def test_reliability_is_scikit_learns() -> None:
    """Mean confidence and share of right windows of each bin are those of scikit-learn's calibration curve."""
    results = classified(1)
    values = results.confidences[3].values
    best = values.max(axis=1)
    hit = values.argmax(axis=1) == results.label
    accuracy, confidence = calibration_curve(hit, best, n_bins=15)
    found = label_scores(results)

    assert pytest.approx(accuracy.tolist()) == [each.accuracy for each in found.reliability]
    assert pytest.approx(confidence.tolist()) == [each.confidence for each in found.reliability]
    assert 5_000 == sum(each.windows for each in found.reliability)
    assert np.array_equal(values[np.arange(5_000), results.label], found.confidence)


def test_two_sets_share_their_bins() -> None:
    """Both are counted over the same bins, which the threshold is within; a score far beyond is counted at the end."""
    rng = np.random.default_rng(2)
    now, before = rng.normal(10, 1, 2_000), rng.normal(8, 1, 1_000)
    now[0] = 1e9
    (found,) = score_distributions(scored(now), scored(before)).histograms

    assert BINS == len(found.now) == len(found.edges) - 1
    assert (2_000, 1_000) == (sum(found.now), sum(found.before or ()))
    assert found.edges[0] == 0.5 == found.threshold
    assert found.edges[-1] < 20
    assert found.beyond >= 1
    assert tuple(np.histogram(before, found.edges)[0].tolist())[1:-1] == (found.before or ())[1:-1]


@pytest.mark.parametrize("scores", [[3.0], [3.0, 3.0], [0.0], [-1e308, 1e308], [1e308]])
def test_scores_without_a_spread(scores: list[float]) -> None:
    """Equal scores, and those at the ends of what numbers there are, are all counted in bins that ascend."""
    block = Block(4, "anomaly", BlockKind.ANOMALY)
    (found,) = score_distributions(scored(np.array(scores), block), None).histograms

    assert len(scores) == sum(found.now)
    assert (None, None) == (found.before, found.threshold)
    assert all(one < other for one, other in zip(found.edges, found.edges[1:], strict=False))


def test_nothing_to_count() -> None:
    """Without finite scores or confidences there is no histogram, and a baseline without them has no counts."""
    nothing = scored(np.array([np.nan, np.inf]))
    (found,) = score_distributions(scored(np.array([1.0])), nothing).histograms

    assert () == score_distributions(nothing, None).histograms
    assert found.before is None
    assert () == label_scores(nothing).reliability
