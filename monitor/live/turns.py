"""`Turns`: one turn of a project entry: its due targets pulled together.

What is the same for all of them is asked once, the variants of an impulse are read side by side, and a turn waits with
no place among the pulls that another project could use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from monitor.engine.base import Engine, Turn
from monitor.errors import PullState, StudioError
from monitor.live.entry import Entry
from monitor.live.live import Live
from monitor.live.studio_access import StudioAccess
from monitor.live.target import LiveTarget, PullInFlight
from monitor.pipeline.project_turn import ProjectTurn
from monitor.pipeline.run import Pipeline
from monitor.studio.budget import Budget, Hold
from monitor.studio.model_testing import Due, ModelTesting

PULLS_IN_FLIGHT = 16
"""Pulls that read at once: each holds the columns read so far, so this bounds the memory; requests have their own
budget.
"""
PULLS_PER_PROJECT = 4
"""How many of them one project may have."""

log = structlog.get_logger()


class Turns:
    """Pulls the targets of entries.

    Args:
        live: Knows the targets, and shows what was pulled.
        pipeline: Pulls one.
        studio: The client.
        testing: Renews results before a turn.
        engine: Runs the pulls.
    """

    def __init__(
        self, live: Live, pipeline: Pipeline, studio: StudioAccess, testing: ModelTesting, engine: Engine
    ) -> None:
        self._live = live
        self._pipeline = pipeline
        self._studio = studio
        self._testing = testing
        self._engine = engine
        self._budget = Budget(PULLS_IN_FLIGHT, PULLS_PER_PROJECT)
        self._refreshing: set[asyncio.Task[str]] = set()

    async def run(self, turn: Turn, entry: Entry) -> None:
        """Pull an entry's targets. Those that are still being pulled from the turn before are skipped; those that are
        not done when the next turn is due go on, and this one ends.
        """
        tasks = self.pull(entry, self._live.targets_of(entry))
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, turn.ends - time.monotonic()))

    def pull(self, entry: Entry, targets: Iterable[LiveTarget]) -> list[asyncio.Task[None]]:
        """Begin to pull some targets of an entry, in this order; answers the pulls that were begun."""
        project = ProjectTurn(self._studio.client, entry.project, entry.schedule.interval)
        impulses: dict[int, list[LiveTarget]] = {}
        for target in targets:
            if target.pull is not None:
                self._engine.skip(target.id, "overlap")
            else:
                impulses.setdefault(target.target.key.impulse_id, []).append(target)
        renews = entry.project.refresh != "never"
        variants = self._live.variants(entry.project.id, entry.project.category) if renews else {}
        return [
            task
            for impulse_id, of_one in impulses.items()
            for task in self._pull_impulse(entry, project, of_one, variants.get(impulse_id, ()))
        ]

    def cancel_waiting(self) -> None:
        """End the pulls that only wait, for their place, because Studio asked for it, or to hear whether their results
        are to be renewed: nothing is lost with them.
        """
        for task in self._refreshing:
            task.cancel()  # and with it the pulls that wait for it
        for target in self._live.targets.values():
            if target.pull is not None and target.pull.waits:
                target.pull.task.cancel()

    def _pull_impulse(
        self, entry: Entry, project: ProjectTurn, targets: list[LiveTarget], variants: Sequence[str]
    ) -> list[asyncio.Task[None]]:
        """Begin to pull an impulse's targets that are due, once its results are renewed, of all its watched variants,
        where that is wanted.
        """
        mode = entry.project.refresh
        refreshed: asyncio.Task[str] | None = None
        if mode != "never":
            keys = tuple(target.target.key for target in targets)
            due = Due(keys, tuple(variants), mode, entry.schedule.interval)
            refreshed = asyncio.create_task(self._refresh(project, due))
            self._refreshing.add(refreshed)
            refreshed.add_done_callback(self._refreshing.discard)
        tasks = []
        for target in targets:
            task = self._engine.spawn(target.id, partial(self._pull, entry, project, target, refreshed))
            target.pull = PullInFlight(task)
            project.begins(target.id)
            task.add_done_callback(partial(_ended, target, project))
            tasks.append(task)
        return tasks

    async def _refresh(self, project: ProjectTurn, due: Due) -> str:
        """Renew an impulse's results; answers why they are perhaps not new."""
        try:
            studio = await project.studio()
        except StudioError:
            return ""  # the pull meets the same, and says it
        why = await self._testing.before(due, studio, project.stale_impulses)
        project.forget()
        return why

    async def _pull(
        self,
        entry: Entry,
        project: ProjectTurn,
        target: LiveTarget,
        refreshed: asyncio.Task[str] | None,
    ) -> None:
        refresh = await asyncio.shield(refreshed) if refreshed is not None else ""
        hold = Hold(self._budget, str(entry.project.id))
        if target.pull is not None:
            target.pull.hold = hold
        async with hold:
            ended = await self._pipeline.run(
                target.watch,
                project,
                before=target.snapshot,
                cache=target.cache,
                first_watched=target.first_watched,
                watched=target,
                refresh=refresh,
                hold=hold,
            )
            target.show(ended.snapshot)
            self._live.show_alerts(target.id, ended.alerts)
        if ended.snapshot.state is PullState.NOT_FOUND:
            self._engine.run_now(entry.name)


def _ended(target: LiveTarget, project: ProjectTurn, task: asyncio.Task[None]) -> None:
    project.ends(target.id, None)  # of one that was cancelled nobody else has said so
    if target.pull is not None and target.pull.task is task:
        target.pull = None
