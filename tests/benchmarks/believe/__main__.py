"""`python -m tests.benchmarks believe [--quick] [--targets N] [--list] [SECTION or words of a cell ...]`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from monitor.service.memory import share_heap
from tests.benchmarks.believe import calibration, cost, coverage, delay, errors, power, quiet
from tests.benchmarks.believe.sections import Effort

T = TypeVar("T")
SECTIONS = {
    "quiet": quiet,
    "delay": delay,
    "errors": errors,
    "coverage": coverage,
    "calibration": calibration,
    "power": power,
    "cost": cost,
}
TARGETS, QUICK_TARGETS = 500, 40


def _has(cell: str, word: str) -> bool:
    """Whether a cell's name has a word, or a phrase."""
    return word in cell.split() or (" " in word and word in cell)


def main() -> None:
    """Print the sections and cells asked for; all of them by default, which takes many hours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", nargs="*", help="sections, and words or phrases of cells; default: all")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TARGETS} targets a cell instead of {TARGETS}")
    parser.add_argument("--targets", type=int, help="so many targets a cell")
    parser.add_argument("--days", type=int, default=365, help="of a simulated year")
    parser.add_argument("--list", action="store_true", help="print the names of the cells, and exit")
    asked = parser.parse_args()
    words = [word for word in asked.wanted if word not in SECTIONS]

    def wanted(cell: str) -> bool:
        return all(_has(cell, word) for word in words)

    cells = [
        (name, f"{name} {cell}")
        for name in ([name for name in SECTIONS if name in asked.wanted] or SECTIONS)
        for cell in SECTIONS[name].CELLS
    ]
    if unknown := [word for word in words if not any(_has(cell, word) for _, cell in cells)]:
        parser.error(f"no section and no cell asked for has {', '.join(unknown)}: sections are {', '.join(SECTIONS)}")
    cells = [(name, cell) for name, cell in cells if wanted(cell)]
    if not cells:
        parser.error(f"no cell has all of {', '.join(words)}: --list prints them")
    if asked.list:
        for _, cell in cells:
            print(cell)
        return
    targets = asked.targets or (QUICK_TARGETS if asked.quick else TARGETS)

    with ProcessPoolExecutor(os.cpu_count(), initializer=share_heap) as pool:

        def mapped(function: Callable[[int], T], arguments: Iterable[int]) -> Iterator[T]:
            return pool.map(function, arguments, chunksize=4)

        for name in dict(cells):
            SECTIONS[name].run(Effort(targets, asked.days, wanted, mapped))


if __name__ == "__main__":
    main()
