"""A row of the table is a headline figure everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ("tests.figures.added_figure", "tests.config.conftest", "tests.web.conftest")


@pytest.mark.slow
def test_added_figure_is_everywhere() -> None:
    """A figure that is added to the table, and to nothing else, reaches all that is made of it.

    In a process of its own: rooms read the table when they are imported.
    """
    plugins = [argument for plugin in PLUGINS for argument in ("-p", plugin)]
    environ = {name: value for name, value in os.environ.items() if name not in ("UPDATE_GOLDEN", "PYTEST_ADDOPTS")}
    walked = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "tests/figures/walk_added_figure.py"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert 0 == walked.returncode, walked.stdout + walked.stderr
