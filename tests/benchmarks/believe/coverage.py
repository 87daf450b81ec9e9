"""How often each exported 95 % interval holds the truth."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Protocol

import numpy as np
from scipy import stats

from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Interval
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.images import Images
from tests.benchmarks.believe.intervals import gaps, intervals
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import ERROR_SD, FLAGGED, SEPARATION, WORSE, Population
from tests.benchmarks.believe.table import percent

LOW, HIGH, WORST, OUTSIDE = 0.92, 0.98, 0.88, 0.10
"""Intended: coverage, the lowest in any cell, and the share of cells that may be outside."""


class Draws(Protocol):
    """Sets of one kind, and what is true of them."""

    def truths(self) -> Mapping[str, float]:
        """What each interval is of."""

    def intervals(self, number: int) -> Iterator[tuple[str, Interval]]:
        """The intervals of one set, by name; of classes, one each."""


@dataclass(frozen=True)
class Classified:
    """Classifiers."""

    population: Population

    def truths(self) -> Mapping[str, float]:
        """Wrong windows are spread evenly: precision is recall."""
        return dict.fromkeys(("accuracy", "mean_f1", "recall"), 1 - self.population.error)

    def intervals(self, number: int) -> Iterator[tuple[str, Interval]]:
        """Those of the figures by label."""
        return intervals(
            evaluate(self.population.classified(_rng(self.population, number)), EvaluationSettings(), number)
        )


@dataclass(frozen=True)
class Scored:
    """Anomaly scores, and regressions."""

    population: Population

    def truths(self) -> Mapping[str, float]:
        """By the distributions that they are drawn from."""
        return {
            "flagged": FLAGGED,
            "auroc": float(stats.norm.cdf(SEPARATION / math.sqrt(2))),
            "mean_absolute_error": math.exp(ERROR_SD**2 / 2),
            "within_tolerance": 0.8,
        }

    def intervals(self, number: int) -> Iterator[tuple[str, Interval]]:
        """Those of the scores' figures and of the errors'."""
        rng = _rng(self.population, number)
        for results in (self.population.scored(rng), self.population.regressed(rng)):
            yield from intervals(evaluate(results, EvaluationSettings(), number))


@dataclass(frozen=True)
class Variants:
    """What a variant of a classifier loses, on the same samples."""

    population: Population

    def truths(self) -> Mapping[str, float]:
        """Wrong windows are spread evenly: precision is recall."""
        return dict.fromkeys(("accuracy gap", "mean_f1 gap"), (WORSE - 1) * self.population.error)

    def intervals(self, number: int) -> Iterator[tuple[str, Interval]]:
        """Those of the gaps."""
        return gaps(*self.population.variants(_rng(self.population, number)), number)


def _grid(windows: tuple[int, ...], errors: tuple[float, ...] = (0.05,)) -> Iterator[tuple[str, Population]]:
    """Populations of each size, by name."""
    for samples, error, many, icc in product((50, 100, 200, 1000), errors, windows, (0.0, 0.1)):
        if icc and samples < 200:
            continue
        of_error = f"error={error:g} " if len(errors) > 1 else ""
        yield f"n={samples} {of_error}windows={many} icc={icc:g}", Population(samples, many, error, icc=icc)


def _rng(population: Population, number: int) -> np.random.Generator:
    return np.random.default_rng([number, population.samples, population.windows, population.classes])


ERRORS = (0.005, 0.05, 0.2)
CELLS: Mapping[str, Draws] = (
    {
        f"classes={classes} {name}": Classified(replace(population, classes=classes))
        for classes in (2, 5, 20)
        for name, population in _grid((1, 10), ERRORS)
    }
    | {f"scores {name}": Scored(population) for name, population in _grid((1, 10))}
    | {f"variants {name}": Variants(population) for name, population in _grid((1, 10), ERRORS)}
    | {
        f"images {name}": Images(population.samples, population.error, population.icc)
        for name, population in _grid((1,), (0.05, 0.2))
    }
    | {
        f"bulk {kind} n={300 + days * per_day} error={error:g} icc={icc:g}": draws(
            Population(300 + days * per_day, error=error, classes=2, icc=icc, bulk=300, per_day=per_day)
        )
        for (days, per_day), error, icc in product(((12, 5), (20, 10)), (0.05, 0.2), (0.0, 0.05, 0.1))
        for kind, draws in (("classes=2", Classified), ("scores", Scored))
        if draws is Classified or error == 0.05
    }
)

Held = Mapping[str, tuple[int, int]]
"""By interval, how many held the truth, and how many there were."""


def held(number: int, draws: Draws) -> Held:
    """Of one set, which intervals hold the truth; an interval without a known truth is an error."""
    known = draws.truths()
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for name, interval in draws.intervals(number):
        hits, given = found[name]
        found[name] = hits + (interval.lower <= known[name] <= interval.upper), given + 1
    return dict(found)


def run(effort: Effort) -> None:
    """Print each interval of each cell, and how many are outside."""
    head(f"coverage, {effort.targets} sets each", "interval", "coverage", "given")
    all_shares = []
    for cell, draws in CELLS.items():
        if not effort.wanted(f"coverage {cell}"):
            continue
        totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for one in effort.mapped(partial(held, draws=draws), range(effort.targets)):
            for name, (hits, given) in one.items():
                totals[name] = totals[name][0] + hits, totals[name][1] + given
        for name, (hits, given) in sorted(totals.items()):
            share = hits / given
            all_shares.append(share)
            intended = f"{LOW:.0%} to {HIGH:.0%}"
            show(Row(cell, [name, percent(share), str(given)], intended, LOW <= share <= HIGH))
    if all_shares:
        outside = float(np.mean([not LOW <= share <= HIGH for share in all_shares]))
        worst = min(all_shares)
        holds = outside <= OUTSIDE and worst >= WORST
        intended = f"<= {OUTSIDE:.0%} outside, >= {WORST:.0%}"
        show(Row("all cells: outside, worst", [percent(outside), percent(worst)], intended, holds))
