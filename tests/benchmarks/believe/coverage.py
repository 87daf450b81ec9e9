"""How often each exported 95 % interval holds the truth."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Interval
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import ERROR_SD, FLAGGED, SEPARATION, Population
from tests.benchmarks.believe.table import percent

LOW, HIGH, WORST, OUTSIDE = 0.92, 0.98, 0.88, 0.10
"""Intended: coverage, the lowest in any cell, and the share of cells that may be outside."""

CELLS = {
    f"n={samples} error={error:g} classes={classes} windows={windows} icc={icc:g}": Population(
        samples, windows, error, classes, icc
    )
    for samples, error, classes, windows, icc in product(
        (50, 100, 200, 1000), (0.005, 0.05, 0.2), (2, 5, 20), (1, 10), (0.0, 0.1)
    )
    if not icc or samples >= 200
} | {
    f"bulk n={300 + days * per_day} error={error:g} icc={icc:g}": Population(
        300 + days * per_day, error=error, classes=2, icc=icc, bulk=300, per_day=per_day
    )
    for (days, per_day), error, icc in product(((12, 5), (20, 10)), (0.05, 0.2), (0.0, 0.05, 0.1))
}

Held = Mapping[str, tuple[int, int]]
"""By interval, how many held the truth, and how many there were."""


def truths(population: Population) -> dict[str, float]:
    """What each interval is of, by the path of its field."""
    right = 1 - population.error
    return {
        "quality.accuracy_interval": right,
        "quality.mean_f1_interval": right,  # wrong windows are spread evenly: precision is recall
        "quality.classes.recall_interval": right,
        "anomalies.flagged_interval": FLAGGED,
        "anomalies.auroc_interval": float(stats.norm.cdf(SEPARATION / math.sqrt(2))),
        "regression.mean_absolute_error_interval": math.exp(ERROR_SD**2 / 2),
        "regression.within_tolerance_interval": 0.8,
    }


def intervals(value: Any, path: str = "") -> Iterator[tuple[str, Interval]]:
    """Every interval that is anywhere in an evaluation, by the path of its field."""
    if isinstance(value, Interval):
        yield path, value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from intervals(getattr(value, field.name), f"{path}.{field.name}".removeprefix("."))
    elif isinstance(value, Mapping | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from intervals(each, path)


def held(number: int, population: Population) -> Held:
    """Of one set of each kind, which intervals hold the truth; an interval without a known truth is an error."""
    rng = np.random.default_rng([number, population.samples, population.windows, population.classes])
    known = truths(population)
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for results in (population.classified(rng), population.regressed(rng)):
        for path, interval in intervals(evaluate(results, EvaluationSettings(), number)):
            hits, of = found[path]
            inside = interval.lower <= known[path] <= interval.upper
            found[path] = hits + inside, of + 1
    return dict(found)


def run(effort: Effort) -> None:
    """Print each interval of each cell, and how many are outside."""
    head(f"coverage, {effort.targets} sets each", "interval", "coverage", "given")
    all_shares = []
    for name, population in CELLS.items():
        if not effort.wanted(f"coverage {name}"):
            continue
        totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for one in effort.mapped(partial(held, population=population), range(effort.targets)):
            for path, (hits, of) in one.items():
                totals[path] = totals[path][0] + hits, totals[path][1] + of
        for path, (hits, of) in sorted(totals.items()):
            share = hits / of
            all_shares.append(share)
            short = path.rpartition(".")[2].removesuffix("_interval").replace("mean_absolute_error", "mae")
            short = short.replace("within_tolerance", "within")
            show(Row(name, [short, percent(share), str(of)], f"{LOW:.0%} to {HIGH:.0%}", LOW <= share <= HIGH))
    if all_shares:
        outside = float(np.mean([not LOW <= share <= HIGH for share in all_shares]))
        worst = min(all_shares)
        holds = outside <= OUTSIDE and worst >= WORST
        intended = f"<= {OUTSIDE:.0%} outside, >= {WORST:.0%}"
        show(Row("all cells: outside, worst", [percent(outside), percent(worst)], intended, holds))
