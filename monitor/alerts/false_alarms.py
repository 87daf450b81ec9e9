"""How many false alarms a configuration is to expect: from its rules, its targets, and how often their result sets
change, where nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum

from monitor.alerts.rules import (
    ACCURACY_REGRESSED,
    Above,
    AnomalyDrift,
    Below,
    Condition,
    Drop,
    QuantizationLoss,
    Rise,
    Rule,
    Subject,
)
from monitor.compare.change import ACCURACY
from monitor.compare.comparison import Comparison
from monitor.compare.martingale import ALARM
from monitor.compare.variants import VariantComparison
from monitor.figures.groups import FEWEST_GROUPS

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
        undecided: Whether it has too few groups to tell whether their samples are alike: no test of it has a bound.
    """

    subject: Subject
    comparison: Comparison | None
    sets: float | None = None
    trainings: float | None = None
    undecided: bool = False


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
        unknown: Ids of the targets whose rates are not known.
        undecided: For how many targets no bound is claimed: they have too few groups to tell whether samples are alike.
        bounded: Whether there is a bound; a rule without a test, or about a threshold, has none.
    """

    rule: Rule
    targets: int
    per_set: float = 0.0
    per_training: float = 0.0
    lasting: float = 0.0
    yearly: float = 0.0
    unknown: frozenset[str] = frozenset()
    undecided: int = 0
    bounded: bool = True

    @property
    def decided(self) -> int:
        """For how many targets there is a bound."""
        return self.targets - self.undecided if self.bounded else 0


@dataclass(frozen=True, slots=True)
class _Chances:
    """The chances of a false alarm that one target adds to a rule, at most.

    Attributes:
        per_set: When its result set has changed.
        references: How many references its new samples are compared with: each adds `EVER` for as long as it lasts, and
            again when the model is trained.
        per_training: When its model was trained, beside that.
        decided: Whether these are bounds.
    """

    per_set: float = 0.0
    references: int = 0
    per_training: float = 0.0
    decided: bool = True


def expected(rules: Iterable[Rule], rates: Sequence[ChangeRate]) -> list[Expected]:
    """The false alarms of each rule that is checked against result sets and applies to a target."""
    found = (_of_rule(rule, [rate for rate in rates if rule.matches(rate.subject)]) for rule in rules)
    return [each for each in found if each.targets]


def _of_rule(rule: Rule, rates: Sequence[ChangeRate]) -> Expected:
    applies = [(rate, chances) for rate in rates if (chances := _chances(rule, rate)) is not None]
    if not _has_bound(rule.condition):
        return Expected(rule, len(applies), bounded=False)
    decided = [(rate, chances) for rate, chances in applies if chances.decided and not rate.undecided]
    yearly = [_yearly(rate, chances) for rate, chances in decided]
    return Expected(
        rule,
        len(applies),
        per_set=fsum(chances.per_set for _, chances in decided),
        per_training=fsum(EVER * chances.references + chances.per_training for _, chances in decided),
        lasting=EVER * sum(chances.references for _, chances in decided),
        yearly=fsum(each for each in yearly if each is not None),
        unknown=frozenset(rate.subject.id for (rate, _), each in zip(decided, yearly, strict=True) if each is None),
        undecided=len(applies) - len(decided),
    )


def _has_bound(condition: Condition) -> bool:
    if isinstance(condition, Drop | Rise):
        return condition.significance is not None
    return not isinstance(condition, Above | Below)


def _yearly(rate: ChangeRate, chances: _Chances) -> float | None:
    """What a target adds in a year; None where it is not known how often it changes."""
    if rate.sets is None or rate.trainings is None:
        return None
    lasting = EVER * chances.references
    return chances.per_set * rate.sets + lasting + (lasting + chances.per_training) * rate.trainings


def _chances(rule: Rule, rate: ChangeRate) -> _Chances | None:
    """What a target adds to a rule; None where the rule has nothing to check there."""
    if isinstance(rule.condition, Above | Below):
        return _Chances()
    if rate.comparison is None:
        return None
    match rule.condition:
        case Drop() | Rise():
            return _of_change(rule, rule.condition, rate.comparison)
        case AnomalyDrift(significance=level):
            drifts = rate.comparison.drifts
            known = all(drift.unit_known for drift in drifts)
            # Each training begins a new reference, and is tested once on the shared samples.
            return _Chances(0.0, len(drifts), level * len(drifts), known) if drifts else None
        case QuantizationLoss(significance=level):
            return _of_variant(level, rate.comparison.variants)
    return None


def _of_change(rule: Rule, moved: Drop | Rise, comparison: Comparison) -> _Chances | None:
    level = moved.significance
    if comparison.change(moved.metric) is None:  # it has no test: only a rule that takes any change can fire
        return _Chances() if level is None and moved.metric in comparison.baseline.values else None
    errors = comparison.errors if rule.name == ACCURACY_REGRESSED and moved.metric == ACCURACY else None
    # Two-sided: half of what is significant goes the other way.
    return _Chances((level or 0.0) / 2, int(errors is not None), decided=errors is None or errors.unit_known)


def _of_variant(level: float, variants: VariantComparison | None) -> _Chances | None:
    """Each figure's gap is tested, and what it has grown by; half of what is significant is no loss."""
    if variants is None or not variants.gaps:
        return None
    tests = sum(1 + (gap.growth is not None) for gap in variants.gaps)
    return _Chances(tests * level / 2)


def sentences(found: Sequence[Expected]) -> Iterator[str]:
    """The bounds in words: a sentence for each rule, and one for all of them."""
    for each in found:
        yield f"{each.rule.name}, {_targets(each.targets)}: {_bound(each)}"
    bounded = [each for each in found if each.decided]
    if bounded:
        yield f"all rules together: {_sum(bounded, whole=all(each.decided == each.targets for each in found))}"


def _sum(bounded: Sequence[Expected], *, whole: bool) -> str:
    """The bound of all rules, and what it assumes.

    Args:
        bounded: Those that have one for a target.
        whole: Whether every rule has one for each of its targets.
    """
    if all(len(each.unknown) == each.decided for each in bounded):
        return "no sum for a year, as it is not known yet how often the targets change"
    parts = [f"at most {_number(sum(each.yearly for each in bounded))} in a year"]
    if not whole:
        parts.append("without what has no bound")
    if unknown := len(frozenset().union(*(each.unknown for each in bounded))):
        parts.append(f"without {_targets(unknown)} of which it is not known yet how often they change")
    if any(each.lasting for each in bounded):
        parts.append(f"if no evidence starts again: each start adds at most {_number(EVER)}")
    return ", ".join(parts)


def _bound(each: Expected) -> str:
    if not each.bounded and isinstance(each.rule.condition, Above | Below):
        return "no bound: it depends on how close the true figures are to the threshold"
    if not each.bounded:
        return "no bound: it has no significance level"
    unclear = f"with fewer than {FEWEST_GROUPS} groups nobody can tell whether samples are alike"
    if not each.decided:
        return f"no bound claimed: {unclear}"
    parts = []
    if len(each.unknown) < each.decided:
        parts.append(f"at most {_number(each.yearly)} in a year")
    if each.per_set:
        parts.append(f"at most {_number(each.per_set)} each time that all result sets have changed")
    if each.lasting:
        parts.append(f"at most {_number(each.lasting)} for as long as baselines and models last")
        parts.append(f"{_number(each.per_training)} each time that all models are trained")
    if each.unknown:
        parts.append(f"how often they change is not known yet of {len(each.unknown):,}")
    if each.undecided:
        parts.append(f"no bound claimed for {each.undecided:,}: {unclear}")
    return ", ".join(parts)


def _targets(count: int) -> str:
    return f"{count:,} target{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
