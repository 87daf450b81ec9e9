"""`Scheduler`: when. The one file that knows timing; of APScheduler it knows the scheduler, `config.crontab` the
calendar.

A job fires on a grid of its own: the multiples of its interval since 1970, shifted by an offset that a hash of its key
gives. So jobs spread evenly, stay put over restarts, and never drift. The library's own interval trigger counts from
the last firing, which drifts, stalls when the wall clock is stepped back and floods when it is stepped forward.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from monitor.config import Schedule, cron_trigger

HEARTBEAT = 5.0
LAG_PROBE = 0.25
CLOCK_STEP = 3.0
"""Seconds by which wall and monotonic clock must part before it counts as a step; daylight saving does not, the clock
is UTC.
"""
SOONEST = 30.0
"""Seconds within which the first run of a job comes, whatever its interval."""
CRON_SPREAD = 30.0
"""Seconds over which jobs with the same cron expression are spread: within the minute the operator named."""

Run = Callable[[], Awaitable[None]]
log = structlog.get_logger()


class Observer(Protocol):
    """Who counts what the scheduler does."""

    def skipped(self, reason: str) -> None: ...  # noqa: D102
    def heartbeat(self, now: float) -> None: ...  # noqa: D102
    def loop_lag(self, seconds: float) -> None: ...  # noqa: D102


class Grid(BaseTrigger):  # type: ignore[misc]
    """Fires at every multiple of `every` seconds since 1970 plus `offset`: a pure function of the time that it is."""

    def __init__(self, every: float, offset: float) -> None:
        self.every, self.offset = every, offset

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first grid point after the previous firing, or not before `now` where it is the later one."""
        ticks = (now.timestamp() - self.offset) / self.every
        number = math.ceil(ticks)
        if previous_fire_time is not None:
            number = max(number, math.floor((previous_fire_time.timestamp() - self.offset) / self.every + 1e-6) + 1)
        return datetime.fromtimestamp(number * self.every + self.offset, UTC)


class Delayed(BaseTrigger):  # type: ignore[misc]
    """Another trigger's times, each `offset` seconds later."""

    def __init__(self, trigger: BaseTrigger, offset: float) -> None:
        self.trigger, self.offset = trigger, timedelta(seconds=offset)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The inner trigger's next time, shifted; None where there is none."""
        previous = previous_fire_time - self.offset if previous_fire_time else None
        inner = self.trigger.get_next_fire_time(previous, now - self.offset)
        return inner + self.offset if inner else None


def trigger(schedule: Schedule, spread: float) -> BaseTrigger:
    """The trigger for a schedule; `spread` in [0, 1) says where the job sits between others of the same schedule."""
    if schedule.cron is None:
        return Grid(schedule.interval, spread * schedule.interval)
    return Delayed(cron_trigger(schedule.cron, schedule.timezone), spread * CRON_SPREAD)


def first_delay(schedule: Schedule, spread: float) -> float:
    """Seconds until a job's first run: within min(interval, SOONEST), spread, so that a start does not ask for
    everything at once.
    """
    return spread * min(schedule.interval, SOONEST)


class Scheduler:
    """Runs coroutines at their times: never the same job twice at once, late runs once, each skipped run counted.

    Args:
        observer: Counts skipped runs, heartbeats and the loop's lag.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_listener(self._on_event, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR)

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.add_job(self._beat, Grid(HEARTBEAT, 0), id="heartbeat", next_run_time=_now())
        self._scheduler.start()
        self._watcher = asyncio.create_task(self._watch())

    def add(self, name: str, fires: BaseTrigger, run: Run, delay: float) -> None:
        """Add a job, or put another in its place: its first run comes in `delay` seconds, the others when the trigger
        says.

        Args:
            name: The job's identity.
            fires: A `trigger` or `Grid`.
            run: Awaited at each firing.
            delay: Seconds.
        """
        self._scheduler.add_job(
            self._run, fires, args=(name, run), id=name, next_run_time=_in(delay), replace_existing=True
        )

    def reschedule(self, name: str, fires: BaseTrigger, delay: float) -> None:
        """Give a job another trigger; its next run comes in `delay` seconds."""
        self._scheduler.modify_job(name, trigger=fires, next_run_time=_in(delay))

    def soon(self, name: str, delay: float = 0.0) -> None:
        """Let a job run once in `delay` seconds, then on its grid again; nothing happens if it is not there."""
        if self._scheduler.get_job(name) is not None:
            self._scheduler.modify_job(name, next_run_time=_in(delay))

    def remove(self, name: str) -> None:
        """Take a job away; a run in flight is let finish."""
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    async def drain(self, grace: float | None = None) -> int:
        """Wait for the runs in flight, at most `grace` seconds (None: as long as it takes); answers
        how many are left.
        """
        if not self._running:
            return 0
        _, left = await asyncio.wait(set(self._running), timeout=grace)
        return len(left)

    def pause(self) -> None:
        """Fire no more; a run that is cancelled from now on has ended, and not crashed."""
        self._stopping = True
        if self._scheduler.running:
            self._scheduler.pause()  # its shutdown cancels what is running: wait for that first

    async def stop(self, grace: float) -> None:
        """Fire no more, wait up to `grace` seconds for the runs in flight, cancel what is left."""
        self.pause()
        if left := await self.drain(grace):
            log.warning("scheduler.cancelled", runs=left, grace=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher

    async def _run(self, name: str, run: Run) -> None:
        # The job itself awaits the work: only so does max_instances keep runs from overlapping.
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await run()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._running.discard(task)

    async def _beat(self) -> None:
        self._observer.heartbeat(time.time())

    async def _watch(self) -> None:
        """Measure the loop's lag, and put the jobs back onto their grids after the wall clock was stepped."""
        skew = time.time() - time.monotonic()
        worst, since = 0.0, time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_PROBE)
            now = time.monotonic()
            worst = max(worst, now - before - LAG_PROBE)
            if now - since >= HEARTBEAT:
                self._observer.loop_lag(worst)
                worst, since = 0.0, now
            step = time.time() - now - skew
            if abs(step) >= CLOCK_STEP:
                skew += step
                log.warning("clock.stepped", seconds=round(step, 3))
                self._regrid()

    def _regrid(self) -> None:
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=job.trigger.get_next_fire_time(None, _now()))

    def _on_event(self, event: JobExecutionEvent) -> None:
        if event.code == EVENT_JOB_ERROR:
            log.error("run.crashed", job=event.job_id, error=repr(event.exception))
            return
        reason = "overlap" if event.code == EVENT_JOB_MAX_INSTANCES else "missed"
        self._observer.skipped(reason)
        log.warning("run.skipped", job=event.job_id, reason=reason)


def _now() -> datetime:
    return datetime.now(UTC)


def _in(seconds: float) -> datetime:
    return _now() + timedelta(seconds=seconds)
