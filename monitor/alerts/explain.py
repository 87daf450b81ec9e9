"""What an alert says in words: the summary in one short sentence, the description with every number and the cause."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.alerts import lead, power_words, variant_words, wording
from monitor.alerts.rules import (
    Above,
    AnomalyDrift,
    Below,
    Drop,
    KeyExpiring,
    PullFailing,
    QuantizationLoss,
    ResultsVanished,
    Rise,
    Rule,
    Subject,
)
from monitor.alerts.verdicts import Answer, Verdict, lost
from monitor.compare.change import LABELS, THRESHOLDS, Change
from monitor.compare.drift import Drift
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.martingale import ALARM
from monitor.compare.side_kinds import VARIANT_LOST
from monitor.errors import PullState
from monitor.figures.evaluation import Interval


@dataclass(frozen=True, slots=True)
class Words:
    """Texts and numbers of an alert.

    Attributes:
        summary: One short sentence.
        description: All of it.
        details: The same as JSON values.
        samples_url: Where the samples are listed that it is about; empty where it is about none, or nobody knows.
    """

    summary: str
    description: str
    details: Mapping[str, Any] = field(default_factory=dict)
    samples_url: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """`summary` and `description`, and `samples_url` where there is one."""
        links = {"samples_url": self.samples_url} if self.samples_url else {}
        return {"summary": self.summary, "description": self.description, **links}


def verdict(rule: Rule, subject: Subject, found: Verdict) -> Words:
    """A result set's verdict, while it is pending or fires."""
    headline = _headline(rule, found)
    more = ""
    if found.answer is Answer.NO:  # it fires all the same
        headline = f"{_about(rule, found)} is not yet back inside"
        more = "The alert fires until it is back inside by that much"
    elif found.answer is Answer.POINT:
        few = "Only the figure is beyond it, not its whole interval; three such result sets in a row count as well"
        if found.interval is None and found.by_chance is not None:
            few = "Chance passes its 95 % point in one result set of twenty; three such result sets in a row count"
        more = f"{few}, if each shares less than half of its samples with the one counted before"
    summary = f"{wording.sentence(headline)}: {subject.name}."
    description = _joined([*lead.sentences(rule, headline, found), *_sentences(rule, found), more])
    return Words(summary, description, _details(rule, found), _samples_url(subject, found))


def _samples_url(subject: Subject, found: Verdict) -> str:
    """Where the samples are listed that it is about; empty where it is about none, or nobody knows."""
    if not subject.url or not (found.changed_samples or found.gap):
        return ""
    kind = f"?kind={VARIANT_LOST}" if found.gap else ""
    return f"{subject.url}{kind}#samples"


def recovered(rule: Rule, subject: Subject, found: Verdict, *, rebased: bool = False) -> Words:
    """A result set with which the alert resolves; `rebased`: compared with another baseline, which nobody may call
    better.
    """
    inside = "is inside, compared with another baseline than before" if rebased else "is back inside"
    back = wording.sentence(f"{_about(rule, found)} {inside}")
    return Words(f"{back}: {subject.name}.", _joined([back, *_sentences(rule, found)]), _details(rule, found))


def not_applicable(rule: Rule, subject: Subject, found: Verdict) -> Words:
    """A result set to which the rule does not apply, so that the alert resolves."""
    reason = f"{rule.name} no longer applies: {found.reason}"
    return Words(f"{rule.name} no longer applies: {subject.name}.", f"{reason}.")


def ended(alertname: str, why: str, before: str) -> Words:
    """The rule or the target has gone, so that the alert resolves."""
    return Words(
        f"{alertname} has ended: {why}.",
        _joined([f"{alertname} has ended: {why}", f"It said: {before}" if before else ""]),
    )


def clock(
    rule: Rule,
    subject: Subject,
    since: float,
    good: float,
    state: PullState | None,
    error: str,
    key_expires: float | None,
) -> Words:
    """A rule by the clock, while it is pending or fires.

    Args:
        rule: Which.
        subject: Of which target or project.
        since: Unix seconds since when its condition holds.
        good: Unix seconds of the last good pull, or when watching began.
        state: How the last pull ended; None where none has.
        error: What it failed with.
        key_expires: Unix seconds when the key expires.
    """
    pull = "pull" if subject.is_target else "discovery"
    match rule.condition:
        case PullFailing(intervals=intervals):
            failed = f"The last one ended with state {state}" + (f": {error}" if error else "")
            if state in (None, PullState.OK):
                failed = "The one that is under way does not end" if state else "None has ended yet"
            description = [
                f"No good {pull} since {wording.minute(good)}",
                failed,
                f"The rule fires after {intervals} intervals without one",
            ]
            details: dict[str, Any] = {"value": good, "threshold": intervals, "state": str(state) if state else None}
            return Words(f"No good {pull} for {intervals} intervals: {subject.name}.", _joined(description), details)
        case ResultsVanished():
            description = [
                f"Studio has had no model-testing results since {wording.minute(since)}; the last good pull was at "
                f"{wording.minute(good)}",
                "Training clears them: run model testing",
                error,
            ]
            return Words(
                f"Model-testing results have vanished: {subject.name}.",
                _joined(description),
                {"value": good, "state": str(state)},
            )
        case KeyExpiring(seconds=seconds) if key_expires is not None:
            description = [
                f"The API key of {subject.name} expires at {wording.minute(key_expires)}; from then on every pull "
                "fails",
                f"The rule fires {seconds / 86400:g} days before. Make a new key in Studio and put it in place of "
                "this one",
            ]
            details = {"value": key_expires, "threshold": seconds}
            return Words(f"An API key is about to expire: {subject.name}.", _joined(description), details)
    raise ValueError(f"{rule.name} is checked against result sets, not by the clock")


def healthy(rule: Rule, subject: Subject, key_expires: float | None) -> Words:
    """A rule by the clock whose condition is over, so that the alert resolves."""
    pull = "pull" if subject.is_target else "discovery"
    match rule.condition:
        case PullFailing():
            text = f"The last {pull} was good"
        case ResultsVanished():
            text = "There are model-testing results again"
        case _:
            until = f"expires at {wording.minute(key_expires)}" if key_expires is not None else "is not known to expire"
            text = f"The API key now {until}"
    return Words(f"{text}: {subject.name}.", f"{text}.")


def _about(rule: Rule, found: Verdict) -> str:
    """What the rule is about, such as `flagged share of block K-means`."""
    match rule.condition:
        case Above(metric=metric) | Below(metric=metric) | Drop(metric=metric) | Rise(metric=metric):
            name = wording.label(metric)
        case QuantizationLoss() if found.gap is not None and found.variants is not None:
            name = f"{wording.label(found.gap.metric)} against {found.variants.against}"
        case _:
            name = "drift of anomaly scores"
    return f"{name} of block {found.block}" if found.block else name


def _headline(rule: Rule, found: Verdict) -> str:
    about = _about(rule, found)
    match rule.condition:
        case Above(metric=metric, threshold=threshold):
            return f"{about} is above {wording.figure(metric, threshold)}"
        case Below(metric=metric, threshold=threshold):
            return f"{about} is below {wording.figure(metric, threshold)}"
        case Drop(metric=metric) | Rise(metric=metric):
            if found.errors is not None and not found.by_change:
                return f"{about} fell by {wording.size(metric, found.errors.increase)} among new samples"
            moved = found.moved or 0.0
            return f"{about} {'rose' if moved > 0 else 'fell'} by {wording.size(metric, abs(moved))}"
        case QuantizationLoss() as loss if found.gap is not None and found.variants is not None:
            return variant_words.loses(found.gap, found.variants.against, only_grown=not lost(loss, found.gap))
        case _:
            return f"anomaly scores{f' of block {found.block}' if found.block else ''} drifted"


def _sentences(rule: Rule, found: Verdict) -> Iterator[str]:
    """The description, a sentence each."""
    match rule.condition:
        case Above(metric=metric, threshold=threshold) | Below(metric=metric, threshold=threshold):
            beyond = "above" if isinstance(rule.condition, Above) else "below"
            yield f"{_about(rule, found)} {wording.figure(metric, found.value)}{_bounds(metric, found.interval)}"
            if found.by_chance is not None:
                yield f"Chance alone would give up to {wording.figure(metric, found.by_chance)} in 95 % of such sets"
            limit = wording.figure(metric, threshold)
            back = wording.figure(metric, found.recover)
            yield f"The rule fires {beyond} {limit}, and resolves {back} back inside"
        case Drop() | Rise() as moved:
            if found.errors is not None:
                yield _errors(found.errors, by_change=found.by_change)
            yield _moved(rule, moved, found)
            if found.change is not None:
                yield from map(wording.sentence, wording.remarks(found.change))
                if found.change.on_shared:
                    metric = moved.metric
                    thresholds = " + thresholds" if found.change.causes.get(THRESHOLDS) else ""
                    yield (
                        f"The test is of model + labels{thresholds} on the shared {wording.counts(metric)}: "
                        f"added, removed and total also contain the effect of the set's size on {wording.label(metric)}"
                    )
                if found.exact:
                    yield (
                        f"{_exact(found.change)} alone exceed the margin: no sampling noise, so the p-value does "
                        "not matter"
                    )
            if found.interval is not None:
                yield f"The 95 % interval is {_range(moved.metric, found.interval)}"
            direction = "drop" if isinstance(moved, Drop) else "rise"
            level = f" with p ≤ {wording.pvalue(moved.significance)}" if moved.significance is not None else ""
            errors = ""
            if found.errors is not None:
                errors = f", or for as many more errors among new samples at evidence {ALARM:g}"
            margin = wording.size(moved.metric, moved.margin)
            yield (
                f"The rule fires for a {direction} of more than {margin}{level}{errors}, "
                f"and resolves {wording.size(moved.metric, found.recover or 0.0)} back inside"
            )
            if found.power is not None:
                yield from map(wording.sentence, power_words.could_show(found.power, moved.significance))
        case AnomalyDrift(significance=significance) if found.drift is not None:
            yield from _drift(found.drift, found.causes, significance)
        case QuantizationLoss() as loss if found.gap is not None and found.variants is not None:
            yield from map(wording.sentence, variant_words.details(loss, found.gap, found.variants))
            yield f"It resolves {wording.size(found.gap.metric, found.recover or 0.0)} back inside"
    if found.undecided:
        yield wording.sentence(wording.undecided(found.undecided))
    if found.against is not None:
        yield f"The baseline ({found.against.mode}) is of {wording.minute(found.against.timestamp)}"
    yield from map(wording.sentence, found.notes)


def _moved(rule: Rule, moved: Drop | Rise, found: Verdict) -> str:
    """`accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): ...`, with the causes where the metric has them."""
    metric = moved.metric
    change = found.change
    total = (found.value or 0.0) - (found.baseline or 0.0)
    numbers = [wording.difference(metric, total)]
    if found.pvalue is not None:
        numbers.append(f"p = {wording.pvalue(found.pvalue)}")
    text = (
        f"{_about(rule, found)} {wording.figure(metric, found.baseline)} → {wording.figure(metric, found.value)} "
        f"({'; '.join(numbers)})"
    )
    if change is None:
        return text
    causes = ", ".join(wording.causes(change))
    words = wording.conclusion(change)
    return f"{text}: {causes}: {words}" if causes else f"{text}: {words}"


def _errors(errors: ErrorEvidence, *, by_change: bool) -> str:
    """What new samples say, and whether the whole figure says so, too."""
    also = (
        "; the change of the whole figure fires, too" if by_change else ", where the whole figure alone does not fire"
    )
    return (
        f"New samples are wrong more often: {errors.recent:.1%} of the last {errors.last} of {errors.added}, "
        f"{errors.reference:.1%} of the current model's first results, of {wording.minute(errors.since)} "
        f"(p = {wording.pvalue(errors.pvalue)}); evidence of errors {wording.odds(errors)}{also}"
    )


def _exact(change: Change) -> str:
    """What exceeds the margin although no chance is in it."""
    found = [f"changed {cause}" for cause in (LABELS, THRESHOLDS) if change.causes.get(cause)]
    return wording.sentence(" and ".join(found))


def _drift(drift: Drift, causes: tuple[str, ...], significance: float) -> Iterator[str]:
    name = f"{drift.block.name} ({drift.block.id})" if drift.block.name else str(drift.block.id)
    if "data" in causes:
        lasts = "" if drift.gates.get("data") else "; the difference no longer matters at this look"
        yield (
            f"Block {name}: the data drifted: the last {drift.recent} of {drift.added} new samples score differently "
            f"from the reference of {wording.minute(drift.since)} under the same model; evidence "
            f"{wording.odds(drift)}{lasts}"
        )
        yield _distances("New samples", drift, "data")
    if "model" in causes:
        yield (
            f"Block {name}: the model drifted: it scores the {drift.shared} samples both runs share differently "
            f"(p = {wording.pvalue(drift.pvalues['model'])})"
        )
        yield _distances("Shared samples", drift, "model")
    if not causes:
        yield f"Block {name}: no significant drift; evidence {wording.odds(drift)} from {drift.added} new samples"
    yield (
        f"The rule fires at evidence {ALARM:g}, or for the same samples at p ≤ {wording.pvalue(significance)}, if the "
        "difference matters. Drift of new samples is over once the last of them did not differ, and were nearer to the "
        "reference than to those that raised it, at two result sets that have none of these in common"
    )


def _distances(who: str, drift: Drift, cause: str) -> str:
    found = drift.distances.get(cause)
    if found is None:
        return ""
    return (
        f"{who} against the reference: KS {found.ks:.3f}, PSI {found.psi:.3f}, Wasserstein {found.wasserstein:.3f}, "
        f"Jensen-Shannon {found.js:.3f}, share above the threshold "
        f"{wording.points(found.exceedance)} points"
    )


def _details(rule: Rule, found: Verdict) -> dict[str, Any]:
    """The numbers as JSON values; what there is not is left out."""
    details: dict[str, Any] = {
        "metric": getattr(rule.condition, "metric", None),
        "value": _finite(found.value),
        "baseline": _finite(found.baseline),
        "threshold": _finite(found.threshold),
        "interval": [_finite(found.interval.lower), _finite(found.interval.upper)] if found.interval else None,
        "pvalue": _finite(found.pvalue),
        "block": found.block or None,
        "changed_samples": dict(found.changed_samples) or None,
        "suspect_labels": dict(found.suspect_labels) or None,
    }
    if found.change is not None:
        details["causes"] = {cause: _finite(part) for cause, part in found.change.causes.items()}
        details["why"] = wording.conclusion(found.change)
    if found.cause.kind == "training":
        details["trained"] = float(found.cause.key)
    if found.gap is not None and found.variants is not None:
        details |= {"metric": found.gap.metric, "against": found.variants.against}
        details["growth"] = found.gap.growth.size if found.gap.growth else None
    if found.power is not None:
        details["smallest_visible_drop"] = {cause: _finite(drop) for cause, drop in found.power.visible.items()}
    if found.errors is not None:
        details["errors"] = {
            "evidence": _finite(found.errors.evidence),
            "reference": found.errors.reference,
            "recent": found.errors.recent,
            "pvalue": found.errors.pvalue,
        }
    if found.drift is not None and found.causes:
        details["causes"] = {cause: _finite(found.drift.distances[cause].wasserstein) for cause in found.causes}
    return {name: value for name, value in details.items() if value is not None}


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _bounds(metric: str, interval: Interval | None) -> str:
    return f" (95 % interval {_range(metric, interval)})" if interval else ""


def _range(metric: str, interval: Interval) -> str:
    return f"{wording.figure(metric, interval.lower)} to {wording.figure(metric, interval.upper)}"


def _joined(sentences: Iterable[str]) -> str:
    """Sentences to a text."""
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)
