"""What the API says of a target, a project, an alert and a problem."""

from __future__ import annotations

from typing import Any

from monitor.alerts.rules import Subject
from monitor.alerts.states import AlertState, Phase
from monitor.figures.headline import headlines
from monitor.live.entry import ProjectStatus
from monitor.pipeline.snapshot import Snapshot
from monitor.targets import Target, target_labels
from monitor.views import status as views
from monitor.views.fleet import Row
from monitor.views.report import comparison_as_json, moment, plain
from monitor.views.service_problems import ServiceProblem


def target_as_json(target: Target, snapshot: Snapshot | None, now: float, external_url: str | None) -> dict[str, Any]:
    """A target with what is known of it at `now` (Unix seconds)."""
    row: dict[str, Any] = {
        "id": target.key.id,
        **target_labels(target),
        **target.key._asdict(),  # ids as numbers
        "labels": dict(target.labels),
        "url": Subject.target(target, external_url).url or None,
    }
    if snapshot is None:
        return row | {"state": None, "error": None, "figures": {}, "units": {}, "comparison": None}
    evaluation = snapshot.evaluation
    return row | {
        "state": str(snapshot.state),
        "error": snapshot.error or None,
        "last_pull": moment(snapshot.last_pull),
        "last_success": moment(snapshot.last_success),
        "last_change": moment(snapshot.last_change),
        "stale": None if evaluation is None else not snapshot.fresh(now),
        "fingerprint": snapshot.fingerprint,
        "trained": moment(snapshot.trained),
        "impulse_stale": snapshot.impulse_stale,
        "samples": evaluation.samples if evaluation else None,
        "windows": evaluation.windows if evaluation else None,
        "figures": {name: plain(figure) for name, figure in headlines(evaluation).items()} if evaluation else {},
        "units": plain(evaluation.units) if evaluation else {},
        "comparison": comparison_as_json(snapshot.comparison),
    }


def judged_as_json(row: Row) -> dict[str, Any]:
    """How a target's model stands, as the pages show it."""
    figure = row.headline
    return {
        "model": {
            "state": str(row.standing.state),
            "reason": row.standing.reason or None,
            "remedy": row.standing.remedy or None,
            "headline": figure.metric if figure is not None else None,
            "change": figure.moved if figure is not None else None,
            "cause": row.cause or None,
        },
        "alerts": {
            str(phase): sum(alert.phase is phase for alert in row.alerts) for phase in (Phase.FIRING, Phase.PENDING)
        },
    }


def project_as_json(status: ProjectStatus) -> dict[str, Any]:
    """The last discovery of a project."""
    return {
        "project_id": status.project_id,
        "state": None if status.state is None else str(status.state),
        "key_expires": moment(status.key_expires),
    }


def alert_as_json(alert: AlertState) -> dict[str, Any]:
    """An alert as Prometheus's API has it, and more."""
    return {
        "labels": {"alertname": alert.alertname, **alert.labels},
        "annotations": dict(alert.annotations),
        "state": str(alert.phase),
        "activeAt": moment(views.began(alert)),
        "value": plain(alert.details.get("value")),
        "firedAt": moment(alert.starts_at) if alert.phase is not Phase.PENDING else None,
        "resolvedAt": moment(alert.ends_at),
        "target": alert.target_id,
        "details": plain(alert.details),
        "generatorURL": alert.generator_url or None,
    }


def problem_as_json(problem: ServiceProblem) -> dict[str, Any]:
    """Something that is the matter with the service."""
    return {
        "kind": problem.kind,
        "severity": problem.severity,
        "title": problem.title,
        "details": list(problem.details),
        "advice": problem.advice,
        "since": moment(problem.since),
        "receiver": problem.receiver,
    }
