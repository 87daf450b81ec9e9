"""The tables of docs/configuration.md are those that the models give."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from monitor.config.base import ConfigModel
from monitor.config.reference import SECTIONS, table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def test_tables_are_as_the_command_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m monitor.config --docs docs/configuration.md` changes nothing."""
    copy = tmp_path / "configuration.md"
    copy.write_bytes(PAGE.read_bytes())
    monkeypatch.setattr(sys, "argv", ["monitor.config", "--docs", str(copy)])
    runpy.run_module("monitor.config", run_name="__main__")

    assert PAGE.read_text(encoding="utf-8") == copy.read_text(encoding="utf-8")


def test_wrong_usage_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other arguments end `python -m monitor.config` with how it is called."""
    monkeypatch.setattr(sys, "argv", ["monitor.config", "--docs"])
    with pytest.raises(SystemExit, match=r"^usage: python -m monitor.config \[--docs PAGE\]$"):
        runpy.run_module("monitor.config", run_name="__main__")


def test_a_table_for_each_model() -> None:
    """Each model with a table has it once, below its heading."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {
        model: part.partition("\n")[0].strip("`").lower()
        for part in parts
        for model in re.findall(r"<!-- table: (\w+) -->", part)
    }

    assert {model.__name__: heading for model, heading in SECTIONS.items()} == found


class Inner(ConfigModel):
    """A part of a mapping."""

    depth: int = 3
    """How deep it is."""


class Outer(ConfigModel):
    """A mapping."""

    exactly_one = ("inner", "other")

    inner: Inner | None = None
    """What is
    inside."""
    other: str | None = None
    """What is | outside."""


def test_rows() -> None:
    """A key has its default and the sentence of its docstring; keys of a part follow it."""
    assert [
        "| `inner` | one of `inner`, `other` | What is inside. |",
        "| `inner.depth` | `3` | How deep it is. |",
        "| `other` | one of `inner`, `other` | What is \\| outside. |",
    ] == table(Outer).splitlines()[2:]
