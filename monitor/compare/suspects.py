"""Labels that look wrong, by confident learning (Northcutt, Jiang & Chuang, JAIR 70, 2021).

A class's threshold is the mean confidence that samples with its label have in it: its self-confidence. A window is
suspect where the confidence of another class reaches that class's threshold and is above that of the given label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Pairing
from monitor.results import CORRECT, BlockKind, Confidences, FloatArray, IntArray, ResultSet

_ROUNDING = 1e-6  # a mean of equal confidences is above them by some bits; cleanlab's own slack

_VALUES_AT_ONCE = 1 << 18  # confidences that are looked at at a time (2 MB)

BoolArray = npt.NDArray[np.bool_]
Rows = Callable[[IntArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """What confidences say of a run's labels.

    Attributes:
        suspect: bool[m], the window's label looks wrong.
        likely: int[m], the code of the class that it looks like; -1 where it is not suspect.
        self_confidence: float64[m], the confidence in the given label; NaN where there is none.
    """

    suspect: BoolArray
    likely: IntArray
    self_confidence: FloatArray


def suspects(current: ResultSet, baseline: ResultSet | None = None, pairing: Pairing | None = None) -> Suspects:
    """Which labels of a run look wrong.

    A model that got worse must not be its own witness: where the label did not change and the baseline's model got the
    window right, the mean of both models' confidences decides, over the classes that both have, against thresholds from
    these means. Where the earlier confidences are missing nothing is said of such a window.

    Args:
        current: The run; not of the training category, which its model has learnt by heart.
        baseline, pairing: The earlier run, coded by the same table, with the classes' names of now; None: no second
            witness.
    """
    windows = current.windows
    found = Suspects(np.zeros(windows, np.bool_), np.full(windows, -1), np.full(windows, np.nan))
    confidences = _classifier(current)
    if confidences is None:
        return found
    alone = np.ones(windows, np.bool_)
    unwitnessed = np.zeros(windows, np.bool_)
    if baseline is not None and pairing is not None:
        earlier = pairing.baseline_window
        now = pairing.current_window
        kept = (baseline.label[earlier] == current.label[now]) & (baseline.correct[earlier] == CORRECT)
        checked = np.zeros_like(kept)
        before = _classifier(baseline)
        shared = () if before is None else tuple(name for name in confidences.classes if name in before.classes)
        if before is not None and len(shared) >= 2:
            of_now, of_before = _columns(confidences, shared), _columns(before, shared)

            def both(rows: IntArray) -> FloatArray:
                return (of_now(now[rows]) + of_before(earlier[rows])) / 2

            checked = _check(found, now, current, shared, both, kept)
        alone[now[checked]] = False
        unwitnessed[now[kept & ~checked]] = True
    own = _columns(confidences, confidences.classes)
    _check(found, np.arange(windows), current, confidences.classes, own, alone)
    found.suspect[unwitnessed] = False
    found.likely[unwitnessed] = -1
    return found


def _classifier(run: ResultSet) -> Confidences | None:
    """The confidences of a run's first classifier; None where it has none, or labels that no class can be held
    against.
    """
    if run.label_map:
        return None
    blocks = [block.id for block in run.blocks if block.kind is BlockKind.CLASSIFICATION]
    return next((run.confidences[block] for block in sorted(blocks) if _has_classes(run, block)), None)


def _has_classes(run: ResultSet, block: int) -> bool:
    return block in run.confidences and bool(run.confidences[block].classes)


def _columns(confidences: Confidences, names: tuple[str, ...]) -> Rows:
    """The confidences of these classes, by windows."""
    if names == confidences.classes:
        return lambda rows: confidences.values[rows]
    place = {name: column for column, name in enumerate(confidences.classes)}
    columns = np.array([place[name] for name in names], np.intp)
    return lambda rows: confidences.values[rows][:, columns]


def _check(
    found: Suspects, window: IntArray, run: ResultSet, classes: tuple[str, ...], p: Rows, wanted: BoolArray
) -> BoolArray:
    """Write into `found` what confidences say of the wanted ones of these windows.

    Args:
        found: Of the whole run.
        window: int[w], the windows' places in the run.
        run: Whose labels they are.
        classes: Those of the columns of `p`.
        p: float64[r, k] of int[r], the confidences of some of these windows: all of them at a time would be as large
            as the run itself.
        wanted: bool[w].

    Returns:
        bool[w], the wanted ones that could be checked.
    """
    code = {name: place for place, name in enumerate(run.labels)}
    column = {name: place for place, name in enumerate(classes)}
    codes = np.array([code.get(name, -1) for name in classes], np.intp)
    given = np.array([*(column.get(name, -1) for name in run.labels), -1])[run.label[window]]
    own, top = _own_and_top(p, given, len(classes))
    known = np.isfinite(own)
    size = np.bincount(given[known], minlength=len(classes))
    total = np.bincount(given[known], own[known], len(classes))
    threshold = np.divide(total, size, out=np.full(len(classes), np.inf), where=size > 0)
    checked = known & wanted
    found.self_confidence[window[checked]] = own[checked]
    exceeded = np.flatnonzero(checked & (top > own))  # in the others no class is above the label
    for rows in _some(exceeded, len(classes)):
        above = p(rows)
        reached = np.where((above >= threshold - _ROUNDING) & (above > own[rows, None]), above, -np.inf)
        best = reached.argmax(axis=1)
        suspect = reached[np.arange(len(rows)), best] > -np.inf
        found.suspect[window[rows]] = suspect
        found.likely[window[rows]] = np.where(suspect, codes[best], -1)
    return checked


def _own_and_top(p: Rows, given: IntArray, classes: int) -> tuple[FloatArray, FloatArray]:
    """float64[w] each: the confidence of the given label, NaN where there is none or a class has none; the largest."""
    own = np.full(len(given), np.nan)
    top = np.full(len(given), np.nan)
    for rows in _some(np.arange(len(given)), classes):
        values = p(rows)
        known = (given[rows] >= 0) & np.isfinite(np.einsum("ij->i", values))
        own[rows] = np.where(known, values[np.arange(len(rows)), given[rows]], np.nan)
        top[rows] = values.max(axis=1)
    return own, top


def _some(rows: IntArray, classes: int) -> Iterator[IntArray]:
    """The rows, some at a time."""
    step = max(1, _VALUES_AT_ONCE // classes)
    for first in range(0, len(rows), step):
        yield rows[first : first + step]
