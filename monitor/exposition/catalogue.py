"""Every metric once, in the order in which exposition and documentation show it. A new one is an entry, with its
reading, in the part that it belongs to: `pulls`, `sizes`, `units`, `figures`, `comparisons` or `service`; a headline
figure is a row of `monitor.figures.headline`.
"""

from __future__ import annotations

from monitor.exposition import comparisons, figures, pulls, service, sizes, units
from monitor.exposition.metric import Metric, Row

OF_FIGURES: tuple[Metric, ...] = (*sizes.SET, *units.METRICS, *figures.METRICS, *comparisons.METRICS, *sizes.PARTS)
"""What is read from a target's figures."""

METRICS: tuple[Metric, ...] = (*pulls.METRICS, *OF_FIGURES, *service.METRICS)
"""The catalogue."""


def describe() -> list[Row]:
    """The catalogue as a table, one row per metric with all its labels."""
    return [Row(metric.name, metric.type.value, metric.all_labels, metric.unit, metric.meaning) for metric in METRICS]
