"""Figures of generated legal pages beside scikit-learn, pycocotools and NumPy, thousands of cases (`--cases 5000`).

`python -m tests.benchmarks pages [--cases N] [--kind KIND] [--seed N]`. Per kind of impulse: how many sets were
compared, how many figures, and the largest deviation (relative beyond 1). A set that disagrees is shrunk and printed,
with what it takes to make it again; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
import time

import hypothesis
from hypothesis import HealthCheck, Phase, settings

from tests.pages.page_checks import check
from tests.pages.page_content import content
from tests.pages.page_replies import Spelling
from tests.pages.page_shapes import KINDS, Shape
from tests.pages.page_strategies import shapes, spellings


class Tally:
    """What was compared of one kind."""

    def __init__(self) -> None:
        self.cases = self.figures = 0
        self.largest = 0.0
        self.failure = ""


def compare(kind: str, cases: int, seed: int) -> Tally:
    """So many sets of one kind; ends at the first that disagrees, shrunk."""
    tally = Tally()

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(shapes((kind,)), spellings)
    def holds(shape: Shape, spelling: Spelling) -> None:
        figures, largest = check(content(shape), spelling)
        tally.cases += 1
        tally.figures += figures
        tally.largest = max(tally.largest, largest)

    try:
        holds()
    except Exception as error:
        tally.failure = "\n".join([f"{kind}: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return tally


def main() -> int:
    """Print one line per kind, then what disagreed."""
    parser = argparse.ArgumentParser(prog="pages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000, help="how many sets in all")
    parser.add_argument("--kind", choices=KINDS, help="only this kind of impulse")
    parser.add_argument("--seed", type=int, default=0, help="other sets for another number")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else KINDS
    started, failures = time.perf_counter(), []
    cases = figures = 0
    print(f"{'kind':32}{'cases':>8}{'figures':>10}{'largest deviation':>20}")
    for kind in kinds:
        tally = compare(kind, -(-options.cases // len(kinds)), options.seed)
        print(
            f"{kind:32}{tally.cases:8,}{tally.figures:10,}{tally.largest:20.1e}"
            f"{'  DISAGREES' if tally.failure else ''}",
            flush=True,
        )
        cases, figures = cases + tally.cases, figures + tally.figures
        failures += [tally.failure] if tally.failure else []
    print(f"{'all':32}{cases:8,}{figures:10,}  in {time.perf_counter() - started:.0f} s")
    for failure in failures:
        print(f"\n{failure}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
