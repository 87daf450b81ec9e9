"""Power: what a test of a change could have seen, against SciPy's distributions, published figures and simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from monitor.compare.change import ADDED, MODEL, changes
from monitor.compare.comparison import BaselineFigures, Comparison, compare
from monitor.compare.drift import ComparedRun
from monitor.compare.pairing import pair
from monitor.compare.power import (
    FOUND,
    USUAL_DISCORDANCE,
    Power,
    paired_power,
    powers,
    smallest_added_drop,
    smallest_paired_drop,
)
from monitor.compare.resampling import hypergeometric, mcnemar
from monitor.figures.groups import UnitChoice
from monitor.figures.units import Units, units_of
from monitor.results import CORRECT, WRONG, Categorical, ResultSet
from tests.factories import encoded, result_set
from tests.figures.strategies import CLASSIFIER

SHOWN = BaselineFigures("pinned", 100.0, "abc", {"accuracy": 0.9})


def run(correct: np.ndarray, first: int = 0, windows: int = 1, groups: int | None = None) -> ResultSet:
    """A classifier with these verdicts, so many windows a sample; the samples came in so many days, in equal shares."""
    samples = len(correct) // windows
    predicted = ["a" if right else "b" for right in correct]
    ids = first + np.arange(samples)
    days = np.zeros(samples, np.int64) if groups is None else np.arange(samples) * groups // samples
    return result_set(
        blocks=(CLASSIFIER,),
        sample=np.repeat(np.arange(samples), windows),
        sample_id=ids,
        start_ms=np.tile(np.arange(windows), samples),
        end_ms=np.tile(np.arange(windows) + 1, samples),
        added=np.datetime64("2026-01-01", "ms") + days.astype("timedelta64[D]"),
        device=Categorical(np.zeros(samples, np.int8), ("d",)),
        correct=np.where(correct, CORRECT, WRONG).astype(np.int8),
        **encoded(["a"] * len(correct), predicted),
    )


def verdicts(samples: int, right: float) -> np.ndarray:
    """bool[samples], this share of them true, spread evenly."""
    return np.arange(samples) * (1 - right) % 1 < right


def compared(baseline: ResultSet, current: ResultSet, discordance: float | None = None) -> Comparison:
    """The comparison of two runs."""
    first, second = ComparedRun(100.0, baseline, 1.0), ComparedRun(200.0, current, 2.0)
    return compare(first, second, first, SHOWN, {}, 1, discordance=discordance)[0]


def against(baseline: ResultSet, current: ResultSet, units: tuple[Units, Units]) -> Power:
    """The power of a comparison with these units."""
    (power,) = powers(changes(baseline, current, 1, units=units), current, pair(baseline, current), units[1])
    return power


def by_the_book(pairs: int, drop: float, discordance: float, margin: float) -> float:
    """McNemar's power at 1 %, summed over the number of discordant pairs with SciPy's binomial."""
    changed, found = drop + discordance, 0.0
    for count in range(pairs + 1):
        lost = np.arange(count // 2 + 1, count + 1)
        gained = count - lost
        pvalue = 2 * stats.binom.cdf(gained, count, 0.5) - stats.binom.pmf(gained, count, 0.5)
        seen = lost[(pvalue <= 0.01) & (lost - gained > margin * pairs + 1e-9)]
        split = stats.binom.pmf(seen, count, (drop + discordance / 2) / changed).sum()
        found += stats.binom.pmf(count, pairs, changed) * split
    return found


@pytest.mark.parametrize("pairs", [30, 100, 200, 500, 1000])
@pytest.mark.parametrize(("drop", "discordance"), [(0.03, 0.04), (0.05, 0.04), (0.1, 0.0), (0.08, 0.15)])
def test_paired_power_is_a_sum_of_binomials(pairs: int, drop: float, discordance: float) -> None:
    """The power of McNemar's test is SciPy's binomials put together; beyond 200 discordant pairs to half a per cent."""
    for margin in (0.0, 0.03):
        expected = by_the_book(pairs, drop, discordance, margin)

        exact = pairs * (drop + discordance) <= 200
        assert pytest.approx(expected, abs=1e-9 if exact else 0.005) == paired_power(
            pairs, drop, discordance, 0.01, margin
        )


def test_paired_power_agrees_with_the_normal_approximation() -> None:
    """With many pairs the power is Connor's (Biometrics 43:207, 1987), whatever way it is computed."""
    for pairs, drop in ((2000, 0.02), (2150, 0.02), (5000, 0.01), (20000, 0.005)):
        changed = drop + 0.04
        z = (drop * math.sqrt(pairs) - stats.norm.ppf(0.995) * math.sqrt(changed)) / math.sqrt(changed - drop**2)

        assert pytest.approx(stats.norm.cdf(z), abs=0.015) == paired_power(pairs, drop, 0.04, 0.01)


@pytest.mark.parametrize(("samples", "found"), [(100, 0.14), (200, 0.43), (500, 0.92), (1000, 0.97)])
def test_retraining_that_loses_five_points(samples: int, found: float) -> None:
    """At an accuracy of 0.9 the default rule finds a loss of 5 points in 14, 43, 92 and 97 % of retrainings, as was
    simulated with some hundred cases each: to 3 points.
    """
    assert pytest.approx(found, abs=0.03) == paired_power(samples, 0.05, USUAL_DISCORDANCE, 0.01, 0.03)


@pytest.mark.parametrize("samples", [100, 300, 1000])
def test_smallest_drop_of_a_retraining_is_found_so_often(samples: int) -> None:
    """Of simulated retrainings that lose the smallest visible drop the test itself finds 80 %."""
    rng = np.random.default_rng(samples)
    drop = smallest_paired_drop(samples, 0.9, 0.04, 0.01)
    shares = [drop + 0.02, 0.02, 1 - drop - 0.04]
    cases = rng.multinomial(samples, shares, 4000)
    found = np.mean([lost > gained and mcnemar(gained, lost) <= 0.01 for lost, gained, _ in cases])

    assert pytest.approx(FOUND, abs=0.025) == found  # four standard errors


@pytest.mark.parametrize(("shared", "added"), [(200, 60), (1000, 100), (300, 300)])
def test_smallest_drop_of_added_samples_is_found_so_often(shared: int, added: int) -> None:
    """Of simulated additions that are worse by the smallest visible drop the test itself finds 80 %."""
    rng = np.random.default_rng(shared)
    hits = round(0.9 * shared)
    drop = smallest_added_drop(shared, added, 0.9, 0.01)
    new = rng.binomial(added, 0.9 - drop, 4000)
    found = np.mean(
        [
            hit / added < hits / shared and hypergeometric(hit, added, hits + hit, shared + added) <= 0.01
            for hit in new.tolist()
        ]
    )

    assert pytest.approx(FOUND, abs=0.025) == found


def test_larger_sets_see_smaller_drops() -> None:
    """The smallest visible drop shrinks with the samples; too few see none, and a stricter rule sees less."""
    drops = [smallest_paired_drop(samples, 0.9, 0.04, 0.01) for samples in (30, 100, 300, 1000, 10_000, 100_000)]

    assert drops == sorted(drops, reverse=True)
    assert math.isinf(smallest_paired_drop(6, 0.9, 0.04, 0.01))
    assert smallest_paired_drop(300, 0.9, 0.04, 0.001) > drops[2]
    assert math.isinf(smallest_added_drop(100, 1, 0.9, 0.01))


def test_comparison_has_the_power_of_both_causes() -> None:
    """A comparison says what a retraining and what added samples could have shown; without added ones nothing of
    these.
    """
    baseline = run(verdicts(200, 0.9))
    more = run(verdicts(250, 0.9))
    quiet, grown = compared(baseline, baseline).power("accuracy"), compared(baseline, more).power("accuracy")
    assert quiet is not None
    assert grown is not None

    assert {MODEL: smallest_paired_drop(200, 0.9, 0.04, 0.01)} == pytest.approx(dict(quiet.visible), abs=2e-5)
    assert (200, 200, 50, pytest.approx(0.2)) == (grown.pairs, grown.shared, grown.added, grown.weight)
    assert pytest.approx(0.2 * smallest_added_drop(200, 50, grown.value, 0.01)) == grown.visible[ADDED]
    assert compared(baseline, more).power("mean_f1") is None
    assert () == compared(run(verdicts(29, 0.9)), run(verdicts(29, 0.9))).powers


def test_windows_of_a_sample_are_one_opinion() -> None:
    """Ten windows of a sample that are right or wrong together show no more than one would."""
    one = compared(run(verdicts(200, 0.8)), run(verdicts(200, 0.8))).power("accuracy")
    alike = np.repeat(verdicts(200, 0.8), 10)
    ten = compared(run(alike, windows=10), run(alike, windows=10)).power("accuracy")
    assert one is not None
    assert ten is not None

    assert pytest.approx(one.pairs, abs=2) == ten.pairs


def test_discordance_is_that_last_seen() -> None:
    """What two trainings differ by, less their net change, is kept for later comparisons; before there were two it is
    4 %.
    """
    before, after = verdicts(200, 0.9), verdicts(200, 0.9)
    right, wrong = np.flatnonzero(before), np.flatnonzero(~before)
    after[right[:13]] = False
    after[wrong[:3]] = True
    first = compared(run(before), run(before))
    trained = compared(run(before), run(after), first.discordance)
    later = compared(run(after), run(after), trained.discordance)

    assert first.discordance is None
    assert USUAL_DISCORDANCE == first.powers[0].discordance
    assert pytest.approx(0.03) == trained.discordance == later.discordance == later.powers[0].discordance


def test_few_groups_cannot_reach_the_level() -> None:
    """Where a group is the unit and one new group came, no p-value can be small enough: no drop is visible, and it is
    said which p-value could be reached.
    """
    baseline = run(verdicts(300, 0.9), groups=15)
    current = run(verdicts(320, 0.9), groups=16)
    choices = {"accuracy": UnitChoice("group", 15, 0.1, 2.9, 4.0)}
    units = units_of(current, "auto", choices)
    samples = Units(units.samples, units.groups, {"accuracy": replace(choices["accuracy"], unit="sample")})
    kept = units_of(baseline, "auto", choices)
    few = against(baseline, current, (kept, units))
    many = against(baseline, current, (replace(kept, choices=samples.choices), samples))

    assert pytest.approx(1 / 16) == few.reachable[ADDED]
    assert math.isinf(few.visible[ADDED])
    assert few.visible[MODEL] < math.inf
    assert many.visible[ADDED] < math.inf


def test_other_levels_are_worked_out() -> None:
    """A rule with a level of its own is told what that level shows; one without a test of the cause nothing."""
    (power,) = compared(run(verdicts(200, 0.9)), run(verdicts(200, 0.9))).powers

    assert power.visible[MODEL] == power.smallest_visible_drop(MODEL)
    assert pytest.approx(smallest_paired_drop(200, 0.9, 0.04, 0.001), abs=2e-5) == power.smallest_visible_drop(
        MODEL, 0.001
    )
    assert power.smallest_visible_drop(ADDED, 0.001) is None
    assert pytest.approx(1 - paired_power(200, 0.05, 0.04, 0.01, 0.03)) == power.missed(0.05, margin=0.03)
    assert power.missed(0.05, None) < power.missed(0.05, 0.01)
    assert Power("accuracy", 0.9, 6, 0.04, reachable={MODEL: 0.5**6}).missed(0.5) == 1.0


def test_how_often_added_samples_are_missed() -> None:
    """What is found in 80 % of cases is missed in 20 %; a margin that it does not exceed makes it missed more often, at
    the drop itself in half of the cases. Added samples can take no more than their part.
    """
    power = compared(run(verdicts(300, 0.9)), run(verdicts(400, 0.9))).powers[0]
    drop = power.visible[ADDED]

    assert pytest.approx(0.2, abs=1e-3) == power.missed(drop, cause=ADDED)
    assert pytest.approx(0.5, abs=0.06) == power.missed(drop, margin=drop, cause=ADDED)
    assert pytest.approx(0.5, abs=0.06) == power.missed(drop, None, drop, ADDED)
    assert pytest.approx(0.25 * power.value) == power.largest_drop(ADDED)
    assert pytest.approx(0.0, abs=1e-6) == power.missed(power.largest_drop(ADDED), cause=ADDED)
    assert 1.0 == power.missed(power.largest_drop(ADDED), margin=0.25, cause=ADDED)
