"""`Metric`: one entry of the catalogue: what it is called, what it means, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import prometheus_client

from monitor.compare.comparison import Comparison
from monitor.figures.classes import LargestClasses
from monitor.figures.evaluation import Evaluation, Interval
from monitor.results import Block
from monitor.targets import LABEL_NAMES

T = TypeVar("T")


class MetricType(StrEnum):
    """OpenMetrics' types; the text format shows `info` as a gauge."""

    GAUGE = "gauge"
    INFO = "info"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Scope(StrEnum):
    """What a series belongs to, which decides the labels it starts with and how long it stays."""

    PROJECT = "project"
    TARGET = "target"
    FIGURES = "figures"
    SERVICE = "service"


class Switch(StrEnum):
    """Metrics that the operator can leave out: the keys of the configuration's `exposition`."""

    CLASSES = "classes"
    CONFUSION = "confusion"


_SCOPE_LABELS = {
    Scope.PROJECT: ("project_id",),
    Scope.TARGET: LABEL_NAMES,
    Scope.FIGURES: LABEL_NAMES,
    Scope.SERVICE: (),
}

Value = tuple[float | None, tuple[str, ...]]
"""A series' value (None: absent), and the values of the metric's own labels."""
Values = Iterable[Value]


def _lower(interval: Interval | None) -> float | None:
    return None if interval is None else interval.lower


def _upper(interval: Interval | None) -> float | None:
    return None if interval is None else interval.upper


Bound = Callable[[Interval | None], float | None]

BOUNDS: tuple[tuple[str, Bound], ...] = (("Lower", _lower), ("Upper", _upper))
"""Both bounds of an interval, each with its word; the series' names end with that in small letters."""


def bound_of(bound: Bound, interval: Callable[[T], Interval | None]) -> Callable[[T], float | None]:
    """How a bound is read of what has the interval."""
    return lambda each: bound(interval(each))


def _nothing(_: Any) -> Values:
    return ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As a query names it, with `_total` and `_info`.
        type: Its type.
        scope: What it belongs to.
        meaning: A sentence in the operator's words.
        labels: Names of the labels beyond the scope's.
        unit: `seconds`, `ratio` (0..1), `bytes`, or what is counted; empty where the number has no unit, or the label's
            own.
        switch: With which others it can be left out; None where it cannot.
        read: Its series' values, from what its part of the catalogue is read from. The service's own metrics are
            counted where things happen instead.
    """

    name: str
    type: MetricType
    scope: Scope
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    switch: Switch | None = None
    read: Callable[[Any], Values] = field(default=_nothing, compare=False, repr=False)

    @property
    def family(self) -> str:
        """The name of its OpenMetrics family: without the suffix that the type adds."""
        return self.name.removesuffix({MetricType.COUNTER: "_total", MetricType.INFO: "_info"}.get(self.type, ""))

    @property
    def family_unit(self) -> str:
        """The unit as OpenMetrics allows it: only where the family's name ends with it."""
        return self.unit if self.family.endswith(f"_{self.unit}") else ""

    @property
    def help(self) -> str:
        """The HELP text: the meaning, and for figures that they are cached between pulls."""
        return self.meaning + " Cached from the last good pull." if self.scope is Scope.FIGURES else self.meaning

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Names of all its labels, the scope's first."""
        return _SCOPE_LABELS[self.scope] + self.labels

    def empty_family(self) -> prometheus_client.Metric:
        """Its metric family, without series."""
        return prometheus_client.Metric(self.family, self.help, self.type, self.family_unit)


class Row(NamedTuple):
    """A metric as people read it."""

    name: str
    type: str
    labels: tuple[str, ...]
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a target's figures are read from, while they are fresh.

    Attributes:
        evaluation: The figures.
        comparison: They against the baseline; None where there is none.
        trained: Unix time of the model's training; None where unknown.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
        classes: Those of its classes that have series of their own.
        cut: How many labels have none because of the limit.
    """

    evaluation: Evaluation
    comparison: Comparison | None
    trained: float | None
    impulse_stale: bool | None
    classes: LargestClasses
    cut: int


def figure(
    name: str,
    meaning: str,
    *labels: str,
    read: Callable[[Shown], Values],
    unit: str = "",
    type: MetricType = MetricType.GAUGE,
    switch: Switch | None = None,
) -> Metric:
    """A metric of a target's figures."""
    return Metric(name, type, Scope.FIGURES, meaning, labels, unit, switch, read)


def one(value: float | None) -> Values:
    """The value of the only series that a metric has for each target."""
    return ((value, ()),)


def block_labels(block: Block) -> tuple[str, str]:
    """Values of the labels `block_id` and `block`."""
    return str(block.id), block.name
