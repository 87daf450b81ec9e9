"""`Watch`: one target and how it is watched; all that a run of it is handed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from monitor.alerts.rules import Subject
from monitor.alerts.states import PullHealth
from monitor.config import BaselineConfig, Config, ProjectConfig, Schedule
from monitor.figures import EvaluationSettings
from monitor.pipeline.snapshot import Snapshot
from monitor.studio.discovery import Discovery
from monitor.targets import Target, TargetKey


@dataclass(frozen=True, slots=True)
class Policy:
    """How a target's baseline is chosen.

    Attributes:
        baseline: Mode and age.
        selection: Which samples are taken, as `FilterConfig.text` says it; runs with another selection are no baseline.
        settings: With which the figures of a baseline are computed again where other formulas made them.
    """

    baseline: BaselineConfig
    selection: str = ""
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)


@dataclass(frozen=True, slots=True)
class Watch:
    """A target and how it is watched.

    Attributes:
        target: What.
        project: Its entry in the configuration.
        schedule: When it is pulled: its own or the global one.
        stale_after: Seconds after the last good pull until the figures leave.
        settings: What the evaluation needs to know beyond the result set.
        policy: How its baseline is chosen.
        subject: Its labels and its page, as alerts have them.
        reference: The target of the reference variant of its impulse, which it is compared with; None where there is
            none, or where it is that itself.
    """

    target: Target
    project: ProjectConfig
    schedule: Schedule
    stale_after: float
    settings: EvaluationSettings
    policy: Policy
    subject: Subject
    reference: TargetKey | None = None

    @classmethod
    def of(cls, config: Config, project: ProjectConfig, target: Target, found: Discovery) -> Watch:
        """How the configuration wants a discovered target watched."""
        settings = EvaluationSettings(
            tuple(project.slices),
            config.limits.slice_values,
            found.anomaly_labels,
            found.no_anomaly_labels,
            project.group_by,
        )
        target = replace(target, labels=project.labels)
        return cls(
            target,
            project,
            config.schedule_of(project),
            config.stale_after_of(project),
            settings,
            Policy(config.baseline, project.filters.text() if project.filters else "", settings),
            Subject.target(target, config.http.external_url),
            found.reference_of(target.key),
        )

    def health(self, snapshot: Snapshot | None, first_watched: float, resumed: float | None = None) -> PullHealth:
        """How the target's pulls go.

        Args:
            snapshot: After the last one; None before the first.
            first_watched: Unix seconds since when the target is watched, over restarts.
            resumed: Unix seconds since when without a break; None where that is the same.
        """
        health = PullHealth(None, first_watched, self.schedule.interval, resumed=resumed)
        if snapshot is None:
            return health
        return replace(health, state=snapshot.state, last_success=snapshot.last_success, error=snapshot.error)


class CurrentWatch(Protocol):
    """Has the watch of a target as it is now: a reload replaces it as a whole."""

    watch: Watch
