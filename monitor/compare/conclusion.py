"""Which causes of a change are named as the ones that moved the figure, and which are within noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.compare.change import ADDED, LABELS, MODEL, REMOVED, THRESHOLDS, TOTAL, Change

SIGNIFICANCE_LEVEL = 0.1
"""The largest p-value at which a cause is named: a larger one is within noise."""

_ALONE = 0.75  # part of a change from which one cause explains it by itself
_MAINLY = 0.5  # ... or most of it
_DOUBTFUL = 0.01  # a p-value above which a cause counts, but is not named in place of a sizeable part that is certain
_BESIDE = 0.25  # of what moved the figure: from which labels and thresholds, which are certain, are sizeable
_AGAINST = 0.25  # of what moved the figure: what moved it back, from which it is worth a word


class Kind(StrEnum):
    """What can be said of a change.

    `nothing`: the figure did not move. `unknown`: its causes are not known. `noise`: no cause counts. `cancel`: those
    that count cancel each other. `one`: one cause moved it. `mainly`: one moved it more than all others. `several`: no
    single one did. `inseparable`: labels changed and the model was trained again, with effects of opposite signs, so
    that how much is whose depends on which is taken first.
    """

    NOTHING = "nothing"
    UNKNOWN = "unknown"
    NOISE = "noise"
    CANCEL = "cancel"
    ONE = "one"
    MAINLY = "mainly"
    SEVERAL = "several"
    INSEPARABLE = "inseparable"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Who moved a figure.

    Attributes:
        kind: What can be said.
        named: The causes that are named as having moved it (`model`, `labels`, `thresholds`, `added`, `removed`), the
            largest first.
        noise: Causes that are not 0, but within noise.
        against: Causes that count and moved it the other way by more than a little.
    """

    kind: Kind
    named: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def conclude(change: Change) -> Conclusion:
    """What is said of a change.

    A cause counts if its p-value is at most 0.1; labels and thresholds, which are no matter of chance, if they are not
    0. Where only shared samples are compared, only they are weighed: the size of the set moves the rest.
    """
    of = change.causes
    if MODEL not in of:
        return Conclusion(Kind.UNKNOWN if of.get(TOTAL) or not of else Kind.NOTHING)
    weighed = (MODEL, LABELS, THRESHOLDS) if change.on_shared else (MODEL, LABELS, THRESHOLDS, ADDED, REMOVED)
    parts = {cause: of[cause] for cause in weighed if of.get(cause)}
    if not parts:
        return Conclusion(Kind.NOTHING)
    noise = tuple(cause for cause in parts if change.pvalues.get(cause, 0.0) > SIGNIFICANCE_LEVEL)
    if parts.get(MODEL, 0.0) * parts.get(LABELS, 0.0) < 0:
        return _inseparable(parts, noise, _direction(change, parts), change.pvalues)
    counted = {cause: part for cause, part in parts.items() if cause not in noise}
    if not counted:
        return Conclusion(Kind.NOISE, noise=noise)
    return _weighed(counted, noise, _direction(change, parts), change.pvalues)


def _direction(change: Change, parts: dict[str, float]) -> float:
    """The change that is to be explained."""
    return sum(parts.values()) if change.on_shared else change.causes.get(TOTAL, sum(parts.values()))


def _inseparable(
    parts: dict[str, float], noise: tuple[str, ...], direction: float, pvalues: Mapping[str, float]
) -> Conclusion:
    """Of labels and model that go against each other; samples that came or went are named beside them only if they
    weigh more.
    """
    both = parts[MODEL] + parts[LABELS]
    rest = {cause: part for cause, part in parts.items() if cause not in (MODEL, LABELS, *noise)}
    towards = sum(part for part in rest.values() if part * direction > 0)
    if rest and abs(towards) > max(both * direction, 0.0) / abs(direction or 1.0):
        return _weighed(rest, noise, direction, pvalues)
    against = tuple(_largest_first({cause: abs(part) for cause, part in rest.items() if part * direction < 0}))
    return Conclusion(Kind.INSEPARABLE, (LABELS, MODEL), tuple(cause for cause in noise if cause != MODEL), against)


def _weighed(
    counted: dict[str, float], noise: tuple[str, ...], direction: float, pvalues: Mapping[str, float]
) -> Conclusion:
    """Of causes that count: those that came and went are weighed as one, the data."""
    direction = direction or sum(counted.values())
    towards = {cause: abs(part) for cause, part in counted.items() if part * direction > 0}
    if not towards:
        return Conclusion(Kind.CANCEL, noise=noise)
    groups: dict[str, float] = {}
    for cause, part in towards.items():
        groups[_group(cause)] = groups.get(_group(cause), 0.0) + part
    size = sum(groups.values())
    first = max(groups, key=lambda group: groups[group])
    back = {cause: abs(part) for cause, part in counted.items() if part * direction < 0}
    against = tuple(_largest_first(back)) if sum(back.values()) > size * _AGAINST else ()
    alone = groups[first] >= size * _ALONE
    doubtful = min(pvalues.get(cause, 0.0) for cause in towards if _group(cause) == first) > _DOUBTFUL
    certain = sum(groups.get(cause, 0.0) for cause in (LABELS, THRESHOLDS))
    if groups[first] > size * _MAINLY and not (doubtful and certain > size * _BESIDE):
        kind = Kind.ONE if alone and not against else Kind.MAINLY
        towards = {cause: part for cause, part in towards.items() if _group(cause) == first}
    else:
        kind = Kind.SEVERAL
    return Conclusion(kind, tuple(_largest_first(towards)), noise, against)


def _group(cause: str) -> str:
    return "data" if cause in (ADDED, REMOVED) else cause


def _largest_first(parts: dict[str, float]) -> Iterator[str]:
    return iter(sorted(parts, key=lambda cause: -parts[cause]))
