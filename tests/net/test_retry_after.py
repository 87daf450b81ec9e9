"""What a server means by `Retry-After`."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

import pytest

from monitor.net.retry_after import retry_after


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("-5", 0.0)])
def test_a_number_is_seconds(value: str, seconds: float) -> None:
    """A whole number is that many seconds, never less than none."""
    assert seconds == retry_after(value)


@pytest.mark.parametrize(("ahead", "seconds"), [(3600.0, 3600.0), (-3600.0, 0.0)])
def test_a_date_is_when(ahead: float, seconds: float) -> None:
    """An HTTP date is the time until then; one that has passed is none."""
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

    assert seconds == pytest.approx(retry_after(date), abs=60)


@pytest.mark.parametrize(
    "value", [None, "", "soon", "1.5", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT", "Mon, 99 Foo 2026 00:00:00 GMT"]
)
def test_anything_else_says_nothing(value: str | None) -> None:
    """What is neither a whole number nor a date that a calendar has is as if the header were missing."""
    assert retry_after(value) is None
