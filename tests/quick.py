"""Which tests `pytest -m quick` runs: some of every room, as many as take less than a minute together.

They were chosen by what they cost, `pytest --durations=0`. A test of a quick module that takes longer than others is
marked `slow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

TESTS = Path(__file__).parent
WHOLE = ("*",)
"""All modules of a folder."""

QUICK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "": ("test_clock", "test_docs", "test_logs", "test_quick", "test_results", "test_waiting"),
        "alerts": WHOLE,
        "cli": ("test_commands",),
        "compare": ("test_carry_over", "test_change", "test_comparison", "test_conclusion"),
        "config": WHOLE,
        "engine": WHOLE,
        "exposition": WHOLE,
        "figures": WHOLE,
        "live": WHOLE,
        "net": WHOLE,
        "notify": ("test_notify_http", "test_notify_registry"),
        "pipeline": ("test_run",),
        "service": ("test_secrets", "test_store_upkeep"),
        "simulator": ("test_simulator_ground", "test_simulator_matching", "test_simulator_shape"),
        "store": (
            "test_arrivals",
            "test_converting",
            "test_store",
            "test_store_alert_documents",
            "test_store_columns",
            "test_store_documents",
            "test_stored_fields",
        ),
        "studio": ("test_classes", "test_columns", "test_decoding", "test_model_testing_thresholds", "test_replies"),
        "views": WHOLE,
        "web": ("test_web_health",),
    }
)
"""The modules by folder of `tests/`: a folder for each room of `monitor/`, and the modules beside them."""


def folder_of(item: pytest.Item) -> str:
    """The folder of `tests/` that a test is in; empty for one that is in none."""
    return _folder(item.path)


def is_quick(item: pytest.Item) -> bool:
    """Whether a test is one of them."""
    return is_chosen(item.path) and not any(item.get_closest_marker(mark) for mark in ("acceptance", "slow"))


def is_chosen(path: Path) -> bool:
    """Whether a module of tests is chosen, or a folder has one that is. What is not need not be imported."""
    if path.is_dir():
        return path == TESTS or path.relative_to(TESTS).as_posix() in QUICK
    modules = QUICK.get(_folder(path), ())
    return modules == WHOLE or path.stem in modules


def _folder(path: Path) -> str:
    return path.relative_to(TESTS).parent.as_posix().removeprefix(".")
