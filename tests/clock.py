"""Scheduled time: an event loop whose clock goes on by itself only when everything that could be done has been done.

Sockets, threads and the database are real; what waits for a time does not have to. A loaded machine changes nothing
about what happens when, except that it takes longer to find out. The wall clock can be stepped. Without threads, the
loop itself does what the service gives to threads: most of the time of a long trial goes into handing over, above all
on a machine that does other things too.

A test that takes the fixture `clock`, or whose module says `pytestmark = pytest.mark.usefixtures("clock")`, runs in it,
with its fixtures; other code does by `run`. All that a test waits for must be in its own process: for another program
time would fly.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import selectors
import sys
import time
import types
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from functools import cache, partial
from typing import Any, TypeVar
from unittest.mock import patch

import aiohttp.connector
import aiosqlite.core
import apscheduler.schedulers.base

from monitor.engine import local as scheduler
from monitor.net import retry_after

T = TypeVar("T")

START = datetime.fromisoformat("2026-10-21T12:00:00+00:00").timestamp()
"""Unix time at which scheduled time begins: four days before Europe sets its clocks back."""
_ALL_DONE = 0.05
"""Seconds between two looks at the sockets while a thread works."""
SETTLE = 0.001
"""Real seconds for which nothing must have come by any socket before a test's time goes on: loopback delivers at once,
or nearly so.
"""
_TIME, _MONOTONIC = time.time, time.monotonic


class Clock:
    """Monotonic seconds, and Unix time beside them, which may be stepped.

    Args:
        start: Unix time at which it begins.
        settle: Real seconds that the loop looks for what may still come by a socket before time goes on.

    Attributes:
        busy: Pieces of work that threads have not finished: while there are any, no time passes.
    """

    def __init__(self, start: float = START, settle: float = 0.0) -> None:
        self._seconds, self._wall = 0.0, start
        self.settle = settle
        self.busy = 0

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def time(self) -> float:
        """Unix seconds."""
        return self._wall + self._seconds

    def go_on(self, seconds: float) -> None:
        """Let time pass, as a loop that is held up would."""
        self._seconds += max(seconds, 0.0)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._wall += seconds

    def now(self, tz: tzinfo | None = None) -> datetime:
        """As `datetime.now`."""
        return datetime.fromtimestamp(self.time(), tz)


class _Selector(selectors.DefaultSelector):
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
        os.sched_yield()  # the other end of a socket may be a thread of this process
        if not (found := super().select(self._clock.settle)):
            self._clock.go_on(timeout)
        return found


class Loop(asyncio.SelectorEventLoop):
    """An event loop of scheduled time. From its making until it is closed everything in the process reads its clock.

    Args:
        clock: Its time.
        threads: Whether threads do what the service gives to threads; otherwise the loop itself does.

    Attributes:
        clock: The same.
    """

    def __init__(self, clock: Clock, *, threads: bool = True) -> None:
        self.clock, self._threads = clock, threads
        super().__init__(_Selector(clock))
        self._patches = ExitStack()
        self._patches.enter_context(_patched(clock, threads=threads))

    def close(self) -> None:
        """End the loop, and its time."""
        super().close()
        self._patches.close()

    def time(self) -> float:
        """Seconds of scheduled time."""
        return self.clock.monotonic()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As ever; scheduled time stands still meanwhile."""
        if not self._threads and _computes(func):
            inline = self.create_future()
            self.call_soon(_do, inline, func, *args)
            return inline
        future = super().run_in_executor(executor, func, *args)
        _while_busy(self.clock, future)
        return future


def _computes(function: Any) -> bool:
    """Whether it is the service's own, and waits for nothing that the event loop would have to do meanwhile."""
    while isinstance(function, partial):  # as `asyncio.to_thread` makes it: of a context's `run`
        function = function.args[0] if function.func.__name__ == "run" else function.func
    module = getattr(function, "__module__", None) or ""
    waits = module.startswith("monitor.notify") or getattr(function, "__qualname__", "") == "Store._prepare"
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


def _modules() -> dict[str, types.ModuleType]:
    """Those of the service that are loaded."""
    return {name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "monitor"}


@cache
def _reading(names: frozenset[str]) -> list[tuple[types.FunctionType, str]]:
    """The functions and methods of these modules that take the real clock unless told otherwise, and where they hold
    it; the same for each loop, and long to look for.
    """
    modules = [sys.modules[name] for name in names]
    classes = {member for module in modules for member in vars(module).values() if inspect.isclass(member)}
    members = [getattr(member, "__func__", member) for owner in (*modules, *classes) for member in vars(owner).values()]
    functions = {member for member in members if isinstance(member, types.FunctionType)}
    return [
        (function, name)
        for function in functions
        for name in ("__defaults__", "__kwdefaults__")
        if (held := getattr(function, name)) and _with(_ANY, held) != held
    ]


_ANY = Clock()


def _with(clock: Clock, value: Any) -> Any:
    """A function's default as it is in scheduled time."""
    if value is _TIME or value is _MONOTONIC:
        return clock.time if value is _TIME else clock.monotonic
    if isinstance(value, tuple):
        return tuple(_with(clock, each) for each in value)
    return {name: _with(clock, each) for name, each in value.items()} if isinstance(value, dict) else value


@contextmanager
def _patched(clock: Clock, *, threads: bool) -> Iterator[None]:
    """Everything that reads a clock reads this one."""
    queue = aiosqlite.core.SimpleQueue  # type: ignore[attr-defined]

    class Now(datetime):
        """The clock of those who ask the class for it."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now(tz)

    with ExitStack() as stack:
        for function, name in _reading(frozenset(_modules())):
            stack.enter_context(patch.object(function, name, _with(clock, getattr(function, name))))
        for where, name, value in (
            (time, "time", clock.time),
            (time, "monotonic", clock.monotonic),
            (aiohttp.connector, "monotonic", clock.monotonic),
            (apscheduler.schedulers.base, "datetime", Now),
            (scheduler, "datetime", Now),
            (retry_after, "datetime", Now),
            (aiosqlite.core, "SimpleQueue", lambda: _Queue(queue(), clock, threads=threads)),
        ):
            stack.enter_context(patch.object(where, name, value))
        yield


def assert_real_time() -> None:
    """Fail where scheduled time was not ended, or not wholly."""
    assert time.time is _TIME
    assert time.monotonic is _MONOTONIC, "a clock was patched in scheduled time: let `clock` go on instead"


def new_loop() -> Loop:
    """A loop for a test."""
    return Loop(Clock(settle=SETTLE))


def run(main: Callable[[Clock], Coroutine[Any, Any, T]], settle: float = 0.0, *, threads: bool = True) -> T:
    """Run a coroutine in scheduled time.

    Args:
        main: Is given the clock.
        settle: Real seconds that the loop looks for what may still come by a socket before time goes on.
        threads: Whether threads do what the service gives to threads; otherwise the loop itself does.
    """
    loop = Loop(Clock(settle=settle), threads=threads)
    try:
        return loop.run_until_complete(main(loop.clock))
    finally:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
