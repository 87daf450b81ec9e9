"""`python -m tests.chaos`: lists the trials; with a name and its options, runs one."""

from __future__ import annotations

import importlib
import runpy
import sys

NAMES = ("fleet", "members", "week", "kills", "fuzz", "memory")


def main() -> int:
    """List or run."""
    if len(sys.argv) > 1 and sys.argv[1] in NAMES:
        name = sys.argv[1]
        sys.argv = [name, *sys.argv[2:]]
        runpy.run_module(f"tests.chaos.{name}", run_name="__main__", alter_sys=True)
        return 0
    for name in NAMES:
        print(f"{name:8}{(importlib.import_module(f'tests.chaos.{name}').__doc__ or '').splitlines()[0]}")
    return int(len(sys.argv) > 1)


sys.exit(main())
