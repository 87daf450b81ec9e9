"""`ModelTesting`: model-testing jobs in Studio, started before pulls where a project's `refresh` asks for them.

A job tests all watched variants of one impulse in one category, so that its targets share it: one that is due while a
job runs waits for that one, and a job that has ended serves each of the others once, for an interval. Where results are
missing only because a threshold changed, a new summary of what was found before is tried first. A pull never fails for
want of a job.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from monitor.errors import AuthError, StudioError, Unreachable, quoted
from monitor.live.snapshots import Board
from monitor.pipeline.run import Watch, studio_project
from monitor.studio.client import Client
from monitor.studio.project import StudioProject
from monitor.studio.pull import DEADLINE
from monitor.targets import TargetKey

POLL = 5.0
"""Seconds between looks at a job."""
LONGEST = DEADLINE
"""Seconds after which a job is given up; a run waits no longer than its interval, so that a slow job does not become an
outage.
"""

log = structlog.get_logger()


@dataclass(slots=True)
class _Job:
    """A job, from before it is started in Studio.

    Attributes:
        task: Answers what is to be said of it, empty where it ended well.
        ended: On the monotonic clock; infinite while it runs.
        served: Ids of the targets that saw its end.
    """

    task: asyncio.Task[str]
    ended: float = math.inf
    served: set[str] = field(default_factory=set)

    def serves(self, target_id: str, interval: float) -> bool:
        """Whether a target needs no job of its own: this one runs, or ended within the interval and has not served it
        yet.
        """
        return target_id not in self.served and time.monotonic() - self.ended <= interval


class ModelTesting:
    """Starts jobs, waits for them, shares them.

    Args:
        board: Knows which variants of an impulse are watched.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._jobs: dict[tuple[int, int, str], _Job] = {}
        self._refused: set[int] = set()  # projects whose last job could not be started
        self._stopping = False

    async def before(self, watch: Watch, client: Client) -> str:
        """Let a target's results be renewed, if its project wants that and they need it; never raises, and waits a
        bounded time.

        Returns:
            Why the results are perhaps not new, in a sentence for the run's log line; empty where there is nothing to
            say.
        """
        if watch.project.refresh == "never":
            return ""
        limit = min(watch.schedule.interval, LONGEST)
        until = time.monotonic() + limit
        try:
            async with asyncio.timeout(limit):
                job = await self._job(watch, client)
        except TimeoutError:
            return f"whether model testing is needed was not known after {limit:g} s"
        except StudioError:
            return ""  # the pull meets the same, and says it
        except Exception as error:
            log.exception("refresh.crashed", target=watch.target.key.id)
            return quoted(repr(error))
        if job is None:
            return ""
        done, _ = await asyncio.wait({job.task}, timeout=until - time.monotonic())
        if not done:
            return f"model testing still ran after {limit:g} s"
        job.served.add(watch.target.key.id)
        return (
            "model testing was no longer waited for: the service stops" if job.task.cancelled() else job.task.result()
        )

    async def stop(self) -> None:
        """Wait for no job any more, and start none; those that run go on in Studio."""
        self._stopping = True
        tasks = [job.task for job in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _job(self, watch: Watch, client: Client) -> _Job | None:
        """The job that serves a target, started where there is none; None where none is needed."""
        key = watch.target.key
        if (job := self._shared(watch)) is not None:
            return job
        studio = await studio_project(client, watch.project)
        needed = _Need.TESTING if watch.project.refresh == "always" else await _need(studio, key)
        if needed is _Need.NOTHING:
            return None
        if (job := self._shared(watch)) is not None:  # another variant's, while Studio was asked
            return job
        if self._stopping:
            return None
        same = (other for other in self._board.watched.values() if _shared_by(other.key) == _shared_by(key))
        variants = sorted({key.variant, *(other.key.variant for other in same)})
        job = self._jobs[_shared_by(key)] = _Job(asyncio.create_task(self._run(studio, key, variants, needed)))

        def ended(_: object) -> None:
            job.ended = time.monotonic()

        job.task.add_done_callback(ended)
        return job

    def _shared(self, watch: Watch) -> _Job | None:
        job = self._jobs.get(_shared_by(watch.target.key))
        return job if job is not None and job.serves(watch.target.key.id, watch.schedule.interval) else None

    async def _run(self, studio: StudioProject, key: TargetKey, variants: list[str], needed: _Need) -> str:
        """Start a job and wait for its end."""
        fields = {"project_id": key.project_id, "impulse_id": key.impulse_id, "category": key.category}
        began = time.monotonic()
        job_id: int | None = None
        try:
            async with asyncio.timeout(LONGEST):
                if needed is _Need.SUMMARY and await _summarised(studio, key):
                    log.info("refresh.summarised", seconds=round(time.monotonic() - began, 3), **fields)
                    return ""
                job_id = await studio.start_model_testing(key.impulse_id, variants, key.category)
                self._refused.discard(studio.project_id)
                log.info("refresh.started", job=job_id, variants=variants, **fields)
                successful = await _end(studio, job_id)
        except TimeoutError:
            problem = (
                f"model testing ({f'job {job_id}' if job_id is not None else 'its start'}) did not end within "
                f"{LONGEST:g} s"
            )
        except StudioError as error:
            if job_id is not None:
                problem = f"how model testing (job {job_id}) ended is not known: {error}"
            else:
                hint = (
                    "; only an admin's key may start it: use one, or write `refresh: never`"
                    if isinstance(error, AuthError)
                    else ""
                )
                problem = f"model testing was not started, as far as is known: {error}{hint}"
                if studio.project_id not in self._refused:
                    self._refused.add(studio.project_id)
                    log.warning("refresh.refused", error=problem, **fields)
        except Exception as error:
            log.exception("refresh.crashed", **fields)
            problem = quoted(repr(error))
        else:
            problem = "" if successful else f"model testing (job {job_id}) failed; its log is in Studio"
        if job_id is not None:
            seconds = round(time.monotonic() - began, 3)
            log.info(
                "refresh.finished", job=job_id, seconds=seconds, **({"error": problem} if problem else {}), **fields
            )
        return problem


class _Need(Enum):
    """What brings a target's results up to date."""

    NOTHING = auto()
    SUMMARY = auto()
    TESTING = auto()


def _shared_by(key: TargetKey) -> tuple[int, int, str]:
    """What the targets that a job serves have in common."""
    return key.project_id, key.impulse_id, key.category


async def _need(studio: StudioProject, key: TargetKey) -> _Need:
    stale = await studio.optional_stale_impulses()
    if stale.get(key.impulse_id, False):
        return _Need.TESTING
    if await studio.has_results(key.impulse_id, key.variant, key.category):
        return _Need.NOTHING
    suffices = await studio.optional_summary_suffices(key.impulse_id, key.variant, key.category)
    return _Need.SUMMARY if suffices else _Need.TESTING


async def _summarised(studio: StudioProject, key: TargetKey) -> bool:
    """Whether a new summary brought the results back. Where it did not, for whatever reason, model testing will.

    Raises:
        Unreachable: Perhaps the job was started all the same: another one beside it could cost twice.
    """
    try:
        job_id = await studio.regenerate_summary(key.impulse_id, key.category)
        successful = job_id is None or await _end(studio, job_id)
        return successful and await studio.has_results(key.impulse_id, key.variant, key.category)
    except Unreachable:
        raise
    except StudioError as error:
        log.info("refresh.not_summarised", target=key.id, error=str(error))
        return False


async def _end(studio: StudioProject, job_id: int) -> bool:
    """How a job ended, as soon as it has."""
    while True:
        await asyncio.sleep(POLL)
        try:
            successful = await studio.job_finished(job_id)
        except Unreachable:
            continue  # the job goes on without us
        if successful is not None:
            return successful
