"""Figures by class of models that find things in images: FOMO's centroids, and boxes at an IoU of 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.compare.relabel import FOMO_DISTANCE, assign, centroids
from monitor.compare.renaming import names_of_numbers
from monitor.figures.detection import box_matches
from monitor.figures.evaluation import ClassFigures, Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import SMALLEST_SAMPLES, shares
from monitor.results import BlockKind, IntArray, ResultSet


def box_class_figures(results: ResultSet, groups: GroupUnit | None = None) -> dict[str, ClassFigures]:
    """Precision, recall with its bounds, and F1 of each class with labelled objects, by name; `windows` counts these
    objects.

    FOMO: by its own matching (a prediction belongs to the nearest labelled centroid of its class within the image's
    distance), true positives being predictions, as its report counts them. Boxes: those detections that COCO matches
    at an IoU of 0.5, whatever their score: Studio reports none below the block's own threshold.

    Empty where the model finds nothing of the kind, where boxes are not known, and for FOMO where an image's report
    cannot be read, or its class numbers have no clear names.

    The bounds are those of the recall of a classifier's class, its objects in place of windows: objects of one image
    are found and missed together.

    Args:
        results: The columns.
        groups: Those of the samples where the group is the unit; None where the sample is.
    """
    kinds = results.kinds()
    if BlockKind.FOMO in kinds:
        found = _fomo(results)
    elif BlockKind.DETECTION in kinds:
        found = _boxes(results)
    else:
        return {}
    bounds = _recall_bounds(list(found.values()), results.samples, groups)
    return {name: _figures(each, interval) for (name, each), interval in zip(found.items(), bounds, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What was found of a class.

    Attributes:
        hit: int[h], the samples of the predictions that are right.
        missed: int[n], those of the objects that none of them found.
        found: How many predictions there are.
        objects: How many labelled objects.
    """

    hit: IntArray
    missed: IntArray
    found: int
    objects: int


def _boxes(results: ResultSet) -> dict[str, _Counted]:
    matched = box_matches(results)
    if matched is None:
        return {}
    matches, windows = matched
    sample = results.sample[windows]
    found = {}
    for place, code in enumerate(matches.classes.tolist()):
        rows = slice(matches.ends[place], matches.ends[place + 1])
        hits = matches.hits[0, rows]
        hit = sample[matches.image[rows][hits]]
        objects = sample[matches.truth_image[matches.truth_ends[place] : matches.truth_ends[place + 1]]]
        counts = np.arange(results.samples)
        missed = np.bincount(objects, minlength=len(counts)) - np.bincount(hit, minlength=len(counts))
        found[results.labels[code]] = _Counted(hit, np.repeat(counts, missed), len(hits), len(objects))
    return found


def _fomo(results: ResultSet) -> dict[str, _Counted]:
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
        hit = results.sample[predicted[0][own & assigned]]
        missed = results.sample[truth[0][objects & ~taken]]
        found[name] = _Counted(hit, missed, int(own.sum()), int(objects.sum()))
    return found


def _recall_bounds(counted: Sequence[_Counted], samples: int, groups: GroupUnit | None) -> Sequence[Interval | None]:
    """Bounds of each class's recall; none under 30 samples, as everywhere."""
    if samples < SMALLEST_SAMPLES or not counted:
        return [None] * len(counted)
    sides = [side for each in counted for side in (each.hit, each.missed)]
    lengths = [len(side) for side in sides]
    hits = np.repeat(np.tile([True, False], len(counted)), lengths)
    part = np.repeat(np.arange(len(counted)).repeat(2), lengths)
    return shares(hits, np.concatenate(sides), groups, part, len(counted)).intervals()


def _figures(counted: _Counted, interval: Interval | None) -> ClassFigures:
    """0 for 0/0, as in all figures by class."""
    hit = len(counted.hit)
    wanted = hit + len(counted.missed)
    precision = hit / counted.found if counted.found else 0.0
    recall = hit / wanted if wanted else 0.0
    f1 = 2 * hit / (counted.found + wanted) if counted.found + wanted else 0.0
    return ClassFigures(precision, recall, f1, counted.objects, interval)
