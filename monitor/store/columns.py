"""A `ResultSet` as one compressed file of columns, readable by any program that knows zip and `.npy`.

`docs/store-format.md` describes the format. Lossless, to the bit and the dtype; the same result set gives the same
bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.errors import fitted
from monitor.results import Block, BlockKind, Boxes, Categorical, Confidences, FomoCounts, Points, ResultSet
from monitor.store.documents import dump
from monitor.store.errors import StoreCorrupt, StoreTooNew

FORMAT = "impulse-monitor result set"
VERSION = 1
"""Raised when an older reader would misread what is written; columns it does not know may be added without."""

_MANIFEST = "manifest.json"
_LEVEL = 3  # level 6 takes up to four times as long, for a tenth less
_TRIED = 64 * 2**10  # bytes of a column that show what compressing it would save
_WORTHWHILE = 0.85  # of its size: confidences and boxes of float32 models are as good as random, and take long to read

_PLAIN = ("sample_id", "sample", "start_ms", "end_ms", "label", "prediction", "correct")
_OPTIONAL = ("expected_anomaly", "image_size", "reported_map", "reported_f1")
_BOXES = ("truth", "detections")
_BOX_COLUMNS = ("owner", "label", "xywh", "score")
_FOMO_COLUMNS = ("true_positives", "false_positives", "false_negatives", "min_distance")
_POINTS = ("truth", "predicted")
_POINT_COLUMNS = ("owner", "label", "xy")

_DAMAGES = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile, json and NumPy raise on bytes that are none of theirs."""

Array = npt.NDArray[Any]


def encode(results: ResultSet) -> bytes:
    """A result set as bytes. Takes some seconds for millions of windows: call it in a worker thread."""
    target = io.BytesIO()
    manifest = _manifest(results)
    dtypes: dict[str, str] = manifest["columns"]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, column in _columns(results):
            dtypes[name] = column.dtype.str
            stored = np.ascontiguousarray(_narrowed(column))
            archive.compression = zipfile.ZIP_DEFLATED if _shrinks(stored) else zipfile.ZIP_STORED
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:  # by name: zipfile then writes no clock
                np.lib.format.write_array(file, stored, allow_pickle=False)
        archive.compression = zipfile.ZIP_DEFLATED
        with archive.open(_MANIFEST, "w") as file:
            file.write(dump(manifest).encode("ascii"))
    return target.getvalue()


def decode(data: bytes) -> ResultSet:
    """The result set that `encode` made bytes of.

    Raises:
        StoreTooNew: A newer version wrote it.
        StoreCorrupt: It is damaged, or no result set.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            if manifest["format"] != FORMAT:
                raise ValueError(f"its format is {manifest['format']!r}")
            if manifest["version"] > VERSION:
                raise StoreTooNew(
                    f"a stored result set has format version {manifest['version']}, this version of Impulse Monitor "
                    f"reads up to {VERSION}; "
                    "run the version that wrote it, or a newer one"
                )
            columns = {name: _read(archive, name, dtype) for name, dtype in manifest["columns"].items()}
        return _result_set(manifest, columns)
    except _DAMAGES as error:
        raise StoreCorrupt(
            fitted("a stored result set is damaged (", error, "); it is written again when the target's results change")
        ) from error


def _manifest(results: ResultSet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "samples": results.samples,
        "windows": results.windows,
        "blocks": [
            {
                "id": block.id,
                "type": block.type,
                "kind": str(block.kind),
                "name": block.name,
                "thresholds": dict(block.thresholds),
                "texts": dict(block.texts),
            }
            for block in results.blocks
        ],
        "label_map": results.label_map,
        "left_out": dict(results.left_out),
        "tables": {
            "labels": results.labels,
            "device": results.device.table,
            **({} if results.filename is None else {"filename": results.filename.table}),
            "confidences": {str(block): confidences.classes for block, confidences in results.confidences.items()},
            "metadata": [{"key": key, "table": coded.table} for key, coded in results.metadata.items()],
        },
        "columns": {},
    }


def _columns(results: ResultSet) -> Iterator[tuple[str, Array]]:
    """Every array with its name in the file; a name that is not there stands for None."""
    for name in _PLAIN:
        yield name, getattr(results, name)
    yield "added", results.added.astype("datetime64[ms]").view(np.int64)
    yield "device", results.device.codes
    if results.filename is not None:
        yield "filename", results.filename.codes
    for block, confidences in results.confidences.items():
        yield f"confidences/{block}", confidences.values
    for block, scores in results.anomaly.items():
        yield f"anomaly/{block}", scores
    for place, coded in enumerate(results.metadata.values()):
        yield f"metadata/{place}", coded.codes
    for name in _OPTIONAL:
        if (column := getattr(results, name)) is not None:
            yield name, column
    for name in _BOXES:
        if (boxes := getattr(results, name)) is not None:
            for part in _BOX_COLUMNS:
                if (column := getattr(boxes, part)) is not None:
                    yield f"{name}/{part}", column
    if results.fomo is not None:
        for name in _FOMO_COLUMNS:
            yield f"fomo/{name}", getattr(results.fomo, name)
        for name in _POINTS:
            for part in _POINT_COLUMNS:
                yield f"fomo/{name}/{part}", getattr(getattr(results.fomo, name), part)


def _result_set(manifest: Mapping[str, Any], columns: Mapping[str, Array]) -> ResultSet:
    tables = manifest["tables"]
    arrays: dict[str, Any] = {name: columns[name] for name in _PLAIN} | {name: columns.get(name) for name in _OPTIONAL}
    return ResultSet(
        blocks=tuple(map(_block, manifest["blocks"])),
        labels=tuple(tables["labels"]),
        added=columns["added"].view("datetime64[ms]"),
        device=Categorical(columns["device"], tuple(tables["device"])),
        filename=_filename(columns, tables),
        confidences={
            int(block): Confidences(tuple(classes), columns[f"confidences/{block}"])
            for block, classes in tables["confidences"].items()
        },
        anomaly={
            int(name.partition("/")[2]): column for name, column in columns.items() if name.startswith("anomaly/")
        },
        metadata={
            item["key"]: Categorical(columns[f"metadata/{place}"], tuple(item["table"]))
            for place, item in enumerate(tables["metadata"])
        },
        truth=_boxes(columns, "truth"),
        detections=_boxes(columns, "detections"),
        fomo=_fomo(columns),
        left_out=manifest["left_out"],
        label_map=manifest["label_map"],
        **arrays,
    )


def _filename(columns: Mapping[str, Array], tables: Mapping[str, Any]) -> Categorical | None:
    """Files of before they were kept have none."""
    return Categorical(columns["filename"], tuple(tables["filename"])) if "filename" in tables else None


def _block(document: Mapping[str, Any]) -> Block:
    thresholds = {key: float(value) for key, value in document["thresholds"].items()}
    texts = document.get("texts", {})  # files of before they were kept have none
    return Block(document["id"], document["type"], BlockKind(document["kind"]), document["name"], thresholds, texts)


def _boxes(columns: Mapping[str, Array], name: str) -> Boxes | None:
    if f"{name}/owner" not in columns:
        return None
    return Boxes(
        columns[f"{name}/owner"], columns[f"{name}/label"], columns[f"{name}/xywh"], columns.get(f"{name}/score")
    )


def _fomo(columns: Mapping[str, Array]) -> FomoCounts | None:
    if "fomo/min_distance" not in columns:
        return None
    truth, predicted = (Points(*(columns[f"fomo/{name}/{part}"] for part in _POINT_COLUMNS)) for name in _POINTS)
    counts: dict[str, Any] = {name: columns[f"fomo/{name}"] for name in _FOMO_COLUMNS}
    return FomoCounts(truth=truth, predicted=predicted, **counts)


def _narrowed(column: Array) -> Array:
    """The column as float32 where that holds every bit of it: confidences of a float32 model come back at half the
    size.
    """
    if column.dtype != np.float64:
        return column
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = column.astype(np.float32)
        wide = narrow.astype(np.float64)
    return narrow if np.array_equal(wide.view(np.uint64), column.view(np.uint64)) else column


def _shrinks(column: Array) -> bool:
    """Whether compressing the column is worth the time, by the middle of it."""
    data = column.reshape(-1).view(np.uint8)
    first = max(0, (len(data) - _TRIED) // 2)
    tried = data[first : first + _TRIED].tobytes()
    return len(zlib.compress(tried, _LEVEL)) <= _WORTHWHILE * len(tried)


def _read(archive: zipfile.ZipFile, name: str, dtype: str) -> Array:
    with archive.open(f"{name}.npy") as file:
        stored: Array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # to the end, where the checksum is compared
    return stored.astype(np.dtype(dtype), copy=False)
