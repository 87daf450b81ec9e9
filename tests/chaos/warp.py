"""Scheduled time: an event loop whose clock goes on by itself only when everything that could be done has been done.

Sockets, threads and the database are real; what waits for a time does not have to. A loaded machine changes nothing about what happens
when, except that it takes longer to find out. The wall clock can be stepped. Without threads, the loop itself does what the service
gives to threads: most of the time of a long trial goes into handing over, above all on a machine that does other things too.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

import aiohttp.connector
import aiosqlite.core
import apscheduler.schedulers.base

from monitor import scheduler

T = TypeVar("T")

START = datetime.fromisoformat("2026-10-21T12:00:00+00:00").timestamp()
"""Unix time at which scheduled time begins: four days before Europe sets its clocks back."""
_ALL_DONE = 0.05
"""Seconds between two looks at the sockets while a thread works."""


class Clock:
    """Monotonic seconds, and Unix time beside them, which may be stepped.

    Attributes:
        busy: Pieces of work that threads have not finished: while there are any, no time passes.
    """

    def __init__(self, start: float = START) -> None:
        self._seconds, self._wall = 0.0, start
        self.busy = 0

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def time(self) -> float:
        """Unix seconds."""
        return self._wall + self._seconds

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += max(seconds, 0.0)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._wall += seconds

    def now(self, tz: tzinfo | None = None) -> datetime:
        """As `datetime.now`."""
        return datetime.fromtimestamp(self.time(), tz)


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Waits for nothing but sockets that are ready and threads that work: any other waiting is time that passes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if found := super().select(0):
            return found
        if timeout is not None and timeout <= 0:
            return found
        if self._clock.busy or timeout is None:
            return super().select(_ALL_DONE)
        if not (found := super().select(0)):
            self._clock.go_on(timeout)
        return found


class Loop(asyncio.SelectorEventLoop):
    """An event loop of scheduled time."""

    def __init__(self, clock: Clock, *, threads: bool = True) -> None:
        self._scheduled_time, self._threads = clock, threads
        super().__init__(_Selector(clock))

    def time(self) -> float:
        """Seconds of scheduled time."""
        return self._scheduled_time.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """As ever; scheduled time stands still meanwhile."""
        if not self._threads and _computes(func):
            inline = self.create_future()
            self.call_soon(_do, inline, func, *args)
            return inline
        future = super().run_in_executor(executor, func, *args)
        _while_busy(self._scheduled_time, future)
        return future


def _computes(function: Any) -> bool:
    """Whether it is the service's own, and waits for nothing that the event loop would have to do meanwhile."""
    while isinstance(function, partial):  # as `asyncio.to_thread` makes it: of a context's `run`
        function = function.args[0] if function.func.__name__ == "run" else function.func
    module = getattr(function, "__module__", None) or ""
    waits = module.startswith("monitor.alerts.notify") or getattr(function, "__qualname__", "") == "Store._prepare"
    return module.startswith("monitor.") and not waits


def _do(future: asyncio.Future[Any], function: Callable[..., Any], *args: Any) -> Any:
    """What a thread does, and its result, too."""
    try:
        result = function(*args)
    except BaseException as error:
        aiosqlite.core.set_exception(future, error)
        return None
    aiosqlite.core.set_result(future, result)
    return result


def _while_busy(clock: Clock, future: asyncio.Future[Any]) -> None:
    clock.busy += 1

    def done(_: object) -> None:
        clock.busy -= 1

    future.add_done_callback(done)


class _Queue:
    """The queue of work for a database connection's thread; scheduled time stands still until each piece is done."""

    def __init__(self, queue: Any, clock: Clock, *, threads: bool) -> None:
        self._queue, self._clock, self._threads = queue, clock, threads

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        """Put work in."""
        future, function = item
        if future is not None and not self._threads:
            future.get_loop().call_soon(self._do, future, function)
            return
        if future is not None:
            _while_busy(self._clock, future)
        self._queue.put_nowait(item)

    def _do(self, future: asyncio.Future[Any], function: Callable[[], Any]) -> None:
        if (result := _do(future, function)) is aiosqlite.core._STOP_RUNNING_SENTINEL:
            self._queue.put_nowait((None, lambda: result))  # its thread, which has had nothing to do, is to end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


@contextmanager
def _patched(clock: Clock, *, threads: bool) -> Iterator[None]:
    """Everything that reads a clock reads this one."""
    queue = aiosqlite.core.SimpleQueue

    class Now(datetime):
        """The clock of the scheduler's library."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now(tz)

    with ExitStack() as stack:
        for where, name, value in (
            (time, "time", clock.time),
            (time, "monotonic", clock.monotonic),
            (aiohttp.connector, "monotonic", clock.monotonic),
            (apscheduler.schedulers.base, "datetime", Now),
            (scheduler, "datetime", Now),
            (aiosqlite.core, "SimpleQueue", lambda: _Queue(queue(), clock, threads=threads)),
        ):
            stack.enter_context(patch.object(where, name, value))
        yield


def run(main: Callable[[Clock], Coroutine[Any, Any, T]], *, threads: bool = True) -> T:
    """Run a coroutine in scheduled time; it is given the clock."""
    clock = Clock()
    with _patched(clock, threads=threads):
        loop = Loop(clock, threads=threads)
        try:
            return loop.run_until_complete(main(clock))
        finally:
            if left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(left))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
