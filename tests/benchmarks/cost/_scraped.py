"""One side of the benchmark of scrapes, in a process of its own: `… cost._scraped SIDE TARGETS` prints what each
cell costs as JSON: seconds of CPU, or bytes of memory at the peak, and the size of the body.

Sides: `monitor` and `library` for CPU, `memory` for the monitor's memory.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from monitor.alerts.rules import built_in
from monitor.exposition import Renderer, ServiceMetrics, SnapshotCollector, Sources
from monitor.exposition.compression import LEVEL
from monitor.figures.evaluation import Calibration, ClassFigures, Evaluation, Interval, Slice
from monitor.figures.groups import UnitChoice
from monitor.live.live import Live
from monitor.results import Block, BlockKind
from tests import factories
from tests.exposition.exposition_boards import NOW, board, snapshot, target

SERIES = 84
"""Of a target: a classifier with four classes."""
CLASSES = ("idle", "snake", "updown", "wave")
CHANGES = {"nothing": 0.0, "5 %": 0.05, "everything": 1.0}
"""Which part of the targets has other results at each scrape."""
FORMATS = {"text": "", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}
ENCODINGS = {"plain": "", "gzip": "gzip"}
RULES = built_in()[:4]

Costs = dict[str, tuple[float, int]]
"""By cell: what it costs, and bytes of the body."""


class Fleet:
    """Targets of which some get other results.

    Args:
        targets: How many; four of each project.
    """

    def __init__(self, targets: int) -> None:
        self._random = random.Random(7)
        names = [target(10000 + n // 4, n % 4 + 1, project=f"vibration {n // 4}", team="edge") for n in range(targets)]
        more: dict[str, Any] = {"trained": NOW, "impulse_stale": False, "last_change": NOW}
        self.live: Live = board(*(snapshot(of, self._results(), **more) for of in names))
        self._spare = [self._results() for _ in names]  # made before anything is measured
        for live_target in self.live.targets.values():
            live_target.rules = RULES
        self.sources = Sources(self.live, clock=lambda: NOW)

    def change(self, share: float) -> None:
        """So many of the targets are pulled and have other results."""
        for of in self._random.sample(list(self.live.targets.values()), round(share * len(self.live.targets))):
            assert of.snapshot is not None and of.snapshot.evaluation is not None
            evaluation, last_pull = self._spare.pop(0), of.snapshot.last_pull + 1
            self._spare.append(of.snapshot.evaluation)
            of.show(replace(of.snapshot, evaluation=evaluation, last_pull=last_pull, last_success=last_pull))

    def _results(self) -> Evaluation:
        number = self._random.random
        classes = {
            name: ClassFigures(number(), number(), number(), 100, Interval(number(), number())) for name in CLASSES
        }
        confusion = {(name, predicted): round(100 * number()) for name in CLASSES for predicted in CLASSES}
        quality = factories.quality(
            number(),
            balanced_accuracy=number(),
            mean_f1=number(),
            f1={"macro": number(), "weighted": number(), "micro": number()},
            classes=classes,
            confusion=confusion,
            accuracy_interval=Interval(number(), number()),
            mean_f1_interval=Interval(number(), number()),
        )
        block = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})
        units = {"accuracy": UnitChoice("group", 24, number(), 1 + number(), 1.9)}
        return factories.evaluation(
            samples=100,
            windows=400,
            quality=quality,
            blocks=(block,),
            units=units,
            calibration=Calibration(number(), number(), number(), number(), number()),
            slices={("metadata.site", "lab"): Slice(number(), 200)},
        )


class Rendered(Collector):
    """Families that were collected before: what is left is the rendering."""

    def __init__(self, *collectors: Collector) -> None:
        self._families = [family for each in collectors for family in each.collect()]

    def collect(self) -> Iterable[prometheus_client.Metric]:
        return self._families


def cells() -> Iterator[tuple[str, str, str]]:
    """Each cell: what changes, format, encoding."""
    return ((change, form, encoding) for form in FORMATS for encoding in ENCODINGS for change in CHANGES)


def name(*cell: str) -> str:
    """Of a cell."""
    return ", ".join(cell)


async def monitor(fleet: Fleet, counted: Collector, cost: Callable[[], float], rounds: int) -> Costs:
    """The monitor's scrapes: of each cell the median of `rounds` costs."""
    renderer = Renderer(counted, fleet.sources, max_age=0.0)
    found: Costs = {}
    for cell in cells():
        change, form, encoding = cell
        await renderer.render(FORMATS[form], ENCODINGS[encoding])
        costs, size = [], 0
        for _ in range(rounds):
            fleet.change(CHANGES[change])
            gc.collect()
            before = cost()
            body, _ = await renderer.render(FORMATS[form], ENCODINGS[encoding])
            size = sum(map(len, body))  # part by part, as they are sent
            costs.append(cost() - before)
            del body
        found[name(*cell)] = sorted(costs)[len(costs) // 2], size
    return found


def library(fleet: Fleet, counted: Collector) -> Costs:
    """The client library's rendering of the same families, however many of them changed."""
    families = Rendered(counted, SnapshotCollector(fleet.sources))
    series = sum(len(family.samples) for family in families.collect() if family.name.startswith("edge_impulse"))
    assert series == SERIES * len(fleet.live.targets), series / len(fleet.live.targets)
    found: Costs = {}
    for form, accept in FORMATS.items():
        for encoding in ENCODINGS:
            encoder, _ = choose_encoder(accept)
            before = time.process_time()
            body = encoder(families)
            if encoding == "gzip":
                body = gzip.compress(body, LEVEL)
            cost = time.process_time() - before
            found |= {name(change, form, encoding): (cost, len(body)) for change in CHANGES}
    return found


def memory(fleet: Fleet, counted: Collector) -> Costs:
    """The peak of all that the monitor's exposition holds, in bytes, while it is scraped in every format."""
    gc.collect()
    tracemalloc.start()
    size = max(size for _, size in asyncio.run(monitor(fleet, counted, lambda: 0.0, 2)).values())
    _, peak = tracemalloc.get_traced_memory()
    return {"peak": (peak, size)}


def main(side: str, targets: str) -> None:
    """Measure a side."""
    fleet = Fleet(int(targets))
    counted = CollectorRegistry()
    ServiceMetrics(counted, live=fleet.live)
    if side == "monitor":
        found = asyncio.run(monitor(fleet, counted, time.process_time, 3))
    else:
        found = {"library": library, "memory": memory}[side](fleet, counted)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
