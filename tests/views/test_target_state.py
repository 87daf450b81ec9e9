"""How a target stands, in a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.pipeline.snapshot import Snapshot
from monitor.views.status import figures
from monitor.views.target_state import drift_sentence, target_state
from tests.factories import evaluation, quality, snapshot
from tests.store.store_sets import COMPARISON

DRIFT = COMPARISON.drifts[0]


def compared(before: float, now: float, pvalue: float, **fields: Any) -> Snapshot:
    """A target whose accuracy changed."""
    change = Change("accuracy", before, now, {"total": now - before}, {"total": pvalue})
    comparison = Comparison(BaselineFigures("pinned", 1.0, "b", {"accuracy": before}), (change,))
    return snapshot(
        evaluation=evaluation(quality=quality(now)), comparison=replace(comparison, **fields), fingerprint="f"
    )


FIRING = AlertState("EdgeImpulseSomething", "1-2-int8-testing", "d", Phase.FIRING)


@pytest.mark.parametrize(
    ("found", "alerts", "standing", "words"),
    [
        (None, (), "unjudged", "not been pulled yet"),
        (snapshot(), (), "unjudged", "no good pull yet"),
        (snapshot(evaluation=evaluation()), (), "unjudged", "not compared with a baseline"),
        (compared(0.9, 0.6, 0.001), (), "worse", "than those of the baseline: accuracy 0.900 → 0.600 (−30.0 points)."),
        (compared(0.9, 0.6, 0.2), (), "same", "beyond what chance explains"),
        (compared(0.6, 0.9, 0.001), (), "better", "better than its baseline: accuracy 0.600 → 0.900 (+30.0 points)."),
        (compared(0.9, 0.9, 1.0), (FIRING,), "worse", "An alert fires: EdgeImpulseSomething."),
        (compared(0.9, 0.9, 1.0, drifts=(DRIFT,)), (), "worse", "has drifted"),
        (compared(0.9, 0.9, 1.0, changes=(), notes=("block 3 is gone",)), (), "unjudged", "told. Block 3 is gone."),
        (compared(0.9, 0.9, 1.0, broken=True), (), "unjudged", "cannot be told"),
    ],
)
def test_standing(found: Snapshot | None, alerts: tuple[AlertState, ...], standing: str, words: str) -> None:
    """Worse is said with the figure that lost most, chance is no change, what cannot be judged is not called well."""
    state = target_state(found, figures(found), alerts)

    assert standing == state.standing
    assert words in state.sentence


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
