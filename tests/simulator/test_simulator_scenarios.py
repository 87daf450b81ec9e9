"""What changes over time changes what it should, when it should, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monitor.simulator import GeneratedProject, Revision, Studio, projects
from monitor.simulator.kinds import Classification
from monitor.simulator.scenarios import (
    adding_class,
    cycling,
    growing,
    improving,
    partly_tested,
    regressing,
    relabelling,
    relearning,
    renaming,
    rethresholding,
    retraining,
    shrinking,
    steady,
    vanishing,
)


def accuracy(project: GeneratedProject) -> float:
    """Share of correct among scored windows."""
    ground = project.ground()
    assert ground is not None
    return float(np.mean([w.correct for s in ground.samples for w in s.windows if w.correct is not None]))


def at(studio: Studio, step: int) -> Any:
    """The ground data of the only project at a step."""
    studio.timeline.pin(step)
    (project,) = studio.projects.values()
    return studio.ground(project.id)


def labels(ground: Any) -> dict[int, str]:
    """Label by sample id."""
    return {sample.id: sample.label for sample in ground.samples}


def test_the_clock_gives_the_step(by_hand: Any) -> None:
    """Steps follow the injected clock; a pinned one does not; a clock that steps back gives the first."""
    studio = Studio([], interval=5.0, clock=by_hand)
    seen = []
    for passed in (0, 4.9, 0.1, 60, -1000):
        by_hand.now += passed
        seen.append(studio.timeline.step)
    studio.timeline.pin(7)
    studio.timeline.advance(2)
    pinned = studio.timeline.step
    studio.timeline.pin(None)

    assert seen == [0, 0, 1, 13, 0]
    assert (pinned, studio.timeline.step) == (9, 0)


def test_steady_stays() -> None:
    """Nothing changes, at any step."""
    assert {steady()(step) for step in range(50)} == {Revision()}


def test_regression_and_recovery() -> None:
    """The same samples are judged worse from the step on, by a model with a new training date, and as well as before at
    the end.
    """
    project = projects.classification(sizes={"testing": 800}, scenario=regressing(at=5, by=1.4, over=2, recovers_at=20))
    studio = Studio([project])
    good, worse, bad, recovered = at(studio, 4), at(studio, 5), at(studio, 6), at(studio, 20)
    figures = []
    for step in (4, 5, 6, 20):
        studio.timeline.pin(step)
        figures.append(accuracy(project))

    assert figures[0] > figures[1] + 0.04 > figures[2] + 0.08
    assert figures[3] == pytest.approx(figures[0], abs=0.04)
    assert labels(good) == labels(bad) == labels(recovered)
    assert good.trained < worse.trained < bad.trained < recovered.trained
    assert bad.trained == studio.timeline.time_of(6)


def test_improvement() -> None:
    """The model gets better."""
    project = projects.classification(sizes={"testing": 800}, scenario=improving(at=1, by=1.5, over=1))
    studio = Studio([project])
    before = accuracy(project)
    studio.timeline.pin(1)

    assert accuracy(project) > before + 0.04


@pytest.mark.parametrize("make", projects.KINDS[:8], ids=lambda make: make.__name__)
def test_quality_matters_for_every_kind(make: Any) -> None:
    """A worse model makes more errors, whatever the kind."""
    project = make(sizes={"testing": 400})

    def score() -> float:
        ground = project.ground()
        return float(
            np.mean([w.image.mean_ap if w.image else bool(w.correct) for s in ground.samples for w in s.windows])
        )

    before = score()
    project.retrain(quality=-2.0)

    assert score() < before - 0.01


def test_growth_adds_and_keeps() -> None:
    """New samples come with higher ids and the time they were first seen; the others stay as they were; it ends at the
    most.
    """
    project = projects.gmm(sizes={"testing": 50}, scenario=growing(at=2, per_step=3, most=7))
    studio = Studio([project])
    before, after, end = at(studio, 1), at(studio, 2), at(studio, 90)

    assert [len(g.samples) for g in (before, after, end)] == [50, 53, 57]
    assert after.samples[:50] == before.samples
    assert min(s.id for s in end.samples[50:]) > max(s.id for s in before.samples)
    assert {s.added for s in after.samples[50:]} == {studio.timeline.time_of(2)}
    assert at(studio, 95).samples == end.samples


def test_shifted_growth_is_data_drift() -> None:
    """Samples added from another distribution score higher, come from one site, and leave the first ones alone."""
    project = projects.gmm(sizes={"testing": 100}, scenario=growing(at=1, per_step=100, most=100, shift=1.0))
    ground = at(Studio([project]), 1)
    first, later = (
        np.median([w.anomaly for s in part for w in s.windows]) for part in (ground.samples[:100], ground.samples[100:])
    )

    assert later > 1.4 * first
    assert {s.metadata.get("site", "plant-b") for s in ground.samples[100:]} == {"plant-b"}
    quiet = at(Studio([projects.gmm(sizes={"testing": 100})]), 0)
    assert [s.windows for s in ground.samples[:100]] == [s.windows for s in quiet.samples]


@pytest.mark.parametrize("make", projects.KINDS[:8], ids=lambda make: make.__name__)
def test_relabelling_changes_the_truth_only(make: Any) -> None:
    """A share of the samples gets another truth; what the model says about them stays."""
    project = make(sizes={"testing": 200}, scenario=relabelling(at=1, share=0.2))
    studio = Studio([project])
    before, after = at(studio, 0), at(studio, 1)
    changed = [
        a.id for a, b in zip(before.samples, after.samples, strict=True) if (a.label, a.boxes) != (b.label, b.boxes)
    ]

    assert 20 <= len(changed) <= 60
    for a, b in zip(before.samples, after.samples, strict=True):
        assert [(w.prediction, w.confidences, w.anomaly, w.detections) for w in a.windows] == [
            (w.prediction, w.confidences, w.anomaly, w.detections) for w in b.windows
        ]


def test_larger_shares_contain_smaller_ones() -> None:
    """Removing more removes the same samples and others."""
    project = projects.freeform(sizes={"testing": 100})
    studio = Studio([project])
    sizes: list[int] = []
    gone: set[int] = set()
    whole = set(labels(at(studio, 0)))
    for share in (0.1, 0.3, 1.0):
        project.scenario = shrinking(at=0, share=share)
        now_gone = whole - set(labels(at(studio, 0)))
        assert gone <= now_gone
        gone = now_gone
        sizes.append(len(gone))

    assert 3 <= sizes[0] < sizes[1] < sizes[2] == 100


def test_retraining_is_noise() -> None:
    """Another training on the same data moves the accuracy by little, judges some windows otherwise, and rescales GMM
    scores.
    """
    project = projects.classification(sizes={"testing": 1000}, scenario=retraining(every=10))
    studio = Studio([project])
    figures, predictions = [], []
    for step in range(0, 60, 10):
        predictions.append([w.prediction for s in at(studio, step).samples for w in s.windows])
        figures.append(accuracy(project))

    assert len({tuple(p) for p in predictions}) == 6
    assert 0 < np.ptp(figures) < 0.04
    gmm = Studio([projects.gmm(sizes={"testing": 20}, scenario=retraining(every=10))])
    assert len({at(gmm, step).blocks[0].threshold("min_anomaly_score") for step in (0, 10, 20)}) == 3


def test_results_vanish_and_return() -> None:
    """For some steps there is no result set, before and after there is the same."""
    studio = Studio([projects.freeform(sizes={"testing": 3}, scenario=vanishing(at=2, steps=2))])

    assert [at(studio, step) is None for step in range(6)] == [False, False, True, True, False, False]
    assert at(studio, 1).samples == at(studio, 5).samples


@pytest.mark.parametrize(
    ("make", "value"), [(projects.classification, 0.9), (projects.regression, 1.0), (projects.gmm, 0.5)]
)
def test_thresholds_change(make: Any, value: float) -> None:
    """A new threshold invalidates the results for a step, then decides; the scores stay."""
    studio = Studio([make(scenario=rethresholding(value, at=3, gap=1))])
    before, gap, after = at(studio, 2), at(studio, 3), at(studio, 4)

    assert gap is None
    assert after.blocks[0].thresholds[0].value == value
    assert [w.anomaly for s in before.samples for w in s.windows] == [
        w.anomaly for s in after.samples for w in s.windows
    ]
    assert [w.correct for s in before.samples for w in s.windows] != [
        w.correct for s in after.samples for w in s.windows
    ]


def test_cycles_repeat_with_new_trainings() -> None:
    """A cycle tells the same story again, by models trained later."""
    story = cycling(regressing(at=2, by=1.0, over=2, recovers_at=6), 10)
    first, second = ([story(turn + step) for step in range(10)] for turn in (0, 10))

    assert [r.quality for r in first] == [r.quality for r in second]
    assert {r.training for r in first}.isdisjoint({r.training for r in second})
    assert [r.trained_step for r in second] == [r.trained_step + 10 for r in first]


def test_edits_by_hand() -> None:
    """Samples can be added, removed, relabelled and vanish at once, without a scenario and without waiting."""
    project = projects.classification(sizes={"testing": 10})
    studio = Studio([project])
    before = at(studio, 0)
    project.add(2)
    project.remove(before.samples[0].id)
    project.relabel(before.samples[1].id)
    after = at(studio, 0)

    assert set(labels(before)) - set(labels(after)) == {before.samples[0].id}
    assert len(set(labels(after)) - set(labels(before))) == 2
    assert [i for i in labels(before) if i in labels(after) and labels(before)[i] != labels(after)[i]] == [
        before.samples[1].id
    ]
    project.edit(results=False)
    assert at(studio, 0) is None
    with pytest.raises(TypeError):
        project.edit(qualty=1.0)


def test_a_retrained_model_has_a_date() -> None:
    """Training by hand dates the model to the current step."""
    project = projects.classification(sizes={"testing": 3})
    studio = Studio([project])
    studio.timeline.pin(8)
    before = project.trained()
    project.retrain()

    assert before < studio.timeline.start
    assert project.trained() == studio.timeline.time_of(8)


def test_impulses_of_a_project_share_its_samples() -> None:
    """Two impulses judge the same recordings, one worse than the other."""
    project = GeneratedProject(
        1, "p", Classification(unknown_share=0), impulses=projects.two_impulses().impulses, sizes={"testing": 1000}
    )
    first, second = project.ground(1), project.ground(2)
    assert first is not None
    assert second is not None
    right = [float(np.mean([w.correct for s in g.samples for w in s.windows])) for g in (first, second)]

    assert labels(first) == labels(second)
    assert right[0] > right[1] + 0.01


def flat(ground: Any) -> list[Any]:
    """All windows of a result set."""
    return [window for sample in ground.samples for window in sample.windows]


def test_a_class_is_renamed_before_the_model_knows() -> None:
    """First only the labels change, and those windows are not scored; retrained, the model says the new name, as well
    as before.
    """
    project = projects.classification(sizes={"testing": 400}, scenario=renaming("snake", "serpent", at=2, retrained=4))
    studio = Studio([project], validate=True)
    before, renamed, retrained = (flat(at(studio, step)) for step in (1, 2, 4))
    moved = [place for place, window in enumerate(before) if window.label == "snake"]

    assert [window.prediction for window in renamed] == [window.prediction for window in before]
    assert {window.label for window in (renamed[place] for place in moved)} == {"serpent"}
    assert {renamed[place].correct for place in moved} == {None}
    assert all(a == b for place, (a, b) in enumerate(zip(before, renamed, strict=True)) if place not in moved)
    assert set(retrained[0].confidences) == {"idle", "serpent", "updown", "wave"}
    assert "snake" not in {window.prediction for window in retrained}
    right = [np.mean([bool(windows[place].correct) for place in moved]) for windows in (before, retrained)]
    assert right[1] == pytest.approx(right[0], abs=0.08)


def test_a_class_is_split_and_two_are_merged() -> None:
    """Half of a class's samples get a name of their own; two classes become one; a retrained model knows either."""
    split = projects.classification(
        sizes={"testing": 400}, scenario=renaming("wave", "wave hello", at=1, retrained=2, share=0.5)
    )
    merged = projects.classification(
        id=7, sizes={"testing": 400}, scenario=renaming("wave", "snake", at=1, retrained=2)
    )
    first, second = (flat(at(Studio([project]), 2)) for project in (split, merged))
    halves = [sum(window.label == label for window in first) for label in ("wave", "wave hello")]
    judged = [window.correct for window in first if window.label in ("wave", "wave hello")]

    assert 0.35 < halves[0] / sum(halves) < 0.65
    assert set(first[0].confidences) == {"idle", "snake", "updown", "wave", "wave hello"}
    assert np.mean(judged) > 0.7
    assert set(second[0].confidences) == {"idle", "snake", "updown"}
    assert {window.label for window in second} == {"idle", "snake", "updown", "unknown-sound"}
    assert all(sum(window.confidences.values()) == pytest.approx(1, abs=1e-4) for window in first + second)


def test_class_numbers_shift() -> None:
    """A class that comes first by name moves the number of every other; nothing that was seen or labelled changes by
    it.
    """
    project = projects.fomo(sizes={"testing": 100}, scenario=adding_class("axle", at=3))
    project.edit(training=0)
    studio = Studio([project], validate=True)
    before, after = flat(at(studio, 2)), flat(at(studio, 3))

    def shape(windows: list[Any], less: int) -> list[Any]:
        return [
            (
                w.label,
                w.prediction,
                w.correct,
                [(x, y, n - less) for x, y, n in w.fomo.y_trues],
                [(x, y, n - less) for x, y, n in w.fomo.y_preds],
            )
            for w in windows
        ]

    assert {number for window in before for _, _, number in window.fomo.y_trues} == {1, 2}
    assert {number for window in after for _, _, number in window.fomo.y_trues} == {2, 3}
    assert shape(before, 0) == shape(after, 1)


def test_detectors_rename_their_boxes() -> None:
    """Without retraining no renamed object is found again; after it, the model is as good as before
    under the new name.
    """
    for make, old, new in ((projects.fomo, "bolt", "screw"), (projects.box_detector, "pallet", "skid")):
        project = make(sizes={"testing": 150}, scenario=renaming(old, new, at=1, retrained=2))
        studio = Studio([project], validate=True)
        before, renamed, retrained = (at(studio, step) for step in (0, 1, 2))
        score = [
            np.mean([w.image.f1 if w.fomo else w.image.mean_ap for w in flat(ground)])
            for ground in (before, renamed, retrained)
        ]
        names = [
            {box.label for sample in ground.samples for box in sample.boxes} for ground in (before, renamed, retrained)
        ]

        assert names[0] - names[1] == {old}
        assert names[1] - names[0] == {new}
        assert {box.label for window in flat(renamed) for box in window.detections} == names[0]
        assert {box.label for window in flat(retrained) for box in window.detections} == names[1]
        assert score[1] < score[0] - 0.1
        assert score[2] == pytest.approx(score[0], abs=0.06)


@pytest.mark.parametrize(
    "make", [projects.classification, projects.fomo, projects.box_detector, projects.regression, projects.label_map]
)
def test_a_model_is_trained_with_the_new_labels(make: Any) -> None:
    """Relabelled samples count as wrong until the model is trained with their labels; the others are judged much as
    before.
    """
    project = make(sizes={"testing": 400}, scenario=relearning(at=1, share=0.3, retrained=2))
    studio = Studio([project], validate=True)
    before, relabelled, learned = (at(studio, step) for step in (0, 1, 2))

    def label_of(sample: Any) -> Any:
        return sample.label, tuple(box.label for box in sample.boxes), sample.label_map

    moved = {a.id for a, b in zip(before.samples, relabelled.samples, strict=True) if label_of(a) != label_of(b)}

    def score(window: Any) -> float:
        """Studio's verdict; for boxes, of which few images pass, its mAP of the image."""
        return window.image.mean_ap if window.image and not window.fomo else float(window.correct)

    def share(ground: Any) -> float:
        return float(
            np.mean([score(w) for s in ground.samples if s.id in moved for w in s.windows if w.correct is not None])
        )

    assert len(moved) > 60
    assert share(relabelled) < share(before) - 0.12
    assert share(learned) == pytest.approx(share(before), abs=0.12)


def test_edits_rename_and_retrain() -> None:
    """By hand: a class is renamed, then the model is trained with the names and the labels of now."""
    project = projects.classification(sizes={"testing": 200})
    studio = Studio([project])
    first = flat(studio.ground(project.id))
    project.rename("idle", "rest")
    project.relabel(studio.ground(project.id).samples[5].id)  # type: ignore[union-attr]
    renamed = flat(studio.ground(project.id))
    project.retrain(learn=True)
    retrained = flat(studio.ground(project.id))

    assert "idle" in {w.label for w in first}
    assert "rest" in {w.label for w in renamed}
    assert "rest" not in {w.prediction for w in renamed}
    assert "rest" in {w.prediction for w in retrained}
    assert renamed[5].label == retrained[5].label != first[5].label


def test_thresholds_stay_until_regenerated() -> None:
    """With no gap given, a new threshold leaves no results until a job, at whatever step that comes."""
    project = projects.regression(sizes={"testing": 60}, scenario=rethresholding(2.0, at=3, gap=None))
    studio = Studio([project])
    seen = [at(studio, step) is not None for step in (2, 3, 9)]
    project.tested(features=False)
    after = at(studio, 10)

    assert seen == [True, False, False]
    assert after.blocks[0].threshold("max_error") == 2.0
    assert {abs(w.value - float(w.label)) <= 2.0 for w in flat(after) if w.correct} == {True}


def test_the_anomaly_blocks_own_threshold() -> None:
    """Beside a classifier, the anomaly block's threshold changes by itself: more windows are
    anomalies, no score moves.
    """
    project = projects.kmeans(sizes={"testing": 100})
    before = flat(project.ground())
    project.edit(anomaly_threshold=-0.5)
    after = flat(project.ground())

    assert project.ground().blocks[1].threshold("min_anomaly_score") == -0.5  # type: ignore[union-attr]
    assert [w.anomaly for w in before] == [w.anomaly for w in after]
    assert all((w.prediction == "anomaly") == (w.anomaly > -0.5) for w in after)
    assert sum(w.prediction == "anomaly" for w in after) > sum(w.prediction == "anomaly" for w in before)


def test_part_of_the_set_is_tested() -> None:
    """The scenario of short pages: the same samples lack results at each step from the given one on."""
    project = projects.classification(sizes={"testing": 200}, scenario=partly_tested(0.25, at=2))
    studio = Studio([project])
    sizes = [len(at(studio, step).samples) for step in (1, 2, 5)]

    assert sizes[0] == 200
    assert 130 < sizes[1] == sizes[2] < 170


MORE = (projects.kmeans_alone, projects.visual_anomaly_by_mean, projects.judged_freeform)


@pytest.mark.parametrize("make", MORE, ids=lambda make: make.__name__)
async def test_further_projects_on_the_wire(make: Any, serving: Any) -> None:
    """K-means alone, visual anomaly by its mean, a judged block of unknown scores: every window has Studio's verdict,
    as in the truth.
    """
    project = make(sizes={"testing": 60})
    results, predictions = await (await serving(Studio([project], validate=True))).pull(project)
    windows = flat(project.ground())

    assert [row["predictionCorrect"] for row in predictions] == [window.correct for window in windows]
    assert {True, False} == {row["predictionCorrect"] for row in predictions}
    entries = [row["classifications"][0] for row in results]
    if make is projects.kmeans_alone:
        scores = [window["anomaly"] for entry in entries for window in entry["result"]]
        assert scores == [window.anomaly for window in windows]
        assert min(scores) < 0 < max(scores)
    if make is projects.visual_anomaly_by_mean:
        assert {t["key"]: t["value"] for t in entries[0]["thresholds"]} == {
            "min_anomaly_score": 1.05,
            "anomaly_scoring_aggregation_method": "mean",
        }
        assert [row["prediction"] == "anomaly" for row in predictions] == [
            entry["anomalyResult"][0]["meanScore"] > 1.05 for entry in entries
        ]
