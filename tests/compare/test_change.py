"""The change from a baseline, what it is due to, and how likely it is to be noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitor.compare.change import CAUSES, Change, ThresholdChange, changes
from monitor.figures.classification import quality
from monitor.figures.detection import detection
from monitor.figures.regression import regression
from monitor.results import (
    CORRECT,
    UNCERTAIN,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Confidences,
    FomoCounts,
    Points,
    ResultSet,
)
from tests.compare import change_oracle as oracle
from tests.compare.change_oracle import (
    DETECTOR,
    FOMO,
    LABELS,
    QUIET,
    REGRESSION,
    Run,
    Window,
    by_metric,
    classified,
    columns,
    detector_run,
    worse,
)
from tests.factories import known
from tests.figures.strategies import CLASSIFIER

close = partial(pytest.approx, rel=0, abs=1e-12)


def check_against_oracle(change: Change | None, expected: Mapping[str, float]) -> None:
    """Assert that the causes are the oracle's, and that they add up where all exist."""
    if change is None:
        assert not expected
        return
    assert close(dict(expected)) == dict(change.causes)
    if len(change.causes) == len(CAUSES):
        assert close(change.causes["total"]) == sum(change.causes[cause] for cause in CAUSES if cause != "total")


def without(causes: Mapping[str, float], cause: str) -> dict[str, float]:
    """The causes but one."""
    return {name: part for name, part in causes.items() if name != cause}


@st.composite
def two_runs(draw: st.DrawFn, window: str) -> tuple[Run, Run]:
    """Two runs of about 40 samples with what tells them apart: other predictions, labels, samples and window bounds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    alone, relabelled, moved, many = (draw(st.sampled_from([0.0, 0.05, 0.3])) for _ in range(4))
    baseline: dict[int, list[Window]] = {}
    current: dict[int, list[Window]] = {}
    for number in rng.permutation(draw(st.sampled_from([0, 25, 40, 45]))).tolist():
        windows = int(rng.integers(0, 4)) if rng.random() < many else 1
        before = [_window(window, rng, start) for start in range(windows)]
        after = [
            replace(old, label=new.label, truth=new.truth, true_points=new.true_points)
            if rng.random() < relabelled
            else old
            for old, new in ((old, _window(window, rng, old.start)) for old in before)
        ]
        after = [_other_output(window, rng, old) for old in after]
        if after and rng.random() < moved / 3:
            after[-1] = replace(after[-1], start=99)
        presence = rng.random()
        if presence > alone / 2:
            baseline[number] = before
        if presence < 1 - alone / 2:
            current[number] = after
    return baseline, current


def _window(kind: str, rng: np.random.Generator, start: int) -> Window:
    if kind == "boxes":
        truth = tuple(
            (str(rng.choice(LABELS)), *map(float, rng.integers(0, 60, 2)), *map(float, rng.integers(10, 40, 2)))
            for _ in range(rng.integers(0, 3))
        )
        return _other_output(kind, rng, Window(truth=truth, start=start))
    if kind == "points":
        truth = tuple(
            (int(rng.integers(1, 3)), *(rng.integers(0, 8, 2) / 8).tolist()) for _ in range(rng.integers(0, 4))
        )
        return _other_output(kind, rng, Window(true_points=truth, start=start))
    if kind == "numbers":
        label = rng.choice(["1", "1.0", "2", "2.5", "1", "2", "no number", ""]) or None
        return _other_output(kind, rng, Window(label=label, start=start))
    label = rng.choice([*LABELS, *LABELS, UNCERTAIN, ""]) or None
    return _other_output(kind, rng, Window(label=label, start=start))


def _other_output(kind: str, rng: np.random.Generator, window: Window) -> Window:
    """The window with a new prediction on it."""
    if kind == "boxes":
        kept = [box for box in window.truth if rng.random() < 0.8]
        found = [
            ((label, *((np.array(xywh) + rng.integers(-2, 3, 4)) / oracle.SIDE).tolist()), rng.random())
            for label, *xywh in kept
        ]
        return replace(window, detections=tuple(found))
    if kind == "points":
        found = [(label, x + rng.integers(-2, 3) / 8, y) for label, x, y in window.true_points if rng.random() < 0.8]
        return replace(window, points=tuple(found) + ((1, 0.5, 0.5),) * int(rng.random() < 0.2))
    if kind == "numbers":
        prediction = str(rng.choice(["0.5", "1", "1.5", "2.25", "3", "no number"]))
        return replace(window, prediction=prediction, correct=int(rng.choice([CORRECT, WRONG, UNSCORED])))
    prediction = str(rng.choice([*LABELS, UNCERTAIN, "never true"]))
    if rng.random() < 0.5 and window.label:
        prediction = window.label
    correct = (
        UNSCORED
        if window.label == "cat" and rng.random() < 0.5
        else int(rng.random() < 0.9)
        if prediction == window.label
        else WRONG
    )
    return replace(window, prediction=prediction, correct=correct)


@pytest.mark.slow
@given(two_runs("classes"), st.sampled_from([LABELS, LABELS[:2], ()]))
def test_causes_of_a_classifier(runs: tuple[Run, Run], classes: tuple[str, ...]) -> None:
    """Accuracy and mean F1 move by what a plain loop with scikit-learn's figures finds, cause by cause."""
    baseline, current = runs
    before, after = columns(baseline, classes=classes), columns(current)

    found = by_metric(before, after)

    for metric, figure in (("accuracy", oracle.accuracy), ("mean_f1", oracle.mean_f1)):
        applies = all(
            oracle.mean_f1([window for windows in run.values() for window in windows]) is not None for run in runs
        )
        expected = oracle.causes(baseline, current, figure, oracle.by_class(baseline, classes)) if applies else {}
        check_against_oracle(found.get(metric), expected)


@given(two_runs("numbers"))
def test_causes_of_a_regression(runs: tuple[Run, Run]) -> None:
    """A regression's accuracy is its share within tolerance, and labels are numbers: `1` and `1.0` are one."""
    found = by_metric(columns(runs[0], REGRESSION), columns(runs[1], REGRESSION))

    check_against_oracle(found.get("accuracy"), oracle.causes(*runs, oracle.within_tolerance, oracle.by_number))
    assert set(found) <= {"accuracy"}


@pytest.mark.slow
@given(two_runs("points"))
def test_causes_of_fomo(runs: tuple[Run, Run]) -> None:
    """FOMO's predictions are given to the new centroids by its own rule."""
    found = by_metric(columns(runs[0], FOMO), columns(runs[1], FOMO), trained=(1.0, 1.0))

    check_against_oracle(found.get("mean_f1"), oracle.causes(*runs, oracle.image_f1, oracle.by_points))
    assert set(found) <= {"mean_f1"}


@pytest.mark.slow
@given(two_runs("boxes"))
@settings(max_examples=30)
def test_causes_of_a_box_detector(runs: tuple[Run, Run]) -> None:
    """The mAP of each step is pycocotools' for those images, boxes and detections."""
    before, after = ({number: windows[:1] for number, windows in run.items()} for run in runs)  # truth is a sample's
    runs = before, after

    found = by_metric(columns(runs[0], DETECTOR), columns(runs[1], DETECTOR))

    check_against_oracle(found.get("map"), oracle.causes(*runs, oracle.coco_map, oracle.by_boxes))
    assert set(found) <= {"map"}


@pytest.mark.slow
@given(two_runs("classes"))
def test_swapped_runs(runs: tuple[Run, Run]) -> None:
    """With the runs swapped the total has the other sign, and what was added is removed."""
    forward, backward = by_metric(*map(columns, runs)), by_metric(*map(columns, reversed(runs)))

    assert forward.keys() == backward.keys()
    for metric, change in forward.items():
        other = backward[metric]
        assert close(-change.causes["total"]) == other.causes["total"]
        assert (change.shared, change.added, change.removed) == (other.shared, other.removed, other.added)
        assert (change.baseline, change.current) == close((other.current, other.baseline))


@given(two_runs("classes"), st.permutations(["x", "a", "ß"]))
@settings(max_examples=20)
def test_renamed_classes(runs: tuple[Run, Run], names: list[str]) -> None:
    """Other names for the classes, in another order, change neither a cause nor a p-value."""
    name = dict(zip(LABELS, names, strict=True))

    def renamed(run: Run) -> Run:
        return {
            number: [
                replace(w, label=name.get(w.label, w.label), prediction=name.get(w.prediction, w.prediction))
                for w in windows
            ]
            for number, windows in run.items()
        }

    before, after = (columns(run, classes=LABELS) for run in runs)
    found = by_metric(before, after, 5)
    before, after = (columns(renamed(run), classes=names) for run in runs)
    again = by_metric(before, after, 5)

    assert found.keys() == again.keys()
    for metric, change in found.items():
        assert close(dict(change.causes)) == dict(again[metric].causes)
        assert close(dict(change.pvalues)) == dict(again[metric].pvalues)


def test_whole_figures_are_the_exported_ones() -> None:
    """Baseline and current values are those of the evaluation of each run, for every kind of model."""
    rng = np.random.default_rng(4)

    def run(kind: str) -> Run:
        return {number: [_window(kind, rng, 0)] for number in range(50)}

    classes, numbers, points, boxes = (
        (columns(run(kind), block), columns(run(kind), block))
        for kind, block in (("classes", CLASSIFIER), ("numbers", REGRESSION), ("points", FOMO), ("boxes", DETECTOR))
    )
    for metric in ("accuracy", "mean_f1"):
        assert tuple(getattr(quality(side, None), metric) for side in classes) == close(
            _values(by_metric(*classes)[metric])
        )
    expected = tuple(known(regression(side, None)[0]).within_tolerance for side in numbers)
    assert expected == close(_values(by_metric(*numbers)["accuracy"]))
    assert tuple(known(detection(side, None)[0]).mean_f1 for side in points) == close(
        _values(by_metric(*points)["mean_f1"])
    )
    assert tuple(known(detection(side, None)[0]).map["0.50:0.95"] for side in boxes) == close(
        _values(by_metric(*boxes)["map"])
    )


def _values(change: Change) -> tuple[float, float]:
    return change.baseline, change.current


# What a change is attributed to.


def attributed(current: Run) -> set[str]:
    """The causes of the change from the quiet run that are not 0, `total` aside, of either metric."""
    found = by_metric(columns(QUIET, classes=LABELS), columns(current, classes=LABELS))
    assert found.keys() == {"accuracy", "mean_f1"}
    assert all(len(change.causes) == len(CAUSES) for change in found.values())
    return {cause for change in found.values() for cause, value in change.causes.items() if value != 0} - {"total"}


def test_removed_samples_alone() -> None:
    """Removing samples is a removal and nothing else."""
    assert attributed({number: windows for number, windows in QUIET.items() if number % 7}) == {"removed"}


def test_added_samples_alone() -> None:
    """New samples are an addition and nothing else."""
    assert attributed({**QUIET, **{100 + number: [classified("ant", "bee")] for number in range(9)}}) == {"added"}


def test_changed_labels_alone() -> None:
    """A relabelled sample with the same prediction is a change of labels and nothing else."""
    relabelled = [replace(QUIET[1][0], label="cat", correct=WRONG)]
    assert attributed({**QUIET, 1: relabelled}) == {"labels"}


def test_changed_model_alone() -> None:
    """Other predictions on the same samples are the model's doing and nothing else."""
    assert attributed(worse(QUIET)) == {"model"}


def test_windows_that_do_not_pair() -> None:
    """A shared sample whose windows have other bounds counts as removed and added."""
    current = {**QUIET, 7: [replace(QUIET[7][0], start=500)], 8: [QUIET[8][0], replace(QUIET[8][0], start=1)]}

    change = by_metric(columns(QUIET), columns(current))["accuracy"]

    assert (change.shared, change.added, change.removed) == (58, 2, 2)
    assert change.causes["model"] == change.causes["labels"] == 0
    assert change.causes["removed"] != 0


def test_windows_that_end_elsewhere() -> None:
    """Windows pair by where they end, too."""
    before = columns(QUIET)
    longer = replace(before, end_ms=np.where(np.arange(60) < 4, before.end_ms + 1, before.end_ms))

    change = by_metric(before, longer)["accuracy"]

    assert (change.shared, change.added, change.removed) == (56, 4, 4)


def test_windows_of_equal_bounds_pair_in_their_order() -> None:
    """Where no window has bounds, the first pairs with the first."""
    two: Run = {number: [classified("ant", "ant"), classified("bee", "ant")] for number in range(40)}

    changes_of_two = by_metric(columns(two), columns(worse(two)))

    assert changes_of_two["accuracy"].shared == 40
    assert close(-0.25) == changes_of_two["accuracy"].causes["model"]
    assert changes_of_two["accuracy"].causes["labels"] == 0


def test_a_label_the_baseline_never_knew() -> None:
    """A sample relabelled to a class that only the new model knows leaves the baseline's score: labels and model share
    what follows.
    """
    current = {**QUIET, **{number: [classified("dog", "dog")] for number in range(1, 7)}}

    unknown = by_metric(columns(QUIET, classes=LABELS), columns(current, classes=[*LABELS, "dog"]))["accuracy"]
    known = by_metric(columns(QUIET, classes=[*LABELS, "dog"]), columns(current, classes=[*LABELS, "dog"]))["accuracy"]

    right = sum(window.correct for windows in QUIET.values() for window in windows)
    assert close((right - 6) / 54 - right / 60) == unknown.causes["labels"]
    assert close(-6 / 60) == known.causes["labels"]
    assert close(6 / 60) == known.causes["model"]


def test_a_figure_that_no_window_has_under_the_new_labels() -> None:
    """Where no window is scored under the new labels, `labels` and `model` are absent, not 0, and so is a p-value of
    model.
    """
    current = {number: [classified("dog", "dog")] for number in QUIET}

    change = by_metric(columns(QUIET, classes=LABELS), columns(current), 1)["accuracy"]

    assert change.causes.keys() == {"total", "added", "removed"}
    assert change.pvalues == {}


def test_a_vanished_class() -> None:
    """A class that left the data leaves the mean with its samples: that is a removal."""
    current = {number: windows for number, windows in QUIET.items() if windows[0].label != "cat"}

    change = by_metric(columns(QUIET), columns(current))["mean_f1"]

    assert change.causes["removed"] == change.causes["total"] != 0
    assert change.causes["model"] == change.causes["labels"] == change.causes["added"] == 0


def test_unscored_windows_stay_unscored() -> None:
    """An unchanged label that Studio did not score counts in no step."""
    hidden = {
        number: [replace(w, correct=UNSCORED) if number < 10 else w for w in windows]
        for number, windows in QUIET.items()
    }

    change = by_metric(columns(hidden, classes=LABELS), columns(worse(hidden), classes=LABELS))["accuracy"]

    scored = [window.correct for number, windows in hidden.items() for window in windows if number >= 10]
    assert close(sum(scored) / 50) == change.baseline
    assert change.causes["labels"] == 0


@pytest.mark.parametrize("side", ["baseline", "current"])
def test_label_maps_and_other_kinds_have_no_change(side: str) -> None:
    """A project that maps labels, a model of another kind, or a run without a class gives nothing to compare."""
    plain = columns(QUIET)
    unlabelled = columns({number: [Window(None, "ant", CORRECT)] for number in QUIET})
    assert quality(unlabelled, None) is None
    for other in (
        unlabelled,
        replace(plain, label_map=True),
        columns(QUIET, Block(9, "anomaly", BlockKind.ANOMALY)),
        columns({}),
    ):
        pair = (other, plain) if side == "baseline" else (plain, other)
        assert changes(*pair, 1) == ()


def test_equal_result_sets() -> None:
    """Nothing new is known: every cause is 0, also with few samples, and nothing is tested."""
    for samples in (QUIET, {number: QUIET[number] for number in range(8)}):
        found = by_metric(columns(samples), columns(samples), 1)
        assert found.keys() == {"accuracy", "mean_f1"}
        for change in found.values():
            assert change.causes == dict.fromkeys(CAUSES, 0.0)
            assert change.pvalues == {}


def test_few_shared_samples() -> None:
    """Under 30 shared samples only the total is known, and tested as a whole."""
    current = {number + 31: windows for number, windows in worse(QUIET).items()}
    enough = {number + 30: windows for number, windows in worse(QUIET).items()}

    few = by_metric(columns(QUIET), columns(current), 1)
    many = by_metric(columns(QUIET), columns(enough), 1)

    for metric in ("accuracy", "mean_f1"):
        assert few[metric].shared == 29
        assert few[metric].causes.keys() == {"total"} == few[metric].pvalues.keys()
        assert few[metric].pvalues["total"] < 0.01
        assert many[metric].causes.keys() == set(CAUSES)


def test_without_a_seed_nothing_is_tested() -> None:
    """Without a seed there are causes but no p-values; with one they repeat."""
    before, after = columns(QUIET), columns(worse(QUIET))

    assert all(change.pvalues == {} and change.causes for change in changes(before, after, None))
    assert changes(before, after, 9) == changes(before, after, 9)


def test_changed_thresholds_are_named() -> None:
    """A threshold of a block that both runs have is named with both values; one that only one run has is not."""
    before, after = columns(QUIET), columns(worse(QUIET))
    after = replace(after, blocks=(replace(CLASSIFIER, thresholds={"min_score": 0.8, "other": 1.0}), REGRESSION))

    (change, _) = changes(before, after, None)

    assert change.thresholds == (ThresholdChange("Classifier", "min_score", 0.6, 0.8),)


# FOMO where Studio lists nothing.


def fomo_run(
    images: list[tuple[tuple[int, int, int], float | None, bool]], truth: tuple[tuple[float, float], ...] = ()
) -> ResultSet:
    """One image per sample: counts, reported F1, and whether a box is labelled on it; `truth` are the first image's
    centroids.
    """
    boxed = {
        number: [Window(truth=(("cup", 10.0, 10.0, 10.0, 10.0),) if labelled else ())]
        for number, (_, _, labelled) in enumerate(images)
    }
    counts = np.array([row[0] for row in images])
    points = Points(np.zeros(len(truth), np.int64), np.ones(len(truth), np.int64), np.array(truth).reshape(-1, 2))
    fomo = FomoCounts(counts[:, 0], counts[:, 1], counts[:, 2], np.full(len(images), np.nan), points, Points.none())
    reported = np.array([np.nan if f1 is None else f1 for _, f1, _ in images])
    return replace(columns(boxed, FOMO), fomo=fomo, reported_f1=reported)


def test_fomo_images_without_centroids_keep_their_score_under_the_same_boxes() -> None:
    """Where Studio lists no centroids, the labelled boxes say whether the labels changed; if they did, the image cannot
    be judged.
    """
    unlisted = ((-1, -1, -1), 0.5, True)
    before = fomo_run([unlisted] * 40)
    same = fomo_run([((-1, -1, -1), 0.75, True)] * 40)
    truth = known(same.truth)
    other = replace(same, truth=replace(truth, xywh=np.vstack([truth.xywh[:39], [[5.0, 5.0, 5.0, 5.0]]])))

    kept, one_changed = (by_metric(before, after)["mean_f1"] for after in (same, other))

    assert dict(kept.causes) == close(
        {"total": 0.25, "model": 0.25, "labels": 0.0, "thresholds": 0.0, "added": 0.0, "removed": 0.0}
    )
    assert dict(one_changed.causes) == close(
        {"total": 0.25, "model": 0.25, "labels": 0.0, "thresholds": 0.0, "added": 0.0, "removed": 0.0}
    )
    unlike = replace(other, truth=replace(known(other.truth), xywh=known(other.truth).xywh + 1))
    assert by_metric(before, unlike)["mean_f1"].causes.keys() == {"total", "added", "removed"}


def test_fomo_empty_image_that_gets_an_object() -> None:
    """An image that was empty and found so, which Studio lists nothing for, is a miss once an
    object is labelled on it.
    """
    empty = ((-1, -1, -1), 1.0, False)
    before = fomo_run([empty] * 40)
    after = fomo_run([((0, 0, 1), 0.0, True)] + [empty] * 39, truth=((0.5, 0.5),))

    change = by_metric(before, after)["mean_f1"]

    assert close(-1 / 40) == change.causes["labels"]
    assert change.causes["model"] == 0


def test_exact_part_of_an_accuracy() -> None:
    """What relabelled samples do to an accuracy is exact, unless the model does the opposite; which samples left is a
    draw.
    """
    current = {number: windows for number, windows in QUIET.items() if number % 14}
    current[1] = [replace(QUIET[1][0], label="cat", correct=WRONG)]
    better = {
        number: [replace(w, prediction=w.label, correct=CORRECT) for w in windows]
        for number, windows in current.items()
    }

    same, worse_too, opposite = (
        by_metric(columns(QUIET, classes=LABELS), columns(run, classes=LABELS))["accuracy"]
        for run in (current, worse(current, 5), better)
    )

    assert same.causes["labels"] < 0 < same.causes["removed"]
    assert same.exact_change == same.causes["labels"] == worse_too.exact_change
    assert opposite.causes["labels"] < 0 < opposite.causes["model"]
    assert opposite.exact_change is None
    assert same.tested_change == same.causes["total"]


def test_images_without_dimensions() -> None:
    """An image that cannot be scaled is in no step; once its size is known, the current run's, it joins with the
    labels.
    """
    rng = np.random.default_rng(5)
    run = columns(detector_run(rng, range(60), 0.7), DETECTOR)
    sizeless = replace(run, image_size=np.where(np.arange(60)[:, None] < 5, 0, run.image_size))
    boxes = known(sizeless.detections)
    again = replace(sizeless, detections=replace(boxes, score=known(boxes.score)[::-1].copy()))

    (change,) = changes(sizeless, again, None)

    found = [known(detection(side, None)[0]).map["0.50:0.95"] for side in (sizeless, again)]
    assert close(found) == [change.baseline, change.current]
    assert change.causes["labels"] == change.causes["added"] == change.causes["removed"] == 0

    (joined,) = changes(sizeless, run, None)

    assert close(known(detection(run, None)[0]).map["0.50:0.95"] - change.baseline) == joined.causes["labels"] != 0
    assert joined.causes["model"] == 0


# Known labels, renamed classes, and labels the earlier model never had.

LATENT = {number: np.random.default_rng(number).dirichlet([1, 1, 1]) for number in range(60)}


def with_scores(
    run: Run,
    min_score: float,
    scores: Mapping[int, np.ndarray] = LATENT,
    classes: tuple[str, ...] = LABELS,
    anomaly: float | None = None,
) -> ResultSet:
    """The run with these confidences, and the predictions that they give under a threshold.

    With `anomaly`, of an impulse with such a block, whose scores are the samples' numbers / 60.
    """
    judged = {}
    for number, (window,) in run.items():
        judged[number] = [
            classified(window.label, oracle.predicted(classes, scores[number], min_score, number / 60, anomaly))
        ]
    found = columns(judged, replace(CLASSIFIER, thresholds={"min_score": min_score}), classes)
    values = np.array([scores[number] for number in sorted(run)])
    found = replace(found, confidences={CLASSIFIER.id: Confidences(classes, values)})
    if anomaly is None:
        return found
    block = replace(ANOMALY, thresholds={"min_anomaly_score": anomaly})
    return replace(found, blocks=(*found.blocks, block), anomaly={block.id: np.array(sorted(run)) / 60})


ANOMALY = Block(8, "anomaly", BlockKind.ANOMALY, "K-means")


@pytest.mark.parametrize("known_by", ["block", "class", "scored"])
def test_relabelled_to_anomaly(known_by: str) -> None:
    """A window relabelled to `anomaly`, which the model knows by its anomaly block, a class or another window, is a
    change of labels.
    """
    relabelled = {
        **QUIET,
        **{number: [replace(QUIET[number][0], label="anomaly", correct=WRONG)] for number in range(1, 9)},
    }
    extra = {99: [classified("anomaly", "ant")]} if known_by == "scored" else {}
    classes = (*LABELS, "anomaly") if known_by == "class" else LABELS
    before, after = columns({**QUIET, **extra}, classes=classes), columns({**relabelled, **extra}, classes=classes)
    if known_by == "block":
        before, after = (replace(side, blocks=(*side.blocks, ANOMALY)) for side in (before, after))

    for change in by_metric(before, after, 1).values():
        assert change.causes["labels"] == change.causes["total"] != 0
        assert change.causes["model"] == change.causes["thresholds"] == 0
        assert change.dropped == 0
        assert change.pvalues["model"] == 1.0


def renamed_run(run: Run, old: str, new: str) -> Run:
    """The run with a class under another name in labels and predictions."""
    names = {old: new}
    return {
        number: [
            replace(w, label=names.get(w.label, w.label), prediction=names.get(w.prediction, w.prediction))
            for w in windows
        ]
        for number, windows in run.items()
    }


def test_a_renamed_class_changes_nothing() -> None:
    """A class that model and labels have under another name is the same class: no cause, and the new name is told."""
    before, after = (
        columns(QUIET, classes=LABELS),
        columns(renamed_run(QUIET, "cat", "Cat"), classes=("Cat", "ant", "bee")),
    )

    for change in by_metric(before, after, 1).values():
        assert dict(change.causes) == dict.fromkeys(CAUSES, 0.0)
        assert change.renamed == (("cat", "Cat"),)
        assert change.dropped == 0
        assert change.pvalues["total"] == 1.0


def test_a_renamed_class_and_a_worse_model() -> None:
    """What a model does beside the renaming is the model's, as if nothing had been renamed."""
    plain = by_metric(columns(QUIET, classes=LABELS), columns(worse(QUIET, 5), classes=LABELS), 1)
    after = columns(renamed_run(worse(QUIET, 5), "cat", "Cat"), classes=("Cat", "ant", "bee"))

    renamed = by_metric(columns(QUIET, classes=LABELS), after, 1)

    for metric, change in renamed.items():
        assert close(dict(plain[metric].causes)) == dict(change.causes)
        assert close(dict(plain[metric].pvalues)) == dict(change.pvalues)


def test_a_label_renamed_without_a_retraining() -> None:
    """Where the model still has the old name, other labels are a change of labels: Studio no longer scores them."""
    relabelled = {
        n: [replace(w, label="Cat", correct=UNSCORED) if w.label == "cat" else w for w in ws] for n, ws in QUIET.items()
    }

    change = by_metric(columns(QUIET, classes=LABELS), columns(relabelled, classes=LABELS), 1)["accuracy"]

    assert change.renamed == ()
    assert change.causes["model"] == 0
    assert change.dropped == 20
    assert change.exact_change is None


@pytest.mark.parametrize(("kept", "renamed"), [(19, False), (1, True)])
def test_almost_without_exception(kept: int, renamed: bool) -> None:
    """One window of 60 that went elsewhere leaves a renaming one; a third of them does not."""
    run: Run = {number: [classified(LABELS[number % 2], LABELS[number % 2])] for number in range(120)}
    after = dict(renamed_run(run, "bee", "Bee"))
    after |= {2 * number + 1: [classified("ant", "ant")] for number in range(kept)}

    change = by_metric(columns(run, classes=LABELS), columns(after, classes=("Bee", "ant", "cat")))["accuracy"]

    assert (change.renamed == (("bee", "Bee"),)) is renamed


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({"cat": ("cat a", "cat b")}, id="split"),
        pytest.param({"cat": ("pet",), "bee": ("pet",)}, id="merged"),
    ],
)
def test_split_and_merged_classes(names: dict[str, tuple[str, ...]]) -> None:
    """Windows with labels the earlier model never had drop out of the step, which is then neither exact nor tested with
    them.
    """

    def after(number: int, name: str) -> str:
        return names.get(name, (name,))[number % len(names.get(name, (name,)))]

    current = {
        n: [replace(w, label=after(n, w.label), prediction=after(n, w.prediction)) for w in windows]
        for n, windows in QUIET.items()
    }
    current = {n: [replace(w, correct=int(w.label == w.prediction)) for w in windows] for n, windows in current.items()}
    classes = tuple(sorted({after(n, name) for n in (0, 1) for name in LABELS}))

    change = by_metric(columns(QUIET, classes=LABELS), columns(current, classes=classes), 1)["accuracy"]

    lost = [n for n, (w,) in QUIET.items() if w.label in names]
    assert change.dropped == len(lost)
    assert change.exact_change is None
    assert change.pvalues["model"] == 1.0  # on the other windows nothing changed
    left = [w.correct for n, (w,) in QUIET.items() if n not in lost]
    assert close(sum(left) / len(left) - change.baseline) == change.causes["labels"]
    assert close(change.causes["total"]) == sum(change.causes[cause] for cause in CAUSES if cause != "total")


# Thresholds.


@st.composite
def rescored(draw: st.DrawFn) -> tuple[ResultSet, ResultSet, dict[str, float], dict[str, float]]:
    """Two runs of 45 samples with confidences, other thresholds, labels and scores; and their causes by loops, for both
    metrics.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    retrained, relabelled = draw(st.booleans()), draw(st.sampled_from([0.0, 0.2]))
    limits = draw(st.tuples(*[st.sampled_from([0.4, 0.5, 0.6, 0.7])] * 2))
    anomalies = draw(st.none() | st.tuples(*[st.sampled_from([0.5, 0.7, 0.9])] * 2))
    numbers = rng.permutation(60)[:48].tolist()
    scores = {n: rng.dirichlet([0.6, 0.6, 0.6]) for n in range(60)}
    other = {n: rng.dirichlet([0.6, 0.6, 0.6]) if retrained and rng.random() < 0.4 else scores[n] for n in range(60)}
    label = {n: LABELS[int(np.argmax(scores[n]))] if rng.random() < 0.8 else LABELS[rng.integers(3)] for n in range(60)}
    new = {n: LABELS[rng.integers(3)] if rng.random() < relabelled else label[n] for n in range(60)}
    runs = [{n: [Window(label[n])] for n in numbers[:45]}, {n: [Window(new[n])] for n in numbers[3:]}]
    sides = anomalies or (None, None)
    before = with_scores(runs[0], limits[0], scores, LABELS, sides[0])
    after = with_scores(runs[1], limits[1], other, LABELS, sides[1])

    def outputs(run: Run, values: Mapping[int, np.ndarray], limit: float, anomaly: float | None) -> Run:
        return {
            n: [classified(w.label, oracle.predicted(LABELS, values[n], limit, n / 60, anomaly)) for w in ws]
            for n, ws in run.items()
        }

    plain = outputs(runs[0], scores, limits[0], sides[0]), outputs(runs[1], other, limits[1], sides[1])
    under = outputs({n: [Window(new[n])] for n in numbers}, scores, limits[1], sides[1])
    by_label = oracle.by_class(plain[0], LABELS, anomaly_block=anomalies is not None)
    accuracy, mean_f1 = (
        oracle.causes(*plain, figure, by_label, under=under) for figure in (oracle.accuracy, oracle.mean_f1)
    )
    return before, after, accuracy, mean_f1


@pytest.mark.slow
@given(rescored())
def test_changed_thresholds_are_a_cause(runs: tuple[ResultSet, ResultSet, dict[str, float], dict[str, float]]) -> None:
    """Predictions made anew from confidences and anomaly scores give the part of thresholds; all parts add up."""
    before, after, *expected = runs

    found = by_metric(before, after)

    for metric, causes in zip(("accuracy", "mean_f1"), expected, strict=True):
        check_against_oracle(found.get(metric), causes)


def test_only_a_threshold_changed() -> None:
    """A higher `min_score` alone is thresholds and nothing else, and no other model."""
    for change in by_metric(with_scores(QUIET, 0.4), with_scores(QUIET, 0.7), 1).values():
        assert change.causes["thresholds"] == change.causes["total"] < 0
        assert change.causes["model"] == change.causes["labels"] == 0
        assert change.retrained is False
        assert change.exact_change == change.causes["thresholds"]


def test_only_a_tolerance_changed() -> None:
    """A smaller tolerance alone is thresholds and nothing else."""
    run: Run = {n: [Window("5", str(5 + n % 7), CORRECT)] for n in range(60)}
    narrow = replace(REGRESSION, thresholds={"max_error": 3.5})
    wide = replace(REGRESSION, thresholds={"max_error": 5.0})

    change = by_metric(columns(run, wide), columns(run, narrow), 1)["accuracy"]

    assert close(-16 / 60) == change.causes["thresholds"] == change.causes["total"]
    assert change.causes["model"] == change.causes["labels"] == 0
    assert change.retrained is False


def test_predictions_that_come_about_in_another_way() -> None:
    """Where the baseline's predictions are not what its threshold makes of its confidences, a retraining holds the
    thresholds too.
    """
    odd = with_scores(QUIET, 0.4)
    odd = replace(odd, prediction=np.roll(odd.prediction, 1))
    scores = {number: values[::-1] for number, values in LATENT.items()}

    for change in by_metric(odd, with_scores(QUIET, 0.6, scores), 1, trained=(1.0, 2.0)).values():
        assert "thresholds" not in change.causes
        assert change.undivided == ("thresholds",)
        assert close(change.causes["total"]) == change.causes["model"]


@pytest.mark.parametrize("trained", [(1.0, 1.0), (1.0, 2.0)])
def test_boxes_below_an_old_threshold(trained: tuple[float, float]) -> None:
    """A lower `min_score` shows boxes nobody had seen: thresholds, if all others are the same and so is the training;
    else undivided.
    """
    rng = np.random.default_rng(3)
    run = detector_run(rng, range(60), 0.9)
    low, high = (replace(DETECTOR, thresholds={"min_score": limit}) for limit in (0.3, 0.6))
    seen = {
        n: [replace(w, detections=tuple(d for d in w.detections if d[1] >= 0.6)) for w in ws] for n, ws in run.items()
    }
    all_of_them = {
        n: [replace(w, detections=tuple(d for d in w.detections if d[1] >= 0.3)) for w in ws] for n, ws in run.items()
    }

    lowered = by_metric(columns(seen, high), columns(all_of_them, low), 1, trained)["map"]
    raised = by_metric(columns(all_of_them, low), columns(seen, high), 1, trained)["map"]

    assert raised.causes["thresholds"] == raised.causes["total"] == known(raised.tested_change) < 0
    assert raised.causes["model"] == raised.causes["labels"] == 0
    if trained == (1.0, 1.0):
        assert lowered.causes["thresholds"] == lowered.causes["total"] > 0
        assert lowered.causes["model"] == 0
        assert lowered.retrained is False
    else:
        assert "thresholds" not in lowered.causes
        assert lowered.causes["model"] == lowered.causes["total"]
        assert lowered.undivided == ("thresholds",)


def test_a_threshold_that_no_run_tells_of() -> None:
    """Other predictions from the same confidences are no other model, whatever made them."""
    before = with_scores(QUIET, 0.4)
    after = replace(with_scores(QUIET, 0.7), blocks=before.blocks)

    for change in by_metric(before, after, 1).values():
        assert change.undivided == ("thresholds",)
        assert "thresholds" not in change.causes
        assert change.retrained is False


def test_changed_texts_are_named() -> None:
    """A threshold that is a text is named with both values, and makes the thresholds undivided where the model changed
    too.
    """
    run = columns(QUIET)
    after = replace(columns(worse(QUIET)), blocks=(replace(CLASSIFIER, texts={"aggregation": "max"}),))
    run = replace(run, blocks=(replace(CLASSIFIER, texts={"aggregation": "mean"}),))

    found = by_metric(run, after)["accuracy"]
    assert found.thresholds == (ThresholdChange("Classifier", "aggregation", "mean", "max"),)
    assert found.undivided == ("thresholds",)


# Studio's verdict.


@pytest.mark.parametrize(
    "block",
    [
        Block(9, "anomaly", BlockKind.ANOMALY),
        Block(9, "keras-visual-anomaly", BlockKind.VISUAL_ANOMALY),
        Block(9, "keras-freeform", BlockKind.UNKNOWN),
        DETECTOR,
        FOMO,
    ],
    ids=lambda block: block.type,
)
def test_verdicts_that_only_studio_can_give(block: Block) -> None:
    """Of other kinds accuracy is what Studio calls correct; labels that changed cannot be separated from the model, and
    are not there.
    """
    verdicts: Run = {n: [Window("no anomaly", "no anomaly", CORRECT)] for n in range(60)}
    current = {n: [Window("anomaly", "no anomaly", WRONG) if n < 6 else w for w in ws] for n, ws in verdicts.items()}

    relabelled = by_metric(columns(verdicts, block), columns(current, block), 1)["accuracy"]
    failing = {n: [replace(w, correct=WRONG if n < 6 else CORRECT) for w in ws] for n, ws in verdicts.items()}
    other = by_metric(columns(verdicts, block), columns(failing, block), 1)["accuracy"]

    for change in (relabelled, other):
        assert close({"total": -0.1, "model": -0.1, "added": 0.0, "removed": 0.0}) == without(
            change.causes, "thresholds"
        )
        assert change.pvalues["model"] < 0.05
        assert not change.exact_change
    assert relabelled.undivided == ("labels",)
    # Of unknown blocks a prediction is all there is to compare: where it stayed, something else decided.
    assert other.undivided == (("thresholds",) if block.kind is BlockKind.UNKNOWN else ())


@pytest.mark.parametrize(("lowered", "exact"), [(0, -0.1), (6, None)], ids=["alone", "beside other labels"])
def test_only_the_threshold_of_a_block_that_studio_judges_changed(lowered: int, exact: float | None) -> None:
    """Where labels are absent because only Studio can judge, what a threshold did is exact all the same, if no label
    changed.
    """
    scores = {number: 0.5 + number / 60 for number in range(60)}
    low, high = (
        Block(9, "anomaly", BlockKind.ANOMALY, thresholds={"min_anomaly_score": limit}) for limit in (1.395, 1.495)
    )

    def judged(block: Block, odd: int) -> ResultSet:
        flags = {
            n: "anomaly" if score > block.thresholds["min_anomaly_score"] else "no anomaly"
            for n, score in scores.items()
        }
        truth = {n: "anomaly" if score > 1.395 and n >= odd else "no anomaly" for n, score in scores.items()}
        truth |= dict.fromkeys(range(odd), "anomaly")
        run: Run = {n: [Window(truth[n], flags[n], CORRECT if flags[n] == truth[n] else WRONG)] for n in scores}
        return replace(columns(run, block), anomaly={9: np.array(list(scores.values()))})

    change = by_metric(judged(low, 0), judged(high, lowered), 1)["accuracy"]

    assert "labels" not in change.causes
    assert change.exact_change == (None if exact is None else close(exact))
    if exact is not None:
        assert close({"thresholds": exact, "model": 0.0, "total": exact, "added": 0.0, "removed": 0.0}) == dict(
            change.causes
        )
        assert change.pvalues["total"] == 1


def test_a_limit_of_studios_that_no_run_tells_of() -> None:
    """The same boxes that Studio judges by another limit are no other model: the two are named together."""
    run = detector_run(np.random.default_rng(3), range(60), 0.9)
    strict = {n: [replace(w, correct=WRONG if n < 20 else CORRECT) for w in ws] for n, ws in run.items()}
    lax = {n: [replace(w, correct=CORRECT) for w in ws] for n, ws in run.items()}

    found = by_metric(columns(lax, DETECTOR), columns(strict, DETECTOR), 1, trained=(1.0, 1.0))

    assert found["accuracy"].undivided == ("thresholds",)
    assert close({"total": -1 / 3, "model": -1 / 3, "added": 0.0, "removed": 0.0}) == dict(found["accuracy"].causes)
    assert dict.fromkeys(CAUSES, 0.0) == dict(found["map"].causes)
    assert found["map"].undivided == ()


def test_thresholds_of_verdicts_that_only_studio_can_give() -> None:
    """What a threshold alone did to them is exact although the part of labels is not known; with labels that changed it
    is not.
    """
    scores = np.arange(60.0)
    block = Block(9, "keras-visual-anomaly", BlockKind.VISUAL_ANOMALY, thresholds={"min_anomaly_score": 50.0})
    strict = replace(block, thresholds={"min_anomaly_score": 40.0})
    run: Run = {
        n: [Window("no anomaly", "no anomaly" if n < 50 else "anomaly", CORRECT if n < 50 else WRONG)]
        for n in range(60)
    }
    stricter: Run = {
        n: [Window("no anomaly", "no anomaly" if n < 40 else "anomaly", CORRECT if n < 40 else WRONG)]
        for n in range(60)
    }
    relabelled = {**stricter, 0: [Window("anomaly", "no anomaly", WRONG)]}
    before, after, other = (
        replace(columns(windows, of), anomaly={9: scores})
        for windows, of in ((run, block), (stricter, strict), (relabelled, strict))
    )

    change = by_metric(before, after, 1)["accuracy"]

    assert dict(change.causes) == close(
        {"total": -1 / 6, "model": 0.0, "thresholds": -1 / 6, "added": 0.0, "removed": 0.0}
    )
    assert close(-1 / 6) == change.exact_change
    assert by_metric(before, other, 1)["accuracy"].exact_change is None


# FOMO's class numbers.


def numbered(numbers: Mapping[str, int], found: float, seed: int, boxes: bool = True) -> ResultSet:
    """60 images with one to three objects of two classes at fixed places, of which some are found; `numbers` are
    Studio's.
    """
    run = {}
    rng = np.random.default_rng(seed)
    for number in range(60):
        place = np.random.default_rng(number)
        objects = []
        for _ in range(place.integers(1, 4)):
            name = str(place.choice(sorted(numbers)))
            x, y = map(float, place.integers(0, 80, 2))
            objects.append((name, x, y))
        truth = tuple((name, x, y, 20.0, 20.0) for name, x, y in objects)
        points = tuple((numbers[name], (x + 10) / 100, (y + 10) / 100) for name, x, y in objects)
        run[number] = [
            Window(
                truth=truth if boxes else (),
                true_points=points,
                points=tuple(p for p in points if rng.random() < found),
            )
        ]
    return columns(run, FOMO)


@pytest.mark.parametrize(
    ("first", "second"), [({"cup": 1, "jar": 2}, {"cup": 2, "jar": 3}), ({"cup": 1, "jar": 2}, {"cup": 2, "jar": 1})]
)
def test_class_numbers_of_another_training(first: dict[str, int], second: dict[str, int]) -> None:
    """Numbers that shift or swap change no label: they are matched by the names of the labelled boxes."""
    same = by_metric(numbered(first, 0.9, 1), numbered(first, 0.7, 2), 1)["mean_f1"]
    shifted = by_metric(numbered(first, 0.9, 1), numbered(second, 0.7, 2), 1)["mean_f1"]

    assert shifted.causes["labels"] == 0
    assert shifted.causes["model"] == shifted.causes["total"] == same.causes["total"] < 0
    assert shifted.undivided == ()


def test_class_numbers_without_names() -> None:
    """Without boxes nobody can tell what a number is: no split into labels and model, unless the
    training is the same.
    """
    sides = numbered({"cup": 1, "jar": 2}, 0.9, 1, boxes=False), numbered({"cup": 2, "jar": 3}, 0.7, 2, boxes=False)

    unknown = by_metric(*sides, 1, trained=(1.0, 2.0))["mean_f1"]
    same = by_metric(sides[0], numbered({"cup": 1, "jar": 2}, 0.7, 2, boxes=False), 1, trained=(1.0, 1.0))["mean_f1"]

    assert "labels" not in unknown.causes
    assert unknown.undivided == ("labels",)
    assert unknown.causes["model"] == unknown.causes["total"] != 0
    assert same.causes["labels"] == 0
    assert same.undivided == ()


def test_a_class_that_sorts_first_was_added() -> None:
    """A new class moves the numbers of all others by one, which is no change of labels, and no reason for an alert."""
    one, two = {"cup": 1}, {"cup": 2}
    before, after = numbered(one, 1.0, 1), numbered(two, 0.97, 2)

    change = by_metric(before, after, 1)["mean_f1"]

    assert change.causes["labels"] == 0
    assert -0.05 < change.causes["model"] == change.causes["total"] < 0


@given(two_runs("points"), st.permutations([1, 2]))
@settings(max_examples=20)
def test_numbers_are_only_names(runs: tuple[Run, Run], numbers: list[int]) -> None:
    """Whatever numbers the other training gives, causes are those under one numbering, where boxes say the names."""
    assume(all(run for run in runs))

    def boxed(run: Run, of: list[int]) -> Run:
        """One labelled box at each centroid; the centroid and the predictions with the numbers of a training."""
        return {
            n: [
                replace(
                    w,
                    truth=tuple((f"class {k}", x * 100 - 1, y * 100 - 1, 2.0, 2.0) for k, x, y in w.true_points),
                    true_points=tuple((of[k - 1], x, y) for k, x, y in w.true_points),
                    points=tuple((of[k - 1], x, y) for k, x, y in w.points),
                )
                for w in windows[:1]
            ]
            for n, windows in run.items()
        }

    before, after = ({n: windows[:1] for n, windows in run.items()} for run in runs)
    expected = oracle.causes(before, after, oracle.image_f1, oracle.by_points)
    change = by_metric(columns(boxed(before, [1, 2]), FOMO), columns(boxed(after, numbers), FOMO)).get("mean_f1")

    assume(change is None or "labels" not in change.undivided)
    check_against_oracle(change, expected)
