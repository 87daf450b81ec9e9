"""Which event an alert is of, and how urgent it is when it begins to fire."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor.alerts.causes import OWN, Cause, is_shared
from monitor.alerts.rules import AnomalyDrift, Below, Drop, PullFailing, Rise, Rule, Subject, built_in
from monitor.alerts.states import AlertState, Evidence, Phase, PullHealth, Step
from monitor.alerts.steps import step, tick
from monitor.alerts.verdicts import check_rule
from monitor.compare.comparison import Comparison
from monitor.compare.distances import Distances
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.sides import sides
from monitor.errors import PullState
from tests.alerts.alert_cases import BASELINE, SUBJECT, change, classifier, compared, drifted, regression
from tests.factories import TARGET, encoded, result_set

THEN, NOW = 1_789_000_000.0, 1_791_000_000.0
DROP = Rule("AccuracyDropped", Drop("accuracy", 0.03))
F1_DROP = Rule("F1Dropped", Drop("mean_f1", 0.03))
GOOD = PullHealth(PullState.OK, 0.0, 60.0, 50.0)
SURE = {"total": 0.001, "model": 0.001, "added": 0.001, "removed": 0.5}


def seen(parts: Mapping[str, float], trained: float | None = NOW, data: str = "ids", **others: Any) -> Comparison:
    """A comparison of accuracy and mean F1, of models that were trained then and now, with this change of the data."""
    given = {"pvalues": SURE} | others
    found = compared(*(change(metric, 0.9, parts, **given) for metric in ("accuracy", "mean_f1")))
    return replace(found, baseline=replace(BASELINE, trained=THEN), trained=trained, changed_data=data)


def fires(of: Rule, comparison: Comparison | None, subject: Subject = SUBJECT, accuracy: float = 0.8) -> AlertState:
    """The state after one verdict."""
    verdict = check_rule(of, classifier(accuracy, (accuracy - 0.01, accuracy + 0.01)), comparison)
    state = step(None, of, subject, verdict, Evidence("f1"), 100.0).state
    assert Phase.FIRING == state.phase
    return state


def other(**key: Any) -> Subject:
    """Another target's subject."""
    return Subject.target(replace(TARGET, key=TARGET.key._replace(**key)))


def test_one_training_is_one_event() -> None:
    """Alerts of both figures and both variants of a training have one cause, of project, impulse and its date."""
    comparison = seen({"model": -0.1})
    states = [fires(of, comparison, each) for of in (DROP, F1_DROP) for each in (SUBJECT, other(variant="float32"))]
    key = f"{TARGET.key.project_id}|{TARGET.key.impulse_id}|{NOW:.3f}"

    assert {f"training-{hashlib.sha256(key.encode()).hexdigest()[:16]}"} == {each.labels["cause_id"] for each in states}
    for of, against in (
        (other(impulse_id=9), comparison),
        (other(project_id=9), comparison),
        (SUBJECT, seen({"model": -0.1}, trained=NOW + 60)),
    ):
        assert states[0].cause_id != fires(DROP, against, of).cause_id


@pytest.mark.parametrize(
    ("parts", "given", "kind"),
    [
        ({"model": -0.1}, {}, "training"),
        ({"model": -0.1}, {"trained": None}, "target"),  # nobody knows the date
        ({"model": -0.1}, {"trained": THEN}, "target"),  # not trained: its outputs changed for reasons of its own
        ({"added": -0.1}, {}, "data"),
        ({"removed": -0.1}, {"pvalues": {"total": 0.001, "removed": 0.001}}, "data"),
        ({"labels": -0.1}, {}, "data"),
        ({"added": -0.1}, {"data": ""}, "target"),  # a comparison of a release that kept no digest
        ({"thresholds": -0.1}, {}, "target"),
        ({"model": -0.08, "labels": 0.01}, {}, "training"),
        ({"model": -0.05, "added": -0.05}, {}, "training"),
        ({"model": -0.1}, {"pvalues": {"total": 0.001, "model": 0.5}}, "training"),  # within noise: what happened
        ({"model": -0.1}, {"pvalues": {"total": 0.001, "model": 0.5}, "trained": THEN}, "data"),
        ({"model": -0.1}, {"pvalues": {"total": 0.001, "model": 0.5}, "trained": THEN, "data": ""}, "target"),
    ],
)
def test_which_cause(parts: dict[str, float], given: dict[str, Any], kind: str) -> None:
    """The cause is what the conclusion names; where that names nothing, what is known to have happened."""
    state = fires(DROP, seen(parts, **given))

    assert f"{kind}-" == state.cause_id[: len(kind) + 1]
    assert (kind != "target") == is_shared(state.cause_id)


def test_data_has_one_cause_in_all_of_a_project() -> None:
    """Alerts about the same samples have one cause in all targets of a project, and none with other samples or in
    another project.
    """
    added = fires(DROP, seen({"added": -0.1}))

    assert added.cause_id == fires(F1_DROP, seen({"labels": -0.1}), other(impulse_id=9)).cause_id
    assert added.cause_id != fires(DROP, seen({"added": -0.1}, data="others")).cause_id
    assert added.cause_id != fires(DROP, seen({"added": -0.1}), other(project_id=9)).cause_id


def test_thresholds_and_drift() -> None:
    """A threshold shares the cause of its figure's change if that went towards it; drift, and errors of new samples,
    have theirs.
    """
    comparison = seen({"model": -0.1})
    low = Rule("Low", Below("accuracy", 0.85))
    errors = ErrorEvidence(
        evidence=3.0, alarm=True, since=1.0, added=300, last=200, recent=0.3, reference=0.1, pvalue=0.01
    )
    quiet = replace(seen({"model": -0.001, "added": -0.001}), errors=errors)
    accuracy = Rule("EdgeImpulseAccuracyRegressed", Drop("accuracy", 0.03))

    def drift(**given: Any) -> Cause:
        found = replace(comparison, drifts=(drifted(**given),))
        return check_rule(Rule("Drift", AnomalyDrift()), regression(1.0), found).cause

    assert fires(DROP, comparison).cause_id == fires(low, comparison).cause_id
    assert OWN.id(SUBJECT) == fires(low, seen({"model": 0.1})).cause_id == fires(low, None).cause_id
    assert ("data", "data") == (
        drift(evidence=3.0, data=True).kind,
        check_rule(accuracy, classifier(0.89), quiet).cause.kind,
    )
    assert "training" == drift(pvalue=0.001, model=True).kind


def test_alerts_by_the_clock_have_their_own_cause() -> None:
    """An alert about pulls has the cause of its target or project."""
    failing = Rule("Failing", PullFailing())
    late = replace(GOOD, state=PullState.UNREACHABLE)
    project = Subject.project(7)
    states = [tick(None, failing, each, late, 1000.0).state for each in (SUBJECT, project)]

    assert [OWN.id(SUBJECT), OWN.id(project)] == [each.labels["cause_id"] for each in states]
    assert 2 == len({each.cause_id for each in states})


def after(state: AlertState, of: Rule, comparison: Comparison, fingerprint: str, now: float) -> Step:
    """The step of one more result set."""
    verdict = check_rule(of, classifier(0.8, (0.79, 0.81)), comparison)
    return step(state, of, SUBJECT, verdict, Evidence(fingerprint), now)


def test_cause_and_severity_are_those_of_the_start() -> None:
    """What is known when the alert begins to fire counts, and lasts until it resolves, whatever comes later."""
    of = replace(DROP, for_results=2)
    small, large = seen({"added": -0.04}), seen({"model": -0.2})
    pending = step(None, of, SUBJECT, check_rule(of, classifier(0.86), small), Evidence("f1"), 100.0).state
    firing = after(pending, of, large, "f2", 200.0).state
    later = after(firing, of, small, "f3", 300.0).state
    resolved = step(later, of, SUBJECT, check_rule(of, classifier(0.9), seen({})), Evidence("f4"), 400.0)

    assert "cause_id" not in pending.labels
    assert ("warning", "critical") == (pending.severity, firing.severity)
    assert firing.cause_id.startswith("training-")
    assert firing.labels == later.labels == resolved.transitions[0].labels
    assert ("critical", firing.cause_id) == tuple(firing.labels[name] for name in ("severity", "cause_id"))


def test_an_alert_of_an_earlier_release_keeps_its_labels() -> None:
    """An alert that fires since before there were causes gets no new label, which would make it another alert; one that
    was pending gets its target's own when the clock lets it fire.
    """
    of = replace(DROP, for_seconds=50.0)
    firing = replace(fires(DROP, seen({"model": -0.2})), severity="warning", cause_id="", labels={"alertname": "x"})
    waiting = step(None, of, SUBJECT, check_rule(of, classifier(0.8), seen({"model": -0.2})), Evidence("f"), 0.0).state
    waiting = replace(waiting, cause_id="")

    still = after(firing, DROP, seen({"model": -0.3}), "f2", 200.0).state
    begun = tick(waiting, of, SUBJECT, GOOD, 60.0).state

    assert (firing.labels, "warning", "") == (still.labels, still.severity, still.cause_id)
    assert (Phase.FIRING, OWN.id(SUBJECT)) == (begun.phase, begun.labels["cause_id"])


@pytest.mark.parametrize(
    ("of", "moved", "severity"),
    [
        (DROP, -0.0899, "warning"),
        (DROP, -0.09, "critical"),
        (replace(DROP, severity="warning"), -0.5, "warning"),
        (replace(DROP, severity="info"), -0.5, "info"),
        (replace(DROP, severity="critical"), -0.04, "critical"),
        (Rule("Up", Rise("accuracy", 0.03)), 0.09, "critical"),
        (Rule("Any", Drop("accuracy", 0.0)), -0.5, "warning"),  # there is no margin to measure by
        (Rule("Low", Below("accuracy", 0.85)), -0.5, "warning"),
    ],
)
def test_severity_by_size(of: Rule, moved: float, severity: str) -> None:
    """From three times the margin on an alert is critical, unless its rule names a severity."""
    state = fires(of, seen({"model": moved}))

    assert (severity, severity) == (state.severity, state.labels["severity"])


@pytest.mark.parametrize(
    ("wasserstein", "exceedance", "severity"),
    [(0.29, 0.089, "warning"), (0.31, 0.0, "critical"), (0.0, -0.091, "critical")],
)
def test_severity_of_drift(wasserstein: float, exceedance: float, severity: str) -> None:
    """Drift is critical from three times the difference that matters on."""
    of = next(each for each in built_in() if isinstance(each.condition, AnomalyDrift))
    found = replace(drifted(3.0, data=True), distances={"data": Distances(0.1, 0.1, wasserstein, 0.1, exceedance)})
    verdict = check_rule(of, regression(1.0), replace(seen({}), drifts=(found,)))

    assert severity == step(None, of, SUBJECT, verdict, Evidence("f"), 1.0).state.severity


def test_digest_of_changed_data() -> None:
    """The digest tells which samples were added, removed and relabelled, whatever the models say; without a change it
    is empty.
    """

    def results(ids: list[int], labels: list[str], wrong: int = 0) -> Any:
        predictions = ["no" if place < wrong else label for place, label in enumerate(labels)]
        return result_set(len(ids), sample_id=np.array(ids), **encoded(labels, predictions))

    def digest(ids: list[int], labels: list[str], wrong: int = 0) -> str:
        before = results([1, 2, 3], ["a", "b", "a"], wrong)
        return sides(before, results(ids, labels), find_suspects=False).data_digest()

    added = digest([1, 2, 3, 4], ["a", "b", "a", "b"])

    assert "" == digest([1, 2, 3], ["a", "b", "a"], wrong=1)
    assert added == digest([1, 2, 3, 4], ["a", "b", "a", "b"], wrong=2)
    others = [
        digest([2, 3], ["b", "a"]),
        digest([1, 2, 3], ["b", "b", "a"]),
        digest([1, 2, 3, 5], ["a", "b", "a", "b"]),
    ]
    assert 5 == len({"", added, *others})
