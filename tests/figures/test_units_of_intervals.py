"""Every interval of an evaluation takes the unit that was chosen for its statistic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Evaluation, Interval
from monitor.figures.groups import UnitChoice
from monitor.figures.intervals import bootstrap_t, share
from monitor.figures.units import units_of
from monitor.results import Block, BlockKind, Categorical, ResultSet
from tests.factories import encoded, result_set

SAMPLES, GROUPS = 300, 15
GROUPED = UnitChoice("group", GROUPS, 0.2, 4.8, 8.0)
BY_SAMPLE = UnitChoice("sample", GROUPS, 0.0, 1.0, 1.05)
SETTINGS = EvaluationSettings(
    group_by="metadata.session", anomaly_labels=frozenset({"bad"}), no_anomaly_labels=frozenset({"good"})
)


def alike(kind: BlockKind, labels: list[str], predictions: list[str], **columns: Any) -> ResultSet:
    """Samples of one window each, 20 of them in each of 15 sessions."""
    session = np.arange(SAMPLES) * GROUPS // SAMPLES
    return result_set(
        **encoded(labels, predictions),
        blocks=(Block(1, "block", kind, "block", {"min_anomaly_score": 1.0}),),
        sample_id=np.arange(1, SAMPLES + 1),
        device=Categorical.encode([None] * SAMPLES),
        sample=np.arange(SAMPLES),
        correct=np.array([a == b for a, b in zip(labels, predictions, strict=True)], np.int8),
        metadata={"session": Categorical.encode([str(each) for each in session])},
        **columns,
    )


def classified() -> ResultSet:
    """A classifier's, whose errors come by session."""
    rng = np.random.default_rng(1)
    right = rng.random(SAMPLES) < rng.beta(3, 1, GROUPS).repeat(SAMPLES // GROUPS)
    labels = ["idle", "snake"] * 150
    others = ["snake", "idle"] * 150
    return alike(BlockKind.CLASSIFICATION, labels, np.where(right, labels, others).tolist())


def regressed() -> ResultSet:
    """A regression's, whose errors come by session."""
    error = np.random.default_rng(1).exponential(1, GROUPS).repeat(SAMPLES // GROUPS)
    return alike(BlockKind.REGRESSION, ["0"] * SAMPLES, [f"{each:.3f}" for each in error])


def scored() -> ResultSet:
    """An anomaly block's, whose scores come by session."""
    scores = np.random.default_rng(1).normal(1, 1, GROUPS).repeat(SAMPLES // GROUPS)
    scores += np.random.default_rng(2).normal(0, 0.5, SAMPLES)
    labels = (["bad"] * 20 + ["good"] * 40) * 5  # whole sessions of one kind
    return alike(BlockKind.ANOMALY, labels, labels, anomaly={1: scores})


def intervals(found: Evaluation) -> dict[str, Interval | None]:
    """All of its intervals, by name."""
    bounds: dict[str, Interval | None] = {}
    if found.quality is not None:
        bounds |= {"accuracy": found.quality.accuracy_interval, "mean F1": found.quality.mean_f1_interval}
        bounds |= {name: of.recall_interval for name, of in found.quality.classes.items()}
    if found.regression is not None:
        bounds |= {
            "mae": found.regression.mean_absolute_error_interval,
            "tolerance": found.regression.within_tolerance_interval,
        }
    for block in found.anomalies:
        bounds |= {"flagged": block.flagged_interval, "auroc": block.auroc_interval}
    if found.studio is not None:
        bounds["studio"] = found.studio.accuracy_interval
    return bounds


@pytest.mark.parametrize(
    ("results", "statistics"),
    [
        (classified(), {"accuracy": {"accuracy", "mean F1", "idle", "snake"}}),
        (regressed(), {"accuracy": {"tolerance"}, "mae": {"mae"}}),
        (scored(), {"accuracy": {"studio"}, "anomaly_score_1": {"flagged", "auroc"}}),
    ],
    ids=["classifier", "regression", "anomaly"],
)
def test_each_takes_its_unit(results: ResultSet, statistics: dict[str, set[str]]) -> None:
    """Where the group is the unit of a statistic just its intervals change: with 20 alike samples in each they grow."""
    plain = intervals(evaluate(results, SETTINGS, 1, dict.fromkeys(statistics, BY_SAMPLE)))

    assert None not in plain.values()
    for statistic, names in statistics.items():
        choices = dict.fromkeys(statistics, BY_SAMPLE) | {statistic: GROUPED}
        found = intervals(evaluate(results, SETTINGS, 1, choices))

        assert {name for name in plain if found[name] != plain[name]} == names
        for name in names:
            bounds, before = found[name], plain[name]
            assert bounds is not None
            assert before is not None
            assert bounds.upper - bounds.lower > before.upper - before.lower


def test_by_the_groups_of_the_set() -> None:
    """The bounds are those of the sessions, with the icc that the baseline had."""
    results = classified()
    unit = units_of(results, SETTINGS.group_by, {"accuracy": GROUPED}).groups_if_unit("accuracy")
    errors = regressed()
    found = evaluate(errors, SETTINGS, 1, {"mae": GROUPED}).regression

    assert unit is not None
    assert unit.icc == 0.2
    assert intervals(evaluate(results, SETTINGS, 1, {"accuracy": GROUPED}))["accuracy"] == share(
        results.correct == 1, results.sample, unit
    )
    assert found is not None
    of = units_of(errors, SETTINGS.group_by, {"mae": GROUPED}).groups_if_unit("mae")
    values = np.array([float(errors.labels[code]) for code in errors.prediction])
    assert found.mean_absolute_error_interval == bootstrap_t(values, errors.sample, 1, of)


def test_without_groups() -> None:
    """Where grouping is switched off the sample is the unit, whatever was chosen."""
    results = classified()
    off = replace(SETTINGS, group_by="none")

    assert intervals(evaluate(results, off, 1, {"accuracy": GROUPED})) == intervals(
        evaluate(results, SETTINGS, 1, {"accuracy": BY_SAMPLE})
    )
