"""Waiting until something is so: tests wait for what they need, for as long as a busy machine may take, never for a
time.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 120.0
"""Seconds after which something is held not to happen: many times what the slowest machine needs."""
POLL = 0.05
"""Seconds between two looks, at first."""
RARER = 0.02
"""Seconds by which the looks are further apart for each second that was waited: in scheduled time they are most of the
work, and what took long is not seen much later.
"""
SELDOM = 1.0
"""The most seconds between two looks."""


async def until(holds: Callable[[], Any | Awaitable[Any]], within: float = PATIENCE, every: float = POLL) -> Any:
    """Wait until a condition holds.

    Args:
        holds: Tells what is so, at once or as a coroutine; what is true ends the waiting.
        within: Seconds after which it fails.
        every: Seconds between two looks at first; they get rarer.

    Returns:
        What `holds` answered at last.

    Raises:
        AssertionError: It did not become so.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        waited = clock() - began
        assert waited < within, f"not so within {within:g} s; last: {found!r}"
        await asyncio.sleep(min(max(every, min(RARER * waited, SELDOM)), within - waited))


def wait_until(holds: Callable[[], Any], within: float = PATIENCE, every: float = 0.1) -> Any:
    """As `until`, for a test without an event loop."""
    end = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < end, f"not so within {within:g} s; last: {found!r}"
        time.sleep(every)
    return found
