"""From a shape to what Studio holds: samples, each with what every block gave, and predictions, as JSON-able
dictionaries.

Only what Studio may legally send: nothing here knows how the monitor reads it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.pages.page_shapes import BOX_LAYERS, CLASSIFIERS, DETECTORS, OPAQUE, Shape

Json = dict[str, Any]

DEEP = "@deep@"
"""Stands for an object nested 3,000 deep, which Python does not write."""
HUGE = 10**400
"""A number that no float holds."""


@dataclass
class Content:
    """What one target's pages hold.

    Attributes:
        results: Entries of `result`, one per sample.
        predictions: One per window, those of a sample in the order of time.
        anomaly_labels: The project's labels that mean an anomaly and those that do not, or None.
    """

    results: list[Json] = field(default_factory=list)
    predictions: list[Json] = field(default_factory=list)
    anomaly_labels: tuple[list[str], list[str]] | None = None


class Make:
    """What the makers of blocks share: the shape, its random numbers, and a few ways to draw."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.rng = np.random.default_rng(shape.seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def number(self, low: float, high: float, digits: int = 4) -> float:
        return round(float(self.rng.uniform(low, high)), digits)


class Part:
    """A learning block: gives labels and predictions where it is the first of its impulse, and a
    row per window always.
    """

    type = ""
    thresholds: tuple[Json, ...] = ()

    def __init__(self, make: Make, number: int) -> None:
        self.make, self.number = make, number
        self.block: Json = {
            "id": number,
            "type": self.type,
            "name": make.one(["NN", "Block é", "", "7"]),
            "title": "A block",
            "dsp": [27],
        }
        if make.chance(0.05) and len(PARTS[make.shape.kind]) == 1:
            del self.block["id"]
        self.old_server = make.chance(0.1)
        self.odd_threshold = make.one(
            [None, {}, {"key": None, "value": 3}, {"key": "z", "value": None}, {"key": "z", "value": [1]}, {"value": 3}]
        )

    def entry(self, **fields: Any) -> Json:
        """One entry of a sample's `classifications`."""
        found: Json = {"learnBlock": self.block, **fields, "expectedLabels": []}
        if self.old_server:
            numeric = [row["value"] for row in self.thresholds if not isinstance(row["value"], str)]
            return found | ({"minimumConfidenceRating": numeric[0]} if numeric else {})
        listed: list[Any] = [dict(row) for row in self.thresholds]
        if self.make.shape.odd:
            listed.insert(0, self.odd_threshold)
        return found | {"minimumConfidenceRating": 0.6, "thresholds": listed}

    def sample(self, sample: Json) -> None:
        """Add to the sample what this kind of data has."""

    def label(self) -> Any:
        """A window's true label."""
        raise NotImplementedError

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        """A window's row, as fields whose lists it goes into, and its prediction."""
        raise NotImplementedError


class Classifier(Part):
    """Confidences that sum to 1, as floats cut to four digits or in 256 steps."""

    names: tuple[str, ...]

    def __init__(self, make: Make, number: int) -> None:
        self.type = CLASSIFIERS[make.shape.block_type]
        self.floor = make.one([0.3, 0.6, 0.9])
        self.thresholds = ({"key": "min_score", "value": self.floor},)
        super().__init__(make, number)
        self.names = self.classes()
        self.steps = make.one([10_000, 256])
        self.skill = make.one([0.3, 2.0, 6.0])

    def classes(self) -> tuple[str, ...]:
        # A class with the name of the anomaly score has a kind of its own.
        return tuple(name for name in self.make.shape.names if name != "anomaly") or ("idle",)

    def label(self) -> Any:
        make = self.make
        if make.shape.unlabelled and make.chance(0.15):
            return None
        if make.shape.foreign and make.chance(0.2):
            return make.one(["foreign", "uncertain", "anomaly", "no anomaly"])
        return make.one(self.names)

    def confidences(self, label: Any) -> Json:
        rng = self.make.rng
        score = rng.normal(size=len(self.names))
        if label in self.names:
            score[self.names.index(label)] += self.skill * rng.random()
        share = np.exp(score * 2) / np.exp(score * 2).sum()
        share = np.round(share * self.steps) / self.steps
        return dict(zip(self.names, np.round(share, 4).tolist(), strict=True))

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        row = self.confidences(label)
        best = max(row, key=row.__getitem__)
        prediction = best if row[best] >= self.floor else "uncertain"
        if self.make.shape.absent and self.make.chance(0.1):
            row[self.make.one(list(row))] = None
        if self.make.shape.odd and self.make.chance(0.05):
            row[self.make.one(list(row))] = self.make.one(MEANINGLESS[NUMBER])
        return {"result": row}, {"prediction": prediction, "predictionCorrect": prediction == label}


class AnomalyClassifier(Classifier):
    """A classifier with a class called anomaly."""

    def classes(self) -> tuple[str, ...]:
        return (*super().classes(), "anomaly")


class DriftingClassifier(Classifier):
    """Every window has class names of its own beside those that all have."""

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        row, prediction = super().window(label, sample)
        if self.make.chance(0.5):
            row["result"] |= {f"class {self.make.rng.integers(40)}": 0.0}
        if self.make.shape.seed % 50 == 7 and self.make.chance(0.3):  # more than anything has classes
            row["result"] |= {f"class {self.make.rng.integers(10**9)}": 0.0 for _ in range(2500)}
        return row, prediction


class KMeans(Part):
    """Distances, negative inside a cluster."""

    type = "anomaly"
    low, high = -1.0, 1.0

    def __init__(self, make: Make, number: int) -> None:
        self.limit = make.one([0.3, 0.0, -0.2])
        # The key is the block's only one, or beside others `min_anomaly_score`.
        alone = make.chance(0.5)
        self.thresholds = ({"key": "min_score" if alone else "min_anomaly_score", "value": self.limit},)
        if not alone:
            self.thresholds += ({"key": "another", "value": 9},)
        super().__init__(make, number)

    def label(self) -> Any:
        make = self.make
        if make.shape.unlabelled and make.chance(0.15):
            return None
        return make.one([*make.shape.names, "anomaly", "no anomaly"])

    def score(self, label: Any) -> float | None:
        make = self.make
        if make.shape.absent and make.chance(0.1):
            return None
        return make.number(self.low, self.high, 2) + (0.2 if label == "anomaly" else 0.0)

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        make, score = self.make, self.score(label)
        row: Json = {"anomaly": score}
        if make.shape.absent and make.chance(0.1):
            row = make.one([{}, {}, None])
        if make.shape.odd and make.chance(0.05):
            row = {"anomaly": make.one(MEANINGLESS[NUMBER])}
        flagged = score is not None and score > self.limit
        prediction = "anomaly" if flagged else "no anomaly"
        return {"result": row}, {"prediction": prediction, "predictionCorrect": prediction == (label or "no anomaly")}


class Gmm(KMeans):
    """Scores of another scale."""

    type = "anomaly-gmm"
    low, high = 0.0, 200.0


class VisualAnomaly(KMeans):
    """A grid of scores per image, with or without its maximum and mean."""

    type = "keras-visual-anomaly"
    method: str | None = None

    def __init__(self, make: Make, number: int) -> None:
        super().__init__(make, number)
        self.limit = make.one([2.0, 5.0])
        method = self.method or make.one(["max", "maximum", None])
        self.thresholds = ({"key": "min_anomaly_score", "value": self.limit},)
        if method:
            self.thresholds += ({"key": "anomaly_scoring_aggregation_method", "value": method},)
        self.old_server = False
        self.gives = make.one([("maxScore", "meanScore", "scores"), ("scores",), ("maxScore", "meanScore")])

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        make = self.make
        grid = np.round(make.rng.gamma(2.0, 1.0, (3, 3)) + (2.0 if label == "anomaly" else 0.0), 4)
        image: Json = {
            "scores": grid.tolist(),
            "maxScore": float(grid.max()),
            "meanScore": round(float(grid.mean()), 6),
            "boxes": [],
        }
        image = {key: value for key, value in image.items() if key in (*self.gives, "boxes")}
        flagged = (grid.mean() if self.method == "mean" else grid.max()) > self.limit
        prediction = "anomaly" if flagged else "no anomaly"
        return {"result": {}, "anomalyResult": image}, {
            "prediction": prediction,
            "predictionCorrect": prediction == (label or "no anomaly"),
            "anomalyScores": grid.tolist(),
        }


class MeanVisualAnomaly(VisualAnomaly):
    """Studio decides on the mean."""

    method = "mean"


class Regression(Part):
    """Numbers, labels as people write them."""

    type = "keras-regression"
    spellings: tuple[Callable[[float], Any], ...] = (
        lambda x: f"{x:.2f}",
        lambda x: f"{x:+.1f}",
        lambda x: f" {x:g}",
        lambda x: f"{x:08.3f}",
        lambda x: f"{x:.0f}.",
        lambda x: f"{x % 1:.2f}"[1:],
        lambda x: f"{x:.3e}",
        lambda x: x,
        lambda x: round(x),
        lambda x: f"{x:g}\n",
    )
    no_numbers = ("nan", "inf", "-Infinity", "0x1F", "1_000", "5,5", "five", "", "1e999", "٣", "--1", "1 2")

    def __init__(self, make: Make, number: int) -> None:
        self.tolerance = make.one([0.5, 3, None])
        self.thresholds = (
            () if self.tolerance is None else ({"key": make.one(["min_score", "max_error"]), "value": self.tolerance},)
        )
        super().__init__(make, number)
        if self.tolerance is None:
            self.old_server = False

    def entry(self, **fields: Any) -> Json:
        """Without a tolerance there is no rating either."""
        found = super().entry(**fields)
        if self.tolerance is None:
            del found["minimumConfidenceRating"]
        return found

    def label(self) -> Any:
        make = self.make
        if make.shape.unlabelled and make.chance(0.15):
            return None
        if make.shape.foreign and make.chance(0.15):
            return make.one(self.no_numbers)
        return make.one(self.spellings)(make.number(-5, 20, 3))

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        make = self.make
        truth = as_number(label)
        value = make.number(-5, 20) if truth is None else truth + make.number(-4, 4)
        correct = truth is not None and abs(value - truth) <= (self.tolerance or 1)
        prediction = make.one([value, f"{value:.3f}", repr(value)])
        return {"result": {"value": value}}, {"prediction": prediction, "predictionCorrect": correct}


def as_number(label: Any) -> float | None:
    """The generator's own idea of a label's number; only how good predictions are depends on it."""
    try:
        value = float(label)
    except (TypeError, ValueError):
        return None
    return value if abs(value) < 1e6 else None


class Boxes(Part):
    """Boxes in shares of the image, around labelled ones in pixels."""

    def __init__(self, make: Make, number: int) -> None:
        self.type = DETECTORS[make.shape.block_type % 2]
        self.thresholds = ({"key": "min_score", "value": 0.5},)
        super().__init__(make, number)
        self.layer: str | None = BOX_LAYERS[make.shape.last_layer]
        self.names = make.shape.names
        self.details = make.chance(0.3)
        self.has_f1, self.says_f1 = make.chance(0.5), make.chance(0.3)
        self.old_boxes = make.chance(0.1)  # a server that sends no predicted boxes

    def label(self) -> Any:
        return ""

    def sample(self, sample: Json) -> None:
        make = self.make
        width, height = make.one([(96, 96), (320, 240), (1, 1000)])
        objects = 0 if make.chance(0.2) else int(make.rng.integers(1, 5))
        boxes = [
            {
                "label": make.one(self.names),
                "x": int(make.rng.integers(width)),
                "y": int(make.rng.integers(height)),
                "width": int(make.rng.integers(1, width + 1)),
                "height": int(make.rng.integers(1, height + 1)),
            }
            for _ in range(objects)
        ]
        sample |= {"boundingBoxes": boxes, "boundingBoxesType": "object_detection"}
        if not (make.shape.absent and make.chance(0.15)):
            sample["imageDimensions"] = {"width": width, "height": height}

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        make, size = self.make, sample.get("imageDimensions") or {"width": 96, "height": 96}
        found = []
        for box in sample["boundingBoxes"]:
            if make.chance(0.8):
                jitter = make.rng.normal(0, 0.06, 4).tolist()
                found.append(
                    {
                        "label": box["label"] if make.chance(0.9) else make.one(self.names),
                        "x": box["x"] / size["width"] + jitter[0] * 0.3,
                        "y": box["y"] / size["height"] + jitter[1] * 0.3,
                        "width": box["width"] / size["width"] * (1 + jitter[2]),
                        "height": box["height"] / size["height"] * (1 + jitter[3]),
                    }
                )
        extra = 0 if make.chance(0.6) else int(make.rng.integers(1, 130 if make.chance(0.02) else 4))
        for _ in range(extra):
            x, y, w, h = make.rng.random(4).tolist()
            found.append({"label": make.one(self.names), "x": x, "y": y, "width": w + 0.01, "height": h + 0.01})
        for box in found:
            box["score"] = make.number(0.5, 1, make.one([1, 2, 6]))
        order = make.rng.permutation(len(found))
        share = make.number(0, 1, 3) if sample["boundingBoxes"] or found else 1.0
        return self.scored(share, sample, found), {
            "prediction": "",
            "predictionCorrect": share >= 0.9,
            **({"f1Score": round(share**2, 4)} if self.says_f1 else {}),
            **({} if self.old_boxes else {"boundingBoxes": [found[place] for place in order]}),
        }

    def scored(self, share: float, sample: Json, found: list[Json]) -> Json:
        """What Studio says of the image."""
        image: Json = {"boxes": [], "scores": [], "labels": [], "mAP": share}
        if self.has_f1:
            image |= {"f1": round(share**2, 4), "precision": share, "recall": share}
        return {"result": {}, "details" if self.details else "structuredResult": image}

    def entry(self, **fields: Any) -> Json:
        """With the last layer, where it is known."""
        return super().entry(**fields) | ({} if self.layer is None else {"objectDetectionLastLayer": self.layer})


class Fomo(Boxes):
    """Centroids and the matching of them."""

    def __init__(self, make: Make, number: int) -> None:
        super().__init__(make, number)
        self.layer, self.details = "fomo", False
        self.unreadable = make.shape.absent and make.chance(0.5)

    def scored(self, share: float, sample: Json, found: list[Json]) -> Json:
        rng = self.make.rng
        truths, predictions = len(sample["boundingBoxes"]), len(found)
        taken = [truth for truth in range(truths) if truth < predictions and rng.random() < 0.8]
        several = predictions > truths and taken and rng.random() < 0.3  # several predictions may match one truth
        pairs = [(truth, truth) for truth in taken] + ([(predictions - 1, taken[0])] if several else [])
        extra, missed = sorted(set(range(predictions)) - {p for p, _ in pairs}), sorted(set(range(truths)) - set(taken))
        hits = len(pairs)
        f1 = 2 * hits / (2 * hits + len(extra) + len(missed)) if truths or predictions else 1.0
        image: Json = {"boxes": [], "scores": [], "labels": [], "mAP": f1, "f1": f1, "precision": 0.5, "recall": 0.5}
        image["debugInfoJson"] = self.debug_info(truths, predictions, pairs, extra, missed)
        if self.make.chance(0.05) and not truths and not predictions:
            del image["debugInfoJson"]
        return {"result": {}, "structuredResult": image}

    def debug_info(
        self, truths: int, predictions: int, pairs: list[tuple[int, int]], extra: list[int], missed: list[int]
    ) -> Any:
        make, rng = self.make, self.make.rng
        if not truths and not predictions:
            info: Json = make.one(
                [
                    {"normalised_min_distance": 0.2},
                    {"y_trues": [], "y_preds": []},
                    {"y_trues": [], "y_preds": [], "x": 1},
                ]
            )
        else:

            def points(count: int) -> list[Json]:
                return [
                    {"x": make.number(0, 1), "y": make.number(0, 1), "label": int(rng.integers(1, 4))}
                    for _ in range(count)
                ]

            info = {
                "y_trues": points(truths),
                "y_preds": points(predictions),
                "assignments": [{"yp": p, "yt": t, "label": 1, "distance": make.number(0, 0.2)} for p, t in pairs],
                "normalised_min_distance": make.one([0.2, 0.2, float("nan")]),
                "all_pairwise_distances": [[0, 0, make.one([0.4, float("nan"), float("inf")])]],
                "unassigned_y_true_idxs": missed,
                "unassigned_y_pred_idxs": extra,
            }
        text = json.dumps(info, indent=make.one([None, 1]))
        if self.unreadable and make.chance(0.1):
            return make.one([text[:-2], "", "no JSON", "[]", "null", None])
        return text


class UnnamedFomo(Fomo):
    """No last layer: only the centroids say that it is FOMO."""

    def __init__(self, make: Make, number: int) -> None:
        super().__init__(make, number)
        self.layer = None

    def sample(self, sample: Json) -> None:
        """At least one centroid in the set, or nothing could tell."""
        super().sample(sample)
        if not sample["boundingBoxes"]:
            sample["boundingBoxes"] = [{"label": self.names[0], "x": 0, "y": 0, "width": 1, "height": 1}]


class Opaque(Part):
    """Results without a documented meaning."""

    def __init__(self, make: Make, number: int) -> None:
        self.type = OPAQUE[make.shape.block_type % len(OPAQUE)]
        self.thresholds = ({"key": "t", "value": 0.5}, {"key": "prompt", "value": "what is it?"})
        super().__init__(make, number)

    def label(self) -> Any:
        make = self.make
        return None if make.shape.unlabelled and make.chance(0.15) else make.one(make.shape.names)

    def window(self, label: Any, sample: Json) -> tuple[Json, Json]:
        prediction = self.make.one(self.make.shape.names)
        return {"result": self.make.one([{"freeform": [1, 2]}, ["a"], 7, {"a": {"b": 1}}])}, {
            "prediction": prediction,
            "predictionCorrect": prediction == label,
        }


PARTS: dict[str, tuple[type[Part], ...]] = {
    "classification": (Classifier,),
    "class called anomaly": (AnomalyClassifier,),
    "drifting class names": (DriftingClassifier,),
    "two classifiers": (Classifier, Classifier),
    "classification, k-means": (Classifier, KMeans),
    "class called anomaly, k-means": (AnomalyClassifier, KMeans),
    "classification, gmm": (Classifier, Gmm),
    "classification, freeform": (Classifier, Opaque),
    "classification, regression": (Classifier, Regression),
    "k-means": (KMeans,),
    "gmm": (Gmm,),
    "k-means, gmm": (KMeans, Gmm),
    "visual anomaly": (VisualAnomaly,),
    "visual anomaly by the mean": (MeanVisualAnomaly,),
    "regression": (Regression,),
    "regression, k-means": (Regression, KMeans),
    "boxes": (Boxes,),
    "boxes, visual anomaly": (Boxes, VisualAnomaly),
    "FOMO": (Fomo,),
    "FOMO without a last layer": (UnnamedFomo,),
    "opaque": (Opaque,),
    "label map": (Classifier,),
}


def changed(content: Content, rng: np.random.Generator) -> Content:
    """A copy in which one scalar, somewhere, has another value."""
    found = copy.deepcopy(content)
    leaves: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, dict | list):
                walk(item)
            elif item is not None and key not in ("sampleId", "debugInfoJson"):
                leaves.append((value, key))

    walk(found.results)
    walk(found.predictions)
    where, key = leaves[int(rng.integers(len(leaves)))]
    value = where[key]
    if isinstance(value, str):
        where[key] = value[:100] + "x" if rng.random() < 0.5 else "idle"
    elif isinstance(value, bool):
        where[key] = not value
    else:
        where[key] = value + (1 if isinstance(value, int) else 0.25)
    return found


def content(shape: Shape) -> Content:
    """The set of this shape."""
    make = Make(shape)
    parts = [part(make, number) for number, part in enumerate(PARTS[shape.kind], start=2)]
    found = Content()
    if shape.configured:
        found.anomaly_labels = ([shape.names[0], "broken"], [*shape.names[1:2], "fine"])
    ids = np.cumsum(make.rng.integers(1, 50, shape.samples)) + (2**40 if make.chance(0.1) else 0)
    mapped = {int(place) for place in make.rng.integers(shape.samples, size=1)} if shape.kind == "label map" else set()
    for place, number in enumerate(ids.tolist()):
        result, predictions = _sample(make, parts, number)
        if place in mapped:
            _map_labels(make, result, predictions)
        found.results.append(result)
        found.predictions += predictions
    _outcomes(make, found)
    if shape.absent or shape.odd:
        _spoil(make, found)
    return found


def _map_labels(make: Make, result: Json, predictions: list[Json]) -> None:
    """Say in one of the places where servers do that the project maps labels."""
    labels = {"type": "key-values", "labels": {"a": "b"}}
    match int(make.rng.integers(4)):
        case 0:
            result["sample"]["projectLabelingMethod"] = "label_map"
        case 1:
            result["sample"]["labelMap"] = labels
        case 2:
            result["classifications"][0]["labelMapResult"] = [labels]
        case 3:
            predictions[-1]["labelMapPredictions"] = [labels]


def _sample(make: Make, parts: list[Part], number: int) -> tuple[Json, list[Json]]:
    """One sample with its windows."""
    shape, first = make.shape, parts[0]
    count = 1 if isinstance(first, Boxes) else int(make.rng.integers(1, shape.windows + 1))
    day = int(make.rng.integers(1, 28))
    sample: Json = {
        "id": number,
        "filename": make.one([f"{number}.cbor", "clip \ud83d", "é.wav"]),
        "category": "testing",
        "created": "2026-01-01T00:00:00.000Z",
        "added": f"2026-01-{day:02}T10:00:00.000Z",
        "deviceName": make.one(["rig-1", "rig-2", "7", "", None]),
        "metadata": make.one([{}, {"site": "lab"}, {"site": "field", "n": "1"}, {"site": ""}, {"other": "x"}]),
        "boundingBoxes": [],
        "projectId": 1,
    }
    for part in parts:
        part.sample(sample)
    label = first.label()
    together = shape.bounds == "both" and make.chance(0.1)  # windows that differ in their end alone
    predictions, columns = [], [dict[str, list[Any]]() for _ in parts]
    for window in range(count):
        if make.chance(0.3):
            label = first.label()  # labels may differ within a sample
        prediction: Json = {"sampleId": number, "label": label}
        if shape.bounds != "none":
            prediction["startMs"] = 0 if together else window * make.one([500, 500.5])
        if shape.bounds == "both":
            prediction["endMs"] = window * 500 + 1000
        for place, (part, column) in enumerate(zip(parts, columns, strict=True)):
            row, said = part.window(label, sample)
            for name, value in row.items():
                column.setdefault(name, []).append(value)
            if place == 0:
                prediction |= said
        if len(parts) > 1 and isinstance(parts[0], Classifier) and isinstance(parts[1], KMeans):
            _add_anomaly(make, columns, prediction, label, parts[1].limit)
        predictions.append(_judged(make, prediction))
    entries = [part.entry(**column) for part, column in zip(parts, columns, strict=True)]
    if make.chance(0.1):
        entries.reverse()
    return {"sampleId": number, "sample": sample, "classifications": entries}, predictions


def _add_anomaly(make: Make, columns: list[dict[str, list[Any]]], prediction: Json, label: Any, limit: float) -> None:
    """The anomaly block's verdict is the prediction; its score may stand among the classifier's confidences as well."""
    scored = columns[1]["result"][-1] or {}
    score = scored.get("anomaly")
    if isinstance(score, float) and score > limit and make.chance(0.5):
        prediction |= {"prediction": "anomaly", "predictionCorrect": label == "anomaly"}
    row = columns[0]["result"][-1]
    if make.shape.seed % 2 and "anomaly" not in row:
        columns[0]["result"][-1] = {**row, "anomaly": score}


def _judged(make: Make, prediction: Json) -> Json:
    """With Studio's verdict as the shape wants it."""
    shape = make.shape
    if shape.contrary and prediction.get("predictionCorrect") is not None:
        prediction["predictionCorrect"] = make.chance(0.5)
    if shape.verdicts == "none" or (shape.verdicts == "some" and make.chance(0.4)):
        if make.chance(0.5):
            prediction["predictionCorrect"] = None
        else:
            del prediction["predictionCorrect"]
    return prediction


def _outcomes(make: Make, found: Content) -> None:
    """`expectedAnomalyOutcome`, in one of the places where servers put it."""
    shape = make.shape
    words = ["anomaly", "no anomaly", "no anomaly", None]
    if shape.outcomes == "prediction":
        for prediction in found.predictions:
            prediction["expectedAnomalyOutcome"] = make.one(words)
    elif shape.outcomes in ("sample", "windows"):
        windows: dict[int, int] = {}
        for prediction in found.predictions:
            windows[prediction["sampleId"]] = windows.get(prediction["sampleId"], 0) + 1
        for result in found.results:
            listed = [
                make.one([make.one(words), {"startIndex": 0, "endIndex": 3, "label": make.one(words[:2])}])
                for _ in range(windows[result["sampleId"]])
            ]
            outcome = make.one(words) if shape.outcomes == "sample" else listed
            for entry in result["classifications"]:
                entry["expectedAnomalyOutcome"] = outcome


NUMBER, TEXT, DATE, FLAG, LIST, OBJECT = "number", "text", "date", "flag", "list", "object"
MEANINGLESS: dict[str, tuple[Any, ...]] = {
    NUMBER: ([], {}, "?", "", [1], HUGE),
    TEXT: ([], {}, [1], {"a": "b"}),
    DATE: ([], {}, "yesterday", "+012345-01-01T00:00:00Z", HUGE, -1e300, True),
    FLAG: ([], {}, "?", [True]),
    LIST: ({}, "?", 7, True, DEEP),
    OBJECT: ([], "?", 7, [1], DEEP),
}
"""Values that cannot mean anything where a value of this type is documented."""

OPTIONAL: dict[str, dict[str, str]] = {
    "result": {},
    "sample": {
        "deviceName": TEXT,
        "added": DATE,
        "metadata": OBJECT,
        "imageDimensions": OBJECT,
        "boundingBoxes": LIST,
        "filename": TEXT,
        "projectId": NUMBER,
        "id": NUMBER,
    },
    "classification": {
        "result": LIST,
        "structuredResult": LIST,
        "details": LIST,
        "anomalyResult": LIST,
        "thresholds": LIST,
        "minimumConfidenceRating": NUMBER,
        "expectedLabels": LIST,
    },
    "image": {"mAP": NUMBER, "f1": NUMBER, "precision": NUMBER},
    "anomaly image": {"maxScore": NUMBER, "meanScore": NUMBER, "boxes": LIST},
    "box": {"label": TEXT, "x": NUMBER, "width": NUMBER},
    "found box": {"label": TEXT, "y": NUMBER, "height": NUMBER, "score": NUMBER},
    "prediction": {
        "label": TEXT,
        "predictionCorrect": FLAG,
        "boundingBoxes": LIST,
        "anomalyScores": LIST,
        "f1Score": NUMBER,
    },
}
"""Members that may be missing, null or of any type, by where they stand."""


def _spoil(make: Make, found: Content) -> None:
    """Leave out, null and distort optional members, each rarely."""
    for result in found.results:
        if make.chance(0.02):
            result["sample"] = make.one([None, [], "?"]) if make.shape.odd else None
            continue
        for box in result["sample"]["boundingBoxes"]:
            _distort(make, box, "box")
        _distort(make, result["sample"], "sample")
        for entry in result["classifications"]:
            for name in ("structuredResult", "details"):
                for image in entry.get(name, ()):
                    _distort(make, image, "image")
            for image in entry.get("anomalyResult", ()):
                _distort(make, image, "anomaly image")
            _distort(make, entry, "classification")
        if make.chance(0.1):
            result["classifications"].append(None)
        if make.shape.absent and make.chance(0.03):
            result["classifications"] = make.one([None, []])
    if make.shape.absent and len(found.results) > 1 and make.chance(0.2):
        silent = make.one(found.results)["sampleId"]  # results and no prediction
        found.predictions = [row for row in found.predictions if row["sampleId"] != silent] or found.predictions
    for prediction in found.predictions:
        for box in prediction.get("boundingBoxes", ()):
            _distort(make, box, "found box")
        _distort(make, prediction, "prediction")


def _distort(make: Make, members: Json, place: str) -> None:
    shape = make.shape
    for name, kind in OPTIONAL[place].items():
        if name not in members or not make.chance(0.03):
            continue
        if shape.absent and (not shape.odd or make.chance(0.5)):
            if make.chance(0.5):
                del members[name]
            else:
                members[name] = None
        else:
            members[name] = make.one(MEANINGLESS[kind])
