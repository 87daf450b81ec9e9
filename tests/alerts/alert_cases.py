"""Runs, comparisons and targets for the tests of alerts, with exactly the figures a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from monitor.alerts.rules import Subject
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.compare.drift import Drift
from monitor.figures.evaluation import Anomaly, Calibration, Detection, Evaluation, Interval, Regression
from monitor.results import Block, BlockKind
from tests.factories import TARGET, QualityFigures, evaluation, quality

BASELINE = BaselineFigures("pinned", 1_790_000_000.0, "f0", {"accuracy": 0.913, "mae": 1.5, "balanced_accuracy": 0.9})
BLOCK = Block(7, "anomaly", BlockKind.ANOMALY, "K-means")
CAUSES = ("model", "labels", "thresholds", "added", "removed")
SUBJECT = Subject.target(TARGET, "https://monitor.example.com")


def classifier(
    accuracy: float, interval: tuple[float, float] | None = None, **others: Unpack[QualityFigures]
) -> Evaluation:
    """A classifier's run; its mean F1 is its accuracy, unless another is given."""
    bounds = Interval(*interval) if interval else None
    for interval_of in ("accuracy_interval", "mean_f1_interval"):
        others.setdefault(interval_of, bounds)
    others.setdefault("uncertain", 0.1)
    return evaluation(samples=1015, windows=1015, quality=quality(accuracy, **others))


def calibrated(error: float, by_chance: float | None) -> Evaluation:
    """A classifier's run with this calibration error, and the 95 % point of what chance gives."""
    return evaluation(samples=60, windows=60, calibration=Calibration(error, 0.1, 0.3, by_chance, 0.0))


def detector(value: float, interval: tuple[float, float] | None = None) -> Evaluation:
    """A run of a detector of boxes."""
    return evaluation(
        samples=60,
        windows=60,
        detection=Detection(map={"0.50:0.95": value}, map_interval=Interval(*interval) if interval else None),
    )


def regression(mae: float, interval: tuple[float, float] | None = None, r2: float | None = 0.5) -> Evaluation:
    """A run of a regression."""
    return evaluation(
        samples=60,
        windows=60,
        regression=Regression(mae, mae**2, r2, 0.9, Interval(*interval) if interval else None),
    )


def anomalies(*flagged: float) -> Evaluation:
    """A run with anomaly blocks, each with its share of flagged windows."""
    blocks = [Block(7 + index, "anomaly", BlockKind.ANOMALY, f"K-means {index}") for index in range(len(flagged))]
    found = [Anomaly(block, 0.0, 1.0, {}, share, auroc=1 - share) for block, share in zip(blocks, flagged, strict=True)]
    return evaluation(samples=60, windows=60, blocks=tuple(blocks), anomalies=tuple(found))


def change(metric: str, baseline: float, parts: Mapping[str, float], **others: Any) -> Change:
    """A change with these causes; those that are not named are 0."""
    causes = dict.fromkeys(CAUSES, 0.0) | dict(parts)
    current = baseline + sum(causes.values())
    samples: dict[str, Any] = {"shared": 812, "added": 203, "removed": 0, "pvalues": {}} | others
    return Change(metric, baseline, current, {"total": current - baseline, **causes}, **samples)


def compared(*changes: Change, drifts: tuple[Drift, ...] = (), notes: tuple[str, ...] = ()) -> Comparison:
    """A comparison with the one baseline."""
    return Comparison(BASELINE, changes, drifts, notes=notes)


def drifted(
    evidence: float = 0.0, data: bool = False, pvalue: float | None = None, model: bool = False, block: Block = BLOCK
) -> Drift:
    """A block's drift: its evidence and p-value, whether its new samples alarm, and whether the gate of the model is
    open.
    """
    distances = Distances(0.31, 0.42, 0.55, 0.2, 0.061)
    return Drift(
        block,
        {"total": distances, "data": distances, "model": distances},
        {} if pvalue is None else {"model": pvalue},
        {"data": data, "model": model},
        False,
        500,
        600,
        500,
        100,
        evidence,
        BASELINE.timestamp,
        alarm=data,
        recent=80,
    )
