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
"""Seconds between two looks."""


async def until(holds: Callable[[], Any | Awaitable[Any]], within: float = PATIENCE, every: float = POLL) -> Any:
    """Wait until a condition holds.

    Args:
        holds: Tells what is so, at once or as a coroutine; what is true ends the waiting.
        within: Seconds after which it fails.
        every: Seconds between two looks.

    Returns:
        What `holds` answered at last.

    Raises:
        AssertionError: It did not become so.
    """
    end = asyncio.get_running_loop().time() + within
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < end, f"not so within {within:g} s; last: {found!r}"
        await asyncio.sleep(every)


def wait_until(holds: Callable[[], Any], within: float = PATIENCE, every: float = 0.1) -> Any:
    """As `until`, for a test without an event loop."""
    end = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < end, f"not so within {within:g} s; last: {found!r}"
        time.sleep(every)
    return found
