"""A target about which Studio says nothing new, and a pipeline with the built-in rules that pulls it turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from monitor.alerts.rules import built_in
from monitor.cli.once import NoMetrics
from monitor.config import Config
from monitor.errors import PullState
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.project_turn import ProjectTurn, new_client
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.store import Store
from monitor.studio.discovery import discover
from monitor.studio.project import StudioProject


@dataclass
class Known:
    """What a process keeps of one target between its turns."""

    watch: Watch
    snapshot: Snapshot | None = None
    cache: TargetCache = field(default_factory=TargetCache)


class _Counting(NoMetrics):
    def __init__(self, sent: Callable[[], None]) -> None:
        self._sent = sent

    def request(self, call: str, code: str, seconds: float) -> None:
        self._sent()


Turn = Callable[[], Awaitable[list[Known]]]
"""One turn of a project: pulls all its targets."""


@asynccontextmanager
async def turns_of(
    url: str,
    project_id: int,
    api_key: str,
    store: Store,
    *,
    baseline: Mapping[str, str] | None = None,
    sent: Callable[[], None] = lambda: None,
    **fields: object,
) -> AsyncIterator[Turn]:
    """Turns of a project; each must end well.

    Args:
        url: Of Studio.
        project_id, api_key: Of the project.
        store: Open.
        baseline: As the configuration has it.
        sent: Called for each request.
        fields: Of the project's entry in the configuration.
    """
    entry = {"id": project_id, "api_key": api_key, **fields}
    config = Config.model_validate({"studio": {"url": url}, "projects": [entry], "baseline": baseline or {}})
    with ThreadPoolExecutor(1) as workers:
        async with new_client(config, _Counting(sent)) as client:
            now = 1000.0

            def clock() -> float:
                return now

            evaluator = AlertEvaluator(clock)
            evaluator.configure(built_in(), ["hook"])
            pipeline = Pipeline(NoMetrics(), workers, clock, RunRecorder(store, workers, evaluator))
            found = await discover(StudioProject(client, project_id, api_key), config.projects[0])
            targets = [Known(Watch.of(config, config.projects[0], target, found)) for target in found.targets]

            async def turn() -> list[Known]:
                nonlocal now
                now += 60.0
                project = ProjectTurn(client, config.projects[0], 60.0)
                for known in targets:
                    project.begins(known.watch.target.key.id)

                async def pull(known: Known) -> None:
                    ended = await pipeline.run(known.watch, project, before=known.snapshot, cache=known.cache)
                    assert ended.snapshot.state is PullState.OK, ended.snapshot.error
                    known.snapshot = ended.snapshot

                await asyncio.gather(*map(pull, targets))
                return targets

            yield turn
