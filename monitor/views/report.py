"""Figures for people and programs, outside Prometheus: what `impulse-monitor pull` prints."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

from rich.table import Table

from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.drift import Drift
from monitor.compare.error_evidence import ErrorEvidence
from monitor.errors import PullState
from monitor.figures.headline import headlines
from monitor.pipeline.snapshot import Snapshot
from monitor.views.tables import add, table_of

TIMES: Mapping[type, Sequence[str]] = {
    BaselineFigures: ("timestamp", "trained"),
    Comparison: ("trained",),
    Drift: ("since",),
    ErrorEvidence: ("since",),
}
"""Fields that are Unix seconds, and texts in JSON."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target's pull ended, or one project's discovery where no target became known (`snapshot` is None)."""

    name: str
    state: PullState
    snapshot: Snapshot | None = None
    error: str = ""


def as_json(outcome: Outcome) -> dict[str, Any]:
    """One outcome as JSON values; figures that do not apply are null or absent."""
    row: dict[str, Any] = {"name": outcome.name, "state": str(outcome.state)}
    if outcome.error:
        row["error"] = outcome.error
    if snapshot := outcome.snapshot:
        row["target"] = {"id": snapshot.target.key.id, **snapshot.target.key._asdict()}
        if snapshot.evaluation:
            row["fingerprint"] = snapshot.fingerprint
            row["evaluation"] = plain(snapshot.evaluation)
        if snapshot.comparison:
            row["comparison"] = comparison_as_json(snapshot.comparison)
    return row


def plain(value: Any) -> Any:
    """JSON values: dataclasses as objects, their `TIMES` as texts; mappings with several keys as lists of rows; floats
    that are no number as null.
    """
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        times = TIMES.get(kind, ())
        read = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        listed = _listed(kind)
        return {
            name: moment(each) if name in times else [] if name in listed and not each else plain(each)
            for name, each in read.items()
        }
    if isinstance(value, Mapping):
        if any(isinstance(key, tuple) for key in value):
            return [{"key": list(key), "value": plain(item)} for key, item in value.items()]
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _listed(model: type) -> frozenset[str]:
    """The fields of a dataclass that are mappings with several keys: lists of rows, also where they are empty."""
    hints = get_type_hints(model)
    return frozenset(
        name for name, hint in hints.items() if get_origin(hint) is Mapping and get_origin(get_args(hint)[0]) is tuple
    )


def comparison_as_json(comparison: Comparison | None) -> dict[str, Any] | None:
    """A comparison as JSON values."""
    found: dict[str, Any] | None = plain(comparison)
    return found


def moment(seconds: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC, to the second; None for what is no time that a calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return None


def when(seconds: float | None) -> str:
    """The same for a table, where nothing is empty."""
    return moment(seconds) or ""


def as_table(outcomes: Iterable[Outcome]) -> Table:
    """One row per outcome."""
    table = table_of(("target", "state", "samples", "windows", "figures"), ("state", "samples", "windows"))
    for outcome in outcomes:
        evaluation = outcome.snapshot.evaluation if outcome.snapshot else None
        if evaluation is None:
            add(table, outcome.name, str(outcome.state), "", "", "")
            continue
        figures = ", ".join(f"{name} {figure.value:.4g}" for name, figure in headlines(evaluation).items())
        add(table, outcome.name, str(outcome.state), str(evaluation.samples), str(evaluation.windows), figures)
    return table


def clock(seconds: float | None) -> str:
    """Unix seconds for a table that may fold: date and time in UTC."""
    return when(seconds).replace("T", " ")
