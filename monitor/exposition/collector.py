"""`SnapshotCollector`: metric families from the current snapshots, made at each scrape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping

import prometheus_client
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from monitor.alerts.states import Phase
from monitor.exposition import pulls
from monitor.exposition.catalogue import METRICS, OF_FIGURES
from monitor.exposition.metric import Metric, Scope, Shown
from monitor.figures.classes import largest_classes
from monitor.live.live import Live
from monitor.targets import Target, target_labels
from monitor.text import shown


class SnapshotCollector(Collector):
    """Everything that is watched, as metric families in the catalogue's order; families without a series are left out.

    Args:
        live: What is known right now; read in whatever thread renders, never written.
        class_limit: How many classes of a target get series of their own, most supported first. `edge_impulse_left_out`
            counts the labels cut off as `class_cap`.
        clock: Unix time in seconds; decides which figures are stale.
    """

    def __init__(self, live: Live, *, class_limit: int = 30, clock: Callable[[], float] = time.time) -> None:
        self._live = live
        self._class_limit = class_limit
        self._clock = clock

    def collect(self) -> Iterable[prometheus_client.Metric]:
        """The families of one scrape."""
        now = self._clock()
        families = {metric: metric.empty_family() for metric in METRICS if metric.scope is not Scope.SERVICE}

        def add(metrics: Iterable[Metric], source: object, common: Mapping[str, str]) -> None:
            for metric in metrics:
                samples = families[metric].samples
                for value, labels in metric.read(source):
                    if value is not None and math.isfinite(value):
                        own = {name: _label(text) for name, text in zip(metric.labels, labels, strict=True)}
                        samples.append(Sample(metric.name, {**common, **own}, float(value)))

        # The loop may replace entries meanwhile; a dictionary's copy() is one step under the interpreter's lock.
        for status in self._live.projects.values():
            add(pulls.PROJECTS, status, {"project_id": str(status.project_id)})
        for snapshot in self._live.snapshots.values():
            labels = _target_labels(snapshot.target)
            # Prometheus takes an absent label for an empty one, so projects with different labels can share the family.
            own_labels = {name: _label(text) for name, text in snapshot.target.labels.items()}
            add([pulls.TARGET_INFO], snapshot, own_labels | labels)
            add(pulls.PULLS, snapshot, labels)
            if snapshot.evaluation is not None and snapshot.fresh(now):
                classes = largest_classes(snapshot.evaluation, self._class_limit)
                add(OF_FIGURES, Shown(snapshot, snapshot.evaluation, classes), labels)
        targets = self._live.targets.copy()
        for (_, target_id), alert in self._live.alerts.items():
            if alert.phase in (Phase.PENDING, Phase.FIRING):
                target = targets.get(target_id)
                project = {"project_id": target_id.removeprefix("project-")}  # of an alert that is not about a target
                add([pulls.ALERTS], alert, project if target is None else _target_labels(target.target))
        for target in targets.values():
            add([pulls.ALERT_THRESHOLD], target.thresholds, _target_labels(target.target))
        return [shown for shown in families.values() if shown.samples]


def _target_labels(target: Target) -> dict[str, str]:
    return {name: _label(text) for name, text in target_labels(target).items()}


def _label(text: str) -> str:
    """`text`, bounded, without lone surrogates: one of them in one name would make the whole exposition impossible to
    encode.
    """
    return shown(text).encode("utf-8", "replace").decode("utf-8")
