"""What all tests share."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from monitor import logs
from tests import quick
from tests.clock import Clock, Loop, assert_real_time, new_loop

UNCOVERED = {"acceptance", "chaos", "deploy"}
"""Folders whose tests are about other programs, or repeat for long what others cover: measuring them takes long."""

ONE_BY_ONE = {"acceptance", "deploy"}
"""Folders of which no two tests run at the same time."""

QUICK = "quick"
"""The choice of `-m` that a contributor makes after each change."""

settings.register_profile("ci", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(QUICK, parent=settings.get_profile("ci"), max_examples=20)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """`-m quick` tries fewer examples of what is drawn."""
    if config.getoption("markexpr") == QUICK:
        settings.load_profile(QUICK)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of an installed program by its name; without it the test is skipped by that name, and fails where CI
    promises it.
    """

    def path(name: str) -> str:
        if found := shutil.which(name):
            return found
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")

    return path


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own secrets: one's key must not be masked in what another one reads."""
    monkeypatch.setattr(logs.secrets, "_values", [])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m quick` imports no other modules: browsers, oracles and the like would take a third of its time."""
    if config.getoption("markexpr") != QUICK or not collection_path.is_relative_to(quick.TESTS):
        return None
    return None if quick.is_chosen(collection_path) else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the quick tests, before `-m` chooses among them; those that cost too much where coverage is measured; and
    those that must not run side by side.
    """
    covered, shared_out = config.pluginmanager.hasplugin("_cov"), config.pluginmanager.hasplugin("xdist")
    for item in items:
        if shared_out:  # a file's tests share what they start; containers share images and networks
            alone = quick.folder_of(item) in ONE_BY_ONE
            item.add_marker(pytest.mark.xdist_group("containers" if alone else str(item.path)))
        if covered and (item.get_closest_marker("slow") or quick.folder_of(item) in UNCOVERED):
            item.add_marker("no_cover")
        if quick.is_quick(item):
            item.add_marker(pytest.mark.quick)


def pytest_asyncio_loop_factories(item: pytest.Function) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test that takes the clock runs in scheduled time, all others in real time, and those that are marked so."""
    scheduled = "clock" in item.fixturenames and not item.get_closest_marker("real_time")
    return {"scheduled": new_loop} if scheduled else {"real": asyncio.new_event_loop}


def pytest_runtest_setup() -> None:
    """No test begins in another one's time, as where one patched the clock that was patched already."""
    assert_real_time()


@pytest.fixture
async def clock() -> Clock | None:
    """The clock of the test, which runs in scheduled time; None for one that does not, being no coroutine or marked."""
    loop = asyncio.get_running_loop()
    return loop.clock if isinstance(loop, Loop) else None
