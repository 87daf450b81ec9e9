"""`alerts`: what an operator writes about each, and the rules that follow.

An entry is one of several shapes, distinguished by the condition that is written, or by the built-in alert whose
condition it keeps. Each shape has only the keys that mean something beside its condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag
from pydantic_core import InitErrorDetails

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
    Severity,
    built_in,
)
from monitor.compare.change import ACCURACY
from monitor.config.alert_values import (
    BUILT_IN,
    NAME,
    AlertName,
    Annotations,
    AnyRecovery,
    DriftLevel,
    For,
    HighestAllowed,
    KeptLevel,
    KeptRecovery,
    Level,
    LossLevel,
    LossRecovery,
    LowestAllowed,
    Margin,
    Metric,
    OnlyDuration,
    Patterns,
    Recovery,
)
from monitor.config.base import TAG, ConfigModel, broken
from monitor.config.values import Labels

CONDITIONS = ("drop", "rise", "above", "below")

_ONE_OF = f"{', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}"
_SIGNIFICANCE = 0.01


class AlertConfig(ConfigModel):
    """One alert: what all of them have. Its subclasses are the shapes."""

    relatives: ClassVar[tuple[str, ...]] = ("metric", *CONDITIONS, "significance", "recover")
    never_empty: ClassVar[tuple[str, ...]] = ("for", "recover", "significance")

    alert: AlertName
    """Its name, in CamelCase: letters and digits. A built-in alert's name without a condition changes only what is
    written; with one it replaces that alert.
    """
    hold_for: For | None = Field(None, alias="for")
    """How long it stays pending, `0` by default. `2 pulls`: in so many distinct result sets in a row, the first
    included; or a duration.
    """
    match: Patterns | None = None
    """Patterns (`*`, `?`, `[a-c]`) by label, all of which must match: `project`, `project_id`, `impulse`, `impulse_id`,
    `variant`, `category`, and the projects' own. All targets by default.
    """
    severity: Severity | None = None
    """`critical`, `warning` or `info`. By default `warning`, and `critical` for a change of three times the margin."""
    labels: Labels | None = None
    """Labels for its alerts, in place of the project's of the same name."""
    annotations: Annotations | None = None
    """Annotations for its alerts, such as `runbook_url`; `summary` and `description` are the monitor's."""
    enabled: bool = True
    """`false` switches it off."""

    def rule(self) -> Rule:
        """The rule that it stands for; whether it is switched off is another question."""
        base = self._base()
        return replace(
            base,
            severity=self.severity or base.severity,
            labels=base.labels if self.labels is None else self.labels,
            annotations=base.annotations if self.annotations is None else self.annotations,
            match=base.match if self.match is None else self.match,
            for_results=base.for_results if self.hold_for is None else self.hold_for.results,
            for_seconds=base.for_seconds if self.hold_for is None else self.hold_for.seconds,
        )

    def _base(self) -> Rule:
        """The rule by its condition alone."""
        raise NotImplementedError


def _beside(condition: str, **more: str) -> dict[str, str]:
    """What cannot stand beside a condition: another one."""
    others = {name: f"cannot stand beside {condition}; remove one of them" for name in CONDITIONS if name != condition}
    return others | more


def _absent(condition: str) -> dict[str, tuple[str, str]]:
    """Where it is reported that something is missing beside a condition."""
    needs_metric = f"needs a metric; write `metric: {ACCURACY}`, or another, beside it"
    return {"metric": (condition, needs_metric), "significance": ("metric", "")}


_NOTHING = "means nothing for this alert; remove it"
_WHOLE_INTERVAL = "means nothing beside {}, which waits for the whole interval; remove it"


class DropAlert(AlertConfig):
    """An alert that fires when a figure is down against the baseline."""

    misplaced = _beside("drop")
    absence = _absent("drop")

    metric: Metric
    drop: Margin
    """Fires when the figure is down by more than this against the baseline. Ratios are shares: `0.03` is 3 points."""
    significance: Level = None
    recover: Recovery = None

    def _base(self) -> Rule:
        return Rule(self.alert, Drop(self.metric, self.drop, _level(self.significance)), recover=self.recover)


class RiseAlert(AlertConfig):
    """An alert that fires when a figure is up against the baseline."""

    misplaced = _beside("rise")
    absence = _absent("rise")

    metric: Metric
    rise: Margin
    """Fires when the figure is up by more than this against the baseline."""
    significance: Level = None
    recover: Recovery = None

    def _base(self) -> Rule:
        return Rule(self.alert, Rise(self.metric, self.rise, _level(self.significance)), recover=self.recover)


class AboveAlert(AlertConfig):
    """An alert that fires when a figure is too high."""

    misplaced = _beside("above", significance=_WHOLE_INTERVAL.format("above"))
    absence = _absent("above")

    metric: Metric
    above: HighestAllowed
    """Fires when the figure is above this, with its whole interval."""
    recover: AnyRecovery = None

    def _base(self) -> Rule:
        return Rule(self.alert, Above(self.metric, self.above), recover=self.recover)


class BelowAlert(AlertConfig):
    """An alert that fires when a figure is too low."""

    misplaced = _beside("below", significance=_WHOLE_INTERVAL.format("below"))
    absence = _absent("below")

    metric: Metric
    below: LowestAllowed
    """Fires when the figure is below this, with its whole interval."""
    recover: AnyRecovery = None

    def _base(self) -> Rule:
        return Rule(self.alert, Below(self.metric, self.below), recover=self.recover)


class _BuiltInAlert(AlertConfig):
    """A built-in alert that keeps its condition."""

    misplaced: ClassVar[Mapping[str, str]] = {"metric": f"means nothing without {_ONE_OF}; write one of them beside it"}
    conditions: ClassVar[tuple[type, ...]] = ()
    """Of the built-in alerts that have this shape."""

    @classmethod
    def add_rules(cls, schema: dict[str, Any]) -> None:
        """Add which alerts have this shape."""
        super().add_rules(schema)
        names = sorted(name for name, rule in BUILT_IN.items() if isinstance(rule.condition, cls.conditions))
        schema["properties"]["alert"] = {"enum": names, "description": "Its name."}

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        name = data.get("alert")
        if isinstance(name, str) and re.fullmatch(NAME, name) and name not in BUILT_IN and "metric" not in data:
            near = get_close_matches(name, BUILT_IN, n=1, cutoff=0.8)
            if near:
                own = f"An alert of your own needs metric, and {_ONE_OF}"
                yield broken(("alert",), f"names no built-in alert; did you mean {near[0]}? {own}")
            else:
                yield broken((), f"needs metric, and {_ONE_OF}; only a built-in alert does without them")

    def _base(self) -> Rule:
        return BUILT_IN[self.alert]


class BuiltInDrop(_BuiltInAlert):
    """A built-in alert about a drop."""

    conditions = (Drop,)

    significance: KeptLevel = None
    recover: KeptRecovery = None

    def _base(self) -> Rule:
        kept = super()._base()
        assert isinstance(kept.condition, Drop)  # what distinguishes the shapes
        level = _level(self.significance, kept.condition.significance)
        return replace(kept, condition=replace(kept.condition, significance=level), recover=self.recover)


class BuiltInDrift(_BuiltInAlert):
    """The built-in alert about drift."""

    conditions = (AnomalyDrift,)
    misplaced: ClassVar[Mapping[str, str]] = {**_BuiltInAlert.misplaced, "recover": _NOTHING}

    significance: DriftLevel = None
    """Significance level of drift of the same samples' scores: 0.01 unless written."""

    def _base(self) -> Rule:
        kept = super()._base()
        return kept if self.significance is None else replace(kept, condition=AnomalyDrift(float(self.significance)))


class BuiltInLoss(_BuiltInAlert):
    """The built-in alert about what a variant loses against the reference variant."""

    conditions = (QuantizationLoss,)

    significance: LossLevel = None
    """Significance level of the gap and of its growth: 0.01 unless written."""
    recover: LossRecovery = None
    """How far back inside the margin of 0.03 the gap must be to resolve; by default half its standard error, and 0.005
    at least.
    """

    def _base(self) -> Rule:
        kept = super()._base()
        assert isinstance(kept.condition, QuantizationLoss)  # what distinguishes the shapes
        level = kept.condition.significance if self.significance is None else float(self.significance)
        return replace(kept, condition=replace(kept.condition, significance=level), recover=self.recover)


class BuiltInByClock(_BuiltInAlert):
    """A built-in alert that the clock and the state of the pulls decide."""

    conditions = (PullFailing, ResultsVanished, KeyExpiring)
    misplaced: ClassVar[Mapping[str, str]] = {**_BuiltInAlert.misplaced, "recover": _NOTHING, "significance": _NOTHING}

    hold_for: OnlyDuration = Field(None, alias="for")
    """How long it stays pending: a duration."""


def _level(written: float | str | None, unless_written: float | None = _SIGNIFICANCE) -> float | None:
    """The significance of a condition; None where the margin alone counts."""
    if written is None:
        return unless_written
    return None if written == "off" else float(written)


_OWN = {"drop": DropAlert, "rise": RiseAlert, "above": AboveAlert, "below": BelowAlert}
_KEPT = (BuiltInDrop, BuiltInDrift, BuiltInLoss, BuiltInByClock)


def _shape(entry: object) -> str:
    """Which shape an entry has: by its condition, else by that of the built-in alert it names."""
    if isinstance(entry, AlertConfig):
        return TAG + type(entry).__name__
    data = entry if isinstance(entry, Mapping) else {}
    own = next((shape for name, shape in _OWN.items() if name in data), None)
    name = data.get("alert")
    rule = BUILT_IN.get(name) if isinstance(name, str) else None
    kept = next((shape for shape in _KEPT if rule and isinstance(rule.condition, shape.conditions)), BuiltInDrop)
    return TAG + (own or kept).__name__


Alert = Annotated[
    Annotated[DropAlert, Tag(f"{TAG}DropAlert")]
    | Annotated[RiseAlert, Tag(f"{TAG}RiseAlert")]
    | Annotated[AboveAlert, Tag(f"{TAG}AboveAlert")]
    | Annotated[BelowAlert, Tag(f"{TAG}BelowAlert")]
    | Annotated[BuiltInDrop, Tag(f"{TAG}BuiltInDrop")]
    | Annotated[BuiltInDrift, Tag(f"{TAG}BuiltInDrift")]
    | Annotated[BuiltInLoss, Tag(f"{TAG}BuiltInLoss")]
    | Annotated[BuiltInByClock, Tag(f"{TAG}BuiltInByClock")],
    Discriminator(_shape),
]
"""One entry of `alerts`."""


def rules(alerts: Sequence[AlertConfig], defaults: bool) -> tuple[Rule, ...]:
    """The rules that apply: the built-in ones unless `defaults` is off, each replaced by one of its name, then the
    others.
    """
    written = {alert.alert: alert for alert in alerts}
    names = [rule.name for rule in built_in() if defaults or rule.name in written]
    names += [name for name in written if name not in BUILT_IN]
    return tuple(
        written[name].rule() if name in written else BUILT_IN[name]
        for name in names
        if name not in written or written[name].enabled
    )
