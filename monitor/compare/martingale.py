"""A conformal test martingale: evidence against "the new samples' scores are like the reference's" that may be looked
at every day.

A test repeated at each look is certain to raise a false alarm one day. This bets instead: each new sample's conformal
p-value is uniform and independent of those before while nothing drifts, so that no betting strategy can expect to
gain, and the chance that the capital M ever reaches 1/a is at most a (Ville's inequality), however often one looks.

V. Vovk et al., "Retrain or not retrain: conformal test martingales for change-point detection", 2021, arXiv:2102.10439
(the Simple Jumper, here with more bets and with the mean over several jumping rates).
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray

Ids = npt.NDArray[np.int64]

ALARM = 2.0
"""Evidence (log10 of the capital) from which drift is significant: reached by chance for at most 1 % of quiet
references, ever.
"""

JUMPING_RATES = (1e-4, 1e-3, 1e-2, 1e-1)
"""How much of the capital is dealt out anew over the bets before each sample; M is the mean over the rates."""

_TAIL = 0.05  # a bet on a tail is on p-values this close to 0 or 1 ...
_TAIL_DENSITIES = (2.0, 4.0)  # ... occurring so many times as often as they should
_BETS = 3 + 2 * len(_TAIL_DENSITIES)
_CHUNK = 512  # new samples compared with each other at once (bool[512, 512], 256 KB)
_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class MartingaleState:
    """Everything the next new sample's bet depends on. Never changed: `advance` makes another.

    Attributes:
        seed: Of the p-values' tie breaks.
        reference_id: int64[n], ascending: the samples of the reference.
        reference: float64[n], their scores.
        counted_id: int64[k], ascending: the new samples counted so far.
        counted: float64[k], their scores when they were counted.
        shares: float64[rates, bets], each rate's capital by bet; rows sum to 1.
        log_capital: float64[rates], natural logarithm of each rate's capital; all start at 0.
        peak: The largest evidence after any sample so far, at least 0.
    """

    seed: int
    reference_id: Ids
    reference: FloatArray
    counted_id: Ids
    counted: FloatArray
    shares: FloatArray
    log_capital: FloatArray
    peak: float = 0.0

    @property
    def evidence(self) -> float:
        """log10 of the capital M: 0 at the start, `ALARM` and more where there is drift."""
        return float(_evidence(self.log_capital))

    def to_bytes(self) -> bytes:
        """The state as a NumPy `.npz` archive; `from_bytes` gives an equal state, to the last bit."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            version=np.int64(_VERSION),
            seed=np.uint64(self.seed),
            reference_id=self.reference_id,
            reference=self.reference,
            counted_id=self.counted_id,
            counted=self.counted,
            shares=self.shares,
            log_capital=self.log_capital,
            peak=np.float64(self.peak),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> MartingaleState:
        """The state that `to_bytes` wrote.

        Raises:
            ValueError: The bytes are no such state, or a newer version of the service wrote them.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                fields = dict(archive)
            version = int(fields.pop("version"))
            if version == _VERSION:
                return cls(**fields | {"seed": int(fields["seed"]), "peak": float(fields["peak"])})
        except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                "a stored drift state cannot be read; pin the baseline again to start its evidence anew"
            ) from error
        raise ValueError(
            f"a stored drift state has format {version}, this version reads {_VERSION}; "
            "run the version that wrote it, or pin the baseline again to start its evidence anew"
        )


def start(reference_id: Ids, reference: FloatArray, seed: int) -> MartingaleState:
    """A state that has seen no new sample yet.

    Args:
        reference_id: int64[n], distinct.
        reference: float64[n], finite, each sample's score.
        seed: Of the p-values' tie breaks, 0 to 2**64 - 1.
    """
    order = np.argsort(reference_id)
    return MartingaleState(
        seed=seed,
        reference_id=reference_id[order],
        reference=reference[order],
        counted_id=np.empty(0, np.int64),
        counted=np.empty(0),
        shares=np.full((len(JUMPING_RATES), _BETS), 1 / _BETS),
        log_capital=np.zeros(len(JUMPING_RATES)),
    )


def advance(
    state: MartingaleState, sample_id: Ids, score: FloatArray, added: npt.NDArray[np.datetime64]
) -> MartingaleState:
    """Bet on the samples that are neither in the reference nor counted before, in the order of (`added`, id).

    The same samples in the same order give the same state, in one call or in many. A sample that arrives late is
    counted when it arrives; one counted before stays so, whatever became of it since.

    Args:
        state: Where to go on from.
        sample_id: int64[k], distinct.
        score: float64[k], finite.
        added: datetime64[k], when each sample came into the data set; NaT, counted last, where unknown.

    Returns:
        The state after them; `state` itself where none is new.
    """
    new = ~(_contains(state.reference_id, sample_id) | _contains(state.counted_id, sample_id))
    if not new.any():
        return state
    sample_id, score, added = sample_id[new], score[new], added[new]
    order = np.lexsort((sample_id, added))
    sample_id, score = sample_id[order], score[order]

    above, equal = _ranks(state, score)
    seen = len(state.reference) + len(state.counted) + np.arange(len(score))
    pvalues = (above + _uniform(state.seed, sample_id) * (equal + 1)) / (seen + 1)
    shares, gains = _play(state.shares, _bets(pvalues))
    log_capital = np.cumsum(np.concatenate([state.log_capital[None], np.log(gains)]), axis=0)
    by_id = np.argsort(sample_id)
    places = np.searchsorted(state.counted_id, sample_id[by_id])
    return replace(
        state,
        counted_id=np.insert(state.counted_id, places, sample_id[by_id]),
        counted=np.insert(state.counted, places, score[by_id]),
        shares=shares,
        log_capital=log_capital[-1],
        peak=max(state.peak, float(_evidence(log_capital).max())),
    )


def _evidence(log_capital: FloatArray) -> FloatArray:
    """log10 of the mean capital over the last axis, from natural logarithms; capitals beyond float64 stay finite."""
    top = log_capital.max(axis=-1)
    evidence: FloatArray = (top + np.log(np.exp(log_capital - top[..., None]).mean(axis=-1))) / math.log(10)
    return evidence


def _contains(known: Ids, wanted: Ids) -> npt.NDArray[np.bool_]:
    """bool[k], which of `wanted` are among `known` (ascending)."""
    if not len(known):
        return np.zeros(len(wanted), np.bool_)
    found: npt.NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, wanted), len(known) - 1)] == wanted
    return found


def _ranks(state: MartingaleState, score: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """How many of the scores before each one are larger, and how many equal."""
    reference, counted = np.sort(state.reference), np.sort(state.counted)
    below, reach = _positions(reference, score)
    above, equal = len(reference) - reach, reach - below
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


def _uniform(seed: int, sample_id: Ids) -> FloatArray:
    """float64[k] in [0, 1): a fair draw for each (seed, sample), the same after a restart (SplitMix64, Steele et al.
    2014).
    """
    state = np.array([seed], np.uint64)
    state = _mixed(state) + sample_id.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mixed(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _bets(pvalues: FloatArray) -> FloatArray:
    """float64[k, bets]: what each bet pays per unit staked, densities on [0, 1]: no bet, a tilt either way, heavy tails
    either way.
    """
    paid = [np.ones_like(pvalues), 1 + (pvalues - 0.5), 1 - (pvalues - 0.5)]
    for tail in (pvalues <= _TAIL, pvalues >= 1 - _TAIL):
        paid += [np.where(tail, density, (1 - density * _TAIL) / (1 - _TAIL)) for density in _TAIL_DENSITIES]
    return np.stack(paid, axis=1)


def _play(shares: FloatArray, paid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares float64[rates, bets] after all samples, and float64[k, rates], the factor by which each sample multiplied
    a rate's capital.
    """
    rates = np.array(JUMPING_RATES)[:, None]
    keep, jump = 1 - rates, rates / _BETS
    gains = np.empty((len(paid), len(JUMPING_RATES)))
    shares = shares.copy()
    ones = np.ones(_BETS)
    for row, gain in zip(paid, gains, strict=True):
        shares *= keep
        shares += jump
        shares *= row
        np.dot(shares, ones, out=gain)
        shares /= gain[:, None]
    return shares, gains
