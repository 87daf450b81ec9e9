"""How likely a change is to be noise: exact tests against SciPy, re-sampled ones against all re-samplings, and false
alarms.
"""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.compare import resamplable
from monitor.compare.change import changes
from monitor.compare.map_statistic import box_map
from monitor.compare.renaming import in_one_table
from monitor.compare.resamplable import SumStatistic
from monitor.compare.resampling import RESAMPLINGS, STOP, hypergeometric, mcnemar, subset_test, swap_test
from monitor.results import CORRECT, UNCERTAIN, UNSCORED, WRONG, FloatArray, ResultSet
from tests.compare import change_oracle as oracle
from tests.compare.change_oracle import (
    DETECTOR,
    LABELS,
    QUIET,
    Run,
    Window,
    by_metric,
    classified,
    columns,
    detector_run,
    worse,
)
from tests.figures.strategies import population, simulated


@given(st.integers(0, 400), st.integers(0, 400))
@example(0, 0)
@example(70000, 70000)
@example(50500, 49500)
def test_mcnemar(gained: int, lost: int) -> None:
    """The mid-p McNemar test is SciPy's binomial, put together as defined."""
    n = gained + lost
    if n == 0:
        expected = 1.0
    elif gained == lost:
        expected = 1 - stats.binom.pmf(gained, n, 0.5) / 2
    else:
        least = min(gained, lost)
        expected = 2 * stats.binom.cdf(least, n, 0.5) - stats.binom.pmf(least, n, 0.5)

    assert pytest.approx(expected, rel=1e-9) == mcnemar(gained, lost)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
@example(0, 1, 0, 1)
@example(700, 19300, 2400, 77600)
def test_hypergeometric(hits: int, misses: int, other_hits: int, other_misses: int) -> None:
    """The mid-p value of a split is SciPy's hypergeometric, put together as defined."""
    drawn, all_hits, total = hits + misses, hits + other_hits, hits + misses + other_hits + other_misses
    law = stats.hypergeom(total, all_hits, drawn)
    half = law.pmf(hits) / 2
    expected = min(1.0, 2 * min(law.cdf(hits - 1) + half, law.sf(hits) + half))

    assert pytest.approx(expected, rel=1e-9, abs=1e-12) == hypergeometric(hits, drawn, all_hits, total)


def test_accuracy_of_single_windows_is_tested_exactly() -> None:
    """With one window per sample McNemar tests the model, the hypergeometric law additions, and what fits its sign the
    total.
    """
    current = dict(worse(QUIET, every=9)) | {
        100 + number: [classified("ant", "ant" if number < 4 else "bee")] for number in range(9)
    }

    change = by_metric(columns(QUIET), columns(current), 1)["accuracy"]

    right = {number: window.correct for number, (window,) in current.items()}
    lost = sum(window.correct > right[number] for number, (window,) in QUIET.items())
    law = stats.hypergeom(69, sum(right.values()), 9)
    model, added = stats.binom.pmf(0, lost, 0.5), 2 * (law.cdf(3) + law.pmf(4) / 2)
    assert lost > 0
    assert dict(change.pvalues) == pytest.approx(
        {"model": model, "added": added, "total": 2 * min(model, added)}, rel=1e-9
    )


def test_newly_scored_windows_are_part_of_the_test() -> None:
    """Windows that only one of the runs is scored on move the accuracy, so they cannot be left out of its test."""
    before = {**QUIET, **{100 + number: [Window("dog", "ant", UNSCORED)] for number in range(20)}}
    after = {**QUIET, **{100 + number: [classified("dog", "ant")] for number in range(20)}}

    change = by_metric(columns(before), columns(after), 1)["accuracy"]

    assert change.causes["model"] < -0.1
    assert change.pvalues["model"] < 0.01


def test_total_takes_the_tests_that_go_its_way() -> None:
    """For a total upwards only a gain speaks, at the price of both tests; where the model changed nothing there is but
    one.
    """
    gain = {100 + number: [classified("ant", "ant")] for number in range(400)}
    upward = by_metric(columns(QUIET), columns({**worse(QUIET, 9), **gain}), 1)["accuracy"]
    alone = by_metric(columns(QUIET), columns({**QUIET, **gain}), 1)["accuracy"]

    assert upward.causes["model"] < 0 < upward.causes["total"]
    assert upward.pvalues["total"] == min(1, 2 * upward.pvalues["added"])
    assert alone.causes["model"] == 0
    assert alone.pvalues["total"] == alone.pvalues["added"]


def test_which_samples_left_is_a_draw() -> None:
    """Removed samples are held against the shared ones in the baseline, by the hypergeometric law."""
    current = {number: windows for number, windows in QUIET.items() if number >= 12}

    change = by_metric(columns(QUIET), columns(current), 1)["accuracy"]

    right = {number: window.correct for number, (window,) in QUIET.items()}
    law = stats.hypergeom(60, sum(right.values()), 12)
    hits = sum(right[number] for number in range(12))
    expected = 2 * min(law.cdf(hits - 1) + law.pmf(hits) / 2, law.sf(hits) + law.pmf(hits) / 2)
    assert change.causes["removed"] != 0
    assert change.pvalues["removed"] == pytest.approx(min(1, expected), rel=1e-9)
    assert change.pvalues["total"] == change.pvalues["removed"]


def test_each_of_three_tests_is_paid_for() -> None:
    """Where model, added and removed all moved the figure, the smallest fitting p counts three times."""
    current = {number: windows for number, windows in worse(QUIET, 9).items() if number >= 13}
    current |= {100 + number: [classified("ant", "bee")] for number in range(15)}

    change = by_metric(columns(QUIET), columns(current), 1)["accuracy"]

    tests = {cause: p for cause, p in change.pvalues.items() if cause != "total"}
    assert tests.keys() == {"model", "added", "removed"}
    assert all(change.causes[cause] for cause in tests)
    fitting = [p for cause, p in tests.items() if change.causes[cause] < 0]
    assert change.pvalues["total"] == 3 * min(fitting) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("samples", [60, 200])
def test_deleting_half_of_a_quiet_set_is_no_alarm(samples: int) -> None:
    """Which half of the samples left says nothing: p of the total is 0.01 or less no more often than that."""
    rng = np.random.default_rng(samples)
    repeats = 300
    alarms = 0
    for _ in range(repeats):
        run = {number: [classified("ant", "ant" if rng.random() < 0.9 else "bee")] for number in range(samples)}
        kept = set(rng.permutation(samples)[: samples // 2].tolist())
        change = by_metric(columns(run), columns({n: windows for n, windows in run.items() if n in kept}), 1)[
            "accuracy"
        ]
        alarms += change.pvalues["total"] <= 0.01

    assert alarms <= stats.binom.ppf(0.999, repeats, 0.01)


def test_labels_alone_are_no_matter_of_chance() -> None:
    """Where only labels changed no test speaks for the total, and the exact part is all of it."""
    relabelled = {number: [replace(QUIET[number][0], label="cat", correct=WRONG)] for number in (1, 4, 10, 13)}

    change = by_metric(columns(QUIET, classes=LABELS), columns({**QUIET, **relabelled}, classes=LABELS), 1)["accuracy"]

    assert dict(change.pvalues) == {"model": 1.0, "total": 1.0}
    assert change.exact_change == change.tested_change == change.causes["labels"] < 0


@pytest.mark.parametrize(("metric", "figure"), [("accuracy", oracle.accuracy), ("mean_f1", oracle.mean_f1)])
def test_swaps_agree_with_all_of_them(metric: str, figure: oracle.Figure) -> None:
    """The re-sampled p-value of a model, several windows per sample, is that of all 2^8 ways to
    swap the two outputs.
    """
    # a few gains of one window against losses of four: McNemar by sample would be wrong
    gained, lost = range(6), range(6, 8)
    before: Run = {
        n: [
            classified(LABELS[n % 3], UNCERTAIN if n in gained else LABELS[n % 3], k)
            for k in range(4 if n in lost else 1)
        ]
        for n in range(40)
    }
    after: Run = {
        n: [classified(w.label, w.label if n in gained else UNCERTAIN, w.start) for w in windows]
        if n in (*gained, *lost)
        else windows
        for n, windows in before.items()
    }
    changed = (*gained, *lost)

    def difference(swapped: set[int]) -> float:
        sides = []
        for first, second in ((after, before), (before, after)):
            sides.append(figure([window for n in before for window in (second if n in swapped else first)[n]]) or 0.0)
        return sides[0] - sides[1]

    observed = abs(difference(set()))
    subsets = itertools.chain.from_iterable(itertools.combinations(changed, k) for k in range(len(changed) + 1))
    exact = float(np.mean([abs(difference(set(subset))) >= observed - 1e-12 for subset in subsets]))

    found = by_metric(columns(before), columns(after), 2)[metric].pvalues["model"]

    assert 0.3 < exact < 0.9
    assert abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / RESAMPLINGS) + 1 / RESAMPLINGS


@pytest.mark.parametrize("against_rest", [True, False])
def test_permutations_agree_with_all_of_them(against_rest: bool) -> None:
    """The re-sampled p-value of a split is that of all ways to choose the first samples."""
    values = np.array(
        [[4.0, 1.0, 3.0, 1.0, 0.0, 2.0, 0.0, 2.0, 1.0, 9.0], [4.0, 1.0, 4.0, 1.0, 9.0, 2.0, 1.0, 3.0, 2.0, 9.0]]
    ).T
    ratio = SumStatistic(values, lambda totals: totals[:, 0] / totals[:, 1])

    def difference(first: tuple[int, ...]) -> float:
        rest = [unit for unit in range(10) if unit not in first] if against_rest else list(range(10))
        part, other = values[list(first)].sum(axis=0), values[rest].sum(axis=0)
        return float(other[0] / other[1] - part[0] / part[1])

    observed = abs(difference((0, 1, 2, 3)))
    exact = float(
        np.mean([abs(difference(first)) >= observed - 1e-12 for first in itertools.combinations(range(10), 4)])
    )

    found = subset_test(ratio, 4, np.random.default_rng(3), None, against_rest=against_rest)

    assert 0.001 < exact < 0.6
    assert abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / RESAMPLINGS) + 1 / RESAMPLINGS


def mean_of(values: FloatArray) -> SumStatistic:
    """A statistic whose figure is the mean of its units' values."""
    return SumStatistic(np.column_stack([values, np.ones(len(values))]), lambda totals: totals[:, 0] / totals[:, 1])


def test_very_many_pairs_swap_in_groups() -> None:
    """With far more pairs than are swapped one by one, the p-value is still that of the normal law of all swaps."""
    rng = np.random.default_rng(6)
    differences = rng.normal(0, 1, 50_000)
    differences += (1.3 - differences.sum() / np.sqrt(np.square(differences).sum())) / np.sqrt(50_000)
    statistic = mean_of(np.concatenate([differences, np.zeros(50_000)]))

    found = swap_test(statistic, rng, None)

    expected = 2 * stats.norm.sf(differences.sum() / np.sqrt(np.square(differences).sum()))
    assert 0.1 < expected < 0.3
    assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / RESAMPLINGS)


@pytest.mark.parametrize("first", [250, 3_517, 56_789])
@pytest.mark.parametrize("against_rest", [True, False])
def test_very_many_units_are_permuted_in_groups(first: int, against_rest: bool) -> None:
    """With far more units than are permuted one by one, on either side, the p-value is still that of the normal law of
    all splits.
    """
    rng = np.random.default_rng(first)
    total = 60_000
    values = rng.normal(0, 1, total)
    deviation = values.std() * np.sqrt(1 / first + 1 / (total - first))
    values[:first] += 1.3 * deviation - (values[:first].mean() - values[first:].mean())

    found = subset_test(mean_of(values), first, rng, None, against_rest=against_rest)

    expected = 2 * stats.norm.sf(1.3)
    assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / RESAMPLINGS) + 0.02


def test_equal_statistics_count() -> None:
    """Where every swap gives a statistic as large, p is 1, however early the test stops."""
    one = SumStatistic(np.repeat([[1.0], [0.0]], [1, 79], axis=0), lambda totals: totals[:, 0])

    assert swap_test(one, np.random.default_rng(1), None) == swap_test(one, np.random.default_rng(1), STOP) == 1.0


def test_sequential_test_stops_early() -> None:
    """With a stop a test of nothing ends long before 999 re-samplings, with about the same p-value; a clear change
    takes them all.
    """
    asked = {"quiet": 0, "loud": 0}
    noise = np.random.default_rng(8).random((200, 1))

    def first_column(which: str, totals: FloatArray) -> FloatArray:
        asked[which] += len(totals)
        return totals[:, 0]

    quiet = SumStatistic(noise, partial(first_column, "quiet"))
    loud = SumStatistic(noise + np.repeat([[1.0], [0.0]], 100, axis=0), partial(first_column, "loud"))

    early = swap_test(quiet, np.random.default_rng(1), STOP)
    asked_early = asked["quiet"]
    full = swap_test(quiet, np.random.default_rng(1), None)

    assert full > 0.1
    assert abs(early - full) < 4 * np.sqrt(full**2 * (1 - full) / STOP)
    assert asked_early < RESAMPLINGS
    assert swap_test(loud, np.random.default_rng(1), STOP) == 1 / (RESAMPLINGS + 1)
    assert asked["loud"] > 2 * RESAMPLINGS


@pytest.mark.slow
@pytest.mark.parametrize("windows", [1, 4])
def test_no_false_alarms_without_a_change(windows: int) -> None:
    """Two runs of one model with new samples beside the shared ones: no p-value is small more often than it says."""
    shares = np.array([0.5, 0.3, 0.2])
    confusion, *_ = population(shares, 0.8)
    rng = np.random.default_rng(windows)
    repeats = 150
    small: dict[tuple[str, str], int] = {}
    for _ in range(repeats):
        runs = [simulated(rng, shares, confusion, 70, windows, 0.7) for _ in range(2)]
        label = runs[0].label
        # The first 50 samples are shared, with the baseline's labels; the other 20 are removed and added.
        numbers = np.arange(70)
        current = replace(runs[1], sample_id=np.where(numbers < 50, numbers, numbers + 1000) + 1)
        old, new = (_drawn(rng, shares, confusion, label, windows) for _ in range(2))
        before = replace(runs[0], prediction=old, correct=(old == label).astype(np.int8))
        after = replace(current, label=label, prediction=new, correct=(new == label).astype(np.int8))
        for change in changes(before, after, int(rng.integers(2**32))):
            for cause, p in change.pvalues.items():
                small[change.metric, cause] = small.get((change.metric, cause), 0) + (p <= 0.05)
    assert small.keys() == {
        (metric, cause) for metric in ("accuracy", "mean_f1") for cause in ("total", "model", "added", "removed")
    }
    most = stats.binom.ppf(0.9999, repeats, 0.05)
    assert {key: count for key, count in small.items() if count > most} == {}
    assert sum(small.values()) > 0


def _drawn(
    rng: np.random.Generator, shares: FloatArray, confusion: FloatArray, label: np.ndarray, windows: int
) -> np.ndarray:
    """Predictions for these labels; the windows of a sample copy each other with chance 0.7."""
    samples = len(label) // windows
    common = rng.random(samples).repeat(windows)
    draw = np.where(rng.random(len(label)) < 0.7, common, rng.random(len(label)))
    return (draw[:, None] >= np.cumsum(confusion, axis=1)[:, :-1][label]).sum(axis=1).astype(np.int8)


@pytest.mark.parametrize("windows", [1, 4])
def test_real_changes_are_found(windows: int) -> None:
    """A model 20 points worse, or new samples on which it is 40 points worse, is significant at
    0.01 for both metrics.
    """
    shares = np.array([0.5, 0.3, 0.2])
    good, *_ = population(shares, 0.9)
    bad, *_ = population(shares, 0.7)
    awful, *_ = population(shares, 0.5)
    rng = np.random.default_rng(2)
    baseline = simulated(rng, shares, good, 300, windows, 0.5)
    label = baseline.label
    prediction = _drawn(rng, shares, bad, label, windows)
    other_model = replace(baseline, prediction=prediction, correct=(prediction == label).astype(np.int8))
    new = _drawn(rng, shares, awful, label, windows)
    kept = np.arange(300 * windows) < 200 * windows
    other_data = replace(
        baseline,
        sample_id=np.arange(300) + np.where(np.arange(300) < 200, 1, 1000),
        prediction=np.where(kept, baseline.prediction, new),
        correct=np.where(kept, baseline.correct, new == label).astype(np.int8),
    )

    for current, cause in ((other_model, "model"), (other_data, "added")):
        for change in changes(baseline, current, 1):
            assert change.causes[cause] < -0.05
            assert change.pvalues[cause] <= 0.001
            assert change.pvalues["total"] <= 0.01


def test_map_is_judged_on_shared_images() -> None:
    """A rule on mAP looks at model and labels on the shared images, with the model's p-value; exact
    is what labels did.
    """
    rng = np.random.default_rng(3)
    baseline, current = detector_run(rng, range(100), 0.9), detector_run(rng, range(20, 120), 0.4)

    (change,) = changes(columns(baseline, DETECTOR), columns(current, DETECTOR), 1)

    assert (change.metric, change.shared, change.added, change.removed) == ("map", 80, 20, 20)
    assert change.tested_change == change.causes["model"] + change.causes["labels"] < -0.1
    assert change.tested_pvalue == change.pvalues["model"] == 1 / (RESAMPLINGS + 1)
    assert change.exact_change == change.causes["labels"] == 0
    assert change.pvalues["total"] == 3 * min(
        p for cause, p in change.pvalues.items() if change.causes[cause] < 0 and cause != "total"
    )


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_part_of_a_statistic_of_images(seed: int) -> None:
    """The mAP of some units, in any order and with any weights, is that of all with 0 for the others."""
    rng = np.random.default_rng(seed)
    runs = in_one_table(*(columns(detector_run(rng, range(12), found), DETECTOR) for found in (0.9, 0.4)))
    statistic = box_map(runs)
    assert statistic is not None
    units = rng.permutation(24)[: rng.integers(1, 24)]
    weights = rng.integers(0, 3, (4, len(units)), np.uint8)
    spread = np.zeros((4, 24), np.uint8)
    spread[:, units] = weights

    assert statistic.take(units).figure(weights) == pytest.approx(
        statistic.figure(spread), rel=0, abs=1e-12, nan_ok=True
    )


def test_map_without_a_change_is_no_alarm() -> None:
    """Two runs of an equally good detector: p-values below 0.05 are no more frequent than 0.05."""
    small = {"model": 0, "added": 0, "total": 0}
    repeats = 60
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        before, after = (columns(detector_run(rng, numbers, 0.7), DETECTOR) for numbers in (range(40), range(50)))
        (change,) = changes(before, after, repeat)
        assert change.pvalues.keys() == small.keys()
        for cause, p in change.pvalues.items():
            small[cause] += p <= 0.05

    assert max(small.values()) <= stats.binom.ppf(0.9999, repeats, 0.05)


def test_map_of_few_shared_images() -> None:
    """Under 30 shared images mAP has a total with its p-value, and nothing to judge."""
    rng = np.random.default_rng(3)
    before, after = (
        columns(detector_run(rng, numbers, found), DETECTOR)
        for numbers, found in ((range(40), 0.9), (range(30, 70), 0.3))
    )

    (change,) = changes(before, after, 1)

    assert change.causes.keys() == change.pvalues.keys() == {"total"}
    assert change.pvalues["total"] < 0.01
    assert change.tested_change is change.tested_pvalue is change.exact_change is None


def test_memory_stays_bounded() -> None:
    """The tests of 20,000 samples with 20 classes and several windows each hold less than 100 MB beside the runs."""
    shares = np.full(20, 0.05)
    confusion, *_ = population(shares, 0.8)
    baseline = simulated(np.random.default_rng(1), shares, confusion, 20_000, 3, 0.5)
    new = _drawn(np.random.default_rng(2), shares, confusion, baseline.label, 3)
    current = replace(
        baseline,
        sample_id=baseline.sample_id + 2000,
        label=baseline.label,
        prediction=new,
        correct=(new == baseline.label).astype(np.int8),
    )

    tracemalloc.start()
    try:
        found = changes(baseline, current, 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert all(change.pvalues.keys() == {"total", "model", "added", "removed"} for change in found)
    assert peak < 100e6


# Many classes.


def many_classes(classes: int, every: int, samples: int) -> ResultSet:
    """Samples of so many classes in turn, every so many of them predicted as the next class."""
    run: dict[int, list[Window]] = {}
    for number in range(samples):
        label, found = (f"L{place % classes:05}" for place in (number, number + (number % every == 0)))
        run[number] = [Window(label, found, CORRECT if label == found else WRONG)]
    return columns(run, classes=("L00000", "L00001"))


@pytest.mark.parametrize("removed", [0, 40])
def test_many_classes_as_few(monkeypatch: pytest.MonkeyPatch, removed: int) -> None:
    """Sums kept by their cells that are not 0 give the same causes and p-values as a whole table, to the last digit."""
    before, after = many_classes(7, 5, 300), many_classes(7, 3, 300 - removed)

    whole = by_metric(before, after, 1)
    monkeypatch.setattr(resamplable, "_DENSE_CELLS", 0)
    sparse = by_metric(before, after, 1)

    assert isinstance(resamplable.macro_f1((before, before)), resamplable.SparseSumStatistic)
    assert whole == sparse
    assert sparse["mean_f1"].pvalues["model"] < 1


def test_a_class_per_sample() -> None:
    """A comparison of two runs in which every sample has a label of its own takes megabytes, not
    samples times classes.
    """
    before, after = many_classes(12_000, 5, 12_000), many_classes(12_000, 3, 12_000)

    tracemalloc.start()
    found = by_metric(before, after, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 300_000_000
    assert found["mean_f1"].causes["added"] == 0
