"""`Units`: the independent opinions of a result set, for each statistic: its samples, or the groups they came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from monitor.figures.anomaly import KINDS, sample_scores
from monitor.figures.groups import Groups, GroupUnit, UnitChoice, choose_unit, groups_of
from monitor.figures.regression import absolute_errors
from monitor.figures.scoring import accuracy_verdicts
from monitor.results import CORRECT, UNSCORED, FloatArray, IntArray, ResultSet

ACCURACY = "accuracy"
MAE = "mae"

UnitChoices = Mapping[str, UnitChoice]
"""By statistic: `accuracy`, `mae`, and `anomaly_score_<block id>`."""


def anomaly_score(block_id: int) -> str:
    """The statistic of an anomaly block's scores."""
    return f"anomaly_score_{block_id}"


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What counts as one opinion in a result set.

    Attributes:
        samples: How many samples the set holds.
        groups: Which of them came together; None where grouping is switched off.
        choices: The unit of each statistic, as the baseline decided it.
    """

    samples: int
    groups: Groups | None
    choices: UnitChoices

    def grouped(self, statistic: str) -> bool:
        """Whether the group is the unit; of a statistic that has no choice of its own, that of the accuracy."""
        choice = self._choice(statistic)
        return self.groups is not None and choice is not None and choice.unit == "group"

    def of(self, statistic: str) -> IntArray:
        """int[samples], each sample's unit, 0..k - 1."""
        if self.groups is not None and self.grouped(statistic):
            return self.groups.of
        return np.arange(self.samples, dtype=np.int32)

    def groups_if_unit(self, statistic: str) -> GroupUnit | None:
        """The groups where they are the statistic's unit; None where the sample is."""
        if self.groups is None or not self.grouped(statistic):
            return None
        choice = self._choice(statistic)
        return GroupUnit(self.groups.of, (choice and choice.icc) or 0.0)

    def _choice(self, statistic: str) -> UnitChoice | None:
        return self.choices.get(statistic, self.choices.get(ACCURACY))


def units_of(results: ResultSet, group_by: str, choices: UnitChoices | None = None) -> Units:
    """The units of a result set.

    Args:
        results: The columns.
        group_by: As `groups_of` takes it.
        choices: The baseline's; None lets the result set decide for itself, as that of a baseline does. It decides too
            where the baseline had too few groups to tell.
    """
    groups = groups_of(results, group_by)
    if groups is None:
        return Units(results.samples, None, {})
    own = choose_units(results, groups)
    return Units(results.samples, groups, own if choices is None else settled(choices, own))


def settled(choices: UnitChoices, own: UnitChoices) -> UnitChoices:
    """The baseline's choices, and a later set's own where the baseline could not tell.

    Args:
        choices: The baseline's.
        own: Those of the later set.
    """
    return {**own, **{name: choice for name, choice in choices.items() if choice.known}}


def chosen_later(choices: UnitChoices, found: UnitChoices) -> bool:
    """Whether a unit is known that the baseline's choices did not know.

    Args:
        choices: The baseline's.
        found: `settled` with those of a later set.
    """
    return any(choice.known and not (name in choices and choices[name].known) for name, choice in found.items())


def undecided(choices: UnitChoices) -> bool:
    """Whether there are too few groups to tell whether their samples are alike."""
    return bool(choices) and not all(choice.known for choice in choices.values())


def choose_units(results: ResultSet, groups: Groups) -> dict[str, UnitChoice]:
    """The unit of each statistic that a baseline has, by its own values."""
    return {name: choose_unit(values, groups.of) for name, values in _statistics(results)}


def _statistics(results: ResultSet) -> Iterator[tuple[str, FloatArray]]:
    """Each statistic's value by sample, NaN where a sample has none."""
    verdicts = accuracy_verdicts(results)
    scored = verdicts != UNSCORED
    if scored.any():
        yield ACCURACY, _means(results, results.sample[scored], (verdicts[scored] == CORRECT).astype(np.float64))
    errors = absolute_errors(results)
    finite = np.isfinite(errors)
    if finite.any():
        yield MAE, _means(results, results.sample[finite], errors[finite])
    for block in results.blocks:
        if block.kind in KINDS and block.id in results.anomaly:
            sample, scores = sample_scores(results, block.id)
            values = np.full(results.samples, np.nan)
            values[sample] = scores
            yield anomaly_score(block.id), values


def _means(results: ResultSet, sample: IntArray, values: FloatArray) -> FloatArray:
    """float64[samples], the mean of the values of each sample's windows."""
    windows = np.bincount(sample, minlength=results.samples)
    totals = np.bincount(sample, values, results.samples)
    means: FloatArray = np.divide(totals, windows, out=np.full(results.samples, np.nan), where=windows > 0)
    return means
