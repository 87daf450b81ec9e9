"""A conformal test martingale: evidence against "the new scores are like the reference's" that may be looked at every
day.

A test repeated at each look is certain to raise a false alarm one day. This bets instead: each new score's conformal
p-value is uniform and independent of those before while nothing drifts, so that no betting strategy can expect to
gain, and the chance that the capital M ever reaches 1/a is at most a (Ville's inequality), however often one looks.
It holds if the scores are exchangeable: which units' scores are is the business of `evidence`.

    state = start(reference, seed)
    state = advance(state, unit_id, score)        # as often as there are new ones
    state.evidence                                # log10 M; `ALARM` and more is significant

V. Vovk et al., "Retrain or not retrain: conformal test martingales for change-point detection", 2021, arXiv:2102.10439
(the Simple Jumper, here with more bets and with the mean over several jumping rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray

Ids = npt.NDArray[np.int64]
Bets = Callable[[FloatArray], FloatArray]
"""What each bet pays per unit staked at p-values float64[k]: float64[k, bets], of each a density on [0, 1]."""

ALARM = 2.0
"""Evidence (log10 of the capital) from which drift is significant: reached by chance for at most 1 % of quiet
references, ever.
"""

JUMPING_RATES = (1e-4, 1e-3, 1e-2, 1e-1)
"""How much of the capital is dealt out again over the bets before each score; M is the mean over the rates."""

KNOTS = 256
"""Scores that are drawn to be the bounds of classes once more scores were counted than are kept."""

_TAIL = 0.05  # a bet on a tail is on p-values this close to 0 or 1
_CHUNK = 512  # new scores compared with each other at once (bool[512, 512], 256 KB)


@dataclass(frozen=True, slots=True, eq=False)
class MartingaleState:
    """Everything the next new score's bet depends on. Never changed: `advance` makes another.

    The bag of scores that a new one is ranked in, the reference's and those counted, is kept as values and how often
    each occurs. Once `keep` new scores were counted, `KNOTS` scores drawn from the bag leave it and become bounds of
    classes, and all others are known by their class alone: ranks among classes are as valid, since the drawn scores
    have no part in them any more, and the state no longer grows.

    Attributes:
        seed: Of the p-values' tie breaks, and of the draw.
        keep: How many new scores are kept as they are; 1 or more.
        counted: New scores so far.
        knots: float64[m], ascending: the upper bounds of the classes but the last; empty while scores are kept.
        level: float64[l], ascending, distinct: the values in the bag, or the numbers of their classes.
        count: int64[l], how often each occurs.
        shares: float64[rates, bets], each rate's capital by bet; rows sum to 1.
        log_capital: float64[rates], natural logarithm of each rate's capital; all start at 0.
        peak: The largest evidence after any score so far, at least 0.
    """

    seed: int
    keep: int
    counted: int
    knots: FloatArray
    level: FloatArray
    count: Ids
    shares: FloatArray
    log_capital: FloatArray
    peak: float = 0.0

    @property
    def evidence(self) -> float:
        """log10 of the capital M: 0 at the start, `ALARM` and more where there is drift."""
        return float(mean_evidence(self.log_capital))


def start(reference: FloatArray, seed: int, bets: Bets | None = None, keep: int = 2048) -> MartingaleState:
    """A state that has seen no new score yet.

    Args:
        reference: float64[n], finite, in any order.
        seed: Of the p-values' tie breaks, 0 to 2**64 - 1.
        bets: `drift_bets`, which None takes, or `error_bets`; `advance` wants the same.
        keep: How many new scores are kept as they are, before only classes of them are.
    """
    kinds = (bets or drift_bets)(np.full(1, 0.5)).shape[1]
    level, count = np.unique(reference, return_counts=True)
    return MartingaleState(
        seed=seed,
        keep=keep,
        counted=0,
        knots=np.empty(0),
        level=level.astype(np.float64),
        count=count.astype(np.int64),
        shares=np.full((len(JUMPING_RATES), kinds), 1 / kinds),
        log_capital=np.zeros(len(JUMPING_RATES)),
    )


def advance(state: MartingaleState, unit_id: Ids, score: FloatArray, bets: Bets | None = None) -> MartingaleState:
    """Bet on new scores, in this order.

    The same scores in the same order give the same state, in one call or in many.

    Args:
        state: Where to go on from.
        unit_id: int64[k], whose scores they are; of the tie breaks.
        score: float64[k], finite.
        bets: As for `start`.

    Returns:
        The state after them; `state` itself where there is none.
    """
    while len(score):
        kept = not len(state.knots)
        room = state.keep - state.counted if kept else len(score)
        state = _bet(state, unit_id[:room], score[:room], bets or drift_bets)
        if kept and state.counted == state.keep:
            state = _in_classes(state)
        unit_id = unit_id[room:]
        score = score[room:]
    return state


def _bet(state: MartingaleState, unit_id: Ids, score: FloatArray, bets: Bets) -> MartingaleState:
    """The state after scores between which the bag is of one kind."""
    score = _levels(state.knots, score)
    seen = int(state.count.sum()) + np.arange(len(score))
    above, equal = _ranks(state, score)
    pvalues = (above + uniform(state.seed, unit_id) * (equal + 1)) / (seen + 1)
    shares, gains = _play(state.shares, bets(pvalues))
    log_capital = np.cumsum(np.concatenate([state.log_capital[None], np.log(gains)]), axis=0)
    level, place = np.unique(np.concatenate([state.level, score]), return_inverse=True)
    count = np.bincount(place, np.concatenate([state.count, np.ones(len(score), np.int64)])).astype(np.int64)
    return replace(
        state,
        counted=state.counted + len(score),
        level=level,
        count=count,
        shares=shares,
        log_capital=log_capital[-1],
        peak=max(state.peak, float(mean_evidence(log_capital).max())),
    )


def _in_classes(state: MartingaleState) -> MartingaleState:
    """The state with a bag of classes in place of scores."""
    bag = np.repeat(state.level, state.count)
    # at most half of the bag: the reference must not vanish into its own bounds
    drawn = np.random.default_rng(state.seed).permutation(len(bag)) < min(KNOTS, len(bag) // 2)
    knots = np.unique(bag[drawn])
    level, count = np.unique(_levels(knots, bag[~drawn]), return_counts=True)
    return replace(state, knots=knots, level=level, count=count.astype(np.int64))


def _levels(knots: FloatArray, score: FloatArray) -> FloatArray:
    """The scores as they are ranked: themselves, or the numbers of their classes."""
    return np.searchsorted(knots, score).astype(np.float64) if len(knots) else score


def mean_evidence(log_capital: FloatArray) -> FloatArray:
    """log10 of the mean capital over the last axis, from natural logarithms; capitals beyond float64 stay finite."""
    top = log_capital.max(axis=-1)
    evidence: FloatArray = (top + np.log(np.exp(log_capital - top[..., None]).mean(axis=-1))) / math.log(10)
    return evidence


def _ranks(state: MartingaleState, score: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many of the scores before each one are larger, and how many equal."""
    before = np.concatenate([[0], np.cumsum(state.count)])
    below, reach = _positions(state.level, score)
    above = before[-1] - before[reach]
    equal = before[reach] - before[below]
    counted = np.empty(0)  # of these scores, ascending
    for first in range(0, len(score), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        these = score[chunk]
        below, reach = _positions(counted, these)
        earlier = np.tri(len(these), k=-1, dtype=np.bool_)
        above[chunk] += len(counted) - reach + (earlier & (these > these[:, None])).sum(axis=1)
        equal[chunk] += reach - below + (earlier & (these == these[:, None])).sum(axis=1)
        these = np.sort(these)
        counted = np.insert(counted, np.searchsorted(counted, these), these)
    return above, equal


def _positions(ascending: FloatArray, score: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """How many of `ascending` are below each score, and how many are not above it."""
    return np.searchsorted(ascending, score, side="left"), np.searchsorted(ascending, score, side="right")


def uniform(seed: int, unit_id: Ids) -> FloatArray:
    """float64[k] in [0, 1): a fair draw for each (seed, unit), the same after a restart (SplitMix64, Steele et al.
    2014).
    """
    state = np.array([seed], np.uint64)
    state = _mixed(state) + unit_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mixed(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def drift_bets(pvalues: FloatArray) -> FloatArray:
    """What each bet on drift pays per unit staked: densities on [0, 1], one of them 1.

    Tilts either way and heavy tails either way see a shift; the middle against the rest, and the rest against the
    middle, a spread that shrinks or grows and a sensor that is stuck at the median.

    Args:
        pvalues: float64[k], 0 to 1.

    Returns:
        float64[k, 15].
    """
    p = pvalues
    off = np.abs(pvalues - 0.5)
    low = p <= _TAIL
    high = p >= 1 - _TAIL
    paid = [
        np.ones_like(p),
        1 + (p - 0.5),
        1 - (p - 0.5),
        *(_step(low, density, _TAIL) for density in (2.0, 4.0)),
        *(_step(high, density, _TAIL) for density in (2.0, 4.0)),
        _step(off <= 0.25, 1.6, 0.5),
        _step(off <= 0.25, 0.4, 0.5),
        _step(off <= 0.1, 3.0, 0.2),
        _step(off >= 0.45, 4.0, 0.1),
        3 * (1 - p) ** 2,
        3 * p**2,
        6 * (1 - p) ** 5,
        6 * p**5,
    ]
    return np.stack(paid, axis=1)


def error_bets(pvalues: FloatArray) -> FloatArray:
    """What each bet on larger scores pays per unit staked: densities on [0, 1], one of them 1, the others falling.

    None gains from smaller scores: a model that is right more often on new samples is no alarm.

    Args:
        pvalues: float64[k], 0 to 1.

    Returns:
        float64[k, 6].
    """
    p = pvalues
    low = p <= _TAIL
    paid = [np.ones_like(p), 1.5 - p, *(_step(low, density, _TAIL) for density in (2.0, 4.0))]
    return np.stack([*paid, 3 * (1 - p) ** 2, 6 * (1 - p) ** 5], axis=1)


def _step(inside: npt.NDArray[np.bool_], density: float, width: float) -> FloatArray:
    """A density that is constant inside a set of this width, and constant elsewhere."""
    paid: FloatArray = np.where(inside, density, (1 - density * width) / (1 - width))
    return paid


def _play(shares: FloatArray, paid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares float64[rates, bets] after all samples, and float64[k, rates], the factor by which each sample multiplied
    a rate's capital.
    """
    rates = np.array(JUMPING_RATES)[:, None]
    bets = shares.shape[1]
    keep = 1 - rates
    jump = rates / bets
    gains = np.empty((len(paid), len(JUMPING_RATES)))
    shares = shares.copy()
    ones = np.ones(bets)
    for row, gain in zip(paid, gains, strict=True):
        shares *= keep
        shares += jump
        shares *= row
        np.dot(shares, ones, out=gain)
        shares /= gain[:, None]
    return shares, gains
