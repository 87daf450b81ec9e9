"""What the intervals of a 5,000-sample set cost, for each kind of model, beside the figures without them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.figures.anomaly import anomaly
from monitor.figures.classification import quality
from monitor.figures.detection import detection
from monitor.figures.regression import regression
from monitor.results import CORRECT, WRONG, Block, BlockKind, Boxes, Categorical, ResultSet, shrink_dtype
from tests.factories import result_set

SAMPLES, WINDOWS, CLASSES, BOXES = 5000, 10, 20, 50_000


def _base(
    kind: BlockKind, windows: int, labels: tuple[str, ...], label: Any, prediction: Any, **columns: Any
) -> ResultSet:
    total = SAMPLES * windows
    return result_set(
        blocks=(Block(1, "block", kind, "block", {"min_anomaly_score": 1.0}),),
        labels=labels,
        sample_id=np.arange(SAMPLES),
        device=Categorical(np.zeros(SAMPLES, np.int8), ("d",)),
        sample=shrink_dtype(np.repeat(np.arange(SAMPLES), windows)),
        start_ms=np.tile(np.arange(windows), SAMPLES),
        end_ms=np.tile(np.arange(windows) + 1, SAMPLES),
        label=shrink_dtype(label),
        prediction=shrink_dtype(prediction),
        correct=np.where(label == prediction, CORRECT, WRONG).astype(np.int8),
        **{name: value(total) if callable(value) else value for name, value in columns.items()},
    )


def _cases() -> dict[str, Callable[[int | None], object]]:
    rng = np.random.default_rng(1)
    total = SAMPLES * WINDOWS
    label = rng.integers(0, CLASSES, total)
    prediction = np.where(rng.random(total) < 0.9, label, rng.integers(0, CLASSES, total))
    classified = _base(
        BlockKind.CLASSIFICATION, WINDOWS, tuple(f"{number:02}" for number in range(CLASSES)), label, prediction
    )
    numbers = tuple(sorted(str(number / 10) for number in range(500)))
    regressed = _base(BlockKind.REGRESSION, WINDOWS, numbers, rng.integers(0, 500, total), rng.integers(0, 500, total))
    flagged = _base(
        BlockKind.ANOMALY,
        WINDOWS,
        ("anomaly", "no anomaly"),
        rng.integers(0, 2, total),
        rng.integers(0, 2, total),
        anomaly={1: rng.normal(size=total)},
    )
    owner = np.sort(rng.integers(0, SAMPLES, BOXES))
    kind, corner = rng.integers(0, 10, BOXES), rng.random((BOXES, 2)) * 0.8
    size = 0.05 + rng.random((BOXES, 2)) * 0.15
    truth = Boxes(shrink_dtype(owner), shrink_dtype(kind), np.hstack([corner, size]) * 320)
    moved = np.hstack([corner + rng.normal(0, 0.01, (BOXES, 2)), size])
    found = Boxes(shrink_dtype(owner), shrink_dtype(kind), moved, rng.random(BOXES))
    zero = np.zeros(SAMPLES, np.int64)
    detected = _base(
        BlockKind.DETECTION,
        1,
        tuple(f"{number:02}" for number in range(10)),
        zero,
        zero,
        truth=truth,
        detections=found,
        image_size=np.full((SAMPLES, 2), 320, np.int32),
        reported_map=rng.random(SAMPLES),
        reported_f1=np.full(SAMPLES, np.nan),
    )
    return {
        f"classification, {total} windows": lambda seed: quality(classified, seed),
        f"regression, {total} windows": lambda seed: regression(regressed, seed),
        f"anomaly, {total} windows": lambda seed: anomaly(flagged, seed),
        f"detection, {BOXES} boxes": lambda seed: detection(detected, seed),
    }


def _seconds(run: Callable[[int | None], object], seed: int | None) -> float:
    started = time.perf_counter()
    run(seed)
    return time.perf_counter() - started


def main() -> None:
    """Print each case."""
    for name, run in _cases().items():
        run(None)
        without, whole = (min(_seconds(run, seed) for _ in range(3)) for seed in (None, 7))
        print(
            f"{name:32} figures {without:6.3f} s, intervals {whole - without:6.3f} s, ratio of both to the figures "
            f"{whole / without:.1f}"
        )


if __name__ == "__main__":
    main()
