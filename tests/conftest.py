"""What all tests share."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from monitor import logs
from tests import packing, quick
from tests.clock import Clock, Loop, assert_real_time, new_loop

UNCOVERED = {
    "acceptance",
    "browser",
    "chaos",
    "deploy",
    "compare/test_believe.py",
    "compare/test_quiet_targets.py",
    "service/test_isolation.py",
    "store/test_store_secrets.py",
}
"""Folders, and files, whose tests are about other programs, or repeat for long what others cover: measuring a test lets
it take twice as long.
"""

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
    """Mark the quick tests, before `-m` chooses among them, and those that cost too much where coverage is measured;
    put in front what workers are to begin with.
    """
    covered, shared_out = config.pluginmanager.hasplugin("_cov"), config.pluginmanager.hasplugin("xdist")
    if shared_out:
        items[:] = packing.in_turn(items)
    for item in items:
        where = {quick.folder_of(item), item.path.relative_to(quick.TESTS).as_posix()}
        if covered and (item.get_closest_marker("slow") or where & UNCOVERED):
            item.add_marker("no_cover")
        if quick.is_quick(item):
            item.add_marker(pytest.mark.quick)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadgroup` workers take the groups of `tests/packing.py`."""
    return packing.scheduler(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Coverage, where it is measured, is that of greenlets too."""
    if session.config.pluginmanager.hasplugin("_cov"):
        importlib.import_module("tests.tracers").trace_greenlets()


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
