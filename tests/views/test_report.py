"""Figures for people and programs outside Prometheus: JSON values and a table."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from monitor.compare.error_evidence import ErrorEvidence
from monitor.errors import PullState
from monitor.figures.evaluation import Slice
from monitor.views.history import runs_as_csv
from monitor.views.report import Outcome, as_json, as_table, moment, plain, when
from tests.alerts.alert_cases import change, compared, drifted
from tests.factories import TARGET, evaluation, quality, snapshot
from tests.store.store_sets import run as stored_run


def test_an_outcome_as_json() -> None:
    """A good pull is its target, state, fingerprint and figures; pairs as keys become rows, what is no number null."""
    figures = evaluation(quality=quality(0.75, mean_f1=math.nan), slices={("device", "one"): Slice(0.5, 4)})
    row = json.loads(json.dumps(as_json(Outcome("x", PullState.OK, snapshot(fingerprint="f1", evaluation=figures)))))

    assert ("x", "ok", TARGET.key.id, "f1") == (row["name"], row["state"], row["target"]["id"], row["fingerprint"])
    assert (0.75, None) == (row["evaluation"]["quality"]["accuracy"], row["evaluation"]["quality"]["mean_f1"])
    assert [{"key": ["device", "one"], "value": {"accuracy": 0.5, "windows": 4}}] == row["evaluation"]["slices"]
    assert "error" not in row


def test_a_failure_as_json() -> None:
    """A failed pull says what it failed with, and has no figures."""
    assert {"name": "x", "state": "auth", "error": "no key"} == as_json(Outcome("x", PullState.AUTH, error="no key"))


def test_times_of_a_comparison_are_texts() -> None:
    """The baseline's time and since when a block or the errors are watched are ISO 8601, whatever else stays a
    number.
    """
    found = compared(change("accuracy", 0.9, {"model": -0.1}), drifts=(drifted(),))
    found = replace(found, errors=ErrorEvidence(1.5, False, 0.05, 0.1, 0.2, 40, 40, 1790000000.0))
    row = as_json(Outcome("x", PullState.OK, snapshot(evaluation=evaluation(), comparison=found)))["comparison"]

    assert ("2026-09-21T14:13:20Z", None) == (row["baseline"]["timestamp"], row["baseline"]["trained"])
    assert ["2026-09-21T14:13:20Z"] == [drift["since"] for drift in row["drifts"]]
    assert ("2026-09-21T14:13:20Z", 0.1) == (row["errors"]["since"], row["errors"]["recent"])
    assert -0.1 == pytest.approx(row["changes"][0]["causes"]["model"])


@pytest.mark.parametrize("seconds", [None, math.nan, math.inf, 1e300, -1e300])
def test_what_no_calendar_has_is_no_time(seconds: float | None) -> None:
    """A time that makes no sense is absent, and an empty cell of a table."""
    assert (None, "") == (moment(seconds), when(seconds))


def test_numbers_that_are_none_are_null() -> None:
    """Wherever it stands, a float that is no number is null."""
    assert {"a": [1.0, None, {"b": None}]} == plain({"a": (1.0, math.inf, {"b": math.nan})})


def test_table_of_outcomes() -> None:
    """One row per outcome; one without figures shows its state alone."""
    console = Console(width=120, record=True, file=io.StringIO())
    shown = snapshot(evaluation=evaluation(samples=12, windows=34, quality=quality(0.875)))
    console.print(as_table([Outcome("good", PullState.OK, shown), Outcome("bad", PullState.AUTH)]))
    lines = console.export_text().splitlines()

    (good,) = (line for line in lines if "good" in line)
    (bad,) = (line for line in lines if "bad" in line)
    assert all(text in good for text in ("ok", "12", "34", "accuracy 0.875"))
    assert ["bad", "auth"] == [cell for cell in bad.replace("│", " ").split() if cell]


def test_errors_are_no_formulas() -> None:
    """What Studio said when a pull failed is text in the CSV of runs, too."""
    (row,) = csv.DictReader(io.StringIO(runs_as_csv([replace(stored_run(), error="=cmd|' /C calc'!A0")])))

    assert row["error"] == "'=cmd|' /C calc'!A0"
    assert row["accuracy"] == ""


def test_mappings_with_several_keys_are_lists() -> None:
    """Also where they are empty: a program need not expect two forms of one field."""
    found = replace(quality(0.75), confusion={})

    assert [] == plain(found)["confusion"]
    assert [{"key": ["a", "b"], "value": 2}] == plain(replace(found, confusion={("a", "b"): 2}))["confusion"]
    assert {} == plain(replace(found, classes={}))["classes"]
