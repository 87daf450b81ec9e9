"""Coverage of code that runs on greenlets."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = """\
import greenlet

def deep(parent):
    parent.switch()

def deeper(parent):
    deep(parent)

def work(begin, go_on):
    found = begin(greenlet.greenlet(deeper))
    return go_on(found)
"""
"""Not measured: what suspends itself, as a driver does, and those that call what is measured."""
MEASURED = """\
import greenlet

def begin(other):
    other.switch(greenlet.getcurrent())
    return other

def go_on(other):
    other.switch()
    done = other.dead
    return done

def never():
    return False
"""
MEASURE = """\
import sys
from pathlib import Path
from coverage import Coverage
from tests.tracers import trace_greenlets

measured = Path(sys.argv[1]) / "measured.py"
sys.path.insert(0, sys.argv[1])
coverage = Coverage(data_file=None, include=[str(measured)], config_file=False)
coverage.start()
trace_greenlets()
import library, measured as module
for _ in range(2):
    assert library.work(module.begin, module.go_on)
coverage.stop()
print(coverage.analysis(str(measured))[2])
"""


@pytest.mark.skipif(
    importlib.util.find_spec("coverage") is None, reason="coverage is not installed; the extra dev has it"
)
def test_lines_on_greenlets_are_those_that_ran(tmp_path: Path) -> None:
    """Each line that ran is covered, and no other one, where a greenlet is left and gone back to in between."""
    (tmp_path / "library.py").write_text(LIBRARY, encoding="utf-8")
    (tmp_path / "measured.py").write_text(MEASURED, encoding="utf-8")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert ("[13]\n", "", 0) == (done.stdout, done.stderr, done.returncode)
