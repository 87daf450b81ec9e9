"""Anomaly blocks: distribution of the scores, and verdicts against scikit-learn."""

import dataclasses
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from monitor.figures.anomaly import anomaly
from monitor.figures.evaluation import Anomaly
from monitor.results import Block, BlockKind, ResultSet
from tests import factories
from tests.factories import encoded
from tests.growth import LINEAR, growth

KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 0.3})


def result_set(
    scores: list[float],
    labels: list[str | None] | None = None,
    expected: list[int] | None = None,
    block: Block = KMEANS,
    sample: list[int] | None = None,
) -> ResultSet:
    """Windows with one score each; one sample each unless told."""
    windows = len(scores)
    owners = np.arange(windows) if sample is None else np.array(sample)
    return factories.result_set(
        **encoded(labels or [None] * windows, [None] * windows),
        blocks=(block,),
        sample=owners,
        anomaly={block.id: np.array(scores, np.float64)},
        expected_anomaly=None if expected is None else np.array(expected, np.int8),
    )


def figures(
    results: ResultSet,
    seed: int | None = None,
    *,
    bad: frozenset[str] = frozenset(),
    good: frozenset[str] = frozenset(),
) -> Anomaly:
    """The figures of the only block, where nothing is left out."""
    (found,), left_out = anomaly(results, seed, bad, good)
    assert left_out == {}
    return found


# Few distinct values among any, so that ties and scores at the threshold are frequent.
scores = st.one_of(st.sampled_from([-0.5, 0.0, 0.3, 0.30000000000000004, 2.0]), st.floats(-1e6, 1e6))


@given(st.lists(scores, min_size=1, max_size=80))
def test_distribution_equals_numpy(values: list[float]) -> None:
    """Mean, standard deviation with one degree of freedom less, linear quantiles, and the share above the threshold."""
    found = figures(result_set(values))

    assert pytest.approx(np.mean(values), rel=1e-12, abs=1e-9) == found.mean
    assert found.stddev == (pytest.approx(np.std(values, ddof=1), rel=1e-12) if len(values) > 1 else None)
    assert found.quantiles == {name: pytest.approx(np.quantile(values, float(name))) for name in ("0.5", "0.9", "0.99")}
    assert sum(value > 0.3 for value in values) / len(values) == found.flagged


@given(st.lists(st.tuples(scores, st.sampled_from([-1, 0, 1])), min_size=1, max_size=80))
def test_verdicts_equal_scikit_learn(rows: list[tuple[float, int]]) -> None:
    """AUROC with ties at half, precision, recall and F1 are those of the windows with ground truth."""
    values, expected = zip(*rows, strict=True)
    found = figures(result_set(list(values), expected=list(expected)))
    truth = np.array([outcome for outcome in expected if outcome >= 0])
    known = np.array([value for value, outcome in rows if outcome >= 0])

    if not len(truth):
        assert (found.auroc, found.precision, found.recall, found.f1) == (None, None, None, None)
        return
    wanted = precision_recall_fscore_support(truth, known > 0.3, average="binary", zero_division=0)[:3]
    assert pytest.approx(wanted, abs=1e-12) == (found.precision, found.recall, found.f1)
    assert found.auroc == (pytest.approx(roc_auc_score(truth, known), abs=1e-12) if len(set(truth)) == 2 else None)


def test_negative_scores_are_scores() -> None:
    """K-means scores are negative inside a cluster; nothing is clipped."""
    found = figures(result_set([-2.0, -1.0, 0.6]))

    assert pytest.approx(-0.8) == found.mean
    assert found.quantiles["0.5"] == -1.0
    assert pytest.approx(1 / 3) == found.flagged


@pytest.mark.parametrize("large", [2.0**500, 2.0**1022])
def test_huge_scores_have_finite_figures(large: float) -> None:
    """Scores whose squares or sums no float can hold have the figures of small ones, as many times as large; a standard
    deviation beyond the largest float is absent.
    """
    scores = np.random.default_rng(1).uniform(-1, 1, 100)
    usual = figures(result_set(scores.tolist()))
    huge = figures(result_set((scores * large).tolist()))
    largest = [-sys.float_info.max, sys.float_info.max]

    assert pytest.approx(usual.mean * large) == huge.mean
    assert usual.stddev is not None
    assert pytest.approx(usual.stddev * large) == huge.stddev
    assert {name: value * large for name, value in usual.quantiles.items()} == pytest.approx(huge.quantiles)
    assert (0.0, None) == (figures(result_set(largest)).mean, figures(result_set(largest)).stddev)


def test_infinite_scores_are_dropped_and_counted() -> None:
    """Infinities say nothing of the distribution, NaN stands for no score: neither is a 0, each is counted by its
    reason.
    """
    found, left_out = anomaly(result_set([1.0, np.inf, np.nan, -np.inf, 0.0], expected=[1, 0, 1, 1, 0]), 1)

    assert [block.mean for block in found] == [0.5]
    assert [block.auroc for block in found] == [1.0]
    assert [block.flagged for block in found] == [0.5]
    assert left_out == {"no_score": 1, "non_finite_score": 2}


def test_a_block_without_scores_has_no_figures() -> None:
    """Nothing scored, or nothing finite: no figure is 0, and the windows are counted."""
    assert anomaly(result_set([np.nan, np.nan]), 1) == ((), {"no_score": 2})
    assert anomaly(result_set([np.inf, np.nan]), 1) == ((), {"no_score": 1, "non_finite_score": 1})
    assert anomaly(dataclasses.replace(result_set([1.0]), anomaly={}), 1) == ((), {"no_score": 1})
    assert anomaly(result_set([]), 1) == ((), {})


def test_blocks_are_told_apart() -> None:
    """Every anomaly block has its own figures, in the order of the blocks; other blocks have none."""
    visual = Block(9, "keras-visual-anomaly", BlockKind.VISUAL_ANOMALY, "FOMO-AD", {"min_anomaly_score": 6.0})
    other = Block(8, "keras", BlockKind.CLASSIFICATION)
    results = dataclasses.replace(
        result_set([0.0, 1.0]),
        blocks=(KMEANS, other, visual),
        anomaly={9: np.array([np.inf, 8.0]), 7: np.array([0.0, 1.0]), 8: np.array([1.0, 1.0])},
    )
    found, left_out = anomaly(results, None)

    assert [(block.block.id, block.mean, block.flagged) for block in found] == [(7, 0.5, 0.5), (9, 8.0, 1.0)]
    assert left_out == {"non_finite_score": 1}


@pytest.mark.parametrize(
    ("thresholds", "flagged"),
    [
        ({"min_anomaly_score": 0.5, "other": 0.1}, 0.5),
        ({"minimum_confidence_rating": 0.1}, 0.75),
        ({"one": 0.5, "two": 0.1}, None),
        ({}, None),
    ],
)
def test_threshold_is_the_named_one_or_the_only_one(thresholds: dict[str, float], flagged: float | None) -> None:
    """Of several unnamed thresholds none is guessed; without one nothing is flagged and no verdict is judged, but AUROC
    is.
    """
    block = dataclasses.replace(KMEANS, thresholds=thresholds)
    found = figures(result_set([0.1, 0.2, 0.6, 0.9], expected=[0, 0, 1, 1], block=block), 1)

    assert found.flagged == flagged
    assert (found.recall is None) is (flagged is None)
    assert found.auroc == 1.0


def test_a_score_at_the_threshold_is_not_flagged() -> None:
    """Only a score above the threshold is an anomaly."""
    assert figures(result_set([0.3, 0.3, 0.30000000000000004])).flagged == pytest.approx(1 / 3)


def test_ground_truth_is_the_outcome_then_the_configured_then_the_literal_label() -> None:
    """Studio's expected outcome goes before the project's labels, and these before the label's own words."""
    labels = ["broken", "broken", "running", "anomaly", "no anomaly", "idle", None]
    expected = [0, -1, -1, -1, -1, -1, -1]
    values = [0.0, 1.0, 0.1, 1.2, 0.2, 9.0, 9.0]
    found = figures(result_set(values, labels, expected), bad=frozenset({"broken"}), good=frozenset({"running"}))

    assert found.auroc == 1.0
    assert (found.precision, found.recall, found.f1) == (1.0, 1.0, 1.0)


def test_configured_labels_go_before_their_own_words() -> None:
    """A project may call its normal windows `anomaly`."""
    found = figures(
        result_set([0.0, 1.0], ["anomaly", "no anomaly"]), bad=frozenset({"no anomaly"}), good=frozenset({"anomaly"})
    )

    assert found.auroc == 1.0


def test_a_label_configured_as_both_is_no_ground_truth() -> None:
    """A contradiction says nothing about a window."""
    both = frozenset({"odd"})
    found = figures(result_set([0.0, 1.0, 5.0], ["no anomaly", "anomaly", "odd"]), bad=both, good=both)

    assert (found.auroc, found.precision, found.recall) == (1.0, 1.0, 1.0)


def test_labels_are_taken_literally() -> None:
    """Only the exact words are ground truth by themselves."""
    found = figures(result_set([0.0, 1.0], ["Anomaly", "no_anomaly"]))

    assert (found.auroc, found.precision) == (None, None)


def test_interval_takes_the_sample_as_unit() -> None:
    """Windows of one sample are flagged together: the bounds are wider than those of as many samples."""
    values = np.repeat(np.random.default_rng(1).normal(size=60), 10).tolist()
    wide = figures(result_set(values, sample=np.repeat(np.arange(60), 10).tolist()), 1)
    narrow = figures(result_set(values), 1)

    assert wide.flagged == narrow.flagged
    assert wide.flagged is not None
    assert wide.flagged_interval is not None
    assert narrow.flagged_interval is not None
    assert wide.flagged_interval.lower < wide.flagged < wide.flagged_interval.upper
    assert wide.flagged_interval.upper - wide.flagged_interval.lower > 2 * (
        narrow.flagged_interval.upper - narrow.flagged_interval.lower
    )


def test_interval_needs_a_seed_and_thirty_samples() -> None:
    """Bounds come from 30 samples on, and only where intervals are wanted."""
    values = np.linspace(-1, 1, 30).tolist()

    assert figures(result_set(values), 1).flagged_interval is not None
    assert figures(result_set(values)).flagged_interval is None
    assert figures(result_set(values[:29]), 1).flagged_interval is None


def many_scores(windows: int) -> ResultSet:
    """Scores that say nothing of the ground truth, four of each sample."""
    rng = np.random.default_rng(3)
    return dataclasses.replace(
        result_set([0.0]),
        sample=np.repeat(np.arange(windows // 4), 4),
        label=np.full(windows, -1, np.int8),
        anomaly={7: rng.standard_t(3, windows)},
        expected_anomaly=rng.integers(-1, 2, windows).astype(np.int8),
    )


def test_cost() -> None:
    """Many windows with ground truth and bounds cost no more than they are more."""
    found = figures(many_scores(80_000), 1)

    assert found.auroc == pytest.approx(0.5, abs=0.01)
    assert found.flagged_interval is not None
    assert growth(lambda windows: partial(figures, many_scores(windows), 1), 8_000) < LINEAR
