"""Windows and hits of samples, or of groups of samples, by part of a set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.figures.groups import GroupUnit
from monitor.results import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # parts x units that are counted in a table (32 MB); beyond, by sorting


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Windows and hits of the pairs of a unit and a part that occur; int[pairs] each.

    Attributes:
        part, unit: Which they are.
        windows, hits: Of them.
        samples: How many samples they are of.
    """

    part: IntArray
    unit: IntArray
    windows: IntArray
    hits: IntArray
    samples: IntArray

    def squares(self, p: FloatArray) -> FloatArray:
        """float64[parts], the sum of squares of hits less what a share `p` of the windows would be."""
        return np.bincount(self.part, np.square(self.excess(p)), len(p)).astype(np.float64)

    def excess(self, p: FloatArray) -> FloatArray:
        """float64[pairs], hits less what a share `p`, float64[parts], of the windows would be."""
        return self.hits - p[self.part] * self.windows

    def grouped(self, groups: GroupUnit) -> Counts:
        """The counts of samples by group."""
        place, part, unit = _pairs(self.part, groups.of[self.unit], int(self.part.max(initial=0)) + 1)
        windows, hits = (np.bincount(place, counts).astype(np.int64) for counts in (self.windows, self.hits))
        return Counts(part, unit, windows, hits, np.bincount(place))


def counted(hits: BoolArray, sample: IntArray, part: IntArray | None, parts: int) -> Counts:
    """The windows and hits of each sample, by part."""
    place, part, unit = _pairs(np.zeros(1, np.int64) if part is None else part, sample, parts)
    windows = np.bincount(place)
    return Counts(part, unit, windows, np.bincount(place[hits], minlength=len(windows)), np.ones_like(windows))


def _pairs(part: IntArray, unit: IntArray, parts: int) -> tuple[IntArray, IntArray, IntArray]:
    """The pairs of a part and a unit that occur: each one's index among them, and their parts and units."""
    units = int(unit.max(initial=0)) + 1
    code = part.astype(np.int64) * units + unit
    if parts * units > _CELLS:
        found, place = np.unique(code, return_inverse=True)
    else:
        occurs = np.bincount(code) > 0
        found = np.flatnonzero(occurs)
        place = (np.cumsum(occurs, dtype=np.int32) - 1)[code]
    return place, found // units, found % units
