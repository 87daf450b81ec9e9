"""When turns fire: pure functions of the time that it is, whatever engine asks them.

A grid has the multiples of its interval since 1970, shifted by an offset that a hash of an identity gives. So turns
spread evenly, stay put over restarts, and never drift.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Protocol

from monitor.config import Schedule, cron_trigger

SOONEST = 30.0
"""Seconds within which the first run comes, whatever the interval."""
CRON_SPREAD = 30.0
"""Seconds over which turns with the same cron expression are spread: within the minute the operator named."""


class Times(Protocol):
    """Answers when something fires next."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after the previous firing and not before `now`; None where there is none."""


class Grid:
    """Fires at every multiple of `every` seconds since 1970 plus `offset`."""

    def __init__(self, every: float, offset: float) -> None:
        self.every = every
        self.offset = offset

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first grid point after the previous firing, or not before `now` where it is the later one."""
        ticks = (now.timestamp() - self.offset) / self.every
        number = math.ceil(ticks)
        if previous_fire_time is not None:
            number = max(number, math.floor((previous_fire_time.timestamp() - self.offset) / self.every + 1e-6) + 1)
        return datetime.fromtimestamp(number * self.every + self.offset, UTC)


class Delayed:
    """Other times, each `offset` seconds later."""

    def __init__(self, times: Times, offset: float) -> None:
        self.times = times
        self.offset = timedelta(seconds=offset)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The inner next time, shifted; None where there is none."""
        previous = previous_fire_time - self.offset if previous_fire_time else None
        inner = self.times.get_next_fire_time(previous, now - self.offset)
        return inner + self.offset if inner else None


def spread_of(identity: str) -> float:
    """A number in [0, 1) that is the same in every process: where this identity sits between others."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") / 2**64


def times_of(schedule: Schedule, spread: float) -> Times:
    """When a schedule fires; `spread` in [0, 1) says where this one sits between others of the same schedule."""
    if schedule.cron is None:
        return Grid(schedule.interval, spread * schedule.interval)
    return Delayed(cron_trigger(schedule.cron, schedule.timezone), spread * CRON_SPREAD)


def first_delay(schedule: Schedule, spread: float) -> float:
    """Seconds until the first run: within min(interval, SOONEST), spread, so that a start does not ask for everything
    at once.
    """
    return spread * min(schedule.interval, SOONEST)
