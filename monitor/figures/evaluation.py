"""What `evaluate` finds out about a result set: plain values, computed once, never changed.

None, an absent entry or an empty mapping means that a figure does not apply or is not known; nothing unknown is 0.
Every ratio is 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.figures.groups import AUTO, UnitChoice
from monitor.results import Block

LEFT_OUT = (
    "no_dimensions",
    "non_finite_score",
    "unparsable",
    "no_confidences",
    "too_many_classes",
    "unreadable_image",
    "no_score",
    "class_cap",
    "slice_cap",
    "unknown_block",
)
"""All reasons for which something is left out of a figure."""

FIGURES_VERSION = 3
"""Of the formulas of all figures, comparisons and causes. Raised, once per release, where one of them gives another
value for the same result set: what is stored of a baseline is then computed again before anything is compared with
it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, lower and upper bound."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Precision, recall and F1 (0 for 0/0) of one class, how many scored windows truly are of it, and bounds of the
    recall.
    """

    precision: float
    recall: float
    f1: float
    windows: int
    recall_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of a classifier over its scored windows.

    Attributes:
        accuracy: Correct / scored.
        balanced_accuracy: Mean recall over the classes with support.
        mean_f1: Macro F1, the headline.
        f1: F1 by averaging (`macro`, `weighted`, `micro`).
        uncertain: Share of scored windows predicted `uncertain`.
        classes: Per class, classes being the true labels that occur, sorted.
        confusion: Windows by (true class, predicted label), only counts above 0, of all classes and predictions.
        accuracy_interval, mean_f1_interval: 95 % bounds by the unit in use; None where too few samples.
    """

    accuracy: float
    balanced_accuracy: float
    mean_f1: float
    f1: Mapping[str, float]
    uncertain: float
    classes: Mapping[str, ClassFigures]
    confusion: Mapping[tuple[str, str], int]
    accuracy_interval: Interval | None = None
    mean_f1_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class StudioVerdict:
    """How many windows Studio calls correct (`predictionCorrect`): the accuracy of models that have none of our making.

    Attributes:
        accuracy: Correct / scored.
        windows: How many are scored.
        accuracy_interval: 95 % bounds by the unit in use; None where too few samples.
    """

    accuracy: float
    windows: int
    accuracy_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a classifier's confidences are calibrated.

    Attributes:
        expected_error: Expected calibration error (L1).
        brier, log_loss: Brier score, log loss.
        null_error: The 95 % point of `expected_error` if the confidences were true; None where it was not drawn.
        debiased_error: L2 calibration error less what chance adds to it; None where no bin has two windows.
    """

    expected_error: float
    brier: float
    log_loss: float
    null_error: float | None = None
    debiased_error: float | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Figures of an object detector.

    Attributes:
        map: COCO mAP of the whole set by IoU (`0.50:0.95`, `0.50`, `0.75`); empty for FOMO or where truth has no boxes.
        class_ap: COCO AP per class, 0.50:0.95.
        map_interval: Bounds of the mAP at 0.50:0.95.
        mean_image_map: Mean of Studio's per-image mAP; None for FOMO.
        mean_f1: Mean over images of the F1, for boxes as reported; None where none is known.
        mean_f1_interval: Its bounds.
        f1: F1 by averaging (`image`, and for FOMO `pooled`).
        precision, recall: FOMO's, pooled over all images; None, like the pooled F1, where an image's counts are not
            known.
        passing: Share of the scored images that Studio calls correct; where it says so of none, of those with a score
            of at least 0.8.
        empty: Images with no object and no detection.
        passing_by_score: Whether `passing` is by that score, not by Studio's verdict.
    """

    map: Mapping[str, float] = field(default_factory=dict)
    class_ap: Mapping[str, float] = field(default_factory=dict)
    map_interval: Interval | None = None
    mean_image_map: float | None = None
    mean_f1: float | None = None
    mean_f1_interval: Interval | None = None
    f1: Mapping[str, float] = field(default_factory=dict)
    precision: float | None = None
    recall: float | None = None
    passing: float | None = None
    empty: int | None = None
    passing_by_score: bool = True  # so it is in documents of releases that knew no other way


@dataclass(frozen=True, slots=True)
class Regression:
    """Figures of a regression block: errors in the label's unit, R² (None where the labels do not vary), and the share
    within the tolerance (None where the block has none).
    """

    mean_absolute_error: float
    mean_squared_error: float
    r2: float | None
    within_tolerance: float | None
    mean_absolute_error_interval: Interval | None = None
    within_tolerance_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Window scores of one anomaly block, and its verdicts against ground truth where there is one.

    Attributes:
        block: The block.
        mean, stddev: Of the finite scores (ddof 1; None for one score, and where it is beyond the largest float).
        quantiles: By `0.5`, `0.9`, `0.99`.
        flagged: Share of scores above the block's threshold; None without a threshold.
        auroc, precision, recall, f1: Against ground truth; None where there is none (or one class only, for auroc).
        flagged_interval, auroc_interval: Bounds of `flagged` and `auroc`.
    """

    block: Block
    mean: float
    stddev: float | None
    quantiles: Mapping[str, float]
    flagged: float | None = None
    auroc: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    flagged_interval: Interval | None = None
    auroc_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Accuracy and scored windows of the samples that share one value of a slice key."""

    accuracy: float
    windows: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything known about one result set.

    Attributes:
        samples, windows, unscored: Size of the set; `unscored` counts windows that no accuracy counts.
        blocks: Its learning blocks.
        quality, calibration, detection, regression: By kind of model; None where the model is not of that kind.
        anomalies: One per anomaly block.
        slices: By (slice, value).
        left_out: What figures could not count, by reason (`LEFT_OUT`).
        studio: Accuracy by Studio's verdict, where neither `quality` nor `regression` has one.
        units: By statistic, what the bounds take as independent: the baseline's choice, or the set's own; empty where
            grouping is switched off.
        group_by: Which samples came together, as `groups_of` takes it.
        sketch: Which samples the set holds, as `sketch` tells; empty where that is not known.
    """

    samples: int
    windows: int
    unscored: int
    blocks: tuple[Block, ...]
    quality: Quality | None = None
    calibration: Calibration | None = None
    detection: Detection | None = None
    regression: Regression | None = None
    anomalies: tuple[Anomaly, ...] = ()
    slices: Mapping[tuple[str, str], Slice] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    studio: StudioVerdict | None = None
    units: Mapping[str, UnitChoice] = field(default_factory=dict)
    group_by: str = AUTO
    sketch: tuple[int, ...] = ()
