"""One run of one target: pull → evaluate → compare → remember → show. It assumes nothing about who calls it, and never
raises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from monitor.config import Config, ProjectConfig, Schedule
from monitor.errors import PullState, StudioError, quoted
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.evaluation import Evaluation
from monitor.figures.headline import headlines
from monitor.live.snapshots import Board, Snapshot
from monitor.logs import secrets
from monitor.pipeline.record import Found, Policy, RunRecorder, seed_of
from monitor.results import ResultSet
from monitor.studio import client as studio_client
from monitor.studio.budget import Hold
from monitor.studio.client import LONGEST_CLOSED, Client
from monitor.studio.discovery import Discovery
from monitor.studio.project import StudioProject
from monitor.studio.pull import Filters, Progress, pull
from monitor.targets import Target

log = structlog.get_logger()

_LOGGED = ("accuracy", "mean_f1", "map")
"""Headline figures in the line of a pull."""


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
    """

    target: Target
    project: ProjectConfig
    schedule: Schedule
    stale_after: float
    settings: EvaluationSettings
    policy: Policy

    @classmethod
    def of(cls, config: Config, project: ProjectConfig, target: Target, found: Discovery) -> Watch:
        """How the configuration wants a discovered target watched."""
        schedule = config.schedule_of(project)
        settings = EvaluationSettings(
            tuple(project.slices), config.limits.slice_values, found.anomaly_labels, found.no_anomaly_labels
        )
        policy = Policy(config.baseline, project.filters.text() if project.filters else "", settings)
        return cls(
            replace(target, labels=project.labels), project, schedule, config.stale_after_of(project), settings, policy
        )


class Observer(Protocol):
    """Who counts pulls."""

    def pull(self, outcome: PullState, seconds: float) -> None: ...  # noqa: D102


def new_client(config: Config, observer: studio_client.Observer, processes: int = 1) -> Client:
    """The client that a configuration asks for.

    Args:
        config: The configuration.
        observer: Counts requests.
        processes: How many share the budget of requests, in equal parts; each has one request at least.

    Raises:
        OSError: `studio.ca_file` cannot be read, or holds no certificate.
    """
    studio = config.studio
    return Client(
        studio.url,
        observer,
        timeout=studio.timeout,
        in_flight=max(1, studio.requests_in_flight // processes),
        in_flight_per_key=max(1, studio.requests_in_flight_per_key // processes),
        proxy=studio.proxy.get_secret_value() if studio.proxy else None,
        ca_file=str(studio.ca_file) if studio.ca_file else None,
    )


async def studio_project(
    client: Client, project: ProjectConfig, interval: float = LONGEST_CLOSED, hold: Hold | None = None
) -> StudioProject:
    """The project's calls, with its key as it is right now: key files are read at each use, so that keys rotate without
    a restart.

    Args:
        client: Sends the requests.
        project: Its entry in the configuration.
        interval: Seconds between two pulls, beyond which no Retry-After is believed.
        hold: What is put down while a request waits.

    Raises:
        AuthError: The key file cannot be read.
    """
    key = (await asyncio.to_thread(project.read_key)).get_secret_value()
    secrets.add(key)
    return StudioProject(client, project.id, key, closed_at_most=interval, hold=hold)


class Pipeline:
    """Runs targets.

    Args:
        board: Where snapshots are shown.
        observer: Counts pulls.
        workers: Threads for computing, apart from those that answer scrapes.
        clock: Unix seconds.
        memory: Compares and remembers runs; None does neither.
    """

    def __init__(
        self,
        board: Board,
        observer: Observer,
        workers: Executor,
        clock: Callable[[], float] = time.time,
        memory: RunRecorder | None = None,
    ) -> None:
        self._board, self._observer, self._workers, self._clock, self._memory = board, observer, workers, clock, memory
        self._evaluated: dict[str, tuple[object, Evaluation]] = {}

    async def run(
        self,
        watch: Watch,
        client: Client,
        progress: Progress = lambda done, total: None,
        *,
        refresh: str = "",
        hold: Hold | None = None,
    ) -> Snapshot:
        """Pull a target, compute its figures, compare, remember, show; a failure keeps the last good figures and says
        how it failed.

        Args:
            watch: The target, and how it is watched.
            client: Asks Studio.
            progress: Told about each page.
            refresh: Why the results are perhaps not new although they were to be, for the log.
            hold: What is put down while the pull waits for Studio.
        """
        target_id = watch.target.key.id
        started, began = self._clock(), time.monotonic()
        before = await self._before(watch)
        found = None
        try:
            found = await self._find(watch, client, progress, before.fingerprint, hold)
            if self._memory is not None:
                before = await self._memory.bring_up(watch.policy, before, found)
            snapshot = _good(before, found, self._clock())
        except StudioError as error:
            snapshot = replace(before, state=error.state, error=str(error), last_pull=self._clock())
        except Exception as error:
            log.exception("pull.crashed", target=target_id)
            snapshot = replace(before, state=PullState.INVALID, error=quoted(repr(error)), last_pull=self._clock())
        if self._memory is not None:
            snapshot = await self._memory.remember(watch.policy, before, snapshot, found, started)
        self._board.show(snapshot)
        seconds = time.monotonic() - began
        self._observer.pull(snapshot.state, seconds)
        _log(snapshot, before, seconds, refresh)
        return snapshot

    async def restore(self, watch: Watch) -> None:
        """Show what the store remembers of a target that is not shown yet, as long as its figures are not stale."""
        if self._memory is None or watch.target.key.id in self._board.snapshots:
            return
        snapshot = await self._memory.recall(watch.target, watch.stale_after)
        if snapshot is not None and snapshot.fresh(self._clock()) and watch.target.key.id not in self._board.snapshots:
            self._board.show(snapshot)

    async def _before(self, watch: Watch) -> Snapshot:
        """What is known of a target before its run."""
        shown = self._board.snapshots.get(watch.target.key.id)
        if shown is None and self._memory is not None:
            shown = await self._memory.recall(watch.target, watch.stale_after)
        return shown or Snapshot(watch.target, watch.stale_after, PullState.OK, 0.0)

    async def _find(
        self, watch: Watch, client: Client, progress: Progress, known: str | None, hold: Hold | None
    ) -> Found:
        studio = await studio_project(client, watch.project, watch.schedule.interval, hold)
        only, keys = watch.project.filters, watch.settings.metadata_keys
        filters = Filters(**only.model_dump(mode="json", exclude_none=True)) if only else Filters()
        results = await pull(studio, watch.target.key, known=known, filters=filters, metadata=keys, progress=progress)
        fingerprint = await self._in_worker(results.fingerprint)
        evaluation = await self._evaluate(watch, results, fingerprint)
        stale = await studio.optional_stale_impulses()
        trained = await studio.optional_trained(results.blocks)
        return Found(results, fingerprint, evaluation, trained, stale.get(watch.target.key.impulse_id))

    async def _evaluate(self, watch: Watch, results: ResultSet, fingerprint: str) -> Evaluation:
        """The figures; those of before where nothing they depend on has changed, so that a quiet target costs no
        computing.
        """
        target_id = watch.target.key.id
        inputs = (fingerprint, results.blocks, watch.settings)
        known = self._evaluated.get(target_id)
        # slices depend on more than the fingerprint holds
        if known is not None and known[0] == inputs and not watch.settings.slices:
            return known[1]
        evaluation: Evaluation = await self._in_worker(
            evaluate, results, watch.settings, seed_of(target_id, fingerprint)
        )
        self._evaluated[target_id] = (inputs, evaluation)
        return evaluation

    def forget(self, target_id: str) -> None:
        """Drop what is kept about a target."""
        self._evaluated.pop(target_id, None)
        if self._memory is not None:
            self._memory.forget(target_id)

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
