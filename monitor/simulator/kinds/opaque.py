"""Projects whose scores have no documented meaning: blocks of the user's own making, and label maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from monitor.simulator.ground import Block, Window
from monitor.simulator.kinds.base import DataType, Draw, Model, Observed, min_score


@dataclass(frozen=True)
class Freeform:
    """A block of a type that a reader may not know. Its outputs are numbers.

    Attributes:
        skill: Share (0..1) of samples that Studio calls correct; None where it evaluates nothing.
    """

    block_type: str = "keras-freeform"
    labels: tuple[str, ...] = ("embedding",)
    skill: float | None = None
    data_type: DataType = "audio"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None."""
        return None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The block."""
        return (Block(first_id, self.block_type, "Custom model", "Freeform (Keras)"),)

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One recording with one window."""
        label = self.labels[int(draw.data.integers(len(self.labels)))]
        value = round(float(draw.data.normal() + model.quality + 0.1 * draw.noise.normal()), 4)
        if self.skill is None:
            return Observed(label, (Window(0, 1000, label, "-", None, value=value),))
        right = bool(draw.data.random() < np.clip(self.skill + 0.1 * model.quality + 0.03 * draw.noise.normal(), 0, 1))
        return Observed(label, (Window(0, 1000, label, label if right else "other", right, value=value),))


@dataclass(frozen=True)
class LabelMap:
    """Several labels per sample, one per key; each key is predicted by itself."""

    keys: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"cap": ("missing", "on"), "fill": ("full", "half", "low")}
    )
    skill: float = 0.9
    data_type: DataType = "image"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None."""
        return None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The classifier."""
        return (Block(first_id, "keras", "NN Classifier", "Classification", (min_score(0.5),)),)

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One image."""
        true = {}
        found = {}
        confidences = {}
        for key, values in self.keys.items():
            place = int(draw.data.integers(len(values)))
            ease = float(draw.data.random())
            right = ease < np.clip(
                self.skill + 0.1 * model.quality - 0.1 * draw.shift + 0.03 * draw.noise.normal(), 0, 1
            )
            true[key] = values[place]
            found[key] = values[place if right else (place + 1) % len(values)]
            confidences[f"{key}={found[key]}"] = round(0.5 + ease / 2, 4)
        if draw.relabelled:
            key, values = next(iter(self.keys.items()))
            before = true[key]
            true[key] = values[(values.index(true[key]) + 1) % len(values)]
            if draw.learned and found[key] == before:
                found[key] = true[key]
        label, prediction = (",".join(f"{key}={value}" for key, value in one.items()) for one in (true, found))
        window = Window(0, 0, label, prediction, found == true, confidences=confidences, label_map=found)
        return Observed(label, (window,), size=(160, 160), label_map=true)
