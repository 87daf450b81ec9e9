"""The calibration error of a perfect and of a miscalibrated model, and how often a rule about it fires."""

from __future__ import annotations

import dataclasses
from functools import partial
from itertools import product

import numpy as np

from monitor.alerts.rules import Above, Rule
from monitor.alerts.steps import POINTS
from monitor.alerts.verdicts import Answer, check_rule
from monitor.figures import EvaluationSettings, evaluate
from monitor.results import CORRECT, WRONG, Confidences, FloatArray, ResultSet
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import CLASSIFIER, Population
from tests.benchmarks.believe.table import percent
from tests.factories import result_set

CLASSES = 4
SHARPENED = 1.6
"""Exponent by which a miscalibrated model's confidences are too sure."""
LIMIT, FIRES = 0.02, 0.01
"""Threshold of the rule, and how often it may fire on a perfect model."""

CELLS = {
    f"n={samples} {model}": (samples, exponent)
    for samples, (model, exponent) in product((50, 100, 200, 1000), (("perfect", 1.0), ("miscalibrated", SHARPENED)))
}


def confidences(rng: np.random.Generator, samples: int, exponent: float) -> tuple[FloatArray, FloatArray]:
    """float64[samples, classes] of what the model says, and of what is true."""
    true = rng.dirichlet(np.full(CLASSES, 0.4), samples)
    said = true**exponent
    return said / said.sum(axis=1, keepdims=True), true


def drawn(rng: np.random.Generator, samples: int, exponent: float) -> ResultSet:
    """A set whose labels are drawn from the true probabilities."""
    said, true = confidences(rng, samples, exponent)
    label = (rng.random((samples, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)
    best = said.argmax(axis=1)
    names = tuple(f"{number:02}" for number in range(CLASSES))
    return result_set(
        **Population(samples).columns(),
        blocks=(CLASSIFIER,),
        labels=names,
        label=label,
        prediction=best,
        correct=np.where(best == label, CORRECT, WRONG).astype(np.int8),
        confidences={CLASSIFIER.id: Confidences(names, said)},
    )


def truth(exponent: float) -> float:
    """The expected calibration error of so many windows that none of it is noise: 15 bins of the true gap."""
    said, true = confidences(np.random.default_rng(1), 1_000_000, exponent)
    best = said.argmax(axis=1)
    gap = np.take_along_axis(true - said, best[:, None], axis=1)[:, 0]
    bins = np.clip((said.max(axis=1) * 15).astype(int), 0, 14)
    return float(np.abs(np.bincount(bins, gap, 15)).sum() / len(gap))


def figures(number: int, samples: int, exponent: float) -> tuple[dict[str, float], bool]:
    """The figures of one set, and whether the error is beyond a rule's threshold and what chance gives."""
    results = drawn(np.random.default_rng([number, samples, int(exponent * 10)]), samples, exponent)
    evaluation = evaluate(results, EvaluationSettings(), number)
    assert evaluation.calibration is not None
    answer = check_rule(Rule("Uncalibrated", Above("calibration_error", LIMIT)), evaluation, None).answer
    numbers = {
        field.name: value
        for field in dataclasses.fields(evaluation.calibration)
        if isinstance(value := getattr(evaluation.calibration, field.name), float)
    }
    return numbers, answer in (Answer.YES, Answer.POINT)


def run(effort: Effort) -> None:
    """Print each figure's mean beside the truth, and how often the rule fires."""
    head(f"calibration, {effort.targets} sets each", "figure", "mean", "truth", "rule fires")
    for name, (samples, exponent) in CELLS.items():
        if not effort.wanted(f"calibration {name}"):
            continue
        one = partial(figures, samples=samples, exponent=exponent)
        found = list(effort.mapped(one, range(effort.targets + POINTS - 1)))
        beyond = np.array([passed for _, passed in found])
        # a rule fires where so many distinct sets in a row are beyond
        fires = float(np.mean([beyond[first : first + POINTS].all() for first in range(len(beyond) - POINTS + 1)]))
        for figure in found[0][0]:
            if "brier" in figure or "log" in figure:
                continue
            mean = float(np.mean([numbers[figure] for numbers, _ in found]))
            true = f"{truth(exponent):.3f}"
            show(Row(name, [figure.removesuffix("_error")[:15], f"{mean:.3f}", true, ""]))
        perfect = exponent == 1.0
        intended = f"<= {FIRES:.0%}" if perfect else ""
        show(Row(name, ["beyond", "", "", percent(float(beyond.mean()))], ""))
        show(Row(name, ["rule", "", "", percent(fires)], intended, fires <= FIRES if perfect else None))
