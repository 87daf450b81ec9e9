"""The gate: what of a difference is beyond chance, when it opens, and when it shuts again."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from monitor.compare.gate import Effect, effect
from tests.growth import LINEAR, growth


def by_permutation(
    reference: np.ndarray, recent: np.ndarray, limit: float, units: np.ndarray, times: int = 1500
) -> tuple[float, float, float, float]:
    """Both statistics less their means, and their p-values, one permutation of units at a time."""
    rng = np.random.default_rng(99)
    pooled = np.concatenate([reference, recent])
    first = np.arange(len(pooled)) < len(reference)
    sides = {unit: first[units == unit][0] for unit in np.unique(units)}
    scale = np.subtract(*np.quantile(reference, [0.75, 0.25])) / 1.349
    found = []
    for turn in range(times + 1):
        drawn = list(sides.values()) if turn == 0 else rng.permutation(list(sides.values()))
        of = dict(zip(sides, drawn, strict=True))
        before = np.array([of[unit] for unit in units])
        one, other = pooled[before], pooled[~before]
        area = wasserstein_distance(one, other) / scale
        found.append((area, abs(np.mean(other > limit) - np.mean(one > limit))))
    statistics = np.array(found)
    excess = statistics[0] - statistics[1:].mean(axis=0)
    pvalues = (statistics >= statistics[0] - 1e-12).mean(axis=0)
    return excess[0], excess[1], pvalues[0], pvalues[1]


def test_effect_is_that_of_a_loop_over_permutations() -> None:
    """The excess of both statistics and their p-values are those of a loop with SciPy's distance, up to the chance in
    199 permutations.
    """
    rng = np.random.default_rng(1)
    reference, recent = np.round(rng.normal(size=120), 1), np.round(rng.normal(size=60) + 0.2, 1)
    expected = by_permutation(reference, recent, 1.0, np.arange(180))

    found = effect(reference, recent, 1.0, seed=3)

    assert expected[0] == pytest.approx(found.wasserstein, abs=0.01)
    assert expected[1] == pytest.approx(found.exceedance, abs=0.005)
    assert expected[2] == pytest.approx(found.wasserstein_pvalue, abs=0.1)
    assert expected[3] == pytest.approx(found.exceedance_pvalue, abs=0.1)


def test_groups_are_permuted_whole() -> None:
    """With groups as units, of unequal size and with keys that both sides have, the loop permutes groups, and what
    looks significant among samples is not.
    """
    rng = np.random.default_rng(2)
    sizes = rng.integers(5, 15, 18)
    group = np.repeat(np.arange(18), sizes)
    scores = rng.normal(size=18)[group] + 0.3 * rng.normal(size=len(group))
    old = group < 12
    key = np.where(old, group, group - 6)  # six keys are on both sides
    expected = by_permutation(scores[old], scores[~old], 1.0, group)

    found = effect(scores[old], scores[~old], 1.0, 3, (key[old], key[~old]))

    assert expected[0] == pytest.approx(found.wasserstein, abs=0.05)
    assert expected[1] == pytest.approx(found.exceedance, abs=0.02)
    assert expected[2] == pytest.approx(found.wasserstein_pvalue, abs=0.1)
    assert effect(scores[old], scores[~old], 1.0, 3).wasserstein_pvalue < 0.02 < found.wasserstein_pvalue


@pytest.mark.parametrize(
    ("found", "opened", "kept"),
    [
        (Effect(0.10, 0.0, 0.02, 1.0), True, True),
        (Effect(0.10, 0.0, 0.025, 0.01), False, True),
        (Effect(0.0, 0.03, 1.0, 0.02), True, True),
        (Effect(0.0, 0.03, 0.01, 0.025), False, True),
        (Effect(0.099, 0.029, 0.005, 0.005), False, True),
        (Effect(0.07, 0.0, 1.0, 1.0), False, True),
        (Effect(0.0, 0.02, 1.0, 1.0), False, True),
        (Effect(0.069, 0.019, 0.005, 0.005), False, False),
    ],
)
def test_hysteresis(found: Effect, opened: bool, kept: bool) -> None:
    """It opens by one statistic that is both large and significant itself, shuts where both are small, and in between
    stays as it was.
    """
    assert opened == found.gate(was_open=False)
    assert kept == found.gate(was_open=True)


@pytest.mark.parametrize("size", [100, 300, 2000])
def test_quiet_gates_are_shut(size: int) -> None:
    """Without drift the gate of 200 new scores opens in at most a tenth of cases, with heavy tails and a threshold."""
    rng = np.random.default_rng(size)
    opened = sum(
        effect(rng.standard_t(3, size), rng.standard_t(3, 200), 2.5, seed).gate(was_open=False) for seed in range(100)
    )

    assert opened <= 15  # at 10 %, more than 15 of 100 has a chance of 4 %


def test_a_shift_opens_it() -> None:
    """A shift by half a standard deviation of the last 200 opens the gate in almost all cases."""
    rng = np.random.default_rng(5)
    opened = sum(
        effect(rng.normal(size=300), rng.normal(size=200) + 0.5, None, seed).gate(was_open=False) for seed in range(40)
    )

    assert opened >= 38


def test_constant_scores_are_at_no_distance() -> None:
    """Where nothing varies there is no effect, wherever the threshold is."""
    for limit in (None, -1.0, 0.0, 1.0):
        found = effect(np.zeros(120), np.zeros(40), limit, 1)

        assert (found.wasserstein, found.exceedance, found.wasserstein_pvalue) == (0, 0, 1)


def test_cost() -> None:
    """The largest comparison that is ever made costs no more than its scores are more than those of a small one."""

    def comparison(size: int) -> Callable[[], object]:
        rng = np.random.default_rng(6)
        reference, recent = rng.normal(size=3 * size), rng.normal(size=size)
        return lambda: effect(reference, recent, None, 1)

    assert growth(comparison, 66) < LINEAR
