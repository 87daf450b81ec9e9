"""What all tests share."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


def program(name: str, *others: str) -> str:
    """Path of an installed program; without it the test is skipped by its name, and fails where CI promises it."""
    for candidate in (name, *others):
        if path := shutil.which(candidate):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed")
    pytest.skip(f"{name} is not installed")
