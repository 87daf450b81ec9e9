"""Runs of object detectors, of boxes and of FOMO, alike within days; their truth is the mean of very many sets."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from monitor.figures import EvaluationSettings, evaluate
from monitor.figures.counts import BoolArray
from monitor.figures.evaluation import Interval
from monitor.results import CORRECT, WRONG, Block, BlockKind, Boxes, FomoCounts, IntArray, Points, ResultSet
from tests.benchmarks.believe.intervals import gaps, intervals
from tests.benchmarks.believe.sets import ALIKE, WORSE, Population
from tests.factories import images

DETECTOR = Block(5, "keras-object-detection", BlockKind.DETECTION, "Boxes", {"min_score": 0.5})
FOMO = Block(6, "keras-object-detection", BlockKind.FOMO, "FOMO", {"min_score": 0.5})

CLASSES = 3
MORE_OBJECTS = 1.5
"""Of an image beyond the first, on average: as in a Poisson distribution."""
EXTRA = 0.2
"""Detections of an image where nothing is, on average."""
SIDE = 0.2
"""Of a box, as a share of the image; boxes stand apart."""
JITTER = 0.05
"""By what share of its side a detection is off, as a standard deviation."""
LARGE = 50_000
"""Images of the sets whose mean figures are taken for the truth: its standard error is a seventh of that of one set of
1,000.
"""


@dataclass(frozen=True)
class Images:
    """What sets are drawn from: runs of a model, and of a variant of it on the same images.

    Attributes:
        samples: Of a set, with one image each.
        missed: Share of the objects that are not found; the variant misses `WORSE` times as many.
        icc: Correlation of objects of one day, in the latent variable.
    """

    samples: int
    missed: float
    icc: float = 0.0

    def truths(self) -> dict[str, float]:
        """What each interval is of: a mAP is that of sets of as many images, for it sinks as sets grow."""
        return _truths(self.samples, self.missed)

    def intervals(self, number: int) -> Iterator[tuple[str, Interval]]:
        """Those of a set of boxes and one of FOMO's, and those of the gaps to the variants."""
        rng = np.random.default_rng([number, self.samples])
        for kind, runs in (("boxes", self.boxes(rng)), ("fomo", self.fomo(rng))):
            for figure, interval in intervals(evaluate(runs[0], EvaluationSettings(), number)):
                yield f"{kind} {figure}", interval
            for figure, interval in gaps(*runs, number):
                yield f"{kind} {figure}", interval

    def boxes(self, rng: np.random.Generator) -> tuple[ResultSet, ResultSet]:
        """Runs of a detector of boxes: what is found is off by some pixels, and has its own confidence."""
        objects = self._objects(rng)
        owner = objects.image
        place = np.arange(len(owner)) - np.searchsorted(owner, owner)
        corner = np.stack([place % 4, place // 4 % 4], axis=1) / 4 + 0.02  # sixteen places; later ones overlap
        truth = np.concatenate([corner, np.full((len(owner), 2), SIDE)], axis=1)

        def run(seen: BoolArray) -> ResultSet:
            found = truth[seen] + SIDE * JITTER * rng.normal(size=(int(seen.sum()), 4))
            extra = rng.integers(0, self.samples, rng.poisson(EXTRA * self.samples))
            wrong = np.concatenate([rng.uniform(0, 1 - SIDE, (len(extra), 2)), np.full((len(extra), 2), SIDE)], axis=1)
            of = np.concatenate([owner[seen], extra])
            order = np.argsort(of, kind="stable")
            label = np.concatenate([objects.label[seen], rng.integers(0, CLASSES, len(extra))])
            score = np.concatenate([rng.beta(6, 2, len(found)), rng.beta(3, 3, len(extra))])
            perfect = (self._count(owner[~seen]) == 0) & (self._count(extra) == 0)
            return images(
                self.samples,
                blocks=(DETECTOR,),
                labels=tuple(f"{number:02}" for number in range(CLASSES)),
                added=self._population(1).columns()["added"],
                correct=np.where(perfect, CORRECT, WRONG).astype(np.int8),
                image_size=np.full((self.samples, 2), 100),
                truth=Boxes(owner, objects.label, 100 * truth),
                detections=Boxes(of[order], label[order], np.concatenate([found, wrong])[order], score[order]),
            )

        return run(objects.found[0]), run(objects.found[1])

    def fomo(self, rng: np.random.Generator) -> tuple[ResultSet, ResultSet]:
        """Runs of FOMO's, with the counts of its own matching."""
        objects = self._objects(rng)

        def run(seen: BoolArray) -> ResultSet:
            hits, missed = self._count(objects.image[seen]), self._count(objects.image[~seen])
            extra = rng.poisson(EXTRA, self.samples)
            nothing = Points.none()
            return images(
                self.samples,
                blocks=(FOMO,),
                added=self._population(1).columns()["added"],
                correct=np.where(missed + extra == 0, CORRECT, WRONG).astype(np.int8),
                fomo=FomoCounts(hits, extra, missed, np.full(self.samples, np.nan), nothing, nothing),
            )

        return run(objects.found[0]), run(objects.found[1])

    def _objects(self, rng: np.random.Generator) -> _Objects:
        count = 1 + rng.poisson(MORE_OBJECTS, self.samples)
        most = int(count.max())
        image = np.repeat(np.arange(self.samples), count)
        there = np.arange(most) < count[:, None]
        population = self._population(most)
        first, other = (population.latent(rng).reshape(self.samples, most)[there] for _ in range(2))
        second = ALIKE * first + math.sqrt(1 - ALIKE**2) * other
        found = first > stats.norm.ppf(self.missed), second > stats.norm.ppf(WORSE * self.missed)
        return _Objects(image, rng.integers(0, CLASSES, len(image)), found)

    def _population(self, objects: int) -> Population:
        return Population(self.samples, objects, icc=self.icc)

    def _count(self, image: IntArray) -> IntArray:
        return np.bincount(image, minlength=self.samples)


@dataclass(frozen=True, eq=False)
class _Objects:
    """Each object's image, ascending, and class (int[k]), and whether either model finds it (bool[k])."""

    image: IntArray
    label: IntArray
    found: tuple[BoolArray, BoolArray]


@cache
def _truths(samples: int, missed: float) -> dict[str, float]:
    """The mean figures of many sets, whose samples are not alike."""
    drawn = Images(samples, missed)
    totals: dict[str, float] = defaultdict(float)
    sets = LARGE // samples
    for number in range(sets):
        rng = np.random.default_rng([number, samples, 1])
        for kind, runs in (("boxes", drawn.boxes(rng)), ("fomo", drawn.fomo(rng))):
            figures = [_figures(run) for run in runs]
            for name, value in figures[0].items():
                totals[f"{kind} {name}"] += value / sets
                totals[f"{kind} {name} gap"] += (value - figures[1][name]) / sets
    return dict(totals)


def _figures(run: ResultSet) -> dict[str, float]:
    """The figures that may have an interval."""
    found = evaluate(run, EvaluationSettings(), None)
    assert found.detection is not None
    assert found.studio is not None
    named = {"map": found.detection.map.get("0.50:0.95"), "mean_f1": found.detection.mean_f1}
    known = {"accuracy": found.studio.accuracy, **named}
    return {name: value for name, value in known.items() if value is not None}
