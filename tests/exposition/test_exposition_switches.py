"""What the configuration's `exposition` leaves out."""

from dataclasses import replace

import pytest

from monitor.config import ExpositionConfig
from monitor.exposition import METRICS, SnapshotCollector, Sources, Switch
from monitor.figures.evaluation import Detection
from tests.exposition.exposition_boards import (
    NOW,
    board,
    detector,
    full,
    quality,
    series,
    shown,
    snapshot,
    target,
)
from tests.factories import evaluation


def test_switches_leave_their_families_out() -> None:
    """Figures of classes and confusion each leave when they are switched off; all else stays."""
    names = {name for name, _ in series(SnapshotCollector(Sources(full(), clock=lambda: NOW)).collect())}
    assert {metric.name for metric in METRICS if metric.switch is Switch.CONFUSION} == {
        "edge_impulse_confusion_windows"
    }
    for switch in Switch:
        of_it = {metric.name for metric in METRICS if metric.switch is switch}
        sources = Sources(full(), left_out=lambda off=switch: {off.value}, clock=lambda: NOW)
        left = {name for name, _ in series(SnapshotCollector(sources).collect())}

        assert of_it <= names
        assert names - of_it == left


@pytest.mark.parametrize(
    ("left_out", "cut"),
    [(set(), 3), ({Switch.CONFUSION}, 1), ({Switch.CLASSES}, 3), ({Switch.CLASSES, Switch.CONFUSION}, 0)],
)
def test_the_limit_counts_what_it_cut_off(left_out: set[str], cut: int) -> None:
    """A label that is not shown because of a switch was not cut off by the limit."""
    confusion = {("a", "a"): 4, ("b", "b"): 3, ("c", "x"): 2, ("c", "y"): 1, ("a", "z"): 1, ("a", "w"): 1}
    of = board(snapshot(target(), evaluation(quality=quality({"a": 6, "b": 3, "c": 3}, confusion))))
    expected = {("class_cap",): cut} if cut else {}

    assert expected == shown(of, "edge_impulse_left_out", "reason", class_limit=2, left_out=left_out)


def test_the_limit_of_a_detector_without_classes() -> None:
    """A detector has no confusion: without figures of classes the limit cuts nothing off."""
    found = replace(detector(), detection=Detection(class_ap={"x": 0.1, "y": 0.2}), left_out={})
    of = board(snapshot(target(), found))

    assert {("class_cap",): 1} == shown(of, "edge_impulse_left_out", "reason", class_limit=1)
    assert {} == shown(of, "edge_impulse_left_out", "reason", class_limit=1, left_out={Switch.CLASSES})


def test_switches_are_those_of_the_configuration() -> None:
    """Each key of `exposition` is a switch, and the other way round; one that is false leaves its families out."""
    assert set(Switch) == set(ExpositionConfig.model_fields)
    assert ExpositionConfig(classes=False).left_out == {Switch.CLASSES}
