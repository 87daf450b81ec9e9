"""Which tests xdist keeps together on one worker, and which of them workers begin with.

What takes longest comes first: a worker that is left with it at the end works alone. Left to itself, xdist begins with
what holds the most tests, which says little of how long they take.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
CONTAINERS = "containers"

TOGETHER = {
    "deploy/test_deploy_compose.py": CONTAINERS,
    "deploy/test_deploy_helm_play.py": CONTAINERS,
    "deploy/test_deploy_image.py": CONTAINERS,
}
"""Files that share more than a file's tests do, by the group that they are in: containers share images and networks."""

APART = ("chaos/",)
"""Folders whose tests share nothing, and take so long that each is a group of its own."""

LONGEST = (
    CONTAINERS,
    "acceptance/test_stack.py",
    "chaos/",
    "store/test_store_secrets.py",
    "store/test_store_upgrade.py",
    "service/test_alerts_service.py",
    "service/test_app.py",
    "browser/test_every_page.py",
    "web/test_web_api.py",
)
"""How the groups begin that take longer than others, the longest first, by `pytest --durations=0`."""


def group_of(test: str) -> str:
    """The group of a test by its node id: a file's tests share what they start."""
    path = test.partition("::")[0].removeprefix("tests/")
    return test if path.startswith(APART) else TOGETHER.get(path, path)


def turn_of(group: str) -> int:
    """The place of a group among those that take longest, or behind them all."""
    path = group.removeprefix("tests/")
    return next((place for place, begins in enumerate(LONGEST) if path.startswith(begins)), len(LONGEST))


def in_turn(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which workers are to begin with their groups."""
    return sorted(items, key=lambda item: turn_of(group_of(item.nodeid)))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """What hands the groups of tests to xdist's workers, in the order of the tests."""
    config.option.loadscopereorder = False
    by_scope = importlib.import_module("xdist.scheduler").LoadScopeScheduling

    class ByGroup(by_scope):  # type: ignore[valid-type]
        """A scope is a group."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)
