"""The types of the API's answers and queries with what charts show."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

from monitor.errors import PullState
from monitor.figures.calibration import ReliabilityBin
from monitor.figures.evaluation import ClassFigures, Interval
from monitor.figures.histograms import Histogram
from monitor.views.target_history import Threshold
from monitor.web.api.schemas import Range, Time


class PastFigure(TypedDict):
    """A headline figure of a result set."""

    value: float | None
    interval: Interval | None
    block: str


class PastBaseline(TypedDict):
    """What a result set was compared with."""

    timestamp: Time | None
    mode: str
    values: Mapping[str, float]


class Point(TypedDict):
    """A distinct result set, and the pulls that found it."""

    run: int
    begin: Time | None
    end: Time | None
    pulls: int
    fingerprint: str | None
    trained: Time | None
    samples: int | None
    figures: Mapping[str, PastFigure]
    baseline: PastBaseline | None


class Failure(TypedDict):
    """Pulls in a row that ended alike, and not well."""

    begin: Time | None
    end: Time | None
    pulls: int
    state: PullState
    error: str | None


class Marker(TypedDict):
    """Something that happened."""

    at: Time | None
    what: str


class AlertSpan(TypedDict):
    """From when to when an alert fired."""

    alertname: str
    begin: Time | None
    end: Time | None


class History(TypedDict):
    """The history of a target: a point for each distinct result set."""

    target: str
    range: str
    since: Time | None
    until: Time | None
    result_sets: list[Point]
    left_out: int
    failures: list[Failure]
    markers: list[Marker]
    alerts: list[AlertSpan]
    thresholds: list[Threshold]


class HistoryQuery(TypedDict, total=False):
    """How much of it."""

    range: Range


class Scores(TypedDict):
    """Distributions of scores, beside the baseline's."""

    target: str
    current: str | None
    baseline: str | None
    histograms: list[Histogram]
    reliability: list[ReliabilityBin]
    reliability_before: list[ReliabilityBin]


class ConfusionCell(TypedDict):
    """A cell of the confusion matrix, now and before."""

    label: str
    prediction: str
    windows: int
    share: float | None
    windows_before: int | None
    share_before: float | None
    change: float | None


class ClassRow(TypedDict):
    """The figures of a class, now and before."""

    name: str
    now: ClassFigures | None
    before: ClassFigures | None
    ap: float | None
    ap_before: float | None
    change: float | None


class Confusion(TypedDict):
    """The whole confusion matrix and the figures by class, beside the baseline's."""

    target: str
    current: str | None
    baseline: str | None
    cells: list[ConfusionCell]
    classes: list[ClassRow]
