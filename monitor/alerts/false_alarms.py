"""How many false alarms a configuration is to expect: from its rules, its targets, and how often their result sets
change, where nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitor.alerts.rules import ACCURACY_REGRESSED, Above, AnomalyDrift, Below, Drop, Rise, Rule, Subject
from monitor.compare.change import ACCURACY
from monitor.compare.comparison import Comparison
from monitor.compare.martingale import ALARM

EVER = 10**-ALARM
"""The chance that evidence from new samples ever alarms although they are like the reference, at most (Ville): of
drift per block, of errors once, and again for each baseline and model.
"""


@dataclass(frozen=True, slots=True)
class ChangeRate:
    """A target, and how often something about it changes.

    Attributes:
        subject: The target, as rules match it.
        comparison: Its last one: which figures and blocks it has; None before there was one.
        sets: Changed result sets in a year; None where that is not known yet.
        trainings: Trainings in a year; None likewise.
    """

    subject: Subject
    comparison: Comparison | None
    sets: float | None = None
    trainings: float | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """The false alarms of one rule: upper bounds, of all its targets together.

    Attributes:
        rule: Which.
        targets: To how many it applies.
        per_set: When the result set of each has changed once.
        per_training: When the model of each was trained once.
        lasting: For as long as baselines and models last, however often one looks.
        yearly: In a year, all of these; of targets whose rates are known.
        unknown: Of how many targets the rates are not known.
        bounded: Whether there is a bound; a rule without a test, or about a threshold, has none.
    """

    rule: Rule
    targets: int
    per_set: float = 0.0
    per_training: float = 0.0
    lasting: float = 0.0
    yearly: float = 0.0
    unknown: int = 0
    bounded: bool = True


def expected(rules: Iterable[Rule], rates: Sequence[ChangeRate]) -> list[Expected]:
    """The false alarms of each rule that is checked against result sets and applies to a target."""
    found = (_of_rule(rule, [rate for rate in rates if rule.matches(rate.subject)]) for rule in rules)
    return [each for each in found if each is not None and each.targets]


def _of_rule(rule: Rule, rates: Sequence[ChangeRate]) -> Expected | None:
    match rule.condition:
        case Drop(metric=metric, significance=level) | Rise(metric=metric, significance=level):
            compared = [rate for rate in rates if rate.comparison and rate.comparison.change(metric) is not None]
            if level is None:
                return Expected(rule, len(compared), bounded=False)
            by_errors = rule.name == ACCURACY_REGRESSED and metric == ACCURACY
            references = [int(by_errors and rate.comparison.errors is not None) for rate in compared if rate.comparison]
            # Two-sided: half of what is significant goes the other way.
            return _bounded(rule, compared, references, per_set=level / 2, per_training=EVER)
        case AnomalyDrift(significance=level):
            drifting = [rate for rate in rates if rate.comparison and rate.comparison.drifts]
            blocks = [len(rate.comparison.drifts) for rate in drifting if rate.comparison]
            # Each training begins a new reference, and is tested once on the shared samples.
            return _bounded(rule, drifting, blocks, per_set=0.0, per_training=EVER + level)
        case Above() | Below():
            return Expected(rule, len(rates), bounded=False)
    return None


def _bounded(
    rule: Rule, rates: Sequence[ChangeRate], references: Sequence[int], per_set: float, per_training: float
) -> Expected:
    """The bounds of a rule.

    Args:
        rule: Which.
        rates: The targets that it applies to.
        references: How many references new samples are compared with, by target.
        per_set: The chance of a false alarm when the result set has changed.
        per_training: The chance that each reference brings when the model is trained.
    """
    lasting = EVER * sum(references)
    known = [rate.sets is not None and rate.trainings is not None for rate in rates]
    sets = sum(rate.sets or 0.0 for rate, counts in zip(rates, known, strict=True) if counts)
    again = sum(
        (rate.trainings or 0.0) * count for rate, count, counts in zip(rates, references, known, strict=True) if counts
    )
    return Expected(
        rule,
        len(rates),
        per_set=per_set * len(rates),
        per_training=per_training * sum(references),
        lasting=lasting,
        yearly=per_set * sets + lasting + per_training * again,
        unknown=known.count(False),
    )


def sentences(found: Sequence[Expected]) -> Iterator[str]:
    """The bounds in words: a sentence for each rule, and one for all of them."""
    for each in found:
        yield f"{each.rule.name}, {each.targets:,} target{'s' if each.targets > 1 else ''}: {_bound(each)}"
    bounded = [each for each in found if each.bounded]
    if bounded:
        left_out = "" if len(bounded) == len(found) else ", without the rules that have no bound"
        unknown = max(each.unknown for each in bounded)
        unknown_rates = f", and without {unknown:,} targets of which it is not known yet how often they change"
        partly = unknown_rates if unknown else ""
        yield f"all rules together: at most {_number(sum(each.yearly for each in bounded))} in a year{left_out}{partly}"


def _bound(each: Expected) -> str:
    if not each.bounded and isinstance(each.rule.condition, Above | Below):
        return "no bound: it depends on how close the true figures are to the threshold"
    if not each.bounded:
        return "no bound: it has no significance level"
    parts = []
    if each.unknown < each.targets:
        parts.append(f"at most {_number(each.yearly)} in a year")
    if each.per_set:
        parts.append(f"at most {_number(each.per_set)} each time that all result sets have changed")
    if each.lasting:
        parts.append(f"at most {_number(each.lasting)} for as long as baselines and models last")
        parts.append(f"{_number(each.per_training)} each time that all models are trained")
    if each.unknown:
        parts.append(f"how often they change is not known yet of {each.unknown:,}")
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
