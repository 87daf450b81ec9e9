"""Result sets and evaluations with just what a test is about: everything else is as if Studio had said nothing of it.

Each takes any field by its keyword, checked by its type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from monitor.compare.comparison import Comparison
from monitor.errors import PullState
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
from monitor.pipeline.snapshot import Snapshot
from monitor.results import (
    UNSCORED,
    Block,
    Boxes,
    Categorical,
    Confidences,
    FloatArray,
    FomoCounts,
    IntArray,
    ResultSet,
)
from monitor.targets import Target, TargetKey

T = TypeVar("T")

TARGET = Target(TargetKey(1, 2, "int8", "testing"), "vibration-a", "classifier", {"team": "edge"})
"""Whose snapshots are, unless told."""


class Columns(TypedDict, total=False):
    """The fields of a `ResultSet`."""

    blocks: tuple[Block, ...]
    labels: tuple[str, ...]
    sample_id: npt.NDArray[np.int64]
    added: npt.NDArray[np.datetime64]
    device: Categorical
    sample: IntArray
    start_ms: npt.NDArray[np.number]
    end_ms: npt.NDArray[np.number]
    label: IntArray
    prediction: IntArray
    correct: npt.NDArray[np.int8]
    confidences: Mapping[int, Confidences]
    anomaly: Mapping[int, FloatArray]
    expected_anomaly: npt.NDArray[np.int8] | None
    metadata: Mapping[str, Categorical]
    filename: Categorical | None
    image_size: IntArray | None
    truth: Boxes | None
    detections: Boxes | None
    reported_map: FloatArray | None
    reported_f1: FloatArray | None
    fomo: FomoCounts | None
    left_out: Mapping[str, int]
    label_map: bool


class Texts(TypedDict):
    """The columns of labels and predictions."""

    labels: tuple[str, ...]
    label: IntArray
    prediction: IntArray


def result_set(windows: int = 0, **columns: Unpack[Columns]) -> ResultSet:
    """A result set of so many windows, one per sample: without labels, predictions or verdicts, of which nothing is
    known but what is given.

    Args:
        windows: How many; `sample`, where it is given, says so itself.
        columns: Any of the fields; `sample` and `sample_id` decide about the length of the others.
    """
    sample = columns.get("sample", np.arange(windows))
    windows = len(sample)
    sample_id = columns.get("sample_id", np.arange(int(sample.max(initial=-1)) + 1))
    samples = len(sample_id)
    nothing = ResultSet(
        blocks=(),
        labels=(),
        sample_id=sample_id,
        added=np.full(samples, np.datetime64("NaT"), "datetime64[ms]"),
        device=Categorical.encode([None] * samples),
        sample=sample,
        start_ms=np.zeros(windows, np.int32),
        end_ms=np.full(windows, 1000, np.int32),
        label=np.full(windows, -1, np.int8),
        prediction=np.full(windows, -1, np.int8),
        correct=np.full(windows, UNSCORED, np.int8),
    )
    return replace(nothing, **columns)


def images(count: int, **columns: Unpack[Columns]) -> ResultSet:
    """A result set of so many images: one window each, without bounds in time, labels or verdicts."""
    for bound in ("start_ms", "end_ms"):
        columns.setdefault(bound, np.full(count, -1))
    return result_set(count, **columns)


def encoded(labels: Sequence[str | None], predictions: Sequence[str | None]) -> Texts:
    """The columns of these labels and predictions, window by window."""
    both = Categorical.encode([*labels, *predictions])
    return {"labels": both.table, "label": both.codes[: len(labels)], "prediction": both.codes[len(labels) :]}


class Figures(TypedDict, total=False):
    """The fields of an `Evaluation`."""

    samples: int
    windows: int
    unscored: int
    blocks: tuple[Block, ...]
    quality: Quality | None
    calibration: Calibration | None
    detection: Detection | None
    regression: Regression | None
    anomalies: tuple[Anomaly, ...]
    slices: Mapping[tuple[str, str], Slice]
    left_out: Mapping[str, int]
    studio: StudioVerdict | None
    units: Mapping[str, UnitChoice]
    group_by: str


def evaluation(**figures: Unpack[Figures]) -> Evaluation:
    """An evaluation of ten samples with ten windows, which has no figures but these."""
    return replace(Evaluation(10, 10, 0, ()), **figures)


class QualityFigures(TypedDict, total=False):
    """The fields of a `Quality` but its accuracy."""

    balanced_accuracy: float
    mean_f1: float
    f1: Mapping[str, float]
    uncertain: float
    classes: Mapping[str, ClassFigures]
    confusion: Mapping[tuple[str, str], int]
    accuracy_interval: Interval | None
    mean_f1_interval: Interval | None


def quality(accuracy: float = 0.9, **figures: Unpack[QualityFigures]) -> Quality:
    """A classifier's figures: its mean F1 and balanced accuracy are its accuracy, unless others are given."""
    return replace(Quality(accuracy, accuracy, accuracy, {}, 0.0, {}, {}), **figures)


class Shown(TypedDict, total=False):
    """The fields of a `Snapshot` but its target."""

    stale_after: float
    state: PullState
    last_pull: float
    last_success: float | None
    last_change: float | None
    fingerprint: str | None
    evaluation: Evaluation | None
    comparison: Comparison | None
    trained: float | None
    impulse_stale: bool | None
    error: str


def snapshot(target: Target = TARGET, **fields: Unpack[Shown]) -> Snapshot:
    """A target after a good pull at 100 s of Unix time, of which nothing is known but what is given."""
    return replace(Snapshot(target, 900.0, PullState.OK, 100.0, 100.0), **fields)


def known(value: T | None) -> T:
    """What a test knows to be there."""
    assert value is not None
    return value
