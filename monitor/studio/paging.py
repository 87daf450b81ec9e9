"""`Walk`: which range of a result set to ask for next, by what came of the ranges before. It sends nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from monitor.errors import Inconsistent
from monitor.studio.columns import SetChanged

MOST_EMPTY = 300
"""Pages without a sample, one after the other, after which a reading is given up: at their size, some 300,000 samples
without results.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the result set as one request asks for it."""

    offset: int
    limit: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + self.limit


class Walk:
    """One reading's way through the offsets.

    A page with fewer samples than were asked for has two explanations, which servers do not distinguish: a maximum that
    `limit` is cut down to, or samples without results that are left out. After such a page the walk goes on right
    behind what came, which misses nothing either way. Where that brings samples once more, offsets count those that
    were left out, and from then on the walk goes on by the limits asked for.

    Attributes:
        seen: Ids of the samples so far, in the order they came; the values say nothing.
        total: `totalCount` of the first page; None before it, and where the server names none.
        asked: End of the furthest range that was asked for.
        by_limit: Whether offsets are known to count samples that pages leave out.
    """

    def __init__(self) -> None:
        self.seen: dict[int, None] = {}
        self.total: int | None = None
        self.asked = 0
        self._offset = 0
        self.by_limit = False
        self._short = self._exceeded = False  # whether a page held fewer samples than were asked for, or more
        self._repeated = False  # whether the last page brought no new sample
        self._empty = 0  # how many of the last pages held no sample
        self._ended = False

    @property
    def irregular(self) -> bool:
        """Whether some page did not hold what was asked for, so that the next offset is known only once a page came."""
        return (self._short or self._exceeded) and not self.by_limit

    def next(self, size: int) -> Span | None:
        """The range to ask for, of at most `size` samples; None at the end."""
        if self._ended or (self.total is not None and len(self.seen) == self.total):
            return None
        # after a repetition fewer than are known, so that a server that does not honour `limit` shows it
        if self.total is None:
            return Span(self._offset, min(size, max(1, len(self.seen) - 1)) if self._repeated else size)
        if self._offset < self.total:
            return Span(self._offset, min(size, self.total - self._offset))
        # a server that leaves samples out of its pages may leave them out of its total, too: then there are more
        # offsets than it says
        return Span(self._offset, size) if self._short else None

    def add(self, span: Span, ids: Sequence[int], total: int | None) -> None:
        """Take note of the page that came for `span`.

        Raises:
            SetChanged: `totalCount` is another than before, or samples came once more at another offset.
            Inconsistent: The server repeats itself: it seems not to honour `offset`. Or its total is far beyond what it
                has.
        """
        if not self.asked:
            self.total = total
        elif total != self.total:
            raise SetChanged(f"totalCount went from {self.total} to {total}")
        again = span.offset < self.asked
        known = len(self.seen)
        self.seen.update(dict.fromkeys(ids))
        new = len(self.seen) - known
        self.asked = max(self.asked, span.end, span.offset + len(ids))
        self._short |= len(ids) < span.limit
        self._exceeded |= len(ids) > span.limit
        self._repeated = bool(ids) and not new
        self._empty = 0 if ids else self._empty + 1
        if not ids:
            self.by_limit = True
            self._ended = self.total is None or span.offset >= self.total or self._empty == MOST_EMPTY
            if self._empty == MOST_EMPTY and self.seen:
                raise Inconsistent(
                    f"{len(self.seen)} samples came where totalCount says {self.total}, and {MOST_EMPTY} pages in a "
                    "row were empty"
                )
        elif new < len(ids) and again:
            self.by_limit = True
        elif self._repeated:
            self._repeats(span, ids)
        self._offset = self.asked if self.by_limit else span.offset + len(ids)

    def _repeats(self, span: Span, ids: Sequence[int]) -> None:
        """A range that was not asked for before brought nothing new: the set's beginning, or samples that were moved
        behind others.
        """
        self._ended = self._exceeded or (self.total is not None and span.offset >= self.total)
        # all that the server has may be less than was asked for
        unclear = self.total is None and span.limit >= len(self.seen) > 1
        if not self._ended and not unclear:
            if not set(ids) <= set(islice(self.seen, len(ids))):
                raise SetChanged(f"at offset {span.offset} only samples came that had come at other offsets before")
            raise Inconsistent(
                f"at offset {span.offset} only samples came that had come before: the server seems not to know `offset`"
            )
        self.by_limit = True

    def check(self) -> None:
        """Whether the samples seen can be the whole set, once there is no range to ask for any more.

        Fewer than `totalCount` can: where pages came short and no offset was left out.

        Raises:
            SetChanged: They cannot.
        """
        if self.total is None or len(self.seen) == self.total:
            return
        if len(self.seen) > self.total or not self._short or self.asked < self.total:
            raise SetChanged(f"{len(self.seen)} samples came where totalCount says {self.total}")
