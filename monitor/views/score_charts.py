"""Where the lines of histograms and of the reliability diagram are; the template draws them as SVG. Pure, in units of
the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.figures.calibration import ReliabilityBin
from monitor.figures.histograms import Histogram
from monitor.views.axes import Area, Scale, open_range, value_ticks

WIDTH = 480.0
HEIGHT = 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 14.0, 24.0
_LARGEST_DOT = 7.0


@dataclass(frozen=True, slots=True)
class HistogramChart:
    """Two histograms over each other, as shares of their windows.

    Attributes:
        area: The axes: scores across, shares up.
        now: The outline of the current one, filled; before: that of the baseline, a line; empty without one.
        threshold: Where it is; None without one, or where it is beyond the axis.
    """

    area: Area
    now: str
    before: str
    threshold: float | None


def histogram_chart(found: Histogram, width: float = WIDTH, height: float = HEIGHT) -> HistogramChart:
    """A histogram's outlines."""
    now = _shares(found.now)
    before = _shares(found.before) if found.before is not None else ()
    x = Scale(found.edges[0], found.edges[-1], _LEFT, width - _RIGHT)
    y = Scale(*open_range((*now, *before)), height - _BOTTOM, _TOP)
    area = _area(x, y, width, height)
    limit = found.threshold
    marked = limit is not None and found.edges[0] <= limit <= found.edges[-1]
    return HistogramChart(
        area,
        _steps(found.edges, now, x, y),
        _steps(found.edges, before, x, y) if before else "",
        x.at(limit) if marked and limit is not None else None,
    )


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    total = sum(counts) or 1
    return tuple(count / total for count in counts)


def _steps(edges: Sequence[float], shares: Sequence[float], x: Scale, y: Scale) -> str:
    """The outline of bars that touch, from the axis back to it."""
    points = [(x.at(edges[0]), y.at(0.0))]
    for place, share in enumerate(shares):
        points += [(x.at(edges[place]), y.at(share)), (x.at(edges[place + 1]), y.at(share))]
    points.append((x.at(edges[-1]), y.at(0.0)))
    return " ".join(f"{at:.1f},{height:.1f}" for at, height in points)


@dataclass(frozen=True, slots=True)
class Dot:
    """The windows of a bin: where, and a radius whose area goes by their number."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """How often the model is right where it is so confident; on the diagonal it is as often as it says."""

    area: Area
    now: tuple[Dot, ...]
    before: tuple[Dot, ...]


def reliability_chart(
    now: Sequence[ReliabilityBin], before: Sequence[ReliabilityBin], width: float = WIDTH, height: float = HEIGHT
) -> ReliabilityChart:
    """The dots of a reliability diagram; both axes go from 0 to 1."""
    x = Scale(0.0, 1.0, _LEFT, width - _RIGHT)
    y = Scale(0.0, 1.0, height - _BOTTOM, _TOP)
    return ReliabilityChart(_area(x, y, width, height), _dots(now, x, y), _dots(before, x, y))


def _dots(bins: Sequence[ReliabilityBin], x: Scale, y: Scale) -> tuple[Dot, ...]:
    most = max((each.windows for each in bins), default=1)
    return tuple(
        Dot(
            x.at(each.confidence),
            y.at(each.accuracy),
            max(_LARGEST_DOT * (each.windows / most) ** 0.5, 1.5),
            f"confidence {each.confidence:.2f}: {each.accuracy * 100:.1f} % of {each.windows:,} right",
        )
        for each in bins
    )


def _area(x: Scale, y: Scale, width: float, height: float) -> Area:
    return Area(
        width,
        height,
        _LEFT,
        width - _RIGHT,
        _TOP,
        height - _BOTTOM,
        value_ticks(x, 6),
        value_ticks(y, 4),
    )
