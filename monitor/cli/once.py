"""One pull of everything, now: what `impulse-monitor pull` does, without a scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from monitor.config import Config
from monitor.errors import PullState, StudioError
from monitor.live.snapshots import Board, Snapshot
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline, Watch, new_client, studio_project
from monitor.store import Store
from monitor.studio.discovery import discover
from monitor.studio.pull import Progress


class NoMetrics:
    """Counts nothing: the observer of commands that export no metrics."""

    def request(self, call: str, code: str, seconds: float) -> None:
        """Ignored."""

    def retry(self, reason: str) -> None:
        """Ignored."""

    def received(self, nbytes: int) -> None:
        """Ignored."""

    def unknown(self, field: str, count: int = 1) -> None:
        """Ignored."""

    def pull(self, outcome: PullState, seconds: float) -> None:
        """Ignored."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target's pull ended, or one project's discovery where no target became known (`snapshot` is None)."""

    name: str
    state: PullState
    snapshot: Snapshot | None = None
    error: str = ""


async def pull_once(
    config: Config,
    project_id: int | None = None,
    impulse_id: int | None = None,
    bar: Callable[[str], Progress] = lambda name: lambda done, total: None,
    store: Store | None = None,
) -> list[Outcome]:
    """Discover and pull, one target after the other.

    Args:
        config: What to pull.
        project_id, impulse_id: Only these.
        bar: Called with each target's name; what it answers is told the progress.
        store: Open; the runs are compared with their baselines and remembered there. None does neither.
    """
    outcomes = []
    with ThreadPoolExecutor(1, "evaluate") as workers:
        async with new_client(config, NoMetrics()) as client:
            board = Board()
            memory = RunRecorder(store, workers) if store else None
            pipeline = Pipeline(board, NoMetrics(), workers, time.time, memory)
            for project in config.projects:
                if project_id not in (None, project.id):
                    continue
                try:
                    found = await discover(await studio_project(client, project), project)
                except StudioError as error:
                    outcomes.append(Outcome(f"project {project.id}", error.state, error=str(error)))
                    continue
                for target in found.targets:
                    if impulse_id in (None, target.key.impulse_id):
                        name = f"{target.project} / {target.impulse} / {target.key.variant}"
                        board.watch(target, 0)
                        snapshot = await pipeline.run(Watch.of(config, project, target, found), client, bar(name))
                        outcomes.append(Outcome(name, snapshot.state, snapshot, snapshot.error))
    return outcomes
