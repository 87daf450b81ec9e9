"""Where the lines of a target's history are; the template draws them as SVG. Pure, in units of the drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from monitor.figures.headline import FIGURES
from monitor.views.axes import Area, Scale, open_range, share_range, time_ticks, value_ticks
from monitor.views.target_history import BASELINE, LABELS, TRAINED, History, Point

_TOP = 44.0  # for markers, a row for each kind
_ROWS = {TRAINED: 34.0, LABELS: 22.0, BASELINE: 10.0}
_LEFT = 44.0
_RIGHT = 10.0
_BOTTOM = 24.0
_NARROWEST = 1.5  # of what has a beginning and an end


@dataclass(frozen=True, slots=True)
class Span:
    """Something from `x` on, `width` wide, at the height `y`; `text` says what."""

    x: float
    width: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at `x`, at the height `y`, of a `kind`; `text` says what."""

    x: float
    y: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """A figure over time.

    Attributes:
        metric: Which.
        area: The axes: times across, the figure up.
        lowest, highest: Of the vertical axis.
        bands: The 95 % intervals, as outlines.
        line: The figure, as points: flat while a result set lasted.
        dots: The result sets.
        baselines, thresholds: Flat lines.
        markers: What happened.
        alerts, failures: From when to when.
    """

    metric: str
    area: Area
    lowest: float
    highest: float
    bands: tuple[str, ...]
    line: str
    dots: tuple[Mark, ...]
    baselines: tuple[Span, ...]
    thresholds: tuple[Span, ...]
    markers: tuple[Mark, ...]
    alerts: tuple[Span, ...]
    failures: tuple[Span, ...]


def history_chart(history: History, metric: str, width: float, height: float) -> HistoryChart | None:
    """A headline figure over the range of a history; None where no result set has it."""
    points = [point for point in history.points if metric in point.found.figures]
    if not points:
        return None
    lowest, highest = _range(history, points, metric)
    x = Scale(history.since, history.until, _LEFT, width - _RIGHT)
    y = Scale(lowest, highest, height - _BOTTOM, _TOP)
    return HistoryChart(
        metric,
        Area(
            width,
            height,
            _LEFT,
            width - _RIGHT,
            _TOP,
            height - _BOTTOM,
            time_ticks(x, int(width / 110)),
            value_ticks(y),
        ),
        lowest,
        highest,
        tuple(_bands(points, metric, x, y)),
        " ".join(f"{at:.1f},{value:.1f}" for at, value in _line(points, metric, x, y)),
        tuple(
            Mark(x.at(point.begin), y.at(_value(point, metric)), "set", f"{_value(point, metric):.4g}, {_pulls(point)}")
            for point in points
        ),
        tuple(_baselines(points, metric, x, y)),
        tuple(_thresholds(history, points, metric, x, y)),
        tuple(
            Mark(x.at(each.at), _ROWS[each.what], each.what.partition(" ")[0], each.what)
            for each in history.markers
            if history.since <= each.at
        ),
        tuple(
            _span(x, max(each.begin, history.since), history.until if each.end is None else each.end, 3.0, each.name)
            for each in history.alerts
        ),
        tuple(_span(x, each.begin, each.end, height - _BOTTOM - 5, each.state) for each in history.failures),
    )


def _pulls(point: Point) -> str:
    return f"{point.pulls:,} {'pull' if point.pulls == 1 else 'pulls'}"


def _span(x: Scale, begin: float, end: float, y: float, text: str) -> Span:
    first = x.at(begin)
    return Span(first, max(x.at(end) - first, _NARROWEST), y, text)


def _value(point: Point, metric: str) -> float:
    return point.found.figures[metric].value


def _range(history: History, points: Sequence[Point], metric: str) -> tuple[float, float]:
    values = []
    for point in points:
        figure = point.found.figures[metric]
        values.append(figure.value)
        if figure.interval is not None:
            values += [figure.interval.lower, figure.interval.upper]
        baseline = point.found.baseline.get(metric)
        if baseline is not None:
            values.append(baseline)
        limits = (each.against(baseline) for each in history.thresholds if each.metric == metric)
        values += [limit for limit in limits if limit is not None]
    return share_range(values) if FIGURES[metric].is_ratio else open_range(values)


def _line(points: Sequence[Point], metric: str, x: Scale, y: Scale) -> Iterator[tuple[float, float]]:
    for point in points:
        height = y.at(_value(point, metric))
        first, last = x.at(point.begin), x.at(point.end)
        yield first, height
        if last - first >= 0.05:
            yield last, height


def _bands(points: Sequence[Point], metric: str, x: Scale, y: Scale) -> Iterator[str]:
    """Outlines of the intervals of result sets that follow each other; one without an interval is a gap."""
    group: list[Point] = []
    for point in (*points, None):
        if point is not None and point.found.figures[metric].interval is not None:
            group.append(point)
            continue
        if group:
            yield _band(group, metric, x, y)
        group = []


def _band(points: Sequence[Point], metric: str, x: Scale, y: Scale) -> str:
    upper: list[str] = []
    lower: list[str] = []
    for point in points:
        interval = point.found.figures[metric].interval
        assert interval is not None
        first, last = x.at(point.begin), max(x.at(point.end), x.at(point.begin) + _NARROWEST)
        for at in (first, last):
            upper.append(f"{at:.1f},{y.at(interval.upper):.1f}")
            lower.append(f"{at:.1f},{y.at(interval.lower):.1f}")
    return " ".join([*upper, *reversed(lower)])


def _baseline_stints(points: Sequence[Point], metric: str) -> Iterator[tuple[float, float, float]]:
    """From when to when (Unix seconds) a baseline was compared with, and its figure."""
    stints = [(value, list(group)) for value, group in groupby(points, lambda point: point.found.baseline.get(metric))]
    for place, (value, group) in enumerate(stints, 1):
        if value is not None:
            yield group[0].begin, stints[place][1][0].begin if place < len(stints) else group[-1].end, value


def _baselines(points: Sequence[Point], metric: str, x: Scale, y: Scale) -> Iterator[Span]:
    for begin, end, value in _baseline_stints(points, metric):
        yield _span(x, begin, end, y.at(value), f"baseline {value:.4g}")


def _thresholds(history: History, points: Sequence[Point], metric: str, x: Scale, y: Scale) -> Iterator[Span]:
    for limit in history.thresholds:
        if limit.metric != metric:
            continue
        if limit.value is not None:
            yield _span(x, history.since, history.until, y.at(limit.value), f"{limit.alertname} {limit.value:.4g}")
            continue
        for begin, end, baseline in _baseline_stints(points, metric):
            value = limit.against(baseline)
            if value is not None:
                yield _span(x, begin, end, y.at(value), f"{limit.alertname} {value:.4g}")
