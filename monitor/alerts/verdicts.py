"""A rule held against a result set's figures: is the condition met, is it over, and on what numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from monitor.alerts import causes
from monitor.alerts.causes import OWN, Cause
from monitor.alerts.rules import ACCURACY_REGRESSED, Above, AnomalyDrift, Below, Drop, QuantizationLoss, Rise, Rule
from monitor.compare.change import ACCURACY, Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import EFFECT_EXCEEDANCE, EFFECT_WASSERSTEIN
from monitor.compare.drift import Drift
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.martingale import ALARM
from monitor.compare.power import Power
from monitor.compare.variants import VariantComparison, VariantGap
from monitor.figures.evaluation import Evaluation, Interval
from monitor.figures.headline import FIGURES, Headline
from monitor.figures.units import undecided

SMALLEST_RECOVERY = 0.005
"""How far back inside a figure must be to resolve, unless the rule says so or its own noise is larger."""

_HALF_ERROR = 1 / (4 * 1.96)  # half a standard error, as a part of a 95 % interval's width
_ROUNDING = 1e-9  # 0.90 - 0.87 is more than 0.03 only for a computer


class Answer(StrEnum):
    """Whether a rule's condition is met.

    `point`: the figure is beyond the threshold, but its interval is not. `not_applicable`: there is no such figure.
    """

    YES = "yes"
    POINT = "point"
    NO = "no"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says about one result set.

    Attributes:
        answer: Whether the condition is met.
        recovered: Whether it is over by more than a trifle, so that a firing alert resolves; never together with `yes`.
        value: The figure; of drift the evidence. None where it does not exist.
        baseline: The baseline's figure; None where the rule compares with none.
        threshold: What the figure, its change or the evidence is held against.
        recover: How far back inside it must be.
        interval: The figure's 95 % interval, where there is one.
        by_chance: What chance alone reaches at its 95 % point, where the figure has one: below it no rule fires.
        pvalue: Of what is compared; None where nothing is tested.
        moved: The change that is compared with the margin, with its sign; None where none is.
        exact: Whether changed labels and thresholds alone, which are no sampling noise, exceed the margin.
        change: The change and its causes, where the metric has them.
        drift: The drift of the block that decided.
        causes: Which causes of drift alarm: `data`, `model`.
        errors: What new samples say about the model's errors, where that alarms; None where it does not.
        by_change: Whether the change of the whole figure meets the condition, too.
        block: The name of the anomaly block the figure is of; empty where it is of the target.
        against: The baseline that was compared with.
        notes: What happened to the model since the baseline, a sentence each.
        reason: Why the rule does not apply, in a clause; empty where it does.
        power: What the test could have seen; None where there is none, or no formula for it.
        undecided: By what samples are grouped, where there are too few groups to tell whether they are alike, so that
            chance may be larger than is said; empty elsewhere.
        cause: Which event it is of.
        margins: How many times its margin the change is; None where the rule has no margin.
        changed_samples, suspect_labels: As `Comparison` has them; empty where the rule compares with no baseline.
        variants: The comparison with the reference variant that the rule was checked against.
        gap: The figure of it that decided.
    """

    answer: Answer
    recovered: bool = False
    value: float | None = None
    baseline: float | None = None
    threshold: float | None = None
    recover: float | None = None
    interval: Interval | None = None
    by_chance: float | None = None
    pvalue: float | None = None
    moved: float | None = None
    exact: bool = False
    change: Change | None = None
    drift: Drift | None = None
    causes: tuple[str, ...] = ()
    errors: ErrorEvidence | None = None
    by_change: bool = True
    block: str = ""
    against: BaselineFigures | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
    power: Power | None = None
    undecided: str = ""
    cause: Cause = OWN
    margins: float | None = None
    changed_samples: Mapping[str, int] = field(default_factory=dict)
    suspect_labels: Mapping[str, int] = field(default_factory=dict)
    variants: VariantComparison | None = None
    gap: VariantGap | None = None


def check_rule(rule: Rule, evaluation: Evaluation, comparison: Comparison | None) -> Verdict:
    """Hold a result set against a rule.

    Args:
        rule: One that is checked against result sets.
        evaluation: The figures of the result set.
        comparison: It against its baseline; None where there is none.

    Raises:
        ValueError: The rule is checked by the clock.
    """
    found = _checked(rule, evaluation, comparison)
    if comparison is not None:
        found = replace(found, cause=_cause(rule, found, comparison))
        if found.against is not None:
            found = replace(found, changed_samples=comparison.changed_samples, suspect_labels=comparison.suspect_labels)
    by_chance = found.interval is not None or found.pvalue is not None or found.drift is not None
    return replace(found, undecided=evaluation.group_by) if by_chance and undecided(evaluation.units) else found


def _checked(rule: Rule, evaluation: Evaluation, comparison: Comparison | None) -> Verdict:
    match rule.condition:
        case Above() | Below() as limit:
            return _limit(limit, rule.recover, evaluation)
        case Drop() | Rise() as moved:
            if comparison is None:
                return _none("there is no baseline to compare with")
            if FIGURES[moved.metric].test is not None:
                by_errors = rule.name == ACCURACY_REGRESSED and moved.metric == ACCURACY and isinstance(moved, Drop)
                return _tested(moved, rule.recover, evaluation, comparison, by_errors=by_errors)
            return _untested(moved, rule.recover, evaluation, comparison)
        case AnomalyDrift() as drifted:
            return _drift(drifted, comparison) if comparison else _none("there is no baseline to compare with")
        case QuantizationLoss() as loss:
            return _loss(loss, rule.recover, comparison) if comparison else _none("there is no comparison yet")
    raise ValueError(f"{rule.name} is checked by the clock, not against a result set")


def _cause(rule: Rule, found: Verdict, comparison: Comparison) -> Cause:
    match rule.condition:
        case Drop() | Rise():
            return causes.of_change(found.change, comparison) if found.by_change else causes.of_new_samples(comparison)
        case AnomalyDrift():
            return causes.of_drift(found.causes, comparison)
        case Above(metric=metric) | Below(metric=metric):
            change = comparison.change(metric)
            # where it moved the other way, that is not why it is beyond the threshold
            towards = change is not None and (change.current > change.baseline) == isinstance(rule.condition, Above)
            return causes.of_change(change, comparison) if towards else OWN
        case QuantizationLoss():
            return causes.of_variants(comparison)
        case _:
            return OWN


def _none(reason: str) -> Verdict:
    return Verdict(Answer.NOT_APPLICABLE, reason=reason)


def _absent(metric: str) -> Verdict:
    return _none(f"this result set has no {metric}")


def _default_recovery(interval: Interval | None) -> float:
    return max((interval.upper - interval.lower) * _HALF_ERROR, SMALLEST_RECOVERY) if interval else SMALLEST_RECOVERY


def _limit(limit: Above | Below, recover: float | None, evaluation: Evaluation) -> Verdict:
    metric = limit.metric
    threshold = limit.threshold
    row = FIGURES[metric]
    figure = row.read(evaluation)
    if figure is None:
        return _absent(metric)
    interval = figure.interval
    if not row.has_interval and figure.by_chance is None:
        interval = Interval(figure.value, figure.value)  # nothing is known of its noise
    recover = _default_recovery(figure.interval) if recover is None else recover
    if isinstance(limit, Above):
        # Never beyond the figure's own range: `above: 0` could not recover otherwise.
        back = max(threshold - recover, min(threshold, row.lowest))
        point = figure.value > threshold
        whole = interval is not None and interval.lower > threshold
        recovered = figure.value <= back or _by_chance(figure)
        point = point and not _by_chance(figure)
    else:
        back = min(threshold + recover, max(threshold, row.highest))
        point = figure.value < threshold
        whole = interval is not None and interval.upper < threshold
        recovered = figure.value >= back
    if not point:
        answer = Answer.NO
    elif whole:
        answer = Answer.YES
    else:
        answer = Answer.POINT
    return Verdict(
        answer,
        recovered,
        figure.value,
        threshold=threshold,
        recover=recover,
        interval=figure.interval,
        by_chance=figure.by_chance,
        block=figure.block,
    )


def _by_chance(figure: Headline) -> bool:
    """Whether chance alone reaches the figure."""
    return figure.by_chance is not None and figure.value <= figure.by_chance


def _tested(
    rule: Drop | Rise, recover: float | None, evaluation: Evaluation, comparison: Comparison, *, by_errors: bool
) -> Verdict:
    change = comparison.change(rule.metric)
    if change is None:
        return _none(f"the two runs have no {rule.metric} to compare")
    if (moved := change.tested_change) is None:
        return _none(f"the two runs share too few {FIGURES[rule.metric].counts} to judge a change of {rule.metric}")
    figure = FIGURES[rule.metric].read(evaluation)
    interval = figure.interval if figure else None
    sign = _sign(rule)
    pvalue = change.tested_pvalue
    exact = sign * (change.exact_change or 0.0)
    significant = rule.significance is None or (pvalue is not None and pvalue <= rule.significance)
    beyond = sign * moved > rule.margin + _ROUNDING
    alone = beyond and exact > rule.margin + _ROUNDING
    met = beyond and (alone or significant)
    recover = min(_default_recovery(interval) if recover is None else recover, rule.margin)
    back = rule.margin - recover + _ROUNDING
    errors = comparison.errors if by_errors else None
    alarming = errors is not None and errors.alarm and errors.increase > rule.margin + _ROUNDING
    calm = errors is None or not errors.alarm or errors.increase <= back
    return Verdict(
        Answer.YES if met or alarming else Answer.NO,
        sign * moved <= back and calm,
        value=change.current,
        baseline=change.baseline,
        threshold=rule.margin,
        recover=recover,
        interval=interval,
        pvalue=pvalue,
        moved=moved,
        exact=alone,
        change=change,
        errors=errors if alarming else None,
        by_change=met,
        against=comparison.baseline,
        notes=comparison.notes,
        power=comparison.power(rule.metric) if isinstance(rule, Drop) else None,
        margins=_margins(rule.margin, sign * moved if met or not alarming else 0.0, errors if alarming else None),
    )


def _untested(rule: Drop | Rise, recover: float | None, evaluation: Evaluation, comparison: Comparison) -> Verdict:
    figure: Headline | None = FIGURES[rule.metric].read(evaluation)
    before = comparison.baseline.values.get(rule.metric)
    if figure is None or before is None:
        return _absent(rule.metric) if figure is None else _none(f"the baseline has no {rule.metric}")
    moved = figure.value - before
    met = rule.significance is None and _sign(rule) * moved > rule.margin + _ROUNDING
    met = met and not (isinstance(rule, Rise) and _by_chance(figure))
    recover = min(_default_recovery(figure.interval) if recover is None else recover, rule.margin)
    return Verdict(
        Answer.YES if met else Answer.NO,
        _sign(rule) * moved <= rule.margin - recover + _ROUNDING,
        value=figure.value,
        baseline=before,
        threshold=rule.margin,
        recover=recover,
        interval=figure.interval,
        by_chance=figure.by_chance,
        moved=moved,
        block=figure.block,
        against=comparison.baseline,
        notes=comparison.notes,
        margins=_margins(rule.margin, _sign(rule) * moved),
    )


def _margins(margin: float, moved: float, errors: ErrorEvidence | None = None) -> float | None:
    """How many times the margin the change is, of the whole figure or among new samples."""
    largest = max(moved, errors.increase) if errors is not None else moved
    return (largest + _ROUNDING) / margin if margin > 0 else None


def _sign(rule: Drop | Rise) -> int:
    return 1 if isinstance(rule, Rise) else -1


def _drift(rule: AnomalyDrift, comparison: Comparison) -> Verdict:
    if not comparison.drifts:
        return _none("this result set has no anomaly scores")
    alarms = {index: _alarms(rule, drift) for index, drift in enumerate(comparison.drifts)}
    worst = max(alarms, key=lambda index: (len(alarms[index]) > 0, comparison.drifts[index].evidence))
    drift = comparison.drifts[worst]
    alarming = alarms[worst]
    return Verdict(
        Answer.YES if alarming else Answer.NO,
        not any(alarms.values()),
        value=drift.evidence,
        threshold=ALARM,
        pvalue=drift.pvalues.get("model"),
        drift=drift,
        causes=alarming,
        block=drift.block.name,
        against=comparison.baseline,
        notes=comparison.notes,
        margins=max((_drift_margins(drift, cause) for cause in alarming), default=0.0),
    )


def _drift_margins(drift: Drift, cause: str) -> float:
    """How many times the difference that matters the scores differ."""
    found = drift.distances.get(cause)
    if found is None:
        return 0.0
    return max(found.wasserstein / EFFECT_WASSERSTEIN, abs(found.exceedance) / EFFECT_EXCEEDANCE)


def _alarms(rule: AnomalyDrift, drift: Drift) -> tuple[str, ...]:
    """Which causes of a block's drift are significant, and matter; of new samples, as long as the alarm lasts."""
    model = drift.pvalues.get("model", 1.0) <= rule.significance and drift.gates.get("model", False)
    return ("data",) * drift.alarm + ("model",) * model


def _loss(rule: QuantizationLoss, recover: float | None, comparison: Comparison) -> Verdict:
    variants = comparison.variants
    if variants is None:
        return _none("there is no reference variant to compare with")
    if not variants.gaps:
        why = variants.reason or "they have no figure in common that is compared"
        return _none(f"the variant is not compared with {variants.against}: {why}")
    met = [gap for gap in variants.gaps if lost(rule, gap) or grew(rule, gap)]
    worst = max(met or variants.gaps, key=_loss_of)
    recover = min(_default_recovery(worst.interval) if recover is None else recover, rule.margin)
    by_growth = worst.growth if grew(rule, worst) and not lost(rule, worst) else None
    return Verdict(
        Answer.YES if met else Answer.NO,
        all(_loss_of(gap) <= rule.margin - recover + _ROUNDING for gap in variants.gaps),
        value=by_growth.size if by_growth else worst.size,
        threshold=rule.margin,
        recover=recover,
        interval=None if by_growth else worst.interval,
        pvalue=by_growth.pvalue if by_growth else worst.pvalue,
        against=comparison.baseline if worst.growth else None,
        variants=variants,
        gap=worst,
        margins=_margins(rule.margin, max(_significant_losses(rule, met), default=0.0)),
    )


def _significant_losses(rule: QuantizationLoss, gaps: Iterable[VariantGap]) -> Iterator[float]:
    """The gaps, and what gaps have grown by, that are too large."""
    for gap in gaps:
        if lost(rule, gap):
            yield gap.size
        if gap.growth is not None and grew(rule, gap):
            yield gap.growth.size


def lost(rule: QuantizationLoss, gap: VariantGap) -> bool:
    """Whether the gap itself is too large, and significant."""
    return gap.size > rule.margin + _ROUNDING and gap.pvalue <= rule.significance


def grew(rule: QuantizationLoss, gap: VariantGap) -> bool:
    """Whether the gap has grown too much since the baseline, significantly."""
    growth = gap.growth
    if growth is None or growth.pvalue is None:
        return False
    return growth.size > rule.margin + _ROUNDING and growth.pvalue <= rule.significance


def _loss_of(gap: VariantGap) -> float:
    """The larger of the gap and of what it has grown by."""
    return max(gap.size, gap.growth.size if gap.growth else 0.0)
