"""Two runs as plain Python, and what their change and its causes are by the book: dictionaries, loops and other
people's figures.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score

from monitor.compare.change import Change, changes
from monitor.results import (
    CORRECT,
    UNCERTAIN,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Boxes,
    Categorical,
    Confidences,
    FomoCounts,
    Points,
    ResultSet,
)
from tests.factories import result_set
from tests.figures.strategies import CLASSIFIER

TOLERANCE = 0.5
REGRESSION = Block(4, "keras-regression", BlockKind.REGRESSION, "Regression", {"max_error": TOLERANCE})
DETECTOR = Block(5, "keras-object-detection", BlockKind.DETECTION, "Boxes", {"min_score": 0.5})
FOMO = Block(6, "keras-object-detection", BlockKind.FOMO, "Centroids", {"min_score": 0.5})
SIDE = 100
DISTANCE = 0.2

Box = tuple[str, float, float, float, float]
Point = tuple[int, float, float]


@dataclass(frozen=True)
class Window:
    """One prediction. Boxes: truth in pixels of a 100 x 100 image, detections in shares and with a score."""

    label: str | None = None
    prediction: str | None = None
    correct: int = UNSCORED
    start: int = 0
    truth: tuple[Box, ...] = ()
    detections: tuple[tuple[Box, float], ...] = ()
    true_points: tuple[Point, ...] = ()
    points: tuple[Point, ...] = ()


Run = Mapping[int, Sequence[Window]]
Figure = Callable[[Sequence[Window]], float | None]
AlertEvaluator = Callable[[Window, Window], Window]


def classified(label: str | None, prediction: str, start: int = 0) -> Window:
    """A scored window, judged by its label."""
    return Window(label, prediction, CORRECT if label == prediction else WRONG, start)


def columns(run: Run, block: Block = CLASSIFIER, classes: Sequence[str] = ()) -> ResultSet:
    """The run as a result set; `classes` are those of its confidences."""
    ids = sorted(run)
    rows = [
        (place, window)
        for place, number in enumerate(ids)
        for window in sorted(run[number], key=lambda window: window.start)
    ]
    windows = [window for _, window in rows]
    names = [name for window in windows for name in (window.label, window.prediction)]
    names += [box[0] for window in windows for box in (*window.truth, *(box for box, _ in window.detections))]
    coded = Categorical.encode(names)
    code = {name: place for place, name in enumerate(coded.table)}
    boxed = block.kind in (BlockKind.DETECTION, BlockKind.FOMO)
    truth = [(place, box) for place, window in rows for box in window.truth]
    found = [(number, box, score) for number, window in enumerate(windows) for box, score in window.detections]
    count = len(windows)
    starts = np.array([window.start for window in windows], np.int64)
    return result_set(
        blocks=(block,),
        labels=coded.table,
        sample_id=np.array(ids, np.int64),
        sample=np.array([place for place, _ in rows], np.int64),
        start_ms=starts,
        end_ms=starts + 1000,
        label=coded.codes[: 2 * count : 2],
        prediction=coded.codes[1 : 2 * count : 2],
        correct=np.array([window.correct for window in windows], np.int8),
        confidences={block.id: Confidences(tuple(sorted(classes)), np.full((count, len(classes)), np.nan))}
        if classes
        else {},
        image_size=np.full((len(ids), 2), SIDE) if boxed else None,
        truth=Boxes(
            np.array([place for place, _ in truth], np.int64),
            np.array([code[box[0]] for _, box in truth], np.int64),
            np.array([box[1:] for _, box in truth], np.float64).reshape(-1, 4),
        )
        if boxed
        else None,
        detections=Boxes(
            np.array([number for number, *_ in found], np.int64),
            np.array([code[box[0]] for _, box, _ in found], np.int64),
            np.array([box[1:] for _, box, _ in found], np.float64).reshape(-1, 4),
            np.array([score for *_, score in found], np.float64),
        )
        if boxed
        else None,
        fomo=_fomo(windows) if block.kind is BlockKind.FOMO else None,
    )


def causes(
    baseline: Run, current: Run, figure: Figure, judge: AlertEvaluator, under: Run | None = None
) -> dict[str, float]:
    """The change of a figure and its causes, absent where a figure does not exist; empty where a whole run has none.

    `judge` gives the baseline's window under the current label; `under` are such ones under the current thresholds too.
    """
    shared = [
        number
        for number in baseline
        if number in current
        and sorted(window.start for window in baseline[number]) == sorted(window.start for window in current[number])
    ]

    def over(run: Run, samples: Sequence[int]) -> float | None:
        return figure(
            [window for number in sorted(samples) for window in sorted(run[number], key=lambda window: window.start)]
        )

    judged = {
        number: [
            judge(before, after)
            for before, after in zip(
                *(sorted(run[number], key=lambda w: w.start) for run in (baseline, current)), strict=True
            )
        ]
        for number in shared
    }
    f_b, f_c = over(baseline, list(baseline)), over(current, list(current))
    if f_b is None or f_c is None:
        return {}
    result = {"total": f_c - f_b}
    if len(shared) < 30:
        return result
    again = judged if under is None else under
    bb, bc, btc, cc = over(baseline, shared), over(judged, shared), over(again, shared), over(current, shared)
    if cc is not None and btc is not None:
        result["model"] = cc - btc
    if bc is not None and bb is not None:
        result["labels"] = bc - bb
    if btc is not None and bc is not None:
        result["thresholds"] = btc - bc
    if cc is not None:
        result["added"] = f_c - cc
    if bb is not None:
        result["removed"] = bb - f_b
    return result


def accuracy(windows: Sequence[Window]) -> float | None:
    """Correct / scored."""
    scored = [window.correct for window in windows if window.correct != UNSCORED]
    return sum(scored) / len(scored) if scored else None


def predicted(
    classes: Sequence[str], confidences: Sequence[float], min_score: float, score: float, anomaly: float | None
) -> str:
    """What an impulse predicts: an anomaly above the limit of its anomaly block, else the likeliest class, if it is
    likely enough.
    """
    if anomaly is not None and score > anomaly:
        return "anomaly"
    best = max(range(len(classes)), key=lambda place: confidences[place])
    return classes[best] if confidences[best] >= min_score else UNCERTAIN


def mean_f1(windows: Sequence[Window]) -> float | None:
    """scikit-learn's macro F1 over the true labels that occur."""
    scored = [
        (window.label, window.prediction)
        for window in windows
        if window.correct != UNSCORED and window.label is not None
    ]
    classes = sorted({label for label, _ in scored} - {UNCERTAIN})
    if not classes:
        return None
    labels, predictions = zip(*scored, strict=True)
    return float(f1_score(labels, predictions, labels=classes, average="macro", zero_division=0))


def by_class(baseline: Run, classes: Sequence[str], *, anomaly_block: bool = False) -> AlertEvaluator:
    """How a classifier's run with these confidences is judged under another label: if it knows that label."""
    known = {*classes, *(["anomaly"] if anomaly_block else [])}
    scored = (window.label for windows in baseline.values() for window in windows if window.correct != UNSCORED)
    known |= {label for label in scored if label is not None}

    def judge(before: Window, after: Window) -> Window:
        if after.label == before.label:
            return before
        return replace(
            before,
            label=after.label,
            correct=int(before.prediction == after.label) if after.label in known else UNSCORED,
        )

    return judge


def by_number(before: Window, after: Window) -> Window:
    """How a regression is judged under another label."""
    if _number(before.label) == _number(after.label):
        return before
    return replace(before, label=after.label, correct=UNSCORED)


def within_tolerance(windows: Sequence[Window], tolerance: float = TOLERANCE) -> float | None:
    """Share of the windows with two numbers that are within the tolerance, whatever Studio says."""
    pairs = [(_number(window.label), _number(window.prediction)) for window in windows]
    verdicts = [
        abs(label - prediction) <= tolerance
        for label, prediction in pairs
        if label is not None and prediction is not None
    ]
    return sum(verdicts) / len(verdicts) if verdicts else None


def _number(text: str | None) -> float | None:
    return None if text in (None, "no number") else float(text)


def image_f1(windows: Sequence[Window]) -> float | None:
    """FOMO's F1, averaged over images."""
    scores = []
    for window in windows:
        hits, extra, missed = fomo_counts(window)
        scores.append(2 * hits / (2 * hits + extra + missed) if hits + extra + missed else 1.0)
    return sum(scores) / len(scores) if scores else None


def by_points(before: Window, after: Window) -> Window:
    """How FOMO is judged under other centroids."""
    return replace(before, true_points=after.true_points)


def fomo_counts(window: Window) -> tuple[int, int, int]:
    """FOMO's matching: each prediction goes to the nearest truth of its class within the distance."""
    taken = set()
    hits = 0
    for label, x, y in window.points:
        near = [
            (math.hypot(x - tx, y - ty), place)
            for place, (true, tx, ty) in enumerate(window.true_points)
            if true == label and math.hypot(x - tx, y - ty) <= DISTANCE
        ]
        if near:
            hits += 1
            taken.add(min(near)[1])
    return hits, len(window.points) - hits, len(window.true_points) - len(taken)


def coco_map(windows: Sequence[Window]) -> float | None:
    """pycocotools' mAP of these images at 0.50:0.95."""
    classes = sorted({box[0] for window in windows for box in window.truth})
    if not classes:
        return None
    sides: list[Any] = []
    for which in ("truth", "detections"):
        annotations: list[Any] = []
        for image, window in enumerate(windows):
            rows = (
                [(box, 0.0, SIDE) for box in window.truth]
                if which == "truth"
                else [(box, score, 1) for box, score in window.detections]
            )
            for (label, *xywh), score, unit in rows:
                if label in classes:
                    shares = [value / unit for value in xywh]
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": image,
                            "category_id": classes.index(label),
                            "bbox": shares,
                            "area": shares[2] * shares[3],
                            "iscrowd": 0,
                            "score": score,
                        }
                    )
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(windows))],
            "categories": [{"id": place, "name": name} for place, name in enumerate(classes)],
            "annotations": annotations,
        }
        sides.append(coco)
    with contextlib.redirect_stdout(io.StringIO()):
        for coco in sides:
            coco.createIndex()
        run = COCOeval(*sides, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [run.params.areaRng[0]], ["all"]
        run.evaluate()
        run.accumulate()
    return float(run.eval["precision"][:, :, :, 0, -1].mean())


def by_boxes(before: Window, after: Window) -> Window:
    """How a detector is judged under other boxes."""
    return replace(before, truth=after.truth)


def _fomo(windows: Sequence[Window]) -> FomoCounts:
    counts = np.array([fomo_counts(window) for window in windows], np.int64).reshape(-1, 3)
    points = []
    for name in ("true_points", "points"):
        rows = [(number, point) for number, window in enumerate(windows) for point in getattr(window, name)]
        points.append(
            Points(
                np.array([number for number, _ in rows], np.int64),
                np.array([point[0] for _, point in rows], np.int64),
                np.array([point[1:] for _, point in rows], np.float64).reshape(-1, 2),
            )
        )
    return FomoCounts(counts[:, 0], counts[:, 1], counts[:, 2], np.full(len(windows), DISTANCE), *points)


LABELS = ("ant", "bee", "cat")
QUIET: Run = {
    number: [classified(LABELS[number % 3], LABELS[(number + (number % 7 == 0)) % 3])] for number in range(60)
}
"""Single windows, one wrong in seven."""


def worse(run: Run, every: int = 2) -> Run:
    """The run with a wrong prediction on every other sample."""
    return {
        number: [replace(w, prediction=UNCERTAIN, correct=WRONG) if number % every == 0 else w for w in run[number]]
        for number in run
    }


def detector_run(rng: np.random.Generator, samples: range, found: float) -> Run:
    """Two objects per image, each found with this chance; the objects of a sample are always the same."""
    run = {}
    for number in samples:
        place = np.random.default_rng(number)
        corners = [place.integers(0, 60, 2).tolist() for _ in range(2)]
        truth = tuple((LABELS[k], float(x), float(y), 30.0, 30.0) for k, (x, y) in enumerate(corners))
        detections = tuple(
            ((label, *((np.array(xywh) + rng.normal(0, 1, 4)) / SIDE).tolist()), rng.random())
            for label, *xywh in truth
            if rng.random() < found
        )
        run[number] = [Window(truth=truth, detections=detections)]
    return run


def by_metric(
    baseline: ResultSet,
    current: ResultSet,
    seed: int | None = None,
    trained: tuple[float | None, float | None] = (None, None),
) -> dict[str, Change]:
    """The changes by their metric."""
    return {change.metric: change for change in changes(baseline, current, seed, trained)}
