"""`Crontab`: the instants at which a crontab expression fires by the clock of a time zone, over every change of that
clock.

APScheduler parses the fields and knows the calendar; it is asked in UTC only, where no hour is missing and none comes
twice. From there on instants are UTC, and the local clock is a reading of them: see
`docs/decisions/0008-cron-by-instants.md`.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_START = datetime(2023, 1, 1, tzinfo=UTC)
_HORIZON = timedelta(days=9 * 366)  # two leap days, for `0 0 29 2 *`
_MOST_DAYS = 400  # an expression that fires on more days than this in the horizon repeats itself within a year

_DAY = timedelta(days=1)
_STEP = timedelta(hours=24)
"""No zone changes its clock twice within this time."""
_REACH = timedelta(hours=25)
"""No change of a clock is larger: readings further away than this say nothing about each other."""
_SECOND = timedelta(seconds=1)


class Crontab(BaseTrigger):  # type: ignore[misc]
    """Fires by the clock of a time zone; every firing is later than the one before.

    A time that the clock skips counts at the first instant after the gap, together with all others of that gap. Of
    times that come twice, those of an expression whose minute or hour begins with `*` count twice, all others the first
    time.

    Args:
        fields: Minute, hour, day of month, month, day of week as APScheduler writes them.
        timezone: A name of the IANA database.

    Raises:
        ValueError: A field is not valid, or no day ever matches; the message repeats nothing of it.
    """

    def __init__(self, fields: tuple[str, ...], timezone: str) -> None:
        _check_fields(fields)
        self._zone = ZoneInfo(timezone)
        self._times = _times(*fields[:2])
        self._days = _days(*fields[2:])
        self._repeats = fields[0].startswith("*") or fields[1].startswith("*")
        self._next_days: dict[date, date] = {}
        if self._days.get_next_fire_time(None, _START) is None:
            raise ValueError("never fires: no month has such a day")

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first firing not before `now` and after the previous one, in UTC; None where the calendar ends."""
        start = now.astimezone(UTC)
        if previous_fire_time is not None:
            start = max(start, previous_fire_time.astimezone(UTC).replace(microsecond=0) + _SECOND)
        try:
            return self._first(start)
        except OverflowError:  # beyond the year 9999
            return None

    def _first(self, start: datetime) -> datetime:
        """Walk from stretch to stretch of one offset; `reached` is the latest reading that the clock has passed."""
        instant = start.replace(microsecond=0) - _REACH  # clocks are changed at whole seconds
        reached = self._read(instant)
        while True:
            offset, until = self._stretch(instant)
            reading = _naive(instant) + offset
            if reached < reading and instant >= start and self._match(reached) < reading:
                return instant  # the clock has skipped a time that was due
            latest = max(reading, _naive(start) + offset)  # in this stretch, what is not before the start
            due = self._match(latest if self._repeats else max(latest, reached))
            if due - offset < _naive(until):
                return (due - offset).replace(tzinfo=UTC)
            reached = max(reached, _naive(until) + offset)
            instant = until
            if due - reached > 2 * _REACH:  # nothing happens for long: no need to look at each change on the way
                instant = (due - offset - _REACH).replace(tzinfo=UTC)
                reached = self._read(instant)

    def _read(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, instant: datetime) -> timedelta:
        return instant.astimezone(self._zone).utcoffset() or timedelta(0)

    def _stretch(self, instant: datetime) -> tuple[timedelta, datetime]:
        """The offset at `instant`, and until when (exclusive) it holds; at most a step is looked at."""
        offset = self._offset(instant)
        until = instant + _STEP
        same = 0
        changed = int(_STEP.total_seconds())
        if self._offset(until) == offset:
            return offset, until
        while changed - same > 1:
            middle = (same + changed) // 2
            if self._offset(instant + middle * _SECOND) == offset:
                same = middle
            else:
                changed = middle
        return offset, instant + changed * _SECOND

    def _match(self, reading: datetime) -> datetime:
        """The first time of the calendar, by a clock that is never changed, not before this reading of it."""
        day = self._day(reading.date())
        place = bisect_left(self._times, reading.time()) if day == reading.date() else 0
        if place == len(self._times):
            day = self._day(day + _DAY)
            place = 0
        return datetime.combine(day, self._times[place])

    def _day(self, day: date) -> date:
        """The first matching day not before this one."""
        found = self._next_days.get(day)
        if found is None:
            following = self._days.get_next_fire_time(None, datetime.combine(day, time(), UTC))
            if following is None:
                raise OverflowError("no such day before the end of the calendar")
            if len(self._next_days) > _MOST_DAYS:
                self._next_days.clear()
            found = self._next_days[day] = following.date()
        return found


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)


def _check_fields(fields: tuple[str, ...]) -> None:
    for name, text in zip(_FIELDS, fields, strict=True):
        try:
            CronTrigger(**{name: text}, timezone=UTC)
        except ValueError:
            raise ValueError(
                f"the {name.replace('_', ' ')} field is not valid; write for example `0 * * * *` (each hour)"
            ) from None


@lru_cache(maxsize=256)
def _times(minute: str, hour: str) -> tuple[time, ...]:
    return tuple(found.time() for found in _firings(CronTrigger(minute=minute, hour=hour, timezone=UTC), _DAY, 24 * 60))


def _days(day: str, month: str, weekday: str) -> CronTrigger:
    return CronTrigger(minute=0, hour=0, day=day, month=month, day_of_week=weekday, timezone=UTC)


@lru_cache(maxsize=256)
def longest_gap(fields: tuple[str, ...]) -> float:
    """Seconds between the two firings that are furthest apart, by the local clock (a shift of summer time is not
    counted).

    The days and the times of day of a crontab expression are independent, so each is walked by itself: some hundreds of
    firings in place of half a million a year.
    """
    times = [datetime.combine(_START, found) for found in _times(*fields[:2])]
    days = _firings(_days(*fields[2:]), _HORIZON, _MOST_DAYS)
    within = [after - before for before, after in pairwise(times)]
    between = max(after - before for before, after in pairwise(days)) - (times[-1] - times[0])
    return max(*within, between, timedelta(0)).total_seconds()


def _firings(trigger: CronTrigger, horizon: timedelta, most: int) -> list[datetime]:
    firings: list[datetime] = []
    now = _START
    while len(firings) < most and (now := trigger.get_next_fire_time(None, now)) is not None and now < _START + horizon:
        firings.append(now)
        now += _SECOND
    return firings
