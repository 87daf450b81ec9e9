"""`SnapshotCollector`: from the snapshots that there are to metric families, anew at each scrape."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping

import prometheus_client
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from monitor.alerts.states import Phase
from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.exposition import catalogue as m
from monitor.exposition.catalogue import Metric, Scope
from monitor.figures.evaluation import Anomaly, Calibration, Detection, Evaluation, Interval, Quality, Regression
from monitor.figures.headline import headlines
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot
from monitor.results import Block
from monitor.targets import Target
from monitor.text import shown

Reading = tuple[Metric, float | None, tuple[str, ...]]
"""A metric, its value (None: absent) and the values of its own labels."""


def family(metric: Metric) -> prometheus_client.Metric:
    """The empty metric family of a catalogue entry."""
    return prometheus_client.Metric(metric.family, metric.help, metric.type, metric.family_unit)


class SnapshotCollector(Collector):
    """Everything that is watched, as metric families in the catalogue's order; families without a series are left out.

    Args:
        live: What is known right now; read in whatever thread renders, never written.
        class_limit: How many classes of a target get series of their own, most supported first. `edge_impulse_left_out`
            counts the labels cut off as `class_cap`.
        clock: Unix time in seconds; decides which figures are stale.
    """

    def __init__(self, live: Live, *, class_limit: int = 30, clock: Callable[[], float] = time.time) -> None:
        self._live, self._class_limit, self._clock = live, class_limit, clock

    def collect(self) -> Iterable[prometheus_client.Metric]:
        """The families of one scrape."""
        now = self._clock()
        families = {metric: family(metric) for metric in m.METRICS if metric.scope is not Scope.SERVICE}

        def add(readings: Iterable[Reading], common: Mapping[str, str]) -> None:
            for metric, value, labels in readings:
                if value is not None and math.isfinite(value):
                    own = {name: _label(text) for name, text in zip(metric.labels, labels, strict=True)}
                    families[metric].samples.append(Sample(metric.name, {**common, **own}, float(value)))

        # The loop may replace entries meanwhile; a dictionary's copy() is one step under the interpreter's lock.
        for status in self._live.projects.values():
            add(_project(status), {"project_id": str(status.project_id)})
        for snapshot in self._live.snapshots.values():
            labels = _target_labels(snapshot.target)
            # Prometheus takes an absent label for an empty one, so projects with different labels can share the family.
            add(
                [(m.TARGET_INFO, 1, ())], {name: _label(text) for name, text in snapshot.target.labels.items()} | labels
            )
            add(_pull(snapshot), labels)
            if snapshot.evaluation is not None and snapshot.fresh(now):
                add(_model(snapshot), labels)
                add(_figures(snapshot.evaluation, self._class_limit), labels)
                if snapshot.comparison is not None:
                    add(_comparison(snapshot.comparison), labels)
        targets = self._live.targets.copy()
        for (name, target_id), alert in self._live.alerts.items():
            if alert.phase in (Phase.PENDING, Phase.FIRING):
                target = targets.get(target_id)
                project = {"project_id": target_id.removeprefix("project-")}  # of an alert that is not about a target
                add(
                    [(m.ALERTS, 1, (name, alert.severity, alert.phase))],
                    project if target is None else _target_labels(target.target),
                )
        for target in targets.values():
            add(
                ((m.ALERT_THRESHOLD, value, (name,)) for name, value in target.thresholds.items()),
                _target_labels(target.target),
            )
        return [shown for shown in families.values() if shown.samples]


def _target_labels(target: Target) -> dict[str, str]:
    key = target.key
    values = (target.project, str(key.project_id), target.impulse, str(key.impulse_id), key.variant, key.category)
    return {name: _label(text) for name, text in zip(m.TARGET_LABELS, values, strict=True)}


def _label(text: str) -> str:
    """`text`, bounded, without lone surrogates: one of them in one name would make the whole exposition impossible to
    encode.
    """
    return shown(text).encode("utf-8", "replace").decode("utf-8")


def _one_hot(metric: Metric, state: PullState) -> Iterator[Reading]:
    for each in PullState:
        yield metric, each is state, (each.value,)


def _project(status: ProjectStatus) -> Iterator[Reading]:
    if status.state is not None:
        yield m.PROJECT_UP, status.state is PullState.OK, ()
        yield from _one_hot(m.PROJECT_STATE, status.state)
    yield m.API_KEY_EXPIRY, status.key_expires, ()


def _pull(snapshot: Snapshot) -> Iterator[Reading]:
    yield m.UP, snapshot.state is PullState.OK, ()
    yield from _one_hot(m.PULL_STATE, snapshot.state)
    yield m.LAST_PULL, snapshot.last_pull, ()
    yield m.LAST_SUCCESS, snapshot.last_success, ()
    yield m.LAST_CHANGE, snapshot.last_change, ()


def _model(snapshot: Snapshot) -> Iterator[Reading]:
    yield m.MODEL_TRAINED, snapshot.trained, ()
    yield m.IMPULSE_STALE, snapshot.impulse_stale, ()


def _figures(evaluation: Evaluation, class_limit: int) -> Iterator[Reading]:
    yield m.SAMPLES, evaluation.samples, ()
    yield m.WINDOWS, evaluation.windows, ()
    yield m.UNSCORED_WINDOWS, evaluation.unscored, ()
    for block in evaluation.blocks:
        yield m.BLOCK_INFO, 1, (*_block(block), block.type)
        for key, value in block.thresholds.items():
            yield m.BLOCK_THRESHOLD, value, (*_block(block), key)
    yield from _headline(evaluation)
    if evaluation.quality is not None:
        yield from _quality(evaluation.quality)
    if evaluation.calibration is not None:
        yield from _calibration(evaluation.calibration)
    if evaluation.detection is not None:
        yield from _detection(evaluation.detection)
    if evaluation.regression is not None:
        yield from _regression(evaluation.regression)
    for anomaly in evaluation.anomalies:
        yield from _anomaly(anomaly)
    for of, part in evaluation.slices.items():
        yield m.SLICE_ACCURACY, part.accuracy, of
        yield m.SLICE_WINDOWS, part.windows, of
    cut = yield from _classes(evaluation, class_limit)
    left_out = Counter(evaluation.left_out)
    left_out["class_cap"] += cut
    for reason, count in sorted(left_out.items()):
        yield m.LEFT_OUT, count or None, (reason,)


def _headline(evaluation: Evaluation) -> Iterator[Reading]:
    """Accuracy and mean F1, which several kinds of model have: one series each, as rules and pages know them."""
    found = headlines(evaluation)
    for name, point, lower, upper in (
        ("accuracy", m.ACCURACY, m.ACCURACY_LOWER, m.ACCURACY_UPPER),
        ("mean_f1", m.MEAN_F1, m.MEAN_F1_LOWER, m.MEAN_F1_UPPER),
    ):
        if (figure := found.get(name)) is not None:
            yield point, figure.value, ()
            yield from _bounds(lower, upper, figure.interval)


def _bounds(lower: Metric, upper: Metric, interval: Interval | None, *labels: str) -> Iterator[Reading]:
    if interval is not None:
        yield lower, interval.lower, labels
        yield upper, interval.upper, labels


def _quality(quality: Quality) -> Iterator[Reading]:
    yield m.BALANCED_ACCURACY, quality.balanced_accuracy, ()
    yield m.UNCERTAIN, quality.uncertain, ()
    for average, value in quality.f1.items():
        yield m.F1, value, (average,)


def _calibration(calibration: Calibration) -> Iterator[Reading]:
    yield m.CALIBRATION_ERROR, calibration.expected_error, ()
    yield m.BRIER_SCORE, calibration.brier, ()
    yield m.LOG_LOSS, calibration.log_loss, ()


def _detection(detection: Detection) -> Iterator[Reading]:
    for iou, value in detection.map.items():
        yield m.MAP, value, (iou,)
    yield from _bounds(m.MAP_LOWER, m.MAP_UPPER, detection.map_interval, "0.50:0.95")
    yield m.MEAN_IMAGE_MAP, detection.mean_image_map, ()
    for average, value in detection.f1.items():
        yield m.F1, value, (average,)
    yield m.IMAGES_PASSING, detection.passing, ()
    yield m.FOMO_PRECISION, detection.precision, ()
    yield m.FOMO_RECALL, detection.recall, ()
    yield m.EMPTY_IMAGES, detection.empty, ()


def _regression(regression: Regression) -> Iterator[Reading]:
    yield m.MEAN_ABSOLUTE_ERROR, regression.mean_absolute_error, ()
    yield m.MEAN_SQUARED_ERROR, regression.mean_squared_error, ()
    yield m.R2, regression.r2, ()


def _anomaly(anomaly: Anomaly) -> Iterator[Reading]:
    block = _block(anomaly.block)
    yield m.ANOMALY_MEAN, anomaly.mean, block
    yield m.ANOMALY_STDDEV, anomaly.stddev, block
    for q, value in anomaly.quantiles.items():
        yield m.ANOMALY_QUANTILE, value, (*block, q)
    yield m.ANOMALY_FLAGGED, anomaly.flagged, block
    yield m.ANOMALY_AUROC, anomaly.auroc, block
    yield m.ANOMALY_PRECISION, anomaly.precision, block
    yield m.ANOMALY_RECALL, anomaly.recall, block
    yield m.ANOMALY_F1, anomaly.f1, block


def _comparison(comparison: Comparison) -> Iterator[Reading]:
    yield m.BASELINE_TIMESTAMP, comparison.baseline.timestamp, ()
    for metric, value in comparison.baseline.values.items():
        yield m.BASELINE_VALUE, value, (metric,)
    for change in comparison.changes:
        for cause, value in change.causes.items():
            yield m.CHANGE, value, (change.metric, cause)
        for cause, pvalue in change.pvalues.items():
            yield m.CHANGE_PVALUE, pvalue, (change.metric, cause)
    for drift in comparison.drifts:
        block = _block(drift.block)
        for cause, distances in drift.distances.items():
            for statistic in ("ks", "psi", "wasserstein", "js"):
                yield m.ANOMALY_DRIFT, getattr(distances, statistic), (*block, statistic, cause)
        for cause, pvalue in drift.pvalues.items():
            yield m.ANOMALY_DRIFT_PVALUE, pvalue, (*block, cause)
        yield m.ANOMALY_DRIFT_EVIDENCE, drift.evidence, block
        yield m.COMPARISON_INSUFFICIENT, drift.insufficient, block
    for statistic, value in comparison.predictions.items():
        yield m.PREDICTION_DRIFT, value, (statistic,)


def _block(block: Block) -> tuple[str, str]:
    return str(block.id), block.name


def _classes(evaluation: Evaluation, limit: int) -> Generator[Reading, None, int]:
    """Series per class within the limit; returns how many labels it cut off.

    Predictions that are no class (`uncertain`, labels never true) are limited by themselves, most frequent first.
    """
    classes = evaluation.quality.classes if evaluation.quality is not None else {}
    class_ap = evaluation.detection.class_ap if evaluation.detection is not None else {}
    confusion = evaluation.quality.confusion if evaluation.quality is not None else {}

    support = dict.fromkeys(class_ap, 0) | {name: figures.windows for name, figures in classes.items()}
    outside: Counter[str] = Counter()
    for (_, predicted), windows in confusion.items():
        if predicted not in support:
            outside[predicted] += windows
    kept, predictions = _largest(support, limit), _largest(outside, limit)

    for name in kept:
        yield m.CLASS_AP, class_ap.get(name), (name,)
        if (figures := classes.get(name)) is not None:
            yield m.CLASS_PRECISION, figures.precision, (name,)
            yield m.CLASS_RECALL, figures.recall, (name,)
            yield m.CLASS_F1, figures.f1, (name,)
            yield m.CLASS_WINDOWS, figures.windows, (name,)
    rows, columns = set(kept), {*kept, *predictions}
    for (name, predicted), windows in confusion.items():
        if name in rows and predicted in columns:
            yield m.CONFUSION, windows, (name, predicted)
    return len(support) + len(outside) - len(kept) - len(predictions)


def _largest(counts: Mapping[str, int], limit: int) -> Collection[str]:
    """The names with the `limit` largest counts (of equal ones the first by name), sorted by name."""
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:limit])
