"""Evaluations and comparisons as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.distances import Distances
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation, Regression
from monitor.store import Envelope, StoreTooNew
from monitor.store.documents import (
    dump,
    dump_comparison,
    dump_evaluation,
    figures_version,
    load_comparison,
    load_evaluation,
)
from tests.store.store_sets import COMPARISON, EVALUATION


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
    document = json.loads(text, parse_constant=pytest.fail)["content"]

    assert text.isascii()
    assert document["quality"]["confusion"] == {"idle": {"snake": 3, "uncertain": 1}, "": {"idle": 1}}
    assert (document["regression"]["mean_absolute_error"], document["regression"]["mean_squared_error"]) == (
        1.5,
        "Infinity",
    )
    again = load_evaluation(text).regression
    assert again is not None
    assert again.mean_squared_error == math.inf
    assert again.r2 is not None
    assert math.isnan(again.r2)


def test_not_finite() -> None:
    """Numbers that JSON does not have are spelled, at any depth."""
    assert dump({"a": [1.0, (math.nan, -math.inf)]}) == '{"a":[1.0,["NaN","-Infinity"]]}'


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"slices": {}, "quality": null}', dump_evaluation(EVALUATION)[:-9]]
)
def test_no_evaluation(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        load_evaluation(text)


def test_comparison() -> None:
    """Everything that a comparison tells comes back equal, tuples and mappings included."""
    assert load_comparison(dump_comparison(COMPARISON)) == COMPARISON


def test_comparison_without_anything() -> None:
    """A comparison that found nothing comes back."""
    empty = Comparison(BaselineFigures("previous", 1.0, ""))

    assert load_comparison(dump_comparison(empty)) == empty


def test_comparison_in_standard_json() -> None:
    """A comparison is ASCII without NaN; what is not finite, and NumPy's numbers, come back as numbers, also in
    mappings.
    """
    changed = Change("mae", math.inf, np.float64(0.5), {"total": -math.inf}, {"total": np.float64(0.25)}, np.int64(3))
    drifted = replace(
        COMPARISON.drifts[0],
        distances={"total": Distances(math.nan, 0, 0, 0, 0)},
        gates={"total": cast(bool, np.True_)},
        evidence=math.inf,
    )
    text = dump_comparison(replace(COMPARISON, changes=(changed,), drifts=(drifted,)))
    json.loads(text, parse_constant=pytest.fail)
    again = load_comparison(text)

    assert text.isascii()
    assert again.changes == (changed,)
    assert (again.drifts[0].evidence, again.drifts[0].gates) == (math.inf, {"total": True})
    assert math.isnan(again.drifts[0].distances["total"].ks)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"baseline":{}}', dump_comparison(COMPARISON)[:-9]])
def test_no_comparison(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        load_comparison(text)


KINDS = {
    "evaluation": (dump_evaluation(EVALUATION), load_evaluation),
    "comparison": (dump_comparison(COMPARISON), load_comparison),
}


@pytest.mark.parametrize("kind", KINDS)
def test_envelope(kind: str) -> None:
    """A document says its format, its version and which formulas made it, beside its content."""
    text, _ = KINDS[kind]
    document = json.loads(text)

    assert {"format": f"impulse-monitor {kind}", "version": 1, "figures": FIGURES_VERSION} == {
        name: value for name, value in document.items() if name != "content"
    }
    assert figures_version(text) == FIGURES_VERSION


@pytest.mark.parametrize("kind", KINDS)
def test_without_envelope(kind: str) -> None:
    """What was written before there were envelopes is read, as made by the first formulas."""
    text, load = KINDS[kind]
    bare = json.dumps(json.loads(text)["content"])

    assert load(text) == load(bare)
    assert figures_version(bare) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_newer_version(kind: str) -> None:
    """A document of a newer version is refused as such; fields that a newer one added without raising the version are
    ignored.
    """
    text, load = KINDS[kind]
    document = json.loads(text)
    added = document | {"content": document["content"] | {"added_later": 1}, "beside": 2}

    assert load(json.dumps(added)) == load(text)
    with pytest.raises(StoreTooNew, match="run the version that wrote it"):
        load(json.dumps(document | {"version": 2}))
    with pytest.raises(ValueError, match="impulse-monitor"):
        load(json.dumps(document | {"format": "something else"}))


@pytest.mark.parametrize(
    "document",
    [{"format": "f"}, {"format": "f", "version": "1", "content": 1}, {"format": "f", "version": 1}, [], None],
)
def test_broken_envelope(document: object) -> None:
    """An envelope that lacks a part is a ValueError, not a crash."""
    with pytest.raises(ValueError, match="f"):
        Envelope("f", 1).open(document)
