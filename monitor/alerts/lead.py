"""How a description begins: a plain sentence or two that say what, how much, since when, why, on how many samples, and
what to do. The figures come behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.alerts import variant_words, wording
from monitor.alerts.rules import AnomalyDrift, Drop, QuantizationLoss, Rise, Rule
from monitor.alerts.verdicts import Answer, Verdict
from monitor.compare.change import LABELS, THRESHOLDS, Change
from monitor.compare.conclusion import conclude
from monitor.compare.drift import Drift
from monitor.compare.side_kinds import ADDED_WRONG, NEWLY_WRONG

_LOOK = "Look at what it gets wrong, on the target's page"
_MOSTLY = 0.5  # of the wrong samples: from which share on those that look mislabelled come first


def sentences(rule: Rule, headline: str, found: Verdict) -> Iterator[str]:
    """The beginning of a verdict's description, a sentence each.

    Args:
        rule: Which.
        headline: What is the matter, as a clause: `accuracy fell by 4.1 points`.
        found: What the rule says.
    """
    match rule.condition:
        case Drop() | Rise():
            yield wording.sentence(_moved(headline, found))
            yield wording.sentence("; ".join(_samples(found)))
            if found.answer is not Answer.NO:
                yield _advice(found)
        case AnomalyDrift() if found.drift is not None:
            yield from _drifted(headline, found.drift, found.causes)
        case QuantizationLoss() if found.gap is not None and found.variants is not None:
            yield wording.sentence("; ".join((headline, *variant_words.sides(found.variants))))
            yield f"Look at the samples that only {found.variants.against} gets right, on the target's page"
        case condition:
            yield wording.sentence(f"{headline}, at {wording.figure(getattr(condition, 'metric', ''), found.value)}")
            yield _LOOK


def _moved(headline: str, found: Verdict) -> str:
    """What, how much, since when, and why."""
    since = found.against.timestamp if found.against is not None else None
    if found.answer is Answer.NO:
        return f"{headline}, compared with {wording.minute(since)}"
    if found.errors is not None and not found.by_change:
        return f"{headline} since {wording.minute(found.errors.since)}"
    why = f": {wording.conclusion(found.change)}" if found.change is not None else ""
    return f"{headline} since {wording.minute(since)}{why}"


def _samples(found: Verdict) -> Iterator[str]:
    """How many samples are wrong that were not, and how many of them look mislabelled."""
    change = found.change
    unit = wording.counts(change.metric) if change is not None else ""
    if (newly := found.changed_samples.get(NEWLY_WRONG)) is not None:
        of = f" of the {change.shared:,} {unit} both runs share" if change is not None else " samples"
        yield _wrong(newly, of, "newly wrong", found.suspect_labels.get(NEWLY_WRONG, 0))
    if added := found.changed_samples.get(ADDED_WRONG, 0):
        of = f" of the {change.added:,} {unit} added since" if change is not None else " added samples"
        yield _wrong(added, of, "wrong", found.suspect_labels.get(ADDED_WRONG, 0))


def _wrong(count: int, of: str, what: str, suspect: int) -> str:
    said = f"{count:,}{of} {'is' if count == 1 else 'are'} {what}" if count else f"none{of} is {what}"
    if not suspect:
        return said
    if count == 1:
        return f"{said}, and looks mislabelled"
    return f"{said}, and {suspect:,} of these {count:,} {'looks' if suspect == 1 else 'look'} mislabelled"


def _advice(found: Verdict) -> str:
    """What to do first."""
    wrong = _sum(found.changed_samples)
    named = conclude(found.change).named if found.change is not None else ()
    if wrong and _sum(found.suspect_labels) >= wrong * _MOSTLY:
        return "Check the labels of these samples first"
    if LABELS in named and not _retrained(found.change):
        return "Check the labels that changed"
    if THRESHOLDS in named:
        return "Check the thresholds that changed"
    if found.cause.kind == "training":
        return "Look at the samples that are newly wrong, then train again or go back to the model before"
    if found.cause.kind == "data":
        return "Look at the samples that came and left since"
    return "Look at the samples that are newly wrong" if found.changed_samples else _LOOK


def _retrained(change: Change | None) -> bool:
    return change is not None and bool(change.retrained)


def _sum(counts: Mapping[str, int]) -> int:
    return counts.get(NEWLY_WRONG, 0) + counts.get(ADDED_WRONG, 0)


def _drifted(headline: str, drift: Drift, causes: tuple[str, ...]) -> Iterator[str]:
    if "data" in causes:
        yield wording.sentence(
            f"{headline} since {wording.minute(drift.since)}: the last {drift.recent} new samples score differently"
        )
        yield "Look at the newest samples, and at what records them"
    if "model" in causes:
        yield wording.sentence(
            f"{headline} since the baseline: the model scores the {drift.shared} samples both runs share differently"
        )
        yield "Compare its training with the one before"
