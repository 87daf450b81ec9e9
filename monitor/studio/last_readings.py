"""`LastReadings`: what the last pull of each target leaves for the next one: its page size, and where Studio named
versions of its pages, their columns.
"""

from __future__ import annotations

import re
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from monitor.kept import Kept
from monitor.results import ResultSet
from monitor.studio.paging import Span

MOST_BYTES = 32 * 2**20
"""Of all columns that are kept."""
MOST_OF_ONE = MOST_BYTES // 4
"""Of one result set: a larger one is read again each time."""
MOST_READINGS = 100_000
"""Beyond it the page sizes that were needed longest ago are forgotten."""

_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]{1,256}"')


def strong(etag: str | None) -> str | None:
    """An entity tag, if equal ones promise equal bytes; None for weak ones (`W/"…"`), which promise a similar meaning
    only, for what is none, and where there is none.

    RFC 9110, 8.8.1 and 8.8.3.
    """
    return etag if etag is not None and _STRONG.fullmatch(etag) else None


@dataclass(frozen=True, slots=True)
class Versioned:
    """A page as it was asked for, and the version that Studio gave it."""

    span: Span
    etag: str


@dataclass(frozen=True, slots=True)
class LastReading:
    """The last reading of a target that a pull took.

    Attributes:
        size: Samples that a page held in the end.
        pages: All pages it was made of, in their order; empty where one had no version.
        results: What they said; None where it is not kept.
        filling: Seconds of processor time that columns took to fill, for each byte of the last page; None: not known.
        read_at: Monotonic seconds at which all pages came last; until now Studio has said that they are the same.
    """

    size: int
    pages: Sequence[Versioned] = ()
    results: ResultSet | None = None
    filling: float | None = None
    read_at: float = 0.0


class LastReadings:
    """Last readings by target and query, in bounded memory: the columns of some, the page sizes of many more."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_of_one = min(MOST_OF_ONE, most_bytes)
        self._sizes: Kept[LastReading] = Kept(MOST_READINGS)
        self._whole: Kept[LastReading] = Kept(most_bytes)
        self._unnamed: Kept[float] = Kept(MOST_READINGS)

    @property
    def nbytes(self) -> int:
        """Of the columns that are kept."""
        return self._whole.weight

    def get(self, name: Hashable) -> LastReading | None:
        """The last reading, as far as it is still known."""
        size = self._sizes.get(name)
        return self._whole.get(name) or size

    def put(self, name: Hashable, reading: LastReading) -> None:
        """Keep a reading in place of the one before."""
        self._sizes.put(name, replace(reading, pages=(), results=None))
        self._whole.forget(name)
        unnamed = time.monotonic() < (self._unnamed.get(name) or 0.0)
        if reading.pages and reading.results is not None and not unnamed:
            nbytes = reading.results.nbytes()
            if nbytes <= self._most_of_one:
                self._whole.put(name, reading, max(nbytes, 1))

    def name_none(self, name: Hashable, until: float) -> None:
        """Let go of the versions that are known, and keep none before `until`, in monotonic seconds."""
        self._whole.forget(name)
        self._unnamed.put(name, until)
