"""What `pip install` and a source archive bring along."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from monitor import __version__

ROOT = Path(__file__).resolve().parents[1]
ALONE = {
    ".dockerignore",
    ".editorconfig",
    ".gitignore",
    ".importlinter",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    "requirements.lock",
}
NAME = f"impulse_monitor-{__version__}"


def files(*folders: str) -> set[str]:
    """Every file below folders of the project, but for what Python leaves there."""
    found = {
        path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()
    }
    return {path for path in found if "__pycache__" not in path}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_wheel(built: Path) -> None:
    """The wheel holds the service, its templates and its type marker, and no test, secret or leftover."""
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        inside = {name for name in wheel.namelist() if not name.startswith(f"{NAME}.dist-info/")}

    assert files("monitor") == inside
    assert {"monitor/py.typed", "monitor/web/templates/status.html", "monitor/store/migrations/env.py"} <= inside


def test_source_archive(built: Path) -> None:
    """Whoever unpacks the source archive can run the tests and deploy from it: nothing that they read is left out."""
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        inside = {member.name.removeprefix(f"{NAME}/") for member in archive if member.isfile() or member.issym()}

    assert files(".ci", "config", "deploy", "docs", "monitor", "tests") | ALONE == inside - {"PKG-INFO"}


def test_links_in_the_source_archive(built: Path, tmp_path: Path) -> None:
    """The chart's links lead to the same files from the source archive, unpacked as pip does it."""
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        links = [member.name for member in archive if member.issym()]
        archive.extractall(tmp_path, filter="data")
    unpacked = {name.removeprefix(f"{NAME}/"): (tmp_path / name).read_bytes() for name in links}

    assert {path.split("/")[3] for path in unpacked} == {"dashboards", "rules"}
    assert {path: (ROOT / path).read_bytes() for path in unpacked} == unpacked
