"""What is evaluated and compared, by the monitor and by its peers: each job's inputs are made before it is measured.

`python -m tests.benchmarks.cost.evaluation_jobs JOB` runs one in this process and prints, as JSON, the processor
seconds of its fastest run, the growth of the peak memory in MB (Linux's /proc), and the number that it answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.compare.comparison import BaselineFigures, compare
from monitor.compare.drift import ComparedRun
from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.classification import quality
from monitor.figures.detection import detection
from monitor.results import CORRECT, WRONG, Block, BlockKind, Boxes, Categorical, Confidences, ResultSet, shrink_dtype
from monitor.service.memory import share_heap
from tests.factories import images, result_set
from tests.figures.strategies import CLASSIFIER, population, simulated

SIDE = 640  # of an image, in pixels
DAYS = 20  # on which the samples came: grouping has something to decide
SETTINGS = EvaluationSettings(anomaly_labels=frozenset({"anomaly"}), no_anomaly_labels=frozenset({"no anomaly"}))

Job = Callable[[], float]
Scene = tuple[dict[str, Any], dict[str, Any]]


def classifier(samples: int, windows: int, classes: int, *, confident: bool = True) -> ResultSet:
    """A classifier's result set; its confidences are mostly in one class, as a network's are."""
    rng = np.random.default_rng(1)
    shares = np.full(classes, 1 / classes)
    results = simulated(rng, shares, population(shares, 0.9)[0], samples, windows, 0.5)
    days = (np.arange(samples) * DAYS // samples).astype("timedelta64[D]")
    results = replace(results, added=(np.datetime64("2025-01-01", "ms") + days).astype("datetime64[ms]"))
    if confident:
        values = rng.dirichlet(np.full(classes, 0.2), results.windows)
        results = replace(results, confidences={CLASSIFIER.id: Confidences(results.labels, values)})
    return results


def regressor(samples: int, windows: int) -> ResultSet:
    """A regression's result set: nearly each prediction is a text of its own, as they are."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 500, samples * windows) / 10
    texts = np.char.mod("%.4f", [truth, truth + rng.normal(0, 3, len(truth))])
    numbers, codes = np.unique(texts, return_inverse=True)
    return _windows(BlockKind.REGRESSION, samples, windows, tuple(numbers.tolist()), *codes.reshape(2, -1))


def anomalies(samples: int, windows: int) -> ResultSet:
    """An anomaly block's result set, with ground truth."""
    rng = np.random.default_rng(1)
    label, prediction = rng.integers(0, 2, (2, samples * windows))
    results = _windows(BlockKind.ANOMALY, samples, windows, ("anomaly", "no anomaly"), label, prediction)
    return replace(results, anomaly={1: rng.normal(size=results.windows)})


def _windows(kind: BlockKind, samples: int, windows: int, labels: tuple[str, ...], label: Any, guess: Any) -> ResultSet:
    return result_set(
        blocks=(Block(1, "block", kind, "block", {"min_anomaly_score": 1.0}),),
        labels=labels,
        sample_id=np.arange(samples),
        device=Categorical(np.zeros(samples, np.int8), ("d",)),
        sample=shrink_dtype(np.repeat(np.arange(samples), windows)),
        start_ms=np.tile(np.arange(windows), samples),
        end_ms=np.tile(np.arange(windows) + 1, samples),
        label=shrink_dtype(label),
        prediction=shrink_dtype(guess),
        correct=np.where(label == guess, CORRECT, WRONG).astype(np.int8),
    )


def scene(count: int, classes: int, seed: int = 1) -> Scene:
    """About four objects and six detections per image, as columns: truth and detections, in pixels."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(count), rng.poisson(4, count))
    label = rng.integers(0, classes, len(owner))
    xywh = _anywhere(rng, len(owner))
    seen = np.flatnonzero(rng.random(len(owner)) < 0.85)
    jittered = xywh[seen] * rng.normal(1, 0.06, (len(seen), 4))
    extra = np.repeat(np.arange(count), rng.poisson(2.6, count))
    found = np.concatenate([owner[seen], extra])
    order = np.argsort(found, kind="stable")
    detections = {
        "owner": found[order],
        "label": np.concatenate([label[seen], rng.integers(0, classes, len(extra))])[order],
        "xywh": np.concatenate([jittered, _anywhere(rng, len(extra))])[order],
        "score": np.round(np.concatenate([rng.beta(5, 2, len(seen)), rng.beta(2, 4, len(extra))]), 3)[order],
    }
    return {"owner": owner, "label": label, "xywh": xywh}, detections


def _anywhere(rng: np.random.Generator, boxes: int) -> npt.NDArray[np.float64]:
    return np.hstack([rng.uniform(0, SIDE * 0.7, (boxes, 2)), rng.uniform(20, SIDE * 0.3, (boxes, 2))])


def detector(count: int, classes: int, moved: float = 0.0) -> ResultSet:
    """A box detector's result set; `moved` jitters its boxes, as another training would."""
    truth, found = scene(count, classes)
    shares = found["xywh"] / SIDE * np.random.default_rng(2).normal(1, moved, found["xywh"].shape)
    return images(
        count,
        blocks=(Block(1, "keras-object-detection", BlockKind.DETECTION),),
        labels=tuple(f"class {code:04}" for code in range(classes)),
        image_size=np.full((count, 2), SIDE),
        truth=Boxes(**truth),
        detections=Boxes(**{**found, "xywh": shares}),
    )


def evaluated(results: ResultSet, seed: int | None = 1) -> Job:
    """All figures of a result set of which nothing is known yet."""
    return lambda: float(evaluate(replace(results), SETTINGS, seed).windows)


def compared(before: ResultSet, after: ResultSet) -> Job:
    """A comparison of two runs of the same samples, but for the last tenth, which were replaced."""
    kept = after.samples - after.samples // 10
    after = replace(after, sample_id=np.append(after.sample_id[:kept], after.sample_id[kept:] + after.samples))
    first, second = ComparedRun(100.0, before, 1.0), ComparedRun(1.8e9, after, 1.0)
    shown = BaselineFigures("pinned", 100.0, "")
    _, states = compare(first, first, first, shown, {}, 1)
    return lambda: float(len(compare(first, second, first, shown, states, 1)[1]))


def retrained(results: ResultSet) -> ResultSet:
    """What another training would have predicted: a twentieth of the windows differ."""
    rng = np.random.default_rng(2)
    other = rng.random(results.windows) < 0.05
    prediction = np.where(other, rng.integers(0, len(results.labels), results.windows), results.prediction)
    return replace(results, prediction=shrink_dtype(prediction), correct=(prediction == results.label).astype(np.int8))


def bare_count(results: ResultSet) -> Job:
    """F1 by class of labels and predictions that are known to be codes, and nothing else."""
    classes = len(results.labels)

    def run() -> float:
        cells = np.bincount(results.label.astype(np.intp) * classes + results.prediction, minlength=classes**2)
        confusion = cells.reshape(classes, classes)
        return float((2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))).mean())

    return run


def scikit_learn(results: ResultSet) -> Job:
    """The figures of `quality`, by scikit-learn."""
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    truth, guess, classes = results.label, results.prediction, range(len(results.labels))

    def run() -> float:
        accuracy_score(truth, guess)
        confusion_matrix(truth, guess, labels=classes)
        found = {
            average: precision_recall_fscore_support(truth, guess, labels=classes, average=average, zero_division=0)
            for average in (None, "macro", "weighted", "micro")
        }
        return float(found["macro"][2])

    return run


def own_quality(results: ResultSet) -> Job:
    """The monitor's figures of a classifier, without intervals."""

    def run() -> float:
        found = quality(results, None)
        assert found is not None
        return found.mean_f1

    return run


def own_map(results: ResultSet, seed: int | None) -> Job:
    """The monitor's COCO mAP, matches kept."""

    def run() -> float:
        found, _ = detection(results, seed)
        assert found is not None
        return found.map["0.50:0.95"]

    return run


def pycocotools(count: int, classes: int) -> Job:
    """COCO mAP by the reference implementation, without the areas that the monitor does not compute."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = []
    for boxes in scene(count, classes):
        coco = COCO()
        coco.dataset = _coco_format(boxes, count, classes)
        coco.createIndex()
        sides.append(coco)
    return partial(_coco_map, lambda: COCOeval(*sides, "bbox"))


def faster_coco_eval(count: int, classes: int) -> Job:
    """COCO mAP by the C++ implementation, without the areas that the monitor does not compute."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = scene(count, classes)
    coco = COCO(_coco_format(truth, count, classes))
    loaded = coco.loadRes(_coco_format(found, count, classes)["annotations"])
    return partial(_coco_map, lambda: COCOeval_faster(coco, loaded, "bbox"))


def _coco_map(new: Callable[[], Any]) -> float:
    run = new()
    run.params.areaRng, run.params.areaRngLbl = [run.params.areaRng[0]], ["all"]
    run.evaluate()
    run.accumulate()
    return float(run.eval["precision"][:, :, :, 0, -1].mean())


def _coco_format(boxes: dict[str, Any], count: int, classes: int) -> dict[str, Any]:
    score = boxes.get("score", np.zeros(len(boxes["owner"])))
    rows: Iterable[Any] = zip(
        boxes["owner"].tolist(), boxes["label"].tolist(), boxes["xywh"].tolist(), score.tolist(), strict=True
    )
    return {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(count)],
        "categories": [{"id": code, "name": f"class {code:02}"} for code in range(classes)],
        "annotations": [
            {
                "id": k,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "score": value,
            }
            for k, (image, label, box, value) in enumerate(rows, 1)
        ],
    }


MILLION = partial(classifier, 1_000_000, 1, 20, confident=False)
SETS: dict[str, Callable[[], ResultSet]] = {
    "classifier": partial(classifier, 10_000, 10, 20),
    "regression": partial(regressor, 10_000, 10),
    "anomaly": partial(anomalies, 10_000, 10),
    "detector": partial(detector, 10_000, 20),
    "classifier-1000": partial(classifier, 30_000, 1, 1000),
    "detector-1000": partial(detector, 30_000, 1000),
}
JOBS: dict[str, Callable[[], Job]] = {
    "million": lambda: own_quality(MILLION()),
    "million bare": lambda: bare_count(MILLION()),
    "million scikit-learn": lambda: scikit_learn(MILLION()),
    **{name: lambda made=made: evaluated(made()) for name, made in SETS.items()},
    **{f"{name} bare": lambda made=made: evaluated(made(), None) for name, made in SETS.items()},
    "map": lambda: own_map(detector(5000, 20), None),
    "map interval": lambda: own_map(detector(5000, 20), 1),
    "map faster-coco-eval": lambda: faster_coco_eval(5000, 20),
    "map pycocotools": lambda: pycocotools(5000, 20),
    "compare classifier-1000": lambda: compared(run := SETS["classifier-1000"](), retrained(run)),
    "compare detector-1000": lambda: compared(SETS["detector-1000"](), detector(30_000, 1000, 0.02)),
}
LONG = 1.0  # seconds; a shorter job is run again, to take its fastest


def measure(name: str) -> dict[str, float]:
    """Run a job: its seconds, its peak and its answer."""
    with contextlib.redirect_stdout(io.StringIO()):
        run = JOBS[name]()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from the present size
        before = _status("VmRSS")
        taken: list[float] = []
        while sum(taken) < LONG and len(taken) < 10:
            started = time.process_time()
            answer = run()
            taken.append(time.process_time() - started)
    return {"seconds": min(taken), "megabytes": (_status("VmHWM") - before) / 1024, "answer": answer}


def _status(key: str) -> int:
    """A value of /proc/self/status in kB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    share_heap()  # as the service does
    print(json.dumps(measure(sys.argv[1])))
