"""Object detection: FOMO's centroids on a grid, and a box detector."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from monitor.simulator.ground import Block, Box, ImageScore, Window
from monitor.simulator.kinds.base import DataType, Draw, Model, Observed, another, min_score, renamed, sigmoid
from monitor.simulator.matching import fomo_score, image_map, match_centroids

PASSING = 0.8
"""Per-image score from which Studio counts an image as correct."""


@dataclass(frozen=True)
class _Scene:
    """What is on an image: true boxes in pixels, how hard each is to find, and where a model may
    see what is not there.
    """

    boxes: tuple[Box, ...]
    ease: tuple[float, ...]
    ghosts: tuple[tuple[float, float, int, float], ...]  # x, y (shares), class, how convincing


def _scene(draw: Draw, labels: tuple[str, ...], size: tuple[int, int], mean: float, empty: float) -> _Scene:
    data = draw.data
    none = data.random() < empty
    count = min(int(data.poisson(mean)), 10)
    image_effect = float(data.normal())
    boxes = []
    ease = []
    for _ in range(0 if none else count):
        width, height = (max(int(side * data.uniform(0.1, 0.3)), 4) for side in size)
        x = int(data.integers(size[0] - width))
        y = int(data.integers(size[1] - height))
        boxes.append(Box(labels[int(data.integers(len(labels)))], x, y, width, height))
        ease.append(0.9 * image_effect + 0.9 * float(data.normal()))
    ghosts = [
        (*data.uniform(0.1, 0.9, size=2).tolist(), int(data.integers(len(labels))), float(data.normal()))
        for _ in range(4)
    ]
    if draw.relabelled and boxes:
        first = boxes[0]
        boxes[0] = Box(
            labels[another(labels.index(first.label), len(labels))], first.x, first.y, first.width, first.height
        )
    return _Scene(tuple(boxes), tuple(ease), tuple(ghosts))


def _summary(boxes: tuple[Box, ...]) -> str:
    return ", ".join(sorted({box.label for box in boxes})) or "-"


def _seen_label(draw: Draw, scene: _Scene, labels: tuple[str, ...], index: int) -> str:
    """The class as the model sees it: relabelling changes the truth, not the object, until the model is trained with
    it.
    """
    label = scene.boxes[index].label
    return labels[labels.index(label) - 1] if draw.relabelled and not draw.learned and index == 0 else label


def _truth(draw: Draw, scene: _Scene) -> tuple[Box, ...]:
    """The true boxes under the names that their classes have now."""
    return tuple(replace(box, label=renamed(box.label, draw.renamings, draw.part)) for box in scene.boxes)


def _numbers(classes: tuple[str, ...], boxes: tuple[Box, ...]) -> dict[str, int]:
    """Class numbers from 1; labels that the model does not know come after its own."""
    unknown = sorted({box.label for box in boxes} - set(classes))
    return {name: number for number, name in enumerate((*classes, *unknown), start=1)}


@dataclass(frozen=True)
class Fomo:
    """Centroids in the cells of a grid; `debugInfoJson` is the outcome of Studio's own matching rule."""

    labels: tuple[str, ...] = ("bolt", "nut")
    size: tuple[int, int] = (320, 320)
    cells: int = 12
    objects: float = 3.0
    empty_share: float = 0.08
    skill: float = 2.0
    min_score: float = 0.5
    data_type: DataType = "image"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None."""
        return None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The detector."""
        score = self.min_score if model.threshold is None else model.threshold
        title = "Object Detection (Images)"
        return (
            Block(
                first_id,
                "keras-object-detection",
                "Object detection",
                title,
                (min_score(score, "bounding box"),),
                "fomo",
            ),
        )

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One image."""
        scene = _scene(draw, self.labels, self.size, self.objects, self.empty_share)
        noise = draw.noise
        threshold = self.min_score if model.threshold is None else model.threshold
        cell = 1 / self.cells
        found: dict[tuple[int, int, str], float] = {}

        def see(x: float, y: float, label: str, logit: float) -> None:
            name = renamed(label, model.renamings, draw.part)
            place = (min(max(int(x / cell), 0), self.cells - 1), min(max(int(y / cell), 0), self.cells - 1), name)
            score = round(sigmoid(logit), 4)
            if score >= threshold:
                found[place] = max(found.get(place, 0.0), score)

        for index, box in enumerate(scene.boxes):
            x = (box.x + box.width / 2) / self.size[0]
            y = (box.y + box.height / 2) / self.size[1]
            off = noise.normal(scale=0.03, size=2)
            chance = float(noise.normal())
            twice = noise.random()
            jitter = model.jitter * float(noise.normal())
            logit = self.skill + model.quality - draw.shift + scene.ease[index] + 0.4 * chance + jitter
            label = _seen_label(draw, scene, self.labels, index)
            see(x + off[0], y + off[1], label, logit)
            if twice < 0.15:
                see(x + off[0] + cell, y + off[1], label, logit - 0.5)
        for x, y, ghost, ease in scene.ghosts:
            see(
                x,
                y,
                self.labels[ghost],
                ease - 1.8 - 0.6 * model.quality + 0.8 * draw.shift + 0.4 * float(noise.normal()),
            )

        detections = tuple(
            Box(label, round(column * cell, 6), round(row * cell, 6), round(cell, 6), round(cell, 6), score)
            for (column, row, label), score in sorted(found.items())
        )
        boxes = _truth(draw, scene)
        number = _numbers(model.classes(self.labels), boxes)
        width, height = self.size
        truth = [
            (round((b.x + b.width / 2) / width, 6), round((b.y + b.height / 2) / height, 6), number[b.label])
            for b in boxes
        ]
        predicted = [(round(b.x + b.width / 2, 6), round(b.y + b.height / 2, 6), number[b.label]) for b in detections]
        match = match_centroids(truth, predicted)
        image = fomo_score(match)
        assert image.f1 is not None
        label = _summary(boxes)
        prediction = _summary(detections)
        window = Window(0, 0, label, prediction, image.f1 >= PASSING, detections=detections, image=image, fomo=match)
        return Observed(label, (window,), boxes, self.size)


@dataclass(frozen=True)
class BoxDetector:
    """Boxes with scores; Studio reports a COCO-style mAP per image."""

    labels: tuple[str, ...] = ("forklift", "pallet", "person")
    size: tuple[int, int] = (640, 480)
    last_layer: str = "yolov5"
    block_type: str = "keras-object-detection"
    objects: float = 2.5
    empty_share: float = 0.08
    skill: float = 2.0
    min_score: float = 0.3
    data_type: DataType = "image"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None."""
        return None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The detector."""
        score = self.min_score if model.threshold is None else model.threshold
        title = "Object Detection (Images)"
        return (
            Block(
                first_id,
                self.block_type,
                "Object detection",
                title,
                (min_score(score, "bounding box"),),
                self.last_layer,
            ),
        )

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One image."""
        scene = _scene(draw, self.labels, self.size, self.objects, self.empty_share)
        noise = draw.noise
        threshold = self.min_score if model.threshold is None else model.threshold
        width, height = self.size
        wobble = 0.05 * math.exp(-0.5 * model.quality + 0.5 * draw.shift)
        detections = []
        for index, box in enumerate(scene.boxes):
            off = noise.normal(scale=wobble, size=4)
            chance = float(noise.normal())
            wrong = noise.random()
            jitter = model.jitter * float(noise.normal())
            score = round(
                sigmoid(self.skill + model.quality - draw.shift + scene.ease[index] + 0.4 * chance + jitter), 4
            )
            label = _seen_label(draw, scene, self.labels, index)
            if wrong < 0.06:
                label = self.labels[another(self.labels.index(label), len(self.labels))]
            if score >= threshold:
                shape = (box.width / width, box.height / height)
                corner = (box.x / width + off[0] * shape[0], box.y / height + off[1] * shape[1])
                name = renamed(label, model.renamings, draw.part)
                detections.append(
                    _inside(name, *corner, shape[0] * math.exp(off[2]), shape[1] * math.exp(off[3]), score)
                )
        for x, y, number, ease in scene.ghosts:
            score = round(sigmoid(ease - 2.4 - 0.6 * model.quality + 0.8 * draw.shift + 0.4 * float(noise.normal())), 4)
            if score >= threshold:
                name = renamed(self.labels[number], model.renamings, draw.part)
                detections.append(_inside(name, x, y, 0.15, 0.15, score))
        boxes = _truth(draw, scene)
        shares = [Box(b.label, b.x / width, b.y / height, b.width / width, b.height / height) for b in boxes]
        mean_ap = image_map(shares, detections, len(model.classes(self.labels)))
        found = tuple(detections)
        label = _summary(boxes)
        window = Window(0, 0, label, _summary(found), mean_ap >= PASSING, detections=found, image=ImageScore(mean_ap))
        return Observed(label, (window,), boxes, self.size)


def _inside(label: str, x: float, y: float, width: float, height: float, score: float) -> Box:
    """A box cut to the image, as rounded as on the wire."""
    left, top = np.clip((x, y), 0.0, 0.98).tolist()
    return Box(
        label, round(left, 6), round(top, 6), round(min(width, 1 - left), 6), round(min(height, 1 - top), 6), score
    )
