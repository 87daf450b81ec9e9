"""When a project is pulled: every so often, or by a crontab expression; and for how long its figures count as fresh."""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitor.config import crontab
from monitor.config.crontab import Crontab

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEKDAY = f"(?:[0-7]|{'|'.join(_WEEKDAYS)})"
_WEEKDAY_RANGE = re.compile(rf"(?:(\*)|({_WEEKDAY})(?:-({_WEEKDAY}))?)(?:/([1-7]))?")


@dataclass(frozen=True, slots=True)
class StaleAfter:
    """How old the last good figures may get: a number of intervals of the target's schedule, or seconds."""

    intervals: int | None = None
    seconds: float | None = None

    def resolve(self, interval: float) -> float:
        """Seconds, for a schedule with `interval` seconds between pulls."""
        return self.seconds if self.seconds is not None else (self.intervals or 0) * interval


def cron_trigger(expression: str, timezone: str) -> Crontab:
    """The trigger for five crontab fields, with crontab's weekdays: 0 and 7 are Sunday (APScheduler counts from
    Monday).

    Raises:
        ValueError: For an expression that is not valid or never fires; the message repeats nothing of it.
    """
    fields = _fields(expression)
    _, _, day, _, weekday = fields
    trigger = Crontab(fields, timezone)
    if day != "*" and weekday != "*":
        # crontab fires when either matches, APScheduler when both do: neither reading is what everyone expects
        raise ValueError("names both days of the month and days of the week; write * for one of them")
    return trigger


def longest_gap(expression: str) -> float:
    """Seconds between the two firings of a valid expression that are furthest apart, by the local clock."""
    return crontab.longest_gap(_fields(expression))


def _fields(expression: str) -> tuple[str, ...]:
    """The five fields as APScheduler writes them."""
    fields = expression.lower().split()
    if len(fields) != 5:
        raise ValueError(
            "must have five fields: minute, hour, day of month, month, day of week; write for example `0 * * * *`"
        )
    fields[-1] = ",".join(map(_weekdays, fields[-1].split(",")))
    return tuple(fields)


def _weekdays(part: str) -> str:
    """`1-5` as `mon,tue,wed,thu,fri`; what is not understood is left as it is, for the trigger to refuse."""
    match = _WEEKDAY_RANGE.fullmatch(part)
    if part == "*":
        return part
    if match is None:
        return "invalid"  # a bare number beyond crontab's would be taken by APScheduler
    everyday, first, last, step = match.groups()
    start = 0 if everyday else _number(first)
    if last:
        end = _number(last)
    elif everyday or step:
        end = 6
    else:
        end = start
    if end < start and end == 0:
        end = 7  # fri-sun
    return ",".join(_WEEKDAYS[number % 7] for number in range(start, end + 1, int(step or 1))) or "invalid"


def _number(weekday: str) -> int:
    return int(weekday) if weekday.isdigit() else _WEEKDAYS.index(weekday)
