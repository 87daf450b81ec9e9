"""Figures by class of models that find things in images: FOMO's centroids, and boxes at an IoU of 0.5."""

from __future__ import annotations

import numpy as np

from monitor.compare.relabel import FOMO_DISTANCE, assign, centroids
from monitor.compare.renaming import names_of_numbers
from monitor.figures.detection import box_matches
from monitor.figures.evaluation import ClassFigures
from monitor.results import BlockKind, ResultSet


def box_class_figures(results: ResultSet) -> dict[str, ClassFigures]:
    """Precision, recall and F1 of each class with labelled objects, by name; `windows` counts these objects.

    FOMO: by its own matching (a prediction belongs to the nearest labelled centroid of its class within the image's
    distance), true positives being predictions, as its report counts them. Boxes: those detections that COCO matches
    at an IoU of 0.5, whatever their score: Studio reports none below the block's own threshold.

    Empty where the model finds nothing of the kind, where boxes are not known, and for FOMO where an image's report
    cannot be read, or its class numbers have no clear names.
    """
    kinds = results.kinds()
    if BlockKind.FOMO in kinds:
        return _fomo(results)
    return _boxes(results) if BlockKind.DETECTION in kinds else {}


def _boxes(results: ResultSet) -> dict[str, ClassFigures]:
    matched = box_matches(results)
    if matched is None:
        return {}
    matches, _ = matched
    found = {}
    for place, code in enumerate(matches.classes.tolist()):
        hits = matches.hits[0, matches.ends[place] : matches.ends[place + 1]]
        objects = int(matches.truth_ends[place + 1] - matches.truth_ends[place])
        hit = int(hits.sum())
        found[results.labels[code]] = _figures(hit, len(hits), objects, objects)
    return found


def _fomo(results: ResultSet) -> dict[str, ClassFigures]:
    fomo = results.fomo
    names = names_of_numbers(results) if fomo is not None else None
    if fomo is None or not names:
        return {}
    empty = np.isnan(fomo.min_distance)
    distance = np.where(empty, FOMO_DISTANCE, fomo.min_distance)
    windows = np.arange(results.windows)
    predicted = centroids(results, "predicted", windows)
    truth = centroids(results, "truth", windows)
    if (fomo.true_positives[np.union1d(predicted[0], truth[0])] < 0).any():
        return {}
    assigned, taken = assign(predicted, truth, distance)
    found = {}
    for number, name in sorted(names.items(), key=lambda each: each[1]):
        own = predicted[1][:, 0] == number
        objects = truth[1][:, 0] == number
        hit = int(assigned[own].sum())
        found[name] = _figures(hit, int(own.sum()), hit + int((~taken[objects]).sum()), int(objects.sum()))
    return found


def _figures(hit: int, found: int, wanted: int, objects: int) -> ClassFigures:
    """Of `found` predictions `hit` are right, of `wanted` objects; 0 for 0/0, as in all figures by class."""
    precision = hit / found if found else 0.0
    recall = hit / wanted if wanted else 0.0
    f1 = 2 * hit / (found + wanted) if found + wanted else 0.0
    return ClassFigures(precision, recall, f1, objects)
