"""Crontab schedules over every change of the clock, against a plain walk of the calendar, minute by minute."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from monitor.config import cron_trigger
from monitor.config.crontab import Crontab

MINUTE = timedelta(minutes=1)
EVERY = frozenset


class Expected(NamedTuple):
    """What an expression means: sets of minutes, hours, days of the month, months and weekdays (0 is Sunday)."""

    minutes: frozenset[int]
    hours: frozenset[int]
    repeats: bool
    days: frozenset[int] = EVERY(range(1, 32))
    months: frozenset[int] = EVERY(range(1, 13))
    weekdays: frozenset[int] = EVERY(range(7))

    def matches(self, reading: datetime) -> bool:
        """Whether a reading of the local clock is one of the expression's times."""
        return (
            reading.minute in self.minutes
            and reading.hour in self.hours
            and reading.day in self.days
            and reading.month in self.months
            and reading.isoweekday() % 7 in self.weekdays
        )


MEANINGS = {
    "30 2 * * *": Expected(EVERY({30}), EVERY({2}), False),
    "0 0 * * *": Expected(EVERY({0}), EVERY({0}), False),
    "45 0-3 * * *": Expected(EVERY({45}), EVERY({0, 1, 2, 3}), False),
    "*/20 * * * *": Expected(EVERY({0, 20, 40}), EVERY(range(24)), True),
    "5 * * * *": Expected(EVERY({5}), EVERY(range(24)), True),
    "*/30 1-2 * * *": Expected(EVERY({0, 30}), EVERY({1, 2}), True),
    "*/15 3 * * *": Expected(EVERY({0, 15, 30, 45}), EVERY({3}), True),
    "15 1 * * sun": Expected(EVERY({15}), EVERY({1}), False, weekdays=EVERY({0})),
    "10 3 29 3 *": Expected(EVERY({10}), EVERY({3}), False, days=EVERY({29}), months=EVERY({3})),
}


def local_minutes(
    zone: ZoneInfo, start: datetime, end: datetime, step: timedelta = MINUTE
) -> Iterator[tuple[datetime, datetime]]:
    """Each UTC minute (or so many) with the reading of the local clock."""
    instant = start
    while instant < end:
        yield instant, instant.astimezone(zone).replace(tzinfo=None)
        instant += step


def plain_walk(meaning: Expected, minutes: list[tuple[datetime, datetime]]) -> list[datetime]:
    """Whoever looks at the clock each minute: a time of the expression fires, one that was skipped at once, a fixed one
    never twice.
    """
    fires = []
    step = minutes[1][0] - minutes[0][0]
    latest = minutes[0][1] - step
    for instant, reading in minutes:
        skipped = (latest + step * k for k in range(1, (reading - latest) // step)) if reading - latest > step else ()
        if any(meaning.matches(missing) for missing in skipped) or (
            meaning.matches(reading) and (meaning.repeats or reading > latest)
        ):
            fires.append(instant)
        latest = max(latest, reading)
    return fires


def walked(trigger: Crontab, start: datetime, end: datetime) -> list[datetime]:
    """All fire times between two instants, as a scheduler asks for them."""
    fires: list[datetime] = []
    fire = trigger.get_next_fire_time(None, start)
    while fire is not None and fire < end:
        assert not fires or fire > fires[-1]
        fires.append(fire)
        fire = trigger.get_next_fire_time(fire, fire)
    return fires


@cache
def zones() -> tuple[str, ...]:
    """A name per distinct zone file of the installed tzdata."""
    root = resources.files("tzdata")
    names = root.joinpath("zones").read_text(encoding="utf-8").split()
    files = {
        hashlib.sha256(root.joinpath("zoneinfo", *name.split("/")).read_bytes()).digest(): name
        for name in reversed(names)
    }
    return tuple(files.values())


def changes(name: str, years: tuple[int, ...]) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """The changes of a zone's clock: the hour (UTC) in which each lies, and the offsets before and after."""
    zone = ZoneInfo(name)
    for year in years:
        instant, step = datetime(year, 1, 1, tzinfo=UTC), timedelta(days=1)
        while instant.year == year:
            before, after = instant.astimezone(zone).utcoffset(), (instant + step).astimezone(zone).utcoffset()
            if before != after:
                hour = next(
                    h for h in range(24) if (instant + timedelta(hours=h + 1)).astimezone(zone).utcoffset() == after
                )
                assert before is not None
                assert after is not None
                yield instant + timedelta(hours=hour), before, after
            instant += step


@pytest.mark.slow
def test_every_change_of_every_zone() -> None:
    """Two days around each change of 2026 and 2027, in each distinct zone file: what a plain walk finds, each later
    than the one before.

    Zones that change alike at the same instant (Berlin and Paris) are walked once.
    """
    names = zones()
    distinct = {change: name for name in names for change in changes(name, (2026, 2027))}
    for (instant, _, _), name in distinct.items():
        start, end = instant - timedelta(days=1), instant + timedelta(days=1)
        minutes = list(local_minutes(ZoneInfo(name), start - timedelta(days=1), end))
        for expression, meaning in MEANINGS.items():
            expected = [fire for fire in plain_walk(meaning, minutes) if fire >= start]
            assert (name, expression, walked(cron_trigger(expression, name), start, end)) == (
                name,
                expression,
                expected,
            )

    assert len(names) > 300
    assert len(distinct) > 60
    assert {after - before for _, before, after in distinct} >= {
        timedelta(hours=1),
        timedelta(hours=-1),
        timedelta(minutes=30),
        timedelta(hours=2),
    }


YEARS = [
    "Europe/Berlin", "America/New_York", "Europe/Helsinki", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Cairo",
    "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Chatham",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", YEARS)
def test_a_whole_year(name: str) -> None:
    """Nothing is lost, added or repeated in a year: half-hour and two-hour shifts, gaps at midnight, Ramadan, odd
    offsets.
    """
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    minutes = list(local_minutes(ZoneInfo(name), start - timedelta(days=1), end, timedelta(minutes=5)))
    for expression in ("0 0 * * *", "5 * * * *", "15 1 * * sun"):
        expected = [fire for fire in plain_walk(MEANINGS[expression], minutes) if fire >= start]
        assert walked(cron_trigger(expression, name), start, end) == expected


@pytest.mark.parametrize(
    ("expression", "fires"),
    [
        ("30 2 * * *", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        ("0 0 * * *", ["2026-03-27T23:00", "2026-03-28T23:00", "2026-03-29T22:00", "2026-03-30T22:00"]),
        ("0,30 2 * * *", ["2026-03-28T01:00", "2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:00"]),
        ("*/30 2 * * *", ["2026-03-28T01:00", "2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:00"]),
    ],
)
def test_the_hour_that_is_missing(expression: str, fires: list[str]) -> None:
    """Berlin in spring: what was due between two and three comes once, at three; midnight comes every day."""
    trigger = cron_trigger(expression, "Europe/Berlin")
    found = walked(trigger, datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))

    assert fires == [fire.isoformat(timespec="minutes")[:16] for fire in found][: len(fires)]


@pytest.mark.parametrize(
    ("expression", "fires"),
    [
        ("30 2 * * *", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 1-3 * * *", ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T02:30", "2026-10-26T00:30"]),
        ("30 * * * *", ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]),
        (
            "*/30 2 * * *",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-26T01:00"],
        ),
    ],
)
def test_the_hour_that_comes_twice(expression: str, fires: list[str]) -> None:
    """Berlin in autumn: a fixed time comes in the first of the two hours only, a wildcard in both."""
    trigger = cron_trigger(expression, "Europe/Berlin")
    found = walked(trigger, datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))

    assert fires == [fire.isoformat(timespec="minutes")[:16] for fire in found][: len(fires)]


def test_any_moment_is_a_start() -> None:
    """Asked at any moment of the two hours, with or without a firing before, the answer is the first fire time not
    before it.
    """
    zone = "Europe/Berlin"
    start, end = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    minutes = list(local_minutes(ZoneInfo(zone), start, end))
    for expression in ("30 2 * * *", "*/20 * * * *", "45 0-3 * * *"):
        trigger, fires = cron_trigger(expression, zone), plain_walk(MEANINGS[expression], minutes)
        for late in range(0, 26 * 60, 7):
            now = datetime(2026, 10, 24, 20, tzinfo=UTC) + timedelta(minutes=late, seconds=late % 60, microseconds=late)
            previous = now - timedelta(microseconds=1)
            assert trigger.get_next_fire_time(None, now) == next(fire for fire in fires if fire >= now)
            assert trigger.get_next_fire_time(previous, now) == next(fire for fire in fires if fire >= now)
            assert trigger.get_next_fire_time(now, previous) == next(fire for fire in fires if fire > now)


def test_a_day_that_was_skipped() -> None:
    """Samoa had no 30 December 2011: its firings come once, at the first instant of the 31st."""
    found = walked(
        cron_trigger("0 6 * * *", "Pacific/Apia"), datetime(2011, 12, 29, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)
    )

    assert [fire.isoformat(timespec="minutes")[:16] for fire in found] == [
        "2011-12-29T16:00",
        "2011-12-30T10:00",
        "2011-12-30T16:00",
        "2011-12-31T16:00",
    ]


def test_rare_days_are_found_quickly() -> None:
    """29 February: the next one, over eight years without one too; after the end of the calendar comes nothing."""
    trigger = cron_trigger("0 12 29 2 *", "America/New_York")
    found = [trigger.get_next_fire_time(None, datetime(year, 3, 1, tzinfo=UTC)) for year in (2024, 2096)]

    assert found == [datetime(2028, 2, 29, 17, tzinfo=UTC), datetime(2104, 2, 29, 17, tzinfo=UTC)]
    assert trigger.get_next_fire_time(None, datetime(9999, 3, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30,31 feb *"])
def test_days_that_never_come(expression: str) -> None:
    """A day that no month has is refused, instead of being looked for forever."""
    with pytest.raises(ValueError, match="never fires"):
        cron_trigger(expression, "Europe/Berlin")
