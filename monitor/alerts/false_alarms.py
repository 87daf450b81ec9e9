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
class Pace:
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
        yearly: In a year, all of these; of targets whose pace is known.
        unknown: Of how many targets the pace is not known.
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


def expected(rules: Iterable[Rule], paces: Sequence[Pace]) -> list[Expected]:
    """The false alarms of each rule that is checked against result sets and applies to a target."""
    found = (_of_rule(rule, [pace for pace in paces if rule.matches(pace.subject)]) for rule in rules)
    return [each for each in found if each is not None and each.targets]


def _of_rule(rule: Rule, paces: Sequence[Pace]) -> Expected | None:
    match rule.condition:
        case Drop(metric=metric, significance=level) | Rise(metric=metric, significance=level):
            compared = [pace for pace in paces if pace.comparison and pace.comparison.change(metric) is not None]
            if level is None:
                return Expected(rule, len(compared), bounded=False)
            by_errors = rule.name == ACCURACY_REGRESSED and metric == ACCURACY
            references = [int(by_errors and pace.comparison.errors is not None) for pace in compared if pace.comparison]
            # Two-sided: half of what is significant goes the other way.
            return _bounded(rule, compared, references, per_set=level / 2, per_training=EVER)
        case AnomalyDrift(significance=level):
            drifting = [pace for pace in paces if pace.comparison and pace.comparison.drifts]
            blocks = [len(pace.comparison.drifts) for pace in drifting if pace.comparison]
            # Each training begins a new reference, and is tested once on the shared samples.
            return _bounded(rule, drifting, blocks, per_set=0.0, per_training=EVER + level)
        case Above() | Below():
            return Expected(rule, len(paces), bounded=False)
    return None


def _bounded(
    rule: Rule, paces: Sequence[Pace], references: Sequence[int], per_set: float, per_training: float
) -> Expected:
    """The bounds of a rule.

    Args:
        rule: Which.
        paces: The targets that it applies to.
        references: How many references new samples are compared with, by target.
        per_set: The chance of a false alarm when the result set has changed.
        per_training: The chance that each reference brings when the model is trained.
    """
    lasting = EVER * sum(references)
    known = [pace.sets is not None and pace.trainings is not None for pace in paces]
    sets = sum(pace.sets or 0.0 for pace, counts in zip(paces, known, strict=True) if counts)
    again = sum(
        (pace.trainings or 0.0) * count for pace, count, counts in zip(paces, references, known, strict=True) if counts
    )
    return Expected(
        rule,
        len(paces),
        per_set=per_set * len(paces),
        per_training=per_training * sum(references),
        lasting=lasting,
        yearly=per_set * sets + lasting + per_training * again,
        unknown=known.count(False),
    )


def said(found: Sequence[Expected]) -> Iterator[str]:
    """The bounds in words: a sentence for each rule, and one for all of them."""
    for each in found:
        yield f"{each.rule.name}, {each.targets:,} target{'s' if each.targets > 1 else ''}: {_bound(each)}"
    bounded = [each for each in found if each.bounded]
    if bounded:
        left_out = "" if len(bounded) == len(found) else ", without the rules that have no bound"
        unknown = max(each.unknown for each in bounded)
        partly = f", and without {unknown:,} targets whose pace is not known yet" if unknown else ""
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
