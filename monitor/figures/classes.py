"""Which classes of a result set are shown where their number is limited: the largest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.figures.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class LargestClasses:
    """The classes within a limit.

    Attributes:
        names: The classes with most windows, sorted by name.
        predictions: Predictions that are no class (`uncertain`, labels never true), the most frequent, sorted by name.
        cut_names, cut_predictions: How many of either are beyond the limit.
    """

    names: tuple[str, ...]
    predictions: tuple[str, ...]
    cut_names: int
    cut_predictions: int

    @property
    def cut(self) -> int:
        """How many labels are beyond the limit."""
        return self.cut_names + self.cut_predictions


def largest_classes(evaluation: Evaluation, limit: int) -> LargestClasses:
    """The `limit` largest classes, and as many predictions that are no class: these are limited by themselves."""
    quality = evaluation.quality
    detection = evaluation.detection
    support = dict.fromkeys(detection.class_ap, 0) if detection is not None else {}
    outside: Counter[str] = Counter()
    if quality is not None:
        support |= {name: figures.windows for name, figures in quality.classes.items()}
        for (_, predicted), windows in quality.confusion.items():
            if predicted not in support:
                outside[predicted] += windows
    names = _largest(support, limit)
    predictions = _largest(outside, limit)
    return LargestClasses(names, predictions, len(support) - len(names), len(outside) - len(predictions))


def _largest(counts: Mapping[str, int], limit: int) -> tuple[str, ...]:
    """The names with the `limit` largest counts (of equal ones the first by name), sorted by name."""
    return tuple(sorted(sorted(counts, key=lambda name: (-counts[name], name))[:limit]))
