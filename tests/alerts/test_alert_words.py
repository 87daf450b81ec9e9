"""What alerts say, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.alerts import explain
from monitor.alerts.rules import Above, AnomalyDrift, Below, Condition, Drop, KeyExpiring, Rise, Rule, Subject, built_in
from monitor.alerts.verdicts import check_rule
from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.figures.groups import UnitChoice
from tests.alerts.alert_cases import (
    BLOCK,
    SUBJECT,
    anomalies,
    calibrated,
    change,
    classifier,
    compared,
    detector,
    drifted,
    regression,
)

BASELINE = " The baseline (pinned) is of 2026-09-21 14:13 UTC."
MARGIN = " The rule fires for a drop of more than 3.0 points with p ≤ 0.01, and resolves 0.5 points back inside."
INTERVAL = " The 95 % interval is 0.851 to 0.891."
DRIFT = (
    " The rule fires at evidence 2, or for the same samples at p ≤ 0.01, if the difference matters. Drift of new "
    "samples is over once the last of them did not differ, and were nearer to the reference than to those that raised "
    "it, at two result sets that have none of these in common."
)
DISTANCES = (
    " against the reference: KS 0.310, PSI 0.420, Wasserstein 0.550, Jensen-Shannon 0.200, share above the "
    "threshold +6.1 points."
)
SIZE = (
    " The test is of model + labels on the shared images: added, removed and total also contain the effect of the "
    "set's size on mAP."
)

FELL = classifier(0.872, (0.851, 0.891))
DROP = Drop("accuracy", 0.03)
P = {"total": 2e-6, "model": 0.002}

GOLDEN: list[tuple[Condition, Evaluation, Comparison | None, str, str]] = [
    (
        DROP,
        FELL,
        compared(change("accuracy", 0.913, {"model": -0.002, "added": -0.039}, pvalues=P)),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): −0.2 on the 812 samples both runs share, −3.9 from 203 "
            "samples added since: "
            "the data changed, not the model." + INTERVAL + MARGIN + BASELINE
        ),
    ),
    (
        DROP,
        FELL,
        compared(
            change("accuracy", 0.913, {"model": -0.041}, added=0, pvalues=P),
            notes=(
                "the model was trained again since the baseline",
                "threshold min_score of block NN (1) was 0.6 and is 0.7",
            ),
        ),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): −4.1 on the 812 samples both runs share: the model "
            "changed, not the data."
            + INTERVAL
            + MARGIN
            + BASELINE
            + " The model was trained again since the baseline. Threshold min_score of block NN (1) was 0.6 and is 0.7."
        ),
    ),
    (
        DROP,
        classifier(0.872),
        compared(change("accuracy", 0.913, {"labels": -0.041}, added=0, pvalues={"total": 0.4})),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 0.4): 0.0 on the 812 samples both runs share, −4.1 from changed "
            "labels: "
            "the labels changed, not the model. Changed labels alone exceed the margin: no sampling noise, "
            "so the p-value does not matter." + MARGIN + BASELINE
        ),
    ),
    (
        DROP,
        classifier(0.872),
        compared(change("accuracy", 0.913, {"model": -0.025, "added": -0.01, "removed": -0.006}, removed=4, pvalues=P)),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): −2.5 on the 812 samples both runs share, −1.0 from 203 "
            "samples added since, "
            "−0.6 from 4 samples removed since: mainly the model changed." + MARGIN + BASELINE
        ),
    ),
    (
        DROP,
        classifier(0.872),
        compared(
            change(
                "accuracy",
                0.913,
                {"model": -0.02, "labels": -0.013, "added": -0.018, "removed": 0.01},
                removed=4,
                pvalues=P,
            )
        ),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): −2.0 on the 812 samples both runs share, −1.3 from "
            "changed labels, "
            "−1.8 from 203 samples added since, +1.0 from 4 samples removed since: several causes together."
            + MARGIN
            + BASELINE
        ),
    ),
    (
        DROP,
        classifier(0.872),
        compared(change("accuracy", 0.913, {"model": -0.035, "labels": -0.015, "added": 0.009}, pvalues=P)),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6): −3.5 on the 812 samples both runs share, −1.5 from "
            "changed labels, "
            "+0.9 from 203 samples added since: mainly the model changed." + MARGIN + BASELINE
        ),
    ),
    (
        DROP,
        classifier(0.872),
        compared(
            replace(change("accuracy", 0.913, {"model": -0.041}, pvalues={"total": 0.001}), causes={"total": -0.041})
        ),
        "Accuracy fell by 4.1 points",
        (
            "accuracy 0.913 → 0.872 (−4.1 points; p = 0.001): the runs share too few samples to determine the cause."
            + MARGIN
            + BASELINE
        ),
    ),
    (
        DROP,
        classifier(0.886),
        compared(change("accuracy", 0.913, {"model": -0.027}, pvalues={"total": 0.0004})),
        "Accuracy is not yet back inside",
        (
            "accuracy 0.913 → 0.886 (−2.7 points; p = 4e-4): −2.7 on the 812 samples both runs share, 0.0 from 203 "
            "samples added since: "
            "the model changed, not the data."
            + MARGIN
            + BASELINE
            + " The alert fires until it is back inside by that much."
        ),
    ),
    (
        Drop("map", 0.03),
        detector(0.41, (0.38, 0.44)),
        compared(change("map", 0.5, {"model": -0.05, "added": -0.04}, pvalues=P)),
        "mAP fell by 5.0 points",
        (
            "mAP 0.500 → 0.410 (−9.0 points; p = 0.002): −5.0 on the 812 images both runs share, −4.0 from 203 images "
            "added since: "
            "the model changed, not the labels."
            + SIZE
            + " The 95 % interval is 0.380 to 0.440."
            + MARGIN.replace("0.5 points", "0.8 points")
            + BASELINE
        ),
    ),
    (
        Rise("mae", 0.3, None),
        regression(2.1, (1.9, 2.3)),
        compared(),
        "Mean absolute error rose by 0.6",
        (
            "mean absolute error 1.5 → 2.1 (+0.6). The 95 % interval is 1.9 to 2.3. "
            "The rule fires for a rise of more than 0.3, and resolves 0.051 back inside." + BASELINE
        ),
    ),
    (
        Below("accuracy", 0.9),
        FELL,
        None,
        "Accuracy is below 0.900",
        "accuracy 0.872 (95 % interval 0.851 to 0.891). The rule fires below 0.900, and resolves 0.005 back inside.",
    ),
    (
        Below("accuracy", 0.9),
        classifier(0.892, (0.851, 0.91)),
        None,
        "Accuracy is below 0.900",
        (
            "accuracy 0.892 (95 % interval 0.851 to 0.910). The rule fires below 0.900, and resolves 0.008 back "
            "inside. "
            "Only the figure is beyond it, not its whole interval; three such result sets in a row count as well, if "
            "each shares less than half of its samples with the one counted before."
        ),
    ),
    (
        Above("calibration_error", 0.04),
        calibrated(0.06, 0.05),
        None,
        "Calibration error is above 0.040",
        (
            "calibration error 0.060. Chance alone would give up to 0.050 in 95 % of such sets. The rule fires above "
            "0.040, and resolves 0.005 back inside. Chance passes its 95 % point in one result set of twenty; three "
            "such result sets in a row count, if each shares less than half of its samples with the one counted before."
        ),
    ),
    (
        Below("r2", 0.3),
        regression(2.1, r2=-0.2),
        None,
        "R² is below 0.3",
        "R² −0.2. The rule fires below 0.3, and resolves 0.005 back inside.",
    ),
    (
        Above("anomaly_flagged", 0.3),
        anomalies(0.2, 0.4),
        None,
        "Flagged share of block K-means 1 is above 0.300",
        (
            "flagged share of block K-means 1 0.400. The rule fires above 0.300, and resolves 0.005 back inside. "
            "Only the figure is beyond it, not its whole interval; three such result sets in a row count as well, if "
            "each shares less than half of its samples with the one counted before."
        ),
    ),
    (
        AnomalyDrift(),
        classifier(0.9),
        compared(drifts=(drifted(2.714, data=True, pvalue=0.5),)),
        "Anomaly scores of block K-means drifted",
        (
            "Block K-means (7): the data drifted: the last 80 of 100 new samples score differently from the reference "
            "of 2026-09-21 14:13 UTC under the "
            "same model; evidence 2.71 (log10 of the odds). New samples" + DISTANCES + DRIFT + BASELINE
        ),
    ),
    (
        AnomalyDrift(),
        classifier(0.9),
        compared(drifts=(drifted(0.7, pvalue=0.001, model=True, block=replace(BLOCK, name="")),)),
        "Anomaly scores drifted",
        (
            "Block 7: the model drifted: it scores the 500 samples both runs share differently (p = 0.001). Shared "
            "samples" + DISTANCES + DRIFT + BASELINE
        ),
    ),
    (
        AnomalyDrift(),
        classifier(0.9),
        compared(drifts=(replace(drifted(0.4, data=True), gates={"data": False}, starts=3),)),
        "Anomaly scores of block K-means drifted",
        (
            "Block K-means (7): the data drifted: the last 80 of 100 new samples score differently from the reference "
            "of 2026-09-21 14:13 UTC under the same model; evidence 0.40 (log10 of the odds; it has started 3 times "
            "for this model, each time with a chance of a false alarm of at most 1 %); the difference no longer "
            "matters at this look. New samples" + DISTANCES + DRIFT + BASELINE
        ),
    ),
]


@pytest.mark.parametrize(("condition", "run", "comparison", "summary", "description"), GOLDEN)
def test_verdict(
    condition: Condition, run: Evaluation, comparison: Comparison | None, summary: str, description: str
) -> None:
    """Each kind of verdict: value, baseline, threshold, interval, p-value, and the cause."""
    rule = Rule("Own", condition)
    words = explain.verdict(rule, SUBJECT, check_rule(rule, run, comparison))

    assert f"{summary}: vibration-a / classifier (int8, testing)." == words.summary
    lead, figures = words.description.removesuffix(description), words.description[-len(description) :]
    assert description == figures
    assert lead.startswith(summary)


def said(parts: dict[str, float], metric: str = "accuracy", **others: object) -> str:
    """The causes and the conclusion of a drop, as its description has them."""
    rule = Rule("Own", Drop(metric, 0.03))
    found = change(metric, 0.913, parts, **others)
    run = detector(found.current) if metric == "map" else classifier(found.current)
    words = explain.verdict(rule, SUBJECT, check_rule(rule, run, compared(found))).description
    return words.split("): ", 1)[1].split(" The rule fires")[0]


CAUSES: dict[str, tuple[dict[str, object], str]] = {
    "noise is said so": (
        {"parts": {"model": -0.015, "added": -0.04}, "pvalues": {"total": 0.002, "model": 0.4, "added": 0.001}},
        "−1.5 on the 812 samples both runs share (within noise), −4.0 from 203 samples added since: the data changed, "
        "not the model.",
    ),
    "noise that is larger than the cause": (
        {"parts": {"labels": -0.02, "added": -0.03}, "pvalues": {"total": 0.5, "model": 1.0, "added": 0.25}},
        (
            "0.0 on the 812 samples both runs share, −2.0 from changed labels, −3.0 from 203 samples added since "
            "(within noise): "
            "the labels changed, not the model."
        ),
    ),
    "removed samples may be noise": (
        {
            "parts": {"removed": -0.05},
            "removed": 200,
            "added": 0,
            "pvalues": {"total": 0.3, "model": 1.0, "removed": 0.3},
        },
        "0.0 on the 812 samples both runs share, −5.0 from 200 samples removed since (within noise): every cause is "
        "within noise.",
    ),
    "removed samples that matter": (
        {
            "parts": {"removed": -0.05},
            "removed": 200,
            "added": 0,
            "pvalues": {"total": 0.001, "model": 1.0, "removed": 0.001},
        },
        "0.0 on the 812 samples both runs share, −5.0 from 200 samples removed since: the data changed, not the model.",
    ),
    "added samples after a retraining": (
        {
            "parts": {"model": 0.005, "added": -0.06},
            "retrained": True,
            "pvalues": {"total": 0.001, "model": 0.6, "added": 0.0003},
        },
        (
            "+0.5 on the 812 samples both runs share (within noise), −6.0 from 203 samples added since: the data "
            "changed; "
            "what the earlier model would have said of the added samples is not known."
        ),
    ),
    "thresholds": (
        {"parts": {"thresholds": -0.05}, "added": 0, "retrained": False, "pvalues": {"total": 1.0, "model": 1.0}},
        (
            "0.0 on the 812 samples both runs share, −5.0 from changed thresholds: the thresholds changed, not the "
            "model. "
            "Changed thresholds alone exceed the margin: no sampling noise, so the p-value does not matter."
        ),
    ),
    "a new model beside thresholds": (
        {
            "parts": {"thresholds": -0.5, "model": -0.08},
            "added": 0,
            "retrained": True,
            "pvalues": {"total": 0.0002, "model": 0.0002},
        },
        (
            "−8.0 on the 812 samples both runs share, −50.0 from changed thresholds: the thresholds changed. "
            "Changed thresholds alone exceed the margin: no sampling noise, so the p-value does not matter."
        ),
    ),
    "a few bad samples beside a worse model": (
        {"parts": {"model": -0.09, "added": -0.02}, "pvalues": {"total": 0.001, "model": 0.001, "added": 0.04}},
        "−9.0 on the 812 samples both runs share, −2.0 from 203 samples added since: the model changed.",
    ),
    "labels and thresholds": (
        {"parts": {"labels": -0.02, "thresholds": -0.025}, "added": 0, "pvalues": {"total": 1.0, "model": 1.0}},
        (
            "0.0 on the 812 samples both runs share, −2.0 from changed labels, −2.5 from changed thresholds: "
            "mainly the thresholds changed. "
            "Changed labels and changed thresholds alone exceed the margin: no sampling noise, so the p-value does "
            "not matter."
        ),
    ),
    "relabelled and trained again": (
        {
            "parts": {"labels": -0.16, "model": 0.125},
            "added": 0,
            "retrained": True,
            "pvalues": {"total": 1.0, "model": 0.001},
        },
        (
            "+12.5 on the 812 samples both runs share, −16.0 from changed labels: "
            "relabelled and trained again: the two cannot be separated."
        ),
    ),
    "one cause against another": (
        {"parts": {"model": -0.06, "added": 0.025}, "pvalues": {"total": 0.001, "model": 0.001, "added": 0.02}},
        (
            "−6.0 on the 812 samples both runs share, +2.5 from 203 samples added since: mainly the model changed, "
            "the data the other way."
        ),
    ),
    "a renamed class": (
        {
            "parts": {"model": -0.04},
            "added": 0,
            "renamed": (("idle", "Idle"),),
            "pvalues": {"total": 0.001, "model": 0.001},
        },
        "−4.0 on the 812 samples both runs share: the model changed, not the data. Class idle is now called Idle.",
    ),
    "a class with an endless name": (
        {
            "parts": {"model": -0.04},
            "added": 0,
            "renamed": (("idle", "y" * 10**5),),
            "pvalues": {"total": 0.001, "model": 0.001},
        },
        "−4.0 on the 812 samples both runs share: the model changed, not the data. Class idle is now called "
        f"{'y' * 255}….",
    ),
    "labels that the earlier model never had": (
        {
            "parts": {"labels": -0.04},
            "added": 0,
            "kind": "classes",
            "dropped": 32,
            "pvalues": {"total": 1.0, "model": 1.0},
        },
        (
            "0.0 on the 812 samples both runs share, −4.0 from changed labels: the labels changed, not the model. "
            "32 windows have labels the earlier model never had."
        ),
    ),
    "one such label": (
        {
            "parts": {"labels": -0.04},
            "added": 0,
            "kind": "classes",
            "dropped": 1,
            "pvalues": {"total": 1.0, "model": 1.0},
        },
        (
            "0.0 on the 812 samples both runs share, −4.0 from changed labels: the labels changed, not the model. "
            "1 window has a label the earlier model never had."
        ),
    ),
    "labels that cannot be separated from the model": (
        {
            "parts": {"model": -0.04},
            "added": 0,
            "kind": "verdicts",
            "undivided": ("labels",),
            "pvalues": {"total": 0.001, "model": 0.001},
        },
        (
            "−4.0 on the 812 samples both runs share: the model or the labels changed. "
            "What the model and the labels did cannot be separated."
        ),
    ),
    "thresholds that cannot be separated from the model": (
        {
            "parts": {"model": -0.04},
            "metric": "map",
            "undivided": ("thresholds",),
            "pvalues": {"total": 0.001, "model": 0.001},
        },
        (
            "−4.0 on the 812 images both runs share, 0.0 from 203 images added since: the model or its thresholds "
            "changed. "
            "What the model and its thresholds did cannot be separated. The test is of model + labels on the shared "
            "images: "
            "added, removed and total also contain the effect of the set's size on mAP."
        ),
    ),
}


@pytest.mark.parametrize(("given", "text"), CAUSES.values(), ids=CAUSES.keys())
def test_causes(given: dict[str, Any], text: str) -> None:
    """Each thing that can be said of causes: what is noise, what cannot be separated, and what is a name and no
    change.
    """
    assert text == said(**given)


def test_details() -> None:
    """The numbers of a verdict as JSON values; what there is not is left out."""
    found = change("accuracy", 0.913, {"model": -0.002, "added": -0.039}, pvalues=P)
    rule = Rule("Own", DROP)

    assert {
        "metric": "accuracy",
        "value": pytest.approx(0.872),
        "baseline": 0.913,
        "threshold": 0.03,
        "interval": [0.851, 0.891],
        "pvalue": 2e-6,
        "causes": {
            "total": pytest.approx(-0.041),
            "model": -0.002,
            "labels": 0.0,
            "thresholds": 0.0,
            "added": -0.039,
            "removed": 0.0,
        },
        "why": "the data changed, not the model",
    } == explain.verdict(rule, SUBJECT, check_rule(rule, FELL, compared(found))).details
    drift = Rule("Own", AnomalyDrift())
    alarm = check_rule(drift, FELL, compared(drifts=(drifted(2.5, data=True, pvalue=0.5),)))
    assert {
        "value": 2.5,
        "threshold": 2.0,
        "pvalue": 0.5,
        "block": "K-means",
        "causes": {"data": 0.55},
    } == explain.verdict(drift, SUBJECT, alarm).details


def test_drift_that_is_over() -> None:
    """A resolved alert about drift says how much evidence there is now."""
    rule = Rule("Own", AnomalyDrift())
    found = check_rule(rule, FELL, compared(drifts=(drifted(1.5),)))
    words = explain.recovered(rule, SUBJECT, found)

    assert words.description.startswith(
        "Drift of anomaly scores of block K-means is back inside. Block K-means (7): no significant drift; evidence "
        "1.50 (log10 of the odds) from 100 new samples." + DRIFT
    )


def test_recovered() -> None:
    """A resolved alert says that the figure is back, and the figure."""
    rule = Rule("Own", Below("accuracy", 0.9))
    words = explain.recovered(rule, SUBJECT, check_rule(rule, classifier(0.95, (0.94, 0.96)), None))

    assert "Accuracy is back inside: vibration-a / classifier (int8, testing)." == words.summary
    assert (
        "Accuracy is back inside. accuracy 0.950 (95 % interval 0.940 to 0.960). "
        "The rule fires below 0.900, and resolves 0.005 back inside." == words.description
    )


def test_not_applicable() -> None:
    """A figure that is gone is named."""
    rule = Rule("Own", Below("map", 0.9))
    words = explain.not_applicable(rule, SUBJECT, check_rule(rule, classifier(0.9), None))

    assert "Own no longer applies: vibration-a / classifier (int8, testing)." == words.summary
    assert "Own no longer applies: this result set has no map." == words.description


def test_ended() -> None:
    """A removed rule or target: why it ended, and what it said."""
    words = explain.ended("Own", "the target is no longer watched", "accuracy 0.700.")

    assert "Own has ended: the target is no longer watched." == words.summary
    assert "Own has ended: the target is no longer watched. It said: accuracy 0.700." == words.description


CLOCK = {
    "target PullFailing": (
        "No good pull for 3 intervals: vibration-a / classifier (int8, testing).",
        (
            "No good pull since 2026-05-28 20:26 UTC. The last one ended with state auth: Studio refused the API key "
            "(401). "
            "The rule fires after 3 intervals without one."
        ),
        "The last pull was good: vibration-a / classifier (int8, testing).",
    ),
    "project PullFailing": (
        "No good discovery for 3 intervals: project 1.",
        (
            "No good discovery since 2026-05-28 20:26 UTC. The last one ended with state auth: Studio refused the API "
            "key (401). "
            "The rule fires after 3 intervals without one."
        ),
        "The last discovery was good: project 1.",
    ),
    "target ResultsVanished": (
        "Model-testing results have vanished: vibration-a / classifier (int8, testing).",
        (
            "Studio has had no model-testing results since 2026-09-21 14:13 UTC; the last good pull was at 2026-05-28 "
            "20:26 UTC. "
            "Training clears them: run model testing. Studio refused the API key (401)."
        ),
        "There are model-testing results again: vibration-a / classifier (int8, testing).",
    ),
    "project KeyExpiring": (
        "An API key is about to expire: project 1.",
        (
            "The API key of project 1 expires at 2027-01-15 08:00 UTC; from then on every pull fails. The rule fires "
            "14 days before. "
            "Make a new key in Studio and put it in place of this one."
        ),
        "The API key now expires at 2027-01-15 08:00 UTC: project 1.",
    ),
}


def test_clock() -> None:
    """Rules by the clock say since when, and with what error."""
    found = {}
    for kind, subject in (("target", SUBJECT), ("project", Subject.project(1))):
        for rule in built_in():
            if rule.by_clock and rule.matches(subject):
                words = explain.clock(
                    rule, subject, 1.79e9, 1.78e9, PullState.AUTH, "Studio refused the API key (401).", 1.8e9
                )
                over = explain.healthy(rule, subject, 1.8e9)
                found[f"{kind} {rule.name.removeprefix('EdgeImpulse')}"] = (
                    words.summary,
                    words.description,
                    over.summary,
                )

    assert CLOCK == found


def test_few_groups() -> None:
    """Where nobody can tell whether samples are alike, what is said of chance says so; other sentences do not."""
    units = {"accuracy": UnitChoice("sample", 3)}
    fell = compared(change("accuracy", 0.913, {"model": -0.041}, pvalues=P))
    rule, untested = Rule("Own", DROP), Rule("Own", Above("uncertain", 0.05))
    said = {}
    for group_by in ("auto", "metadata.session"):
        found = check_rule(rule, replace(FELL, units=units, group_by=group_by), fell)
        said[group_by] = explain.verdict(rule, SUBJECT, found).description
    known = replace(FELL, units={"accuracy": UnitChoice("group", 12, 0.1, 2.0, 3.0)})
    settled = explain.verdict(rule, SUBJECT, check_rule(rule, known, fell)).description
    plain = explain.verdict(untested, SUBJECT, check_rule(untested, replace(FELL, units=units), None)).description

    assert " Cannot tell yet whether samples of one device and day are alike." in said["auto"]
    assert " Cannot tell yet whether samples of one session (metadata) are alike." in said["metadata.session"]
    assert "tell yet" not in settled + plain


def test_key_without_an_end() -> None:
    """A key that is not known to expire any more."""
    assert (
        "The API key now is not known to expire."
        == explain.healthy(Rule("Own", KeyExpiring()), Subject.project(1), None).description
    )


@pytest.mark.parametrize("expires", [1e300, -1e300, float("nan")])
def test_times_that_make_no_sense(expires: float) -> None:
    """A key or a clock that says nonsense breaks no explanation."""
    words = explain.clock(Rule("Own", KeyExpiring()), Subject.project(1), 0.0, 0.0, PullState.OK, "", expires)

    assert "expires at an unknown time" in words.description


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.5, "0.5"), (0.0123, "0.012"), (0.001, "0.001"), (0.00094, "9e-4"), (2.4e-12, "2e-12"), (0.0, "0")],
)
def test_pvalues(p: float, text: str) -> None:
    """P-values have one or two digits, and never become 0 by rounding."""
    rule = Rule("Own", DROP)
    words = explain.verdict(
        rule,
        SUBJECT,
        check_rule(rule, FELL, compared(change("accuracy", 0.913, {"model": -0.041}, pvalues={"total": p}))),
    )

    assert f"p = {text})" in words.description
