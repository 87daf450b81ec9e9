"""The few fields of Studio's replies that are needed, as msgspec structs; everything else is skipped, never built.

Missing and null are accepted everywhere but in `sampleId` and `prediction`. What has a shape of its own per learning
block (`result`, `structuredResult`, ...) stays raw bytes here and is decoded by who knows the block's kind, so that a
block type added by Studio tomorrow cannot fail a page. The types are those that Studio documents, which is what makes
decoding fast; `decoding.decode` reads what has another JSON type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec

from monitor.results import BlockKind

Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What an int64 column holds."""


class Wire(msgspec.Struct, rename="camel", gc=False):
    """Base of all: camelCase on the wire; no cycles, so nothing for the garbage collector to walk.

    Attributes:
        essential: Whether one that lacks a required field fails the whole reply, instead of being left out.
        needed: Fields that must not be left out, since the reply would say that there is nothing.
    """

    essential: ClassVar[bool] = False
    needed: ClassVar[frozenset[str]] = frozenset()


class Reply(Wire):
    """What every reply has: HTTP 200 with `success: false` and `error` is Studio's normal form of a failure."""

    success: bool
    error: str | None = None


class Size(Wire):
    """Pixels."""

    width: float | None = None
    height: float | None = None


class Box(Wire):
    """A box: labelled ones in pixels, predicted ones (with a score) in shares of the image."""

    label: str | None = None
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    score: float | None = None


class Sample(Wire):
    """One sample's own data. Its signed URLs and signature keys are not read."""

    added: str | None = None
    filename: str | None = None
    category: str | None = None
    device_name: str | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    image_dimensions: Size | None = None
    bounding_boxes: list[Box] | None = None
    project_labeling_method: str | None = None
    label_map: msgspec.Raw = msgspec.Raw()


class LearnBlock(Wire):
    """One learning block."""

    id: Integer | None = None
    type: str | None = None
    name: str | None = None
    title: str | None = None


class Threshold(Wire):
    """`value` is a number or a text."""

    key: str | None = None
    value: Any = None


class Classification(Wire):
    """What one learning block gave for one sample, a list item per window in each of the raw fields."""

    learn_block: LearnBlock | None = None
    result: msgspec.Raw = msgspec.Raw()
    structured_result: msgspec.Raw = msgspec.Raw()
    anomaly_result: msgspec.Raw = msgspec.Raw()
    details: msgspec.Raw = msgspec.Raw()
    thresholds: msgspec.Raw = msgspec.Raw()
    minimum_confidence_rating: float | None = None
    object_detection_last_layer: str | None = None
    label_map_result: msgspec.Raw = msgspec.Raw()
    expected_anomaly_outcome: Any = None  # a text for the sample, or a list with a text or {label} per window


class Result(Wire):
    """One sample with what each block gave for it."""

    essential: ClassVar[bool] = True

    sample_id: Integer
    sample: Sample | None = None
    classifications: list[Classification] | None = None


class Prediction(Wire):
    """One window's prediction, its label and Studio's verdict."""

    essential: ClassVar[bool] = True

    sample_id: Integer
    prediction: str | int | float
    start_ms: float | None = None
    end_ms: float | None = None
    label: str | int | float | None = None
    prediction_correct: bool | None = None
    f1_score: float | None = None
    bounding_boxes: list[Box] | None = None
    expected_anomaly_outcome: Any = None
    label_map_predictions: msgspec.Raw = msgspec.Raw()


class Page(Reply):
    """One page of `classify/all/result/page`. `total_count` counts samples and is absent from older servers."""

    needed: ClassVar[frozenset[str]] = frozenset({"result", "predictions"})

    result: list[Result] | None = None
    predictions: list[Prediction] | None = None
    label_map_predictions: msgspec.Raw = msgspec.Raw()
    total_count: Integer | None = None


class AllResults(Reply):
    """`classify/all/result`: of all that it holds, only why there are no results."""

    no_results_because_thresholds_changed: Any = None


class ImageScore(Wire):
    """One window of `structuredResult` or `details`: Studio's own score of the image."""

    map: float | None = msgspec.field(default=None, name="mAP")
    f1: float | None = None
    debug_info_json: str | None = None


class AnomalyImage(Wire):
    """One window of `anomalyResult`; the grid of scores is read where Studio did not reduce it itself."""

    max_score: float | msgspec.UnsetType | None = msgspec.UNSET
    mean_score: float | msgspec.UnsetType | None = msgspec.UNSET
    scores: msgspec.Raw = msgspec.Raw()


class Centroid(Wire):
    """A centroid of FOMO's debug information, in shares of the image."""

    x: float | None = None
    y: float | None = None
    label: Integer | None = None


class DebugInfo(Wire, rename=None):
    """FOMO's own matching of one image (`debugInfoJson`)."""

    y_trues: list[Centroid | None] | None = None
    y_preds: list[Centroid | None] | None = None
    assignments: list[msgspec.Raw] | None = None  # of this and the next two only the lengths count
    unassigned_y_true_idxs: list[msgspec.Raw] | None = None
    unassigned_y_pred_idxs: list[msgspec.Raw] | None = None
    normalised_min_distance: float | None = None


class Impulse(Wire):
    """One impulse."""

    id: Integer
    name: str | None = None


class Impulses(Reply):
    """`impulses`."""

    needed: ClassVar[frozenset[str]] = frozenset({"impulses"})

    impulses: list[Impulse] | None = None


class ImpulseState(Wire):
    """One impulse of `impulses-detailed`: stale once the data set changed after features were generated."""

    impulse: Impulse | None = None
    is_stale: bool | None = None


class ImpulseStates(Reply):
    """`impulses-detailed`."""

    impulses: list[ImpulseState] | None = None


class Variant(Wire):
    """One model variant of an impulse."""

    variant: str
    is_enabled: bool | None = None
    is_reference_variant: bool | None = None


class Variants(Reply):
    """`model-variants`."""

    needed: ClassVar[frozenset[str]] = frozenset({"model_variants"})

    model_variants: list[Variant] | None = None


class ProjectName(Wire):
    """The project's own fields."""

    name: str | None = None


class AnomalyLabels(Wire):
    """Which labels of the project mean an anomaly, and which do not."""

    anomaly_labels: list[str] | None = None
    no_anomaly_labels: list[str] | None = None


class ProjectInfo(Reply):
    """`GET /api/{projectId}`."""

    project: ProjectName | None = None
    anomaly_labels_config: AnomalyLabels | None = None


class KeyInfo(Reply):
    """`api-key-info`: which project the key belongs to, its role and when it expires (ISO 8601)."""

    project_id: Integer | None = None
    role: str | None = None
    expires: str | None = None


class TrainingMetadata(Reply):
    """`training/.../metadata`: when the block was trained (ISO 8601)."""

    created: str | None = None


class JobStarted(Reply):
    """`jobs/classify`."""

    id: Integer | None = None


class JobState(Wire):
    """A job; `finishedSuccessful` is absent while it runs."""

    finished_successful: bool | None = None


class JobStatus(Reply):
    """`jobs/{jobId}/status`."""

    job: JobState | None = None


CLASSIFIERS = frozenset(
    {"keras", "keras-transfer-image", "keras-transfer-kws", "keras-akida", "keras-akida-transfer-image"}
)
DETECTORS = frozenset({"keras-object-detection", "keras-akida-object-detection"})
_OTHERS = {
    "keras-regression": BlockKind.REGRESSION,
    "anomaly": BlockKind.ANOMALY,
    "anomaly-gmm": BlockKind.ANOMALY,
    "keras-visual-anomaly": BlockKind.VISUAL_ANOMALY,
}


def kind_of(block_type: str | None, last_layers: Collection[str] = (), *, centroids: bool = False) -> BlockKind:
    """What a block gives.

    Args:
        block_type: Its documented type; types without documented scores are UNKNOWN.
        last_layers: `objectDetectionLastLayer` wherever it was sent. Every one but `fomo` is a detector of boxes.
        centroids: Whether it sent centroids in `debugInfoJson`, which says that it is FOMO where no last layer does.
    """
    if block_type in CLASSIFIERS:
        return BlockKind.CLASSIFICATION
    if block_type in DETECTORS:
        return BlockKind.FOMO if "fomo" in last_layers or (centroids and not last_layers) else BlockKind.DETECTION
    return _OTHERS.get(block_type or "", BlockKind.UNKNOWN)


def is_anomaly_type(block_type: str) -> bool:
    """Whether blocks of this type score anomalies, also where their scores are not documented (`keras-anomaly`)."""
    return "anomaly" in block_type


def structs(of: type[Wire] = Wire) -> Iterator[type[Wire]]:
    """All structs of this module."""
    for each in of.__subclasses__():
        yield each
        yield from structs(each)
