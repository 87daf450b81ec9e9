"""Durations as an operator writes them: `500ms`, `1h30m`, `3 intervals`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from monitor.alerts.rule_file import prometheus_duration
from monitor.config.schedules import StaleAfter

_MILLISECONDS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]+{unit})?" for unit in _MILLISECONDS) + "$"
_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_LONGEST = 2**63 / 1e9  # seconds; Prometheus holds durations as int64 nanoseconds
_INTERVALS = re.compile(r"([1-9][0-9]{0,5})\s+intervals?")


def parse_duration(value: object) -> float:
    """Seconds for a duration in Prometheus's syntax (`500ms`, `1h30m`, `7d`; a year has 365 days; `0` needs no unit).

    Raises:
        ValueError: For anything else, and for more than 292 years (Prometheus's own limit).
    """
    if value == "0" or (value == 0 and type(value) is int):
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 100 else None
    if not match or not value:
        raise ValueError(
            "is not a duration; write a number and a unit, such as 500ms, 30s, 15m, 1h30m, 7d (also w and y)"
        )
    seconds = (
        sum(int(count) * unit for count, unit in zip(match.groups(default="0"), _MILLISECONDS.values(), strict=True))
        / 1000
    )
    if seconds > _LONGEST:
        raise ValueError("is longer than 292 years; write a shorter duration")
    return seconds


def written_duration(seconds: float) -> str:
    """A duration as an operator would write it."""
    return prometheus_duration(seconds) if seconds else "0s"


def _written_staleness(stale_after: StaleAfter) -> str:
    if stale_after.seconds is not None:
        return written_duration(stale_after.seconds)
    return f"{stale_after.intervals} intervals"


def _parse_stale_after(value: object) -> StaleAfter:
    if isinstance(value, StaleAfter):
        return value
    if isinstance(value, str) and (match := _INTERVALS.fullmatch(value)):
        return StaleAfter(intervals=int(match[1]))
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise ValueError("write `N intervals`, such as `3 intervals`, or a duration such as 45m") from None
    return StaleAfter(seconds=_at_least(0.001, "1ms")(seconds))


def _at_least(least: float, text: str) -> Callable[[float], float]:
    def check(seconds: float) -> float:
        if seconds < least:
            raise ValueError(f"is too short; write at least {text}")
        return seconds

    return check


_duration_text = {"type": "string", "pattern": _DURATION_PATTERN}

Duration = Annotated[
    float,
    PlainValidator(parse_duration),
    PlainSerializer(written_duration, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [_duration_text, {"const": 0}]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_at_least(0.001, "1ms")), WithJsonSchema(_duration_text)]
Interval = Annotated[Duration, AfterValidator(_at_least(1.0, "1s")), WithJsonSchema(_duration_text)]
Staleness = Annotated[
    StaleAfter,
    PlainValidator(_parse_stale_after),
    PlainSerializer(_written_staleness, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^[1-9][0-9]{0,5}\s+intervals?$"}, _duration_text]}),
]
