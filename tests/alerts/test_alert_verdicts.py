"""Each verdict is what the rule's words say, restated here in whole thousandths and plain comparisons."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.rules import Above, AnomalyDrift, Below, Condition, Drop, Rise, Rule, Subject, built_in
from monitor.alerts.verdicts import Answer, Verdict, check_rule
from monitor.compare.comparison import Comparison
from monitor.figures.evaluation import Evaluation
from tests.alerts.alert_cases import (
    CAUSES,
    anomalies,
    calibrated,
    change,
    classifier,
    compared,
    detector,
    drifted,
    regression,
)
from tests.factories import TARGET

THOUSANDTHS = st.integers(0, 1000)
PARTS = st.integers(-60, 60)
NOTHING = st.none()


def rule(condition: object, recover: float | None = None) -> Rule:
    """A rule of this condition."""
    return Rule("Own", condition, recover=recover)  # type: ignore[arg-type]


def shown(verdict: Verdict) -> tuple[str, bool]:
    """What matters to the state machine."""
    return str(verdict.answer), verdict.recovered


@given(
    value=THOUSANDTHS,
    widths=st.none() | st.tuples(st.integers(0, 80), st.integers(0, 80)),
    threshold=st.integers(10, 990),
    recover=st.none() | st.integers(0, 100),
    above=st.booleans(),
)
def test_threshold(
    value: int, widths: tuple[int, int] | None, threshold: int, recover: int | None, above: bool
) -> None:
    """Above and below: yes with the whole interval beyond, point with the figure alone, recovered once back inside by
    `recover`.
    """
    bounds = None if widths is None else (max(value - widths[0], 0), min(value + widths[1], 1000))
    run = classifier(value / 1000, bounds and (bounds[0] / 1000, bounds[1] / 1000))
    condition = (Above if above else Below)("accuracy", threshold / 1000)
    found = check_rule(rule(condition, None if recover is None else recover / 1000), run, None)

    beyond = value > threshold if above else value < threshold
    whole = bounds is not None and (bounds[0] > threshold if above else bounds[1] < threshold)
    margin = recover if recover is not None else max(5.0, (bounds[1] - bounds[0]) / 7.84 if bounds else 0.0)
    back = max(threshold - margin, 0) if above else min(threshold + margin, 1000)
    inside = back - value if above else value - back
    assert ("yes" if beyond and whole else "point" if beyond else "no") == found.answer
    if abs(inside) > 1e-6:  # at the very edge rounding decides
        assert (inside > 0) == found.recovered
    assert value / 1000 == found.value


@pytest.mark.parametrize(
    ("condition", "run", "expected"),
    [
        (Above("uncertain", 0.05), classifier(0.9), ("yes", False)),
        (Below("balanced_accuracy", 0.95), classifier(0.9), ("yes", False)),
        (Below("r2", 0.6), regression(1.0), ("yes", False)),
        (Above("mse", 0.5), regression(1.0), ("yes", False)),
        (Above("mae", 0.5), regression(1.0), ("point", False)),
        (Above("mae", 0.5), regression(1.0, (0.6, 1.4)), ("yes", False)),
        (Above("mae", 0.5), regression(1.0, (0.4, 1.6)), ("point", False)),
        (Below("map", 0.5), detector(0.4), ("point", False)),
        (Below("map", 0.5), detector(0.4, (0.3, 0.49)), ("yes", False)),
        (Below("map", 0.5), detector(0.5, (0.3, 0.6)), ("no", False)),
        (Above("anomaly_flagged", 0.3), anomalies(0.2, 0.4), ("point", False)),
        (Below("anomaly_auroc", 0.7), anomalies(0.2, 0.4), ("point", False)),
        (Above("calibration_error", 0.04), calibrated(0.06, 0.05), ("point", False)),
        (Above("calibration_error", 0.04), calibrated(0.06, None), ("yes", False)),
        (Above("calibration_error", 0.04), calibrated(0.06, 0.07), ("no", True)),
        (Above("calibration_error", 0.04), calibrated(0.06, 0.06), ("no", True)),
        (Above("calibration_error", 0.04), calibrated(0.038, 0.01), ("no", False)),
        (Below("calibration_error", 0.04), calibrated(0.03, 0.05), ("point", False)),
        (Below("mean_f1", 0.8), classifier(0.82, (0.70, 0.79)), ("no", True)),  # percentiles may leave the figure out
        (Above("uncertain", 0.1), classifier(0.9), ("no", False)),
        (Above("uncertain", 0.0), classifier(0.9, uncertain=0.0), ("no", True)),
        (Below("balanced_accuracy", 1.0), classifier(1.0), ("no", True)),
        (Above("r2", -0.5), regression(1.0, r2=-0.502), ("no", False)),
        (Above("r2", -0.5), regression(1.0, r2=-0.506), ("no", True)),
        (Below("mae", 2.0), regression(2.001), ("no", False)),
        (Below("mae", 2.0), regression(2.006), ("no", True)),
    ],
)
def test_threshold_by_metric(condition: Condition, run: Evaluation, expected: tuple[str, bool]) -> None:
    """A metric without intervals is its own; one that could have an interval but has too few samples is a point at
    most.
    """
    assert expected == shown(check_rule(rule(condition), run, None))


@given(
    metric=st.sampled_from(["accuracy", "mean_f1", "map"]),
    parts=st.lists(PARTS, min_size=5, max_size=5),
    margin=st.integers(1, 60),
    recover=st.none() | st.integers(0, 59),
    pvalues=st.tuples(NOTHING | THOUSANDTHS, NOTHING | THOUSANDTHS),
    significance=NOTHING | st.integers(2, 500),
    drop=st.booleans(),
    dropped=st.sampled_from([0, 0, 0, 3]),
)
def test_change(
    metric: str,
    parts: list[int],
    margin: int,
    recover: int | None,
    pvalues: tuple[int | None, int | None],
    significance: int | None,
    drop: bool,
    dropped: int,
) -> None:
    """Drop and rise: more than the margin, and significant, or by labels and thresholds alone, which the model does not
    go against.
    """
    known = {name: p / 1000 for name, p in zip(("total", "model"), pvalues, strict=True) if p is not None}
    found = change(
        metric,
        0.5,
        {name: part / 1000 for name, part in zip(CAUSES, parts, strict=True)},
        pvalues=known,
        dropped=dropped,
    )
    run = detector(found.current) if metric == "map" else classifier(found.current)
    condition = (Drop if drop else Rise)(metric, margin / 1000, None if significance is None else significance / 1000)
    verdict = check_rule(rule(condition, None if recover is None else recover / 1000), run, compared(found))

    model, labels, thresholds, added, removed = (-part if drop else part for part in parts)
    moved = model + labels + thresholds if metric == "map" else model + labels + thresholds + added + removed
    exact = 0 if dropped or (labels + thresholds) * model < 0 else labels + thresholds
    p = pvalues[1] if metric == "map" else pvalues[0]
    significant = significance is None or (p is not None and p <= significance)
    yes = moved > margin and (significant or exact > margin)
    back = margin - min(5 if recover is None else recover, margin)
    assert ("yes" if yes else "no", not yes and moved <= back) == shown(verdict)
    assert (moved > margin and exact > margin) == verdict.exact


@given(
    metric=st.sampled_from(["accuracy", "mean_f1", "map"]),
    margin=st.floats(1e-6, 1, exclude_max=True),
    recover=st.none() | st.floats(0, 10),
)
def test_no_change_always_recovers(metric: str, margin: float, recover: float | None) -> None:
    """Whatever margin and recovery are, a run that is the baseline resolves."""
    run = detector(0.5, (0.1, 0.9)) if metric == "map" else classifier(0.5, (0.1, 0.9))

    assert ("no", True) == shown(
        check_rule(rule(Drop(metric, margin), recover), run, compared(change(metric, 0.5, {})))
    )


def test_what_others_make_up_for_is_no_drop() -> None:
    """Relabelled samples that cost more than the margin fire only if the figure as a whole fell by more than it."""
    made_up = check_rule(
        rule(Drop("accuracy", 0.03)),
        classifier(0.91),
        compared(change("accuracy", 0.9, {"labels": -0.05, "added": 0.06})),
    )
    fallen = check_rule(
        rule(Drop("accuracy", 0.03)),
        classifier(0.86),
        compared(change("accuracy", 0.9, {"labels": -0.05, "added": 0.01})),
    )

    assert (("no", True), False) == (shown(made_up), made_up.exact)
    assert (("yes", False), True) == (shown(fallen), fallen.exact)


@pytest.mark.parametrize(
    ("parts", "others", "exact"),
    [
        ({"labels": -0.04}, {}, True),
        ({"thresholds": -0.04}, {}, True),
        ({"labels": -0.02, "thresholds": -0.02}, {}, True),
        ({"labels": -0.04, "model": -0.01}, {}, True),
        ({"labels": -0.05, "model": 0.01}, {}, False),
        ({"labels": -0.04}, {"dropped": 2}, False),
        ({"removed": -0.04}, {}, False),
        ({"labels": -0.02, "removed": -0.02}, {}, False),
    ],
)
def test_what_no_chance_explains(parts: dict[str, float], others: dict[str, int], exact: bool) -> None:
    """Labels and thresholds fire whatever p is: not with the model against them, nor over other windows; nor do
    removals.
    """
    found = change("accuracy", 0.9, parts, pvalues={"total": 1.0}, **others)
    verdict = check_rule(rule(Drop("accuracy", 0.03)), classifier(found.current), compared(found))

    assert ("yes" if exact else "no", exact) == (str(verdict.answer), verdict.exact)


def test_stored_change_without_thresholds() -> None:
    """A change that was stored before thresholds were told apart is judged by what it has."""
    old = change("accuracy", 0.9, {"labels": -0.04})
    old = replace(old, causes={cause: part for cause, part in old.causes.items() if cause != "thresholds"})

    assert ("yes", True) == (
        str((found := check_rule(rule(Drop("accuracy", 0.03)), classifier(0.86), compared(old))).answer),
        found.exact,
    )
    assert -0.04 == old.exact_change


def test_noise_widens_the_recovery() -> None:
    """Unless written, a figure must be back by half its standard error."""
    run = classifier(0.888, (0.85, 0.928))  # 0.078 / 3.92 / 2 = 0.00995
    fell = {"model": -0.021}

    assert ("no", False) == shown(
        check_rule(rule(Drop("accuracy", 0.03)), run, compared(change("accuracy", 0.909, fell)))
    )
    assert ("no", True) == shown(
        check_rule(rule(Drop("accuracy", 0.03)), run, compared(change("accuracy", 0.907, {"model": -0.019})))
    )
    assert ("no", True) == shown(
        check_rule(rule(Drop("accuracy", 0.03), 0.005), run, compared(change("accuracy", 0.909, fell)))
    )


def test_exactly_the_margin_is_not_more() -> None:
    """A change that is more than the margin only by binary rounding is not."""
    labels = {"labels": -0.1, "thresholds": -0.2}
    alone = check_rule(rule(Drop("accuracy", 0.3)), classifier(0.6), compared(change("accuracy", 0.9, labels)))
    moved = check_rule(
        rule(Drop("accuracy", 0.1, None)), classifier(0.8), compared(change("accuracy", 0.9, {"model": -0.1}))
    )

    assert 0.1 + 0.2 > 0.3
    assert ["no", "no"] == [str(alone.answer), str(moved.answer)]


def test_recovered_at_no_recovery() -> None:
    """With `recover: 0` a change of exactly the margin is over."""
    parts = {"labels": -0.1, "thresholds": -0.2}
    found = check_rule(rule(Drop("accuracy", 0.3), 0.0), classifier(0.6), compared(change("accuracy", 0.9, parts)))

    assert ("no", True) == shown(found)


@pytest.mark.parametrize(
    ("condition", "run", "expected"),
    [
        (Rise("mae", 0.5, None), regression(2.1), ("yes", False)),
        (Rise("mae", 0.5, None), regression(2.0), ("no", False)),
        (Rise("mae", 0.5, None), regression(1.99), ("no", True)),
        (Rise("mae", 0.5, 0.01), regression(2.1), ("no", False)),
        (Drop("balanced_accuracy", 0.05, None), classifier(0.84), ("yes", False)),
        (Drop("balanced_accuracy", 0.05, None), classifier(0.97), ("no", True)),
    ],
)
def test_change_without_a_test(condition: Condition, run: Evaluation, expected: tuple[str, bool]) -> None:
    """Metrics without a test are compared with the baseline's value, and never significant."""
    assert expected == shown(check_rule(rule(condition), run, compared()))


@given(
    blocks=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.99, 1.0, 1.5, 1.999, 2.0, 3.1]),
            st.booleans(),
            NOTHING | st.sampled_from([0.001, 0.01, 0.011]),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_drift(blocks: list[tuple[float, bool, float | None, bool]]) -> None:
    """Drift of any block: an alarm of its new samples, whatever the evidence is by now, or the paired test with its
    gate open; over when no block has either.
    """
    verdict = check_rule(
        rule(AnomalyDrift(0.01)), classifier(0.9), compared(drifts=tuple(drifted(*block) for block in blocks))
    )

    data = [alarm for _, alarm, _, _ in blocks]
    model = [p is not None and p <= 0.01 and gate for _, _, p, gate in blocks]
    yes = any(data) or any(model)
    assert ("yes" if yes else "no", not yes) == shown(verdict)
    worst = [index for index, _ in enumerate(blocks) if data[index] or model[index]]
    assert bool(worst) == bool(verdict.causes)
    if worst:
        assert max(blocks[index][0] for index in worst) == verdict.value


@pytest.mark.parametrize(
    ("condition", "run", "comparison", "reason"),
    [
        (Below("map", 0.5), classifier(0.9), None, "this result set has no map"),
        (Drop("accuracy", 0.03), classifier(0.9), None, "there is no baseline to compare with"),
        (AnomalyDrift(), classifier(0.9), None, "there is no baseline to compare with"),
        (AnomalyDrift(), classifier(0.9), compared(), "this result set has no anomaly scores"),
        (Drop("map", 0.03), classifier(0.9), compared(), "the two runs have no map to compare"),
        (
            Drop("map", 0.03),
            detector(0.4),
            compared(replace(change("map", 0.5, {}), causes={"total": -0.1})),
            "the two runs share too few images to judge a change of map",
        ),
        (Rise("mae", 0.1, None), classifier(0.9), compared(), "this result set has no mae"),
        (Rise("r2", 0.1, None), regression(1.0), compared(), "the baseline has no r2"),
    ],
)
def test_not_applicable(condition: Condition, run: Evaluation, comparison: Comparison | None, reason: str) -> None:
    """Where the figure or the comparison does not exist the verdict says so, and why."""
    verdict = check_rule(rule(condition), run, comparison)

    assert (Answer.NOT_APPLICABLE, False, reason) == (verdict.answer, verdict.recovered, verdict.reason)


def test_few_shared_samples_judge_the_total() -> None:
    """Where causes are not known, accuracy is judged by its total and that one's p-value."""
    few = replace(change("accuracy", 0.9, {}, pvalues={"total": 0.001}), causes={"total": -0.1}, shared=3)

    assert Answer.YES == check_rule(rule(Drop("accuracy", 0.03)), classifier(0.8), compared(few)).answer


def test_rules_by_the_clock_have_no_verdict() -> None:
    """Asking for a result set's verdict on pulls is a mistake."""
    for each in built_in():
        if each.by_clock:
            with pytest.raises(ValueError, match="by the clock"):
                check_rule(each, classifier(0.9), None)


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"project": "vibration-*"}, True),
        ({"project": "vibration"}, False),
        ({"project": "Vibration-a"}, False),
        ({"project_id": "1", "impulse_id": "?", "variant": "int[48]", "category": "testing", "impulse": "c*r"}, True),
        ({"variant": "int[!8]"}, False),
        ({"team": "edge"}, True),
        ({"team": "e"}, False),
        ({"site": "*"}, True),
        ({"site": "?*"}, False),
    ],
)
def test_match(match: dict[str, str], matches: bool) -> None:
    """A rule is for a target whose labels, the project's own included, match all of its patterns,
    in full and by case.
    """
    assert matches == Rule("Own", Below("accuracy", 0.5), match=match).matches(Subject.target(TARGET))


def test_subjects_of_built_in_rules() -> None:
    """Result sets and vanished results are about targets, keys about projects, and failing pulls about both."""
    target, project = Subject.target(TARGET), Subject.project(1, {"team": "edge"})
    names = [each.name.removeprefix("EdgeImpulse") for each in built_in()]

    assert names[:-1] == [each.name.removeprefix("EdgeImpulse") for each in built_in() if each.matches(target)]
    assert ["PullFailing", "KeyExpiring"] == [
        each.name.removeprefix("EdgeImpulse") for each in built_in() if each.matches(project)
    ]
    assert ("project-1", {"project_id": "1", "team": "edge"}) == (project.id, project.labels)


def test_subject_of_a_target() -> None:
    """A target's labels are its identity and its project's own, and its link leads to its page."""
    subject = Subject.target(TARGET, "https://monitor.example.com")

    assert {
        "project": "vibration-a",
        "project_id": "1",
        "impulse": "classifier",
        "impulse_id": "2",
        "variant": "int8",
        "category": "testing",
        "team": "edge",
    } == subject.labels
    assert "https://monitor.example.com/targets/1-2-int8-testing" == subject.url
    assert "" == Subject.target(TARGET).url


def test_thresholds_shown() -> None:
    """Each rule's own value is what `edge_impulse_alert_threshold` shows; vanished results have none."""
    assert [0.03, 0.03, 0.03, 0.01, 0.03, 3.0, None, 1_209_600.0] == [each.threshold for each in built_in()]
    assert not any(math.isnan(each.threshold or 0.0) for each in built_in())
