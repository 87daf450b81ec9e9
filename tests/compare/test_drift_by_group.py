"""Decisions about drift where samples that came together are alike: whole groups are permuted and swapped."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.compare.drift import ComparedRun, drift
from monitor.figures.groups import Unit, UnitChoice
from monitor.figures.units import anomaly_score, units_of
from monitor.results import Block, BlockKind, Categorical, FloatArray
from tests.factories import result_set

BLOCK = Block(4, "anomaly-gmm", BlockKind.ANOMALY, thresholds={"min_anomaly_score": 2.0})
GROUPS, SIZE = 30, 10
LOOKS = 80


def run(scores: FloatArray, first: int, unit: Unit, finished: float) -> ComparedRun:
    """Groups of samples, one window each, with these scores; ids and days from `first` on."""
    count = len(scores)
    day = np.datetime64("2026-01-01", "ms") + (first + np.arange(count)) // SIZE * np.timedelta64(1, "D")
    results = result_set(
        count,
        blocks=(BLOCK,),
        sample_id=first + np.arange(count),
        added=day,
        device=Categorical.encode(["rig"] * count),
        anomaly={BLOCK.id: scores},
    )
    choice = UnitChoice(unit, GROUPS, 0.3, 3.7, 5.0)
    return ComparedRun(finished, results, units=units_of(results, "auto", {anomaly_score(BLOCK.id): choice}))


def alike(rng: np.random.Generator, scale: float = 1.0) -> FloatArray:
    """Scores of which 30 % of the variance is the group's."""
    group = np.repeat(rng.normal(size=GROUPS), SIZE)
    return scale * (np.sqrt(0.3) * group + np.sqrt(0.7) * rng.normal(size=GROUPS * SIZE))


def share(pvalues: list[float]) -> float:
    """How often a look is significant at 5 %."""
    return float(np.mean(np.array(pvalues) <= 0.05))


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "least", "most"), [("group", 0.0, 0.15), ("sample", 0.25, 1.0)])
def test_other_samples(unit: Unit, least: float, most: float) -> None:
    """Of quiet looks at other samples few are significant by group, and many by sample."""
    pvalues = []
    for seed in range(LOOKS):
        rng = np.random.default_rng(seed)
        before, now = run(alike(rng), 0, unit, 1.0), run(alike(rng), 1000, unit, 2.0)
        pvalues.append(drift(before, now, before, BLOCK, None, seed)[0].pvalues["total"])
    assert least <= share(pvalues) <= most


@pytest.mark.slow
def test_same_samples() -> None:
    """Where another model moves the samples of a group alike, groups swap as wholes: quiet looks stay quiet."""
    pvalues = []
    for seed in range(LOOKS):
        rng = np.random.default_rng(seed)
        scores = alike(rng)
        sides = [scores + alike(rng, 0.5) for _ in range(2)]
        before, now = run(sides[0], 0, "group", 1.0), run(sides[1], 0, "group", 2.0)
        pvalues.append(drift(before, now, before, BLOCK, None, seed)[0].pvalues["model"])
    assert share(pvalues) <= 0.15


def test_a_shift_is_still_seen() -> None:
    """A shift of a standard deviation is significant by group."""
    rng = np.random.default_rng(1)
    before, now = run(alike(rng), 0, "group", 1.0), run(alike(rng) + 1, 1000, "group", 2.0)
    assert drift(before, now, before, BLOCK, None, 1)[0].pvalues["total"] <= 0.01
