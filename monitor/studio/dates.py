"""Dates as Studio writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)  # shorter ones are ISO 8601 without dashes
_USUAL = "2026-01-02T03:04:05.678Z"
_LEAST = np.frombuffer(re.sub(r"\d", "0", _USUAL).encode(), np.uint8)
_MOST = np.frombuffer(re.sub(r"\d", "9", _USUAL).encode(), np.uint8)
_YEAR_ONE = int(np.datetime64("0001-01-01", "ms").astype(np.int64))
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


def all_milliseconds(texts: Sequence[str | None]) -> list[int | None]:
    """As `milliseconds` of each; a third of the time where all are written the way JavaScript does."""
    known = [text for text in texts if text]
    if len(known) == len(texts) and _all_usual(known):
        try:
            found = np.array([text[:-1] for text in known], "datetime64[ms]").astype(np.int64)
        except ValueError:  # such as the 30th of February
            pass
        else:
            if found.min(initial=_YEAR_ONE) >= _YEAR_ONE:
                return list(found.tolist())
    return list(map(milliseconds, texts))


def _all_usual(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    if set(map(len, texts)) != {len(_USUAL)} or not joined.isascii():
        return False
    table = np.frombuffer(joined.encode(), np.uint8).reshape(-1, len(_USUAL))
    return bool(np.all((table >= _LEAST) & (table <= _MOST)))


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
