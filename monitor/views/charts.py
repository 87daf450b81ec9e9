"""Where the bars of a change's causes are; the templates draw them as SVG. Pure, in units of the drawing."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.compare.change import ADDED, CAUSES, LABELS, MODEL, REMOVED, THRESHOLDS, TOTAL, Change

BAR_WIDTH = 200.0
CAUSE_WORDS = {
    TOTAL: "all of it",
    MODEL: "the shared samples, predicted again",
    LABELS: "the shared samples, evaluated with today's labels",
    THRESHOLDS: "the shared samples, under today's thresholds",
    ADDED: "samples that the baseline did not have",
    REMOVED: "samples that only the baseline had",
}
"""What each cause is."""


@dataclass(frozen=True, slots=True)
class CauseBar:
    """One cause's part of a change, worth `value`: from `x` on, `width` wide, right of `zero` where it adds to the
    figure, left of it where it takes away.
    """

    cause: str
    value: float
    x: float
    width: float
    zero: float


def cause_bars(change: Change) -> tuple[CauseBar, ...]:
    """The causes of a change as signed bars on one scale, the total first; empty where they are not known, or all 0."""
    parts = {cause: change.causes[cause] for cause in CAUSES if cause in change.causes}
    lowest = min(0.0, *parts.values()) if parts else 0.0
    highest = max(0.0, *parts.values()) if parts else 0.0
    if not highest - lowest:
        return ()

    def at(value: float) -> float:
        return (value - lowest) / (highest - lowest) * BAR_WIDTH

    return tuple(
        CauseBar(cause, value, at(min(value, 0.0)), abs(value) / (highest - lowest) * BAR_WIDTH, at(0.0))
        for cause, value in parts.items()
    )
