"""Builds the wheel and the source archive, and runs the quick tests against the installed wheel.

`python -m tests.release DIRECTORY` writes both there. The wheel is installed into a new environment, and the tests run
from a copy without the source tree, so that nothing but what the wheel holds is imported. The exit code is that of the
tests.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "tests",
    "config",
    "deploy",
    "docs",
    ".ci",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "Dockerfile",
    "requirements.lock",
)
"""What tests read beside the package: everything but the package itself."""


def build(folder: Path) -> Path:
    """Build wheel and source archive of the checkout; answers the wheel.

    Raises:
        subprocess.CalledProcessError: The build failed; its output says why.
    """
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return max(folder.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def tested(wheel: Path, pytest: list[str]) -> int:
    """Run tests against an installed wheel, in a new environment; answers pytest's exit code.

    Raises:
        subprocess.CalledProcessError: The wheel cannot be installed; pip's output says why.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"{wheel}[test]"], check=True)
        beside = folder / "tests-only"
        beside.mkdir()
        for path in COPIED:
            source = ROOT / path
            if source.is_dir():
                shutil.copytree(source, beside / path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, beside / path)
        return subprocess.run([python, "-m", "pytest", *pytest], cwd=beside, check=False).returncode


def main() -> None:
    """Build, install, test."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("directory", type=Path, help="where wheel and source archive go")
    parser.add_argument(
        "pytest", nargs="*", default=["-m", "quick", "-q"], help="arguments for pytest; -m quick -q unless given"
    )
    arguments = parser.parse_args()
    sys.exit(tested(build(arguments.directory.resolve()), arguments.pytest))


if __name__ == "__main__":
    main()
