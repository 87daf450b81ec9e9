"""Which targets, or events, a page or the API is asked for: filters, order and page, as a query string has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

from monitor.text import Search, searchable_line, searchable_word

T = TypeVar("T")

PAGE = 50
"""Rows, or events, on a page by default."""

WORST, NAME, STATE, HEADLINE, CHANGE, AGE = SORTS = ("worst", "name", "state", "headline", "change", "age")
"""Orders of the targets; with a minus before it the other way round."""

BY_ID = "id"
"""The order of the API where nobody asks for another."""

FIRING, PENDING, PAST = PHASES = ("firing", "pending", "past")
"""Where an event can stand."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What both have in common.

    Attributes:
        q: Words, each of which must be in a name, an id or a label; in any case.
        state: Any of these; empty: all.
        project: Name or id of the project; empty: any.
        label: `key:value` each; all of them.
        page: Which page, from 1.
        limit: How many on a page; None: all on one.
    """

    q: str = ""
    state: tuple[str, ...] = ()
    project: str = ""
    label: tuple[str, ...] = ()
    page: int = 1
    limit: int | None = PAGE

    @property
    def search(self) -> Search:
        """What the names must have."""
        lines: list[tuple[str, ...]] = []
        for label in self.label:
            name, _, value = label.partition(":")
            lines.append((searchable_line(name, value),))
        if self.project:
            lines.append(tuple(searchable_line(name, self.project) for name in ("project", "project_id")))
        return Search(tuple(searchable_word(self.q).split()), tuple(lines))

    @property
    def first(self) -> int:
        """How many rows are on the pages before."""
        return (self.page - 1) * (self.limit or 0)

    def last_page(self, total: int) -> int:
        """The number of the last page of so many rows."""
        return max(-(-total // self.limit), 1) if self.limit else 1

    @property
    def is_filtered(self) -> bool:
        """Whether not everything is wanted."""
        same = replace(self, page=1, limit=PAGE)
        return same != type(self)()

    def query(self, **changes: Any) -> str:
        """The query string that asks for this with some changes, of another list from its first page on; what is as it
        is by default is not in it.
        """
        wanted = replace(self, **({"page": 1} | changes))
        pairs: list[tuple[str, str]] = []
        for each in fields(wanted):
            value = getattr(wanted, each.name)
            if value == each.default:
                continue
            pairs += [(each.name, str(item)) for item in (value if isinstance(value, tuple) else (value,))]
        return urlencode(pairs, errors="replace")

    def turned(self, total: int) -> Self:
        """The same, but the last page where there are fewer."""
        return replace(self, page=min(self.page, self.last_page(total)))


@dataclass(frozen=True, slots=True)
class WantedTargets(Wanted):
    """Which targets.

    Attributes:
        pull: `failing` or `ok`: how the last pull ended; empty: any.
        sort: One of `SORTS`, perhaps with a minus before it.
    """

    pull: str = ""
    sort: str = WORST


@dataclass(frozen=True, slots=True)
class WantedEvents(Wanted):
    """Which events.

    Attributes:
        severity: Any of these; empty: all.
        since: Those that fired then or later: a duration before now, or a time; empty: over the whole retention.
    """

    severity: tuple[str, ...] = ()
    since: str = ""


def page_of(rows: Sequence[T], wanted: Wanted) -> Sequence[T]:
    """The rows of the page."""
    return rows if wanted.limit is None else rows[wanted.first : wanted.first + wanted.limit]
