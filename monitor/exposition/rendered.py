"""`RenderedSeries`: the series of projects and targets as bytes, written once for each change."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from monitor.exposition.lines import Lines
from monitor.exposition.metric import Metric
from monitor.exposition.sources import Basis, Part, Sources

_BY_VALUE = (float, int, str, frozenset)
"""What is made anew at each look, and compared at no cost; all else is the same only if it is the same object."""


class Column(NamedTuple):
    """A metric's series.

    Attributes:
        metric: Which.
        pieces: Their lines, in order: a piece for each project, target or subject, which may be empty.
        version: A number that changes whenever the lines do.
    """

    metric: Metric
    pieces: tuple[bytes, ...]
    version: int


class _Row(NamedTuple):
    """What one project, target or subject has in a part: its lines, metric by metric."""

    basis: Basis
    pieces: tuple[bytes, ...]


class RenderedSeries:
    """Everything that is watched, as lines by metric. What has left, or is stale, is forgotten at the next look.

    For one thread at a time.

    Args:
        sources: What is shown.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._rows: dict[tuple[Metric, ...], dict[Hashable, _Row]] = {}
        self._columns: dict[Metric, Column] = {}
        self._versions = itertools.count()

    def columns(self) -> list[Column]:
        """The metrics that have series right now, in the catalogue's order."""
        parts = self._sources.parts()
        self._rows = {part.metrics: _rows(part, self._rows.get(part.metrics, {})) for part in parts}
        self._columns = {column.metric: column for part in parts for column in self._of(part)}
        return list(self._columns.values())

    def _of(self, part: Part) -> Iterator[Column]:
        rows = self._rows[part.metrics].values()
        for metric, pieces in zip(part.metrics, zip(*(row.pieces for row in rows), strict=True), strict=False):
            if any(pieces):
                known = self._columns.get(metric)
                if known is None or known.pieces != pieces:
                    known = Column(metric, pieces, next(self._versions))
                yield known


def _rows(part: Part, known: dict[Hashable, _Row]) -> dict[Hashable, _Row]:
    rows = {}
    for key, basis in part.bases.items():
        row = known.get(key)
        rows[key] = row if row is not None and _same(row.basis, basis) else _row(part.metrics, basis, row)
    return rows


def _same(before: Basis, after: Basis) -> bool:
    return all(
        old is new or (isinstance(new, _BY_VALUE) and type(old) is type(new) and old == new)
        for old, new in zip(before, after, strict=True)
    )


def _row(metrics: tuple[Metric, ...], basis: Basis, before: _Row | None) -> _Row:
    """A row as it is now; lines that are as they were are the same objects, of which a column has the only other
    reference.
    """
    lines = Lines(basis.labels())
    source = basis.source()
    pieces = [lines.of(metric, source) for metric in metrics]
    if before is not None:
        pieces = [old if old == new else new for old, new in zip(before.pieces, pieces, strict=True)]
    return _Row(basis, tuple(pieces))
