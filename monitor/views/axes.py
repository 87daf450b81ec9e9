"""Axes of charts: which range, which ticks, and where a value is. Pure, in units of the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

NARROWEST = 0.2
"""Of a share's range: what chance does to a set of usual size is then no cliff."""

_STEPS = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, *(86400 * days for days in (1, 2, 7, 14, 30, 90, 365)))
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: where, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Area:
    """Axes of a chart.

    Attributes:
        width, height: Of the drawing.
        left, right, top, bottom: Of what is within the axes.
        across, up: Their ticks.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `lowest`..`highest` onto the drawing's `first`..`last`."""

    lowest: float
    highest: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """Where a value is; one beyond the range is at its end."""
        length = self.highest - self.lowest
        share = (value - self.lowest) / length if length else 1.0
        return self.first + min(max(share, 0.0), 1.0) * (self.last - self.first)


def share_range(values: Iterable[float]) -> tuple[float, float]:
    """The range of an axis of shares: whole tenths around all values, at least 0.2, within 0 and 1."""
    known = [value for value in values if math.isfinite(value)]
    low = max(math.floor(round(min(known, default=0.0) * 10, 6)) / 10, 0.0)
    high = min(math.ceil(round(max(known, default=1.0) * 10, 6)) / 10, 1.0)
    if high - low < NARROWEST:
        low = max(high - NARROWEST, 0.0)
        high = max(high, min(low + NARROWEST, 1.0))
    return round(low, 1), round(high, 1)


def open_range(values: Iterable[float]) -> tuple[float, float]:
    """The range of an axis without ends of its own: from 0, so that heights are in proportion, to a round number."""
    known = [value for value in values if math.isfinite(value)]
    low = min([0.0, *known])
    high = max([0.0, *known])
    if low == high:
        return 0.0, 1.0
    step = round_step(high - low, 4)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def round_step(length: float, most: int) -> float:
    """1, 2 or 5 times a power of ten: a length has at most so many of it."""
    raw = length / most
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw * (1 - 1e-9))


def value_ticks(scale: Scale, most: int = 5) -> tuple[Tick, ...]:
    """Ticks of an axis of values, at round numbers."""
    step = round_step((scale.highest - scale.lowest) or 1.0, most)
    first = math.ceil(scale.lowest / step - 1e-9)
    last = math.floor(scale.highest / step + 1e-9)
    return tuple(
        Tick(scale.at(number * step), f"{number * step:.6g}".replace("-", "−")) for number in range(first, last + 1)
    )


def time_ticks(scale: Scale, most: int) -> tuple[Tick, ...]:
    """Ticks of an axis of Unix seconds, at whole hours or days in UTC: days by date, hours by time."""
    length = scale.highest - scale.lowest
    step = next((step for step in _STEPS if length / step <= most), 2 * _STEPS[-1])
    first = math.ceil(scale.lowest / step)
    last = math.floor(scale.highest / step)
    return tuple(Tick(scale.at(number * step), _moment(number * step)) for number in range(first, last + 1))


def _moment(seconds: float) -> str:
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):  # a clock that says nonsense
        return "?"
    return f"{at.day} {at:%b}" if seconds % _DAY == 0 else f"{at:%H:%M}"
