"""The headline figures by name."""

from typing import Any

import pytest

from monitor.figures.evaluation import (
    Anomaly,
    Calibration,
    Detection,
    Evaluation,
    Interval,
    Regression,
    StudioVerdict,
)
from monitor.figures.headline import METRICS, Headline, headlines
from monitor.results import Block, BlockKind
from tests.factories import evaluation, quality

BOUNDS = Interval(0.1, 0.9)


def anomaly(number: int, flagged: float | None, auroc: float | None) -> Anomaly:
    """Figures of one anomaly block."""
    block = Block(number, "anomaly", BlockKind.ANOMALY, f"block {number}")
    return Anomaly(block, 0.0, 1.0, {}, flagged=flagged, auroc=auroc, flagged_interval=BOUNDS if flagged else None)


QUALITY = quality(0.8, balanced_accuracy=0.7, mean_f1=0.6, uncertain=0.05, accuracy_interval=BOUNDS)
REGRESSION = Regression(1.5, 4.0, None, 0.25)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (evaluation(), {}),
        (
            evaluation(quality=QUALITY, calibration=Calibration(0.03, 0.2, 0.4)),
            {
                "accuracy": (0.8, BOUNDS),
                "balanced_accuracy": (0.7,),
                "mean_f1": (0.6,),
                "uncertain": (0.05,),
                "calibration_error": (0.03,),
            },
        ),
        (evaluation(regression=REGRESSION), {"accuracy": (0.25,), "mae": (1.5,), "mse": (4.0,)}),
        (evaluation(studio=StudioVerdict(0.35, 60, BOUNDS)), {"accuracy": (0.35, BOUNDS)}),
        (
            evaluation(detection=Detection(map={"0.50:0.95": 0.5}, mean_f1=0.4), studio=StudioVerdict(0.35, 60)),
            {"accuracy": (0.35,), "mean_f1": (0.4,), "map": (0.5,)},
        ),
        (
            evaluation(regression=Regression(1.5, 4.0, 0.9, None), studio=StudioVerdict(0.35, 60, BOUNDS)),
            {"accuracy": (0.35, BOUNDS), "mae": (1.5,), "mse": (4.0,), "r2": (0.9,)},
        ),
        (
            evaluation(anomalies=(anomaly(1, 0.1, None),), studio=StudioVerdict(0.35, 60)),
            {"accuracy": (0.35,), "anomaly_flagged": (0.1, BOUNDS, "block 1")},
        ),
        (
            evaluation(quality=QUALITY, regression=REGRESSION),
            {"accuracy": (0.8, BOUNDS), "mean_f1": (0.6,), "mae": (1.5,)},
        ),
        (
            evaluation(detection=Detection(map={"0.50": 0.9, "0.50:0.95": 0.5}, map_interval=BOUNDS)),
            {"map": (0.5, BOUNDS)},
        ),
        (evaluation(detection=Detection(mean_f1=0.4)), {"mean_f1": (0.4,)}),
        (
            evaluation(anomalies=(anomaly(1, 0.1, 0.9), anomaly(2, 0.3, 0.95), anomaly(3, None, 0.7))),
            {"anomaly_flagged": (0.3, BOUNDS, "block 2"), "anomaly_auroc": (0.7, None, "block 3")},
        ),
    ],
)
def test_headlines(of: Evaluation, expected: dict[str, tuple[Any, ...]]) -> None:
    """Each figure that applies has its name, value and interval; of several anomaly blocks the worst one counts."""
    found = headlines(of)

    assert {name: Headline(*parts) for name, parts in expected.items()} == {name: found[name] for name in expected}
    assert list(found) == [name for name in METRICS if name in found]
    assert of.quality or of.regression or set(expected) == set(found)
