"""Score drift and prediction drift: distances, p-values, and how they are put together."""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, kstest, wasserstein_distance

from monitor.compare.distances import Distances, distances, gate_open, insufficient, prediction_drift
from monitor.compare.drift import ComparedRun, Drift, DriftState, drift, per_sample
from monitor.compare.evidence import begin, count
from monitor.compare.evidence_bytes import dump_evidence
from monitor.compare.evidence_samples import Scores
from monitor.compare.martingale import ALARM
from monitor.compare.permutation import paired_pvalue, two_sample_pvalue
from monitor.results import UNCERTAIN, Block, BlockKind, ResultSet
from tests.factories import encoded, result_set
from tests.growth import growth

KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 1.0})
CLASSIFIER = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})
NO_THRESHOLD = dataclasses.replace(KMEANS, thresholds={})
NOTHING = Distances(0.0, 0.0, 0.0, 0.0, 0.0)


def run(
    sample_id: np.ndarray,
    scores: np.ndarray,
    *,
    sample: list[int] | None = None,
    predictions: list[str | None] | None = None,
    blocks: tuple[Block, ...] = (KMEANS,),
    added: np.ndarray | None = None,
) -> ResultSet:
    """A result set with one window per sample unless told, each with an anomaly score."""
    windows = len(scores)
    results = result_set(
        **encoded([None] * windows, predictions or [None] * windows),
        blocks=blocks,
        sample_id=np.asarray(sample_id, np.int64),
        sample=np.arange(windows) if sample is None else np.array(sample, np.int8),
        anomaly={KMEANS.id: np.asarray(scores, np.float64)},
    )
    return results if added is None else dataclasses.replace(results, added=added)


BASELINE, CURRENT = 100.0, 200.0
Compared = tuple[Drift, DriftState]


def compare(
    baseline: ResultSet,
    current: ResultSet,
    before: Compared | None = None,
    *,
    block: Block = KMEANS,
    trained: tuple[float | None, float | None] = (None, None),
    seed: int = 1,
) -> Compared:
    """The block's drift against a pinned baseline, going on from an earlier comparison, and what is remembered."""
    first, now = ComparedRun(BASELINE, baseline, trained[0]), ComparedRun(CURRENT, current, trained[1])
    return drift(first, now, first, block, before[1] if before else None, seed)


score = st.sampled_from([-1.0, 0.0, 0.5, 2.0]) | st.floats(-100, 100).map(lambda value: round(value, 6))
scores = st.lists(score, min_size=1, max_size=60).map(np.array)


# Distances


def test_huge_scores_drift_as_small_ones() -> None:
    """Scores whose squares no float can hold are as far apart as small ones: in every figure of drift, and its gate."""
    rng = np.random.default_rng(3)
    before, after = rng.uniform(-1, 1, 300), rng.uniform(-0.5, 1, 400)
    small, huge = (
        compare(run(np.arange(300), before * large), run(np.arange(400), after * large), block=NO_THRESHOLD)[0]
        for large in (1.0, 2.0**1023)
    )
    constant, other = np.full(300, 0.5) * 2.0**1023, after * 2.0**1023

    assert {"total", "model", "data"} == small.distances.keys()
    assert small == huge
    assert distances(constant, other, None).wasserstein == distances(np.full(300, 0.5), after, None).wasserstein


@given(scores, scores, score | st.none())
@example(np.zeros(5), np.ones(5), None)
@example(np.full(10, 0.1), np.full(7, 0.1), 0.0)
def test_distances_are_scipys(reference: np.ndarray, current: np.ndarray, limit: float | None) -> None:
    """KS, Wasserstein, Jensen-Shannon and exceedance are SciPy's and NumPy's to 1e-9, PSI its formula, with ties and
    constants.
    """
    quartiles = np.quantile(reference, [0.25, 0.75])
    if quartiles[0] < quartiles[1]:
        unit = (quartiles[1] - quartiles[0]) / 1.349
    elif np.ptp(reference):
        unit = reference.std()
    else:
        unit = np.concatenate([reference, current]).std()
    area = wasserstein_distance(reference, current)
    edges = np.unique(np.quantile(reference, np.arange(1, 10) / 10))
    bins = len(edges) + 1
    p, q = (
        (np.array([np.sum(np.digitize(side, edges, right=True) == k) for k in range(bins)]) + 0.5)
        / (len(side) + 0.5 * bins)
        for side in (reference, current)
    )
    above = np.quantile(reference, 0.95) if limit is None else limit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its p-value, which is not used
        ks = ks_2samp(reference, current).statistic

    found = distances(reference, current, limit)

    assert ks == pytest.approx(found.ks, abs=1e-9)
    assert (area / unit if area > 1e-12 else 0) == pytest.approx(found.wasserstein, rel=1e-9, abs=1e-9)
    assert sum((q - p) * np.log(q / p)) == pytest.approx(found.psi, abs=1e-9)
    # Where the shares are equal but for rounding, SciPy's distance is the root of a rounding error, or of a negative
    # one.
    assert (jensenshannon(p, q, base=2) if np.abs(p - q).max() > 1e-9 else 0) == pytest.approx(found.js, abs=1e-9)
    assert np.mean(current > above) - np.mean(reference > above) == pytest.approx(found.exceedance, abs=1e-9)


@given(scores, st.integers(0, 100))
def test_one_distribution_has_no_distance(values: np.ndarray, seed: int) -> None:
    """The same scores in another order are at distance 0, exactly."""
    shuffled = np.random.default_rng(seed).permutation(values)

    assert distances(values, shuffled, 0.5) == NOTHING


@given(st.integers(0, 2**32), st.sampled_from([0.25, 4.0]), st.sampled_from([-2.0, 8.0]))
def test_distances_have_no_unit(seed: int, factor: float, shift: float) -> None:
    """Scores and threshold on another scale leave every distance as it is."""
    rng = np.random.default_rng(seed)
    reference, current = rng.gamma(2, size=50), rng.gamma(2.5, size=40)

    first = distances(reference, current, 1.0)
    second = distances(reference * factor + shift, current * factor + shift, factor + shift)

    assert dataclasses.astuple(first) == pytest.approx(dataclasses.astuple(second), rel=1e-9)


def test_wasserstein_units() -> None:
    """The unit is IQR/1.349, else the reference's standard deviation, else that of both, else the distance is 0."""
    steps = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    spike = np.array([0.0, 5.0, 5.0, 5.0, 10.0])

    assert distances(steps, steps + 1, None).wasserstein == pytest.approx(1.349 / 2)
    assert distances(spike, spike + 1, None).wasserstein == pytest.approx(1 / np.std(spike))
    assert distances(np.full(5, 0.1), np.full(5, 1.1), None).wasserstein == pytest.approx(2)
    assert distances(np.full(6, 0.1), np.full(5, 0.1), None).wasserstein == 0


def test_exceedance_has_a_sign() -> None:
    """More scores above the threshold now than before is positive; a score at the threshold is not above it."""
    assert distances(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 2.0]), 1.0).exceedance == 0.25


@pytest.mark.parametrize(("reference", "current"), [([], [1.0]), ([1.0], [])])
def test_no_distance_from_nothing(reference: list[float], current: list[float]) -> None:
    """A side without scores is refused instead of being at some distance."""
    with pytest.raises(ValueError, match="at least one score"):
        distances(np.array(reference), np.array(current), None)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (Distances(0.9, 9.0, 0.0999, 0.9, 0.0299), False),
        (Distances(0.0, 0.0, 0.10, 0.0, 0.0), True),
        (Distances(0.0, 0.0, 0.0, 0.0, 0.03), True),
        (Distances(0.0, 0.0, 0.0, 0.0, -0.03), True),
    ],
)
def test_gate(distance: Distances, expected: bool) -> None:
    """The gate opens at a Wasserstein distance of 0.10 or an exceedance of 3 points either way, and by nothing else."""
    assert expected == gate_open(distance)


def test_insufficient() -> None:
    """Verdicts need 100 reference and 30 current samples."""
    assert [insufficient(100, 30), insufficient(99, 30), insufficient(100, 29)] == [False, True, True]


# Samples


def test_a_samples_score_is_its_windows_largest() -> None:
    """Samples score the maximum over finite windows; infinities and absent scores do not count, and samples without any
    are left out.
    """
    values = [0.1, 0.7, np.nan, np.inf, 0.3, -np.inf, -2.0, -3.0]
    results = run(np.array([5, 6, 8, 9, 12]), np.array(values), sample=[0, 0, 1, 2, 2, 3, 4, 4])

    ids, largest = per_sample(results, KMEANS.id)

    assert ids.tolist() == [5, 8, 12]
    assert largest.tolist() == [0.7, 0.3, -2.0]


def test_no_scores() -> None:
    """A block that the run does not have, or that scored nothing, has no samples."""
    results = run(np.array([5]), np.array([np.nan]))

    for block_id in (KMEANS.id, 99):
        ids, largest = per_sample(results, block_id)
        assert (ids.dtype, len(ids), largest.dtype, len(largest)) == (np.int64, 0, np.float64, 0)


# One decision


def minp_by_enumeration(gaps: np.ndarray, values: np.ndarray, limit: float) -> float:
    """Westfall and Young's min-p; `gaps` holds the difference of the distribution functions by relabelling, the
    observed one first.
    """
    knots = np.unique(values)
    share = np.array([np.mean(values <= knot) for knot in knots])
    width, mass = np.diff(knots), np.diff(share, prepend=0)[:-1]
    variance = (share * (1 - share))[:-1]
    wasserstein = (np.abs(gaps[:, :-1]) * width).sum(axis=1)
    anderson = (gaps[:, :-1] ** 2 * (mass / variance)).sum(axis=1)
    below = [k for k, knot in enumerate(knots) if knot <= limit]
    exceedance = np.abs(gaps[:, below[-1]]) if below else np.zeros(len(gaps))
    smallest = np.min(
        [[np.mean(column >= value - 1e-12) for value in column] for column in (wasserstein, anderson, exceedance)],
        axis=0,
    )
    return float(np.mean(smallest <= smallest[0] + 1e-12))


@pytest.mark.parametrize(
    ("reference", "current", "limit"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.9], [0.5, 0.8, 1.0, 1.1], 0.6),
        ([0.0, 0.0, 1.0, 1.0, 2.0], [1.0, 2.0, 2.0, 3.0, 3.0], 1.0),
        ([0.0, 0.0, 0.0, 1.0], [0.0, 5.0, 5.0, 5.0, 1.0], 0.0),
        ([0.3, 1.3, 2.2, 3.1], [0.5, 1.0, 2.0, 3.0, 4.0], 9.0),
        ([16.0, 25.0, 25.0, 121.0], [0.0, 4.0, 25.0, 36.0], 300.0),  # decided by Anderson-Darling's weights
    ],
)
def test_two_sample_pvalue_is_the_enumerated_one(reference: list[float], current: list[float], limit: float) -> None:
    """On tiny sets the p-value is that of all relabellings, up to the chance in 999 of them."""
    pooled = np.array(reference + current)
    knots = np.unique(pooled)
    gaps = []
    for side in itertools.combinations(range(len(pooled)), len(reference)):  # the first one is the observed
        inside = np.isin(np.arange(len(pooled)), side)
        gaps.append([np.mean(pooled[~inside] <= knot) - np.mean(pooled[inside] <= knot) for knot in knots])
    exact = minp_by_enumeration(np.array(gaps), pooled, limit)

    found = two_sample_pvalue(np.array(reference), np.array(current), limit, seed=1)

    assert exact == pytest.approx(found, abs=0.03)


@pytest.mark.parametrize(
    ("before", "after", "limit"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.9, 0.6, 0.7], [0.5, 0.8, 1.0, 0.35, 1.1, 1.5, 0.65], 0.55),
        ([0.0, 0.0, 1.0, 1.0, 2.0, 0.0], [1.0, 0.0, 1.0, 2.0, 1.0, 2.0], 1.0),
        ([0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0], 1.0),
    ],
)
def test_paired_pvalue_is_the_enumerated_one(before: list[float], after: list[float], limit: float) -> None:
    """On tiny sets the p-value is that of all swaps of samples' two scores, up to the chance in 999 of them."""
    first, second = np.array(before), np.array(after)
    knots = np.unique(np.concatenate([first, second]))
    steps = (second[:, None] <= knots).astype(int) - (first[:, None] <= knots)
    signs = np.array(list(itertools.product((1, -1), repeat=len(first))))  # the first ones are the observed
    gaps = signs @ steps / len(first)
    exact = minp_by_enumeration(gaps, np.concatenate([first, second]), limit)

    found = paired_pvalue(first, second, limit, seed=1)

    assert exact == pytest.approx(found, abs=0.03)


@pytest.mark.parametrize("ties", [False, True])
def test_pvalues_are_uniform_without_drift(ties: bool) -> None:
    """Over quiet sets the p-values are uniform; with ties they are never too small."""
    rng = np.random.default_rng(1)
    two, paired = [], []
    for seed in range(120):
        first, second = rng.gamma(2, size=40), rng.gamma(2, size=60)
        if ties:
            first, second = first.round(), second.round()
        two.append(two_sample_pvalue(first, second, 4.0, seed))
        paired.append(paired_pvalue(first, second[:40], 4.0, seed))

    for found in (np.array(two), np.array(paired)):
        assert kstest(found, "uniform", alternative="greater" if ties else "two-sided").pvalue > 0.001
        assert (found <= 0.05).sum() <= 13  # of 120; more has a chance of 0.5 %
        assert found.min() >= 0.001


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        (lambda values, rng: values + 0.5, None),
        (lambda values, rng: values - 0.5, 1.0),
        (lambda values, rng: values * 2, None),
        (lambda values, rng: np.where(rng.random(len(values)) < 0.1, values + 3, values), 2.0),
    ],
    ids=["up", "down", "wider", "tail"],
)
def test_pvalues_find_a_shift(
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray], limit: float | None
) -> None:
    """A shift by half a standard deviation, a doubled spread and a tail of a tenth are all beyond chance at 600
    samples.
    """
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=600), rng.normal(size=600)

    assert two_sample_pvalue(reference, change(current, rng), limit, 1) <= 0.005
    assert paired_pvalue(reference, change(reference + rng.normal(scale=0.05, size=600), rng), limit, 1) <= 0.005


def test_pairing_sees_what_two_samples_cannot() -> None:
    """The same small shift of every sample is certain in pairs and nothing to two independent samples."""
    before = np.random.default_rng(3).normal(size=300)

    assert paired_pvalue(before, before + 0.1, None, 1) <= 0.005
    assert two_sample_pvalue(before, before + 0.1, None, 1) > 0.05


def test_the_threshold_is_seen_though_few_are_near_it() -> None:
    """Among 40,000 scores a shift in the flagged share alone, between two quantile knots, moves the p-value of that
    threshold only.
    """
    rng = np.random.default_rng(6)
    reference, current = (values[values < 3] for values in (rng.normal(size=20_000), rng.normal(size=20_000)))
    current[:16] = 4.5 + rng.random(16)

    assert two_sample_pvalue(reference, current, 4.45, 1) <= 0.005
    assert two_sample_pvalue(reference, current, 0.0, 1) > 0.5


def test_large_sets_are_counted_whole() -> None:
    """Of sets so large that the knots come from a part of them, every score still counts, in pairs
    and in two samples.
    """
    rng = np.random.default_rng(7)
    reference, other = rng.normal(size=50_000), rng.normal(size=50_000)
    most = np.concatenate([other[:-1], [50.0]])  # no quantile, and yet not beyond the last knot

    assert two_sample_pvalue(reference, reference[::-1], 2.0, 1) == 1
    assert two_sample_pvalue(reference, most, 2.0, 1) > 0.02
    assert two_sample_pvalue(reference, most + 0.05, 2.0, 1) <= 0.005
    assert paired_pvalue(reference, most, 2.0, 1) > 0.02
    assert paired_pvalue(reference, most + 0.05, 2.0, 1) <= 0.005


@given(st.lists(st.integers(0, 6), min_size=2, max_size=12), st.lists(st.integers(0, 6), min_size=2, max_size=12))
def test_rounding_parts_no_ties(first: list[int], second: list[int]) -> None:
    """Scores in tenths, whose differences are not all alike in binary, have the p-value of the same scores in whole
    numbers.
    """
    (a, b), (c, d) = ([np.array(side) * unit for side in (first, second)] for unit in (1.0, 0.1))
    both = min(len(first), len(second))

    assert two_sample_pvalue(a, b, None, 1) == two_sample_pvalue(c, d, None, 1)
    assert paired_pvalue(a[:both], b[:both], None, 1) == paired_pvalue(c[:both], d[:both], None, 1)


@pytest.mark.parametrize("limit", [None, -1.0, 0.0, 1.0])
def test_constant_scores_have_no_significance(limit: float | None) -> None:
    """Where nothing varies, the p-value is 1 wherever the threshold is."""
    constant = np.zeros(120)

    assert two_sample_pvalue(constant, constant[:40], limit, 1) == 1
    assert paired_pvalue(constant, constant, limit, 1) == 1


def test_the_seed_decides() -> None:
    """The same scores, in any order, and seed give the same p-value; another seed, about the same."""
    rng = np.random.default_rng(5)
    reference, current = rng.normal(size=100), rng.normal(size=80) + 0.2
    first = two_sample_pvalue(reference, current, None, 1)

    assert first == two_sample_pvalue(rng.permutation(reference), current[::-1], None, 1)
    assert first != two_sample_pvalue(reference, current, None, 2)
    assert first == pytest.approx(two_sample_pvalue(reference, current, None, 2), abs=0.06)
    assert paired_pvalue(reference[:80], current, None, 1) == paired_pvalue(
        reference[:80][::-1], current[::-1], None, 1
    )


def test_cost_does_not_follow_the_size() -> None:
    """Fifty times as many scores take at most a few times as long."""

    def comparison(size: int) -> Callable[[], None]:
        rng = np.random.default_rng(6)
        reference, current = rng.normal(size=size), rng.normal(size=size)

        def work() -> None:
            distances(reference, current, None)
            two_sample_pvalue(reference, current, None, 1)
            paired_pvalue(reference, current, None, 1)

        return work

    assert growth(comparison, 5_000, 50, turns=2) < 5


# Put together


def quiet(count: int, first_id: int = 0, seed: int = 1) -> ResultSet:
    """Samples from the same quiet population."""
    return run(np.arange(first_id, first_id + count), np.random.default_rng(seed).normal(size=count))


def joined(first: ResultSet, second: ResultSet) -> ResultSet:
    """Both sets' samples."""
    return run(
        np.concatenate([first.sample_id, second.sample_id]),
        np.concatenate([first.anomaly[KMEANS.id], second.anomaly[KMEANS.id]]),
    )


def rescored(results: ResultSet, values: np.ndarray) -> ResultSet:
    """The same samples with other scores."""
    return run(results.sample_id, values)


def test_the_baseline_against_itself() -> None:
    """Every distance is 0, nothing is tested, and the evidence stays at its start."""
    baseline = quiet(150)

    found, _ = compare(baseline, baseline)

    assert found.distances == {"total": NOTHING, "model": NOTHING, "data": NOTHING}
    assert found.pvalues == {}
    assert found.gates == {"total": False, "model": False, "data": False}
    assert (found.evidence, found.insufficient, found.since) == (0, False, BASELINE)
    assert (found.reference, found.current, found.shared, found.added) == (150, 150, 150, 0)


def test_shifted_new_samples_are_data() -> None:
    """New samples with higher scores show as data and total, with evidence, and not as model."""
    baseline = quiet(200)
    new = np.random.default_rng(2).normal(size=60) + 1.5

    found, memory = compare(baseline, joined(baseline, run(np.arange(1000, 1060), new)))

    assert found.distances["model"] == NOTHING
    data = distances(baseline.anomaly[7], new, 1.0)
    assert dataclasses.astuple(data) == pytest.approx(dataclasses.astuple(found.distances["data"]), rel=1e-5)
    assert found.distances["total"] == distances(baseline.anomaly[7], np.concatenate([baseline.anomaly[7], new]), 1.0)
    assert found.pvalues.keys() == {"total"}
    assert found.pvalues["total"] <= 0.01
    assert found.gates == {"total": True, "model": False, "data": True}
    assert found.evidence == memory.evidence.evidence >= ALARM
    assert (found.shared, found.added) == (200, 60)


def test_other_scores_of_the_same_samples_are_model() -> None:
    """A model that scores the same samples higher shows as model and total; no sample is new, and the reference is the
    new model's.
    """
    baseline = quiet(200)
    scores = baseline.anomaly[7] + 0.3
    current = rescored(baseline, scores)

    found, memory = compare(baseline, current)

    expected = distances(baseline.anomaly[7], scores, 1.0)
    assert {"total": expected, "model": expected, "data": NOTHING} == found.distances
    assert found.pvalues["model"] <= 0.005
    assert found.gates["model"]
    assert (found.evidence, found.since) == (0, CURRENT)
    assert memory.evidence.reference.value.tolist() == pytest.approx(scores.tolist(), rel=1e-6)


def test_new_samples_after_a_retrained_model_are_judged_by_its_own_scores() -> None:
    """After the model changed, new samples are compared with the first run of that model, not with the baseline's
    scores.
    """
    rng = np.random.default_rng(3)
    baseline = quiet(200)
    retrained = rescored(baseline, baseline.anomaly[7] * 10 + 50)
    first = compare(baseline, retrained)

    more = joined(retrained, run(np.arange(1000, 1060), rng.normal(size=60) * 10 + 50))
    second, _ = compare(baseline, more, first)

    assert second.added == 60
    assert second.evidence < ALARM
    assert second.distances["data"].wasserstein < 0.5
    assert second.distances["total"].wasserstein > 10


def test_the_paired_test_is_taken_once_per_model() -> None:
    """The p-value of the model stays that of its first run, whatever samples come and go, until the model changes
    again.
    """
    rng = np.random.default_rng(8)
    baseline = quiet(200)
    retrained = rescored(baseline, baseline.anomaly[7] + rng.normal(size=200) * 0.2)
    first = compare(baseline, retrained)
    fewer = run(retrained.sample_id[:120], retrained.anomaly[7][:120])
    second = compare(baseline, fewer, first, seed=5)
    again = compare(baseline, rescored(fewer, fewer.anomaly[7] + 2), second, seed=6)

    assert (
        paired_pvalue(baseline.anomaly[7], retrained.anomaly[7], 1.0, 1)
        == first[0].pvalues["model"]
        == second[0].pvalues["model"]
    )
    assert first[0].gates["model"] == second[0].gates["model"]
    assert (
        paired_pvalue(baseline.anomaly[7][:120], fewer.anomaly[7] + 2, 1.0, 6)
        == again[0].pvalues["model"]
        < first[0].pvalues["model"]
    )
    assert again[0].gates["model"]


def test_a_few_edited_samples_are_no_new_model() -> None:
    """Samples that were edited, and so scored otherwise, do not begin the evidence anew as long as most are scored as
    before.
    """
    baseline = quiet(200)
    before = compare(baseline, joined(baseline, quiet(40, 1000, 2)))
    edited = joined(baseline, quiet(40, 1000, 2))
    edited.anomaly[7][:99] += 1

    assert compare(baseline, edited, before)[0].added == 40
    edited.anomaly[7][99:130] += 1
    assert compare(baseline, edited, before)[0].added == 0


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(KMEANS, thresholds={"min_anomaly_score": 2.0}),
        dataclasses.replace(KMEANS, type="anomaly-gmm"),
    ],
)
def test_another_threshold_or_type_is_a_new_model(other: Block) -> None:
    """A block whose threshold or type changed compares new samples with its own first run, though no score changed."""
    baseline = quiet(200)
    before = compare(baseline, joined(baseline, quiet(40, 1000, 2)))

    found, memory = compare(baseline, joined(baseline, quiet(60, 1000, 2)), before, block=other)

    assert (found.added, found.since, len(memory.evidence.reference)) == (0, CURRENT, 260)
    assert "model" not in found.pvalues


@pytest.mark.parametrize(
    ("trained", "since"),
    [((None, None), BASELINE), ((1.0, 1.0), BASELINE), ((1.0, None), BASELINE), ((1.0, 2.0), CURRENT)],
)
def test_without_shared_samples_the_date_of_training_tells_models_apart(
    trained: tuple[float | None, float | None], since: float
) -> None:
    """Where no sample is shared, another date of training is another model, and an unknown one is not."""
    found, _ = compare(quiet(200), quiet(150, 5000, 2), trained=trained)

    assert since == found.since


def test_a_date_of_training_that_becomes_known_later_counts() -> None:
    """A model whose date was hidden at first is told from a later one by the date that was seen since."""
    first = run(np.arange(300), np.random.default_rng(1).normal(size=300))
    later = run(np.arange(1000, 1300), np.random.default_rng(2).normal(size=300))
    hidden = compare(first, first, trained=(1.0, None))
    dated = compare(first, first, hidden, trained=(1.0, 1.0))
    (drift, _) = compare(first, later, dated, trained=(1.0, 2.0))

    assert (0, CURRENT) == (drift.added, drift.since)


def test_pinning_another_baseline_begins_the_evidence_anew() -> None:
    """The evidence belongs to a pinned baseline: under another one it starts at 0, of that one's scores."""
    baseline = quiet(200)
    grown = joined(baseline, run(np.arange(1000, 1060), np.random.default_rng(2).normal(size=60) + 1.5))
    _, memory = compare(baseline, grown)
    first, now, pinned = ComparedRun(BASELINE, baseline), ComparedRun(CURRENT, grown), ComparedRun(150.0, grown)

    found, _ = drift(first, now, pinned, KMEANS, memory, 1)

    assert (found.evidence, found.added, found.since) == (0, 0, 150.0)
    assert found.pvalues["total"] <= 0.01


def test_the_reference_is_the_pinned_baseline_whatever_the_comparison_is_with() -> None:
    """With another run to compare with, new samples are still those that the pinned baseline lacks."""
    pinned = quiet(200)
    previous = joined(pinned, quiet(30, 1000, 2))
    current = joined(previous, quiet(20, 2000, 3))

    found, memory = drift(
        ComparedRun(150.0, previous), ComparedRun(CURRENT, current), ComparedRun(BASELINE, pinned), KMEANS, None, 1
    )

    assert (found.reference, found.shared, found.added, found.since) == (230, 230, 50, BASELINE)
    assert memory.evidence.reference.id.tolist() == pinned.sample_id.tolist()


def test_the_evidence_goes_on_from_run_to_run() -> None:
    """Runs that each show all samples so far count each new one once, and a repeated run counts nothing."""
    rng = np.random.default_rng(4)
    baseline = quiet(150)
    current, found, state = baseline, None, None
    undated = np.datetime64("NaT", "ms")
    begun = begin(Scores(baseline.sample_id, baseline.anomaly[7], baseline.added), None, 1)
    for look in range(4):
        ids, values = np.arange(1000 + 10 * look, 1010 + 10 * look), rng.normal(size=10)
        state = count(state or begun, Scores(ids, values, np.full(10, undated)), undated)
        current = joined(current, run(ids, values))
        found = compare(baseline, current, found)
        found = compare(baseline, current, found, seed=99)

        assert found[0].evidence == state.evidence == found[1].evidence.evidence
        assert (found[0].added, found[0].recent) == (10 + 10 * look, 10 + 10 * look)


def test_dates_order_the_new_samples() -> None:
    """New samples are counted by the date they were added, not by id, also beside samples without a score."""
    baseline = quiet(150)
    values = np.array([3.0, -3.0])
    dates = np.array(["2026-01-02", "2026-01-01"], "datetime64[ms]")
    scores = np.concatenate([baseline.anomaly[7], values, [np.nan]])
    scores[[0, 5]] = np.nan
    current = run(
        np.array([*range(150), 1000, 1001, 1002]), scores, added=np.concatenate([baseline.added, dates, dates[:1]])
    )

    expected = begin(Scores(baseline.sample_id, baseline.anomaly[7], baseline.added), None, 1)
    for row in (1, 0):
        expected = count(expected, Scores(np.array([1000 + row]), values[[row]], dates[[row]]), dates[0])

    found = compare(baseline, current)[1].evidence
    assert dump_evidence(dataclasses.replace(found, looked=0)) == dump_evidence(expected)


@pytest.mark.parametrize(("before", "after"), [(99, 400), (400, 29)])
def test_too_few_samples(before: int, after: int) -> None:
    """With too few samples distances are there, but no p-value and no open gate, however large the distances are."""
    baseline = quiet(before)
    current = run(np.arange(2000, 2000 + after), np.random.default_rng(5).normal(size=after) + 5)

    found, _ = compare(baseline, current)

    assert found.insufficient
    assert found.distances["total"].wasserstein > 1
    assert "model" not in found.distances
    assert found.pvalues == {}
    assert not any(found.gates.values())


def test_few_shared_samples_give_no_verdict_on_the_model() -> None:
    """With 60 shared samples the model's distances are there, without p-value and with a closed gate, though the total
    has a verdict.
    """
    baseline = quiet(160)
    current = run(np.arange(100, 260), np.random.default_rng(6).normal(size=160) + 5)

    found, memory = compare(baseline, current)

    assert found.shared == 60
    assert gate_open(found.distances["model"])
    assert not found.gates["model"]
    assert found.gates["total"]
    assert found.pvalues.keys() == {"total"}
    assert memory.decision is None


@pytest.mark.parametrize("blocks", [(), (KMEANS,)])
def test_a_block_that_the_baseline_lacks(blocks: tuple[Block, ...]) -> None:
    """Without scores in the baseline there is nothing to compare with, and the reference of the evidence is the current
    run.
    """
    baseline = dataclasses.replace(quiet(150), anomaly={}, blocks=blocks)
    current = quiet(150)

    found, memory = compare(baseline, current)

    assert found.distances == {"data": NOTHING}
    assert found.insufficient
    assert found.pvalues == {}
    assert memory.evidence.reference.id.tolist() == current.sample_id.tolist()


def test_a_block_that_lost_its_scores() -> None:
    """A current run without finite scores is at no distance, and leaves the evidence where it was."""
    baseline = quiet(150)
    before = compare(baseline, joined(baseline, quiet(20, 1000, 2)))

    found, memory = compare(baseline, rescored(baseline, np.full(150, np.nan)), before)

    assert found.distances.keys() == {"data"}
    assert found.insufficient
    assert (memory.evidence.evidence, memory.evidence.added) == (before[1].evidence.evidence, 20)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.2, 1.0]))
def test_swapping_the_runs_mirrors_the_exceedance(seed: int, shift: float) -> None:
    """Swapped sides have the same KS and the opposite exceedance."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=40), rng.normal(size=30) + shift
    forth, back = distances(first, second, 1.0), distances(second, first, 1.0)

    assert forth.ks == back.ks
    assert forth.exceedance == -back.exceedance


# Predictions


def predicted(labels: Sequence[str | None], sample: list[int] | None = None, **changes: Any) -> ResultSet:
    """A classifier's predictions; one sample per window unless told."""
    samples = max(sample or range(len(labels)), default=-1) + 1
    predictions = list(labels)
    results = run(
        np.arange(samples), np.zeros(len(labels)), sample=sample, predictions=predictions, blocks=(CLASSIFIER,)
    )
    return dataclasses.replace(results, **changes)


def test_prediction_drift_is_the_formula() -> None:
    """PSI and Jensen-Shannon are those of the smoothed shares of samples, over all labels that either run predicted."""
    baseline = predicted(["idle"] * 6 + ["snake"] * 3 + [UNCERTAIN])
    current = predicted(["snake"] * 10 + ["wave"] * 10)
    p = (np.array([6, 3, 1, 0]) + 0.5) / 12
    q = (np.array([0, 10, 0, 10]) + 0.5) / 22

    found = prediction_drift(baseline, current)

    assert found.keys() == {"psi", "js"}
    assert ((q - p) * np.log(q / p)).sum() == pytest.approx(found["psi"], abs=1e-12)
    assert jensenshannon(p, q, base=2) == pytest.approx(found["js"], abs=1e-9)


def test_a_sample_with_many_windows_counts_once() -> None:
    """A sample's windows share its one vote: nine windows of one recording weigh what one window of another does."""
    one_each = predicted(["idle", "snake", "snake"])
    many = predicted(["idle"] * 9 + ["snake", "snake"], sample=[0] * 9 + [1, 2])
    halves = predicted(["idle", "snake"] * 4, sample=[0, 0, 1, 1, 2, 2, 3, 3])
    even = predicted(["idle", "idle", "snake", "snake"])

    assert prediction_drift(one_each, many) == pytest.approx({"psi": 0, "js": 0}, abs=1e-12)
    assert prediction_drift(halves, even) == pytest.approx({"psi": 0, "js": 0}, abs=1e-12)


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=20),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=20),
)
def test_prediction_drift_is_symmetric(first: list[str], second: list[str]) -> None:
    """Neither run has a special place, other names make no difference, and the same mix is at distance 0."""
    there, back = (
        prediction_drift(predicted(first), predicted(second)),
        prediction_drift(predicted(second), predicted(first)),
    )
    renamed = [[f"z{ord('z') - ord(name)}" for name in names] for names in (first, second)]

    assert there == pytest.approx(back, abs=1e-9)
    assert there == pytest.approx(prediction_drift(*map(predicted, renamed)), abs=1e-9)
    assert prediction_drift(predicted(first), predicted(first[::-1])) == {"psi": 0, "js": 0}
    assert 0 <= there["js"] <= 1
    assert math.isfinite(there["psi"])


def test_no_prediction_drift() -> None:
    """Without a classifier, with mapped labels or without any prediction there is no figure."""
    some = predicted(["idle", "snake"])

    for other in (quiet(3), predicted([]), predicted([None, None]), predicted(["idle"], label_map=True)):
        assert prediction_drift(some, other) == {}
        assert prediction_drift(other, some) == {}
