"""The quick tests are some of every room."""

from __future__ import annotations

from pathlib import Path

import pytest

import monitor
from tests.quick import QUICK, TESTS, WHOLE

ROOMS = sorted(path.parent.name for path in Path(monitor.__file__).parent.glob("*/__init__.py"))


def test_every_room_is_known() -> None:
    """The folders of quick tests are the rooms of `monitor/`, and the one above them."""
    assert ["", *ROOMS] == sorted(QUICK)


@pytest.mark.parametrize("folder", sorted(QUICK))
def test_every_room_has_quick_tests_of_its_own(folder: str, pytestconfig: pytest.Config) -> None:
    """Each room has a folder of tests whose chosen modules exist, and each of those has a test that is quick."""
    modules = {path.stem: path for path in (TESTS / folder).glob("test_*.py")}
    chosen = set(modules) if QUICK[folder] == WHOLE else set(QUICK[folder])
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items() if name in chosen}
    slow = {name for name, text in texts.items() if "pytestmark = pytest.mark.slow" in text}

    assert chosen
    assert chosen <= modules.keys()
    assert chosen - slow
