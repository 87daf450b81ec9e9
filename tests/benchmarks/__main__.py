"""`python -m tests.benchmarks`: lists the benchmarks; with a name and its options, runs one."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """List or run."""
    files = [path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_")]
    names = sorted([*files, *(path.parent.name for path in HERE.glob("*/__main__.py"))])
    if len(sys.argv) > 1 and sys.argv[1] in names:
        name = sys.argv[1]
        sys.argv = [name, *sys.argv[2:]]
        runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__", alter_sys=True)
        return 0
    for name in names:
        print(f"{name:17}{(importlib.import_module(f'tests.benchmarks.{name}').__doc__ or '').splitlines()[0]}")
    return int(len(sys.argv) > 1)


sys.exit(main())
