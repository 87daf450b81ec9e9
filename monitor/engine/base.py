"""`Turn` and `Engine`: the seam between those that have turns and what runs them at their times.

`local.Scheduler` runs them in this process, `fleet.FleetEngine` in whichever of many takes them.
`docs/decisions/0012-the-seam-of-the-engine.md` says why there is a seam.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from monitor.engine.times import Times


@dataclass(frozen=True, slots=True)
class Turn:
    """One firing.

    Attributes:
        name: Of what fires.
        ends: When the next one is due, on the monotonic clock: by then at the latest this turn is to be over.
    """

    name: str
    ends: float


Run = Callable[[Turn], Awaitable[None]]
"""What a turn does."""
Task = Callable[[], Awaitable[None]]
"""Work beside the turns, which the stop waits for as it does for them."""


class Observer(Protocol):
    """Who counts what an engine does."""

    def skipped(self, reason: str) -> None: ...  # noqa: D102
    def heartbeat(self, now: float) -> None: ...  # noqa: D102
    def loop_lag(self, seconds: float) -> None: ...  # noqa: D102


class Role(StrEnum):
    """What a process of a fleet does."""

    ALL = "all"
    WORKER = "worker"
    WEB = "web"

    @property
    def works(self) -> bool:
        """Whether it takes turns."""
        return self is not Role.WEB

    @property
    def shows(self) -> bool:
        """Whether it has pages, the API and the models' metrics."""
        return self is not Role.WORKER


class Engine(Protocol):
    """Runs turns at their times: late ones once, each skipped one counted.

    Attributes:
        distributed: Whether another process may be the one that runs them.
    """

    distributed: bool

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
        """Let something fire, or put it in the place of what has its name: first in `delay` seconds, then at its times.

        Args:
            name: Its identity.
            times: When.
            run: Awaited at each firing.
            delay: Seconds.
            overlaps: Whether a turn may begin before the one before it has ended, because it looks itself at what is
                still under way; otherwise it is skipped. Where several processes share the turns none overlaps.
            group: What of one group is due is done by one process at a time, where several share the turns.
            before_others: Whether what else of the group is due waits for it, there.
        """

    def reschedule(self, name: str, times: Times, delay: float) -> None:
        """Give something other times; it fires next in `delay` seconds."""

    def run_now(self, name: str, delay: float = 0.0) -> None:
        """Let something fire once in `delay` seconds, then at its times again; nothing happens if it is not there."""

    def remove(self, name: str) -> None:
        """Take something away; a turn in flight is let finish."""

    def spawn(self, name: str, task: Task) -> asyncio.Task[None]:
        """Start work beside the turns, unless the engine is stopping; answers what can be waited for and cancelled."""

    def skip(self, name: str, reason: str) -> None:
        """Count and log something that was due and is not done."""

    def forget_waits(self) -> None:
        """Let no project wait any more because Studio asked for it."""

    async def drain(self, grace: float | None = None) -> int:
        """Wait for what is in flight, at most `grace` seconds (None: as long as it takes); answers how much is left."""
