"""How alerts and pages say numbers, times and causes: in one way, so that a page and its alert read the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from monitor.evaluate.change import ADDED, LABELS, MAP, MODEL, REMOVED, TOTAL, Change
from monitor.evaluate.figures import Interval

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mean_f1": "mean F1",
    "map": "mAP",
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "r2": "R²",
    "uncertain": "uncertain share",
    "calibration_error": "calibration error",
    "anomaly_flagged": "flagged share",
    "anomaly_auroc": "anomaly AUROC",
}
"""Headline figures as people call them."""

OWN_UNIT = frozenset({"mae", "mse", "r2"})
"""Figures that are no share: their differences are not in points."""

LOWER_IS_BETTER = frozenset({"mae", "mse", "uncertain", "calibration_error", "anomaly_flagged"})

LEFT_OUT = {
    "no_dimensions": "images without their size: boxes in pixels cannot be compared",
    "non_finite_score": "anomaly scores that are NaN or infinite",
    "unparsable": "values that cannot be read: labels that are no numbers, boxes without a label or a side, rows without a window",
    "no_confidences": "windows without a confidence for each class, or scored although their label is none of the classes",
    "too_many_classes": "confidences of a block with more classes than can be kept",
    "unreadable_image": "images without what others report: FOMO's matching, or Studio's score",
    "no_score": "windows that an anomaly block gave no score",
    "class_cap": "classes beyond limits.classes",
    "slice_cap": "values of slices beyond limits.slice_values",
    "unknown_block": "learning blocks of a type that has no documented results",
}
"""Why something was left out, by reason."""

UNKNOWN = "–"

_ALONE, _MAINLY = 0.75, 0.5  # parts of a change from which one cause explains it by itself, or most of it
_AGAINST = 0.25  # of what moved the figure: what moved it back, from which no single cause is to be named
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def figure(metric: str, value: float | None) -> str:
    """A headline figure: shares to three decimals, others to four digits."""
    return number(value, ".4g" if metric in OWN_UNIT else ".3f")


def number(value: float | None, style: str = ".3f") -> str:
    """A number in a format of Python's."""
    return UNKNOWN if value is None else format(value, style).replace("-", "−")


def bounds(metric: str, interval: Interval | None) -> str:
    """A 95 % interval."""
    return f"{figure(metric, interval.lower)} to {figure(metric, interval.upper)}" if interval else UNKNOWN


def difference(metric: str, value: float | None) -> str:
    """A change of a figure, in points where it is a share."""
    if value is None:
        return UNKNOWN
    return number(value, "+.3g") if metric in OWN_UNIT else f"{points(value)} points"


def points(value: float | None) -> str:
    """A difference of shares in points, with its sign."""
    if value is None:
        return UNKNOWN
    text = f"{value * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def pvalue(p: float | None) -> str:
    """A p-value to a digit or two."""
    if p is None:
        return UNKNOWN
    if p >= 0.001:
        return f"{p:.2g}"
    mantissa, _, exponent = f"{p:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if p > 0 else "0"


def when(seconds: float | None) -> str:
    """Unix seconds as a date and time in UTC."""
    try:
        return UNKNOWN if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # a clock or a key that says nonsense
        return "an unknown time"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = max(round(seconds), 0)
    for size, unit, smaller, smaller_unit in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if whole >= size:
            count, rest = divmod(whole, size)
            return f"{count} {unit} {rest // smaller} {smaller_unit}" if rest >= smaller else f"{count} {unit}"
    return f"{whole // _MINUTE} min" if whole >= _MINUTE else f"{whole} s"


def causes(change: Change) -> Iterator[str]:
    """What a change is due to: each cause that is known, with what it is worth and how many samples it is about."""
    of, unit = change.causes, "images" if change.metric == MAP else "samples"
    if MODEL in of:
        yield f"{points(of[MODEL])} on the {change.shared:,} {unit} both runs share"
    if of.get(LABELS):
        yield f"{points(of[LABELS])} from changed labels"
    if ADDED in of and (of[ADDED] or change.added):
        yield f"{points(of[ADDED])} from {change.added:,} {unit} added since"
    if REMOVED in of and (of[REMOVED] or change.removed):
        yield f"{points(of[REMOVED])} from {change.removed:,} {unit} removed since"


def conclusion(change: Change) -> str:
    """Who it was, in a clause. Of mAP only what is judged is weighed: the size of the set moves the rest."""
    of = change.causes
    if not {MODEL, LABELS} <= of.keys():
        return "the runs share too few samples to tell the cause" if of.get(TOTAL) else "nothing changed"
    parts = {"the model": of[MODEL], "the labels": of[LABELS]}
    if change.metric != MAP:
        parts["the data"] = of.get(ADDED, 0.0) + of.get(REMOVED, 0.0)
    total = sum(parts.values())
    towards = {name: part / total for name, part in parts.items() if part * total > 0} if total else {}
    if not towards:
        return "the causes cancel each other" if any(parts.values()) else "nothing changed"
    size = sum(towards.values())  # 1 and what works against it
    if size - 1 > size * _AGAINST:
        return "several causes, some against each other"
    name = max(towards, key=lambda each: towards[each])
    share = towards[name] / size
    if share >= _ALONE:
        return f"{name} changed, not {_other(name, parts)}"
    return f"mainly {name} changed" if share > _MAINLY else "several causes together"


def _other(name: str, parts: dict[str, float]) -> str:
    if name != "the model":
        return "the model"
    return "the data" if "the data" in parts else "the labels"
