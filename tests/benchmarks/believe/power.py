"""How often the default rule finds a retraining that loses 5 points, beside what the service says it would."""

from __future__ import annotations

from functools import partial

import numpy as np

from monitor.alerts.rules import Drop, Rule
from monitor.alerts.verdicts import Answer, check_rule
from monitor.compare.change import changes
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.power import paired_power
from monitor.figures import EvaluationSettings, evaluate
from monitor.results import CORRECT, WRONG, ResultSet
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import CLASSIFIER, Population
from tests.benchmarks.believe.table import lower, percent, upper
from tests.factories import encoded, result_set

LOST, DISCORDANT, ACCURACY = 0.05, 0.04, 0.9
CELLS = {f"n={samples}": (samples, found) for samples, found in ((100, 0.14), (200, 0.43), (500, 0.92), (1000, 0.97))}
_RULE = Rule("Fell", Drop("accuracy", 0.03))
_NEAR = 0.03  # what is intended was simulated


def judged(correct: np.ndarray) -> ResultSet:
    """A classifier's set with these verdicts."""
    return result_set(
        **Population(len(correct)).columns(),
        blocks=(CLASSIFIER,),
        correct=np.where(correct, CORRECT, WRONG).astype(np.int8),
        **encoded(["a"] * len(correct), ["a" if right else "b" for right in correct]),
    )


def finds(number: int, samples: int) -> bool:
    """Whether the rule fires after one retraining."""
    rng = np.random.default_rng([number, samples])
    before = rng.random(samples) < ACCURACY
    draw = rng.random(samples)
    loses, gains = (LOST + DISCORDANT / 2) / ACCURACY, DISCORDANT / 2 / (1 - ACCURACY)
    after = np.where(before, draw >= loses, draw < gains)
    current = judged(after)
    found = Comparison(BaselineFigures("pinned", 1.0, ""), changes(judged(before), current, number))
    return check_rule(_RULE, evaluate(current, EvaluationSettings(), None), found).answer is Answer.YES


def run(effort: Effort) -> None:
    """Print each size."""
    head(f"a retraining that loses 5 points, {effort.targets} each", "found", "90 % bounds", "said")
    for name, (samples, intended) in CELLS.items():
        if not effort.wanted(f"power {name}"):
            continue
        hits = sum(effort.mapped(partial(finds, samples=samples), range(effort.targets)))
        low, high = lower(hits, effort.targets), upper(hits, effort.targets)
        said = paired_power(samples, LOST, DISCORDANT, 0.01, 0.03)
        measured = [percent(hits / effort.targets), f"{low * 100:.0f} to {high * 100:.0f} %", percent(said)]
        holds = low <= said <= high and abs(said - intended) <= _NEAR
        show(Row(name, measured, f"said in bounds, {intended:.0%} +- {_NEAR:.0%}", holds))
