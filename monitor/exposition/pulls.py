"""Metrics of projects and targets that stay whether or not there are figures: discovery, pulls, alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from monitor.alerts.rules import Rule
from monitor.alerts.states import AlertState, Phase
from monitor.errors import PullState
from monitor.exposition.metric import Metric, MetricType, Scope, Values, one
from monitor.live.entry import ProjectStatus
from monitor.pipeline.snapshot import Snapshot


def _project(name: str, meaning: str, *labels: str, read: Callable[[ProjectStatus], Values], unit: str = "") -> Metric:
    return Metric(name, MetricType.GAUGE, Scope.PROJECT, meaning, labels, unit, read=read)


def _target(
    name: str,
    meaning: str,
    *labels: str,
    read: Callable[[Any], Values],
    unit: str = "",
    type: MetricType = MetricType.GAUGE,
) -> Metric:
    return Metric(name, type, Scope.TARGET, meaning, labels, unit, read=read)


def _pull(name: str, meaning: str, *labels: str, read: Callable[[Snapshot], Values], unit: str = "") -> Metric:
    return _target(name, meaning, *labels, read=read, unit=unit)


def _one_hot(state: PullState | None) -> Values:
    """1 for the state, 0 for the others; nothing before there is one."""
    return () if state is None else tuple((each is state, (each.value,)) for each in PullState)


# A configured project, from the end of its first discovery on, whether or not a target is known.
PROJECTS = (
    _project(
        "edge_impulse_project_up",
        "1 if the last discovery of the project's impulses and variants succeeded, else 0.",
        read=lambda status: () if status.state is None else one(status.state is PullState.OK),
    ),
    _project(
        "edge_impulse_project_state",
        "How the last discovery of the project ended: 1 for that state, 0 for the others.",
        "state",
        read=lambda status: _one_hot(status.state),
    ),
    _project(
        "edge_impulse_api_key_expiry_timestamp_seconds",
        "Unix time when the project's API key expires; absent if it does not, or Studio does not say.",
        unit="seconds",
        read=lambda status: one(status.key_expires),
    ),
)

# A target, from the end of its first pull on, for as long as it is in the configuration.

TARGET_INFO = _target(
    "edge_impulse_target_info",
    "1, with the labels that the configuration gives the project beside the usual ones.",
    type=MetricType.INFO,
    read=lambda _: one(1),
)
"""The one metric that also has the project's own labels."""

PULLS = (
    _pull(
        "edge_impulse_up",
        "1 if the last pull gave a result set, else 0; the figures are then those of the last good pull until they are "
        "stale.",
        read=lambda snapshot: one(snapshot.state is PullState.OK),
    ),
    _pull(
        "edge_impulse_pull_state",
        "How the last pull ended: 1 for that state, 0 for the others.",
        "state",
        read=lambda snapshot: _one_hot(snapshot.state),
    ),
    _pull(
        "edge_impulse_last_pull_timestamp_seconds",
        "Unix time when the last pull ended, good or not.",
        unit="seconds",
        read=lambda snapshot: one(snapshot.last_pull),
    ),
    _pull(
        "edge_impulse_last_success_timestamp_seconds",
        "Unix time of the last good pull; absent before the first.",
        unit="seconds",
        read=lambda snapshot: one(snapshot.last_success),
    ),
    _pull(
        "edge_impulse_last_change_timestamp_seconds",
        "Unix time of the pull whose result set last differed from the one before; absent until one did.",
        unit="seconds",
        read=lambda snapshot: one(snapshot.last_change),
    ),
)


def _thresholds(rules: Iterable[Rule]) -> Values:
    return [(rule.threshold, (rule.name,)) for rule in rules]


def _alerts(states: Mapping[str, AlertState]) -> Values:
    shown = (state for state in states.values() if state.phase in (Phase.PENDING, Phase.FIRING))
    return [(1, (state.alertname, state.severity, state.phase)) for state in shown]


ALERT_THRESHOLD = _target(
    "edge_impulse_alert_threshold",
    "The value that an alert's rule compares the target's figure, or its change, with.",
    "alertname",
    read=_thresholds,
)
ALERTS = _target(
    "edge_impulse_alerts",
    "1 while an alert of the target, or of its project (then with project_id alone), is pending or firing.",
    "alertname",
    "severity",
    "alertstate",
    read=_alerts,
)

METRICS = (*PROJECTS, TARGET_INFO, *PULLS, ALERT_THRESHOLD, ALERTS)
