"""A run against its baseline: what is put together, and what is said about models that changed."""

import dataclasses

import numpy as np
import pytest

from monitor.compare.comparison import BaselineFigures, Comparison, compare
from monitor.compare.drift import ComparedRun, DriftState
from monitor.compare.error_evidence import ERRORS
from monitor.results import CORRECT, WRONG, Block, BlockKind, Categorical, ResultSet
from tests.factories import result_set

CLASSIFIER = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})
KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 1.0})
SHOWN = BaselineFigures("pinned", 100.0, "abc", {"accuracy": 0.9})


def run(
    count: int = 200, wrong: int = 20, seed: int = 1, blocks: tuple[Block, ...] = (CLASSIFIER, KMEANS)
) -> ResultSet:
    """A classifier with an anomaly block beside it, one window per sample, the first ones wrong."""
    labels = Categorical.encode(["a", "b"] * (count // 2))
    correct = np.where(np.arange(count) < wrong, WRONG, CORRECT).astype(np.int8)
    return result_set(
        count,
        blocks=blocks,
        labels=labels.table,
        label=labels.codes,
        prediction=np.where(correct == CORRECT, labels.codes, 1 - labels.codes),
        correct=correct,
        anomaly={
            block.id: np.random.default_rng(seed).normal(size=count)
            for block in blocks
            if block.kind is BlockKind.ANOMALY
        },
    )


def against(
    baseline: ResultSet, current: ResultSet, trained: tuple[float | None, float | None] = (None, None)
) -> tuple[Comparison, dict[int, DriftState]]:
    """The comparison with a pinned baseline."""
    first = ComparedRun(100.0, baseline, trained[0])
    return compare(first, ComparedRun(200.0, current, trained[1]), first, SHOWN, {}, 1)


def test_parts() -> None:
    """A comparison has the changes, the drift of each anomaly block and of the predictions, and
    remembers each block.
    """
    found, states = against(run(), run(wrong=60))

    assert SHOWN == found.baseline
    assert {"accuracy", "mean_f1"} == {change.metric for change in found.changes}
    accuracy = found.change("accuracy")
    assert accuracy is not None
    assert accuracy.causes["model"] == pytest.approx(-0.2)
    assert found.change("map") is None
    assert [KMEANS] == [drift.block for drift in found.drifts]
    assert {"psi", "js"} == found.predictions.keys()
    assert {KMEANS.id, ERRORS} == states.keys()
    assert found.notes == ()


def test_blocks_without_scores_have_no_drift() -> None:
    """A block that gave no score at all in the current run is not there to drift."""
    found, states = against(run(), dataclasses.replace(run(), anomaly={}))

    assert ((), {ERRORS}) == (found.drifts, states.keys())


def test_memories_are_handed_on() -> None:
    """What an earlier comparison remembered is where the next one goes on."""
    first = ComparedRun(100.0, run())
    more = run(260)
    _, states = compare(first, ComparedRun(200.0, more), first, SHOWN, {}, 1)

    again, _ = compare(first, ComparedRun(300.0, more), first, SHOWN, states, 2)

    assert again.drifts[0].added == 60
    assert states[7].evidence.evidence == again.drifts[0].evidence


OTHER = dataclasses.replace(KMEANS, thresholds={"min_anomaly_score": 1.5, "more": 2.0})


@pytest.mark.parametrize(
    ("blocks", "trained", "expected"),
    [
        ((CLASSIFIER, KMEANS), (1.0, 1.0), []),
        ((CLASSIFIER, KMEANS), (None, 2.0), []),
        ((CLASSIFIER, KMEANS), (1.0, 2.0), ["the model was trained again since the baseline"]),
        (
            (CLASSIFIER,),
            (None, None),
            ["block K-means (7) of the baseline no longer exists: what it gave is not compared"],
        ),
        (
            (CLASSIFIER, KMEANS, Block(9, "anomaly-gmm", BlockKind.ANOMALY)),
            (None, None),
            ["block 9 is not in the baseline: what it gives is not compared"],
        ),
        (
            (Block(4, "keras", BlockKind.CLASSIFICATION, "Other"), KMEANS),
            (None, None),
            [
                "block Classifier (3) of the baseline no longer exists: the figures are compared with those of block "
                "Other (4)",
                "block Other (4) is not in the baseline: the figures are compared with those of block Classifier (3)",
            ],
        ),
        (
            (CLASSIFIER, Block(8, "anomaly", BlockKind.ANOMALY)),
            (None, None),
            [
                "block K-means (7) of the baseline no longer exists: what it gave is not compared",
                "block 8 is not in the baseline: what it gives is not compared",
            ],
        ),
        (
            (CLASSIFIER, OTHER),
            (None, None),
            [
                "threshold min_anomaly_score of block K-means (7) was 1 and is 1.5",
                "threshold more of block K-means (7) was not set and is 2",
            ],
        ),
        (
            (CLASSIFIER, dataclasses.replace(KMEANS, texts={"anomaly_scoring_aggregation_method": "mean"})),
            (None, None),
            ["threshold anomaly_scoring_aggregation_method of block K-means (7) was not set and is mean"],
        ),
    ],
)
def test_notes(blocks: tuple[Block, ...], trained: tuple[float | None, float | None], expected: list[str]) -> None:
    """Retraining, changed thresholds and blocks that came or went are said in words."""
    found, _ = against(run(), run(blocks=blocks), trained)

    assert expected == list(found.notes)
