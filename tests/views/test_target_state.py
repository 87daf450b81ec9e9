"""How a target stands, in a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Phase, by_name
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.pipeline.snapshot import Snapshot
from monitor.views.fleet import Row, row
from monitor.views.standing import State
from monitor.views.target_state import drift_sentence, target_state
from tests.factories import evaluation, quality, snapshot
from tests.live.live_parts import live_of
from tests.store.store_sets import COMPARISON

DRIFT = COMPARISON.drifts[0]


def compared(before: float, now: float, pvalue: float, **fields: Any) -> Snapshot:
    """A target whose accuracy changed."""
    change = Change("accuracy", before, now, {"total": now - before}, {"total": pvalue})
    comparison = Comparison(BaselineFigures("pinned", 1.0, "b", {"accuracy": before}), (change,))
    return snapshot(
        evaluation=evaluation(quality=quality(now)), comparison=replace(comparison, **fields), fingerprint="f"
    )


def about(found: Snapshot | None, *alerts: AlertState, now: float = 0.0) -> Row:
    """A target with what is known of it and alerts, at a time."""
    _, live = live_of(found or snapshot()).targets.popitem()
    live.snapshot = live.snapshot if found else None
    live.alerts = by_name(alerts)
    return row(live, now)


FIRING = AlertState("EdgeImpulseSomething", "1-2-int8-testing", "d", Phase.FIRING)
PENDING = replace(FIRING, phase=Phase.PENDING)
LOST = compared(0.9, 0.6, 0.2)


@pytest.mark.parametrize(
    ("shown", "state", "words"),
    [
        (about(None), State.NOT_WATCHED, "It has not been pulled yet. Its first"),
        (about(snapshot()), State.NOT_WATCHED, "No good pull yet"),
        (about(LOST, now=1e9), State.NOT_WATCHED, "Its figures are too old."),
        (about(snapshot(evaluation=evaluation(quality=quality(0.9)))), State.NOT_JUDGED, "there is no baseline to"),
        (about(compared(0.9, 0.6, 0.001)), State.WORSE, "of the baseline: accuracy 0.900 → 0.600 (−30.0 points)."),
        (
            about(LOST),
            State.NOT_JUDGED,
            "not known: accuracy is worse by 30.0 points, which may be chance. Add",
        ),
        (about(compared(0.9, 0.89, 0.2)), State.AS_BASELINE, "beyond what chance explains"),
        (about(replace(LOST, fingerprint="b")), State.NOT_JUDGED, "which may be chance"),
        (about(compared(0.6, 0.9, 0.001)), State.BETTER, "better than its baseline: accuracy 0.600 → 0.900 (+30.0"),
        (about(compared(0.9, 0.9, 1.0), FIRING), State.WORSE, "An alert fires: EdgeImpulseSomething."),
        (about(compared(0.9, 0.9, 1.0), PENDING), State.WORSE, "An alert is pending: EdgeImpulseSomething."),
        (about(compared(0.9, 0.9, 1.0, drifts=(DRIFT,))), State.WORSE, "has drifted"),
        (about(compared(0.9, 0.9, 1.0, broken=True, notes=("x is gone",))), State.NOT_JUDGED, "not known: x is gone."),
    ],
)
def test_standing(shown: Row, state: State, words: str) -> None:
    """The sentence says what the state in the list of targets is due to: no page calls a model well that another does
    not.
    """
    assert state is shown.standing.state
    assert words in target_state(shown)


@pytest.mark.parametrize(
    ("exceedance", "alarm", "added", "words"),
    [
        (0.2, True, 30, "score higher than the 100 the model was accepted with"),
        (-0.2, True, 30, "score lower than"),
        (0.0, True, 30, "score otherwise than"),
        (0.2, False, 30, "The 30 new samples score as the 100"),
        (0.2, False, 0, "None of 40 new samples that the baseline does not have counts"),
    ],
)
def test_drift_in_plain_words(exceedance: float, alarm: bool, added: int, words: str) -> None:
    """New samples score higher or lower where a share of them crossed the threshold, and as before without an alarm."""
    distances = {"data": Distances(0.1, 0.1, 0.1, 0.1, exceedance)}
    drift = replace(DRIFT, alarm=alarm, added=added, distances=distances, gates={"data": True})

    assert words in drift_sentence(drift)


def test_a_model_that_scores_otherwise() -> None:
    """Shared samples that another model scores differently, by enough to matter, are named before the new ones."""
    distances = {"model": Distances(0.1, 0.1, 0.1, 0.1, 0.3)}
    drift = replace(DRIFT, alarm=False, distances=distances, gates={"model": True}, pvalues={"model": 0.001})

    assert "The model scores the 90 samples both runs share higher than the one before." == drift_sentence(drift)
    assert "new samples" in drift_sentence(replace(drift, pvalues={"model": 0.5}))
