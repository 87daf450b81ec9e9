"""Power: which drop of a figure a result set would show, and which it would miss.

A rule that compares a change with its p-value is silent where nothing happened, and where too few samples were asked.
Which of the two it is follows from the sizes alone: the smallest drop that the rule's test finds in 80 % of cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from monitor.compare.change import ACCURACY, ADDED, MODEL, Change
from monitor.compare.group_sizes import alike_in_size
from monitor.compare.pairing import Pairing
from monitor.compare.renaming import in_one_table
from monitor.compare.resampling import hypergeometric
from monitor.figures.distributions import incomplete_beta, t_quantile
from monitor.figures.intervals import SMALLEST_SAMPLES
from monitor.figures.scoring import accuracy_verdicts
from monitor.figures.units import Units
from monitor.results import CORRECT, UNSCORED, IntArray, ResultSet

FOUND = 0.8
"""The share of cases in which a drop must be found to count as visible."""

SIGNIFICANCE = 0.01
"""Significance level of rules that do not say another one."""

USUAL_DISCORDANCE = 0.04
"""Share of the samples on which two trainings of one model differ, where none was seen yet."""

_EXACT = 200  # discordant pairs up to which McNemar's power is summed exactly; beyond, the normal distribution has it
_FEW = 10  # clusters with an error, or with a hit: below, their variance cannot be trusted
_SPREAD = 7  # standard deviations of the number of discordant pairs that are summed over
_TAIL = 20  # and so many pairs more
_PRECISION = 1e-5  # of a smallest visible drop
_MOST = _EXACT + math.ceil(_SPREAD * math.sqrt(_EXACT)) + _TAIL  # discordant pairs that may then occur
_ROUNDING = 1e-9

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Power:
    """What the tests of one figure could have seen in a result set.

    Sizes are independent opinions: samples with one window each, or windows / design effect.

    Attributes:
        metric: The headline figure.
        value: The figure on the shared samples, in the current run.
        pairs: Opinions that both runs have: what a retraining is tested on.
        discordance: Share of the pairs that a retraining changes both ways, beside what it loses in all.
        shared, added: Opinions among the shared samples, and among those added since.
        weight: Share of the figure's windows that were added: a fall on these moves the whole figure by so much of it.
        reachable: By cause, the smallest p-value that its test could give.
        visible: By cause, the smallest drop of the whole figure that is found in 80 % of cases at p <= 0.01; infinite
            where none is; absent where there is nothing to test.
    """

    metric: str
    value: float
    pairs: int
    discordance: float
    shared: int = 0
    added: int = 0
    weight: float = 0.0
    reachable: Mapping[str, float] = field(default_factory=dict)
    visible: Mapping[str, float] = field(default_factory=dict)

    def smallest_visible_drop(self, cause: str, significance: float = SIGNIFICANCE) -> float | None:
        """The smallest drop of the whole figure that is found in 80 % of cases; None where there is nothing to test.

        Args:
            cause: `model`, or `added`: only the added samples are worse.
            significance: Largest p-value that counts, two-sided.
        """
        if significance == SIGNIFICANCE:
            return self.visible.get(cause)
        return self.worked_out(cause, significance) if cause in self.reachable else None

    def worked_out(self, cause: str, significance: float) -> float:
        """`smallest_visible_drop` of a cause that has a test, at any significance level; takes some milliseconds."""
        if self.reachable[cause] > significance:
            return math.inf
        if cause == MODEL:
            return smallest_paired_drop(self.pairs, self.value, self.discordance, significance)
        return self.weight * smallest_added_drop(self.shared, self.added, self.value, significance)

    def largest_drop(self, cause: str) -> float:
        """By how much the whole figure falls where a cause takes all that it can: of added samples their part of it."""
        return self.weight * self.value if cause == ADDED else self.value

    def missed(
        self, drop: float, significance: float | None = SIGNIFICANCE, margin: float = 0.0, cause: str = MODEL
    ) -> float:
        """The share of cases in which the whole figure loses `drop` and a rule does not find it.

        Args:
            drop: In the figure's unit, at most `largest_drop`.
            significance: The rule's; None where it takes any p-value.
            margin: The rule's.
            cause: `model`, or `added`: only the added samples are worse.
        """
        if significance is not None and self.reachable.get(cause, 1.0) > significance:
            return 1.0
        if cause == MODEL:
            return 1 - paired_power(self.pairs, drop, self.discordance, significance, margin)
        if not self.weight:
            return 1.0
        of_added = drop / self.weight, margin / self.weight
        return 1 - added_power(self.shared, self.added, self.value, of_added[0], significance, of_added[1])


def powers(
    found: Sequence[Change],
    current: ResultSet,
    pairing: Pairing,
    units: Units | None = None,
    discordance: float | None = None,
) -> tuple[Power, ...]:
    """What the tests of a comparison could have seen: of the accuracy, whose verdicts are counts.

    The smallest visible drop of mean F1 and mAP depends on which classes and images a model would lose: they have none.

    Args:
        found: The changes of the comparison.
        current: The run of now.
        pairing: Of the baseline and this run.
        units: What counts as one opinion in the current run; None: the sample.
        discordance: That last seen between two models of the target (`seen_discordance`); None where none was.
    """
    change = next((change for change in found if change.metric == ACCURACY), None)
    if change is None:
        return ()
    verdicts = accuracy_verdicts(current)
    scored = verdicts != UNSCORED
    if pairing.samples < SMALLEST_SAMPLES:
        return ()
    is_shared = pairing.shared(current.samples, pairing.current_sample)
    hit = verdicts[scored] == CORRECT
    sample = current.sample[scored]
    old = is_shared[sample]
    if not old.any():
        return ()
    unit = sample if units is None else units.of(ACCURACY)[sample]
    # the differences of the two runs have a unit of their own
    pairs = _opinions(hit, unit if MODEL in change.smallest else sample, old)
    dealt = _dealt(sample, old, units)
    hits, of, earlier = hit[dealt], unit[dealt], old[dealt]
    power = Power(
        ACCURACY,
        float(hit[old].mean()),
        pairs,
        USUAL_DISCORDANCE if discordance is None else discordance,
        _opinions(hits, of, earlier),
        _opinions(hits, of, ~earlier),
        float(1 - old.mean()),
    )
    reachable = _reachable(power, change.smallest)
    power = replace(power, reachable=reachable)
    return (replace(power, visible={cause: power.worked_out(cause, SIGNIFICANCE) for cause in reachable}),)


def seen_discordance(
    found: Sequence[Change], baseline: ResultSet, current: ResultSet, pairing: Pairing
) -> float | None:
    """Share of the shared windows on which two models differ in their verdict, less what they differ by in all; None
    where the runs are of one model, or where labels or thresholds changed besides.

    Args:
        found: The changes of the comparison.
        baseline, current: The runs.
        pairing: Of these two runs.
    """
    change = next((change for change in found if change.metric == ACCURACY), None)
    if change is None or not change.retrained or change.thresholds or change.undivided:
        return None
    baseline, current = in_one_table(baseline, current)
    before = accuracy_verdicts(baseline)[pairing.baseline_window]
    after = accuracy_verdicts(current)[pairing.current_window]
    same_label = baseline.label[pairing.baseline_window] == current.label[pairing.current_window]
    counts = same_label & (before != UNSCORED) & (after != UNSCORED)
    if not counts.any():
        return None
    gained = float(((before != CORRECT) & (after == CORRECT))[counts].mean())
    lost = float(((before == CORRECT) & (after != CORRECT))[counts].mean())
    return 2 * min(gained, lost)


@lru_cache(maxsize=1024)
def paired_power(pairs: int, drop: float, discordance: float, significance: float | None, margin: float = 0.0) -> float:
    """The share of retrainings that lose `drop` which the mid-p McNemar test finds, and which lose more than `margin`.

    Discordant pairs are drop + discordance of all (Connor, Biometrics 43:207, 1987); how many there are is summed over
    exactly, and the margin is exceeded on the pairs. With more than 200 of them Connor's normal approximation has it.

    Args:
        pairs: Independent pairs of verdicts.
        drop: What is lost in all, at least 0.
        discordance: Share of the pairs that change both ways besides, at least 0; drop + discordance / 2 is below 1.
        significance: Largest p-value, two-sided; None: any.
        margin: What the observed drop must exceed.
    """
    changed = min(1.0, drop + discordance)
    if pairs <= 0 or changed <= 0:
        return 0.0
    if pairs * changed > _EXACT:
        return _normal_power(pairs, drop, changed, significance, margin)
    spread = _SPREAD * math.sqrt(pairs * changed * (1 - changed))
    fewest = max(0, int(pairs * changed - spread))
    most = min(pairs, int(pairs * changed + spread) + _TAIL)
    discordant = np.arange(fewest, most + 1)
    lost = np.arange(most + 1)
    chance = _binomial(np.array([pairs]), discordant, changed)[0]
    split = _binomial(discordant, lost, (drop + discordance / 2) / changed)
    needed = _fewest_lost(significance)[discordant]
    beyond = 2 * lost - discordant[:, None] > margin * pairs + _ROUNDING
    seen = (lost >= needed[:, None]) & beyond
    return float(min(1.0, chance @ (split * seen).sum(axis=1)))


@lru_cache(maxsize=1024)
def smallest_paired_drop(pairs: int, value: float, discordance: float, significance: float) -> float:
    """The smallest loss of a retraining that the mid-p McNemar test finds in 80 % of cases; infinite where none is.

    Args:
        pairs, discordance, significance: As `paired_power` takes them.
        value: The figure that falls: more than it cannot be lost.
    """
    most = value - discordance / 2
    if most <= 0 or paired_power(pairs, most, discordance, significance) < FOUND:
        return math.inf
    low = 0.0
    high = most
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if paired_power(pairs, middle, discordance, significance) >= FOUND else (middle, high)
    return high


@lru_cache(maxsize=1024)
def smallest_added_drop(shared: int, added: int, value: float, significance: float) -> float:
    """How much worse than the shared samples the added ones must be to be found in 80 % of cases by the hypergeometric
    mid-p test; infinite where none is. What the shared samples show is taken as it is.

    Args:
        shared, added: Independent opinions of either.
        value: The shared samples' share of hits.
        significance: Largest p-value, two-sided.
    """
    hits = round(value * shared)
    most = _most_hits(shared, added, hits, significance)
    if most is None or not added:
        return math.inf
    low = 0.0  # the added samples' true share of hits
    high = hits / shared
    if _at_most(most, added, high) >= FOUND:
        return 0.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(most, added, middle) >= FOUND else (low, middle)
    return hits / shared - low


@lru_cache(maxsize=1024)
def added_power(
    shared: int, added: int, value: float, drop: float, significance: float | None, margin: float = 0.0
) -> float:
    """The share of cases in which added samples that are worse by `drop` are found by the hypergeometric mid-p test,
    and are worse by more than `margin`. What the shared samples show is taken as it is.

    Args:
        shared, added, value: As `smallest_added_drop` takes them.
        drop: By how much the added samples' true share of hits is less, at most `value`.
        significance: Largest p-value, two-sided; None: any.
        margin: What the observed difference must exceed.
    """
    hits = round(value * shared)
    if not added or not hits:
        return 0.0
    most = math.ceil(added * (hits / shared - margin) - _ROUNDING) - 1
    if significance is not None:
        found = _most_hits(shared, added, hits, significance)
        most = -1 if found is None else min(most, found)
    return 0.0 if most < 0 else _at_most(most, added, max(hits / shared - drop, 0.0))


def _most_hits(shared: int, added: int, hits: int, significance: float) -> int | None:
    """How many hits the added samples may have at most, for the test to find them worse; None where none are few
    enough.
    """
    low = -1  # found at `low`, not at `high`
    high = math.ceil(hits / shared * added) if shared else 0
    while high - low > 1:
        middle = (low + high) // 2
        found = middle * shared < hits * added and _worse(shared, added, hits, middle) <= significance
        low, high = (middle, high) if found else (low, middle)
    return None if low < 0 else low


def _worse(shared: int, added: int, hits: int, added_hits: int) -> float:
    return hypergeometric(added_hits, added, hits + added_hits, shared + added)


def _at_most(most: int, of: int, share: float) -> float:
    """P(X <= most), X ~ Bin(of, share)."""
    return 1.0 if most >= of else incomplete_beta(of - most, most + 1, 1 - share)


def _normal_power(pairs: int, drop: float, changed: float, significance: float | None, margin: float) -> float:
    quantile = 0.0 if significance is None else t_quantile(1 - significance / 2, math.inf)
    needed = max(margin, quantile * math.sqrt(changed / pairs))
    error = math.sqrt(max(changed - drop**2, 0.0) / pairs)
    if error == 0.0:
        return float(drop > needed)
    return 0.5 * math.erfc((needed - drop) / error / math.sqrt(2))


@lru_cache(maxsize=16)
def _fewest_lost(significance: float | None) -> IntArray:
    """int[_MOST + 1], for each number of discordant pairs how many of them must be lost to be found; one more than
    there are where no number is enough.
    """
    discordant = np.arange(_MOST + 1)
    if significance is None:
        return discordant // 2 + 1
    gained = np.arange(_MOST // 2 + 1)
    mass = _binomial(discordant, gained, 0.5)
    pvalue = 2 * np.cumsum(mass, axis=1) - mass
    enough = (pvalue <= significance) & (2 * gained < discordant[:, None])
    fewest: IntArray = discordant - enough.sum(axis=1) + 1
    return fewest


def _binomial(trials: IntArray, hits: IntArray, share: float) -> npt.NDArray[np.float64]:
    """float64[trials, hits], the probability of each number of hits in each number of trials."""
    share = min(max(share, 1e-300), 1 - 1e-16)
    table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(trials.max()) + 1)))])
    n = trials[:, None]
    k = hits[None, :]
    rest = n - k
    logs = table[n] - table[np.minimum(k, len(table) - 1)] - table[np.maximum(rest, 0)]
    logs = logs + k * math.log(share) + rest * math.log1p(-share)
    mass: npt.NDArray[np.float64] = np.where(rest >= 0, np.exp(np.where(rest >= 0, logs, -np.inf)), 0.0)
    return mass


def _dealt(sample: IntArray, old: Mask, units: Units | None) -> Mask:
    """bool[m], the windows of samples that the test of `added` takes."""
    if units is None or not units.grouped(ACCURACY) or old.all():
        return np.ones(len(sample), np.bool_)
    group = units.of(ACCURACY)
    sides = np.unique(sample[old]), np.unique(sample[~old])
    taken = alike_in_size(group[sides[0]], group[sides[1]], np.random.default_rng(0))
    return np.isin(sample, np.concatenate([side[rows] for side, rows in zip(sides, taken, strict=True)]))


def _opinions(hit: Mask, cluster: IntArray, chosen: Mask) -> int:
    """How many independent opinions the chosen windows are: as many as there are / design effect, which is that of the
    interval: the cluster variance of the ratio over that of independent windows, and at least 1.

    Args:
        hit: bool[m], of all windows, on which the design effect is estimated.
        cluster: int[m], the unit each is of.
        chosen: bool[m].
    """
    windows = int(chosen.sum())
    if not windows:
        return 0
    _, of = np.unique(cluster, return_inverse=True)
    sizes = np.bincount(of)
    hits = np.bincount(of[hit], minlength=int(of.max()) + 1)
    if sizes.max() == 1:
        return windows
    if min((hits > 0).sum(), (hits < sizes).sum()) < _FEW:
        return len(np.unique(cluster[chosen]))
    n = len(hit)
    p = float(hit.mean())
    clustered = len(sizes) / (len(sizes) - 1) * float(np.square(hits - p * sizes).sum()) / n**2
    return max(1, round(windows / max(1.0, clustered / (p * (1 - p) / n))))


def _reachable(power: Power, by_group: Mapping[str, float]) -> dict[str, float]:
    """By cause, the smallest p-value of its test: all pairs lost, or no added sample right; `by_group` where the group
    is the unit of a test that was made.
    """
    found = {MODEL: 0.5 ** min(power.pairs, 1000)}
    if power.added:
        found[ADDED] = _worse(power.shared, power.added, round(power.value * power.shared), 0)
    return {cause: max(reached, by_group.get(cause, 0.0)) for cause, reached in found.items()}
