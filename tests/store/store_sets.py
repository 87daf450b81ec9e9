"""What to put into a store: result sets of every kind, an evaluation with every figure, runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.compare.change import Change, ThresholdChange
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.compare.drift import Decision, Drift, DriftState
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.evidence import begin, count
from monitor.compare.evidence_bytes import dump_evidence, dump_values
from monitor.compare.evidence_samples import Kept, Scores
from monitor.errors import PullState
from monitor.figures.evaluation import (
    Anomaly,
    Calibration,
    ClassFigures,
    Detection,
    Interval,
    Quality,
    Regression,
    Slice,
    StudioVerdict,
)
from monitor.results import Block, BlockKind, Boxes, Categorical, Confidences, FomoCounts, Points, ResultSet
from monitor.store import Run, Store
from tests import factories
from tests.factories import evaluation

TARGET = "7-1-int8-testing"

_texts = st.text(max_size=4) | st.sampled_from(["idle", "Überlauf", "\0", "\ud800", "a/b", "../x"])
_floats = st.floats(width=64) | st.floats(width=32) | st.sampled_from([-0.0, float("nan"), float("inf"), 0.1])
_integers = [np.int8, np.int16, np.int32, np.int64]


def _column(draw: st.DrawFn, shape: int | tuple[int, ...], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    if dtype is None:
        return draw(arrays.arrays(draw(st.sampled_from(_integers)), shape))
    return draw(arrays.arrays(dtype, shape, elements=_floats if np.dtype(dtype) == np.float64 else None))


def _optional(draw: st.DrawFn, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
    return _column(draw, shape, dtype) if draw(st.booleans()) else None


def _categorical(draw: st.DrawFn, length: int) -> Categorical:
    return Categorical(_column(draw, length), tuple(draw(st.lists(_texts, max_size=3, unique=True))))


@st.composite
def result_sets(draw: st.DrawFn) -> ResultSet:
    """Columns of every kind and dtype, whether or not Studio would ever answer them."""
    n, m, k = (draw(st.integers(0, 4)) for _ in range(3))
    blocks = [
        Block(
            number,
            draw(_texts),
            kind,
            draw(_texts),
            draw(st.dictionaries(_texts, _floats.filter(lambda x: x == x), max_size=2)),
            draw(st.dictionaries(_texts, _texts, max_size=2)),
        )
        for number, kind in enumerate(draw(st.lists(st.sampled_from(list(BlockKind)), max_size=3)))
    ]
    boxes = [
        Boxes(
            _column(draw, k),
            _column(draw, k),
            _column(draw, (k, 4), np.float64),
            _column(draw, k, np.float64) if scored else None,
        )
        if draw(st.booleans())
        else None
        for scored in (False, True)
    ]
    truth, predicted = (Points(_column(draw, k), _column(draw, k), _column(draw, (k, 2), np.float64)) for _ in "ab")
    tp, fp, fn = (_column(draw, m, np.int64) for _ in "abc")
    classes = tuple(draw(st.lists(_texts, max_size=3, unique=True)))
    return ResultSet(
        blocks=tuple(blocks),
        labels=tuple(draw(st.lists(_texts, max_size=3, unique=True))),
        sample_id=_column(draw, n, np.int64),
        added=draw(arrays.arrays("datetime64[ms]", n)),
        device=_categorical(draw, n),
        sample=_column(draw, m),
        start_ms=_column(draw, m, draw(st.sampled_from([np.int32, np.float64]))),
        end_ms=_column(draw, m),
        label=_column(draw, m),
        prediction=_column(draw, m),
        correct=_column(draw, m, np.int8),
        confidences={3: Confidences(classes, _column(draw, (m, len(classes)), np.float64))}
        if draw(st.booleans())
        else {},
        anomaly={number: _column(draw, m, np.float64) for number in draw(st.sets(st.integers(0, 9), max_size=2))},
        expected_anomaly=_optional(draw, m, np.int8),
        filename=_categorical(draw, n) if draw(st.booleans()) else None,
        metadata={key: _categorical(draw, n) for key in draw(st.lists(_texts, max_size=2, unique=True))},
        image_size=_optional(draw, (n, 2), np.int32),
        truth=boxes[0],
        detections=boxes[1],
        reported_map=_optional(draw, m, np.float64),
        reported_f1=_optional(draw, m, np.float64),
        fomo=FomoCounts(tp, fp, fn, _column(draw, m, np.float64), truth, predicted) if draw(st.booleans()) else None,
        left_out=draw(st.dictionaries(_texts, st.integers(0, 9), max_size=2)),
        label_map=draw(st.booleans()),
    )


def result_set(samples: int = 50, seed: int = 0) -> ResultSet:
    """A classifier's result set with three windows per sample; another seed, another content."""
    rng = np.random.default_rng(seed)
    windows = 3 * samples
    confidences = rng.dirichlet(np.ones(4), windows).astype(np.float32).astype(np.float64)
    label = rng.integers(0, 4, windows).astype(np.int8)
    prediction = confidences.argmax(axis=1).astype(np.int8)
    return factories.result_set(
        blocks=(Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6}),),
        labels=("idle", "snake", "updown", "wave"),
        sample_id=np.arange(samples) + 1000,
        added=np.full(samples, np.datetime64("2026-01-02T03:04:05.006", "ms")),
        device=Categorical.encode(["one", None] * (samples // 2)),
        sample=np.arange(samples, dtype=np.int32).repeat(3),
        start_ms=np.tile(np.array([0, 500, 1000], np.int16), samples),
        end_ms=np.tile(np.array([1000, 1500, 2000], np.int16), samples),
        label=label,
        prediction=prediction,
        correct=(label == prediction).astype(np.int8),
        confidences={3: Confidences(("idle", "snake", "updown", "wave"), confidences)},
    )


_BLOCK = Block(5, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 0.3})

EVALUATION = evaluation(
    samples=50,
    windows=150,
    unscored=2,
    blocks=(_BLOCK,),
    quality=Quality(
        accuracy=0.9,
        balanced_accuracy=0.1 + 0.2,
        mean_f1=float(np.nextafter(0.5, 1)),
        f1={"macro": 0.5, "weighted": 0.6},
        uncertain=0.0,
        classes={"idle": ClassFigures(1.0, 0.5, 0.75, 20), "": ClassFigures(0.0, 0.0, 0.0, 1)},
        confusion={("idle", "snake"): 3, ("idle", "uncertain"): 1, ("", "idle"): 1},
        accuracy_interval=Interval(0.8, 0.95),
    ),
    calibration=Calibration(0.1, 0.2, 0.3),
    detection=Detection(
        map={"0.50:0.95": 0.4}, class_ap={"蛇": 0.2}, map_interval=Interval(0.3, 0.5), f1={"image": 0.3}, empty=4
    ),
    regression=Regression(1.0, 2.0, None, 0.5, within_tolerance_interval=Interval(0.4, 0.6)),
    anomalies=(Anomaly(_BLOCK, -0.5, None, {"0.5": -0.4}, flagged=0.1, flagged_interval=Interval(0.05, 0.2)),),
    slices={("metadata.site", "lab"): Slice(0.9, 30), ("device_name", "lab"): Slice(0.8, 10)},
    left_out={"unparsable": 1},
    studio=StudioVerdict(0.9, 148, Interval(0.8, 0.95)),
)
"""One value for every figure there is."""


COMPARISON = Comparison(
    baseline=BaselineFigures("pinned", 1700000000.25, "ab" * 32, {"accuracy": 0.1 + 0.2}, 1690000000.5),
    changes=(
        Change(
            metric="accuracy",
            baseline=0.9,
            current=float(np.nextafter(0.5, 1)),
            causes={"total": -0.4, "model": -0.3},
            pvalues={"total": 0.001},
            shared=40,
            added=10,
            removed=2,
            thresholds=(ThresholdChange("NN", "min_score", 0.6, 0.7),),
        ),
        Change("mean_f1", 0.5, 0.5, {}),
    ),
    drifts=(
        Drift(
            block=_BLOCK,
            distances={"total": Distances(0.125, 0.2, 0.3, 0.4, -0.05)},
            pvalues={"total": 0.5},
            gates={"total": True, "data": False},
            insufficient=False,
            reference=100,
            current=130,
            shared=90,
            added=30,
            evidence=-1.5,
            since=1700000000.25,
            alarm=True,
            recent=30,
            unit="group",
            unit_known=False,
            units=3,
            left_out=1,
            starts=2,
        ),
    ),
    predictions={"psi": 0.1, "js": 0.2},
    notes=("the model was trained again since the baseline", "block null (7) is not in the baseline: Überlauf"),
    errors=ErrorEvidence(2.5, True, 0.05, 0.15, 0.005, 120, 100, 1700000000.25, "group", False, 3),
)
"""One value for everything that a comparison tells."""


DECISION = Decision(100.5, 0.001, True)


def drift_state(samples: int = 200, seed: int = 0, decision: Decision | None = DECISION) -> DriftState:
    """What drift remembers after some new samples; another seed, other scores."""
    rng = np.random.default_rng(seed)
    undated = np.full(samples + 20, np.datetime64("NaT", "ms"))
    begun = begin(Scores(np.arange(samples), rng.normal(size=samples), undated[20:]), None, 2**64 - 1)
    new = Scores(np.arange(samples, samples + 20), rng.normal(size=20), undated[:20])
    evidence = count(begun, new, np.datetime64("2026-01-01", "ms"))
    judged = Kept(evidence.reference.id, evidence.reference.value, evidence.reference.id)
    return DriftState(100.5, 200.25, _BLOCK, None, evidence, decision, "auto", judged)


def values_of(state: DriftState) -> tuple[object, ...]:
    """A drift state as values that can be compared."""
    evidence = dump_evidence(state.evidence)
    judged = dump_values(state.judged)
    return state.pinned, state.since, state.block, state.trained, evidence, state.decision, state.group_by, judged


def run(finished: float = 100.0, state: PullState = PullState.OK, target_id: str = TARGET) -> Run:
    """A run without figures that says something new: another training."""
    return Run(target_id, finished - 5, finished, state, trained=finished)


async def add(store: Store, run: Run, results: ResultSet | None = None) -> int:
    """Write one run in a transaction of its own; with `results`, its fingerprint is theirs."""
    packed = None
    if results is not None:
        packed = await store.pack(run.target_id, results, results.fingerprint())
        run = replace(run, fingerprint=packed.fingerprint)
    async with store.transaction() as tx:
        return await tx.add_run(run, packed)
