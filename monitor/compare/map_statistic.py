"""COCO mAP under any weighting of samples: the statistic of a detector of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from monitor.compare.pairing import Index
from monitor.compare.resamplable import MOST_GROUPS, Weights, ratio
from monitor.figures.average_precision import average_precision, mean_average_precision
from monitor.figures.coco import Matches
from monitor.figures.detection import box_matches
from monitor.figures.precision_tables import PrecisionTables
from monitor.results import Boxes, Categorical, FloatArray, ResultSet

_FEW = 32  # weightings, as of a figure and of the first look of a test


@dataclass(frozen=True, eq=False)
class MapStatistic:
    """COCO mAP at 0.50:0.95.

    Attributes:
        matches: Of all images, which are the units: boxes of several images may stand under one.
    """

    matches: Matches

    @property
    def units(self) -> int:
        """How many there are."""
        return self.matches.images

    @cached_property
    def _tables(self) -> PrecisionTables:
        return PrecisionTables.of(self.matches)

    @cached_property
    def _tables_for_few(self) -> PrecisionTables:
        return PrecisionTables.of(self.matches, _FEW)

    def figure(self, weights: Weights) -> FloatArray:
        """The mAP with every image as often as its unit's weight says."""
        tables = self._tables_for_few if len(weights) <= _FEW else self._tables
        return mean_average_precision(average_precision(tables, weights))

    def split(self, chosen: Weights) -> tuple[FloatArray, FloatArray]:
        """The mAP of the chosen images and that of the others."""
        here, there = np.split(self.figure(np.concatenate([chosen, 1 - chosen])), 2)
        return here, there

    def take(self, units: Index) -> MapStatistic:
        """The statistic of these units: the others' boxes are dropped, the matches stay."""
        place = np.full(self.units, -1, np.int32)
        place[units] = np.arange(len(units))
        matches = self.matches
        image = place[matches.image]
        truth_image = place[matches.truth_image]
        detection = image >= 0
        truth = truth_image >= 0
        return MapStatistic(
            replace(
                matches,
                images=len(units),
                image=image[detection],
                hits=matches.hits[:, detection],
                ends=np.append(0, np.cumsum(detection))[matches.ends],
                truth_image=truth_image[truth],
                truth_ends=np.append(0, np.cumsum(truth))[matches.truth_ends],
            )
        )

    @property
    def most_groups(self) -> int:
        """A bound for the table of weights."""
        return MOST_GROUPS

    def merge(self, group: Index, groups: int) -> MapStatistic:
        """The statistic of the groups' images."""
        return MapStatistic(self.matches.grouped(group, groups))

    def each(self) -> FloatArray:
        """The share of a unit's truth boxes that were found, mean over the IoU thresholds."""
        matches = self.matches
        found = np.bincount(matches.image, matches.hits.mean(axis=0), self.units)
        return ratio(np.column_stack([found, np.bincount(matches.truth_image, minlength=self.units)]))


def box_map(runs: Sequence[ResultSet]) -> MapStatistic | None:
    """COCO mAP of boxes; None where a run has none. The runs share one table of labels."""
    stacked = _stacked(runs)
    if (matched := box_matches(stacked)) is None:
        return None
    matches, windows = matched
    return MapStatistic(matches.grouped(stacked.sample[windows], stacked.samples))


def _stacked(runs: Sequence[ResultSet]) -> ResultSet:
    """Samples, windows and boxes of several runs as one run, one after the other; no other column is known in it."""
    first_sample = np.cumsum([0, *(run.samples for run in runs)])
    first_window = np.cumsum([0, *(run.windows for run in runs)])
    samples = int(first_sample[-1])
    windows = int(first_window[-1])
    unknown = np.full(windows, -1, np.int8)
    sizes = [np.zeros((run.samples, 2), np.int64) if run.image_size is None else run.image_size for run in runs]
    return ResultSet(
        blocks=runs[0].blocks,
        labels=runs[0].labels,
        sample_id=np.arange(samples),
        added=np.full(samples, "NaT", "datetime64[ms]"),
        device=Categorical(np.full(samples, -1, np.int8), ()),
        sample=np.concatenate([run.sample + first for run, first in zip(runs, first_sample, strict=False)]),
        start_ms=unknown,
        end_ms=unknown,
        label=unknown,
        prediction=unknown,
        correct=unknown,
        image_size=np.concatenate(sizes),
        truth=_joined([run.truth for run in runs], first_sample),
        detections=_joined([run.detections for run in runs], first_window),
    )


def _joined(parts: Sequence[Boxes | None], first: Index) -> Boxes | None:
    """Boxes of several runs, their owners renumbered."""
    known = [boxes for boxes in parts if boxes is not None]
    if len(known) < len(parts):
        return None
    scores = [boxes.score for boxes in known if boxes.score is not None]
    return Boxes(
        owner=np.concatenate([boxes.owner + start for boxes, start in zip(known, first, strict=False)]),
        label=np.concatenate([boxes.label for boxes in known]),
        xywh=np.concatenate([boxes.xywh for boxes in known]),
        score=np.concatenate(scores) if len(scores) == len(known) else None,
    )
