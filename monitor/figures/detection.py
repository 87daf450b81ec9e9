"""Figures of object detectors: COCO mAP from boxes, F1 from FOMO's own matching, and what Studio reported per image.

An *image* is a window: Studio makes one prediction per image. Intervals re-weight samples all the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monitor.figures.average_precision import average_precision, mean_average_precision
from monitor.figures.coco import IOU_THRESHOLDS, ImageBoxes, Matches, match
from monitor.figures.distributions import t_quantile
from monitor.figures.evaluation import Detection, Interval
from monitor.figures.groups import GroupUnit
from monitor.figures.intervals import Clusters, bounded_mean, clustered, half_by_groups
from monitor.figures.scoring import accuracy_verdicts, studio_verdict
from monitor.results import BlockKind, Boxes, FloatArray, FomoCounts, IntArray, ResultSet

PASSING_SCORE = 0.8
"""From this score on an image passes where Studio does not say: its own limit is the project's, and usually this."""

_REPLICATES = 200


def detection(
    results: ResultSet, seed: int | None, groups: GroupUnit | None = None
) -> tuple[Detection | None, dict[str, int]]:
    """Figures of the detector, and how much they could not count.

    `no_dimensions` counts images that the mAP leaves out, `unparsable` boxes without a label, `unreadable_image` images
    without what the others report: FOMO's matching, or Studio's own score.

    Where a FOMO block occurs, figures are FOMO's alone: its boxes and its `mAP` (a copy of f1) share the columns of box
    detectors, and no mAP could be computed from them.

    Args:
        results: The columns.
        seed: Of the bootstraps, not negative; None leaves the intervals out.
        groups: Those of the samples where the group is the unit; None where the sample is.

    Returns:
        None where no block detects objects or there is no window.
    """
    kinds = results.kinds()
    if not kinds & {BlockKind.DETECTION, BlockKind.FOMO} or not results.windows:
        return None, {}
    found, left_out = _fomo(results, seed, groups) if BlockKind.FOMO in kinds else _boxes(results, seed, groups)
    return found, {reason: count for reason, count in left_out.items() if count}


def box_matches(results: ResultSet) -> tuple[Matches, npt.NDArray[np.intp]] | None:
    """Predicted boxes matched with labelled ones, in shares of the image.

    An image without dimensions is left out with all its boxes, unless it has no truth: then nothing needs scaling, and
    its detections count as false positives. If a sample has several windows, each of them is an image with all its
    truth.

    Returns:
        The matches and int[images], the window of each of their images; None where truth or detections are not known.
    """
    truth = results.truth
    detections = results.detections
    if truth is None or detections is None:
        return None
    size = np.zeros((results.samples, 2)) if results.image_size is None else results.image_size.astype(np.float64)
    boxes = np.bincount(truth.owner, minlength=results.samples)
    usable = ((size > 0).all(axis=1) | (boxes == 0))[results.sample]
    windows = np.flatnonzero(usable)
    image_of_window = np.cumsum(usable) - 1

    count = boxes[results.sample[windows]]
    first = (np.cumsum(boxes) - boxes)[results.sample[windows]]
    index = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    scale = np.tile(size, 2)[truth.owner[index]]
    labelled = ImageBoxes(np.repeat(np.arange(len(windows)), count), truth.label[index], truth.xywh[index] / scale)

    kept = usable[detections.owner]
    scores = None if detections.score is None else detections.score[kept]
    predicted = ImageBoxes(
        image_of_window[detections.owner[kept]], detections.label[kept], detections.xywh[kept], scores
    )
    return match(labelled, predicted, len(windows)), windows


def _boxes(results: ResultSet, seed: int | None, groups: GroupUnit | None) -> tuple[Detection, dict[str, int]]:
    """Figures of a detector of boxes."""
    maps: dict[str, float] = {}
    class_ap: dict[str, float] = {}
    interval = None
    left_out = 0
    if (matched := box_matches(results)) is not None:
        matches, windows = matched
        left_out = results.windows - len(windows)
        if len(matches.classes):
            precision = average_precision(matches)
            for name, thresholds in (("0.50:0.95", slice(None)), ("0.50", _at(0.5)), ("0.75", _at(0.75))):
                maps[name] = float(mean_average_precision(precision[:, :, thresholds])[0])
            by_class = precision[0].mean(axis=1).tolist()
            class_ap = {results.labels[code]: value for code, value in zip(matches.classes, by_class, strict=True)}
            if seed is not None:
                interval = _map_interval(matches, results.sample[windows], maps["0.50:0.95"], seed, groups)
    f1, f1_interval = _image_mean(results, results.reported_f1, seed, groups)
    reported = results.reported_f1 if _mean(results.reported_map) is None else results.reported_map
    passing, by_score = _passing(results, reported)
    return Detection(
        map=maps,
        class_ap=class_ap,
        map_interval=interval,
        mean_image_map=_mean(results.reported_map),
        mean_f1=f1,
        mean_f1_interval=f1_interval,
        f1={} if f1 is None else {"image": f1},
        passing=passing,
        empty=_empty_boxes(results),
        passing_by_score=by_score,
    ), {"no_dimensions": left_out, "unparsable": _unnamed(results), "unreadable_image": _unreported(results)}


def _fomo(results: ResultSet, seed: int | None, groups: GroupUnit | None) -> tuple[Detection, dict[str, int]]:
    """Figures of a FOMO detector: from its counts, and the mean over images also from the reported f1 of those without.

    Pooled figures are of all images or of none: those whose counts cannot be read are no random subset.
    """
    reported = np.full(results.windows, np.nan) if results.reported_f1 is None else results.reported_f1
    hits, extra, missed = _counts(results.fomo, results.windows)
    counted = hits >= 0
    f1 = np.where(counted, _f1(hits, extra, missed), reported)
    mean, interval = _image_mean(results, f1, seed, groups)
    averages = {} if mean is None else {"image": mean}
    # Studio reports no debug information, but f1 = 1, for an image that is empty and was found to be.
    empty = np.where(counted, hits + extra + missed == 0, (reported == 1) & _without_truth(results))
    unreadable = int((~counted & ~empty).sum())
    tp, fp, fn = (0 if unreadable else int(column[counted].sum()) for column in (hits, extra, missed))
    if tp + fp + fn:
        averages["pooled"] = 2 * tp / (2 * tp + fp + fn)
    passing, by_score = _passing(results, results.reported_f1)
    return Detection(
        mean_f1=mean,
        mean_f1_interval=interval,
        f1=averages,
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / (tp + fn) if tp + fn else None,
        passing=passing,
        empty=int(empty.sum()),
        passing_by_score=by_score,
    ), {"unreadable_image": unreadable}


def _counts(
    fomo: FomoCounts | None, windows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """True positives, false positives and false negatives per window, wide enough to add; -1 where nothing was
    reported.
    """
    if fomo is None:
        nothing = np.full(windows, -1, np.int64)
        return nothing, nothing, nothing
    return (
        fomo.true_positives.astype(np.int64),
        fomo.false_positives.astype(np.int64),
        fomo.false_negatives.astype(np.int64),
    )


def _f1(hits: npt.NDArray[np.int64], extra: npt.NDArray[np.int64], missed: npt.NDArray[np.int64]) -> FloatArray:
    """F1 from counts; 1 for an empty image without detections."""
    whole = 2 * hits + extra + missed
    f1: FloatArray = np.divide(2.0 * hits, whole, out=np.ones(len(hits)), where=whole != 0)
    return f1


def _image_mean(
    results: ResultSet, values: FloatArray | None, seed: int | None, groups: GroupUnit | None
) -> tuple[float | None, Interval | None]:
    """Mean over the images that have a value in 0..1, and its bounds."""
    if values is None or not (known := (values >= 0) & (values <= 1)).any():
        return None, None
    interval = None if seed is None else bounded_mean(values[known], results.sample[known], groups)
    return float(values[known].mean()), interval


def _mean(values: FloatArray | None) -> float | None:
    if values is None or np.isnan(values).all():
        return None
    return float(np.nanmean(values))


def _passing(results: ResultSet, scores: FloatArray | None) -> tuple[float | None, bool]:
    """Share of the images that Studio calls correct, else of those with a reported score that reach 0.8; whether it is
    by that score.
    """
    verdict = studio_verdict(accuracy_verdicts(results), results.sample, None)
    if verdict is not None:
        return verdict.accuracy, False
    if scores is None or np.isnan(scores).all():
        return None, True
    return float((scores[~np.isnan(scores)] >= PASSING_SCORE).mean()), True


def _unreported(results: ResultSet) -> int:
    """Images without a score that Studio reports of others."""
    missing = np.zeros(results.windows, np.bool_)
    for scores in (results.reported_map, results.reported_f1):
        if scores is not None and not (absent := np.isnan(scores)).all():
            missing |= absent
    return int(missing.sum())


def _unnamed(results: ResultSet) -> int:
    """Boxes without a label, which are of no class and so in no figure."""
    return sum(int((boxes.label < 0).sum()) for boxes in (results.truth, results.detections) if boxes is not None)


def _without_truth(results: ResultSet) -> npt.NDArray[np.bool_]:
    """bool[m], the window's sample is known to have no labelled box."""
    if results.truth is None:
        return np.zeros(results.windows, np.bool_)
    empty: npt.NDArray[np.bool_] = _count(results.truth, results.samples)[results.sample] == 0
    return empty


def _empty_boxes(results: ResultSet) -> int | None:
    """Images with no object and no detection; None where either is not known."""
    if results.truth is None or results.detections is None:
        return None
    return int((_without_truth(results) & (_count(results.detections, results.windows) == 0)).sum())


def _count(boxes: Boxes, owners: int) -> npt.NDArray[np.intp]:
    """Boxes per owner."""
    return np.bincount(boxes.owner, minlength=owners)


def _at(iou: float) -> slice:
    """The place of one threshold among `IOU_THRESHOLDS`."""
    place = int(np.argmin(np.abs(IOU_THRESHOLDS - iou)))
    return slice(place, place + 1)


def _map_interval(
    matches: Matches, sample: IntArray, point: float, seed: int, groups: GroupUnit | None
) -> Interval | None:
    """Point ± Student's t (units - 1 degrees) times the standard error of 200 bootstraps of units; percentiles are
    biased for mAP. Groups of uneven sizes take at least as many standard errors as the number of truth boxes that are
    found. None under 30 samples.
    """
    clusters = clustered(sample, groups)
    if clusters is None:
        return None
    rng = np.random.default_rng(seed)
    weights = np.empty((_REPLICATES, clusters.units), np.int32)
    for replicate in weights:
        replicate[:] = np.bincount(rng.integers(clusters.units, size=clusters.units), minlength=clusters.units)
    maps = mean_average_precision(average_precision(matches.grouped(clusters.of, clusters.units), weights))
    maps = maps[~np.isnan(maps)]  # a replicate may miss the few images with truth
    if len(maps) < 2:
        return None
    errors = t_quantile(0.975, clusters.units - 1)
    if groups is not None:
        errors = max(errors, _errors_of_found(matches, sample, clusters, weights))
    half = errors * float(maps.std(ddof=1))
    return Interval(max(0.0, point - half), min(1.0, point + half))


def _errors_of_found(matches: Matches, sample: IntArray, clusters: Clusters, weights: npt.NDArray[np.int32]) -> float:
    """How many bootstrap standard errors the bounds of the number of truth boxes that are found are away; 0 where
    groups are of one size.

    Args:
        matches: Their images.
        sample: int[images], the images' samples.
        clusters: The images' units.
        weights: int32[replicates, units], of the bootstrap.
    """
    found = np.bincount(matches.image, matches.hits.mean(axis=0), matches.images)
    truths = np.bincount(matches.truth_image, minlength=matches.images)
    excess = found - found.sum() / max(truths.sum(), 1) * truths
    error = float((weights * np.bincount(clusters.of, excess)).sum(axis=1).std(ddof=1))
    return half_by_groups(excess, sample, clusters) / error if error else 0.0
