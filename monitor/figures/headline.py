"""The headline figures by the names that rules, baselines and pages know them by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from monitor.figures.evaluation import Anomaly, Evaluation, Interval

Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "mean_f1",
    "map",
    "mae",
    "mse",
    "r2",
    "uncertain",
    "calibration_error",
    "anomaly_flagged",
    "anomaly_auroc",
]
METRICS: tuple[str, ...] = get_args(Metric)
"""Names of all headline figures."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline figure.

    Attributes:
        value: The figure.
        interval: Its 95 % interval, where there is one.
        block: The name of the anomaly block it is of; empty for figures of the whole target.
    """

    value: float
    interval: Interval | None = None
    block: str = ""


def headlines(evaluation: Evaluation) -> dict[str, Headline]:
    """The headline figures that apply, by name, in the order of `METRICS`.

    Accuracy is the classifier's, else a regression's share within tolerance, else the share that Studio calls correct.
    Of several anomaly blocks the worst one counts: the largest flagged share, the smallest AUROC.
    """
    found: dict[str, Headline] = {}

    def add(name: str, value: float | None, interval: Interval | None = None, block: str = "") -> None:
        if value is not None:
            found.setdefault(name, Headline(value, interval, block))

    if quality := evaluation.quality:
        add("accuracy", quality.accuracy, quality.accuracy_interval)
        add("balanced_accuracy", quality.balanced_accuracy)
        add("mean_f1", quality.mean_f1, quality.mean_f1_interval)
        add("uncertain", quality.uncertain)
    if regression := evaluation.regression:
        add("accuracy", regression.within_tolerance, regression.within_tolerance_interval)
        add("mae", regression.mean_absolute_error, regression.mean_absolute_error_interval)
        add("mse", regression.mean_squared_error)
        add("r2", regression.r2)
    if studio := evaluation.studio:
        add("accuracy", studio.accuracy, studio.accuracy_interval)
    if detection := evaluation.detection:
        add("mean_f1", detection.mean_f1, detection.mean_f1_interval)
        add("map", detection.map.get("0.50:0.95"), detection.map_interval)
    if evaluation.calibration:
        add("calibration_error", evaluation.calibration.expected_error)
    if flagged := [block for block in evaluation.anomalies if block.flagged is not None]:
        worst: Anomaly = max(flagged, key=lambda block: block.flagged or 0.0)
        add("anomaly_flagged", worst.flagged, worst.flagged_interval, worst.block.name)
    if ranked := [block for block in evaluation.anomalies if block.auroc is not None]:
        worst = min(ranked, key=lambda block: block.auroc or 0.0)
        add("anomaly_auroc", worst.auroc, None, worst.block.name)
    return {name: found[name] for name in METRICS if name in found}
