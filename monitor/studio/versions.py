"""`Versions`: whether Studio still has the pages that a target's last reading was made of, and how far it is believed.

An entity tag is as good as who gives it. A server or cache that gives one for all contents would freeze what is shown,
so that pages are read whole once in a while. One that fails when it is asked about a version would keep a target from
being read, so that it is asked for the page itself then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress

import numpy as np

from monitor.errors import StudioError, Unreachable
from monitor.results import ResultSet
from monitor.studio.last_readings import LastReading, LastReadings, Versioned
from monitor.studio.paging import Span
from monitor.studio.request import Answer
from monitor.studio.wire import Page

BELIEVED = 86400.0
"""Seconds after which a set is read whole, whatever its versions say; and for which none is named after that was of no
use.
"""

Ask = Callable[[Span, str], Awaitable[Answer[Page]]]
"""Asks for a page unless it still has the version that is named."""


class Versions:
    """What Studio says about the pages of one target's last reading, during one pull.

    Args:
        readings: Of all targets.
        name: The target's, with all that was asked for.
        ask: Asks Studio.

    Attributes:
        last: The last reading, as far as it is still known.
        first: The first page, as it came where it has changed, so that a set of one page never costs more than one
            request.
    """

    def __init__(self, readings: LastReadings, name: Hashable, ask: Ask) -> None:
        self._readings = readings
        self._name = name
        self._ask = ask
        self.last = readings.get(name)
        self.first: tuple[Span, Answer[Page]] | None = None
        self._unproven: LastReading | None = None  # what the versions did not say to have changed

    async def unchanged(self) -> ResultSet | None:
        """What the last reading said, where Studio says that it still has all its pages; None: read them.

        Raises:
            Unreachable: Studio does not answer, without a version named either.
        """
        last = self.last
        if last is None or last.results is None:
            return None
        if time.monotonic() - last.read_at >= BELIEVED:
            self._unproven = last
        elif await self._same(last.pages):
            self._unproven = last
            return last.results
        return None

    async def were_wrong(self, results: ResultSet) -> bool:
        """Whether the versions are still the same though `results`, which was read since, says something else. Then
        none of this target is named any more.
        """
        last = self._unproven
        if last is None or last.results is None or _say_the_same(last.results, results):
            return False
        with suppress(StudioError):  # it gave the results: they count
            if await self._same(last.pages):
                self._readings.name_none(self._name, math.inf)
                return True
        return False

    def keep(self, size: int, pages: Sequence[Versioned], results: ResultSet, filling: float) -> None:
        """Leave a reading for the next pull; arguments as `LastReading` has them."""
        last = self.last
        read_at = last.read_at if last is not None and last.results is results else time.monotonic()
        self._readings.put(self._name, LastReading(size, pages, results if pages else None, filling, read_at))

    async def _same(self, pages: Sequence[Versioned]) -> bool:
        """Whether Studio says that it has these versions of all pages.

        One page after the other: an answer without a page takes little, and the first one that has changed ends it.

        Raises:
            Unreachable: As `unchanged`.
        """
        for page in pages:
            try:
                answer = await self._ask(page.span, page.etag)
            except StudioError as error:
                self._forget()
                if isinstance(error, Unreachable):  # the attempts after the first one named no version
                    raise
                return False
            came = answer.reply is not None
            if came and page is pages[0]:
                self.first = page.span, answer
            # an attempt that failed; or the same page sent again, or another one that is not sent
            if answer.repeated or came == (answer.etag == page.etag):
                self._forget()
            if came or answer.etag != page.etag:
                return False
        return True

    def _forget(self) -> None:
        self._readings.name_none(self._name, time.monotonic() + BELIEVED)


def _say_the_same(before: ResultSet, after: ResultSet) -> bool:
    """Whether two readings agree in results and in what slices are made of, which no fingerprint covers."""
    if before.fingerprint() != after.fingerprint():
        return False
    slices = (before.device, after.device), *((column, after.metadata[key]) for key, column in before.metadata.items())
    return all(old.table == new.table and np.array_equal(old.codes, new.codes) for old, new in slices)
