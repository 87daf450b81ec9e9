"""Score drift on simulated targets: false alarms over many looks, delay until detection, and cost.

`python -m tests.benchmarks drift [alarms] [delay] [cost] [--targets N] [--looks N]`; without names, all three.

alarms  Quiet targets (nothing drifts) whose result set grows by 20 new samples at each look. Intended: at most 1 % ever
        alarm, whatever the size of the baseline and however many correlated windows a sample has; beside it a
        Kolmogorov-Smirnov test at 1 % of each look's new windows against the baseline's. The one-decision test is taken
        once per target, of as many new samples as the baseline has, at 1 %, with and without the effect gate.
delay   Looks of 20 new samples until the alarm, after a shift.
cost    Four distances of 1,000,000 scores against NumPy's sorts and sums of them (intended: at most 3 times); the
        one-decision test at 1,000,000 scores against 10,000 (at most 4 times); counting new samples.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import kolmogorov

from monitor.compare.distances import distances, gate_open
from monitor.compare.evidence import EvidenceState, begin, count, look
from monitor.compare.evidence_samples import Scores
from monitor.compare.martingale import ALARM, advance, start
from monitor.compare.permutation import paired_pvalue, two_sample_pvalue

NEW = 20  # samples per look
LEVEL = 0.01
LIMIT = 4.5  # the block's threshold: some 2 % of quiet samples with one window are above it
UNDATED = np.full(NEW, np.datetime64("NaT"), "datetime64[ms]")


class Quiet(NamedTuple):
    """What one quiet target came to: whether each kind of alarm was ever raised."""

    evidence: bool
    evidence_and_gate: bool
    naive: bool
    decision: bool
    decision_and_gate: bool


def windows_of(rng: np.random.Generator, samples: int, windows: int, shift: float = 0.0) -> np.ndarray:
    """float64[samples, windows]: right-skewed scores, standard deviation 1; the normal scores of a sample's windows
    correlate by 0.5.
    """
    own = rng.normal(size=(samples, windows))
    normal = math.sqrt(0.5) * (rng.normal(size=(samples, 1)) + own)
    return np.exp(normal / 2) / 0.6039 + shift


def begun(target: int, reference: np.ndarray) -> EvidenceState:
    """The state before the first look."""
    return begin(Scores(np.arange(len(reference)), reference, np.full(len(reference), UNDATED[0])), None, target)


def looked(state: EvidenceState, number: int, scores: np.ndarray) -> EvidenceState:
    """The state after a look's new samples; without significant evidence no gate is needed."""
    new = Scores(1_000_000 + NEW * number + np.arange(NEW), scores, UNDATED)
    state = count(state, new, UNDATED[0])
    return look(state, new, LIMIT, number) if state.evidence >= ALARM else state


def quiet(target: int, baseline: int, windows: int, looks: int) -> Quiet:
    """Watch one target over its looks, while nothing drifts."""
    rng = np.random.default_rng([target, baseline, windows])
    reference = windows_of(rng, baseline, windows)
    state = begun(target, reference.max(axis=1))
    evidence = gated = naive = False
    for number in range(looks):
        new = windows_of(rng, NEW, windows)
        state = looked(state, number, new.max(axis=1))
        evidence |= state.evidence >= ALARM
        gated |= state.alarm
        size = reference.size * new.size / (reference.size + new.size)
        naive |= kolmogorov(math.sqrt(size) * distances(reference.ravel(), new.ravel(), LIMIT).ks) <= LEVEL
    current = windows_of(rng, baseline, windows).max(axis=1)
    before = reference.max(axis=1)
    decision = two_sample_pvalue(before, current, LIMIT, target) <= LEVEL
    return Quiet(evidence, gated, bool(naive), decision, decision and gate_open(distances(before, current, LIMIT)))


def delay(target: int, baseline: int, shift: float, most: int) -> float:
    """Looks until the alarm after a shift; infinite where `most` looks saw none."""
    rng = np.random.default_rng([target, baseline, int(shift * 100)])
    state = begun(target, windows_of(rng, baseline, 1)[:, 0])
    for number in range(most):
        state = looked(state, number, windows_of(rng, NEW, 1, shift)[:, 0])
        if state.alarm:
            return number + 1
    return math.inf


def print_alarms(pool: ProcessPoolExecutor, targets: int, looks: int) -> None:
    """Shares of quiet targets that ever alarm."""
    print(
        f"\nquiet targets that ever alarm: {targets} targets, {looks} looks of {NEW} new samples; one decision per "
        "target"
    )
    print(f"{'baseline':>9}{'windows':>9}{'evidence':>10}{'+ gate':>9}{'naive KS':>10}{'decision':>10}{'+ gate':>9}")
    for baseline in (100, 300, 2000):
        for windows in (1, 10):
            found = list(
                pool.map(partial(quiet, baseline=baseline, windows=windows, looks=looks), range(targets), chunksize=5)
            )
            evidence, gated, naive, decision, decided = np.mean(found, axis=0)
            print(
                f"{baseline:9}{windows:9}{evidence:10.2%}{gated:9.2%}{naive:10.1%}{decision:10.2%}{decided:9.2%}",
                flush=True,
            )


def print_delay(pool: ProcessPoolExecutor, targets: int, looks: int) -> None:
    """Quantiles of the delay by size of the baseline and shift."""
    print(f"\nlooks of {NEW} new samples until the alarm: {targets} targets")
    print(f"{'baseline':>9}{'shift (sd)':>12}{'median':>8}{'90 %':>8}{f'not in {looks}':>12}")
    for baseline in (300, 2000):
        for shift in (0.25, 0.5, 1.0):
            found = np.array(
                list(pool.map(partial(delay, baseline=baseline, shift=shift, most=looks), range(targets), chunksize=5))
            )
            median, late = np.quantile(found, [0.5, 0.9], method="inverted_cdf")
            print(f"{baseline:9}{shift:12}{median:8.0f}{late:8.0f}{np.mean(np.isinf(found)):12.1%}", flush=True)


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """The shortest of several runs."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def bare(reference: np.ndarray, current: np.ndarray) -> None:
    """What NumPy needs to sort the scores of both sides, and to sum over them once for each distance."""
    reference, current = np.sort(reference), np.sort(current)
    for _ in range(4):
        reference.sum(), current.sum()


def print_cost() -> None:
    """Seconds and ratios."""
    rng = np.random.default_rng(1)
    small, large = ((rng.normal(size=size), rng.normal(size=size)) for size in (10_000, 1_000_000))
    print("\ncost")
    four, sorts = seconds(lambda: distances(*large, LIMIT)), seconds(lambda: bare(*large))
    print(
        f"distances of 1,000,000 {four * 1e3:6.0f} ms, bare sorts and sums {sorts * 1e3:6.0f} ms: {four / sorts:.2f} "
        "times (at most 3)"
    )
    for name, test in (("two-sample", two_sample_pvalue), ("paired", paired_pvalue)):
        few, many = (seconds(partial(test, *pair, LIMIT, 1)) for pair in (small, large))
        print(
            f"{name} p-value of 10,000 {few * 1e3:6.0f} ms, of 1,000,000 {many * 1e3:6.0f} ms: {many / few:.2f} times "
            "(at most 4)"
        )
    state = start(rng.normal(size=100_000), 1)
    for new in (20, 100_000):
        taken = seconds(partial(advance, state, np.arange(new), rng.normal(size=new)), 3)
        print(f"counting {new:7,} new samples beside 100,000: {taken * 1e3:8.2f} ms")


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="alarms|delay|cost", help="default: all")
    parser.add_argument("--targets", type=int, default=2000)
    parser.add_argument("--looks", type=int, default=100)
    asked = parser.parse_args()
    if unknown := set(asked.tables) - {"alarms", "delay", "cost"}:
        parser.error(f"no such table: {', '.join(sorted(unknown))}")
    wanted = asked.tables or ["cost", "delay", "alarms"]
    if "cost" in wanted:
        print_cost()
    with ProcessPoolExecutor() as pool:
        if "delay" in wanted:
            print_delay(pool, asked.targets, asked.looks)
        if "alarms" in wanted:
            print_alarms(pool, asked.targets, asked.looks)


if __name__ == "__main__":
    main()
