"""What changed between two runs, and why: another model, other labels, other thresholds, samples added or removed.

The baseline's figure is turned into the current one in five steps, each of which changes one thing. What a step moves
the figure by is what its cause is worth, so that the causes add up to the whole change:

1. `removed`: only the samples that both runs share
2. `labels`: those under the current labels, still with the baseline's predictions
3. `thresholds`: the same model's predictions under the current thresholds
4. `model`: the current predictions
5. `added`: all samples of the current run
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from monitor.compare.group_sizes import alike_in_size
from monitor.compare.map_statistic import MapStatistic
from monitor.compare.paired import paired_test, unit_of_difference
from monitor.compare.pairing import Index, Pairing, pair
from monitor.compare.renaming import in_one_table
from monitor.compare.resamplable import Resamplable, SumStatistic
from monitor.compare.resampling import (
    STOP,
    hypergeometric,
    smallest_subset_pvalue,
    subset_test,
)
from monitor.compare.steps import ACCURACY, LABELS, MAP, MEAN_F1, THRESHOLDS, Family, Runs, Steps, families
from monitor.compare.thresholds import ThresholdChange, threshold_changes
from monitor.figures.headline import FIGURES
from monitor.figures.intervals import SMALLEST_SAMPLES
from monitor.figures.units import Units
from monitor.results import IntArray, ResultSet

__all__ = [
    "ACCURACY",
    "ADDED",
    "CAUSES",
    "LABELS",
    "MAP",
    "MEAN_F1",
    "MODEL",
    "REMOVED",
    "THRESHOLDS",
    "TOTAL",
    "Change",
    "ThresholdChange",
    "changes",
]

TOTAL = "total"
MODEL = "model"
ADDED = "added"
REMOVED = "removed"
CAUSES = (TOTAL, MODEL, LABELS, THRESHOLDS, ADDED, REMOVED)

_ROUNDING = 1e-14  # a figure of the same windows, summed in another order, differs by less: no cause


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in two runs.

    Attributes:
        metric: A headline figure that has a test.
        baseline, current: Its values over all samples of each run.
        causes: `total` and the part of it that is due to `model`, `labels`, `thresholds`, `added` and `removed`; absent
            where not defined. Changes stored by earlier versions have no `thresholds`.
        pvalues: Of `total`, `model`, `added` and `removed`: how likely a change at least as large is by sampling alone;
            absent where not tested.
        shared, added, removed: How many samples are in both runs, only in the current one, only in the baseline. A
            sample whose windows do not pair is both added and removed.
        thresholds: What else changed with the model.
        kind: What the figure is computed from: `classes`, `tolerance`, `verdicts` (Studio's own), `centroids` or
            `boxes`.
        undivided: Causes (`labels`, `thresholds`) that changed something and cannot be separated from the model, which
            holds them.
        dropped: Shared windows that the baseline has a verdict on, and would have none under the current labels: the
            step of the labels is then over other windows.
        renamed: Old and new names of classes that were renamed, which is no change of labels.
        retrained: Whether the two runs are outputs of different models; None where nobody knows.
        smallest: The smallest p-value that could have been found, by cause; only of tests by group, which may be few.
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
    kind: str = ""
    undivided: tuple[str, ...] = ()
    dropped: int = 0
    renamed: tuple[tuple[str, str], ...] = ()
    retrained: bool | None = None
    smallest: Mapping[str, float] = field(default_factory=dict)

    @property
    def on_shared(self) -> bool:
        """Whether only what changed on the shared samples is tested: the figure of a whole set moves with its size."""
        row = FIGURES.get(self.metric)  # None for what a later version stored
        return row is not None and row.on_shared

    @property
    def tested_change(self) -> float | None:
        """What a rule about a drop or rise compares with its margin.

        The total; `on_shared` what changed on the shared samples.
        """
        if not self.on_shared:
            return self.causes.get(TOTAL)
        if not {MODEL, LABELS} <= self.causes.keys():
            return None
        return self.causes[MODEL] + self.causes[LABELS] + self.causes.get(THRESHOLDS, 0.0)

    @property
    def tested_pvalue(self) -> float | None:
        """The p-value that belongs to `tested_change`."""
        return self.pvalues.get(MODEL if self.on_shared else TOTAL)

    @property
    def exact_change(self) -> float | None:
        """The part of `tested_change` that no sampling noise can explain: what labels and thresholds did.

        None where that is not known, where windows dropped out of the step, and where the model did the opposite, so
        that the part depends on the order of the steps. Of verdicts that only Studio can give, what labels do is never
        known: what thresholds do is, as long as no label changed.
        """
        known = [self.causes[cause] for cause in (LABELS, THRESHOLDS) if cause in self.causes]
        if not known or LABELS in self.undivided or self.dropped:
            return None
        exact = sum(known)
        return None if exact * self.causes.get(MODEL, 0.0) < 0 else exact


def changes(
    baseline: ResultSet,
    current: ResultSet,
    seed: int | None,
    trained: tuple[float | None, float | None] = (None, None),
    units: tuple[Units, Units] | None = None,
    pairing: Pairing | None = None,
) -> tuple[Change, ...]:
    """Every figure that both runs have, its change, what that is due to, and how likely it is to be noise.

    A classifier has accuracy and mean F1, a detector of boxes mAP at 0.50:0.95, FOMO the mean F1 over images, a
    regression as accuracy the share within tolerance, and any other model the share that Studio calls correct.

    Args:
        baseline, current: The runs.
        seed: Of the re-samplings, not negative; None leaves the p-values out.
        trained: When the model of either was trained, Unix seconds; None where unknown.
        units: Of either run, by the baseline's choices: what is permuted. What is swapped between the runs is chosen by
            the two runs' differences. None: the samples.
        pairing: Of these two runs; None: it is made here.
    """
    same = baseline is current or baseline.fingerprint() == current.fingerprint()
    thresholds = threshold_changes(baseline, current)
    baseline, current = in_one_table(baseline, current)
    runs = Runs(baseline, current, pairing or pair(baseline, current), trained)
    retrained = False if same else runs.retrained
    samples = (runs.pairing.samples, current.samples - runs.pairing.samples, baseline.samples - runs.pairing.samples)
    found: dict[str, Change] = {}
    for family in families(baseline, current):
        steps = Steps() if same else family.steps(runs)
        for metric, views in _views(family, runs, steps):
            before, after = views.figures(views.baseline, views.current)
            if metric in found or math.isnan(before) or math.isnan(after):
                continue
            causes = dict.fromkeys(CAUSES, 0.0) if same else _causes(views, before, after)
            tests = {} if same or seed is None else _tests(views, causes, seed, _Grouping.of(units, metric))
            found[metric] = Change(
                metric,
                before,
                after,
                causes,
                {cause: test.pvalue for cause, test in tests.items()},
                *samples,
                thresholds,
                kind=family.name,
                undivided=steps.undivided,
                dropped=int(steps.dropped.sum()),
                renamed=steps.renamed,
                retrained=retrained,
                smallest={cause: test.smallest for cause, test in tests.items() if test.smallest is not None},
            )
    return tuple(found.values())


def _views(family: Family, runs: Runs, steps: Steps) -> Iterator[tuple[str, _Views]]:
    """Each metric of a family, and the samples of all runs that its figures are taken of."""
    between = [run for run in (steps.relabelled, steps.rethresholded) if run is not None]
    for metric, statistic in family.metrics.items():
        if (units := statistic((runs.baseline, runs.current, *between))) is not None:
            yield metric, _Views(units, runs, steps)


class _Views:
    """A statistic of the baseline's samples, the current ones, and the shared ones as they are between the two.

    Attributes:
        baseline, current: The units of each run.
        baseline_shared, relabelled, rethresholded, current_shared: Those of the shared samples from one step to the
            next, one of each per sample.
        baseline_removed, current_added: Those of either run that are not shared.
        comparable: bool[s], the shared samples of which no window lost its verdict on the way.
        absent: Causes that cannot be separated from the model.
    """

    def __init__(self, statistic: Resamplable, runs: Runs, steps: Steps) -> None:
        pairing = runs.pairing
        self.statistic = statistic
        self.absent = steps.absent
        self.baseline: Index = np.arange(runs.baseline.samples)
        self.current: Index = len(self.baseline) + np.arange(runs.current.samples)
        self.baseline_shared = self.baseline[pairing.baseline_sample]
        self.current_shared = self.current[pairing.current_sample]
        self.baseline_removed = np.setdiff1d(self.baseline, self.baseline_shared, assume_unique=True)
        self.current_added = np.setdiff1d(self.current, self.current_shared, assume_unique=True)
        between: Index = len(self.baseline) + len(self.current) + np.arange(pairing.samples)
        self.relabelled = self.baseline_shared
        if steps.relabelled is not None:
            self.relabelled = between
            between = between + pairing.samples
        self.rethresholded = self.relabelled
        if steps.rethresholded is not None:
            self.rethresholded = between
        elif steps.only_thresholds:
            self.rethresholded = self.current_shared
        self.comparable = np.ones(pairing.samples, np.bool_)
        if len(steps.dropped):
            self.comparable[pairing.sample[steps.dropped]] = False

    @property
    def shared(self) -> int:
        """How many samples are shared."""
        return len(self.baseline_shared)

    def figures(self, *sides: Index) -> list[float]:
        """The figure of each side's units, NaN where it does not exist."""
        weights = np.zeros((len(sides), self.statistic.units), np.uint8)
        for row, units in zip(weights, sides, strict=True):
            row[units] = 1
        found: list[float] = self.statistic.figure(weights).tolist()
        return found


def _causes(views: _Views, before: float, after: float) -> dict[str, float]:
    if views.shared < SMALLEST_SAMPLES:
        return {TOTAL: after - before}
    shared_before, relabelled, rethresholded, shared_after = views.figures(
        views.baseline_shared, views.relabelled, views.rethresholded, views.current_shared
    )
    found = {
        TOTAL: after - before,
        MODEL: shared_after - rethresholded,
        LABELS: relabelled - shared_before,
        THRESHOLDS: rethresholded - relabelled,
        ADDED: after - shared_after,
        REMOVED: shared_before - before,
    }
    known = {cause: change for cause, change in found.items() if cause not in views.absent and not math.isnan(change)}
    return {cause: change if abs(change) > _ROUNDING else 0.0 for cause, change in known.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Grouping:
    """Which samples of the two runs came together.

    Attributes:
        group: int[baseline's samples + current ones], the group of each, numbered by run. No side of a test has samples
            of both.
        grouped: Whether the group is the unit of the metric, as the baseline has it.
    """

    group: IntArray
    grouped: bool

    @classmethod
    def of(cls, units: tuple[Units, Units] | None, metric: str) -> _Grouping | None:
        """None where grouping is switched off."""
        if units is None:
            return None
        baseline = units[0].groups
        current = units[1].groups
        if baseline is None or current is None:
            return None
        return cls(np.concatenate([baseline.of, current.of]), units[1].grouped(metric))


@dataclass(frozen=True, slots=True)
class _Test:
    """A cause's test: the change that it is about, its p-value, and the smallest that it could have; None by sample."""

    change: float
    pvalue: float
    smallest: float | None = None


def _tests(views: _Views, causes: Mapping[str, float], seed: int, grouping: _Grouping | None) -> dict[str, _Test]:
    """The tests of model, added and removed, and what they say about the total; too few shared samples: a test of the
    total itself.
    """
    stop = STOP if isinstance(views.statistic, MapStatistic) else None
    generators = (np.random.default_rng([seed, test]) for test in count())
    grouped = grouping if grouping is not None and grouping.grouped else None
    if views.shared < SMALLEST_SAMPLES:
        sides = views.baseline, views.current
        return {TOTAL: _subset_test(views, sides, causes[TOTAL], next(generators), stop, grouped, against_rest=True)}
    found: dict[str, _Test] = {}
    model = next(generators)
    added = next(generators)
    removed = next(generators)
    if MODEL in causes and (test := _model_test(views, causes[MODEL], model, grouping)) is not None:
        found[MODEL] = test
    if ADDED in causes and len(views.current_added):
        sides = views.current_shared, views.current_added
        found[ADDED] = _subset_test(views, sides, causes[ADDED], added, stop, grouped)
    if REMOVED in causes and len(views.baseline_removed):
        sides = views.baseline_shared, views.baseline_removed
        found[REMOVED] = _subset_test(views, sides, causes[REMOVED], removed, stop, grouped)
    return found | {TOTAL: _total(found, causes[TOTAL])} if found else found


def _total(tests: Mapping[str, _Test], change: float) -> _Test:
    """The smallest p-value of the tests that have the total's sign.

    Which has it is known only afterwards: each that could have had it is paid for.
    """
    taken = sum(test.change != 0 for test in tests.values())
    fitting = [test.pvalue for test in tests.values() if test.change * change > 0]
    least = [test.smallest for test in tests.values() if test.smallest is not None]
    smallest = min(1.0, min(least) * taken) if taken and len(least) == len(tests) else None
    return _Test(change, min([1.0, *(p * taken for p in fitting)]), smallest)


def _model_test(views: _Views, change: float, rng: np.random.Generator, grouping: _Grouping | None) -> _Test | None:
    """Whether the outputs differ, on the shared samples that count in both; None where there are none."""
    current = views.current_shared
    before = views.rethresholded
    group = None if grouping is None else grouping.group[current]
    if not views.comparable.all():
        current = current[views.comparable]
        before = before[views.comparable]
        group = None if group is None else group[views.comparable]
        after, then = views.figures(current, before) if len(current) else (math.nan, math.nan)
        change = after - then
        if math.isnan(change):
            return None
        change = change if abs(change) > _ROUNDING else 0.0
    if np.array_equal(current, before):
        return _Test(change, 1.0)
    grouped = grouping is not None and grouping.grouped
    unit = unit_of_difference(views.statistic, current, before, group, grouped=grouped)
    return _Test(change, *paired_test(views.statistic, current, before, unit, rng))


def _subset_test(
    views: _Views,
    sides: tuple[Index, Index],
    change: float,
    rng: np.random.Generator,
    stop: int | None,
    grouped: _Grouping | None,
    *,
    against_rest: bool = False,
) -> _Test:
    """Whether a run's other samples differ from the shared ones, or those of two runs, by more than chance."""
    first, others = sides
    if grouped is not None:
        units = grouped.group[first], grouped.group[others]
        taken = alike_in_size(*units, rng)
        first, others = first[taken[0]], others[taken[1]]
        units = units[0][taken[0]], units[1][taken[1]]
        statistic = views.statistic.take(np.concatenate([first, others]))
        p = subset_test(statistic, len(first), rng, stop, against_rest=against_rest, units=units)
        return _Test(change, p, smallest_subset_pvalue(*(len(np.unique(side)) for side in units)))
    if not against_rest and isinstance(views.statistic, SumStatistic) and views.statistic.verdicts:
        drawn_columns = views.statistic.columns[others]
        shared_columns = views.statistic.columns[first]
        if max(drawn_columns[:, 1].max(), shared_columns[:, 1].max()) <= 1:
            (hits, drawn) = drawn_columns.sum(axis=0).tolist()
            (other_hits, rest) = shared_columns.sum(axis=0).tolist()
            return _Test(change, hypergeometric(hits, drawn, hits + other_hits, drawn + rest))
    statistic = views.statistic.take(np.concatenate(sides))
    return _Test(change, subset_test(statistic, len(first), rng, stop, against_rest=against_rest))
