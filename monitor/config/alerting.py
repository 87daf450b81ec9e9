"""The shapes of `alerts` and `notify`: what an operator writes about rules and receivers, and the rules that follow
from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, WithJsonSchema
from pydantic_core import InitErrorDetails

from monitor.alerts.rules import (
    SMALLEST_RESAMPLED,
    TESTED,
    Above,
    AnomalyDrift,
    Below,
    Condition,
    Drop,
    Rise,
    Rule,
    Severity,
    built_in,
)
from monitor.compare.change import ACCURACY
from monitor.config.base import ConfigModel, broken
from monitor.config.values import (
    LABEL_NAME,
    CertificateFile,
    Labels,
    SecretFile,
    Text,
    apprise_url,
    label_name,
    parse_duration,
    receiver_url,
)
from monitor.figures.headline import METRICS, Metric

CONDITIONS = ("drop", "rise", "above", "below")
_NEVER_EMPTY = (*CONDITIONS, "metric", "for", "significance", "recover")
SUBJECT_LABELS = ("project", "project_id", "impulse", "impulse_id", "variant", "category")
"""Labels that rules match, beside the projects' own."""

_OWN_UNIT = ("mae", "mse", "r2")  # every other metric is a ratio, 0..1
_SMALLEST_PAIRED = 0.001  # of the re-sampling that drift of one model is tested by
BUILT_IN = {rule.name: rule for rule in built_in()}
_NAME = "^[A-Z][A-Za-z0-9]*$"
_PULLS = re.compile(r"([1-9][0-9]{0,5})\s+pulls?")
_WRITTEN = ("summary", "description")  # annotations that the monitor writes


@dataclass(frozen=True, slots=True)
class HoldFor:
    """How long a condition must hold: in so many distinct result sets, or for so many seconds."""

    results: int = 0
    seconds: float = 0.0


def _parse_patience(value: object) -> HoldFor:
    if isinstance(value, HoldFor):
        return value
    if isinstance(value, str) and (match := _PULLS.fullmatch(value)):
        return HoldFor(results=int(match[1]))
    try:
        return HoldFor(seconds=parse_duration(value))
    except ValueError:
        raise ValueError("write `N pulls`, such as `2 pulls`, or a duration such as 1h") from None


def _number(value: object) -> object:
    """Text is welcome (`${MARGIN}`), but not what Python also takes for a number: true, `1_000`, infinities."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,15}(\.[0-9]{1,15})?\s*", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number; write for example 0.03")
    return float(value)


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError("must be at least 0")
    return value


def _alert_name(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise ValueError("is not an alert's name; write CamelCase letters and digits, such as EdgeImpulseAccuracyLow")
    return name


def _annotation_name(name: str) -> str:
    if not re.fullmatch(LABEL_NAME, name):
        raise ValueError("is not an annotation's name; write letters, digits and underscores, with no digit first")
    if name in _WRITTEN:
        raise ValueError("is written by the monitor itself, with the figures and the cause; choose another name")
    return name


def _significance(value: object) -> object:
    if value == "off":
        return value
    try:
        return _number(value)
    except ValueError:
        raise ValueError("must be a number above 0 and below 1, or off; write for example 0.01") from None


Number = Annotated[float, BeforeValidator(_number)]
NotNegative = Annotated[Number, AfterValidator(_not_negative), WithJsonSchema({"type": "number", "minimum": 0})]
_patience_text = {"type": "string", "pattern": r"^[1-9][0-9]{0,5}\s+pulls?$"}
_duration = {"type": "string", "pattern": "^[0-9]+[a-z]"}
For = Annotated[
    HoldFor, PlainValidator(_parse_patience), WithJsonSchema({"anyOf": [_patience_text, _duration, {"const": 0}]})
]
Significance = Annotated[
    float | Literal["off"],
    PlainValidator(_significance),
    WithJsonSchema({"anyOf": [{"const": "off"}, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}]}),
]
AlertName = Annotated[str, AfterValidator(_alert_name), WithJsonSchema({"type": "string", "pattern": _NAME})]
Annotations = Annotated[
    Mapping[Annotated[str, AfterValidator(_annotation_name)], Text],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "propertyNames": {"pattern": LABEL_NAME, "not": {"enum": list(_WRITTEN)}},
        }
    ),
]
Patterns = Annotated[
    Mapping[Annotated[str, AfterValidator(label_name)], Text],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "propertyNames": {"pattern": LABEL_NAME},
        }
    ),
]


class AlertConfig(ConfigModel):
    """One alert: an own one, or a built-in one that is replaced (by a condition), changed (without one) or switched
    off.
    """

    alert: AlertName
    """Its name, in CamelCase; one of a built-in alert's changes that one."""
    metric: Metric | None = None
    """Which headline figure it is about."""
    drop: Number | None = None
    """Fires when the figure is down by more than this against the baseline."""
    rise: Number | None = None
    """Fires when the figure is up by more than this against the baseline."""
    above: Number | None = None
    """Fires when the figure is above this, with its whole interval."""
    below: Number | None = None
    """Fires when the figure is below this, with its whole interval."""
    significance: Significance | None = None
    """Of `drop` and `rise`: the largest p-value to believe in; 0.01 unless written; off for the margin alone."""
    hold_for: For | None = Field(None, alias="for")
    """How long it stays pending: `N pulls` (distinct result sets, the first included), or a duration."""
    recover: NotNegative | None = None
    """How far back inside the figure must be to resolve; unless written half its standard error, and 0.005 at least."""
    match: Patterns | None = None
    """For which targets: patterns such as vibration-* by label."""
    severity: Severity | None = None
    """critical, warning or info; warning unless written."""
    labels: Labels | None = None
    """Labels for its alerts."""
    annotations: Annotations | None = None
    """Annotations for its alerts, such as runbook_url."""
    enabled: bool = True
    """false switches it off."""

    @classmethod
    def add_rules(cls, schema: dict[str, Any]) -> None:
        """Add that a condition is a metric and one of four bounds, and that only built-in alerts do without one."""
        super().add_rules(schema)
        for name in _NEVER_EMPTY:
            schema["properties"][name]["anyOf"].remove({"type": "null"})
        exactly = [
            {"required": [name], "not": {"anyOf": [{"required": [n]} for n in CONDITIONS if n != name]}}
            for name in CONDITIONS
        ]
        schema["if"] = {"anyOf": [{"required": [name]} for name in ("metric", *CONDITIONS)]}
        schema["then"] = {"required": ["metric"], "oneOf": exactly}
        schema["else"] = {"properties": {"alert": {"enum": sorted(BUILT_IN)}}}

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        for name in _NEVER_EMPTY:
            if name in data and data[name] is None:
                yield broken((name,), "is empty; write a value, or remove the key")
        written = [name for name in CONDITIONS if name in data]
        if len(written) > 1:
            yield broken((written[-1],), f"cannot stand beside {' and '.join(written[:-1])}; remove one of them")
        elif written and "metric" not in data:
            yield broken((written[0],), f"needs a metric; write `metric: {ACCURACY}`, or another, beside it")
        elif not written and "metric" in data:
            yield broken(
                ("metric",),
                f"means nothing without {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}; write one of them beside it",
            )
        elif not written and isinstance(alert := data.get("alert"), str):
            yield from _broken_override(alert, data)
        else:
            yield from _broken_condition(written, data)

    def rule(self) -> Rule:
        """The rule that it stands for; whether it is switched off is another question."""
        condition = self._condition()
        base = BUILT_IN[self.alert] if condition is None else Rule(self.alert, condition)
        rule = replace(
            base,
            severity=self.severity or base.severity,
            labels=base.labels if self.labels is None else self.labels,
            annotations=base.annotations if self.annotations is None else self.annotations,
            match=base.match if self.match is None else self.match,
            recover=base.recover if self.recover is None else self.recover,
            for_results=base.for_results if self.hold_for is None else self.hold_for.results,
            for_seconds=base.for_seconds if self.hold_for is None else self.hold_for.seconds,
        )
        if condition is not None or self.significance is None:
            return rule
        kept = rule.condition
        if isinstance(kept, Drop):
            return replace(
                rule, condition=replace(kept, significance=None if self.significance == "off" else self.significance)
            )
        if isinstance(kept, AnomalyDrift) and self.significance != "off":
            return replace(rule, condition=replace(kept, significance=self.significance))
        return rule

    def _condition(self) -> Condition | None:
        """What is written of a condition; None where a built-in one is kept."""
        if self.metric is None:
            return None
        if self.above is not None:
            return Above(self.metric, self.above)
        if self.below is not None:
            return Below(self.metric, self.below)
        significance = None if self.significance == "off" else 0.01 if self.significance is None else self.significance
        if self.rise is not None:
            return Rise(self.metric, self.rise, significance)
        assert self.drop is not None  # one of the four is always written
        return Drop(self.metric, self.drop, significance)


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


def repeated(names: Sequence[object]) -> Iterator[tuple[int, int]]:
    """For each name that stands before it already, its index and that of the first."""
    for index, name in enumerate(names):
        if name is not None and (first := names.index(name)) < index:
            yield index, first


def _broken_override(name: str, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
    """What does not go with a built-in alert whose condition is kept."""
    rule = BUILT_IN.get(name)
    if rule is None:
        if re.fullmatch(_NAME, name):
            yield broken(
                (),
                f"needs metric, and {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}; only a built-in alert does "
                "without them",
            )
        return
    if isinstance(rule.condition, Drop):
        yield from _broken_change(rule.condition.metric, rule.condition.margin, data)
        return
    if "recover" in data:
        yield broken(("recover",), "means nothing for this alert; remove it")
    if rule.by_clock:
        if isinstance(hold_for := data.get("for"), str) and _PULLS.fullmatch(hold_for):
            yield broken(("for",), "counts result sets, which this alert does not look at; write a duration such as 1h")
        if "significance" in data:
            yield broken(("significance",), "means nothing for this alert; remove it")
    elif data.get("significance") == "off":
        yield broken(("significance",), "cannot be off for this alert; write a number, or `enabled: false`")
    else:
        yield from _broken_significance(data, _SMALLEST_PAIRED)


def _broken_condition(written: Sequence[str], data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
    """What is wrong with a metric and its bound; each by itself is checked elsewhere."""
    metric = data.get("metric")
    if not written or metric not in METRICS:
        return
    bound = written[0]
    try:
        size: Any = _number(data[bound])
    except ValueError:
        return
    ratio = metric not in _OWN_UNIT
    if bound in ("drop", "rise"):
        if size <= 0 or (ratio and size >= 1):
            yield broken(
                (bound,), "must be between 0 and 1: a share, 0.03 for 3 points" if ratio else "must be above 0"
            )
        yield from _broken_change(metric, size, data)
        return
    lowest, highest = (0, 1) if ratio else (-math.inf, 1) if metric == "r2" else (0, math.inf)
    if not lowest <= size <= highest or (size == highest if bound == "above" else size == lowest):
        allowed = "a share between 0 and 1" if ratio else "at most 1" if metric == "r2" else "a number above 0"
        yield broken((bound,), f"can never be met, or always is; write {allowed}")
    if "significance" in data:
        yield broken(("significance",), f"means nothing beside {bound}, which waits for the whole interval; remove it")


def _broken_change(metric: Any, margin: float, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
    """What is wrong beside the margin of a drop or rise."""
    try:
        recover: Any = _number(data.get("recover", 0))
    except ValueError:
        recover = 0.0
    if recover >= margin > 0:
        yield broken(
            ("recover",),
            f"is not below the margin of {margin:g}, so that the alert could never resolve; write a smaller one",
        )
    if metric not in TESTED:
        if data.get("significance") != "off":
            place = ("significance",) if "significance" in data else ("metric",)
            yield broken(place, f"has no test for a change (only {', '.join(TESTED)} have); write `significance: off`")
    else:
        yield from _broken_significance(data, 0.0 if metric == ACCURACY else SMALLEST_RESAMPLED)


def _broken_significance(data: Mapping[Any, Any], smallest: float) -> Iterator[InitErrorDetails]:
    if data.get("significance") in (None, "off"):
        return
    try:
        value: Any = _number(data["significance"])
    except ValueError:
        return  # which its own type says
    if not 0 < value < 1:
        yield broken(("significance",), "must be a number above 0 and below 1, or off; write for example 0.01")
    elif value < smallest:
        yield broken(("significance",), f"is smaller than a p-value by re-sampling can be; write {smallest:g} or more")


ReceiverUrl = Annotated[
    SecretStr, AfterValidator(receiver_url), WithJsonSchema({"type": "string", "pattern": "^https?://.+$"})
]
AppriseUrl = Annotated[SecretStr, AfterValidator(apprise_url), WithJsonSchema({"type": "string", "minLength": 1})]


class _Receiver(ConfigModel):
    """Where messages go."""

    exactly_one = ("url", "url_file")

    url: ReceiverUrl | None = None
    """Its URL, which may hold a user and a password."""
    url_file: SecretFile | None = None
    """File with the URL, in place of `url`. Read again at each use."""

    @property
    def address(self) -> SecretStr | Path:
        """The URL, or the file that holds it."""
        address = self.url or self.url_file
        assert address is not None  # one of the two is always written
        return address


class _HttpReceiver(_Receiver):
    """A receiver that is sent HTTP requests."""

    ca_file: CertificateFile | None = None
    """Certificates (PEM) of a private authority to trust instead of the system's. Read again at each use."""
    bearer_token_file: SecretFile | None = None
    """File with a token that is sent as `Authorization: Bearer`. Read again at each use."""

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        if data.get("bearer_token_file") is not None and _names_a_user(data.get("url")):
            yield broken(
                ("bearer_token_file",),
                "cannot stand beside a user in the URL, both being sent as Authorization; remove one",
            )


def _names_a_user(url: object) -> bool:
    try:
        return isinstance(url, str) and "@" in urlsplit(url).netloc
    except ValueError:  # no URL, which is said elsewhere
        return False


class AlertmanagerConfig(_HttpReceiver):
    """One Alertmanager; each replica of a cluster is an entry of its own."""


class WebhookConfig(_HttpReceiver):
    """A URL that takes each message as signed JSON."""

    secret_file: SecretFile | None = None
    """File with the key of the HMAC-SHA256 signature; without it messages are not signed. Read again at each use."""


class AppriseConfig(_Receiver):
    """A service of chat or mail, by its Apprise URL."""

    url: AppriseUrl | None = None
    """Its Apprise URL, such as mailto://..."""


class NotifyConfig(ConfigModel):
    """Someone to be told of alerts: an Alertmanager, a webhook, or a service that Apprise knows."""

    exactly_one = ("alertmanager", "webhook", "apprise")
    kinds: ClassVar[tuple[str, ...]] = exactly_one

    alertmanager: AlertmanagerConfig | None = None
    """An Alertmanager."""
    webhook: WebhookConfig | None = None
    """A webhook."""
    apprise: AppriseConfig | None = None
    """Chat or mail."""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What the receiver is called in metrics, logs and the store; unless written its kind with host:port or the file's
    name.
    """

    @property
    def kind(self) -> Literal["alertmanager", "webhook", "apprise"]:
        """Which of the three it is."""
        return "alertmanager" if self.alertmanager else "webhook" if self.webhook else "apprise"

    @property
    def to(self) -> AlertmanagerConfig | WebhookConfig | AppriseConfig:
        """Where it is told."""
        to = self.alertmanager or self.webhook or self.apprise
        assert to is not None  # one of the three is always written
        return to

    @property
    def called(self) -> str:
        """Its name, unique among all receivers, and the same as long as the file is; holds no secret."""
        address = self.to.address
        file = address if isinstance(address, Path) else None
        url = None if isinstance(address, Path) else address.get_secret_value()
        return self.name or _default_name(self.kind, url, file)


def called(entry: object) -> str | None:
    """What a receiver as it stands in the file would be called; None where that cannot be said."""
    if not isinstance(entry, Mapping):
        return None
    if isinstance(name := entry.get("name"), str):
        return name
    kind = next((kind for kind in NotifyConfig.kinds if isinstance(entry.get(kind), Mapping)), None)
    if kind is None:
        return None
    url, file = entry[kind].get("url"), entry[kind].get("url_file")
    try:
        if isinstance(file, str):
            return _default_name(kind, None, Path(file))
        return _default_name(kind, url, None) if isinstance(url, str) else None
    except ValueError:  # no URL, which is said elsewhere
        return None


def _default_name(kind: str, url: str | None, file: Path | None) -> str:
    """`kind-host:port`, or `kind-FILE`; for Apprise the kind alone, since its host is a token for many services."""
    if file is not None:
        return f"{kind}-{file.name}"
    if url is None or kind == "apprise":
        return kind
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{kind}-{host}:{parts.port or {'https': 443}.get(parts.scheme, 80)}"
