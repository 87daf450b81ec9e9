"""Where the lines and bars of the small charts are; the templates draw them as SVG. Pure, in units of the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.compare.change import ADDED, CAUSES, LABELS, MODEL, REMOVED, THRESHOLDS, TOTAL, Change
from monitor.figures.headline import headlines
from monitor.store import Run

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

SPARK_WIDTH = 260.0
SPARK_HEIGHT = 48.0
SPARK_MARGIN = 4.0

_FLAT = 0.01  # of the value: the least height of a sparkline's range, so that noise in the last digit is no mountain


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


@dataclass(frozen=True, slots=True)
class Spark:
    """A figure over a target's runs.

    Attributes:
        metric: Which.
        points: (x, y) of the good runs, oldest first; x goes by time. A run that was counted several times has two:
            when it was first and last seen.
        failed: x of the runs without a figure.
        baseline: y of the baseline's figure; None where there is none, or where it is outside.
        first, last, lowest, highest: The figure's values.
    """

    metric: str
    points: tuple[tuple[float, float], ...]
    failed: tuple[float, ...]
    baseline: float | None
    first: float
    last: float
    lowest: float
    highest: float

    @property
    def path(self) -> str:
        """The points as SVG has them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def sparks(runs: Sequence[Run], metrics: Iterable[str], baseline: dict[str, float]) -> list[Spark]:
    """A sparkline per figure that at least one of the runs has.

    Args:
        runs: Oldest first.
        metrics: Names of headline figures.
        baseline: The baseline's headline figures by name.
    """
    known = [headlines(run.evaluation) if run.evaluation else {} for run in runs]
    seen = [(at, figures) for run, figures in zip(runs, known, strict=True) for at in _moments(run)]
    begin = min((at for at, _ in seen), default=0.0)
    length = max((at for at, _ in seen), default=0.0) - begin

    def x(at: float) -> float:
        inner = SPARK_WIDTH - 2 * SPARK_MARGIN
        return SPARK_MARGIN + ((at - begin) / length * inner if length else inner)

    found = []
    for metric in metrics:
        values = [(at, figures[metric].value) for at, figures in seen if metric in figures]
        if not values:
            continue
        failed = tuple(x(at) for at, figures in seen if not figures)
        numbers = [value for _, value in values]
        within = [*numbers, baseline[metric]] if metric in baseline else numbers
        middle = (max(within) + min(within)) / 2
        half = max(max(within) - min(within), abs(middle) * _FLAT) / 2 or 0.5

        def y(value: float, middle: float = middle, half: float = half) -> float:
            return SPARK_HEIGHT / 2 - (value - middle) / half * (SPARK_HEIGHT / 2 - SPARK_MARGIN)

        found.append(
            Spark(
                metric,
                tuple((x(at), y(value)) for at, value in values),
                failed,
                y(baseline[metric]) if metric in baseline else None,
                numbers[0],
                numbers[-1],
                min(numbers),
                max(numbers),
            )
        )
    return found


def _moments(run: Run) -> tuple[float, ...]:
    """When a run was first seen, and last."""
    return (run.finished,) if run.times == 1 else (run.finished, run.last_seen)
