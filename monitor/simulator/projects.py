"""One project of every kind, with names and sizes a user would have. Keyword arguments go to `GeneratedProject`."""

from __future__ import annotations

from typing import Any

from monitor.simulator.generated import GeneratedProject
from monitor.simulator.kinds import (
    BoxDetector,
    Classification,
    Fomo,
    Freeform,
    GaussianMixture,
    KMeans,
    LabelMap,
    Regression,
    VisualAnomaly,
)
from monitor.simulator.project import FLOAT32, INT8, Impulse

BOTH = (INT8, FLOAT32)


def classification(
    id: int = 101, name: str = "gesture-wristband", *, windows: int = 1, **options: Any
) -> GeneratedProject:
    """Classification of motion, with one or several windows per sample."""
    return GeneratedProject(id, name, Classification(windows=windows), **options)


def keywords(id: int = 102, name: str = "keyword-spotting", **options: Any) -> GeneratedProject:
    """Keywords in audio, in several scripts, one window each."""
    labels = ("_noise", "hallo", "stop", "weiter", "да", "こんにちは", "さようなら")
    kind = Classification(labels=labels, data_type="audio", block_type="keras-transfer-kws")
    return GeneratedProject(id, name, kind, **options)


def kmeans(id: int = 103, name: str = "vibration-press-line", **options: Any) -> GeneratedProject:
    """Classification with a K-means anomaly block beside it, several windows per sample."""
    kind = Classification(labels=("idle", "jam", "pressing"), windows=6, kmeans=True)
    return GeneratedProject(id, name, kind, **options)


def gmm(id: int = 104, name: str = "pump-bearing", **options: Any) -> GeneratedProject:
    """Gaussian-mixture anomaly detection, on a server that sends the expected outcome."""
    return GeneratedProject(id, name, GaussianMixture(), **{"api": "newer", **options})


def visual_anomaly(id: int = 105, name: str = "surface-inspection", **options: Any) -> GeneratedProject:
    """Visual anomaly detection with its grids of scores."""
    return GeneratedProject(id, name, VisualAnomaly(), **options)


def fomo(id: int = 106, name: str = "parts-counter", **options: Any) -> GeneratedProject:
    """FOMO, with its matching in `debugInfoJson`."""
    return GeneratedProject(id, name, Fomo(), **options)


def box_detector(id: int = 107, name: str = "forklift-safety", **options: Any) -> GeneratedProject:
    """A box detector, with Studio's mAP per image."""
    return GeneratedProject(id, name, BoxDetector(), **options)


def regression(id: int = 108, name: str = "tank-level", **options: Any) -> GeneratedProject:
    """Regression."""
    return GeneratedProject(id, name, Regression(), **options)


def freeform(id: int = 109, name: str = "custom-embedding", **options: Any) -> GeneratedProject:
    """A block type without documented scores."""
    return GeneratedProject(id, name, Freeform(), **options)


def label_map(id: int = 110, name: str = "bottle-attributes", **options: Any) -> GeneratedProject:
    """A label-map project, on a server that sends its per-key predictions."""
    return GeneratedProject(id, name, LabelMap(), **{"api": "newer", **options})


def kmeans_alone(id: int = 112, name: str = "fan-bearing", **options: Any) -> GeneratedProject:
    """A K-means anomaly block without a classifier."""
    return GeneratedProject(id, name, KMeans(), **options)


def visual_anomaly_by_mean(id: int = 113, name: str = "weld-seam", **options: Any) -> GeneratedProject:
    """Visual anomaly detection that decides on the mean of the cells, as its text threshold says."""
    return GeneratedProject(id, name, VisualAnomaly(aggregation="mean", min_anomaly_score=1.05), **options)


def judged_freeform(
    id: int = 114, name: str = "custom-classifier", *, block_type: str = "keras-freeform", **options: Any
) -> GeneratedProject:
    """A block without documented scores (`keras-freeform`, `keras-anomaly`, `vlm`, one of an unknown type)
    whose windows Studio evaluates.
    """
    return GeneratedProject(id, name, Freeform(block_type, ("coin", "note"), skill=0.85), **options)


KINDS = (classification, keywords, kmeans, gmm, visual_anomaly, fomo, box_detector, regression, freeform, label_map)
"""A constructor per kind; all defaults differ in id and name, so that one of each makes a studio."""


def bulk(
    id: int = 900, name: str = "bulk", *, samples: int = 50_000, windows: int = 10, **options: Any
) -> GeneratedProject:
    """Very many samples of several windows, to load a client; its media URLs do not change, so that serving is only
    joining bytes.
    """
    project = GeneratedProject(id, name, Classification(windows=windows), sizes={"testing": samples}, **options)
    project.fresh_media = False
    return project


def two_impulses(id: int = 111, name: str = "door-sensor", **options: Any) -> GeneratedProject:
    """Two impulses, one with both variants and one with a variant that is not enabled."""
    impulses = (Impulse(1, "spectral", variants=BOTH), Impulse(2, "raw 1d-conv", quality=-0.4, variants=BOTH[:1]))
    return GeneratedProject(id, name, Classification(windows=2), **{"impulses": impulses, **options})
