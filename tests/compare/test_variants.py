"""Two variants of one impulse: the gap, its test and bounds beside published ones, its growth, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as published_mcnemar

from monitor.compare.paired import difference_of_shares
from monitor.compare.resampling import mcnemar
from monitor.compare.variants import MOST_NAMED, VariantComparison, VariantGap, compare_variants
from monitor.figures.classification import quality
from monitor.figures.detection import detection
from monitor.results import CORRECT, WRONG, Categorical, ResultSet
from tests.compare.change_oracle import DETECTOR, LABELS, columns, detector_run
from tests.factories import encoded, known, result_set
from tests.figures.strategies import CLASSIFIER

Mask = npt.NDArray[np.bool_]
DAY = np.timedelta64(1, "D")


def classifier(rng: np.random.Generator, right: Mask, labels: npt.NDArray[np.intp], windows: int = 1) -> ResultSet:
    """A run of a classifier that is right where it is told to be; samples have so many windows each."""
    other = (labels + rng.integers(1, len(LABELS), len(labels))) % len(LABELS)
    predictions = np.where(right, labels, other)
    count = len(labels)
    place = np.arange(count) % windows
    return result_set(
        blocks=(CLASSIFIER,),
        sample=np.arange(count) // windows,
        sample_id=100 + np.arange(count // windows),
        start_ms=place * 1000,
        end_ms=place * 1000 + 1000,
        correct=right.astype(np.int8),
        **encoded([LABELS[k] for k in labels], [LABELS[k] for k in predictions]),
    )


def flipped(rng: np.random.Generator, right: Mask, lost: float, gained: float) -> Mask:
    """What is still right where so large a share of all windows is lost and another gained, on average."""
    share = right.mean()
    draw = rng.random(len(right))
    return np.where(right, draw >= lost / share, draw < gained / (1 - share))


def pair_of(
    seed: int, n: int = 200, lost: float = 0.03, gained: float = 0.03, windows: int = 1
) -> tuple[ResultSet, ResultSet]:
    """The reference's run and the variant's; nine in ten of the reference's windows are right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(LABELS), n * windows)
    right = rng.random(n * windows) < 0.9
    return classifier(rng, right, labels, windows), classifier(rng, flipped(rng, right, lost, gained), labels, windows)


def compared(reference: ResultSet, variant: ResultSet, seed: int = 1) -> VariantComparison:
    """The comparison of two runs without baselines."""
    return compare_variants("float32", reference, variant, seed)


def gap(found: VariantComparison, metric: str = "accuracy") -> VariantGap:
    """The gap of a figure that is there."""
    return known(found.gap(metric))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_mcnemar(gained: int, lost: int) -> None:
    """The p-value is statsmodels' exact one less half of what is as likely as the table: on either side one tail."""
    exact = published_mcnemar([[5, gained], [lost, 5]], exact=True).pvalue
    mass = binom.pmf(min(gained, lost), gained + lost, 0.5)
    expected = 1 - mass / 2 if gained == lost else exact - mass

    assert mcnemar(gained, lost) == pytest.approx(1.0 if gained + lost == 0 else expected, abs=1e-12)


def test_published_bounds() -> None:
    """The bounds are those of Bonett's own program (statpsych, ci.prop.ps) for 12, 4, 26 and 6 pairs."""
    bounds = known(difference_of_shares(26, 4, 12 + 4 + 26 + 6))

    assert (bounds.lower, bounds.upper) == pytest.approx((0.2548067, 0.6251933), abs=1e-6)


def test_bounds_of_a_gap_of_single_windows() -> None:
    """The accuracy's gap has those bounds, from the samples that only one of the two gets right."""
    reference, variant = pair_of(3, 150, lost=0.1)
    found = compared(reference, variant)

    assert gap(found).interval == difference_of_shares(found.lost, found.gained, 150)
    assert gap(found).pvalue == mcnemar(found.gained, found.lost)


@pytest.mark.parametrize("windows", [1, 5])
def test_gaps_are_differences_of_the_exported_figures(windows: int) -> None:
    """Each figure is the one that either variant exports, and the gap is the reference's less the variant's."""
    reference, variant = pair_of(4, 120, lost=0.1, windows=windows)
    found = compared(reference, variant)
    of_reference, of_variant = (known(quality(run, None)) for run in (reference, variant))

    for metric in ("accuracy", "mean_f1"):
        each = gap(found, metric)
        assert each.reference == pytest.approx(getattr(of_reference, metric), abs=1e-12)
        assert each.variant == pytest.approx(getattr(of_variant, metric), abs=1e-12)
        assert each.size == pytest.approx(each.reference - each.variant, abs=1e-12)
        assert known(each.interval).lower < each.size < known(each.interval).upper


def test_samples_on_which_they_differ() -> None:
    """Every sample of which only one of the two gets a window right is counted, and the first of them named."""
    reference, variant = pair_of(5, 900, lost=0.2, gained=0.01)
    lost = (reference.correct == CORRECT) & (variant.correct == WRONG)
    gained = (reference.correct == WRONG) & (variant.correct == CORRECT)
    found = compared(reference, variant)

    assert (found.lost, found.gained) == (lost.sum(), gained.sum())
    assert found.lost > MOST_NAMED
    assert found.lost_samples == tuple(reference.sample_id[lost][:MOST_NAMED].tolist())
    assert found.gained_samples == tuple(reference.sample_id[gained].tolist())


def test_boxes() -> None:
    """Of detectors the mAP is compared, with bounds and a test by swapping the two per image."""
    rng = np.random.default_rng(6)
    good, bad = (columns(detector_run(rng, range(80), found), DETECTOR) for found in (0.95, 0.6))
    found = gap(compared(good, bad), "map")
    maps = [known(detection(run, None)[0]).map["0.50:0.95"] for run in (good, bad)]

    assert [found.reference, found.variant] == pytest.approx(maps, abs=1e-9)
    assert known(found.interval).lower > 0
    assert found.pvalue <= 0.01


def _fewer(run: ResultSet) -> ResultSet:
    return replace(
        run,
        sample_id=np.concatenate([run.sample_id[:-1], [9999]]),
    )


def _later(run: ResultSet) -> ResultSet:
    start = run.start_ms.copy()
    start[0] = -1
    return replace(run, start_ms=start)


def _relabelled(run: ResultSet) -> ResultSet:
    label = run.label.copy()
    label[:3] = (label[:3] + 1) % len(LABELS)
    return replace(run, label=label)


def _stricter(run: ResultSet) -> ResultSet:
    return replace(run, blocks=(replace(CLASSIFIER, thresholds={"min_score": 0.9}),))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_fewer, "do not hold the same samples and windows: 2 samples differ"),
        (_later, "do not hold the same samples and windows: 2 samples differ"),
        (_relabelled, "3 windows differ in the label"),
        (_stricter, "different thresholds"),
    ],
)
def test_runs_of_other_content_are_not_compared(change: Callable[[ResultSet], ResultSet], reason: str) -> None:
    """Where anything but the predictions differs there is no gap, and it is said what differs."""
    reference, variant = pair_of(7)
    found = compared(reference, change(variant))

    assert found.gaps == ()
    assert reason in found.reason
    assert compared(reference, variant).reason == ""


@pytest.mark.slow
def test_level_and_power() -> None:
    """Of variants equally good p <= 0.01 in about one of a hundred at most, whichever figure; a loss of ten points in
    200 samples is mostly found.
    """
    runs = 100
    quiet = [compared(*pair_of(seed), seed) for seed in range(runs)]
    worse = [compared(*pair_of(seed, lost=0.12, gained=0.02), seed) for seed in range(20)]

    for metric in ("accuracy", "mean_f1"):
        assert sum(gap(found, metric).pvalue <= 0.01 for found in quiet) <= binom.ppf(0.999, runs, 0.01)
        assert sum(gap(found, metric).pvalue <= 0.05 for found in quiet) > 0
        assert sum(gap(found, metric).pvalue <= 0.01 for found in worse) >= 16


@pytest.mark.slow
def test_coverage() -> None:
    """The bounds hold the true gap in about 95 of 100 cases, exact ones and those by re-sampling."""
    runs, lost, gained = 100, 0.08, 0.03
    found = [compared(*pair_of(seed, lost=lost, gained=gained), seed) for seed in range(runs)]
    many = [compared(*pair_of(seed, 10_000, lost=lost, gained=gained)) for seed in range(1000, 1002)]
    least = binom.ppf(0.001, runs, 0.95)

    for metric in ("accuracy", "mean_f1"):
        true = np.mean([gap(each, metric).size for each in many])
        bounds = [known(gap(each, metric).interval) for each in found]
        assert sum(each.lower <= true <= each.upper for each in bounds) >= least


@pytest.mark.parametrize("differing", [1, 3, 12])
def test_bounds_of_a_gap_that_few_samples_show(differing: int) -> None:
    """Where few samples differ, a bootstrap's variance is taken for what they and one more on either side would show:
    with three of 60, 1 + 2/3 times.
    """
    rng = np.random.default_rng(1)
    labels = rng.integers(0, len(LABELS), 60).repeat(2)
    right = np.ones(120, np.bool_)
    worse = right.copy()
    worse[: 2 * differing] = False
    found = gap(compared(classifier(rng, right, labels, 2), classifier(rng, worse, labels, 2)))
    share = differing / 60
    error = math.sqrt(share * (1 - share) / 60 * (1 + 2 / differing))

    interval = known(found.interval)
    assert interval.upper - share == pytest.approx(stats.t.ppf(0.975, 59) * error, rel=0.1)
    assert share - interval.lower == pytest.approx(interval.upper - share)


def test_few_samples_have_no_bounds() -> None:
    """Under 30 samples there is a gap and a p-value, without bounds."""
    found = gap(compared(*pair_of(8, 29, lost=0.2)))

    assert found.interval is None
    assert found.size == pytest.approx(found.reference - found.variant)


def test_equal_outputs() -> None:
    """Variants that say the same have no gap, which nothing speaks against."""
    reference, _ = pair_of(9)
    found = compared(reference, reference)

    assert [(each.size, each.pvalue) for each in found.gaps] == [(0.0, 1.0), (0.0, 1.0)]
    assert (found.lost, found.gained) == (0, 0)
    assert gap(found, "mean_f1").interval is None


def in_groups(seed: int, groups: int = 24, size: int = 20) -> tuple[ResultSet, ResultSet]:
    """Variants equally good, of which now the one and now the other fails on the samples of a day."""
    rng = np.random.default_rng(seed)
    n = groups * size
    labels = rng.integers(0, len(LABELS), n)
    failing = rng.random((2, groups)) < 0.25
    draws = rng.random((2, n)) < np.where(failing.repeat(size, axis=1), 0.5, 0.97)
    days = (np.datetime64("2026-01-01T06", "ms") + np.arange(groups) * DAY).repeat(size)
    runs = (
        replace(classifier(rng, right, labels), added=days, device=Categorical.encode(["a"] * n)) for right in draws
    )
    reference, variant = runs
    return reference, variant


def test_alike_samples_are_one_unit() -> None:
    """Where the samples of a day differ alike the day is what is swapped and drawn again: few quiet pairs have p <=
    0.05, where counting samples finds a gap in many.
    """
    pairs = [in_groups(seed) for seed in range(30)]
    by_day = [gap(compare_variants("float32", *pair, 1)) for pair in pairs]
    by_sample = [gap(compare_variants("float32", *pair, 1, group_by="none")) for pair in pairs]

    assert sum(found.pvalue <= 0.05 for found in by_day) <= binom.ppf(0.999, 30, 0.05)
    assert sum(found.pvalue <= 0.05 for found in by_sample) >= 6
    assert all(found.smallest is not None for found in by_day)
    widths = [
        [known(found.interval).upper - known(found.interval).lower for found in each] for each in (by_day, by_sample)
    ]
    assert np.mean(widths[0]) > 2 * np.mean(widths[1])


def two_pairs(seed: int, lost: float, n: int = 300) -> tuple[tuple[ResultSet, ResultSet], tuple[ResultSet, ResultSet]]:
    """Reference and variant of a baseline, 2 points apart, and of now: another training of which the variant loses so
    much.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(LABELS), n)
    runs = []
    for share in (0.02, lost):
        right = rng.random(n) < 0.9
        runs.append((classifier(rng, right, labels), classifier(rng, flipped(rng, right, share, 0.0), labels)))
    return runs[0], runs[1]


def grown(seed: int, lost: float) -> VariantGap:
    """The accuracy's gap of now beside that of the baselines."""
    before, now = two_pairs(seed, lost)
    return gap(compare_variants("float32", *now, seed, before))


@pytest.mark.slow
def test_growth() -> None:
    """A gap that was there at the baseline has not grown; one that is ten points larger mostly has, significantly."""
    quiet = [known(grown(seed, 0.02).growth) for seed in range(50)]
    worse = [known(grown(seed, 0.12).growth) for seed in range(15)]

    assert sum(known(growth.pvalue) <= 0.01 for growth in quiet) <= binom.ppf(0.999, 50, 0.01)
    assert sum(known(growth.pvalue) <= 0.01 for growth in worse) >= 12
    assert np.mean([growth.size for growth in worse]) == pytest.approx(0.1, abs=0.02)


def test_growth_is_of_the_samples_that_all_four_runs_hold() -> None:
    """Samples that came since, and those of another label, are no part of the growth."""
    (reference_before, variant_before), (reference, variant) = two_pairs(3, 0.1)
    labels = reference.label.copy()
    labels[:10] = (labels[:10] + 1) % len(LABELS)
    now = tuple(replace(run, label=labels) for run in (reference, variant))
    keep = np.arange(250)
    before = tuple(_first(run, keep) for run in (reference_before, variant_before))
    found = gap(compare_variants("float32", now[0], now[1], 1, (before[0], before[1])))
    shares = [float(run.correct[10:250].mean()) for run in (reference, variant, reference_before, variant_before)]

    growth = known(found.growth)
    assert growth.samples == 240
    assert growth.now == pytest.approx(shares[0] - shares[1])
    assert growth.before == pytest.approx(shares[2] - shares[3])


def _first(run: ResultSet, keep: npt.NDArray[np.intp]) -> ResultSet:
    per_window = ("sample", "start_ms", "end_ms", "label", "prediction", "correct")
    columns = {name: getattr(run, name)[keep] for name in per_window}
    device = Categorical.encode([None] * len(keep))
    return replace(run, sample_id=run.sample_id[keep], added=run.added[keep], device=device, **columns)


def test_the_baselines_themselves_have_not_grown() -> None:
    """A run that is its own baseline has a growth of 0, which is not tested."""
    reference, variant = pair_of(10, lost=0.1)
    growth = known(gap(compare_variants("float32", reference, variant, 1, (reference, variant))).growth)

    assert (growth.size, growth.pvalue) == (0.0, None)


def test_renamed_classes_are_the_same_labels() -> None:
    """A class that is called otherwise since the baseline leaves the growth as it is."""
    before, now = two_pairs(11, 0.1)
    names = {"ant": "emmet"}
    renamed = tuple(_called(run, names) for run in now)
    plain = known(gap(compare_variants("float32", *now, 1, before)).growth)
    found = known(gap(compare_variants("float32", renamed[0], renamed[1], 1, before)).growth)

    assert (found.samples, found.size) == (plain.samples, pytest.approx(plain.size))


def _called(run: ResultSet, names: dict[str, str]) -> ResultSet:
    texts = [
        [names.get(run.labels[code], run.labels[code]) for code in column] for column in (run.label, run.prediction)
    ]
    return replace(run, **encoded(texts[0], texts[1]))
