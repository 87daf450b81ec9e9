"""How a target stands, in a plain sentence, and how its scores do; figures and their names come behind it. Pure."""

from __future__ import annotations

from monitor.alerts import wording
from monitor.alerts.states import Phase
from monitor.compare.drift import Drift
from monitor.views.fleet import Row
from monitor.views.standing import State
from monitor.views.status import SIGNIFICANCE_LEVEL, Figure

_NOTICEABLE = 0.01  # of the share above the threshold: from which difference on a direction is named


def target_state(row: Row) -> str:
    """How a target stands against its baseline, in a sentence, or several: what `Row.standing` is due to."""
    match row.standing.state:
        case State.NOT_WATCHED:
            return f"{wording.sentence(row.standing.reason)}. {row.standing.remedy}"
        case State.NOT_JUDGED:
            return f"Whether it got worse is not known: {row.standing.reason.rstrip('.')}. {row.standing.remedy}"
        case State.WORSE:
            return _worse(row)
        case State.BETTER:
            best = next(each for each in row.figures if each.direction == "better")
            return f"The model is better than its baseline: {_moved(best)}."
    comparison = row.snapshot.comparison if row.snapshot else None
    if row.snapshot and comparison and comparison.baseline.fingerprint == row.snapshot.fingerprint:
        return "The result set is the one that the model is compared with: nothing changed."
    return "The model is as its baseline: no figure moved beyond what chance explains."


def _worse(row: Row) -> str:
    comparison = row.snapshot.comparison if row.snapshot else None
    worse = [each for each in row.figures if each.direction == "worse"]
    if worse:
        return f"Results are worse than those of the baseline: {_moved(max(worse, key=lambda each: each.worse))}."
    if comparison and any(drift.alarm for drift in comparison.drifts):
        return "What the model sees has drifted from its baseline: see the scores."
    firing = [alert for alert in row.alerts_of_results if alert.phase is Phase.FIRING]
    if firing:
        return f"An alert fires: {firing[0].alertname}."
    return f"An alert is pending: {row.alerts_of_results[0].alertname}."


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
