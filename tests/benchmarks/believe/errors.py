"""New samples that are worse, after 100 quiet looks: looks until the accuracy alert fires, by either of its paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from monitor.alerts.rules import Drop, built_in
from monitor.compare.drift import ComparedRun, DriftState
from monitor.compare.error_evidence import ErrorEvidence, error_evidence
from monitor.compare.resampling import hypergeometric
from monitor.results import CORRECT, WRONG, ResultSet
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import CLASSIFIER, PER_DAY, Population
from tests.benchmarks.believe.table import days, percent
from tests.factories import result_set

REFERENCE, QUIET, MOST = 300, 100, 150
INTENDED = {0.05: 70, 0.10: 16, 0.20: 5}
"""Median looks at an accuracy of .95, by how much worse the new samples are."""

CELLS = {
    f"accuracy {accuracy:g} {worse * 100:.0f} points worse": (accuracy, worse)
    for accuracy, worse in product((0.95, 0.8), INTENDED)
}
_DAY = 86_400.0
_BEGAN = np.datetime64("2026-01-01T12:00", "s").astype(float)


@dataclass(frozen=True)
class Fired:
    """Looks after the change until either path of the alert fires, infinite where never; whether one did before."""

    evidence: float
    drop: float
    early: bool


def judged(right: np.ndarray) -> ResultSet:
    """A set with these verdicts, 20 samples a day."""
    return result_set(
        **Population(len(right)).columns(),
        blocks=(CLASSIFIER,),
        labels=("a", "b"),
        label=np.zeros(len(right), np.int8),
        prediction=(~right).astype(np.int8),
        correct=np.where(right, CORRECT, WRONG).astype(np.int8),
    )


def watch(number: int, accuracy: float, worse: float) -> Fired:
    """A target that is quiet for 100 looks; then 20 new samples a look are worse."""
    rng = np.random.default_rng([number, int(accuracy * 100), int(worse * 100)])
    right = rng.random(REFERENCE + PER_DAY * (QUIET + MOST)) < accuracy - worse * (
        np.arange(REFERENCE + PER_DAY * (QUIET + MOST)) >= REFERENCE + PER_DAY * QUIET
    )
    pinned = _run(right, REFERENCE)
    _, state = error_evidence(pinned, pinned, None, number)
    evidence = drop = math.inf
    early = False
    for look in range(1, QUIET + MOST + 1):
        current = _run(right, REFERENCE + PER_DAY * look)
        found, state = _next(current, pinned, state, number)
        fires, falls = _fires(pinned, current, found)
        early |= look <= QUIET and (fires or falls)
        if look > QUIET:
            evidence = look - QUIET if fires and math.isinf(evidence) else evidence
            drop = look - QUIET if falls and math.isinf(drop) else drop
        if not math.isinf(evidence + drop):
            break
    return Fired(evidence, drop, early)


def _run(right: np.ndarray, samples: int) -> ComparedRun:
    return ComparedRun(_BEGAN + samples / PER_DAY * _DAY, judged(right[:samples]), 1.0)


def _next(
    current: ComparedRun, pinned: ComparedRun, state: DriftState | None, number: int
) -> tuple[ErrorEvidence, DriftState]:
    found, state = error_evidence(current, pinned, state, number)
    assert found is not None
    assert state is not None
    return found, state


def _fires(pinned: ComparedRun, current: ComparedRun, found: ErrorEvidence) -> tuple[bool, bool]:
    """Whether the built-in alert fires by the evidence, and by the drop of the whole figure, as its rule says."""
    rule = next(rule.condition for rule in built_in() if rule.name == "EdgeImpulseAccuracyRegressed")
    assert isinstance(rule, Drop)
    before, now = (run.results.correct == CORRECT for run in (pinned, current))
    new = now[len(before) :]
    # The model is the same: only the added samples move the figure.
    pvalue = hypergeometric(int(new.sum()), len(new), int(now.sum()), len(now))
    falls = before.mean() - now.mean() > rule.margin and pvalue <= (rule.significance or 0.0)
    return found.alarm and found.increase > rule.margin, bool(falls)


def run(effort: Effort) -> None:
    """Print each cell."""
    head(f"new samples worse after {QUIET} looks, {effort.targets} each", "by evidence", "by the drop", "early")
    for name, (accuracy, worse) in CELLS.items():
        if not effort.wanted(f"errors {name}"):
            continue
        found = list(effort.mapped(partial(watch, accuracy=accuracy, worse=worse), range(effort.targets)))
        evidence, drop = (
            float(np.quantile([getattr(each, path) for each in found], 0.5, method="inverted_cdf"))
            for path in ("evidence", "drop")
        )
        early = float(np.mean([each.early for each in found]))
        promised = accuracy == 0.95
        intended = f"median <= {INTENDED[worse]}" if promised else ""
        holds = evidence <= INTENDED[worse] if promised else None
        show(Row(name, [days(evidence), days(drop), percent(early)], intended, holds))
