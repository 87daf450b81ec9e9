"""Classification of windows, with or without a K-means anomaly block beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.simulator.ground import Block, Threshold, Window
from monitor.simulator.kinds.base import (
    ANOMALY,
    UNCERTAIN,
    DataType,
    Draw,
    Model,
    Observed,
    another,
    min_score,
    names_of,
    renamed,
)

WINDOW_MS = 1000
STRIDE_MS = 500
_MOST_OF_A_SPLIT = 0.95
_ADDED_SHARE = 0.02


@dataclass(frozen=True)
class Classification:
    """Windows of one sample share its difficulty, so that they are right or wrong together.

    Attributes:
        labels: The classes, sorted.
        windows: Predictions per sample.
        skill: Mean margin of the true class, in logits.
        min_score: Below it the prediction is `uncertain`.
        unknown_share: Share of samples with a label the model does not know; their windows are not scored.
        kmeans: Adds the K-means block, whose verdict `anomaly` replaces the class; some samples are then truly so.
    """

    labels: tuple[str, ...] = ("idle", "snake", "updown", "wave")
    windows: int = 1
    block_type: str = "keras"
    data_type: DataType = "motion"
    skill: float = 2.7
    min_score: float = 0.6
    unknown_share: float = 0.02
    kmeans: bool = False
    anomalous_share: float = 0.08
    min_anomaly_score: float = 0.3

    def __post_init__(self) -> None:
        if tuple(sorted(set(self.labels))) != self.labels:
            raise ValueError(
                "labels must be sorted and distinct: the first of two equal confidences is then the same for every "
                "reader"
            )

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """With the K-means block, the label `anomaly` against all classes."""
        return ((ANOMALY,), self.labels) if self.kmeans else None

    def blocks(self, model: Model, first_id: int) -> tuple[Block, ...]:
        """The classifier, then the K-means block."""
        score = self.min_score if model.threshold is None else model.threshold
        blocks = [Block(first_id, self.block_type, "NN Classifier", "Classification", (min_score(score),))]
        if self.kmeans:
            text = "Windows that are further than this from every cluster are anomalies."
            threshold = Threshold("min_anomaly_score", "Minimum anomaly score", text, self._anomaly_threshold(model))
            blocks.append(
                Block(first_id + 1, "anomaly", "Anomaly detection", "Anomaly Detection (K-means)", (threshold,))
            )
        return tuple(blocks)

    def observe(self, draw: Draw, model: Model) -> Observed:
        """One recording with its windows."""
        data = draw.data
        noise = draw.noise
        count = self.windows
        true = int(data.integers(len(self.labels)))
        rival = (true + 1 + int(data.integers(len(self.labels) - 1))) % len(self.labels)
        unknown = data.random() < self.unknown_share
        anomalous = data.random() < self.anomalous_share and self.kmeans
        effect = float(data.normal())
        own = data.normal(size=(count, len(self.labels) + 1))

        margin = self.skill + model.quality - 1.5 * draw.shift + 1.1 * effect + 0.7 * own[:, -1]
        margin += 0.35 * noise.normal() + 0.3 * noise.normal(size=count) + model.jitter * noise.normal(size=count)
        shown = another(true, len(self.labels)) if draw.relabelled else true
        seen = shown if draw.learned else true
        logits = 0.5 * own[:, :-1] - 1.5
        logits[:, rival] += 1.5
        logits[:, seen] = -1.0 if anomalous else margin
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        classes, shares = self._named(shares / shares.sum(axis=1, keepdims=True), model, draw.part)
        confidences = np.round(shares, 5)
        distances = np.round(
            -0.35 + 0.15 * effect + 0.1 * own[:, -1] + 0.35 * draw.shift + (0.9 + 0.2 * model.quality) * anomalous, 4
        )

        if unknown:
            label = "unknown-sound"
        elif anomalous and not draw.relabelled:
            label = ANOMALY
        else:
            label = self.labels[shown]
        label = renamed(label, draw.renamings, draw.part)
        known = label in classes or (self.kmeans and label == ANOMALY)
        threshold = self.min_score if model.threshold is None else model.threshold
        windows = []
        for k in range(count):
            best = int(np.argmax(confidences[k]))
            prediction = classes[best] if confidences[k, best] >= threshold else UNCERTAIN
            score = float(distances[k]) if self.kmeans else None
            if score is not None and score > self._anomaly_threshold(model):
                prediction = ANOMALY
            windows.append(
                Window(
                    start_ms=k * STRIDE_MS,
                    end_ms=k * STRIDE_MS + WINDOW_MS,
                    label=label,
                    prediction=prediction,
                    correct=prediction == label if known else None,
                    confidences=dict(zip(classes, confidences[k].tolist(), strict=True)),
                    anomaly=score,
                    expected_anomaly=label == ANOMALY if self.kmeans and known else None,
                )
            )
        return Observed(label, tuple(windows))

    def _anomaly_threshold(self, model: Model) -> float:
        return self.min_anomaly_score if model.anomaly_threshold is None else model.anomaly_threshold

    def _named(
        self, shares: npt.NDArray[np.float64], model: Model, part: float
    ) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
        """The model's own classes with their shares: merged ones add up, of split ones the sample's side gets most,
        added ones little.
        """
        classes = model.classes(self.labels)
        if classes == self.labels:
            return classes, shares
        named = np.full((len(shares), len(classes)), 0.0)
        for place, label in enumerate(self.labels):
            own = renamed(label, model.renamings, part)
            other = next((name for name in names_of(label, model.renamings) if name != own), own)
            named[:, classes.index(own)] += _MOST_OF_A_SPLIT * shares[:, place]
            named[:, classes.index(other)] += (1 - _MOST_OF_A_SPLIT) * shares[:, place]
        for added in model.added_classes:
            named[:, classes.index(added)] += _ADDED_SHARE
        return classes, named / named.sum(axis=1, keepdims=True)
