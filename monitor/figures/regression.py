"""Figures of regression blocks: errors in the unit of the labels, and the share that is close enough."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from monitor.figures.evaluation import Regression
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import bootstrap_t, share
from monitor.results import CORRECT, UNSCORED, WRONG, BlockKind, FloatArray, IntArray, ResultSet


def regression(
    results: ResultSet, seed: int | None, groups: GroupUnit | None = None, error_groups: GroupUnit | None = None
) -> tuple[Regression | None, dict[str, int]]:
    """Figures over the windows whose label and prediction are numbers, equal to scikit-learn's; how many are not
    (`unparsable`).

    A window without a label or without a prediction is no such window, and not counted as unparsable either. Within
    tolerance is an error of at most the block's only numeric threshold; without one there is no such share, and
    Studio's verdict stands in for it (see `scoring`).

    Args:
        results: The columns.
        seed: Of the bootstrap, not negative; None leaves the intervals out.
        groups, error_groups: Those of the samples where the group is the unit of the share within tolerance, and of the
            absolute error; None where the sample is.

    Returns:
        No figures where no block is a regression, where the project maps labels (its predictions have no documented
        score), and where no window has two numbers.
    """
    if BlockKind.REGRESSION not in results.kinds() or results.label_map:
        return None, {}
    numbers = results.numbers()
    label = np.take(numbers, results.label)
    prediction = np.take(numbers, results.prediction)
    numeric = ~np.isnan(label) & ~np.isnan(prediction)
    unparsable = int((_unreadable(results.label, label) | _unreadable(results.prediction, prediction)).sum())
    left_out = {"unparsable": unparsable} if unparsable else {}
    if not numeric.any():
        return None, left_out

    label = label[numeric]
    sample = results.sample[numeric]
    # numbers near the largest float: an infinite error is the answer
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(prediction[numeric] - label)
        mean_squared = float(np.square(error).mean())
        r2 = _r2(label, mean_squared)
    within = None if (tolerance := _tolerance(results)) is None else error <= tolerance
    bounded = bool(np.isfinite(error).all())
    return Regression(
        mean_absolute_error=float(error.mean()),
        mean_squared_error=mean_squared,
        r2=r2,
        within_tolerance=None if within is None else float(within.mean()),
        mean_absolute_error_interval=bootstrap_t(error, sample, seed, error_groups)
        if seed is not None and bounded
        else None,
        within_tolerance_interval=share(within, sample, groups) if seed is not None and within is not None else None,
    ), left_out


def tolerance_verdicts(results: ResultSet) -> npt.NDArray[np.int8]:
    """int8[m], what a regression's accuracy counts: CORRECT where the error is within the tolerance, UNSCORED without
    two numbers.

    Without a tolerance (no numeric threshold, or several) they are Studio's own verdicts.
    """
    if (tolerance := _tolerance(results)) is None:
        return results.correct
    error = absolute_errors(results)
    return np.where(np.isnan(error), UNSCORED, np.where(error <= tolerance, CORRECT, WRONG)).astype(np.int8)


def absolute_errors(results: ResultSet) -> FloatArray:
    """float64[m], |prediction - label| of each window, in the label's unit; NaN unless both are numbers, and for models
    that are no regression.
    """
    if BlockKind.REGRESSION not in results.kinds():
        return np.full(results.windows, np.nan)
    numbers = results.numbers()
    with np.errstate(over="ignore", invalid="ignore"):  # a difference may be beyond the largest float
        error: FloatArray = np.take(numbers, results.prediction)
        error -= np.take(numbers, results.label)
    return np.abs(error, out=error)


def _unreadable(codes: IntArray, numbers: FloatArray) -> npt.NDArray[np.bool_]:
    """bool[m], there is a text and it is no number."""
    return (codes >= 0) & np.isnan(numbers)


def _r2(label: FloatArray, mean_squared_error: float) -> float | None:
    """1 - residual / total sum of squares; None where the labels do not vary, or by more or less than a float can
    square.
    """
    variance = float(np.square(label - label.mean()).mean())
    if label.min() == label.max() or variance == 0:
        return None
    r2 = 1 - mean_squared_error / variance
    return r2 if math.isfinite(r2) else None


def _tolerance(results: ResultSet) -> float | None:
    """The largest absolute error that counts as correct: the regression's numeric threshold, if there is exactly one.

    None, too, beside a classifier: predictions, and the accuracy of them, are the classifier's.
    """
    if BlockKind.CLASSIFICATION in results.kinds():
        return None
    found = [
        value for block in results.blocks if block.kind is BlockKind.REGRESSION for value in block.thresholds.values()
    ]
    return found[0] if len(found) == 1 else None
