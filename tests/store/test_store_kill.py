"""What was acknowledged survives `kill -9`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_killed_while_writing() -> None:
    """A store whose writer is killed at random moments opens, is intact, and has every acknowledged run."""
    program = Path(__file__).parents[1] / "benchmarks" / "store_kill.py"
    done = subprocess.run(
        [sys.executable, program, "--times", "3"], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 kills, ")
    assert done.stdout.endswith(" runs, 0 problems\n")
