"""What the figures of a classifier cost, beside a bare NumPy confusion count with its F1s and beside scikit-learn.

`python tests/benchmarks/quality.py`; all measured side by side in one run. Intended: at most 3 times the bare count at
1,000,000 windows and 20 classes; well under a second for everything at 5,000 samples, intervals included.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from monitor.figures.calibration import calibration
from monitor.figures.classification import quality
from monitor.results import Confidences, ResultSet
from tests.figures.strategies import CLASSIFIER, population, simulated

CLASSES = 20


def bare(results: ResultSet) -> np.ndarray:
    """F1 by class of labels and predictions that are known to be codes 0..19, and nothing else."""
    cells = np.bincount(results.label.astype(np.intp) * CLASSES + results.prediction, minlength=CLASSES * CLASSES)
    confusion = cells.reshape(CLASSES, CLASSES)
    return 2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))


def scikit_learn(results: ResultSet) -> tuple[object, ...]:
    """The same figures as `quality`, by scikit-learn."""
    truth, guess, classes = results.label, results.prediction, range(CLASSES)
    averages = (None, "macro", "weighted", "micro")
    f1 = [
        precision_recall_fscore_support(truth, guess, labels=classes, average=average, zero_division=0)
        for average in averages
    ]
    return accuracy_score(truth, guess), confusion_matrix(truth, guess, labels=classes), f1


def made(samples: int, windows: int, *, confidences: bool = False) -> ResultSet:
    """A simulated result set of 20 classes."""
    rng = np.random.default_rng(1)
    shares = np.full(CLASSES, 1 / CLASSES)
    results = simulated(rng, shares, population(shares, 0.9)[0], samples, windows, 0.5)
    if confidences:
        values = rng.dirichlet(np.full(CLASSES, 0.2), results.windows)
        results = replace(results, confidences={CLASSIFIER.id: Confidences(results.labels, values)})
    return results


def seconds(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The fastest of several rounds, taken in turn so that what disturbs one disturbs all."""
    best = dict.fromkeys(jobs, np.inf)
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Print the ratios, then what the intervals add."""
    results = made(1_000_000, 1)
    print(f"{results.windows:,} windows, {CLASSES} classes, without intervals")
    jobs = {"bare count": lambda: bare(results), "quality": lambda: quality(results, None)}
    times = seconds(jobs, 20) | seconds({"scikit-learn": lambda: scikit_learn(results)}, 1)
    for name, taken in times.items():
        print(f"  {name:14}{taken * 1e3:10.2f} ms{taken / times['bare count']:10.2f} x")

    print("quality and calibration, with intervals")
    for samples, windows in ((5_000, 1), (5_000, 10), (100_000, 10), (1_000_000, 1)):
        results = made(samples, windows, confidences=samples * windows <= 100_000)
        taken = seconds({"": lambda results=results: (quality(results, 1), calibration(results))}, 1)[""]
        tracemalloc.start()
        quality(results, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  {samples:>9,} samples x {windows:>2} windows{taken:8.2f} s, peak {peak / 1e6:4.0f} MB")


if __name__ == "__main__":
    main()
