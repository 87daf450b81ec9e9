"""How often the 95 % intervals of accuracy and mean F1 hold the truth, on simulated test sets whose truth is known.

`python tests/benchmarks/coverage.py [REPLICATES]`; intended: between 92 % and 97 %.
"""

from __future__ import annotations

import sys

import numpy as np

from monitor.figures.classification import quality
from monitor.figures.evaluation import Interval
from tests.figures.strategies import population, simulated

POPULATIONS = {"balanced": np.full(4, 0.25), "a class at 6 %": np.array([0.06, 0.24, 0.3, 0.4])}


def coverage(
    shares: np.ndarray, recall: float, samples: int, windows: int, replicates: int, seed: int
) -> list[tuple[int, int]]:
    """(Intervals that held the truth, intervals given), for accuracy and mean F1; windows of a
    sample correlate by 0.5.
    """
    rng = np.random.default_rng(seed)
    confusion, accuracy, f1 = population(shares, recall)
    held: tuple[list[bool], list[bool]] = ([], [])
    for replicate in range(replicates):
        found = quality(simulated(rng, shares, confusion, samples, windows, 0.5**0.5), seed=replicate)
        assert found is not None
        for kept, bounds, truth in zip(
            held, (found.accuracy_interval, found.mean_f1_interval), (accuracy, f1), strict=True
        ):
            if isinstance(bounds, Interval):
                kept.append(bounds.lower <= truth <= bounds.upper)
    return [(sum(kept), len(kept)) for kept in held]


def main(replicates: int) -> None:
    """Print one line per simulated population and size."""
    print(
        f"{'classes':16}{'recall':>8}{'samples':>9}{'windows each':>14}{'accuracy':>11}{'mean F1':>11}"
        f"{'without bounds':>16}"
    )
    for name, shares in POPULATIONS.items():
        for recall in (0.8, 0.95, 0.99):
            for samples in (200, 1000):
                for windows in (1, 10):
                    (accuracy, all_accuracy), (f1, all_f1) = coverage(
                        shares, recall, samples, windows, replicates, seed=1
                    )
                    shown = f"{accuracy / all_accuracy:11.1%}{f1 / all_f1:11.1%}{replicates - all_f1:16}"
                    print(f"{name:16}{recall:8}{samples:9}{windows:14}{shown}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
