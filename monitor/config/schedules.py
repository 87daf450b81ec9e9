"""When a project is pulled: every so often, or by a crontab expression; and for how long its figures count as fresh."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEKDAY = f"(?:[0-7]|{'|'.join(_WEEKDAYS)})"
_WEEKDAY_RANGE = re.compile(rf"(?:(\*)|({_WEEKDAY})(?:-({_WEEKDAY}))?)(?:/([1-7]))?")

_START = datetime(2023, 1, 1, tzinfo=UTC)
_HORIZON = timedelta(days=9 * 366)  # two leap days, for `0 0 29 2 *`
_MOST_DAYS = 400  # an expression that fires on more days than this in the horizon repeats itself within a year


@dataclass(frozen=True, slots=True)
class StaleAfter:
    """How old the last good figures may get: a number of intervals of the target's schedule, or seconds."""

    intervals: int | None = None
    seconds: float | None = None

    def resolve(self, interval: float) -> float:
        """Seconds, for a schedule with `interval` seconds between pulls."""
        return self.seconds if self.seconds is not None else (self.intervals or 0) * interval


def cron_trigger(expression: str, timezone: str) -> CronTrigger:
    """The trigger for five crontab fields, with crontab's weekdays: 0 and 7 are Sunday (APScheduler counts from Monday).

    Raises:
        ValueError: For an expression that is not valid or never fires; the message repeats nothing of it.
    """
    fields = dict(zip(_FIELDS, _fields(expression), strict=True))
    for name, text in fields.items():
        try:
            CronTrigger(**{name: text}, timezone=UTC)
        except ValueError:
            raise ValueError(f"the {name.replace('_', ' ')} field is not valid; write for example `0 * * * *` (each hour)") from None
    if fields["day"] != "*" and fields["day_of_week"] != "*":
        # crontab fires when either matches, APScheduler when both do: neither reading is what everyone expects
        raise ValueError("names both days of the month and days of the week; write * for one of them")
    trigger = CronTrigger(**fields, timezone=ZoneInfo(timezone))
    if trigger.get_next_fire_time(None, _START) is None:
        raise ValueError("never fires: no month has such a day")
    return trigger


@lru_cache(maxsize=256)
def longest_gap(expression: str) -> float:
    """Seconds between the two firings that lie furthest apart, by the local clock (a shift of summer time is not counted).

    The days and the times of day of a crontab expression are independent, so each is walked by itself: some hundreds of
    firings in place of half a million a year.
    """
    minute, hour, day, month, weekday = _fields(expression)
    times = _firings(CronTrigger(minute=minute, hour=hour, timezone=UTC), timedelta(days=1), 24 * 60)
    days = _firings(CronTrigger(minute=0, hour=0, day=day, month=month, day_of_week=weekday, timezone=UTC), _HORIZON, _MOST_DAYS)
    within = [after - before for before, after in pairwise(times)]
    between = max(after - before for before, after in pairwise(days)) - (times[-1] - times[0])
    return max(*within, between, timedelta(0)).total_seconds()


def _fields(expression: str) -> list[str]:
    fields = expression.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError("must have five fields: minute, hour, day of month, month, day of week; write for example `0 * * * *`")
    fields[-1] = ",".join(map(_weekdays, fields[-1].split(",")))
    return fields


def _weekdays(part: str) -> str:
    """`1-5` as `mon,tue,wed,thu,fri`; what is not understood is left as it is, for the trigger to refuse."""
    match = _WEEKDAY_RANGE.fullmatch(part)
    if part == "*":
        return part
    if match is None:
        return "invalid"  # a bare number beyond crontab's would be taken by APScheduler
    everyday, first, last, step = match.groups()
    start = 0 if everyday else _number(first)
    end = 6 if everyday else _number(last) if last else 6 if step else start
    if end < start and end == 0:
        end = 7  # fri-sun
    return ",".join(_WEEKDAYS[number % 7] for number in range(start, end + 1, int(step or 1))) or "invalid"


def _number(weekday: str) -> int:
    return int(weekday) if weekday.isdigit() else _WEEKDAYS.index(weekday)


def _firings(trigger: CronTrigger, horizon: timedelta, most: int) -> list[datetime]:
    firings: list[datetime] = []
    now = _START
    while len(firings) < most and (now := trigger.get_next_fire_time(None, now)) is not None and now < _START + horizon:
        firings.append(now)
        now += timedelta(seconds=1)
    return firings
