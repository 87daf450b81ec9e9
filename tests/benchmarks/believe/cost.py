"""What a verdict costs: processor seconds of comparing two runs, and bytes of a target's state."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from monitor.compare.comparison import BaselineFigures, compare
from monitor.compare.drift import ComparedRun
from monitor.results import ResultSet
from monitor.store.state_documents import dump_drift_state
from tests.benchmarks._rows import Row, head, show
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import Population

SECONDS, BYTES = 1.0, 64_000
CELLS = {f"n={samples}": samples for samples in (300, 3_000, 30_000, 100_000)}


def cost(samples: int) -> tuple[float, int]:
    """Of a comparison after a tenth of the samples were replaced, with an anomaly block: seconds of the processor, and
    bytes of the largest state.
    """
    rng = np.random.default_rng(samples)
    old, new = _run(samples, rng), _run(samples, rng)
    new = replace(new, sample_id=new.sample_id + samples // 10)
    first, second = ComparedRun(100.0, old, 1.0), ComparedRun(1.8e9, new, 1.0)
    shown = BaselineFigures("pinned", 100.0, "")
    _, states = compare(first, first, first, shown, {}, 1)
    started = time.process_time()
    _, states = compare(first, second, first, shown, states, 1)
    seconds = time.process_time() - started
    return seconds, max(len(dump_drift_state(state)) for state in states.values())


def _run(samples: int, rng: np.random.Generator) -> ResultSet:
    """A classifier's set, with anomaly scores."""
    classified, scored = Population(samples).classified(rng), Population(samples).scored(rng)
    return replace(
        classified,
        blocks=classified.blocks + scored.blocks,
        anomaly=scored.anomaly,
        expected_anomaly=scored.expected_anomaly,
    )


def run(effort: Effort) -> None:
    """Print each size."""
    head("cost of a verdict", "CPU, s", "state, kB")
    for name, samples in CELLS.items():
        if not effort.wanted(f"cost {name}"):
            continue
        seconds, size = cost(samples)
        holds = seconds < SECONDS and size < BYTES
        show(Row(name, [f"{seconds:.2f}", f"{size / 1000:.0f}"], f"< {SECONDS:g} s, < {BYTES // 1000} kB", holds))
