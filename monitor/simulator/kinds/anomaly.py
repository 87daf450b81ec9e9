"""Impulses that know only anomalies: a Gaussian mixture over windows, and visual anomaly over the cells of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from monitor.simulator.ground import Block, Box, Threshold, Window
from monitor.simulator.kinds.base import ANOMALY, NO_ANOMALY, DataType, Draw, Model, Observed, renamed
from monitor.simulator.kinds.classification import STRIDE_MS, WINDOW_MS


@dataclass(frozen=True)
class GaussianMixture:
    """Heavy-tailed scores whose scale, and with it the threshold, changes with every training. Labels are mapped by the
    project.
    """

    normal: tuple[str, ...] = ("nominal",)
    faulty: tuple[str, ...] = ("bearing-wear", "misalignment")
    windows: int = 5
    anomalous_share: float = 0.2
    min_anomaly_score: float = 1.5
    data_type: DataType = "motion"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The faulty labels against the normal ones."""
        return self.faulty, self.normal

    def _threshold(self, model: Model) -> float:
        return model.threshold if model.threshold is not None else round(self.min_anomaly_score * model.scale, 4)

    def _scores(self, level: npt.NDArray[np.float64], model: Model) -> npt.NDArray[np.float64]:
        return np.round(np.exp(level) * model.scale, 4)

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The mixture; one of its thresholds is a text."""
        text = "Windows with a higher score are anomalies."
        how = "How scores of several components become one."
        thresholds = (
            Threshold("min_anomaly_score", "Minimum anomaly score", text, self._threshold(model)),
            Threshold("anomaly_scoring_aggregation_method", "Aggregation method", how, "max"),
        )
        return (Block(first_id, "anomaly-gmm", "Anomaly detection", "Anomaly Detection (GMM)", thresholds),)

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One recording with its windows."""
        data = draw.data
        noise = draw.noise
        anomalous = data.random() < self.anomalous_share
        fault = int(data.integers(len(self.faulty)))
        usual = int(data.integers(len(self.normal)))
        effect = float(data.normal())
        own = data.normal(size=self.windows)
        level = -0.6 + 0.3 * effect + 0.25 * own + 0.6 * draw.shift + (1.7 + 0.5 * model.quality) * anomalous
        level += (
            0.05 * noise.normal()
            + 0.1 * noise.normal(size=self.windows)
            + model.jitter * noise.normal(size=self.windows)
        )
        scores = self._scores(level, model)
        expected = bool(anomalous) != draw.relabelled
        label = renamed(self.faulty[fault] if expected else self.normal[usual], draw.renamings, draw.part)
        windows = tuple(
            Window(
                start_ms=k * STRIDE_MS,
                end_ms=k * STRIDE_MS + WINDOW_MS,
                label=label,
                prediction=ANOMALY if scores[k] > self._threshold(model) else NO_ANOMALY,
                correct=bool(scores[k] > self._threshold(model)) == expected,
                anomaly=float(scores[k]),
                expected_anomaly=expected,
            )
            for k in range(self.windows)
        )
        return Observed(label, windows)


@dataclass(frozen=True)
class KMeans(GaussianMixture):
    """A K-means block without a classifier: distances, negative inside the clusters, whose scale no
    training changes.
    """

    min_anomaly_score: float = 0.3

    def _threshold(self, model: Model) -> float:
        return self.min_anomaly_score if model.threshold is None else model.threshold

    def _scores(self, level: npt.NDArray[np.float64], model: Model) -> npt.NDArray[np.float64]:
        return np.round(level, 4)

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The block."""
        text = "Windows that are further than this from every cluster are anomalies."
        threshold = Threshold("min_anomaly_score", "Minimum anomaly score", text, self._threshold(model))
        return (Block(first_id, "anomaly", "Anomaly detection", "Anomaly Detection (K-means)", (threshold,)),)


@dataclass(frozen=True)
class VisualAnomaly:
    """A grid of scores per image. The labels are literally `anomaly` and `no anomaly`.

    Attributes:
        aggregation: What Studio decides on, as the text threshold says; without one, on the maximum.
    """

    image: int = 96
    aggregation: Literal["max", "mean"] | None = None
    anomalous_share: float = 0.25
    min_anomaly_score: float = 2.6
    data_type: DataType = "image"

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """None: the labels say it themselves."""
        return None

    @property
    def cells(self) -> int:
        """Cells along a side of the grid: an eighth of the image, halved, less one."""
        return self.image // 8 // 2 - 1

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The visual anomaly block."""
        text = "Cells with a higher score are anomalies."
        value = self.min_anomaly_score if model.threshold is None else model.threshold
        thresholds = [
            Threshold("min_anomaly_score", "Minimum anomaly score", text, value, suggested=self.min_anomaly_score)
        ]
        if self.aggregation is not None:
            how = "How scores of several cells become one."
            thresholds.append(
                Threshold("anomaly_scoring_aggregation_method", "Aggregation method", how, self.aggregation)
            )
        return (
            Block(
                first_id,
                "keras-visual-anomaly",
                "Visual anomaly",
                "Visual Anomaly Detection (FOMO-AD)",
                tuple(thresholds),
            ),
        )

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One image."""
        data = draw.data
        noise = draw.noise
        n = self.cells
        anomalous = data.random() < self.anomalous_share
        centre = data.uniform(0, n - 1, size=2)
        effect = float(data.normal())
        strength = float(data.normal())
        own = data.gamma(4.0, 0.22, size=(n, n))
        grid = (
            own * (1 + 0.1 * effect)
            + 0.4 * draw.shift
            + np.abs(0.05 + model.jitter * 0.3) * np.abs(noise.normal(size=(n, n)))
        )
        if anomalous:
            y, x = np.mgrid[:n, :n]
            peak = max(2.4 + 0.6 * strength + 0.8 * model.quality + 0.15 * noise.normal(), 0.0)
            grid = grid + peak * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 1.5)
        grid = np.round(grid, 4)
        threshold = self.min_anomaly_score if model.threshold is None else model.threshold
        decisive = round(float(grid.mean()), 6) if self.aggregation == "mean" else float(grid.max())
        found = decisive > threshold
        expected = bool(anomalous) != draw.relabelled
        boxes = tuple(
            Box(
                ANOMALY,
                round(float(column) / n, 4),
                round(float(row) / n, 4),
                round(1 / n, 4),
                round(1 / n, 4),
                float(grid[row, column]),
            )
            for row, column in np.argwhere(grid > threshold)
        )
        label = ANOMALY if expected else NO_ANOMALY
        prediction = ANOMALY if found else NO_ANOMALY
        window = Window(
            start_ms=0,
            end_ms=0,
            label=label,
            prediction=prediction,
            correct=prediction == label,
            anomaly=float(grid.max()),
            expected_anomaly=expected,
            grid=grid,
            detections=boxes,
        )
        return Observed(label, (window,), size=(self.image, self.image))
