"""The test martingale: the published formula, its bets, false alarms and detection."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import kstest

from monitor.compare.martingale import (
    ALARM,
    JUMPING_RATES,
    KNOTS,
    Bets,
    MartingaleState,
    advance,
    drift_bets,
    error_bets,
    start,
)
from tests.growth import LINEAR, TURNS, Costs, growth

TIES = np.array([0.0, 0.5, 1.0])
NAMED = {"drift": drift_bets, "errors": error_bets}


def counted(state: MartingaleState, first_id: int, scores: np.ndarray) -> MartingaleState:
    """The state after these scores, under ids from `first_id` on."""
    return advance(state, np.arange(first_id, first_id + len(scores)), scores)


def same(first: MartingaleState, second: MartingaleState) -> bool:
    """Whether two states are equal to the last bit."""
    pairs = zip(*(dataclasses.astuple(state) for state in (first, second)), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def density(inside: bool, value: float, width: float) -> float:
    """A step that integrates to 1."""
    return value if inside else (1 - value * width) / (1 - width)


def bets_on_drift(p: float) -> list[float]:
    """Every bet on drift at one p-value, as defined."""
    off = abs(p - 0.5)
    return [
        1,
        1 + (p - 0.5),
        1 - (p - 0.5),
        density(p <= 0.05, 2, 0.05),
        density(p <= 0.05, 4, 0.05),
        density(p >= 0.95, 2, 0.05),
        density(p >= 0.95, 4, 0.05),
        1.6 if off <= 0.25 else 0.4,
        0.4 if off <= 0.25 else 1.6,
        3 if off <= 0.1 else 0.5,
        4 if off >= 0.45 else 2 / 3,
        3 * (1 - p) ** 2,
        3 * p**2,
        6 * (1 - p) ** 5,
        6 * p**5,
    ]


def bets_on_errors(p: float) -> list[float]:
    """Every bet on errors at one p-value, as defined."""
    tails = [density(p <= 0.05, value, 0.05) for value in (2, 4)]
    return [1, 1.5 - p, *tails, 3 * (1 - p) ** 2, 6 * (1 - p) ** 5]


def simple_jumper(pvalues: list[float], bets_at: Callable[[float], list[float]] = bets_on_drift) -> list[float]:
    """log10 of the capital after each p-value, by the algorithm as published, one number at a time."""
    kinds = len(bets_at(0.5))
    capital = {rate: [1 / kinds] * kinds for rate in (1e-4, 1e-3, 1e-2, 1e-1)}
    evidence = []
    for p in pvalues:
        bets = bets_at(p)
        for rate, parts in capital.items():
            total = sum(parts)
            capital[rate] = [
                bet * ((1 - rate) * part + rate / kinds * total) for bet, part in zip(bets, parts, strict=True)
            ]
        evidence.append(math.log10(sum(map(sum, capital.values())) / 4))
    return evidence


def conformal_pvalues(reference: list[float], scores: list[float], ties: list[float]) -> list[float]:
    """Smoothed conformal p-values of scores against the reference and all scores before, counted one by one."""
    bag, pvalues = list(reference), []
    for score, tie in zip(scores, ties, strict=True):
        larger, equal = sum(other > score for other in bag), sum(other == score for other in bag)
        pvalues.append((larger + tie * (equal + 1)) / (len(bag) + 1))
        bag.append(score)
    return pvalues


def tie_breaks(seed: int, ids: range) -> list[float]:
    """The draws of SplitMix64, in Python's integers."""
    mask = 2**64 - 1

    def mixed(bits: int) -> int:
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & mask
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
        return bits ^ (bits >> 31)

    return [(mixed((mixed(seed) + sample * 0x9E3779B97F4A7C15) & mask) >> 11) / 2**53 for sample in ids]


tied_or_not = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5]) | st.floats(-5, 5), max_size=40)


@pytest.mark.parametrize("bets", NAMED.values(), ids=NAMED)
def test_every_bet_is_fair(bets: Bets) -> None:
    """Each bet pays 1 on average over uniform p-values, by numerical integration, and never less than nothing."""
    steps = [0.05, 0.25, 0.4, 0.6, 0.75, 0.95]
    for number in range(bets(np.full(1, 0.5)).shape[1]):
        mean, _ = quad(lambda p, number=number: bets(np.array([p]))[0, number], 0, 1, points=steps)

        assert mean == pytest.approx(1, abs=1e-9)
    assert bets(np.linspace(0, 1, 1001)).min() >= 0


@given(st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.25, 0.4, 0.5, 0.6, 0.75, 0.95, 1.0]))
def test_bets_are_those_defined(p: float) -> None:
    """Every bet pays what its definition says, at the edges of its steps too."""
    assert drift_bets(np.array([p]))[0].tolist() == pytest.approx(bets_on_drift(p), abs=1e-12)
    assert error_bets(np.array([p]))[0].tolist() == pytest.approx(bets_on_errors(p), abs=1e-12)


def test_bets_on_errors_never_gain_from_better_scores() -> None:
    """Each bet on errors pays less, or the same, the larger the p-value is."""
    assert (np.diff(error_bets(np.linspace(0, 1, 1001)), axis=0) <= 0).all()


@given(tied_or_not, tied_or_not.filter(bool), st.integers(0, 2**64 - 1), st.sampled_from(list(NAMED)))
def test_evidence_is_the_published_formula(reference: list[float], scores: list[float], seed: int, named: str) -> None:
    """Evidence and its peak equal those of a loop over the published formula, with and without ties."""
    ids = range(1000, 1000 + len(scores))
    pvalues = conformal_pvalues(reference, scores, tie_breaks(seed, ids))
    expected = simple_jumper(pvalues, {"drift": bets_on_drift, "errors": bets_on_errors}[named])

    state = advance(start(np.array(reference), seed, NAMED[named]), np.array(ids), np.array(scores), NAMED[named])

    assert expected[-1] == pytest.approx(state.evidence, abs=1e-9)
    assert max(0.0, *expected) == pytest.approx(state.peak, abs=1e-9)
    assert sorted(reference + scores) == np.repeat(state.level, state.count).tolist()


def test_many_new_samples_at_once_are_ranked_among_themselves() -> None:
    """A pull with more new samples than are compared at once gives what one sample at a time gives."""
    rng = np.random.default_rng(1)
    reference, scores = rng.choice(TIES, 50), rng.choice(TIES, 1300) + (rng.random(1300) < 0.5) * rng.normal(size=1300)
    expected = simple_jumper(conformal_pvalues(reference.tolist(), scores.tolist(), tie_breaks(3, range(100, 1400))))

    state = counted(start(reference, 3), 100, scores)

    assert expected[-1] == pytest.approx(state.evidence, abs=1e-8)


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(0, 1000), st.sampled_from([2048, 25]))
def test_how_pulls_split_the_samples_does_not_matter(cuts: list[int], seed: int, keep: int) -> None:
    """The same scores at once, or in several parts, give the same state to the last bit, also where only classes of
    them are kept.
    """
    rng = np.random.default_rng(seed)
    reference, scores = rng.normal(size=40), rng.choice(TIES, 60) + rng.normal(size=60)
    state = begun = start(reference, seed, keep=keep)
    for first, last in itertools.pairwise([0, *sorted(cuts), 60]):
        state = counted(state, 100 + first, scores[first:last])

    # sums of products may differ in the last digits with the length of what is added up
    assert counted(begun, 100, scores).level.tolist() == state.level.tolist()
    assert counted(begun, 100, scores).evidence == pytest.approx(state.evidence, abs=1e-12)


def test_classes_take_the_place_of_scores() -> None:
    """Once enough scores were counted the bag holds classes, as many as there are bounds and one more at most, and the
    drawn bounds have left it.
    """
    rng = np.random.default_rng(11)
    state = counted(start(rng.normal(size=300), 1, keep=400), 1000, rng.normal(size=400))

    assert len(state.knots) == KNOTS
    assert int(state.count.sum()) == 700 - KNOTS

    later = counted(state, 2000, rng.normal(size=5000))

    assert len(later.level) <= KNOTS + 1
    assert int(later.count.sum()) == 5700 - KNOTS


def test_classes_are_as_quiet_as_scores() -> None:
    """Of 200 quiet targets whose scores soon become classes, with few distinct values and many, no more ever alarm than
    Ville's inequality allows.
    """
    rng = np.random.default_rng(12)
    alarms = 0
    for target in range(200):
        scores = np.round(rng.standard_t(2, 1600), target % 3)
        alarms += counted(start(scores[:100], target, keep=64), 100, scores[100:]).peak >= ALARM

    assert alarms <= 6  # expected at most 2: chance of more than 6 is 0.4 %


def test_classes_see_a_late_shift_as_scores_do() -> None:
    """A shift by a standard deviation after the scores have become classes is found in as many targets, within 60
    samples, as where they are all kept.
    """
    rng = np.random.default_rng(13)
    found = np.zeros(2)
    for target in range(20):
        reference, quiet, shifted = rng.normal(size=300), rng.normal(size=1000), rng.normal(size=60) + 1
        for place, keep in enumerate((500, 5000)):
            state = counted(start(reference, target, keep=keep), 1000, quiet)
            found[place] += counted(state, 5000, shifted).evidence >= ALARM

    assert found.min() >= 14
    assert abs(found[0] - found[1]) <= 2


def test_quiet_targets_do_not_alarm() -> None:
    """Of 200 quiet targets looked at 100 times, with heavy tails and ties, no more ever reach the alarm than Ville's
    inequality allows.
    """
    rng = np.random.default_rng(5)
    alarms = 0
    for target in range(200):
        scores = np.round(rng.standard_t(2, 2100), 1)
        state = counted(start(scores[:100], target), 100, scores[100:])
        alarms += state.peak >= ALARM

    assert alarms <= 6  # expected at most 2: chance of more than 6 is 0.4 %


def test_tie_breaks_keep_pvalues_uniform() -> None:
    """Over constant scores nothing but the tie breaks decides, and the evidence stays what uniform p-values give."""
    ids = range(10_000)

    assert kstest(tie_breaks(7, ids), "uniform").pvalue > 0.01
    assert counted(start(np.zeros(100), 7), 0, np.zeros(10_000)).peak < ALARM


CHANGES: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "up": (60, lambda z: z + 1),
    "down": (60, lambda z: z - 1),
    "spread halved": (100, lambda z: z / 2),
    "spread grown": (500, lambda z: z * 1.5),
    "stuck at the median": (60, lambda z: z * 0),
    "a tenth far out": (400, lambda z: np.where(np.arange(len(z)) % 10, z, z + 4)),
}
"""By name, within how many samples it is to be found, and the change."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_detected(change: str) -> None:
    """Shifts either way, spreads that shrink and grow, a stuck sensor and a grown tail are found in nine of ten
    targets.
    """
    rng = np.random.default_rng(6)
    within, changed = CHANGES[change]
    found = 0
    for target in range(30):
        scores = changed(rng.normal(size=within))
        found += counted(start(rng.normal(size=300), target), 300, scores).peak >= ALARM

    assert found >= 27


def test_evidence_of_a_long_drift_stays_finite() -> None:
    """Capital far beyond what a float holds keeps a finite logarithm, and evidence afterwards can fall without the
    peak.
    """
    rng = np.random.default_rng(8)
    state = counted(start(rng.normal(size=300), 1), 300, np.linspace(10, 20, 5000))

    assert 308 < state.evidence < math.inf

    quiet = counted(state, 10_000, rng.uniform(10, 20, size=200))

    assert quiet.evidence < quiet.peak


def test_rates_start_equal_and_shares_stay_shares() -> None:
    """The capital starts at 1 for every rate, and every rate's shares sum to 1 whatever happened."""
    rng = np.random.default_rng(9)
    state = start(rng.normal(size=100), 1)

    assert state.evidence == 0
    assert state.shares.shape == (len(JUMPING_RATES), 15)

    assert np.allclose(counted(state, 100, rng.normal(size=2000) + 3).shares.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_cost() -> None:
    """Counting many new samples at once costs no more than they are more, and far less than one by one."""
    rng = np.random.default_rng(10)
    state = start(rng.normal(size=2000), 1)
    costs = Costs()
    for _ in range(TURNS):
        scores = rng.normal(size=100)
        with costs.of("at once"):
            counted(state, 2000, scores)
        with costs.of("one by one"):
            for place in range(100):
                counted(state, 2000, scores[place : place + 1])

    def counting(size: int) -> Callable[[], object]:
        new = rng.normal(size=size)
        return lambda: counted(state, 2000, new)

    assert costs.ratio("one by one", "at once") > 5
    assert growth(counting, 3000, turns=2) < LINEAR
