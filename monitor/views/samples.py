"""Samples that changed sides, page by page, as API, pages and commands show them."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from rich.console import OverflowMethod
from rich.table import Table
from rich.text import Text

from monitor.compare.changed_windows import MOST_LISTED, ChangedWindow
from monitor.compare.side_kinds import (
    ADDED_WRONG,
    FIXED,
    KINDS,
    NEWLY_WRONG,
    RELABELLED,
    REMOVED_WRONG,
    SUSPECT_LABEL,
    VARIANT_GAINED,
    VARIANT_KINDS,
    VARIANT_LOST,
)
from monitor.store import Queries
from monitor.store.changed_samples import CHANGED, DIFFERING, ChangedIndex, ListsReplaced
from monitor.targets import TargetKey, studio_page
from monitor.text import csv_field, printable, shown
from monitor.views import frames
from monitor.views.frames import Frame

PAGE = 50
"""Windows on a page by default."""

CALLED = {
    NEWLY_WRONG: "newly wrong",
    FIXED: "fixed",
    RELABELLED: "relabelled",
    ADDED_WRONG: "added and wrong",
    REMOVED_WRONG: "removed and wrong before",
    SUSPECT_LABEL: "that look mislabelled",
    VARIANT_LOST: "that only the reference variant gets right",
    VARIANT_GAINED: "that only this variant gets right",
}
"""What the kinds are called behind a number of samples."""

COLUMNS = (
    "id",
    "filename",
    "start_ms",
    "end_ms",
    "label",
    "prediction",
    "confidence",
    "label_before",
    "prediction_before",
    "confidence_before",
    "looks_like",
    "self_confidence",
    "url",
)
"""Fields of a window in JSON, and columns of the CSV."""

VARIANT_COLUMNS = tuple(name.replace("_before", "_reference") for name in COLUMNS)
"""The same of windows on which two variants differ."""

FIRST_WITH_SOME = ""
"""As a kind: the first list that names any window, else the first."""

_CURSOR = re.compile(r"([0-9]{1,9})-([0-9a-f]{16})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of which list.

    Attributes:
        kind: The list; may be `FIRST_WITH_SOME`.
        of_class: Only windows of this label or prediction, then or now; empty: all.
        limit: How many windows at most.
        after: The `next` of the page before; empty: the first page.
    """

    kind: str = NEWLY_WRONG
    of_class: str = ""
    limit: int = PAGE
    after: str = ""

    def of(self, of_class: str) -> Wanted:
        """The first page of the same list, of this class only."""
        return Wanted(self.kind, of_class, self.limit)

    def query(self, after: str = "", **others: str) -> str:
        """The query string that asks for it, or for another page of it."""
        fields = {"kind": self.kind, "class": self.of_class, "after": after, **others}
        return urlencode({name: value for name, value in fields.items() if value}, errors="replace")


@dataclass(frozen=True, slots=True)
class SamplesPage:
    """A page of a list.

    Attributes:
        target_id: The target.
        wanted: What was asked for.
        changed: What lists there are of samples that changed sides; None where the target was never compared.
        differing: Those of samples on which it and the reference variant differ; None where it is compared with none.
        windows: The windows.
        next: What `Wanted.after` gives the next page; None where the list ends.
        url: The target's page in Studio.
    """

    target_id: str
    wanted: Wanted
    changed: ChangedIndex | None
    differing: ChangedIndex | None
    windows: tuple[ChangedWindow, ...]
    next: str | None
    url: str

    @property
    def index(self) -> ChangedIndex | None:
        """Where the list that was asked for is; None where there is no such list."""
        return self._index_of(self.wanted.kind)

    def _index_of(self, kind: str) -> ChangedIndex | None:
        return self.differing if kind in VARIANT_KINDS else self.changed

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a window's columns."""
        return VARIANT_COLUMNS if self.wanted.kind in VARIANT_KINDS else COLUMNS

    @property
    def kinds(self) -> tuple[str, ...]:
        """The lists that there are."""
        of_variants = () if self.differing is None else tuple(VARIANT_KINDS)
        return (*(() if self.changed is None else KINDS), *of_variants)

    @property
    def listed(self) -> int:
        """How many windows the whole list names, of any class."""
        return self.index.listed(self.wanted.kind) if self.index else 0

    @property
    def most(self) -> int | None:
        """At how many windows the list ends; None where it is shorter."""
        return MOST_LISTED if self.listed >= MOST_LISTED else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes by which the list can be filtered."""
        return tuple(sorted(self.index.classes(self.wanted.kind))) if self.index else ()

    def counted(self, kind: str) -> str:
        """How many samples of a kind there are, in words."""
        index = self._index_of(kind)
        return "" if index is None else counted(kind, index.samples.get(kind, 0), index.suspect.get(kind, 0))


async def samples_page(store: Queries, target_id: str, wanted: Wanted, site: str) -> SamplesPage:
    """A page of a list of a target that the store or the service knows.

    Args:
        store: Open.
        target_id: The target.
        wanted: Which page.
        site: Where Studio's pages are.

    Raises:
        ValueError: `wanted.after` is none, or of another list.
        ListsReplaced: It is of lists that another run has replaced.
        StoreError: The store cannot be read.
    """
    url = studio_page(site, TargetKey.parse(target_id))
    changed, differing = [await store.changed_index(target_id, of) for of in (CHANGED, DIFFERING)]
    if wanted.kind == FIRST_WITH_SOME:
        wanted = replace(wanted, kind=_first_with_some(changed, differing))
    index = differing if wanted.kind in VARIANT_KINDS else changed
    first = _first(wanted, target_id, index) if wanted.after else 0
    if index is None:
        return SamplesPage(target_id, wanted, changed, differing, (), None, url)
    windows, following = await store.changed_windows(
        target_id, index, wanted.kind, after=first, limit=wanted.limit, of_class=shown(wanted.of_class)
    )
    cursor = None if following is None else f"{following}-{_lists(target_id, index)}-{_query(wanted)}"
    return SamplesPage(target_id, wanted, changed, differing, tuple(windows), cursor, url)


def _first_with_some(changed: ChangedIndex | None, differing: ChangedIndex | None) -> str:
    kinds = ((kind, index) for kinds, index in ((KINDS, changed), (VARIANT_KINDS, differing)) for kind in kinds)
    return next((kind for kind, index in kinds if index is not None and index.listed(kind)), NEWLY_WRONG)


def _first(wanted: Wanted, target_id: str, index: ChangedIndex | None) -> int:
    """How many windows of the list come before the page."""
    match = _CURSOR.fullmatch(wanted.after)
    if match is None:
        raise ValueError("is not the `next` of a page before")
    if match[3] != _query(wanted):
        raise ValueError("is the `next` of another list; send kind and class with it as for the page before")
    if index is None or match[2] != _lists(target_id, index):
        raise ListsReplaced(
            f"the lists of target {target_id} have been replaced since the page before; start again without `after`"
        )
    return int(match[1])


def _lists(target_id: str, index: ChangedIndex) -> str:
    return _digest(target_id, index.baseline, index.current, sorted(index.samples.items()))[:16]


def _query(wanted: Wanted) -> str:
    return _digest(wanted.kind, wanted.of_class)[:8]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def counted(kind: str, samples: int, suspect: int) -> str:
    """How many samples of a kind there are: "54 samples newly wrong, 9 of them look mislabelled"."""
    words = f"{samples:,} {'sample' if samples == 1 else 'samples'} {CALLED[kind]}"
    if kind == SUSPECT_LABEL:
        return words.replace("that look ", "that looks ") if samples == 1 else words
    if not suspect:
        return words
    if samples == 1:
        return f"{words}; it looks mislabelled"
    return f"{words}, {suspect:,} of them {'looks' if suspect == 1 else 'look'} mislabelled"


def as_json(page: SamplesPage, shapes: Mapping[int, Frame] | None = None) -> dict[str, Any]:
    """A page as JSON values; with `shapes`, of models that find things in images, each window has its `frame`."""
    index = page.index
    known = [each for each in (page.changed, page.differing) if each is not None]
    return {
        "target": page.target_id,
        "kind": page.wanted.kind,
        "class": page.wanted.of_class or None,
        "baseline": index.baseline if index else None,
        "current": index.current if index else None,
        "against": index.against or None if index else None,
        "counts": {kind: count for each in known for kind, count in each.samples.items()},
        "suspect_labels": {kind: count for each in known for kind, count in each.suspect.items()},
        "listed": page.listed,
        "samples": [
            row_as_json(window, page.url, page.columns)
            | ({} if shapes is None else {"frame": frames.as_json(shapes.get(window.sample_id))})
            for window in page.windows
        ],
        "next": page.next,
    }


def as_csv(windows: Iterable[ChangedWindow], url: str, columns: Sequence[str] = COLUMNS) -> str:
    """Windows as CSV (RFC 4180) with a header; what is not known is empty, and no text is a formula.

    Args:
        windows: The rows.
        url: The target's page in Studio.
        columns: Their names.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for window in windows:
        writer.writerow([csv_field(value) for value in row_as_json(window, url, columns).values()])
    return text.getvalue()


def row_as_json(window: ChangedWindow, url: str, columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """A window as JSON values by the names of its columns; `url` is the target's page in Studio."""
    values = (*window[: len(columns) - 1], url)
    return dict(zip(columns, values, strict=True))


def as_table(page: SamplesPage) -> Table:
    """A page's windows as a table that folds to the width there is, but never cuts a sample's id."""
    windows = page.windows
    bounds = any(window.start_ms is not None for window in windows)
    suspects = any(window.looks_like is not None for window in windows)
    table = Table(box=None, pad_edge=False)
    fold: OverflowMethod = "fold"
    table.add_column("id", no_wrap=True)
    table.add_column("file", overflow=fold)
    if bounds:
        table.add_column("from–to ms", overflow=fold)
    for name in ("label", "predicted"):
        table.add_column(name, overflow=fold)
    table.add_column("confidence", overflow=fold)
    if suspects:
        table.add_column("looks like", overflow=fold)
    for window in windows:
        table.add_row(*(Text(cell) for cell in _cells(window, bounds=bounds, suspects=suspects)))
    return table


def _cells(window: ChangedWindow, *, bounds: bool, suspects: bool) -> Iterator[str]:
    yield str(window.sample_id)
    yield printable(window.filename or "")
    if bounds:
        yield span(window)
    yield printable(moved(window.label_before, window.label))
    yield printable(moved(window.prediction_before, window.prediction))
    yield moved(*(None if value is None else f"{value:.2f}" for value in (window.confidence_before, window.confidence)))
    if suspects:
        yield printable(window.looks_like or "")


def span(window: ChangedWindow) -> str:
    """A window's bounds in milliseconds; empty where they are not known."""
    known: Iterable[float | None] = (window.start_ms, window.end_ms)
    return "–".join(f"{bound:.15g}" for bound in known if bound is not None)


def moved(before: str | None, now: str | None) -> str:
    """What was and what is, in one where it is the same."""
    return " → ".join(dict.fromkeys(value for value in (before, now) if value is not None))
