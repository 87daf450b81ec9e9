"""Which keys of the confidences are classes, and whether `anomaly` is one or the score of an anomaly block."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder

Row = dict[str, Any]


def classes(rows: list[Row], second_block: str = "anomaly") -> tuple[str, ...]:
    """The classes of a classifier with these confidences, one window each, beside a block of another type."""
    results: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        blocks = [
            {"learnBlock": {"id": 2, "type": "keras"}, "result": [row]},
            {"learnBlock": {"id": 3, "type": second_block}, "result": [{}]},
        ]
        results.append({"sampleId": number, "classifications": blocks})
    builder = ColumnBuilder()
    predictions = [{"sampleId": number, "prediction": "idle"} for number in range(len(rows))]
    page = msgspec.json.encode({"success": True, "result": results, "predictions": predictions})
    builder.add(msgspec.json.decode(page, type=wire.Page))
    return builder.finish().confidences[2].classes


SCORED: list[Row] = [{"idle": 0.75, "snake": 0.25, "anomaly": 111.4}, {"idle": 0.5, "snake": 0.504, "anomaly": -0.3}]


def test_a_score_is_no_class() -> None:
    """Where the others sum to 1 without it, `anomaly` is the anomaly block's score; without such a
    block it is a class.
    """
    assert ("idle", "snake") == classes(SCORED)
    assert ("anomaly", "idle", "snake") == classes(SCORED, second_block="keras-freeform")


@pytest.mark.parametrize(
    "incomplete", [{"idle": None, "snake": 0.25, "anomaly": 111.4}, {"snake": 0.25, "anomaly": 1.0}, {"anomaly": 1.0}]
)
def test_a_missing_confidence_does_not_make_the_score_a_class(incomplete: Row) -> None:
    """A row that lacks a confidence does not sum to 1 for that reason alone."""
    assert ("idle", "snake") == classes([*SCORED, incomplete])


def test_a_class_is_one_beside_an_anomaly_block() -> None:
    """Where one window of the set sums to 1 only with it, `anomaly` is a class, whatever windows lack a confidence."""
    rows: list[Row] = [{"idle": 1.0, "anomaly": 0.0}, {"idle": 0.75, "anomaly": 0.25}, {"idle": None, "anomaly": 0.25}]

    assert ("anomaly", "idle") == classes(rows)


@pytest.mark.parametrize("value", ["high", [], {}, "1e999", True])
def test_a_class_whose_confidence_cannot_be_read_is_a_class(value: Any) -> None:
    """Without its confidence a window cannot be used; without the class it would be judged by the confidences that are
    left.
    """
    assert ("idle", "snake") == classes([{"idle": value, "snake": 0.7}], second_block="keras-freeform")
