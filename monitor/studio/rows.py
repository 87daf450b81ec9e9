"""What `ColumnBuilder` collects in: arrays that grow row by row, each group of rows with its owner.

Owners of a sample's rows are its *occurrence*, its place among the samples as they came: a sample may come twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray, IntArray

MOST_CLASSES = 4096
"""Of one block; beyond it its confidences are left out."""
ANOMALY_KEY = "anomaly"

_SPARSE = 8
"""Confidences that would take so many times more cells than were sent are left out, too, where they are beyond
`_MANY_CELLS`.
"""
_MANY_CELLS = 2**24


def ints(values: array[int]) -> npt.NDArray[np.int64]:
    """An array of 64-bit integers as a column."""
    return np.frombuffer(values, np.int64) if values else np.empty(0, np.int64)


def bytes_of(values: array[int]) -> npt.NDArray[np.int8]:
    """An array of bytes as a column."""
    return np.frombuffer(values, np.int8) if values else np.empty(0, np.int8)


def floats(values: array[float]) -> FloatArray:
    """An array of floats as a column."""
    return np.frombuffer(values, np.float64) if values else np.empty(0)


def numbers(values: Sequence[float | None], missing: float) -> array[float]:
    """A page's numbers, `missing` where there is none."""
    try:
        return array("d", values)  # type: ignore[arg-type]  # a None among them is the rare case
    except TypeError:
        if values.count(None) == len(values):
            return array("d", [missing]) * len(values)
        return array("d", [missing if value is None else value for value in values])


def order_of(*columns: npt.NDArray[np.number]) -> npt.NDArray[np.intp]:
    """What sorts rows by these columns, the first one foremost, and leaves equal ones as they are: no work where they
    are sorted already, as they mostly come.
    """
    ascending: npt.NDArray[np.bool_] | bool = True
    for column in reversed(columns):
        ascending = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & ascending)
    return np.arange(len(columns[0])) if np.all(ascending) else np.lexsort(columns[::-1])


def span_of(owners: IntArray, first: int, end: int) -> slice:
    """Where the rows of the owners from `first` up to `end` are."""
    begin, stop = np.searchsorted(owners, (first, end))
    return slice(int(begin), int(stop))


class Codes:
    """Texts as numbers in the order they came; sorted into a table at the end."""

    def __init__(self) -> None:
        self.index: dict[str | None, int] = {None: -1}

    def __call__(self, text: str | None) -> int:
        """The text's number; -1 for none."""
        return self.index.setdefault(text, len(self.index) - 1)

    def column(self, texts: Sequence[str | None]) -> array[int]:
        """The numbers of a page's texts."""
        index = self.index
        try:
            return array("q", [index[text] for text in texts])
        except KeyError:
            return array("q", [index.setdefault(text, len(index) - 1) for text in texts])

    def mixed_column(self, values: Sequence[str | float | None]) -> array[int]:
        """As `column`, where numbers may be among the texts: they count as what they are written as."""
        try:
            return array("q", [self.index[value] for value in values])  # type: ignore[index]
        except KeyError:
            return self.column([repr(value) if isinstance(value, int | float) else value for value in values])

    def sorted(self, *used: IntArray) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """The sorted table of the texts that `used` holds, and for each number its place there (the last item, for -1,
        stays -1).
        """
        texts = [text for text in self.index if text is not None]
        wanted = np.zeros(len(texts) + 1, bool)  # its last item is that of -1
        for codes in used:
            wanted[codes] = True
        table = tuple(sorted(texts[code] for code in np.flatnonzero(wanted[:-1]).tolist()))
        place = {text: code for code, text in enumerate(table)}
        return table, np.array([*(place.get(text, -1) for text in texts), -1], np.int64)


class Entries:
    """Whose each group of rows is, and how many rows it has, one per window. Owners come in ascending order."""

    def __init__(self) -> None:
        self.owners = array("q")
        self.counts = array("q")
        self._ends: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def start(self, owners: Sequence[int], lists: Sequence[Sequence[object]]) -> bool:
        """Begin an entry for each owner, as long as its list; False where the first owner has one already."""
        if self.owners and self.owners[-1] == owners[0]:
            return False
        self.owners.extend(array("q", owners))
        self.counts.extend(array("q", list(map(len, lists))))
        return True

    def span(self, owner: int) -> slice:
        """Where the owner's rows are."""
        if len(self._ends) != len(self.counts):
            self._ends = np.cumsum(ints(self.counts))
        entry = span_of(ints(self.owners), owner, owner + 1)
        begin, end = (int(self._ends[stop - 1]) if stop else 0 for stop in (entry.start, entry.stop))
        return slice(begin, end)


class Rows(Entries):
    """Rows of floats of one block, `width` in each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.values = array("d")
        self.width = width

    @property
    def rows(self) -> int:
        """How many rows there are so far."""
        return len(self.values) // self.width

    def matrix(self) -> FloatArray:
        """float64[rows, width]."""
        rows = int(ints(self.counts).sum())
        return floats(self.values).reshape(rows, self.width)

    def content(self, owner: int) -> bytes:
        """What was sent for this owner, the same bytes for the same content."""
        span = self.span(owner)
        listed = owner in self.owners[span_of(ints(self.owners), owner, owner + 1)]
        return b"%d %b" % (listed, self.values[span.start * self.width : span.stop * self.width].tobytes())


class ConfidenceRows(Entries):
    """Confidences of one block.

    Rows with the classes of the first one are kept densely, others cell by cell: a class met late costs nothing for the
    rows before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0
        self.too_many = False
        self._classes: dict[str, int] = {}
        self._main: tuple[str, ...] = ()
        self._main_rows = array("q")
        self._values = array("d")
        self._cell_row = array("q")
        self._cell_class = array("q")
        self._cell_value = array("d")

    def add(self, row: dict[str, float | None]) -> None:
        """Append one window's confidences."""
        if not self._main:
            self._main = tuple(row)
            self._know(row)
        if not self.too_many:
            names = tuple(row)
            if names == self._main:
                self._add_main(row.values())
            elif len(names) == len(self._main) and all(name in row for name in self._main):
                self._add_main([row[name] for name in self._main])
            else:
                self._add_cells(row)
        self.rows += 1

    def add_all(self, rows: Sequence[dict[str, float | None] | None]) -> None:
        """Append several windows' confidences: at once, where all of them have the classes of the first one."""
        taken = 0
        while not self._main and not self.too_many and taken < len(rows):
            self.add(rows[taken] or {})
            taken += 1
        rest = rows[taken:] if taken else rows
        if self.too_many:
            self.rows += len(rest)
        elif rest and not self._add_alike(rest):
            for row in rest:
                self.add(row or {})

    def _add_alike(self, rows: Sequence[dict[str, float | None] | None]) -> bool:
        """False, and nothing appended, where one of the rows has other classes, another order of them or no number."""
        main = self._main
        try:
            # Names within a row differ: so many rows can be so often the same names only each by each.
            if list(chain.from_iterable(rows)) != list(main) * len(rows):  # type: ignore[arg-type]
                return False
            values = np.fromiter(
                chain.from_iterable(map(dict.values, rows)),  # type: ignore[arg-type]
                np.float64,
                len(rows) * len(main),
            )
        except TypeError:
            return False
        self._main_rows.frombytes(np.arange(self.rows, self.rows + len(rows)).tobytes())
        self._values.frombytes(values.tobytes())
        self.rows += len(rows)
        return True

    def _add_main(self, values: Iterable[float | None]) -> None:
        if not self._main:
            return
        self._main_rows.append(self.rows)
        try:
            self._values.extend(values)  # type: ignore[arg-type]  # a None among them is the rare case
        except TypeError:
            del self._values[len(self._values) - len(self._values) % len(self._main) :]
            self._values.extend(np.nan if value is None else value for value in values)

    def _add_cells(self, row: dict[str, float | None]) -> None:
        self._know(row)
        if self.too_many:
            return
        for name, value in row.items():
            if value is not None:
                self._cell_row.append(self.rows)
                self._cell_class.append(self._classes[name])
                self._cell_value.append(value)

    def _know(self, names: Iterable[str]) -> None:
        for name in names:
            self._classes.setdefault(name, len(self._classes))
        if len(self._classes) - (ANOMALY_KEY in self._classes) > MOST_CLASSES:
            self._give_up()

    def _give_up(self) -> None:
        self.too_many = True
        self._classes.clear()
        for kept in (self._main_rows, self._values, self._cell_row, self._cell_class, self._cell_value):
            del kept[:]

    def dense(self, *, anomaly_block: bool) -> tuple[tuple[str, ...], Rows] | None:
        """The classes, sorted, and a row of their confidences for each window; None where there are too many.

        Args:
            anomaly_block: Whether the impulse has one, whose score may be among the confidences.
        """
        cells = self.rows * len(self._classes)
        if self.too_many or (cells > _MANY_CELLS and cells > _SPARSE * (len(self._values) + len(self._cell_value))):
            return None
        values = self._matrix()
        names = list(self._classes)
        if (
            anomaly_block
            and ANOMALY_KEY in self._classes
            and _sums_to_one(np.delete(values, self._classes[ANOMALY_KEY], axis=1))
        ):
            names.remove(ANOMALY_KEY)
        elif len(names) > MOST_CLASSES:
            return None
        names.sort()
        rows = Rows(len(names))
        rows.owners = self.owners
        rows.counts = self.counts
        rows.values.frombytes(values[:, [self._classes[name] for name in names]].ravel().view(np.uint8).data)
        return tuple(names), rows

    def _matrix(self) -> FloatArray:
        """float64[rows, classes], the classes in the order they came."""
        if len(self._main_rows) == self.rows and len(self._main) == len(self._classes):
            return floats(self._values).reshape(self.rows, len(self._main))
        values = np.full((self.rows, len(self._classes)), np.nan)
        if self._main:
            columns = np.array([self._classes[name] for name in self._main])
            values[np.ix_(ints(self._main_rows), columns)] = floats(self._values).reshape(-1, len(self._main))
        values[ints(self._cell_row), ints(self._cell_class)] = floats(self._cell_value)
        return values


def _sums_to_one(values: FloatArray) -> bool:
    """Whether every row sums to 1 ± .05; int8 confidences reach .992 to 1.008.

    A row that lacks a confidence says nothing, unless all of them do: then those that hold any are taken as they are.
    """
    if not values.shape[1]:
        return False
    known = ~np.isnan(values)
    complete = known.all(axis=1)
    counted = values[complete if complete.any() else known.any(axis=1)]
    return bool(np.all(np.abs(np.nansum(counted, axis=1) - 1) <= 0.05))
