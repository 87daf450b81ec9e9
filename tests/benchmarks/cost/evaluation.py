"""What figures, their intervals and a comparison cost, beside a bare NumPy count, scikit-learn, faster-coco-eval and
pycocotools.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from tests.benchmarks._rows import Row
from tests.benchmarks.cost.section import Section

ROUNDS = 5
COUNT = 1.2  # times the bare count
INTERVALS = 0.1  # seconds
MEMORY = 250  # MB
COMPARISON = 5.0  # seconds

Measured = dict[str, dict[str, float]]


def alternate(jobs: Sequence[str], rounds: int) -> Measured:
    """The medians of jobs that are run in turn, each in a process of its own with BLAS on one thread, as the service
    has it.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    found: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(rounds):
        for job in jobs:
            command = [sys.executable, "-m", "tests.benchmarks.cost.evaluation_jobs", job]
            ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            found[job].append(json.loads(ended.stdout))
    return {job: {key: median(each[key] for each in several) for key in several[0]} for job, several in found.items()}


def row(cell: str, found: Measured, ours: str, peer: str, intended: str = "", holds: bool | None = None) -> Row:
    """Ours beside a peer."""
    own, other = found[ours], found[peer]
    return Row(
        cell,
        [
            f"{own['seconds'] * 1e3:,.1f}",
            f"{other['seconds'] * 1e3:,.1f}",
            f"{own['seconds'] / other['seconds']:.3g}",
            f"{own['megabytes']:.0f}",
            f"{other['megabytes']:.0f}",
        ],
        intended,
        holds,
    )


def rows(quick: bool) -> Iterator[Row]:
    """Each cell as soon as it is known; `quick` measures each once, and no detector of 1,000 classes."""
    rounds = 1 if quick else ROUNDS
    yield from _count(rounds)
    yield from _intervals(rounds)
    yield from _map(rounds)
    yield from _many_classes(1 if quick else 3, detector=not quick)


def _count(rounds: int) -> Iterator[Row]:
    found = alternate(["million", "million bare"], rounds) | alternate(["million scikit-learn"], 1)
    ratio = found["million"]["seconds"] / found["million bare"]["seconds"]
    name = "1,000,000 windows, 20 classes, without intervals"
    yield row(f"{name}; bare NumPy count", found, "million", "million bare", f"≤ {COUNT} times", ratio <= COUNT)
    yield row(f"{name}; scikit-learn", found, "million", "million scikit-learn")


def _intervals(rounds: int) -> Iterator[Row]:
    for kind in ("classifier", "regression", "anomaly"):
        found = alternate([kind, f"{kind} bare"], rounds)
        cell = f"10,000 samples × 10 windows, {kind}, all intervals; without intervals"
        intended = f"≤ {INTERVALS * 1e3:.0f} ms"
        yield row(cell, found, kind, f"{kind} bare", intended, found[kind]["seconds"] <= INTERVALS)
    found = alternate(["detector", "detector bare"], rounds)
    yield row("10,000 images, 100,000 boxes, all intervals; without intervals", found, "detector", "detector bare")


def _map(rounds: int) -> Iterator[Row]:
    others = ("map faster-coco-eval", "map pycocotools")
    found = alternate(["map", *others], rounds) | alternate(["map interval"], rounds)
    for other in others:
        apart = abs(found[other]["answer"] - found["map"]["answer"])
        name = other.removeprefix("map ")
        yield row(
            f"COCO mAP, 5,000 images, 50,000 boxes; {name}, whose mAP differs by {apart:.0e}", found, "map", other
        )
    yield row("the same with its interval; faster-coco-eval without one", found, "map interval", others[0])


def _many_classes(rounds: int, *, detector: bool) -> Iterator[Row]:
    for kind in ("classifier-1000", *(("detector-1000",) if detector else ())):
        name = f"30,000 images, 1,000 classes, {kind.partition('-')[0]}"
        found = alternate([kind, f"{kind} bare"], rounds)
        small = found[kind]["megabytes"] < MEMORY
        yield row(f"{name}, all intervals; without", found, kind, f"{kind} bare", f"< {MEMORY} MB", small)
        comparison = f"compare {kind}"
        found |= alternate([comparison], rounds)
        holds = found[comparison]["seconds"] < COMPARISON and found[comparison]["megabytes"] < MEMORY
        intended = f"< {COMPARISON:g} s, < {MEMORY} MB"
        yield row(f"{name}, comparison of two runs; evaluation", found, comparison, kind, intended, holds)


SECTION = Section(
    "Figures and comparisons; behind the semicolon what they stand beside. CPU is that of a process's "
    "fastest run, of up to ten within a second, and of several processes the median. Peaks are memory beyond the "
    "columns themselves (240 MB of confidences for 30,000 windows of 1,000 classes).",
    ("CPU, ms", "beside, CPU, ms", "ratio", "peak, MB", "beside, peak, MB"),
    rows,
)
