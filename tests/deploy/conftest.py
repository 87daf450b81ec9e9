"""What the tests of deploy/ share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helm_python import Chart

from tests.deploy.deploy_podman import Podman, from_name
from tests.deploy.helm_chart import CHART


@pytest.fixture(scope="session")
def podman(program: Callable[[str], str]) -> Podman:
    """podman with the image's base in its storage; without what that needs the test is skipped, and fails where CI
    promises it.
    """
    needed = {name: program(name) for name in ("podman", "runc", "iptables", "mmdebstrap")}
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("the image's tests need root")
        pytest.skip("the image's tests need root")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impulse-monitor-tests"
    folder.mkdir(parents=True, exist_ok=True)
    engine = Podman(needed["podman"], folder)
    engine.make_base(needed["mmdebstrap"], from_name())
    return engine


@pytest.fixture(scope="session")
def image(podman: Podman) -> str:
    """The id of the image, built from the working tree."""
    return podman.build()


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The chart as Helm loads it."""
    return Chart.load(CHART)
