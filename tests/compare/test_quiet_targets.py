"""A small version of `python -m tests.benchmarks drift alarms`: quiet targets, looked at many times."""

import importlib
from types import ModuleType

import numpy as np
import pytest

TARGETS, LOOKS = 40, 40


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The benchmark."""
    return importlib.import_module("tests.benchmarks.drift")


def test_quiet_targets_alarm_no_oftener_than_promised(simulation: ModuleType) -> None:
    """Of 240 quiet targets, with baselines of each size and one or ten windows per sample, about 1 % alarm; a test of
    windows on most.
    """
    found = {
        windows: np.array(
            [simulation.quiet(target, size, windows, LOOKS) for size in (100, 300, 2000) for target in range(TARGETS)]
        )
        for windows in (1, 10)
    }
    evidence, gated, _, decision, decided = np.sum([*found[1], *found[10]], axis=0)

    # Of each kind at most 2.4 are expected: the chance of more than 8 is 0.1 %.
    assert max(evidence, decision) <= 8
    assert gated <= evidence
    assert decided <= decision
    naive = {windows: quiet[:, simulation.Quiet._fields.index("naive")].mean() for windows, quiet in found.items()}
    assert naive[1] > 0.2
    assert naive[10] > 0.9
