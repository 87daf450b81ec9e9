"""What charts show of a result set beside its baseline's, worked out while both are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.compare.box_classes import box_class_figures
from monitor.figures.evaluation import ClassFigures
from monitor.figures.histograms import ScoreDistributions, score_distributions
from monitor.figures.units import ACCURACY, UnitChoices, units_of
from monitor.results import ResultSet


@dataclass(frozen=True, slots=True)
class ResultCharts:
    """What charts show of a result set that is too much work for a page.

    Attributes:
        scores: How its scores and the baseline's are distributed.
        objects, objects_before: As `box_class_figures` gives them, now and in the baseline.
    """

    scores: ScoreDistributions = field(default_factory=ScoreDistributions)
    objects: Mapping[str, ClassFigures] = field(default_factory=dict)
    objects_before: Mapping[str, ClassFigures] = field(default_factory=dict)


def result_charts(now: ResultSet, before: ResultSet | None, group_by: str, choices: UnitChoices) -> ResultCharts:
    """What charts show of a result set beside its baseline's. Takes up to a second for millions of windows or boxes:
    call it in a worker thread.

    Args:
        now: The result set.
        before: The baseline's; None where there is none. May be `now`.
        group_by: Which samples came together, as `groups_of` takes it.
        choices: What the baseline says is independent.
    """

    def objects(results: ResultSet) -> dict[str, ClassFigures]:
        return box_class_figures(results, units_of(results, group_by, choices).groups_if_unit(ACCURACY))

    found = objects(now)
    if before is None:
        earlier: dict[str, ClassFigures] = {}
    elif before is now:
        earlier = found
    else:
        earlier = objects(before)
    return ResultCharts(score_distributions(now, before), found, earlier)
