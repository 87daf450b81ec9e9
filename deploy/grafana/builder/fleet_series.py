"""What the parts of *Fleet* share: queries over all targets, and links to the service's pages."""

from __future__ import annotations

from deploy.grafana.builder.figures import ON_SHARED, of_metrics
from deploy.grafana.builder.panels import STATES
from deploy.grafana.builder.queries import IDENTITY, selector
from monitor.figures.headline import HeadlineFigure

series = selector()
UP = series("edge_impulse_up")
FIRING = series("edge_impulse_alerts", alertstate="firing")
SHARED_PART = series("edge_impulse_change_ratio", **of_metrics(ON_SHARED), cause_in="model|labels")
CHANGE = (
    f"({series('edge_impulse_change_ratio', **of_metrics(ON_SHARED, '_not'), cause='total')} or sum without (cause) "
    f"({SHARED_PART}))"
)
"""mAP moves with the size of the set: as the alerts do, take what happened on the images that both runs share."""
STATE_TEXTS = {state: (state.replace("_", " "), shade) for state, shade in STATES.items()}


def by_target(aggregation: str, expression: str) -> str:
    """One series per target, without the scrape's labels."""
    return f"{aggregation} by ({IDENTITY}) ({expression})"


def by_project(expression: str) -> str:
    """An expression by `project_id` with the project's name besides; where no target is known, its number in place of
    the name. Of a project that is renamed meanwhile the name by which a target was pulled last.
    """
    pulled = series("edge_impulse_last_pull_timestamp_seconds")
    names = f"group by (project, project_id) (topk by (project_id) (1, {pulled}))"
    nameless = f'label_join({expression} unless on (project_id) {pulled}, "project", "", "project_id")'
    return f"{expression} * on (project_id) group_left (project) {names} or {nameless}"


WORST_FIRST = f"""sort(
  {by_target("min", UP)} - 1
  + ({by_target("min", CHANGE)} or 0 * {by_target("min", UP)})
  - 10 * ({by_target("sum", FIRING)} or 0 * {by_target("min", UP)})
)"""
"""Firing alerts outweigh a failing pull, that outweighs any change; then the largest drop comes first."""


def of_target(row: HeadlineFigure) -> str:
    """A headline figure of each target; of several blocks the one that counts."""
    return by_target(row.worst or "max", series(row.series.name, **row.series.headline))
