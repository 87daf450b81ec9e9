"""`samples`: what it prints of a store, for people and for spreadsheets, whatever things are called there."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from monitor.compare.changed_windows import ChangedSamples, ChangedWindow, changed_samples
from monitor.compare.side_kinds import ADDED_WRONG, NEWLY_WRONG, VARIANT_GAINED, VARIANT_LOST
from monitor.store import Store
from tests.cli.commands import run
from tests.label_sets import noisy
from tests.store.store_sets import run as stored_run

TARGET = "101-1-int8-testing"
URL = "https://studio.edgeimpulse.com/studio/101/impulse/1/validation"
LARGEST = 2**63 - 1
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "<script>alert(1)</script>",
    "\x1b[2J\x9b31m\x07",
    "\u202egpj.exe",
    "[bold]no[/italic]",
    "javascript:alert(1)",
    'a,"b"\nc',
    "x" * 256,
]
"""Names of files, and of classes."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose store has lists of a target in which everything is called badly, and a run of another."""
    path = tmp_path / "monitor.yaml"
    url = f"sqlite:///{tmp_path}/x.db"
    path.write_text(yaml.safe_dump({"projects": [{"id": 101, "api_key": "k"}], "store": url}), encoding="utf-8")
    windows = [
        ChangedWindow(LARGEST - place, name, 0.0, 2000.0, name, name, 0.25, "idle", "idle", 0.75, name, 0.125)
        for place, name in enumerate(HOSTILE)
    ]
    plain = [ChangedWindow(7, None, None, None, "-3.5", "-1e-3", None, None, None, None)]
    changed = ChangedSamples(
        {NEWLY_WRONG: 54, ADDED_WRONG: 1}, {NEWLY_WRONG: 9}, {NEWLY_WRONG: windows, ADDED_WRONG: plain}
    )

    differing = ChangedSamples({VARIANT_LOST: 3, VARIANT_GAINED: 0}, {}, {VARIANT_LOST: plain, VARIANT_GAINED: []})

    async def fill() -> None:
        async with Store(url) as store, store.transaction() as tx:
            for target in (TARGET, "101-1-float32-testing"):
                await tx.add_run(stored_run(target_id=target))
            await tx.put_changed_samples(TARGET, ("b", "c"), changed)
            await tx.put_changed_samples(TARGET, ("r", "c"), differing, "float32")

    asyncio.run(fill())
    return path


def test_a_table_for_people(config: Path) -> None:
    """The first lines say how many samples there are, and where; the table fits 80 columns, has no boxes, cuts no id,
    and nothing in it moves the terminal's cursor or turns its writing.
    """
    text = run("samples", TARGET, "--config", config).stdout
    first, url, *lines = text.splitlines()

    assert ("54 samples newly wrong, 9 of them look mislabelled", URL) == (first, url)
    assert max(map(len, lines)) <= 80
    assert [str(LARGEST - place) for place in range(len(HOSTILE))] == [
        line.split()[0] for line in lines if line.startswith("9")
    ]
    assert set("\x1b\x9b\x07\u202e\r\t│┃━").isdisjoint(text)
    assert "[bold]no" in "".join(text.split())
    assert len(HOSTILE) == text.count("0.75 →") == text.count(" 0.25 ")


def test_csv_for_spreadsheets(config: Path) -> None:
    """No field begins like a formula; without the apostrophe it is as it was but for what commands a terminal, and
    numbers have none.
    """
    rows = list(csv.DictReader(io.StringIO(run("samples", TARGET, "--config", config, "--format", "csv").stdout)))
    (plain,) = csv.DictReader(
        io.StringIO(run("samples", TARGET, "--config", config, "--format", "csv", "--kind", "added-wrong").stdout)
    )

    expected = [f"'{name}" if name[0] in "=+-@\t\r\x1b" else name for name in HOSTILE]
    for column in ("filename", "label", "prediction", "looks_like"):
        assert [name.replace("\x1b[2J", "") for name in expected] == [row[column] for row in rows]
    assert ("-3.5", "-1e-3", "") == (plain["label"], plain["prediction"], plain["filename"])
    assert {URL} == {row["url"] for row in rows}


def test_json_for_programs(config: Path) -> None:
    """JSON has names as they are, and the next page's cursor."""
    found = json.loads(run("samples", TARGET, "--config", config, "--format", "json", "--limit", "5").stdout)

    assert HOSTILE[:5] == [row["filename"] for row in found["samples"]]
    assert (len(HOSTILE), {"newly_wrong": 54, "added_wrong": 1, "variant_lost": 3, "variant_gained": 0}, "b") == tuple(
        found[name] for name in ("listed", "counts", "baseline")
    )
    assert found["next"]


def test_samples_on_which_two_variants_differ(config: Path) -> None:
    """Those are lists like the others, in which the reference variant stands where else the baseline does."""
    options = ("samples", TARGET, "--config", config, "--kind", "variant-lost")
    found = json.loads(run(*options, "--format", "json").stdout)
    (row,) = csv.DictReader(io.StringIO(run(*options, "--format", "csv").stdout))

    assert (found["baseline"], found["current"], found["against"]) == ("r", "c", "float32")
    assert found["counts"] == {"newly_wrong": 54, "added_wrong": 1, "variant_lost": 3, "variant_gained": 0}
    assert (row["id"], row["prediction"], row["prediction_reference"]) == ("7", "-1e-3", "")
    assert "prediction_before" not in row
    assert run(*options).stdout.startswith(f"3 samples that only the reference variant gets right\n{URL}\n")


def test_a_list_that_ends_before_the_samples_do(tmp_path: Path) -> None:
    """Of more samples than a list names the count is right, and it is said where the list ends."""
    wrong = noisy(np.random.default_rng(1), 11_000, 0.0)
    after = wrong.results(np.roll(wrong.p, 1, axis=1))
    changed = changed_samples(wrong.results(), after, find_suspects=False)
    path = tmp_path / "monitor.yaml"
    url = f"sqlite:///{tmp_path}/x.db"
    path.write_text(yaml.safe_dump({"projects": [{"id": 101, "api_key": "k"}], "store": url}), encoding="utf-8")

    async def fill() -> None:
        async with Store(url) as store, store.transaction() as tx:
            await tx.add_run(stored_run(target_id=TARGET))
            await tx.put_changed_samples(TARGET, ("b", "c"), changed)

    asyncio.run(fill())
    text = run("samples", TARGET, "--config", path, "--limit", "3").stdout
    whole = json.loads(run("samples", TARGET, "--config", path, "--limit", "20000", "--format", "json").stdout)

    assert changed.counts[NEWLY_WRONG] > 10_000
    assert text.startswith(f"{changed.counts[NEWLY_WRONG]:,} samples newly wrong\n")
    assert "--limit 10000 prints all of it" in text
    assert "The list ends at 10,000 windows" in text
    assert (len(whole["samples"]), whole["next"]) == (10_000, None)


def test_what_there_is_not(config: Path) -> None:
    """A target that the store does not know is exit code 1 with those that it knows; one without lists says so; a list
    without windows is none; another kind is wrong usage that names those there are.
    """
    unknown = run("samples", "1-1-int8-testing", "--config", config)
    without = run("samples", "101-1-float32-testing", "--config", config)
    empty = run("samples", TARGET, "--config", config, "--kind", "fixed")
    wrong = run("samples", TARGET, "--config", config, "--kind", "newly_wrong")

    assert (1, "") == (unknown.exit_code, unknown.stdout)
    assert f"it knows the targets: 101-1-float32-testing, {TARGET}" in unknown.stderr
    assert (1, "") == (without.exit_code, without.stdout)
    assert "has no lists of samples yet" in without.stderr
    assert (0, f"0 samples fixed\n{URL}\n") == (empty.exit_code, empty.stdout)
    assert 2 == wrong.exit_code
    assert "suspect-label" in wrong.stderr
