"""Every metric once: name, type, labels, unit and meaning. A new metric is an entry here and its reading in `collector`
or `service`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from monitor.figures.evaluation import LEFT_OUT as LEFT_OUT_REASONS

TARGET_LABELS = ("project", "project_id", "impulse", "impulse_id", "variant", "category")
"""What every series of a target carries; the names are Studio's and may change, the ids, variant and category are
identity.
"""


class MetricType(StrEnum):
    """OpenMetrics' types; the text format shows `info` as a gauge."""

    GAUGE = "gauge"
    INFO = "info"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Scope(StrEnum):
    """What a series belongs to, which decides the labels it starts with and how long it stays."""

    PROJECT = "project"
    TARGET = "target"
    FIGURES = "figures"
    SERVICE = "service"


_SCOPE_LABELS = {
    Scope.PROJECT: ("project_id",),
    Scope.TARGET: TARGET_LABELS,
    Scope.FIGURES: TARGET_LABELS,
    Scope.SERVICE: (),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As a query names it, with `_total` and `_info`.
        type: Its type.
        scope: What it belongs to.
        meaning: A sentence in the operator's words.
        labels: Names of the labels beyond the scope's.
        unit: `seconds`, `ratio` (0..1), `bytes`, or what is counted; empty where the number has no unit, or the label's
            own.
    """

    name: str
    type: MetricType
    scope: Scope
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""

    @property
    def family(self) -> str:
        """The name of its OpenMetrics family: without the suffix that the type adds."""
        return self.name.removesuffix({MetricType.COUNTER: "_total", MetricType.INFO: "_info"}.get(self.type, ""))

    @property
    def family_unit(self) -> str:
        """The unit as OpenMetrics allows it: only where the family's name ends with it."""
        return self.unit if self.family.endswith(f"_{self.unit}") else ""

    @property
    def help(self) -> str:
        """The HELP text: the meaning, and for figures that they are cached between pulls."""
        return self.meaning + " Cached from the last good pull." if self.scope is Scope.FIGURES else self.meaning

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Names of all its labels, the scope's first."""
        return _SCOPE_LABELS[self.scope] + self.labels


class Row(NamedTuple):
    """A metric as people read it."""

    name: str
    type: str
    labels: tuple[str, ...]
    unit: str
    meaning: str


def _project(name: str, meaning: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name, MetricType.GAUGE, Scope.PROJECT, meaning, labels, unit)


def _target(name: str, meaning: str, *labels: str, unit: str = "", type: MetricType = MetricType.GAUGE) -> Metric:
    return Metric(name, type, Scope.TARGET, meaning, labels, unit)


def _figure(name: str, meaning: str, *labels: str, unit: str = "", type: MetricType = MetricType.GAUGE) -> Metric:
    return Metric(name, type, Scope.FIGURES, meaning, labels, unit)


def _service(type: MetricType, name: str, meaning: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name, type, Scope.SERVICE, meaning, labels, unit)


_BOUND = "{} bound of the 95 % interval of the {}, with the sample as its unit; absent where there are too few samples."


# A configured project, from the end of its first discovery on, whether or not a target is known.

PROJECT_UP = _project(
    "edge_impulse_project_up", "1 if the last discovery of the project's impulses and variants succeeded, else 0."
)
PROJECT_STATE = _project(
    "edge_impulse_project_state",
    "How the last discovery of the project ended: 1 for that state, 0 for the others.",
    "state",
)
API_KEY_EXPIRY = _project(
    "edge_impulse_api_key_expiry_timestamp_seconds",
    "Unix time when the project's API key expires; absent if it does not, or Studio does not say.",
    unit="seconds",
)

# A target, from the end of its first pull on, for as long as it is in the configuration.

TARGET_INFO = _target(
    "edge_impulse_target_info",
    "1, with the labels that the configuration gives the project beside the usual ones.",
    type=MetricType.INFO,
)
UP = _target(
    "edge_impulse_up",
    "1 if the last pull gave a result set, else 0; the figures are then those of the last good pull until they are "
    "stale.",
)
PULL_STATE = _target("edge_impulse_pull_state", "How the last pull ended: 1 for that state, 0 for the others.", "state")
LAST_PULL = _target(
    "edge_impulse_last_pull_timestamp_seconds", "Unix time when the last pull ended, good or not.", unit="seconds"
)
LAST_SUCCESS = _target(
    "edge_impulse_last_success_timestamp_seconds",
    "Unix time of the last good pull; absent before the first.",
    unit="seconds",
)
LAST_CHANGE = _target(
    "edge_impulse_last_change_timestamp_seconds",
    "Unix time of the pull whose result set last differed from the one before; absent until one did.",
    unit="seconds",
)

ALERT_THRESHOLD = _target(
    "edge_impulse_alert_threshold",
    "The value that an alert's rule compares the target's figure, or its change, with.",
    "alertname",
)
ALERTS = _target(
    "edge_impulse_alerts",
    "1 while an alert of the target, or of its project (then with project_id alone), is pending or firing.",
    "alertname",
    "severity",
    "alertstate",
)

# A target's figures, until they are older than `stale_after`. One that does not apply to the model is absent.

SAMPLES = _figure(
    "edge_impulse_samples", "Samples in the result set; a sample is one recording or image.", unit="samples"
)
WINDOWS = _figure("edge_impulse_windows", "Windows in the result set; a window is one prediction.", unit="windows")
UNSCORED_WINDOWS = _figure(
    "edge_impulse_unscored_windows", "Windows that could not be judged; no accuracy counts them.", unit="windows"
)
BLOCK_INFO = _figure(
    "edge_impulse_block_info",
    "1 for each learning block of the impulse.",
    "block_id",
    "block",
    "type",
    type=MetricType.INFO,
)
BLOCK_THRESHOLD = _figure(
    "edge_impulse_block_threshold",
    "Numeric threshold of a learning block, as set in Studio, such as min_score.",
    "block_id",
    "block",
    "key",
)
MODEL_TRAINED = _figure(
    "edge_impulse_model_trained_timestamp_seconds",
    "Unix time when the model was trained; absent where the API key may not read it.",
    unit="seconds",
)
IMPULSE_STALE = _figure(
    "edge_impulse_impulse_stale",
    "1 if the data set has changed since the impulse's features were generated, else 0; absent where the API key may "
    "not read it.",
)

ACCURACY = _figure(
    "edge_impulse_accuracy_ratio",
    "Correct windows of the scored ones: those that Studio calls correct, whatever the kind of model; for regression "
    "those within the "
    "block's tolerance.",
    unit="ratio",
)
ACCURACY_LOWER = _figure("edge_impulse_accuracy_ratio_lower", _BOUND.format("Lower", "accuracy"), unit="ratio")
ACCURACY_UPPER = _figure("edge_impulse_accuracy_ratio_upper", _BOUND.format("Upper", "accuracy"), unit="ratio")
BALANCED_ACCURACY = _figure("edge_impulse_balanced_accuracy_ratio", "Mean recall over the classes.", unit="ratio")
UNCERTAIN = _figure(
    "edge_impulse_uncertain_ratio",
    "Scored windows predicted `uncertain`: the best confidence was below the block's min_score.",
    unit="ratio",
)
MEAN_F1 = _figure(
    "edge_impulse_mean_f1_ratio",
    "The headline F1: the mean over classes; for detectors the mean over images.",
    unit="ratio",
)
MEAN_F1_LOWER = _figure("edge_impulse_mean_f1_ratio_lower", _BOUND.format("Lower", "mean F1"), unit="ratio")
MEAN_F1_UPPER = _figure("edge_impulse_mean_f1_ratio_upper", _BOUND.format("Upper", "mean F1"), unit="ratio")
F1 = _figure(
    "edge_impulse_f1_ratio",
    "F1 by how it is averaged: macro, weighted, micro, image, pooled; those that apply.",
    "average",
    unit="ratio",
)

CLASS_PRECISION = _figure(
    "edge_impulse_class_precision_ratio", "Windows truly of the class of those predicted as it.", "class", unit="ratio"
)
CLASS_RECALL = _figure(
    "edge_impulse_class_recall_ratio", "Windows predicted as the class of those truly of it.", "class", unit="ratio"
)
CLASS_F1 = _figure(
    "edge_impulse_class_f1_ratio", "Harmonic mean of the class's precision and recall.", "class", unit="ratio"
)
CLASS_WINDOWS = _figure("edge_impulse_class_windows", "Scored windows truly of the class.", "class", unit="windows")
CONFUSION = _figure(
    "edge_impulse_confusion_windows",
    "Scored windows by true class and predicted label; cells without windows are absent, as are classes beyond the "
    "configured limit.",
    "class",
    "predicted",
    unit="windows",
)

CALIBRATION_ERROR = _figure(
    "edge_impulse_calibration_error_ratio",
    "Expected calibration error: how far confidence and accuracy are apart, over 15 bins.",
    unit="ratio",
)
BRIER_SCORE = _figure("edge_impulse_brier_score", "Multi-class Brier score of the confidences, 0 (perfect) to 2.")
LOG_LOSS = _figure("edge_impulse_log_loss", "Mean negative logarithm of the true class's confidence; 0 is perfect.")

MAP = _figure(
    "edge_impulse_map_ratio",
    "COCO mAP of the whole set by IoU, recomputed from the boxes; moves with the size of the set.",
    "iou",
    unit="ratio",
)
MAP_LOWER = _figure("edge_impulse_map_ratio_lower", _BOUND.format("Lower", "mAP at IoU 0.50:0.95"), "iou", unit="ratio")
MAP_UPPER = _figure("edge_impulse_map_ratio_upper", _BOUND.format("Upper", "mAP at IoU 0.50:0.95"), "iou", unit="ratio")
CLASS_AP = _figure(
    "edge_impulse_class_ap_ratio", "COCO average precision of the class at IoU 0.50:0.95.", "class", unit="ratio"
)
MEAN_IMAGE_MAP = _figure(
    "edge_impulse_mean_image_map_ratio",
    "Mean of Studio's own mAP of each image; not the mAP of the set. Never for FOMO.",
    unit="ratio",
)
IMAGES_PASSING = _figure(
    "edge_impulse_images_passing_ratio",
    "Images that Studio calls correct: its object-detection accuracy, by the project's own limit. Where it does not "
    "say, images with a "
    "score of at least 0.8.",
    unit="ratio",
)
FOMO_PRECISION = _figure(
    "edge_impulse_fomo_precision_ratio",
    "Right detections of all that FOMO made, pooled over all images; absent where one image's matching cannot be read.",
    unit="ratio",
)
FOMO_RECALL = _figure(
    "edge_impulse_fomo_recall_ratio",
    "Right detections of these and the objects that FOMO missed, pooled over all images; absent where one image's "
    "matching cannot be read.",
    unit="ratio",
)
EMPTY_IMAGES = _figure("edge_impulse_empty_images", "Images with no object and no detection.", unit="images")

MEAN_ABSOLUTE_ERROR = _figure("edge_impulse_mean_absolute_error", "Mean absolute error, in the label's own unit.")
MEAN_SQUARED_ERROR = _figure(
    "edge_impulse_mean_squared_error", "Mean squared error, in the square of the label's own unit."
)
R2 = _figure("edge_impulse_r2", "Coefficient of determination, at most 1; absent where the labels do not vary.")

ANOMALY_MEAN = _figure(
    "edge_impulse_anomaly_score_mean", "Mean anomaly score of the windows; higher is worse.", "block_id", "block"
)
ANOMALY_STDDEV = _figure(
    "edge_impulse_anomaly_score_stddev", "Standard deviation of the windows' anomaly scores.", "block_id", "block"
)
ANOMALY_QUANTILE = _figure(
    "edge_impulse_anomaly_score_quantile", "Quantile q of the windows' anomaly scores.", "block_id", "block", "q"
)
ANOMALY_FLAGGED = _figure(
    "edge_impulse_anomaly_flagged_ratio",
    "Windows whose anomaly score is above the block's threshold.",
    "block_id",
    "block",
    unit="ratio",
)
ANOMALY_AUROC = _figure(
    "edge_impulse_anomaly_auroc_ratio",
    "Chance that an anomalous window scores above a normal one; absent without ground truth of both kinds.",
    "block_id",
    "block",
    unit="ratio",
)
ANOMALY_PRECISION = _figure(
    "edge_impulse_anomaly_precision_ratio",
    "Truly anomalous windows of those flagged; absent without ground truth.",
    "block_id",
    "block",
    unit="ratio",
)
ANOMALY_RECALL = _figure(
    "edge_impulse_anomaly_recall_ratio",
    "Flagged windows of the truly anomalous ones; absent without ground truth.",
    "block_id",
    "block",
    unit="ratio",
)
ANOMALY_F1 = _figure(
    "edge_impulse_anomaly_f1_ratio",
    "Harmonic mean of the block's precision and recall; absent without ground truth.",
    "block_id",
    "block",
    unit="ratio",
)

ANOMALY_DRIFT = _figure(
    "edge_impulse_anomaly_drift",
    "How far the samples' anomaly scores are from the baseline's: ks, psi, wasserstein or js, in total, on the same "
    "samples under both "
    "models (model), and of new samples under one model (data); 0 is no drift.",
    "block_id",
    "block",
    "statistic",
    "cause",
)
ANOMALY_DRIFT_PVALUE = _figure(
    "edge_impulse_anomaly_drift_pvalue",
    "How likely such scores are if nothing drifted, for one decision; that of the model is taken once per model. "
    "Absent with too few samples.",
    "block_id",
    "block",
    "cause",
)
ANOMALY_DRIFT_EVIDENCE = _figure(
    "edge_impulse_anomaly_drift_evidence",
    "log10 of the test martingale over the samples that came since the baseline; may be looked at as often as you "
    "like, "
    "2 is the default alarm.",
    "block_id",
    "block",
)
COMPARISON_INSUFFICIENT = _figure(
    "edge_impulse_comparison_insufficient",
    "1 while there are too few samples for a verdict on the block's drift, else 0.",
    "block_id",
    "block",
)
CHANGE = _figure(
    "edge_impulse_change_ratio",
    "Change of the metric since the baseline, in total and by cause: model, labels, thresholds, added and removed "
    "samples, which add up "
    "to the total; labels or thresholds are absent where they cannot be told from the model, which then holds them.",
    "metric",
    "cause",
    unit="ratio",
)
CHANGE_PVALUE = _figure(
    "edge_impulse_change_pvalue",
    "How likely a change at least as large is by the choice of samples alone: in total and of model, added and "
    "removed; "
    "absent where not tested.",
    "metric",
    "cause",
)
PREDICTION_DRIFT = _figure(
    "edge_impulse_prediction_drift",
    "How far the mix of predicted classes is from the baseline's: psi or js; 0 is no drift.",
    "statistic",
)
BASELINE_TIMESTAMP = _figure(
    "edge_impulse_baseline_timestamp_seconds",
    "Unix time of the run that the comparison is made with; absent without a baseline.",
    unit="seconds",
)
BASELINE_VALUE = _figure(
    "edge_impulse_baseline_value", "The metric's value in the baseline, in the metric's own unit.", "metric"
)

SLICE_ACCURACY = _figure(
    "edge_impulse_slice_accuracy_ratio",
    "Accuracy over the samples that share a value of a configured slice.",
    "slice",
    "value",
    unit="ratio",
)
SLICE_WINDOWS = _figure(
    "edge_impulse_slice_windows",
    "Scored windows of the samples that share a value of a configured slice.",
    "slice",
    "value",
    unit="windows",
)
LEFT_OUT = _figure(
    "edge_impulse_left_out",
    f"How many things the figures could not count or the limits cut off, by reason ({', '.join(LEFT_OUT_REASONS)}); a "
    "reason with none "
    "is absent.",
    "reason",
)

# The service itself.

BUILD_INFO = _service(
    MetricType.INFO,
    "impulse_monitor_build_info",
    "1, with the versions of the monitor and of Python.",
    "version",
    "python",
)
TARGETS = _service(MetricType.GAUGE, "impulse_monitor_targets", "Targets that are being watched.")
RELOAD_SUCCESSFUL = _service(
    MetricType.GAUGE,
    "impulse_monitor_config_last_reload_successful",
    "1 if the configuration was valid when last read; 0 if it was not, and the one before is running.",
)
RELOAD_SUCCESS_TIMESTAMP = _service(
    MetricType.GAUGE,
    "impulse_monitor_config_last_reload_success_timestamp_seconds",
    "Unix time when a valid configuration was last taken over.",
    unit="seconds",
)
PULLS = _service(MetricType.COUNTER, "impulse_monitor_pulls_total", "Pulls that ended, by outcome.", "outcome")
PULL_DURATION = _service(
    MetricType.HISTOGRAM, "impulse_monitor_pull_duration_seconds", "How long pulls took, good or not.", unit="seconds"
)
PULLS_SKIPPED = _service(
    MetricType.COUNTER,
    "impulse_monitor_pulls_skipped_total",
    "Scheduled runs that did not start: overlap (the one before was still running) or missed (its time had passed).",
    "reason",
)
STUDIO_REQUESTS = _service(
    MetricType.COUNTER,
    "impulse_monitor_studio_requests_total",
    "Requests to Studio by call and HTTP status; code is timeout or error where there was none.",
    "call",
    "code",
)
STUDIO_REQUEST_DURATION = _service(
    MetricType.HISTOGRAM,
    "impulse_monitor_studio_request_duration_seconds",
    "How long requests to Studio took, the reply's body included.",
    unit="seconds",
)
STUDIO_RETRIES = _service(
    MetricType.COUNTER,
    "impulse_monitor_studio_retries_total",
    "Requests sent again and pulls started again (changed), by reason.",
    "reason",
)
RECEIVED_BYTES = _service(
    MetricType.COUNTER,
    "impulse_monitor_received_bytes_total",
    "Bytes of the bodies of Studio's replies, after decompression.",
    unit="bytes",
)
UNKNOWN_VALUES = _service(
    MetricType.COUNTER,
    "impulse_monitor_unknown_values_total",
    "Values in Studio's replies that this version does not know and skipped, by field.",
    "field",
)
STORE_UP = _service(
    MetricType.GAUGE,
    "impulse_monitor_store_up",
    "1 if the store of runs could be used at the last access, else 0: pulls go on, comparisons and alerts wait.",
)
NOTIFICATIONS = _service(
    MetricType.COUNTER,
    "impulse_monitor_notifications_total",
    "Attempts to notify a receiver: delivered, failed (tried again), rejected (refused for good) or dropped (too many "
    "waited).",
    "receiver",
    "outcome",
)
NOTIFICATION_QUEUE = _service(
    MetricType.GAUGE,
    "impulse_monitor_notification_queue_length",
    "Notifications that wait for a receiver, as of the last look into its queue; 0 while none does.",
    "receiver",
)
CERTIFICATE_EXPIRY = _service(
    MetricType.GAUGE,
    "impulse_monitor_certificate_expiry_timestamp_seconds",
    "Unix time when the first certificate of the chain that the service itself is served with expires; absent without "
    "TLS.",
    unit="seconds",
)
EVENT_LOOP_LAG = _service(
    MetricType.GAUGE,
    "impulse_monitor_event_loop_lag_seconds",
    "By how much the event loop was late, at the worst, between the last two heartbeats.",
    unit="seconds",
)
SCHEDULER_HEARTBEAT = _service(
    MetricType.GAUGE,
    "impulse_monitor_scheduler_heartbeat_timestamp_seconds",
    "Unix time of the scheduler's last heartbeat; standing still means that nothing is pulled any more.",
    unit="seconds",
)

SHARD_INFO = _service(
    MetricType.INFO,
    "impulse_monitor_shard_info",
    "1, with the shard of the targets that this process watches.",
    "index",
    "total",
)

METRICS: tuple[Metric, ...] = tuple(entry for entry in list(globals().values()) if isinstance(entry, Metric))
"""The catalogue: every entry above, in this order. Exposition and documentation follow it."""


def describe() -> list[Row]:
    """The catalogue as a table, one row per metric with all its labels."""
    return [Row(metric.name, metric.type.value, metric.all_labels, metric.unit, metric.meaning) for metric in METRICS]
