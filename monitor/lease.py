"""`Lease`: that a turn is this process's, as long as it is; and the lease of the turn that the running task is part of.

A fleet hands each project to one process at a time. A process that was stopped, cut off or slow may have lost a turn
without knowing: it must then neither ask Studio in the project's name nor write anything.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

VALID = 8.0
"""Seconds for which a lease holds after it was last confirmed. Whoever takes a turn over waits for at least as long."""


@dataclass(slots=True, eq=False)
class Lease:
    """One turn that this process has taken.

    Attributes:
        project: What the turn is of: one process at a time has a turn of it.
        epoch: How often it was taken until now; a later taker has a larger one.
        confirmed: When it was last known to be this process's, on the monotonic clock; that of this machine goes on
            while a process is stopped.
        closed_until: Until when Studio asked to be left alone by the project's key, on the monotonic clock.
        lost: Whether another process has taken it over.
        tasks: What works for it.
    """

    project: str
    epoch: int
    confirmed: float
    closed_until: float = 0.0
    lost: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def confirm(self, asked: float) -> None:
        """It was this process's at `asked`, on the monotonic clock."""
        self.confirmed = asked
        self._news.set()

    def lose(self) -> None:
        """Another process has it: end what works for it."""
        self.lost = True
        self._news.set()
        for task in self.tasks:
            task.cancel()

    async def held(self) -> bool:
        """Whether it is this process's right now, waiting for that to be known where it is in doubt."""
        while not self.lost and time.monotonic() - self.confirmed > VALID:
            self._news.clear()
            await self._news.wait()
        return not self.lost

    def close(self, seconds: float) -> None:
        """Note that Studio asked the project's key to come back after `seconds`."""
        self.closed_until = max(self.closed_until, time.monotonic() + seconds)

    @property
    def closed_for(self) -> float:
        """Seconds for which the project's key is to send nothing; 0 where it may."""
        return max(0.0, self.closed_until - time.monotonic())


current: ContextVar[Lease | None] = ContextVar("lease", default=None)
"""The lease of the turn that the running task is part of; None outside of turns of a fleet. The tasks that a turn
starts inherit it, so that nothing it asks or writes, however deep, is without.
"""
