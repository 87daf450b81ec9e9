"""What `ColumnBuilder` collects in: arrays that grow row by row, each group of rows with its owner.

Owners of a sample's rows are its *occurrence*, its place among the samples as they came: a sample may come twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray, IntArray


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
