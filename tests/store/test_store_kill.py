"""What was acknowledged survives `kill -9`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_while_writing() -> None:
    """A store whose writer is killed at random moments opens, is intact, and has every acknowledged run."""
    command = [sys.executable, "-m", "tests.benchmarks.store_kill", "--times", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 kills, ")
    assert done.stdout.endswith(" runs, 0 problems\n")
