"""Windows that changed sides, as people read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.compare.changed_windows import ChangedWindow, changed_windows
from monitor.compare.side_kinds import ADDED_WRONG, FIXED, KINDS, NEWLY_WRONG, RELABELLED, REMOVED_WRONG
from monitor.compare.sides import sides
from monitor.results import CORRECT, WRONG, Block, BlockKind, Boxes, Categorical, Confidences, ResultSet
from monitor.text import shown
from tests.factories import encoded, images, result_set


def clips(ids: list[int], labels: list[str], predictions: list[str], named: bool = True) -> ResultSet:
    """A classifier's windows, one per sample, sure of each prediction by .9."""
    classes = ("idle", "wave")
    columns = encoded(labels, predictions)
    p = np.array([[0.9 if name == prediction else 0.1 for name in classes] for prediction in predictions])
    verdicts = [CORRECT if label == guess else WRONG for label, guess in zip(labels, predictions, strict=True)]
    return result_set(
        len(ids),
        **columns,
        blocks=(Block(3, "keras", BlockKind.CLASSIFICATION),),
        sample_id=np.array(ids),
        correct=np.array(verdicts, np.int8),
        confidences={3: Confidences(classes, p)},
        filename=Categorical.encode([f"clip{number}.wav" for number in ids]) if named else None,
    )


def test_a_classifiers_windows() -> None:
    """Each window comes with its names, labels, predictions and confidences, then and now."""
    before = clips([1, 2, 3, 4], ["idle", "idle", "wave", "idle"], ["idle", "wave", "wave", "wave"])
    after = clips([1, 2, 3, 5], ["idle", "idle", "idle", "wave"], ["wave", "idle", "wave", "idle"])
    lists = changed_windows(sides(before, after, find_suspects=False))
    now = (0, 1000)
    assert lists[NEWLY_WRONG] == [
        ChangedWindow(1, "clip1.wav", *now, "idle", "wave", 0.9, "idle", "idle", 0.9),
        ChangedWindow(3, "clip3.wav", *now, "idle", "wave", 0.9, "wave", "wave", 0.9),
    ]
    assert lists[FIXED] == [ChangedWindow(2, "clip2.wav", *now, "idle", "idle", 0.9, "idle", "wave", 0.9)]
    assert lists[RELABELLED] == [lists[NEWLY_WRONG][1]]
    assert lists[ADDED_WRONG] == [ChangedWindow(5, "clip5.wav", *now, "wave", "idle", 0.9, None, None, None)]
    assert lists[REMOVED_WRONG] == [ChangedWindow(4, "clip4.wav", *now, None, None, None, "idle", "wave", 0.9)]


def test_names_that_nobody_kept() -> None:
    """Without names of files only the number says which sample it is."""
    before, after = clips([1], ["idle"], ["idle"]), clips([1], ["idle"], ["wave"], named=False)
    (window,) = changed_windows(sides(before, after))[NEWLY_WRONG]
    assert (window.sample_id, window.filename) == (1, None)


def test_images_say_what_is_in_them() -> None:
    """A detector's label and prediction are how many boxes of which class there are."""
    truth = Boxes(np.array([0, 0, 0]), np.array([0, 1, 0]), np.zeros((3, 4)))
    found = Boxes(np.array([0]), np.array([1]), np.zeros((1, 4)), np.array([0.8]))
    before = images(
        2,
        blocks=(Block(4, "keras-object-detection", BlockKind.DETECTION),),
        labels=("car", "dog"),
        truth=truth,
        detections=found,
        correct=np.array([CORRECT, CORRECT], np.int8),
    )
    after = replace(before, correct=np.array([WRONG, WRONG], np.int8), detections=Boxes.none(scored=True))
    first, second = changed_windows(sides(before, after))[NEWLY_WRONG]
    names = ("2 car, 1 dog", "nothing", None, "2 car, 1 dog", "1 dog", None)
    assert first == ChangedWindow(0, None, None, None, *names, classes=("car", "dog"))
    assert list(first.called()) == ["car", "dog"]
    assert (second.label, second.prediction) == ("nothing", "nothing")


def test_wrong_looking_labels_are_marked() -> None:
    """In every list a window whose label looks wrong says what it looks like, and the confidence in its label."""
    rng = np.random.default_rng(1)
    labels = [("idle", "wave")[code] for code in rng.integers(0, 2, 200)]
    run = clips(list(range(200)), labels, labels)
    given = ["wave" if labels[0] == "idle" else "idle", *labels[1:]]
    mistaken = clips(list(range(200)), given, labels)
    lists = changed_windows(sides(run, mistaken))
    (window,) = lists[RELABELLED]
    assert (window.looks_like, window.self_confidence) == (labels[0], 0.1)
    assert lists[NEWLY_WRONG] == [window]


def test_endless_names_are_cut() -> None:
    """A class whose name is endless takes no more of a list than series and pages bear."""
    endless = "x" * 100_000
    before, after = clips([1, 2], [endless, "wave"], [endless, "wave"]), clips([1, 2], [endless, "wave"], ["wave"] * 2)
    (window,) = changed_windows(sides(before, after))[NEWLY_WRONG]
    assert window.label == window.prediction_before == shown(endless)
    assert window.prediction == "wave"


def test_lists_end() -> None:
    """A list names no more windows than it may."""
    before, after = clips([1, 2, 3], ["idle"] * 3, ["idle"] * 3), clips([1, 2, 3], ["idle"] * 3, ["wave"] * 3)
    lists = changed_windows(sides(before, after), most=2)
    assert set(lists) == set(KINDS)
    assert [window.sample_id for window in lists[NEWLY_WRONG]] == [1, 2]
