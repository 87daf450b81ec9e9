"""Invented boards: targets of every kind, with every figure that the exposition knows."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Unpack

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest

from monitor.alerts.rules import built_in
from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.compare.drift import Drift
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.power import Power
from monitor.compare.variants import Growth, VariantComparison, VariantGap
from monitor.errors import PullState
from monitor.exposition import ServiceMetrics, SnapshotCollector, Sources
from monitor.figures.evaluation import (
    Anomaly,
    Calibration,
    ClassFigures,
    Detection,
    Evaluation,
    Interval,
    Quality,
    Regression,
    Slice,
    StudioVerdict,
)
from monitor.figures.groups import UnitChoice
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot
from monitor.results import Block, BlockKind
from monitor.targets import Target, TargetKey
from tests import factories
from tests.factories import Shown, evaluation
from tests.live.live_parts import live_of

NOW = 1_760_000_000.0
STALE_AFTER = 2700.0

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def target(
    project_id: int = 12345, impulse_id: int = 1, variant: str = "int8", project: str = "vibration", **labels: str
) -> Target:
    """A target of the testing set."""
    return Target(TargetKey(project_id, impulse_id, variant, "testing"), project, f"impulse {impulse_id}", labels)


def snapshot(
    of: Target, evaluation: Evaluation | None, state: PullState = PullState.OK, age: float = 60.0, **more: Unpack[Shown]
) -> Snapshot:
    """A snapshot whose last good pull was `age` seconds before NOW."""
    success = None if evaluation is None else NOW - age
    shown = factories.snapshot(of, last_success=success, evaluation=evaluation, **more)
    return replace(shown, stale_after=STALE_AFTER, state=state, last_pull=NOW - 30)


def board(*snapshots: Snapshot, projects: Iterable[ProjectStatus] = ()) -> Live:
    """A board that shows these."""
    return live_of(*snapshots, projects=projects)


def quality(windows: Mapping[str, int], confusion: Mapping[tuple[str, str], int] | None = None) -> Quality:
    """A classifier's figures over classes with so many windows each."""
    classes = {name: ClassFigures(0.75, 0.5, 0.6, count) for name, count in windows.items()}
    return factories.quality(0.9, balanced_accuracy=0.8, mean_f1=0.7, classes=classes, confusion=confusion or {})


def classifier() -> Evaluation:
    """A classifier with an anomaly block: confidences, slices, ground truth."""
    classify = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})
    kmeans = Block(4, "anomaly", BlockKind.ANOMALY, "Anomaly detection", {"min_anomaly_score": 0.3})
    return evaluation(
        samples=120,
        windows=240,
        units={
            "accuracy": UnitChoice("group", 24, 0.08, 1.32, 1.9),
            "anomaly_score_5": UnitChoice("sample", 24, 0.0, 1.0, 1.06),
        },
        unscored=2,
        blocks=(classify, kmeans),
        quality=Quality(
            accuracy=0.9,
            balanced_accuracy=0.875,
            mean_f1=0.86,
            f1={"macro": 0.86, "weighted": 0.89, "micro": 0.9},
            uncertain=0.025,
            classes={
                "idle": ClassFigures(0.95, 0.9, 0.924, 150, Interval(0.841, 0.938)),
                'snake "S"': ClassFigures(0.8, 0.85, 0.824, 88),
            },
            confusion={
                ("idle", "idle"): 135,
                ("idle", 'snake "S"'): 15,
                ('snake "S"', 'snake "S"'): 82,
                ('snake "S"', "uncertain"): 6,
            },
            accuracy_interval=Interval(0.84, 0.94),
            mean_f1_interval=Interval(0.8, 0.91),
        ),
        calibration=Calibration(0.031, 0.142, 0.287, 0.048, 0.012),
        anomalies=(
            Anomaly(
                kmeans,
                -0.12,
                0.21,
                {"0.5": -0.15, "0.9": 0.2, "0.99": 0.61},
                0.05,
                flagged_interval=Interval(0.011, 0.058),
                auroc=0.93,
                auroc_interval=Interval(0.88, 0.961),
                precision=0.7,
                recall=0.875,
                f1=0.778,
            ),
        ),
        slices={("metadata.site", "lab"): Slice(0.95, 140), ("metadata.site", "Zürich\nNord"): Slice(0.83, 98)},
        left_out={"non_finite_score": 3, "slice_cap": 1},
    )


def detector() -> Evaluation:
    """A box detector."""
    return evaluation(
        samples=60,
        windows=60,
        units={"accuracy": UnitChoice("sample", 3)},
        unscored=0,
        blocks=(Block(7, "keras-object-detection", BlockKind.DETECTION, "Object detection", {"min_score": 0.5}),),
        detection=Detection(
            map={"0.50:0.95": 0.41, "0.50": 0.72, "0.75": 0.44},
            class_ap={"bottle": 0.5, "cup": 0.32},
            map_interval=Interval(0.36, 0.46),
            mean_image_map=0.53,
            mean_f1=0.66,
            mean_f1_interval=Interval(0.6, 0.72),
            f1={"image": 0.66},
            passing=0.35,
            empty=4,
            passing_by_score=False,
        ),
        left_out={"no_dimensions": 2, "unreadable_image": 1},
        studio=StudioVerdict(0.35, 60, Interval(0.24, 0.48)),
    )


def fomo() -> Evaluation:
    """FOMO: no mAP at all."""
    return evaluation(
        samples=40,
        windows=40,
        unscored=0,
        blocks=(Block(8, "keras-object-detection", BlockKind.FOMO, "FOMO"),),
        detection=Detection(
            mean_f1=0.77, f1={"image": 0.77, "pooled": 0.74}, precision=0.8, recall=0.69, passing=0.6, empty=0
        ),
    )


def regressor() -> Evaluation:
    """A regression whose bounds are known."""
    return evaluation(
        samples=50,
        windows=50,
        unscored=0,
        blocks=(Block(9, "keras-regression", BlockKind.REGRESSION, "Regression", {"max_error": 0.25}),),
        regression=Regression(0.125, 0.03125, 0.91, 0.86, within_tolerance_interval=Interval(0.74, 0.93)),
    )


def compared() -> Comparison:
    """A comparison of the classifier: fewer correct, because of the model and of new samples, whose scores drifted."""
    kmeans = classifier().blocks[1]
    change = Change(
        "accuracy",
        0.94,
        0.9,
        {"total": -0.04, "model": -0.03, "labels": 0.0, "added": -0.0125, "removed": 0.0025},
        {"total": 0.004, "model": 0.002, "added": 0.25},
        shared=100,
        added=20,
        removed=1,
    )
    distances = Distances(0.2, 0.11, 0.375, 0.09, 0.05)
    drift = Drift(
        block=kmeans,
        distances={"total": distances, "model": Distances(0.0, 0.0, 0.0, 0.0, 0.0), "data": distances},
        pvalues={"total": 0.003},
        gates={"total": True, "model": False, "data": False},
        insufficient=False,
        reference=101,
        current=120,
        shared=100,
        added=20,
        evidence=1.75,
        since=NOW - 5 * 86400,
    )
    baseline = BaselineFigures(
        "pinned", NOW - 5 * 86400, "0123", {"accuracy": 0.94, "mean_f1": 0.9, "anomaly_flagged": 0.02}
    )
    power = Power(
        "accuracy", 0.9, 812, 0.04, 812, 2, 0.002, {"model": 0.0, "added": 0.02}, {"model": 0.0325, "added": math.inf}
    )
    return Comparison(
        baseline,
        (change,),
        (drift,),
        {"psi": 0.02, "js": 0.045},
        ("the model was trained again since the baseline",),
        errors=ErrorEvidence(0.625, False, 0.0625, 0.1, 0.2, 20, 20, NOW - 5 * 86400),
        powers=(power,),
        changed_samples={"newly_wrong": 14, "fixed": 0, "relabelled": 3, "added_wrong": 2, "removed_wrong": 1}
        | {"suspect_label": 9},
        variants=VariantComparison(
            "float32",
            ("a", "b"),
            gaps=(
                VariantGap(
                    "accuracy",
                    0.9375,
                    0.9,
                    0.0125,
                    Interval(0.0075, 0.0675),
                    Growth(before=0.0125, now=0.0325, samples=110, pvalue=0.25),
                ),
                VariantGap("mean_f1", 0.85, 0.86, 0.5),
            ),
            samples=120,
            lost=9,
        ),
    )


def full() -> Live:
    """Everything at once: five kinds of target in four projects, two of which fail."""
    found = board(
        snapshot(
            target(team="edge", site="Genève"),
            classifier(),
            last_change=NOW - 86400,
            trained=NOW - 2 * 86400,
            impulse_stale=False,
            comparison=compared(),
        ),
        snapshot(
            target(variant="float32", team="edge", site="Genève"),
            classifier(),
            PullState.NO_RESULTS,
            age=STALE_AFTER + 1,
            comparison=compared(),
        ),
        snapshot(target(22222, 2, project="shelf \\ cups"), detector(), PullState.UNREACHABLE, age=1000),
        snapshot(target(22222, 3, project="shelf \\ cups"), fomo()),
        snapshot(target(33333, 1, project="weight", owner="QA"), regressor(), impulse_stale=True),
        snapshot(target(33333, 4, project="weight", owner="QA"), None, PullState.AUTH),
        projects=(
            ProjectStatus(12345, PullState.OK, NOW + 30 * 86400),
            ProjectStatus(22222, PullState.OK),
            ProjectStatus(33333, PullState.AUTH),
            ProjectStatus(44444),
        ),
    )
    first, second, third = list(found.watched)[:3]
    for name, of, phase in (
        ("EdgeImpulseAccuracyRegressed", first, Phase.FIRING),
        ("EdgeImpulseAnomalyDrift", first, Phase.PENDING),
        ("EdgeImpulseAccuracyRegressed", second, Phase.RESOLVED),
        ("EdgeImpulsePullFailing", third, Phase.INACTIVE),
        ("EdgeImpulseKeyExpiring", "project-33333", Phase.FIRING),
    ):
        found.show_alerts(of, [AlertState(name, of, "digest", phase, severity="warning")])
    watched = ("EdgeImpulseAccuracyRegressed", "EdgeImpulseAnomalyDrift")
    found.targets[first].rules = tuple(rule for rule in built_in() if rule.name in watched)
    return found


def registry(
    shown: Live, *, now: float = NOW, class_limit: int = 30, left_out: Collection[str] = ()
) -> CollectorRegistry:
    """A registry with nothing but this board."""
    made = CollectorRegistry()
    sources = Sources(shown, class_limit=class_limit, left_out=lambda: left_out, clock=lambda: now)
    made.register(SnapshotCollector(sources))
    return made


def used_service(made: CollectorRegistry) -> ServiceMetrics:
    """The service's metrics, each used once."""
    metrics = ServiceMetrics(made, live=full())
    metrics.request("page", "200", 0.2)
    metrics.request("page", "timeout", 60.0)
    metrics.retry("timeout")
    metrics.received(1_500_000)
    metrics.unknown("learnBlocks.type", 2)
    metrics.pull(PullState.OK, 4.2)
    metrics.pull(PullState.UNREACHABLE, 241.0)
    metrics.skipped("overlap")
    metrics.reload(True, NOW - 3600)
    metrics.heartbeat(NOW - 2)
    metrics.loop_lag(0.003)
    metrics.store(True)
    metrics.receivers(["webhook"])
    metrics.notification("webhook", "delivered")
    metrics.queue_length("webhook", 2)
    metrics.certificate(NOW + 86400)
    metrics.in_fleet(lambda: 4.0)
    metrics.turn("done")
    metrics.turn_waited(0.3)
    metrics.turns_due(7)
    metrics.workers(3)
    metrics.leader(True)
    metrics.configurations_differ(1)
    return metrics


def series(families: Iterable[Metric]) -> Series:
    """Every sample by name and labels; a series must not occur twice."""
    found: Series = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def shown(
    of: Live, name: str, *labels: str, now: float = NOW, class_limit: int = 30, left_out: Collection[str] = ()
) -> dict[tuple[str, ...], float]:
    """One metric's values by the values of these labels."""
    collected = series(registry(of, now=now, class_limit=class_limit, left_out=left_out).collect())
    return {
        tuple(dict(pairs)[label] for label in labels): value
        for (each, pairs), value in collected.items()
        if each == name
    }


def text(of: CollectorRegistry) -> str:
    """The exposition in the text format."""
    return generate_latest(of).decode()
