"""The samples that evidence counts, as plain arrays: all of a run's, and the few thousand that are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.compare.martingale import Ids, uniform
from monitor.figures.groups import Groups, Unit
from monitor.results import FloatArray, ResultSet

LARGEST_REFERENCE = 2000
"""Samples of a reference that are kept: of a larger one, drawn ones; whole groups where the group is the unit."""

LARGEST_GROUP = 64
"""Samples of a group that are kept, drawn ones of a larger one; k is at most that."""

RECENT = 200
RECENT_GROUPS = 10
"""What came last: so many new samples; or the newest whole groups that hold so many samples and groups."""

_QUANTILE = 0.2
_LARGEST = float(np.finfo(np.float32).max)

Moments = npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Samples with a score.

    Attributes:
        id: int64[n], distinct.
        value: float64[n], finite.
        added: datetime64[n], when each came in; NaT where unknown.
        group: int64[n], the key of each sample's group, the same in every run; None where grouping is switched off.
        over: datetime64[n], when each sample's group is over; at once where unknown (NaT). None likewise.
    """

    id: Ids
    value: FloatArray
    added: Moments
    group: Ids | None = None
    over: Moments | None = None

    @classmethod
    def of(
        cls, results: ResultSet, groups: Groups | None, sample: npt.NDArray[np.integer], value: FloatArray
    ) -> Scores:
        """Those of some samples of a run.

        Args:
            results: The run.
            groups: Its groups; None where grouping is switched off.
            sample: int[n], indices of samples.
            value: float64[n], what each scored.
        """
        of = None if groups is None else groups.of[sample]
        return cls(
            results.sample_id[sample],
            value,
            results.added[sample],
            None if groups is None else groups.key[of],
            None if groups is None else groups.over[of],
        )

    def take(self, rows: npt.NDArray[np.bool_]) -> Scores:
        """Some of them."""
        group = None if self.group is None else self.group[rows]
        over = None if self.over is None else self.over[rows]
        return Scores(self.id[rows], self.value[rows], self.added[rows], group, over)

    @property
    def is_over(self) -> Moments:
        """datetime64[n], as `over`; NaT where grouping is switched off."""
        return np.full(len(self.id), np.datetime64("NaT", "ms")) if self.over is None else self.over


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Samples that are kept: their values have the precision of float32, in which they are stored and ranked.

    Attributes:
        id: int64[n].
        value: float64[n].
        group: int64[n]; 0 where there are no groups, or where they are not known.
    """

    id: Ids
    value: FloatArray
    group: Ids

    @classmethod
    def of(cls, scores: Scores) -> Kept:
        """A run's samples, as they would be kept."""
        group = np.zeros(len(scores.id), np.int64) if scores.group is None else scores.group
        return cls(scores.id, rounded(scores.value), group)

    @classmethod
    def none(cls) -> Kept:
        """No samples."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: npt.NDArray[np.generic]) -> Kept:
        """Some of them, by mask or by index."""
        return Kept(self.id[rows], self.value[rows], self.group[rows])

    def and_(self, more: Kept) -> Kept:
        """These, then those."""
        return Kept(
            np.concatenate([self.id, more.id]),
            np.concatenate([self.value, more.value]),
            np.concatenate([self.group, more.group]),
        )

    def ungrouped(self) -> Kept:
        """Without their groups, where the sample is the unit."""
        return Kept(self.id, self.value, np.zeros(len(self), np.int64))

    def by_id(self) -> Kept:
        """In ascending order of ids."""
        return self.take(np.argsort(self.id))


def rounded(values: FloatArray) -> FloatArray:
    """float64 of float32's precision."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32).astype(np.float64)


def common_size(sizes: npt.NDArray[np.integer]) -> int:
    """k, how many samples of each group count: the 20 % quantile of the sizes, so that few groups are too small."""
    return int(min(np.quantile(sizes, _QUANTILE, method="inverted_cdf"), LARGEST_GROUP))


def drawn_means(samples: Kept, size: int, seed: int) -> tuple[Ids, FloatArray]:
    """What each group that is large enough is worth: the mean of `size` of its samples, drawn by the seed.

    Returns:
        int64[g], ascending keys, and float64[g] of float32's precision.
    """
    samples = samples.take(np.lexsort((uniform(seed, samples.id), samples.group)))
    key, first, sizes = np.unique(samples.group, return_index=True, return_counts=True)
    large = sizes >= size
    rows = first[large, None] + np.arange(size)
    return key[large], rounded(samples.value[rows].mean(axis=1))


def thinned(samples: Kept, seed: int) -> Kept:
    """At most `LARGEST_GROUP` samples of each group, drawn by the seed; in the order of groups."""
    samples = samples.take(np.lexsort((uniform(seed, samples.id), samples.group)))
    _, first, sizes = np.unique(samples.group, return_index=True, return_counts=True)
    return samples.take(np.arange(len(samples)) - np.repeat(first, sizes) < LARGEST_GROUP)


def reduced(samples: Kept, unit: Unit, seed: int) -> Kept:
    """As many samples as are kept of a reference, drawn by the seed, in ascending order of ids.

    A random part of exchangeable units is as exchangeable as all of them.
    """
    if unit == "sample":
        chosen = np.argsort(uniform(seed, samples.id), kind="stable")[:LARGEST_REFERENCE]
        return samples.take(chosen).by_id()
    samples = thinned(samples, seed)
    key, group, sizes = np.unique(samples.group, return_inverse=True, return_counts=True)
    order = np.argsort(uniform(seed, key), kind="stable")
    fits = np.empty(len(key), np.bool_)
    fits[order] = np.cumsum(sizes[order]) <= LARGEST_REFERENCE
    return samples.take(fits[group]).by_id()


def newest_groups(recent: Kept) -> Kept:
    """The last whole groups that hold `RECENT` samples and `RECENT_GROUPS` groups; all where there are fewer.

    Args:
        recent: In the order of groups, each in one piece.
    """
    begins = np.flatnonzero(np.diff(recent.group, prepend=~recent.group[:1]))
    enough = begins[(len(recent) - begins >= RECENT) & (np.arange(len(begins), 0, -1) >= RECENT_GROUPS)]
    return recent.take(np.arange(enough[-1] if len(enough) else 0, len(recent)))
