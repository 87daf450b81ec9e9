"""Samples and windows in their final order, each once, and the way from a block's rows to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from monitor.results import FloatArray, IntArray
from monitor.studio.rows import Entries, Rows, floats, ints, order_of
from monitor.studio.windows import WindowRows


class SetChanged(Exception):
    """The pages do not fit together: the result set changed while it was read."""


class Samples:
    """Samples in their final order: ascending by id, each once.

    Attributes:
        ids: Theirs.
        order: For each sample its occurrence.
        place: For each occurrence its sample, -1 where it repeats another.
    """

    def __init__(self, ids: npt.NDArray[np.int64], contents: Sequence[Callable[[int], bytes]]) -> None:
        by_id = np.argsort(ids, kind="stable")
        self.ids, first, which = np.unique(ids[by_id], return_index=True, return_inverse=True)
        self.order = by_id[first]
        self.place = np.full(len(ids), -1)
        self.place[self.order] = np.arange(len(self.ids))
        for occurrence, sample in zip(by_id.tolist(), which.tolist(), strict=True) if len(ids) > len(self.ids) else ():
            kept = int(self.order[sample])
            if occurrence != kept and any(content(occurrence) != content(kept) for content in contents):
                raise SetChanged(f"sample {ids[occurrence]} came twice with different content")


class Join:
    """Windows in their final order, each once, and the way from a block's rows to them.

    Attributes:
        order: For each window in final order, its place as received.
        place: For each window as received, its final place; -1 where it repeats another.
        sample: For each window in final order, its sample's index.
        unaligned: Windows whose rows could not be assigned, because a block gave another number of windows than the
            predictions.
    """

    def __init__(self, samples: Samples, windows: WindowRows) -> None:
        ids = ints(windows.sample)
        index = np.searchsorted(samples.ids, ids)
        if np.any(index >= len(samples.ids)) or np.any(samples.ids[index] != ids):
            raise SetChanged("predictions name a sample that no page held")
        try:
            first = windows.repeats()
        except ValueError as error:
            raise SetChanged(str(error)) from error
        kept = np.flatnonzero(first == np.arange(len(first)))
        self.order = kept[order_of(index[kept], floats(windows.start)[kept], floats(windows.end)[kept])]
        self.place = np.full(len(ids), -1)
        self.place[self.order] = np.arange(len(self.order))
        self.sample = index[self.order]
        self._sample_of_owner = samples.place
        self._counts = np.bincount(self.sample, minlength=len(samples.ids))
        self._first = np.cumsum(self._counts) - self._counts
        self.unaligned = 0

    def rows_of(self, entries: Entries) -> int:
        """How many rows a block has, those of repeated samples once."""
        return int(ints(entries.counts)[self._sample_of_owner[ints(entries.owners)] >= 0].sum())

    def spread(self, rows: Rows) -> tuple[FloatArray, IntArray]:
        """float64[windows, width], NaN where a window has no row; and for each row its window, -1 where it has none."""
        values = np.full((len(self.sample), rows.width), np.nan)
        sample = self._sample_of_owner[ints(rows.owners)]
        counts = ints(rows.counts)
        once = sample >= 0
        aligned = once & (counts == self._counts[sample])
        self.unaligned += int(counts[once & ~aligned].sum())
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        window = np.where(np.repeat(aligned, counts), np.repeat(self._first[sample], counts) + within, -1)
        kept = window >= 0
        values[window[kept]] = rows.matrix()[kept]
        return values, window
