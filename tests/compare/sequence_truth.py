"""What a change between two worlds is due to, by the book: from labels and raw outputs that no result set passed
through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tests.compare.sequences import Classifier, Floats, World, mapped

FEWEST = 30
"""Shared samples from which the causes are told apart."""

ALMOST_ALL = 0.95


@dataclass(frozen=True)
class Truth:
    """The parts of the change of accuracy.

    Attributes:
        causes: By name; `total` alone where too few samples are shared.
        dropped: How many windows the labels step loses, their new labels being unknown to the earlier model.
        renamed: New name by old one.
    """

    causes: dict[str, float]
    dropped: int
    renamed: dict[str, str]


def truth(before: World, after: World) -> Truth:
    """The decomposition of accuracy (of a regression, of the share within tolerance)."""
    f_b, f_c = _mean(before.right), _mean(after.right)
    _, mine, theirs = np.intersect1d(before.ids, after.ids, assume_unique=True, return_indices=True)
    old, new = before.taken(mine), after.taken(theirs)
    if len(mine) < FEWEST:
        return Truth({"total": f_c - f_b}, 0, {})
    names = _renamed(old, before, new, after)
    judged, tightened = (_judged(old, new, names, thresholds) for thresholds in (before.thresholds, after.thresholds))
    own = old.right
    shared = [_mean(each) for each in (own, judged, tightened, new.right)]
    causes = {
        "total": f_c - f_b,
        "removed": shared[0] - f_b,
        "labels": shared[1] - shared[0],
        "thresholds": shared[2] - shared[1],
        "model": shared[3] - shared[2],
        "added": f_c - shared[3],
    }
    return Truth(causes, int((np.isnan(judged) & ~np.isnan(own)).sum()), names)


def _judged(old: World, new: World, names: Mapping[str, str], thresholds: Mapping[str, float]) -> Floats:
    """The verdicts on the earlier model's outputs under the later labels and these thresholds."""
    predictions = old.predictions(thresholds)
    if isinstance(old, Classifier):
        taken = {name: f"the old {name}" for name in names.values()}  # a class whose name another one has now
        taken |= dict(names)
        predictions = mapped(predictions, taken)
        old = replace(old, classes=tuple(taken.get(name, name) for name in old.classes))
    return old.verdicts(predictions, new.labels, thresholds)


def _renamed(old: World, before: World, new: World, after: World) -> dict[str, str]:
    """Classes whose windows became those of another name almost without exception, the old name being gone from data
    and model.
    """
    if not (isinstance(before, Classifier) and isinstance(after, Classifier)):
        return {}
    gone = set(before.classes) - set(after.classes) - set(after.labels.ravel())
    found = {}
    for name in sorted(gone):
        here = new.labels[old.labels == name]
        for other in sorted(set(here)):
            there = old.labels[new.labels == other]
            if (here == other).mean() >= ALMOST_ALL and (there == name).mean() >= ALMOST_ALL:
                found[name] = other
    return found


def _mean(verdicts: Floats) -> float:
    return float(np.nanmean(verdicts))


def unchanged_outputs(before: World, after: World) -> bool:
    """Whether both models say the same about the samples both runs have."""
    _, mine, theirs = np.intersect1d(before.ids, after.ids, assume_unique=True, return_indices=True)
    old, new = before.taken(mine), after.taken(theirs)
    outputs = [
        (getattr(old, name), getattr(new, name)) for name in ("confidences", "scores", "values") if hasattr(old, name)
    ]
    same = all(mine is theirs or np.array_equal(mine, theirs) for mine, theirs in outputs)
    return same and getattr(before, "classes", ()) == getattr(after, "classes", ())
