"""The interval of the area under the ROC curve, beside formulas that compare each pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from monitor.figures.auroc import auroc, auroc_interval
from monitor.figures.evaluation import Interval
from monitor.figures.groups import GroupUnit


def logit_interval(area: float, variance: float, quantile: float) -> tuple[float, float]:
    """The bounds on the logit scale."""
    ends = np.log(area / (1 - area)) + np.array([-1, 1]) * quantile * math.sqrt(variance) / (area * (1 - area))
    lower, upper = 1 / (1 + np.exp(-ends))
    return lower, upper


def bounds(interval: Interval | None) -> tuple[float, float]:
    """Both bounds, which there have to be."""
    assert interval is not None
    return interval.lower, interval.upper


def pairs(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Of each anomalous and each normal window whether the first scores higher, ties at half."""
    return (np.sign(scores[positive][:, None] - scores[~positive][None, :]) + 1) / 2


def obuchowski(scores: np.ndarray, positive: np.ndarray, unit: np.ndarray) -> tuple[float, float]:
    """The area and its variance by cluster, pair by pair and cluster by cluster."""
    ordered = pairs(scores, positive)
    area = float(ordered.mean())
    m, n = ordered.shape
    units = np.unique(unit)
    of_positive, of_negative = unit[positive], unit[~positive]
    first = np.array([(ordered.mean(axis=1)[of_positive == each] - area).sum() for each in units])
    second = np.array([(ordered.mean(axis=0)[of_negative == each] - area).sum() for each in units])
    i10, i01, i = len(set(of_positive)), len(set(of_negative)), len(units)
    s10, s01 = i10 / ((i10 - 1) * m) * (first**2).sum(), i01 / ((i01 - 1) * n) * (second**2).sum()
    s11 = i / (i - 1) * (first * second).sum()
    return area, s10 / m + s01 / n + 2 * s11 / (m * n)


def simulated(samples: int, windows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, truths and samples; windows of one sample are alike, and some samples hold both kinds."""
    rng = np.random.default_rng(seed)
    sample = np.arange(samples).repeat(windows)
    positive = np.where(
        rng.random(len(sample)) < 0.9, (rng.random(samples) < 0.4)[sample], rng.random(len(sample)) < 0.4
    )
    scores = rng.normal(0, 1, samples)[sample] + rng.normal(0, 0.7, len(sample)) + positive
    return np.round(scores, 1), positive, sample


def test_one_window_per_sample_is_delong() -> None:
    """Independent windows give DeLong's variance: of the windows' shares of pairs that are in order, by kind."""
    scores, positive, sample = simulated(150, 1)
    ordered = pairs(scores, positive)
    m, n = ordered.shape
    variance = ordered.mean(axis=1).var(ddof=1) / m + ordered.mean(axis=0).var(ddof=1) / n
    quantile = stats.t.ppf(0.975, min(m, n) - 1)

    assert auroc(scores[positive], scores[~positive]) == pytest.approx(ordered.mean())
    found = auroc_interval(scores, positive, sample)
    # clusters that hold one kind each have no product, so that Obuchowski's is DeLong's
    assert bounds(found) == pytest.approx(logit_interval(ordered.mean(), variance, quantile), abs=1e-9)


@pytest.mark.parametrize("grouped", [False, True], ids=["samples", "groups"])
def test_clusters(grouped: bool) -> None:
    """Several windows per sample, and groups of samples, give Obuchowski's variance."""
    scores, positive, sample = simulated(120, 4)
    group = np.arange(120) // 6
    unit = group[sample] if grouped else sample
    area, variance = obuchowski(scores, positive, unit)
    rarer = min(len(np.unique(unit[positive])), len(np.unique(unit[~positive])))

    found = auroc_interval(scores, positive, sample, GroupUnit(group) if grouped else None)

    assert bounds(found) == pytest.approx(logit_interval(area, variance, stats.t.ppf(0.975, rarer - 1)), abs=1e-9)


@pytest.mark.parametrize("order", [1, -1])
def test_certainty_has_a_width(order: int) -> None:
    """Where all pairs are in order, or none, half a pair is moved and Hanley and McNeil's variance counts."""
    positive = np.arange(60) < 20
    scores = order * np.where(positive, 1.0, 0.0)
    area = 1 - 0.5 / (20 * 40)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + 19 * (q1 - area**2) + 39 * (q2 - area**2)) / 800
    lower, _ = logit_interval(area, variance, stats.t.ppf(0.975, 19))

    found = auroc_interval(scores, positive, np.arange(60))

    assert bounds(found) == pytest.approx((lower, 1) if order > 0 else (0, 1 - lower), abs=1e-9)


def test_equal_scores() -> None:
    """Scores that are all equal say nothing, and the bounds say so."""
    found = auroc_interval(np.zeros(60), np.arange(60) < 20, np.arange(60))

    assert found is not None
    assert found.lower < 0.4
    assert found.upper > 0.6


def test_few_of_a_kind() -> None:
    """No bounds with four anomalous samples, and where samples have several windows with nine."""
    scores = np.random.default_rng(1).normal(size=100)

    assert auroc_interval(scores, np.arange(100) < 5, np.arange(100)) is not None
    assert auroc_interval(scores, np.arange(100) < 4, np.arange(100)) is None
    assert auroc_interval(scores, np.arange(100) < 20, np.arange(100) // 2) is not None
    assert auroc_interval(scores, np.arange(100) >= 82, np.arange(100) // 2) is None


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "windows", "share"), [(100, 1, 0.5), (200, 1, 0.1), (200, 10, 0.3)])
@pytest.mark.parametrize("area", [0.8, 0.95])
def test_coverage(samples: int, windows: int, share: float, area: float) -> None:
    """The bounds hold the truth in 91 to 98 % of simulated sets, give or take two standard errors."""
    rng = np.random.default_rng(1)
    apart, sample = math.sqrt(2) * stats.norm.ppf(area), np.arange(samples).repeat(windows)
    alike = 0.0 if windows == 1 else 0.5
    held = []
    for _ in range(500):
        positive = (rng.random(samples) < share)[sample]
        scores = math.sqrt(alike) * rng.normal(size=samples)[sample] + apart * positive
        scores += math.sqrt(1 - alike) * rng.normal(size=len(sample))
        if (found := auroc_interval(scores, positive, sample)) is not None:
            held.append(found.lower <= area <= found.upper)

    assert len(held) > 480
    error = 2 * math.sqrt(0.95 * 0.05 / len(held))
    assert 0.91 - error < np.mean(held) < 0.98 + error
