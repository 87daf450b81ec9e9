"""The documented shape of results: the page of the vendor's documentation, field by field.

What only newer servers send stands apart in each struct, under its comment.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from monitor.simulator.shape_base import LearnBlock, Number, Reply, Strict


class Sensor(Strict):
    """One axis."""

    name: str
    units: str


class PixelBox(Strict):
    """A labelled box, in pixels."""

    label: str
    x: int
    y: int
    width: int
    height: int


class ScoredBox(Strict):
    """A predicted box, in shares of the image."""

    label: str
    x: Number
    y: Number
    width: Number
    height: Number
    score: Number


class KeyValues(Strict):
    """A label map."""

    type: Literal["key-values"]
    labels: dict[str, str]


class StructuredLabel(Strict):
    """A label for a range of indices, both inclusive."""

    start_index: int
    end_index: int
    label: str
    # newer
    label_map: KeyValues | None = None


class Dimensions(Strict):
    """Pixels."""

    width: int
    height: int


class Sample(Strict):
    """A whole sample, as every result repeats it."""

    id: int
    filename: str
    signature_validate: bool
    created: datetime
    last_modified: datetime
    category: Literal["training", "testing", "validation", "post-processing"]
    coldstorage_filename: str
    label: str
    interval_ms: Number
    frequency: Number
    original_interval_ms: Number
    original_frequency: Number
    device_type: str
    sensors: list[Sensor]
    values_count: int
    added: datetime
    bounding_boxes: list[PixelBox]
    bounding_boxes_type: Literal["object_detection", "constrained_object_detection"]
    chart_type: Literal["chart", "image", "video", "table"]
    is_disabled: bool
    is_processing: bool
    processing_error: bool
    is_cropped: bool
    project_id: int
    sha256_hash: str = msgspec.field(name="sha256Hash")
    signature_method: str | None = None
    signature_key: str | None = None
    device_name: str | None = None
    total_length_ms: Number | None = None
    thumbnail_video: str | None = None
    thumbnail_video_full: str | None = None
    processing_job_id: int | None = None
    processing_error_string: str | None = None
    metadata: dict[str, str] | None = None
    project_owner_name: str | None = None
    project_name: str | None = None
    project_labeling_method: Literal["single_label", "object_detection", "label_map"] | None = None
    structured_labels: list[StructuredLabel] | None = None
    structured_labels_list: list[str] | None = None
    created_by_synthetic_data_job_id: int | None = None
    image_dimensions: Dimensions | None = None
    video_url: str | None = None
    video_url_full: str | None = None
    # newer
    label_map: KeyValues | None = None


class Threshold(Strict):
    """A configurable threshold."""

    key: str
    description: str
    help_text: str
    value: Number | str
    suggested_value: Number | None = None
    suggested_value_text: str | None = None


class AnomalyImage(Strict):
    """Visual anomaly, one window."""

    boxes: list[ScoredBox] | None = None
    scores: list[list[Number]] | None = None
    mean_score: Number | None = None
    max_score: Number | None = None


class StructuredResult(Strict):
    """Object detection, one window. Box detectors may lack f1, precision and recall."""

    boxes: list[list[Number]]
    scores: list[Number]
    mean_ap: Number = msgspec.field(name="mAP")
    f1: Number | None = None
    precision: Number | None = None
    recall: Number | None = None
    labels: list[str] | None = None
    debug_info_json: str | None = None


class Details(Strict):
    """Object detection, one window; labels are class numbers."""

    boxes: list[list[Number]] | None = None
    labels: list[Number] | None = None
    scores: list[Number] | None = None
    mean_ap: Number | None = msgspec.field(name="mAP", default=None)
    f1: Number | None = None


class Classification(Strict):
    """What one block gave for one sample; lists have an item per window."""

    learn_block: LearnBlock
    result: list[dict[str, Number]]
    minimum_confidence_rating: Number
    expected_labels: list[StructuredLabel]
    thresholds: list[Threshold] | None = None
    anomaly_result: list[AnomalyImage] | None = None
    structured_result: list[StructuredResult] | None = None
    details: list[Details] | None = None
    object_detection_last_layer: str | None = None
    # newer
    interval_ms: Number | None = None
    frequency_hz: Number | None = None
    result_count: int | None = None
    is_multi_label: bool | None = None
    expected_anomaly_outcome: list[StructuredLabel] | None = None
    label_map_result: list[dict[str, str]] | None = None
    label_map_scores: list[dict[str, Number]] | None = None


class Result(Strict):
    """One sample with what each block gave for it."""

    sample_id: int
    sample: Sample
    classifications: list[Classification]


class Prediction(Strict):
    """One window."""

    sample_id: int
    start_ms: Number
    end_ms: Number
    prediction: str
    label: str | None = None
    prediction_correct: bool | None = None
    f1_score: Number | None = None
    anomaly_scores: list[list[Number]] | None = None
    bounding_boxes: list[ScoredBox] | None = None
    # newer
    expected_anomaly_outcome: Literal["anomaly", "no anomaly"] | None = None
    label_map_predictions: dict[str, str] | None = None


class Page(Reply, kw_only=True):
    """`classify/all/result/page`; `total_count` is absent from older servers."""

    result: list[Result]
    predictions: list[Prediction]
    total_count: int | None = None


class Summary(Strict):
    """Windows by Studio's verdict."""

    good: int
    bad: int


class Accuracy(Strict):
    """Studio's own figures."""

    total_summary: Summary
    summary_per_class: dict[str, Summary]
    confusion_matrix_values: dict[str, dict[str, Number]]
    all_labels: list[str]
    accuracy_score: Number | None = None
    balanced_accuracy_score: Number | None = None
    anomaly_accuracy_score: Number | None = None
    no_anomaly_accuracy_score: Number | None = None
    mse_score: Number | None = None


class Metric(Strict):
    """One of a block's further figures."""

    name: str
    value: str
    full_precision_value: Number
    tooltip_text: str | None = None
    link: str | None = None


class BlockMetrics(Strict):
    """A block's further figures."""

    learn_block_id: int
    learn_block_name: str
    additional_metrics: list[Metric]


class AllResults(Reply, kw_only=True):
    """`classify/all/result`."""

    result: list[Result]
    predictions: list[Prediction]
    accuracy: Accuracy
    additional_metrics_by_learn_block: list[BlockMetrics]
    available_variants: list[Literal["int8", "float32", "akida"]]
    no_results_because_thresholds_changed: Literal["can_regenerate_model_summary", "should_rerun_full_job"] | None = (
        None
    )


class Centroid(msgspec.Struct, forbid_unknown_fields=True):
    """A centroid in `debugInfoJson`, in shares of the image; classes count from 1."""

    x: Number
    y: Number
    label: int


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """A prediction and the truth it was given to."""

    yp: int
    yt: int
    label: int
    distance: Number


class DebugInfo(msgspec.Struct, forbid_unknown_fields=True):
    """FOMO's `debugInfoJson`; an image with nothing on it and nothing found has neither `y_trues` nor `y_preds`."""

    assignments: list[Assignment]
    normalised_min_distance: Number
    all_pairwise_distances: list[tuple[int, int, Number]]
    unassigned_y_true_idxs: list[int]
    unassigned_y_pred_idxs: list[int]
    y_trues: list[Centroid] | None = None
    y_preds: list[Centroid] | None = None
