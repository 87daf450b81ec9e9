"""`ModelTesting`: model-testing jobs in Studio, started before pulls where a project's `refresh` asks for them.

A job tests all watched variants of one impulse in one category, so that its targets share it. Where other targets of
the impulse are due at another time, they wait for a job that runs, and one that has ended serves each of them once, for
an interval. Where results are missing only because a threshold changed, a new summary of what was found before is tried
first. A pull never fails for want of a job.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import structlog

from monitor.errors import AuthError, StudioError, Unreachable, quoted
from monitor.studio.project import StudioProject
from monitor.studio.pull import DEADLINE
from monitor.targets import TargetKey

POLL = 5.0
"""Seconds between looks at a job."""
LONGEST = DEADLINE
"""Seconds after which a job is given up; a run waits no longer than its interval, so that a slow job does not become an
outage.
"""

AskStale = Callable[[], Awaitable[Mapping[int, bool]]]
"""Answers as `StudioProject.optional_stale_impulses`."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Job:
    """A job, from before it is started in Studio.

    Attributes:
        studio: The project's calls, of the last to ask: a job may outlive a client and a key.
        task: Answers what is to be said of it, empty where it ended well.
        ended: On the monotonic clock; infinite while it runs.
        served: Ids of the targets that saw its end.
    """

    studio: StudioProject
    task: asyncio.Task[str] = field(init=False)
    ended: float = math.inf
    served: set[str] = field(default_factory=set)

    def serves(self, due: Due) -> bool:
        """Whether the targets need no job of their own: this one runs, or ended within the interval and has not served
        any of them yet.
        """
        return self.served.isdisjoint(due.ids) and time.monotonic() - self.ended <= due.interval


@dataclass(frozen=True, slots=True)
class Due:
    """The targets of one impulse in one category that are to be pulled.

    Attributes:
        keys: Theirs; at least one.
        variants: All watched variants of the impulse in the category.
        mode: When a job is started, as the configuration's `refresh` has it.
        interval: Seconds between two pulls.
    """

    keys: tuple[TargetKey, ...]
    variants: tuple[str, ...]
    mode: Literal["when_stale", "always"]
    interval: float

    @property
    def ids(self) -> frozenset[str]:
        """The targets' ids."""
        return frozenset(key.id for key in self.keys)

    @property
    def impulse(self) -> tuple[int, int, str]:
        """What the targets have in common: project, impulse and category."""
        key = self.keys[0]
        return key.project_id, key.impulse_id, key.category


class ModelTesting:
    """Starts jobs, waits for them, shares them."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[int, int, str], _Job] = {}
        self._refused: set[int] = set()  # projects whose last job could not be started
        self._stopping = False

    async def before(self, due: Due, studio: StudioProject, stale: AskStale | None = None) -> str:
        """Let the results of an impulse be renewed, if they need it; never raises, and waits a bounded time.

        Args:
            due: The targets.
            studio: Their project's calls.
            stale: Asks which impulses are stale, where the answer is shared with others; None: `studio` is asked.

        Returns:
            Why the results are perhaps not new, in a sentence for the runs' log lines; empty where there is nothing to
            say.
        """
        limit = min(due.interval, LONGEST)
        until = time.monotonic() + limit
        try:
            async with asyncio.timeout(limit):
                job = await self._job(due, studio, stale or studio.optional_stale_impulses)
        except TimeoutError:
            return f"whether model testing is needed was not known after {limit:g} s"
        except StudioError:
            return ""  # the pull meets the same, and says it
        except Exception as error:
            log.exception("refresh.crashed", targets=sorted(due.ids))
            return quoted(repr(error))
        if job is None:
            return ""
        done, _ = await asyncio.wait({job.task}, timeout=until - time.monotonic())
        if not done:
            return f"model testing still ran after {limit:g} s"
        job.served |= due.ids
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

    async def _job(self, due: Due, studio: StudioProject, stale: AskStale) -> _Job | None:
        """The job that serves the targets, started where there is none; None where none is needed."""
        if (job := self._shared(due)) is not None:
            job.studio = studio
            return job
        needed = _Need.TESTING if due.mode == "always" else await _need(studio, due.keys, stale)
        if needed is _Need.NOTHING:
            return None
        if (job := self._shared(due)) is not None:  # another entry's, while Studio was asked
            return job
        if self._stopping:
            return None
        job = self._jobs[due.impulse] = _Job(studio)
        job.task = asyncio.create_task(self._run(job, due, needed))

        def ended(_: object) -> None:
            job.ended = time.monotonic()

        job.task.add_done_callback(ended)
        return job

    def _shared(self, due: Due) -> _Job | None:
        job = self._jobs.get(due.impulse)
        return job if job is not None and job.serves(due) else None

    async def _run(self, job: _Job, due: Due, needed: _Need) -> str:
        """Start a job and wait for its end."""
        key = due.keys[0]
        variants = sorted({*due.variants, *(other.variant for other in due.keys)})
        fields = {"project_id": key.project_id, "impulse_id": key.impulse_id, "category": key.category}
        began = time.monotonic()
        job_id: int | None = None
        try:
            async with asyncio.timeout(LONGEST):
                if needed is _Need.SUMMARY and await _summarised(job, due.keys):
                    log.info("refresh.summarised", seconds=round(time.monotonic() - began, 3), **fields)
                    return ""
                job_id = await job.studio.start_model_testing(key.impulse_id, variants, key.category)
                self._refused.discard(key.project_id)
                log.info("refresh.started", job=job_id, variants=variants, **fields)
                successful = await _end(job, job_id)
        except TimeoutError:
            problem = (
                f"model testing ({f'job {job_id}' if job_id is not None else 'its start'}) did not end within "
                f"{LONGEST:g} s"
            )
        except StudioError as error:
            if job_id is not None:
                problem = error.within(f"how model testing (job {job_id}) ended is not known: ")
            else:
                hint = (
                    "; only an admin's key may start it: use one, or write `refresh: never`"
                    if isinstance(error, AuthError)
                    else ""
                )
                problem = error.within("model testing was perhaps not started: ", hint)
                if key.project_id not in self._refused:
                    self._refused.add(key.project_id)
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


async def _need(studio: StudioProject, keys: Sequence[TargetKey], stale: AskStale) -> _Need:
    """What the target needs that needs most."""
    if (await stale()).get(keys[0].impulse_id, False):
        return _Need.TESTING
    needed = _Need.NOTHING
    for key in keys:
        if await studio.has_results(key.impulse_id, key.variant, key.category):
            continue
        if not await studio.optional_summary_suffices(key.impulse_id, key.variant, key.category):
            return _Need.TESTING
        needed = _Need.SUMMARY
    return needed


async def _summarised(job: _Job, keys: Sequence[TargetKey]) -> bool:
    """Whether a new summary brought the results back. Where it did not, for whatever reason, model testing will.

    Raises:
        Unreachable: Perhaps the job was started all the same: another one beside it could cost twice.
    """
    try:
        job_id = await job.studio.regenerate_summary(keys[0].impulse_id, keys[0].category)
        if job_id is not None and not await _end(job, job_id):
            return False
        for key in keys:
            if not await job.studio.has_results(key.impulse_id, key.variant, key.category):
                return False
        return True
    except Unreachable:
        raise
    except StudioError as error:
        log.info("refresh.not_summarised", target=keys[0].id, error=str(error))
        return False


async def _end(job: _Job, job_id: int) -> bool:
    """How a job ended, as soon as it has."""
    while True:
        await asyncio.sleep(POLL)
        try:
            successful = await job.studio.job_finished(job_id)
        except Unreachable:
            continue  # the job goes on without us
        if successful is not None:
            return successful
