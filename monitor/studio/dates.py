"""Dates as Studio writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)  # shorter ones are ISO 8601 without dashes
_LATEST_SECONDS = 1e11
"""Numbers from here on are milliseconds: as seconds they would be in the year 5138, as milliseconds
they are in 1973.
"""


def timestamp(text: str | None) -> float | None:
    """Unix time of an ISO 8601 text, UTC unless it says otherwise, or of a number of seconds or milliseconds; None for
    what is no date.
    """
    since = _since_epoch(text)
    return None if since is None else since.total_seconds()


def milliseconds(text: str | None) -> int | None:
    """As `timestamp`, in whole milliseconds."""
    since = _since_epoch(text)
    return None if since is None else since // _MILLISECOND


def _since_epoch(text: str | None) -> timedelta | None:
    if not text:
        return None
    try:
        if _NUMBER.fullmatch(text):
            value = float(text)
            since = timedelta(milliseconds=value) if value >= _LATEST_SECONDS else timedelta(seconds=value)
            _ = _EPOCH + since  # raises beyond the year 9999, as the other form does
            return since
        date = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
