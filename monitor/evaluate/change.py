"""What changed between two runs, and why: another model, other labels, samples added or removed.

The baseline's figure is turned into the current one in four steps, each of which changes one thing. What a step moves
the figure by is what its cause is worth, so that the causes add up to the whole change:

1. `removed`: only the samples that both runs share
2. `labels`: those judged by the current labels, still with the baseline's predictions
3. `model`: the current predictions
4. `added`: all samples of the current run
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from monitor.evaluate import pools
from monitor.evaluate.intervals import SMALLEST_SAMPLES
from monitor.evaluate.judging import in_one_table, judged
from monitor.evaluate.pairing import Index, Pairing, pair
from monitor.evaluate.pools import Images, Pool, Sums
from monitor.evaluate.resampling import STOP, hypergeometric, mcnemar, subset_test, swap_test
from monitor.results import BlockKind, ResultSet

ACCURACY, MEAN_F1, MAP = "accuracy", "mean_f1", "map"
TOTAL, MODEL, LABELS, ADDED, REMOVED = CAUSES = ("total", "model", "labels", "added", "removed")

_ROUNDING = 1e-14  # a figure of the same windows, summed in another order, differs by less: no cause


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """A numeric threshold that one learning block has with different values in the two runs."""

    block: str
    key: str
    baseline: float
    current: float


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in two runs.

    Attributes:
        metric: `accuracy`, `mean_f1` or `map`.
        baseline, current: Its values over all samples of each run.
        causes: `total` and the part of it that is due to `model`, `labels`, `added` and `removed`; absent where not defined.
        pvalues: Of `total`, `model` and `added`: how likely a change at least as large is by sampling alone; absent where not tested.
        shared, added, removed: How many samples are in both runs, only in the current one, only in the baseline. A sample
            whose windows do not pair is both added and removed.
        thresholds: What else changed with the model.
    """

    metric: str
    baseline: float
    current: float
    causes: Mapping[str, float]
    pvalues: Mapping[str, float] = field(default_factory=dict)
    shared: int = 0
    added: int = 0
    removed: int = 0
    thresholds: tuple[ThresholdChange, ...] = ()

    @property
    def judged_change(self) -> float | None:
        """What a rule about a drop or rise compares with its margin.

        The total; for mAP model + labels on the shared images, because the figure of a whole set moves with its size.
        """
        return _sum(self.causes, MODEL, LABELS) if self.metric == MAP else self.causes.get(TOTAL)

    @property
    def judged_pvalue(self) -> float | None:
        """The p-value that belongs to `judged_change`."""
        return self.pvalues.get(MODEL if self.metric == MAP else TOTAL)

    @property
    def exact_change(self) -> float | None:
        """The part of `judged_change` that no sampling noise can explain: labels and, but for mAP, removed samples."""
        return self.causes.get(LABELS) if self.metric == MAP else _sum(self.causes, LABELS, REMOVED)


def changes(baseline: ResultSet, current: ResultSet, seed: int | None) -> tuple[Change, ...]:
    """Every figure that both runs have, its change, what that is due to, and how likely it is to be noise.

    A classifier has accuracy and mean F1, a detector of boxes mAP at 0.50:0.95, FOMO the mean F1 over images, a
    regression as accuracy the share within tolerance.

    Args:
        baseline, current: The runs.
        seed: Of the re-samplings, not negative; None leaves the p-values out.
    """
    same = baseline is current or baseline.fingerprint() == current.fingerprint()
    thresholds = _thresholds(baseline, current)
    baseline, current = in_one_table(baseline, current)
    pairing = pair(baseline, current)
    runs = (baseline, current, judged(baseline, current, pairing))
    found = []
    for metric, pool in _pools(runs).items():
        views = _Views(pool, baseline.samples, current.samples, pairing)
        before, after = views.figure(views.baseline), views.figure(views.current)
        if math.isnan(before) or math.isnan(after):
            continue
        causes = dict.fromkeys(CAUSES, 0.0) if same else _causes(views, before, after)
        pvalues = {} if same or seed is None else _pvalues(views, causes, seed)
        samples = (pairing.samples, current.samples - pairing.samples, baseline.samples - pairing.samples)
        found.append(Change(metric, before, after, causes, pvalues, *samples, thresholds))
    return tuple(found)


def _pools(runs: tuple[ResultSet, ResultSet, ResultSet]) -> dict[str, Pool]:
    """Per metric that applies to both runs, a pool of the samples of all three."""
    baseline, current, _ = runs
    kinds = baseline.kinds() & current.kinds()
    fomo = BlockKind.FOMO in baseline.kinds() | current.kinds()
    documented = not (baseline.label_map or current.label_map)
    found: dict[str, Pool] = {}
    if BlockKind.CLASSIFICATION in kinds and documented and all(map(pools.has_classes, (baseline, current))):
        found = {ACCURACY: pools.accuracy(runs), MEAN_F1: pools.macro_f1(runs)}
    elif BlockKind.REGRESSION in kinds and documented:
        found = {ACCURACY: pools.within_tolerance(runs)}
    if BlockKind.FOMO in kinds:
        found.setdefault(MEAN_F1, pools.mean_image_f1(runs))
    elif BlockKind.DETECTION in kinds and not fomo and (boxes := pools.box_map(runs)) is not None:
        found[MAP] = boxes
    return found


class _Views:
    """A pool of the baseline's samples, the current ones, and the shared ones as judged under the current labels.

    Attributes:
        baseline, current: The units of each run.
        baseline_shared, current_shared, judged: Those of the shared samples, one of each per sample.
        current_added: Those of the current run that are not shared.
    """

    def __init__(self, pool: Pool, baseline: int, current: int, pairing: Pairing) -> None:
        self.pool = pool
        self.baseline: Index = np.arange(baseline)
        self.current: Index = baseline + np.arange(current)
        self.judged: Index = baseline + current + np.arange(pairing.samples)
        self.baseline_shared = self.baseline[pairing.baseline_sample]
        self.current_shared = self.current[pairing.current_sample]
        self.current_added = np.setdiff1d(self.current, self.current_shared, assume_unique=True)

    def figure(self, units: Index) -> float:
        """The figure of these units, NaN where it does not exist."""
        weights = np.zeros((1, self.pool.units), np.uint8)
        weights[0, units] = 1
        return float(self.pool.figure(weights)[0])


def _causes(views: _Views, before: float, after: float) -> dict[str, float]:
    if len(views.judged) < SMALLEST_SAMPLES:
        return {TOTAL: after - before}
    shared_before, relabelled, shared_after = map(views.figure, (views.baseline_shared, views.judged, views.current_shared))
    found = {
        TOTAL: after - before,
        MODEL: shared_after - relabelled,
        LABELS: relabelled - shared_before,
        ADDED: after - shared_after,
        REMOVED: shared_before - before,
    }
    return {cause: change if abs(change) > _ROUNDING else 0.0 for cause, change in found.items() if not math.isnan(change)}


def _pvalues(views: _Views, causes: Mapping[str, float], seed: int) -> dict[str, float]:
    """The tests of model and added, and what they say about the total; too few shared samples: a test of the total itself."""
    stop = STOP if isinstance(views.pool, Images) else None
    generators = (np.random.default_rng([seed, test]) for test in count())
    if len(views.judged) < SMALLEST_SAMPLES:
        pool = views.pool.take(np.concatenate([views.baseline, views.current]))
        return {TOTAL: subset_test(pool, len(views.baseline), next(generators), stop, against_rest=True)}
    found = {}
    if MODEL in causes:
        found[MODEL] = _model_pvalue(views, next(generators), stop)
    if ADDED in causes and len(views.current_added):
        found[ADDED] = _added_pvalue(views, next(generators), stop)
    if found:
        # Which test has the total's sign is known only afterwards: each that could have had it is paid for.
        taken = sum(causes[cause] != 0 for cause in found)
        fitting = [p for cause, p in found.items() if causes[cause] * causes[TOTAL] > 0]
        found[TOTAL] = min([1.0, *(p * taken for p in fitting)])
    return found


def _model_pvalue(views: _Views, rng: np.random.Generator, stop: int | None) -> float:
    if isinstance(views.pool, Sums) and views.pool.verdicts:
        (right, scored), (right_before, scored_before) = views.pool.columns[views.current_shared].T, views.pool.columns[views.judged].T
        if scored.max() <= 1 and np.array_equal(scored, scored_before):
            return mcnemar(int((right > right_before).sum()), int((right < right_before).sum()))
    return swap_test(views.pool.take(np.concatenate([views.current_shared, views.judged])), rng, stop)


def _added_pvalue(views: _Views, rng: np.random.Generator, stop: int | None) -> float:
    if isinstance(views.pool, Sums) and views.pool.verdicts:
        added, shared = views.pool.columns[views.current_added], views.pool.columns[views.current_shared]
        if max(added[:, 1].max(), shared[:, 1].max()) <= 1:
            (hits, drawn), (other_hits, others) = added.sum(axis=0).tolist(), shared.sum(axis=0).tolist()
            return hypergeometric(hits, drawn, hits + other_hits, drawn + others)
    pool = views.pool.take(np.concatenate([views.current_shared, views.current_added]))
    return subset_test(pool, len(views.current_shared), rng, stop, against_rest=False)


def _sum(causes: Mapping[str, float], *names: str) -> float | None:
    """The sum of these causes; None where one is not defined."""
    return sum(causes[name] for name in names) if all(name in causes for name in names) else None


def _thresholds(baseline: ResultSet, current: ResultSet) -> tuple[ThresholdChange, ...]:
    before = {block.id: block.thresholds for block in baseline.blocks}
    return tuple(
        ThresholdChange(block.name or str(block.id), key, before[block.id][key], value)
        for block in current.blocks
        for key, value in sorted(block.thresholds.items())
        if before.get(block.id, {}).get(key, value) != value
    )
