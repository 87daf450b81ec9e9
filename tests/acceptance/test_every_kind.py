"""One project of every kind through HTTP: each exported figure against independent libraries and the simulator's own
data.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats
from sklearn import metrics

from monitor.service.app import App
from monitor.simulator import Ground, Studio, projects, serve
from monitor.simulator.ground import Window
from tests.clock import SETTLE, Clock, run
from tests.waiting import until

pytestmark = pytest.mark.acceptance

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
TARGET = {"project", "project_id", "impulse", "impulse_id", "variant", "category"}
BOUNDS = ("_lower", "_upper")
COMMON = {
    "target_info",
    "up",
    "pull_state",
    "last_pull_timestamp_seconds",
    "last_success_timestamp_seconds",
    "samples",
    "windows",
    "unscored_windows",
    "block_info",
    "block_threshold",
    "model_trained_timestamp_seconds",
    "impulse_stale",
    "alert_threshold",
    "baseline_timestamp_seconds",
    "unit_info",
    "group_icc_ratio",
    "group_design_effect_ratio",
}


class Figures:
    """Everything one target exports, by name and own labels, and what the simulator knows to be true of it."""

    def __init__(self, series: Series, ground: Ground) -> None:
        self.series, self.ground = series, ground
        self.windows = [window for sample in ground.samples for window in sample.windows]
        self.scored = [window for window in self.windows if window.correct is not None]

    def get(self, name: str, **labels: str) -> float:
        """One value."""
        return self.series[f"edge_impulse_{name}", tuple(sorted(labels.items()))]

    def names(self) -> set[str]:
        """The names of what is exported beyond what every target has, bounds apart."""
        shown = {name.removeprefix("edge_impulse_") for name, _ in self.series}
        return {name for name in shown if not name.endswith(BOUNDS)} - COMMON

    def check_bounds(self, name: str, **labels: str) -> None:
        """The bounds lie around the point."""
        lower, point, upper = (self.get(f"{name}{end}", **labels) for end in ("_lower", "", "_upper"))
        assert 0 <= lower < point < upper <= 1

    def check(self, expected: dict[tuple[str, str], float]) -> None:
        """Each value, by name and the value of its only own label (or none), is as expected, and none is missing."""
        names = {name for name, _ in expected}
        shown = {
            (
                name.removeprefix("edge_impulse_"),
                " ".join(text for key, text in labels if key not in ("block_id", "block")),
            ): value
            for (name, labels), value in self.series.items()
            if name.removeprefix("edge_impulse_") in names
        }
        assert expected == pytest.approx(shown, abs=1e-9)


async def _scrape(clock: Clock, folder: Path) -> dict[int, Figures]:
    studio = Studio([build() for build in projects.KINDS], clock=lambda: 1_800_000_000.0)
    async with serve(studio) as url:
        entries = [
            {"id": project.id, "api_key": project.api_key, "slices": ["metadata.site", "device_name"]}
            for project in studio.projects.values()
        ]
        path = folder / "monitor.yaml"
        content = {
            "studio": {"url": url},
            "schedule": {"every": "1s"},
            "stale_after": "10m",
            "http": {"listen": "127.0.0.1:0"},
            "projects": entries,
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        async with App(path) as app, aiohttp.ClientSession() as session:
            await until(lambda: len([shot for shot in app.live.snapshots.values() if shot.evaluation]) == len(entries))
            await asyncio.sleep(1.1)  # a rendered page is kept for a second
            async with session.get(f"http://{app.address}/metrics") as response:
                text = await response.text()
    found: dict[int, Series] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if TARGET <= sample.labels.keys():
                own = tuple(sorted((name, value) for name, value in sample.labels.items() if name not in TARGET))
                found[int(sample.labels["project_id"])][sample.name, own] = sample.value
    return {
        number: Figures(series, ground)
        for number, series in found.items()
        if (ground := studio.ground(number)) is not None
    }


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Figures]:
    """All targets, by project."""
    return run(lambda clock: _scrape(clock, tmp_path_factory.mktemp("kinds")), settle=SETTLE)


def number_of(build: Any) -> int:
    """The id of a kind's project."""
    return int(build().id)


CHANGED = {"change_ratio", "baseline_value", "error_evidence", "changed_samples", "smallest_visible_drop_ratio"}
ACCURACY = {"accuracy_ratio", "slice_accuracy_ratio", "slice_windows"}
CLASSIFIED = {
    *ACCURACY,
    "balanced_accuracy_ratio",
    "uncertain_ratio",
    "mean_f1_ratio",
    "f1_ratio",
    "class_precision_ratio",
    "class_recall_ratio",
    "class_f1_ratio",
    "class_windows",
    "confusion_windows",
    "calibration_error_ratio",
    "calibration_error_null_ratio",
    "calibration_error_debiased_ratio",
    "brier_score",
    "log_loss",
    "prediction_drift",
    *CHANGED,
}
SCORED = {
    "anomaly_score_mean",
    "anomaly_score_stddev",
    "anomaly_score_quantile",
    "anomaly_flagged_ratio",
    "anomaly_drift",
    "anomaly_drift_evidence",
    "anomaly_drift_gate",
    "comparison_insufficient",
    "baseline_value",
}
JUDGED = {"anomaly_auroc_ratio", "anomaly_precision_ratio", "anomaly_recall_ratio", "anomaly_f1_ratio"}
IMAGES = {"images_passing_ratio", "empty_images", *ACCURACY, *CHANGED}


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (projects.classification, CLASSIFIED),
        (projects.keywords, CLASSIFIED),
        (projects.kmeans, CLASSIFIED | SCORED | JUDGED),
        (projects.gmm, SCORED | JUDGED | ACCURACY | CHANGED),
        (projects.visual_anomaly, SCORED | JUDGED | ACCURACY | CHANGED),
        (projects.fomo, IMAGES | {"mean_f1_ratio", "f1_ratio", "fomo_precision_ratio", "fomo_recall_ratio"}),
        (projects.box_detector, IMAGES | {"map_ratio", "class_ap_ratio", "mean_image_map_ratio"}),
        (projects.regression, {"mean_absolute_error", "mean_squared_error", "r2", *ACCURACY, *CHANGED}),
        (projects.freeform, {"left_out", "changed_samples"}),
        (projects.label_map, {"changed_samples"}),
    ],
)
def test_nothing_inapplicable_is_exported(scraped: dict[int, Figures], build: Any, names: set[str]) -> None:
    """A kind of model has the figures that mean something for it, and no others."""
    assert names == scraped[number_of(build)].names() - ({"left_out"} - names)


@pytest.mark.parametrize("build", projects.KINDS)
def test_sizes(scraped: dict[int, Figures], build: Any) -> None:
    """Samples, windows and unscored windows are the simulator's; all windows of a label-map project are unscored."""
    figures = scraped[number_of(build)]
    mapped = build is projects.label_map
    unscored = len(figures.windows) if mapped else len(figures.windows) - len(figures.scored)

    figures.check(
        {
            ("samples", ""): len(figures.ground.samples),
            ("windows", ""): len(figures.windows),
            ("unscored_windows", ""): unscored,
        }
    )


@pytest.mark.parametrize("build", [projects.classification, projects.keywords, projects.kmeans])
def test_classification(scraped: dict[int, Figures], build: Any) -> None:
    """Figures of classifiers are scikit-learn's."""
    figures = scraped[number_of(build)]
    truth, predicted = [window.label for window in figures.scored], [window.prediction for window in figures.scored]
    classes = sorted(set(truth) - {None})  # type: ignore[type-var]
    options: dict[str, Any] = {"labels": classes, "zero_division": 0}
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, **options)
    expected: dict[tuple[str, str], float] = {
        ("accuracy_ratio", ""): metrics.accuracy_score(truth, predicted),
        ("balanced_accuracy_ratio", ""): recall.mean(),
        ("uncertain_ratio", ""): predicted.count("uncertain") / len(predicted),
        ("mean_f1_ratio", ""): f1.mean(),
    }
    for average in ("macro", "weighted", "micro"):
        expected["f1_ratio", average] = metrics.f1_score(truth, predicted, average=average, **options)
    for name, values in {
        "precision_ratio": precision,
        "recall_ratio": recall,
        "f1_ratio": f1,
        "windows": support,
    }.items():
        expected |= {(f"class_{name}", label): value for label, value in zip(classes, values, strict=True)}
    expected |= {
        ("confusion_windows", f"{label} {other}"): count
        for (label, other), count in Counter(zip(truth, predicted, strict=True)).items()
    }

    figures.check(expected)
    figures.check_bounds("accuracy_ratio")
    figures.check_bounds("mean_f1_ratio")


@pytest.mark.parametrize("build", [projects.classification, projects.keywords, projects.kmeans])
def test_calibration(scraped: dict[int, Figures], build: Any) -> None:
    """Calibration is scikit-learn's log loss, and the formulas for the other two."""
    figures = scraped[number_of(build)]
    rows = [window for window in figures.windows if window.confidences and window.label in window.confidences]
    classes = sorted(rows[0].confidences or ())
    confidences = np.array([[row.confidences[name] for name in classes] for row in rows])  # type: ignore[index]
    label = np.array([classes.index(row.label) for row in rows])  # type: ignore[arg-type]
    best, correct = confidences.max(axis=1), confidences.argmax(axis=1) == label
    bins = np.minimum((best * 15).astype(int), 14)
    ece = sum(
        abs(correct[bins == each].mean() - best[bins == each].mean()) * (bins == each).mean() for each in set(bins)
    )
    clipped = np.clip(confidences[np.arange(len(label)), label], 2.22e-16, 1)

    figures.check(
        {
            ("calibration_error_ratio", ""): ece,
            ("brier_score", ""): ((confidences - np.eye(len(classes))[label]) ** 2).sum(axis=1).mean(),
            ("log_loss", ""): -np.log(clipped).mean(),
        }
    )


JUDGED_BY_STUDIO = [build for build in projects.KINDS if build not in (projects.freeform, projects.label_map)]


@pytest.mark.parametrize("build", JUDGED_BY_STUDIO)
def test_accuracy_is_studios(scraped: dict[int, Figures], build: Any) -> None:
    """For every kind of model, accuracy is the share of scored windows that Studio calls correct."""
    figures = scraped[number_of(build)]

    figures.check({("accuracy_ratio", ""): float(np.mean([window.correct for window in figures.scored]))})
    figures.check_bounds("accuracy_ratio")


@pytest.mark.parametrize("build", JUDGED_BY_STUDIO)
def test_slices(scraped: dict[int, Figures], build: Any) -> None:
    """Accuracy and windows of each site and device."""
    figures = scraped[number_of(build)]
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for sample in figures.ground.samples:
        places = {"device_name": sample.device, "metadata.site": sample.metadata.get("site")}
        for window in sample.windows:
            for slice_, value in places.items():
                if window.correct is not None and value is not None:
                    verdicts[f"{slice_} {value}"].append(window.correct)

    figures.check({("slice_accuracy_ratio", key): float(np.mean(found)) for key, found in verdicts.items()})
    figures.check({("slice_windows", key): len(found) for key, found in verdicts.items()})


@pytest.mark.parametrize("build", [projects.kmeans, projects.gmm, projects.visual_anomaly])
def test_anomaly(scraped: dict[int, Figures], build: Any) -> None:
    """Scores of each anomaly block, and its verdicts where the truth is known."""
    figures = scraped[number_of(build)]
    block = next(block for block in figures.ground.blocks if "anomaly" in block.type)
    (threshold,) = [row.value for row in block.thresholds if not isinstance(row.value, str)]
    scores = np.array([window.anomaly for window in figures.windows])
    flagged = scores > threshold
    known = np.array([anomalous(window, build) is not None for window in figures.windows])
    truth = [anomalous(window, build) for window, kept in zip(figures.windows, known, strict=True) if kept]

    figures.check(
        {
            ("anomaly_score_mean", ""): scores.mean(),
            ("anomaly_score_stddev", ""): scores.std(ddof=1),
            ("anomaly_flagged_ratio", ""): flagged.mean(),
            **{("anomaly_score_quantile", str(q)): np.quantile(scores, q) for q in (0.5, 0.9, 0.99)},
            ("anomaly_auroc_ratio", ""): metrics.roc_auc_score(truth, scores[known]),
            ("anomaly_precision_ratio", ""): metrics.precision_score(truth, flagged[known]),
            ("anomaly_recall_ratio", ""): metrics.recall_score(truth, flagged[known]),
            ("anomaly_f1_ratio", ""): metrics.f1_score(truth, flagged[known]),
        }
    )


def anomalous(window: Window, build: Any) -> bool | None:
    """What is known about the window: the outcome its project expects, else what the project's labels mean."""
    anomaly, normal = build().anomaly_labels or ((), ())
    by_label = True if window.label in anomaly else False if window.label in normal else None
    return by_label if build is projects.kmeans else window.expected_anomaly


def test_regression(scraped: dict[int, Figures]) -> None:
    """Errors are scikit-learn's; accuracy is the share within tolerance."""
    figures = scraped[number_of(projects.regression)]
    pairs = [(float(window.label), float(window.prediction)) for window in figures.windows if window.label is not None]
    truth, predicted = zip(*pairs, strict=True)

    figures.check(
        {
            ("mean_absolute_error", ""): metrics.mean_absolute_error(truth, predicted),
            ("mean_squared_error", ""): metrics.mean_squared_error(truth, predicted),
            ("r2", ""): metrics.r2_score(truth, predicted),
            ("accuracy_ratio", ""): float(np.mean([window.correct for window in figures.scored])),
        }
    )
    figures.check_bounds("accuracy_ratio")


def test_fomo(scraped: dict[int, Figures]) -> None:
    """FOMO's F1 over images and pooled, from the counts of its matching."""
    figures = scraped[number_of(projects.fomo)]
    matches = [window.fomo for window in figures.windows if window.fomo is not None]
    counts = np.array([(len(row.assignments), len(row.unassigned_preds), len(row.unassigned_trues)) for row in matches])
    hits, wrong = counts[:, 0], counts[:, 1] + counts[:, 2]
    per_image = [2 * hit / (2 * hit + miss) if hit + miss else 1.0 for hit, miss in zip(hits, wrong, strict=True)]
    figures.check(
        {
            ("mean_f1_ratio", ""): float(np.mean(per_image)),
            ("f1_ratio", "image"): float(np.mean(per_image)),
            ("f1_ratio", "pooled"): 2 * hits.sum() / (2 * hits.sum() + wrong.sum()),
            ("empty_images", ""): sum(not row.y_trues and not row.y_preds for row in matches),
            ("images_passing_ratio", ""): float(np.mean([window.correct for window in figures.scored])),
            ("fomo_precision_ratio", ""): hits.sum() / counts[:, :2].sum(),
            ("fomo_recall_ratio", ""): hits.sum() / (hits.sum() + counts[:, 2].sum()),
        }
    )
    figures.check_bounds("mean_f1_ratio")


def coco(ground: Ground) -> tuple[dict[str, float], dict[str, float]]:
    """The mAPs by IoU and the AP per class, by pycocotools."""
    classes = sorted(
        {
            box.label
            for sample in ground.samples
            for box in (*sample.boxes, *(b for w in sample.windows for b in w.detections))
        }
    )
    truth: list[Any] = []
    found: list[Any] = []
    images: list[Any] = []
    for image, sample in enumerate(ground.samples, 1):
        assert sample.size is not None
        width, height = sample.size
        images.append({"id": image})
        for box in sample.boxes:
            xywh = [box.x / width, box.y / height, box.width / width, box.height / height]
            entry = {
                "image_id": image,
                "category_id": classes.index(box.label) + 1,
                "bbox": xywh,
                "area": 0.5,
                "iscrowd": 0,
            }
            truth.append({"id": len(truth) + 1, **entry})
        for box in (box for window in sample.windows for box in window.detections):
            xywh = [box.x, box.y, box.width, box.height]
            found.append(
                {"image_id": image, "category_id": classes.index(box.label) + 1, "bbox": xywh, "score": box.score}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "images": images,
            "annotations": truth,
            "categories": [{"id": place + 1} for place in range(len(classes))],
        }
        reference.createIndex()
        run = COCOeval(reference, reference.loadRes(found), "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]  # thresholds, recall points, classes
    known = (precision > -1).all(axis=(0, 1))
    by_iou = {
        "0.50:0.95": precision[..., known].mean(),
        "0.50": precision[0][..., known].mean(),
        "0.75": precision[5][..., known].mean(),
    }
    return by_iou, {name: precision[..., place].mean() for place, name in enumerate(classes) if known[place]}


def test_box_detector(scraped: dict[int, Figures]) -> None:
    """COCO mAP of the whole set and by class is pycocotools'; the mean of Studio's per-image scores
    is another figure.
    """
    figures = scraped[number_of(projects.box_detector)]
    by_iou, by_class = coco(figures.ground)
    reported = np.array([window.image.mean_ap for window in figures.windows if window.image is not None])
    empty = sum(
        not sample.boxes and not any(window.detections for window in sample.windows)
        for sample in figures.ground.samples
    )

    figures.check(
        {
            **{("map_ratio", iou): value for iou, value in by_iou.items()},
            **{("class_ap_ratio", name): value for name, value in by_class.items()},
            ("mean_image_map_ratio", ""): reported.mean(),
            ("images_passing_ratio", ""): float(np.mean([window.correct for window in figures.scored])),
            ("empty_images", ""): empty,
        }
    )
    figures.check_bounds("map_ratio", iou="0.50:0.95")


@pytest.mark.parametrize("build", [projects.classification, projects.kmeans, projects.fomo])
def test_groups(scraped: dict[int, Figures], build: Any) -> None:
    """How alike the samples of one device and day are, and which unit follows, is as SciPy has it: by the analysis of
    variance of each one's share of correct windows.
    """
    figures = scraped[number_of(build)]
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for sample in figures.ground.samples:
        if verdicts := [window.correct for window in sample.windows if window.correct is not None]:
            groups[sample.device, int(sample.added // 86400)].append(float(np.mean(verdicts)))
    sizes = np.array([len(group) for group in groups.values()])
    ratio = stats.f_oneway(*groups.values()).statistic
    size = (sizes.sum() - np.square(sizes).sum() / sizes.sum()) / (len(sizes) - 1)
    limit = ratio / stats.f.ppf(0.05, len(sizes) - 1, sizes.sum() - len(sizes))
    icc, most = (max(0.0, (found - 1) / (found - 1 + size)) for found in (ratio, limit))
    effect, bound = (1 + (np.square(sizes).sum() / sizes.sum() - 1) * each for each in (icc, most))
    unit = "sample" if bound < 1.1 else "group"

    assert len(groups) >= 10
    assert figures.get("group_icc_ratio", statistic="accuracy") == pytest.approx(icc, abs=1e-9)
    assert figures.get("group_design_effect_ratio", statistic="accuracy") == pytest.approx(effect, abs=1e-9)
    assert figures.get("unit_info", statistic="accuracy", unit=unit) == 1


def test_unknown_block_is_counted(scraped: dict[int, Figures]) -> None:
    """A block without documented scores has no figures; that it was left out is said."""
    left_out: Iterable[Any] = scraped[number_of(projects.freeform)].series.items()

    assert {"unknown_block": 1.0} == {
        labels[0][1]: value for (name, labels), value in left_out if name == "edge_impulse_left_out"
    }
