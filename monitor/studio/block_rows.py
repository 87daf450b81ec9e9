"""`BlockRows`: what the learning blocks gave for each sample.

Where all samples of a page say the same of a block, its rows are taken over at once; entry by entry where they differ,
and for object detectors, whose debug information decides from one image to the next what it means.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain

import msgspec
import numpy as np

from monitor.results import BlockKind, FloatArray, FomoCounts, IntArray, shrink_dtype
from monitor.studio import decoding, wire
from monitor.studio.blocks import BlockNotes
from monitor.studio.box_rows import PointRows
from monitor.studio.confidence_rows import ANOMALY_KEY, ConfidenceRows
from monitor.studio.reading import Lists, Reader
from monitor.studio.rows import Rows

Key = int | str
"""A block's number; its type where it came without one."""

_AT_ONCE = 100
"""Samples whose rows are read at once: no step of it holds the interpreter for much more than a millisecond."""
_DETECTORS = (BlockKind.DETECTION, BlockKind.FOMO)
_NO_BLOCK = wire.LearnBlock()

_results = Lists(
    msgspec.json.Decoder(list[dict[str, float | None] | None] | None),
    msgspec.json.Decoder(list[list[dict[str, float | None] | None] | None]),
)
_image_scores = msgspec.json.Decoder(list[wire.ImageScore | None] | None)
_anomaly_images = Lists(
    msgspec.json.Decoder(list[wire.AnomalyImage | None] | None),
    msgspec.json.Decoder(list[list[wire.AnomalyImage | None] | None]),
)
_grid = msgspec.json.Decoder(list[list[float | None] | None] | None)
_debug_info = msgspec.json.Decoder(wire.DebugInfo)


class BlockRows:
    """Rows of all blocks, their owners occurrences of samples.

    Args:
        reader: Of what is raw.

    Attributes:
        notes: What is known of each block.
        confidences: Of the classification blocks.
        anomaly: Of the anomaly blocks one score; of visual anomaly the maximum and the mean.
        sample_outcome: int8 for each occurrence: the ground truth beside a block, for all of its windows.
        window_outcome: The same where it is listed by window.
        images: Of the detectors, mAP, f1, TP, FP, FN, distance, and whether it came with debug information.
        points: FOMO's centroids, labelled and predicted.
        unread_debug_info: How many values of debug information could not be read.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.notes: dict[Key, BlockNotes] = {}
        self.confidences: dict[Key, ConfidenceRows] = {}
        self.anomaly: dict[Key, Rows] = {}
        self.sample_outcome = array("b")
        self.window_outcome = Rows(1)
        self.images = Rows(7)
        self.points = {"y_trues": PointRows(), "y_preds": PointRows()}
        self.unread_debug_info = 0

    def add_page(self, results: Sequence[wire.Result]) -> None:
        """Append what a page's samples hold."""
        first = len(self.sample_outcome)
        self.sample_outcome.extend(array("b", [-1]) * len(results))
        entries = [entry for result in results for entry in result.classifications or ()]
        owners = [owner for owner, result in enumerate(results, first) for _ in result.classifications or ()]
        outcomes = [entry.expected_anomaly_outcome for entry in entries]
        if outcomes.count(None) < len(outcomes):
            for owner, outcome in zip(owners, outcomes, strict=True):
                self._add_expected(owner, outcome)
        rest = {key for key, group in _by_block(owners, entries).items() if not self._add_alike(key, *group)}
        if rest:
            for owner, entry in zip(owners, entries, strict=True):
                if (key := _key(entry.learn_block or _NO_BLOCK)) in rest:
                    self._add(owner, key, entry)

    def _add_expected(self, owner: int, expected: object) -> None:
        if isinstance(expected, list):
            codes = list(map(self._reader.outcome, expected))
            if max(codes, default=-1) >= 0 and self.window_outcome.start([owner], [codes]):
                self.window_outcome.values.extend(codes)
        elif expected is not None:
            self.sample_outcome[owner] = max(self.sample_outcome[owner], self._reader.outcome(expected))

    def _add_alike(self, key: Key, owners: Sequence[int], entries: Sequence[wire.Classification]) -> bool:
        """Append a page's entries of one block; False, and nothing appended, where they have to be read one by one."""
        learns = [entry.learn_block or _NO_BLOCK for entry in entries]
        kind = self._kind(key, learns[0])
        if kind in _DETECTORS or len(set(owners)) < len(owners) or learns.count(learns[0]) < len(learns):
            return False
        self._note(key, entries)
        for begin in range(0, len(entries), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            self._add_rows(kind, key, owners[part], entries[part])
        return True

    def _kind(self, key: Key, learn: wire.LearnBlock) -> BlockKind:
        notes = self.notes.get(key)
        return wire.kind_of((notes.type if notes else "") or learn.type)

    def _note(self, key: Key, entries: Sequence[wire.Classification]) -> BlockNotes:
        notes = self.notes.setdefault(key, BlockNotes())
        raws = [entry.thresholds for entry in entries]
        alike = raws.count(raws[0]) == len(raws)
        thresholds = {bytes(raws[0]): len(raws)} if alike else Counter(map(bytes, raws))
        notes.add(entries, [(self._reader.thresholds(raw), count) for raw, count in thresholds.items()])
        return notes

    def _add_rows(
        self, kind: BlockKind, key: Key, owners: Sequence[int], entries: Sequence[wire.Classification]
    ) -> bool:
        """Append the rows of entries of one block; False where the first owner has some of it already. Regression's
        figures come from the predictions; other kinds have no documented scores.
        """
        if kind is BlockKind.CLASSIFICATION:
            raws = [entry.result for entry in entries]
            confidences = self.confidences.setdefault(key, ConfidenceRows())
            if confidences.add_raw(owners, raws):
                return True
            lists = self._reader.lists(_results, raws, "result")
            fits = confidences.start(owners, lists)
            if fits:
                confidences.add_all(list(chain.from_iterable(lists)))
            return fits
        if kind is BlockKind.ANOMALY:
            lists = self._reader.lists(_results, [entry.result for entry in entries], "result")
            scores = map(_k_means_score, chain.from_iterable(lists))
            return self._add_scores(key, 1, owners, lists, scores)
        if kind is BlockKind.VISUAL_ANOMALY:
            raws = [entry.anomaly_result for entry in entries]
            images = self._reader.lists(_anomaly_images, raws, "anomaly_result")
            reduced = list(chain.from_iterable(map(self._visual_scores, chain.from_iterable(images))))
            return self._add_scores(key, 2, owners, images, reduced)
        return True

    def _add_scores(
        self, key: Key, width: int, owners: Sequence[int], lists: Sequence[Sequence[object]], scores: Iterable[float]
    ) -> bool:
        rows = self.anomaly.setdefault(key, Rows(width))
        fits = rows.start(owners, lists)
        if fits:
            rows.values.extend(scores)
        return fits

    def _add(self, owner: int, key: Key, entry: wire.Classification) -> None:
        notes = self._note(key, [entry])
        kind = notes.kind
        if kind in _DETECTORS:
            fits = self._add_images(owner, entry, notes)
        else:
            fits = self._add_rows(kind, key, [owner], [entry])
        if not fits:
            self._reader.unknown["learn_block"] += 1

    def _visual_scores(self, image: wire.AnomalyImage | None) -> tuple[float, float]:
        """The image's maximum and mean; of its grid where Studio did not say."""
        if image is None:
            return np.nan, np.nan
        if isinstance(image.max_score, float) and isinstance(image.mean_score, float):
            return image.max_score, image.mean_score
        rows = self._reader.decode(_grid, image.scores, "scores") or ()
        grid = np.array([_finite(score) for row in rows for score in row or ()])
        largest, mean = (grid.max(), grid.mean()) if grid.size else (np.nan, np.nan)
        return _reduced(image.max_score, largest), _reduced(image.mean_score, mean)

    def _add_images(self, owner: int, entry: wire.Classification, notes: BlockNotes) -> bool:
        decode = self._reader.decode
        images = decode(_image_scores, entry.structured_result, "structured_result")
        images = images or decode(_image_scores, entry.details, "details") or []
        if not self.images.start([owner], [images]):
            return False
        for image in images:
            image = image or wire.ImageScore()
            counts: tuple[float, float, float, float] = (-1, -1, -1, np.nan)
            if listed := bool(image.debug_info_json) and not notes.is_box_detector:
                notes.debug_info = True
                counts = self._add_debug_info(image.debug_info_json or "", notes)
            self.images.values.extend((_nan(image.map), _nan(image.f1), *counts, listed))
        return True

    def _add_debug_info(self, text: str, notes: BlockNotes) -> tuple[float, float, float, float]:
        unread: Counter[str] = Counter()
        try:
            info = decoding.decode(_debug_info, text.encode(), unread)
        except msgspec.MsgspecError:
            self.unread_debug_info += 1
            return -1, -1, -1, np.nan
        unread.pop("number", None)  # Python's json writes NaN, which is how FOMO's matching came to be a text
        self.unread_debug_info += unread.total()
        row = self.images.rows
        for name, points in self.points.items():
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

    def contents(self) -> list[Callable[[int], bytes]]:
        """For each part of what was given for a sample its content, by the sample's occurrence; confidences apart."""

        def outcome(occurrence: int) -> bytes:
            return self.sample_outcome[occurrence : occurrence + 1].tobytes()

        def points(rows: PointRows, occurrence: int) -> bytes:
            span = self.images.span(occurrence)
            return rows.content(span.start, span.stop)

        return [
            outcome,
            *(rows.content for rows in self.anomaly.values()),
            self.window_outcome.content,
            self.images.content,
            *(partial(points, rows) for rows in self.points.values()),
        ]

    def fomo(self, images: FloatArray, rows: IntArray, boxes: IntArray) -> FomoCounts:
        """FOMO's matching, from the columns of images, the window of each image, and the labelled boxes per window."""
        counts = np.where(np.isnan(images[:, 2:5]), -1, images[:, 2:5]).astype(np.int64)
        silent = (counts[:, 0] < 0) & (images[:, 6] == 0)
        # an empty image without a detection: f1 = 1, and nothing to match
        counts[silent & (images[:, 1] == 1) & (boxes == 0)] = 0
        true_positives, false_positives, false_negatives = map(shrink_dtype, counts.T)
        truth, predicted = (points.columns(rows) for points in self.points.values())
        return FomoCounts(true_positives, false_positives, false_negatives, images[:, 5].copy(), truth, predicted)


_Group = tuple[list[int], list[wire.Classification]]


def _by_block(owners: list[int], entries: list[wire.Classification]) -> dict[Key, _Group]:
    """A page's entries by block, with their owners."""
    keys = [_key(entry.learn_block or _NO_BLOCK) for entry in entries]
    if len(set(keys)) == 1:
        return {keys[0]: (owners, entries)}
    groups: dict[Key, _Group] = {}
    for key, owner, entry in zip(keys, owners, entries, strict=True):
        group = groups.setdefault(key, ([], []))
        group[0].append(owner)
        group[1].append(entry)
    return groups


def _key(learn: wire.LearnBlock) -> Key:
    return (learn.type or "") if learn.id is None else learn.id


def _k_means_score(row: dict[str, float | None] | None) -> float:
    return _finite(row[ANOMALY_KEY]) if row and ANOMALY_KEY in row else np.nan


def _reduced(said: float | msgspec.UnsetType | None, found: float) -> float:
    """Studio's own reduction of the grid, else ours; infinity where it says that it is not finite, and sent no grid to
    look into.
    """
    if isinstance(said, float):
        return said
    return np.inf if said is None and np.isnan(found) else found


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _finite(value: float | None) -> float:
    """JSON has no NaN: where Studio computed one it sends null. Kept as infinity, to distinguish it from an absent
    score.
    """
    return np.inf if value is None else value
