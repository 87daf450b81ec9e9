"""The groups of tests that workers take, and their order."""

from __future__ import annotations

import re

import pytest

from tests.packing import APART, CONTAINERS, LONGEST, TESTS, TOGETHER, group_of, in_turn, turn_of

FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


def test_containers_are_together() -> None:
    """Every file whose tests run containers is in their group, and no other one."""
    wanted = re.compile(r"\b(podman|image): ")
    using = {path for path in FILES if path.startswith("deploy/") and wanted.search((TESTS / path).read_text("utf-8"))}

    assert using == {path for path, group in TOGETHER.items() if group == CONTAINERS}


def test_every_group_that_comes_first_has_tests() -> None:
    """What is said to take longest, or to be apart, begins the name of some group."""
    groups = {group_of(f"tests/{path}::test_one[a/b::c]") for path in FILES}

    assert {turn_of(group) for group in groups} == set(range(len(LONGEST) + 1))
    assert all(any(path.startswith(folder) for path in FILES) for folder in APART)


def test_one_group_after_another(request: pytest.FixtureRequest) -> None:
    """A file's tests are one group, a trial is one by itself; those that take longest come first."""
    one, other = (f"tests/net/test_tls.py::{name}" for name in ("test_one", "test_other[::]"))
    trial, second = (f"tests/chaos/test_chaos.py::{name}" for name in ("test_one", "test_other[::]"))

    assert group_of(one) == group_of(other)
    assert group_of(trial) != group_of(second)
    turns = [turn_of(group_of(item.nodeid)) for item in in_turn(request.session.items)]
    assert sorted(turns) == turns
