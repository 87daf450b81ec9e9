"""What another version read of Studio's replies, beside what this one reads: whether both are of the same content.

Pure: columns in, columns out. Needed where a stored result set is of another `FINGERPRINT_VERSION`: the two cannot be
distinguished by their fingerprints, and one may lack what the other holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.results import (
    UNSCORED,
    Block,
    BlockKind,
    Boxes,
    Confidences,
    FloatArray,
    FomoCounts,
    IntArray,
    Points,
    ResultSet,
)

_DIGITS = 9  # to which scores are compared, as the fingerprint has it
_ANOMALY = "anomaly"
_AGGREGATION = "anomaly_scoring_aggregation_method"
_MEAN = "mean"
_PER_WINDOW = ("start_ms", "end_ms", "label", "prediction", "correct")
_PER_WINDOW_OPTIONAL = ("expected_anomaly", "reported_map", "reported_f1")
_COUNTS = ("true_positives", "false_positives", "false_negatives")

Array = npt.NDArray[Any]


def same_content(stored: ResultSet, read: ResultSet) -> bool:
    """Whether Studio said the same at both times, as far as the stored set holds what it said.

    Args:
        stored: As another version read and stored it.
        read: As this version reads what Studio says now.
    """
    if not np.array_equal(stored.sample_id, read.sample_id) or stored.label_map != read.label_map:
        return False
    if stored.windows != read.windows:  # another version may have counted windows again that came twice
        stored = without_repeats(stored)
        read = without_repeats(read)
    return (
        np.array_equal(stored.sample, read.sample)
        and _same_blocks(stored, read)
        and _same_windows(stored, read)
        and _same_scores(stored, read)
        and _same_boxes(stored, read)
        and _same_fomo(stored.fomo, read.fomo)
    )


def carried_over(stored: ResultSet, read: ResultSet) -> ResultSet:
    """A stored set as this version would have read it, as far as that can be known.

    Windows that came twice count once; a block's kind, and thresholds that were not stored, are those of the same block
    now; a class `anomaly` that this version takes for no class of the block is none. Scores of a visual anomaly block
    that were maxima, although Studio decides on means, are not known: nothing is compared with them.

    Args:
        stored: As another version read and stored it.
        read: What this version reads of the same target, at whatever time.
    """
    stored = without_repeats(stored)
    known = {(block.id, block.type): block for block in read.blocks}
    blocks = tuple(_as_now(block, known.get((block.id, block.type))) for block in stored.blocks)
    confidences = {
        block: _classes_as_now(found, read.confidences.get(block)) for block, found in stored.confidences.items()
    }
    anomaly = {
        block: scores for block, scores in stored.anomaly.items() if block not in _maxima_for_means(stored, read)
    }
    return replace(stored, blocks=blocks, confidences=confidences, anomaly=anomaly)


def block_as_now(block: Block, blocks: tuple[Block, ...]) -> Block:
    """A stored block with what another version did not read of it, taken from the same block now; itself where there is
    none.
    """
    return _as_now(block, next((known for known in blocks if (known.id, known.type) == (block.id, block.type)), None))


def without_repeats(results: ResultSet) -> ResultSet:
    """The set with each window once: those of a sample that agree in bounds, which are known, and in all that was said
    of them.
    """
    suspects = _at_one_place(results)
    if not len(suspects):
        return results
    columns = [np.asarray(column[suspects], np.float64) for column in (results.sample, *_window_columns(results))]
    rows = np.column_stack([column.reshape(len(suspects), -1) for column in columns])
    rows = np.where(np.isnan(rows), np.nan, np.round(rows, _DIGITS) + 0.0)  # one bit pattern for each value
    _, first = np.unique(
        np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_index=True
    )
    repeats = np.delete(suspects, first)
    return _take(results, np.delete(np.arange(results.windows), repeats)) if len(repeats) else results


def _at_one_place(results: ResultSet) -> npt.NDArray[np.intp]:
    """The windows (ascending) that share sample and known bounds with another one: few or none, so that telling them
    apart costs little.
    """
    bounds = (results.end_ms, results.start_ms, results.sample)
    order = np.lexsort(bounds)
    alike = np.logical_and.reduce([column[order][1:] == column[order][:-1] for column in bounds])
    alike = np.concatenate([[False], alike, [False]])
    suspects = order[(alike[1:] | alike[:-1])[: len(order)]]
    return np.sort(suspects[results.start_ms[suspects] >= 0])


def _window_columns(results: ResultSet) -> list[Array]:
    found = [getattr(results, name) for name in (*_PER_WINDOW, *_PER_WINDOW_OPTIONAL)]
    found += [confidences.values for confidences in results.confidences.values()]
    return [column for column in (*found, *results.anomaly.values()) if column is not None]


def _take(results: ResultSet, kept: npt.NDArray[np.intp]) -> ResultSet:
    """The set with these windows (ascending) only."""
    names = ("sample", *_PER_WINDOW, *(name for name in _PER_WINDOW_OPTIONAL if getattr(results, name) is not None))
    detections = results.detections
    fomo = results.fomo
    if detections is not None:
        owner, rows = _owners(detections.owner, kept)
        score = None if detections.score is None else detections.score[rows]
        detections = Boxes(owner, detections.label[rows], detections.xywh[rows], score)
    if fomo is not None:
        counts = {name: getattr(fomo, name)[kept] for name in (*_COUNTS, "min_distance")}
        fomo = FomoCounts(**counts, truth=_points(fomo.truth, kept), predicted=_points(fomo.predicted, kept))
    return replace(
        results,
        **{name: getattr(results, name)[kept] for name in names},
        confidences={
            block: Confidences(found.classes, found.values[kept]) for block, found in results.confidences.items()
        },
        anomaly={block: scores[kept] for block, scores in results.anomaly.items()},
        detections=detections,
        fomo=fomo,
    )


def _owners(owner: IntArray, kept: npt.NDArray[np.intp]) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The owners that are kept, as indices into those, and which rows they are."""
    rows = np.isin(owner, kept)
    return np.searchsorted(kept, owner[rows]).astype(owner.dtype), rows


def _points(points: Points, kept: npt.NDArray[np.intp]) -> Points:
    owner, rows = _owners(points.owner, kept)
    return Points(owner, points.label[rows], points.xy[rows])


def _as_now(block: Block, now: Block | None) -> Block:
    if now is None:
        return block
    return replace(
        block, kind=now.kind, thresholds={**now.thresholds, **block.thresholds}, texts=block.texts or now.texts
    )


def _maxima_for_means(stored: ResultSet, read: ResultSet) -> set[int]:
    """Visual anomaly blocks whose stored scores are maxima because their aggregation method was not read: it is the
    mean.
    """
    unread = {block.id for block in stored.blocks if _AGGREGATION not in block.texts}
    return {
        block.id
        for block in read.blocks
        if block.id in unread
        and block.kind is BlockKind.VISUAL_ANOMALY
        and block.texts.get(_AGGREGATION, "").strip().lower() == _MEAN
    }


def _classes_as_now(stored: Confidences, now: Confidences | None) -> Confidences:
    if now is None or _ANOMALY in now.classes or _ANOMALY not in stored.classes:
        return stored
    kept = [place for place, name in enumerate(stored.classes) if name != _ANOMALY]
    return Confidences(tuple(stored.classes[place] for place in kept), stored.values[:, kept])


def _same_blocks(stored: ResultSet, read: ResultSet) -> bool:
    now = {block.id: block for block in read.blocks}
    return len(now) == len(stored.blocks) and all(
        block.id in now and _same_block(block, now[block.id]) for block in stored.blocks
    )


def _same_block(stored: Block, read: Block) -> bool:
    """Thresholds that one of both does not hold say nothing: another version may not have read them."""
    numbers = all(read.thresholds.get(key, value) == value for key, value in stored.thresholds.items())
    return (
        stored.type == read.type
        and numbers
        and all(read.texts.get(key, text) == text for key, text in stored.texts.items())
    )


def _same_windows(stored: ResultSet, read: ResultSet) -> bool:
    for name in ("label", "prediction"):
        before = _texts(getattr(stored, name), stored.labels)
        now = _texts(getattr(read, name), read.labels)
        if not np.array_equal(before[before != ""], now[before != ""]):
            return False
    columns: list[tuple[str, int | None]] = [
        ("start_ms", -1),
        ("end_ms", -1),
        ("correct", UNSCORED),
        ("expected_anomaly", -1),
    ]
    columns += [("image_size", 0), ("reported_map", None), ("reported_f1", None)]
    return all(_agree(getattr(stored, name), getattr(read, name), unknown) for name, unknown in columns)


def _same_scores(stored: ResultSet, read: ResultSet) -> bool:
    for block, before in stored.confidences.items():
        now = read.confidences.get(block)
        if now is None:
            continue
        shared = [name for name in before.classes if name in now.classes]
        if set(before.classes).symmetric_difference(now.classes) - {_ANOMALY}:
            return False
        if not _agree(_columns_of(before, shared), _columns_of(now, shared), None):
            return False
    others = _maxima_for_means(stored, read)
    return all(
        block in others or _agree(scores, read.anomaly.get(block), None) for block, scores in stored.anomaly.items()
    )


def _same_boxes(stored: ResultSet, read: ResultSet) -> bool:
    for before, now in ((stored.truth, read.truth), (stored.detections, read.detections)):
        if before is None or now is None:
            continue
        named = np.array_equal(_texts(before.label, stored.labels), _texts(now.label, read.labels))
        if not (named and np.array_equal(before.owner, now.owner) and _agree(before.xywh, now.xywh, None)):
            return False
        if not _agree(before.score, now.score, None):
            return False
    return True


def _same_fomo(stored: FomoCounts | None, read: FomoCounts | None) -> bool:
    if stored is None or read is None:
        return True
    if not all(_agree(getattr(stored, name), getattr(read, name), -1) for name in _COUNTS):
        return False
    pairs = ((stored.truth, read.truth), (stored.predicted, read.predicted))
    return all(
        np.array_equal(before.owner, now.owner)
        and np.array_equal(before.label, now.label)
        and _agree(before.xy, now.xy, None)
        for before, now in pairs
    )


def _agree(stored: Array | None, read: Array | None, unknown: int | None) -> bool:
    """Whether both columns say the same wherever the stored one says something: not `unknown`, and where that is None a
    finite number.
    """
    if stored is None or read is None:
        return True
    if stored.shape != read.shape:
        return False
    before = np.round(stored.astype(np.float64), _DIGITS)
    now = np.round(read.astype(np.float64), _DIGITS)
    said = np.isfinite(before) if unknown is None else before != unknown
    return np.array_equal(before[said], now[said])


def _columns_of(confidences: Confidences, classes: list[str]) -> FloatArray:
    return confidences.values[:, [confidences.classes.index(name) for name in classes]]


def _texts(codes: IntArray, table: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """The column as texts, each behind a mark so that none is empty but the missing one."""
    return np.array([*("=" + text for text in table), ""], object)[codes]
