"""Sequences of detectors' result sets whose history is known: pictures with named objects, and what a model finds on
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from monitor.results import BlockKind, ResultSet
from tests.compare.change_oracle import (
    DETECTOR,
    FOMO,
    SIDE,
    Figure,
    Run,
    Window,
    by_boxes,
    by_points,
    coco_map,
    columns,
    image_f1,
)
from tests.compare.sequence_truth import ALMOST_ALL, FEWEST

SIZE = 20  # of every object, in pixels
# centres, further apart than FOMO's matching reaches
PLACES = [(x, y) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)]
CHANCE = 0.85  # of an object to be found
LOWEST = 0.3  # score that the model gives: what is below the threshold of the day no result set shows

Object = tuple[str, float, float]
Found = tuple[str, float, float, float]


@dataclass(frozen=True)
class Picture:
    """Labelled objects by name and centre, and what the model finds, with a score."""

    objects: tuple[Object, ...]
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Gallery:
    """Pictures by sample id, and the model.

    Attributes:
        kind: FOMO or detection of boxes.
        classes: That the model was trained on, sorted: FOMO's numbers are their places, from 1.
        same: Today's name of each renamed class by its first one.
        next_id: Of the next picture.
    """

    pictures: Mapping[int, Picture]
    kind: BlockKind
    classes: tuple[str, ...] = ("cup", "dot", "egg")
    min_score: float = 0.5
    trained: float = 1000.0
    same: Mapping[str, str] = field(default_factory=dict)
    next_id: int = 1

    def run(
        self,
        names: Mapping[str, str] | None = None,
        numbers: tuple[str, ...] | None = None,
        min_score: float | None = None,
    ) -> Run:
        """The windows; optionally by other names, with the class numbers of another training, and under another
        threshold.
        """
        names, known = names or {}, numbers or self.classes
        limit = self.min_score if min_score is None else min_score

        def window(picture: Picture) -> Window:
            objects = [(names.get(name, name), x, y) for name, x, y in picture.objects]
            found = [(names.get(name, name), x, y, score) for name, x, y, score in picture.found if score >= limit]
            return Window(
                truth=tuple(
                    (name, x * SIDE - SIZE / 2, y * SIDE - SIZE / 2, float(SIZE), float(SIZE)) for name, x, y in objects
                ),
                detections=tuple(
                    ((name, x - SIZE / SIDE / 2, y - SIZE / SIDE / 2, SIZE / SIDE, SIZE / SIDE), score)
                    for name, x, y, score in found
                ),
                true_points=tuple((known.index(name) + 1, x, y) for name, x, y in objects),
                points=tuple((known.index(name) + 1, x, y) for name, x, y, _ in found),
            )

        return {number: [window(picture)] for number, picture in self.pictures.items()}

    def results(self) -> ResultSet:
        """The result set."""
        block = replace(FOMO if self.kind is BlockKind.FOMO else DETECTOR, thresholds={"min_score": self.min_score})
        return columns(self.run(), block)


def gallery(rng: np.random.Generator, kind: BlockKind, pictures: int = 120) -> Gallery:
    """A new project."""
    empty = Gallery({}, kind)
    return _with_new(empty, rng, [_objects(rng, empty.classes) for _ in range(pictures)])


def causes(before: Gallery, after: Gallery) -> dict[str, float]:
    """The change of mAP (FOMO: of mean F1) and its parts, by pycocotools and plain loops.

    Boxes below the earlier threshold are in no result set: where the later one is lower, all is the thresholds' if it
    is the same training, else they are one part with the model.
    """
    figure: Figure = image_f1 if before.kind is BlockKind.FOMO else coco_map
    judge = by_points if before.kind is BlockKind.FOMO else by_boxes
    everything = tuple(sorted({*before.classes, *after.classes}))
    shared = sorted(before.pictures.keys() & after.pictures.keys())

    def windows(run: Run, numbers: list[int]) -> list[Window]:
        return [run[number][0] for number in numbers]

    def value(windows: list[Window]) -> float:
        found = figure(windows)
        assert found is not None
        return found

    names = _renamed(before, after, shared)
    old, new = before.run(names, everything), after.run(numbers=everything)
    tight = before.run(names, everything, after.min_score)
    mine, theirs = windows(old, shared), windows(new, shared)
    f_b, f_c = value(windows(old, sorted(old))), value(windows(new, sorted(new)))
    if len(shared) < FEWEST:
        return {"total": f_c - f_b}
    own, model = value(mine), value(theirs)
    judged, tightened = (
        value([judge(mine, other) for mine, other in zip(windows(run, shared), theirs, strict=True)])
        for run in (old, tight)
    )
    parts = {"total": f_c - f_b, "removed": own - f_b, "labels": judged - own, "added": f_c - model}
    if after.min_score < before.min_score and after.trained != before.trained:
        return parts | {"model": model - judged}
    return parts | {"thresholds": tightened - judged, "model": model - tightened}


def _renamed(before: Gallery, after: Gallery, shared: list[int]) -> dict[str, str]:
    """Of the renamed classes those that can be told: almost all their objects, and almost none
    else, have the new name.
    """
    found = {}
    pairs = [
        (old[0], new[0])
        for number in shared
        for old, new in zip(before.pictures[number].objects, after.pictures[number].objects, strict=True)
    ]
    for old, new in after.same.items():
        both = pairs.count((old, new))
        if both >= ALMOST_ALL * max(sum(name == old for name, _ in pairs), sum(name == new for _, name in pairs)):
            found[old] = new
    return found


def _objects(rng: np.random.Generator, classes: tuple[str, ...]) -> tuple[Object, ...]:
    places = rng.permutation(len(PLACES))[: rng.integers(1, 4)]
    return tuple((str(rng.choice(classes)), *PLACES[place]) for place in places)


def _found(rng: np.random.Generator, objects: tuple[Object, ...], chance: float) -> tuple[Found, ...]:
    moved = [
        (name, x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03), rng.uniform(LOWEST, 1))
        for name, x, y in objects
    ]
    return tuple(each for each in moved if rng.random() < chance)


def _with_new(
    before: Gallery, rng: np.random.Generator, objects: list[tuple[Object, ...]], chance: float = CHANCE
) -> Gallery:
    new = {before.next_id + place: Picture(each, _found(rng, each, chance)) for place, each in enumerate(objects)}
    return replace(before, pictures={**before.pictures, **new}, next_id=before.next_id + len(new))


def retrain(
    before: Gallery, rng: np.random.Generator, chance: float = CHANCE, classes: tuple[str, ...] | None = None
) -> Gallery:
    """Another training, whose classes are those of the labels."""
    pictures = {
        number: replace(each, found=_found(rng, each.objects, chance)) for number, each in before.pictures.items()
    }
    known = {name for each in pictures.values() for name, *_ in each.objects}
    return replace(before, pictures=pictures, trained=before.trained + 1000, classes=tuple(sorted(known)))


def add_class(before: Gallery, rng: np.random.Generator) -> Gallery:
    """New pictures with a class that sorts first, and a training that learns it: every number is another."""
    return retrain(_with_new(before, rng, [_objects(rng, ("ant", *before.classes)) for _ in range(20)]), rng)


def drop_class(before: Gallery, rng: np.random.Generator) -> Gallery:
    """Every picture with the class that sorts first goes, and a training forgets it."""
    first = before.classes[0]
    kept = {
        number: each for number, each in before.pictures.items() if first not in {name for name, *_ in each.objects}
    }
    return retrain(replace(before, pictures=kept), rng)


def rename_class(before: Gallery, rng: np.random.Generator) -> Gallery:
    """A class gets a name that sorts last, and a training learns it: with it the other numbers change."""
    old, new = before.classes[0], f"zebra {len(before.same)}"
    pictures = {
        number: replace(each, objects=tuple((new if name == old else name, x, y) for name, x, y in each.objects))
        for number, each in before.pictures.items()
    }
    return retrain(replace(before, pictures=pictures, same={**before.same, old: new}), rng)


def relabel(before: Gallery, rng: np.random.Generator, share: float = 0.1) -> Gallery:
    """Objects get the name of another class that there is already."""

    def other(name: str) -> str:
        return str(rng.choice([each for each in before.classes if each != name])) if rng.random() < share else name

    pictures = {
        number: replace(each, objects=tuple((other(name), x, y) for name, x, y in each.objects))
        for number, each in before.pictures.items()
    }
    return replace(before, pictures=pictures)


def set_threshold(before: Gallery, rng: np.random.Generator, value: float) -> Gallery:
    """Another least score."""
    return replace(before, min_score=value)


def add(before: Gallery, rng: np.random.Generator, chance: float = CHANCE) -> Gallery:
    """New pictures."""
    return _with_new(before, rng, [_objects(rng, before.classes) for _ in range(15)], chance)


def remove(before: Gallery, rng: np.random.Generator) -> Gallery:
    """Pictures go."""
    gone = set(rng.choice(sorted(before.pictures), 12, replace=False).tolist())
    return replace(before, pictures={number: each for number, each in before.pictures.items() if number not in gone})


OPERATIONS: Mapping[str, tuple[frozenset[str], Callable[[Gallery, np.random.Generator], Gallery]]] = {
    "trained again": (frozenset({"model"}), retrain),
    "trained with a loss": (frozenset({"model"}), partial(retrain, chance=0.5)),
    "class added": (frozenset({"model", "added"}), add_class),
    "class dropped": (frozenset({"model", "removed"}), drop_class),
    "class renamed": (frozenset({"model"}), rename_class),
    "relabelled": (frozenset({"labels"}), relabel),
    "threshold raised": (frozenset({"thresholds"}), partial(set_threshold, value=0.7)),
    "threshold lowered": (frozenset({"thresholds"}), partial(set_threshold, value=0.35)),
    "pictures added": (frozenset({"added"}), add),
    "harder pictures added": (frozenset({"added"}), partial(add, chance=0.4)),
    "pictures removed": (frozenset({"removed"}), remove),
}
"""By what happened: the causes that it can move, and what it does."""
