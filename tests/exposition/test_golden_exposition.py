"""The whole exposition of invented targets of every kind, as Prometheus gets it."""

import os
import platform
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.exposition import METRICS, SnapshotCollector, Sources, service
from tests.exposition.exposition_boards import NOW, full, series, text, used_service
from tests.exposition.exposition_golden import FOLDER, agree

GOLDEN = FOLDER / "golden.prom"


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """Every metric of the catalogue, with invented values; versions are fixed."""
    monkeypatch.setattr(service, "__version__", "1.2.3")
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.0")
    made = CollectorRegistry()
    used_service(made)
    made.register(SnapshotCollector(Sources(full(), clock=lambda: NOW)))
    return made


def without_process(exposition: str) -> str:
    """Leave out what the client library says about this process and this Python."""
    lines = exposition.splitlines(keepends=True)
    return "".join(
        line
        for line in lines
        if not line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(("process_", "python_"))
    )


def test_golden(everything: CollectorRegistry) -> None:
    """Every series of every kind of target and of the service, line by line."""
    agree(GOLDEN, without_process(text(everything)))


def test_catalogue_is_complete_and_exported(everything: CollectorRegistry) -> None:
    """What is exported is in the catalogue with this type, HELP, unit and these labels; all of the catalogue is
    exported.
    """
    exported = {
        family.name: family for family in everything.collect() if not family.name.startswith(("process", "python"))
    }

    assert {metric.family for metric in METRICS} == set(exported)
    for metric in METRICS:
        family = exported[metric.family]
        assert (metric.type, metric.help, metric.family_unit) == (family.type, family.documentation, family.unit)
        for sample in family.samples:
            own_labels = {"team", "site", "owner"} if metric.name == "edge_impulse_target_info" else set()
            of_project = metric.name == "edge_impulse_alerts" and "impulse" not in sample.labels
            expected = {"project_id", *metric.labels} if of_project else set(metric.all_labels)
            assert expected == set(sample.labels) - {"le"} - own_labels


def test_order_is_the_catalogues(everything: CollectorRegistry) -> None:
    """Series of snapshots come in the catalogue's order."""
    order = [metric.family for metric in METRICS]
    names = [family.name for family in everything.collect() if family.name.startswith("edge_impulse")]

    assert sorted(names, key=order.index) == names


def test_parses_as_text(everything: CollectorRegistry) -> None:
    """The client's parser finds the same series in the text format as were collected."""
    assert series(everything.collect()).keys() == series(parse_text(text(everything))).keys()


def test_parses_as_openmetrics(everything: CollectorRegistry) -> None:
    """The client's strict parser accepts the OpenMetrics format, and finds the same series."""
    families = list(parse_openmetrics(openmetrics(everything).decode()))

    assert series(everything.collect()).keys() == series(families).keys()
    assert {
        "edge_impulse_target": "info",
        "edge_impulse_accuracy_ratio": "gauge",
        "impulse_monitor_pulls": "counter",
    }.items() <= {family.name: family.type for family in families}.items()


@pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true", reason="promtool is not installed"
)
def test_promtool_finds_nothing(everything: CollectorRegistry) -> None:
    """Prometheus's own linter accepts the exposition without a remark."""
    exposition = without_process(text(everything)).encode()

    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
