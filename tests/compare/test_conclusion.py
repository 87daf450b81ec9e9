"""What a conclusion names, as data: the causes of generated changes against what the rules in the documentation say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare.change import ADDED, LABELS, MODEL, REMOVED, THRESHOLDS, TOTAL, Change
from monitor.compare.conclusion import SIGNIFICANCE_LEVEL, Conclusion, Kind, conclude
from monitor.results import UNCERTAIN, Confidences, ResultSet
from tests.compare.change_oracle import by_metric
from tests.figures.strategies import CLASSIFIER, result_set

PARTS = (MODEL, LABELS, THRESHOLDS, ADDED, REMOVED)


def change(parts: dict[str, float], pvalues: dict[str, float], metric: str = "accuracy") -> Change:
    """A change with these causes; those that are not named are 0."""
    causes = dict.fromkeys(PARTS, 0.0) | parts
    total = sum(causes.values())
    return Change(metric, 0.9, 0.9 + total, {TOTAL: total, **causes}, pvalues, 100, 20, 20)


@given(
    st.fixed_dictionaries(dict.fromkeys(PARTS, st.integers(-60, 60))),
    st.fixed_dictionaries(dict.fromkeys((MODEL, ADDED, REMOVED), st.sampled_from([0.001, 0.1, 0.11, 1.0]))),
    st.sampled_from(["accuracy", "map"]),
)
def test_only_causes_that_count_are_named(parts: dict[str, int], pvalues: dict[str, float], metric: str) -> None:
    """What is named is not 0, significant by itself and moved the figure its way; what is noise is neither."""
    found = conclude(change({cause: part / 1000 for cause, part in parts.items()}, pvalues, metric))

    weighed = (MODEL, LABELS, THRESHOLDS) if metric == "map" else PARTS
    direction = sum(parts[cause] for cause in weighed)
    counts = {cause for cause in weighed if parts[cause] and pvalues.get(cause, 0) <= SIGNIFICANCE_LEVEL}
    if found.kind is Kind.INSEPARABLE:
        assert parts[MODEL] * parts[LABELS] < 0
        assert found.named == (LABELS, MODEL)
    else:
        assert set(found.named) <= counts
        assert all(parts[cause] * direction > 0 for cause in found.named if direction)
        assert not (counts and not found.named) or found.kind is Kind.CANCEL
        assert {cause for cause in weighed if parts[cause]} - counts == set(found.noise) or found.kind is Kind.NOTHING
    assert not set(found.named) & set(found.against)
    assert [*found.named] == sorted(found.named, key=lambda cause: -abs(parts[cause])) or found.kind is Kind.INSEPARABLE


@pytest.mark.parametrize(
    ("causes", "pvalues", "expected"),
    [
        ({}, {}, Conclusion(Kind.NOTHING)),
        ({ADDED: -0.04, REMOVED: -0.01}, {ADDED: 0.001, REMOVED: 0.5}, Conclusion(Kind.ONE, (ADDED,), (REMOVED,))),
        ({MODEL: -0.04, ADDED: -0.02}, {MODEL: 0.001, ADDED: 0.05}, Conclusion(Kind.MAINLY, (MODEL,))),
        (
            {MODEL: -0.02, ADDED: -0.01, LABELS: -0.01},
            {MODEL: 0.01, ADDED: 0.1},
            Conclusion(Kind.SEVERAL, (MODEL, LABELS, ADDED)),
        ),
        ({LABELS: -0.1, MODEL: 0.05}, {MODEL: 0.6}, Conclusion(Kind.INSEPARABLE, (LABELS, MODEL))),
        ({MODEL: -0.04}, {MODEL: 0.3}, Conclusion(Kind.NOISE, (), (MODEL,))),
        (
            {LABELS: -0.01, MODEL: 0.005, ADDED: -0.08},
            {MODEL: 0.6, ADDED: 0.001},
            Conclusion(Kind.ONE, (ADDED,), (MODEL,)),
        ),
    ],
)
def test_what_is_concluded(causes: dict[str, float], pvalues: dict[str, float], expected: Conclusion) -> None:
    """Each kind of conclusion."""
    assert expected == conclude(change(causes, pvalues))


def test_no_cause_is_known() -> None:
    """With too few shared samples there is a total and no conclusion."""
    assert conclude(replace(change({}, {}), causes={TOTAL: -0.1})) == Conclusion(Kind.UNKNOWN)


CLASSES = ("a", "b", "c")


def drawn(
    rng: np.random.Generator, ids: np.ndarray, truth: np.ndarray, scores: np.ndarray, min_score: float
) -> ResultSet:
    """A run of these samples: float64[n, 3] scores before the softmax."""
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    predicted = [
        CLASSES[k] if top >= min_score else UNCERTAIN for k, top in zip(shares.argmax(1), shares.max(1), strict=True)
    ]
    block = replace(CLASSIFIER, thresholds={"min_score": min_score})
    run = result_set(
        [CLASSES[k] for k in truth], predicted, blocks=(block,), confidences={block.id: Confidences(CLASSES, shares)}
    )
    return replace(run, sample_id=ids)


@pytest.mark.slow
@pytest.mark.parametrize("cause", [MODEL, LABELS, THRESHOLDS, ADDED])
def test_the_real_cause_is_named(cause: str) -> None:
    """With 300 samples, a fifth of them exchanged and the model trained again, what is named is what was done, in nine
    of ten changes.
    """
    rng = np.random.default_rng(1)
    right = told = 0
    for _ in range(40):
        truth = rng.integers(0, 3, 360)
        scores = rng.normal(0, 1, (360, 3)) + 3 * np.eye(3)[truth]
        noise = 0.0 if cause == THRESHOLDS else rng.normal(0, 0.2, (360, 3))
        struck = (np.arange(360) >= 300) & (cause == ADDED) | (cause == MODEL)
        worse = np.where(struck, 1.8, 0)[:, None] * np.eye(3)[truth]
        label = np.where((rng.random(360) < 0.12) & (cause == LABELS), (truth + 1) % 3, truth)
        before = drawn(rng, np.arange(1, 301), truth[:300], scores[:300], 0.5)
        after = drawn(
            rng, np.arange(61, 361), label[60:], (scores + noise - worse)[60:], 0.8 if cause == THRESHOLDS else 0.5
        )
        found = by_metric(before, after, 1, (1.0, 1.0 if cause == THRESHOLDS else 2.0))["accuracy"]
        if found.causes[TOTAL] < -0.03 and (found.pvalues[TOTAL] <= 0.01 or (found.exact_change or 0) < -0.03):
            told += 1
            right += cause in conclude(found).named

    assert told >= 20
    assert right >= 0.9 * told
