"""Accuracy by slice of the test set."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.figures.evaluation import Slice
from monitor.figures.slices import slices
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, Categorical, ResultSet
from tests.figures.strategies import classified, names, result_set

SIX = result_set(
    ["a"] * 6,
    ["a", "b", "a", "a", "b", "a"],
    correct=[CORRECT, WRONG, CORRECT, CORRECT, UNSCORED, CORRECT],
    sample=[0, 0, 1, 2, 3, 3],
    device=["m4", "m4", "m7", None],
    metadata={"site": ["lab", "field", "field", "roof"], "crew": ["1", None, None, None]},
)


def test_by_hand() -> None:
    """Windows count by the value of their sample, the largest value first; samples without the value are left out."""
    found, cut = slices(SIX, ["metadata.site", "device_name"], 20)

    assert list(found.items()) == [
        (("metadata.site", "field"), Slice(1.0, 2)),
        (("metadata.site", "lab"), Slice(0.5, 2)),
        (("metadata.site", "roof"), Slice(1.0, 1)),
        (("device_name", "m4"), Slice(pytest.approx(2 / 3), 3)),
        (("device_name", "m7"), Slice(1.0, 1)),
    ]
    assert cut == 0


def test_limit_holds_for_each_key() -> None:
    """The largest values of each key stay, and the values cut are counted over all keys."""
    found, cut = slices(SIX, ["metadata.site", "device_name"], 1)

    assert list(found) == [("metadata.site", "field"), ("device_name", "m4")]
    assert cut == 3


def test_equal_values_stay_in_the_order_of_texts() -> None:
    """Of values with equally many windows, the first as texts stay: the same ones at every pull."""
    devices = [f"device {number:02}" for number in range(40)]

    twice = devices + devices[10:20]

    found, cut = slices(result_set(["a"] * 50, ["a"] * 50, device=twice[::-1]), ["device_name"], 12)

    assert [value for _, value in found] == [*devices[10:20], *devices[:2]]
    assert cut == 28


@pytest.mark.slow
@given(classified(), st.data(), st.integers(1, 5))
def test_equals_counting(results: ResultSet, data: st.DataObject, limit: int) -> None:
    """Every slice is what counting window by window gives, and what is cut is not larger than what is kept."""
    values = data.draw(st.lists(st.none() | names, min_size=results.samples, max_size=results.samples))
    results = replace(results, metadata={"key": Categorical.encode(values)})
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for sample, correct in zip(results.sample, results.correct, strict=True):
        value = values[sample]
        if correct != UNSCORED and value is not None:
            verdicts[value].append(correct == CORRECT)

    found, cut = slices(results, ["metadata.key"], limit)

    assert len(found) == min(limit, len(verdicts))
    assert cut == len(verdicts) - len(found)
    for (_, value), figures in found.items():
        assert figures == Slice(pytest.approx(sum(verdicts[value]) / len(verdicts[value])), len(verdicts.pop(value)))
    assert max(map(len, verdicts.values()), default=0) <= min(
        (figures.windows for figures in found.values()), default=0
    )


def test_unknown_metadata_has_no_values() -> None:
    """A key that no sample has gives no slices and cuts nothing."""
    assert slices(SIX, ["metadata.weather"], 20) == ({}, 0)


def test_values_without_a_scored_window_are_no_slices() -> None:
    """A value whose windows are all unscored has no accuracy, and does not count as cut."""
    results = result_set(["a", "a"], ["a", "a"], correct=[CORRECT, UNSCORED], device=["m4", "m7"])

    assert slices(results, ["device_name"], 1) == ({("device_name", "m4"): Slice(1.0, 1)}, 0)


def test_other_keys_are_refused() -> None:
    """A key of neither form is an error that says what to write."""
    with pytest.raises(ValueError, match=r"No slice `site`: write `metadata\.<key>` or `device_name`"):
        slices(SIX, ["site"], 20)


@pytest.mark.parametrize(
    "results",
    [
        replace(
            SIX,
            blocks=(Block(1, "keras-object-detection", BlockKind.DETECTION),),
            correct=np.full(6, UNSCORED, np.int8),
        ),
        replace(SIX, label_map=True),
        replace(SIX, blocks=(Block(1, "keras-regression", BlockKind.REGRESSION, thresholds={"max_error": 0.5}),)),
    ],
    ids=["detector that is not judged", "label map", "regression without numbers"],
)
def test_no_slices_of_an_accuracy_that_does_not_exist(results: ResultSet) -> None:
    """Models without an accuracy have no slices of it."""
    assert slices(results, ["device_name"], 20) == ({}, 0)


@pytest.mark.parametrize("kind", BlockKind)
def test_every_judged_model_has_slices(kind: BlockKind) -> None:
    """Whatever the kind of block, accuracy by Studio's verdict has slices: a regression's where it has no tolerance."""
    results = replace(SIX, blocks=(Block(1, "", kind),))

    assert slices(results, ["device_name"], 20) == slices(SIX, ["device_name"], 20)


def test_slices_of_a_regression_are_by_its_tolerance() -> None:
    """A slice's accuracy counts what the whole set's does: errors within the tolerance, whatever Studio said."""
    block = Block(1, "keras-regression", BlockKind.REGRESSION, thresholds={"max_error": 0.5})
    results = result_set(
        ["1", "2", "x"],
        ["1.5", "3", "1"],
        correct=[WRONG, CORRECT, CORRECT],
        blocks=(block,),
        device=["m4", "m4", "m7"],
    )

    assert slices(results, ["device_name"], 20) == ({("device_name", "m4"): Slice(0.5, 2)}, 0)
