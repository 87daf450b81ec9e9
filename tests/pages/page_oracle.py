"""The series that a target should export, computed from Studio's JSON with scikit-learn, pycocotools and NumPy.

Nothing of the monitor is used, and nothing of the generator: this is the documented reading of the documented JSON, the
slow and obvious way. What is not in the answer must not be exported.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from prometheus_client.samples import Sample
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn import metrics

Json = dict[str, Any]
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]

CLASSIFIERS = {"keras", "keras-transfer-image", "keras-transfer-kws", "keras-akida", "keras-akida-transfer-image"}
DETECTORS = {"keras-object-detection", "keras-akida-object-detection"}
SCORERS = {"anomaly", "anomaly-gmm"}
DECIMAL = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
MOST_CLASSES = 4096


# Values, as whoever reads JSON of a server that is loose with types.


def number(value: Any) -> float | None:
    """A finite number, also one written as a text."""
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def text(value: Any) -> str | None:
    """A text, with U+FFFD for each lone surrogate; a number as it is written."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else json.dumps(value)


def flag(value: Any) -> bool | None:
    """True and false, also as 1 and 0."""
    return bool(value) if isinstance(value, bool) or (value in (0, 1) and isinstance(value, int | float)) else None


def members(value: Any) -> Json:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[Json]:
    """The objects in a list."""
    return [item for item in items(value) if isinstance(item, dict)]


# The set, window by window.


@dataclass
class Block:
    """One learning block."""

    id: int
    type: str = ""
    name: str = ""
    layers: set[str] = field(default_factory=set)
    thresholds: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    rating: float | None = None
    centroids: bool = False

    @property
    def fomo(self) -> bool:
        return self.type in DETECTORS and ("fomo" in self.layers if self.layers else self.centroids)

    @property
    def boxes(self) -> bool:
        return self.type in DETECTORS and not self.fomo

    @property
    def limit(self) -> float | None:
        """Above which a score is an anomaly."""
        if "min_anomaly_score" in self.thresholds:
            return self.thresholds["min_anomaly_score"]
        return next(iter(self.thresholds.values())) if len(self.thresholds) == 1 else None


@dataclass
class Window:
    """One prediction, with a row of every block that gave as many as there are windows."""

    sample: Json
    said: Json
    rows: dict[int, Any] = field(default_factory=dict)
    images: dict[int, Json] = field(default_factory=dict)
    grids: dict[int, Json] = field(default_factory=dict)
    expected: Any = None

    @property
    def label(self) -> str | None:
        return text(self.said.get("label"))

    @property
    def prediction(self) -> str:
        return text(self.said["prediction"]) or ""

    @property
    def correct(self) -> bool | None:
        return flag(self.said.get("predictionCorrect"))


@dataclass
class Read:
    """A whole set."""

    samples: dict[int, Json]
    blocks: dict[int, Block]
    windows: list[Window]
    left_out: Counter[str]
    mapped: bool
    unfit: Counter[int] = field(default_factory=Counter)
    rows: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))


def read(results: Sequence[Json], predictions: Sequence[Json]) -> Read:
    """The set from its entries, in any order, equal predictions counted once."""
    said: dict[int, dict[tuple[float, float, int], Json]] = defaultdict(dict)
    for place, prediction in enumerate(predictions):
        start, end = number(prediction.get("startMs")), number(prediction.get("endMs"))
        unique = place if start is None else 0
        said[prediction["sampleId"]][-1 if start is None else start, -1 if end is None else end, unique] = prediction
    found = Read({}, {}, [], Counter(), mapped=False)
    for result in sorted(results, key=lambda result: result["sampleId"]):
        sample = members(result.get("sample"))
        found.samples[result["sampleId"]] = sample
        found.mapped |= sample.get("projectLabelingMethod") == "label_map" or bool(sample.get("labelMap"))
        found.mapped |= any(entry.get("labelMapResult") for entry in objects(result.get("classifications")))
        found.mapped |= any(row.get("labelMapPredictions") for row in said[result["sampleId"]].values())
        windows = [Window(sample, row) for _, row in sorted(said[result["sampleId"]].items())]
        found.windows += windows
        entries = objects(result.get("classifications"))
        for entry in entries:
            _entry(found, entry, windows)
        _expect(found, entries, windows)
    for block in found.blocks.values():
        # a server that knows no thresholds yet
        if not block.thresholds and not block.texts and block.rating is not None:
            block.thresholds["minimum_confidence_rating"] = block.rating
        if block.type not in {*CLASSIFIERS, *DETECTORS, *SCORERS, "keras-regression", "keras-visual-anomaly"}:
            found.left_out["unknown_block"] += 1
    return found


def _entry(found: Read, entry: Json, windows: list[Window]) -> None:
    learn = members(entry.get("learnBlock"))
    value = number(learn.get("id")) or -1.0
    place = int(value) if abs(value) < 2**63 else -1  # no number of a block
    block = found.blocks.setdefault(place, Block(0))
    block.id = place
    block.type = block.type or text(learn.get("type")) or ""
    block.name = block.name or text(learn.get("name")) or text(learn.get("title")) or ""
    if layer := text(entry.get("objectDetectionLastLayer")):
        block.layers.add(layer)
    listed = entry.get("thresholds")
    if isinstance(listed, list):
        for row in objects(listed):
            key, limit = text(row.get("key")), row.get("value")
            if key and isinstance(limit, str):
                block.texts[key] = limit
            elif key and number(limit) is not None:
                block.thresholds[key] = number(limit) or 0.0
    if (rating := number(entry.get("minimumConfidenceRating"))) is not None:
        block.rating = rating
    found.rows[block.id].append(entry.get("result"))
    images = items(entry.get("structuredResult")) or items(entry.get("details"))
    for image in objects(images):
        info = debug_info(image)
        block.centroids |= bool(info and (info.get("y_trues") or info.get("y_preds")))
    unfit = _join(windows, items(entry.get("result")), lambda window, row: window.rows.__setitem__(block.id, row))
    if block.type in {*CLASSIFIERS, *SCORERS}:
        found.unfit[block.id] += unfit
    if block.type in DETECTORS:
        found.unfit[block.id] += _join(
            windows, images, lambda window, row: window.images.__setitem__(block.id, members(row))
        )
    if block.type == "keras-visual-anomaly":
        grids = items(entry.get("anomalyResult"))
        found.unfit[block.id] += _join(
            windows, grids, lambda window, row: window.grids.__setitem__(block.id, members(row))
        )


def _expect(found: Read, entries: list[Json], windows: list[Window]) -> None:
    """Expected outcomes of a sample, from the first of its entries that lists one for each window, else from one for
    all of them.
    """
    words = ("anomaly", "no anomaly")
    given = [entry.get("expectedAnomalyOutcome") for entry in entries]
    for outcome in given:
        if isinstance(outcome, str) and outcome in words:
            for window in windows:
                window.expected = outcome
    told = [
        outcome
        for outcome in map(items, given)
        if any(members(row).get("label", row) in words for row in outcome if row is not None)
    ]
    if told:

        def put(window: Window, row: Any) -> None:
            window.expected = window.expected if row is None else row

        found.left_out["unparsable"] += _join(windows, told[0], put)


def _join(windows: list[Window], rows: list[Any], put: Callable[[Window, Any], None]) -> int:
    """Rows belong to windows where there are as many; how many fit none."""
    if len(rows) != len(windows):
        return len(rows)
    for window, row in zip(windows, rows, strict=True):
        put(window, row)
    return 0


def debug_info(image: Json) -> Json | None:
    """FOMO's own matching, or None where it cannot be read."""
    try:
        info = json.loads(image.get("debugInfoJson"))
    except (TypeError, ValueError):
        return None
    return info if isinstance(info, dict) else None


# The series.


TARGET_LABELS = {"project", "project_id", "impulse", "impulse_id", "variant", "category"}
OTHERS = re.compile(
    "target_info|up|pull_state|last_.*|alert.*|model_trained.*|impulse_stale|.*_(lower|upper)"
    "|change.*|anomaly_drift.*|error_evidence|comparison.*|prediction_drift|baseline.*|unit|unit_info|group_.*"
    "|smallest_visible_drop.*|variant_gap.*|changed_samples|calibration_error_(null|debiased).*"
)
"""What is said of the pull, of the model, of a comparison; and bounds and what they count, which have tests of their
own."""
PREFIX = "edge_impulse_"


def figures(samples: Iterable[Sample]) -> Series:
    """Series of one target by name and own labels: what is said of its result set alone, bounds apart."""
    found: Series = {}
    for sample in samples:
        name = sample.name.removeprefix(PREFIX)
        if not OTHERS.fullmatch(name):
            found[
                name, tuple(sorted((key, value) for key, value in sample.labels.items() if key not in TARGET_LABELS))
            ] = sample.value
    return found


class Expected:
    """Collects series of one target."""

    def __init__(self) -> None:
        self.series: Series = {}

    def add(self, name: str, value: float | None, /, **labels: str) -> None:
        if value is not None:
            self.series[name, tuple(sorted((label, _cut(text)) for label, text in labels.items()))] = float(value)


def _cut(name: str) -> str:
    """A name as series have it: of more than 256 characters the first 247, an ellipsis, and 8 digits of its sha256."""
    return name if len(name) <= 256 else f"{name[:247]}…{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def expected(
    results: Sequence[Json],
    predictions: Sequence[Json],
    anomaly_labels: tuple[Sequence[str], Sequence[str]] | None = None,
    slices: Iterable[str] = (),
) -> Series:
    """All series of a target by name (without `edge_impulse_`) and own labels, bounds and comparisons apart."""
    found, out = read(results, predictions), Expected()
    out.add("samples", len(found.samples))
    out.add("windows", len(found.windows))
    for block in found.blocks.values():
        out.add("block_info", 1, block_id=str(block.id), block=block.name, type=block.type)
        for key, value in block.thresholds.items():
            out.add("block_threshold", value, block_id=str(block.id), block=block.name, key=key)
    _accuracy(found, out, slices)
    kinds = [block.type for block in found.blocks.values()]
    if not found.mapped and CLASSIFIERS & set(kinds):
        _classification(found, out)
        _calibration(found, out)
    if not found.mapped and "keras-regression" in kinds:
        _regression(found, out)
    for block in found.blocks.values():
        if block.type in {*SCORERS, "keras-visual-anomaly"}:
            _anomaly(found, block, anomaly_labels, out)
    if any(block.type in DETECTORS for block in found.blocks.values()):
        _count_broken_boxes(found)
    if any(block.fomo for block in found.blocks.values()):
        _fomo(found, out)
    elif any(block.boxes for block in found.blocks.values()):
        _boxes(found, out)
    found.left_out["unparsable"] += found.unfit.total()
    for reason, count in found.left_out.items():
        out.add("left_out", count or None, reason=reason)
    return out.series


def _accuracy(found: Read, out: Expected, slices: Iterable[str]) -> None:
    """Studio's verdict; a regression's share within tolerance."""
    types = {block.type for block in found.blocks.values()}
    tolerance = _tolerance(found)
    verdicts: list[bool | None] = [None if found.mapped else window.correct for window in found.windows]
    if "keras-regression" in types and not types & CLASSIFIERS and tolerance is not None and not found.mapped:
        errors = [_error(window) for window in found.windows]
        verdicts = [None if error is None else error <= tolerance for error in errors]
    scored = [verdict for verdict in verdicts if verdict is not None]
    out.add("unscored_windows", len(verdicts) - len(scored))
    out.add("accuracy_ratio", np.mean(scored) if scored else None)
    for key in slices:
        by_value: dict[str, list[bool]] = defaultdict(list)
        for window, verdict in zip(found.windows, verdicts, strict=True):
            metadata = members(window.sample.get("metadata"))
            value = text(
                window.sample.get("deviceName") if key == "device_name" else metadata.get(key.removeprefix("metadata."))
            )
            if verdict is not None and value is not None:
                by_value[value].append(verdict)
        for value, part in by_value.items():
            out.add("slice_accuracy_ratio", np.mean(part), slice=key, value=value)
            out.add("slice_windows", len(part), slice=key, value=value)


def _tolerance(found: Read) -> float | None:
    values = [
        value
        for block in found.blocks.values()
        if block.type == "keras-regression"
        for value in block.thresholds.values()
    ]
    return values[0] if len(values) == 1 else None


def _numbers(window: Window) -> tuple[float | None, float | None]:
    return number(window.label), number(window.prediction)


def _error(window: Window) -> float | None:
    label, prediction = _numbers(window)
    return None if label is None or prediction is None else abs(prediction - label)


def _classification(found: Read, out: Expected) -> None:
    scored = [window for window in found.windows if window.correct is not None]
    labelled = [window for window in scored if window.label is not None]
    classes = sorted({window.label for window in labelled if window.label is not None} - {"uncertain"})
    if not classes:
        return
    names = [*classes, *sorted({*(w.prediction for w in labelled), *(w.label or "" for w in labelled)} - set(classes))]
    code = {name: place for place, name in enumerate(names)}
    truth, guess = [code[window.label or ""] for window in labelled], [code[window.prediction] for window in labelled]
    options: Json = {"labels": list(range(len(classes))), "zero_division": 0}
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, guess, **options)
    for place, name in enumerate(classes):
        out.add("class_precision_ratio", precision[place], **{"class": name})
        out.add("class_recall_ratio", recall[place], **{"class": name})
        out.add("class_f1_ratio", f1[place], **{"class": name})
        out.add("class_windows", support[place], **{"class": name})
    for average in ("macro", "weighted", "micro"):
        out.add("f1_ratio", metrics.f1_score(truth, guess, average=average, **options), average=average)
    out.add("mean_f1_ratio", metrics.f1_score(truth, guess, average="macro", **options))
    out.add("balanced_accuracy_ratio", metrics.recall_score(truth, guess, average="macro", **options))
    out.add("uncertain_ratio", np.mean([window.prediction == "uncertain" for window in scored]))
    for (true, predicted), count in Counter((window.label, window.prediction) for window in labelled).items():
        if true in classes:
            out.add("confusion_windows", count, **{"class": true or "", "predicted": predicted})


def _calibration(found: Read, out: Expected) -> None:
    best, hit, squares, loss, windows = [], [], [], 0.0, 0
    blocks = [block for block in found.blocks.values() if block.type in CLASSIFIERS]
    scoring = any("anomaly" in block.type for block in found.blocks.values())
    complete, used = np.zeros((2, len(found.windows)), bool)
    too_many = 0
    for block in blocks:
        rows = [members(window.rows.get(block.id)) for window in found.windows]
        # The keys of every row, also of one that no window could be found for.
        classes = _classes([members(row) for listed in found.rows[block.id] for row in items(listed)], scoring)
        if len(classes) > MOST_CLASSES:
            too_many += 1
            found.left_out["too_many_classes"] += sum(len(items(entry)) for entry in found.rows[block.id])
            del found.unfit[block.id]  # counted as that
            continue
        names, judged = [text(name) for name in classes], []
        for place, (window, row) in enumerate(zip(found.windows, rows, strict=True)):
            values = [number(row.get(name)) for name in classes]
            if None in values or not values:
                continue
            complete[place] = True
            if window.label not in names:
                continue
            used[place] = True
            own, confidences = names.index(window.label), np.array(values, float)
            best.append(confidences.max())
            hit.append(confidences.argmax() == own)
            squares.append(((confidences - np.eye(len(classes))[own]) ** 2).sum())
            judged.append((own, confidences))
        loss, windows = loss + _log_loss(judged), windows + len(judged)
    # a window that Studio did not score either is no loss: its label is none that the model knows
    if too_many < len(blocks):
        scored = np.array([window.correct is not None for window in found.windows], bool)
        found.left_out["no_confidences"] += int((~used & (~complete | scored)).sum())
    if best:
        _, grid = np.unique(np.clip(np.digitize(best, np.linspace(0, 1, 16)), 1, 15), return_inverse=True)
        hits, confident = np.array(hit), np.array(best)
        bins = [grid == each for each in np.unique(grid)]
        out.add(
            "calibration_error_ratio",
            sum(abs(hits[bin_].mean() - confident[bin_].mean()) * bin_.mean() for bin_ in bins),
        )
        out.add("brier_score", np.mean(squares))
        out.add("log_loss", loss / windows)


def _classes(rows: list[Json], scoring: bool) -> list[str]:
    """The keys, sorted; `anomaly` is a score only beside an anomaly block, and where the other keys sum to 1 without
    it.

    A row of which a confidence is missing says nothing of that.
    """
    names = sorted({name for row in rows for name in row}, key=lambda name: text(name) or "")
    others = [name for name in names if name != "anomaly"]
    if scoring and "anomaly" in names and others:
        values = np.array(
            [[np.nan if (value := number(row.get(name))) is None else value for name in others] for row in rows]
        )
        complete = values[~np.isnan(values).any(axis=1)]
        told = complete if len(complete) else values[~np.isnan(values).all(axis=1)]
        if np.all(np.abs(np.nansum(told, axis=1) - 1) <= 0.05):
            return others
    return names


def _log_loss(rows: list[tuple[int, np.ndarray]]) -> float:
    """The sum over the windows of a block, each with its class and its confidences: scikit-learn's, where it would not
    normalise; else its formula.
    """
    fit = [(own, row) for own, row in rows if len(row) > 1 and abs(row.sum() - 1) < 1e-9]
    others = sum(
        -np.log(np.clip(row[own], 2.220446049250313e-16, 1))
        for own, row in rows
        if len(row) < 2 or abs(row.sum() - 1) >= 1e-9
    )
    if not fit:
        return float(others)
    truth, confidences = zip(*fit, strict=True)
    return float(metrics.log_loss(truth, confidences, labels=range(len(confidences[0])), normalize=False) + others)


def _regression(found: Read, out: Expected) -> None:
    pairs = []
    for window in found.windows:
        label, prediction = _numbers(window)
        if (window.label is not None and label is None) or prediction is None:
            found.left_out["unparsable"] += 1
        elif label is not None:
            pairs.append((label, prediction))
    if not pairs:
        return
    truth, guess = zip(*pairs, strict=True)
    out.add("mean_absolute_error", metrics.mean_absolute_error(truth, guess))
    out.add("mean_squared_error", metrics.mean_squared_error(truth, guess))
    out.add("r2", metrics.r2_score(truth, guess) if len(set(truth)) > 1 else None)


def _anomaly(found: Read, block: Block, configured: tuple[Sequence[str], Sequence[str]] | None, out: Expected) -> None:
    scores, truths = [], []
    for window in found.windows:
        score = _score(block, window)
        if score is None:
            found.left_out["no_score"] += 1
        elif not math.isfinite(score):
            found.left_out["non_finite_score"] += 1
        else:
            scores.append(score)
            truths.append(_anomalous(window, configured))
    if not scores:
        return
    of = {"block_id": str(block.id), "block": block.name}
    array = np.array(scores)
    out.add("anomaly_score_mean", array.mean(), **of)
    out.add("anomaly_score_stddev", array.std(ddof=1) if len(array) > 1 else None, **of)
    for q in ("0.5", "0.9", "0.99"):
        out.add("anomaly_score_quantile", np.quantile(array, float(q)), **of, q=q)
    known = np.array([truth is not None for truth in truths])
    truth = np.array([bool(each) for each in truths])[known]
    if len(set(truth.tolist())) == 2:
        out.add("anomaly_auroc_ratio", metrics.roc_auc_score(truth, array[known]), **of)
    if block.limit is not None:
        flagged = array > block.limit
        out.add("anomaly_flagged_ratio", flagged.mean(), **of)
        if len(truth):
            out.add("anomaly_precision_ratio", metrics.precision_score(truth, flagged[known], zero_division=0), **of)
            out.add("anomaly_recall_ratio", metrics.recall_score(truth, flagged[known], zero_division=0), **of)
            out.add("anomaly_f1_ratio", metrics.f1_score(truth, flagged[known], zero_division=0), **of)


def _score(block: Block, window: Window) -> float | None:
    """The window's score; infinite for one that Studio could not write as a number, None where there is none."""
    if block.type in SCORERS:
        row = members(window.rows.get(block.id))
        return math.inf if (score := number(row.get("anomaly"))) is None and "anomaly" in row else score
    image = window.grids.get(block.id, {})
    grid = [number(value) for row in items(image.get("scores")) for value in items(row)]
    cells = [value for value in grid if value is not None]
    mean = block.texts.get("anomaly_scoring_aggregation_method") == "mean"
    name = "meanScore" if mean else "maxScore"
    if (given := number(image.get(name))) is not None:
        return given
    if cells:
        return float(np.mean(cells)) if mean else max(cells)
    return math.inf if name in image and image[name] is None else None


def _anomalous(window: Window, configured: tuple[Sequence[str], Sequence[str]] | None) -> bool | None:
    """Studio's expected outcome, else what the project says of the label, else the label's own words."""
    words = {"anomaly": True, "no anomaly": False}
    for given in (window.said.get("expectedAnomalyOutcome"), window.expected):
        outcome = given.get("label") if isinstance(given, dict) else given
        if isinstance(outcome, str) and outcome in words:
            return words[outcome]
    anomaly, normal = configured or ((), ())
    here, there = window.label in map(text, anomaly), window.label in map(text, normal)
    if here or there:
        return None if here and there else here
    return words.get(window.label or "")


def _images(found: Read) -> list[tuple[Window, Json]]:
    return [(window, next(iter(window.images.values()), {})) for window in found.windows]


def _f1(window: Window, image: Json) -> float | None:
    """What Studio says of the image, else of the prediction."""
    f1 = number(image.get("f1"))
    return number(window.said.get("f1Score")) if f1 is None else f1


def _passing(found: Read, reported: list[float | None], out: Expected) -> None:
    """What Studio calls correct, else the images whose score is at least 0.8."""
    verdicts = [window.correct for window in found.windows if window.correct is not None]
    known = [score for score in reported if score is not None]
    if verdicts and not found.mapped:
        out.add("images_passing_ratio", np.mean(verdicts))
    elif known:
        out.add("images_passing_ratio", np.mean(np.array(known) >= 0.8))


def _box(box: Json, *members_: str) -> list[float] | None:
    values = [number(box.get(name)) for name in ("x", "y", "width", "height", *members_)]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _truth(window: Window) -> list[Json]:
    return [box for box in objects(window.sample.get("boundingBoxes")) if _box(box)]


def _detected(window: Window) -> list[Json]:
    return [box for box in objects(window.said.get("boundingBoxes")) if _box(box, "score")]


def _count_broken_boxes(found: Read) -> None:
    """Boxes that lack a number."""
    for sample in found.samples.values():
        found.left_out["unparsable"] += sum(not _box(box) for box in objects(sample.get("boundingBoxes")))
    for window in found.windows:
        found.left_out["unparsable"] += sum(not _box(box, "score") for box in objects(window.said.get("boundingBoxes")))


def _fomo(found: Read, out: Expected) -> None:
    f1, counts, reported, empty, unreadable = [], [], [], 0, 0
    for window, image in _images(found):
        reported.append(_f1(window, image))
        count = _counts(image, window)
        if count is None:
            unreadable += 1
            if reported[-1] is not None:
                f1.append(reported[-1])
        else:
            counts.append(count)
            hits, wrong = count[0], count[1] + count[2]
            f1.append(2 * hits / (2 * hits + wrong) if hits + wrong else 1.0)
            empty += not hits + wrong
    found.left_out["unreadable_image"] += unreadable
    if f1:
        out.add("mean_f1_ratio", np.mean(f1))
        out.add("f1_ratio", np.mean(f1), average="image")
    if not unreadable:
        tp, fp, fn = np.array(counts).reshape(-1, 3).sum(axis=0)
        out.add("f1_ratio", 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None, average="pooled")
        out.add("fomo_precision_ratio", tp / (tp + fp) if tp + fp else None)
        out.add("fomo_recall_ratio", tp / (tp + fn) if tp + fn else None)
    _passing(found, reported, out)
    if found.windows:
        out.add("empty_images", empty)


def _counts(image: Json, window: Window) -> tuple[int, int, int] | None:
    """True positives, false positives and false negatives of one image; None where they cannot be known."""
    info = debug_info(image)
    if info is None:
        return (0, 0, 0) if _f1(window, image) == 1 and not _truth(window) else None
    listed = [info.get(name) for name in ("assignments", "unassigned_y_pred_idxs", "unassigned_y_true_idxs")]
    if all(isinstance(each, list) for each in listed):
        found, spurious, missed = map(len, listed)
        return found, spurious, missed
    return None if info.get("y_trues") or info.get("y_preds") else (0, 0, 0)


def _boxes(found: Read, out: Expected) -> None:
    images = _images(found)
    if not images:
        return
    maps = [number(image.get("mAP")) for _, image in images]
    f1 = [_f1(window, image) for window, image in images]
    for name, values, labels in (
        ("mean_image_map_ratio", maps, {}),
        ("mean_f1_ratio", f1, {}),
        ("f1_ratio", f1, {"average": "image"}),
    ):
        known = [value for value in values if value is not None]
        out.add(name, np.mean(known) if known else None, **labels)
    reported = [values for values in (maps, f1) if any(value is not None for value in values)]
    truths = [box for sample in found.samples.values() for box in objects(sample.get("boundingBoxes")) if _box(box)]
    named = [
        text(box.get("label")) for box in (*truths, *(box for window in found.windows for box in _detected(window)))
    ]
    found.left_out["unparsable"] += named.count(None)
    found.left_out["unreadable_image"] += sum(None in row for row in zip(*reported, strict=True))
    _passing(found, reported[0] if reported else [], out)
    if any(isinstance(window.said.get("boundingBoxes"), list) for window in found.windows):
        detected = [_detected(window) for window in found.windows]
        out.add(
            "empty_images",
            sum(not _truth(window) and not boxes for window, boxes in zip(found.windows, detected, strict=True)),
        )
        _coco(found, detected, out)


def _coco(found: Read, detected: list[list[Json]], out: Expected) -> None:
    run, classes = _evaluated(found, detected)
    if run is None:
        return
    precision = run.eval["precision"][:, :, :, 0, -1]  # thresholds, recall points, classes in ascending order
    there = [place for place in range(len(classes)) if (precision[:, :, place] > -1).all()]
    out.add("map_ratio", precision[..., there].mean(), iou="0.50:0.95")
    out.add("map_ratio", precision[0][..., there].mean(), iou="0.50")
    out.add("map_ratio", precision[5][..., there].mean(), iou="0.75")
    for name, place in classes.items():
        if place - 1 in there:
            out.add("class_ap_ratio", precision[:, :, place - 1].mean(), **{"class": name})


def box_recalls(results: Sequence[Json], predictions: Sequence[Json]) -> dict[str, float]:
    """pycocotools' recall at an IoU of 0.5 of each class with labelled boxes; empty where boxes are not known."""
    found = read(results, predictions)
    if not any(isinstance(window.said.get("boundingBoxes"), list) for window in found.windows):
        return {}
    run, classes = _evaluated(found, [_detected(window) for window in found.windows])
    if run is None:
        return {}
    recall = run.eval["recall"][0, :, 0, -1]
    return {name: float(recall[place - 1]) for name, place in classes.items() if recall[place - 1] > -1}


def anomaly_scores(results: Sequence[Json], predictions: Sequence[Json]) -> dict[int, list[float]]:
    """The finite scores of windows, by anomaly block; only of blocks with one."""
    found = read(results, predictions)
    scores: dict[int, list[float]] = {}
    for block in found.blocks.values():
        if block.type in {*SCORERS, "keras-visual-anomaly"}:
            given = [_score(block, window) for window in found.windows]
            scores[block.id] = [score for score in given if score is not None and math.isfinite(score)]
    return {block: values for block, values in scores.items() if values}


def _evaluated(found: Read, detected: list[list[Json]]) -> tuple[Any, dict[str, int]]:
    """COCO's evaluation of all images, and the number of each class in it; None without labelled boxes."""
    truth: list[Any] = []
    guess: list[Any] = []
    images: list[Any] = []
    classes: dict[str, int] = {}
    for image, (window, boxes) in enumerate(zip(found.windows, detected, strict=True), 1):
        size = members(window.sample.get("imageDimensions"))
        width, height = number(size.get("width")) or 0, number(size.get("height")) or 0
        if (width <= 0 or height <= 0) and _truth(window):
            found.left_out["no_dimensions"] += 1
            continue
        images.append({"id": image})
        for side, listed in ((truth, _truth(window)), (guess, boxes)):
            for box in listed:
                if (name := text(box.get("label"))) is None:
                    continue
                x, y, w, h = _box(box) or ()
                xywh = [x / width, y / height, w / width, h / height] if side is truth else [x, y, w, h]
                category = classes.setdefault(name, len(classes) + 1)
                entry = {
                    "id": len(side) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": xywh,
                    "area": 0.5,
                    "iscrowd": 0,
                }
                side.append(entry if side is truth else entry | {"score": number(box.get("score"))})
    if not truth:
        return None, classes
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (truth, guess):
            side = COCO()
            side.dataset = {
                "images": images,
                "annotations": annotations,
                "categories": [{"id": place} for place in classes.values()],
            }
            side.createIndex()
            sides.append(side)
        run = COCOeval(*sides, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    return run, classes


def compare(right: Mapping[Any, float], shown: Mapping[Any, float]) -> tuple[list[str], float]:
    """What differs, in a line each, and the largest deviation (relative beyond 1) of what is on both sides."""
    problems, largest = [], 0.0
    for key in sorted({*right, *shown}):
        if key not in shown:
            problems.append(f"{_named(key)} is not exported; expected {right[key]!r}")
        elif key not in right:
            problems.append(f"{_named(key)} is exported as {shown[key]!r}; there should be none")
        else:
            deviation = abs(right[key] - shown[key]) / max(1.0, abs(right[key]))
            largest = max(largest, deviation)
            if not deviation <= 1e-9:
                problems.append(f"{_named(key)} is {shown[key]!r}; expected {right[key]!r}")
    return problems, largest


def _named(key: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    labels = ", ".join(
        f"{name}={ascii(value) if len(value) < 80 else f'({len(value)} characters)'}" for name, value in key[1]
    )
    return f"{key[0]}{{{labels}}}"
