"""Which windows an accuracy counts, and as what: one answer for every kind of model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.figures.evaluation import StudioVerdict
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import share
from monitor.figures.regression import tolerance_verdicts
from monitor.results import CORRECT, UNSCORED, BlockKind, IntArray, ResultSet


def accuracy_verdicts(results: ResultSet) -> npt.NDArray[np.int8]:
    """int8[m], CORRECT, WRONG or UNSCORED: what the accuracy counts of each window.

    Studio's verdict (`predictionCorrect`), whatever the kind of block; for a regression without a classifier beside it
    whether the error is within the tolerance, where there is one. Where the project maps labels nothing is scored: a
    prediction of several labels has no documented score.
    """
    if results.label_map:
        return np.full(results.windows, UNSCORED, np.int8)
    return tolerance_verdicts(results) if BlockKind.REGRESSION in results.kinds() else results.correct


def studio_verdict(
    verdicts: npt.NDArray[np.int8], sample: IntArray, seed: int | None, groups: GroupUnit | None = None
) -> StudioVerdict | None:
    """The share of scored windows that Studio calls correct.

    Args:
        verdicts: int8[m], as `accuracy_verdicts` gives them.
        sample: int[m], each window's sample.
        seed: None leaves the interval out; it needs no random numbers.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        None where no window is scored.
    """
    scored = verdicts != UNSCORED
    windows = int(np.count_nonzero(scored))
    if not windows:
        return None
    hits = verdicts[scored] == CORRECT
    return StudioVerdict(
        int(np.count_nonzero(hits)) / windows, windows, None if seed is None else share(hits, sample[scored], groups)
    )
