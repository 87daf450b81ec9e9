"""Where an alert stands, as values that the store keeps and receivers are sent.

::

    inactive ──▶ pending ──▶ firing ──▶ resolved
        ▲           │          ▲           │
        └───────────┘          └─ pending ◀┘

`steps` moves an alert from one to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from monitor.errors import PullState


class Phase(StrEnum):
    """Where an alert stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Transition:
    """Everything that a receiver is notified of: that an alert fires, or that it no longer does.

    Attributes:
        id: The same whenever this transition is sent again, and no other's: an idempotency key.
        status: `firing` or `resolved`.
        alertname: The rule's name.
        severity: critical, warning or info.
        target_id: `TargetKey.id`, or `project-<id>`.
        labels: As of the start of the alert, with `alertname` and `severity`: the alert's identity.
        annotations: `summary`, `description` and the rule's own, as of now.
        starts_at: Unix seconds when it began to fire.
        ends_at: Unix seconds when it resolved; None while it fires.
        generator_url: The target's page; empty where it is not known where users find the service.
        details: JSON values: value, baseline, threshold, interval, pvalue and causes, where there are any.
    """

    id: str
    status: Literal["firing", "resolved"]
    alertname: str
    severity: str
    target_id: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float | None = None
    generator_url: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on: the result set, and the baseline where the rule compares with one.

    Attributes:
        fingerprint: Of the result set.
        baseline: `BaselineFigures.timestamp`; None where there is none, or none is needed.
    """

    fingerprint: str
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class PullHealth:
    """How the pulls of a target, or the discoveries of a project, go.

    Attributes:
        state: How the last one ended; None before the first has.
        began: Unix seconds since when it is watched, over restarts.
        interval: Seconds between two.
        last_success: Unix seconds of the last good one; None before the first.
        error: What the last one failed with, in a sentence; empty where it did not.
        key_expires: Unix seconds when the project's API key expires; None where it does not, or Studio does not say.
        resumed: Unix seconds since when it is watched without a break, as a restart is one; None where that is `began`.
    """

    state: PullState | None
    began: float
    interval: float
    last_success: float | None = None
    error: str = ""
    key_expires: float | None = None
    resumed: float | None = None


@dataclass(frozen=True, slots=True)
class AlertState:
    """Where one alert of one target stands. Never changed: each step makes another.

    Attributes:
        alertname, target_id: Which.
        digest: Of the rule that is checked.
        phase: Where it stands.
        since: Unix seconds when it last became pending; None where it never did, or where that came to nothing.
        starts_at: Unix seconds when it last began to fire; kept when it has ended, so that the next start is another.
        ends_at: Unix seconds when it resolved; None in any other phase.
        held: Distinct result sets in a row that met the condition.
        points: Distinct result sets in a row whose figure, at least, was beyond the threshold, each of which shares
            less than half of its samples with the one counted before.
        counted: The sketch of the result set that was counted last among these.
        judged: What the last verdict rests on; None before the first.
        severity: By the last verdict while it is pending; as of the start from then on, until it resolves.
        cause_id: Likewise; empty before the first verdict, and of an alert that began in a release without it.
        labels: As of when it became pending; with `alertname`, `severity` and, once it fires, `cause_id`.
        annotations: Of the last verdict while it is pending or fires; then of the end.
        details: Likewise.
        generator_url: As of the start.
    """

    alertname: str
    target_id: str
    digest: str
    phase: Phase = Phase.INACTIVE
    since: float | None = None
    starts_at: float | None = None
    ends_at: float | None = None
    held: int = 0
    points: int = 0
    counted: tuple[int, ...] = ()
    judged: Evidence | None = None
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    generator_url: str = ""
    cause_id: str = ""

    @property
    def transition(self) -> Transition | None:
        """What receivers are notified of now: that it fires, or has resolved; None in any other phase."""
        if self.phase not in (Phase.FIRING, Phase.RESOLVED) or self.starts_at is None:
            return None
        status: Literal["firing", "resolved"] = "firing" if self.phase is Phase.FIRING else "resolved"
        identity = "\0".join((self.alertname, self.target_id, repr(self.starts_at), status))
        return Transition(
            hashlib.sha256(identity.encode()).hexdigest(),
            status,
            self.alertname,
            self.severity,
            self.target_id,
            self.labels,
            self.annotations,
            self.starts_at,
            self.ends_at,
            self.generator_url,
            self.details,
        )


def by_name(states: Iterable[AlertState]) -> dict[str, AlertState]:
    """States of one subject's alerts by name."""
    return {state.alertname: state for state in states}


@dataclass(frozen=True, slots=True)
class Step:
    """What a step led to.

    Attributes:
        state: Where the alert stands now.
        transitions: What is to be sent, in this order; mostly nothing.
    """

    state: AlertState
    transitions: tuple[Transition, ...] = ()
