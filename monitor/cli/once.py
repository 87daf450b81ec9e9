"""One pull of everything, now: what `impulse-monitor pull` does, without a scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from monitor.config import Config
from monitor.errors import PullState, StudioError
from monitor.pipeline.project_turn import ProjectTurn, new_client
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline
from monitor.pipeline.watch import Watch
from monitor.store import Store
from monitor.studio.discovery import discover
from monitor.studio.pull import Progress
from monitor.views.report import Outcome


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
        bar: Called with each target's name; what it answers is called with the progress.
        store: Open; the runs are compared with their baselines and recorded there. None does neither.
    """
    outcomes = []
    with ThreadPoolExecutor(1, "evaluate") as workers:
        async with new_client(config, NoMetrics()) as client:
            recorder = RunRecorder(store, workers) if store else None
            pipeline = Pipeline(NoMetrics(), workers, time.time, recorder)
            for entry in config.projects:
                if project_id not in (None, entry.id):
                    continue
                turn = ProjectTurn(client, entry, config.schedule_of(entry).interval)
                try:
                    found = await discover(await turn.studio(), entry)
                except StudioError as error:
                    outcomes.append(Outcome(f"project {entry.id}", error.state, error=str(error)))
                    continue
                for target in found.targets:
                    if impulse_id in (None, target.key.impulse_id):
                        name = f"{target.project} / {target.impulse} / {target.key.variant}"
                        watch = Watch.of(config, entry, target, found)
                        snapshot = (await pipeline.run(watch, turn, progress=bar(name))).snapshot
                        outcomes.append(Outcome(name, snapshot.state, snapshot, snapshot.error))
    return outcomes
