"""Durations and schedules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config import Schedule, cron_trigger
from monitor.config.durations import parse_duration

UNITS = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 20), min_size=1))
def test_duration_is_the_sum_of_its_parts(parts: dict[str, int]) -> None:
    """Any units, each once and from the largest to the smallest, add up."""
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)

    assert parse_duration(text) == pytest.approx(sum(count * UNITS[unit] for unit, count in parts.items()), rel=1e-12)


@given(st.integers(0, 10**12))
def test_duration_round_trip(milliseconds: int) -> None:
    """A duration written to the millisecond is read back exactly."""
    rest, text = milliseconds, ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        text += f"{rest // size}{unit}"
        rest %= size

    assert milliseconds / 1000 == parse_duration(text)


@pytest.mark.slow
@given(
    st.text()
    | st.integers(1)
    | st.integers(max_value=-1)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.integers())
)
def test_anything_else_is_no_duration(value: object) -> None:
    """What is not a duration is refused with one and the same sentence, never with a crash."""
    if isinstance(value, str) and value[:1] in set("0123456789"):
        return

    with pytest.raises(ValueError, match=r"^is not a duration; write a number and a unit"):
        parse_duration(value)


@pytest.mark.parametrize(
    "text", ["15", "1.5h", "30m1h", "1h1h", "1 h", "-5m", "5M", "٣m", "5m ", "5m\n", "", "h", "1" * 5000 + "s"]
)
def test_near_misses(text: str) -> None:
    """Forms that Prometheus does not know either are refused."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        ("* * * * *", timedelta(minutes=1)),
        ("0 * * * *", timedelta(hours=1)),
        ("*/20 * * * *", timedelta(minutes=20)),
        ("5,10 * * * *", timedelta(minutes=55)),
        ("30 2 * * *", timedelta(days=1)),
        ("0 1,22 * * *", timedelta(hours=21)),
        ("*/15 9-17 * * mon-fri", timedelta(days=2, hours=15, minutes=15)),
        ("* * * * 1-5", timedelta(days=2, minutes=1)),
        ("0 0 * * 0", timedelta(days=7)),
        ("0 0 * * 1,4", timedelta(days=4)),
        ("0 0 1 * *", timedelta(days=31)),
        ("0 0 31 * *", timedelta(days=61)),
        ("0 12 1 1 *", timedelta(days=366)),
        ("0 0 29 2 *", timedelta(days=4 * 365 + 1)),
        ("* * * 1 *", timedelta(days=366 - 31, minutes=1)),
    ],
)
def test_cron_interval(cron: str, gap: timedelta) -> None:
    """A crontab schedule's interval is the longest time between two firings, nights, weekends and
    leap years included.
    """
    assert gap.total_seconds() == Schedule(cron=cron).interval


CRON_FIELD = st.sampled_from(["*", "0", "5", "1-3", "*/2", "2,6"])


@pytest.mark.slow
@given(minute=CRON_FIELD, hour=CRON_FIELD, weekday=CRON_FIELD)
def test_cron_interval_walked(minute: str, hour: str, weekday: str) -> None:
    """The interval equals the longest gap found by walking every firing of some weeks."""
    cron = f"{minute} {hour} * * {weekday}"
    trigger = cron_trigger(cron, "UTC")

    def fires(earliest: datetime) -> datetime:
        time: datetime | None = trigger.get_next_fire_time(None, earliest)
        assert time is not None
        return time

    now = first = fires(datetime(2024, 1, 1, tzinfo=UTC))
    gaps: list[timedelta] = []
    while now < first + timedelta(days=15) and len(gaps) < 1500:
        after = fires(now + timedelta(seconds=1))
        gaps.append(after - now)
        now = after
    interval = Schedule(cron=cron).interval

    assert max(gaps).total_seconds() <= interval
    if len(gaps) < 1500:
        assert max(gaps).total_seconds() == interval


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [
        ("0", {6}),
        ("7", {6}),
        ("1", {0}),
        ("1-5", {0, 1, 2, 3, 4}),
        ("5-7", {4, 5, 6}),
        ("sun-sat", {0, 1, 2, 3, 4, 5, 6}),
        ("fri-sun", {4, 5, 6}),
        ("mon,WED", {0, 2}),
        ("*/3", {6, 2, 5}),
        ("1-5/2", {0, 2, 4}),
    ],
)
def test_weekdays_are_crontabs(field: str, weekdays: set[int]) -> None:
    """Days of the week count from Sunday, as everywhere but in APScheduler."""
    trigger = cron_trigger(f"0 12 * * {field}", "Europe/Berlin")
    now, seen = datetime(2024, 1, 1, tzinfo=UTC), set()
    for _ in range(14):
        found = trigger.get_next_fire_time(None, now + timedelta(seconds=1))
        assert found is not None
        now = found
        seen.add(now.weekday())

    assert weekdays == seen


@pytest.mark.parametrize("field", ["8", "1-9", "mon-", "funday", "5-1", "1/0", "2nd fri", "*/8", ""])
def test_wrong_weekdays(field: str) -> None:
    """What crontab would not take as a day of the week is refused."""
    with pytest.raises(ValueError, match=r"day of week field is not valid|five fields"):
        cron_trigger(f"0 12 * * {field}", "UTC")


def test_time_zone_of_cron() -> None:
    """A crontab schedule fires by the clock of its time zone."""
    trigger = cron_trigger("0 9 * * *", "Asia/Tokyo")

    assert datetime(2024, 1, 1, 0, 0, tzinfo=UTC) == trigger.get_next_fire_time(
        None, datetime(2023, 12, 31, 12, tzinfo=UTC)
    )


def test_schedule_given_by_code() -> None:
    """Shapes built in code follow the same rules as the file."""
    assert Schedule.model_validate({"every": "5s"}).interval == 5.0
    with pytest.raises(ValidationError, match="needs every or cron"):
        Schedule()
