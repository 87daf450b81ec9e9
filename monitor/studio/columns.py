"""`ColumnBuilder`: pages in, a `ResultSet` out. Holds columns only; each page's JSON is forgotten once it was added.

Predictions are joined to samples by sample id over the whole pull, not page by page: that a page's predictions are
those of its samples is not promised.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
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
    Boxes,
    Coded,
    Confidences,
    FloatArray,
    FomoCounts,
    IntArray,
    Points,
    ResultSet,
    lean,
)
from monitor.studio import wire

T = TypeVar("T")

_ANOMALY_KEY = "anomaly"
_OUTCOMES = {"anomaly": 1, "no anomaly": 0}
_NOTHING = (b"", b"null", b"[]", b"{}")

_results = msgspec.json.Decoder(list[dict[str, float | None] | None] | None)
_image_scores = msgspec.json.Decoder(list[wire.ImageScore | None] | None)
_anomaly_images = msgspec.json.Decoder(list[wire.AnomalyImage | None] | None)
_debug_info = msgspec.json.Decoder(wire.DebugInfo)
_thresholds = msgspec.json.Decoder(list[wire.Threshold] | None)
_metadata = msgspec.json.Decoder(dict[str, Any] | None)


class SetChanged(Exception):
    """The pages do not fit together: the result set changed while it was read."""


class _Rows:
    """Rows of floats, one per window, of one block: which sample each entry is of and how many windows it has."""

    def __init__(self, width: int) -> None:
        self.samples = array("q")
        self.counts = array("q")
        self.values = array("d")
        self.width = width

    def start(self, sample_id: int, windows: int) -> None:
        self.samples.append(sample_id)
        self.counts.append(windows)


class _Confidences(_Rows):
    """Confidences of one block; the classes are the keys of the first window, others are added as they come."""

    def __init__(self) -> None:
        super().__init__(0)
        self.classes: tuple[str, ...] = ()
        self.rows = 0

    def add(self, row: dict[str, float | None]) -> None:
        """Append one window's confidences."""
        row.pop(_ANOMALY_KEY, None)
        names = tuple(row)
        if names != self.classes:
            if missing := [name for name in names if name not in self.classes]:
                self._widen(missing)
            row = {name: row.get(name) for name in self.classes}
        try:
            self.values.extend(row.values())  # type: ignore[arg-type]  # a None among them is the rare case
        except TypeError:
            del self.values[len(self.values) - len(self.values) % self.width :]
            self.values.extend(np.nan if value is None else value for value in row.values())
        self.rows += 1

    def _widen(self, names: list[str]) -> None:
        wide = np.full((self.rows, self.width + len(names)), np.nan)
        wide[:, : self.width] = _floats(self.values).reshape(self.rows, self.width)
        self.values = array("d", wide.tobytes())
        self.classes += tuple(names)
        self.width = len(self.classes)


class _Codes:
    """Texts as numbers in the order they came; sorted into a table at the end."""

    def __init__(self) -> None:
        self.index: dict[str | None, int] = {None: -1}

    def __call__(self, text: str | None) -> int:
        return self.index.setdefault(text, len(self.index) - 1)

    def sorted(self) -> tuple[tuple[str, ...], IntArray]:
        """The sorted table, and for each number its place there (the last item, for -1, stays -1)."""
        texts = [text for text in self.index if text is not None]
        table = tuple(sorted(texts))
        place = {text: code for code, text in enumerate(table)}
        return table, np.array([*(place[text] for text in texts), -1], np.int64)


class _BoxRows:
    """Boxes as they come: owner, label code, x, y, width, height, score. A box without its four numbers is counted and left out."""

    def __init__(self) -> None:
        self.owner, self.label, self.numbers = array("q"), array("q"), array("d")

    def add(self, owner: int, label: int, box: wire.Box, *, scored: bool) -> bool:
        numbers = (box.x, box.y, box.width, box.height, box.score if scored else 0.0)
        if None in numbers:
            return False
        self.owner.append(owner)
        self.label.append(label)
        self.numbers.extend(numbers)  # type: ignore[arg-type]
        return True

    def columns(self, owner: IntArray, places: IntArray, *, scored: bool) -> Boxes:
        """In ascending order of `owner`, boxes of one owner in the order they came."""
        order = np.argsort(owner, kind="stable")
        numbers = _floats(self.numbers).reshape(-1, 5)[order]
        label = lean(places[_ints(self.label)[order]])
        return Boxes(lean(owner[order]), label, np.ascontiguousarray(numbers[:, :4]), numbers[:, 4].copy() if scored else None)


class ColumnBuilder:
    """Collects one pull.

    Args:
        metadata: Keys of the samples' metadata to keep (for slices).

    Attributes:
        unknown: How many values were met that this version does not know, by field.
    """

    def __init__(self, metadata: Sequence[str] = ()) -> None:
        self.unknown: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._label_map = False
        self._blocks: dict[int, Block] = {}
        self._threshold_cache: dict[bytes, dict[str, float]] = {}
        # per sample
        self._ids = array("q")
        self._added: list[npt.NDArray[np.datetime64]] = []
        self._device, self._devices = array("q"), _Codes()
        self._metadata = {key: (array("q"), _Codes()) for key in metadata}
        self._sizes = array("d")
        self._truth = _BoxRows()
        # per window
        self._labels = _Codes()
        self._window_sample, self._label, self._prediction = array("q"), array("q"), array("q")
        self._start, self._end = array("d"), array("d")
        self._correct, self._outcome = array("b"), array("b")
        self._detections, self._sends_boxes = _BoxRows(), False
        # per block and window
        self._confidences: dict[int, _Confidences] = {}
        self._anomaly: dict[int, _Rows] = {}
        self._images = _Rows(6)  # mAP, f1, TP, FP, FN, distance
        self._points = {"y_trues": (array("q"), array("q"), array("d")), "y_preds": (array("q"), array("q"), array("d"))}
        self._window_outcome = _Rows(1)
        self._sample_outcome: dict[int, int] = {}

    @property
    def samples(self) -> int:
        """How many samples were added so far, repeated ones counted again."""
        return len(self._ids)

    def add(self, page: wire.Page) -> None:
        """Take over one page's rows."""
        self._label_map |= _is_label_map(page)
        added = []
        for result in page.result or ():
            sample = result.sample or wire.Sample()
            self._ids.append(result.sample_id)
            added.append(sample.added)
            self._device.append(self._devices(sample.device_name))
            size = sample.image_dimensions
            self._sizes.extend((size.width or 0, size.height or 0) if size else (0, 0))
            for box in sample.bounding_boxes or ():
                if not self._truth.add(result.sample_id, self._labels(box.label), box, scored=False):
                    self._left_out["unparsable"] += 1
            if self._metadata:
                self._add_metadata(sample.metadata)
            for classification in result.classifications or ():
                self._add_classification(result.sample_id, classification)
        self._added.append(_dates(added))
        for prediction in page.predictions or ():
            self._add_prediction(prediction)

    def _add_metadata(self, raw: bytes) -> None:
        metadata = self._decode(_metadata, raw, "metadata") or {}
        for key, (codes, texts) in self._metadata.items():
            value = metadata.get(key)
            codes.append(texts(None if value is None else str(value)))

    def _add_prediction(self, row: wire.Prediction) -> None:
        self._window_sample.append(row.sample_id)
        self._start.append(-1 if row.start_ms is None else row.start_ms)
        self._end.append(-1 if row.end_ms is None else row.end_ms)
        self._label.append(self._labels(_text(row.label)))
        self._prediction.append(self._labels(_text(row.prediction)))
        self._correct.append(UNSCORED if row.prediction_correct is None else CORRECT if row.prediction_correct else WRONG)
        self._outcome.append(self._outcome_code(row.expected_anomaly_outcome))
        if row.bounding_boxes is not None:
            self._sends_boxes = True
            window = len(self._window_sample) - 1
            for box in row.bounding_boxes:
                if not self._detections.add(window, self._labels(box.label), box, scored=True):
                    self._left_out["unparsable"] += 1

    def _add_classification(self, sample_id: int, entry: wire.Classification) -> None:
        if isinstance(entry.expected_anomaly_outcome, list):
            self._window_outcome.start(sample_id, len(entry.expected_anomaly_outcome))
            self._window_outcome.values.extend(map(self._outcome_code, entry.expected_anomaly_outcome))
        elif entry.expected_anomaly_outcome is not None:
            self._sample_outcome[sample_id] = self._outcome_code(entry.expected_anomaly_outcome)
        block = self._block(entry)
        match block.kind:
            case BlockKind.CLASSIFICATION:
                self._add_confidences(sample_id, block.id, entry.result)
            case BlockKind.ANOMALY:
                self._add_anomaly(sample_id, block.id, self._scores(entry.result))
            case BlockKind.VISUAL_ANOMALY:
                images = self._decode(_anomaly_images, entry.anomaly_result, "anomaly_result") or ()
                self._add_anomaly(sample_id, block.id, [np.nan if image is None else _finite(image.max_score) for image in images])
            case BlockKind.DETECTION | BlockKind.FOMO:
                self._add_images(sample_id, entry, fomo=block.kind is BlockKind.FOMO)
            case BlockKind.REGRESSION | BlockKind.UNKNOWN:
                pass  # regression's figures come from the predictions; the others have no documented scores

    def _add_confidences(self, sample_id: int, block: int, raw: bytes) -> None:
        rows = self._decode(_results, raw, "result") or []
        kept = self._confidences.setdefault(block, _Confidences())
        kept.start(sample_id, len(rows))
        for row in rows:
            kept.add(row or {})

    def _scores(self, raw: bytes) -> list[float]:
        rows = self._decode(_results, raw, "result") or []
        return [_finite(row[_ANOMALY_KEY]) if row and _ANOMALY_KEY in row else np.nan for row in rows]

    def _add_anomaly(self, sample_id: int, block: int, scores: Sequence[float]) -> None:
        rows = self._anomaly.setdefault(block, _Rows(1))
        rows.start(sample_id, len(scores))
        rows.values.extend(scores)

    def _add_images(self, sample_id: int, entry: wire.Classification, *, fomo: bool) -> None:
        images = self._decode(_image_scores, entry.structured_result, "structured_result")
        images = images or self._decode(_image_scores, entry.details, "details") or []
        self._images.start(sample_id, len(images))
        for image in images:
            image = image or wire.ImageScore()
            counts: tuple[float, float, float, float] = (-1, -1, -1, np.nan)
            if fomo and image.debug_info_json:
                counts = self._add_debug_info(image.debug_info_json)
            self._images.values.extend((_nan(image.map), _nan(image.f1), *counts))

    def _add_debug_info(self, text: str) -> tuple[float, float, float, float]:
        info = self._decode(_debug_info, text.encode(), "debug_info")
        if info is None or None in (info.assignments, info.unassigned_y_pred_idxs, info.unassigned_y_true_idxs):
            if info is None or info.y_trues or info.y_preds:
                return -1, -1, -1, np.nan
            return 0, 0, 0, _nan(info.normalised_min_distance)  # an empty image without a detection lists nothing
        row = len(self._images.values) // self._images.width
        for name, (owner, label, xy) in self._points.items():
            for point in getattr(info, name) or ():
                owner.append(row)
                label.append(point.label)
                xy.extend((point.x, point.y))
        assigned, extra, missed = info.assignments or (), info.unassigned_y_pred_idxs or (), info.unassigned_y_true_idxs or ()
        return len(assigned), len(extra), len(missed), _nan(info.normalised_min_distance)

    def _outcome_code(self, value: object) -> int:
        text = value.get("label") if isinstance(value, dict) else value  # {startIndex, endIndex, label}
        code = _OUTCOMES.get(text, -1) if isinstance(text, str) else -1
        if value is not None and code < 0:
            self.unknown["expected_anomaly_outcome"] += 1
        return code

    def _block(self, entry: wire.Classification) -> Block:
        learn = entry.learn_block or wire.LearnBlock()
        number = -1 if learn.id is None else learn.id
        thresholds = self._numeric_thresholds(entry)
        known = self._blocks.get(number)
        if known is None or known.thresholds is not thresholds:
            kind = wire.kind_of(learn.type, entry.object_detection_last_layer)
            if known is None and kind is BlockKind.UNKNOWN:
                self.unknown["learn_block_type"] += 1
            known = self._blocks[number] = Block(number, learn.type or "", kind, learn.name or learn.title or "", thresholds)
        return known

    def _numeric_thresholds(self, entry: wire.Classification) -> dict[str, float]:
        """The block's numeric thresholds; one dictionary for equal bytes, since every sample repeats them."""
        raw = bytes(entry.thresholds)
        if raw in (b"", b"null"):
            if entry.minimum_confidence_rating is None:
                raw = b""
            else:  # servers that know no `thresholds` yet
                raw = b'[{"key":"minimum_confidence_rating","value":%r}]' % entry.minimum_confidence_rating
        found = self._threshold_cache.get(raw)
        if found is None:
            listed = self._decode(_thresholds, raw, "thresholds") or ()
            found = {
                row.key: float(row.value)
                for row in listed
                if row.key and isinstance(row.value, int | float) and not isinstance(row.value, bool)
            }
            self._threshold_cache[raw] = found
        return found

    def _decode(self, decoder: msgspec.json.Decoder[T], raw: bytes, field: str) -> T | None:
        """None, counted, where a value does not have the documented shape: it must not fail the pull."""
        if not raw:
            return None
        try:
            return decoder.decode(raw)
        except msgspec.MsgspecError:
            self.unknown[field] += 1
            return None

    def finish(self) -> ResultSet:
        """Join and sort what was added. Takes up to seconds for large sets: call it in a thread.

        Raises:
            SetChanged: A sample occurs twice, or predictions name a sample that no page held.
        """
        ids = _ints(self._ids)
        by_id = np.argsort(ids, kind="stable")
        sample_id = ids[by_id]
        if np.any(sample_id[1:] == sample_id[:-1]):
            raise SetChanged("a sample came on two pages")
        join = _Join(sample_id, _ints(self._window_sample), _floats(self._start))
        table, places = self._labels.sorted()
        truth_owner = _ints(self._truth.owner)
        truth = self._truth.columns(np.searchsorted(sample_id, truth_owner), places, scored=False)
        detections = self._detections.columns(join.window_of[_ints(self._detections.owner)], places, scored=True)
        kinds = {block.kind for block in self._blocks.values()}
        boxes = bool(kinds & {BlockKind.DETECTION, BlockKind.FOMO})
        images, image_rows = join.spread(self._images)
        unknown_blocks = sum(block.kind is BlockKind.UNKNOWN for block in self._blocks.values())
        if unknown_blocks:
            self._left_out["unknown_block"] = unknown_blocks
        confidences = {number: self._confidence_columns(rows, join) for number, rows in self._confidences.items()}
        anomaly = {number: join.spread(rows)[0][:, 0] for number, rows in self._anomaly.items()}
        if join.unaligned:
            self._left_out["unparsable"] += join.unaligned
        return ResultSet(
            blocks=tuple(block for _, block in sorted(self._blocks.items())),
            labels=table,
            sample_id=sample_id,
            added=(np.concatenate(self._added) if self._added else np.empty(0, "datetime64[ms]"))[by_id],
            device=_coded(self._device, self._devices, by_id),
            metadata={key: _coded(codes, texts, by_id) for key, (codes, texts) in self._metadata.items()},
            image_size=lean(_floats(self._sizes).reshape(-1, 2)[by_id].astype(np.int64)) if boxes else None,
            sample=lean(join.sample),
            start_ms=_milliseconds(self._start, join.order),
            end_ms=_milliseconds(self._end, join.order),
            label=lean(places[_ints(self._label)[join.order]]),
            prediction=lean(places[_ints(self._prediction)[join.order]]),
            correct=np.frombuffer(self._correct, np.int8)[join.order] if self._correct else np.empty(0, np.int8),
            confidences=confidences,
            anomaly=anomaly,
            expected_anomaly=self._expected(join, sample_id),
            truth=truth if boxes else None,
            detections=detections if boxes and self._sends_boxes else None,
            reported_map=images[:, 0].copy() if boxes else None,
            reported_f1=images[:, 1].copy() if boxes else None,
            fomo=self._fomo(images, image_rows) if BlockKind.FOMO in kinds else None,
            left_out={reason: count for reason, count in sorted(self._left_out.items()) if count},
            label_map=self._label_map,
        )

    def _confidence_columns(self, rows: _Confidences, join: _Join) -> Confidences:
        values, _ = join.spread(rows)
        order = sorted(range(len(rows.classes)), key=rows.classes.__getitem__)
        return Confidences(tuple(rows.classes[place] for place in order), np.ascontiguousarray(values[:, order]))

    def _expected(self, join: _Join, sample_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int8] | None:
        outcome = np.frombuffer(self._outcome, np.int8)[join.order] if self._outcome else np.empty(0, np.int8)
        if self._window_outcome.samples:
            named = join.spread(self._window_outcome)[0][:, 0]
            outcome = np.where(outcome >= 0, outcome, np.nan_to_num(named, nan=-1)).astype(np.int8)
        if self._sample_outcome:
            listed = np.array([self._sample_outcome.get(int(number), -1) for number in sample_id], np.int8)
            outcome = np.where(outcome >= 0, outcome, listed[join.sample])
        return outcome if np.any(outcome >= 0) else None

    def _fomo(self, images: FloatArray, rows: IntArray) -> FomoCounts:
        counts = np.where(np.isnan(images[:, 2:5]), -1, images[:, 2:5]).astype(np.int64)
        points = {}
        for name, (owner, label, xy) in self._points.items():
            window = rows[_ints(owner)] if len(owner) else np.empty(0, np.int64)
            kept = window >= 0
            order = np.argsort(window[kept], kind="stable")
            points[name] = Points(
                lean(window[kept][order]), lean(_ints(label)[kept][order]), np.ascontiguousarray(_floats(xy).reshape(-1, 2)[kept][order])
            )
        return FomoCounts(
            lean(counts[:, 0]), lean(counts[:, 1]), lean(counts[:, 2]), images[:, 5].copy(), points["y_trues"], points["y_preds"]
        )


class _Join:
    """Windows in their final order, and the way from a block's rows to them.

    Attributes:
        order: For each window in final order, its place as received.
        window_of: The inverse: for each window as received, its final place.
        sample: For each window in final order, its sample's index.
        unaligned: Windows whose rows could not be assigned, because a block gave another number of windows than the predictions.
    """

    def __init__(self, sample_id: npt.NDArray[np.int64], window_sample: IntArray, start: FloatArray) -> None:
        index = np.searchsorted(sample_id, window_sample)
        if np.any(index >= len(sample_id)) or np.any(sample_id[index] != window_sample):
            raise SetChanged("predictions name a sample that no page held")
        self._sample_id = sample_id
        self.order = np.lexsort((start, index))
        self.window_of = np.empty_like(self.order)
        self.window_of[self.order] = np.arange(len(self.order))
        self.sample = index[self.order]
        self._counts = np.bincount(index, minlength=len(sample_id))
        self._first = np.cumsum(self._counts) - self._counts
        self.unaligned = 0

    def spread(self, rows: _Rows) -> tuple[FloatArray, IntArray]:
        """float64[windows, width], NaN where a window has no row; and for each row its window, -1 where it has none."""
        values = np.full((len(self.sample), rows.width), np.nan)
        listed = _ints(rows.samples)
        sample = np.searchsorted(self._sample_id, listed)
        counts = _ints(rows.counts)
        aligned = counts == self._counts[sample]
        self.unaligned += int(counts[~aligned].sum())
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        window = np.where(np.repeat(aligned, counts), np.repeat(self._first[sample], counts) + within, -1)
        kept = window >= 0
        values[window[kept]] = _floats(rows.values).reshape(-1, rows.width)[kept] if rows.width else np.empty((int(kept.sum()), 0))
        return values, window


def _is_label_map(page: wire.Page) -> bool:
    """Whether the project maps labels. Servers differ in where they say so; its first sample and prediction show it as well as any."""
    said = [page.label_map_predictions]
    for result in (page.result or ())[:1]:
        if result.sample is not None:
            if result.sample.project_labeling_method == "label_map":
                return True
            said.append(result.sample.label_map)
        said += [entry.label_map_result for entry in result.classifications or ()]
    said += [row.label_map_predictions for row in (page.predictions or ())[:1]]
    return any(bytes(raw) not in _NOTHING for raw in said)


def _ints(values: array[int]) -> npt.NDArray[np.int64]:
    return np.frombuffer(values, np.int64) if values else np.empty(0, np.int64)


def _floats(values: array[float]) -> FloatArray:
    return np.frombuffer(values, np.float64) if values else np.empty(0)


def _coded(codes: array[int], texts: _Codes, order: IntArray) -> Coded:
    table, places = texts.sorted()
    return Coded(lean(places[_ints(codes)[order]]), table)


def _milliseconds(values: array[float], order: IntArray) -> npt.NDArray[np.number]:
    """Integers where all of them are; fractions only where Studio sends some."""
    column = _floats(values)[order]
    whole = column.astype(np.int64)
    return lean(whole) if np.array_equal(whole, column) else column


def _text(value: str | float | None) -> str | None:
    return value if value is None or isinstance(value, str) else repr(value)


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _finite(value: float | None) -> float:
    """JSON has no NaN: where Studio computed one it sends null. Kept as infinity, to be told from a score that is absent."""
    return np.inf if value is None else value


def _dates(texts: Sequence[str | None]) -> npt.NDArray[np.datetime64]:
    """datetime64[ms], UTC; NaT for what is missing or no date."""
    return np.array([_date(text) for text in texts], "datetime64[ms]")


def _date(text: str | None) -> datetime | None:
    seconds = timestamp(text)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def timestamp(text: str | None) -> float | None:
    """Unix time of an ISO 8601 text, UTC unless it says otherwise; None for what is missing or no date."""
    try:
        date = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if date is None:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
