"""`ConfidenceRows`: the confidences of one block, a row for each window.

Rows with the classes of the first one are kept densely, others cell by cell: a class met late costs nothing for the
rows before it. Once many rows have had the same classes, the rest is read as structs with a field for each, in half the
time that dictionaries take.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from monitor.converting import decoder_of_rows
from monitor.results import FloatArray
from monitor.studio import decoding
from monitor.studio.rows import Entries, Rows, floats, ints

MOST_CLASSES = 4096
"""Of one block; beyond it its confidences are left out."""
ANOMALY_KEY = "anomaly"

_SPARSE = 8
"""Confidences that would take so many times more cells than were sent are left out, too, where they are beyond
`_MANY_CELLS`.
"""
_MANY_CELLS = 2**24
_ROWS_BEFORE_STRUCTS = 1000
"""Making the type of a struct takes as long as these rows save."""
_MOST_FIELDS = 100
"""Classes of a struct: where they come in another order, each is looked for among all."""


class ConfidenceRows(Entries):
    """Confidences of one block."""

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
        self._structs: msgspec.json.Decoder[list[list[Any]]] | None = None
        self._wants_structs = True

    def add_raw(self, owners: Sequence[int], raws: Sequence[msgspec.Raw]) -> bool:
        """Append several owners' rows, a list in JSON each, where all rows have the classes of the first one and a
        number for each; False, and nothing appended, where they have to be read in another way.
        """
        decoder = self._decoder()
        if decoder is None:
            return False
        lists = decoding.decode_lists(decoder, raws)
        if lists is None:
            self._wants_structs = False  # trying it again and again would cost more than it saves
            return False
        if not self.start(owners, lists):
            return False
        rows = list(chain.from_iterable(lists))
        values = chain.from_iterable(map(msgspec.structs.astuple, rows))
        self._append(np.fromiter(values, np.float64, len(rows) * len(self._main)), len(rows))
        return True

    def _decoder(self) -> msgspec.json.Decoder[list[list[Any]]] | None:
        """Of rows with the classes of the first one, and no others; None as long as that does not pay."""
        if not self._wants_structs or self.rows < _ROWS_BEFORE_STRUCTS:
            return None
        if self._structs is None:
            if self._main and len(self._main) == len(self._classes) <= _MOST_FIELDS:
                self._structs = decoder_of_rows(self._main)
            self._wants_structs = self._structs is not None
        return self._structs

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
        self._append(values, len(rows))
        return True

    def _append(self, values: FloatArray, rows: int) -> None:
        """So many rows with the classes of the first one, one after the other."""
        self._main_rows.frombytes(np.arange(self.rows, self.rows + rows).tobytes())
        self._values.frombytes(values.tobytes())
        self.rows += rows

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
