"""How a target stands, in a plain sentence, and how its scores do; figures and their names come behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.alerts import wording
from monitor.alerts.states import AlertState, Phase
from monitor.compare.drift import Drift
from monitor.errors import PullState
from monitor.pipeline.snapshot import Snapshot
from monitor.views.status import SIGNIFICANCE_LEVEL, Figure

_NOTICEABLE = 0.01  # of the share above the threshold: from which difference on a direction is named

Standing = Literal["worse", "better", "same", "unjudged"]


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target stands, and that in a sentence."""

    standing: Standing
    sentence: str


def target_state(snapshot: Snapshot | None, figures: Sequence[Figure], alerts: Sequence[AlertState]) -> TargetState:
    """How a target stands against its baseline.

    Args:
        snapshot: What is known; None before the first pull.
        figures: Its headline figures.
        alerts: Its alerts.
    """
    if snapshot is None:
        return TargetState("unjudged", "It has not been pulled yet.")
    if snapshot.evaluation is None:
        return TargetState("unjudged", "There has been no good pull yet, so nothing is known of the model.")
    comparison = snapshot.comparison
    if comparison is None:
        return TargetState("unjudged", "It is not compared with a baseline, so nobody can tell whether it got worse.")
    worse = sorted((each for each in figures if each.direction == "worse"), key=lambda each: -each.worse)
    firing = [alert for alert in alerts if alert.phase is Phase.FIRING]
    drifted = any(drift.alarm for drift in comparison.drifts)
    if worse:
        return TargetState("worse", f"Results are worse than those of the baseline: {_moved(worse[0])}.")
    if drifted:
        return TargetState("worse", "What the model sees has drifted from its baseline: see the scores.")
    if firing and snapshot.state is PullState.OK:
        return TargetState("worse", f"An alert fires: {firing[0].alertname}.")
    if comparison.broken or not (comparison.changes or comparison.drifts):
        why = wording.sentence(comparison.notes[0]) if comparison.notes else "No figure of it has a test"
        return TargetState("unjudged", f"Whether it got worse cannot be told. {why.rstrip('.')}.")
    better = [each for each in figures if each.direction == "better"]
    if better:
        return TargetState("better", f"The model is better than its baseline: {_moved(better[0])}.")
    if comparison.baseline.fingerprint == snapshot.fingerprint:
        return TargetState("same", "The result set is the one that the model is compared with: nothing changed.")
    return TargetState("same", "The model is as its baseline: no figure moved beyond what chance explains.")


def _moved(figure: Figure) -> str:
    change = wording.difference(figure.metric, figure.moved)
    label = wording.label(figure.metric)
    if figure.on_shared:
        return f"{label} {change} on the {figure.on_shared} that both runs share"
    before, now = (wording.figure(figure.metric, value) for value in (figure.baseline, figure.value))
    return f"{label} {before} → {now} ({change})"


def drift_sentence(drift: Drift) -> str:
    """How an anomaly block's scores moved, in plain words."""
    if drift.alarm:
        return f"New samples score {_how(drift, 'data')} than the {drift.reference:,} the model was accepted with."
    if drift.gates.get("model") and drift.pvalues.get("model", 1.0) <= SIGNIFICANCE_LEVEL:
        than = _how(drift, "model")
        return f"The model scores the {drift.shared:,} samples both runs share {than} than the one before."
    waiting = drift.current - drift.shared
    if not drift.added and waiting:
        return f"None of {waiting:,} new samples that the baseline does not have counts as evidence of drift yet."
    if not drift.added:
        return "No samples came since this model's first results: nothing can have drifted yet."
    return (
        f"The {drift.added:,} new samples score as the {drift.reference:,} the model was accepted with, as far as "
        "chance lets one tell."
    )


def _how(drift: Drift, cause: str) -> str:
    found = drift.distances.get(cause)
    if found is None or abs(found.exceedance) < _NOTICEABLE:
        return "otherwise"
    return "higher" if found.exceedance > 0 else "lower"
