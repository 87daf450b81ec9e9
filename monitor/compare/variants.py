"""What a variant of an impulse loses against the reference variant, on the same samples: int8 against float32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.map_statistic import MapStatistic
from monitor.compare.paired import (
    Gap,
    bootstrap_difference,
    difference_of_shares,
    discordant,
    paired_test,
    unit_of_difference,
)
from monitor.compare.pairing import Index, Pairing, pair
from monitor.compare.renaming import in_one_table, with_names_of
from monitor.compare.resampling import STOP, swap_test
from monitor.compare.sides import relabelled, renamed_classes
from monitor.compare.steps import Family, MakeStatistic, families
from monitor.compare.thresholds import threshold_changes
from monitor.figures.evaluation import Interval
from monitor.figures.groups import AUTO, groups_of
from monitor.figures.intervals import SMALLEST_SAMPLES
from monitor.figures.scoring import accuracy_verdicts
from monitor.results import CORRECT, WRONG, IntArray, ResultSet

MOST_NAMED = 100
"""Samples of either kind that are named; the others are only counted."""

_ROUNDING = 1e-14  # figures of the same windows, summed in another order, differ by less


@dataclass(frozen=True, slots=True)
class Growth:
    """How a gap has grown since the baseline, on the samples that all four runs hold under the same labels.

    Attributes:
        before, now: The gap of the baselines' runs and that of now.
        samples: How many samples these are.
        pvalue: How likely a difference of the two at least as large is if nothing but chance is in it, by swapping the
            runs of now with the baselines' (difference in differences); None where they are the same runs.
    """

    before: float
    now: float
    samples: int
    pvalue: float | None = None

    @property
    def size(self) -> float:
        """By how much it has grown."""
        grown = self.now - self.before
        return grown if abs(grown) > _ROUNDING else 0.0


@dataclass(frozen=True, slots=True)
class VariantGap:
    """One figure of two variants.

    Attributes:
        metric: A headline figure that has a statistic.
        reference, variant: Its values.
        pvalue: How likely a gap at least as large is by chance.
        interval: 95 % bounds of the gap; None where there are too few samples, or the two do not differ.
        growth: Of the gap since the baseline; None where there is no baseline of both to compare with.
        smallest: The smallest p-value that there could be; only of tests by group, which may be few.
    """

    metric: str
    reference: float
    variant: float
    pvalue: float
    interval: Interval | None = None
    growth: Growth | None = None
    smallest: float | None = None

    @property
    def size(self) -> float:
        """What the variant loses: positive where it is worse than the reference."""
        gap = self.reference - self.variant
        return gap if abs(gap) > _ROUNDING else 0.0


@dataclass(frozen=True, slots=True)
class VariantComparison:
    """A variant's run beside that of the reference variant.

    Attributes:
        against: The reference variant.
        compared: Fingerprints of the result sets: the variant's, the reference's, and those of their baselines where
            there are such. The same ones have the same comparison.
        reason: Why the two are not compared, in a clause; empty where they are.
        gaps: Each figure that both have.
        samples: How many samples they were both tested on.
        lost, gained: How many of them only the reference gets right, and how many only the variant.
        lost_samples, gained_samples: The ids of the first of those, ascending.
    """

    against: str
    compared: tuple[str, ...] = ()
    reason: str = ""
    gaps: tuple[VariantGap, ...] = ()
    samples: int = 0
    lost: int = 0
    gained: int = 0
    lost_samples: tuple[int, ...] = ()
    gained_samples: tuple[int, ...] = ()

    def gap(self, metric: str) -> VariantGap | None:
        """The gap of a figure; None where it has none."""
        return next((gap for gap in self.gaps if gap.metric == metric), None)


def compare_variants(
    against: str,
    reference: ResultSet,
    variant: ResultSet,
    seed: int,
    baselines: tuple[ResultSet, ResultSet] | None = None,
    group_by: str = AUTO,
) -> VariantComparison:
    """Compare a run of a variant with the reference variant's, which has to hold the same samples under the same labels
    and thresholds; else it is only said why not. Takes up to some seconds for large sets.

    Args:
        against: The reference variant.
        reference, variant: The two runs.
        seed: Of every re-sampling, not negative.
        baselines: The runs that either is compared with; None where there are none, or none of one model.
        group_by: Which samples came together, as `groups_of` takes it.
    """
    compared = tuple(run.fingerprint() for run in (variant, reference, *(baselines or ())[::-1]))
    unchanged = compared[:2] == compared[2:]
    reference, variant, *before = in_one_table(reference, variant, *(baselines or ()))
    pairing = pair(reference, variant)
    if reason := _differ(reference, variant, pairing):
        return VariantComparison(against, compared, reason)
    groups = groups_of(variant, group_by)
    group = None if groups is None else groups.of
    since = _Since.of(reference, variant, before[0], before[1], unchanged=unchanged) if before else None
    found: dict[str, VariantGap] = {}
    for family, metric, make in _figures(reference, variant):
        if metric in found:
            continue
        gap = _gap(metric, make, reference, variant, group, np.random.default_rng([seed, len(found)]))
        if gap is None:
            continue
        grown = since.growth(family, make, group, np.random.default_rng([seed, len(found), 1])) if since else None
        found[metric] = replace(gap, growth=grown)
    lost, gained = _sides(reference, variant, pairing)
    return VariantComparison(
        against,
        compared,
        gaps=tuple(found.values()),
        samples=variant.samples,
        lost=len(lost),
        gained=len(gained),
        lost_samples=tuple(lost[:MOST_NAMED].tolist()),
        gained_samples=tuple(gained[:MOST_NAMED].tolist()),
    )


def _figures(reference: ResultSet, variant: ResultSet) -> Iterator[tuple[Family, str, MakeStatistic]]:
    """Each figure that both runs have."""
    for family in families(reference, variant):
        for metric, make in family.metrics.items():
            yield family, metric, make


def _differ(reference: ResultSet, variant: ResultSet, pairing: Pairing) -> str:
    """In what else than their predictions two runs differ, in a clause; empty where they do not."""
    alone = reference.samples + variant.samples - 2 * pairing.samples
    if alone:
        return f"their result sets do not hold the same samples and windows: {_number(alone, 'sample')} differ"
    relabelled_windows = int(relabelled(reference, variant, pairing).sum())
    if relabelled_windows:
        return f"{_number(relabelled_windows, 'window')} differ in the label"
    if threshold_changes(reference, variant):
        return "their blocks have different thresholds"
    return ""


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _gap(
    metric: str,
    make: MakeStatistic,
    reference: ResultSet,
    variant: ResultSet,
    group: IntArray | None,
    rng: np.random.Generator,
) -> VariantGap | None:
    """The gap of a figure, its test and its bounds; None where the figure does not exist."""
    statistic = make((reference, variant))
    if statistic is None:
        return None
    first: Index = np.arange(reference.samples)
    second = reference.samples + first
    gap = Gap(statistic.take(first), statistic.take(second))
    whole = np.ones((1, gap.units), np.uint8)
    values = float(gap.first.figure(whole)[0]), float(gap.second.figure(whole)[0])
    if math.isnan(sum(values)):
        return None
    unit = unit_of_difference(statistic, first, second, group)
    pvalue, smallest = paired_test(statistic, first, second, unit, rng)
    if unit is None and (counts := discordant(statistic, first, second)) is not None:
        interval = difference_of_shares(*counts, gap.units)
    else:
        interval = bootstrap_difference(gap, unit, rng)
    return VariantGap(metric, *values, pvalue, interval, smallest=smallest)


@dataclass(frozen=True, slots=True, eq=False)
class _Since:
    """The baselines' runs of two variants beside those of now.

    Attributes:
        runs: The reference's and the variant's run of now, then those of the baselines, in one table of labels, with
            the names that renamed classes have now.
        places: intp[s] each, where the samples that all four hold under the same labels are in each run.
        unchanged: Whether the runs of now have the baselines' result sets.
    """

    runs: tuple[ResultSet, ResultSet, ResultSet, ResultSet]
    places: tuple[Index, ...]
    unchanged: bool

    @classmethod
    def of(
        cls,
        reference: ResultSet,
        variant: ResultSet,
        reference_before: ResultSet,
        variant_before: ResultSet,
        *,
        unchanged: bool,
    ) -> _Since | None:
        """None where the four share too few samples."""
        pairings = pair(reference_before, reference), pair(variant_before, variant)
        renamed = renamed_classes(reference_before, reference, pairings[0])
        before = with_names_of(reference_before, renamed), with_names_of(variant_before, renamed)
        ids = variant.sample_id
        for then, now, pairing in zip(before, (reference, variant), pairings, strict=True):
            changed = np.zeros(pairing.samples, np.bool_)
            changed[pairing.sample[relabelled(then, now, pairing)]] = True
            ids = np.intersect1d(ids, now.sample_id[pairing.current_sample[~changed]], assume_unique=True)
        if len(ids) < SMALLEST_SAMPLES:
            return None
        runs = reference, variant, *before
        return cls(runs, tuple(np.searchsorted(run.sample_id, ids) for run in runs), unchanged)

    def growth(
        self, family: Family, make: MakeStatistic, group: IntArray | None, rng: np.random.Generator
    ) -> Growth | None:
        """How a figure's gap has grown; None where a run does not have the figure on these samples."""
        if not family.applies(*self.runs[2:]):
            return None
        statistic = make(self.runs)
        if statistic is None:
            return None
        first = np.cumsum([0, *(run.samples for run in self.runs)])
        reference, variant, reference_before, variant_before = (
            start + place for start, place in zip(first[:-1], self.places, strict=True)
        )
        gap = Gap(
            statistic.take(np.concatenate([reference, reference_before])),
            statistic.take(np.concatenate([variant, variant_before])),
        )
        samples = len(reference)
        now: Index = np.arange(samples)
        before = samples + now
        size = gap.take(now).value
        size_before = gap.take(before).value
        if math.isnan(size - size_before):
            return None
        if self.unchanged:
            return Growth(size_before, size, samples)
        group = None if group is None else group[self.places[1]]
        unit = unit_of_difference(gap, now, before, group)
        stop = STOP if isinstance(gap.first, MapStatistic) else None
        return Growth(size_before, size, samples, swap_test(gap, rng, stop, unit))


def _sides(reference: ResultSet, variant: ResultSet, pairing: Pairing) -> tuple[IntArray, IntArray]:
    """int64 each, ascending: the ids of samples with a window that only the reference gets right, and only the
    variant.
    """
    of_reference = accuracy_verdicts(reference)[pairing.baseline_window]
    of_variant = accuracy_verdicts(variant)[pairing.current_window]
    ids = variant.sample_id[variant.sample[pairing.current_window]]
    lost = np.unique(ids[(of_reference == CORRECT) & (of_variant == WRONG)])
    gained = np.unique(ids[(of_reference == WRONG) & (of_variant == CORRECT)])
    return lost, gained
