"""How alerts and pages say numbers, times and causes: in one way, so that a page and its alert read the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from monitor.compare.change import ADDED, LABELS, MODEL, REMOVED, THRESHOLDS, TOTAL, Change
from monitor.compare.conclusion import Conclusion, Kind, conclude
from monitor.compare.drift import Drift
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.martingale import ALARM
from monitor.figures.evaluation import Interval
from monitor.figures.groups import AUTO, METADATA
from monitor.figures.headline import FIGURES
from monitor.figures.units import anomaly_score
from monitor.results import Block
from monitor.text import brief

LEFT_OUT = {
    "no_dimensions": "images without their size: boxes in pixels cannot be compared",
    "non_finite_score": "anomaly scores that are NaN or infinite",
    "unparsable": "values that cannot be read: labels that are no numbers, boxes without a label or a side, rows "
    "without a window",
    "no_confidences": "windows without a confidence for each class, or scored although their label is none of the "
    "classes",
    "too_many_classes": "confidences of a block with more classes than can be kept",
    "unreadable_image": "images without what others report: FOMO's matching, or Studio's score",
    "no_score": "windows that an anomaly block gave no score",
    "class_cap": "classes beyond limits.classes",
    "slice_cap": "values of slices beyond limits.slice_values",
    "unknown_block": "learning blocks of a type that has no documented results",
}
"""Why something was left out, by reason."""

UNKNOWN = "–"

_TRIFLE = 0.01
"""A cause that moved a figure by less than a point may be said to have done nothing."""

_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def label(metric: str) -> str:
    """A headline figure as people call it."""
    return FIGURES[metric].label if metric in FIGURES else metric


def is_ratio(metric: str) -> bool:
    """Whether a headline figure is a share; one that only a later version knows is taken for one."""
    return metric not in FIGURES or FIGURES[metric].is_ratio


def counts(metric: str) -> str:
    """What a headline figure is counted over, in the plural."""
    return FIGURES[metric].counts if metric in FIGURES else "samples"


def statistic(name: str, blocks: Sequence[Block]) -> str:
    """What the unit is chosen for, as people call it."""
    names = {anomaly_score(block.id): block.name or str(block.id) for block in blocks}
    return f"scores of block {brief(names[name])}" if name in names else label(name)


def grouped(group_by: str) -> str:
    """The samples of one group, such as `samples of one device and day`."""
    return "samples of one " + (
        "device and day" if group_by == AUTO else f"{brief(group_by.removeprefix(METADATA))} (metadata)"
    )


def undecided(group_by: str) -> str:
    """That there are too few groups to tell whether their samples are alike."""
    return f"cannot tell yet whether {grouped(group_by)} are alike"


def starts(evidence: Drift | ErrorEvidence) -> str:
    """How often evidence has started, and what each start risks where the samples let one say so."""
    times, each = ("once", "") if evidence.starts == 1 else (f"{evidence.starts:,} times", "each time ")
    risk = f", {each}with a chance of a false alarm of at most {10**-ALARM * 100:g} %" if evidence.unit_known else ""
    return f"it has started {times} for this model{risk}"


def odds(evidence: Drift | ErrorEvidence) -> str:
    """Evidence in a clause, and how often it has started where that is more than once."""
    again = f"; {starts(evidence)}" if evidence.starts > 1 else ""
    return f"{evidence.evidence:.2f} (log10 of the odds{again})"


def sentence(text: str) -> str:
    """`text` with the first letter of a sentence; a name such as mAP is written as it is."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def figure(metric: str, value: float | None) -> str:
    """A headline figure: shares to three decimals, others to four digits."""
    return number(value, ".3f" if is_ratio(metric) else ".4g")


def number(value: float | None, style: str = ".3f") -> str:
    """A number in a format of Python's."""
    return UNKNOWN if value is None else format(value, style).replace("-", "−")


def threshold(value: float | str | None) -> str:
    """A threshold, which is a number or a text."""
    return brief(value) if isinstance(value, str) else number(value, "g")


def bounds(metric: str, interval: Interval | None) -> str:
    """A 95 % interval."""
    return f"{figure(metric, interval.lower)} to {figure(metric, interval.upper)}" if interval else UNKNOWN


def difference(metric: str, value: float | None) -> str:
    """A change of a figure, in points where it is a share."""
    if value is None:
        return UNKNOWN
    return f"{points(value)} points" if is_ratio(metric) else number(value, "+.3g")


def size(metric: str, size: float) -> str:
    """A difference without its sign."""
    return f"{size * 100:.1f} points" if is_ratio(metric) else f"{size:.3g}"


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


def minute(seconds: float | None) -> str:
    """Unix seconds as a date and time in UTC, to the minute."""
    try:
        return UNKNOWN if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
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
    of = change.causes
    unit = counts(change.metric)
    noise = conclude(change).noise

    def part(cause: str, text: str) -> str:
        return f"{points(of[cause])} {text}{' (within noise)' if cause in noise else ''}"

    if MODEL in of:
        yield part(MODEL, f"on the {change.shared:,} {unit} both runs share")
    if of.get(LABELS):
        yield part(LABELS, "from changed labels")
    if of.get(THRESHOLDS):
        yield part(THRESHOLDS, "from changed thresholds")
    if ADDED in of and (of[ADDED] or change.added):
        yield part(ADDED, f"from {change.added:,} {unit} added since")
    if REMOVED in of and (of[REMOVED] or change.removed):
        yield part(REMOVED, f"from {change.removed:,} {unit} removed since")


def conclusion(change: Change) -> str:
    """Who it was, in a clause."""
    found = conclude(change)
    if found.kind in _NO_CAUSE:
        few = found.kind is Kind.UNKNOWN and change.causes.keys() == {TOTAL}
        return "the runs share too few samples to determine the cause" if few else _NO_CAUSE[found.kind]
    if found.kind is Kind.INSEPARABLE:
        return f"{'several causes, some against each other; ' if found.against else ''}{_INSEPARABLE}"
    names = list(dict.fromkeys(_who(cause, change) for cause in found.named))
    more = ""
    if ADDED in found.named and change.retrained:
        more = "; what the earlier model would have said of the added samples is not known"
    if found.kind is Kind.ONE:
        return f"{names[0]} changed{_not(found, change)}{more}"
    if found.kind is Kind.MAINLY:
        against = list(dict.fromkeys(_who(cause, change) for cause in found.against))
        return f"mainly {names[0]} changed{f', {listed(against)} the other way' if against else ''}{more}"
    return f"several causes together{more}"


def remarks(change: Change) -> Iterator[str]:
    """What else is to be known of how a change was taken apart, a clause each."""
    for old, new in change.renamed:
        yield f"class {brief(old)} is now called {brief(new)}"
    if change.dropped:
        count = f"{change.dropped:,} window{'s' if change.dropped > 1 else ''}"
        have = "have" if change.dropped > 1 else "has"
        if change.kind == "classes":
            labels = "labels" if change.dropped > 1 else "a label"
            yield f"{count} {have} {labels} the earlier model never had"
        else:
            yield f"{count} cannot be judged under the current labels"
    if change.undivided and change.causes.get(MODEL):
        yield f"what {listed(_parts(change))} did cannot be separated"


_NO_CAUSE = {
    Kind.NOTHING: "nothing changed",
    Kind.UNKNOWN: "the cause is not known",
    Kind.NOISE: "every cause is within noise",
    Kind.CANCEL: "the causes cancel each other",
}
_INSEPARABLE = "relabelled and trained again: the two cannot be separated"
_DATA = "the data"
_NAMES_OF_CAUSES = {
    MODEL: "the model",
    LABELS: "the labels",
    THRESHOLDS: "the thresholds",
    ADDED: _DATA,
    REMOVED: _DATA,
}


def _who(cause: str, change: Change) -> str:
    """A cause as the subject of a sentence; the model together with what cannot be separated from it."""
    return listed(_parts(change), "or") if cause == MODEL else _NAMES_OF_CAUSES[cause]


def _parts(change: Change) -> list[str]:
    """The model, and what cannot be separated from it."""
    parts = ["the model"]
    if THRESHOLDS in change.undivided:
        parts.append("its thresholds")
    if LABELS in change.undivided:
        parts.append("the labels")
    return parts


def _not(found: Conclusion, change: Change) -> str:
    """`, not the model`: the likeliest other cause, where it is known to have done nothing that matters."""
    if change.undivided:
        return ""
    if MODEL in found.named:
        if change.on_shared:
            return "" if _matters(LABELS, found, change) else ", not the labels"
        return "" if _matters(ADDED, found, change) or _matters(REMOVED, found, change) else ", not the data"
    # Added samples are judged by the model of now, removed ones by that of then: a new one has no part in the shared
    # ones only.
    return "" if _matters(MODEL, found, change) or (change.retrained and ADDED in found.named) else ", not the model"


def _matters(cause: str, found: Conclusion, change: Change) -> bool:
    """Whether a cause moved the figure by more than noise and a trifle, be its part of the whole
    change ever so small.
    """
    return abs(change.causes.get(cause, 0.0)) >= _TRIFLE and cause not in found.noise


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names as a sentence lists them."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
