"""A target's history: one point per distinct result set, failures as ranges, and what happened beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from monitor.alerts.rules import Above, Below, Drop, Rise, Rule
from monitor.compare.side_kinds import RELABELLED
from monitor.figures.evaluation import Interval
from monitor.figures.headline import FIGURES, Headline, headlines
from monitor.store.figures import StoredFigures
from monitor.store.firings import FiringTime
from monitor.store.run_history import RunOutline
from monitor.views.report import moment, plain

RANGES: Mapping[str, float] = {"24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0, "all": math.inf}
"""What `range` may be, and how many seconds that is."""
RANGE = "7d"
"""Unless asked otherwise."""

MOST_POINTS = 300
"""Result sets in a history; of more of them evenly chosen ones."""

MOST_FIRINGS = 300
"""Firings in a history: the newest."""

TRAINED = "trained"
LABELS = "labels changed"
BASELINE = "baseline changed"


@dataclass(frozen=True, slots=True)
class SetFigures:
    """What a history needs to know of a run's figures.

    Attributes:
        figures: The headline figures by name.
        samples: Size of the result set.
        baseline: The baseline's headline figures by name; empty where nothing was compared.
        baseline_at: Unix seconds when the baseline's run finished; None where nothing was compared.
        mode: Of the baseline.
        relabelled: Samples with other labels than in the baseline; None where that is not known.
    """

    figures: Mapping[str, Headline] = field(default_factory=dict)
    samples: int | None = None
    baseline: Mapping[str, float] = field(default_factory=dict)
    baseline_at: float | None = None
    mode: str = ""
    relabelled: int | None = None

    @classmethod
    def of(cls, stored: StoredFigures) -> SetFigures:
        """Those of what the store has."""
        comparison = stored.comparison
        evaluation = stored.evaluation
        found = cls(headlines(evaluation), evaluation.samples) if evaluation is not None else cls()
        if comparison is None:
            return found
        baseline = comparison.baseline
        return replace(
            found,
            baseline=baseline.values,
            baseline_at=baseline.timestamp,
            mode=baseline.mode,
            relabelled=comparison.changed_samples.get(RELABELLED),
        )


@dataclass(frozen=True, slots=True)
class Point:
    """A result set, for as long as pulls gave it.

    Attributes:
        run: The number of the first run.
        begin, end: Unix seconds when it was first seen, and last.
        pulls: How often.
        fingerprint: Of the result set.
        trained: Unix seconds of the model's training; None where unknown.
        found: What is known of its figures.
    """

    run: int
    begin: float
    end: float
    pulls: int
    fingerprint: str
    trained: float | None
    found: SetFigures


@dataclass(frozen=True, slots=True)
class Failure:
    """Pulls in a row that failed in one way: when the first and the last did, how many, how, and with what."""

    begin: float
    end: float
    pulls: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened at a time (Unix seconds): `TRAINED`, `LABELS` or `BASELINE`."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """From when on an alert fires, and until when it did; None: it still does."""

    name: str
    begin: float
    end: float | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a rule holds a figure against: `value`, or so far beside the baseline (`margin`, with its sign)."""

    alertname: str
    metric: str
    value: float | None = None
    margin: float | None = None

    def against(self, baseline: float | None) -> float | None:
        """The value of the figure at which the rule begins to matter; None without a baseline that it needs."""
        if self.margin is None or baseline is None:
            return self.value
        return baseline + self.margin


@dataclass(frozen=True, slots=True)
class History:
    """What is shown of a target's past.

    Attributes:
        target_id: Whose.
        range: Which of `RANGES`.
        since, until: Unix seconds that the time axis goes from and to: of the range, from when anything is known on.
        points: Oldest first.
        failures: Oldest first.
        markers: Oldest first.
        alerts: Each time that one fired within it, oldest first.
        thresholds: Of the rules that hold now.
        left_out: How many more result sets there are between the points.
    """

    target_id: str
    range: str
    since: float
    until: float
    points: tuple[Point, ...]
    failures: tuple[Failure, ...]
    markers: tuple[Marker, ...]
    alerts: tuple[AlertSpan, ...]
    thresholds: tuple[Threshold, ...]
    left_out: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The headline figures that at least one of the points has, in the order of the table."""
        return tuple(name for name in FIGURES if any(name in point.found.figures for point in self.points))

    def changes(self) -> list[Point | Failure]:
        """Points and failures, newest first."""
        return sorted((*self.points, *self.failures), key=lambda each: each.begin, reverse=True)


def since(name: str, now: float) -> float:
    """Unix seconds from which on a range of `RANGES` is."""
    return now - RANGES[name]


def chosen(outlines: Sequence[RunOutline]) -> tuple[list[list[RunOutline]], int]:
    """The good runs of each distinct result set that has a point, oldest first; and how many sets have none.

    A result set that comes back after a failure is the same point; after another result set it is another. Of too many
    evenly chosen ones stay, the first and the last among them.
    """
    sets: list[list[RunOutline]] = []
    for run in outlines:
        if run.fingerprint is None:
            continue
        if sets and sets[-1][-1].fingerprint == run.fingerprint:
            sets[-1].append(run)
        else:
            sets.append([run])
    count = len(sets)
    if count <= MOST_POINTS:
        return sets, 0
    places = sorted({round(place * (count - 1) / (MOST_POINTS - 1)) for place in range(MOST_POINTS)})
    return [sets[place] for place in places], count - len(places)


def wanted(sets: Iterable[Sequence[RunOutline]]) -> list[RunOutline]:
    """The runs whose figures a history needs: the last of each set."""
    return [runs[-1] for runs in sets]


def history(
    target_id: str,
    range_name: str,
    now: float,
    outlines: Sequence[RunOutline],
    found: Mapping[int, SetFigures],
    fired: Iterable[FiringTime],
    rules: Iterable[Rule],
) -> History:
    """A target's past.

    Args:
        target_id: Whose.
        range_name: Which of `RANGES`; `outlines` are those of this range.
        now: Unix seconds.
        outlines: Oldest first.
        found: Of the runs that are `wanted`, by number; others are as if they had no figures.
        fired: When the target's alerts fired, within the range or longer.
        rules: Those that match the target.
    """
    sets, left_out = chosen(outlines)
    points = tuple(_point(runs, found.get(runs[-1].id, SetFigures())) for runs in sets)
    failures = tuple(_failures(outlines))
    seen: list[Point | Failure] = [*points, *failures]
    first = min((each.begin for each in seen), default=now)
    begin = max(first, since(range_name, now))  # nothing is known of before
    end = max([now, *(each.end for each in seen)])
    return History(
        target_id,
        range_name,
        min(begin, end),
        end,
        points,
        failures,
        tuple(sorted(_markers(points, begin), key=lambda each: each.at)),
        tuple(
            AlertSpan(each.alertname, each.starts_at, each.ends_at)
            for each in fired
            if each.ends_at is None or each.ends_at >= begin
        ),
        tuple(limit for rule in rules if (limit := _threshold(rule)) is not None),
        left_out,
    )


def _point(runs: Sequence[RunOutline], found: SetFigures) -> Point:
    first = runs[0]
    end = max(run.last_seen for run in runs)
    pulls = sum(run.times for run in runs)
    return Point(first.id, first.finished, end, pulls, first.fingerprint or "", runs[-1].trained, found)


def _failures(outlines: Iterable[RunOutline]) -> Iterable[Failure]:
    last: Failure | None = None
    for run in outlines:
        if run.fingerprint is not None:
            if last is not None:
                yield last
            last = None
        elif last is not None and last.state == str(run.state):
            last = replace(last, end=run.last_seen, pulls=last.pulls + run.times, error=run.error)
        else:
            if last is not None:
                yield last
            last = Failure(run.finished, run.last_seen, run.times, str(run.state), run.error)
    if last is not None:
        yield last


def _markers(points: Sequence[Point], begin: float) -> Iterable[Marker]:
    for before, now in pairwise(points):
        if now.trained is not None and now.trained != before.trained:
            # Studio's clock, or a training that nobody pulled for a while: it was seen with this result set
            yield Marker(now.trained if max(begin, before.begin) <= now.trained <= now.begin else now.begin, TRAINED)
        one, other = before.found, now.found
        if other.baseline_at is not None and one.baseline_at not in (None, other.baseline_at):
            if other.mode == one.mode == "pinned":
                yield Marker(now.begin, BASELINE)
        elif None not in (one.relabelled, other.relabelled) and one.relabelled != other.relabelled:
            yield Marker(now.begin, LABELS)


def _threshold(rule: Rule) -> Threshold | None:
    match rule.condition:
        case Above(metric=metric, threshold=value) | Below(metric=metric, threshold=value):
            return Threshold(rule.name, metric, value)
        case Drop(metric=metric, margin=margin):
            return Threshold(rule.name, metric, margin=-margin)
        case Rise(metric=metric, margin=margin):
            return Threshold(rule.name, metric, margin=margin)
        case _:
            return None


def as_json(found: History) -> dict[str, Any]:
    """A history as JSON values."""
    return {
        "target": found.target_id,
        "range": found.range,
        "since": moment(found.since),
        "until": moment(found.until),
        "result_sets": [_point_as_json(point) for point in found.points],
        "left_out": found.left_out,
        "failures": [
            {
                "begin": moment(each.begin),
                "end": moment(each.end),
                "pulls": each.pulls,
                "state": each.state,
                "error": each.error,
            }
            for each in found.failures
        ],
        "markers": [{"at": moment(each.at), "what": each.what} for each in found.markers],
        "alerts": [
            {"alertname": each.name, "begin": moment(each.begin), "end": moment(each.end)} for each in found.alerts
        ],
        "thresholds": [plain(each) for each in found.thresholds],
    }


def _point_as_json(point: Point) -> dict[str, Any]:
    found = point.found
    return {
        "run": point.run,
        "begin": moment(point.begin),
        "end": moment(point.end),
        "pulls": point.pulls,
        "fingerprint": point.fingerprint,
        "trained": moment(point.trained),
        "samples": found.samples,
        "figures": {name: _figure_as_json(figure) for name, figure in found.figures.items()},
        "baseline": {"timestamp": moment(found.baseline_at), "mode": found.mode, "values": plain(found.baseline)}
        if found.baseline_at is not None
        else None,
    }


def _figure_as_json(figure: Headline) -> dict[str, Any]:
    interval: Interval | None = figure.interval
    return {"value": plain(figure.value), "interval": plain(interval), "block": figure.block}
