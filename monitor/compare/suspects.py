"""Labels that look wrong, by confident learning (Northcutt, Jiang & Chuang, JAIR 70, 2021).

A class's threshold is the mean confidence that samples with its label have in it: its self-confidence. A window is
suspect where the confidence of another class reaches that class's threshold and is above that of the given label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Pairing
from monitor.results import CORRECT, BlockKind, Confidences, FloatArray, IntArray, ResultSet

_ROUNDING = 1e-6  # a mean of equal confidences is above them by some bits; cleanlab's own slack

BoolArray = npt.NDArray[np.bool_]


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
            both = (_columns(confidences, shared)[now] + _columns(before, shared)[earlier]) / 2
            checked = _check(found, now, current, shared, both, kept)
        alone[now[checked]] = False
        unwitnessed[now[kept & ~checked]] = True
    _check(found, np.arange(windows), current, confidences.classes, confidences.values, alone)
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


def _columns(confidences: Confidences, names: tuple[str, ...]) -> FloatArray:
    if names == confidences.classes:
        return confidences.values
    return confidences.values[:, [confidences.classes.index(name) for name in names]]


def _check(
    found: Suspects, window: IntArray, run: ResultSet, classes: tuple[str, ...], p: FloatArray, wanted: BoolArray
) -> BoolArray:
    """Write into `found` what confidences say of the wanted ones of these windows.

    Args:
        found: Of the whole run.
        window: int[w], the windows' places in the run.
        run: Whose labels they are.
        classes: Those of the columns of `p`.
        p: float64[w, k].
        wanted: bool[w].

    Returns:
        bool[w], the wanted ones that could be checked.
    """
    code = {name: place for place, name in enumerate(run.labels)}
    column = {name: place for place, name in enumerate(classes)}
    codes = np.array([code.get(name, -1) for name in classes], np.intp)
    given = np.array([*(column.get(name, -1) for name in run.labels), -1])[run.label[window]]
    known = (given >= 0) & np.isfinite(p @ np.ones(len(classes)))
    own = np.where(known, p[np.arange(len(p)), given], np.nan)
    size = np.bincount(given[known], minlength=len(classes))
    total = np.bincount(given[known], own[known], len(classes))
    threshold = np.divide(total, size, out=np.full(len(classes), np.inf), where=size > 0)
    checked = known & wanted
    found.self_confidence[window[checked]] = own[checked]
    rows = np.flatnonzero(checked & (p.max(axis=1) > own))  # in the others no class is above the label
    above = p[rows]
    reached = np.where((above >= threshold - _ROUNDING) & (above > own[rows, None]), above, -np.inf)
    best = reached.argmax(axis=1)
    suspect = reached[np.arange(len(rows)), best] > -np.inf
    found.suspect[window[rows]] = suspect
    found.likely[window[rows]] = np.where(suspect, codes[best], -1)
    return checked
