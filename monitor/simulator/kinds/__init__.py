"""The kinds of project the simulator can play."""

from monitor.simulator.kinds.anomaly import GaussianMixture, KMeans, VisualAnomaly
from monitor.simulator.kinds.base import Draw, Kind, Model, Observed, Renaming
from monitor.simulator.kinds.classification import Classification
from monitor.simulator.kinds.detection import BoxDetector, Fomo
from monitor.simulator.kinds.opaque import Freeform, LabelMap
from monitor.simulator.kinds.regression import Regression

__all__ = [
    "BoxDetector",
    "Classification",
    "Draw",
    "Fomo",
    "Freeform",
    "GaussianMixture",
    "KMeans",
    "Kind",
    "LabelMap",
    "Model",
    "Observed",
    "Regression",
    "Renaming",
    "VisualAnomaly",
]
