"""From ground data to the bytes of the wire: one `Record` per sample, rendered once and joined into pages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from monitor.simulator.ground import Block, Box, FomoMatch, Sample, Threshold, Window
from monitor.simulator.kinds.base import ANOMALY, NO_ANOMALY, DataType

Api = Literal["older", "documented", "newer"]
"""How much a server knows: an older one lacks `totalCount`, `thresholds` and predicted boxes; a newer one sends more
fields.
"""

Json = dict[str, Any]

SIGNED_AT = b"X-Amz-Date=20000101T000000Z"
"""Stands in every signed URL; a page replaces it with its own time, so that equal content is not equal bytes."""

FREQUENCY = 62.5

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Record:
    """One sample as it is served: what filters look at, its entry of `result`, and its entries of `predictions` joined
    by commas.

    A sample without results has an empty `result`: pages leave it out.

    Attributes:
        length: Milliseconds.
        frequency: Hertz; 0 for images.
        signed: Whether the sample's signature is valid.
        added: Unix time in seconds.
    """

    id: int
    label: str
    filename: str
    data_type: str
    metadata: Mapping[str, str]
    result: bytes
    predictions: bytes
    length: float = 0.0
    frequency: float = 0.0
    signed: bool = True
    added: float = 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """What a sample's JSON repeats of its project."""

    project_id: int
    project_name: str
    owner: str
    data_type: DataType
    api: Api
    blocks: tuple[Block, ...]
    trained: float
    classes: tuple[str, ...]


def iso(seconds: float) -> str:
    """Unix time as Studio writes it: ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(sample: Sample, context: Context) -> Record:
    """Render one sample."""
    result = {
        "sampleId": sample.id,
        "sample": _sample(sample, context),
        "classifications": [_classification(sample, block, context) for block in context.blocks],
    }
    predictions = b",".join(_encode(_prediction(sample.id, window, context)) for window in sample.windows)
    return Record(
        id=sample.id,
        label=sample.label,
        filename=sample.filename,
        data_type=context.data_type,
        metadata=sample.metadata,
        result=_encode(result),
        predictions=predictions,
        length=_length(sample),
        frequency=_frequency(context),
        signed=sample.signed,
        added=sample.added,
    )


def _length(sample: Sample) -> int:
    return sample.windows[-1].end_ms if sample.windows else 0


def _frequency(context: Context) -> float:
    return 0 if context.data_type == "image" else FREQUENCY


def learn_block(block: Block, trained: float) -> Json:
    """A learning block as in `learnBlock` and in the list of impulses."""
    return {
        "id": block.id,
        "type": block.type,
        "name": block.name,
        "dsp": [block.id - block.id % 10 + 2],
        "title": block.title,
        "createdBy": "createImpulse",
        "createdAt": iso(trained),
    }


def _sample(sample: Sample, context: Context) -> Json:
    image = context.data_type == "image"
    digest = hashlib.sha256(f"{context.project_id}/{sample.id}".encode()).hexdigest()
    length = _length(sample)
    frequency = _frequency(context)
    media = {name: _signed(f"{context.project_id}/{digest[:40]}.{suffix}", name + digest) for name, suffix in _MEDIA}
    body: Json = {
        "id": sample.id,
        "filename": sample.filename,
        "signatureValidate": sample.signed,
        "signatureMethod": "HS256",
        "signatureKey": digest[:32],
        "created": iso(sample.added - 60),
        "lastModified": iso(sample.added),
        "category": sample.category,
        "coldstorageFilename": f"project{context.project_id}/{sample.category}/{sample.filename}.cbor",
        "label": sample.label,
        "intervalMs": 0 if image else 1000 / frequency,
        "frequency": frequency,
        "originalIntervalMs": 0 if image else 1000 / frequency,
        "originalFrequency": frequency,
        "deviceName": sample.device,
        "deviceType": "CAMERA" if image else "DEVKIT",
        "sensors": [{"name": name, "units": units} for name, units in _SENSORS[context.data_type]],
        "valuesCount": 1 if image else int(length * FREQUENCY / 1000),
        "totalLengthMs": length,
        "added": iso(sample.added),
        "boundingBoxes": [
            {"label": box.label, "x": int(box.x), "y": int(box.y), "width": int(box.width), "height": int(box.height)}
            for box in sample.boxes
        ],
        "boundingBoxesType": "object_detection",
        "chartType": "image" if image else "chart",
        "isDisabled": False,
        "isProcessing": False,
        "processingError": False,
        "isCropped": False,
        "metadata": dict(sample.metadata),
        "projectId": context.project_id,
        "projectOwnerName": context.owner,
        "projectName": context.project_name,
        "projectLabelingMethod": "object_detection"
        if any(block.last_layer for block in context.blocks)
        else "single_label",
        "sha256Hash": digest,
        **media,
    }
    if not image:
        body["structuredLabels"] = [
            {"startIndex": 0, "endIndex": max(body["valuesCount"] - 1, 0), "label": sample.label}
        ]
        body["structuredLabelsList"] = [sample.label]
    if sample.size is not None:
        body["imageDimensions"] = {"width": sample.size[0], "height": sample.size[1]}
    if sample.label_map is not None and context.api == "newer":
        body["projectLabelingMethod"] = "label_map"
        body["labelMap"] = {"type": "key-values", "labels": dict(sample.label_map)}
    return body


_SENSORS: dict[str, tuple[tuple[str, str], ...]] = {
    "image": (("image", "rgba"),),
    "audio": (("audio", "wav"),),
    "motion": (("accX", "m/s2"), ("accY", "m/s2"), ("accZ", "m/s2")),
}
_MEDIA = (
    ("thumbnailVideo", "s.jpg"),
    ("thumbnailVideoFull", "l.jpg"),
    ("videoUrl", "mp4"),
    ("videoUrlFull", "full.mp4"),
)
_TOKEN = hashlib.shake_256(b"session").hexdigest(262)


def _signed(path: str, seed: str) -> str:
    """A media URL that carries a signature, as the real ones do; it leads nowhere."""
    signature = hashlib.sha256(seed.encode()).hexdigest()
    return (
        f"https://media.studio.example/{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLE%2Feu-west-1%2Fs3%2Faws4_request"
        f"&{SIGNED_AT.decode()}&X-Amz-Expires=86400&X-Amz-Security-Token={_TOKEN}&X-Amz-Signature={signature}&X-Amz-SignedHeaders=host"
    )


def _labels(windows: Sequence[Window], text: Sequence[str]) -> list[Json]:
    return [
        {
            "startIndex": int(window.start_ms * FREQUENCY / 1000),
            "endIndex": max(int(window.end_ms * FREQUENCY / 1000) - 1, 0),
            "label": label,
        }
        for window, label in zip(windows, text, strict=True)
    ]


def _classification(sample: Sample, block: Block, context: Context) -> Json:
    windows = sample.windows
    numbers = [t.value for t in block.thresholds if not isinstance(t.value, str)]
    body: Json = {
        "learnBlock": learn_block(block, context.trained),
        "result": [_result(window, block) for window in windows],
        "minimumConfidenceRating": numbers[0] if numbers else 0,
        "expectedLabels": _labels(windows, [window.label or "" for window in windows]),
    }
    if context.api != "older":
        body["thresholds"] = [_threshold(threshold) for threshold in block.thresholds]
    if block.type == "keras-visual-anomaly":
        body["anomalyResult"] = [_anomaly_image(window) for window in windows]
    if block.last_layer is not None:
        body["objectDetectionLastLayer"] = block.last_layer
        body["structuredResult"] = [_structured(window) for window in windows]
        body["details"] = [_details(window, context.classes) for window in windows]
    if context.api == "newer":
        _add_newer(body, windows, block)
    return body


def _add_newer(body: Json, windows: Sequence[Window], block: Block) -> None:
    body |= {"intervalMs": 500, "frequencyHz": FREQUENCY, "resultCount": len(windows), "isMultiLabel": False}
    if "anomaly" in block.type and all(window.expected_anomaly is not None for window in windows):
        body["expectedAnomalyOutcome"] = _labels(windows, [_outcome(window) for window in windows])
    if any(window.label_map is not None for window in windows):
        body["isMultiLabel"] = True
        body["labelMapResult"] = [dict(window.label_map or {}) for window in windows]
        body["labelMapScores"] = [dict(window.confidences or {}) for window in windows]


def _outcome(window: Window) -> str:
    return ANOMALY if window.expected_anomaly else NO_ANOMALY


def _result(window: Window, block: Block) -> Mapping[str, float]:
    if block.type in ("anomaly", "anomaly-gmm"):
        return {"anomaly": window.anomaly or 0.0}
    if window.value is not None:
        return {"value": window.value}
    return window.confidences or {}


def _threshold(threshold: Threshold) -> Json:
    body: Json = {
        "key": threshold.key,
        "description": threshold.description,
        "helpText": threshold.help,
        "value": threshold.value,
    }
    if threshold.suggested is not None:
        body |= {"suggestedValue": threshold.suggested, "suggestedValueText": str(threshold.suggested)}
    return body


def _scored(box: Box) -> Json:
    return {"label": box.label, "x": box.x, "y": box.y, "width": box.width, "height": box.height, "score": box.score}


def _grid(window: Window) -> list[list[float]]:
    grid: list[list[float]] = [] if window.grid is None else window.grid.tolist()
    return grid


def _anomaly_image(window: Window) -> Json:
    mean = 0.0 if window.grid is None else round(float(window.grid.mean()), 6)
    return {
        "boxes": [_scored(box) for box in window.detections],
        "scores": _grid(window),
        "meanScore": mean,
        "maxScore": window.anomaly,
    }


def _structured(window: Window) -> Json:
    """Boxes here have their axes in another order than documented (top, left, bottom, right), as the real ones do."""
    image = window.image
    assert image is not None
    body: Json = {"boxes": _corners(window), "scores": [box.score for box in window.detections], "mAP": image.mean_ap}
    body["labels"] = [box.label for box in window.detections]
    if image.f1 is not None:
        body |= {"f1": image.f1, "precision": image.precision, "recall": image.recall}
    if window.fomo is not None:
        body["debugInfoJson"] = _debug_info(window.fomo)
    return body


def _corners(window: Window) -> list[list[float]]:
    return [[box.y, box.x, round(box.y + box.height, 6), round(box.x + box.width, 6)] for box in window.detections]


def _details(window: Window, classes: tuple[str, ...]) -> Json:
    image = window.image
    assert image is not None
    body: Json = {
        "boxes": _corners(window),
        "labels": [classes.index(box.label) + 1 for box in window.detections],
        "scores": [box.score for box in window.detections],
        "mAP": image.mean_ap,
    }
    if image.f1 is not None:
        body["f1"] = image.f1
    return body


def _debug_info(match: FomoMatch) -> str:
    body: Json = {}
    if match.y_trues or match.y_preds:
        body["y_trues"] = [{"x": x, "y": y, "label": label} for x, y, label in match.y_trues]
        body["y_preds"] = [{"x": x, "y": y, "label": label} for x, y, label in match.y_preds]
    body |= {
        "assignments": [
            {"yp": p, "yt": t, "label": match.y_preds[p][2], "distance": d} for p, t, d in match.assignments
        ],
        "normalised_min_distance": match.min_distance,
        "all_pairwise_distances": [list(pair) for pair in match.pairs],
        "unassigned_y_true_idxs": list(match.unassigned_trues),
        "unassigned_y_pred_idxs": list(match.unassigned_preds),
    }
    return _encode(body).decode()


def _prediction(sample_id: int, window: Window, context: Context) -> Json:
    body: Json = {
        "sampleId": sample_id,
        "startMs": window.start_ms,
        "endMs": window.end_ms,
        "prediction": window.prediction,
    }
    if window.label is not None:
        body["label"] = window.label
    if window.correct is not None:
        body["predictionCorrect"] = window.correct
    if window.image is not None:
        if window.image.f1 is not None:
            body["f1Score"] = window.image.f1
        if context.api != "older":
            body["boundingBoxes"] = [_scored(box) for box in window.detections]
    if window.grid is not None:
        body["anomalyScores"] = _grid(window)
    if context.api == "newer":
        if window.expected_anomaly is not None:
            body["expectedAnomalyOutcome"] = _outcome(window)
        if window.label_map is not None:
            body["labelMapPredictions"] = dict(window.label_map)
    return body
