"""COCO mAP of 5,000 images with 50,000 boxes: the monitor beside faster-coco-eval and pycocotools.

Run it as a program: `python tests/benchmarks/detection.py [images] [rounds]`. Every tool gets the same boxes in its own
form, in a process of its own, round after round in turn. Only the evaluation is measured (best of the rounds), not the
building of the inputs; the others are told to skip what the monitor does not compute (areas other than `all`), except
in the rows marked `default`. Memory is the growth of the peak resident size during the evaluation, read from Linux's
/proc.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 20
SIDE = 640

Scene = tuple[dict[str, Any], dict[str, Any]]


def scene(images: int, seed: int = 1) -> Scene:
    """About four objects and six detections per image, as columns: truth and detections, in pixels."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), rng.poisson(4, images))
    label = rng.integers(0, CLASSES, len(owner))
    xywh = np.concatenate(
        [rng.uniform(0, SIDE * 0.7, (len(owner), 2)), rng.uniform(20, SIDE * 0.3, (len(owner), 2))], axis=1
    )
    seen = np.flatnonzero(rng.random(len(owner)) < 0.85)
    jittered = xywh[seen] * rng.normal(1, 0.06, (len(seen), 4))
    extra = np.repeat(np.arange(images), rng.poisson(2.6, images))
    noise = np.concatenate(
        [rng.uniform(0, SIDE * 0.7, (len(extra), 2)), rng.uniform(20, SIDE * 0.3, (len(extra), 2))], axis=1
    )
    found = np.concatenate([owner[seen], extra])
    order = np.argsort(found, kind="stable")
    detections = {
        "owner": found[order],
        "label": np.concatenate([label[seen], rng.integers(0, CLASSES, len(extra))])[order],
        "xywh": np.concatenate([jittered, noise])[order],
        "score": np.round(np.concatenate([rng.beta(5, 2, len(seen)), rng.beta(2, 4, len(extra))]), 3)[order],
    }
    return {"owner": owner, "label": label, "xywh": xywh}, detections


def monitor(images: int) -> Callable[[], dict[str, float]]:
    """The evaluation by the monitor, matches kept."""
    return _monitor(images, None)


def monitor_with_interval(images: int) -> Callable[[], dict[str, float]]:
    """The same with the 95 % interval, a bootstrap of 200 replicates."""
    return _monitor(images, 1)


def _monitor(images: int, seed: int | None) -> Callable[[], dict[str, float]]:
    from monitor.figures.detection import detection
    from monitor.results import Block, BlockKind, Boxes
    from tests.factories import images as result_set

    truth, found = scene(images)
    results = result_set(
        images,
        blocks=(Block(1, "keras-object-detection", BlockKind.DETECTION),),
        labels=tuple(f"class {code:02}" for code in range(CLASSES)),
        image_size=np.full((images, 2), SIDE),
        truth=Boxes(**truth),
        detections=Boxes(**{**found, "xywh": found["xywh"] / SIDE}),
    )

    def run() -> dict[str, float]:
        figures, _ = detection(results, seed)
        assert figures is not None
        return dict(figures.map)

    return run


def pycocotools(images: int) -> Callable[[], dict[str, float]]:
    """The reference implementation."""
    return _pycocotools(images, default=False)


def pycocotools_default(images: int) -> Callable[[], dict[str, float]]:
    """The reference implementation with all its areas."""
    return _pycocotools(images, default=True)


def faster_coco_eval(images: int) -> Callable[[], dict[str, float]]:
    """The C++ implementation."""
    return _faster_coco_eval(images, default=False)


def faster_coco_eval_default(images: int) -> Callable[[], dict[str, float]]:
    """The C++ implementation with all its areas."""
    return _faster_coco_eval(images, default=True)


def _pycocotools(images: int, *, default: bool) -> Callable[[], dict[str, float]]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = []
    for boxes in scene(images):
        coco = COCO()
        coco.dataset = _coco_format(boxes, images)
        coco.createIndex()
        sides.append(coco)
    return lambda: _evaluate(COCOeval(*sides, "bbox"), default=default)


def _faster_coco_eval(images: int, *, default: bool) -> Callable[[], dict[str, float]]:
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = scene(images)
    coco = COCO(_coco_format(truth, images))
    loaded = coco.loadRes(_coco_format(found, images)["annotations"])
    return lambda: _evaluate(COCOeval_faster(coco, loaded, "bbox"), default=default)


def _coco_format(boxes: dict[str, Any], images: int) -> dict[str, Any]:
    score = boxes.get("score", np.zeros(len(boxes["owner"])))
    rows = zip(boxes["owner"].tolist(), boxes["label"].tolist(), boxes["xywh"].tolist(), score.tolist(), strict=True)
    return {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(images)],
        "categories": [{"id": code, "name": f"class {code:02}"} for code in range(CLASSES)],
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


def _evaluate(run: Any, *, default: bool) -> dict[str, float]:
    if not default:
        run.params.areaRng, run.params.areaRngLbl = [run.params.areaRng[0]], ["all"]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return {
        "0.50:0.95": float(precision.mean()),
        "0.50": float(precision[0].mean()),
        "0.75": float(precision[5].mean()),
    }


TOOLS = (monitor, monitor_with_interval, faster_coco_eval, faster_coco_eval_default, pycocotools, pycocotools_default)


def measure(tool: str, images: int) -> None:
    """One evaluation in this process: seconds, growth of the peak memory in MB, and the mAP, as JSON on stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        globals()[tool](200)()  # imports and first calls are not what is measured
        run = globals()[tool](images)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from the present size
        before = _status("VmRSS")
        started = time.perf_counter()
        maps = run()
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "megabytes": (_status("VmHWM") - before) / 1024, "map": maps}))


def _status(key: str) -> int:
    """A value of /proc/self/status in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main(images: int = 5000, rounds: int = 3) -> None:
    """Run every tool in turn and print a table with ratios to the monitor."""
    truth, found = scene(images)
    print(
        f"{images:,} images, {len(truth['owner']):,} labelled and {len(found['owner']):,} predicted boxes, {CLASSES} "
        "classes"
    )
    best: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for tool in TOOLS:
            command = [sys.executable, "-m", "tests.benchmarks.detection", tool.__name__, str(images)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            known = best.setdefault(tool.__name__, row)
            known["seconds"] = min(known["seconds"], row["seconds"])
            known["megabytes"] = min(known["megabytes"], row["megabytes"])
    base = best["monitor"]
    print(f"{'':26}{'seconds':>9}{'ratio':>8}{'peak MB':>9}{'ratio':>8}{'mAP':>8}  difference")
    for name, row in best.items():
        apart = max(abs(row["map"][iou] - value) for iou, value in base["map"].items())
        print(
            f"{name:26}{row['seconds']:9.3f}{row['seconds'] / base['seconds']:8.1f}{row['megabytes']:9.1f}"
            f"{row['megabytes'] / base['megabytes']:8.1f}{row['map']['0.50:0.95']:8.4f}  {apart:.1e}"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
