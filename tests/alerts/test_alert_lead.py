"""How descriptions begin: what happened, how much, since when, why, on how many samples, and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.alerts import explain
from monitor.alerts.rules import Above, AnomalyDrift, Below, Condition, Drop, Rise, Rule
from monitor.alerts.states import Evidence
from monitor.alerts.steps import step
from monitor.alerts.verdicts import check_rule
from monitor.compare.comparison import Comparison
from monitor.compare.error_evidence import ErrorEvidence
from tests.alerts.alert_cases import (
    BASELINE,
    SUBJECT,
    calibrated,
    change,
    classifier,
    compared,
    detector,
    drifted,
    regression,
)

SINCE = " since 2026-09-21 14:13 UTC"
FEW, MANY = {"newly_wrong": 2, "added_wrong": 1}, {"newly_wrong": 9, "added_wrong": 1}
COUNTS = {"newly_wrong": 14, "fixed": 3, "relabelled": 0, "added_wrong": 3, "removed_wrong": 0, "suspect_label": 20}
SURE = {"total": 0.001, "model": 0.001, "added": 0.001}


def against(metric: str, parts: dict[str, float], suspect: dict[str, int], **others: Any) -> Comparison:
    """A comparison in which samples changed sides, and so many of them look mislabelled."""
    given = {"pvalues": SURE} | others
    found = compared(change(metric, 0.9, parts, **given))
    return replace(found, changed_samples=COUNTS, suspect_labels=suspect)


def trained(comparison: Comparison) -> Comparison:
    """It, with a model that was trained since."""
    return replace(comparison, baseline=replace(BASELINE, trained=1.0), trained=2.0)


def lead(condition: Condition, run: Any, comparison: Comparison | None) -> str:
    """The description up to the figures."""
    rule = Rule("Own", condition)
    text = explain.verdict(rule, SUBJECT, check_rule(rule, run, comparison)).description
    starts = ("accuracy 0", "mAP 0", "mean abs", "calibration error 0", "New samples are", "Block ")
    return text[: min(place for start in starts if (place := text.find(start)) > 0)].strip()


DROP = Drop("accuracy", 0.03)
WRONG = "14 of the 812 samples both runs share are newly wrong{}; 3 of the 203 samples added since are wrong{}."
SUSPECTS = WRONG.format(", and {} of these 14 look mislabelled", ", and 1 of these 3 looks mislabelled")


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (
            trained(against("accuracy", {"model": -0.1}, FEW)),
            f"Accuracy fell by 10.0 points{SINCE}: the model changed, not the data. {SUSPECTS.format(2)} "
            "Look at the samples that are newly wrong, then train again or go back to the model before.",
        ),
        (
            trained(against("accuracy", {"model": -0.1}, MANY)),
            f"Accuracy fell by 10.0 points{SINCE}: the model changed, not the data. {SUSPECTS.format(9)} "
            "Check the labels of these samples first.",
        ),
        (
            replace(against("accuracy", {"added": -0.1}, {}), changed_data="ids"),
            f"Accuracy fell by 10.0 points{SINCE}: the data changed, not the model. {WRONG.format('', '')} "
            "Look at the samples that came and left since.",
        ),
        (
            against("accuracy", {"labels": -0.1}, {}),
            f"Accuracy fell by 10.0 points{SINCE}: the labels changed, not the model. {WRONG.format('', '')} "
            "Check the labels that changed.",
        ),
        (
            against("accuracy", {"thresholds": -0.1}, {}),
            f"Accuracy fell by 10.0 points{SINCE}: the thresholds changed, not the model. {WRONG.format('', '')} "
            "Check the thresholds that changed.",
        ),
        (
            against("accuracy", {"model": -0.1}, {}, pvalues={"total": 0.001, "model": 0.5}),
            f"Accuracy fell by 10.0 points{SINCE}: every cause is within noise. {WRONG.format('', '')} "
            "Look at the samples that are newly wrong.",
        ),
        (
            replace(against("accuracy", {"model": -0.1}, {}), changed_samples={}),
            f"Accuracy fell by 10.0 points{SINCE}: the model changed, not the data. "
            "Look at what it gets wrong, on the target's page.",
        ),
        (
            replace(against("accuracy", {"model": -0.028}, {}), changed_samples={"newly_wrong": 0}),
            "Accuracy is not yet back inside, compared with 2026-09-21 14:13 UTC. "
            "None of the 812 samples both runs share is newly wrong.",
        ),
    ],
)
def test_a_drop(comparison: Comparison, expected: str) -> None:
    """A drop begins with its size, its time and its cause, the samples that are wrong, and what to do about these."""
    assert expected == lead(DROP, classifier(comparison.changes[0].current), comparison)


def test_errors_of_new_samples() -> None:
    """Where new samples alone are wrong more often, it says so."""
    errors = ErrorEvidence(
        evidence=3.0, alarm=True, reference=0.1, recent=0.3, pvalue=0.01, added=300, last=200, since=BASELINE.timestamp
    )
    quiet = replace(against("accuracy", {"model": -0.001}, {}), errors=errors)
    rule = Rule("EdgeImpulseAccuracyRegressed", DROP)
    text = explain.verdict(rule, SUBJECT, check_rule(rule, classifier(0.899), quiet)).description

    assert text.startswith(f"Accuracy fell by 20.0 points among new samples{SINCE}. 14 of the 812")


@pytest.mark.parametrize(
    ("condition", "run", "comparison", "expected"),
    [
        (
            Drop("map", 0.03),
            detector(0.8),
            replace(against("map", {"model": -0.1}, {"newly_wrong": 1}), changed_samples={"newly_wrong": 1}),
            f"mAP fell by 10.0 points{SINCE}: the model changed, not the labels. "
            "1 of the 812 images both runs share is newly wrong, and looks mislabelled. "
            "Check the labels of these samples first.",
        ),
        (
            Rise("mae", 0.3, None),
            regression(2.1, (1.9, 2.3)),
            compared(),
            f"Mean absolute error rose by 0.6{SINCE}. Look at what it gets wrong, on the target's page.",
        ),
        (
            Below("accuracy", 0.9),
            classifier(0.872, (0.851, 0.891)),
            None,
            "Accuracy is below 0.900, at 0.872. Look at what it gets wrong, on the target's page.",
        ),
        (
            Above("calibration_error", 0.04),
            calibrated(0.06, 0.05),
            None,
            "Calibration error is above 0.040, at 0.060. Look at what it gets wrong, on the target's page.",
        ),
        (
            AnomalyDrift(),
            classifier(0.9),
            compared(drifts=(drifted(2.7, data=True),)),
            f"Anomaly scores of block K-means drifted{SINCE}: the last 80 new samples score differently. "
            "Look at the newest samples, and at what records them.",
        ),
        (
            AnomalyDrift(),
            classifier(0.9),
            compared(drifts=(drifted(0.7, pvalue=0.001, model=True),)),
            "Anomaly scores of block K-means drifted since the baseline: the model scores the 500 samples both runs "
            "share differently. Compare its training with the one before.",
        ),
    ],
)
def test_other_rules(condition: Condition, run: Any, comparison: Comparison | None, expected: str) -> None:
    """Rises, thresholds and drift begin likewise."""
    assert expected == lead(condition, run, comparison)


def test_link_to_the_samples() -> None:
    """An alert about samples has a link to their list, if it is known where users find the service; its numbers are
    among the details.
    """
    rule, found = Rule("Own", DROP), against("accuracy", {"model": -0.1}, FEW)

    def begun(comparison: Comparison, url: str = SUBJECT.url) -> Any:
        verdict = check_rule(rule, classifier(0.8), comparison)
        return step(None, rule, replace(SUBJECT, url=url), verdict, Evidence("f"), 1.0).transitions[0]

    assert f"{SUBJECT.url}#samples" == begun(found).annotations["samples_url"]
    assert (COUNTS, FEW) == (begun(found).details["changed_samples"], begun(found).details["suspect_labels"])
    assert "samples_url" not in begun(found, url="").annotations
    assert "samples_url" not in begun(replace(found, changed_samples={})).annotations
