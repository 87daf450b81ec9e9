"""Prometheus's and Alertmanager's configuration, the rules about the service itself, and their runbooks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.deploy.dashboard_queries import catalogued_series, load, names, panels, series_names

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules" / "impulse-monitor.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_URL = "https://github.com/impulse-monitor/impulse-monitor/blob/main/docs/runbooks/"

MODEL_ALERTS = [
    "EdgeImpulseAccuracyRegressed",
    "EdgeImpulseMeanF1Regressed",
    "EdgeImpulseMapRegressed",
    "EdgeImpulseAnomalyDrift",
    "EdgeImpulseQuantizationLoss",
    "EdgeImpulsePullFailing",
    "EdgeImpulseResultsVanished",
    "EdgeImpulseKeyExpiring",
]
"""The monitor's own alerts, which are built in."""

ELSEWHERE = r"Status → .+|Model testing|Dashboard → Keys"
"""Pages of Prometheus and of Studio, as runbooks name them."""

BUILT_IN_SERIES = {"up"}
"""What Prometheus itself gives every target."""


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """The rules of a kind, `alert` or `record`, by name."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS, RECORDS = rules("alert"), rules("record")


def finish(*command: str | Path) -> str:
    """Run a program to its end and give what it printed; fails with that where the program does."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def gauges(expression: str) -> set[tuple[str, bool]]:
    """Each series that an expression selects, and whether it is read over a range of time."""
    found = set()

    def walk(node: Any, ranged: bool) -> None:
        match node:
            case promql_parser.VectorSelector():
                found.add((str(node.name), ranged))
            case promql_parser.MatrixSelector():
                walk(node.vector_selector, True)
            case promql_parser.Call():
                for argument in node.args:
                    walk(argument, ranged)
            case promql_parser.BinaryExpr():
                walk(node.lhs, ranged)
                walk(node.rhs, ranged)
            case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                walk(node.expr, ranged)

    walk(promql_parser.parse(expression), False)
    return found


def test_prometheus_configuration(program: Callable[[str], str]) -> None:
    """`promtool check config` accepts the configuration, and finds the rules through it."""
    for name in ("prometheus.yml", "fleet.yml"):
        printed = finish(program("promtool"), "check", "config", PROMETHEUS / name)

        assert f"SUCCESS: {len(ALERTS) + len(RECORDS)} rules found" in printed


def test_rules_have_no_finding(program: Callable[[str], str]) -> None:
    """`promtool check rules` finds nothing with every lint on."""
    finish(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_alertmanager_configuration(program: Callable[[str], str]) -> None:
    """`amtool check-config` accepts the configuration."""
    finish(program("amtool"), "check-config", ROOT / "deploy" / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alert_behaves(alert: str, program: Callable[[str], str]) -> None:
    """The alert fires, resolves, and survives a gap, as its file of cases says."""
    file = PROMETHEUS / "tests" / f"{alert}.yaml"
    finish(program("promtool"), "test", "rules", file)

    tests = yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    expected = [case["exp_alerts"] for test in tests for case in test["alert_rule_test"]]
    assert any(expected)
    assert not all(expected)
    assert any("stale" in series["values"] or "_" in series["values"] for series in all_series(file))


def all_series(file: Path) -> list[dict[str, str]]:
    """The input of a file of cases."""
    return [
        series for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"] for series in test["input_series"]
    ]


def test_every_case_file_has_its_alert() -> None:
    """No file of cases is left from an alert that was renamed."""
    assert sorted(ALERTS) == sorted(file.stem for file in (PROMETHEUS / "tests").iterdir())


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alert_is_written_to_the_conventions(alert: str) -> None:
    """Names in CamelCase with a common first word, a severity, a static summary, a templated description, a runbook."""
    rule = ALERTS[alert]
    annotations = rule["annotations"]

    assert re.fullmatch("ImpulseMonitor([A-Z][a-z]+)+", alert)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert annotations["summary"].endswith(".") and "{{" not in annotations["summary"]
    assert "{{ $labels." in annotations["description"]
    assert f"{RUNBOOK_URL}{alert}.md" == annotations["runbook_url"]


def test_rules_read_series_that_exist() -> None:
    """Every series is in the catalogue, is Prometheus's own, or was recorded before."""
    known = catalogued_series() | BUILT_IN_SERIES | set(RECORDS)
    for rule in [*RECORDS.values(), *ALERTS.values()]:
        assert set() == series_names(rule["expr"]) - known, rule["expr"]


def test_one_failed_scrape_resolves_nothing() -> None:
    """Every series is read over a range of time, unless a rule above recorded it from one."""
    for rule in [*RECORDS.values(), *ALERTS.values()]:
        assert set() == {name for name, ranged in gauges(rule["expr"]) if not ranged} - set(RECORDS), rule["expr"]


def test_test_cases_feed_series_that_exist() -> None:
    """The cases' input has only series and labels that the monitor exports."""
    from monitor.exposition import METRICS

    labels = {metric.name: set(metric.all_labels) for metric in METRICS}
    for file in (PROMETHEUS / "tests").iterdir():
        for series in all_series(file):
            selector = promql_parser.parse(series["series"])
            assert isinstance(selector, promql_parser.VectorSelector)
            assert selector.name is not None
            if selector.name != "up":
                given = {matcher.name for matcher in selector.matchers.matchers}
                name = selector.name.removesuffix("_bucket")
                bound = {"le"} if name != selector.name else set()
                assert labels[name] | bound | {"job", "instance"} == given, series["series"]


def test_every_alert_has_a_runbook() -> None:
    """There is a runbook for each alert, Prometheus's and the monitor's own, and none for another."""
    assert sorted([*ALERTS, *MODEL_ALERTS]) == sorted(file.stem for file in RUNBOOKS.iterdir())


@pytest.mark.parametrize("alert", sorted([*ALERTS, *MODEL_ALERTS]))
def test_runbook(alert: str) -> None:
    """A runbook has its alert's name and four parts, its links lead somewhere, and the series it names exist."""
    text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)

    assert f"# {alert}" == parts[0].strip()
    assert ["Meaning", "Impact", "Diagnosis", "Mitigation"] == parts[1::2]
    assert all(len(part.strip()) > 40 for part in parts[2::2])
    assert all((RUNBOOKS / link).is_file() for link in re.findall(r"\]\(([^)#]+)", text))
    assert set() == set(re.findall(r"\b(?:edge_impulse|impulse_monitor)_[a-z0-9_]+", text)) - catalogued_series()


def test_runbooks_name_panels_that_exist() -> None:
    """What a runbook prints in italics is a dashboard, the beginning of a panel's title, or a page of Prometheus or
    Studio.
    """
    titles = [panel["title"] for name in names() for panel in panels(load(name))] + [name.title() for name in names()]
    for file in RUNBOOKS.iterdir():
        plain = file.read_text(encoding="utf-8").replace("**", "")
        for named in re.findall(r"(?<!\S)\*(\w[^*`]+)\*", plain):
            assert re.fullmatch(ELSEWHERE, named) or any(title.startswith(named) for title in titles), (
                f"{file.name}: {named}"
            )
