"""`ColumnBuilder`: pages in, a `ResultSet` out. Holds columns only; each page's JSON is forgotten once it was added.

A page is taken over a column at a time, not sample by sample. Predictions are joined to samples by sample id over the
whole pull, not page by page: that a page's predictions are those of its samples is not promised. What a block's rows
mean (`kind`, whether `anomaly` is a class) is decided at the end, from all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.results import Block, BlockKind, Confidences, FloatArray, ResultSet, shrink_dtype
from monitor.studio import wire
from monitor.studio.block_rows import BlockRows, Key
from monitor.studio.join import Join, Samples, SetChanged
from monitor.studio.reading import Reader, is_label_map
from monitor.studio.rows import Codes, bytes_of, floats, ints
from monitor.studio.samples import SampleRows
from monitor.studio.windows import WindowRows

__all__ = ["ColumnBuilder", "SetChanged"]

_WHOLE_FLOATS = 2**53
_ROUNDING = 1e-9  # by so much a share may be beyond 0 and 1
_MEAN = "mean"
_AGGREGATION = "anomaly_scoring_aggregation_method"


class ColumnBuilder:
    """Collects one pull.

    Args:
        metadata: Keys of the samples' metadata to keep (for slices).
    """

    def __init__(self, metadata: Sequence[str] = ()) -> None:
        self._reader = Reader()
        self._left_out: Counter[str] = Counter()
        self._label_map = False
        self._labels = Codes()
        self._samples = SampleRows(metadata)
        self._blocks = BlockRows(self._reader)
        self._windows = WindowRows()

    @property
    def unknown(self) -> Counter[str]:
        """How many values were met that this version does not know or cannot hold, by field."""
        return self._reader.unknown

    @property
    def samples(self) -> int:
        """How many samples were added so far, repeated ones counted again."""
        return len(self._samples)

    def add(self, page: wire.Page) -> None:
        """Take over one page's rows. Takes some milliseconds for 1 MB: call it in a thread."""
        self._label_map = self._label_map or is_label_map(page)
        results = page.result or ()
        self._samples.add_page(results, self._labels, self._reader)
        self._blocks.add_page(results)
        self._windows.add_page(page.predictions or (), self._labels, self._reader)

    def finish(self) -> ResultSet:
        """Join and sort what was added. Takes up to seconds for large sets: call it in a thread.

        Raises:
            SetChanged: A sample or a window came twice with different content, or predictions name a sample that no
                page held.
        """
        blocks = self._numbered()
        kinds = {block.kind for block in blocks.values()}
        scores_anomalies = any(wire.is_anomaly_type(block.type) for block in blocks.values())
        confidences = self._blocks.confidences
        dense = {key: confidences[key].dense(anomaly_block=scores_anomalies) for key in blocks if key in confidences}
        own = self._samples.plain_content, self._samples.truth.content
        kept = [found[1].content for found in dense.values() if found]
        samples = Samples(self._samples.ids, [*own, *self._blocks.contents(), *kept])
        join = Join(samples, self._windows)
        windows = self._windows
        result = ResultSet(
            blocks=tuple(blocks.values()),
            labels=(),
            sample_id=samples.ids,
            **self._samples.columns(samples.order),
            sample=shrink_dtype(join.sample),
            start_ms=_milliseconds(floats(windows.start)[join.order]),
            end_ms=_milliseconds(floats(windows.end)[join.order]),
            label=ints(windows.label)[join.order],
            prediction=ints(windows.prediction)[join.order],
            correct=bytes_of(windows.correct)[join.order],
            confidences={
                blocks[key].id: Confidences(found[0], join.spread(found[1])[0]) for key, found in dense.items() if found
            },
            anomaly={
                block.id: _decisive(block, join.spread(self._blocks.anomaly[key])[0])
                for key, block in blocks.items()
                if key in self._blocks.anomaly
            },
            expected_anomaly=self._expected(join, samples),
            label_map=self._label_map,
        )
        if kinds & {BlockKind.DETECTION, BlockKind.FOMO}:
            result = replace(result, **self._detector_columns(samples, join, fomo=BlockKind.FOMO in kinds))
        self._count(blocks, join)
        self._left_out["too_many_classes"] = sum(
            join.rows_of(confidences[key]) for key, found in dense.items() if not found
        )
        left_out = {reason: count for reason, count in sorted(self._left_out.items()) if count}
        return replace(result, left_out=left_out, **self._categorical_labels(result))

    def _numbered(self) -> dict[Key, Block]:
        """The blocks by their key, in the order of their numbers; those that came without one get negative ones, by
        type.
        """
        notes = self._blocks.notes
        nameless = sorted(key for key in notes if isinstance(key, str))
        numbers: dict[Key, int] = {key: -1 - place for place, key in enumerate(nameless)}
        numbers.update((key, key) for key in notes if isinstance(key, int))
        return {key: notes[key].block(numbers[key]) for key in sorted(numbers, key=numbers.__getitem__)}

    def _count(self, blocks: Mapping[Key, Block], join: Join) -> None:
        unknown_blocks = sum(block.kind is BlockKind.UNKNOWN for block in blocks.values())
        self.unknown["learn_block_type"] += unknown_blocks
        if any(block.kind is BlockKind.FOMO for block in blocks.values()):
            self.unknown["debug_info"] += self._blocks.unread_debug_info
        self._reader.unknown = +self.unknown
        self._left_out["unknown_block"] = unknown_blocks
        self._left_out["unparsable"] += join.unaligned

    def _detector_columns(self, samples: Samples, join: Join, *, fomo: bool) -> dict[str, Any]:
        truth, broken_truth = self._samples.truth.columns(samples.place, scored=False)
        detections, broken_detections = self._windows.boxes.columns(join.place, scored=True)
        self._left_out["unparsable"] += broken_truth + broken_detections
        images, rows = join.spread(self._blocks.images)
        images[:, 1] = np.where(np.isnan(images[:, 1]), floats(self._windows.f1)[join.order], images[:, 1])
        reported = images[:, :2]
        no_share = (reported < -_ROUNDING) | (reported > 1 + _ROUNDING)  # as COCO's -1 of an image without truth
        reported[no_share] = np.nan
        np.clip(reported, 0.0, 1.0, out=reported)
        sent = any(notes.debug_info for notes in self._blocks.notes.values())
        return {
            "image_size": self._samples.image_size(samples.order),
            "truth": truth,
            "detections": detections if self._windows.sends_boxes else None,
            "reported_map": images[:, 0].copy(),
            "reported_f1": images[:, 1].copy(),
            "fomo": self._blocks.fomo(images, rows, np.bincount(truth.owner, minlength=len(samples.ids))[join.sample])
            if fomo and sent
            else None,
        }

    def _expected(self, join: Join, samples: Samples) -> npt.NDArray[np.int8] | None:
        outcome = bytes_of(self._windows.outcome)[join.order]
        if self._blocks.window_outcome.owners:
            named = join.spread(self._blocks.window_outcome)[0][:, 0]
            outcome = np.where(outcome >= 0, outcome, np.nan_to_num(named, nan=-1)).astype(np.int8)
        listed = bytes_of(self._blocks.sample_outcome)[samples.order]
        outcome = np.where(outcome >= 0, outcome, listed[join.sample])
        return outcome if np.any(outcome >= 0) else None

    def _categorical_labels(self, result: ResultSet) -> dict[str, Any]:
        """Labels, predictions and the labels of boxes, as codes into a table of what occurs in them."""
        boxes = {name: found for name in ("truth", "detections") if (found := getattr(result, name)) is not None}
        table, places = self._labels.sorted(result.label, result.prediction, *(found.label for found in boxes.values()))
        return {
            "labels": table,
            "label": shrink_dtype(places[result.label]),
            "prediction": shrink_dtype(places[result.prediction]),
            **{name: replace(found, label=shrink_dtype(places[found.label])) for name, found in boxes.items()},
        }


def _milliseconds(column: FloatArray) -> npt.NDArray[np.number]:
    """Integers where all of them are; fractions only where Studio sends some."""
    if np.any(np.abs(column) >= _WHOLE_FLOATS):
        return column
    whole = column.astype(np.int64)
    return shrink_dtype(whole) if np.array_equal(whole, column) else column


def _decisive(block: Block, scores: FloatArray) -> FloatArray:
    """The score that Studio decides on, of those that were sent."""
    mean = block.kind is BlockKind.VISUAL_ANOMALY and block.texts.get(_AGGREGATION, "").strip().lower() == _MEAN
    return scores[:, 1 if mean else 0].copy()
