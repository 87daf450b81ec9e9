"""What the dashboards' queries answer, evaluated by Prometheus's own engine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.deploy.dashboard_queries import all_queries, load, panels, replaced


def promtool_evaluates(
    promtool: str,
    folder: Path,
    series: Mapping[str, float | str],
    expected: dict[str, dict[str, float]],
    at: str = "1m",
) -> str:
    """What promtool says against expressions having these samples where there are these series; empty where they have.

    Args:
        promtool: The program.
        folder: For its file.
        series: Values by series: one that stays, or in promtool's words one a minute. They have a job and an instance
            unless they name one.
        expected: Samples by expression.
        at: When the expressions are evaluated.
    """
    cases = [
        {
            "expr": expression,
            "eval_time": at,
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for expression, samples in expected.items()
    ]
    scraped = {"job": "monitor", "instance": "a:9890"}
    inputs = []
    for name, value in series.items():
        labels = "".join(f', {label}="{text}"' for label, text in scraped.items() if f"{label}=" not in name)
        inputs.append(
            {"series": name.replace("}", labels + "}"), "values": value if isinstance(value, str) else f"{value}x5"}
        )
    file = folder / "cases.yaml"
    file.write_text(
        json.dumps({"tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": cases}]}), encoding="utf-8"
    )
    result = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def fleet_query(panel: str, ref: str = "A") -> str:
    """A query of *Fleet* with its variables replaced."""
    return query_of("fleet", panel, ref)


def query_of(dashboard: str, panel: str, ref: str = "") -> str:
    """A query with its variables replaced; without a letter that of an annotation."""
    return next(
        query.expression
        for query in all_queries()
        if (query.dashboard, query.panel, query.ref) == (dashboard, panel, ref)
    )


def query_named(dashboard: str, legend: str) -> str:
    """The query of a panel's line of this name, with its variables replaced."""
    found = (
        (panel["title"], target["refId"])
        for panel in panels(load(dashboard))
        for target in panel["targets"]
        if target["legendFormat"] == legend
    )
    return query_of(dashboard, *next(found))


def of_target(number: int, **more: str) -> str:
    """The labels of a target's series."""
    labels = {
        "category": "testing",
        "impulse": "one",
        "impulse_id": "1",
        "project": f"p{number}",
        "project_id": str(number),
        "variant": "int8",
    }
    return "{" + ", ".join(f'{label}="{value}"' for label, value in sorted({**labels, **more}.items())) + "}"


def test_alerts_of_projects_are_listed(program: Callable[[str], str], tmp_path: Path) -> None:
    """*Fleet* lists the alerts of targets and of projects: these by the project's name, or its number while no target
    is known.
    """
    alert = {"alertname": "A", "severity": "warning", "alertstate": "firing"}
    of_project = 'edge_impulse_alerts{alertname="K", alertstate="firing", project_id="%d", severity="warning"}'
    series = {
        "edge_impulse_last_pull_timestamp_seconds" + of_target(7): 50.0,
        "edge_impulse_alerts" + of_target(7, **alert): 1.0,
        of_project % 7: 1.0,
        of_project % 9: 1.0,
    }
    listed = {
        of_target(7, **alert): 1.0,
        '{alertname="K", alertstate="firing", project="p7", project_id="7", severity="warning"}': 1.0,
        '{alertname="K", alertstate="firing", project="9", project_id="9", severity="warning"}': 1.0,
    }

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {fleet_query("Alerts"): listed})


def test_projects_are_listed_by_name(program: Callable[[str], str], tmp_path: Path) -> None:
    """*Fleet* lists every project, also one of which no target is known, and one that is renamed while it is pulled."""
    state = 'edge_impulse_project_state{project_id="%d", state="%s"}'
    series = {
        "edge_impulse_last_pull_timestamp_seconds" + of_target(7): 40.0,
        "edge_impulse_last_pull_timestamp_seconds" + of_target(7, project="renamed", impulse_id="2"): 50.0,
        "edge_impulse_last_pull_timestamp_seconds" + of_target(7, project="a", impulse_id="3"): 45.0,
        state % (7, "ok"): 1.0,
        state % (9, "ok"): 0.0,
        state % (9, "auth"): 1.0,
    }
    listed = {
        '{project="renamed", project_id="7", state="ok"}': 1.0,
        '{project="9", project_id="9", state="auth"}': 1.0,
    }

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {fleet_query("Projects"): listed})


def test_map_is_ranked_on_shared_images(program: Callable[[str], str], tmp_path: Path) -> None:
    """mAP that only seems worse because the set grew is no drop on *Fleet*; other figures count whatever the cause. A
    drop is in points.
    """

    def change(number: int, metric: str, **causes: float) -> dict[str, float]:
        return {
            "edge_impulse_change_ratio" + of_target(number, metric=metric, cause=cause): value
            for cause, value in causes.items()
        }

    series = {
        **change(1, "map", total=-0.25, added=-0.5, model=0.125, labels=0.125),
        **change(2, "map", total=0.25, added=0.5, model=-0.25, labels=0.0),
        **change(3, "accuracy", total=-0.125, added=-0.125, model=0.0),
    }
    listed = {of_target(1): 25.0, of_target(2): -25.0, of_target(3): -12.5}

    found = promtool_evaluates(
        program("promtool"),
        tmp_path,
        series,
        {fleet_query("Targets, worst first", "G"): listed, fleet_query("Largest drop"): {"{}": -25.0}},
    )

    assert "" == found


RESULTS = "Figures, their 95 % intervals and the baseline"


@pytest.mark.parametrize(("at", "there"), [("4m", False), ("5m", True), ("5m15s", False), ("7m", False)])
def test_a_new_result_set_is_a_dot(program: Callable[[str], str], tmp_path: Path, at: str, there: bool) -> None:
    """Where a result set differs from the one before there is a dot, and none at the pulls that found it unchanged."""
    series = {
        "edge_impulse_accuracy_ratio" + of_target(1): "0.9x4 0.8x5",
        "edge_impulse_baseline_timestamp_seconds" + of_target(1): "-3600x9",
        "edge_impulse_last_change_timestamp_seconds" + of_target(1): "-1800x4 290x5",
    }
    expected = {query_named("target", "Accuracy, result set"): {"{}": 0.8} if there else {}}

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, expected, at)


def test_the_first_result_set_is_a_dot(program: Callable[[str], str], tmp_path: Path) -> None:
    """The result set that all later ones are compared with has its dot, though none came before it."""
    series = {
        "edge_impulse_accuracy_ratio" + of_target(1): "_ _ 0.9x5",
        "edge_impulse_baseline_timestamp_seconds" + of_target(1): "_ _ 110x5",
    }
    expected = {query_named("target", "Accuracy, result set"): {"{}": 0.9}}

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, expected, "2m")


RELABELLED = "edge_impulse_changed_samples" + of_target(1, kind="relabelled")
PINNED = "edge_impulse_baseline_timestamp_seconds" + of_target(1)


@pytest.mark.parametrize(
    ("relabelled", "baseline", "labels", "pinned"),
    [
        ("0x9", "100x9", False, False),
        ("0x4 3x4", "100x9", True, False),
        ("3x4 5x4", "100x9", True, False),
        ("3x4 0x4", "100x4 400x4", False, True),
        ("0x9", "100x4 400x4", False, True),
        ("_x4 3x4", "_x4 100x4", False, False),
    ],
)
def test_labels_and_baselines_are_marked_when_they_change(
    program: Callable[[str], str], tmp_path: Path, relabelled: str, baseline: str, labels: bool, pinned: bool
) -> None:
    """A mark stands where samples were relabelled, another where the baseline was pinned, which sets the count back;
    and none where a target appears.
    """
    expected = {
        query_of("target", name).replace("[1m]", "[2m]"): {"{}": 1.0} if there else {}
        for name, there in (("Labels changed", labels), ("Baseline pinned", pinned))
    }

    assert "" == promtool_evaluates(
        program("promtool"), tmp_path, {RELABELLED: relabelled, PINNED: baseline}, expected, "5m"
    )


def test_bounds_are_of_the_block_that_counts(program: Callable[[str], str], tmp_path: Path) -> None:
    """Of several blocks the flagged share is the highest: its interval is that block's, and not the others' limits."""
    flagged = "edge_impulse_anomaly_flagged_ratio"
    series = {
        flagged + of_target(1, block="a", block_id="1"): 0.2,
        f"{flagged}_lower" + of_target(1, block="a", block_id="1"): 0.1,
        f"{flagged}_upper" + of_target(1, block="a", block_id="1"): 0.3,
        flagged + of_target(1, block="b", block_id="2"): 0.18,
        f"{flagged}_lower" + of_target(1, block="b", block_id="2"): 0.15,
        f"{flagged}_upper" + of_target(1, block="b", block_id="2"): 0.5,
    }
    expected = {
        query_named("target", "Flagged, lower"): {"{}": 0.1},
        query_named("target", "Flagged, upper"): {"{}": 0.3},
    }

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, expected)


def test_a_hundred_targets_are_ten_lines(program: Callable[[str], str], tmp_path: Path) -> None:
    """Of a hundred targets a chart of *Fleet* shows the ten that are worst against their baseline."""
    accuracy, baseline = "edge_impulse_accuracy_ratio", "edge_impulse_baseline_value"
    series = {accuracy + of_target(number): 0.5 + number / 256 for number in range(100)}
    series |= {baseline + of_target(number, metric="accuracy"): 0.5 + 0.5 * (number % 10 == 0) for number in range(100)}
    expected = {of_target(number): 0.5 + number / 256 for number in range(0, 100, 10)}

    query = fleet_query("Accuracy: the 10 worst against their baseline")
    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {query: expected})


def test_more_flagged_is_worse(program: Callable[[str], str], tmp_path: Path) -> None:
    """Of a share that should be small, the ten that rose most are shown; without a baseline none rose."""
    series = {
        "edge_impulse_anomaly_flagged_ratio" + of_target(number, block="a", block_id="1"): number / 16
        for number in range(12)
    }
    baseline = "edge_impulse_baseline_value"
    series |= {baseline + of_target(number, metric="anomaly_flagged"): 0.0 for number in range(1, 12)}
    expected = {of_target(number): number / 16 for number in range(2, 12)}

    query = fleet_query("Flagged as anomalous: the 10 worst against their baseline")
    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {query: expected})


@pytest.mark.parametrize(
    ("variable", "series", "count"),
    [
        ("classes", {}, 0.0),
        ("classes", {"edge_impulse_class_windows" + of_target(1, **{"class": name}): 9.0 for name in "abc"}, 3.0),
        ("classes", {"edge_impulse_class_ap_ratio" + of_target(1, **{"class": name}): 0.5 for name in "ab"}, 2.0),
        ("blocks", {"edge_impulse_anomaly_score_mean" + of_target(1, block="a", block_id="4"): 0.1}, 1.0),
        ("slices", {"edge_impulse_slice_accuracy_ratio" + of_target(1, slice="s", value="v"): 0.1}, 1.0),
        ("processes", {}, 0.0),
        ("processes", {f'impulse_monitor_leader{{instance="{name}"}}': 0.0 for name in "ab"}, 2.0),
        ("variants", {"edge_impulse_samples" + of_target(1, variant=name): 9.0 for name in ("int8", "float32")}, 2.0),
    ],
)
def test_headings_of_folded_rows_say_how_much_is_in_them(
    program: Callable[[str], str], tmp_path: Path, variable: str, series: dict[str, float], count: float
) -> None:
    """The heading of a folded row counts what is in it: 0 where the kind of model has nothing of it."""
    dashboard = "monitor" if variable == "processes" else "target"
    (found,) = (each for each in load(dashboard)["templating"]["list"] if each["name"] == variable)
    expression = replaced(found["query"].removeprefix("query_result(").removesuffix(")"), {})
    (match,) = re.findall(found["regex"].strip("/"), f"{{}} {count:.0f} 1700000000000")

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {expression: {"{}": count}})
    assert f"{count:.0f}" == match
    assert any(f"${variable}" in panel["title"] for panel in load(dashboard)["panels"] if panel["type"] == "row")


def test_confusion_is_of_all_windows_of_a_class(program: Callable[[str], str], tmp_path: Path) -> None:
    """A cell is the share of all the class's windows; where figures of classes are switched off, of those shown."""
    confusion = "edge_impulse_confusion_windows"
    cells = {
        confusion + of_target(1, **{"class": "a", "predicted": "a"}): 6.0,
        confusion + of_target(1, **{"class": "a", "predicted": "b"}): 2.0,
    }
    size = {"edge_impulse_class_windows" + of_target(1, **{"class": "a"}): 16.0}
    query = query_of("target", "Confusion: how the windows of a class (row) are predicted", "A")
    of_all = {'{class="a", predicted="a"}': 0.375, '{class="a", predicted="b"}': 0.125}
    of_shown = {'{class="a", predicted="a"}': 0.75, '{class="a", predicted="b"}': 0.25}

    assert "" == promtool_evaluates(program("promtool"), tmp_path, cells | size, {query: of_all})
    assert "" == promtool_evaluates(program("promtool"), tmp_path, cells, {query: of_shown})


def of_processes(name: str, *values: float, where: str = "a") -> dict[str, float]:
    """A series of several processes of one deployment."""
    return {f'{name}{{namespace="{where}", instance="{where}{number}"}}': value for number, value in enumerate(values)}


@pytest.mark.parametrize(
    ("panel", "series", "shown"),
    [
        pytest.param("Targets", of_processes("impulse_monitor_targets", 3, 4), 7, id="shards"),
        pytest.param(
            "Targets",
            of_processes("impulse_monitor_targets", 9, 9, 9) | of_processes("impulse_monitor_leader", 0, 1, 0),
            9,
            id="a fleet",
        ),
        pytest.param(
            "Targets",
            of_processes("impulse_monitor_targets", 9, 9)
            | of_processes("impulse_monitor_leader", 0, 1)
            | of_processes("impulse_monitor_targets", 5, where="b"),
            14,
            id="a fleet and another process",
        ),
        pytest.param(
            "Queue",
            of_processes("impulse_monitor_notification_queue_length", 7, 2)
            | of_processes("impulse_monitor_leader", 0, 1),
            2,
            id="the queue of who sends",
        ),
        pytest.param(
            "Queue", of_processes("impulse_monitor_notification_queue_length", 7, 2), 9, id="queues of shards"
        ),
    ],
)
def test_what_every_process_of_a_fleet_has_counts_once(
    program: Callable[[str], str], tmp_path: Path, panel: str, series: dict[str, float], shown: float
) -> None:
    """Shards add up; of a fleet each process knows all targets, and only the one that leads knows the queues."""
    query = query_of("monitor", panel, "A")

    assert "" == promtool_evaluates(program("promtool"), tmp_path, series, {query: {"{}": shown}})
