"""The systemd unit."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "impulse-monitor.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the path of a program that exists here, which is all that verification may miss."""
    text = UNIT.read_text(encoding="utf-8").replace("/opt/impulse-monitor/bin/impulse-monitor", sys.executable)
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    return tmp_path / UNIT.name


def values(key: str) -> list[str]:
    """All values of a key."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def test_verified(unit: Path, program: Callable[[str], str]) -> None:
    """systemd finds nothing wrong with the unit, and would say so if there were."""
    analyze = program("systemd-analyze")

    def says(path: Path) -> str:
        return subprocess.run([analyze, "verify", "--man=no", path], capture_output=True, text=True, check=False).stderr

    # Units of the machine's own that are loaded with it may have faults of theirs.
    assert [] == [line for line in says(unit).splitlines() if unit.name in line]

    unit.write_text(
        unit.read_text(encoding="utf-8").replace("ProtectSystem=strict", "ProtectSystem=stirct"), encoding="utf-8"
    )

    assert "stirct" in says(unit)


def test_exposure(unit: Path, program: Callable[[str], str]) -> None:
    """systemd rates what the service may reach at 1.5 of 10 at most."""
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout[-400:]


def test_command_line(tmp_path: Path) -> None:
    """What the unit runs is what the command takes: only the configuration is missing here."""
    (start,) = values("ExecStart")
    arguments = [word.replace("/etc/impulse-monitor", str(tmp_path)) for word in shlex.split(start)[1:]]
    done = subprocess.run([sys.executable, "-m", "monitor", *arguments], capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert f"{tmp_path}/monitor.yaml:1: cannot be read" in done.stderr


def test_grace() -> None:
    """systemd waits for longer than the service lets pulls in flight end, and reloads with the signal that it knows."""
    assert ["30"] == values("TimeoutStopSec")
    assert ["/bin/kill -HUP $MAINPID"] == values("ExecReload")
