"""`Sources`: what the series of projects and targets are read from, part by part of the catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from monitor.alerts.rules import Rule
from monitor.compare.comparison import Comparison
from monitor.engine.sharding import WHOLE, Shard, project_key
from monitor.errors import PullState
from monitor.exposition import pulls
from monitor.exposition.catalogue import OF_FIGURES
from monitor.exposition.metric import Metric, Shown, Switch
from monitor.figures.classes import largest_classes
from monitor.figures.evaluation import Evaluation
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.live.target import Alerts
from monitor.pipeline.snapshot import Snapshot
from monitor.targets import Target, target_labels
from monitor.text import shown as bounded


class Basis(Protocol):
    """All that the series of one project, target or subject of alerts depend on, in one part of the catalogue.

    The fields are never changed in place, so that the series are the same for as long as the fields are.
    """

    def labels(self) -> dict[str, str]:
        """The labels that all of these series carry."""

    def source(self) -> object:
        """What `Metric.read` is given."""

    def __iter__(self) -> Iterator[object]:
        """The fields."""


class Part(NamedTuple):
    """Metrics that are read from the same things.

    Attributes:
        metrics: These, in the catalogue's order.
        bases: What they are read from, by project, target or subject, in the order of the series.
    """

    metrics: tuple[Metric, ...]
    bases: Mapping[Hashable, Basis]


class _OfProject(NamedTuple):
    number: int
    state: PullState | None
    key_expires: float | None

    def labels(self) -> dict[str, str]:
        return _project_labels(str(self.number))

    def source(self) -> ProjectStatus:
        return ProjectStatus(self.number, self.state, self.key_expires)


class _OfNames(NamedTuple):
    target: Target

    def labels(self) -> dict[str, str]:
        # Prometheus takes an absent label for an empty one, so projects with different labels can share the family.
        return {name: label(text) for name, text in self.target.labels.items()} | _target_labels(self.target)

    def source(self) -> Target:
        return self.target


class _OfPull(NamedTuple):
    snapshot: Snapshot

    def labels(self) -> dict[str, str]:
        return _target_labels(self.snapshot.target)

    def source(self) -> Snapshot:
        return self.snapshot


class _OfRules(NamedTuple):
    target: Target
    rules: tuple[Rule, ...]

    def labels(self) -> dict[str, str]:
        return _target_labels(self.target)

    def source(self) -> tuple[Rule, ...]:
        return self.rules


class _OfAlerts(NamedTuple):
    subject_id: str
    target: Target | None
    alerts: Alerts

    def labels(self) -> dict[str, str]:
        if self.target is None:  # an alert that is not about a target
            return _project_labels(self.subject_id.removeprefix("project-"))
        return _target_labels(self.target)

    def source(self) -> Alerts:
        return self.alerts


class _OfFigures(NamedTuple):
    target: Target
    evaluation: Evaluation
    comparison: Comparison | None
    trained: float | None
    impulse_stale: bool | None
    class_limit: int
    left_out: frozenset[str]

    def labels(self) -> dict[str, str]:
        return _target_labels(self.target)

    def source(self) -> Shown:
        classes = largest_classes(self.evaluation, self.class_limit)
        # what would not be shown without the limit either is not cut off by it
        cut = 0
        if Switch.CONFUSION not in self.left_out and self.evaluation.quality is not None:
            cut = classes.cut
        elif Switch.CLASSES not in self.left_out:
            cut = classes.cut_names
        return Shown(self.evaluation, self.comparison, self.trained, self.impulse_stale, classes, cut)


class Sources:
    """Everything that is watched, as what its series are read from.

    Args:
        live: What is known right now; read in whatever thread renders, never written.
        class_limit: How many classes of a target get series of their own, most supported first. `edge_impulse_left_out`
            counts the labels cut off as `class_cap`.
        left_out: Says which `Switch`es are off right now, by their values.
        clock: Unix time in seconds; decides which figures are stale.
        shard: Which of the targets, and of the projects, are shown.
    """

    def __init__(
        self,
        live: Live,
        *,
        class_limit: int = 30,
        left_out: Callable[[], Collection[str]] = tuple,
        clock: Callable[[], float] = time.time,
        shard: Shard = WHOLE,
    ) -> None:
        self._live = live
        self._shard = shard
        self._class_limit = class_limit
        self._left_out = left_out
        self._clock = clock

    def parts(self) -> tuple[Part, ...]:
        """All of it at this moment, in the catalogue's order."""
        now = self._clock()
        left_out = frozenset(self._left_out())
        projects = self._live.projects
        # The loop may replace entries meanwhile; a dictionary's copy() is one step under the interpreter's lock.
        alerts = self._live.subject_alerts
        targets = self._live.targets.copy()
        if self._shard.total > 1:
            owns = self._shard.owns
            projects = {number: status for number, status in projects.items() if owns(project_key(number))}
            alerts = {
                subject_id: states for subject_id, states in alerts.items() if self._shard.owns_subject(subject_id)
            }
            targets = {target_id: target for target_id, target in targets.items() if owns(target.target.key)}
        watched = {key: target.target for key, target in targets.items()}
        snapshots = {key: shown for key, target in targets.items() if (shown := target.snapshot) is not None}
        return (
            Part(
                pulls.PROJECTS,
                {key: _OfProject(key, status.state, status.key_expires) for key, status in projects.items()},
            ),
            Part((pulls.TARGET_INFO,), {key: _OfNames(each.target) for key, each in snapshots.items()}),
            Part(pulls.PULLS, {key: _OfPull(each) for key, each in snapshots.items()}),
            Part(
                (pulls.ALERT_THRESHOLD,),
                {key: _OfRules(each.target, each.rules) for key, each in targets.items() if each.rules},
            ),
            Part(
                (pulls.ALERTS,),
                {key: _OfAlerts(key, watched.get(key), states) for key, states in alerts.items() if states},
            ),
            Part(
                of_figures(left_out),
                {
                    key: _OfFigures(
                        each.target,
                        each.evaluation,
                        each.comparison,
                        each.trained,
                        each.impulse_stale,
                        self._class_limit,
                        left_out,
                    )
                    for key, each in snapshots.items()
                    if each.evaluation is not None and each.fresh(now)
                },
            ),
        )


@lru_cache
def of_figures(left_out: frozenset[str]) -> tuple[Metric, ...]:
    """The metrics of a target's figures, without those that these switches leave out."""
    return tuple(metric for metric in OF_FIGURES if metric.switch not in left_out)


def label(text: str) -> str:
    """`text`, bounded, without lone surrogates: one of them in one name would make the whole exposition impossible to
    encode.
    """
    return bounded(text).encode("utf-8", "replace").decode("utf-8")


def _target_labels(target: Target) -> dict[str, str]:
    return {name: label(text) for name, text in target_labels(target).items()}


def _project_labels(number: str) -> dict[str, str]:
    return {"project_id": number}
