"""Figures for people and programs, outside Prometheus: what `impulse-monitor pull` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from monitor.evaluate.figures import Evaluation
from monitor.once import Outcome


def as_json(outcome: Outcome) -> dict[str, Any]:
    """One outcome as JSON values; figures that do not apply are null or absent."""
    row: dict[str, Any] = {"name": outcome.name, "state": str(outcome.state)}
    if outcome.error:
        row["error"] = outcome.error
    if snapshot := outcome.snapshot:
        row["target"] = {"id": snapshot.target.key.id, **snapshot.target.key._asdict()}
        if snapshot.evaluation:
            row["fingerprint"] = snapshot.fingerprint
            row["evaluation"] = _plain(snapshot.evaluation)
    return row


def _plain(value: Any) -> Any:
    """Dataclasses as objects; mappings with several keys as lists of rows."""
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        if any(isinstance(key, tuple) for key in value):
            return [{"key": list(key), "value": _plain(item)} for key, item in value.items()]
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def headline(evaluation: Evaluation) -> list[tuple[str, float]]:
    """The figures that say most about a model, by name, as far as they apply."""
    found: list[tuple[str, float | None]] = []
    if quality := evaluation.quality:
        found += [("accuracy", quality.accuracy), ("mean F1", quality.mean_f1), ("uncertain", quality.uncertain)]
    if detection := evaluation.detection:
        found += [("mAP", detection.map.get("0.50:0.95")), ("mean F1", detection.mean_f1)]
    if regression := evaluation.regression:
        found += [("MAE", regression.mean_absolute_error), ("R²", regression.r2), ("within tolerance", regression.within_tolerance)]
    for anomaly in evaluation.anomalies:
        found += [("anomaly mean", anomaly.mean), ("flagged", anomaly.flagged), ("AUROC", anomaly.auroc)]
    return [(name, value) for name, value in found if value is not None]


def as_table(outcomes: Iterable[Outcome]) -> Table:
    """One row per outcome."""
    table = Table("target", "state", "samples", "windows", "figures")
    for outcome in outcomes:
        evaluation = outcome.snapshot.evaluation if outcome.snapshot else None
        if evaluation is None:
            table.add_row(outcome.name, str(outcome.state), "", "", "")
            continue
        figures = "  ".join(f"{name} {value:.4g}" for name, value in headline(evaluation))
        table.add_row(outcome.name, str(outcome.state), str(evaluation.samples), str(evaluation.windows), figures)
    return table
