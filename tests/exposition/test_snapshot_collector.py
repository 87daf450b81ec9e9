"""Snapshots become series: which, for how long, and with which labels."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.errors import PullState
from monitor.exposition import METRICS
from monitor.exposition.metric import Scope
from monitor.figures.evaluation import Anomaly, Calibration, Detection, Interval, Quality, Regression
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.results import Block, BlockKind
from tests.exposition.exposition_boards import (
    NOW,
    STALE_AFTER,
    board,
    classifier,
    compared,
    detector,
    fomo,
    full,
    quality,
    registry,
    regressor,
    series,
    shown,
    snapshot,
    target,
    text,
)
from tests.factories import evaluation
from tests.live.live_parts import entry_of, watch_of

TARGET_LABELS = ("project", "project_id", "impulse", "impulse_id", "variant", "category")
FIGURES = {metric.name for metric in METRICS if metric.scope is Scope.FIGURES}


def names(of: Live, now: float = NOW) -> set[str]:
    """Names of all series."""
    return {name for name, _ in series(registry(of, now=now).collect())}


def test_empty_board_has_no_series() -> None:
    """Before anything is known nothing is exported, not even empty families."""
    assert list(registry(Live(lambda: 0.0)).collect()) == []


def test_target_labels() -> None:
    """A series carries the target's names and identity."""
    values = shown(board(snapshot(target(), classifier())), "edge_impulse_accuracy_ratio", *TARGET_LABELS)

    assert values == {("vibration", "12345", "impulse 1", "1", "int8", "testing"): 0.9}


@pytest.mark.parametrize("state", PullState)
def test_pull_state_is_one_hot(state: PullState) -> None:
    """Every state of the closed set has a series; exactly the current one is 1, and up is 1 for ok alone."""
    of = board(snapshot(target(), classifier(), state))

    assert {(each.value,): float(each is state) for each in PullState} == shown(of, "edge_impulse_pull_state", "state")
    assert {(): float(state is PullState.OK)} == shown(of, "edge_impulse_up")


def test_timestamps() -> None:
    """Last attempt, last good pull and last change are apart; what never happened is absent."""
    failing = board(snapshot(target(), classifier(), PullState.UNREACHABLE, age=100, last_change=NOW - 500))
    never = board(snapshot(target(), None, PullState.AUTH))

    assert shown(failing, "edge_impulse_last_pull_timestamp_seconds") == {(): NOW - 30}
    assert shown(failing, "edge_impulse_last_success_timestamp_seconds") == {(): NOW - 100}
    assert shown(failing, "edge_impulse_last_change_timestamp_seconds") == {(): NOW - 500}
    assert {
        "edge_impulse_target_info",
        "edge_impulse_up",
        "edge_impulse_pull_state",
        "edge_impulse_last_pull_timestamp_seconds",
    } == names(never)


def test_failed_pull_keeps_the_last_good_figures() -> None:
    """A failure alone changes up and the state, not the figures."""
    good, failed = (board(snapshot(target(), classifier(), state)) for state in (PullState.OK, PullState.UNREACHABLE))

    assert names(good) == names(failed)
    assert shown(good, "edge_impulse_accuracy_ratio") == shown(failed, "edge_impulse_accuracy_ratio")


def test_stale_figures_leave_together() -> None:
    """Up to `stale_after` all figures are there; after it none, while up, the state and the timestamps stay."""
    of = board(
        snapshot(target(), classifier(), PullState.UNREACHABLE, age=0, last_change=NOW, trained=NOW, impulse_stale=True)
    )
    before, after = names(of, NOW + STALE_AFTER), names(of, NOW + STALE_AFTER + 0.001)

    assert before & FIGURES
    assert not after & FIGURES
    assert before - FIGURES == after
    assert {
        "edge_impulse_up",
        "edge_impulse_last_success_timestamp_seconds",
        "edge_impulse_last_change_timestamp_seconds",
    } <= after


def test_removed_target_leaves_with_all_series() -> None:
    """A target that left the configuration has no series in the next scrape; others keep theirs."""
    gone, stays = target(), target(variant="float32")
    of = board(snapshot(gone, classifier()), snapshot(stays, classifier()))
    collecting = registry(of)
    assert "int8" in text(collecting)

    of.forget(gone.key.id)

    assert "int8" not in text(collecting)
    assert series(registry(board(snapshot(stays, classifier()))).collect()) == series(collecting.collect())


def test_projects_have_labels_of_their_own() -> None:
    """Two projects with different labels share the family of target_info, each with its own."""
    of = board(snapshot(target(1, team="edge"), None), snapshot(target(2, owner="QA", floor="2"), None))

    labels = [dict(pairs) for name, pairs in series(registry(of).collect()) if name == "edge_impulse_target_info"]

    assert [{name: value for name, value in each.items() if name not in TARGET_LABELS} for each in labels] == [
        {"team": "edge"},
        {"owner": "QA", "floor": "2"},
    ]
    assert [each["project_id"] for each in labels] == ["1", "2"]


def test_own_labels_are_on_target_info_alone() -> None:
    """A project's own labels do not multiply into every series."""
    assert {"edge_impulse_target_info"} == {
        name for name, pairs in series(registry(full()).collect()) if "team" in dict(pairs)
    }


def test_project_is_silent_until_its_first_discovery_has_ended() -> None:
    """A project that was not asked yet has no series: nobody knows whether it is up."""
    assert set() == names(board(projects=[ProjectStatus(7)]))


@pytest.mark.parametrize("state", PullState)
def test_project_state(state: PullState) -> None:
    """A project shows how its last discovery ended, although no target of it may be known."""
    of = board(projects=[ProjectStatus(7, state)])

    assert {("7",): float(state is PullState.OK)} == shown(of, "edge_impulse_project_up", "project_id")
    assert {("7", each.value): float(each is state) for each in PullState} == shown(
        of, "edge_impulse_project_state", "project_id", "state"
    )
    assert {"edge_impulse_project_up", "edge_impulse_project_state"} == names(of)


def test_key_expiry() -> None:
    """The expiry of a key is on its project."""
    of = board(projects=[ProjectStatus(7, PullState.OK, NOW + 60)])

    assert shown(of, "edge_impulse_api_key_expiry_timestamp_seconds", "project_id") == {("7",): NOW + 60}


def test_regression_within_tolerance_is_its_accuracy() -> None:
    """A regression's accuracy is its share within the tolerance, with its bounds."""
    of = board(snapshot(target(), regressor()))

    assert shown(of, "edge_impulse_accuracy_ratio") == {(): 0.86}
    assert shown(of, "edge_impulse_accuracy_ratio_lower") == {(): 0.74}
    assert shown(of, "edge_impulse_accuracy_ratio_upper") == {(): 0.93}


def test_impulse_of_several_kinds_has_one_headline() -> None:
    """Where a classifier, a detector and a regression meet, accuracy and mean F1 are the classifier's, all averages are
    there.
    """
    mixed = replace(classifier(), detection=detector().detection, regression=regressor().regression)
    of = board(snapshot(target(), mixed))

    assert shown(of, "edge_impulse_accuracy_ratio") == {(): 0.9}
    assert shown(of, "edge_impulse_mean_f1_ratio") == {(): 0.86}
    assert shown(of, "edge_impulse_f1_ratio", "average") == {
        ("macro",): 0.86,
        ("weighted",): 0.89,
        ("micro",): 0.9,
        ("image",): 0.66,
    }
    assert shown(of, "edge_impulse_mean_absolute_error") == {(): 0.125}


def test_detector_headline_is_its_own() -> None:
    """A detector's mean F1 is the mean over images; its accuracy is Studio's, and without a verdict it has none."""
    of = board(snapshot(target(), detector()))

    assert shown(of, "edge_impulse_mean_f1_ratio") == {(): 0.66}
    assert shown(of, "edge_impulse_mean_f1_ratio_lower") == {(): 0.6}
    assert shown(of, "edge_impulse_accuracy_ratio") == {(): 0.35}
    assert shown(of, "edge_impulse_accuracy_ratio_upper") == {(): 0.48}
    assert "edge_impulse_accuracy_ratio" not in names(board(snapshot(target(), replace(detector(), studio=None))))


def test_map_bounds_belong_to_the_whole_range() -> None:
    """The bounds of the mAP carry the IoU that they are for."""
    of = board(snapshot(target(), detector()))

    assert shown(of, "edge_impulse_map_ratio", "iou") == {("0.50:0.95",): 0.41, ("0.50",): 0.72, ("0.75",): 0.44}
    assert shown(of, "edge_impulse_map_ratio_lower", "iou") == {("0.50:0.95",): 0.36}
    assert shown(of, "edge_impulse_map_ratio_upper", "iou") == {("0.50:0.95",): 0.46}


def test_fomo_has_no_map() -> None:
    """FOMO's score is an F1 and never shows as a mAP; an image count of 0 that is known is shown."""
    of = board(snapshot(target(), fomo()))

    assert not [name for name in names(of) if "map" in name or "_ap_" in name]
    assert shown(of, "edge_impulse_empty_images") == {(): 0.0}


def test_unknown_is_absent() -> None:
    """None of the figures that are None shows, least of all as 0."""
    block = Block(4, "anomaly", BlockKind.ANOMALY)
    bare = evaluation(
        blocks=(block,),
        detection=Detection(),
        regression=Regression(1.0, 1.0, None, None),
        anomalies=(Anomaly(block, 0.5, None, {}),),
    )

    assert {
        "edge_impulse_samples",
        "edge_impulse_windows",
        "edge_impulse_unscored_windows",
        "edge_impulse_block_info",
        "edge_impulse_mean_absolute_error",
        "edge_impulse_mean_squared_error",
        "edge_impulse_anomaly_score_mean",
    } == names(board(snapshot(target(), bare))) & FIGURES


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_is_absent(bad: float) -> None:
    """A figure that is no number is left out, wherever it stands; its neighbours stay."""
    block = Block(4, "anomaly", BlockKind.ANOMALY, thresholds={"bad": bad, "good": 1.0})
    spoilt = evaluation(
        quality=Quality(bad, 0.8, bad, {"macro": bad, "micro": 0.5}, 0.0, {}, {}, accuracy_interval=Interval(bad, 0.9)),
        calibration=Calibration(bad, 0.1, bad),
        anomalies=(Anomaly(block, bad, bad, {"0.5": bad, "0.9": 2.0}, flagged=bad),),
        blocks=(block,),
    )
    of = board(snapshot(target(), spoilt, trained=bad))
    collected = series(registry(of).collect())

    assert all(map(math.isfinite, collected.values()))
    assert shown(of, "edge_impulse_block_threshold", "key") == {("good",): 1.0}
    assert shown(of, "edge_impulse_f1_ratio", "average") == {("micro",): 0.5}
    assert shown(of, "edge_impulse_anomaly_score_quantile", "q") == {("0.9",): 2.0}
    assert shown(of, "edge_impulse_accuracy_ratio_upper") == {(): 0.9}
    absent = (
        "accuracy_ratio",
        "mean_f1_ratio",
        "accuracy_ratio_lower",
        "calibration_error_ratio",
        "log_loss",
        "anomaly_flagged_ratio",
    )
    assert not {f"edge_impulse_{name}" for name in absent} & names(of)


def test_class_limit_keeps_the_most_supported() -> None:
    """Beyond the limit classes have no series; those with most windows stay, and what was cut is counted."""
    windows = {"a": 5, "b": 50, "c": 20, "d": 20, "e": 1}
    of = board(snapshot(target(), evaluation(quality=quality(windows))))

    assert shown(of, "edge_impulse_class_windows", "class", class_limit=2) == {("b",): 50, ("c",): 20}
    for figure in ("precision", "recall", "f1"):
        assert {("b",), ("c",)} == set(shown(of, f"edge_impulse_class_{figure}_ratio", "class", class_limit=2))
    assert shown(of, "edge_impulse_left_out", "reason", class_limit=2) == {("class_cap",): 3}
    assert set(windows) == {name for (name,) in shown(of, "edge_impulse_class_windows", "class", class_limit=5)}
    assert shown(of, "edge_impulse_left_out", "reason", class_limit=5) == {}


def test_confusion_within_the_limit() -> None:
    """Confusion keeps the same classes, and of the labels that are no class the most frequently predicted."""
    confusion = {
        ("a", "a"): 40,
        ("a", "b"): 3,
        ("b", "a"): 2,
        ("c", "c"): 1,
        ("a", "c"): 4,
        ("a", "uncertain"): 6,
        ("b", "uncertain"): 5,
        ("a", "noise"): 10,
        ("b", "aside"): 1,
    }
    of = board(snapshot(target(), evaluation(quality=quality({"a": 63, "b": 8, "c": 1}, confusion))))

    assert shown(of, "edge_impulse_confusion_windows", "class", "predicted", class_limit=2) == {
        ("a", "a"): 40,
        ("a", "b"): 3,
        ("b", "a"): 2,
        ("a", "uncertain"): 6,
        ("b", "uncertain"): 5,
        ("a", "noise"): 10,
    }
    assert shown(of, "edge_impulse_left_out", "reason", class_limit=2) == {("class_cap",): 2}
    assert {pair: float(count) for pair, count in confusion.items()} == shown(
        of, "edge_impulse_confusion_windows", "class", "predicted"
    )


def test_class_limit_of_a_detector() -> None:
    """Average precisions fall under the limit too."""
    of = board(snapshot(target(), replace(detector(), detection=Detection(class_ap={"x": 0.1, "y": 0.2, "z": 0.3}))))

    assert shown(of, "edge_impulse_class_ap_ratio", "class", class_limit=2) == {("x",): 0.1, ("y",): 0.2}
    assert shown(of, "edge_impulse_left_out", "reason", class_limit=2) == {
        ("class_cap",): 1.0,
        ("no_dimensions",): 2.0,
        ("unreadable_image",): 1.0,
    }


@given(
    windows=st.dictionaries(st.text(max_size=3), st.integers(1, 99), max_size=8),
    predicted=st.lists(st.text(max_size=3), max_size=8),
    limit=st.integers(1, 5),
)
def test_series_of_classes_are_bounded(windows: dict[str, int], predicted: list[str], limit: int) -> None:
    """Whatever the labels: at most `limit` classes, twice as many columns, and every label is shown
    or counted as cut.
    """
    labels = {*windows, *predicted}
    confusion = {(name, label): 1 for name in windows for label in labels}
    of = board(snapshot(target(), evaluation(quality=quality(windows, confusion))))

    rows = shown(of, "edge_impulse_class_windows", "class", class_limit=limit)
    cells = shown(of, "edge_impulse_confusion_windows", "class", "predicted", class_limit=limit)
    cut = shown(of, "edge_impulse_left_out", "reason", class_limit=limit).get(("class_cap",), 0)

    assert min(limit, len(windows)) == len(rows)
    assert {name for (name,) in rows} == {name for name, _ in cells}
    columns = {label for _, label in cells}
    assert len(columns) <= 2 * limit
    if windows:
        assert len(labels) == len(columns) + cut


@pytest.mark.slow
@given(name=st.text(max_size=12), impulse=st.text(max_size=12), label=st.text(max_size=12), key=st.text(max_size=12))
def test_any_label_value_survives(name: str, impulse: str, label: str, key: str) -> None:
    """Quotes, backslashes, newlines, any script: what Studio calls a thing is what a parser of either format reads."""
    block = Block(1, "keras", BlockKind.CLASSIFICATION, name, {key: 0.5})
    of = target(project=name, team=label)
    collecting = registry(
        board(snapshot(replace(of, impulse=impulse), replace(evaluation(quality=quality({label: 1})), blocks=(block,))))
    )
    collected = series(collecting.collect())

    assert {name, impulse, label, key} <= {value for _, pairs in collected for _, value in pairs}
    assert collected == series(parse_text(text(collecting)))
    assert collected == series(parse_openmetrics(openmetrics(collecting).decode()))


def test_text_that_is_not_unicode_does_not_stop_the_exposition() -> None:
    """Half of a surrogate pair in one name is replaced: it must not take all other series with it."""
    of = board(snapshot(target(project="half \ud83d", team="\udc00"), evaluation(quality=quality({"x\ud800": 1}))))

    values = shown(of, "edge_impulse_class_windows", "project", "class")

    assert values == {("half ?", "x?"): 1}
    assert 'team="?"' in text(registry(of))


def test_board_may_change_during_a_scrape() -> None:
    """Projects and targets that come or go while another thread walks the board are no error: it sees one moment of
    each.
    """
    of = board(
        *(snapshot(target(impulse_id=number), None) for number in range(3)), projects=[ProjectStatus(8, PullState.OK)]
    )

    class RestlessNumber(int):
        """A project's number that, when it is read, makes other projects come."""

        restless = False

        def __str__(self) -> str:
            if RestlessNumber.restless:
                RestlessNumber.restless = False
                of.replace_entries([*of.entries.values(), entry_of(ProjectStatus(99, PullState.OK))])
            return super().__repr__()

    class RestlessName(str):
        """A target's name that, when it is read, makes a target leave and others come."""

        def encode(self, *args: str) -> bytes:
            of.forget(target(impulse_id=2).key.id)
            for number in range(10, 20):
                another = snapshot(target(impulse_id=number), None)
                of.watch(watch_of(another.target)).show(another)
            return super().encode(*args)

    restless = entry_of(ProjectStatus(7, PullState.OK))
    restless.project = restless.project.model_copy(update={"id": RestlessNumber(7)})
    of.replace_entries([restless, *of.entries.values()])
    RestlessNumber.restless = True
    of.watch(watch_of(target(impulse_id=0, project=RestlessName("restless")), STALE_AFTER))
    collecting = registry(of)

    during, after = (
        {
            dict(pairs).get("impulse_id") or dict(pairs)["project_id"]
            for name, pairs in series(collecting.collect())
            if name.endswith("_up")
        }
        for _ in range(2)
    )

    assert {"7", "8", "0", "1", "2"} == during
    assert {"7", "8", "99", "0", "1", *map(str, range(10, 20))} == after


def test_comparison() -> None:
    """Changes, p-values, drift and the baseline are series of their own; what is not known is absent."""
    of = board(snapshot(target(), classifier(), comparison=compared()))

    assert {("model",): -0.03, ("labels",): 0, ("added",): -0.0125, ("removed",): 0.0025, ("total",): -0.04} == shown(
        of, "edge_impulse_change_ratio", "cause"
    )
    assert {("accuracy", "total"): 0.004, ("accuracy", "model"): 0.002, ("accuracy", "added"): 0.25} == shown(
        of, "edge_impulse_change_pvalue", "metric", "cause"
    )
    drift = shown(of, "edge_impulse_anomaly_drift", "statistic", "cause")
    assert {"ks", "psi", "wasserstein", "js"} == {statistic for statistic, _ in drift}
    assert (0.2, 0) == (drift["ks", "data"], drift["wasserstein", "model"])
    assert {("4", "total"): 0.003} == shown(of, "edge_impulse_anomaly_drift_pvalue", "block_id", "cause")
    assert {("Anomaly detection",): 1.75} == shown(of, "edge_impulse_anomaly_drift_evidence", "block")
    assert {("4", "data"): 0, ("4", "model"): 0} == shown(of, "edge_impulse_anomaly_drift_gate", "block_id", "cause")
    assert {(): 0.625} == shown(of, "edge_impulse_error_evidence")
    assert {("4",): 0} == shown(of, "edge_impulse_comparison_insufficient", "block_id")
    assert {("psi",): 0.02, ("js",): 0.045} == shown(of, "edge_impulse_prediction_drift", "statistic")
    assert {(): NOW - 5 * 86400} == shown(of, "edge_impulse_baseline_timestamp_seconds")
    assert {("accuracy",): 0.94, ("mean_f1",): 0.9, ("anomaly_flagged",): 0.02} == shown(
        of, "edge_impulse_baseline_value", "metric"
    )


def test_comparison_leaves_with_the_figures() -> None:
    """A comparison of stale figures is not shown, nor is one that there is not."""
    stale = board(snapshot(target(), classifier(), age=STALE_AFTER + 1, comparison=compared()))

    for of in (stale, board(snapshot(target(), classifier()))):
        assert {} == shown(of, "edge_impulse_change_ratio", "cause")
        assert {} == shown(of, "edge_impulse_baseline_timestamp_seconds")


def test_smallest_visible_drops() -> None:
    """Each cause has the smallest drop that the set would show; 1, all of it, where none would."""
    found = shown(full(), "edge_impulse_smallest_visible_drop_ratio", "metric", "cause", "variant")

    assert {("accuracy", "model", "int8"): 0.0325, ("accuracy", "added", "int8"): 1} == found


def test_alerts() -> None:
    """Pending and firing alerts are 1, others absent; those of a project carry its id alone, and stay whatever its
    targets do.
    """
    found = shown(full(), "edge_impulse_alerts", "alertname", "project_id", "alertstate", "severity")

    assert {
        ("EdgeImpulseAccuracyRegressed", "12345", "firing", "warning"): 1,
        ("EdgeImpulseAnomalyDrift", "12345", "pending", "warning"): 1,
        ("EdgeImpulseKeyExpiring", "33333", "firing", "warning"): 1,
    } == found
    assert {("EdgeImpulseAccuracyRegressed", "int8"): 0.03, ("EdgeImpulseAnomalyDrift", "int8"): 0.01} == shown(
        full(), "edge_impulse_alert_threshold", "alertname", "variant"
    )
