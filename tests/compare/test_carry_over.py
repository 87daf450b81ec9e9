"""What another version read, beside what this one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.compare.carry_over import block_as_now, carried_over, same_content, without_repeats
from monitor.results import UNSCORED, Block, BlockKind, Boxes, Confidences, FomoCounts, Points, ResultSet
from tests.factories import result_set

CLASSES = ("idle", "wave")


def read(samples: int = 20) -> ResultSet:
    """What this version reads: two windows a sample, a classifier with a text threshold and an anomaly block."""
    rng = np.random.default_rng(1)
    windows = 2 * samples
    label = rng.integers(0, 2, windows).astype(np.int8)
    prediction = rng.integers(0, 2, windows).astype(np.int8)
    return result_set(
        blocks=(
            Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6}),
            Block(4, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 0.3}, {"method": "max"}),
        ),
        labels=CLASSES,
        sample_id=np.arange(samples) + 100,
        sample=np.arange(samples).repeat(2),
        start_ms=np.tile([0, 500], samples),
        end_ms=np.tile([1000, 1500], samples),
        label=label,
        prediction=prediction,
        correct=(label == prediction).astype(np.int8),
        confidences={3: Confidences(CLASSES, rng.random((windows, 2)))},
        anomaly={4: rng.random(windows)},
    )


def repeated(results: ResultSet) -> ResultSet:
    """As a version stored it that counted the windows of each page on every page."""
    twice = np.sort(np.concatenate([np.arange(results.windows)] * 2))
    columns = ("sample", "start_ms", "end_ms", "label", "prediction", "correct")
    return replace(
        results,
        **{name: getattr(results, name)[twice] for name in columns},
        confidences={3: Confidences(CLASSES, results.confidences[3].values[twice])},
        anomaly={4: results.anomaly[4][twice]},
    )


def without_texts(results: ResultSet) -> ResultSet:
    """As a version stored it that read no text thresholds."""
    return replace(results, blocks=tuple(replace(block, texts={}) for block in results.blocks))


def with_anomaly_class(results: ResultSet) -> ResultSet:
    """As a version stored it that took the score beside the confidences for a class."""
    values = np.column_stack([results.anomaly[4], results.confidences[3].values])
    return replace(results, confidences={3: Confidences(("anomaly", *CLASSES), values)})


def unjudged(results: ResultSet) -> ResultSet:
    """As a version stored it that did not read Studio's verdicts, nor every score."""
    scores = results.anomaly[4].copy()
    scores[3] = np.nan
    return replace(results, correct=np.full(results.windows, UNSCORED, np.int8), anomaly={4: scores})


def with_unused_label(results: ResultSet) -> ResultSet:
    """As a version stored it whose table of labels has one more, so that the codes differ."""
    codes = {name: (getattr(results, name) + 1).astype(np.int8) for name in ("label", "prediction")}
    return replace(results, labels=("anomaly", *CLASSES), **codes)


READINGS = [without_texts, repeated, with_anomaly_class, unjudged, with_unused_label]


@pytest.mark.parametrize("reading", READINGS)
def test_less_that_was_read_is_the_same_content(reading: Callable[[ResultSet], ResultSet]) -> None:
    """What another version did not read, read twice or under other codes is no change."""
    assert same_content(reading(read()), read())


def _scored_otherwise(results: ResultSet) -> ResultSet:
    scores = results.anomaly[4].copy()
    scores[5] += 1e-6
    return replace(results, anomaly={4: scores})


def _confident_otherwise(results: ResultSet) -> ResultSet:
    values = results.confidences[3].values.copy()
    values[7, 1] += 1e-6
    return replace(results, confidences={3: Confidences(CLASSES, values)})


CHANGES: dict[str, Callable[[ResultSet], ResultSet]] = {
    "one label": lambda found: replace(
        found, label=np.where(np.arange(found.windows) == 3, 1 - found.label, found.label)
    ),
    "one prediction": lambda found: replace(
        found, prediction=np.where(np.arange(found.windows) == 3, 1 - found.prediction, found.prediction)
    ),
    "one verdict": lambda found: replace(
        found, correct=np.where(np.arange(found.windows) == 3, 1 - found.correct, found.correct)
    ),
    "one score": _scored_otherwise,
    "one confidence": _confident_otherwise,
    "a threshold": lambda found: replace(
        found, blocks=(replace(found.blocks[0], thresholds={"min_score": 0.7}), found.blocks[1])
    ),
    "a block": lambda found: replace(found, blocks=found.blocks[:1]),
    "another sample": lambda found: replace(found, sample_id=found.sample_id + 1),
    "a class": lambda found: replace(
        found, confidences={3: Confidences(("idle", "waving"), found.confidences[3].values)}
    ),
    "a bound": lambda found: replace(found, end_ms=found.end_ms + 1),
    "a label map": lambda found: replace(found, label_map=True),
}


@pytest.mark.parametrize("reading", READINGS[:3])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_another_content(reading: Callable[[ResultSet], ResultSet], change: str) -> None:
    """One value that Studio says otherwise is a change, whatever else the stored set lacks."""
    assert not same_content(reading(read()), CHANGES[change](read()))


def images(xy: float = 0.5, score: float = 0.75) -> ResultSet:
    """Two images with a labelled and a predicted box, and FOMO's points."""
    found = read(2)
    one, code = np.arange(2, dtype=np.int32), np.zeros(2, np.int8)
    counts = np.ones(4, np.int64)
    points = Points(one, code, np.full((2, 2), xy))
    return replace(
        found,
        truth=Boxes(one, code, np.ones((2, 4))),
        detections=Boxes(one, code, np.ones((2, 4)), np.full(2, score)),
        fomo=FomoCounts(counts, counts, counts, np.ones(4), points, points),
    )


def test_boxes_and_points() -> None:
    """Boxes and points are part of the content, where both versions read some."""
    assert same_content(images(), images())
    assert same_content(replace(images(), detections=None, fomo=None), images())
    assert not same_content(images(), images(score=0.8))
    assert not same_content(images(), images(xy=0.6))


@pytest.mark.parametrize("reading", [without_texts, repeated, with_anomaly_class])
def test_a_stored_set_carried_over(reading: Callable[[ResultSet], ResultSet]) -> None:
    """A baseline with other content gets what this version reads of the same target: its fingerprint is that of today's
    reading.
    """
    assert read().fingerprint() == carried_over(reading(read()), read(30)).fingerprint()


def test_the_kind_of_a_block_is_today_s() -> None:
    """A block that is taken for another kind now is so in the baseline too; thresholds that were stored stay."""
    stored = Block(7, "keras-object-detection", BlockKind.DETECTION, "Parts", {"min_score": 0.5})
    now = replace(stored, kind=BlockKind.FOMO, thresholds={"min_score": 0.7}, texts={"layer": "fomo"})

    assert Block(
        7, "keras-object-detection", BlockKind.FOMO, "Parts", {"min_score": 0.5}, {"layer": "fomo"}
    ) == block_as_now(stored, (now,))
    assert stored == block_as_now(stored, (replace(now, id=8),))


def test_windows_without_bounds_are_no_repeats() -> None:
    """Where Studio gives no bounds, windows that look alike are windows all the same."""
    found = repeated(read())
    unknown = replace(found, start_ms=np.full(found.windows, -1))

    assert 80 == without_repeats(unknown).windows
    assert 40 == without_repeats(found).windows


def test_repeats_take_their_boxes_with_them() -> None:
    """What a repeated window detected is dropped with it, and the rest refers to the windows that stay."""
    found = repeated(read(2))
    boxes = Boxes(
        np.array([0, 1, 6, 7], np.int8),
        np.array([0, 0, 1, 1], np.int8),
        np.arange(16.0).reshape(4, 4),
        np.array([0.1, 0.1, 0.9, 0.9]),
    )
    kept = without_repeats(replace(found, detections=boxes)).detections

    assert kept is not None
    assert [0, 3] == kept.owner.tolist()
    assert [0, 1] == kept.label.tolist()
    assert kept.score is not None
    assert [0.1, 0.9] == kept.score.tolist()


def test_maxima_that_are_means_today() -> None:
    """Scores of images that were maxima, where Studio decides on means, are no change, and a baseline's are compared
    with nothing.
    """
    means = {"anomaly_scoring_aggregation_method": "mean"}
    visual = Block(4, "keras-visual-anomaly", BlockKind.VISUAL_ANOMALY, "Visual", {"min_anomaly_score": 2.6}, means)
    now = replace(read(), blocks=(read().blocks[0], visual))
    stored = without_texts(replace(now, anomaly={4: now.anomaly[4] * 2}))

    assert same_content(stored, now)
    assert {} == carried_over(stored, now).anomaly
    other = replace(now, blocks=(now.blocks[0], replace(visual, texts={"anomaly_scoring_aggregation_method": "max"})))
    assert not same_content(stored, other)
    assert [4] == list(carried_over(stored, other).anomaly)
