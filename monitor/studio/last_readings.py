"""`LastReadings`: what the last pull of each target leaves for the next one: its page size, and where Studio named
versions of its pages, their columns.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

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
        filling: Seconds of processor time that columns took to fill, for each byte of the last page; None: not known.
        pages: All pages it was made of, in their order; empty where one had no version.
        results: What they said; None where it is not kept.
    """

    size: int
    pages: Sequence[Versioned] = ()
    results: ResultSet | None = None
    filling: float | None = None


class LastReadings:
    """Last readings by target and query, in bounded memory."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._readings: OrderedDict[Hashable, LastReading] = OrderedDict()
        self._with_results: OrderedDict[Hashable, int] = OrderedDict()  # their bytes
        self.nbytes = 0
        """Of the columns that are kept."""

    def get(self, name: Hashable) -> LastReading | None:
        """The last reading, as far as it is still known."""
        found = self._readings.get(name)
        if found is not None:
            self._readings.move_to_end(name)
            if name in self._with_results:
                self._with_results.move_to_end(name)
        return found

    def put(self, name: Hashable, reading: LastReading) -> None:
        """Keep a reading in place of the one before."""
        self._let_go(name)
        nbytes = reading.results.nbytes() if reading.results is not None else 0
        if not reading.pages or nbytes > min(MOST_OF_ONE, self._most_bytes):
            reading = replace(reading, pages=(), results=None)
        self._readings[name] = reading
        self._readings.move_to_end(name)
        if reading.results is not None:
            self._with_results[name] = nbytes
            self.nbytes += nbytes
        while self.nbytes > self._most_bytes:
            oldest = next(iter(self._with_results))
            self._let_go(oldest)
        while len(self._readings) > MOST_READINGS:
            oldest = next(iter(self._readings))
            self._let_go(oldest)
            del self._readings[oldest]

    def _let_go(self, name: Hashable) -> None:
        """Forget the columns of a reading, and what they were made of."""
        self.nbytes -= self._with_results.pop(name, 0)
        if name in self._readings:
            self._readings[name] = replace(self._readings[name], pages=(), results=None)
