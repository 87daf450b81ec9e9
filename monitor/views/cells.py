"""The windows behind a cell of the confusion matrix, page by page, from the columns of the result set."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np

from monitor.compare.changed_windows import ChangedWindow, listed_windows
from monitor.results import UNSCORED, ResultSet
from monitor.store.changed_samples import ListsReplaced
from monitor.text import shown
from monitor.views.samples import COLUMNS, PAGE, row_as_json

_CURSOR = re.compile(r"([0-9]{1,9})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Cell:
    """Which page of which cell: label and prediction as pages show them, cut where they are endless."""

    label: str
    prediction: str
    limit: int = PAGE
    after: str = ""

    def query(self, after: str = "", **others: str) -> str:
        """The query string that asks for it, or for another page of it."""
        fields = {"label": self.label, "prediction": self.prediction, "after": after, **others}
        return urlencode(fields if after else {k: v for k, v in fields.items() if k != "after"}, errors="replace")


@dataclass(frozen=True, slots=True)
class CellPage:
    """A page of a cell.

    Attributes:
        target_id: The target.
        wanted: What was asked for.
        current: Fingerprint of the result set.
        count: How many windows the cell has.
        windows: The windows; what was before is not looked at.
        next: What `Cell.after` gives the next page; None where the list ends.
        url: The target's page in Studio.
    """

    target_id: str
    wanted: Cell
    current: str
    count: int
    windows: tuple[ChangedWindow, ...]
    next: str | None
    url: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a window's columns."""
        return COLUMNS


def cell_page(target_id: str, results: ResultSet, fingerprint: str, wanted: Cell, url: str) -> CellPage:
    """A page of the scored windows of a label and a prediction, by sample and start.

    Args:
        target_id: Whose.
        results: The result set.
        fingerprint: Its.
        wanted: Which page.
        url: The target's page in Studio.

    Raises:
        ValueError: `wanted.after` is none of a page of this cell.
        ListsReplaced: It is of another result set.
    """
    first = _first(wanted, fingerprint)
    chosen = (
        (results.correct != UNSCORED)
        & np.isin(results.label, _codes(results, wanted.label))
        & np.isin(results.prediction, _codes(results, wanted.prediction))
    )
    places = np.flatnonzero(chosen)
    end = first + wanted.limit
    following = f"{end}-{_digest(wanted, fingerprint)}" if end < len(places) else None
    windows = tuple(listed_windows(results, places[first:end]))
    return CellPage(target_id, wanted, fingerprint, len(places), windows, following, url)


def _codes(results: ResultSet, name: str) -> list[int]:
    return [code for code, label in enumerate(results.labels) if shown(label) == name]


def _first(wanted: Cell, fingerprint: str) -> int:
    if not wanted.after:
        return 0
    match = _CURSOR.fullmatch(wanted.after)
    if match is None:
        raise ValueError("is not the `next` of a page before")
    if match[2] != _digest(wanted, fingerprint):
        raise ListsReplaced("the result set has changed since the page before; start again without `after`")
    return int(match[1])


def _digest(wanted: Cell, fingerprint: str) -> str:
    said = repr((fingerprint, wanted.label, wanted.prediction))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def as_json(page: CellPage) -> dict[str, Any]:
    """A page as JSON values."""
    return {
        "target": page.target_id,
        "label": page.wanted.label,
        "prediction": page.wanted.prediction,
        "current": page.current,
        "count": page.count,
        "samples": [row_as_json(window, page.url) for window in page.windows],
        "next": page.next,
    }
