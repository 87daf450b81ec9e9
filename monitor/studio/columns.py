"""`ColumnBuilder`: pages in, a `ResultSet` out. Holds columns only; each page's JSON is forgotten once it was added.

Predictions are joined to samples by sample id over the whole pull, not page by page: that a page's predictions are
those of its samples is not promised. What a block's rows mean (`kind`, whether `anomaly` is a class) is decided at the
end, from all of them.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.results import (
    CORRECT,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Categorical,
    Confidences,
    FloatArray,
    FomoCounts,
    IntArray,
    ResultSet,
    shrink_dtype,
)
from monitor.studio import decoding, wire
from monitor.studio.blocks import BlockNotes, Listed
from monitor.studio.dates import milliseconds
from monitor.studio.rows import (
    ANOMALY_KEY,
    BoxRows,
    Codes,
    ConfidenceRows,
    Entries,
    PointRows,
    Rows,
    WindowRows,
    bytes_of,
    floats,
    ints,
)
from monitor.text import shown

T = TypeVar("T")

_OUTCOMES = {"anomaly": 1, "no anomaly": 0}
_VERDICTS = {True: CORRECT, False: WRONG, None: UNSCORED}
_NOTHING = (b"", b"null", b"[]", b"{}")
_NO_DATE = -(2**63)
_LARGEST_SIZE = 2**31
_WHOLE_FLOATS = 2**53
_MEAN = "mean"
_AGGREGATION = "anomaly_scoring_aggregation_method"

_results = msgspec.json.Decoder(list[dict[str, float | None] | None] | None)
_image_scores = msgspec.json.Decoder(list[wire.ImageScore | None] | None)
_anomaly_images = msgspec.json.Decoder(list[wire.AnomalyImage | None] | None)
_grid = msgspec.json.Decoder(list[list[float | None] | None] | None)
_debug_info = msgspec.json.Decoder(wire.DebugInfo)
_thresholds = msgspec.json.Decoder(list[wire.Threshold] | None)
_metadata = msgspec.json.Decoder(dict[str, Any] | None)
_anything = msgspec.json.Decoder(Any)


class SetChanged(Exception):
    """The pages do not fit together: the result set changed while it was read."""


class ColumnBuilder:
    """Collects one pull.

    Args:
        metadata: Keys of the samples' metadata to keep (for slices).

    Attributes:
        unknown: How many values were met that this version does not know or cannot hold, by field.
    """

    def __init__(self, metadata: Sequence[str] = ()) -> None:
        self.unknown: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._label_map = False
        self._blocks: dict[int | str, BlockNotes] = {}
        self._threshold_cache: dict[bytes, Listed] = {}
        # per sample, as it came
        self._ids = array("q")
        self._added = array("q")
        self._device = array("q")
        self._devices = Codes()
        self._filename = array("q")
        self._filenames = Codes()
        self._metadata = {key: (array("q"), Codes()) for key in metadata}
        self._sizes = array("d")
        self._truth = BoxRows()
        self._sample_outcome = array("b")
        # per window
        self._labels = Codes()
        self._windows = WindowRows()
        # per block and window
        self._confidences: dict[int | str, ConfidenceRows] = {}
        self._anomaly: dict[int | str, Rows] = {}  # one score; of visual anomaly the maximum and the mean
        self._window_outcome = Rows(1)
        self._images = Rows(7)  # mAP, f1, TP, FP, FN, distance, whether it came with debug information
        self._points = {"y_trues": PointRows(), "y_preds": PointRows()}
        self._unread_debug_info = 0

    @property
    def samples(self) -> int:
        """How many samples were added so far, repeated ones counted again."""
        return len(self._ids)

    def add(self, page: wire.Page) -> None:
        """Take over one page's rows. Takes some 10 ms for 1 MB: call it in a thread."""
        self._label_map = self._label_map or _is_label_map(page)
        for result in page.result or ():
            self._add_sample(result.sample or wire.Sample())
            self._ids.append(result.sample_id)
            for classification in result.classifications or ():
                self._add_classification(len(self._ids) - 1, classification)
        first = len(self._windows)
        for prediction in page.predictions or ():
            self._add_prediction(prediction)
        if len(self._windows) > first:
            self._windows.end_page(first)

    def _add_sample(self, sample: wire.Sample) -> None:
        occurrence = len(self._ids)
        added = milliseconds(sample.added)
        if added is None and sample.added:
            self.unknown["added"] += 1
        self._added.append(_NO_DATE if added is None else added)
        self._device.append(self._devices(sample.device_name))
        self._filename.append(self._filenames(None if sample.filename is None else shown(sample.filename)))
        self._sizes.extend(self._size(sample.image_dimensions))
        self._sample_outcome.append(-1)
        for box in sample.bounding_boxes or ():
            self._truth.add(occurrence, self._labels(box.label), box, scored=False)
        if self._metadata:
            metadata = self._decode(_metadata, sample.metadata, "metadata") or {}
            for key, (codes, texts) in self._metadata.items():
                value = metadata.get(key)
                codes.append(texts(None if value is None else str(value)))

    def _size(self, size: wire.Size | None) -> tuple[float, float]:
        if size is None:
            return 0, 0
        width = size.width or 0
        height = size.height or 0
        if max(width, height) < _LARGEST_SIZE and min(width, height) >= 0:
            return width, height
        self.unknown["image_dimensions"] += 1
        return 0, 0

    def _add_prediction(self, row: wire.Prediction) -> None:
        windows = self._windows
        windows.sample.append(row.sample_id)
        windows.start.append(-1 if row.start_ms is None else row.start_ms)
        windows.end.append(-1 if row.end_ms is None else row.end_ms)
        windows.label.append(self._labels(_text(row.label)))
        windows.prediction.append(self._labels(_text(row.prediction)))
        windows.correct.append(_VERDICTS[row.prediction_correct])
        windows.outcome.append(self._outcome_code(row.expected_anomaly_outcome))
        windows.f1.append(_nan(row.f1_score))
        if row.bounding_boxes is not None:
            windows.sends_boxes = True
            for box in row.bounding_boxes:
                windows.boxes.add(len(windows) - 1, self._labels(box.label), box, scored=True)

    def _add_classification(self, occurrence: int, entry: wire.Classification) -> None:
        self._add_expected(occurrence, entry.expected_anomaly_outcome)
        learn = entry.learn_block or wire.LearnBlock()
        key = (learn.type or "") if learn.id is None else learn.id
        notes = self._blocks.get(key)
        if notes is None:
            notes = self._blocks[key] = BlockNotes()
        notes.add(entry, self._listed_thresholds(entry.thresholds))
        match notes.kind:
            case BlockKind.CLASSIFICATION:
                fits = self._add_confidences(occurrence, key, entry.result)
            case BlockKind.ANOMALY:
                fits = self._add_scores(occurrence, key, 1, map(_k_means_score, self._rows(entry.result)))
            case BlockKind.VISUAL_ANOMALY:
                images = self._decode(_anomaly_images, entry.anomaly_result, "anomaly_result") or ()
                fits = self._add_scores(occurrence, key, 2, map(self._visual_scores, images))
            case BlockKind.DETECTION | BlockKind.FOMO:
                fits = self._add_images(occurrence, entry, notes)
            case BlockKind.REGRESSION | BlockKind.UNKNOWN:
                fits = True  # regression's figures come from the predictions; the others have no documented scores
        if not fits:
            self.unknown["learn_block"] += 1

    def _add_expected(self, occurrence: int, expected: object) -> None:
        if isinstance(expected, list):
            codes = list(map(self._outcome_code, expected))
            if max(codes, default=-1) >= 0 and self._window_outcome.start(occurrence, len(codes)):
                self._window_outcome.values.extend(codes)
        elif expected is not None:
            self._sample_outcome[occurrence] = max(self._sample_outcome[occurrence], self._outcome_code(expected))

    def _rows(self, raw: msgspec.Raw) -> list[dict[str, float | None] | None]:
        return self._decode(_results, raw, "result") or []

    def _add_confidences(self, occurrence: int, key: int | str, raw: msgspec.Raw) -> bool:
        rows = self._rows(raw)
        kept = self._confidences.get(key)
        if kept is None:
            kept = self._confidences[key] = ConfidenceRows()
        if not kept.start(occurrence, len(rows)):
            return False
        for row in rows:
            kept.add(row or {})
        return True

    def _add_scores(self, occurrence: int, key: int | str, width: int, scores: Iterable[Sequence[float]]) -> bool:
        rows = self._anomaly.setdefault(key, Rows(width))
        listed = list(scores)
        if not rows.start(occurrence, len(listed)):
            return False
        for score in listed:
            rows.values.extend(score)
        return True

    def _visual_scores(self, image: wire.AnomalyImage | None) -> tuple[float, float]:
        """The image's maximum and mean; of its grid where Studio did not say."""
        if image is None:
            return np.nan, np.nan
        if isinstance(image.max_score, float) and isinstance(image.mean_score, float):
            return image.max_score, image.mean_score
        rows = self._decode(_grid, image.scores, "scores") or ()
        grid = np.array([_finite(score) for row in rows for score in row or ()])
        largest, mean = (grid.max(), grid.mean()) if grid.size else (np.nan, np.nan)
        return _reduced(image.max_score, largest), _reduced(image.mean_score, mean)

    def _add_images(self, occurrence: int, entry: wire.Classification, notes: BlockNotes) -> bool:
        images = self._decode(_image_scores, entry.structured_result, "structured_result")
        images = images or self._decode(_image_scores, entry.details, "details") or []
        if not self._images.start(occurrence, len(images)):
            return False
        for image in images:
            image = image or wire.ImageScore()
            counts: tuple[float, float, float, float] = (-1, -1, -1, np.nan)
            if listed := bool(image.debug_info_json) and not notes.is_box_detector:
                notes.debug_info = True
                counts = self._add_debug_info(image.debug_info_json or "", notes)
            self._images.values.extend((_nan(image.map), _nan(image.f1), *counts, listed))
        return True

    def _add_debug_info(self, text: str, notes: BlockNotes) -> tuple[float, float, float, float]:
        unread: Counter[str] = Counter()
        try:
            info = decoding.decode(_debug_info, text.encode(), unread)
        except msgspec.MsgspecError:
            self._unread_debug_info += 1
            return -1, -1, -1, np.nan
        unread.pop("number", None)  # Python's json writes NaN, which is how FOMO's matching came to be a text
        self._unread_debug_info += unread.total()
        row = self._images.rows
        for name, points in self._points.items():
            if listed := getattr(info, name):
                notes.centroids = True
                points.add(row, listed)
        assigned = info.assignments
        extra = info.unassigned_y_pred_idxs
        missed = info.unassigned_y_true_idxs
        if assigned is not None and extra is not None and missed is not None:
            return len(assigned), len(extra), len(missed), _nan(info.normalised_min_distance)
        if info.y_trues or info.y_preds or unread:
            return -1, -1, -1, np.nan
        return 0, 0, 0, _nan(info.normalised_min_distance)  # an empty image without a detection lists nothing

    def _outcome_code(self, value: object) -> int:
        if value is None:
            return -1
        text = value.get("label") if isinstance(value, dict) else value  # {startIndex, endIndex, label}
        code = _OUTCOMES.get(text, -1) if isinstance(text, str) else -1
        if code < 0:
            self.unknown["expected_anomaly_outcome"] += 1
        return code

    def _listed_thresholds(self, listed: msgspec.Raw) -> Listed:
        """The block's thresholds; cached, since every sample repeats them."""
        raw = bytes(listed)
        found = self._threshold_cache.get(raw)
        if found is None:
            values: dict[str, float | str] = {}
            for row in self._decode(_thresholds, raw, "thresholds") or ():
                if row.key and row.value is not None:
                    value = _threshold(row.value)
                    if value is None:
                        self.unknown["thresholds"] += 1
                    else:
                        values[row.key] = value
            found = self._threshold_cache[raw] = tuple(sorted(values.items()))
        return found

    def _decode(self, decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, field: str) -> T | None:
        """None where a value cannot be read at all, else what can be read of it; the rest is counted: it must not fail
        the pull.
        """
        if not raw:
            return None
        try:
            return decoder.decode(raw)
        except decoding.MALFORMED:
            unread: Counter[str] = Counter()
        try:
            found = decoding.decode(decoder, bytes(raw), unread)
        except msgspec.MsgspecError:
            self.unknown[field] += 1
            return None
        if unread:
            self.unknown[field] += unread.total()
        return found

    def finish(self) -> ResultSet:
        """Join and sort what was added. Takes up to seconds for large sets: call it in a thread.

        Raises:
            SetChanged: A sample or a window came twice with different content, or predictions name a sample that no
                page held.
        """
        blocks = self._numbered()
        kinds = {block.kind for block in blocks.values()}
        scores_anomalies = any(wire.is_anomaly_type(block.type) for block in blocks.values())
        dense = {key: rows.dense(anomaly_block=scores_anomalies) for key, rows in self._confidences.items()}
        samples = _Samples(
            ints(self._ids), [*self._contents(), *(found[1].content for found in dense.values() if found)]
        )
        join = _Join(samples, self._windows)
        windows = self._windows
        order = samples.order
        result = ResultSet(
            blocks=tuple(blocks.values()),
            labels=(),
            sample_id=samples.ids,
            added=ints(self._added)[order].view("datetime64[ms]"),
            device=_coded(self._device, self._devices, order),
            filename=_coded(self._filename, self._filenames, order),
            metadata={key: _coded(codes, texts, order) for key, (codes, texts) in self._metadata.items()},
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
                blocks[key].id: _decisive(blocks[key], join.spread(rows)[0]) for key, rows in self._anomaly.items()
            },
            expected_anomaly=self._expected(join, samples),
            label_map=self._label_map,
        )
        if kinds & {BlockKind.DETECTION, BlockKind.FOMO}:
            result = replace(result, **self._detector_columns(samples, join, fomo=BlockKind.FOMO in kinds))
        self._count(blocks, join)
        self._left_out["too_many_classes"] = sum(
            join.rows_of(self._confidences[key]) for key, found in dense.items() if not found
        )
        left_out = {reason: count for reason, count in sorted(self._left_out.items()) if count}
        return replace(result, left_out=left_out, **self._coded_labels(result))

    def _numbered(self) -> dict[int | str, Block]:
        """The blocks by their key, in the order of their numbers; those that came without one get negative ones, by
        type.
        """
        nameless = sorted(key for key in self._blocks if isinstance(key, str))
        numbers: dict[int | str, int] = {key: -1 - place for place, key in enumerate(nameless)}
        numbers.update((key, key) for key in self._blocks if isinstance(key, int))
        return {key: self._blocks[key].block(numbers[key]) for key in sorted(numbers, key=numbers.__getitem__)}

    def _count(self, blocks: Mapping[int | str, Block], join: _Join) -> None:
        unknown_blocks = sum(block.kind is BlockKind.UNKNOWN for block in blocks.values())
        self.unknown["learn_block_type"] += unknown_blocks
        if any(block.kind is BlockKind.FOMO for block in blocks.values()):
            self.unknown["debug_info"] += self._unread_debug_info
        self.unknown = +self.unknown
        self._left_out["unknown_block"] = unknown_blocks
        self._left_out["unparsable"] += join.unaligned

    def _contents(self) -> list[Callable[[int], bytes]]:
        """For each part of a sample its content, by the sample's occurrence; confidences apart."""
        codes = [column for column, _ in self._metadata.values()]
        columns: list[tuple[array[int] | array[float], int]] = [
            (column, 1) for column in (self._added, self._device, *codes)
        ]
        columns += [(self._sample_outcome, 1), (self._sizes, 2)]

        def plain(occurrence: int) -> bytes:
            return b"".join(
                column[width * occurrence : width * (occurrence + 1)].tobytes() for column, width in columns
            )

        def points(rows: PointRows, occurrence: int) -> bytes:
            span = self._images.span(occurrence)
            return rows.content(span.start, span.stop)

        return [
            plain,
            self._truth.content,
            *(rows.content for rows in self._anomaly.values()),
            self._window_outcome.content,
            self._images.content,
            *(partial(points, rows) for rows in self._points.values()),
        ]

    def _detector_columns(self, samples: _Samples, join: _Join, *, fomo: bool) -> dict[str, Any]:
        truth, broken_truth = self._truth.columns(samples.place, scored=False)
        detections, broken_detections = self._windows.boxes.columns(join.place, scored=True)
        self._left_out["unparsable"] += broken_truth + broken_detections
        images, rows = join.spread(self._images)
        images[:, 1] = np.where(np.isnan(images[:, 1]), floats(self._windows.f1)[join.order], images[:, 1])
        sent = any(notes.debug_info for notes in self._blocks.values())
        return {
            "image_size": shrink_dtype(floats(self._sizes).reshape(-1, 2)[samples.order].astype(np.int64)),
            "truth": truth,
            "detections": detections if self._windows.sends_boxes else None,
            "reported_map": images[:, 0].copy(),
            "reported_f1": images[:, 1].copy(),
            "fomo": self._fomo(images, rows, np.bincount(truth.owner, minlength=len(samples.ids))[join.sample])
            if fomo and sent
            else None,
        }

    def _fomo(self, images: FloatArray, rows: IntArray, boxes: IntArray) -> FomoCounts:
        """FOMO's matching, from the columns of images, the window of each image, and the labelled boxes per window."""
        counts = np.where(np.isnan(images[:, 2:5]), -1, images[:, 2:5]).astype(np.int64)
        silent = (counts[:, 0] < 0) & (images[:, 6] == 0)
        # an empty image without a detection: f1 = 1, and nothing to match
        counts[silent & (images[:, 1] == 1) & (boxes == 0)] = 0
        true_positives, false_positives, false_negatives = map(shrink_dtype, counts.T)
        truth, predicted = (points.columns(rows) for points in self._points.values())
        return FomoCounts(true_positives, false_positives, false_negatives, images[:, 5].copy(), truth, predicted)

    def _expected(self, join: _Join, samples: _Samples) -> npt.NDArray[np.int8] | None:
        outcome = bytes_of(self._windows.outcome)[join.order]
        if self._window_outcome.owners:
            named = join.spread(self._window_outcome)[0][:, 0]
            outcome = np.where(outcome >= 0, outcome, np.nan_to_num(named, nan=-1)).astype(np.int8)
        listed = bytes_of(self._sample_outcome)[samples.order]
        outcome = np.where(outcome >= 0, outcome, listed[join.sample])
        return outcome if np.any(outcome >= 0) else None

    def _coded_labels(self, result: ResultSet) -> dict[str, Any]:
        """Labels, predictions and the labels of boxes, as codes into a table of what occurs in them."""
        boxes = {name: found for name in ("truth", "detections") if (found := getattr(result, name)) is not None}
        table, places = self._labels.sorted(result.label, result.prediction, *(found.label for found in boxes.values()))
        return {
            "labels": table,
            "label": shrink_dtype(places[result.label]),
            "prediction": shrink_dtype(places[result.prediction]),
            **{name: replace(found, label=shrink_dtype(places[found.label])) for name, found in boxes.items()},
        }


class _Samples:
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


class _Join:
    """Windows in their final order, each once, and the way from a block's rows to them.

    Attributes:
        order: For each window in final order, its place as received.
        place: For each window as received, its final place; -1 where it repeats another.
        sample: For each window in final order, its sample's index.
        unaligned: Windows whose rows could not be assigned, because a block gave another number of windows than the
            predictions.
    """

    def __init__(self, samples: _Samples, windows: WindowRows) -> None:
        ids = ints(windows.sample)
        index = np.searchsorted(samples.ids, ids)
        if np.any(index >= len(samples.ids)) or np.any(samples.ids[index] != ids):
            raise SetChanged("predictions name a sample that no page held")
        try:
            first = windows.repeats()
        except ValueError as error:
            raise SetChanged(str(error)) from error
        kept = np.flatnonzero(first == np.arange(len(first)))
        self.order = kept[np.lexsort((floats(windows.end)[kept], floats(windows.start)[kept], index[kept]))]
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


def _is_label_map(page: wire.Page) -> bool:
    """Whether the project maps labels. Servers differ in where they say so, and samples without a value for it say
    nothing.
    """
    if _says_something(page.label_map_predictions):
        return True
    for result in page.result or ():
        sample = result.sample
        if sample is not None and (sample.project_labeling_method == "label_map" or _says_something(sample.label_map)):
            return True
        for entry in result.classifications or ():
            if _says_something(entry.label_map_result):
                return True
    return any(_says_something(row.label_map_predictions) for row in page.predictions or ())


def _says_something(raw: msgspec.Raw) -> bool:
    if not raw or bytes(raw) in _NOTHING:
        return False
    try:
        return bool(decoding.decode(_anything, bytes(raw), Counter()))
    except msgspec.MsgspecError:
        return True


def _coded(codes: array[int], texts: Codes, order: IntArray) -> Categorical:
    column = ints(codes)[order]
    table, places = texts.sorted(column)
    return Categorical(shrink_dtype(places[column]), table)


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


def _threshold(value: object) -> float | str | None:
    """A number, also where it was sent as a text; a text that is none; None for what a threshold cannot be."""
    if isinstance(value, str):
        number = decoding.number(value)
        return value if number is None else number
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        return None
    return float(value)


def _k_means_score(row: dict[str, float | None] | None) -> tuple[float]:
    return (_finite(row[ANOMALY_KEY]) if row and ANOMALY_KEY in row else np.nan,)


def _reduced(said: float | msgspec.UnsetType | None, found: float) -> float:
    """Studio's own reduction of the grid, else ours; infinity where it says that it is not finite, and sent no grid to
    look into.
    """
    if isinstance(said, float):
        return said
    return np.inf if said is None and np.isnan(found) else found


def _text(value: str | float | None) -> str | None:
    return value if value is None or isinstance(value, str) else repr(value)


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _finite(value: float | None) -> float:
    """JSON has no NaN: where Studio computed one it sends null. Kept as infinity, to distinguish it from an absent
    score.
    """
    return np.inf if value is None else value
