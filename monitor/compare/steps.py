"""The steps from a baseline's outputs to the current ones: for each kind of figure the runs in between, as far as they
can be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from monitor.compare import resamplable
from monitor.compare.map_statistic import box_map
from monitor.compare.pairing import Pairing
from monitor.compare.relabel import known_labels, same_boxes, under_current_labels
from monitor.compare.renaming import in_numbers_of, renamed_boxes, renamed_labels, with_names_of
from monitor.compare.resamplable import Resamplable
from monitor.compare.thresholds import same_outputs, threshold_changes, under_thresholds_of
from monitor.figures.regression import tolerance_verdicts
from monitor.results import UNSCORED, BlockKind, ResultSet

ACCURACY = "accuracy"
MEAN_F1 = "mean_f1"
MAP = "map"
LABELS = "labels"
THRESHOLDS = "thresholds"

BoolArray = npt.NDArray[np.bool_]
MakeStatistic = Callable[[Sequence[ResultSet]], Resamplable | None]


@dataclass(frozen=True, eq=False)
class Runs:
    """Two runs to be compared, coded by one table, and what is known of both.

    Attributes:
        baseline, current: The runs.
        pairing: Of the two.
        trained: When the model of either was trained, Unix seconds; None where unknown.
    """

    baseline: ResultSet
    current: ResultSet
    pairing: Pairing
    trained: tuple[float | None, float | None]

    @cached_property
    def thresholds_changed(self) -> bool:
        """Whether any threshold did."""
        return bool(threshold_changes(self.baseline, self.current))

    @cached_property
    def same_outputs(self) -> bool | None:
        """Whether the raw outputs on the shared samples are the same; None where there are none to compare."""
        return same_outputs(self.baseline, self.current, self.pairing)

    @property
    def same_training(self) -> bool | None:
        """Whether the models are of one training; None where nobody knows."""
        before, after = self.trained
        return None if before is None or after is None else before == after

    @property
    def retrained(self) -> bool | None:
        """Whether the two are outputs of different models; None where nobody knows."""
        if self.same_training is False or self.same_outputs is False:
            return True
        return None if self.same_outputs is None else False

    @property
    def only_thresholds(self) -> bool:
        """Whether nothing but thresholds can have changed the outputs: all that is above the old and the new ones is
        the same.
        """
        if self.same_outputs is None:
            return False
        return self.same_outputs and self.same_training is not False


@dataclass(frozen=True, eq=False)
class Steps:
    """The shared samples between baseline and current run.

    Attributes:
        relabelled: As the baseline's outputs are under the current labels; None where they are as the baseline has
            them: the labels did not change, or what they did is part of what the model did.
        rethresholded: The same outputs under the current thresholds; None where they are as in `relabelled`.
        only_thresholds: Whether what is left from there to the current run is all due to thresholds.
        absent: Causes that cannot be separated from the model, which then holds them.
        undivided: Those of them that did change, as far as is known.
        dropped: bool[w], windows of the pairing that had a verdict and have none under the current labels.
        renamed: Old and new names of classes that are the same class.
    """

    relabelled: ResultSet | None = None
    rethresholded: ResultSet | None = None
    only_thresholds: bool = False
    absent: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()
    dropped: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))
    renamed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Family:
    """Figures that are computed from the same columns.

    Attributes:
        name: Which.
        metrics: How each is computed from several runs; None where it does not exist.
        applies: Whether both of two runs have them.
        steps: What is between two runs.
    """

    name: str
    metrics: dict[str, MakeStatistic]
    applies: Callable[[ResultSet, ResultSet], bool]
    steps: Callable[[Runs], Steps]


def families(baseline: ResultSet, current: ResultSet) -> Iterator[Family]:
    """Those that both runs have, in the order in which figures are shown."""
    return (family for family in _FAMILIES if family.applies(baseline, current))


def _classified(baseline: ResultSet, current: ResultSet) -> bool:
    kinds = baseline.kinds() & current.kinds()
    return (
        BlockKind.CLASSIFICATION in kinds
        and _documented(baseline, current)
        and all(map(resamplable.has_classes, (baseline, current)))
    )


def _regressed(baseline: ResultSet, current: ResultSet) -> bool:
    either = baseline.kinds() | current.kinds()
    both = baseline.kinds() & current.kinds()
    return BlockKind.REGRESSION in both and BlockKind.CLASSIFICATION not in either and _documented(baseline, current)


def _only_verdicts(baseline: ResultSet, current: ResultSet) -> bool:
    own = {BlockKind.CLASSIFICATION, BlockKind.REGRESSION}
    both = baseline.kinds() & current.kinds()
    return bool(both) and not own & (baseline.kinds() | current.kinds()) and _documented(baseline, current)


def _centroids(baseline: ResultSet, current: ResultSet) -> bool:
    return BlockKind.FOMO in baseline.kinds() & current.kinds()


def _boxes(baseline: ResultSet, current: ResultSet) -> bool:
    return (
        BlockKind.DETECTION in baseline.kinds() & current.kinds()
        and BlockKind.FOMO not in baseline.kinds() | current.kinds()
    )


def _documented(baseline: ResultSet, current: ResultSet) -> bool:
    """Whether predictions have a documented score, which those of a project that maps labels have not."""
    return not (baseline.label_map or current.label_map)


def _class_steps(runs: Runs) -> Steps:
    known = known_labels(runs.baseline), known_labels(runs.current)
    renamed = renamed_labels(runs.baseline, runs.current, runs.pairing, known)
    named = with_names_of(runs.baseline, renamed)
    relabelled = under_current_labels(named, runs.current, runs.pairing)
    dropped = (named.correct[runs.pairing.baseline_window] != UNSCORED) & (relabelled.correct == UNSCORED)
    steps = Steps(relabelled=relabelled, dropped=dropped, renamed=tuple(renamed.items()))
    return _rethresholded(replace(runs, baseline=named), steps, BlockKind.CLASSIFICATION, known_labels(named))


def _regression_steps(runs: Runs) -> Steps:
    relabelled = under_current_labels(runs.baseline, runs.current, runs.pairing)
    had = tolerance_verdicts(runs.baseline)[runs.pairing.baseline_window] != UNSCORED
    steps = Steps(relabelled=relabelled, dropped=had & (tolerance_verdicts(relabelled) == UNSCORED))
    return _rethresholded(runs, steps, BlockKind.REGRESSION)


def _box_steps(runs: Runs) -> Steps:
    renamed = renamed_boxes(runs.baseline, runs.current, runs.pairing)
    named = replace(runs, baseline=with_names_of(runs.baseline, renamed))
    steps = Steps(
        relabelled=under_current_labels(named.baseline, runs.current, runs.pairing), renamed=tuple(renamed.items())
    )
    return _rethresholded(named, steps, BlockKind.DETECTION)


def _centroid_steps(runs: Runs) -> Steps:
    renamed = renamed_boxes(runs.baseline, runs.current, runs.pairing)
    named = with_names_of(runs.baseline, renamed)
    numbered = named if runs.same_training else in_numbers_of(named, runs.current, {})
    if numbered is not None:
        steps = Steps(
            relabelled=under_current_labels(numbered, runs.current, runs.pairing), renamed=tuple(renamed.items())
        )
        assert steps.relabelled is not None
        before = resamplable.image_scores(runs.baseline)[runs.pairing.baseline_window]
        steps = replace(steps, dropped=~np.isnan(before) & np.isnan(resamplable.image_scores(steps.relabelled)))
    elif named.truth is not None and len(named.truth) and same_boxes(named, runs.current, runs.pairing).all():
        steps = Steps(renamed=tuple(renamed.items()))  # the same labels by their boxes, whatever their numbers are
    else:
        steps = Steps(absent=(LABELS,), undivided=(LABELS,))
    return _rethresholded(runs if numbered is None else replace(runs, baseline=numbered), steps, BlockKind.FOMO)


def _verdict_steps(runs: Runs) -> Steps:
    """Of verdicts that only Studio can give: nobody can tell what they would be under other labels."""
    relabelled = _labels_differ(runs)
    return _rethresholded(runs, Steps(absent=(LABELS,), undivided=(LABELS,) if relabelled else ()), BlockKind.UNKNOWN)


def _labels_differ(runs: Runs) -> bool:
    """Whether any shared window has another label, expected outcome or labelled box."""
    baseline = runs.baseline
    current = runs.current
    before = runs.pairing.baseline_window
    after = runs.pairing.current_window
    if (baseline.label[before] != current.label[after]).any():
        return True
    expected = baseline.expected_anomaly, current.expected_anomaly
    if expected[0] is not None and expected[1] is not None and (expected[0][before] != expected[1][after]).any():
        return True
    if baseline.truth is None or current.truth is None:
        return False
    return not bool(same_boxes(baseline, current, runs.pairing).all())


def _rethresholded(runs: Runs, steps: Steps, kind: BlockKind, known: BoolArray | None = None) -> Steps:
    """The step of the thresholds on top of that of the labels."""
    if not runs.thresholds_changed:
        # Outputs that did not change are of no other model: if predictions or verdicts did, a limit did that no run
        # tells of.
        return _without(steps, THRESHOLDS) if runs.only_thresholds and _moved(runs, kind) else steps
    if runs.only_thresholds and LABELS not in steps.undivided:
        return replace(steps, only_thresholds=True)
    under = under_thresholds_of(runs.current, runs.baseline, runs.pairing, kind)
    if under is not None and steps.relabelled is not None:
        return replace(steps, rethresholded=under_current_labels(under, runs.current, runs.pairing, known))
    return _without(steps, THRESHOLDS)


def _without(steps: Steps, cause: str) -> Steps:
    """The steps with a cause that cannot be separated from the model."""
    return replace(steps, absent=(*steps.absent, cause), undivided=(*steps.undivided, cause))


def _moved(runs: Runs, kind: BlockKind) -> bool:
    """Whether any shared window has another prediction; or, where figures count Studio's verdicts, another one under
    the same label.
    """
    baseline = runs.baseline
    current = runs.current
    before = runs.pairing.baseline_window
    after = runs.pairing.current_window
    moved = baseline.prediction[before] != current.prediction[after]
    if kind in _JUDGED_BY_STUDIO:
        moved |= (baseline.label[before] == current.label[after]) & (baseline.correct[before] != current.correct[after])
    return bool(moved.any())


_JUDGED_BY_STUDIO = (BlockKind.UNKNOWN, BlockKind.CLASSIFICATION)  # the kinds of step whose figures count its verdicts

_FAMILIES = (
    Family("classes", {ACCURACY: resamplable.accuracy, MEAN_F1: resamplable.macro_f1}, _classified, _class_steps),
    Family("tolerance", {ACCURACY: resamplable.within_tolerance}, _regressed, _regression_steps),
    Family("verdicts", {ACCURACY: resamplable.accuracy}, _only_verdicts, _verdict_steps),
    Family("centroids", {MEAN_F1: resamplable.mean_image_f1}, _centroids, _centroid_steps),
    Family("boxes", {MAP: box_map}, _boxes, _box_steps),
)

STATISTICS = frozenset(metric for family in _FAMILIES for metric in family.metrics)
"""Headline figures that have a statistic of their change, and so causes and a p-value."""
