"""How a model stands: worse than its baseline, as its baseline, or why nobody can say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitor.alerts import wording
from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import MODEL, Change
from monitor.compare.comparison import Comparison
from monitor.compare.conclusion import Kind, conclude
from monitor.errors import PullState
from monitor.pipeline.snapshot import Snapshot
from monitor.views.status import Figure

CONSIDERABLE = 0.03
"""A figure that is lower by this much, perhaps by chance, is not as its baseline: the margin of the built-in rules."""


class State(StrEnum):
    """What can be said of a model."""

    WORSE = "worse"
    NOT_WATCHED = "not_watched"
    NOT_JUDGED = "not_judged"
    BETTER = "better"
    AS_BASELINE = "as_baseline"

    @property
    def words(self) -> str:
        """What a model in this state is."""
        return "as its baseline" if self is State.AS_BASELINE else self.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands.

    Attributes:
        state: In a word.
        reason: Why nobody can say, as a clause; empty where somebody can.
        remedy: What to do about that, as a sentence.
    """

    state: State
    reason: str = ""
    remedy: str = ""


_REMEDIES = {
    PullState.NO_RESULTS: "Run model testing in Studio: training clears its results.",
    PullState.AUTH: "Put a key in place that works: `impulse-monitor check --online` says what is wrong with it.",
    PullState.NOT_FOUND: "See whether the project and its impulse are still in Studio.",
    PullState.UNREACHABLE: "It is tried again by itself; see whether Studio can be reached from here.",
}
_REMEDY = "It is tried again by itself; the error says what is wrong."
_MORE = "Add samples to the test set, or look at those that changed sides."


def standing(
    snapshot: Snapshot | None, figures: Sequence[Figure], alerts: Sequence[AlertState], *, stale: bool
) -> Standing:
    """How a model stands.

    Args:
        snapshot: What is known of its target; None before the first pull.
        figures: Its headline figures.
        alerts: Those about its results that fire or are pending.
        stale: Whether the figures are too old to be exported.
    """
    if snapshot is None:
        return Standing(State.NOT_WATCHED, "it has not been pulled yet", "Its first pull is due within 30 s.")
    if any(alert.phase is Phase.FIRING for alert in alerts):
        return Standing(State.WORSE)
    remedy = _REMEDIES.get(snapshot.state, _REMEDY)
    if snapshot.evaluation is None:
        return Standing(State.NOT_WATCHED, f"no good pull yet ({snapshot.state})", remedy)
    if stale:
        return Standing(State.NOT_WATCHED, "its figures are too old", remedy)
    drifts = snapshot.comparison.drifts if snapshot.comparison else ()
    if alerts or any(figure.direction == "worse" for figure in figures) or any(drift.alarm for drift in drifts):
        return Standing(State.WORSE)
    if not figures:
        samples = snapshot.evaluation.samples
        return Standing(
            State.NOT_JUDGED,
            f"{samples:,} samples, without documented scores",
            "Studio documents no scores of this kind of model: look at its results in Studio.",
        )
    return _compared(snapshot.comparison, figures)


def _compared(comparison: Comparison | None, figures: Sequence[Figure]) -> Standing:
    if comparison is None:
        return Standing(
            State.NOT_JUDGED, "there is no baseline to compare with", "The next result set is compared with this one."
        )
    if comparison.broken:
        return Standing(State.NOT_JUDGED, "; ".join(comparison.notes) or "it could not be compared", _REMEDY)
    decided = [drift for drift in comparison.drifts if not drift.insufficient]
    if not comparison.changes and not decided:
        few = "too few samples for a verdict on drift" if comparison.drifts else "none of its figures is tested"
        return Standing(State.NOT_JUDGED, few, _MORE)
    perhaps = max(figures, key=lambda figure: figure.worse)
    if perhaps.worse >= CONSIDERABLE:
        size = wording.size(perhaps.metric, perhaps.worse)
        tested = "may be chance" if perhaps.pvalue is not None else "is not tested"
        return Standing(State.NOT_JUDGED, f"{wording.label(perhaps.metric)} is worse by {size}, which {tested}", _MORE)
    if any(figure.direction == "better" for figure in figures):
        return Standing(State.BETTER)
    return Standing(State.AS_BASELINE)


_WORDS = {"added": "new data", "removed": "removed data"}


def cause(snapshot: Snapshot | None, figure: Figure | None, alerts: Sequence[AlertState]) -> str:
    """What a change is due to, in a word or two; empty where nothing changed, or nobody knows.

    Args:
        snapshot: Of the target.
        figure: The one that moved.
        alerts: Those about its results that fire or are pending.
    """
    comparison = snapshot.comparison if snapshot is not None else None
    change = comparison.change(figure.metric) if comparison is not None and figure is not None else None
    if change is not None and change.tested_change:
        return _of_change(change)
    drifting = [drift for drift in comparison.drifts if drift.alarm or drift.gates.get(MODEL)] if comparison else []
    if alerts and drifting:
        return "new data" if drifting[0].alarm else MODEL
    return ""


def _of_change(change: Change) -> str:
    found = conclude(change)
    if found.kind in (Kind.ONE, Kind.MAINLY):
        return _WORDS.get(found.named[0], found.named[0])
    if found.kind is Kind.NOISE:
        return "chance"
    return "several" if found.kind in (Kind.SEVERAL, Kind.INSEPARABLE, Kind.CANCEL) else ""
