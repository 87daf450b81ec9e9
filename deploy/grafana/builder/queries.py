"""Series and queries: every selector carries the dashboard's variables, so that none can be forgotten."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitor import targets

DATASOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")

IDENTITY = ", ".join(targets.LABEL_NAMES)
"""Labels of a target, without the scrape's: a target that moved to another instance stays one series."""

VARIABLES = {label: label.removesuffix("_id") for label in targets.IDENTITY}
"""The dashboards' variables that choose a target, by the label that each is about."""

TARGET_NAME = "{{project}} · {{impulse}} · {{variant}}"
"""Legend of a target's series."""

Selector = Callable[..., str]
"""From a metric's name and further exact matchers to a series selector; `_not` after a label's name negates it, `_in`
takes a pattern, `_not_in` does both.
"""

_OPERATORS = {"_not_in": "!~", "_not": "!=", "_in": "=~"}


def _matched(label: str) -> tuple[str, str]:
    """A label's name, and the operator that its ending means."""
    ending = next((ending for ending in _OPERATORS if label.endswith(ending)), "")
    return label.removesuffix(ending), _OPERATORS.get(ending, "=")


def selector(**variables: str) -> Selector:
    """A maker of selectors with the service's variables, and with the ones given by label."""
    fixed = {"job": "$job", "instance": "$instance", **variables}

    def series(name: str, **matchers: str) -> str:
        parts = [f'{label}=~"{value}"' for label, value in fixed.items()]
        for label, value in matchers.items():
            matched, operator = _matched(label)
            parts.append(f'{matched}{operator}"{value}"')
        return f"{name}{{{', '.join(parts)}}}"

    return series


def query(
    ref: str, expression: str, legend: str = "__auto", *, instant: bool = False, table: bool = False
) -> Dataquery:
    """A query of a panel.

    Args:
        ref: Its letter in the panel.
        expression: PromQL.
        legend: Name of a series, with `{{label}}`.
        instant: The newest value alone.
        table: As rows with a column per label; implies `instant`.
    """
    built = Dataquery().ref_id(ref).datasource(DATASOURCE).expr(expression).legend_format(legend)
    built = built.instant() if instant or table else built.range()
    return built.format(PromQueryFormat.TABLE if table else PromQueryFormat.TIME_SERIES)


def in_points(expression: str) -> str:
    """A difference of shares in percentage points."""
    return f"100 * {expression}"
