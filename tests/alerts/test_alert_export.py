"""The rules as a Prometheus rule file, judged by Prometheus's own `promtool`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alerts.rule_file import WatchedProject, rule_file
from monitor.alerts.rules import (
    Above,
    AnomalyDrift,
    Below,
    Condition,
    Drop,
    KeyExpiring,
    PullFailing,
    QuantizationLoss,
    Rise,
    Rule,
    built_in,
)
from monitor.exposition.catalogue import METRICS

Program = Callable[[str], str]
Firing = Mapping[str, Iterable[Mapping[str, str]]]

WATCHED = (
    WatchedProject(1, "testing", 900.0, {"team": "edge"}),
    WatchedProject(2, "testing", 900.0),
    WatchedProject(3, "training", 3600.0, {"team": "cloud"}),
)
TARGET = {
    "project": "vib",
    "project_id": "1",
    "impulse": "c",
    "impulse_id": "2",
    "variant": "int8",
    "category": "testing",
}
BLOCK = {"block_id": "7", "block": "K-means"}
BUILT_IN = {rule.name.removeprefix("EdgeImpulse"): rule for rule in built_in()}
EVERY_KIND = (
    *built_in(),
    *(
        Rule(f"Above{index}", Above(metric, 0.5))
        for index, metric in enumerate(("accuracy", "map", "mae", "uncertain", "anomaly_flagged"))
    ),
    *(
        Rule(f"Below{index}", Below(metric, 0.5))
        for index, metric in enumerate(("mean_f1", "r2", "anomaly_auroc", "calibration_error"))
    ),
    *(Rule(f"Rise{index}", Rise(metric, 0.5)) for index, metric in enumerate(("accuracy", "mean_f1", "map"))),
    *(
        Rule(f"Fell{index}", Drop(metric, 0.5, None))
        for index, metric in enumerate(("accuracy", "balanced_accuracy", "mse", "anomaly_auroc"))
    ),
)
AWKWARD = 'a "quoted" \\ {{ $labels.x }} text: {{'


def series(name: str, values: str, labels: Any = TARGET, **more: str) -> dict[str, str]:
    """An input series of `promtool test rules`."""
    quoted = ",".join(f"{key}={json.dumps(value)}" for key, value in {**labels, **more}.items())
    return {"series": f"{name}{{{quoted}}}", "values": values}


def change(values: str, metric: str = "accuracy", cause: str = "total") -> dict[str, str]:
    """The change of a metric by a cause."""
    return series("edge_impulse_change_ratio", values, metric=metric, cause=cause)


def pvalue(values: str, metric: str = "accuracy", cause: str = "total") -> dict[str, str]:
    """Its p-value."""
    return series("edge_impulse_change_pvalue", values, metric=metric, cause=cause)


UNLIKELY = (change("-0.05x9"), pvalue("0.5x9"))
"""A drop beyond the margin that is not significant."""


def drifts(evidence: str, data: str, model: str = "0x60", p: str = "1x60") -> list[dict[str, str]]:
    """The drift of a block; `data` and `model` are its gates."""
    return [
        series("edge_impulse_anomaly_drift_evidence", evidence, **BLOCK),
        series("edge_impulse_anomaly_drift_gate", data, **BLOCK, cause="data"),
        series("edge_impulse_anomaly_drift_gate", model, **BLOCK, cause="model"),
        series("edge_impulse_anomaly_drift_pvalue", p, **BLOCK, cause="model"),
        series("edge_impulse_anomaly_drift_pvalue", "0x60", **BLOCK, cause="total"),
    ]


MAE = series("edge_impulse_baseline_value", "1x60", metric="mae")
GAP = {"metric": "accuracy", "against": "float32"}
"""Labels of a variant's gap."""


def gaps(size: str, p: str) -> list[dict[str, str]]:
    """What a variant loses of its accuracy, and of its mean F1 nothing."""
    other = {**GAP, "metric": "mean_f1"}
    return [
        series("edge_impulse_variant_gap_ratio", size, **GAP),
        series("edge_impulse_variant_gap_pvalue", p, **GAP),
        series("edge_impulse_variant_gap_ratio", "0x9", **other),
        series("edge_impulse_variant_gap_pvalue", "0.001x9", **other),
    ]


def growth(size: str, p: str) -> list[dict[str, str]]:
    """By how much what a variant loses of its accuracy has grown; it loses less than the margin."""
    return [
        *gaps("0.02x9", "0.01x9"),
        series("edge_impulse_variant_gap_growth_ratio", size, **GAP),
        series("edge_impulse_variant_gap_growth_pvalue", p, **GAP),
    ]


def pulls(up: str, success: str | None, no_results: str = "0x300", **labels: str) -> list[dict[str, str]]:
    """How the pulls of a target go."""
    found = [
        series("edge_impulse_up", up, **labels),
        series("edge_impulse_pull_state", no_results, **labels, state="no_results"),
        series("edge_impulse_pull_state", "0x300", **labels, state="ok"),
    ]
    return (
        found if success is None else [*found, series("edge_impulse_last_success_timestamp_seconds", success, **labels)]
    )


def written(rules: Iterable[Rule], watched: tuple[WatchedProject, ...] = WATCHED) -> dict[str, Any]:
    """The exported rules by their name."""
    (group,) = yaml.safe_load(rule_file(rules, watched, 3600.0))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


class Promtool:
    """Checks and plays rule files in a folder of their own."""

    def __init__(self, path: str, folder: Path) -> None:
        self.path, self.folder = path, folder

    def check(self, text: str) -> str:
        """What `promtool check rules` says with every lint on; fails where it finds anything."""
        file = self.folder / "rules.yaml"
        file.write_text(text, "utf-8")
        done = subprocess.run(
            [self.path, "check", "rules", "--lint=all", "--lint-fatal", file],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def play(
        self, rules: Iterable[Rule], data: list[dict[str, str]], firing: Firing, interval: str = "1m", **more: Any
    ) -> None:
        """Whether exactly these alerts (their labels beyond the severity) fire at these times, while the series run."""
        (self.folder / "rules.yaml").write_text(rule_file(rules, WATCHED, 3600.0), "utf-8")
        expected = [
            {
                "expr": 'ALERTS{alertstate="firing"}',
                "eval_time": time,
                "exp_samples": [{"labels": _all_labels(labels), "value": 1} for labels in alerts],
            }
            for time, alerts in firing.items()
        ]
        test = {"interval": interval, "input_series": data, "promql_expr_test": expected, **more}
        document = {"rule_files": ["rules.yaml"], "evaluation_interval": interval, "tests": [test]}
        file = self.folder / "test.yaml"
        file.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
        done = subprocess.run([self.path, "test", "rules", file], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def _all_labels(labels: Mapping[str, str]) -> str:
    every = {"severity": "warning", **labels, "alertstate": "firing"}
    return "ALERTS{" + ",".join(f"{name}={json.dumps(value)}" for name, value in every.items()) + "}"


@pytest.fixture
def promtool(program: Program, tmp_path: Path) -> Promtool:
    """Debian's promtool."""
    return Promtool(program("promtool"), tmp_path)


def fires(rule: Rule, **labels: str) -> dict[str, str]:
    """The labels of the rule's alert for the target."""
    return {"alertname": rule.name, **TARGET, **labels}


def test_lint(promtool: Promtool) -> None:
    """Every kind of rule passes all of promtool's lints."""
    assert f"SUCCESS: {len(EVERY_KIND)} rules found" in promtool.check(rule_file(EVERY_KIND, WATCHED, 3600.0))


def test_awkward_texts(promtool: Promtool) -> None:
    """Quotes, backslashes and braces in labels, annotations and patterns stay what they are."""
    rule = Rule(
        "Odd",
        Below("accuracy", 0.5),
        labels={"a": AWKWARD},
        annotations={"b": AWKWARD},
        match={"project": 'x"\\*', "team": "a'b\\"},
    )
    promtool.check(rule_file([rule], WATCHED, 3600.0))

    data = [series("edge_impulse_accuracy_ratio_upper", "0.1x60", {**TARGET, "project": "x"})]
    plain = replace(rule, match={})
    alert = {"exp_labels": {**TARGET, "project": "x", "a": AWKWARD, "severity": "warning"}}
    annotations = {
        "b": AWKWARD,
        "summary": "accuracy is below 0.5.",
        "description": "x / c (int8, testing): accuracy is below 0.5, at most 100m.",
    }
    test = {"eval_time": "5m", "alertname": "Odd", "exp_alerts": [{**alert, "exp_annotations": annotations}]}
    promtool.play([plain], data, {}, alert_rule_test=[test])


def test_series_are_exported() -> None:
    """Every series the rules ask for, with every label they name, is one that the monitor exports."""
    known = {metric.name: set(metric.all_labels) for metric in METRICS}
    text = rule_file(EVERY_KIND, WATCHED, 3600.0)

    selectors = re.findall(r"\b(edge_impulse_\w+)(?:\{([^}]*)\})?\[", text)
    assert 20 < len(selectors)
    for name, matchers in selectors:
        assert name in known
        assert set(re.findall(r"(\w+)=~?\"", matchers)) <= known[name], name


def test_gauges_are_read_over_a_range() -> None:
    """No gauge is read at an instant: one failed scrape would resolve the alert."""
    text = rule_file(EVERY_KIND, WATCHED, 3600.0)
    expressions = "\n".join(rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"])

    assert re.findall(r"\bedge_impulse_\w+", expressions) == re.findall(
        r"(?:last|max)_over_time\((edge_impulse_\w+)(?:\{[^}]*\})?\[", expressions
    )


@pytest.mark.parametrize("name", ["accuracy", "mean_f1"])
def test_regressed(promtool: Promtool, name: str) -> None:
    """Accuracy and mean F1: beyond the margin and significant; it survives a gap of scrapes, and resolves."""
    rule = BUILT_IN[{"accuracy": "AccuracyRegressed", "mean_f1": "MeanF1Regressed"}[name]]
    data = [change("-0.02x9 -0.05x9 _x3 -0.05x6 -0.01x10", name), pvalue("0.001x60", name)]

    promtool.play(
        [rule], data, {"9m": [], "10m": [fires(rule, metric=name)], "22m": [fires(rule, metric=name)], "31m": []}
    )


@pytest.mark.parametrize(
    ("data", "fired"),
    [
        ([change("-0.05x9"), pvalue("0.02x9")], False),
        ([change("-0.05x9")], False),
        ([change("-0.03x9"), pvalue("0x9")], False),
        ([change("0.05x9"), pvalue("0x9")], False),
        (
            [
                *UNLIKELY,
                change("-0.02x9", cause="labels"),
                change("-0.02x9", cause="thresholds"),
                change("0x9", cause="model"),
            ],
            True,
        ),
        ([*UNLIKELY, change("-0.04x9", cause="labels"), change("-0.01x9", cause="model")], True),
        ([*UNLIKELY, change("-0.06x9", cause="labels"), change("0.01x9", cause="model")], False),
        (
            [
                *UNLIKELY,
                change("-0.05x9", cause="removed"),
                change("0x9", cause="labels"),
                change("0x9", cause="model"),
            ],
            False,
        ),
        ([change("-0.02x9"), pvalue("0.5x9"), change("-0.05x9", cause="labels"), change("0x9", cause="model")], False),
        ([change("-0.05x9"), pvalue("0.001x9"), change("-0.05x9", cause="labels"), change("0x9", cause="model")], True),
    ],
)
def test_regressed_or_not(promtool: Promtool, data: list[dict[str, str]], fired: bool) -> None:
    """Noise and small changes are quiet; labels and thresholds fire whatever p is, if the model does not go against
    them; once.
    """
    rule = BUILT_IN["AccuracyRegressed"]

    promtool.play([rule], data, {"5m": [fires(rule, metric="accuracy")] if fired else []})


@pytest.mark.parametrize(
    ("model", "labels", "p", "fired"),
    [
        ("-0.02", "-0.02", "0.01", True),
        ("-0.05", "0.03", "0.01", False),
        ("-0.05", "0", "0.02", False),
        ("0.1", "-0.04", "0.5", False),
        ("0", "-0.04", "0.5", True),
    ],
)
def test_map_regressed(promtool: Promtool, model: str, labels: str, p: str, fired: bool) -> None:
    """MAP is judged by model and labels, never by the total that holds the size of the set."""
    rule = BUILT_IN["MapRegressed"]
    data = [
        change(f"{model}x9", "map", "model"),
        change(f"{labels}x9", "map", "labels"),
        change("-0.5x9", "map", "added"),
        change("-0.5x9", "map", "total"),
        pvalue(f"{p}x9", "map", "model"),
        pvalue("0x9", "map", "total"),
    ]

    promtool.play([rule], data, {"5m": [fires(rule, metric="map")] if fired else []})


@pytest.mark.parametrize(
    ("data", "fired"),
    [
        (drifts("2x60", "1x60"), True),
        (drifts("1.9x60", "1x60"), False),
        (drifts("4x60", "0x60"), False),
        (drifts("0x60", "0x60", "1x60", "0.01x60"), True),
        (drifts("0x60", "1x60", "0x60", "0.001x60"), False),
        (drifts("0x60", "0x60", "1x60", "0.011x60"), False),
        (drifts("4x60", "1x60", "1x60", "0x60"), True),
    ],
)
def test_drift(promtool: Promtool, data: list[dict[str, str]], fired: bool) -> None:
    """Drift by evidence or by the paired test, each with its own gate; both at once are one alert."""
    rule = BUILT_IN["AnomalyDrift"]

    promtool.play([rule], data, {"5m": [fires(rule, **BLOCK)] if fired else []})


def test_pull_failing(promtool: Promtool) -> None:
    """A target is told three of its own intervals after the last good pull, and no longer after the next."""
    rule = BUILT_IN["PullFailing"]
    quick = pulls("1x5 0x60 1x60", "300x64 3960x60")
    slow = pulls("1x5 0x300", "300x300", **{**TARGET, "project_id": "3", "category": "training"})
    other = fires(rule, project_id="3", category="training")

    firing = {"49m": [], "50m": [fires(rule)], "60m": [fires(rule)], "70m": [], "184m": [], "185m": [other]}
    promtool.play([rule], quick + slow, firing)


def test_good_pull_in_between(promtool: Promtool) -> None:
    """What failed three intervals ago and was good since counts from the good pull."""
    rule = BUILT_IN["PullFailing"]

    promtool.play([rule], pulls("0x10 1x20 0x60", "_x10 1800x80"), {"46m": [], "74m": [], "76m": [fires(rule)]})


def test_pull_failing_since_ever(promtool: Promtool) -> None:
    """A target without any good pull is told three intervals after it was first seen."""
    rule = BUILT_IN["PullFailing"]

    promtool.play([rule], pulls("0x300", None), {"44m": [], "45m": [fires(rule)]})


def test_no_results_is_no_failing_pull(promtool: Promtool) -> None:
    """A target without results is pulled well."""
    promtool.play([BUILT_IN["PullFailing"]], pulls("0x300", "0x300", "1x300"), {"100m": []})


def test_discovery_failing(promtool: Promtool) -> None:
    """A project is told once its discovery failed for three intervals, as an alert of the project alone."""
    rule = BUILT_IN["PullFailing"]
    data = [
        series("edge_impulse_project_up", "1x10 0x400", {"project_id": "1"}),
        series("edge_impulse_project_up", "0x400", {"project_id": "2"}),
        series("edge_impulse_project_up", "1x400", {"project_id": "3"}),
    ]
    one, two = ({"alertname": rule.name, "project_id": number} for number in "12")

    promtool.play([rule], data, {"179m": [], "180m": [two], "190m": [two], "191m": [one, two]})


def test_results_vanished(promtool: Promtool) -> None:
    """Results that were there and are not for an hour."""
    rule = BUILT_IN["ResultsVanished"]
    never = pulls("0x300", None, "1x300", **{**TARGET, "project_id": "2"})

    promtool.play(
        [rule], pulls("0x300", "0x300", "0x9 1x80 0x60") + never, {"69m": [], "70m": [fires(rule)], "100m": []}
    )


def test_key_expiring(promtool: Promtool) -> None:
    """A key is told 14 days before it expires, once per project."""
    rule = BUILT_IN["KeyExpiring"]
    day = 86_400
    data = [series("edge_impulse_api_key_expiry_timestamp_seconds", f"{20 * day}x400", {"project_id": "1"})]

    promtool.play([rule], data, {"143h": [], "144h": [{"alertname": rule.name, "project_id": "1"}]}, interval="1h")


@pytest.mark.parametrize(
    ("condition", "data", "labels"),
    [
        (Above("accuracy", 0.9), [series("edge_impulse_accuracy_ratio_lower", "0.91x9")], {}),
        (Below("mean_f1", 0.9), [series("edge_impulse_mean_f1_ratio_upper", "0.89x9")], {}),
        (Below("map", 0.9), [series("edge_impulse_map_ratio_upper", "0.89x9", iou="0.50:0.95")], {"iou": "0.50:0.95"}),
        (
            Above("calibration_error", 0.04),
            [
                series("edge_impulse_calibration_error_ratio", "0.06x9"),
                series("edge_impulse_calibration_error_null_ratio", "0.05x9"),
            ],
            {},
        ),
        (Above("mae", 2.0), [series("edge_impulse_mean_absolute_error", "2.1x9")], {}),
        (Below("r2", 0.2), [series("edge_impulse_r2", "-1x9")], {}),
        (
            Above("anomaly_flagged", 0.2),
            [
                series("edge_impulse_anomaly_flagged_ratio_lower", f"{value}x9", block_id=name, block=name)
                for name, value in (("a", 0.3), ("b", 0.1))
            ],
            {},
        ),
        (
            Below("anomaly_auroc", 0.2),
            [
                series("edge_impulse_anomaly_auroc_ratio_upper", f"{value}x9", block_id=name, block=name)
                for name, value in (("a", 0.3), ("b", 0.1))
            ],
            {},
        ),
        (Rise("accuracy", 0.1), [change("0.2x9"), pvalue("0.01x9")], {"metric": "accuracy"}),
        (Drop("accuracy", 0.1, None), [change("-0.2x9")], {"metric": "accuracy"}),
        (
            Rise("mae", 0.5, None),
            [
                series("edge_impulse_mean_absolute_error", "2x9"),
                series("edge_impulse_baseline_value", "1.4x9", metric="mae"),
            ],
            {},
        ),
        (
            Drop("anomaly_auroc", 0.1, None),
            [
                series("edge_impulse_anomaly_auroc_ratio", "0.9x9", block_id="a", block="a"),
                series("edge_impulse_anomaly_auroc_ratio", "0.7x9", block_id="b", block="b"),
                series("edge_impulse_baseline_value", "0.85x9", metric="anomaly_auroc"),
            ],
            {},
        ),
        (AnomalyDrift(0.05), drifts("0x60", "0x60", "1x60", "0.05x60"), BLOCK),
        (QuantizationLoss(), gaps("0.04x9", "0.01x9"), GAP),
        (QuantizationLoss(), growth("0.04x9", "0.01x9"), GAP),
    ],
)
def test_each_kind_fires(
    promtool: Promtool, condition: Condition, data: list[dict[str, str]], labels: dict[str, str]
) -> None:
    """Each kind of condition fires on the series it is about."""
    rule = Rule("Own", condition)

    promtool.play([rule], data, {"5m": [fires(rule, **labels)]})


@pytest.mark.parametrize(
    ("condition", "data"),
    [
        (
            Above("accuracy", 0.9),
            [series("edge_impulse_accuracy_ratio", "0.95x9"), series("edge_impulse_accuracy_ratio_lower", "0.9x9")],
        ),
        (
            Below("accuracy", 0.9),
            [series("edge_impulse_accuracy_ratio", "0.8x9"), series("edge_impulse_accuracy_ratio_upper", "0.9x9")],
        ),
        (Below("map", 0.9), [series("edge_impulse_map_ratio_upper", "0.95x9", iou="0.50:0.95")]),
        (Above("mae", 2.0), [series("edge_impulse_mean_absolute_error", "2x9")]),
        (
            Above("calibration_error", 0.04),
            [
                series("edge_impulse_calibration_error_ratio", "0.06x9"),
                series("edge_impulse_calibration_error_null_ratio", "0.07x9"),
            ],
        ),
        (Drop("accuracy", 0.1, None), [change("-0.1x9")]),
        (QuantizationLoss(), gaps("0.03x9", "0.01x9")),
        (QuantizationLoss(), gaps("0.04x9", "0.011x9")),
        (QuantizationLoss(), growth("0.03x9", "0.01x9")),
        (QuantizationLoss(), growth("0.04x9", "0.011x9")),
        (
            Rise("mae", 0.5, None),
            [
                series("edge_impulse_mean_absolute_error", "2x9"),
                series("edge_impulse_baseline_value", "1.5x9", metric="mae"),
            ],
        ),
    ],
)
def test_each_kind_is_quiet(promtool: Promtool, condition: Condition, data: list[dict[str, str]]) -> None:
    """At the threshold, and with the figure beyond it but not the interval, nothing fires."""
    promtool.play([Rule("Own", condition)], data, {"5m": []})


@pytest.mark.parametrize(
    ("condition", "data", "labels"),
    [
        (Drop("accuracy", 0.25), [change("-0.5x9 -0.8x10 -0.5x9"), pvalue("0.001x60")], {"metric": "accuracy"}),
        (Rise("mae", 0.25, None), [MAE, series("edge_impulse_mean_absolute_error", "1.5x9 1.8x10 1.5x9")], {}),
        (Rise("mae", 1.0, None), [MAE, series("edge_impulse_mean_absolute_error", "3x9 4x10 3x9")], {}),
        (QuantizationLoss(0.125), gaps("0.25x9 0.375x10 0.25x9", "0.001x60"), GAP),
    ],
)
def test_severity_by_size(
    promtool: Promtool, condition: Condition, data: list[dict[str, str]], labels: dict[str, str]
) -> None:
    """An alert is critical while the change is three times the margin, unless the rule names a severity."""
    rule = Rule("Own", condition, severity=None)
    warning = fires(rule, **labels)
    critical = warning | {"severity": "critical"}
    named = replace(rule, name="Named", severity="info")
    of_named = {**fires(named, **labels), "severity": "info"}

    promtool.play(
        [rule, named],
        data,
        {"5m": [warning, of_named], "15m": [critical, of_named], "25m": [warning, of_named]},
    )


def test_duration(promtool: Promtool) -> None:
    """A duration in `for` is Prometheus's `for`."""
    rule = Rule("Own", Above("mae", 2.0), for_seconds=330.0)

    assert "330s" == written([rule])["Own"]["for"]
    promtool.play([rule], [series("edge_impulse_mean_absolute_error", "1x9 3x20")], {"15m": [], "16m": [fires(rule)]})


PATTERNS = [
    "vib",
    "vib*",
    "*-a",
    "v?b",
    "v[ia]b",
    "v[!ia]b",
    "v[a-m]b",
    "*.*",
    "a+b",
    "[",
    "v[]]b",
    "v[!]]b",
    "v[^]b",
    "*",
]
NAMES = ["vib", "vib-a", "vab", "vub", "v.b", "a+b", "aab", "[", "v]b", "v^b", "Vib"]


def test_patterns(promtool: Promtool) -> None:
    """Each pattern matches the same projects in Prometheus as in the monitor."""
    rules = [Rule(f"P{index}", Above("mae", 1.0), match={"project": pattern}) for index, pattern in enumerate(PATTERNS)]
    data = [series("edge_impulse_mean_absolute_error", "2x9", {**TARGET, "project": name}) for name in NAMES]
    expected = [
        {**fires(rule), "project": name}
        for rule, pattern in zip(rules, PATTERNS, strict=True)
        for name in NAMES
        if fnmatchcase(name, pattern)
    ]

    assert 30 < len(expected)
    promtool.play(rules, data, {"5m": expected})


def test_match_by_a_projects_own_label(promtool: Promtool) -> None:
    """A project's own labels are on its info series, and on no other."""
    rule = Rule("Own", Above("mae", 1.0), match={"team": "edge", "variant": "int*"})
    data = [
        series("edge_impulse_mean_absolute_error", "2x9", {**TARGET, "project_id": number, "variant": variant})
        for number, variant in (("1", "int8"), ("1", "float32"), ("2", "int8"))
    ]
    data += [
        series("edge_impulse_target_info", "1x9", {**TARGET, "project_id": number, "variant": variant}, team=team)
        for number, variant, team in (("1", "int8", "edge"), ("1", "float32", "edge"), ("2", "int8", "cloud"))
    ]

    promtool.play([rule], data, {"5m": [fires(rule)]})


def test_projects_by_their_own_labels() -> None:
    """A rule about projects names those that match; one that no project matches is left out."""
    expiring = BUILT_IN["KeyExpiring"]

    assert 'project_id="1"' in written([replace(expiring, match={"team": "edge"})])[expiring.name]["expr"]
    assert 'project_id=~"1|3"' in written([replace(expiring, match={"team": "?*"})])[expiring.name]["expr"]
    assert {} == written([replace(expiring, match={"team": "none"})])
    failing = written([Rule("Own", PullFailing(), match={"team": "none"})])["Own"]["expr"]
    assert "edge_impulse_project_up" not in failing
    assert 'edge_impulse_target_info{team="none"}' in failing


def test_longest_interval_of_a_project() -> None:
    """A project with several schedules in one category is held to the longest: Prometheus cannot tell its targets
    apart.
    """
    text = written(
        [Rule("Own", PullFailing(2))], (WatchedProject(1, "testing", 60.0), WatchedProject(1, "testing", 300.0))
    )["Own"]["expr"]

    assert ">= 600\n" in text
    assert ">= 120\n" not in text


def test_texts_of_a_rule() -> None:
    """Severity, labels, summary, description and the rule's own annotations are in the file."""
    rule = Rule(
        "Own",
        KeyExpiring(),
        severity="critical",
        labels={"team": "edge"},
        annotations={"runbook_url": "https://wiki.example.com"},
    )
    found = written([rule])["Own"]

    assert {"team": "edge", "severity": "critical"} == found["labels"]
    assert {"summary", "description", "runbook_url"} == found["annotations"].keys()
    assert "https://wiki.example.com" == found["annotations"]["runbook_url"]
