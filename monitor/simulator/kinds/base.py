"""What all kinds of project share: a `Kind` turns random draws and a model's state into one evaluated sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from monitor.simulator.ground import Block, Box, Threshold, Window

Rng = np.random.Generator
DataType = Literal["image", "audio", "motion"]

UNCERTAIN = "uncertain"
ANOMALY = "anomaly"
NO_ANOMALY = "no anomaly"


@dataclass(frozen=True, slots=True)
class Renaming:
    """A class gets another name: all its samples, or (`share` below 1) some, which splits it; a name that exists merges
    two.
    """

    old: str
    new: str
    share: float = 1.0


def renamed(label: str, renamings: tuple[Renaming, ...], part: float) -> str:
    """The label after all renamings, of a sample whose place in [0, 1) decides on which side of a split it is."""
    for renaming in renamings:
        if label == renaming.old and (part < renaming.share or renaming.share >= 1):
            label = renaming.new
    return label


def names_of(label: str, renamings: tuple[Renaming, ...]) -> tuple[str, ...]:
    """All names that samples of one class may have after the renamings, sorted; several where it was split."""
    parts = (0.0, *(renaming.share for renaming in renamings), 1.0)
    return tuple(sorted({renamed(label, renamings, part) for part in parts}))


@dataclass(frozen=True, slots=True)
class Model:
    """One trained variant.

    Attributes:
        quality, jitter: Skill and quantisation noise, in logits.
        scale: A draw of the training around 1.
        threshold, anomaly_threshold: Replace the deciding threshold, and the one of an anomaly block beside a
            classifier.
        renamings: The names its classes had in training, when they differ from the first ones.
        added_classes: Classes it was trained with that the first training did not have.
    """

    quality: float = 0.0
    jitter: float = 0.0
    scale: float = 1.0
    threshold: float | None = None
    anomaly_threshold: float | None = None
    renamings: tuple[Renaming, ...] = ()
    added_classes: tuple[str, ...] = ()

    def classes(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """What the model calls its classes, of which `labels` are the first names; class numbers follow this order,
        from 1.
        """
        if not self.renamings and not self.added_classes:
            return labels
        names = {name for label in labels for name in names_of(label, self.renamings)}
        return tuple(sorted(names | set(self.added_classes)))


@dataclass(frozen=True, slots=True)
class Draw:
    """The chances of one sample.

    Attributes:
        data: The recording's own, the same for every model.
        noise: This training's.
        shift: Distance from what the model was trained on, in standard deviations.
        relabelled: Whether the sample has another label now.
        learned: Whether the model was trained with that label.
        renamings: How the labels' classes are called now.
        part: In [0, 1): on which side of a split the sample is.
    """

    data: Rng
    noise: Rng
    shift: float = 0.0
    relabelled: bool = False
    learned: bool = False
    renamings: tuple[Renaming, ...] = ()
    part: float = 0.0


@dataclass(frozen=True, slots=True)
class Observed:
    """A sample as labelled and as evaluated by a model, still without an identity."""

    label: str
    windows: tuple[Window, ...]
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    label_map: Mapping[str, str] | None = None


class Kind(Protocol):
    """A kind of project. Implementations take all their `data` draws first, so that models differ on equal samples."""

    @property
    def data_type(self) -> DataType:
        """What the samples are."""
        ...

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Labels that mean an anomaly and labels that do not, where the project is set up so."""
        ...

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The learning blocks, with ids from `first_id` on."""
        ...

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One sample and what the model makes of it."""
        ...


def min_score(value: float, what: str = "label") -> Threshold:
    """The threshold below which a prediction does not count."""
    text = f"Threshold score for a {what}. If the score for a {what} is below this it will be discarded."
    return Threshold("min_score", "Score threshold", text, value)


def sigmoid(x: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-x))


def another(index: int, count: int) -> int:
    """The label that a relabelled sample gets."""
    return (index + 1) % count
