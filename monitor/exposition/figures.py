"""Metrics of a target's figures. Those of headline figures follow from their rows in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from monitor.exposition.metric import BOUNDS, Metric, Shown, Switch, Value, Values, block_labels, bound_of, figure, one
from monitor.figures.evaluation import Anomaly, Calibration, ClassFigures, Detection
from monitor.figures.headline import FIGURES, RATIO, HeadlineFigure, Reading

_BOUND = "{} bound of the 95 % interval of the {}, by the unit in use; absent where there are too few samples."


def _headline(name: str) -> Iterator[Metric]:
    """The metric of a headline figure, and those of its bounds where they are exported."""
    row = FIGURES[name]
    series = row.series
    unit = RATIO if row.is_ratio else ""
    yield figure(
        series.name, series.meaning, *series.labels, unit=unit, read=_readings(row, lambda reading: reading.value)
    )
    if series.bounds:
        for word, bound in BOUNDS:
            yield figure(
                f"{series.name}_{word.lower()}",
                _BOUND.format(word, series.bounds),
                *series.labels,
                unit=unit,
                read=_readings(row, bound_of(bound, lambda reading: reading.interval)),
            )


def _readings(row: HeadlineFigure, value: Callable[[Reading], float | None]) -> Callable[[Shown], Values]:
    return lambda shown: [(value(reading), reading.labels) for reading in row.readings(shown.evaluation)]


def _averages(shown: Shown) -> Iterator[Value]:
    for part in (shown.evaluation.quality, shown.evaluation.detection):
        if part is not None:
            for average, value in part.f1.items():
                yield value, (average,)


def _of_classes(value: Callable[[ClassFigures], float | None]) -> Callable[[Shown], Values]:
    """A figure of each class that is shown."""

    def read(shown: Shown) -> Iterator[Value]:
        classes = shown.evaluation.quality.classes if shown.evaluation.quality is not None else {}
        for name in shown.classes.names:
            if (figures := classes.get(name)) is not None:
                yield value(figures), (name,)

    return read


def _confusion(shown: Shown) -> Iterator[Value]:
    quality = shown.evaluation.quality
    classes = shown.classes
    if quality is not None:
        rows = set(classes.names)
        columns = {*classes.names, *classes.predictions}
        for (name, predicted), windows in quality.confusion.items():
            if name in rows and predicted in columns:
                yield windows, (name, predicted)


def _class_ap(shown: Shown) -> Iterator[Value]:
    if (detection := shown.evaluation.detection) is not None:
        for name in shown.classes.names:
            yield detection.class_ap.get(name), (name,)


def _of_calibration(value: Callable[[Calibration], float | None]) -> Callable[[Shown], Values]:
    return lambda shown: one(value(shown.evaluation.calibration)) if shown.evaluation.calibration else ()


def _of_detection(value: Callable[[Detection], float | None]) -> Callable[[Shown], Values]:
    return lambda shown: one(value(shown.evaluation.detection)) if shown.evaluation.detection else ()


def _of_blocks(value: Callable[[Anomaly], float | None]) -> Callable[[Shown], Values]:
    return lambda shown: [(value(each), block_labels(each.block)) for each in shown.evaluation.anomalies]


def _quantiles(shown: Shown) -> Iterator[Value]:
    for anomaly in shown.evaluation.anomalies:
        for q, value in anomaly.quantiles.items():
            yield value, (*block_labels(anomaly.block), q)


_OF_BLOCK = ("block_id", "block")

_CLASSES = (
    figure(
        "edge_impulse_f1_ratio",
        "F1 by how it is averaged: macro, weighted, micro, image, pooled; those that apply.",
        "average",
        unit="ratio",
        read=_averages,
    ),
    figure(
        "edge_impulse_class_precision_ratio",
        "Windows truly of the class of those predicted as it.",
        "class",
        unit="ratio",
        switch=Switch.CLASSES,
        read=_of_classes(lambda figures: figures.precision),
    ),
    figure(
        "edge_impulse_class_recall_ratio",
        "Windows predicted as the class of those truly of it.",
        "class",
        unit="ratio",
        switch=Switch.CLASSES,
        read=_of_classes(lambda figures: figures.recall),
    ),
    *(
        figure(
            f"edge_impulse_class_recall_ratio_{word.lower()}",
            _BOUND.format(word, "class's recall"),
            "class",
            unit="ratio",
            switch=Switch.CLASSES,
            read=_of_classes(bound_of(bound, lambda figures: figures.recall_interval)),
        )
        for word, bound in BOUNDS
    ),
    figure(
        "edge_impulse_class_f1_ratio",
        "Harmonic mean of the class's precision and recall.",
        "class",
        unit="ratio",
        switch=Switch.CLASSES,
        read=_of_classes(lambda figures: figures.f1),
    ),
    figure(
        "edge_impulse_class_windows",
        "Scored windows truly of the class.",
        "class",
        unit="windows",
        switch=Switch.CLASSES,
        read=_of_classes(lambda figures: figures.windows),
    ),
    figure(
        "edge_impulse_confusion_windows",
        "Scored windows by true class and predicted label; cells without windows are absent, as are classes beyond "
        "the configured limit.",
        "class",
        "predicted",
        unit="windows",
        switch=Switch.CONFUSION,
        read=_confusion,
    ),
)
_CONFIDENCES = (
    figure(
        FIGURES["calibration_error"].series.by_chance,
        "95 % point of the expected calibration error of this set if its confidences were true: what chance alone "
        "reaches.",
        unit="ratio",
        read=_of_calibration(lambda calibration: calibration.null_error),
    ),
    figure(
        "edge_impulse_calibration_error_debiased_ratio",
        "L2 calibration error less what chance adds to it, over the same bins; 0 for true confidences.",
        unit="ratio",
        read=_of_calibration(lambda calibration: calibration.debiased_error),
    ),
    figure(
        "edge_impulse_brier_score",
        "Multi-class Brier score of the confidences, 0 (perfect) to 2.",
        read=_of_calibration(lambda calibration: calibration.brier),
    ),
    figure(
        "edge_impulse_log_loss",
        "Mean negative logarithm of the true class's confidence; 0 is perfect.",
        read=_of_calibration(lambda calibration: calibration.log_loss),
    ),
)
_DETECTION = (
    figure(
        "edge_impulse_class_ap_ratio",
        "COCO average precision of the class at IoU 0.50:0.95.",
        "class",
        unit="ratio",
        switch=Switch.CLASSES,
        read=_class_ap,
    ),
    figure(
        "edge_impulse_mean_image_map_ratio",
        "Mean of Studio's own mAP of each image; not the mAP of the set. Never for FOMO.",
        unit="ratio",
        read=_of_detection(lambda detection: detection.mean_image_map),
    ),
    figure(
        "edge_impulse_images_passing_ratio",
        "Images that Studio calls correct: its object-detection accuracy, by the project's own limit. Where it does "
        "not say, images with a score of at least 0.8.",
        unit="ratio",
        read=_of_detection(lambda detection: detection.passing),
    ),
    figure(
        "edge_impulse_fomo_precision_ratio",
        "Right detections of all that FOMO made, pooled over all images; absent where one image's matching cannot be "
        "read.",
        unit="ratio",
        read=_of_detection(lambda detection: detection.precision),
    ),
    figure(
        "edge_impulse_fomo_recall_ratio",
        "Right detections of these and the objects that FOMO missed, pooled over all images; absent where one image's "
        "matching cannot be read.",
        unit="ratio",
        read=_of_detection(lambda detection: detection.recall),
    ),
    figure(
        "edge_impulse_empty_images",
        "Images with no object and no detection.",
        unit="images",
        read=_of_detection(lambda detection: detection.empty),
    ),
)
_SCORES = (
    figure(
        "edge_impulse_anomaly_score_mean",
        "Mean anomaly score of the windows; higher is worse.",
        *_OF_BLOCK,
        read=_of_blocks(lambda anomaly: anomaly.mean),
    ),
    figure(
        "edge_impulse_anomaly_score_stddev",
        "Standard deviation of the windows' anomaly scores.",
        *_OF_BLOCK,
        read=_of_blocks(lambda anomaly: anomaly.stddev),
    ),
    figure(
        "edge_impulse_anomaly_score_quantile",
        "Quantile q of the windows' anomaly scores.",
        *_OF_BLOCK,
        "q",
        read=_quantiles,
    ),
)
_FLAGS = (
    figure(
        "edge_impulse_anomaly_precision_ratio",
        "Truly anomalous windows of those flagged; absent without ground truth.",
        *_OF_BLOCK,
        unit="ratio",
        read=_of_blocks(lambda anomaly: anomaly.precision),
    ),
    figure(
        "edge_impulse_anomaly_recall_ratio",
        "Flagged windows of the truly anomalous ones; absent without ground truth.",
        *_OF_BLOCK,
        unit="ratio",
        read=_of_blocks(lambda anomaly: anomaly.recall),
    ),
    figure(
        "edge_impulse_anomaly_f1_ratio",
        "Harmonic mean of the block's precision and recall; absent without ground truth.",
        *_OF_BLOCK,
        unit="ratio",
        read=_of_blocks(lambda anomaly: anomaly.f1),
    ),
)

_ORDER: tuple[tuple[tuple[str, ...], tuple[Metric, ...]], ...] = (
    (("accuracy", "balanced_accuracy", "uncertain", "mean_f1"), _CLASSES),
    (("calibration_error",), _CONFIDENCES),
    (("map",), _DETECTION),
    (("mae", "mse", "r2"), _SCORES),
    (("anomaly_flagged", "anomaly_auroc"), _FLAGS),
)
"""Headline figures beside the others of their topic; those that stand nowhere here come last."""


def _in_order() -> Iterator[Metric]:
    for names, others in _ORDER:
        yield from _headlines(names)
        yield from others
    placed = set(chain.from_iterable(names for names, _ in _ORDER))
    yield from _headlines(name for name in FIGURES if name not in placed)


def _headlines(names: Iterable[str]) -> Iterator[Metric]:
    return chain.from_iterable(map(_headline, names))


METRICS = tuple(_in_order())
