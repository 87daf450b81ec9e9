"""What changes over time: a `Scenario` says for every step which `Revision` of a project holds; a `Timeline` says which
step it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from monitor.simulator.kinds.base import Renaming


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a project: its test set and its model.

    Attributes:
        added: Samples in the test set beyond the first ones.
        shift: How far the added samples are from what the model was trained on, in standard deviations.
        removed, relabelled: Share (0..1) of the test set that is gone, or has another label; larger shares contain
            smaller ones.
        removed_ids, relabelled_ids: The same for single samples.
        training: Number of the training; another number is another draw of the training noise.
        trained_step: The step at which it took place.
        quality: Added to the model's skill, in logits: -1 costs a classifier some 15 points of accuracy.
        threshold: Replaces the value of the deciding threshold.
        anomaly_threshold: Replaces that of the anomaly block beside a classifier.
        learned: Share (0..1) of the test set whose new label, where it has one, was in the last training.
        learned_ids: The same for single samples.
        renamings: How the labels' classes are called, one after the other.
        trained_renamings: How they were called at the last training: what the model calls its classes.
        added_classes: Classes of the last training that the first one did not have.
        results: False while Studio holds no model-testing results.
        invalidated_step: The step at which a change of thresholds took the results away; a job, or a new summary,
            brings them back.
        untested: Share (0..1) of the test set that has no results: pages count it in `totalCount` and `offset`, and
            leave it out.
        untested_ids: The same for single samples.
    """

    added: int = 0
    shift: float = 0.0
    removed: float = 0.0
    relabelled: float = 0.0
    removed_ids: frozenset[int] = frozenset()
    relabelled_ids: frozenset[int] = frozenset()
    training: int = 0
    trained_step: int = 0
    quality: float = 0.0
    threshold: float | None = None
    anomaly_threshold: float | None = None
    learned: float = 0.0
    learned_ids: frozenset[int] = frozenset()
    renamings: tuple[Renaming, ...] = ()
    trained_renamings: tuple[Renaming, ...] = ()
    added_classes: tuple[str, ...] = ()
    results: bool = True
    invalidated_step: int | None = None
    untested: float = 0.0
    untested_ids: frozenset[int] = frozenset()


Scenario = Callable[[int], Revision]
"""From a step (0, 1, 2, ...) to the revision that holds then. Pure: the same step gives the same revision."""


def steady() -> Scenario:
    """Nothing ever changes."""
    return lambda step: Revision()


def regressing(at: int = 12, by: float = 1.2, over: int = 4, recovers_at: int | None = None) -> Scenario:
    """From step `at` on the model loses `by` logits in `over` trainings, one a step; at `recovers_at` a training gives
    it all back.

    A negative `by` is a model that gets better.
    """

    def revision(step: int) -> Revision:
        if recovers_at is not None and step >= recovers_at:
            return Revision(training=over + 1, trained_step=recovers_at)
        trainings = min(max(step - at + 1, 0), over)
        return Revision(
            training=trainings, trained_step=at + trainings - 1 if trainings else 0, quality=-by * trainings / over
        )

    return revision


def improving(at: int = 12, by: float = 1.0, over: int = 4) -> Scenario:
    """The model gains `by` logits in `over` trainings from step `at` on."""
    return regressing(at, -by, over)


def growing(at: int = 1, per_step: int = 2, most: int = 200, shift: float = 0.0) -> Scenario:
    """From step `at` on, `per_step` samples come in each step, up to `most`; drawn `shift` standard deviations from the
    others.
    """
    return lambda step: Revision(added=min(max(step - at + 1, 0) * per_step, most), shift=shift)


def relabelling(at: int = 12, share: float = 0.1) -> Scenario:
    """At step `at` a share of the samples gets another label."""
    return lambda step: Revision(relabelled=share if step >= at else 0.0)


def relearning(at: int = 12, share: float = 0.1, retrained: int = 12) -> Scenario:
    """At step `at` a share of the samples gets another label; at step `retrained` the model is trained with these
    labels.
    """

    def revision(step: int) -> Revision:
        relabelled = share if step >= at else 0.0
        if step < retrained:
            return Revision(relabelled=relabelled)
        return Revision(relabelled=relabelled, training=1, trained_step=retrained, learned=share)

    return revision


def renaming(old: str, new: str, at: int = 12, retrained: int | None = None, share: float = 1.0) -> Scenario:
    """At step `at` a class is called otherwise; the model knows the new name from step `retrained` on, or never.

    A `share` below 1 splits the class; a `new` name that another class has merges the two.
    """
    change = (Renaming(old, new, share),)

    def revision(step: int) -> Revision:
        names = change if step >= at else ()
        if retrained is None or step < retrained:
            return Revision(renamings=names)
        return Revision(renamings=names, training=1, trained_step=retrained, trained_renamings=names)

    return revision


def adding_class(name: str, at: int = 12) -> Scenario:
    """At step `at` the model is trained with one more class: the numbers of those that come after it by name shift."""
    return lambda step: Revision(training=1, trained_step=at, added_classes=(name,)) if step >= at else Revision()


def shrinking(at: int = 12, share: float = 0.2) -> Scenario:
    """At step `at` a share of the samples is removed."""
    return lambda step: Revision(removed=share if step >= at else 0.0)


def retraining(every: int = 12) -> Scenario:
    """The same script trains again on the same data every so many steps: training noise and nothing else."""
    return lambda step: Revision(training=step // every, trained_step=step - step % every)


def vanishing(at: int = 12, steps: int = 4) -> Scenario:
    """From step `at` on there are no results, for so many steps."""
    return lambda step: Revision(results=not at <= step < at + steps)


def rethresholding(value: float, at: int = 12, gap: int | None = 1) -> Scenario:
    """At step `at` the deciding threshold becomes `value`; as that invalidates the results, there are none for `gap`
    steps.

    With `gap` None there are none until someone asks Studio for a new summary or for model testing.
    """

    def revision(step: int) -> Revision:
        if step < at:
            return Revision()
        if gap is None:
            return Revision(threshold=value, invalidated_step=at)
        return Revision(threshold=value, results=step >= at + gap)

    return revision


def partly_tested(share: float = 0.2, at: int = 0) -> Scenario:
    """From step `at` on a share of the samples has no results: pages come short."""
    return lambda step: Revision(untested=share if step >= at else 0.0)


def cycling(scenario: Scenario, period: int) -> Scenario:
    """`scenario` over and over. Trainings stay new ones, with dates of their own; what was added leaves at the turn."""

    def revision(step: int) -> Revision:
        turn, within = divmod(step, period)
        found = scenario(within)
        if turn:
            trainings = max(scenario(k).training for k in range(period)) + 1
            return replace(
                found, training=found.training + turn * trainings, trained_step=found.trained_step + turn * period
            )
        return found

    return revision


class Timeline:
    """Which step it is: time since the start in units of `interval` (seconds), or a step set by hand.

    Args:
        interval: Seconds per step.
        clock: Unix time in seconds.
    """

    def __init__(self, interval: float = 5.0, clock: Callable[[], float] = time.time) -> None:
        self.interval = interval
        self.clock = clock
        self.start = clock()
        self._pinned: int | None = None

    @property
    def step(self) -> int:
        """The current step, from 0."""
        if self._pinned is not None:
            return self._pinned
        return max(int((self.clock() - self.start) // self.interval), 0)

    def pin(self, step: int | None) -> None:
        """Hold this step; None follows the clock again."""
        self._pinned = step

    def advance(self, steps: int = 1) -> None:
        """Hold the step that is so many after the current one."""
        self._pinned = self.step + steps

    def time_of(self, step: int) -> float:
        """Unix time in seconds at which `step` began."""
        return self.start + step * self.interval
