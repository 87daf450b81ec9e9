"""The locked dependencies of the image."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

EXTRAS = PROJECT["project"]["optional-dependencies"]
LOCKS = [
    pytest.param(
        "requirements.lock",
        [*PROJECT["project"]["dependencies"], *EXTRAS["apprise"], *EXTRAS["postgresql"]],
        id="service",
    ),
    pytest.param("deploy/image/build.lock", PROJECT["build-system"]["requires"], id="build"),
]
every_lock = pytest.mark.parametrize(("lock", "wanted"), LOCKS)


def entries(lock: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each locked requirement with its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            yield Requirement(requirement.strip()), [found.strip() for found in hashes]


def locked(lock: str) -> dict[str, list[Requirement]]:
    """The locked requirements by name; some have an entry per Python version."""
    found: dict[str, list[Requirement]] = {}
    for requirement, _ in entries(lock):
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def version(requirement: Requirement) -> str:
    """The one version that a locked requirement allows."""
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


@every_lock
def test_satisfies(lock: str, wanted: list[str]) -> None:
    """Each dependency of pyproject.toml is locked, at a version that it allows; the lock's first lines say how to make
    it anew.
    """
    found = locked(lock)
    for text in wanted:
        requirement = Requirement(text)
        pins = found.get(canonicalize_name(requirement.name))

        assert pins, f"{requirement.name} is not in {lock}"
        assert all(requirement.specifier.contains(version(pin), prereleases=True) for pin in pins), (text, pins)


@every_lock
def test_complete(lock: str, wanted: list[str]) -> None:
    """What the locked packages need themselves is locked too, as far as they are installed here in that version: what
    only tests need may want an older one.
    """
    found = locked(lock)
    extras: dict[str, set[str]] = {
        canonicalize_name(Requirement(text).name): Requirement(text).extras for text in wanted
    }
    missing = []
    checked = 0
    for name in found:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed not in map(version, found[name]):
            continue
        needs = importlib.metadata.requires(name) or []
        checked += 1
        for need in map(Requirement, needs):
            environments: list[dict[str, Any]] = [
                {**default_environment(), "extra": extra} for extra in ("", *extras.get(name, set()))
            ]
            if need.marker is None or any(need.marker.evaluate(environment) for environment in environments):
                missing += [f"{name} needs {need.name}"] if canonicalize_name(need.name) not in found else []

    assert [] == missing
    assert checked > 0 or lock != "requirements.lock"


@every_lock
def test_hashes(lock: str, wanted: list[str]) -> None:
    """Every entry has hashes."""
    without = [str(requirement) for requirement, hashes in entries(lock) if not hashes]
    odd = [found for _, hashes in entries(lock) for found in hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", found)]

    assert ([], []) == (without, odd)
    assert len(list(entries(lock))) >= len(wanted)


@every_lock
def test_no_addresses(lock: str, wanted: list[str]) -> None:
    """The lock says what to install, never where from: no address, no index, no path of a machine."""
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert [] == re.findall(r"^.*(?:://|file:| @ |--(?:extra-)?index|--find-links|^\s*-[ief] ).*$", text, re.MULTILINE)


def test_build_is_what_the_project_names() -> None:
    """The build's own list of requirements is that of pyproject.toml."""
    lines = (ROOT / "deploy" / "image" / "build.in").read_text(encoding="utf-8").splitlines()

    assert PROJECT["build-system"]["requires"] == [line for line in lines if not line.startswith("#")]
