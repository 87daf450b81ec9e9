"""What is watched, made for tests: targets with what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from monitor.alerts.rules import Subject
from monitor.config import BaselineConfig, Config, ProjectConfig, Schedule
from monitor.engine.sharding import WHOLE, Shard
from monitor.figures import EvaluationSettings
from monitor.live.discovery_history import DiscoveryHistory
from monitor.live.entry import Entry, ProjectStatus
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.watch import Policy, Watch
from monitor.studio.discovery import Discovery
from monitor.targets import Target


def watch_of(target: Target, stale_after: float = 900.0, every: str = "60s", policy: Policy | None = None) -> Watch:
    """How a target is watched."""
    project = ProjectConfig.model_validate({"id": max(target.key.project_id, 1), "api_key": "ei_unused"})
    return Watch(
        target,
        project,
        Schedule.model_validate({"every": every}),
        stale_after,
        EvaluationSettings(),
        policy or Policy(BaselineConfig()),
        Subject.target(target),
    )


def live_of(
    *snapshots: Snapshot,
    projects: Iterable[ProjectStatus] = (),
    clock: Callable[[], float] = lambda: 0.0,
    shard: Shard = WHOLE,
) -> Live:
    """Live state that has these."""
    live = Live(clock, shard)
    for each in snapshots:
        live.watch(watch_of(each.target, each.stale_after)).show(each)
    live.replace_entries(map(entry_of, projects))
    return live


def entry_of(status: ProjectStatus) -> Entry:
    """An entry whose discovery ended so."""
    project = ProjectConfig.model_validate({"id": status.project_id, "api_key": "ei_unused"})
    found = None if status.state is None else Discovery((), status.key_expires)
    return Entry(Config(), project, 0.0, DiscoveryHistory(0.0), state=status.state, found=found)


def shown_as(live: Live, target_id: str, **fields: Any) -> None:
    """Let other things be shown of a target."""
    target = live.targets[target_id]
    assert target.snapshot is not None
    target.show(replace(target.snapshot, **fields))
