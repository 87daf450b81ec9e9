"""`Scheduler`: the engine of a single process, on APScheduler.

Of the library this file knows the scheduler, and `config.crontab` the calendar. Its own interval trigger counts from
the last firing, which drifts, stalls when the wall clock is stepped back and floods when it is stepped forward; `times`
does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from monitor.engine.base import Observer, Run, Task, Turn
from monitor.engine.times import Grid, Times

HEARTBEAT = 5.0
LAG_PROBE = 0.25
CLOCK_STEP = 3.0
"""Seconds by which wall and monotonic clock must part before it counts as a step; daylight saving does not, the clock
is UTC.
"""
_LONGEST_TURN = 7 * 86400.0
"""Seconds after which a turn is to be over that has no next one."""

log = structlog.get_logger()


class _Trigger(BaseTrigger):  # type: ignore[misc]
    """Times, as the library wants them."""

    def __init__(self, times: Times) -> None:
        self.times = times

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """As `Times` has it."""
        return self.times.get_next_fire_time(previous_fire_time, now)


class Scheduler:
    """Runs coroutines at their times: never the same job twice at once, late runs once, each skipped run counted.

    Args:
        observer: Counts skipped runs, heartbeats and the loop's lag.
    """

    distributed = False

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
        self._scheduler.add_job(self._beat, _Trigger(Grid(HEARTBEAT, 0)), id="heartbeat", next_run_time=_now())
        self._scheduler.start()
        self._watcher = asyncio.create_task(self._watch())

    def add(
        self,
        name: str,
        times: Times,
        run: Run,
        delay: float,
        *,
        overlaps: bool = False,
        group: str = "",
        before_others: bool = False,
    ) -> None:
        """As `Engine.add`."""
        del group, before_others  # a single process shares its turns with no other
        self._scheduler.add_job(
            self._fire,
            _Trigger(times),
            args=(name, run),
            id=name,
            next_run_time=_in(delay),
            replace_existing=True,
            # a turn goes on until the next one was due when it began: each change of its times may begin another
            max_instances=sys.maxsize if overlaps else 1,
        )

    def reschedule(self, name: str, times: Times, delay: float) -> None:
        """As `Engine.reschedule`."""
        self._scheduler.modify_job(name, trigger=_Trigger(times), next_run_time=_in(delay))

    def run_now(self, name: str, delay: float = 0.0) -> None:
        """As `Engine.run_now`."""
        if self._scheduler.get_job(name) is not None:
            self._scheduler.modify_job(name, next_run_time=_in(delay))

    def spawn(self, name: str, task: Task) -> asyncio.Task[None]:
        """As `Engine.spawn`."""
        started = asyncio.create_task(self._spawned(name, task), name=name)
        self._running.add(started)
        started.add_done_callback(self._running.discard)
        return started

    def skip(self, name: str, reason: str) -> None:
        """As `Engine.skip`."""
        self._observer.skipped(reason)
        log.warning("run.skipped", job=name, reason=reason)

    def remove(self, name: str) -> None:
        """As `Engine.remove`."""
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    def forget_waits(self) -> None:
        """As `Engine.forget_waits`: only the client knows of any."""

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

    async def _fire(self, name: str, run: Run) -> None:
        # The job itself awaits the work: only so does max_instances keep runs from overlapping.
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._ending(run(Turn(name, time.monotonic() + self._until_next(name))))
        finally:
            self._running.discard(task)

    async def _spawned(self, name: str, task: Task) -> None:
        if self._stopping:
            return
        try:
            await self._ending(task())
        except Exception as error:
            log.exception("run.crashed", job=name, error=repr(error))

    async def _ending(self, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    def _until_next(self, name: str) -> float:
        """Seconds until a job fires again by its times."""
        now = _now()
        job = self._scheduler.get_job(name)
        following = job.trigger.get_next_fire_time(now, now) if job is not None else None
        return (following - now).total_seconds() if following is not None else _LONGEST_TURN

    async def _beat(self) -> None:
        self._observer.heartbeat(time.time())

    async def _watch(self) -> None:
        """Measure the loop's lag, and put the jobs back onto their grids after the wall clock was stepped."""
        skew = time.time() - time.monotonic()
        worst = 0.0
        since = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_PROBE)
            now = time.monotonic()
            worst = max(worst, now - before - LAG_PROBE)
            if now - since >= HEARTBEAT:
                self._observer.loop_lag(worst)
                worst = 0.0
                since = now
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
        self.skip(event.job_id, reason)


def _now() -> datetime:
    return datetime.now(UTC)


def _in(seconds: float) -> datetime:
    return _now() + timedelta(seconds=seconds)
