"""What happens to generated data sets and models is what the causes of a change say: exactly, for one thing and for two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sequence_truth import truth
from sequences import OPERATIONS, Operation, World, classifier, regression

from monitor.evaluate.change import ACCURACY, CAUSES, Change, changes

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


def histories(make: Make, pairs: bool = True) -> Iterator[tuple[str, frozenset[str], World, World]]:
    """Each operation, and each two of them: what happened, the causes that it can move, and the world before and after."""
    for number, first in enumerate(OPERATIONS):
        for place, second in enumerate((None, *OPERATIONS) if pairs else (None,)):
            rng = np.random.default_rng([number, place])
            before = make(rng)
            steps: list[Operation] = [step for step in (first, second) if step is not None]
            if all(isinstance(before, step.only) for step in steps):
                after = before
                for step in steps:
                    after = step.apply(after, rng)
                yield " and ".join(map(str, steps)), frozenset().union(*(step.moves for step in steps)), before, after


def accuracy_change(before: World, after: World, seed: int | None = None) -> Change:
    """The change of accuracy."""
    found = changes(before.results(), after.results(), seed, (before.trained, after.trained))
    return next(change for change in found if change.metric == ACCURACY)


@worlds
def test_causes_are_what_was_done(make: Make) -> None:
    """Each cause is worth what the generator's own books say, they add up, and what was not done is exactly 0."""
    for name, moves, before, after in histories(make):
        found = accuracy_change(before, after).causes

        assert set(CAUSES) == found.keys(), name
        assert pytest.approx(truth(before, after).causes, rel=0, abs=ROUNDING) == dict(found), name
        assert abs(found["total"] - sum(found[cause] for cause in CAUSES if cause != "total")) <= ROUNDING, name
        assert [] == [cause for cause, part in found.items() if part and cause not in moves | {"total"}], name


@worlds
def test_pages_say_the_same(make: Make) -> None:
    """By way of Studio's JSON the result sets and the causes are the same as straight."""
    for name, _, before, after in histories(make, pairs=False):
        straight, by_page = ([side(world) for world in (before, after)] for side in (type(before).results, type(before).results_of_page))

        assert [run.fingerprint() for run in straight] == [run.fingerprint() for run in by_page], name
        assert changes(*straight, None) == changes(*by_page, None), name
