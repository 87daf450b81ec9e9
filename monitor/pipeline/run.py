"""One run of one target: pull → evaluate → compare → check the rules → record.

What goes wrong with Studio or with the store ends in the snapshot, not in an exception. A run knows only what it is
handed: nothing of what else is watched, shown or sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from monitor.alerts.states import AlertState, by_name
from monitor.errors import PullState, StudioError, quoted
from monitor.figures import evaluate
from monitor.figures.evaluation import Evaluation
from monitor.figures.headline import Glance, at_a_glance, headlines
from monitor.figures.units import UnitChoices, chosen_later
from monitor.pipeline.found import Found, seed_of
from monitor.pipeline.project_turn import ELSEWHERE, ProjectTurn
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import CurrentWatch, Watch
from monitor.results import ResultSet
from monitor.studio.budget import Hold
from monitor.studio.pull import Filters, Progress, pull

log = structlog.get_logger()

_LOGGED = tuple(row.name for row in at_a_glance(Glance.LOG))
"""Headline figures in the line of a pull."""


class Observer(Protocol):
    """Who counts pulls."""

    def pull(self, outcome: PullState, seconds: float) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        snapshot: What is known of the target now.
        alerts: The states of its alerts as the store has them; those that are not named are as before.
    """

    snapshot: Snapshot
    alerts: tuple[AlertState, ...] = ()


class Pipeline:
    """Runs targets, from what the caller knows of them.

    Args:
        observer: Counts pulls.
        workers: Threads for computing, apart from those that answer scrapes.
        clock: Unix seconds.
        recorder: Compares runs, has the rules checked, and records them; None does none of it.
    """

    def __init__(
        self,
        observer: Observer,
        workers: Executor,
        clock: Callable[[], float] = time.time,
        recorder: RunRecorder | None = None,
    ) -> None:
        self._observer = observer
        self._workers = workers
        self._clock = clock
        self._recorder = recorder

    async def run(
        self,
        watch: Watch,
        project: ProjectTurn,
        *,
        before: Snapshot | None = None,
        cache: TargetCache | None = None,
        first_watched: float | None = None,
        watched: CurrentWatch | None = None,
        progress: Progress = lambda done, total: None,
        refresh: str = "",
        hold: Hold | None = None,
    ) -> Ended:
        """Pull a target, compute its figures, compare them, check the rules and record all of it; a failure keeps the
        last good figures and says how it failed.

        Args:
            watch: The target, and how it is watched.
            project: The turn of its project.
            before: What is known of it; None: what the store knows.
            cache: What earlier runs kept of it; None: nothing.
            first_watched: Unix seconds since when it is watched; None: since now.
            watched: Has the watch as it is by the time the rules are checked; None: the same.
            progress: Called for each page.
            refresh: Why the results are perhaps not new although they were to be, for the log.
            hold: What is put down while the pull waits for Studio.
        """
        target_id = watch.target.key.id
        cache = TargetCache() if cache is None else cache
        started = self._clock()
        began = time.monotonic()
        before = before or await self._before(watch, cache)
        found = None
        alerts = list[AlertState]()
        try:
            found = await self._find(watch, project, progress, before, cache, hold)
            if self._recorder is not None:
                before, alerts = await self._recorder.recomputer.last_good(watch.policy, before, found, cache)
            snapshot = _good(before, found, self._clock())
        except StudioError as error:
            snapshot = replace(before, state=error.state, error=str(error), last_pull=self._clock())
        except Exception as error:
            log.exception("pull.crashed", target=target_id)
            snapshot = replace(before, state=PullState.INVALID, error=quoted(repr(error)), last_pull=self._clock())
        if self._recorder is not None:
            reference = ELSEWHERE
            if found is not None and watch.reference is not None:
                reference = await project.run_of(watch.reference.id, hold)
            snapshot, states = await self._recorder.record(
                watch, before, snapshot, found, started, cache, first_watched, watched, reference
            )
            alerts += states
        project.ends(target_id, found.fingerprint if found is not None else None)
        seconds = time.monotonic() - began
        self._observer.pull(snapshot.state, seconds)
        _log(snapshot, before, seconds, refresh)
        return Ended(snapshot, tuple(by_name(alerts).values()))

    async def restore(self, watch: Watch, cache: TargetCache) -> Snapshot | None:
        """What the store has of a target, as long as its figures are not stale; None where it has none."""
        if self._recorder is None:
            return None
        snapshot = await self._recorder.restore(watch.target, watch.stale_after, cache)
        return snapshot if snapshot is not None and snapshot.fresh(self._clock()) else None

    async def _before(self, watch: Watch, cache: TargetCache) -> Snapshot:
        """What is known of a target before its run, where nobody hands it in."""
        known = None
        if self._recorder is not None:
            known = await self._recorder.restore(watch.target, watch.stale_after, cache)
        return known or Snapshot(watch.target, watch.stale_after, PullState.OK, 0.0)

    async def _find(
        self,
        watch: Watch,
        project: ProjectTurn,
        progress: Progress,
        before: Snapshot,
        cache: TargetCache,
        hold: Hold | None,
    ) -> Found:
        known = before.fingerprint
        studio = await project.studio(hold)
        only = watch.project.filters
        keys = watch.settings.metadata_keys
        filters = Filters(**only.model_dump(mode="json", exclude_none=True)) if only else Filters()
        results = await pull(studio, watch.target.key, known=known, filters=filters, metadata=keys, progress=progress)
        fingerprint = results.fingerprint()  # the pull has computed it
        choices = None
        if self._recorder is not None:
            choices = await self._recorder.unit_choices(watch.target.key.id, watch.policy, before, cache)
        evaluation = await self._evaluate(watch, results, fingerprint, cache, choices)
        # The turn's answer may be from before a training that this set comes of: it would be put down to another model.
        again = fingerprint != known
        stale = await project.stale_impulses(hold, again=again)
        trained = await project.trained(results.blocks, hold, again=again)
        impulse_stale = stale.get(watch.target.key.impulse_id)
        chose_units = choices is not None and chosen_later(choices, evaluation.units)
        return Found(results, fingerprint, evaluation, trained, impulse_stale, chose_units)

    async def _evaluate(
        self,
        watch: Watch,
        results: ResultSet,
        fingerprint: str,
        cache: TargetCache,
        choices: UnitChoices | None,
    ) -> Evaluation:
        """The figures; those of before where nothing they depend on has changed, so that a quiet target costs no
        computing.
        """
        inputs = (fingerprint, results.blocks, watch.settings)
        # slices depend on more than the fingerprint holds
        known = cache.evaluation is not None and cache.inputs == inputs and not watch.settings.slices
        # a set that decided for itself, and is the baseline now, decides the same again
        if known and cache.evaluation is not None and choices in (cache.choices, cache.evaluation.units):
            return cache.evaluation
        evaluation: Evaluation = await self._in_worker(
            evaluate, results, watch.settings, seed_of(watch.target.key.id, fingerprint), choices
        )
        cache.inputs = inputs
        cache.choices = choices
        cache.evaluation = evaluation
        return evaluation

    async def _in_worker(self, function: Callable[..., Any], *args: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *args)


def _good(before: Snapshot, found: Found, now: float) -> Snapshot:
    return replace(
        before,
        state=PullState.OK,
        error="",
        last_pull=now,
        last_success=now,
        last_change=now if before.fingerprint not in (None, found.fingerprint) else before.last_change,
        fingerprint=found.fingerprint,
        evaluation=found.evaluation,
        trained=found.trained,
        impulse_stale=found.impulse_stale,
    )


def _log(snapshot: Snapshot, before: Snapshot, seconds: float, refresh: str) -> None:
    """The one line of a pull: an error on the edge from good to bad, information otherwise."""
    fields: dict[str, Any] = {
        "target": snapshot.target.key.id,
        "project": snapshot.target.project,
        "impulse": snapshot.target.impulse,
        "state": str(snapshot.state),
        "seconds": round(seconds, 3),
    }
    if snapshot.state is PullState.OK and (evaluation := snapshot.evaluation):
        fields |= {
            "samples": evaluation.samples,
            "windows": evaluation.windows,
            "changed": snapshot.fingerprint != before.fingerprint,
        }
        figures = headlines(evaluation)
        fields |= {name: round(figures[name].value, 4) for name in _LOGGED if name in figures}
    if snapshot.error:
        fields["error"] = snapshot.error
    if refresh:
        fields["refresh"] = refresh
    first_of_its_kind = snapshot.state is not PullState.OK and snapshot.state is not before.state
    (log.error if first_of_its_kind else log.info)("pull.finished", **fields)
