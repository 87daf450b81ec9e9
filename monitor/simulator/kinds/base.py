"""What all kinds of project share: a `Kind` turns random draws and a model's state into one judged sample."""

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
ANOMALY, NO_ANOMALY = "anomaly", "no anomaly"


@dataclass(frozen=True, slots=True)
class Model:
    """One trained variant: `quality` and `jitter` (quantisation noise) in logits, `scale` a draw of the training around 1."""

    quality: float = 0.0
    jitter: float = 0.0
    scale: float = 1.0
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """The chances of one sample: `data` is the recording's own, the same for every model; `noise` is this training's."""

    data: Rng
    noise: Rng
    shift: float = 0.0
    relabelled: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """A sample as labelled and as judged by a model, still without an identity."""

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
