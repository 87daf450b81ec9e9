"""Evaluations as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from store_sets import EVALUATION

from monitor.evaluate.figures import Evaluation, Regression
from monitor.store.documents import dump, dump_evaluation, load_evaluation


def test_round_trip() -> None:
    """Every figure comes back, pairs as keys included."""
    assert load_evaluation(dump_evaluation(EVALUATION)) == EVALUATION


def test_almost_nothing_known() -> None:
    """An evaluation without any figure comes back."""
    empty = Evaluation(0, 0, 0, ())

    assert load_evaluation(dump_evaluation(empty)) == empty


def test_standard_json() -> None:
    """Other programs can read it: ASCII, nested objects for pairs, no NaN; NumPy's numbers are numbers."""
    evaluation = replace(EVALUATION, regression=Regression(np.float64(1.5), math.inf, math.nan, None))
    text = dump_evaluation(evaluation)
    document = json.loads(text, parse_constant=pytest.fail)

    assert text.isascii()
    assert document["quality"]["confusion"] == {"idle": {"snake": 3, "uncertain": 1}, "": {"idle": 1}}
    assert (document["regression"]["mean_absolute_error"], document["regression"]["mean_squared_error"]) == (1.5, "Infinity")
    again = load_evaluation(text).regression
    assert again is not None
    assert again.mean_squared_error == math.inf
    assert again.r2 is not None
    assert math.isnan(again.r2)


def test_not_finite() -> None:
    """Numbers that JSON does not have are spelled, at any depth."""
    assert dump({"a": [1.0, (math.nan, -math.inf)]}) == '{"a":[1.0,["NaN","-Infinity"]]}'


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"slices": {}, "quality": null}', dump_evaluation(EVALUATION)[:-9]])
def test_no_evaluation(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        load_evaluation(text)
