"""What a generated result set is like: a few choices that hypothesis draws and shrinks; all bulk numbers follow from
one seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

KINDS = (
    "classification",
    "class called anomaly",
    "drifting class names",
    "two classifiers",
    "classification, k-means",
    "class called anomaly, k-means",
    "classification, gmm",
    "classification, freeform",
    "classification, regression",
    "k-means",
    "gmm",
    "k-means, gmm",
    "visual anomaly",
    "visual anomaly by the mean",
    "regression",
    "regression, k-means",
    "boxes",
    "boxes, visual anomaly",
    "FOMO",
    "FOMO without a last layer",
    "opaque",
    "label map",
)
"""The kinds of impulse; where there are several blocks, the first one gives the predictions."""

BOX_LAYERS = (
    "mobilenet-ssd",
    "yolov2-akida",
    "yolov5",
    "yolov5v5-drpai",
    "yolox",
    "yolov7",
    "yolo-pro",
    "tao-retinanet",
    "tao-ssd",
    "tao-yolov3",
    "tao-yolov4",
    "yolov11",
    "yolov11-abs",
    "a-layer-of-tomorrow",
)
CLASSIFIERS = ("keras", "keras-transfer-image", "keras-transfer-kws", "keras-akida", "keras-akida-transfer-image")
DETECTORS = ("keras-object-detection", "keras-akida-object-detection")
OPAQUE = ("keras-freeform", "keras-anomaly", "vlm", "keras-quantum")

GIANT = "x" * 100_000
NAMES = (
    "idle",
    "snake",
    "anomaly",
    "no anomaly",
    "uncertain",
    "",
    "NaN",
    "null",
    "1",
    "__proto__",
    "constructor",
    "🦊",
    "é",
    "e\u0301",
    "cut \ud83d",
    "\udd8a back",
    'a "b" \\ c',
    "line\nbreak\u2028\t",
    "\u0000\u0007",
    " idle ",
    GIANT,
)
"""Names that people, and programs that cut texts, give to labels and classes."""


@dataclass(frozen=True)
class Shape:
    """One generated result set; equal shapes are equal sets. The defaults are the plainest set.

    Attributes:
        kind: Of `KINDS`.
        seed: Of the numbers.
        samples: How many.
        windows: The most that one sample has.
        names: Classes of the model, or labels where it has none.
        block_type, last_layer: Places in the lists above.
        bounds: Of the windows: `both`, `start` (no end) or `none`.
        verdicts: How often a window carries `predictionCorrect`: `all`, `some`, `none`.
        contrary: Studio's verdicts are drawn, whatever label and prediction say.
        unlabelled: Some windows have no label.
        foreign: Some labels are no class of the model.
        outcomes: How `expectedAnomalyOutcome` comes: not at all, with the prediction, for a sample, for each window.
        configured: The project says which labels mean an anomaly.
        absent: Optional fields are missing or null.
        odd: Optional fields have a type that means nothing.
    """

    kind: str
    seed: int = 0
    samples: int = 1
    windows: int = 1
    names: tuple[str, ...] = ("idle", "snake")
    block_type: int = 0
    last_layer: int = 0
    bounds: str = "both"
    verdicts: str = "all"
    contrary: bool = False
    unlabelled: bool = False
    foreign: bool = False
    outcomes: str = "no"
    configured: bool = False
    absent: bool = False
    odd: bool = False

    def __repr__(self) -> str:
        """What differs from the defaults, so that a failure reads well; giant names by their length."""
        plain = Shape(self.kind)
        parts = [f"kind={self.kind!r}"]
        for name in self.__dataclass_fields__:
            if name != "kind" and (value := getattr(self, name)) != getattr(plain, name):
                text = (
                    ", ".join("GIANT" if each == GIANT else ascii(each) for each in value)
                    if name == "names"
                    else ascii(value)
                )
                parts.append(f"{name}=({text},)" if name == "names" else f"{name}={text}")
        return f"Shape({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How hypothesis prints it."""
        printer.text(repr(self))


def as_read(text: str) -> str:
    """The text without lone surrogates, of which each is read as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def any_shape(kind: str, rng: random.Random) -> Shape:
    """A shape of this kind with every choice made at random, without hypothesis."""
    bounds = rng.choice(["both", "both", "start", "none"])
    names = {as_read(name): name for name in rng.sample(NAMES[:-1], rng.randint(1, 5))}
    return Shape(
        kind=kind,
        seed=rng.randrange(2**32),
        samples=rng.randint(1, 45),
        windows=rng.randint(1, 4),
        names=tuple(names.values()),
        block_type=rng.randrange(5),
        last_layer=rng.randrange(len(BOX_LAYERS)),
        bounds=bounds,
        verdicts=rng.choice(["all", "some", "none"]),
        contrary=rng.random() < 0.3,
        unlabelled=rng.random() < 0.5,
        foreign=rng.random() < 0.5,
        outcomes=rng.choice(["no", "prediction", "sample", "windows"]),
        configured=rng.random() < 0.5,
        absent=rng.random() < 0.5,
        odd=rng.random() < 0.5,
    )
