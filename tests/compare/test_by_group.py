"""Tests by group: against all permutations of small sets, and false alarms where samples are alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.compare.change import Change, changes
from monitor.compare.group_sizes import alike_in_size
from monitor.compare.map_statistic import box_map
from monitor.compare.permutation import paired_pvalue, two_sample_pvalue
from monitor.compare.resamplable import SumStatistic, accuracy, macro_f1
from monitor.compare.resampling import (
    RESAMPLINGS,
    smallest_subset_pvalue,
    smallest_swap_pvalue,
    subset_test,
    swap_test,
)
from monitor.figures.groups import UnitChoice
from monitor.figures.units import units_of
from monitor.results import Block, BlockKind, Categorical, IntArray, ResultSet
from tests.compare.change_oracle import DETECTOR, columns, detector_run
from tests.compare.test_drift import minp_by_enumeration
from tests.factories import result_set

VERDICTS = Block(9, "keras-freeform", BlockKind.UNKNOWN)
BY_GROUP, BY_SAMPLE = ({"accuracy": UnitChoice(unit, 20, 0.1, 2.9, 4.0)} for unit in ("group", "sample"))


def mean_of(values: Sequence[float]) -> SumStatistic:
    """A statistic whose figure is the mean of its units' values."""
    return SumStatistic(np.column_stack([values, np.ones(len(values))]), lambda totals: totals[:, 0] / totals[:, 1])


def near(found: float, exact: float) -> bool:
    """Whether a re-sampled p-value is the exact one, but for the chance in its re-samplings."""
    return abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / RESAMPLINGS) + 1 / RESAMPLINGS


REFERENCE = [0.1, 0.2, 0.3, 0.9, 1.4, 0.4, 0.6, 0.2, 0.8]
CURRENT = [0.8, 1.1, 1.2, 1.3, 0.7, 1.5, 0.5]
UNITS = np.array([4, 4, 4, 0, 0, 2, 7, 7, 2]), np.array([4, 1, 1, 1, 9, 9, 5])


def test_two_samples_by_unit() -> None:
    """The p-value is that of all ways to deal the units to both sides; one with scores on both sides is two."""
    pooled = np.array(REFERENCE + CURRENT)
    unit = np.concatenate(
        [np.unique(UNITS[0], return_inverse=True)[1], 4 + np.unique(UNITS[1], return_inverse=True)[1]]
    )
    knots = np.unique(pooled)
    gaps = []
    for side in itertools.combinations(range(8), 4):  # the first one is the observed
        inside = np.isin(unit, side)
        gaps.append([np.mean(pooled[~inside] <= knot) - np.mean(pooled[inside] <= knot) for knot in knots])
    exact = minp_by_enumeration(np.array(gaps), pooled, 0.75)

    found = two_sample_pvalue(np.array(REFERENCE), np.array(CURRENT), 0.75, 1, units=UNITS)

    assert 0.02 < exact < 0.5
    assert near(found, exact)
    assert found > two_sample_pvalue(np.array(REFERENCE), np.array(CURRENT), 0.75, 1)


def test_pairs_by_unit() -> None:
    """The p-value is that of all ways to swap the scores of whole units."""
    before = np.array(REFERENCE)
    after = before + np.array([0.3, 0.2, 0.4, -0.1, 0.2, 0.3, 0.5, 0.1, 0.2])
    unit = np.unique(UNITS[0], return_inverse=True)[1]
    knots = np.unique(np.concatenate([before, after]))
    steps = (after[:, None] <= knots).astype(int) - (before[:, None] <= knots)
    signs = np.array(list(itertools.product((1, -1), repeat=4)))
    exact = minp_by_enumeration(signs[:, unit] @ steps / 9, np.concatenate([before, after]), 0.75)

    found = paired_pvalue(before, after, 0.75, 1, units=UNITS[0])

    assert near(found, exact)
    assert found > paired_pvalue(before, after, 0.75, 1)


@pytest.mark.parametrize(("scores", "size"), [(400, 4), (6000, 2), (60_000, 20)])
def test_scores_that_are_units_of_their_own(scores: int, size: int) -> None:
    """Units that hold the same score several times are judged as that score once; very many are merged, and say so
    too.
    """
    rng = np.random.default_rng(scores)
    reference, current = rng.normal(size=scores // size), rng.normal(size=scores // size // 4)
    current += reference.mean() - current.mean() + 1.9 * math.sqrt(1 / len(reference) + 1 / len(current))
    units = np.arange(len(reference)).repeat(size), np.arange(len(current)).repeat(size)

    by_unit = two_sample_pvalue(reference.repeat(size), current.repeat(size), 2.0, 1, units=units)
    paired = paired_pvalue(
        current.repeat(size), current[::-1].repeat(size) + 0.05, 2.0, 1, units=np.arange(len(current)).repeat(size)
    )

    assert by_unit == pytest.approx(two_sample_pvalue(reference, current, 2.0, 1), abs=0.08)
    assert by_unit > 2 * two_sample_pvalue(reference.repeat(size), current.repeat(size), 2.0, 1)
    assert paired == pytest.approx(paired_pvalue(current, current[::-1] + 0.05, 2.0, 1), abs=0.08)


values = st.lists(st.integers(-3, 3).map(float), min_size=7, max_size=7)
codes = st.lists(st.sampled_from([2, 5, 11]), min_size=7, max_size=7)


@settings(max_examples=30)
@given(values, values, codes)
def test_swaps_by_unit(first: list[float], second: list[float], unit: list[int]) -> None:
    """Runs are swapped unit by unit: the p-value is that of all swaps."""
    names = np.unique(unit)
    statistics = []
    for signs in itertools.product((1, -1), repeat=len(names)):
        sign = dict(zip(names.tolist(), signs, strict=True))
        statistics.append(sum(sign[u] * (a - b) for u, a, b in zip(unit, first, second, strict=True)))
    exact = float(np.mean([abs(value) >= abs(statistics[0]) - 1e-9 for value in statistics]))

    found = swap_test(mean_of(first + second), np.random.default_rng(1), None, np.array(unit))

    assert near(found, exact)
    assert exact >= smallest_swap_pvalue(len(names))


@settings(max_examples=30)
@given(values, values, codes, codes, st.booleans())
def test_subsets_by_unit(
    first: list[float], second: list[float], unit: list[int], other: list[int], against_rest: bool
) -> None:
    """Units of unequal size are dealt to both sides; the figure is that of the samples which they bring along."""
    drawn, all_values = np.array(first), np.array(first + second)
    sides = np.unique(unit, return_inverse=True)[1], np.unique(other, return_inverse=True)[1]
    here, there = (int(side.max()) + 1 for side in sides)
    place = np.concatenate([sides[0], here + sides[1]])

    def difference(chosen: tuple[int, ...]) -> float:
        inside = np.isin(place, chosen)
        rest = all_values[~inside] if against_rest else all_values
        return abs(float(rest.mean() - all_values[inside].mean()))

    observed = difference(tuple(range(here)))
    splits = list(itertools.combinations(range(here + there), here))
    exact = float(np.mean([difference(split) >= observed - 1e-9 for split in splits]))

    units = np.array(unit), np.array(other)
    found = subset_test(
        mean_of(first + second), len(drawn), np.random.default_rng(1), None, against_rest=against_rest, units=units
    )

    assert near(found, exact)
    assert exact >= smallest_subset_pvalue(here, there) - 1e-12


def test_smallest_pvalues() -> None:
    """Few units can reach no small p-value: one in all choices, two in all swaps; many none below 1/1000."""
    assert smallest_subset_pvalue(2, 5) == pytest.approx(1 / math.comb(7, 2))
    assert smallest_subset_pvalue(40, 1000) == 0.001
    assert smallest_subset_pvalue(0, 9) == 1.0
    assert smallest_swap_pvalue(5) == 2 / 2**5
    assert smallest_swap_pvalue(400) == 0.001
    assert smallest_swap_pvalue(0) == 1.0


def test_what_each_sample_adds() -> None:
    """How right a sample is by itself: its share of correct windows, of hits, or of truth boxes that were found."""
    rng = np.random.default_rng(5)
    run = quiet(rng, np.arange(3), icc=0.0)
    assert accuracy((run,)).each().tolist() == run.correct.tolist()
    classes = replace(
        run, labels=("ant", "bee"), label=np.zeros(60, np.int8), prediction=(run.correct == 0).astype(np.int8)
    )
    assert macro_f1((classes,)).each().tolist() == run.correct.tolist()
    images = columns(detector_run(rng, range(20), 0.5), DETECTOR)
    assert images.detections is not None
    found = np.bincount(images.detections.owner, minlength=20)
    boxes = box_map((images,))
    assert boxes is not None
    assert ((boxes.each() > 0) == (found > 0)).all()
    assert boxes.each().max() <= 1


def quiet(rng: np.random.Generator, groups: IntArray, icc: float, size: int = 20, ids: int = 0) -> ResultSet:
    """Samples in blocks of one device and day each, of which one in eight is wrong, more or fewer by block."""
    chance = np.full(len(groups), 0.875)
    if icc:
        chance = rng.beta(0.875 * (1 - icc) / icc, 0.125 * (1 - icc) / icc, len(groups))
    n = len(groups) * size
    return result_set(
        n,
        blocks=(VERDICTS,),
        sample_id=ids + np.arange(n),
        added=(np.datetime64("2026-01-01T06", "ms") + groups.astype("timedelta64[D]")).repeat(size),
        device=Categorical.encode(["a"] * n),
        correct=(rng.random(n) < chance.repeat(size)).astype(np.int8),
    )


def joined(first: ResultSet, second: ResultSet) -> ResultSet:
    """Both sets' samples as one."""
    n = first.samples + second.samples
    return replace(
        result_set(n),
        blocks=first.blocks,
        sample_id=np.concatenate([first.sample_id, second.sample_id]),
        added=np.concatenate([first.added, second.added]),
        device=Categorical.encode(["a"] * n),
        correct=np.concatenate([first.correct, second.correct]),
    )


def compared(baseline: ResultSet, current: ResultSet, seed: int, choices: dict[str, UnitChoice]) -> Change:
    """The change of the accuracy, with the unit that the baseline has."""
    sides = units_of(baseline, "auto", choices), units_of(current, "auto", choices)
    (change,) = changes(baseline, current, seed, units=sides)
    return change


@pytest.mark.slow
def test_alike_samples_raise_no_more_alarms() -> None:
    """With an intra-block correlation of 0.1 in blocks of 20, p is 0.05 or less no more often than that by group; by
    sample far more often.
    """
    rng = np.random.default_rng(11)
    repeats = 200
    small: dict[tuple[str, str], int] = {}
    for seed in range(repeats):
        baseline = quiet(rng, np.arange(15), 0.1)
        again = quiet(rng, np.arange(15), 0.1)  # another model, which is as good
        grown = joined(baseline, quiet(rng, np.arange(15, 25), 0.1, ids=1000))
        for unit, choices in (("group", BY_GROUP), ("sample", BY_SAMPLE)):
            for cause, p in compared(baseline, grown, seed, choices).pvalues.items():
                small[unit, cause] = small.get((unit, cause), 0) + (p <= 0.05)
        by_group = compared(baseline, again, seed, BY_SAMPLE)  # the pairs decide about themselves
        (by_sample,) = changes(baseline, again, seed)
        for unit, change in (("group", by_group), ("sample", by_sample)):
            key = unit, "retrained"
            small[key] = small.get(key, 0) + (change.pvalues["model"] <= 0.05)

    most = stats.binom.ppf(0.999, repeats, 0.05)
    assert {key: count for key, count in small.items() if key[0] == "group" and count > most} == {}
    assert all(small["sample", cause] > most for cause in ("added", "total", "retrained"))


@pytest.mark.parametrize(
    ("before", "after"), [([20] * 18, [150] * 2), ([10] * 30, [150] * 2), ([120, *[5] * 12], [40] * 4)], ids=str
)
def test_new_groups_of_another_size_are_no_difference(before: list[int], after: list[int]) -> None:
    """Where new groups are larger or smaller than those of the baseline, p is 0.05 or less no more often than that."""
    rng = np.random.default_rng(16)
    repeats = 100
    small = 0
    for seed in range(repeats):
        days = [quiet(rng, np.array([day]), 0.1, size, 200 * day) for day, size in enumerate([*before, *after])]
        baseline = reduce(joined, days[: len(before)])
        grown = reduce(joined, days)
        small += compared(baseline, grown, seed, BY_GROUP).pvalues["added"] <= 0.05

    assert small <= stats.binom.ppf(0.999, repeats, 0.05)


def test_groups_alike_in_size_are_all_taken() -> None:
    """All samples are dealt where groups are as large on both sides; otherwise as many of each as a group of the other
    side has, and no sample twice.
    """
    first, others = np.arange(12).repeat(20), np.arange(4).repeat(22)
    taken = alike_in_size(first, others, np.random.default_rng(1))
    assert [rows.tolist() for rows in taken] == [list(range(240)), list(range(88))]

    taken = alike_in_size(first, np.arange(2).repeat(150), np.random.default_rng(1))
    assert len(taken[0]) == 240
    assert np.bincount(np.arange(2).repeat(150)[taken[1]]).tolist() == [20] * 2
    assert len(np.unique(taken[1])) == 40

    first = np.concatenate([np.zeros(120, np.int64), np.arange(1, 13).repeat(5)])
    taken = alike_in_size(first, np.arange(4).repeat(40), np.random.default_rng(1))
    sizes = np.bincount(first[taken[0]]), np.bincount(np.arange(4).repeat(40)[taken[1]])
    assert sizes[0][1:].tolist() == [5] * 12
    assert sizes[0][0] <= 40
    assert set(sizes[1].tolist()) <= {5, 40}


def test_group_tests_are_no_short_cuts() -> None:
    """Where the group is the unit, neither McNemar nor the hypergeometric law, which count samples, decides."""
    rng = np.random.default_rng(3)
    baseline = quiet(rng, np.arange(12), 0.3)
    again = joined(quiet(rng, np.arange(12), 0.3), quiet(rng, np.arange(12, 20), 0.3, ids=1000))

    by_group = compared(baseline, again, 1, BY_GROUP)
    by_sample = compared(baseline, again, 1, BY_SAMPLE)  # but for the pairs, which decide about themselves
    (plain,) = changes(baseline, again, 1)

    assert by_group.smallest == {"model": 0.001, "added": 0.001, "total": 0.002}
    assert by_sample.smallest == {"model": 0.001}
    assert by_group.pvalues["model"] == by_sample.pvalues["model"] > 2 * plain.pvalues["model"]
    assert by_group.pvalues["added"] != by_sample.pvalues["added"] == plain.pvalues["added"]
    assert plain.smallest == {}


def test_few_groups_say_what_they_can_reach() -> None:
    """Two new groups against two shared ones can reach a p-value of one in six, and not of 0.01."""
    rng = np.random.default_rng(4)
    baseline = quiet(rng, np.arange(2), 0.1)
    change = compared(baseline, joined(baseline, quiet(rng, np.arange(2, 4), 0.1, ids=1000)), 1, BY_GROUP)
    assert change.smallest["added"] == pytest.approx(1 / 6)


def test_pairs_of_few_groups_are_as_the_baseline() -> None:
    """Where the shared samples are of too few groups to tell, the baseline's choice holds for the pairs too."""
    rng = np.random.default_rng(5)
    first, second = quiet(rng, np.arange(5), 0.1), quiet(rng, np.arange(5), 0.1)
    assert compared(first, second, 1, BY_GROUP).smallest["model"] == 2 / 2**5
    assert compared(first, second, 1, BY_SAMPLE).smallest == {}


def test_sets_that_share_little_are_permuted_by_group() -> None:
    """Where too few samples are shared for causes, the total is tested by permuting groups between the runs."""
    rng = np.random.default_rng(6)
    baseline, current = quiet(rng, np.arange(3), 0.1), quiet(rng, np.arange(3, 6), 0.1, ids=1000)
    change = compared(baseline, current, 1, BY_GROUP)
    assert change.smallest == {"total": pytest.approx(1 / 20)}
    assert change.pvalues["total"] >= 1 / 20 - 0.02


def test_which_run_is_which_does_not_matter() -> None:
    """Exchanging two runs leaves the unit of their differences, and the p-value of the model, as they are."""
    rng = np.random.default_rng(8)
    first, second = quiet(rng, np.arange(40), 0.2), quiet(rng, np.arange(40), 0.2)
    there, back = compared(first, second, 1, BY_GROUP), compared(second, first, 1, BY_GROUP)
    assert there.smallest == back.smallest
    assert there.pvalues["model"] == pytest.approx(back.pvalues["model"], abs=0.05)
