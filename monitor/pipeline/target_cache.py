"""`TargetCache`: what a process keeps of one target between its runs, so that a quiet one costs little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.compare.comparison import BaselineFigures
from monitor.figures.evaluation import Evaluation
from monitor.figures.units import UnitChoices
from monitor.store import BaselineRun, Recorded


@dataclass(slots=True)
class TargetCache:
    """What was found out about one target. The caller of its runs owns this; an empty one is right too: the store is
    asked.

    Attributes:
        inputs: What `evaluation` was computed from; None before the first.
        choices: The unit of each statistic that it was computed with; None where the set decided for itself.
        evaluation: The last figures.
        compared: Whether a run was compared yet.
        pinned: The number of the pinned run at that time; None where there was none.
        unrecorded: Whether the last good run was not written, so that the store knows less than is shown.
        current: Whether the last good run in the store is known to be one of today's formulas.
        outdated: Whether the shown comparison was made by other formulas than today's.
        variants: What the comparison with the reference variant, as it was last written, was made from; None before the
            first.
        baselines: The target's baselines as `unit_choices` read them for the run under way; None: to be read again.
        compared_with: `BaselineRun.version` of the pinned run that the shown comparison was made with, and what is
            shown of it; None before the first, and in other modes.
        recorded: What was written of the target last; None where that is not known.
        units: Which runs and settings say what is independent, and what they say; None before the first.
    """

    inputs: object = None
    choices: UnitChoices | None = None
    evaluation: Evaluation | None = None
    compared: bool = False
    pinned: int | None = None
    unrecorded: bool = False
    current: bool = False
    outdated: bool = False
    variants: object = None
    baselines: Sequence[BaselineRun] | None = None
    compared_with: tuple[object, BaselineFigures] | None = None
    recorded: Recorded | None = None
    units: tuple[object, UnitChoices] | None = None
