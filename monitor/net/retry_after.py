"""What a server means by `Retry-After`."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, at least 0, from a whole number or an HTTP date (RFC 9110, 10.2.3); None
    without a usable one.
    """
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except (ValueError, OverflowError):
        try:
            date = email.utils.parsedate_to_datetime(value)
            return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
        except (ValueError, OverflowError):  # what has the form of a date may still be none: year 99999
            return None
