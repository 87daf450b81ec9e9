"""Intervals: what they must do on every input, and whether they hold the truth as often as they claim."""

from __future__ import annotations

import math
import tracemalloc
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from monitor.figures.classification import quality
from monitor.figures.evaluation import Interval
from monitor.figures.intervals import bootstrap_mean, mean_f1, share
from tests.figures.strategies import population, simulated

clusters = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any), min_size=30, max_size=60)
"""Hits and misses of each sample, at least one window."""


def spread(counts: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """The hits and samples of the windows of such clusters."""
    hits = [hit for good, bad in counts for hit in [True] * good + [False] * bad]
    return np.array(hits, np.bool_), np.repeat(np.arange(len(counts)), [good + bad for good, bad in counts])


def wilson(p: float, n: float) -> Interval:
    """Wilson's bounds as the roots of (p - x)² = z² x (1 - x) / n."""
    z2 = 1.959963984540054**2
    roots = np.roots([1 + z2 / n, -2 * p - z2 / n, p**2]).real
    return Interval(pytest.approx(min(roots), abs=1e-6), pytest.approx(max(roots), abs=1e-6))


class TestShare:
    """Wilson's interval on an effective size."""

    @given(st.integers(30, 200), st.data())
    def test_one_window_per_sample(self, n: int, data: st.DataObject) -> None:
        """Independent windows give SciPy's Wilson interval, less at most the n / (n - 1) of the cluster variance."""
        k = data.draw(st.integers(0, n))
        expected = binomtest(k, n).proportion_ci(method="wilson")

        found = share(np.arange(n) < k, np.arange(n))

        assert found is not None
        few = min(k, n - k) < 10
        assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-9 if few else 0.3 / n)

    @given(clusters)
    def test_is_wilson_on_the_effective_size(self, counts: list[tuple[int, int]]) -> None:
        """The bounds are Wilson's for windows / deff, and for the number of samples where hits or misses are few."""
        good, total = np.array(counts)[:, 0], np.array(counts).sum(axis=1)
        samples, n = len(counts), int(total.sum())
        p = good.sum() / n
        size = float(samples)
        if min((good > 0).sum(), (good < total).sum()) >= 10:
            variance = samples * np.var(good - p * total, ddof=1) / n**2
            size = n / max(1.0, variance / (p * (1 - p) / n))

        assert share(*spread(counts)) == wilson(p, size)

    def test_copies_of_a_window_say_nothing_new(self) -> None:
        """Twenty equal windows per sample give the same bounds as one."""
        hits = np.arange(200) % 5 > 0

        once, often = share(hits, np.arange(200)), share(hits.repeat(20), np.arange(200).repeat(20))

        assert once is not None
        assert often is not None
        assert (often.lower, often.upper) == pytest.approx((once.lower, once.upper), abs=1e-9)

    def test_few_errors(self) -> None:
        """With errors in nine samples the size is the number of samples, though their windows seem independent; with
        ten it is more.
        """
        sample = np.arange(100).repeat(10)
        hits = np.ones(1000, np.bool_)
        hits[np.arange(9) * 10] = False
        nine = share(hits, sample)
        hits[90] = False

        assert nine == wilson(0.991, 100)
        assert share(hits, sample) == wilson(0.99, 1000)

    @pytest.mark.parametrize(("hit", "expected"), [(True, 1.0), (False, 0.0)])
    def test_certainty_has_a_width(self, hit: bool, expected: float) -> None:
        """All hits, or none, still leave room on the other side, and none beyond 0 and 1."""
        found = share(np.full(50, hit), np.arange(50))

        assert found is not None
        assert expected in (found.lower, found.upper)
        assert 0 <= found.lower < found.upper <= 1

    @pytest.mark.slow
    @given(clusters, st.randoms(use_true_random=False))
    def test_order_and_numbering_of_samples_do_not_matter(self, counts: list[tuple[int, int]], random: Random) -> None:
        """Windows in another order, of samples with gaps in their numbers, give the same bounds."""
        hits, sample = spread(counts)
        order = np.arange(len(hits))
        random.shuffle(order)

        found, other = share(hits, sample), share(hits[order], 3 * sample[order] + 5)

        assert found is not None
        assert other is not None
        assert (other.lower, other.upper) == pytest.approx((found.lower, found.upper), abs=1e-12)


class TestBootstrapMean:
    """The bootstrap of samples for a mean over windows."""

    @pytest.mark.parametrize("samples", [500, 50_000])
    def test_has_the_width_of_the_clustered_standard_error(self, samples: int) -> None:
        """The bounds are those of the normal limit, also where samples, uploaded in order of their value, are dealt
        into groups.
        """
        rng = np.random.default_rng(1)
        windows = rng.integers(1, 6, samples)
        sample = np.arange(samples).repeat(windows)
        values = np.sort(rng.exponential(1, samples)).repeat(windows) + rng.normal(0, 0.5, len(sample))
        mean = values.mean()
        residuals = np.bincount(sample, values) - mean * windows
        error = math.sqrt(samples * residuals.var(ddof=1)) / len(sample)

        found = bootstrap_mean(values, sample, 1)

        assert found is not None
        assert found.upper - found.lower == pytest.approx(2 * 1.96 * error, rel=0.1)
        assert (found.lower + found.upper) / 2 == pytest.approx(mean, abs=0.25 * error)

    def test_copies_of_a_window_say_nothing_new(self) -> None:
        """Equal windows of a sample are one piece of evidence: the bounds are the same with five of each."""
        values = np.random.default_rng(1).normal(3, 1, 200)

        once, often = (
            bootstrap_mean(values, np.arange(200), 5),
            bootstrap_mean(values.repeat(5), np.arange(200).repeat(5), 5),
        )

        assert once is not None
        assert often is not None
        assert (often.lower, often.upper) == pytest.approx((once.lower, once.upper))

    @given(st.integers(0, 2**64), st.integers(30, 80))
    def test_same_seed_same_bounds(self, seed: int, samples: int) -> None:
        """The bounds are a function of the input and the seed, and lie within the values."""
        values = np.linspace(0, 1, samples)

        found = bootstrap_mean(values, np.arange(samples), seed)

        assert found is not None
        assert found == bootstrap_mean(values, np.arange(samples), seed)
        assert 0 <= found.lower < 0.5 < found.upper <= 1


class TestMeanF1:
    """The bootstrap of samples for the macro F1."""

    @staticmethod
    def drawn(samples: int, windows: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, predictions and samples of a simulated set, some of them no class."""
        rng = np.random.default_rng(1)
        label = rng.integers(-1, classes, samples).repeat(windows)
        guess = np.where(rng.random(len(label)) < 0.7, label, rng.integers(-1, classes, len(label)))
        return label, guess, np.arange(samples).repeat(windows)

    @pytest.mark.parametrize("windows", [1, 4])
    def test_equals_a_plain_bootstrap(self, windows: int) -> None:
        """Re-sampling cells or counts gives the percentiles of re-sampling samples and asking scikit-learn."""
        label, guess, sample = self.drawn(150, windows)
        rng = np.random.default_rng(2)
        plain = []
        for _ in range(500):
            chosen = (rng.integers(0, 150, 150)[:, None] * windows + np.arange(windows)).ravel()
            plain.append(f1_score(label[chosen], guess[chosen], labels=[0, 1, 2], average="macro", zero_division=0))

        found = mean_f1(label, guess, sample, 3, 1)

        assert found is not None
        assert (found.lower, found.upper) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.015)

    def test_cells_and_counts_agree(self) -> None:
        """One window per sample takes the cells, two equal ones take the counts: the bounds are the same but for the
        draw.
        """
        label, guess, sample = self.drawn(2000, 1)

        cells, counts = (
            mean_f1(label, guess, sample, 3, 1),
            mean_f1(label.repeat(2), guess.repeat(2), sample.repeat(2), 3, 1),
        )

        assert cells is not None
        assert counts is not None
        assert (counts.lower, counts.upper) == pytest.approx((cells.lower, cells.upper), abs=0.004)

    def test_dealing_keeps_the_width(self) -> None:
        """Samples dealt into groups give the bounds of the samples themselves, scaled by the root of their number."""
        label, guess, sample = self.drawn(5000, 2)
        larger = self.drawn(80_000, 2)

        few, many = mean_f1(label, guess, sample, 3, 1), mean_f1(*larger, 3, 1)

        assert few is not None
        assert many is not None
        assert (few.upper - few.lower) / (many.upper - many.lower) == pytest.approx(4, rel=0.15)

    def test_rare_class(self) -> None:
        """Bounds end where a class has nine samples, however many windows they have."""
        sample = np.arange(100).repeat(3)
        label = (sample < 10).astype(np.int8)

        assert mean_f1(label, label, sample, 2, 1) == Interval(1, 1)
        assert mean_f1((sample < 9).astype(np.int8), label, sample, 2, 1) is None

    def test_replicates_without_any_class(self) -> None:
        """A replicate in which no class has support says nothing, and is left out instead of being counted as 0."""
        label = np.where(np.arange(1000) < 10, 0, -1)

        found = {mean_f1(label, label, np.arange(1000), 1, seed) for seed in range(100)}

        assert found == {Interval(1, 1)}

    def test_replicates_without_a_class(self) -> None:
        """A class without support in a replicate is left out of that mean: a perfect classifier of 1,000 small classes
        stays at 1.
        """
        label = np.arange(10_000) % 1000

        assert mean_f1(label, label, np.arange(10_000), 1000, 1) == Interval(1, 1)

    def test_many_classes(self) -> None:
        """Hundreds of classes, with more distinct cells than are re-sampled as such, still give bounds around the
        point.
        """
        rng = np.random.default_rng(1)
        label = np.arange(20_000) % 500
        guess = np.where(rng.random(20_000) < 0.5, label, rng.integers(0, 500, 20_000))
        point = f1_score(label, guess, average="macro")

        found = mean_f1(label, guess, np.arange(20_000), 500, 1)

        assert found is not None
        assert found.lower < point < found.upper
        assert found.upper - found.lower < 0.05

    def test_memory_is_bounded(self) -> None:
        """A million windows of 100,000 samples and 20 classes, all of which count, take less than 100 MB beside the
        columns.
        """
        label, guess, sample = (column.astype(np.int32) for column in self.drawn(100_000, 10, 20))
        guess[250_000:500_000] = label[250_000:500_000]
        point = f1_score(label, guess, labels=range(20), average="macro")

        tracemalloc.start()
        try:
            found = mean_f1(label, guess, sample, 20, 1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert found is not None
        assert found.lower < point < found.upper
        assert peak < 100e6


@pytest.mark.parametrize("samples", [0, 1, 29])
def test_too_few_samples(samples: int) -> None:
    """Under 30 samples there are no bounds, however many windows they have."""
    sample = np.arange(samples).repeat(50)
    hits = np.arange(len(sample)) % 2 == 0

    assert share(hits, sample) is None
    assert bootstrap_mean(hits.astype(np.float64), sample, 1) is None
    assert mean_f1(hits.astype(np.int8), hits.astype(np.int8), sample, 2, 1) is None


@pytest.mark.slow
@pytest.mark.parametrize("windows", [1, 10], ids=["one window", "ten correlated windows"])
@pytest.mark.parametrize("shares", [[0.25] * 4, [0.06, 0.24, 0.3, 0.4]], ids=["balanced", "a class at 6 %"])
def test_coverage(shares: list[float], windows: int) -> None:
    """The intervals hold the truth in 92 % to 97 % of simulated sets, give or take two standard errors of the
    simulation.
    """
    replicates, samples = 400, 300
    rng = np.random.default_rng(1)
    confusion, accuracy, f1 = population(np.array(shares), 0.8)
    held: dict[str, list[bool]] = {"accuracy": [], "mean F1": []}

    for replicate in range(replicates):
        found = quality(simulated(rng, np.array(shares), confusion, samples, windows, math.sqrt(0.5)), replicate)
        assert found is not None
        for name, bounds, truth in (
            ("accuracy", found.accuracy_interval, accuracy),
            ("mean F1", found.mean_f1_interval, f1),
        ):
            if bounds is not None:
                held[name].append(bounds.lower <= truth <= bounds.upper)

    for name, kept in held.items():
        assert len(kept) > 0.9 * replicates, name
        error = 2 * math.sqrt(0.95 * 0.05 / len(kept))
        assert 0.92 - error < np.mean(kept) < 0.97 + error, name
