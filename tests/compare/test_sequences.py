"""What happens to generated data sets and models is what causes and words say: exactly, for one thing and for two at a
time.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from monitor.alerts import explain
from monitor.compare.change import ACCURACY, CAUSES, Change, changes
from monitor.compare.conclusion import Kind, conclude
from tests.compare.sequence_truth import truth, unchanged_outputs
from tests.compare.sequence_verdicts import RULE, SUBJECT, verdict
from tests.compare.sequences import OPERATIONS, World, classifier, regression, relabel_and_learn

Make = Callable[[np.random.Generator], World]

WORLDS: dict[str, Make] = {
    "a classifier": lambda rng: classifier(rng, 150),
    "a classifier with an anomaly block": lambda rng: classifier(rng, 150, anomaly=True),
    "a classifier of several windows": lambda rng: classifier(rng, 60, 4),
    "a regression": lambda rng: regression(rng, 150),
    "a regression of several windows": lambda rng: regression(rng, 60, 4),
}
ROUNDING = 1e-12

worlds = pytest.mark.parametrize("make", WORLDS.values(), ids=WORLDS)


class History(NamedTuple):
    """What happened between two worlds, and the causes that it can move."""

    name: str
    moves: frozenset[str]
    before: World
    after: World


def histories(make: Make, every: int | None) -> Iterator[History]:
    """Each operation, and one in `every` of all that follow one another (None: no such)."""
    offset = list(WORLDS.values()).index(make)
    for number, first in enumerate(OPERATIONS):
        seconds = (
            []
            if every is None
            else [each for place, each in enumerate(OPERATIONS) if (number + place) % every == offset % every]
        )
        for steps in ([first], *([first, second] for second in seconds)):
            rng = np.random.default_rng([number, *(OPERATIONS.index(step) for step in steps)])
            before = after = make(rng)
            if all(isinstance(before, step.only) for step in steps):
                for step in steps:
                    after = step.apply(after, rng)
                yield History(
                    " and ".join(map(str, steps)), frozenset().union(*(step.moves for step in steps)), before, after
                )


def accuracy_change(before: World, after: World) -> Change:
    """The change of accuracy, without tests."""
    found = changes(before.results(), after.results(), None, (before.trained, after.trained))
    return next(change for change in found if change.metric == ACCURACY)


@worlds
def test_causes_are_what_was_done(make: Make) -> None:
    """Each cause is worth what the generator's own books say, they add up, and what was not done is exactly 0."""
    for name, moves, before, after in histories(make, 3):
        change, expected = accuracy_change(before, after), truth(before, after)
        found = change.causes

        assert set(CAUSES) == expected.causes.keys() | set(CAUSES) - {"total"}, name
        assert pytest.approx(expected.causes, rel=0, abs=ROUNDING) == dict(found), name
        assert [] == [cause for cause, part in found.items() if part and cause not in moves | {"total"}], name
        assert (expected.dropped, expected.renamed) == (change.dropped, dict(change.renamed)), name
        if len(found) == len(CAUSES):
            assert abs(found["total"] - sum(found[cause] for cause in CAUSES if cause != "total")) <= ROUNDING, name


@worlds
def test_nothing_is_exact_over_other_windows(make: Make) -> None:
    """Where windows dropped out of the labels step, neither labels nor thresholds count as certain."""
    for name, _, before, after in histories(make, 3):
        change = accuracy_change(before, after)
        if truth(before, after).dropped:
            assert change.exact_change is None, name


@worlds
def test_pages_say_the_same(make: Make) -> None:
    """By way of Studio's JSON the result sets and the causes are the same as straight."""
    for name, _, before, after in histories(make, None):
        straight = before.results(), after.results()
        by_page = before.results_of_page(), after.results_of_page()

        assert [run.fingerprint() for run in straight] == [run.fingerprint() for run in by_page], name
        assert changes(*straight, None) == changes(*by_page, None), name


@worlds
def test_words_blame_nothing_that_was_not_done(make: Make) -> None:
    """No conclusion names a cause that the history cannot have moved, and no text says that a model changed whose
    outputs did not.
    """
    for number, (name, moves, before, after) in enumerate(histories(make, 16)):
        found = verdict(before, after, number)
        assert found.change is not None, name
        text = explain.verdict(RULE, SUBJECT, found).description

        assert moves >= set(conclude(found.change).named), name
        if unchanged_outputs(before, after):
            assert "he model changed" not in text, name
            assert "the model or" not in text, name


def test_labels_that_were_learnt() -> None:
    """Where windows get other labels and the next training learns them, words do not tell labels and model apart."""
    rng = np.random.default_rng(1)
    before = classifier(rng, 300)
    after = relabel_and_learn(before, rng, 0.1)

    found = verdict(before, after, 1).change

    assert found is not None
    assert pytest.approx(-0.1, rel=0, abs=ROUNDING) == found.causes["labels"]
    assert found.causes["model"] > 0.05
    assert conclude(found).kind is Kind.INSEPARABLE


def test_what_is_certain_is_not_left_out() -> None:
    """A threshold that took 4 points is named beside new samples that took some more, which may be chance."""
    parts = {"total": -0.09, "thresholds": -0.04, "added": -0.05, "model": 0.0, "labels": 0.0, "removed": 0.0}
    change = Change(ACCURACY, 0.9, 0.81, parts, {"added": 0.04, "model": 1.0})

    assert (Kind.SEVERAL, ("added", "thresholds")) == (conclude(change).kind, conclude(change).named)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`python -m tests.benchmarks causes`."""
    return importlib.import_module("tests.benchmarks.causes")


@pytest.mark.slow
def test_alarms_name_the_cause(benchmark: ModuleType) -> None:
    """A small version of the benchmark: of the alarms at 10 points and 300 samples nine in ten of each kind are right,
    none is wrong.
    """
    for kind in benchmark.REAL:
        found = Counter(benchmark.case(number, kind, 0.1, 300) for number in range(10))
        alarms = found.total() - found["quiet"]

        assert alarms >= 4, kind
        assert found["right"] >= benchmark.RIGHT[300] * alarms, kind
        assert found["wrong"] == 0, kind


def test_quiet_targets_seldom_alarm(benchmark: ModuleType) -> None:
    """Of 30 years of a rolling test set at most 4 alarm: with 6 % of all years, more would in 3 % of such tests."""
    assert sum(benchmark.year(number, 200) for number in range(30)) <= 4
