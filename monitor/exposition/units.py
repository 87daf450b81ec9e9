"""Metrics of what intervals and tests take as one opinion: samples, or groups of those that came together."""

from __future__ import annotations

from collections.abc import Callable

from monitor.exposition.metric import MetricType, Shown, Values, figure
from monitor.figures.groups import UnitChoice

_STATISTIC = "the statistic (accuracy, mae, anomaly_score_BLOCK_ID)"


def _of_choices(value: Callable[[UnitChoice], float | None]) -> Callable[[Shown], Values]:
    return lambda shown: [(value(choice), (name,)) for name, choice in shown.evaluation.units.items()]


METRICS = (
    figure(
        "edge_impulse_unit_info",
        f"1 for the unit, sample or group, that intervals and tests of {_STATISTIC} take, as the baseline chose it; "
        "figures without a statistic of their own take that of accuracy.",
        "statistic",
        "unit",
        type=MetricType.INFO,
        read=lambda shown: [(1, (name, choice.unit)) for name, choice in shown.evaluation.units.items()],
    ),
    figure(
        "edge_impulse_group_icc_ratio",
        f"Intra-group correlation: how alike samples that came together are in {_STATISTIC}; absent under 10 groups.",
        "statistic",
        unit="ratio",
        read=_of_choices(lambda choice: choice.icc),
    ),
    figure(
        "edge_impulse_group_design_effect_ratio",
        f"By what factor groups make the variance of the mean of {_STATISTIC} larger than independent samples would; "
        "absent under 10 groups.",
        "statistic",
        unit="ratio",
        read=_of_choices(lambda choice: choice.design_effect),
    ),
)
