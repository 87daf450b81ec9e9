"""The table of the headline figures: all that is known of each, once.

Configuration, verdicts, words, pages, API, rule file, exposition, dashboards and the lists in docs/ are made from it: a
row added here is a figure everywhere. Pure: how each is read from an `Evaluation` is part of its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from enum import Enum, Flag, auto

from monitor.figures.evaluation import Anomaly, Evaluation, Interval

RATIO = "ratio"
"""Unit of a share, 0 to 1: its differences are in points."""


class ChangeTest(Enum):
    """How a change of a figure is tested; the value is the smallest p-value that the test of a total change can give.

    `EXACT`: McNemar's test of the same samples, which has no smallest one. `RESAMPLED`: 1/1000, times its three tests.
    """

    EXACT = 0.0
    RESAMPLED = 0.003


class Glance(Flag):
    """Where a figure shows at a glance; in full it is on the target's page, in the API, and in every table."""

    NOWHERE = 0
    PAGE = auto()
    LOG = auto()
    DASHBOARD = auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a figure: of the target, or of one of its blocks.

    Attributes:
        value: It.
        interval: Its 95 % interval, where there is one.
        labels: Values of its series' own labels.
        block: The name of the anomaly block it is of; empty for figures of the whole target.
        by_chance: What chance alone reaches at its 95 % point, of figures of which more is worse and none is 0.
    """

    value: float
    interval: Interval | None = None
    labels: tuple[str, ...] = ()
    block: str = ""
    by_chance: float | None = None


Source = Callable[[Evaluation], Iterable[Reading]]
"""Where a figure is read from: its values in that part of an evaluation; none where the part does not have it."""


@dataclass(frozen=True, slots=True)
class Series:
    """The series that carries a figure.

    Attributes:
        name: The metric.
        meaning: A sentence in the operator's words.
        labels: Names of its labels beyond the target's.
        headline: Which of its values is the headline figure, by label; empty where all are, or the worst of them is.
        bounds: What `_lower` and `_upper` are bounds of, in words; empty where the interval is not exported.
        by_chance: The series of what chance alone reaches at its 95 % point; empty where there is none.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    headline: Mapping[str, str] = field(default_factory=dict)
    bounds: str = ""
    by_chance: str = ""


@dataclass(frozen=True, slots=True)
class HeadlineFigure:
    """One row of the table.

    Attributes:
        name: As rules, API and columns name it.
        label: As people call it in a sentence.
        series: The series that carries it.
        sources: Where it is read from; the first that has it counts.
        unit: `ratio` for a share; else the unit in words, in which its differences are given too.
        higher_is_better: Whether more of it is better.
        lowest, highest: Its range.
        has_interval: Whether it has a 95 % interval where there are samples enough.
        test: How its change since the baseline is tested; None where it is not, and has no causes.
        on_shared: Whether its change is tested on the samples that both runs share, because the figure of a whole set
            moves with the set's size.
        counts: What it is counted over, in the plural.
        worst: Which of several blocks counts: `max` or `min`; empty for figures of the whole target.
        glance: Where it shows at a glance.
        heading: Short name for panels and columns of dashboards; unless given the label.
    """

    name: str
    label: str
    series: Series
    sources: tuple[Source, ...]
    unit: str = RATIO
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float = 1.0
    has_interval: bool = False
    test: ChangeTest | None = None
    on_shared: bool = False
    counts: str = "samples"
    worst: str = ""
    glance: Glance = Glance.NOWHERE
    heading: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether it is a share: its differences are in points."""
        return self.unit == RATIO

    def readings(self, evaluation: Evaluation) -> tuple[Reading, ...]:
        """Its values, as its series shows them; empty where it does not apply."""
        return next((found for source in self.sources if (found := tuple(source(evaluation)))), ())

    def read(self, evaluation: Evaluation) -> Headline | None:
        """Its value as a headline figure; None where it does not apply."""
        wanted = tuple(self.series.headline.values())
        found = [each for each in self.readings(evaluation) if not wanted or each.labels == wanted]
        if not found:
            return None
        choose = max if self.worst == "max" else min
        reading = choose(found, key=lambda each: each.value)
        return Headline(reading.value, reading.interval, reading.block, reading.by_chance)


@dataclass(frozen=True, slots=True)
class Headline:
    """The value of a headline figure.

    Attributes:
        value: The figure.
        interval: Its 95 % interval, where there is one.
        block: The name of the anomaly block it is of; empty for figures of the whole target.
        by_chance: What chance alone reaches at its 95 % point, where that is known.
    """

    value: float
    interval: Interval | None = None
    block: str = ""
    by_chance: float | None = None


def _one(value: float | None, interval: Interval | None = None) -> tuple[Reading, ...]:
    """The only value of a figure; none where it is not known."""
    return () if value is None else (Reading(value, interval),)


def _calibration_error(evaluation: Evaluation) -> Iterator[Reading]:
    if (calibration := evaluation.calibration) is not None:
        yield Reading(calibration.expected_error, by_chance=calibration.null_error)


def _maps(evaluation: Evaluation) -> Iterator[Reading]:
    if (detection := evaluation.detection) is not None:
        for iou, value in detection.map.items():
            yield Reading(value, detection.map_interval if iou == _COCO else None, (iou,))


def _blocks(
    value: Callable[[Anomaly], float | None], interval: Callable[[Anomaly], Interval | None] = lambda _: None
) -> Source:
    """A figure that each anomaly block has."""

    def source(evaluation: Evaluation) -> Iterator[Reading]:
        for anomaly in evaluation.anomalies:
            block = anomaly.block
            if (found := value(anomaly)) is not None:
                yield Reading(found, interval(anomaly), (str(block.id), block.name), block.name)

    return source


_COCO = "0.50:0.95"
_OF_BLOCK = ("block_id", "block")

_ROWS = (
    HeadlineFigure(
        "accuracy",
        "accuracy",
        Series(
            "edge_impulse_accuracy_ratio",
            "Correct windows of the scored ones: those that Studio calls correct, whatever the kind of model; for "
            "regression those within the block's tolerance.",
            bounds="accuracy",
        ),
        (
            lambda of: _one(of.quality.accuracy, of.quality.accuracy_interval) if of.quality else (),
            lambda of: (
                _one(of.regression.within_tolerance, of.regression.within_tolerance_interval) if of.regression else ()
            ),
            lambda of: _one(of.studio.accuracy, of.studio.accuracy_interval) if of.studio else (),
        ),
        has_interval=True,
        test=ChangeTest.EXACT,
        glance=Glance.PAGE | Glance.LOG | Glance.DASHBOARD,
    ),
    HeadlineFigure(
        "balanced_accuracy",
        "balanced accuracy",
        Series("edge_impulse_balanced_accuracy_ratio", "Mean recall over the classes."),
        (lambda of: _one(of.quality.balanced_accuracy) if of.quality else (),),
    ),
    HeadlineFigure(
        "mean_f1",
        "mean F1",
        Series(
            "edge_impulse_mean_f1_ratio",
            "The headline F1: the mean over classes; for detectors the mean over images.",
            bounds="mean F1",
        ),
        (
            lambda of: _one(of.quality.mean_f1, of.quality.mean_f1_interval) if of.quality else (),
            lambda of: _one(of.detection.mean_f1, of.detection.mean_f1_interval) if of.detection else (),
        ),
        has_interval=True,
        test=ChangeTest.RESAMPLED,
        glance=Glance.PAGE | Glance.LOG | Glance.DASHBOARD,
    ),
    HeadlineFigure(
        "map",
        "mAP",
        Series(
            "edge_impulse_map_ratio",
            "COCO mAP of the whole set by IoU, recomputed from the boxes; moves with the size of the set.",
            labels=("iou",),
            headline={"iou": _COCO},
            bounds=f"mAP at IoU {_COCO}",
        ),
        (_maps,),
        has_interval=True,
        test=ChangeTest.RESAMPLED,
        on_shared=True,
        counts="images",
        glance=Glance.PAGE | Glance.LOG | Glance.DASHBOARD,
    ),
    HeadlineFigure(
        "mae",
        "mean absolute error",
        Series("edge_impulse_mean_absolute_error", "Mean absolute error, in the label's own unit."),
        (
            lambda of: (
                _one(of.regression.mean_absolute_error, of.regression.mean_absolute_error_interval)
                if of.regression
                else ()
            ),
        ),
        unit="the label's",
        higher_is_better=False,
        highest=math.inf,
        has_interval=True,
        glance=Glance.PAGE,
    ),
    HeadlineFigure(
        "mse",
        "mean squared error",
        Series("edge_impulse_mean_squared_error", "Mean squared error, in the square of the label's own unit."),
        (lambda of: _one(of.regression.mean_squared_error) if of.regression else (),),
        unit="the label's, squared",
        higher_is_better=False,
        highest=math.inf,
    ),
    HeadlineFigure(
        "r2",
        "R²",
        Series("edge_impulse_r2", "Coefficient of determination, at most 1; absent where the labels do not vary."),
        (lambda of: _one(of.regression.r2) if of.regression else (),),
        unit="none",
        lowest=-math.inf,
    ),
    HeadlineFigure(
        "uncertain",
        "uncertain share",
        Series(
            "edge_impulse_uncertain_ratio",
            "Scored windows predicted `uncertain`: the best confidence was below the block's min_score.",
        ),
        (lambda of: _one(of.quality.uncertain) if of.quality else (),),
        higher_is_better=False,
    ),
    HeadlineFigure(
        "calibration_error",
        "calibration error",
        Series(
            "edge_impulse_calibration_error_ratio",
            "Expected calibration error: how far confidence and accuracy are apart, over 15 bins.",
            by_chance="edge_impulse_calibration_error_null_ratio",
        ),
        (_calibration_error,),
        higher_is_better=False,
    ),
    HeadlineFigure(
        "anomaly_flagged",
        "flagged share",
        Series(
            "edge_impulse_anomaly_flagged_ratio",
            "Windows whose anomaly score is above the block's threshold.",
            labels=_OF_BLOCK,
            bounds="flagged share",
        ),
        (_blocks(lambda block: block.flagged, lambda block: block.flagged_interval),),
        higher_is_better=False,
        has_interval=True,
        worst="max",
        glance=Glance.PAGE | Glance.DASHBOARD,
        heading="Flagged",
    ),
    HeadlineFigure(
        "anomaly_auroc",
        "anomaly AUROC",
        Series(
            "edge_impulse_anomaly_auroc_ratio",
            "Chance that an anomalous window scores above a normal one; absent without ground truth of both kinds.",
            labels=_OF_BLOCK,
            bounds="anomaly AUROC",
        ),
        (_blocks(lambda block: block.auroc, lambda block: block.auroc_interval),),
        has_interval=True,
        worst="min",
        glance=Glance.PAGE,
    ),
)

FIGURES: dict[str, HeadlineFigure] = {row.name: row for row in _ROWS}
"""The table, by name, in the order in which figures are listed."""


METRICS: KeysView[str] = FIGURES.keys()
"""Names of all headline figures."""


def at_a_glance(place: Glance) -> tuple[HeadlineFigure, ...]:
    """The figures that show at a place."""
    return tuple(row for row in FIGURES.values() if place in row.glance)


def with_test() -> tuple[HeadlineFigure, ...]:
    """The figures whose change has causes and a p-value."""
    return tuple(row for row in FIGURES.values() if row.test is not None)


def headlines(evaluation: Evaluation) -> dict[str, Headline]:
    """The headline figures that apply, by name, in the order of the table."""
    found = ((name, row.read(evaluation)) for name, row in FIGURES.items())
    return {name: headline for name, headline in found if headline is not None}
