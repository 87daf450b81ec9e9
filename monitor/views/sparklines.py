"""A target's newest distinct result sets as a line of a few pixels: where its points are, in units of the drawing.

The height is never so small that noise looks like a collapse: of shares it is a fifth of the whole at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.alerts import wording
from monitor.figures.headline import FIGURES
from monitor.store.run_history import ResultFigures

WIDTH = 120.0
HEIGHT = 30.0
RESULTS = 24
"""Result sets at most."""

_MARGIN = 3.0
_LEAST = 0.2  # of a share
_LEAST_RELATIVE = 0.2  # of the value of other figures


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A figure over a target's newest distinct result sets.

    Attributes:
        points: (x, y) of each, oldest first, evenly spaced.
        baseline: y of the baseline's figure; None where there is none.
        words: The same in a sentence, for those who do not see it.
    """

    points: tuple[tuple[float, float], ...]
    baseline: float | None
    words: str

    @property
    def path(self) -> str:
        """The points as SVG has them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def sparkline(results: Sequence[ResultFigures], metric: str, baseline: float | None) -> Sparkline | None:
    """The line of a figure; None where no result set has it.

    Args:
        results: Oldest first.
        metric: A headline figure.
        baseline: The baseline's.
    """
    values = [each.figures[metric][0] for each in results if metric in each.figures]
    if not values:
        return None
    within = values if baseline is None else [*values, baseline]
    middle = (max(within) + min(within)) / 2
    least = _LEAST if FIGURES[metric].is_ratio else abs(middle) * _LEAST_RELATIVE
    half = max(max(within) - min(within), least) / 2 or 0.5
    if FIGURES[metric].is_ratio:  # a share is within 0 and 1, and so is its scale
        middle = min(max(middle, half), 1 - half)
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)

    def y(value: float) -> float:
        return HEIGHT / 2 - (value - middle) / half * (HEIGHT / 2 - _MARGIN)

    begin = _MARGIN if len(values) > 1 else WIDTH / 2
    return Sparkline(
        tuple((begin + place * step, y(value)) for place, value in enumerate(values)),
        None if baseline is None else y(baseline),
        _words(values, metric, baseline),
    )


def _words(values: Sequence[float], metric: str, baseline: float | None) -> str:
    name = wording.sentence(wording.label(metric))
    first, last = (wording.figure(metric, value) for value in (values[0], values[-1]))
    course = f"{len(values)} result sets, {first} → {last}" if len(values) > 1 else f"one result set, {last}"
    against = "" if baseline is None else f"; the baseline is {wording.figure(metric, baseline)}"
    return f"{name} of {course}{against}"
