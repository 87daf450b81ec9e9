"""What the simulator knows to be true: plain structures a test can compute every figure from, without the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Box:
    """A box from its top left corner: truth in pixels without a score, detections in shares (0..1) of the image with
    one.
    """

    label: str
    x: float
    y: float
    width: float
    height: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class FomoMatch:
    """FOMO's matching of one image.

    Attributes:
        y_trues, y_preds: Centroids as (x, y, class number from 1), in shares of the image.
        assignments: (index of prediction, index of truth, distance); several predictions may share one truth.
        pairs: (index of truth, index of prediction, distance) of every two of one class.
        unassigned_trues, unassigned_preds: Indices left over: the misses and the false alarms.
    """

    y_trues: tuple[tuple[float, float, int], ...]
    y_preds: tuple[tuple[float, float, int], ...]
    assignments: tuple[tuple[int, int, float], ...]
    pairs: tuple[tuple[int, int, float], ...]
    unassigned_trues: tuple[int, ...]
    unassigned_preds: tuple[int, ...]
    min_distance: float


@dataclass(frozen=True, slots=True)
class ImageScore:
    """Studio's own score of one image; FOMO has f1, precision and recall, a box detector only the mAP."""

    mean_ap: float
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """One prediction. Numbers are as they go over the wire: rounded first, evaluated afterwards.

    Attributes:
        start_ms, end_ms: Bounds in milliseconds.
        label: The truth; None where the window has none.
        correct: Studio's verdict; None where it did not evaluate.
        confidences: Per class, from a classification block.
        anomaly: Score of the anomaly block; for visual anomaly the maximum of `grid`.
        expected_anomaly: The truth about an anomaly, where the project knows it.
        value: A regression's output.
        grid: float64[n, n], visual anomaly's scores per cell.
        detections: The predicted boxes.
        label_map: Predicted value per key of a label-map project.
    """

    start_ms: int
    end_ms: int
    label: str | None
    prediction: str
    correct: bool | None
    confidences: Mapping[str, float] | None = None
    anomaly: float | None = None
    expected_anomaly: bool | None = None
    value: float | None = None
    grid: npt.NDArray[np.float64] | None = None
    detections: tuple[Box, ...] = ()
    image: ImageScore | None = None
    fomo: FomoMatch | None = None
    label_map: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One uploaded recording or image with its windows.

    `added` is Unix time in seconds; `size` is (width, height) in pixels; `signed` says whether the upload's signature
    is valid.
    """

    id: int
    filename: str
    category: str
    label: str
    added: float
    device: str
    metadata: Mapping[str, str]
    windows: tuple[Window, ...]
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    label_map: Mapping[str, str] | None = None
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Threshold:
    """A configurable threshold of a block; `value` is a number or a text."""

    key: str
    description: str
    help: str
    value: float | str
    suggested: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A learning block; `last_layer` only for object detection."""

    id: int
    type: str
    name: str
    title: str
    thresholds: tuple[Threshold, ...] = ()
    last_layer: str | None = None

    def threshold(self, key: str) -> float:
        """The numeric threshold `key`.

        Raises:
            KeyError: The block has no such numeric threshold.
        """
        for threshold in self.thresholds:
            if threshold.key == key and not isinstance(threshold.value, str):
                return threshold.value
        raise KeyError(key)


@dataclass(frozen=True, slots=True)
class Ground:
    """The result set of one (project, impulse, variant, category): its blocks and its samples in ascending order of id.

    `trained` is the Unix time in seconds of the model's training.
    """

    blocks: tuple[Block, ...]
    samples: tuple[Sample, ...]
    trained: float
