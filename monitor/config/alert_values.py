"""The values that an operator writes below `alerts`, as annotated types; each refuses values without a meaning.

Values that depend on another one, such as a margin on its metric, come after it in their shape: a field sees the valid
fields before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from monitor.alerts.rules import Drop, QuantizationLoss, built_in
from monitor.config.durations import parse_duration, written_duration
from monitor.config.numbers import NotNegative, Number, parse_number
from monitor.config.values import LABEL_NAME, Text, label_name
from monitor.figures.headline import FIGURES, METRICS, HeadlineFigure, with_test

BUILT_IN = {rule.name: rule for rule in built_in()}
NAME = "^[A-Z][A-Za-z0-9]*$"

_SMALLEST_PAIRED = 0.001  # of the re-sampling that drift of one model is tested by
_PULLS = re.compile(r"([1-9][0-9]{0,5})\s+pulls?")
_WRITTEN = ("summary", "description")  # annotations that the monitor writes


@dataclass(frozen=True, slots=True)
class HoldFor:
    """How long a condition must hold: in so many distinct result sets, or for so many seconds."""

    results: int = 0
    seconds: float = 0.0


def _hold_for(value: object) -> HoldFor:
    if isinstance(value, HoldFor):
        return value
    if isinstance(value, str) and (match := _PULLS.fullmatch(value)):
        return HoldFor(results=int(match[1]))
    try:
        return HoldFor(seconds=parse_duration(value))
    except ValueError:
        raise ValueError("write `N pulls`, such as `2 pulls`, or a duration such as 1h") from None


def _written_hold_for(hold_for: HoldFor) -> str:
    return f"{hold_for.results} pulls" if hold_for.results else written_duration(hold_for.seconds)


def _alert_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("is not an alert's name; write CamelCase letters and digits, such as EdgeImpulseAccuracyLow")
    return name


def _annotation_name(name: str) -> str:
    if not re.fullmatch(LABEL_NAME, name):
        raise ValueError("is not an annotation's name; write letters, digits and underscores, with no digit first")
    if name in _WRITTEN:
        raise ValueError("is written by the monitor itself, with the figures and the cause; choose another name")
    return name


def _metric(value: object) -> str:
    if not isinstance(value, str) or value not in FIGURES:
        *names, last = METRICS
        raise ValueError(f"write {', '.join(names)} or {last}")
    return value


def _significance(value: object) -> float | str:
    if value == "off":
        return "off"
    try:
        number = parse_number(value)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise ValueError("must be a number above 0 and below 1, or off; write for example 0.01")
    return number


_patterns_of = {
    "type": "object",
    "additionalProperties": {"type": "string", "minLength": 1},
    "propertyNames": {"pattern": LABEL_NAME},
}
_pulls_text = {"type": "string", "pattern": r"^[1-9][0-9]{0,5}\s+pulls?$"}
_duration = {"type": "string", "pattern": "^[0-9]+[a-z]"}
For = Annotated[
    HoldFor,
    PlainValidator(_hold_for),
    PlainSerializer(_written_hold_for, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [_pulls_text, _duration, {"const": 0}]}),
]
Metric = Annotated[
    str,
    PlainValidator(_metric),
    WithJsonSchema({"type": "string", "enum": list(METRICS)}),
    Field(
        description="[Headline figure](figures.md#headline-figures) that it is about; required for an alert of your "
        "own."
    ),
]
Significance = Annotated[
    float | Literal["off"],
    PlainValidator(_significance),
    WithJsonSchema({"anyOf": [{"const": "off"}, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}]}),
]
AlertName = Annotated[str, AfterValidator(_alert_name), WithJsonSchema({"type": "string", "pattern": NAME})]
Annotations = Annotated[
    Mapping[Annotated[str, AfterValidator(_annotation_name)], Text],
    WithJsonSchema({**_patterns_of, "propertyNames": {"pattern": LABEL_NAME, "not": {"enum": list(_WRITTEN)}}}),
]
Patterns = Annotated[Mapping[Annotated[str, AfterValidator(label_name)], Text], WithJsonSchema(_patterns_of)]


Moved = Callable[[Mapping[str, Any]], tuple[HeadlineFigure | None, float]]
"""The figure and the margin that an entry is about, from its valid values; None and infinity where they are not."""


def _written(data: Mapping[str, Any]) -> tuple[HeadlineFigure | None, float]:
    margins = [data[name] for name in ("drop", "rise") if name in data]
    return FIGURES.get(data.get("metric", "")), margins[0] if margins else math.inf


def _kept(data: Mapping[str, Any]) -> tuple[HeadlineFigure | None, float]:
    rule = BUILT_IN.get(data.get("alert", ""))
    if rule is None or not isinstance(rule.condition, Drop):
        return None, math.inf
    return FIGURES[rule.condition.metric], rule.condition.margin


def _possible_margin(value: float, info: ValidationInfo) -> float:
    figure, _ = _written(info.data)
    if figure is not None and figure.is_ratio and not 0 < value < 1:
        raise ValueError("must be between 0 and 1: a share, 0.03 for 3 points")
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _possible_level(moved: Moved, value: float | str | None, info: ValidationInfo) -> float | str | None:
    """A level that the test of the figure can reach; `off` where it has none."""
    figure, _ = moved(info.data)
    if figure is None or value == "off":
        return value
    if figure.test is None:
        names = ", ".join(row.name for row in with_test())
        raise ValueError(f"has no test for a change (only {names} have); write `significance: off`")
    return _not_smaller(value, figure.test.value)


def _not_smaller(value: float | str | None, smallest: float) -> float | str | None:
    if isinstance(value, float) and value < smallest:
        raise ValueError(f"is smaller than a p-value by re-sampling can be; write {smallest:g} or more")
    return value


def _possible_drift_level(value: float | str | None) -> float | str | None:
    if value == "off":
        raise ValueError("cannot be off for this alert; write a number, or `enabled: false`")
    return _not_smaller(value, _SMALLEST_PAIRED)


def _possible_recovery(moved: Moved, value: float | None, info: ValidationInfo) -> float | None:
    _, margin = moved(info.data)
    if value is not None and value >= margin:
        raise ValueError(
            f"is not below the margin of {margin:g}, so that the alert could never resolve; write a smaller one"
        )
    return value


def _possible_loss_recovery(value: float | None, info: ValidationInfo) -> float | None:
    return _possible_recovery(lambda _: (None, QuantizationLoss().margin), value, info)


def _within(value: float, info: ValidationInfo, lowest_allowed: bool) -> float:
    """A threshold that the figure can be beyond, and is not always."""
    figure = FIGURES.get(info.data.get("metric", ""))
    if figure is None:
        return value
    lowest = figure.lowest
    highest = figure.highest
    never = value == (highest if lowest_allowed else lowest)
    if not lowest <= value <= highest or never:
        raise ValueError(f"can never be met, or always is; write {_range(figure)}")
    return value


def _range(figure: HeadlineFigure) -> str:
    lowest = figure.lowest
    highest = figure.highest
    if figure.is_ratio:
        return f"a share between {lowest:g} and {highest:g}"
    if math.isinf(lowest):
        return f"at most {highest:g}"
    return f"a number above {lowest:g}" if math.isinf(highest) else f"a number between {lowest:g} and {highest:g}"


def _possible_highest(value: float, info: ValidationInfo) -> float:
    return _within(value, info, lowest_allowed=True)


def _possible_lowest(value: float, info: ValidationInfo) -> float:
    return _within(value, info, lowest_allowed=False)


def _only_a_duration(value: HoldFor | None) -> HoldFor | None:
    if value is not None and value.results:
        raise ValueError("counts result sets, which this alert does not look at; write a duration such as 1h")
    return value


# Keys that several shapes have are described once, here, instead of by a docstring in each.
_OF_LEVEL = Field(
    description="Significance level of the change, `0.01` by default; `off` for the margin alone. Write `off` for a "
    "figure without a test. For one with a re-sampled test at least `0.003`, the smallest p-value that re-sampling "
    "gives."
)
_OF_RECOVERY = Field(
    description="How far back inside the figure must be to resolve, for `drop` and `rise` less than the margin; by "
    "default half its standard error, and 0.005 at least."
)
Margin = Annotated[Number, AfterValidator(_possible_margin)]
Level = Annotated[
    Significance | None,
    Field(validate_default=True),
    AfterValidator(partial(_possible_level, _written)),
    _OF_LEVEL,
]
KeptLevel = Annotated[Significance | None, AfterValidator(partial(_possible_level, _kept)), _OF_LEVEL]
DriftLevel = Annotated[Significance | None, AfterValidator(_possible_drift_level)]
LossLevel = DriftLevel  # a re-sampled test as well
LossRecovery = Annotated[NotNegative | None, AfterValidator(_possible_loss_recovery)]
AnyRecovery = Annotated[NotNegative | None, _OF_RECOVERY]
Recovery = Annotated[NotNegative | None, AfterValidator(partial(_possible_recovery, _written)), _OF_RECOVERY]
KeptRecovery = Annotated[NotNegative | None, AfterValidator(partial(_possible_recovery, _kept)), _OF_RECOVERY]
HighestAllowed = Annotated[Number, AfterValidator(_possible_highest)]
LowestAllowed = Annotated[Number, AfterValidator(_possible_lowest)]
OnlyDuration = Annotated[For | None, AfterValidator(_only_a_duration)]
