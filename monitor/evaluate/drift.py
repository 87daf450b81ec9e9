"""Drift against a baseline: of an anomaly block's scores, and of the mix of predicted classes.

The unit is the sample: windows of one sample are not independent, and a test on windows raises false alarms in most
quiet cases. How far two distributions are apart (`Distances`) is kept apart from whether chance explains it (p-values,
evidence) and from whether it matters (`gate_open`): with enough samples, any irrelevant shift is significant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.evaluate.anomaly import threshold
from monitor.evaluate.martingale import Ids, MartingaleState, advance, start
from monitor.results import Block, BlockKind, FloatArray, ResultSet

SMALLEST_REFERENCE, SMALLEST_CURRENT = 100, 30
"""Samples below which a distance says too little for a verdict."""

EFFECT_WASSERSTEIN, EFFECT_EXCEEDANCE = 0.10, 0.03
"""Differences that matter: of the distributions, in reference standard deviations; of the shares above the threshold."""

_BINS = 10
_FALLBACK_QUANTILE = 0.95  # stands for the threshold of a block that has none
_IQR_PER_SD = 1.349  # of a normal distribution

_RESAMPLINGS = 999
_KNOTS = 512
_PAIRED_KNOTS = 64  # at most 64 * 65 / 2 kinds of pair: the cost does not grow with the samples
_SAMPLE = 2**16  # scores from which the knots of a larger set are taken
_BLOCK = 2**13  # scores sorted at a time
_MERGED = 2**15  # scores merged at a time
_SAME_SCORE = 1e-9  # as the fingerprint has it
_EQUAL = 1 - 1e-10  # statistics this close differ by rounding alone


@dataclass(frozen=True, slots=True)
class Distances:
    """How far current scores are from reference scores; all 0 where they are the same.

    Attributes:
        ks: Kolmogorov-Smirnov, the largest difference of the distribution functions, 0..1.
        psi: Population stability index over bins at the reference's deciles, at least 0. It grows as samples get fewer:
            without drift its 95 % point is about 16.9 (1/n + 1/m) for 10 bins.
        wasserstein: Area between the distribution functions, in robust standard deviations of the reference.
        js: Jensen-Shannon distance, base 2, over the same bins as `psi`, 0..1.
        exceedance: Current less reference share above the threshold, -1..1.
    """

    ks: float
    psi: float
    wasserstein: float
    js: float
    exceedance: float


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A run as one side of a comparison.

    Attributes:
        finished: Unix seconds; tells a target's runs apart.
        results: Its result set.
        trained: Unix seconds of its model's training; None where unknown.
    """

    finished: float
    results: ResultSet
    trained: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The paired test of one model against a baseline, which is taken once: looking again would be another chance to be wrong.

    Attributes:
        baseline: `Side.finished` of the baseline.
        pvalue, gate: What the test said, and whether the difference matters.
    """

    baseline: float
    pvalue: float
    gate: bool


@dataclass(frozen=True, slots=True, eq=False)
class DriftMemory:
    """What the next comparison of a block depends on. Never changed: `drift` makes another.

    Attributes:
        pinned: `Side.finished` of the pinned baseline that this began under: pinning another one begins anew.
        since: `Side.finished` of the run whose scores are the reference: the pinned baseline, or the model's first run.
        block: The block as it was then; its type and thresholds are part of what a model is.
        trained: Unix seconds of the training that was last known of this model.
        evidence: The martingale.
        decision: The paired test, once it was taken.
    """

    pinned: float
    since: float
    block: Block
    trained: float | None
    evidence: MartingaleState
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """One anomaly block's scores against the baseline.

    Causes: `total`, all current samples against all of the baseline; `model`, the samples both runs share, scored by
    either; `data`, the new samples against the reference of the evidence, all scored by the current model.

    Attributes:
        block: The block, as it is in the current run.
        distances: By cause, absent where one side has no sample; all 0 for `data` while nothing new was counted.
        pvalues: Of `total` and `model`; absent with too few samples, and where the scores are the same. That of `model`
            is of the one test per model and baseline.
        gates: By cause, whether the difference matters (`gate_open`) and there are samples enough to say so; of `model` at that test.
        insufficient: Whether `total` has too few samples for a verdict.
        reference, current, shared, added: Samples with a score: the baseline's, the current run's, in both, counted by the evidence.
        evidence: log10 of the test martingale over the new samples; `martingale.ALARM` and more is drift, if the gate of `data` is open.
        since: When the run finished whose scores the new ones are compared with, Unix seconds: the pinned baseline, or
            the first run of the current model.
    """

    block: Block
    distances: Mapping[str, Distances]
    pvalues: Mapping[str, float]
    gates: Mapping[str, bool]
    insufficient: bool
    reference: int
    current: int
    shared: int
    added: int
    evidence: float
    since: float


def drift(baseline: Side, current: Side, pinned: Side, block: Block, memory: DriftMemory | None, seed: int) -> tuple[Drift, DriftMemory]:
    """Compare one anomaly block of two runs, and let the evidence advance over the new samples.

    Args:
        baseline: The run to compare with.
        current: The run of now; may be the baseline itself.
        pinned: The pinned baseline, whose scores new samples are compared with as long as its model is the current one.
        block: The block in the current run; its threshold holds for both.
        memory: Of the run before; None where there was none.
        seed: Of the re-sampling, and of a new reference's tie breaks, 0 to 2**64 - 1.

    Returns:
        The drift, and the memory for the next run.
    """
    limit = threshold(block)
    reference_id, reference = per_sample(baseline.results, block.id)
    current_id, scores = per_sample(current.results, block.id)
    _, left, right = np.intersect1d(reference_id, current_id, assume_unique=True, return_indices=True)
    before, after = reference[left], scores[right]

    if memory is None or memory.pinned != pinned.finished or not _goes_on(memory, current, block, current_id, scores):
        memory = _begun(pinned, current, block, current_id, scores, seed)
    evidence = advance(memory.evidence, current_id, scores, _added(current.results, current_id))

    pairs = {"total": (reference, scores), "model": (before, after), "data": (evidence.reference, evidence.counted)}
    found = {cause: distances(*pair, limit) for cause, pair in pairs.items() if len(pair[0]) and len(pair[1])}
    if not len(evidence.counted):
        found["data"] = Distances(0.0, 0.0, 0.0, 0.0, 0.0)
    sufficient = {cause: not insufficient(len(pair[0]), len(pair[1])) for cause, pair in pairs.items()}
    gates = {cause: sufficient[cause] and gate_open(distance) for cause, distance in found.items()}
    pvalues = {}
    if sufficient["total"] and not _same(reference_id, reference, current_id, scores):
        pvalues["total"] = two_sample_pvalue(reference, scores, limit, seed)
    decision = memory.decision if memory.decision and memory.decision.baseline == baseline.finished else None
    if decision is None and sufficient["model"] and not np.array_equal(before, after):
        decision = Decision(baseline.finished, paired_pvalue(before, after, limit, seed), gates["model"])
    if decision is not None:
        pvalues["model"], gates["model"] = decision.pvalue, decision.gate
    return Drift(
        block=block,
        distances=found,
        pvalues=pvalues,
        gates=gates,
        insufficient=not sufficient["total"],
        reference=len(reference),
        current=len(scores),
        shared=len(before),
        added=len(evidence.counted),
        evidence=evidence.evidence,
        since=memory.since,
    ), replace(memory, evidence=evidence, decision=decision, trained=current.trained or memory.trained)


def _begun(pinned: Side, current: Side, block: Block, current_id: Ids, scores: FloatArray, seed: int) -> DriftMemory:
    """A memory without new samples: of the pinned baseline's scores, if the current model gave them, else of the current run's."""
    pinned_id, pinned_scores = per_sample(pinned.results, block.id)
    then = next((known for known in pinned.results.blocks if known.id == block.id), None)
    trained = (pinned.trained, current.trained)
    if then is not None and len(pinned_id) and _one_model((then, block), trained, (pinned_id, pinned_scores), (current_id, scores)):
        return DriftMemory(pinned.finished, pinned.finished, block, current.trained, start(pinned_id, pinned_scores, seed))
    return DriftMemory(pinned.finished, current.finished, block, current.trained, start(current_id, scores, seed))


def _goes_on(memory: DriftMemory, current: Side, block: Block, current_id: Ids, scores: FloatArray) -> bool:
    """Whether the model is the one that the memory began with."""
    if not len(scores):
        return True  # nothing says otherwise
    state = memory.evidence
    known_id = np.concatenate([state.reference_id, state.counted_id])
    known = np.concatenate([state.reference, state.counted])
    return _one_model((memory.block, block), (memory.trained, current.trained), (known_id, known), (current_id, scores))


def _one_model(
    blocks: tuple[Block, Block],
    trained: tuple[float | None, float | None],
    first: tuple[Ids, FloatArray],
    second: tuple[Ids, FloatArray],
) -> bool:
    """Whether one model gave both sets of (ids, scores): same kind of block and thresholds, and most shared samples scored alike.

    What a model says of samples that both know is better proof than the date of a training, which is that of the whole
    impulse and may be hidden from the key. The date counts where no sample is shared. Single samples may be scored
    otherwise because they were edited.
    """
    if blocks[0].type != blocks[1].type or blocks[0].thresholds != blocks[1].thresholds:
        return False
    _, left, right = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
    if not len(left):
        return None in trained or trained[0] == trained[1]
    return float(np.mean(np.abs(first[1][left] - second[1][right]) > _SAME_SCORE)) <= 0.5


def per_sample(results: ResultSet, block_id: int) -> tuple[Ids, FloatArray]:
    """Each sample's score: the largest of its windows' finite scores.

    Returns:
        int64[k], ascending ids, and float64[k]; samples without a finite score are left out, all of them where the run
        has no such block.
    """
    scores = results.anomaly.get(block_id)
    if scores is None:
        return np.empty(0, np.int64), np.empty(0)
    finite = np.isfinite(scores)
    sample, scores = results.sample[finite], scores[finite]
    first = np.flatnonzero(np.diff(sample, prepend=-1))
    largest: FloatArray = np.maximum.reduceat(scores, first) if len(first) else np.empty(0)
    return results.sample_id[sample[first]], largest


def distances(reference: FloatArray, current: FloatArray, limit: float | None) -> Distances:
    """How far `current` is from `reference`.

    The Wasserstein distance is divided by IQR/1.349 of the reference, its standard deviation where the quartiles
    coincide, and that of both together where the reference is constant. Bins of PSI and Jensen-Shannon end at the
    reference's deciles, inclusive, equal ones merged, the outer ones open; shares are (count + 1/2)/(n + bins/2).

    Args:
        reference: float64[n], finite, in any order; at least one.
        current: float64[m] likewise.
        limit: The block's threshold; None takes the reference's 0.95 quantile.

    Raises:
        ValueError: One side has no score.
    """
    n, m = len(reference), len(current)
    if not n or not m:
        raise ValueError("distances need at least one score on either side; leave out comparisons that have none")
    pooled = np.concatenate([reference, current])
    reference, current = pooled[:n], pooled[n:]
    reference.sort()  # in place: to touch fresh memory costs as much as the sorting
    current.sort()
    ks, area = _largest_gap_and_area(pooled, n)
    edges = np.unique(_quantiles(reference, np.arange(1, _BINS) / _BINS))
    psi, js = _psi_js(_shares(_binned(reference, edges)), _shares(_binned(current, edges)))
    limit = float(_quantiles(reference, np.array([_FALLBACK_QUANTILE]))[0]) if limit is None else limit
    return Distances(ks, psi, area / _scale(reference, current), js, _above(current, limit) - _above(reference, limit))


def gate_open(distance: Distances) -> bool:
    """Whether a difference is large enough to matter, whatever its significance."""
    return distance.wasserstein >= EFFECT_WASSERSTEIN or abs(distance.exceedance) >= EFFECT_EXCEEDANCE


def insufficient(reference: int, current: int) -> bool:
    """Whether there are too few samples for a verdict."""
    return reference < SMALLEST_REFERENCE or current < SMALLEST_CURRENT


def two_sample_pvalue(reference: FloatArray, current: FloatArray, limit: float | None, seed: int) -> float:
    """Permutation p-value of "both have one distribution", for one decision; 1/1000 is the smallest.

    The scores of both sides are counted between at most 512 of their common quantiles (of a random 65,536 of them, if
    they are more) and the threshold; under permutation the counts are multivariate hypergeometric, whatever ties there
    are. Wasserstein, Anderson-Darling and exceedance of these counts share one p-value by the smallest of theirs,
    itself judged by permutation (Westfall and Young, Resampling-Based Multiple Testing, 1993, 2.3).

    Args:
        reference: float64[n], finite, at least one.
        current: float64[m] likewise.
        limit: The block's threshold; None takes the 0.95 quantile of both sides together, which permutation leaves as it is.
        seed: Not negative.
    """
    rng = np.random.default_rng(seed)
    knots, at_limit = _knots(np.concatenate([reference, current]), limit, _KNOTS, rng)
    first, second = _cumulated(reference, knots), _cumulated(current, knots)
    pooled = first + second
    # Drawing the smaller side is the cheaper; the other one is the rest.
    small = min(len(reference), len(current))
    colors = np.diff(pooled, prepend=0)
    drawn = rng.multivariate_hypergeometric(colors, small, size=_RESAMPLINGS, method="marginals")
    observed = first if small == len(reference) else second
    below = np.concatenate([observed[None], drawn.cumsum(axis=1)])
    total = len(reference) + len(current)
    # What separates the two sides is what separates one from both, times a constant; in whole numbers, so that ties stay ties.
    gap: FloatArray = (below * total - pooled * small).astype(np.float64)
    return _smallest_p(gap, pooled / total, knots, at_limit)


def paired_pvalue(before: FloatArray, after: FloatArray, limit: float | None, seed: int) -> float:
    """Sign-flip p-value of "either score of a sample could as well have been the other's"; 1/1000 is the smallest.

    The statistics are those of `two_sample_pvalue`, of the two columns' distributions. Swapping a sample's scores flips
    the sign of what it adds to their difference, so that samples whose scores lie between the same of at most 64
    quantiles flip as one binomial count.

    Args:
        before: float64[k], finite, at least one.
        after: float64[k], the same samples' other scores.
        limit: The block's threshold; None takes the 0.95 quantile of all scores.
        seed: Not negative.
    """
    rng = np.random.default_rng(seed)
    knots, at_limit = _knots(np.concatenate([before, after]), limit, _PAIRED_KNOTS, rng)
    cells = len(knots)
    code = np.searchsorted(knots, before) * cells + np.searchsorted(knots, after)
    moves = np.bincount(code, minlength=cells**2).reshape(cells, cells)
    lower, upper = np.triu_indices(cells, 1)
    risen, fallen = moves[lower, upper], moves[upper, lower]
    moving = np.flatnonzero(risen + fallen)
    lower, upper, risen, size = lower[moving], upper[moving], risen[moving], (risen + fallen)[moving]
    flipped = rng.binomial(size, 0.5, size=(_RESAMPLINGS, len(size)))
    net = 2 * np.concatenate([risen[None], flipped]) - size
    # A score that moves from one cell to another changes the distribution function at the knots between them.
    passed = (lower[:, None] <= np.arange(cells)) & (np.arange(cells) < upper[:, None])
    pooled = (moves.sum(axis=0) + moves.sum(axis=1)).cumsum() / (2 * len(before))
    return _smallest_p(net @ passed.astype(np.float64), pooled, knots, at_limit)


def prediction_drift(baseline: ResultSet, current: ResultSet) -> Mapping[str, float]:
    """PSI and Jensen-Shannon distance (`psi`, `js`) between the two runs' mixes of predicted labels.

    Each sample counts once, with the shares of its windows' predictions: ten windows of one recording do not make its
    label ten times as frequent. Labels are all that either run predicted, `uncertain` included; shares are smoothed as
    in `distances`.

    Returns:
        Nothing where a run has no classifier, or predicted nothing, or where the project maps labels.
    """
    if any(BlockKind.CLASSIFICATION not in run.kinds() or run.label_map for run in (baseline, current)):
        return {}
    before, after = _predicted(baseline), _predicted(current)
    if not before or not after:
        return {}
    labels = sorted(before.keys() | after.keys())
    psi, js = _psi_js(*(_shares(np.array([mix.get(label, 0.0) for label in labels])) for mix in (before, after)))
    return {"psi": psi, "js": js}


def _added(results: ResultSet, sample_id: Ids) -> npt.NDArray[np.datetime64]:
    return results.added[np.searchsorted(results.sample_id, sample_id)]


def _same(first_id: Ids, first: FloatArray, second_id: Ids, second: FloatArray) -> bool:
    return np.array_equal(first_id, second_id) and np.array_equal(first, second)


def _largest_gap_and_area(pooled: FloatArray, n: int) -> tuple[float, float]:
    """The largest difference of the distribution functions, and the area between them; the first `n` scores are one side, both sorted.

    The difference times n m is a whole number, exact up to 2**53, that the counts of either side up to a score give. Some
    scores at a time, so that what they need stays in a core's cache.
    """
    total = len(pooled)
    m = total - n
    order = np.argsort(pooled, kind="stable")  # merges two sorted runs in one pass
    ranks = np.arange(1, min(_MERGED, total) + 1) * float(n)
    largest = area = 0.0
    before = 0  # reference scores in the parts before
    for first in range(0, total - 1, _MERGED):
        part = order[first : min(first + _MERGED, total - 1) + 1]  # and the one after it
        score = pooled[part]
        count = np.cumsum(part[:-1] < n, dtype=np.int32)
        gap = count * -float(total)
        gap += ranks[: len(gap)]
        gap += float(first * n - before * total)
        before += int(count[-1])
        np.abs(gap, out=gap)
        step = np.diff(score)
        area += float(np.einsum("i,i", gap, step))  # a BLAS product would wake threads for nothing
        # Within a run of equal scores the difference has no meaning: only where the next score is larger does it count.
        largest = max(largest, float(gap.max() if step.min() > 0 else gap.max(where=step > 0, initial=0)))
    return largest / (n * m), area / (n * m)


def _quantiles(ascending: FloatArray, shares: FloatArray) -> FloatArray:
    """NumPy's quantiles (linear), of what is sorted already; NumPy would partition it again."""
    place = shares * (len(ascending) - 1)
    below = np.floor(place).astype(np.intp)
    low, high = ascending[below], ascending[np.minimum(below + 1, len(ascending) - 1)]
    part = place - below
    # as NumPy interpolates, from the nearer end
    found: FloatArray = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return found


def _scale(reference: FloatArray, current: FloatArray) -> float:
    """The unit of the Wasserstein distance, of sorted scores; infinite where all are equal, and no distance is to be had."""
    # No median absolute deviation in between: where the quartiles coincide, more than half of the scores are the median, and it is 0 too.
    lower, upper = _quantiles(reference, np.array([0.25, 0.75]))
    return float(upper - lower) / _IQR_PER_SD or _stddev(reference) or _stddev(np.sort(np.concatenate([reference, current]))) or math.inf


def _stddev(ascending: FloatArray) -> float:
    """Standard deviation, 0 for equal scores (where NumPy's may be a rounding error)."""
    return float(ascending.std()) if ascending[-1] > ascending[0] else 0.0


def _binned(ascending: FloatArray, edges: FloatArray) -> npt.NDArray[np.intp]:
    """How many scores lie in each bin; an edge belongs to the bin below it."""
    return np.diff(np.searchsorted(ascending, edges, side="right"), prepend=0, append=len(ascending))


def _shares(counts: npt.NDArray[np.number]) -> FloatArray:
    smoothed: FloatArray = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return smoothed


def _psi_js(p: FloatArray, q: FloatArray) -> tuple[float, float]:
    """Population stability index, and Jensen-Shannon distance in base 2, of shares that are all above 0."""
    psi = float(np.dot(q - p, np.log(q / p)))
    # p / ((p + q)/2) as 1 + r: its logarithm stays exact for small r, or rounding errors of 1e-16 become distances of 1e-8.
    r = (p - q) / (p + q)
    divergence = float((p * np.log1p(r) + q * np.log1p(-r)).sum()) / (2 * math.log(2))
    return psi, math.sqrt(max(divergence, 0.0))


def _above(ascending: FloatArray, limit: float) -> float:
    """Share of scores above the limit."""
    return 1 - int(np.searchsorted(ascending, limit, side="right")) / len(ascending)


def _knots(pooled: FloatArray, limit: float | None, most: int, rng: np.random.Generator) -> tuple[FloatArray, int]:
    """The values to count scores between, ascending: at most `most` quantiles, all values if they are fewer, the limit and the largest.

    Returns:
        The knots, and the index of the last one that does not exceed the limit; -1 where all do.
    """
    largest = pooled.max()
    if len(pooled) > _SAMPLE:  # which knots there are does not depend on who scored what: the test stays exact
        pooled = rng.choice(pooled, _SAMPLE, replace=False, shuffle=False)
    pooled = np.sort(pooled)
    last = np.append(pooled[1:] > pooled[:-1], True)
    knots = pooled[last]
    if len(knots) > most:
        knots = pooled[np.linspace(0, len(pooled) - 1, most).round().astype(np.intp)]
    if limit is None:
        limit = float(pooled[int(_FALLBACK_QUANTILE * (len(pooled) - 1))])
    knots = np.union1d(knots, [largest, limit] if knots[0] <= limit < largest else [largest])
    return knots, int(np.searchsorted(knots, limit, side="right")) - 1


def _cumulated(scores: FloatArray, knots: FloatArray) -> npt.NDArray[np.intp]:
    """How many scores are at most each knot."""
    counts = np.zeros(len(knots), np.intp)
    for first in range(0, len(scores), _BLOCK):  # only counts are wanted: sorting what fits a cache takes half the time of sorting all
        counts += np.searchsorted(np.sort(scores[first : first + _BLOCK]), knots, side="right")
    return counts


def _smallest_p(gap: FloatArray, pooled: FloatArray, knots: FloatArray, at_limit: int) -> float:
    """Westfall and Young's p-value of the first row.

    Args:
        gap: float64[1 + resamplings, knots], differences of distribution functions, up to a constant factor; first the observed one.
        pooled: float64[knots], the common distribution function.
        knots: float64[knots], ascending.
        at_limit: The knot at the threshold; -1 where all scores are above it.
    """
    size = np.abs(gap)
    between = size[:, :-1]
    inner = pooled[:-1]
    weight = np.diff(pooled, prepend=0)[:-1] / (inner * (1 - inner))
    statistics = [
        np.einsum("ij,j->i", between, np.diff(knots)),  # Wasserstein
        np.einsum("ij,ij,j->i", between, between, weight),  # Anderson-Darling
        size[:, at_limit] if at_limit >= 0 else np.zeros(len(size)),  # exceedance
    ]
    smallest = np.min([_rank_p(statistic) for statistic in statistics], axis=0)
    return int((smallest <= smallest[0]).sum()) / len(smallest)


def _rank_p(statistic: FloatArray) -> FloatArray:
    """Share of the rows with a statistic at least as large, for each row."""
    at_least = len(statistic) - np.searchsorted(np.sort(statistic), statistic * _EQUAL)
    return at_least / len(statistic)


def _predicted(results: ResultSet) -> dict[str, float]:
    """How many samples were predicted each label; a sample with several windows counts with their shares."""
    known = results.prediction >= 0
    sample, prediction = results.sample[known], results.prediction[known]
    weight = 1 / np.bincount(sample, minlength=1)[sample]
    counts = np.bincount(prediction, weight, len(results.labels))
    return {label: count for label, count in zip(results.labels, counts.tolist(), strict=True) if count}
