"""Regression: numeric labels, correct within a largest absolute error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.simulator.ground import Block, Threshold, Window
from monitor.simulator.kinds.base import DataType, Draw, Model, Observed
from monitor.simulator.kinds.classification import STRIDE_MS, WINDOW_MS


@dataclass(frozen=True)
class Regression:
    """Values around `mean`; labels and predictions go over the wire as numeric texts."""

    windows: int = 3
    mean: float = 50.0
    spread: float = 15.0
    error: float = 2.5
    max_error: float = 5.0
    data_type: DataType = "motion"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None."""
        return None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The regression."""
        value = self.max_error if model.threshold is None else model.threshold
        text = "Predictions further than this from the label are incorrect."
        threshold = Threshold("max_error", "Maximum absolute error", text, value, suggested=self.max_error)
        return (Block(first_id, "keras-regression", "Regression", "Regression (Keras)", (threshold,)),)

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One recording with its windows."""
        data = draw.data
        noise = draw.noise
        count = self.windows
        true = round(float(data.normal(self.mean, self.spread)), 1)
        effect = float(data.normal())
        own = data.normal(size=count)
        error = (
            self.error * math.exp(-0.5 * model.quality) * (0.8 * effect + 0.5 * own + 0.25 * noise.normal(size=count))
        )
        shown = round(true + 2 * self.max_error, 1) if draw.relabelled else true
        seen = shown if draw.learned else true
        values = np.round(seen + error + 2.0 * draw.shift + model.jitter * noise.normal(size=count), 4).tolist()
        tolerance = self.max_error if model.threshold is None else model.threshold
        label = f"{shown:.1f}"
        windows = tuple(
            Window(
                start_ms=k * STRIDE_MS,
                end_ms=k * STRIDE_MS + WINDOW_MS,
                label=label,
                prediction=str(values[k]),
                correct=abs(values[k] - float(label)) <= tolerance,
                value=values[k],
            )
            for k in range(count)
        )
        return Observed(label, windows)
