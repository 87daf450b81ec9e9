"""How often an alert names the right cause, and how often a quiet target alarms, on generated sequences of result sets.

`python -m tests.benchmarks causes [words] [quiet] [--quick | --full]`; without names, both tables. Both are of the
default rule: accuracy down by more than 0.03 with p <= 0.01. `--quick` takes about a minute, `--full` an hour or more.

words  One real cause of a size, and with it what happens anyway: another training (accuracy of the same samples moves
by 1.5
       points, standard deviation) and one sample in five replaced by another. Of the alarms: how many name that cause,
       how many name another (the rest names several, or none). Intended: 90 % right at 300 samples, 78 % at 100, and 4
       % wrong at most.
quiet  A rolling test set, one sample in ten new each week, and a model that stays as good as it was: the share of
targets that
       alarm within the year, with its 95 % bounds. Intended: at most 6 %.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from monitor.compare.conclusion import Kind, conclude
from monitor.figures.intervals import SMALLEST_SAMPLES
from tests.compare.sequence_verdicts import alarm
from tests.compare.sequences import (
    ANOMALY,
    World,
    add,
    classifier,
    relabel,
    remove,
    rename,
    retrain,
    tighten,
    turn_over,
)

ACCURACY = 0.9
SIZES = (0.04, 0.06, 0.1)
SAMPLES = (100, 300)
RIGHT, WRONG = {100: 0.78, 300: 0.9}, 0.04
QUIET_SAMPLES, WEEKS, NEW_A_WEEK, QUIET = (100, 200, 300, 500), 52, 0.1, 0.06
TURNED_OVER = 0.2
UNLIKELY = 1.96  # standard errors: below it p is above 0.05

Step = Callable[[World, np.random.Generator, float], World]


def _worse(world: World, rng: np.random.Generator, size: float) -> World:
    return turn_over(retrain(world, rng, loss=size), rng, TURNED_OVER, ACCURACY - size)


def _renamed_and_worse(world: World, rng: np.random.Generator, size: float) -> World:
    return _worse(rename(world, rng, {"ant": "Ant"}, trained=True, noise=0.0), rng, size)


def _relabelled(world: World, rng: np.random.Generator, size: float, to: str | None = None) -> World:
    return turn_over(relabel(retrain(world, rng), rng, size, to), rng, TURNED_OVER, ACCURACY)


def _harder(world: World, rng: np.random.Generator, size: float) -> World:
    return turn_over(retrain(world, rng), rng, TURNED_OVER, ACCURACY - size / TURNED_OVER)


def _easy_ones_gone(world: World, rng: np.random.Generator, size: float) -> World:
    """So many of those that are right go that accuracy of what stays is lower by `size`."""
    return turn_over(
        retrain(remove(world, rng, size / (1 - ACCURACY + size), right=True), rng), rng, TURNED_OVER, ACCURACY - size
    )


def _tightened(world: World, rng: np.random.Generator, size: float) -> World:
    return turn_over(tighten(retrain(world, rng), rng, size), rng, TURNED_OVER, ACCURACY - size)


class Effort(NamedTuple):
    """How much is simulated: per cell of the first table, alarms wanted and cases at most; per line of the second,
    years.
    """

    alarms: int
    cases: int
    years: int


QUICK, USUAL, FULL = Effort(10, 20, 20), Effort(150, 5000, 300), Effort(400, 20000, 1000)
AT_ONCE = 20  # cases


class Real(NamedTuple):
    """A real cause, how it comes about, and whether the impulse has an anomaly block."""

    cause: str
    step: Step
    anomaly: bool = False


REAL: Mapping[str, Real] = {
    "worse model": Real("model", _worse),
    "worse model, class renamed": Real("model", _renamed_and_worse),
    "relabelled": Real("labels", _relabelled),
    "relabelled as anomaly": Real("labels", partial(_relabelled, to=ANOMALY), anomaly=True),
    "harder samples added": Real("added", _harder),
    "easy samples removed": Real("removed", _easy_ones_gone),
    "threshold tightened": Real("thresholds", _tightened),
}


def case(number: int, kind: str, size: float, samples: int) -> str:
    """What one generated change comes to: `quiet`, `right`, `wrong`, `undecided`."""
    cause, step, anomaly = REAL[kind]
    rng = np.random.default_rng([number, list(REAL).index(kind), int(size * 1000), samples])
    before = classifier(rng, samples, accuracy=ACCURACY, anomaly=anomaly)
    found = alarm(before, step(before, rng, size), number)
    if found is None:
        return "quiet"
    assert found.change is not None
    said = conclude(found.change)
    if said.named and cause not in said.named:
        return "wrong"
    return "right" if said.kind in (Kind.ONE, Kind.MAINLY) else "undecided"


def year(number: int, samples: int) -> bool:
    """Whether a quiet target alarms within a year."""
    rng = np.random.default_rng([number, samples])
    before: World = classifier(rng, samples, accuracy=ACCURACY)
    now = before
    for week in range(WEEKS):
        oldest_gone = now.taken(np.arange(round(NEW_A_WEEK * samples), samples))
        now = add(oldest_gone, rng, NEW_A_WEEK / (1 - NEW_A_WEEK), ACCURACY)
        if not _hopeless(before, now) and alarm(before, now, number * WEEKS + week):
            return True
    return False


def _hopeless(before: World, now: World) -> bool:
    """Whether no permutation of the two sets' samples can come to 0.01, the only test there is where few samples are
    shared.
    """
    right = np.concatenate([before.right[:, 0], now.right[:, 0]])
    error = np.sqrt(right.var() * (1 / len(before.ids) + 1 / len(now.ids)))
    few = len(np.intersect1d(before.ids, now.ids)) < SMALLEST_SAMPLES
    return few and before.right.mean() - now.right.mean() < UNLIKELY * error


def bounds(hits: int, of: int) -> str:
    """A share with its 95 % bounds (Wilson)."""
    if not of:
        return "–"
    interval = binomtest(hits, of).proportion_ci(method="wilson")
    return f"{hits / of:.1%} ({interval.low:.1%}–{interval.high:.1%})"


def cell(pool: Executor, kind: str, size: float, samples: int, effort: Effort) -> Counter[str]:
    """What the cases of a cell come to: as many as it takes for enough alarms."""
    found: Counter[str] = Counter()
    while found.total() < effort.cases and found.total() - found["quiet"] < effort.alarms:
        numbers = range(found.total(), min(found.total() + AT_ONCE, effort.cases))
        found.update(pool.map(partial(case, kind=kind, size=size, samples=samples), numbers, chunksize=5))
    return found


def print_words(pool: Executor, effort: Effort) -> None:
    """One line per cell."""
    print(f"\nalarms that name their cause: per cell {effort.alarms} alarms, or those of {effort.cases} cases")
    print(
        f"{'samples':>8} {'cause':28}{'size':>6}{'cases':>7}{'alarms':>8}   {'right':22}{'intended':>9}   "
        f"{'wrong':22}{'intended':>9}"
    )
    for samples, kind, size in product(SAMPLES, REAL, SIZES):
        found = cell(pool, kind, size, samples, effort)
        alarms = found.total() - found["quiet"]
        right, wrong = bounds(found["right"], alarms), bounds(found["wrong"], alarms)
        missed = alarms and (found["right"] < RIGHT[samples] * alarms or found["wrong"] > WRONG * alarms)
        print(
            f"{samples:8} {kind:28}{size:6.2f}{found.total():7}{alarms:8}   {right:22}{f'>= {RIGHT[samples]:.0%}':>9}"
            f"   {wrong:22}{f'<= {WRONG:.0%}':>9}{'  missed' * bool(missed)}",
            flush=True,
        )


def print_quiet(pool: Executor, effort: Effort) -> None:
    """One line per size of the test set."""
    years = effort.years
    print(
        f"\nquiet targets that alarm within a year: {years} of each size, {NEW_A_WEEK:.0%} of the samples new each "
        f"week, {WEEKS} weeks"
    )
    print(f"{'samples':>8}   {'alarm':22}{'intended':>9}")
    for samples in QUIET_SAMPLES:
        alarms = sum(pool.map(partial(year, samples=samples), range(years), chunksize=2))
        print(
            f"{samples:8}   {bounds(alarms, years):22}{f'<= {QUIET:.0%}':>9}{'  missed' * (alarms > QUIET * years)}",
            flush=True,
        )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="words|quiet", help="default: both")
    parser.add_argument("--quick", action="store_const", dest="effort", const=QUICK, default=USUAL)
    parser.add_argument("--full", action="store_const", dest="effort", const=FULL)
    asked = parser.parse_args()
    if unknown := set(asked.tables) - {"words", "quiet"}:
        parser.error(f"no such table: {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor() as pool:
        for table, show in (("words", print_words), ("quiet", print_quiet)):
            if not asked.tables or table in asked.tables:
                show(pool, asked.effort)


if __name__ == "__main__":
    main()
