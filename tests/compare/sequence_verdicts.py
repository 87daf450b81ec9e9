"""What the default rule says about two worlds, by the public way: compare, check the rule, words."""

from __future__ import annotations

import numpy as np

from monitor.alerts.rules import Drop, Rule, Subject
from monitor.alerts.verdicts import Answer, Verdict, check_rule
from monitor.compare.change import ACCURACY
from monitor.compare.comparison import BaselineFigures, compare
from monitor.compare.drift import ComparedRun
from monitor.figures.classification import quality
from monitor.figures.evaluation import Evaluation
from monitor.figures.regression import regression
from monitor.results import ResultSet
from monitor.targets import Target, TargetKey
from tests.compare.sequences import World
from tests.factories import evaluation

MARGIN = 0.03
RULE = Rule("EdgeImpulseAccuracyRegressed", Drop(ACCURACY, MARGIN, 0.01))
SUBJECT = Subject.target(Target(TargetKey(1, 2, "int8", "testing"), "vibration-a", "classifier"))
BASELINE = BaselineFigures("pinned", 1_790_000_000.0, "baseline")


def evaluated(results: ResultSet) -> Evaluation:
    """The figures that the rule needs, without intervals."""
    found, _ = regression(results, None)
    return evaluation(
        samples=results.samples,
        windows=results.windows,
        blocks=results.blocks,
        quality=quality(results, None),
        regression=found,
    )


def verdict(before: World, after: World, seed: int) -> Verdict:
    """What the default rule says."""
    return _judged(
        ComparedRun(1.0, before.results(), before.trained), ComparedRun(2.0, after.results(), after.trained), seed
    )


def alarm(before: World, after: World, seed: int) -> Verdict | None:
    """What it says if it fires. Costs little where accuracy did not fall enough for that."""
    if np.nanmean(before.right) - np.nanmean(after.right) <= MARGIN:
        return None
    found = verdict(before, after, seed)
    return found if found.answer is Answer.YES else None


def _judged(old: ComparedRun, new: ComparedRun, seed: int) -> Verdict:
    comparison, _ = compare(old, new, old, BASELINE, {}, seed)
    return check_rule(RULE, evaluated(new.results), comparison)
