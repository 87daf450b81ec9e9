"""The test martingale: the published formula, false alarms, detection, and what survives a restart."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from monitor.compare.martingale import ALARM, JUMPING_RATES, MartingaleState, advance, start

DAY = np.timedelta64(1, "D")
TIES = np.array([0.0, 0.5, 1.0])


def dates(count: int) -> np.ndarray:
    """Distinct dates, ascending."""
    return np.datetime64("2026-01-01", "ms") + np.arange(count) * DAY


def counted(state: MartingaleState, first_id: int, scores: np.ndarray) -> MartingaleState:
    """The state after these scores, under ids from `first_id` on."""
    return advance(state, np.arange(first_id, first_id + len(scores)), scores, dates(len(scores)))


def same(first: MartingaleState, second: MartingaleState) -> bool:
    """Whether two states are equal to the last bit."""
    return first.to_bytes() == second.to_bytes()


def simple_jumper(pvalues: list[float]) -> list[float]:
    """log10 of the capital after each p-value, by the algorithm as published, one number at a time."""

    def tail(density: float, inside: bool) -> float:
        return density if inside else (1 - 0.05 * density) / 0.95

    capital = {rate: [1 / 7] * 7 for rate in (1e-4, 1e-3, 1e-2, 1e-1)}
    evidence = []
    for p in pvalues:
        bets = [
            1,
            1 + (p - 0.5),
            1 - (p - 0.5),
            tail(2, p <= 0.05),
            tail(4, p <= 0.05),
            tail(2, p >= 0.95),
            tail(4, p >= 0.95),
        ]
        for rate, parts in capital.items():
            total = sum(parts)
            capital[rate] = [
                bet * ((1 - rate) * part + rate / 7 * total) for bet, part in zip(bets, parts, strict=True)
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


@given(tied_or_not, tied_or_not.filter(bool), st.integers(0, 2**64 - 1))
def test_evidence_is_the_published_formula(reference: list[float], scores: list[float], seed: int) -> None:
    """Evidence and its peak equal those of a loop over the published formula, with and without ties."""
    ids = range(1000, 1000 + len(scores))
    expected = simple_jumper(conformal_pvalues(reference, scores, tie_breaks(seed, ids)))

    state = counted(start(np.arange(len(reference)), np.array(reference), seed), 1000, np.array(scores))

    assert expected[-1] == pytest.approx(state.evidence, abs=1e-9)
    assert max(0.0, *expected) == pytest.approx(state.peak, abs=1e-9)
    assert scores == state.counted.tolist()


def test_many_new_samples_at_once_are_ranked_among_themselves() -> None:
    """A pull with more new samples than are compared at once gives what one sample at a time gives."""
    rng = np.random.default_rng(1)
    reference, scores = rng.choice(TIES, 50), rng.choice(TIES, 1300) + (rng.random(1300) < 0.5) * rng.normal(size=1300)
    expected = simple_jumper(conformal_pvalues(reference.tolist(), scores.tolist(), tie_breaks(3, range(100, 1400))))

    state = counted(start(np.arange(50), reference, 3), 100, scores)

    assert expected[-1] == pytest.approx(state.evidence, abs=1e-8)


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(0, 1000))
def test_how_pulls_split_the_samples_does_not_matter(cuts: list[int], seed: int) -> None:
    """The same samples in one pull, or in several that each show all samples so far, give the same state to the last
    bit.
    """
    rng = np.random.default_rng(seed)
    reference, scores, ids = rng.normal(size=40), rng.choice(TIES, 60), np.arange(100, 160)
    at_once = counted(start(np.arange(40), reference, seed), 100, scores)

    state = start(np.arange(40), reference, seed)
    for cut in [*sorted(cuts), 60]:
        state = advance(state, ids[:cut], scores[:cut], dates(60)[:cut])

    assert same(at_once, state)


def test_the_order_within_a_pull_is_by_date_then_id() -> None:
    """However the rows of a pull are ordered, samples are counted by (added, id), those without a date last."""
    rng = np.random.default_rng(2)
    reference, scores = rng.normal(size=100), rng.normal(size=30)
    ids = np.arange(200, 230)
    added = np.repeat(dates(10), 3)
    added[6:9] = np.datetime64("NaT")
    begin = start(np.arange(100), reference, 1)
    expected = begin
    for row in [*range(6), *range(9, 30), 6, 7, 8]:
        expected = advance(expected, ids[[row]], scores[[row]], added[[row]])
    shuffled = rng.permutation(30)

    state = advance(begin, ids[shuffled], scores[shuffled], added[shuffled])

    assert same(expected, state)


def test_a_sample_counts_once() -> None:
    """Samples of the reference and samples counted before change nothing, even with another score."""
    rng = np.random.default_rng(3)
    state = counted(start(np.arange(100), rng.normal(size=100), 1), 100, rng.normal(size=20))

    again = advance(state, np.arange(120), rng.normal(size=120) + 5, dates(120))

    assert state is again


def test_bytes_give_back_the_state() -> None:
    """A state that went through bytes at every look has the same trajectory as one that did not."""
    rng = np.random.default_rng(4)
    kept = stored = start(np.arange(100), rng.normal(size=100), 2**64 - 1)
    for look in range(20):
        scores = rng.normal(size=20) + look / 10
        kept = counted(kept, 1000 + look * 20, scores)
        stored = counted(MartingaleState.from_bytes(stored.to_bytes()), 1000 + look * 20, scores)

        assert same(kept, stored)
        assert kept.evidence == stored.evidence


@pytest.mark.parametrize("damaged", [b"", b"no archive", None])
def test_bytes_that_are_no_state_are_refused(damaged: bytes | None) -> None:
    """Damaged bytes raise a ValueError that says what to do, and nothing else."""
    whole = start(np.arange(3), np.zeros(3), 1).to_bytes()

    with pytest.raises(ValueError, match="pin the baseline again"):
        MartingaleState.from_bytes(whole[: len(whole) // 2] if damaged is None else damaged)


def test_bytes_of_a_newer_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of a newer format is named as such instead of being misread."""
    monkeypatch.setattr("monitor.compare.martingale._VERSION", 2)
    newer = start(np.arange(3), np.zeros(3), 1).to_bytes()
    monkeypatch.undo()

    with pytest.raises(ValueError, match="has format 2, this version reads 1"):
        MartingaleState.from_bytes(newer)


def test_quiet_targets_do_not_alarm() -> None:
    """Of 200 quiet targets looked at 100 times, with heavy tails and ties, no more ever reach the alarm than Ville's
    inequality allows.
    """
    rng = np.random.default_rng(5)
    alarms = 0
    for target in range(200):
        scores = np.round(rng.standard_t(2, 2100), 1)
        state = counted(start(np.arange(100), scores[:100], target), 100, scores[100:])
        alarms += state.peak >= ALARM

    assert alarms <= 6  # expected at most 2: chance of more than 6 is 0.4 %


def test_tie_breaks_keep_pvalues_uniform() -> None:
    """Over constant scores nothing but the tie breaks decides, and the evidence stays what uniform p-values give."""
    ids = range(10_000)

    assert kstest(tie_breaks(7, ids), "uniform").pvalue > 0.01
    assert counted(start(np.arange(-100, 0), np.zeros(100), 7), 0, np.zeros(10_000)).peak < ALARM


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_a_shift_is_detected(shift: float) -> None:
    """A shift by one standard deviation, either way, is found within three looks of 20 samples in
    nine of ten targets.
    """
    rng = np.random.default_rng(6)
    found = 0
    for target in range(50):
        state = counted(start(np.arange(300), rng.normal(size=300), target), 300, rng.normal(size=60) + shift)
        found += state.evidence >= ALARM

    assert found >= 45


def test_a_tail_is_detected() -> None:
    """A tenth of the new samples far out in the tail is found, though the middle has not moved."""
    rng = np.random.default_rng(7)
    state = start(np.arange(300), rng.normal(size=300), 1)
    scores = rng.normal(size=600)
    scores[::10] += 4

    assert counted(state, 300, scores).evidence >= ALARM


def test_evidence_of_a_long_drift_stays_finite() -> None:
    """Capital far beyond what a float holds keeps a finite logarithm, and evidence afterwards can fall without the
    peak.
    """
    rng = np.random.default_rng(8)
    state = counted(start(np.arange(300), rng.normal(size=300), 1), 300, np.linspace(10, 20, 5000))

    assert 308 < state.evidence < math.inf

    quiet = counted(state, 10_000, rng.uniform(10, 20, size=200))

    assert quiet.evidence < quiet.peak


def test_rates_start_equal_and_shares_stay_shares() -> None:
    """The capital starts at 1 for every rate, and every rate's shares sum to 1 whatever happened."""
    rng = np.random.default_rng(9)
    state = start(np.arange(100), rng.normal(size=100), 1)

    assert state.evidence == 0
    assert state.shares.shape == (len(JUMPING_RATES), 7)

    assert np.allclose(counted(state, 100, rng.normal(size=2000) + 3).shares.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_counting_is_fast() -> None:
    """20 new samples take a millisecond and 100,000 about a second; the bounds leave room for a busy machine."""
    rng = np.random.default_rng(10)
    state = start(np.arange(100_000), rng.normal(size=100_000), 1)

    for count, most in ((20, 0.1), (100_000, 5.0)):
        scores = rng.normal(size=count)
        begin = time.process_time()
        counted(state, 100_000, scores)
        assert time.process_time() - begin < most
