"""Groups of samples that came together, and the unit that is chosen by them."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pytest
from scipy import stats

from monitor.figures.groups import Groups, UnitChoice, choose_unit, groups_of
from monitor.results import Categorical, ResultSet
from tests.factories import Columns, result_set

DAYS = ("2026-03-01T08:00", "2026-03-01T23:59", "2026-03-02T00:00", "2026-03-01T12:00", "NaT", "NaT")
DEVICES = ("a", "a", "a", "b", None, "a")


def samples(**changes: Unpack[Columns]) -> ResultSet:
    """Six samples of two devices and two days, of two of which the time is unknown."""
    return result_set(
        sample_id=np.arange(6),
        added=np.array(DAYS, "datetime64[ms]"),
        device=Categorical.encode(DEVICES),
        **changes,
    )


def together(groups: Groups | None) -> list[set[int]]:
    """The samples of each group."""
    assert groups is not None
    return sorted(({*np.flatnonzero(groups.of == group).tolist()} for group in range(len(groups))), key=min)


def test_device_and_day() -> None:
    """A group is the samples of one device and one UTC day; unknown times are one day."""
    assert together(groups_of(samples())) == [{0, 1}, {2}, {3}, {4}, {5}]


def test_over_a_day_after_the_last() -> None:
    """A group is over a day after its last sample came in, and never where no time is known."""
    groups = groups_of(samples())
    assert groups is not None
    assert groups.over[groups.of[0]] == np.datetime64("2026-03-02T23:59", "ms")
    assert np.isnat(groups.over[groups.of[4]])


def test_metadata() -> None:
    """A key of the metadata may decide; samples without it are one group, and each week is for itself."""
    site = Categorical.encode(["x", None, "y", "x", None, "y"])
    assert together(groups_of(samples(metadata={"site": site}), "metadata.site")) == [{0, 3}, {1}, {2}, {4}, {5}]
    assert together(groups_of(samples(), "metadata.site")) == [{0, 1, 3}, {2}, {4, 5}]


def test_what_lasts_ends_with_the_week() -> None:
    """A site that sends samples every day is a group for each week from Monday to Sunday, over a day after its last."""
    days = np.datetime64("2026-03-05T23:59", "ms") + np.arange(14) * np.timedelta64(1, "D")  # from a Thursday on
    site = Categorical.encode(["x"] * 14)
    groups = groups_of(result_set(14, sample_id=np.arange(14), added=days, metadata={"site": site}), "metadata.site")

    assert together(groups) == [{*range(4)}, {*range(4, 11)}, {*range(11, 14)}]
    assert groups is not None
    assert groups.over[groups.of[3]] == np.datetime64("2026-03-09T23:59", "ms")


def test_off_and_unknown() -> None:
    """Grouping can be switched off; another word is refused."""
    assert groups_of(samples(), "none") is None
    with pytest.raises(ValueError, match="No grouping `day`"):
        groups_of(samples(), "day")


def test_keys_name_groups_in_every_run() -> None:
    """A group has the same key, whatever other samples a run holds."""
    whole = groups_of(samples())
    part = groups_of(
        result_set(
            sample_id=np.array([2]), added=np.array(DAYS[2:3], "datetime64[ms]"), device=Categorical.encode(["a"])
        )
    )
    assert whole is not None
    assert part is not None
    assert part.key[0] == whole.key[whole.of[2]]


def test_few_groups_cannot_tell() -> None:
    """Under ten groups the sample stays the unit, and nothing is claimed."""
    choice = choose_unit(np.random.default_rng(0).normal(size=90), np.repeat(np.arange(9), 10))
    assert choice == UnitChoice("sample", 9)
    assert not choice.known


def test_bound_is_that_of_the_f_distribution() -> None:
    """Design effect and its bound are those of the one-way analysis of variance, for groups of one size."""
    values = np.random.default_rng(1).normal(size=(30, 8))
    ratio = stats.f_oneway(*values).statistic
    choice = choose_unit(values.ravel(), np.repeat(np.arange(30), 8))
    icc = max(0.0, (ratio - 1) / (ratio + 7))
    limit = ratio / stats.f.ppf(0.05, 29, 30 * 7)
    assert choice.icc == pytest.approx(icc)
    assert choice.design_effect == pytest.approx(1 + 7 * icc)
    assert choice.upper == pytest.approx(1 + 7 * (limit - 1) / (limit + 7))


@pytest.mark.parametrize(
    ("icc", "groups", "size", "unit"),
    [(0.1, 100, 20, "group"), (0.0, 15, 20, "group"), (0.0, 4000, 2, "sample"), (0.0, 3000, 1, "sample")],
)
def test_burden_is_on_independence(icc: float, groups: int, size: int, unit: str) -> None:
    """Alike samples, and those of which nobody can tell, make the group the unit; proven independence the sample."""
    rng = np.random.default_rng(2)
    values = np.sqrt(icc) * rng.normal(size=(groups, 1)) + np.sqrt(1 - icc) * rng.normal(size=(groups, size))
    assert choose_unit(values.ravel(), np.repeat(np.arange(groups), size)).unit == unit


def test_bound_holds() -> None:
    """The bound of the design effect is above the true one in 95 % of baselines, also with unequal groups."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 40, 40)
    group = np.repeat(np.arange(40), sizes)
    truth = 1 + (np.square(sizes).sum() / sizes.sum() - 1) * 0.1
    held = 0
    for _ in range(400):
        values = np.sqrt(0.1) * rng.normal(size=40)[group] + np.sqrt(0.9) * rng.normal(size=len(group))
        held += (choose_unit(values, group).upper or 0.0) >= truth
    assert 0.92 <= held / 400 <= 0.98


def test_equal_values_prove_nothing() -> None:
    """A baseline without an error cannot show that errors are independent."""
    assert choose_unit(np.ones(200), np.repeat(np.arange(20), 10)).unit == "group"


def test_values_that_are_unknown_do_not_count() -> None:
    """Samples without a value, and groups of only such, are left out."""
    rng = np.random.default_rng(4)
    values, group = rng.normal(size=120), np.repeat(np.arange(12), 10)
    known = np.where(group < 3, np.nan, values)
    assert choose_unit(known, group).groups == 9


def test_huge_values_are_as_alike_as_small_ones() -> None:
    """Values whose squares no float can hold have the unit of small ones."""
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(30), 10)
    values = rng.uniform(-1, 1, 300) + rng.normal(size=30)[group]

    assert choose_unit(values, group) == choose_unit(values * 2.0**1020, group)


def test_differences_about_zero() -> None:
    """Paired differences vary about 0, with a degree of freedom for each group; their sign does not matter."""
    values = np.random.default_rng(5).normal(0.2, 1, size=(30, 8))
    between = 8 * np.square(values.mean(axis=1)).sum() / 30
    ratio = between / values.var(axis=1, ddof=1).mean()
    limit = ratio / stats.f.ppf(0.05, 30, 30 * 7)

    choice = choose_unit(values.ravel(), np.repeat(np.arange(30), 8), about_zero=True)

    assert choice.icc == pytest.approx((ratio - 1) / (ratio + 7))
    assert choice.upper == pytest.approx(1 + 7 * (limit - 1) / (limit + 7))
    assert choice == choose_unit(-values.ravel(), np.repeat(np.arange(30), 8), about_zero=True)
