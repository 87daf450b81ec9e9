"""`Rule`: which condition is an alert, and for which targets; and the rules that are built in.

Everything here is plain text and numbers: a rule knows neither its configuration file nor what checks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias
from urllib.parse import quote

import msgspec

from monitor.compare.change import ACCURACY, MAP, MEAN_F1
from monitor.targets import CALLED, IDENTITY, Target, target_labels

DAY = 86_400.0

ACCURACY_REGRESSED = "EdgeImpulseAccuracyRegressed"
"""The built-in alert that fires by evidence of errors, too."""

Severity = Literal["critical", "warning", "info"]
CRITICAL: Severity = "critical"
WARNING: Severity = "warning"

CRITICAL_FROM = 3.0
"""From so many times its margin on a change is critical, unless the rule names a severity."""


@dataclass(frozen=True, slots=True)
class Above:
    """A metric is too high."""

    metric: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Below:
    """A metric is too low."""

    metric: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Drop:
    """A metric fell by more than `margin` since the baseline, with a p-value of at most `significance` (None: whatever
    it is).
    """

    metric: str
    margin: float
    significance: float | None = 0.01


@dataclass(frozen=True, slots=True)
class Rise:
    """A metric rose by more than `margin` since the baseline, with a p-value of at most `significance` (None: whatever
    it is).
    """

    metric: str
    margin: float
    significance: float | None = 0.01


@dataclass(frozen=True, slots=True)
class AnomalyDrift:
    """Anomaly scores drifted: new samples' by the evidence, the same samples' by a p-value of at
    most `significance`.
    """

    significance: float = 0.01


@dataclass(frozen=True, slots=True)
class QuantizationLoss:
    """A variant loses more than `margin` of a figure against the reference variant on the same samples, or loses so
    much more than at the baseline; either with a p-value of at most `significance`.
    """

    margin: float = 0.03
    significance: float = 0.01


@dataclass(frozen=True, slots=True)
class PullFailing:
    """No good pull of a target, or no good discovery of a project, for so many intervals."""

    intervals: int = 3


@dataclass(frozen=True, slots=True)
class ResultsVanished:
    """Studio has no results of a target that had some."""


@dataclass(frozen=True, slots=True)
class KeyExpiring:
    """A project's API key expires within so many seconds."""

    seconds: float = 14 * DAY


ResultCondition: TypeAlias = Above | Below | Drop | Rise | AnomalyDrift | QuantizationLoss
"""Checked once per result set."""
ClockCondition: TypeAlias = PullFailing | ResultsVanished | KeyExpiring
"""Checked by the clock and the state of the pulls."""
Condition: TypeAlias = ResultCondition | ClockCondition


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: a target, or a project as a whole.

    Attributes:
        id: `TargetKey.id`, or `project-<id>`.
        labels: Those that its alerts carry and that rules match: a target's `target_labels`, `project_id` of a project;
            and the project's own.
        url: Its page; empty where nobody knows under which address users reach the service.
        service: That address.
    """

    id: str
    labels: Mapping[str, str]
    url: str = ""
    service: str = ""

    @classmethod
    def target(cls, target: Target, external_url: str | None = None) -> Subject:
        """A target, with a link to its page if it is known where users find the service."""
        key = target.key
        return cls(
            key.id,
            {**target.labels, **target_labels(target)},
            f"{external_url}/targets/{quote(key.id, safe='')}" if external_url else "",
            external_url or "",
        )

    @classmethod
    def project(
        cls, project_id: int, labels: Mapping[str, str] | None = None, external_url: str | None = None
    ) -> Subject:
        """A project, with a link to the status page."""
        return cls(
            f"project-{project_id}",
            {**(labels or {}), "project_id": str(project_id)},
            f"{external_url}/" if external_url else "",
            external_url or "",
        )

    def event_url(self, cause_id: str) -> str:
        """The page of an event of it; empty where nobody knows."""
        return f"{self.service}/alerts/{quote(cause_id, safe='')}" if self.service and cause_id else ""

    @property
    def is_target(self) -> bool:
        """Whether it is a target, and not a project as a whole."""
        return all(name in self.labels for name in IDENTITY)

    @property
    def name(self) -> str:
        """How people call it in a sentence."""
        return CALLED.format_map(self.labels) if self.is_target else f"project {self.labels['project_id']}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert.

    Attributes:
        name: The `alertname`.
        condition: What it is about.
        severity: critical, warning or info; None: by size, as `severity_of` has it.
        labels: Onto each of its alerts, in place of a project's label of the same name.
        annotations: Onto each of its alerts, beside `summary` and `description`.
        match: Patterns (`*`, `?`, `[...]`) by label of the subject; all must match. An absent label matches as empty
            text.
        for_results: In how many distinct result sets in a row the condition must hold, the first included; 0 and 1 are
            the same.
        for_seconds: For how long it must hold.
        recover: How far back inside the threshold or margin it must be to resolve; None takes a default of the verdict.
        runbook: Address of the page that says what to do about it; empty where there is none. Where it lies is not what
            the rule says.
        digest: sha256 over all that the rule says: another digest is another rule, which starts again.
    """

    name: str
    condition: Condition
    severity: Severity | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    for_results: int = 0
    for_seconds: float = 0.0
    recover: float | None = None
    runbook: str = field(default="", compare=False)
    digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        said = {each.name: getattr(self, each.name) for each in fields(self) if each.init and each.name != "runbook"}
        said["severity"] = self.severity or WARNING  # what was written before severity went by size says the same
        text = json.dumps([type(self.condition).__name__, msgspec.to_builtins(said)], sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def severity_of(self, margins: float | None) -> Severity:
        """The severity of an alert that begins to fire.

        Args:
            margins: How many times its margin the change is; None where there is no margin.
        """
        if self.severity is not None:
            return self.severity
        return CRITICAL if margins is not None and margins >= CRITICAL_FROM else WARNING

    @property
    def links(self) -> dict[str, str]:
        """The annotation `runbook_url`, where there is a page."""
        return {"runbook_url": self.runbook} if self.runbook else {}

    @property
    def by_clock(self) -> bool:
        """Whether it is checked by the clock and the state of the pulls, and not against the result set."""
        return isinstance(self.condition, ClockCondition)

    @property
    def threshold(self) -> float | None:
        """The value it holds figures against, for `edge_impulse_alert_threshold`; None where there is none."""
        match self.condition:
            case (
                Above(threshold=value)
                | Below(threshold=value)
                | Drop(margin=value)
                | Rise(margin=value)
                | QuantizationLoss(margin=value)
                | KeyExpiring(seconds=value)
            ):
                return value
            case AnomalyDrift(significance=value):
                return value
            case PullFailing(intervals=count):
                return float(count)
            case ResultsVanished():
                return None

    def matches(self, subject: Subject) -> bool:
        """Whether the subject is one that the rule is for: of the right kind, and matched by all patterns."""
        if isinstance(self.condition, KeyExpiring) and subject.is_target:
            return False
        if not isinstance(self.condition, KeyExpiring | PullFailing) and not subject.is_target:
            return False
        return all(fnmatchcase(subject.labels.get(name, ""), pattern) for name, pattern in self.match.items())


def built_in() -> tuple[Rule, ...]:
    """The rules that there are unless the configuration replaces them or switches them off."""
    return (
        Rule(ACCURACY_REGRESSED, Drop(ACCURACY, 0.03)),
        Rule("EdgeImpulseMeanF1Regressed", Drop(MEAN_F1, 0.03)),
        Rule("EdgeImpulseMapRegressed", Drop(MAP, 0.03)),
        Rule("EdgeImpulseAnomalyDrift", AnomalyDrift()),
        Rule("EdgeImpulseQuantizationLoss", QuantizationLoss()),
        Rule("EdgeImpulsePullFailing", PullFailing()),
        Rule("EdgeImpulseResultsVanished", ResultsVanished(), for_seconds=3600.0),
        Rule("EdgeImpulseKeyExpiring", KeyExpiring()),
    )
